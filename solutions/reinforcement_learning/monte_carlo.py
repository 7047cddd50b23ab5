# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # Monte Carlo
#
# The chapter kept episodes in rows. A log has no rows: whoever plays one episode after another gets one long stream of steps, and a flag wherever an episode ended. Four steps of the chapter, on such a stream:
#
# | array | what `[k]` holds |
# |---|---|
# | `states` (N,) | the state at step k, an integer from 0 |
# | `actions` (N,) | the action taken there, an integer from 0 |
# | `rewards` (N,) | the reward for it |
# | `over` (N,) | True where the step was the last of its episode |
#
# Step k + 1 begins a new episode where `over[k]` is True. After the last step of the stream nothing is known: its episode may have been cut.

# %%
import numpy as np

from course import check

# %% [markdown]
# ## 1 · Returns of a stream
#
# $G_t = R_{t+1} + \gamma G_{t+1}$ within an episode, and nothing of one episode in another. If the last episode was cut, its return is what there is of it.
#
# <details><summary>Hint 1</summary>Go backwards, and carry one number along.</details>
# <details><summary>Hint 2</summary>Where a step was the last of its episode, what was carried so far belongs to another one.</details>


# %% solution="stream_returns" difficulty=1 minutes=10
def stream_returns(rewards, over, gamma):
    """The return from every step of a stream of episodes.

    rewards: (N,), float64 or integers. over: (N,), bool. gamma: a float from 0 to 1,
    both included. N >= 1. Returns a new array (N,), float64.
    """
    ### BEGIN SOLUTION
    G, carried = np.zeros(len(rewards)), 0.0
    for k in reversed(range(len(rewards))):
        if over[k]:
            carried = 0.0
        carried = rewards[k] + gamma * carried
        G[k] = carried
    return G
    ### END SOLUTION


# %% test="stream_returns" points=2
check.close(
    stream_returns(np.array([1.0, 2.0, 4.0]), np.array([False, False, True]), 0.5),
    np.array([3.0, 4.0, 4.0]),
    "one episode with rewards 1, 2, 4 and gamma = 1/2: 1 + 2/2 + 4/4 = 3, 2 + 4/2, 4. "
    "3, 2.5, 1 or the like sum up what was, not what comes",
)
check.close(
    stream_returns(np.array([1, 1, 1]), np.array([True, False, False]), 1.0),
    np.array([1.0, 2.0, 1.0]),
    "integer rewards of 1, gamma = 1, an episode of one step and one that was cut "
    "after two: 1, then 2 and 1, as floats. 3 in front counts the next episode too",
)
### BEGIN HIDDEN TESTS
draw = check.rng("stream_returns")


@check.probe
def stream_after(rewards, over):
    stream_returns(rewards, over, 0.5)
    return rewards, over


for n, gamma in [(1, 0.3), (7, 0.0), (9, 1.0), (40, 0.93), (200, 0.7)]:
    rewards, over = draw.normal(size=n), draw.random(n) < 0.2
    shift = gamma * np.diag((~over[:-1]).astype(float), 1)
    want = np.linalg.solve(np.eye(n) - shift, rewards)
    words = f"random stream of {n} steps, gamma {gamma}"
    got = stream_returns(rewards, over, gamma)
    check.close(got, want, f"(I − gamma N) G = R, N without episode ends: {words}")
    check.close(
        stream_returns(3 * rewards, over, gamma),
        3 * got,
        f"three times the rewards, three times the returns: {words}",
    )
    kept = rewards.copy(), over.copy()
    check.close(
        stream_after(*kept), (rewards, over), f"an argument was changed: {words}"
    )
