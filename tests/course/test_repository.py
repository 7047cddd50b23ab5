"""The repository keeps its own rules: lock, names, and what stays private."""

import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from course import doctor
from course.paths import root

LOCK = (root() / "requirements.lock").read_text(encoding="utf-8").splitlines()[1:]


def test_the_lock_is_exact_and_names_nothing_of_one_platform():
    for line in LOCK:
        assert re.fullmatch(r"[a-z0-9._-]+==[A-Za-z0-9.]+", line), line
        assert not line.startswith(("nvidia-", "cuda-", "triton")), line
    assert "torch==2.13.0" in LOCK


def test_the_lock_covers_every_direct_dependency():
    text = (root() / "pyproject.toml").read_text(encoding="utf-8")
    named = re.findall(r'^    "([A-Za-z0-9_-]+)[=><]', text, re.M)
    locked = {line.partition("==")[0].replace("_", "-") for line in LOCK}
    assert named
    assert {name.lower().replace("_", "-") for name in named} <= locked


def test_no_module_of_lib_imports_the_course():
    for path in (root() / "lib").rglob("*.py"):
        assert not re.search(
            r"^\s*(from|import) course\b", path.read_text(encoding="utf-8"), re.M
        ), path


def test_packages_of_lib_hold_a_docstring_only():
    for path in (root() / "lib").rglob("__init__.py"):
        assert re.fullmatch(r'"""[^"]+"""\n', path.read_text(encoding="utf-8")), path


def test_nothing_private_is_tracked():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=root(), capture_output=True, text=True, check=True
    ).stdout.split()
    private = re.compile(r"^(_build|grading|work|\.venv)/|gradebook\.db|\.key$")
    assert [name for name in tracked if private.search(name)] == []


@pytest.fixture
def state(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("COURSE_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def test_doctor_says_where_the_state_is_and_who_may_read_it(state):
    run = CliRunner().invoke(doctor.doctor_command)
    assert str(state) in run.output
    state.mkdir(mode=0o755)
    run = CliRunner().invoke(doctor.doctor_command)
    assert run.exit_code == 1
    assert f"chmod 700 {state}" in run.output
