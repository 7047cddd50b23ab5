"""The worlds of the part, each with its exact model, and many runs of one at a time.

Everything is numpy. A world with few states is an `MDP`, three tables: whoever knows
them can solve linear systems, whoever does not draws transitions from them. Runs are
rows of an array: a thousand agents step together.
"""

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from jaxtyping import Bool, Float, Int

Policy = Float[np.ndarray, "S A"]


@dataclass(frozen=True)
class MDP:
    """A finite Markov decision process.

    P: chance of s' after action a in s, indexed [s, a, s'].
    R: reward for that transition, indexed alike.
    terminal: where an episode ends; such a state leads to itself with reward 0.
    start: chance of each first state.
    shape: rows and columns, where the states are the cells of a grid row by row.
    """

    P: Float[np.ndarray, "S A S"]
    R: Float[np.ndarray, "S A S"]
    terminal: Bool[np.ndarray, " S"]
    start: Float[np.ndarray, " S"]
    shape: tuple[int, int] | None = None
    cumulated: Float[np.ndarray, "S A S"] = field(init=False, repr=False)

    def __post_init__(self):
        if not np.allclose(self.P.sum(-1), 1) or (self.P < 0).any():
            raise ValueError("P must hold chances that sum to 1 over its last axis")
        if not np.isclose(self.start.sum(), 1) or (self.start < 0).any():
            raise ValueError("start must hold chances that sum to 1")
        ends = self.P[self.terminal][:, :, self.terminal]
        kept = ends.diagonal(axis1=0, axis2=2)
        if not (kept == 1).all() or self.R[self.terminal].any():
            raise ValueError("terminal states must lead to themselves with reward 0")
        object.__setattr__(self, "cumulated", self.P.cumsum(-1))

    @property
    def rewards(self) -> Float[np.ndarray, "S A"]:
        """Expected reward of an action: R averaged over where it leads."""
        return (self.P * self.R).sum(-1)

    def reset(self, n: int, rng: np.random.Generator) -> Int[np.ndarray, " n"]:
        """First states of n runs."""
        return rng.choice(len(self.start), size=n, p=self.start)

    def step(
        self,
        states: Int[np.ndarray, " n"],
        actions: Int[np.ndarray, " n"],
        rng: np.random.Generator,
    ) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """Rewards, next states, and which runs are over; all runs take one step."""
        after = _drawn(self.cumulated[states, actions], rng)
        return self.R[states, actions, after], after, self.terminal[after]


