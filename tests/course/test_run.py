"""`course check`: what a learner is told, whatever the notebook does."""

import json
import os
import sys
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner

from course.exercises import run, runner
from course.exercises.canonical import canonical
from course.exercises.plain import Plain
from course.exercises.run import Warm, check_command
from course.grading import court, courtroom, judge, sandbox
from course.paths import CourseError, root


@pytest.fixture(scope="module", params=["court", "plain"])
def warm(request):
    """The same processes for all, as under --watch: no notebook may spoil the next.
    The judge's, and the plain one that stands in for them."""
    with pytest.MonkeyPatch.context() as patch, Warm() as processes:
        if request.param == "plain":
            processes._judge = Plain()
        elif sys.platform != "linux":
            pytest.skip("the judge's processes need Linux")
        # Every test has a course folder of its own, mostly with an empty `lib`.
        patch.setattr(courtroom, "_state", lambda: list((root() / "lib").iterdir()))
        yield processes


@pytest.fixture
def verdict(release, course_folder, warm, request):
    """A function from a learner's notebook to {task: row} and the notes' texts."""
    kinds = {"court": courtroom.Courtroom, "plain": Plain}
    kind = kinds[request.node.callspec.params["warm"]]

    def verdict(learner, limit=20, folder="."):
        notebook, _ = canonical(release, learner)
        place = course_folder / folder
        rows, notes = run.check(release, notebook, warm, folder=place, limit=limit)
        assert type(warm._judge) is kind
        return {row.task.name: row for row in rows}, [note.text for note in notes]

    return verdict


def own(source):
    """A cell of the learner's own."""
    return nbformat.v4.new_code_cell(source)


def statuses(rows):
    """What one reads at a glance."""
    return [row.status for row in rows.values()]


def test_a_solved_notebook_passes_everything(verdict, fill):
    rows, notes = verdict(fill())
    assert statuses(rows) == ["passed"] * 3
    assert sum(row.points for row in rows.values()) == 5
    assert notes == []


def test_an_untouched_notebook_is_not_attempted(verdict, release):
    rows, notes = verdict(release)
    assert statuses(rows) == ["not attempted"] * 3
    assert sum(row.points for row in rows.values()) == 0
    assert notes == []


