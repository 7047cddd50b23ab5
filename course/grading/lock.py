"""Who may change what lies under `grading/` and in the gradebook: one at a time."""

import fcntl
import os
import socket
import time
from datetime import datetime

from course.paths import CourseError, state


class Lock:
    """At most one process grades or collects; the system releases it however the
    process ends."""

    def __init__(self):
        self._file = None

    def acquire(self, patience: float = 0) -> None:
        """Take the lock, waiting for at most `patience` seconds; again is no harm.

        Raises:
            CourseError: another process holds it; the text says which.
        """
        if self._file is not None:
            return
        state().mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(state() / "grading.lock", os.O_RDWR | os.O_CREAT, 0o600)
        file = os.fdopen(descriptor, "r+", encoding="utf-8")
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() >= deadline:
                    holder = file.read().strip() or "another process"
                    file.close()
                    raise CourseError(
                        f"grading goes on elsewhere: {holder}. Wait for it, or end it"
                    ) from None
                time.sleep(0.1)
        file.truncate(0)
        now = datetime.now().isoformat(" ", "seconds")
        file.write(f"process {os.getpid()} on {socket.gethostname()}, since {now}\n")
        file.flush()
        self._file = file

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            self._file.close()
            self._file = None
