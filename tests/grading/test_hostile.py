"""What learners hand in, and what tests do, beside the rows of the catalogue.

Each case is a submission to a lesson of two exercises, `double` and `triple`, of which
only the first is tampered with, judged on the spot. What can be handed in to a class is
in `catalogue`.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from course.grading import courtroom, judge, sandbox

CANARY = "canary-7319"
PASSED = "passed"
HELD = "3 checked: two ones doubled; an array doubled; random 3 by 4 doubled"


@pytest.fixture(scope="module", autouse=True)
def sandboxed():
    if sandbox.level() not in ("base", "full"):
        pytest.skip(f"the sandbox reaches level {sandbox.level()!r} only")
    yield
    judge.close()
    assert not [p for p in below(os.getpid()) if "zygote" in command(p)]


def below(top):
    """Every living process that came of `top`."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            parents[int(path.parent.name)] = int(parent)
    found = [top]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return set(found[1:])


def command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


GIVEN = """
import math
import numpy as np
import torch
from course import check
"""
DOUBLE = "def double(x):\n    raise NotImplementedError"
TRIPLE = "def triple(x):\n    raise NotImplementedError"
TEST_DOUBLE = f"""
check.close(double(torch.ones(2)), 2 * torch.ones(2), "two ones doubled")
expected = np.array([2.0, 4.0])
check.close(double(np.array([1.0, 2.0])), expected, "an array doubled")
### BEGIN HIDDEN TESTS
canary = "{CANARY}"
x = torch.randn(3, 4, generator=check.generator("double"))
check.close(double(x), 2 * x, "random 3 by 4 doubled")
### END HIDDEN TESTS
"""
TEST_TRIPLE = """
check.close(triple(2.0), 6.0, "two tripled")
### BEGIN HIDDEN TESTS
x = torch.randn(3, generator=check.generator("triple"))
check.close(triple(x), 3 * x, "random numbers tripled")
### END HIDDEN TESTS
"""
RIGHT = "def double(x):\n    return 2 * x\n"
WRONG = "def double(x):\n    return x + 2\n"


def job(double, own="", seconds=10.0, test=TEST_DOUBLE):
    def cell(name, kind, source, **more):
        return {"id": name, "kind": kind, "task": None, "source": source, **more}

    triple = "def triple(x):\n    return 3 * x"
    cells = [
        cell("code-1", "given", GIVEN),
        cell("double", "answer", double, task="double", stub=DOUBLE),
        cell("own-1", "own", own),
        cell("test_double", "test", test, task="double", points=2),
        cell("triple", "answer", triple, task="triple", stub=TRIPLE),
        cell("test_triple", "test", TEST_TRIPLE, task="triple", points=1),
    ]
    limits = {"seconds": {"double": seconds, "triple": 10.0}, "cell_seconds": seconds}
    return {
        "schema": 1,
        "lesson": "part/lesson",
        "cells": cells,
        "absent": ["lib.positional_encoding.rotary"],
        "seeds": {"double": "a secret", "triple": "another"},
        "limits": limits | {"memory": 2**31, "output": 2**16},
        "level": "base",
    }


def judged(*arguments, **keywords):
    return json.loads(judge.judge_one(json.dumps(job(*arguments, **keywords)).encode()))


def double(verdict):
    """(points, status, message) of the exercise that was tampered with; for the other
    one, nothing may have changed, and nobody learns of the hidden part.
    """
    exercises = verdict["verdict"]["exercises"]
    assert exercises["triple"]["status"] == PASSED
    assert CANARY not in json.dumps(verdict["verdict"])
    check = exercises["double"]["checks"]["test_double"]
    assert check["message"] == exercises["double"]["message"]
    return check["points"], check["status"], check["message"]


@pytest.mark.parametrize(
    "body",
    [
        "def double(x):\n    y = 2 * x\n    return y.T.copy().T if x.ndim > 9 else y",
        "def double(x):\n    return (2 * x.T.contiguous()).T if x.ndim == 2 else 2 * x",
        "double = lambda x: 2 * x",
        "double = None\ndef double(x):\n    return 2 * x",
        "import os\ndef double(x):\n    os.fork()\n    return 2 * x",
        "class Double:\n    __call__ = lambda self, x: 2 * x\ndouble = Double()",
        "import functools, operator\ndouble = functools.partial(operator.mul, 2)",
    ],
)
def test_an_unusual_right_answer_keeps_its_marks(body):
    assert double(judged(body)) == (2, PASSED, HELD)


def test_a_dict_of_too_many_keys_to_name_is_cut():
    points, status, message = double(
        judged("def double(x):\n    return dict.fromkeys(range(10**5))")
    )
    assert (points, status) == (0, "wrong")
    assert " got a dict with keys 0, 1, " in message
    assert message.endswith("…")
    assert 1000 < len(message) <= 2000


