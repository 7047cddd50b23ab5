"""Softmax in one pass, and exact attention that never holds the table of all scores.

Everywhere: scores are q·k / √d unless `scale` says otherwise. `causal` is aligned at
the bottom right: query i of n_q sees key j of n_k where j <= i + n_k - n_q, so that the
last query sees all keys, as in decoding with a cache; PyTorch's `is_causal=True` aligns
at the top left. A query that sees no key gets the output 0 and the log-sum-exp −∞.

Sources: Milakov and Gimelshein 2018, *Online normalizer calculation for softmax*,
arXiv:1805.02867; Rabe and Staats 2021, arXiv:2112.05682; Dao et al. 2022,
*FlashAttention*, arXiv:2205.14135; Dao 2023, *FlashAttention-2*, arXiv:2307.08691.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class Stats(NamedTuple):
    """What is known of some rows after some of their keys.

    m is the greatest score, l the sum of exp(score - m), acc that of exp(score - m) v.
    The part of the output that these keys make is acc / l.
    """

    m: Float[Tensor, "*rows"]
    l: Float[Tensor, "*rows"]  # noqa: E741
    acc: Float[Tensor, "*rows d_v"]


# The same attention, with the table


def causal_mask(
    n_q: int, n_k: int, device: torch.device | None = None
) -> Bool[Tensor, "n_q n_k"]:
    """True where query i may see key j: j <= i + n_k - n_q, aligned bottom right.

    For n_q > n_k the first queries see nothing. PyTorch's `is_causal` is j <= i.
    """
    mask = torch.ones(n_q, n_k, dtype=torch.bool, device=device)
    return mask.tril(n_k - n_q)


def sdpa(
    q: Float[Tensor, "*batch n_q d"],
    k: Float[Tensor, "*batch n_k d"],
    v: Float[Tensor, "*batch n_k d_v"],
    mask: Bool[Tensor, "#n_q #n_k"] | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> Float[Tensor, "*batch n_q d_v"]:
    """softmax(q kᵀ · scale) v with the table of scores held whole.

    `mask` is true where a query may look; with `causal` too, both must agree. A row
    that sees nothing is 0: softmax of −∞ alone would be NaN.
    Source: Vaswani et al. 2017, equation 1.
    """
    scores = q @ k.mT * _scale(q, scale)
    if causal:
        seen = causal_mask(*scores.shape[-2:], device=q.device)
        mask = seen if mask is None else mask & seen
    if mask is None:
        return scores.softmax(-1) @ v
    scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1).masked_fill(~mask.any(-1, keepdim=True), 0.0) @ v


def _scale(q: Tensor, scale: float | None) -> float:
    return q.shape[-1] ** -0.5 if scale is None else scale


# Softmax in one pass


def _finite(m: Tensor) -> Tensor:
    """m with 0 for −∞, so that −∞ - m is −∞ and not NaN where nothing was seen."""
    return torch.where(m == -torch.inf, torch.zeros_like(m), m)


def empty_stats(q: Float[Tensor, "*rows d"], d_v: int) -> Stats:
    """The identity of `merge_stats` for the rows of q: no key seen, (−∞, 0, 0)."""
    m = q.new_full(q.shape[:-1], -torch.inf)
    return Stats(m, torch.zeros_like(m), q.new_zeros(*q.shape[:-1], d_v))


def tile_stats(
    scores: Float[Tensor, "*batch n keys"], v: Float[Tensor, "*batch keys d_v"]
) -> Stats:
    """What a tile of scores says of its rows; −∞ is a key that the row does not see.

    Source: Dao et al. 2022, algorithm 1, line 10.
    """
    m = scores.amax(-1)
    p = (scores - _finite(m)[..., None]).exp()
    return Stats(m, p.sum(-1), p @ v)


def merge_stats(a: Stats, b: Stats) -> Stats:
    """The stats of the keys of a and those of b together.

    Associative and commutative, with the identity (−∞, 0, 0). Whichever maximum is the
    smaller, its sums are scaled down: nothing grows, so nothing overflows.
    Source: Milakov and Gimelshein 2018, equation 4; Dao et al. 2022, section 3.1.
    """
    m = torch.maximum(a.m, b.m)
    left, right = (a.m - _finite(m)).exp(), (b.m - _finite(m)).exp()
    acc = left[..., None] * a.acc + right[..., None] * b.acc
    return Stats(m, left * a.l + right * b.l, acc)


def finish(
    stats: Stats,
) -> tuple[Float[Tensor, "*rows d_v"], Float[Tensor, "*rows"]]:
    """(output acc / l, log-sum-exp m + log l); (0, −∞) for rows that saw nothing."""
    l = torch.where(stats.l == 0, torch.ones_like(stats.l), stats.l)  # noqa: E741
    return stats.acc / l[..., None], stats.m + stats.l.log()


def online_softmax_stats(
    x: Float[Tensor, "*rows n"], block: int
) -> tuple[Float[Tensor, "*rows"], Float[Tensor, "*rows"]]:
    """The maximum of each row and its sum of exp(x - maximum), from one pass over x.

    softmax(x) is exp(x - m) / sum. Source: Milakov and Gimelshein 2018, algorithm 3.

    Raises:
        ValueError: block is below 1.
    """
    m = x.new_full(x.shape[:-1], -torch.inf)
    total = torch.zeros_like(m)
    for columns in spans(x.shape[-1], block):
        new = torch.maximum(m, x[..., columns].amax(-1))
        added = (x[..., columns] - _finite(new)[..., None]).exp().sum(-1)
        total = (m - _finite(new)).exp() * total + added
        m = new
    return m, total


# Attention in tiles


def spans(n: int, block: int) -> Iterator[slice]:
    """0..n cut into slices of `block`, the last as short as it must be.

    Raises:
        ValueError: block is below 1.
    """
    if block < 1:
        raise ValueError(f"block must be at least 1, got {block}")
    for start in range(0, n, block):
        yield slice(start, min(start + block, n))


class _Tiles(NamedTuple):
    """Which pairs of a query block and a key block there are, and their scores."""

    q: Tensor
    k: Tensor
    block_q: int
    block_k: int
    causal: bool
    scale: float

    def rows(self) -> Iterator[slice]:
        return spans(self.q.shape[-2], self.block_q)

    def columns(self, rows: slice) -> Iterator[slice]:
        """The blocks of keys of which some query of `rows` sees a key."""
        last = rows.stop - 1 + self._shift()
        for columns in spans(self.k.shape[-2], self.block_k):
            if not self.causal or columns.start <= last:
                yield columns

    def scores(self, rows: slice, columns: slice) -> Tensor:
        scores = self.q[..., rows, :] @ self.k[..., columns, :].mT * self.scale
        if self.causal and columns.stop - 1 > rows.start + self._shift():
            i = torch.arange(rows.start, rows.stop, device=scores.device)[:, None]
            j = torch.arange(columns.start, columns.stop, device=scores.device)
            scores = scores.masked_fill(j > i + self._shift(), -torch.inf)
        return scores

    def _shift(self) -> int:
        return self.k.shape[-2] - self.q.shape[-2]


def flash_attention(
    q: Float[Tensor, "*batch n_q d"],
    k: Float[Tensor, "*batch n_k d"],
    v: Float[Tensor, "*batch n_k d_v"],
    block_q: int = 128,
    block_k: int = 128,
    causal: bool = False,
    scale: float | None = None,
) -> tuple[Float[Tensor, "*batch n_q d_v"], Float[Tensor, "*batch n_q"]]:
    """(output, log-sum-exp of each query's scores), a tile of scores at a time.

    Queries in the outer loop and one division at the end, as FlashAttention-2; in
    FlashAttention the keys are outside. Tiles that nobody sees are left out.
    Source: Dao 2023, algorithm 1.

    Raises:
        ValueError: a block is below 1.
    """
    tiles = _Tiles(q, k, block_q, block_k, causal, _scale(q, scale))
    o, lse = q.new_empty(*q.shape[:-1], v.shape[-1]), q.new_empty(q.shape[:-1])
    for rows in tiles.rows():
        stats = empty_stats(q[..., rows, :], v.shape[-1])
        for columns in tiles.columns(rows):
            tile = tile_stats(tiles.scores(rows, columns), v[..., columns, :])
            stats = merge_stats(stats, tile)
        o[..., rows, :], lse[..., rows] = finish(stats)
    return o, lse


def flash_attention_backward(
    do: Float[Tensor, "*batch n_q d_v"],
    q: Float[Tensor, "*batch n_q d"],
    k: Float[Tensor, "*batch n_k d"],
    v: Float[Tensor, "*batch n_k d_v"],
    o: Float[Tensor, "*batch n_q d_v"],
    lse: Float[Tensor, "*batch n_q"],
    block_q: int = 128,
    block_k: int = 128,
    causal: bool = False,
    scale: float | None = None,
) -> tuple[
    Float[Tensor, "*batch n_q d"],
    Float[Tensor, "*batch n_k d"],
    Float[Tensor, "*batch n_k d_v"],
]:
    """(dq, dk, dv) from the gradient of the output; every tile is computed again.

    `o` and `lse` are what `flash_attention` gave for the same q, k, v, causal, scale.
    Source: Dao et al. 2022, algorithm 4, and Dao 2023, algorithm 2; without dropout.

    Raises:
        ValueError: a block is below 1.
    """
    scale = _scale(q, scale)
    tiles = _Tiles(q, k, block_q, block_k, causal, scale)
    dq, dk, dv = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
    D = (do * o).sum(-1, keepdim=True)
    for rows in tiles.rows():
        own = do[..., rows, :]
        for columns in tiles.columns(rows):
            log_p = tiles.scores(rows, columns) - _finite(lse[..., rows])[..., None]
            p = log_p.exp()
            dv[..., columns, :] += p.mT @ own
            ds = p * (own @ v[..., columns, :].mT - D[..., rows, :])
            dq[..., rows, :] += scale * ds @ k[..., columns, :]
            dk[..., columns, :] += scale * ds.mT @ q[..., rows, :]
    return dq, dk, dv


class FlashAttention(torch.autograd.Function):
    """`flash_attention` with its own backward: `FlashAttention.apply(q, k, v, block,
    causal)` gives the output and saves q, k, v, it and the log-sum-exp, no table.
    """

    @staticmethod
    def forward(ctx, q, k, v, block=128, causal=False):  # noqa: ANN001
        o, lse = flash_attention(q, k, v, block, block, causal)
        ctx.save_for_backward(q, k, v, o, lse)
        ctx.setting = block, block, causal
        return o

    @staticmethod
    def backward(ctx, do):  # noqa: ANN001
        saved = ctx.saved_tensors
        gradients = flash_attention_backward(do, *saved, *ctx.setting)
        return *gradients, None, None
