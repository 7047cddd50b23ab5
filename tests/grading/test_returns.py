"""From an archive to marks and pages that the system takes back, by no hand."""

import csv
import datetime
import io
import re
import zipfile

import office
import pytest
from click.testing import CliRunner
from office import canvas_name, moodle_folder, zipped
from room import PART

from course.grading import dates, grade, returns, roster
from course.grading.collect import collect_command
from course.grading.export import export_command
from course.grading.returns import feedback_command
from course.paths import CourseError

BOB = "Bob O'Brien"


def invoke(command, *arguments, code=0):
    run = CliRunner().invoke(command, [str(each) for each in arguments])
    assert run.exit_code == code, run.output or run.exception
    return run.output


@pytest.fixture
def hand_in(classroom, tmp_path):
    """A notebook's bytes, with these answers."""

    def make(lesson="first", **answers):
        path = classroom.submit("draft", lesson, **answers)
        data = path.read_bytes()
        path.unlink()
        path.parent.rmdir()
        path.parent.parent.rmdir()
        return data

    return make


@pytest.fixture
def graded(classroom, judges, measured):
    return lambda: grade.run(PART, [], judges, "base")


def table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def utc(*when):
    return datetime.datetime(*when, tzinfo=datetime.UTC)


# Round trips


def moodle_class(hand_in, tmp_path):
    full = hand_in(double="passed", triple="passed")
    entries = [
        (f"{moodle_folder('Ada Lovelace', 41)}/first.ipynb", full),
        (f"{moodle_folder(BOB, 42)}/first.ipynb", hand_in(double="passed")),
        (f"{moodle_folder('Zoë Ü', 43)}_first (1).ipynb", full),
    ]
    return zipped(tmp_path / "moodle.zip", entries)


def test_moodle_there_and_back(classroom, hand_in, graded, tmp_path):
    office.enrol(tmp_path)
    invoke(collect_command, moodle_class(hand_in, tmp_path), "--from", "moodle")
    assert not graded().failures
    said = invoke(export_command, PART, "--format", "moodle")
    assert "5 learners" in said
    assert "Map from ID number" in said
    found = {row["ID number"]: row for row in table("grades-moodle.csv")}
    # Worth ten: two notebooks of five; one handed in, or none.
    assert {key: row[PART] for key, row in found.items()} == {
        **{"s1": "5.00", "s2": "3.00", "s3": "5.00", "s4": "0.00", "s5": "0.00"}
    }
    assert found["s2"]["Last name"] == "O'Brien"
    assert found["s3"]["Email address"] == "zoe@uni.example"

    invoke(feedback_command, PART, "--release")
    names = pages(f"{PART}-moodle.zip")
    # As importziplib.php reads it: name, number, type, plugin, the rest.
    read = {tuple(name.split("/")[0].split("_", 4)) for name in names}
    assert read == {
        ("Ada Lovelace", "41", "assignsubmission", "file", ""),
        ("Bob OBrien", "42", "assignsubmission", "file", ""),
        ("Zoë Ü", "43", "assignsubmission", "file", ""),
    }
    assert {name.split("/")[1] for name in names} == {"first.html", "second.html"}


def pages(name):
    with zipfile.ZipFile(f"grading/returned/{name}") as archive:
        return {each: archive.read(each).decode() for each in archive.namelist()}


def test_canvas_there_and_back(classroom, hand_in, graded, tmp_path):
    office.enrol(tmp_path, office.CANVAS)
    full = hand_in(double="passed", triple="passed")
    entries = [
        (canvas_name("Lovelace, Ada", 11, 345, "first.ipynb"), full),
        (canvas_name("Ü, Zoë", 13, 346, "first-1.ipynb", late=True), full),
    ]
    path = zipped(tmp_path / "submissions.zip", entries)
    invoke(collect_command, path, "--from", "canvas")
    assert not graded().failures
    said = invoke(export_command, PART, "--format", "canvas")
    assert "Arithmetic (77) has 5.00 points in Canvas, the part has 10.00" in said
    text = (classroom.folder / "grades-canvas.csv").read_text("utf-8")
    lines = list(csv.reader(io.StringIO(text)))
    assert lines == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Arithmetic (77)"],
        ["    Points Possible", "", "", "", "", "10.00"],
        ["Lovelace, Ada", "11", "s1", "ada", "A", "5.00"],
        ["O'Brien, Bob", "12", "s2", "bob", "A", "0.00"],
        ["Ü, Zoë", "13", "s3", "zoe", "A", "5.00"],
        ["Madonna", "14", "", "", "A", "0.00"],
    ]

    said = invoke(feedback_command, PART, "--release")
    assert "not returned: s1: second.html, of which nothing was handed in" in said
    # As Canvas reads it: the first two parts that are numbers.
    read = {
        tuple(re.findall(r"(?<=_)\d+(?=_)", name))
        for name in pages(f"{PART}-canvas.zip")
    }
    assert read == {("11", "345"), ("13", "346")}
    assert "LATE" in next(name for name in pages(f"{PART}-canvas.zip") if "346" in name)


