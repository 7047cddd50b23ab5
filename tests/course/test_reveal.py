"""`course reveal`: one reference answer, after an attempt, and it is told."""

import subprocess
import sys

import nbformat
import pytest
from click.testing import CliRunner

from course.exercises import canonical
from course.exercises.progress import progress_command, record, recorded, store
from course.exercises.regions import SOLUTION
from course.exercises.reveal import answer, reveal_command
from course.exercises.run import Warm, check_file
from course.exercises.source import read
from course.exercises.start import release_path
from course.paths import CourseError, lessons, root

SOURCE = f"""\
# %% solution="double" difficulty=1 minutes=5
def double(x):
    {SOLUTION[0]}
    # A sum needs no multiplication.
    return x + x
    {SOLUTION[1]}


# %% test="double" points=1
assert double(2) == 4

# %% solution="triple" difficulty=1 minutes=5
def triple(x):
    {SOLUTION[0]}
    return 3 * x
    {SOLUTION[1]}
"""
DOUBLE = """\
def double(x):
    # A sum needs no multiplication.
    return x + x
"""
TRIPLE = "def triple(x):\n    return 3 * x\n"


@pytest.fixture
def checkout(course_folder):
    """The small course with its exercise source."""
    path = course_folder / "solutions/part/first.py"
    path.parent.mkdir(parents=True)
    path.write_text(SOURCE)
    return course_folder


def reveal(*arguments):
    return CliRunner().invoke(reveal_command, arguments, catch_exceptions=False)


def shown():
    result = CliRunner().invoke(progress_command, catch_exceptions=False)
    return " ".join(result.output.split())


def test_the_code_alone_goes_into_a_pipe(checkout):
    record("part/first", {"double": "wrong", "triple": "wrong"}, [])
    result = reveal("part/first", "double")
    assert result.stdout == DOUBLE
    assert "others pass too" in result.stderr
    assert "next: " in result.stderr
    assert reveal("part/first", "triple").stdout == TRIPLE


def test_a_terminal_gets_colours(checkout):
    record("part/first", {"double": "wrong"}, [])
    arguments = ["part/first", "double"]
    result = CliRunner().invoke(reveal_command, arguments, color=True)
    assert "\x1b[" in result.stdout


@pytest.mark.parametrize("status", [None, "not attempted", "grader error"])
def test_without_an_attempt_there_is_nothing_to_see(checkout, status):
    if status:
        record("part/first", {"double": status, "triple": "wrong"}, [])
    with pytest.raises(CourseError, match=r"try double first.*check part/first"):
        reveal("part/first", "double")
    assert "revealed" not in shown()


@pytest.mark.parametrize("status", ["passed", "wrong", "crashed", "timed out"])
def test_every_attempt_that_was_judged_is_one(checkout, status):
    record("part/first", {"double": status}, [])
    assert reveal("part/first", "double").stdout == DOUBLE


def test_an_attempt_that_was_taken_back_was_one(checkout):
    record("part/first", {"double": "wrong"}, [])
    record("part/first", {"double": "not attempted"}, [])
    assert reveal("part/first", "double").stdout == DOUBLE


def test_the_notebook_is_not_touched(checkout, fill):
    (checkout / "work/part").mkdir(parents=True)
    nbformat.write(fill(double="double = 1"), checkout / "work/part/first.ipynb")
    record("part/first", {"double": "wrong"}, [])

    def contents():
        return {
            path: path.read_bytes()
            for path in checkout.rglob("*")
            if path.is_file() and path != store("part/first")
        }

    before = contents()
    reveal("part/first", "double")
    assert contents() == before


TESTS = ["test_double", "test_double_twice", "test_Tally"]
SOLVED = {"double": "passed", "triple": "wrong", "Tally": "passed"}


def test_what_passes_after_a_reveal_is_told_as_such(checkout):
    record("part/first", SOLVED | {"double": "wrong"}, ["test_Tally"])
    reveal("part/first", "double")
    assert "1/5 2 wrong, 1 passed (revealed: double)" in shown()
    record("part/first", SOLVED, TESTS)
    assert "1 passed after reveal, 1 wrong, 1 passed (revealed: double)" in shown()
    assert "4 of 5 points in visible tests, as last checked, 3 of them after" in shown()
    record("part/first", SOLVED | {"triple": "passed"}, [*TESTS, "test_triple"])
    assert "1 passed after reveal, 2 passed (revealed: double)" in shown()


def test_what_passed_before_a_reveal_stays_passed(checkout):
    record("part/first", SOLVED, TESTS)
    reveal("part/first", "double")
    record("part/first", SOLVED | {"double": "wrong"}, [])
    record("part/first", SOLVED, TESTS)
    assert "4/5 2 passed, 1 wrong (revealed: double)" in shown()
    assert "after reveal" not in shown()


def test_a_record_of_an_earlier_version_is_understood(checkout):
    record("part/first", {}, [])
    path = checkout / "work/part/.first.json"
    path.write_text(
        '{"statuses": {"double": "wrong", "triple": "passed"}, "passed":[]}'
    )
    assert recorded("part/first").attempted == ["double", "triple"]
    assert recorded("part/first").unaided == ["triple"]
    assert reveal("part/first", "double").stdout == DOUBLE


def test_a_release_says_whom_to_ask(course_folder):
    record("part/first", {"double": "wrong"}, [])
    with pytest.raises(CourseError, match="Ask your instructor for that of double"):
        reveal("part/first", "double")
    assert "revealed" not in shown()


@pytest.mark.parametrize("arguments", [["part/first"], ["part/first", "dubble"]])
def test_the_tasks_are_listed_where_none_is_named(checkout, arguments):
    with pytest.raises(CourseError, match="course reveal part/first double   Doubling"):
        reveal(*arguments)


def test_a_failed_check_names_it_only_where_it_can_help(
    checkout, fill, release, capsys
):
    def check(notebook):
        nbformat.write(notebook, checkout / "first.ipynb")
        check_file(checkout / "first.ipynb", warm)
        return capsys.readouterr().out

    with Warm() as warm:
        assert "course reveal part/first double" in check(fill(double="double = 1"))
        assert "course reveal" not in check(release)
        assert "next: course progress" in check(fill())
        (checkout / "solutions/part/first.py").unlink()
        assert "course reveal" not in check(fill(double="double = 1"))


@pytest.mark.parametrize("lesson", lessons())
def test_the_answer_shown_is_the_one_that_is_proved(lesson):
    tasks = canonical.tasks(canonical.load(release_path(lesson)))
    proved = {cell.id: cell.source for cell in read(lesson).cells}
    for task in tasks:
        lines = proved[task.name].split("\n")
        kept = [line for line in lines if line.strip() not in SOLUTION]
        assert answer(lesson, task.name) == "\n".join(kept).strip("\n")


def test_jupytext_is_not_needed():
    code = (
        "import sys; sys.modules['jupytext'] = None\n"
        "from course.exercises.reveal import answer\n"
        "print(answer('positional_encoding/rotary', 'rotate'))"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=root(), capture_output=True, text=True)
    assert result.stdout.startswith("def rotate("), result.stderr
