"""The proof that the tests of an exercise discriminate.

For every task the reference must get full marks and the stub none; bodies that are
known to be wrong must lose, unusual ones that are right must keep, and no function
that the chapter prints may earn anything under the task's name. The bodies are
`tests/<part>/submissions/<lesson>/{wrong,right}_<what>.py`.
"""

import ast
import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field, replace

from course.exercises.assign import dumps, notebook, release
from course.exercises.lint import top_level
from course.exercises.source import Source, cleared, read
from course.paths import CourseError, root
from course.site.keys import plain_python

# A solved notebook takes 15 s at most.
LIMIT = 60
LEAST = {"wrong": 4, "right": 1}


@dataclass(frozen=True)
class Body:
    """Answers to put in the place of the reference's, and what must come of it.

    `loses` names the tests that must lose marks. `clean` says that no test may earn
    anything in the tasks that are answered. `whole` says that the tests of the other
    tasks run too; where they do not, the reference's results stand for them.
    """

    name: str
    about: str
    answers: dict[str, str]
    loses: frozenset[str] = frozenset()
    clean: bool = False
    whole: bool = True


@dataclass(frozen=True)
class Result:
    """What a test gave: points, and the error that cost them."""

    points: float
    error: str = ""
    not_attempted: bool = False


@dataclass(frozen=True)
class Proof:
    """The kill matrix of a lesson: a row a body, a column a test."""

    source: Source
    rows: dict[str, dict[str, Result]]
    problems: dict[str, list[str]] = field(default_factory=dict)


def prove(lesson: str, whole: bool = True) -> Proof:
    """Run every body of a lesson; not `whole`, those of files in their own tasks only,
    which takes a third of the time.

    Raises:
        CourseError: the source or a body is not well-formed.
    """
    source = read(lesson)
    bodies = [*implied(source), *written(source, whole), *printed(source)]
    results = trial(source, [(body, "0") for body in bodies])
    reference = results[0]  # of the first body that is implied
    rows = {body.name: reference | row for body, row in zip(bodies, results)}
    problems = {body.name: verdict(source, body, rows[body.name]) for body in bodies}
    return Proof(source, rows, problems)


def unlucky(lesson: str, times: int, run=None, right: bool = True) -> list[str]:
    """The problems of the bodies that are right, each tried so many times; not `right`,
    of those that are wrong.

    `run` is `trial`, or the judge in its place: `judged`. No body sees the random
    inputs of another, nor those of the other run: a test that takes marks from one
    right answer in fifty is found by many draws only.
    """
    run = run or trial
    source = read(lesson)
    bodies = implied(source)[:1] if right else []
    bodies += [
        body for body in written(source, whole=False) if bool(body.loses) != right
    ]
    jobs = [
        (body, f"{run.__name__} {body.name} {time}")
        for time in range(times)
        for body in bodies
    ]
    return [
        f"seed {seed}: {problem}"
        for (body, seed), row in zip(jobs, run(source, jobs))
        for problem in verdict(source, body, row)
    ]


def implied(source: Source) -> list[Body]:
    """The bodies that need no file: reference, stub, and each task left out alone."""
    stubs = {
        cell.task: cleared(cell.source)
        for cell in source.cells
        if cell.kind == "answer"
    }
    tests = {task: _tests(source, task) for task in stubs}
    everything = frozenset().union(*tests.values())
    return [
        Body("reference", "the solution", {}),
        Body("stub", "the notebook as it is handed out", stubs, everything, clean=True),
        *(
            Body(
                f"without {task}",
                "nobody is blocked by a task left out",
                {task: stub},
                tests[task],
                clean=True,
            )
            for task, stub in stubs.items()
        ),
    ]


