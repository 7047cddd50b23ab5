"""Small images: real digits, and glyphs of any number and size drawn from fonts."""

from functools import cache
from pathlib import Path

import matplotlib
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits
from torch import Tensor

FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSerif", "cmr10")


def digits() -> tuple[Float[Tensor, "1797 1 8 8"], Int64[Tensor, " 1797"]]:
    """scikit-learn's handwritten digits in [0, 1], and which digit each one is.

    Shuffled once and for all: the data set comes ordered by writer, so a cut through
    the original order would compare writers. Source: UCI, optical recognition of
    handwritten digits; 8 x 8 counts of ink from 0 to 16, divided by 16 here.
    """
    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
    images = torch.tensor(data.images, dtype=torch.float32).unsqueeze(1) / 16
    return images[order], torch.tensor(data.target)[order]


@cache
def _plate(character: str, font: str, size: int) -> Float[Tensor, "size size"]:
    """One character in one font, white on black, in the middle of a square."""
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    face = ImageFont.truetype(str(fonts / f"{font}.ttf"), size)
    plate = Image.new("L", (size, size))
    ImageDraw.Draw(plate).text(
        (size / 2, size / 2), character, fill=255, font=face, anchor="mm"
    )
    rows = torch.frombuffer(bytearray(plate.tobytes()), dtype=torch.uint8)
    return rows.view(size, size) / 255


def glyphs(
    n: int,
    size: int,
    generator: torch.Generator,
    characters: str = "0123456789",
) -> tuple[Float[Tensor, "n 1 size size"], Int64[Tensor, " n"]]:
    """`n` characters in [0, 1], each turned, scaled and moved a little at random.

    The character, one of five fonts that come with matplotlib, a turn of up to 15
    degrees, a scale of 0.8 to 1.1 and a shift of up to a tenth of the image are drawn
    from `generator`. The labels are indices into `characters`.

    Raises:
        ValueError: `characters` is empty, or `n` or `size` below 1.
    """
    if n < 1 or size < 1:
        raise ValueError(f"n and size must be at least 1, got {n} and {size}")
    if not characters:
        raise ValueError("characters must name at least one character, got none")
    labels = torch.randint(len(characters), (n,), generator=generator)
    fonts = torch.randint(len(FONTS), (n,), generator=generator)
    turn, scale, right, down = torch.rand(4, n, generator=generator)
    turn = (turn - 0.5) * torch.pi / 6
    scale = 0.8 + 0.3 * scale
    # affine_grid asks where each target pixel comes from: the inverse of the motion.
    cos, sin = turn.cos() / scale, turn.sin() / scale
    shift = torch.stack([right, down], -1) * 0.4 - 0.2
    motion = torch.stack([cos, sin, -sin, cos], -1).view(n, 2, 2)
    theta = torch.cat([motion, -motion @ shift.unsqueeze(-1)], -1)
    plates = torch.stack(
        [
            _plate(characters[label], FONTS[font], 2 * size)
            for label, font in zip(labels.tolist(), fonts.tolist())
        ]
    ).unsqueeze(1)
    grid = F.affine_grid(theta, [n, 1, 2 * size, 2 * size], align_corners=False)
    moved = F.grid_sample(plates, grid, align_corners=False)
    # Drawn at twice the size and averaged, so that edges are smooth.
    return F.avg_pool2d(moved, 2), labels
