"""A page of feedback shows points and words, runs nothing and loads nothing."""

import html
import http.server
import re
import shutil
import subprocess
import threading
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from nbconvert.exporters import HTMLExporter

from course import paths
from course.exercises import proof
from course.exercises.classroom import Classroom
from course.exercises.regions import HIDDEN
from course.exercises.source import read
from course.exercises.start import release_path
from course.grading.feedback import (
    FAILED,
    Clean,
    FeedbackExporter,
    StripHidden,
    as_mathml,
    visible_part,
)
from course.grading.returns import feedback_command
from course.paths import CourseError

V4 = nbformat.v4
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
LESSON = "positional_encoding/rotary"
PART = "positional_encoding"
GRADES = {"notebook": "first", "score": 1.0, "max_score": 3.0, "late_penalty": 0}


def graded(source, *outputs, count=None, **nbgrader):
    cell = V4.new_code_cell(source, outputs=list(outputs), execution_count=count)
    cell.metadata.nbgrader = {
        **{"grade_id": "test_double", "grade": True, "solution": False},
        **{"score": 1.0, "points": 3.0, **nbgrader},
    }
    return cell


def page_of(*cells, **grades):
    exporter = FeedbackExporter()
    for each in (StripHidden, Clean):
        exporter.register_preprocessor(each, enabled=True)
    notebook = V4.new_notebook(cells=list(cells))
    text, _ = exporter.from_notebook_node(notebook, {"nbgrader": GRADES | grades})
    return text


def words(text):
    return html.unescape(re.sub(r"<[^>]+>", "", text))


# Hidden tests

HIDING = """assert double(1) == 2, "twice 1"
### BEGIN HIDDEN TESTS
canary = reference.double(21)
assert double(21) == canary, "canary"
### END HIDDEN TESTS
assert True"""


def test_hidden_regions_go_by_nbgraders_rule():
    assert visible_part(HIDING) == 'assert double(1) == 2, "twice 1"\nassert True'
    assert visible_part("a\n  # BEGIN HIDDEN TESTS x\nb") == "a"
    assert visible_part("a\n### BEGIN HIDDEN TESTS ### END HIDDEN TESTS\nb") == "a\nb"


def test_what_a_kernel_printed_of_a_hidden_test_goes():
    error = V4.new_output(
        "error",
        ename="Wrong",
        evalue="canary: expected 42",
        traceback=["----> 4 assert double(21) == canary"],
    )
    stream = V4.new_output("stream", text="double was called with canary 21")
    text = page_of(graded(HIDING, stream, error, count=3))
    assert "canary" not in text
    assert f"Wrong: {FAILED}" in words(text)


def test_a_visible_hint_stays_without_what_follows_it():
    error = V4.new_output(
        "error", ename="Wrong", evalue="twice 1\ncanary", traceback=["canary"]
    )
    text = page_of(graded(HIDING, error, count=3))
    assert "Wrong: twice 1" in words(text)
    assert "canary" not in text


def test_the_judges_words_stay():
    error = V4.new_output(
        "error", ename="wrong", evalue="got (4,)", traceback=["wrong: got (4,) <b>"]
    )
    stream = V4.new_output("stream", text="half of it is right")
    text = page_of(graded(HIDING, stream, error))
    assert "wrong: got (4,) <b>" in words(text)
    assert "half of it is right" in words(text)
    assert "canary" not in text


def test_an_instructor_may_reveal_them():
    exporter = FeedbackExporter()
    exporter.register_preprocessor(StripHidden(enabled=False))
    exporter.register_preprocessor(Clean, enabled=True)
    notebook = V4.new_notebook(cells=[graded(HIDING)])
    text, _ = exporter.from_notebook_node(notebook, {"nbgrader": GRADES})
    assert "canary" in text


# The page


def test_points_comments_and_lateness_are_shown():
    answer = V4.new_code_cell("x = 1")
    answer.metadata.nbgrader = {
        **{"grade_id": "double", "solution": True, "grade": False},
        "comment": "Well *done*\n\n<script>",
    }
    text = page_of(answer, graded("assert x"), late_penalty=0.5)
    assert "Score: 1.0 / 3.0 (late: −0.5)" in words(text)
    assert "test_double" in words(text)
    assert "Well <em>done</em>" in text
    assert "<script" not in text


