# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # SDEs and the probability-flow ODE
#
# Time runs from data at $t = 0$ to noise at $t = 1$. The chapter went from a data point to time $t$; took the same noise for every coordinate; and carried data up to the noise. Here each is asked in general: between any two times, with noise of any shape, and in either direction.

# %%
import math

import torch

from course import check

# %% [markdown]
# ## 1 · From any time to any later one
#
# All three SDEs of the chapter are linear, so from a point at one time the distribution at a later one is Gaussian: $x_t = m\,x_s + \mathrm{std}\cdot\varepsilon$. Write down $m$ and std. The coefficients, from the chapter, between `low` and `high`:
#
# | kind | $f$ | $g^2$ |
# |---|---|---|
# | `"vp"` | $-\frac12\beta x$, with $\beta(t) = \text{low} + t\,(\text{high} - \text{low})$ | $\beta$ |
# | `"subvp"` | the same | $\beta\,(1 - e^{-2B})$, with $B(t) = \int_0^t\beta$, from time 0 always |
# | `"ve"` | 0 | $2\sigma^2\ln\frac{\text{high}}{\text{low}}$, with $\sigma(t) = \text{low}\,(\text{high}/\text{low})^t$ |
#
# <details><summary>Hint 1</summary>The mean obeys ṁ = −½βm, which integrates to exp of minus half the integral of β: over which interval? The variance obeys v̇ = −βv + g² (VP, sub-VP) or v̇ = g² (VE), with v = 0 at <code>start</code>.</details>
# <details><summary>Hint 2</summary>From time 0 you know the variances. The noise present at <code>start</code> does not count, but it is in them, multiplied by m². Subtract it.</details>
# <details><summary>Hint 3</summary>With M = m² and E = exp(−B(start)) the difference for sub-VP factors: (1 − M)(1 − M E²). Near <code>start</code> M is almost 1: <code>torch.expm1</code>.</details>


# %% solution="marginal_prob" difficulty=3 minutes=20
def marginal_prob(kind, t, start, low, high):
    """m and std of x_t = m x_start + std eps, where eps is standard normal.

    kind: "vp", "subvp" or "ve". t: times, any shape, float32 or float64, none below
    `start`. start: a number, from 0 on. low, high: numbers; of beta for "vp" and
    "subvp", of sigma for "ve". Returns two new tensors with the shape and dtype of t.
    float32 is accurate for t just above start = 0 too: to a part in a thousand.
    """
    ### BEGIN SOLUTION
    late, wait = t.double(), t.double() - start
    if kind == "ve":
        span = 2 * math.log(high / low)
        variance = low**2 * math.exp(span * start) * torch.expm1(span * wait)
        return torch.ones_like(t), variance.sqrt().to(t.dtype)
    between = wait * (low + (high - low) * (late + start) / 2)
    before = start * low + (high - low) * start**2 / 2
    variance = -torch.expm1(-between)
    if kind == "subvp":
        variance = variance * -torch.expm1(-between - 2 * before)
    return (-between / 2).exp().to(t.dtype), variance.sqrt().to(t.dtype)
    ### END SOLUTION


# %% test="marginal_prob" points=2
now = torch.tensor([0.0, 1.0])
for kind, limits in (("vp", (0.1, 20.0)), ("subvp", (0.1, 20.0)), ("ve", (0.01, 50.0))):
    m, std = marginal_prob(kind, now[:1], 0.0, *limits)
    check.close(m, torch.ones(1), f"{kind}: no time has passed, so m must be 1")
    check.close(std, torch.zeros(1), f"{kind}: no time has passed, so std must be 0")
