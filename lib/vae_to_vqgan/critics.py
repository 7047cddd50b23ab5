"""Networks that judge an image: a critic of patches, and features to compare by.

Source: Isola et al. 2016, *Image-to-Image Translation with Conditional Adversarial
Networks*, arXiv:1611.07004; Zhang et al. 2018, *The Unreasonable Effectiveness of Deep
Features as a Perceptual Metric*, arXiv:1801.03924.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lib.training import fit


def _draw(module: nn.Module, generator: torch.Generator) -> None:
    """He initialisation of every convolution and linear layer from `generator`."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, a=0.2, generator=generator)
            nn.init.zeros_(layer.bias)


class PatchDiscriminator(nn.Module):
    """One logit for every patch of an image: is this patch real?

    `layers` convolutions of 4 x 4 with stride 2, then two of 1 x 1, so a logit sees a
    patch of 3 · 2^layers - 2 pixels (4, 10, 22) and there is one every 2^layers pixels.
    Isola et al. have 70-pixel patches and normalise by batch; here nothing is
    normalised, so that no image's logit depends on who shares its batch.

    Source: Isola et al. 2016, arXiv:1611.07004, section 3.2.2.
    """

    def __init__(
        self, width: int, layers: int, generator: torch.Generator, channels: int = 1
    ):
        super().__init__()
        sizes = [channels, *(width * 2**layer for layer in range(layers))]
        body = []
        for before, after in pairwise(sizes):
            body += [nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(0.2)]
        body += [nn.Conv2d(sizes[-1], sizes[-1], 1), nn.LeakyReLU(0.2)]
        self.net = nn.Sequential(*body, nn.Conv2d(sizes[-1], 1, 1))
        _draw(self, generator)

    def forward(
        self, x: Float[Tensor, "batch channels h w"]
    ) -> Float[Tensor, "batch 1 rows columns"]:
        return self.net(x)


class FeatureNet(nn.Module):
    """A small classifier, for what its layers see: `stages` of 3 x 3 convolutions.

    The first keeps the size, each later one halves it. `features` are the outputs of
    all stages after their ReLU, `forward` the logits of the classes.
    """

    def __init__(
        self,
        width: int,
        stages: int,
        classes: int,
        generator: torch.Generator,
        channels: int = 1,
    ):
        super().__init__()
        sizes = [channels, *(width * 2**stage for stage in range(stages))]
        self.stages = nn.ModuleList(
            nn.Conv2d(before, after, 3, 2 if stage else 1, 1)
            for stage, (before, after) in enumerate(pairwise(sizes))
        )
        self.head = nn.Linear(sizes[-1], classes)
        _draw(self, generator)

    def features(self, x: Float[Tensor, "batch channels h w"]) -> list[Tensor]:
        found = []
        for stage in self.stages:
            x = stage(x).relu()
            found.append(x)
        return found

    def forward(
        self, x: Float[Tensor, "batch channels h w"]
    ) -> Float[Tensor, "batch classes"]:
        return self.head(self.features(x)[-1].mean((2, 3)))


class FeatureLoss(nn.Module):
    """How far apart two images look to a network that has learnt to tell images apart.

    For each layer: the vector of channels at each place is brought to length 1, and
    squared differences are summed over channels and averaged over places; then layers
    are added. LPIPS with all its learnt channel weights set to 1. The network is
    frozen; gradients pass through it to the images.

    Source: Zhang et al. 2018, arXiv:1801.03924, equation 1.
    """

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net.eval().requires_grad_(False)

    def forward(
        self,
        x: Float[Tensor, "batch channels h w"],
        y: Float[Tensor, "batch channels h w"],
    ) -> Float[Tensor, " batch"]:
        total = x.new_zeros(len(x))
        for one, other in zip(self.net.features(x), self.net.features(y)):
            gap = F.normalize(one, dim=1) - F.normalize(other, dim=1)
            total = total + gap.square().sum(1).mean((1, 2))
        return total


def train_classifier(
    net: FeatureNet,
    images: Float[Tensor, "n channels h w"],
    labels: Int64[Tensor, " n"],
    steps: int,
    generator: torch.Generator,
    batch: int = 64,
    learning_rate: float = 1e-2,
) -> Float[Tensor, " steps"]:
    """Teach `net` which digit is which; the losses of all steps."""
    device = next(net.parameters()).device

    def loss() -> Tensor:
        rows = torch.randint(len(images), (batch,), generator=generator)
        return F.cross_entropy(net(images[rows].to(device)), labels[rows].to(device))

    return fit(net.parameters(), loss, steps, learning_rate)