def test_formulas_are_mathml_and_every_one_of_the_course_can_be():
    cells = nbformat.read(release_path(LESSON), as_version=4).cells
    source = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    text = page_of(V4.new_markdown_cell(source))
    count = len(re.findall(r"\$\$.*?\$\$|\$[^$]+\$", source, re.DOTALL))
    assert count > 5
    assert text.count("<math") == count
    assert "$" not in text
    assert text.count("<details>") == source.count("<details>") > 0


def test_a_formula_that_is_none_is_shown_as_it_was_written():
    assert as_mathml(r"\nosuch<b>", False) == r"<code>\nosuch&lt;b&gt;</code>"
    assert as_mathml("x" * 5000, False).startswith("<code>xxx")
    assert "<script" not in as_mathml(r"\text{</math><script>alert(1)</script>}", True)
    assert "href=" not in as_mathml(r"\href{javascript:alert(1)}{x}", True)


def test_code_that_reads_otherwise_than_it_runs_is_shown_as_it_is():
    text = page_of(V4.new_code_cell("x = 1  # \u202e } \u2066 if admin"))
    assert "\u202e" not in text
    assert "⟨U+202E⟩" in text


def test_what_the_grader_failed_at_has_no_points_yet():
    error = V4.new_output("error", ename="grader error", evalue="x", traceback=["x"])
    text = words(page_of(graded("x", error)))
    assert "Score: 1.0 / 3.0, not all of it graded yet" in text
    assert text.count("ot graded yet") == 2


# The command, on what the judge graded


@pytest.fixture
def judged(classroom, judges, measured):
    from course.grading import grade

    classroom.submit("right", double="passed", triple="passed")
    classroom.submit("half", double="half", triple="wrong")
    classroom.submit("a+b(c).d", double="crashed", triple="timed out")
    classroom.hand_in("cut", "first.ipynb", '{"cells": [{')
    grade.run("arithmetic", [], judges, "base")
    return classroom


def feedback(room, student, lesson="first"):
    path = room.folder / f"grading/feedback/{student}/arithmetic/{lesson}.html"
    return path.read_text("utf-8")


def test_the_command_writes_the_judges_words(judged):
    run = CliRunner().invoke(feedback_command, ["arithmetic"])
    assert run.exit_code == 0, run.output
    assert "feedback for 4 learners" in run.output
    assert "Score: 5.0 / 5.0" in words(feedback(judged, "right"))
    assert "wrong: " in words(feedback(judged, "half"))
    assert "crashed" in words(feedback(judged, "a+b(c).d"))
    assert "not gradable: " in words(feedback(judged, "cut"))
    for student in ("right", "half", "a+b(c).d", "cut"):
        assert "HIDDEN" not in feedback(judged, student)
        assert POLICY in feedback(judged, student)


def test_the_command_renews_one_learners_pages(judged):
    CliRunner().invoke(feedback_command, ["arithmetic"])
    judged.manual("half", "test_triple", 1.5)
    before = feedback(judged, "right")
    run = CliRunner().invoke(feedback_command, ["arithmetic", "--student", "half"])
    assert run.exit_code == 0, run.output
    assert "Score: 1.5 / 2.0" in words(feedback(judged, "half"))
    assert feedback(judged, "right") == before


def test_what_is_not_graded_has_no_feedback(judged):
    run = CliRunner().invoke(feedback_command, ["arithmetic", "--student", "nobody"])
    assert isinstance(run.exception, CourseError)
    assert "nothing of nobody is graded" in str(run.exception)
    run = CliRunner().invoke(feedback_command, ["none"])
    assert "run `course grade none`" in str(run.exception)


# In a browser

