# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
#   hide: [reinforcement_learning/features, reinforcement_learning/dqn]
# ---

# %% [markdown]
# # Value-function approximation
#
# Four steps from the chapter: the fixed point of TD with more than one step, which leads from TD(0) to Monte Carlo; tile coding in any number of dimensions; LSTD after every single transition, without ever solving a system; and the loss of double DQN, whose gradient is half of the answer.

# %%
import numpy as np
import torch

from course import check

# %% [markdown]
# ## 1 · Between TD and Monte Carlo
#
# TD(0) bootstraps after one step. With $n$ steps the target of a state is
#
# $$r_{t+1} + \gamma r_{t+2} + \dots + \gamma^{n-1} r_{t+n} + \gamma^n \hat v(s_{t+n}).$$
#
# The chapter wrote the expected update of TD(0) as $\alpha(b - Aw)$ and solved $Aw = b$. Do the same for $n$ steps, and return the values $\Phi w$ of the states. They are unique where the weights are not: your function must also work when some features are combinations of others.
#
# <details><summary>Hint 1</summary>What is the expectation of the target, given the state, in terms of r, P and Φw? The reward k steps ahead has mean P^k r.</details>
# <details><summary>Hint 2</summary>A = ΦᵀD(I − γⁿPⁿ)Φ. And b?</details>
# <details><summary>Hint 3</summary>numpy.linalg.solve refuses singular matrices, or returns nonsense for them. numpy.linalg.lstsq finds a solution where there are many.</details>


# %% solution="n_step_values" difficulty=2 minutes=15
def n_step_values(Phi, P, r, gamma, d, n):
    """Values of the states at the fixed point of semi-gradient TD with n steps.

    Phi: (S, k) features. P: (S, S), P[s, t] the chance to go from s to t.
    r: (S,) mean reward of the step that leaves s. d: (S,) how often s is updated.
    gamma: a float, 0 to below 1. n: an int, at least 1. All arrays are float64.
    Returns Phi w, (S,): columns of Phi may depend on each other, values are unique.
    """
    ### BEGIN SOLUTION
    target, ahead = np.zeros(len(r)), np.eye(len(P))
    for _ in range(n):
        target = target + ahead @ r
        ahead = gamma * ahead @ P
    rows = Phi.T * d
    matrix = rows @ (Phi - ahead @ Phi)
    return Phi @ np.linalg.lstsq(matrix, rows @ target, rcond=1e-11)[0]
    ### END SOLUTION


# %% test="n_step_values" points=3
there_and_back = np.array([[0.0, 1.0], [0.5, 0.5]])
check.close(
    n_step_values(
        np.eye(2), there_and_back, np.array([1.0, 0.0]), 0.5, np.array([0.4, 0.6]), 3
    ),
    np.array([1.2, 0.4]),
    "a table can hold the true values: v(0) = 1 + v(1)/2 and v(1) = (v(0) + v(1))/4. "
    "Is the row of P the state one comes from?",
)
check.close(
    n_step_values(
        np.ones((2, 1)),
        there_and_back,
        np.array([1.0, 0.0]),
        0.5,
        np.array([0.4, 0.6]),
        1,
    ),
    np.array([0.8, 0.8]),
    "one feature that is 1 everywhere, n = 1: w = 0.4 + w/2, with 0.4 the mean reward "
    "under d",
)
### BEGIN HIDDEN TESTS
from lib.reinforcement_learning import value_approximation as reference

dice = check.rng("n_step_values")


def world(states, k):
    return (
        dice.normal(size=(states, k)),
        dice.dirichlet(np.ones(states), states),
        dice.normal(size=states),
        dice.dirichlet(2 * np.ones(states)),
    )


def rolled_out(P, r, gamma, n, values):
    """The expected target, from the last step to the first."""
    for _ in range(n):
        values = r + gamma * P @ values
    return values


for states, k, gamma, n in [
    (6, 2, 0.9, 1),
    (5, 3, 0.7, 2),
    (8, 3, 0.95, 5),
    (4, 1, 0, 3),
]:
    Phi, P, r, d = world(states, k)
    got = n_step_values(Phi, P, r, gamma, d, n)
    words = f"random chain of {states} states, {k} features, n = {n}"
    check.close(got, got + np.zeros(states), f"one value a state: {words}")
    check.close(
        reference.best_weights(Phi, got, np.ones(states)) @ Phi.T,
        got,
        f"the values must be weighted sums of the features: {words}",
    )
    check.close(
        Phi.T @ (d * (rolled_out(P, r, gamma, n, got) - got)),
        np.zeros(k),
        "at the fixed point the expected update is zero: the mean error of each state, "
        f"weighted by d, must be orthogonal to every feature: {words}",
        atol=1e-8,
    )

