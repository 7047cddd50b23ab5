"""A throw-away course folder in which nbgrader grades made-up submissions."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from course.exercises.assign import dumps, notebook
from course.exercises.source import Source
from course.paths import root

# Lines behind those of `nbgrader_config.py` that give nbgrader its own steps back: a
# kernel for each notebook, the tests in it. It is what the judge is compared with.
STOCK = """
for name in ("Autograde", "GenerateFeedback", "ExportApp"):
    c.pop(name, None)
# Only what never ends is cut short: a busy machine may take its time for the rest.
c.Execute.timeout_func = lambda cell: 3 if "while" in cell.source else 120
c.Execute.interrupt_on_timeout = True
# Warnings and progress bars on stderr would cost the marks of the cell.
c.IgnorePattern.enabled = True
c.IgnorePattern.pattern = ".*"
"""


class Classroom:
    """A course folder below `folder` with one part of the course in it.

    Args:
        folder: an empty folder; the gradebook goes there too.
        sources: the lessons of the part.
        config: lines to put behind those of `nbgrader_config.py`, such as `STOCK`.
    """

    def __init__(self, folder: Path, sources: list[Source], config: str = ""):
        self.folder = folder / "course"
        self.state = folder / "state"
        self.part = sources[0].lesson.split("/")[0]
        self.folder.mkdir()
        shutil.copy(root() / "pyproject.toml", self.folder)
        if (root() / "lib").exists():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(root() / "lib", self.folder / "lib", ignore=ignored)
        configured = (root() / "nbgrader_config.py").read_text(encoding="utf-8")
        changed = self.folder / "nbgrader_config.py"
        changed.write_text(f"{configured}\n{config}\n", encoding="utf-8")
        for source in sources:
            self._write(f"_build/nbgrader/source/{source.lesson}", notebook(source))
            written = self.folder / "solutions" / f"{source.lesson}.py"
            written.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root() / "solutions" / f"{source.lesson}.py", written)

    def _write(self, name, node):
        path = self.folder / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(node if isinstance(node, str) else dumps(node), "utf-8")

    def submit(self, student: str, lesson: str, text: str):
        """Hand in a notebook, the text of its file."""
        self._write(f"grading/submitted/{student}/{lesson}", text)

    def nbgrader(self, *arguments: str) -> str:
        """Run nbgrader; what it printed.

        Raises:
            RuntimeError: it failed; the text is what it printed.
        """
        return self._run("nbgrader", *arguments)

    def course(self, *arguments: str) -> str:
        """Run `course`; what it printed.

        Raises:
            RuntimeError: it failed; the text is what it printed.
        """
        return self._run("course", *arguments)

    def _run(self, *command):
        """As from a shell in which no environment is activated."""
        environment = {
            "PATH": os.defpath,
            "HOME": os.environ.get("HOME", str(self.folder)),
            "COURSE_STATE": str(self.state),
            # The reference code of this course, in the kernels too.
            "PYTHONPATH": str(root()),
            "OMP_NUM_THREADS": "1",
        }
        program, *arguments = command
        ran = subprocess.run(
            [Path(sys.executable).parent / program, *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if ran.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{ran.stdout}")
        return ran.stdout

    def points(self, lesson: str) -> dict[str, dict[str, float]]:
        """The points in the gradebook, by student and test."""
        from nbgrader.api import Gradebook

        _, _, name = lesson.partition("/")
        with Gradebook(f"sqlite:///{self.state / 'gradebook.db'}") as gradebook:
            return {
                submission.student.id: {
                    grade.name: grade.auto_score
                    for notebook in submission.notebooks
                    if notebook.name == name
                    for grade in notebook.grades
                }
                for submission in gradebook.assignment_submissions(self.part)
            }
