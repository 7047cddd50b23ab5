# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # Absolute and relative position encodings
#
# The chapter drew a map: one product, four terms, and what each scheme does with them. Here you build four pieces of it. Relative positions are key minus query throughout.

# %%
import math

import torch

from course import check

# %% [markdown]
# ## 1 · One matrix moves every position
#
# The chapter proved that sinusoidal position vectors satisfy $p_{k+m} = R(m)\,p_k$, with a matrix that does not know $k$. Write that matrix. With $\theta_i = \text{base}^{-2i/d}$ the vectors are
#
# * *interleaved*: $p_k = (\sin k\theta_0, \cos k\theta_0, \sin k\theta_1, \cos k\theta_1, \dots)$,
# * *half*: $p_k = (\sin k\theta_0, \sin k\theta_1, \dots, \cos k\theta_0, \cos k\theta_1, \dots)$.
#
# <details><summary>Hint 1</summary>Write sin(kθ + mθ) and cos(kθ + mθ) with the addition theorems. What multiplies sin kθ, and what cos kθ?</details>
# <details><summary>Hint 2</summary>The sine comes first here. So the block is (c, s; −s, c), the transpose of what a textbook prints for a rotation by +mθ.</details>
# <details><summary>Hint 3</summary>Make a zero matrix and two lists of indices, one of the sine channels and one of the cosine channels: <code>R[sine, sine] = c</code>, <code>R[sine, cosine] = s</code>, and so on. The layout changes the two lists and nothing else.</details>


# %% solution="shift_matrix" difficulty=2 minutes=15
def shift_matrix(m, d, base=10_000.0, layout="interleaved"):
    """The matrix R with p_{k+m} = R p_k for every position k, p_k as a column.

    m: a number, whole or not, of either sign. d: even. layout: "interleaved" or "half".
    Returns (d, d), float64.
    """
    ### BEGIN SOLUTION
    theta = base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    channels = torch.arange(d)
    if layout == "half":
        sine, cosine = channels.chunk(2)
    else:
        sine, cosine = channels[0::2], channels[1::2]
    shift = torch.zeros(d, d, dtype=torch.float64)
    shift[sine, sine] = shift[cosine, cosine] = (m * theta).cos()
    shift[sine, cosine] = (m * theta).sin()
    shift[cosine, sine] = -(m * theta).sin()
    return shift
    ### END SOLUTION


# %% test="shift_matrix" points=2
start = torch.tensor([0.0, 1.0]).double()
check.close(
    shift_matrix(0, 2),
    torch.eye(2, dtype=torch.float64),
    "a shift by nothing must be the identity, in float64",
)
check.close(
    shift_matrix(math.pi / 2, 2) @ start,
    torch.tensor([1.0, 0.0]).double(),
    "position 0 is (0, 1), and π/2 later it is (1, 0): radians; not the transpose",
)
check.close(
    shift_matrix(math.pi / 2, 4, base=1.0, layout="half") @ torch.eye(4).double()[2],
    torch.eye(4, dtype=torch.float64)[0],
    "half: the cosine of pair 0 is channel 2, and its sine is channel 0",
)
### BEGIN HIDDEN TESTS
from lib.positional_encoding import absolute_and_relative as reference

