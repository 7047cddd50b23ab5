"""Rotary position embedding beside that of transformers' LLaMA.

    python -m benchmarks.positional_encoding

Queries and keys of the same shape, from positions to turned vectors: table of angles
included, as every forward pass of a model has it. One thread, float32.
"""

from functools import partial

import torch

from benchmarks.side_by_side import Row, compared, report
from lib.positional_encoding.rotary import apply_rope, rope_cos_sin, rope_inv_freq

BATCH, HEADS, LENGTH, WIDTH = 2, 8, 1024, 64


def rows() -> list[Row]:
    """Forward, and backward to queries and keys."""
    from transformers import LlamaConfig
    from transformers.models.llama import modeling_llama

    config = LlamaConfig(
        hidden_size=HEADS * WIDTH, num_attention_heads=HEADS, head_dim=WIDTH
    )
    tables = modeling_llama.LlamaRotaryEmbedding(config)
    draw = torch.Generator().manual_seed(0)
    shape = (2, BATCH, HEADS, LENGTH, WIDTH)
    q, k = torch.randn(shape, generator=draw)
    positions, inv_freq = torch.arange(LENGTH), rope_inv_freq(WIDTH)

    def ours(q, k):
        angles = rope_cos_sin(positions, inv_freq)
        return apply_rope(q, *angles, "half"), apply_rope(k, *angles, "half")

    def peer(q, k):
        angles = tables(q, positions[None])
        return modeling_llama.apply_rotary_pos_emb(q, k, *angles)

    def both_ways(turn):
        leaves = [x.detach().requires_grad_() for x in (q, k)]
        turned = turn(*leaves)
        # Not of the product of both: that is the same for every rotation.
        return *turned, *torch.autograd.grad(turned, leaves, (k, q))

    against = "transformers’ LLaMA"
    what = f"RoPE on {LENGTH:,} positions, with gradients"
    return [compared(what, against, partial(both_ways, ours), partial(both_ways, peer))]


if __name__ == "__main__":
    report("positional_encoding", rows, needs=("transformers",))
