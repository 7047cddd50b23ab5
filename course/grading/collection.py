"""What was handed in, taken: every attempt kept, and the newest given to the grader.

Trusts the record it keeps beside the attempts, and who a layout says that a file is of.
Does not trust names, times, or which exercise a file claims to be by its name.
"""

import collections
import contextlib
import datetime
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from course.exercises import canonical
from course.grading import dates, verdicts
from course.grading.archives import Folders, Owner
from course.grading.found import Found, Missed
from course.grading.intake import Refusal
from course.paths import CourseError, released, root

MOST_BYTES = 256 * 2**20  # of a learner's notebooks
# Why a notebook belongs to nobody yet, so that somebody may be taken for absent.
UNCLAIMED = {"unknown", "ambiguous", "anonymous"}


@dataclass
class Attempt:
    """A notebook that was taken, of a lesson."""

    student: str
    lesson: str
    digest: str
    order: tuple
    changed: tuple
    name: str
    origin: dict | None
    valid: bool = True


class Collection:
    """The folder `grading` of the course and the record of what was collected.

    Args:
        now: when what is collected counts as handed in.
        layout: whose a file is.
        stated: whether `now` is the instructor's word, and not the collector's clock.
    """

    def __init__(self, now: datetime.datetime, layout=None, stated: bool = False):
        self.now = now.astimezone(datetime.UTC).replace(microsecond=0)
        self.layout = layout or Folders(None)
        self.stated = stated
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
        shown, data = self.layout.shown(found), None
        try:
            data = found.read()
            self.left[found.student] -= len(data)
            if self.left[found.student] < 0:
                text = f"is beyond the {MOST_BYTES // 2**20} MiB of one learner"
                raise Refusal("too-large", text)
            owner = self.layout.owner(found)
            self._enter(owner)
        except Refusal as refusal:
            self.missed.append(Missed(shown, refusal))
            if data is not None and refusal.code in UNCLAIMED:
                self._unclaimed()[shown] = _digest(data)
            return
        if owner.late:
            text = f"is marked late, which is not believed: it counts as of {self.now}"
            self.notes.append((shown, text))
        valid = True
        try:
            lesson, notes = self._lesson(data, owner.name)
            self.notes += [(shown, note) for note in notes]
        except Refusal as refusal:
            self.missed.append(Missed(shown, refusal))
            lesson, valid = self._by_name(refusal, owner.name), False
            if lesson is None:
                return
        digest = _digest(data)
        self._claim(shown, digest)
        _write(self._attempt(owner.student, lesson, digest), data)
        copy = re.search(r"(\d+)\)?$", owner.name.stem)
        number = int(copy[1][:9]) if copy else 0
        order = (valid, owner.rank, found.changed, number, shown)
        whose = owner.student, lesson, digest
        self.taken.append(
            Attempt(*whose, order, found.changed, shown, owner.origin, valid)
        )

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

    def _enter(self, owner: Owner):
        """Note under which name a learner handed in."""
        names, student = self.record["students"], owner.student
        if self.layout.roster:  # it says who is who, whatever they are called
            names[student] = owner.called
        elif names.setdefault(student, owner.called) != owner.called:
            raise Refusal("id", f"{student} is another learner's id: rename the folder")

    def _unclaimed(self) -> dict[str, str]:
        """What was handed in, and nobody knows by whom: its name and content's hash."""
        return self.record.setdefault("unclaimed", {})

    def _claim(self, shown: str, digest: str):
        """Whose this is is known now, by this name or by another."""
        unclaimed = self._unclaimed()
        same = (name for name, each in unclaimed.items() if each == digest)
        unclaimed.pop(shown if shown in unclaimed else next(same, None), None)

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
        changed = list(attempt.changed)
        last = attempts[-1] if attempts else None
        # The same file again; a learner who goes back to an old version saves it anew.
        known = (attempt.digest, changed) in [
            (each["sha256"], each["changed"]) for each in attempts
        ]
        if last and attempt.digest == last["sha256"]:
            self._again(student, lesson, attempt, last)
            return
        stays = None
        if known:
            stays = f"was collected before; a later attempt at {lesson} stays"
        elif not attempt.valid and any(each["valid"] for each in attempts):
            stays = f"the last valid attempt at {lesson} stays"
        elif last and last["valid"] and self.now < _time(last):
            stays = f"was handed in before what counts for {lesson}, which stays"
        if stays:
            self.notes.append((attempt.name, stays))
            return
        submitted = self.folder / "submitted" / student / f"{lesson}.ipynb"
        data = self._attempt(student, lesson, attempt.digest).read_bytes()
        _write(submitted, data)
        attempts.append(
            {
                "sha256": attempt.digest,
                "time": self.now.isoformat(),
                "by": "word" if self.stated else "clock",
                "changed": changed,
                "valid": attempt.valid,
                "from": attempt.name,
                "origin": attempt.origin,
            }
        )
        self._stamp(student, lesson)
        self.new.append((student, lesson))

    def _again(self, student, lesson, attempt, last):
        """What counts already was found once more: it was here by then."""
        last["origin"] = attempt.origin or last.get("origin")
        if self.now < _time(last):
            last |= {"time": self.now.isoformat(), "by": "word"}
            self._stamp(student, lesson)
            text = f"counts as handed in by {self.now}, as you say"
            self.notes.append((attempt.name, text))

    def _stamp(self, student, lesson):
        """Write when a submission was handed in: when the last of its notebooks was.
        By this nbgrader sees what is new, and late."""
        part = lesson.partition("/")[0]
        when = max(
            _time(attempts[-1])
            for each, attempts in self.record["attempts"][student].items()
            if attempts and each.partition("/")[0] == part
        )
        path = self.folder / "submitted" / student / part / "timestamp.txt"
        _write(path, when.strftime("%Y-%m-%d %H:%M:%S UTC\n").encode())

    def late(self) -> dict[str, list[str]]:
        """By part, the learners of this collection whose work is after their due
        date."""
        given, found = dates.load() or dates.Dates(), collections.defaultdict(set)
        for each in self.taken:
            part = each.lesson.partition("/")[0]
            due = given.part(part).due_for(each.student)
            attempts = self.record["attempts"][each.student].get(each.lesson)
            if due and attempts and _time(attempts[-1]) > due:
                found[part].add(each.student)
        return {part: sorted(found[part]) for part in sorted(found)}