check.close(
    marginal_prob("vp", now[1:], 0.0, 1.0, 1.0),
    (torch.tensor([math.exp(-0.5)]), torch.tensor([math.sqrt(1 - math.exp(-1))])),
    "vp with beta = 1 all the time: m = exp(-1/2) at t = 1, and m² + std² = 1",
)
check.close(
    marginal_prob("vp", now[1:], 0.0, 0.0001, 2.0)[0],
    torch.tensor([math.exp(-0.500025)]),
    "vp with beta rising from almost 0 to 2: its integral is 1, beta(1) itself is 2",
)
check.close(
    marginal_prob("ve", now[1:], 0.0, 3.0, 5.0)[1],
    torch.tensor([4.0]),
    "ve from 3 to 5: what is *added* to a point has variance 25 - 9",
)
check.close(
    marginal_prob("subvp", now[1:], 0.0, 1.0, 1.0)[1],
    torch.tensor([1 - math.exp(-1)]),
    "subvp with beta = 1 all the time: std = 1 - exp(-1) at t = 1",
)
### BEGIN HIDDEN TESTS
from scipy.integrate import solve_ivp

from lib.diffusion_to_edm import sde_ode as reference

draw = check.generator("marginal_prob")
SDES = {"vp": reference.VPSDE, "subvp": reference.SubVPSDE, "ve": reference.VESDE}


@check.probe
def times_after(kind, t):
    marginal_prob(kind, t, 0.1, 0.2, 3.0)
    return t


def by_moments(sde, t, start):
    def slopes(t, state):
        rate, g = float(sde.rate(t)), float(sde.diffusion(t))
        return [rate * state[0], 2 * rate * state[1] + g**2]

    found = solve_ivp(slopes, (start, t), [1.0, 0.0], rtol=1e-9, atol=1e-13)
    return found.y[0, -1], math.sqrt(found.y[1, -1])


for kind, sde in SDES.items():
    for scale in (1.0, 7.0):
        low, rise, first, second = (
            0.1 + 0.8 * torch.rand(4, generator=draw).double()
        ).tolist()
        high = low + scale * rise
        for start in (0.0, 0.4 * first, 0.4 + 0.4 * second):
            share = torch.rand(4, generator=draw, dtype=torch.float64)
            t = start + (1 - start) * (0.1 + 0.9 * share)
            want = [by_moments(sde(low, high), u, start) for u in t.tolist()]
            words = f"{kind}, random limits, from 0" + " or later" * (start > 0)
            got = marginal_prob(kind, t, start, low, high)
            names = ("the mean factor", "the standard deviation")
            for name, one, other in zip(names, got, zip(*want), strict=True):
                check.close(
                    one,
                    torch.tensor(other, dtype=torch.float64),
                    f"{name} must solve the moment equations from start to t: {words}",
                    rtol=1e-5,
                )
            single = t.float().reshape(2, 2).T
            check.close(
                marginal_prob(kind, single, start, low, high)[1],
                marginal_prob(kind, single.double(), start, low, high)[1].float(),
                f"float32 in, float32 out, non-contiguous times: {words}",
                rtol=1e-3,
            )
    early, middle = 0.15, 0.45
    u = torch.tensor([[0.45, 0.7, 1.0]], dtype=torch.float64)
    m1, s1 = marginal_prob(kind, u[:, :1], early, 0.3, 4.0)
    m2, s2 = marginal_prob(kind, u, middle, 0.3, 4.0)
    m, s = marginal_prob(kind, u, early, 0.3, 4.0)
    check.close(m, m1 * m2, f"{kind}: mean factors of two stretches must multiply")
    check.close(
        s**2, s1**2 * m2**2 + s2**2, f"{kind}: later times must carry noise along"
    )
    check.close(
        times_after(kind, u.clone()), u, f"{kind}: the times were changed in place"
    )
### END HIDDEN TESTS


# %% test="marginal_prob" aspect="close" points=1
for kind, std in (("vp", 0.001), ("subvp", 1e-6), ("ve", 0.014142)):
    check.close(
        marginal_prob(kind, torch.tensor([1e-4]), 0.0, 0.01, 0.01001)[1]
        if kind != "ve"
        else marginal_prob("ve", torch.tensor([1e-4]), 0.0, 1.0, math.e)[1],
        torch.tensor([std]),
        f"{kind} at t = 1e-4 in float32: is 1 - exp(-small) lost to rounding?",
        rtol=2e-3,
        atol=0.0,
    )
