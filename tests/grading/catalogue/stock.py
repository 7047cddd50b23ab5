"""The catalogue by plain nbgrader and by the judge, side by side.

    PYTHONPATH=tests/grading python -m catalogue.stock book/_data/grading_catalogue.json

writes for every row that plain nbgrader can be shown without harm: what is demanded,
what nbgrader with its own defaults gives (one submission after another, so that each
row has a result of its own), and what the judge gives; and beside it the same for
readers, as CSV. It takes some minutes.
"""

import contextlib
import csv
import io
import json
import os
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from catalogue import batch
from catalogue.row import FULL, RIGHT, Row

HERE = Path(__file__).resolve().parent
PART = "arithmetic"
TESTS = {"first": ("test_double", "test_triple"), "second": ("test_order",)}
CONFIG = """
c = get_config()
c.CourseDirectory.course_id = "stock"
c.CourseDirectory.root = {root!r}
c.CourseDirectory.db_url = "sqlite:///{root}/gradebook.db"
"""


def main() -> None:
    """Write the table into the file that is named."""
    table = compare()
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(table, indent=1, ensure_ascii=False)
    target.write_text(f"{text}\n", "utf-8")
    target.with_suffix(".csv").write_text(shown(table["rows"]), "utf-8")


def shown(rows: list[dict]) -> str:
    """The table for readers: what the two disagree about first."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["", "handed in", "earned", "stock nbgrader", "the judge"])
    for row in sorted(rows, key=_agreed):
        stock = row["stock"].get("note") or _sum(row["stock"]["points"])
        judge = f"{_sum(row['judge']['points'])} ({row['judge']['status']})"
        earned = _sum(row["demanded"]) if None not in row["demanded"] else "at most 1"
        writer.writerow([row["id"], row["words"], earned, stock, judge])
    return file.getvalue()


def _agreed(row):
    return row["stock"]["points"] == row["judge"]["points"]


def _sum(points):
    return f"{sum(points):g}"


def compare() -> dict:
    """The table, in throw-away folders."""
    rows = [row for row in batch.ROWS.values() if row.stock]
    with tempfile.TemporaryDirectory(prefix="stock-") as folder, entered(Path(folder)):
        base = Path(folder)
        judged = by_judge(base / "judged", rows)
        plain = by_stock(base, rows)
    return {
        "made by": "PYTHONPATH=tests/grading python -m catalogue.stock "
        "book/_data/grading_catalogue.json",
        "nbgrader": version("nbgrader"),
        "rows": [
            {
                "id": row.id,
                "words": row.words,
                "of": [2, 1] if row.lesson == "first" else [2],
                "demanded": list(row.points),
                "judge": judged[row.student],
                "stock": plain[row.student],
            }
            for row in rows
        ],
    }


@contextlib.contextmanager
def entered(base: Path):
    """A place of one's own: home, environment and working directory."""
    checkout, before, folder = HERE.parents[2], dict(os.environ), os.getcwd()
    (base / "home").mkdir()
    # Another user's process reads below it.
    base.chmod(0o755)
    os.environ |= {
        "HOME": str(base / "home"),
        "CATALOGUE_CHECKOUT": str(checkout),
        "OMP_NUM_THREADS": "1",
        # Programs beside the interpreter: nbgrader calls alembic.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    try:
        yield
    finally:
        os.chdir(folder)
        os.environ.clear()
        os.environ |= before


def by_judge(base: Path, rows: list) -> dict[str, dict]:
    """Points and status by `course grade`."""
    from course.grading import grade, pool, work

    place = batch.make(base)
    for row in rows:
        hand_in(row, place.folder / "exercises", place.folder / "grading/submitted")
    with pool.Judges(2) as judges:
        report = grade.run(PART, [], judges, pool.level(allow_weak=False))
    assert not report.failures, report.failures
    found = {}
    for row in rows:
        verdict = work.store().load(row.student, f"{PART}/{row.lesson}")["verdict"]
        exercises = list(verdict["exercises"].values())
        points = [c["points"] for e in exercises for c in e["checks"].values()]
        found[row.student] = {"points": points, "status": exercises[0]["status"]}
    return found


def hand_in(row, released: Path, submitted: Path, student: str | None = None) -> None:
    """A row's submission."""
    text = (released / PART / f"{row.lesson}.ipynb").read_text("utf-8")
    path = submitted / (student or row.student) / PART / row.file
    row.hand_in(text, path, str)


def by_stock(base: Path, rows: list) -> dict[str, dict]:
    """Points by nbgrader's own autograde, with nothing configured but where it is."""
    from nbgrader.apps import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import PyFileConfigLoader

    folder = base / "stock"
    shutil.copytree(base / "judged/course/_build/nbgrader/source", folder / "source")
    (folder / "nbgrader_config.py").write_text(CONFIG.format(root=str(folder)))
    os.chdir(folder)
    # The kernel finds the course's code, as on an instructor's machine.
    os.environ["PYTHONPATH"] = str(base / "judged/course")
    config = PyFileConfigLoader("nbgrader_config.py", path=str(folder)).load_config()
    api = NbGraderAPI(CourseDirectory(config=config), config=config)
    made = api.generate_assignment(PART)
    assert made["success"], made
    return {row.student: _stock(api, folder, row) for row in rows}


def _stock(api, folder, row):
    """What comes of one submission, and of another one behind it if this one fails."""
    from nbgrader.api import MissingEntry

    released, submitted = folder / "release", folder / "submitted"
    hand_in(row, released, submitted)
    result = api.autograde(PART, row.student)
    points, manual = _points(api, row.student, row.lesson)
    found = {"points": points}
    if manual:
        found["note"] = "left to be graded by hand"
    if not result["success"]:
        hand_in(row, released, submitted, "pair-1")
        innocent = submitted / "pair-2" / PART / "first.ipynb"
        innocent.parent.mkdir(parents=True)
        right = Row("a right answer", RIGHT)
        text = (released / PART / "first.ipynb").read_text("utf-8")
        right.hand_in(text, innocent, str)
        api.autograde(PART, "pair-*")
        behind, _ = _points(api, "pair-2", "first")
        found["note"] = "this submission fails"
        if behind != list(map(float, FULL)):
            found["note"] = "stops the run: who comes after is not graded"
        for student in ("pair-1", "pair-2"):
            shutil.rmtree(submitted / student)
            shutil.rmtree(folder / "autograded" / student, ignore_errors=True)
            with contextlib.suppress(MissingEntry), api.gradebook as gradebook:
                gradebook.remove_student(student)
    return found


def _points(api, student, lesson):
    """The automatic scores of a learner, and whether a person has to look."""
    from nbgrader.api import MissingEntry

    scores, manual = [], False
    with api.gradebook as gradebook:
        for test in TESTS[lesson]:
            try:
                grade = gradebook.find_grade(test, lesson, PART, student)
            except MissingEntry:
                scores.append(None)
                continue
            scores.append(grade.auto_score)
            manual |= bool(grade.needs_manual_grade)
    return scores, manual


if __name__ == "__main__":
    main()
