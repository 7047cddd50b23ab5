"""nbgrader's own commands release, grade and return a class; the judge decides."""

import csv
import html
import re
import sqlite3

import nbformat
import pytest

from course.exercises import proof
from course.exercises.classroom import Classroom
from course.exercises.proof import Body
from course.exercises.source import read
from course.paths import root

LESSON = "positional_encoding/rotary"
PART = "positional_encoding"

# How many of each hand in.
CLASS = {
    **{"solved": 3, "untouched": 3, "syntax_error": 3, "endless_loop": 2},
    # Warnings must not cost, tags must not earn anything.
    **{"solved_with_warnings": 1, "untouched_with_tags": 1},
    **{"wrong_1": 3, "wrong_2": 2, "wrong_3": 2},
}

# Behind an answer: every call of it warns.
LOUD = """
quiet = {0}


def {0}(*arguments, **named):
    warnings.warn("loud")
    return quiet(*arguments, **named)
"""


def reference_of(source, task):
    return next(c.source for c in source.cells if c.id == task.name)


def tagged(text):
    """A notebook whose test cells ask not to be run."""
    notebook = nbformat.reads(text, as_version=4)
    for cell in notebook.cells:
        if cell.id.startswith("test_"):
            cell.metadata.tags = ["skip-execution", "raises-exception"]
    return nbformat.writes(notebook)


@pytest.fixture(scope="module")
def source():
    return read(LESSON)


@pytest.fixture(scope="module")
def bodies(source):
    """What is handed in, by kind; the wrong ones are wrong in a task each."""
    reference, stub, *_ = proof.implied(source)
    first, *_ = source.tasks
    tests = frozenset(cell.id for cell in source.cells if cell.kind == "test")
    written = proof.written(source)
    wrong = [
        next(
            b for b in written if b.name.startswith("wrong") and task.name in b.answers
        )
        for task in source.tasks[:3]
    ]
    broken = {"syntax_error": f"def {first.name}(:", "endless_loop": "while True: pass"}
    loud = {
        first.name: "import warnings\n\nwarnings.simplefilter('always')\n"
        f"{reference_of(source, first)}\n\n{LOUD.format(first.name)}"
    }
    return {
        "solved": reference,
        "solved_with_warnings": Body("loud", "loud", loud),
        "untouched": stub,
        "untouched_with_tags": stub,
        **{
            name: Body(name, name, {first.name: code}, tests)
            for name, code in broken.items()
        },
        **{f"wrong_{number}": body for number, body in enumerate(wrong, 1)},
    }


@pytest.fixture(scope="module")
def expected(source, bodies):
    """Points by kind and test, by the source where nothing has to run."""
    first, *_ = source.tasks
    points = {
        name: {cell.id: cell.points for cell in source.cells if cell.kind == "test"}
        for name in CLASS
    }
    for kind in ("untouched", "untouched_with_tags"):
        points[kind] = dict.fromkeys(points[kind], 0)
    for cell in source.cells:
        if cell.kind == "test" and cell.task == first.name:
            points["syntax_error"][cell.id] = points["endless_loop"][cell.id] = 0
    wrong = [name for name in CLASS if name.startswith("wrong")]
    rows = proof.trial(source, [(bodies[name], "0") for name in wrong])
    for name, row in zip(wrong, rows):
        points[name] = {test: result.points for test, result in row.items()}
    return points


@pytest.fixture(scope="module")
def room(source, bodies, tmp_path_factory):
    """The class, graded in one run, with its feedback."""
    room = Classroom(tmp_path_factory.mktemp("class"), [source])
    room.nbgrader("generate_assignment", PART)
    for kind, count in CLASS.items():
        text = proof.submission(source, bodies[kind])
        if kind == "untouched_with_tags":
            text = tagged(text)
        for number in range(count):
            room.submit(f"{kind}-{number}", LESSON, text)
    room.nbgrader("autograde", PART)
    room.nbgrader("generate_feedback", PART)
    room.nbgrader("export")
    return room


def kind_of(student):
    return student.rpartition("-")[0]


def test_release_is_what_is_committed(room, source):
    notebook = f"exercises/{LESSON}.ipynb"
    assert (room.folder / notebook).read_bytes() == (root() / notebook).read_bytes()
    files = [path for path in (room.folder / "exercises").rglob("*") if path.is_file()]
    assert files == [room.folder / notebook]


def test_gradebook_holds_the_graded_cells_and_is_private(room, source):
    with sqlite3.connect(room.state / "gradebook.db") as gradebook:
        rows = gradebook.execute(
            "select base_cell.name, grade_cells.max_score from grade_cells "
            "join base_cell on base_cell.id = grade_cells.id"
        ).fetchall()
        version = gradebook.execute("select * from alembic_version").fetchall()
    assert dict(rows) == {c.id: c.points for c in source.cells if c.kind == "test"}
    assert version
    assert room.state.stat().st_mode & 0o777 == 0o700
    assert not list(room.folder.rglob("*.db"))


def test_every_test_cell_has_its_points(room, expected):
    points = room.points(LESSON)
    assert len(points) == sum(CLASS.values()) == 20
    assert points == {student: expected[kind_of(student)] for student in points}


def test_the_exported_table_is_right(room, source, expected):
    total = sum(task.points for task in source.tasks)
    with open(room.folder / "grades.csv", newline="") as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file)}
    assert len(rows) == 20
    for student, row in rows.items():
        assert float(row["score"]) == sum(expected[kind_of(student)].values())
        assert float(row["max_score"]) == total
        assert row["assignment"] == PART
    scores = {float(row["score"]) for row in rows.values()}
    assert {0, total} < scores


def test_feedback_shows_the_score(room, source, expected):
    total = sum(task.points for task in source.tasks)
    for kind in CLASS:
        page = room.folder / f"grading/feedback/{kind}-0/{LESSON}.html"
        text = re.sub(r"<[^>]+>", " ", html.unescape(page.read_text("utf-8")))
        score = sum(expected[kind].values())
        assert re.search(rf"Score: {score:.1f} / {total:.1f}", text)


def test_nothing_but_the_ignored_folders_was_written(room):
    assert {path.name for path in room.folder.iterdir()} == {
        *("_build", "exercises", "grading", "grades.csv"),
        *("lib", "nbgrader_config.py", "pyproject.toml", "solutions"),
    }