def written(source: Source, whole: bool = True) -> list[Body]:
    """The bodies in `tests/<part>/submissions/<lesson>`.

    Raises:
        CourseError: one is not well-formed, or a task has too few.
    """
    part, _, name = source.lesson.partition("/")
    folder = root() / "tests" / part / "submissions" / name
    bodies, problems = [], []
    for path in sorted(folder.glob("*")):
        if path.name == "__pycache__":
            continue
        try:
            bodies.append(replace(_read_body(source, path), whole=whole))
        except CourseError as error:
            problems += str(error).split("\n")
    if not problems:
        count = Counter(
            (b.name.split("_")[0], task) for b in bodies for task in b.answers
        )
        problems = [
            f"{folder.relative_to(root()).as_posix()}: task `{task.name}` has "
            f"{count[kind, task.name]} {kind} bodies, at least {least} are needed"
            for task in source.tasks
            for kind, least in LEAST.items()
            if count[kind, task.name] < least
        ]
    if problems:
        raise CourseError("\n".join(problems))
    return bodies


def printed(source: Source) -> list[Body]:
    """Every function the chapter shows, under the name of every task."""
    chapter = root() / "book" / f"{source.lesson}.md"
    if not chapter.is_file():
        return []
    shown = _included(chapter) | _in_cells(chapter)
    bodies = []
    for cell in source.cells:
        if cell.kind != "answer":
            continue
        names = sorted(top_level(cell.source, imports=False))
        for name, code in shown.items():
            lines = [code, *(f"{answer} = {name}" for answer in names)]
            bodies.append(
                Body(
                    f"page: {name} as {cell.task}",
                    "a function that the chapter prints",
                    {cell.task: "\n".join(lines)},
                    _tests(source, cell.task),
                    clean=True,
                    whole=False,
                )
            )
    return bodies


