"""The parts of `lib` and where their tests are, for what runs them in other ways."""

import argparse
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIB, TESTS = ROOT / "lib", ROOT / "tests"
SHARED = "shared"  # what lies in `lib` itself
PARTS = [SHARED, *(path.parent.name for path in sorted(LIB.glob("*/__init__.py")))]
# No tests of `lib`, but of the site and the exercises.
OTHERS = {"test_browser.py", "test_proof.py", "test_public.py"}


def for_parts(doc: str) -> argparse.ArgumentParser:
    """A command line that takes names of parts; none are all of them."""

    def part(name: str) -> str:
        if name not in PARTS:
            raise argparse.ArgumentTypeError(f"{name} is not among {', '.join(PARTS)}")
        return name

    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument(
        "part", nargs="*", type=part, default=PARTS, help=", ".join(PARTS)
    )
    return parser


def tests_of(parts: Iterable[str]) -> list[Path]:
    """Where the tests of these parts of `lib` are: files and folders."""
    files = [path for path in TESTS.glob("test_*.py") if path.name not in OTHERS]
    files = sorted(files) if SHARED in parts else []
    return files + [TESTS / part for part in parts if part != SHARED]
