"""The sandbox, tried as root (dropped) and as an ordinary user, with namespaces and
without, and with each layer left out in turn.
"""

import errno
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from course.grading import sandbox, sandbox_calls, sandbox_probe
from course.grading import sandbox_kernel as kernel
from course.grading import sandbox_processes as processes
from course.grading import sandbox_spaces as spaces
from course.paths import root

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or kernel.landlock_abi() < kernel.LEAST_LANDLOCK,
    reason=f"needs a Linux with Landlock {kernel.LEAST_LANDLOCK}",
)

USER = 61_234
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
PRELUDE = f"""
import os, signal, sys, time
from pathlib import Path
sys.path.insert(0, {str(root())!r})
from course.grading import sandbox, sandbox_kernel, sandbox_spaces
del sys.path[0]

def learner(function, read=(), **bounds):
    child = os.fork()
    if not child:
        try:
            read = (*sandbox.libraries(), *read)
            sandbox.enter(sandbox.Policy(read, WRITE, **bounds), keep=KEEP)
            function()
        finally:
            sys.stdout.flush()
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def swarm():
    for _ in range(5):
        if not os.fork():
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                time.sleep(1)

KEEP = []
"""
NAMESPACES = [pytest.param(True, id="namespaces"), pytest.param(False, id="base")]


def as_user(command: list[str], home: Path) -> list[str]:
    """`command` as an ordinary user. Root becomes one who owns `home`, and who sees the
    interpreter where only root could: then in a mount namespace of its own.
    """
    if os.geteuid():
        return command
    for tool in ("unshare", "setpriv"):
        if not shutil.which(tool):
            pytest.skip(f"root needs {tool} to become an ordinary user")
    home.mkdir(exist_ok=True)
    os.chown(home, USER, USER)
    for folder in [home, *home.parents][:-1]:
        if folder.stat().st_uid == 0 and not folder.stat().st_mode & 1:
            folder.chmod(folder.stat().st_mode | 0o011)
    base = Path(sys.base_prefix).resolve()
    closed = [one for one in reversed(base.parents) if not one.stat().st_mode & 1]
    script = ""
    if closed:
        script = f"""
            mkdir -p {home}/base; mount --bind {base} {home}/base
            mount -t tmpfs -o mode=755 tmpfs {closed[0]}; mkdir -p {base}
            mount --bind {home}/base {base}; umount {home}/base
        """
    drop = f"setpriv --reuid {USER} --regid {USER} --clear-groups"
    script += f'exec {drop} env HOME={home} "$@"'
    return ["unshare", "-m", "sh", "-ec", script, "sh", *command]


@pytest.fixture(params=["started by root", "ordinary user"])
def start(request, tmp_path):
    """A function that starts a zygote from its source, as the one or the other."""
    if request.param == "started by root" and os.geteuid():
        pytest.skip("not root")
    started = []

    def start(source, namespaces=True, read=(), before="", **popen):
        scratch = tmp_path / f"scratch{len(started)}"
        scratch.mkdir()
        script = tmp_path / f"zygote{len(started)}.py"
        script.write_text(
            f"{PRELUDE}\nWRITE = Path({str(scratch / 'write')!r})\n"
            f"{before}\nsandbox.prepare({[str(path) for path in read]}, "
            f"{str(scratch)!r}, namespaces={namespaces})\n" + textwrap.dedent(source)
        )
        command = sandbox.command([sys.executable, "-u", str(script)])
        if request.param == "ordinary user":
            if not os.geteuid():
                os.chown(scratch, USER, USER)
            command = as_user(command, tmp_path / "home")
        popen = {"stdout": subprocess.PIPE, "env": ENVIRONMENT} | popen
        popen["env"] = popen["env"] | {"PATH": os.environ["PATH"]}
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, start_new_session=True, **popen
        )
        started.append(process)
        return process

    yield start
    for process in started:
        sandbox.kill_all(process.pid)
        process.wait()


def said(process) -> str:
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return out.decode()


def descendants(pid: int) -> list[int]:
    return processes.below(pid, processes.parents())


TRY_OUT = """
import json, sys
from course.grading import sandbox
found = sandbox.try_out(namespaces={namespaces}, without={without})
print(json.dumps(found))
"""


