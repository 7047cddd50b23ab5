"""A learner's notebook, rebuilt: whatever became of it, what counts is found."""

import copy
import json
import os
from pathlib import PurePath

import nbformat
import pytest

from course.exercises import canonical as module
from course.exercises.canonical import (
    canonical,
    defined,
    is_stub,
    lesson_of,
    load,
    read,
)
from course.paths import CourseError


def own(source, kind="code"):
    """A cell of the learner's own."""
    return getattr(nbformat.v4, f"new_{kind}_cell")(source)


def sources(notebook):
    """The sources of a notebook by cell id."""
    return {cell["id"]: cell["source"] for cell in notebook["cells"]}


def codes(notes):
    """The reason codes of notes."""
    return [note.code for note in notes]


def strip(notebook, *, ids=True):
    """What Colab, Kaggle or a round trip through text leaves of the metadata."""
    for number, cell in enumerate(notebook.cells):
        cell.metadata.clear()
        if ids:
            cell.id = f"random-{number}"
    return notebook


def index(notebook, name):
    """Where the cell `name` is."""
    return next(n for n, cell in enumerate(notebook.cells) if cell.id == name)


# What is kept, and what is not


def test_the_result_is_a_notebook_and_survives_a_file(release, fill, tmp_path):
    learner = fill()
    learner.cells.insert(3, own("x = 1"))
    learner.cells.insert(3, own("words", "markdown"))
    nbformat.write(learner, tmp_path / "a.ipynb")
    notebook, _ = canonical(release, load(tmp_path / "a.ipynb"))
    nbformat.validate(notebook)
    assert sources(notebook)["own-2"] == "x = 1"
    assert load(tmp_path / "a.ipynb")["metadata"] == release.metadata


def test_an_untouched_notebook_comes_back_as_the_release(release):
    assert canonical(release, copy.deepcopy(release)) == (release, [])


def test_answers_are_kept(release, fill):
    notebook, notes = canonical(release, fill())
    assert notebook == fill()
    assert notes == []


def test_neither_argument_is_changed(release, fill):
    learner = fill()
    learner.cells.insert(3, own("x = 1"))
    before = copy.deepcopy((release, learner))
    canonical(release, learner)
    assert (release, learner) == before


def test_the_result_depends_on_the_sources_only(release, fill):
    def once():
        learner = fill()
        learner.cells.insert(3, own("x = 1"))
        return canonical(release, learner)

    assert once() == once()


def test_points_tests_flags_tags_and_kernel_are_the_releases(release, fill):
    learner = fill()
    learner.metadata.kernelspec = {"name": "evil", "display_name": "E"}
    learner.metadata.language_info = {"name": "R"}
    for cell in learner.cells:
        cell.metadata.tags = ["skip-execution"]
        for key, value in {
            "points": 100,
            "grade": False,
            "solution": True,
            "locked": False,
            "schema_version": 99,
        }.items():
            if "nbgrader" in cell.metadata:
                cell.metadata.nbgrader[key] = value
    learner.cells[index(learner, "test_double")].source = "pass"
    learner.cells[index(learner, "code-1")].source += "\nmine = 3"
    notebook, notes = canonical(release, learner)
    assert notebook == fill()
    assert codes(notes) == ["given-restored", "test-restored"]


def test_an_answer_turned_into_text_still_counts(release, fill):
    learner = fill()
    place = index(learner, "double")
    learner.cells[place].cell_type = "markdown"
    assert canonical(release, learner)[0] == fill()


# Lost metadata


def test_answers_are_found_by_cell_id_when_the_metadata_is_gone(release, fill):
    notebook, notes = canonical(release, strip(fill(), ids=False))
    assert notebook == fill()
    assert codes(notes) == ["metadata-lost"]


def test_answers_are_found_by_name_when_the_ids_are_gone_too(release, fill):
    notebook, notes = canonical(release, strip(fill()))
    assert notebook == fill()
    assert codes(notes) == ["metadata-lost", "moved", "moved", "moved"]


def test_a_stub_without_metadata_is_a_stub(release):
    notebook, notes = canonical(release, strip(copy.deepcopy(release)))
    assert notebook == release
    assert codes(notes) == ["metadata-lost"]


@pytest.mark.parametrize("value", [7, None, [], "x", {"grade_id": ["double"]}])
def test_odd_metadata_is_no_metadata(release, fill, value):
    learner = fill()
    for cell in learner.cells:
        cell.metadata.nbgrader = value
    learner.metadata.course = value
    assert canonical(release, learner)[0] == fill()


# Cells deleted, doubled, moved


def test_a_deleted_test_comes_back(release, fill):
    learner = fill()
    del learner.cells[index(learner, "test_double")]
    assert canonical(release, learner) == (fill(), [])


def test_a_deleted_answer_is_a_stub_with_a_note(release, fill):
    learner = fill()
    del learner.cells[index(learner, "triple")]
    notebook, notes = canonical(release, learner)
    stub = sources(release)["triple"]
    assert notebook == fill(triple=stub)
    assert codes(notes) == ["missing"]


