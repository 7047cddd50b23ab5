"""The table of grades holds what the gradebook holds, and no formula."""

import csv
import io
import json
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from nbgrader.api import Gradebook

from course import paths
from course.grading.export import cell, export_command, rows, table
from course.grading.ids import safe_id
from course.grading.plugin import CsvExport
from course.paths import CourseError

EVIL = "=cmd|' /C calc'!A0"
NAMES = [EVIL, 'Zoë, "Ü"', "a\nb", "+1", "@sum", "-2", "\tx", "\rx", "＝1", "anna"]


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    base = tmp_path_factory.mktemp("export")
    folder = base / "course"
    (folder / "solutions/part").mkdir(parents=True)
    (folder / "solutions/part/first.py").touch()
    (folder / "pyproject.toml").write_text('[tool.course]\nid = "small"\n')
    (folder / "grading/collected").mkdir(parents=True)
    record = {"students": {safe_id(name): name for name in NAMES}}
    (folder / "grading/collected/record.json").write_text(json.dumps(record))
    (base / "state").mkdir()
    programs = Path(sys.executable).parent  # a new gradebook is made by alembic
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_STATE", str(base / "state"))
        patch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        patch.chdir(folder)
        paths.root.cache_clear()
        yield folder
    paths.root.cache_clear()


@pytest.fixture(scope="module")
def gradebook(course):
    with Gradebook(f"sqlite:///{paths.state() / 'gradebook.db'}") as gradebook:
        gradebook.add_assignment("part")
        gradebook.add_notebook("first", "part")
        gradebook.add_grade_cell(
            "test_double", "first", "part", max_score=3, cell_type="code"
        )
        for name in NAMES:
            gradebook.add_student(
                safe_id(name), first_name=name, last_name=EVIL, email="@x"
            )
        student = safe_id(EVIL)
        gradebook.add_submission("part", student)
        grade = gradebook.find_grade("test_double", "first", "part", student)
        grade.auto_score = 2.0
        gradebook.db.commit()
        yield gradebook


def read(text):
    return list(csv.DictReader(io.StringIO(text)))


def harmless(value):
    return not value.startswith(tuple("=+-@\t\r\n＝＋－＠"))


def test_hostile_names_come_back_as_text(gradebook, course):
    run = CliRunner().invoke(export_command, [])
    assert run.exit_code == 0, run.output
    assert (course / "grades.csv").stat().st_mode & 0o777 == 0o600
    with open(course / "grades.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(NAMES)
    for row in rows:
        assert None not in row
        assert all(harmless(value) for value in row.values()), row
    by_id = {row["student_id"]: row for row in rows}
    evil = by_id[safe_id(EVIL)]
    assert evil["submitted_as"] == f"'{EVIL}"
    assert (evil["score"], evil["raw_score"], evil["max_score"]) == (
        "2.0",
        "2.0",
        "3.0",
    )
    assert by_id["anna"]["score"] == "0.0"
    assert by_id[safe_id('Zoë, "Ü"')]["submitted_as"] == 'Zoë, "Ü"'
    assert by_id[safe_id("a\nb")]["first_name"] == "a␊b"


def test_nbgraders_own_command_writes_the_same(gradebook, course):
    CliRunner().invoke(export_command, ["part", "--to", "a.csv"])
    plugin = CsvExport(to="b.csv")
    plugin.export(gradebook)
    assert (course / "a.csv").read_bytes() == (course / "b.csv").read_bytes()
    plugin = CsvExport(to="c.csv", student=["anna"], assignment=["part"])
    plugin.export(gradebook)
    assert len(read((course / "c.csv").read_text("utf-8"))) == 1


def test_columns_are_nbgraders_and_one_more(gradebook, course):
    from nbgrader.plugins import CsvExportPlugin

    CsvExportPlugin(to="stock.csv", student=["anna"]).export(gradebook)
    [stock] = read((course / "stock.csv").read_text("utf-8"))
    [ours] = read(table_of(gradebook, ["anna"]))
    assert list(ours) == [*stock, "submitted_as"]
    for name in ("assignment", "student_id", "score", "max_score", "timestamp"):
        assert ours[name] == stock[name]


def table_of(gradebook, students):
    return table(rows(gradebook, (), students))


def test_numbers_stay_numbers():
    assert cell(-1.5) == "-1.5"
    assert cell("-1.5") == "'-1.5"
    assert cell(None) == ""


def test_without_a_gradebook_it_is_said(course, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_STATE", str(tmp_path))
    run = CliRunner().invoke(export_command, [])
    assert isinstance(run.exception, CourseError)
    assert "grade first" in str(run.exception)


def test_a_part_that_is_not_there_is_said(gradebook):
    run = CliRunner().invoke(export_command, ["none"])
    assert "there is part" in str(run.exception)
