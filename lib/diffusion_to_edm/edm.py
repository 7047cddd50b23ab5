"""One denoiser for every diffusion model, its preconditioning, and one sampler.

Data with noise is x_t = s x0 + s sigma eps, and D(x, sigma) is E[x0 | x0 + sigma eps
= x], in the coordinates x = x_t / s. Everywhere: `x` has one example a row, `sigma` is
one number, or one for each row. Noise grows with time: t = 1 is noise in flow matching
too, as in Stable Diffusion 3 and against Lipman et al., where t = 1 is data.

Sources: Karras et al. 2022, *Elucidating the Design Space of Diffusion-Based Generative
Models*, arXiv:2206.00364; Esser et al. 2024, arXiv:2403.03206, for flow matching.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

Level = Float[Tensor, ""] | Float[Tensor, " n"]
Denoiser = Callable[[Tensor, Tensor], Tensor]
Network = Callable[[Tensor, Tensor], Tensor]


# The table: what a network's output means


class Coefficients(NamedTuple):
    """D(x, sigma) = skip x + out F(into x, noise), for a network F."""

    skip: Tensor
    out: Tensor
    into: Tensor
    noise: Tensor


def score_coeffs(sigma: Level) -> Coefficients:
    """F is the score of the data with noise; s = 1, F is told sigma (VE, SMLD)."""
    one = torch.ones_like(sigma)
    return Coefficients(one, sigma**2, one, sigma)


def eps_coeffs(sigma: Level) -> Coefficients:
    """F is the noise eps; s = sqrt(abar) with abar = 1 / (1 + sigma²), which F is told.

    VP: DDPM, DDIM. Their networks are told the step t; abar is what t stands for.
    """
    abar = 1 / (1 + sigma**2)
    return Coefficients(torch.ones_like(sigma), -sigma, abar.sqrt(), abar)


def v_coeffs(sigma: Level) -> Coefficients:
    """F is v = sqrt(abar) eps - sqrt(1 - abar) x0; scale and abar as for eps.

    EDM's coefficients for data of standard deviation 1, with out negative.
    """
    abar = 1 / (1 + sigma**2)
    return Coefficients(abar, -sigma * abar.sqrt(), abar.sqrt(), abar)


def flow_coeffs(sigma: Level) -> Coefficients:
    """F is the velocity eps - x0 of x_t = (1 - t) x0 + t eps; F is told t, 1 is noise.

    s = 1 - t and sigma = t / (1 - t), so that t = sigma / (1 + sigma).
    """
    s, t = 1 / (1 + sigma), sigma / (1 + sigma)
    return Coefficients(s, -t, s, t)


def edm_coeffs(sigma: Level, sigma_data: float) -> Coefficients:
    """Input and target of F have variance 1, and |out| is as small as it can be.

    For data of mean 0 and variance sigma_data²; s = 1, F is told ln(sigma) / 4.
    Source: Karras et al. 2022, table 1 and appendix B.6. In diffusers'
    `EDMEulerScheduler` this is `prediction_type="epsilon"`, though F is not the noise;
    `"v_prediction"` is the same with the other sign of out.
    """
    total = sigma**2 + sigma_data**2
    return Coefficients(
        sigma_data**2 / total,
        sigma * sigma_data / total.sqrt(),
        total.rsqrt(),
        sigma.log() / 4,
    )


def _along(coefficient: Tensor, x: Tensor) -> Tensor:
    """One number, or one a row, so that it multiplies the rows of x."""
    return (
        coefficient.reshape(-1, *[1] * (x.ndim - 1))
        if coefficient.ndim
        else coefficient
    )


def denoiser(net: Network, coefficients: Callable[[Level], Coefficients]) -> Denoiser:
    """D of a network whose output means what `coefficients` say."""

    def D(x: Tensor, sigma: Tensor | float) -> Tensor:
        c = coefficients(torch.as_tensor(sigma, dtype=x.dtype, device=x.device))
        out = net(_along(c.into, x) * x, c.noise)
        return _along(c.skip, x) * x + _along(c.out, x) * out

    return D


def from_score(score: Network) -> Denoiser:
    """D of score(x, sigma), the gradient of log p(x; sigma). Tweedie's formula."""
    return denoiser(score, score_coeffs)


