"""Diffusion in continuous time: SDEs, their reversal, the probability-flow ODE.

Time runs from data at t = 0 to noise at t = 1, in every function here; samplers take
decreasing times. All forward equations are linear, dx = a(t) x dt + g(t) dw, so that
x_t = m(t) x_0 + std(t) eps with eps standard normal. A score is a function (x, t).

Source: Song et al. 2021, arXiv:2011.13456.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from lib.diffusion_to_edm import mixtures
from lib.diffusion_to_edm.mixtures import Mixture

Time = float | Float[Tensor, "..."]
Score = Callable[[Tensor, Time], Tensor]


def _double(t: Time) -> Tensor:
    return torch.as_tensor(t, dtype=torch.float64)


class LinearSDE:
    """dx = a(t) x dt + g(t) dw. A time is one number, or one for each row of x.

    The three kinds below give `rate(t)`, which is a, `diffusion(t)`, which is g, and
    `marginal(t)`: m and std of x_t = m x_0 + std eps, 1 and 0 at the start. Their
    results are of double precision; a number takes on the dtype of x.
    """

    def drift(self, x: Float[Tensor, "*rows d"], t: Time) -> Float[Tensor, "*rows d"]:
        """f(x, t) = a(t) x."""
        return (self.rate(t)[..., None] * x).to(x.dtype)


@dataclass(frozen=True)
class VPSDE(LinearSDE):
    """Variance preserving, the limit of DDPM: a = -beta/2, g² = beta.

    beta rises linearly, beta(t) = low + t (high - low), and `total` is its integral
    from 0; m² + std² = 1. The thousand steps of DDPM have beta(i/1000) / 1000.
    """

    low: float = 0.1
    high: float = 20.0

    def __post_init__(self):
        if not 0 < self.low <= self.high:
            raise ValueError(f"low must be in (0, high], got {self.low}, {self.high}")

    def beta(self, t: Time) -> Float[Tensor, "..."]:
        return self.low + _double(t) * (self.high - self.low)

    def total(self, t: Time) -> Float[Tensor, "..."]:
        return self.low * _double(t) + (self.high - self.low) * _double(t) ** 2 / 2

    def rate(self, t: Time) -> Float[Tensor, "..."]:
        return -self.beta(t) / 2

    def diffusion(self, t: Time) -> Float[Tensor, "..."]:
        return self.beta(t).sqrt()

    def marginal(self, t: Time) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
        return (-self.total(t) / 2).exp(), (-torch.expm1(-self.total(t))).sqrt()


@dataclass(frozen=True)
class SubVPSDE(VPSDE):
    """As VP, with less noise: g² = beta (1 - exp(-2 total)), std = 1 - exp(-total)."""

    def diffusion(self, t: Time) -> Float[Tensor, "..."]:
        return (self.beta(t) * -torch.expm1(-2 * self.total(t))).sqrt()

    def marginal(self, t: Time) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
        return (-self.total(t) / 2).exp(), -torch.expm1(-self.total(t))


@dataclass(frozen=True)
class VESDE(LinearSDE):
    """Variance exploding, the limit of SMLD: a = 0, noise levels in geometric order.

    sigma(t) = low (high/low)^t and g = sigma sqrt(2 ln(high/low)). From a point the
    variance grows to sigma(t)² - low². The official code has sigma(t)² instead: there
    x_0 is the data with noise of level `low` on it.
    """

    low: float = 0.01
    high: float = 50.0

    def __post_init__(self):
        if not 0 < self.low < self.high:
            raise ValueError(f"low must be in (0, high), got {self.low}, {self.high}")

    def sigma(self, t: Time) -> Float[Tensor, "..."]:
        return self.low * (_double(t) * self._span).exp()

    @property
    def _span(self) -> float:
        return math.log(self.high / self.low)

    def rate(self, t: Time) -> Float[Tensor, "..."]:
        return torch.zeros_like(_double(t))

    def diffusion(self, t: Time) -> Float[Tensor, "..."]:
        return self.sigma(t) * math.sqrt(2 * self._span)

    def marginal(self, t: Time) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
        std = self.low * torch.expm1(2 * self._span * _double(t)).sqrt()
        return torch.ones_like(std), std


# The exact score of data that are a mixture


def mixture_score(
    sde: LinearSDE, mixture: Mixture, x: Float[Tensor, "*rows d"], t: Time
) -> Float[Tensor, "*rows d"]:
    """The gradient of ln p_t: x_t / m is the mixture plus noise of level std / m."""
    m, std = sde.marginal(t)
    m, sigma = m.to(x.dtype), (std / m).to(x.dtype)
    return mixtures.score(mixture, x / m[..., None], sigma) / m[..., None]


def mixture_log_density(
    sde: LinearSDE, mixture: Mixture, x: Float[Tensor, "*rows d"], t: Time
) -> Float[Tensor, " *rows"]:
    """ln p_t(x), in nats, for data from a mixture."""
    m, std = sde.marginal(t)
    m, sigma = m.to(x.dtype), (std / m).to(x.dtype)
    scaled = mixtures.log_density(mixture, x / m[..., None], sigma)
    return scaled - x.shape[-1] * m.log()


# Backwards


def reverse_drift(
    sde: LinearSDE, score: Score, x: Float[Tensor, "*rows d"], t: Time, lam: float
) -> Float[Tensor, "*rows d"]:
    """f - (1 + lam²)/2 g² score: with noise lam g, the marginals of the forward SDE.

    A derivative by t, so that a step back subtracts it. lam = 1 is Anderson's reverse
    SDE, lam = 0 the probability-flow ODE. Source: Song et al. 2021, appendix D.

    Raises:
        ValueError: `lam` is negative.
    """
    if lam < 0:
        raise ValueError(f"lam must not be negative, got {lam}")
    strength = (1 + lam**2) / 2 * sde.diffusion(t)[..., None] ** 2
    return sde.drift(x, t) - (strength * score(x, t)).to(x.dtype)


def euler_maruyama(
    sde: LinearSDE,
    score: Score,
    x: Float[Tensor, "*rows d"],
    ts: list[float],
    generator: torch.Generator,
    lam: float = 1.0,
) -> Float[Tensor, "*rows d"]:
    """Carry x from time ts[0] down to ts[-1], in one step for each interval.

    The noise of a step has standard deviation lam g sqrt(dt). Noise is drawn for every
    step, for lam = 0 too, so that one seed gives one noise to all lam.

    Raises:
        ValueError: `ts` does not decrease, or `lam` is negative.
    """
    if any(later >= now for now, later in pairwise(ts)):
        raise ValueError(f"ts must decrease, got {ts}")
    for t, later in pairwise(ts):
        dt = t - later
        z = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
        noise = (lam * math.sqrt(dt) * sde.diffusion(t)).to(x) * z
        x = x - dt * reverse_drift(sde, score, x, t, lam) + noise
    return x


def pf_ode_rhs(
    sde: LinearSDE, score: Score, x: Float[Tensor, "*rows d"], t: Time
) -> Float[Tensor, "*rows d"]:
    """dx/dt of the probability-flow ODE: f - g²/2 score."""
    return reverse_drift(sde, score, x, t, 0.0)


def rk4(
    rhs: Callable[[Tensor, float], Tensor], x: Float[Tensor, "*rows d"], ts: list[float]
) -> Float[Tensor, "*rows d"]:
    """Solve dx/dt = rhs(x, t) from ts[0] to ts[-1], in either direction: Runge–Kutta
    of order 4, four evaluations for each interval."""
    for t, after in pairwise(ts):
        h = after - t
        a = rhs(x, t)
        b = rhs(x + h / 2 * a, t + h / 2)
        c = rhs(x + h / 2 * b, t + h / 2)
        d = rhs(x + h * c, after)
        x = x + h / 6 * (a + 2 * b + 2 * c + d)
    return x


# Likelihood


def exact_trace(
    f: Callable[[Tensor], Tensor], x: Float[Tensor, "n d"]
) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
    """f(x) and its divergence, row by row, from d backward passes.

    A row of f(x) must depend on the same row of x only.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        y = f(x)
        trace = torch.zeros_like(y[:, 0])
        for i in range(x.shape[1]):
            (row,) = torch.autograd.grad(y[:, i].sum(), x, retain_graph=True)
            trace = trace + row[:, i]
    return y.detach(), trace.detach()


