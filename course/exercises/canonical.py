"""A learner's notebook, rebuilt on the release.

Order, metadata, points and tests come from the release; from the learner come the
sources of the answer cells and the cells the release does not know. Nothing here runs
a learner's code, and no function but `load` touches a file.

A notebook is a dict as in its JSON, so nbformat's NotebookNode is one. nbformat itself
is not imported: that takes a second, on every `course check`.
"""

import ast
import copy
import itertools
import json
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from course.paths import CourseError

LARGEST = 32 * 2**20
MOST_CELLS = 2000
MOST_BRACKETS = 10**6  # lists and objects, those within strings counted too
CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
HEADING = re.compile(r"^##\s+(?:\d+\s*·\s*)?(.+?)\s*$", re.MULTILINE)
# What browsers, file managers and notebook programs make of a file's name: "x (1)",
# "x-Copy1", "x_2", "x copy 2", "x - Copy (2)"; Colab's "Copy of x".
COPY = re.compile(r"^Copy of |(( - |[ _-])[Cc]opy)?([ _-]?\(?\d*\)?)$")
DEFINES = re.compile(
    r"^(?:(?:async\s+)?def|class)\s+(\w+)|^(\w+)\s*(?::[^=\n]+)?=(?!=)", re.MULTILINE
)


@dataclass(frozen=True)
class Note:
    """Something the learner should know of how the notebook was read."""

    code: str
    text: str


@dataclass(frozen=True)
class Task:
    """An answer cell of a release with the cells that test it."""

    name: str
    title: str
    tests: dict[str, float]  # grade id -> points

    @property
    def points(self) -> float:
        """What the task is worth."""
        return sum(self.tests.values())


# Reading


def load(path: Path) -> dict:
    """The notebook in the file at `path`.

    Raises:
        CourseError: there is no such file, or it is not a notebook one can read.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise CourseError(f"{path}: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise CourseError(f"{path} is not a file")
    try:
        _refuse_size(status.st_size)
        return read(path.read_bytes())
    except CourseError as error:
        raise CourseError(f"{path}: {error}") from error


def read(data: bytes) -> dict:
    """The notebook in `data`: UTF-8, strict JSON, format 3 or 4; outputs are dropped,
    since what a cell once displayed must neither cost nor earn anything.

    Raises:
        CourseError: what is wrong with it, and where.
    """
    _refuse_size(len(data))
    # Parsed, some millions of empty lists take seconds and gigabytes.
    brackets = data.count(b"[") + data.count(b"{")
    if brackets > MOST_BRACKETS:
        raise CourseError(
            f"{brackets} lists and objects are too many for a notebook (limit "
            f"{MOST_BRACKETS}): clear its outputs and save it again"
        )
    try:
        raw = json.loads(_text(data), parse_constant=_refuse_constant)
        return _notebook(raw)
    except json.JSONDecodeError as error:
        raise CourseError(
            f"not valid JSON at line {error.lineno}, column {error.colno}: "
            f"{error.msg}; the file was cut or edited by hand"
        ) from error
    except ValueError as error:  # an integer of more digits than Python reads
        raise CourseError(f"not valid JSON: {error}") from error
    except RecursionError as error:
        raise CourseError("not a notebook: nested too deeply") from error


def _refuse_size(size: int) -> None:
    if size > LARGEST:
        raise CourseError(
            f"{size / 2**20:.0f} MiB is too large for a notebook (limit "
            f"{LARGEST // 2**20} MiB): clear its outputs and save it again"
        )


def _refuse_constant(name: str):
    raise CourseError(f"not valid JSON: {name} is not a JSON number")


def _text(data: bytes) -> str:
    if not data.strip():
        raise CourseError("the file is empty")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4]:
        raise CourseError("the file is UTF-16 or UTF-32: save it as UTF-8")
    if data.startswith(b"\xef\xbb\xbf"):
        raise CourseError("the file begins with a byte order mark: save it without")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CourseError(f"line {line} is not UTF-8: {error.reason}") from error


def _notebook(raw) -> dict:
    """What of a notebook's JSON is used here; only that is checked, with the place."""
    if not isinstance(raw, dict) or raw.get("nbformat") not in (3, 4):
        raise CourseError(
            "not a notebook of format 4: open it in Jupyter and save it again"
        )
    cells = _sheets(raw) if raw["nbformat"] == 3 else raw.get("cells")
    if not isinstance(cells, list):
        raise CourseError("not a notebook: it has no list of cells")
    if len(cells) > MOST_CELLS:
        raise CourseError(f"{len(cells)} cells are too many (limit {MOST_CELLS})")
    metadata = raw.get("metadata")
    if not isinstance(metadata, dict):
        raise CourseError("not a notebook: its metadata are not an object")
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": []}
    seen = set()
    for number, cell in enumerate(cells, 1):
        cell = _cell(number, cell)
        if cell["id"] in seen:
            cell["id"] = f"unnamed-{number}"
        seen.add(cell["id"])
        notebook["cells"].append(cell)
    return notebook


