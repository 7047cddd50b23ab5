"""Values as means of returns: prediction, control and other people's data, no model.

Everything is numpy. R[t+1] follows the action at t and stands in `rewards[..., t]`;
episodes are rows of arrays, see `episodes`.

Sources: Sutton & Barto 2018, *Reinforcement Learning*, chapters 2 and 5; Zhao 2025,
*Mathematical Foundations of Reinforcement Learning*, chapters 5 and 6.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from lib.reinforcement_learning.environments import MDP, Policy, greedy
from lib.reinforcement_learning.episodes import Episodes, rollout

# Means


def stochastic_approximation(
    samples: Float[np.ndarray, "*runs K"], steps: Float[np.ndarray, " K"]
) -> Float[np.ndarray, "*runs K"]:
    """w after each sample: w += step (x - w), from w = 0.

    Steps 1, 1/2, 1/3, ... give the means of the first samples. The limit is the mean
    where the sum of all steps is infinite and that of their squares is not.

    Source: Robbins & Monro 1951; Zhao 2025, section 6.1.
    """
    estimate, path = np.zeros(samples.shape[:-1]), np.empty(samples.shape)
    for k, step in enumerate(steps):
        estimate = estimate + step * (samples[..., k] - estimate)
        path[..., k] = estimate
    return path


def returns(
    rewards: Float[np.ndarray, "*runs T"], gamma: float
) -> Float[np.ndarray, "*runs T"]:
    """G[t] = R[t+1] + gamma G[t+1], from the last reward backwards.

    Raises:
        ValueError: gamma is not between 0 and 1.
    """
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma must be between 0 and 1, got {gamma}")
    G = np.array(rewards)
    for t in reversed(range(G.shape[-1] - 1)):
        G[..., t] += gamma * G[..., t + 1]
    return G


# Prediction


def first_visits(
    labels: Int[np.ndarray, "n T"], live: Bool[np.ndarray, "n T"]
) -> Bool[np.ndarray, "n T"]:
    """Where a label stands in its row for the first time."""
    rows = np.arange(len(labels))[:, None]
    keys = np.where(live, rows * (labels.max(initial=0) + 1) + labels, -1)
    _, places = np.unique(keys, return_index=True)  # each key's first place, by rows
    mask = np.zeros(labels.size, bool)
    mask[places] = True
    return mask.reshape(labels.shape) & live


def _means(
    labels: np.ndarray, values: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the values of each label, NaN where there is none; their number."""
    counts = np.bincount(labels, minlength=size)
    sums = np.bincount(labels, values, minlength=size)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan), counts


def first_visit_mc(
    episodes: Episodes, n_states: int, gamma: float
) -> tuple[Float[np.ndarray, " S"], Int[np.ndarray, " S"]]:
    """The mean return from the first visit of each episode to a state.

    Returns:
        values, NaN where no episode came by; how many episodes came by.
    """
    mask = first_visits(episodes.states, episodes.live)
    G = returns(episodes.rewards, gamma)
    return _means(episodes.states[mask], G[mask], n_states)


def every_visit_mc(
    episodes: Episodes, n_states: int, gamma: float
) -> tuple[Float[np.ndarray, " S"], Int[np.ndarray, " S"]]:
    """The mean return from all visits to a state: biased, and consistent.

    Returns:
        values, NaN where no episode came by; the number of visits.
    """
    G = returns(episodes.rewards, gamma)
    return _means(episodes.states[episodes.live], G[episodes.live], n_states)


# Control


def epsilon_greedy(q: Float[np.ndarray, "S A"], epsilon: float) -> Policy:
    """The greedy action, but with chance epsilon any action, the greedy one included.

    Of equal actions the first is greedy: with epsilon 0 this is `greedy`, one action a
    state, as policy iteration has it. In `agents.epsilon_greedy` equals share.

    Raises:
        ValueError: epsilon is not between 0 and 1.
    """
    if not 0 <= epsilon <= 1:
        raise ValueError(f"epsilon must be between 0 and 1, got {epsilon}")
    return (1 - epsilon) * greedy(q) + epsilon / q.shape[1]