Phi, P, r, d = world(7, 3)
once = reference.td_fixed_point(Phi, P, r, 0.8, d)
check.close(
    n_step_values(Phi, P, r, 0.8, d, 1), Phi @ once, "n = 1 must be TD(0): random chain"
)
true = np.linalg.solve(np.eye(7) - 0.8 * P, r)
check.close(
    n_step_values(Phi, P, r, 0.8, d, 200),
    Phi @ reference.best_weights(Phi, true, d),
    "with very many steps nothing is bootstrapped: Monte Carlo, the best values under d",
)
wide = np.concatenate([Phi, Phi[:, :1] + Phi[:, 1:2], np.zeros((7, 1))], 1)
check.close(
    n_step_values(wide, P, r, 0.8, d, 4),
    n_step_values(Phi, P, r, 0.8, d, 4),
    "a feature that is the sum of two others, and one that is always 0, change no value",
    rtol=1e-5,
    atol=1e-6,
)


@check.probe
def what_was_given(Phi, P, r, d):
    n_step_values(Phi, P, r, 0.9, d, 3)
    return Phi, P, r, d


check.close(what_was_given(Phi, P, r, d), (Phi, P, r, d), "arguments must not change")
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · Tiles in any number of dimensions
#
# A *tiling* cuts the box from `low` to `high` into `tiles[i]` equal tiles along dimension $i$. Let $z_i$ be the place of a point along it in units of one tile, from 0 to `tiles[i]`. In tiling $t = 0, 1, \dots$ the point lies in the tile
#
# $$\Bigl(\bigl\lfloor z_0 + \tfrac{1\cdot t}{m}\bigr\rfloor,\; \bigl\lfloor z_1 + \tfrac{3\cdot t}{m}\bigr\rfloor,\; \dots,\; \bigl\lfloor z_i + \tfrac{(2i+1)\, t}{m}\bigr\rfloor,\; \dots\Bigr)$$
#
# for $m$ tilings: each has moved by another fraction of a tile, and not along the diagonal. Give every tile of every tiling a number of its own, and return the $m$ numbers of each point. Which number is yours to choose, but all are below $m\prod_i(\texttt{tiles}_i + 1)$, so that they can index a vector of weights of that length.
#
# <details><summary>Hint 1</summary>The formula can reach far beyond tiles[i] for large i. Moving a tiling by a whole tile changes the names of its tiles and nothing else.</details>
# <details><summary>Hint 2</summary>After taking the whole tiles away, the coordinate along dimension i is 0 to tiles[i]: one more than there are tiles.</details>
# <details><summary>Hint 3</summary>numpy.ravel_multi_index turns coordinates into one number; an offset for each tiling does the rest.</details>


# %% solution="active_tiles" difficulty=3 minutes=20
def active_tiles(points, low, high, tiles, tilings):
    """The number of the tile that each point is in, for every tiling.

    points: (n, dims) float64, low <= points <= high. low, high: (dims,) float64.
    tiles: a list of dims ints. tilings: an int.
    Returns an int64 array (n, tilings). Two entries are equal if and only if they mean
    the same tile of the same tiling, in this call and in any other. All numbers are at
    least 0 and below tilings * prod(tiles + 1).
    """
    ### BEGIN SOLUTION
    sizes = np.array(tiles)
    z = (points - low) / (high - low) * sizes
    shift = np.outer(np.arange(tilings), 2 * np.arange(len(sizes)) + 1) % tilings
    cells = np.floor(z[:, None] + shift / tilings).astype(np.int64)
    place = np.ravel_multi_index(tuple(np.moveaxis(cells, -1, 0)), tuple(sizes + 1))
    return place + np.arange(tilings) * np.prod(sizes + 1)
    ### END SOLUTION


# %% test="active_tiles" points=3
line = np.array([[0.04], [0.14], [0.22], [0.95]])
got = active_tiles(line, np.zeros(1), np.ones(1), [5], 4)
check.close(np.shape(got), (4, 4), "one number for each point and tiling")
check.close(
    np.equal(got[0], got[1]).tolist(),
    [True, True, False, False],
    "five tiles on a line, four tilings: 0.04 and 0.14 are 0.2 and 0.7 of a tile from "
    "the left end. Moved by 0 and ¼ of a tile they share it still, by ½ and ¾ not",
)
check.close(
    np.equal(got[0], got[2]).tolist(),
    [False] * 4,
    "0.04 and 0.22 are 0.9 of a tile apart: a border is between them in all four "
    "tilings here",
)
### BEGIN HIDDEN TESTS
dice = check.rng("active_tiles")