def test_a_page_is_its_learners_own(classroom, hand_in, graded, tmp_path):
    office.enrol(tmp_path)
    invoke(collect_command, moodle_class(hand_in, tmp_path), "--from", "moodle")
    graded()
    invoke(feedback_command, PART, "--release")
    for name, page in pages(f"{PART}-moodle.zip").items():
        folder = {"41": "s1", "42": "s2", "43": "s3"}[name.split("_")[1]]
        mine = (
            classroom.folder / f"grading/feedback/{folder}/{PART}" / name.split("/")[1]
        )
        assert page == mine.read_text("utf-8")


def test_every_page_goes_back_to_the_file_it_is_about(
    classroom, hand_in, graded, tmp_path
):
    office.enrol(tmp_path, office.CANVAS)
    names = [
        canvas_name("Lovelace, Ada", 11, 345, "first.ipynb"),
        canvas_name("Lovelace, Ada", 11, 346, "second.ipynb"),
    ]
    data = [hand_in(double="passed"), hand_in("second", double="passed")]
    path = zipped(tmp_path / "x.zip", list(zip(names, data)))
    invoke(collect_command, path, "--from", "canvas")
    graded()
    invoke(feedback_command, PART, "--release")
    found = pages(f"{PART}-canvas.zip")
    folder = classroom.folder / f"grading/feedback/s1/{PART}"
    assert found == {
        "lovelaceada_11_345_first.html": (folder / "first.html").read_text("utf-8"),
        "lovelaceada_11_346_second.html": (folder / "second.html").read_text("utf-8"),
    }


def test_those_who_came_by_folders_get_folders(classroom, graded):
    classroom.submit("ada", double="passed")
    graded()
    invoke(feedback_command, PART, "--release")
    assert set(pages(f"{PART}-folders.zip")) == {"ada/first.html", "ada/second.html"}


# Held back


def say(text):
    dates.path().parent.mkdir(exist_ok=True)
    dates.path().write_text(f'zone = "UTC"\n[parts.{PART}]\n{text}')


def test_pages_stay_until_the_last_extension_is_over(classroom, graded, monkeypatch):
    classroom.submit("ada", double="passed")
    graded()
    say("due = 2999-03-01T12:00:00\n")
    invoke(feedback_command, PART)  # for the instructor
    run = CliRunner().invoke(feedback_command, [PART, "--release"])
    assert isinstance(run.exception, CourseError)
    assert "open, for all until 2999-03-01 12:00 UTC" in str(run.exception)
    assert not (classroom.folder / "grading/returned").exists()
    say(
        f"due = 2026-03-01T12:00:00\n[parts.{PART}.extensions]\n"
        "bob = 2999-03-01T12:00:00\n"
    )
    run = CliRunner().invoke(feedback_command, [PART, "--release"])
    assert "open, for bob until 2999-03-01" in str(run.exception)
    invoke(feedback_command, PART, "--release", "--early")
    assert pages(f"{PART}-folders.zip")


def test_what_is_due_for_all_is_not_held(classroom):
    say("due = 2026-03-01T12:00:00\n")
    returns.hold(PART, utc(2026, 3, 1, 12))
    with pytest.raises(CourseError):
        returns.hold(PART, utc(2026, 3, 1, 11, 59))


# Marks that are not there


def test_who_is_not_in_the_table_is_named(classroom, hand_in, graded, tmp_path):
    text = re.sub(r"sam\d@uni.example", "", office.MOODLE)
    text += 'Eve,Evil,"=cmd|x",,,@x,-\nNan,Nobody,,,,nan@x.org,-\n'
    office.enrol(tmp_path, text)
    classroom.submit("stranger", double="passed")
    graded()
    classroom.submit("s2", double="passed")  # handed in since
    said = invoke(export_command, PART, "--format", "moodle", code=1)
    evil = next(each for each in roster.load() if each.first_name == "Eve").id
    nan = "nan@x.org"
    assert [line for line in said.split("\n") if line.startswith("missing")] == [
        "missing  stranger: is not on the roster",
        f"missing  {evil}: has no ID number that Moodle could find",
        f"missing  {nan}: has no ID number that Moodle could find",
        f"missing  s2: {PART} was handed in and is not graded",
    ]
    rows = {row["ID number"]: row for row in table("grades-moodle.csv")}
    assert set(rows) == {"s1", "s2", "s3", "s4", "s5"}
    assert rows["s2"][PART] == ""


