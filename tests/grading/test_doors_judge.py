"""Both doors with the judge itself: real answers, real points."""

import shutil
from pathlib import Path

import pytest
from room import PART, Room

from course import paths
from course.grading import grade, plugin, pool, sandbox

ANSWERS = {
    "right": {"double": "def double(x):\n    return x + x"},
    "wrong": {"double": "def double(x):\n    return x * x * x + x"},
    "ended": {"double": "import os\n\ndef double(x):\n    os._exit(0)"},
    "liar": {
        "double": "class Liar(int):\n    def __eq__(self, other):\n"
        "        return True\n\ndef double(x):\n    return Liar(x)"
    },
    "noisy": {
        "double": "import sys\n\ndef double(x):\n    print('PRI' + 'NTED')\n"
        "    sys.stderr.write('loud')\n    return 2 * x"
    },
}
EXPECTED = {
    "right": (2, 1, 2),
    "wrong": (0, 0, 2),
    "ended": (0, 0, 2),
    "liar": (0, 0, 2),
    "noisy": (2, 1, 2),
    "untouched": (0, 0, 0),
}
TRIPLE = "def triple(x):\n    return 3 * x"


@pytest.fixture(scope="module")
def real():
    """Workers with the judge itself."""
    with pool.Judges(1) as judges:
        yield judges


def hand_in(room):
    for student, answers in ANSWERS.items():
        room.submit(student, **answers, triple=TRIPLE)
    room.submit("untouched")


def test_both_doors_give_the_points_and_files_of_the_judge(
    classroom, tmp_path, monkeypatch, real
):
    if sandbox.level() not in ("base", "full"):
        pytest.skip(f"the sandbox reaches level {sandbox.level()} only")
    # Where the judge takes the test kit from.
    checkout = Path(__file__).parents[2]
    (classroom.folder / "course").symlink_to(checkout / "course")
    (classroom.folder / "lib").mkdir()
    twin = Room(tmp_path / "twin/course", tmp_path / "twin/state")
    shutil.copytree(classroom.folder, twin.folder, symlinks=True)
    shutil.copytree(classroom.state, twin.state)
    hand_in(classroom)
    report = grade.run(PART, [], real, "base")
    assert not report.failures
    for student, points in EXPECTED.items():
        assert tuple(classroom.points(student).values()) == points, student
        assert not any(classroom.needs_grading(student).values())
    shutil.copy(classroom.state / "key", twin.state / "key")
    monkeypatch.chdir(twin.folder)
    monkeypatch.setenv("COURSE_STATE", str(twin.state))
    paths.root.cache_clear()
    real.close()
    monkeypatch.setattr(plugin._run, "judges", real)
    hand_in(twin)
    for student in EXPECTED:
        assert twin.autograde(student)["success"]
    assert twin.rows() == classroom.rows()
    assert twin.files() == classroom.files()
    assert not any(b"PRINTED" in data for data in twin.files().values())
