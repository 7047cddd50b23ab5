# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # What relative positions cannot compute
#
# The chapter proved that averages of equal tokens are equal, and repaired it with one number a distance, outside the softmax. Three tasks: the matrix of these numbers as a decoder needs it, what exactly the repair adds to ordinary attention, and a judge that says of any layer how well the zeros can be numbered behind it.

# %%
import math

import torch

from course import check

# %% [markdown]
# ## 1 · One number a distance, for any length
#
# A table of $2w+1$ numbers knows the distances $-w, \dots, w$. Real sequences are longer than any table, and a decoder has fewer queries than keys. Both are settled in the usual way: distances beyond $w$ share the outermost number, and **the queries are the last of the keys**, as with a cache. Query $i$ of $M$ stands at place $N - M + i$ among $N$ keys, and
#
# $$T_{h,i,j} = c_{h,\; w + \operatorname{clip}(j - (N - M + i),\, -w,\, w)} .$$
#
# Distances are key minus query.
#
# <details><summary>Hint 1</summary>All distances are one subtraction of a row of key places and a column of query places.</details>
# <details><summary>Hint 2</summary>Clip the distance, not the index of a key. What is clipped and then shifted by w is an index into the last axis of c.</details>


# %% solution="spread_table" difficulty=2 minutes=15
def spread_table(c, n_queries, n_keys):
    """Write a table of distances out as a matrix: one row a query, one column a key.

    c: (H, 2w + 1), any dtype; c[:, w] belongs to distance 0, c[:, 0] to a key w places
    or more before the query. 1 <= n_queries <= n_keys; the queries stand at the last
    n_queries places. Returns a new tensor (H, n_queries, n_keys) of the dtype of c,
    through which gradients pass.
    """
    ### BEGIN SOLUTION
    w = c.shape[-1] // 2
    keys = torch.arange(n_keys)
    queries = torch.arange(n_keys - n_queries, n_keys)
    return c[:, (keys - queries[:, None]).clamp(-w, w) + w]
    ### END SOLUTION


# %% test="spread_table" points=2
check.close(
    spread_table(torch.tensor([[-2, -1, 0, 1, 2]]), 3, 3),
    torch.tensor([[[0, 1, 2], [-1, 0, 1], [-2, -1, 0]]]),
    "a table that holds the distances themselves must give key minus query",
)
check.close(
    spread_table(torch.tensor([[-1, 0, 1]]), 1, 4),
    torch.tensor([[[-1, -1, -1, 0]]]),
    "a single query stands at the last of four keys: no key comes after it",
)
### BEGIN HIDDEN TESTS
from lib.positional_encoding import universality as reference

draw = check.generator("spread_table")


@check.probe
def table_after(c, n_queries, n_keys):
    spread_table(c, n_queries, n_keys).mul_(0)
    return c


def by_loops(c, n_queries, n_keys):
    w = c.shape[1] // 2
    want = torch.zeros(len(c), n_queries, n_keys, dtype=c.dtype)
    for i in range(n_queries):
        for j in range(n_keys):
            distance = j - (n_keys - n_queries + i)
            want[:, i, j] = c[:, w + max(-w, min(w, distance))]
    return want


for heads, w, n_queries, n_keys in [
    (2, 5, 4, 6),
    (3, 2, 7, 7),
    (1, 0, 2, 3),
    (2, 1, 1, 5),
    (4, 3, 2, 9),
    (1, 9, 3, 4),
]:
    c = torch.randn(heads, 2 * w + 1, dtype=torch.float64, generator=draw)
    for table in (c, c.float(), (100 * c).long()):
        check.close(
            spread_table(table, n_queries, n_keys),
            by_loops(table, n_queries, n_keys),
            f"random table, w = {w}, {n_queries} queries, {n_keys} keys",
            rtol=0,
            atol=0,
        )

c = torch.randn(3, 11, dtype=torch.float64, generator=draw)
check.close(
    spread_table(c, 6, 6),
    reference.toeplitz_from_diagonals(c, 6),
    "with as many queries as keys and a long enough table, the chapter's matrix",
)
check.close(
    spread_table(c, 2, 9),
    spread_table(c, 9, 9)[:, -2:],
    "two queries at the end must get the last two rows of the whole matrix",
)
strided = torch.randn(5, 3, dtype=torch.float64, generator=draw).T
check.close(
    spread_table(strided, 3, 4),
    by_loops(strided, 3, 4),
    "a non-contiguous table gives another answer",
)
for n_queries, n_keys in [(3, 6), (1, 4), (1, 1)]:
    check.close(
        table_after(c.clone(), n_queries, n_keys),
        c,
        "the matrix must be a new tensor: writing into it changed the table",
    )
### END HIDDEN TESTS


