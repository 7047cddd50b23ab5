"""Associative recall: pairs of a key and a value are stored, then a key is asked for.

Two ways to look at it. Memories: a matrix S of m x d numbers is written by one of three
rules and read as key times S. A lookup: one attention layer between learned tables,
trained to name the value that stood beside a key.

Sources: Schlag et al. 2021, *Linear Transformers Are Secretly Fast Weight Programmers*,
arXiv:2102.11174, for memories and the delta rule; Arora et al. 2023, *Zoology*,
arXiv:2312.04927, for recall as a test of attention.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lib.attention_efficiency.linear_attention import linear_attention
from lib.training import fit

Kind = Literal["softmax", "linear"]


def unit_vectors(
    *shape: int, generator: torch.Generator
) -> Float[Tensor, "*batch n d"]:
    """Uniform on the unit sphere, in float64."""
    x = torch.randn(*shape, dtype=torch.float64, generator=generator)
    return F.normalize(x, dim=-1)


def write_sum(
    k: Float[Tensor, "*batch n m"], v: Float[Tensor, "*batch n d"]
) -> Float[Tensor, "*batch m d"]:
    """S = sum_j k_j v_j^T: what linear attention carries along, without a normaliser.

    With independent unit keys, reading k_i gives v_i and noise: E |S^T k_i - v_i|² is
    (n - 1) / m for unit values.
    """
    return k.mT @ v


def write_delta(
    k: Float[Tensor, "*batch n m"], v: Float[Tensor, "*batch n d"]
) -> Float[Tensor, "*batch m d"]:
    """S grows by k_j (v_j - S^T k_j)^T, one pair after the other: the delta rule.

    For unit keys, the pair written last is read back exactly, whatever was there
    before. Schlag et al. scale the correction by a learned number; here it is 1.
    """
    S = v.new_zeros(*v.shape[:-2], k.shape[-1], v.shape[-1])
    for k_j, v_j in zip(k.unbind(-2), v.unbind(-2)):
        missing = v_j - (k_j[..., None, :] @ S)[..., 0, :]
        S = S + k_j[..., :, None] * missing[..., None, :]
    return S


def write_best(
    k: Float[Tensor, "*batch n m"], v: Float[Tensor, "*batch n d"]
) -> Float[Tensor, "*batch m d"]:
    """The S that reads all pairs with the least squared error: least squares.

    No rule can do better with m x d numbers read as k times S. It sees all pairs at
    once. With independent keys and values the error is max(0, 1 - m / n) a pair.
    """
    return torch.linalg.pinv(k) @ v


@dataclass(frozen=True)
class Size:
    """How many different keys (as many values), and how long to train on what."""

    symbols: int
    pairs: tuple[int, ...]
    features: tuple[int, ...]
    steps: int
    batch: int
    learning_rate: float


# Two sizes for `lib.runtime.pick`: as many `pairs` and `features` in both.
CPU = Size(
    symbols=64,
    pairs=(4, 8, 16, 32, 64),
    features=(8, 16, 32),
    steps=400,
    batch=32,
    learning_rate=0.1,
)
GPU = Size(
    symbols=1024,
    pairs=(16, 64, 256, 512, 1024),
    features=(32, 128, 512),
    steps=3000,
    batch=64,
    learning_rate=0.03,
)


def episodes(
    batch: int, pairs: int, symbols: int, generator: torch.Generator
) -> tuple[Int64[Tensor, "batch pairs"], Int64[Tensor, "batch pairs"]]:
    """Different keys in each row, and a value for each, drawn anew every time.

    Raises:
        ValueError: there are fewer symbols than pairs.
    """
    if pairs > symbols:
        raise ValueError(f"pairs must be at most {symbols} symbols, got {pairs}")
    keys = torch.rand(batch, symbols, generator=generator).argsort(-1)[:, :pairs]
    return keys, torch.randint(symbols, (batch, pairs), generator=generator)


class Lookup(nn.Module):
    """One attention layer between tables: which value stood beside each key?

    Every key has a query vector and a key vector of its own, every value a vector; all
    are learned, so that the layer may choose the best arrangement for its kind of
    attention. `width` is the size of all three, and of the features.
    """

    def __init__(
        self, kind: Kind, width: int, symbols: int, generator: torch.Generator
    ):
        super().__init__()
        if kind not in ("softmax", "linear"):
            raise ValueError(f"kind must be softmax or linear, got {kind!r}")
        self.kind = kind
        normal = torch.randn(4, symbols, width, generator=generator)
        self.query, self.key = (nn.Parameter(table) for table in normal[:2])
        self.value, self.name = (
            nn.Parameter(table / width**0.5) for table in normal[2:]
        )

    def forward(
        self, keys: Int64[Tensor, "batch pairs"], values: Int64[Tensor, "batch pairs"]
    ) -> Float[Tensor, "batch pairs symbols"]:
        """Logits of the value beside each key, every key of the episode asked for."""
        q, k, v = self.query[keys], self.key[keys], self.value[values]
        if self.kind == "softmax":
            read = F.scaled_dot_product_attention(q, k, v)
        else:
            read = linear_attention(q, k, v)
        return read @ self.name.mT


def train_lookup(
    kind: Kind, width: int, size: Size, device: torch.device, seed: int
) -> Lookup:
    """A `Lookup` trained on episodes of all lengths in `size.pairs` in turn."""
    generator = torch.Generator().manual_seed(seed)
    model = Lookup(kind, width, size.symbols, generator).to(device)
    step = 0

    def loss() -> Float[Tensor, ""]:
        nonlocal step
        pairs, step = size.pairs[step % len(size.pairs)], step + 1
        keys, values = episodes(size.batch, pairs, size.symbols, generator)
        logits = model(keys.to(device), values.to(device))
        return F.cross_entropy(logits.flatten(0, 1), values.to(device).flatten())

    fit(model.parameters(), loss, size.steps, size.learning_rate)
    return model


@torch.no_grad()
def accuracy(
    model: Lookup, pairs: int, size: Size, rows: int, generator: torch.Generator
) -> float:
    """Share of keys whose value is named, over `rows` new episodes of `pairs` pairs."""
    device = model.query.device
    keys, values = episodes(rows, pairs, size.symbols, generator)
    guesses = model(keys.to(device), values.to(device)).argmax(-1)
    return (guesses == values.to(device)).double().mean().item()
