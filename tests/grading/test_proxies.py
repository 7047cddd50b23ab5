"""What a test may do with a learner's code that is in another process."""

import json

import pytest

from course.grading import judge, sandbox

GIVEN = """
import math
import numpy as np
import torch
from course import check

given = torch.ones(2)
def apply(f, x):
    return f(x)
"""


@pytest.fixture(scope="module", autouse=True)
def sandboxed():
    if sandbox.level() not in ("base", "full"):
        pytest.skip(f"the sandbox reaches level {sandbox.level()!r} only")
    yield
    judge.close()


def job(stub, answer, test, given=GIVEN, absent=(), memory=2**31, seconds=60.0):
    """A submission to a lesson of one exercise."""
    cells = [
        {"id": "code-1", "kind": "given", "task": None, "source": given},
        {"id": "it", "kind": "answer", "task": "it", "source": answer, "stub": stub},
        {"id": "test_it", "kind": "test", "task": "it", "source": test, "points": 1},
    ]
    return {
        "schema": 1,
        "lesson": "part/lesson",
        "cells": cells,
        "absent": list(absent),
        "seeds": {"it": "a secret"},
        "limits": {
            "seconds": {"it": seconds},
            "cell_seconds": seconds,
            "memory": memory,
            "output": 2**16,
        },
        "level": "base",
    }


def judged(*arguments, **keywords):
    """(status, message, errors of the judge) of one exercise."""
    request = json.dumps(job(*arguments, **keywords)).encode()
    verdict = json.loads(judge.judge_one(request))
    exercise = verdict["verdict"]["exercises"]["it"]
    return exercise["status"], exercise["message"], verdict["run"]["errors"]


