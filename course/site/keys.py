"""What a chapter's output depends on, as one key.

The key is a hash of the chapter's code cells, of every `lib` module that they reach,
of the data these read, of the numbers recorded for the chapter on a GPU, and of the
lock file. Prose is not in it.
"""

from pathlib import Path

from course.paths import root
from lib import reach

# Tags that change how a cell executes; others, and alt texts, only how it looks.
EXECUTION_TAGS = {"raises-exception", "skip-execution"}


def reached(source: str) -> set[Path]:
    """Every file of the course's `lib` that `source` depends on."""
    return reach.reached(source, root())


def plain_python(source: str) -> str:
    """The source of a cell without IPython's magics, which `ast` cannot read."""
    lines = source.splitlines()
    return "\n".join("" if line.lstrip()[:1] in "%!" else line for line in lines)


def chapter_key(lesson: str, cells: list) -> str:
    """The key of a chapter from its code cells (notebook nodes).

    Raises:
        SyntaxError: a cell is not Python.
    """
    sources = [cell.source for cell in cells]
    tags = [
        sorted(EXECUTION_TAGS.intersection(cell.metadata.get("tags", [])))
        for cell in cells
    ]
    files = reached("\n".join(plain_python(source) for source in sources))
    measured = root() / "book" / "_measured" / f"{lesson}.json"
    for file in (root() / "requirements.lock", measured):
        if file.is_file():
            files.add(file)
    return reach.key(repr((sources, tags)), files, root())
