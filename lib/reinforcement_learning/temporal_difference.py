"""Temporal-difference learning: values learnt from other values, one step at a time.

Prediction works on `Episodes` that were drawn before: what a policy does depends on
nobody's values, so every method and every step size sees the same ones. Values are
`(runs, states, step sizes)`, and one statement updates all of them. Control draws as it
learns; there the runs are rows of `q: (runs, states, actions)`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from lib.reinforcement_learning.agents import (
    Table,
    Worth,
    Worths,
    epsilon_greedy,
    td_update,
)
from lib.reinforcement_learning.environments import MDP, Policy, choose
from lib.reinforcement_learning.episodes import Episodes

Values = Float[np.ndarray, "runs S alphas"]
History = Float[np.ndarray, "episodes runs S alphas"]
Sizes = Float[np.ndarray, " alphas"]
Rows = Int[np.ndarray, " n"]


# Prediction, a step at a time


def td0_update(
    v: Values,
    rows: Int[np.ndarray, " n"],
    states: Int[np.ndarray, " n"],
    rewards: Float[np.ndarray, " n"],
    after: Int[np.ndarray, " n"],
    alphas: Sizes,
    gamma: float,
) -> Float[np.ndarray, "n alphas"]:
    """One step of TD(0) in each of some runs, in place; the TD errors.

    An end must be worth 0 in `v`. Source: Sutton 1988; Sutton & Barto 2018, eq. 6.2.
    """
    error = rewards[:, None] + gamma * v[rows, after] - v[rows, states]
    v[rows, states] += alphas * error
    return error


def td_prediction(
    batch: Episodes, alphas: Sizes, gamma: float = 1.0, first: float = 0.0
) -> History:
    """TD(0) on every run and for every step size: the values after each episode."""
    v = batch.values(first, len(alphas))
    history = np.empty((len(batch.lengths), *v.shape))
    for e, (states, rewards) in enumerate(zip(batch.states, batch.rewards)):
        for t, rows in batch.moving(e):
            s, r, after = states[t, rows], rewards[t, rows], states[t + 1, rows]
            td0_update(v, rows, s, r, after, alphas, gamma)
        history[e] = v
    return history


def reward_sums(
    rewards: Float[np.ndarray, "T runs"], n: int, gamma: float
) -> Float[np.ndarray, "T runs"]:
    """The discounted sum of the next n rewards, from every time on.

    By W_t = R_{t+1} + gamma W_{t+1} - gamma^n R_{t+n+1}: one pass for any n.
    """
    sums = np.zeros((len(rewards) + 1, *rewards.shape[1:]))
    for t in range(len(rewards) - 1, -1, -1):
        sums[t] = rewards[t] + gamma * sums[t + 1]
        if t + n < len(rewards):
            sums[t] -= gamma**n * rewards[t + n]
    return sums[:-1]


def n_step_td(
    batch: Episodes, n: int, alphas: Sizes, gamma: float = 1.0, first: float = 0.0
) -> History:
    """n-step TD: the values after each episode.

    The state of time t is updated once that of t + n is known, or the episode is over;
    so updates come in the order of the states, each with the values as they are by
    then. With n beyond the longest episode this is constant-alpha Monte Carlo, every
    visit.

    Raises:
        ValueError: n is below 1.

    Source: Sutton & Barto 2018, section 7.1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    v = batch.values(first, len(alphas))
    history = np.empty((len(batch.lengths), *v.shape))
    for e, states in enumerate(batch.states):
        sums = reward_sums(batch.rewards[e], n, gamma)
        for t, rows in batch.moving(e):
            s, later = states[t, rows], states[min(t + n, len(sums)), rows]
            target = sums[t, rows, None] + gamma**n * v[rows, later]
            v[rows, s] += alphas * (target - v[rows, s])
        history[e] = v
    return history


def lambda_returns(
    states: Int[np.ndarray, "times runs"],
    rewards: Float[np.ndarray, "T runs"],
    v: Float[np.ndarray, "runs S"],
    gamma: float,
    lam: float,
) -> Float[np.ndarray, "T runs"]:
    """The forward view: n-step returns for all n, weighted by (1 - lam) lam^(n-1).

    By G_t = R_{t+1} + gamma ((1 - lam) v(S_{t+1}) + lam G_{t+1}), from the end on.

    Source: Sutton & Barto 2018, eq. 12.2 and 12.3.
    """
    worth = v[np.arange(len(v)), states[1:]]
    returns = np.empty_like(rewards)
    after = np.zeros(len(v))
    for t in range(len(rewards) - 1, -1, -1):
        after = rewards[t] + gamma * ((1 - lam) * worth[t] + lam * after)
        returns[t] = after
    return returns


