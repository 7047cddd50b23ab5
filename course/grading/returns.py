"""Feedback for learners to have: packed as the system wants it that they handed in by.

`course feedback` writes pages where only the instructor sees them. `--release` packs
them, once nobody may hand in any more:

    grading/returned/<part>-moodle.zip     for "Upload multiple feedback files in a zip"
    grading/returned/<part>-canvas.zip     for "Upload Submissions" of the assignment
    grading/returned/<part>-folders.zip    a folder for each of the other learners

Moodle (mod/assign/feedback/file/importziplib.php) finds a learner by the participant
number in `Name_123_assignsubmission_file_`, and the page becomes a feedback file.
Canvas (abstract_assignment.rb, `infer_comment_context_from_filename`) finds user and
file by the numbers in the name it gave, and shows the page as a comment on that file,
*under that file's name*: a page of `first.ipynb` is called so there.
"""

import datetime
import glob
import io
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import click
from tqdm import tqdm

from course.grading import dates, verdicts
from course.grading.collection import attempts
from course.grading.shown import visible
from course.paths import CourseError, root


def hold(part: str, now: datetime.datetime) -> None:
    """See that nobody may hand in a part any more.

    Raises:
        CourseError: somebody may; the text says who, and until when.
    """
    said = dates.load() or dates.Dates()
    given, zone = said.part(part), said.zone or datetime.UTC
    ends = [("all", given.due), *sorted(given.extensions.items())]
    waiting = [
        f"{who} until {when.astimezone(zone):%Y-%m-%d %H:%M %Z}"
        for who, when in ends
        if when and when > now
    ]
    if waiting:
        raise CourseError(
            f"{part} is still open, for {', '.join(waiting)}: feedback given now may "
            "reach those who still work. Wait, or say --early"
        )


def pack(part: str, students: Iterable[str]) -> tuple[dict[Path, int], list[str]]:
    """Pack the pages of some learners: pages by zip, and what is in none."""
    handed_in = attempts()
    packed, missing = defaultdict(dict), []
    for student in students:
        origins = {
            lesson: each.get("origin")
            for lesson, each in sorted(handed_in.get(student, {}).items())
            if lesson.partition("/")[0] == part
        }
        folder = root() / "grading" / "feedback" / student / part
        for page in sorted(folder.glob("*.html")):
            lesson = f"{part}/{page.stem}"
            # A page on what was not handed in goes where the others go.
            origin = origins.get(lesson, next(iter(origins.values()), None))
            system = origin["system"] if origin else "folders"
            if system == "canvas" and lesson not in origins:
                missing.append(
                    f"{student}: {page.name}, of which nothing was handed in"
                )
                continue
            packed[system][_name(origin, page, student)] = page.read_bytes()
    base, made = root() / "grading" / "returned", {}
    for system in ("moodle", "canvas", "folders"):
        path = base / f"{part}-{system}.zip"
        if packed[system]:
            verdicts.write(path, _zip(packed[system]))
            made[path] = len(packed[system])
        else:
            path.unlink(missing_ok=True)  # of an earlier release
    return made, missing


def _name(origin: dict | None, page: Path, student: str) -> str:
    if origin is None:
        return f"{student}/{page.name}"
    if origin["system"] == "moodle":
        return f"{origin['name']}_assignsubmission_file_/{page.name}"
    return f"{origin['name'].removesuffix('.ipynb')}.html"


def _zip(pages: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(pages.items()):
            # The same pages are the same zip.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return out.getvalue()


@click.command("feedback")
@click.argument("part")
@click.option("--student", "students", multiple=True, help="Of this learner only.")
@click.option(
    "--release",
    is_flag=True,
    help="Pack the pages for learners, in grading/returned, if all are due.",
)
@click.option("--early", is_flag=True, help="Release what is not due for all yet.")
def feedback_command(part, students, release, early):
    """Write a page for every graded notebook of PART, below grading/feedback."""
    # Not at the top: who reads the help may have no nbgrader.
    from nbgrader.converters.base import NbGraderException

    from course.grading import feedback

    graded = root() / "grading" / "autograded"
    found = sorted(path.parent.name for path in graded.glob(f"*/{glob.escape(part)}"))
    missing = sorted(set(students) - set(found))
    if missing or not found:
        whose = f" of {', '.join(map(visible, missing))}" if missing else ""
        raise CourseError(f"nothing{whose} is graded: run `course grade {part}`")
    if release and not early:
        hold(part, datetime.datetime.now(datetime.UTC))
    failed = []
    chosen = sorted(students) or found
    for student in tqdm(chosen, desc="feedback", unit="learner", delay=2):
        try:
            feedback.write(part, student)
        except NbGraderException:
            failed.append(student)
    click.echo(f"feedback for {len(chosen) - len(failed)} learners in grading/feedback")
    if release:
        made, left = pack(part, [each for each in chosen if each not in failed])
        for path, pages in made.items():
            click.echo(f"{pages} pages to return in {path}")
        for line in left:
            click.echo(f"not returned: {visible(line)}")
    if failed:
        raise CourseError(
            f"no feedback for {', '.join(map(visible, failed))}: the reason is above; "
            f"`course grade {part}` grades again what has changed"
        )
