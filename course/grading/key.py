"""The course's secret key, and the seeds that are derived from it.

Trusts the instructor's private folder and whoever may write there. The key never
leaves the process that grades: a worker gets seeds, and no seed tells another.
"""

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import stat
from pathlib import Path

from course.paths import CourseError, course_id, root, state

SIZE = 32


def key() -> bytes:
    """The key; made when there is none.

    Raises:
        CourseError: it lies inside the course, or others can read it, or it is cut.
    """
    path = state() / "key"
    if path.resolve().is_relative_to(root()):
        raise CourseError(
            f"{path} would lie inside the course: set COURSE_STATE to another folder"
        )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return _read(path)
    except FileNotFoundError:
        _make(path)
        return _read(path)


def _read(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CourseError(f"{path}: {error.strerror}; the key is a file") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise CourseError(f"{path} is not a file")
        if status.st_mode & 0o077 or status.st_uid not in (os.geteuid(), os.getuid()):
            raise CourseError(f"others can read {path}: own it, and `chmod 600` it")
        data = os.read(descriptor, SIZE + 1)
    finally:
        os.close(descriptor)
    if len(data) != SIZE:
        raise CourseError(
            f"{path} is damaged: restore it from a backup, or delete it and grade "
            "everything again with a new key"
        )
    return data


def _make(path: Path) -> None:
    """Write a new key whole; where another grader was faster, that one stays."""
    draft = path.with_name(f"key.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(secrets.token_bytes(SIZE))
            file.flush()
            os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def seed(secret: bytes, student: str, lesson: str, exercise: str, content: str) -> str:
    """The seed of an exercise, in hex: HMAC-SHA256 of who hands in what where.

    `content` is the hash of the learner's own cells: the same answers again draw the
    same inputs, other answers draw others.
    """
    part, _, name = lesson.partition("/")
    text = json.dumps([course_id(), student, part, name, exercise, content])
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


def seed_id(seed: str) -> str:
    """What a verdict names a seed by: nobody gets from it to the seed."""
    return hashlib.sha256(bytes.fromhex(seed)).hexdigest()[:16]
