"""The exercise source: a py:percent notebook with solutions and hidden tests.

`solutions/<part>/<lesson>.py` is written by hand; whatever else knows about an exercise
reads it here: its tasks with their points, and its cells. `read` finds every mistake
that can be found without running the source, and names all of them at once.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from course.exercises.regions import HIDDEN, SOLUTION, region
from course.paths import CourseError, root

# What the solution region becomes in the learner's notebook.
STUB = "raise NotImplementedError"

# The keys a cell's header may have, by the key that says what the cell is.
KEYS = {
    "solution": {"solution", "difficulty", "minutes", "device"},
    "test": {"test", "aspect", "points"},
    "text": set(),
    "code": set(),
}
RANGES = {"difficulty": (1, 5), "minutes": (1, 180), "points": (1, 100)}
DEVICES = ("cpu", "gpu")

# What tools leave behind.
IGNORED = {".ipynb_checkpoints", "__pycache__"}

# What jupytext notes about the layout of the file.
LAYOUT = {"lines_to_next_cell", "lines_to_end_of_cell_marker", "cell_marker"}


@dataclass(frozen=True)
class Cell:
    """A cell of the source.

    `id` is the notebook cell's id, and the grade_id of an answer or a test; `kind` is
    text, code, answer or test; `line` is where the cell's text begins in the file.
    """

    id: str
    kind: str
    source: str
    line: int
    task: str | None = None
    points: int = 0


@dataclass(frozen=True)
class Task:
    """A graded task; `points` is the sum over its tests, `text` what the learner reads
    before the answer cell, from the task's heading on.
    """

    name: str
    title: str
    points: int
    difficulty: int
    minutes: int
    device: str
    text: str


@dataclass(frozen=True)
class Source:
    """An exercise source that has no mistake that can be seen by reading it.

    `hide` names further lessons whose modules of `lib` hold an answer.
    """

    lesson: str
    title: str
    path: Path
    tasks: tuple[Task, ...]
    cells: tuple[Cell, ...]
    kernelspec: dict
    hide: tuple[str, ...] = ()


def read(lesson: str) -> Source:
    """The exercise source of `<part>/<lesson>`.

    Raises:
        CourseError: there is none, or it has mistakes, a line "path:line: what" each.
    """
    path = root() / "solutions" / f"{lesson}.py"
    if not path.is_file():
        raise CourseError(f"there is no exercise source {path.relative_to(root())}")
    # Imported here, since lint needs this module's names.
    from course.exercises import lint

    draft = _Draft(lesson, path)
    source = draft.source()
    found = draft.problems + (lint.problems(source) if source else [])
    name = path.relative_to(root()).as_posix()
    lines = [f"{name}:{line}: {text}" for line, text in sorted(set(found))]
    lines += _leaks(path.parent)
    if lines:
        raise CourseError("\n".join(lines))
    return source


def visible(source: str) -> str:
    """A test cell's source as the learner gets it."""
    return _without(source, HIDDEN, stub=None)


def cleared(source: str) -> str:
    """An answer cell's source as the learner gets it."""
    return _without(source, SOLUTION, stub=STUB)


def _without(source, markers, stub):
    hidden = region(source, markers)
    kept = []
    for number, line in enumerate(source.split("\n")):
        if number not in hidden:
            kept.append(line)
        elif stub and line.strip() == markers[0]:
            kept.append(line[: len(line) - len(line.lstrip())] + stub)
    return "\n".join(kept)


def _leaks(folder: Path) -> list[str]:
    """Files beside the sources: a folder of sources holds sources only, so that
    nothing private can slip into what learners get.
    """
    named = re.compile(r"[a-z][a-z0-9_]*\.py")
    odd = [
        path.relative_to(root()).as_posix()
        for path in sorted(folder.iterdir())
        if path.name not in IGNORED
        if not (named.fullmatch(path.name) and path.is_file() and not path.is_symlink())
    ]
    return [f"{name}:1: not an exercise source; move it elsewhere" for name in odd]


