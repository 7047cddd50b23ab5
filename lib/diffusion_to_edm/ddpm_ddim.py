"""DDPM and DDIM: one trained denoiser, and a family of ways to walk back along it.

Noise levels are given by alpha-bar (ᾱ), the share of the data in the variance:
x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε. It falls from 1 (data) to nearly 0 (noise). The DDIM
paper writes α for this ᾱ. A level is one number, or one for each row of x.

Sources: Ho, Jain, Abbeel 2020, arXiv:2006.11239; Song, Meng, Ermon 2021,
arXiv:2010.02502; Nichol, Dhariwal 2021, arXiv:2102.09672.
"""

import functools
import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.diffusion_to_edm import mixtures

Level = float | Float[Tensor, "..."]
Predictor = Callable[[Tensor, Tensor], Tensor]


def beta_schedule(kind: str, T: int) -> Float[Tensor, " T"]:
    """The variances β of T noising steps, in float64, the least noisy first.

    linear: from 1e-4 to 0.02 whatever T is, as in DDPM and diffusers; made for
    T = 1000 (improved-diffusion multiplies both ends by 1000 / T instead). cosine: ᾱ
    follows cos², and β is cut at 0.999, as in Nichol & Dhariwal, equation 17.

    Raises:
        ValueError: `kind` is neither, or `T` is below 1.
    """
    if T < 1:
        raise ValueError(f"T must be at least 1, got {T}")
    if kind == "linear":
        return torch.linspace(1e-4, 0.02, T, dtype=torch.float64)
    if kind == "cosine":
        t = torch.arange(T + 1, dtype=torch.float64) / T
        abar = ((t + 0.008) / 1.008 * math.pi / 2).cos().square()
        return (1 - abar[1:] / abar[:-1]).clamp(max=0.999)
    raise ValueError(f"kind must be linear or cosine, got {kind!r}")


