"""Where training starts, and its one loop: AdamW, a warm start, a cosine to nothing."""

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn


def draw_linear(model: nn.Module, generator: torch.Generator, below: int = 1) -> None:
    """Draw the weights of every linear layer in `model` anew, biases 0, in place.

    Normal, of variance 1 / (`below` * inputs): with 1 the outputs of a layer have the
    variance of its inputs, 3 is the variance of PyTorch's own uniform draw.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = (below * module.in_features) ** -0.5
            nn.init.normal_(module.weight, std=std, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


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
