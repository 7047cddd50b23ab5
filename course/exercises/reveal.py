"""`course reveal`: the reference answer of one task, after an attempt of one's own.

Reference answers are in a checkout of the repository only: neither the zip that
`course release` writes nor the website holds any, so in a class it is the instructor
who shows them, or does not. What was revealed is recorded and told by
`course progress`; the learner's notebook is never written.
"""

import re

import click

from course.exercises import canonical
from course.exercises.progress import record_reveal, recorded
from course.exercises.regions import SOLUTION
from course.exercises.start import known, release_path
from course.paths import CourseError, root

CELL = re.compile(r"^#\s*%%.*$", re.MULTILINE)


def answer(lesson: str, task: str) -> str:
    """The reference answer of a task, from the exercise source.

    The source is read as text, since learners do not have jupytext.

    Raises:
        CourseError: this copy of the course holds no reference answers.
    """
    path = root() / "solutions" / f"{lesson}.py"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CourseError(
            "this copy of the course holds no reference answers: it is a release for "
            f"a class. Ask your instructor for that of {task} ({lesson})"
        ) from None
    begin = re.search(rf'^#\s*%%.*\bsolution="{task}".*$', text, re.MULTILINE)
    end = CELL.search(text, begin.end())
    source = text[begin.end() : end.start() if end else None]
    lines = [line for line in source.split("\n") if line.strip() not in SOLUTION]
    return "\n".join(lines).strip("\n")


@click.command("reveal")
@click.argument("lesson")
@click.argument("task", required=False)
def reveal_command(lesson, task):
    """Print the reference answer to TASK of LESSON, once you have tried it.

    TASK is the name of the function that you are asked to write. `course check` must
    have judged an answer of your own, right or wrong. Your notebook is left as it is,
    and `course progress` says from then on what was revealed.
    """
    lesson = known(lesson)
    tasks = canonical.tasks(canonical.load(release_path(lesson)))
    if task not in [each.name for each in tasks]:
        listed = "".join(
            f"\n  course reveal {lesson} {each.name}   {each.title}" for each in tasks
        )
        which = f"{lesson} has no task {task!r}." if task else "which task?"
        raise CourseError(f"{which} There is:{listed}")
    source = answer(lesson, task)
    before = recorded(lesson)
    if before is None or task not in before.attempted:
        raise CourseError(
            f"try {task} first: write an answer of your own, right or wrong, save the "
            f"notebook, and run `course check {lesson}`; then come back"
        )
    record_reveal(lesson, task)
    click.echo(_coloured(source))
    # Not with the code: that may be on its way into a file.
    click.echo(f"\nOne right answer to {task}; others pass too.", err=True)
    chapter = root() / "book" / f"{lesson}.md"
    if chapter.is_file():
        click.echo(f"Its derivation is in the chapter {lesson}.", err=True)
    click.echo(
        f"next: write it again in your own words, then course check {lesson}", err=True
    )


def _coloured(source: str) -> str:
    """`source` for a terminal; `click.echo` drops the colours anywhere else."""
    import pygments
    from pygments.formatters import TerminalFormatter
    from pygments.lexers import PythonLexer

    return pygments.highlight(source, PythonLexer(), TerminalFormatter()).rstrip("\n")
