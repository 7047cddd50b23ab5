"""A small course with a gradebook, and a judge that costs nothing."""

import shutil
import sys
from pathlib import Path

import pytest

from course import paths

HERE = Path(__file__).parent
# Workers import these modules by name.
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))


@pytest.fixture(autouse=True)
def no_course_but_this_one():
    """Forget, when a test and its change of folder are over, which course it was in.

    Set up before all other fixtures, and so torn down after them.
    """
    from course.grading import jobs

    yield
    for cache in (paths.root, jobs._common, jobs._reference, jobs._library):
        cache.cache_clear()


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """The course before anything was handed in; made once, it takes seconds."""
    import room

    from course.exercises import assign

    base = tmp_path_factory.mktemp("template")
    (base / "course").mkdir()
    checkout = HERE.parents[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base / "course")
        patch.setenv("COURSE_STATE", str(base / "state"))
        paths.root.cache_clear()
        assign._exporter.cache_clear()
        room.make(base / "course", checkout)
    paths.root.cache_clear()
    assign._exporter.cache_clear()
    return base


@pytest.fixture(scope="session")
def server():
    """A PostgreSQL server."""
    import postgres

    programs = postgres.programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    found = postgres.Server(programs)
    yield found
    found.close()


@pytest.fixture(scope="session")
def released(server, template, tmp_path_factory):
    """A database whose gradebook has the course, as the template's has."""
    import room

    base = tmp_path_factory.mktemp("released")
    shutil.copytree(template, base, dirs_exist_ok=True)
    name = server.database()
    room.keep_gradebook_at(server.url(name), base / "state")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base / "course")
        patch.setenv("COURSE_STATE", str(base / "state"))
        paths.root.cache_clear()
        room.generate()
    paths.root.cache_clear()
    return name


@pytest.fixture
def database(request):
    """What keeps the gradebook; a test may be run with "postgresql" too."""
    return getattr(request, "param", "sqlite")


@pytest.fixture
def classroom(template, tmp_path, monkeypatch, database, request):
    """The small course, entered, with nothing handed in."""
    import room

    from course.grading import jobs, plugin

    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    if database == "postgresql":
        server, released = map(request.getfixturevalue, ("server", "released"))
        url = server.url(server.database(released))
        room.keep_gradebook_at(url, tmp_path / "state")
    monkeypatch.chdir(tmp_path / "course")
    monkeypatch.setenv("COURSE_STATE", str(tmp_path / "state"))
    paths.root.cache_clear()
    jobs.forget()
    yield room.Room(tmp_path / "course", tmp_path / "state")
    plugin._run.end()


@pytest.fixture(scope="session")
def trace(tmp_path_factory):
    """Where the fake judge notes its calls; workers inherit it when they start."""
    folder = tmp_path_factory.mktemp("calls")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAKE_JUDGE_CALLS", str(folder))
        yield folder


@pytest.fixture
def calls(trace, measured):
    """What the judge was asked in this test, in order: "<content> <tasks>"."""
    before = set(trace.iterdir())

    def read():
        return [path.read_text() for path in sorted(set(trace.iterdir()) - before)]

    return read


@pytest.fixture(scope="session")
def judges(trace):
    """Workers with the fake judge, kept from test to test."""
    import fake_judge

    from course.grading.pool import Judges

    with Judges(2, fake_judge.judge_one) as workers:
        yield workers


@pytest.fixture
def measured(classroom, judges):
    """The reference is timed already, so that `calls` shows what learners cost."""
    import room

    from course.grading import jobs, work

    for exercise in jobs.part(room.PART):
        work.limits(exercise, judges, "base")


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of two notebooks, entered, with nothing handed in."""
    from office import text

    folder = tmp_path / "course"
    (folder / "exercises/part").mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[tool.course]\nid = "small"\n')
    for name in ("first", "second"):
        path = folder / f"exercises/part/{name}.ipynb"
        path.write_bytes(text(lesson=f"part/{name}"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COURSE_STATE", str(tmp_path / "state"))
    paths.root.cache_clear()
    yield folder
    paths.root.cache_clear()


@pytest.fixture
def inbox(tmp_path):
    """A folder for what learners hand in."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder
