"""The test kit: nothing wrong passes, and what it says helps."""

from collections import OrderedDict, namedtuple

import numpy as np
import pytest
import torch

from course import check

NAN, INF = float("nan"), float("inf")
Point = namedtuple("Point", "x y")


class Liar(int):
    """Says yes to everything it is asked."""

    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


class LyingTensor(torch.Tensor):
    """A tensor that equals everything."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return True


def message(got, want, **tolerances):
    with pytest.raises(check.Wrong) as caught:
        check.close(got, want, "hint", **tolerances)
    assert str(caught.value).startswith("hint — ")
    return str(caught.value).removeprefix("hint — ")


SAME = [
    1,
    -0.5,
    1 + 2j,
    True,
    None,
    "text",
    b"bytes",
    (),
    [],
    {},
    (1, [2.0, {"a": torch.zeros(2)}]),
    np.float32(1.5),
    np.bool_(True),
    np.array(["a", "bc"]),
    np.arange(3, dtype=np.uint64) + 2**63,
    torch.tensor(1.0),
    torch.zeros(0, 3),
    torch.tensor([True, False]),
    torch.tensor([1, 2]),
    torch.tensor([1 + 2j]),
    torch.tensor([1.0], dtype=torch.float16),
    torch.tensor([1.0], dtype=torch.bfloat16),
    torch.tensor([2**63], dtype=torch.uint64),
    torch.tensor([-INF, 0.0, INF]),
    torch.ones(2, 3).T,
    torch.ones(1).expand(4),
    torch.tensor([1 + 2j]).conj(),
]


@pytest.mark.parametrize("value", SAME, ids=repr)
def test_equal_values_pass(value):
    check.close(value, value, "hint")


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (1, 1.0),
        (1.0, 1),
        (True, 1),
        (1, True),
        (0, None),
        (False, None),
        ("1", 1),
        (b"a", "a"),
        (1.0, 1.0 + 0j),
        (np.float64(1), 1.0),
        (1.0, np.float64(1)),
        (np.float32(1), np.float64(1)),
        (np.int64(1), 1),
        (torch.tensor(1.0), 1.0),
        (1.0, torch.tensor(1.0)),
        (torch.tensor([1.0]), np.array([1.0], dtype="f4")),
        (np.array([1.0]), [1.0]),
        (np.array(1.0), np.float64(1.0)),
        ([1], (1,)),
        ((1,), [1]),
        ([1.0], torch.tensor([1.0])),
    ],
)
def test_no_type_stands_for_another(got, want):
    assert message(got, want).startswith("expected ")


@pytest.mark.parametrize(
    "got",
    [
        Liar(1),
        LyingTensor(),
        np.ma.masked_array([1.0], mask=[True]),
        Point(1, 2),
        OrderedDict(a=1),
        object(),
        {1, 2},
        range(3),
        lambda: None,
        np.array([object()]),
        torch.ones(2, 2).to_sparse(),
        torch.ones(2, device="meta"),
        torch.nested.nested_tensor([torch.ones(2), torch.ones(1)]),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("want", [1, torch.tensor([1.0]), (1, 2), {"a": 1}])
def test_what_is_no_plain_data_is_named_and_refused(got, want):
    assert message(got, want).startswith("your function returned ")


def test_a_liar_is_named():
    assert message(Liar(3), 4) == "your function returned class Liar, expected int 4"
    assert "at [1]: your function returned class Liar" in message([0, Liar(1)], [0, 1])
    assert "a key of the dict is of class Liar" in message({Liar(1): 0}, {1: 0})


def test_a_parameter_is_its_tensor_and_a_size_a_tuple():
    check.close(torch.nn.Parameter(torch.ones(2)), torch.ones(2), "hint")
    check.close(torch.ones(2), torch.nn.Parameter(torch.ones(2)), "hint")
    check.close(torch.ones(2, 3).shape, (2, 3), "hint")
    check.close(torch.ones(2, requires_grad=True) * 1, torch.ones(2), "hint")


def test_shapes_do_not_broadcast():
    want = torch.zeros(2, 3, dtype=torch.float64)
    text = message(want.T, want)
    assert text == "expected a float64 tensor of shape (2, 3), got shape (3, 2)"
    for shape in [(1, 3), (3,), (), (2, 3, 1), (0, 3), (6,)]:
        message(torch.zeros(shape, dtype=torch.float64), want)
    message(torch.zeros(0), torch.zeros(0, 1))
    message(torch.zeros(1), torch.zeros(()))
    message(np.zeros(3), np.zeros((1, 3)))


def test_dtypes_do_not_mix():
    want = torch.zeros(2)
    assert message(want.double(), want).endswith("shape (2,), got dtype float64")
    for dtype in (torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.cfloat):
        message(want.to(dtype), want)
    message(np.zeros(2, "f8"), np.zeros(2, "f4"))
    both = message(torch.zeros(3).double(), want)
    assert "got a float64 tensor of shape (3,)" in both


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64"])
def test_nan_never_passes(dtype):
    number = torch.tensor([[0.0, 0, NAN]]).to(getattr(torch, dtype))
    clean = torch.zeros_like(number)
    assert message(number, clean).endswith(" at index (0, 2)")
    assert message(number, clean).startswith("non-finite (nan")
    assert message(number, number).startswith("non-finite (nan")
    assert "nothing equals nan" in message(clean, number)
    message(number, clean, rtol=INF, atol=INF)


def test_scalar_nan_never_passes():
    for got, want in [(NAN, NAN), (NAN, 1.0), (1.0, NAN), (complex(NAN, 0), 0j)]:
        message(got, want)
    message(np.float64(NAN), np.float64(NAN))


def test_an_infinity_passes_only_where_it_is_expected():
    mask = torch.tensor([0.0, -INF])
    check.close(mask, mask.clone(), "hint")
    assert message(mask, torch.zeros(2)) == "non-finite (-inf) at index (1,)"
    assert message(-mask, mask) == "non-finite (inf) at index (1,)"
    message(torch.zeros(2), mask)
    message(torch.zeros(2), mask, rtol=1.0, atol=1.0)


def test_values_say_how_much_and_where():
    want = torch.zeros(2, 3)
    got = want.clone()
    got[1, 0], got[1, 2] = 0.25, -0.5
    assert message(got, want) == (
        "got 0.25, expected 0 at index (1, 0); 2 of 6 entries differ, by up to 0.5"
    )
    assert "allowed: 1e-05 + 1.3e-06 · |expected|" in message(want + 2e-5, want)
    assert message(torch.tensor([1, 2]), torch.tensor([1, 3])) == (
        "got 2, expected 3 at index (1,); 1 of 2 entries differ"
    )
    assert message(torch.tensor(True), torch.tensor(False)) == (
        "got True, expected False"
    )
    assert message(2.5, 2.0) == "got 2.5, expected 2"
    assert message("left", "right") == "expected str 'right', got str 'left'"


@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"]
)
def test_tolerances_are_those_of_torch(dtype):
    want = torch.tensor([3.0]).to(getattr(torch, dtype))
    rtol, atol = check.TOLERANCES[dtype]
    near, far = (
        torch.tensor([3.0 + share * (atol + 3 * rtol)], dtype=torch.float64).to(want)
        for share in (0.5, 8)
    )
    assert near != want
    torch.testing.assert_close(near, want)
    check.close(near, want, "hint")
    with pytest.raises(AssertionError):
        torch.testing.assert_close(far, want)
    message(far, want)


def test_given_tolerances_hold_and_integers_stay_exact():
    check.close(1.05, 1.0, "hint", rtol=0.1)
    check.close(torch.tensor([1.05]), torch.ones(1), "hint", atol=0.1)
    message(1.05, 1.0, rtol=0.01)
    message(torch.tensor([1 + 1e-6]), torch.ones(1), rtol=0, atol=0)
    message(torch.tensor([3]), torch.tensor([2]), atol=5)
    message(torch.tensor([2**53 + 1]), torch.tensor([2**53]))
    message(2**70 + 1, 2**70)


def test_nested_values_say_the_place():
    want = {"state": [torch.zeros(2), (1.0, 2.0)], "n": 3}
    got = {"n": 3, "state": [torch.zeros(2), (1.0, 2.5)]}
    check.close(want, dict(reversed(want.items())), "hint")
    assert message(got, want) == "at ['state'][1][1]: got 2.5, expected 2"
    assert message([1, 2], [1]) == "expected a list of length 1, got a list of length 2"
    assert message({}, {"a": 1}) == "expected the key 'a', got an empty dict"
    assert message({"a": 1, "b": 2}, {"a": 1}).startswith("the dict has 'b', which")
    message({True: 0}, {1: 0})
    message({1.0: 0}, {1: 0})


def test_a_list_that_holds_itself_ends():
    loop = []
    loop.append(loop)
    message(loop, [[[1]]])


def test_a_test_that_cannot_compare_is_told_so():
    for want in (object(), Point(1, 2), {1}, torch.ones(2, 2).to_sparse()):
        with pytest.raises(TypeError, match="cannot compare"):
            check.close(1, want, "hint")


def test_seeds_depend_on_the_name_and_the_course_seed(monkeypatch):
    def draw(name):
        numbers = torch.randn(3, generator=check.generator(name))
        return (*numbers.tolist(), *check.rng(name).normal(size=2))

    assert draw("a") == draw("a")
    assert draw("a") != draw("b")
    before = draw("a")
    monkeypatch.setenv("COURSE_SEED", "7")
    assert draw("a") == draw("a") != before


def test_a_probe_is_its_function():
    def function():
        return 1

    assert check.probe(function) is function
