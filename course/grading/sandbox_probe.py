"""The sandbox tried out: canaries that must be denied, and a gradient that must not.

`sandbox.report` starts this file as a script: a job on standard input, what happened
on standard output. It becomes a zygote like the judge's, and its forks are learner's
processes like any other; each canary is harmless where it succeeds.

Job: {"judge": pid of the starter, "uid", "scratch": a folder, "namespaces": bool,
"weak": whether layers that the machine lacks are left out, "without": [layers to leave
out, to see the canaries notice], "secrets": {name: ["file" or "folder", path]},
"own": a file of the learner's user outside its scratch folder, "planted": a text that
is in the starter's environment}.
"""

import contextlib
import ctypes
import errno
import json
import mmap
import os
import platform
import signal
import socket
import sys
import threading
import time
from pathlib import Path

# Started as a script it finds nothing of the course on its path.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from course.grading import sandbox
from course.grading import sandbox_kernel as kernel

del sys.path[0]

MIB = 2**20
FOLDER = Path("canary")  # below the scratch folder of the job
# Errors that mean "you may not" or "there is no such thing here".
DENIALS = (
    errno.EPERM, errno.EACCES, errno.EROFS, errno.EXDEV, errno.ENOENT, errno.ESRCH,
    errno.ENOSYS, errno.EFBIG,
)  # fmt: skip
FAMILIES = {
    "tcp": (socket.AF_INET, socket.SOCK_STREAM),
    "udp": (socket.AF_INET, socket.SOCK_DGRAM),
    "tcp6": (socket.AF_INET6, socket.SOCK_STREAM),
    "unix": (socket.AF_UNIX, socket.SOCK_STREAM),
    "netlink": (socket.AF_NETLINK, socket.SOCK_RAW),
    "vsock": (40, socket.SOCK_STREAM),
    "packet": (socket.AF_PACKET, socket.SOCK_RAW),
}
# Calls that no learner's process may make; zeros as arguments, which none of them takes
# as an order, except where a test needs more (below).
CALLS = """
    add_key bpf finit_module init_module io_uring_setup kexec_load keyctl memfd_create
    mount mq_open msgget perf_event_open pidfd_getfd process_vm_readv reboot semget
    setns shmget swapon userfaultfd
    """.split()  # noqa: SIM905


class Allowed(Exception):
    """What a canary should not have been able to do."""


def main() -> None:
    """Do the job on standard input."""
    job = json.loads(sys.stdin.read())
    for layer in job["without"]:
        setattr(kernel, layer, lambda *_: None)
    sandbox.prepare((), Path(job["scratch"]), job["uid"], namespaces=job["namespaces"])
    found = {"uid": os.getuid(), "namespaces": sandbox.isolated()}
    import numpy
    import torch

    found["versions"] = {"torch": torch.__version__, "numpy": numpy.__version__}
    found["canaries"] = {
        **learner(job, {}, lambda: quiet(job), "all"),
        **{
            name: learner(job, bounds, bomb, name)[name]
            for name, (bounds, bomb) in BOMBS.items()
        },
    }
    json.dump(found, sys.stdout)
    sys.stdout.flush()
    os._exit(0)


def learner(job: dict, bounds: dict, function, name: str) -> dict:
    """Run `function` in a process that has entered the sandbox; what it says."""
    read, write = os.pipe()
    folder = Path(job["scratch"]) / FOLDER
    child = os.fork()
    if not child:
        os.close(read)
        try:
            policy = sandbox.Policy(tuple(sandbox.libraries()), folder, **bounds)
            sandbox.enter(policy, keep=[write], weak=job["weak"])
            said = function()
            said = said if isinstance(said, dict) else {name: said}
        except Allowed as error:
            said = {name: f"ALLOWED: {error}"}
        except BaseException as error:
            said = {name: f"failed: {type(error).__name__}: {error}"}
        finally:
            os.write(write, json.dumps(said).encode())
            os._exit(0)
    os.close(write)
    _, status = os.waitpid(child, 0)
    sandbox.sweep(folder)  # before reading: what it left behind holds the pipe open
    with open(read, "rb") as answers:
        said = answers.read()
    if said:  # else the supervisor ended it, which also denies
        return json.loads(said)
    code = os.waitstatus_to_exitcode(status)
    good = name in BOMBS and code == -signal.SIGKILL
    return {name: f"{'denied' if good else 'failed'}: ended with {code}"}


