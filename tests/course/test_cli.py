"""The command line where packages are missing that only some commands need."""

import subprocess
import sys

import pytest

from course import cli
from course.paths import root

STAFF = (
    *("bleach", "distributed", "jupyter_book", "jupyter_cache", "jupytext"),
    *("livereload", "mistune", "myst_nb", "nbgrader", "py_mini_racer", "sphinx"),
    "sqlalchemy",
)


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
    assert "Copy the notebook of LESSON" in done.stdout
    assert "Write the points of PART" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "package"),
    [
        (["assign", "--check"], "jupytext"),
        (["build"], "jupyter_cache"),
        (["export", "--format", "csv"], "nbgrader"),
        (["grade", "peft"], "nbgrader"),
        (["solve", "peft/lora"], "jupytext"),
    ],
)
def test_a_command_that_lacks_a_package_says_which_and_how_to_get_it(
    arguments, package
):
    done = course(*arguments)
    assert done.returncode == 1
    assert f"`course {arguments[0]}` needs {package}, which is not" in done.stderr
    assert "'.[staff]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_fault_of_the_course_itself_is_not_hidden():
    done = course("progress", without=("course.exercises.canonical",))
    assert "ModuleNotFoundError" in done.stderr


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_a_learner_can_read_the_help_of_every_command(name):
    done = course(name, "--help")
    assert done.returncode == 0, done.stderr
    usage, what = done.stdout.split("\n\n")[:2]
    assert f"{name} [OPTIONS]" in usage
    assert what.strip().endswith(".")
