"""Due dates, extensions and penalties: what the file says, the gradebook shows."""

import datetime
import re
from pathlib import Path

import office
import pytest
from nbgrader.api import Gradebook
from room import PART

from course.grading import dates, grade, plugin, pool
from course.grading.dates import Part, Policy
from course.grading.report import Page
from course.paths import CourseError, database

HOUR = 60 * 60
DAY = 24 * HOUR
FILE = """\
zone = "Europe/London"

[late]
per_cent_per_day = 10

[parts.arithmetic]
due = 2026-03-28T12:00:00

[parts.arithmetic.extensions]
ada = 2026-03-30T12:00:00
"""


@pytest.fixture
def small(course):
    (course / "solutions/arithmetic").mkdir(parents=True)
    (course / "solutions/arithmetic/first.py").touch()
    (course / "grading").mkdir()
    return course


both = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


def say(text):
    dates.path().parent.mkdir(exist_ok=True)
    dates.path().write_text(text)


def utc(*when):
    return datetime.datetime(*when, tzinfo=datetime.UTC)


def test_a_long_roster_is_read_once_for_a_class_and_again_when_it_changes(
    small, monkeypatch
):
    read = []
    monkeypatch.setattr(dates.roster, "load", lambda: read.append(1))
    say(FILE)
    for _ in range(5):
        dates.load()
    assert len(read) == 1
    monkeypatch.setattr(dates.roster, "stamp", lambda: "another")
    dates.load()
    assert len(read) == 2


# The policy


def test_every_day_begun_costs():
    policy = Policy(points_per_day=2)
    assert policy.penalty(10, 1) == 2
    assert policy.penalty(10, DAY) == 2
    assert policy.penalty(10, DAY + 1) == 4
    assert policy.penalty(10, 30 * DAY) == 10  # never more than there is


def test_per_cent_are_of_what_was_earned():
    assert Policy(per_cent_per_day=10).penalty(8, DAY + 1) == pytest.approx(1.6)


def test_the_grace_costs_nothing_and_then_the_whole_day():
    policy = Policy(points_per_day=2, grace_minutes=15)
    assert policy.penalty(10, 15 * 60) == 0
    assert policy.penalty(10, 15 * 60 + 1) == 2


def test_after_the_cut_off_nothing_counts():
    policy = Policy(points_per_day=1, cut_off_days=3)
    assert policy.penalty(10, 3 * DAY) == 3
    assert policy.penalty(10, 3 * DAY + 1) == 10


def test_a_waiver_costs_nothing():
    part = Part(policy=Policy(points_per_day=2), waivers=frozenset({"ada"}))
    assert part.penalty("ada", 10, DAY) == 0
    assert part.penalty("bob", 10, DAY) == 2


# The file


def test_no_file_says_nothing(small):
    assert dates.load() is None


def test_times_are_of_the_zone_on_either_side_of_the_change(small):
    say(FILE)
    part = dates.load().part("arithmetic")
    assert part.due == utc(2026, 3, 28, 12)
    # The clocks went forward in between: 47 hours later.
    assert part.due_for("ada") == utc(2026, 3, 30, 11)
    assert part.due_for("bob") == part.due


def test_an_offset_needs_no_zone(small):
    say("[parts.arithmetic]\ndue = 2026-10-25T01:30:00+01:00\n")
    assert dates.load().part("arithmetic").due == utc(2026, 10, 25, 0, 30)


def test_a_part_may_have_a_policy_of_its_own(small):
    say(FILE + "[parts.arithmetic.late]\npoints_per_day = 1\n")
    policy = dates.load().part("arithmetic").policy
    assert (policy.points_per_day, policy.per_cent_per_day) == (1, 0)


