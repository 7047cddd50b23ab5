"""The batch: complete, resumable, and nothing stale is ever shown as current."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import fake_judge
import pytest
import room
from room import PART

from course.grading import grade, pool, verdicts, work
from course.paths import CourseError

HERE = Path(__file__).parent
FULL = {"test_double": 2, "test_double_twice": 1, "test_triple": 2}
LESSON = f"{PART}/first"


pytestmark = [
    pytest.mark.usefixtures("measured"),
    pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True),
]


def run(judges, *students):
    return grade.run(PART, list(students), judges, "base")


def pure(classroom):
    """The part of each verdict that must not depend on the run."""
    base = classroom.state / "verdicts"
    return {
        path.relative_to(base).as_posix(): verdicts.dumps(
            json.loads(path.read_bytes())["verdict"]
        )
        for path in base.rglob("*.json")
    }


def outcome(student, task, lesson=LESSON):
    return work.store().load(student, lesson)["verdict"]["exercises"][task]


def test_points_reach_the_gradebook(classroom, judges):
    classroom.submit("ada", double="passed", triple="half")
    classroom.submit("ada", "second", double="wrong", triple="passed")
    report = run(judges)
    assert not report.failures
    assert report.recorded == 1
    assert classroom.points("ada") == FULL | {"test_triple": 1}
    assert classroom.points("ada", "second") == {
        **{"test_double": 0, "test_double_twice": 0, "test_triple": 2}
    }
    assert not any(classroom.needs_grading("ada").values())


def test_a_notebook_that_is_missing_or_untouched_gets_0_and_is_final(classroom, judges):
    classroom.submit("ada")
    run(judges)
    for lesson in room.LESSONS:
        assert set(classroom.points("ada", lesson).values()) == {0}
        assert not any(classroom.needs_grading("ada", lesson).values())
    assert outcome("ada", "double", f"{PART}/second")["status"] == "not attempted"


def test_a_second_run_judges_nothing_and_changes_no_byte(classroom, judges, calls):
    for number in range(3):
        classroom.submit(f"learner {number}", double="passed", triple=f"half {number}")
    run(judges)
    before = pure(classroom), classroom.files(), classroom.rows()
    count = len(calls())
    report = run(judges)
    assert report.unchanged == 3
    assert len(calls()) == count
    assert (pure(classroom), classroom.files(), classroom.rows()) == before


def test_verdicts_are_the_same_bytes_when_all_is_judged_again(classroom, judges, calls):
    import shutil

    for number in range(3):
        classroom.submit(f"learner {number}", double="passed", triple=f"half {number}")
    run(judges)
    before = pure(classroom), classroom.files(), classroom.rows()
    shutil.rmtree(classroom.state / "verdicts")
    count = len(calls())
    run(judges)
    assert len(calls()) > count
    assert (pure(classroom), classroom.files(), classroom.rows()) == before


def test_other_learners_and_other_answers_draw_other_seeds(classroom, judges):
    for student, text in (("ada", "passed"), ("bob", "passed"), ("cy", "passed #")):
        classroom.submit(student, double=text, triple="passed")
    run(judges)
    seeds = [
        work.store().load(student, LESSON)["verdict"]["seeds"]["double"]
        for student in ("ada", "bob", "cy")
    ]
    assert len(set(seeds)) == 3


def test_a_mended_test_regrades_what_it_touches(classroom, judges, calls):
    classroom.submit("ada", double="passed", triple="wrong")
    classroom.submit("bob", "second", double="passed", triple="wrong")
    run(judges)
    count, before = len(calls()), work.store().load("ada", LESSON)["verdict"]
    text = room.SOURCE.format(title="The first lesson").replace(
        "triple(7), 21", "triple(9), 27"
    )
    room.write_source(classroom.folder, "first", text)
    room.generate()
    run(judges)
    new = calls()[count:]
    # The reference is timed again, and ada's second task judged.
    assert [call.split()[1] for call in new] == ["triple", "triple"]
    after = work.store().load("ada", LESSON)["verdict"]
    assert after["exercises"]["double"] == before["exercises"]["double"]
    assert after["seeds"] == before["seeds"]
    assert after["versions"]["tests"] != before["versions"]["tests"]


def test_a_source_that_is_not_assigned_is_not_graded(classroom, judges):
    classroom.submit("ada", double="passed")
    path = classroom.folder / f"solutions/{LESSON}.py"
    path.write_text(path.read_text().replace("triple(7), 21", "triple(8), 24"))
    with pytest.raises(CourseError, match="course assign"):
        run(judges)


def test_another_release_than_the_gradebook_knows_is_not_graded(classroom, judges):
    classroom.submit("ada", double="passed")
    text = room.SOURCE.format(title="The first lesson")
    text = text.replace('aspect="twice" points=1', 'aspect="twice" points=3')
    room.write_source(classroom.folder, "first", text)
    with pytest.raises(CourseError, match="generate_assignment"):
        run(judges)


def test_a_reference_that_fails_its_tests_stops_the_run(classroom, judges):
    text = room.SOURCE.format(title="The first lesson")
    text = text.replace("return 3 * x", "return 3 * x  # wrong")
    room.write_source(classroom.folder, "first", text)
    room.generate()
    classroom.submit("ada", double="passed")
    with pytest.raises(CourseError, match="solution of triple does not pass"):
        run(judges)


def test_manual_grades_stay_and_are_flagged_where_they_now_differ(classroom, judges):
    classroom.submit("ada", double="half", triple="wrong")
    run(judges)
    classroom.manual("ada", "test_double", 1.5)
    classroom.manual("ada", "test_triple", 1)
    classroom.submit("ada", double="passed", triple="wrong")
    run(judges)
    rows = classroom.rows()["ada"]
    assert rows["first", "test_double"][:2] == (2, 1.5)
    assert rows["first", "test_triple"][:2] == (0, 1)
    assert classroom.needs_grading("ada") == {
        **{"test_double": True, "test_double_twice": False, "test_triple": False}
    }


def test_a_run_that_is_cut_leaves_needs_grading(classroom, judges):
    classroom.submit("ada", double="passed", triple="passed")
    classroom.submit("bob", double="passed", triple="passed")
    run(judges)
    classroom.submit("ada", double="wrong", triple="wrong")

    class Cut(pool.Judges):
        def all(self, jobs, alone=False):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grade.run(PART, [], Cut(), "base")
    assert set(classroom.points("ada").values()) == {None}
    assert all(classroom.needs_grading("ada").values())
    assert classroom.points("bob") == FULL


def test_a_submission_is_recorded_whole_or_not_at_all(classroom, judges, monkeypatch):
    from course.grading import writer

    classroom.submit("ada", double="passed", triple="passed")
    classroom.submit("ada", "second", double="passed", triple="passed")
    classroom.submit("bob", double="passed", triple="passed")
    before = classroom.rows()
    honest = writer.mark

    def fail(gradebook, resources):
        names = resources["nbgrader"]
        if (names["student"], names["notebook"]) == ("ada", "second"):
            raise OSError("disk full")
        honest(gradebook, resources)

    monkeypatch.setattr(writer, "mark", fail)
    report = run(judges)
    assert [line for line in report.failures if "disk full" in line]
    assert "ada" not in classroom.rows()
    assert before == {}
    monkeypatch.setattr(writer, "mark", honest)
    assert not run(judges).failures
    assert classroom.points("ada") == FULL


def test_a_late_penalty_is_of_the_score_as_it_is_now(classroom, judges):
    from nbgrader.api import Gradebook

    with open(classroom.folder / "nbgrader_config.py", "a") as file:
        file.write("c.LateSubmissionPlugin.penalty_method = 'zero'\n")
    with Gradebook(classroom.url) as gradebook:
        gradebook.update_or_create_assignment(PART, duedate="2026-01-01 12:00 UTC")

    def penalty():
        assert not run(judges).failures
        return classroom.rows()["ada"]["first", "test_double"][-1]

    classroom.submit("ada", double="passed", triple="half")
    classroom.hand_in("ada", "timestamp.txt", "2026-01-01 11:00:00 UTC")
    assert penalty() is None
    classroom.hand_in("ada", "timestamp.txt", "2026-01-01 13:00:00 UTC")
    assert penalty() == 4
    classroom.submit("ada", double="half", triple="wrong")
    assert penalty() == 1.5
    classroom.hand_in("ada", "timestamp.txt", "2026-01-01 11:00:00 UTC")
    assert penalty() is None


def test_only_the_learner_that_is_graded_changes(classroom, judges):
    for student in ("ada", "bob"):
        classroom.submit(student, double="passed", triple="half")
    run(judges)
    rows, files = classroom.rows(), classroom.files()
    for student in ("ada", "bob"):
        classroom.submit(student, double="wrong", triple="wrong")
    run(judges, "ada")
    after = classroom.rows()
    assert after["bob"] == rows["bob"]
    assert after["ada"] != rows["ada"]
    changed = {name for name, data in classroom.files().items() if files[name] != data}
    assert {name.split("/")[0] for name in changed} == {"ada"}


@pytest.mark.parametrize("fault", ["RAISE", "EXIT", "TOO MUCH", "NAN", "grader error"])
def test_a_judge_that_fails_gives_no_mark_and_is_asked_again(
    classroom, judges, calls, fault
):
    classroom.submit("ada", double=f"passed {fault}", triple="passed")
    classroom.submit("bob", double="passed", triple="passed")
    report = run(judges)
    assert [line for line in report.failures if line.startswith("ada")]
    assert classroom.points("ada")["test_double"] is None
    assert classroom.needs_grading("ada")["test_double"]
    assert "not your code" in outcome("ada", "double")["message"] or fault == (
        "grader error"
    )
    assert classroom.points("bob") == FULL
    count = len(calls())
    run(judges)
    assert len(calls()) > count


def test_a_time_out_is_run_again_alone_before_it_stands(classroom, judges, calls):
    classroom.submit("ada", double="timed out", triple="passed")
    run(judges)
    assert [call.split()[1] for call in calls()] == ["double,triple", "double"]
    assert classroom.points("ada")["test_double"] == 0
    run(judges)
    assert len(calls()) == 2


def test_a_file_that_cannot_be_read_gets_0_and_needs_grading(classroom, judges):
    classroom.hand_in("ada", "first.ipynb", '{"cells": [')
    classroom.submit("ada", "second", double="passed", triple="passed")
    report = run(judges)
    assert not report.failures
    assert [line for line in report.look if "not valid JSON" in line]
    assert set(classroom.points("ada").values()) == {0}
    assert all(classroom.needs_grading("ada").values())
    assert classroom.points("ada", "second") == FULL
    assert not any(classroom.needs_grading("ada", "second").values())


def test_what_was_handed_in_beside_notebooks_is_named_and_not_used(classroom, judges):
    classroom.submit("ada", double="passed", triple="passed")
    folder = classroom.folder / "grading/submitted/ada/arithmetic"
    (folder / "numpy.py").write_text("raise SystemExit")
    (folder / "a\u202eb").mkdir()
    (folder / "timestamp.txt").write_text("2026-01-01 00:00:00 UTC")
    report = run(judges)
    assert report.look == [
        "ada: handed in beside notebooks, not used: a⟨U+202E⟩b, numpy.py"
    ]
    assert classroom.points("ada") == FULL
    assert not list((classroom.folder / "grading/autograded").rglob("numpy.py"))


def test_a_second_grader_is_told_who_grades(classroom, judges):
    classroom.submit("ada", double="passed")
    with open(classroom.state / "grading.lock", "w+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write("process 7 on a machine\n")
        file.flush()
        with pytest.raises(CourseError, match="process 7 on a machine"):
            run(judges)
    assert classroom.rows() == {}


SCRIPT = """
    import sys
    sys.path.insert(0, {here!r})
    import fake_judge
    from course.grading import grade, pool

    if __name__ == "__main__":
        with pool.Judges(2, fake_judge.judge_one) as judges:
            grade.run({part!r}, [], judges, "base")
