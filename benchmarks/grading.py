"""What grading costs, beside stock nbgrader: the same notebooks in one run.

    python -m benchmarks.grading [--learners 20] [--only WHAT]

(`--only`, which can be given more than once: trivial, real, check, target or profile)
prints tables and writes `_build/benchmarks/grading.json`. Every run is a command of its
own in a throw-away course, as an instructor would give it, into a gradebook and, for
the judge, in the sandbox. *Own* compute is what the cells of the same notebooks take in
one warm plain process; what a door takes beyond it is its overhead. Times of the
wall clock are of use only on a machine that does nothing else; those of the processors,
of all processes that a command had, are there for one that does.
"""

import argparse
import itertools
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.side_by_side import (
    BIN,
    ROOT,
    Row,
    Seconds,
    adopt_orphans,
    command,
    keep,
)

HERE = Path(__file__).resolve().parent
REAL, TRIVIAL, SMALL = "positional_encoding/rotary", "sums/trivial", "sums/small"
STOCK, ONE, TWO = "stock nbgrader", "judge, 1 job", "judge, 2 jobs"
DOORS = {STOCK: 0, ONE: 1, TWO: 2}
GOAL = 1 / 20  # of stock's overhead
TARGET = {"learners": 100, "lessons": 10, "seconds": 120, "again": 20}
CHECKS = 7

# Answers to the small lessons, beside the reference's own and the untouched stub.
ANSWERS = [
    {"double": "def double(x):\n    return x + x", "triple": "def triple(x): return x"},
    {"double": "def double(x):\n    return x * x", "triple": "def triple(x): 1 / 0"},
]


# The course


class Scene:
    """A throw-away course with one part, released, and what learners handed in.

    `sources` maps each lesson to the text of its source.
    """

    def __init__(self, folder: Path, sources: dict[str, str], config: str = ""):
        self.folder, self.state = folder / "course", folder / "state"
        self.lessons = list(sources)
        self.part = self.lessons[0].split("/")[0]
        self.folder.mkdir(parents=True)
        for name in ("pyproject.toml", "requirements.lock"):
            shutil.copy(ROOT / name, self.folder)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "lib", self.folder / "lib", ignore=ignored)
        configured = (ROOT / "nbgrader_config.py").read_text("utf-8")
        path = self.folder / "nbgrader_config.py"
        path.write_text(f"{configured}\n{config}", "utf-8")
        for lesson, text in sources.items():
            path = self.folder / f"solutions/{lesson}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        self.run("course", "assign")
        self.run("nbgrader", "generate_assignment", self.part)

    def run(self, program: str, *arguments: str) -> Seconds:
        """Run a command in the course; what it took."""
        return command(self.folder, self.environment(), program, *arguments)

    def environment(self) -> dict[str, str]:
        """Of the commands: the course's `lib` is importable in stock's kernels too."""
        mine = {"COURSE_STATE": str(self.state), "PYTHONPATH": str(self.folder)}
        return os.environ | mine | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}

    def recorded(self, students: list[str]) -> float:
        """The seconds from the first of these learners' notebooks to the last."""
        base = self.folder / "grading/autograded"
        times = [
            path.stat().st_mtime
            for student in students
            for path in (base / student).glob("*/*.ipynb")
        ]
        return max(times) - min(times)

    def source(self, lesson: str) -> dict:
        """The instructor's notebook."""
        path = self.folder / f"_build/nbgrader/source/{lesson}.ipynb"
        return json.loads(path.read_bytes())

    def answered(self, lesson: str, answers: dict[str, str] | None) -> dict:
        """A learner's notebook: these answers and else the reference's; None: stubs."""
        path = self.folder / f"exercises/{lesson}.ipynb"
        notebook = json.loads(path.read_bytes())
        solved = {
            cell["id"]: "".join(cell["source"]) for cell in self.source(lesson)["cells"]
        }
        for cell in notebook["cells"]:
            nbgrader = cell["metadata"].get("nbgrader", {})
            if answers is not None and nbgrader.get("solution"):
                name = nbgrader["grade_id"]
                cell["source"] = answers.get(name, solved[cell["id"]])
        return notebook

    def submit(self, student: str, lesson: str, answers: dict[str, str] | None):
        """Hand in a notebook."""
        path = self.folder / f"grading/submitted/{student}/{lesson}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.answered(lesson, answers)), "utf-8")

    def marks(self) -> dict[str, float]:
        """What each learner has in the gradebook."""
        from nbgrader.api import Gradebook

        with Gradebook(f"sqlite:///{self.state / 'gradebook.db'}") as gradebook:
            submissions = gradebook.assignment_submissions(self.part)
            return {each.student.id: each.score for each in submissions}

    def grade(self, workers: int, *students: str) -> Seconds:
        """Grade these learners, or all; what it took."""
        if not workers:
            chosen = [f"--student={student}" for student in students]
            return self.run("nbgrader", "autograde", self.part, *chosen)
        chosen = [part for student in students for part in ("--student", student)]
        return self.run("course", "grade", self.part, "--jobs", str(workers), *chosen)


