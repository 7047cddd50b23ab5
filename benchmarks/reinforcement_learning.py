"""Figures of Sutton & Barto, all runs at once beside one episode after another.

    python -m benchmarks.reinforcement_learning

prints a table and writes `_build/benchmarks/reinforcement_learning.json`. The plain
side is a loop over numbers in lists, as one would write it from the book, and quicker
than the same loop over numpy arrays. Both sides do the whole work of a figure, with as
many runs, in one thread; seconds are those of the processor. Both give the same means
to within chance, or the command fails.
"""

import platform
import random
from collections.abc import Callable

import numpy as np

from benchmarks.side_by_side import Row, keep, timed
from lib.reinforcement_learning import environments as worlds
from lib.reinforcement_learning import temporal_difference as td
from lib.reinforcement_learning import value_approximation as va
from lib.reinforcement_learning.features import (
    fourier_features,
    group_features,
    polynomial_features,
    tile_features,
)
from lib.reinforcement_learning.streams import sample_streams

APART = 5  # standard errors of the difference of two means


def rms(history: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(episodes, runs, step sizes): error over the states between the ends."""
    return np.sqrt(((history[:, :, 1:-1] - truth[:, None]) ** 2).mean(2))


# The random walk: TD(0) and constant-alpha Monte Carlo, example 6.2

WALK_RUNS, WALK_EPISODES = 1000, 100
TD_SIZES, MC_SIZES = (0.15, 0.1, 0.05), (0.01, 0.02, 0.03, 0.04)


def walk_fast() -> np.ndarray:
    """(runs, curves): the error after the last episode."""
    walk = worlds.random_walk(5)
    rng = np.random.default_rng(0)
    policy = worlds.uniform(walk)
    batch = sample_streams(walk, policy, WALK_RUNS, WALK_EPISODES, rng)
    one = td.td_prediction(batch, np.array(TD_SIZES), first=0.5)
    every = td.n_step_td(batch, 10**6, np.array(MC_SIZES), first=0.5)
    truth = np.arange(1, 6) / 6
    return np.concatenate([rms(one, truth)[-1], rms(every, truth)[-1]], -1)


def plain_walk(n: int, left: float) -> tuple[list[int], list[float]]:
    """One episode from the middle of n states: states and rewards."""
    s = (n + 1) // 2
    states, rewards = [s], []
    while 0 < s <= n:
        s += random.choice((-1, 1))
        states.append(s)
        rewards.append(left if s == 0 else 1.0 if s == n + 1 else 0.0)
    return states, rewards


def plain_error(v: list[float], truth: list[float]) -> float:
    squares = [(a - b) ** 2 for a, b in zip(v[1:-1], truth)]
    return (sum(squares) / len(truth)) ** 0.5


def walk_plain() -> np.ndarray:
    """The same, one episode and one step size after another."""
    random.seed(0)
    truth = [k / 6 for k in range(1, 6)]
    out = []
    for _ in range(WALK_RUNS):
        episodes = [plain_walk(5, 0.0) for _ in range(WALK_EPISODES)]
        row = []
        for alpha in TD_SIZES:
            v = [0.0, *[0.5] * 5, 0.0]
            for states, rewards in episodes:
                for t, r in enumerate(rewards):
                    s = states[t]
                    v[s] += alpha * (r + v[states[t + 1]] - v[s])
            row.append(plain_error(v, truth))
        for alpha in MC_SIZES:
            v = [0.0, *[0.5] * 5, 0.0]
            for states, rewards in episodes:
                for s in states[:-1]:
                    v[s] += alpha * (rewards[-1] - v[s])
            row.append(plain_error(v, truth))
        out.append(row)
    return np.array(out)


# n-step TD on 19 states, figure 7.2

STEPS, SIZES = [2**k for k in range(10)], np.arange(0.1, 1.01, 0.1)
LONG_RUNS, LONG_EPISODES = 1000, 10


def n_step_fast() -> np.ndarray:
    """(runs, n times step sizes): the error, mean of the first ten episodes."""
    walk = worlds.random_walk(19, left=-1.0)
    rng = np.random.default_rng(0)
    policy = worlds.uniform(walk)
    batch = sample_streams(walk, policy, LONG_RUNS, LONG_EPISODES, rng)
    truth = np.linspace(-0.9, 0.9, 19)
    columns = [rms(td.n_step_td(batch, n, SIZES), truth).mean(0) for n in STEPS]
    return np.concatenate(columns, -1)


def n_step_plain() -> np.ndarray:
    """The same. Rewards come at the end only, so their sum is the last one or 0."""
    random.seed(0)
    truth = np.linspace(-0.9, 0.9, 19).tolist()
    out = []
    for _ in range(LONG_RUNS):
        episodes = [plain_walk(19, -1.0) for _ in range(LONG_EPISODES)]
        row = []
        for n in STEPS:
            for alpha in SIZES.tolist():
                v, errors = [0.0] * 21, []
                for states, rewards in episodes:
                    T, last = len(rewards), rewards[-1]
                    for t in range(T):
                        s = states[t]
                        target = v[states[t + n]] if t + n < T else last
                        v[s] += alpha * (target - v[s])
                    errors.append(plain_error(v, truth))
                row.append(sum(errors) / len(errors))
        out.append(row)
    return np.array(out)


# The cliff, example 6.6

CLIFF_RUNS, CLIFF_EPISODES = 400, 500
METHODS = {
    "sarsa": td.sarsa_value,
    "expected": td.expected_sarsa_value,
    "q": td.q_learning_value,
}


def cliff_fast() -> np.ndarray:
    """(runs, methods): the mean return of the last hundred episodes."""
    cliff, columns = worlds.cliff_walking(), []
    for seed, value in enumerate(METHODS.values()):
        rng = np.random.default_rng(seed)
        learned = td.td_control(cliff, value, CLIFF_RUNS, CLIFF_EPISODES, 0.5, 0.1, rng)
        columns.append(learned.returns[:, -100:].mean(1))
    return np.stack(columns, -1)


def plain_step(s: int, a: int) -> tuple[int, float]:
    row, column = divmod(s, 12)
    row = min(max(row + (-1, 0, 1, 0)[a], 0), 3)
    column = min(max(column + (0, 1, 0, -1)[a], 0), 11)
    if row == 3 and 0 < column < 11:
        return 36, -100.0
    return 12 * row + column, -1.0


def plain_choice(q: list[float]) -> int:
    if random.random() < 0.1:
        return random.randrange(4)
    best = max(q)
    return random.choice([a for a in range(4) if q[a] == best])


def plain_worth(method: str, q: list[float], then: int) -> float:
    if method == "sarsa":
        return q[then]
    return max(q) if method == "q" else 0.9 * max(q) + 0.1 * sum(q) / 4


def cliff_plain() -> np.ndarray:
    """The same, one run after another."""
    random.seed(0)
    out = np.empty((CLIFF_RUNS, len(METHODS)))
    for run in range(CLIFF_RUNS):
        for k, method in enumerate(METHODS):
            q, returns = [[0.0] * 4 for _ in range(48)], []
            for _ in range(CLIFF_EPISODES):
                s, total = 36, 0.0
                a = plain_choice(q[s])
                while s != 47:
                    after, r = plain_step(s, a)
                    then = plain_choice(q[after])
                    worth = 0.0 if after == 47 else plain_worth(method, q[after], then)
                    q[s][a] += 0.5 * (r + worth - q[s][a])
                    s, a, total = after, then, total + r
                returns.append(total)
            out[run, k] = sum(returns[-100:]) / 100
    return out


# The 1000-state walk: gradient Monte Carlo with four sets of features, figures 9.5 and
# 9.10. The plain side has numpy for the features of one state.

FAR_RUNS, FAR_EPISODES = 8, 200


def far_learners() -> list[tuple[np.ndarray, float]]:
    """Features of the states 1 to 1000, and a step size, for each learner."""
    places = np.arange(1, 1001)[:, None]
    return [
        (polynomial_features(places / 1000, 5), 1e-4),
        (fourier_features(places / 1000, 5), 5e-5),
        (tile_features((places - 1) / 1000, 5, 50), 1e-4 / 50),
        (group_features((places - 1) / 1000, 5), 1e-4),
    ]


def far_errors(weights: list[np.ndarray]) -> np.ndarray:
    """(runs, learners): error over the states, weighted by how often they are seen."""
    walk = worlds.random_walk(1000, left=-1.0, reach=100)
    true = worlds.policy_values(walk, worlds.uniform(walk), 1.0)[1:-1]
    d, _ = va.visiting_distribution(walk.P[:, 0], walk.start, walk.terminal)
    pairs = zip(far_learners(), weights)
    return np.stack(
        [va.value_error(w @ Phi.T, true, d[1:-1]) for (Phi, _), w in pairs], 1
    )


def far_fast() -> np.ndarray:
    learners = far_learners()
    Phi = np.pad(np.concatenate([Phi for Phi, _ in learners], 1), ((1, 1), (0, 0)))
    widths = [Phi.shape[1] for Phi, _ in learners]
    steps = va.long_walks(FAR_RUNS, FAR_EPISODES, np.random.default_rng(0))
    start = np.zeros((FAR_RUNS, Phi.shape[1]))
    w = va.gradient_mc(Phi, start, steps, [alpha for _, alpha in learners], widths)
    return far_errors(np.split(w, np.cumsum(widths)[:-1], 1))


def far_plain() -> np.ndarray:
    rng, found = random.Random(1), []
    for Phi, alpha in far_learners():
        weights = np.zeros((FAR_RUNS, Phi.shape[1]))
        for w in weights:
            for _ in range(FAR_EPISODES):
                state, path = 500, []
                while 1 <= state <= 1000:
                    path.append(state)
                    jump = rng.randint(1, 100)
                    state += jump if rng.random() < 0.5 else -jump
                target = 1.0 if state > 1000 else -1.0
                for s in path:
                    phi = Phi[s - 1]
                    w += alpha * (target - phi @ w) * phi
        found.append(weights)
    return far_errors(found)


# What is compared: each side gives (runs, numbers of the figure).

FIGURES: dict[str, tuple[Callable[[], np.ndarray], Callable[[], np.ndarray]]] = {
    f"random walk, {WALK_RUNS} runs": (walk_fast, walk_plain),
    f"n-step, {LONG_RUNS} runs": (n_step_fast, n_step_plain),
    f"cliff, {CLIFF_RUNS} runs": (cliff_fast, cliff_plain),
    f"1000 states, {FAR_RUNS} runs": (far_fast, far_plain),
}


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference of the means over runs, in its standard errors."""
    error = np.sqrt(one.var(0) / len(one) + other.var(0) / len(other))
    return float((np.abs(one.mean(0) - other.mean(0)) / error).max())


def main() -> None:
    """Run all, print the table, write the file.

    Raises:
        SystemExit: both sides of a figure are further apart than chance allows.
    """
    figures, rows = {}, []
    print(f"{'figure':24}{'all at once':>12}{'plain loop':>12}{'ratio':>8}{'apart':>8}")
    for name, (fast, plain) in FIGURES.items():
        (one, quick), (other, slow) = timed(fast), timed(plain)
        figures[name] = {"fast": quick, "plain": slow, "apart": apart(one, other)}
        what = f"Sutton & Barto: {name}"
        rows.append(Row(what, "one episode at a time", quick, slow, "s"))
        print(
            f"{name:24}{quick:>10.2f} s{slow:>10.2f} s{slow / quick:>8.1f}"
            f"{figures[name]['apart']:>8.1f}"
        )
    wrong = [name for name, found in figures.items() if found["apart"] > APART]
    if wrong:
        raise SystemExit(f"not the same results: {', '.join(wrong)}")
    machine = (
        f"{platform.machine()}, Python {platform.python_version()}, "
        f"numpy {np.__version__}"
    )
    keep("reinforcement_learning", rows, machine=machine, figures=figures)


if __name__ == "__main__":
    main()
