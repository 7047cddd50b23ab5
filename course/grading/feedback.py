"""What a learner gets back: one page a notebook that runs and loads nothing.

`StripHidden` and `Clean` are preprocessors for nbgrader's GenerateFeedback, safe with
its own template too; `FeedbackExporter` writes a page of ours, whose policy forbids
scripts and requests. Trusts the gradebook's numbers, and that what a test cell shows is
the judge's own text if no kernel ran it: a kernel numbers the cells it runs.
"""

import functools
import glob
import html
import logging
import re

from markupsafe import Markup
from nbconvert.exporters import Exporter
from nbgrader.converters import GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import GetGrades, NbGraderPreprocessor
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from course.exercises.regions import HIDDEN
from course.grading import pages, writer
from course.grading.hygiene import clean, clean_markdown
from course.grading.shown import plain, visible

BEGIN, END = (mark.removeprefix("### ") for mark in HIDDEN)
FAILED = "A test failed here that the notebook does not show."
LONGEST_FORMULA = 1000
MATHML = re.compile(r"<math\b.*?</math>", re.DOTALL)
GRADE_ID = re.compile(r"[\w-]{1,128}")


class StripHidden(NbGraderPreprocessor):
    """Take hidden tests out of a graded notebook, and what failing in them printed.

    An instructor who wants to show them after the due date sets
    `StripHidden.enabled = False`.
    """

    def preprocess(self, nb, resources):
        """Strip all cells."""
        for cell in nb.cells:
            if BEGIN not in cell.source and END not in cell.source:
                continue
            cell.source = visible_part(cell.source)
            if cell.cell_type == "code" and cell.execution_count is not None:
                cell.outputs = _unrevealing(cell.outputs, cell.source)
        return nb, resources


def visible_part(source: str) -> str:
    """A test cell's source without its hidden regions."""
    kept, hidden = [], False
    for line in source.split("\n"):
        hidden |= BEGIN in line
        if not hidden and END not in line:
            kept.append(line)
        hidden &= END not in line
    return "\n".join(kept).rstrip()


def _unrevealing(outputs, source):
    """What a kernel made of a cell with hidden tests, by its visible `source`."""
    kept = []
    for output in outputs:
        if output.output_type == "error":
            # A traceback quotes the test; a message may hold what was expected.
            hint = str(output.evalue).split("\n")[0]
            output.evalue = hint if hint and f'"{hint}"' in source else FAILED
            output.traceback = [f"{output.ename}: {output.evalue}"]
        elif output.output_type != "execute_result":
            continue  # a learner's function prints what a hidden test passes to it
        kept.append(output)
    return kept


class Clean(NbGraderPreprocessor):
    """Make everything that the notebook shows harmless, whoever wrote it."""

    def preprocess(self, nb, resources):
        """Clean outputs, text, comments and metadata."""
        clean(nb)
        nb.metadata = type(nb.metadata)(language_info={"name": "python"})
        for number, cell in enumerate(nb.cells):
            cell["id"] = f"cell-{number}"
            cell.metadata = type(cell.metadata)(_metadata(cell.metadata))
            if cell.cell_type == "code":
                cell.source = plain(cell.source)
                cell.execution_count = None
        return nb, resources


def _metadata(metadata) -> dict:
    """What a page uses of a cell's metadata."""
    old = metadata.get("nbgrader")
    if not isinstance(old, dict) or not GRADE_ID.fullmatch(str(old.get("grade_id"))):
        return {}
    new = {"grade_id": old["grade_id"]}
    new |= {key: old.get(key) is True for key in ("grade", "solution", "task")}
    for key in ("score", "points"):
        if isinstance(old.get(key), int | float):
            new[key] = float(old[key])
    if isinstance(old.get("comment"), str) and old["comment"]:
        new["comment"] = clean_markdown(old["comment"])
    return {"nbgrader": new}


class FeedbackExporter(Exporter):
    """A graded notebook as a page of feedback."""

    output_mimetype = "text/html"

    def _file_extension_default(self):
        return ".html"

    def from_notebook_node(self, nb, resources=None, **named):
        """The page, once the preprocessors have run."""
        nb, resources = super().from_notebook_node(nb, resources, **named)
        return page(nb, resources.get("nbgrader", {})), resources


def page(nb, grades: dict) -> str:
    """The page of a cleaned notebook.

    Args:
        grades: notebook, score, max_score and late_penalty, as nbgrader gives them.
    """
    tests = [
        cell for cell in nb.cells if cell.metadata.get("nbgrader", {}).get("grade")
    ]
    ungraded = {
        cell.metadata.nbgrader["grade_id"]
        for cell in tests
        if any(
            output.get("ename") == "grader error" for output in cell.get("outputs", ())
        )
    }
    return _template().render(
        cells=nb.cells,
        tests=tests,
        ungraded=ungraded,
        name=visible(str(grades.get("notebook", ""))),
        score=float(grades.get("score") or 0),
        of=float(grades.get("max_score") or 0),
        penalty=float(grades.get("late_penalty") or 0),
    )


@functools.cache
def _template():
    environment = pages.environment()
    style = HtmlFormatter(style="default").get_style_defs(".code")
    environment.globals["code_style"] = Markup(style)
    environment.filters["code"] = _code
    environment.filters["markdown"] = _markdown
    environment.filters["plain"] = plain
    environment.filters["points"] = lambda number: str(round(number, 2))
    return environment.get_template("feedback.html.j2")


def _code(source: str) -> Markup:
    formatter = HtmlFormatter(nowrap=True)
    return Markup(highlight(plain(source), PythonLexer(stripnl=False), formatter))


def _markdown(text: str) -> Markup:
    # Cleaned here as well: a page is harmless whatever preprocessors ran.
    return Markup(clean_markdown(text, formula=as_mathml))


def as_mathml(formula: str, display: bool) -> str:
    """A formula as MathML, which browsers show without scripts, styles or fonts; as
    its TeX where that cannot be had."""
    # Sphinx comes along: nobody waits for it who shows no formula.
    from course.site.formulas import FormulaError, to_html

    found = None
    if len(formula) <= LONGEST_FORMULA:
        try:
            found = MATHML.search(to_html(formula, display))
        except FormulaError:
            found = None  # shown as it was written
    mathml = found[0] if found else f"<code>{html.escape(formula)}</code>"
    return f'<span class="math">{mathml}</span>' if display else mathml


# Written for a learner

PREPROCESSORS = [GetGrades, StripHidden, Clean]


def write(part: str, student: str):
    """Write the pages of one learner's submission, as `nbgrader generate_feedback`.

    Raises:
        NbGraderException: what was graded cannot be read, or is not in the gradebook.
    """
    configured = writer.config()
    configured.GenerateFeedback.preprocessors = PREPROCESSORS
    configured.GenerateFeedback.exporter_class = FeedbackExporter
    configured.GenerateFeedback.force = True
    configured.CourseDirectory.assignment_id = part
    configured.CourseDirectory.student_id = glob.escape(student)
    courses = CourseDirectory(config=configured)
    converter = GenerateFeedback(coursedir=courses, config=configured)
    # What it does every time is no news.
    converter.log = logging.getLogger(__name__)
    converter.log.setLevel(logging.ERROR)
    converter.start()
