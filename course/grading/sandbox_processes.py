"""Processes as /proc shows them: who came of whom, what they hold, and their end."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection

from course.grading import sandbox_kernel as kernel
from course.grading.sandbox_kernel import SandboxError


def kill_below(top: int, reap: bool = False) -> None:
    """Kill every descendant of `top`; with `reap`, of this process, whose status too.

    A process that is killed can fork no more, so each round leaves only what was forked
    while it was looking; limits on processes bound that.

    Raises:
        SandboxError: something was still alive after ten seconds.
    """
    end = time.monotonic() + 10
    while True:
        if reap:
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
        found = below(top, parents())
        left = [pid for pid in found if not is_dead(pid)]
        if not left and (not reap or not found):
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > end:
            raise SandboxError(f"processes {left} do not end")
        time.sleep(0.002)


def parents() -> dict[int, int]:
    """The parent of every process that is visible here."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = _stat(name)
            if fields:
                found[int(name)] = int(fields[1])
    return found


def below(top: int, parents: dict[int, int]) -> list[int]:
    """Every descendant of `top`."""
    children = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found = [top]
    for pid in found:
        found += children.get(pid, ())
    return found[1:]


def is_dead(pid: int) -> bool:
    """Whether a process is gone, or waits to be reaped."""
    fields = _stat(pid)
    return fields is None or fields[0] in (b"Z", b"X")


def _stat(pid):
    """State, parent and so on of a process; None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def anonymous(pid: int) -> int:
    """Bytes of memory that a process does not share with a file."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            _, resident, shared, *_ = map(int, file.read().split())
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


def tasks_of(uid: int) -> int:
    """How many threads this user runs already: what NPROC counts."""
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            lines = {line.split(":")[0]: line.split() for line in status_lines(name)}
            if lines.get("Uid", (0, -1))[1] == str(uid):
                count += int(lines["Threads"][1])
    return count


def status_lines(pid: int | str) -> list[str]:
    """The lines of /proc/PID/status; none if the process is gone."""
    try:
        with open(f"/proc/{pid}/status") as file:
            return file.read().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return []


def own_files() -> tuple[int, int]:
    """What the kernel says of this process, open: in namespaces there is no /proc."""
    flags = os.O_RDONLY | os.O_CLOEXEC
    status, maps = (os.open(f"/proc/self/{name}", flags) for name in ("status", "maps"))
    return status, maps


def data_size(status: int) -> int:
    """Bytes of data of the zygote, as RLIMIT_DATA counts them, by its open `status`."""
    for line in os.pread(status, 65536, 0).splitlines():
        if line.startswith(b"VmData:"):
            return int(line.split()[1]) * 1024
    raise SandboxError("the kernel does not say how much memory the zygote holds")


def die_with(parent: int) -> None:
    """Be killed when the parent is."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def end_like(status: int) -> None:
    """End this process as another one ended."""
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def succeeds(function: Callable[[], object]) -> bool:
    """Whether `function` ends well in a child of its own."""
    child = os.fork()
    if not child:
        try:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 2)
            function()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def close_but(keep: Collection[int]) -> None:
    """Close every descriptor that is not in `keep`."""
    last = -1
    for fd in sorted(keep):
        if fd > last + 1:  # closerange(0, 0) would close them all
            os.closerange(last + 1, fd)
        last = fd
    import resource

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = 2**20 if most == resource.RLIM_INFINITY else most
    os.closerange(last + 1, most)
