"""What `course collect` is given: a folder or zip of ours, of Moodle's or of Canvas's.

What the two systems write, and what this module goes by (sources read in 2026):

Moodle, "Download all submissions" (mod/assign/classes/downloader.php, Moodle 4.1 and
later; mod/assign/locallib.php before; read back by mod/assign/feedback/file/
importziplib.php, which names both forms)::

    Ada Lovelace_4711_assignsubmission_file/sub/first.ipynb    since 4.1
    Ada Lovelace_4711_assignsubmission_file_/sub/first.ipynb   before
    Ada Lovelace_4711_assignsubmission_file_first.ipynb        without folders
    Ada Lovelace_4711_assignsubmission_onlinetext/onlinetext.html
    Participant_4711_assignsubmission_file/first.ipynb         anonymous submissions

Underscores of the name have become spaces, so nothing in it can pass for the number;
before 4.1 a group and a hyphen may stand before it. The number is the *participant
number*: one for each learner and assignment, never given twice on one site.

Canvas, "Download Submissions" (lib/content_zipper.rb; read back by
app/models/abstract_assignment.rb, `infer_comment_context_from_filename`)::

    lovelaceada_12_345_first.ipynb         name, user id, file id, name of the file
    lovelaceada_LATE_12_345_first-1.ipynb  Canvas thinks it late; handed in again
    anon_x7Yz1_345_first.ipynb             anonymous grading

The name is the sortable one in small letters without anything but letters, digits and
underscores. Learners choose it, and may choose one with numbers in it: what can be read
in more than one way, as `ada_99_12_345_first.ipynb` can, is refused.

Nothing here believes `LATE`. Who a label stands for is looked up in the roster.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from course.grading import found
from course.grading.found import Found, Layout, Missed
from course.grading.ids import safe_id
from course.grading.intake import Refusal
from course.grading.roster import Learner, Roster
from course.grading.zips import Own, in_zip
from course.paths import CourseError

MOODLE = re.compile(
    r"([^_]*)_(\d{1,18})_assignsubmission_(?:file|onlinetext)(?:_(.*))?"
)
CANVAS = re.compile(r"(?:.*?_)?\d{1,18}_\d{1,18}_(?=.)")
ANONYMOUS = re.compile(r"(?:LATE_)?anon_[0-9A-Za-z]{5}_\d{1,18}_(?=.)")
NOBODY = "Participant"  # what Moodle calls whom it does not name

ROSTER = "`course roster FILE` with a list of participants of today"


@dataclass(frozen=True)
class Owner:
    """Who handed a file in: the id, under which name, and what the file was called.

    `origin` is what the system wants to see in a file that is to go back to them;
    `rank` orders what one learner handed in; `late` is the system's opinion.
    """

    student: str
    called: str
    name: PurePosixPath
    origin: dict | None = None
    rank: int = 0
    late: bool = False


class Folders(Layout):
    """A folder, or a zip, for each learner."""

    def __init__(self, roster: Roster | None):
        self.roster = roster

    def prepare(self, files: Iterable[Found | Missed]) -> None:
        """Look at all files, where one says something of another."""

    def owner(self, found: Found) -> Owner:
        """Who handed it in.

        Raises:
            Refusal: nobody can tell; the text says what to do.
        """
        student = safe_id(found.student)
        if self.roster:
            student = self._known(found.student).id
        return Owner(student, found.student, found.name)

    def _known(self, name: str) -> Learner:
        learners = self.roster.called(name)
        if len(learners) == 1:
            return learners[0]
        if learners:
            ids = " or ".join(each.id for each in learners)
            raise Refusal("ambiguous", f"is {ids}: give the folder that name")
        raise Refusal(
            "unknown",
            "belongs to nobody on the roster: name the folder after a learner's id, or "
            f"run {ROSTER}",
        )


class Moodle(Layout):
    """What Moodle's "Download all submissions" gives."""

    alone = "this is not what Moodle calls a submission, Name_123_assignsubmission_file"

    def __init__(self, roster: Roster):
        self.roster = roster
        self.numbers: dict[str, set[int]] = defaultdict(set)

    def folder(self, name):
        match = MOODLE.fullmatch(name)
        return f"{match[1]}_{match[2]}" if match and not match[3] else None

    def file(self, name):
        match = MOODLE.fullmatch(name)
        return (f"{match[1]}_{match[2]}", match[3]) if match and match[3] else None

    def prepare(self, files):
        """See who would be more than one participant, which nobody is."""
        for each in files:
            if isinstance(each, Found):
                name, number = self._read(each)
                learner = self.roster.participant(number)
                for one in [learner] if learner else self.roster.named(name):
                    self.numbers[one.id].add(number)

    def owner(self, found):
        name, number = self._read(found)
        learner = self.roster.participant(number) or self._by_name(name, number)
        origin = {"system": "moodle", "name": found.student}
        return Owner(learner.id, name, found.name, origin)

    @staticmethod
    def _read(found: Found) -> tuple[str, int]:
        name, _, number = found.student.rpartition("_")
        return name, int(number)

    def _by_name(self, name: str, number: int) -> Learner:
        sheet = (
            "download the assignment's grading worksheet and run `course roster` with "
            "it: it says who each participant is"
        )
        if name == NOBODY:
            text = f"is participant {number}, whom Moodle does not name: {sheet}"
            raise Refusal("anonymous", f"{text}, once identities are revealed")
        learners = self.roster.named(name)
        if not learners:
            text = f"nobody on the roster is called {name}: run {ROSTER}, or {sheet}"
            raise Refusal("unknown", text)
        if len(learners) > 1 or len(self.numbers[learners[0].id]) > 1:
            text = f"more than one participant is called {name}: {sheet}"
            raise Refusal("ambiguous", text)
        return learners[0]


