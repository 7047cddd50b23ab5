"""The key is private and stays; a seed belongs to one learner, exercise and answer."""

import os
import stat

import pytest

from course import paths
from course.grading import key
from course.paths import CourseError


@pytest.fixture(autouse=True)
def private(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def test_the_key_is_made_once_and_private(private):
    first = key.key()
    assert key.key() == first
    assert len(first) == key.SIZE
    status = (private / "key").stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert os.listdir(private) == ["key"]


def test_a_key_that_others_can_read_is_refused(private):
    key.key()
    (private / "key").chmod(0o640)
    with pytest.raises(CourseError, match="chmod 600"):
        key.key()


@pytest.mark.parametrize("data", [b"", b"x" * 31, b"x" * 33])
def test_a_damaged_key_is_refused_and_not_replaced(private, data):
    key.key()
    (private / "key").write_bytes(data)
    with pytest.raises(CourseError, match="damaged"):
        key.key()
    assert (private / "key").read_bytes() == data


@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
def test_a_key_that_is_no_file_is_refused(private, kind):
    private.mkdir()
    path = private / "key"
    if kind == "link":
        (private / "other").write_bytes(b"x" * 32)
        path.symlink_to(private / "other")
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    with pytest.raises(CourseError):
        key.key()


def test_a_key_inside_the_course_is_refused(monkeypatch):
    monkeypatch.setenv("COURSE_STATE", str(paths.root() / "state"))
    with pytest.raises(CourseError, match="inside the course"):
        key.key()
    assert not (paths.root() / "state").exists()


def test_a_seed_is_another_for_whatever_is_another():
    base = ("ada", "part/first", "double", "c0")
    seeds = {key.seed(b"x" * 32, *base), key.seed(b"y" * 32, *base)}
    for place, other in enumerate(("bob", "part/second", "triple", "c1")):
        seeds.add(key.seed(b"x" * 32, *base[:place], other, *base[place + 1 :]))
    assert len(seeds) == 6
    assert key.seed(b"x" * 32, *base) in seeds


def test_parts_of_a_seed_do_not_run_together():
    one = key.seed(b"x" * 32, "a", "b/c", "d", "e")
    assert one != key.seed(b"x" * 32, "a", "bc/", "d", "e")
    assert one != key.seed(b"x" * 32, 'a", "b', "b/c", "d", "e")