def td_lambda(
    batch: Episodes,
    lam: float,
    alphas: Sizes,
    gamma: float = 1.0,
    first: float = 0.0,
) -> History:
    """TD(lambda), the backward view with accumulating traces: values by episode.

    A state's trace says how much of a TD error it is to blame for: plus 1 at a visit,
    times gamma lam at every step. Source: Sutton 1988; S. & B. 2018, section 12.2.
    """
    v = batch.values(first, len(alphas))
    history = np.empty((len(batch.lengths), *v.shape))
    for e, (states, rewards) in enumerate(zip(batch.states, batch.rewards)):
        trace = np.zeros((*v.shape[:2], 1))
        for t, rows in batch.moving(e):
            s, after = states[t, rows], states[t + 1, rows]
            error = rewards[t, rows, None] + gamma * v[rows, after] - v[rows, s]
            trace[rows] *= gamma * lam
            trace[rows, s] += 1
            v[rows] += (alphas * error)[:, None] * trace[rows]
        history[e] = v
    return history


def true_online_td_lambda(
    batch: Episodes,
    lam: float,
    alphas: Sizes,
    gamma: float = 1.0,
    first: float = 0.0,
) -> History:
    """TD(lambda) with dutch traces, exactly the online forward view: values by episode.

    Source: van Seijen & Sutton 2014; Sutton & Barto 2018, section 12.5.
    """
    v = batch.values(first, len(alphas))
    history = np.empty((len(batch.lengths), *v.shape))
    for e, (states, rewards) in enumerate(zip(batch.states, batch.rewards)):
        trace, before = np.zeros_like(v), np.zeros((len(v), len(alphas)))
        for t, rows in batch.moving(e):
            s, after = states[t, rows], states[t + 1, rows]
            now, then = v[rows, s], v[rows, after]
            error = rewards[t, rows, None] + gamma * then - now
            trace[rows] *= gamma * lam
            trace[rows, s] += 1 - alphas * trace[rows, s]
            moved = now - before[rows]  # by the step before, since it was looked at
            v[rows] += (alphas * (error + moved))[:, None] * trace[rows]
            v[rows, s] -= alphas * moved
            before[rows] = then
        history[e] = v
    return history


# Prediction from a batch


def certainty_equivalence(
    batch: Episodes, gamma: float = 1.0, first: float = 0.0
) -> Float[np.ndarray, "episodes runs S"]:
    """Values of the process that the first 1, 2, ... episodes make most likely.

    With N(s, s') transitions counted, n(s) of them from s and r(s) the rewards after s
    summed: (diag n - gamma N) v = r. This is where TD(0) comes to rest when it is shown
    these episodes again and again. A state never left keeps `first`.

    Source: Sutton 1988, section 4.1; Sutton & Barto 2018, section 6.3.
    """
    states = len(batch.terminal)
    runs = batch.lengths.shape[1]
    counts, sums = np.zeros((runs, states, states)), np.zeros((runs, states))
    values = np.tile(batch.values(first)[..., 0], (len(batch.lengths), 1, 1))
    for e, lengths in enumerate(batch.lengths):
        t, row = np.nonzero(np.arange(batch.rewards.shape[1])[:, None] < lengths)
        s, after = batch.states[e, t, row], batch.states[e, t + 1, row]
        np.add.at(counts, (row, s, after), 1)
        np.add.at(sums, (row, s), batch.rewards[e, t, row])
        left = counts.sum(-1)
        seen = left > 0
        matrix = np.eye(states) * np.where(seen, left, 1)[:, None] - gamma * counts
        known = np.where(seen, sums, values[e])
        values[e] = np.linalg.solve(matrix, known[..., None])[..., 0]
    return values


def mean_returns(
    batch: Episodes, gamma: float = 1.0, first: float = 0.0
) -> Float[np.ndarray, "episodes runs S"]:
    """The mean return after a state, all visits in the first 1, 2, ... episodes.

    This is where Monte Carlo comes to rest on them: the least squared error on returns.
    """
    states, runs = len(batch.terminal), batch.lengths.shape[1]
    counts, sums = np.zeros((runs, states)), np.zeros((runs, states))
    values = np.tile(batch.values(first)[..., 0], (len(batch.lengths), 1, 1))
    for e, lengths in enumerate(batch.lengths):
        returns = reward_sums(batch.rewards[e], len(batch.rewards[e]), gamma)
        t, row = np.nonzero(np.arange(len(returns))[:, None] < lengths)
        s = batch.states[e, t, row]
        np.add.at(counts, (row, s), 1)
        np.add.at(sums, (row, s), returns[t, row])
        np.divide(sums, counts, out=values[e], where=counts > 0)
    return values


# Control: what the next state is worth is all in which the methods differ


def sarsa_value(q: Table, policy: Table, actions: Int[np.ndarray, " n"]) -> Worths:
    """The action that will be taken there."""
    return q[np.arange(len(q)), actions]


def expected_sarsa_value(
    q: Table, policy: Table, actions: Int[np.ndarray, " n"]
) -> Worths:
    """The mean over the policy's actions there."""
    return (policy * q).sum(-1)


def q_learning_value(q: Table, policy: Table, actions: Int[np.ndarray, " n"]) -> Worths:
    """The best action there, whatever the policy does."""
    return q.max(-1)


class Learned(NamedTuple):
    """q: (runs, S, A) at the end. returns, steps: (runs, episodes)."""

    q: np.ndarray
    returns: np.ndarray
    steps: np.ndarray


