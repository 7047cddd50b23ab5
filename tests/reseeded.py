"""Do the tests of `lib` hold for other random numbers too?

    python -m tests.reseeded [PART ...] [--runs 20]

Runs them again and again, each time with another number added to every seed that a test
sets (tests/draws.py), and names the tests that failed. These hold for their own seed
only: the claim is too narrow, the draws too few, or something was drawn that decides
how large errors are.

pytest-randomly reseeds the global generators, from which hardly a test draws;
pytest-repeat runs a test again with the same seeds.
"""

import os
import re
import subprocess
import sys
from collections import Counter

from tests.parts import ROOT, for_parts, tests_of


def run(parts: list[str], shift: int) -> list[str]:
    """The tests of these parts that fail when `shift` is added to all seeds.

    Raises:
        SystemExit: pytest did not come to its end.
    """
    command = [sys.executable, "-m", "pytest", "-q", "--numprocesses=auto"]
    ran = subprocess.run(
        [*command, "-p", "no:cacheprovider", *map(str, tests_of(parts))],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "SEED_SHIFT": str(shift)},
        stdout=subprocess.PIPE,
        text=True,
    )
    if ran.returncode not in (0, 1):
        raise SystemExit(f"{ran.stdout}\nshift {shift}: pytest failed")
    print(ran.stdout.splitlines()[-1], flush=True)
    return re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", ran.stdout, re.M)


def main() -> None:
    parser = for_parts(__doc__)
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    failed = Counter()
    for number in range(1, options.runs + 1):
        print(
            f"[{number}/{options.runs}] seeds + {1000 * number}: ", end="", flush=True
        )
        failed.update(run(options.part, 1000 * number))
    if failed:
        lines = [f"{times:3} times  {name}" for name, times in failed.most_common()]
        sys.exit("\n".join(["failed with other seeds:", *lines]))


if __name__ == "__main__":
    main()
