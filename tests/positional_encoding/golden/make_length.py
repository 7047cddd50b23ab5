"""Writes the golden arrays of length_extrapolation with the `oracle` extra installed:

python tests/positional_encoding/golden/make_length.py

`test_length_extrapolation.py` compares `lib` with the file, and the file with this.
"""

import json
from pathlib import Path

PATH = Path(__file__).with_name("length_extrapolation.json")


def alibi(n_heads):
    """transformers' Bloom: the slopes, read off the bias of the second key."""
    import torch
    from transformers.models.bloom import modeling_bloom

    mask = torch.ones(1, 2)
    bias = modeling_bloom.build_alibi_tensor(mask, n_heads, torch.float32)
    return bias[:, 0, 1].tolist()


def frequencies(kind, d, base, length, s, n=None):
    """transformers' scaled frequencies of RoPE, and the factor of cos and sin."""
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    config = LlamaConfig(
        hidden_size=d,
        num_attention_heads=1,
        head_dim=d,
        max_position_embeddings=length,
        rope_parameters={
            "rope_type": kind,
            "rope_theta": base,
            "factor": s,
            "original_max_position_embeddings": length,
        },
    )
    values, factor = ROPE_INIT_FUNCTIONS[kind](config, "cpu", seq_len=n)
    return [*values.tolist(), float(factor)]


MAKERS = {
    "alibi 12": lambda: alibi(12),
    "yarn 24": lambda: frequencies("yarn", 24, 5000.0, 700, 6.0),
    "dynamic 10": lambda: frequencies("dynamic", 10, 300.0, 100, 2.0, n=350),
    "linear 6": lambda: frequencies("linear", 6, 50.0, 100, 3.0),
}


def main():
    numbers = {
        name: [float(f"{number:.6g}") for number in make()]
        for name, make in MAKERS.items()
    }
    PATH.write_text(json.dumps(numbers) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
