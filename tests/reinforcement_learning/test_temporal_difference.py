"""Temporal-difference learning, its episodes and its agents, against independent work:
loops, linear solves, gymnasium.

The loops are written from the definitions, for one run and one step size at a time.
"""

import numpy as np
import pytest

from lib.reinforcement_learning import environments as worlds
from lib.reinforcement_learning import temporal_difference as td
from lib.reinforcement_learning.agents import Agent, epsilon_greedy, play, td_update
from lib.reinforcement_learning.environments import MDP
from lib.reinforcement_learning.streams import Streams, sample_streams
from tests.draws import rng

ALPHAS = np.array([0.05, 0.3, 1.0])
GAMMA = 0.9
same = np.testing.assert_allclose


def small_world(seed=5, states=6, actions=3):
    """Dice for everything; one step in five ends it, in the last state.

    No state is rare: what is seldom visited is learnt late.
    """
    draw, least = rng(seed), 0.5 / (states - 1)
    P = np.zeros((states, actions, states))
    chances = draw.dirichlet(np.ones(states - 1), (states - 1, actions))
    P[:-1, :, :-1] = 0.8 * (least + 0.5 * chances)
    P[:-1, :, -1] = 0.2
    P[-1, :, -1] = 1
    R = draw.normal(size=P.shape)
    R[-1] = 0
    start = np.append(least + 0.5 * draw.dirichlet(np.ones(states - 1)), 0.0)
    return MDP(P, R, np.arange(states) == states - 1, start)


WORLD = small_world()
BATCH = sample_streams(WORLD, worlds.uniform(WORLD), 3, 5, rng(1))


def each(batch=BATCH):
    """Every run as plain lists: episodes of states and rewards."""
    for run in range(batch.over.shape[1]):
        episodes, states, rewards = [], [], []
        for t in range(len(batch.over)):
            states.append(int(batch.states[t, run]))
            rewards.append(float(batch.rewards[t, run]))
            if batch.over[t, run]:
                episodes.append(([*states, int(batch.after[t, run])], rewards))
                states, rewards = [], []
        yield run, episodes


def each_alpha(history):
    """What a loop must give for each run and step size, and where it stands."""
    for run, episodes in each():
        for k, alpha in enumerate(ALPHAS):
            yield episodes, alpha, history[:, run, :, k]


def begin():
    return [0.5] * 5 + [0.0]


# Streams


def test_episodes_are_those_of_the_world_and_its_policy():
    policy = rng(2).dirichlet(np.ones(3), 6)
    batch = sample_streams(WORLD, policy, 40, 300, rng(3))
    counts, rewards = np.zeros((6, 6)), np.zeros((6, 6))
    for _, episodes in each(batch):
        for states, gains in episodes:
            assert states[-1] == 5
            assert 5 not in states[:-1]
            for s, after, gain in zip(states, states[1:], gains):
                counts[s, after] += 1
                rewards[s, after] += gain
    chances = np.einsum("sa,sat->st", policy, WORLD.P)[:5]
    n = counts[:5].sum(1, keepdims=True)
    bound = 5 * np.sqrt(chances * (1 - chances) / n)
    assert (np.abs(counts[:5] / n - chances) <= bound).all()
    mean = np.einsum("sa,sat,sat->st", policy, WORLD.P, WORLD.R)[:5] / chances
    assert (np.abs(rewards[:5] / counts[:5] - mean) < 0.35).all()
    begun = [states[0] for _, episodes in each(batch) for states, _ in episodes]
    first = np.bincount(begun, minlength=6) / 12_000
    same(first, WORLD.start, atol=0.025)


def test_every_run_has_its_episodes_and_then_rests():
    for run, episodes in each():
        assert len(episodes) == 5
        lengths = [len(rewards) for _, rewards in episodes]
        steps = sum(lengths)
        assert (BATCH.states[steps:, run] == 5).all()
        assert (BATCH.after[steps:, run] == 5).all()
        assert not BATCH.rewards[steps:, run].any()
        assert not BATCH.over[steps:, run].any()
        numbers = np.repeat(np.arange(5), lengths)
        assert (BATCH.episode[:steps, run] == numbers).all()
        left = [k for length in lengths for k in range(length, 0, -1)]
        assert (BATCH.left[:steps, run] == left).all()
        assert (BATCH.left[steps:, run] == 1).all()
    assert (~BATCH.over[-1]).any()  # some run rests


# Prediction


