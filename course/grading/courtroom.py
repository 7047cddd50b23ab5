"""The court as a program of its own, started when it is needed and ended when it hangs.

What `judge` and `course check` have in common. It trusts the jobs that it is given, and
that its own process is not a learner's. Tests run in another process (`court`),
learners' code in others still (`zygote`), which both stay for the next job; when a test
hangs or takes its process with it, the exercise is a *grader error*, and the others are
judged all the same.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from course.grading import court
from course.paths import root

# Seconds beyond the limits of a job in which nothing need be heard of a test: the
# first job loads torch twice.
PATIENCE = 120


class Lost(Exception):
    """The process that runs the tests has ended, or hangs."""


class Courtroom:
    """Judges jobs, one after the other; `quiet` says nothing of what goes wrong."""

    def __init__(self, quiet: bool = False):
        self.quiet = quiet
        self.court = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def judge(self, job: dict, tell: Callable[[str], None] = lambda task: None) -> dict:
        """The verdict on a job; `tell` is called with each task that is begun.

        Raises:
            Lost: the court cannot be started.
        """
        failed = []
        while True:
            if self.court is not None and self.court.state != _state():
                self.close()
            if self.court is None:
                self.court = _Court(self.quiet)
            try:
                return self.court.judge(job, failed, tell)
            except Lost as lost:
                self.close()
                task = lost.args[0]
                if task is None or task in failed:
                    raise
                failed.append(task)

    def close(self) -> None:
        """End the processes that wait for the next job."""
        if self.court is not None:
            self.court.close()
            self.court = None


class _Court:
    """The process that runs the tests."""

    def __init__(self, quiet):
        self.state = _state()
        self.folder = tempfile.TemporaryDirectory(
            prefix="judge-", ignore_cleanup_errors=True
        )
        reader, self.lifeline = os.pipe()
        environment = os.environ | {
            "PYTHONHASHSEED": "0",
            "OMP_NUM_THREADS": "1",
            "OMP_THREAD_LIMIT": "1",
            "MPLBACKEND": "Agg",  # given code runs there too: no windows
        }
        program = str(Path(court.__file__).resolve())
        arguments = [str(root()), self.folder.name, str(reader)]
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-s", "-B", program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            pass_fds=[reader],
            env=environment,
            start_new_session=True,  # Ctrl-C is the worker's to handle
        )
        os.close(reader)

    def judge(self, job, failed, tell):
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
                tell(task)
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


def _state():
    """What the waiting processes have loaded: when it changes, they are made anew."""
    files = [
        path
        for folder in ("lib", "course")
        for path in sorted((root() / folder).rglob("*"))
        if path.suffix not in ("", ".pyc")  # a folder changes with what is cached
    ]
    return root(), [(str(path), path.stat().st_mtime_ns) for path in files]
