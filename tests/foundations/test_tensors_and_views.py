"""`lib.foundations.tensors_and_views` against PyTorch itself and NumPy's exact solver.

Oracles: `as_strided` over a storage that holds its own addresses, what a write changes,
PyTorch's own (private) verdict, `numpy.shares_memory`. And the chapter's walk through
a first exercise, against the command that it shows.
"""

import itertools

import numpy as np
import pytest
import torch

from course.exercises import proof, run
from course.exercises.source import cleared, read
from course.paths import root
from lib.foundations.tensors_and_views import (
    address,
    addresses,
    aliases,
    explain_strides,
    has_internal_overlap,
    nested,
    safe_expand,
    shares_memory,
    torch_overlap,
)
from tests.draws import rng


def layout(shape, stride, offset=0):
    """A tensor of that layout whose every element is its own address."""
    reach = sum((n - 1) * s for n, s in zip(shape, stride) if n)
    return torch.arange(offset + reach + 1).as_strided(shape, stride, offset)


def layouts(count=300, least=0):
    """Random layouts, with zero strides, ones that overlap otherwise, and gaps."""
    draw = rng()
    for _ in range(count):
        n = draw.integers(0, 5)
        shape = draw.integers(least, 5, n).tolist()
        yield layout(shape, draw.integers(0, 9, n).tolist(), int(draw.integers(3)))


def places(t):
    return list(itertools.product(*map(range, t.shape)))


def test_address_is_where_the_element_is():
    t = layout((2, 3, 4), (20, 5, 1), 7)
    assert address((1, 2, 3), (20, 5, 1), 7) == 40
    for index in places(t):
        assert t[index] == address(index, t.stride(), t.storage_offset())


def test_a_layout_starts_at_the_storages_start_unless_an_offset_is_given():
    assert address((0, 0), (3, 1)) == 0
    assert address((1, 2), (3, 1)) == 5


def test_addresses_are_those_of_every_element():
    for t in layouts():
        torch.testing.assert_close(addresses(t), t.clone())


def test_addresses_are_counted_in_elements_whatever_their_size():
    for dtype in (torch.bool, torch.float64, torch.complex128):
        t = torch.zeros(4, 6, dtype=dtype)[1:, ::2].T
        assert addresses(t).tolist() == [[6, 12, 18], [8, 14, 20], [10, 16, 22]]


