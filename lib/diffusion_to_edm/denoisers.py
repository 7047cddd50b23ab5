"""Networks for denoisers of small images, and how they are trained.

A network takes x, already scaled, and one number of noise for each image, which it is
told through sines and cosines; what its output means is another module's business. The
last layer starts at zero, so that a new network says nothing. The loss is an argument:
no lesson is imported.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lib.training import fit


def waves(noise: Float[Tensor, "..."], width: int) -> Float[Tensor, "... width"]:
    """Cosines and sines of `noise` at width / 2 frequencies from 1/2 to 32, evenly
    spaced in their logarithm."""
    octaves = torch.linspace(-1, 5, width // 2, device=noise.device, dtype=noise.dtype)
    angles = noise[..., None] * 2**octaves
    return torch.cat([angles.cos(), angles.sin()], -1)


class MLP(nn.Module):
    """Residual blocks on the pixels in a row, each told the noise."""

    def __init__(self, pixels: int, width: int, blocks: int):
        super().__init__()
        self.told = 32
        self.first = nn.Linear(pixels, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(blocks))
        self.tell = nn.ModuleList(nn.Linear(self.told, width) for _ in range(blocks))
        self.up = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.down = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.last = nn.Linear(width, pixels)

    def forward(
        self, x: Float[Tensor, "n c h w"], noise: Float[Tensor, "..."]
    ) -> Float[Tensor, "n c h w"]:
        told = waves(noise.expand(len(x)), self.told)
        hidden = self.first(x.flatten(1))
        for norm, tell, up, down in zip(self.norms, self.tell, self.up, self.down):
            inner = F.silu(up(norm(hidden)) + tell(told))
            hidden = hidden + down(inner)
        return self.last(F.silu(hidden)).view_as(x)


class Block(nn.Module):
    """Two convolutions beside a shortcut; between them the noise is told."""

    def __init__(self, into: int, out: int, told: int):
        super().__init__()
        self.norms = nn.ModuleList([nn.GroupNorm(8, into), nn.GroupNorm(8, out)])
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(into, out, 3, padding=1), nn.Conv2d(out, out, 3, padding=1)]
        )
        self.tell = nn.Linear(told, out)
        self.shortcut = nn.Conv2d(into, out, 1)

    def forward(
        self, x: Float[Tensor, "n into h w"], told: Float[Tensor, "n told"]
    ) -> Float[Tensor, "n out h w"]:
        inner = self.convolutions[0](F.silu(self.norms[0](x)))
        inner = inner + self.tell(told)[..., None, None]
        return self.shortcut(x) + self.convolutions[1](F.silu(self.norms[1](inner)))


class UNet(nn.Module):
    """Three resolutions, one block at each on the way down and on the way up.

    The sides of images are multiples of 4, `width` one of 8.
    """

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.told = 4 * width
        wide, wider = 2 * width, 4 * width
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.down = nn.ModuleList(
            Block(into, out, self.told)
            for into, out in ((width, width), (width, wide), (wide, wider))
        )
        self.middle = Block(wider, wider, self.told)
        # Each takes what comes from below beside what went down at its resolution.
        self.up = nn.ModuleList(
            Block(into, out, self.told)
            for into, out in (
                (wider + wider, wide),
                (wide + wide, width),
                (2 * width, width),
            )
        )
        self.last = nn.Sequential(
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, channels, 3, padding=1)
        )

    def forward(
        self, x: Float[Tensor, "n c h w"], noise: Float[Tensor, "..."]
    ) -> Float[Tensor, "n c h w"]:
        told = waves(noise.expand(len(x)), self.told)
        hidden, kept = self.first(x), []
        for i, block in enumerate(self.down):
            hidden = block(hidden if i == 0 else F.avg_pool2d(hidden, 2), told)
            kept.append(hidden)
        hidden = self.middle(hidden, told)
        for i, block in enumerate(self.up):
            if i > 0:
                hidden = F.interpolate(hidden, scale_factor=2.0)
            hidden = block(torch.cat([hidden, kept.pop()], 1), told)
        return self.last(hidden)


@dataclass(frozen=True)
class Size:
    """Images, a network and its training; `kind` is MLP or UNet."""

    kind: str
    pixels: int
    images: int
    width: int
    batch: int
    steps: int
    learning_rate: float


# For `lib.runtime.pick`: scikit-learn's digits, or glyphs drawn from fonts.
CPU = Size("MLP", 8, 1500, width=128, batch=128, steps=1200, learning_rate=4e-3)
GPU = Size("UNet", 32, 20_000, width=64, batch=256, steps=20_000, learning_rate=5e-4)


def network(size: Size, generator: torch.Generator) -> nn.Module:
    """Weights normal with variance 1 / fan-in, biases 0, the last layer 0.

    Raises:
        ValueError: the kind is neither MLP nor UNet.
    """
    if size.kind not in ("MLP", "UNet"):
        raise ValueError(f"kind must be MLP or UNet, got {size.kind!r}")
    if size.kind == "MLP":
        net = MLP(size.pixels**2, size.width, blocks=3)
        last = net.last
    else:
        net = UNet(1, size.width)
        last = net.last[-1]
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim > 1:
                scale = parameter[0].numel() ** -0.5
                parameter.normal_(0, scale, generator=generator)
        for module in net.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.bias.zero_()
        last.weight.zero_()
    return net


def fit_denoiser(
    net: nn.Module,
    images: Float[Tensor, "n c h w"],
    loss: Callable[[Tensor, torch.Generator], Float[Tensor, ""]],
    size: Size,
    generator: torch.Generator,
) -> Float[Tensor, " steps"]:
    """Train in place on batches drawn at random; `loss(batch, generator)`."""

    def of_batch() -> Tensor:
        rows = torch.randint(
            len(images), (size.batch,), generator=generator, device=generator.device
        )
        return loss(images[rows.to(images.device)], generator)

    return fit(net.parameters(), of_batch, size.steps, size.learning_rate)
