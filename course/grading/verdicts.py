"""Verdicts: what the judge found, in one JSON file a learner and lesson.

Trusts the judge, within bounds: a verdict that does not fit its job (a check that
nobody asked for, more points than there are, a status that does not exist) becomes a
grader error here and never a mark. Trusts the folder, which is the instructor's.

    {"schema": 1,
     "verdict": {                          a pure function of content, versions, seed
      "lesson": "<part>/<lesson>",
      "content": sha256 of the learner's own cells and their places,
      "exercises": {task: {
        "status": one of STATUSES, "message": what the learner reads,
        "checks": {test's grade id: {
          "points": earned, null where the grader failed, "of": what there is,
          "status", "message", "hidden": whether the message is of the hidden part}}}},
      "notes": [{"code", "text", "by": "reading" | "judge"}],   sorted
      "seeds": {task: first 16 hex digits of sha256(seed)},
      "versions": {"tests", "reference", "judge", "lock", "python", "packages"}},
     "run": {                              how it came about; differs between runs
      "keys": {task: hash of all that its outcome depends on},
      "settled": [tasks whose outcome stands and need not be judged again],
      "cached": [tasks that were taken from the verdict before this one],
      "seconds", "level", ...as the judge reports of its last run}}

The file is the journal and the cache at once: it is written whole or not at all, and
an exercise whose key is unchanged and whose outcome is settled is not judged again.
A grader error never settles; a time-out settles when it was run again, alone.

A change of any meaning above changes SCHEMA; files of another schema are not read.
"""

import copy
import json
import os
import secrets
from pathlib import Path

from course.grading.key import seed_id

SCHEMA = 1
STATUSES = (
    *("passed", "wrong", "not attempted", "crashed", "timed out"),
    *("grader error", "not gradable"),
)
FAILED = "the grader failed here, not your code"


class Store:
    """The verdict files below `folder`, as <student>/<part>/<lesson>.json."""

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, student: str, lesson: str) -> Path:
        """Where the verdict is."""
        if student in ("", ".", "..") or "/" in student or "\0" in student:
            raise ValueError(f"{student!r} is not a student's folder")
        return self.folder / student / f"{lesson}.json"

    def load(self, student: str, lesson: str) -> dict | None:
        """The verdict; None if there is none of this schema."""
        try:
            data = json.loads(self.path(student, lesson).read_bytes())
        except (FileNotFoundError, ValueError):  # a damaged one is judged again
            return None
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            return None
        fits = isinstance(data.get("verdict"), dict) and isinstance(
            data.get("run"), dict
        )
        return data if fits and data["verdict"].get("lesson") == lesson else None

    def save(self, student: str, lesson: str, verdict: dict) -> None:
        """Write the verdict, whole or not at all."""
        write(self.path(student, lesson), dumps(verdict) + b"\n")


def write(path: Path, data: bytes, mode: int = 0o600, lasting: bool = True) -> None:
    """Write a file whole or not at all; what was there before stays until then.

    A `lasting` one is on the disk when this returns, which takes milliseconds.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Not derived from the name, which may be as long as names can be.
    draft = path.parent / f".draft-{secrets.token_hex(8)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            if lasting:
                file.flush()
                os.fsync(descriptor)
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def dumps(value: dict) -> bytes:
    """A verdict, or its pure part, as bytes that depend on its content only."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).encode()


def is_flag(note: dict) -> bool:
    """Whether a note is for the instructor only: something to look at, no proof."""
    return note["code"].startswith("flag-")


# Making


def cached(old: dict | None, keys: dict[str, str]) -> list[str]:
    """The tasks whose outcome in an older verdict still stands."""
    if old is None:
        return []
    run = old["run"]
    return [
        task
        for task, key in keys.items()
        if task in run.get("settled", ()) and run.get("keys", {}).get(task) == key
    ]


def join(
    job: dict,
    keys: dict[str, str],
    reply: bytes | None,
    *,
    notes: list[dict],
    old: dict | None = None,
    alone: bool = False,
) -> dict:
    """The verdict on a job: what stands of an older one, and what the judge replied.

    Args:
        job: the whole job.
        keys: its tasks' keys.
        reply: the judge's, for the tasks that are not cached; None if there are none.
        notes: what was noted when the notebook was read.
        old: the verdict before this one.
        alone: nothing else ran beside it.
    """
    kept = cached(old, keys)
    new = judged(job, [task for task in keys if task not in kept], reply)
    exercises = {
        task: old["verdict"]["exercises"][task]
        if task in kept
        else new["exercises"][task]
        for task in keys
    }
    same = old is not None and old["verdict"]["content"] == job["content"]
    earlier = old["verdict"]["notes"] if kept and same else []
    found = [{**note, "by": "reading"} for note in notes] + new["notes"]
    found += [note for note in earlier if note.get("by") == "judge"]
    unique = {(n["code"], n["text"], n["by"]): n for n in found}
    settled = [
        task
        for task in keys
        if task in kept or _stands(exercises[task]["status"], alone)
    ]
    return {
        "schema": SCHEMA,
        "verdict": {
            "lesson": job["lesson"],
            "content": job["content"],
            "exercises": exercises,
            "notes": [unique[each] for each in sorted(unique)],
            "seeds": {task: seed_id(seed) for task, seed in job["seeds"].items()},
            "versions": job["versions"],
        },
        "run": {**new["run"], "keys": keys, "settled": settled, "cached": kept},
    }


