"""The batch: complete, resumable, and nothing stale is ever shown as current."""

from room import PART

from course.grading import grade


def test_points_reach_the_gradebook(classroom, judges):
    classroom.submit("ada", double="passed", triple="half")
    classroom.submit("ada", "second", double="wrong", triple="passed")
    report = grade.run(PART, [], judges, "base")
    assert not report.failures
    assert classroom.points("ada") == {
        "test_double": 2,
        "test_double_twice": 1,
        "test_triple": 1,
    }
