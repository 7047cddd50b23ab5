"""`course collect` takes notebooks and nothing else, whatever a folder or zip holds."""

import copy
import datetime
import json
import os
import random
import re
import stat
import struct
import subprocess
import sys
import zipfile

import pytest
from click.testing import CliRunner
from office import LATER, NOON, ONE, TWO, codes, notebook, submitted, text

from course import paths
from course.grading import collection as taking
from course.grading import found as finding
from course.grading.collect import collect, collect_command
from course.grading.collection import submitted_as
from course.grading.ids import safe_id
from course.grading.lock import Lock
from course.paths import CourseError


def put(inbox, name, data=ONE, time=None):
    path = inbox / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    if time:
        os.utime(path, (time, time))
    return path


def zipped(path, entries, **more):
    """A zip of (name or ZipInfo, data); duplicates are meant."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **more) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


# Folders


def test_a_folder_for_each_learner_is_taken_and_stays(course, inbox):
    put(inbox, "anna/first.ipynb")
    put(inbox, "bert/work/part/second.ipynb", text(lesson="part/second"))
    collection = collect(inbox, NOON)
    assert collection.missed == []
    assert submitted(course) == {
        "anna/part/first.ipynb": ONE,
        "bert/part/second.ipynb": text(lesson="part/second"),
    }
    assert (inbox / "anna/first.ipynb").read_bytes() == ONE


def test_identity_is_in_the_notebook_not_in_its_name(course, inbox):
    put(inbox, "anna/homework final.ipynb")
    put(inbox, "bert/first (1).ipynb")
    put(inbox, "cleo/first.ipynb", text(lesson="part/second"))
    collection = collect(inbox, NOON)
    assert set(submitted(course)) == {
        "anna/part/first.ipynb",
        "bert/part/first.ipynb",
        "cleo/part/second.ipynb",
    }
    notes = dict(collection.notes)
    assert "is a notebook of part/second" in notes["cleo/first.ipynb"]


def test_another_courses_exercise_is_refused_in_words(course, inbox):
    put(inbox, "anna/first.ipynb", text(lesson="other/thing"))
    [missed] = collect(inbox, NOON).missed
    assert missed.why.code == "wrong-exercise"
    assert "belongs to 'other/thing', which is not in this course" in missed.why.text
    assert submitted(course) == {}


def test_of_two_versions_the_newest_is_taken_and_said(course, inbox):
    put(inbox, "anna/first.ipynb", TWO, time=2000)
    put(inbox, "anna/first (1).ipynb", ONE, time=1000)
    collection = collect(inbox, NOON)
    assert submitted(course) == {"anna/part/first.ipynb": TWO}
    assert ("anna/first.ipynb", "the newest of 2 versions of part/first counts") in (
        collection.notes
    )
    kept = list((course / "grading/collected/anna/part/first").iterdir())
    assert {path.read_bytes() for path in kept} == {ONE, TWO}


def test_links_pipes_and_hard_links_are_refused_by_name(course, inbox, tmp_path):
    secret = tmp_path / "gradebook.ipynb"
    secret.write_bytes(TWO)
    (inbox / "anna").mkdir()
    (inbox / "anna/first.ipynb").symlink_to(secret)
    os.link(secret, inbox / "anna/second.ipynb")
    os.mkfifo(inbox / "anna/third.ipynb")
    (inbox / "anna/folder").symlink_to(tmp_path)
    (inbox / "bert").symlink_to(tmp_path)
    put(inbox, "cleo/first.ipynb")
    collection = collect(inbox, NOON)
    assert codes(collection) == {
        "anna/first.ipynb": "link",
        "anna/second.ipynb": "hard-link",
        "anna/third.ipynb": "fifo",
        "anna/folder": "link",
        "bert": "link",
    }
    assert set(submitted(course)) == {"cleo/part/first.ipynb"}


def test_depth_and_number_are_a_learners_own_quota(course, inbox, monkeypatch):
    monkeypatch.setattr(finding, "MOST_FILES", 20)
    put(inbox, "anna/" + "d/" * 12 + "first.ipynb")
    for number in range(30):
        put(inbox, f"bert/x{number}.txt", b"")
    put(inbox, "cleo/first.ipynb")
    collection = collect(inbox, NOON)
    assert codes(collection)["anna/" + "d/" * 7 + "d"] == "too-deep"
    assert list(codes(collection).values()).count("too-many") == 1
    assert set(submitted(course)) == {"cleo/part/first.ipynb"}


def test_bytes_are_a_learners_own_quota(course, inbox, monkeypatch):
    monkeypatch.setattr(taking, "MOST_BYTES", len(ONE) + 10)
    put(inbox, "anna/a.ipynb")
    put(inbox, "anna/b.ipynb")
    put(inbox, "bert/a.ipynb")
    collection = collect(inbox, NOON)
    assert codes(collection) == {"anna/b.ipynb": "too-large"}
    assert set(submitted(course)) == {"anna/part/first.ipynb", "bert/part/first.ipynb"}


def test_modules_data_and_forged_times_are_left_and_named(course, inbox):
    put(inbox, "anna/first.ipynb")
    put(inbox, "anna/numpy.py", b"raise SystemExit")
    put(inbox, "anna/torch/__init__.py", b"")
    put(inbox, "anna/sitecustomize.py", b"")
    put(inbox, "anna/x.pth", b"import os")
    put(inbox, "anna/data.csv", b"1")
    put(inbox, "anna/timestamp.txt", b"2001-01-01 00:00:00 UTC")
    put(inbox, "anna/.ipynb_checkpoints/first-checkpoint.ipynb", TWO)
    collection = collect(inbox, NOON)
    found = codes(collection)
    assert found.pop("anna/data.csv") == "not-a-notebook"
    assert found.pop("anna/timestamp.txt") == "timestamp"
    assert set(found.values()) == {"code-file"}
    assert len(found) == 4
    files = list((course / "grading/submitted").rglob("*"))
    assert sorted(path.name for path in files if path.is_file()) == [
        "first.ipynb",
        "timestamp.txt",
    ]


def test_the_collectors_clock_counts(course, inbox):
    put(inbox, "anna/first.ipynb", time=2**33)
    put(inbox, "bert/first.ipynb", time=2**60)
    put(inbox, "bert/timestamp.txt", b"garbage")
    collect(inbox, NOON)
    for name in ("anna", "bert"):
        stamp = course / f"grading/submitted/{name}/part/timestamp.txt"
        assert stamp.read_text() == "2026-03-29 12:00:00 UTC\n"


def test_the_clock_is_read_in_utc_on_the_day_it_changes(course, inbox):
    put(inbox, "anna/first.ipynb")
    summer = datetime.timezone(datetime.timedelta(hours=2))
    collect(inbox, datetime.datetime(2026, 3, 29, 3, 30, tzinfo=summer))
    stamp = course / "grading/submitted/anna/part/timestamp.txt"
    assert stamp.read_text() == "2026-03-29 01:30:00 UTC\n"


def test_a_resubmission_replaces_and_the_same_file_does_not(course, inbox):
    put(inbox, "anna/first.ipynb", ONE, time=1000)
    collect(inbox, NOON)
    stamp = course / "grading/submitted/anna/part/timestamp.txt"
    assert collect(inbox, LATER).new == []
    assert "12:00" in stamp.read_text()
    put(inbox, "anna/first.ipynb", TWO, time=2000)
    assert collect(inbox, LATER).new == [("anna", "part/first")]
    assert "13:00" in stamp.read_text()
    assert submitted(course) == {"anna/part/first.ipynb": TWO}
    # An old export, collected by mistake, changes nothing; going back on purpose does.
    put(inbox, "anna/first.ipynb", ONE, time=1000)
    collection = collect(inbox, LATER)
    assert submitted(course) == {"anna/part/first.ipynb": TWO}
    assert "was collected before" in dict(collection.notes)["anna/first.ipynb"]
    put(inbox, "anna/first.ipynb", ONE, time=3000)
    collect(inbox, LATER)
    assert submitted(course) == {"anna/part/first.ipynb": ONE}


def test_nobody_collects_while_another_does_or_grades(course, inbox):
    put(inbox, "anna/first.ipynb")
    other = Lock()
    other.acquire()
    with pytest.raises(CourseError, match=f"elsewhere: process {os.getpid()} on"):
        collect(inbox, NOON)
    assert not (course / "grading").exists()
    other.release()
    assert collect(inbox, NOON).new == [("anna", "part/first")]


BROKEN = {
    "empty": (b"", "the file is empty"),
    "cut": (ONE[:200], "not valid JSON at line"),
    "order mark": (b"\xef\xbb\xbf" + ONE, "byte order mark"),
    "UTF-16": (ONE.decode().encode("utf-16"), "UTF-16"),
    "NaN": (ONE.replace(b'"version": 1', b'"version": NaN'), "NaN is not"),
    "brackets": (b"[" + b"[]," * 10**6 + b"[]]", "are too many for a notebook"),
    "deep": (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
    "cells": (
        json.dumps(
            {"nbformat": 4, "metadata": {}, "cells": [notebook().cells[0]] * 10**5}
        ).encode(),
        "100000 cells are too many",
    ),
    "no notebook": (b"[1]", "not a notebook"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_notebook_never_replaces_a_valid_attempt(course, inbox, kind):
    data, reason = BROKEN[kind]
    put(inbox, "anna/first.ipynb", ONE, time=1000)
    collect(inbox, NOON)
    put(inbox, "anna/first.ipynb", data, time=2000)
    put(inbox, "bert/first.ipynb", ONE)
    collection = collect(inbox, LATER)
    [missed] = collection.missed
    assert missed.why.code == "not-gradable"
    assert reason in missed.why.text
    assert submitted(course) == {
        "anna/part/first.ipynb": ONE,
        "bert/part/first.ipynb": ONE,
    }


def test_where_nothing_is_valid_the_judge_gets_the_file_to_say_why(course, inbox):
    put(inbox, "anna/first.ipynb", b"{")
    put(inbox, "bert/what.ipynb", b"{")
    collection = collect(inbox, NOON)
    assert set(codes(collection).values()) == {"not-gradable"}
    assert submitted(course) == {"anna/part/first.ipynb": b"{"}
    put(inbox, "anna/first.ipynb", ONE)
    collect(inbox, LATER)
    assert submitted(course) == {"anna/part/first.ipynb": ONE}


def test_a_file_of_500_megabytes_is_refused(course, inbox):
    with open(put(inbox, "anna/first.ipynb", b""), "wb") as file:
        file.truncate(500 * 2**20)
    assert codes(collect(inbox, NOON)) == {"anna/first.ipynb": "too-large"}


def test_a_notebook_without_a_learner_is_refused(course, inbox):
    put(inbox, "first.ipynb")
    [missed] = collect(inbox, NOON).missed
    assert missed.why.code == "no-student"
    assert "folder that is named after the learner" in missed.why.text


# Ids

NAMES = [
    *("anna", "Anna", "ANNA", "anna ", " anna", "anna.", "..", ".", ".hidden", "a/b"),
    *("Zoë Ü", "Zoe\u0308 U\u0308", "学生", "=cmd|' /C calc'!A0", "@sum", "-rf", "+1"),
    *(
        "a*b",
        "a?b",
        "[ab]",
        "{a}",
        "a\nb",
        "a\u202eb",
        "\udcff",
        "x" * 200,
        "con",
        "nul.a",
    ),
    *(
        "anna@uni.edu",
        "s1234567",
        "12345",
        "a b",
        "a..b",
        "c:\\x",
        "~",
        "$HOME",
        "`id`",
    ),
]


def test_ids_are_safe_short_and_apart():
    ids = [safe_id(name) for name in NAMES]
    assert len(set(map(str.lower, ids))) == len(NAMES)
    for each in ids:
        assert re.fullmatch(r"[a-z0-9][a-z0-9._@-]*", each), each
        assert len(each) <= 128
        assert ".." not in each
        assert not each.endswith(".")
    assert safe_id("anna") == "anna"
    assert safe_id("anna@uni.edu") == "anna@uni.edu"
    assert safe_id("12345") == "12345"


def test_nobody_can_be_called_what_another_is_mapped_to():
    taken = safe_id("Anna")
    assert safe_id(taken) != taken


def test_random_names_never_meet():
    draw = random.Random(0)
    letters = "aA.-_@ =/\\éß0f\u202e"
    names = {
        "".join(draw.choices(letters, k=draw.randint(1, 5))) for _ in range(20_000)
    }
    assert len({safe_id(name).lower() for name in names}) == len(names)


def test_strange_names_go_to_folders_of_ours_and_back(course, inbox):
    names = [name for name in NAMES if "/" not in name and name not in (".", "..")]
    for name in names:
        put(inbox, f"{name}/first.ipynb")
    collect(inbox, NOON)
    back = submitted_as()
    assert sorted(back.values()) == sorted(names)
    folders = {path.name for path in (course / "grading/submitted").iterdir()}
    assert folders == set(back)
    assert all(back[safe_id(name)] == name for name in names)


# Zips


def entry(name, mode=stat.S_IFREG | 0o644, **more):
    info = zipfile.ZipInfo(name, date_time=(2026, 3, 1, 12, 0, 0))
    info.external_attr = mode << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    for key, value in more.items():
        setattr(info, key, value)
    return info


def test_a_zip_with_a_folder_for_each_learner(course, inbox):
    path = zipped(inbox / "class.zip", [("anna/first.ipynb", ONE), ("bert/", b"")])
    assert collect(path, NOON).missed == []
    assert submitted(course) == {"anna/part/first.ipynb": ONE}


def test_a_zip_of_a_folder_that_has_its_name(course, inbox):
    entries = [("class/anna/first.ipynb", ONE), ("class/bert/first.ipynb", TWO)]
    entries += [("__MACOSX/class/anna/._first.ipynb", b"\0")]
    assert collect(zipped(inbox / "class.zip", entries), NOON).missed == []
    assert set(submitted(course)) == {"anna/part/first.ipynb", "bert/part/first.ipynb"}


def test_a_learners_zip_in_a_folder_is_the_learners(course, inbox):
    zipped(inbox / "anna.zip", [("work/part/first.ipynb", ONE)])
    assert collect(inbox, NOON).missed == []
    assert submitted(course) == {"anna/part/first.ipynb": ONE}


HOSTILE = {
    "../../evil/first.ipynb": "traversal",
    "anna/../../first.ipynb": "traversal",
    "/etc/first.ipynb": "absolute",
    "C:/first.ipynb": "absolute",
    "c:first.ipynb": "absolute",
    "anna\\..\\first.ipynb": "backslash",
    "anna/./first.ipynb": "name",
    "anna//first.ipynb": "name",
    "anna/fi\nrst.ipynb": "name",
    "anna/" + "x" * 300 + ".ipynb": "name",
    "anna/" + "d/" * 40 + "first.ipynb": "too-deep",
    "anna/more.zip": "nested",
    "anna/more.tar.gz": "nested",
    "first.ipynb": "no-student",
}


def test_names_that_lead_elsewhere_are_refused(course, inbox, tmp_path):
    entries = [(entry(name), ONE) for name in HOSTILE]
    path = zipped(inbox / "class.zip", [*entries, ("bert/first.ipynb", TWO)])
    Lock().acquire()  # makes the private folder
    before = {each for each in tmp_path.rglob("*") if course not in each.parents}
    collection = collect(path, NOON)
    assert codes(collection) == {f"class.zip: {n}": code for n, code in HOSTILE.items()}
    assert submitted(course) == {"bert/part/first.ipynb": TWO}
    assert {
        each for each in tmp_path.rglob("*") if course not in each.parents
    } == before


def test_a_name_with_a_zero_byte_is_refused(course, inbox):
    path = zipped(inbox / "class.zip", [(entry("anna/firstQ.ipynb"), ONE)])
    path.write_bytes(path.read_bytes().replace(b"firstQ", b"first\0"))
    assert list(codes(collect(path, NOON)).values()) == ["name"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_both_of_two_entries_with_one_name_are_refused(course, inbox):
    entries = [("anna/first.ipynb", ONE), ("anna/first.ipynb", TWO)]
    path = zipped(inbox / "class.zip", [*entries, ("bert/first.ipynb", TWO)])
    collection = collect(path, NOON)
    assert [missed.why.code for missed in collection.missed] == ["duplicate"] * 2
    assert set(submitted(course)) == {"bert/part/first.ipynb"}


def test_links_and_devices_in_a_zip_are_refused(course, inbox):
    entries = [
        (entry("anna/first.ipynb", stat.S_IFLNK | 0o777), b"/etc/passwd"),
        (entry("anna/pipe.ipynb", stat.S_IFIFO | 0o644), b""),
        (entry("anna/disk.ipynb", stat.S_IFBLK | 0o644), b""),
    ]
    found = codes(collect(zipped(inbox / "class.zip", entries), NOON))
    assert list(found.values()) == ["link", "special", "special"]


def test_an_encrypted_entry_is_refused(course, inbox):
    path = zipped(inbox / "class.zip", [("anna/first.ipynb", ONE)])
    data = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1
    path.write_bytes(data)
    assert list(codes(collect(path, NOON)).values()) == ["encrypted"]


def test_a_bomb_by_ratio_is_stopped_while_it_unpacks(course, inbox):
    bomb = zipped(inbox / "class.zip", [("anna/first.ipynb", b" " * 30 * 2**20)])
    assert bomb.stat().st_size < 100_000
    assert list(codes(collect(bomb, NOON)).values()) == ["ratio"]


def test_a_bomb_by_size_is_stopped_whatever_its_header_says(course, inbox):
    noise = random.Random(0).randbytes(2**20)
    path = inbox / "class.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("anna/first.ipynb", noise * 34)
    assert list(codes(collect(path, NOON)).values()) == ["too-large"]
    # A header that says 10 bytes: what follows them is not taken.
    zipped(path, [("anna/first.ipynb", b" " * 30 * 2**20)])
    data = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = data.index(mark) + place
        data[start : start + 4] = struct.pack("<I", 10)
    path.write_bytes(data)
    assert list(codes(collect(path, NOON)).values()) == ["damaged"]


def test_a_learner_with_too_many_entries_costs_nobody_else(course, inbox):
    entries = [(f"anna/{number}.txt", b"") for number in range(1500)]
    path = zipped(inbox / "class.zip", [*entries, ("bert/first.ipynb", ONE)])
    found = codes(collect(path, NOON))
    assert found["class.zip: anna"] == "too-many"
    assert len(found) == finding.MOST_FILES + 1
    assert set(submitted(course)) == {"bert/part/first.ipynb"}


def test_a_table_of_contents_of_a_million_entries_is_not_read(course, inbox):
    # As the table would be: a million times the same 60 bytes.
    path = zipped(inbox / "class.zip", [("anna/first.ipynb", ONE)])
    data = path.read_bytes()
    start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    table = data[start:end] * 10**6
    tail = bytearray(data[end:])
    tail[12:16] = struct.pack("<I", len(table))
    path.write_bytes(data[:start] + table + tail)
    [missed] = collect(path, NOON).missed
    assert missed.why.code == "too-many"
    assert "table of contents" in missed.why.text


@pytest.mark.parametrize("cut", [0, 10, 100, -30, -5])
def test_a_damaged_zip_is_refused(course, inbox, cut):
    path = zipped(inbox / "anna.zip", [("first.ipynb", ONE)])
    path.write_bytes(path.read_bytes()[:cut])
    put(inbox, "bert/first.ipynb")
    assert codes(collect(inbox, NOON)) == {"anna.zip": "damaged"}
    assert set(submitted(course)) == {"bert/part/first.ipynb"}


def test_no_byte_changed_in_a_zip_stops_the_others(course, inbox):
    path = zipped(inbox / "anna.zip", [("first.ipynb", ONE), ("x/second.ipynb", TWO)])
    whole = path.read_bytes()
    put(inbox, "bert/first.ipynb")
    draw = random.Random(0)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        path.write_bytes(data)
        taken = collect(inbox, NOON).taken
        assert "bert/first.ipynb" in [attempt.name for attempt in taken]


def test_a_zip_that_is_a_link_is_refused(course, inbox, tmp_path):
    path = zipped(tmp_path / "x.zip", [("first.ipynb", ONE)])
    (inbox / "anna.zip").symlink_to(path)
    assert codes(collect(inbox, NOON)) == {"anna.zip": "link"}


# The command


def test_the_command_says_what_was_not_taken_and_exits_with_1(course, inbox):
    put(inbox, "anna/first.ipynb")
    run = CliRunner().invoke(collect_command, [str(inbox), "--from", "folder"])
    assert run.exit_code == 0
    assert "1 new notebooks of 1 learners" in run.output
    put(inbox, "evil\x1b[2J\u202e/first.ipynb", b"{")
    run = CliRunner().invoke(collect_command, [str(inbox)])
    assert run.exit_code == 1
    assert "[not-gradable]" in run.output
    assert "not valid JSON at line 1" in run.output
    assert "\x1b" not in run.output
    assert "\u202e" not in run.output


def test_nothing_but_notebooks_is_no_failure(course, inbox):
    put(inbox, "anna/first.ipynb")
    put(inbox, "anna/readme.txt", b"")
    run = CliRunner().invoke(collect_command, [str(inbox)])
    assert run.exit_code == 0
    assert "anna/readme.txt is not a notebook" in run.output


def test_what_was_collected_can_be_read_by_who_may_enter_the_folder(course, inbox):
    put(inbox, "anna/first.ipynb")
    old = os.umask(0o022)
    try:
        collect(inbox, LATER)
    finally:
        os.umask(old)
    [path] = (course / "grading/submitted").rglob("first.ipynb")
    assert path.stat().st_mode & 0o777 == 0o644
    assert path.parent.stat().st_mode & 0o777 == 0o755


def test_a_collection_that_is_cut_short_leaves_whole_files(course, inbox, tmp_path):
    for number in range(50):
        put(inbox, f"s{number}/first.ipynb")
    program = (
        "import os, sys, datetime, pathlib\n"
        "from course.grading import collect\n"
        "left = 70\n"
        "replace = os.replace\n"
        "def stop(*names):\n"
        "    global left\n"
        "    left -= 1\n"
        "    if not left: os.kill(os.getpid(), 9)\n"
        "    replace(*names)\n"
        "os.replace = stop\n"
        "now = datetime.datetime.now(datetime.UTC)\n"
        "collect.collect(pathlib.Path(sys.argv[1]), now)\n"
    )
    run = subprocess.run([sys.executable, "-c", program, str(inbox)], cwd=course)
    assert run.returncode == -9
    assert set(submitted(course).values()) == {ONE}
    assert len(submitted(course)) < 50
    collect(inbox, LATER)
    assert len(submitted(course)) == 50
    assert set(submitted(course).values()) == {ONE}


def test_a_copy_of_a_notebook_counts_once(course, inbox):
    again = copy.copy(ONE)
    put(inbox, "anna/first.ipynb")
    put(inbox, "anna/first-Copy1.ipynb", again)
    collection = collect(inbox, NOON)
    assert collection.new == [("anna", "part/first")]
    assert not [text for _, text in collection.notes if "newest" in text]


def test_a_damaged_record_is_said(course, inbox):
    put(inbox, "anna/first.ipynb")
    (course / "grading/collected").mkdir(parents=True)
    (course / "grading/collected/record.json").write_text("{")
    run = CliRunner().invoke(collect_command, [str(inbox)])
    assert isinstance(run.exception, paths.CourseError)
    assert "delete it; ids stay the same" in str(run.exception)


# When


def stamp(course, student="anna"):
    path = course / f"grading/submitted/{student}/part/timestamp.txt"
    return path.read_text().strip()


def entry_of(course, student="anna", lesson="part/first"):
    record = json.loads((course / "grading/collected/record.json").read_text())
    return record["attempts"][student][lesson][-1]


@pytest.fixture
def dated(course):
    """A course whose part is due at noon of the day on which the clocks change."""
    (course / "solutions/part").mkdir(parents=True)
    (course / "solutions/part/first.py").touch()
    (course / "grading").mkdir()
    path = course / "grading/dates.toml"
    path.write_text('zone = "Europe/Berlin"\n[parts.part]\ndue = 2026-03-29T12:00:00\n')
    return course


def test_the_instructors_word_counts_and_is_kept_as_such(dated, inbox):
    put(inbox, "anna/first.ipynb")
    command = [str(inbox), "--at", "2026-03-29 11:59"]
    run = CliRunner().invoke(collect_command, command)
    assert run.exit_code == 0, run.output
    assert "late" not in run.output
    assert stamp(dated) == "2026-03-29 09:59:00 UTC"  # summer time began that night
    assert entry_of(dated)["by"] == "word"


def test_what_the_clock_calls_late_is_said_and_can_be_put_right(dated, inbox):
    put(inbox, "anna/first.ipynb")
    run = CliRunner().invoke(collect_command, [str(inbox)])
    assert "late       part: anna" in run.output
    assert "--at TIME" in run.output
    assert entry_of(dated)["by"] == "clock"
    command = [str(inbox), "--at", "2026-03-29 11:59"]
    run = CliRunner().invoke(collect_command, command)
    assert "counts as handed in by 2026-03-29 09:59:00+00:00, as you say" in run.output
    assert "late       " not in run.output
    assert stamp(dated) == "2026-03-29 09:59:00 UTC"
    assert entry_of(dated)["by"] == "word"
    # What was here by then does not come later for being found again.
    CliRunner().invoke(collect_command, [str(inbox)])
    assert stamp(dated) == "2026-03-29 09:59:00 UTC"


def test_what_was_handed_in_earlier_never_replaces_what_came_later(course, inbox):
    put(inbox, "anna/first.ipynb", TWO, time=2000)
    collect(inbox, LATER)
    put(inbox, "anna/first.ipynb", ONE, time=1000)
    collection = collect(inbox, NOON, stated=True)
    assert "which stays" in dict(collection.notes)["anna/first.ipynb"]
    assert submitted(course) == {"anna/part/first.ipynb": TWO}
    assert stamp(course) == "2026-03-29 13:00:00 UTC"


def test_a_submission_is_as_late_as_the_last_of_its_notebooks(course, inbox):
    second = put(inbox, "anna/second.ipynb", text(lesson="part/second"))
    collect(inbox, LATER)
    second.unlink()
    put(inbox, "anna/first.ipynb", ONE)
    collect(inbox, NOON, stated=True)
    assert stamp(course) == "2026-03-29 13:00:00 UTC"


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        ("yesterday", "is no time: 2026-11-20 23:59 is one"),
        ("2026-03-28", "is no time: 2026-11-20 23:59 is one"),
        ("2999-01-01 12:00", "has not come yet"),
        ("2026-03-29 02:30", "leaves out on that day"),
        ("2025-10-26 02:30", "comes twice on that day"),
    ],
)
def test_a_time_that_is_none_is_refused(dated, inbox, at, reason):
    put(inbox, "anna/first.ipynb")
    run = CliRunner().invoke(collect_command, [str(inbox), "--at", at])
    assert isinstance(run.exception, CourseError)
    assert reason in str(run.exception)
    assert submitted(dated) == {}


def test_a_time_needs_a_zone(course, inbox):
    put(inbox, "anna/first.ipynb")
    run = CliRunner().invoke(collect_command, [str(inbox), "--at", "2026-01-01 12:00"])
    assert "has no time zone" in str(run.exception)
    command = [str(inbox), "--at", "2026-01-01 12:00+01:00"]
    assert CliRunner().invoke(collect_command, command).exit_code == 0
    assert stamp(course) == "2026-01-01 11:00:00 UTC"
