"""What a run over a class did: lines for the terminal, and a page for the instructor.

The page is written anew every few seconds while the run goes on, so that a browser
beside it shows how far it is; it holds no script, and what came from learners is
escaped. `grading/reports/<part>.html`: the instructor's, as all of `grading/`.
"""

import functools
import platform
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import click

from course.grading import pages, verdicts
from course.grading.shown import visible
from course.paths import root

EVERY = 5  # seconds between two versions of the page
MOST_LINES = 20  # in the terminal, of each kind
MOST_SHOWN = 1000  # on the page, of each kind
MOST_REASONS = 200  # different ones that are counted for a task
FREQUENT = 3  # reasons shown of a task
BINS = 10


@dataclass
class Task:
    """How a class did in a task."""

    of: float
    statuses: Counter = field(default_factory=Counter)
    points: float = 0.0
    reasons: Counter = field(default_factory=Counter)

    def count(self, outcome: dict) -> None:
        """Add a learner's outcome."""
        self.statuses[outcome["status"]] += 1
        checks = outcome["checks"].values()
        self.points += sum(check["points"] or 0 for check in checks)
        for check in checks:
            if check["status"] in ("wrong", "crashed", "timed out"):
                # What follows the dash is this learner's own result.
                reason = check["message"].split("\n")[0].split(" — ")[0]
                if reason in self.reasons or len(self.reasons) < MOST_REASONS:
                    self.reasons[reason] += 1


@dataclass
class Report:
    """What a run did: notebooks by the status of their tasks, and what went wrong."""

    submissions: int = 0
    recorded: int = 0
    unchanged: int = 0
    judged: int = 0
    cached: int = 0
    statuses: Counter = field(default_factory=Counter)
    tasks: dict[str, dict[str, Task]] = field(default_factory=dict)  # by lesson
    shares: Counter = field(default_factory=Counter)  # of all points, in BINS
    settled: list[str] = field(default_factory=list)  # whose lateness costs another sum
    look: list[str] = field(default_factory=list)  # for the instructor to look at
    failures: list[str] = field(default_factory=list)

    def count(self, lesson: str, verdict: dict) -> None:
        """Add a learner's verdict."""
        tasks = self.tasks.setdefault(lesson, {})
        for name, outcome in verdict["verdict"]["exercises"].items():
            if name not in tasks:
                of = sum(check["of"] for check in outcome["checks"].values())
                tasks[name] = Task(of)
            tasks[name].count(outcome)
            self.statuses[outcome["status"]] += 1

    def count_share(self, found: dict[str, dict]) -> None:
        """Add the share of all points that a learner's verdicts come to."""
        points = [verdicts.points(verdict) for verdict in found.values()]
        checks = [verdicts.checks(verdict) for verdict in found.values()]
        earned = sum(value or 0 for each in points for value in each.values())
        of = sum(check["of"] for each in checks for check in each.values())
        if of:
            self.shares[min(BINS - 1, int(BINS * earned / of))] += 1

    @property
    def done(self) -> int:
        """Submissions that are in the gradebook as they are now."""
        return self.recorded + self.unchanged


def show(report: Report, page: Path | None = None) -> None:
    """Print what a run did."""
    click.echo(
        f"{report.submissions} submissions: {report.recorded} recorded, "
        f"{report.unchanged} unchanged; {report.judged} notebooks judged, "
        f"{report.cached} known"
    )
    if report.settled:
        click.echo(f"  {len(report.settled):6} submissions with another late penalty")
    for status in verdicts.STATUSES:
        if report.statuses[status]:
            click.echo(f"  {report.statuses[status]:6} tasks {status}")
    where = f"are on {page}" if page else "are not shown"
    for kind, lines, colour in (
        ("look at", report.look, "yellow"),
        ("failed", report.failures, "red"),
    ):
        for line in lines[:MOST_LINES]:
            click.secho(f"{kind}: {line}", fg=colour)
        if len(lines) > MOST_LINES:
            more = len(lines) - MOST_LINES
            click.secho(f"{kind}: {more} more, which {where}", fg=colour)
    if page:
        click.echo(f"The class at a glance: {page}")


class Page:
    """The instructor's page of a run; used as a context, it is right at the end too.

    Args:
        by: what judges, in words.
    """

    def __init__(self, part: str, report: Report, by: str):
        self.part, self.report, self.by = part, report, by
        self.path = self.path_of(part)
        self.begun = datetime.now().astimezone()
        self.clock = time.monotonic()
        self.written = None
        # Of the work for the judge, in the seconds that it is thought to take.
        self.todo = self.spent = 0.0

    @staticmethod
    def path_of(part: str) -> Path:
        """Where the page of a part is."""
        return root() / "grading" / "reports" / f"{part}.html"

    def expect(self, seconds: float) -> None:
        """Say how long the judge is thought to work; from now on it does."""
        self.todo, self.clock = seconds, time.monotonic()

    def spend(self, seconds: float) -> None:
        """Say that of this, so much is done."""
        self.spent += seconds

    def __enter__(self):
        self.write("under way")
        return self

    def __exit__(self, kind, *_):
        self.write("finished" if kind is None else "stopped; run it again to go on")

    def write(self, state: str = "under way", patience: float = 0) -> None:
        """Write the page, unless it was written in the last `patience` seconds."""
        now = time.monotonic()
        if self.written is not None and now - self.written < patience:
            return
        verdicts.write(self.path, self.text(state).encode(), mode=0o600)
        self.written = now

    def left(self) -> timedelta | None:
        """The time that the judge still needs, once there is any experience."""
        if not 0 < self.spent < self.todo:
            return None
        passed = time.monotonic() - self.clock
        seconds = passed * (self.todo - self.spent) / self.spent
        return timedelta(seconds=round(seconds))

    def text(self, state: str) -> str:
        """The page as HTML."""
        report = self.report
        passed = datetime.now().astimezone() - self.begun
        passed = timedelta(seconds=round(passed.total_seconds()))
        return _template().render(
            part=self.part,
            report=report,
            state=state,
            under_way=state == "under way",
            every=EVERY,
            by=self.by,
            machine=f"{platform.node()}, Python {platform.python_version()}",
            begun=self.begun.strftime("%Y-%m-%d %H:%M %Z"),
            passed=passed,
            left=self.left(),
            statuses=verdicts.STATUSES,
            most=MOST_SHOWN,
            frequent=FREQUENT,
            bins=[report.shares[number] for number in range(BINS)],
        )


@functools.cache
def _template():
    environment = pages.environment()
    environment.filters["visible"] = lambda text: visible(str(text))
    environment.filters["points"] = lambda number: f"{number:.2f}".rstrip("0").rstrip(
        "."
    )
    return environment.get_template("report.html.j2")