def test_whom_nobody_could_name_is_not_taken_for_absent(
    classroom, hand_in, graded, tmp_path
):
    office.enrol(tmp_path)
    name = f"{moodle_folder('Sam Twin', 51)}/first.ipynb"
    path = zipped(tmp_path / "x.zip", [(name, hand_in(double="passed"))])
    invoke(collect_command, path, "--from", "moodle", code=1)
    classroom.submit("s1", double="passed")
    graded()
    said = invoke(export_command, PART, "--format", "moodle")
    assert (
        "note     Sam Twin_51/first.ipynb was handed in and belongs to nobody" in said
    )
    sheet = office.sheet((51, "Sam Twin", "s5"))
    office.enrol(tmp_path, sheet, "sheet.csv")
    invoke(collect_command, path, "--from", "moodle")
    graded()
    assert "belongs to" not in invoke(export_command, PART, "--format", "moodle")


def test_what_a_person_must_grade_has_no_mark_yet(classroom, graded, tmp_path):
    office.enrol(tmp_path)
    classroom.hand_in("s1", "first.ipynb", "{")
    graded()
    said = invoke(export_command, PART, "--format", "moodle", code=1)
    assert f"s1: {PART} needs a person to grade it" in said
    assert table("grades-moodle.csv")[0][PART] == ""


def test_nothing_handed_in_is_no_mark_until_it_is_due(classroom, graded, tmp_path):
    office.enrol(tmp_path)
    classroom.submit("s1", double="passed", triple="passed")
    graded()
    say(
        f"due = 2026-03-01T12:00:00\n[parts.{PART}.extensions]\n"
        "s2 = 2999-03-01T12:00:00\n"
    )
    graded()
    invoke(export_command, PART, "--format", "moodle")
    marks = {row["ID number"]: row[PART] for row in table("grades-moodle.csv")}
    assert (marks["s2"], marks["s3"]) == ("", "0.00")


def test_a_late_penalty_is_taken_off(classroom, graded, tmp_path):
    office.enrol(tmp_path)
    classroom.submit("s1", double="passed", triple="passed")
    classroom.hand_in("s1", "timestamp.txt", "2026-03-01 13:00:00 UTC")
    say("due = 2026-03-01T12:00:00\nlate = {points_per_day = 1.5}\n")
    graded()
    invoke(export_command, PART, "--format", "moodle")
    assert table("grades-moodle.csv")[0][PART] == "3.50"


def test_addresses_serve_where_there_are_no_numbers(classroom, graded, tmp_path):
    office.enrol(tmp_path, re.sub(r",s\d,", ",,", office.MOODLE))
    classroom.submit("ada@uni.example", double="passed", triple="passed")
    graded()
    invoke(export_command, PART, "--format", "moodle")
    found = table("grades-moodle.csv")
    assert next(iter(found[0])) == "Email address"
    assert found[0]["Email address"] == "ada@uni.example"
    assert found[0][PART] == "5.00"


def test_names_hold_no_formula(classroom, graded, tmp_path):
    office.enrol(tmp_path, office.CANVAS + "\"=cmd|' /C calc'!A0\",15,=x,@y,+A,,\n")
    classroom.submit("s1", double="passed")
    graded()
    invoke(export_command, PART, "--format", "canvas")
    [evil] = [row for row in table("grades-canvas.csv") if row["ID"] == "15"]
    assert evil["Student"] == "'=cmd|' /C calc'!A0"
    assert (evil["SIS User ID"], evil["SIS Login ID"]) == ("", "")
    assert evil["Section"] == "'+A"


def test_the_title_in_canvas_may_be_said(classroom, graded, tmp_path):
    office.enrol(tmp_path, office.CANVAS.replace("Arithmetic (77)", "Week 1 (77)"))
    classroom.submit("s1", double="passed")
    graded()
    said = invoke(export_command, PART, "--format", "canvas")
    assert 'write canvas = "Title (123)"' in said
    say('canvas = "Week 1 (77)"\n')
    said = invoke(export_command, PART, "--format", "canvas")
    assert "Title" not in said
    assert "Week 1 (77)" in table("grades-canvas.csv")[0]


def test_without_a_roster_it_is_said(classroom, graded):
    classroom.submit("s1", double="passed")
    graded()
    run = CliRunner().invoke(export_command, [PART, "--format", "moodle"])
    assert "`course roster FILE`" in str(run.exception)
