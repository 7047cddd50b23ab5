"""What is in a hostile zip: its notebooks, and what is not one.

Trusts zipfile's parser behind limits of our own. Does not trust names, headers, sizes
or dates. Nothing is unpacked to the disk: an entry is inflated, and counted while it
is, when it is asked for.
"""

import collections
import io
import os
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from course.exercises.canonical import LARGEST
from course.grading import intake
from course.grading.found import (
    DEEPEST,
    LITTER,
    LONGEST_NAME,
    Found,
    Layout,
    Missed,
    Quota,
    is_litter,
    too_deep,
    too_many,
    unwanted,
)
from course.grading.intake import Refusal

LARGEST_ZIP = 4 * 2**30
LARGEST_DIRECTORY = 4 * 2**20  # the table of contents of a zip
HIGHEST_RATIO = 100  # of a notebook to its compressed size
FROM = 2**20  # bytes; what is smaller may shrink as it likes
BROKEN_ZIP = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError),
    *(RuntimeError, ValueError, OverflowError, IndexError),
)


class _Counted(io.RawIOBase):
    """A file that counts what is read from it and hands out no more than a zip's table
    of contents may be long: what its header asks for is allocated before it is seen."""

    def __init__(self, file):
        self.file = file
        self.consumed = 0
        self.size = os.fstat(file.fileno()).st_size

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=os.SEEK_SET):
        return self.file.seek(offset, whence)

    def tell(self):
        return self.file.tell()

    def read(self, size=-1):
        rest = max(0, self.size - self.file.tell())
        size = rest if size is None or size < 0 else min(size, rest)
        if size > LARGEST_DIRECTORY:
            raise Refusal(
                "too-many",
                "is a zip whose table of contents is longer than "
                f"{LARGEST_DIRECTORY // 2**20} MiB: hand in fewer files",
            )
        data = self.file.read(size)
        self.consumed += len(data)
        return data


class Own(Layout):
    """All belongs to one learner."""

    def __init__(self, student: str):
        self.student = student

    def place(self, parts):
        return (self.student, parts) if parts else None


def in_zip(path: Path, layout: Layout) -> Iterator[Found | Missed]:
    """The notebooks of a zip."""
    shown = path.name
    try:
        file = intake.open_file(path, LARGEST_ZIP)
    except Refusal as refusal:
        yield Missed(shown, refusal)
        return
    with file:
        counted = _Counted(file)
        try:
            archive = zipfile.ZipFile(counted)
        except Refusal as refusal:
            yield Missed(shown, refusal)
            return
        except BROKEN_ZIP as error:
            text = f"is not a zip that can be read ({error}): ask for it again"
            yield Missed(shown, Refusal("damaged", text))
            return
        with archive:
            yield from _entries(archive, counted, path, layout)


def _entries(archive, counted, path, layout):
    entries = archive.infolist()
    seen, twice = set(), set()
    for entry in entries:
        name = _spelt(entry)
        (twice if name in seen else seen).add(name)
    wrapper = not isinstance(layout, Own) and _wrapper(seen, path.stem)
    quotas = collections.defaultdict(Quota)
    for entry in entries:
        shown = f"{path.name}: {entry.orig_filename}"
        parts = PurePosixPath(entry.filename).parts
        if is_litter(parts):
            continue
        parts = parts[wrapper:]
        whose = layout.place(parts)
        owner = whose[0] if whose else (parts[0] if len(parts) > 1 else "")
        if not quotas[owner].spend():
            if quotas[owner].left == -1:  # said once
                yield Missed(f"{path.name}: {owner}", too_many())
            continue
        why = _refused(entry)
        if why is None and _spelt(entry) in twice:
            text = "is in the zip twice: which one counts is anyone's guess"
            why = Refusal("duplicate", text)
        if why:
            yield Missed(shown, why)
            continue
        if entry.is_dir():
            continue
        why = unwanted(PurePosixPath(*whose[1])) if whose else layout.nobody()
        if why:
            yield Missed(shown, why)
            continue

        def read(entry=entry):
            return _inflated(archive, entry, counted)

        yield Found(owner, PurePosixPath(*whose[1]), entry.date_time, read)


def _spelt(entry) -> str:
    return unicodedata.normalize("NFC", entry.orig_filename.rstrip("/"))


def _wrapper(names: set[str], stem: str) -> bool:
    """Whether all is in one folder that has the zip's own name."""
    tops = {name.split("/")[0] for name in names} - LITTER
    return tops == {stem}


def _refused(entry: zipfile.ZipInfo) -> Refusal | None:
    """Why an entry is not to be touched, by what the table of contents says."""
    name = entry.orig_filename
    parts = name.removesuffix("/").split("/")
    if "\\" in name:
        return Refusal("backslash", "has a backslash in its name: zip it again")
    if name.startswith("/") or re.match("[A-Za-z]:", name):
        return Refusal("absolute", "names a place on a disk, not one in the zip")
    if ".." in parts:
        return Refusal("traversal", "leads out of the zip by `..`")
    if "" in parts or "." in parts or any(ord(each) < 32 for each in name):
        return Refusal("name", "has a name that no file has: zip it again")
    if max(map(len, parts)) > LONGEST_NAME:
        return Refusal("name", f"has a name of more than {LONGEST_NAME} characters")
    if len(parts) > DEEPEST + 2:
        return too_deep()
    kind = (entry.external_attr >> 16) & 0o170000
    if kind == 0o120000:
        return Refusal("link", "is a symbolic link: ask for the notebook itself")
    if kind not in (0, 0o100000, 0o040000):
        return Refusal("special", "is a device, pipe or socket: ask for the notebook")
    if entry.flag_bits & 1:
        return Refusal("encrypted", "is encrypted: ask for it without a password")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        text = "is compressed in an unusual way: zip it with the system's own means"
        return Refusal("method", text)
    return None


def _inflated(archive, entry, counted) -> bytes:
    """The content of an entry, counted while it is read: headers are not believed."""
    data = bytearray()
    before = counted.consumed
    try:
        with archive.open(entry) as file:
            while chunk := file.read(intake.CHUNK):
                data += chunk
                if len(data) > LARGEST:
                    text = f"is too large: more than {LARGEST // 2**20} MiB unpacked"
                    raise Refusal("too-large", text)
                ratio = len(data) / (counted.consumed - before + 1)
                if len(data) > FROM and ratio > HIGHEST_RATIO:
                    raise Refusal(
                        "ratio",
                        f"unpacks to more than {HIGHEST_RATIO} times its size, as no "
                        "notebook does",
                    )
    except Refusal:
        raise
    except BROKEN_ZIP as error:
        text = f"cannot be unpacked ({error}): ask for it again"
        raise Refusal("damaged", text) from error
    return bytes(data)
