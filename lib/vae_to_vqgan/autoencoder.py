"""The autoencoder of this part: images to a small grid of vectors, and back.

What happens to the vectors in between is not its business: a chapter may quantise
them, or not. The same code serves 8 x 8 and 64 x 64 pixels.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lib import images


@dataclass(frozen=True)
class Size:
    """One experiment: images, network, codebook, and how long it is trained.

    `code` is D, the width of a code, and `codes` is K, how many there are. `depth`
    counts the 3 x 3 convolutions on either side.
    """

    pixels: int
    patch: int
    depth: int
    width: int
    code: int
    codes: int
    train: int
    test: int
    batch: int
    steps: int
    learning_rate: float

    @property
    def tokens(self) -> int:
        """How many vectors an image becomes."""
        return (self.pixels // self.patch) ** 2


CPU = Size(8, 4, 1, 96, 16, 64, 1400, 397, 128, 600, 1e-2)
GPU = Size(64, 8, 3, 256, 64, 512, 50_000, 2_000, 256, 10_000, 1e-3)


def data(
    size: Size, generator: torch.Generator
) -> tuple[Float[Tensor, "train 1 h w"], Float[Tensor, "test 1 h w"]]:
    """Images in [0, 1] to train on, and others to judge by.

    8 x 8: scikit-learn's digits, the same split whatever `generator`. Any other size:
    glyphs of ten digits, drawn from `generator`.
    """
    n = size.train + size.test
    if size.pixels == 8:
        drawn, _ = images.digits()
    else:
        drawn, _ = images.glyphs(n, size.pixels, generator)
    return drawn[: size.train], drawn[size.train : n]


class Autoencoder(nn.Module):
    """`encode`: (B, 1, h, w) to a grid (B, H, W, D), channels last; `decode`: back.

    Each patch becomes one vector; 3 x 3 convolutions on the grid let neighbours help
    each other. `last` is the last layer with weights. The output is not squashed into
    [0, 1]. Weights are drawn from `generator` as PyTorch's default does, biases are 0.
    """

    def __init__(self, size: Size, generator: torch.Generator):
        super().__init__()
        patch = size.patch**2

        def mix(channels: int) -> list[nn.Module]:
            widths = [channels] + size.depth * [size.width]
            layers = [
                (nn.Conv2d(a, b, 3, padding=1), nn.ReLU()) for a, b in pairwise(widths)
            ]
            return [layer for pair in layers for layer in pair]

        self.last = nn.Conv2d(size.width, patch, 1)
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(size.patch),
            *mix(patch),
            nn.Conv2d(size.width, size.code, 1),
        )
        self.decoder = nn.Sequential(
            *mix(size.code), self.last, nn.PixelShuffle(size.patch)
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, 5**0.5, generator=generator)
                nn.init.zeros_(layer.bias)

    def encode(self, x: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b gh gw d"]:
        """One vector for every cell of the grid."""
        return self.encoder(x).movedim(1, -1)

    def decode(self, z: Float[Tensor, "b gh gw d"]) -> Float[Tensor, "b 1 h w"]:
        """The image that a grid of vectors stands for."""
        return self.decoder(z.movedim(-1, 1))
