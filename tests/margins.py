"""Do right answers come near the tolerance of a test, and are wrong ones always caught?

    python -m tests.margins [LESSON ...] [--times 10]

Grades every known answer to a lesson with so many seeds, and lists the marks that were
lost or won by luck; then the checks where a right answer used more than half of what
the tolerance allows: the worst share, the middle one, how often it was drawn, the
check's hint, and the worst seed. A mark that one right answer in a thousand loses is
seldom seen to be lost, but its share of the tolerance can be seen to spread: a worst
share many times the middle one is an error that depends on what was drawn, and other
draws will pass 1. A bound of five standard errors shows .5 or .7, and its middle a
third of that; a deterministic error is the same each time.
"""

import argparse
import inspect
import json
import os
import statistics
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from course import check
from course.exercises import proof
from course.exercises.source import Cell, read
from course.paths import lessons

MUCH = 0.5  # of the tolerance
IMPORTS = "import json\nimport os\nimport numpy as np\nfrom course import check\n"


def share(got, want, rtol, atol) -> float:
    """The largest share of its tolerance that an entry uses; 0 where all is exact."""
    mine, theirs = check._values(got), check._values(want)
    if mine.dtype.kind not in "fc":
        return 0.0
    default_rtol, default_atol = check.TOLERANCES[check._dtype(want)]
    rtol = default_rtol if rtol is None else rtol
    atol = default_atol if atol is None else atol
    entries = np.isfinite(mine) & np.isfinite(theirs) & (mine != theirs)
    mine, theirs = mine[entries], theirs[entries]
    with np.errstate(divide="ignore"):
        shares = np.abs(mine - theirs) / (atol + rtol * np.abs(theirs))
    return float(shares.max(initial=0))


def watch(path: str) -> None:
    """From now on every check.close writes a line: hint, share, seed."""
    compare, close = check._compare_values, check.close
    shares = []

    def compared(got, want, rtol, atol, *rest):
        shares.append(share(got, want, rtol, atol))
        return compare(got, want, rtol, atol, *rest)

    def closed(got, want, hint, *, rtol=None, atol=None):
        shares.clear()
        try:
            close(got, want, hint, rtol=rtol, atol=atol)
        finally:
            line = hint, max(shares, default=0.0), os.environ["COURSE_SEED"]
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    check._compare_values, check.close = compared, closed


# What a notebook runs before anything else: these two, in its own process.
WATCH = IMPORTS + inspect.getsource(share) + inspect.getsource(watch)


def measure(lesson: str, times: int) -> tuple[dict, list[str]]:
    """(share, seed) of right answers' draws by the check's hint, and what luck did.

    Raises:
        CourseError: the source or a body is not well-formed.
    """
    source = read(lesson)
    bodies = proof.implied(source)[:1] + proof.written(source, whole=False)
    jobs = [(body, f"{body.name} {time}") for body in bodies for time in range(times)]
    right = {seed for body, seed in jobs if not body.loses}
    with tempfile.TemporaryDirectory(prefix="margins-") as folder:
        path = Path(folder, "shares.jsonl")
        path.touch()
        cell = Cell("watch", "code", f"{WATCH}\nwatch({str(path)!r})", 0)
        watched = replace(source, cells=(cell, *source.cells))
        luck = [
            f"seed {seed}: {problem}"
            for (body, seed), row in zip(jobs, proof.trial(watched, jobs))
            for problem in proof.verdict(source, body, row)
        ]
        drawn = defaultdict(list)
        for line in path.read_text("utf-8").splitlines():
            hint, used, seed = json.loads(line)
            if seed in right:
                drawn[hint].append((used, seed))
    return drawn, luck


def report(lesson: str, times: int) -> str:
    """What luck did, and the checks that were passed narrowly, the narrowest first."""
    drawn, luck = measure(lesson, times)
    lines = [lesson, *(f"  LUCK {each}" for each in luck)]
    for hint, shares in sorted(drawn.items(), key=lambda item: -max(item[1])[0]):
        worst, seed = max(shares)
        if worst > MUCH:
            middle = statistics.median(used for used, _ in shares)
            lines.append(
                f"  {worst:5.2f}  middle {middle:.2f} of {len(shares):4}  "
                f"{hint[:90]}  [{seed}]"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lesson", nargs="*", help="<part>/<lesson>; none are all")
    parser.add_argument("--times", type=int, default=10)
    options = parser.parse_args()
    for name in sorted(set(options.lesson) - set(lessons())):
        parser.error(f"{name} is not among {', '.join(lessons())}")
    chosen = options.lesson or lessons()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for text in pool.map(lambda each: report(each, options.times), chosen):
            print(text, flush=True)


if __name__ == "__main__":
    main()
