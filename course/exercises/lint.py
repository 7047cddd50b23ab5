"""What authors of exercises obey, as far as it can be seen without running anything.

Every rule here is sound: what it reports is wrong. What cannot be decided by reading
is left to the proof (`course/exercises/proof.py`), which runs the tests.
"""

import ast
import functools
import re
import symtable
from pathlib import Path

from course.exercises.regions import HIDDEN, SOLUTION, region
from course.exercises.source import cleared, visible
from course.paths import root
from course.site.keys import reached
from lib.reach import imported

# Comments that look like a marker and are none: nbgrader would pass over them.
MARKERLIKE = re.compile(
    r"#{3,}\s*(begin|end)?\s*(hidd?en|hide|tests?|solutions?|mark scheme)\b.*"
    r"|#+\s*(BEGIN|END)\s*(HID|SOL|TEST|MARK).*"
    r"|#{3,}\s*(begin|end)\b.*",
    re.IGNORECASE,
)
TALK = {"print", "get_ipython", "display", "input", "open"}
DRAWS = {
    *("rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial"),
    *("poisson", "rand_like", "randn_like", "randint_like"),
}
GLOBAL_RANDOMNESS = re.compile(
    r"torch\.(manual_seed|seed|Generator|random\..+)|((np|numpy)\.)?random\..+"
)
LOOSE = {"allclose", "equal", "isclose", "array_equal", "assert_close"}


def problems(source) -> list[tuple[int, str]]:
    """Every rule that `source` breaks, as (line of the file, what to do about it)."""
    linter = _Linter(source)
    for cell in source.cells:
        linter.check(cell)
    return linter.found


