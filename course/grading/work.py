"""What both doors do with one notebook: ask the store, ask the judge, keep the verdict.

Trusts the store and the judge's workers; measures the reference, so that a limit is
ten times what a right answer takes on this machine.
"""

import json
from dataclasses import dataclass

from course.grading import jobs, submission, verdicts
from course.grading.jobs import Exercise
from course.grading.pool import Judges
from course.grading.submission import Reading
from course.paths import CourseError, state


def store() -> verdicts.Store:
    """The instructor's verdicts."""
    return verdicts.Store(state() / "verdicts")


@dataclass(frozen=True)
class Work:
    """A notebook to be judged; `todo` names the tasks whose outcome is not known."""

    exercise: Exercise
    student: str
    reading: Reading
    job: dict
    keys: dict[str, str]
    old: dict | None

    @property
    def todo(self) -> list[str]:
        """The tasks for the judge."""
        kept = verdicts.cached(self.old, self.keys)
        return [task for task in self.keys if task not in kept]

    def request(self) -> bytes:
        """The job for what is to do."""
        return jobs.dumps(jobs.only(self.job, self.todo))

    def verdict(self, reply: bytes | None, alone: bool = False) -> dict:
        """The verdict with the judge's reply in it."""
        notes = self.reading.said()
        return verdicts.join(
            self.job, self.keys, reply, notes=notes, old=self.old, alone=alone
        )


def prepare(
    exercise: Exercise, student: str, reading: Reading, limits: dict, level: str
) -> Work:
    """What there is to do for a notebook that can be judged."""
    job = jobs.make(exercise, reading.notebook, student, limits, level=level)
    old = store().load(student, exercise.lesson)
    return Work(exercise, student, reading, job, jobs.keys(job), old)


def settle(
    exercise: Exercise,
    student: str,
    reading: Reading,
    limits: dict,
    level: str,
    judges: Judges,
) -> dict:
    """The verdict on a notebook, from the store or the judge; it is kept."""
    if not reading.judgeable:
        verdict = submission.verdict_on(exercise, reading)
        store().save(student, exercise.lesson, verdict)
        return verdict
    # What does not stand after the first time is run again, alone.
    for alone in (False, True):
        work = prepare(exercise, student, reading, limits, level)
        if work.todo:
            verdict = work.verdict(judges.one(work.request()), alone)
        else:
            verdict = work.verdict(None)
        store().save(student, exercise.lesson, verdict)
        if set(verdict["run"]["settled"]) == set(work.keys):
            break
    return verdict


def limits(exercise: Exercise, judges: Judges, level: str) -> dict[str, float]:
    """The limit of each task in seconds; the reference is timed where it has changed.

    Raises:
        CourseError: the reference does not pass its own tests.
    """
    path = state() / "limits" / f"{exercise.lesson}.json"
    try:
        known = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        known = {}
    job = jobs.reference(exercise) | {"level": level}
    keys = jobs.measured_keys(job)
    measured = {
        task: known[task]["seconds"]
        for task, key in keys.items()
        if task in known and known[task]["key"] == key
    }
    for task in keys.keys() - measured.keys():
        request = jobs.dumps(jobs.only(job, [task]))
        found = verdicts.judged(job, [task], judges.one(request))
        outcome = found["exercises"][task]
        if outcome["status"] != "passed":
            errors = "\n".join(map(str, found["run"].get("errors", {}).values()))
            raise CourseError(
                f"{exercise.lesson}: the solution of {task} does not pass its own "
                f"tests ({outcome['status']}: {outcome['message']}); nothing is graded"
                f"\n{errors}".rstrip()
            )
        measured[task] = _seconds(found["run"], task)
    table = {t: {"key": keys[t], "seconds": measured[t]} for t in sorted(keys)}
    if table != known:
        verdicts.write(path, json.dumps(table, indent=1).encode() + b"\n")
    return {task.name: jobs.limit(measured[task.name]) for task in exercise.tasks}


def _seconds(run: dict, task: str) -> float:
    """The learner's side of an exercise: that is what is limited."""
    return round(float(run.get("tasks", {}).get(task, 0)), 2)