def bodies(lesson: str) -> list[dict[str, str] | None]:
    """What learners hand in: the reference, the stub, and answers that are wrong."""
    if lesson != REAL:
        return [{}, None, *ANSWERS]
    from course.exercises import proof
    from course.exercises.source import read

    wrong = [b.answers for b in proof.written(read(REAL)) if b.name.startswith("wrong")]
    return [{}, None, *wrong]


def texts(lesson: str, count: int = 1) -> dict[str, str]:
    """The source of a lesson, or of several copies of it."""
    if lesson == REAL:
        path = ROOT / f"solutions/{REAL}.py"
    else:
        path = HERE / f"lessons/{lesson.split('/')[1]}.py"
    text = path.read_text("utf-8")
    names = [lesson] if count == 1 else [f"{lesson}_{n}" for n in range(count)]
    return dict.fromkeys(names, text)


# Own compute

OWN = """
import ast, importlib, json, os, sys, time, types
sys.path.insert(0, os.getcwd())
for name in ("numpy", "torch", "jaxtyping", "course.check",
             "torch.fx.experimental.symbolic_shapes"):
    importlib.import_module(name)

def run(cells):
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    for name, source in cells:
        try:
            exec(compile(source, name, "exec"), vars(main))
        except BaseException:
            pass  # an answer that is wrong

notebooks = json.load(sys.stdin)
out = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
for cells in notebooks:
    run(cells)
begun = time.perf_counter()
for cells in notebooks:
    run(cells)
os.write(out, repr(time.perf_counter() - begun).encode())
"""