def test_td_is_the_loop():
    for episodes, alpha, got in each_alpha(
        td.td_prediction(BATCH, ALPHAS, GAMMA, first=0.5)
    ):
        v = begin()
        for (states, rewards), now in zip(episodes, got):
            for s, r, after in zip(states, rewards, states[1:]):
                v[s] += alpha * (r + GAMMA * v[after] - v[s])
            same(now, v)


def book_n_step(v, states, rewards, n, alpha):
    """The box of Sutton & Barto, section 7.1, with its times t and tau."""
    T, t = len(rewards), 0
    while True:
        tau = t - n + 1
        if tau >= 0:
            last = min(tau + n, T)
            gain = sum(
                GAMMA ** (i - tau - 1) * rewards[i - 1]
                for i in range(tau + 1, last + 1)
            )
            if tau + n < T:
                gain += GAMMA**n * v[states[tau + n]]
            v[states[tau]] += alpha * (gain - v[states[tau]])
        if tau == T - 1:
            return
        t += 1


@pytest.mark.parametrize("n", [1, 2, 3, 7, 400])
def test_n_step_td_is_the_box_of_the_book(n):
    for episodes, alpha, got in each_alpha(
        td.n_step_td(BATCH, n, ALPHAS, GAMMA, first=0.5)
    ):
        v = begin()
        for (states, rewards), now in zip(episodes, got):
            book_n_step(v, states, rewards, n, alpha)
            same(now, v)


def test_one_step_is_td_and_all_steps_are_monte_carlo():
    same(
        td.n_step_td(BATCH, 1, ALPHAS, GAMMA, 0.5),
        td.td_prediction(BATCH, ALPHAS, GAMMA, 0.5),
    )
    for episodes, alpha, got in each_alpha(
        td.n_step_td(BATCH, 999, ALPHAS, GAMMA, 0.5)
    ):
        v = begin()
        for (states, rewards), now in zip(episodes, got):
            for t, s in enumerate(states[:-1]):
                gain = sum(GAMMA**k * r for k, r in enumerate(rewards[t:]))
                v[s] += alpha * (gain - v[s])
            same(now, v)


def by_run(column):
    """Numbers by time and run as one list a run, without the rest."""
    for run, episodes in each():
        steps = sum(len(rewards) for _, rewards in episodes)
        yield episodes, column[:steps, run]


def test_sums_of_the_next_n_rewards():
    for n in (1, 2, 5, 30):
        for episodes, got in by_run(td.reward_sums(BATCH, n, GAMMA)):
            want = [
                sum(GAMMA**k * r for k, r in enumerate(rewards[t : t + n]))
                for _, rewards in episodes
                for t in range(len(rewards))
            ]
            same(got, want)


def from_definition(states, rewards, v, lam, horizon=None):
    """The lambda-return up to a horizon: n-step returns and their weights, eq. 12.3."""
    T = len(rewards)
    horizon = T if horizon is None else horizon
    out = []
    for t in range(horizon):
        total, gain = 0.0, 0.0
        for n in range(1, horizon - t + 1):
            gain += GAMMA ** (n - 1) * rewards[t + n - 1]
            end = gain + GAMMA**n * v[states[t + n]]
            weight = (1 - lam) * lam ** (n - 1)
            total += (lam ** (n - 1) if t + n == horizon else weight) * end
        out.append(total)
    return out


@pytest.mark.parametrize("lam", [0.0, 0.4, 1.0])
def test_lambda_returns_are_weighted_n_step_returns(lam):
    v = np.append(rng(6).normal(size=(3, 5)), np.zeros((3, 1)), axis=1)
    got = td.lambda_returns(BATCH, v, GAMMA, lam)
    for run, (episodes, column) in enumerate(by_run(got)):
        want = [
            gain
            for states, rewards in episodes
            for gain in from_definition(states, rewards, v[run], lam)
        ]
        same(column, want)


@pytest.mark.parametrize("lam", [0.0, 0.6, 1.0])
def test_traces_add_up_to_the_forward_view(lam):
    """To first order in alpha, that is, as long as values stand still."""
    tiny = 1e-7
    got = td.td_lambda(BATCH, lam, np.array([tiny]), GAMMA, first=0.5)[0, :, :, 0]
    for run, episodes in each():
        states, rewards = episodes[0]
        want = np.zeros(6)
        for s, gain in zip(states, from_definition(states, rewards, begin(), lam)):
            want[s] += gain - 0.5
        same((got[run] - begin()) / tiny, want, rtol=1e-4, atol=1e-4)


