"""Learners of action values, one run at a time, on any environment like gymnasium's.

`epsilon_greedy` and `td_update` work on many rows at once; an agent has one.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from lib.reinforcement_learning.environments import choose

Table = Float[np.ndarray, "n A"]
Worths = Float[np.ndarray, " n"]
# From action values, the policy's chances and the actions drawn to what that is worth.
Worth = Callable[[Table, Table, Int[np.ndarray, " n"]], Worths]


def epsilon_greedy(q: Table, epsilon: float) -> Table:
    """Chances of actions: epsilon for any, the rest for the best; equals share it.

    A learner's table begins as zeros. Where the first of equals were taken, as
    `monte_carlo.epsilon_greedy` does, all runs would set out the same way.
    """
    best = q == q.max(-1, keepdims=True)
    return epsilon / q.shape[-1] + (1 - epsilon) * best / best.sum(-1, keepdims=True)


def td_update(
    q: Float[np.ndarray, "... S A"],
    at: tuple[Int[np.ndarray, " n"], ...],
    rewards: Float[np.ndarray, " n"],
    over: Bool[np.ndarray, " n"],
    worth: Float[np.ndarray, " n"],
    alpha: float | Float[np.ndarray, " n"],
    gamma: float,
) -> Float[np.ndarray, " n"]:
    """Move q at (runs, states, actions) towards R + gamma worth, in place; the errors.

    After an end nothing is worth anything, whatever `worth` says. No entry may be named
    twice in `at`: one of both moves would be lost.
    """
    now = q[at]
    error = rewards + gamma * np.where(over, 0.0, worth) - now
    q[at] = now + alpha * error
    return error


class Agent:
    """One learner. It is told of rewards and states, and says what it does next.

    value: as in `td_control`. q: (S, A), what it has learnt so far.
    """

    def __init__(
        self,
        states: int | np.integer,
        actions: int | np.integer,
        value: Worth,
        alpha: float,
        epsilon: float,
        rng: np.random.Generator,
        gamma: float = 1.0,
    ):
        self.tables = np.zeros((1, states, actions))
        self.value, self.alpha, self.epsilon = value, alpha, epsilon
        self.rng, self.gamma = rng, gamma
        self.state = self.action = 0

    @property
    def q(self) -> Float[np.ndarray, "S A"]:
        """What each action is worth."""
        return self.tables[0]

    def begin(self, state: int) -> int:
        """An action for the first state of an episode."""
        chances = epsilon_greedy(self.q[[state]], self.epsilon)
        self.state, self.action = (
            state,
            int(choose(chances, np.array([0]), self.rng)[0]),
        )
        return self.action

    def learn(self, reward: float, after: int, over: bool) -> int:
        """Learn from one step; what to do in the state it led to."""
        at = tuple(np.array([i]) for i in (0, self.state, self.action))
        chances = epsilon_greedy(self.q[[after]], self.epsilon)
        then = choose(chances, np.array([0]), self.rng)
        worth = self.value(self.q[[after]], chances, then)
        arguments = np.array([float(reward)]), np.array([over]), worth
        td_update(self.tables, at, *arguments, self.alpha, self.gamma)
        self.state, self.action = after, int(then[0])
        return self.action


def play(
    env: Any, agent: Agent, episodes: int, seed: int
) -> Float[np.ndarray, " episodes"]:
    """Let an agent learn; the return of each episode, undiscounted.

    An episode that is cut short is not over: its last state is still worth something.
    """
    returns = np.zeros(episodes)
    for e in range(episodes):
        state, _ = env.reset(seed=seed) if e == 0 else env.reset()
        action, over, cut = agent.begin(int(state)), False, False
        while not (over or cut):
            state, reward, over, cut, _ = env.step(action)
            action = agent.learn(reward, int(state), bool(over))
            returns[e] += reward
    return returns
