"""Two Monte Carlo gradients of one expectation: score function and pathwise.

For L(θ) = E[f(z)] with z drawn from p_θ, both return one estimate of ∇L for every
sample, so that bias and variance can be measured: average over the first axis to use
them. They are gradients of L itself: descend along them to make f small.

Conventions. A function `f` maps points (..., d) to numbers (...), each point by itself.
Parameters may have leading axes: every row is an independent problem, or an independent
repetition of one (`logits.expand(repetitions, -1)`). Samples come first: (n, *rows, d).

Sources: Williams 1992 (score function, baselines); Kingma & Welling 2013,
arXiv:1312.6114 (pathwise); Mohamed et al. 2020, arXiv:1906.10652 (both, surveyed).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Function = Callable[[Tensor], Tensor]


class Normal(NamedTuple):
    """Independent Gaussians. The parameters are the mean and log σ, not log σ².

    A gradient stacks both, (..., 2, d): the mean's first.
    """

    mu: Float[Tensor, "*rows d"]
    log_sigma: Float[Tensor, "*rows d"]

    def noise(self, n: int, generator: torch.Generator) -> Float[Tensor, "n *rows d"]:
        """Standard normal numbers, which know nothing of the parameters."""
        like = {"dtype": self.mu.dtype, "device": self.mu.device}
        return torch.randn(n, *self.mu.shape, generator=generator, **like)

    def at(self, noise: Float[Tensor, "n *rows d"]) -> Float[Tensor, "n *rows d"]:
        """The path: the sample that some noise becomes, z = μ + σε."""
        return self.mu + self.log_sigma.exp() * noise

    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n *rows d"]:
        """n samples for each row."""
        return self.at(self.noise(n, generator))

    def score(self, z: Float[Tensor, "n *rows d"]) -> Float[Tensor, "n *rows 2 d"]:
        """∇ log p(z): ε / σ for the mean, ε² - 1 for log σ, with ε = (z - μ) / σ."""
        sigma = self.log_sigma.exp()
        noise = (z - self.mu) / sigma
        return torch.stack((noise / sigma, noise.square() - 1), -2)


class Categorical(NamedTuple):
    """One of K categories, as a one-hot vector. Logits need not be normalised."""

    logits: Float[Tensor, "*rows K"]

    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n *rows K"]:
        """n one-hot vectors for each row."""
        p = self.logits.softmax(-1)
        rows = p.reshape(-1, p.shape[-1])
        drawn = torch.multinomial(rows, n, replacement=True, generator=generator)
        points = torch.eye(p.shape[-1], dtype=p.dtype, device=p.device)[drawn.T]
        return points.view(n, *p.shape)

    def score(self, z: Float[Tensor, "n *rows K"]) -> Float[Tensor, "n *rows K"]:
        """∇ log p(z) with respect to the logits: z - p."""
        return z - self.logits.softmax(-1)


Baseline = None | float | Callable[[Tensor], Tensor]


def score_function_grad(
    f: Function,
    dist: Normal | Categorical,
    n: int,
    baseline: Baseline = None,
    *,
    generator: torch.Generator,
) -> Float[Tensor, "n ..."]:
    """(f(z) - b) ∇ log p(z) for n samples: REINFORCE, the likelihood-ratio gradient.

    `f` is only evaluated: it may jump, or be a program. `baseline` is a number, or a
    function of all values (n, *rows), such as `leave_one_out`; whether the mean stays
    right is up to it. Returns (n, *shape of the parameters).

    Raises:
        ValueError: `n` is not positive.
    """
    _check_count(n)
    z = dist.sample(n, generator)
    values = f(z)
    if baseline is not None:
        values = values - (baseline(values) if callable(baseline) else baseline)
    scores = dist.score(z)
    return values.view(*values.shape, *[1] * (scores.ndim - values.ndim)) * scores


def pathwise_grad(
    f: Function, dist: Normal, n: int, *, generator: torch.Generator
) -> Float[Tensor, "n *rows 2 d"]:
    """∇f(z) ∂z/∂θ along z = μ + σε, for n samples: the reparameterised gradient.

    `f` must be differentiable by autograd, and must not jump: where it does, the
    estimate has a bias that no number of samples removes.

    Raises:
        ValueError: `n` is not positive, or `f` returns what autograd cannot follow.
    """
    _check_count(n)
    noise = dist.noise(n, generator)
    z = dist.at(noise).detach().requires_grad_()
    values = f(z)
    if not values.requires_grad:
        raise ValueError(
            "f must be differentiable by autograd, got values without a graph"
        )
    (slope,) = torch.autograd.grad(values.sum(), z)
    return torch.stack((slope, slope * dist.log_sigma.exp() * noise), -2)


def enumerate_grad(
    f: Function, logits: Float[Tensor, "*rows K"]
) -> Float[Tensor, "*rows K"]:
    """The exact gradient of E[f(one-hot)] with respect to the logits, by all K terms.

    p_k (f_k - Σ_j p_j f_j): what every estimator for a `Categorical` is judged by. The
    entries sum to zero, since adding a number to all logits changes nothing.
    """
    p = logits.softmax(-1)
    values = _at_vertices(f, logits)
    return p * (values - (p * values).sum(-1, keepdim=True))


def leave_one_out(values: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
    """A baseline for each sample: the mean of the values of all *other* samples.

    It does not depend on its own sample, so it leaves the gradient unbiased. The mean
    of all, itself included, shrinks the gradient by (n - 1) / n.

    Source: Kool et al. 2019, *Buy 4 REINFORCE Samples, Get a Baseline for Free!*

    Raises:
        ValueError: there is only one sample.
    """
    n = len(values)
    if n < 2:
        raise ValueError(f"values must have 2 samples or more, got {n}")
    return (values.sum(0) - values) / (n - 1)


def best_baseline(
    f: Function, logits: Float[Tensor, "*rows K"]
) -> Float[Tensor, "*rows"]:
    """The number b that makes the total variance least: E[f |s|²] / E[|s|²].

    The expectations are exact, over all K categories; s = z - p is the score. One b for
    all coordinates, minimising the sum of their variances.
    """
    p = logits.softmax(-1)
    lengths = _squared_scores(p)
    weights = p * lengths
    return (weights * _at_vertices(f, logits)).sum(-1) / weights.sum(-1)


def exact_score_variance(
    f: Function, logits: Float[Tensor, "*rows K"], baseline: float = 0.0
) -> Float[Tensor, "*rows"]:
    """Total variance of one sample of the score function, E|(f - b)s|² - |∇L|²."""
    p = logits.softmax(-1)
    values = _at_vertices(f, logits) - baseline
    second = (p * values.square() * _squared_scores(p)).sum(-1)
    return second - enumerate_grad(f, logits).square().sum(-1)


def relative_bias_and_variance(
    estimates: Float[Tensor, "n ..."], exact: Float[Tensor, "..."]
) -> tuple[float, float]:
    """(|mean - exact| / |exact|, total variance of *one* sample).

    Means and variances are over the first axis, with n - 1 in the denominator; the
    variance is summed over all coordinates of the gradient, and is not divided by n.
    A relative bias below sqrt(variance / n) / |exact| is only noise.

    Raises:
        ValueError: fewer than 2 estimates, or the shapes do not fit.
    """
    if len(estimates) < 2 or estimates.shape[1:] != exact.shape:
        raise ValueError(
            f"estimates must be (n, *exact.shape), n >= 2, "
            f"got {tuple(estimates.shape)} for {tuple(exact.shape)}"
        )
    bias = (estimates.mean(0) - exact).norm() / exact.norm()
    return float(bias), float(estimates.var(0).sum())


def _check_count(n: int) -> None:
    if n < 1:
        raise ValueError(f"n must be positive, got {n}")


def _at_vertices(f: Function, logits: Tensor) -> Tensor:
    """f of every category, (K,)."""
    return f(torch.eye(logits.shape[-1], dtype=logits.dtype, device=logits.device))


def _squared_scores(p: Tensor) -> Tensor:
    """|onehot_k - p|² for every k."""
    return 1 - 2 * p + p.square().sum(-1, keepdim=True)
