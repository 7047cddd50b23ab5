"""Workers on other machines: the same judge, through Dask distributed.

    dask scheduler                                on any machine
    course worker tcp://HOST:8786 --jobs 16       on each that judges, in its checkout
    course grade PART --scheduler tcp://HOST:8786

Trusts the scheduler and its workers, which are the instructor's: a job holds hidden
tests and seeds, and pickle travels both ways. It holds no key, no path and no gradebook
address, and only `course grade` writes marks.

A worker offers, as Dask *resources*, the levels that its sandbox was seen to reach,
each with the make of its course: a hash of the judge, `lib`, the lock and the
interpreter. A job asks for one of these offers, so that the scheduler itself gives it
to no worker that is not isolated well enough or runs another version.
"""

import concurrent.futures
import importlib.util
import os
import sys
import time
from collections import Counter

import click

from course.grading import jobs, pool
from course.paths import CourseError, root

LOST_ONCE = 1  # times that a job is begun again because its worker was lost
CONNECT = 20  # seconds
LOOK = 5  # seconds between two looks at who is there
PATIENCE = 600  # seconds without any worker after which a run is given up


def offers(level: str) -> list[str]:
    """What a machine whose sandbox reaches `level` offers: that and all below."""
    reached = pool.LEVELS[1 : pool.LEVELS.index(level) + 1]
    return [offer(each) for each in reached]


def offer(level: str) -> str:
    """The name of a resource of Dask: a level, by a course of this make."""
    return f"course-{jobs.make_of_course()[:16]}-{level}"


class Cluster(pool.Judges):
    """The workers of a Dask scheduler, as many as there are at the moment.

    Args:
        address: the scheduler's, as Dask writes it; `tls://` by Dask's configuration.
        level: the least sandbox level; workers below it get no jobs.

    Raises:
        CourseError: there is no scheduler, or no worker that may judge.
    """

    def __init__(self, address: str, level: str, judge=pool.judge_one):
        _demand_dask()
        from distributed import Client

        super().__init__(judge=judge)
        self.address, self.level = address, level
        self.offer = offer(level)
        self._looked = -LOOK, {}
        try:
            self.client = Client(address, timeout=CONNECT, set_as_default=False)
        except (OSError, ValueError) as error:
            raise CourseError(
                f"no Dask scheduler answers at {address} ({error}): start one by "
                "`dask scheduler`, or mend the address"
            ) from error
        try:
            self.client.run_on_scheduler(_retry_once)
            if not self.workers():
                raise CourseError(self._nobody())
        except BaseException:
            self.client.close()
            raise

    def by(self, level):
        there = self.workers().values()
        machines = len({worker["host"] for worker in there})
        return (
            f"{len(there)} workers on {machines} machines, through the scheduler at "
            f"{self.address} (sandbox level {level} or better)"
        )

    def workers(self) -> dict[str, dict]:
        """The workers that may judge, by address, as Dask described them just now."""
        when, found = self._looked
        if not found or time.monotonic() - when > LOOK:
            known = self.client.scheduler_info(n_workers=-1)["workers"]
            found = {
                address: worker
                for address, worker in known.items()
                if worker["resources"].get(self.offer)
            }
            self._looked = time.monotonic(), found
        return found

    def _nobody(self) -> str:
        known = self.client.scheduler_info(n_workers=-1)["workers"]
        wanted = f"level {self.level!r} and this checkout's version"
        if not known:
            return f"{self.address} has no workers: `course worker {self.address}`"
        mine = offer("").rpartition("-")[0]
        others = Counter()
        for worker in known.values():
            here = [each for each in worker["resources"] if each.startswith("course-")]
            if not here:
                others["not started by `course worker`"] += 1
            elif not any(each.startswith(f"{mine}-") for each in here):
                others["of another version of the course: update, start again"] += 1
            else:
                others[f"of level {here[-1].rpartition('-')[2]!r} only"] += 1
        found = "; ".join(f"{count} {what}" for what, count in others.items())
        return f"no worker at {self.address} has {wanted}: {found}"

    def _most(self, alone):
        there = self.workers()
        if alone:
            return max(1, len({worker["host"] for worker in there.values()}))
        return 2 * sum(worker["nthreads"] for worker in there.values()) + 1

    def _done(self, running):
        deadline = time.monotonic() + PATIENCE
        while True:
            done, _ = concurrent.futures.wait(
                running, LOOK, return_when=concurrent.futures.FIRST_COMPLETED
            )
            if done:
                return done
            if self.client.status not in ("running", "connecting"):
                raise self._gone()
            if self.client.status == "running" and self.workers():
                deadline = time.monotonic() + PATIENCE
            elif time.monotonic() > deadline:
                raise self._gone()

    def _reply(self, future):
        from distributed import CancelledError

        try:
            return future.result()
        except (CancelledError, concurrent.futures.CancelledError) as error:
            # The scheduler went, and took its jobs with it: nobody's fault to record.
            raise self._gone() from error
        except Exception:  # the judge's own, or its worker was lost twice
            return None

    def _gone(self) -> CourseError:
        return CourseError(
            f"the scheduler at {self.address} or all its workers are gone; what was "
            "judged is kept: start them, and grade again"
        )

    def _submit(self, job, alone=False):
        some = {}
        if alone:
            # One for each machine, so that nothing else runs beside it.
            machines = {w["host"]: address for address, w in self.workers().items()}
            some = {"workers": sorted(machines.values()), "allow_other_workers": True}
        executor = self.client.get_executor(
            pure=False, resources={self.offer: 1}, **some
        )
        return executor.submit(pool.work, self.judge, job)

    def close(self, now=False):
        """Leave; what was asked for and not done is forgotten by the scheduler."""
        self.client.close()


def _demand_dask():
    if importlib.util.find_spec("distributed") is None:
        raise CourseError(
            "Dask is not installed: python -m pip install -c requirements.lock -e "
            "'.[scale]'"
        )


def _retry_once(dask_scheduler):
    dask_scheduler.allowed_failures = LOST_ONCE


@click.command("worker")
@click.argument("address")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=pool.cores(),
    show_default="the number of cores",
    help="How many notebooks are judged here at a time.",
)
def worker_command(address, jobs):
    """Judge on this machine for the Dask scheduler at ADDRESS, until interrupted.

    What learners' code may do here is tried out first.
    """
    from course.grading import sandbox

    _demand_dask()
    level = sandbox.level()
    found = offers(level)
    if not found:
        raise CourseError(
            "there is no sandbox on this machine, so no learner's code runs on it: "
            "`course doctor` says what is missing"
        )
    click.echo(f"sandbox level: {level}; offered: {', '.join(found)}")
    options = {
        "--nworkers": jobs,
        "--nthreads": 1,
        # Every job asks for one; more would be two at a time in one process.
        "--resources": ",".join(f"{each}=1" for each in found),
        # Learners' processes have limits of their own.
        "--memory-limit": 0,
    }
    arguments = [str(part) for option in options.items() for part in option]
    os.chdir(root())
    # With more threads than one, forks of a process that has loaded torch can hang.
    os.environ.update(OMP_NUM_THREADS="1", OMP_THREAD_LIMIT="1")
    program = [sys.executable, "-P", "-m", "distributed.cli.dask_worker"]
    os.execv(sys.executable, [*program, address, *arguments, "--no-dashboard"])
