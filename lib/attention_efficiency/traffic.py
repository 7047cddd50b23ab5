"""How many numbers attention moves between slow and fast memory, run and counted.

n is the length, d the head dimension, M the numbers that fast memory holds. An access
is one number read from slow memory or written to it, for one head. What happens in fast
memory is free.

Source: Dao et al. 2022, *FlashAttention*, arXiv:2205.14135: algorithms 0 and 1, section
3.2 and theorem 2.
"""

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lib.attention_efficiency.flash_attention import (
    Stats,
    empty_stats,
    finish,
    merge_stats,
    spans,
    tile_stats,
)

Kind = Literal["standard", "flash1", "flash2", "linear"]


def block_sizes(kind: Kind, d: int, M: int) -> tuple[int, int]:
    """(queries, keys) of a block: ⌈M / 4d⌉ keys, so that four blocks of d fill M.

    "flash1" has at most d queries, so that a tile of scores has at most M / 4 numbers
    (Dao et al. 2022, algorithm 1, line 1). "flash2" has as many queries as keys; its
    paper leaves sizes to tuning.

    Raises:
        ValueError: `kind` has no blocks, or M is below d.
    """
    if kind not in ("flash1", "flash2"):
        raise ValueError(f"kind must be flash1 or flash2, got {kind!r}")
    if d < 1 or d > M:
        raise ValueError(f"M must be at least d and d at least 1, got M={M}, d={d}")
    block = math.ceil(M / (4 * d))
    return (min(block, d) if kind == "flash1" else block), block


def hbm_accesses(kind: Kind, n: int, d: int, M: int) -> int:
    """Numbers read from and written to slow memory in one forward pass of one head.

    "standard" writes scores and weights and reads them back; its count does not depend
    on M. "flash1" has keys outside and keeps output, l and m in slow memory, "flash2"
    queries outside, as in `lib.attention_efficiency.flash_attention`. "linear" is
    attention without a softmax whose d by d sums stay in fast memory: keys, values,
    queries and output pass once.
    Source: Dao et al. 2022, theorem 2; equal to what `run_metered` counts.

    Raises:
        ValueError: `kind` is none of the four, or M is below d.
    """
    if kind == "standard":
        return 4 * n * d + 4 * n * n
    if kind == "linear":
        return 4 * n * d
    rows, columns = block_sizes(kind, d, M)
    if kind == "flash1":
        start = n * d + 2 * n
        one_pass = 3 * n * d + 4 * n
        return start + 2 * n * d + math.ceil(n / columns) * one_pass
    return 2 * n * d + n + math.ceil(n / rows) * 2 * n * d


class SlowMemory:
    """Arrays by name, and how many of their numbers were read and written."""

    def __init__(self, **arrays: Tensor):
        self.arrays = arrays
        self.accesses = 0

    def read(self, name: str, rows: slice = slice(None)) -> Tensor:
        """A copy of some rows of an array, counted."""
        part = self.arrays[name][rows].clone()
        self.accesses += part.numel()
        return part

    def write(self, name: str, part: Tensor, rows: slice = slice(None)) -> None:
        """Overwrite some rows of an array, counted."""
        self.accesses += part.numel()
        self.arrays[name][rows] = part


def run_metered(
    kind: Kind,
    q: Float[Tensor, "n d"],
    k: Float[Tensor, "n d"],
    v: Float[Tensor, "n d"],
    M: int,
) -> tuple[Float[Tensor, "n d"], int]:
    """Attention computed by reading and writing a `SlowMemory`: (output, accesses).

    Raises:
        ValueError: `kind` is not standard, flash1 or flash2, or M is below d.
    """
    n, d = q.shape
    memory = SlowMemory(q=q, k=k, v=v, o=torch.empty_like(v))
    memory.arrays |= {name: q.new_empty(n) for name in ("l", "m", "lse")}
    if kind == "standard":
        memory.arrays |= {name: q.new_empty(n, n) for name in ("s", "p")}
        _standard(memory)
    elif kind == "flash1":
        _keys_outside(memory, *block_sizes(kind, d, M))
    else:
        _queries_outside(memory, *block_sizes(kind, d, M))
    return memory.arrays["o"], memory.accesses


def _standard(memory: SlowMemory) -> None:
    """Dao et al. 2022, algorithm 0."""
    q, k = memory.read("q"), memory.read("k")
    memory.write("s", q @ k.T / q.shape[1] ** 0.5)
    memory.write("p", memory.read("s").softmax(-1))
    memory.write("o", memory.read("p") @ memory.read("v"))


def _keys_outside(memory: SlowMemory, block_q: int, block_k: int) -> None:
    """Dao et al. 2022, algorithm 1: the output is divided at every step."""
    n, d = memory.arrays["q"].shape
    for name, first in (("o", 0.0), ("l", 0.0), ("m", -torch.inf)):
        memory.write(name, torch.full_like(memory.arrays[name], first))
    for columns in spans(n, block_k):
        k, v = memory.read("k", columns), memory.read("v", columns)
        for rows in spans(n, block_q):
            q, o, total, m = (memory.read(name, rows) for name in "qolm")
            tile = tile_stats(q @ k.T / d**0.5, v)
            new = merge_stats(Stats(m, total, total[:, None] * o), tile)
            memory.write("o", new.acc / new.l[:, None], rows)
            memory.write("l", new.l, rows)
            memory.write("m", new.m, rows)


def _queries_outside(memory: SlowMemory, block_q: int, block_k: int) -> None:
    """Dao 2023, algorithm 1: the stats of a block of queries never leave."""
    n, d = memory.arrays["q"].shape
    for rows in spans(n, block_q):
        q = memory.read("q", rows)
        stats = empty_stats(q, d)
        for columns in spans(n, block_k):
            k, v = memory.read("k", columns), memory.read("v", columns)
            stats = merge_stats(stats, tile_stats(q @ k.T / d**0.5, v))
        o, lse = finish(stats)
        memory.write("o", o, rows)
        memory.write("lse", lse, rows)


# What the counts mean on a machine


class Machine(NamedTuple):
    """Bytes a second from slow memory, operations a second, bytes of a number."""

    bandwidth: float
    operations: float
    number: int


# In 16 bits: the 40 GB model's memory (Dao et al. 2022, section 2.1), and matrix
# products on tensor cores (Dao 2023, section 2.1).
A100 = Machine(bandwidth=1.5e12, operations=312e12, number=2)


def operations(kind: Kind, n: int, d: int) -> int:
    """Additions and multiplications of the two matrix products, one head, forward."""
    return 4 * n * d * (d if kind == "linear" else n)


def roofline_seconds(
    kind: Kind, n: int, d: int, M: int, heads: int, machine: Machine = A100
) -> float:
    """The time that traffic or arithmetic takes, whichever is the longer.

    A bound from below, not a prediction: all traffic overlaps all arithmetic, both run
    at the machine's best, and exponentials and starting a kernel cost nothing.
    Source: the roofline of Williams et al. 2009.
    """
    moved = heads * hbm_accesses(kind, n, d, M) * machine.number
    done = heads * operations(kind, n, d)
    return max(moved / machine.bandwidth, done / machine.operations)