def own(scene: Scene, handed_in: list[tuple[str, dict[str, str] | None]]) -> float:
    """The seconds that the cells of notebooks take, tests with their hidden parts, in
    one process that has imported everything and run them once before."""
    notebooks = []
    for lesson, answers in handed_in:
        learner = scene.answered(lesson, answers)["cells"]
        tests = {cell["id"]: cell for cell in scene.source(lesson)["cells"]}
        notebooks.append(
            [
                (cell["id"], "".join(_whole(cell, tests)["source"]))
                for cell in learner
                if cell["cell_type"] == "code"
            ]
        )
    ran = subprocess.run(
        [sys.executable, "-c", OWN],
        input=json.dumps(notebooks),
        cwd=scene.folder,
        env=scene.environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(ran.stdout)


def _whole(cell, source):
    return (
        source[cell["id"]]
        if cell["metadata"].get("nbgrader", {}).get("grade")
        else cell
    )


# What is measured


def beside_stock(folder: Path, lesson: str, learners: int) -> dict:
    """The same notebooks by every door.

    Raises:
        RuntimeError: a door gives other marks than stock nbgrader.
    """
    from course.exercises.classroom import STOCK as CONFIG

    handed_in = list(itertools.islice(itertools.cycle(bodies(lesson)), learners))
    result = {"learners": learners, "doors": {}}
    for door, workers in DOORS.items():
        config = "" if workers else CONFIG
        scene = Scene(folder / str(workers), texts(lesson), config)
        names = [f"learner{number:03}" for number in range(learners)]
        if not result["doors"]:
            seconds = own(scene, [(lesson, answers) for answers in handed_in])
            result["own"] = seconds / learners
        for name in ("first", "second"):
            scene.submit(name, lesson, {})
        times = {"cold": scene.grade(workers, "first")}
        times["one"] = scene.grade(workers, "second")
        for name, answers in zip(names, handed_in):
            scene.submit(name, lesson, answers)
        times["batch"] = scene.grade(workers)
        # What a notebook more takes: from the first that is recorded to the last, and
        # of processors without those of a run with one notebook.
        more = (times["batch"].cpu - times["one"].cpu) / (learners - 1)
        times["each"] = Seconds(scene.recorded(names) / (learners - 1), more)
        times["minute"] = 60 * learners / times["batch"].wall
        times["overhead"] = Seconds(*(each - result["own"] for each in times["each"]))
        if workers:
            times["again"] = scene.grade(workers)
        if scene.marks() != result.setdefault("marks", scene.marks()):
            raise RuntimeError(f"{lesson}: other marks by {door} than by {STOCK}")
        result["doors"][door] = times
    return result


def checks(folder: Path, lesson: str) -> dict:
    """The seconds to a verdict of `course check`, a command of its own and after a save
    under `--watch`; and, taking turns with the first, of `nbgrader validate`."""
    scene = Scene(folder, texts(lesson))
    path = scene.folder / f"work/{lesson}.ipynb"
    path.parent.mkdir(parents=True)
    text = json.dumps(scene.answered(lesson, {}))
    path.write_text(text, "utf-8")
    half = path.with_suffix(".half")
    doors = ("course", "check", lesson), ("nbgrader", "validate", str(path))
    taken = [[scene.run(*door).wall for door in doors] for _ in range(CHECKS)]
    cold, stock = map(statistics.median, zip(*taken))
    with subprocess.Popen(
        [BIN / "course", "check", lesson, "--watch"],
        cwd=scene.folder,
        env=scene.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        _until_waiting(process)
        watched = []
        for number in range(CHECKS):
            time.sleep(0.3 + 0.017 * number)  # at any moment between two looks
            begun = time.perf_counter()
            # In one piece, as Jupyter saves: half a file would be a save more.
            half.write_text(text + " " * number, "utf-8")
            half.replace(path)
            _until_waiting(process)
            watched.append(time.perf_counter() - begun)
        process.terminate()
    return {
        "cold": cold,
        "stock": stock,
        "watch": statistics.median(watched),
    }


def _until_waiting(process):
    for line in process.stdout:
        if line.startswith("waiting for the next save"):
            return
    raise RuntimeError("course check --watch has ended")


def target(folder: Path) -> dict:
    """A hundred learners with ten notebooks each, on two jobs; and from the cache."""
    sources = texts(SMALL, TARGET["lessons"])
    scene = Scene(folder, sources)
    choices = itertools.cycle(bodies(SMALL))
    handed_in = []
    for number in range(TARGET["learners"]):
        for lesson in sources:
            answers = next(choices)
            scene.submit(f"learner{number:03}", lesson, answers)
            handed_in.append((lesson, answers))
        next(choices)  # or a lesson would always be answered alike
    return {
        "own": own(scene, handed_in),
        "whole": scene.grade(2),
        "again": scene.grade(2),
    }


# Where it goes


class Split:
    """Seconds by label: of what is watched, without what is watched inside it."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self.stack: list[list] = []
        self.watched: list[tuple] = []

    def watch(self, owner, name: str, label: str) -> None:
        """Count the time of a function or method, under a label."""
        function = getattr(owner, name)

        def watched(*args, **kwargs):
            begun = time.perf_counter()
            self.stack.append(0.0)
            try:
                return function(*args, **kwargs)
            finally:
                passed = time.perf_counter() - begun
                mine = passed - self.stack.pop()
                self.seconds[label] = self.seconds.get(label, 0) + mine
                if self.stack:
                    self.stack[-1] += passed

        self.watched.append((owner, name, function))
        setattr(owner, name, watched)

    def restore(self) -> None:
        """Watch no more."""
        for owner, name, function in self.watched:
            setattr(owner, name, function)


WATCHED = {
    "intake and canonical": "submission.read submission.choose",
    "job": "work.prepare jobs.cells jobs.content",
    "fork and sandbox": "forks.Zygote.fork forks.Zygote.end proxies.Line.fork",
    "cells": "proxies.Line.run",
    "requests": "proxies.Exercise.ask",
    "tests": "court._Case.test",
    "rest of the court": "court.Court.judge",
    "verdict and store": "work.Work.verdict verdicts.Store.load verdicts.Store.save",
    "graded notebook": "submission.graded writer.files writer.node writer.same "
    "writer.place",
    "writer": "writer.Writer.record writer.Writer.void writer.Writer.is_current "
    "writer.Writer.check",
}


def profile(folder: Path, lesson: str, learners: int) -> dict:
    """Seconds a notebook by what they are spent on: the judge in this process instead
    of a worker's, one notebook after the other."""
    scene, answered = Scene(folder, texts(lesson)), bodies(lesson)
    here = Path.cwd()
    os.environ.update(scene.environment())
    os.chdir(scene.folder)
    from course import paths
    from course.grading import (
        court,
        forks,
        grade,
        jobs,
        pool,
        proxies,
        submission,
        verdicts,
        work,
        writer,
    )

    paths.root.cache_clear()
    modules = {
        "court": court,
        "forks": forks,
        "jobs": jobs,
        "proxies": proxies,
        "submission": submission,
        "verdicts": verdicts,
        "work": work,
        "writer": writer,
    }
    place = folder / "place"
    place.mkdir()
    with court.Court(scene.folder, place) as bench:

        class Judges(pool.Judges):
            def one(self, job):
                verdict = bench.judge(json.loads(job), [], lambda task: None)
                return json.dumps(verdict).encode()

            def all(self, jobs, alone=False):
                return ((name, self.one(job)) for name, job in jobs)

        for answers in ({}, None):
            scene.submit("first", lesson, answers)
            grade.run(scene.part, [], Judges(), "base")
        for number, answers in zip(range(learners), itertools.cycle(answered)):
            scene.submit(f"learner{number:03}", lesson, answers)
        split = Split()
        for label, names in WATCHED.items():
            for name in names.split():
                module, *path, last = name.split(".")
                owner = modules[module]
                for each in path:
                    owner = getattr(owner, each)
                split.watch(owner, last, label)
        begun = time.perf_counter()
        report = grade.run(scene.part, [], Judges(), "base")
        whole = time.perf_counter() - begun
    os.chdir(here)
    paths.root.cache_clear()
    if report.failures or report.recorded != learners:
        raise RuntimeError(f"not all were graded: {report.failures}")
    split.seconds["rest of the batch"] = whole - sum(split.seconds.values())
    return {label: s / learners for label, s in split.seconds.items()}


# The report


def show_doors(lesson: str, result: dict) -> None:
    """A table."""
    stock = result["doors"][STOCK]
    print(
        f"\n{lesson}: {result['learners']} notebooks; own compute of one "
        f"{1000 * result['own']:.1f} ms"
    )
    print(
        f"{'':16}{'first':>8}{'one':>8}{'all':>8}{'a minute':>10}{'× stock':>9}"
        f"{'a notebook':>13}{'beyond own':>13}{'stock’s':>9}"
        f"{'CPU of one':>13}{'beyond own':>13}{'stock’s':>9}"
    )
    for door, times in result["doors"].items():
        print(
            f"{door:16}{times['cold'].wall:7.1f}s{times['one'].wall:7.1f}s"
            f"{times['batch'].wall:7.1f}s{times['minute']:10.0f}"
            f"{times['minute'] / stock['minute']:9.1f}",
            end="",
        )
        # With two workers, those of the processors hold the start of the second.
        for kind in (0, 1) if DOORS[door] < 2 else (0,):
            beyond = times["overhead"][kind]
            part = stock["overhead"][kind] / beyond if beyond > 0 else math.inf
            print(
                f"{1000 * times['each'][kind]:11.0f}ms{1000 * beyond:11.0f}ms"
                f"   1/{part:<4.1f}",
                end="",
            )
        print()
        if "again" in times:
            print(f"{'':16}again, from the cache: {times['again'].wall:.1f} s")
    print(f"goal: with one job beyond own compute at most 1/{1 / GOAL:.0f} of stock's")


def rows(results: dict) -> list[Row]:
    """What goes into the table of all measurements, of what was measured."""
    made, against = [], "stock nbgrader"
    words = {TRIVIAL: "with nothing to compute", REAL: f"of {REAL}"}
    for lesson in filter(results.__contains__, words):
        judge, stock = (results[lesson]["doors"][door] for door in (ONE, STOCK))
        what = f"grading a notebook {words[lesson]}, alone"
        made.append(Row(what, against, judge["one"].wall, stock["one"].wall, "s"))
        pair = judge["each"].wall, stock["each"].wall
        made.append(Row("each notebook more in the same run", against, *pair, "s"))
    if "check" in results:
        pair = results["check"]["cold"], results["check"]["stock"]
        what = "a learner’s check of a notebook"
        made.append(Row(what, "`nbgrader validate`", *pair, "s"))
    return made


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--learners", type=int, default=20)
    parser.add_argument(
        "--only",
        choices=["trivial", "real", "check", "target", "profile"],
        action="append",
    )
    chosen = parser.parse_args()
    wanted = chosen.only or ["trivial", "real", "check", "target", "profile"]
    adopt_orphans()
    results = {
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "python": platform.python_version(),
        "load at the start": os.getloadavg()[0],
    }
    print(results)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "trivial" in wanted:
            found = beside_stock(folder / "trivial", TRIVIAL, chosen.learners)
            show_doors(TRIVIAL, found)
            results[TRIVIAL] = found
        if "real" in wanted:
            found = beside_stock(folder / "real", REAL, chosen.learners)
            show_doors(REAL, found)
            results[REAL] = found
        if "check" in wanted:
            results["check"] = found = checks(folder / "check", REAL)
            print(
                f"\ncourse check {REAL}, median of {CHECKS}: {found['cold']:.2f} s; "
                f"nbgrader validate {found['stock']:.2f} s; "
                f"after a save under --watch {found['watch']:.3f} s"
            )
        if "target" in wanted:
            results["target"] = found = target(folder / "target")
            whole, again = found["whole"], found["again"]
            beyond = whole.wall - found["own"] / 2
            count = TARGET["learners"] * TARGET["lessons"]
            print(
                f"\n{TARGET['learners']} learners x {TARGET['lessons']} notebooks, "
                f"2 jobs: {whole.wall:.1f} s ({whole.cpu:.1f} s of processors), of "
                f"which own compute {found['own'] / 2:.1f} s\nbeyond it {beyond:.1f} s "
                f"(goal {TARGET['seconds']} s), {1000 * beyond / count:.0f} ms a "
                f"notebook\nagain, from the cache: {again.wall:.1f} s (goal "
                f"{TARGET['again']} s)"
            )
        if "profile" in wanted:
            results["profile"] = {}
            for lesson in (SMALL, REAL):
                where = folder / "profile" / lesson.split("/")[1]
                found = profile(where, lesson, chosen.learners)
                results["profile"][lesson] = found
                print(
                    f"\n{lesson}, one notebook, the judge in one process: "
                    f"{1000 * sum(found.values()):.1f} ms"
                )
                for label, seconds in found.items():
                    print(f"  {1000 * seconds:8.1f} ms  {label}")
    keep("grading", rows(results), **results)


if __name__ == "__main__":
    main()
