"""Due dates, extensions and what lateness costs: one file, `grading/dates.toml`.

It is the instructor's, written by hand and kept by nobody else: `grading/` is private
and in no repository. Where the file exists, it alone says what is due when, and the
gradebook follows; where there is none, the gradebook's own dates stay as they are.
Times of day are those of `zone`; everything is compared in UTC.
"""

import datetime
import difflib
import functools
import math
import re
import tomllib
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from course.grading import roster
from course.paths import CourseError, lessons, root

DAY = 24 * 60 * 60
POLICY = {"points_per_day", "per_cent_per_day", "grace_minutes", "cut_off_days"}
PART = {"due", "late", "extensions", "waivers", "canvas"}


@dataclass(frozen=True)
class Policy:
    """What lateness costs: for every day begun, so many points of the part, or per cent
    of what was earned; nothing within the grace; everything after the cut-off."""

    points_per_day: float = 0
    per_cent_per_day: float = 0
    grace_minutes: float = 0
    cut_off_days: float | None = None

    def penalty(self, score: float, late: float) -> float:
        """The points, of `score`, that `late` seconds cost."""
        if late <= self.grace_minutes * 60:
            return 0.0
        if self.cut_off_days is not None and late > self.cut_off_days * DAY:
            return score
        days = math.ceil(late / DAY)
        lost = self.points_per_day + self.per_cent_per_day / 100 * score
        return min(score, days * lost)


@dataclass(frozen=True)
class Part:
    """When a part is due, for all and for whom it is another day."""

    due: datetime.datetime | None = None
    policy: Policy = Policy()
    extensions: Mapping[str, datetime.datetime] = field(default_factory=dict)
    waivers: frozenset[str] = frozenset()
    canvas: str | None = None  # what Canvas calls it: "Title (123)"

    def due_for(self, student: str) -> datetime.datetime | None:
        """When it is due for a learner."""
        return self.extensions.get(student, self.due)

    def penalty(self, student: str, score: float, late: float) -> float:
        """What a learner loses who is `late` seconds late."""
        return 0.0 if student in self.waivers else self.policy.penalty(score, late)


@dataclass(frozen=True)
class Dates:
    """All that the file says."""

    parts: Mapping[str, Part] = field(default_factory=dict)
    zone: datetime.tzinfo | None = None

    def part(self, name: str) -> Part:
        """What it says of a part."""
        return self.parts.get(name, Part())


def path() -> Path:
    """Where the file is."""
    return root() / "grading" / "dates.toml"


def load() -> Dates | None:
    """What the file says; None where there is none.

    Raises:
        CourseError: it does not say it clearly; the text names line and key.
    """
    try:
        text = path().read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise CourseError(f"{path()} is not UTF-8: save it as such") from error
    return _read(path(), text, roster.stamp())


# Asked for every submission of a class, whose roster may be long.
@functools.lru_cache(1)
def _read(path: Path, text: str, _) -> Dates:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        place = f"{path}:{line[1]}" if line else str(path)
        raise CourseError(f"{place}: {error}") from error
    return _Reader(text).dates(data)


def instant(when: datetime.datetime, zone: datetime.tzinfo | None):
    """A time of day as an instant, in UTC.

    Raises:
        ValueError: there is no such time, or two, or nobody knows where.
    """
    if when.tzinfo is not None:
        return when.astimezone(datetime.UTC)
    if zone is None:
        raise ValueError('has no time zone: write zone = "Europe/London" at the top')
    first, second = (
        when.replace(tzinfo=zone, fold=fold).astimezone(datetime.UTC) for fold in (0, 1)
    )
    if first.astimezone(zone).replace(tzinfo=None) != when:
        raise ValueError(f"is a time that {zone} leaves out on that day")
    if first != second:
        offset = first.astimezone(zone).isoformat()[-6:]
        raise ValueError(f"comes twice on that day in {zone}: write {offset} after it")
    return first