BAIT = """
<script>document.title = "caught"; fetch("{url}/script")</script>
<img src="{url}/img" onerror="document.title = 'caught'">
<svg onload="document.title = 'caught'"><image href="{url}/svg"></image></svg>
<details open ontoggle="document.title = 'caught'"><summary>x</summary></details>
<input autofocus onfocus="document.title = 'caught'">
<iframe src="{url}/iframe"></iframe>
<iframe srcdoc="<script>parent.document.title='caught'</script>"></iframe>
<object data="{url}/object"></object><embed src="{url}/embed">
<link rel="stylesheet" href="{url}/link"><link rel="prefetch" href="{url}/prefetch">
<style>@import "{url}/import"; body {{ background: url({url}/background) }}</style>
<p style="background: url({url}/style)">x</p>
<video src="{url}/video" poster="{url}/poster"></video><audio src="{url}/audio"></audio>
<base href="{url}/"><img src="based">
<math><mtext><table><mglyph><style><img src=x onerror="document.title='caught'">
"""
MARKDOWN = """
[click](javascript:document.title='caught') ![x]({url}/markdown-image)
![x](data:image/svg+xml,%3Csvg%20onload=alert(1)%3E)
<meta http-equiv="refresh" content="0; url={url}/refresh">
$\\href{{javascript:document.title='caught'}}{{x}}$ <{url}/autolink>
"""


@pytest.fixture(scope="module")
def server():
    """A web server that notes what is asked of it."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.url = f"http://127.0.0.1:{server.server_port}"
        server.asked = asked
        yield server
        server.shutdown()


@pytest.fixture
def visit(tmp_path, server):
    """Open a page from disk: whether a script ran, and what was asked of the server."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed; `course doctor` says how")

    def visit(text: str) -> tuple[bool, set[str]]:
        page = tmp_path / "page.html"
        page.write_text(text, "utf-8")
        server.asked.clear()
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        options += ["--disable-background-networking", "--disable-component-update"]
        options += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
        options += ["--virtual-time-budget=4000"]
        run = subprocess.run(
            [program, *options, page.as_uri()], capture_output=True, text=True
        )
        assert "</html>" in run.stdout
        return "<title>caught" in run.stdout, set(server.asked)

    return visit


@pytest.fixture
def hostile(server):
    """A graded notebook with every attempt in every place."""
    bait, text = BAIT.format(url=server.url), MARKDOWN.format(url=server.url)
    kinds = [
        *("text/html", "text/markdown", "text/latex", "text/plain", "image/svg+xml"),
        *("application/javascript", "image/png", "application/pdf", "text/vnd.mermaid"),
        "application/vnd.jupyter.widget-view+json",
    ]
    outputs = [V4.new_output("display_data", {kind: bait}) for kind in kinds]
    outputs += [
        V4.new_output("execute_result", dict.fromkeys(kinds, bait)),
        V4.new_output("stream", text=bait),
        V4.new_output("error", ename=bait, evalue=bait, traceback=[bait, text]),
    ]
    for output in outputs[: len(kinds) + 1]:
        output.metadata = {"isolated": True, "image/png": {"width": bait}}
    code = V4.new_code_cell(bait, outputs=outputs)
    code.metadata.tags = [bait]
    markdown = V4.new_markdown_cell(bait + text)
    split = V4.new_markdown_cell("\n\n".join((bait + text).split("\n")))
    markdown.attachments = {"a": {"image/svg+xml": bait, "text/html": bait}}
    raw = V4.new_raw_cell(bait)
    raw.metadata.raw_mimetype = raw.metadata.format = "text/html"
    answer = V4.new_code_cell("x")
    answer.metadata.nbgrader = {
        **{"grade_id": "double", "solution": True, "grade": False},
        "comment": bait + text,
    }
    forged = graded("x", grade_id=f'"><img src={server.url}/id>')
    cells = [code, markdown, split, raw, answer, forged, graded("y", *outputs)]
    notebook = V4.new_notebook(cells=cells)
    notebook.metadata.title = bait
    notebook.metadata.language_info = {"name": bait, "pygments_lexer": bait}
    state = {"application/vnd.jupyter.widget-state+json": {"state": bait}}
    notebook.metadata.widgets = state
    for cell, name in zip(notebook.cells, "abcdefg"):
        cell.id = name
    return notebook


