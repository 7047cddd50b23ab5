"""The command line where packages are missing that only some commands need."""

import subprocess
import sys

import pytest

from course import cli
from course.paths import root

STAFF = ("nbgrader", "jupytext", "jupyter_book", "sphinx", "livereload", "bleach")


def course(*arguments, without=STAFF):
    """Run `course` where some packages cannot be imported."""
    code = (
        "import sys\n"
        f"sys.modules |= dict.fromkeys({without!r})\n"
        "from course.cli import main\n"
        "main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=root(),
        capture_output=True,
        text=True,
    )


def test_a_learner_can_read_the_help_of_the_whole():
    done = course("--help")
    assert done.returncode == 0, done.stderr
    listed = done.stdout.split("Commands:")[1].splitlines()
    assert [line.split()[0] for line in listed if line] == sorted(cli.COMMANDS)
    assert "(needs nbgrader, which is not installed)" in done.stdout
    assert "Copy the notebook of LESSON" in done.stdout


@pytest.mark.parametrize("arguments", [["export"], ["export", "--format", "csv"]])
def test_a_command_that_lacks_a_package_says_which_and_how_to_get_it(arguments):
    done = course(*arguments)
    assert done.returncode == 1
    assert "needs nbgrader" in done.stderr
    assert "'.[staff]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_fault_of_the_course_itself_is_not_hidden():
    done = course("progress", without=("course.exercises.canonical",))
    assert "ModuleNotFoundError" in done.stderr


@pytest.mark.parametrize("name", ["start", "check", "progress", "reveal", "doctor"])
def test_what_a_learner_needs_is_there_without_what_staff_need(name):
    done = course(name, "--help")
    assert done.returncode == 0, done.stderr
    assert "needs" not in done.stdout.splitlines()[0]
    assert f"{name} [OPTIONS]" in done.stdout.replace("\n", " ")
