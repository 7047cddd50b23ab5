"""What nbgrader runs in place of its own steps; see nbgrader_config.py:

    c.Autograde.exporter_class = JudgedExporter
    c.Autograde.pre_convert_hook = intake
    c.Autograde.sanitize_preprocessors = [Canonicalise]
    c.Autograde.autograde_preprocessors = [JudgedExecute, LimitOutput, SaveAutoGrades,
        MarkUngraded, LatePenalties, CheckCellMetadata]
    c.ExportApp.plugin_class = CsvExport

Trusts nbgrader's own order of events: the hook once a submission, then for each
notebook in the list it left a pass to sanitise and a pass to execute. Everything that
decides is shared with `course grade`: `submission`, `work`, `writer`.
"""

import itertools
import os
from pathlib import Path

import nbformat
from nbconvert.exporters import NotebookExporter
from nbgrader.plugins import ExportPlugin
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Bool
from traitlets.log import get_logger

from course.grading import export, jobs, pool, submission, verdicts, work, writer
from course.grading.lock import Lock
from course.grading.writer import MarkUngraded
from course.paths import CourseError, root

__all__ = [
    "Canonicalise",
    "CsvExport",
    "JudgedExecute",
    "JudgedExporter",
    "MarkUngraded",
    "intake",
]

PATIENCE = 30  # seconds that another grader may take
QUARANTINE = "grading/quarantine"


class _Run:
    """What the steps of one submission tell each other, in this process."""

    def __init__(self):
        self.lock = Lock()
        self.judges: pool.Judges | None = None
        self.start({}, {})

    def start(self, files: dict[Path, Path | None], before: dict) -> None:
        """Begin with a submission: where each notebook's file is, and the scores that
        were in the gradebook."""
        self.files = files
        self.before = before
        self.left = len(files)

    def end(self) -> None:
        """Give the lock back: the submission is done, or has failed."""
        self.start({}, {})
        self.lock.release()


_run = _Run()


def intake(*, assignment, student, notebooks) -> None:
    """nbgrader's hook before a submission's files are copied.

    `notebooks` is the live list of its paths. It becomes one path for each lesson of
    the part, under its right name, wherever the file is that answers it; files that
    nobody asked for are put aside, since they would be copied, links followed.
    """
    if not notebooks:
        return
    paths = [Path(path) for path in notebooks]
    folder = paths[0].parent
    part, owner = folder.name, folder.parent.name
    try:
        _run.lock.acquire(PATIENCE)
        exercises = jobs.part(part)
        with writer.Writer() as gradebook:
            gradebook.check(exercises)
            gradebook.enter()
            before = gradebook.void(part, owner)
        chosen = submission.choose(exercises, paths)
        if len(paths) < len(list(folder.glob("*.ipynb"))):
            # Only some were asked for (--notebook).
            chosen = {lesson: path for lesson, path in chosen.items() if path}
        _quarantine(folder, owner)
        files = {
            folder / f"{lesson.partition('/')[2]}.ipynb": path
            for lesson, path in chosen.items()
        }
        _run.start(files, before)
        notebooks[:] = [str(path) for path in sorted(files)]
    except BaseException as error:
        # nbgrader goes on after a hook that fails: without notebooks it cannot.
        notebooks.clear()
        _run.end()
        get_logger().error("%s is not graded: %s", owner, error)
        raise


def _quarantine(folder: Path, owner: str) -> None:
    """Move what is neither a notebook nor a timestamp out of a submission."""
    for path in sorted(folder.iterdir()):
        if path.suffix == ".ipynb" and not (path.is_dir() and not path.is_symlink()):
            continue
        if path.name == "timestamp.txt" and writer.timestamp(folder):
            continue
        aside = root() / QUARANTINE / owner / folder.name
        aside.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = (f"{path.name}{n or ''}" for n in itertools.count())
        free = next(name for name in names if not os.path.lexists(aside / name))
        os.rename(path, aside / free)
        get_logger().warning("%s is put aside in %s", path, aside)


class JudgedExporter(NotebookExporter):
    """Opens what was handed in, whatever it is, and stops at nothing."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.readings = {}
        _run.end()
        if jobs.forget() and _run.judges is not None:
            _run.judges.close()

    def from_filename(self, filename, resources=None, **_):
        """Convert a notebook: sanitise, the first time, and execute."""
        names = resources["nbgrader"]
        key = names["student"], names["assignment"], names["notebook"]
        first = key not in self.readings
        try:
            if first:
                self.readings[key] = self._read(Path(filename), names)
            exercise, reading = self.readings[key] if first else self.readings.pop(key)
            resources["course"] = {
                "exercise": exercise,
                "reading": reading,
                "before": _run.before,
            }
            output = self.from_notebook_node(
                nbformat.from_dict(reading.notebook), resources
            )
        except BaseException:
            self.readings.pop(key, None)
            _run.end()
            raise
        if not first:
            _run.left -= 1
            if _run.left <= 0:
                _run.end()
        return output

    def _read(self, path, names):
        part, name = names["assignment"], names["notebook"]
        if path not in _run.files:
            raise CourseError(
                f"{path} did not pass the intake: nbgrader_config.py must set "
                "c.Autograde.pre_convert_hook"
            )
        if _run.left == len(_run.files):
            # nbgrader has given notebooks that it does not find a final 0 by now:
            # they may have another name, and are not judged yet.
            with writer.Writer() as gradebook:
                gradebook.void(part, names["student"])
        exercise = jobs.exercise(f"{part}/{name}")
        return exercise, submission.read(exercise, _run.files[path])


class Canonicalise(NbGraderPreprocessor):
    """Puts the canonical notebook in the place of the learner's."""

    def preprocess(self, nb, resources):
        """The release with the learner's answers and own cells in it."""
        reading = resources["course"]["reading"]
        for note in reading.notes:
            self.log.warning("%s", note.text)
        return nbformat.from_dict(reading.notebook), resources


class JudgedExecute(NbGraderPreprocessor):
    """Asks the judge in place of a kernel, where the store has no verdict."""

    allow_weak = Bool(
        False,
        help="Grade where learners' code cannot be isolated; every verdict says so.",
    ).tag(config=True)

    def preprocess(self, nb, resources):
        """The graded notebook; the verdict goes along in the resources."""
        exercise = resources["course"]["exercise"]
        reading = resources["course"]["reading"]
        student = resources["nbgrader"]["student"]
        level = pool.level(self.allow_weak)
        if _run.judges is None:
            _run.judges = pool.Judges()
        limits = {}
        if reading.judgeable:
            limits = work.limits(exercise, _run.judges, level)
        verdict = work.settle(exercise, student, reading, limits, level, _run.judges)
        for task, status in verdicts.statuses(verdict).items():
            if status in writer.MARKED:
                outcome = verdict["verdict"]["exercises"][task]
                self.log.error("%s: %s: %s", task, status, outcome["message"])
        for note in filter(verdicts.is_flag, verdict["verdict"]["notes"]):
            self.log.warning("look at: %s", note["text"])
        resources["course"]["verdict"] = verdict
        graded = submission.graded(exercise, reading.notebook, verdict)
        return nbformat.from_dict(graded), resources


class CsvExport(ExportPlugin):
    """nbgrader's table of grades, quoted, with no formula in it."""

    def export(self, gradebook) -> None:
        """Write the table to `--to`, else `grades.csv`."""
        path = Path(self.to or "grades.csv")
        chosen = [list(map(str, each)) for each in (self.assignment, self.student)]
        export.write(path, export.table(export.rows(gradebook, *chosen)))
        self.log.info("Exported grades to %s", path)