def all_pairs(mdp: MDP) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """States and actions of all pairs from which something can still happen."""
    actions, where = mdp.P.shape[1], np.flatnonzero(~mdp.terminal)
    return np.repeat(where, actions), np.tile(np.arange(actions), len(where))


def mc_basic(
    mdp: MDP,
    policy: Policy,
    gamma: float,
    rounds: int,
    length: int,
    n: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "rounds S A"]:
    """Policy iteration, its action values the mean of n returns from every pair.

    An episode is cut after `length` steps. Returns the action values of every round;
    the policy of a round is greedy in those of the round before.

    Source: Zhao 2025, algorithm 5.1.
    """
    states, actions = (np.repeat(pair, n) for pair in all_pairs(mdp))
    history = np.zeros((rounds, *policy.shape))
    for q in history:
        played = rollout(mdp, policy, states, length, rng, actions)
        G = returns(played.rewards, gamma)[:, 0].reshape(-1, n)
        q[~mdp.terminal] = G.mean(-1).reshape(-1, q.shape[1])
        policy = greedy(q)
    return history


def _learn(
    q: np.ndarray, counts: np.ndarray, played: Episodes, gamma: float, tail: int
) -> None:
    """Take the returns from first visits to pairs into the running means q."""
    pairs = played.states * q.shape[1] + played.actions
    early = np.arange(pairs.shape[1]) < pairs.shape[1] - tail
    mask = first_visits(pairs, played.live & (played.over[:, None] | early))
    G = returns(played.rewards, gamma)[mask]
    new = np.bincount(pairs[mask], minlength=q.size).reshape(q.shape)
    sums = np.bincount(pairs[mask], G, minlength=q.size).reshape(q.shape)
    counts += new
    q += (sums - new * q) / np.maximum(counts, 1)


def mc_exploring_starts(
    mdp: MDP,
    gamma: float,
    rounds: int,
    n: int,
    horizon: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "rounds S A"]:
    """Greedy episodes from random pairs; all pairs they meet learn from them.

    Each round plays n episodes with the policy that is greedy in the means so far; the
    books' form is n = 1. Returns the action values after every round, 0 before them.

    Source: Sutton & Barto 2018, section 5.3; Zhao 2025, algorithm 5.2.
    """
    pairs, q = all_pairs(mdp), np.zeros(mdp.P.shape[:2])
    counts, history = np.zeros(q.shape, int), np.empty((rounds, *q.shape))
    for k in range(rounds):
        drawn = rng.integers(0, len(pairs[0]), n)
        states, actions = (column[drawn] for column in pairs)
        played = rollout(mdp, greedy(q), states, horizon, rng, actions)
        _learn(q, counts, played, gamma, 0)
        history[k] = q
    return history


def mc_epsilon_greedy(
    mdp: MDP,
    gamma: float,
    epsilon: float,
    rounds: int,
    n: int,
    horizon: int,
    tail: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "rounds S A"]:
    """Episodes from the world's own start, by the epsilon-greedy policy of each round.

    Of an episode that is cut, visits within its last `tail` steps are left out: too
    little of their return is known. Returns the action values after every round.

    Source: Sutton & Barto 2018, section 5.4; Zhao 2025, algorithm 5.3.
    """
    q = np.zeros(mdp.P.shape[:2])
    counts, history = np.zeros(q.shape, int), np.empty((rounds, *q.shape))
    for k in range(rounds):
        start, policy = mdp.reset(n, rng), epsilon_greedy(q, epsilon)
        _learn(q, counts, rollout(mdp, policy, start, horizon, rng), gamma, tail)
        history[k] = q
    return history


# Off-policy


