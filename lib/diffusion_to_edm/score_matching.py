"""Scores learnt from samples, and the noisy climb that turns them back into samples.

The score of a density is the gradient of its logarithm with respect to the point, not
with respect to parameters. Throughout the noise level is sigma, data are not rescaled
(x + sigma eps), and a larger index means less noise.

Sources: Hyvärinen 2005; Vincent 2011; Song and Ermon 2019, arXiv:1907.05600; Song et
al. 2019, arXiv:1905.07088; Song and Ermon 2020, arXiv:2006.09011.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

# score(x): one density. score(x, sigma): one for every noise level.
Score = Callable[[Tensor], Tensor]
NoisyScore = Callable[[Tensor, Tensor], Tensor]


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal numbers with the shape, dtype and device of `like`."""
    return torch.randn(
        like.shape, generator=generator, dtype=like.dtype, device=like.device
    )


# Losses


def dsm_loss(
    score: NoisyScore,
    x: Float[Tensor, "n d"],
    sigma: Float[Tensor, " n"],
    generator: torch.Generator,
) -> Float[Tensor, " n"]:
    """Denoising score matching for each row, weighted by sigma².

    ½ sigma² ‖score(x + sigma eps, sigma) + eps / sigma‖², with one fresh eps a row,
    written without the division. The score of one noisy row, given where it came
    from, points back: -eps / sigma. With the weight a score of 0 costs d/2 at every
    sigma; the least is not 0 but what eps keeps to itself once x + sigma eps is known.

    Source: Vincent 2011; the weight: Song and Ermon 2019, section 4.2.
    """
    eps, level = _normal(x, generator), sigma[:, None]
    residual = level * score(x + level * eps, sigma) + eps
    return residual.square().sum(-1) / 2


