"""A judge that believes what an answer says of itself, for tests of all around it."""

import json
import os
import pathlib
import time


def judge_one(data: bytes) -> bytes:
    job = json.loads(data)
    note_call(job)
    answers = {c["task"]: c["source"] for c in job["cells"] if c["kind"] == "answer"}
    exercises = {}
    for task in job["limits"]["seconds"]:
        text = answers[task]
        tests = {
            c["id"]: c
            for c in job["cells"]
            if c["task"] == task and c["kind"] == "test"
        }
        if "SLEEP" in text:
            time.sleep(0.2)
        if "RAISE" in text:
            raise RuntimeError("a judge that fails")
        if "EXIT" in text:
            for folder in text.split()[1:]:
                pathlib.Path(folder, str(time.monotonic_ns())).touch()
            os._exit(3)
        if "SPAN" in text:
            with open(text.split()[1], "a") as log:
                print("begin", file=log, flush=True)
                time.sleep(0.05)
                print("end", file=log, flush=True)
        status = "passed"
        for word in ("wrong", "crashed", "timed out", "grader error"):
            if word in text:
                status = word
        if "NotImplementedError" in text:
            status = "not attempted"
        checks = {}
        for name, cell in tests.items():
            share = {"passed": 1, "grader error": None}.get(status, 0)
            if "half" in text:
                status, share = "wrong", 0.5
            points = None if share is None else share * cell["points"]
            if "TOO MUCH" in text:
                points = 1e6
            if "NAN" in text:
                points = float("nan")
            checks[name] = {
                "points": points,
                "status": status,
                "message": f"{status}: {job['seeds'][task][:6]}",
                "hidden": "HIDDEN" in cell["source"],
            }
        exercises[task] = {"status": status, "message": status, "checks": checks}
    reply = {
        "schema": 1,
        "verdict": {"lesson": job["lesson"], "exercises": exercises, "notes": []},
        "run": {"seconds": 0.01, "tasks": dict.fromkeys(exercises, 0.01)},
    }
    return json.dumps(reply).encode()


def note_call(job):
    """Leave a trace of what was asked."""
    folder = os.environ.get("FAKE_JUDGE_CALLS")
    if folder:
        tasks = ",".join(job["limits"]["seconds"])
        name = f"{time.monotonic_ns()}-{os.getpid()}"
        pathlib.Path(folder, name).write_text(f"{job['content'][:8]} {tasks}")
