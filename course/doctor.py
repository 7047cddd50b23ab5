"""`course doctor`: what is missing on this machine, and the line that mends it."""

import importlib
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


# What gives a layer of the sandbox to a machine that lacks it.
LAYERS = {
    "limits": "grade on Linux, in a virtual machine or a container if need be",
    "landlock": "Linux 6.2 or newer is needed, with `landlock` in "
    "/sys/kernel/security/lsm (kernel parameter lsm=landlock,...)",
    "seccomp": "a processor of type x86_64 or aarch64 is needed",
    "namespaces": "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 "
    "(Ubuntu) or kernel.unprivileged_userns_clone=1 (Debian)",
}


def can_isolate() -> bool:
    """Whether what grades is here; a release for learners may lack it."""
    try:
        return importlib.util.find_spec("course.grading.sandbox_probe") is not None
    except ModuleNotFoundError:  # nor is its package
        return False


def isolation() -> tuple[bool, str, str]:
    """How well a learner's code is shut in on this machine: tried out, in seconds."""
    # By its name: what learners' commands import is in their release.
    report = importlib.import_module("course.grading.sandbox").report()
    layers = report["layers"]
    good = report["level"] in ("base", "full")
    listed = ", ".join(f"{name} {state}" for name, state in layers.items())
    what = f"sandbox for grading: level {report['level']} ({listed})"
    if report["failed"]:
        what += f"; not held back: {', '.join(report['failed'])}"
    if "error" in report:
        what += f"; {report['error']}"
    absent = [name for name in LAYERS if layers[name] == "absent"]
    if good and absent:
        what += "; learners' code can see which paths exist, not read them"
    if "limits" in absent:
        absent = ["limits"]  # no Linux: the others would not help
    advice = [LAYERS[name] for name in absent]
    if not advice and report["failed"]:
        advice = ["grade on another machine, or in a virtual machine"]
    if not good:
        advice.append("`course grade --allow-weak` grades all the same")
    return good, what, "; ".join(advice)


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
    if staff()[0] and can_isolate():
        checks.append((isolation, False))
    broken = False
    for check, needed in checks:
        good, what, advice = check()
        mark = "ok" if good else ("MEND" if needed else "optional")
        click.echo(f"{mark:9}{what}")
        if not good:
            click.echo(f"{'':9}{advice}")
            broken |= needed
    sys.exit(broken)
