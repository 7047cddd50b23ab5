"""The judge: right answers keep their marks, and what it says beside them."""

import json
import os
import subprocess
import sys

import pytest
import test_proxies
import test_sandbox
from test_proxies import FUNCTION

from course.exercises import proof
from course.exercises.source import read
from course.grading import court, judge, pool, sandbox
from course.paths import CourseError, lessons, root

BODIES = [
    (lesson, body)
    for lesson in lessons()
    for body in proof.implied(read(lesson)) + proof.written(read(lesson), whole=False)
]


@pytest.fixture(scope="module", autouse=True)
def sandboxed():
    if sandbox.level() not in ("base", "full"):
        pytest.skip(f"the sandbox reaches level {sandbox.level()!r} only")
    yield
    judge.close()


@pytest.mark.parametrize(
    ("lesson", "body"), BODIES, ids=[f"{name}-{body.name}" for name, body in BODIES]
)
def test_every_body_gets_the_marks_that_the_proof_asks_for(lesson, body):
    source = read(lesson)
    (row,) = proof.judged(source, [(body, "0")])
    assert proof.verdict(source, body, row) == []


def of_one(answer, test="it(1)", **keywords):
    """The verdict on one small exercise."""
    request = test_proxies.job(FUNCTION, answer, test, **keywords)
    return json.loads(judge.judge_one(json.dumps(request).encode()))


def said(verdict):
    exercise = verdict["verdict"]["exercises"]["it"]
    return exercise["status"], exercise["message"]


def test_who_passes_reads_what_was_checked_hidden_or_not():
    test = """
check.close(it(1), 1, "one")
### BEGIN HIDDEN TESTS
for n in range(9):
    check.close(it(n), n, f"a number below {max(n, 5) + 1}")
### END HIDDEN TESTS
"""
    below = "; ".join(f"a number below {n}" for n in (6, 7, 8, 9))
    text = f"5 checked: one; {below}"
    assert said(of_one("def it(x):\n    return x", test)) == ("passed", text)
    status, message = said(of_one("def it(x):\n    return min(x, 7)", test))
    assert status == "wrong"
    assert message.startswith("a number below 9 — ")


SWARM = """
import os, time
def it(x):
    for _ in range(4):
        if not os.fork():
            held = bytearray(b"x") * (120 * 2**20)
            time.sleep(60)
    time.sleep(60)
"""


PROCESSES = """
import os, time
def it(x):
    while True:
        if not os.fork():
            time.sleep(60)
"""
THREADS = """
import threading, time
def it(x):
    while True:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
"""


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (SWARM, "your code used more than 0.25 GiB of memory"),
        (f"{SWARM}\nit(1)", "your code used more than 0.25 GiB of memory"),
        (
            "def it(x):\n    for k in range(2000):\n        open(str(k), 'w').close()",
            "your code wrote more than 256 MiB, or more than 1000 files",
        ),
        (
            "def it(x):\n    open('large', 'wb').write(bytes(2**28 + 2**20))",
            "your code wrote more than 256 MiB, or more than 1000 files",
        ),
        (PROCESSES, "your code started more than 64 processes or threads"),
        (THREADS, "your code started more than 64 processes or threads"),
    ],
    ids=[
        *("memory in a call", "memory at top", "files", "a file", "processes"),
        "threads",
    ],
)
def test_who_is_ended_for_using_too_much_reads_of_what(answer, text):
    memory = 2**28 if "GiB" in text else 2**31
    assert said(of_one(answer, memory=memory)) == ("crashed", text)


@pytest.mark.parametrize("where", ["at top", "in a call"])
def test_who_uses_up_the_processor_time_reads_so(where, monkeypatch, tmp_path):
    monkeypatch.setattr(court, "SPARE", -39)  # of twice 20 s on the clock
    answer = "while True: pass" if where == "at top" else ""
    answer += "\ndef it(x):\n    while True: pass"
    with court.Court(root(), tmp_path) as here:
        request = test_proxies.job(FUNCTION, answer, "it(1)", seconds=20.0)
        verdict = here.judge(request, [], lambda task: None)
    text = "your code used more than 1 s of processor time"
    assert said(verdict) == ("crashed", text)


def test_no_reason_is_left_for_the_next_submission():
    of_one(SWARM, memory=2**28)
    status, message = said(of_one("import os\ndef it(x):\n    os._exit(0)"))
    assert (status, message) == ("crashed", "your code ended Python in this exercise")


