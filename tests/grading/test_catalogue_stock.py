"""The table of the guide: the catalogue by plain nbgrader and by the judge."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from catalogue import batch, stock

from course.paths import root

TABLE = root() / "book/_data/grading_catalogue.json"


def test_the_table_has_every_row_and_the_judge_does_what_is_demanded():
    rows = json.loads(TABLE.read_text("utf-8"))["rows"]
    shown = {(row["id"], row["words"]): row for row in rows}
    assert set(shown) == {(r.id, r.words) for r in batch.ROWS.values() if r.stock}
    for row in rows:
        for points, demanded in zip(row["judge"]["points"], row["demanded"]):
            assert demanded in (None, points), row


def test_readers_see_the_same_table():
    rows = json.loads(TABLE.read_text("utf-8"))["rows"]
    assert TABLE.with_suffix(".csv").read_text("utf-8") == stock.shown(rows)


@pytest.mark.proof
def test_the_table_is_what_comes_out(tmp_path):
    path = os.pathsep.join([str(root()), str(Path(__file__).parent)])
    subprocess.run(
        [sys.executable, "-m", "catalogue.stock", str(tmp_path / "table.json")],
        env=os.environ | {"PYTHONPATH": path},
        check=True,
    )
    assert json.loads((tmp_path / "table.json").read_bytes()) == json.loads(
        TABLE.read_bytes()
    )
