"""What several lessons of the part measure their estimators on.

Imports no lesson, so that exercises may use it.
"""

import torch
from jaxtyping import Float
from torch import Tensor

FIVE_WAY_LOGITS = torch.tensor([0.5, 0.0, 0.3, -0.5, -1.0], dtype=torch.float64)
"""Five categories, the most probable 4.5 times as probable as the least."""

FIVE_WAY_LEVELS = torch.tensor([1.0, 0.5, 2.0, 1.5, 3.0], dtype=torch.float64)


def five_way_cost(z: Float[Tensor, "*rows 5"]) -> Float[Tensor, "*rows"]:
    """A cost of a point of the simplex: 1 + (levels · z)² / 4, positive everywhere.

    At a one-hot vertex it is the cost of that category. Between vertices it is defined
    and smooth, but it is not the average of its values at the vertices: a relaxation
    that leaves them is biased.
    """
    return 1 + (z @ FIVE_WAY_LEVELS.to(z)).square() / 4
