"""A row of the catalogue, and the lessons that its submissions answer."""

import json
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CANARY = "canary-of-the-hidden-tests-7319"
HEAD = """\
# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # A small lesson

# %%
import math

import numpy as np
import torch

from course import check

"""
FIRST = f'''{HEAD}
# %% [markdown]
# ## 1 · Doubling
#
# Twice as much.


# %% solution="double" difficulty=1 minutes=5
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION


# %% test="double" points=2
check.close(double(torch.ones(2)), 2 * torch.ones(2), "two ones doubled")
expected = np.array([2.0, 4.0])
check.close(double(np.array([1.0, 2.0])), expected, "an array doubled")
### BEGIN HIDDEN TESTS
canary = "{CANARY}"
x = torch.randn(3, 4, generator=check.generator("double"))
check.close(double(x), 2 * x, "random 3 by 4 doubled")
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · Tripling
#
# Three times as much.


# %% solution="triple" difficulty=1 minutes=5
def triple(x):
    """Three times x."""
    ### BEGIN SOLUTION
    return 3 * x
    ### END SOLUTION


# %% test="triple" points=1
check.close(triple(2.0), 6.0, "two tripled")
### BEGIN HIDDEN TESTS
canary = "{CANARY}"
draw = check.generator("triple")
x = torch.randn(3, generator=draw)
check.close(triple(x), 3 * x, "random numbers tripled")
### END HIDDEN TESTS
'''
SECOND = f'''{HEAD}
# %% [markdown]
# ## 1 · Sorting
#
# In rising order, without `sorted`.


# %% solution="order" difficulty=1 minutes=5
def order(values):
    """The numbers of a list in rising order, as a new list."""
    ### BEGIN SOLUTION
    left, found = list(values), []
    while left:
        found.append(min(left))
        left.remove(found[-1])
    return found
    ### END SOLUTION


# %% test="order" points=2
check.close(order([2, 1]), [1, 2], "two numbers in order")


@check.probe
def by_hand(values):
    import builtins

    def refused(*_, **__):
        raise RuntimeError("this exercise asks you to write sorted() yourself")

    kept, builtins.sorted = builtins.sorted, refused
    try:
        return order(values)
    finally:
        builtins.sorted = kept


check.close(by_hand([3, 1, 2]), [1, 2, 3], "without sorted()")
### BEGIN HIDDEN TESTS
canary = "{CANARY}"
values = [int(n) for n in check.rng("order").integers(0, 99, 7)]
check.close(by_hand(values), list(np.sort(values).tolist()), "seven random numbers")
### END HIDDEN TESTS
'''
SOURCES = {"first": FIRST, "second": SECOND}
# What the course has of the lesson for itself: absent where learners' code runs.
REFERENCE = '"""The reference."""\n\n\ndef twice(x):\n    return 2 * x\n'

RIGHT = "def double(x):\n    return 2 * x\n"
WRONG = "def double(x):\n    return x + 2\n"
TRIPLE = "def triple(x):\n    return 3 * x\n"
FULL, LOST, NOTHING = (2, 1), (0, 1), (0, 0)
STUB = "not attempted"


@dataclass(frozen=True)
class Row:
    """A submission, and what must come of it.

    What is handed in is the released notebook with `answer` in the cell of `double`
    (of `order` in the second lesson), a right answer to `triple`, and `own` in a cell
    behind the first answer; then `change` is made to it, as JSON, or `raw` makes the
    file of it. Words in capitals stand for places; see `batch.places`.
    """

    name: str  # "<id> <words>"
    answer: str = WRONG
    status: str = "wrong"  # of the exercise that is tampered with
    message: str = ""  # what its message must match
    points: tuple[float, ...] = LOST  # of the lesson's tests, in order
    own: str = ""
    change: Callable[[dict], None] | None = None
    raw: Callable[[str, Path], None] | None = None  # of the notebook, and its path
    file: str = "first.ipynb"
    lesson: str = "first"
    notes: tuple[str, ...] = ()  # how codes of the verdict's notes must begin
    seconds: float = 10.0  # the limit of an exercise
    stock: bool = False  # plain nbgrader may be shown it, too

    @property
    def id(self) -> str:
        """The row's number in the catalogue."""
        return self.name.split()[0]

    @property
    def words(self) -> str:
        """What it is."""
        return self.name.partition(" ")[2]

    @property
    def student(self) -> str:
        """Who hands it in."""
        letters = "".join(c if c.isalnum() and c.isascii() else "-" for c in self.name)
        return "-".join(part for part in letters.lower().split("-") if part)

    def hand_in(self, released: str, path: Path, places: Callable[[str], str]) -> None:
        """Write what is handed in to `path`; `released` is the lesson's notebook."""
        node = json.loads(released)
        answer = textwrap.dedent(self.answer)
        if self.lesson == "first" and not re.search(r"\bdouble\b", answer):
            answer = f"{answer}\n{WRONG}"
        texts = {"double": answer, "triple": TRIPLE, "order": answer}
        cells = []
        for cell in node["cells"]:
            cell["source"] = places(texts.get(cell["id"], "".join(cell["source"])))
            cells.append(cell)
            if self.own and cell["id"] == "double":
                cells.append(code(places(textwrap.dedent(self.own)), "mine"))
        node["cells"] = cells
        if self.change:
            self.change(node)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(node, indent=1)
        if self.raw:
            self.raw(text, path)
        else:
            path.write_text(text, "utf-8")


def code(source: str, name: str) -> dict:
    """A code cell of a learner's own."""
    more = {"metadata": {}, "outputs": [], "execution_count": None}
    return {"cell_type": "code", "id": name, "source": source, **more}


def cell(node: dict, name: str) -> dict:
    """The cell of that id."""
    return next(each for each in node["cells"] if each["id"] == name)


def tests(node: dict) -> list[dict]:
    """The cells that carry points."""
    return [c for c in node["cells"] if c["metadata"].get("nbgrader", {}).get("grade")]
