# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
#   hide: [attention_efficiency/linear_attention]
# ---

# %% [markdown]
# # Performer
#
# Four steps of the chapter that it did not write down: features that survive long vectors, directions that are orthogonal and still normal, attention in linear memory made of both, and the number of draws that an accuracy costs.

# %%
import math

import torch

from course import check

# %% [markdown]
# ## 1 · Features that do not overflow
#
# Write the positive features for *attention*, whose kernel is $e^{q\cdot k/\sqrt d}$: so queries and keys are first brought to the scale of the chapter. `x` holds any number of heads, $(\ldots, n, d)$.
#
# A feature is $e^{\text{exponent}}/\sqrt m$. For long vectors the exponents overflow. With `stabilize=True` the largest exponent is subtracted first, over the *largest set of exponents for which a common factor must be the same*, and over no larger one: for queries another than for keys. The attention made of the features is then unchanged.
#
# Hyperbolic features, twice as many, are accepted too.
#
# <details><summary>Hint 1</summary>e^(q·k/√d) is e^(q'·k') with q' = q / d^(1/4), and k' likewise. Everything in the exponent is made of the scaled vector.</details>
# <details><summary>Hint 2</summary>A factor of one query stands above and below the line of its own softmax. A factor of one key stands in front of that key alone. And heads have nothing to do with each other.</details>
# <details><summary>Hint 3</summary>The exponent includes −‖x‖²/2: subtract the largest of what goes into exp, and the largest feature is 1/√m.</details>


# %% solution="softmax_features" difficulty=2 minutes=15
def softmax_features(x, W, is_query, stabilize):
    """Positive random features of exp(q . k / sqrt(d)).

    x: (..., n, d), queries or keys of any number of heads. W: (m, d), the directions,
    same dtype. is_query, stabilize: bools. Returns a new tensor (..., n, r), r = m (or
    2m for hyperbolic features), all of it positive as far as the dtype reaches. Without
    `stabilize`, features of queries times features of keys estimate the kernel without
    bias. With it, the exponents are lowered by the largest of them: of each query by
    itself, or of all keys of a head together.
    """
    ### BEGIN SOLUTION
    scaled = x / x.shape[-1] ** 0.25
    exponent = scaled @ W.T - scaled.square().sum(-1, keepdim=True) / 2
    if stabilize:
        axes = (-1,) if is_query else (-2, -1)
        exponent = exponent - exponent.amax(axes, keepdim=True)
    return exponent.exp() / len(W) ** 0.5
    ### END SOLUTION


# %% test="softmax_features" points=3
q, k = torch.tensor([[2.0, 0.0, 0.0, 2.0]]), torch.tensor([[0.0, 2.0, 0.0, 0.0]])
got = [softmax_features(x, torch.zeros(5, 4), True, False) for x in (q, k)]
check.close(
    bool((got[0] > 0).all()),
    True,
    "a positive feature is an exponential: none can be negative or zero here",
)
check.close(
    got[0] @ got[1].T,
    torch.tensor([[math.exp(-(8 + 4) / 4)]]),
    "five directions that are all zero, d = 4: only exp(−‖q‖²/2√d − ‖k‖²/2√d) is left. "
    "Five times too much: 1/√m is missing. exp(−6): the squares are those of the "
    "vectors before scaling",
)
### BEGIN HIDDEN TESTS
draw = check.generator("softmax_features")


@check.probe
def many_estimates(q, k, directions):
    products = []
    for W in directions:
        left = softmax_features(q, W, True, False)
        products.append((left * softmax_features(k, W, False, False)).sum(-1))
    return torch.stack(products)


@check.probe
def after_the_call(x, W):
    softmax_features(x, W, False, True)
    return x, W


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=draw)


def attend(left, right):
    products = left @ right.mT
    return products / products.sum(-1, keepdim=True)


