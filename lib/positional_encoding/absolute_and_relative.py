"""Where order enters attention: position vectors added to tokens, or terms in scores.

Expand (x_i + p_i) W_Q W_K^T (x_j + p_j)^T. Absolute encodings keep all four terms and
choose p; relative ones keep, replace or drop each term. Relative positions are key
minus query, j - i, as in Shaw and T5; Transformer-XL and DeBERTa write i - j.

Source: Su 2021, kexue.fm/archives/8130, and the papers named at each function.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

Layout = Literal["interleaved", "half"]
LAYOUTS = ("interleaved", "half")


def sinusoidal(
    n: int, d: int, base: float = 1e4, layout: Layout = "interleaved"
) -> Float[Tensor, "n d"]:
    """Sines and cosines of k * base ** (-2i / d), for positions k = 0 ... n - 1.

    `layout` says where they go. *interleaved*: sine in channel 2i, cosine in 2i + 1
    (the paper). *half*: all sines, then all cosines (RoFormer in transformers); inner
    products are the same. Another exponent, i / (d/2 - 1), is that of tensor2tensor
    and fairseq: inner products are not the same. In float64.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5.

    Raises:
        ValueError: `d` is not even and positive, `n` is negative, `base` is not
            positive, or `layout` is neither.
    """
    if n < 0:
        raise ValueError(f"n must not be negative, got {n}")
    if d < 2 or d % 2:
        raise ValueError(f"d must be even and positive, got {d}")
    if base <= 0:
        raise ValueError(f"base must be positive, got {base}")
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {LAYOUTS}, got {layout!r}")
    frequency = base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angle = torch.arange(n)[:, None] * frequency
    waves = angle.sin(), angle.cos()
    if layout == "half":
        return torch.cat(waves, -1)
    return torch.stack(waves, -1).flatten(1)


def relative_positions(nq: int, nk: int) -> Int[Tensor, "nq nk"]:
    """j - i for query i and key j: negative where the key comes first.

    Both count from 0. A query that comes after a cache of `c` keys stands at i + c:
    subtract c.
    """
    return torch.arange(nk)[None, :] - torch.arange(nq)[:, None]


def four_terms(
    score: Callable[[Tensor, Tensor], Tensor],
    queries: Float[Tensor, "*rows n d"],
    keys: Float[Tensor, "*rows m d"],
) -> dict[str, Float[Tensor, "*rows n m"]]:
    """Split a table of scores by who speaks: content or position, on either side.

    `score(queries, keys)` maps contents to scores and brings its own positions. What
    is left when contents are zero comes from positions: the four tables add up to
    score(queries, keys), and for x + p they are the four products of the expansion.
    """
    no_query, no_key = torch.zeros_like(queries), torch.zeros_like(keys)
    neither = score(no_query, no_key)
    from_query = score(queries, no_key) - neither
    from_key = score(no_query, keys) - neither
    return {
        "content–content": score(queries, keys) - from_query - from_key - neither,
        "content–position": from_query,
        "position–content": from_key,
        "position–position": neither,
    }


def shaw_scores(
    q: Float[Tensor, "batch heads n d"],
    k: Float[Tensor, "batch heads m d"],
    r_k: Float[Tensor, "n m d"],
) -> Float[Tensor, "batch heads n m"]:
    """q_i · (k_j + r_k[i, j]) / sqrt(d): a vector for each relative position.

    `r_k` holds, for each pair, a row of a table of relative positions clipped to
    -c ... c; all heads share it. It replaces the key's position and the query's is
    dropped.

    Source: Shaw et al. 2018, arXiv:1803.02155, equation 4.
    """
    scores = q @ k.mT + torch.einsum("bhid,ijd->bhij", q, r_k)
    return scores / q.shape[-1] ** 0.5


def shaw_attention(
    q: Float[Tensor, "batch heads n d"],
    k: Float[Tensor, "batch heads m d"],
    v: Float[Tensor, "batch heads m e"],
    r_k: Float[Tensor, "n m d"],
    r_v: Float[Tensor, "n m e"],
) -> Float[Tensor, "batch heads n e"]:
    """The mean of v_j + r_v[i, j], weighted by the softmax of `shaw_scores`.

    The one relative scheme here that tells the values, too, how far away they are.

    Source: Shaw et al. 2018, arXiv:1803.02155, equations 3 and 4.
    """
    weights = shaw_scores(q, k, r_k).softmax(-1)
    return weights @ v + torch.einsum("bhij,ije->bhie", weights, r_v)


def rel_shift(
    x: Float[Tensor, "batch heads n span"],
) -> Float[Tensor, "batch heads n n"]:
    """From columns by relative position to columns by key, without a table of indices.

    In `x` column c of every row belongs to j - i = c - (N - 1), and there are 2N - 1:
    out[..., i, j] = x[..., i, j - i + N - 1]. One padded column makes each row one
    longer; read on at the old length, and each row begins one place further left than
    the row above. Transformer-XL's own code shifts N columns of the past only, and
    leaves rubbish above the diagonal for the causal mask to hide.

    Source: Dai et al. 2019, arXiv:1901.02860, appendix B.

    Raises:
        ValueError: `x` has not 2N - 1 columns.
    """
    n, span = x.shape[-2:]
    if span != 2 * n - 1:
        raise ValueError(f"x must have {2 * n - 1} columns for {n} rows, got {span}")
    flat = F.pad(x, (0, 1)).flatten(-2)[..., n - 1 :]
    return flat[..., : n * span].unflatten(-1, (n, span))[..., :n]


def xl_scores(
    q: Float[Tensor, "batch heads n d"],
    k: Float[Tensor, "batch heads n d"],
    r: Float[Tensor, "heads span d"],
    u: Float[Tensor, "heads d"],
    w: Float[Tensor, "heads d"],
) -> Float[Tensor, "batch heads n n"]:
    """((q_i + u) · k_j + (q_i + w) · r_{j-i}) / sqrt(d): all four terms, repaired.

    `r` is W_{K,R} of a sinusoid for each j - i = -(N - 1) ... N - 1; `u` and `w` (`v`
    in the paper) stand where the query's position was. The products with r are formed
    once for each relative position, and shifted into place.

    Source: Dai et al. 2019, arXiv:1901.02860, section 3.3; XLNet has the same.
    """
    content = (q + u[:, None]) @ k.mT
    position = rel_shift((q + w[:, None]) @ r.mT)
    return (content + position) / q.shape[-1] ** 0.5


def xl_attention(
    q: Float[Tensor, "batch heads n d"],
    k: Float[Tensor, "batch heads n d"],
    v: Float[Tensor, "batch heads n e"],
    r: Float[Tensor, "heads span d"],
    u: Float[Tensor, "heads d"],
    w: Float[Tensor, "heads d"],
) -> Float[Tensor, "batch heads n e"]:
    """The mean of the values, weighted by the softmax of `xl_scores`; no mask."""
    return xl_scores(q, k, r, u, w).softmax(-1) @ v


def t5_bucket(
    rel: Int[Tensor, "*shape"],
    num_buckets: int = 32,
    max_distance: int = 128,
    bidirectional: bool = True,
) -> Int[Tensor, "*shape"]:
    """The bucket of each relative position, key minus query: fine near, coarse far.

    Of the m buckets for one direction the first e = m // 2 hold one distance each, the
    others grow like a logarithm up to `max_distance`, and the last takes all beyond.
    Bidirectional: m = num_buckets // 2, and keys after the query have m added. Causal:
    m = num_buckets, and keys after the query count as distance 0.

    Source: Raffel et al. 2020, arXiv:1910.10683, section 2.1, and the released code.

    Raises:
        ValueError: `num_buckets` leaves no distance a bucket of its own, or
            `max_distance` is not beyond those.
    """
    m = num_buckets // 2 if bidirectional else num_buckets
    e = m // 2
    if e < 1:
        least = 4 if bidirectional else 2
        raise ValueError(f"num_buckets must be at least {least}, got {num_buckets}")
    if max_distance <= e:
        raise ValueError(f"max_distance must be above {e}, got {max_distance}")
    n = rel.abs() if bidirectional else (-rel).clamp(min=0)
    far = (n.clamp(min=e) / e).log() / math.log(max_distance / e) * (m - e)
    bucket = torch.where(n < e, n, (e + far.long()).clamp(max=m - 1))
    return bucket + m * (rel > 0) if bidirectional else bucket


def t5_scores(
    q: Float[Tensor, "batch heads n d"],
    k: Float[Tensor, "batch heads m d"],
    table: Float[Tensor, "heads buckets"],
    max_distance: int = 128,
    bidirectional: bool = True,
) -> Float[Tensor, "batch heads n m"]:
    """q_i · k_j plus one number for each head and bucket; not divided by sqrt(d).

    All layers of a T5 share one `table`. What others divide by sqrt(d), T5 leaves to
    the initial weights: with a table trained so, dividing is a mistake.

    Source: Raffel et al. 2020, arXiv:1910.10683, section 2.1.
    """
    rel = relative_positions(q.shape[-2], k.shape[-2]).to(table.device)
    buckets = t5_bucket(rel, table.shape[1], max_distance, bidirectional)
    return q @ k.mT + table[:, buckets]


def deberta_scores(
    q: Float[Tensor, "batch heads n d"],
    k: Float[Tensor, "batch heads m d"],
    r_q: Float[Tensor, "heads span d"],
    r_k: Float[Tensor, "heads span d"],
) -> Float[Tensor, "batch heads n m"]:
    """Three terms of four, divided by sqrt(3d): position never meets position.

    Rows of `r_q` and `r_k` are i - j = -c ... c - 1, clipped, span = 2c. A key looks
    back at its query, so its relative position is j - i: another row of `r_q`. The code
    in transformers takes row i - j there, too: the same rows learned in reverse.

    Source: He et al. 2021, arXiv:2006.03654, section 3.1.
    """
    span = r_q.shape[1]
    rel = relative_positions(q.shape[-2], k.shape[-2]).to(q.device)
    seen_by_query = (span // 2 - rel).clamp(0, span - 1)
    seen_by_key = (span // 2 + rel).clamp(0, span - 1)
    to_position = torch.einsum("bhid,hijd->bhij", q, r_k[:, seen_by_query])
    from_position = torch.einsum("bhjd,hijd->bhij", k, r_q[:, seen_by_key])
    return (q @ k.mT + to_position + from_position) / (3 * q.shape[-1]) ** 0.5