def canaries(user: str, home: Path, namespaces: bool, without=()) -> dict:
    """What the canaries say, as each kind of user."""
    home.mkdir(exist_ok=True)
    source = TRY_OUT.format(namespaces=namespaces, without=list(without))
    command = [sys.executable, "-c", source]
    environment = os.environ | {"COURSE_STATE": str(home), "HOME": str(home)}
    if user == "ordinary user":
        command = as_user(command, home)
    elif os.geteuid():
        pytest.skip("not root")
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=root()
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


USERS = ["started by root", "ordinary user"]


@pytest.mark.parametrize("namespaces", NAMESPACES)
@pytest.mark.parametrize("user", USERS)
def test_every_canary_is_denied_and_torch_works(user, namespaces, tmp_path):
    found = canaries(user, tmp_path / "home", namespaces)
    if namespaces and not found["namespaces"]:
        pytest.skip("this machine allows an ordinary user no namespaces")
    assert found["namespaces"] is namespaces
    assert found["uid"] != 0
    said = found["canaries"]
    assert said.pop("gradient") == "works"
    assert set(said) == {*sandbox_probe.CANARIES, *sandbox_probe.BOMBS, "intact"}
    assert {name: what for name, what in said.items() if what[:7] != "denied:"} == {}


@pytest.mark.parametrize(
    ("layer", "noticed"),
    [
        (
            "seccomp",
            "chmod, chown, utime, xattr, chmod call, chown call, utime call, "
            "xattr call, sockets, signals, memory, system calls, namespaces, "
            "uncounted memory, foreign calls",
        ),
        (
            "landlock",
            "gradebook, solutions, course, home, write outside, truncate, unlink, "
            "rename, link, a file of the same user, processes, intact",
        ),
        ("limit", "process bomb, thread bomb, file bomb"),
    ],
)
def test_canaries_notice_a_layer_that_is_missing(layer, noticed, tmp_path):
    found = canaries("ordinary user", tmp_path / "home", False, [layer])
    allowed = {
        name for name, what in found["canaries"].items() if what.startswith("ALLOWED")
    }
    assert set(noticed.split(", ")) - allowed == set()


@pytest.mark.parametrize("namespaces", NAMESPACES)
def test_sweep_leaves_nothing_of_a_submission(start, namespaces):
    process = start(
        """
        from pathlib import Path

        def leave():
            swarm()
            Path("file").write_text("left")
            for depth in range(40):
                os.mkdir("x" * 200)
                os.chdir("x" * 200)
            os.umask(0o777)
            os.mkdir("closed")

        print(learner(leave))
        sandbox.sweep(WRITE)
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            print("none left")
        print(WRITE.exists())
        learner(lambda: print(os.listdir(), flush=True))
        """,
        namespaces,
    )
    assert said(process).split("\n") == ["0", "none left", "False", "[]", ""]


@pytest.mark.parametrize("namespaces", NAMESPACES)
def test_a_judge_that_gives_up_leaves_no_process(start, namespaces):
    process = start(
        """
        def stay():
            swarm()
            print("started", flush=True)
            time.sleep(60)
        learner(stay)
        """,
        namespaces,
    )
    assert process.stdout.readline() == b"started\n"
    below = descendants(process.pid)
    assert len(below) >= 7
    sandbox.kill_all(process.pid)
    assert process.wait() in (-signal.SIGKILL, 128 + signal.SIGKILL)
    assert [pid for pid in below if not processes.is_dead(pid)] == []


@pytest.mark.parametrize("namespaces", NAMESPACES)
def test_a_zygote_that_dies_takes_its_learners_along(start, namespaces):
    process = start(
        """
        if not os.fork():
            learner(swarm)
            time.sleep(60)
        time.sleep(0.5)
        os._exit(9)
        """,
        namespaces,
    )
    below = set()
    while process.poll() is None:
        below |= set(descendants(process.pid))
    assert process.returncode == 9
    assert len(below) >= 7
    assert [pid for pid in below if not processes.is_dead(pid)] == []


