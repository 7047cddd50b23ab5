"""Where the gradebook is: one file says so, and everything follows it."""

import importlib.util

import pytest
from room import PART, keep_gradebook_at

from course.grading import grade, writer
from course.paths import CourseError, database

ADDRESS = "postgresql+psycopg://course:secret@db/course"


@pytest.fixture
def say(classroom):
    def write(text, mode=0o600):
        path = classroom.state / "gradebook.url"
        path.touch(mode)
        path.chmod(mode)
        path.write_text(text)

    return write


def test_without_a_word_it_is_a_file_in_the_private_folder(classroom):
    assert database() == f"sqlite:///{classroom.state / 'gradebook.db'}"


def test_one_line_says_where_else_it_is(say):
    say(ADDRESS + "\n")
    assert database() == ADDRESS
    assert writer.config().CourseDirectory.db_url == ADDRESS


def test_a_password_that_others_can_read_is_refused(say):
    say(ADDRESS, mode=0o644)
    with pytest.raises(CourseError, match="chmod 600"):
        database()


@pytest.mark.parametrize("text", ["", "mysql://x/y", f"{ADDRESS} and more", "course"])
def test_what_is_no_address_is_not_taken_for_one(say, text):
    say(text)
    with pytest.raises(CourseError, match="must hold one address"):
        database()


def test_a_driver_that_is_missing_is_named(say, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n: None if n == "psycopg" else find(n)
    )
    say(ADDRESS)
    with pytest.raises(CourseError, match=r"\.\[scale\]"):
        database()


def test_a_server_that_does_not_answer_is_a_sentence(say, tmp_path):
    say(f"postgresql+psycopg://course@/course?host={tmp_path}")
    with pytest.raises(CourseError, match="the gradebook cannot be reached"):
        writer.Writer()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_two_machines_do_not_write_into_one_gradebook(classroom):
    with writer.Writer() as first:
        with pytest.raises(CourseError, match="another machine writes"):
            writer.Writer()
        with first.transaction():
            pass
    writer.Writer().close()


@pytest.mark.usefixtures("measured")
def test_a_gradebook_that_moves_is_filled_from_the_store(
    classroom, judges, server, released, calls
):
    classroom.submit("ada", double="passed", triple="half")
    grade.run(PART, [], judges, "base")
    rows, asked = classroom.rows(), calls()
    keep_gradebook_at(server.url(server.database(released)), classroom.state)
    report = grade.run(PART, [], judges, "base")
    assert (report.recorded, report.judged) == (1, 0)
    assert classroom.rows() == rows
    assert calls() == asked


def test_the_doctor_names_the_server_and_no_password(say):
    from course import doctor

    say(ADDRESS)
    good, what, _ = doctor.gradebook()
    assert good
    assert "PostgreSQL, db/course" in what
    assert "secret" not in what


def test_the_doctor_passes_on_what_is_wrong_with_the_address(say):
    from course import doctor

    say("nonsense")
    good, _, advice = doctor.gradebook()
    assert not good
    assert "must hold one address" in advice