def quiet(job: dict) -> dict:
    """All canaries that leave the process alive, and the gradient."""
    said = {}
    for name, canary in CANARIES.items():
        try:
            said[name] = f"denied: {canary(job)}"
        except Allowed as error:
            said[name] = f"ALLOWED: {error}"
        except Exception as error:
            said[name] = f"failed: {type(error).__name__}: {error}"
    try:
        said["gradient"] = gradient()
    except Exception as error:
        said["gradient"] = f"failed: {type(error).__name__}: {error}"
    return said


def gradient() -> str:
    """Torch, numpy and threads do what an exercise needs."""
    import numpy
    import torch

    weight = torch.eye(64, dtype=torch.float64, requires_grad=True)
    torch.nn.functional.linear(weight, weight).square().sum().backward()
    numpy.linalg.svd(weight.grad.numpy())
    seen = []
    thread = threading.Thread(target=lambda: seen.append(1))
    thread.start()
    thread.join()
    torch.save(weight.detach(), "weight.pt")
    torch.load("weight.pt")
    right = torch.equal(weight.grad, 4 * torch.eye(64, dtype=torch.float64))
    return "works" if right and seen else "failed: wrong gradient"


def refused(*attempts) -> str:
    """How each of the `attempts` was refused, by the names of the errors.

    Raises:
        Allowed: one was not, or failed for another reason.
    """
    seen = []
    for what, attempt in attempts:
        try:
            attempt()
        except OSError as error:
            if error.errno not in DENIALS:
                raise Allowed(f"{what} ({error.strerror})") from error
            seen.append(errno.errorcode[error.errno])
        else:
            raise Allowed(what)
    return " ".join(dict.fromkeys(seen))


