"""Exercise sources: what is read from them, and every mistake by name and line."""

import re

import pytest

from course.exercises import source
from course.exercises.source import cleared, read, visible
from course.paths import CourseError


def mistakes(minicourse):
    """What `read` says of the source, as (text of the line, what)."""
    with pytest.raises(CourseError) as caught:
        read(minicourse.lesson)
    lines = minicourse.read(minicourse.source).split("\n")
    found = []
    for message in str(caught.value).split("\n"):
        path, line, text = message.split(":", 2)
        assert path == minicourse.source
        found.append((lines[int(line) - 1], text.strip()))
    return found


def test_reads_tasks_and_cells(minicourse):
    got = read(minicourse.lesson)
    assert (got.lesson, got.title) == ("averages/centring", "Centring")
    first, second = got.tasks
    assert (first.name, first.title) == ("centre_backward", "The gradient of centring")
    assert (first.points, first.difficulty, first.minutes) == (3, 2, 10)
    assert (first.device, second.device) == ("cpu", "gpu")
    assert first.text.startswith("## 1 · The gradient")
    assert "Hint" in first.text
    assert "Hint" not in second.text
    assert [cell.id for cell in got.cells] == [
        *("text-1", "code-1", "text-2", "centre_backward", "test_centre_backward"),
        *("test_centre_backward_unchanged", "text-3"),
        *("to_unit_range", "test_to_unit_range"),
    ]
    text = minicourse.read(minicourse.source).split("\n")
    for cell in got.cells:
        assert cell.source.split("\n")[0] in text[cell.line - 1]


def test_what_the_learner_gets_of_a_cell(minicourse):
    cells = {cell.id: cell for cell in read(minicourse.lesson).cells}
    answer = cleared(cells["centre_backward"].source)
    assert answer.endswith('"""\n    raise NotImplementedError')
    shown = visible(cells["test_centre_backward"].source)
    assert "torch.zeros(2)" in shown
    assert "HIDDEN" not in shown
    assert "reference" not in shown


HEADER = '# %% solution="centre_backward" difficulty=2 minutes=10'
TEST = '# %% test="centre_backward" points=2'
RANGE = '# %% solution="to_unit_range" difficulty=1 minutes=5 device="gpu"'
BEGIN = "### BEGIN HIDDEN TESTS\nfrom lib.averages import centring as reference"
VISIBLE = "check.close(\n    centre_backward"
PROBE = "@check.probe\ndef argument_after(grad):\n    centre_backward(grad)"

