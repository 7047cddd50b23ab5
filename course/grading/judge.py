"""`judge_one`: a job in, a verdict out, whatever the job's learner has written.

It trusts the job, and that its own process is not a learner's. Tests run in another
process (`court`), learners' code in others still (`zygote`), which both stay for the
next job; when a test hangs or takes its process with it, the exercise is a *grader
error*, and the others are judged all the same.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from course.grading import court, sandbox
from course.grading.pool import LEVELS
from course.paths import root

# Seconds beyond the limits of a job in which nothing need be heard of a test: the
# first job loads torch twice.
PATIENCE = 120


class Lost(Exception):
    """The process that runs the tests has ended, or hangs."""


class _Court:
    """The process that runs the tests."""

    def __init__(self):
        self.state = _state()
        self.folder = tempfile.TemporaryDirectory(
            prefix="judge-", ignore_cleanup_errors=True
        )
        reader, self.lifeline = os.pipe()
        environment = os.environ | {
            "PYTHONHASHSEED": "0",
            "OMP_NUM_THREADS": "1",
            "OMP_THREAD_LIMIT": "1",
        }
        program = str(Path(court.__file__).resolve())
        arguments = [str(root()), self.folder.name, str(reader)]
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-s", "-B", program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[reader],
            env=environment,
            start_new_session=True,  # Ctrl-C is the worker's to handle
        )
        os.close(reader)

    def judge(self, job, failed):
        """The verdict, or the task in which the process was lost."""
        task = None
        patience = PATIENCE + 2 * sum(job["limits"]["seconds"].values())
        try:
            court.write(self.process.stdin.fileno(), {"job": job, "failed": failed})
            while True:
                alarm = threading.Timer(patience, self.process.kill)
                alarm.start()
                try:
                    frame = court.read(self.process.stdout.fileno())
                finally:
                    alarm.cancel()
                if not frame:
                    raise Lost(task)
                message = json.loads(frame)
                if "verdict" in message:
                    return message["verdict"]
                task = message["task"]
        except BrokenPipeError:
            raise Lost(task) from None

    def close(self):
        """End it; the zygote ends with it."""
        self.process.stdin.close()
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        os.close(self.lifeline)
        self.folder.cleanup()


_lock = threading.Lock()
_court = None


def judge_one(job: bytes) -> bytes:
    """The verdict on a job; both are JSON.

    Raises:
        RuntimeError: this machine's sandbox does not reach the level that the job asks
            for, or the processes cannot be started.
    """
    global _court
    read = json.loads(job)
    level = sandbox.level()
    _demand(level, read["level"])
    if level == "none" and sandbox.refusal():
        raise RuntimeError(sandbox.refusal())
    if read["level"] == "none":
        read["level"] = level  # where there is more, more is in force
    failed = []
    with _lock:
        while True:
            if _court is not None and _court.state != _state():
                _close()
            if _court is None:
                _court = _Court()
            try:
                verdict = _court.judge(read, failed)
                break
            except Lost as lost:
                _close()
                task = lost.args[0]
                if task is None or task in failed:
                    raise RuntimeError("the judge cannot be started") from None
                failed.append(task)
    # It may have worked when it was tried, and not since.
    if verdict["run"].pop("isolated") is False and level == "full":
        level = "base"
        _demand(level, read["level"])
    verdict["run"]["level"] = level
    return json.dumps(verdict, ensure_ascii=False, separators=(",", ":")).encode()


def _demand(level, asked):
    if LEVELS.index(level) < LEVELS.index(asked):
        raise RuntimeError(f"the sandbox reaches {level!r}, not {asked!r}")


def close() -> None:
    """End the processes that wait for the next job."""
    with _lock:
        _close()


def _close():
    global _court
    if _court is not None:
        _court.close()
        _court = None


def _state():
    """What the waiting processes have loaded: when it changes, they are made anew."""
    files = [
        path
        for folder in ("lib", "course")
        for path in sorted((root() / folder).rglob("*"))
        if path.suffix not in ("", ".pyc")  # a folder changes with what is cached
    ]
    return root(), [(str(path), path.stat().st_mtime_ns) for path in files]
