"""`course start`: a copy of one's own, never overwritten."""

import pytest
from click.testing import CliRunner

from course.exercises.start import start_command
from course.paths import CourseError


def start(lesson):
    return CliRunner().invoke(start_command, [lesson], catch_exceptions=False)


def test_the_copy_is_the_release_and_the_next_two_commands_are_told(course_folder):
    output = start("part/first").output
    copy = course_folder / "work/part/first.ipynb"
    original = course_folder / "exercises/part/first.ipynb"
    assert copy.read_bytes() == original.read_bytes()
    assert "jupyter lab work/part/first.ipynb" in output
    assert "course check part/first" in output


def test_paths_are_told_as_seen_from_where_one_stands(course_folder, monkeypatch):
    monkeypatch.chdir(course_folder / "exercises")
    copy = course_folder / "work/part/first.ipynb"
    assert f"jupyter lab {copy}" in start("part/first").output


def test_a_copy_is_never_overwritten(course_folder):
    start("part/first")
    copy = course_folder / "work/part/first.ipynb"
    copy.write_text("mine")
    with pytest.raises(CourseError, match=r"work/part/first\.ipynb") as caught:
        start("part/first")
    assert copy.read_text() == "mine"
    assert "course start part/first" in str(caught.value)
    assert "Go on: jupyter lab work/part/first.ipynb" in str(caught.value)


def test_a_work_folder_that_cannot_be_made_is_a_sentence(course_folder):
    (course_folder / "work").write_text("a file")
    with pytest.raises(CourseError, match=r"cannot write work/part/first\.ipynb: "):
        start("part/first")


@pytest.mark.parametrize("name", ["part/frist", "first", "prt/first"])
def test_an_unknown_lesson_is_answered_with_close_ones(course_folder, name):
    with pytest.raises(CourseError, match="did you mean:\n  part/first"):
        start(name)


@pytest.mark.parametrize("name", ["", "zzz", "../exercises/part/first", "/etc/passwd"])
def test_an_unknown_lesson_is_answered_with_all_where_none_is_close(
    course_folder, name
):
    with pytest.raises(CourseError, match="\n  part/first"):
        start(name)
    assert not (course_folder / "work").exists()
