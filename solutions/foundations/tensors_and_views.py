# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # Tensors and views
#
# The first notebook of the course, so a word on how they all work. Each task has a text, hints that open one at a time, a cell with a function for you to write in place of `raise NotImplementedError`, and a cell of tests. Run both, in this order: silence means that the tests pass, an `AssertionError` says what was asked, what your function gave and what was expected. Test cells are locked; leave them as they are. In a terminal, `course check foundations/tensors_and_views` runs the whole notebook from the top and prints a line a task, and `course progress` adds up the points. When the notebook is graded, hidden tests call your functions on other inputs as well.
#
# No task needs another. The first takes five minutes.

# %%
import itertools

import torch

from course import check


def index_tuples(shape):
    """Every index tuple of a shape, in row order: yours to use."""
    return list(itertools.product(*map(range, shape)))


# %% [markdown]
# ## 1 · Strides of a fresh tensor
#
# A tensor that PyTorch has just made lies in memory row by row: the last index moves fastest. Its strides follow from its shape alone. In the shape `(3, 4)`, a step along the last dimension moves 1 place, and a step along the first moves over a whole row, 4 places: the strides are `(4, 1)`. Write the rule down for any number of dimensions.
#
# <details><summary>Hint 1</summary>How many elements are skipped by one step along a dimension? All those that the dimensions behind it can number.</details>
# <details><summary>Hint 2</summary>Walk through the shape from its end. The first stride you write is 1; each further one is the one before, times the size of the dimension you have just left.</details>
# <details><summary>Hint 3</summary><code>for size in reversed(shape):</code> append the step to a list, then multiply the step by size. Turn the list around at the end, and make it a tuple.</details>


# %% solution="row_major_strides" difficulty=1 minutes=5
def row_major_strides(shape):
    """The strides of a new tensor, in elements.

    shape: a tuple of sizes, each at least 1; there may be any number of them, also
    none. Returns a tuple of as many ints.
    """
    ### BEGIN SOLUTION
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))
    ### END SOLUTION


# %% test="row_major_strides" points=1
check.close(
    row_major_strides((3, 4)),
    (4, 1),
    "shape (3, 4): a step along the last dimension moves 1 place, one along the first "
    "moves a whole row, 4 places; (1, 3) would be column by column",
)
check.close(
    row_major_strides((2, 3, 5)),
    (15, 5, 1),
    "shape (2, 3, 5): a step along the first dimension moves over 3 rows of 5",
)
### BEGIN HIDDEN TESTS
draw = check.rng("row_major_strides")
for length in [0, 1, 1, 2, 3, 4, 5, 6]:
    sizes = tuple(draw.integers(1, 6, length).tolist())
    check.close(
        row_major_strides(sizes),
        torch.empty(sizes, dtype=torch.bool).stride(),
        "a random shape of none to six dimensions, some of size 1",
    )
