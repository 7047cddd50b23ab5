"""The process in which tests are run: a job in, a verdict out.

It holds what a learner must not see: tests with their hidden parts, the reference, the
seeds. It runs no code of a learner's, and trusts the job, the course's folder and the
zygote. Every value from a learner's process is a claim (`proxies`), every text of its
is cut and escaped.

A program of its own, so that `judge` can end it when a test hangs. On its standard
input it reads frames, {"job", "failed": tasks that it did not survive}; on what was its
standard output it writes {"task"} when it begins an exercise, and {"verdict"}.
Arguments: the course's folder, a folder for its own use, and a descriptor of a pipe
whose other end only the worker holds.
"""

import ast
import compileall
import functools
import hashlib
import itertools
import json
import linecache
import os
import re
import shutil
import struct
import sys
import threading
import time
import traceback
from pathlib import Path

SCHEMA = 1
LONGEST = 2000  # characters of a message
SPARE = 10  # seconds of processor time that a process may use beyond those of the clock
MOST = 120.0  # seconds of a learner's code, whatever the exercises' limits add up to
# A test that raises one of these has a mistake, whatever it was given.
MISTAKES = (NameError, ImportError, SyntaxError)
# What a learner's code may ask for by an absolute path, and not get.
OUTSIDE, PLACE = ("PermissionError", "FileNotFoundError"), re.compile("'/")
# What the zygote consists of, and what notebooks import of the course.
PROGRAM = [
    "course/__init__.py",
    "course/exercises/__init__.py",
    "course/exercises/runner.py",
    *(
        f"course/grading/{name}.py"
        for name in (
            *("__init__", "learner", "wire", "zygote"),
            *("sandbox", "sandbox_calls", "sandbox_kernel", "sandbox_processes"),
            *("sandbox_spaces", "sandbox_supervisor"),
        )
    ),
]
KIT = ["course/__init__.py", "course/check.py"]


def main() -> None:
    """Judge until standard input ends."""
    answers = os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    requests = os.dup(0)
    course, folder, lifeline = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    sys.path.insert(0, str(course))
    # When the worker is gone, this ends at once, and the zygote with it.
    threading.Thread(target=_watch, args=(lifeline, folder), daemon=True).start()
    with Court(course, folder) as court:
        while frame := read(requests):
            request = json.loads(frame)
            court.expect(request["job"])

            import torch

            torch.set_num_threads(1)

            def tell(task):
                write(answers, {"task": task})

            verdict = court.judge(request["job"], request["failed"], tell)
            write(answers, {"verdict": verdict})


def _watch(lifeline, folder):
    os.read(lifeline, 1)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def read(descriptor: int) -> bytes:
    """A frame; nothing at the end."""
    with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as stream:
        head = _exactly(stream, 8)
        return head and _exactly(stream, *struct.unpack(">Q", head))


def _exactly(stream, size):
    data = bytearray()
    while len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            return b""
        data += more
    return bytes(data)


def write(descriptor: int, message: dict) -> None:
    """A frame."""
    data = json.dumps(message).encode()
    view = memoryview(struct.pack(">Q", len(data)) + data)
    while view:
        view = view[os.write(descriptor, view) :]


