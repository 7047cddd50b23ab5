"""The README's two commands on a clean clone with an empty pip cache: how long each.

    python -m benchmarks.cold_start [--save]

Clones what is committed here, installs everything that continuous integration has
(`EXTRA=oracle`, and a skipped test is a failure), runs `make book` and then
`make test`. Minutes are those of the clock on the wall and of the processors, all
processes together. What was printed is in `_build/benchmarks/cold_start.log`. `--save`
also writes `book/_data/cold_start.json` and the table in the README. Most of an hour,
on a machine that should have nothing else to do.
"""

import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.__main__ import README, asked_to_save, machine, placed
from benchmarks.side_by_side import OUT, ROOT, Seconds, adopt_orphans

EXTRA = "EXTRA=oracle"
# What the table says, and the targets that make is given.
STAGES = {
    "environment, and all packages downloaded and installed": [
        ".venv/installed-oracle"
    ],
    "`make book`: every chapter executed, the site built": ["book"],
    "`make test`: solved notebooks and every test": ["test"],
}
SAVED = ROOT / "book/_data/cold_start.json"


def run(clone: Path, cache: Path, targets: list[str], log) -> Seconds:
    """Make targets in a clone; the seconds that it took.

    Raises:
        SystemExit: make failed.
    """
    environment = os.environ | {"PIP_CACHE_DIR": str(cache), "COURSE_REQUIRE_ALL": "1"}
    environment.pop("VIRTUAL_ENV", None)
    python = f"PYTHON={getattr(sys, '_base_executable', sys.executable)}"
    before = Seconds.now()
    ran = subprocess.run(
        ["make", python, EXTRA, *targets],
        cwd=clone,
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    seconds = Seconds.now() - before
    if ran.returncode:
        raise SystemExit(f"make {' '.join(targets)} failed: see {log.name}")
    return seconds


def measure(log) -> list[dict]:
    """Every stage, its minutes on the wall and of the processors."""
    stages = []
    with tempfile.TemporaryDirectory(prefix="cold-start-") as folder:
        Path(folder).chmod(0o755)  # learners' code is run as a user who owns nothing
        clone = Path(folder, "clone")
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        for what, targets in STAGES.items():
            wall, cpu = run(clone, Path(folder, "cache"), targets, log)
            print(f"{what}: {wall / 60:.1f} min, processors {cpu / 60:.1f}", flush=True)
            stages.append({"what": what, "wall": wall / 60, "cpu": cpu / 60})
    return stages


def table(record: dict) -> str:
    """The record as Markdown: a paragraph and a table."""
    stages = record["stages"]
    whole = {"what": "**together, as in continuous integration**"}
    whole |= {kind: sum(each[kind] for each in stages) for kind in ("wall", "cpu")}
    lines = [
        f"{record['date']}, on {record['machine']}; packages from a mirror nearby; "
        f"{record['passed']:,} tests passed, none skipped.",
        "",
        "| a clean clone, an empty pip cache | minutes | of the processors |",
        "|---|--:|--:|",
        *(
            f"| {each['what']} | {each['wall']:.1f} | {each['cpu']:.1f} |"
            for each in [*stages, whole]
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, write."""
    save = asked_to_save(__doc__)
    adopt_orphans()
    OUT.mkdir(parents=True, exist_ok=True)
    with open(OUT / "cold_start.log", "w+", encoding="utf-8") as log:
        stages = measure(log)
        log.seek(0)
        passed = re.findall(r"(\d+) passed", log.read())
    record = {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "passed": sum(map(int, passed)),
        "stages": stages,
    }
    print(f"\n{table(record)}")
    if save:
        text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
        SAVED.write_text(text, "utf-8")
        page = placed(README.read_text("utf-8"), table(record), "cold start")
        README.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
