"""Does a test notice when a function of `lib` is broken?

    python -m tests.mutants [PART ...] [--jobs 2] [--again] [--save]

Breaks every function and method of `lib` in up to four simple ways, a sign, an axis, a
factor, an index off by one, and runs the tests of its part that reach it: `lib/part` by
`tests/part`, the modules that lie in `lib` itself ("shared") by `tests/test_*.py`.
Survivors are printed. Those that `mutants.toml` lists change nothing that can be seen,
and it says why: they are not tried. After a test was added `--again` tries those alone
that the last run did not notice; `--save` writes the rows of the given parts into
`book/_data/mutation.csv` and its table into the README.

Of kept tools, cosmic-ray writes each mutant to disk and starts the tests anew: five
seconds for torch, some 2,000 times. mutmut forks, but collects the tests for each
mutant, has no operator for an axis, a reduction or a lost factor, leaves decorated
functions and properties out, and cannot be told how many mutants to make of each kind.
Here pytest collects once, with the shape checks of `conftest.py`. A first fork runs the
tests on code that notes which test reaches which function. Then every mutant is a fork
in which the function has other code, compiled by the loader that made the module, so
whoever imported it sees the mutant, and no broken file ever lies on disk.

What ran while modules were imported is not seen broken; class bodies and constants of
modules are not broken at all.
"""

import ast
import contextlib
import copy
import csv
import difflib
import functools
import gc
import importlib
import itertools
import json
import os
import pickle
import random
import resource
import signal
import sys
import tempfile
import time
import tomllib
import traceback
import types
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from tqdm import tqdm

from benchmarks.__main__ import README, placed
from tests.parts import LIB, ROOT, SHARED, TESTS, for_parts, tests_of

TABLE = ROOT / "book/_data/mutation.csv"
NOTICED_BEFORE = ROOT / "_build/mutants.json"
EQUIVALENT = TESTS / "mutants.toml"
COLUMNS = ["part", "functions", "mutants", "noticed", "equivalent"]
# Its tests run in a process of their own, where no fork is.
LEFT_OUT = {"lib.attention_efficiency.triton_attention"}
A_FUNCTION = 4
SURVIVED, NOTICED, BROKEN = 0, 1, 2  # what the process of a mutant ends with

SWAPS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    "mean": "sum", "sum": "mean", "max": "min", "min": "max", "amax": "amin",
    "amin": "amax", "argmax": "argmin", "argmin": "argmax", "clamp_min": "clamp_max",
    "cos": "sin", "sin": "cos", "maximum": "minimum", "minimum": "maximum",
    "any": "all", "all": "any",
}  # fmt: skip
REDUCED = (ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)  # to one of their sides
DROPPED = dict.fromkeys(["sqrt", "square", "abs", "exp", "log", "log2"], "factor") | {
    "detach": "gradient", "clone": "gradient", "transpose": "transpose",
}  # fmt: skip
LIBRARIES = {"math", "np", "torch", "F"}
OVER_AN_AXIS = {
    "all", "amax", "amin", "any", "argmax", "argmin", "argsort", "cat", "chunk",
    "cumprod", "cumsum", "diff", "flatten", "flip", "gather", "index_select",
    "log_softmax", "logsumexp", "max", "mean", "min", "norm", "prod",
    "repeat_interleave", "roll", "scatter", "softmax", "sort", "split", "squeeze",
    "stack", "std", "sum", "take_along_dim", "unbind", "unflatten", "unsqueeze", "var",
}  # fmt: skip
# Shapes, decorators (which ran long ago), messages.
SKIPPED = {"annotation", "returns", "decorator_list"}
UNTOUCHED = ast.Raise | ast.JoinedStr


def number(node: ast.AST | None) -> int | None:
    """The value of a whole number as written, with its sign."""
    match node:
        case ast.UnaryOp(ast.USub(), ast.Constant(value)) if type(value) is int:
            return -value
        case ast.Constant(value) if type(value) is int:
            return value