draw = check.generator("shift_matrix")
for layout in ("half", "interleaved"):
    for d, base in [(2, 10_000.0), (6, 50.0), (10, 10_000.0), (16, 3.0)]:
        table = reference.sinusoidal(40, d, base, layout)
        words = f"{layout}, d = {d}, base = {base:g}"
        for m in torch.randint(1, 20, (3,), generator=draw).tolist():
            got = shift_matrix(m, d, base, layout)
            check.close(
                table[:-m] @ got.T,
                table[m:],
                f"R must carry every position m places on, {words}",
            )
            check.close(
                got @ got.T,
                torch.eye(d, dtype=torch.float64),
                f"R must be orthogonal: it keeps lengths, {words}",
            )
            check.close(
                shift_matrix(-m, d, base, layout),
                got.T,
                f"the way back must be the transpose, {words}",
            )
        one, other = (5 * torch.rand(2, generator=draw)).tolist()
        check.close(
            shift_matrix(one, d, base, layout) @ shift_matrix(other, d, base, layout),
            shift_matrix(one + other, d, base, layout),
            f"shifts must add up, fractional ones too, {words}",
        )
    first = reference.sinusoidal(1, 12, 100.0, layout)[0]
    grown = [shift_matrix(k, 12, 100.0, layout) @ first for k in range(15)]
    grown = torch.stack(grown)
    theta = 100.0 ** (-torch.arange(6).double() / 6)
    distance = torch.arange(15)[:, None] - torch.arange(15)
    check.close(
        grown @ grown.T,
        (distance[..., None] * theta).cos().sum(-1),
        f"from position 0 all others must grow, with the right products, {layout}",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · What the projections may keep
#
# Once $W_Q$ and $W_K$ stand between them, two position vectors meet as $p_m^\top M p_n$ with $M = W_QW_K^\top$. The chapter showed which $M$ leave a function of $n - m$: those that commute with every shift. Given any $M$, find the nearest matrix of that kind.
#
# <details><summary>Hint 1</summary>Which 2 by 2 matrices commute with a rotation? And what may stand between two pairs that turn at different speeds?</details>
# <details><summary>Hint 2</summary>Only blocks (a, b; −b, a) on the diagonal survive. They do not depend on the frequencies, so the function needs none.</details>
# <details><summary>Hint 3</summary>Nearest means: a is the mean of the two entries that should equal a, and b the mean of the entry that should be b and minus the entry that should be −b.</details>


# %% solution="relative_part" difficulty=3 minutes=15
def relative_part(matrix):
    """The nearest matrix that leaves sinusoids a function of the distance alone.

    matrix: (H, d, d), one for each head, rows and columns in the interleaved layout
    (sine in channel 2i, cosine in 2i + 1), d even, frequencies all different.
    Returns a new (H, d, d) of the same dtype: of all matrices A for which p_m^T A p_n
    depends on n - m only, the one with the smallest sum of squares of matrix - A.
    """
    ### BEGIN SOLUTION
    blocks = matrix.unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2))  # (H, i, 2, j, 2)
    blocks = blocks.diagonal(dim1=1, dim2=3)  # (H, 2, 2, i)
    a = (blocks[:, 0, 0] + blocks[:, 1, 1]) / 2
    b = (blocks[:, 0, 1] - blocks[:, 1, 0]) / 2
    out = torch.zeros_like(matrix)
    even, odd = (
        torch.arange(0, matrix.shape[-1], 2),
        torch.arange(1, matrix.shape[-1], 2),
    )
    out[:, even, even], out[:, odd, odd] = a, a
    out[:, even, odd], out[:, odd, even] = b, -b
    return out
    ### END SOLUTION


# %% test="relative_part" points=2
check.close(
    relative_part(torch.tensor([[[1.0, 5.0], [1.0, 3.0]]])),
    torch.tensor([[[2.0, 2.0], [-2.0, 2.0]]]),
    "one pair: a is the mean of 1 and 3, b the mean of 5 and −1",
)
check.close(
    relative_part(torch.eye(4)[None]),
    torch.eye(4)[None],
    "the identity is relative already and must stay",
)
### BEGIN HIDDEN TESTS
from lib.positional_encoding import absolute_and_relative as reference

draw = check.generator("relative_part")


@check.probe
def argument_after(matrix):
    relative_part(matrix)
    return matrix


for heads, d, base in [(3, 6, 10_000.0), (1, 10, 50.0), (2, 2, 7.0), (4, 8, 1000.0)]:
    matrix = torch.randn(heads, d, d, dtype=torch.float64, generator=draw)
    words = f"{heads} heads, d = {d}"
    got = relative_part(matrix)
    check.close(got.shape, matrix.shape, f"the shape must stay, {words}")
    p = reference.sinusoidal(12, d, base)
    table = p @ got @ p.T
    check.close(
        table[:, 1:, 1:],
        table[:, :-1, :-1],
        f"p_m^T A p_n must not change when both move one place, {words}",
    )
    check.close(relative_part(got), got, f"twice must be the same as once, {words}")
    # What is thrown away must be orthogonal to all that is allowed; the shifts span it.
    theta = base ** (-torch.arange(0, d, 2).double() / d)
    for m in range(d):
        c, s = (m * theta).cos(), (m * theta).sin()
        blocks = torch.stack((c, s, -s, c), -1).unflatten(-1, (2, 2))
        shift = torch.block_diag(*blocks)
        check.close(
            ((matrix - got) * shift).sum((-1, -2)),
            torch.zeros(heads, dtype=torch.float64),
            f"a nearer matrix with the property exists, {words}",
        )
