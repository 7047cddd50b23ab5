"""What notebook programs make of a notebook: the answers survive, for the learner's own
check and for grading.

`saved/` holds the small lesson as it came out of the programs themselves: JupyterLab
4.6.6 and Notebook 7.6.5, driven by a browser (an answer typed, a cell added, all run,
saved), and the reader and writer of notebooks in VS Code 1.100 (an answer changed, two
cells added, the kernel's metadata set as its Jupyter extension does). Google Colab
could not be tried: its forms are made here, as its developers and users describe them.
"""

import json
from pathlib import Path

import pytest

from course.exercises.canonical import canonical, lesson_of, read
from course.exercises.plain import Plain
from course.exercises.run import Warm, check_file

SAVED = Path(__file__).parent / "saved"
OWN = "print(double(21))"


def colab(notebook):
    """As from Google Colab, where it keeps what it does not know."""
    notebook["nbformat_minor"] = 0
    notebook["metadata"] |= {"colab": {"provenance": []}, "accelerator": "GPU"}
    notebook["metadata"]["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    install = "%pip install -q --no-deps ./small-part.zip"
    cells = [{"cell_type": "code", "source": install, "metadata": {}, "id": "new1"}]
    cells += notebook["cells"]
    cells.insert(5, {"cell_type": "code", "source": OWN, "metadata": {}, "id": "new2"})
    for cell in cells:
        cell["metadata"] |= {
            "id": cell.pop("id"),
            "executionInfo": {"status": "ok", "elapsed": 12},
            "colab": {"base_uri": "https://localhost:8080/"},
        }
        if cell["source"].startswith("def double"):
            cell["source"] = '#@title { display-mode: "form" }\n' + cell["source"]
            cell["metadata"]["cellView"] = "form"
        cell["source"] = cell["source"].splitlines(keepends=True)
    return notebook | {"cells": cells}


def colab_bare(notebook):
    """As from Google Colab, where everything but the text is lost."""
    notebook = colab(notebook)
    notebook["metadata"] = {"colab": {"name": "first.ipynb"}}
    for number, cell in enumerate(notebook["cells"]):
        cell["metadata"] = {"id": f"aB{number}"}
    return notebook


FORMS = {
    "jupyterlab": "first.ipynb",
    "notebook": "first.ipynb",
    "vscode": "first copy.ipynb",
    "colab": "first.ipynb",
    "colab_bare": "Copy of first.ipynb",
}


@pytest.fixture(params=FORMS)
def saved(request, fill, course_folder):
    """The path of a solved notebook as some program saves it."""
    path = course_folder / FORMS[request.param]
    make = {"colab": colab, "colab_bare": colab_bare}.get(request.param)
    if make:
        text = json.dumps(make(json.loads(json.dumps(fill()))))
        path.write_text(text, encoding="utf-8")
    else:
        path.write_bytes((SAVED / f"{request.param}.ipynb").read_bytes())
    return path


@pytest.fixture(scope="module")
def warm():
    """One process for all checks: what runs a notebook is not what is tested here."""
    with Warm() as processes:
        processes._judge = Plain()
        yield processes


def test_the_answers_are_read_for_grading(saved, release, fill):
    learner = read(saved.read_bytes())
    lesson, _ = lesson_of(learner, saved, ["part/first", "part/second"])
    assert lesson == "part/first"
    notebook, notes = canonical(release, learner)
    solved = {cell.id: cell.source for cell in fill().cells}
    found = {cell["id"]: cell["source"] for cell in notebook["cells"]}
    own = [found.pop(name) for name in list(found) if name not in solved]
    assert OWN in own
    title = '#@title { display-mode: "form" }\n'
    assert {n: s.removeprefix(title) for n, s in found.items()} == solved
    assert {note.code for note in notes} <= {"metadata-lost", "moved"}
    assert notebook["metadata"] == release.metadata


def test_the_learners_check_passes(saved, warm, capsys):
    assert check_file(saved, warm)
    said = capsys.readouterr().out
    assert "visible tests passed: 5 of 5 points" in said
    assert "restored" not in said


@pytest.mark.parametrize("form", [colab, colab_bare])
def test_an_untouched_notebook_from_colab_is_not_attempted(
    form, release, course_folder, warm, capsys
):
    release.cells[3].source = "#@title Double\n" + release.cells[3].source
    path = course_folder / "first.ipynb"
    path.write_text(json.dumps(form(json.loads(json.dumps(release)))))
    assert not check_file(path, warm)
    assert capsys.readouterr().out.count("not attempted") == 3