def from_eps(eps: Network) -> Denoiser:
    """D of eps(x_t, abar), the noise in x_t = sqrt(abar) x0 + sqrt(1 - abar) eps."""
    return denoiser(eps, eps_coeffs)


def from_v(v: Network) -> Denoiser:
    """D of v(x_t, abar), where v = sqrt(abar) eps - sqrt(1 - abar) x0."""
    return denoiser(v, v_coeffs)


def from_flow(velocity: Network) -> Denoiser:
    """D of velocity(x_t, t), eps - x0 at x_t = (1 - t) x0 + t eps; t = 1 is noise."""
    return denoiser(velocity, flow_coeffs)


class EDMPrecond(nn.Module):
    """The denoiser of a network that knows nothing of scales."""

    def __init__(self, net: Network, sigma_data: float):
        super().__init__()
        self.net, self.sigma_data = net, sigma_data

    def forward(
        self, x: Float[Tensor, "n ..."], sigma: float | Level
    ) -> Float[Tensor, "n ..."]:
        coefficients = partial(edm_coeffs, sigma_data=self.sigma_data)
        return denoiser(self.net, coefficients)(x, sigma)


# Training


def errors(
    D: Denoiser,
    x: Float[Tensor, "n ..."],
    sigma: Float[Tensor, " n"],
    noise: Float[Tensor, "n ..."],
    coefficients: Callable[[Level], Coefficients],
) -> Float[Tensor, " n"]:
    """(D(x + sigma noise) - x)² / out² of each example, the mean over its entries.

    That is (F - target)², the loss in the family's own units: against the noise for
    eps, the velocity for flow matching, a target of variance 1 for EDM. Official codes
    of EDM sum over pixels instead.
    """
    weight = coefficients(sigma).out ** -2
    squares = (D(x + _along(sigma, x) * noise, sigma) - x).square()
    return weight * squares.flatten(1).mean(1)


