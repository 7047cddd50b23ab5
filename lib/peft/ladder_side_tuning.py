"""Ladder side-tuning: a small network beside the frozen one, and what training keeps.

Every other method of this part trains a few numbers inside the backbone, and must carry
the gradient back through it to reach them. A ladder only reads what the backbone
computes. Here are both bills: bytes kept for the backward pass, and its arithmetic.

Sources: Sung, Cho, Bansal 2022, arXiv:2206.06522; Zhang et al. 2020, arXiv:1912.13503.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lib import runtime
from lib.peft import adapters, lora, prefix_tuning, vit
from lib.training import draw_linear

TEMPERATURE = 0.1  # of the gates, as in the authors' code


def flops(fn: Callable[[], Float[Tensor, ""]]) -> tuple[int, int]:
    """Floating-point operations of `fn()`, and of the backward pass from its result.

    Those of matrix products, two for each multiplication and addition; everything else
    is counted as nothing. The gradients are left in `.grad`, as after any backward.
    """
    with FlopCounterMode(display=False) as counter:
        result = fn()
        forward = counter.get_total_flops()
        result.backward()
    return forward, counter.get_total_flops() - forward


def block_floats(width: int, tokens: int, heads: int, trained: bool = True) -> int:
    """Numbers that one `vit.Block` keeps for each token, among `tokens` of them.

    `trained`: all its weights are. Otherwise none is, and the gradient only passes
    through, on its way to something before the block: a frozen matrix does not need
    its input, for that is what the matrix's own gradient is made of.
    """
    norms = 2 * (width + 2)  # input, mean and 1 / std of each
    attention = 3 * width + heads * tokens  # queries, keys, values; weights
    gelu = 4 * width  # its input
    inputs = (1 + 1 + 1 + 4) * width  # of q, k, v together; of out; up; down
    return norms + attention + gelu + (inputs if trained else 0)


def rung_floats(width: int, tokens: int, r: int, heads: int) -> int:
    """Numbers that one rung of a ladder keeps for each token, among `tokens` of them.

    The feature that its projection reads, for the projection is trained; the two sides
    of the gated mean, for the gate is; and a block of width `width` // r.
    """
    side = width // r
    return width + 2 * side + block_floats(side, tokens, heads)


def gate(alpha: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """sigmoid(alpha / T) with T = 0.1: one half where alpha is 0, as at the start."""
    return (alpha / TEMPERATURE).sigmoid()


class LadderSideNetwork(nn.Module):
    """A transformer of width `backbone_dims[0]` // r that reads another one's features.

    `backbone_dims` are the widths of the features it will be given: of what enters the
    backbone, then of what leaves each block that has a rung. Blocks without one are
    left out by not giving their features. No biases on the way down, as the authors do;
    weights are drawn from `generator`.

    Raises:
        ValueError: there is no rung, or `heads` does not divide the side width.
    """

    def __init__(
        self,
        backbone_dims: list[int],
        r: int,
        heads: int,
        generator: torch.Generator,
    ):
        super().__init__()
        side, rungs = backbone_dims[0] // r, len(backbone_dims) - 1
        if rungs < 1:
            raise ValueError(
                f"backbone_dims must name the input and a rung, got {backbone_dims}"
            )
        if side < 1 or side % heads:
            raise ValueError(
                f"heads must divide the side width, got {heads} and {side}"
            )
        self.down = nn.ModuleList(nn.Linear(d, side, bias=False) for d in backbone_dims)
        self.alpha = nn.Parameter(torch.zeros(rungs))
        self.blocks = nn.ModuleList(vit.Block(side, heads) for _ in range(rungs))
        self.norm = nn.LayerNorm(side)
        self.up = nn.Linear(side, backbone_dims[-1])
        draw_linear(self, generator, 3)

    def forward(
        self, features: list[Float[Tensor, "batch tokens _"]]
    ) -> Float[Tensor, "batch tokens width"]:
        """At each rung: the gated mean of what came so far and of the rung, a block."""
        entering, *rungs = features
        h = self.down[0](entering)
        for mu, down, rung, block in zip(
            gate(self.alpha), self.down[1:], rungs, self.blocks, strict=True
        ):
            h = block(mu * h + (1 - mu) * down(rung))
        return self.up(self.norm(h))


@torch.no_grad()
def features(
    model: vit.ViT, x: Float[Tensor, "batch 1 8 8"]
) -> list[Float[Tensor, "batch tokens width"]]:
    """What enters the first block, then what leaves each: layers + 1, no graph."""
    found = [model.embed(x)]
    for block in model.blocks:
        found.append(block(found[-1]))
    return found


class Ladder(nn.Module):
    """A ViT with a ladder beside it; only the ladder and the head are trained.

    `rungs`: after which blocks, from 1; by default after all. At the end the ladder's
    class token and the backbone's are mixed by one more gate (the authors' option
    `merge_last`), and the head, which had read the backbone's alone, reads the mixture.
    """

    def __init__(
        self,
        model: vit.ViT,
        r: int,
        heads: int,
        generator: torch.Generator,
        rungs: tuple[int, ...] | None = None,
    ):
        super().__init__()
        layers = len(model.blocks)
        self.rungs = tuple(range(1, layers + 1)) if rungs is None else rungs
        self.backbone = model.requires_grad_(False)
        self.backbone.head.requires_grad_(True)
        dims = [len(model.cls)] * (1 + len(self.rungs))
        self.side = LadderSideNetwork(dims, r, heads, generator)
        self.last = nn.Parameter(torch.zeros(()))

    def forward(self, x: Float[Tensor, "batch 1 8 8"]) -> Float[Tensor, "batch 10"]:
        found = features(self.backbone, x)
        beside = self.side([found[0], *(found[i] for i in self.rungs)])
        mu, own = gate(self.last), self.backbone.norm(found[-1][:, 0])
        return self.backbone.head(mu * beside[:, 0] + (1 - mu) * own)


# The best of `vit.RATES`, by r.
RATES = {8: 3e-1, 4: 3e-2, 2: 3e-3}


def ladder(
    size: vit.Size, model: vit.ViT, generator: torch.Generator, r: int = 8
) -> Ladder:
    """The ladder of the table: two heads, a rung after every other block."""
    return Ladder(model, r, 2, generator, tuple(range(1, size.layers, 2)))


def turned_ladder(size: vit.Size, r: int = 8) -> dict[str, Tensor]:
    """The part's task by a ladder. Of about 2,000 numbers at r = 8, the paper's r."""
    models = [
        ladder(size, model, torch.Generator().manual_seed(seed), r)
        for seed, model in enumerate(_copies(size))
    ]
    return vit.tune(models, vit.turned(), size, RATES[r])


def turned_top(size: vit.Size) -> dict[str, Tensor]:
    """By LoRA of rank 16 in the last block only, as many numbers as elsewhere.

    The other way to a short backward pass: train near the output.
    """
    copies, target = _copies(size), f"blocks.{size.layers - 1}.attention.v"
    for seed, model in enumerate(copies):
        lora.inject_lora(
            model, (target,), 16, 32.0, torch.Generator().manual_seed(seed)
        )
        model.head.requires_grad_(True)
    return vit.tune(copies, vit.turned(), size, lora.RATE)


def _copies(size: vit.Size) -> list[vit.ViT]:
    state = runtime.trained("peft/vit", vit.pretrain, size)
    return [vit.restored(size, state) for _ in range(size.seeds)]


# The rows of the part's table: a function, and its arguments after the size.
METHODS = {
    "full": (adapters.turned_full,),
    "head": (adapters.turned_head,),
    "bitfit": (adapters.turned_bitfit,),
    "ia3": (adapters.turned_ia3,),
    "adapters": (adapters.turned_adapters,),
    "pfeiffer": (adapters.turned_pfeiffer,),
    "prefix": (prefix_tuning.turned_prefix,),
    "prefix_mlp": (prefix_tuning.turned_prefix_mlp,),
    "prompt": (prefix_tuning.turned_prompt,),
    "lora": (lora.turned_lora,),
    "lora-1": (lora.turned_lora, 1),
    "dora": (lora.turned_dora,),
    "pissa": (lora.turned_pissa,),
    "nf4": (lora.turned_nf4,),
    "top": (turned_top,),
    "ladder": (turned_ladder,),
    "ladder-4": (turned_ladder, 4),
    "ladder-2": (turned_ladder, 2),
}
