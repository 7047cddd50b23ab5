"""The gradebook: one writer, one transaction a submission.

Trusts verdicts that were held against their jobs, and the graded notebooks made from
them. The points go in by nbgrader's own SaveAutoGrades, run unchanged, and what
lateness costs by `registry.LatePenalties`; both are bound to one open connection, so
that a submission is recorded whole or not at all. Afterwards every score in the
gradebook is compared with the verdict.
"""

import contextlib
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbgrader.api import (
    Assignment,
    BaseCell,
    Comment,
    Grade,
    Gradebook,
    MissingEntry,
    Notebook,
    SubmittedAssignment,
    SubmittedNotebook,
)
from nbgrader.preprocessors import (
    NbGraderPreprocessor,
    SaveAutoGrades,
    latesubmissions,
    saveautogrades,
)
from nbgrader.utils import parse_utc
from sqlalchemy import create_engine, event, inspect, text
from sqlalchemy.exc import OperationalError, SAWarning
from sqlalchemy.orm import Session, joinedload, selectinload
from traitlets.config import Config, PyFileConfigLoader

from course.grading import dates, registry, verdicts
from course.grading.jobs import Exercise
from course.paths import CourseError, root

PATIENCE = 30  # seconds that another program may keep the database
GRADER = 0x67726164  # by this number graders know each other on a PostgreSQL server


def config() -> Config:
    """The course's configuration of nbgrader."""
    loader = PyFileConfigLoader("nbgrader_config.py", path=str(root()))
    return loader.load_config()


# The gradebook


class Writer:
    """The one connection that writes marks."""

    def __init__(self, configuration: Config | None = None):
        self.config = configuration or config()
        self.url = self.config.CourseDirectory.db_url
        self.engine = _engine(self.url)
        self.only = None if self.url.startswith("sqlite") else _alone(self.engine)

    def close(self) -> None:
        """Let go of the database."""
        if self.only is not None:
            self.only.close()
        self.engine.dispose()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Gradebook]:
        """A gradebook whose changes are kept together at the end, or not at all.

        Meanwhile nbgrader's preprocessors use it in place of one of their own.
        """
        with self.engine.connect() as connection, connection.begin():
            gradebook = _Bound(connection)
            modules = (saveautogrades, latesubmissions)
            for module in modules:
                module.Gradebook = lambda _: gradebook
            try:
                yield gradebook
                gradebook.db.flush()
            finally:
                for module in modules:
                    module.Gradebook = Gradebook
                gradebook.db.close()

    def check(self, exercises: list[Exercise]) -> None:
        """See that the gradebook has these exercises as they are.

        Raises:
            CourseError: it has not; the text says what to run.
        """
        part = exercises[0].part
        todo = f"run `nbgrader generate_assignment {part}`"
        if not inspect(self.engine).has_table("assignment"):
            raise CourseError(f"there is no gradebook yet: {todo}")
        with self.transaction() as gradebook:
            try:
                assignment = gradebook.find_assignment(part)
            except MissingEntry:
                raise CourseError(f"{part} is not in the gradebook: {todo}") from None
            recorded = {
                notebook.name: {c.name: c.max_score for c in notebook.grade_cells}
                for notebook in assignment.notebooks
            }
            for each in exercises:
                tests = {n: p for task in each.tasks for n, p in task.tests.items()}
                if recorded.get(each.name) != tests:
                    raise CourseError(
                        f"{each.lesson} is not in the gradebook as it is now: {todo}"
                    )

    def enter(self, part: str | None = None) -> list[str]:
        """Enter what the institution says: the learners, and of a part the dates; who
        loses another number of points by that than before."""
        dates.load()  # if that cannot be read, nothing is begun
        with self.transaction() as gradebook:
            registry.enrol(gradebook)
            return registry.settle(gradebook, part) if part else []

    def void(self, part: str, student: str) -> dict:
        """Take back all that the autograder said of a submission: what is cut short
        now leaves "needs grading", never an old score. Returns what was there, as
        `wipe`."""
        with self.transaction() as gradebook:
            submission = _submission(gradebook, part, student)
            return {} if submission is None else wipe(submission)

    def is_current(
        self, part: str, student: str, found: dict[str, dict], timestamp: str | None
    ) -> bool:
        """Whether the gradebook says what the verdicts, by notebook, say."""
        with self.transaction() as gradebook:
            rows = (
                gradebook.db.query(SubmittedAssignment, Assignment)
                .join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
                .join(SubmittedNotebook)
                .join(Notebook, Notebook.id == SubmittedNotebook.notebook_id)
                .join(Grade, Grade.notebook_id == SubmittedNotebook.id)
                .join(BaseCell, BaseCell.id == Grade.cell_id)
                .filter(Assignment.name == part)
                .filter(SubmittedAssignment.student_id == student)
                .add_columns(
                    *(Notebook.name, BaseCell.name),
                    *(Grade.auto_score, Grade.needs_manual_grade),
                )
                .all()
            )
            if not rows:
                return False
            submission = rows[0][0]
            if timestamp and submission.timestamp != parse_utc(timestamp):
                return False
            if not registry.is_settled(gradebook, submission, self.config):
                return False
            for _, _, notebook, test, score, needed in rows:
                if notebook not in found:
                    continue
                points, status = _said(found[notebook], test)
                if score != points or (status in MARKED and not needed):
                    return False
        return True

    def record(
        self,
        part: str,
        student: str,
        graded: dict[str, tuple[dict, dict]],
        timestamp: str | None,
        before: dict,
    ) -> None:
        """Record a submission: by notebook, the graded notebook and its verdict;
        `before` is what `void` returned where that was called for this submission."""
        with self.transaction() as gradebook:
            submission = _submission(gradebook, part, student)
            if submission is None:
                submission = _new(gradebook, part, student)
            if timestamp:
                submission.timestamp = parse_utc(timestamp)
            gradebook.hold(submission)
            before = wipe(submission) | before
            for name, (node, verdict) in graded.items():
                resources = {
                    "nbgrader": {
                        "notebook": name,
                        "assignment": part,
                        "student": student,
                        "db_url": self.url,
                    },
                    "course": {"verdict": verdict, "before": before},
                }
                SaveAutoGrades(config=self.config).preprocess(node, resources)
                mark(gradebook, resources)
                gradebook.db.flush()  # a penalty may depend on the score
                registry.LatePenalties(config=self.config).preprocess(node, resources)