@pytest.mark.parametrize("namespaces", NAMESPACES)
def test_a_judge_that_is_killed_leaves_no_process(start, namespaces, tmp_path):
    source = """
        def stay():
            swarm()
            print("started", flush=True)
            time.sleep(60)
        learner(stay)
        """
    # The judge of this test is a shell that is killed; it cannot clean up.
    process = start(source, namespaces)
    command = process.args
    sandbox.kill_all(process.pid)
    shell = subprocess.Popen(
        ["sh", "-c", '"$@" & echo $!; wait', "sh", *command],
        stdout=subprocess.PIPE,
        env=ENVIRONMENT | {"PATH": os.environ["PATH"]},
    )
    supervisor = int(shell.stdout.readline())
    assert shell.stdout.readline() == b"started\n"
    below = [supervisor, *descendants(supervisor)]
    shell.kill()
    shell.wait()
    deadline = time.monotonic() + 20
    while [pid for pid in below if not processes.is_dead(pid)]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    shell.stdout.close()


@pytest.mark.parametrize("namespaces", NAMESPACES)
def test_a_fork_bomb_is_bounded_and_swept(start, namespaces):
    process = start(
        """
        def bomb():
            while True:
                try:
                    os.fork()
                except OSError:
                    pass

        child = os.fork()
        if not child:
            learner(bomb, processes=30)
            os._exit(0)
        time.sleep(1)
        sandbox.sweep(WRITE)
        print("swept", flush=True)
        """,
        namespaces,
    )
    most = 0
    while process.poll() is None:
        most = max(most, len(descendants(process.pid)))
    assert said(process) == "swept\n"
    assert 20 < most < 45


@pytest.mark.parametrize("namespaces", NAMESPACES)
def test_processor_time_ends_a_loop_that_ignores_signals(start, namespaces):
    process = start(
        """
        def loop():
            signal.signal(signal.SIGXCPU, signal.SIG_IGN)
            while True:
                pass
        print(learner(loop, seconds=1))
        """,
        namespaces,
    )
    assert said(process) == f"{-signal.SIGKILL}\n"


@pytest.mark.parametrize("namespaces", NAMESPACES)
def test_only_what_is_named_can_be_read(start, namespaces, tmp_path):
    lib = tmp_path / "lib"
    lib.mkdir()
    (lib / "shown.py").write_text("value = 1")
    (tmp_path / "hidden.py").write_text("value = 2")
    for path in (tmp_path, lib):
        path.chmod(0o755)
    source = f"""
        def look():
            sys.path.insert(0, {str(lib)!r})
            import shown
            print(shown.value)
            for path in ({str(lib / "new.py")!r}, {str(tmp_path / "hidden.py")!r}):
                try:
                    open(path, "r" if "hidden" in path else "w")
                except OSError as error:
                    print("refused")
        learner(look, read=[{str(lib)!r}])
    """
    process = start(source, namespaces, read=[lib])
    assert said(process).split() == ["1", "refused", "refused"]


def test_a_channel_that_is_kept_still_works(start):
    process = start(
        """
        import socket
        here, there = socket.socketpair()
        KEEP.append(there.fileno())

        def talk():
            there.sendall(b"data")
            print(there.recv(4))
            for refused in (
                lambda: there.sendto(b"x", "/tmp/socket"),
                lambda: there.sendmsg([b"x"]),
                lambda: here.send(b"x"),
            ):
                try:
                    refused()
                except OSError as error:
                    print(error.strerror)

        here.sendall(b"word")
        print(learner(talk))
        print(here.recv(10))
        """
    )
    assert said(process).splitlines() == [
        "b'word'",
        *["Operation not permitted"] * 2,
        "Bad file descriptor",
        "0",
        "b'data'",
    ]


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("os.abort()", -signal.SIGABRT),
        ("__import__('ctypes').string_at(0)", -signal.SIGSEGV),
        ("os._exit(3)", 3),
    ],
)
def test_a_crash_reads_as_one(start, what, code):
    process = start(f"print(learner(lambda: {what}))")
    assert said(process) == f"{code}\n"


@pytest.mark.parametrize("namespaces", NAMESPACES)
def test_folders_that_hide_their_files_end_the_process(start, namespaces):
    process = start(
        """
        def hide():
            os.umask(0o477)
            os.mkdir("closed")
            time.sleep(3)
            print("not ended")
        print(learner(hide))
        """,
        namespaces,
    )
    # In a tmpfs nothing can be hidden; root sees into every folder.
    assert said(process) in (f"{-signal.SIGKILL}\n", "not ended\n0\n")


