"""`python -m tests.reseeded`: which seeds it changes, and that it names who failed."""

import subprocess

import pytest

from tests import reseeded


@pytest.mark.parametrize(
    ("source", "want"),
    [
        ("draw.manual_seed(seed)", "draw.manual_seed(7 + seed)"),
        ("np.random.default_rng(0)", "np.random.default_rng(7 + 0)"),
        ("random.Random(3).random()", "random.Random(7 + 3).random()"),
    ],
)
def test_every_way_to_seed_is_shifted(source, want):
    assert reseeded.reseeded(source, 7) == want


def test_seeds_that_lib_sets_stay():
    source = "start = torch.Generator().manual_seed(1)  # lib's seed\n"
    assert reseeded.reseeded(source, 7) == source


def test_a_test_that_holds_for_its_own_seed_only_is_named(monkeypatch, capsys):
    said = "FAILED tests/test_x.py::test_y[a b-1] - assert 1 < 0\n1 failed in 2s\n"

    def pytest_run(command, cwd, **_):
        assert (cwd / "tests" / "course" / "test_reseeded.py").is_file()
        return subprocess.CompletedProcess(command, 1, stdout=said)

    monkeypatch.setattr(reseeded.subprocess, "run", pytest_run)
    monkeypatch.setattr("sys.argv", ["reseeded", "shared", "--runs", "2"])
    with pytest.raises(SystemExit, match=r"2 times  tests/test_x.py::test_y\[a b-1\]"):
        reseeded.main()
    assert "[2/2] seeds + 2000: 1 failed" in capsys.readouterr().out


def test_a_part_that_does_not_exist_is_named(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["reseeded", "vea"])
    with pytest.raises(SystemExit):
        reseeded.main()
    assert "vea is not among shared, attention_efficiency" in capsys.readouterr().err
