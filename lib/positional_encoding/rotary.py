"""Rotary position embedding: each position turns queries and keys by its own angle.

A score between a query at m and a key at n then depends on m - n only, although each
was turned without knowing of the other.

Source: Su et al. 2021, *RoFormer: Enhanced Transformer with Rotary Position
Embedding*, arXiv:2104.09864, section 3.
"""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from lib import runtime, text
from lib.language_model import Encoding, LanguageModel, Size, train

Layout = Literal["interleaved", "half"]
LAYOUTS = ("interleaved", "half")


def rope_inv_freq(d: int, base: float = 1e4) -> Float[Tensor, " half"]:
    """The angle each pair of channels turns by per position: base ** (-2i / d).

    Radians, i = 0 ... d/2 - 1, fastest first; the first is always 1. In float64: at
    position 100,000 an angle in float32 is off by several thousandths of a radian.

    Raises:
        ValueError: `d` is not even and positive, or `base` is not positive.
    """
    if d < 2 or d % 2:
        raise ValueError(f"d must be even and positive, got {d}")
    if base <= 0:
        raise ValueError(f"base must be positive, got {base}")
    return base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)


def rope_cos_sin(
    pos: Num[Tensor, "*rows n"], inv_freq: Float[Tensor, " half"]
) -> tuple[Float[Tensor, "*rows n half"], Float[Tensor, "*rows n half"]]:
    """Cosine and sine of every position's angles, in the precision of `inv_freq`.

    `pos` is (N,), or (B, N) where the rows of a batch stand at different places, as
    after padding on the left. It need not be whole, nor start at zero.
    """
    angle = pos[..., None] * inv_freq
    return angle.cos(), angle.sin()


def apply_rope(
    x: Float[Tensor, "batch heads n d"],
    cos: Float[Tensor, "*rows n half"],
    sin: Float[Tensor, "*rows n half"],
    layout: Layout = "interleaved",
) -> Float[Tensor, "batch heads n d"]:
    """Turn each pair of channels by +angle, that is (a + bi) -> (a + bi) e^{+i angle}.

    `layout` says which channels are a pair. *interleaved*: 2i and 2i + 1 (RoFormer,
    GPT-J, the LLaMA that Meta released). *half*: i and i + d/2 (GPT-NeoX, LLaMA in
    transformers). Turning q and k both by -angle would keep every property and give
    other scores: nobody does it.

    Raises:
        ValueError: `layout` is neither, or `cos` or `sin` does not fit `x`.
    """
    a, b = _pairs(x, layout)
    for name, table in (("cos", cos), ("sin", sin)):
        alone, by_row = a.shape[2:], (a.shape[0], *a.shape[2:])
        if table.shape not in (alone, by_row):
            got = tuple(table.shape)
            want = f"{tuple(alone)} or {by_row}"
            raise ValueError(f"{name} must have shape {want}, got {got}")
    if cos.ndim == 3:
        cos, sin = cos[:, None], sin[:, None]
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    turned = a * cos - b * sin, a * sin + b * cos
    if layout == "half":
        return torch.cat(turned, -1)
    return torch.stack(turned, -1).flatten(-2)


def _pairs(x: Tensor, layout: Layout) -> tuple[Tensor, ...]:
    """First and second members of all pairs, (..., d/2) each."""
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {LAYOUTS}, got {layout!r}")
    if layout == "half":
        return x.chunk(2, -1)
    return x.unflatten(-1, (-1, 2)).unbind(-1)


def permute_rope_layout(
    weight: Float[Tensor, "rows ..."], n_heads: int, src: Layout, dst: Layout
) -> Float[Tensor, "rows ..."]:
    """Reorder the rows of a query or key projection from one layout to the other.

    Rows are output channels, head after head, as in `nn.Linear.weight`; a bias works
    too. Converted q and k give the same scores under `dst` as before under `src`.
    With grouped queries, k has fewer heads than q: pass its own number.

    Raises:
        ValueError: a layout is unknown, or `n_heads` does not divide the rows evenly.
    """
    for name, layout in (("src", src), ("dst", dst)):
        if layout not in LAYOUTS:
            raise ValueError(f"{name} must be one of {LAYOUTS}, got {layout!r}")
    if n_heads < 1 or weight.shape[0] % (2 * n_heads):
        raise ValueError(
            f"n_heads must cut {weight.shape[0]} rows into even heads, got {n_heads}"
        )
    if src == dst:
        return weight.clone()
    pairs = (-1, 2) if src == "interleaved" else (2, -1)
    return weight.unflatten(0, (n_heads, *pairs)).transpose(1, 2).flatten(0, 2)


