"""`course doctor`: what is missing on this machine, and the line that mends it.

It must speak where little else works: it imports nothing but click and platformdirs,
and what may crash is tried in a process of its own. A check returns whether all is
well, what it saw, and the line that mends it.
"""

from __future__ import annotations  # to say "too old" to a Python that is too old

import importlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import click

from course import paths

GIB = 2**30
FREE = 1.0  # GiB of disk that pip, Jupyter and a few notebooks can do with
MEMORY = 2.0  # GiB that an exercise may take
PATIENCE = 120  # seconds; the first import after an installation compiles a lot
APART = ("torch", "ipykernel", "jupyterlab")  # they have checks of their own
TRY_TORCH = """
import torch
x = torch.ones(8, 8, requires_grad=True)
(x @ x).sum().backward()
print(torch.__version__)
"""
TRY_KERNEL = """
import json
from jupyter_client.kernelspec import get_kernel_spec
spec = get_kernel_spec("python3")
print(json.dumps([spec.argv[0], spec.resource_dir]))
"""


def python() -> tuple[bool, str, str]:
    version = ".".join(map(str, sys.version_info[:3]))
    advice = "make a new .venv with Python 3.11: make PYTHON=/path/to/python3.11 book"
    return sys.version_info >= (3, 11), f"Python {version} ({sys.prefix})", advice


def packages() -> tuple[bool, str, str]:
    """Is every package that a learner needs here, as the lock has it?"""
    lock = _lock()
    text = (paths.root() / "pyproject.toml").read_text(encoding="utf-8")
    needed = re.search(r"^dependencies = \[$(.*?)^\]$", text, re.M | re.S)[1]
    names = set(re.findall(r'^    "([\w-]+)', needed, re.M)).difference(APART)
    installed = {name: _version(name) for name in {*lock, *names}.difference(APART)}
    found = [f"{name} is missing" for name in sorted(names) if not installed[name]]
    found += [
        f"{name} {installed[name]} instead of {wanted}"
        for name, wanted in lock.items()
        if installed.get(name) not in (None, wanted)
    ]
    what = "; ".join(found) or "installed packages are those of the lock"
    return not found, what, _pip("-c requirements.lock -e .")


def torch() -> tuple[bool, str, str]:
    """Does torch work, and is it the one that the course is tested with?"""
    wanted = _lock()["torch"]
    advice = _pip("-c requirements.lock -e .")
    if not _version("torch"):
        return False, "torch is missing", advice
    said, problem = _tried(TRY_TORCH)
    if problem:
        again = _pip(f"--force-reinstall --no-deps torch=={wanted}")
        return False, f"torch does not work: {problem}", again
    right = said.partition("+")[0] == wanted
    return right, f"torch {said}{'' if right else f' instead of {wanted}'}", advice


def jupyter() -> tuple[bool, str, str]:
    """Are JupyterLab and the kernel that runs notebooks here?"""
    problems = []
    for name, code in {
        "ipykernel": "import ipykernel.kernelapp",
        "jupyterlab": "import jupyterlab.labapp",
    }.items():
        problem = _tried(code)[1] if _version(name) else "it is missing"
        if problem:
            problems.append(f"{name}: {problem}")
    what = "; ".join(problems) or "JupyterLab and ipykernel can be imported"
    return not problems, what, _pip("-c requirements.lock -e .")


def kernel() -> tuple[bool, str, str]:
    """Does the kernel that the notebooks ask for run in this environment?"""
    said, problem = _tried(TRY_KERNEL)
    if problem:
        what = f"no Jupyter kernel called python3: {problem}"
        return False, what, _pip("-c requirements.lock -e .")
    program, folder = json.loads(said)
    # A bare name stands for the Python that Jupyter itself runs in.
    own = not os.path.dirname(program) or _same_folder(program, sys.executable)
    if own:
        return True, "the Jupyter kernel python3 is this environment's", ""
    what = f"the Jupyter kernel python3 is another environment's: {program} ({folder})"
    if Path(sys.prefix).resolve() in Path(folder).resolve().parents:
        return False, what, _python("-m ipykernel install --sys-prefix")
    return False, what, _python("-m jupyter kernelspec remove -f python3")


def command() -> tuple[bool, str, str]:
    """Is the `jupyter` that one would start this environment's?"""
    found = shutil.which("jupyter")
    scripts = sysconfig.get_path("scripts")
    if found and _same_folder(found, os.path.join(scripts, "jupyter")):
        return True, "the command `jupyter` is this environment's", ""
    what = f"`jupyter` is another environment's: {found}"
    if not found:
        what = "there is no command `jupyter`: this environment is not activated"
    activate = os.path.join(scripts, "activate")
    return False, what, activate if os.name == "nt" else f". {activate}"


def notebooks() -> tuple[bool, str, str]:
    """Was one of the learner's notebooks last run by another Python?"""
    here = "{}.{}".format(*sys.version_info[:2])
    found = []
    for path in sorted((paths.root() / "work").glob("*/*.ipynb")):
        try:
            metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
            version = metadata.get("language_info", {}).get("version", here)
            name = metadata.get("kernelspec", {}).get("name", "python3")
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            continue  # `course check` says what is wrong with it
        if name != "python3" or version.split(".")[:2] != here.split("."):
            place = path.relative_to(paths.root()).as_posix()
            found.append(f"{place} (Python {version}, kernel {name})")
    what = f"last run in another environment: {', '.join(found)}"
    advice = f"choose the kernel python3 ({sys.executable}) in the notebook's menu"
    return not found, what if found else "no notebook was run elsewhere", advice


