"""Streams of episodes, drawn for many runs before anybody learns from them.

What a policy does in prediction depends on nobody's values: every method and every step
size can see the same episodes. A run's episodes follow each other without a gap, so
that a step of all runs is one row of an array and no run waits for the end of another.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from lib.reinforcement_learning.environments import MDP, Policy, choose


@dataclass(frozen=True)
class Streams:
    """As many episodes of each run, one after the other, by time and run.

    states, rewards, after, over: where a step began, what it gave, where it led, and
    whether that was an end. episode: the number of the episode it belongs to. A run
    that has had all its episodes stays where the last one ended, for a reward of 0.
    terminal: (S,), where it ends.
    """

    states: Int[np.ndarray, "T runs"]
    rewards: Float[np.ndarray, "T runs"]
    after: Int[np.ndarray, "T runs"]
    over: Bool[np.ndarray, "T runs"]
    terminal: Bool[np.ndarray, " S"]

    @cached_property
    def episode(self) -> Int[np.ndarray, "T runs"]:
        """The number of the episode, from 0, that a step belongs to."""
        return self.over.cumsum(0) - self.over

    @cached_property
    def left(self) -> Int[np.ndarray, "T runs"]:
        """How many steps the episode still has, with this one; 1 past the last."""
        left = np.ones(self.over.shape, int)
        for t in range(len(left) - 2, -1, -1):
            inside = ~self.over[t] & ~self.terminal[self.states[t]]
            left[t] += inside * left[t + 1]
        return left

    def values(self, first: float, alphas: int = 1) -> Float[np.ndarray, "runs S n"]:
        """What every run believes at first, for each step size; an end is worth 0."""
        v = np.full((self.over.shape[1], len(self.terminal), alphas), float(first))
        v[:, self.terminal] = 0
        return v

    def follow(
        self, table: Float[np.ndarray, "runs ..."], learn: Callable[[int], object]
    ) -> Float[np.ndarray, "episodes runs ..."]:
        """The table after each episode, while `learn(t)` changes it step by step."""
        history = np.empty((int(self.over[:, 0].sum()), *table.shape))
        for t, over in enumerate(self.over):
            learn(t)
            ended = over.nonzero()[0]
            if ended.size:
                history[self.episode[t, ended], ended] = table[ended]
        return history


def sample_streams(
    mdp: MDP,
    policy: Policy,
    runs: int,
    episodes: int,
    rng: np.random.Generator,
    longest: int = 1_000_000,
) -> Streams:
    """Draw `episodes` episodes for each of `runs` runs, all at the same time.

    Raises:
        ValueError: a run needs more than `longest` steps.
    """
    here, done, steps = mdp.reset(runs, rng), np.zeros(runs, int), []
    while (done < episodes).any():
        if len(steps) == longest:
            raise ValueError(
                f"policy must bring {episodes} episodes to an end within {longest} "
                "steps"
            )
        rewards, after, over = mdp.step(here, choose(policy, here, rng), rng)
        over = over & (done < episodes)
        steps.append((here, rewards, after, over))
        done = done + over
        again = over & (done < episodes)
        here = after.copy()
        here[again] = mdp.reset(int(again.sum()), rng)
    return Streams(*(np.array(column) for column in zip(*steps)), mdp.terminal)