FUNCTION = "def it(*args):\n    raise NotImplementedError"
CLASS = "class Net:\n    pass"
NET = """
class Net(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = torch.nn.Linear(width, width)
        self.width = width
        self.seen = []
    def forward(self, x):
        self.seen.append(x)
        return self.layer(x)
    def __len__(self):
        return len(self.seen)
    def __getitem__(self, index):
        return self.seen[index]
"""
PASSING = {
    "keywords": (
        FUNCTION,
        "def it(a, *, b=1):\n    return a - b",
        "check.close(it(3, b=1), 2, '')",
    ),
    "an object with methods, attributes, items and a length": (
        CLASS,
        NET,
        """
net = Net(3)
check.close(net.width, 3, "")
check.close(net(torch.zeros(2, 3)).shape, (2, 3), "")
check.close(net.forward(torch.zeros(3)), net.layer.bias, "")
check.close(len(net), 2, "")
check.close(net[0], torch.zeros(2, 3), "")
check.close([x.ndim for x in net], [2, 1], "")
""",
    ),
    "an object given back": (
        FUNCTION,
        "class Box:\n    n = 2\ndef it(box=None):\n    return box.n if box else Box()",
        "check.close(it(it()), 2, '')",
    ),
    "a function that is returned": (
        FUNCTION,
        "def it(a):\n    return lambda b: a + b",
        "check.close(it(1)(2), 3, '')",
    ),
    "data": (
        "it = None",
        "it = torch.arange(3)",
        "check.close(it, torch.arange(3), '')",
    ),
    "a library's function": (
        FUNCTION,
        "def it(f):\n    return f is torch.relu",
        "check.close(it(torch.relu), True, '')",
    ),
    "a dtype, a slice, an ellipsis": (
        FUNCTION,
        "def it(x, dtype, *at):\n    return x[at].to(dtype)",
        "x = torch.eye(2)\n"
        "check.close(it(x, torch.float64, ..., slice(1)), x[:, :1].double(), '')",
    ),
    "a function of the test, called back with data": (
        FUNCTION,
        "def it(f, x):\n    return f(f(x))",
        """
calls = []
def f(x):
    calls.append(x)
    return 3 * x
check.close(it(f, torch.ones(2)), 9 * torch.ones(2), "")
check.close(calls, [torch.ones(2), 3 * torch.ones(2)], "")
""",
    ),
    "a function that calls the answer in turn": (
        FUNCTION,
        "def it(f, n):\n    return f(n - 1) + 1 if n else 0",
        "def again(n):\n    return it(again, n)\ncheck.close(it(again, 5), 5, '')",
    ),
    "an error that a callback raises": (
        FUNCTION,
        "def it(f):\n    try:\n        f()\n    except ValueError:\n        return 1",
        "def f():\n    raise ValueError('no')\ncheck.close(it(f), 1, '')",
    ),
    "an error that is asked for": (
        FUNCTION,
        "class Bad(ValueError): pass\ndef it(x):\n    raise Bad(x)",
        """
try:
    it(1)
except ValueError:
    pass
else:
    raise check.Wrong("a ValueError")
""",
    ),
    "a gradient through a probe": (
        FUNCTION,
        "def it(x):\n    return x**2",
        """
@check.probe
def gradient(x):
    leaf = x.clone().requires_grad_()
    it(leaf).sum().backward()
    return leaf.grad
check.close(gradient(torch.ones(2)), 2 * torch.ones(2), "")
""",
    ),
    "a probe as an argument, with a gradient through it": (
        FUNCTION,
        "def it(f, x):\n    x.requires_grad_()\n    f(x).sum().backward()\n"
        "    return x.grad",
        """
@check.probe
def cube(x):
    return x**3
check.close(it(cube, torch.ones(2)), 3 * torch.ones(2), "")
""",
    ),
    "given names in a probe, whatever became of them": (
        FUNCTION,
        "given = torch = None\ndef it():\n    pass",
        "@check.probe\ndef f():\n    return torch.add(given, 1)\n"
        "check.close(f(), given + 1, '')",
    ),
    "given functions": (
        FUNCTION,
        "def it(x):\n    return x + 1",
        "check.close(apply(it, 1), 2, '')",
    ),
    "a generator of torch's": (
        FUNCTION,
        "def it(g):\n    return torch.randn(3, generator=g)",
        "g = check.generator('g')\nh = check.generator('g')\n"
        "check.close(it(g), torch.randn(3, generator=h), '')",
    ),
    "a generator of numpy's": (
        FUNCTION,
        "def it(g):\n    return g.normal(size=3)",
        "check.close(it(check.rng('g')), check.rng('g').normal(size=3), '')",
    ),
    "an argument does not require a gradient and is a copy": (
        FUNCTION,
        "def it(x):\n    x.add_(1)\n    return x.requires_grad",
        "x = torch.ones(2, requires_grad=True)\ncheck.close(it(x), False, '')\n"
        "check.close(x.detach(), torch.ones(2), '')",
    ),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_test_may_use(name):
    assert judged(*PASSING[name]) == ("passed", "", {})


FAILING = {
    "a truth that is none": (
        FUNCTION,
        "class Yes:\n    pass\ndef it():\n    return Yes()",
        "assert it(), 'no'",
        "the test cannot use what your function returned: class Yes",
    ),
    "an equality of its own": (
        FUNCTION,
        "class Yes:\n    __eq__ = lambda *_: True\ndef it():\n    return Yes()",
        "assert it() == 3, 'no'",
        "the test cannot use what your function returned: class Yes",
    ),
    "a callback without end": (
        FUNCTION,
        "def it(f):\n    while True: f()",
        "check.close(it(lambda: None), 1, '')",
        "your code called a function it was given too often",
    ),
    "a callback with what does not cross": (
        FUNCTION,
        "def it(f):\n    return f(object())",
        "check.close(it(lambda x: x), 1, '')",
        "TypeError: this function takes data, not class object",
    ),
    "the reference": (
        FUNCTION,
        "def it():\n    import lib.positional_encoding.rotary",
        "it()",
        "ImportError",
    ),
    "the reference's file": (
        FUNCTION,
        "import glob, sys\ndef it():\n    found = [glob.glob(p + '/lib/*/rotary.py')"
        " for p in sys.path]\n    return sum(found, [])",
        "check.close(it(), ['one'], 'found')",
        "expected a list of length 1, got a list of length 0",
    ),
    "the course behind the judge": (
        FUNCTION,
        "def it():\n    import course.grading.court",
        "it()",
        "ModuleNotFoundError: No module named 'course.grading'",
    ),
    "its own channel": (
        FUNCTION,
        "import gc\ndef it():\n    for o in gc.get_objects():\n"
        "        if type(o).__name__ == 'Channel' and o.descriptor: o.close()",
        "it()",
        "your code ended Python in this exercise",
    ),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_learners_code_gets_nowhere_with(name):
    stub, answer, test, text = FAILING[name]
    absent = ["lib.positional_encoding.rotary"]
    status, message, errors = judged(stub, answer, test, absent=absent)
    assert status in ("wrong", "crashed")
    assert text in message
    assert not errors


def test_a_test_in_a_probe_is_sent_without_comments_and_docstring():
    answer = (
        "import sys\ndef it():\n    code = sys._getframe(1).f_code\n"
        "    return [code.co_consts, code.co_filename]"
    )
    test = '''
@check.probe
def ask():
    """A telling word."""
    # Another one.
    return it()
check.close(ask(), [(None,), "probe"], "")
'''
    assert judged(FUNCTION, answer, test)[0] == "passed"