def _time(attempt: dict) -> datetime.datetime:
    return datetime.datetime.fromisoformat(attempt["time"])


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sentence(error: CourseError, name: PurePosixPath) -> str:
    """An error's text without the name, which is said beside it."""
    return str(error).removeprefix(f"{name} ")


def _write(path: Path, data: bytes):
    """Write a file whole or not at all, for all to read; a class has thousands of them,
    and none waits for the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    verdicts.write(path, data, mode=0o644, lasting=False)


def _record(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CourseError(
            f"{path} is damaged ({error}): restore or delete it; ids stay the same, "
            "and what was collected before is collected anew"
        ) from error


def _kept() -> dict:
    """The record as it is, empty if nothing was collected yet."""
    path = root() / "grading" / "collected" / "record.json"
    return _record(path) if path.exists() else {"students": {}, "attempts": {}}


def submitted_as() -> dict[str, str]:
    """The names under which learners handed in, by id."""
    return _kept()["students"]


def unclaimed() -> list[str]:
    """What was handed in by learners whom nobody could name."""
    return sorted(_kept().get("unclaimed", {}))


def attempts() -> dict[str, dict[str, dict]]:
    """By learner and lesson, the attempt that counts."""
    return {
        student: {lesson: each[-1] for lesson, each in found.items() if each}
        for student, found in _kept()["attempts"].items()
    }
