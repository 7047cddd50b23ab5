"""A verdict that does not fit its job is never a mark; no file is half written."""

import copy
import json
import math

import pytest
from nbformat import from_dict
from nbgrader.utils import determine_grade

from course.grading import submission, verdicts

JOB = {
    "lesson": "part/first",
    "content": "c0",
    "versions": {"tests": "t0"},
    "cells": [
        {"id": "double", "kind": "answer", "task": "double", "source": "", "stub": ""},
        {"id": "test_a", "kind": "test", "task": "double", "source": "", "points": 2.0},
        {"id": "test_b", "kind": "test", "task": "double", "source": "", "points": 1.0},
        {"id": "triple", "kind": "answer", "task": "triple", "source": "", "stub": ""},
        {"id": "test_c", "kind": "test", "task": "triple", "source": "", "points": 2.0},
    ],
    "seeds": {"double": "00" * 32, "triple": "11" * 32},
}
KEYS = {"double": "k1", "triple": "k2"}


def check(points, status="wrong"):
    return {"points": points, "status": status, "message": "m", "hidden": False}


def reply(**changes):
    exercises = {
        "double": {
            "status": "passed",
            "message": "",
            "checks": {"test_a": check(2.0, "passed"), "test_b": check(1.0, "passed")},
        },
        "triple": {"status": "wrong", "message": "", "checks": {"test_c": check(0.0)}},
    }
    exercises.update(changes)
    return {
        "schema": 1,
        "verdict": {"lesson": "part/first", "exercises": exercises, "notes": []},
        "run": {"seconds": 1.0, "level": "base"},
    }


def as_bytes(said):
    return json.dumps(said).encode()


def join(said, old=None, keys=KEYS, alone=False, notes=()):
    data = (
        said if said is None or isinstance(said, bytes) else json.dumps(said).encode()
    )
    return verdicts.join(JOB, keys, data, notes=list(notes), old=old, alone=alone)


def test_an_honest_reply_becomes_the_verdict():
    verdict = join(reply())
    assert verdicts.points(verdict) == {"test_a": 2, "test_b": 1, "test_c": 0}
    assert verdicts.statuses(verdict) == {"double": "passed", "triple": "wrong"}
    assert verdict["run"]["settled"] == ["double", "triple"]
    assert verdict["run"]["seconds"] == 1.0


BAD = {
    "too much": check(2.5),
    "negative": check(-1.0),
    "nan": check(math.nan),
    "infinite": check(math.inf),
    "a string": check("2"),
    "true": check(True),
    "nothing": check(None),
    "an unknown status": check(1.0, "excellent"),
    "points for a crash": check(1.0, "crashed"),
    "no status": {"points": 2.0, "message": "", "hidden": False},
    "no check": None,
}


@pytest.mark.parametrize("case", BAD)
def test_points_that_cannot_be_are_a_grader_error(case):
    outcome = {"status": "wrong", "message": "", "checks": {"test_c": BAD[case]}}
    verdict = join(reply(triple=outcome))
    assert verdicts.statuses(verdict)["triple"] == "grader error"
    assert verdicts.points(verdict)["test_c"] is None
    assert verdicts.points(verdict)["test_a"] == 2
    assert verdict["run"]["settled"] == ["double"]


@pytest.mark.parametrize(
    "outcome",
    [
        {"status": "passed", "message": "", "checks": {"test_c": check(1.0)}},
        {"status": "not attempted", "message": "", "checks": {"test_c": check(1.0)}},
        {"status": "wrong", "message": "", "checks": {}},
        {"status": "wrong", "message": "", "checks": {"test_c": check(1.0), "x": 1}},
        {"status": "wrong", "message": ""},
        [],
        None,
    ],
)
def test_an_outcome_that_cannot_be_is_a_grader_error(outcome):
    verdict = join(reply(triple=outcome))
    assert verdicts.statuses(verdict)["triple"] == "grader error"


@pytest.mark.parametrize(
    "said",
    [None, b"", b"[]", b"{}", b"\xff", {**reply(), "schema": 2}, {**reply(), "run": 1}],
)
def test_a_reply_that_cannot_be_is_a_grader_error_everywhere(said):
    verdict = join(said)
    assert set(verdicts.statuses(verdict).values()) == {"grader error"}
    assert verdict["run"]["settled"] == []


def test_what_is_settled_is_kept_while_its_key_is_the_same():
    old = join(reply())
    assert verdicts.cached(old, KEYS) == ["double", "triple"]
    assert verdicts.cached(old, KEYS | {"triple": "k3"}) == ["double"]
    mended = {
        "status": "passed",
        "message": "",
        "checks": {"test_c": check(2.0, "passed")},
    }
    new = join(reply(double=None, triple=mended), old, KEYS | {"triple": "k3"})
    assert verdicts.points(new) == {"test_a": 2, "test_b": 1, "test_c": 2}
    assert new["run"]["cached"] == ["double"]