def rope_2d(
    x: Float[Tensor, "batch heads n d"], hw: tuple[int, int], base: float = 1e4
) -> Float[Tensor, "batch heads n d"]:
    """Rotate an image's tokens: half of the channels by the row, half by the column.

    Token t = row * w + column. Each half is interleaved and has the frequencies of its
    own width d/2. Scores depend on the difference of rows and that of columns.

    Source: Su 2021, kexue.fm/archives/8397.

    Raises:
        ValueError: `hw` is not the shape of N tokens, or d is not a multiple of 4.
    """
    h, w = hw
    if h * w != x.shape[2]:
        raise ValueError(f"hw must multiply to {x.shape[2]} tokens, got {hw}")
    if x.shape[-1] % 4:
        raise ValueError(f"x must have a multiple of 4 channels, got {x.shape[-1]}")
    inv_freq = rope_inv_freq(x.shape[-1] // 2, base).to(x.device)
    token = torch.arange(h * w, device=x.device)
    by_row, by_column = x.chunk(2, -1)
    by_row = apply_rope(by_row, *rope_cos_sin(token // w, inv_freq))
    by_column = apply_rope(by_column, *rope_cos_sin(token % w, inv_freq))
    return torch.cat((by_row, by_column), -1)


def rope_linear_attention(
    q: Float[Tensor, "batch heads n d"],
    k: Float[Tensor, "batch heads n d"],
    v: Float[Tensor, "batch heads n e"],
    phi: Callable[[Tensor], Tensor],
    base: float = 1e4,
) -> Float[Tensor, "batch heads n e"]:
    """Causal linear attention with rotated features, written out over all pairs.

    Features come first, phi(q) and phi(k), then the rotation. The denominator is not
    rotated: it stays positive where `phi` is, while a weight of the numerator may be
    negative. O(N²), for its clarity; the sums over keys can be carried along instead.

    Source: Su et al. 2021, equation 19, there without the mask.
    """
    q, k = phi(q), phi(k)
    n, d = q.shape[-2:]
    inv_freq = rope_inv_freq(d, base).to(q.device)
    cos, sin = rope_cos_sin(torch.arange(n, device=q.device), inv_freq)
    turned = apply_rope(q, cos, sin) @ apply_rope(k, cos, sin).mT
    plain = q @ k.mT
    return turned.tril() @ v / plain.tril().sum(-1, keepdim=True)


class Rotary(Encoding):
    """RoPE in the attention of `lib.language_model`: queries and keys, not values.

    Takes the frequencies, so that whoever stretches them needs no other class. They
    are kept in float32: plenty for thousands of positions, and every device has it.
    """

    def __init__(self, inv_freq: Float[Tensor, " half"]):
        super().__init__()
        self.register_buffer("inv_freq", inv_freq.float())

    def attend(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        v: Float[Tensor, "batch heads n d"],
        positions: Int[Tensor, " n"],
    ) -> Float[Tensor, "batch heads n d"]:
        """Causal attention between rotated queries and keys."""
        cos, sin = rope_cos_sin(positions, self.inv_freq)
        q, k = apply_rope(q, cos, sin), apply_rope(k, cos, sin)
        return super().attend(q, k, v, positions)


def text_model(size: Size) -> dict[str, Tensor]:
    """Weights of a RoPE model of `lib.text`'s characters, and `losses` of its training.

    From fixed seeds: 1 for the weights, 2 for the batches.
    """
    corpus = text.python_topics()
    symbols = text.vocabulary(corpus)
    tokens, _ = text.split(text.encode(corpus, symbols))
    weights, batches = (torch.Generator().manual_seed(seed) for seed in (1, 2))
    encoding = Rotary(rope_inv_freq(size.width // size.heads))
    model = LanguageModel(len(symbols), size, encoding, weights).to(runtime.device())
    losses = train(model, tokens, size, batches)
    return model.state_dict() | {"losses": losses}