def test_everything_deleted_is_the_release(release):
    empty = nbformat.v4.new_notebook()
    notebook, notes = canonical(release, empty)
    assert notebook == release
    assert codes(notes) == ["metadata-lost", "missing", "missing", "missing"]


def test_cells_in_another_order_are_put_back(release, fill):
    learner = fill()
    learner.cells.reverse()
    assert canonical(release, learner)[0] == fill()


@pytest.mark.parametrize("order", [1, -1])
def test_of_an_answer_and_its_stub_the_answer_counts(release, fill, order):
    learner = fill()
    place = index(learner, "double")
    stub = copy.deepcopy(release.cells[place])
    stub.id = "copied"
    learner.cells[place : place + 1] = [learner.cells[place], stub][::order]
    assert canonical(release, learner) == (fill(), [])


def test_of_two_answers_the_last_counts_with_a_note(release, fill):
    learner = fill()
    place = index(learner, "double")
    second = copy.deepcopy(learner.cells[place])
    second.id, second.source = "copied", "def double(x):\n    return x + x"
    learner.cells.append(second)
    notebook, notes = canonical(release, learner)
    assert notebook == fill(double=second.source)
    assert codes(notes) == ["several"]


def test_own_cells_stay_behind_the_cell_they_followed(release, fill):
    learner = fill()
    learner.cells.insert(0, own("first = 1"))
    place = index(learner, "test_double")
    learner.cells[place + 1 : place + 1] = [own("my words", "markdown"), own("x = 1")]
    learner.cells.insert(place, own("  \n"))
    notebook, notes = canonical(release, learner)
    names = [cell["id"] for cell in notebook["cells"]]
    assert names[:2] == ["own-1", "text-1"]
    after = names.index("test_double") + 1
    assert names[after : after + 3] == ["own-2", "own-3", "test_double_twice"]
    assert sources(notebook)["own-2"] == "my words"
    assert len(names) == len(release.cells) + 3
    assert notes == []


def test_an_answer_written_into_a_new_cell_is_found(release, fill):
    learner = fill(double=sources(release)["double"])
    place = index(learner, "double") + 1
    learner.cells.insert(place, own("def double(x):\n    return 2 * x"))
    notebook, notes = canonical(release, learner)
    assert notebook == fill()
    assert codes(notes) == ["moved"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_split_answer_keeps_both_pieces_in_order(release, fill, order):
    learner = fill(double="def double(x):\n    return helper(x)")
    place = index(learner, "double")
    piece = copy.deepcopy(learner.cells[place])
    piece.id, piece.source = "piece", "def helper(x):\n    return 2 * x"
    learner.cells[place : place + 1] = [piece, learner.cells[place]][::order]
    notebook, _ = canonical(release, learner)
    assert sources(notebook)["own-1"] == piece.source
    assert sources(notebook)["double"].endswith("helper(x)")
    expected = ["own-1", "double"][::order]
    assert [name for name in sources(notebook) if name in expected] == expected


def test_another_attempt_lower_down_does_not_replace_an_answer(release, fill):
    learner = fill()
    learner.cells.append(own("def double(x):\n    return 'an experiment'"))
    notebook, _ = canonical(release, learner)
    assert sources(notebook)["double"] == sources(fill())["double"]


# Identity


def test_another_exercises_notebook_is_refused_in_words(release, fill):
    learner = fill()
    learner.metadata.course.lesson = "part/second"
    with pytest.raises(CourseError, match="'part/second', not of 'part/first'"):
        canonical(release, learner)


LESSONS = ["other/second", "part/first", "part/first_1", "part/second"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("part/first.ipynb", []),
        ("first (1).ipynb", []),
        ("first-Copy1.ipynb", []),
        ("first_2.ipynb", []),
        ("homework.ipynb", ["renamed"]),
        ("second.ipynb", ["renamed"]),
    ],
)
def test_what_is_written_in_the_notebook_decides(release, name, expected):
    lesson, notes = lesson_of(release, PurePath(name), LESSONS)
    assert (lesson, codes(notes)) == ("part/first", expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("first.ipynb", "part/first"),
        ("first_1.ipynb", "part/first_1"),
        ("first (1).ipynb", "part/first"),
        ("part/second-Copy2.ipynb", "part/second"),
        ("first copy.ipynb", "part/first"),
        ("first copy 2.ipynb", "part/first"),
        ("first - Copy (2).ipynb", "part/first"),
        ("Copy of first.ipynb", "part/first"),
        ("Copy of first (1).ipynb", "part/first"),
        ("other/second.ipynb", "other/second"),
    ],
)
def test_without_identity_the_file_name_decides_with_a_note(release, name, expected):
    del release.metadata["course"]
    lesson, notes = lesson_of(release, PurePath(name), LESSONS)
    assert (lesson, codes(notes)) == (expected, ["no-identity"])


@pytest.mark.parametrize("name", ["second.ipynb", "homework.ipynb", "1.ipynb"])
def test_no_guess_is_made_between_lessons(release, name):
    del release.metadata["course"]
    with pytest.raises(CourseError, match="save it as"):
        lesson_of(release, PurePath(name), LESSONS)


