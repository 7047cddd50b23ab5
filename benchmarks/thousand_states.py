"""The 1000-state walk: many runs at a time, against one episode and one step at a time.

    python benchmarks/thousand_states.py [--runs 30] [--episodes 100]

Gradient Monte Carlo as in Sutton & Barto's figures 9.5 and 9.10: cosines and powers of
order 5, 50 tilings and one. `fast` is the chapter's way: all runs and all four sets of
features take each step together. `plain` is the textbook's: a Python loop over runs,
episodes and steps, numpy for the features of one state. Both do the same updates; the
table gives seconds of the processor for the same number of episodes and runs, and the
final error, which agrees up to chance. Each figure is a (name, fast, plain) triple.
"""

import argparse
import time

import numpy as np

from lib.reinforcement_learning import environments as worlds
from lib.reinforcement_learning.features import (
    fourier_features,
    group_features,
    polynomial_features,
    tile_features,
)
from lib.reinforcement_learning.value_approximation import (
    gradient_mc,
    long_walks,
    value_error,
    visiting_distribution,
)

PLACES = np.arange(1, 1001)[:, None]
FIGURES = {
    "9.5, cosines and powers": [
        (polynomial_features(PLACES / 1000, 5), 1e-4),
        (fourier_features(PLACES / 1000, 5), 5e-5),
    ],
    "9.10, 50 tilings and one": [
        (tile_features((PLACES - 1) / 1000, 5, 50), 1e-4 / 50),
        (group_features((PLACES - 1) / 1000, 5), 1e-4),
    ],
}


def fast(learners, runs, episodes, seed=0):
    """Weights of each learner, a row a run; all of them together."""
    Phi = np.pad(np.concatenate([Phi for Phi, _ in learners], 1), ((1, 1), (0, 0)))
    widths = [Phi.shape[1] for Phi, _ in learners]
    rng, w = np.random.default_rng(seed), np.zeros((runs, Phi.shape[1]))
    for first in range(0, episodes, 250):
        steps = long_walks(runs, min(250, episodes - first), rng)
        w = gradient_mc(Phi, w, steps, [alpha for _, alpha in learners], widths)
    return np.split(w, np.cumsum(widths)[:-1], 1)


def plain(learners, runs, episodes, seed=0):
    """The same by loops: an episode, then its updates, then the next."""
    rng, found = np.random.default_rng(seed), []
    for Phi, alpha in learners:
        weights = np.zeros((runs, Phi.shape[1]))
        for w in weights:
            for _ in range(episodes):
                state, path = 500, []
                while 1 <= state <= 1000:
                    path.append(state)
                    jump = int(rng.integers(1, 101))
                    state += jump if rng.random() < 0.5 else -jump
                target = 1.0 if state > 1000 else -1.0
                for s in path:
                    phi = Phi[s - 1]
                    w += alpha * (target - phi @ w) * phi
        found.append(weights)
    return found


def main():
    """Print a row a figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--episodes", type=int, default=100)
    args = parser.parse_args()
    walk = worlds.random_walk(1000, left=-1.0, reach=100)
    true = worlds.policy_values(walk, worlds.uniform(walk), 1.0)
    d, _ = visiting_distribution(walk.P[:, 0], walk.start, walk.terminal)
    print(f"{args.runs} runs of {args.episodes} episodes, seconds of the processor")
    print(f"{'figure':28}{'fast':>8}{'plain':>8}{'ratio':>7}  errors fast / plain")
    for name, learners in FIGURES.items():
        seconds, errors = [], []
        for way in (fast, plain):
            begin = time.process_time()
            weights = way(learners, args.runs, args.episodes)
            seconds.append(time.process_time() - begin)
            errors.append(
                [
                    value_error(w @ Phi.T, true[1:-1], d[1:-1]).mean()
                    for (Phi, _), w in zip(learners, weights)
                ]
            )
        row = [" ".join(f"{error:.3f}" for error in errors[i]) for i in (0, 1)]
        print(
            f"{name:28}{seconds[0]:8.2f}{seconds[1]:8.2f}"
            f"{seconds[1] / seconds[0]:7.1f}  {row[0]} / {row[1]}"
        )


if __name__ == "__main__":
    main()
