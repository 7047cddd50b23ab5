"""Episodes of many runs, drawn before anybody learns from them.

What a policy does in prediction depends on nobody's values: every method and every step
size can see the same episodes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from lib.reinforcement_learning.environments import MDP, Policy, choose


@dataclass(frozen=True)
class Episodes:
    """Episodes of many runs, filled up to one length with the state they ended in.

    states: (episodes, T + 1, runs). rewards: (episodes, T, runs), 0 past the end.
    lengths: (episodes, runs), the steps until the end. terminal: (S,), where it ends.
    """

    states: Int[np.ndarray, "episodes times runs"]
    rewards: Float[np.ndarray, "episodes T runs"]
    lengths: Int[np.ndarray, "episodes runs"]
    terminal: Bool[np.ndarray, " S"]

    def values(
        self, first: float, alphas: int = 1
    ) -> Float[np.ndarray, "runs S alphas"]:
        """What every run believes at first; an end is worth 0."""
        v = np.full((self.lengths.shape[1], len(self.terminal), alphas), float(first))
        v[:, self.terminal] = 0
        return v

    def moving(self, episode: int) -> Iterator[tuple[int, Int[np.ndarray, " n"]]]:
        """Each time of an episode, with the runs that have not ended before it."""
        lengths = self.lengths[episode]
        rows = np.argsort(-lengths, kind="stable")
        for t in range(lengths.max()):
            rows = rows[: np.count_nonzero(lengths[rows] > t)]
            yield t, rows


def sample_episodes(
    mdp: MDP,
    policy: Policy,
    runs: int,
    episodes: int,
    rng: np.random.Generator,
    longest: int = 100_000,
) -> Episodes:
    """Draw `episodes` episodes for each of `runs` runs, all at the same time.

    Raises:
        ValueError: one of them does not end within `longest` steps.
    """
    here = mdp.reset(runs * episodes, rng)
    states, rewards, live = [here], [], np.arange(len(here))
    while live.size:
        if len(rewards) == longest:
            raise ValueError(f"policy must reach an end within {longest} steps")
        r, here = np.zeros(len(here)), here.copy()
        r[live], here[live], over = mdp.step(
            here[live], choose(policy, here[live], rng), rng
        )
        states.append(here)
        rewards.append(r)
        live = live[~over]
    states, rewards = (
        np.array(rows).reshape(-1, episodes, runs).transpose(1, 0, 2)
        for rows in (states, rewards)
    )
    lengths = (~mdp.terminal[states]).sum(1)
    return Episodes(states, rewards, lengths, mdp.terminal)
