# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # Attention in tiles
#
# Four steps beyond the chapter: the merge for parts that are already divided, as they come from several machines; tiles under a sliding window, where most tiles need not exist; the backward pass when somebody also uses the log-sum-exp; and the least traffic that queries in the outer loop can have.

# %%
import torch

from course import check

# %% [markdown]
# ## 1 · Two finished parts
#
# Keys and values are spread over two machines. Each has computed attention of the same queries to its own keys, and sends what it has finished: the output `o`, already divided, and the log-sum-exp `lse` of the scores. Put the two together, as if one machine had seen all keys. A query that saw no key on a machine has `o` = 0 and `lse` = −∞ from there, and maybe from both.
#
# <details><summary>Hint 1</summary>The sum of exp over all keys is exp(lse) of one part plus exp(lse) of the other. What share of it is each part's?</details>
# <details><summary>Hint 2</summary>exp(lse) overflows for lse = 1000. The share of a part is exp(its lse − the joint lse), which is at most 1.</details>
# <details><summary>Hint 3</summary>Where both are −∞, the difference of two infinities is NaN. Subtract something finite there.</details>


# %% solution="merge_partial" difficulty=2 minutes=15
def merge_partial(a, b):
    """Attention to the keys of a and those of b together, from finished parts.

    a, b: tuples (o, lse) of tensors of one dtype; o: (..., d_v), lse: (...), of any
    size up to 1e4 or −∞. Returns the tuple (o, lse) of all keys: new tensors of the
    same shapes and dtype, 0 and −∞ where neither part saw a key.
    """
    ### BEGIN SOLUTION
    lse = torch.logaddexp(a[1], b[1])
    finite = lse.masked_fill(lse == -torch.inf, 0.0)
    shares = [(part[1] - finite).exp()[..., None] for part in (a, b)]
    return shares[0] * a[0] + shares[1] * b[0], lse
    ### END SOLUTION


# %% test="merge_partial" points=3
one = (torch.tensor([[8.0, 0.0]]), torch.tensor([0.0]))
three = (torch.tensor([[0.0, 4.0]]), torch.tensor([3.0]).log())
check.close(
    merge_partial(one, three),
    (torch.tensor([[2.0, 3.0]]), torch.tensor([4.0]).log()),
    "one key of score 0 on the left, of score ln 3 on the right: shares 1/4 and 3/4, "
    "log-sum-exp ln 4. (4, 2) is the average; (8, 12) or (8/3, 4) was not divided",
)
nothing = (torch.zeros(1, 2), torch.tensor([-torch.inf]))
check.close(
    merge_partial(one, nothing),
    one,
    "the right machine had no key for this query: the left part must come back",
)
check.close(
    merge_partial(nothing, nothing),
    nothing,
    "no key on either machine: 0 and −∞; NaN comes from −∞ − (−∞)",
)
### BEGIN HIDDEN TESTS
draw = check.generator("merge_partial")


@check.probe
def arguments_after(o, lse, other_o, other_lse):
    merge_partial(*((o, lse), (other_o, other_lse)))
    return o, lse, other_o, other_lse


def drawn(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=draw)


def attended(table, values):
    """Output and log-sum-exp of a table of scores, zero for rows of −∞."""
    weights = table.softmax(-1).nan_to_num(0.0)
    return weights @ values, table.logsumexp(-1)


for rows, left, right, width, size in (
    (5, 3, 4, 2, 1.0),
    (1, 1, 6, 3, 30.0),
    (4, 7, 2, 1, 9000.0),
    (3, 2, 2, 5, 1000.0),
):
    table, values = size * drawn(2, rows, left + right), drawn(2, left + right, width)
    table[:, 0, :left] = -torch.inf
    table[:, -1, left:] = -torch.inf
    parts = (
        attended(table[..., :left], values[:, :left]),
        attended(table[..., left:], values[:, left:]),
    )
    words = f"scores of about {size:g}, {left} and {right} keys, {rows} queries"
    want = attended(table, values)
    check.close(
        merge_partial(*parts), want, f"not as if all keys were together: {words}"
    )
    check.close(
        merge_partial(parts[1], parts[0]),
        want,
        f"the order of the parts must not matter: {words}",
    )
    single = [tuple(x.float() for x in part) for part in parts]
    check.close(
        merge_partial(*single),
        tuple(x.float() for x in want),
        f"float32 must stay float32: {words}",
        rtol=4e-3,
        atol=4e-3,
    )
    given = (*parts[0], *parts[1])
    check.close(
        arguments_after(*(x.clone() for x in given)),
        given,
        "an argument was changed in place",
    )