def sliced_sm_loss(
    score: Score, x: Float[Tensor, "n d"], generator: torch.Generator
) -> Float[Tensor, " n"]:
    """Sliced score matching for each row: vᵀ (∇ score) v + ½ ‖score‖².

    v is one random row of signs, independent of all, with E[v vᵀ] = I, so that the
    mean over v is implicit score matching, tr ∇ score + ½ ‖score‖², at the price of
    one backward pass instead of d. This is the variant of less variance (SSM-VR); the
    other one has ½ (vᵀ score)². Every row of `score` must depend on its own row only.

    Source: Song et al. 2019, equation 8.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = score(x)
        v = 1 - 2 * torch.randint(2, x.shape, generator=generator, device=x.device)
        (slope,) = torch.autograd.grad((value * v).sum(), x, create_graph=True)
    return (slope * v).sum(-1) + value.square().sum(-1) / 2


def tweedie(
    x: Float[Tensor, "n d"], score: Float[Tensor, "n d"], sigma: float
) -> Float[Tensor, "n d"]:
    """E[x0 | x0 + sigma eps = x] = x + sigma² score: the mean of what it may have been.

    Source: Robbins 1956, who credits Tweedie.
    """
    return x + sigma**2 * score


# Levels and steps


def geometric_sigmas(n: int, hi: float, lo: float) -> Float[Tensor, " n"]:
    """n noise levels from hi down to lo, each the same fraction of the one before.

    Float64. The paper's are 10 from 1 to 0.01, for data between 0 and 1.

    Raises:
        ValueError: fewer than two levels, or not hi > lo > 0.
    """
    if n < 2:
        raise ValueError(f"n must be at least 2, got {n}")
    if not hi > lo > 0:
        raise ValueError(f"hi and lo must be hi > lo > 0, got {hi} and {lo}")
    exponents = torch.linspace(0, 1, n, dtype=torch.float64)
    return hi * (lo / hi) ** exponents


def langevin(
    score: Score,
    x: Float[Tensor, "n d"],
    alpha: float,
    n_steps: int,
    generator: torch.Generator,
) -> Float[Tensor, "n d"]:
    """n_steps of x + alpha score(x) + sqrt(2 alpha) z, each row a chain by itself.

    The convention of the authors' code and of physics. Their paper writes alpha/2 and
    sqrt(alpha): the same steps with its alpha twice ours. Nothing is rejected, so the
    chain does not settle in the density itself, but near it: see `settled_variance`.

    Raises:
        ValueError: alpha is not positive.
    """
    if not alpha > 0:
        raise ValueError(f"alpha must be positive, got {alpha}")
    for _ in range(n_steps):
        x = x + alpha * score(x) + math.sqrt(2 * alpha) * _normal(x, generator)
    return x


def annealed_langevin(
    score: NoisyScore,
    x: Float[Tensor, "n d"],
    sigmas: Float[Tensor, " levels"],
    n_steps: int,
    eps: float,
    generator: torch.Generator,
) -> Float[Tensor, "n d"]:
    """n_steps of Langevin at every level, each level starting where the last one ended.

    The step at level i is alpha_i = eps (sigma_i / sigma_last)², in `langevin`'s
    convention: the authors' code, whose 2e-5 is eps here. Their paper's algorithm 1,
    with the same 2e-5, takes half of these steps.

    Source: Song and Ermon 2019, algorithm 1.
    """
    for sigma in sigmas.tolist():
        alpha = eps * (sigma / float(sigmas[-1])) ** 2
        level = torch.full(x.shape[:1], sigma, dtype=x.dtype, device=x.device)
        x = langevin(lambda y, at=level: score(y, at), x, alpha, n_steps, generator)
    return x


def settled_variance(alpha: float, variance: float = 1.0) -> float:
    """Where `langevin` comes to rest on N(0, variance): variance / (1 - a/2).

    Here a = alpha / variance. One step maps a variance u to (1 - a)² u + 2 alpha, and
    this is its fixed point. From a = 2 on there is none: the chain diverges.

    Raises:
        ValueError: alpha is not between 0 and twice the variance.
    """
    if not 0 < alpha < 2 * variance:
        raise ValueError(
            f"alpha must lie between 0 and 2 variance = {2 * variance}, got {alpha}"
        )
    return variance / (1 - alpha / variance / 2)


# A network and data to try it on


class ScoreNet(nn.Module):
    """A score for every noise level: s(x, sigma) = f(x / scale, ln sigma) / sigma.

    f is a perceptron with three hidden layers, and estimates -eps, a number of order 1
    at every level; the division makes a score of it. scale = sqrt(1 + sigma²) is the
    size of the input if the data have variance 1. tanh keeps f bounded: a chain that
    strays beyond all it has seen cannot be driven off ever faster.

    Source: dividing by sigma, Song and Ermon 2020, technique 3.
    """

    def __init__(self, d: int, width: int, generator: torch.Generator):
        super().__init__()
        self.f = nn.Sequential(
            nn.Linear(d + 1, width),
            nn.Tanh(),
            nn.Linear(width, width),
            nn.Tanh(),
            nn.Linear(width, width),
            nn.Tanh(),
            nn.Linear(width, d),
        )
        with torch.no_grad():
            for layer in self.f[::2]:
                layer.bias.zero_()
                layer.weight.normal_(0, layer.in_features**-0.5, generator=generator)

    def forward(
        self, x: Float[Tensor, "n d"], sigma: Float[Tensor, " n"]
    ) -> Float[Tensor, "n d"]:
        level = sigma[:, None]
        inputs = torch.cat((x / (1 + level**2).sqrt(), level.log()), -1)
        return self.f(inputs) / level


def swiss_roll(
    n: int, generator: torch.Generator, thickness: float = 0.02
) -> Float[Tensor, "n 2"]:
    """Points on a spiral of one and a half turns, with noise of `thickness` on each.

    Angles are uniform between 1.5 pi and 4.5 pi, radius angle / 10: each coordinate
    has a variance near 0.5. The side view of scikit-learn's `make_swiss_roll`.
    """
    angle = 1.5 * math.pi * (1 + 2 * torch.rand(n, generator=generator))
    roll = torch.stack((angle.cos(), angle.sin()), -1) * angle[:, None] / 10
    return roll + thickness * _normal(roll, generator)
