"""LoRA beside the package peft: the same vision transformer, layers and numbers.

    python -m benchmarks.peft

One thread, float32. The model is wider than the part's own for laptops, or only the
cost of calling a layer would be measured.
"""

import copy
from dataclasses import replace

import torch
import torch.nn.functional as F

from benchmarks.side_by_side import Row, compared, report
from lib.peft import lora, vit

SIZE = replace(vit.CPU, layers=4, width=192)
TARGETS, RANK, ALPHA = ["q", "v"], 8, 16


def rows() -> list[Row]:
    """A forward and a backward pass, and a forward pass after merging."""
    import peft

    draw = torch.Generator().manual_seed(0)
    mine = vit.ViT(SIZE, draw)
    config = peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=TARGETS)
    theirs = peft.get_peft_model(copy.deepcopy(mine), config)
    trained: tuple[list, list] = ([], [])
    for name in lora.inject_lora(mine, TARGETS, RANK, ALPHA, draw):
        own, other = mine.get_submodule(name), theirs.base_model.get_submodule(name)
        own.B.data.normal_(generator=draw)
        pair = other.lora_A["default"].weight, other.lora_B["default"].weight
        for ours, copied in zip((own.A, own.B), pair):
            copied.data.copy_(ours)
            trained[0].append(ours)
            trained[1].append(copied)
    x = torch.randn(SIZE.batch, 1, 8, 8, generator=draw)
    classes = torch.arange(SIZE.batch) % 10

    def step(model, weights):
        loss = F.cross_entropy(model(x), classes)
        return loss, torch.autograd.grad(loss, weights)

    count = f"LoRA of rank {RANK} on {2 * SIZE.layers} layers"
    training = compared(
        f"{count}, forward and backward",
        "peft",
        lambda: step(mine, trained[0]),
        lambda: step(theirs, trained[1]),
    )
    for module in mine.modules():
        if isinstance(module, lora.LoRALinear):
            module.merge()
    merged = theirs.merge_and_unload()

    @torch.no_grad()
    def forward(model):
        return model(x)

    return [
        training,
        compared(
            "the same, merged, forward",
            "peft",
            lambda: forward(mine),
            lambda: forward(merged),
        ),
    ]


if __name__ == "__main__":
    report("peft", rows, needs=("peft",))