# Short, lest one rare draw takes a right mean six standard errors away.
for length, words in ((0.3, "short"), (0.6, "middling"), (0.85, "longer")):
    d = 6
    q, k = (torch.nn.functional.normalize(normal(3, d), dim=-1) for _ in range(2))
    q, k = length * d**0.25 * q, length * d**0.25 * k
    W = normal(20_000, d)
    left, right = (softmax_features(x, W, y, False) for x, y in ((q, True), (k, False)))
    kernel = (q @ k.T / d**0.5).exp()
    spread = torch.expm1((q[:, None] + k).square().sum(-1) / d**0.5)
    check.close(
        (left @ right.T / kernel - 1) / (spread / len(W)).sqrt(),
        torch.zeros(3, 3).double(),
        f"{words} vectors, 20 000 directions: the estimates of exp(q·k/√d) must be right "
        "within six standard errors. Is 1/√d split between q and k, is −‖x‖²/2 there, and "
        "1/√m?",
        rtol=0,
        atol=6,
    )

q, k = 0.15 * normal(1, 5), 0.15 * normal(1, 5)
got = many_estimates(q, k, normal(4000, 4, 5))[:, 0]
most = torch.expm1((q + k).square().sum() / 5**0.5) / 4 * (2 * q @ k.T / 5**0.5).exp()
check.close(
    bool(got.var() <= 1.2 * most.squeeze()),
    True,
    "the estimate scatters more than positive features of all rows of W do",
)

for shape in ((4, 3), (2, 3, 7, 5), (1, 1, 1, 6)):
    x, y, W = normal(*shape), 2 * normal(*shape), normal(9, shape[-1])
    words = f"random {shape} and nine directions, float64"
    want = attend(
        softmax_features(x, W, True, False), softmax_features(y, W, False, False)
    )
    left, right = (softmax_features(t, W, b, True) for t, b in ((x, True), (y, False)))
    check.close(
        attend(left, right),
        want,
        "stabilised features must give the same attention: a factor for each key changes "
        f"the weights: {words}",
    )
    check.close(
        bool(max(left.max(), right.max()) < 1.0001),
        True,
        f"stabilised features: an exponent is above zero: {words}",
    )
    check.close(
        softmax_features(x.float(), W.float(), False, True),
        right.new_zeros(()).float() + softmax_features(x, W, False, True).float(),
        f"float32 must stay float32: {words}",
        rtol=1e-3,
        atol=1e-4,
    )

x, W = normal(2, 6, 4).float(), normal(8, 4).float()
x[0] *= 100
x[1, 2] *= 300
for is_query, axes, words in (
    (True, (-1,), "of every query"),
    (False, (-1, -2), "of the keys of every head"),
):
    got = softmax_features(x, W, is_query, True)
    check.close(
        bool((got.amax(axes) > 0.05).all()),
        True,
        f"long and short vectors beside each other, float32: the largest feature {words} "
        "must be of the order of 1/√m. Is the maximum taken over too much, or over the "
        "products without −‖x‖²/2?",
    )
    check.close(got, got.clone(), "long vectors: a feature is not finite")
x, W = normal(3, 4), normal(5, 4)
check.close(after_the_call(x.clone(), W.clone()), (x, W), "x or W was changed in place")
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · Orthogonal, and still normal
#
# Draw $m$ directions in blocks of $d$. Inside a block they are orthogonal to each other; every single row is distributed as $\mathcal N(0, I)$, length and direction; blocks are independent of each other. The last block is cut if $d$ does not divide $m$.
#
# Any construction will do. QR is the shortest, and has a trap that the chapter names.
#
# <details><summary>Hint 1</summary>A normal vector is a uniform direction times a length that does not know of it. Orthogonality concerns the directions only.</details>
# <details><summary>Hint 2</summary>The lengths of d fresh normal vectors of dimension d have the right distribution; nothing else about these vectors is needed.</details>
# <details><summary>Hint 3</summary>Average the rows of many blocks: each mean must be 0. Multiply every column of Q by the sign of R's entry on the diagonal, or by a random sign.</details>


# %% solution="orthogonal_rows" difficulty=3 minutes=20
def orthogonal_rows(m, d, generator):
    """m directions, each N(0, I), orthogonal within consecutive blocks of d rows.

    m, d: ints, 1 or more. generator: a torch.Generator, for all the randomness.
    Returns a float64 tensor (m, d); rows 0 to d - 1 are the first block, and so on.
    """
    ### BEGIN SOLUTION
    rows = []
    while len(rows) * d < m:
        noise = torch.randn(2, d, d, dtype=torch.float64, generator=generator)
        Q, R = torch.linalg.qr(noise[0])
        directions = (Q * R.diag().sign()).T
        rows.append(directions * noise[1].square().sum(1, keepdim=True).sqrt())
    return torch.cat(rows)[:m]
    ### END SOLUTION