DUE = "due = 2026-03-28T12:00:00"
EXTENSION = "ada = 2026-03-30T12:00:00"
WRONG = {
    "syntax": (DUE, "due =", ":7: Invalid value"),
    "date": (DUE, "due = 2026-03-28", ":7: parts.arithmetic.due must be a date with a"),
    "text": (
        DUE,
        'due = "2026-03-28 12:00"',
        ":7: parts.arithmetic.due must be a date",
    ),
    "zone": ("Europe/London", "Europe/Lundun", ":1: zone is no time zone"),
    "no zone": (
        'zone = "Europe/London"',
        "",
        ":7: parts.arithmetic.due has no",
    ),
    "left out": (
        "2026-03-28T12",
        "2026-03-29T01",
        ":7: parts.arithmetic.due is a",
    ),
    "twice": ("2026-03-28T12", "2025-10-26T01", ":7: parts.arithmetic.due comes twice"),
    "part": ("arithmetic]", "arithmetik]", ":6: parts.arithmetik is no part; did you"),
    "key": ("due = ", "deu = ", ":7: parts.arithmetic.deu means nothing: there is"),
    "policy": ("per_cent_per_day", "percent", ":4: late.percent means nothing"),
    "number": (
        "per_cent_per_day = 10",
        "per_cent_per_day = -1",
        ":4: late.per_cent",
    ),
    "both": (
        "[parts.a",
        "points_per_day = 1\n[parts.a",
        ":4: late.per_cent_per_day",
    ),
    "learner": (
        EXTENSION,
        EXTENSION.replace("ada", "adda"),
        ":10: parts.arithmetic.",
    ),
    "earlier": (EXTENSION, EXTENSION.replace("30", "20"), "is no later than the due"),
    "waiver": (
        DUE,
        f'{DUE}\nwaivers = ["bib"]',
        ":8: parts.arithmetic.waivers",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_not_clear_is_said_with_line_and_key(small, tmp_path, kind):
    old, new, reason = WRONG[kind]
    office.enrol(tmp_path, "id,first_name,last_name\nada,Ada,L\nbob,Bob,B\n")
    assert old in FILE
    say(FILE.replace(old, new, 1))
    with pytest.raises(CourseError) as error:
        dates.load()
    assert reason in str(error.value)
    assert str(error.value).startswith(str(dates.path()))


def test_a_learner_is_named_by_id_and_others_names_are_translated(small, tmp_path):
    text = "id,first_name,last_name,email\nada,Ada,L,ada@x.org\n"
    office.enrol(tmp_path, text)
    say(FILE.replace(EXTENSION, EXTENSION.replace("ada", '"ada@x.org"')))
    with pytest.raises(CourseError, match="is no id; ada is"):
        dates.load()


def test_the_guides_example_is_what_the_file_may_say(small):
    guide = Path(__file__).parents[2] / "book/instructor_guide.md"
    [text] = re.findall(r"```toml\n(.*?)```", guide.read_text("utf-8"), re.DOTALL)
    say(text.replace("positional_encoding", "arithmetic"))
    part = dates.load().part("arithmetic")
    assert part.due == utc(2026, 11, 20, 23, 59)
    assert part.due_for("ada") == utc(2026, 11, 27, 23, 59)
    assert part.penalty("bob", 10, DAY) == pytest.approx(1)
    assert part.penalty("carol", 10, DAY) == 0


# The gradebook, by both doors


@pytest.fixture
def doors(classroom, judges, measured, monkeypatch):
    """By name, what grades one learner or all."""
    monkeypatch.setattr(plugin._run, "judges", judges)
    monkeypatch.setattr(pool, "level", lambda allow_weak: "base")

    def ours(*students):
        report = grade.run(PART, list(students), judges, "base")
        assert not report.failures
        return report

    def stock(*students):
        for student in students:
            assert classroom.autograde(student)["success"]

    return {"course grade": ours, "nbgrader autograde": stock}


def penalties(student):
    with Gradebook(database()) as gradebook:
        found = gradebook.find_submission(PART, student)
        return {each.name: each.late_submission_penalty for each in found.notebooks}


def lateness(student):
    with Gradebook(database()) as gradebook:
        return gradebook.find_submission(PART, student).total_seconds_late


def submit(classroom, student, when):
    classroom.submit(student, double="passed", triple="half")  # 4 points
    classroom.submit(student, "second", double="wrong", triple="passed")  # 2 points
    classroom.hand_in(student, "timestamp.txt", when)


@both
@pytest.mark.parametrize("door", ["course grade", "nbgrader autograde"])
def test_lateness_costs_the_same_by_both_doors(classroom, doors, door):
    say(FILE.replace("per_cent_per_day = 10", "points_per_day = 1.5"))
    submit(classroom, "ada", "2026-03-30 11:00:00 UTC")
    submit(classroom, "bob", "2026-03-29 12:00:01 UTC")
    doors[door]("ada", "bob")
    assert lateness("ada") == 0
    assert lateness("bob") == DAY + 1
    assert penalties("ada") == {"first": None, "second": None}
    # Two days begun: three points of the part, shared out as they were earned.
    assert penalties("bob") == pytest.approx({"first": 2, "second": 1})


@both
def test_an_extension_that_ends_in_summer_time_ends_an_hour_earlier(classroom, doors):
    say(FILE)
    submit(classroom, "ada", "2026-03-30 11:00:01 UTC")
    doors["course grade"]("ada")
    assert lateness("ada") == 1
    assert penalties("ada") == pytest.approx({"first": 0.4, "second": 0.2})


@both
def test_a_late_submission_can_be_unchanged(classroom, doors):
    say(FILE)
    submit(classroom, "bob", "2026-03-28 13:00:00 UTC")
    assert doors["course grade"]().recorded == 1
    report = doors["course grade"]()
    assert (report.recorded, report.unchanged, report.settled) == (0, 1, [])
    assert penalties("bob") == pytest.approx({"first": 0.4, "second": 0.2})


@both
def test_so_it_can_by_the_dates_and_the_policy_of_nbgrader(classroom, doors):
    with open(classroom.folder / "nbgrader_config.py", "a") as file:
        file.write("c.LateSubmissionPlugin.penalty_method = 'zero'\n")
    with Gradebook(database()) as gradebook:
        gradebook.update_or_create_assignment(PART, duedate="2026-03-28 12:00 UTC")
    submit(classroom, "bob", "2026-03-28 13:00:00 UTC")
    assert doors["course grade"]().recorded == 1
    assert doors["course grade"]().unchanged == 1
    assert penalties("bob") == {"first": 4, "second": 2}
    classroom.manual("bob", "test_triple", 2)
    assert doors["course grade"]().recorded == 1
    assert penalties("bob") == {"first": 5, "second": 2}


@both
def test_other_dates_change_penalties_and_nothing_is_judged_again(
    classroom, doors, calls
):
    say(FILE)
    for student in ("ada", "bob"):
        submit(classroom, student, "2026-03-28 13:00:00 UTC")
    doors["course grade"]()
    count = len(calls())
    new = FILE.replace("ada = 2026-03-30", "bob = 2026-03-30")
    say(new)
    # Also of those who are not graded now: the gradebook is one.
    report = doors["course grade"]("ada")
    assert report.settled == ["ada", "bob"]
    page = Page.path_of(PART).read_text()
    assert "Another late penalty (2)" in page
    assert "<p>ada, bob</p>" in page
    assert penalties("ada") == pytest.approx({"first": 0.4, "second": 0.2})
    assert penalties("bob") == {"first": None, "second": None}
    table = "[parts.arithmetic.extensions]"
    say(new.replace(table, f'waivers = ["ada"]\n{table}'))
    doors["course grade"]()
    assert lateness("ada") == HOUR
    assert penalties("ada") == {"first": None, "second": None}
    say('zone = "UTC"\n')  # nothing is due any more
    doors["course grade"]()
    assert lateness("ada") == 0
    assert len(calls()) == count


@both
def test_a_manual_mark_changes_the_penalty_at_the_next_run(classroom, doors):
    say(FILE)
    submit(classroom, "bob", "2026-03-28 13:00:00 UTC")
    doors["course grade"]()
    classroom.manual("bob", "test_triple", 2)
    assert doors["course grade"]().settled == ["bob"]
    assert penalties("bob") == pytest.approx({"first": 0.5, "second": 0.2})


@both
def test_a_file_that_is_not_clear_stops_grading_before_it_begins(classroom, doors):
    submit(classroom, "bob", "2026-03-28 13:00:00 UTC")
    say("zone = 1\n")
    with pytest.raises(CourseError, match="zone is no time zone"):
        doors["course grade"]()
    assert classroom.rows() == {}


# Names


@both
@pytest.mark.parametrize("door", ["course grade", "nbgrader autograde"])
def test_learners_enter_the_gradebook_with_their_names(
    classroom, doors, tmp_path, door
):
    text = "id,first_name,last_name,email\n"
    text += "ada,Ada,Lovelace,a@x.org\nbob,Bob,B,\neve,Eve,E,\n"
    office.enrol(tmp_path, text)
    submit(classroom, "ada", "2026-03-28 13:00:00 UTC")
    doors[door]("ada")
    with Gradebook(database()) as gradebook:
        found = {
            each.id: (each.first_name, each.last_name, each.email)
            for each in gradebook.students
        }
    assert found["ada"] == ("Ada", "Lovelace", "a@x.org")
    assert found["eve"][0] == "Eve"
    office.enrol(tmp_path, text.replace("Lovelace", "King"))
    doors[door]("ada")
    with Gradebook(database()) as gradebook:
        assert gradebook.find_student("ada").last_name == "King"


@both
@pytest.mark.parametrize("door", ["course grade", "nbgrader autograde"])
def test_a_broken_file_voids_no_mark(classroom, doors, judges, door):
    say(FILE)
    submit(classroom, "bob", "2026-03-28 13:00:00 UTC")
    doors["course grade"]()
    before = classroom.rows()
    say("zone = 1\n")
    with pytest.raises((CourseError, AssertionError)):
        doors[door]("bob")
    assert classroom.rows() == before
