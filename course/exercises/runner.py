"""The process in which a learner's notebook runs, cell by cell, as plain Python.

`course.exercises.plain` starts this file as a script and talks to it: a job a line on
standard input, events a line on what was standard output; so it imports nothing but
the standard library. The learner's code finds both streams empty.

Job: {"root", "folder", "limit": seconds a cell, "preload": [modules],
"absent": [modules that hold an answer],
"answers": [names that answers define],
"cells": [{"id", "kind": given | answer | test | own, "source"}]}.
Events: {"event": "begin", "pid"}, then for each cell {"event": "start", "cell": index}
and {"event": "end", "cell": index, "error": null or what `describe` returns}, then
{"event": "done"}; {"event": "ended", "status"} when the job's process is gone.
"""

import builtins
import contextlib
import dis
import importlib
import json
import linecache
import os
import re
import signal
import sys
import traceback
import types

# A fork of a process that has imported torch costs milliseconds, a new one seconds.
# macOS has fork, but its system libraries do not survive one.
FORKS = sys.platform == "linux"
MAGIC = re.compile(r"^(\s*)(?:[\w, ]+=\s*)?(!|%%?\w+)")
HARMLESS = {
    "%matplotlib", "%config", "%load_ext", "%autoreload", "%%time", "%%capture",
}  # fmt: skip
LONGEST = 2000


def main() -> None:
    """Do the jobs that arrive on standard input."""
    events = os.dup(1)
    os.set_inheritable(events, False)
    _redirect(os.O_WRONLY, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    for line in sys.stdin:
        job = json.loads(line)
        if sys.path[0] != job["root"]:
            sys.path.insert(0, job["root"])
        for name in job["preload"]:
            # What is missing is reported by the cell that imports it.
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        if not FORKS:
            work(job, events)
        child = os.fork()
        if not child:
            try:
                work(job, events)
            finally:  # whatever happens, this copy of the loop does not go on
                os._exit(1)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(ProcessLookupError):  # it died before it had a group
            os.killpg(child, signal.SIGKILL)  # and what it left running
        _, status = os.waitpid(child, 0)
        os.write(events, b"\n")  # it may have died in the middle of a line
        _send(events, event="ended", status=os.waitstatus_to_exitcode(status))


def work(job: dict, events: int) -> None:
    """Run a job's cells in this process, and end it."""
    if FORKS:
        os.setsid()  # no terminal to ask for a password, one group to kill
    _redirect(os.O_RDONLY, 0)
    sys.stdin = open(os.devnull)  # noqa: SIM115
    sys.argv = ["notebook"]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(job["folder"])
    builtins.input = builtins.breakpoint = _no_input
    builtins.display = lambda *_, **__: None
    sys.meta_path.insert(0, Absent(job["absent"]))
    pid = os.getpid()

    def send(**event):
        if os.getpid() != pid:  # a process that the learner's code forked
            os._exit(0)
        _send(events, **event)

    send(event="begin", pid=pid)
    notebook = types.ModuleType("__main__")
    sys.modules["__main__"] = notebook
    given = {}
    _redirect(os.O_WRONLY, 2)
    for index, cell in enumerate(job["cells"]):
        send(event="start", cell=index)
        if FORKS:  # the parent keeps the time; this is for when the parent is gone
            signal.alarm(int(job["limit"]) + 10)
        scope = notebook.__dict__
        if cell["kind"] == "test":
            # A test sees what the release gives and the answers, not what else a
            # learner's cell or another test happens to have bound.
            answers = {name: scope[name] for name in job["answers"] if name in scope}
            scope = {"__name__": "__main__", **given, **answers}
        error = execute(cell["source"], cell["id"], scope)
        if cell["kind"] == "given":
            stored = _stored(cell["source"], cell["id"])
            given |= {name: scope[name] for name in stored if name in scope}
        send(event="end", cell=index, error=error)
    send(event="done")
    os._exit(0)  # not held up by a thread or an exit handler left behind


class Absent:
    """Refuses to import the modules that an exercise asks one to write."""

    def __init__(self, names: list[str]):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        """Raise ImportError for an absent module; leave others to the next finder."""
        if name in self.names:
            raise ImportError(f"{name} holds the answer: it is absent in this exercise")


def execute(source: str, name: str, scope: dict) -> dict | None:
    """Run a cell in `scope`; None, or a description of what it raised."""
    filename = f"<{name}>"
    lines = source.splitlines(keepends=True)
    linecache.cache[filename] = (len(source), None, lines, filename)
    try:
        code = compile(plain(source, filename), filename, "exec", dont_inherit=True)
        exec(code, scope)
    except BaseException as error:
        return describe(error, filename)
    return None


def plain(source: str, filename: str) -> str:
    """`source` as plain Python: harmless magics are blanked.

    Raises:
        SyntaxError: it is not Python, or calls a shell or another magic.
    """
    try:
        compile(source, filename, "exec", dont_inherit=True)
        return source
    except SyntaxError:
        lines = source.split("\n")
    for number, line in enumerate(lines):
        magic = MAGIC.match(line)
        if magic is None:
            continue
        indent, word = magic.groups()
        if word not in HARMLESS:
            what = "a shell command" if word == "!" else f"the magic {word}"
            raise SyntaxError(
                f"{what} does not work here, where cells run as plain Python: "
                "remove the line",
                (filename, number + 1, 1, line),
            )
        lines[number] = f"{indent}pass"
    return "\n".join(lines)


def describe(error: BaseException, filename: str) -> dict:
    """What a learner needs to know of an exception.

    `base` is the built-in type that it is one of; `frames` the last place in each cell
    that it passed through, outermost first, as {"cell", "line"}. The frame of a syntax
    error is where it is.
    """
    places = traceback.extract_tb(error.__traceback__)
    try:
        text = str(error)
    except Exception as second:
        text = f"(its message raised {type(second).__name__})"
    if isinstance(error, SyntaxError) and error.filename == filename:
        places = [traceback.FrameSummary(filename, error.lineno, "", line=error.text)]
        text = error.msg
    frames = {}
    for place in places:
        if place.filename in linecache.cache and place.filename.startswith("<"):
            name = place.filename[1:-1]
            frames.pop(name, None)
            frames[name] = {"cell": name, "line": place.lineno}
    return {
        "type": type(error).__name__,
        "base": next(
            c.__name__ for c in type(error).__mro__ if c.__module__ == "builtins"
        ),
        "text": text[:LONGEST],
        "frames": list(frames.values()),
    }


def _stored(source: str, name: str) -> set[str]:
    """The names that a cell binds at top level."""
    try:
        code = compile(plain(source, name), name, "exec", dont_inherit=True)
    except SyntaxError:
        return set()
    return {op.argval for op in dis.get_instructions(code) if op.opname == "STORE_NAME"}


def _no_input(*_):
    raise RuntimeError(
        "input() is not available: the notebook runs from top to bottom by itself"
    )


def _redirect(mode: int, descriptor: int) -> None:
    empty = os.open(os.devnull, mode)
    os.dup2(empty, descriptor)
    os.close(empty)


def _send(descriptor: int, **event) -> None:
    data = json.dumps(event).encode() + b"\n"
    while data:
        data = data[os.write(descriptor, data) :]


if __name__ == "__main__":
    main()
