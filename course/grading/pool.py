"""Workers that judge: `judge_one(job) -> reply` over concurrent.futures.

Trusts its workers, which run the judge and no learner's code. A worker that ends or
hangs is replaced: what it was doing is done once more, alone, and then given up.
"""

import faulthandler
import json
import multiprocessing
import os
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection

from course.paths import CourseError, root

LEVELS = ("none", "weak", "base", "full")
LEAST = "base"
GRACE = 600  # seconds beyond all limits after which a judge is taken to hang


def judge_one(job: bytes) -> bytes:
    """Ask the judge."""
    # Imported in the worker: it loads torch.
    from course.grading import judge

    return judge.judge_one(job)


def level(allow_weak: bool) -> str:
    """The sandbox level to ask of every worker.

    Raises:
        CourseError: this machine does not reach the least level, and nobody said in
            words that less will do; or has no sandbox, and may not do without.
    """
    from course.grading import sandbox

    reached = sandbox.level()
    if LEVELS.index(reached) >= LEVELS.index(LEAST):
        return LEAST
    if allow_weak:
        if reached == "none" and sandbox.refusal():
            raise CourseError(sandbox.refusal())
        return reached
    raise CourseError(
        f"the sandbox reaches level {reached!r} on this machine, and {LEAST!r} is "
        "needed: a learner's code could read or change your files. `course doctor` "
        "says what is missing; --allow-weak grades all the same and is noted in "
        "every verdict"
    )


class Judges:
    """Some workers, started when they are needed."""

    def __init__(self, count: int = 1, judge: Callable[[bytes], bytes] = judge_one):
        self.count = count
        self.judge = judge
        self._executor: Executor | None = None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close(now=kind is not None)

    def close(self, now: bool = False) -> None:
        """End the workers; `now` without waiting for what they do."""
        executor, self._executor = self._executor, None
        if executor is not None:
            if now:
                for worker in list((executor._processes or {}).values()):
                    worker.kill()
            executor.shutdown(cancel_futures=True)

    def one(self, job: bytes) -> bytes | None:
        """The reply to a job; None if the judge failed."""
        ((_, reply),) = self.all([(None, job)])
        return reply

    def all(self, jobs: Iterable[tuple[object, bytes]]) -> Iterator[tuple]:
        """(name, reply) of each (name, job), as they are done; None where the judge
        failed. Jobs are taken from the iterable a few at a time."""
        jobs = iter(jobs)
        running: dict[Future, tuple] = {}
        lost = []
        while True:
            for name, job in jobs:
                running[self._submit(job)] = name, job
                # Enough that no worker waits while the caller does something.
                if len(running) > 2 * self.count:
                    break
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                name, job = running.pop(future)
                try:
                    yield name, future.result()
                except BrokenProcessPool:
                    lost.append((name, job))
                except Exception:  # the judge's own; the reply says grader error
                    yield name, None
            if lost:
                # One worker's end breaks the whole pool: nobody knows whose job it was.
                lost += running.values()
                running = {}
                self.close()
                for name, job in lost:
                    yield name, self._again(job)
                lost = []

    def _again(self, job):
        try:
            return self._submit(job).result()
        except BrokenProcessPool:
            self.close()
        except Exception:
            pass  # the judge's own, as above
        return None

    def _submit(self, job):
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                self.count,
                multiprocessing.get_context("spawn"),
                _begin,
                (str(root()),),
            )
        try:
            return self._executor.submit(_work, self.judge, job)
        except BrokenProcessPool as error:
            future = Future()
            future.set_exception(error)
            return future


def _begin(course):
    """In a new worker, before anything slow is imported."""
    # A new process starts where its parent once did.
    os.chdir(course)
    # With more threads than one, forks of a process that has loaded torch can hang.
    os.environ.update(OMP_NUM_THREADS="1", OMP_THREAD_LIMIT="1")
    parent = multiprocessing.parent_process()

    def follow():
        connection.wait([parent.sentinel])
        os._exit(1)  # a grader that was killed leaves no worker behind

    threading.Thread(target=follow, daemon=True).start()


def _work(judge, job):
    limits = json.loads(job)["limits"]
    cells = json.loads(job)["cells"]
    learners = sum(cell["kind"] != "test" for cell in cells)
    longest = 2 * sum(limits["seconds"].values()) + learners * limits["cell_seconds"]
    # A thread of C that needs no help of a judge that hangs.
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(longest + GRACE, exit=True, file=nowhere)
        try:
            return judge(job)
        except Exception:
            traceback.print_exc()  # for the instructor; the caller goes on without
            raise
        finally:
            faulthandler.cancel_dump_traceback_later()