def literal(text: object) -> ast.expr:
    return ast.parse(str(text), mode="eval").body


def plus(node: ast.expr, step: int) -> ast.expr:
    return ast.BinOp(node, ast.Add() if step > 0 else ast.Sub(), literal(abs(step)))


def altered(node: ast.AST, **fields: object) -> ast.AST:
    twin = copy.copy(node)
    for name, value in fields.items():
        setattr(twin, name, value)
    return twin


def replaced(items: list, at: int, item: ast.AST) -> list:
    return [*items[:at], item, *items[at + 1 :]]


def is_text(node: ast.AST) -> bool:
    """Texts, lists and tuples are joined and repeated, not added and scaled."""
    sequence = ast.JoinedStr | ast.List | ast.Tuple
    return isinstance(node, sequence) or isinstance(getattr(node, "value", None), str)


def is_check(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.body[0], ast.Raise)


def other_axis(axis: int) -> int:
    return {-1: -2, 0: 1}.get(axis, axis + (1 if axis < 0 else -1))


def variants(node: ast.AST, gives: str) -> Iterator[tuple[str, ast.AST]]:
    """What may stand for a node: the kind of mistake, and the wrong node."""
    match node:
        case ast.BinOp(left, op, right) if not is_text(left) and not is_text(right):
            if type(op) in SWAPS:
                kind = "sign" if isinstance(op, ast.Add | ast.Sub) else "scale"
                yield kind, altered(node, op=SWAPS[type(op)]())
            if isinstance(op, REDUCED):
                yield "factor", right if isinstance(left, ast.Constant) else left
        case ast.AugAssign(_, op) if type(op) in SWAPS and not is_text(node.value):
            kind = "sign" if isinstance(op, ast.Add | ast.Sub) else "scale"
            yield kind, altered(node, op=SWAPS[type(op)]())
        case ast.UnaryOp(ast.USub(), operand) if number(node) is None:
            yield "sign", operand
        case ast.Return(ast.Tuple([first, *rest])) if gives.startswith("tuple[Float"):
            negative = [ast.UnaryOp(ast.USub(), first), *rest]
            yield "sign", altered(node, value=ast.Tuple(negative, ast.Load()))
        case ast.Return(ast.expr() as value) if gives.startswith(("Float", "float")):
            yield "sign", altered(node, value=ast.UnaryOp(ast.USub(), value))
        case ast.Compare(_, [op]) if type(op) in SWAPS:
            yield "compare", altered(node, ops=[SWAPS[type(op)]()])
        case ast.BoolOp(op):
            yield "compare", altered(node, op=SWAPS[type(op)]())
        case ast.If(orelse=orelse) if is_check(node):
            yield "check", orelse[0] if orelse else ast.Pass()
        case ast.If(test) | ast.IfExp(test):
            yield "branch", altered(node, test=ast.UnaryOp(ast.Not(), test))
        case ast.Constant(bool(value)):
            yield "flag", literal(not value)
        case ast.Slice(lower, upper):
            if lower and number(lower) is None:
                yield "index", altered(node, lower=plus(lower, 1))
            if upper and number(upper) is None:
                yield "index", altered(node, upper=plus(upper, -1))
        case ast.Attribute(value, "mT" | "T"):
            yield "transpose", value
        case ast.Expr(ast.Call()) if "super()" not in ast.unparse(node):
            yield "statement", ast.Pass()
        case ast.Call():
            yield from calls(node)
    if (value := number(node)) is not None:
        yield "index", literal(value + (1 if value >= 0 else -1))