def _sheets(raw: dict) -> list | None:
    """The cells of a notebook of format 3."""
    sheets = raw.get("worksheets")
    lists = [sheet.get("cells") for sheet in sheets] if _are(dict, sheets) else [None]
    return [cell for cells in lists for cell in cells] if _are(list, lists) else None


def _cell(number: int, raw) -> dict:
    def refuse(what):
        raise CourseError(f"not a notebook: cell {number} {what}")

    if not isinstance(raw, dict):
        refuse("is not an object")
    kind = raw.get("cell_type")
    if kind == "heading":  # of format 3
        kind = "markdown"
    if kind not in ("code", "markdown", "raw"):
        refuse("is neither code nor text")
    source = raw.get("source", raw.get("input"))
    if _are(str, source):
        source = "".join(source)
    if not isinstance(source, str):
        refuse("has no source")
    try:
        source.encode("utf-8")
    except UnicodeEncodeError:
        refuse("holds half a character")
    metadata = raw.get("metadata", {})
    if not isinstance(metadata, dict):
        refuse("has metadata that are not an object")
    # Older formats and some tools leave ids out.
    name = raw.get("id")
    if not isinstance(name, str) or not CELL_ID.fullmatch(name):
        name = f"unnamed-{number}"
    return _new(kind, source, name, metadata)


def _new(kind: str, source: str, name: str, metadata: dict) -> dict:
    cell = {"cell_type": kind, "id": name, "metadata": metadata, "source": source}
    if kind == "code":
        cell |= {"outputs": [], "execution_count": None}
    return cell


def _are(kind: type, values) -> bool:
    return isinstance(values, list) and all(isinstance(each, kind) for each in values)


# What a release says


def grade_id(cell: dict) -> str | None:
    """nbgrader's name of a cell."""
    value = _nbgrader(cell).get("grade_id")
    return value if isinstance(value, str) else None


def is_answer(cell: dict) -> bool:
    """Whether a release's cell is for the learner to fill in."""
    return _nbgrader(cell).get("solution") is True


def is_test(cell: dict) -> bool:
    """Whether a release's cell carries points."""
    return not is_answer(cell) and _nbgrader(cell).get("grade") is True


def _nbgrader(cell: dict) -> dict:
    value = cell["metadata"].get("nbgrader")
    return value if isinstance(value, dict) else {}


def tasks(release: dict) -> tuple[Task, ...]:
    """The tasks of a release, in order.

    A test `test_<task>` or `test_<task>_<aspect>` belongs to the nearest answer cell
    above it whose name fits.
    """
    titles, tests, heading = {}, {}, ""
    for cell in release["cells"]:
        if cell["cell_type"] == "markdown":
            heading = (HEADING.findall(cell["source"]) or [heading])[-1]
        elif is_answer(cell):
            titles[grade_id(cell)], tests[grade_id(cell)] = heading, {}
        elif is_test(cell):
            name = grade_id(cell)
            task = next(
                t for t in reversed(tests) if f"{name}_".startswith(f"test_{t}_")
            )
            tests[task][name] = float(_nbgrader(cell)["points"])
    return tuple(Task(name, titles[name] or name, tests[name]) for name in tests)