class Court:
    """A zygote, and the libraries that learners may import.

    `place` is an empty folder for what their processes read and write.
    """

    def __init__(self, course: Path, place: Path):
        self.course, self.place = course, place
        self.place.chmod(0o755)  # another user's process reads in it
        for name in ("scratch", "libraries"):
            (self.place / name).mkdir()
        for name in PROGRAM:
            copy = self.place / "program" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(__file__).parents[2] / name, copy)
        self.libraries = {}
        self.zygote = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.zygote is not None:
            self.zygote.close()

    def judge(self, job: dict, failed: list[str], tell) -> dict:
        """The verdict on a job."""
        try:
            return _Case(self, job, failed, tell).judge()
        except (ConnectionError, TimeoutError):  # the zygote is lost
            if self.zygote is not None:
                self.zygote.close()
            self.zygote = None
            return _Case(self, job, failed, tell).judge()

    def expect(self, job: dict) -> None:
        """Start the zygote for a job that needs one: it loads torch while this does."""
        from course.exercises import canonical

        if any(
            cell["kind"] == "answer"
            and not canonical.is_stub(cell["source"], cell["stub"])
            for cell in job["cells"]
        ):
            self.ready(job["level"] == "none")

    def ready(self, bare: bool):
        """The zygote, started where there is none; `bare` without a sandbox."""
        from course.grading import forks

        if self.zygote is not None and self.zygote.bare != bare:
            self.zygote.close()
            self.zygote = None
        if self.zygote is None:
            self.zygote = forks.Zygote(
                self.place / "program",
                self.place / "scratch",
                [self.place / "libraries"],
                bare,
            )
        return self.zygote

    def library(self, absent: list[str]) -> str:
        """A folder with `lib` and the test kit, without the absent modules."""
        key = tuple(absent)
        if key not in self.libraries:
            folder = self.place / "libraries" / str(len(self.libraries))
            hidden = {Path(*name.split(".")).with_suffix(".py") for name in absent}

            def ignored(place, names):
                here = Path(place).relative_to(self.course)
                return [n for n in names if n == "__pycache__" or here / n in hidden]

            shutil.copytree(self.course / "lib", folder / "lib", ignore=ignored)
            (folder / "course").mkdir()
            for name in KIT:
                shutil.copyfile(Path(__file__).parents[2] / name, folder / name)
            compileall.compile_dir(folder, quiet=2)  # learners' processes cannot
            self.libraries[key] = str(folder)
        return self.libraries[key]


