"""Temporal-difference learning: values learnt from other values, one step at a time.

Prediction works on `Streams` that were drawn before; values are `(runs, states, step
sizes)`, and one statement updates all of them. Control draws as it learns; there the
runs are rows of `q: (runs, states, actions)`.
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
from lib.reinforcement_learning.streams import Streams

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
    now = v[rows, states]
    error = rewards[:, None] + gamma * v[rows, after] - now
    v[rows, states] = now + alphas * error
    return error


def td_prediction(
    batch: Streams, alphas: Sizes, gamma: float = 1.0, first: float = 0.0
) -> History:
    """TD(0) on every run and for every step size: the values after each episode."""
    v, rows = batch.values(first, len(alphas)), np.arange(batch.over.shape[1])

    def learn(t: int) -> None:
        step = batch.states[t], batch.rewards[t], batch.after[t]
        td0_update(v, rows, *step, alphas, gamma)

    return batch.follow(v, learn)


def reward_sums(batch: Streams, n: int, gamma: float) -> Float[np.ndarray, "T runs"]:
    """The discounted sum of the next n rewards of the episode, from every step on.

    By W_t = R_{t+1} + gamma W_{t+1} - gamma^n R_{t+n+1}: one pass for any n.
    """
    sums, left = batch.rewards.copy(), batch.left
    for t in range(len(sums) - 2, -1, -1):
        sums[t] += gamma * sums[t + 1] * (left[t] > 1)
        if t + n < len(sums):
            sums[t] -= gamma**n * batch.rewards[t + n] * (left[t] > n)
    return sums


def n_step_td(
    batch: Streams, n: int, alphas: Sizes, gamma: float = 1.0, first: float = 0.0
) -> History:
    """n-step TD: the values after each episode.

    A state is updated once the state n steps later is known, or the episode is over; so
    updates come in the order of the states, each with the values as they are by then.
    With n beyond the longest episode this is constant-alpha Monte Carlo, every visit.

    Raises:
        ValueError: n is below 1.

    Source: Sutton & Barto 2018, section 7.1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    v, rows = batch.values(first, len(alphas)), np.arange(batch.over.shape[1])
    sums = reward_sums(batch, n, gamma)
    at = np.arange(len(sums))[:, None] + np.minimum(n, batch.left) - 1
    later = batch.after[at, rows]  # n steps on, or the end

    def learn(t: int) -> None:
        target = sums[t, :, None] + gamma**n * v[rows, later[t]]
        now = v[rows, batch.states[t]]
        v[rows, batch.states[t]] = now + alphas * (target - now)

    return batch.follow(v, learn)


def lambda_returns(
    batch: Streams, v: Float[np.ndarray, "runs S"], gamma: float, lam: float
) -> Float[np.ndarray, "T runs"]:
    """The forward view: n-step returns for all n, weighted by (1 - lam) lam^(n-1).

    By G_t = R_{t+1} + gamma ((1 - lam) v(S_{t+1}) + lam G_{t+1}), from the end on.

    Source: Sutton & Barto 2018, eq. 12.2 and 12.3.
    """
    returns, rows = batch.rewards.copy(), np.arange(len(v))
    returns += gamma * (1 - lam) * v[rows, batch.after]
    for t in range(len(returns) - 2, -1, -1):
        returns[t] += gamma * lam * returns[t + 1] * (batch.left[t] > 1)
    return returns


def td_lambda(
    batch: Streams,
    lam: float,
    alphas: Sizes,
    gamma: float = 1.0,
    first: float = 0.0,
) -> History:
    """TD(lambda), the backward view with accumulating traces: values by episode.

    A state's trace says how much of a TD error it is to blame for: plus 1 at a visit,
    times gamma lam at every step. Source: Sutton 1988; S. & B. 2018, section 12.2.
    """
    v, rows = batch.values(first, len(alphas)), np.arange(batch.over.shape[1])
    trace = np.zeros((*v.shape[:2], 1))

    def learn(t: int) -> None:
        s, after = batch.states[t], batch.after[t]
        error = batch.rewards[t, :, None] + gamma * v[rows, after] - v[rows, s]
        trace[...] *= gamma * lam
        trace[rows, s] += 1
        v[...] += (alphas * error)[:, None] * trace
        trace[batch.over[t]] = 0

    return batch.follow(v, learn)


def true_online_td_lambda(
    batch: Streams,
    lam: float,
    alphas: Sizes,
    gamma: float = 1.0,
    first: float = 0.0,
) -> History:
    """TD(lambda) with dutch traces, exactly the online forward view: values by episode.

    Source: van Seijen & Sutton 2014; Sutton & Barto 2018, section 12.5.
    """
    v, rows = batch.values(first, len(alphas)), np.arange(batch.over.shape[1])
    trace, seen = np.zeros_like(v), np.zeros((len(v), len(alphas)))

    def learn(t: int) -> None:
        s, after = batch.states[t], batch.after[t]
        now, then = v[rows, s], v[rows, after]
        error = batch.rewards[t, :, None] + gamma * then - now
        trace[...] *= gamma * lam
        trace[rows, s] += 1 - alphas * trace[rows, s]
        moved = now - seen  # by the step before, since it was looked at there
        v[...] += (alphas * (error + moved))[:, None] * trace
        v[rows, s] -= alphas * moved
        seen[...] = then
        trace[batch.over[t]] = 0  # and seen is that of the end, 0

    return batch.follow(v, learn)


# Prediction from a batch


def certainty_equivalence(
    batch: Streams, gamma: float = 1.0, first: float = 0.0
) -> Float[np.ndarray, "episodes runs S"]:
    """Values of the process that the first 1, 2, ... episodes make most likely.

    With N(s, s') transitions counted, n(s) of them from s and r(s) the rewards after s
    summed: (diag n - gamma N) v = r. This is where TD(0) comes to rest when it is shown
    these episodes again and again. A state never left keeps `first`.

    Source: Sutton 1988, section 4.1; Sutton & Barto 2018, section 6.3.
    """
    start, rows = batch.values(first)[..., 0], np.arange(batch.over.shape[1])
    table = np.zeros((*start.shape, start.shape[1] + 1))

    def count(t: int) -> None:
        table[rows, batch.states[t], batch.after[t]] += 1
        table[rows, batch.states[t], -1] += batch.rewards[t]

    tables = batch.follow(table, count)
    counts, sums = tables[..., :-1], tables[..., -1]
    left = counts.sum(-1)
    matrix = np.eye(start.shape[1]) * np.maximum(left, 1)[..., None] - gamma * counts
    known = np.where(left > 0, sums, start)
    return np.linalg.solve(matrix, known[..., None])[..., 0]


def mean_returns(
    batch: Streams, gamma: float = 1.0, first: float = 0.0
) -> Float[np.ndarray, "episodes runs S"]:
    """The mean return after a state, all visits in the first 1, 2, ... episodes.

    This is where Monte Carlo comes to rest on them: the least squared error on returns.
    """
    start, rows = batch.values(first)[..., 0], np.arange(batch.over.shape[1])
    table, returns = (
        np.zeros((*start.shape, 2)),
        reward_sums(batch, len(batch.over), gamma),
    )

    def count(t: int) -> None:
        table[rows, batch.states[t], 0] += 1
        table[rows, batch.states[t], 1] += returns[t]

    visits, sums = np.moveaxis(batch.follow(table, count), -1, 0)
    return np.where(visits > 0, sums / np.maximum(visits, 1), start)


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
