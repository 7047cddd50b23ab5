"""Episodes of a policy, played many at a time from an exact model, or one by one.

Episodes are rows of arrays, so that thousands are played and averaged together; what
lies beyond the end of one is not `live`, and its rewards are 0.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from lib.reinforcement_learning.environments import MDP, Policy, choose

AT_ONCE = 20_000  # runs that step together: MDP.step needs (runs, S) numbers


@runtime_checkable
class Env(Protocol):
    """What `play` asks of an environment: `environments.Environment`, gymnasium's."""

    def reset(self, *, seed: int | None = None) -> tuple[int, dict]: ...

    def step(self, action: int) -> tuple[int, float, bool, bool, dict]: ...


@dataclass(frozen=True)
class Episodes:
    """n episodes, one a row, in T columns.

    states[i, t], actions[i, t]: where episode i was after t steps, and what it did.
    rewards[i, t]: what that brought, R[t+1].
    live: false beyond the end.
    over: whether the episode came to its end, or was cut off after T steps.
    """

    states: Int[np.ndarray, "n T"]
    actions: Int[np.ndarray, "n T"]
    rewards: Float[np.ndarray, "n T"]
    live: Bool[np.ndarray, "n T"]
    over: Bool[np.ndarray, " n"]


def _step(
    mdp: MDP, states: np.ndarray, actions: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """`mdp.step` for so many runs that its memory has to be rationed."""
    cuts = range(AT_ONCE, len(states), AT_ONCE)
    pieces = zip(np.split(states, cuts), np.split(actions, cuts))
    parts = [mdp.step(s, a, rng) for s, a in pieces]
    return tuple(np.concatenate(part) for part in zip(*parts))


def rollout(
    mdp: MDP,
    policy: Policy,
    states: Int[np.ndarray, " n"],
    horizon: int,
    rng: np.random.Generator,
    actions: Int[np.ndarray, " n"] | None = None,
) -> Episodes:
    """One episode from each of `states`, all together, `horizon` steps at most.

    `actions` are what is done first, where the policy shall not decide it.

    Raises:
        ValueError: horizon is below 1, or an episode would start where it ends.
    """
    if horizon < 1:
        raise ValueError(f"horizon must be at least 1, got {horizon}")
    if mdp.terminal[states].any():
        raise ValueError("states must not be terminal")
    n, steps = len(states), []
    place, alive = states.copy(), np.arange(n)
    while len(alive) and len(steps) < horizon:
        now = place[alive]
        given = actions is not None and not steps
        doing = actions if given else choose(policy, now, rng)
        reward, after, over = _step(mdp, now, doing, rng)
        columns = [np.zeros(n, kind) for kind in (int, int, float, bool)]
        for column, values in zip(columns, (now, doing, reward, True)):
            column[alive] = values
        steps.append(columns)
        place[alive], alive = after, alive[~over]
    tables = [np.stack(columns, 1) for columns in zip(*steps)]
    return Episodes(*tables, mdp.terminal[place])


def play(env: Env, policy: Policy, n: int, seed: int) -> Episodes:
    """n episodes of one environment, spoken to as gymnasium's are, one after the other.

    The first `reset` gets the seed, as gymnasium wants it. Observations must be numbers
    of states. Slower than `rollout`, and it needs no table.
    """
    rng, logs = np.random.default_rng(seed), []
    for i in range(n):
        state, _ = env.reset(seed=seed if i == 0 else None)
        over, cut, steps = False, False, []
        while not (over or cut):
            action = int(choose(policy, np.array([state]), rng)[0])
            after, reward, over, cut, _ = env.step(action)
            steps.append((state, action, reward))
            state = after
        logs.append((steps, over))
    lengths = np.array([len(steps) for steps, _ in logs])
    live = np.arange(lengths.max()) < lengths[:, None]
    tables = [np.zeros(live.shape, kind) for kind in (int, int, float)]
    for table, column in zip(tables, zip(*(step for log, _ in logs for step in log))):
        table[live] = column
    return Episodes(*tables, live, np.array([over for _, over in logs]))
