"""The one training loop of the course: AdamW, a warm start, a cosine to nothing."""

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn


def fit(
    parameters: Iterable[nn.Parameter],
    loss: Callable[[], Float[Tensor, ""]],
    steps: int,
    learning_rate: float,
    clip: float | None = 1.0,
) -> Float[Tensor, " steps"]:
    """Lower `loss()` in `steps` steps; what it was before each step.

    `loss` draws its own batch. The learning rate rises over the first tenth of the
    steps and falls to nothing along a cosine; gradients are cut to norm `clip` over
    all parameters together. AdamW with PyTorch's weight decay of 0.01.

    Raises:
        ValueError: `steps` is below 1.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    parameters = list(parameters)
    optimiser = torch.optim.AdamW(parameters, lr=learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        learning_rate,
        total_steps=max(steps, 2),
        pct_start=0.1,
        cycle_momentum=False,
    )
    losses = torch.empty(steps)
    for step in range(steps):
        value = loss()
        optimiser.zero_grad()
        value.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(parameters, clip)
        optimiser.step()
        schedule.step()
        losses[step] = value.detach()
    return losses
