"""A list of learners says who is who, and what is wrong with it is said by line."""

import stat

import office
import pytest

from course.grading import roster
from course.grading.roster import Learner, Roster
from course.paths import CourseError

OWN = "id,first_name,last_name,email,number,canvas\n"


@pytest.fixture(autouse=True)
def private(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_STATE", str(tmp_path / "state"))


def refused(tmp_path, text, **more):
    run = office.enrol(tmp_path, text, **more)
    assert isinstance(run.exception, CourseError), run.output
    return str(run.exception)


def test_there_is_none_until_one_is_given():
    assert roster.load() is None


def test_a_table_of_ones_own(tmp_path):
    run = office.enrol(tmp_path, OWN + "ada,Ada,Lovelace,a@x.org,s1,11\nbob,Bob,B,,,\n")
    assert "2 learners on the roster: 2 new" in run.output
    ada, bob = roster.load()
    assert ada == Learner("ada", "Ada", "Lovelace", "a@x.org", "s1", 11)
    assert (bob.canvas, bob.email) == (None, "")
    assert stat.S_IMODE(roster.path().stat().st_mode) == 0o600


def test_what_moodles_gradebook_exports(tmp_path):
    assert "5 learners" in office.enrol(tmp_path).output
    ada = roster.load().ids["s1"]
    assert (ada.name, ada.number, ada.email) == (
        "Ada Lovelace",
        "s1",
        "ada@uni.example",
    )


def test_what_canvass_gradebook_exports(tmp_path):
    assert "4 learners" in office.enrol(tmp_path, office.CANVAS).output
    found = roster.load()
    assert found.columns == {"Arithmetic (77)": "5.00"}
    assert found.canvas(11).name == "Ada Lovelace"
    assert found.canvas(14) == Learner(
        "canvas-14", last_name="Madonna", canvas=14, section="A"
    )


def test_lastname_and_firstname_of_canvas_in_columns_of_their_own(tmp_path):
    text = "LastName,FirstName,ID,SIS Login ID,Section\n    Points Possible,,,,\n"
    office.enrol(tmp_path, text + "Lovelace,Ada,11,ada,A\n")
    [ada] = roster.load()
    assert (ada.id, ada.name) == ("ada", "Ada Lovelace")


@pytest.mark.parametrize("between", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_separators_order_marks_and_windows_lines(tmp_path, between, mark):
    text = mark + OWN.replace(",", between) + f"ada{between}Ada{between}Lovelace\r\n"
    assert "1 learners" in office.enrol(tmp_path, text.replace("\n", "\r\n")).output
    assert roster.load().ids["ada"].name == "Ada Lovelace"


def test_an_id_that_is_no_folder_becomes_one(tmp_path):
    office.enrol(tmp_path, OWN + "Zoë Ü,Zoë,Ü,,,\n../x,A,B,,,\n")
    assert all(each.id.isascii() and "/" not in each.id for each in roster.load())


def test_every_mistake_is_named_with_its_line(tmp_path):
    text = (
        OWN
        + "ada,Ada,L,a@x.org,1,11\n"
        + ",Bob,B,,,\n"
        + '"ada",Eve,"E\nE",,,\n'
        + "cy,,,,,\n"
        + "dan,Dan,D,A@X.ORG,,\n"
        + "eve,Eve,E,,1,\n"
        + "fay,Fay,F,,,eleven\n"
    )
    lines = refused(tmp_path, text).split("\n")
    file = tmp_path / "list.csv"
    assert lines == [
        f"{file}:3: has no id",
        f"{file}:4: has the id 'ada', as line 2 has",
        f"{file}:6: has no name",
        f"{file}:7: has the address 'A@X.ORG', as line 2 has",
        f"{file}:8: has the ID number '1', as line 2 has",
        f"{file}:9: 'eleven' is no id of Canvas's, which is a number",
    ]
    assert roster.load() is None


WRONG = {
    "missing columns": ("name,mail\nAda,a@x\n", "list.csv:1: these are no columns of"),
    "two columns": (
        "id,ID,first_name,last_name\n",
        "list.csv:1: there are two columns",
    ),
    "nobody": (OWN, "names no learner"),
    "empty": ("", "is empty"),
    "latin 1": ((OWN + "a,Zoë,Ü,,,\n").encode("latin-1"), "list.csv:2: is not UTF-8"),
    "UTF-16": (OWN.encode("utf-16"), "is UTF-16: save it as CSV in UTF-8"),
    "workbook": (b"PK\x03\x04rest", "is a workbook"),
    "zero": (OWN + "a\0,b,c,,,\n", "is not text"),
    "more cells": (OWN + "a,b,c,d,e,1,x\n", "list.csv:2: 7 cells, and only 6 columns"),
    "open quote": (OWN + 'a,"b,c\n', "list.csv:2: unexpected end of data"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_list_is_said_in_words(tmp_path, kind):
    text, reason = WRONG[kind]
    assert reason in refused(tmp_path, text)


def test_a_new_list_replaces_and_says_what_changed(tmp_path):
    office.enrol(tmp_path, OWN + "ada,Ada,L,,,\nbob,Bob,B,,,\n")
    run = office.enrol(tmp_path, OWN + "ada,Ada,King,,,\ncy,Cy,C,,,\n")
    assert "1 changed, 1 new" in run.output
    assert "no longer on it: bob (Bob B)" in run.output
    assert set(roster.load().ids) == {"ada", "cy"}


def test_control_characters_of_a_name_are_shown_not_obeyed(tmp_path):
    run = office.enrol(tmp_path, OWN + "ada,A\x1b[2Jda,L\u202e,,,\n")
    assert "\x1b" not in run.output
    assert roster.load().ids["ada"].name == "A␛[2Jda L⟨U+202E⟩"


# Worksheets


def test_a_worksheet_says_who_each_participant_is(tmp_path):
    office.enrol(tmp_path)
    rows = [(41, "Sam Twin", "s4"), (42, "Sam Twin", "s5"), (43, "Ada Lovelace", "")]
    office.enrol(tmp_path, office.sheet(*rows), "sheet.csv")
    found = roster.load()
    assert [found.participant(n).id for n in (41, 42, 43)] == ["s4", "s5", "s1"]
    # The numbers are of one assignment: those of others stay, also with a new list.
    office.enrol(tmp_path, office.sheet((91, "Sam Twin", "s4")), "sheet.csv")
    office.enrol(tmp_path)
    assert roster.load().ids["s4"].participants == (41, 91)


def test_a_worksheet_that_does_not_say_who_is_refused(tmp_path):
    text = office.sheet((41, "Sam Twin", ""), (42, "Eve E", ""), (43, "", ""))
    assert "there is none yet" in refused(tmp_path, text, name="sheet.csv")
    office.enrol(tmp_path)
    lines = refused(tmp_path, text, name="sheet.csv").split("\n")
    file = tmp_path / "sheet.csv"
    assert lines == [
        f"{file}:2: more than one on the roster is Sam Twin",
        f"{file}:3: nobody on the roster is Eve E",
        f"{file}:4: names nobody: reveal identities, download it again",
    ]


def test_a_participant_is_never_two_learners(tmp_path):
    office.enrol(tmp_path)
    office.enrol(tmp_path, office.sheet((41, "Sam Twin", "s4")), "sheet.csv")
    text = office.sheet((41, "Sam Twin", "s5"))
    assert "participant 41 is s4 already" in refused(tmp_path, text, name="sheet.csv")
    text = office.sheet((42, "Sam Twin", "s5"), (42, "Ada Lovelace", "s1"))
    assert "participant 42 is s5 already" in refused(tmp_path, text, name="sheet.csv")


# Names


def test_a_name_that_two_have_means_both():
    both = Roster([Learner("a", "Li", "Chen"), Learner("b", "Chen", "Li")])
    assert [each.id for each in both.named("Li  chen")] == ["a", "b"]
    assert both.named("Li") == []
    assert both.called("") == []


def test_a_learner_is_found_by_id_number_address_or_name():
    one = Learner("s1", "Bob", "O'Brien", "Bob@x.org", "N7")
    other = Learner("s2", "Bob", "Other")
    found = Roster([one, other])
    for name in ("s1", "n7", "bob@x.org", "Bob OBrien", "O'Brien, Bob"):
        assert found.called(name) == [one], name


def test_a_damaged_roster_is_said(tmp_path):
    office.enrol(tmp_path)
    roster.path().write_text("{")
    with pytest.raises(CourseError, match="run `course roster` again"):
        roster.load()