def trial(source: Source, jobs: list[tuple[Body, str]]) -> list[dict[str, Result]]:
    """Run (body, seed) pairs, each in a process of its own; a row each, in order."""
    requests = []
    for body, seed in jobs:
        answers = _answers(source, body)
        cells = [
            {"id": c.id, "kind": c.kind, "source": answers.get(c.id, c.source)}
            for c in _cells(source, body)
        ]
        requests.append({"seed": seed, "cells": cells})
    request = {"root": str(root()), "limit": LIMIT, "jobs": requests}
    # With more threads than one a fork of a process that has loaded torch can hang.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_THREAD_LIMIT": "1"}
    ran = subprocess.run(
        [sys.executable, "-I", "-m", "course.exercises.trial"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        env=environment,
    )
    if ran.returncode:
        raise RuntimeError(f"the trial of {source.lesson} ended:\n{ran.stderr}")
    return [_row(source, json.loads(line)) for line in ran.stdout.splitlines()]


def judged(source: Source, jobs: list[tuple[Body, str]]) -> list[dict[str, Result]]:
    """Have the judge judge (body, seed) pairs; a row each, in order.

    Raises:
        RuntimeError: a test has a mistake, or this machine's sandbox is too weak.
    """
    from course.grading import judge

    rows = []
    for body, seed in jobs:
        reply = json.loads(
            judge.judge_one(json.dumps(job(source, body, seed)).encode())
        )
        if reply["run"]["errors"]:
            raise RuntimeError("\n".join(reply["run"]["errors"].values()))
        checks = {
            test: check
            for exercise in reply["verdict"]["exercises"].values()
            for test, check in exercise["checks"].items()
        }
        row = {}
        for test, check in checks.items():
            passed = check["status"] == "passed"
            said = "" if passed else f"{check['status']}: {check['message']}"
            row[test] = Result(
                check["points"], said, check["status"] == "not attempted"
            )
        rows.append(row)
    return rows


def job(source: Source, body: Body, seed: str) -> dict:
    """The judge's job for a body, without a gradebook or a key."""
    answers = _answers(source, body)
    cells = []
    for cell in _cells(source, body):
        kind = "given" if cell.kind == "code" else cell.kind
        each = {"id": cell.id, "kind": kind, "task": cell.task, "source": cell.source}
        if kind == "answer":
            each |= {"stub": cleared(cell.source), "source": answers[cell.task]}
        if kind == "test":
            each["points"] = cell.points
        cells.append(each)
    hidden = [source.lesson, *source.hide]
    seconds = {task.name: float(LIMIT) / 2 for task in source.tasks}
    limits = {"seconds": seconds, "cell_seconds": LIMIT / 2}
    return {
        "schema": 1,
        "lesson": source.lesson,
        "cells": cells,
        "absent": ["lib." + lesson.replace("/", ".") for lesson in hidden],
        "seeds": {task.name: f"{seed} of {task.name}" for task in source.tasks},
        "limits": limits | {"memory": 2**31, "output": 2**16},
        "level": "base",
    }


def verdict(source: Source, body: Body, row: dict[str, Result]) -> list[str]:
    """What in a row is not as it must be; empty if the tests did their work."""
    full = {cell.id: cell.points for cell in source.cells if cell.kind == "test"}
    own = frozenset().union(*(_tests(source, task) for task in body.answers))
    problems = []
    for test, result in row.items():
        got = f"{body.name}: {test} gives {result.points:g} of {full[test]}"
        why = f" ({result.error})" if result.error else ""
        if test in body.loses:
            if body.clean and result.points:
                problems.append(f"{got}, it must give nothing")
            elif result.points >= full[test]:
                problems.append(f"{got}, it must take marks away")
        elif result.points < full[test] and not (body.loses and test in own):
            problems.append(f"{got}, it must give all{why}")
        if body.name == "stub" and not result.not_attempted:
            problems.append(f"{got}: it must end in NotImplementedError{why}")
    return problems


def submission(source: Source, body: Body) -> str:
    """The learner's notebook with the body's answers, as the text of its file."""
    import nbformat

    node = nbformat.reads(release(dumps(notebook(source))), as_version=4)
    answers = _answers(source, body)
    for cell in node.cells:
        cell.source = answers.get(cell.id, cell.source)
    return dumps(node)


def table(proof: Proof) -> str:
    """The kill matrix as text: `.` all points kept, `x` all lost, else what is left."""
    tests = [cell for cell in proof.source.cells if cell.kind == "test"]
    width = max(map(len, proof.rows))
    lines = [f"kill matrix of {proof.source.lesson} (. kept, x lost)"]
    lines += [f"  {n}: {cell.id} ({cell.points})" for n, cell in enumerate(tests, 1)]
    lines.append(" " * width + "".join(f"{n:>5}" for n in range(1, len(tests) + 1)))
    for name, row in proof.rows.items():
        marks = [_mark(row[cell.id].points, cell.points) for cell in tests]
        wrong = "   <-- not as it must be" if proof.problems[name] else ""
        lines.append(f"{name:<{width}}" + "".join(f"{m:>5}" for m in marks) + wrong)
    return "\n".join(lines) + "\n"


def write(proof: Proof):
    """Write the kill matrix where only the staff sees it: names of bodies and tests
    tell what is checked.
    """
    base = root() / "_build" / "staff" / "kill_matrix" / proof.source.lesson
    base.parent.mkdir(parents=True, exist_ok=True)
    base.with_suffix(".txt").write_text(table(proof), encoding="utf-8")
    rows = {
        name: {test: [result.points, result.error] for test, result in row.items()}
        for name, row in proof.rows.items()
    }
    data = {
        "lesson": proof.source.lesson,
        "points": {c.id: c.points for c in proof.source.cells if c.kind == "test"},
        "bodies": rows,
        "problems": proof.problems,
    }
    text = json.dumps(data, indent=1, ensure_ascii=False)
    base.with_suffix(".json").write_text(text + "\n", encoding="utf-8")


def _tests(source, task):
    return frozenset(c.id for c in source.cells if c.kind == "test" and c.task == task)


def _cells(source, body):
    """The cells that run for a body."""
    return [
        cell
        for cell in source.cells
        if cell.kind != "text"
        and (body.whole or cell.kind != "test" or cell.task in body.answers)
    ]


def _mark(points, full):
    if points == full:
        return "."
    return f"{points:g}" if points else "x"


def _answers(source, body):
    """The source of every answer cell: the body's, else the reference's."""
    answers = {c.task: c.source for c in source.cells if c.kind == "answer"}
    return answers | body.answers


def _row(source, results):
    row = {}
    for cell in source.cells:
        if cell.kind != "test" or cell.id not in results:
            continue
        error, message, value = results[cell.id]
        stubbed = "NotImplementedError" in (error, results[cell.task][0])
        said = f"{error}: {message}" if error else ""
        points = 0 if error else cell.points if value is None else value
        if not 0 <= points <= cell.points:
            points, said = 0, f"{points:g} is no score from 0 to {cell.points}"
        row[cell.id] = Result(points, said, stubbed)
    return row


def _read_body(source, path):
    place = path.relative_to(root()).as_posix()
    kind = re.fullmatch(r"(wrong|right)_[a-z0-9_]+\.py", path.name)
    if not kind:
        raise CourseError(
            f"{place}: a body is called wrong_<what>.py or right_<what>.py"
        )
    head, *cells = re.split(
        r"^# %%(.*)\n", path.read_text(encoding="utf-8"), flags=re.M
    )
    problems = []
    about = [line.removeprefix("#").strip() for line in head.strip().split("\n")]
    fates = [line for line in about if re.match(r"(loses|keeps):", line)]
    fate = fates[0] if len(fates) == 1 else ""
    loses = frozenset(re.findall(r"\w+", fate.removeprefix("loses:")))
    if kind[1] == "right":
        loses = frozenset()
        if fate != "keeps: all":
            problems.append("a body called right_ says `# keeps: all`, once")
    elif not (fate.startswith("loses:") and loses):
        names = ", ".join(c.id for c in source.cells if c.kind == "test")
        problems.append(
            f"a body called wrong_ says `# loses: <test>`, once; tests: {names}"
        )
    if not about[0] or about[0] in fates:
        problems.append("the first line says what the body does")
    answers = {}
    tasks = {task.name for task in source.tasks}
    for header, code in zip(cells[::2], cells[1::2]):
        match = re.fullmatch(r' solution="(\w+)"\s*', header)
        task = match and match[1]
        if task not in tasks or task in answers:
            known = ", ".join(sorted(tasks))
            problems.append(
                f'`# %%{header}`: write solution="<task>", once a task; tasks: {known}'
            )
            continue
        answers[task] = code.strip()
        try:
            ast.parse(code)
        except SyntaxError as error:
            problems.append(f"not Python: {error.msg}")
    if not cells:
        problems.append('there is no cell `# %% solution="..."`')
    elif not problems:
        own = frozenset().union(*(_tests(source, task) for task in answers))
        for test in sorted(loses - own):
            problems.append(f"`{test}` is no test of {', '.join(answers)}")
    if problems:
        raise CourseError("\n".join(f"{place}: {problem}" for problem in problems))
    return Body(path.stem, about[0], answers, loses)


def _included(chapter):
    """Code that imports each function the chapter shows by literalinclude, by name."""
    found = {}
    pattern = r"^`{3,}\{literalinclude\}[ \t]*(\S+)\n((?::.*\n)*)"
    for match in re.finditer(pattern, chapter.read_text(encoding="utf-8"), re.M):
        path = (chapter.parent / match[1]).resolve()
        if path.suffix != ".py":
            continue
        shown = re.search(r"^:pyobject:\s*(\S+)", match[2], re.M)
        text = path.read_text(encoding="utf-8")
        names = [shown[1]] if shown else _definitions(text)
        module = ".".join(path.relative_to(root()).with_suffix("").parts)
        for name in names:
            found[f"page.{name}"] = f"import {module} as page"
    return found


def _in_cells(chapter):
    """Each function of the chapter's code cells, with what it uses there, by name."""
    import jupytext

    text = chapter.read_text(encoding="utf-8")
    cells = jupytext.reads(text, fmt="md:myst").cells
    code = "\n".join(plain_python(c.source) for c in cells if c.cell_type == "code")
    kept = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    statements = [node for node in ast.parse(code).body if isinstance(node, kept)]
    sources = [ast.unparse(node) for node in statements]
    found = {}
    for name in _definitions("\n".join(sources)):
        # Only the imports and functions it uses: a page imports much for its figures.
        needed, used = {name}, set()
        while used != needed:
            used = set(needed)
            needed |= set().union(*(_names(n) for n in statements if _binds(n) & used))
        parts = (s for n, s in zip(statements, sources) if _binds(n) & needed)
        found[name] = "\n".join(parts)
    return found


def _binds(node):
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    return {alias.asname or alias.name.split(".")[0] for alias in node.names}


def _names(node):
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def _definitions(text):
    defined = (ast.FunctionDef, ast.ClassDef)
    return [node.name for node in ast.parse(text).body if isinstance(node, defined)]
