"""`course build` beside plain `jupyter-book build .`: the same pages and configuration.

    python -m benchmarks.build

The book of this repository, twice in throw-away folders: its cheapest chapters as they
are, of the others the title alone, and all learners' notebooks. Each copy is built from
nothing, with nothing changed, and after a sentence was changed. Seconds are those of
the wall clock and of the processors, all kernels included. `course build` executes as
many chapters side by side as there are processors, writes the derived notebooks too,
and asks for more: every warning fails it.
"""

import re
import shutil
import statistics
import tempfile
from pathlib import Path

from benchmarks.side_by_side import (
    ROOT,
    Row,
    Seconds,
    adopt_orphans,
    command,
    keep,
    shown,
)

CHAPTERS = (
    "index",
    "foundations/tensors_and_views",
    "reparameterization/pathwise_and_score",
    "reparameterization/smoothing",
)
COPIED = (
    "_config.yml",
    "_toc.yml",
    "nbgrader_config.py",
    "pyproject.toml",
    "requirements.lock",
)
FOLDERS = ("book", "exercises", "lib", "solutions")
AGAIN = 3  # times that a copy is built with nothing changed, and after an edit

OURS, PEER = "course build", "jupyter-book build ."
DOORS = {OURS: ("course", "build"), PEER: ("jupyter-book", "build", ".")}
TIMES = ("from nothing", "with nothing changed", "after a sentence was changed")


class Copy:
    """The book in a folder of its own."""

    def __init__(self, folder: Path, door: str):
        self.folder, self.door = folder, door
        folder.mkdir()
        for name in COPIED:
            shutil.copy(ROOT / name, folder)
        ignored = shutil.ignore_patterns("__pycache__")
        for name in FOLDERS:
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        for path in (folder / "book").rglob("*.md"):
            name = path.relative_to(folder / "book").with_suffix("").as_posix()
            text = path.read_text("utf-8")
            # A page with code, or one that shows the numbers of pages with code.
            if name not in CHAPTERS and re.search(r"```{code-cell}|\.md::", text):
                path.write_text(re.search("(?m)^# .*\n", text)[0], "utf-8")

    def build(self) -> Seconds:
        """Build it by its door; what that took."""
        mine = {"PYTHONPATH": self.folder, "COURSE_STATE": self.folder / "state"}
        env = {name: str(path) for name, path in mine.items()}
        env["OMP_NUM_THREADS"] = "1"
        return command(self.folder, env, *DOORS[self.door])

    def edit(self) -> None:
        """Put a sentence at the end of a chapter."""
        path = self.folder / f"book/{CHAPTERS[-1]}.md"
        with open(path, "a", encoding="utf-8") as file:
            file.write("\nA sentence more.\n")

    def pages(self) -> set[str]:
        """The pages that there are."""
        site = self.folder / "_build/html"
        return {path.relative_to(site).as_posix() for path in site.rglob("*.html")}


def measure(folder: Path) -> dict[str, dict[str, Seconds]]:
    """By occasion and door; copies take turns, of what was repeated the median.

    Raises:
        RuntimeError: the copies have not the same pages.
    """
    copies = [Copy(folder / str(number), door) for number, door in enumerate(DOORS)]
    found = {TIMES[0]: {copy.door: copy.build() for copy in copies}}
    if copies[0].pages() != copies[1].pages():
        apart = copies[0].pages() ^ copies[1].pages()
        raise RuntimeError(f"pages that only one of both builds has: {sorted(apart)}")
    for occasion in TIMES[1:]:
        taken = []
        for _ in range(AGAIN):
            for copy in copies:
                if occasion == TIMES[2]:
                    copy.edit()
            taken.append([copy.build() for copy in copies])
        found[occasion] = {
            copy.door: Seconds(*map(statistics.median, zip(*own)))
            for copy, own in zip(copies, zip(*taken))
        }
    return found


def rows(found: dict[str, dict[str, Seconds]]) -> list[Row]:
    """What goes into the table of all measurements."""

    def row(what: str, occasion: str, kind: str) -> Row:
        ours, peer = (getattr(found[occasion][door], kind) for door in DOORS)
        return Row(f"{what} {occasion}", f"`{PEER}`", ours, peer, "s")

    first, *later = TIMES
    what = f"building a book with {len(CHAPTERS)} pages of code,"
    return [
        row(what, first, "wall"),
        row("processor time of the same,", first, "cpu"),
        *(row("building it again,", occasion, "wall") for occasion in later),
    ]


def main() -> None:
    """Measure, print, write."""
    adopt_orphans()
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name))
    print(shown(rows(found)))
    keep("build", rows(found), chapters=CHAPTERS, builds=found)


if __name__ == "__main__":
    main()
