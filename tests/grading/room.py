"""A course of one part with two small lessons, its gradebook, and its learners."""

import json
import os
import shutil
from datetime import datetime
from pathlib import Path

import sqlalchemy

from course.exercises.assign import dumps, notebook, release
from course.exercises.source import read

SOURCE = '''\
# ---
# jupyter:
#   kernelspec: {{name: python3, display_name: Python 3, language: python}}
# ---

# %% [markdown]
# # {title}

# %%
from course import check

# %% [markdown]
# ## 1 · Doubling
#
# Twice as much.


# %% solution="double" difficulty=1 minutes=5
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION


# %% test="double" points=2
check.close(double(1), 2, "twice 1")
### BEGIN HIDDEN TESTS
check.close(double(21), 42, "HIDDEN twice 21")
### END HIDDEN TESTS

# %% test="double" aspect="twice" points=1
check.close(double(double(1)), 4, "twice twice 1")
### BEGIN HIDDEN TESTS
check.close(double(double(5)), 20, "HIDDEN twice twice 5")
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · Tripling
#
# Three times as much.


# %% solution="triple" difficulty=1 minutes=5
def triple(x):
    """Three times x."""
    ### BEGIN SOLUTION
    return 3 * x
    ### END SOLUTION


# %% test="triple" points=2
check.close(triple(1), 3, "thrice 1")
### BEGIN HIDDEN TESTS
check.close(triple(7), 21, "HIDDEN thrice 7")
### END HIDDEN TESTS
'''

PART = "arithmetic"
LESSONS = ("first", "second")


def make(folder: Path, checkout: Path) -> None:
    """Write the course into the working directory `folder`, assigned and released."""
    shutil.copy(checkout / "pyproject.toml", folder)
    shutil.copy(checkout / "nbgrader_config.py", folder)
    (folder / "solutions" / PART).mkdir(parents=True)
    for name in LESSONS:
        write_source(folder, name, SOURCE.format(title=f"The {name} lesson"))
    generate()


def write_source(folder: Path, name: str, text: str) -> None:
    """An exercise source with all that `course assign` makes of it."""
    lesson = f"{PART}/{name}"
    (folder / "solutions" / f"{lesson}.py").write_text(text, "utf-8")
    source = dumps(notebook(read(lesson)))
    for base, content in (
        ("_build/nbgrader/source", source),
        ("exercises", release(source)),
    ):
        path = folder / base / f"{lesson}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")


def generate() -> None:
    """`nbgrader generate_assignment`."""
    assert api().generate_assignment(PART)["success"]


def keep_gradebook_at(url: str, state: Path) -> None:
    """Say in the private folder where the gradebook is."""
    path = state / "gradebook.url"
    path.touch(0o600)
    path.write_text(url)
    (state / "gradebook.db").unlink(missing_ok=True)


def api():
    """nbgrader's own interface, as formgrader uses it."""
    from nbgrader.apps import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory

    from course.grading import writer

    configured = writer.config()
    return NbGraderAPI(CourseDirectory(config=configured), config=configured)


class Room:
    """The course in `folder`, with the instructor's private folder `state`."""

    def __init__(self, folder: Path, state: Path):
        self.folder, self.state = folder, state

    def submit(self, student: str, lesson: str = "first", name=None, **answers) -> Path:
        """Hand in a notebook; what is not answered is left as a stub."""
        released = self.folder / f"exercises/{PART}/{lesson}.ipynb"
        node = json.loads(released.read_text("utf-8"))
        for cell in node["cells"]:
            text = answers.get(cell["id"])
            cell["source"] = cell["source"] if text is None else text
        return self.hand_in(student, f"{name or lesson}.ipynb", json.dumps(node))

    def hand_in(self, student: str, name: str, text: str) -> Path:
        """Hand in a file."""
        path = self.folder / f"grading/submitted/{student}/{PART}/{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def rows(self) -> dict[str, dict]:
        """All that the gradebook says of each learner, without its random ids."""
        query = """
            select student.id, notebook.name, base_cell.name, auto_score, manual_score,
                   extra_credit, needs_manual_grade, submitted_assignment.timestamp,
                   late_submission_penalty
            from grade
            join submitted_notebook on submitted_notebook.id = grade.notebook_id
            join notebook on notebook.id = submitted_notebook.notebook_id
            join submitted_assignment
                on submitted_assignment.id = submitted_notebook.assignment_id
            join student on student.id = submitted_assignment.student_id
            join base_cell on base_cell.id = grade.cell_id
        """
        comments = """
            select student.id, notebook.name, base_cell.name, auto_comment,
                   manual_comment
            from comment
            join submitted_notebook on submitted_notebook.id = comment.notebook_id
            join notebook on notebook.id = submitted_notebook.notebook_id
            join submitted_assignment
                on submitted_assignment.id = submitted_notebook.assignment_id
            join student on student.id = submitted_assignment.student_id
            join base_cell on base_cell.id = comment.cell_id
        """
        found = {}
        engine = sqlalchemy.create_engine(self.url)
        with engine.connect() as db:
            for text in (query, comments):
                for row in db.execute(sqlalchemy.text(text)):
                    student, notebook, cell, *values = map(_same, row)
                    found.setdefault(student, {})[notebook, cell] = tuple(values)
        engine.dispose()
        return found

    @property
    def url(self) -> str:
        """Where the gradebook is."""
        path = self.state / "gradebook.url"
        own = f"sqlite:///{self.state / 'gradebook.db'}"
        return path.read_text() if path.exists() else own

    def points(self, student: str, lesson: str = "first") -> dict:
        """The automatic scores of a learner, by test."""
        return {
            cell: values[0]
            for (notebook, cell), values in self.rows()[student].items()
            if notebook == lesson and cell.startswith("test_")
        }

    def needs_grading(self, student: str, lesson: str = "first") -> dict:
        """Whether a person has to look, by test."""
        return {
            cell: bool(values[3])
            for (notebook, cell), values in self.rows()[student].items()
            if notebook == lesson and cell.startswith("test_")
        }

    def files(self) -> dict[str, bytes]:
        """What lies in the folder of autograded submissions."""
        base = self.folder / "grading/autograded"
        return {
            path.relative_to(base).as_posix(): path.read_bytes()
            for path in base.rglob("*")
            if path.is_file()
        }

    def manual(self, student: str, test: str, score: float, lesson="first") -> None:
        """What an instructor enters in formgrader."""
        from nbgrader.api import Gradebook

        with Gradebook(self.url) as gradebook:
            grade = gradebook.find_grade(test, lesson, PART, student)
            grade.manual_score = score
            grade.needs_manual_grade = False
            gradebook.db.commit()

    def autograde(self, student: str) -> dict:
        """`nbgrader autograde --force` of one learner."""
        return api().autograde(PART, student, force=True)


def _same(value):
    """A value of a row as SQLite has it."""
    if isinstance(value, datetime):
        return value.isoformat(" ", "microseconds")
    return int(value) if isinstance(value, bool) else value


def enter(folder: Path, state: Path) -> None:
    """Be in the course, as a shell would."""
    os.chdir(folder)
    os.environ["COURSE_STATE"] = str(state)