def test_the_bait_is_good(visit, server):
    ran, asked = visit(f"<html><body>{BAIT.format(url=server.url)}</body></html>")
    assert ran
    assert {"/script", "/img", "/svg", "/iframe", "/link", "/import"} <= asked


def test_nothing_runs_and_nothing_is_asked_for(visit, hostile, server):
    text = page_of(*hostile.cells, notebook=BAIT.format(url=server.url))
    assert f'http-equiv="Content-Security-Policy" content="{POLICY}"' in text
    assert visit(text) == (False, set())
    # Without its policy too: what is shown is clean by itself.
    assert visit(text.replace(POLICY, "img-src * data:")) == (False, set())


def test_the_policy_alone_stops_it_too(visit, server):
    page = page_of(V4.new_markdown_cell("HERE"))
    text = page.replace("HERE", BAIT.format(url=server.url))
    assert visit(text) == (False, set())


def test_nbgraders_own_template_shows_it_harmlessly(visit, hostile, server):
    """As formgrader does, whose pages run scripts: none of them is the learner's."""
    import nbgrader

    templates = Path(nbgrader.__file__).parent / "server_extensions/formgrader"
    styles = "static/node_modules/bootstrap/dist/css"
    exporter = HTMLExporter(
        template_name="feedback",
        extra_template_basedirs=[str(templates / "templates")],
        extra_template_paths=[str(templates / styles)],
    )
    exporter.register_preprocessor(Clean, enabled=True)
    names = {**GRADES, "notebook": "first"}
    resources = {"nbgrader": names, "inlining": {"css": []}}
    text, _ = exporter.from_notebook_node(hostile, resources)
    theirs = re.findall(r"<script.*?</script>", text, re.DOTALL)
    assert not any("caught" in script for script in theirs)
    assert visit(text) == (False, set())


# nbgrader's own command, on a notebook it graded


@pytest.fixture(scope="module")
def source():
    paths.root.cache_clear()  # the small course of the tests before is gone
    return read(LESSON)


@pytest.fixture(scope="module")
def pages(source, tmp_path_factory):
    """The pages of a right and a wrong notebook."""
    room = Classroom(tmp_path_factory.mktemp("feedback"), [source])
    room.nbgrader("generate_assignment", PART)
    right, *_ = proof.implied(source)
    wrong = next(b for b in proof.written(source) if b.name.startswith("wrong"))
    room.submit("right", LESSON, proof.submission(source, right))
    room.submit("wrong", LESSON, proof.submission(source, wrong))
    room.nbgrader("autograde", PART)
    room.nbgrader("generate_feedback", PART)
    return {
        name: (room.folder / f"grading/feedback/{name}/{LESSON}.html").read_text(
            "utf-8"
        )
        for name in ("right", "wrong")
    }


def test_nbgraders_command_writes_the_page(pages, source):
    total = float(sum(task.points for task in source.tasks))
    assert f"Score: {total} / {total}" in words(pages["right"])
    assert f"Score: {total} / {total}" not in words(pages["wrong"])
    for text in pages.values():
        assert POLICY in text
        for cell in source.cells:
            if cell.kind == "test":
                assert f'id="{cell.id}"' in text
        for task in source.tasks:
            assert task.title in words(text)


def test_no_line_of_a_hidden_test_is_in_a_page(pages, source):
    hidden = set()
    for cell in source.cells:
        lines = cell.source.split("\n")
        if HIDDEN[0] in lines:
            hidden |= set(lines[lines.index(HIDDEN[0]) : lines.index(HIDDEN[1])])
    shown = {line.strip() for cell in source.cells for line in visible_lines(cell)}
    secret = [line.strip() for line in hidden if len(line.strip()) > 12]
    secret = [line for line in secret if line not in shown]
    assert len(secret) > 20
    for text in pages.values():
        lines = {line.strip() for line in words(text).split("\n")}
        assert not lines.intersection(secret)


def visible_lines(cell):
    return visible_part(cell.source).split("\n")


def test_the_page_asks_for_nothing(pages, visit):
    for text in pages.values():
        assert not re.search(r"""(src|href)=["'](?!#|data:image/png)""", text)
        assert visit(text) == (False, set())