def defined(source: str) -> set[str]:
    """The names that `source` defines at top level, valid Python or not."""
    return {function or name for function, name in DEFINES.findall(source)}


def is_stub(source: str, stub: str) -> bool:
    """Whether `source` has no code that `stub` has not; comments do not count."""
    if _plain(source) == _plain(stub):
        return True
    try:
        tree = ast.parse(source)
        return not tree.body or ast.dump(tree) == ast.dump(ast.parse(stub))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False  # what does not parse is at least an attempt


def _plain(source: str) -> str:
    return "\n".join(line.rstrip() for line in source.strip().splitlines())


# Identity


def lesson_of(
    notebook: dict, path: PurePath, lessons: Iterable[str]
) -> tuple[str, list[Note]]:
    """The lesson, of those that exist, that a notebook belongs to.

    What is written in the notebook decides; where that is lost, its file name.

    Raises:
        CourseError: neither names a lesson.
    """
    lessons = list(lessons)
    claimed = _claim(notebook)
    named = [each for each in lessons if each.split("/")[1] == path.stem]
    if not named:
        stem = COPY.sub("", path.stem)
        named = [each for each in lessons if each.split("/")[1] == stem]
    named = [each for each in named if each.split("/")[0] == path.parent.name] or named
    if claimed in lessons:
        if claimed in named:
            return claimed, []
        return claimed, [Note("renamed", f"{path.name} is a notebook of {claimed}")]
    if claimed is not None:
        raise CourseError(f"{path} belongs to {claimed!r}, which is not in this course")
    if len(named) == 1:
        text = f"{path.name} has lost its identity; going by its name: {named[0]}"
        return named[0], [Note("no-identity", text)]
    which = " or ".join(named) or "<part>/<lesson>"
    raise CourseError(
        f"{path} does not say which exercise it is: save it as {which}.ipynb"
    )


def _claim(notebook: dict) -> str | None:
    course = notebook["metadata"].get("course")
    lesson = course.get("lesson") if isinstance(course, dict) else None
    return lesson if isinstance(lesson, str) else None


# Rebuilding


def canonical(release: dict, learner: dict) -> tuple[dict, list[Note]]:
    """The release with the learner's answers and own cells in it.

    A cell of the learner's is recognised by nbgrader's grade id, else by its cell id,
    else by the release's text; an answer that is nowhere to be found, by the names its
    stub defines. Of several answers the last that is not the stub wins. A cell that
    the release does not know stays behind the cell it followed.

    Raises:
        CourseError: `learner` says that it is another exercise's notebook.
    """
    lesson, claimed = _claim(release), _claim(learner)
    if claimed not in (None, lesson):
        raise CourseError(f"this is the notebook of {claimed!r}, not of {lesson!r}")
    places = _places(release, learner)
    notes = _changes(release, learner, places)
    if not any(map(grade_id, learner["cells"])):
        text = "the cells have lost nbgrader's metadata: answers were found without it"
        notes.append(Note("metadata-lost", text))
    answers = _answers(release, learner, places, notes)

    followers = {place: [] for place in range(-1, len(release["cells"]))}
    anchor = -1
    for cell, place in zip(learner["cells"], places):
        if place is not None:
            anchor = place
        elif cell["source"].strip():
            followers[anchor].append(cell)

    rebuilt = copy.deepcopy(release)
    for place, source in answers.items():
        rebuilt["cells"][place]["source"] = source
    numbers = itertools.count(1)
    cells = []
    for place, own in followers.items():
        cells += rebuilt["cells"][place : place + 1] if place >= 0 else []
        cells += [
            _new(cell["cell_type"], cell["source"], f"own-{next(numbers)}", {})
            for cell in own
        ]
    rebuilt["cells"] = cells
    return rebuilt, notes


