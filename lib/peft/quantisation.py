"""Four bits a weight: NF4, whose sixteen values are quantiles of a normal distribution.

A block of weights shares one number, its largest magnitude; each weight becomes the
index of the nearest of sixteen values between -1 and 1, times that number.

Source: Dettmers et al. 2023 (QLoRA), arXiv:2305.14314, section 3 and appendix E.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

BLOCK = 64  # weights that share a scale
BLOCK_OF_SCALES = 256  # scales that share one, in double quantisation


def nf4_codebook() -> Float[Tensor, "16"]:
    """Seven negative values, an exact zero and eight positive ones, from -1 to 1.

    Quantiles of N(0, 1) at equal steps of probability, on each side from 1/2 to the
    same outermost one, then divided by the largest. Sixteen equal steps would hold no
    zero, and the outermost quantiles, at 0 and 1, would be infinite: hence two sides,
    one with a value more than the other, and an outermost probability that lies half a
    step inside, averaged over the two sides, 1 - (1/30 + 1/32) / 2.
    """
    edge = 1 - (1 / 30 + 1 / 32) / 2
    above = torch.linspace(0.5, edge, 9, dtype=torch.float64)[1:]
    below = torch.linspace(0.5, edge, 8, dtype=torch.float64)[1:]
    zero = torch.zeros(1, dtype=torch.float64)
    values = [-torch.special.ndtri(below).flip(0), zero, torch.special.ndtri(above)]
    return (torch.cat(values) / torch.special.ndtri(above[-1])).float()


def int4_codebook() -> Float[Tensor, "15"]:
    """The rival: fifteen values at equal distances, -7/7, ..., 7/7."""
    return torch.arange(-7, 8) / 7


def nf4_quantize(
    w: Float[Tensor, "..."],
    codebook: Float[Tensor, " k"] | None = None,
    block: int = BLOCK,
) -> tuple[UInt8[Tensor, "blocks block"], Float[Tensor, " blocks"]]:
    """Indices of the nearest values of the codebook, and the scale of each block.

    Blocks are cut from the flattened weights, row by row. A scale is the largest
    magnitude in its block, so that this entry is kept exactly (in NF4, as ±1), and 0
    where all of a block is 0. `codebook`: NF4 if none is given; at most 256 values.

    Raises:
        ValueError: the number of weights is no multiple of `block`.
    """
    if w.numel() % block:
        raise ValueError(f"w must hold a multiple of {block} numbers, got {w.numel()}")
    codebook = nf4_codebook() if codebook is None else codebook
    rows = w.reshape(-1, block)
    scale = rows.abs().amax(1)
    unit = rows / torch.where(scale > 0, scale, 1.0)[:, None]
    between = (codebook[1:] + codebook[:-1]) / 2
    codes = torch.bucketize(unit.contiguous(), between.to(unit))
    return codes.to(torch.uint8), scale


def nf4_dequantize(
    codes: UInt8[Tensor, "blocks block"],
    scale: Float[Tensor, " blocks"],
    shape: tuple[int, ...],
    codebook: Float[Tensor, " k"] | None = None,
) -> Float[Tensor, "..."]:
    """What the indices stand for, in the shape that the weights had."""
    codebook = nf4_codebook() if codebook is None else codebook
    values = codebook.to(scale)[codes.int()]
    return (values * scale[:, None]).reshape(shape)


def double_quantize(
    scale: Float[Tensor, " blocks"],
) -> tuple[UInt8[Tensor, " blocks"], Float[Tensor, " groups"], Float[Tensor, ""]]:
    """The scales themselves in 8 bits: codes, a step for each 256 of them, the mean.

    A scale is never negative, so the mean of all is taken off first; then a code c
    stands for mean + (c - 127) step. At equal distances, where the paper has an 8-bit
    floating point number. The last group may be shorter.
    """
    mean = scale.mean()
    groups = -(-len(scale) // BLOCK_OF_SCALES)
    filled = F.pad(scale - mean, (0, groups * BLOCK_OF_SCALES - len(scale)))
    step = filled.view(groups, -1).abs().amax(1) / 127
    unit = (scale - mean) / _of_each(step, len(scale)).clamp_min(1e-30)
    return (unit.round() + 127).to(torch.uint8), step, mean


def double_dequantize(
    codes: UInt8[Tensor, " blocks"],
    step: Float[Tensor, " groups"],
    mean: Float[Tensor, ""],
) -> Float[Tensor, " blocks"]:
    """The scales that `double_quantize` kept, off by half a step at most."""
    return mean + (codes.to(mean) - 127) * _of_each(step, len(codes))


def _of_each(step: Tensor, n: int) -> Tensor:
    return step.repeat_interleave(BLOCK_OF_SCALES)[:n]


def bits_per_weight(block: int = BLOCK, double: bool = False) -> float:
    """What a weight costs: 4 bits, and its share of a float32 scale.

    With double quantisation the scale has 8 bits, and a share of a float32 step.
    """
    scale = 8 + 32 / BLOCK_OF_SCALES if double else 32
    return 4 + scale / block


class NF4Linear(nn.Module):
    """A linear layer that stores four bits a weight, and cannot be trained.

    Two codes share a byte, the first in its high half. Every forward pass makes the
    weights anew; the backward pass goes through them to x, never to them.
    """

    def __init__(self, linear: nn.Linear, block: int = BLOCK):
        super().__init__()
        self.block = block
        self.shape = tuple(linear.weight.shape)
        codes, scale = nf4_quantize(linear.weight.detach(), block=block)
        high, low = codes.flatten().int().view(-1, 2).unbind(1)
        self.register_buffer("packed", (16 * high + low).to(torch.uint8))
        self.register_buffer("scale", scale)
        self.register_buffer("bias", None if linear.bias is None else linear.bias.data)

    @property
    def weight(self) -> Float[Tensor, "d_out d_in"]:
        packed = self.packed.int()
        codes = torch.stack([packed // 16, packed % 16], 1).view(-1, self.block)
        return nf4_dequantize(codes.to(torch.uint8), self.scale, self.shape)

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        return F.linear(x, self.weight, self.bias)


def root_mean_square_error(
    w: Float[Tensor, "..."], codebook: Float[Tensor, " k"], block: int = BLOCK
) -> float:
    """How far, relative to w, its quantisation lies: |w - ŵ| / |w|."""
    back = nf4_dequantize(*nf4_quantize(w, codebook, block), tuple(w.shape), codebook)
    return math.sqrt(float((w - back).square().sum() / w.square().sum()))
