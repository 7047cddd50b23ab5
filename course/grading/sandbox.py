"""The cage of a learner's process on Linux, without root and without C.

    judge ── Popen(command([...]), preexec_fn=preexec) ──────────────────────────────┐
                 supervisor  (the process Popen started; trusted, holds no channel)   │
                 zygote      prepare() returned here; libraries are loaded here        │
                 learner     enter(policy) was called here; from here on hostile       │
    judge ── kill_all(popen.pid): nothing of the above is left ──────────────────────┘

`prepare` is the zygote's first act, before it imports torch. It splits off the
supervisor, drops root, and goes into namespaces of its own where the machine lets it.
`enter` is the last act of trusted code in a learner's process; it cannot be undone.
After each submission the zygote reaps the learner's process and calls `sweep`.

Layers: resource limits, no_new_privs, closed descriptors, an empty environment;
Landlock (paths, TCP, signals); a seccomp filter of what may be called; and where
allowed user, mount, process, network and IPC namespaces with a small tmpfs as scratch.
The supervisor ends the learner's processes when together they hold too much memory (or,
without a tmpfs, too much scratch), and everything when the judge is gone.

It trusts the kernel, the interpreter and its libraries, and the code that runs before
`enter`. Its parts are `sandbox_kernel` (limits, Landlock, seccomp), `sandbox_spaces`
(users, namespaces, mounts), `sandbox_processes` (what /proc says) and
`sandbox_supervisor`. They use the standard library only and nothing else of the course,
since a zygote reads them from a folder that holds little more.
"""

import contextlib
import ctypes
import functools
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from course.grading import sandbox_kernel as kernel
from course.grading import sandbox_processes as processes
from course.grading import sandbox_spaces as spaces
from course.grading import sandbox_supervisor as supervisor
from course.grading.sandbox_kernel import MIB, SandboxError
from course.grading.sandbox_spaces import libraries

LARGE, MADV_COLLAPSE = 2 * MIB, 25  # from Linux 6.1
PATIENCE = 1.0  # seconds in which a process that closed its channels must end


@dataclass(frozen=True)
class Policy:
    """What one learner's process may use.

    A file that must be absent may not lie below a path of `read`: give a copy of the
    folder without it. Where `prepare` went into namespaces, every path of `read` lies
    below one of those that `prepare` was given.
    """

    read: tuple[Path, ...]  # folders (with all below) and files it may read
    write: Path  # its scratch folder, made by `enter` and then the working directory
    memory: int = 2048 * MIB  # bytes above the zygote's, for all its processes together
    files: int = 1000  # files in the scratch folder
    seconds: int = 60  # of processor time, each process; wall time is the judge's
    processes: int = 64  # with threads
    uid: int | None = None  # checked against the uid in force, where given
    scratch: int = 256 * MIB  # bytes in the scratch folder, and of one file


@dataclass
class _Zygote:
    """What `prepare` leaves for `enter`."""

    namespaces: bool
    status: int  # /proc/self/status of the zygote, open
    maps: int  # /proc/self/maps
    limits: int  # the pipe to the supervisor
    reasons: int  # the pipe from it


_zygote: _Zygote | None = None


# In the judge


def command(python: list[str]) -> list[str]:
    """The command line that starts the zygote `python` (interpreter, its arguments).

    Nothing has to stand before it: `prepare` does what is needed from inside. Start it
    with an environment of your own (`env={"OMP_NUM_THREADS": "1", ...}`), never the
    instructor's, and with `close_fds=True`.
    """
    return [python[0], "-I", *(part for part in python[1:] if part != "-I")]


def refusal() -> str | None:
    """Why learners' code may not even run without a sandbox here; None if it may."""
    if sys.platform == "linux" and os.geteuid() != 0:
        return None
    return (
        "without a sandbox learners' code runs on Linux only, and never as root: grade "
        "as an ordinary user, or in a container whose sandbox `course doctor` approves"
    )