# %% test="orthogonal_rows" points=3
got = orthogonal_rows(7, 4, check.generator("visible"))
check.close(
    got,
    got.new_zeros(7, 4).double() + got,
    "seven rows of dimension four, float64, the last block cut",
)
block = got[:4]
products = block @ block.T
check.close(
    products - products.diag().diag(),
    torch.zeros(4, 4, dtype=torch.float64),
    "the first four rows must be orthogonal to each other: rows, not only columns",
)
### BEGIN HIDDEN TESTS


@check.probe
def drawn_twice(m, d, first, second):
    return orthogonal_rows(m, d, first), orthogonal_rows(m, d, second)


def off(values, law):
    """Kolmogorov's distance from a distribution, in units that do not depend on n."""
    n = len(values)
    steps = torch.arange(n + 1, dtype=torch.float64) / n
    levels = law(values.sort().values)
    return float(torch.maximum(levels - steps[:-1], steps[1:] - levels).max()) * n**0.5


def normal_law(x):
    return (1 + torch.erf(x / 2**0.5)) / 2


def chi_law(x):
    return torch.special.gammainc(torch.full_like(x, d / 2), x**2 / 2)


for m, d in ((1, 1), (5, 1), (3, 8), (8, 8), (19, 8), (30, 5)):
    got = orthogonal_rows(m, d, check.generator(f"{m} {d}"))
    words = f"{m} rows of dimension {d}"
    check.close(list(got.shape), [m, d], f"the shape is (m, d): {words}")
    check.close(str(got.dtype), "torch.float64", f"the dtype is float64: {words}")
    for start in range(0, m, d):
        part = torch.nn.functional.normalize(got[start : start + d], dim=1)
        check.close(
            part @ part.T,
            torch.eye(len(part)).double(),
            f"rows of one block must be orthogonal, also of the last, cut one: {words}",
        )

d, blocks = 5, 1500
W = orthogonal_rows(blocks * d, d, check.generator("many")).view(blocks, d, d)
check.close(
    W.mean(0) * blocks**0.5,
    torch.zeros(d, d).double(),
    "1500 blocks: every row must have mean zero in every coordinate. Were the signs left "
    "to QR, which has a convention for them?",
    rtol=0,
    atol=5.5,
)
for row in range(d):
    check.close(
        off(W[:, row].norm(dim=1), chi_law) < 2.6,
        True,
        f"1500 blocks: the lengths of row {row} do not follow χ with d degrees of "
        "freedom. Are they all the same, or what Gram–Schmidt left?",
    )
    for column in range(d):
        check.close(
            off(W[:, row, column], normal_law) < 2.6,
            True,
            "1500 blocks: an entry, over the blocks, is not standard normal",
        )