def test_a_time_out_stands_when_it_was_alone():
    late = {"status": "timed out", "message": "", "checks": {"test_c": check(0.0)}}
    assert join(reply(triple=late))["run"]["settled"] == ["double"]
    assert join(reply(triple=late), alone=True)["run"]["settled"] == list(KEYS)


def test_a_grader_error_never_stands():
    broken = reply(triple={"status": "grader error", "message": "", "checks": {}})
    assert join(broken, alone=True)["run"]["settled"] == ["double"]


def test_the_judges_notes_stay_with_what_is_kept():
    flagged = reply()
    flagged["verdict"]["notes"] = [{"code": "FLAG", "text": "imports the answer"}]
    old = join(flagged)
    again = join(None, old, notes=[{"code": "renamed", "text": "copy.ipynb"}])
    assert [note["code"] for note in again["verdict"]["notes"]] == ["FLAG", "renamed"]


def test_no_verdict_holds_a_seed():
    assert JOB["seeds"]["double"] not in json.dumps(join(reply()))


# The store


@pytest.fixture
def store(tmp_path):
    return verdicts.Store(tmp_path / "verdicts")


def test_what_is_saved_is_loaded(store):
    verdict = join(reply())
    store.save("Zoë Ü", "part/first", verdict)
    assert store.load("Zoë Ü", "part/first") == verdict
    assert store.load("zoë ü", "part/first") is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"schema": 0}', b'{"schema": 1}'])
def test_a_damaged_file_is_no_verdict(store, data):
    path = store.path("ada", "part/first")
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    assert store.load("ada", "part/first") is None


@pytest.mark.parametrize("student", ["", ".", "..", "a/b", "a\0b"])
def test_no_name_leads_out_of_the_store(store, student):
    with pytest.raises(ValueError, match="not a student"):
        store.path(student, "part/first")


def test_the_longest_name_a_folder_can_have_fits(store):
    verdict = join(reply())
    store.save("x" * 255, "part/first", verdict)
    assert store.load("x" * 255, "part/first") == verdict


def test_a_write_that_fails_leaves_what_was_there(store, monkeypatch):
    verdict = join(reply())
    store.save("ada", "part/first", verdict)

    def full(_):
        raise OSError("disk full")

    monkeypatch.setattr(verdicts.os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        store.save("ada", "part/first", {"schema": 1})
    assert store.load("ada", "part/first") == verdict
    assert len(list(store.path("ada", "part/first").parent.iterdir())) == 1


def test_verdicts_are_private(store):
    store.save("ada", "part/first", join(reply()))
    assert store.path("ada", "part/first").stat().st_mode & 0o777 == 0o600


# Outputs: what nbgrader makes of them


HOSTILE = [
    *("", "2.0", "nan", "inf", "-1", "True", "\x1b[31mred", "a\nb\nc", "<script>"),
    *("‮", "x" * 100_000, "\n" * 5000, "\r\x00", "Traceback"),
]


def graded(check, of):
    cell = {
        "cell_type": "code",
        "source": "",
        "metadata": {
            "nbgrader": {
                **{"grade": True, "solution": False, "locked": True, "points": of},
                "grade_id": "t",
            }
        },
        "outputs": submission.outputs(check),
    }
    return determine_grade(from_dict(cell))


@pytest.mark.parametrize("of", [1, 2, 3.0, 100])
@pytest.mark.parametrize("message", HOSTILE)
def test_nbgrader_reads_every_outcome_as_it_is_meant(message, of):
    for share in (0.0, 1e-9, 0.1, 1 / 3, 0.5, 1 - 1e-9, 1.0):
        points = of * share
        status = "passed" if points == of else "wrong"
        said = {"points": float(points), "of": of, "status": status}
        assert graded({**said, "message": message}, of) == (points, of)
    for status in verdicts.STATUSES:
        if status != "passed":
            said = {"points": 0.0, "of": of, "status": status, "message": message}
            assert graded(said, of) == (0, of)


def test_a_failed_grader_gives_no_points_even_before_it_is_marked():
    said = {"points": None, "of": 2, "status": "grader error", "message": "m"}
    assert graded(said, 2) == (0, 2)


@pytest.mark.parametrize("points", [math.nan, math.inf, -1.0, 3.0, "2", True])
def test_outputs_refuse_what_is_no_score(points):
    said = {"points": points, "of": 2, "status": "wrong", "message": ""}
    with pytest.raises((ValueError, TypeError)):
        submission.outputs(said)


def test_outputs_never_hold_stderr_or_markup():
    for message in HOSTILE:
        for points in (0.0, 0.5, 2.0):
            said = {"points": points, "of": 2, "status": "wrong", "message": message}
            for output in submission.outputs(copy.deepcopy(said)):
                assert output["output_type"] in ("stream", "error", "execute_result")
                assert output.get("name", "stdout") == "stdout"
                assert set(output.get("data", {})) <= {"text/plain"}
                assert len(json.dumps(output)) < 40_000
