"""The graded notebook: what people look at is short, harmless, and blames nobody."""

import json

import room

from course.grading import jobs, submission, verdicts

LESSON = f"{room.PART}/first"


def graded(classroom, own, notes=()):
    """The graded notebook of a learner who adds cells to a stub, and the verdict's
    notes."""
    exercise = jobs.exercise(LESSON)
    path = classroom.submit("ada")
    node = json.loads(path.read_text())
    node["cells"] += own
    path.write_text(json.dumps(node))
    reading = submission.read(exercise, path)
    verdict = verdicts.unread(exercise, "not attempted", "", list(notes), {})
    return submission.graded(exercise, reading.notebook, verdict)


def text(number, source):
    return {
        "cell_type": "markdown",
        "id": f"mine-{number}",
        "metadata": {},
        "source": source,
    }


def test_long_texts_are_cut_together_and_not_each(classroom):
    notebook = graded(classroom, [text(n, "[" * 9_000) for n in range(100)])
    given = {c["id"] for c in jobs.exercise(LESSON).release["cells"]}
    shown = [c["source"] for c in notebook["cells"] if c["id"] not in given]
    assert len(shown) == 100
    assert shown[-1] == "<div><pre>… cut</pre></div>"


def test_the_courses_own_cells_stay_as_they_are(classroom):
    notebook = graded(classroom, [text(0, "<script>1</script>")])
    given = {c["id"]: c for c in jobs.exercise(LESSON).release["cells"]}
    for cell in notebook["cells"]:
        if cell["id"] in given and cell["cell_type"] == "markdown":
            assert cell["source"] == given[cell["id"]]["source"]
    assert "<script>" not in json.dumps(notebook)


def test_notes_are_shown_but_no_accusation(classroom):
    notes = [
        {"code": "copied", "text": "an answer was there twice"},
        {"code": "flag-import", "text": "imports the answer"},
    ]
    shown = json.dumps(graded(classroom, [], notes))
    assert "an answer was there twice" in shown
    assert "imports the answer" not in shown
