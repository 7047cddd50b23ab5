"""What came of an answer, in the words that its author reads.

The judge and `course check` have these words in common. Nothing here needs torch, or
runs anything. What a learner's process says is cut, and escaped.

`cells` are a job's cells by their ids.
"""

import ast
import itertools
import signal
from collections.abc import Iterable

from course.grading import sandbox

LONGEST = 200  # characters of a learner's class names and messages
NAMED = 5  # of the checks that held, in the message of a test that passed
FAILED = "the grader failed here, not your code"
HERE = "your code ended Python here"
NO_MEMORY = ("can't allocate memory", "not enough memory")
# What fork says, and what threading and C++ say for it.
NO_PROCESS = ("Resource temporarily unavailable", "can't start new thread")
NO_ROOM = ("File too large", "No space left on device", "Disk quota exceeded")
SIGNALS = {
    "SIGSEGV": "segmentation fault",
    "SIGABRT": "abort",
    "SIGKILL": "killed, perhaps for want of memory",
    "SIGXFSZ": "it wrote too large a file",
}


def escaped(text: str, longest: int = LONGEST) -> str:
    """`text` cut, with control characters shown instead of obeyed."""
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def claimed(told: dict) -> dict:
    """What a learner's process says of an exception, with every field as it must be:
    "text", "type", "base" (the built-in type that it is one of) and "frames", the
    places that it passed through as (cell, line).
    """
    frames = told.get("frames")
    places = []
    for frame in frames if type(frames) is list else []:
        match frame:
            case {"cell": str(cell), "line": int(line)}:
                places.append((cell, line))
    text, kind, base = (told.get(key) for key in ("text", "type", "base"))
    return {
        "text": escaped(text) if type(text) is str else "",
        "type": escaped(kind, 60) if type(kind) is str else "Exception",
        "base": base if type(base) is str else "",
        "frames": places[-50:],
    }


def exceeded(what: str, most: int | None = None) -> str:
    """That a learner's code used too much of `what`.

    `what` is the name of a field of `sandbox.Policy`, which allows `most`, by default
    what every policy allows.
    """
    most = getattr(sandbox.Policy, what) if most is None else most
    words = {
        "memory": f"used more than {most / 2**30:g} GiB of memory",
        "seconds": f"used more than {most} s of processor time",
        "processes": f"started more than {most} processes or threads",
        "scratch": f"wrote more than {most // 2**20} MiB, or more than "
        f"{sandbox.Policy.files} files",
    }
    return f"your code {words[what]}"


def late(seconds: float) -> str:
    """That a limit has passed."""
    return f"stopped after {seconds:g} s"


def ending(status: int | None) -> str:
    """How the process of an exercise ended; `status` is a claim."""
    text = "your code ended Python in this exercise"
    if status is None or status == 0:
        return text
    if status > 0:
        return f"{text} (exit code {status})"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = ""
    return f"{text} ({SIGNALS.get(name, f'signal {-status}')})"


def explain(
    told: dict, task: str | None, cells: dict[str, dict], memory: int
) -> tuple[str, str]:
    """A learner's own exception, as `claimed` has it: the status, and their own line
    in words.
    """
    if exits(told):
        return "crashed", "your code called sys.exit"
    no_memory = any(words in told["text"] for words in NO_MEMORY)
    if told["base"] == "MemoryError" or no_memory:
        return "crashed", exceeded("memory", memory)
    if any(words in told["text"] for words in NO_ROOM):
        return "crashed", exceeded("scratch")
    if any(words in told["text"] for words in NO_PROCESS):
        return "crashed", exceeded("processes")
    lines = []
    for name, number in reversed(told["frames"]):
        cell = cells.get(name)
        # The text of the line is the job's, not what its process claims.
        text = (cell["source"].split("\n") if cell else [])[number - 1 : number]
        if cell and cell["kind"] in ("answer", "own") and number > 0 and text:
            shown = escaped(text[0].strip())
            lines.append(f"{label(cell, task)}, line {number}: {shown}")
            break
    lines.append(f"{told['type']}: {told['text']}".removesuffix(": "))
    if told["type"] == "NameError":
        lines[-1] += " when the notebook is run from the top"
    return "wrong", "\n".join(lines)


