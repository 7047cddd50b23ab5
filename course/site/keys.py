"""What a chapter's output depends on, as one key.

The key is a hash of the chapter's code cells, of every `lib` module that they reach,
of the data these read, of the numbers recorded for the chapter on a GPU, and of the
lock file. Prose is not in it.
"""

import ast
import functools
import hashlib
from pathlib import Path

from course.paths import root

# Tags that change how a cell executes; others, and alt texts, only how it looks.
EXECUTION_TAGS = {"raises-exception", "skip-execution"}


def imported(source: str) -> set[str]:
    """Modules named in import statements anywhere in `source`, functions included.

    `from a.b import c` names both `a.b` and `a.b.c`: c may be a module.
    """
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def module_file(name: str) -> Path | None:
    """The file of a module of `lib`, or None for another's or for no module."""
    if name.split(".")[0] != "lib":
        return None
    base = root().joinpath(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@functools.cache
def _uses(path: Path) -> tuple[frozenset[str], frozenset[Path]]:
    """The modules that a file of `lib` imports and the data files that it names."""
    source = path.read_text(encoding="utf-8")
    words = {
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    data = [file for file in (root() / "lib" / "data").glob("*") if file.name in words]
    return frozenset(imported(source)), frozenset(data)


def reached(source: str) -> set[Path]:
    """Every file of `lib` that `source` depends on, through any number of imports.

    A module depends on a file in `lib/data` when it names it in a string.
    """
    files, waiting = set(), set(imported(source))
    while waiting:
        path = module_file(waiting.pop())
        if path is None or path in files:
            continue
        names, data = _uses(path)
        files |= {path} | data
        waiting |= names
    return files


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
    digest = hashlib.sha256(repr((sources, tags)).encode())
    for file in sorted(files):
        name = file.relative_to(root()).as_posix()
        digest.update(f"\n{name}\n".encode() + file.read_bytes())
    return digest.hexdigest()