three = [attended(20 * drawn(4, n), drawn(n, 3)) for n in (2, 3, 5)]
check.close(
    merge_partial(merge_partial(three[0], three[1]), three[2]),
    merge_partial(three[0], merge_partial(three[1], three[2])),
    "merging three parts must not depend on which two come first",
)
low = [(o, lse - 9000.0) for o, lse in three[:2]]
joined = merge_partial(three[0], three[1])
check.close(
    merge_partial(low[0], low[1]),
    (joined[0], joined[1] - 9000.0),
    "9,000 less for every score must leave the output alone and take 9,000 off the "
    "log-sum-exp: only −∞ means that nothing was seen",
)
lonely = (drawn(6), torch.tensor(2.5, dtype=torch.float64))
check.close(
    merge_partial(lonely, lonely),
    (lonely[0], lonely[1] + torch.tensor(2.0).double().log()),
    "one query without further axes, the same part twice: its output, and ln 2 more",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · A sliding window in tiles
#
# The last query stands at the last key, the one before it at the key before, and so on: query $i$ stands at $p = i + n_k - n_q$. It sees the `window` keys that end there, those $j$ with $0 \le p - j <$ `window`; with a window of $n_k$ or more that is causal attention. Where there are more queries than keys, the first stand before the first key and see nothing: their output is 0.
#
# Work in tiles. No tensor may have more numbers than the largest of q, k, v and a tile of `block_q` × `block_k` scores (a few times that is allowed), so a strip of `block_q` × $n_k$ scores is too much, and so is a list of all tiles. And a tile of which no query sees any key must not be computed: with a window, time grows with $n$ and not with $n^2$.
#
# <details><summary>Hint 1</summary>For each block of queries: stats (−∞, 0, 0); for each block of keys that somebody sees: scores, mask, merge; divide at the end.</details>
# <details><summary>Hint 2</summary>Queries a to b (b not included) see keys from a + n_k − n_q − window + 1 on, and below b + n_k − n_q.</details>
# <details><summary>Hint 3</summary>Until a query has seen its first key its maximum is −∞, and −∞ − (−∞) is NaN. Its sum may stay 0: do not divide by it.</details>


# %% solution="windowed_attention" difficulty=4 minutes=40
def windowed_attention(q, k, v, window, block_q, block_k):
    """softmax(q kᵀ / √d) v, each query seeing the `window` keys that end at its place.

    q: (..., n_q, d), k: (..., n_k, d), v: (..., n_k, d_v), one floating dtype and the
    same leading axes; window, block_q, block_k: integers from 1 on, whose blocks need
    not divide the lengths. Returns a new tensor (..., n_q, d_v) of that dtype.
    """
    ### BEGIN SOLUTION
    n_q, n_k = q.shape[-2], k.shape[-2]
    out = v.new_zeros(*q.shape[:-1], v.shape[-1])
    for a in range(0, n_q, block_q):
        b = min(a + block_q, n_q)
        place = torch.arange(a, b, device=q.device)[:, None] + n_k - n_q
        m = q.new_full((*q.shape[:-2], b - a, 1), -torch.inf)
        total, acc = torch.zeros_like(m), torch.zeros_like(out[..., a:b, :])
        for s in range(0, n_k, block_k):
            t = min(s + block_k, n_k)
            if s >= b + n_k - n_q or t <= a + n_k - n_q - window + 1:
                continue
            behind = place - torch.arange(s, t, device=q.device)
            scores = q[..., a:b, :] @ k[..., s:t, :].mT / q.shape[-1] ** 0.5
            hidden = (behind < 0) | (behind >= window)
            scores = scores.masked_fill(hidden, -torch.inf)
            new = torch.maximum(m, scores.amax(-1, keepdim=True))
            finite = new.masked_fill(new == -torch.inf, 0.0)
            p, shrink = (scores - finite).exp(), (m - finite).exp()
            total = shrink * total + p.sum(-1, keepdim=True)
            acc = shrink * acc + p @ v[..., s:t, :]
            m = new
        out[..., a:b, :] = acc / total.masked_fill(total == 0, 1.0)
    return out
    ### END SOLUTION


# %% test="windowed_attention" points=4
level = torch.zeros(4, 3)
counting = torch.arange(4.0)[:, None]
check.close(
    windowed_attention(level, level, counting, 2, 3, 2),
    torch.tensor([[0.0], [0.5], [1.5], [2.5]]),
    "equal scores, window 2: the mean of the key's own value and the one before",
)
check.close(
    windowed_attention(level[:2], level, counting, 4, 2, 3),
    torch.tensor([[1.0], [1.5]]),
    "two queries, four keys: the last query stands at the last key and sees all four. "
    "(0, 0.5) puts the first query at the first key",
)
check.close(
    windowed_attention(level, level[:2], counting[:2], 4, 1, 1),
    torch.tensor([[0.0], [0.0], [0.0], [0.5]]),
    "four queries, two keys: the first two queries see nothing and give 0, not NaN",
)
### BEGIN HIDDEN TESTS
import torch.nn.functional as F

draw = check.generator("windowed_attention")


@check.probe
def arguments_after(q, k, v):
    windowed_attention(*(q, k, v, 3, 2, 2))
    return q, k, v


def drawn(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=draw)


def by_torch(q, k, v, window):
    n_q, n_k = q.shape[-2], k.shape[-2]
    gaps = torch.arange(n_k - n_q, n_k)[:, None] - torch.arange(n_k)
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=(gaps >= 0) & (gaps < window)
    )


