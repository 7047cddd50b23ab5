"""Plain `nbgrader autograde` gives the same rows and files as `course grade`."""

import contextlib
import fcntl
import json
import os
import shutil

import pytest
from room import LESSONS, PART, Room

from course import paths
from course.grading import grade, plugin, pool

FULL = {"test_double": 2, "test_double_twice": 1, "test_triple": 2}


@pytest.fixture(autouse=True)
def doors(judges, measured, monkeypatch):
    """Plain nbgrader asks the fake judge too."""
    monkeypatch.setattr(plugin._run, "judges", judges)
    monkeypatch.setattr(pool, "level", lambda allow_weak: "base")


def cases(room):
    """One of everything, each by a learner of that name."""
    room.submit("right", double="passed", triple="passed")
    room.submit("right", "second", double="passed", triple="passed")
    room.submit("partial", double="half", triple="wrong")
    room.submit("crashed", double="crashed", triple="passed")
    room.submit("slow", double="timed out", triple="passed")
    room.submit("failed judge", double="RAISE", triple="passed")
    room.submit("Zoë Ü", double="passed", triple="passed")
    room.submit("a+b(c).d", double="passed", triple="passed")
    room.submit("untouched")
    room.submit("renamed", name="first (1)", double="passed", triple="passed")
    room.submit("other name", name="mine", double="passed", triple="passed")
    room.submit("two", double="passed", triple="wrong")
    room.submit("two", name="first-Copy1", double="wrong", triple="wrong")
    room.hand_in("cut", "first.ipynb", '{"cells": [{')
    room.hand_in("empty", "first.ipynb", "")
    room.hand_in("wrong lesson", "first.ipynb", released(room, "second"))
    room.hand_in("unknown", "what.ipynb", "{}")
    room.hand_in("stripped", "first.ipynb", stripped(released(room, "first")))
    room.hand_in("hostile", "first.ipynb", hostile(released(room, "first")))
    room.submit("dated", double="passed", triple="passed")
    room.hand_in("dated", "timestamp.txt", "2026-03-29 02:30:00 UTC")
    room.submit("misdated", double="passed", triple="passed")
    room.hand_in("misdated", "timestamp.txt", "yesterday")
    secret = room.folder / "secret"
    secret.write_text("CANARY")
    room.submit("link", double="passed", triple="passed")
    base = room.folder / "grading/submitted"
    os.symlink(secret, base / "link" / PART / "data.csv")
    os.symlink(secret, base / "link" / PART / "second.ipynb")
    (base / "fifo" / PART).mkdir(parents=True)
    os.mkfifo(base / "fifo" / PART / "first.ipynb")
    room.submit("fifo", "second", double="passed", triple="passed")


def released(room, lesson):
    return (room.folder / f"exercises/{PART}/{lesson}.ipynb").read_text("utf-8")


def stripped(text):
    node = json.loads(text)
    for cell in node["cells"]:
        cell["metadata"] = {}
        if cell["id"] in ("double", "triple"):
            cell["source"] = "passed"
    return json.dumps(node)


def hostile(text):
    """Tags, points, outputs and cells of the learner's own making."""
    node = json.loads(text)
    result = {
        "output_type": "execute_result",
        "execution_count": 1,
        "metadata": {},
        "data": {"text/plain": "2.0", "text/html": "<script>alert(1)</script>"},
    }
    for cell in node["cells"]:
        if cell["cell_type"] == "code":
            cell["metadata"]["tags"] = ["skip-execution"]
            cell["outputs"] = [result]
        if "nbgrader" in cell["metadata"]:
            cell["metadata"]["nbgrader"] |= {"points": 99, "schema_version": 99}
    node["cells"] += [
        dict(cell, id=f"copy-{n}") for n, cell in enumerate(node["cells"])
    ]
    own = {"metadata": {}, "source": "<img src=x onerror=alert(1)>", "id": "mine"}
    node["cells"].append({"cell_type": "markdown", **own})
    return json.dumps(node)


def by_nbgrader(room, students):
    return {student: room.autograde(student) for student in students}


def by_course(judges):
    return grade.run(PART, [], judges, "base")


def enter(room, monkeypatch):
    monkeypatch.chdir(room.folder)
    monkeypatch.setenv("COURSE_STATE", str(room.state))
    paths.root.cache_clear()


