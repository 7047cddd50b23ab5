# ---
# jupyter:
#   hide: [reinforcement_learning/agents]
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # Temporal-difference learning
#
# Learners that get data and nothing else: episodes as they were recorded, one step after the other. No function here draws a random number or asks for a model.

# %%
import numpy as np

from course import check

# %% [markdown]
# ## 1 · Values from a record
#
# TD(0) on recorded episodes, step by step in the order in which they happened. Two things are as they are in practice. First, an episode may *end* or merely be *cut short*, by a limit on its time; gymnasium calls that terminated and truncated. After an end there is nothing more to come. After a cut there is, only nobody looked. The flag decides, not the number of the state: one and the same state may be where one episode ends and another goes on. Second, the step size is either a constant or $1/k$ at the $k$-th update *of that state*.
#
# <details><summary>Hint 1</summary>An episode of T rewards has T + 1 states: step t leads from states[t] to states[t + 1]. Only the last step of an episode that ended has nothing behind it.</details>
# <details><summary>Hint 2</summary>The value of the next state is read as it is at that moment, after all updates before.</details>


# %% solution="values_from_record" difficulty=2 minutes=15
def values_from_record(episodes, n_states, gamma, alpha=None):
    """TD(0) on all steps of all episodes, once, in order; values start at 0.

    episodes: a list of (states, rewards, ended): a list of T + 1 whole numbers, a list
    of T numbers, T at least 1, and whether the episode ended with the last state (True)
    or was cut short there (False). alpha: the step size, or None for 1/k at the k-th
    update of a state. Returns a float64 array (n_states,).
    """
    ### BEGIN SOLUTION
    values, counts = np.zeros(n_states), np.zeros(n_states)
    for states, rewards, ended in episodes:
        for t, reward in enumerate(rewards):
            s, after = states[t], states[t + 1]
            over = ended and t == len(rewards) - 1
            target = reward + (0 if over else gamma * values[after])
            counts[s] += 1
            size = 1 / counts[s] if alpha is None else alpha
            values[s] += size * (target - values[s])
    return values
    ### END SOLUTION


# %% test="values_from_record" points=3
record = [([0, 1, 2], [1.0, 3.0], True), ([1, 0], [2.0], False)]
check.close(
    values_from_record(record, 4, 0.5, 0.5),
    np.array([0.5, 1.5 + 0.5 * (2 + 0.5 * 0.5 - 1.5), 0.0, 0.0]),
    "two episodes, step size 0.5, gamma 0.5. The first ends in state 2: states 0 and "
    "1 get half of 1 and of 3. The second is cut short in state 0, which is worth "
    "0.5 by then: state 1 moves halfway to 2 + 0.5 · 0.5",
)
check.close(
    values_from_record([([0, 0, 1], [4.0, 0.0], True)], 2, 1.0),
    np.array([2.0, 0.0]),
    "state 0 to itself for a reward of 4, then to the end, step size 1/k, gamma 1: 4 "
    "after the first update, the mean of 4 and 0 after the second",
)
### BEGIN HIDDEN TESTS
from lib.reinforcement_learning import environments as worlds

dice = check.rng("values_from_record")


@check.probe
def still_the_same(record, n_states):
    values_from_record(*(record, n_states, 0.7))
    return record


def made_up(count, n_states, longest, cut):
    """Episodes of a chain that nobody designed; any state may be the last."""
    made = []
    for _ in range(count):
        length = int(dice.integers(1, longest + 1))
        path = dice.integers(0, n_states, length + 1).tolist()
        gains = dice.normal(size=length).tolist()
        made.append((path, gains, bool(dice.random() > cut)))
    return made


def step_after_step(given, n_states, gamma, alpha):
    """A dict of pairs, value and how often, and the steps as one long list."""
    known = dict.fromkeys(range(n_states), (0.0, 0))
    steps = [
        (path[k], gains[k], path[k + 1], 0.0 if end and k + 1 == len(gains) else gamma)
        for path, gains, end in given
        for k in range(len(gains))
    ]
    for here, gain, there, keep in steps:
        old, times = known[here]
        rate = alpha if alpha is not None else 1 / (times + 1)
        goal = gain + keep * known[there][0]
        known[here] = ((1 - rate) * old + rate * goal, times + 1)
    return np.array([known[k][0] for k in range(n_states)])