rewards, over = draw.integers(-5, 6, 30), draw.random(30) < 0.3
check.close(
    stream_returns(rewards, over, 0.9),
    stream_returns(rewards.astype(float), over, 0.9),
    "integer rewards are cut down to integers, or give another answer",
)
ends = np.flatnonzero(over)[-1] + 1
check.close(
    stream_returns(rewards[:ends], over[:ends], 0.8),
    stream_returns(rewards, over, 0.8)[:ends],
    "what comes after the end of an episode changes its returns",
)
every = np.ones(6, bool)
check.close(
    stream_returns(rewards[:6], every, 0.9),
    rewards[:6].astype(float),
    "episodes of one step each: the returns are the rewards",
)
long = np.ones(5000), np.zeros(5000, bool)
check.close(
    stream_returns(*long, 0.5)[:4000],
    np.full(4000, 2.0),
    "5000 rewards of 1, gamma = 1/2: the sum is 2 far from the end, and finite",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · First visits
#
# The value of a state is the mean return from the *first* visit of each episode to it. The returns are given.
#
# <details><summary>Hint 1</summary>Which states were seen in this episode? Forget them all where a new one begins.</details>
# <details><summary>Hint 2</summary>Sum and count for each state, divide at the end, and only where there is something to divide by.</details>


# %% solution="first_visit_means" difficulty=2 minutes=15
def first_visit_means(states, G, over, n_states):
    """The mean return from first visits to each state.

    states: (N,), int64, from 0 to n_states - 1. G: (N,), float64, the return from each
    step. over: (N,), bool. The last episode may be cut; its visits count like any.
    Returns (values, counts): float64 and int64, both (n_states,). counts is the number
    of episodes that visited a state; where it is 0 the value is 0.
    """
    ### BEGIN SOLUTION
    sums, counts = np.zeros(n_states), np.zeros(n_states, np.int64)
    seen = set()
    for s, g, last in zip(states.tolist(), G, over):
        if s not in seen:
            seen.add(s)
            sums[s] += g
            counts[s] += 1
        if last:
            seen = set()
    return sums / np.maximum(counts, 1), counts
    ### END SOLUTION


# %% test="first_visit_means" points=3
values, counts = first_visit_means(
    np.array([0, 1, 0, 0, 1]),
    np.array([6.0, 5.0, 1.0, 2.0, 3.0]),
    np.array([False, False, True, False, True]),
    3,
)
check.close(
    counts,
    np.array([2, 2, 0]),
    "two episodes, 0 → 1 → 0 and 0 → 1: each state was visited by two of them, state 2 "
    "by none. 3 for state 0 counts every visit; 1 forgets that a new episode began",
)
check.close(
    values,
    np.array([4.0, 4.0, 0.0]),
    "first visits: (6 + 2)/2 and (5 + 3)/2, and 0 where nobody was. 1.5 for state 0 "
    "takes the last visits, 3 all of them",
)
### BEGIN HIDDEN TESTS
from lib.reinforcement_learning import environments as worlds
from lib.reinforcement_learning import episodes as logs
from lib.reinforcement_learning import monte_carlo as reference

draw = check.rng("first_visit_means")


@check.probe
def visits_after(states, G, over):
    first_visit_means(states, G, over, 9)
    return states, G, over


def in_words(states, G, over, n_states):
    starts = [0, *(np.flatnonzero(over) + 1)]
    pieces = [slice(a, b) for a, b in zip(starts, [*starts[1:], len(states)])]
    table = [[] for _ in range(n_states)]
    for piece in pieces:
        here = states[piece].tolist()
        for s in set(here):
            table[s].append(G[piece][here.index(s)])
    numbers = np.array([len(row) for row in table])
    means = np.array([np.mean(row) if row else 0.0 for row in table])
    return means, numbers


for n, n_states, chance in [(1, 1, 0.5), (12, 3, 0.3), (60, 9, 0.1), (500, 5, 0.2)]:
    states = draw.integers(0, n_states, n)
    G, over = draw.normal(size=n), draw.random(n) < chance
    check.close(
        first_visit_means(states, G, over, n_states + 2),
        in_words(states, G, over, n_states + 2),
        f"random stream of {n} steps, {n_states} states, two more that nobody visits",
    )

for length in (2, 5, 11):
    stay = np.zeros(length, np.int64), np.arange(length, 0.0, -1)
    end = np.arange(length) == length - 1
    check.close(
        first_visit_means(*stay, end, 1),
        (np.array([float(length)]), np.array([1])),
        "an episode that stays in one state: its return from the start, once. Half of "
        "it is the mean of every visit, 1 is the last visit",
    )

P, R = np.zeros((5, 1, 5)), np.zeros((5, 1, 5))  # a ring of four, and its exit
for s in range(4):
    P[s, 0, (s + 1) % 4], P[s, 0, (s - 1) % 4], P[s, 0, 4] = 0.5, 0.3, 0.2
    R[s, 0, :] = s - 1.0
P[4, 0, 4] = 1
ring = worlds.MDP(P, R, np.arange(5) == 4, np.array([0.25] * 4 + [0.0]))
one = worlds.uniform(ring)
played = logs.rollout(ring, one, ring.reset(4000, draw), 400, draw)
live = played.live
last = live & ~np.pad(live[:, 1:], ((0, 0), (0, 1)))
G = reference.returns(played.rewards, 0.9)[live]
values, counts = first_visit_means(played.states[live], G, last[live], 5)
spread = G.std() / np.sqrt(np.maximum(counts, 1))
check.close(
    (values - worlds.policy_values(ring, one, 0.9))[:4] / (5 * spread[:4]),
    np.zeros(4),
    "4000 episodes on a ring of four states: values must be within five standard "
    "errors of the exact ones",
    atol=1.0,
)
states, G = draw.integers(0, 9, 25), draw.normal(size=25)
over = draw.random(25) < 0.3
check.close(
    first_visit_means(states, 1e6 + G, over, 9),
    in_words(states, 1e6 + G, over, 9),
    "returns near a million, which differ by about 1: sums lose digits in float32",
    rtol=1e-10,
    atol=1e-6,
)
check.close(
    visits_after(states.copy(), G.copy(), over.copy()),
    (states, G, over),
    "an argument was changed in place",
)
check.close(
    first_visit_means(states[::-1], G[::-1], over[::-1], 9),
    in_words(states[::-1].copy(), G[::-1].copy(), over[::-1].copy(), 9),
    "a non-contiguous stream gives another answer",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · A round with exploring starts
#
# Episodes were played by the current policy from random pairs of state and action. Now learn from them: the return from the first visit of each episode to a *pair* enters the running mean of that pair, and the new policy is greedy in the new means. The means of earlier rounds, and from how many returns they come, are given; they count as much as the new ones, a return each.
#
# <details><summary>Hint 1</summary>w ← w + (x − w)/k, where x is the k-th return of this pair.</details>
# <details><summary>Hint 2</summary>A second visit to the state with another action is a first visit to its pair.</details>
# <details><summary>Hint 3</summary>The policy comes last, from the means after all returns.</details>


# %% solution="exploring_starts_round" difficulty=3 minutes=20
def exploring_starts_round(q, counts, states, actions, G, over):
    """One round of Monte Carlo control: better means, and the policy greedy in them.

    q: (S, A), float64, mean return of each pair so far. counts: (S, A), int64, of how
    many returns; 0 where q is a guess that the first return replaces. states, actions:
    (N,), int64. G: (N,), float64. over: (N,), bool.
    Returns (q, counts, policy), new arrays; policy: (S,), int64, the action with the
    largest mean in every state, the first of them where several are.
    """
    ### BEGIN SOLUTION
    q, counts = q.copy(), counts.copy()
    seen = set()
    for s, a, g, last in zip(states.tolist(), actions.tolist(), G, over):
        if (s, a) not in seen:
            seen.add((s, a))
            counts[s, a] += 1
            q[s, a] += (g - q[s, a]) / counts[s, a]
        if last:
            seen = set()
    return q, counts, q.argmax(1)
    ### END SOLUTION


# %% test="exploring_starts_round" points=3
q, counts, policy = exploring_starts_round(
    np.array([[2.0, 0.0], [5.0, 5.0]]),
    np.array([[3, 0], [0, 0]]),
    np.array([0, 0, 0, 1]),
    np.array([0, 1, 0, 1]),
    np.array([6.0, 4.0, 9.0, 1.0]),
    np.array([False, False, False, True]),
)
check.close(
    counts,
    np.array([[4, 1], [0, 1]]),
    "one episode meets the pairs (0, 0), (0, 1), (0, 0) again and (1, 1). 5 counts the "
    "second visit to a pair; 0 at (0, 1) takes first visits to states, not to pairs",
)
check.close(
    q,
    np.array([[3.0, 4.0], [5.0, 1.0]]),
    "(0, 0) had mean 2 from three returns; with a 6 it has 3. 4 weighs the old mean "
    "like one return. A guess (count 0) is replaced by the first return",
)
check.close(
    policy, np.array([1, 0]), "the policy must be greedy in the new means: 4 > 3, 5 > 1"
)
### BEGIN HIDDEN TESTS
draw = check.rng("exploring_starts_round")


@check.probe
def round_after(q, counts, states, actions, G, over):
    given = q, counts, states, actions, G, over
    exploring_starts_round(*given)
    return given


def stream(n, n_states, n_actions, chance):
    pair = draw.integers(0, n_states, n), draw.integers(0, n_actions, n)
    return *pair, draw.normal(size=n), draw.random(n) < chance


for n_states, n_actions in [(1, 1), (3, 2), (4, 5)]:
    q = draw.normal(size=(n_states + 1, n_actions))
    counts = np.zeros(q.shape, np.int64)
    every, guess = {}, q.copy()
    for steps in (1, 30, 200):
        states, actions, G, over = stream(steps, n_states, n_actions, 0.15)
        episode = np.concatenate([[0], over[:-1].cumsum()]).tolist()
        met = set()
        for key in zip(episode, states.tolist(), actions.tolist(), G.tolist()):
            if key[:3] not in met:
                met.add(key[:3])
                every.setdefault(key[1:3], []).append(key[3])
        q, counts, policy = exploring_starts_round(q, counts, states, actions, G, over)
        words = f"{n_states} states met, one not, {n_actions} actions, {steps} steps"
        number = np.zeros(guess.shape, np.int64)
        mean = guess.copy()
        for pair, got in every.items():
            number[pair], mean[pair] = len(got), np.mean(got)
        check.close(counts, number, f"counts over all rounds: {words}")
        check.close(q, mean, f"the mean of all first-visit returns so far: {words}")
        check.close(
            policy, mean.argmax(1), f"the policy must be greedy in these: {words}"
        )

level = np.zeros((3, 4)), np.zeros((3, 4), np.int64)
step = np.array([1]), np.array([2]), np.array([-1.0]), np.array([True])
check.close(
    exploring_starts_round(*level, *step)[2],
    np.array([0, 0, 0]),
    "of several best actions the first must be taken",
)
given = (draw.normal(size=(3, 2)), draw.integers(1, 5, (3, 2)), *stream(9, 3, 2, 0.3))
check.close(
    round_after(*(array.copy() for array in given)),
    given,
    "q, counts or the stream was changed in place",
)
### END HIDDEN TESTS

# %% test="exploring_starts_round" aspect="blackjack" points=1
q, counts, policy = exploring_starts_round(
    np.zeros((213, 2)),
    np.zeros((213, 2), np.int64),
    np.array([19, 7]),
    np.array([0, 1]),
    np.array([1.0, -1.0]),
    np.array([True, True]),
)
check.close(
    (q.shape, counts.shape, policy.shape),
    ((213, 2), (213, 2), (213,)),
    "blackjack has 213 states (three of them ends) and 2 actions, whatever was visited",
)
### BEGIN HIDDEN TESTS
from lib.reinforcement_learning import environments as worlds
from lib.reinforcement_learning import episodes as logs
from lib.reinforcement_learning import monte_carlo as reference

draw = check.rng("exploring_starts_round blackjack")
game = worlds.blackjack()
exact = worlds.action_values(game, worlds.optimal_values(game, 1.0), 1.0)
clear = np.abs(exact[:, 0] - exact[:, 1]) > 0.02
begin = reference.all_pairs(game)
q, counts = np.zeros((213, 2)), np.zeros((213, 2), np.int64)
policy = np.zeros(213, np.int64)
for _ in range(30):
    drawn = draw.integers(0, 420, 3000)
    first, what = (column[drawn] for column in begin)
    played = logs.rollout(game, np.eye(2)[policy], first, 25, draw, what)
    live = played.live
    last = live & ~np.pad(live[:, 1:], ((0, 0), (0, 1)))
    G = reference.returns(played.rewards, 1.0)[live]
    q, counts, policy = exploring_starts_round(
        q, counts, played.states[live], played.actions[live], G, last[live]
    )
    check.close(policy, 0 * np.arange(213) + policy, "policy must be (213,), int64")
    check.close(
        policy.clip(0, 1), policy, "an action that blackjack does not have, 0 and 1"
    )
agreed = int((policy == exact.argmax(1))[clear].sum())
check.close(
    float(agreed),
    205.0,
    "90,000 games of blackjack, 3000 a round, each round with the policy of the last: "
    "in 185 of the 205 states where it matters the policy must be the best one",
    rtol=0,
    atol=20.5,
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · Another policy's episodes
#
# Policy b acted, and the values of π are asked for. Weigh each return by $\rho_t = \prod_{k=t}^{T-1}\frac{\pi(A_k|S_k)}{b(A_k|S_k)}$, from the visit to the end of its episode, and average over first visits: divide by their number (ordinary), or by the sum of their weights (weighted).
#
# <details><summary>Hint 1</summary>The product is a return with · for +: one pass backwards, and a fresh start at the end of every episode.</details>
# <details><summary>Hint 2</summary>The two estimators share the numerator. Where the denominator is 0, the value is 0.</details>


# %% solution="off_policy_values" difficulty=3 minutes=20
def off_policy_values(states, actions, G, over, pi, b, weighted):
    """Values of pi by importance sampling, from first visits of episodes that b played.

    states, actions: (N,), int64. G: (N,), float64. over: (N,), bool. pi, b: (S, A),
    float64, the chance of each action; b is positive wherever an action was taken, pi
    may be 0. weighted: a bool, which estimator.
    Returns a new array (S,), float64; 0 where no episode came by, or all weights are 0.
    """
    ### BEGIN SOLUTION
    rho, product = np.zeros(len(states)), 1.0
    for k in reversed(range(len(states))):
        if over[k]:
            product = 1.0
        product *= pi[states[k], actions[k]] / b[states[k], actions[k]]
        rho[k] = product
    sums, total = np.zeros(len(pi)), np.zeros(len(pi))
    seen = set()
    for s, weight, g, last in zip(states.tolist(), rho, G, over):
        if s not in seen:
            seen.add(s)
            sums[s] += weight * g
            total[s] += weight if weighted else 1
        if last:
            seen = set()
    return sums / np.where(total > 0, total, 1)
    ### END SOLUTION


# %% test="off_policy_values" points=3
even = np.full((2, 2), 0.5)
given = (
    np.array([0, 1, 0, 1]),
    np.array([0, 0, 1, 0]),
    np.array([3.0, 2.0, 8.0, 4.0]),
    np.array([False, True, False, True]),
)
for weighted in (False, True):
    check.close(
        off_policy_values(*given, even, even, weighted),
        np.array([5.5, 3.0]),
        f"pi = b, weighted {weighted}: all weights are 1, plain means of the returns",
    )
pi = np.array([[0.75, 0.25], [1.0, 0.0]])
check.close(
    off_policy_values(*given, pi, even, False),
    np.array([8.5, 6.0]),
    "ordinary: weights 3 and 1 in state 0 (1.5 · 2 and 0.5 · 2), 2 and 2 in state 1. "
    "(3 · 3 + 1 · 8)/2 and (2 · 2 + 2 · 4)/2. Weights in state 1 are 2 only if the "
    "product starts at the visit",
)
check.close(
    off_policy_values(*given, pi, even, True),
    np.array([4.25, 3.0]),
    "weighted: the same sums over the sum of the weights, 17/4 and 12/4",
)
### BEGIN HIDDEN TESTS
import itertools

from lib.reinforcement_learning import environments as worlds
from lib.reinforcement_learning import episodes as logs
from lib.reinforcement_learning import monte_carlo as reference

draw = check.rng("off_policy_values")


@check.probe
def all_after(states, actions, G, over, pi, b):
    off_policy_values(states, actions, G, over, pi, b, True)
    return states, actions, G, over, pi, b


def in_words(states, actions, G, over, pi, b, weighted):
    starts = [0, *(np.flatnonzero(over) + 1)]
    sums, total = np.zeros(len(pi)), np.zeros(len(pi))
    for start, stop in zip(starts, [*starts[1:], len(states)]):
        for s in set(states[start:stop].tolist()):
            k = start + states[start:stop].tolist().index(s)
            taken = states[k:stop], actions[k:stop]
            ratio = np.prod(pi[taken]) / np.prod(b[taken])
            sums[s] += ratio * G[k]
            total[s] += ratio if weighted else 1.0
    return np.array([x / n if n > 0 else 0.0 for x, n in zip(sums, total)])


for n, n_states, n_actions in [(1, 1, 2), (15, 3, 2), (120, 6, 4)]:
    for weighted in (False, True):
        b = draw.dirichlet(np.ones(n_actions), n_states) * 0.8 + 0.2 / n_actions
        pi = draw.dirichlet(np.ones(n_actions), n_states)
        pi[0] = np.eye(n_actions)[0]
        given = (
            draw.integers(0, n_states, n),
            draw.integers(0, n_actions, n),
            draw.normal(size=n),
            draw.random(n) < 0.3,
        )
        check.close(
            off_policy_values(*given, pi, b, weighted),
            in_words(*given, pi, b, weighted),
            f"random stream of {n} steps, {n_states} states, weighted {weighted}",
        )
        check.close(
            off_policy_values(*given, b, b, weighted),
            in_words(*given, b, b, False),
            f"pi = b, random stream of {n} steps, weighted {weighted}: plain means",
        )

# All episodes of three steps, each with the chance that b gives it.
pi, b = (draw.dirichlet(np.ones(2), 3) * 0.9 + 0.05 for _ in range(2))
pays = draw.normal(size=(3, 2))
alone, place, end = np.zeros(3), np.arange(3), np.arange(3) == 2
for sequence in itertools.product((0, 1), repeat=3):
    actions = np.array(sequence)
    G = pays[place, actions][::-1].cumsum()[::-1].copy()
    chance = np.prod(b[place, actions])
    alone += chance * off_policy_values(place, actions, G, end, pi, b, False)
    check.close(
        off_policy_values(place, actions, G, end, pi, b, True),
        G,
        "a single episode: the weighted estimate is its return, whatever the weight",
    )
check.close(
    alone,
    (pi * pays).sum(1)[::-1].cumsum()[::-1].copy(),
    "all episodes of a small world, with their chances under b: the mean of the "
    "ordinary estimate must be the value under pi, exactly",
)

P, R = np.zeros((4, 2, 4)), draw.normal(size=(4, 2, 4))
P[:3] = draw.dirichlet(np.ones(4), (3, 2)) * 0.6
P[:3, :, 3] += 0.4
P[3, :, 3], R[3] = 1, 0
small = worlds.MDP(P, R, np.arange(4) == 3, np.array([0.4, 0.3, 0.3, 0.0]))
b, pi = np.full((4, 2), 0.5), np.array([[0.6, 0.4], [0.3, 0.7], [0.55, 0.45], [1, 0]])
played = logs.rollout(small, b, small.reset(5000, draw), 60, draw)
live = played.live
last = live & ~np.pad(live[:, 1:], ((0, 0), (0, 1)))
G = reference.returns(played.rewards, 0.9)[live]
given = played.states[live], played.actions[live], G, last[live]
spread = 5 * np.abs(G).max() / 1500**0.5
for weighted in (False, True):
    values = off_policy_values(*given, pi, b, weighted)
    check.close(
        values[:3] / spread,
        worlds.policy_values(small, pi, 0.9)[:3] / spread,
        f"5000 episodes of a small world, weighted {weighted}: near the exact values",
        rtol=0,
        atol=1.0,
    )
never = np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]])
for weighted in (False, True):
    check.close(
        off_policy_values(
            np.array([0]), np.array([0]), np.ones(1), np.ones(1, bool), *never, weighted
        ),
        np.zeros(1),
        f"pi never does what was done, all weights are 0, weighted {weighted}",
    )
given = (
    draw.integers(0, 2, 8),
    draw.integers(0, 2, 8),
    draw.normal(size=8),
    draw.random(8) < 0.3,
    pi[:2],
    b[:2],
)
check.close(
    all_after(*(array.copy() for array in given)),
    given,
    "an argument was changed in place",
)
### END HIDDEN TESTS
