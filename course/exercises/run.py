"""`course check`: a learner's notebook, run from top to bottom in a clean process."""

import ast
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from tqdm import tqdm

from course.exercises import canonical, progress, runner
from course.exercises.canonical import Note, Task
from course.exercises.start import known, release_path, released, shown, work_path
from course.paths import CourseError, root

LIMIT = 60  # seconds a cell
WIDTH = 80
COLOURS = {"passed": "green", "not attempted": "yellow"}  # the others are red
DEATHS = {
    "SIGSEGV": "segmentation fault",
    "SIGKILL": "killed, perhaps for want of memory",
}


@dataclass(frozen=True)
class Cell:
    """A code cell to run; given code and the learner's own belong to no task."""

    name: str
    role: str  # given, answer, test or own
    task: str | None
    source: str
    stub: str | None


@dataclass(frozen=True)
class Row:
    """What became of a task: `message` says why, `passed` names the passed tests."""

    task: Task
    status: str  # passed, wrong, not attempted, crashed or timed out
    message: str = ""
    passed: tuple[str, ...] = ()

    @property
    def points(self) -> float:
        """What the passed tests are worth."""
        return sum(self.task.tests[name] for name in self.passed)


@dataclass(frozen=True)
class Death:
    """What ended the process that ran a cell."""

    status: str
    text: str