class _Linter:
    def __init__(self, source):
        self.source = source
        self.found = []
        # By cell: its tree, and the names that it binds at top level.
        self.trees = {}
        self.bound = {}
        for cell in source.cells:
            if cell.kind != "text":
                self.parse(cell)
        # Names an answer cell defines: in a test cell they are the learner's.
        self.answers = self.bound_by("answer")
        self.given = self.bound_by("answer", "code")
        lessons = (source.lesson, *source.hide)
        self.absent = {f"lib.{lesson.replace('/', '.')}" for lesson in lessons}
        self.absent_files = {root() / "lib" / f"{lesson}.py" for lesson in lessons}

    def report(self, cell, line, text):
        """Note a problem at a line of the cell, counted from 1."""
        self.found.append((cell.line + line - 1, text))

    def parse(self, cell):
        try:
            self.trees[cell] = ast.parse(cell.source)
            self.bound[cell] = top_level(cell.source, imports=cell.kind != "answer")
        except SyntaxError as error:
            self.report(
                cell,
                error.lineno or 1,
                f"not Python ({error.msg}); magics and shell lines do not run where "
                "exercises are graded",
            )

    def bound_by(self, *kinds):
        cells = [cell for cell in self.source.cells if cell.kind in kinds]
        return set().union(*(self.bound.get(cell, set()) for cell in cells))

    def check(self, cell):
        self.check_markers(cell)
        if cell not in self.trees:
            return
        self.check_reference(cell)
        if cell.kind == "answer":
            self.check_answer(cell)
        if cell.kind == "test":
            self.check_names(cell)
            self.check_visible(cell)
            self.check_statements(cell)
            self.check_probes(cell)

    def check_markers(self, cell):
        allowed = {"answer": SOLUTION, "test": HIDDEN}.get(cell.kind, ())
        open_line = None
        regions = 0
        for number, line in enumerate(cell.source.split("\n"), 1):
            text = line.strip()
            if text in allowed:
                begins = text == allowed[0]
                if begins == (open_line is not None):
                    self.report(cell, number, f"`{text}` without its counterpart")
                open_line = number if begins else None
                regions += begins
            elif text in HIDDEN or any(m[4:] in line for m in HIDDEN):
                if cell.kind == "test":
                    self.report(cell, number, f"write the marker as `{HIDDEN[0]}`")
                else:
                    self.report(cell, number, "a hidden part outside a test cell")
            elif text in SOLUTION or any(m[4:] in line for m in SOLUTION):
                if cell.kind == "answer":
                    self.report(cell, number, f"write the marker as `{SOLUTION[0]}`")
                else:
                    self.report(cell, number, "a solution outside an answer cell")
            elif cell.kind != "text" and MARKERLIKE.fullmatch(text):
                known = " or ".join(f"`{m}`" for m in (*SOLUTION, *HIDDEN))
                self.report(
                    cell, number, f"`{text}` is no marker; the markers are {known}"
                )
        if open_line is not None:
            self.report(cell, open_line, f"`{allowed[0]}` is never ended")
        if cell.kind == "answer" and not regions:
            self.report(cell, 0, f"the answer cell has no `{SOLUTION[0]}`")
        if cell.kind == "test" and not regions:
            self.report(cell, 0, f"the test has no hidden part (`{HIDDEN[0]}`)")

    def check_reference(self, cell):
        """The lesson's own module is absent while its exercise is graded."""
        hidden = region(cell.source, HIDDEN) if cell.kind == "test" else set()
        for node in ast.walk(self.trees[cell]):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            statement = ast.unparse(node)
            if node.lineno - 1 not in hidden:
                if self.reaches_absent(statement):
                    self.report(
                        cell,
                        node.lineno,
                        f"`{statement}` needs the lesson's own module, which is absent "
                        "while it is graded; import it in a hidden part only",
                    )
            elif isinstance(node, ast.ImportFrom) and node.module in self.absent:
                package, _, name = node.module.rpartition(".")
                self.report(
                    cell,
                    node.lineno,
                    "import the reference as a module: "
                    f"`from {package} import {name} as reference`",
                )

    def reaches_absent(self, statement):
        names = imported(statement) & self.absent
        return bool(names or reached(statement) & self.absent_files)

    def check_answer(self, cell):
        name = cell.task
        if name not in self.bound[cell]:
            self.report(
                cell, 0, f"the answer cell of `{name}` does not define `{name}`"
            )
        for path in sorted((root() / "lib").rglob("*.py")):
            if name in _public(path, path.stat().st_mtime_ns):
                where = path.relative_to(root()).as_posix()
                self.report(
                    cell, 0, f"task `{name}` has the name of a public name of {where}"
                )
        stub = cleared(cell.source)
        try:
            tree = ast.parse(stub)
        except SyntaxError as error:
            self.report(
                cell, 0, f"without the solution the cell is not Python: {error.msg}"
            )
            return
        if not any(_raises_stub(node) for node in ast.walk(tree)):
            self.report(
                cell, 0, "without the solution the cell never raises the stub's error"
            )
        for block in _blocks(tree):
            after = False
            for node in block:
                if after and _raises_stub(node):
                    self.report(
                        cell,
                        0,
                        "without the solution the cell returns before it reaches "
                        "NotImplementedError",
                    )
                after = after or isinstance(node, ast.Return)

    def check_names(self, cell):
        tree = self.trees[cell]
        imports = {
            alias.asname or alias.name.split(".")[0]
            for alias in ast.walk(tree)
            if isinstance(alias, ast.alias)
        }
        bound = set()
        for name, node in _bindings(tree):
            bound.add(name)
            if name in self.answers:
                self.report(
                    cell,
                    node.lineno,
                    f"binds `{name}`, which an answer cell defines: "
                    "the test would test itself",
                )
            elif isinstance(node, ast.arg) and name in imports:
                self.report(
                    cell, node.lineno, f"the parameter `{name}` hides an import"
                )
        others = set().union(
            *(
                self.bound.get(other, set())
                for other in self.source.cells
                if other.kind == "test" and other is not cell
            )
        )
        for node in _loads(tree):
            if node.id in others - bound - self.given:
                self.report(
                    cell,
                    node.lineno,
                    f"uses `{node.id}`, which only another test binds: nothing passes "
                    "from one test to the next",
                )

    def check_visible(self, cell):
        shown = visible(cell.source)
        try:
            tree = ast.parse(shown)
        except SyntaxError as error:
            self.report(
                cell, 0, f"without its hidden part the test is not Python: {error.msg}"
            )
            return
        here = {name for name, _ in _bindings(tree)}
        hidden = self.bound[cell] - here - self.given
        for name in sorted({node.id for node in _loads(tree)} & hidden):
            self.report(
                cell, 0, f"the visible part uses `{name}`, which only the hidden binds"
            )

    def check_statements(self, cell):
        tree = self.trees[cell]
        for node in ast.walk(tree):
            if isinstance(node, ast.Assert):
                self.check_assert(cell, node)
            if isinstance(node, ast.Call):
                self.check_call(cell, node)
        last = tree.body[-1] if tree.body else None
        if isinstance(last, ast.Expr) and not isinstance(last.value, ast.Call):
            self.report(
                cell,
                last.lineno,
                "the last line is a value, which is read as a partial score; "
                "a score is written float(...)",
            )
        probes = {id(inner) for probe in _probes(tree) for inner in ast.walk(probe)}
        for node in ast.walk(tree):
            if id(node) in probes:
                continue
            private = isinstance(node, ast.Attribute) and re.match(r"_[^_]", node.attr)
            if private and self.is_learners(node.value):
                self.report(
                    cell, node.lineno, f"`{node.attr}` is private; ask in a probe"
                )

    def check_assert(self, cell, node):
        inner, negated = node.test, False
        while isinstance(inner, ast.UnaryOp) and isinstance(inner.op, ast.Not):
            inner, negated = inner.operand, not negated
        equal = isinstance(inner, ast.Compare) and any(
            isinstance(op, ast.Eq | ast.NotEq) for op in inner.ops
        )
        if equal:
            reason = "a bare comparison lets shapes broadcast"
        elif negated and isinstance(inner, ast.Compare):
            reason = "`not (a > b)` lets NaN pass"
        elif isinstance(inner, ast.Call) and _name(inner.func)[-1] in LOOSE:
            reason = f"`{_name(inner.func)[-1]}` says nothing of type, shape and place"
        else:
            return
        self.report(cell, node.lineno, f"{reason}; use check.close(got, want, hint)")

    def check_call(self, cell, node):
        name = _name(node.func)
        dotted = ".".join(name)
        keywords = {keyword.arg for keyword in node.keywords}
        if dotted in TALK:
            self.report(cell, node.lineno, f"`{dotted}` in a test cell; leave it out")
        undirected = name[0] == "torch" and name[-1] in DRAWS
        if (undirected and "generator" not in keywords) or (
            GLOBAL_RANDOMNESS.fullmatch(dotted)
        ):
            self.report(
                cell,
                node.lineno,
                f"`{dotted}`: draw from check.generator(name) or check.rng(name)",
            )
        if dotted == "isinstance" and any(map(self.is_learners, node.args)):
            self.report(
                cell,
                node.lineno,
                "`isinstance` of an answer: check.close compares types",
            )

    def is_learners(self, node):
        names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
        return bool(names & self.answers)

    def check_probes(self, cell):
        tree = self.trees[cell]
        tables = {
            table.get_name(): table
            for table in symtable.symtable(cell.source, cell.id, "exec").get_children()
        }
        for probe in _probes(tree):
            if probe not in tree.body:
                self.report(cell, probe.lineno, "a probe must be a top-level function")
                continue
            # It is sent as source: what the test binds is not there.
            used = _globals(tables[probe.name]) & (self.bound[cell] - self.given)
            for name in sorted(used):
                self.report(
                    cell, probe.lineno, f"the probe uses `{name}`; pass it as argument"
                )
            for node in ast.walk(probe):
                if isinstance(node, ast.Return) and _is_verdict(node.value):
                    self.report(
                        cell,
                        node.lineno,
                        "a probe returns data, never a verdict; check it in the test",
                    )
                imports = isinstance(node, ast.Import | ast.ImportFrom)
                if imports and self.reaches_absent(ast.unparse(node)):
                    self.report(
                        cell, node.lineno, "a probe may not import the reference"
                    )


