"""A course of one small lesson, `part/first`, that imports nothing slow."""

import copy

import nbformat
import pytest

from course import paths


def _cell(kind, name, source, **nbgrader):
    cell = getattr(nbformat.v4, f"new_{kind}_cell")(source, id=name)
    if nbgrader:
        cell.metadata.nbgrader = {
            "schema_version": 3,
            "grade_id": name,
            "cell_type": "code",
            "solution": False,
            "grade": False,
            "locked": False,
            "task": False,
            **nbgrader,
        }
    return cell


def _answer(name, source):
    return _cell("code", name, source, solution=True)


def _test(name, points, source):
    return _cell("code", name, source, grade=True, locked=True, points=points)


STUB = "def {0}(x):\n    raise NotImplementedError"
TALLY = "class Tally:\n    def add(self, x):\n        raise NotImplementedError"


@pytest.fixture
def release():
    """The released notebook of `part/first`: three tasks, five points."""
    cells = [
        _cell("markdown", "text-1", "# A first lesson"),
        _cell("code", "code-1", "import math\n\nrate = 2"),
        _cell("markdown", "text-2", "## 1 · Doubling\n\nTwice as much."),
        _answer("double", STUB.format("double")),
        _test("test_double", 1, "x = 2\nassert double(x) == 4, 'twice 2 is 4'"),
        _test("test_double_twice", 2, "assert double(double(1)) == 4, 'twice twice 1'"),
        _cell("markdown", "text-3", "## 2 · Tripling"),
        _answer("triple", STUB.format("triple")),
        _test("test_triple", 1, "assert triple(math.pi) == 3 * math.pi, 'thrice'"),
        _cell("markdown", "text-4", "## 3 · A tally"),
        _answer("Tally", TALLY),
        _test("test_Tally", 1, "assert Tally().add(rate) == 2, 'a sum'"),
    ]
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "P", "language": "python"},
        "course": {"lesson": "part/first", "version": 1},
    }
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


SOLVED = {
    "double": "def double(x):\n    return 2 * x",
    "triple": "def triple(x):\n    return 3 * x",
    "Tally": "class Tally:\n    total = 0\n\n    def add(self, x):\n"
    "        self.total += x\n        return self.total",
}


@pytest.fixture
def fill(release):
    """A function that returns the learner's notebook with the given answers in it;
    what is not given is solved."""

    def fill(**answers):
        notebook = copy.deepcopy(release)
        for cell in notebook.cells:
            cell.source = (SOLVED | answers).get(cell.id, cell.source)
        return notebook

    return fill


@pytest.fixture
def no_court(monkeypatch):
    """A machine on which learners' processes cannot be shut in."""
    monkeypatch.setattr("course.exercises.run.courtroom", lambda job: None)


@pytest.fixture
def course_folder(tmp_path, monkeypatch, release):
    """A folder with the course in it, as the working directory."""
    (tmp_path / "pyproject.toml").write_text('[tool.course]\nid = "small"\n')
    (tmp_path / "lib").mkdir()
    (tmp_path / "exercises/part").mkdir(parents=True)
    nbformat.write(release, tmp_path / "exercises/part/first.ipynb")
    monkeypatch.chdir(tmp_path)
    paths.root.cache_clear()
    yield tmp_path
    paths.root.cache_clear()
