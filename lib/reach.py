"""Which files of `lib` a piece of code depends on, read from its import statements.

What a chapter printed and what `runtime.trained` keeps are good for as long as these
files stay the same. Reading says more than running would: an import inside a function
counts, whether or not the function was called.
"""

import ast
import hashlib
from collections.abc import Iterable
from functools import lru_cache
from importlib.util import resolve_name
from pathlib import Path


@lru_cache(500)
def imported(source: str, package: str = "") -> frozenset[str]:
    """Modules named in import statements anywhere in `source`, functions included.

    `from a.b import c` names both `a.b` and `a.b.c`: c may be a module. `package` is
    what `from . import c` starts from; without one such imports, which cannot run
    there, name nothing.
    """
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (package or not node.level):
            base = node.module or ""
            if node.level:
                base = resolve_name("." * node.level + base, package)
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return frozenset(names)


@lru_cache(500)
def _words(source: str) -> frozenset[str]:
    """Every string in `source`."""
    return frozenset(
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _file(name: str, root: Path) -> Path | None:
    """The file of a module of `lib`, or None for another's or for no module."""
    if name.split(".")[0] != "lib":
        return None
    base = root.joinpath(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def reached(source: str, root: Path) -> set[Path]:
    """Every file of `lib` that `source` depends on, through any number of imports.

    `root` is the folder that holds `lib`. A module depends on a file in `lib/data`
    when it names it in a string.

    Raises:
        SyntaxError: `source`, or a module that it reaches, is not Python.
    """
    data = list((root / "lib" / "data").glob("*"))
    files, waiting = set(), set(imported(source))
    while waiting:
        path = _file(waiting.pop(), root)
        if path is None or path in files:
            continue
        text = path.read_text(encoding="utf-8")
        words = _words(text)
        files |= {path, *(file for file in data if file.name in words)}
        waiting |= imported(text, ".".join(path.parent.relative_to(root).parts))
    return files


def key(what: str, files: Iterable[Path], root: Path) -> str:
    """A hash of `what` and of the names and contents of files below `root`."""
    digest = hashlib.sha256(what.encode())
    for file in sorted(files):
        name = file.relative_to(root).as_posix()
        digest.update(f"\n{name}\n".encode() + file.read_bytes())
    return digest.hexdigest()
