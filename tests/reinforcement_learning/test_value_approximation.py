"""`value_approximation`, `features`, `dqn` against loops, closed forms, exact models.

Oracles: the integer arithmetic of Sutton's tiles3, a plain loop for whatever runs many
runs at once, enumerated transitions, autograd, scikit-learn's weighted least squares.
"""

import copy
import itertools

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression

from lib.reinforcement_learning import dqn as deep
from lib.reinforcement_learning import environments as worlds
from lib.reinforcement_learning import features
from lib.reinforcement_learning import value_approximation as va
from tests.draws import rng, seed_torch, seeded


def chain(n, seed=0):
    """A random Markov chain without end, its rewards, some features."""
    dice = rng(seed)
    return dice.dirichlet(np.ones(n), n), dice.normal(size=n), dice.normal(size=(n, 3))


# Features


def test_polynomials_are_zhaos_3_6_and_10():
    x = rng().uniform(-1, 1, (7, 2))
    a, b = x.T
    want = {1: [a, b], 2: [a**2, a * b, b**2]}
    want[3] = [a**3, a**2 * b, a * b**2, b**3]
    for degree in (1, 2, 3):
        got = features.polynomial_features(x, degree)
        terms = [np.ones(7), *(t for k in range(1, degree + 1) for t in want[k])]
        assert got.shape == (7, len(terms))
        for term in terms:  # each of them once, in whatever order
            assert np.isclose(got.T, term).all(1).sum() == 1


def test_of_degree_nothing_the_constant_remains():
    got = features.polynomial_features(rng().random((5, 2)), 0)
    np.testing.assert_array_equal(got, np.ones((5, 1)))


def test_a_single_tiling_numbers_the_cells_of_a_grid():
    x = np.array([[0.1, 0.1], [0.9, 0.1], [0.1, 0.9], [0.2, 0.2]])
    one, right, up, same = features.tile_numbers(x, 2, 1)[:, 0]
    assert one == same
    assert len({one, right, up}) == 3


def test_powers_of_one_number_come_in_order():
    x = rng().random((5, 1))
    got = features.polynomial_features(x, 4)
    np.testing.assert_allclose(got, x ** np.arange(5))


def test_cosines_are_all_products_of_orders():
    x = rng().random((6, 2))
    got = features.fourier_features(x, 2)
    want = [
        np.cos(np.pi * (i * a + j * b))
        for a, b in x
        for i in range(3)
        for j in range(3)
    ]
    np.testing.assert_allclose(got, np.reshape(want, (6, 9)))


def test_cosines_are_orthogonal_over_the_middles_of_equal_intervals():
    x = (np.arange(50)[:, None] + 0.5) / 50
    Phi = features.fourier_features(x, 5)
    np.testing.assert_allclose(Phi.T @ Phi / 50, np.diag([1] + [0.5] * 5), atol=1e-12)


