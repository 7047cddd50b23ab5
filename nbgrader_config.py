"""Configuration of nbgrader: run it from this folder, without flags.

`course assign` writes the source notebooks; `exercises/` is committed; what learners
hand in and what comes of it stays under `grading/`, which git ignores. The gradebook
is in the instructor's private folder (`course doctor` prints it), outside the course.
"""

import os
import sys
from pathlib import Path

from nbgrader.preprocessors import (
    CheckCellMetadata,
    GetGrades,
    LimitOutput,
    SaveAutoGrades,
)

from course.exercises.source import STUB
from course.grading import feedback, plugin, registry
from course.paths import course_id, database, root, state

c = get_config()  # noqa: F821

# nbgrader makes a new gradebook by the program `alembic`, which is beside the
# interpreter but on the PATH only where the environment is activated.
programs = str(Path(sys.executable).parent)
path = os.environ.get("PATH", os.defpath)
if programs not in path.split(os.pathsep):
    os.environ["PATH"] = os.pathsep.join([programs, path])

state().mkdir(mode=0o700, parents=True, exist_ok=True)

c.CourseDirectory.course_id = course_id()
c.CourseDirectory.root = str(root())
c.CourseDirectory.db_url = database()
c.CourseDirectory.source_directory = "_build/nbgrader/source"
c.CourseDirectory.release_directory = "exercises"
c.CourseDirectory.submitted_directory = "grading/submitted"
c.CourseDirectory.autograded_directory = "grading/autograded"
c.CourseDirectory.feedback_directory = "grading/feedback"
# By default these are too easily taken for `solutions/`.
c.CourseDirectory.solution_directory = "grading/solution"
c.CourseDirectory.source_with_tests_directory = "grading/source_with_tests"

# The release folder is committed, so it always exists; git keeps what was there.
c.GenerateAssignment.force = True
c.ClearSolutions.code_stub = {"python": STUB}

# Learners' code meets the judge in place of a kernel: `nbgrader autograde` and
# `course grade` give the same marks.
c.Autograde.exporter_class = plugin.JudgedExporter
c.Autograde.pre_convert_hook = plugin.intake
c.Autograde.sanitize_preprocessors = [plugin.Canonicalise]
c.Autograde.autograde_preprocessors = [
    plugin.JudgedExecute,
    LimitOutput,
    SaveAutoGrades,
    plugin.MarkUngraded,
    registry.LatePenalties,
    CheckCellMetadata,
]

# Feedback shows no hidden test, and nothing in it runs.
c.GenerateFeedback.preprocessors = [GetGrades, feedback.StripHidden, feedback.Clean]
c.GenerateFeedback.exporter_class = feedback.FeedbackExporter
c.ExportApp.plugin_class = plugin.CsvExport