def test_aliases_are_the_elements_that_a_write_changes():
    for t in layouts(60, least=1):
        for index in places(t)[::3]:
            fresh = torch.zeros(t.untyped_storage().size() // 8)
            view = fresh.as_strided(t.shape, t.stride(), t.storage_offset())
            view[index] = 1
            changed = [place for place in places(t) if view[place] == 1]
            assert aliases(t, index) == changed


def test_an_overlap_is_two_equal_addresses():
    found = set()
    for t in layouts():
        values = t.flatten().tolist()
        assert has_internal_overlap(t) == (len(set(values)) < len(values))
        found.add(has_internal_overlap(t))
    assert found == {True, False}


def test_nested_layouts_never_overlap():
    kinds = set()
    for t in layouts():
        assert not (nested(t) and has_internal_overlap(t))
        assert nested(t) or t.numel()
        kinds.add((nested(t), has_internal_overlap(t)))
    assert kinds == {(True, False), (False, False), (False, True)}


def test_what_slicing_permuting_and_unfolding_without_overlap_make_is_nested():
    t = torch.zeros(4, 6, 5)
    for view in (
        t,
        t.mT,
        t[1:, ::2, 3],
        t.permute(2, 0, 1),
        t[:, :1],
        t[:0].expand(0, 6, 5),
    ):
        assert nested(view)
    assert nested(torch.zeros(12).unfold(0, 3, 3))
    assert not nested(torch.zeros(12).unfold(0, 3, 2))


def test_torch_overlap_is_what_torch_says():
    words = ("no", "yes", "too hard")
    seen = {
        (torch_overlap(t), words[torch._debug_has_internal_overlap(t)])
        for t in [
            *layouts(600),
            torch.zeros(2, 3, 4),
            torch.zeros(2, 3, 4).permute(2, 0, 1),
        ]
    }
    assert seen == {(word, word) for word in words}


def test_torch_refuses_on_yes_and_only_then():
    refusal = "more than one element of the written-to tensor"
    for t in layouts(200):
        if torch_overlap(t) == "yes":
            with pytest.raises(RuntimeError, match=refusal):
                t.add_(1)
        else:
            t.add_(1)


def test_sharing_memory_is_what_numpy_finds():
    draw, found = rng(1), set()
    storage = torch.zeros(60)
    for _ in range(200):
        pair = [
            storage.as_strided(
                draw.integers(0, 4, 2).tolist(),
                draw.integers(0, 8, 2).tolist(),
                int(draw.integers(0, 12)),
            )
            for _ in range(2)
        ]
        want = np.shares_memory(*(t.numpy() for t in pair))
        assert shares_memory(*pair) == want
        found.add(want)
    assert found == {True, False}
    assert not shares_memory(torch.zeros(3), torch.zeros(3))


@pytest.mark.parametrize("sizes", [(4, 3), (1, 3), (5, 1, 3), (2, 4, 3)])
def test_a_safe_expand_may_be_written_and_leaves_its_source_alone(sizes):
    source = torch.arange(3.0).expand(1, 3) if len(sizes) < 3 else torch.arange(3.0)
    kept = source.clone()
    wide = safe_expand(source, *sizes)
    torch.testing.assert_close(wide, source.expand(sizes))
    assert not has_internal_overlap(wide)
    assert wide.is_contiguous()
    wide.add_(1)
    torch.testing.assert_close(source, kept)


def test_the_gradient_of_a_safe_expand_is_the_sum_over_what_was_expanded():
    w = torch.ones(1, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.arange(12.0, dtype=torch.float64).reshape(4, 3)
    (safe_expand(w, 4, 3) * weight).sum().backward()
    torch.testing.assert_close(w.grad, weight.sum(0, keepdim=True))


def test_the_table_names_every_dimension_and_counts_places():
    said = explain_strides(torch.zeros(3, 1).expand(3, 4)).split("\n")
    assert said == [
        "shape (3, 4), strides (1, 0), from 0",
        "  dimension 0: size 3, a step moves 1",
        "  dimension 1: size 4, the same place 4 times",
        "  12 elements in 3 places, at most 4 in one",
    ]
    assert "dimension 0: size 1, never steps" in explain_strides(torch.zeros(1, 2))
    windows = torch.zeros(9)[2:].unfold(0, 3, 1)
    assert explain_strides(windows).endswith(
        "15 elements in 7 places, at most 3 in one"
    )
    assert explain_strides(windows).startswith("shape (5, 3), strides (1, 1), from 2")
    assert explain_strides(torch.zeros(0)).endswith(
        "0 elements in 0 places, at most 0 in one"
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: address((1,), (2, 3)), "index must have an entry for each of 2"),
        (lambda: aliases(torch.zeros(2, 3), (1,)), r"index must lie in shape \(2, 3\)"),
        (lambda: aliases(torch.zeros(2, 3), (1, 3)), r"got \(1, 3\)"),
        (lambda: aliases(torch.zeros(2, 3), (-1, 0)), r"got \(-1, 0\)"),
        (lambda: shares_memory(torch.zeros(2), torch.zeros(2).int()), "one dtype"),
    ],
)
def test_what_cannot_be_answered_is_a_sentence(plain_errors, call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.fixture
def checked(tmp_path, monkeypatch, capsys):
    """What `course check` prints of a notebook in which one task is answered."""
    source = read("foundations/tensors_and_views")
    bodies = {body.name: body for body in proof.written(source)}
    monkeypatch.setattr("course.exercises.progress.record", lambda *_: None)

    def check(name):
        stubs = {
            cell.task: cleared(cell.source)
            for cell in source.cells
            if cell.kind == "answer"
        }
        body = proof.Body(name, "", stubs | bodies[name].answers)
        path = tmp_path / "tensors_and_views.ipynb"
        path.write_text(proof.submission(source, body), encoding="utf-8")
        with run.Warm() as warm:
            run.check_file(path, warm)
        return bodies[name].answers["row_major_strides"], capsys.readouterr().out

    return check


def test_the_walk_through_a_first_exercise_shows_what_course_check_prints(checked):
    chapter = (root() / "book/foundations/tensors_and_views.md").read_text("utf-8")
    tried, said = checked("wrong_column_major")
    assert f"```python\n{tried}\n```" in chapter
    assert (
        f"```text\n{said[said.index('wrong  ') : said.index('Hidden')]}```" in chapter
    )
    _, said = checked("right_strides_by_products")
    line = next(line for line in said.split("\n") if line.startswith("passed"))
    assert f"```text\n{line}\n```" in chapter
