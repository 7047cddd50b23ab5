"""`python -m tests.mutants`: what it breaks, and how it judges who noticed."""

import ast
import os
import signal

import pytest

from tests import mutants


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of `lib` with this text."""

    def written(text):
        path = tmp_path / "lib/part/lesson.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        monkeypatch.setattr(mutants, "ROOT", tmp_path)
        return mutants.Module(path)

    return written


@pytest.mark.parametrize(
    ("line", "kind", "broken"),
    [
        ("return a + b", "sign", "a - b"),
        ("return a * b", "scale", "a / b"),
        ("return a * b", "factor", "a"),
        ("return 2 * b", "factor", "b"),
        ("return -a", "sign", "a"),
        ("return a.sum(0)", "reduction", "a.mean(0)"),
        ("return a.softmax(-1)", "axis", "a.softmax(-2)"),
        ("return a.sum(dim=0)", "axis", "a.sum(dim=1)"),
        ("return torch.cat([a, b], 1)", "axis", "torch.cat([a, b], 0)"),
        ("return a.mT", "transpose", "a"),
        ("return a.detach()", "gradient", "a"),
        ("return torch.sqrt(a)", "factor", "a"),
        ("return a.sqrt()", "factor", "a"),
        ("return range(n)", "index", "range(n - 1)"),
        ("return range(1, n)", "index", "range(1, n - 1)"),
        ("return a[:n]", "index", "a[:n - 1]"),
        ("return a[2]", "index", "a[3]"),
        ("return a[-1]", "index", "a[-2]"),
        ("return a < b", "compare", "a <= b"),
        ("return a and b", "compare", "a or b"),
        ("return f(a, True)", "flag", "f(a, False)"),
        ("return a if n else b", "branch", "a if not n else b"),
    ],
)
def test_each_kind_of_mistake_is_made(module, line, kind, broken):
    lesson = module(f"def f(a, b, n):\n    {line}\n")
    assert (kind, broken) in changes(lesson)


def changes(lesson):
    """What the broken lines return."""
    return {
        (mutant.kind, mutant.change.partition(" → ")[2].removeprefix("return "))
        for mutant in mutants.chosen(lesson)
    }


def test_a_result_of_floats_gets_another_sign_and_a_flag_does_not(module):
    text = "def f(a) -> {}:\n    return a\n"
    assert changes(module(text.format("Float[Tensor, 'n']"))) == {("sign", "-a")}
    assert changes(module(text.format("bool"))) == set()


def test_a_refusal_is_left_out_and_its_text_is_not_changed(module):
    lesson = module("def f(a):\n    if a < 0:\n        raise ValueError(f'{a + 1}')\n")
    assert {kind for kind, _ in changes(lesson)} == {"check"}
    assert {change for _, change in changes(lesson)} == {"pass", "if a <= 0:"}


def test_texts_and_seeds_stay(module):
    lesson = module(
        "def f(a, g):\n    g.manual_seed(1)\n    return 'x' + a, [0.5] * a\n"
    )
    assert "manual_seed(2)" not in str(changes(lesson))
    assert not {kind for kind, _ in changes(lesson)} & {"sign", "scale", "factor"}


def test_a_function_gets_four_mutants_of_different_kinds_always_the_same(module):
    text = (
        "def f(a, n):\n    return (a + 1) * (a - 2) * a[:n].sum(0) * (a[1:n] + a[n])\n"
    )
    names = [mutant.key for mutant in mutants.chosen(module(text))]
    assert names == [mutant.key for mutant in mutants.chosen(module(text))]
    kinds = {mutant.kind for mutant in mutants.chosen(module(text))}
    assert len(names) == mutants.A_FUNCTION == len(kinds)


def test_methods_are_broken_and_what_is_defined_inside_belongs_to_its_function(module):
    text = "class A:\n    def f(self, a):\n        def g(b):\n            return -b\n"
    assert list(module(text).functions) == ["A.f"]
    assert {mutant.name for mutant in mutants.chosen(module(text))} == {
        "lib.part.lesson.A.f"
    }


def test_after_a_mutant_the_tree_is_as_before(module):
    lesson = module("def f(a, n):\n    return a.sum(0)[:n] - 2 * a\n")
    before = ast.unparse(lesson.tree)
    for mutant in list(mutants.chosen(lesson)):
        mutant.swap()
        assert ast.unparse(lesson.tree) != before
        mutant.swap()
        assert ast.unparse(lesson.tree) == before


def test_a_process_says_whether_its_mutant_survived():
    def work(status):
        if status == "kill":
            os.kill(os.getpid(), signal.SIGPROF)
        if status:
            os._exit(status)

    tasks = [mutants.SURVIVED, mutants.NOTICED, "kill"]
    ended = dict(mutants.forked(tasks, work, 2))
    assert os.waitstatus_to_exitcode(ended[mutants.SURVIVED]) == mutants.SURVIVED
    assert os.waitstatus_to_exitcode(ended[mutants.NOTICED]) == mutants.NOTICED
    assert os.WTERMSIG(ended["kill"]) == signal.SIGPROF


def test_every_accepted_survivor_is_a_mutant_that_is_made():
    """Where the code has changed, the reason no longer speaks of it."""
    made = {
        mutant.key
        for path in mutants.LIB.rglob("*.py")
        for mutant in mutants.chosen(mutants.Module(path))
    }
    assert sorted(mutants.accepted() - made) == []
