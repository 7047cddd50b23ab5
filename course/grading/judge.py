"""`judge_one`: a job in, a verdict out, whatever the job's learner has written.

The unit that workers call. It asks for a sandbox of the job's level, and for the rest
trusts the `courtroom`, which it keeps for the next job.
"""

import json
import threading

from course.grading import sandbox
from course.grading.courtroom import Courtroom, Lost
from course.grading.pool import LEVELS

_lock = threading.Lock()
_room = Courtroom()


def judge_one(job: bytes) -> bytes:
    """The verdict on a job; both are JSON.

    Raises:
        RuntimeError: this machine's sandbox does not reach the level that the job asks
            for, or the processes cannot be started.
    """
    read = json.loads(job)
    level = sandbox.level()
    _demand(level, read["level"])
    if level == "none" and sandbox.refusal():
        raise RuntimeError(sandbox.refusal())
    if read["level"] == "none":
        read["level"] = level  # where there is more, more is in force
    try:
        with _lock:
            verdict = _room.judge(read)
    except Lost:
        raise RuntimeError("the judge cannot be started") from None
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
        _room.close()
