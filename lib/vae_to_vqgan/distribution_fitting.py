"""Fitting one distribution to another, and telling two of them apart by samples alone.

Conventions: natural logarithms; every distance is 0 between equal distributions;
`frechet_distance`, `sliced_wasserstein` and both `mmd_rbf` are *squared* distances.

Sources: Dowson & Landau 1982 (Fréchet distance of Gaussians); Gretton et al. 2012
(MMD); Rabin et al. 2011 (sliced Wasserstein); Dinh et al. 2017, arXiv:1605.08803.
"""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

# Bits, by the chain rule


def chain_log_prob(
    x: Float[Tensor, "batch n"], weight: Float[Tensor, "n n"], bias: Float[Tensor, " n"]
) -> Float[Tensor, " batch"]:
    """log p(x) = sum_i log p(x_i | x_1 ... x_{i-1}) of rows of n bits, in nats.

    Each conditional is a logistic regression on the bits before: logit i is
    bias_i + sum_{j<i} weight_ij x_j. Of `weight` only what lies strictly below the
    diagonal is read: n (n + 1) / 2 numbers in all. Summed over bits, not averaged.
    """
    logits = x @ weight.tril(-1).T + bias
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)


def chain_sample(
    count: int,
    weight: Float[Tensor, "n n"],
    bias: Float[Tensor, " n"],
    generator: torch.Generator,
) -> Float[Tensor, "count n"]:
    """Draw bit after bit, each from its conditional: n steps, whatever `count` is."""
    x = bias.new_zeros(count, len(bias))
    coins = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
    for i in range(len(bias)):
        x[:, i] = (coins[:, i] < (x[:, :i] @ weight[i, :i] + bias[i]).sigmoid()).to(
            x.dtype
        )
    return x


# Kullback-Leibler divergence, in nats


