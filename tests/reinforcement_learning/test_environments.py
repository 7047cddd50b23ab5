"""The worlds of reinforcement learning against their books, gymnasium, and chance."""

import numpy as np
import pytest

from lib.reinforcement_learning import environments as worlds
from lib.reinforcement_learning.environments import MDP
from tests.draws import rng

ZHAO_OPTIMAL = """
3.5 3.9 4.3 4.8 5.3
3.1 3.5 4.8 5.3 5.9
2.8 2.5 10  5.9 6.6
2.5 10  10  10  7.3
2.3 9   10  9   8.1
"""  # his figure 5.4(h), gamma = .9, a forbidden cell costs 10


ALL = {
    "zhao": worlds.zhao_grid_world(),
    "cliff": worlds.cliff_walking(),
    "windy": worlds.windy_grid(),
    "walk": worlds.random_walk(),
    "long walk": worlds.random_walk(30, left=-1.0, reach=4),
    "blackjack": worlds.blackjack(),
    "baird": worlds.baird()[0],
}


@pytest.mark.parametrize("name", ALL)
def test_the_dice_follow_the_table(name):
    """20,000 steps from each of some states: every chance within 5 standard errors."""
    mdp, n = ALL[name], 20_000
    states, actions = mdp.P.shape[:2]
    for s in range(0, states, max(1, states // 7)):
        a = s % actions
        rewards, after, over = mdp.step(np.full(n, s), np.full(n, a), rng(s))
        share = np.bincount(after, minlength=states) / n
        chance = mdp.P[s, a]
        assert (share[chance == 0] == 0).all()
        assert (
            np.abs(share - chance) <= 5 * np.sqrt(chance * (1 - chance) / n) + 1e-12
        ).all()
        np.testing.assert_array_equal(rewards, mdp.R[s, a, after])
        np.testing.assert_array_equal(over, mdp.terminal[after])


@pytest.mark.parametrize("name", ALL)
def test_runs_begin_where_they_should(name):
    mdp, n = ALL[name], 20_000
    share = np.bincount(mdp.reset(n, rng()), minlength=len(mdp.start)) / n
    bound = 5 * np.sqrt(mdp.start * (1 - mdp.start) / n) + 1e-12
    assert (np.abs(share - mdp.start) <= bound).all()


def test_a_policy_is_drawn_from_its_row():
    policy = np.array([[0.2, 0.8, 0.0], [0.0, 0.5, 0.5]])
    states = np.repeat([0, 1], 10_000)
    actions = worlds.choose(policy, states, rng())
    for s in (0, 1):
        share = np.bincount(actions[states == s], minlength=3) / 10_000
        np.testing.assert_allclose(share, policy[s], atol=0.025)
        assert (share[policy[s] == 0] == 0).all()


class Always:
    """A generator whose every draw is u."""

    def __init__(self, u):
        self.u = u

    def random(self, shape):
        return np.full(shape, self.u)


@pytest.mark.parametrize(("u", "want"), [(0.0, 1), (0.7, 2), (np.nextafter(1, 0), 2)])
def test_the_smallest_and_the_largest_draw_take_no_action_without_a_chance(
    u, want, plain_errors
):
    policy = np.array([[0.0, 0.7, 0.3, 0.0], [0.0, 0.1 + 0.6, 0.1 + 0.2, 0.0]])
    policy[1] /= policy[1].sum()
    assert worlds.choose(policy, np.array([0, 1]), Always(u)).tolist() == [want] * 2


def test_values_are_what_iterating_the_bellman_equation_gives():
    mdp = worlds.zhao_grid_world(r_forbidden=-3.0)
    policy = rng(1).dirichlet(np.ones(5), 25)
    values = np.zeros(25)
    for _ in range(2000):
        values = np.einsum(
            "sa,sat,sat->s", policy, mdp.P, mdp.R + 0.9 * values[None, None]
        )
    np.testing.assert_allclose(worlds.policy_values(mdp, policy, 0.9), values)


def test_optimal_values_are_those_of_the_greedy_policy_and_no_policy_has_more():
    mdp = worlds.zhao_grid_world(r_forbidden=-3.0)
    best = worlds.optimal_values(mdp, 0.9)
    policy = worlds.greedy(worlds.action_values(mdp, best, 0.9))
    np.testing.assert_allclose(worlds.policy_values(mdp, policy, 0.9), best, atol=1e-8)
    for seed in range(5):
        other = rng(seed).dirichlet(np.ones(5), 25)
        assert (worlds.policy_values(mdp, other, 0.9) <= best).all()


def test_zhaos_optimal_values():
    mdp = worlds.zhao_grid_world(r_forbidden=-10.0)
    got = worlds.optimal_values(mdp, 0.9)
    printed = np.array(ZHAO_OPTIMAL.split(), float)
    np.testing.assert_allclose(got, printed, atol=0.051)


def test_zhaos_values_of_the_uniform_policy():
    mdp = worlds.zhao_grid_world()
    got = worlds.policy_values(mdp, worlds.uniform(mdp), 0.9).reshape(5, 5)
    np.testing.assert_allclose(got[0], [-3.8, -3.8, -3.6, -3.1, -3.2], atol=0.051)
    np.testing.assert_allclose(got[4], [-4.5, -4.2, -3.4, -3.4, -3.5], atol=0.051)


def test_the_cliff_is_gymnasiums():
    gymnasium = pytest.importorskip("gymnasium")
    theirs = gymnasium.make("CliffWalking-v1").unwrapped
    ours = worlds.cliff_walking()
    begin = np.flatnonzero(theirs.initial_state_distrib)
    assert begin.tolist() == [36] == np.flatnonzero(ours.start).tolist()
    for s in range(48):
        if s in range(37, 48):  # on the cliff or at the goal nobody stands
            continue
        for a in range(4):
            (_, after, reward, over) = theirs.P[s][a][0]
            assert ours.P[s, a, after] == 1
            assert ours.R[s, a, after] == reward
            assert ours.terminal[after] == over


def test_the_best_walk_along_the_cliff_takes_13_steps_and_through_the_wind_15():
    for mdp, steps in ((worlds.cliff_walking(), 13), (worlds.windy_grid(), 15)):
        best = worlds.optimal_values(mdp, 1.0)
        assert best[mdp.start == 1] == -steps


def test_every_column_has_the_wind_of_the_book():
    """From the ground a step to the right rises by the wind, which nothing stops."""
    windy = worlds.windy_grid()
    assert windy.shape == (7, 10)
    rises = []
    for column in range(9):
        after = windy.P[6 * 10 + column, 1].argmax()
        assert after % 10 == column + 1
        rises.append(6 - after // 10)
    assert rises == [0, 0, 0, 1, 1, 1, 2, 2, 1]
    assert windy.P[6 * 10 + 9, 0].argmax() == 5 * 10 + 9, "no wind in the last"


def test_optimal_values_are_as_exact_as_asked_for():
    """A reward of 1 for ever is worth 1 / (1 - gamma): small steps are not the end."""
    one = np.ones((1, 1, 1))
    mdp = MDP(one, one, np.array([False]), np.ones(1))
    [value] = worlds.optimal_values(mdp, 0.99, tolerance=0.01)
    assert value == pytest.approx(100, abs=0.01)


def test_who_hits_a_natural_has_an_ace_that_may_count_one():
    game = worlds.blackjack()
    for dealer in range(1, 11):
        after = game.P[worlds.natural_state(dealer), worlds.HIT]
        assert after[worlds.LOST] == 0
        hard = after[worlds.blackjack_state(12, dealer, False) :][:10].sum()
        assert hard == pytest.approx(1)


def test_the_wind_is_that_of_the_column_one_leaves():
    windy = worlds.windy_grid()
    row, column = 3, 3
    for a, after in enumerate([(1, 3), (2, 4), (3, 3), (2, 2)]):
        assert windy.P[row * 10 + column, a, after[0] * 10 + after[1]] == 1


@pytest.mark.parametrize(("n", "left"), [(5, 0.0), (19, -1.0)])
def test_a_walk_is_worth_its_place(n, left):
    mdp = worlds.random_walk(n, left=left)
    got = worlds.policy_values(mdp, worlds.uniform(mdp), 1.0)
    want = np.linspace(left, 1, n + 2)
    np.testing.assert_allclose(got[1:-1], want[1:-1], atol=1e-12)
    assert got[0] == got[-1] == 0  # an end has nothing more to come


def test_a_walk_that_reaches_far_ends_where_it_would_pass_the_end():
    mdp = worlds.random_walk(1000, left=-1.0, reach=100)
    assert mdp.start[500] == 1
    np.testing.assert_allclose(mdp.P[30, 0, 0], 71 / 200)
    np.testing.assert_allclose(mdp.P[30, 0, 1:31].sum(), 29 / 200)
    np.testing.assert_allclose(mdp.P[500, 0, 400:601].sum(), 1)
    assert mdp.P[500, 0, 500] == 0


def stick_on_20():
    policy = np.zeros((213, 2))
    policy[:, worlds.HIT] = 1
    for dealer in range(1, 11):
        policy[worlds.natural_state(dealer)] = [1, 0]
        for usable in (False, True):
            for total in (20, 21):
                policy[worlds.blackjack_state(total, dealer, usable)] = [1, 0]
    return policy


def test_blackjack_is_the_books():
    """Sutton & Barto, section 5.5: 13 with a usable ace, the dealer shows a 2."""
    values = worlds.policy_values(worlds.blackjack(), stick_on_20(), 1.0)
    got = values[worlds.blackjack_state(13, 2, True)]
    np.testing.assert_allclose(got, -0.27726, atol=1e-4)


def test_the_best_blackjack_is_the_books():
    """Their figure 5.2, the lowest total on which to stick, by the dealer's card."""
    mdp = worlds.blackjack()
    best = worlds.action_values(mdp, worlds.optimal_values(mdp, 1.0), 1.0).argmax(-1)
    sticks = {
        usable: [
            next(
                total
                for total in range(12, 22)
                if best[worlds.blackjack_state(total, dealer, usable)] == worlds.STICK
            )
            for dealer in range(1, 11)
        ]
        for usable in (False, True)
    }
    assert sticks[False] == [17, 13, 13, 12, 12, 12, 17, 17, 17, 17]
    assert sticks[True] == [19, 18, 18, 18, 18, 18, 18, 18, 19, 19]


@pytest.mark.parametrize("policy", [stick_on_20(), np.full((213, 2), 0.5)])
def test_gymnasium_deals_the_same_game(policy):
    """Both policies treat a natural as any soft 21, which gymnasium cannot tell."""
    gymnasium = pytest.importorskip("gymnasium")
    mdp, n = worlds.blackjack(), 4000
    env = gymnasium.make("Blackjack-v1", sab=True).unwrapped
    dice, returns = rng(3), []
    for game in range(n):
        (total, dealer, usable), _ = env.reset(seed=game)
        over, reward = False, 0.0
        while not over:
            if total < 12:
                action = worlds.HIT
            else:
                s = worlds.blackjack_state(total, dealer, bool(usable))
                action = int(dice.random() < policy[s, worlds.HIT])
            # gymnasium's 0 is stick, its 1 hit, as here
            (total, dealer, usable), reward, over, _, _ = env.step(action)
        returns.append(reward)
    want = mdp.start @ worlds.policy_values(mdp, policy, 1.0)
    assert abs(np.mean(returns) - want) < 4.5 * np.std(returns) / n**0.5


def test_the_car_is_gymnasiums():
    gymnasium = pytest.importorskip("gymnasium")
    theirs = gymnasium.make("MountainCar-v0").unwrapped
    ours, dice = worlds.MountainCar(), rng(4)
    states = ours.reset(50, dice)
    assert ((states[:, 0] >= -0.6) & (states[:, 0] <= -0.4)).all()
    assert (states[:, 1] == 0).all()
    theirs.reset(seed=0)
    # Far and wide, both walls and both limits of speed among it.
    states = np.concatenate([states, dice.uniform(ours.low, ours.high, (200, 2))])
    states = np.concatenate([states, [[-1.19, -0.07], [0.49, 0.07]]])
    actions = dice.integers(0, 3, len(states))
    rewards, after, over = ours.step(states, actions)
    for i, (state, action) in enumerate(zip(states, actions)):
        theirs.state = tuple(state)
        want, reward, end, _, _ = theirs.step(int(action))
        # Past the goal theirs may roll on, to 0.6; the episode is over either way.
        want = np.minimum(want, ours.high)
        np.testing.assert_allclose(after[i], want, atol=1e-6)
        assert (reward, end) == (rewards[i], over[i])


def test_the_car_cannot_climb_by_itself():
    car = worlds.MountainCar()
    states = car.reset(5, rng())
    for _ in range(1000):
        _, states, over = car.step(states, np.full(5, 2))
        assert not over.any()


def test_bairds_process_visits_all_states_alike_and_has_values_zero():
    process, target, behaviour, features = worlds.baird()
    moves = np.einsum("sa,sat->st", behaviour, process.P)
    np.testing.assert_allclose(np.full(7, 1 / 7) @ moves, np.full(7, 1 / 7))
    assert not worlds.policy_values(process, target, 0.99).any()
    # More weights than states: every value can be had, zero in many ways.
    assert np.linalg.matrix_rank(features) == 7


def test_one_run_is_spoken_to_as_gymnasium_is():
    env = worlds.Environment(worlds.cliff_walking())
    state, info = env.reset(seed=1)
    assert (state, info) == (36, {})
    assert (env.observation_space.n, env.action_space.n) == (48, 4)
    assert env.step(1) == (36, -100.0, False, False, {})
    assert env.step(0) == (24, -1.0, False, False, {})
    for _ in range(11):
        env.step(1)
    assert env.step(2) == (47, -1.0, True, False, {})
    with pytest.raises(RuntimeError, match="call reset before step"):
        env.step(0)


def test_a_seed_decides_a_run():
    def run(seed):
        env = worlds.Environment(worlds.random_walk(19))
        env.reset(seed=seed)
        return [env.step(0)[0] for _ in range(9)]

    assert run(5) == run(5)
    assert len({tuple(run(seed)) for seed in range(5)}) > 1


@pytest.mark.usefixtures("plain_errors")
def test_what_is_wrong_is_named():
    walk = worlds.random_walk(3)
    with pytest.raises(ValueError, match="P must hold chances"):
        MDP(walk.P / 2, walk.R, walk.terminal, walk.start)
    with pytest.raises(ValueError, match="start must hold chances"):
        MDP(walk.P, walk.R, walk.terminal, walk.start * 2)
    with pytest.raises(ValueError, match="terminal states must lead to themselves"):
        MDP(walk.P, walk.R, ~walk.terminal, walk.start)
    with pytest.raises(ValueError, match="n and reach must be at least 1, got 0 and 1"):
        worlds.random_walk(0)
    with pytest.raises(ValueError, match="12 to 21 and dealer 1 to 10, got 11 and 3"):
        worlds.blackjack_state(11, 3, False)
    endless = worlds.zhao_grid_world()
    with pytest.raises(ValueError, match="gamma must be below 1"):
        worlds.policy_values(endless, worlds.uniform(endless), 1.0)
    with pytest.raises(RuntimeError, match="call reset before step"):
        worlds.Environment(walk).step(0)
    env = worlds.Environment(walk)
    env.reset()
    with pytest.raises(ValueError, match="action must be 0 to 0, got 1"):
        env.step(1)
