"""Run notebooks cell by cell in plain Python, a forked process each.

`proof.py` starts this as a program of its own, so that nothing of the tests' process
is here, and torch is loaded once. It reads a JSON object from standard input, the
course's folder, a limit in seconds a cell and jobs, each with a seed and cells; it
writes a JSON line a job, in order: for every cell that was reached its error, if any,
and the value of its last expression.
"""

import ast
import importlib
import json
import linecache
import os
import select
import signal
import sys
import types

# What notebooks and reference code import, and (the last) what torch itself imports
# with the first backward pass: a fork has them already. Nothing may run a parallel
# operation here, or forks would hang.
PRELOADED = (
    *("numpy", "torch", "jaxtyping", "course.check"),
    "torch.fx.experimental.symbolic_shapes",
)
# What some notebooks need besides: their data, and the first dispatch mode. A second
# each, which pays where there are many forks.
FOR_MANY = ("sklearn.datasets", "torch._dynamo")
MANY = 20


def main():
    """Answer the request on standard input."""
    request = json.load(sys.stdin)
    sys.path.insert(0, request["root"])
    many = len(request["jobs"]) >= MANY
    for name in PRELOADED + FOR_MANY * many:
        importlib.import_module(name)
    for job in request["jobs"]:
        print(json.dumps(_fork(job, request["limit"])), flush=True)


def _fork(job, limit):
    """The cells' results; those of a process that ended or hung are incomplete."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.environ["COURSE_SEED"] = job["seed"]
        with open(writer, "w") as pipe:
            _run(job["cells"], pipe)
        os._exit(0)
    os.close(writer)
    results = {}
    with open(reader, "rb", buffering=0) as pipe:
        rest = b""
        while select.select([pipe], [], [], limit)[0]:
            chunk = pipe.read(65536)
            if not chunk:
                ending = "its process ended"
                break
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                cell, *result = json.loads(line)
                results[cell] = result
        else:
            ending = f"stopped after {limit} s"
            os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    for cell in job["cells"]:
        results.setdefault(cell["id"], ["Ended", ending, None])
    return results


def _run(cells, pipe):
    """Write a line for every cell: its id, error, message, value."""
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    for cell in cells:
        # A test gets a copy of the names: nothing passes from one test to the next.
        names = dict(vars(main)) if cell["kind"] == "test" else vars(main)
        try:
            value = _execute(cell["id"], cell["source"], names)
        except BaseException as error:  # a SystemExit too is this cell's alone
            result = [type(error).__name__, str(error)[:500], None]
        else:
            exact = value is None or type(value) is float
            said = f"the last line is a {type(value).__name__}, not a float"
            result = [None, "", value] if exact else ["TypeError", said, None]
        print(json.dumps([cell["id"], *result]), file=pipe, flush=True)


def _execute(name, source, names):
    """Run a cell; the value of its last expression, as a notebook would show it."""
    # For tracebacks, and for code that looks at its own source.
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    tree = ast.parse(source)
    last = (
        tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    )
    exec(compile(tree, name, "exec"), names)
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), name, "eval"), names)


if __name__ == "__main__":
    main()