def call(name: str, *arguments) -> int:
    """A system call by number."""
    ctypes.set_errno(0)
    arguments = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    arguments += [ctypes.c_long(0)] * (6 - len(arguments))
    number = ctypes.c_long(kernel.number(name))
    result = kernel.libc.syscall(number, *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def secret(name):
    """A canary for a file or folder of the instructor's."""

    def canary(job):
        kind, path = job["secrets"][name]
        if kind == "file":
            return refused(
                (f"read {path}", lambda: _read(path)),
                (f"write {path}", lambda: open(path, "r+b").close()),
            )
        return refused(
            (f"list {path}", lambda: os.listdir(path)),
            (f"make a file in {path}", lambda: _make(os.path.join(path, "canary"))),
        )

    return canary


def _read(path):
    with open(path, "rb") as file:
        file.read(1)


def _make(path):
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    os.unlink(path)


def environment(job):
    """Nothing of the starter's environment is here or can be read."""
    for name, value in os.environ.items():
        if job["planted"] in value:
            raise Allowed(f"${name} is the starter's")
    return refused(
        *((path, lambda path=path: _read(path))
          for path in ("/proc/self/environ", f"/proc/{job['judge']}/environ"))
    )  # fmt: skip


def outside(job):
    """No file can be made beside the scratch folder, or where others find it."""
    places = [job["own"] + ".new", os.path.join(job["scratch"], "new"), "/tmp/canary"]
    places += ["/canary", "/dev/shm/canary", os.path.join(sys.prefix, "canary.pth")]
    return refused(*((place, lambda place=place: _make(place)) for place in places))


def own_file(attempt):
    """A canary for what may not be done to a file of the learner's own user."""

    def canary(job):
        return refused((job["own"], lambda: attempt(job["own"])))

    return canary


def _take(path):
    os.rename(path, "taken")
    os.rename("taken", path)


def in_scratch(attempt):
    """The same for a file of its scratch folder: the call itself is refused."""

    def canary(job):
        with open("here", "w"):
            return refused(("a file in the scratch folder", lambda: attempt("here")))

    return canary


def sockets(job):
    """No socket of any family, nor a pair of them."""
    attempts = [
        (name, lambda kind=kind: socket.socket(*kind).close())
        for name, kind in FAMILIES.items()
    ]
    return refused(*attempts, ("socketpair", socket.socketpair))


def signals(job):
    """No signal reaches the judge, nor the parent, by any way of sending one."""
    attempts = []
    for pid in (job["judge"], os.getppid(), -1):
        attempts.append((f"kill {pid}", lambda pid=pid: os.kill(pid, 0)))
        arguments = (pid, pid, 0)
        attempts.append((f"tgkill {pid}", lambda a=arguments: call("tgkill", *a)))
        attempts.append((f"pidfd {pid}", lambda pid=pid: call("pidfd_open", pid)))
    setown, setsig = 8, 10
    with open(os.devnull) as file:
        import fcntl

        attempts += [
            ("F_SETOWN", lambda: fcntl.fcntl(file, setown, job["judge"])),
            ("F_SETSIG", lambda: fcntl.fcntl(file, setsig, signal.SIGKILL)),
        ]
        return refused(*attempts)


def memory(job):
    """The judge's memory is neither read nor traced, nor its limits and place set."""
    import resource

    judge, attempts = job["judge"], []
    for pid in (judge, os.getppid()):
        seize = (0x4206, pid, 0, 0)  # PTRACE_SEIZE stops nobody
        limit = (pid, resource.RLIMIT_CPU)
        attempts += [
            (f"ptrace {pid}", lambda a=seize: call("ptrace", *a)),
            (f"/proc/{pid}/mem", lambda pid=pid: _read(f"/proc/{pid}/mem")),
            (f"/proc/{pid}/maps", lambda pid=pid: _read(f"/proc/{pid}/maps")),
            (f"limits of {pid}", lambda a=limit: resource.prlimit(*a)),
            (f"cores of {pid}", lambda pid=pid: os.sched_setaffinity(pid, {0})),
            (f"priority of {pid}", lambda pid=pid: os.setpriority(0, pid, 19)),
        ]
    return refused(*attempts)


def processes(job):
    """No other process is listed."""
    return refused(("list /proc", lambda: os.listdir("/proc")))


def programs(job):
    """No program can be started."""
    child = os.fork()
    if not child:
        try:
            os.execv(sys.executable, [sys.executable, "-I", "-c", ""])
        except OSError as error:
            os._exit(error.errno)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 0:
        raise Allowed(sys.executable)
    return errno.errorcode.get(code, str(code))


def system_calls(job):
    """Each of CALLS fails; the filter, not an argument, is what refuses."""
    seen = []
    for name in CALLS:
        try:
            call(name)
        except OSError as error:
            if error.errno != errno.EPERM:
                raise Allowed(f"{name} ({error.strerror})") from None
            seen.append(name)
        else:
            raise Allowed(name)
    return " ".join(seen)


def namespaces(job):
    """No new namespace, by unshare, clone or clone3."""
    new_user = kernel.CLONE_NEWUSER
    return refused(
        ("unshare", lambda: call("unshare", new_user)),
        ("clone", lambda: _fork_with(new_user | signal.SIGCHLD)),
        ("clone3", lambda: call("clone3", bytes(88), 88)),
    )


def _fork_with(flags):
    if call("clone", flags) == 0:
        os._exit(0)
    os.wait()


def uncounted_memory(job):
    """No memory that the limit on data does not count."""
    shared = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS
    Path("mapped").write_bytes(bytes(4096))
    file = os.open("mapped", os.O_RDWR)
    grows = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | kernel.GROWS_DOWN
    return refused(
        ("shared anonymous", lambda: mmap.mmap(-1, MIB, flags=shared)),
        ("a shared file", lambda: mmap.mmap(file, 4096)),
        ("a second stack", lambda: mmap.mmap(-1, MIB, flags=grows)),
        ("a file in memory", lambda: os.memfd_create("canary")),
        ("/dev/zero", lambda: _read("/dev/zero")),
    )


def foreign_abi(job):
    """A call by the rules of 32-bit programs ends the process that makes it."""
    if platform.machine() != "x86_64":
        return "no other rules on this machine"
    child = os.fork()
    if not child:
        # mov eax, 20 (getpid); int 0x80; ret
        code = bytes.fromhex("b814000000cd80c3")
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        page = mmap.mmap(-1, 4096, flags, mmap.PROT_READ | mmap.PROT_WRITE | 4)
        page.write(code)
        place = ctypes.addressof(ctypes.c_char.from_buffer(page))
        ctypes.CFUNCTYPE(ctypes.c_long)(place)()
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (-signal.SIGSYS, -signal.SIGSEGV):
        raise Allowed(f"ended with {code}")
    return signal.Signals(-code).name


def descriptors(job):
    """Nothing is open but the standard streams and the channel."""
    left = []
    for fd in range(3, 4096):
        with contextlib.suppress(OSError):
            os.fstat(fd)
            left.append(fd)
    if len(left) > 1:
        raise Allowed(f"{len(left)} descriptors")
    return "one channel"


CANARIES = {
    "gradebook": secret("gradebook"),
    "solutions": secret("solutions"),
    "course": secret("course"),
    "home": secret("home"),
    "environment": environment,
    "descriptors": descriptors,
    "write outside": outside,
    "a file of the same user": secret("own"),
    "truncate": own_file(lambda path: os.truncate(path, 0)),
    "chmod": own_file(lambda path: os.chmod(path, 0o600)),
    "chown": own_file(lambda path: os.chown(path, os.getuid(), -1)),
    "utime": own_file(lambda path: os.utime(path)),
    "xattr": own_file(lambda path: os.setxattr(path, "user.canary", b"")),
    "link": own_file(lambda path: os.link(path, "link")),
    "rename": own_file(_take),
    "unlink": own_file(os.unlink),
    "chmod call": in_scratch(lambda path: os.chmod(path, 0o600)),
    "chown call": in_scratch(lambda path: os.chown(path, os.getuid(), -1)),
    "utime call": in_scratch(os.utime),
    "xattr call": in_scratch(lambda path: os.setxattr(path, "user.canary", b"")),
    "symlink": in_scratch(lambda path: os.symlink("/", "symlink")),
    "fifo": in_scratch(lambda path: os.mkfifo("fifo")),
    "sockets": sockets,
    "signals": signals,
    "memory": memory,
    "processes": processes,
    "programs": programs,
    "system calls": system_calls,
    "namespaces": namespaces,
    "uncounted memory": uncounted_memory,
    "foreign calls": foreign_abi,
}


def memory_bomb():
    """One process that takes more than it may."""
    held = []
    try:
        for _ in range(256):
            held.append(b"x" * MIB)
    except MemoryError:
        return f"denied: MemoryError after {len(held)} MiB"
    return f"ALLOWED: {len(held)} MiB"


def memory_swarm():
    """Processes that each stay below the limit and together exceed it."""
    for _ in range(4):
        if not os.fork():
            held = b"x" * (48 * MIB)
            time.sleep(5)
            os._exit(len(held) & 1)
    for _ in range(4):
        os.wait()
    return "ALLOWED: 192 MiB in four processes"


def process_bomb():
    """Processes until no more can be made, each of which waits to be killed."""
    for made in range(200):
        try:
            child = os.fork()
        except OSError as error:
            return f"denied: {errno.errorcode[error.errno]} after {made} processes"
        if not child:
            signal.pause()
    return "ALLOWED: 200 processes"


def thread_bomb():
    """Threads, which count as processes do."""
    gate = threading.Event()
    try:
        for made in range(200):  # noqa: B007
            threading.Thread(target=gate.wait, daemon=True).start()
    except RuntimeError:
        return f"denied: RuntimeError after {made} threads"
    return "ALLOWED: 200 threads"


def file_bomb():
    """A file that is larger than it may be, also if it is full of holes."""
    os.close(os.open("holes", os.O_CREAT | os.O_WRONLY))
    said = refused(
        ("1 GiB of holes", lambda: os.truncate("holes", 2**30)),
        ("20 MiB", lambda: Path("large").write_bytes(bytes(20 * MIB))),
    )
    return f"denied: {said}"


def disk_bomb():
    """Files that are small and together too large."""
    for made in range(40):
        try:
            Path(f"part{made}").write_bytes(bytes(MIB))
        except OSError as error:
            return f"denied: {errno.errorcode[error.errno]} after {made} MiB"
    time.sleep(5)
    return "ALLOWED: 40 MiB"


def hidden_bomb():
    """Files that are removed while they are open."""
    held = []
    for made in range(40):
        try:
            held.append(os.open("hidden", os.O_CREAT | os.O_RDWR, 0o600))
            os.unlink("hidden")
            os.write(held[-1], bytes(MIB))
        except OSError as error:
            return f"denied: {errno.errorcode[error.errno]} after {made} MiB"
    time.sleep(5)
    return "ALLOWED: 40 MiB"


def inode_bomb():
    """More files than there may be."""
    for made in range(2000):
        try:
            os.close(os.open(f"empty{made}", os.O_CREAT | os.O_WRONLY))
        except OSError as error:
            return f"denied: {errno.errorcode[error.errno]} after {made} files"
    time.sleep(5)
    return "ALLOWED: 2000 files"


# Each in a process of its own, with bounds small enough to be harmless.
BOMBS = {
    "memory bomb": ({"memory": 64 * MIB}, memory_bomb),
    "memory swarm": ({"memory": 64 * MIB}, memory_swarm),
    "process bomb": ({"processes": 16}, process_bomb),
    "thread bomb": ({"processes": 16}, thread_bomb),
    "file bomb": ({"scratch": 8 * MIB}, file_bomb),
    "disk bomb": ({"scratch": 8 * MIB}, disk_bomb),
    "hidden bomb": ({"scratch": 8 * MIB}, hidden_bomb),
    "inode bomb": ({"files": 100}, inode_bomb),
}


if __name__ == "__main__":
    main()
