"""`course build` and `course serve`: from the repository to the website."""

import os
import subprocess
import sys

import click
from tqdm import tqdm

from course.paths import CourseError, root

WATCHED = ("book", "lib", "solutions", "course/site", "_config.yml", "_toc.yml")


def jupyter_book() -> bool:
    """What `jupyter-book build . -n -W --keep-going` does; whether it succeeded."""
    from jupyter_book.sphinx import build_sphinx

    settings = {
        "external_toc_path": str(root() / "_toc.yml"),
        "latex_individualpages": False,
        "nitpicky": True,
    }
    result = build_sphinx(
        root(),
        root() / "_build" / "html",
        noconfig=True,
        path_config=root() / "_config.yml",
        confoverrides=settings,
        warningiserror=True,
        keep_going=True,
        quiet=True,
    )
    return result == 0


def summary(chapters, ran: set[str]) -> str:
    """A line a chapter: seconds, and whether it ran now or was kept."""
    lines = []
    for chapter in chapters:
        data = chapter.record.data
        cpu = data.get("cpu_seconds")
        seconds = "" if cpu is None else f"{cpu:7.1f} s CPU"
        state = "executed" if chapter.name in ran else "kept"
        lines.append(f"  {chapter.name:45} {state:9}{seconds}")
    total = sum(chapter.record.data.get("cpu_seconds", 0) for chapter in chapters)
    lines.append(
        f"  {len(ran)} of {len(chapters)} chapters executed; all: {total:.0f} s"
    )
    return "\n".join(lines)


def build(jobs: int) -> None:
    """Derived notebooks, stale chapters, then the strict site.

    Raises:
        CourseError: a chapter failed, or the site has warnings. What ran is kept.
    """
    from course.exercises.assign import write_derived
    from course.site import execution

    write_derived()
    cache = execution.store()
    chapters = execution.plan(cache)
    stale = [chapter for chapter in chapters if chapter.record is None]
    cells = sum(len(chapter.notebook.cells) for chapter in stale)
    with tqdm(
        total=cells, desc="executing", unit="cell", disable=not stale
    ) as progress:
        failures = execution.execute_stale(stale, cache, jobs, progress)
    if failures:
        raise CourseError("a chapter failed.\n\n" + "\n\n".join(failures))
    execution.write_executed(chapters, cache)
    click.echo(summary(chapters, {chapter.name for chapter in stale}))
    if not jupyter_book():
        raise CourseError("the site has the warnings above; each is an error")
    index = root() / "_build" / "html" / "index.html"
    click.echo(f"The book: {index.as_uri()}")


@click.command("build")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=os.cpu_count(),
    show_default="one a core",
    help="Chapters executed side by side.",
)
def build_command(jobs):
    """Execute what changed and build the website into _build/html."""
    build(jobs)


@click.command("serve")
@click.option("--port", default=8000, show_default=True, help="Port on this machine.")
def serve_command(port):
    """Build, serve on this machine, rebuild on save and reload the page."""
    from livereload import Server

    def rebuild():
        # A process of its own: edited modules of `course` count at once.
        subprocess.run([sys.executable, "-m", "course.cli", "build"], cwd=root())

    rebuild()
    server = Server()
    for watched in WATCHED:
        server.watch(str(root() / watched), rebuild)
    server.serve(root=str(root() / "_build" / "html"), port=port, host="127.0.0.1")