class _Draft:
    """A source while it is read; `problems` collects (line, text)."""

    def __init__(self, lesson, path):
        self.lesson, self.path = lesson, path
        self.problems = []
        self.cells = []
        # What the headers of the answer cells say, by task.
        self.headers = {}

    def problem(self, line, text):
        self.problems.append((line, text))

    def source(self):
        # Half a second, and the learner's commands do without.
        import jupytext

        text = self.path.read_text(encoding="utf-8")
        try:
            notebook = jupytext.reads(text, fmt="py:percent")
        except Exception as error:  # whatever an odd header makes jupytext raise
            said = str(error).split("\n")[0]
            self.problem(1, f"jupytext cannot read the header: {said}")
            return None
        lines = text.split("\n")
        starts = [
            number
            for number, line in enumerate(lines, 1)
            if re.match(r"#\s*%%+(\s|$)", line)
        ]
        if len(starts) != len(notebook.cells):
            first = next((i for i, line in enumerate(lines, 1) if line[:1] != "#"), 1)
            self.problem(
                first,
                "text before the first `# %%`, or a line `# %%` inside a string",
            )
            return None
        for start, cell in zip(starts, notebook.cells):
            self.read_cell(start, cell)
        self.check_ids()
        metadata = notebook.metadata
        return Source(
            lesson=self.lesson,
            title=self.title(),
            path=self.path,
            tasks=tuple(self.tasks()),
            cells=tuple(self.cells),
            kernelspec=self.kernelspec(metadata),
            hide=self.hide(metadata),
        )

    def read_cell(self, start, cell):
        header = {k: v for k, v in cell.metadata.items() if k not in LAYOUT}
        if cell.cell_type == "code":
            kind = next((key for key in ("solution", "test") if key in header), "code")
        else:
            kind = "text"
        if cell.cell_type == "raw":
            self.problem(start, "a raw cell; write text or code")
        unread = header.pop("incorrectly_encoded_metadata", None)
        if unread:
            self.problem(start, f'cannot read `{unread}`; write key="value"')
        for key in sorted(header.keys() - KEYS[kind]):
            allowed = ", ".join(sorted(KEYS[kind])) or "none"
            self.problem(start, f"unknown header key `{key}`; known here: {allowed}")
        source = cell.source.lstrip("\n")
        skipped = len(cell.source) - len(source)
        place = {"source": source.rstrip(), "line": start + 1 + skipped}
        if kind in ("text", "code"):
            number = 1 + sum(other.kind == kind for other in self.cells)
            self.cells.append(Cell(f"{kind}-{number}", kind, **place))
            return
        task = self.identifier(start, header, kind)
        if kind == "solution":
            if task in self.headers:
                self.problem(start, f"a second answer cell for `{task}`")
            self.headers[task] = {
                "difficulty": self.integer(start, header, "difficulty"),
                "minutes": self.integer(start, header, "minutes"),
                "device": self.device(start, header),
            }
            self.cells.append(Cell(task, "answer", task=task, **place))
            return
        name = f"test_{task}"
        if "aspect" in header:
            name += f"_{self.identifier(start, header, 'aspect')}"
        points = self.integer(start, header, "points")
        self.cells.append(Cell(name, "test", task=task, points=points, **place))

    def identifier(self, line, header, key):
        value = header[key]
        if not re.fullmatch(r"[A-Za-z]\w*", str(value), re.ASCII):
            self.problem(line, f"{key} must be a Python name, got `{value}`")
        return str(value)

    def integer(self, line, header, key):
        low, high = RANGES[key]
        value = header.get(key)
        if type(value) is int and low <= value <= high:
            return value
        got = f"got `{value}`" if key in header else "it is missing"
        self.problem(line, f"{key} must be an integer from {low} to {high}; {got}")
        return low

    def device(self, line, header):
        value = header.get("device", "cpu")
        if value not in DEVICES:
            self.problem(line, f"device must be cpu or gpu, got `{value}`")
        return value

    def check_ids(self):
        seen = set()
        for cell in self.cells:
            if cell.id in seen and cell.kind != "answer":
                self.problem(
                    cell.line - 1, f"a second cell `{cell.id}`; give it an aspect"
                )
            if len(cell.id) > 64:
                self.problem(cell.line - 1, f"`{cell.id}` is longer than 64 letters")
            seen.add(cell.id)

    def title(self):
        first = self.cells[0] if self.cells else None
        if first and first.kind == "text":
            match = re.match(r"# (.+)", first.source)
            if match:
                return match[1].strip()
        self.problem(1, "the first cell must be text that begins with `# Title`")
        return self.lesson

    def tasks(self):
        texts = []
        answered = set()
        tested = {cell.task for cell in self.cells if cell.kind == "test"}
        for cell in self.cells:
            if cell.kind == "text":
                texts.append(cell.source)
            if cell.kind == "test" and cell.task not in answered:
                later = "comes later" if cell.task in self.headers else "does not exist"
                self.problem(
                    cell.line - 1,
                    f"a test of `{cell.task}`, whose answer cell {later}",
                )
            if cell.kind != "answer":
                continue
            answered.add(cell.task)
            if cell.task not in tested:
                self.problem(cell.line - 1, f"task `{cell.task}` has no test")
            text = "\n\n".join(texts)
            texts = []
            headings = list(re.finditer(r"^## (.+)$", text, re.M))
            if not headings:
                self.problem(
                    cell.line - 1,
                    f"task `{cell.task}` has no heading `## ...` of its own before it",
                )
                continue
            heading = headings[-1]
            for other in headings[:-1]:
                self.problem(cell.line - 1, f"`{other[0]}` before it has no task")
            number = re.match(r"(\d+)\s*·", heading[1])
            if number and int(number[1]) != len(answered):
                self.problem(
                    cell.line - 1,
                    f"task {len(answered)} stands below the heading `{heading[0]}`",
                )
            yield Task(
                name=cell.task,
                title=re.sub(r"^\d+\s*·\s*", "", heading[1]).strip(),
                points=sum(c.points for c in self.cells if c.task == cell.task),
                text=text[heading.start() :],
                **self.headers[cell.task],
            )

    def kernelspec(self, metadata):
        kernelspec = dict(metadata.get("kernelspec", {}))
        missing = {"name", "display_name", "language"} - kernelspec.keys()
        if missing:
            self.problem(
                1,
                "no kernelspec; put `kernelspec: {name: python3, display_name: "
                "Python 3, language: python}` under `jupyter:` in the header",
            )
        return kernelspec

    def hide(self, metadata):
        hide = metadata.get("hide", [])
        if not isinstance(hide, list):
            self.problem(1, "hide must be a list of lessons, [part/lesson, ...]")
            return ()
        for lesson in hide:
            if not (root() / "lib" / f"{lesson}.py").is_file():
                self.problem(1, f"hide names {lesson}, but lib/{lesson}.py is no file")
        return tuple(hide)
