"""`course release`: all a learner needs, and nothing that gives an answer away."""

import io
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner

from course import paths
from course.exercises import release as module
from course.exercises.release import files, pack, release_command
from course.paths import CourseError

CODE = Path(paths.__file__).parent
SOURCE = """\
# %% solution="double" difficulty=1 minutes=5
def double(x):
    ### BEGIN SOLUTION
    canary_of_the_solution = 2 * x
    return canary_of_the_solution
    ### END SOLUTION

# %% test="double" points=1
assert double(2) == 4, 'twice 2 is 4'
assert double(3) == 6, 'twice 3 is six'
### BEGIN HIDDEN TESTS
assert double(3) == 6, 'twice 3 is six'
canary_of_the_hidden_tests = double(7)
### END HIDDEN TESTS
"""


@pytest.fixture
def whole(course_folder):
    """The small course with all that staff have: sources, `lib` and `course`."""
    shutil.copytree(CODE, course_folder / "course", ignore=lambda *_: ["__pycache__"])
    (course_folder / "requirements.lock").write_text("torch==2.13.0\n")
    (course_folder / "LICENSE").write_text("Do as you like.\n")
    for name, text in {
        "solutions/part/first.py": SOURCE,
        "lib/__init__.py": "",
        "lib/shared.py": "import math\n",
        "lib/uses.py": "def f():\n    from lib.part import first\n",
        "lib/reaches.py": "import lib.uses\n",
        "lib/data/numbers.txt": "1 2 3",
        "lib/part/__init__.py": "",
        "lib/part/first.py": "def twice(x):\n    return 2 * x\n",
        "lib/part/later.py": "from lib.part.first import twice\n",
        "lib/other/__init__.py": "",
        "lib/other/lesson.py": "import lib.shared\n",
        "lib/__pycache__/first.pyc": "canary_of_the_solution",
        "tests/test_first.py": "canary_of_a_test",
        "book/part/first.md": "canary_of_a_page",
    }.items():
        path = course_folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return course_folder


def names(folder):
    """The files of the release under `folder`."""
    return {name for name in files("part") if name.startswith(f"{folder}/")}


def test_lib_is_there_without_the_answer_and_what_reaches_it(whole):
    assert names("lib") == {
        "lib/__init__.py",
        "lib/shared.py",
        "lib/data/numbers.txt",
        "lib/part/__init__.py",
        "lib/other/__init__.py",
        "lib/other/lesson.py",
    }


def test_a_module_named_by_hide_is_absent_too(whole, release):
    release.metadata.course.hide = ["other/lesson"]
    nbformat.write(release, whole / "exercises/part/first.ipynb")
    assert "lib/other/lesson.py" not in names("lib")


def test_course_is_what_the_learners_commands_reach(whole):
    assert names("course") == {
        "course/__init__.py",
        "course/check.py",
        "course/cli.py",
        "course/doctor.py",
        "course/paths.py",
        "course/exercises/__init__.py",
        "course/exercises/canonical.py",
        "course/exercises/plain.py",
        "course/exercises/progress.py",
        "course/exercises/regions.py",
        "course/exercises/reveal.py",
        "course/exercises/run.py",
        "course/exercises/runner.py",
        "course/exercises/start.py",
        "course/grading/__init__.py",
        "course/grading/court.py",
        "course/grading/courtroom.py",
        "course/grading/forks.py",
        "course/grading/learner.py",
        "course/grading/proxies.py",
        "course/grading/sandbox.py",
        "course/grading/sandbox_calls.py",
        "course/grading/sandbox_kernel.py",
        "course/grading/sandbox_processes.py",
        "course/grading/sandbox_spaces.py",
        "course/grading/sandbox_supervisor.py",
        "course/grading/wire.py",
        "course/grading/words.py",
        "course/grading/zygote.py",
    }


def test_nothing_else_is_there(whole):
    rest = set(files("part")) - names("lib") - names("course")
    assert rest == {
        "LICENSE",
        "README.md",
        "exercises/part/first.ipynb",
        "pyproject.toml",
        "requirements.lock",
    }


def test_the_zip_is_the_same_bytes_again(whole):
    def write():
        result = CliRunner().invoke(release_command, ["part"], catch_exceptions=False)
        assert "_build/release/small-part.zip" in result.output
        return (whole / "_build/release/small-part.zip").read_bytes()

    before = write()
    for path in whole.rglob("*"):
        os.utime(path, (10**9, 10**9))
    assert write() == before
    assert os.listdir(whole / "_build/release") == ["small-part.zip"]


