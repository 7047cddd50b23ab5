"""A job holds what the judge needs and nothing that would tell who, where or how."""

import ast
import json
from pathlib import Path

import pytest
from room import PART, SOURCE, write_source

from course.exercises import canonical
from course.grading import jobs, key, submission
from course.paths import CourseError, root

LIMITS = {"double": 5.0, "triple": 7.0}


@pytest.fixture
def exercise(classroom):
    return jobs.exercise(f"{PART}/first")


def make(exercise, student="ada", level="base", limits=LIMITS, **answers):
    learner = json.loads(json.dumps(exercise.release))
    for cell in learner["cells"]:
        cell["source"] = answers.get(cell["id"], cell["source"])
    notebook, _ = canonical.canonical(exercise.release, learner)
    return jobs.make(exercise, notebook, student, limits, level=level)


def test_cells_are_in_the_releases_order_with_full_tests(exercise):
    job = make(exercise, double="mine")
    assert [(c["id"], c["kind"], c["task"]) for c in job["cells"]] == [
        ("code-1", "given", None),
        ("double", "answer", "double"),
        ("test_double", "test", "double"),
        ("test_double_twice", "test", "double"),
        ("triple", "answer", "triple"),
        ("test_triple", "test", "triple"),
    ]
    assert "HIDDEN twice 21" in job["cells"][2]["source"]
    assert job["cells"][2]["points"] == 2
    assert job["cells"][1]["source"] == "mine"
    assert "NotImplementedError" in job["cells"][1]["stub"]


def test_a_job_names_no_learner_no_path_and_no_key(exercise):
    text = jobs.dumps(make(exercise, student="ada lovelace")).decode()
    assert "lovelace" not in text
    assert str(root()) not in text
    assert key.key().hex() not in text


def test_the_lessons_own_module_and_what_imports_it_is_absent(exercise):
    folder = root() / "lib" / PART
    folder.mkdir(parents=True)
    (folder / "first.py").write_text("def two():\n    return 2\n")
    (folder / "user.py").write_text(f"from lib.{PART} import first\n")
    (folder / "farther.py").write_text(f"def f():\n    import lib.{PART}.user\n")
    (folder / "other.py").write_text("")
    absent = jobs.exercise(f"{PART}/first").absent
    assert set(absent) == {f"lib.{PART}.{n}" for n in ("first", "user", "farther")}


def test_the_references_job_has_its_solution_without_markers(exercise):
    job = jobs.reference(exercise)
    answer = next(c for c in job["cells"] if c["id"] == "double")
    assert "return 2 * x" in answer["source"]
    assert "SOLUTION" not in answer["source"]


def test_only_leaves_other_tasks_untested(exercise):
    job = jobs.only(make(exercise), ["triple"])
    assert {c["task"] for c in job["cells"] if c["kind"] == "test"} == {"triple"}
    assert [c["id"] for c in job["cells"] if c["kind"] == "answer"] == list(LIMITS)
    assert set(job["seeds"]) == set(job["limits"]["seconds"]) == {"triple"}


@pytest.mark.parametrize(
    ("seconds", "limit"), [(0, 5), (0.5, 5), (0.51, 6), (2, 20), (6, 60), (100, 60)]
)
def test_a_limit_is_ten_times_the_reference_within_bounds(seconds, limit):
    assert jobs.limit(seconds) == limit


def changed(one, other):
    one, other = jobs.keys(one), jobs.keys(other)
    return {task for task in one if one[task] != other[task]}


def test_a_key_is_the_same_for_the_same_job(exercise):
    assert not changed(make(exercise, double="a"), make(exercise, double="a"))


def test_a_key_changes_with_answers_learner_limits_and_level(exercise):
    job = make(exercise, double="a", triple="b")
    both = {"double", "triple"}
    assert changed(job, make(exercise, double="a", triple="c")) == both
    assert changed(job, make(exercise, "bob", double="a", triple="b")) == both
    weak = make(exercise, double="a", triple="b", level="weak")
    assert changed(job, weak) == both
    slower = make(exercise, double="a", triple="b", limits=LIMITS | {"double": 6.0})
    assert changed(job, slower) == {"double"}


def test_a_mended_test_changes_its_own_tasks_key_and_no_seed(exercise):
    before = make(exercise, double="a", triple="b")
    text = SOURCE.format(title="The first lesson")
    write_source(root(), "first", text.replace("triple(7), 21", "triple(9), 27"))
    after = make(jobs.exercise(f"{PART}/first"), double="a", triple="b")
    assert changed(before, after) == {"triple"}
    assert before["seeds"] == after["seeds"]


def test_a_change_of_lib_changes_what_reaches_it(exercise):
    (root() / "lib").mkdir()
    helper = root() / "lib/helper.py"
    helper.write_text("VALUE = 1\n")
    plain = {"double": "return 1", "triple": "import lib.helper"}
    jobs.forget()
    before = make(exercise, **plain)
    before_keys = jobs.keys(before)
    helper.write_text("VALUE = 2\n")
    assert jobs.forget()
    after_keys = jobs.keys(make(exercise, **plain))
    assert before_keys["double"] == after_keys["double"]
    assert before_keys["triple"] != after_keys["triple"]


def test_a_source_of_another_make_than_its_release_is_refused(exercise):
    path = root() / f"exercises/{PART}/first.ipynb"
    path.write_text(path.read_text().replace("test_triple", "test_triple_other"))
    with pytest.raises(CourseError, match="course assign"):
        jobs.exercise(f"{PART}/first")


@pytest.mark.parametrize("name", ["nowhere", "", "..", f"{PART}/first", "*"])
def test_a_part_that_does_not_exist_is_named(classroom, name):
    with pytest.raises(CourseError, match=PART):
        jobs.part(name)


def test_what_decides_a_verdict_is_in_its_versions():
    """Every module of grading that these import decides too."""
    known = {Path(name).stem for name in jobs.JUDGE if "grading" in name}
    # Names levels; nothing of it is run.
    known |= {"pool"}
    for name in jobs.JUDGE:
        tree = ast.parse((jobs.CODE / name).read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "course.grading":
                assert {alias.name for alias in node.names} <= known, name


def test_a_notebook_that_nobody_handed_in_is_read_as_the_release(exercise):
    reading = submission.read(exercise, None)
    assert not reading.judgeable
    assert reading.notebook == exercise.release
