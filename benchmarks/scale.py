"""What a class costs that outgrows one machine: unit costs measured here, and from them
a class of 100,000 simulated.

    python -m benchmarks.scale [--learners 100] [--save]

Grades the same class by one worker and by two, through a Dask scheduler, and into
PostgreSQL where its programs are installed; prints learners a minute and where the time
goes; then plays the queue of `course grade` for a class of 100,000 (jobs to workers,
replies to the one process that writes) with these times. Writes
`_build/benchmarks/scale.json`; `--save` writes the tables of the instructor guide,
`book/_data/grading_scale*.csv`.

Times are of the wall clock: of use only on a machine that does nothing else.
"""

import argparse
import contextlib
import csv
import heapq
import itertools
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.grading import REAL, SMALL, Scene, Split, bodies, texts
from benchmarks.side_by_side import OUT, ROOT, keep

sys.path.insert(0, str(ROOT / "tests/grading"))

DATA = ROOT / "book/_data"
CLASS = 100_000
WORKERS = (2, 8, 32, 128, 512)
SLOW = 0.01  # of notebooks that reach a limit, and are judged again alone
LIMIT = 5.0  # seconds
MACHINE = 16  # workers on one machine of the cluster
SIGNS = "workers"  # the folder in which each worker leaves a file


# Unit costs


def grade_class(folder: Path, lesson: str, learners: int, how: str) -> dict:
    """Grade a class; seconds in all, and what the process that writes took of them.

    `how`: "1 worker", "2 workers", "2 workers, Dask", "2 workers, PostgreSQL".
    """
    from course import paths
    from course.grading import grade, jobs, pool, work, writer

    scene, answered = Scene(folder, texts(lesson)), bodies(lesson)
    with contextlib.ExitStack() as stack:
        stack.callback(os.chdir, Path.cwd())
        os.environ.update(scene.environment())
        os.chdir(scene.folder)
        for cache in (paths.root, jobs._common, jobs._reference, jobs._library):
            cache.cache_clear()
            stack.callback(cache.cache_clear)
        if "PostgreSQL" in how:
            _into_postgresql(scene, stack)
        judges = stack.enter_context(_judges(scene, how, stack))
        rounds = itertools.count()

        def some_more():
            early = [f"early{next(rounds):03}{number:02}" for number in range(20)]
            for name in early:
                scene.submit(name, lesson, {})
            grade.run(scene.part, early, judges, pool.LEAST)

        until_all_have_judged(scene.state, int(how.split()[0]), some_more)
        names = [f"learner{number:05}" for number in range(learners)]
        for name, answers in zip(names, itertools.cycle(answered)):
            scene.submit(name, lesson, answers)
        split = Split()
        split.watch(grade._Batch, "_plan", "plan")
        split.watch(grade._Batch, "_record", "files")
        split.watch(writer.Writer, "record", "gradebook")
        stack.callback(split.restore)
        before = resource.getrusage(resource.RUSAGE_SELF)
        begun = time.perf_counter()
        report = grade.run(scene.part, names, judges, pool.LEAST)
        whole = time.perf_counter() - begun
        used = resource.getrusage(resource.RUSAGE_SELF)
        if report.failures or report.recorded != learners:
            raise RuntimeError(f"not all were graded: {report.failures}")
        said = [work.store().load(name, lesson)["run"]["seconds"] for name in names]
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    each = {label: seconds / learners for label, seconds in split.seconds.items()}
    return {
        "learners a minute": 60 * learners / whole,
        "writing process": cpu / learners,
        "judge": said,
        **each,
    }


def judge_and_sign(job: bytes) -> bytes:
    """In a worker: judge, and leave a sign that this worker has."""
    from course.grading import pool

    reply = pool.judge_one(job)
    signs = Path(os.environ["COURSE_STATE"], SIGNS)
    signs.mkdir(exist_ok=True)
    (signs / str(os.getpid())).touch()
    return reply


def until_all_have_judged(
    state: Path, workers: int, some_more: Callable[[], None]
) -> None:
    """Grade some more, until that many workers have left their sign in `state`.

    A worker comes late: it takes seconds to load what it needs, in which the others
    judge all there is. A class timed before that is timed with fewer workers.
    """
    while len(list((state / SIGNS).glob("*"))) < workers:
        some_more()


def _into_postgresql(scene, stack):
    import postgres
    import room

    server = postgres.Server(postgres.programs())
    stack.callback(server.close)
    room.keep_gradebook_at(server.url(server.database()), scene.state)
    scene.run("nbgrader", "generate_assignment", scene.part)