def test_without_a_trace_both_are_td():
    want = td.td_prediction(BATCH, ALPHAS, GAMMA, 0.5)
    same(td.td_lambda(BATCH, 0.0, ALPHAS, GAMMA, 0.5), want)
    same(td.true_online_td_lambda(BATCH, 0.0, ALPHAS, GAMMA, 0.5), want)


def test_accumulating_traces_are_the_loop():
    for episodes, alpha, got in each_alpha(
        td.td_lambda(BATCH, 0.7, ALPHAS, GAMMA, 0.5)
    ):
        v = begin()
        for (states, rewards), now in zip(episodes, got):
            trace = [0.0] * 6
            for s, r, after in zip(states, rewards, states[1:]):
                error = r + GAMMA * v[after] - v[s]
                trace = [GAMMA * 0.7 * e for e in trace]
                trace[s] += 1
                v = [value + alpha * error * e for value, e in zip(v, trace)]
            same(now, v)


@pytest.mark.parametrize("lam", [0.3, 0.8, 1.0])
def test_dutch_traces_are_the_online_forward_view(lam):
    """At every horizon all updates of the episode are done again, section 12.4."""
    for episodes, alpha, got in each_alpha(
        td.true_online_td_lambda(BATCH, lam, ALPHAS, GAMMA, 0.5)
    ):
        v = begin()
        for (states, rewards), now in zip(episodes, got):
            # passes[h] is the last value vector of horizon h, from which h + 1 reads.
            passes = [list(v)]
            for horizon in range(1, len(rewards) + 1):
                w = list(v)
                for t in range(horizon):
                    total = 0.0
                    for n in range(1, horizon - t + 1):
                        gain = sum(GAMMA**k * rewards[t + k] for k in range(n))
                        # G_{t:t+n} reads the values as they were at time t + n - 1
                        gain += GAMMA**n * passes[t + n - 1][states[t + n]]
                        last = t + n == horizon
                        total += (1 if last else 1 - lam) * lam ** (n - 1) * gain
                    w[states[t]] += alpha * (total - w[states[t]])
                passes.append(w)
            v = passes[-1]
            same(now, v)


# Batches


def test_certainty_equivalence_is_where_batch_td_comes_to_rest():
    values = td.certainty_equivalence(BATCH, GAMMA, first=0.5)
    for run, episodes in each():
        for e in (0, 4):
            v = np.array(begin())
            for _ in range(4000):
                step = np.zeros(6)
                for states, rewards in episodes[: e + 1]:
                    for s, r, after in zip(states, rewards, states[1:]):
                        step[s] += r + GAMMA * v[after] - v[s]
                v += 0.03 * step
            same(values[e, run], v, atol=1e-6)


def test_mean_returns_are_the_mean_over_all_visits():
    values = td.mean_returns(BATCH, GAMMA, first=0.5)
    for run, episodes in each():
        seen = [[] for _ in range(6)]
        for e, (states, rewards) in enumerate(episodes):
            for t, s in enumerate(states[:-1]):
                seen[s].append(sum(GAMMA**k * r for k, r in enumerate(rewards[t:])))
            want = [np.mean(g) if g else v for g, v in zip(seen, begin())]
            same(values[e, run], want)


def predictor():
    """Sutton & Barto's example 6.4: once A then B and nothing, six times B and 1."""
    after = np.array([1, 2, 2, 2, 2, 2, 2, 2, 2])
    states = np.array([0, 1, 1, 1, 1, 1, 1, 1, 1])
    rewards = np.array([0, 0, 1, 1, 1, 1, 1, 1, 0.0])
    columns = (column[:, None] for column in (states, rewards, after, after == 2))
    return Streams(*columns, np.array([False, False, True]))


def test_you_are_the_predictor():
    same(td.certainty_equivalence(predictor())[-1, 0], [0.75, 0.75, 0])
    same(td.mean_returns(predictor())[-1, 0], [0, 0.75, 0])


def test_certainty_equivalence_gets_to_the_truth():
    policy = worlds.uniform(WORLD)
    batch = sample_streams(WORLD, policy, 30, 400, rng(7))
    got = td.certainty_equivalence(batch, GAMMA)[-1]
    truth = worlds.policy_values(WORLD, policy, GAMMA)
    error = got.std(0) / 30**0.5
    assert (np.abs(got.mean(0) - truth) <= 5 * error + 1e-9).all()
    assert (got.std(0)[:-1] < 0.2).all()


