"""What is in a folder that learners' files lie in: notebooks, and what is not one.

Trusts the instructor's choice of folder. Does not trust names, links or dates. What is
found is read, within limits, when it is asked for; the originals stay. A *layout* says
whose a file is, by its place.
"""

import datetime
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from course.exercises.canonical import LARGEST
from course.grading import intake
from course.grading.intake import Refusal

# Quotas are a learner's own: nobody uses up another's.
MOST_FILES = 1_000
DEEPEST = 8  # folders
LONGEST_NAME = 255

ARCHIVES = (
    *(".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst", ".whl"),
    ".jar",
)
# Could stand for a module in whatever runs beside it.
CODE = (".py", ".pyc", ".pyd", ".so", ".pth", ".dll", ".dylib")
# What systems and tools leave behind; nobody means to hand it in.
LITTER = {"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints"}
LITTER |= {"__pycache__", ".git", ".venv"}


@dataclass(frozen=True)
class Found:
    """A file of a learner's: its name below the learner's folder, when it was changed
    by its own account, and how to read it."""

    student: str
    name: PurePosixPath
    changed: tuple
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Missed:
    """What was not taken, and why."""

    name: str
    why: Refusal


class Layout:
    """Whose a file is, by its place: here, a folder or a zip for each learner.

    A learner is named by a *label*, which is the archive's word and not yet an id.
    """

    alone = "put it into a folder that is named after the learner"

    def folder(self, name: str) -> str | None:
        """The label of the learner whose folder is called `name`; None if nobody's."""
        return name

    def file(self, name: str) -> tuple[str, str] | None:
        """Of a file in no folder, its learner's label and the name it was given."""
        return None

    def place(self, parts: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
        """The label for a path, and the path below that learner."""
        if len(parts) > 1:
            label = self.folder(parts[0])
            return None if label is None else (label, parts[1:])
        found = self.file(parts[0]) if parts else None
        return None if found is None else (found[0], (found[1],))

    def shown(self, found: Found) -> str:
        """What to call a file to the instructor."""
        return f"{found.student}/{found.name}"

    def nobody(self) -> Refusal:
        """Why a file that has no label is not taken."""
        return Refusal("no-student", f"belongs to nobody: {self.alone}")


def no_file(path: Path) -> Refusal | None:
    """Why the file at `path` is none that one may read."""
    try:
        intake.open_file(path, LARGEST).close()
    except Refusal as refusal:
        return refusal
    return None


class Quota:
    """How many more files of a learner are looked at."""

    def __init__(self):
        self.left = MOST_FILES

    def spend(self) -> bool:
        """Whether there was one left."""
        self.left -= 1
        return self.left >= 0


def below(folder: Path, student: str, above: PurePosixPath, quota: Quota):
    """What is in a learner's folder, links not followed."""
    listed = []
    try:
        with os.scandir(folder) as entries:
            # Counted while listing: a folder may hold more than memory does.
            for entry in entries:
                if not quota.spend():
                    yield Missed(f"{student}/{above}", too_many())
                    break
                listed.append(entry)
    except OSError as error:
        text = f"cannot be listed: {error.strerror}"
        yield Missed(f"{student}/{above}", Refusal("unreadable", text))
    for entry in sorted(listed, key=lambda entry: entry.name):
        name = above / entry.name
        shown = f"{student}/{name}"
        if is_litter([entry.name]):
            continue
        if entry.is_dir(follow_symlinks=False):
            if len(name.parts) >= DEEPEST:
                yield Missed(shown, too_deep())
            else:
                yield from below(Path(entry.path), student, name, quota)
        else:
            yield one(entry, student, name, shown)


def one(entry: os.DirEntry, student: str, name: PurePosixPath, shown: str):
    """What is no folder: a notebook, or why it is not looked at."""
    path = Path(entry.path)
    if not entry.is_file(follow_symlinks=False):
        return Missed(shown, no_file(path) or unwanted(name))
    why = unwanted(name)
    if why:
        return Missed(shown, why)
    changed = _local(entry.stat(follow_symlinks=False).st_mtime)
    return Found(student, name, changed, lambda: intake.read(path))


def _local(seconds: float) -> tuple:
    """A file's time as a zip writes it, so that the two compare."""
    try:
        return datetime.datetime.fromtimestamp(seconds).timetuple()[:6]
    except (ValueError, OverflowError, OSError):  # in no year that there is
        return (0, 0, 0, 0, 0, 0)


def unwanted(name: PurePosixPath) -> Refusal | None:
    """Why a file is not read at all, by its name."""
    last = name.name.lower()
    if last.endswith(".ipynb"):
        return None
    if last.endswith(ARCHIVES):
        return Refusal("nested", "is an archive in it: unpack it and collect again")
    if last.endswith(CODE):
        return Refusal("code-file", "is a module; modules of learners are never loaded")
    if last == "timestamp.txt":
        return Refusal("timestamp", "is not believed: the time of collecting counts")
    return Refusal("not-a-notebook", "is not a notebook")


def too_many() -> Refusal:
    text = f"holds more than {MOST_FILES} files: the rest was not looked at"
    return Refusal("too-many", text)


def too_deep() -> Refusal:
    return Refusal("too-deep", f"is more than {DEEPEST} folders deep")


def is_litter(parts) -> bool:
    return any(part in LITTER or part.startswith("._") for part in parts)