"""


def test_a_run_that_is_killed_goes_on_where_it_was(classroom, judges, calls, tmp_path):
    students = [f"learner{number:02}" for number in range(24)]
    for student in students:
        classroom.submit(student, double="passed SLEEP", triple=f"half # {student}")
    script = tmp_path / "scripts/grader.py"
    script.parent.mkdir()
    script.write_text(textwrap.dedent(SCRIPT.format(here=str(HERE), part=PART)))
    done = []
    for wanted in (4, 10):
        process = subprocess.Popen([sys.executable, script], stderr=subprocess.PIPE)
        while len(kept(classroom)) < wanted:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.kill()
        process.wait()
        process.stderr.close()
        done.append(kept(classroom))
        # Whatever is in the gradebook now is whole, or not there.
        for rows in classroom.rows().values():
            scores = {v[0] for (_, c), v in rows.items() if c.startswith("test_")}
            assert scores in ({2, 1, 0}, {None})
    count = len(calls())
    report = run(judges)
    assert not report.failures
    assert report.submissions == len(students)
    again = len(calls()) - count
    assert again == len(students) - len(done[-1])
    assert done[0] <= done[1]
    for student in students:
        assert classroom.points(student) == FULL | {"test_triple": 1}


def kept(classroom):
    folder = classroom.state / "verdicts"
    return {path.parts[-3] for path in folder.glob(f"*/{LESSON}.json")}


def test_a_killed_grader_leaves_no_worker(classroom, tmp_path):
    classroom.submit("ada", double="passed SLEEP", triple="passed")
    script = tmp_path / "scripts/grader.py"
    script.parent.mkdir()
    text = textwrap.dedent(SCRIPT.format(here=str(HERE), part=PART))
    script.write_text(
        text.replace("grade.run", "judges._submit(b'{}')\n        grade.run")
    )
    process = subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL)
    while not (workers := children(process.pid)):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 60
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < deadline, "a worker outlived its grader"
        time.sleep(0.05)


def children(pid):
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(each) for each in path.read_text().split()]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0] != "Z"
    except OSError:
        return False


def test_jobs_are_taken_a_few_at_a_time(classroom):
    taken = []

    def source():
        for number in range(40):
            taken.append(number)
            job = {
                "lesson": "x",
                "content": "c",
                "cells": [{"kind": "answer", "task": "t", "source": "passed"}],
                "limits": {"seconds": {"t": 1}, "cell_seconds": 1},
                "seeds": {"t": "00"},
            }
            yield number, json.dumps(job).encode()

    with pool.Judges(1, fake_judge.judge_one) as judges:
        replies = judges.all(source())
        next(replies)
        assert len(taken) <= 3
        assert len(list(replies)) == 39


@pytest.fixture
def command(classroom, judges, monkeypatch):
    from click.testing import CliRunner

    monkeypatch.setattr(pool, "level", lambda allow_weak: "base")
    monkeypatch.setattr(pool, "Judges", lambda count: contextlib.nullcontext(judges))
    return lambda *arguments: CliRunner().invoke(grade.grade_command, arguments)


def test_the_command_ends_with_1_only_if_something_failed(classroom, command):
    classroom.submit("ada", double="passed", triple="wrong")
    result = command(PART)
    assert result.exit_code == 0
    assert "1 tasks passed" in " ".join(result.output.split())
    assert "1 tasks wrong" in " ".join(result.output.split())
    classroom.submit("bob", double="RAISE", triple="wrong")
    result = command(PART, "--student", "bob")
    assert result.exit_code == 1
    assert "failed: bob · arithmetic/first · double" in result.output


def test_the_command_names_a_learner_who_handed_in_nothing(classroom, command):
    classroom.submit("ada", double="passed")
    result = command(PART, "--student", "eve")
    assert isinstance(result.exception, CourseError)
    assert "'eve'" in str(result.exception)


def test_below_the_least_level_nothing_is_graded_unless_said(monkeypatch):
    from course.grading import sandbox

    monkeypatch.setattr(sandbox, "level", lambda: "weak")
    with pytest.raises(CourseError, match="--allow-weak"):
        pool.level(allow_weak=False)
    assert pool.level(allow_weak=True) == "weak"
    monkeypatch.setattr(sandbox, "level", lambda: "full")
    assert pool.level(allow_weak=False) == "base"