class _Case:
    """One job; `ask` is for the proxies of the exercise that is being judged."""

    def __init__(self, court, job, failed, tell):
        from course import check
        from course.exercises import canonical
        from course.grading import proxies, words

        self.proxies, self.check, self.words = proxies, check, words
        self.court, self.job, self.tell = court, job, tell
        self.cells = job["cells"]
        self.limits = job["limits"]
        whole = sum(self.limits["seconds"].values()) + self.limits["cell_seconds"]
        self.left = self.most = min(whole, MOST)
        self.by_id = {cell["id"]: cell for cell in self.cells}
        self.answer = {
            c["task"]: i for i, c in enumerate(self.cells) if c["kind"] == "answer"
        }
        self.settled = dict.fromkeys(failed, ("grader error", self.words.FAILED))
        for task, index in self.answer.items():
            cell = self.cells[index]
            if canonical.is_stub(cell["source"], cell["stub"]):
                self.settled.setdefault(task, ("not attempted", "not attempted"))
        self.functions, self.data = _names(
            tuple(cell["stub"] for cell in self.cells if cell["kind"] == "answer")
        )
        self.given = {"__name__": "__main__"}
        for name in self.functions:
            target = proxies.Reference("name", name)
            self.given[name] = type(name, (proxies.Remote,), {})(self, target)
        self.line = self.exercise = None
        self.next = 0
        self.deaths, self.raised, self.notes = {}, {}, []
        self.checks, self.errors, self.seconds = {}, {}, {}

    def judge(self):
        begun = time.monotonic()
        groups = self.groups()
        plain, self.check.probe = self.check.probe, self.probe
        try:
            for index, cell in enumerate(self.cells):
                if cell["kind"] == "given":
                    self.give(cell)
                elif index in groups:
                    self.tell(cell["task"])
                    self.judge_exercise(cell["task"], groups[index])
        finally:
            self.check.probe = plain
            self.stop()
        self.note()
        for cell in self.cells:
            self.suspect(cell)
        return self.verdict(time.monotonic() - begun)

    def groups(self):
        """The tests that follow each other, by the index of the first."""
        found = {}
        for task, group in itertools.groupby(
            enumerate(self.cells),
            lambda each: each[1]["task"] if each[1]["kind"] == "test" else None,
        ):
            if task is not None:
                indices = [index for index, _ in group]
                found[indices[0]] = indices
        return found

    def give(self, cell):
        """Run given code here too, for the tests. What fails here, since it needs a
        value of the learner's, is not there for a test.
        """
        try:
            execute(cell["source"], cell["id"], self.given)
        except Exception as error:
            self.errors[cell["id"]] = f"{type(error).__name__}: {error}"

    def ask(self, *request):
        """Of the exercise that is being judged."""
        if self.exercise is None:
            raise self.proxies.Author("given code calls an answer at top level")
        return self.exercise.ask(*request)

    def probe(self, function):
        """What stands for a probe here; in plain Jupyter it is the function itself."""
        name = function.__code__.co_filename[1:-1]
        source = self.by_id[name]["source"]
        return self.proxies.Probe(self, function, source)

    # The learner's side

    def judge_exercise(self, task, indices):
        if task not in self.settled:
            try:
                self.advance(indices[0])
                if task not in self.settled:
                    share = self.share(self.limits["seconds"][task])
                    self.exercise = self.proxies.Exercise(self.line, *share)
            except self.proxies.Ended as ended:
                self.settled[task] = ended.status, ended.text
        for index in indices:
            cell = self.cells[index]
            if task in self.settled:
                status, text = self.settled[task]
                self.checks[cell["id"]] = (0.0, status, text, False)
            else:
                self.checks[cell["id"]] = self.test(cell)
        if self.exercise is not None:
            self.leave(task, last=indices[-1])

    def leave(self, task, last):
        """The end of an exercise's process; its main line goes on if it can."""
        exercise, self.exercise = self.exercise, None
        exercise.close()
        self.seconds[task] = self.seconds.get(task, 0) + exercise.seconds
        self.left -= exercise.seconds
        more = any(cell["kind"] == "test" for cell in self.cells[last + 1 :])
        late = exercise.ended and exercise.ended.status == "timed out"
        if not more or late or (self.line.busy and self.line.join() is None):
            self.stop()

    def share(self, limit):
        """What is left for a limit: (seconds, what the learner reads if they pass)."""
        if limit <= self.left:
            return limit, self.words.late(limit)
        text = f"stopped: a notebook as a whole may take {self.most:g} s"
        return max(self.left, 0), text

    def stop(self):
        if self.line is not None:
            self.line.close()
            self.line = None

    def advance(self, index):
        """Bring the main line to a cell: where it died before, the stub runs."""
        while self.line is None or self.next < index:
            if self.left <= 0:
                _, late = self.share(self.limits["cell_seconds"])
                raise self.proxies.Ended("timed out", late)
            if self.line is None:
                self.begin()
            cell = self.cells[self.next]
            source = self.source(self.next)
            begun = time.monotonic()
            try:
                if source is not None and self.next < index:
                    share = self.share(self.limits["cell_seconds"])
                    told = self.line.run(cell, source, *share)
                    if told:
                        self.suspect(cell, told)
                        if cell["kind"] == "answer" and self.words.exits(told):
                            outcome = self.explain(told, cell["task"])
                            self.settled.setdefault(cell["task"], outcome)
                    if not self.deaths.get(self.next):
                        self.raised[self.next] = told
                self.next += self.next < index
            except self.proxies.Ended as ended:
                self.deaths[self.next] = self.deaths.get(self.next, 0) + 1
                outcome = ended.status, ended.text
                if cell["kind"] == "answer":
                    self.settled.setdefault(cell["task"], outcome)
                elif self.deaths[self.next] == 1:
                    self.notes.append(self.words.died(cell, ended.text))
                self.stop()
            self.left -= time.monotonic() - begun

    def begin(self):
        setup = {
            "library": self.court.library(self.job["absent"]),
            "absent": self.job["absent"],
            "answers": sorted(self.functions | self.data),
            "weak": self.job["level"] == "weak",
        }
        policy = {"memory": self.limits["memory"], "seconds": int(self.left) + SPARE}
        given = tuple(c["source"] for c in self.cells if c["kind"] == "given")
        channels = 1 + len(self.groups())
        self.line = self.proxies.Line(
            self.court.ready(self.job["level"] == "none"),
            setup,
            policy,
            preload(given),
            channels,
        )
        self.next = 0

    def source(self, index):
        """What of a cell runs in the main line: after a death its stub or nothing."""
        cell = self.cells[index]
        died = self.deaths.get(index, 0)
        if cell["kind"] == "test" or died > (cell["kind"] == "answer"):
            return None
        return cell["stub"] if died else cell["source"]

    # The tests

    def test(self, cell):
        """Run a test: (points, status, what the learner reads, in a hidden part)."""
        os.environ["COURSE_SEED"] = self.job["seeds"][cell["task"]]
        self.check.held.clear()
        of = float(cell["points"])
        try:
            names = dict(self.given)
            for name in self.data:
                names[name] = self.ask("get", self.proxies.Reference("name", name))
            value = execute(cell["source"], cell["id"], names)
            points = of if value is None else value
            if type(points) is not float or not 0 <= points <= of:
                raise self.proxies.Author(f"{value!r} is no score from 0 to {of:g}")
        except self.proxies.Ended as ended:
            self.settled[cell["task"]] = ended.status, ended.text
            return 0.0, ended.status, ended.text, False
        except BaseException as error:
            return 0.0, *self.failure(cell, error)
        if points == of:
            return of, "passed", self.words.checked(self.check.held), False
        return points, "wrong", f"{points:g} of {of:g} points", False

    def failure(self, cell, error):
        """What a test's exception says: (status, what the learner reads, hidden)."""
        from course.exercises.regions import HIDDEN, region

        filename = f"<{cell['id']}>"
        places = traceback.extract_tb(error.__traceback__)
        lines = [p.lineno for p in places if p.filename == filename]
        hidden = any(line - 1 in region(cell["source"], HIDDEN) for line in lines)
        raised = self.raised.get(self.answer[cell["task"]])
        match error:
            case self.proxies.LearnerError() | self.proxies.Refused() if raised:
                # An answer cell that raises is the first thing to mend.
                return *self.explain(raised, cell["task"]), hidden
            case self.proxies.LearnerError():
                self.suspect(self.cells[self.answer[cell["task"]]], error.told)
                return *self.explain(error.told, cell["task"]), hidden
            case self.proxies.Refused():
                text = str(error)
                if not text.startswith("class "):
                    return "wrong", f"answer too large: {text}", hidden
                return "wrong", f"your function returned {text}", hidden
            case self.check.Wrong():
                return "wrong", error.outline if hidden else str(error), hidden
            case AssertionError():
                return "wrong", self.words.failed(error), hidden
            case Exception() if not isinstance(error, (self.proxies.Author, *MISTAKES)):
                learned = self.functions | self.data
                if lines and self.words.touches(cell["source"], learned, lines[-1]):
                    what = self.check.describe(self.exercise.last, values=not hidden)
                    text = f"the test cannot use what your function returned: {what}"
                    if not hidden:
                        text += f"\n{type(error).__name__}: {error}"
                    return "wrong", text, hidden
        self.errors[cell["id"]] = "".join(traceback.format_exception(error))
        return "grader error", self.words.FAILED, hidden

    def explain(self, told, task):
        """A learner's own exception: the status, and their own line in words."""
        return self.words.explain(told, task, self.by_id, self.limits["memory"])

    def note(self):
        """What cells raised that no exercise speaks of; it costs nothing by itself."""
        for index, told in sorted(self.raised.items()):
            cell = self.cells[index]
            if told is None or cell["kind"] == "answer":
                continue
            memory = self.limits["memory"]
            self.notes.append(self.words.raised(cell, told, self.by_id, memory))

    def suspect(self, cell, told=None):
        """Note for the instructor what a person might look at: an answer imported, or
        a path asked for that is not there for learners. Seen is only what a cell says
        and what its exceptions say; it proves nothing and costs nothing.
        """
        found, answers = [], []
        if told is None:
            answers = sorted(named(cell["source"]).intersection(self.job["absent"]))
        elif told["type"] == "ImportError" and "holds the answer" in told["text"]:
            answers = [told["text"].partition(" ")[0]]
        elif told["type"] in OUTSIDE and PLACE.search(told["text"]):
            found.append(("flag-path", f"{told['type']}: {told['text']}"))
        for name in answers:
            found.append(("flag-answer", f"asks for {name}, which holds the answer"))
        for code, text in found:
            note = {"code": code, "text": f"{self.words.label(cell)}: {text}"}
            if cell["kind"] in ("own", "answer") and note not in self.notes:
                self.notes.append(note)

    # The verdict

    def verdict(self, seconds):
        tests = {}
        for cell in self.cells:
            if cell["kind"] != "test":
                continue
            points, status, message, hidden = self.checks[cell["id"]]
            tests.setdefault(cell["task"], {})[cell["id"]] = {
                "points": points,
                "of": float(cell["points"]),
                "status": status,
                "message": self.words.escaped(message, LONGEST),
                "hidden": hidden,
            }
        exercises = {}
        for task, of in tests.items():
            said = [(each["status"], each["message"]) for each in of.values()]
            status, message = self.words.outcome(said)
            exercises[task] = {"status": status, "message": message, "checks": of}
        return {
            "schema": SCHEMA,
            "verdict": {
                "lesson": self.job["lesson"],
                "content": self.job.get("content") or content(self.cells),
                "exercises": exercises,
                "notes": self.notes,
                # By a hash of the job's text, which does not tell the seed.
                "seeds": {
                    task: hashlib.sha256(seed.encode()).hexdigest()[:16]
                    for task, seed in self.job["seeds"].items()
                },
                "versions": self.job.get("versions", {}),
            },
            "run": {
                "seconds": round(seconds, 4),
                "tasks": {task: round(each, 4) for task, each in self.seconds.items()},
                "limits": self.limits,
                "cached": False,
                # None if nothing of the learner's ran.
                "isolated": self.court.zygote and self.court.zygote.isolated,
                # For the instructor only: they may quote tests.
                "errors": self.errors,
            },
        }


