"""Who the learners are: the list that an institution has, kept in the private folder.

Trusts the file that the instructor gives, in what it says of whom; its text is shown,
never obeyed. `course roster FILE` reads

- a table of one's own: `id`, `first_name`, `last_name` and, where there are such,
  `email`, `number` (the ID number in Moodle), `canvas` (the user id in Canvas);
- what Moodle's gradebook exports (Export, Plain text file) or its list of participants;
- an assignment's grading worksheet from Moodle, which adds the participant numbers by
  which its archives name learners, and replaces nothing;
- what Canvas's gradebook exports (Export Entire Gradebook).
"""

import functools
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import click

from course.grading import verdicts
from course.grading.ids import safe_id
from course.grading.shown import visible
from course.paths import CourseError, state

# Moodle takes these out of what becomes a file's name (PARAM_FILE).
NOT_IN_FILES = re.compile(r"[\x00-\x1f\x7f&<>\"`|':\\/]|\.\.+")


@dataclass(frozen=True)
class Learner:
    """A learner: the course's own id, and the names and numbers that others have."""

    id: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    number: str = ""
    canvas: int | None = None
    sis: str = ""
    login: str = ""
    section: str = ""
    participants: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The name in full."""
        return f"{self.first_name} {self.last_name}".strip()


@dataclass
class Roster:
    """All learners, and the assignments of Canvas's gradebook, with their points."""

    learners: list[Learner] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)

    def __iter__(self):
        return iter(self.learners)

    @functools.cached_property
    def ids(self) -> dict[str, Learner]:
        """The learners by id."""
        return {each.id: each for each in self.learners}

    @functools.cached_property
    def _names(self) -> dict[str, list[Learner]]:
        found = {}
        for each in self.learners:
            first, last = each.first_name, each.last_name
            # As a site writes them: its language decides on the order.
            for name in {_name(f"{first} {last}"), _name(f"{last} {first}")}:
                found.setdefault(name, []).append(each)
        return found

    @functools.cached_property
    def _keys(self) -> dict[str, list[Learner]]:
        """The learners by ID number and by address, where they have one."""
        found = {}
        for each in self.learners:
            for key in {each.number.casefold(), each.email.casefold()} - {""}:
                found.setdefault(key, []).append(each)
        return found

    @functools.cached_property
    def _numbers(self) -> dict[int, Learner]:
        return {n: each for each in self.learners for n in each.participants}

    @functools.cached_property
    def _canvas(self) -> dict[int, Learner]:
        return {each.canvas: each for each in self.learners if each.canvas is not None}

    def participant(self, number: int) -> Learner | None:
        """Whose participant number it is in some assignment of Moodle's."""
        return self._numbers.get(number)

    def canvas(self, user: int) -> Learner | None:
        """Whose user id it is in Canvas."""
        return self._canvas.get(user)

    def named(self, name: str) -> list[Learner]:
        """All who are called `name`, as Moodle writes it into the name of a file."""
        return self._names.get(_name(name), [])

    def called(self, name: str) -> list[Learner]:
        """All whom `name` may mean: an id, a number, an address, or a name in full."""
        found = self.ids.get(name) or self.ids.get(safe_id(name))
        if found:
            return [found]
        return self._keys.get(name.strip().casefold()) or self.named(name)


def _name(text: str) -> str:
    text = NOT_IN_FILES.sub("", unicodedata.normalize("NFKC", text).replace(",", " "))
    return " ".join(text.replace("_", " ").casefold().split())


# Kept


def path() -> Path:
    """Where the roster is."""
    return state() / "roster.json"


def stamp() -> tuple | None:
    """What changes whenever the roster does."""
    try:
        status = path().stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def load() -> Roster | None:
    """The roster, None if there is none.

    Raises:
        CourseError: the file is damaged.
    """
    try:
        data = json.loads(path().read_text(encoding="utf-8"))
        learners = [
            Learner(**each | {"participants": tuple(each["participants"])})
            for each in data["learners"]
        ]
        return Roster(learners, data["columns"])
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise CourseError(
            f"{path()} is damaged ({error}): delete it, and run `course roster` again"
        ) from error


def save(roster: Roster) -> None:
    """Keep the roster, for its owner to read."""
    data = {
        "schema": 1,
        "learners": [asdict(each) for each in roster],
        "columns": roster.columns,
    }
    text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    verdicts.write(path(), text.encode(), mode=0o600)


# Changed


def merged(old: Roster | None, new: Roster) -> Roster:
    """The new roster, with the participant numbers that the old one knew."""
    if old is None:
        return new
    learners = [
        replace(each, participants=old.ids[each.id].participants)
        if each.id in old.ids
        else each
        for each in new
    ]
    return Roster(learners, new.columns or old.columns)


def numbered(old: Roster | None, sheet: Iterable[tuple[str, int, Learner]]) -> Roster:
    """The old roster with the participant numbers of a worksheet: (place, number, what
    it says of the learner).

    Raises:
        CourseError: it names nobody, or somebody who is not on the roster.
    """
    if old is None:
        raise CourseError(
            "a grading worksheet adds to a roster, and there is none yet: export the "
            "gradebook or the list of participants, and run `course roster` with that"
        )
    learners, wrong = dict(old.ids), []
    holders = {n: each.id for each in old for n in each.participants}
    for place, number, said in sheet:
        keys = [key for key in (said.number, said.email) if key]
        found = next(filter(None, map(old.called, keys)), old.named(said.name))
        if not (keys or said.name):
            wrong.append(f"{place} names nobody: reveal identities, download it again")
        elif len(found) != 1:
            who = "more than one" if found else "nobody"
            wrong.append(f"{place} {who} on the roster is {said.name or keys[0]}")
        elif holders.setdefault(number, found[0].id) != found[0].id:
            wrong.append(f"{place} participant {number} is {holders[number]} already")
        else:
            one = learners[found[0].id]
            numbers = tuple(sorted({*one.participants, number}))
            learners[one.id] = replace(one, participants=numbers)
    if wrong:
        raise CourseError("\n".join(wrong[:20]))
    return Roster(list(learners.values()), old.columns)


@click.command("roster")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def roster_command(file):
    """Take the list of learners from FILE, a CSV of your own, Moodle's or Canvas's."""
    from course.grading import roster_csv

    table = roster_csv.read(file)
    old = load()
    if table.kind == "worksheet":
        new = numbered(old, table.sheet())
    else:
        new = merged(old, Roster(table.learners(), table.columns))
    save(new)
    before = old.ids if old else {}
    count = Counter()
    for each in new:
        known = "as before" if each == before.get(each.id) else "changed"
        count[known if each.id in before else "new"] += 1
    said = ", ".join(f"{number} {what}" for what, number in sorted(count.items()))
    click.echo(f"{len(new.learners)} learners on the roster: {said}")
    for gone in sorted(before.keys() - new.ids.keys()):
        click.echo(f"no longer on it: {visible(gone)} ({visible(before[gone].name)})")