def cells_of(points, low, high, tiles, tilings):
    """Coordinates of the tiles, straight from the formula."""
    found = np.zeros((len(points), tilings, len(tiles) + 1), int)
    for row, point in enumerate(points):
        for t in range(tilings):
            found[row, t, 0] = t
            for i, size in enumerate(tiles):
                z = (point[i] - low[i]) / (high[i] - low[i]) * size
                found[row, t, i + 1] = int(np.floor(z + (2 * i + 1) * t / tilings))
    return found


def numbered(points, low, high, tiles, tilings, words):
    """What comes back, once it is known to be an array of numbers of tiles."""
    numbers = active_tiles(points, low, high, tiles, tilings)
    shape = (len(points), tilings)
    check.close(
        np.shape(numbers), shape, f"one number for each point and tiling: {words}"
    )
    count = tilings * int(np.prod([size + 1 for size in tiles]))
    check.close(
        numbers,
        np.asarray(numbers).clip(0, count - 1).astype(np.int64),
        f"numbers must be int64, from 0 to below tilings · prod(tiles + 1): {words}",
    )
    return numbers


for low, high, tiles, tilings in [
    ([0.0], [1.0], [6], 5),
    ([-1.2, -0.07], [0.5, 0.07], [8, 8], 8),
    ([0.0, -3.0], [2.0, 1.0], [2, 5], 7),
    ([-1.0, 0.0, 5.0], [1.0, 0.1, 9.0], [3, 1, 4], 4),
    ([0.0, 0.0], [1.0, 1.0], [3, 4], 1),
]:
    low, high = np.array(low), np.array(high)
    # Pairs of near neighbours, so that many tiles are shared.
    u = dice.uniform(0.02, 0.9, (20, len(low)))
    u = np.concatenate([u, u + dice.uniform(0, 0.08, u.shape)])
    points = low + u * (high - low)
    words = f"{len(low)} dimensions, {tilings} tilings, tiles {tiles}"
    numbers = numbered(points, low, high, tiles, tilings, words)
    cells = cells_of(points, low, high, tiles, tilings)
    flat = cells.reshape(-1, len(low) + 1)
    check.close(
        np.equal.outer(numbers.ravel(), numbers.ravel()).astype(int),
        (flat[:, None] == flat[None]).all(-1).astype(int),
        "two numbers must be equal where points share a tile, and nowhere else (not "
        f"across tilings either): {words}",
    )
    alone = numbered(points[3:4], low, high, tiles, tilings, words + ", one point")
    check.close(
        alone, numbers[3:4], f"a tile must have the same number in every call: {words}"
    )
    corners = np.stack([low, high, np.where(np.arange(len(low)) % 2, low, high)])
    edge = numbered(corners, low, high, tiles, tilings, words + ", corners of the box")
    check.close(
        [len(set(row)) for row in edge.tolist()],
        [tilings] * 3,
        f"at the corners of the box too a tile of each tiling is active: {words}",
    )


@check.probe
def as_they_were(points, low, high):
    active_tiles(points, low, high, [2] * len(low), 3)
    return points, low, high


given = dice.random((4, 2)), np.array([-0.5, -0.25]), np.full(2, 1.5)
check.close(as_they_were(*given), given, "arguments must not change")
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · LSTD, one transition at a time
#
# LSTD solves $\bigl(\epsilon I + \sum_t \varphi_t(\varphi_t - \gamma\varphi_t')^\top\bigr)w = \sum_t \varphi_t r_t$. An agent wants the weights after *every* transition. Solving anew each time costs $d^3$ a step. But each transition adds one product of a column and a row to the matrix, and the inverse of such a sum follows from the inverse before it (Sherman and Morrison), in $d^2$:
#
# $$(M + uv^\top)^{-1} = M^{-1} - \frac{M^{-1}u\;v^\top M^{-1}}{1 + v^\top M^{-1}u}.$$
#
# <details><summary>Hint 1</summary>What are u and v here, and what is the inverse before the first transition?</details>
# <details><summary>Hint 2</summary>The matrix is not symmetric: M⁻¹u is a column made from the right, vᵀM⁻¹ a row made from the left.</details>