def test_without_leave_for_namespaces_there_is_the_base(start):
    process = start(
        """
        print(sandbox.isolated())
        learner(lambda: print(os.listdir(), flush=True))
        """,
        before=(
            "refused = lambda *_, **__: sandbox_kernel.c_call('unshare', -1)\n"
            "sandbox_spaces.isolate = refused"
        ),
    )
    assert said(process) == "False\n[]\n"


def root_without(capability, command):
    if os.geteuid():
        pytest.skip("not root")
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv")
    return ["setpriv", f"--bounding-set=-{capability}", *command]


def test_root_that_may_not_mount_is_dropped_where_the_interpreter_is_open(tmp_path):
    source = "import sys; sys.path.insert(0, sys.argv[1]); "
    source += "from course.grading import sandbox; "
    source += "sandbox.prepare(); import os; print(os.getresuid())"
    command = root_without(
        "sys_admin", [sys.executable, "-I", "-c", source, str(root())]
    )
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    closed = [
        path
        for path in Path(sys.base_prefix).resolve().parents
        if not path.stat().st_mode & 1
    ]
    if closed:
        assert done.returncode == 1
        assert "cannot read" in done.stderr
    else:
        assert done.returncode == 0
        assert "(0," not in done.stdout


def test_root_that_cannot_be_given_up_is_refused():
    source = "import sys; sys.path.insert(0, sys.argv[1]); "
    source += "from course.grading import sandbox; "
    source += "sandbox.prepare(); print('went on')"
    command = root_without("setuid", [sys.executable, "-I", "-c", source, str(root())])
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "root cannot be given up" in done.stderr


def test_root_that_would_stay_root_is_refused():
    with pytest.raises(sandbox.SandboxError, match="name another user"):
        spaces.free_uid(0)


def test_nothing_goes_without_prepare():
    policy = sandbox.Policy((), Path("/nowhere"))
    with pytest.raises(sandbox.SandboxError, match="before prepare"):
        sandbox.enter(policy)
    with pytest.raises(sandbox.SandboxError, match="before prepare"):
        sandbox.sweep()


def test_each_call_is_allowed_bound_or_refused_once():
    tables = [sandbox_calls.FREE, sandbox_calls.BOUND, sandbox_calls.REFUSED]
    names = [name for table in tables for name in table]
    assert len(names) == len(set(names))
    for column in (0, 1):
        numbers = [
            number[column]
            for table in tables
            for number in table.values()
            if number[column] is not None
        ]
        assert len(numbers) == len(set(numbers))


