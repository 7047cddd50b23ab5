"""`course solve`: edits are carried over, and never lost."""

import json
import sys

import nbformat
import pytest
from click.testing import CliRunner

from course.exercises import solve
from course.exercises.solve import Pair, solve_command
from course.exercises.source import read
from course.paths import CourseError


@pytest.fixture
def pair(minicourse):
    pair = Pair(minicourse.lesson)
    assert pair.sync() == pair.notebook
    return pair


def edit_notebook(pair, old="grad - grad.mean", new="grad  -  grad.mean"):
    """Save the notebook as JupyterLab would: sorted keys, outputs, keys of its own."""
    notebook = nbformat.reads(pair.notebook.read_text("utf-8"), as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace(old, new)
        cell.metadata["trusted"] = True
        if cell.cell_type == "code":
            cell.execution_count = 1
            cell.outputs = [nbformat.v4.new_output("stream", text="hello")]
    notebook.metadata["language_info"] = {"name": "python", "version": "3.11"}
    pair.notebook.write_text(
        json.dumps(notebook, sort_keys=True, indent=1, ensure_ascii=False), "utf-8"
    )


def test_a_saved_edit_reaches_the_source_and_nothing_else_changes(minicourse, pair):
    before = minicourse.read(minicourse.source)
    edit_notebook(pair)
    assert pair.sync() == pair.source
    after = minicourse.read(minicourse.source)
    assert after == before.replace("grad - grad.mean", "grad  -  grad.mean")
    read(minicourse.lesson)
    assert pair.sync() is None


def test_running_cells_changes_nothing(minicourse, pair):
    before = minicourse.read(minicourse.source)
    edit_notebook(pair, new="grad - grad.mean")
    assert pair.sync() is None
    assert minicourse.read(minicourse.source) == before


def test_an_edited_source_makes_the_notebook_again(minicourse, pair):
    minicourse.edit(minicourse.source, "minutes=10", "minutes=12")
    assert pair.sync() == pair.notebook
    assert '"minutes": 12' in pair.notebook.read_text("utf-8")
    assert pair.sync() is None


def test_a_saved_edit_survives_a_session_that_was_killed(minicourse, pair):
    edit_notebook(pair)
    assert Pair(minicourse.lesson).sync() == pair.source
    assert "grad  -  grad.mean" in minicourse.read(minicourse.source)


def test_edits_of_both_sides_are_refused_and_kept(minicourse, pair):
    minicourse.edit(minicourse.source, "minutes=10", "minutes=12")
    edit_notebook(pair)
    source, notebook = pair.source.read_bytes(), pair.notebook.read_bytes()
    for _ in range(2):
        with pytest.raises(CourseError, match="were both edited"):
            pair.sync()
    assert (pair.source.read_bytes(), pair.notebook.read_bytes()) == (source, notebook)
    pair.notebook.unlink()
    assert pair.sync() == pair.notebook


def test_a_lost_record_loses_no_edit(pair):
    edit_notebook(pair)
    pair.record.unlink()
    with pytest.raises(CourseError, match="were both edited"):
        pair.sync()


def test_the_same_edit_on_both_sides_is_no_conflict(minicourse, pair):
    minicourse.edit(minicourse.source, "grad - grad.mean", "grad  -  grad.mean")
    edit_notebook(pair)
    assert pair.sync() == pair.notebook


def test_the_command_syncs_while_and_after_jupyterlab_runs(minicourse, monkeypatch):
    """With a program in JupyterLab's place that saves the notebook and ends."""
    program = (
        "import pathlib, sys; path = pathlib.Path(sys.argv[-1]); "
        "path.write_text(path.read_text().replace('grad - grad', 'grad  -  grad'))"
    )
    popen = solve.subprocess.Popen
    monkeypatch.setattr(
        solve.subprocess,
        "Popen",
        lambda command: popen([sys.executable, "-c", program, command[-1]]),
    )
    result = CliRunner().invoke(solve_command, [minicourse.lesson])
    assert result.exit_code == 0
    assert "grad  -  grad.mean" in minicourse.read(minicourse.source)
    assert "wrote solutions/averages/centring.py" in result.output


def test_an_unknown_lesson_is_named(minicourse):
    result = CliRunner().invoke(solve_command, ["averages/other"])
    assert "there are: averages/centring" in str(result.exception)