# %% test="spread_table" aspect="gradient" points=1
@check.probe
def gradient(c, upstream):
    leaf = c.clone().requires_grad_()
    spread_table(leaf, upstream.shape[1], upstream.shape[2]).backward(upstream)
    return leaf.grad


check.close(
    gradient(torch.zeros(1, 5), torch.ones(1, 3, 3)),
    torch.tensor([[1.0, 2.0, 3.0, 2.0, 1.0]]),
    "each number must collect the gradient of its whole diagonal",
)
### BEGIN HIDDEN TESTS
draw = check.generator("spread_table_gradient")
for heads, w, n_queries, n_keys in [(2, 2, 4, 7), (1, 4, 3, 3)]:
    upstream = torch.randn(
        heads, n_queries, n_keys, dtype=torch.float64, generator=draw
    )
    want = torch.zeros(heads, 2 * w + 1, dtype=torch.float64)
    for i in range(n_queries):
        for j in range(n_keys):
            distance = j - (n_keys - n_queries + i)
            want[:, w + max(-w, min(w, distance))] += upstream[:, i, j]
    check.close(
        gradient(torch.zeros_like(want), upstream),
        want,
        "a clipped distance must collect the gradients of all its entries",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · What multiplying adds
#
# Where all entries of $C$ are positive, the chapter wrote the weights of URPE as ordinary attention with a relative bias $\ln C$, times one *gain* a query:
#
# $$\operatorname{softmax}(S)\odot C = \operatorname{diag}(g)\,\operatorname{softmax}(S + \ln C).$$
#
# The first factor is all that ordinary attention cannot have. Take the two apart, for scores of any size. $\ln C$ is given, since $C$ itself may be too small for a float.
#
# <details><summary>Hint 1</summary>What must the gain be, for the rows of the other factor to sum to one?</details>
# <details><summary>Hint 2</summary>Write both softmaxes with their denominators. The numerators are equal.</details>
# <details><summary>Hint 3</summary>The gain is a ratio of two sums of exponentials, its logarithm a difference of two logarithms of such sums. <code>torch.logsumexp</code> does not overflow.</details>


# %% solution="split_weights" difficulty=3 minutes=15
def split_weights(scores, log_c):
    """Split softmax(scores) * exp(log_c) into rows that sum to one, and their gains.

    scores: (..., M, N), float32 or float64, up to 10,000 in size; -inf where a key is
    masked, with at least one finite score a row. log_c: a tensor that broadcasts to
    scores, of the same dtype, finite.
    Returns (weights, log_gain): weights (..., M, N), every row of which sums to one,
    and log_gain (..., M), so that weights * exp(log_gain)[..., None] is the product.
    Gradients pass through both.
    """
    ### BEGIN SOLUTION
    shifted = scores + log_c
    log_gain = shifted.logsumexp(-1) - scores.logsumexp(-1)
    return shifted.softmax(-1), log_gain
    ### END SOLUTION


# %% test="split_weights" points=2
even = torch.zeros(1, 2)
weights, log_gain = split_weights(even, torch.tensor([[math.log(1.0), math.log(3.0)]]))
check.close(
    weights,
    torch.tensor([[0.25, 0.75]]),
    "weights ½ and ½ times 1 and 3: the larger must get three quarters of the row",
)
check.close(
    log_gain,
    torch.tensor([math.log(2.0)]),
    "weights ½ and ½ times 1 and 3 sum to 2: the gain is 2, and ln 2 is asked for",
)
### BEGIN HIDDEN TESTS
draw = check.generator("split_weights")


@check.probe
def arguments_after(scores, log_c):
    split_weights(scores, log_c)
    return scores, log_c


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


def want(scores, log_c):
    product = scores.softmax(-1) * log_c.exp()
    gain = product.sum(-1)
    return product / gain[..., None], gain.log()


for shape, table in [
    ((2, 3, 4, 5), (3, 4, 5)),
    ((3, 6), (3, 6)),
    ((1, 2, 1, 7), (2, 1, 7)),
    ((2, 2, 3, 3), (3, 3)),
    ((4, 2, 3), (1,)),
]:
    scores, log_c = 2 * normal(*shape), normal(*table)
    check.close(
        split_weights(scores, log_c),
        want(scores, log_c),
        f"random scores of shape {shape}, log_c of shape {table}",
    )
    check.close(
        split_weights(scores.float(), log_c.float()),
        tuple(part.float() for part in want(scores, log_c)),
        "float32 in must give float32 out",
        rtol=1e-4,
        atol=1e-4,
    )

scores, log_c = normal(2, 4, 4), normal(4, 4)
masked = scores.masked_fill(torch.ones(4, 4).triu(1).bool(), -torch.inf)
check.close(
    split_weights(masked, log_c),
    want(masked, log_c),
    "a causal mask of -inf: no row may become NaN",
)
check.close(
    split_weights(scores + 50 * normal(2, 4, 1), log_c),
    split_weights(scores, log_c),
    "adding a number to a whole row of scores must change nothing",
)
weights, log_gain = split_weights(scores, log_c)
check.close(
    split_weights(scores, log_c + 3),
    (weights, log_gain + 3),
    "a larger C throughout must change the gain only",
)
check.close(
    split_weights(scores, 0 * log_c),
    (scores.softmax(-1), torch.zeros(2, 4, dtype=torch.float64)),
    "where C is one, the gain is one and the weights are the softmax",
)
huge = torch.tensor([[9000.0, 9001.0, -8000.0]])
check.close(
    split_weights(huge, torch.tensor([[0.0, -1.0, 0.0]])),
    (torch.tensor([[0.5, 0.5, 0.0]]), torch.tensor([math.log(2 / (1 + math.e))])),
    "scores of several thousand must not overflow",
    atol=2e-3,
)
check.close(
    split_weights(torch.zeros(1, 2), torch.full((1, 2), -400.0)),
    (torch.full((1, 2), 0.5), torch.tensor([-400.0])),
    "a C too small for a float must not make weights of 0/0",
)
check.close(
    split_weights(torch.tensor([[500.0, 0.0]]), torch.tensor([[-500.0, 0.0]])),
    (torch.full((1, 2), 0.5), torch.tensor([math.log(2) - 500])),
    "a key that only C lifts out of the underflow must keep its weight",
)
strided = normal(5, 3).T
check.close(
    split_weights(strided, log_c[0, 0:1]),
    split_weights(strided.contiguous(), log_c[0, 0:1]),
    "non-contiguous scores give another answer",
)
check.close(
    arguments_after(scores.clone(), log_c.clone()),
    (scores, log_c),
    "an argument was changed in place",
)
### END HIDDEN TESTS


# %% test="split_weights" aspect="gradient" points=1
@check.probe
def gradient(scores, log_c):
    """Of the sum of all log gains, with respect to log_c."""
    leaf = log_c.clone().requires_grad_()
    split_weights(scores.clone(), leaf)[1].sum().backward()
    return leaf.grad


check.close(
    gradient(torch.zeros(1, 4), torch.zeros(1, 4)),
    torch.full((1, 4), 0.25),
    "with equal weights, each of four entries of ln C moves the log gain by a quarter",
)
### BEGIN HIDDEN TESTS
draw = check.generator("split_weights_gradient")
scores, log_c = torch.randn(2, 5, 3, 6, dtype=torch.float64, generator=draw)
check.close(
    gradient(scores, log_c),
    (scores + log_c).softmax(-1),
    "the log gain must move with ln C by exactly the weights",
)
check.close(
    gradient(scores, log_c[0]),
    (scores + log_c[0]).softmax(-1).sum(0),
    "a table shared by several matrices must collect the gradients of all",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · How well can the zeros be numbered?
#
# A layer stands before you as a function, `attend(x)`: you give it token vectors, it gives back what each place receives. Behind it, any readout may be used, as long as it treats all places alike: the same function of what a place received. Let the tokens be equal, and find
#
# - the best **accuracy** that any such readout can reach in naming each of the $n$ places, and
# - the least **cross-entropy**, in nats, averaged over places.
#
# For a layer that averages these are $1/n$ and $\ln n$. Between that and $(1, 0)$ there is more than you might think: a layer may know the ends and not the middle.
#
# <details><summary>Hint 1</summary>Places that received the same vector will be given the same answer. What matters is which places are alike, and how many there are of each kind.</details>
# <details><summary>Hint 2</summary>Of k places that are alike, one can be named rightly. The best distribution over them is uniform: ln k for each of the k.</details>
# <details><summary>Hint 3</summary>Choose the token with care. Layers that multiply do nothing to a vector of zeros, a layer norm makes zeros of a vector of ones, and tokens that differ are another question.</details>
# <details><summary>Hint 4</summary>Compare every place with every other, not only with its neighbour. A place is alike to itself, so the row sums of the n × n table of comparisons are the sizes k.</details>


# %% solution="best_on_probe" difficulty=4 minutes=25
def best_on_probe(attend, n, d):
    """The best accuracy and the least loss behind a layer, if all n tokens are equal.

    attend: a function from token vectors (n, d), float64, to what each place receives,
    (n, e), float64, finite. It is deterministic, but may be anything else: the answer
    is asked for a token vector in general, not for a special one such as zero.
    Two places are alike if their vectors differ nowhere by more than 1e-9 of the
    largest magnitude in the output: that is rounding. Nothing here trains.
    Returns (accuracy, loss), two Python floats; the loss in nats.
    """
    ### BEGIN SOLUTION
    token = torch.randn(1, d, dtype=torch.float64)
    out = attend(token.repeat(n, 1))
    apart = (out[:, None] - out[None]).abs().amax(-1)
    alike = (apart <= 1e-9 * out.abs().max()).sum(1).double()
    return float((1 / alike).mean()), float(alike.log().mean())
    ### END SOLUTION


# %% test="best_on_probe" points=3
def averages(x):
    return x.mean(0).repeat(len(x), 1)


def adds_up(x):
    return x.cumsum(0)


def first_is_louder(x):
    return torch.cat((2 * x[:1], x[1:]))


for layer, (accuracy, loss), words in [
    (averages, (0.25, math.log(4)), "a layer that averages"),
    (adds_up, (1.0, 0.0), "a layer that adds up what came before"),
    (first_is_louder, (0.5, 0.75 * math.log(3)), "a layer that knows the first place"),
]:
    check.close(
        best_on_probe(layer, 4, 3),
        (accuracy, loss),
        f"{words}, four tokens: (accuracy, loss) of the best readout",
    )
### BEGIN HIDDEN TESTS
from lib.positional_encoding import universality as reference

draw = check.generator("best_on_probe")


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


d = 4
w_q, w_k = 0.3 * normal(2, d, d)  # small, or one token takes all the weight
w_v = normal(d, d)
start, shaw, table = normal(1, d), normal(99, d), normal(1, 99)


def softmax_layer(bias, c=None):
    """Attention of one head with a bias, and a matrix that multiplies its weights."""

    def attend(x):
        weights = ((x @ w_q) @ (x @ w_k).T / d**0.5 + bias(len(x))).softmax(-1)
        if c is not None:
            weights = weights * c(len(x))
        return weights @ (x @ w_v)

    return attend


def nothing(n):
    return torch.zeros(n, n, dtype=torch.float64)


def relative(n):
    return reference.toeplitz_from_diagonals(table, n)[0]


def causal(n):
    return nothing(n).masked_fill(torch.ones(n, n).triu(1).bool(), -torch.inf)


def circulant(n):
    places = torch.arange(n)
    return table[0, (places - places[:, None]) % n]


def with_start(layer):
    """A token that is part of the model stands before the others."""
    return lambda x: layer(torch.cat((start, x)))[1:]


def shaw_values(x):
    n = len(x)
    weights = ((x @ w_q) @ (x @ w_k).T / d**0.5).softmax(-1)
    places = torch.arange(n)
    r = shaw[places - places[:, None] + 49]
    return weights @ (x @ w_v) + (weights[..., None] * r).sum(1)


def absolute(x):
    return softmax_layer(nothing)(x + shaw[: len(x)])


def counts_neighbours(x):
    """Unnormalised weights within two places: the ends see fewer than the middle."""
    places = torch.arange(len(x))
    near = ((places - places[:, None]).abs() <= 2).double()
    return near @ (x @ w_v)


def period_three(x):
    phase = torch.arange(len(x)) % 3
    return x @ w_v + phase[:, None] * (x @ w_k)


def normalised_first(x):
    x = x - x.mean(-1, keepdim=True)
    x = x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return softmax_layer(nothing, relative)(x)


def faint(x):
    return 1e-12 * softmax_layer(nothing, relative)(x)


def sizes(*groups):
    n = sum(groups)
    return len(groups) / n, sum(k * math.log(k) for k in groups) / n


for layer, n, groups, words in [
    (softmax_layer(nothing), 7, [7], "softmax attention, no positions"),
    (softmax_layer(relative), 9, [9], "a relative bias inside the softmax"),
    (softmax_layer(causal), 6, [6], "a causal mask, all tokens equal"),
    (
        with_start(softmax_layer(nothing)),
        5,
        [5],
        "a different first token, but neither mask nor positions",
    ),
    (with_start(softmax_layer(causal)), 40, [1] * 40, "causal, with a first token"),
    (with_start(softmax_layer(relative)), 6, [1] * 6, "relative, with a first token"),
    (softmax_layer(relative, relative), 8, [1] * 8, "URPE"),
    (
        softmax_layer(nothing, circulant),
        8,
        [8],
        "C that is the same seen from anywhere",
    ),
    (softmax_layer(causal, relative), 1, [1], "a single token"),
    (shaw_values, 7, [1] * 7, "relative positions in the values"),
    (absolute, 6, [1] * 6, "absolute positions"),
    (counts_neighbours, 9, [2, 2, 5], "unnormalised, a window of two to each side"),
    (period_three, 8, [3, 3, 2], "a layer that repeats every three places"),
    (normalised_first, 5, [1] * 5, "URPE behind a layer norm"),
    (faint, 5, [1] * 5, "URPE with tiny outputs"),
]:
    check.close(
        best_on_probe(layer, n, d), sizes(*groups), f"hidden layer: {words}", atol=1e-5
    )
### END HIDDEN TESTS
