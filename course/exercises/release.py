"""`course release`: a part of the course as a zip for learners.

What is in it is decided by imports: of `course`, what the learners' commands reach; of
`lib`, all but the released lessons' own modules and whatever reaches them, as when the
part is graded. What learners may not have is looked for in every file before the zip is
written.
"""

import io
import json
import zipfile
from pathlib import Path

import click

from course.exercises.regions import HIDDEN, SOLUTION, region
from course.paths import CourseError, course_id, lessons, root
from course.site.keys import reached
from lib.reach import imported

# What a learner's commands start from; the rest follows by import.
LEARNERS = (
    "course.cli",
    "course.check",
    "course.doctor",
    "course.exercises.start",
    "course.exercises.run",
    "course.exercises.progress",
    "course.exercises.reveal",
    "course.grading.zygote",  # a program of its own
)
SHORT = 20  # characters
README = """\
# {part}: exercises

You need Python 3.11 or newer. In the folder that holds this file:

```sh
python -m venv .venv
. .venv/bin/activate                # Windows: .venv\\Scripts\\activate
pip install -c requirements.lock -e .
```

`course doctor` says what is missing on your machine, and the line that mends it. Then,
for each of the exercises {lessons}:

```sh
course start {first}      # your own copy, in work/
jupyter lab work/{first}.ipynb
course check {first}      # what passes, what is wrong and where
course check {first} --watch    # again at every save
course progress           # what is done, in points
```

Write into the cells that say `raise NotImplementedError`, and into cells of your own.
Tests, points and given code are restored before your notebook is graded, so changing
them changes nothing. `course check` runs the tests you see; when your notebook is
graded, further tests decide. Hand in the notebook from `work/{part}/` under the name
it has.
"""


def files(part: str) -> dict[str, bytes]:
    """Every file of a part's release, by its name in the release.

    Raises:
        CourseError: there is no such part, or something is not fit for learners.
    """
    released = lessons(part)
    if not released:
        parts = ", ".join(sorted({lesson.split("/")[0] for lesson in lessons()}))
        raise CourseError(f"there is no part {part!r} with exercises; there is {parts}")
    notebooks = [root() / "exercises" / f"{lesson}.ipynb" for lesson in released]
    names = ("LICENSE", "pyproject.toml", "requirements.lock")
    paths = [*notebooks, *(root() / name for name in names)]
    missing = [_name(path) for path in paths if not path.is_file()]
    if missing:
        raise CourseError(f"missing: {', '.join(missing)}; run `course assign`")
    paths += [*_course(), *_lib(notebooks)]
    found = {_name(path): path.read_bytes() for path in paths}
    found["README.md"] = README.format(
        part=part, lessons=", ".join(released), first=released[0]
    ).encode()
    leaks = _leaks(found)
    if leaks:
        raise CourseError("\n".join(["not fit for learners:", *leaks]))
    return found


def _name(path: Path) -> str:
    return path.relative_to(root()).as_posix()


def _course() -> set[Path]:
    """The files of `course` that a learner's commands reach."""
    chosen, waiting = set(), set(LEARNERS)
    while waiting:
        name = waiting.pop()
        base = root().joinpath(*name.split("."))
        path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        if not name.startswith("course") or not path.is_file() or path in chosen:
            continue
        chosen.add(path)
        waiting |= imported(path.read_text(encoding="utf-8"))
        waiting.add(name.rpartition(".")[0])
    return chosen


def _lib(notebooks: list[Path]) -> list[Path]:
    """The files of `lib` without the modules that hold an answer or reach one."""
    hidden = set()
    for notebook in notebooks:
        course = json.loads(notebook.read_bytes())["metadata"]["course"]
        for lesson in (course["lesson"], *course.get("hide", [])):
            hidden.add(root() / "lib" / f"{lesson}.py")
    return [
        path
        for path in sorted((root() / "lib").rglob("*"))
        if path.is_file()
        and "__pycache__" not in path.parts
        and not (path.suffix == ".py" and _reaches(path, hidden))
    ]


def _reaches(path: Path, hidden: set[Path]) -> bool:
    source = path.read_text(encoding="utf-8")
    return path in hidden or not hidden.isdisjoint(reached(source))


def _leaks(found: dict[str, bytes]) -> list[str]:
    """Lines that learners may not have, as "file:line: why"."""
    secret = _secrets()
    leaks = []
    for name, data in found.items():
        # The book prints `lib`: that a solution has a line of it is no secret.
        public = name.startswith("lib/")
        for number, line in enumerate(_lines(name, data), 1):
            if any(marker[4:] in line for marker in HIDDEN + SOLUTION):
                leaks.append(f"{name}:{number}: a marker: {line.strip()}")
            elif line.strip() in secret and not public:
                where = secret[line.strip()]
                leaks.append(f"{name}:{number}: hidden in {where}: {line.strip()}")
    return leaks


def _secrets() -> dict[str, str]:
    """The lines of solutions and hidden tests, with their places. Short ones, and
    those that some source also shows, occur by chance."""
    secret, shown = {}, set()
    for lesson in lessons():
        path = root() / "solutions" / f"{lesson}.py"
        text = path.read_text(encoding="utf-8")
        hidden = region(text, HIDDEN) | region(text, SOLUTION)
        for number, line in enumerate(text.split("\n")):
            if number not in hidden:
                shown.add(line.strip())
            elif len(line.strip()) >= SHORT:
                secret[line.strip()] = f"{_name(path)}:{number + 1}"
    return {line: where for line, where in secret.items() if line not in shown}


def _lines(name: str, data: bytes) -> list[str]:
    text = data.decode("utf-8", errors="replace")
    if name.endswith(".ipynb"):
        cells = json.loads(text)["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells)
    return text.split("\n")


def pack(found: dict[str, bytes], folder: str) -> bytes:
    """A zip of the files in `folder`: the same bytes for the same files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(found):
            entry = zipfile.ZipInfo(f"{folder}/{name}", (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, on every system
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, found[name])
    return buffer.getvalue()


@click.command("release")
@click.argument("part")
def release_command(part):
    """Write the zip that learners of PART get."""
    found = files(part)
    name = f"{course_id()}-{part}"
    path = root() / "_build" / "release" / f"{name}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".part")
    half.write_bytes(pack(found, name))
    half.replace(path)
    click.echo(f"{_name(path)}: {len(found)} files, {path.stat().st_size:,} bytes")