def answer(program: bytes, machine: str, call: str | int, *arguments) -> int | str:
    """What the kernel would make of a call: the program, step by step."""
    column, architecture = kernel.MACHINES[machine]
    tables = sandbox_calls.FREE | sandbox_calls.BOUND | sandbox_calls.REFUSED
    number = tables[call][column] if isinstance(call, str) else call
    arguments = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("=IIQ6Q", number, architecture, 0, *arguments)
    place, value = 0, 0
    for _ in range(5000):
        code, yes, no, operand = struct.unpack_from("=HBBI", program, 8 * place)
        place += 1
        if code == 0x06:
            answers = {0x7FFF0000: "allowed", 0x80000000: "killed"}
            return answers.get(operand, operand & 0xFFFF)
        if code == 0x20:
            (value,) = struct.unpack_from("=I", data, operand)
            continue
        met = {0x15: value == operand, 0x35: value >= operand, 0x45: value & operand}
        place += yes if met[code] else no
    raise AssertionError("the program has no end")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_says_what_it_should_on_both_machines(machine, monkeypatch):
    monkeypatch.setattr(kernel.platform, "machine", lambda: machine)
    program, pid = kernel.seccomp_filter(77), 77
    assert len(program) // 8 < 4096

    def says(*call):
        return answer(program, machine, *call)

    column = kernel.MACHINES[machine][0]
    for table, wanted in (
        (sandbox_calls.FREE, "allowed"),
        (sandbox_calls.REFUSED, errno.EPERM),
    ):
        for name, number in table.items():
            if number[column] is not None:
                assert (name, says(name)) == (name, wanted)
    assert says("clone3") == errno.ENOSYS
    assert says(400_000) == errno.ENOSYS
    assert says("clone", signal.SIGCHLD) == "allowed"
    for flag in (0x20000, 0x8000, *(1 << bit for bit in range(25, 31))):
        assert says("clone", flag | signal.SIGCHLD) == errno.EPERM
    private, shared, anonymous, grows = 2, 1, 0x20, 0x100
    for flags, wanted in (
        (private | anonymous, "allowed"),
        (private, "allowed"),
        (shared, errno.EPERM),
        (3 | anonymous, errno.EPERM),
        (private | anonymous | grows, errno.EPERM),
    ):
        assert says("mmap", 0, 4096, 3, flags, 2**64 - 1) == wanted
    assert says("tgkill", pid, pid, 6) == "allowed"
    assert says("tgkill", pid + 1, pid, 6) == errno.EPERM
    assert says("prlimit64", 0, 1) == "allowed"
    assert says("prlimit64", 1, 1) == errno.EPERM
    assert says("sendto", 3, 1, 1, 0) == "allowed"
    assert says("sendto", 3, 1, 1, 0, 1) == errno.EPERM
    assert says("sendto", 3, 1, 1, 0, 2**32) == errno.EPERM
    for command in (8, 10, 15, 1024, 1031):  # owner, signal, owner, lease, pipe size
        assert says("fcntl", 3, command) == errno.EPERM
    assert says("fcntl", 3, 1030) == "allowed"
    assert says("ioctl", 3, 0x5401) == "allowed"
    assert says("ioctl", 3, 0x5412) == errno.EPERM  # TIOCSTI types for the user
    assert says("prctl", kernel.PR_SET_NAME) == "allowed"
    assert says("prctl", kernel.PR_SET_PDEATHSIG) == errno.EPERM
    # By the rules of another machine.
    other = struct.pack("=I", 0x40000003)
    foreign = program.replace(struct.pack("=I", kernel.MACHINES[machine][1]), other, 1)
    assert answer(foreign, machine, "read") == "killed"
    if machine == "x86_64":
        assert says(0x40000000) == "killed"


def test_an_old_kernel_is_refused_unless_weakness_is_allowed(start):
    process = start(
        """
        for weak in (False, True):
            if not os.fork():
                try:
                    sandbox.enter(sandbox.Policy((), WRITE), weak=weak)
                    print(os.listdir())
                except sandbox.SandboxError as error:
                    print(error)
                os._exit(0)
            os.wait()
        """,
        before="sandbox_kernel.landlock_abi = lambda: 0",
    )
    assert said(process) == "Landlock has version 0 here, 3 is needed\n[]\n"


@pytest.mark.parametrize(
    ("namespaces", "said", "level", "failed"),
    [
        (True, {}, "full", []),
        (False, {}, "base", []),
        (True, {"sockets": "ALLOWED: tcp"}, "weak", ["sockets"]),
        (True, {"sockets": "failed: KeyError"}, "weak", ["sockets"]),
        (True, {"gradient": "failed: RuntimeError"}, "none", ["gradient"]),
    ],
)
def test_the_level_follows_from_the_canaries(
    namespaces, said, level, failed, monkeypatch
):
    good = {"sockets": "denied: EPERM", "gradient": "works"}
    found = {"namespaces": namespaces, "canaries": good | said}
    monkeypatch.setattr(sandbox, "try_out", lambda weak: found)
    report = sandbox.report.__wrapped__()
    assert (report["level"], report["failed"]) == (level, failed)


def test_canaries_that_break_off_mean_no_sandbox(monkeypatch):
    def broken(weak):
        raise sandbox.SandboxError("root cannot be given up")

    monkeypatch.setattr(sandbox, "try_out", broken)
    report = sandbox.report.__wrapped__()
    assert report["level"] == "none"
    assert report["error"] == "root cannot be given up"


def test_level_and_report_agree():
    report = sandbox.report()
    assert sandbox.level() == report["level"]
    assert report["level"] in ("full", "base")
    assert report["failed"] == []
