"""Monte Carlo against linear solves, loops from the definitions, and gymnasium."""

import dataclasses
import itertools

import numpy as np
import pytest

from lib.reinforcement_learning import environments as worlds
from lib.reinforcement_learning import episodes as logs
from lib.reinforcement_learning.environments import MDP
from lib.reinforcement_learning.episodes import Episodes, play, rollout
from lib.reinforcement_learning.monte_carlo import (
    all_pairs,
    epsilon_greedy,
    every_visit_mc,
    first_visit_mc,
    first_visits,
    importance_moments,
    importance_sampling,
    mc_basic,
    mc_epsilon_greedy,
    mc_exploring_starts,
    ordinary_estimates,
    ratios,
    returns,
    stochastic_approximation,
    weighted_estimates,
)
from tests.draws import rng

LAKE = ("SFFF", "FHFH", "FFFH", "HFFG")  # gymnasium's 4 x 4


def frozen_lake():
    """gymnasium's FrozenLake from its description: each move slips to either side."""
    cells, n = "".join(LAKE), 16
    P, R = np.zeros((n, 4, n)), np.zeros((n, 4, n))
    moves = ((0, -1), (1, 0), (0, 1), (-1, 0))  # left, down, right, up
    for s, a in itertools.product(range(n), range(4)):
        if cells[s] in "HG":
            P[s, a, s] = 1
            continue
        for slip in (-1, 0, 1):
            down, right = moves[(a + slip) % 4]
            row = min(max(s // 4 + down, 0), 3)
            after = 4 * row + min(max(s % 4 + right, 0), 3)
            P[s, a, after] += 1 / 3
            R[s, a, after] = cells[after] == "G"
    terminal = np.array([cell in "HG" for cell in cells])
    return MDP(P, R, terminal, np.eye(n)[0], (4, 4))


def small(seed=0, states=5, actions=3):
    """A random world: a chance of .25 a step to end, rewards that depend on s'."""
    dice = rng(seed)
    P = np.zeros((states, actions, states))
    P[:-1, :, :] = 0.75 * dice.dirichlet(np.ones(states), (states - 1, actions))
    P[:-1, :, -1] += 0.25
    P[-1, :, -1] = 1
    R = dice.normal(size=P.shape)
    R[-1] = 0
    terminal = np.arange(states) == states - 1
    start = np.append(dice.dirichlet(np.ones(states - 1)), 0)
    return MDP(P, R, terminal, start)


def policies(seed, mdp):
    shape = mdp.P.shape[:2]
    flat = np.ones(shape[1])
    two = (rng(seed + k).dirichlet(flat, shape[0]) for k in (1, 2))
    return [0.8 * policy + 0.2 / shape[1] for policy in two]


def lists(episodes):
    """Episodes as lists of (state, action, reward)."""
    columns = episodes.states, episodes.actions, episodes.rewards
    return [
        list(zip(*(column[i][alive].tolist() for column in columns)))
        for i, alive in enumerate(episodes.live)
    ]


# Means


def test_steps_of_one_over_k_give_the_sample_means():
    x = rng().normal(size=(3, 4, 50))
    k = np.arange(1, 51)
    got = stochastic_approximation(x, 1 / k)
    np.testing.assert_allclose(got, x.cumsum(-1) / k)


def test_any_steps_weigh_a_sample_by_what_later_steps_leave_of_it():
    x, steps = rng(1).normal(size=(2, 9)), rng(2).uniform(0, 1, 9)
    weights = np.array([steps[k] * np.prod(1 - steps[k + 1 :]) for k in range(9)])
    got = stochastic_approximation(x, steps)[:, -1]
    np.testing.assert_allclose(got, x @ weights)


@pytest.mark.parametrize("gamma", [0.0, 0.7, 1.0])
def test_returns_solve_a_linear_system(gamma):
    rewards = rng(3).normal(size=(2, 3, 8))
    shift = np.eye(8) - gamma * np.eye(8, k=1)
    want = np.linalg.solve(shift, rewards[..., None])[..., 0]
    kept = rewards.copy()
    np.testing.assert_allclose(returns(rewards, gamma), want)
    np.testing.assert_array_equal(rewards, kept)
    np.testing.assert_array_equal(returns(rewards[..., :1], gamma), rewards[..., :1])


# Episodes


def test_a_rollout_is_a_path_of_its_world():
    mdp = small(4)
    pi, _ = policies(4, mdp)
    starts = mdp.reset(300, rng(5))
    played = rollout(mdp, pi, starts, 4, rng(6))
    np.testing.assert_array_equal(played.states[:, 0], starts)
    length = played.live.sum(1)
    np.testing.assert_array_equal(played.live, np.arange(4) < length[:, None])
    assert not mdp.terminal[played.states[played.live]].any()
    for i, episode in enumerate(lists(played)):
        for (s, a, reward), (after, _, _) in itertools.pairwise(episode):
            assert reward == mdp.R[s, a, after]
        s, a, reward = episode[-1]
        assert (reward == mdp.R[s, a, -1]) == played.over[i]
        assert played.over[i] or len(episode) == 4
    assert 0 < played.over.sum() < 300
    assert not played.rewards[~played.live].any()


def test_a_rollout_stops_when_all_are_over_and_begins_as_told():
    mdp, first = small(7), np.array([2, 0, 1, 2])
    pi, _ = policies(7, mdp)
    played = rollout(mdp, pi, np.array([0, 1, 2, 3]), 500, rng(8), first)
    np.testing.assert_array_equal(played.actions[:, 0], first)
    assert played.states.shape[1] == played.live.sum(1).max() < 100
    assert played.over.all()


def test_rationed_runs_follow_the_same_chances(monkeypatch):
    monkeypatch.setattr(logs, "AT_ONCE", 7)
    mdp = small(9)
    pi, _ = policies(9, mdp)
    played = rollout(mdp, pi, np.repeat(0, 5000), 40, rng(10))
    values, counts = first_visit_mc(played, 5, 0.9)
    assert counts[0] == 5000
    want = worlds.policy_values(mdp, pi, 0.9)[0]
    G = returns(played.rewards, 0.9)[:, 0]
    assert abs(values[0] - want) < 5 * G.std() / 5000**0.5


def test_one_environment_at_a_time_gives_the_same_episodes_in_distribution():
    mdp = small(11)
    pi, _ = policies(11, mdp)
    played = play(worlds.Environment(mdp), pi, 2000, 12)
    assert played.over.all()
    assert played.over.shape == (2000,)
    G = returns(played.rewards, 0.9)[:, 0]
    want = mdp.start @ worlds.policy_values(mdp, pi, 0.9)
    assert abs(G.mean() - want) < 5 * G.std() / 2000**0.5
    for episode in lists(played):
        for (s, a, reward), (after, _, _) in itertools.pairwise(episode):
            assert reward == mdp.R[s, a, after]
    again = play(worlds.Environment(mdp), pi, 2000, 12)
    np.testing.assert_array_equal(played.states, again.states)


def test_gymnasiums_lake_is_the_one_of_its_description():
    gymnasium = pytest.importorskip("gymnasium")
    theirs, ours = gymnasium.make("FrozenLake-v1").unwrapped, frozen_lake()
    for s, a in itertools.product(range(16), range(4)):
        P, R = np.zeros(16), np.zeros(16)
        for chance, after, reward, _ in theirs.P[s][a]:
            P[after] += chance
            R[after] = max(R[after], reward)
        np.testing.assert_allclose(ours.P[s, a], P)
        np.testing.assert_array_equal(ours.R[s, a] * (P > 0), R)


def test_an_agent_learns_the_lake_here_and_walks_it_in_gymnasium():
    """Cut after 100 steps, as gymnasium's own registration does."""
    gymnasium = pytest.importorskip("gymnasium")
    mdp = frozen_lake()
    q = mc_basic(mdp, worlds.uniform(mdp), 0.95, 4, 200, 1000, rng(13))[-1]
    policy = worlds.greedy(q)
    env, n = gymnasium.make("FrozenLake-v1"), 400
    played = play(env, policy, n, 14)
    assert played.states.shape[1] <= 100
    share = returns(played.rewards, 1.0)[:, 0].mean()
    chance = np.zeros(16)
    moves = np.einsum("sa,sat->st", policy, mdp.P)
    gain = (policy * mdp.rewards).sum(1)
    for _ in range(100):
        chance = gain + moves @ chance
    assert abs(share - chance[0]) < 5 * (0.25 / n) ** 0.5
    assert chance[0] > 0.15  # ten times what walking at random gets


# Prediction


def by_definition(episodes, n_states, gamma, first):
    table = [[] for _ in range(n_states)]
    for episode in lists(episodes):
        seen = set()
        for t, (s, _, _) in enumerate(episode):
            if not (first and s in seen):
                tail = enumerate(episode[t:])
                table[s].append(sum(gamma**k * r for k, (_, _, r) in tail))
            seen.add(s)
    means = np.array([np.mean(row) if row else np.nan for row in table])
    return means, np.array([len(row) for row in table])


@pytest.mark.parametrize("first", [True, False])
def test_visits_by_their_definition(first):
    mdp = small(15)
    pi, _ = policies(15, mdp)
    method = first_visit_mc if first else every_visit_mc
    for n, horizon in ((40, 30), (3, 2), (1, 1)):
        played = rollout(mdp, pi, mdp.reset(n, rng(16)), horizon, rng(17))
        values, counts = method(played, 7, 0.8)
        means, numbers = by_definition(played, 7, 0.8, first)
        np.testing.assert_allclose(values, means)
        np.testing.assert_array_equal(counts, numbers)
    assert np.isnan(values[5:]).all()


def test_first_visits_are_the_first_of_each_row():
    labels = np.array([[2, 2, 0, 2], [1, 0, 1, 0]])
    live = np.array([[True, True, True, True], [True, True, True, False]])
    want = [[True, False, True, False], [True, True, False, False]]
    np.testing.assert_array_equal(first_visits(labels, live), want)
    zeros = np.zeros((2, 3), int)
    want = [[True, False, False], [False, False, False]]
    alive = np.array([[True, True, False], [False, False, False]])
    np.testing.assert_array_equal(first_visits(zeros, alive), want)


def test_first_visits_are_unbiased_and_every_visit_is_not():
    """One episode of a loop: the mean of L, and of (L + 1)/2."""
    P, R = np.zeros((2, 1, 2)), np.zeros((2, 1, 2))
    P[0, 0], P[1, 0, 1], R[0] = [0.75, 0.25], 1, 1
    loop = MDP(P, R, np.array([False, True]), np.array([1.0, 0.0]))
    n = 4000
    played = rollout(loop, worlds.uniform(loop), np.zeros(n, int), 300, rng(18))
    columns = [getattr(played, field.name) for field in dataclasses.fields(played)]
    rows = [Episodes(*(column[i : i + 1] for column in columns)) for i in range(n)]
    for method, want in ((first_visit_mc, 4.0), (every_visit_mc, 2.5)):
        got = np.array([method(row, 2, 1.0)[0][0] for row in rows])
        assert abs(got.mean() - want) < 5 * got.std() / n**0.5
    assert abs(every_visit_mc(played, 2, 1.0)[0][0] - 4) < 0.5


def test_stick_on_20_by_a_hundred_thousand_hands():
    mdp = worlds.blackjack()
    policy = np.tile([0.0, 1.0], (213, 1))
    for dealer, usable in itertools.product(range(1, 11), (False, True)):
        for total in (20, 21):
            policy[worlds.blackjack_state(total, dealer, usable)] = [1, 0]
        policy[worlds.natural_state(dealer)] = [1, 0]
    played = rollout(mdp, policy, mdp.reset(100_000, rng(19)), 25, rng(20))
    values, counts = first_visit_mc(played, 213, 1.0)
    want = worlds.policy_values(mdp, policy, 1.0)
    off = np.abs(values - want)[:210] * np.sqrt(counts[:210])
    assert off.max() < 5  # a return is at most 1 from its mean


# Control


def test_a_policy_that_explores():
    q = np.array([[1.0, 3.0, 3.0], [0.0, 0.0, -1.0]])
    want = [[0.1, 0.8, 0.1], [0.8, 0.1, 0.1]]
    np.testing.assert_allclose(epsilon_greedy(q, 0.3), want)


def test_mc_basic_is_policy_iteration_where_nothing_is_left_to_chance():
    mdp = worlds.zhao_grid_world(r_forbidden=-10.0)
    policy = worlds.greedy(np.zeros((25, 5)))
    history = mc_basic(mdp, policy, 0.9, 12, 150, 1, rng(21))
    for q in history:
        values = worlds.policy_values(mdp, policy, 0.9)
        want = worlds.action_values(mdp, values, 0.9)
        np.testing.assert_allclose(q, want, atol=2e-4)  # 10 · .9^150 / .1
        policy = worlds.greedy(q)
    best = worlds.optimal_values(mdp, 0.9)
    np.testing.assert_allclose(history[-1].max(1), best, atol=2e-4)


def test_mc_basic_in_a_random_world_is_near_the_exact_action_values():
    mdp = small(22)
    pi, _ = policies(22, mdp)
    (q,) = mc_basic(mdp, pi, 0.9, 1, 100, 4000, rng(23))
    want = worlds.action_values(mdp, worlds.policy_values(mdp, pi, 0.9), 0.9)
    np.testing.assert_allclose(q, want, atol=0.15)
    assert not q[-1].any()
    assert np.abs(q - want)[:-1].max() > 1e-3  # it was sampled


def test_exploring_starts_find_the_best_policy_of_a_random_world():
    mdp = small(24)
    history = mc_exploring_starts(mdp, 0.9, 300, 400, 100, rng(25))
    best = worlds.optimal_values(mdp, 0.9)
    policy = worlds.greedy(history[-1])
    got = worlds.policy_values(mdp, policy, 0.9)
    assert (best - got).max() < 0.05
    assert history.shape == (300, 5, 3)


def test_the_first_round_of_exploring_starts_is_a_plain_mean():
    mdp = small(26)
    (q,) = mc_exploring_starts(mdp, 0.9, 1, 300, 100, rng(27))
    dice, (states, actions) = rng(27), all_pairs(mdp)
    drawn = dice.integers(0, len(states), 300)
    start = states[drawn], 100, dice, actions[drawn]
    played = rollout(mdp, worlds.greedy(np.zeros((5, 3))), *start)
    pairs = dataclasses.replace(played, states=played.states * 3 + played.actions)
    want, _ = by_definition(pairs, 15, 0.9, True)
    np.testing.assert_allclose(q.ravel(), np.nan_to_num(want))


def test_blackjack_by_exploring_starts():
    mdp = worlds.blackjack()
    q = mc_exploring_starts(mdp, 1.0, 40, 3000, 25, rng(28))[-1]
    exact = worlds.action_values(mdp, worlds.optimal_values(mdp, 1.0), 1.0)
    clear = np.abs(exact[:, 0] - exact[:, 1]) > 0.02
    assert clear.sum() == 205
    assert (q.argmax(1) == exact.argmax(1))[clear].sum() >= 190


def best_soft(mdp, epsilon, gamma):
    policy = worlds.uniform(mdp)
    for _ in range(50):
        values = worlds.policy_values(mdp, policy, gamma)
        q = worlds.action_values(mdp, values, gamma)
        policy = epsilon_greedy(q, epsilon)
    return values


def test_epsilon_greedy_comes_near_the_best_soft_policy_and_no_further():
    mdp = worlds.zhao_grid_world()
    corner = dataclasses.replace(mdp, start=np.eye(25)[0])
    history = mc_epsilon_greedy(corner, 0.9, 0.6, 40, 250, 100, 50, rng(29))
    policy = epsilon_greedy(history[-1], 0.6)
    got = worlds.policy_values(mdp, policy, 0.9)[0]
    best = best_soft(mdp, 0.6, 0.9)[0]
    assert best - 0.25 < got <= best + 1e-9
    stuck = mc_epsilon_greedy(corner, 0.9, 0.0, 40, 50, 100, 50, rng(30))
    assert (stuck[-1] != 0).sum() < 10


def test_what_is_cut_too_early_is_left_out():
    """A state that pays 1 each step, for ever: 1/(1 - gamma), less gamma^tail of it."""
    mdp = MDP(np.ones((1, 1, 1)), np.ones((1, 1, 1)), np.zeros(1, bool), np.ones(1))
    (q,) = mc_epsilon_greedy(mdp, 0.5, 0.3, 1, 4, 12, 3, rng())
    np.testing.assert_allclose(q, (1 - 0.5**12) / 0.5)
    (q,) = mc_epsilon_greedy(mdp, 0.5, 0.3, 1, 4, 12, 12, rng())
    np.testing.assert_array_equal(q, [[0.0]])  # all of it
    world = worlds.random_walk(3)  # what has ended is complete
    (q,) = mc_epsilon_greedy(world, 1.0, 0.3, 1, 200, 90, 90, rng())
    assert abs(q[2, 0] - 0.5) < 5 * (0.25 / 200) ** 0.5


# Off-policy


def test_ratios_are_products_from_the_visit_to_the_end():
    mdp = small(31)
    pi, b = policies(31, mdp)
    played = rollout(mdp, b, mdp.reset(20, rng(32)), 30, rng(33))
    got = ratios(played, pi, b)
    for i, episode in enumerate(lists(played)):
        for t in range(len(episode)):
            want = np.prod([pi[s, a] / b[s, a] for s, a, _ in episode[t:]])
            np.testing.assert_allclose(got[i, t], want)
    np.testing.assert_array_equal(got[~played.live], 1)


def test_running_estimates_are_those_of_every_beginning():
    rho, G = rng(34).exponential(size=(2, 3, 6)), rng(35).normal(size=(2, 3, 6))
    rho[..., 0] = 0
    for n in range(1, 7):
        some = rho[..., :n], G[..., :n]
        plain, total = (some[0] * some[1]).sum(-1), some[0].sum(-1)
        np.testing.assert_allclose(ordinary_estimates(rho, G)[..., n - 1], plain / n)
        want = plain / np.where(total > 0, total, 1)
        np.testing.assert_allclose(weighted_estimates(rho, G)[..., n - 1], want)


@pytest.mark.parametrize("weighted", [False, True])
def test_importance_sampling_by_its_definition(weighted):
    mdp = small(36)
    pi, b = policies(36, mdp)
    played = rollout(mdp, b, mdp.reset(30, rng(37)), 30, rng(38))
    sums, total = np.zeros(6), np.zeros(6)
    for episode in lists(played):
        seen = set()
        for t, (s, _, _) in enumerate(episode):
            if s in seen:
                continue
            seen.add(s)
            weight = np.prod([pi[s, a] / b[s, a] for s, a, _ in episode[t:]])
            G = sum(0.9**k * r for k, (_, _, r) in enumerate(episode[t:]))
            sums[s] += weight * G
            total[s] += weight if weighted else 1
    wide = [np.vstack([policy, policy[:1]]) for policy in (pi, b)]
    got = importance_sampling(played, *wide, 0.9, weighted)
    want = [x / n if n else np.nan for x, n in zip(sums, total)]
    np.testing.assert_allclose(got, want)
    assert np.isnan(got[4:]).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_importance_sampling_finds_the_values_of_the_other_policy(weighted):
    mdp, n = small(39), 40_000
    pi, b = (0.3 * policy + 0.7 / 3 for policy in policies(39, mdp))
    played = rollout(mdp, b, mdp.reset(n, rng(40)), 60, rng(41))
    got = importance_sampling(played, pi, b, 0.9, weighted)[:-1]
    want = worlds.policy_values(mdp, pi, 0.9)[:-1]
    e, m, square = importance_moments(mdp, pi, b, 0.9)[:, :-1]
    variance = square - want**2
    if weighted:
        variance = square - 2 * want * m + want**2 * e
    seen = first_visit_mc(played, 5, 0.9)[1][:-1]
    assert (np.abs(got - want) < 5 * np.sqrt(variance / seen)).all()


def test_moments_are_sums_over_all_episodes():
    """Three steps, two actions, two ways each: 64 episodes with their chances."""
    P, R = np.zeros((5, 2, 5)), rng(42).normal(size=(5, 2, 5))
    for s in (0, 1, 2):  # on by one, or by two
        P[s, 0, s + 1], P[s, 0, min(s + 2, 4)] = 0.3, 0.7
        P[s, 1, s + 1], P[s, 1, min(s + 2, 4)] = 0.8, 0.2
    P[3, :, 4] = P[4, :, 4] = 1
    R[4] = 0
    mdp = MDP(P, R, np.arange(5) == 4, np.eye(5)[0])
    pi, b = policies(43, mdp)

    def paths(s):
        if s == 4:
            yield 1.0, 1.0, 0.0
            return
        for a, after in itertools.product((0, 1), range(5)):
            if P[s, a, after]:
                for chance, rho, G in paths(after):
                    p = b[s, a] * P[s, a, after] * chance
                    yield p, pi[s, a] / b[s, a] * rho, R[s, a, after] + 0.7 * G

    got = importance_moments(mdp, pi, b, 0.7)
    for s in range(5):
        p, rho, G = np.array(list(paths(s))).T
        np.testing.assert_allclose(p.sum(), 1)
        np.testing.assert_allclose((p * rho).sum(), 1)
        want = [(p * rho**2 * G**k).sum() for k in (0, 1, 2)]
        np.testing.assert_allclose(got[:, s], want)


def test_an_action_that_neither_policy_takes_counts_for_nothing():
    mdp = small(44)
    _, b = policies(44, mdp)
    b[:, 1:] = b[:, 1:] / b[:, 1:].sum(1, keepdims=True)
    b[:, 0] = 0
    fewer = MDP(mdp.P[:, 1:], mdp.R[:, 1:], mdp.terminal, mdp.start)
    got = importance_moments(mdp, b, b, 0.9)
    np.testing.assert_allclose(got, importance_moments(fewer, b[:, 1:], b[:, 1:], 0.9))


def test_moments_of_ones_own_policy_are_those_of_the_return():
    mdp = small(44)
    pi, _ = policies(44, mdp)
    e, m, _ = importance_moments(mdp, pi, pi, 0.9)
    np.testing.assert_allclose(e, 1)
    np.testing.assert_allclose(m, worlds.policy_values(mdp, pi, 0.9))


# What is refused


@pytest.mark.usefixtures("plain_errors")
def test_what_makes_no_sense_is_named():
    mdp = small(45)
    pi, b = policies(45, mdp)
    starts = mdp.reset(3, rng())
    with pytest.raises(ValueError, match=r"gamma must be between 0 and 1, got 1\.1"):
        returns(np.ones(3), 1.1)
    with pytest.raises(ValueError, match="horizon must be at least 1, got 0"):
        rollout(mdp, pi, starts, 0, rng())
    with pytest.raises(ValueError, match="states must not be terminal"):
        rollout(mdp, pi, np.array([0, 4]), 5, rng())
    with pytest.raises(ValueError, match="epsilon must be between 0 and 1, got -1"):
        epsilon_greedy(np.ones((2, 2)), -1)
    played = rollout(mdp, b, starts, 5, rng())
    never = np.tile([0.0, 0.0, 1.0], (5, 1))
    with pytest.raises(ValueError, match="b must be able to take every action of the"):
        ratios(played, pi, never)
    with pytest.raises(ValueError, match="every action that pi takes"):
        importance_moments(mdp, pi, never, 0.9)
    P, R = np.zeros((2, 2, 2)), np.zeros((2, 2, 2))
    P[0, 0], P[0, 1, 1], P[1, :, 1] = [0.9, 0.1], 1, 1
    R[0, 0, 1] = 1
    endless = MDP(P, R, np.array([False, True]), np.array([1.0, 0.0]))
    left = np.tile([1.0, 0.0], (2, 1))
    with pytest.raises(ValueError, match=r"infinite: it grows by 1\.8 a step"):
        importance_moments(endless, left, np.full((2, 2), 0.5), 1.0)