class Step(NamedTuple):
    """One step of some runs: all fields have a row for each."""

    runs: Rows
    states: Rows
    actions: Rows
    rewards: Worths
    after: Rows
    over: Bool[np.ndarray, " n"]
    chances: Table  # of the next actions, by the policy
    then: Rows  # the action that was drawn from them


def _act_and_learn(
    mdp: MDP,
    runs: int,
    episodes: int,
    policy: Callable[[Rows, Rows], Table],
    learn: Callable[[Step], object],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns and steps of every episode, while `learn` is told of each step.

    A run that has ended an episode begins the next at once, and no run waits. The next
    action is drawn before `learn`, which Sarsa needs.
    """
    returns, steps = np.zeros((2, runs, episodes))
    rows, done = np.arange(runs), np.zeros(runs, int)
    states = mdp.reset(runs, rng)
    actions = _draw(policy(rows, states), rng)
    while rows.size:
        rewards, after, over = mdp.step(states, actions, rng)
        returns[rows, done] += rewards
        steps[rows, done] += 1
        chances = policy(rows, after)
        then = _draw(chances, rng)
        learn(Step(rows, states, actions, rewards, after, over, chances, then))
        states, actions = after.copy(), then.copy()
        if over.any():
            done = done + over
            states[over] = mdp.reset(int(over.sum()), rng)
            actions[over] = _draw(policy(rows[over], states[over]), rng)
            kept = done < episodes
            rows, done, states, actions = (
                column[kept] for column in (rows, done, states, actions)
            )
    return returns, steps


def _draw(chances: Table, rng: np.random.Generator) -> Rows:
    return choose(chances, np.arange(len(chances)), rng)


def td_control(
    mdp: MDP,
    value: Worth,
    runs: int,
    episodes: int,
    alpha: float | Float[np.ndarray, " runs"],
    epsilon: float,
    rng: np.random.Generator,
    gamma: float = 1.0,
) -> Learned:
    """Learn to act, epsilon-greedily, in many runs at once.

    value: `sarsa_value`, `expected_sarsa_value` or `q_learning_value`. alpha may differ
    from run to run. All three draw the next action before they learn; the book lets
    Q-learning draw it after, which matters only where a step leads back to its state.

    Source: Sutton & Barto 2018, sections 6.4 to 6.6; Zhao 2025, table 7.2.
    """
    q = np.zeros((runs, *mdp.P.shape[:2]))
    alpha = np.broadcast_to(alpha, runs)

    def policy(rows: Rows, states: Rows) -> Table:
        return epsilon_greedy(q[rows, states], epsilon)

    def learn(step: Step) -> None:
        worth = value(q[step.runs, step.after], step.chances, step.then)
        td_update(q, step[:3], step.rewards, step.over, worth, alpha[step.runs], gamma)

    return Learned(q, *_act_and_learn(mdp, runs, episodes, policy, learn, rng))


def double_q_learning(
    mdp: MDP,
    runs: int,
    episodes: int,
    alpha: float,
    epsilon: float,
    rng: np.random.Generator,
    gamma: float = 1.0,
) -> Learned:
    """Two tables: one names the best action, the other says what it is worth.

    A coin decides which of them learns; both together choose what is done. Returns the
    mean of both as q. Source: van Hasselt 2010; Sutton & Barto 2018, section 6.7.
    """
    pair = np.zeros((2, runs, *mdp.P.shape[:2]))

    def policy(rows: Rows, states: Rows) -> Table:
        return epsilon_greedy(pair.sum(0)[rows, states], epsilon)

    def learn(step: Step) -> None:
        coin, rows = rng.integers(0, 2, len(step.runs)), step.runs
        best = pair[coin, rows, step.after].argmax(-1)
        worth = pair[1 - coin, rows, step.after, best]
        at = (coin, *step[:3])
        td_update(pair, at, step.rewards, step.over, worth, alpha, gamma)

    returns, steps = _act_and_learn(mdp, runs, episodes, policy, learn, rng)
    return Learned(pair.mean(0), returns, steps)


def watch(
    mdp: MDP,
    behaviour: Policy,
    runs: int,
    steps: int,
    alpha: float,
    gamma: float,
    rng: np.random.Generator,
    every: int = 1000,
) -> Float[np.ndarray, "looks runs S A"]:
    """Q-learning by watching a fixed policy: q after each `every` steps, from 0 on.

    An episode that ends begins anew. Source: Watkins 1989; Zhao 2025, algorithm 7.3.
    """
    q, rows = np.zeros((runs, *mdp.P.shape[:2])), np.arange(runs)
    looks, states = [q.copy()], mdp.reset(runs, rng)
    for step in range(1, steps + 1):
        actions = choose(behaviour, states, rng)
        rewards, after, over = mdp.step(states, actions, rng)
        best = q[rows, after].max(-1)
        td_update(q, (rows, states, actions), rewards, over, best, alpha, gamma)
        states = np.where(over, mdp.reset(runs, rng), after)
        if step % every == 0:
            looks.append(q.copy())
    return np.array(looks)