# %% solution="lstd_online" difficulty=2 minutes=15
def lstd_online(phi, rewards, phi_next, gamma, ridge):
    """LSTD's weights after each transition.

    phi, phi_next: (T, k) float64, features before and after; phi_next is 0 where an
    episode ended. rewards: (T,) float64. gamma: a float. ridge: a float above 0, on the
    diagonal from the start. Returns (T, k): row t solves the system of the first t + 1
    transitions.
    """
    ### BEGIN SOLUTION
    inverse, total, found = np.eye(phi.shape[1]) / ridge, np.zeros(phi.shape[1]), []
    for now, reward, then in zip(phi, rewards, phi_next):
        left, right = inverse @ now, (now - gamma * then) @ inverse
        inverse = inverse - np.outer(left, right) / (1 + right @ now)
        total = total + reward * now
        found.append(inverse @ total)
    return np.stack(found)
    ### END SOLUTION


# %% test="lstd_online" points=3
check.close(
    lstd_online(
        np.array([[1.0], [1.0]]), np.array([2.0, 3.0]), np.zeros((2, 1)), 0.9, 1.0
    ),
    np.array([[1.0], [5 / 3]]),
    "one feature, every step the last: the sum of rewards over the number of steps, "
    "with one more in the denominator for the ridge",
)
check.close(
    lstd_online(
        np.eye(2), np.array([1.0, 2.0]), np.array([[0.0, 1], [0, 0]]), 0.5, 1e-9
    ),
    np.array([[1.0, 0.0], [2.0, 2.0]]),
    "a table: first state, reward 1, second state, reward 2, end. After the second "
    "transition v(first) = 1 + 2/2. Has v the factor γ, and is it a row?",
    atol=1e-6,
)
### BEGIN HIDDEN TESTS
from lib.reinforcement_learning import value_approximation as reference

dice = check.rng("lstd_online")
for T, k, gamma, ridge in [
    (12, 3, 0.9, 0.5),
    (30, 4, 0.7, 2.0),
    (1, 2, 0.95, 1.0),
    (9, 1, 0, 0.1),
]:
    phi, ahead = dice.normal(size=(2, T, k))
    ahead[dice.random(T) < 0.3] = 0
    # Near enough to phi that no matrix on the way is close to singular.
    ahead = 0.3 * ahead
    rewards = dice.normal(size=T)
    got = lstd_online(phi, rewards, ahead, gamma, ridge)
    rows = [
        reference.lstd(phi[:t], rewards[:t], ahead[:t], gamma, ridge)
        for t in range(1, T + 1)
    ]
    check.close(
        got,
        np.stack(rows),
        "row t must solve the system of transitions 0 to t, ridge included: "
        f"{T} random transitions with {k} features, γ = {gamma}",
        rtol=1e-5,
        atol=1e-7,
    )

phi = dice.normal(size=(25, 3))
target = phi @ np.array([1.0, -2.0, 0.5])
check.close(
    lstd_online(phi, target, phi, 0.0, 1e-7)[-1],
    np.array([1.0, -2.0, 0.5]),
    "with γ = 0 this is least squares, whatever phi_next is, and an exact fit is found",
    atol=1e-4,
)


@check.probe
def still_there(phi, rewards, ahead):
    lstd_online(phi, rewards, ahead, 0.9, 1.0)
    return phi, rewards, ahead


given = phi, target, phi[::-1].copy()
check.close(still_there(*given), given, "arguments must not change")
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · The loss of double DQN
#
# DQN's target takes the maximum of a noisy estimate, and a maximum of noise is too high on average. Double DQN (van Hasselt et al. 2016) lets the network that is trained *choose* the next action and the target network *judge* it:
#
# $$y = r + \gamma\, q_{\text{target}}\bigl(s', \arg\max_a q(s', a)\bigr),\qquad L = \frac1n\sum (y - q(s, a))^2,$$
#
# with $y = r$ where the episode ended. The target is *held*, as in every semi-gradient: the gradient is that of $q(s, a)$ alone, also when both networks are one and the same.
#
# <details><summary>Hint 1</summary>Two networks look at s' and one looks at s. Which of the three needs a gradient?</details>
# <details><summary>Hint 2</summary>tensor.gather(1, index[:, None])[:, 0] picks one entry a row.</details>


# %% solution="double_dqn_loss" difficulty=2 minutes=15
def double_dqn_loss(net, target_net, states, actions, rewards, after, over, gamma):
    """The mean squared error against the target of double DQN, a scalar tensor.

    net, target_net: modules that map (n, dims) states to (n, A) action values.
    states, after: (n, dims). actions: (n,) int64. rewards: (n,). over: (n,) bool, where
    the episode ended with this step. Gradients reach net through q(s, a) only.
    """
    ### BEGIN SOLUTION
    with torch.no_grad():
        choice = net(after).argmax(1, keepdim=True)
        judged = target_net(after).gather(1, choice)[:, 0]
        target = rewards + gamma * judged * ~over
    taken = net(states).gather(1, actions[:, None])[:, 0]
    return (target - taken).square().mean()
    ### END SOLUTION