for size, gamma, words in (
    (0.3, 0.9, "a constant step size"),
    (None, 0.9, "step sizes 1/k"),
    (None, 1.0, "step sizes 1/k, gamma 1"),
    (1.0, 0.4, "a step size of 1"),
    (0.2, 0.0, "gamma 0: only the next reward counts"),
):
    for cut in (0.0, 0.5, 1.0):
        given = made_up(12, 7, 9, cut)
        kinds = {0.0: "all ended", 0.5: "some cut short", 1.0: "all cut short"}
        check.close(
            values_from_record(given, 9, gamma, size),
            step_after_step(given, 9, gamma, size),
            f"random episodes, {kinds[cut]}, {words}; two states that are never seen",
        )
one_step = [([2, 2], [5], True), ([2, 2], [5], False), ([2, 2], [7], True)]
check.close(
    values_from_record(one_step, 3, 1.0, 0.5),
    step_after_step(one_step, 3, 1.0, 0.5),
    "episodes of a single step from a state to itself, ended, cut short, ended; whole "
    "numbers as rewards",
)
check.close(
    values_from_record([], 3, 0.9),
    np.zeros(3),
    "no episodes at all: the values stay where they start",
)
given = made_up(3, 4, 5, 0.5)
check.close(still_the_same(given, 4), given, "the episodes were changed")

walk = worlds.random_walk(5)
lot = []
for _ in range(3000):
    path, gains = [3], []
    while not walk.terminal[path[-1]]:
        (gain,), (there,), _ = walk.step(np.array([path[-1]]), np.array([0]), dice)
        path.append(int(there))
        gains.append(float(gain))
    lot.append((path, gains, True))
