"""`course collect`: what learners handed in, from a folder or a hostile zip.

Trusts the instructor's choice of folder or zip, this machine's clock, and the released
notebooks. Does not trust names, headers, links, dates, or which exercise a file claims
to be by its name. Nothing is unpacked: a notebook is read, checked, and written under a
name of ours. The originals stay.

    grading/submitted/<id>/<part>/<lesson>.ipynb     what is graded, with timestamp.txt
    grading/collected/<id>/<part>/<lesson>/<hash>.ipynb     every attempt
    grading/collected/record.json     ids and the names they stand for; attempts, times
"""

import collections
import contextlib
import datetime
import hashlib
import io
import json
import os
import re
import sys
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import click
from tqdm import tqdm

from course.exercises import canonical
from course.exercises.canonical import LARGEST
from course.exercises.start import released
from course.grading import intake
from course.grading.hygiene import visible
from course.grading.intake import Refusal
from course.grading.lock import Lock
from course.paths import CourseError, root

# Quotas are a learner's own: nobody uses up another's.
MOST_FILES = 1_000
MOST_BYTES = 256 * 2**20  # of notebooks
DEEPEST = 8  # folders
LONGEST_NAME = 255
LARGEST_ZIP = 4 * 2**30
LARGEST_DIRECTORY = 4 * 2**20  # the table of contents of a zip
HIGHEST_RATIO = 100  # of a notebook to its compressed size
FROM = 2**20  # bytes; what is smaller may shrink as it likes

ARCHIVES = (
    *(".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst", ".whl"),
    ".jar",
)
# Could stand for a module in whatever runs beside it.
CODE = (".py", ".pyc", ".pyd", ".so", ".pth", ".dll", ".dylib")
# What systems and tools leave behind; nobody means to hand it in.
LITTER = {"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints"}
LITTER |= {"__pycache__", ".git", ".venv"}
# Names that Windows keeps to itself.
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
BROKEN_ZIP = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError),
    *(RuntimeError, ValueError, OverflowError, IndexError),
)


# Ids


def safe_id(name: str) -> str:
    """A folder name for the learner called `name`: the same name always gives the same
    id, and two names never give one, on any file system and in any spelling.

    A short name of small letters, digits and `. _ @ -` stays; of another, what is
    readable stays, followed by a hash of the name.
    """
    plain = re.fullmatch(r"[a-z0-9]([a-z0-9._@-]{0,62}[a-z0-9])?", name)
    marked = re.search(r"-[0-9a-f]{12}$", name)
    if plain and not marked and ".." not in name and not RESERVED.fullmatch(name):
        return name
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", letters.lower())[:40].strip("-") or "student"
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:12]
    return f"{slug}-{digest}"


# What is there


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


def in_folder(folder: Path) -> Iterator[Found | Missed]:
    """The notebooks of a folder that has a folder or a zip for each learner."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        name = entry.name
        if _is_litter([name]):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _below(Path(entry.path), name, PurePosixPath(), _Quota())
        elif name.lower().endswith(".zip"):
            yield from in_zip(Path(entry.path), student=name[:-4])
        else:
            yield Missed(name, _without_student(Path(entry.path)))


def _without_student(path: Path) -> Refusal:
    try:
        intake.open_file(path, LARGEST).close()
    except Refusal as refusal:
        return refusal
    return Refusal(
        "no-student",
        "belongs to nobody: put it into a folder that is named after the learner",
    )


class _Quota:
    """How many more files of a learner are looked at."""

    def __init__(self):
        self.left = MOST_FILES

    def spend(self) -> bool:
        """Whether there was one left."""
        self.left -= 1
        return self.left >= 0


def _below(folder: Path, student: str, above: PurePosixPath, quota: _Quota):
    """What is in a learner's folder, links not followed."""
    listed = []
    try:
        with os.scandir(folder) as entries:
            # Counted while listing: a folder may hold more than memory does.
            for entry in entries:
                if not quota.spend():
                    yield Missed(f"{student}/{above}", _too_many())
                    break
                listed.append(entry)
    except OSError as error:
        text = f"cannot be listed: {error.strerror}"
        yield Missed(f"{student}/{above}", Refusal("unreadable", text))
    for entry in sorted(listed, key=lambda entry: entry.name):
        name = above / entry.name
        shown = f"{student}/{name}"
        if _is_litter([entry.name]):
            continue
        if entry.is_dir(follow_symlinks=False):
            if len(name.parts) >= DEEPEST:
                yield Missed(shown, _too_deep())
            else:
                yield from _below(Path(entry.path), student, name, quota)
        elif entry.is_file(follow_symlinks=False):
            why = _unwanted(name)
            if why:
                yield Missed(shown, why)
                continue
            changed = _local(entry.stat(follow_symlinks=False).st_mtime)
            path = Path(entry.path)
            yield Found(student, name, changed, lambda path=path: intake.read(path))
        else:
            try:
                intake.read(entry.path)
            except Refusal as refusal:
                yield Missed(shown, refusal)