def execute(source: str, name: str, names: dict):
    """Run trusted code; the value of its last expression."""
    body, last = _compiled(source, name)
    exec(body, names)
    return last and eval(last, names)


@functools.lru_cache(1000)
def _compiled(source, name):
    filename = f"<{name}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    tree = ast.parse(source)
    last = None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = ast.Expression(tree.body.pop().value)
        last = compile(last, filename, "eval")
    return compile(tree, filename, "exec"), last


@functools.lru_cache(1000)
def preload(sources: tuple[str, ...]) -> list[str]:
    """What given code imports, without the course's own modules."""
    names = set()
    for node in itertools.chain(*(ast.walk(ast.parse(source)) for source in sources)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return sorted(name for name in names if name.split(".")[0] not in ("lib", "course"))


def content(cells: list[dict]) -> str:
    """A hash of the learner's cells."""
    mine = [[c["id"], c["source"]] for c in cells if c["kind"] in ("own", "answer")]
    return hashlib.sha256(json.dumps(mine).encode()).hexdigest()


@functools.lru_cache(1000)
def named(source: str) -> frozenset[str]:
    """The modules of `lib` that code imports or names in a string, wherever in it."""
    found = set()
    try:
        nodes = list(ast.walk(ast.parse(source))) if "lib" in source else []
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        nodes = []  # what does not parse does not import either
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return frozenset(found)


@functools.lru_cache(1000)
def _names(stubs):
    """What answer cells define: (functions and classes, data)."""
    from course.grading import words

    functions, data = set(), set()
    for node in itertools.chain(*(ast.parse(stub).body for stub in stubs)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            functions.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            data |= set().union(*map(words.bound, targets))
    return functions, data - functions


if __name__ == "__main__":
    main()