def ratios(episodes: Episodes, pi: Policy, b: Policy) -> Float[np.ndarray, "n T"]:
    """rho[t]: the product of pi / b from the action at t to the end of the episode.

    Raises:
        ValueError: b never does what an episode did.
    """
    taken = episodes.states, episodes.actions
    if (b[taken][episodes.live] == 0).any():
        raise ValueError("b must be able to take every action of the episodes")
    one = np.ones(episodes.live.shape)
    each = np.divide(pi[taken], b[taken], out=one, where=episodes.live)
    return each[:, ::-1].cumprod(1)[:, ::-1]


def ordinary_estimates(
    rho: Float[np.ndarray, "*runs n"], G: Float[np.ndarray, "*runs n"]
) -> Float[np.ndarray, "*runs n"]:
    """Means of rho G over the first 1, 2, ..., n episodes: unbiased."""
    return (rho * G).cumsum(-1) / np.arange(1, G.shape[-1] + 1)


def weighted_estimates(
    rho: Float[np.ndarray, "*runs n"], G: Float[np.ndarray, "*runs n"]
) -> Float[np.ndarray, "*runs n"]:
    """Means of G with weights rho over the first 1, 2, ..., n episodes: biased.

    0 as long as all weights are 0.
    """
    total = rho.cumsum(-1)
    means = np.zeros(G.shape)
    return np.divide((rho * G).cumsum(-1), total, out=means, where=total > 0)


def importance_sampling(
    episodes: Episodes, pi: Policy, b: Policy, gamma: float, weighted: bool
) -> Float[np.ndarray, " S"]:
    """v of pi from first visits of episodes that b played, by either estimator.

    NaN where no episode came by, or all weights are 0. Source: Sutton & Barto 2018,
    equations 5.5 and 5.6.
    """
    mask = first_visits(episodes.states, episodes.live)
    states, rho = episodes.states[mask], ratios(episodes, pi, b)[mask]
    G = returns(episodes.rewards, gamma)[mask]
    total = np.bincount(states, rho if weighted else None, minlength=len(pi))
    values = np.full(len(pi), np.nan)
    sums = np.bincount(states, rho * G, minlength=len(pi))
    return np.divide(sums, total, out=values, where=total > 0)


def importance_moments(
    mdp: MDP, pi: Policy, b: Policy, gamma: float
) -> Float[np.ndarray, "3 S"]:
    """E[rho²], E[rho² G] and E[rho² G²] of an episode of b from each state, exactly.

    Where it ends rho is 1 and G is 0. Each is a linear system like that of the values:
    with rho = x rho' and G = R + gamma G', square, and take the mean over one step.

    Raises:
        ValueError: E[rho²] is infinite, or b cannot do what pi does.
    """
    if ((b == 0) & (pi > 0))[~mdp.terminal].any():
        raise ValueError("b must be able to take every action that pi takes")
    weight = np.divide(pi**2, b, out=np.zeros(pi.shape), where=b > 0)
    moves, live, R = weight[:, :, None] * mdp.P, ~mdp.terminal, mdp.R
    inside = moves.sum(1)[live][:, live]
    factor = np.abs(np.linalg.eigvals(inside)).max(initial=0.0)
    if factor >= 1 - 1e-9:
        raise ValueError(f"E[rho²] is infinite: it grows by {factor:.3g} a step")

    def solve(given: np.ndarray, discount: float, at_the_end: np.ndarray) -> np.ndarray:
        known = (moves * given).sum((1, 2)) + discount * moves.sum(1) @ at_the_end
        values = at_the_end.copy()
        system = np.eye(live.sum()) - discount * inside
        values[live] = np.linalg.solve(system, known[live])
        return values

    ones, zeros = mdp.terminal.astype(float), np.zeros(len(live))
    e = solve(np.zeros(R.shape), 1.0, ones)
    m = solve(R * e, gamma, zeros)
    return np.stack([e, m, solve(R**2 * e + 2 * gamma * R * m, gamma**2, zeros)])