def _judges(scene, how, stack):
    from course.grading import pool, remote

    count = int(how.split()[0])
    if "Dask" not in how:
        return pool.Judges(count, judge_and_sign)
    import crowd
    import room

    (scene.folder / "grading").mkdir(exist_ok=True)
    farm = crowd.Farm(room.Room(scene.folder, scene.state), count)
    stack.callback(farm.close)
    farm.ready(count)
    return remote.Cluster(farm.address, pool.LEAST, judge_and_sign)


# The queue


def simulate(workers: int, cost: dict, learners: int = CLASS, seed: int = 0) -> dict:
    """Play a run: `course grade` plans, hands out a few jobs more than there are
    workers, and takes replies one at a time; then what met a limit, alone on a machine.

    Returns hours, and the shares of them in which workers and the writing process were
    busy.
    """
    draw = random.Random(seed)
    clock = learners * cost["plan"]
    wrote, judged = clock, 0.0
    slow = sum(draw.random() < SLOW for _ in range(learners))
    for count, places, limit in (
        (learners, workers, None),
        (slow, max(1, workers // MACHINE), cost["limit"]),
    ):
        free = [clock] * places  # when each worker has done what it has
        heapq.heapify(free)
        done: list[float] = []  # replies under way
        sent = 0
        while sent < count or done:
            while sent < count and len(done) < 2 * places + 1:
                clock += cost["request"]
                seconds = limit or draw.choice(cost["judge"])
                end = max(clock, heapq.heappop(free)) + seconds
                heapq.heappush(free, end)
                heapq.heappush(done, end)
                wrote += cost["request"]
                judged += seconds
                sent += 1
            clock = max(clock, heapq.heappop(done)) + cost["record"]
            wrote += cost["record"]
    return {
        "hours": clock / 3600,
        "workers": judged / (clock * workers),
        "writer": wrote / clock,
    }


def costs(found: dict) -> dict:
    """What the simulation needs, of a measured class; seconds a notebook."""
    record = found["files"] + found["gradebook"]
    return {
        "plan": found["plan"],
        "record": record,
        "request": max(0.0, found["writing process"] - found["plan"] - record),
        "judge": found["judge"],
        "limit": LIMIT,
    }


# The report


def tables(results: dict) -> dict[str, list[list]]:
    """What the instructor guide shows, by file."""
    heads = ["Judge, clock", "Writing process, processor", "Gradebook, clock"]
    unit = [["Lesson", "How", "Learners a minute", *heads]]
    whole = [["Lesson", "Workers", "Hours", "Workers busy", "Writing process busy"]]
    for lesson, ways in results["classes"].items():
        for how, each in ways.items():
            judge = statistics.mean(each["judge"])
            seconds = [judge, each["writing process"], each["gradebook"]]
            shown = [f"{1000 * took:.0f}\N{NO-BREAK SPACE}ms" for took in seconds]
            unit.append([lesson, how, f"{each['learners a minute']:.0f}", *shown])
        for workers, each in results["simulated"][lesson].items():
            busy = [f"{100 * each[name]:.0f} %" for name in ("workers", "writer")]
            whole.append([lesson, workers, f"{each['hours']:.1f}", *busy])
    return {"grading_scale.csv": unit, "grading_scale_simulated.csv": whole}


def main() -> None:
    """Measure, simulate, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--learners", type=int, default=100)
    parser.add_argument("--save", action="store_true")
    chosen = parser.parse_args()
    import postgres

    ways = ["1 worker", "2 workers", "2 workers, Dask"]
    if postgres.programs():
        ways.append("2 workers, PostgreSQL")
    results = {"load at the start": os.getloadavg()[0], "classes": {}, "simulated": {}}
    for lesson in (SMALL, REAL):
        measured = results["classes"][lesson] = {}
        for how in ways:
            with tempfile.TemporaryDirectory() as name:
                measured[how] = grade_class(Path(name), lesson, chosen.learners, how)
        # By one worker: nothing else was under way on the second processor.
        cost = costs(measured["1 worker"])
        results["simulated"][lesson] = {n: simulate(n, cost) for n in WORKERS}
    for name, table in tables(results).items():
        print()
        for row in table:
            print("  ".join(f"{cell!s:>24}" for cell in row))
        if chosen.save:
            with open(DATA / name, "w", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows(table)
    keep("scale", [], **results)
    print(f"\n{OUT / 'scale.json'}")


if __name__ == "__main__":
    main()