def test_canaries_in_solutions_and_hidden_tests_are_not_in_the_zip(whole):
    archive = zipfile.ZipFile(io.BytesIO(pack(files("part"), "x")))
    content = b"\n".join(archive.read(name) for name in archive.namelist())
    assert b"canary_of" not in content
    assert b"BEGIN SOLUTION" not in content


LEAKS = {
    "lib/shared.py": "### BEGIN SOLUTION",
    "lib/data/numbers.txt": "1\n### END HIDDEN TESTS",
    "course/cli.py": "    canary_of_the_hidden_tests = double(7)",
    "requirements.lock": "return canary_of_the_solution",
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_stops_the_release_and_is_named(whole, name):
    with (whole / name).open("a") as file:
        file.write(f"\n{LEAKS[name]}\n")
    with pytest.raises(CourseError, match=f"(?s)not fit for learners.*{name}:"):
        files("part")


@pytest.mark.parametrize(
    "line", ["    canary_of_the_solution = 2 * x", "### BEGIN HIDDEN TESTS"]
)
def test_a_leak_in_a_notebook_stops_the_release(whole, fill, line):
    leaking = fill(triple=f"# ...\n{line}")
    nbformat.write(leaking, whole / "exercises/part/first.ipynb")
    with pytest.raises(CourseError, match=r"first\.ipynb:\d+: "):
        CliRunner().invoke(release_command, ["part"], catch_exceptions=False)
    assert not (whole / "_build/release").exists()


def test_a_line_that_is_visible_as_well_is_no_leak(whole, fill):
    shown = fill(triple="assert double(3) == 6, 'twice 3 is six'")
    nbformat.write(shown, whole / "exercises/part/first.ipynb")
    assert files("part")


def test_an_unknown_part_and_a_missing_notebook_are_sentences(whole):
    with pytest.raises(CourseError, match="there is part"):
        files("nothing")
    (whole / "exercises/part/first.ipynb").unlink()
    with pytest.raises(CourseError, match="course assign"):
        files("part")


@pytest.mark.parametrize(
    "part", sorted({name.split("/")[0] for name in paths.lessons()})
)
def test_every_part_of_the_course_can_be_released(part):
    found = files(part)
    assert f"lib/{part}/__init__.py" in found
    for lesson in paths.lessons(part):
        assert f"exercises/{lesson}.ipynb" in found
        assert f"lib/{lesson}.py" not in found


def test_the_unpacked_zip_starts_checks_and_tells_the_progress(whole, fill, tmp_path):
    folder = tmp_path / "unpacked"
    archive = zipfile.ZipFile(io.BytesIO(pack(files("part"), "course")))
    archive.extractall(folder)
    folder /= "course"

    # -S: without the hook by which this checkout is installed.
    libraries = os.pathsep.join([str(folder), sysconfig.get_path("purelib")])

    def course(*arguments):
        return subprocess.run(
            [sys.executable, "-S", "-m", "course.cli", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": libraries},
            capture_output=True,
            text=True,
        )

    assert course("start", "part/first").returncode == 0
    untouched = course("check", "part/first")
    assert untouched.returncode == 1, untouched.stderr
    assert untouched.stdout.count("not attempted") == 3
    nbformat.write(fill(), folder / "work/part/first.ipynb")
    assert "visible tests passed: 5 of 5" in course("check", "part/first").stdout
    assert "5 of 5 points" in course("progress").stdout
    assert "Ask your instructor" in course("reveal", "part/first", "double").stderr
    answer = fill(double="from lib.part.first import twice as double")
    nbformat.write(answer, folder / "work/part/first.ipynb")
    assert "wrong" in course("check", "part/first").stdout
    listed = course("--help").stdout
    assert "progress" in listed
    assert "assign" not in listed
    assert course("release", "part").returncode == 2


def test_the_readme_names_the_commands(whole):
    text = files("part")["README.md"].decode()
    for line in (
        "python -m venv .venv",
        "pip install -c requirements.lock -e .",
        "course start part/first",
        "course check part/first",
    ):
        assert line in text
    assert module.README.count("\n") < 35