def kl_mc(
    logp: Callable[[Tensor], Tensor],
    logq: Callable[[Tensor], Tensor],
    samples: Float[Tensor, "n ..."],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """KL(p || q) as the mean of log p - log q over samples *of p*, and its error.

    Both functions map `samples` to (n,) and must be normalised. The error is one
    standard error of the mean. With samples of q this would estimate -KL(q || p).

    Raises:
        ValueError: fewer than two samples.
    """
    if len(samples) < 2:
        raise ValueError(f"samples must be at least 2, got {len(samples)}")
    ratio = logp(samples) - logq(samples)
    return ratio.mean(), ratio.std() / math.sqrt(len(ratio))


def kl_on_grid(
    x: Float[Tensor, " n"],
    logp: Float[Tensor, "*rows n"],
    logq: Float[Tensor, "*rows n"],
) -> Float[Tensor, "*rows"]:
    """KL(p || q) by the trapezium rule; `logp`, `logq` normalised, on the grid `x`.

    Where p underflows the integrand is 0, as its limit is.
    """
    return torch.trapezoid(logp.exp() * (logp - logq).nan_to_num(0.0), x)


@cache
def _hermite(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of a mean under N(0, 1)."""
    z, weight = np.polynomial.hermite_e.hermegauss(nodes)
    return z, weight / weight.sum()


def reverse_kl(
    logp: Callable[[Tensor], Tensor],
    mu: Float[Tensor, " rows"],
    sigma: Float[Tensor, " rows"],
    nodes: int = 64,
) -> Float[Tensor, " rows"]:
    """KL(N(mu, sigma²) || p) of each row, by Gauss-Hermite quadrature.

    The negative entropy of the Gaussian, minus the mean of `logp` under it. `logp`
    maps (rows, nodes) to the same shape; where it is not normalised, the constant that
    is missing is missing here too, and the place of the minimum is the same.
    """
    z, weight = (torch.as_tensor(values).to(mu) for values in _hermite(nodes))
    x = mu[:, None] + sigma[:, None] * z
    entropy = sigma.log() + 0.5 * math.log(2 * math.pi * math.e)
    return -entropy - (weight * logp(x)).sum(-1)


def fit_reverse(
    logp: Callable[[Tensor], Tensor],
    mu: Float[Tensor, " rows"],
    sigma: Float[Tensor, " rows"],
) -> tuple[Float[Tensor, " rows"], Float[Tensor, " rows"]]:
    """Go down `reverse_kl` from each start to a local minimum: its mu and sigma.

    Which minimum depends on the start: give several, and keep the lowest.
    """
    place = torch.stack([mu, sigma.log()]).detach().clone().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [place], max_iter=80, tolerance_grad=1e-10, line_search_fn="strong_wolfe"
    )

    def total() -> Tensor:
        optimiser.zero_grad()
        value = reverse_kl(logp, place[0], place[1].exp()).sum()
        value.backward()
        return value

    optimiser.step(total)
    return place[0].detach(), place[1].detach().exp()


# Distances between samples, or between their moments


def frechet_distance(
    mu1: Float[Tensor, " d"],
    C1: Float[Tensor, "d d"],
    mu2: Float[Tensor, " d"],
    C2: Float[Tensor, "d d"],
) -> Float[Tensor, ""]:
    """|mu1 - mu2|² + tr(C1 + C2 - 2 (C1 C2)^{1/2}): W2² between two Gaussians.

    The trace of the root is the nuclear norm of C1^{1/2} C2^{1/2}, which is real
    whatever rounding does; the root of C1 C2 itself, which is not symmetric, may come
    out complex. The FID is this number for features of Inception-v3. It is squared:
    some papers print its root. Zero up to rounding for equal arguments; the gradient
    is not defined where a covariance is singular.

    Source: Dowson & Landau 1982; for images Heusel et al. 2017, arXiv:1706.08500.

    Raises:
        ValueError: the shapes do not fit, or a covariance is not symmetric.
    """
    for name, mu, C in (("C1", mu1, C1), ("C2", mu2, C2)):
        if C.shape != (len(mu1), len(mu1)) or mu.shape != mu1.shape:
            raise ValueError(
                f"{name} must be ({len(mu1)}, {len(mu1)}), got {tuple(C.shape)} "
                f"with means of {tuple(mu1.shape)} and {tuple(mu2.shape)}"
            )
        if (C - C.mT).abs().max() > 1e-4 * C.abs().max():
            raise ValueError(f"{name} must be symmetric, got differences across it")
    cross = torch.linalg.svdvals(_root(C1) @ _root(C2)).sum()
    return (mu1 - mu2).square().sum() + C1.trace() + C2.trace() - 2 * cross


def _root(C: Tensor) -> Tensor:
    """The symmetric root of a covariance. Eigenvalues that are rounding count as 0."""
    values, vectors = torch.linalg.eigh(C)
    least = len(C) * torch.finfo(C.dtype).eps * values.abs().max()
    return vectors * values.where(values > least, 0).sqrt() @ vectors.mT


def moments(
    x: Float[Tensor, "n d"],
) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
    """Mean and covariance of rows, divided by n - 1: what `frechet_distance` takes."""
    return x.mean(0), torch.cov(x.T).reshape(x.shape[1], x.shape[1])


def frechet_bias(C: Float[Tensor, "d d"], n: int) -> Float[Tensor, ""]:
    """What two samples of n from one Gaussian seem to be apart, to the order 1/n.

    The means give 2 tr C / n, the covariances sum_ij l_i l_j (1 + [i = j]) /
    (l_i + l_j) / n over eigenvalues l of C. For C = I together d (d + 5) / (2 n).
    """
    values = torch.linalg.eigvalsh(C).clamp(min=torch.finfo(C.dtype).tiny)
    pairs = values[:, None] * values / (values[:, None] + values)
    return (2 * values.sum() + pairs.sum() + pairs.trace()) / n


def sliced_wasserstein(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    n_proj: int,
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """Mean of W2² between projections of x and y on `n_proj` random unit vectors.

    In one dimension the best transport pairs the sorted values, or, where n and m
    differ, integrates the squared difference of the two quantile functions. The mean
    over directions of a shift by s is |s|² / d. Squared; some take the root.
    """
    axes = torch.randn(
        x.shape[1], n_proj, generator=generator, dtype=x.dtype, device=x.device
    )
    axes = axes / axes.norm(dim=0)
    x, y = (x @ axes).sort(0).values, (y @ axes).sort(0).values
    n, m = len(x), len(y)
    # Quantile functions are steps at i/n and j/m; in units of 1/(nm) all are whole.
    ends = torch.cat([torch.arange(n + 1) * m, torch.arange(1, m) * n]).unique()
    ends = ends.to(x.device)
    width = ends.diff().to(x.dtype) / (n * m)
    gap = x[ends[:-1] // m] - y[ends[:-1] // n]
    return (width[:, None] * gap.square()).sum(0).mean()


def rbf(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], sigmas: list[float]
) -> Float[Tensor, "n m"]:
    """Mean over `sigmas` of exp(-|x - y|² / (2 sigma²)): 1 where x = y.

    The rivals: exp(-gamma |x - y|²), or a sum over widths.

    Raises:
        ValueError: `sigmas` is empty or not positive.
    """
    if not sigmas or min(sigmas) <= 0:
        raise ValueError(f"sigmas must be positive, at least one, got {sigmas}")
    squared = torch.cdist(x, y).square()
    return sum((-squared / (2 * s * s)).exp() for s in sigmas) / len(sigmas)


def mmd_rbf(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], sigmas: list[float]
) -> Float[Tensor, ""]:
    """MMD² of two empirical distributions: all pairs, each point with itself too.

    Never negative, zero only for equal samples, and too large on average by what
    `mmd_rbf_unbiased` leaves out. Source: Gretton et al. 2012, the square of MMD_b.
    """
    k = rbf(x, x, sigmas).mean() + rbf(y, y, sigmas).mean()
    return k - 2 * rbf(x, y, sigmas).mean()


def mmd_rbf_unbiased(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], sigmas: list[float]
) -> Float[Tensor, ""]:
    """MMD² without the pairs of a point with itself: right on average, may be < 0.

    Source: Gretton et al. 2012, Lemma 6.

    Raises:
        ValueError: a sample has fewer than two points.
    """
    for name, sample in (("x", x), ("y", y)):
        if len(sample) < 2:
            raise ValueError(f"{name} must have at least 2 points, got {len(sample)}")

    def others(sample: Tensor) -> Tensor:
        n = len(sample)
        k = rbf(sample, sample, sigmas)
        return (k.sum() - k.trace()) / (n * (n - 1))

    return others(x) + others(y) - 2 * rbf(x, y, sigmas).mean()


# A density from a change of variables


class Coupling(nn.Module):
    """x_kept = z_kept, x_rest = z_rest * exp(s(z_kept)) + t(z_kept).

    `flip` chooses which half of the channels is kept. The last layer starts at zero,
    so that a new coupling is the identity. s is squashed to (-2, 2).

    Source: Dinh et al. 2017, section 3, there from data to noise.
    """

    def __init__(self, d: int, hidden: int, *, flip: bool, generator: torch.Generator):
        super().__init__()
        if d < 2:
            raise ValueError(f"d must be at least 2, got {d}")
        self.flip = flip
        kept = d // 2 if not flip else d - d // 2
        self.first = nn.Linear(kept, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, 2 * (d - kept))
        for layer in (self.first, self.second):
            nn.init.normal_(
                layer.weight, std=layer.in_features**-0.5, generator=generator
            )
            nn.init.uniform_(layer.bias, -1, 1, generator=generator)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def _halves(self, v: Tensor) -> tuple[Tensor, Tensor]:
        kept, rest = v.tensor_split([v.shape[-1] // 2], -1)
        return (rest, kept) if self.flip else (kept, rest)

    def _join(self, kept: Tensor, rest: Tensor) -> Tensor:
        return torch.cat((rest, kept) if self.flip else (kept, rest), -1)

    def _scale_shift(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        hidden = F.silu(self.second(F.silu(self.first(kept))))
        s, t = self.last(hidden).chunk(2, -1)
        return 2 * torch.tanh(s / 2), t

    def forward(
        self, z: Float[Tensor, "batch d"]
    ) -> tuple[Float[Tensor, "batch d"], Float[Tensor, " batch"]]:
        """x, and log|det dx/dz|."""
        kept, rest = self._halves(z)
        s, t = self._scale_shift(kept)
        return self._join(kept, rest * s.exp() + t), s.sum(-1)

    def inverse(
        self, x: Float[Tensor, "batch d"]
    ) -> tuple[Float[Tensor, "batch d"], Float[Tensor, " batch"]]:
        """z, and log|det dz/dx|: the same two networks, run forwards."""
        kept, rest = self._halves(x)
        s, t = self._scale_shift(kept)
        return self._join(kept, (rest - t) * (-s).exp()), -s.sum(-1)


class Flow(nn.Module):
    """Couplings one behind the other, z to x, that keep one half and then the other."""

    def __init__(self, d: int, hidden: int, layers: int, generator: torch.Generator):
        super().__init__()
        self.d = d
        self.layers = nn.ModuleList(
            Coupling(d, hidden, flip=bool(i % 2), generator=generator)
            for i in range(layers)
        )

    def log_prob(self, x: Float[Tensor, "batch d"]) -> Float[Tensor, " batch"]:
        """log p(x) = log N(z; 0, I) + log|det dz/dx|, in nats, summed over channels."""
        total = 0.0
        for layer in reversed(self.layers):
            x, log_det = layer.inverse(x)
            total = total + log_det
        return total - 0.5 * (x.square() + math.log(2 * math.pi)).sum(-1)

    @torch.no_grad()
    def sample(
        self, count: int, generator: torch.Generator
    ) -> Float[Tensor, "count d"]:
        """Normal noise, carried through all couplings."""
        like = self.layers[0].first.weight
        x = torch.randn(count, self.d, generator=generator, dtype=like.dtype)
        x = x.to(like.device)
        for layer in self.layers:
            x, _ = layer(x)
        return x