check.close(
    values_from_record(lot, 7, 0.6),
    worlds.policy_values(walk, worlds.uniform(walk), 0.6),
    "3000 episodes of the random walk, gamma 0.6, step sizes 1/k: near the values that "
    "a linear system gives, and 0 at the ends",
    atol=0.05,
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · Learn from someone else's steps
#
# Q-learning needs no policy: only steps, whoever took them. Write it for a list of steps, from a table that is given, and mind that what the table says about an end is not to be believed: it may hold anything there.
#
# <details><summary>Hint 1</summary>The target is the reward plus what the best action of the next state is worth, discounted, as the table has it at that moment.</details>
# <details><summary>Hint 2</summary>After a step that was the last, the reward is all.</details>


# %% solution="learn_by_watching" difficulty=2 minutes=10
def learn_by_watching(steps, q, alpha, gamma):
    """Q-learning on recorded steps, in order, each used once.

    steps: a list of (s, a, r, after, over): state, action, reward, next state, and
    whether the episode ended there. q: (S, A) float64, the values to start from, also
    of ends. Returns a new array like q; q itself stays as it is.
    """
    ### BEGIN SOLUTION
    q = q.copy()
    for s, a, r, after, over in steps:
        best = 0.0 if over else q[after].max()
        q[s, a] += alpha * (r + gamma * best - q[s, a])
    return q
    ### END SOLUTION


# %% test="learn_by_watching" points=3
table = np.array([[1.0, 2.0], [4.0, 8.0], [5.0, 5.0]])
check.close(
    learn_by_watching([(0, 1, 3.0, 1, False)], table, 0.5, 0.25),
    np.array([[1.0, 3.5], [4.0, 8.0], [5.0, 5.0]]),
    "one step from state 0 by action 1, reward 3, to state 1, whose best action is "
    "worth 8: halfway from 2 to 3 + 0.25 · 8",
)
check.close(
    learn_by_watching([(1, 0, -1.0, 2, True)], table, 0.5, 0.25),
    np.array([[1.0, 2.0], [1.5, 8.0], [5.0, 5.0]]),
    "a last step with reward −1: halfway from 4 to −1, whatever the table says about "
    "state 2",
)
### BEGIN HIDDEN TESTS
from lib.reinforcement_learning import environments as worlds

dice = check.rng("learn_by_watching")


@check.probe
def table_after(steps, q):
    learn_by_watching(*(steps, q, 0.5, 0.9))
    return q


def one_by_one(given, start, alpha, gamma):
    """Plain lists, and the best action's value looked up by sorting."""
    rows = start.tolist()
    for here, chosen, gain, there, last in given:
        goal = gain if last else gain + gamma * sorted(rows[there])[-1]
        rows[here][chosen] = (1 - alpha) * rows[here][chosen] + alpha * goal
    return np.array(rows)


for S, A, alpha, gamma, words in (
    (6, 3, 0.3, 0.9, "6 states, 3 actions"),
    (3, 5, 1.0, 1.0, "step size 1, gamma 1"),
    (4, 1, 0.5, 0.8, "a single action"),
    (1, 4, 0.5, 0.8, "a single state"),
    (5, 2, 0.4, 0.0, "gamma 0"),
):
    given = [
        (
            int(dice.integers(S)),
            int(dice.integers(A)),
            float(dice.normal()),
            int(dice.integers(S)),
            bool(dice.random() < 0.3),
        )
        for _ in range(60)
    ]
    start = dice.normal(size=(S, A))
    check.close(
        learn_by_watching(given, start, alpha, gamma),
        one_by_one(given, start, alpha, gamma),
        f"random steps from a random table, {words}",
    )
    check.close(
        table_after(given, start.copy()),
        start,
        f"the table that was given has changed, {words}",
    )
low = np.full((3, 2), -7.0)
check.close(
    learn_by_watching([(0, 0, -1, 1, False)], low, 0.5, 1.0)[0, 0],
    np.float64(-7.5),
    "all values are below zero: the best of them is below zero too",
)
check.close(
    learn_by_watching([], start, 0.5, 0.9), start, "no steps: the table as it was"
)

cliff = worlds.cliff_walking()
here = dice.integers(0, 37, 16_000)
chosen = dice.integers(0, 4, len(here))
gains, there, last = cliff.step(here, chosen, dice)
columns = (x.tolist() for x in (here, chosen, gains, there, last))
got = learn_by_watching(list(zip(*columns)), np.zeros((48, 4)), 1.0, 1.0)
check.close(
    got[:37],
    worlds.action_values(cliff, worlds.optimal_values(cliff, 1.0), 1.0)[:37],
    "the cliff, steps by chance from anywhere, step size 1: exactly the optimal values",
)
place, total, count = np.array([36]), 0.0, 0
while not cliff.terminal[place[0]] and count < 60:
    gain, place, _ = cliff.step(place, got[place].argmax(-1), dice)
    total, count = total + float(gain[0]), count + 1
check.close(
    total, -13.0, "the greedy path along the cliff, learnt from aimless steps: 13 steps"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · n steps
#
# n-step TD on a single episode that ended, as the chapter defines it: the state of time $t$ moves towards the next $n$ rewards and the value of the state after them. Where the episode is over before that, there are fewer rewards and no value. Values that were updated earlier in the episode count in later targets.
#
# <details><summary>Hint 1</summary>Update the states in the order of their times. The rewards of time t are rewards[t : t + n]; a slice may run past the end.</details>
# <details><summary>Hint 2</summary>There is a value at the end of the target only if t + n is below T.</details>
# <details><summary>Hint 3</summary>That value is n steps away.</details>


# %% solution="learn_n_steps" difficulty=3 minutes=15
def learn_n_steps(values, states, rewards, n, alpha, gamma):
    """The values after n-step TD on one episode.

    values: (S,) float64, before the episode; what it says about the end counts for
    nothing. states: a list of T + 1 whole numbers, the last of them the end. rewards: a
    list of T numbers. n: at least 1. Returns a new array like values.
    """
    ### BEGIN SOLUTION
    values, T = values.copy(), len(rewards)
    for t in range(T):
        target = sum(gamma**k * r for k, r in enumerate(rewards[t : t + n]))
        if t + n < T:
            target += gamma**n * values[states[t + n]]
        values[states[t]] += alpha * (target - values[states[t]])
    return values
    ### END SOLUTION


# %% test="learn_n_steps" points=3
before = np.array([1.0, 2.0, 4.0, 0.0])
check.close(
    learn_n_steps(before, [0, 1, 2, 3], [1.0, 1.0, 1.0], 1, 0.5, 0.5),
    np.array([1.5, 2.5, 2.5, 0.0]),
    "n = 1 must be TD(0): each state moves halfway to 1 + 0.5 · the next value",
)
check.close(
    learn_n_steps(before, [0, 1, 2, 3], [1.0, 1.0, 1.0], 2, 0.5, 0.5),
    np.array([1.0 + 0.5 * (1 + 0.5 + 0.25 * 4 - 1), 1.75, 2.5, 0.0]),
    "n = 2: state 0 moves halfway to 1 + 0.5 · 1 + 0.5² · 4; states 1 and 2 have two "
    "rewards and one left, and no value behind them",
)
### BEGIN HIDDEN TESTS
dice = check.rng("learn_n_steps")


@check.probe
def arguments_after(values, states, rewards):
    learn_n_steps(*(values, states, rewards, 2, 0.5, 0.9))
    return values, states, rewards


def by_table(start, path, gains, n, alpha, gamma):
    """From a matrix of discounts, one row for each time."""
    T = len(gains)
    k = np.arange(T)[None] - np.arange(T)[:, None]
    sums = np.where((k >= 0) & (k < n), gamma ** np.maximum(k, 0), 0.0) @ gains
    now = list(start)
    for i, here in enumerate(path[:-1]):
        tail = now[path[i + n]] * gamma**n if i + n < T else 0.0
        now[here] = now[here] + alpha * (sums[i] + tail - now[here])
    return np.array(now)


for T in (1, 2, 6, 15):
    for n in (1, 2, 3, 6, 40):
        for alpha, gamma in ((0.4, 0.9), (1.0, 1.0), (0.3, 0.0)):
            path = [*dice.integers(0, 4, T).tolist(), 5]
            gains, start = dice.normal(size=T).tolist(), dice.normal(size=6)
            check.close(
                learn_n_steps(start, path, gains, n, alpha, gamma),
                by_table(start, path, gains, n, alpha, gamma),
                f"a random episode of {T} steps with repeated states, n = {n}, "
                f"gamma {gamma}",
            )
path, gains = [0, 1, 0, 2, 1, 3], [0.5, -1.0, 2.0, 0.0, 3.0]
start = np.array([0.3, -0.2, 0.9, 0.0])
td, mc = start.copy(), start.copy()
for i, here in enumerate(path[:-1]):
    td[here] += 0.25 * (gains[i] + 0.8 * td[path[i + 1]] - td[here])
    whole = sum(0.8**j * gain for j, gain in enumerate(gains[i:]))
    mc[here] += 0.25 * (whole - mc[here])
check.close(
    learn_n_steps(start, path, gains, 1, 0.25, 0.8),
    td,
    "n = 1 must be TD(0), also where a state comes back within the episode",
)
for n in (5, 6, 1000):
    check.close(
        learn_n_steps(start, path, gains, n, 0.25, 0.8),
        mc,
        "n of the whole episode and beyond: Monte Carlo with a constant step size",
    )
check.close(
    learn_n_steps(np.array([0.0, 9.0]), [0, 1], [2], 1, 0.5, 1.0),
    np.array([1.0, 9.0]),
    "what the values say about the end counts for nothing, and is left alone",
)
check.close(
    arguments_after(start.copy(), list(path), list(gains)),
    (start, path, gains),
    "an argument was changed in place",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · Two answers to the same data
#
# Show a learner the same episodes again and again, with small steps, until nothing changes. TD(0) and Monte Carlo come to rest at different values. The chapter derives both places of rest. Compute them, without going round and round.
#
# <details><summary>Hint 1</summary>Monte Carlo comes to rest at the mean of the returns after a state, over all its visits.</details>
# <details><summary>Hint 2</summary>TD(0) comes to rest where the TD errors of all steps from a state sum to 0: one linear equation for each state that was left.</details>
# <details><summary>Hint 3</summary>Count the steps from s to s′ in a matrix, add up the rewards of the steps from s. A state that was never left is worth 0: its equation says so.</details>


# %% solution="two_answers" difficulty=3 minutes=20
def two_answers(episodes, n_states, gamma):
    """Where TD(0) and Monte Carlo come to rest on these episodes: two arrays.

    episodes: a list of (states, rewards): T + 1 whole numbers, of which the last is an
    end, where no step ever begins, and T numbers, T at least 1. Monte Carlo counts
    every visit. What was never left is worth 0. gamma: from 0 to 1. Returns td and mc,
    float64 arrays (n_states,).
    """
    ### BEGIN SOLUTION
    counts, sums = np.zeros((n_states, n_states)), np.zeros(n_states)
    returns = np.zeros(n_states)
    for states, rewards in episodes:
        gain = 0.0
        for t in reversed(range(len(rewards))):
            gain = rewards[t] + gamma * gain
            counts[states[t], states[t + 1]] += 1
            sums[states[t]] += rewards[t]
            returns[states[t]] += gain
    left = np.maximum(counts.sum(1), 1)
    td = np.linalg.solve(np.diag(left) - gamma * counts, sums)
    return td, returns / left
    ### END SOLUTION


# %% test="two_answers" points=2
A, B, END = 0, 1, 2
predictor = [([A, B, END], [0, 0])] + 6 * [([B, END], [1])] + [([B, END], [0])]
check.close(
    two_answers(predictor, 3, 1.0),
    (np.array([0.75, 0.75, 0.0]), np.array([0.0, 0.75, 0.0])),
    "once A then B and nothing, six times B and 1, once B and 0. B is worth 6/8 to "
    "both. After A came B, says TD; after A came nothing, says Monte Carlo",
)
### BEGIN HIDDEN TESTS
dice = check.rng("two_answers")


@check.probe
def episodes_after(episodes, n_states):
    two_answers(*(episodes, n_states, 0.8))
    return episodes


def some_episodes(count, inside, longest):
    """Through `inside` states to one of two ends behind them."""
    made = []
    for _ in range(count):
        length = int(dice.integers(1, longest + 1))
        path = dice.integers(0, inside, length).tolist()
        path.append(inside + int(dice.integers(2)))
        made.append((path, dice.normal(size=length).tolist()))
    return made


def every_return(given, n_states, gamma):
    found = [[] for _ in range(n_states)]
    for path, gains in given:
        for i, here in enumerate(path[:-1]):
            found[here].append(sum(gamma**j * g for j, g in enumerate(gains[i:])))
    return np.array([np.mean(heard) if heard else 0.0 for heard in found])


def errors_of(values, given, gamma):
    """The TD errors of all steps, summed over each state."""
    off = np.zeros(len(values))
    for path, gains in given:
        for here, gain, there in zip(path, gains, path[1:]):
            off[here] += gain + gamma * values[there] - values[here]
    return off


for count, inside, longest, gamma, words in (
    (1, 4, 6, 0.9, "one episode"),
    (8, 5, 7, 0.9, "eight episodes"),
    (30, 5, 9, 1.0, "thirty episodes, gamma 1"),
    (10, 6, 1, 0.7, "episodes of one step"),
    (12, 4, 6, 0.0, "gamma 0"),
):
    given = some_episodes(count, inside, longest)
    n = inside + 4
    td, mc = two_answers(given, n, gamma)
    check.close(
        mc,
        every_return(given, n, gamma),
        f"mc, {words}, two states that never occur: the mean return over all visits",
        rtol=1e-5,
        atol=1e-5,
    )
    check.close(
        errors_of(np.asarray(td), given, gamma),
        np.zeros(n),
        f"td, {words}: the TD errors of the steps from a state must sum to 0",
        rtol=0,
        atol=1e-4,
    )
    seen = {here for path, _ in given for here in path[:-1]}
    rest = np.array([here not in seen for here in range(n)])
    check.close(
        td[rest],
        np.zeros(int(rest.sum())),
        f"td, {words}: ends, and states that never occur, are worth 0",
    )
one = [([0, 1, 2], [1.0, 2.0])]
check.close(
    two_answers(one, 3, 0.5),
    (np.array([2.0, 2.0, 0.0]), np.array([2.0, 2.0, 0.0])),
    "a single episode without a state that comes back: both are its returns",
    rtol=1e-5,
    atol=1e-5,
)
once = some_episodes(6, 4, 5)
shuffled = [once[i] for i in dice.permutation(6)]
for k, name in enumerate(("td", "mc")):
    check.close(
        two_answers(shuffled, 7, 0.9)[k],
        two_answers(once, 7, 0.9)[k],
        f"{name}: the order of the episodes must not matter",
        rtol=1e-5,
        atol=1e-5,
    )
    check.close(
        two_answers(once + once, 7, 0.9)[k],
        two_answers(once, 7, 0.9)[k],
        f"{name}: the same episodes twice say nothing new",
        rtol=1e-5,
        atol=1e-5,
    )
check.close(episodes_after(once, 7), once, "the episodes were changed")
### END HIDDEN TESTS