check.close(
    row_major_strides((1, 300, 1, 7, 1)),
    torch.empty(1, 300, 1, 7, 1).stride(),
    "a shape with several dimensions of size 1",
)
sizes = tuple(draw.integers(2, 6, 3).tolist())
more = int(draw.integers(7, 20))
check.close(
    row_major_strides((more, *sizes[1:])),
    row_major_strides(sizes),
    "the size of the first dimension must not matter: nothing steps over it",
)
found = row_major_strides(sizes)
check.close(
    [
        sum(i * s for i, s in zip(index, found))
        for index in itertools.product(*map(range, sizes))
    ],
    list(range(sizes[0] * sizes[1] * sizes[2])),
    "in row order the elements of a random shape must lie at 0, 1, 2, ...",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · Do two elements share a place?
#
# PyTorch's own check looks for strides of 0 and gives up on the rest, since it must be quick. Write the one that is never wrong: given a shape and strides, are there two different index tuples with the same address?
#
# <details><summary>Hint 1</summary>The address of an index tuple is the sum of index times stride. An offset moves all of them, so it does not matter.</details>
# <details><summary>Hint 2</summary><code>index_tuples(shape)</code>, from the first cell, gives every index tuple.</details>
# <details><summary>Hint 3</summary>A set keeps each address once. Is it smaller than the number of index tuples?</details>


# %% solution="addresses_collide" difficulty=2 minutes=10
def addresses_collide(shape, stride):
    """Whether two different index tuples have the same address.

    shape, stride: tuples of ints, equally long, none negative. A size may be 0: then
    there are no index tuples, and none collide. Returns True or False.
    """
    ### BEGIN SOLUTION
    seen = set()
    for index in index_tuples(shape):
        where = sum(i * step for i, step in zip(index, stride))
        if where in seen:
            return True
        seen.add(where)
    return False
    ### END SOLUTION


# %% test="addresses_collide" points=2
check.close(
    addresses_collide((3, 4), (4, 1)),
    False,
    "shape (3, 4), strides (4, 1): a fresh tensor, every element has its own place",
)
check.close(
    addresses_collide((3, 4), (1, 0)),
    True,
    "shape (3, 4), strides (1, 0): a column expanded to 4; t[0, 0] and t[0, 1] are one",
)
check.close(
    addresses_collide((3, 3), (1, 1)),
    True,
    "shape (3, 3), strides (1, 1): t[0, 1] and t[1, 0] are both at address 1, and no "
    "stride is 0",
)
### BEGIN HIDDEN TESTS
draw = check.rng("addresses_collide")


def by_enumeration(shape, stride):
    places = [0]
    for size, step in zip(shape, stride):
        places = [place + k * step for place in places for k in range(size)]
    return len(set(places)) < len(places)


for _ in range(200):
    count = int(draw.integers(1, 5))
    sizes = tuple(draw.integers(1, 5, count).tolist())
    steps = tuple(draw.integers(0, 14, count).tolist())
    check.close(
        addresses_collide(sizes, steps),
        by_enumeration(sizes, steps),
        "random sizes from 1 and random strides from 0",
    )
for _ in range(40):
    count = int(draw.integers(2, 5))
    sizes = tuple(draw.integers(1, 6, count).tolist())
    order = draw.permutation(count)
    fresh = torch.empty(tuple(sizes[k] for k in order), dtype=torch.bool)
    turned = fresh.permute(tuple(int(k) for k in order.argsort()))
    check.close(
        addresses_collide(sizes, turned.stride()),
        False,
        "a fresh tensor with its dimensions in another order shares nothing",
    )
width, gap = int(draw.integers(3, 6)), int(draw.integers(2, 5))
sliding = torch.empty(40).unfold(0, width, 1)
apart = torch.empty(60).unfold(0, width, width + gap)
check.close(
    addresses_collide(tuple(sliding.shape), sliding.stride()),
    True,
    "sliding windows share elements, and no stride is 0",
)
check.close(
    addresses_collide(tuple(apart.shape), apart.stride()),
    False,
    "windows with a gap between them share nothing",
)
for count in (2, 3, 4):
    check.close(
        addresses_collide((count, count + 1), (count + 1, count)),
        False,
        "the larger stride does not step over all that the smaller reaches, and yet no "
        "two addresses are equal: count them, do not only compare strides",
    )
    check.close(
        addresses_collide((count + 1, count + 1), (count + 2, count)),
        by_enumeration((count + 1, count + 1), (count + 2, count)),
        "two strides that are close to each other",
    )
check.close(
    addresses_collide((2, 2, 2), (1, 2, 3)),
    True,
    "three different strides whose sums meet: one step along the third dimension, or "
    "one along each of the others",
)
for steps in [(1, 2, 4, 7), (1, 2, 4, 8, 15), (3, 5, 6, 7)]:
    sizes = (2,) * len(steps)
    check.close(
        addresses_collide(sizes, steps),
        by_enumeration(sizes, steps),
        "four dimensions or more, of which no three or fewer meet",
    )
check.close(
    addresses_collide((2, 2), (7, 7)),
    True,
    "two elements share a place though most places between are empty",
)
for sizes, steps in [((1, 1, 4), (0, 3, 1)), ((1,), (0,)), ((4, 1), (1, 1)), ((), ())]:
    check.close(
        addresses_collide(sizes, steps),
        False,
        "a dimension of size 1 takes no step, whatever its stride; a single element "
        "shares with none",
    )
for sizes, steps in [((0,), (0,)), ((3, 0), (0, 1)), ((4, 3, 0), (1, 1, 1))]:
    check.close(
        addresses_collide(sizes, steps),
        False,
        "a tensor without elements has none that share",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · Repair: one bias for the whole batch
#
# An attention layer has a learned bias for each head, `(heads, queries, keys)`, the same for every sentence of a batch. Sentences have different lengths, so in each sentence the keys that are only padding get a fixed value in place of the bias. Here is the code that a colleague wrote:
#
# ```python
# def fill_padding(bias, padding, value):
#     scores = bias.expand(len(padding), *bias.shape)
#     for b, hidden in enumerate(padding):
#         scores[b, :, :, hidden] = value
#     return scores
# ```
#
# With plain tensors it runs without a word, and all sentences come out the same; with a parameter it stops at the write. Somebody wrote `bias.data.expand` to make the error go away. Write a version that is right.
#
# <details><summary>Hint 1</summary>How many places in memory does <code>scores</code> have? Whose are they?</details>
# <details><summary>Hint 2</summary>Each sentence needs places of its own before anything is written, and the copy must stay in the graph. The chapter's table says which operations do both, in every case.</details>
# <details><summary>Hint 3</summary>Or write nothing in place: <code>padding[:, None, None, :]</code> broadcasts against the expanded bias.</details>


# %% solution="fill_padding" difficulty=2 minutes=15
def fill_padding(bias, padding, value):
    """The bias of each sentence, with `value` at the keys that are padding.

    bias: (heads, queries, keys), a floating-point tensor, perhaps a parameter.
    padding: (batch, keys), True where a key is padding. value: a float, often -inf.
    Returns (batch, heads, queries, keys) of bias's dtype, in memory of its own, through
    which gradients reach the bias. Neither bias nor padding is changed.
    """
    ### BEGIN SOLUTION
    of_each = bias.expand(len(padding), *bias.shape)
    masked = padding[:, None, None, :]  # the same for all heads and queries
    return of_each.masked_fill(masked, value)
    ### END SOLUTION


# %% test="fill_padding" points=2
bias = torch.tensor([[[1.0, 2.0, 3.0]]])
padding = torch.tensor([[False, False, True], [False, True, True]])
check.close(
    fill_padding(bias, padding, 0.0),
    torch.tensor([[[[1.0, 2.0, 0.0]]], [[[1.0, 0.0, 0.0]]]]),
    "bias (1, 2, 3), the last key of the first sentence and the last two of the second "
    "are padding: if both sentences come out the same, they are still one in memory",
)
### BEGIN HIDDEN TESTS
draw = check.generator("fill_padding")


def by_hand(bias, padding, value):
    batch, keys = padding.shape
    want = torch.empty(batch, *bias.shape, dtype=bias.dtype)
    for b in range(batch):
        for k in range(keys):
            want[b, :, :, k] = value if padding[b, k] else bias[:, :, k]
    return want


@check.probe
def arguments_after(bias, padding, value):
    written = fill_padding(bias, padding, value).detach()
    written.add_(1.0)
    return bias, padding


@check.probe
def one_element_written(bias, padding, value):
    scores = fill_padding(bias, padding, value).detach()
    before = scores.clone()
    scores[-1, -1, -1, 0] += 1.0
    return (scores != before).sum()


for batch, heads, queries, keys in [
    (4, 2, 3, 5),
    (1, 3, 2, 4),
    (3, 1, 1, 1),
    (2, 2, 4, 4),
]:
    bias = torch.randn(heads, queries, keys, dtype=torch.float64, generator=draw)
    some = torch.rand(batch, keys, generator=draw) < 0.4
    for padding in (some, torch.zeros_like(some), torch.ones_like(some)):
        for value in (-7.5, float("-inf")):
            words = "random bias, float64; some, no or all keys padding"
            check.close(
                fill_padding(bias, padding, value),
                by_hand(bias, padding, value),
                f"value at the padding, the bias elsewhere: {words}",
            )
        check.close(
            arguments_after(bias.clone(), padding.clone(), -7.5),
            (bias, padding),
            "bias or padding changed, in the call or by writing into the result "
            "afterwards: the result must have memory of its own, also for one sentence",
        )
        check.close(
            one_element_written(bias.clone(), padding, -7.5),
            torch.tensor(1),
            "a write to one element of the result must change one element",
        )
bias = torch.randn(5, 4, 3, generator=draw).permute(2, 1, 0)
padding = torch.rand(2, 5, generator=draw) < 0.5
check.close(
    fill_padding(bias, padding, 0.25),
    by_hand(bias, padding, 0.25),
    "a bias that is not contiguous, float32",
)
order = torch.tensor([1, 0])
check.close(
    fill_padding(bias, padding[order], -1.0),
    fill_padding(bias, padding, -1.0)[order],
    "sentences in another order must give the same scores in that order",
)
### END HIDDEN TESTS


# %% test="fill_padding" aspect="gradient" points=1
@check.probe
def count_of_unmasked(bias, padding):
    bias.requires_grad_()
    scores = fill_padding(bias, padding, 0.0)
    if not scores.requires_grad:
        return torch.zeros_like(bias)
    scores.sum().backward()
    return bias.grad


check.close(
    count_of_unmasked(
        torch.ones(1, 1, 3),
        torch.tensor([[False, False, True], [False, True, True]]),
    ),
    torch.tensor([[[2.0, 1.0, 0.0]]]),
    "the gradient of the sum counts, for each entry of the bias, the sentences in "
    "which it is not padding; zeros everywhere mean that the graph was cut",
)
### BEGIN HIDDEN TESTS
draw = check.generator("fill_padding_gradient")


@check.probe
def gradient(bias, padding, weight):
    leaf = bias.clone().requires_grad_()
    scores = fill_padding(leaf, padding, -2.0)
    if not scores.requires_grad:
        return torch.zeros_like(leaf)
    (scores * weight).sum().backward()
    reached = leaf.grad is not None
    return leaf.grad if reached else torch.zeros_like(leaf)


for batch, heads, queries, keys in [(5, 2, 3, 4), (1, 2, 2, 3), (2, 1, 3, 3)]:
    bias = torch.randn(heads, queries, keys, dtype=torch.float64, generator=draw)
    shape = (batch, heads, queries, keys)
    weight = torch.randn(shape, dtype=torch.float64, generator=draw)
    padding = torch.rand(batch, keys, generator=draw) < 0.5
    padding[0] = torch.arange(keys) > 0
    want = sum(weight[b] * ~padding[b] for b in range(batch))
    check.close(
        gradient(bias, padding, weight),
        want,
        "gradient of a weighted sum, random bias, float64, one sentence and more: the "
        "sum over the sentences of the weights that are not padding",
    )
    check.close(
        gradient(bias, torch.ones_like(padding), weight),
        torch.zeros_like(bias),
        "all keys padding: nothing reaches the bias",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · Predict the write
#
# Let `t` be a tensor of zeros with some shape and strides. Say what `t[index] += 1` does, before PyTorch does it. There are three cases: it raises; it changes just the elements that `index` selects; or it changes others too, which share their places. PyTorch looks only at the part that is written, and refuses if a dimension of *that part* has stride 0 and a size above 1. Nothing else is noticed.
#
# An index has an entry for each dimension, a number or `":"` for all of it: `(0, ":")` means `t[0, :]`.
#
# <details><summary>Hint 1</summary>First: will it raise? The dimensions of the written part are those where the index says ":".</details>
# <details><summary>Hint 2</summary>Then collect the addresses that are written, from those of <code>index_tuples(shape)</code> that the index selects.</details>
# <details><summary>Hint 3</summary>An element has changed if its address is among them, whether it was selected or not. A list of bools in row order, as a tensor, takes the shape by <code>.reshape(shape)</code>.</details>


# %% solution="predict_write" difficulty=3 minutes=20
def predict_write(shape, stride, index):
    """What `t[index] += 1` does to a tensor t of zeros.

    shape, stride: tuples of ints, equally long; sizes at least 1, strides not negative.
    index: a tuple as long as they are, of ints (0 <= i < size) and ":".
    Returns the string "raises", or a bool tensor of that shape that is True at every
    element of t that has changed.
    """
    ### BEGIN SOLUTION
    for size, step, i in zip(shape, stride, index):
        if i == ":" and step == 0 and size > 1:
            return "raises"
    places = index_tuples(shape)
    where = [sum(i * step for i, step in zip(place, stride)) for place in places]
    written = set()
    for place, at in zip(places, where):
        if all(i == ":" or i == p for i, p in zip(index, place)):
            written.add(at)
    return torch.tensor([at in written for at in where]).reshape(shape)
    ### END SOLUTION


# %% test="predict_write" points=2
yes, no = True, False
check.close(
    predict_write((3, 4), (4, 1), (1, ":")),
    torch.tensor([[no] * 4, [yes] * 4, [no] * 4]),
    "t = torch.zeros(3, 4), t[1, :] += 1: every element has its own place, so that "
    "only row 1 changes",
)
check.close(
    predict_write((3, 4), (1, 0), (":", ":")),
    "raises",
    "t = torch.zeros(3, 1).expand(3, 4), t[:, :] += 1: the part that is written has a "
    "dimension of stride 0 and size 4",
)
check.close(
    predict_write((3, 4), (1, 0), (0, 2)),
    torch.tensor([[yes] * 4, [no] * 4, [no] * 4]),
    "t = torch.zeros(3, 1).expand(3, 4), t[0, 2] += 1: one place is written, and the "
    "whole row is that place",
)
### BEGIN HIDDEN TESTS
draw = check.rng("predict_write")


def what_torch_does(shape, stride, index):
    reach = sum((size - 1) * step for size, step in zip(shape, stride))
    t = torch.zeros(reach + 1).as_strided(shape, stride)
    chosen = tuple(slice(None) if i == ":" else i for i in index)
    try:
        t[chosen].add_(1)
    except RuntimeError:
        return "raises"
    return t != 0


def drawn(largest):
    count = int(draw.integers(1, 4))
    shape = tuple(draw.integers(1, 5, count).tolist())
    stride = tuple(draw.integers(0, largest, count).tolist())
    index = tuple(
        ":" if draw.random() < 0.5 else int(draw.integers(size)) for size in shape
    )
    return shape, stride, index


for case in range(120):
    inputs = drawn(2 + case % 6)
    check.close(
        predict_write(*inputs),
        what_torch_does(*inputs),
        "random layout and index, beside what PyTorch does",
    )
for inputs, words in [
    (
        ((3, 4), (1, 0), (":", 0)),
        "one column of an expanded column: no stride 0 is left",
    ),
    (
        ((3, 4), (0, 1), (":", 2)),
        "one column of an expanded row: all of it has stride 0",
    ),
    (
        ((3, 3), (1, 1), (":", ":")),
        "sliding windows overlap, and PyTorch does not see it",
    ),
    (((4, 3), (1, 1), (1, ":")), "one window of several: its neighbours hold it too"),
    (((1, 3), (0, 1), (":", ":")), "stride 0 in a dimension of size 1 is harmless"),
    (((2, 1, 3), (3, 0, 1), (1, ":", ":")), "a dimension of size 1 in the middle"),
    (((2, 3), (2, 3), (":", 1)), "strides out of order, nothing shared"),
    (((5,), (0,), (3,)), "one element of a vector that is a single number"),
    (((), (), ()), "a tensor without dimensions"),
]:
    check.close(predict_write(*inputs), what_torch_does(*inputs), words)
sizes = tuple(draw.integers(2, 5, 3).tolist())
one = tuple(int(draw.integers(size)) for size in sizes)
check.close(
    predict_write(sizes, (0, 0, 0), one),
    torch.ones(sizes, dtype=torch.bool),
    "all strides 0: a write to one element changes all",
)
### END HIDDEN TESTS