class _Reader:
    """From TOML to dates, with a word on what is wrong."""

    def __init__(self, text: str):
        self.lines = text.split("\n")
        self.zone = None
        self.roster = roster.load()

    def wrong(self, keys: tuple[str, ...], text: str) -> CourseError:
        """An error at the line of a key, if there is a line of its own."""
        return CourseError(f"{path()}:{self._line(keys)} {'.'.join(keys)} {text}")

    def _line(self, keys) -> str:
        depth = 0
        for number, line in enumerate(self.lines, 1):
            while depth < len(keys):
                name = rf'(^|[\s.\["{{,]){re.escape(keys[depth])}(["\s.\]=]|$)'
                found = re.search(name, line.split("#")[0])
                if not found:
                    break
                line = line[found.end(1) + len(keys[depth]) :]
                depth += 1
            if depth == len(keys):
                return f"{number}:"
        return ""

    def dates(self, data: dict) -> Dates:
        self._known((), data, {"zone", "late", "parts"})
        if "zone" in data:
            self.zone = self._zone(data["zone"])
        policy = self._policy(("late",), data.get("late", {}))
        given = self._table(("parts",), data.get("parts", {}))
        there = sorted({lesson.split("/")[0] for lesson in lessons()})
        parts = {}
        for name, table in given.items():
            if name not in there:
                text = f"is no part{_like(name, there)}"
                raise self.wrong(("parts", name), text)
            parts[name] = self._part(("parts", name), table, policy)
        return Dates(parts, self.zone)

    def _part(self, keys, table, policy) -> Part:
        self._known(keys, self._table(keys, table), PART)
        if "late" in table:
            policy = self._policy((*keys, "late"), table["late"])
        due = self._time((*keys, "due"), table["due"]) if "due" in table else None
        extensions = {}
        given = self._table((*keys, "extensions"), table.get("extensions", {}))
        for student, value in given.items():
            here = (*keys, "extensions", student)
            self._learner(here, student)
            extensions[student] = self._time(here, value)
            if due is None:
                raise self.wrong(here, "extends a part that has no due date")
            if extensions[student] <= due:
                raise self.wrong(here, "is no later than the due date")
        waivers = table.get("waivers", [])
        here = (*keys, "waivers")
        if not isinstance(waivers, list):
            raise self.wrong(here, 'must be a list: waivers = ["ada"]')
        for student in waivers:
            self._learner(here, student)
        canvas = table.get("canvas")
        if canvas is not None and not isinstance(canvas, str):
            raise self.wrong((*keys, "canvas"), 'must be a title: "Rotary (123)"')
        return Part(due, policy, extensions, frozenset(waivers), canvas)

    def _policy(self, keys, table) -> Policy:
        self._known(keys, self._table(keys, table), POLICY)
        for key, value in table.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 <= value < math.inf:
                raise self.wrong((*keys, key), "must be a number, 0 or more")
        if table.get("points_per_day") and table.get("per_cent_per_day"):
            text = "takes points or per cent a day, not both"
            raise self.wrong((*keys, "per_cent_per_day"), text)
        return Policy(**table)

    def _time(self, keys, value) -> datetime.datetime:
        if not isinstance(value, datetime.datetime):
            raise self.wrong(keys, "must be a date with a time: 2026-11-20T23:59:00")
        try:
            return instant(value, self.zone)
        except ValueError as error:
            raise self.wrong(keys, str(error)) from error

    def _zone(self, name) -> zoneinfo.ZoneInfo:
        try:
            return zoneinfo.ZoneInfo(name)
        except (
            zoneinfo.ZoneInfoNotFoundError,
            ValueError,
            TypeError,
            OSError,
        ) as error:
            raise self.wrong(
                ("zone",), f"is no time zone: {name!r}; Europe/London is one"
            ) from error

    def _learner(self, keys, student) -> None:
        """See that there is such a learner, where somebody has said who there is."""
        if not isinstance(student, str):
            raise self.wrong(keys, f"must name learners, not {student!r}")
        known = self.roster
        submitted = root() / "grading" / "submitted" / student
        if known is None or student in known.ids or submitted.is_dir():
            return
        meant = [each.id for each in known.called(student)]
        hint = f"; {meant[0]} is" if meant else _like(student, known.ids)
        raise self.wrong(keys, f"names no learner: {student!r} is no id{hint}")

    def _table(self, keys, value) -> dict:
        if not isinstance(value, dict):
            raise self.wrong(keys, "must be a table")
        return value

    def _known(self, keys, table, known) -> None:
        for key in table:
            if key not in known:
                listed = ", ".join(sorted(known))
                raise self.wrong((*keys, key), f"means nothing: there is {listed}")


def _like(name: str, names) -> str:
    close = difflib.get_close_matches(name, list(names), 1)
    return f"; did you mean {close[0]}?" if close else ""