def edm_loss(
    D: Denoiser,
    x: Float[Tensor, "n ..."],
    coefficients: Callable[[Level], Coefficients],
    P_mean: float,
    P_std: float,
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """The mean of `errors` with ln sigma ~ N(P_mean, P_std²), one sigma an example.

    The paper: P_mean = -1.2, P_std = 1.2. Drawn on the generator's device.
    """
    draw = partial(torch.randn, generator=generator, device=generator.device)
    levels, noise = draw(len(x)), draw(x.shape).to(x)
    sigma = (P_mean + P_std * levels).exp().to(x)
    return errors(D, x, sigma, noise, coefficients).mean()


# Sampling


def karras_sigmas(
    n: int, smin: float, smax: float, rho: float
) -> Float[Tensor, " n_plus_1"]:
    """n noise levels from smax down to smin, evenly spaced in sigma^(1/rho), then 0.

    Source: Karras et al. 2022, equation 5; there 80, 0.002 and rho = 7.

    Raises:
        ValueError: n is below 2, or not 0 < smin < smax.
    """
    if n < 2 or not 0 < smin < smax:
        raise ValueError(f"n >= 2 and 0 < smin < smax, got {n}, {smin} and {smax}")
    ends = torch.tensor([smax, smin], dtype=torch.float64) ** (1 / rho)
    levels = (ends[0] + torch.linspace(0, 1, n).double() * (ends[1] - ends[0])) ** rho
    return torch.cat([levels, levels.new_zeros(1)])


def euler_step(D: Denoiser, x: Tensor, sigma: Tensor, to: Tensor) -> Tensor:
    """From sigma to `to` along dx/dsigma = (x - D) / sigma: the slope of the start.

    With D and the noise (x - D) / sigma held fixed this is exact; at 0 it is D.
    """
    return x + (to - sigma) * (x - D(x, sigma)) / sigma


def heun_step(D: Denoiser, x: Tensor, sigma: Tensor, to: Tensor) -> Tensor:
    """The mean of the slopes at the start and at Euler's end; Euler's step to 0.

    At 0 the second slope would be 0 / 0. Source: Karras et al. 2022, algorithm 1.
    """
    slope = (x - D(x, sigma)) / sigma
    end = x + (to - sigma) * slope
    if to == 0:
        return end
    return x + (to - sigma) * (slope + (end - D(end, to)) / to) / 2


def heun_in_t_step(D: Denoiser, x: Tensor, sigma: Tensor, to: Tensor) -> Tensor:
    """Heun's step in flow matching's time t = sigma / (1 + sigma), on (1 - t) x.

    Euler's steps in sigma and in t agree; Heun's do not. Either adds a multiple of
    D(end, to) - D(x, sigma) to Euler's end: (sigma / to - 1) / 2 of it in sigma, in t
    (1 + to) / (1 + sigma) as much.
    """
    clean = D(x, sigma)
    end = clean + to / sigma * (x - clean)
    if to == 0:
        return end
    weight = (sigma / to - 1) / 2 * (1 + to) / (1 + sigma)
    return end + weight * (D(end, to) - clean)


SOLVERS = {"euler": euler_step, "heun": heun_step, "heun_in_t": heun_in_t_step}


@torch.no_grad()
def path(
    D: Denoiser,
    x: Float[Tensor, "n ..."],
    sigmas: Float[Tensor, " levels"],
    solver: str,
) -> Float[Tensor, "levels n ..."]:
    """x at every level of `sigmas`, which falls; x itself is at sigmas[0].

    Raises:
        ValueError: `solver` is none of `SOLVERS`, or `sigmas` rises or is negative.
    """
    if solver not in SOLVERS:
        raise ValueError(f"solver must be one of {list(SOLVERS)}, got {solver!r}")
    if (sigmas.diff() >= 0).any() or sigmas[-1] < 0:
        raise ValueError(f"sigmas must fall, to 0 at most, got {sigmas.tolist()}")
    states = [x]
    for sigma, to in pairwise(sigmas.to(x)):
        states.append(SOLVERS[solver](D, states[-1], sigma, to))
    return torch.stack(states)


def sample_ode(
    D: Denoiser,
    x: Float[Tensor, "n ..."],
    sigmas: Float[Tensor, " levels"],
    solver: str,
) -> Float[Tensor, "n ..."]:
    """Follow dx/dsigma = (x - D) / sigma from x, noise of level sigmas[0], to the end.

    N steps take N evaluations of D by Euler's rule, and 2N - 1 by Heun's if they end at
    0. Start at sigmas[0] times normal noise; diffusers' schedulers start at
    sqrt(sigmas[0]² + 1) times it.
    """
    return path(D, x, sigmas, solver)[-1]


@torch.no_grad()
def sample_edm_stochastic(
    D: Denoiser,
    x: Float[Tensor, "n ..."],
    sigmas: Float[Tensor, " levels"],
    churn: float,
    within: tuple[float, float],
    s_noise: float,
    generator: torch.Generator,
) -> Float[Tensor, "n ..."]:
    """Before each Heun step, raise the noise from sigma to (1 + gamma) sigma.

    gamma = min(churn / N, sqrt(2) - 1) for sigma within the two bounds, else 0; the
    noise added has s_noise times the standard deviation that would be exact. With
    churn = 0 this is `sample_ode`. Source: Karras et al. 2022, algorithm 2.
    """
    steps = len(sigmas) - 1
    for sigma, to in pairwise(sigmas.to(x)):
        if churn > 0 and within[0] <= sigma <= within[1]:
            raised = sigma * (1 + min(churn / steps, 2**0.5 - 1))
            noise = torch.randn(x.shape, generator=generator, device=generator.device)
            x = x + s_noise * (raised**2 - sigma**2).sqrt() * noise.to(x)
            sigma = raised
        x = heun_step(D, x, sigma, to)
    return x