def calls(node: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    """The same for a call: of a method, or of a function of a module."""
    func, args = node.func, node.args
    name = getattr(func, "attr", getattr(func, "id", ""))
    on = ast.unparse(func.value) if isinstance(func, ast.Attribute) else None
    if name in SWAPS and (on is not None or name in {"max", "min", "any", "all"}):
        field = "id" if on is None else "attr"
        yield "reduction", altered(node, func=altered(func, **{field: SWAPS[name]}))
    for at, word in enumerate(node.keywords):
        if word.arg in {"dim", "axis"} and (axis := number(word.value)) is not None:
            new = altered(word, value=literal(other_axis(axis)))
            yield "axis", altered(node, keywords=replaced(node.keywords, at, new))
    if on is not None and name in OVER_AN_AXIS:
        for at, arg in enumerate(args[:2]):
            if (axis := number(arg)) is not None:
                new = literal(other_axis(axis))
                yield "axis", altered(node, args=replaced(args, at, new))
                break
    if name in {"range", "arange"} and args:
        at = min(1, len(args) - 1)
        if number(args[at]) is None:
            yield "index", altered(node, args=replaced(args, at, plus(args[at], -1)))
    if on is not None and name in DROPPED:
        inner = args[:1] if on in LIBRARIES else [func.value]
        yield from ((DROPPED[name], value) for value in inner)
    if name in {"no_grad", "inference_mode"}:
        yield "gradient", literal("torch.enable_grad()")


def places(node: ast.AST, gives: str, in_check: bool = False) -> Iterator[tuple]:
    """Every (kind, node, field, index, wrong child) below a node."""
    for field, value in ast.iter_fields(node):
        if field in SKIPPED:
            continue
        children = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, child in children:
            if not isinstance(child, ast.AST) or isinstance(child, UNTOUCHED):
                continue
            if isinstance(child, ast.Call) and "manual_seed" in ast.unparse(child.func):
                continue  # another seed is as good
            checks = in_check or (field == "test" and is_check(node))
            for kind, wrong in variants(child, gives):
                if not checks:
                    yield kind, node, field, index, wrong
                elif kind == "compare":
                    yield "check", node, field, index, wrong
            if number(child) is None:  # -1 is one number, not a sign and a number
                yield from places(child, gives, checks)


def functions(body: list, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods; what is defined inside a function belongs to it."""
    for node in body:
        if isinstance(node, ast.FunctionDef):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from functions(node.body, f"{prefix}{node.name}.")


def codes(code: types.CodeType) -> Iterator[tuple[str, types.CodeType]]:
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield inner.co_qualname, inner
            yield from codes(inner)


class Module:
    """A module of `lib`: its tree, and the functions in it that may be broken."""

    def __init__(self, path: Path):
        self.name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        self.file = str(path)
        self.part = path.parent.name if path.parent.name != "lib" else SHARED
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        found = [] if self.name in LEFT_OUT else functions(self.tree.body)
        self.functions = dict(found)

    def swap(self, objects: dict[tuple, list], names: Iterable[str]) -> None:
        """Gives these functions the code that the tree now says, and the defaults."""
        source = ast.unparse(ast.fix_missing_locations(self.tree)).encode()
        loader = sys.modules[self.name].__loader__
        new = dict(codes(loader.source_to_code(source, self.file)))
        for name in names:
            assert objects[self.file, name], f"{self.name}.{name} is not found"
            for function in objects[self.file, name]:
                function.__code__ = new[name]
                args = self.functions[name].args
                given = function.__defaults__ or ()
                for at, node in enumerate(args.defaults):
                    if isinstance(node, ast.Constant) or number(node) is not None:
                        value = ast.literal_eval(node)
                        given = (*given[:at], value, *given[at + 1 :])
                function.__defaults__ = given or None
                for arg, node in zip(args.kwonlyargs, args.kw_defaults):
                    if isinstance(node, ast.Constant) or number(node) is not None:
                        function.__kwdefaults__[arg.arg] = ast.literal_eval(node)


class Mutant:
    """One wrong node, and what it does to the text of its function."""

    def __init__(self, module: Module, function: str, place: tuple):
        self.module, self.function = module, function
        self.kind, self.node, self.field, self.index, self.other = place
        self.name = f"{module.name}.{function}"
        tree = module.functions[function]
        before = ast.unparse(tree).splitlines()
        self.swap()
        after = ast.unparse(tree).splitlines()
        self.swap()
        lines = [line for line in difflib.ndiff(before, after) if line[0] in "+-"]
        old = " ".join(line[2:].strip() for line in lines if line[0] == "-")
        new = " ".join(line[2:].strip() for line in lines if line[0] == "+")
        if old.startswith("def "):  # a default, in a line full of shapes
            pairs = zip(old.split(", "), new.split(", "))
            old, new = next((left, right) for left, right in pairs if left != right)
        self.change = f"{old} → {new}"
        self.key = f"{self.name}: {self.change}"

    def swap(self) -> None:
        """The wrong node into its place, or the right one back."""
        if self.index is None:
            right = getattr(self.node, self.field)
            setattr(self.node, self.field, self.other)
        else:
            siblings = getattr(self.node, self.field)
            right = siblings[self.index]
            siblings[self.index] = self.other
        self.other = right


def chosen(module: Module) -> Iterator[Mutant]:
    """Of each function as many of each kind as go into the number, always the same."""
    for function, node in module.functions.items():
        kinds = defaultdict(list)
        gives = ast.unparse(node.returns) if node.returns else ""
        for place in places(node, gives):
            kinds[place[0]].append(place)
        decorators = [ast.unparse(each) for each in node.decorator_list]
        if "torch.no_grad()" in decorators and "Tensor" in gives:
            start = 1 if ast.get_docstring(node) else 0
            items = [ast.withitem(literal("torch.enable_grad()"))]
            within = ast.copy_location(ast.With(items, node.body[start:]), node)
            body = [*node.body[:start], within]
            kinds["gradient"].append(("gradient", node, "body", None, body))
        draw = random.Random(f"{module.name}.{function}")
        for those in kinds.values():
            draw.shuffle(those)
        turns = itertools.chain(*itertools.zip_longest(*kinds.values()))
        found = {}
        for place in filter(None, turns):
            mutant = Mutant(module, function, place)
            found.setdefault(mutant.change, mutant)
            if len(found) == A_FUNCTION:
                break
        yield from found.values()


class Notes:
    """Which functions each test reaches, by itself or by its fixtures, and its time."""

    def __init__(self, caches: list):
        self.caches, self.reached, self.failed = caches, set(), []
        self.of_fixture, self.of_test = {}, {}

    def reach(self, module: str, function: str) -> None:
        self.reached.add(f"{module}.{function}")

    @contextlib.contextmanager
    def note(self, notes: dict, key: object) -> Iterator[None]:
        outer, self.reached = self.reached, set()
        start = time.process_time()
        yield
        notes[key] = time.process_time() - start, self.reached
        self.reached = outer | self.reached

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef):
        with self.note(self.of_fixture, fixturedef):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        for cached in self.caches:
            cached.cache_clear()
        with self.note(self.of_test, item.nodeid):
            result = yield
        used = itertools.chain(*item._fixtureinfo.name2fixturedefs.values())
        both = [self.of_test[item.nodeid]]
        both += [self.of_fixture[each] for each in used if each in self.of_fixture]
        seconds, reached = zip(*both)
        self.of_test[item.nodeid] = sum(seconds), set().union(*reached)
        return result

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.append(f"{report.nodeid}\n{report.longreprtext}")


class Stop:
    """The first failure is enough."""

    def pytest_runtest_logreport(self, report):
        if report.failed:
            os._exit(NOTICED)


def run_tests(items: list, limits: Iterable[float] = ()) -> None:
    """What goes beyond a limit of processor time, or hangs, ends the process."""
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    pairs = itertools.pairwise([*items, None])
    for (item, following), limit in itertools.zip_longest(pairs, limits):
        if limit:
            signal.setitimer(signal.ITIMER_PROF, limit)
            signal.alarm(300 + 20 * int(limit))
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)


def forked(tasks: Iterable, work: Callable, jobs: int) -> Iterator[tuple[object, int]]:
    """Each task in a process of its own, and the status that it ended with."""
    running = {}
    tasks = iter(tasks)
    while True:
        for task in itertools.islice(tasks, jobs - len(running)):
            if (process := os.fork()) == 0:
                try:
                    work(task)
                    os._exit(SURVIVED)
                except BaseException:
                    traceback.print_exc()
                    os._exit(BROKEN)
            running[process] = task
        if not running:
            return
        process, status = os.wait()
        yield running.pop(process), status


class Mutation:
    """A plugin of pytest: once the tests are collected, it runs them on mutants."""

    def __init__(self, parts: list[str], jobs: int, noticed: set[str]):
        self.parts, self.jobs, self.noticed = parts, jobs, noticed
        modules = map(Module, sorted(LIB.rglob("*.py")))
        self.modules = [module for module in modules if module.part in parts]
        self.rows, self.journal = {}, {}

    def pytest_runtestloop(self, session):
        for module in self.modules:
            importlib.import_module(module.name)
        # No fork writes where the chapters look for what was trained; and none is the
        # first to ask for a folder, which would empty it for all.
        folder = session.config._tmp_path_factory.mktemp("trained")
        importlib.import_module("lib.runtime").TRAINED = folder
        self.items = defaultdict(list)
        for item in session.items:
            folder = item.path.parent
            self.items[SHARED if folder == TESTS else folder.name].append(item)
        self.raw, self.caches = defaultdict(list), []
        for each in gc.get_objects():
            if type(each) is types.FunctionType:
                code = each.__code__
                self.raw[code.co_filename, code.co_qualname].append(each)
            elif type(each) is functools._lru_cache_wrapper:
                self.caches += [each] if each.__module__.startswith("lib.") else []
        gc.freeze()  # or every fork copies what its first collection looks at
        with tempfile.TemporaryDirectory() as folder:
            self.folder = Path(folder)
            self.tests = self.reached()
        self.judge()
        return True

    def note(self, part: str) -> None:
        """In a fork: the tests of a part, on functions that say so when called."""
        notes = Notes(self.caches)
        for module in self.modules:
            if module.part == part:
                for name, node in module.functions.items():
                    node.body.insert(0, ast.Expr(literal(f"_reached({name!r})")))
                module.swap(self.raw, module.functions)
                vars(sys.modules[module.name])["_reached"] = functools.partial(
                    notes.reach, module.name
                )
        self.items[part][0].config.pluginmanager.register(notes)
        run_tests(self.items[part])
        result = pickle.dumps((notes.of_test, notes.failed))
        (self.folder / part).write_bytes(result)

    def reached(self) -> dict[str, list]:
        """For each function the tests that reach it, fast files and tests first."""
        tests = defaultdict(list)
        ends = forked(self.parts, self.note, self.jobs)
        for part, status in tqdm(ends, "tests", len(self.parts), disable=None):
            of_test, failed = pickle.loads((self.folder / part).read_bytes())
            if status or failed:
                pytest.exit("\n".join(["Without a mutant tests fail:", *failed]), 1)
            for item in self.items[part]:
                seconds, names = of_test[item.nodeid]
                for name in names:
                    tests[name].append((seconds, item))
        for found in tests.values():
            of_file = defaultdict(float)
            for seconds, item in found:
                of_file[item.path] += seconds
            found.sort(key=lambda each: (of_file[each[1].path], each[1].path, each[0]))
        return tests

    def test(self, mutant: Mutant) -> None:
        """In a fork: the tests that reach the function, until one notices."""
        mutant.swap()
        mutant.module.swap(self.raw, [mutant.function])
        for cached in self.caches:
            cached.cache_clear()
        seconds, items = zip(*self.tests[mutant.name])
        items[0].config.pluginmanager.register(Stop())
        resource.setrlimit(resource.RLIMIT_DATA, (8 * 2**30, 8 * 2**30))
        run_tests(items, [5 + 5 * each for each in seconds])

    def judge(self) -> None:
        """All mutants but those known to be equivalent; tells of the survivors."""
        mutants = [mutant for module in self.modules for mutant in chosen(module)]
        known = accepted()
        equal = [mutant for mutant in mutants if mutant.key in known]
        tried = [mutant for mutant in mutants if mutant not in equal]
        tried = [mutant for mutant in tried if mutant.key not in self.noticed]
        reached = [mutant for mutant in tried if mutant.name in self.tests]
        survivors, stopped = [], 0
        ends = [(mutant, 0) for mutant in tried if mutant.name not in self.tests]
        ends = itertools.chain(ends, forked(reached, self.test, self.jobs))
        for mutant, status in tqdm(ends, "mutants", len(tried), disable=None):
            code = os.waitstatus_to_exitcode(status)
            if code == BROKEN:
                pytest.exit(f"{mutant.name} cannot be made: {mutant.change}", 1)
            stopped += code < 0
            if code == SURVIVED:
                survivors.append(mutant)
                print(f"{mutant.name} ({mutant.kind})\n    {mutant.change}", flush=True)
        print(f"{stopped} of {len(tried)} were stopped by clock or memory")
        for part in self.parts:
            own, left, same = (
                [mutant for mutant in group if mutant.module.part == part]
                for group in (mutants, survivors, equal)
            )
            noticed = len(own) - len(left) - len(same)
            broken = {mutant.name for mutant in own}
            self.rows[part] = [part, len(broken), len(own), noticed, len(same)]
            print(*self.rows[part])
            unnoticed = {mutant.key for mutant in left + same}
            self.journal[part] = [m.key for m in own if m.key not in unnoticed]


def accepted() -> set[str]:
    """The keys of the mutants that may survive, each for a reason that is listed."""
    known = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))["mutant"]
    return {f"{each['function']}: {each['change']}" for each in known}


def noticed_before() -> dict[str, list[str]]:
    """The keys of the mutants of each part that its last run noticed."""
    if not NOTICED_BEFORE.is_file():
        return {}
    return json.loads(NOTICED_BEFORE.read_text(encoding="utf-8"))


def table() -> str:
    """The saved rows as Markdown, with their sum and the share that was noticed."""
    with TABLE.open(encoding="utf-8", newline="") as stream:
        parts = {
            row.pop("part"): [int(row[column]) for column in COLUMNS[1:]]
            for row in csv.DictReader(stream)
        }
    parts["**all**"] = [sum(column) for column in zip(*parts.values(), strict=True)]
    lines = [
        "| part of `lib` | functions | broken | noticed | accepted | share |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for part, (functions, broken, noticed, equivalent) in parts.items():
        counts = f"{functions:,} | {broken:,} | {noticed:,} | {equivalent}"
        lines.append(f"| {part} | {counts} | {noticed / broken:.1%} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = for_parts(__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--save", action="store_true", help=f"write {TABLE.name}")
    parser.add_argument(
        "--again",
        action="store_true",
        help="only mutants that the last run did not notice, and new ones",
    )
    options = parser.parse_args()
    known = itertools.chain(*noticed_before().values()) if options.again else ()
    mutation = Mutation(options.part, options.jobs, set(known))
    with tempfile.TemporaryDirectory() as folder:
        quiet = ["-qq", "-s", "-p", "no:cacheprovider", f"--basetemp={folder}/tests"]
        code = pytest.main([*quiet, *map(str, tests_of(mutation.parts))], [mutation])
    if code:
        sys.exit(code)
    journal = json.dumps(noticed_before() | mutation.journal, indent=1)
    NOTICED_BEFORE.parent.mkdir(exist_ok=True)
    NOTICED_BEFORE.write_text(journal, encoding="utf-8")
    if options.save:
        with TABLE.open(encoding="utf-8", newline="") as stream:
            rows = {row[0]: row for row in csv.reader(stream)}
        _, *rows = (rows | mutation.rows).values()
        with TABLE.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerows([COLUMNS, *sorted(rows)])
        page = placed(README.read_text(encoding="utf-8"), table(), "mutants")
        README.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
