"""Writes the golden arrays of `test_absolute_and_relative.py`, with the `oracle` extra:

python tests/positional_encoding/golden/make_absolute.py

The tests compare `lib` with the files, and the files with what this makes.
"""

import json
from pathlib import Path

import torch

# Far from every default; the second has an odd number of buckets for one direction.
BUCKETS = [(32, 128, True), (10, 40, True), (13, 30, False)]


def relative():
    """Relative positions near and far, of both signs."""
    near = torch.arange(-24, 25, 3)
    return torch.cat((near, torch.tensor([-1000, -127, -64, 63, 128, 200])))


def t5_buckets():
    """transformers' T5 for three settings; key minus query."""
    from transformers.models.t5.modeling_t5 import T5Attention

    rows = [
        T5Attention._relative_position_bucket(relative(), both, buckets, far)
        for buckets, far, both in BUCKETS
    ]
    return torch.stack(rows)


def numbers(*shape, start=0.0):
    """Reproducible without a random stream."""
    size = torch.Size(shape).numel()
    return (start + torch.arange(float(size))).sin().view(shape)


def xl_inputs():
    """q, k, v (2, 3, 4, 5), r for -(N - 1) ... N - 1 (3, 7, 5), u and w (3, 5)."""
    q, k, v = (numbers(2, 3, 4, 5, start=start) for start in (0.0, 0.3, 0.7))
    return q, k, v, numbers(3, 7, 5, start=2.0), *numbers(2, 3, 5, start=4.0)


def xlnet():
    """The core of transformers' XLNet: tokens first, and one more row of r."""
    from transformers import XLNetConfig
    from transformers.models.xlnet.modeling_xlnet import XLNetRelativeAttention

    q, k, v, r, u, w = xl_inputs()
    config = XLNetConfig(d_model=15, n_head=3, dropout=0.0)
    module = XLNetRelativeAttention(config)
    module.r_w_bias.data, module.r_r_bias.data = u, w
    q, k, v = (x.permute(2, 0, 1, 3) for x in (q, k, v))
    rows = torch.cat((torch.zeros(3, 1, 5), r), 1).transpose(0, 1)
    rows = rows[:, None].expand(-1, 2, -1, -1)
    return module.rel_attn_core(q, k, v, rows).permute(1, 2, 0, 3)[0].detach()


def roformer():
    """transformers' RoFormer table: all sines, then all cosines."""
    from transformers.models.roformer import modeling_roformer

    return modeling_roformer.RoFormerSinusoidalPositionalEmbedding(7, 6).create_weight()


MAKERS = {"t5_buckets": t5_buckets, "xlnet": xlnet, "roformer": roformer}


def main():
    for name, make in MAKERS.items():
        flat = [round(number, 5) for number in make().flatten().tolist()]
        path = Path(__file__).with_name(f"{name}.json")
        path.write_text(json.dumps(flat) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
