"""The smallest question about order: which of two tokens comes first?

A model of one attention layer without a mask, and sequences in which two tokens, 0
and 1, occur once each. An encoding is given as functions, so that a lesson brings its
own.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn


@dataclass(frozen=True)
class Size:
    """The size of the question, of the model, and how long it is trained."""

    length: int
    vocab: int
    width: int
    heads: int
    steps: int
    batch: int
    learning_rate: float


# Two sizes for `lib.runtime.pick`. A model of the first takes about a second.
CPU = Size(
    length=16, vocab=16, width=32, heads=4, steps=150, batch=32, learning_rate=2e-2
)
GPU = Size(
    length=512, vocab=16, width=64, heads=4, steps=2000, batch=64, learning_rate=5e-3
)


def sequences(
    count: int, length: int, vocab: int, generator: torch.Generator
) -> tuple[Int64[Tensor, "rows length"], Float[Tensor, " rows"]]:
    """4 * `count` sequences of `length` tokens, and 1 where token 0 precedes token 1.

    They come in fours: one at random, the same with 0 and 1 exchanged, and both read
    backwards. Exchanging and reversing change every label and map the whole set to
    itself, so a model that is blind to either is right on exactly half of it.

    Raises:
        ValueError: `length` is below 2, or `vocab` has no token beside 0 and 1.
    """
    if length < 2:
        raise ValueError(f"length must be at least 2, got {length}")
    if vocab < 3:
        raise ValueError(f"vocab must be at least 3, got {vocab}")
    tokens = torch.randint(2, vocab, (count, length), generator=generator)
    places = torch.rand(count, length, generator=generator).argsort(1)[:, :2]
    first, second = tokens.clone(), tokens.clone()
    for rows, order in ((first, (0, 1)), (second, (1, 0))):
        rows.scatter_(1, places, torch.tensor(order).expand(count, 2))
    ahead = (places[:, 0] < places[:, 1]).float()
    tokens = torch.stack((first, second, first.flip(1), second.flip(1)), 1)
    labels = torch.stack((ahead, 1 - ahead, 1 - ahead, ahead), 1)
    return tokens.flatten(0, 1), labels.flatten()


def untouched(x: Tensor, tables: nn.ParameterDict) -> Tensor:
    """Embedded tokens as they are."""
    return x


def plain(q: Tensor, k: Tensor, v: Tensor, tables: nn.ParameterDict) -> Tensor:
    """Attention that nobody told about positions, scores divided by sqrt(d)."""
    return F.scaled_dot_product_attention(q, k, v)


class WhichFirst(nn.Module):
    """Tokens, one attention layer without a mask, the mean of all places, one logit.

    `embed(x, tables)` may change the embedded tokens, (B, N, width); `attend(q, k, v,
    tables)` is the attention of all heads, (B, H, N, d). `tables` are trained. Weights
    come from `generator`: two models made from generators in the same state start from
    the same weights.
    """

    def __init__(
        self,
        size: Size,
        generator: torch.Generator,
        embed: Callable[..., Tensor] = untouched,
        attend: Callable[..., Tensor] = plain,
        **tables: Tensor,
    ):
        super().__init__()
        self.heads, self.embed, self.attend = size.heads, embed, attend
        self.tables = nn.ParameterDict(tables)

        def weight(rows: int, columns: int, std: float) -> nn.Parameter:
            return nn.Parameter(std * torch.randn(rows, columns, generator=generator))

        width = size.width
        self.embedding = weight(size.vocab, width, 1.0)
        self.qkv = weight(width, 3 * width, width**-0.5)
        self.out = weight(width, 1, width**-0.5)

    def forward(self, tokens: Int64[Tensor, "rows n"]) -> Float[Tensor, " rows"]:
        """The logit of 'token 0 comes first'."""
        x = self.embed(self.embedding[tokens], self.tables)
        heads = (x @ self.qkv).unflatten(-1, (3, self.heads, -1))
        mixed = self.attend(*heads.permute(2, 0, 3, 1, 4), self.tables)
        return (mixed.transpose(1, 2).flatten(2).mean(1) @ self.out)[:, 0]


def train(
    model: WhichFirst, size: Size, generator: torch.Generator
) -> Float[Tensor, " steps"]:
    """Train in place on fresh sequences; the loss of each step, in nats.

    4 * `size.batch` sequences a step, drawn from `generator` on the CPU, so that they
    are the same whatever the model and its device. Adam, its rate falling to nothing.
    """
    device = model.out.device
    optimiser = torch.optim.Adam(model.parameters(), lr=size.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(size.steps, 1))
    losses = torch.empty(size.steps)
    for step in range(size.steps):
        tokens, labels = sequences(size.batch, size.length, size.vocab, generator)
        logits = model(tokens.to(device))
        loss = F.binary_cross_entropy_with_logits(logits, labels.to(device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses[step] = loss.detach()
    return losses


@torch.no_grad()
def accuracy(
    model: WhichFirst, length: int, count: int, generator: torch.Generator
) -> float:
    """The share of right answers on 4 * `count` sequences of `length` tokens."""
    tokens, labels = sequences(count, length, len(model.embedding), generator)
    rows = tokens.to(model.out.device).split(64)
    logits = torch.cat([model(some) for some in rows]).cpu()
    return float(((logits > 0) == (labels > 0)).double().mean())
