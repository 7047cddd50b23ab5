"""Q-learning with a network: a replay buffer, and a target that stands still.

Source: Mnih et al. 2015, Human-level control through deep reinforcement learning.
"""

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


class Batch(NamedTuple):
    """Transitions of one agent, a row each; `over` where an episode ended with it."""

    states: Float[Tensor, "n dims"]
    actions: Int[Tensor, " n"]
    rewards: Float[Tensor, " n"]
    after: Float[Tensor, "n dims"]
    over: Bool[Tensor, " n"]


def dqn_loss(
    net: nn.Module, target_net: nn.Module, batch: Batch, gamma: float
) -> Float[Tensor, ""]:
    """Mean of (r + gamma max_a q'(s', a) - q(s, a))², with q' of the target network.

    No gradient goes through the target; after the end there is nothing to come. The
    paper clips the error to [-1, 1], this does not. Source: Mnih et al. 2015.
    """
    q = net(batch.states).gather(1, batch.actions[:, None])[:, 0]
    with torch.no_grad():
        best = target_net(batch.after).max(1).values
    target = batch.rewards + gamma * best * ~batch.over
    return (target - q).square().mean()


def dqn(
    net: nn.Module,
    replay: Batch,
    gamma: float,
    updates: int,
    copy_every: int,
    generator: torch.Generator,
    size: int = 100,
    learning_rate: float = 1e-3,
    watch: Callable[[nn.Module], float] | None = None,
) -> list[float]:
    """Train net on a fixed replay buffer; what `watch` says before each copy.

    Batches are drawn uniformly, with replacement. Every `copy_every` updates the target
    network becomes a copy of net; with 1 there is in effect none. Adam.
    """
    target_net, seen = copy.deepcopy(net), []
    optimiser = torch.optim.Adam(net.parameters(), learning_rate)
    for update in range(updates):
        if update % copy_every == 0:
            target_net.load_state_dict(net.state_dict())
            if watch:
                seen.append(watch(net))
        rows = torch.randint(len(replay.actions), (size,), generator=generator)
        loss = dqn_loss(net, target_net, Batch(*(x[rows] for x in replay)), gamma)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return seen