def disk() -> tuple[bool, str, str]:
    """Is there room where the learner's work, the packages and pip's copies are?"""
    places = (_existing(_work()), Path(sys.prefix), Path(tempfile.gettempdir()))
    least, place = min((shutil.disk_usage(each).free, each) for each in places)
    what = f"{least / GIB:.1f} GiB of disk free at {place}"
    if least >= FREE * GIB:
        return True, what, ""
    return False, f"{what}; {FREE:g} are needed", _python("-m pip cache purge")


def memory() -> tuple[bool, str, str]:
    """Is there memory for an exercise?"""
    try:
        import psutil  # ipykernel brings it
    except ImportError:
        return True, "memory: not looked at, psutil is missing", ""
    free = psutil.virtual_memory().available / GIB
    what = f"{free:.1f} GiB of memory free"
    few = f"; an exercise may take {MEMORY:g}" if free < MEMORY else ""
    return not few, what + few, "close other programs, kernels first"


def writable() -> tuple[bool, str, str]:
    """Can notebooks and results be written into the work folder?"""
    folder = _existing(_work())
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        advice = f'chmod -R u+w "{folder}"'
        if not folder.is_dir():
            advice = f"move or rename {folder}: a folder of that name is needed"
        return False, f"cannot write into {folder}: {error.strerror}", advice
    return True, f"the work folder can be written ({_work()})", ""


def _has_sources() -> bool:
    return (paths.root() / "solutions").is_dir()


def _work() -> Path:
    return paths.root() / "work"


def _existing(path: Path) -> Path:
    """`path`, or the nearest folder above it that there is."""
    return path if path.exists() or path == path.parent else _existing(path.parent)


def _lock() -> dict[str, str]:
    """The version of each package in the lock."""
    text = (paths.root() / "requirements.lock").read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.M))


def _version(name: str) -> str | None:
    """The installed version of a package, without its local label; None if absent."""
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    return (version or "of no version").partition("+")[0]


def _tried(code: str) -> tuple[str, str]:
    """What `code` prints in a Python of its own, and what went wrong, if it did."""
    environment = {**os.environ, "PYTHONUTF8": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return "", f"no end after {PATIENCE} s"
    lines = done.stderr.strip().split("\n")
    if done.returncode < 0:
        return "", f"Python was ended by {signal.Signals(-done.returncode).name}"
    if done.returncode:
        return "", lines[-1] or f"Python ended with exit code {done.returncode}"
    return done.stdout.strip(), ""


def _pip(arguments: str) -> str:
    """The line that has pip of this environment install something, as typed here."""
    line = _python(f"-m pip install {arguments}")
    there = "-e ." in arguments and Path.cwd().resolve() != paths.root()
    return f'cd "{paths.root()}" && {line}' if there else line


def _python(arguments: str) -> str:
    """A line for this environment's Python, by its short name where that will do."""
    found = shutil.which("python")
    short = found and _same_folder(found, sys.executable)
    return f"{'python' if short else sys.executable} {arguments}"


def _same_folder(one: str, other: str) -> bool:
    # Not resolved: the Python of every environment is a link to the system's.
    def folder(path):
        return os.path.normcase(os.path.dirname(os.path.abspath(path)))

    return folder(one) == folder(other)


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
    try:
        kind, _, place = paths.database().partition("://")
    except paths.CourseError as error:
        return False, "no gradebook can be reached", str(error)
    if kind.startswith("postgresql"):
        held = f"gradebook in PostgreSQL, {place.rpartition('@')[2]}"
    else:
        here = Path(place.removeprefix("/")).exists()
        held = "with a gradebook" if here else "no gradebook yet"
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


LEARNER = [
    (packages, True),
    (torch, True),
    (jupyter, True),
    (kernel, True),
    (command, True),
    (notebooks, False),
    (writable, True),
    (disk, True),
    (memory, False),
]


@click.command("doctor")
def doctor_command():
    """What is missing on this machine, and the line that mends it."""
    broken = int(_told(python, True))
    if not broken:  # else everything is to be installed anew
        broken = sum(_told(check, needed) for check, needed in LEARNER)
        if _has_sources():  # a release has no use for what staff need
            _told(staff, False)
        if staff()[0]:  # for others the rest is no matter
            broken += _told(gradebook, True)
            _told(browser, False)
        if staff()[0] and can_isolate():
            _told(isolation, False)
    if broken:
        click.echo(
            f"\n{broken} to mend: begin with the first, then course doctor again"
        )
    sys.exit(bool(broken))


def _told(check, needed: bool) -> bool:
    """Print what a check found; whether it is to be mended."""
    try:
        good, what, advice = check()
    except Exception as error:  # a doctor that fell ill must still see the others
        said = str(error) or type(error).__name__
        good, what, advice = False, f"{check.__name__} could not be looked at", said
    mark = "ok" if good else ("MEND" if needed else "optional")
    click.echo(f"{mark:9}{what}")
    if not good:
        click.echo(f"{'':9}{advice}")
    return needed and not good