def hutchinson_trace(
    f: Callable[[Tensor], Tensor], x: Float[Tensor, "n d"], v: Float[Tensor, "n d"]
) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
    """f(x) and an estimate of its divergence, vᵀ J v, from one backward pass.

    Unbiased when v has mean 0 and covariance I; with entries ±1 it has the least
    variance. Sources: Hutchinson 1989; Grathwohl et al. 2019, arXiv:1810.01367.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        y = f(x)
        (product,) = torch.autograd.grad((y * v).sum(), x)
    return y.detach(), (product * v).sum(-1)


def ode_log_likelihood(
    sde: LinearSDE,
    score: Score,
    x: Float[Tensor, "n d"],
    ts: list[float],
    trace: Callable = exact_trace,
) -> Float[Tensor, " n"]:
    """ln p_0(x) in nats, carrying x up the probability-flow ODE with its divergence.

    The density at the end, ts[-1] = 1, is taken for that of noise alone, a Gaussian of
    standard deviation std(1). Divide by -d ln 2 for bits a dimension.

    ts: from 0 up to 1. trace: `exact_trace`, or `hutchinson_trace` with its v given.

    Raises:
        ValueError: `ts` does not run from 0 to 1.
    """
    if ts[0] != 0 or ts[-1] != 1:
        raise ValueError(f"ts must run from 0 to 1, got {ts[0]} to {ts[-1]}")

    def slope(state: Tensor, t: float) -> Tensor:
        velocity, spread = trace(partial(pf_ode_rhs, sde, score, t=t), state[:, :-1])
        return torch.cat([velocity, spread[:, None]], 1)

    end = rk4(slope, torch.cat([x, torch.zeros_like(x[:, :1])], 1), ts)
    noise = torch.distributions.Normal(0.0, sde.marginal(1.0)[1].to(x))
    return noise.log_prob(end[:, :-1]).sum(1) + end[:, -1]


# Gaussian data: all in closed form


def gaussian_ratio(
    sde: LinearSDE,
    data_variance: float,
    ts: list[float],
    lam: float,
    gain: float = 1.0,
    ratio: float = 1.0,
) -> float:
    """Variance after `euler_maruyama`, over the variance of p_t at ts[-1].

    For data from N(0, data_variance), where each step is linear and the variance can be
    carried along without a sample. `ratio` is the same quotient at ts[0]; the score is
    `gain` times the true one.
    """

    def right(t: float) -> float:
        m, std = sde.marginal(t)
        return float(m**2 * data_variance + std**2)

    variance = ratio * right(ts[0])
    for t, later in pairwise(ts):
        dt, g2 = t - later, float(sde.diffusion(t)) ** 2
        slope = float(sde.rate(t)) + (1 + lam**2) / 2 * g2 * gain / right(t)
        variance = (1 - dt * slope) ** 2 * variance + lam**2 * g2 * dt
    return variance / right(ts[-1])