# The figures of the book


def rms(values, truth):
    """(episodes, alphas): error over the states inside, then its mean over runs."""
    off = values[:, :, 1:-1] - np.asarray(truth)[:, None]
    return np.sqrt((off**2).mean(2)).mean(1)


def test_td_beats_monte_carlo_on_the_random_walk():
    walk = worlds.random_walk(5)
    batch = sample_streams(walk, worlds.uniform(walk), 400, 100, rng(8))
    truth = np.arange(1, 6) / 6
    one = td.td_prediction(batch, np.array([0.05, 0.1, 0.15]), first=0.5)
    every = td.n_step_td(batch, 10_000, np.array([0.01, 0.02, 0.03, 0.04]), first=0.5)
    same(rms(one, truth)[-1], [0.036, 0.055, 0.069], atol=0.005)
    same(rms(every, truth)[-1], [0.099, 0.083, 0.097, 0.107], atol=0.008)


def test_intermediate_n_is_best_on_the_long_walk():
    walk = worlds.random_walk(19, left=-1.0)
    batch = sample_streams(walk, worlds.uniform(walk), 60, 10, rng(9))
    alphas = np.arange(0.1, 1.01, 0.1)
    least = {
        n: rms(td.n_step_td(batch, n, alphas), np.linspace(-0.9, 0.9, 19)).mean(0).min()
        for n in (1, 4, 512)
    }
    assert least[4] < least[1] - 0.03
    assert least[1] < least[512] - 0.1


# Control


def test_what_the_next_state_is_worth():
    q = np.array([[1.0, 5.0, 3.0], [4.0, 0.0, 2.0]])
    policy = np.array([[0.5, 0.2, 0.3], [0.1, 0.1, 0.8]])
    actions = np.array([2, 1])
    same(td.sarsa_value(q, policy, actions), [3, 0])
    same(td.expected_sarsa_value(q, policy, actions), [2.4, 2.0])
    same(td.q_learning_value(q, policy, actions), [5, 4])


def test_epsilon_greedy_shares_among_equals():
    q = np.array([[1.0, 3.0, 3.0, 0.0], [2.0, 1.0, 1.0, 1.0]])
    got = epsilon_greedy(q, 0.2)
    same(got, [[0.05, 0.45, 0.45, 0.05], [0.85, 0.05, 0.05, 0.05]])


def test_nothing_is_worth_anything_after_the_end():
    q = np.ones((2, 3, 2))
    at = np.array([0, 1]), np.array([2, 0]), np.array([1, 1])
    over, worth = np.array([True, False]), np.array([9.0, 9.0])
    errors = td_update(q, at, np.array([4.0, 4.0]), over, worth, 0.5, GAMMA)
    same(errors, [3, 4 + 8.1 - 1])
    want = np.ones((2, 3, 2))
    want[0, 2, 1], want[1, 0, 1] = 2.5, 1 + 0.5 * 11.1
    same(q, want)


def plain(mdp, kind, episodes, alpha, epsilon, dice):
    """One run with numbers only; draws in the order of `td_control`."""
    states, actions = mdp.P.shape[:2]
    tables = [[[0.0] * actions for _ in range(states)] for _ in range(2)]

    def values(s):
        if kind == "double":
            return [a + b for a, b in zip(tables[0][s], tables[1][s])]
        return tables[0][s]

    def chances(s):
        q = values(s)
        best = [i for i, value in enumerate(q) if value == max(q)]
        return [
            epsilon / actions + (i in best) * (1 - epsilon) / len(best)
            for i in range(actions)
        ]

    def draw(s):
        below = np.cumsum(chances(s))
        return int((dice.random((1, 1)) * below[-1] >= below).sum())

    returns = []
    for _ in range(episodes):
        s = int(mdp.reset(1, dice)[0])
        a, over, total = draw(s), False, 0.0
        while not over:
            (r,), (after,), (over,) = mdp.step(np.array([s]), np.array([a]), dice)
            then, total = draw(after), total + r
            one, other = tables[0], tables[0]
            if kind == "double":
                coin = int(dice.integers(0, 2, 1)[0])
                one, other = tables[coin], tables[1 - coin]
            if kind == "sarsa":
                worth = one[after][then]
            elif kind == "expected":
                worth = sum(p * q for p, q in zip(chances(after), one[after]))
            else:
                worth = other[after][one[after].index(max(one[after]))]
            target = r + (0 if over else GAMMA * worth)
            one[s][a] += alpha * (target - one[s][a])
            s, a = int(after), then
        returns.append(total)
    last = np.mean(tables, axis=0) if kind == "double" else tables[0]
    return np.array(last), returns