def _local(seconds: float) -> tuple:
    """A file's time as a zip writes it, so that the two compare."""
    try:
        return datetime.datetime.fromtimestamp(seconds).timetuple()[:6]
    except (ValueError, OverflowError, OSError):  # in no year that there is
        return (0, 0, 0, 0, 0, 0)


def _unwanted(name: PurePosixPath) -> Refusal | None:
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


def _too_many() -> Refusal:
    text = f"holds more than {MOST_FILES} files: the rest was not looked at"
    return Refusal("too-many", text)


def _too_deep() -> Refusal:
    return Refusal("too-deep", f"is more than {DEEPEST} folders deep")


def _is_litter(parts) -> bool:
    return any(part in LITTER or part.startswith("._") for part in parts)


# Zips


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


def in_zip(path: Path, student: str | None = None) -> Iterator[Found | Missed]:
    """The notebooks of a zip: of `student`, or with a folder for each learner."""
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
            yield from _entries(archive, counted, path, student)


def _entries(archive, counted, path, student):
    entries = archive.infolist()
    seen, twice = set(), set()
    for entry in entries:
        name = _spelt(entry)
        (twice if name in seen else seen).add(name)
    wrapper = student is None and _wrapper(seen, path.stem)
    quotas = collections.defaultdict(_Quota)
    for entry in entries:
        shown = f"{path.name}: {entry.orig_filename}"
        parts = PurePosixPath(entry.filename).parts
        if _is_litter(parts):
            continue
        parts = parts[wrapper:]
        owner = student or (parts[0] if parts else "")
        if not quotas[owner].spend():
            if quotas[owner].left == -1:  # said once
                yield Missed(f"{path.name}: {owner}", _too_many())
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
        if student is None and len(parts) < 2:
            why = Refusal(
                "no-student",
                "belongs to nobody: the zip needs a folder for each learner",
            )
        else:
            why = _unwanted(PurePosixPath(parts[-1]))
        if why:
            yield Missed(shown, why)
            continue
        rest = parts if student else parts[1:]

        def read(entry=entry):
            return _inflated(archive, entry, counted)

        yield Found(owner, PurePosixPath(*rest), entry.date_time, read)


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
        return _too_deep()
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


# Taking it


@dataclass
class Attempt:
    """A notebook that was taken, of a lesson."""

    student: str
    lesson: str
    digest: str
    order: tuple
    name: str
    valid: bool = True


class Collection:
    """The folder `grading` of the course and the record of what was collected.

    Args:
        now: the collector's clock.
    """

    def __init__(self, now: datetime.datetime):
        self.now = now.astimezone(datetime.UTC).replace(microsecond=0)
        self.folder = root() / "grading"
        self.path = self.folder / "collected" / "record.json"
        self.record = {"schema": 1, "students": {}, "attempts": {}}
        if self.path.exists():
            self.record = _record(self.path)
        self.lessons = released()
        self.taken: list[Attempt] = []
        self.missed: list[Missed] = []
        self.notes: list[tuple[str, str]] = []
        self.new: list[tuple[str, str]] = []
        self.left = collections.defaultdict(lambda: MOST_BYTES)

    def look_at(self, found: Found | Missed):
        """Take a notebook, or note why not."""
        if isinstance(found, Missed):
            self.missed.append(found)
            return
        shown = f"{found.student}/{found.name}"
        try:
            data = found.read()
            self.left[found.student] -= len(data)
            if self.left[found.student] < 0:
                text = f"is beyond the {MOST_BYTES // 2**20} MiB of one learner"
                raise Refusal("too-large", text)
            student = self._student(found.student)
        except Refusal as refusal:
            self.missed.append(Missed(shown, refusal))
            return
        valid = True
        try:
            lesson, notes = self._lesson(data, found.name)
            self.notes += [(shown, note) for note in notes]
        except Refusal as refusal:
            self.missed.append(Missed(shown, refusal))
            lesson, valid = self._by_name(refusal, found.name), False
            if lesson is None:
                return
        digest = hashlib.sha256(data).hexdigest()
        _write(self._attempt(student, lesson, digest), data)
        copy = re.search(r"(\d+)\)?$", found.name.stem)
        order = (valid, found.changed, int(copy[1][:9]) if copy else 0, shown)
        self.taken.append(Attempt(student, lesson, digest, order, shown, valid))

    def _by_name(self, refusal: Refusal, name: PurePosixPath) -> str | None:
        """The lesson of a file that is no notebook, if its name is a lesson's: where
        there is nothing better, its learner shall read what is wrong with it."""
        if refusal.code != "not-gradable":
            return None
        with contextlib.suppress(CourseError):
            return canonical.lesson_of({"metadata": {}}, name, self.lessons)[0]
        return None

    def _lesson(self, data: bytes, name: PurePosixPath) -> tuple[str, list[str]]:
        """The lesson of a valid attempt, and what there is to say about that."""
        try:
            notebook = canonical.read(data)
            lesson, notes = canonical.lesson_of(notebook, name, self.lessons)
        except CourseError as error:
            claimed = "belongs to" in str(error)
            code = "wrong-exercise" if claimed else "not-gradable"
            raise Refusal(code, _sentence(error, name)) from error
        return lesson, [note.text for note in notes]

    def _student(self, name: str) -> str:
        student = safe_id(name)
        if self.record["students"].setdefault(student, name) != name:
            raise Refusal("id", f"{student} is another learner's id: rename the folder")
        return student

    def _attempt(self, student: str, lesson: str, digest: str) -> Path:
        folder = self.folder / "collected" / student / lesson
        return folder / f"{digest[:16]}.ipynb"

    def finish(self):
        """Hand the newest attempts to the grader, and write the record."""
        newest = {}
        for attempt in sorted(self.taken, key=lambda attempt: attempt.order):
            newest.setdefault((attempt.student, attempt.lesson), []).append(attempt)
        for (student, lesson), attempts in sorted(newest.items()):
            chosen = attempts[-1]
            valid = {each.digest for each in attempts if each.valid}
            if len(valid) > 1:
                text = f"the newest of {len(valid)} versions of {lesson} counts"
                self.notes.append((chosen.name, text))
            self._submit(student, lesson, chosen)
        _write(self.path, (json.dumps(self.record, indent=1) + "\n").encode())

    def _submit(self, student, lesson, attempt):
        attempts = self.record["attempts"].setdefault(student, {})
        attempts = attempts.setdefault(lesson, [])
        changed = list(attempt.order[1])
        last = attempts[-1]["sha256"] if attempts else None
        # The same file again; a learner who goes back to an old version saves it anew.
        known = (attempt.digest, changed) in [
            (each["sha256"], each["changed"]) for each in attempts
        ]
        if attempt.digest == last:
            return
        if known:
            text = f"was collected before; a later attempt at {lesson} stays"
            self.notes.append((attempt.name, text))
            return
        if not attempt.valid and any(each["valid"] for each in attempts):
            text = f"the last valid attempt at {lesson} stays"
            self.notes.append((attempt.name, text))
            return
        submitted = self.folder / "submitted" / student / f"{lesson}.ipynb"
        data = self._attempt(student, lesson, attempt.digest).read_bytes()
        _write(submitted, data)
        # By this nbgrader sees what is new, and late.
        stamp = self.now.strftime("%Y-%m-%d %H:%M:%S UTC\n")
        _write(submitted.with_name("timestamp.txt"), stamp.encode())
        attempts.append(
            {
                "sha256": attempt.digest,
                "time": self.now.isoformat(),
                "changed": changed,
                "valid": attempt.valid,
                "from": attempt.name,
            }
        )
        self.new.append((student, lesson))


