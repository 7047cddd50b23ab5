"""What Moodle and Canvas give is taken for whom it is of, and never by guessing."""

import os
import stat
import zipfile

import office
import pytest
from click.testing import CliRunner
from office import NOON, ONE, TWO, canvas_name, codes, moodle_folder, submitted, zipped

from course.grading.collect import collect, collect_command
from course.grading.collection import attempts, submitted_as
from course.paths import CourseError


@pytest.fixture(autouse=True)
def enrolled(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_STATE", str(tmp_path / "state"))
    office.enrol(tmp_path)


BOB = "Bob O'Brien"


def moodle(path, when=NOON):
    return collect(path, when, "moodle")


def canvas(path, when=NOON):
    return collect(path, when, "canvas")


def why(collection):
    return {missed.name: missed.why.text for missed in collection.missed}


# Moodle


@pytest.mark.parametrize("since_41", [True, False])
def test_moodles_folders(course, inbox, since_41):
    entries = [
        (f"{moodle_folder('Ada Lovelace', 41, since_41)}/first.ipynb", ONE),
        (f"{moodle_folder('Zoë Ü', 43, since_41)}/work/first (1).ipynb", TWO),
        (
            f"{moodle_folder(BOB, 42, since_41)}/x.ipynb",
            ONE,
        ),
        ("Ada Lovelace_41_assignsubmission_onlinetext/onlinetext.html", b"<p>"),
    ]
    collection = moodle(zipped(inbox / "arithmetic-77.zip", entries))
    assert submitted(course) == {
        "s1/part/first.ipynb": ONE,
        "s2/part/first.ipynb": ONE,
        "s3/part/first.ipynb": TWO,
    }
    assert set(codes(collection).values()) == {"not-a-notebook"}
    assert attempts()["s1"]["part/first"]["origin"] == {
        "system": "moodle",
        "name": "Ada Lovelace_41",
    }


def test_moodles_files_without_folders(course, inbox):
    entries = [(f"{moodle_folder('Ada Lovelace', 41)}_my_first_try.ipynb", ONE)]
    assert moodle(zipped(inbox / "x.zip", entries)).missed == []
    assert submitted(course) == {"s1/part/first.ipynb": ONE}


def test_an_archive_that_the_browser_unpacked(course, inbox):
    for name in (moodle_folder("Ada Lovelace", 41), moodle_folder("Zoë Ü", 43)):
        (inbox / name).mkdir()
        (inbox / name / "first.ipynb").write_bytes(ONE)
    flat = f"{moodle_folder(BOB, 42)}_first.ipynb"
    (inbox / flat).write_bytes(TWO)
    assert moodle(inbox).missed == []
    assert set(submitted(course)) == {f"s{n}/part/first.ipynb" for n in (1, 2, 3)}


def test_two_of_one_name_are_told_apart_by_the_worksheet(course, inbox, tmp_path):
    names = [moodle_folder("Sam Twin", number) for number in (51, 52)]
    entries = [(f"{names[0]}/first.ipynb", ONE), (f"{names[1]}/first.ipynb", TWO)]
    path = zipped(inbox / "x.zip", entries)
    collection = moodle(path)
    assert set(codes(collection).values()) == {"ambiguous"}
    assert set(codes(collection)) == {f"Sam Twin_{n}/first.ipynb" for n in (51, 52)}
    assert "grading worksheet" in next(iter(why(collection).values()))
    assert submitted(course) == {}
    rows = [(51, "Sam Twin", "s5"), (52, "Sam Twin", "s4")]
    office.enrol(tmp_path, office.sheet(*rows), "sheet.csv")
    assert moodle(path).missed == []
    assert submitted(course) == {"s5/part/first.ipynb": ONE, "s4/part/first.ipynb": TWO}


@pytest.mark.parametrize("taken", ["Ada_Lovelace", "ADA  lovelace", "Lovelace, Ada"])
def test_one_who_took_anothers_name_gets_nobodys_marks(course, inbox, tmp_path, taken):
    impostor = f"{moodle_folder(taken, 99)}/first.ipynb"
    entries = [
        (f"{moodle_folder('Ada Lovelace', 41)}/first.ipynb", ONE),
        (impostor, TWO),
    ]
    path = zipped(inbox / "x.zip", entries)
    assert set(codes(moodle(path)).values()) == {"ambiguous"}
    assert submitted(course) == {}
    # Of the two the worksheet names one: the other is not her either.
    office.enrol(tmp_path, office.sheet((41, "Ada Lovelace", "s1")), "sheet.csv")
    assert list(codes(moodle(path)).values()) == ["ambiguous"]
    assert submitted(course) == {"s1/part/first.ipynb": ONE}


def test_a_name_that_holds_a_number_is_still_a_name(course, inbox, tmp_path):
    office.enrol(tmp_path, office.sheet((41, "Ada Lovelace", "s1")), "sheet.csv")
    name = moodle_folder("Eve_41_assignsubmission_file_", 99)
    collection = moodle(zipped(inbox / "x.zip", [(f"{name}/first.ipynb", TWO)]))
    assert set(codes(collection).values()) == {"unknown"}
    assert submitted(course) == {}


def test_whom_nobody_knows_is_refused_by_name(course, inbox):
    entries = [
        (f"{moodle_folder('Eve Unknown', 60)}/first.ipynb", ONE),
        ("Participant_61_assignsubmission_file/first.ipynb", ONE),
        ("somewhere/first.ipynb", ONE),
        ("first.ipynb", ONE),
    ]
    path = zipped(inbox / "x.zip", entries)
    collection = moodle(path)
    assert codes(collection) == {
        "Eve Unknown_60/first.ipynb": "unknown",
        "Participant_61/first.ipynb": "anonymous",
        "x.zip: somewhere/first.ipynb": "no-student",
        "x.zip: first.ipynb": "no-student",
    }
    assert "participant 61" in why(collection)["Participant_61/first.ipynb"]
    assert submitted(course) == {}
    assert path.exists()


def test_an_anonymous_participant_is_known_by_the_number(course, inbox, tmp_path):
    office.enrol(tmp_path, office.sheet((61, "Ada Lovelace", "s1")), "sheet.csv")
    name = "Participant_61_assignsubmission_file/first.ipynb"
    assert moodle(zipped(inbox / "x.zip", [(name, ONE)])).missed == []
    assert submitted(course) == {"s1/part/first.ipynb": ONE}


# Canvas


@pytest.fixture
def canvas_class(tmp_path):
    office.enrol(tmp_path, office.CANVAS)


ADA = "Lovelace, Ada"


@pytest.mark.usefixtures("canvas_class")
def test_canvass_files(course, inbox):
    entries = [
        (canvas_name(ADA, 11, 345, "first.ipynb"), ONE),
        (canvas_name("O'Brien, Bob", 12, 346, "1 first-3.ipynb", late=True), TWO),
        (canvas_name("Ü, Zoë", 13, 347, "first.ipynb"), ONE),
        (canvas_name("Madonna", 14, 348, "notes.txt"), b""),
        ("lovelaceada_11_text.html", b""),
    ]
    collection = canvas(zipped(inbox / "arithmetic submissions.zip", entries))
    assert submitted(course) == {
        "s1/part/first.ipynb": ONE,
        "s2/part/first.ipynb": TWO,
        "s3/part/first.ipynb": ONE,
    }
    [late] = [note for _, note in collection.notes if "late" in note]
    assert "is not believed" in late
    assert attempts()["s1"]["part/first"]["origin"]["name"] == entries[0][0]
    assert submitted_as()["s2"] == "obrienbob"
    assert set(codes(collection).values()) == {"not-a-notebook", "no-student"}


@pytest.mark.usefixtures("canvas_class")
def test_of_two_files_canvas_took_the_later_one_counts(course, inbox):
    entries = [
        (canvas_name(ADA, 11, 1000, "first-1.ipynb"), TWO),
        (canvas_name(ADA, 11, 999, "first.ipynb"), ONE),
    ]
    assert canvas(zipped(inbox / "x.zip", entries)).missed == []
    assert submitted(course) == {"s1/part/first.ipynb": TWO}


@pytest.mark.usefixtures("canvas_class")
def test_the_same_file_handed_in_again_has_the_newest_name_there(course, inbox):
    for file in (345, 346):
        name = canvas_name(ADA, 11, file, "first.ipynb")
        canvas(zipped(inbox / "x.zip", [(name, ONE)]))
    # A page must go back to the file that Canvas now holds.
    assert attempts()["s1"]["part/first"]["origin"]["name"] == name


@pytest.mark.usefixtures("canvas_class")
def test_a_name_that_canvas_lengthened_is_still_the_lessons(course, inbox):
    broken = canvas_name(ADA, 11, 346, "first-1.ipynb")
    collection = canvas(zipped(inbox / "x.zip", [(broken, b"{")]))
    assert codes(collection) == {broken: "not-gradable"}
    assert submitted(course) == {"s1/part/first.ipynb": b"{"}


@pytest.mark.usefixtures("canvas_class")
@pytest.mark.parametrize(
    "sortable", ["12", "x_12", "O'Brien, Bob_12", "obrienbob_-12_-345_-x"]
)
@pytest.mark.parametrize("user", [11, 99])
def test_no_name_of_ones_own_making_is_anothers(
    course,
    inbox,
    sortable,
    user,
):
    """12 is Bob: such a file may be his, and may be of one who took that name."""
    name = canvas_name(sortable, user, 345, "first.ipynb")
    collection = canvas(zipped(inbox / "x.zip", [(name, ONE)]))
    assert codes(collection) == {name: "ambiguous"}
    assert f"Canvas user 12 or {user}" in why(collection)[name]
    assert submitted(course) == {}


@pytest.mark.usefixtures("canvas_class")
def test_a_user_who_is_not_on_the_roster_is_named(course, inbox):
    name = canvas_name("New, Nell", 99, 345, "first.ipynb")
    collection = canvas(zipped(inbox / "x.zip", [(name, ONE)]))
    assert codes(collection) == {name: "unknown"}
    assert "Canvas user 99" in why(collection)[name]


@pytest.mark.usefixtures("canvas_class")
def test_anonymous_grading_is_refused_in_words(course, inbox):
    names = ["anon_x7Yz1_345_first.ipynb", "LATE_anon_x7Yz1_346_first.ipynb"]
    collection = canvas(zipped(inbox / "x.zip", [(name, ONE) for name in names]))
    assert codes(collection) == dict.fromkeys(names, "anonymous")


# Both


@pytest.mark.parametrize("system", ["moodle", "canvas"])
def test_without_a_roster_nobody_is_guessed(course, inbox, tmp_path, system):
    (tmp_path / "state/roster.json").unlink()
    path = zipped(inbox / "x.zip", [("a_1_assignsubmission_file/first.ipynb", ONE)])
    with pytest.raises(CourseError, match="`course roster FILE`"):
        collect(path, NOON, system)
    assert not (course / "grading").exists()


def test_folders_are_looked_up_where_there_is_a_roster(course, inbox):
    for name in ("s1", "zoe@uni.example", "Bob OBrien", "Sam Twin", "eve"):
        (inbox / name).mkdir()
        (inbox / name / "first.ipynb").write_bytes(ONE)
    collection = collect(inbox, NOON)
    assert set(submitted(course)) == {f"s{n}/part/first.ipynb" for n in (1, 2, 3)}
    assert codes(collection) == {
        "Sam Twin/first.ipynb": "ambiguous",
        "eve/first.ipynb": "unknown",
    }


HOSTILE = {
    "moodle": ("Ada Lovelace_41_assignsubmission_file/", "s1"),
    "canvas": ("lovelaceada_11_345_", "s1"),
}


@pytest.mark.parametrize("system", HOSTILE)
def test_hostile_archives_are_refused_by_these_doors_too(
    course,
    inbox,
    tmp_path,
    system,
):
    if system == "canvas":
        office.enrol(tmp_path, office.CANVAS)
    mine, student = HOSTILE[system]
    link = zipfile.ZipInfo(f"{mine}link.ipynb")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    entries = [
        (f"../{mine}up.ipynb", ONE),
        (f"/{mine}absolute.ipynb", ONE),
        (f"C:/{mine}drive.ipynb", ONE),
        (f"{mine}back\\slash.ipynb", ONE),
        (link, b"/etc/passwd"),
        (f"{mine}more.zip", b"PK"),
        (f"{mine}numpy.py", b""),
        (f"{mine}bomb.ipynb", b" " * 30 * 2**20),
        (f"{mine}first.ipynb", ONE),
    ]
    path = zipped(inbox / "x.zip", entries)
    outside = set(tmp_path.iterdir())
    collection = collect(path, NOON, system)
    assert sorted(codes(collection).values()) == [
        "absolute",
        "absolute",
        "backslash",
        "code-file",
        "link",
        "nested",
        "ratio",
        "traversal",
    ]
    assert submitted(course) == {f"{student}/part/first.ipynb": ONE}
    assert set(tmp_path.iterdir()) == outside


def test_links_in_an_unpacked_archive_are_refused(course, inbox, tmp_path):
    secret = tmp_path / "secret.ipynb"
    secret.write_bytes(ONE)
    folder = inbox / moodle_folder("Ada Lovelace", 41)
    folder.mkdir()
    (folder / "first.ipynb").symlink_to(secret)
    (inbox / f"{moodle_folder('Zoë Ü', 43)}_first.ipynb").symlink_to(secret)
    (inbox / f"{moodle_folder('Eve', 44)}").symlink_to(tmp_path)
    os.mkfifo(inbox / f"{moodle_folder('Eve', 45)}_first.ipynb")
    assert sorted(codes(moodle(inbox)).values()) == ["fifo", "link", "link", "link"]
    assert submitted(course) == {}


# The command


def test_the_command_takes_an_archive_and_names_who_is_not_known(course, inbox):
    entries = [
        (f"{moodle_folder('Ada Lovelace', 41)}/first.ipynb", ONE),
        (f"{moodle_folder('Eve', 60)}/first.ipynb", ONE),
    ]
    path = zipped(inbox / "x.zip", entries)
    run = CliRunner().invoke(collect_command, [str(path), "--from", "moodle"])
    assert run.exit_code == 1
    assert "not taken  Eve_60/first.ipynb nobody on the roster is called Eve" in (
        run.output
    )
    assert "1 new notebooks of 1 learners" in run.output
