"""Seeds of the tests of `lib`: all can be shifted, and who needs its own is named."""

import ast
import os
import subprocess
import sys

import pytest
import torch

from tests import draws, parts, reseeded

ALL = [
    path
    for place in parts.tests_of(parts.PARTS)
    for path in ([place] if place.is_file() else sorted(place.glob("*.py")))
]
DRAWS = {"rand", "randn", "randint", "randperm", "bernoulli", "multinomial", "normal"}
OWN = {"manual_seed", "default_rng", "Random", "RandomState"}


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_no_test_of_lib_sets_a_seed_of_its_own(path):
    source = path.read_text("utf-8")
    lines = source.splitlines()
    own = [
        f"line {node.lineno}: {lines[node.lineno - 1].strip()}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute | ast.Name)
        and getattr(node, "attr", getattr(node, "id", None)) in OWN
        and "# lib's seed" not in lines[node.lineno - 1]
    ]
    assert not own, f"tests/draws.py has what sets a seed that can be shifted: {own}"


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_no_test_of_lib_draws_without_a_seed(path):
    calls = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {f"torch.{name}" for name in DRAWS}
        and "generator" not in {keyword.arg for keyword in node.keywords}
    ]
    assert not calls, f"give these a generator (tests/draws.py): {calls}"


def first_numbers(seed):
    draws.seed_torch(seed)
    return [
        draws.normal(1, seed=seed).item(),
        draws.rng(seed).random(),
        torch.rand(()).item(),
        torch.rand((), generator=draws.seeded(seed)).item(),
    ]


def test_every_way_to_draw_is_shifted(monkeypatch):
    seven, two = first_numbers(7), first_numbers(2)
    monkeypatch.setattr(draws, "SHIFT", 5)
    assert first_numbers(2) == seven
    assert all(one != other for one, other in zip(seven, two, strict=True))


def test_the_shift_is_read_from_the_environment():
    command = [sys.executable, "-c", "from tests import draws; print(draws.SHIFT)"]
    env = os.environ | {"SEED_SHIFT": "3000"}
    assert subprocess.check_output(command, cwd=parts.ROOT, env=env) == b"3000\n"


def test_a_test_that_holds_for_its_own_seed_only_is_named(monkeypatch, capsys):
    said = "FAILED tests/test_x.py::test_y[a b-1] - assert 1 < 0\n1 failed in 2s\n"

    shifts = []

    def pytest_run(command, env, **_):
        shifts.append(env["SEED_SHIFT"])
        return subprocess.CompletedProcess(command, 1, stdout=said)

    monkeypatch.setattr(reseeded.subprocess, "run", pytest_run)
    monkeypatch.setattr("sys.argv", ["reseeded", "shared", "--runs", "2"])
    with pytest.raises(SystemExit, match=r"2 times  tests/test_x.py::test_y\[a b-1\]"):
        reseeded.main()
    assert shifts == ["1000", "2000"]
    assert "[2/2] seeds + 2000: 1 failed" in capsys.readouterr().out


def test_a_part_that_does_not_exist_is_named(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["reseeded", "vea"])
    with pytest.raises(SystemExit):
        reseeded.main()
    assert "vea is not among shared, attention_efficiency" in capsys.readouterr().err
