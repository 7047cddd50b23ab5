"""A variational autoencoder whose code is a handful of categories: what they are for.

Imports no lesson: how a category is drawn is given to it as a function.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from sklearn.datasets import load_digits
from torch import Tensor, nn

Draw = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Size:
    """`places` categorical variables of `categories` values each, and the training."""

    places: int
    categories: int
    width: int
    batch: int
    steps: int
    lr: float = 5e-3


CPU = Size(places=8, categories=8, width=128, batch=100, steps=600)
GPU = Size(places=32, categories=16, width=1024, batch=500, steps=8000, lr=1e-3)


def binary_digits() -> tuple[Float[Tensor, "train 64"], Float[Tensor, "test 64"]]:
    """scikit-learn's 8 by 8 digits, 1 where ink covers half a pixel or more, else 0.

    Shuffled with a fixed seed, since the file is ordered by writer: 1500 and 297.
    """
    pixels = torch.as_tensor(load_digits().data >= 8).float()
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
    train, test = pixels[order].split((1500, len(pixels) - 1500))
    return train, test


class DiscreteVAE(nn.Module):
    """Encoder to logits (batch, places, categories), decoder from points of simplices.

    The prior is uniform. All code lengths are in nats an image.
    """

    def __init__(self, size: Size, generator: torch.Generator):
        super().__init__()
        code = size.places * size.categories
        self.shape = size.places, size.categories
        self.encoder = nn.Sequential(
            nn.Linear(64, size.width), nn.ReLU(), nn.Linear(size.width, code)
        )
        self.decoder = nn.Sequential(
            nn.Linear(code, size.width), nn.ReLU(), nn.Linear(size.width, 64)
        )
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(generator=generator)
                fan_in = parameter.shape[1] if parameter.ndim == 2 else torch.inf
                parameter *= (2 / fan_in) ** 0.5

    def encode(self, x: Float[Tensor, "batch 64"]) -> Float[Tensor, "batch n k"]:
        """Logits of the code's categories."""
        return self.encoder(x).unflatten(-1, self.shape)

    def distortion(
        self, z: Float[Tensor, "batch n k"], x: Float[Tensor, "batch 64"]
    ) -> Float[Tensor, " batch"]:
        """-log p(x | z), pixels being independent; z one-hot, or inside the simplex."""
        pixels = self.decoder(z.flatten(1))
        loss = F.binary_cross_entropy_with_logits(pixels, x, reduction="none")
        return loss.sum(-1)


def rate(logits: Float[Tensor, "batch n k"]) -> Float[Tensor, " batch"]:
    """KL of the categories from the uniform prior: Σ log K - H, exactly."""
    log_q = logits.log_softmax(-1)
    log_k = torch.tensor(float(logits.shape[-1])).log()
    return (log_q.exp() * (log_q + log_k.to(log_q))).sum((-2, -1))


def train(
    model: DiscreteVAE,
    data: Float[Tensor, "count 64"],
    size: Size,
    loss: Callable[[DiscreteVAE, Tensor], Tensor],
    generator: torch.Generator,
) -> Float[Tensor, " steps"]:
    """Adam on random batches; `loss` gives a number for each image. Returns the means.

    What is minimised need not be a bound: only `bound`, on whole categories, is.
    """
    optimiser = torch.optim.Adam(model.parameters(), lr=size.lr)
    losses = []
    for _ in range(size.steps):
        row = torch.randint(len(data), (size.batch,), generator=generator)
        mean = loss(model, data[row.to(data.device)]).mean()
        optimiser.zero_grad()
        mean.backward()
        optimiser.step()
        losses.append(mean.detach())
    return torch.stack(losses).cpu()


@torch.no_grad()
def bound(
    model: DiscreteVAE, x: Float[Tensor, "count 64"], draw: Draw, times: int
) -> float:
    """Mean of distortion + rate over images and `times` draws of *whole* categories.

    An upper bound of -log p(x), the negative ELBO. `draw` maps logits to one-hot.
    """
    logits = model.encode(x)
    distortions = [model.distortion(draw(logits), x) for _ in range(times)]
    return float((torch.stack(distortions).mean(0) + rate(logits)).mean())