VALUES = {
    "sarsa": td.sarsa_value,
    "expected": td.expected_sarsa_value,
    "q": td.q_learning_value,
}


@pytest.mark.parametrize("kind", [*VALUES, "double"])
@pytest.mark.parametrize("name", ["small", "cliff"])
def test_one_run_of_control_is_the_plain_loop(kind, name):
    mdp = WORLD if name == "small" else worlds.cliff_walking()
    count = 12 if name == "small" else 3
    want, returns = plain(mdp, kind, count, 0.4, 0.3, rng(10))
    if kind == "double":
        got = td.double_q_learning(mdp, 1, count, 0.4, 0.3, rng(10), GAMMA)
    else:
        got = td.td_control(mdp, VALUES[kind], 1, count, 0.4, 0.3, rng(10), GAMMA)
    same(got.q[0], want, atol=1e-12)
    same(got.returns[0], returns)


@pytest.mark.parametrize("kind", VALUES)
def test_an_agent_in_an_environment_is_a_run_of_control(kind):
    mdp, dice = worlds.cliff_walking(), rng(11)
    env = worlds.Environment(mdp)
    agent = Agent(48, 4, VALUES[kind], 0.4, 0.3, dice, GAMMA)
    env.reset(seed=0)
    env.rng = dice
    env.reset = lambda seed=None: worlds.Environment.reset(env)
    returns = play(env, agent, 3, seed=0)
    want = td.td_control(mdp, VALUES[kind], 1, 3, 0.4, 0.3, rng(11), GAMMA)
    same(agent.q, want.q[0])
    same(returns, want.returns[0])


def test_runs_do_not_know_of_each_other():
    """Values of a random policy: means over runs, and a spread that knows alpha."""
    policy = worlds.uniform(WORLD)
    values = worlds.policy_values(WORLD, policy, GAMMA)
    truth = worlds.action_values(WORLD, values, GAMMA)
    alphas = np.repeat([0.1, 0.2], 100)
    for value in (td.sarsa_value, td.expected_sarsa_value):
        learned = td.td_control(WORLD, value, 200, 250, alphas, 1.0, rng(12), GAMMA)
        assert learned.q.shape == (200, 6, 3)
        off = learned.q - truth
        error = off.std(0) / 200**0.5
        assert (np.abs(off.mean(0)) <= 5 * error + 0.02).all()
        few, many = off[:100, :5].std(), off[100:, :5].std()
        assert 1.2 < many / few < 1.8  # about the root of 2


def test_steps_and_returns_are_those_of_the_episodes():
    learned = td.td_control(
        worlds.cliff_walking(), td.sarsa_value, 4, 6, 0.5, 0.1, rng(13)
    )
    falls = (-learned.returns - learned.steps) / 99
    same(falls, falls.round())
    assert (learned.steps >= 13).all()


def test_every_run_keeps_its_own_episodes_to_the_last():
    """A chain that pays 2^s for leaving s: the return tells how long it was."""
    P, R = np.zeros((6, 1, 6)), np.zeros((6, 1, 6))
    P[5, 0, 5] = 1
    for s in range(5):
        P[s, 0, s + 1], R[s, 0, s + 1] = 1, 2.0**s
    chain = MDP(P, R, np.arange(6) == 5, np.append(np.full(5, 0.2), 0.0))
    for seed in range(5):
        learned = td.td_control(chain, td.sarsa_value, 8, 7, 0.5, 0.0, rng(seed))
        same(learned.returns, 32 - 2 ** (5 - learned.steps))


def test_watching_anyone_q_learning_learns_what_is_best():
    """Deterministic moves and alpha = 1: exactly, from a policy that only wanders."""
    mdp = worlds.zhao_grid_world(r_forbidden=-10.0)
    looks = td.watch(mdp, worlds.uniform(mdp), 3, 16000, 1.0, GAMMA, rng(14), 8000)
    assert looks.shape == (3, 3, 25, 5)
    best = worlds.optimal_values(mdp, GAMMA)
    want = worlds.action_values(mdp, best, GAMMA)
    for q in looks[-1]:
        same(q, want, atol=0.01)


