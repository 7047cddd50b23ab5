"""Mixtures of Gaussians: data whose noisy density, score and denoiser are known."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Mixture:
    """k round Gaussians in d dimensions.

    weights: chances of the components, summing to 1.
    means: their centres.
    std: the one standard deviation of them all, above 0 unless noise is added.
    """

    weights: Float[Tensor, " k"]
    means: Float[Tensor, "k d"]
    std: float

    def __post_init__(self):
        if abs(float(self.weights.sum()) - 1) > 1e-5 or bool((self.weights < 0).any()):
            raise ValueError(
                f"weights must be chances that sum to 1, got {self.weights.tolist()}"
            )
        if self.std < 0:
            raise ValueError(f"std must not be negative, got {self.std}")


def sample(
    mixture: Mixture, n: int, generator: torch.Generator
) -> Float[Tensor, "n d"]:
    """n independent points of the mixture, without noise."""
    chosen = torch.multinomial(mixture.weights, n, True, generator=generator)
    means = mixture.means[chosen]
    noise = torch.randn(
        means.shape, generator=generator, dtype=means.dtype, device=means.device
    )
    return means + mixture.std * noise


def _logits(
    mixture: Mixture,
    x: Float[Tensor, "*rows d"],
    sigma: float | Float[Tensor, "..."],
) -> Float[Tensor, "*rows k"]:
    """ln of weight times density, by component, of data plus noise of level sigma.
    Noise of level sigma widens each component to variance std² + sigma²."""
    sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
    variance = (mixture.std**2 + sigma**2)[..., None]
    squares = (x[..., None, :] - mixture.means).square().sum(-1)
    norm = x.shape[-1] / 2 * (2 * math.pi * variance).log()
    return mixture.weights.log() - norm - squares / (2 * variance)


def log_density(
    mixture: Mixture,
    x: Float[Tensor, "*rows d"],
    sigma: float | Float[Tensor, "..."] = 0.0,
) -> Float[Tensor, " *rows"]:
    """ln p(x; sigma), in nats, of a point of the mixture plus sigma times noise.

    sigma: one number, or one for each row.
    """
    return _logits(mixture, x, sigma).logsumexp(-1)


def denoise(
    mixture: Mixture,
    x: Float[Tensor, "*rows d"],
    sigma: float | Float[Tensor, "..."],
) -> Float[Tensor, "*rows d"]:
    """D(x; sigma) = E[x0 | x0 + sigma eps = x], the best denoiser.

    Of each component it is the mean of two measurements, weighted by their precision:
    (std² x + sigma² mean) / (std² + sigma²); the components are averaged by how likely
    they are, given x.
    """
    chances = _logits(mixture, x, sigma).softmax(-1)
    sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)[..., None]
    mean = chances @ mixture.means
    return (mixture.std**2 * x + sigma**2 * mean) / (mixture.std**2 + sigma**2)


def score(
    mixture: Mixture,
    x: Float[Tensor, "*rows d"],
    sigma: float | Float[Tensor, "..."] = 0.0,
) -> Float[Tensor, "*rows d"]:
    """The gradient of ln p(x; sigma) with respect to x."""
    chances = _logits(mixture, x, sigma).softmax(-1)
    sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)[..., None]
    return (chances @ mixture.means - x) / (mixture.std**2 + sigma**2)
