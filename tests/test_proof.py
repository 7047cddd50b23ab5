"""Every exercise's tests discriminate; a new lesson needs no new test here.

The kill matrices are printed at the end and written under `_build/staff`.
"""

import functools

import pytest

from course.exercises import proof
from course.exercises.classroom import STOCK, Classroom
from course.exercises.source import read
from course.paths import CourseError, lessons, root

BODIES = [
    (lesson, path.stem)
    for lesson in lessons()
    for path in sorted(
        (root() / "tests").glob(lesson.replace("/", "/submissions/", 1) + "/*.py")
    )
]


@functools.cache
def proof_or_problem(lesson):
    try:
        result = proof.prove(lesson, whole=False)
    except CourseError as error:
        return str(error)
    proof.write(result)
    return result


def prove(lesson):
    result = proof_or_problem(lesson)
    if isinstance(result, str):
        pytest.skip(f"{lesson} has no proof: see test_the_bodies_are_well_formed")
    return result


def problems(lesson, names):
    """What is not as it must be in the rows `names` of a lesson's kill matrix."""
    found = prove(lesson).problems
    return [text for name in names for text in found[name]]


@pytest.mark.parametrize("lesson", lessons())
def test_the_bodies_are_well_formed(lesson):
    result = proof_or_problem(lesson)
    if isinstance(result, str):
        pytest.fail(result, pytrace=False)


@pytest.mark.parametrize("lesson", lessons())
def test_reference_earns_all_and_stub_nothing(lesson, record_property):
    record_property("kill matrix", proof.table(prove(lesson)))
    assert not problems(lesson, ["reference", "stub"])


@pytest.mark.parametrize("lesson", lessons())
def test_no_task_needs_another(lesson):
    names = [f"without {task.name}" for task in read(lesson).tasks]
    assert not problems(lesson, names)


@pytest.mark.parametrize("lesson", lessons())
def test_nothing_on_the_page_is_an_answer(lesson):
    names = [name for name in prove(lesson).rows if name.startswith("page: ")]
    assert not problems(lesson, names)


@pytest.mark.parametrize(("lesson", "body"), BODIES)
def test_body(lesson, body):
    assert not problems(lesson, [body])


def test_every_body_belongs_to_a_lesson():
    folders = {
        f"{path.parent.parent.name}/{path.name}"
        for path in (root() / "tests").glob("*/submissions/*")
    }
    assert folders <= set(lessons())


@functools.cache
def graded(part, folder, config, every, *command):
    """What a command of nbgrader's or of ours gives for bodies of a part's lessons:
    points by lesson, body and test. `every` body, or a few."""
    sources = [read(lesson) for lesson in lessons(part)]
    room = Classroom(folder, sources, config=config)
    names = {}
    for source in sources:
        for body in bodies(source) if every else few(source):
            student = f"{source.lesson.split('/')[1]}-{len(names)}"
            names[student] = source.lesson, body.name
            room.submit(student, source.lesson, proof.submission(source, body))
    room.nbgrader("generate_assignment", part)
    getattr(room, command[0])(command[1], part)
    found = {}
    for source in sources:
        rows = room.points(source.lesson)
        for student, (lesson, body) in names.items():
            if lesson == source.lesson:
                found.setdefault(lesson, {})[body] = rows[student]
    return found


def bodies(source):
    return proof.implied(source) + proof.written(source)


def few(source):
    reference, *_ = proof.implied(source)
    wrong = next(b for b in proof.written(source) if b.name.startswith("wrong"))
    return [reference, wrong]


def rows(lesson, chosen):
    found = prove(lesson).rows
    return {
        body.name: {test: result.points for test, result in found[body.name].items()}
        for body in chosen
    }


def room_for(tmp_path_factory, name):
    folder = tmp_path_factory.getbasetemp() / name
    folder.mkdir(exist_ok=True)
    return folder


@pytest.mark.parametrize("lesson", lessons())
def test_stock_nbgrader_gives_the_same_points(lesson, tmp_path_factory):
    part = lesson.split("/")[0]
    folder = room_for(tmp_path_factory, f"stock-{part}")
    points = graded(part, folder, STOCK, False, "nbgrader", "autograde")
    assert points[lesson] == rows(lesson, few(read(lesson)))


DOORS = {
    "stock": (STOCK, True, "nbgrader", "autograde"),
    "nbgrader": ("", True, "nbgrader", "autograde"),
    "course": ("", True, "course", "grade"),
}


@pytest.mark.proof
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("lesson", lessons())
def test_every_body_has_the_same_points_by_every_door(lesson, door, tmp_path_factory):
    part = lesson.split("/")[0]
    folder = room_for(tmp_path_factory, f"{door}-{part}")
    points = graded(part, folder, *DOORS[door])
    assert points[lesson] == rows(lesson, bodies(read(lesson)))


@pytest.mark.proof
@pytest.mark.parametrize("lesson", lessons())
def test_no_body_touches_the_other_tasks(lesson):
    found = proof.prove(lesson).problems
    assert not [text for each in found.values() for text in each]


@pytest.mark.proof
@pytest.mark.parametrize("run", [proof.trial, proof.judged])
@pytest.mark.parametrize("lesson", lessons())
def test_right_answers_keep_their_marks_under_twenty_seeds_each(lesson, run):
    assert not proof.unlucky(lesson, 20, run)


@pytest.mark.proof
@pytest.mark.parametrize("lesson", lessons())
def test_wrong_answers_are_caught_under_ten_seeds_each(lesson):
    assert not proof.unlucky(lesson, 10, right=False)