def top_level(source, *, imports):
    """The names that a cell binds at top level; its imports only where asked."""
    symbols = symtable.symtable(source, "cell", "exec").get_symbols()
    return {
        symbol.get_name()
        for symbol in symbols
        if symbol.is_assigned() and (imports or not symbol.is_imported())
    }


def _globals(table):
    """The names that a function and the functions in it take from outside."""
    names = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
    return names.union(*map(_globals, table.get_children()))


def _bindings(tree):
    """Every (name, node) that anything in `tree` binds, in whatever scope."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id, node
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.arg):
            yield node.arg, node
        elif isinstance(node, ast.alias):
            yield node.asname or node.name.split(".")[0], node
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            if node.name:
                yield node.name, node
        elif isinstance(node, ast.MatchMapping) and node.rest:
            yield node.rest, node


def _loads(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node


def _probes(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and any(
            _name(decorator)[-1] == "probe" for decorator in node.decorator_list
        ):
            yield node


def _name(node):
    """The parts of a dotted name; [""] for any other expression."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [*_name(node.value), node.attr]
    return [""]


def _is_verdict(node):
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not)
    constant = isinstance(node, ast.Constant) and isinstance(node.value, bool)
    return constant or isinstance(node, ast.Compare | ast.BoolOp)


def _raises_stub(node):
    return isinstance(node, ast.Raise) and "NotImplementedError" in _name(node.exc)


def _blocks(tree):
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                yield block


@functools.cache
def _public(path: Path, _changed: int) -> frozenset[str]:
    """The public names that a module of `lib` defines itself."""
    text = path.read_text(encoding="utf-8")
    names = top_level(text, imports=False)
    return frozenset(name for name in names if not name.startswith("_"))