def alpha_bar(betas: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
    """ᾱ after each step: the products of 1 - β. Entry 0 is after one step."""
    return (1 - betas).cumprod(0)


def _rows(level: Level, x: Tensor) -> Tensor:
    """A level, broadcast over x, in its own precision: 1 - ᾱ is small near the data."""
    kept = level.dtype if isinstance(level, Tensor) else torch.float64
    level = torch.as_tensor(level, dtype=kept, device=x.device)
    return level.reshape(level.shape + (1,) * (x.dim() - level.dim()))


def _root(coefficient: Tensor, x: Tensor) -> Tensor:
    """√ of a coefficient, with rounding below 0 taken as 0, in the precision of x."""
    return coefficient.clamp_min(0).sqrt().to(x.dtype)


def q_sample(
    x0: Float[Tensor, "*shape"], abar: Level, noise: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """x_t given x_0, in one jump: √ᾱ x_0 + √(1 - ᾱ) noise.

    Source: DDPM, equation 4.
    """
    abar = _rows(abar, x0)
    return _root(abar, x0) * x0 + _root(1 - abar, x0) * noise


def posterior_mean_var(
    x0: Float[Tensor, "*shape"],
    x: Float[Tensor, "*shape"],
    abar_t: Level,
    abar_s: Level,
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "..."]]:
    """Mean and variance of q(x_s | x_t, x_0) of the Markov chain, for any s < t.

    With s = t - 1 the variance is DDPM's β̃. Source: DDPM, equations 6 and 7.
    """
    at, as_ = _rows(abar_t, x), _rows(abar_s, x)
    step = at / as_
    from_data = as_.sqrt() * (1 - step) / (1 - at)
    from_x = step.sqrt() * (1 - as_) / (1 - at)
    variance = (1 - as_) / (1 - at) * (1 - step)
    return from_data.to(x.dtype) * x0 + from_x.to(x.dtype) * x, variance.to(x.dtype)


def predict_x0(
    x: Float[Tensor, "*shape"],
    out: Float[Tensor, "*shape"],
    abar: Level,
    kind: str,
) -> Float[Tensor, "*shape"]:
    """The data that a prediction `out` of the given kind implies at x = x_t.

    kind: eps, x0 or v, where v = √ᾱ ε - √(1 - ᾱ) x_0 (Salimans & Ho 2022,
    arXiv:2202.00512). From eps it is a division by √ᾱ, from v none.

    Raises:
        ValueError: `kind` is none of the three.
    """
    abar = _rows(abar, x)
    data, noise = _root(abar, x), _root(1 - abar, x)
    if kind == "x0":
        return out
    if kind == "eps":
        return (x - noise * out) / data
    if kind == "v":
        return data * x - noise * out
    raise ValueError(f"kind must be eps, x0 or v, got {kind!r}")


def predict_eps(
    x: Float[Tensor, "*shape"],
    out: Float[Tensor, "*shape"],
    abar: Level,
    kind: str,
) -> Float[Tensor, "*shape"]:
    """The noise that a prediction `out` implies at x = x_t; kinds as in `predict_x0`.

    Raises:
        ValueError: `kind` is none of the three.
    """
    abar = _rows(abar, x)
    data, noise = _root(abar, x), _root(1 - abar, x)
    if kind == "eps":
        return out
    if kind == "x0":
        return (x - data * out) / noise
    if kind == "v":
        return noise * x + data * out
    raise ValueError(f"kind must be eps, x0 or v, got {kind!r}")


def predict_v(
    x: Float[Tensor, "*shape"],
    out: Float[Tensor, "*shape"],
    abar: Level,
    kind: str,
) -> Float[Tensor, "*shape"]:
    """v = √ᾱ ε - √(1 - ᾱ) x_0 of a prediction `out`; kinds as in `predict_x0`.

    Raises:
        ValueError: `kind` is none of the three.
    """
    if kind == "v":
        return out
    x0, eps = predict_x0(x, out, abar, kind), predict_eps(x, out, abar, kind)
    abar = _rows(abar, x)
    return _root(abar, x) * eps - _root(1 - abar, x) * x0


def ddim_step(
    x: Float[Tensor, "*shape"],
    eps: Float[Tensor, "*shape"],
    abar_t: Level,
    abar_s: Level,
    eta: float,
    noise: Float[Tensor, "*shape"] | None = None,
) -> Float[Tensor, "*shape"]:
    """From x_t to x_s, given the predicted noise. ᾱ_s = 1 gives the predicted data.

    eta = 0 is deterministic, and may also walk towards the noise; eta = 1 has the
    variance β̃ of the Markov chain. The levels are DDPM's ᾱ, of t and of s themselves
    however many steps lie between. Source: DDIM, equations 12 and 16.

    Raises:
        ValueError: `eta` is not 0 and there is no `noise`.
    """
    if eta and noise is None:
        raise ValueError(f"noise must be given where eta is not 0, got eta {eta}")
    at, as_ = _rows(abar_t, x), _rows(abar_s, x)
    variance = eta**2 * (1 - as_) / (1 - at) * (1 - at / as_)
    x0 = predict_x0(x, eps, abar_t, "eps")
    x = _root(as_, x) * x0 + _root(1 - as_ - variance, x) * eps
    return x + _root(variance, x) * noise if eta else x


def large_variance_step(
    x: Float[Tensor, "*shape"],
    eps: Float[Tensor, "*shape"],
    abar_t: Level,
    abar_s: Level,
    noise: Float[Tensor, "*shape"],
) -> Float[Tensor, "*shape"]:
    """DDPM's other choice: the mean of eta = 1, with the variance 1 - ᾱ_t / ᾱ_s.

    For neighbours that is β_t itself. The DDIM paper calls its root σ̂.
    """
    mean = ddim_step(x, eps, abar_t, abar_s, 1.0, torch.zeros_like(x))
    return mean + _root(1 - _rows(abar_t, x) / _rows(abar_s, x), x) * noise


def spaced_timesteps(T: int, S: int, spacing: str) -> list[int]:
    """S of the times 0 ... T - 1, strictly falling: where a sampler stops.

    leading: multiples of T // S from 0 up. trailing: steps of T / S from T - 1 down.
    linspace: both ends, rounded. These three are diffusers'. quadratic: the squares of
    S evenly spaced numbers, up to the one below 0.8 T, as in the official DDIM code,
    which cuts and may repeat a time; here a repeated one moves up.

    Raises:
        ValueError: `spacing` is none of these, or `S` is not between 1 and T.
    """
    if not 1 <= S <= T:
        raise ValueError(f"S must be between 1 and T = {T}, got {S}")
    if spacing == "leading":
        return [i * (T // S) for i in reversed(range(S))]
    if spacing == "trailing":
        return [round(T - i * T / S) - 1 for i in range(S)]
    if spacing == "linspace":
        return [round(i * (T - 1) / max(S - 1, 1)) for i in reversed(range(S))]
    if spacing == "quadratic":
        times = [4 * T * i * i // (5 * max(S - 1, 1) ** 2) for i in range(S)]
        for i in range(1, S):
            times[i] = max(times[i], times[i - 1] + 1)
        return times[::-1]
    raise ValueError(
        f"spacing must be leading, trailing, linspace or quadratic, got {spacing!r}"
    )


def _walk(
    step: Callable[..., Tensor],
    eps_fn: Predictor,
    x: Tensor,
    abar: Tensor,
    timesteps: Sequence[int],
    generator: torch.Generator | None,
) -> Tensor:
    """Apply step(x, eps, abar_t, abar_s, noise) down the times, the data at the end."""
    for t, s in zip(timesteps, [*timesteps[1:], None]):
        now = abar[t]
        after = torch.ones_like(now) if s is None else abar[s]
        noise = torch.empty_like(x).normal_(generator=generator) * (s is not None)
        eps = eps_fn(x, torch.full(x.shape[:1], t, device=x.device))
        x = step(x, eps, now, after, noise=noise)
    return x


def ddim_sample(
    eps_fn: Predictor,
    x: Float[Tensor, "*shape"],
    abar: Float[Tensor, " T"],
    timesteps: Sequence[int],
    eta: float,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "*shape"]:
    """Walk from noise x at timesteps[0] to the data, one call of the network a time.

    eps_fn(x, t) predicts the noise; t is (n,), integers. The last step goes to ᾱ = 1,
    not to ᾱ_0. Source: DDIM, section 4.2; the official code's last time is -1.
    """

    step = functools.partial(ddim_step, eta=eta)
    return _walk(step, eps_fn, x, abar, timesteps, generator)


def large_variance_sample(
    eps_fn: Predictor,
    x: Float[Tensor, "*shape"],
    abar: Float[Tensor, " T"],
    timesteps: Sequence[int],
    generator: torch.Generator | None = None,
) -> Float[Tensor, "*shape"]:
    """`ddim_sample` with `large_variance_step`, but for the last step, without noise.
    With all T times it is algorithm 2 of DDPM with σ² = β."""
    return _walk(large_variance_step, eps_fn, x, abar, timesteps, generator)


def simple_loss(
    eps_fn: Predictor,
    x0: Float[Tensor, "*shape"],
    abar: Float[Tensor, " T"],
    t: Int[Tensor, " n"],
    noise: Float[Tensor, "*shape"],
) -> Float[Tensor, " n"]:
    """Squared error of the predicted noise, summed over one example's dimensions.

    Source: DDPM, equation 14.
    """
    error = noise - eps_fn(q_sample(x0, abar[t], noise), t)
    return error.square().flatten(1).sum(1)


def exact_eps(
    mixture: mixtures.Mixture, x: Float[Tensor, "n d"], abar: Level
) -> Float[Tensor, "n d"]:
    """E[ε | x_t] for data from a mixture: what a perfect network would predict.

    x / √ᾱ is data plus noise of level √((1 - ᾱ) / ᾱ), which the mixture can denoise.
    """
    level = torch.as_tensor(abar, dtype=x.dtype, device=x.device)
    scaled = x / _root(_rows(level, x), x)
    x0 = mixtures.denoise(mixture, scaled, ((1 - level) / level).sqrt())
    return predict_eps(x, x0, level, "x0")
