"""Performer: softmax attention estimated with random features, and what that costs.

exp(q . k) is the mean of phi(q) . phi(k) over random features phi, so attention becomes
a product of features, linear in the number of tokens. Rows of `W` (m, d) are the random
directions omega ~ N(0, I); m always counts draws of omega, also where a draw makes two
features. Features are of exp(q . k): attention with its 1/sqrt(d) first multiplies
queries and keys by d^(-1/4).

Sources: Choromanski et al. 2021, *Rethinking Attention with Performers*,
arXiv:2009.14794; Mezzadri 2007, arXiv:math-ph/0609050, for the signs of QR.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from scipy.special import hyp1f1
from torch import Tensor

from lib.attention_efficiency.linear_attention import normalised_product

Kind = Literal["positive", "hyperbolic", "trigonometric"]


# Random directions


def gaussian(m: int, d: int, generator: torch.Generator) -> Float[Tensor, "m d"]:
    """m independent rows of N(0, I), float64, on the generator's device."""
    return torch.randn(
        m, d, generator=generator, dtype=torch.float64, device=generator.device
    )


def orthogonal_gaussian(
    m: int, d: int, generator: torch.Generator
) -> Float[Tensor, "m d"]:
    """m rows, each of them N(0, I), orthogonal within each block of d; float64.

    The directions of a block are a rotation drawn uniformly, the lengths follow chi
    with d degrees of freedom, as independent normal rows have them. The last block is
    cut if d does not divide m. QR fixes the signs of its columns by a convention of
    LAPACK; multiplied by those of R's diagonal they are random again. Code released
    with the paper leaves the signs as they are, and its rows have a mean.

    Source: Choromanski et al. 2021, section 2.4; Mezzadri 2007 for the signs.

    Raises:
        ValueError: m or d is below 1.
    """
    if m < 1 or d < 1:
        raise ValueError(f"m and d must be at least 1, got {m} and {d}")
    blocks = -(-m // d)
    q, r = torch.linalg.qr(gaussian(blocks * d, d, generator).view(blocks, d, d))
    q = q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    lengths = gaussian(m, d, generator).norm(dim=1, keepdim=True)
    return lengths * q.mT.reshape(-1, d)[:m]


# Features of exp(q . k)


def positive_features(
    x: Float[Tensor, "*batch n d"], W: Float[Tensor, "m d"]
) -> Float[Tensor, "*batch n m"]:
    """exp(omega . x - |x|²/2) / sqrt(m), one for each row omega of W.

    Source: Choromanski et al. 2021, lemma 1.
    """
    square = x.square().sum(-1, keepdim=True)
    return torch.exp(x @ W.T - square / 2) / math.sqrt(len(W))


def hyperbolic_features(
    x: Float[Tensor, "*batch n d"], W: Float[Tensor, "m d"]
) -> Float[Tensor, "*batch n two_m"]:
    """Positive features of every omega and of -omega: two for each row of W.

    Source: Choromanski et al. 2021, lemma 1, there with half as many draws.
    """
    return positive_features(x, torch.cat([W, -W]))


def trig_features(
    x: Float[Tensor, "*batch n d"], W: Float[Tensor, "m d"]
) -> Float[Tensor, "*batch n two_m"]:
    """exp(|x|²/2) (cos omega . x, sin omega . x) / sqrt(m): two for each row of W.

    Products of these may be negative. Source: Rahimi and Recht 2007; Choromanski et
    al. 2021, section 2.3.
    """
    square, angle = x.square().sum(-1, keepdim=True), x @ W.T
    waves = torch.cat([angle.cos(), angle.sin()], -1)
    return torch.exp(square / 2) * waves / math.sqrt(len(W))


FEATURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "positive": positive_features,
    "hyperbolic": hyperbolic_features,
    "trigonometric": trig_features,
}


def _check_kind(kind: str) -> None:
    if kind not in FEATURES:
        raise ValueError(f"kind must be one of {list(FEATURES)}, got {kind!r}")


# What an estimate costs


def _spread(product: Tensor, kind: str) -> Tensor:
    """Covariance of two relative errors with the same omega, from z . z' (below)."""
    if kind == "positive":
        return torch.expm1(product)
    return 2 * torch.sinh(product / 2) ** 2  # cosh - 1, also where it is tiny


def _combine(q: Tensor, k: Tensor, kind: str) -> Tensor:
    """z: q + k, or q - k for trigonometric features; their errors depend on it only."""
    return q - k if kind == "trigonometric" else q + k


def relative_variance(
    kind: Kind, q: Float[Tensor, "*batch d"], k: Float[Tensor, "*batch d"]
) -> Float[Tensor, "*batch"]:
    """Variance of phi(q) . phi(k) / exp(q . k) with one draw of omega.

    With m independent draws it is an m-th of this, and times exp(2 q . k) it is the
    variance of the estimate itself, as the paper gives it.

    Source: Choromanski et al. 2021, lemma 2, there not divided by the squared
    kernel. Raises ValueError for another kind.
    """
    _check_kind(kind)
    return _spread(_combine(q, k, kind).square().sum(-1), kind)


