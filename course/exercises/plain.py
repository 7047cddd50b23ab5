"""A notebook's job in one plain process, where the judge's own cannot be.

For `course check` only: nothing shuts the learner's code in, and tests run beside it.
What came of it is put into the judge's words.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from course.exercises import canonical, runner
from course.grading import court, words
from course.paths import root


@dataclass(frozen=True)
class Death:
    """What ended the process that ran a cell."""

    status: str
    text: str


class Plain:
    """The process that runs notebooks; it keeps its imports from one to the next."""

    def __init__(self):
        self._process = None
        self._child = None
        self._events = None

    def judge(self, job: dict, tell: Callable[[str], None]) -> dict:
        """The exercises and notes of the verdict on a job, run in the job's "folder";
        `tell` is called with each task whose tests are over.
        """
        return _Case(job, self._run, tell).judge()

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._kill()
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()

    def _run(self, job, ended):
        """Run a job, calling `ended` with the index and error of each cell that ends;
        None, or the index of the cell in which the process died, and how.
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
                late = Death("timed out", words.late(job["limit"]))
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
        in_test = job["cells"][running]["kind"] == "test"
        text = words.ending(status) if in_test else words.HERE
        return running, late or Death("crashed", text)

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


class _Case:
    """One job."""

    def __init__(self, job, run, tell):
        self.job, self.run, self.tell = job, run, tell
        self.cells = job["cells"]
        self.by_id = {cell["id"]: cell for cell in self.cells}
        self.answer = {
            c["task"]: i for i, c in enumerate(self.cells) if c["kind"] == "answer"
        }
        self.names = {
            name
            for index in self.answer.values()
            for name in canonical.defined(self.cells[index]["stub"])
        }
        self.settled = {
            task: ("not attempted", "not attempted")
            for task, index in self.answer.items()
            if canonical.is_stub(self.cells[index]["source"], self.cells[index]["stub"])
        }
        self.errors: dict[int, dict | None] = {}
        self.died = Counter()
        self.notes = []

    def judge(self):
        while (death := self.attempt()) is not None:
            index, death = death
            cell = self.cells[index]
            self.died[index] += 1
            if cell["task"] is not None:
                self.settled.setdefault(cell["task"], (death.status, death.text))
            elif self.died[index] == 1:
                self.notes.append(words.died(cell, death.text))
        memory = self.job["limits"]["memory"]
        for index, error in sorted(self.errors.items()):
            cell = self.cells[index]
            if error and cell["task"] is None and not self.died[index]:
                told = words.claimed(error)
                self.notes.append(words.raised(cell, told, self.by_id, memory))
        return {"exercises": self.exercises(), "notes": self.notes}

    def attempt(self):
        """Run what is still to run; the cell in which that died, and how, if it did."""
        # Where the process died before, an answer's stub runs, and nothing else.
        todo = [
            index
            for index, cell in enumerate(self.cells)
            if self.died[index] <= (cell["kind"] == "answer")
            and not (
                cell["kind"] == "test"
                and (index in self.errors or cell["task"] in self.settled)
            )
        ]
        if self.died and all(self.cells[index]["kind"] != "test" for index in todo):
            return None
        given = tuple(c["source"] for c in self.cells if c["kind"] == "given")
        modules = court.preload(given)
        if "torch" in modules:
            # The first backward(gradient) imports it, with sympy: half a second.
            modules.append("torch.fx.experimental.symbolic_shapes")
        job = {
            "root": str(root()),
            "folder": self.job["folder"],
            "limit": self.job["limits"]["cell_seconds"],
            "preload": modules,
            "absent": self.job["absent"],
            "answers": sorted(self.names),
            "cells": [self.cell(index) for index in todo],
        }

        def ended(place, error):
            self.errors[todo[place]] = error
            cell = self.cells[todo[place]]
            if cell["kind"] == "test":
                self.tell(cell["task"])

        death = self.run(job, ended)
        return death and (todo[death[0]], death[1])

    def cell(self, index):
        cell = self.cells[index]
        source = cell["stub"] if self.died[index] else cell["source"]
        return {"id": cell["id"], "kind": cell["kind"], "source": source}

    def exercises(self):
        found = {}
        for index, cell in enumerate(self.cells):
            if cell["kind"] != "test":
                continue
            status, message = self.test(index, cell)
            found.setdefault(cell["task"], {})[cell["id"]] = {
                "points": float(cell["points"]) if status == "passed" else 0.0,
                "status": status,
                "message": words.escaped(message, court.LONGEST),
            }
        exercises = {}
        for task, of in found.items():
            said = [(each["status"], each["message"]) for each in of.values()]
            status, message = words.outcome(said)
            exercises[task] = {"status": status, "message": message, "checks": of}
        return exercises

    def test(self, index, cell):
        """What came of a test: (status, what the learner reads)."""
        if index not in self.errors:
            return self.settled[cell["task"]]
        if self.errors[index] is None:
            return "passed", ""
        told = words.claimed(self.errors[index])
        raised = self.errors.get(self.answer[cell["task"]])
        lines = [line for name, line in told["frames"] if name == cell["id"]]
        own = any(
            name in self.by_id and self.by_id[name]["kind"] in ("answer", "own")
            for name, _ in told["frames"]
        )
        touched = lines and words.touches(cell["source"], self.names, lines[-1])
        if told["base"] == "AssertionError" and not own:
            return "wrong", self.errors[index]["text"] or "a check failed"
        if not own and not touched:
            return "grader error", words.FAILED
        # An answer cell that raises is the first thing to mend.
        told = words.claimed(raised) if raised else told
        memory = self.job["limits"]["memory"]
        status, text = words.explain(told, cell["task"], self.by_id, memory)
        if not own and not raised and told["type"] != "NameError":
            line = cell["source"].split("\n")[lines[-1] - 1].strip()
            text = f"{words.label(cell)}, line {lines[-1]}: {line}\n{text}"
        return status, text