### BEGIN HIDDEN TESTS
from lib.diffusion_to_edm import sde_ode as reference

draw = check.generator("marginal_prob_close")
for kind, sde, low, high in (
    ("vp", reference.VPSDE, 0.1, 20.0),
    ("subvp", reference.SubVPSDE, 0.15, 11.0),
    ("ve", reference.VESDE, 0.02, 30.0),
):
    t = 10 ** (-2 - 3.5 * torch.rand(40, generator=draw))
    m, std = marginal_prob(kind, t, 0.0, low, high)
    want = sde(low, high).marginal(t.double())
    check.close(m, want[0].float(), f"{kind}: the mean factor just after 0")
    check.close(
        std,
        want[1].float(),
        f"{kind}: the standard deviation just after 0, in float32",
        rtol=1e-3,
        atol=0.0,
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · A step back, whatever the noise
#
# In general the drift is a matrix times $x$, and the noise enters through another: $\mathrm dx = A\,x\,\mathrm dt + G\,\mathrm dw$, with $G$ of any shape. Noise that acts on velocities only is the best-known case. Redo the Fokker–Planck argument of the chapter with $GG^\top$ in the place of $g^2$, and take one step from $t$ back to $t - \mathrm dt$ with the process that has $\lambda$ times the noise and the same marginals.
#
# Euler–Maruyama will do, and so will any step that agrees with it to first order in dt (the noise to order $\sqrt{\mathrm dt}$).
#
# <details><summary>Hint 1</summary>Points are rows here, and A acts on columns.</details>
# <details><summary>Hint 2</summary>Backwards the drift is <em>subtracted</em>. With z of covariance I, what is the covariance of G z? How does the size of a random step depend on dt?</details>
# <details><summary>Hint 3</summary>½ ∇·(GGᵀ∇p) = ½ ∇·(p GGᵀ∇ln p): that much of the drift turns the forward noise into a flow, and λ² times as much again pays for the noise of the way back.</details>


# %% solution="reverse_step" difficulty=3 minutes=20
def reverse_step(x, score, A, G, dt, lam, noise):
    """One step of length dt backwards in time, with lam times the forward noise.

    x: (n, d), points at time t. score: (n, d), the gradient of ln p_t at each.
    A: (d, d) and G: (d, k), the forward process dx = A x dt + G dw, x as a column.
    noise: (n, k), standard normal. lam: 0 for the probability-flow ODE, 1 for the
    reverse SDE, or any other number from 0 on. dt: positive. Returns a new tensor
    (n, d), of the dtype of x, differentiable in x and score.
    """
    ### BEGIN SOLUTION
    drift = x @ A.T - (1 + lam**2) / 2 * score @ (G @ G.T)
    return x - drift * dt + lam * math.sqrt(dt) * noise @ G.T
    ### END SOLUTION


# %% test="reverse_step" points=2
def drift_and_kick(x, score, A, G, lam, noise):
    """What a tiny step does: its mean by dt, its random part by sqrt(dt)."""
    dt = 1e-8
    x, score, A, G, noise = (v.double() for v in (x, score, A, G, noise))
    one = reverse_step(x, score, A, G, dt, lam, noise)
    other = reverse_step(x, score, A, G, dt, lam, -noise)
    return (x - (one + other) / 2) / dt, (one - other) / (2 * math.sqrt(dt))


x, A = torch.tensor([[1.0, 10.0]]), torch.tensor([[0.0, 1.0], [0.0, 3.0]])
none = torch.zeros(1, 2)
check.close(
    drift_and_kick(x, none, A, torch.eye(2), 1.0, none)[0],
    torch.tensor([[10.0, 30.0]]).double(),
    "without a score the step must be -A x dt: x is a row, and A acts on a column",
    atol=1e-3,
)
G = torch.tensor([[0.0], [2.0]])
score = torch.tensor([[5.0, 1.0]])
for lam, want in ((0.0, 2.0), (1.0, 4.0), (2.0, 10.0)):
    check.close(
        drift_and_kick(none, score, A, G, lam, torch.zeros(1, 1))[0],
        torch.tensor([[0.0, -want]]).double(),
        f"with A x = 0, lam = {lam:g}: minus (1 + lam²)/2 G Gᵀ times the score",
        atol=1e-3,
    )
    check.close(
        drift_and_kick(none, score, A, G, lam, torch.ones(1, 1))[1],
        torch.tensor([[0.0, 2 * lam]]).double(),
        f"the noise, lam = {lam:g}: lam G z times sqrt(dt), and never a score's part",
        atol=1e-3,
    )
### BEGIN HIDDEN TESTS
from lib.diffusion_to_edm import sde_ode as reference

draw = check.generator("reverse_step")


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


@check.probe
def step_arguments_after(x, score, A, G, noise):
    reverse_step(x, score, A, G, 0.1, 0.7, noise)
    return x, score, A, G, noise


def covariance(A, G, first, t):
    """Of dx = A x dt + G dw at time t, by the exponential of a block matrix."""
    d = len(A)
    block = torch.cat(
        [torch.cat([-A, G @ G.T], 1), torch.cat([torch.zeros_like(A), A.T], 1)]
    )
    power = torch.linalg.matrix_exp(block * t)
    ahead = power[d:, d:].T
    return ahead @ first @ ahead.T + ahead @ power[:d, d:]


def carried_back(A, G, first, lam, steps, end=0.5):
    """The covariance after so many steps back from the right one, without a sample:
    a step is linear, and unit vectors tell its two matrices."""
    d, k = G.shape
    x = torch.eye(d + k, d, dtype=torch.float64)
    noise = torch.eye(d + k, dtype=torch.float64)[:, d:].clone()
    now, dt = covariance(A, G, first, end), end / steps
    for i in range(steps):
        right = covariance(A, G, first, end - i * dt)
        rows = reverse_step(x, -x @ right.inverse(), A, G, dt, lam, noise)
        check.close(
            rows, torch.zeros(d + k, d).double(), "a row for each point", atol=1e6
        )
        now = rows[:d].T @ now @ rows[:d] + rows[d:].T @ rows[d:]
    return now


for d, k in ((1, 1), (3, 2), (2, 4)):
    # Of a bounded norm: the larger, the larger is the error of a step.
    A, G = normal(d, d), normal(d, k)
    A, G = A / torch.linalg.matrix_norm(A, 2), 1.2 * G / torch.linalg.matrix_norm(G, 2)
    first = 0.5 * torch.eye(d).double() + 0.1 * torch.ones(d, d).double()
    for lam in (0.0, 0.5, 1.0, 1.7):
        some = carried_back(A, G, first, lam, 20)
        more = carried_back(A, G, first, lam, 40)
        check.close(
            2 * more - some,  # the error of first order falls out
            first,
            f"Gaussian data with d = {d}, k = {k}, lam = {lam:g}: after many small "
            "steps the covariance must be that of the data",
            rtol=0.005,
            atol=0.005,
        )

x, score, noise = normal(5, 3), normal(5, 3), normal(5, 3)
for lam, t in ((0.0, 0.3), (0.6, 0.8), (1.0, 0.55)):
    sde = reference.VPSDE(0.4, 6.0)
    A = float(sde.rate(t)) * torch.eye(3).double()
    G = float(sde.diffusion(t)) * torch.eye(3).double()
    drift, kick = drift_and_kick(x, score, A, G, lam, noise)
    want = reference.reverse_drift(sde, lambda x, t, s=score: s, x, t, lam)
    check.close(drift, want, "equal noise on all coordinates: the chapter", atol=1e-3)
    check.close(kick, lam * noise @ G.T, "equal noise on all coordinates", atol=1e-3)

A, G, z = normal(3, 3), normal(3, 2), normal(5, 2)
one = reverse_step(x, score, A, G, 0.2, 0.0, z)
check.close(
    one, reverse_step(x, score, A, G, 0.2, 0.0, -z), "with lam = 0 there is no noise"
)
for lam in (0.0, 1.3):
    strided = reverse_step(
        x.T.contiguous().T, score, A.T.contiguous().T, G, 0.1, lam, z
    )
    check.close(
        strided,
        reverse_step(x, score, A, G, 0.1, lam, z),
        "non-contiguous arguments give another answer",
    )
    check.close(
        reverse_step(x, score, A, G, 1e-14, lam, z),
        x,
        "dt near 0 must give x",
        atol=1e-5,
    )
single = [v.float() for v in (x[:1], score[:1], A, G)]
check.close(
    reverse_step(*single, 0.01, 0.8, z[:1].float()),
    reverse_step(*[v.double() for v in single], 0.01, 0.8, z[:1]).float(),
    "a single point, float32 in and float32 out",
    atol=1e-4,
)
check.close(
    step_arguments_after(x.clone(), score.clone(), A.clone(), G.clone(), z.clone()),
    (x, score, A, G, z),
    "an argument was changed in place",
)
### END HIDDEN TESTS


# %% test="reverse_step" aspect="gradient" points=1
@check.probe
def step_gradients(x, score, A, G, dt, lam, noise, weight):
    x, score = x.clone().requires_grad_(), score.clone().requires_grad_()
    (reverse_step(x, score, A, G, dt, lam, noise) * weight).sum().backward()
    return x.grad, score.grad


one = torch.ones(1, 1, dtype=torch.float64)
check.close(
    step_gradients(one, one, 3 * one, 2 * one, 1e-6, 1.0, one, one),
    (one - 3e-6, 4e-6 * one),
    "out = x - A x dt + G² score dt + …: by x it must be 1 - A dt, by score G² dt",
    rtol=1e-3,
    atol=1e-10,
)
### BEGIN HIDDEN TESTS
draw = check.generator("reverse_step_gradient")


def standard(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


A, G, weight = standard(3, 3), standard(3, 2), standard(4, 3)
for lam in (0.0, 0.9):
    by_x, by_score = step_gradients(
        standard(4, 3), standard(4, 3), A, G, 1e-6, lam, standard(4, 2), weight
    )
    check.close(
        (weight - by_x) / 1e-6, weight @ A, "the gradient with respect to x", atol=1e-3
    )
    check.close(
        by_score / 1e-6,
        (1 + lam**2) / 2 * weight @ G @ G.T,
        "the gradient with respect to the score",
        atol=1e-3,
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · A density carried along
#
# The chapter carried data up to the noise, where the density is known. The same equation runs the other way: start from noise with known log-density, come down, and every sample arrives with its own. Write the function that does both. Points move with $\mathrm dx/\mathrm dt = v(x, t)$, and at the end each has a new place and a new log-density.
#
# The divergence must be exact, not an estimate from a random direction. Of the solver, second order is asked: Heun's method or the midpoint rule, one step for each interval of `ts`, are good enough for all tests; Euler's is not.
#
# <details><summary>Hint 1</summary>The log-density of a moving point changes by minus the divergence of v, per unit of time. The sign of the time step takes care of the direction.</details>
# <details><summary>Hint 2</summary>Divergence of row i: the sum over j of ∂v_ij/∂x_ij. For one j: <code>torch.autograd.grad(v[:, j].sum(), x, retain_graph=True)[0][:, j]</code>; rows do not mix, so the sum over rows does no harm. What would <code>grad(v.sum(), x)</code> give instead?</details>
# <details><summary>Hint 3</summary>Heun: with h = after − t, slopes (v, −div v) at (x, t) and again at (x + h v, after); move x and log_p by h times the mean of the two. Detach x before each evaluation.</details>


# %% solution="carry_density" difficulty=4 minutes=30
def carry_density(velocity, x, log_p, ts):
    """Places and log-densities at time ts[-1] of points that start at time ts[0].

    velocity: a function (x, t) -> (n, d) of points and a float, dx/dt, made of
    differentiable torch operations; each row of the result depends on that row of x.
    x: (n, d). log_p: (n,), the log-density in nats at x, at time ts[0].
    ts: a list of floats, increasing or decreasing, not always evenly spaced.
    Returns (x, log_p) at time ts[-1]: new tensors, of the dtype of x, without a graph.
    """
    ### BEGIN SOLUTION

    def slopes(x, t):
        x = x.detach().requires_grad_()
        v = velocity(x, t)
        divergence = torch.zeros_like(log_p)
        for j in range(x.shape[1]):
            (row,) = torch.autograd.grad(v[:, j].sum(), x, retain_graph=True)
            divergence = divergence + row[:, j]
        return v.detach(), -divergence

    x, log_p = x.clone(), log_p.clone()
    for i in range(len(ts) - 1):
        t, after = ts[i], ts[i + 1]
        h = after - t
        v, change = slopes(x, t)
        v2, change2 = slopes(x + h * v, after)
        x = x + h / 2 * (v + v2)
        log_p = log_p + h / 2 * (change + change2)
    return x, log_p
    ### END SOLUTION


# %% test="carry_density" points=3
@check.probe
def stretched(x, log_p, ts, rates):
    """dx/dt = rates * x, coordinate by coordinate, and a swirl between the first two
    where there are two."""

    def velocity(x, t):
        swirl = torch.stack([x[:, 1], -x[:, 0]], 1) if x.shape[1] == 2 else 0 * x
        return rates * x + swirl

    return carry_density(velocity, x, log_p, ts)


fine = [i / 100 for i in range(101)]
one = torch.tensor([[2.0]], dtype=torch.float64)
x, log_p = stretched(one, torch.tensor([-1.0]).double(), fine, torch.tensor([1.0]))
check.close(
    x,
    2 * math.e * one / 2,
    "dx/dt = x over one unit of time: x grows by a factor of e",
    rtol=1e-3,
)
check.close(
    log_p,
    torch.tensor([-2.0]).double(),
    "where everything is stretched by e the density falls: log_p by 1, from -1 to -2",
    atol=1e-3,
)
x, log_p = stretched(x, log_p, fine[::-1], torch.tensor([1.0]))
check.close(
    log_p,
    torch.tensor([-1.0]).double(),
    "and back down: log_p must return to -1. The time step is negative here",
    atol=1e-3,
)
pair = torch.tensor([[1.0, 0.5], [-3.0, 2.0]], dtype=torch.float64)
_, log_p = stretched(pair, torch.zeros(2).double(), fine, torch.tensor([0.3, -0.1]))
check.close(
    log_p,
    torch.full((2,), -0.2).double(),
    "the divergence is 0.3 - 0.1 for each row; the swirl adds nothing. Is it the sum "
    "of *all* derivatives, or over both rows?",
    atol=1e-3,
)
### BEGIN HIDDEN TESTS
from lib.diffusion_to_edm import mixtures

draw = check.generator("carry_density")


def gaussian(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


@check.probe
def flow_of_a_mixture(x, log_p, ts, weights, means, spread, low, high):
    """The probability-flow ODE of a VP process on a mixture."""
    import math

    from lib.diffusion_to_edm import mixtures

    mixture = mixtures.Mixture(weights, means, spread)

    def velocity(x, t):
        beta, total = low + t * (high - low), low * t + (high - low) * t * t / 2
        m, sigma = math.exp(-total / 2), math.sqrt(math.expm1(total))
        return -beta / 2 * (x + mixtures.score(mixture, x / m, sigma) / m)

    return carry_density(velocity, x, log_p, ts)


@check.probe
def wavy(x, log_p, ts):
    def velocity(x, t):
        return torch.sin(3 * t + x) * (2 + torch.cos(x.roll(1, 1))) / 3

    return carry_density(velocity, x, log_p, ts)


@check.probe
def rotated(x, log_p, ts, A):
    import math

    def velocity(x, t):
        return math.cos(4 * t) * x @ A.T

    return carry_density(velocity, x, log_p, ts)


@check.probe
def points_after(x, log_p):
    def velocity(x, t):
        return torch.sin(x)

    end, density = carry_density(velocity, x, log_p, [0.0, 0.1, 0.3])
    return x, log_p, int(end.requires_grad), int(density.requires_grad)


def at_the_end(mixture, x, total=6.05):
    """The exact log-density at t = 1, where beta's integral is (0.1 + 12) / 2."""
    scaled = x * math.exp(total / 2)
    density = mixtures.log_density(mixture, scaled, math.sqrt(math.expm1(total)))
    return density + x.shape[1] * total / 2


up = [i / 60 for i in range(61)]
for d in (1, 2, 3):
    weights = torch.rand(3, generator=draw).double() + 0.2
    weights = weights / weights.sum()
    mixture = mixtures.Mixture(weights, 1.5 * gaussian(3, d), 0.6)
    described = (weights, mixture.means, 0.6, 0.1, 12.0)
    data = mixtures.sample(mixture, 8, draw)
    noise, change = flow_of_a_mixture(data, torch.zeros(8).double(), up, *described)
    check.close(
        at_the_end(mixture, noise) - change,
        mixtures.log_density(mixture, data),
        f"data of a mixture in {d} dimensions, carried up to the noise: the density "
        "must be the mixture's, within 0.02 nat",
        atol=0.02,
        rtol=0.0,
    )
    noise = gaussian(8, d)
    first = at_the_end(mixture, noise)
    data, log_p = flow_of_a_mixture(noise, first, up[::-1], *described)
    check.close(
        log_p,
        mixtures.log_density(mixture, data),
        f"noise carried down to a mixture in {d} dimensions: each sample's density, "
        "within 0.02 nat",
        atol=0.02,
        rtol=0.0,
    )

A = gaussian(3, 3)
uneven = [0.2, 0.21, 0.25, 0.3, 0.38, 0.4, 0.45, 0.5]
ts = [
    uneven[i] + j / 5 * (uneven[i + 1] - uneven[i]) for i in range(7) for j in range(5)
]
start, log_p = gaussian(6, 3), gaussian(6)
span = (math.sin(4 * ts[-1]) - math.sin(4 * ts[0])) / 4
for words, matrix in (
    ("a turn, which changes no volume", A - A.T),
    ("a linear flow", A),
):
    end, density = rotated(start, log_p, ts, matrix)
    check.close(
        density, log_p - float(matrix.trace()) * span, f"{words}: density", atol=2e-3
    )
    check.close(
        end, start @ torch.linalg.matrix_exp(matrix * span).T, f"{words}: x", atol=2e-3
    )
grid = [i / 30 for i in range(31)]
end, density = wavy(start, log_p, grid)
again, back = wavy(end, density, grid[::-1])
check.close(again, start, "up and down again: the places", atol=2e-3)
check.close(back, log_p, "up and down again: the log-densities", atol=2e-3)
few, single = wavy(start[2:3], log_p[2:3], grid)
check.close(
    (few, single), (end[2:3], density[2:3]), "a point alone must fare as among others"
)
h = 1e-3
for i in range(2):
    moved = torch.stack(
        [
            start[i] + h * sign * torch.eye(3).double()[j]
            for j in range(3)
            for sign in (1, -1)
        ]
    )
    ends, _ = wavy(moved, torch.zeros(6).double(), grid)
    jacobian = (ends[::2] - ends[1::2]) / (2 * h)
    check.close(
        density[i],
        log_p[i] - torch.linalg.slogdet(jacobian)[1],
        "the density must fall by the volume that a small cube grows to",
        atol=2e-3,
    )
check.close(wavy(start.T.contiguous().T, log_p, grid)[1], density, "a non-contiguous x")
check.close(
    wavy(start.float(), log_p.float(), grid)[1],
    density.float(),
    "float32 in and float32 out",
    atol=1e-3,
)
check.close(wavy(start, log_p, [0.3]), (start, log_p), "a single time: nothing moves")
check.close(
    points_after(start.clone(), log_p.clone()),
    (start, log_p, 0, 0),
    "an argument was changed in place, or a result carries a graph",
)
### END HIDDEN TESTS