lengths = W.norm(dim=2).T
check.close(
    (torch.corrcoef(lengths) - torch.eye(d)).abs().max() < 0.15,
    torch.tensor(True),
    "1500 blocks: the lengths inside a block know of each other",
)
blocks = 6000
more = orthogonal_rows(blocks * d, d, check.generator("more")).view(blocks, d, d)
check.close(
    (more.square().mean(0) - 1) * (blocks / 2) ** 0.5,
    torch.zeros(d, d).double(),
    "6000 blocks: an entry has not the variance 1. Are the lengths those of vectors from "
    "which the directions were made too? Then a length knows of its direction",
    rtol=0,
    atol=6,
)
flat = torch.nn.functional.normalize(W, dim=2).flatten(1)
check.close(
    bool((flat[1:] * flat[:-1]).sum(1).abs().mean() < 0.5 * d**0.5),
    True,
    "neighbouring blocks have the same directions: each block needs its own rotation",
)
seeds = [check.generator(name) for name in ("one", "one")]
first, second = drawn_twice(9, 4, *seeds)
check.close(second, first, "generators in one state must give the same rows")
first, second = drawn_twice(9, 4, check.generator("one"), check.generator("two"))
check.close(
    bool((first - second).abs().max() > 0.01),
    True,
    "another generator must give other rows",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · Attention in linear memory
#
# Put it together: softmax attention, its $1/\sqrt d$ included, with the positive features of the directions in `W`. With `causal=True` query $i$ sees the keys $j\le i$. Nothing that grows with the square of the number of tokens may be formed, and long vectors must do no harm. No `eps` is added anywhere, so that a later key can change nothing before it.
#
# <details><summary>Hint 1</summary>Task 1 gives the features; here it may be written again. Values and a column of ones are summed with the same weights: numerator and denominator in one go.</details>
# <details><summary>Hint 2</summary>Without a mask: (features of keys)ᵀ times values first, a matrix of m rows, then the features of queries times it.</details>
# <details><summary>Hint 3</summary>Causal: that matrix grows by one outer product a token. A loop over tokens, a cumulative sum, or chunks of tokens with the triangle inside: all have linear memory.</details>


# %% solution="favor_attention" difficulty=3 minutes=25
def favor_attention(q, k, v, W, causal):
    """Softmax attention estimated with positive features, in linear memory.

    q: (..., n_q, d), k: (..., n_k, d), v: (..., n_k, e), W: (m, d), one dtype. causal:
    a bool; if True, n_q = n_k. Returns a new tensor (..., n_q, e). The only randomness
    is in W: one positive feature for each of its rows, as in the chapter.
    """
    ### BEGIN SOLUTION
    exponents = []
    for x in (q, k):
        x = x / x.shape[-1] ** 0.25
        exponents.append(x @ W.T - x.square().sum(-1, keepdim=True) / 2)
    left = (exponents[0] - exponents[0].amax(-1, keepdim=True)).exp()
    right = (exponents[1] - exponents[1].amax((-1, -2), keepdim=True)).exp()
    values = torch.cat([v, torch.ones_like(v[..., :1])], -1)
    if causal:
        sums, carried = [], 0
        for i in range(q.shape[-2]):
            carried = carried + right[..., i, :, None] * values[..., i, None, :]
            sums.append(left[..., i, None, :] @ carried)
        mixed = torch.cat(sums, -2)
    else:
        mixed = left @ (right.mT @ values)
    return mixed[..., :-1] / mixed[..., -1:]
    ### END SOLUTION


# %% test="favor_attention" points=3
q, k, v, W = (
    torch.tensor([[1.0, 0.0], [0.0, -1.0], [0.5, 0.5]]),
    torch.tensor([[0.0, 1.0], [1.0, 1.0], [-1.0, 0.0]]),
    torch.tensor([[3.0], [5.0], [7.0]]),
    torch.tensor([[1.0, 0.3], [-0.5, 0.8], [0.2, -1.2], [0.4, 0.4]]),
)
for causal in (False, True):
    check.close(
        favor_attention(q, k, torch.full((3, 1), 4.0), W, causal),
        torch.full((3, 1), 4.0),
        f"all values 4, causal {causal}: a weighted mean of them is 4. Is it divided "
        "by the sum of the same weights?",
    )
check.close(
    favor_attention(q, k, v, W, True)[0],
    torch.tensor([3.0]),
    "causal: the first query sees the first key only, and returns its value",
)
check.close(
    favor_attention(q, k, v, torch.zeros(4, 2), False)[0],
    torch.tensor([(3 + 5 * math.exp(-(0.5**1.5)) + 7) / (2 + math.exp(-(0.5**1.5)))]),
    "directions that are all zero: key j weighs exp(−‖k‖²/2√d), here less for the "
    "second, the longest key",
)
### BEGIN HIDDEN TESTS
draw = check.generator("favor_attention")


@check.probe
def largest_tensor(*given):
    import lib.attention_efficiency.meters as gauge

    with gauge.Allocations() as watched:
        favor_attention(*given)
    return watched.largest


@check.probe
def what_is_left(*given):
    favor_attention(*given, True)
    return given


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=draw)


def by_pairs(q, k, v, W, causal):
    """All pairs, written out: the kernel estimate is a mean over the rows of W."""
    root = q.shape[-1] ** 0.25
    z = (q / root)[..., :, None, :] + (k / root)[..., None, :, :]
    squares = (q / root).square().sum(-1)[..., :, None]
    squares = squares + (k / root).square().sum(-1)[..., None, :]
    weights = (z @ W.T - squares[..., None] / 2).exp().mean(-1)
    weights = weights.tril() if causal else weights
    return weights / weights.sum(-1, keepdim=True) @ v


