"""`course progress`: what is done, as `course check` last saw it."""

import json

import nbformat
import pytest
from click.testing import CliRunner

from course.exercises import progress
from course.exercises.progress import progress_command, record, recorded, store
from course.exercises.run import check_command
from course.paths import CourseError


def shown():
    result = CliRunner().invoke(progress_command, catch_exceptions=False)
    assert result.exit_code == 0
    return " ".join(result.output.split())


@pytest.fixture
def second(course_folder, release):
    """A second lesson beside the first."""
    release.metadata.course.lesson = "part/second"
    nbformat.write(release, course_folder / "exercises/part/second.ipynb")


def test_what_was_never_started_or_checked_says_so(course_folder, second):
    (course_folder / "work/part").mkdir(parents=True)
    (course_folder / "work/part/second.ipynb").touch()
    text = shown()
    assert "part 0 of 10 points" in text
    assert "0/5 not started" in text
    assert "0/5 not checked yet" in text


def test_a_check_is_remembered_in_points(course_folder, fill, second):
    nbformat.write(fill(triple="triple = 1"), course_folder / "first.ipynb")
    CliRunner().invoke(check_command, ["first.ipynb"])
    text = shown()
    assert "4/5 2 passed, 1 wrong" in text
    assert "part 4 of 10 points" in text
    assert "4 of 10 points in visible tests" in text


def test_the_last_check_counts(course_folder, fill, release):
    for notebook in (fill(), release):
        nbformat.write(notebook, course_folder / "first.ipynb")
        CliRunner().invoke(check_command, ["first.ipynb"])
    assert "0/5 3 not attempted" in shown()


def test_points_are_those_of_the_release_not_those_stored(course_folder):
    record("part/first", {"double": "passed", "gone": "passed"}, ["test_double", "x"])
    assert "1/5 1 passed, 2 not attempted" in shown()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"statuses": 3}', "null"])
def test_a_damaged_store_counts_as_no_check(course_folder, content):
    record("part/first", {}, [])
    store("part/first").write_text(content)
    assert recorded("part/first") is None
    assert "0/5 not started" in shown()


def test_a_store_is_whole_or_not_there(course_folder, monkeypatch):
    record("part/first", {"double": "passed"}, ["test_double"])
    before = store("part/first").read_text()

    def fails(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(progress.Path, "replace", fails)
    with pytest.raises(CourseError, match="disk full; `course doctor`"):
        record("part/first", {}, [])
    assert store("part/first").read_text() == before
    assert json.loads(before)["passed"] == ["test_double"]


def test_nothing_to_do_is_no_error(course_folder):
    (course_folder / "exercises/part/first.ipynb").unlink()
    assert "0 of 0 points" in shown()


def test_the_next_command_is_that_of_what_is_begun_else_of_something_new(
    course_folder, second
):
    everything = ["test_double", "test_double_twice", "test_triple", "test_Tally"]
    assert "next: course start part/first" in shown()
    record("part/second", {"double": "wrong"}, [])
    assert "next: course check part/second" in shown()
    record("part/second", {}, everything)
    assert "next: course start part/first" in shown()
    record("part/first", {}, everything)
    assert "next" not in shown()
