"""One file that a learner handed in: read it, or say why not.

Trusts the kernel's answers about an open file, and nothing that the file or its name
says. Nothing is changed: what is refused stays where it is.
"""

import os
import stat
from pathlib import Path

from course.exercises.canonical import LARGEST
from course.paths import CourseError

CHUNK = 2**16

# A file that is opened is that file itself, at once: no link, no wait for a writer.
# Windows has neither links for everyone nor these flags.
NO_TRICKS = sum(
    getattr(os, name, 0)
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY")
)

KINDS = {
    stat.S_IFLNK: ("link", "a symbolic link, which may point at any file here"),
    stat.S_IFIFO: ("fifo", "a named pipe"),
    stat.S_IFSOCK: ("socket", "a socket"),
    stat.S_IFBLK: ("device", "a device"),
    stat.S_IFCHR: ("device", "a device"),
    stat.S_IFDIR: ("folder", "a folder"),
}


class Refusal(CourseError):
    """Why something is not taken: a code for programs, a text for the instructor."""

    def __init__(self, code: str, text: str):
        super().__init__(text)
        self.code = code
        self.text = text


def read(path: Path | str, largest: int = LARGEST) -> bytes:
    """The bytes of the file at `path`.

    Args:
        largest: the most bytes it may have, and claim to have.

    Raises:
        Refusal: it is not a file of its own with readable content of that size.
    """
    with open_file(path, largest) as file:
        data = bytearray()
        # What is read counts: a file may grow while it is read.
        while chunk := file.read(CHUNK):
            data += chunk
            if len(data) > largest:
                raise _too_large(len(data), largest)
    return bytes(data)


def open_file(path: Path | str, largest: int):
    """The file at `path`, open for reading bytes; arguments and errors as `read`."""
    try:
        _refuse(os.lstat(path), largest)
        descriptor = os.open(path, os.O_RDONLY | NO_TRICKS)
    except OSError as error:
        raise Refusal("unreadable", f"cannot be opened: {error.strerror}") from error
    except ValueError as error:  # a zero byte in a name
        raise Refusal("name", f"cannot be opened: {error}") from error
    try:
        # It may have been exchanged between the two calls.
        status = os.fstat(descriptor)
        _refuse(status, largest)
        _refuse_holes(descriptor, status.st_size)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _refuse(status: os.stat_result, largest: int):
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        code, text = KINDS.get(kind, ("special", "no ordinary file"))
        raise Refusal(code, f"is {text}: ask for the notebook itself")
    if status.st_nlink > 1:
        raise Refusal(
            "hard-link",
            "is a hard link, one file under several names: copy it (`cp`) to a name "
            "of its own if you know where it came from",
        )
    if status.st_mode & (stat.S_ISUID | stat.S_ISGID):
        raise Refusal(
            "setuid",
            "runs with its owner's rights (setuid or setgid), which no notebook needs: "
            "`chmod ug-s` it if you know where it came from",
        )
    if status.st_size > largest:
        raise _too_large(status.st_size, largest)


def _refuse_holes(descriptor: int, size: int):
    if size and hasattr(os, "SEEK_HOLE"):
        hole = os.lseek(descriptor, 0, os.SEEK_HOLE)
        os.lseek(descriptor, 0, os.SEEK_SET)
        if hole < size:
            raise Refusal(
                "sparse",
                f"has holes (a sparse file, {size} bytes on paper): a notebook has "
                "none; ask for it again",
            )


def _too_large(size: int, largest: int) -> Refusal:
    return Refusal(
        "too-large",
        f"is too large: {size / 2**20:.0f} MiB or more (limit {largest / 2**20:.0f} "
        "MiB): ask for it with its outputs cleared",
    )
