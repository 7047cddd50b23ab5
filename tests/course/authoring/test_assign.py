"""`course assign`: sources to notebooks, the same bytes each time."""

import json
import subprocess
import sys

import nbformat
import pytest
from click.testing import CliRunner

from course.exercises.assign import assign_command, write_derived
from course.exercises.classroom import Classroom
from course.exercises.source import read
from course.paths import CourseError, course_id

SOURCE = "_build/nbgrader/source/averages/centring.ipynb"
SOLVED = "_build/solved/averages/centring.ipynb"


def assign(*options):
    result = CliRunner().invoke(assign_command, options)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*.ipynb")
    }


def test_writes_the_same_bytes_as_nbgrader(minicourse, tmp_path):
    assign()
    (tmp_path / "room").mkdir()
    room = Classroom(tmp_path / "room", [read(minicourse.lesson)])
    room.nbgrader("generate_assignment", "averages")
    assert files(room.folder / "exercises") == files(minicourse.folder / "exercises")
    before = files(room.folder)
    # Again, over what is there and without --force.
    room.nbgrader("generate_assignment", "averages")
    assert files(room.folder) == before


def test_reruns_write_the_same_bytes(minicourse):
    assign()
    before = files(minicourse.folder)
    assert before.keys() == {minicourse.notebook, SOURCE, SOLVED}
    assign()
    assert files(minicourse.folder) == before
    # Nor does a process with other hashes.
    command = [sys.executable, "-m", "course.cli", "assign", "--check"]
    subprocess.run(command, check=True, env={"PYTHONHASHSEED": "1", "HOME": "/"})


def test_the_introduction_says_what_to_do_where_the_course_is_not(minicourse):
    assign()
    notebook = json.loads(minicourse.read(minicourse.notebook))
    first, second = notebook["cells"][:2]
    assert (first["cell_type"], second["cell_type"]) == ("markdown", "code")
    text = "".join(first["source"])
    assert "No module named" in text
    # The zip that `course release` writes for this part.
    assert f"./{course_id()}-averages.zip" in text
    assert json.dumps(notebook).count("No module named") == 1


def test_the_learners_notebook(minicourse):
    assign()
    notebook = nbformat.reads(minicourse.read(minicourse.notebook), as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata == {
        "kernelspec": {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        },
        "language_info": {"name": "python"},
        "course": {"lesson": "averages/centring", "version": 1},
    }
    cells = {cell.id: cell for cell in notebook.cells}
    source = read(minicourse.lesson)
    assert list(cells) == [cell.id for cell in source.cells]
    answer = cells["to_unit_range"]
    assert answer.source.endswith('"""\n    raise NotImplementedError')
    assert answer.metadata.course == {"difficulty": 1, "minutes": 5, "device": "gpu"}
    assert answer.metadata.nbgrader.solution
    assert not answer.metadata.nbgrader.grade
    for cell in source.cells:
        if cell.kind == "test":
            metadata = cells[cell.id].metadata.nbgrader
            assert (metadata.grade, metadata.locked) == (True, True)
            assert not metadata.solution
            assert (metadata.grade_id, metadata.points) == (cell.id, cell.points)
    assert "**3 points · difficulty 2/5 · about 10 minutes · CPU**" in (
        cells["text-2"].source
    )
    assert cells["text-3"].source.startswith(
        "## 2 · A given range\n\n"
        "**3 points · difficulty 1/5 · about 5 minutes · GPU**\n\nMap every"
    )
    text = minicourse.read(minicourse.notebook)
    for secret in ("HIDDEN", "SOLUTION", "reference", "autograd.grad", "x.amin"):
        assert secret not in text


def test_a_point_is_not_points(minicourse):
    minicourse.edit(minicourse.source, "points=3", "points=1")
    assign()
    assert "**1 point · difficulty 1/5" in minicourse.read(minicourse.notebook)


def test_the_solved_notebook_holds_everything(minicourse):
    write_derived()
    cells = nbformat.reads(minicourse.read(SOLVED), as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    for text in ("return grad - grad.mean", "centring as reference", "float(score)"):
        assert text in code
    minicourse.write("solved.py", f"{code}\nassert score == 3")
    subprocess.run([sys.executable, "solved.py"], check=True)


def test_derived_files_only_below_build(minicourse):
    write_derived()
    assert files(minicourse.folder).keys() == {SOURCE, SOLVED}
    minicourse.write("_build/nbgrader/source/averages/gone.ipynb", "{}")
    minicourse.write("_build/nbgrader/source/averages/notes.txt", "would be released")
    minicourse.write("_build/solved/other/gone.ipynb", "{}")
    write_derived()
    assert files(minicourse.folder).keys() == {SOURCE, SOLVED}
    assert not list(minicourse.folder.rglob("notes.txt"))


def test_check_names_what_is_stale_missing_or_superfluous(minicourse):
    with pytest.raises(CourseError, match=rf"missing: {minicourse.notebook}"):
        assign("--check")
    assert not files(minicourse.folder)
    assign()
    assert "current" in assign("--check")
    notebook = json.loads(minicourse.read(minicourse.notebook))
    notebook["cells"][0]["source"] = ["# Other"]
    minicourse.write(minicourse.notebook, json.dumps(notebook))
    minicourse.write("exercises/averages/data.csv", "")
    minicourse.write("exercises/averages/.ipynb_checkpoints/x.ipynb", "{}")
    before = files(minicourse.folder)
    with pytest.raises(CourseError) as caught:
        assign("--check")
    assert str(caught.value).split("\n")[:2] == [
        f"stale: {minicourse.notebook}",
        "superfluous: exercises/averages/data.csv",
    ]
    assert files(minicourse.folder) == before


def test_what_has_no_source_is_not_deleted_silently(minicourse):
    minicourse.write("exercises/averages/gone.ipynb", "{}")
    with pytest.raises(CourseError, match=r"superfluous: exercises/averages/gone"):
        assign()
    assert (minicourse.folder / minicourse.notebook).is_file()
    assert (minicourse.folder / "exercises/averages/gone.ipynb").is_file()


def test_mistakes_of_all_sources_are_named_at_once(minicourse):
    text = minicourse.read(minicourse.source)
    minicourse.write("solutions/averages/second.py", text.replace("minutes=5", ""))
    minicourse.edit(minicourse.source, "difficulty=2", "difficulty=9")
    minicourse.write("solutions/averages/notes.txt", "")
    with pytest.raises(CourseError) as caught:
        assign()
    said = str(caught.value)
    assert "centring.py:26: difficulty" in said
    assert "second.py:78: minutes" in said
    assert said.count("notes.txt") == 1
    assert not files(minicourse.folder)


def test_further_hidden_lessons_are_noted(minicourse):
    minicourse.write("lib/averages/median.py", '"""Medians."""\n')
    minicourse.edit(
        minicourse.source,
        "language: python}\n",
        "language: python}\n#   hide: [averages/median]\n",
    )
    assert read(minicourse.lesson).hide == ("averages/median",)
    assign()
    notebook = json.loads(minicourse.read(minicourse.notebook))
    assert notebook["metadata"]["course"]["hide"] == ["averages/median"]