def test_two_tables_are_not_taken_in_by_the_luckiest_action():
    """Each of B's ten actions is worth -0.1, plus or minus 1."""
    P, R = np.zeros((3, 10, 3)), np.zeros((3, 10, 3))
    P[0, :5, 1] = P[0, 5:, 2] = P[2, :, 2] = 1
    # B pays 0.9 on the way to the end, -1.1 on the way by a second end
    P = np.pad(P, ((0, 1), (0, 0), (0, 1)))
    R = np.pad(R, ((0, 1), (0, 0), (0, 1)))
    P[1, :, 2] = P[1, :, 3] = 0.5
    P[3, :, 3] = 1
    R[1, :, 2], R[1, :, 3] = 0.9, -1.1
    world = MDP(P, R, np.array([False, False, True, True]), np.array([1.0, 0, 0, 0]))
    single = td.td_control(world, td.q_learning_value, 400, 300, 0.1, 0.1, rng(16))
    double = td.double_q_learning(world, 400, 300, 0.1, 0.1, rng(17))
    left, right = (
        (learned.steps[:, 5:100] == 2).mean() for learned in (single, double)
    )
    assert left > 0.4 > right


# gymnasium


def test_an_agent_runs_on_gymnasium_as_on_the_course():
    gymnasium = pytest.importorskip("gymnasium")
    for value in VALUES.values():
        learned = []
        for env in (
            gymnasium.make("CliffWalking-v1"),
            worlds.Environment(worlds.cliff_walking()),
        ):
            agent = Agent(
                env.observation_space.n, env.action_space.n, value, 0.5, 0.1, rng(18)
            )
            learned.append((play(env, agent, 6, seed=1), agent.q))
        for theirs, ours in zip(*learned):
            same(theirs, ours)
        assert theirs.shape == (48, 4)


def test_an_agent_learns_the_way_along_gymnasiums_cliff():
    gymnasium = pytest.importorskip("gymnasium")
    env = gymnasium.make("CliffWalking-v1")
    agent = Agent(48, 4, td.q_learning_value, 0.5, 0.1, rng(19))
    play(env, agent, 250, seed=2)
    state, _ = env.reset(seed=3)
    total, over = 0, False
    while not over and total > -50:
        state, reward, over, _, _ = env.step(int(agent.q[state].argmax()))
        total += reward
    assert total == -13


class Cut:
    """One state, one action, a reward of 1 for ever; each episode is cut after one."""

    def __init__(self):
        self.seeds = []

    def reset(self, *, seed=None):
        self.seeds.append(seed)
        return 0, {}

    def step(self, action):
        return 0, 1.0, False, True, {}


def test_an_episode_that_is_cut_short_is_not_over():
    agent = Agent(1, 1, td.q_learning_value, 0.5, 0.0, rng(), gamma=0.5)
    same(play(Cut(), agent, 30, seed=0), np.ones(30))
    same(agent.q, [[2.0]], atol=1e-3)  # 1 + 1/2 + 1/4 + ...


def test_the_seed_is_given_once_and_first():
    """Given again it would repeat the first episode."""
    env = Cut()
    play(env, Agent(1, 1, td.q_learning_value, 0.5, 0.0, rng()), 3, seed=7)
    assert env.seeds == [7, None, None]


def test_every_run_believes_the_same_at_first_and_nothing_of_an_end():
    v = BATCH.values(0.5)
    assert v.shape == (3, len(WORLD.start), 1)
    same(v[..., 0], np.tile(np.where(WORLD.terminal, 0, 0.5), (3, 1)))


def test_an_error_is_what_came_more_than_was_expected():
    """And a step of size alpha along it: two runs, two step sizes."""
    v = np.zeros((2, 3, 2))
    v[:, 1] = 4.0
    rows, states, after = np.array([0, 1]), np.array([0, 0]), np.array([1, 2])
    rewards, alphas = np.array([1.0, -2.0]), np.array([0.5, 0.25])
    errors = td.td0_update(v, rows, states, rewards, after, alphas, 0.5)
    same(errors, [[3.0, 3.0], [-2.0, -2.0]])
    same(v[:, 0], [[1.5, 0.75], [-1.0, -0.5]])


@pytest.mark.usefixtures("plain_errors")
def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        td.n_step_td(BATCH, 0, ALPHAS)
    endless = worlds.zhao_grid_world()
    with pytest.raises(ValueError, match="to an end within 50 steps"):
        sample_streams(endless, worlds.uniform(endless), 1, 1, rng(), longest=50)