for batch, n_q, n_k, d, e, m in (
    ((), 4, 4, 3, 2, 5),
    ((2, 3), 7, 7, 4, 4, 6),
    ((3,), 1, 9, 5, 1, 8),
    ((1, 2), 6, 2, 2, 3, 1),
):
    q, k, v, W = (
        normal(*batch, n_q, d),
        normal(*batch, n_k, d),
        normal(*batch, n_k, e),
        0,
    )
    W = normal(m, d)
    words = (
        f"random, {n_q} queries, {n_k} keys, {m} directions of dimension {d}, float64"
    )
    check.close(
        favor_attention(q, k, v, W, False),
        by_pairs(q, k, v, W, False),
        f"not the weighted mean over all pairs: {words}",
    )
    order = torch.randperm(n_k, generator=draw)
    check.close(
        favor_attention(q.flip(-2), k[..., order, :], v[..., order, :], W, False),
        favor_attention(q, k, v, W, False).flip(-2),
        f"keys and their values in another order change nothing, queries move along: {words}",
    )
    if n_q == n_k:
        check.close(
            favor_attention(q, k, v, W, True),
            by_pairs(q, k, v, W, True),
            f"causal: not the weighted mean over the keys up to the query's: {words}",
        )

q, k, v, W = normal(1, 70, 4), normal(1, 70, 4), normal(1, 70, 2), normal(6, 4)
before = favor_attention(q, k, v, W, True)
check.close(
    before,
    by_pairs(q, k, v, W, True),
    "causal, 70 tokens: not the weighted mean over the keys up to the query's",
)
k[:, 50:] *= 2
v[:, 50:] += 9
check.close(
    favor_attention(q, k, v, W, True)[:, :50],
    before[:, :50],
    "keys and values from token 50 on were changed, and something before them moved",
)
# Of length 1: a long vector's estimate is now and then far off.
q, k = (torch.nn.functional.normalize(normal(8, 4), dim=-1) for _ in range(2))
v = normal(8, 3)
check.close(
    favor_attention(q, k, v, normal(30_000, 4), False),
    torch.nn.functional.scaled_dot_product_attention(q, k, v),
    "30 000 directions: the estimate must be close to softmax attention",
    rtol=0,
    atol=0.05,
)
for q, k, words in (
    (60 * normal(5, 4), normal(6, 4), "queries of length about 100"),
    (normal(5, 4), 60 * normal(6, 4), "keys of length about 100"),
):
    v, W = normal(6, 2), normal(7, 4)
    got = favor_attention(q.float(), k.float(), v.float(), W.float(), False)
    within = (got <= v.max() + 0.01) & (got >= v.min() - 0.01)
    check.close(
        bool((got.isfinite() & within).all()),
        True,
        f"{words}, float32: a weighted mean of the values, or an overflow, or 0 / 0?",
    )
q, k, v, W = normal(2, 6, 4), normal(2, 6, 4), normal(2, 6, 2), normal(7, 4)
k[1] *= 60
got = favor_attention(q.float(), k.float(), v.float(), W.float(), False)
check.close(
    bool(got.isfinite().all()),
    True,
    "one head of short and one of long keys: 0 / 0 in one of them",
)
check.close(
    got[0],
    favor_attention(q[0], k[0], v[0], W, False).float(),
    "one head of short and one of long keys: the first must come out as it does alone",
    rtol=1e-3,
    atol=1e-3,
)
long = (normal(700, 4), normal(700, 4), normal(700, 3), normal(8, 4))
for causal in (False, True):
    check.close(
        largest_tensor(*long, causal) < 120_000,
        True,
        f"700 tokens, causal {causal}: a tensor with an entry for every pair of tokens "
        "was formed",
    )