def orthogonal_covariance(
    kind: Kind, q: Float[Tensor, "*batch d"], k: Float[Tensor, "*batch d"]
) -> Float[Tensor, "*batch"]:
    """Covariance of two relative errors whose omegas are orthogonal to each other.

    With s = |q + k|² it is exp(-s) 1F1(d; d/2; s/2) - 1, with Kummer's function 1F1;
    for trigonometric features -|q - k|² stands for s. Derived in the chapter; theorem
    2 of the paper bounds the gain from below. Raises ValueError for another kind.
    """
    _check_kind(kind)
    d = q.shape[-1]
    s = _combine(q, k, kind).square().sum(-1).double().cpu()
    s = -s if kind == "trigonometric" else s
    value = torch.as_tensor(hyp1f1(d, d / 2, (s / 2).numpy()), dtype=torch.float64)
    return ((-s).exp() * value - 1).to(q)


def orthogonal_variance(
    kind: Kind, q: Float[Tensor, "*batch d"], k: Float[Tensor, "*batch d"], m: int
) -> Float[Tensor, "*batch"]:
    """Variance of phi(q) . phi(k) / exp(q . k) with m draws, orthogonal in blocks of d.

    Raises ValueError for another kind, or m below 1.
    """
    if m < 1:
        raise ValueError(f"m must be at least 1, got {m}")
    d = q.shape[-1]
    pairs = m // d * d * (d - 1) + m % d * (m % d - 1)
    alone = relative_variance(kind, q, k) / m
    return alone + pairs / m**2 * orthogonal_covariance(kind, q, k)


def attention_error(
    kind: Kind,
    q: Float[Tensor, "n_q d"],
    k: Float[Tensor, "n_k d"],
    v: Float[Tensor, "n_k e"],
) -> Float[Tensor, ""]:
    """Relative error of attention's output with one independent draw, to first order.

    sqrt(E |estimate - o|² / |o|²) over all queries, o the exact output; with m draws
    it is this over sqrt(m), as long as that is small. Takes n_q n_k² numbers: a
    formula for small sizes. Raises ValueError for another kind.
    """
    _check_kind(kind)
    scale = q.shape[-1] ** -0.25
    weights = (q @ k.T / math.sqrt(q.shape[-1])).softmax(-1)
    exact = weights @ v
    z = _combine(q[:, None] * scale, k[None] * scale, kind)
    pull = weights[..., None] * (v[None] - exact[:, None])
    squares = _spread(z @ z.mT, kind) * (pull @ pull.mT)
    return (squares.sum() / exact.square().sum()).sqrt()


# Attention


def stabilised_features(
    x: Float[Tensor, "*batch n d"],
    W: Float[Tensor, "m d"],
    is_query: bool,
    kind: Kind = "positive",
    eps: float = 0.0,
) -> Float[Tensor, "*batch n features"]:
    """Features up to a factor that cancels in attention, so that none overflows.

    The largest exponent is subtracted: of each query by itself, of all keys of a head
    together, since a factor of one key changes its weight. `eps` is then added to every
    feature. In the released code, with eps = 1e-4, the maximum is that of omega . x
    alone, without -|x|²/2: the features of a long query then sink below eps.

    Source: Choromanski et al. 2021, the code released with it.
    Raises ValueError for another kind.
    """
    _check_kind(kind)
    square = x.square().sum(-1, keepdim=True) / 2
    if kind == "trigonometric":
        angle = x @ W.T
        waves, exponent = torch.cat([angle.cos(), angle.sin()], -1), square
    else:
        W = torch.cat([W, -W]) if kind == "hyperbolic" else W
        waves, exponent = 1.0, x @ W.T - square
    most = exponent.amax(-1 if is_query else (-1, -2), keepdim=True).detach()
    return (waves * torch.exp(exponent - most) + eps) / math.sqrt(len(W))


def performer_attention(
    q: Float[Tensor, "*batch n_q d"],
    k: Float[Tensor, "*batch n_k d"],
    v: Float[Tensor, "*batch n_k e"],
    W: Float[Tensor, "m d"],
    causal: bool = False,
    kind: Kind = "positive",
    eps: float = 0.0,
) -> Float[Tensor, "*batch n_q e"]:
    """Softmax attention, 1/sqrt(d) included, estimated with the directions in W.

    O(n m (d + e)) time. The numerator and the denominator are each unbiased up to a
    common factor, their ratio is not. With `causal` query i sees keys j <= i; with
    eps > 0 the maximum over all keys lets it see a little more.

    Source: Choromanski et al. 2021, algorithm 1.
    Raises ValueError for another kind, or `causal` with n_q and n_k unequal.
    """
    scale = q.shape[-1] ** -0.25
    phi_q = stabilised_features(q * scale, W, True, kind, eps)
    phi_k = stabilised_features(k * scale, W, False, kind, eps)
    return normalised_product(phi_q, phi_k, v, causal)
