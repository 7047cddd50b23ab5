"""The command line `course`."""

import importlib
import importlib.util
import sys

import click

from course.paths import CourseError

# A command's module is imported when the command is used: `course check` must not
# wait for Sphinx or nbgrader.
COMMANDS = {
    "assign": "course.exercises.assign",
    "build": "course.site.build",
    "check": "course.exercises.run",
    "collect": "course.grading.collect",
    "doctor": "course.doctor",
    "export": "course.grading.export",
    "feedback": "course.grading.returns",
    "grade": "course.grading.grade",
    "progress": "course.exercises.progress",
    "release": "course.exercises.release",
    "reveal": "course.exercises.reveal",
    "roster": "course.grading.roster",
    "serve": "course.site.build",
    "solve": "course.exercises.solve",
    "start": "course.exercises.start",
    "worker": "course.grading.remote",
}


class Lazy(click.Group):
    """A group whose commands are imported when they are asked for.

    A release for learners holds fewer modules, and so offers fewer commands. What only
    staff need is imported when such a command runs: its help can be read without.
    """

    def list_commands(self, context):
        return [name for name in COMMANDS if _is_here(COMMANDS[name])]

    def get_command(self, context, name):
        if name not in self.list_commands(context):
            return None
        module = importlib.import_module(COMMANDS[name])
        return getattr(module, f"{name}_command")

    def invoke(self, context):
        try:
            return super().invoke(context)
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package in ("", "course", "lib"):
                raise
            raise CourseError(
                f"`course {context.invoked_subcommand}` needs {package}, which is not "
                "installed; it comes with what staff install: "
                "python -m pip install -c requirements.lock -e '.[staff]'"
            ) from error


def _is_here(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # nor is its package
        return False


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="runnable-deep-learning")
def course():
    """Read, complete and grade the course."""


def main():
    """Run `course`; what the user can mend is a sentence, not a traceback."""
    try:
        course(standalone_mode=True)
    except CourseError as error:
        # Lines "file:line: what" stand alone, so that editors can jump to them.
        text = str(error)
        between = "\n" if "\n" in text else " "
        click.secho(f"course:{between}{text}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
