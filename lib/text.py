"""A small text, its characters as numbers, and batches of windows cut from it."""

from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

TOPICS = Path(__file__).parent / "data" / "python_topics.txt"


def python_topics() -> str:
    """Python's own help topics: 373,279 characters of technical English.

    A fixed copy, since the text changes with every version of Python.
    """
    return TOPICS.read_text(encoding="utf-8")


def vocabulary(text: str) -> str:
    """The symbols that occur in `text`, sorted; a token is an index into them."""
    return "".join(sorted(set(text)))


def encode(text: str, symbols: str) -> Int64[Tensor, " n"]:
    """Each character as its index in `symbols`.

    Raises:
        ValueError: `text` has a character that `symbols` has not.
    """
    number = {symbol: index for index, symbol in enumerate(symbols)}
    unknown = sorted(set(text) - set(symbols))
    if unknown:
        raise ValueError(f"text has {unknown[0]!r}, which symbols lacks")
    return torch.tensor([number[character] for character in text])


def decode(tokens: Int64[Tensor, " n"], symbols: str) -> str:
    """The text whose characters have these indices in `symbols`."""
    return "".join(symbols[token] for token in tokens.tolist())


def split(
    tokens: Int64[Tensor, " n"], validation: float = 0.1
) -> tuple[Int64[Tensor, " train"], Int64[Tensor, " validation"]]:
    """The front of the text for training, the last part of it for validation.

    One cut, not a random choice of windows: a window overlaps its neighbours, and
    characters of the validation text would be seen in training.

    Raises:
        ValueError: `validation` is not a proportion strictly between 0 and 1.
    """
    if not 0 < validation < 1:
        raise ValueError(f"validation must be between 0 and 1, got {validation}")
    cut = round(len(tokens) * (1 - validation))
    return tokens[:cut], tokens[cut:]


def batch(
    tokens: Int64[Tensor, " n"], size: int, length: int, generator: torch.Generator
) -> tuple[Int64[Tensor, "size length"], Int64[Tensor, "size length"]]:
    """`size` windows at random places, and the same windows one character later.

    Raises:
        ValueError: `tokens` has no window of `length` + 1.
    """
    places = len(tokens) - length
    if places < 1:
        raise ValueError(f"length must be below {len(tokens)} tokens, got {length}")
    starts = torch.randint(places, (size, 1), generator=generator)
    windows = tokens[starts + torch.arange(length + 1)]
    return windows[:, :-1], windows[:, 1:]
