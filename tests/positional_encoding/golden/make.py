"""Writes the golden arrays of this folder with the `oracle` extra installed:

python tests/positional_encoding/golden/make.py

`test_rotary.py` compares `lib` with the files, and the files with what this makes.
"""

import json
from pathlib import Path

import torch

POSITIONS = torch.tensor([[0, 1, 5], [7, 8, 40]])


def queries():
    """(batch 2, heads 1, tokens 3, d 8), reproducible without a random stream."""
    return torch.arange(48.0).sin().view(2, 1, 3, 8)


def llama_half():
    """transformers' LLaMA, whose layout is half-split."""
    from transformers import LlamaConfig
    from transformers.models.llama import modeling_llama

    config = LlamaConfig(hidden_size=8, num_attention_heads=1, head_dim=8)
    x = queries()
    cos, sin = modeling_llama.LlamaRotaryEmbedding(config)(x, POSITIONS)
    return modeling_llama.apply_rotary_pos_emb(x, x, cos, sin)[0]


def gptj_interleaved():
    """transformers' GPT-J, whose layout is interleaved; its heads come after tokens."""
    from transformers.models.gptj import modeling_gptj

    table = modeling_gptj.create_sinusoidal_positions(64, 8)[POSITIONS]
    sin, cos = table.chunk(2, -1)
    x = queries().transpose(1, 2)
    return modeling_gptj.apply_rotary_pos_emb(x, sin, cos).transpose(1, 2)


MAKERS = {"llama_half": llama_half, "gptj_interleaved": gptj_interleaved}


def main():
    for name, make in MAKERS.items():
        numbers = [round(number, 6) for number in make().flatten().tolist()]
        path = Path(__file__).with_name(f"{name}.json")
        path.write_text(json.dumps(numbers) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