@pytest.mark.parametrize(
    "body",
    [
        "import random\ndef double(x):\n    return x * random.choice([1, 2, 2, 2])",
        "def double(x):\n    return 2 * x + 1e-5 * torch.randn(1).item()",
        "words = list({'one', 'two', 'three', 'four'})\n"
        "def double(x):\n    return 2 * x if words[0] == 'two' else x",
    ],
)
def test_F19_chance_gives_the_same_verdict_every_time(body):
    verdicts = {json.dumps(judged(body)["verdict"]) for _ in range(5)}
    judge.close()  # and in other processes
    verdicts |= {json.dumps(judged(body)["verdict"]) for _ in range(2)}
    assert len(verdicts) == 1


def test_a_cell_of_ones_own_that_dies_is_left_out():
    verdict = judged(RIGHT, own="import os\nos.abort()")
    assert double(verdict) == (2, PASSED, HELD)
    (note,) = verdict["verdict"]["notes"]
    assert note["code"] == "cell-died"


def test_state_changed_in_one_exercise_is_not_seen_in_another():
    code = """
def double(x):
    globals()["triple"] = lambda x: "spoilt"
    torch.Tensor.__mul__ = None
    return x
"""
    assert double(judged(code))[1] == "wrong"


@pytest.mark.parametrize(
    "mistake",
    [
        "raise RuntimeError('a mistake')",
        "1 / 0",
        "undefined",
        "import no_such_module",
        "double(object())",
        "5000.0",
        "True",
        "raise SystemExit",
        "import os; os._exit(0)",
        "import os; os.abort()",
    ],
)
def test_R6_a_mistake_of_the_test_is_not_the_learners(mistake):
    verdict = judged(RIGHT, test=f"{TEST_DOUBLE}\n{mistake}")
    assert double(verdict) == (
        0,
        "grader error",
        "the grader failed here, not your code",
    )


def test_R6_a_test_that_hangs_costs_its_own_exercise(monkeypatch):
    monkeypatch.setattr(courtroom, "PATIENCE", 8)
    hanging = job(RIGHT, test="import time\ntime.sleep(1000)")
    hanging["limits"]["seconds"] = {"double": 1.0, "triple": 1.0}
    verdict = json.loads(judge.judge_one(json.dumps(hanging).encode()))
    assert double(verdict)[:2] == (0, "grader error")


def test_nothing_stays_when_the_worker_is_killed():
    request = json.dumps(job("def double(x):\n    while True: pass", seconds=60.0))
    program = (
        "import sys; from course.grading import judge\n"
        "judge.judge_one(sys.stdin.buffer.read())"
    )
    worker = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    worker.stdin.write(request.encode())
    worker.stdin.close()
    while not any("scratch" in command(p) for p in below(worker.pid)):
        time.sleep(0.1)
    time.sleep(1)  # the endless loop is on
    started = below(worker.pid)
    (folder,) = {
        Path(word).parent
        for pid in started
        for word in command(pid).split("\0")
        if word.endswith("/scratch")
    }
    worker.kill()
    worker.wait()
    while folder.exists() or any(command(pid) for pid in started):
        time.sleep(0.1)


def test_a_test_that_cannot_use_an_answer_says_what_it_is():
    test = "y = double(torch.ones(2))\ny[..., 3]"
    points, status, message = double(judged("def double(x): return 1, 2", test=test))
    assert (points, status) == (0, "wrong")
    text = "the test cannot use what your function returned: a tuple of length 2"
    assert message.startswith(f"{text}\nTypeError")
    test = f"### BEGIN HIDDEN TESTS\n{test}\n### END HIDDEN TESTS"
    points, status, message = double(judged("def double(x): return 1, 2", test=test))
    assert (points, status, message) == (0, "wrong", text)


def test_an_answer_that_is_too_deep_to_be_handed_on():
    body = f"def double(x):\n    return {'[' * 31}1{']' * 31}"
    points, status, message = double(judged(body, test="double(double(1))"))
    assert (points, status) == (0, "wrong")
    assert "a list of length 1" in message


def test_a_level_that_the_sandbox_does_not_reach_is_refused(monkeypatch):
    monkeypatch.setattr(judge.sandbox, "level", lambda: "weak")
    with pytest.raises(RuntimeError, match="reaches 'weak', not 'base'"):
        judged(RIGHT)


def test_a_partial_score_is_the_last_line():
    test = "float(double(1.0) == 2.0) + 0.5"
    assert double(judged(RIGHT, test=test))[:2] == (1.5, "wrong")