@pytest.mark.parametrize("where", ["at top", "in a call"])
def test_a_notebook_as_a_whole_has_a_limit(where, monkeypatch, tmp_path):
    monkeypatch.setattr(court, "MOST", 1.0)
    answer = "while True: pass" if where == "at top" else ""
    answer += "\ndef it(x):\n    while True: pass"
    with court.Court(root(), tmp_path) as here:
        request = test_proxies.job(FUNCTION, answer, "it(1)", seconds=50.0)
        verdict = here.judge(request, [], lambda task: None)
    text = "stopped: a notebook as a whole may take 1 s"
    assert said(verdict) == ("timed out", text)


FLAGGED = {
    "an import at top": ("from lib.part import lesson", "flag-answer"),
    "an import in a call, caught": (
        "def it(x):\n    try:\n        import lib.part.lesson\n"
        "    except ImportError:\n        return x",
        "flag-answer",
    ),
    "an import by name": (
        "import importlib\ndef it(x):\n    importlib.import_module('lib.part.lesson')",
        "flag-answer",
    ),
    "a path": ("def it(x):\n    open('/root/.ssh/id_rsa')", "flag-path"),
    "a path at top": ("open('/etc/passwd')", "flag-path"),
}


@pytest.mark.parametrize("name", FLAGGED)
def test_the_instructor_is_told_of(name):
    answer, code = FLAGGED[name]
    (note,) = of_one(answer, absent=["lib.part.lesson"])["verdict"]["notes"]
    assert note["code"] == code
    assert note["text"].startswith("your answer it: ")


@pytest.mark.parametrize(
    "answer",
    [
        "from lib.part import another\ndef it(x):\n    return x",
        "def it(x):\n    open('data.csv')",
        "def it(x):\n    import socket; socket.socket()",
    ],
)
def test_nothing_is_told_of(answer):
    assert of_one(answer, absent=["lib.part.lesson"])["verdict"]["notes"] == []


def test_the_level_is_the_one_in_force(monkeypatch, tmp_path):
    monkeypatch.setattr(sandbox, "level", lambda: "full")
    verdict = of_one("def it(x):\n    return x")
    with court.Court(root(), tmp_path) as here:
        there = here.ready(False).isolated
    assert verdict["run"]["level"] == ("full" if there else "base")
    monkeypatch.setattr(judge._room, "judge", lambda _: {"run": {"isolated": False}})
    assert json.loads(judge.judge_one(b'{"level": "base"}'))["run"] == {"level": "base"}
    with pytest.raises(RuntimeError, match="reaches 'base', not 'full'"):
        judge.judge_one(b'{"level": "full"}')


def test_an_array_of_what_does_not_cross_is_told_by_its_dtype():
    test = "check.close(it(1), 1, 'one')"
    status, message = said(of_one("def it(x):\n    return np.array(['a'])", test))
    assert (status, message) == (
        "wrong",
        "your function returned class ndarray of dtype <U1",
    )


def test_without_any_sandbox_allow_weak_does_for_all_but_root(monkeypatch):
    monkeypatch.setattr(sandbox, "level", lambda: "none")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert pool.level(True) == "none"
    with pytest.raises(CourseError, match="--allow-weak"):
        pool.level(False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(CourseError, match="never as root: grade as an ordinary user"):
        pool.level(True)


BARE = """
import json, sys
from course.grading import judge
judge.sandbox.level = lambda: "none"
sys.stdout.buffer.write(judge.judge_one(sys.stdin.buffer.read()))
judge.close()
"""


def bare(answer, command):
    request = test_proxies.job(FUNCTION, answer, "check.close(it(1), 1, '')")
    request["level"] = "none"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(root())}
    return subprocess.run(
        command([sys.executable, "-c", BARE]),
        input=json.dumps(request).encode(),
        capture_output=True,
        env=environment,
        cwd="/",
    )


def test_without_any_sandbox_an_ordinary_user_may_grade(tmp_path):
    def command(line):
        return test_sandbox.as_user(line, tmp_path / "home")

    answer = "import os\ndef it(x):\n    return x * int(os.getuid() != 0)"
    done = bare(answer, command)
    verdict = json.loads(done.stdout)
    assert said(verdict) == ("passed", ""), done.stderr
    assert verdict["run"]["level"] == "none"
    done = bare("import time\ndef it(x):\n    import os; os.abort()", command)
    assert said(json.loads(done.stdout))[0] == "crashed"


@pytest.mark.skipif(os.geteuid() != 0, reason="not root")
def test_without_any_sandbox_root_is_refused():
    done = bare("def it(x):\n    return x", list)
    assert done.returncode
    assert b"never as root: grade as an ordinary user" in done.stderr
