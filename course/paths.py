"""Where the course's files are: one lesson, one name, everywhere."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
from pathlib import Path

import platformdirs


class CourseError(Exception):
    """Something the person at the keyboard can mend; the text says how."""


@functools.cache
def root() -> Path:
    """The checkout or unpacked release: the nearest folder upwards from the working
    directory whose pyproject.toml has a [tool.course] table; else the one this
    package was installed from in editable mode.

    Raises:
        CourseError: there is neither.
    """
    here = Path.cwd().resolve()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[1]):
        if _settings(folder):
            return folder
    raise CourseError(
        f"no course above {here}: change into the folder that holds the course's "
        "pyproject.toml"
    )


def _settings(folder: Path) -> dict:
    try:
        text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return _parsed(text).get("tool", {}).get("course", {})


@functools.lru_cache(8)
def _parsed(text: str) -> dict:
    import tomllib  # Python 3.11 and later have it; `course doctor` says so

    return tomllib.loads(text)


def course_id() -> str:
    """The name under which this machine keeps the course's private state."""
    return _settings(root())["id"]


def state() -> Path:
    """The instructor's private folder: gradebook and key, never inside the course.

    `$COURSE_STATE` if set, else a folder of the user's own named by the course id.
    """
    chosen = os.environ.get("COURSE_STATE")
    return Path(chosen) if chosen else platformdirs.user_state_path(course_id())


def database() -> str:
    """The address of the gradebook, as SQLAlchemy writes it: the one line of the file
    `gradebook.url` in the private folder, else a SQLite file beside it.

    A file and not a variable of the environment: a command that does not see it would
    begin a second gradebook.

    Raises:
        CourseError: the file holds no address, or others can read it, or the driver
            of PostgreSQL is missing.
    """
    path = state().absolute() / "gradebook.url"
    try:
        url = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return f"sqlite:///{path.with_name('gradebook.db')}"
    if path.stat().st_mode & 0o077:
        raise CourseError(f"others can read the password in {path}: `chmod 600` it")
    if not re.fullmatch(r"(sqlite|postgresql\+psycopg)://\S+", url):
        raise CourseError(
            f"{path} must hold one address, postgresql+psycopg://user:password@host/"
            "name or sqlite:///file"
        )
    if url.startswith("postgresql") and importlib.util.find_spec("psycopg") is None:
        raise CourseError(
            f"{path} names PostgreSQL, whose driver is not installed: python -m pip "
            "install -c requirements.lock -e '.[scale]'"
        )
    return url


def lessons(part: str | None = None) -> list[str]:
    """The lessons that have an exercise source, as '<part>/<lesson>', sorted."""
    return _named("solutions", f"{part or '*'}/*.py")


def released() -> list[str]:
    """The lessons that have a learner's notebook, as '<part>/<lesson>', sorted."""
    return _named("exercises", "*/*.ipynb")


def chapters() -> list[str]:
    """The chapters of the book, as '<part>/<lesson>', sorted."""
    return _named("book", "*/*.md")


def _named(folder: str, pattern: str) -> list[str]:
    base = root() / folder
    return [
        path.relative_to(base).with_suffix("").as_posix()
        for path in sorted(base.glob(pattern))
    ]