def test_both_doors_give_the_same_rows_and_files(
    classroom, judges, tmp_path, monkeypatch
):
    cases(classroom)
    twin = Room(tmp_path / "twin/course", tmp_path / "twin/state")
    shutil.copytree(classroom.state, twin.state)
    shutil.copytree(
        classroom.folder,
        twin.folder,
        symlinks=True,
        ignore=lambda _, names: [n for n in names if n == "submitted"],
    )
    # One key: the seeds are the same too.
    report = by_course(judges)
    assert {line.split(" · ")[0] for line in report.failures} == {"failed judge"}
    shutil.copy(classroom.state / "key", twin.state / "key")
    enter(twin, monkeypatch)
    cases(twin)
    students = sorted(os.listdir(twin.folder / "grading/submitted"))
    results = by_nbgrader(twin, students)
    assert all(result["success"] for result in results.values()), results
    rows, others = classroom.rows(), twin.rows()
    assert sorted(rows) == sorted(others) == students
    for student in students:
        assert rows[student] == others[student], student
    files, others = classroom.files(), twin.files()
    assert sorted(files) == sorted(others)
    for name in files:
        assert files[name] == others[name], name
    assert not any(b"CANARY" in data or b"onerror" in data for data in files.values())
    assert not any(b"<script" in data for data in files.values())
    assert classroom.points("stripped") == FULL
    assert classroom.points("renamed") == classroom.points("other name") == FULL
    assert classroom.points("two")["test_triple"] == 0
    assert set(classroom.points("hostile").values()) == {0}
    assert set(classroom.points("fifo").values()) == {0}
    assert classroom.points("fifo", "second") == FULL
    for student in ("fifo", "cut", "empty", "wrong lesson"):
        assert all(classroom.needs_grading(student).values()), student
    assert all(classroom.needs_grading("link", "second").values())
    aside = twin.folder / plugin.QUARANTINE
    assert os.path.islink(aside / "link" / PART / "data.csv")
    assert (aside / "misdated" / PART / "timestamp.txt").read_text() == "yesterday"


def test_a_batch_of_nbgrader_goes_on_after_each_of_them(classroom):
    cases(classroom)
    assert classroom.autograde("*")["success"]
    assert classroom.points("right", "second") == FULL
    assert len(classroom.rows()) == len(
        os.listdir(classroom.folder / "grading/submitted")
    )


def test_a_verdict_in_the_store_is_not_judged_again(classroom, judges, calls):
    classroom.submit("ada", double="passed", triple="half")
    by_course(judges)
    before, count = (classroom.rows(), classroom.files()), len(calls())
    assert classroom.autograde("ada")["success"]
    assert len(calls()) == count
    assert (classroom.rows(), classroom.files()) == before


def test_a_regrade_that_is_cut_shows_no_old_score(classroom, judges, monkeypatch):
    classroom.submit("ada", double="passed", triple="passed")
    by_course(judges)
    assert classroom.points("ada") == FULL
    classroom.submit("ada", double="wrong", triple="wrong")

    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(plugin.work, "settle", fail)
    assert not classroom.autograde("ada")["success"]
    for lesson in LESSONS:
        assert set(classroom.points("ada", lesson).values()) == {None}
        assert all(classroom.needs_grading("ada", lesson).values())


def test_manual_grades_stay_and_are_flagged_where_they_now_differ(classroom):
    classroom.submit("ada", double="half", triple="wrong")
    classroom.autograde("ada")
    classroom.manual("ada", "test_double", 1.5)
    classroom.manual("ada", "test_triple", 1)
    classroom.submit("ada", double="passed", triple="wrong")
    classroom.autograde("ada")
    rows = classroom.rows()["ada"]
    assert rows["first", "test_double"][:2] == (2, 1.5)
    assert rows["first", "test_triple"][:2] == (0, 1)
    assert classroom.needs_grading("ada") == {
        **{"test_double": True, "test_double_twice": False, "test_triple": False}
    }


def test_only_the_learner_that_is_graded_changes(classroom):
    for student in ("ada", "bob"):
        classroom.submit(student, double="passed", triple="half")
        classroom.autograde(student)
    rows, files = classroom.rows(), classroom.files()
    classroom.submit("ada", double="wrong", triple="wrong")
    classroom.autograde("ada")
    after = classroom.rows()
    assert after["bob"] == rows["bob"]
    assert after["ada"] != rows["ada"]
    changed = {name for name, data in classroom.files().items() if files[name] != data}
    assert {name.split("/")[0] for name in changed} == {"ada"}


def test_while_another_grades_nothing_is_touched(classroom, judges, monkeypatch):
    classroom.submit("ada", double="passed", triple="passed")
    by_course(judges)
    before = classroom.rows()
    monkeypatch.setattr(plugin, "PATIENCE", 0.1)
    with open(classroom.state / "grading.lock", "w+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write("process 7 on a machine\n")
        file.flush()
        result = classroom.autograde("ada")
    assert not result["success"]
    assert "process 7 on a machine" in result["log"]
    assert classroom.rows() == before


def test_the_lock_is_free_after_a_submission_and_after_a_failure(
    classroom, monkeypatch
):
    classroom.submit("ada", double="passed", triple="passed")
    assert classroom.autograde("ada")["success"]
    assert is_free(classroom)
    with monkeypatch.context() as patch:
        patch.setattr(plugin.work, "settle", None)
        assert not classroom.autograde("ada")["success"]
    assert is_free(classroom)


def is_free(room):
    with open(room.state / "grading.lock") as file, contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