def _alone(engine):
    """A connection to a server; while it is open, nobody else writes marks there. The
    lock in the private folder holds on one machine only.

    Raises:
        CourseError: the server does not answer, or another machine grades.
    """
    try:
        connection = engine.connect()
        taken = connection.scalar(text(f"select pg_try_advisory_lock({GRADER})"))
        connection.commit()  # the lock is the connection's, not the transaction's
    except OperationalError as error:
        raise CourseError(f"the gradebook cannot be reached: {error.orig}") from error
    if not taken:
        connection.close()
        raise CourseError(
            "another machine writes into this gradebook: wait for it, or end it"
        )
    return connection


def _engine(url: str):
    if not url.startswith("sqlite"):
        patience = {"options": f"-c lock_timeout={1000 * PATIENCE}"}
        return create_engine(url, future=True, connect_args=patience)
    engine = create_engine(url, future=True, connect_args={"timeout": PATIENCE})

    # pysqlite's own idea of transactions would commit between statements.
    @event.listens_for(engine, "connect")
    def connect(connection, _):
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


class _Open(Session):
    """A session in an open transaction, which alone decides when it is committed."""

    def commit(self):
        """Wait for the end; nbgrader would commit every cell."""


class _Bound(Gradebook):
    """nbgrader's Gradebook on an open connection."""

    def __init__(self, connection):
        self.engine = connection.engine
        self.db = _Open(bind=connection, future=True)
        self.course_id = self.authenticator = None
        self.held = {}

    def close(self):
        """Stay open: the transaction goes on."""

    def hold(self, submission: SubmittedAssignment) -> None:
        """Find a submission's rows from now on without asking the database."""
        owner = submission.assignment.name, submission.student_id
        self.held[owner] = submission
        for notebook in submission.notebooks:
            self.held[notebook.name, *owner] = notebook
            for grade in notebook.grades:
                self.held["grade", grade.name, notebook.name, *owner] = grade
            for comment in notebook.comments:
                self.held["comment", comment.name, notebook.name, *owner] = comment

    def find_submission(self, *names):
        return self.held.get(names) or super().find_submission(*names)

    def find_submission_notebook(self, *names):
        return self.held.get(names) or super().find_submission_notebook(*names)

    def find_grade(self, *names):
        return self.held.get(("grade", *names)) or super().find_grade(*names)

    def find_comment(self, *names):
        return self.held.get(("comment", *names)) or super().find_comment(*names)


def _submission(
    gradebook: Gradebook, part: str, student: str
) -> SubmittedAssignment | None:
    """A submission with all its rows, in a few queries."""
    query = (
        gradebook.db.query(SubmittedAssignment)
        .join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
        .filter(Assignment.name == part, SubmittedAssignment.student_id == student)
    )
    submission = query.one_or_none()
    if submission is not None:
        (
            gradebook.db.query(SubmittedNotebook)
            .filter_by(assignment_id=submission.id)
            .options(
                joinedload(SubmittedNotebook.notebook),
                selectinload(SubmittedNotebook.grades).joinedload(Grade.cell),
                selectinload(SubmittedNotebook.comments).joinedload(Comment.cell),
            )
            .all()
        )
    return submission


