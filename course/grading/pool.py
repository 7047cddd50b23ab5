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


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


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

    def by(self, level: str) -> str:
        """What judges, for people to read."""
        return f"{self.count} workers on this machine (sandbox level {level} or better)"

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close(now=kind is not None)

    def close(self, now: bool = False) -> None:
        """End the workers; `now` without waiting for what they do."""
        executor, self._executor = self._executor, None
        if executor is not None:
            if now:
                # Also of a pool that broke: a worker that was started at that moment
                # is waited for, and waits itself.
                for worker in list((executor._processes or {}).values()):
                    worker.kill()
            executor.shutdown(cancel_futures=True)

    def one(self, job: bytes) -> bytes | None:
        """The reply to a job; None if the judge failed."""
        ((_, reply),) = self.all([(None, job)])
        return reply

    def all(
        self, jobs: Iterable[tuple[object, bytes]], alone: bool = False
    ) -> Iterator[tuple]:
        """(name, reply) of each (name, job), as they are done; None where the judge
        failed. Jobs are taken from the iterable a few at a time; `alone`, so that no
        two are under way on one machine."""
        jobs = iter(jobs)
        running: dict[Future, tuple] = {}
        lost = []
        while True:
            # Asked each time: machines come and go.
            most = self._most(alone)
            while len(running) < most and (next_job := next(jobs, None)):
                name, job = next_job
                running[self._submit(job, alone)] = name, job
            if not running:
                return
            for future in self._done(running):
                name, job = running.pop(future)
                try:
                    yield name, self._reply(future)
                except BrokenProcessPool:
                    lost.append((name, job))
            if lost:
                # One worker's end breaks the whole pool: nobody knows whose job it was.
                lost += running.values()
                running = {}
                self.close(now=True)
                for name, job in lost:
                    yield name, self._again(job)
                lost = []

    def _most(self, alone):
        """How many jobs to have under way: no worker waits while the caller works."""
        return 1 if alone else 2 * self.count + 1

    def _done(self, running):
        """Those that are done, once there are any."""
        return wait(running, return_when=FIRST_COMPLETED).done

    def _reply(self, future):
        """What a worker said; None if the judge failed.

        Raises:
            BrokenProcessPool: a worker ended; the job may be done again.
        """
        try:
            return future.result()
        except BrokenProcessPool:
            raise
        except Exception:  # the judge's own; the verdict says grader error
            return None

    def _again(self, job):
        try:
            return self._reply(self._submit(job))
        except BrokenProcessPool:
            self.close(now=True)
        return None

    def _submit(self, job, alone=False):
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                self.count,
                multiprocessing.get_context("spawn"),
                _begin,
                (str(root()),),
            )
        try:
            return self._executor.submit(work, self.judge, job)
        except (BrokenProcessPool, OSError) as error:
            # It may break while it starts a worker for this very job, whose pipe is
            # then closed already.
            if not self._executor._broken:
                raise
            future = Future()
            future.set_exception(BrokenProcessPool(str(error)))
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


def work(judge: Callable[[bytes], bytes], job: bytes) -> bytes:
    """In a worker: ask the judge, and end with it when it hangs."""
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
