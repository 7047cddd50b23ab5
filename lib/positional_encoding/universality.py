"""What relative positions cannot compute, and an attention that can.

Attention whose rows sum to one averages values. On equal tokens all averages are the
same, whatever bias sits inside the softmax, so identical tokens cannot be numbered.
URPE multiplies the weights after the softmax, and the row sums carry the position.

Source: Luo et al. 2022, *Your Transformer May Not be as Powerful as You Expect*,
arXiv:2205.13401; the probe: Su 2022, kexue.fm/archives/9105.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor, nn

from lib.language_model import Encoding, LanguageModel, Size
from lib.training import fit

# For `lib.runtime.pick`; a batch is of windows of text, the probe is one sequence. The
# second has the length and the depth of the paper's experiment.
CPU = Size(
    layers=2, heads=4, width=32, length=32, batch=16, steps=300, learning_rate=6e-3
)
GPU = Size(
    layers=3, heads=8, width=128, length=128, batch=64, steps=2000, learning_rate=2e-3
)


def position_probe(n: int) -> tuple[Int64[Tensor, " n"], Int64[Tensor, " n"]]:
    """The probe: n equal tokens, all 0, and what is to be said of them, 0 ... n - 1.

    The article counts from 1; here a target is an index into n classes.

    Raises:
        ValueError: `n` is not positive.
    """
    if n < 1:
        raise ValueError(f"n must be positive, got {n}")
    return torch.zeros(n, dtype=torch.int64), torch.arange(n)


def toeplitz_from_diagonals(
    c: Shaped[Tensor, "heads diagonals"], n: int
) -> Shaped[Tensor, "heads n n"]:
    """The matrix with one entry of `c` on each diagonal: T[h, i, j] = c[h, j - i + m].

    `c` holds 2m + 1 numbers a head, m >= n - 1, that of distance 0 in the middle: a
    table made for m + 1 tokens serves all shorter sequences. Distances are key minus
    query, as in the released code of the paper; the article writes g(i - j), which is
    the table read from right to left, and the transposed matrix.

    Raises:
        ValueError: `n` is not positive, or `c` has an even number of diagonals or
            fewer than 2n - 1 of them.
    """
    diagonals = c.shape[-1]
    if n < 1:
        raise ValueError(f"n must be positive, got {n}")
    if diagonals % 2 == 0 or diagonals < 2 * n - 1:
        raise ValueError(
            f"c must have an odd number of diagonals, {2 * n - 1} or more for {n} "
            f"tokens, got {diagonals}"
        )
    places = torch.arange(n, device=c.device)
    return c[:, places - places[:, None] + diagonals // 2]


def urpe_attention(
    q: Float[Tensor, "batch heads n d"],
    k: Float[Tensor, "batch heads n d"],
    v: Float[Tensor, "batch heads n e"],
    bias: Float[Tensor, "#heads n n"],
    c: Float[Tensor, "#heads n n"],
) -> Float[Tensor, "batch heads n e"]:
    """(softmax(q kᵀ / sqrt(d) + bias) ⊙ c) v: relative positions outside as well.

    `bias` may hold -inf, as a mask does. `c` has any sign; with ones it is ordinary
    attention. For a relative encoding both are Toeplitz (`toeplitz_from_diagonals`).
    Nothing is divided by the sum of a row afterwards: that rows no longer sum to one
    is the point. The released code shares both tables among all layers.

    Source: Luo et al. 2022, *universal RPE-based attention*.
    """
    scores = q @ k.mT / q.shape[-1] ** 0.5 + bias
    return (scores.softmax(-1) * c) @ v


class TwoWay(Encoding):
    """Attention in both directions, without a mask and without positions.

    To be combined: `class Both(Rotary, TwoWay)` rotates, and attends both ways.
    """

    def attend(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        v: Float[Tensor, "batch heads n d"],
        positions: Int64[Tensor, " n"],
    ) -> Float[Tensor, "batch heads n d"]:
        """Every token attends to every token; scores divided by sqrt(d)."""
        return F.scaled_dot_product_attention(q, k, v)


class RelativeBias(Encoding):
    """A number for each head and distance, added to the scores, in both directions.

    `table` is where training starts. From zeros it is T5's bias without the buckets;
    frozen, with a slope times minus the distance, it is that of ALiBi both ways.
    """

    def __init__(self, table: Float[Tensor, "heads diagonals"]):
        super().__init__()
        self.bias = nn.Parameter(table.clone())

    def attend(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        v: Float[Tensor, "batch heads n d"],
        positions: Int64[Tensor, " n"],
    ) -> Float[Tensor, "batch heads n d"]:
        """Softmax of scores and bias: every row of weights sums to one."""
        bias = toeplitz_from_diagonals(self.bias, q.shape[2])
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)


class Universal(RelativeBias):
    """URPE: a second table, which multiplies the weights. It starts at one."""

    def __init__(self, table: Float[Tensor, "heads diagonals"]):
        super().__init__(table)
        self.c = nn.Parameter(torch.ones_like(table))

    def attend(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        v: Float[Tensor, "batch heads n d"],
        positions: Int64[Tensor, " n"],
    ) -> Float[Tensor, "batch heads n d"]:
        """Weights of `RelativeBias`, multiplied: rows sum to what training likes."""
        n = q.shape[2]
        bias = toeplitz_from_diagonals(self.bias, n)
        return urpe_attention(q, k, v, bias, toeplitz_from_diagonals(self.c, n))


def train_to_number(
    model: LanguageModel,
    sequences: Callable[[], Int64[Tensor, "batch tokens"]],
    n: int,
    size: Size,
) -> Float[Tensor, " steps"]:
    """Train in place to number the last `n` tokens; the loss of each step, in nats.

    `sequences` gives the batch of the next step. Tokens before the last n are part of
    the model, as [CLS] is, and are not numbered. By `lib.training.fit`; `size` gives
    steps and rate, and nothing else.
    """
    device = next(model.parameters()).device
    places = torch.arange(n, device=device)
    model.train()

    def loss() -> Float[Tensor, ""]:
        logits = model(sequences().to(device))[:, -n:]
        return F.cross_entropy(logits.mT, places.expand(len(logits), n))

    return fit(model.parameters(), loss, size.steps, size.learning_rate)


@torch.no_grad()
def judge_numbers(
    model: LanguageModel, tokens: Int64[Tensor, "batch tokens"], n: int
) -> tuple[Float[Tensor, "batch n"], Bool[Tensor, "batch n"], float]:
    """Loss in nats and hits at the last `n` places, and how far apart answers are.

    The third number is the largest difference between the logits of two places of one
    sequence. Where it has the size of a rounding error, all places get one answer, and
    which of n nearly equal logits is the largest is noise: so are the hits.
    """
    device = next(model.parameters()).device
    model.eval()
    logits = model(tokens.to(device))[:, -n:].double().cpu()
    places = torch.arange(n).expand(len(logits), n)
    losses = F.cross_entropy(logits.mT, places, reduction="none")
    apart = (logits.amax(1) - logits.amin(1)).max()
    return losses, logits.argmax(-1) == places, float(apart)