def exits(told: dict) -> bool:
    """Whether what was raised would have ended Python."""
    return "SystemExit" in (told["base"], told["type"])


def raised(cell: dict, told: dict, cells: dict[str, dict], memory: int) -> dict:
    """A note on what a cell raised that no exercise speaks of; it costs nothing."""
    _, text = explain(told, None, cells, memory)
    return {"code": "cell-raised", "text": f"{label(cell)}: {text}"}


def died(cell: dict, text: str) -> dict:
    """A note on a cell that no exercise speaks of, and that ended the process."""
    return {"code": "cell-died", "text": f"{label(cell)}: {text}; left out"}


def failed(error: AssertionError) -> str:
    """What a test's own assertion says."""
    return str(error) or "a check failed"


def checked(labels: list[str]) -> str:
    """What a test that passed has checked, by what its checks are called."""
    names = [name for name in dict.fromkeys(labels) if name]
    if not names:
        return ""
    more = "; …" if len(names) > NAMED else ""
    return f"{len(names)} checked: {'; '.join(names[:NAMED])}{more}"


def outcome(checks: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """Status and message of an exercise, from those of its tests: of the first that
    failed, and a failure of the grader's before all; else what was checked.
    """
    status, message = "passed", ""
    for each, said in checks:
        worse = each == "grader error" != status
        if worse or (status == "passed" != each):
            status, message = each, said
        elif each == status == "passed":
            message = "\n".join(filter(None, (message, said)))
    return status, message


def label(cell: dict, task: str | None = None) -> str:
    """A cell in words."""
    if cell["kind"] == "answer":
        return "your answer" if cell["task"] == task else f"your answer {cell['task']}"
    if cell["kind"] == "own":
        first = (cell["source"].strip().splitlines() or [""])[0]
        return f"a cell of your own ({escaped(first, 40)})"
    return f"the {cell['kind']} cell {cell['id']}"


def touches(source: str, learned: set[str], line: int) -> bool:
    """Whether the statement at a line of a test uses what came from the learner.

    It follows names through assignments, loops and the test's own functions, and errs
    towards yes.
    """
    tree = ast.parse(source)
    learned = set(learned)
    functions = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    size = None
    while size != len(learned):
        size = len(learned)
        for node in ast.walk(tree):
            match node:
                case ast.Assign(targets=targets, value=value):
                    pass
                case ast.AugAssign(target=target, value=value):
                    targets = [target]
                case ast.AnnAssign(target=target, value=value):
                    targets = [target]
                case ast.NamedExpr(target=target, value=value):
                    targets = [target]
                case ast.For(target=target, iter=value):
                    targets = [target]
                case ast.comprehension(target=target, iter=value):
                    targets = [target]
                case ast.Call(func=ast.Name(id=name)) if name in functions:
                    value = ast.Tuple([*node.args, *(k.value for k in node.keywords)])
                    targets = [functions[name].args]
                case ast.FunctionDef():
                    value, targets = node, [ast.Name(node.name)]
                case _:
                    continue
            if value is not None and mentions(value, learned):
                learned |= set().union(*map(bound, targets))
    blocks = ("body", "orelse", "finalbody", "handlers")
    inner = None
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and node.lineno <= line <= node.end_lineno:
            inner = node
    if inner is None:
        return False
    parts = [v for name, v in ast.iter_fields(inner) if name not in blocks]
    if not hasattr(inner, "body"):
        parts = [inner]
    flat = itertools.chain(*(p if isinstance(p, list) else [p] for p in parts))
    return any(isinstance(p, ast.AST) and mentions(p, learned) for p in flat)


def mentions(node: ast.AST, names: set[str]) -> bool:
    """Whether code uses one of these names."""
    return any(isinstance(n, ast.Name) and n.id in names for n in ast.walk(node))


def bound(node: ast.AST) -> set[str]:
    """The names in code, arguments too."""
    return {
        n.arg if isinstance(n, ast.arg) else n.id
        for n in ast.walk(node)
        if isinstance(n, ast.arg | ast.Name)
    }