def preexec() -> None:
    """For `Popen(preexec_fn=...)`: a session of its own, so that no Ctrl-C reaches it
    and it has no terminal.
    """
    os.setsid()


def kill_all(pid: int) -> None:
    """End the supervisor `pid` and everything below it; no descendant is left.

    Afterwards reap it with `Popen.wait()`.

    Raises:
        SandboxError: something was still alive after ten seconds.
    """
    processes.kill_below(pid)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def level() -> str:
    """How well learners' processes are shut in here, tried out once a process.

    "full": everything below, and in namespaces nothing else exists. "base": every
    canary was denied. "weak": a layer is missing or a canary was not denied; `report`
    says which. "none": there is no sandbox, or torch does not work in it; then neither
    `prepare` nor `enter` may be called.
    """
    return report()["level"]


@functools.cache
def report() -> dict:
    """What was tried in throw-away processes, and what came of it.

    {"level", "layers": {"limits" | "landlock" | "seccomp" | "namespaces": what is
    there}, "canaries": {name: "denied: ..." | "ALLOWED: ..." | "failed: ..."},
    "failed": [the names of those that were not denied, or "gradient"], "error": why
    there are no canaries}. It takes some seconds, most of them to import torch.
    """
    abi, machine = kernel.landlock_abi(), platform.machine()
    layers = {
        "limits": "in force" if sys.platform == "linux" else "absent",
        "landlock": f"version {abi}" if abi else "absent",
        "seccomp": "in force" if machine in kernel.MACHINES else "absent",
        "namespaces": "absent",
    }
    said = {"level": "none", "layers": layers, "canaries": {}, "failed": []}
    try:
        weak = abi < kernel.LEAST_LANDLOCK or machine not in kernel.MACHINES
        found = try_out(weak=weak)
    except SandboxError as error:
        return said | {"error": str(error)}
    layers["namespaces"] = "in force" if found["namespaces"] else "absent"
    canaries = found["canaries"]
    failed = [
        name
        for name, what in canaries.items()
        if not what.startswith(("denied", "works"))
    ]
    if canaries.get("gradient") != "works":
        reached = "none"
    elif failed or weak:
        reached = "weak"
    else:
        reached = "full" if found["namespaces"] else "base"
    return said | {"level": reached, "canaries": canaries, "failed": failed}