def _stands(status: str, alone: bool) -> bool:
    return status != "grader error" and (status != "timed out" or alone)


def judged(job: dict, tasks: list[str], reply: bytes | None) -> dict:
    """What the judge's reply says of `tasks`, held against the job."""
    said, run, notes, broken = {}, {}, [], FAILED
    if reply is not None:
        try:
            data = json.loads(reply)
            _must(data["schema"] == SCHEMA, "another schema")
            _must(data["verdict"]["lesson"] == job["lesson"], "another lesson")
            said, run = data["verdict"]["exercises"], data["run"]
            notes = [
                {"code": str(note["code"]), "text": str(note["text"]), "by": "judge"}
                for note in data["verdict"]["notes"]
            ]
            _must(isinstance(said, dict), "no outcomes")
            _must(isinstance(run, dict), "no word on the run")
        except (ValueError, KeyError, TypeError) as error:
            said, run, notes = {}, {}, []
            broken = f"{FAILED} (the judge's reply does not fit: {error!r})"
    tests = [cell for cell in job["cells"] if cell["kind"] == "test"]
    exercises = {}
    for task in tasks:
        checks = {cell["id"]: cell["points"] for cell in tests if cell["task"] == task}
        exercises[task] = _exercise(said.get(task), checks, broken)
    return {"exercises": exercises, "notes": notes, "run": run}


def _exercise(said, checks: dict[str, float], broken: str) -> dict:
    try:
        status, found = said["status"], said["checks"]
        _must(status in STATUSES, "no such status")
        _must(set(found) == set(checks), "other checks")
        outcome = {
            "status": status,
            "message": str(said["message"]),
            "checks": {name: _check(found[name], of) for name, of in checks.items()},
        }
        points = [check["points"] for check in outcome["checks"].values()]
        full = points == list(checks.values())
        _must(full or status != "passed", "passed, and points are missing")
        _must(status != "not attempted" or not any(points), "points for nothing")
        failures = [check["status"] for check in outcome["checks"].values()]
        if "grader error" in failures and status != "grader error":
            outcome |= {"status": "grader error", "message": FAILED}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if said is not None:
            broken = f"{FAILED} (the judge's verdict does not fit: {error})"
        return failed(checks, broken)
    return outcome


def _check(said: dict, of: float) -> dict:
    status, points = said["status"], said["points"]
    _must(status in STATUSES, "no such status")
    if status == "grader error":
        points = None
    else:
        _must(type(points) in (int, float), "points that are no number")
        # False for NaN.
        _must(0 <= points <= of, "points out of range")
        _must(status in ("passed", "wrong") or not points, "points for a failure")
        points = float(points)
    return {
        "points": points,
        "of": of,
        "status": status,
        "message": str(said["message"]),
        "hidden": bool(said["hidden"]),
    }


def _must(holds: bool, text: str) -> None:
    if not holds:
        raise ValueError(text)


def failed(checks: dict[str, float], message: str) -> dict:
    """The outcome of an exercise in which the grader failed."""
    return _flat(checks, "grader error", message, None)


def unread(
    exercise, status: str, message: str, notes: list[dict], versions: dict
) -> dict:
    """The verdict on a notebook that is not there (`not attempted`) or cannot be read
    (`not gradable`): no judge is asked."""
    outcomes = {t.name: _flat(t.tests, status, message, 0.0) for t in exercise.tasks}
    return {
        "schema": SCHEMA,
        "verdict": {
            "lesson": exercise.lesson,
            "content": None,
            "exercises": outcomes,
            "notes": [{**note, "by": "reading"} for note in notes],
            "seeds": {},
            "versions": versions,
        },
        "run": {"keys": {}, "settled": [], "cached": []},
    }


def _flat(checks, status, message, points):
    check = {"points": points, "status": status, "message": message, "hidden": False}
    return {
        "status": status,
        "message": message,
        "checks": {name: {**check, "of": of} for name, of in checks.items()},
    }


# Reading


def points(verdict: dict) -> dict[str, float | None]:
    """The points by test; None where the grader failed."""
    return {
        name: check["points"]
        for exercise in verdict["verdict"]["exercises"].values()
        for name, check in exercise["checks"].items()
    }


def statuses(verdict: dict) -> dict[str, str]:
    """The status of each task."""
    exercises = verdict["verdict"]["exercises"]
    return {task: exercise["status"] for task, exercise in exercises.items()}


def checks(verdict: dict) -> dict[str, dict]:
    """Every check by its test's grade id."""
    return copy.deepcopy(
        {
            name: check
            for exercise in verdict["verdict"]["exercises"].values()
            for name, check in exercise["checks"].items()
        }
    )
