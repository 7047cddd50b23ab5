"""Values as weighted sums of features: exact fixed points, and learning from steps.

A value function is Phi w, with a row of Phi for each state; the row of a terminal state
is zero. Exact results are linear systems in the model (P, r) and a weighting d of the
states. What learns does so for many runs at a time: w has a row for each run, and all
runs take their next step together.

Sources: Sutton & Barto 2018, chapters 9 to 11; Zhao 2025, chapter 8; Tsitsiklis & Van
Roy 1997 for the fixed point.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from lib.reinforcement_learning import features
from lib.reinforcement_learning.environments import MountainCar

Weighting = Float[np.ndarray, " S"]
Matrix = Float[np.ndarray, "S S"]
Features = Float[np.ndarray, "S d"]

# Exact: the model is known


def stationary_distribution(P: Matrix) -> Weighting:
    """Where a chain that never ends spends its time: d P = d, and d sums to 1.

    Raises:
        ValueError: several distributions are stationary.
    """
    n = len(P)
    matrix = np.vstack([P.T - np.eye(n), np.ones(n)])
    if np.linalg.matrix_rank(matrix) < n:
        raise ValueError("P must have one stationary distribution, got several")
    return np.linalg.lstsq(matrix, np.eye(n + 1)[n], rcond=None)[0]


def visiting_distribution(
    P: Matrix, start: Weighting, terminal: Bool[np.ndarray, " S"]
) -> tuple[Weighting, float]:
    """The share of an episode's steps that begin in each state, and how many they are.

    An episode visits s on average eta(s) = start(s) + sum_s' eta(s') P(s', s) times,
    terminal states never.
    """
    live = ~terminal
    matrix = np.eye(live.sum()) - P[live][:, live].T
    eta = np.zeros(len(P))
    eta[live] = np.linalg.solve(matrix, start[live])
    return eta / eta.sum(), float(eta.sum())


def value_error(
    values: Float[np.ndarray, "*runs S"], true: Weighting, d: Weighting
) -> float | Float[np.ndarray, "*runs"]:
    """The root of VE = sum_s d(s) (v(s) - true(s))²; one number for each run."""
    return np.sqrt(((values - true) ** 2 * d).sum(-1))


def best_weights(
    Phi: Features, true: Weighting, d: Weighting
) -> Float[np.ndarray, " d"]:
    """The smallest w that minimises VE: Phi w is the projection of the true values."""
    root = np.sqrt(d)
    return np.linalg.lstsq(root[:, None] * Phi, root * true, rcond=1e-10)[0]


def td_system(
    Phi: Features, P: Matrix, r: Weighting, gamma: float, d: Weighting
) -> tuple[Float[np.ndarray, "d d"], Float[np.ndarray, " d"]]:
    """A and b of the expected update alpha (b - A w) of semi-gradient TD(0).

    A = Phi' D (I - gamma P) Phi and b = Phi' D r, with D = diag(d): states are updated
    as often as d says, and left by P, which need not belong together (equation 9.11).
    """
    weighted = d[:, None] * Phi
    return weighted.T @ (Phi - gamma * P @ Phi), weighted.T @ r


def td_fixed_point(
    Phi: Features, P: Matrix, r: Weighting, gamma: float, d: Weighting
) -> Float[np.ndarray, " d"]:
    """The w at which TD(0) stays: A w = b, the smallest one where there are several."""
    A, b = td_system(Phi, P, r, gamma, d)
    return np.linalg.lstsq(A, b, rcond=1e-10)[0]


def td_sweeps(
    A: Float[np.ndarray, "d d"],
    b: Float[np.ndarray, " d"],
    w: Float[np.ndarray, " d"],
    alpha: float,
    sweeps: int,
) -> Float[np.ndarray, "sweeps_plus_1 d"]:
    """The weights along w += alpha (b - A w): what TD does on average, without dice."""
    path = [w]
    for _ in range(sweeps):
        path.append(path[-1] + alpha * (b - A @ path[-1]))
    return np.stack(path)


# From samples


def lstd(
    phi: Float[np.ndarray, "n d"],
    rewards: Float[np.ndarray, " n"],
    phi_next: Float[np.ndarray, "n d"],
    gamma: float,
    ridge: float = 0.0,
) -> Float[np.ndarray, " d"]:
    """Solve sum phi (phi - gamma phi')' w = sum phi r, the fixed point of the samples.

    phi_next is zero where an episode ended; ridge goes on the diagonal of the matrix.
    Source: Bradtke & Barto 1996; Sutton & Barto 2018, section 9.8.
    """
    A = phi.T @ (phi - gamma * phi_next) + ridge * np.eye(phi.shape[1])
    return np.linalg.lstsq(A, phi.T @ rewards, rcond=1e-10)[0]


class Steps(NamedTuple):
    """Transitions of several runs: a row for each step, a column for each run.

    Where a run has fewer steps than others its states are 0, which is terminal.
    """

    states: Int[np.ndarray, "steps runs"]
    rewards: Float[np.ndarray, "steps runs"]
    after: Int[np.ndarray, "steps runs"]
    returns: Float[np.ndarray, "steps runs"]


def long_walks(
    runs: int, episodes: int, rng: np.random.Generator, n: int = 1000, reach: int = 100
) -> Steps:
    """So many episodes of `environments.random_walk(n, -1, 1, reach)` for each run.

    How a walk goes does not depend on what is learnt from it. So all episodes of all
    runs are walked side by side, and then put behind each other. gamma is 1.
    """
    place = np.full(runs * episodes, (n + 1) // 2)
    path = [place]
    while (live := (place > 0) & (place <= n)).any():
        jump = rng.integers(1, 2 * reach + 1, len(place))
        jump = np.where(jump > reach, reach - jump, jump)
        place = np.where(live, (place + jump).clip(0, n + 1), place)
        path.append(place)
    walks = np.stack(path, -1).reshape(runs, episodes, -1)
    before, after = walks[..., :-1], walks[..., 1:]
    used = (before > 0) & (before <= n)
    ends = np.where(walks[..., -1:] > 0, 1.0, -1.0) * used
    rewards = np.where((after == 0) | (after == n + 1), ends, 0.0)
    longest = used.sum((1, 2)).max()

    def in_a_row(table: np.ndarray) -> np.ndarray:
        out = np.zeros((longest, runs), table.dtype)
        for run in range(runs):
            column = table[run][used[run]]
            out[: len(column), run] = column
        return out

    return Steps(*map(in_a_row, (before, rewards, after, ends)))


def _learn(
    w: Float[np.ndarray, "runs d"],
    targets: Float[np.ndarray, "steps runs"],
    rows: Callable[[slice], tuple[np.ndarray, np.ndarray]],
    alpha: float | Sequence[float],
    widths: Sequence[int],
) -> Float[np.ndarray, "runs d"]:
    """w += alpha (target + change.w) direction, step after step.

    rows gives direction and change for some of the steps. The columns belong to several
    approximators, so many each as `widths` says, and each has its own error.
    """
    owner = np.repeat(np.arange(len(widths)), widths)
    sums = np.eye(len(widths))[owner]
    spread = (sums * alpha).T
    w = w.copy()
    for first in range(0, len(targets), 128):
        some = slice(first, first + 128)
        for target, direction, change in zip(targets[some], *rows(some)):
            error = target[:, None] + (change * w) @ sums
            w += (error @ spread) * direction
    return w


def gradient_mc(
    Phi: Features,
    w: Float[np.ndarray, "runs d"],
    steps: Steps,
    alpha: float | Sequence[float],
    widths: Sequence[int] | None = None,
) -> Float[np.ndarray, "runs d"]:
    """w += alpha (G - v(s)) phi(s): a gradient step on (G - v(s))² / 2 at every step.

    widths: where Phi holds several sets of features side by side, how many each has;
    they learn from the same steps and know nothing of each other. alpha: one number, or
    one for each of them. Returns new weights.
    """

    def rows(some: slice) -> tuple[np.ndarray, np.ndarray]:
        phi = Phi[steps.states[some]]
        return phi, -phi

    return _learn(w, steps.returns, rows, alpha, widths or [Phi.shape[1]])


def semi_gradient_td(
    Phi: Features,
    w: Float[np.ndarray, "runs d"],
    steps: Steps,
    alpha: float | Sequence[float],
    gamma: float,
    widths: Sequence[int] | None = None,
) -> Float[np.ndarray, "runs d"]:
    """w += alpha (r + gamma v(s') - v(s)) phi(s): v(s') moves with w, and is held.

    Arguments as in `gradient_mc`. Source: Sutton & Barto 2018, the box in section 9.3.
    """

    def rows(some: slice) -> tuple[np.ndarray, np.ndarray]:
        phi = Phi[steps.states[some]]
        return phi, gamma * Phi[steps.after[some]] - phi

    return _learn(w, steps.rewards, rows, alpha, widths or [Phi.shape[1]])


def residual_gradient(
    Phi: Features,
    w: Float[np.ndarray, "runs d"],
    steps: Steps,
    alpha: float | Sequence[float],
    gamma: float,
    widths: Sequence[int] | None = None,
) -> Float[np.ndarray, "runs d"]:
    """w += alpha delta (phi(s) - gamma phi(s')): the gradient of delta² / 2 in full.

    Its limit is not the value function where the world rolls dice. Source: Baird 1995.
    """

    def rows(some: slice) -> tuple[np.ndarray, np.ndarray]:
        change = gamma * Phi[steps.after[some]] - Phi[steps.states[some]]
        return -change, change

    return _learn(w, steps.rewards, rows, alpha, widths or [Phi.shape[1]])


# Control: the state is continuous, tiles are the table


def sarsa(
    env: MountainCar,
    w: Float[np.ndarray, "runs d actions"],
    alpha: Float[np.ndarray, " runs"],
    episodes: int,
    tiles: int,
    tilings: int,
    rng: np.random.Generator,
    gamma: float = 1.0,
) -> tuple[Float[np.ndarray, "runs d actions"], Int[np.ndarray, "runs episodes"]]:
    """Semi-gradient Sarsa with tile coding, greedy; weights, and steps per episode.

    alpha is the step of one weight; what q(s, a) moves is `tilings` times that. No
    noise is added to the greedy action: weights of 0 promise more than any state is
    worth, so what was not tried looks best. Each run goes at its own pace and stops to
    learn after its last episode. Source: Sutton & Barto 2018, section 10.1.
    """
    w, alpha, runs = w.copy(), alpha.copy(), np.arange(len(w))
    steps, done = np.zeros((len(w), episodes + 1), int), np.zeros(len(w), int)

    def look(states: np.ndarray, who: np.ndarray) -> tuple[np.ndarray, ...]:
        """Tiles, the best action by the weights of now (ties by lot), its value."""
        x = (states - env.low) / (env.high - env.low)
        numbers = features.tile_numbers(x.clip(0, 1), tiles, tilings)
        q = w[who[:, None], numbers].sum(1)
        best = (q + 1e-9 * rng.random(q.shape)).argmax(-1)
        return numbers, best, q[np.arange(len(q)), best]

    states = env.reset(len(w), rng)
    numbers, actions, _ = look(states, runs)
    while (done < episodes).any():
        rewards, states, over = env.step(states, actions)
        steps[runs, done] += 1
        following, chosen, ahead = look(states, runs)
        active = runs[:, None], numbers, actions[:, None]
        delta = rewards + gamma * np.where(over, 0.0, ahead) - w[active].sum(-1)
        w[active] += (alpha * delta)[:, None]
        numbers, actions = following, chosen
        if over.any():
            who = np.flatnonzero(over)
            done[who] = np.minimum(done[who] + 1, episodes)
            alpha[done == episodes] = 0
            states[who] = env.reset(len(who), rng)
            numbers[who], actions[who], _ = look(states[who], who)
    return w, steps[:, :episodes]