def cells(release: dict, notebook: dict) -> list[dict]:
    """A canonical notebook's code cells as a job has them: {"id", "kind": given | own |
    answer | test, "task", "source", "stub" (answers), "points" (tests)}.
    """
    stubs = {c["id"]: c["source"] for c in release["cells"] if is_answer(c)}
    given = {cell["id"] for cell in release["cells"]}
    tests = {test: (t.name, t.tests[test]) for t in tasks(release) for test in t.tests}
    found = []
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        name = cell["id"]
        test = grade_id(cell) if name in given else None
        if name in stubs:
            kind, more = "answer", {"task": test, "stub": stubs[name]}
        elif test in tests:
            task, points = tests[test]
            kind, more = "test", {"task": task, "points": points}
            name = test
        else:
            kind, more = "given" if name in given else "own", {"task": None}
        found.append({"id": name, "kind": kind, "source": cell["source"], **more})
    return found


def _places(release, learner) -> list[int | None]:
    """For each of the learner's cells, the index of the release's cell that it is."""
    by_grade, by_id, by_text = {}, {}, {}
    for place, cell in enumerate(release["cells"]):
        by_grade.setdefault(grade_id(cell), place)
        by_id.setdefault(cell["id"], place)
        by_text.setdefault((cell["cell_type"], _plain(cell["source"])), place)
    by_grade.pop(None, None)

    def find(cell):
        named = by_grade.get(grade_id(cell), by_id.get(cell["id"]))
        if named is None:
            return by_text.get((cell["cell_type"], _plain(cell["source"])))
        return named

    return [find(cell) for cell in learner["cells"]]


def _changes(release, learner, places) -> list[Note]:
    """Notes on given code and tests that the learner edited: the release's are used."""
    notes = {}
    for cell, place in zip(learner["cells"], places):
        if place is None or release["cells"][place]["cell_type"] != "code":
            continue
        original = release["cells"][place]
        if is_answer(original) or _plain(cell["source"]) == _plain(original["source"]):
            continue
        if is_test(original):
            text = f"{grade_id(original)} was edited: the original test is used"
            notes[place] = Note("test-restored", text)
        else:
            text = (
                f"the given cell {original['id']} was edited: the original is used; "
                "code of your own belongs into an answer or a new cell"
            )
            notes[place] = Note("given-restored", text)
    return [note for _, note in sorted(notes.items())]


def _answers(release, learner, places, notes) -> dict[int, str]:
    """The answer for each answer cell that has one; corrects `places`, adds `notes`."""
    sources = [cell["source"] for cell in learner["cells"]]
    unknown = [
        index
        for index, (cell, place) in enumerate(zip(learner["cells"], places))
        if place is None and cell["cell_type"] == "code"
    ]
    answers = {}
    for home, cell in enumerate(release["cells"]):
        if not is_answer(cell):
            continue
        name, stub = grade_id(cell), cell["source"]
        names = defined(stub)
        found = [index for index, place in enumerate(places) if place == home]
        tried = [index for index in found if not is_stub(sources[index], stub)]
        if not tried and names:
            tried = [index for index in unknown if names <= defined(sources[index])]
            if tried:
                text = f"the answer to {name} was found in another cell"
                notes.append(Note("moved", text))
        if not tried:
            if not found:
                text = f"there is no answer cell for {name}: counted as not attempted"
                notes.append(Note("missing", text))
            continue
        # A piece split off an answer does not define what was asked for; it stays
        # a cell of its own.
        whole = [index for index in tried if names <= defined(sources[index])]
        whole = whole or tried[-1:]
        if len(whole) > 1:
            text = f"{name} is answered {len(whole)} times: the last one counts"
            notes.append(Note("several", text))
        for index in tried:
            places[index] = home if index in whole else None
        answers[home] = sources[whole[-1]]
    return answers