def test_a_notebook_of_another_course_is_refused(release):
    with pytest.raises(CourseError, match="not in this course"):
        lesson_of(release, PurePath("first.ipynb"), ["a/b"])


# Reading


def data(**changes):
    """A small notebook as bytes, with some fields changed."""
    cell = {"cell_type": "code", "source": "1", "metadata": {}, "id": "a"}
    cell |= {"outputs": [], "execution_count": None}
    fields = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}
    for key, value in changes.items():
        (fields if key in fields else cell)[key] = value
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (data()[:60], "not valid JSON at line 1, column"),
        (b"{\n  oops", "not valid JSON at line 2, column 3"),
        (data().decode().encode("utf-16"), "UTF-16"),
        (data().decode().encode("utf-16-le"), "UTF-16"),
        (b"\xef\xbb\xbf" + data(), "byte order mark"),
        (b'{"a":\n"\xff"}', "line 2 is not UTF-8"),
        (data(metadata={"x": float("nan")}), "NaN"),
        (b"9" * 5000, "not valid JSON"),
        (b"[" * 10**5, "nested too deeply"),
        (b'{"cells":' * 10**5, "nested too deeply"),
        (data(metadata=[]), "its metadata are not an object"),
        (b"[]", "not a notebook"),
        (b"null", "not a notebook"),
        (data(nbformat=2), "not a notebook of format 4"),
        (data(nbformat=5), "not a notebook of format 4"),
        (data(nbformat="4"), "not a notebook of format 4"),
        (data(nbformat=[]), "not a notebook of format 4"),
        (data(cells={}), "no list of cells"),
        (data(cells=[7]), "cell 1 is not an object"),
        (data(cells=[{}]), "cell 1"),
        (data(cells=[{}] * 10**5), "100000 cells are too many"),
        (data(source=7), "cell 1 has no source"),
        (data(source=["a", 7]), "cell 1 has no source"),
        (data(cell_type="evil"), "cell 1 is neither code nor text"),
        (data(cell_type=["code"]), "cell 1 is neither code nor text"),
        (data(source="\ud800"), "cell 1 holds half a character"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_place(content, message):
    with pytest.raises(CourseError, match=message):
        read(content)


def test_a_file_too_large_is_not_even_read(tmp_path):
    path = tmp_path / "big.ipynb"
    path.touch()
    os.truncate(path, 500 * 2**20)
    with pytest.raises(CourseError, match=r"big\.ipynb: 500 MiB is too large"):
        load(path)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", "."):
        with pytest.raises(CourseError, match="is not a file"):
            load(tmp_path / name)
    with pytest.raises(CourseError, match="No such file"):
        load(tmp_path / "none.ipynb")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"id": None},
        {"id": "not an id"},
        {"source": ["1"]},
        {"nbformat_minor": 0},
        {"nbformat_minor": "odd"},
        {"outputs": [{"output_type": "nonsense"}]},
        {"outputs": None},
    ],
)
def test_what_does_not_matter_is_not_refused(changes):
    assert read(data(**changes))["cells"][0]["source"] == "1"


def test_doubled_ids_are_told_apart():
    cell = json.loads(data())["cells"][0]
    notebook = read(data(cells=[cell, cell]))
    assert list(sources(notebook)) == ["a", "unnamed-2"]


def test_format_3_is_upgraded():
    cell = {"cell_type": "code", "input": "1", "metadata": {}, "outputs": []}
    cell |= {"language": "python", "collapsed": False}
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}}
    old["worksheets"] = [{"cells": [cell], "metadata": {}}] * 2
    notebook = read(json.dumps(old).encode())
    assert sources(notebook) == {"unnamed-1": "1", "unnamed-2": "1"}
    for worksheets in (None, [7], [{}], [{"cells": 7}]):
        old["worksheets"] = worksheets
        with pytest.raises(CourseError, match="no list of cells"):
            read(json.dumps(old).encode())


# What a release says


def test_tasks_have_their_titles_tests_and_points(release):
    tasks = module.tasks(release)
    assert [(t.name, t.title, t.points) for t in tasks] == [
        ("double", "Doubling", 3),
        ("triple", "Tripling", 1),
        ("Tally", "A tally", 1),
    ]
    assert tasks[0].tests == {"test_double": 1, "test_double_twice": 2}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def f(x):\n    y = 1\nclass A: pass", {"f", "A"}),
        ("async def f(): broken(", {"f"}),
        ("a = 1\nb: int = 2\nc == 3\nif a:\n    d = 4", {"a", "b"}),
        ("", set()),
    ],
)
def test_names_are_read_even_from_what_does_not_parse(source, names):
    assert defined(source) == names


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(x):\n    raise NotImplementedError", True),
        ("def f(x):  \n    raise NotImplementedError\n\n", True),
        ("# later\ndef f( x ):\n    raise NotImplementedError  # todo", True),
        ("", True),
        ("# nothing", True),
        ("def f(x):\n    return", False),
        ("def f(x:", False),
        ("\0", False),
    ],
)
def test_only_code_makes_an_attempt(source, expected):
    assert is_stub(source, "def f(x):\n    raise NotImplementedError") is expected