strided = torch.randn(6, 6, 2, generator=draw).permute(2, 1, 0)
check.close(
    relative_part(strided),
    relative_part(strided.contiguous()),
    "a non-contiguous matrix gives another answer",
)
matrix = torch.randn(1, 4, 4, generator=draw)
check.close(argument_after(matrix.clone()), matrix, "the argument was changed in place")
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · Buckets
#
# T5 sorts relative positions into buckets, as the chapter did by hand: $m$ buckets for one direction; the first $e = \lfloor m/2\rfloor$ distances have one each; a distance $n \ge e$ falls into
#
# $$e + \Big\lfloor\frac{\log(n/e)}{\log(\texttt{max\_distance}/e)}\,(m - e)\Big\rfloor,$$
#
# at most $m - 1$. *Bidirectional*: $m$ is half of `num_buckets`, rounded down, and keys after the query have $m$ added to their bucket. *Causal*: $m$ is `num_buckets`, and a key after the query counts as distance 0.
#
# <details><summary>Hint 1</summary>First turn the relative position into a distance n ≥ 0; the two cases differ in how. From there on nothing knows about direction, until m is added.</details>
# <details><summary>Hint 2</summary><code>torch.where(n &lt; e, n, far)</code> computes both sides: keep the logarithm of zero out, with <code>n.clamp(min=e)</code>.</details>
# <details><summary>Hint 3</summary>A key after the query has rel &gt; 0. What is the distance of one before it? <code>-rel</code>.</details>


# %% solution="bucket_of" difficulty=2 minutes=20
def bucket_of(rel, num_buckets=32, max_distance=128, bidirectional=True):
    """The T5 bucket of each relative position.

    rel: key minus query, int64 of any shape. max_distance is above e.
    Returns int64 of the same shape, from 0 to num_buckets - 1.
    """
    ### BEGIN SOLUTION
    m = num_buckets // 2 if bidirectional else num_buckets
    e = m // 2
    n = rel.abs() if bidirectional else (-rel).clamp(min=0)
    share = (n.clamp(min=e) / e).log() / math.log(max_distance / e)
    far = (e + (share * (m - e)).long()).clamp(max=m - 1)
    bucket = torch.where(n < e, n, far)
    return bucket + m * (rel > 0) if bidirectional else bucket
    ### END SOLUTION


# %% test="bucket_of" points=2
near = torch.arange(8)
check.close(
    bucket_of(-near),
    near,
    "the first 8 distances have a bucket each; a key before the query has rel < 0",
)
check.close(
    bucket_of(torch.tensor([1, 7])),
    torch.tensor([17, 23]),
    "a key after the query has rel > 0, and 16 added",
)
check.close(
    bucket_of(torch.tensor([[-20, -5000], [20, 5000]])),
    torch.tensor([[10, 15], [26, 31]]),
    "distance 20: 8 + floor(log(20/8) / log(128/8) · 8) = 10; far away: the last one",
)
### BEGIN HIDDEN TESTS
from lib.positional_encoding import absolute_and_relative as reference

draw = check.generator("bucket_of")


@check.probe
def argument_after(rel):
    bucket_of(rel)
    return rel