def _drawn(
    below: Float[np.ndarray, "n k"], rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    """A column for each row, from the cumulated chances of its columns."""
    u = rng.random((len(below), 1)) * below[:, -1:]  # the sum, but for rounding
    return (u < below).argmax(-1)


def choose(
    policy: Policy, states: Int[np.ndarray, " n"], rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    """An action for each state, drawn from its row of the policy."""
    return _drawn(policy[states].cumsum(-1), rng)


def policy_values(mdp: MDP, policy: Policy, gamma: float) -> Float[np.ndarray, " S"]:
    """v of a policy, exactly: (I - gamma P_pi) v = r_pi, and v = 0 where it ends.

    Raises:
        ValueError: gamma is 1 and some state never comes to an end.
    """
    P = np.einsum("sa,sat->st", policy, mdp.P)
    r = (policy * mdp.rewards).sum(-1)
    live = ~mdp.terminal
    matrix = np.eye(live.sum()) - gamma * P[live][:, live]
    if gamma >= 1 and np.linalg.cond(matrix) > 1e12:
        raise ValueError("gamma must be below 1 where an episode need not end, got 1")
    values = np.zeros(len(r))
    values[live] = np.linalg.solve(matrix, r[live])
    return values


def action_values(
    mdp: MDP, values: Float[np.ndarray, " S"], gamma: float
) -> Float[np.ndarray, "S A"]:
    """q(s, a): the reward expected, and what the next state is worth."""
    return mdp.rewards + gamma * mdp.P @ values


def optimal_values(
    mdp: MDP, gamma: float, tolerance: float = 1e-10
) -> Float[np.ndarray, " S"]:
    """The largest v of any policy, by value iteration, to within about `tolerance`."""
    values = np.zeros(len(mdp.start))
    while True:
        new = action_values(mdp, values, gamma).max(-1)
        if np.abs(new - values).max() <= tolerance * (1 - gamma if gamma < 1 else 1):
            return new
        values = new


def greedy(q: Float[np.ndarray, "S A"]) -> Policy:
    """The policy that takes the best action, the first of them where several are."""
    return np.eye(q.shape[1])[q.argmax(-1)]


def uniform(mdp: MDP) -> Policy:
    """Every action as likely as any other."""
    states, actions = mdp.P.shape[:2]
    return np.full((states, actions), 1 / actions)


# Grids: cells row by row; the moves of each world in its own order.

UP, RIGHT, DOWN, LEFT, STAY = (-1, 0), (0, 1), (1, 0), (0, -1), (0, 0)
FORBIDDEN = ((1, 1), (1, 2), (2, 2), (3, 1), (3, 3), (4, 1))
TARGET = (3, 2)


def _index(cells: list[tuple[int, int]], columns: int) -> list[int]:
    return [row * columns + column for row, column in cells]


def zhao_grid_world(
    r_boundary: float = -1.0,
    r_forbidden: float = -1.0,
    r_target: float = 1.0,
    r_other: float = 0.0,
) -> MDP:
    """Zhao's 5 x 5 grid: five actions up, right, down, left, stay; it never ends.

    A reward belongs to the cell that is entered, or stayed in: forbidden cells can be
    entered at a price, the target pays each time. Who walks into the border stays and
    gets r_boundary, wherever that happens (one figure of the book reads otherwise: who
    does so from a forbidden cell pays for that). A run starts in any cell.

    Source: Zhao 2025, Mathematical Foundations of Reinforcement Learning, ch. 1 to 8.
    """
    pays = np.full((5, 5), r_other)
    pays[tuple(zip(*FORBIDDEN))] = r_forbidden
    pays[TARGET] = r_target
    P, R = np.zeros((25, 5, 25)), np.zeros((25, 5, 25))
    for s in range(25):
        for a, (down, right) in enumerate((UP, RIGHT, DOWN, LEFT, STAY)):
            row, column = s // 5 + down, s % 5 + right
            inside = 0 <= row < 5 and 0 <= column < 5
            after = 5 * row + column if inside else s
            P[s, a, after] = 1
            R[s, a, after] = pays[row, column] if inside else r_boundary
    return MDP(P, R, np.zeros(25, bool), np.full(25, 1 / 25), (5, 5))


def _episodic_grid(
    rows: int,
    columns: int,
    start: tuple[int, int],
    goal: tuple[int, int],
    cliff: tuple[tuple[int, int], ...] = (),
    wind: tuple[int, ...] | None = None,
) -> MDP:
    """-1 a step until the goal; -100 and back to the start for a step off the cliff;
    wind lifts by so many cells, by the column that is left."""
    n = rows * columns
    first, last = _index([start, goal], columns)
    P, R = np.zeros((n, 4, n)), np.zeros((n, 4, n))
    for s in range(n):
        for a, (down, right) in enumerate((UP, RIGHT, DOWN, LEFT)):
            if s == last:
                P[s, a, s] = 1
                continue
            row, column = divmod(s, columns)
            lift = wind[column] if wind else 0
            row = min(max(row + down - lift, 0), rows - 1)
            column = min(max(column + right, 0), columns - 1)
            falls = (row, column) in cliff
            after = first if falls else row * columns + column
            P[s, a, after] = 1
            R[s, a, after] = -100 if falls else -1
    terminal, begin = np.arange(n) == last, np.arange(n) == first
    return MDP(P, R, terminal, begin.astype(float), (rows, columns))


def cliff_walking() -> MDP:
    """4 x 12, from the lower left corner to the lower right, a cliff between them.

    Actions up, right, down, left and the numbering of states as in gymnasium's
    CliffWalking. Source: Sutton & Barto 2018, example 6.6.
    """
    cliff = tuple((3, column) for column in range(1, 11))
    return _episodic_grid(4, 12, (3, 0), (3, 11), cliff)


def windy_grid() -> MDP:
    """7 x 10 with a wind upwards, from (3, 0) to (3, 7); actions up, right, down, left.

    Source: Sutton & Barto 2018, example 6.5.
    """
    wind = (0, 0, 0, 1, 1, 1, 2, 2, 1, 0)
    return _episodic_grid(7, 10, (3, 0), (3, 7), wind=wind)


# Walks: states 0 and n + 1 are the ends, a single action.


def random_walk(
    n: int = 5, left: float = 0.0, right: float = 1.0, reach: int = 1
) -> MDP:
    """n states in a row between two ends; it starts in the middle.

    Each step goes 1 to `reach` places to either side, all equally likely; what would
    pass an end stops there. left, right: rewards for arriving at the ends.

    Source: Sutton & Barto 2018, example 6.2 (n = 5), example 7.1 (n = 19, left = -1),
    example 9.1 (n = 1000, left = -1, reach = 100; from state 500).

    Raises:
        ValueError: n or reach is below 1.
    """
    if n < 1 or reach < 1:
        raise ValueError(f"n and reach must be at least 1, got {n} and {reach}")
    P, R = np.zeros((n + 2, 1, n + 2)), np.zeros((n + 2, 1, n + 2))
    P[0, 0, 0] = P[n + 1, 0, n + 1] = 1
    jumps = [jump for size in range(1, reach + 1) for jump in (-size, size)]
    for s in range(1, n + 1):
        for jump in jumps:
            P[s, 0, min(max(s + jump, 0), n + 1)] += 1 / len(jumps)
    R[1:-1, 0, 0], R[1:-1, 0, n + 1] = left, right
    places = np.arange(n + 2)
    start = (places == (n + 1) // 2).astype(float)
    return MDP(P, R, (places == 0) | (places == n + 1), start)


# Blackjack from an infinite deck.

CARDS = np.array([1 / 13] * 9 + [4 / 13])  # ace, 2, ..., 10
STICK, HIT = 0, 1
HANDS = 20  # a player's totals 12 to 21, without and with a usable ace
LOST, DRAWN, WON = range(210, 213)


def blackjack_state(total: int, dealer: int, usable: bool) -> int:
    """The state of a player with a total of 12 to 21 and a dealer showing 1 to 10.

    Raises:
        ValueError: there is no such state.
    """
    if not (12 <= total <= 21 and 1 <= dealer <= 10):
        raise ValueError(
            f"total must be 12 to 21 and dealer 1 to 10, got {total} and {dealer}"
        )
    return (dealer - 1) * HANDS + usable * 10 + total - 12


def natural_state(dealer: int) -> int:
    """The state of who was dealt an ace and a ten."""
    return 10 * HANDS + dealer - 1


def _draw(total: int, usable: bool, card: int) -> tuple[int, bool]:
    """A hand after one more card; above 21 it has lost."""
    total, usable = (
        (total + 11, True) if card == 1 and total + 11 <= 21 else (total + card, usable)
    )
    return (total - 10, False) if total > 21 and usable else (total, usable)


@cache
def _dealer(total: int, usable: bool) -> Float[np.ndarray, " 23"]:
    """Chances of the dealer's last total, who sticks on any 17; 22 for all above 21."""
    if total >= 17:
        return np.eye(23)[min(total, 22)]
    return sum(
        p * _dealer(*_draw(total, usable, card)) for card, p in enumerate(CARDS, 1)
    )


def blackjack() -> MDP:
    """Blackjack as in Sutton & Barto's example 5.1, exact: actions 0 stick, 1 hit.

    States by `blackjack_state` and `natural_state`, then lost (reward -1), drawn (0)
    and won (+1), which end the game. Totals below 12 are no states: there one hits, and
    `start` has it behind it. A natural is a state of its own: it wins unless the dealer
    has one too, which draws. Any other 21 draws with all of the dealer's. The rules are
    those of gymnasium's `Blackjack-v1` with sab=True, whose observation does not tell a
    natural from another soft 21.
    """
    P, R = np.zeros((213, 2, 213)), np.zeros((213, 2, 213))
    R[:210, :, LOST], R[:210, :, WON] = -1, 1
    for end in (LOST, DRAWN, WON):
        P[end, :, end] = 1
    start = np.zeros(213)
    for dealer in range(1, 11):
        ends = _dealer(*_draw(0, False, dealer))
        natural = {1: CARDS[9], 10: CARDS[0]}.get(dealer, 0.0)
        for usable in (False, True):
            for total in range(12, 22):
                s = blackjack_state(total, dealer, usable)
                P[s, STICK, WON] = ends[:total].sum() + ends[22]
                P[s, STICK, DRAWN] = ends[total]
                P[s, STICK, LOST] = ends[total + 1 : 22].sum()
                for card, p in enumerate(CARDS, 1):
                    after, kept = _draw(total, usable, card)
                    lost = after > 21
                    P[
                        s, HIT, LOST if lost else blackjack_state(after, dealer, kept)
                    ] += p
        s = natural_state(dealer)
        P[s, STICK, DRAWN], P[s, STICK, WON] = natural, 1 - natural
        P[s, HIT] = P[blackjack_state(21, dealer, True), HIT]
        for first, p in enumerate(CARDS, 1):
            for second, q in enumerate(CARDS, 1):
                chance = p * q * CARDS[dealer - 1]
                if {first, second} == {1, 10}:
                    start[s] += chance
                else:
                    hand = _draw(*_draw(0, False, first), second)
                    _deal(start, dealer, *hand, chance)
    return MDP(P, R, np.arange(213) >= LOST, start)


def _deal(
    start: np.ndarray, dealer: int, total: int, usable: bool, chance: float
) -> None:
    """Add to `start` where a hand comes to that hits below 12."""
    if total >= 12:
        start[blackjack_state(total, dealer, usable)] += chance
        return
    for card, p in enumerate(CARDS, 1):
        _deal(start, dealer, *_draw(total, usable, card), chance * p)


# Worlds for function approximation.


class MountainCar:
    """A car too weak for the hill; -1 a step until x reaches 0.5.

    States are rows (x, velocity); actions 0 back, 1 coast, 2 forth. It starts at rest
    between -0.6 and -0.4. Source: Sutton & Barto 2018, example 10.1.
    """

    low = np.array([-1.2, -0.07])
    high = np.array([0.5, 0.07])

    def reset(self, n: int, rng: np.random.Generator) -> Float[np.ndarray, "n 2"]:
        """First states of n runs."""
        return np.stack([rng.uniform(-0.6, -0.4, n), np.zeros(n)], -1)

    def step(
        self, states: Float[np.ndarray, "n 2"], actions: Int[np.ndarray, " n"]
    ) -> tuple[
        Float[np.ndarray, " n"], Float[np.ndarray, "n 2"], Bool[np.ndarray, " n"]
    ]:
        """Rewards, next states, and which runs are over."""
        x, velocity = states.T
        velocity = velocity + 0.001 * (actions - 1) - 0.0025 * np.cos(3 * x)
        velocity = velocity.clip(self.low[1], self.high[1])
        x = (x + velocity).clip(self.low[0], self.high[0])
        velocity = np.where(x <= self.low[0], 0.0, velocity)
        after = np.stack([x, velocity], -1)
        return np.full(len(x), -1.0), after, x >= self.high[0]


def baird() -> tuple[MDP, Policy, Policy, Float[np.ndarray, "7 8"]]:
    """Baird's counterexample: the process, its two policies, the features.

    Action 0, dashed, leads to one of the first six states; action 1, solid, to the
    seventh; all rewards are 0, and it never ends. Behaviour takes dashed six times out
    of seven, which visits all states alike; the target policy always takes solid.
    Features: 2 w_i + w_8 for the first six, w_7 + 2 w_8 for the last.

    Returns:
        process, target policy, behaviour policy, features.

    Source: Baird 1995; in this form Sutton & Barto 2018, section 11.2.
    """
    P = np.zeros((7, 2, 7))
    P[:, 0, :6], P[:, 1, 6] = 1 / 6, 1
    process = MDP(P, np.zeros((7, 2, 7)), np.zeros(7, bool), np.full(7, 1 / 7))
    target = np.tile([0.0, 1.0], (7, 1))
    behaviour = np.tile([6 / 7, 1 / 7], (7, 1))
    features = np.zeros((7, 8))
    features[:6, :6], features[:6, 7] = 2 * np.eye(6), 1
    features[6, 6], features[6, 7] = 1, 2
    return process, target, behaviour, features


class Discrete:
    """A space of n things, as gymnasium calls it."""

    def __init__(self, n: int):
        self.n = n


class Environment:
    """One run of an MDP, spoken to as gymnasium's environments are.

    An agent written for it runs on `gymnasium.make("CliffWalking-v1")` too.
    """

    def __init__(self, mdp: MDP):
        self.mdp = mdp
        self.observation_space = Discrete(mdp.P.shape[0])
        self.action_space = Discrete(mdp.P.shape[1])
        self.rng = np.random.default_rng()
        self.state = None

    def reset(
        self, *, seed: int | None = None, options: dict | None = None
    ) -> tuple[int, dict]:
        """A first state, and nothing more; a seed starts the dice anew."""
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.state = int(self.mdp.reset(1, self.rng)[0])
        return self.state, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict]:
        """Next state, reward, over, cut short (never), nothing more.

        Raises:
            RuntimeError: there was no `reset`, or the episode is over.
            ValueError: there is no such action.
        """
        if self.state is None or self.mdp.terminal[self.state]:
            raise RuntimeError("call reset before step: no episode is under way")
        if not 0 <= action < self.action_space.n:
            last = self.action_space.n - 1
            raise ValueError(f"action must be 0 to {last}, got {action}")
        states, actions = np.array([self.state]), np.array([action])
        reward, after, over = self.mdp.step(states, actions, self.rng)
        self.state = int(after[0])
        return self.state, float(reward[0]), bool(over[0]), False, {}