class Canvas(Layout):
    """What Canvas's "Download Submissions" gives."""

    alone = "this is not what Canvas calls a submission, name_12_345_first.ipynb"

    def __init__(self, roster: Roster):
        self.roster = roster

    def folder(self, name):
        return None

    def file(self, name):
        match = CANVAS.match(name) or ANONYMOUS.match(name)
        # By name and user, so that all of a learner's files count together.
        return (match[0][:-1].rpartition("_")[0], name) if match else None

    def shown(self, found):
        return str(found.name)

    def prepare(self, files):
        """Every file says all there is to say of it."""

    def owner(self, found):
        whole = found.name.name
        if ANONYMOUS.match(whole):
            raise Refusal(
                "anonymous",
                "was handed in anonymously: post the grades in Canvas, or end "
                "anonymous grading, and download it again",
            )
        readings = list(_readings(whole))
        if len(readings) > 1:
            users = " or ".join(str(each.user) for each in readings)
            raise Refusal(
                "ambiguous",
                f"may be of Canvas user {users}: find out whose it is, and collect it "
                "from a folder that has the learner's id",
            )
        [read] = readings
        learner = self.roster.canvas(read.user)
        if learner is None:
            text = f"is of Canvas user {read.user}, who is not on the roster"
            raise Refusal("unknown", f"{text}: run {ROSTER}")
        # Canvas counts what has a name that was there before.
        name = PurePosixPath(re.sub(r"-\d+(?=\.ipynb$)", "", read.rest))
        origin = {"system": "canvas", "name": whole}
        return Owner(learner.id, read.name, name, origin, read.file, read.late)


@dataclass(frozen=True)
class _Reading:
    """One way to understand the name of a file from Canvas."""

    name: str
    user: int
    file: int
    rest: str
    late: bool


def _readings(whole: str) -> Iterator[_Reading]:
    """Every way in which Canvas may have come to call a file `whole`."""
    parts = whole.split("_")
    for place in range(len(parts) - 2):
        user, file = parts[place : place + 2]
        if re.fullmatch(r"\d{1,18}_\d{1,18}", f"{user}_{file}"):
            # Names are in small letters: such a word is Canvas's own.
            late = parts[place - 1 : place] == ["LATE"]
            name = "_".join(parts[: place - late])
            rest = "_".join(parts[place + 2 :])
            yield _Reading(name, int(user), int(file), rest, late)


def layout(system: str, roster: Roster | None):
    """The layout that `--from` names.

    Raises:
        CourseError: it needs a roster, and there is none.
    """
    if system == "folder":
        return Folders(roster)
    if roster is None:
        raise CourseError(
            f"who is who in an archive of {system.capitalize()}? Give the course a "
            "list of its learners first: `course roster FILE`, with the CSV that the "
            "gradebook there exports"
        )
    return {"moodle": Moodle, "canvas": Canvas}[system](roster)


def files(source: Path, layout: Layout) -> Iterator[Found | Missed]:
    """What learners handed in, in a folder or a zip.

    Raises:
        CourseError: it is neither.
    """
    if source.is_dir():
        yield from _in_folder(source, layout)
    elif source.is_file():
        yield from in_zip(source, layout)
    else:
        raise CourseError(f"{source} is neither a folder nor a zip")


def _in_folder(folder: Path, layout: Layout) -> Iterator[Found | Missed]:
    quotas: dict[str, found.Quota] = {}
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        name, path = entry.name, Path(entry.path)
        if found.is_litter([name]):
            continue
        if entry.is_dir(follow_symlinks=False):
            label = layout.folder(name)
            if label is None:
                yield Missed(name, layout.nobody())
            else:
                quota = quotas.setdefault(label, found.Quota())
                yield from found.below(path, label, PurePosixPath(), quota)
        elif isinstance(layout, Folders) and name.lower().endswith(".zip"):
            yield from in_zip(path, Own(name[:-4]))
        elif not (whose := layout.file(name)):
            yield Missed(name, found.no_file(path) or layout.nobody())
        elif quotas.setdefault(whose[0], found.Quota()).spend():
            yield found.one(entry, whose[0], PurePosixPath(whose[1]), name)
        else:
            yield Missed(name, found.too_many())
