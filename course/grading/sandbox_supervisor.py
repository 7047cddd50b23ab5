"""The process above a zygote: it ends learners' processes that hold too much, says why,
and ends all when the zygote or the judge is gone.

Two pipes join it to the zygote. Over the first, each learner's process says before it
is shut in what it may hold (`announce`); over the second, the supervisor says whom it
ended and why (`reason`). No learner's code holds an end of either.
"""

import contextlib
import json
import os
import signal
import stat
import traceback

from course.grading import sandbox_processes as processes

TICK = 0.2  # seconds between two looks


def announce(limits: int, policy, namespaces: bool) -> None:
    """Say over the pipe `limits` what this process, with all that will come of it, may
    hold by a `sandbox.Policy`. With namespaces, a tmpfs sees to its scratch folder.
    """
    line = {"memory": policy.memory, "learner": os.getpid()}
    if not namespaces:
        line |= {"write": str(policy.write)}
        line |= {"files": policy.files, "scratch": policy.scratch}
    os.write(limits, json.dumps(line).encode() + b"\n")


def reason(reasons: int, pid: int) -> str | None:
    """Why learners' processes were ended, of which `pid` was the first: "memory" or
    "scratch"; None if they were not. Asking clears what was said of others.
    """
    with contextlib.suppress(BlockingIOError):
        for line in os.read(reasons, 65536).splitlines():
            learner, why = line.decode().split()
            if int(learner) == pid:
                return why
    return None


def supervise(child: int, parent: int, limits: int, reasons: int) -> None:
    """Watch over the zygote `child` until it or the judge, `parent`, ends. Does not
    return. The descriptors are its ends of the two pipes.
    """
    try:
        signals = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        processes.close_but({2, limits, reasons})
        policy, text = None, b""
        while True:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == child:
                    processes.kill_below(os.getpid(), reap=True)
                    processes.end_like(status)
                if not pid:
                    break
            if os.getppid() != parent:
                break
            with contextlib.suppress(BlockingIOError):
                text += os.read(limits, 65536)
            *lines, text = text.split(b"\n")
            if lines:
                policy = json.loads(lines[-1])
            if policy is not None and (why := _exceeds(policy)):
                # Before: whoever sees them end can then ask why.
                with contextlib.suppress(BlockingIOError):
                    os.write(reasons, f"{policy['learner']} {why}\n".encode())
                _kill_learners()
            seen = signal.sigtimedwait(signals, TICK)
            if seen is not None and seen.si_signo != signal.SIGCHLD:
                break
    except BaseException:
        traceback.print_exc()
    finally:
        processes.kill_below(os.getpid(), reap=True)
        os._exit(1)


def _exceeds(policy):
    """Of what the learners' processes hold more than they may: "memory", "scratch"."""
    zygote, *learners = _generations()
    shared = processes.anonymous(zygote) if zygote else 0
    held = sum(max(0, processes.anonymous(pid) - shared) for pid in learners)
    if held > policy["memory"] * 1.05:
        return "memory"
    full = "write" in policy and _overfull(policy, learners)
    return "scratch" if full else None


def _overfull(policy, learners):
    """Whether a scratch folder on disk holds too much, with what was removed from it
    and is still open.
    """
    removed = {}
    for pid in learners:
        with contextlib.suppress(OSError):  # it is gone
            for name in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(FileNotFoundError):
                    file = os.stat(f"/proc/{pid}/fd/{name}")
                    if stat.S_ISREG(file.st_mode) and not file.st_nlink:
                        removed[file.st_dev, file.st_ino] = file.st_blocks * 512
    count, size, folders = len(removed), sum(removed.values()), [policy["write"]]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    count += 1
                    if count > policy["files"]:
                        return True
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    with contextlib.suppress(FileNotFoundError):
                        size += entry.stat(follow_symlinks=False).st_blocks * 512
        except FileNotFoundError:
            continue
        except OSError:  # a folder too deep or closed to look into hides something
            return True
    return size > policy["scratch"]


def _generations():
    """The zygote and all below it, as the supervisor sees them."""
    parents = processes.parents()
    below = processes.below(os.getpid(), parents)
    # With namespaces a process stands between: the one that waits for the zygote.
    chain = [pid for pid in below if parents[pid] == os.getpid()]
    first = chain[0] if chain else None
    if first is not None and os.path.exists(f"/proc/{first}/ns/pid"):
        inner = [pid for pid in below if parents[pid] == first]
        if inner and _is_first_of_namespace(inner[0]):
            first = inner[0]
    return [first, *processes.below(first, parents)] if first else [None]


def _is_first_of_namespace(pid):
    for line in processes.status_lines(pid):
        if line.startswith("NSpid:"):
            numbers = line.split()[1:]
            return len(numbers) > 1 and numbers[-1] == "1"
    return False


def _kill_learners():
    for pid in _generations()[1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