q, k, v, W = normal(2, 5, 4), normal(2, 5, 4), normal(2, 5, 4), normal(3, 4)
check.close(
    what_is_left(q.clone(), k.clone(), v.clone(), W.clone()),
    (q, k, v, W),
    "an argument was changed in place",
)
strided = favor_attention(q.mT.contiguous().mT, k, v, W, True)
check.close(
    strided, favor_attention(q, k, v, W, True), "a non-contiguous q: another answer"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · What an accuracy costs
#
# How many independent draws of ω does it take until the estimate of $e^{q\cdot k}$ has a relative standard error of at most `error`? The smallest number will do, and there is always at least one. A hyperbolic or trigonometric draw makes two features and still counts once.
#
# <details><summary>Hint 1</summary>The relative variance of one draw depends on one length only, of q + k or of q − k.</details>
# <details><summary>Hint 2</summary>With m draws the variance is an m-th; the standard error is its root.</details>
# <details><summary>Hint 3</summary>cosh(s) − 1 loses all its digits for small s, where it is about s²/2. 2 sinh²(s/2) is the same number and keeps them; torch.expm1 does it for the exponential.</details>


# %% solution="draws_needed" difficulty=2 minutes=15
def draws_needed(kind, q, k, error):
    """The least number of draws for a relative standard error of at most `error`.

    kind: "positive", "hyperbolic" or "trigonometric". q, k: (..., d), float64, one
    shape; the kernel is exp(q . k), nothing is scaled. error: a float above 0.
    Returns an int64 tensor of shape (...), every entry at least 1.
    """
    ### BEGIN SOLUTION
    z = q - k if kind == "trigonometric" else q + k
    s = (z * z).sum(-1)
    single = torch.expm1(s) if kind == "positive" else 2 * torch.sinh(s / 2).square()
    return torch.ceil(single / error**2).clamp(min=1).long()
    ### END SOLUTION


# %% test="draws_needed" points=2
q = torch.tensor([[1.0, 2.0], [0.6, 0.8]], dtype=torch.float64)
check.close(
    draws_needed("positive", q, -q, 0.1),
    torch.tensor([1, 1]),
    "k = −q: a positive estimate is exact, whatever ω; one draw is the least there is",
)
check.close(
    draws_needed("positive", q[1] / 2, q[1] / 2, 0.5),
    torch.tensor(7),
    "‖q + k‖² = 1: (e − 1) / 0.25 is 6.87, so seven draws",
)
check.close(
    draws_needed("trigonometric", q[1] / 2, -q[1] / 2, 0.5),
    torch.tensor(3),
    "‖q − k‖² = 1: (cosh 1 − 1) / 0.25 is 2.17, so three draws",
)
### BEGIN HIDDEN TESTS
from lib.attention_efficiency import performer as reference

draw = check.generator("draws_needed")


@check.probe
def vectors_after(q, k):
    draws_needed("hyperbolic", q, k, 0.3)
    return q, k


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=draw)


def short(*shape):
    """Vectors of a length below 1.2: of counts above 2^53 the last digits are chance."""
    x = normal(*shape)
    return 1.2 * x / (1 + x.norm(dim=-1, keepdim=True))


for kind in ("positive", "hyperbolic", "trigonometric"):
    for shape in ((40, 3), (7,), (2, 5, 4), (1, 1)):
        q, k = short(*shape), short(*shape)
        for error in (0.03, 0.5, 4.0):
            exact = reference.relative_variance(kind, q, k) / error**2
            check.close(
                draws_needed(kind, q, k, error),
                exact.ceil().clamp(min=1).to(torch.int64),
                f"{kind}, random vectors of shape {shape}, error {error}: another number",
            )
    tiny, error = (2e-9, 1e-15) if kind == "positive" else (5e-6, 1e-15)
    near = tiny * normal(30, 4)
    other = -2 * near.roll(1, 0)
    check.close(
        draws_needed(kind, near, other, error).double() * error**2,
        reference.relative_variance(kind, near, other),
        f"{kind}, tiny vectors: the difference from 1 has lost its digits",
        rtol=1e-4,
        atol=0,
    )
q, k = normal(9, 4), normal(9, 4)
check.close(
    draws_needed("hyperbolic", q, -k, 0.2),
    draws_needed("trigonometric", q, k, 0.2),
    "hyperbolic draws for −k must be trigonometric draws for k",
)
check.close(vectors_after(q.clone(), k.clone()), (q, k), "q or k was changed in place")
### END HIDDEN TESTS