# %% test="double_dqn_loss" points=2
@check.probe
def one_transition(over):
    """q = (1, 3) and target (5, 2) wherever one looks; action 0 was taken."""
    net, target_net = torch.nn.Linear(1, 2), torch.nn.Linear(1, 2)
    with torch.no_grad():
        net.weight.zero_(), target_net.weight.zero_()
        net.bias.copy_(torch.tensor([1.0, 3.0]))
        target_net.bias.copy_(torch.tensor([5.0, 2.0]))
    zero, action = torch.zeros(1, 1), torch.tensor([0])
    reward, over = torch.tensor([10.0]), torch.tensor([over])
    return double_dqn_loss(
        net, target_net, zero, action, reward, zero, over, 0.5
    ).detach()


check.close(
    one_transition(False),
    torch.tensor(100.0),
    "q(s') = (1, 3) chooses action 1, the target network says 2 for it: 10 + 0.5·2 - 1 "
    "= 10, squared. 132.25 would be DQN's own maximum",
)
check.close(
    one_transition(True),
    torch.tensor(81.0),
    "after the end nothing is to come: (10 - 1)²",
)
### BEGIN HIDDEN TESTS
draw = check.generator("double_dqn_loss")


def drawn(*shape):
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


def of_layers(layers, x):
    (W, b), (V, c) = layers
    return torch.tanh(x @ W.T + b) @ V.T + c


def by_the_definition(layers, judge, states, actions, rewards, after, over, gamma):
    """Row by row; what the loss is, and its gradient for held targets."""
    held = []
    for row in range(len(states)):
        following = of_layers(layers, after[row])
        best = max(range(len(following)), key=lambda a: following[a].item())
        worth = of_layers(judge, after[row])[best].item()
        held.append(rewards[row].item() + (0.0 if over[row] else gamma * worth))
    live = [[p.clone().requires_grad_() for p in layer] for layer in layers]
    taken = of_layers(live, states)[torch.arange(len(states)), actions]
    loss = (torch.tensor(held, dtype=torch.float64) - taken).square().mean()
    return loss.detach(), torch.autograd.grad(
        loss, [p for layer in live for p in layer]
    )


@check.probe
def loss_and_slopes(layers, judge, states, actions, rewards, after, over, gamma, same):
    """The loss, the gradient of each parameter of net, and how much the other got."""

    def module(values):
        (W, b), (V, c) = values
        net = torch.nn.Sequential(
            torch.nn.Linear(W.shape[1], W.shape[0]),
            torch.nn.Tanh(),
            torch.nn.Linear(V.shape[1], V.shape[0]),
        ).double()
        with torch.no_grad():
            for p, value in zip(net.parameters(), (W, b, V, c)):
                p.copy_(value)
        return net

    net = module(layers)
    other = net if same else module(judge)
    loss = double_dqn_loss(net, other, states, actions, rewards, after, over, gamma)
    if loss.requires_grad:
        loss.backward()
    slopes = [
        torch.zeros_like(p) if p.grad is None else p.grad for p in net.parameters()
    ]
    leaked = 0.0
    if not same:
        got = [p.grad.abs().sum() for p in other.parameters() if p.grad is not None]
        leaked = float(sum(got))
    return loss.detach(), slopes, leaked


for n, dims, A, gamma, same in [
    (7, 3, 4, 0.9, False),
    (1, 2, 2, 0.5, False),
    (12, 1, 3, 0.99, False),
    (9, 4, 3, 0.8, True),
]:
    layers = [(drawn(5, dims), drawn(5)), (drawn(A, 5), drawn(A))]
    judge = layers if same else [(drawn(5, dims), drawn(5)), (drawn(A, 5), drawn(A))]
    states, after = 2 * drawn(n, dims), 2 * drawn(n, dims)
    actions = torch.randint(A, (n,), generator=draw)
    over = torch.arange(n) % 3 == 1
    given = (states, actions, drawn(n), after, over, gamma)
    loss, slopes, leaked = loss_and_slopes(layers, judge, *given, same)
    want, gradient = by_the_definition(layers, judge, *given)
    words = f"{n} random transitions, {A} actions" + (", one network for both" * same)
    check.close(loss, want, f"the mean of squared errors, ends included: {words}")
    check.close(
        slopes,
        list(gradient),
        f"the gradient must come through q(s, a) alone, the target is held: {words}",
    )
    check.close(leaked, 0.0, f"no gradient may reach the target network: {words}")
### END HIDDEN TESTS