def _sentence(error: CourseError, name: PurePosixPath) -> str:
    """An error's text without the name, which is said beside it."""
    return str(error).removeprefix(f"{name} ")


def _write(path: Path, data: bytes):
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".draft-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
        raise


def _record(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CourseError(
            f"{path} is damaged ({error}): restore or delete it; ids stay the same, "
            "and what was collected before is collected anew"
        ) from error


def submitted_as() -> dict[str, str]:
    """The names under which learners handed in, by id."""
    path = root() / "grading" / "collected" / "record.json"
    if not path.exists():
        return {}
    return _record(path)["students"]


def collect(source: Path, now: datetime.datetime) -> Collection:
    """Collect from a folder or a zip.

    Raises:
        CourseError: it is neither, or somebody grades or collects at this moment.
    """
    if source.is_dir():
        found = in_folder(source)
    elif source.is_file():
        found = in_zip(source)
    else:
        raise CourseError(f"{source} is neither a folder nor a zip")
    lock = Lock()
    lock.acquire()
    try:
        collection = Collection(now)
        for each in tqdm(found, desc="collecting", unit="file", delay=2):
            collection.look_at(each)
        collection.finish()
        return collection
    finally:
        lock.release()


# Read by a person in vain, and yet nothing to worry about.
HARMLESS = {"timestamp", "not-a-notebook", "code-file"}


@click.command("collect")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--from",
    "layout",
    type=click.Choice(["folder"]),
    default="folder",
    show_default=True,
    help="How SOURCE is laid out: a folder for each learner.",
)
def collect_command(source, layout):
    """Take what learners handed in from SOURCE, a folder or a zip.

    Exits with 1 if a file that may be an answer was not taken.
    """
    collection = collect(source, datetime.datetime.now(datetime.UTC))
    for name, text in collection.notes:
        click.echo(f"note       {visible(name)}: {visible(text)}")
    for missed in collection.missed:
        click.echo(
            f"not taken  {visible(missed.name)} {visible(missed.why.text)} "
            f"[{missed.why.code}]"
        )
    students = {student for student, _ in collection.new}
    click.echo(
        f"{len(collection.new)} new notebooks of {len(students)} learners, "
        f"{sum(each.valid for each in collection.taken)} valid in all, "
        f"{len(collection.missed)} not taken"
    )
    sys.exit(any(missed.why.code not in HARMLESS for missed in collection.missed))