ONE_TASK = {
    "wrong": [
        ("def double(x):\n    return x", "twice 2 is 4"),
        ("def double(x):\n    return None", "twice 2 is 4"),
        ("def double(x):\n    return x.nope", "line 2: return x.nope"),
        ("def double(x):\n  return 2 *", "line 2: return 2 *"),
        ("def other(x):\n    return 2 * x", "name 'double' is not defined"),
        (
            "def double(x):\n    return 2 * helper(x)",
            "when the notebook is run from the top",
        ),
        ("def double():\n    pass", "takes 0 positional arguments"),
        ("def double(x):\n    return double(x)", "RecursionError"),
        ("def double(x):\n    return int(input())", "input() is not available"),
        ("!pip install torch\ndef double(x):\n    return 2 * x", "shell command"),
        ("%%bash\nls", "the magic %%bash"),
        ("def double(x):\n    return '\0'", "null bytes"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def double(x):\n    y = 2 * x\n    raise NotImplementedError", "line 3"),
        ("import getpass\ndouble = lambda x: getpass.getpass()", "EOFError"),
        (
            "class Odd(Exception):\n    def __str__(self):\n        1 / 0\n"
            "def double(x):\n    raise Odd",
            "its message raised ZeroDivisionError",
        ),
    ],
    "crashed": [
        ("import sys\ndef double(x):\n    sys.exit(0)", "your code called sys.exit"),
        ("import sys\nsys.exit()", "your code called sys.exit"),
        (
            "import os\ndef double(x):\n    os._exit(0)",
            "your code ended Python in this exercise",
        ),
        (
            "import os\ndef double(x):\n    os._exit(3)",
            "your code ended Python in this exercise (exit code 3)",
        ),
        ("import os\nos._exit(3)", "your code ended Python here"),
        (
            "import ctypes\ndef double(x):\n    ctypes.string_at(0)",
            "segmentation fault",
        ),
    ],
    "not attempted": [
        ("# soon\ndef double(x):\n    raise NotImplementedError  # soon", ""),
        ("", ""),
        ("# nothing yet", ""),
    ],
}
CASES = [
    (status, source, message)
    for status, cases in ONE_TASK.items()
    for source, message in cases
]


@pytest.mark.parametrize(("status", "source", "message"), CASES)
def test_a_bad_answer_costs_its_own_task_only(verdict, fill, status, source, message):
    rows, _ = verdict(fill(double=source))
    assert statuses(rows) == [status, "passed", "passed"]
    assert message in rows["double"].message
    assert rows["double"].points == 0
    for internal in ("runner.py", "exec(", "Traceback", "linecache"):
        assert internal not in rows["double"].message


def test_two_errors_cost_two_tasks_and_points_are_counted_by_test(verdict, fill):
    half = "def double(x):\n    return 4 if x == 2 else 0"
    rows, _ = verdict(fill(double=half, triple="import os; os._exit(1)"))
    assert statuses(rows) == ["wrong", "crashed", "passed"]
    assert rows["double"].message == "twice twice 1"
    assert [row.points for row in rows.values()] == [1, 0, 1]


def test_closing_every_file_costs_only_the_rest_of_the_cell_it_is_in(verdict, fill):
    rows, _ = verdict(fill(double="import os\nos.closerange(3, 1000)"))
    assert statuses(rows) == ["crashed", "passed", "passed"]


LOOPS = [
    "def double(x):\n    while True:\n        pass",
    "while True:\n    pass",
    "def double(x):\n    while True:\n        try:\n            while True: pass\n"
    "        except BaseException: pass",
    "import signal, time\nfor s in (2, 14, 15): signal.signal(s, signal.SIG_IGN)\n"
    "time.sleep(1000)",
]


@pytest.mark.parametrize("source", LOOPS)
def test_an_endless_loop_is_stopped_and_costs_its_own_task_only(verdict, fill, source):
    rows, _ = verdict(fill(double=source), limit=0.5)
    assert statuses(rows) == ["timed out", "passed", "passed"]
    assert rows["double"].message == "stopped after 0.5 s"


def test_a_test_that_passed_before_a_crash_keeps_its_points(verdict, fill):
    source = "import os\ndef double(x):\n    return 4 if x == 2 else os._exit(1)"
    row = verdict(fill(double=source))[0]["double"]
    assert (row.status, row.points) == ("crashed", 1)


def test_every_task_may_kill_python_and_every_one_is_named(verdict, fill):
    dead = "import os\nos._exit(1)"
    rows, _ = verdict(fill(double=dead, triple=dead, Tally=dead))
    assert statuses(rows) == ["crashed"] * 3


def test_even_a_stub_that_cannot_be_defined_ends_the_check(verdict, fill):
    source = "import builtins, os\nbuiltins.__build_class__ = lambda *_: os._exit(1)"
    rows, _ = verdict(fill(triple=source + "\ndef triple(x):\n    return 3 * x"))
    assert statuses(rows) == ["passed", "passed", "crashed"]


HARMLESS = {
    "noise": "import sys, warnings\nwarnings.warn('slow')\nprint('x' * 10**7)\n"
    "sys.stderr.write('progress 100%')\ndisplay(1)\ninput",
    "forged events": 'import os\nprint(\'{"event": "done"}\')\n'
    'os.write(1, b\'{"event": "ended", "status": 0}\\n\')',
    "magics": "%matplotlib inline\n%load_ext autoreload\nif True:\n    %config x=1",
    "a timed cell": "%%time\nx = 1",
    "names that tests use": "x = None\nmath = None\nrate = 'high'",
    "a thread left behind": "import threading, time\n"
    "threading.Thread(target=time.sleep, args=(1000,)).start()",
    "an exit handler": "import atexit, time\natexit.register(time.sleep, 1000)",
    "another folder": "import os\nos.chdir('/')",
    "a fork that goes on by itself": "import os\nos.fork()",
    "a closed terminal": "import os, sys\nsys.stdout.close()\nos.close(0)\nos.close(1)",
    "a large recursion limit": "import sys\nsys.setrecursionlimit(10**6)",
    "a pickle of its own class": "import pickle\nfrom dataclasses import dataclass\n"
    "@dataclass\nclass Point:\n    x: int\npickle.loads(pickle.dumps(Point(1)))",
    "its own source": "import inspect\ndef f(): pass\nassert inspect.getsource(f)",
    "a percent sign that begins a line": "x = '''\n%d\n!''' % 3",
}


@pytest.mark.parametrize("what", HARMLESS)
def test_harmless_code_costs_nothing(verdict, fill, what):
    learner = fill()
    learner.cells.insert(1, own(HARMLESS[what]))
    rows, notes = verdict(learner)
    assert statuses(rows) == ["passed"] * 3
    assert notes == []


def test_a_cell_of_ones_own_that_fails_costs_nothing_and_is_named(verdict, fill):
    learner = fill()
    learner.cells.insert(2, own("# mine\n1 / 0"))
    learner.cells.insert(2, own("import os; os._exit(4)"))
    rows, notes = verdict(learner)
    assert statuses(rows) == ["passed"] * 3
    label = "a cell of your own (import os; os._exit(4))"
    assert notes[0] == f"{label}: your code ended Python here; left out"
    label = "a cell of your own (# mine)"
    assert notes[1].startswith(f"{label}: {label}, line 2: 1 / 0\nZeroDivisionError")


def test_an_answer_may_use_a_cell_of_ones_own_before_it(verdict, fill):
    learner = fill(double="def double(x):\n    return helper(x)")
    learner.cells.insert(2, own("def helper(x):\n    return 2 * x"))
    assert statuses(verdict(learner)[0]) == ["passed"] * 3


def test_an_answer_that_works_though_its_cell_raises_passes(verdict, fill):
    rows, _ = verdict(fill(double="def double(x):\n    return 2 * x\n1 / 0"))
    assert statuses(rows) == ["passed"] * 3


def test_the_deepest_line_of_the_learners_own_is_shown(verdict, fill):
    source = (
        "import json\n\ndef inner(x):\n    return json.loads('{')\n\n"
        "def double(x):\n    return inner(x)"
    )
    message = verdict(fill(double=source))[0]["double"].message
    assert message.startswith("your answer, line 4: return json.loads('{')\n")


def test_a_fault_in_another_answer_is_placed_there(verdict, fill):
    source = "def double(x):\n    return x + None"
    rows, _ = verdict(
        fill(triple="def triple(x):\n    return double(x)", double=source)
    )
    assert "your answer double, line 2: return x + None" in rows["triple"].message


def test_the_test_kit_speaks_for_itself(verdict, fill, release):
    test = next(cell for cell in release.cells if cell.id == "test_double")
    test.source = "class Wrong(AssertionError): pass\nraise Wrong('got 3\\nexpected 4')"
    row = verdict(fill())[0]["double"]
    assert (row.status, row.message) == ("wrong", "got 3\nexpected 4")


def test_the_lessons_own_module_is_absent(verdict, fill, course_folder):
    (course_folder / "lib/part").mkdir(parents=True)
    for name in ("__init__", "part/__init__", "part/first"):
        (course_folder / f"lib/{name}.py").write_text("def double(x): return 2 * x")
    for line in ("from lib.part.first import double", "import lib.part.first"):
        row = verdict(fill(double=line))[0]["double"]
        assert row.status == "wrong"
        assert "lib.part.first holds the answer" in row.message


def test_a_file_beside_the_notebook_does_not_stand_for_a_module(
    verdict, fill, course_folder
):
    (course_folder / "mine").mkdir()
    (course_folder / "mine/colorsys.py").write_text("raise RuntimeError('shadowed')")
    learner = fill(double="import colorsys\ndef double(x):\n    return 2 * x")
    assert statuses(verdict(learner, folder="mine")[0]) == ["passed"] * 3


def test_what_grading_refuses_is_refused_where_it_can_be(
    verdict, fill, course_folder, warm
):
    (course_folder / "mine").mkdir()
    (course_folder / "mine/two.txt").write_text("2")
    source = "def double(x):\n    return int(open('two.txt').read()) * x"
    learner = fill(double=source)
    learner.cells.insert(1, own("import subprocess\nsubprocess.Popen(['sleep', '9'])"))
    rows, notes = verdict(learner, folder="mine")
    if isinstance(warm._judge, Plain):
        assert statuses(rows) == ["passed"] * 3
        assert notes == []
    else:
        assert statuses(rows) == ["wrong", "passed", "passed"]
        assert "line 2: return int(open('two.txt')" in rows["double"].message
        assert "line 2: subprocess.Popen" in notes[0]


def test_nothing_passes_from_one_notebook_to_the_next(verdict, fill):
    verdict(fill(double="import math, builtins\nmath.pi = builtins.abs = leaked = 3"))
    source = "def double(x):\n    return 2 * abs(x) if 'leaked' not in globals() else 0"
    assert statuses(verdict(fill(double=source))[0]) == ["passed"] * 3


def test_a_process_that_was_killed_is_replaced(release, fill, course_folder, no_court):
    with Warm() as warm:
        for learner in (fill(double="import os; os.kill(os.getppid(), 9)"), fill()):
            notebook, _ = canonical(release, learner)
            rows, _ = run.check(release, notebook, warm, folder=course_folder)
    assert [row.status for row in rows] == ["passed"] * 3


@pytest.fixture(scope="module")
def judged():
    """A function from a job to the exercises of the judge's verdict."""
    if sandbox.level() not in ("base", "full"):
        pytest.skip(f"the sandbox reaches level {sandbox.level()!r} only")

    def judged(job):
        verdict = json.loads(judge.judge_one(json.dumps(job | {"level": "base"})))
        return verdict["verdict"]["exercises"]

    yield judged
    judge.close()


ALIKE = {
    "right": "def double(x):\n    return 2 * x",
    "wrong": "def double(x):\n    return x",
    "wrong in the second test": "def double(x):\n    return 4 if x == 2 else 0",
    "wrong type": "def double(x):\n    return None",
    "raises": "def double(x):\n    return 2 * x[0]",
    "raises at top": "def double(x):\n    return y\n1 / 0",
    "raises elsewhere": "import json\ndef double(x):\n    return json.loads('{')",
    "asserts": "def double(x):\n    assert x > 2, 'too small'",
    "stub": "def double(x):\n    raise NotImplementedError",
    "stub with a line more": "def double(x):\n    y = 2\n    raise NotImplementedError",
    "no Python": "def double(x):\n  return 2 *",
    "magic": "%%bash\nls",
    "dies": "import os\ndef double(x):\n    os._exit(3)",
    "dies at top": "import os\nos._exit(3)",
    "endless": "def double(x):\n    while True: pass",
    "endless at top": "while True: pass",
    "sys.exit": "import sys\ndef double(x):\n    sys.exit()",
    "sys.exit at top": "import sys\nsys.exit()",
    "name missing": "def other(x):\n    return 2 * x",
    "helper missing": "def double(x):\n    return helper(x)",
    "too deep": "def double(x):\n    return double(x)",
    "memory": "def double(x):\n    raise MemoryError",
    "long message": "def double(x):\n    raise ValueError('long\x1b ' * 100)",
}


@pytest.mark.parametrize("what", ALIKE)
def test_the_learner_reads_what_the_judge_would_say(
    verdict, fill, release, judged, course_folder, what
):
    learner = fill(double=ALIKE[what])
    notebook, _ = canonical(release, learner)
    wanted = judged(run.job(release, notebook, course_folder, 1))
    rows, _ = verdict(learner, limit=1)
    for task, row in rows.items():
        assert row.status == wanted[task]["status"]
        assert row.points == sum(c["points"] for c in wanted[task]["checks"].values())
        if row.status not in ("passed", "not attempted"):
            assert row.message == wanted[task]["message"]


def test_where_learners_code_cannot_be_shut_in_there_is_no_court(
    release, fill, course_folder, monkeypatch
):
    notebook, _ = canonical(release, fill())
    job = run.job(release, notebook, course_folder, 20)
    monkeypatch.setattr(run.sys, "platform", "darwin")
    assert run.courtroom(job) is None
    monkeypatch.setattr(run.sys, "platform", "linux")
    rooms = []

    class Room(courtroom.Courtroom):
        def __init__(self, **keywords):
            super().__init__(**keywords)
            rooms.append(self)

    monkeypatch.setattr(run, "Courtroom", Room)
    trial = [cell | {"source": "import os; os._exit(1)"} for cell in run.TRIAL[1:2]]
    monkeypatch.setattr(run, "TRIAL", [run.TRIAL[0], *trial, run.TRIAL[2]])
    assert run.courtroom(job) is None
    monkeypatch.setattr(court, "__file__", os.devnull)  # it ends at once
    assert run.courtroom(job) is None
    assert [room.court for room in rooms] == [None, None]


BAD = {
    "wrong": "double = abs",
    "crashed": "import os\nos._exit(2)",
    "timed out": "while True: pass",
}


@pytest.mark.parametrize("status", BAD)
def test_it_works_where_a_process_cannot_fork(
    release, fill, course_folder, monkeypatch, no_court, status
):
    copy = course_folder / "runner.py"
    text = Path(runner.__file__).read_text(encoding="utf-8")
    copy.write_text(text.replace('FORKS = sys.platform == "linux"', "FORKS = False"))
    monkeypatch.setattr(runner, "__file__", str(copy))
    monkeypatch.setattr(runner, "FORKS", False)
    with Warm() as warm:
        for source, expected in ((BAD[status], status), (None, "passed")):
            learner = fill(double=source) if source else fill()
            notebook, _ = canonical(release, learner)
            rows, _ = run.check(release, notebook, warm, folder=course_folder, limit=2)
            assert [row.status for row in rows] == [expected, "passed", "passed"]


# The command


@pytest.fixture
def command(course_folder, no_court):
    """Write a notebook to a file and `course check` it."""

    def command(learner, path="mine/first.ipynb"):
        file = course_folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(learner, file)
        return CliRunner().invoke(check_command, [path])

    return command


def failure(*arguments):
    """What `course check` says when it cannot."""
    with pytest.raises(CourseError) as caught:
        CliRunner().invoke(check_command, arguments, catch_exceptions=False)
    return str(caught.value)


def test_the_exit_code_is_0_only_when_every_task_passed(command, fill, release):
    assert command(fill()).exit_code == 0
    assert command(fill(triple="triple = None")).exit_code == 1
    assert command(release).exit_code == 1


def test_the_report_fits_80_columns_and_says_what_it_means(command, fill):
    long = "def double(x):\n    raise ValueError('a long message ' * 30)"
    output = command(fill(double=long)).output
    assert max(map(len, output.splitlines())) <= 80
    assert "60 s a cell" in output
    assert "wrong             0/3  Doubling" in output
    assert "visible tests passed: 2 of 5 points" in output
    assert "Hidden tests decide" in output


def test_control_characters_are_shown_and_not_obeyed(command, fill):
    evil = "def double(x):\n    raise ValueError('\\x1b[2J\\u202e\\ud800\\r')"
    output = command(fill(double=evil)).output
    assert "ValueError: \\x1b[2J\\u202e\\ud800\\r" in output
    assert not {"\x1b", "\u202e", "\r"} & set(output)


def test_notes_of_the_reading_are_printed(command, fill):
    learner = fill()
    learner.cells[4].source = "pass"
    assert "note: test_double was edited" in command(learner).output
    assert "note: other.ipynb is a notebook" in command(fill(), "other.ipynb").output


def test_a_lesson_is_found_by_its_name(course_folder, fill, no_court):
    assert "course start part/first" in failure("part/first")
    (course_folder / "work/part").mkdir(parents=True)
    nbformat.write(fill(), course_folder / "work/part/first.ipynb")
    result = CliRunner().invoke(check_command, ["part/first"])
    assert result.exit_code == 0
    assert "work/part/first.ipynb" in result.output


def test_a_notebook_that_does_not_exist_is_answered_with_those_that_do(
    course_folder, fill
):
    assert "part/first" in failure("part/frist")
    assert "course start" in failure("frist.ipynb")
    (course_folder / "work/part").mkdir(parents=True)
    nbformat.write(fill(), course_folder / "work/part/first.ipynb")
    assert "work/part/first.ipynb" in failure("frist.ipynb")


def test_the_original_is_not_for_filling_in(course_folder):
    assert "course start part/first" in failure("exercises/part/first.ipynb")


def test_what_cannot_be_read_is_a_sentence(course_folder):
    (course_folder / "first.ipynb").write_bytes(b"")
    assert failure("first.ipynb") == "first.ipynb: the file is empty"


def test_a_save_is_seen(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text("1")
    saves = run.saves(path)
    next(saves)
    os.utime(path, (1, 1))
    next(saves)
    path.with_name("b").write_text("2")
    path.with_name("b").replace(path)
    next(saves)


def test_watching_goes_on_when_a_save_cannot_be_read(course_folder, fill, monkeypatch):
    path = course_folder / "first.ipynb"
    nbformat.write(fill(), path)

    def saves(_):
        yield
        path.write_text("{")
        yield
        nbformat.write(fill(), path)
        yield

    monkeypatch.setattr(run, "saves", saves)
    output = CliRunner().invoke(check_command, ["first.ipynb", "--watch"]).output
    assert output.count("visible tests passed: 5 of 5") == 2
    assert "not valid JSON at line 1, column 2" in output