class Warm:
    """The process that runs notebooks; it keeps its imports from one to the next."""

    def __init__(self):
        self._process = None
        self._child = None
        self._events = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process is not None:
            self._kill()
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()

    def run(
        self, job: dict, ended: Callable[[int, dict | None], None]
    ) -> tuple[int, Death] | None:
        """Run a job, calling `ended` with the index and error of each cell that ends.

        Returns None, or the index of the cell in which the process died, and how.
        """
        if self._process is None or self._process.poll() is not None:
            self._start()
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        self._process.stdin.flush()
        running = deadline = late = None
        done = False
        while True:
            wait = None  # for as long as its imports take
            if deadline is not None:
                wait = max(0, deadline - time.monotonic())
            try:
                event = self._events.get(timeout=wait)
            except queue.Empty:
                late = Death("timed out", f"stopped after {job['limit']:g} s")
                deadline = None
                self._kill()
                continue
            match event:
                case {"event": "begin", "pid": pid}:
                    self._child = pid
                case {"event": "start", "cell": running}:
                    deadline = time.monotonic() + job["limit"]
                case {"event": "end", "cell": cell, "error": error}:
                    deadline = None
                    ended(cell, error)
                case {"event": "done"}:
                    done = True
                case {"event": "ended", "status": status}:
                    self._child = None
                    break
        if done:
            return None
        if running is None:
            raise RuntimeError(f"the notebook's process ended at its start ({status})")
        return running, late or Death("crashed", _ending(status))

    def _start(self) -> None:
        environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONUTF8": "1"}
        # -P: a numpy.py beside the notebook, or here, must not stand for numpy.
        self._process = subprocess.Popen(
            [sys.executable, "-P", runner.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self._events = queue.SimpleQueue()
        arguments = (self._process, self._events)
        threading.Thread(target=_listen, args=arguments, daemon=True).start()

    def _kill(self) -> None:
        if not runner.FORKS:
            self._process.kill()
        elif self._child is not None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(self._child, signal.SIGKILL)


def _listen(process: subprocess.Popen, events: queue.SimpleQueue) -> None:
    with process.stdout:
        for line in process.stdout:
            # A line is cut when its writer is killed in the middle of it.
            with contextlib.suppress(json.JSONDecodeError):
                events.put(json.loads(line))
    events.put({"event": "ended", "status": process.wait()})


def _ending(status: int) -> str:
    if status >= 0:
        return f"your code ended Python here (exit code {status})"
    name = signal.Signals(-status).name
    return f"your code ended Python here ({DEATHS.get(name, name)})"


def check(
    release: dict,
    notebook: dict,
    warm: Warm,
    *,
    folder: Path,
    limit: float = LIMIT,
) -> tuple[list[Row], list[Note]]:
    """Run a rebuilt notebook in `folder`: a row a task, and notes on other cells."""
    cells = _cells(release, notebook)
    settled = {
        cell.task
        for cell in cells
        if cell.role == "answer" and canonical.is_stub(cell.source, cell.stub)
    }
    errors: dict[int, dict | None] = {}
    deaths: dict[int, Death] = {}
    died = Counter()
    job = {
        "root": str(root()),
        "folder": str(folder),
        "limit": limit,
        "preload": _imports(release),
        "absent": _absent(release),
        "answers": sorted(
            name
            for cell in cells
            if cell.role == "answer"
            for name in canonical.defined(cell.stub)
        ),
    }
    with tqdm(desc="running", leave=False, disable=None) as bar:
        while True:
            # Where the process died before, an answer's stub runs, and nothing else.
            todo = [
                index
                for index, cell in enumerate(cells)
                if died[index] <= (cell.role == "answer")
                and not (
                    cell.role == "test" and (index in errors or cell.task in settled)
                )
            ]
            if deaths and all(cells[index].role != "test" for index in todo):
                break
            job["cells"] = [_job_cell(cells[index], died[index]) for index in todo]
            bar.reset(len(todo))

            def ended(place, error, todo=todo):
                errors[todo[place]] = error
                bar.update()

            death = warm.run(job, ended)
            if death is None:
                break
            index = todo[death[0]]
            died[index] += 1
            deaths.setdefault(index, death[1])
            settled.add(cells[index].task)
    rows = [_row(task, cells, errors, deaths) for task in canonical.tasks(release)]
    return rows, _notes(cells, rows, errors, deaths)


def _cells(release: dict, notebook: dict) -> list[Cell]:
    stubs = {c["id"]: c["source"] for c in release["cells"] if canonical.is_answer(c)}
    given = {c["id"] for c in release["cells"]} - stubs.keys()
    tests = {test: t.name for t in canonical.tasks(release) for test in t.tests}
    cells = []
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        name = canonical.grade_id(cell) or cell["id"]
        if cell["id"] in stubs:
            role, task = "answer", name
        elif name in tests:
            role, task = "test", tests[name]
        else:
            role, task = "given" if cell["id"] in given else "own", None
        cells.append(Cell(name, role, task, cell["source"], stubs.get(cell["id"])))
    return cells


def _job_cell(cell: Cell, died: int) -> dict:
    source = cell.stub if died else cell.source
    return {"name": cell.name, "role": cell.role, "source": source}


def _imports(release: dict) -> list[str]:
    """The modules to import before the clock runs: what given code imports, without
    the course's own, which someone may be changing while they watch."""
    names = set()
    for cell in release["cells"]:
        if cell["cell_type"] != "code" or canonical.grade_id(cell):
            continue
        for node in ast.walk(ast.parse(runner.plain(cell["source"], cell["id"]))):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module)
    if "torch" in names:
        # The first backward(gradient) imports it and sympy with it: half a second.
        names.add("torch.fx.experimental.symbolic_shapes")
    return sorted(name for name in names if name.split(".")[0] not in ("lib", "course"))


def _absent(release: dict) -> list[str]:
    """The modules of `lib` that hold an answer, as when the notebook is graded."""
    course = release["metadata"]["course"]
    lessons = [course["lesson"], *course.get("hide", [])]
    return ["lib." + lesson.replace("/", ".") for lesson in lessons]


def _row(task: Task, cells, errors, deaths) -> Row:
    mine = {
        index: cell
        for index, cell in enumerate(cells)
        if cell.task == task.name and cell.role in ("answer", "test")
    }
    answer = next(index for index, cell in mine.items() if cell.role == "answer")
    tests = [index for index in mine if index != answer]
    passed = tuple(cells[i].name for i in tests if errors.get(i, "not run") is None)
    for index in mine:
        if index in deaths:
            return Row(task, deaths[index].status, deaths[index].text, passed)
    if canonical.is_stub(cells[answer].source, cells[answer].stub):
        return Row(task, "not attempted")
    if len(passed) == len(tests):
        return Row(task, "passed", "", passed)
    # An answer cell that raises is the first thing to mend.
    failed = next(i for i in tests if errors[i] is not None)
    error = errors[answer] or errors[failed]
    last = error["frames"][-1]["cell"] if error["frames"] else None
    if error["kind"] == "NotImplementedError" and last == task.name and not passed:
        return Row(task, "not attempted")
    status = "crashed" if error["kind"] == "SystemExit" else "wrong"
    return Row(task, status, _explain(error, cells, task.name), passed)


def _notes(cells, rows, errors, deaths) -> list[Note]:
    """What happened in cells that no row speaks of; it costs nothing by itself."""
    finished = {row.task.name for row in rows if row.status == "passed"}
    notes = []
    for index, cell in enumerate(cells):
        if cell.task is None and index in deaths:
            text = f"{_label(cell, None)}: {deaths[index].text}; left out"
            notes.append(Note("cell-died", text))
        elif errors.get(index) and (cell.task is None or cell.task in finished):
            notes.append(Note("cell-raised", _explain(errors[index], cells, None)))
    return notes


def _explain(error: dict, cells: list[Cell], task: str | None) -> str:
    """An exception in words: the test's message, or the learner's own line."""
    by_name = {cell.name: cell for cell in cells}
    frames = [frame for frame in error["frames"] if frame["cell"] in by_name]
    own = [f for f in frames if by_name[f["cell"]].role in ("answer", "own")]
    if error["kind"] == "AssertionError" and error["text"] and not own:
        return error["text"]
    lines = []
    if frames:
        frame = (own or frames)[-1]
        label = _label(by_name[frame["cell"]], task)
        lines.append(f"{label}, line {frame['line']}: {frame['text']}")
    if error["kind"] == "SystemExit":
        lines.append("your code called sys.exit")
    else:
        lines.append(f"{error['type']}: {error['text']}".removesuffix(": "))
    if error["type"] == "NameError":
        lines.append("(the notebook was run from its top, in a clean process)")
    return "\n".join(lines)


def _label(cell: Cell, task: str | None) -> str:
    if cell.role == "answer":
        return "your answer" if cell.task == task else f"your answer {cell.name}"
    if cell.role == "own":
        return f"a cell of your own ({cell.source.strip().splitlines()[0][:40]})"
    return f"the {cell.role} cell {cell.name}"


# The command


def find(name: str) -> Path:
    """The notebook that the learner means: a path, or a lesson's work copy.

    Raises:
        CourseError: there is no such notebook; the text says what there is.
    """
    path = Path(name)
    if path.is_file():
        if path.resolve().is_relative_to(root() / "exercises"):
            raise CourseError(
                f"{name} is the original: `course start {path.parent.name}/{path.stem}`"
                " makes the copy that you fill in"
            )
        return path
    if name.endswith(".ipynb"):
        mine = sorted((root() / "work").glob("*/*.ipynb"))
        listed = "".join(f"\n  {shown(each)}" for each in mine)
        listed = listed or " none yet; `course start <lesson>` makes one"
        raise CourseError(f"there is no notebook {name}; yours are:{listed}")
    if not work_path(known(name)).exists():
        raise CourseError(f"{name} is not started: `course start {name}`")
    return work_path(name)


def check_file(path: Path, warm: Warm, *, limit: float = LIMIT) -> bool:
    """Check the notebook at `path`, print and record the result; True if all passed."""
    learner = canonical.load(path)
    lesson, notes = canonical.lesson_of(learner, path, released())
    release = canonical.load(release_path(lesson))
    notebook, more = canonical.canonical(release, learner)
    click.secho(f"{lesson}  {shown(path)}", bold=True)
    click.echo(f"run from top to bottom in a clean process, {limit:g} s a cell\n")
    rows, others = check(
        release, notebook, warm, folder=path.resolve().parent, limit=limit
    )
    for row in rows:
        _print_row(row)
    for note in notes + more + others:
        click.echo()
        _print_text(f"note: {note.text}", "")
    earned = sum(row.points for row in rows)
    points = sum(row.task.points for row in rows)
    click.echo(f"\nvisible tests passed: {earned:g} of {points:g} points")
    click.echo("Hidden tests decide when the notebook is graded.")
    progress.record(
        lesson,
        {row.task.name: row.status for row in rows},
        [name for row in rows for name in row.passed],
    )
    return all(row.status == "passed" for row in rows)


def _print_row(row: Row) -> None:
    points = f"{row.points:g}/{row.task.points:g}"
    status = click.style(f"{row.status:<13}", fg=COLOURS.get(row.status, "red"))
    click.echo(f"{status} {points:>7}  {row.task.title}")
    if row.message:
        _print_text(row.message, " " * 4)


def _print_text(text: str, indent: str) -> None:
    # Control characters are shown, not obeyed.
    safe = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
    for line in safe.split("\n"):
        lead = line[: len(line) - len(line.lstrip())]
        click.echo(
            textwrap.fill(
                line.strip(),
                WIDTH,
                initial_indent=indent + lead,
                subsequent_indent=indent + lead + "  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        )


def saves(path: Path) -> Iterator[None]:
    """Yield now, and again whenever the file at `path` has been saved."""
    seen = None
    while True:
        with contextlib.suppress(FileNotFoundError):  # it is being replaced
            status = path.stat()
            now = (status.st_mtime_ns, status.st_size, status.st_ino)
            if now != seen:
                seen = now
                yield
        time.sleep(0.2)


@click.command("check")
@click.argument("notebook")
@click.option("--watch", is_flag=True, help="Check again whenever the file is saved.")
def check_command(notebook, watch):
    """Run NOTEBOOK (a file, or <part>/<lesson>) and say what passes.

    Cells run as plain Python, from the top: %matplotlib, %config, %autoreload,
    %%time and %%capture are ignored; other magics, !commands and input() are
    refused. Only visible tests run here; hidden tests decide at grading.
    """
    path = find(notebook)
    with Warm() as warm:
        if not watch:
            sys.exit(0 if check_file(path, warm) else 1)
        for _ in saves(path):
            click.clear()
            try:
                check_file(path, warm)
            except CourseError as error:
                click.secho(str(error), fg="red", err=True)
            click.echo("\nwaiting for the next save; Ctrl-C ends")
