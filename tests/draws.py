"""Random numbers for the tests of `lib`: all their seeds are set here.

`python -m tests.reseeded` runs the tests with another SEED_SHIFT. Seeds that `lib` sets
stay: a test that repeats one sets it itself, and says `# lib's seed` on that line.
"""

import os

import numpy as np
import torch
from torch import Tensor

SHIFT = int(os.environ.get("SEED_SHIFT", "0"))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(SHIFT + seed)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(SHIFT + seed)


def seed_torch(seed: int = 0) -> None:
    """Seed what takes no generator: starting weights, dropout, others' code."""
    torch.manual_seed(SHIFT + seed)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=seeded(seed))
