"""Gumbel noise: a category drawn by adding and taking the largest, and its relaxation.

The argmax of logits + noise is an exact draw and has no gradient; the softmax of the
same sum over a temperature has one, and is no longer a category.

Sources: Jang, Gu, Poole 2017, arXiv:1611.01144; Maddison, Mnih, Teh 2017,
arXiv:1611.00712.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

# The mean of a standard Gumbel variable (the Euler–Mascheroni constant).
EULER_GAMMA = 0.5772156649015329


def sample_gumbel(
    shape: tuple[int, ...],
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Float[Tensor, "..."]:
    """Standard Gumbel noise -log(-log u), u uniform: P(g <= t) = exp(-exp(-t)).

    The Gumbel of *maxima*: skewed to the right, mean EULER_GAMMA, variance π²/6. That
    of minima (`scipy.stats.gumbel_l`) is its mirror image. `torch.rand` returns an
    exact 0 once in 2²⁴ draws of float32; here the smallest normal number stands for
    it, so that all noise is finite: between -4.48 and 16.64 in float32.
    """
    u = torch.rand(shape, generator=generator, dtype=dtype, device=device)
    return -(-u.clamp_min(torch.finfo(dtype).tiny).log()).log()


def _perturbed(logits: Tensor, generator: torch.Generator | None) -> Tensor:
    """Logits with fresh noise. An entry of -inf stays there: it is never drawn."""
    noise = sample_gumbel(logits.shape, generator, logits.dtype, logits.device)
    return logits + noise


def gumbel_max(
    logits: Float[Tensor, "*batch k"], generator: torch.Generator | None = None
) -> Int[Tensor, "*batch"]:
    """One category a row, drawn with probabilities softmax(logits): argmax(logits + g).

    Logits need not be normalised; probabilities are not logits, take their logarithm.
    """
    return _perturbed(logits, generator).argmax(-1)


def straight_through(
    hard: Float[Tensor, "*shape"], soft: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """The value of `hard` with the gradient of `soft`.

    hard + (soft - sg(soft)), where sg stops the gradient. In this order the value is
    that of `hard` to the last bit; (hard + soft) - sg(soft) is off by a rounding.

    Source: Bengio, Léonard, Courville 2013, arXiv:1308.3432.
    """
    return hard.detach() + (soft - soft.detach())


def gumbel_softmax(
    logits: Float[Tensor, "*batch k"],
    tau: float,
    hard: bool = False,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "*batch k"]:
    """One relaxed draw for each row, softmax((logits + g) / tau), over the last axis.

    Logits, as in `F.gumbel_softmax`, not probabilities; the temperature divides. With
    `hard` the value is the one-hot vector of the largest entry, the gradient that of
    the relaxed draw (straight-through).

    Raises:
        ValueError: `tau` is not positive.
    """
    _check_tau(tau)
    soft = (_perturbed(logits, generator) / tau).softmax(-1)
    if not hard:
        return soft
    largest = soft.argmax(-1, keepdim=True)
    return straight_through(torch.zeros_like(soft).scatter(-1, largest, 1.0), soft)


def concrete_log_prob(
    y: Float[Tensor, "*batch k"], logits: Float[Tensor, "*#batch k"], tau: float
) -> Float[Tensor, "*batch"]:
    """Log-density of `gumbel_softmax(logits, tau)` at a point inside the simplex.

    With respect to the first k - 1 coordinates, the last being 1 minus their sum. A
    constant added to the logits changes nothing. The density of log y is another one:
    it lacks the factor 1 / (y_1 ... y_k).

    Source: Maddison et al. 2017, definition 1.

    Raises:
        ValueError: `tau` is not positive.
    """
    _check_tau(tau)
    k, log_y = y.shape[-1], y.log()
    score = logits - tau * log_y
    constant = math.lgamma(k) + (k - 1) * math.log(tau)
    return constant + (score - log_y).sum(-1) - k * score.logsumexp(-1)


def relaxed_grad(
    f: Callable[[Tensor], Tensor],
    logits: Float[Tensor, " k"],
    tau: float,
    n: int,
    hard: bool = False,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "n k"]:
    """n independent estimates of the gradient of E f(z) with respect to the logits.

    Each is the derivative of f(y) for one relaxed draw y, or with `hard` for one
    straight-through draw. `f` maps points (n, k) of the simplex to (n,), every row by
    itself; it must be differentiable, inside the simplex too. Both are biased.

    Raises:
        ValueError: `tau` is not positive.
    """
    rows = logits.detach().expand(n, -1).clone().requires_grad_()
    values = f(gumbel_softmax(rows, tau, hard, generator))
    (grad,) = torch.autograd.grad(values.sum(), rows)
    return grad


def relaxation_bias(
    f: Callable[[Tensor], Tensor],
    logits: Float[Tensor, " k"],
    tau: float,
    n: int,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "n k"]:
    """n unbiased estimates of the *bias* of `relaxed_grad`, soft draws only.

    The gradient of E[f(y) - f(onehot)], both from the same noise, by the score function
    of the noise: a Gumbel variable at logit l has the score 1 - exp(-g). The two values
    differ in a share of draws of order tau, so a small bias has a small variance.

    Raises:
        ValueError: `tau` is not positive.
    """
    _check_tau(tau)
    noise = sample_gumbel((n, len(logits)), generator, logits.dtype, logits.device)
    noisy = logits + noise
    onehot = torch.eye(len(logits)).to(logits)[noisy.argmax(-1)]
    difference = f((noisy / tau).softmax(-1)) - f(onehot)
    return difference[:, None] * (1 - (-noise).exp())


def _check_tau(tau: float) -> None:
    if not tau > 0:
        raise ValueError(f"tau must be positive, got {tau}")