def _new(gradebook: Gradebook, part: str, student: str) -> SubmittedAssignment:
    """A submission of which there is nothing yet."""
    gradebook.update_or_create_student(student)
    # Kept at hand for nbgrader, which goes through them notebook by notebook.
    cells = selectinload(Assignment.notebooks).selectinload(Notebook._base_cells)
    assignment = (
        gradebook.db.query(Assignment).options(cells).filter_by(name=part).one()
    )
    with warnings.catch_warnings():
        # nbgrader builds the rows in an order that SQLAlchemy dislikes.
        warnings.simplefilter("ignore", SAWarning)
        submission = gradebook.add_submission(part, student)
        gradebook.db.flush()
    assert submission.assignment is assignment
    return submission


# Marks

# What a person has to look at.
MARKED = ("grader error", "not gradable")


def wipe(submission: SubmittedAssignment) -> dict[tuple[str, str], tuple]:
    """Void a submission's automatic scores and comments; manual ones stay. Returns the
    scores that were there, by notebook and test."""
    before = {}
    for notebook in submission.notebooks:
        notebook.late_submission_penalty = None
        for grade in notebook.grades:
            here = notebook.name, grade.name
            before[here] = grade.auto_score, grade.needs_manual_grade
            grade.auto_score = None
            grade.needs_manual_grade = True
        for comment in notebook.comments:
            comment.auto_comment = None
    return before


class MarkUngraded(NbGraderPreprocessor):
    """Record what the outputs of a test cell cannot say, after SaveAutoGrades.

    No score for a grader error; "needs grading" for that and for a notebook that could
    not be read; and where a manual grade stands, "needs grading" only if the automatic
    score beside it is another than before.
    """

    def preprocess(self, nb, resources):
        """Leave the notebook as it is."""
        with Gradebook(resources["nbgrader"]["db_url"]) as gradebook:
            mark(gradebook, resources)
            gradebook.db.commit()
        return nb, resources


def mark(gradebook: Gradebook, resources: dict) -> None:
    """See `MarkUngraded`.

    Raises:
        RuntimeError: a score in the gradebook is not what the verdict says.
    """
    names = resources["nbgrader"]
    verdict, before = resources["course"]["verdict"], resources["course"]["before"]
    notebook = gradebook.find_submission_notebook(
        names["notebook"], names["assignment"], names["student"]
    )
    seen = set()
    for grade in notebook.grades:
        points, status = _said(verdict, grade.name)
        seen.add(grade.name)
        if points is None:
            grade.auto_score = None
        elif grade.auto_score != points:
            raise RuntimeError(
                f"{grade.name} of {names['student']} is recorded as "
                f"{grade.auto_score} points, the verdict says {points}"
            )
        if status in MARKED:
            grade.needs_manual_grade = True
        elif grade.manual_score is not None:
            score, needed = before.get((notebook.name, grade.name), (None, True))
            grade.needs_manual_grade = needed or score != points
    missing = verdicts.points(verdict).keys() - seen
    if missing:
        raise RuntimeError(f"the gradebook has no {', '.join(sorted(missing))}")


def _said(verdict: dict, test: str) -> tuple[float | None, str | None]:
    for exercise in verdict["verdict"]["exercises"].values():
        if test in exercise["checks"]:
            check = exercise["checks"][test]
            return check["points"], check["status"]
    raise RuntimeError(f"the verdict says nothing of {test}")


def timestamp(folder: Path) -> str | None:
    """When a submission was handed in, as `timestamp.txt` beside it says, to the
    letter; None where that is missing, or no time."""
    from course.grading import intake

    try:
        text = intake.read(folder / "timestamp.txt", 100).decode()
        parse_utc(text)
    except (CourseError, ValueError, OverflowError, AttributeError):
        return None
    return text if text.strip() else None


# Files


def node(notebook: dict):
    """A notebook as nbgrader's preprocessors take it."""
    return nbformat.from_dict(notebook)


def files(nodes: dict[str, dict], when: str | None) -> dict[str, bytes]:
    """The files of an autograded submission, as nbgrader writes them."""
    found = {
        f"{name}.ipynb": (nbformat.writes(node(each)) + "\n").encode()
        for name, each in nodes.items()
    }
    if when:
        found["timestamp.txt"] = when.encode()
    return found


def same(folder: Path, files: dict[str, bytes]) -> bool:
    """Whether `folder` holds these files and no others."""
    try:
        return set(os.listdir(folder)) == set(files) and all(
            (folder / name).read_bytes() == data for name, data in files.items()
        )
    except OSError:
        return False


def place(folder: Path, files: dict[str, bytes]) -> None:
    """Make `folder` hold these files, each written whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        verdicts.write(folder / name, data, mode=0o444)
    for path in folder.iterdir():
        if path.name not in files:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