def sutton_tiles(x, tiles, tilings):
    """The coordinates that tiles3 would hash, for x in units of the cube."""
    out = []
    for point in x:
        whole = [int(np.floor(c * tiles * tilings)) for c in point]
        for tiling in range(tilings):
            b, row = tiling, [tiling]
            for q in whole:
                row.append((q + b) // tilings)
                b += 2 * tiling
            out.append(tuple(row))
    return np.array(out).reshape(len(x), tilings, -1)


@pytest.mark.parametrize(
    ("dims", "tiles", "tilings"), [(1, 5, 7), (2, 8, 8), (2, 3, 5), (3, 2, 4)]
)
def test_points_share_tiles_as_in_tiles3(dims, tiles, tilings):
    x = rng(dims).random((60, dims))
    got = features.tile_numbers(x, tiles, tilings)
    theirs = sutton_tiles(x, tiles, tilings)
    for tiling in range(tilings):
        want = (theirs[:, None, tiling] == theirs[None, :, tiling]).all(-1)
        np.testing.assert_array_equal(
            got[:, None, tiling] == got[None, :, tiling], want
        )


@pytest.mark.parametrize(
    ("dims", "tiles", "tilings"), [(1, 5, 50), (2, 8, 8), (3, 1, 3)]
)
def test_one_tile_a_tiling_and_every_number_below_the_count(dims, tiles, tilings):
    corners = np.array(list(itertools.product([0.0, 0.5, 1.0], repeat=dims)))
    numbers = features.tile_numbers(corners, tiles, tilings)
    count = features.tile_count(dims, tiles, tilings)
    assert numbers.min() >= 0
    assert numbers.max() < count
    block = count // tilings
    np.testing.assert_array_equal(numbers // block, np.arange(tilings) + 0 * numbers)
    Phi = features.tile_features(corners, tiles, tilings)
    assert Phi.shape == (len(corners), count)
    np.testing.assert_array_equal(Phi.sum(-1), tilings)
    np.testing.assert_array_equal(np.take_along_axis(Phi, numbers, -1), 1)


def test_tiles_generalise_less_the_farther_two_points_are():
    x = np.linspace(0, 1, 101)[:, None]
    Phi = features.tile_features(x, 5, 10)
    shared = Phi @ Phi[0]
    # Ten tilings, one more left behind every fiftieth; a tile is a fifth of the whole.
    assert (np.diff(shared) <= 0).all()
    assert shared[0] == 10
    assert shared[9] >= 5
    assert not shared[20:].any()


def test_a_group_is_an_interval():
    x = np.arange(12)[:, None] / 12
    got = features.group_features(x, 3)
    np.testing.assert_array_equal(got.argmax(-1), np.repeat([0, 1, 2], 4))
    assert features.group_features(np.ones((1, 1)), 3)[0, 2] == 1


# Exact


def test_where_a_chain_spends_its_time():
    P, *_ = chain(6)
    d = va.stationary_distribution(P)
    np.testing.assert_allclose(np.linalg.matrix_power(P, 200), np.tile(d, (6, 1)))


def test_where_an_episode_spends_its_time():
    """The sum over all times of where the episode is; a chain that has directions."""
    P, *_ = chain(7)
    terminal = np.arange(7) % 4 == 0
    P[terminal] = np.eye(7)[terminal]
    start = np.where(terminal, 0, rng(1).random(7))
    start /= start.sum()
    d, length = va.visiting_distribution(P, start, terminal)
    now, eta = start.copy(), np.zeros(7)
    for _ in range(500):
        now[terminal] = 0
        eta += now
        now = now @ P
    np.testing.assert_allclose(d, eta / eta.sum())
    np.testing.assert_allclose(length, eta.sum())
    assert not d[terminal].any()


def test_the_best_weights_are_weighted_least_squares():
    _, true, Phi = chain(8)
    d = rng(1).dirichlet(np.ones(8))
    fit = LinearRegression(fit_intercept=False).fit(Phi, true, sample_weight=d)
    got = va.best_weights(Phi, true, d)
    np.testing.assert_allclose(got, fit.coef_)
    want = np.sqrt(np.average((fit.predict(Phi) - true) ** 2, weights=d))
    np.testing.assert_allclose(va.value_error(Phi @ got, true, d), want)
    np.testing.assert_allclose(
        va.value_error(np.stack([Phi @ got, true]), true, d), [want, 0]
    )


def test_the_fixed_point_of_a_table_is_the_value():
    P, r, _ = chain(7)
    v = np.linalg.solve(np.eye(7) - 0.9 * P, r)
    d = rng(1).dirichlet(np.ones(7))  # any weighting will do
    np.testing.assert_allclose(va.td_fixed_point(np.eye(7), P, r, 0.9, d), v)


def test_at_the_fixed_point_the_bellman_error_is_orthogonal_to_the_features():
    P, r, Phi = chain(7)
    d = va.stationary_distribution(P)
    Phi = np.c_[Phi, Phi[:, 0] - Phi[:, 1]]  # which depend on each other
    values = Phi @ va.td_fixed_point(Phi, P, r, 0.9, d)
    error = r + 0.9 * P @ values - values
    np.testing.assert_allclose(Phi.T @ (d * error), 0, atol=1e-12)
    alone = Phi[:, :3] @ va.td_fixed_point(Phi[:, :3], P, r, 0.9, d)
    np.testing.assert_allclose(values, alone)


@pytest.mark.parametrize("seed", range(5))
def test_the_fixed_point_keeps_its_bound(seed):
    P, r, Phi = chain(12, seed)
    d = va.stationary_distribution(P)
    for gamma in (0.3, 0.9, 0.99):
        v = np.linalg.solve(np.eye(12) - gamma * P, r)
        best = va.value_error(Phi @ va.best_weights(Phi, v, d), v, d)
        td = va.value_error(Phi @ va.td_fixed_point(Phi, P, r, gamma, d), v, d)
        assert best <= td * (1 + 1e-9)
        assert td <= best / np.sqrt(1 - gamma**2) * (1 + 1e-9)


def test_the_system_is_the_expected_update():
    """Over all transitions, each as often as it happens."""
    P, r, Phi = chain(5)
    d, w = rng(2).dirichlet(np.ones(5)), rng(3).normal(size=3)
    A, b = va.td_system(Phi, P, r, 0.8, d)
    want = np.zeros(3)
    for s, after in itertools.product(range(5), repeat=2):
        delta = r[s] + 0.8 * Phi[after] @ w - Phi[s] @ w
        want += d[s] * P[s, after] * delta * Phi[s]
    np.testing.assert_allclose(b - A @ w, want)


def test_sweeps_go_to_the_fixed_point_where_d_is_stationary():
    P, r, Phi = chain(5)
    d = va.stationary_distribution(P)
    root = np.sqrt(d)[:, None]
    # Orthonormal under d: a sweep leaves at most .7 + .3 · .8 of the distance.
    Phi = np.linalg.qr(root * Phi)[0] / root
    A, b = va.td_system(Phi, P, r, 0.8, d)
    path = va.td_sweeps(A, b, np.ones(3), 0.3, 500)
    assert path.shape == (501, 3)
    np.testing.assert_array_equal(path[0], np.ones(3))
    np.testing.assert_allclose(path[1], 1 + 0.3 * (b - A @ np.ones(3)))
    np.testing.assert_allclose(path[-1], va.td_fixed_point(Phi, P, r, 0.8, d))


def test_bairds_weights_grow():
    """Their norm, from 10.3 to 437 in 1000 sweeps; by a loop over the states."""
    process, target, _, Phi = worlds.baird()
    P = np.einsum("sa,sat->st", target, process.P)
    A, b = va.td_system(Phi, P, np.zeros(7), 0.99, np.full(7, 1 / 7))
    start = np.array([1.0, 1, 1, 1, 1, 1, 10, 1])
    path = va.td_sweeps(A, b, start, 0.01, 1000)
    w = start.copy()
    for _ in range(1000):
        w = w + 0.01 / 7 * sum((0.99 * Phi[6] @ w - phi @ w) * phi for phi in Phi)
    np.testing.assert_allclose(path[-1], w)
    assert 10.3 < np.linalg.norm(start) < 10.4
    assert 430 < np.linalg.norm(path[-1]) < 445


# From samples


def test_lstd_of_every_transition_is_the_fixed_point():
    counts = rng(4).integers(1, 6, (4, 4))
    s, after = np.repeat(np.argwhere(counts), counts.ravel(), 0).T
    P, d = counts / counts.sum(1, keepdims=True), counts.sum(1) / counts.sum()
    _, r, Phi = chain(4)
    got = va.lstd(Phi[s], r[s], Phi[after], 0.7)
    np.testing.assert_allclose(got, va.td_fixed_point(Phi, P, r, 0.7, d))
    # A ridge is added to the sums, not to the means.
    A, b = va.td_system(Phi, P, r, 0.7, d)
    n = counts.sum()
    want = np.linalg.solve(n * A + 2.5 * np.eye(3), n * b)
    np.testing.assert_allclose(va.lstd(Phi[s], r[s], Phi[after], 0.7, 2.5), want)


def test_walks_follow_the_table():
    mdp, runs, episodes = worlds.random_walk(30, left=-1.0, reach=4), 3, 700
    steps = va.long_walks(runs, episodes, rng(), n=30, reach=4)
    live = (steps.states > 0) & (steps.states < 31)
    over = (steps.after == 0) | (steps.after == 31)
    np.testing.assert_array_equal((over & live).sum(0), episodes)
    for s in (1, 3, 15, 30):
        after = steps.after[steps.states == s]
        share, chance = np.bincount(after, minlength=32) / len(after), mdp.P[s, 0]
        bound = 5 * np.sqrt(chance * (1 - chance) / len(after)) + 1e-12
        assert (np.abs(share - chance) <= bound).all()
    _, length = va.visiting_distribution(mdp.P[:, 0], mdp.start, mdp.terminal)
    assert abs(live.sum() / (runs * episodes) / length - 1) < 0.1


def test_walks_lie_behind_each_other():
    steps = va.long_walks(4, 5, rng(1), n=29, reach=4)
    for s, r, after, G in zip(*(column.T for column in steps)):
        used = np.flatnonzero(s)
        assert (used == np.arange(len(used))).all()
        assert s[0] == 15
        for i in used:
            ends = after[i] in (0, 30)
            assert r[i] == (0 if not ends else 1 if after[i] == 30 else -1)
            following = s[i + 1] if i + 1 < len(s) else 0
            assert following in (15, 0) if ends else following == after[i]
            assert G[i] == (r[i] if ends else G[i + 1])
        assert not r[len(used) :].any()
        assert not after[len(used) :].any()


def walk_features(n=30):
    x = np.arange(n)[:, None] / n
    sets = [features.fourier_features(x, 2), features.group_features(x, 5)]
    return [np.pad(Phi, ((1, 1), (0, 0))) for Phi in sets]


def one_by_one(Phi, w, steps, alpha, gamma, kind):
    """One run after the other, one step after the other."""
    out = w.copy()
    for run in range(len(w)):
        for s, r, after, G in zip(*(column[:, run] for column in steps)):
            v, ahead = Phi[s] @ out[run], Phi[after] @ out[run]
            if kind == "mc":
                out[run] += alpha * (G - v) * Phi[s]
            elif kind == "td":
                out[run] += alpha * (r + gamma * ahead - v) * Phi[s]
            else:
                delta = r + gamma * ahead - v
                out[run] += alpha * delta * (Phi[s] - gamma * Phi[after])
    return out


@pytest.mark.parametrize("kind", ["mc", "td", "residual"])
def test_many_runs_together_are_each_by_itself(kind):
    steps = va.long_walks(3, 20, rng(2), n=30, reach=4)
    sets, alphas = walk_features(), [0.02, 0.1]
    widths = [Phi.shape[1] for Phi in sets]
    w = rng(3).normal(size=(3, sum(widths)))
    before = w.copy()
    Phi = np.concatenate(sets, 1)
    learn = {
        "mc": va.gradient_mc,
        "td": lambda *args: va.semi_gradient_td(*args[:4], 0.9, *args[4:]),
        "residual": lambda *args: va.residual_gradient(*args[:4], 0.9, *args[4:]),
    }[kind]
    got = learn(Phi, w, steps, alphas, widths)
    np.testing.assert_array_equal(w, before)
    parts = zip(sets, np.split(w, widths[:1], 1), alphas)
    want = [one_by_one(*part[:2], steps, part[2], 0.9, kind) for part in parts]
    np.testing.assert_allclose(got, np.concatenate(want, 1))
    alone = learn(sets[0], w[:, :3], steps, 0.02)
    np.testing.assert_allclose(alone, want[0])


def every_transition(P, r):
    """Each of a chain's transitions once, as a run of its own."""
    s, after = np.argwhere(P >= 0).T
    return va.Steps(s[None], r[s][None], after[None], np.zeros((1, len(s))))


def test_the_mean_update_of_td_is_b_minus_A_w_and_of_the_residual_a_gradient():
    P, r, Phi = chain(5)
    d, w = rng(2).dirichlet(np.ones(5)), rng(3).normal(size=3)
    steps, weight = every_transition(P, r), (d[:, None] * P).ravel()
    runs = np.tile(w, (25, 1))
    A, b = va.td_system(Phi, P, r, 0.8, d)
    moved = weight @ (va.semi_gradient_td(Phi, runs, steps, 1.0, 0.8) - w)
    np.testing.assert_allclose(moved, b - A @ w)

    weights = torch.tensor(w, requires_grad=True)
    s, after = steps.states[0], steps.after[0]
    change = torch.tensor(Phi[s] - 0.8 * Phi[after])
    delta = torch.tensor(r[s]) - change @ weights
    (torch.tensor(weight) * delta.square()).sum().backward()
    moved = weight @ (va.residual_gradient(Phi, runs, steps, 1.0, 0.8) - w)
    np.testing.assert_allclose(moved, -weights.grad.numpy() / 2)
    assert np.abs(moved - (b - A @ w)).max() > 0.05


# Control


def plain_sarsa(alpha, episodes, tiles, tilings, dice):
    """One run of the book's box, with a dictionary of tiles."""
    env, q, lengths = worlds.MountainCar(), {}, []

    def active(state, action):
        x = (state - env.low) / (env.high - env.low)
        rows = sutton_tiles(np.clip(x, 0, 1), tiles, tilings)[0]
        return [(*map(int, row), action) for row in rows]

    def value(state, action):
        return sum(q.get(tile, 0.0) for tile in active(state, action))

    def choose(state):
        values = np.array([value(state, action) for action in range(3)])
        return int((values + 1e-9 * dice.random((1, 3))[0]).argmax())

    state = env.reset(1, dice)
    action = choose(state)
    for _ in range(episodes):
        over, length = False, 0
        while not over:
            reward, after, (over,) = env.step(state, np.array([action]))
            chosen, length = choose(after), length + 1
            target = reward[0] + (0 if over else value(after, chosen))
            delta = target - value(state, action)
            for tile in active(state, action):
                q[tile] = q.get(tile, 0.0) + alpha * delta
            state, action = after, chosen
        lengths.append(length)
        state = env.reset(1, dice)
        action = choose(state)
    return lengths


def test_sarsa_is_the_books_box():
    w = np.zeros((1, features.tile_count(2, 4, 3), 3))
    _, got = va.sarsa(worlds.MountainCar(), w, np.array([0.2]), 3, 4, 3, rng(5))
    assert got[0].tolist() == plain_sarsa(0.2, 3, 4, 3, rng(5))
    assert not w.any()


class Clock(worlds.MountainCar):
    """Run i arrives after i + 1 steps, whatever it does."""

    def reset(self, n, rng):
        self.fresh = getattr(self, "fresh", -1) + 1
        return np.zeros((n, 2)) if self.fresh else np.stack([np.arange(n) / 10] * 2, -1)

    def step(self, states, actions):
        left = states[:, 0] <= 0.001
        after = np.stack([np.maximum(states[:, 0] - 0.1, 0), states[:, 1]], -1)
        return np.full(len(states), -1.0), after, left


def test_a_run_that_has_its_episodes_learns_no_more():
    w = np.zeros((3, features.tile_count(2, 2, 2), 3))
    got, steps = va.sarsa(Clock(), w, np.full(3, 0.25), 1, 2, 2, rng())
    assert steps.tolist() == [[1], [2], [3]]
    # One step of the first run: two tiles of one action, a quarter of -1 each.
    assert sorted(got[0].ravel()[got[0].ravel() != 0]) == [-0.25, -0.25]
    still, _ = va.sarsa(worlds.MountainCar(), w, np.zeros(3), 0, 2, 2, rng())
    assert not still.any()


# DQN


def batch(n, dims, actions, seed=0):
    g = seeded(seed)
    return deep.Batch(
        torch.randn(n, dims, generator=g),
        torch.randint(actions, (n,), generator=g),
        torch.randn(n, generator=g),
        torch.randn(n, dims, generator=g),
        torch.rand(n, generator=g) < 0.4,
    )


def nets(dims, actions):
    seed_torch()
    return torch.nn.Linear(dims, actions), torch.nn.Linear(dims, actions)


def test_the_loss_by_a_loop():
    some, (net, target_net) = batch(30, 3, 4), nets(3, 4)
    assert 0 < some.over.sum() < 30
    want = 0.0
    for s, a, r, after, over in zip(*some):
        ahead = 0.0 if over else target_net(after).max().item()
        want += (r.item() + 0.7 * ahead - net(s)[a].item()) ** 2 / 30
    got = deep.dqn_loss(net, target_net, some, 0.7)
    np.testing.assert_allclose(got.item(), want, rtol=1e-5)


def test_no_gradient_goes_through_the_target_even_of_the_same_network():
    some, (net, other) = batch(6, 3, 4), nets(3, 4)
    deep.dqn_loss(net, other, some, 0.7).backward()
    assert other.weight.grad is None
    net.zero_grad()
    deep.dqn_loss(net, net, some, 0.7).backward()
    got = net.weight.grad.clone()
    net.zero_grad()
    deep.dqn_loss(net, copy.deepcopy(net), some, 0.7).backward()
    torch.testing.assert_close(got, net.weight.grad)


def test_dqn_with_a_table_finds_the_optimum():
    mdp = worlds.zhao_grid_world(r_forbidden=-2.0)
    s, a = np.repeat(np.arange(25), 5), np.tile(np.arange(5), 25)
    after = mdp.P[s, a].argmax(-1)
    eye = torch.eye(25)
    replay = deep.Batch(
        eye[torch.tensor(s)],
        torch.tensor(a),
        torch.tensor(mdp.R[s, a, after]).float(),
        eye[torch.tensor(after)],
        torch.zeros(125, dtype=torch.bool),
    )
    net = torch.nn.Linear(25, 5, bias=False)
    seen = deep.dqn(
        net,
        replay,
        0.5,
        1201,
        100,
        seeded(),
        learning_rate=0.02,
        watch=lambda net: net.weight.abs().max().item(),
    )
    assert len(seen) == 13
    best = worlds.optimal_values(mdp, 0.5)
    want = worlds.action_values(mdp, best, 0.5)
    np.testing.assert_allclose(net.weight.detach().numpy().T, want, atol=0.15)


def test_the_target_network_is_copied_every_so_many_updates():
    some, (net, _) = batch(1, 3, 2), nets(3, 2)
    twin, g = copy.deepcopy(net), seeded(1)
    deep.dqn(net, some, 0.9, 7, 3, g, size=4, learning_rate=0.1)
    optimiser, four = torch.optim.Adam(twin.parameters(), 0.1), [0] * 4
    for update in range(7):  # a buffer of one transition: no dice
        if update in (0, 3, 6):
            target_net = copy.deepcopy(twin)
        rows = deep.Batch(*(x[four] for x in some))
        optimiser.zero_grad()
        deep.dqn_loss(twin, target_net, rows, 0.9).backward()
        optimiser.step()
    torch.testing.assert_close(net.weight, twin.weight)


@pytest.mark.usefixtures("plain_errors")
def test_what_is_wrong_is_named():
    x = np.full((2, 1), 0.5)
    with pytest.raises(ValueError, match="degree must not be negative, got -1"):
        features.polynomial_features(x, -1)
    with pytest.raises(ValueError, match="order must not be negative, got -2"):
        features.fourier_features(x, -2)
    with pytest.raises(ValueError, match="at least 1, got 0 and 3"):
        features.tile_numbers(x, 0, 3)
    with pytest.raises(ValueError, match=r"between 0 and 1, got 0\.5 to 1\.5"):
        features.tile_numbers(np.array([[0.5], [1.5]]), 2, 3)
    with pytest.raises(ValueError, match="x must lie between 0 and 1, got nan"):
        features.tile_numbers(np.array([[np.nan]]), 2, 3)
    with pytest.raises(ValueError, match="one stationary distribution, got several"):
        va.stationary_distribution(np.eye(2))
