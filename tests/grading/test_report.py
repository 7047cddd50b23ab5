"""What a run says of itself: to the terminal, and on the instructor's page."""

import re
from collections import Counter

import pytest
from room import PART

from course.grading import grade, report
from course.grading.report import Page, Report

EVIL = "<script>alert(1)</script>\x1b[31m\u202e"


def verdict(status="passed", points=2.0, message="", lesson=f"{PART}/first"):
    check = {"points": points, "of": 2.0, "status": status, "message": message}
    outcome = {"status": status, "message": message, "checks": {"test_double": check}}
    return {
        "verdict": {"lesson": lesson, "exercises": {"double": outcome}, "notes": []}
    }


def counted(*verdicts) -> Report:
    found = Report(submissions=len(verdicts))
    for each in verdicts:
        found.count(f"{PART}/first", each)
        found.recorded += 1
    return found


def test_reasons_are_counted_without_what_is_one_learners_own():
    found = counted(
        verdict("wrong", 0.0, "twice 1 — expected int 2, got int 1\nand more"),
        verdict("wrong", 0.0, "twice 1 — expected int 2, got int 7"),
        verdict("passed", 2.0, "all is well"),
    )
    task = found.tasks[f"{PART}/first"]["double"]
    assert task.reasons == {"twice 1": 2}
    assert task.statuses == {"wrong": 2, "passed": 1}
    assert task.points == 2


def test_reasons_do_not_grow_with_the_class(monkeypatch):
    monkeypatch.setattr(report, "MOST_REASONS", 3)
    found = counted(*(verdict("wrong", 0.0, f"reason {n % 7}") for n in range(70)))
    task = found.tasks[f"{PART}/first"]["double"]
    assert task.reasons == {f"reason {n}": 10 for n in range(3)}


def test_shares_are_of_all_points_of_a_submission():
    found = Report()
    for first, second in ((2.0, 2.0), (2.0, 0.0), (None, 0.0)):
        found.count_share({"a": verdict(points=first), "b": verdict(points=second)})
    assert found.shares == Counter({9: 1, 5: 1, 0: 1})


def test_the_terminal_names_a_few_and_says_how_many_more(capsys, tmp_path):
    found = Report(look=[f"learner {n}" for n in range(report.MOST_LINES + 5)])
    report.show(found, tmp_path / "page.html")
    said = capsys.readouterr().out
    assert said.count("look at: learner") == report.MOST_LINES
    assert f"look at: 5 more, which are on {tmp_path / 'page.html'}" in said


@pytest.fixture
def page(classroom):
    return Page(PART, Report(submissions=4), "2 workers")


def test_the_time_left_follows_the_work_and_not_the_count(page, monkeypatch):
    assert page.left() is None
    monkeypatch.setattr(report.time, "monotonic", lambda: 1000.0)
    page.expect(100)
    monkeypatch.setattr(report.time, "monotonic", lambda: 1030.0)
    assert page.left() is None  # no experience yet
    page.spend(75)
    assert page.left().total_seconds() == 10
    page.spend(25)
    assert page.left() is None


def test_while_it_runs_the_page_renews_itself_and_then_no_more(page):
    with page:
        assert 'http-equiv="refresh"' in page.path.read_text()
    text = page.path.read_text()
    assert 'http-equiv="refresh"' not in text
    assert "Grading finished." in text


def test_a_run_that_is_interrupted_says_so(page):
    with pytest.raises(KeyboardInterrupt), page:
        raise KeyboardInterrupt
    assert "run it again to go on" in page.path.read_text()


def test_the_page_is_not_written_more_often_than_anyone_reads_it(page, monkeypatch):
    written = []
    monkeypatch.setattr(report.verdicts, "write", lambda *_, **__: written.append(1))
    for _ in range(100):
        page.write(patience=1e6)
    assert len(written) == 1


def test_nothing_on_the_page_is_a_learners_markup(page):
    page.report.look.append(f"{EVIL}: no notebook was handed in")
    page.report.failures.append(EVIL)
    page.report.settled.append(EVIL)
    page.report.count("arithmetic/first", verdict("wrong", 0.0, EVIL))
    page.report.recorded = 1
    text = page.text("finished")
    assert text.count("alert(1)") == 4
    assert not re.search(r"<script|\x1b|\u202e", text)
    assert "default-src 'none'" in text


@pytest.mark.usefixtures("measured")
def test_a_run_leaves_its_page_with_what_was_not_gradable_and_why(classroom, judges):
    classroom.submit("ada", double="passed", triple="half")
    classroom.hand_in("eve", "first.ipynb", '{"cells": [')
    found = grade.run(PART, [], judges, "base")
    assert found.done == 2
    text = Page.path_of(PART).read_text()
    assert "2 of 2 submissions are in the gradebook" in text
    assert re.search(r"eve · arithmetic/first: .*not valid JSON", text)
    assert "1 of 2" in text  # learners who passed the first task
    assert "2 workers on this machine (sandbox level base or better)" in text


@pytest.mark.usefixtures("measured")
def test_a_resumed_run_reports_the_whole_class(classroom, judges):
    for student in ("ada", "bob"):
        classroom.submit(student, double="passed", triple="wrong")
    grade.run(PART, ["ada"], judges, "base")
    found = grade.run(PART, [], judges, "base")
    assert (found.recorded, found.unchanged) == (1, 1)
    assert found.tasks[f"{PART}/first"]["double"].statuses == {"passed": 2}