for n_q, n_k, d, d_v, window, blocks in (
    (17, 17, 3, 5, 6, (4, 5)),
    (11, 23, 4, 2, 9, (3, 7)),
    (23, 11, 5, 1, 5, (6, 4)),
    (1, 13, 2, 3, 4, (1, 3)),
    (9, 9, 4, 4, 30, (2, 2)),
    (8, 12, 6, 2, 1, (16, 32)),
    (10, 3, 2, 2, 2, (4, 8)),
):
    q, k, v = drawn(2, 1, n_q, d), drawn(2, 1, n_k, d), drawn(2, 1, n_k, d_v)
    words = f"{n_q} queries, {n_k} keys, window {window}, blocks {blocks}"
    want = by_torch(q, k, v, window)
    check.close(
        windowed_attention(q, k, v, window, *blocks),
        want,
        f"not softmax attention under the window: {words}",
        rtol=0,
        atol=1e-10,
    )
    check.close(
        windowed_attention(q, k, v, window, blocks[1], blocks[0] + 1),
        want,
        f"other blocks must not give another result: {words}",
        rtol=0,
        atol=1e-10,
    )
    check.close(
        windowed_attention(q.float(), k.float(), v.float(), window, *blocks),
        want.float(),
        f"float32 must stay float32: {words}",
        rtol=0,
        atol=1e-5,
    )
    check.close(
        arguments_after(q.clone(), k.clone(), v.clone()),
        (q, k, v),
        f"an argument was changed in place: {words}",
    )
q, k, v = drawn(12, 3), drawn(12, 3), drawn(12, 2)
for growth, words in (
    (torch.linspace(0, 4000, 12), "grow"),
    (torch.linspace(4000, 0, 12), "shrink"),
):
    steep = k * growth.double()[:, None]
    check.close(
        windowed_attention(q, steep, v, 12, 4, 3),
        by_torch(q[None], steep[None], v[None], 12)[0],
        f"scores that {words} by hundreds from block to block: subtract the greatest so "
        "far and rescale what was summed before",
        rtol=0,
        atol=1e-9,
    )
