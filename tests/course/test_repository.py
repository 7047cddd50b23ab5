"""The repository keeps its own rules: lock, names, and what stays private."""

import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from course import doctor
from course.paths import lessons, root

LOCK = (root() / "requirements.lock").read_text(encoding="utf-8").splitlines()[1:]


def test_the_lock_is_exact_and_names_nothing_of_one_platform():
    for line in LOCK:
        assert re.fullmatch(r"[a-z0-9._-]+==[A-Za-z0-9.]+", line), line
        assert not line.startswith(("nvidia-", "cuda-", "triton")), line
    assert "torch==2.13.0" in LOCK


def test_the_lock_covers_every_direct_dependency():
    text = (root() / "pyproject.toml").read_text(encoding="utf-8")
    # But for what is of one platform only: there a marker follows the version.
    named = re.findall(r'^    "([A-Za-z0-9_-]+)[=><][^;\n]*",$', text, re.M)
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


@pytest.mark.parametrize(
    ("file", "entry"),
    [("lessons.yml", r"(?m)^(\w+/\w+):"), ("results.md", r"\{doc\}`(\w+/\w+)`")],
)
def test_every_lesson_stands_in_the_lists_of_lessons(file, entry):
    text = (root() / "book" / file).read_text(encoding="utf-8")
    listed = re.findall(entry, text)
    toc = re.findall(
        r"file: book/(\w+/\w+)", (root() / "_toc.yml").read_text(encoding="utf-8")
    )
    assert sorted(toc) == sorted(lessons())
    assert listed == toc


def test_nothing_private_is_tracked():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=root(), capture_output=True, text=True, check=True
    ).stdout.split()
    private = re.compile(r"^(_build|grading|work|\.venv)/|gradebook\.db|\.key$")
    assert [name for name in tracked if private.search(name)] == []


@pytest.fixture
def state(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("COURSE_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(doctor, "LEARNER", [])  # test_doctor.py has them
    return tmp_path / "state"


def test_doctor_says_where_the_state_is_and_who_may_read_it(state):
    run = CliRunner().invoke(doctor.doctor_command)
    assert str(state) in run.output
    state.mkdir(mode=0o755)
    run = CliRunner().invoke(doctor.doctor_command)
    assert run.exit_code == 1
    assert f"chmod 700 {state}" in run.output


def reported(monkeypatch, **said):
    """What `course doctor` says of a machine whose sandbox reports this."""
    from course.grading import sandbox

    layers = {"limits": "in force", "landlock": "version 7", "seccomp": "in force"}
    layers |= {"namespaces": "in force", **said.pop("layers", {})}
    report = {"level": "full", "canaries": {}, "failed": []} | said
    monkeypatch.setattr(sandbox, "report", lambda: report | {"layers": layers})
    run = CliRunner().invoke(doctor.doctor_command)
    start = run.output.index("sandbox for grading")
    line = run.output.rindex("\n", 0, start) + 1
    return run.output[line:].split("\n")


def test_doctor_says_how_well_learners_code_is_shut_in(state, monkeypatch):
    line, *rest = reported(monkeypatch)
    assert line.startswith("ok ")
    assert "level full (limits in force, landlock version 7" in line
    assert rest == [""]
    line, *rest = reported(monkeypatch, level="base", layers={"namespaces": "absent"})
    assert line.startswith("ok ")
    assert "which paths exist" in line


def test_doctor_says_what_the_sandbox_lacks_and_what_mends_it(state, monkeypatch):
    absent = {"landlock": "absent", "namespaces": "absent"}
    line, advice, _ = reported(
        monkeypatch, level="weak", layers=absent, failed=["truncate", "signals"]
    )
    assert line.startswith("optional ")
    assert "not held back: truncate, signals" in line
    assert "lsm=landlock" in advice
    assert "--allow-weak" in advice
    layers = dict.fromkeys(("limits", "landlock", "namespaces"), "absent")
    error = "there is no sandbox for darwin"
    line, advice, _ = reported(monkeypatch, level="none", layers=layers, error=error)
    assert error in line
    assert "grade on Linux" in advice
    assert "lsm=landlock" not in advice


def test_doctor_does_without_what_a_release_for_learners_lacks(state, monkeypatch):
    import importlib.util

    honest = importlib.util.find_spec

    def find_spec(name):
        if name.startswith("course.grading"):
            raise ModuleNotFoundError(name)
        return honest(name)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    run = CliRunner().invoke(doctor.doctor_command)
    assert run.exit_code == 0
    assert "sandbox" not in run.output
