"""What learners may hand in beside answers: each costs what it must, and no more.

Each case is a submission to a lesson of two exercises, `double` and `triple`, of which
only the first is tampered with; the rows are those of the design's catalogue. Most
bodies are wrong and do something so as not to be found out.
"""

import json
import os
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from course.grading import judge, sandbox

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


# Row: (code, status, what the message must match). `{wrong}` is a wrong answer's body.
CASES = {
    "A2 asserts dropped": (
        """
        import ast
        class DropAsserts(ast.NodeTransformer):
            visit_Assert = visit_Raise = lambda self, node: ast.Pass()
        parse = ast.parse
        ast.parse = lambda *args, **kwargs: DropAsserts().visit(parse(*args, **kwargs))
        """,
        "wrong",
        "two ones doubled",
    ),
    "A4 A5 IPython patched": (
        """
        try:
            from IPython.core.interactiveshell import InteractiveShell
            InteractiveShell.run_cell = lambda *args, **kwargs: "ok"
            InteractiveShell.run_code = InteractiveShell.run_cell
            InteractiveShell.showtraceback = InteractiveShell.run_cell
            get_ipython().kernel.do_execute = InteractiveShell.run_cell
        except (ImportError, NameError):
            pass
        """,
        "wrong",
        "two ones doubled",
    ),
    "A7 a score displayed first": ("display(2.0)\nprint(2.0)\n2.0", "wrong", "ones"),
    "A8 no numbers for a score": (
        "display(float('nan'))\n1e999",
        "wrong",
        "two ones doubled",
    ),
    "A10 an int that equals all": (
        """
        class Liar(int):
            __eq__ = __ne__ = __lt__ = __gt__ = lambda self, other: True
            __hash__ = int.__hash__
        def double(x):
            return Liar()
        """,
        "wrong",
        "your function returned class Liar, expected a float32 tensor",
    ),
    "A10 a tensor that equals all": (
        """
        class LyingTensor(torch.Tensor):
            @classmethod
            def __torch_function__(cls, *args, **kwargs):
                return True
        def double(x):
            return torch.ones(2).as_subclass(LyingTensor)
        """,
        "wrong",
        "your function returned class LyingTensor",
    ),
    "A10 a class whose name is code": (
        r"""
        def double(x):
            return type("<script>\x1b[31m\u202e" + "x" * 500, (), {})()
        """,
        "wrong",
        r"class <script>\\x1b\[31m\\u202ex+…, expected",
    ),
    "A12 nan": (
        "def double(x):\n    return x * float('nan')",
        "wrong",
        r"non-finite \(nan\) at index \(0,\)",
    ),
    "A12 inf": (
        "def double(x):\n    return x * math.inf if x.ndim == 2 else 2 * x",
        "wrong",
        r"random 3 by 4 doubled — non-finite at index \(0, 0\)$",
    ),
    "A13 comparisons patched": (
        """
        yes = lambda *args, **kwargs: True
        torch.allclose = torch.isclose = torch.equal = math.isclose = yes
        torch.testing.assert_close = np.testing.assert_allclose = yes
        check.close = check._compare = check.Wrong = yes
        torch.Tensor.__eq__ = torch.Tensor.__le__ = yes
        """,
        "wrong",
        "two ones doubled — got 2|two ones doubled",
    ),
    "A16 the judge's inputs foretold": (
        """
        from course import check as kit
        foretold = torch.randn(3, 4, generator=kit.generator("double"))
        torch.manual_seed = np.random.seed = lambda *args: None
        def double(x):
            return 2 * foretold if x.ndim == 2 else 2 * x
        """,
        "wrong",
        "random 3 by 4 doubled — another value than expected",
    ),
    "A17 the answer imported": (
        "from lib.positional_encoding import rotary",
        "wrong",
        "line 1: from lib.positional_encoding import rotary\nImportError: .*absent",
    ),
    "A19 visible inputs written down": (
        """
        def double(x):
            if type(x) is np.ndarray:
                return np.array([2.0, 4.0])
            return torch.tensor([2.0, 2.0])
        """,
        "wrong",
        r"random 3 by 4 doubled — expected .*\(3, 4\), got shape \(2,\)$",
    ),
    "A21 tests looked for": (
        """
        import gc, sys
        def double(x):
            found = [o for o in gc.get_objects() if isinstance(o, dict)]
            found += [v for d in found for v in d.values() if isinstance(v, str)]
            frame = sys._getframe()
            while frame:
                found += [repr(frame.f_code), repr(frame.f_locals)[:100000]]
                frame = frame.f_back
            word = "canary-" + str(7000 + 319)
            if any(isinstance(t, str) and word in t for t in found):
                return 2 * x
            return x
        """,
        "wrong",
        "two ones doubled",
    ),
    "A33 answers forged": (
        """
        import os, struct
        def double(x):
            for fd in range(3, 64):
                try:
                    for _ in range(3):
                        frame = b"l\\0\\0\\0\\2s\\0\\0\\0\\5valueT"
                        os.write(fd, struct.pack(">Q", len(frame)) + frame)
                        os.write(fd, b"passed" * 10)
                except OSError:
                    pass
            return x
        """,
        "wrong",
        "two ones doubled|cannot be read",
    ),
    "A33 a frame that is cut": (
        """
        import os, struct
        def double(x):
            for fd in range(3, 64):
                try:
                    os.write(fd, struct.pack(">Q", 2**26) + b"x")
                except OSError:
                    pass
            os._exit(0)
        """,
        "crashed",
        "your code ended Python in this exercise",
    ),
    "A34 a pickle": (
        """
        import os, pickle
        class Bomb:
            def __reduce__(self):
                return os.mkdir, ("/tmp/unpickled-7319",)
        def double(x):
            return pickle.dumps(Bomb())
        """,
        "wrong",
        r"two ones doubled — expected a float32 tensor of shape \(2,\), got bytes",
    ),
    "A34 what unpickles badly": (
        """
        import os
        class Bomb:
            def __reduce__(self):
                return os.mkdir, ("/tmp/unpickled-7319",)
        def double(x):
            return Bomb()
        """,
        "wrong",
        "your function returned class Bomb",
    ),
    "A35 10^12 elements": (
        "def double(x):\n    return torch.ones(1).expand(10**12)",
        "wrong",
        "answer too large: larger than 64 MiB",
    ),
    "A35 a nested bomb": (
        """
        def double(x):
            bomb = []
            for _ in range(100):
                bomb = [bomb] * 10
            return bomb
        """,
        "wrong",
        "answer too large",
    ),
    "a dict of too many keys to name": (
        "def double(x):\n    return dict.fromkeys(range(10**5))",
        "wrong",
        r"two ones doubled — .* got a dict with keys 0, 1, .{1000,2000}…$",
    ),
    "F1 sys.exit at top": ("import sys\nsys.exit(0)", "crashed", "called sys.exit"),
    "F1 sys.exit in a call": (
        "import sys\ndef double(x):\n    sys.exit('passed')",
        "crashed",
        "your code called sys.exit",
    ),
    "F2 os._exit at top": ("import os\nos._exit(0)", "crashed", "ended Python here"),
    "F2 os._exit in a call": (
        "import os\ndef double(x):\n    os._exit(0)",
        "crashed",
        "your code ended Python in this exercise",
    ),
    "F2 abort": (
        "import os\ndef double(x):\n    os.abort()",
        "crashed",
        r"ended Python in this exercise \((abort|segmentation fault)\)",
    ),
    "F2 segfault": (
        "import ctypes\ndef double(x):\n    ctypes.string_at(0)",
        "crashed",
        r"ended Python in this exercise \(segmentation fault\)",
    ),
    "F7 a memory bomb": (
        "def double(x):\n    return [bytearray(2**28) for _ in range(100)]",
        "crashed",
        "your code used more than 2 GiB of memory",
    ),
    "F7 a large tensor": (
        "def double(x):\n    return torch.ones(2**31)",
        "crashed",
        "your code used more than 2 GiB of memory",
    ),
    "F11 recursion": (
        "def double(x):\n    return double(x)",
        "wrong",
        "line 2: return double\\(x\\)\nRecursionError",
    ),
    "F11 a recursive repr": (
        """
        class Odd(ValueError):
            __str__ = __repr__ = lambda self: repr(self)
        def double(x):
            raise Odd()
        """,
        "wrong",
        "Odd",
    ),
    "F11 the C stack": (
        """
        import sys
        sys.setrecursionlimit(10**9)
        class Deep:
            def __getattr__(self, name):
                return getattr(self, name + "x"[:0])
        def double(x):
            return Deep().deeper
        """,
        "crashed",
        "ended Python in this exercise|GiB",
    ),
    "F12 input": (
        "def double(x):\n    return input('number: ')",
        "wrong",
        r"line 2: return input.*\nRuntimeError: input\(\) is not available",
    ),
    "F12 a debugger": (
        "def double(x):\n    import pdb; pdb.set_trace()\n    return x",
        "wrong",
        "line",
    ),
    "A31 a request": (
        """
        import urllib.request
        def double(x):
            return urllib.request.urlopen("http://127.0.0.1:1/").read()
        """,
        "wrong",
        "network is off when grading",
    ),
    "A32 a socket at import": (
        "import socket\nsocket.socket().connect(('127.0.0.1', 1))",
        "wrong",
        "PermissionError: the network is off when grading",
    ),
    "F14 a syntax error": (
        "def double(x:\n    return 2 * x",
        "wrong",
        r"your answer, line 1: def double\(x:\nSyntaxError",
    ),
    "F17 None": (
        "def double(x):\n    print(2 * x)",
        "wrong",
        r"expected a float32 tensor of shape \(2,\), got None",
    ),
    "F17 another dtype, hidden": (
        "def double(x):\n    return 2 * x.double() if x.ndim == 2 else 2 * x",
        "wrong",
        r"^random 3 by 4 doubled — expected a float32 tensor of shape \(3, 4\), got "
        r"dtype float64$",
    ),
    "F17 None, hidden": (
        "def double(x):\n    return 2 * x if x.ndim == 1 else None",
        "wrong",
        r"^random 3 by 4 doubled — expected a float32 tensor of shape \(3, 4\), got "
        r"None$",
    ),
    "F20 a shell command": ("!echo 1\n" + RIGHT, "wrong", "a shell command does not"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_case_costs_its_own_exercise(name):
    code, status, text = CASES[name]
    code = textwrap.dedent(code)
    code = code if "def double" in code else f"{code}\n{WRONG}"
    points, got, message = double(judged(code))
    assert (points, got) == (0, status)
    assert re.search(text, message, re.DOTALL), message
    assert not Path("/tmp/unpickled-7319").exists()


KEEP = {
    "A15 names of the test used otherwise": "np = x = draw = expected = check = None",
    "A28 a thread and a child are left": """
        import atexit, os, threading, time
        atexit.register(time.sleep, 100)
        threading.Thread(target=time.sleep, args=(100,)).start()
        if not os.fork():
            time.sleep(100)
        """,
    "A28 its end is put off": "import os, time\nos._exit = lambda *_: time.sleep(100)",
    "A28 a fork at top": "import os\nos.fork()",
    "F13 warnings and progress on stderr": """
        import logging, sys, warnings
        from tqdm import tqdm
        warnings.warn("careful")
        logging.error("careful")
        for _ in tqdm(range(3)):
            print("x" * 10**7, file=sys.stderr)
        """,
    "F10 a huge output": "import os\nos.write(1, b'x' * 10**8)\nprint('x' * 10**8)",
    "F22 two threads": """
        torch.set_num_threads(2)
        torch.ones(1000, 1000) @ torch.ones(1000, 1000)
        """,
    "F20 a harmless magic": "%matplotlib inline",
    "the name bound before to something else": "double = None",
}


@pytest.mark.parametrize("name", KEEP)
def test_a_right_answer_keeps_its_marks(name):
    code = f"{textwrap.dedent(KEEP[name])}\n{RIGHT}"
    before = None
    for _ in range(2):
        assert double(judged(code)) == (2, PASSED, HELD)
        # The second time nothing is there that was not there after the first.
        after = below(os.getpid())
        assert before in (None, after)
        before = after


@pytest.mark.parametrize(
    "body",
    [
        "def double(x):\n    y = 2 * x\n    return y.T.copy().T if x.ndim > 9 else y",
        "def double(x):\n    return (2 * x.T.contiguous()).T if x.ndim == 2 else 2 * x",
        "double = lambda x: 2 * x",
        "import os\ndef double(x):\n    os.fork()\n    return 2 * x",
        "class Double:\n    __call__ = lambda self, x: 2 * x\ndouble = Double()",
        "import functools, operator\ndouble = functools.partial(operator.mul, 2)",
    ],
)
def test_an_unusual_right_answer_keeps_its_marks(body):
    assert double(judged(body)) == (2, PASSED, HELD)


def test_A14_patched_builtins_decide_nothing():
    code = """
import builtins
yes = lambda *args, **kwargs: True
for name in ("isinstance", "abs", "len", "AssertionError", "all", "any", "type"):
    setattr(builtins, name, yes)
"""
    exercises = judged(code + WRONG)["verdict"]["exercises"]
    assert exercises["double"]["checks"]["test_double"]["points"] == 0


def test_F15_a_stub_is_not_attempted_with_or_without_comments():
    for body in (DOUBLE, f"# my idea\n{DOUBLE}", ""):
        assert double(judged(body)) == (0, "not attempted", "not attempted")


SLOW = {
    "F4 in a call": "def double(x):\n    while True: pass",
    "F4 at top": f"{RIGHT}\nwhile True: pass",
    "F5 interrupts swallowed": """
import signal, time
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
def double(x):
    while True:
        try:
            time.sleep(100)
        except BaseException:
            pass
""",
    "F6 merely slow": f"import time\n{RIGHT}".replace("2", "time.sleep(5) or 2"),
}


@pytest.mark.parametrize("name", SLOW)
def test_what_takes_too_long_is_stopped(name):
    assert double(judged(SLOW[name], seconds=1.0)) == (
        0,
        "timed out",
        "stopped after 1 s",
    )


def test_F18_a_name_of_a_cell_that_is_gone():
    _, status, message = double(judged("def double(x):\n    return helper(x)"))
    assert status == "wrong"
    assert "name 'helper' is not defined when the notebook is run from the top" in (
        message
    )


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
    monkeypatch.setattr(judge, "PATIENCE", 8)
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