every = torch.arange(-1000, 1001)
for num_buckets, max_distance in [(32, 128), (16, 64), (64, 300), (10, 40), (6, 17)]:
    words = f"{num_buckets} buckets, max_distance {max_distance}"
    got = bucket_of(every, num_buckets, max_distance)
    check.close(
        got,
        reference.t5_bucket(every, num_buckets, max_distance),
        f"another bucket for some relative position, {words}",
    )
    before, after = got[:1000].flip(0), got[1001:]
    check.close(
        after - before,
        torch.full_like(after, num_buckets // 2),
        f"the two directions must differ by a constant, {words}",
    )
    check.close(
        before.sort().values, before, f"buckets must not fall with distance, {words}"
    )
shuffled = torch.randint(-300, 300, (3, 1, 7), generator=draw)
check.close(
    bucket_of(shuffled),
    reference.t5_bucket(shuffled),
    "three axes, in no order",
)
check.close(argument_after(shuffled.clone()), shuffled, "rel was changed in place")
### END HIDDEN TESTS


# %% test="bucket_of" aspect="causal" points=1
check.close(
    bucket_of(torch.tensor([-1, -15, 0, 3]), bidirectional=False),
    torch.tensor([1, 15, 0, 0]),
    "causal: all 32 buckets look back, and a key after the query counts as distance 0",
)
### BEGIN HIDDEN TESTS
from lib.positional_encoding import absolute_and_relative as reference

every = torch.arange(-1000, 1001)
for num_buckets, max_distance in [(32, 128), (16, 64), (7, 50), (13, 30), (2, 9)]:
    check.close(
        bucket_of(every, num_buckets, max_distance, False),
        reference.t5_bucket(every, num_buckets, max_distance, False),
        f"another causal bucket, {num_buckets} buckets, max_distance {max_distance}",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · Into place, with a memory
#
# Transformer-XL multiplies each query with the vector of each *relative* position, and then has to bring every product to the key it belongs to. In the chapter queries and keys were the same tokens. With a memory there are more keys than queries: $N_k \ge N_q$, and the last query stands at the last key. Row $i$ of `scores` has one column for every relative position from $-(N_k - 1)$ to $N_q - 1$, in this order. Which of them are asked for?
#
# <details><summary>Hint 1</summary>Query i stands at place i + N_k − N_q. So the relative position of key j is j − i − (N_k − N_q). In which column is it?</details>
# <details><summary>Hint 2</summary>Column j − i + N_q − 1. Each row is a window of N_k columns, one place further left than in the row above.</details>
# <details><summary>Hint 3</summary>Build the index as a table of shape (N_q, N_k), expand it over batch and heads, and let <code>gather</code> along the last axis do the rest.</details>


# %% solution="shift_with_memory" difficulty=3 minutes=15
def shift_with_memory(scores):
    """From columns by relative position to columns by key.

    scores: (B, H, Nq, Nq + Nk - 1), with Nk >= Nq; column c belongs to the relative
    position c - (Nk - 1), key minus query. The last query stands at the last key.
    Returns (B, H, Nq, Nk): entry i, j is the score of query i with key j. Gradients
    pass through it.
    """
    ### BEGIN SOLUTION
    n_queries = scores.shape[-2]
    n_keys = scores.shape[-1] - n_queries + 1
    i, j = torch.arange(n_queries)[:, None], torch.arange(n_keys)
    column = (j - i + n_queries - 1).expand(*scores.shape[:-1], n_keys)
    return scores.gather(-1, column)
    ### END SOLUTION


# %% test="shift_with_memory" points=2
check.close(
    shift_with_memory(torch.tensor([[[[0.0, 1, 2], [3, 4, 5]]]])),
    torch.tensor([[[[1.0, 2], [3, 4]]]]),
    "two queries, two keys: row 0 needs the relative positions 0 and 1, row 1 −1 and 0",
)
check.close(
    shift_with_memory(torch.tensor([[[[7.0, 8, 9]]]])),
    torch.tensor([[[[7.0, 8, 9]]]]),
    "one query at the last of three keys: relative positions −2, −1, 0, as they come",
)
### BEGIN HIDDEN TESTS
draw = check.generator("shift_with_memory")


@check.probe
def argument_after(scores):
    shift_with_memory(scores)
    return scores


def by_loops(scores):
    n_queries = scores.shape[-2]
    n_keys = scores.shape[-1] - n_queries + 1
    out = scores.new_empty(*scores.shape[:-1], n_keys)
    for i in range(n_queries):
        for j in range(n_keys):
            place = i + n_keys - n_queries
            out[..., i, j] = scores[..., i, (j - place) + n_keys - 1]
    return out


for batch, heads, n_queries, n_keys in [
    (2, 3, 4, 7),
    (1, 2, 5, 5),
    (3, 1, 2, 9),
    (2, 2, 1, 1),
    (1, 1, 6, 7),
]:
    scores = torch.randn(
        batch,
        heads,
        n_queries,
        n_queries + n_keys - 1,
        dtype=torch.float64,
        generator=draw,
    )
    words = f"{n_queries} queries, {n_keys} keys, batch {batch}, {heads} heads"
    check.close(shift_with_memory(scores), by_loops(scores), words)
    single = scores.float()
    check.close(shift_with_memory(single), by_loops(single), f"float32, {words}")
strided = torch.randn(8, 4, 3, 2, generator=draw).permute(3, 2, 1, 0)
check.close(
    shift_with_memory(strided),
    by_loops(strided),
    "a non-contiguous tensor gives another answer",
)
check.close(
    argument_after(strided.clone()), strided, "the argument was changed in place"
)
### END HIDDEN TESTS


# %% test="shift_with_memory" aspect="gradient" points=1
@check.probe
def gradient(scores, upstream):
    leaf = scores.clone().requires_grad_()
    shift_with_memory(leaf).backward(upstream)
    return leaf.grad


check.close(
    gradient(torch.zeros(1, 1, 2, 3), torch.ones(1, 1, 2, 2)),
    torch.tensor([[[[0.0, 1, 1], [1, 1, 0]]]]),
    "entries that are read must get the gradient, the others zero",
)
### BEGIN HIDDEN TESTS
draw = check.generator("shift_with_memory_gradient")
for batch, heads, n_queries, n_keys in [(2, 3, 4, 6), (1, 1, 3, 3)]:
    span = n_queries + n_keys - 1
    scores = torch.randn(batch, heads, n_queries, span, generator=draw).double()
    upstream = torch.randn(batch, heads, n_queries, n_keys, generator=draw).double()
    want = torch.zeros_like(scores)
    for i in range(n_queries):
        start = n_queries - 1 - i
        want[..., i, start : start + n_keys] = upstream[..., i, :]
    check.close(
        gradient(scores, upstream),
        want,
        f"another gradient, {n_queries} queries, {n_keys} keys",
    )
### END HIDDEN TESTS
