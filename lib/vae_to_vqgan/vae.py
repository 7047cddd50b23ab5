"""The variational autoencoder: a latent variable model with an encoder for its bound.

Everywhere: one number per example sums over its pixels or latent dimensions, in nats;
means over a batch are left to the caller. The encoder's second output is `logvar`, the
logarithm of the variance. Noise is an argument, so that a model is a pure function.

Sources: Kingma & Welling 2013, *Auto-Encoding Variational Bayes*, arXiv:1312.6114;
Burda et al. 2015, *Importance Weighted Autoencoders*, arXiv:1509.00519.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lib.training import fit

Model = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
LogLikelihood = Callable[[Tensor, Tensor], Tensor]


def gaussian_kl(
    mu: Float[Tensor, "*rows k"], logvar: Float[Tensor, "*rows k"]
) -> Float[Tensor, "*rows"]:
    """KL(N(mu, exp(logvar)) || N(0, I)), summed over the k latent dimensions.

    `logvar` is log sigma**2; a network that gives log sigma or sigma is another one.
    Source: Kingma & Welling 2013, appendix B, there with the opposite sign.
    """
    return 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(-1)


def bernoulli_log_likelihood(
    logits: Float[Tensor, "*rows c h w"], x: Float[Tensor, "#rows c h w"]
) -> Float[Tensor, "*rows"]:
    """Log-probability of an image's pixels, summed over them; `logits`, not chances.

    For x between 0 and 1 it is the mean over random black-and-white images whose
    pixels are white with probability x.
    """
    loss = F.binary_cross_entropy_with_logits(
        logits, x.expand_as(logits), reduction="none"
    )
    return -loss.flatten(-3).sum(-1)


class VAE(nn.Module):
    """An encoder that gives 2k numbers for an image, a decoder that takes k.

    The first k are `mu`, the others `logvar`. What the decoder's output means is the
    likelihood's business: logits for `bernoulli_log_likelihood`.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def encode(
        self, x: Float[Tensor, "batch c h w"]
    ) -> tuple[Float[Tensor, "batch k"], Float[Tensor, "batch k"]]:
        """`mu` and `logvar` of q(z | x)."""
        return self.encoder(x).chunk(2, -1)

    def decode(self, z: Float[Tensor, "*rows k"]) -> Float[Tensor, "*rows c h w"]:
        """The likelihood's parameters, for any number of leading axes."""
        out = self.decoder(z.flatten(0, -2))
        return out.unflatten(0, z.shape[:-1])

    def forward(
        self, x: Float[Tensor, "batch c h w"], noise: Float[Tensor, "samples batch k"]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Decoded samples (samples, batch, c, h, w), `mu` and `logvar`.

        `noise` is standard normal: z = mu + sigma * noise carries the gradient.
        """
        mu, logvar = self.encode(x)
        return self.decode(mu + (0.5 * logvar).exp() * noise), mu, logvar


def elbo(
    model: Model,
    x: Float[Tensor, "batch c h w"],
    noise: Float[Tensor, "samples batch k"],
    beta: float | Float[Tensor, ""] = 1.0,
    log_likelihood: LogLikelihood = bernoulli_log_likelihood,
) -> dict[str, Float[Tensor, " batch"]]:
    """`rec`, `kl` and `elbo` = rec - beta * kl of every example, in nats.

    `rec` is the mean of log p(x | z) over the samples, not positive for a Bernoulli
    decoder; `kl` is exact. With beta other than 1 it is a bound on nothing.
    """
    out, mu, logvar = model(x, noise)
    rec, kl = log_likelihood(out, x).mean(0), gaussian_kl(mu, logvar)
    return {"rec": rec, "kl": kl, "elbo": rec - beta * kl}


def log_weights(
    model: Model,
    x: Float[Tensor, "batch c h w"],
    noise: Float[Tensor, "samples batch k"],
    log_likelihood: LogLikelihood = bernoulli_log_likelihood,
) -> Float[Tensor, "samples batch"]:
    """log p(x | z) + log p(z) - log q(z | x) of samples z from the encoder."""
    out, mu, logvar = model(x, noise)
    z = mu + (0.5 * logvar).exp() * noise
    # Both densities have the factor (2 pi)**(-k / 2), which cancels.
    prior, posterior = -0.5 * z**2, -0.5 * (noise**2 + logvar)
    return log_likelihood(out, x) + (prior - posterior).sum(-1)


def iwae_bound(log_w: Float[Tensor, "samples batch"]) -> Float[Tensor, " batch"]:
    """log of the mean of exp(log_w): a bound on log p(x) that rises with the samples.

    With one sample it is an estimate of the ELBO. Source: Burda et al. 2015.
    """
    return log_w.logsumexp(0) - math.log(len(log_w))


def active_units(mu: Float[Tensor, "n k"], threshold: float = 0.01) -> int:
    """How many latent dimensions have a posterior mean that depends on the example.

    That is, a variance of `mu` over the data above `threshold`. Source: Burda et al.
    2015.
    """
    return int((mu.var(0, correction=0) > threshold).sum())


def decoder_of_averages(
    model: VAE,
    z: Float[Tensor, "m k"],
    images: Float[Tensor, "n c h w"],
) -> Float[Tensor, "m c h w"]:
    """The best decoder that the encoder allows: images averaged with weights q(z | x).

    For a Bernoulli or Gaussian decoder no other function of z has a higher expected
    log-likelihood over `images`, since E[x | z] maximises it at each z.
    """
    mu, logvar = model.encode(images)
    apart = (z[:, None] - mu) ** 2 / logvar.exp()
    weights = (-0.5 * (apart + logvar).sum(-1)).softmax(1)
    return torch.einsum("mn,nchw->mchw", weights, images)


# Networks and training


def initialise(model: nn.Module, generator: torch.Generator) -> nn.Module:
    """Weights normal with variance 1 / fan-in, biases zero, in place."""
    for parameter in model.parameters():
        with torch.no_grad():
            if parameter.ndim == 1:
                parameter.zero_()
            else:
                scale = parameter[0].numel() ** -0.5
                parameter.normal_(0, scale, generator=generator)
    return model


def mlp_vae(size: int, width: int, k: int, generator: torch.Generator) -> VAE:
    """One hidden layer of `width` on either side, for images (1, size, size)."""
    pixels = size * size
    encoder = nn.Sequential(
        nn.Flatten(), nn.Linear(pixels, width), nn.ReLU(), nn.Linear(width, 2 * k)
    )
    decoder = nn.Sequential(
        nn.Linear(k, width),
        nn.ReLU(),
        nn.Linear(width, pixels),
        nn.Unflatten(1, (1, size, size)),
    )
    return initialise(VAE(encoder, decoder), generator)


def conv_vae(size: int, width: int, k: int, generator: torch.Generator) -> VAE:
    """Two convolutions of stride 2 down to size / 4, and two back up.

    Raises:
        ValueError: `size` is not a multiple of 4.
    """
    if size % 4:
        raise ValueError(f"size must be a multiple of 4, got {size}")
    small, inner = size // 4, 2 * width * (size // 4) ** 2
    encoder = nn.Sequential(
        nn.Conv2d(1, width, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 4, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(inner, 2 * k),
    )
    decoder = nn.Sequential(
        nn.Linear(k, inner),
        nn.ReLU(),
        nn.Unflatten(1, (2 * width, small, small)),
        nn.ConvTranspose2d(2 * width, width, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(width, 1, 4, 2, 1),
    )
    return initialise(VAE(encoder, decoder), generator)


@dataclass(frozen=True)
class Size:
    """A convolutional VAE on glyphs: the images, the model and its training."""

    size: int
    images: int
    width: int
    k: int
    batch: int
    steps: int
    learning_rate: float


# Two sizes for `lib.runtime.pick`.
CPU = Size(size=16, images=2000, width=8, k=8, batch=32, steps=500, learning_rate=1e-2)
GPU = Size(
    size=28, images=20_000, width=64, k=16, batch=128, steps=5000, learning_rate=2e-3
)


def fit_vae(
    model: VAE,
    images: Float[Tensor, "n c h w"],
    steps: int,
    batch: int,
    learning_rate: float,
    generator: torch.Generator,
) -> Float[Tensor, " steps"]:
    """Train one model in place, one sample of z an image; losses are nats a pixel."""
    k = model.encode(images[:1])[0].shape[-1]

    def loss():
        rows = torch.randint(len(images), (batch,), generator=generator)
        noise = torch.randn(1, batch, k, generator=generator).to(images)
        return -elbo(model, images[rows], noise)["elbo"].mean() / images[0].numel()

    return fit(model.parameters(), loss, steps, learning_rate)


def fit_together(
    models: Sequence[VAE],
    betas: Sequence[float],
    images: Float[Tensor, "n c h w"],
    steps: int,
    batch: int,
    learning_rate: float,
    generator: torch.Generator,
) -> Float[Tensor, " steps"]:
    """Train models of one shape at once, each with its own beta, in place.

    Their weights are stacked and every layer runs once for all of them (`torch.func`).
    All see the same batches and the same noise, so that beta is all that differs. The
    losses are the mean over models of -elbo per pixel.

    Raises:
        ValueError: as many betas as models are needed.
    """
    if len(betas) != len(models):
        raise ValueError(f"betas must be {len(models)} numbers, got {len(betas)}")
    stacked, buffers = torch.func.stack_module_state(list(models))
    stacked = {name: nn.Parameter(weights) for name, weights in stacked.items()}
    beta = torch.tensor(betas, device=images.device)
    k = models[0].encode(images[:1])[0].shape[-1]
    pixels = images[0].numel()

    def bound(
        weights: dict, state: dict, beta: Tensor, x: Tensor, noise: Tensor
    ) -> Tensor:
        def model(*inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return torch.func.functional_call(models[0], (weights, state), inputs)

        return elbo(model, x, noise, beta)["elbo"]

    many = torch.func.vmap(bound, in_dims=(0, 0, 0, None, None))

    def loss():
        rows = torch.randint(len(images), (batch,), generator=generator)
        noise = torch.randn(1, batch, k, generator=generator).to(images)
        return -many(stacked, buffers, beta, images[rows], noise).mean() / pixels

    losses = fit(stacked.values(), loss, steps, learning_rate)
    for index, model in enumerate(models):
        rows = {name: weights[index] for name, weights in stacked.items()}
        model.load_state_dict(rows)
    return losses
