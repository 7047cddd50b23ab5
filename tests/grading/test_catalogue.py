"""Everything a learner may hand in, handed in at once, and the whole class graded.

The class is graded in a process of its own, twice: started by root, who drops to
another user, and by an ordinary user who owns course, gradebook and key.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from catalogue import batch
from catalogue.row import FULL, LOST, NOTHING
from test_sandbox import as_user

from course.grading import sandbox
from course.paths import root

IDS = [
    *("A1", "A2", "A4", "A5", "A7", "A8", "A9", "A10", "A12", "A13", "A14", "A15"),
    *("A16", "A17", "A18", "A19", "A20", "A21", "A23", "A24", "A25", "A26", "A27"),
    *("A28", "A30", "A31", "A32", "A33", "A34", "A35"),
    *("F1", "F2", "F4", "F5", "F6", "F7", "F8", "F9", "F10", "F11", "F12", "F13"),
    *("F14", "F15", "F17", "F18", "F19", "F20", "F22"),
    *("N1", "N3", "N4", "N5", "N6", "N7", "N8", "N9", "N10", "N11", "N12", "N13"),
    *("N14", "N15", "N16", "R2", "R3", "R4", "R6", "R7"),
]
# What is not, or not only, a submission of the class below.
ELSEWHERE = {
    "A20": ["test_catalogue.py::test_A20_inputs_seen_once_are_of_no_use"],
    "F19": ["test_hostile.py::test_F19_chance_gives_the_same_verdict_every_time"],
    "N1": ["test_collect.py::test_what_is_no_notebook_never_replaces_a_valid_attempt"],
    "N9": [
        "test_collect.py::test_identity_is_in_the_notebook_not_in_its_name",
        "test_collect.py::test_of_two_versions_the_newest_is_taken_and_said",
        "test_collect.py::test_another_courses_exercise_is_refused_in_words",
    ],
    "N11": [
        "test_catalogue.py::test_N11_strange_names_are_graded_and_come_back",
        "test_collect.py::test_strange_names_go_to_folders_of_ours_and_back",
        "test_export.py::test_hostile_names_come_back_as_text",
    ],
    "N12": [
        "test_intake.py::test_devices_sockets_and_folders_are_named",
        "test_collect.py::test_links_pipes_and_hard_links_are_refused_by_name",
    ],
    "N13": [
        "test_catalogue.py::test_N13_of_a_hostile_zip_the_notebook_is_graded",
        "test_collect.py::test_names_that_lead_elsewhere_are_refused",
        "test_collect.py::test_both_of_two_entries_with_one_name_are_refused",
        "test_collect.py::test_links_and_devices_in_a_zip_are_refused",
        "test_collect.py::test_an_encrypted_entry_is_refused",
        "test_collect.py::test_a_bomb_by_ratio_is_stopped_while_it_unpacks",
        "test_collect.py::test_a_bomb_by_size_is_stopped_whatever_its_header_says",
        "test_collect.py::test_a_learner_with_too_many_entries_costs_nobody_else",
        "test_collect.py::test_a_table_of_contents_of_a_million_entries_is_not_read",
    ],
    "N14": ["test_collect.py::test_modules_data_and_forged_times_are_left_and_named"],
    "N15": [
        "test_collect.py::test_the_collectors_clock_counts",
        "test_collect.py::test_the_clock_is_read_in_utc_on_the_day_it_changes",
        "test_collect.py::test_a_resubmission_replaces_and_the_same_file_does_not",
    ],
    "N16": [
        "test_catalogue.py::test_N16_nothing_in_a_page_is_obeyed",
        "test_feedback.py::test_nothing_runs_and_nothing_is_asked_for",
    ],
    "R2": [
        "test_grade.py::test_manual_grades_stay_and_are_flagged_where_they_now_differ",
        "test_plugin.py::test_manual_grades_stay_and_are_flagged_where_they_now_differ",
    ],
    "R3": [
        "test_grade.py::test_a_run_that_is_cut_leaves_needs_grading",
        "test_plugin.py::test_a_regrade_that_is_cut_shows_no_old_score",
    ],
    "R4": [
        "test_grade.py::test_a_second_grader_is_told_who_grades",
        "test_grade.py::test_a_run_that_is_killed_goes_on_where_it_was",
        "test_grade.py::test_a_submission_is_recorded_whole_or_not_at_all",
        "test_plugin.py::test_while_another_grades_nothing_is_touched",
        "test_verdicts.py::test_a_write_that_fails_leaves_what_was_there",
    ],
    "R6": [
        "test_hostile.py::test_R6_a_mistake_of_the_test_is_not_the_learners",
        "test_hostile.py::test_R6_a_test_that_hangs_costs_its_own_exercise",
        "test_grade.py::test_a_judge_that_fails_gives_no_mark_and_is_asked_again",
    ],
    "R7": [
        "test_judge.py::test_every_body_gets_the_marks_that_the_proof_asks_for",
    ],
}
TESTS = {"first": ("test_double", "test_triple"), "second": ("test_order",)}
# What is demanded and not yet so: the reason.
NOT_YET = {}


def test_every_row_of_the_catalogue_is_handed_in_or_tested():
    handed_in = {row.id for row in batch.ROWS.values()}
    assert handed_in | set(ELSEWHERE) == set(IDS)
    assert len(IDS) == len(set(IDS))
    for name in {name for names in ELSEWHERE.values() for name in names}:
        file, _, function = name.partition("::")
        tree = ast.parse((Path(__file__).parent / file).read_text("utf-8"))
        assert function in {getattr(node, "name", None) for node in tree.body}, name


def test_no_two_rows_are_the_same_submission():
    rows = list(batch.ROWS.values())
    assert len({row.name for row in rows}) == len(rows)
    seen = {
        (row.answer, row.own, row.change, row.raw, row.file, row.lesson) for row in rows
    }
    # Row A20 is one answer by two learners.
    assert len(seen) == len(rows) - 1


@pytest.fixture(scope="module", params=["ordinary user", "started by root"])
def found(request, tmp_path_factory):
    """What came of the class; see `batch`."""
    if request.param == "started by root" and os.geteuid():
        pytest.skip("not root")
    if sandbox.level() not in ("base", "full"):
        pytest.skip(f"the sandbox reaches level {sandbox.level()!r} only")
    folder = tmp_path_factory.mktemp("catalogue")
    # Another user may not be able to read the checkout.
    code, home = folder / "code", folder / "home"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("course", "lib", "tests/grading"):
        shutil.copytree(root() / name, code / name, ignore=ignored)
    for name in ("pyproject.toml", "nbgrader_config.py", "requirements.lock"):
        shutil.copy(root() / name, code)
    home.mkdir()
    command = [sys.executable, "-m", "catalogue.batch", str(home / "room")]
    if request.param == "ordinary user":
        command = as_user([*command, "--doors"], home)
    environment = {
        **{key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ},
        "HOME": str(home),
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": f"{code}{os.pathsep}{code / 'tests/grading'}",
        "CATALOGUE_CHECKOUT": str(code),
    }
    done = subprocess.run(
        command,
        cwd=code,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert done.returncode == 0, done.stdout[-5000:]
    yield json.loads((home / "room/found.json").read_text("utf-8"))
    shutil.rmtree(folder)


def test_the_class_is_graded_as_whom_it_should_be(found, request):
    started_by_root = "started by root" in request.node.name
    assert (found["user"] == 0) == started_by_root
    assert found["level"] in ("base", "full")


def test_the_whole_class_is_graded(found):
    report = found["report"]
    assert not report["failures"]
    expected = len(batch.ROWS) + len(batch.INNOCENT) + len(batch.NAMES) + 1
    assert report["submissions"] == expected
    assert len(found["rows"]) == expected


@pytest.mark.parametrize("student", batch.ROWS)
def test_a_row_gets_what_is_demanded(found, student, request):
    if student in NOT_YET:
        request.applymarker(pytest.mark.xfail(reason=NOT_YET[student], strict=True))
    row = batch.ROWS[student]
    verdict = found["verdicts"][student][row.lesson]
    tampered = next(iter(verdict["exercises"].values()))
    checks = {
        name: check
        for exercise in verdict["exercises"].values()
        for name, check in exercise["checks"].items()
    }
    assert tuple(checks) == TESTS[row.lesson]
    for (name, check), points in zip(checks.items(), row.points):
        if points is not None:
            assert check["points"] == points, check
        told = found["rows"][student][f"{row.lesson}/{name}"]
        refused = row.status == "not gradable"
        assert told[:2] == [check["points"], None]
        assert bool(told[3]) == refused
    assert re.fullmatch(row.status or ".*", tampered["status"]), tampered
    assert re.search(row.message, tampered["message"], re.DOTALL), tampered["message"]
    for code in row.notes:
        assert any(note["code"].startswith(code) for note in verdict["notes"])


def test_N10_a_notebook_that_is_missing_is_0_and_final(found):
    for student, row in batch.ROWS.items():
        for lesson in {"first", "second"} - {row.lesson}:
            for name in TESTS[lesson]:
                told = found["rows"][student][f"{lesson}/{name}"]
                assert told[0] == 0
                assert not told[3]


def test_the_others_get_what_they_would_get_alone(found):
    assert set(found["solo"]) == set(batch.INNOCENT)
    for student, rows in found["solo"].items():
        assert found["rows"][student] == rows
    assert not found["graded otherwise"]
    assert found["structure is the same"]
    points = {
        student: tuple(rows[f"first/{name}"][0] for name in TESTS["first"])
        for student, rows in found["solo"].items()
    }
    assert points == {
        **{"aaa-innocent": FULL, "mmm-innocent": LOST, "zoe": FULL},
        **{"zzz-innocent": FULL, "zzz-untouched": NOTHING},
    }


def test_nobody_learns_what_is_not_theirs(found):
    assert not found["leaks"]


def test_nothing_is_touched_but_what_grading_writes(found):
    allowed = ("/course/grading/autograded/", "/course/grading/reports/")
    allowed += ("/state/verdicts", "/state/gradebook.db", "/state/grading.lock")
    own = [path for path in found["changed"] if "/home/room/" in path]
    assert own
    strange = [
        path
        for path in found["changed"]
        if not any(f"/home/room{prefix}" in path for prefix in allowed)
    ]
    assert not strange
    assert not found["unpickled"]
    assert not Path("/tmp/unpickled-7319").exists()


def test_nothing_is_left_running_or_lying_about(found):
    assert found["waiting"] == found["waiting alone"]
    assert not found["left running"]
    assert not found["left in the temporary folder"]


def test_A20_inputs_seen_once_are_of_no_use(found):
    said = found["A20"]
    assert said["one"].splitlines()[-1].startswith("ValueError: seen ")
    assert said["one"] != said["other"]
    assert said["one, judged again"] == said["one"]
    assert said["one, written down"].splitlines()[-1].startswith("ValueError: seen ")
    assert said["one, written down"] != said["one"]


def test_N11_strange_names_are_graded_and_come_back(found):
    ids = found["collected"]["ids"]
    assert len(set(ids.values())) == len(batch.NAMES) + 1
    for name, student in ids.items():
        assert found["collected"]["back"][student] == name
        rows = found["rows"][student]
        points = tuple(rows[f"first/{test}"][0] for test in TESTS["first"])
        assert points == FULL, name


def test_N13_of_a_hostile_zip_the_notebook_is_graded(found):
    missed = found["collected"]["missed"]
    assert missed == {
        "anna/linked.ipynb": "link",
        "anna/pipe.ipynb": "fifo",
        "bert.zip: ../../evil/first.ipynb": "traversal",
        "bert.zip: /etc/first.ipynb": "absolute",
        "bert/bomb.ipynb": "ratio",
        "bert.zip: more.zip": "nested",
    }
    assert found["rows"]["bert"]["first/test_double"][0] == 2


def test_N16_nothing_in_a_page_is_obeyed(found):
    pages = found["pages"]
    assert pages
    for student, page in pages.items():
        assert not re.search(r"<script|<img(?![^>]*src=\"data:)|<svg", page), student
        assert not re.search(r"href=.javascript|\x1b|\u202e", page), student


# One class that goes through both doors is enough.
@pytest.mark.parametrize("found", ["ordinary user"], indirect=True, scope="module")
def test_both_doors_give_the_same_rows_and_files(found):
    doors = found["doors"]
    assert doors["success"], doors["error"] + doors["log"]
    assert doors["students"] > len(IDS)
    assert not doors["rows"]
    assert not doors["files"]
    assert not found["left running by nbgrader"]