# old text, new text, the line that is named, what is said
CASES = {
    "unknown key": (
        HEADER,
        HEADER + ' hint="no"',
        'hint="no"',
        "unknown header key `hint`",
    ),
    "key of the other kind": (HEADER, HEADER + " points=1", HEADER, "`points`"),
    "title in the header": (HEADER, "# %% A title" + HEADER[4:], "A title", "`title`"),
    "key on text": (
        "# %% [markdown]\n# ## 1",
        '# %% [markdown] tags=["a"]\n# ## 1',
        "tags",
        "unknown header key `tags`",
    ),
    "no quotes": (
        'solution="to_unit_range"',
        "solution=to_unit_range",
        "solution=to_unit_range",
        "cannot read",
    ),
    "no points": (TEST, TEST[:-9], TEST[:-9], "points must be .* it is missing"),
    "points in words": (TEST, TEST[:-1] + '"two"', '"two"', "points must be .* `two`"),
    "half points": (TEST, TEST + ".5", "2.5", "points must be an integer"),
    "no points at all": (TEST, TEST[:-1] + "0", "points=0", "from 1 to 100"),
    "no difficulty": (" difficulty=2", "", HEADER[:30], "difficulty .* missing"),
    "difficulty 6": ("difficulty=2", "difficulty=6", "difficulty=6", "from 1 to 5"),
    "no minutes": (" minutes=10", "", HEADER[:30], "minutes .* missing"),
    "device": ('device="gpu"', 'device="tpu"', "tpu", "device must be cpu or gpu"),
    "task no name": (
        'aspect="unchanged"',
        'aspect="in place"',
        "in place",
        "aspect must be a Python name",
    ),
    "duplicate id": (
        ' aspect="unchanged"',
        "",
        '# %% test="centre_backward" points=1',
        "a second cell `test_centre_backward`; give it an aspect",
    ),
    "duplicate task": (RANGE, HEADER, "", "a second answer cell for `centre_backward`"),
    "test of nothing": (
        'test="to_unit_range"',
        'test="to_unit_rnage"',
        "rnage",
        "whose answer cell does not exist",
    ),
    "task without test": (
        'test="to_unit_range"',
        'test="centre_backward" aspect="b"',
        RANGE,
        "task `to_unit_range` has no test",
    ),
    "heading without task": (
        "# ## 2 · A given range\n",
        "# ## 2 · Another\n#\n# ## 2 · A given range\n",
        RANGE,
        "`## 2 · Another` before it has no task",
    ),
    "heading of another number": (
        "# ## 2 · A given",
        "# ## 3 · A given",
        RANGE,
        "task 2 stands below the heading `## 3 · A given range`",
    ),
    "answer of another name": (
        "def to_unit_range(",
        "def to_unit_rnage(",
        RANGE,
        "does not define `to_unit_range`",
    ),
    "task without heading": ("# ## 2 · A given range\n#\n", "", RANGE, "no heading"),
    "no title": ("# # Centring\n", "# Centring\n", "# ---", "# Title"),
    "no kernelspec": (
        "#   kernelspec: {name: python3, display_name: Python 3, language: python}\n",
        "#   unknown: me\n",
        "# ---",
        "no kernelspec",
    ),
    "text before the cells": (
        "# %% [markdown]\n# # Centring",
        "import os\n\n# %% [markdown]\n# # Centring",
        "",
        "text before the first",
    ),
    "marker in a string": (
        "import torch\n",
        'import torch\n\nx = """\n# %% no cell\n"""\n',
        "",
        "inside a string",
    ),
    "solution without markers": (
        "    ### BEGIN SOLUTION\n    low",
        "    low",
        "### END SOLUTION",
        "without its counterpart",
    ),
    "hidden part misspelt": (
        "### BEGIN HIDDEN TESTS\ndraw",
        "### BEGIN HIDEN TESTS\ndraw",
        "HIDEN",
        "is no marker",
    ),
    "hidden part in lower case": (
        "### BEGIN HIDDEN TESTS\ndraw",
        "### begin hidden tests\ndraw",
        "begin",
        "is no marker",
    ),
    "hidden part with a colon": (
        "### BEGIN HIDDEN TESTS\ndraw",
        "### BEGIN HIDDEN TESTS:\ndraw",
        "TESTS:",
        "write the marker as",
    ),
    "hidden part unended": (
        "float(score)\n### END HIDDEN TESTS\n",
        "float(score)\n",
        "### BEGIN HIDDEN TESTS",
        "is never ended",
    ),
    "hidden part in a given cell": (
        "from course import check\n",
        "from course import check\n### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS\n",
        "### BEGIN HIDDEN TESTS",
        "a hidden part outside a test cell",
    ),
    "hidden part in an answer cell": (
        "    ### BEGIN SOLUTION\n    low",
        "    ### BEGIN HIDDEN TESTS\n    ### BEGIN SOLUTION\n    low",
        "### BEGIN HIDDEN TESTS",
        "a hidden part outside a test cell",
    ),
    "hidden part in text": (
        "# and then fix",
        "# BEGIN HIDDEN TESTS and then fix",
        "BEGIN HIDDEN TESTS",
        "a hidden part outside a test cell",
    ),
    "solution in a test cell": (
        "float(score)\n",
        "### BEGIN SOLUTION\nfloat(score)\n### END SOLUTION\n",
        "### BEGIN SOLUTION",
        "a solution outside an answer cell",
    ),
    "not Python": ("import torch\n", "import torch as\n", "torch as", "not Python"),
    "magic": ("import torch\n", "# %matplotlib inline\n", "matplotlib", "not Python"),
    "stub returns first": (
        "    ### BEGIN SOLUTION\n    low",
        "    return x\n    ### BEGIN SOLUTION\n    low",
        RANGE,
        "returns before it reaches NotImplementedError",
    ),
    "own module outside": (
        "import torch\n",
        "import torch\n\nfrom lib.averages import centring\n",
        "from lib.averages import centring",
        "needs the lesson's own module",
    ),
    "own module in a solution": (
        "    low = x.amin",
        "    import lib.averages.centring\n    low = x.amin",
        "import lib.averages.centring",
        "needs the lesson's own module",
    ),
    "own module in a visible part": (
        BEGIN,
        "\n".join(reversed(BEGIN.split("\n"))),
        "centring as reference",
        "needs the lesson's own module",
    ),
    "reference as a function": (
        "from lib.averages import centring as reference",
        "from lib.averages.centring import centre, spread as reference",
        "import centre, spread",
        "import the reference as a module: `from lib.averages import centring",
    ),
    "a name of the answer imported": (
        BEGIN,
        BEGIN + "\nfrom torch import zeros as to_unit_range",
        "to_unit_range",
        "binds `to_unit_range`",
    ),
    "a parameter called as the answer": (
        "draw = check.generator(",
        "def helper(centre_backward):\n    pass\n\n\ndraw = check.generator(",
        "def helper",
        "binds `centre_backward`",
    ),
    "an answer defined again": (
        "score = 1.0",
        "to_unit_range = score = 1.0",
        "score = 1.0",
        "binds `to_unit_range`",
    ),
    "a loop over the answer's name": (
        "for shape in [",
        "for centre_backward in [",
        "for centre_backward",
        "binds `centre_backward`",
    ),
    "a parameter hides the reference": (
        "draw = check.generator(",
        "def helper(reference):\n    pass\n\n\ndraw = check.generator(",
        "def helper",
        "the parameter `reference` hides an import",
    ),
    "a name of another test": (
        "float(score)",
        "float(score + grad.sum())",
        "float(score + grad.sum())",
        "uses `grad`, which only another test binds",
    ),
    "a hidden name in the visible part": (
        "torch.tensor([2.0, 4.0, 3.0])",
        "score * torch.tensor([2.0, 4.0, 3.0])",
        '# %% test="to_unit_range" points=3',
        "the visible part uses `score`",
    ),
    "print": ("score = 1.0", "print(1)\nscore = 1.0", "print(1)", "`print` in a test"),
    "get_ipython": (
        "score = 1.0",
        "score = get_ipython()",
        "get_ipython",
        "`get_ipython` in a test",
    ),
    "bare ==": (
        "score = 1.0",
        "assert (x == x).all() == True\nscore = 1.0",
        "assert (x == x)",
        "use check.close",
    ),
    "not >": (
        "score = 1.0",
        "assert not (x.sum() > 9)\nscore = 1.0",
        "assert not",
        "`not .a > b.` lets NaN pass",
    ),
    "allclose": (
        "score = 1.0",
        "assert torch.allclose(x, x), 'no'\nscore = 1.0",
        "allclose",
        "use check.close",
    ),
    "global seed": (
        "score = 1.0",
        "torch.manual_seed(0)\nscore = 1.0",
        "manual_seed",
        "draw from check.generator",
    ),
    "global randomness": (
        "x = torch.randn(4, 5, dtype=torch.float64, generator=draw)",
        "x = torch.randn(4, 5, dtype=torch.float64)",
        "torch.randn(4, 5",
        "draw from check.generator",
    ),
    "numpy's randomness": (
        "score = 1.0",
        "import numpy as np\nnp.random.default_rng(0)\nscore = 1.0",
        "default_rng",
        "check.rng",
    ),
    "a last value": ("float(score)", "score", "score", "partial score"),
    "isinstance": (
        "score = 1.0",
        "assert isinstance(to_unit_range(x), torch.Tensor)\nscore = 1.0",
        "isinstance",
        "check.close compares types",
    ),
    "private": (
        "score = 1.0",
        "to_unit_range(x)._version\nscore = 1.0",
        "_version",
        "`_version` is private",
    ),
    "probe in a function": (
        PROBE,
        "def outer():\n    @check.probe\n    def inner(grad):\n        pass\n\n\n"
        + PROBE,
        "def inner",
        "a probe must be a top-level function",
    ),
    "probe with a name of the test": (
        PROBE,
        "factor = 2.0\n\n\n" + PROBE[:-6] + "(factor * grad)",
        "def argument_after",
        "the probe uses `factor`",
    ),
    "probe with a verdict": (
        "    return grad\n\n\ngrad",
        "    return grad.sum() > 0\n\n\ngrad",
        "return grad.sum() > 0",
        "never a verdict",
    ),
    "probe with the reference": (
        PROBE,
        PROBE.replace(
            "    centre", "    from lib.averages import centring\n    centre", 1
        ),
        "from lib.averages import centring",
        "a probe may not import the reference",
    ),
    "hide of nothing": (
        "language: python}\n",
        "language: python}\n#   hide: [averages/medians]\n",
        "# ---",
        "hide names averages/medians",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_named_with_its_line(minicourse, case):
    old, new, line, text = CASES[case]
    minicourse.edit(minicourse.source, old, new)
    found = mistakes(minicourse)
    assert any(
        line in place and re.search(text, message) for place, message in found
    ), found


def test_a_solution_and_a_test_need_their_regions(minicourse):
    text = minicourse.read(minicourse.source)
    text = re.sub(r" *### (BEGIN|END) [A-Z ]+\n", "", text)
    minicourse.write(minicourse.source, text)
    said = [message for _, message in mistakes(minicourse)]
    assert sum("the answer cell has no `### BEGIN SOLUTION`" in s for s in said) == 2
    assert sum("the test has no hidden part" in s for s in said) == 3


def test_a_stub_must_raise(minicourse):
    text = minicourse.read(minicourse.source)
    solution = re.search(r" +### BEGIN SOLUTION\n    low.*?END SOLUTION\n", text, re.S)
    in_docstring = "    ### BEGIN SOLUTION\n    ### END SOLUTION\n    x: (..., d), no"
    text = text.replace(solution[0], "    return x\n")
    minicourse.write(
        minicourse.source, text.replace("    x: (..., d), no", in_docstring)
    )
    assert any(
        "never raises the stub" in message for _, message in mistakes(minicourse)
    )


def test_a_task_may_not_be_named_as_something_in_lib(minicourse):
    minicourse.write("lib/other.py", "to_unit_range = _centre_backward = None\n")
    said = [message for _, message in mistakes(minicourse)]
    assert said == [
        "task `to_unit_range` has the name of a public name of lib/other.py"
    ]


@pytest.mark.parametrize("header", ["{name: python3", "python3", "[1]"])
def test_a_header_that_cannot_be_read_is_a_mistake(minicourse, header):
    text = minicourse.read(minicourse.source)
    text = re.sub(r"kernelspec: .*", f"kernelspec: {header}", text)
    minicourse.write(minicourse.source, text)
    assert "header" in mistakes(minicourse)[0][1]


def test_the_visible_part_must_stand_alone(minicourse):
    minicourse.edit(
        minicourse.source,
        "### BEGIN HIDDEN TESTS\ndraw",
        "if True:\n    pass\n### BEGIN HIDDEN TESTS\ndraw",
    )
    read(minicourse.lesson)
    minicourse.edit(minicourse.source, "if True:\n    pass\n###", "if True:\n    ###")
    text = minicourse.read(minicourse.source)
    head, tail = text.split("if True:\n")
    body, end = tail.split("### END HIDDEN TESTS\n", 1)
    indented = "".join(f"    {line}\n" for line in body.strip().split("\n")[1:])
    minicourse.write(
        minicourse.source,
        f"{head}if True:\n    ### BEGIN HIDDEN TESTS\n{indented}"
        f"    ### END HIDDEN TESTS\n{end}",
    )
    assert any("without its hidden part" in text for _, text in mistakes(minicourse))


def test_all_mistakes_are_named_at_once_in_order(minicourse):
    minicourse.edit(minicourse.source, "difficulty=2", "difficulty=9")
    minicourse.edit(minicourse.source, 'device="gpu"', 'device="tpu"')
    minicourse.edit(minicourse.source, TEST, TEST[:-9])
    minicourse.edit(minicourse.source, "score = 1.0", "print()\nscore = 1.0")
    said = [message.split()[0] for _, message in mistakes(minicourse)]
    assert said == ["difficulty", "points", "device", "`print`"]


@pytest.mark.parametrize(
    "name", ["notes.md", "centring.ipynb", "data/x.csv", "Centring.py", "a-b.py"]
)
def test_files_beside_the_sources_would_leak(minicourse, name):
    minicourse.write(f"solutions/averages/{name}", "secret")
    with pytest.raises(CourseError, match="not an exercise source; move it elsewhere"):
        read(minicourse.lesson)


def test_a_link_beside_the_sources_would_leak(minicourse):
    link = minicourse.folder / "solutions/averages/other.py"
    link.symlink_to(minicourse.folder / minicourse.source)
    with pytest.raises(CourseError, match="not an exercise source"):
        read(minicourse.lesson)


def test_a_missing_source_is_named(minicourse):
    with pytest.raises(CourseError, match=r"no exercise source solutions/a/b\.py"):
        read("a/b")


def test_ordinary_tests_are_left_alone(minicourse):
    """What looks like a broken rule and is none."""
    minicourse.edit(
        minicourse.source,
        "score = 1.0",
        "import math\n\n"
        "# begin with the solution of the hidden test\n"
        "assert (x.abs() < 9).all(), 'x is drawn from a normal'\n"
        "assert isinstance(score_of := math.pi, float)\n"
        "numbers = check.rng('other').random(3)\n"
        "others = [shape for shape in (1, 2)]\n"
        "score = 1.0",
    )
    read(minicourse.lesson)


def test_other_modules_are_hidden_on_request(minicourse):
    minicourse.write("lib/averages/median.py", '"""M."""\n')
    minicourse.write("lib/averages/uses.py", '"""U."""\nimport lib.averages.median\n')
    for module in ("median", "uses"):
        minicourse.edit(
            minicourse.source,
            "import torch\n",
            f"import torch\nimport lib.averages.{module}\n",
        )
    read(minicourse.lesson)
    minicourse.edit(
        minicourse.source,
        "language: python}\n",
        "language: python}\n#   hide: [averages/median]\n",
    )
    said = [line for line, _ in mistakes(minicourse)]
    assert said == ["import lib.averages.uses", "import lib.averages.median"]


def test_the_stub_is_the_one_nbgrader_writes():
    assert source.STUB == "raise NotImplementedError"