crooked = drawn(3, 12).T, drawn(3, 12).T, drawn(2, 12).T
check.close(
    windowed_attention(*crooked, 5, 5, 3),
    windowed_attention(*(x.contiguous() for x in crooked), 5, 5, 3),
    "a non-contiguous argument gives another answer",
)
### END HIDDEN TESTS


# %% test="windowed_attention" aspect="memory" points=1
@check.probe
def held(q, k, v, window, block):
    from lib.attention_efficiency import meters

    with meters.Allocations() as seen:
        windowed_attention(q, k, v, window, block, block)
    return seen.largest, seen.peak


largest, peak = held(*torch.ones(3, 64, 2).unbind(), 64, 4)
if not largest <= 3 * 64 * 2:
    raise AssertionError(
        f"64 queries and keys, tiles of 4 by 4: a tensor of {largest} numbers was "
        "made. q, k and v have 128 each, a tile 16, a strip of scores 256, the table "
        "4,096"
    )
### BEGIN HIDDEN TESTS
draw = check.generator("windowed_attention memory")
for n, d, block in ((384, 4, 16), (256, 2, 8)):
    largest, peak = held(*torch.randn(3, n, d, generator=draw).unbind(), n, block)
    if not largest <= 3 * n * d:
        raise AssertionError(
            f"{n} queries and keys of width {d}, tiles of {block} by {block}, all keys "
            "in the window: a tensor with more numbers than q, k, v or a tile was made"
        )
    if not peak <= 4 * (8 * n * d + 16 * block * block):
        raise AssertionError(
            f"{n} queries and keys, tiles of {block} by {block}: too many numbers are "
            "alive at once. Are tiles kept in a list?"
        )
### END HIDDEN TESTS


# %% test="windowed_attention" aspect="work" points=1
@check.probe
def numbers_made(q, k, v, window, block):
    from lib.attention_efficiency import meters

    with meters.Allocations() as seen:
        windowed_attention(q, k, v, window, block, block)
    return seen.total


few, many = (numbers_made(*torch.ones(3, 96, 2).unbind(), w, 8) for w in (8, 96))
if not 0 < few <= 0.6 * many:
    raise AssertionError(
        "96 keys in blocks of 8: a window of 8 touches two blocks of keys a block of "
        "queries, one of 96 six and a half on average, yet both took about the same "
        "work. Leave out the tiles that nobody sees"
    )
### BEGIN HIDDEN TESTS
draw = check.generator("windowed_attention work")
for n, block, window, share in ((256, 16, 16, 0.4), (200, 10, 20, 0.5)):
    given = torch.randn(3, n, 3, generator=draw).unbind()
    few, many = (numbers_made(*given, w, block) for w in (window, n))
    if not 0 < few <= share * many:
        raise AssertionError(
            f"{n} keys in blocks of {block}: with a window of {window} keys the work is "
            "nearly that of all keys. Leave out tiles on both sides of the window"
        )
