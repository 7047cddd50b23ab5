"""Workers of Dask: who gets jobs, and what becomes of a job whose worker is lost."""

import json
import os
from pathlib import Path

import fake_judge
import pytest
from distributed import LocalCluster
from room import PART

from course.grading import grade, remote, work
from course.paths import CourseError

pytestmark = pytest.mark.usefixtures("classroom")


def cluster(*offered: str, workers: int = 1) -> LocalCluster:
    """A scheduler with workers that offer these levels, by this course."""
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        resources={remote.offer(level): 1 for level in offered},
        dashboard_address=None,
        memory_limit=0,
        env={"PYTHONPATH": str(Path(__file__).parent)},
    )


@pytest.fixture
def judges():
    with (
        cluster("weak", "base", workers=2) as farm,
        remote.Cluster(farm.scheduler_address, "base", fake_judge.judge_one) as it,
    ):
        yield it


def job(text: str) -> bytes:
    return json.dumps(
        {
            "lesson": "x",
            "content": text,
            "cells": [{"kind": "answer", "task": "t", "source": text}],
            "limits": {"seconds": {"t": 1}, "cell_seconds": 1},
            "seeds": {"t": "00"},
        }
    ).encode()


def status(reply: bytes) -> str:
    return json.loads(reply)["verdict"]["exercises"]["t"]["status"]


def test_every_job_is_answered_by_its_own_name(judges):
    jobs = [(n, job("passed" if n % 2 else "wrong")) for n in range(20)]
    found = {name: status(reply) for name, reply in judges.all(jobs)}
    assert found == {n: "passed" if n % 2 else "wrong" for n in range(20)}


def test_a_judge_that_raises_costs_its_own_job_only(judges):
    found = dict(judges.all([(text, job(text)) for text in ("RAISE", "passed")]))
    assert found["RAISE"] is None
    assert status(found["passed"]) == "passed"


def test_a_job_that_ends_its_worker_is_begun_once_more_and_given_up(judges, tmp_path):
    calls = tmp_path / "calls"
    calls.mkdir()
    reply = judges.one(job(f"EXIT {calls}"))
    assert reply is None
    assert len(list(calls.iterdir())) == 2
    assert status(judges.one(job("passed"))) == "passed"  # by a new worker


def test_alone_means_one_at_a_time_on_a_machine(judges, tmp_path):
    log = tmp_path / "alone"
    replies = judges.all([(n, job(f"SPAN {log}")) for n in range(4)], alone=True)
    assert len(list(replies)) == 4
    assert log.read_text().split() == ["begin", "end"] * 4


def test_a_class_is_graded_and_recorded(classroom, judges):
    classroom.submit("ada", double="passed", triple="half")
    report = grade.run(PART, [], judges, "base")
    assert not report.failures
    assert classroom.points("ada")["test_triple"] == 1
    assert work.store().load("ada", f"{PART}/first")["run"]["settled"]


def test_no_scheduler_is_said_so(monkeypatch):
    monkeypatch.setattr(remote, "CONNECT", 1)
    with pytest.raises(CourseError, match="no Dask scheduler answers at tcp://127"):
        remote.Cluster("tcp://127.0.0.1:9", "base")
    with pytest.raises(CourseError, match="no Dask scheduler answers at nonsense"):
        remote.Cluster("nonsense://here", "base")


def test_without_dask_the_line_that_installs_it_is_given(monkeypatch):
    monkeypatch.setattr(remote.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CourseError, match=r"\.\[scale\]"):
        remote.Cluster("tcp://127.0.0.1:9", "base")


def test_workers_below_the_level_get_no_jobs():
    with cluster("weak") as farm:
        with pytest.raises(CourseError, match="1 of level 'weak' only"):
            remote.Cluster(farm.scheduler_address, "base")
        with remote.Cluster(farm.scheduler_address, "weak") as judges:
            assert len(judges.workers()) == 1


def test_workers_of_another_version_get_no_jobs(classroom, monkeypatch):
    with cluster("base") as farm:
        (classroom.folder / "lib").mkdir()
        (classroom.folder / "lib/new.py").write_text("x = 1")
        from course.grading import jobs

        jobs.forget()
        with pytest.raises(CourseError, match="1 of another version of the course"):
            remote.Cluster(farm.scheduler_address, "base")


def test_workers_that_proved_nothing_get_no_jobs():
    refused = pytest.raises(CourseError, match="1 not started by `course worker`")
    with cluster() as farm, refused:
        remote.Cluster(farm.scheduler_address, "base")


def test_a_machine_offers_what_it_reached_and_all_below():
    levels = [each.rpartition("-")[2] for each in remote.offers("base")]
    assert levels == ["weak", "base"]
    assert remote.offers("none") == []


def test_a_machine_without_a_sandbox_does_not_become_a_worker(monkeypatch):
    from click.testing import CliRunner

    from course.grading import sandbox

    monkeypatch.setattr(sandbox, "level", lambda: "none")
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("started"))
    result = CliRunner().invoke(remote.worker_command, ["tcp://127.0.0.1:8786"])
    assert isinstance(result.exception, CourseError)
    assert "no sandbox on this machine" in str(result.exception)


def test_a_run_without_workers_is_given_up(judges, monkeypatch):
    monkeypatch.setattr(remote, "PATIENCE", 0)
    monkeypatch.setattr(remote, "LOOK", 0.1)
    judges.offer = "nobody"
    with pytest.raises(CourseError, match="what was judged is kept"):
        judges.one(job("passed"))
