"""Smooth stand-ins for functions whose own gradient says nothing.

Maximum, position of the maximum, absolute value, ReLU, step, floor, accuracy and F1.
Most are the function averaged over noise, f_sigma(x) = E f(x + sigma e): a mollifier.

Sources: Su 2019, kexue.fm/archives/6620 (maximum, accuracy, F1) and Su 2021,
kexue.fm/archives/8718 (ReLU and floor by convolution); Nesterov & Spokoiny 2017 for the
gradient of a Gaussian average.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Kernel = Literal["gaussian", "logistic"]
KERNELS = ("gaussian", "logistic")
Average = Literal["micro", "macro"]

# Beyond this many widths a step is 0 or 1 to the last digit of float64.
REACH = {"gaussian": 9.0, "logistic": 40.0}


def smooth_max(
    x: Float[Tensor, "..."], k: float, dim: int = -1
) -> Float[Tensor, "..."]:
    """log(sum(exp(k x))) / k along `dim`: between max(x) and max(x) + log(n) / k.

    The gradient is softmax(k x). A negative k gives the smooth minimum, between
    min(x) - log(n) / |k| and min(x). The rival with the mean in place of the sum lies
    log(n) / k lower: below the maximum, and right where all entries are equal.

    Source: Su 2019.

    Raises:
        ValueError: `k` is 0, where neither exists.
    """
    if k == 0:
        raise ValueError(f"k must not be zero, got {k}")
    return torch.logsumexp(k * x, dim) / k


def soft_argmax(
    x: Float[Tensor, "..."], beta: float, dim: int = -1
) -> Float[Tensor, "..."]:
    """The mean position under softmax(beta x), counted from 0.

    Near the argmax where one entry leads. Between two leaders it is the place halfway,
    where neither of them stands.
    """
    place = torch.arange(x.shape[dim], dtype=x.dtype, device=x.device)
    return (x.movedim(dim, -1) * beta).softmax(-1) @ place


def smooth_abs(x: Float[Tensor, "..."], k: float) -> Float[Tensor, "..."]:
    """log(e^{kx} + e^{-kx}) / k, the smooth maximum of x and -x; k positive.

    The rival log(2 + e^{kx} + e^{-kx}) / k (a logistic average) is twice as blunt: it
    is this function at k / 2.
    """
    return x.abs() + torch.log1p((-2 * k * x.abs()).exp()) / k


def smooth_step(
    x: Float[Tensor, "..."], sigma: float, kind: Kernel = "gaussian"
) -> Float[Tensor, "..."]:
    """The unit step at 0 averaged over noise: the distribution function of the noise.

    `sigma` is the scale of the noise. For the Gaussian that is its standard deviation;
    for the logistic, whose k is 1 / sigma, the standard deviation is 1.81 sigma.

    Raises:
        ValueError: `sigma` is not positive, or `kind` is unknown.
    """
    _check(sigma, kind)
    if kind == "logistic":
        return (x / sigma).sigmoid()
    return torch.special.ndtr(x / sigma)


def smooth_relu(
    x: Float[Tensor, "..."], sigma: float, kind: Kernel = "gaussian"
) -> Float[Tensor, "..."]:
    """max(x, 0) averaged over noise of scale `sigma`; its slope is `smooth_step`.

    Gaussian: x Phi(x/sigma) + sigma phi(x/sigma). Logistic: softplus. GELU is x Phi(x):
    the first without its second term, and no average of ReLU.

    Source: Su 2021.

    Raises:
        ValueError: as `smooth_step`.
    """
    _check(sigma, kind)
    if kind == "logistic":
        return sigma * F.softplus(x / sigma)
    bell = (-0.5 * (x / sigma) ** 2).exp() / math.sqrt(2 * math.pi)
    return x * torch.special.ndtr(x / sigma) + sigma * bell


def smooth_floor(
    x: Float[Tensor, "..."], sigma: float, kind: Kernel = "gaussian"
) -> Float[Tensor, "..."]:
    """The floor averaged over noise: one smooth step at every whole number.

    Steps to the right of x are counted as far as they have risen, those to the left as
    far as they have not. Exact: only steps that are 0 or 1 to the last digit are left
    out. Cheap for a small `sigma`; for a large one use `floor_by_waves`.

    Source: Su 2021.

    Raises:
        ValueError: as `smooth_step`.
    """
    _check(sigma, kind)
    whole = x.detach().floor()
    reach = math.ceil(REACH[kind] * sigma) + 1
    ahead = torch.arange(1, reach + 1, dtype=x.dtype, device=x.device)
    behind = torch.arange(reach, dtype=x.dtype, device=x.device)
    part = (x - whole)[..., None]
    risen = smooth_step(part - ahead, sigma, kind).sum(-1)
    missing = smooth_step(-part - behind, sigma, kind).sum(-1)
    return whole + risen - missing


def floor_by_waves(
    x: Float[Tensor, "..."], sigma: float, terms: int, kind: Kernel = "gaussian"
) -> Float[Tensor, "..."]:
    """The same function as `smooth_floor`, as x - 1/2 and a Fourier series of sines.

    Noise damps the m-th wave by its characteristic function at 2 pi m: exp(-2 (pi m
    sigma)^2) for the Gaussian, t / sinh(t) with t = 2 pi^2 m sigma for the logistic.
    Few terms suffice for a large `sigma`. With `sigma` 0 nothing is damped, and the
    series overshoots by 9% of a step at every jump, however many terms it has.

    Raises:
        ValueError: `sigma` is negative, or `kind` is unknown.
    """
    _check(sigma or 1.0, kind)
    m = torch.arange(1, terms + 1, dtype=x.dtype, device=x.device)
    if kind == "gaussian":
        damping = (-2 * (math.pi * m * sigma) ** 2).exp()
    else:
        # t / sinh(t), written so that neither t = 0 nor a large t makes a NaN.
        t = (2 * math.pi**2 * sigma * m).clamp_min(1e-6)
        damping = 2 * t * (-t).exp() / -torch.expm1(-2 * t)
    waves = (2 * math.pi * m * x[..., None]).sin()
    return x - 0.5 + (waves * damping / (math.pi * m)).sum(-1)


def _check(sigma: float, kind: str) -> None:
    if not sigma > 0:
        raise ValueError(f"sigma must be positive, got {sigma}")
    if kind not in KERNELS:
        raise ValueError(f"kind must be one of {KERNELS}, got {kind!r}")


def mollify_mc(
    f: Callable[[Tensor], Tensor],
    x: Float[Tensor, "*shape"],
    sigma: float,
    n: int,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """Value and slope of f_sigma at x, each from the same n values of f beside x.

    `f` works entry by entry and need have no gradient. The value is the mean of
    f(x + sigma e), the slope that of f(x + sigma e) e / sigma, with e standard normal:
    the score function estimator of the Gaussian's mean. Both are unbiased for f_sigma;
    for f itself they are not. The slope's variance grows like 1 / sigma^2.

    Source: Nesterov & Spokoiny 2017; as evolution strategies, Salimans et al. 2017.

    Raises:
        ValueError: `sigma` is not positive, or n is less than 1.
    """
    _check(sigma, "gaussian")
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    noise = torch.randn(
        (n, *x.shape), dtype=x.dtype, device=x.device, generator=generator
    )
    values = f(x + sigma * noise)
    return values.mean(0), (values * noise).mean(0) / sigma


def soft_accuracy(
    p: Float[Tensor, "*rows n"], y: Float[Tensor, "*rows n"]
) -> Float[Tensor, "*rows"]:
    """The expected share of right answers if each were drawn with probability p.

    y is 0 or 1. With several classes it is the mean probability of the true one.
    """
    return (p * y + (1 - p) * (1 - y)).mean(-1)


def soft_f1(
    p: Float[Tensor, "*rows n"], y: Float[Tensor, "*rows n"]
) -> Float[Tensor, "*rows"]:
    """2 sum(p y) / sum(p + y) over the last axis: F1 itself where p is 0 or 1.

    Not an expectation: a ratio of two. Where nothing is predicted and nothing is there
    the ratio is 0/0, and 0 as in scikit-learn; the rival, from the Dice coefficient of
    segmentation, calls that a perfect 1. Gradients are finite in either case.

    Source: Su 2019.
    """
    found = 2 * (p * y).sum(-1)
    return found / (p + y).sum(-1).clamp_min(torch.finfo(p.dtype).tiny)


def soft_f1_loss(
    p: Float[Tensor, "n classes"],
    y: Float[Tensor, "n classes"],
    average: Average = "micro",
) -> Float[Tensor, ""]:
    """1 - soft F1 of a whole batch, all classes in one count or one count a class.

    *micro* sums over examples and classes alike, so frequent classes rule; *macro* is
    the mean of the classes' own F1. Never the mean of the examples' F1.

    Raises:
        ValueError: `average` is neither.
    """
    if average == "micro":
        return 1 - soft_f1(p.flatten(), y.flatten())
    if average == "macro":
        return 1 - soft_f1(p.mT, y.mT).mean()
    raise ValueError(f"average must be micro or macro, got {average!r}")


def rare_positives(
    runs: int,
    n: int,
    d: int,
    generator: torch.Generator,
    rate: float = 0.05,
    shift: float = 2.0,
) -> tuple[Float[Tensor, "runs n {d}+1"], Float[Tensor, "runs n"]]:
    """Data sets with few positives: normal features, the first moved up by `shift`.

    One data set a run. A last feature is 1 throughout, so that the bias of a linear
    model is one of its weights. The best logit is shift x_0 + constant: linear.
    """
    y = (torch.rand(runs, n, generator=generator) < rate).float()
    x = torch.randn(runs, n, d + 1, generator=generator)
    x[..., 0] += shift * y
    x[..., -1] = 1
    return x, y


def train_linear(
    loss: Callable[[Tensor, Tensor], Tensor],
    x: Float[Tensor, "runs n features"],
    y: Float[Tensor, "runs n"],
    start: Float[Tensor, "runs features"],
    steps: int,
    lr: float = 0.05,
) -> Float[Tensor, "runs features"]:
    """Fit one linear model to each data set with Adam, all data in every step.

    `loss` takes logits and labels (runs, n) and gives one number a run. The runs do
    not touch each other: Adam works entry by entry.
    """
    theta = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([theta], lr)
    for _ in range(steps):
        optimiser.zero_grad()
        loss((x @ theta[..., None])[..., 0], y).sum().backward()
        optimiser.step()
    return theta.detach()