def try_out(
    *, namespaces: bool = True, weak: bool = False, without: Iterable[str] = ()
) -> dict:
    """Let `sandbox_probe` try everything in processes of its own; what it found.

    `without` leaves out layers ("landlock", "seccomp", "limit"): for the tests, which
    show that the canaries notice.

    Raises:
        SandboxError: it did not come to an end.
    """
    from course.paths import root, state

    uid = spaces.free_uid(None) if os.geteuid() == 0 else os.getuid()
    with tempfile.TemporaryDirectory(prefix="canary-") as folder:
        os.chmod(folder, 0o711)
        scratch = Path(folder, "scratch")
        scratch.mkdir()
        # Of the learner's own user, so that not the owner but the sandbox refuses.
        own = Path(folder, "own")
        own.write_text("canary")
        if os.geteuid() == 0:
            os.chown(own, uid, uid)
        secrets = {"gradebook": state(), "solutions": root() / "solutions"}
        secrets |= {"course": root(), "home": Path.home(), "own": own}
        job = {
            "judge": os.getpid(),
            "uid": uid,
            "scratch": str(scratch),
            "namespaces": namespaces,
            "weak": weak,
            "without": list(without),
            "own": str(own),
            "secrets": {
                name: ["file" if path.is_file() else "folder", str(path)]
                for name, path in secrets.items()
            },
            "planted": "canary-of-the-environment",
        }
        probe = Path(__file__).with_name("sandbox_probe.py")
        environment = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        process = subprocess.Popen(
            command([sys.executable, str(probe)]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment | {"CANARY": job["planted"]},
            start_new_session=True,
        )
        try:
            out, err = process.communicate(json.dumps(job).encode(), timeout=120)
        except subprocess.TimeoutExpired as error:
            raise SandboxError("the canaries did not come to an end") from error
        finally:
            kill_all(process.pid)
            process.wait()
        if process.returncode:
            *_, last = err.decode(errors="replace").strip().splitlines() or ["silence"]
            raise SandboxError(f"the canaries broke off: {last}")
        found = json.loads(out)
        intact = own.exists() and own.read_text() == "canary"
        found["canaries"]["intact"] = "denied: as it was" if intact else "ALLOWED"
        return found


# In the zygote


def prepare(
    read: Iterable[Path] = (),
    scratch: Path | None = None,
    uid: int | None = None,
    *,
    namespaces: bool = True,
    bare: bool = False,
) -> None:
    """Become a zygote: unprivileged, in namespaces where allowed, supervised.

    Call it before anything starts a thread. It returns in another process than it was
    called in: the caller's own becomes the supervisor, and ends as the zygote ends.

    Args:
        read: what learners' processes may be allowed to read, beside `libraries()`.
        scratch: an existing folder under which the scratch folders of `enter` will lie.
            Needed where there are no namespaces. As root it is given to the new user.
        uid: whom to become when started as root; by default a number of its own.
        namespaces: False does without them though the machine allows them.
        bare: put up no layer at all, here and in `enter`; only the supervisor stays.
            For an instructor who said so in words, where nothing else works.

    Raises:
        SandboxError: not Linux, or root cannot be given up, or is asked to be `bare`.
    """
    global _zygote
    if sys.platform != "linux":
        raise SandboxError(f"there is no sandbox for {sys.platform}")
    read = spaces.outermost([*libraries(), *map(Path, read)])
    dropping = os.geteuid() == 0 or os.getuid() == 0
    if bare and dropping:
        raise SandboxError("root runs no learner's code without a sandbox")
    uid = spaces.free_uid(uid) if dropping else os.getuid()
    if dropping and scratch:
        os.chown(scratch, uid, uid)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    reading, limits = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    reasons, telling = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    above, parent = os.getpid(), os.getppid()
    child = os.fork()
    if child:
        supervisor.supervise(child, parent, reading, telling)
    os.close(reading)
    os.close(telling)
    with contextlib.suppress(OSError):  # if memory is short, this goes first
        Path("/proc/self/oom_score_adj").write_text("500")
    if dropping:
        spaces.drop(uid, read, [Path(scratch)] if scratch else [])
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    namespaces = namespaces and not bare
    isolated = namespaces and processes.succeeds(
        lambda: spaces.isolate(read, test=True)
    )
    if isolated:
        processes.die_with(above)
        status, maps = spaces.isolate(read)
    else:
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        status, maps = processes.own_files()
        processes.die_with(above)
        spaces.check_readable(read)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # nobody of the same user may look into it
    _zygote = _Zygote(isolated, status, maps, limits, reasons)


def sweep(write: Path | None = None) -> None:
    """Kill and reap everything below the zygote, and empty the scratch folder `write`.

    For the zygote, after a submission. Reap the learner's own process first if its
    status is wanted.

    Raises:
        SandboxError: something was still alive after ten seconds.
    """
    if _zygote is None:
        raise SandboxError("sweep() before prepare()")
    if _zygote.namespaces:
        end = time.monotonic() + 10
        while True:
            # From the first process of a namespace this means all others, at once.
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                break
            if time.monotonic() > end:
                raise SandboxError("a learner's process does not end")
            time.sleep(0.001)
    else:
        processes.kill_below(os.getpid(), reap=True)
    if write is not None:
        spaces.remove(Path(write))


def collapse() -> None:
    """Move the zygote's own memory to large pages, where the kernel does that: a fork
    then copies, and its end frees, a fraction of the page tables.
    """
    os.lseek(_zygote.maps, 0, os.SEEK_SET)
    with open(_zygote.maps, closefd=False) as file:
        areas = [line.split() for line in file]
    for area, mode, _, _, inode, *_ in areas:
        first, last = (int(number, 16) for number in area.split("-"))
        if mode == "rw-p" and inode == "0":
            for place in range(-(-first // LARGE) * LARGE, last - LARGE + 1, LARGE):
                # Where it is refused, the pages stay small and all else is the same.
                whole = ctypes.c_void_p(place), ctypes.c_size_t(LARGE)
                kernel.libc.madvise(*whole, MADV_COLLAPSE)


def reason(pid: int, gone: bool = False) -> str | None:
    """What a learner's processes, of which `pid` was the first, used too much of, and
    were ended for: "memory", "scratch", or "seconds" of processor time; else None.

    Whether it was processor time can be seen if the first is `gone`, or about to be.
    Asking clears what was said of others.
    """
    why = supervisor.reason(_zygote.reasons, pid)
    end = time.monotonic() + PATIENCE
    while why is None and gone and time.monotonic() < end:
        # Without WNOWAIT it would be reaped, and its number be free for another one.
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is not None:
            spent = (ended.si_code, ended.si_status) == (os.CLD_KILLED, signal.SIGXCPU)
            return "seconds" if spent else None
        time.sleep(0.001)
    return why


def isolated() -> bool:
    """Whether this zygote is in namespaces of its own."""
    return _zygote is not None and _zygote.namespaces


# In the learner's process


def enter(
    policy: Policy,
    keep: Iterable[int] = (),
    *,
    weak: bool = False,
    bare: bool = False,
) -> None:
    """Shut this process in, for good. Call it after the fork, before learner code.

    Descriptors other than 0, 1, 2 and `keep` are closed; the environment holds the
    scratch folder as HOME and TMPDIR and nothing else; the working directory is the
    scratch folder. The process must have one thread.

    What then still works on a channel in `keep`: read, write, send and recv without
    an address, poll. Not sendmsg or recvmsg: no descriptor is ever passed.

    With `weak`, a kernel that lacks Landlock, or a machine without a filter, is put up
    with: for an instructor who said so in words. With `bare` the process is shut in by
    nothing.

    Raises:
        SandboxError: a layer could not be put up. Then run nothing in this process.
    """
    if _zygote is None:
        raise SandboxError("enter() before prepare()")
    if 0 in (os.getuid(), os.geteuid()):
        raise SandboxError("root is not shut in by limits: prepare() drops it")
    if policy.uid is not None and policy.uid != os.getuid():
        raise SandboxError(f"running as uid {os.getuid()}, not {policy.uid}")
    zygote, write = _zygote, Path(policy.write)
    with contextlib.suppress(PermissionError):  # it leads a session already
        os.setsid()
    base = processes.data_size(zygote.status)
    tasks = 2 if zygote.namespaces or bare else processes.tasks_of(os.getuid())
    if zygote.namespaces:
        spaces.own_scratch(write, policy.scratch, policy.files)
    else:
        write.mkdir(parents=True, exist_ok=True, mode=0o700)
    supervisor.announce(zygote.limits, policy, zygote.namespaces)
    os.chdir(write)
    os.umask(0o077)
    kernel.drop_capabilities()
    processes.die_with(os.getppid())
    if not zygote.namespaces:
        # The supervisor looks at what it holds open.
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
    processes.close_but({0, 1, 2, *keep})
    os.environ.clear()
    os.environ |= {"HOME": str(write), "TMPDIR": str(write)}
    tempfile.tempdir = None
    if bare:
        return
    kernel.limit(policy, base, tasks)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    abi = kernel.landlock_abi()
    if abi >= kernel.LEAST_LANDLOCK or (weak and abi):
        kernel.landlock(policy.read, write)
    elif not weak:
        raise SandboxError(
            f"Landlock has version {abi} here, {kernel.LEAST_LANDLOCK} is needed"
        )
    if platform.machine() in kernel.MACHINES:
        kernel.seccomp(os.getpid())
    elif not weak:
        raise SandboxError(f"there is no seccomp filter for {platform.machine()}")
