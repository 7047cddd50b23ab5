"""`course collect`: what learners handed in, from a folder or a hostile zip.

Trusts the instructor's choice of folder or zip, this machine's clock or the instant
that the instructor states instead, the roster, and the released notebooks. Does not
trust names, headers, links, dates, or which exercise a file claims to be by its name.
Nothing is unpacked: a notebook is read, checked, and written under a name of ours. The
originals stay.

    grading/submitted/<id>/<part>/<lesson>.ipynb     what is graded, with timestamp.txt
    grading/collected/<id>/<part>/<lesson>/<hash>.ipynb     every attempt
    grading/collected/record.json     ids and the names they stand for; attempts, times
"""

import datetime
import sys
from pathlib import Path

import click
from tqdm import tqdm

from course.grading import archives, dates, roster
from course.grading.collection import Collection
from course.grading.lock import Lock
from course.grading.shown import visible
from course.paths import CourseError


def collect(
    source: Path, now: datetime.datetime, system: str = "folder", stated: bool = False
) -> Collection:
    """Collect from a folder or a zip that `system` made; see `Collection`.

    Raises:
        CourseError: it is neither, or somebody grades or collects at this moment.
    """
    layout = archives.layout(system, roster.load())
    dates.load()  # what is wrong there is better known before
    lock = Lock()
    lock.acquire()
    try:
        collection = Collection(now, layout, stated)
        layout.prepare(archives.files(source, layout))
        found = archives.files(source, layout)
        for each in tqdm(found, desc="collecting", unit="file", delay=2):
            collection.look_at(each)
        collection.finish()
        return collection
    finally:
        lock.release()


# Read by a person in vain, and yet nothing to worry about.
HARMLESS = {"timestamp", "not-a-notebook", "code-file"}


@click.command("collect")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--from",
    "system",
    type=click.Choice(["folder", "moodle", "canvas"]),
    default="folder",
    show_default=True,
    help="What SOURCE is: a folder for each learner, or what a system's button "
    "for downloading all submissions gives.",
)
@click.option(
    "--at",
    "at",
    metavar="TIME",
    help='When all of it had been handed in, by your word: "2026-11-20 23:59". '
    "Without it, the time is now.",
)
def collect_command(source, system, at):
    """Take what learners handed in from SOURCE, a folder or a zip.

    Exits with 1 if a file that may be an answer was not taken.
    """
    now = datetime.datetime.now(datetime.UTC)
    collection = collect(source, _stated(at, now) if at else now, system, bool(at))
    for name, text in collection.notes:
        click.echo(f"note       {visible(name)}: {visible(text)}")
    for missed in collection.missed:
        click.echo(
            f"not taken  {visible(missed.name)} {visible(missed.why.text)} "
            f"[{missed.why.code}]"
        )
    for part, students in collection.late().items():
        click.echo(f"late       {part}: {', '.join(map(visible, students))}")
        if not at:
            click.echo(
                "           By this clock. If it was all handed in in time, say so: "
                "the same command with --at TIME"
            )
    students = {student for student, _ in collection.new}
    click.echo(
        f"{len(collection.new)} new notebooks of {len(students)} learners, "
        f"{sum(each.valid for each in collection.taken)} valid in all, "
        f"{len(collection.missed)} not taken"
    )
    sys.exit(any(missed.why.code not in HARMLESS for missed in collection.missed))


def _stated(at: str, now: datetime.datetime) -> datetime.datetime:
    """The instant that the instructor states.

    Raises:
        CourseError: it is none, or has not come yet.
    """
    zone = (dates.load() or dates.Dates()).zone
    try:
        local = datetime.datetime.fromisoformat(at)
    except ValueError:
        local = None
    if local is None or ":" not in at:  # a day alone would be its first moment
        raise CourseError(f"--at {at!r} is no time: 2026-11-20 23:59 is one")
    try:
        when = dates.instant(local, zone)
    except ValueError as error:
        raise CourseError(f"--at {at!r} {error}") from error
    if when > now:
        raise CourseError(f"--at {at!r} has not come yet")
    return when
