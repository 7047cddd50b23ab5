"""`course start`: a copy of an exercise to work in."""

import contextlib
import difflib
import shutil
from pathlib import Path

import click

from course.paths import CourseError, released, root


def release_path(lesson: str) -> Path:
    """Where the released notebook of a lesson is."""
    return root() / "exercises" / f"{lesson}.ipynb"


def work_path(lesson: str) -> Path:
    """Where the learner's copy of a lesson is, once it is started."""
    return root() / "work" / f"{lesson}.ipynb"


def known(name: str) -> str:
    """The lesson called `name`.

    Raises:
        CourseError: there is none; the text lists those that come close, or all.
    """
    lessons = released()
    if name in lessons:
        return name
    close = difflib.get_close_matches(name, lessons, n=3)
    close += [each for each in lessons if each.split("/")[1] == name]
    listed = "".join(f"\n  {each}" for each in dict.fromkeys(close or lessons))
    introduction = "did you mean" if close else "these are"
    raise CourseError(f"there is no lesson {name!r}; {introduction}:{listed}")


def shown(path: Path) -> str:
    """`path` as one would type it here."""
    here = Path.cwd().resolve()
    path = path.resolve()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


@contextlib.contextmanager
def writing(path: Path):
    """Say in a sentence that `path` could not be written."""
    try:
        yield
    except OSError as error:
        raise CourseError(
            f"cannot write {shown(path)}: {error.strerror or error}; `course doctor` "
            "names the line that mends it"
        ) from error


@click.command("start")
@click.argument("lesson")
def start_command(lesson):
    """Copy the notebook of LESSON (<part>/<lesson>) into your work folder."""
    lesson = known(lesson)
    copy = work_path(lesson)
    if copy.exists():
        raise CourseError(
            f"you have started already: {shown(copy)}\n"
            f"It is left as it is. Go on: jupyter lab {shown(copy)}\n"
            "For a fresh copy, rename or move yours, then run "
            f"`course start {lesson}` again."
        )
    with writing(copy):
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(release_path(lesson), copy)
    click.echo(f"{shown(copy)} is yours to fill in.\n")
    click.echo(f"open it   jupyter lab {shown(copy)}")
    click.echo(f"check it  course check {lesson}     (--watch: at every save)")
