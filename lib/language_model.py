"""A character language model that is told where order enters.

The model is a plain pre-norm Transformer decoder. Whatever it knows about positions
comes from one `Encoding`, which acts at two places: on the embedded tokens, and in the
attention of every layer. A lesson brings its own by overriding one of them.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lib import text
from lib.training import draw_linear, fit


class Encoding(nn.Module):
    """No position encoding: the causal mask alone tells one place from another.

    A subclass overrides one method, or both. One encoding serves all layers, so a
    table it learns is shared by them. Relative positions are key minus query.
    """

    def embed(
        self, x: Float[Tensor, "batch n width"], positions: Int64[Tensor, " n"]
    ) -> Float[Tensor, "batch n width"]:
        """What enters the first layer, given the embedded tokens."""
        return x

    def attend(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        v: Float[Tensor, "batch heads n d"],
        positions: Int64[Tensor, " n"],
    ) -> Float[Tensor, "batch heads n d"]:
        """Causal attention of one layer, scores divided by sqrt(d)."""
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


class Learned(Encoding):
    """A trained vector for each absolute position, added to the embedded token.

    It starts small (0.02, as in GPT-2), drawn from `generator`.
    """

    def __init__(self, positions: int, width: int, generator: torch.Generator):
        super().__init__()
        start = 0.02 * torch.randn(positions, width, generator=generator)
        self.table = nn.Parameter(start)

    def embed(
        self, x: Float[Tensor, "batch n width"], positions: Int64[Tensor, " n"]
    ) -> Float[Tensor, "batch n width"]:
        """Raises ValueError beyond the last position that has a vector."""
        if len(positions) > len(self.table):
            raise ValueError(
                f"positions must be below {len(self.table)}, got {len(positions)}"
            )
        return x + self.table[positions]


@dataclass(frozen=True)
class Size:
    """The size of a model, and how long it is trained on what."""

    layers: int
    heads: int
    width: int
    length: int
    batch: int
    steps: int
    learning_rate: float


# Two sizes for `lib.runtime.pick`. Three models of the first take half a minute on one
# core. The second reads the small text a dozen times: longer would learn it by heart.
CPU = Size(
    layers=2, heads=4, width=64, length=64, batch=16, steps=500, learning_rate=6e-3
)
GPU = Size(
    layers=6, heads=8, width=256, length=1024, batch=8, steps=500, learning_rate=2e-3
)


class Block(nn.Module):
    """One layer: x + attention(norm(x)), then x + mlp(norm(x)); no bias in q, k, v."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm_mlp = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(
        self,
        x: Float[Tensor, "batch n width"],
        positions: Int64[Tensor, " n"],
        encoding: Encoding,
    ) -> Float[Tensor, "batch n width"]:
        heads = self.qkv(self.norm_attention(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        mixed = encoding.attend(q, k, v, positions)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm_mlp(x))))


class LanguageModel(nn.Module):
    """Next-character logits, the order of the characters given by `encoding`.

    The weights are drawn from `generator`: two models made from generators in the same
    state start from the same weights, whatever their encodings.
    """

    def __init__(
        self, vocab: int, size: Size, encoding: Encoding, generator: torch.Generator
    ):
        super().__init__()
        self.embedding = nn.Embedding(vocab, size.width)
        self.blocks = nn.ModuleList(
            Block(size.width, size.heads) for _ in range(size.layers)
        )
        self.norm = nn.LayerNorm(size.width)
        self.head = nn.Linear(size.width, vocab)
        draw_linear(self, generator)
        nn.init.normal_(self.embedding.weight, std=0.02, generator=generator)
        # Set last, so that nothing above draws the encoding anew.
        self.encoding = encoding

    def forward(
        self, tokens: Int64[Tensor, "batch n"]
    ) -> Float[Tensor, "batch n vocab"]:
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.encoding.embed(self.embedding(tokens), positions)
        for block in self.blocks:
            x = block(x, positions, self.encoding)
        return self.head(self.norm(x))


def train(
    model: LanguageModel,
    tokens: Int64[Tensor, " n"],
    size: Size,
    generator: torch.Generator,
) -> Float[Tensor, " steps"]:
    """Train in place; the loss of each step's batch, in nats per character.

    By `lib.training.fit`. Batches come from `generator`, on the CPU, so that they are
    the same whatever the model's device.
    """
    device = next(model.parameters()).device
    model.train()

    def loss() -> Float[Tensor, ""]:
        inputs, targets = text.batch(tokens, size.batch, size.length, generator)
        logits = model(inputs.to(device))
        return F.cross_entropy(logits.flatten(0, 1), targets.to(device).flatten())

    return fit(model.parameters(), loss, size.steps, size.learning_rate)


@torch.no_grad()
def evaluate(
    model: LanguageModel, tokens: Int64[Tensor, " n"], length: int, batch: int = 32
) -> Float[Tensor, " length"]:
    """Mean loss at each position of a window, in nats per character.

    The windows are the text cut into pieces of `length`, all of them, without overlap.
    Position 0 predicts from one character, the last from `length`; the mean of the
    result is the loss of the text. `length` may exceed the length of training.

    Raises:
        ValueError: `tokens` has no window of `length` + 1.
    """
    windows = (len(tokens) - 1) // length
    if windows < 1:
        raise ValueError(f"length must be below {len(tokens)} tokens, got {length}")
    device = next(model.parameters()).device
    inputs = tokens[: windows * length].view(windows, length)
    targets = tokens[1 : windows * length + 1].view(windows, length)
    model.eval()
    total = torch.zeros(length, dtype=torch.float64)
    for rows, wanted in zip(inputs.split(batch), targets.split(batch)):
        logits = model(rows.to(device)).flatten(0, 1)
        losses = F.cross_entropy(logits, wanted.to(device).flatten(), reduction="none")
        total += losses.view(len(rows), length).double().sum(0).cpu()
    return (total / windows).float()
