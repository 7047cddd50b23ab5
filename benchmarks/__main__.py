"""All measurements, one after the other, and the one table of them.

    python -m benchmarks [--save]

Each module of `MODULES` runs in a process of its own and leaves its rows in
`_build/benchmarks/`; the table goes there too. `--save` also writes
`book/_data/benchmarks.json` and, between two comments, the table in the README. About
ten minutes on two processors, which should have nothing else to do.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.side_by_side import OUT, ROOT, Row, digits

# With the options that keep the whole within its ten minutes.
MODULES = {
    "build": "",
    "grading": "--learners 10 --only real --only check",
    "positional_encoding": "",
    "attention_efficiency": "--lengths 1024 4096",
    "peft": "",
    "diffusion_to_edm": "",
    "reinforcement_learning": "",
    "scale": "--learners 50",
}
PACKAGES = ("torch", "transformers", "diffusers", "peft", "nbgrader", "jupyter-book")
QUIET = 0.5  # as many processes at work before the first measurement, at most
BUSY = " Other work was under way (load {:.1f}): times of commands are too long."
SAVED = ROOT / "book/_data/benchmarks.json"
README = ROOT / "README.md"


def machine() -> str:
    """Processor, memory and system, in one line."""
    model, system = platform.machine(), f"{platform.system()} {platform.release()}"
    cpus = Path("/proc/cpuinfo")
    if cpus.is_file():
        named = re.search(r"(?m)^model name\s*: (.+)$", cpus.read_text("utf-8"))
        model = named[1] if named else model
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} processors, {memory:.0f} GiB, {system}"


def versions() -> dict[str, str]:
    """Of Python and of the peers, where they are installed."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def table(record: dict) -> str:
    """The record as Markdown: a paragraph and a table."""
    busy = "" if record["load"] <= QUIET else BUSY.format(record["load"])
    named = ", ".join(
        f"{name} {version}" for name, version in record["versions"].items()
    )
    lines = [
        f"{record['date']}, on {record['machine']}; {named}. *Ratio* is ours as a "
        "multiple of the other's: below 1, ours is the cheaper one." + busy,
        "",
        "| what is measured | ours | the other’s | the other | ratio |",
        "|---|--:|--:|---|--:|",
    ]
    for fields in record["rows"]:
        row = Row(**fields)
        ours, peer = (f"{digits(x)} {row.unit}" for x in (row.ours, row.peer))
        cells = (row.what, ours, peer, row.against, digits(row.ratio))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def placed(text: str, shown: str, name: str = "benchmarks") -> str:
    """A page with another table between its two comments, which bear a name."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{shown}\n{end}{after}"


def run() -> tuple[list[dict], list[str]]:
    """Run all modules; the rows, and which modules failed."""
    rows, failed = [], []
    for number, (name, options) in enumerate(MODULES.items(), 1):
        print(f"\n[{number}/{len(MODULES)}] benchmarks.{name}", flush=True)
        begun = time.monotonic()
        command = [sys.executable, "-m", f"benchmarks.{name}", *options.split()]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        if subprocess.run(command, cwd=ROOT, env=environment).returncode:
            failed.append(name)
        else:
            kept = (OUT / f"{name}.json").read_text("utf-8")
            rows += json.loads(kept)["rows"]
        print(f"    {time.monotonic() - begun:.0f} s", flush=True)
    return rows, failed


def asked_to_save(about: str) -> bool:
    """What the command line says of a table that the README shows."""
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument(
        "--save",
        action="store_true",
        help="write the table into book/_data and the README, too",
    )
    return parser.parse_args().save


def main() -> None:
    """Run, print the table, write.

    Raises:
        SystemExit: a module failed; what it printed says how. Nothing is saved then.
    """
    save = asked_to_save(__doc__)
    load = os.getloadavg()[0]
    print(BUSY.format(load).strip() if load > QUIET else "nothing else is under way")
    rows, failed = run()
    record = {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "load": round(load, 1),
        "versions": versions(),
        "rows": rows,
    }
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    print(f"\n{table(record)}")
    (OUT / "benchmarks.json").write_text(text, "utf-8")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}; see above")
    if save:
        SAVED.write_text(text, "utf-8")
        README.write_text(placed(README.read_text("utf-8"), table(record)), "utf-8")
        print(f"written: {SAVED.relative_to(ROOT)}, {README.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