reach = [numbers_made(*torch.ones(3, n, 2).unbind(), 16, 16) for n in (128, 256)]
check.close(
    reach[1] / reach[0],
    2.0,
    "with a fixed window twice the length must take twice the work",
    atol=0.35,
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · Backwards, when the log-sum-exp is used too
#
# Whoever merges parts as in the first task uses both results of a part, so both come back with a gradient: $\mathrm dO$ for the output and $g_i$ for the log-sum-exp $L_i$ of row $i$. The chapter derived $\mathrm dQ$, $\mathrm dK$, $\mathrm dV$ for $g = 0$. Derive what $g$ adds, and write the pass in tiles of `block` × `block`; again no tensor much larger than q, k, v or a tile. With `causal`, query $i$ sees keys $j \le i + n_k - n_q$; a query that sees none has $L_i = -\infty$ and gives and gets no gradient.
#
# <details><summary>Hint 1</summary>How does L_i change with one score S_ij of its row?</details>
# <details><summary>Hint 2</summary>∂L_i / ∂S_ij = P_ij. So dS = P ∘ (dP − D + g), with one D and one g a row.</details>
# <details><summary>Hint 3</summary>P = exp(S − L). Where L is −∞, S is −∞ too: put 0 for L there, and P is exp(−∞) = 0.</details>


# %% solution="tiled_gradients" difficulty=4 minutes=35
def tiled_gradients(q, k, v, out, grads, block, causal):
    """(dq, dk, dv) of a loss that depends on output and log-sum-exp.

    q: (..., n_q, d), k: (..., n_k, d), v: (..., n_k, d_v), one dtype. out: (o, lse), o
    (..., n_q, d_v) and lse (..., n_q), attention of q to k with scores q·k / √d and
    their log-sum-exp. grads: (do, dlse), of the same shapes. block: an integer from 1
    on, need not divide n_q or n_k. Returns a tuple of three new tensors like q, k, v.
    """
    ### BEGIN SOLUTION
    n_q, n_k, scale = q.shape[-2], k.shape[-2], q.shape[-1] ** -0.5
    (o, lse), (do, dlse) = out, grads
    dq, dk, dv = (torch.zeros_like(x) for x in (q, k, v))
    extra = (dlse - (do * o).sum(-1))[..., None]
    finite = lse.masked_fill(lse == -torch.inf, 0.0)[..., None]
    for a in range(0, n_q, block):
        rows = slice(a, min(a + block, n_q))
        for s in range(0, n_k, block):
            columns = slice(s, min(s + block, n_k))
            scores = scale * q[..., rows, :] @ k[..., columns, :].mT
            if causal:
                i = torch.arange(rows.start, rows.stop, device=q.device)[:, None]
                j = torch.arange(columns.start, columns.stop, device=q.device)
                scores = scores.masked_fill(j > i + n_k - n_q, -torch.inf)
            p = (scores - finite[..., rows, :]).exp()
            dp = do[..., rows, :] @ v[..., columns, :].mT
            ds = scale * p * (dp + extra[..., rows, :])
            dv[..., columns, :] += p.mT @ do[..., rows, :]
            dq[..., rows, :] += ds @ k[..., columns, :]
            dk[..., columns, :] += ds.mT @ q[..., rows, :]
    return dq, dk, dv
    ### END SOLUTION


# %% test="tiled_gradients" points=4
q, k = torch.tensor([[4.0, 2.0, 0.0, 2.0]]), torch.tensor([[1.0, 3.0, 5.0, 1.0]])
v = torch.tensor([[7.0, 9.0]])
out = v, torch.tensor([6.0])
grads = torch.tensor([[3.0, -1.0]]), torch.tensor([10.0])
check.close(
    tiled_gradients(q, k, v, out, grads, 2, False),
    (5 * k, 5 * q, grads[0]),
    "one query, one key: the weight is 1 whatever the score, so q and k matter through "
    "the log-sum-exp alone, which is their score: its gradient 10, times 1 / √4",
)
check.close(
    tiled_gradients(q, k, v, out, (grads[0], torch.zeros(1)), 1, True),
    (torch.zeros(1, 4), torch.zeros(1, 4), grads[0]),
    "one query, one key, nothing from the log-sum-exp: no gradient for q and k. Was D "
    "left out of dS?",
)
### BEGIN HIDDEN TESTS
draw = check.generator("tiled_gradients")


@check.probe
def arguments_after(q, k, v, o, lse, do, dlse):
    tiled_gradients(*(q, k, v, (o, lse), (do, dlse), 2, False))
    return q, k, v, o, lse, do, dlse


def drawn(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=draw)


def by_autograd(q, k, v, do, dlse, causal):
    """Output, log-sum-exp and gradients, through the whole table."""
    q, k, v = (x.clone().requires_grad_() for x in (q, k, v))
    n_q, n_k = q.shape[-2], k.shape[-2]
    table = torch.einsum("...id,...jd->...ij", q, k) / q.shape[-1] ** 0.5
    blind = max(n_q - n_k, 0) if causal else 0
    if causal:
        future = torch.ones(n_q, n_k, dtype=torch.bool).triu(n_k - n_q + 1)
        table = table.masked_fill(future, -torch.inf)
    o = table[..., blind:, :].softmax(-1) @ v
    lse = table[..., blind:, :].logsumexp(-1)
    pulled = torch.autograd.grad(
        (o, lse), (q, k, v), (do[..., blind:, :], dlse[..., blind:])
    )
    none = torch.full((*q.shape[:-2], blind), -torch.inf, dtype=q.dtype)
    o = torch.cat([do.new_zeros(*do.shape[:-2], blind, do.shape[-1]), o.detach()], -2)
    return (o, torch.cat([none, lse.detach()], -1)), pulled


for n_q, n_k, d, d_v, block, causal in (
    (7, 7, 3, 5, 3, False),
    (5, 12, 4, 2, 4, True),
    (12, 5, 2, 3, 5, True),
    (12, 5, 9, 3, 2, False),
    (1, 9, 5, 1, 4, True),
    (6, 6, 4, 4, 64, True),
    (4, 4, 1, 1, 1, False),
):
    q, k, v = drawn(2, n_q, d), drawn(2, n_k, d), drawn(2, n_k, d_v)
    do, dlse = drawn(2, n_q, d_v), drawn(2, n_q)
    out, want = by_autograd(q, k, v, do, dlse, causal)
    words = f"{n_q} queries, {n_k} keys, blocks of {block}"
    words += ", causal" if causal else ""
    got = tiled_gradients(q, k, v, out, (do, dlse), block, causal)
    check.close(got, want, f"not the gradients of the whole table: {words}")
    check.close(
        tiled_gradients(q, k, v, out, (do, dlse), block + 1, causal),
        want,
        f"another block must not give another result: {words}",
    )
    single = [x.float() for x in (q, k, v, *out, do, dlse)]
    check.close(
        tiled_gradients(
            *single[:3], tuple(single[3:5]), tuple(single[5:]), block, causal
        ),
        tuple(x.float() for x in want),
        f"float32 must stay float32: {words}",
        rtol=1e-3,
        atol=1e-4,
    )
    given = (q, k, v, *out, do, dlse)
    check.close(
        arguments_after(*(x.clone() for x in given)),
        given,
        f"an argument was changed in place: {words}",
    )
large, k, v = 600 * drawn(2, 8, 3), drawn(2, 8, 3), drawn(2, 8, 2)
sent = drawn(2, 8, 2), drawn(2, 8)
out, want = by_autograd(large, k, v, *sent, False)
check.close(
    tiled_gradients(large, k, v, out, sent, 3, False),
    want,
    "scores of a thousand: exponentiate the difference, not each of the two",
)
### END HIDDEN TESTS


# %% test="tiled_gradients" aspect="memory" points=1
@check.probe
def held(q, block):
    from lib.attention_efficiency import meters

    n = len(q)
    lse = torch.full((n,), n, dtype=q.dtype).log()
    with meters.Allocations() as seen:
        tiled_gradients(0 * q, q, q, (q, lse), (q, lse), block, False)
    return seen.largest, seen.peak


largest, peak = held(torch.ones(64, 2), 4)
if not largest <= 3 * 64 * 2:
    raise AssertionError(
        f"64 queries and keys, tiles of 4 by 4: a tensor of {largest} numbers was "
        "made. q, k and v have 128 each, a tile 16, a strip of scores 256, the table "
        "4,096"
    )
### BEGIN HIDDEN TESTS
draw = check.generator("tiled_gradients memory")
for n, d, block in ((192, 4, 8), (160, 2, 8)):
    largest, peak = held(torch.randn(n, d, generator=draw), block)
    if not largest <= 3 * n * d:
        raise AssertionError(
            f"{n} queries and keys of width {d}, tiles of {block} by {block}: a tensor "
            "with more numbers than q, k, v or a tile was made"
        )
    if not peak <= 4 * (12 * n * d + 16 * block * block):
        raise AssertionError(
            f"{n} queries and keys, tiles of {block} by {block}: too many numbers are "
            "alive at once. Are tiles kept for later?"
        )
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · The least traffic
#
# Queries in the outer loop, keys inside, as in FlashAttention-2. Fast memory holds at most $M$ numbers, and this time everything counts: a block of $b_q$ queries ($b_q d$), their sums acc ($b_q d$), m and ℓ ($2 b_q$), a block of keys and values ($2 b_k d$), and the tile of scores ($b_q b_k$). Slow memory is read and written like this: each query once, each output once, each log-sum-exp once, and all keys and values once for every block of queries. Which sizes cost least, and how much is that? Their choice is free, between 1 and the length.
#
# <details><summary>Hint 1</summary>Only the number of query blocks can be changed, and a started block costs as much as a full one. Is b_k good for anything?</details>
# <details><summary>Hint 2</summary>The smallest block of keys leaves the most room for queries. Solve the condition for b_q.</details>


# %% solution="least_traffic" difficulty=2 minutes=15
def least_traffic(n_q, n_k, d, M):
    """The fewest numbers read from and written to slow memory, over all block sizes.

    n_q queries, n_k keys and values, all of width d; fast memory of M numbers, enough
    for blocks of one. All are integers from 1 on. Returns an integer.
    """
    ### BEGIN SOLUTION
    block = (M - 2 * d) // (2 * d + 3)
    passes = -(-n_q // block)
    return 2 * n_q * d + n_q + passes * 2 * n_k * d
    ### END SOLUTION


# %% test="least_traffic" points=2
check.close(
    least_traffic(3, 5, 2, 1000),
    3 * 2 + 3 * 2 + 3 + 2 * 5 * 2,
    "everything fits: each number passes once, 35 in all",
)
check.close(
    least_traffic(3, 5, 2, 11),
    3 * 2 + 3 * 2 + 3 + 3 * 2 * 5 * 2,
    "room for one query and one key, 2 + 2 + 2 + 4 + 1 = 11 numbers: keys and values "
    "pass three times, 75 in all",
)
check.close(
    least_traffic(3, 5, 2, 18),
    3 * 2 + 3 * 2 + 3 + 2 * 2 * 5 * 2,
    "18 numbers are room for two queries and one key, not for two and two: keys and "
    "values pass twice, 55 in all",
)
### BEGIN HIDDEN TESTS
draw = check.rng("least_traffic")


def by_search(n_q, n_k, d, M):
    found = []
    for rows in range(1, n_q + 1):
        for columns in range(1, n_k + 1):
            if 2 * rows * (d + 1) + columns * (2 * d + rows) <= M:
                blocks = len(range(0, n_q, rows))
                found.append(n_q * (2 * d + 1) + 2 * blocks * n_k * d)
    return min(found)


for _ in range(40):
    n_q, n_k = (int(x) for x in draw.integers(1, 40, 2))
    d = int(draw.integers(1, 12))
    M = 4 * d + 3 + int(draw.integers(0, 30 * d))
    check.close(
        least_traffic(n_q, n_k, d, M),
        by_search(n_q, n_k, d, M),
        f"{n_q} queries, {n_k} keys, width {d}, M = {M}: some block sizes that fit cost "
        "less, or these do not fit",
    )
base = least_traffic(40_000, 40_000, 64, 20_000)
for change, factor, words in (
    ((80_000, 80_000, 64, 20_000), 4.0, "twice the length: four times the traffic"),
    ((40_000, 40_000, 128, 20_000), 4.0, "twice the width: four times the traffic"),
    ((40_000, 40_000, 64, 40_000), 0.5, "twice the fast memory: half the traffic"),
    ((40_000, 80_000, 64, 20_000), 2.0, "twice the keys: twice the traffic"),
):
    check.close(least_traffic(*change) / base, factor, words, rtol=0.1)
### END HIDDEN TESTS
