"""`course doctor`: what is missing on this machine, and the line that mends it."""

import importlib.metadata
import importlib.util
import shutil
import sys

import click

from course import paths


def python() -> tuple[bool, str, str]:
    version = ".".join(map(str, sys.version_info[:3]))
    advice = "make a new .venv with Python 3.11: make PYTHON=/path/to/python3.11 book"
    return sys.version_info >= (3, 11), f"Python {version}", advice


def pinned() -> tuple[bool, str, str]:
    """Are the installed packages those of the lock?"""
    lock = (paths.root() / "requirements.lock").read_text(encoding="utf-8")
    other = []
    for line in lock.splitlines():
        name, _, wanted = line.partition("==")
        try:
            got = importlib.metadata.version(name).partition("+")[0]
        except (importlib.metadata.PackageNotFoundError, ValueError):
            continue  # of an extra that is not installed, or a comment
        if got != wanted:
            other.append(f"{name} {got} instead of {wanted}")
    what = "; ".join(other) or "installed packages are those of the lock"
    advice = "python -m pip install -c requirements.lock -e ."
    return not other, what, advice


def staff() -> tuple[bool, str, str]:
    """What builds the book and grades; a learner does without."""
    missing = [
        name
        for name in ("jupyter_book", "nbgrader", "jupytext")
        if importlib.util.find_spec(name) is None
    ]
    what = f"for authors and instructors: {', '.join(missing) or 'all'} "
    what += "missing" if missing else "installed"
    return not missing, what, "python -m pip install -c requirements.lock -e '.[staff]'"


def gradebook() -> tuple[bool, str, str]:
    """The folder of gradebook and key; nobody else may read it."""
    folder = paths.state()
    if not folder.exists():
        return True, f"state: {folder} (not made yet; $COURSE_STATE moves it)", ""
    private = not folder.stat().st_mode & 0o077
    held = "with a gradebook" if (folder / "gradebook.db").exists() else "no gradebook"
    what = f"state: {folder} ({held}{'' if private else '; others may read it'})"
    return private, what, f"chmod 700 {folder}"


def browser() -> tuple[bool, str, str]:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    what = "a browser for the page tests" if found else "no browser for the page tests"
    return bool(found), what, "apt-get install chromium"


@click.command("doctor")
def doctor_command():
    """What is missing on this machine, and the line that mends it."""
    checks = [(python, True), (pinned, True), (staff, False)]
    if staff()[0]:  # for others the rest is no matter
        checks += [(gradebook, True), (browser, False)]
    broken = False
    for check, needed in checks:
        good, what, advice = check()
        mark = "ok" if good else ("MEND" if needed else "optional")
        click.echo(f"{mark:9}{what}")
        if not good:
            click.echo(f"{'':9}{advice}")
            broken |= needed
    sys.exit(broken)
