"""`course assign`: from the exercise sources to notebooks.

| file | what it is |
|---|---|
| `_build/nbgrader/source/<part>/<lesson>.ipynb` | what nbgrader starts from |
| `exercises/<part>/<lesson>.ipynb` | what the learner gets; committed |
| `_build/solved/<part>/<lesson>.ipynb` | the solved notebook, which nbval runs |

The learner's notebook is made by nbgrader's own preprocessors, so that
`nbgrader generate_assignment` writes the same bytes.
"""

import functools
import re
from pathlib import Path

import click
from tqdm import tqdm

from course.exercises.source import IGNORED, Source, read
from course.paths import CourseError, course_id, lessons, root

GENERATED = "exercises"
DERIVED = ("_build/nbgrader/source", "_build/solved")

# Below the introduction, for who opened the notebook where the course is not.
ELSEWHERE = """

<details><summary>Does the next cell say “No module named …”?</summary>\
Then this notebook is running in another Python than the one that has the course. \
In Jupyter or VS Code, choose the kernel of the course's <code>.venv</code>; \
<code>course doctor</code>, in a terminal, says what else may be wrong. \
On Colab, upload <code>{release}.zip</code> and run, in a new first cell, \
<code>%pip install -q jaxtyping einops</code> and below it \
<code>%pip install -q --no-deps ./{release}.zip</code>.</details>"""


@click.command("assign")
@click.option(
    "--check", is_flag=True, help="Write nothing; fail when `exercises/` is stale."
)
def assign_command(check):
    """Write the learners' notebooks from the exercise sources."""
    sources = _read_all()
    expected = {}
    for source in tqdm(sources, desc="exercises", unit="lesson", delay=2):
        text = dumps(notebook(source))
        expected[root() / GENERATED / f"{source.lesson}.ipynb"] = release(text)
        if not check:
            _write(_derived(source.lesson, text))
    problems = []
    if check:
        for path, text in expected.items():
            if not path.is_file():
                problems.append(f"missing: {_name(path)}")
            elif path.read_bytes() != text.encode():
                problems.append(f"stale: {_name(path)}")
    else:
        for path in _write(expected):
            click.echo(f"wrote {_name(path)}")
        _tidy(sources)
    extra = _files(root() / GENERATED) - expected.keys()
    problems += [f"superfluous: {_name(path)}" for path in sorted(extra)]
    if problems:
        todo = "run `course assign`" if check else "they have no source"
        if extra:
            todo += "; delete what is superfluous"
        raise CourseError("\n".join([*problems, todo]))
    click.echo(f"current: {', '.join(source.lesson for source in sources)}")


def write_derived():
    """Write what is derived from the sources under `_build`, nothing committed.

    Raises:
        CourseError: a source has mistakes; every one is named.
    """
    sources = _read_all()
    for source in sources:
        _write(_derived(source.lesson, dumps(notebook(source))))
    _tidy(sources)


def notebook(source: Source):
    """The source as nbgrader's instructor notebook (a notebook node)."""
    # Two seconds that the learner's commands, which import this module, do without.
    import nbformat

    tasks = {task.name: task for task in source.tasks}
    cells = []
    heading = None
    for cell in source.cells:
        if cell.kind == "text":
            new = nbformat.v4.new_markdown_cell(cell.source, id=cell.id)
            if re.search("^## ", cell.source, re.M):
                heading = new
        else:
            new = nbformat.v4.new_code_cell(cell.source, id=cell.id)
            if len(cells) == 1 and cells[0].cell_type == "markdown":
                part = source.lesson.split("/")[0]
                name = f"{course_id()}-{part}"  # as `course release` has it
                cells[0].source += ELSEWHERE.format(release=name)
        if cell.kind == "answer":
            task = tasks[cell.task]
            new.metadata.nbgrader = _nbgrader(cell, solution=True)
            new.metadata.course = {
                "difficulty": task.difficulty,
                "minutes": task.minutes,
                "device": task.device,
            }
            heading.source = _with_points(heading.source, task)
        if cell.kind == "test":
            new.metadata.nbgrader = _nbgrader(cell, grade=True, points=cell.points)
            # What remains of the cell then ends with its last line of code.
            new.source = re.sub(r"\n+(### BEGIN)", r"\n\1", new.source)
        cells.append(new)
    course = {"lesson": source.lesson, "version": 1}
    if source.hide:
        course["hide"] = list(source.hide)
    metadata = {
        "kernelspec": source.kernelspec,
        "language_info": {"name": "python"},
        "course": course,
    }
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def dumps(node) -> str:
    """A notebook node as the text of its file."""
    import nbformat

    return nbformat.writes(node) + "\n"


def _nbgrader(cell, *, solution=False, grade=False, **points):
    return {
        "schema_version": 3,
        "grade_id": cell.id,
        "cell_type": "code",
        "solution": solution,
        "grade": grade,
        "locked": grade,
        "task": False,
        **points,
    }


def _with_points(text, task):
    """The task's text with the line on its points under its heading, the last one."""
    points = f"{task.points} point{'s' * (task.points != 1)}"
    line = (
        f"**{points} · difficulty {task.difficulty}/5 · "
        f"about {task.minutes} minutes · {task.device.upper()}**"
    )
    *_, heading = re.finditer("^## .+$", text, re.M)
    return f"{text[: heading.end()]}\n\n{line}{text[heading.end() :]}"


@functools.cache
def _exporter():
    """nbgrader's own path from source to release, without the gradebook.

    Importing nbgrader takes four seconds, so it waits until it is needed.
    """
    from nbconvert.exporters import NotebookExporter
    from nbgrader.converters import GenerateAssignment
    from traitlets.config import PyFileConfigLoader

    config = PyFileConfigLoader("nbgrader_config.py", path=str(root())).load_config()
    converter = GenerateAssignment(config=config)
    exporter = NotebookExporter(config=converter.config)
    for preprocessor in converter.preprocessors:
        if preprocessor.__name__ != "SaveCells":
            exporter.register_preprocessor(preprocessor)
    return exporter


def release(text: str) -> str:
    """The learner's notebook from the text of the instructor's, as its file's text."""
    import nbformat

    output, _ = _exporter().from_notebook_node(nbformat.reads(text, as_version=4))
    return output


def _read_all():
    sources, problems = [], []
    for lesson in lessons():
        try:
            sources.append(read(lesson))
        except CourseError as error:
            problems += str(error).split("\n")
    if problems:
        # Once each: files beside the sources are named for every lesson of a part.
        raise CourseError("\n".join(dict.fromkeys(problems)))
    return sources


def _derived(lesson, text):
    return {root() / folder / f"{lesson}.ipynb": text for folder in DERIVED}


def _write(files):
    """Write what differs; the paths that did."""
    changed = [
        path
        for path, text in files.items()
        if not path.is_file() or path.read_bytes() != text.encode()
    ]
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[path].encode())
    return changed


def _tidy(sources):
    """Remove notebooks whose source is gone: nbgrader would release them."""
    for folder in DERIVED:
        current = {root() / folder / f"{source.lesson}.ipynb" for source in sources}
        for path in _files(root() / folder) - current:
            path.unlink()


def _files(folder: Path) -> set[Path]:
    return {
        path
        for path in folder.rglob("*")
        if path.is_file() and not IGNORED.intersection(path.parts)
    }


def _name(path):
    return path.relative_to(root()).as_posix()
