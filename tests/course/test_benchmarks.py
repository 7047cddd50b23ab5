"""`python -m benchmarks`: its rows, its table, and the README that shows it, with
what other commands measured.

No measurement runs here but one, and nothing is asserted of time.
"""

import importlib
import json
import re
import subprocess
import sys

import pytest
import torch

from benchmarks import __main__ as everything
from benchmarks import cold_start, diffusion_to_edm, scale, side_by_side
from benchmarks.side_by_side import Row, compared, digits, keep, report, turns
from course.grading import pool
from course.paths import root
from tests import mutants

ROWS = [
    Row("a cheap thing", "a *peer*", 0.0312, 1.0, "s"),
    Row("a dear one", "another", 12345.0, 100.0, "MB"),
]
RECORD = {
    "date": "2026-01-02",
    "machine": "an abacus",
    "load": 0.0,
    "versions": {"Python": "3.11.7", "torch": "2.13.0"},
    "rows": [row._asdict() for row in ROWS],
}


@pytest.fixture
def out(tmp_path, monkeypatch):
    """Measurements are kept in a folder of the test's own."""
    monkeypatch.setattr(side_by_side, "OUT", tmp_path)
    monkeypatch.setattr(everything, "OUT", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", everything.MODULES)
def test_every_module_is_there_and_says_how_it_is_run(name):
    module = importlib.import_module(f"benchmarks.{name}")
    assert f"python -m benchmarks.{name}" in module.__doc__


def test_no_measurement_is_left_out_but_those_that_are_too_long():
    found = {path.stem for path in (root() / "benchmarks").glob("*.py")}
    alone = {"__main__", "side_by_side", "peft_rates", "cold_start"}
    assert found - alone == everything.MODULES.keys()


def test_a_ratio_is_ours_as_a_multiple_of_the_peers():
    assert [row.ratio for row in ROWS] == [0.0312, 123.45]


def test_numbers_have_two_digits_that_count_and_no_exponent():
    numbers = [12345.0, 1996.0, 123.45, 9.96, 1.04, 0.5, 0.0312, 1.6e-4]
    want = ["12,000", "2,000", "120", "10", "1.0", "0.50", "0.031", "0.00016"]
    assert [digits(number) for number in numbers] == want


def test_the_table_holds_every_row_the_machine_and_the_versions():
    lines = everything.table(RECORD).splitlines()
    assert lines[0].startswith("2026-01-02, on an abacus; Python 3.11.7, torch 2.13.0.")
    assert lines[-2] == "| a cheap thing | 0.031 s | 1.0 s | a *peer* | 0.031 |"
    assert lines[-1] == "| a dear one | 12,000 MB | 100 MB | another | 120 |"
    assert {line.count("|") for line in lines[2:]} == {6}
    busy = everything.table(RECORD | {"load": 3.2})
    assert "Other work was under way (load 3.2)" in busy
    assert "Other work" not in lines[0]


def test_the_machine_is_one_line():
    assert re.fullmatch(r".+, \d+ processors, \d+ GiB, .+", everything.machine())


def test_placing_a_table_twice_leaves_one_and_the_page_around_it():
    pairs = [f"<!-- {name} -->\n<!-- /{name} -->\n" for name in ("mine", "other")]
    page = f"before\n{pairs[1]}{pairs[0]}after\n"
    once = everything.placed(page, "first\n", "mine")
    again = everything.placed(once, "second\n", "mine")
    assert again == once.replace("first", "second")
    assert again.startswith(f"before\n{pairs[1]}<!-- mine -->")
    assert again.endswith("<!-- /mine -->\nafter\n")


def test_the_readme_shows_the_tables_that_were_saved():
    text = everything.README.read_text("utf-8")
    for module, name in [(everything, "benchmarks"), (cold_start, "cold start")]:
        shown = module.table(json.loads(module.SAVED.read_text("utf-8")))
        assert everything.placed(text, shown, name) == text
    assert everything.placed(text, mutants.table(), "mutants") == text


def test_a_cold_start_goes_through_the_two_commands_and_adds_their_minutes(
    tmp_path, monkeypatch
):
    made = []

    def child(command, **options):
        made.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(cold_start.subprocess, "run", child)
    with open(tmp_path / "log", "w") as log:
        stages = cold_start.measure(log)
    assert made[0][:2] == ["git", "clone"]
    assert [command[-1] for command in made[2:]] == ["book", "test"]
    assert all("EXTRA=oracle" in command for command in made[1:])
    for number, stage in enumerate(stages, 1):
        stage |= {"wall": number, "cpu": 2.0 * number}
    record = RECORD | {"stages": stages, "passed": 1234}
    lines = cold_start.table(record).splitlines()
    assert "1,234 tests passed" in lines[0]
    assert lines[-1].endswith("| 6.0 | 12.0 |")
    assert {line.count("|") for line in lines[2:]} == {4}


def test_a_cold_start_that_fails_says_where_to_look(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 2)
    monkeypatch.setattr(cold_start.subprocess, "run", lambda *_, **__: failed)
    with (
        open(tmp_path / "log", "w") as log,
        pytest.raises(SystemExit, match=r"make book failed: see .*log"),
    ):
        cold_start.run(tmp_path, tmp_path, ["book"], log)


def test_rows_come_back_from_processes_of_their_own_and_failures_are_named(
    out, monkeypatch, capfd
):
    def child(command, **options):
        if command[2] == "benchmarks.bad":
            return subprocess.CompletedProcess(command, 1)
        assert command[3:] == ["--few", "2"]
        keep("good", ROWS, more=1)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(everything.subprocess, "run", child)
    monkeypatch.setattr(everything, "MODULES", {"bad": "", "good": "--few 2"})
    (out / "bad.json").write_text('{"rows": [1]}')  # of another day
    assert everything.run() == ([row._asdict() for row in ROWS], ["bad"])
    monkeypatch.setattr(everything, "machine", lambda: "an abacus")
    monkeypatch.setattr(everything, "SAVED", out / "saved.json")
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--save"])
    with pytest.raises(SystemExit, match="bad"):
        everything.main()
    assert not everything.SAVED.exists()
    assert "| a cheap thing |" in capfd.readouterr().out


def test_a_peer_that_is_absent_is_named_and_gives_no_rows(out, capsys):
    report("part", lambda: 1 / 0, needs=("json", "no_such_peer"))
    said = capsys.readouterr().out
    assert "no_such_peer is not installed" in said
    assert "json" not in said
    assert "[oracle]" in said
    assert json.loads((out / "part.json").read_text())["rows"] == []


def test_sides_take_turns():
    calls = []
    assert len(turns([lambda: calls.append("a"), lambda: calls.append("b")], 3)) == 2
    assert "".join(calls) == "ababab"


def test_only_equals_are_compared():
    x = torch.ones(3)
    assert compared("x", "y", lambda: x, lambda: x + 1e-5, repeat=1).unit == "ms"
    with pytest.raises(AssertionError):
        compared("x", "y", lambda: x, lambda: 1.1 * x, repeat=1)
    with pytest.raises(AssertionError):
        compared("x", "y", lambda: x, lambda: x[:1], repeat=1)


def test_a_module_measures_what_its_peer_computes_too(monkeypatch):
    pytest.importorskip("diffusers")
    monkeypatch.setattr(side_by_side, "turns", lambda sides, repeat: [2.0, 1.0])
    made = diffusion_to_edm.rows()
    assert [row.what.split()[-1] for row in made] == ["DDIM", "DDPM", "Euler", "Heun"]
    assert {row.ratio for row in made} == {2.0}
    assert {row.ours for row in made} == {2000 / diffusion_to_edm.STEPS}


def test_notebooks_are_judged_until_every_worker_has_left_its_sign(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("COURSE_STATE", str(tmp_path))
    monkeypatch.setattr(pool, "judge_one", lambda job: job[::-1])
    pids, graded = [11, 11, 12], []

    def some_more():
        monkeypatch.setattr(scale.os, "getpid", lambda: pids[len(graded)])
        graded.append(scale.judge_and_sign(b"job"))

    scale.until_all_have_judged(tmp_path, 2, some_more)
    assert graded == [b"boj"] * 3
