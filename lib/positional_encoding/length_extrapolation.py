"""Reading further than in training: ALiBi, stretched frequencies, ReRoPE, log-n.

Two things change when a text grows: distances occur that training never showed, and
each query shares its attention among more keys. The functions here act on one of the
two, and none of them learns anything.

A distance is query minus key, i - j >= 0, wherever this module names one; a *relative
position* is key minus query, as in the rest of the part.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from lib.language_model import Encoding
from lib.positional_encoding.rotary import Rotary, apply_rope, rope_cos_sin

Method = Literal["pi", "ntk", "ntk_mixed", "yarn"]
METHODS = ("pi", "ntk", "ntk_mixed", "yarn")


def alibi_slopes(n_heads: int) -> Float[Tensor, " n_heads"]:
    """How fast each head forgets: 2 ** (-8h / H) for h = 1 ... H, in float64.

    For H not a power of two: the slopes for the largest power below, then every second
    slope, from the first, of the list for twice that power. So published models have
    it; a geometric sequence of H terms would be another choice.

    Source: Press et al. 2022, arXiv:2108.12409, section 3, and their code.

    Raises:
        ValueError: `n_heads` is not positive.
    """
    if n_heads < 1:
        raise ValueError(f"n_heads must be positive, got {n_heads}")
    power = 2 ** (n_heads.bit_length() - 1)
    step = torch.arange(1, power + 1, dtype=torch.float64)
    between = (2 * step - 1) / (2 * power)
    return 2 ** (-8 * torch.cat((step / power, between[: n_heads - power])))


def alibi_bias(n_heads: int, nq: int, nk: int) -> Float[Tensor, "n_heads nq nk"]:
    """What ALiBi adds to scores: slope times (key - query), -inf for later keys.

    The queries are the last `nq` of `nk` places (aligned bottom-right, as a cache
    wants it). Published code adds slope times the key's place instead, which differs by
    one number a row and gives the same softmax. In float64.

    Raises:
        ValueError: `nq` exceeds `nk`.
    """
    if nq > nk:
        raise ValueError(f"nq must be at most nk = {nk}, got {nq}")
    relative = torch.arange(nk) - torch.arange(nk - nq, nk)[:, None]
    bias = alibi_slopes(n_heads)[:, None, None] * relative
    return bias.masked_fill(relative > 0, -torch.inf)


def scale_inv_freq(
    inv_freq: Float[Tensor, " half"], method: Method, s: float, length: float
) -> Float[Tensor, " half"]:
    """RoPE's frequencies slowed down for texts `s` times as long as in training.

    Each is divided by a number between 1 and s, from the fastest pair to the slowest:

    - *pi*: s for all, which is reading position m as m / s.
    - *ntk*: powers of s in equal ratios, 1 ... s. The same as the base
      b * s ** (d / (d - 2)); not b * s ** (d / (d - 2i)), as some pages have it.
    - *ntk_mixed*: s ** (m / (d/2)) ** 0.75 for m = 1 ... d/2.
    - *yarn*: 1 and s, mixed by `yarn_kept`. Its scores need `yarn_mscale` squared too.

    `inv_freq` as from `rope_inv_freq`; `length` is that of training, in tokens, and
    only YaRN asks for it.

    Sources: Chen et al. 2023, arXiv:2306.15595; bloc97 2023; Su 2023,
    kexue.fm/archives/9706 (the exponent as in its code); Peng et al. 2023,
    arXiv:2309.00071, with the ramp of their code.

    Raises:
        ValueError: `method` is unknown, `s` is below 1, or there is a single frequency.
    """
    half = len(inv_freq)
    if s < 1:
        raise ValueError(f"s must be at least 1, got {s}")
    if half < 2:
        raise ValueError(f"inv_freq must hold 2 frequencies or more, got {half}")
    i = torch.arange(half, dtype=inv_freq.dtype, device=inv_freq.device)
    if method == "pi":
        return inv_freq / s
    if method == "ntk":
        return inv_freq / s ** (i / (half - 1))
    if method == "ntk_mixed":
        return inv_freq / s ** ((i + 1) / half) ** 0.75
    if method == "yarn":
        kept = yarn_kept(inv_freq, length)
        return kept * inv_freq + (1 - kept) * inv_freq / s
    raise ValueError(f"method must be one of {METHODS}, got {method!r}")


def yarn_kept(
    inv_freq: Float[Tensor, " half"],
    length: float,
    fast: float = 32.0,
    slow: float = 1.0,
) -> Float[Tensor, " half"]:
    """The share of each frequency that YaRN leaves alone: 1 for fast pairs, 0 for slow.

    Fast is what makes at least `fast` turns within `length` tokens, slow what makes
    fewer than `slow`. Between the two the share falls in equal steps from pair to pair,
    and the two ends are rounded outwards to whole pairs: so does the released code. The
    paper has a share that is linear in the number of turns.

    Source: Peng et al. 2023, arXiv:2309.00071 ("NTK-by-parts").
    """
    half = len(inv_freq)
    # Frequencies fall in equal ratios: the pair that makes a given number of turns.
    ratio = -math.log(inv_freq[1] / inv_freq[0])
    first, last = (
        math.log(length * inv_freq[0] / (2 * math.pi * turns)) / ratio
        for turns in (fast, slow)
    )
    # The upper limit of the released code is the last channel, not the last pair.
    first, last = max(math.floor(first), 0), min(math.ceil(last), 2 * half - 1)
    i = torch.arange(half, dtype=inv_freq.dtype, device=inv_freq.device)
    return 1 - ((i - first) / max(last - first, 1e-3)).clamp(0, 1)


def yarn_mscale(s: float) -> float:
    """What YaRN multiplies cosines and sines by, on both sides: scores get its square.

    Source: Peng et al. 2023, arXiv:2309.00071, fitted there to LLaMA models.

    Raises:
        ValueError: `s` is below 1.
    """
    if s < 1:
        raise ValueError(f"s must be at least 1, got {s}")
    return 0.1 * math.log(s) + 1


def dynamic_stretch(n: int, length: int, alpha: float = 1.0) -> float:
    """The `s` of dynamic NTK for a text of `n` tokens: 1 up to `length`, then growing.

    alpha * n / length - (alpha - 1). With alpha = 1 it is the text's own stretch.

    Source: emozilla 2023; 'dynamic' in transformers, where alpha is called factor.
    """
    return alpha * max(n, length) / length - (alpha - 1)


def logn_scale(
    positions: Num[Tensor, "*rows n"], length: int
) -> Float[Tensor, "*rows n"]:
    """What the query at each position is multiplied by: max(1, log_length(i + 1)).

    Position i sees i + 1 keys. In training length nothing changes.

    Source: Su 2021, kexue.fm/archives/8823, with the cut at 1 of his released code.

    Raises:
        ValueError: `length` is below 2.
    """
    if length < 2:
        raise ValueError(f"length must be at least 2, got {length}")
    return (positions.double() + 1).log().div(math.log(length)).clamp(min=1)


def rerope_scores(
    q: Float[Tensor, "batch heads n d"],
    k: Float[Tensor, "batch heads n d"],
    inv_freq: Float[Tensor, " half"],
    window: int,
    leak: float = math.inf,
) -> Float[Tensor, "batch heads n n"]:
    """Scores whose distances are cut: i - j below `window`, constant from there on.

    Leaky, with a finite `leak` k: window + (i - j - window) / k from there on. No pair
    of rotations gives this, since a rotation adds distances up: there are two tables
    of scores, and each place takes the one that is its own. Not divided by sqrt(d), and
    later keys are not hidden. Interleaved layout.

    Source: Su 2023, kexue.fm/archives/9708.

    Raises:
        ValueError: `window` is not positive, or `leak` is below 1.
    """
    if window < 1:
        raise ValueError(f"window must be positive, got {window}")
    if leak < 1:
        raise ValueError(f"leak must be at least 1, got {leak}")
    place = torch.arange(q.shape[-2], dtype=inv_freq.dtype, device=q.device)

    def turned(x: Tensor, positions: Tensor) -> Tensor:
        return apply_rope(x, *rope_cos_sin(positions, inv_freq))

    near = turned(q, place) @ turned(k, place).mT
    offset = window * (1 - 1 / leak)
    far = turned(q, place / leak + offset) @ turned(k, place / leak).mT
    return torch.where(place[:, None] - place < window, near, far)


def within(
    n: int, window: int, device: torch.device | None = None
) -> Bool[Tensor, "n n"]:
    """True where a query at i may see a key at j: 0 <= i - j < window."""
    place = torch.arange(n, device=device)
    distance = place[:, None] - place
    return (distance >= 0) & (distance < window)


class Alibi(Encoding):
    """ALiBi in the attention of `lib.language_model`. Nothing is learnt."""

    def __init__(self, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.bias = torch.empty(n_heads, 0, 0)  # kept from call to call

    def attend(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        v: Float[Tensor, "batch heads n d"],
        positions: Int[Tensor, " n"],
    ) -> Float[Tensor, "batch heads n d"]:
        n = len(positions)
        if self.bias.shape[-1] != n:
            self.bias = alibi_bias(self.n_heads, n, n)
        self.bias = self.bias.to(q)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias)


class Window(Rotary):
    """RoPE that sees the last `window` tokens, itself included, and no others."""

    def __init__(self, inv_freq: Float[Tensor, " half"], window: int):
        super().__init__(inv_freq)
        self.window = window

    def attend(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        v: Float[Tensor, "batch heads n d"],
        positions: Int[Tensor, " n"],
    ) -> Float[Tensor, "batch heads n d"]:
        cos, sin = rope_cos_sin(positions, self.inv_freq)
        q, k = apply_rope(q, cos, sin), apply_rope(k, cos, sin)
        mask = within(len(positions), self.window, q.device)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


class ReRoPE(Rotary):
    """RoPE whose distances stop growing at `window`, or leak on beyond it."""

    def __init__(
        self, inv_freq: Float[Tensor, " half"], window: int, leak: float = math.inf
    ):
        super().__init__(inv_freq)
        self.window, self.leak = window, leak

    def attend(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        v: Float[Tensor, "batch heads n d"],
        positions: Int[Tensor, " n"],
    ) -> Float[Tensor, "batch heads n d"]:
        q = q / q.shape[-1] ** 0.5
        scores = rerope_scores(q, k, self.inv_freq, self.window, self.leak)
        hidden = ~within(len(positions), len(positions), q.device)
        return scores.masked_fill_(hidden, -torch.inf).softmax(-1) @ v


class Sharpened(Encoding):
    """Another encoding whose queries are first multiplied by a number a position."""

    def __init__(self, encoding: Encoding, scale: Callable[[Tensor], Tensor]):
        super().__init__()
        self.encoding, self.scale = encoding, scale

    def attend(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        v: Float[Tensor, "batch heads n d"],
        positions: Int[Tensor, " n"],
    ) -> Float[Tensor, "batch heads n d"]:
        q = q * self.scale(positions)[:, None].to(q)
        return self.encoding.attend(q, k, v, positions)
