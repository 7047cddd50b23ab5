# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # Gumbel-softmax
#
# In the chapter the noise came from a generator and could not be looked at. Here it arrives as an argument, uniform numbers $u$, so every answer is a definite tensor. Three tasks: the relaxed sample itself, with everything that can be extreme about it; its density where it matters, close to a vertex; and the road back, from the winner to the noise.

# %%
import math

import torch

from course import check

# %% [markdown]
# ## 1 · A relaxed sample that nothing upsets
#
# Turn uniform numbers into Gumbel noise, $g = -\log(-\log u)$, and the noise into a relaxed sample $y = \mathrm{softmax}\big((\ell + g)/\tau\big)$ along a given axis; on demand the one-hot vector of its largest entry, with the gradient of $y$.
#
# `torch.rand` may return an exact 0, and in float32 the largest number below 1 as well. Logits may be 10 000 apart, or $-\infty$ for what must never be drawn. The answer is finite all the same, and so is its gradient.
#
# (`F.gumbel_softmax` draws noise of its own, so it cannot be the answer. An $\varepsilon$ of $10^{-20}$ inside a logarithm is fine, one of $10^{-3}$ is seen.)
#
# <details><summary>Hint 1</summary>What is log 0? What comes of a softmax whose entries are all −∞? Which number could stand for a uniform 0?</details>
# <details><summary>Hint 2</summary><code>u.clamp_min(torch.finfo(u.dtype).tiny)</code>. For the hard sample: <code>argmax</code> with <code>keepdim=True</code>, then <code>scatter</code> a 1 along the same axis into zeros.</details>
# <details><summary>Hint 3</summary>hard + soft − soft.detach() has the value of hard and the gradient of soft; hard itself has none.</details>


# %% solution="relaxed_sample" difficulty=2 minutes=15
def relaxed_sample(logits, u, tau, hard=False, dim=-1):
    """Relaxed draws from the categories along an axis of the logits.

    logits: any shape, float32 or float64, unnormalised; an entry may be -inf, but not
    all along `dim`. u: uniform in [0, 1), same dtype; its last axes are those of the
    logits, any others come before them, one draw for each: (n, *logits.shape), say.
    tau: positive, divides. dim: the axis of the categories, negative, so that it is
    the same in both. Returns a new tensor with the shape of u, summing to 1 along dim.
    hard=True: one-hot along dim (up to rounding), with the gradient of the soft draw.
    What exactly stands for u = 0 is up to you: smaller than all other u, and finite.
    """
    ### BEGIN SOLUTION
    exponential = -u.clamp_min(torch.finfo(u.dtype).tiny).log()
    soft = ((logits - exponential.log()) / tau).softmax(dim)
    if not hard:
        return soft
    best = soft.argmax(dim, keepdim=True)
    onehot = torch.zeros_like(soft).scatter(dim, best, 1.0)
    return onehot + (soft - soft.detach())
    ### END SOLUTION


# %% test="relaxed_sample" points=2
quiet = torch.full((2,), math.exp(-1))  # -log(-log u) = 0
check.close(
    relaxed_sample(torch.tensor([0.0, math.log(3)]), quiet, 1.0),
    torch.tensor([0.25, 0.75]),
    "with u = 1/e the noise is 0: the answer is softmax(logits / tau)",
)
check.close(
    relaxed_sample(torch.tensor([0.0, math.log(3)]), quiet, 0.5),
    torch.tensor([0.1, 0.9]),
    "the temperature divides: odds of 1 : 3 become 1 : 9 at tau = 0.5",
)
check.close(
    relaxed_sample(torch.zeros(2), torch.exp(torch.tensor([-1.0, -0.5])), 1.0),
    torch.tensor([1 / 3, 2 / 3]),
    "u = exp(-1/2) must give the noise +log 2: both signs of -log(-log u) count",
)
check.close(
    relaxed_sample(torch.tensor([0.0, math.log(3)]), quiet, 0.5, hard=True),
    torch.tensor([0.0, 1.0]),
    "hard=True must return the one-hot vector of the largest entry",
)
### BEGIN HIDDEN TESTS
draw = check.generator("relaxed_sample")


@check.probe
def arguments_after(logits, u):
    relaxed_sample(logits, u, 0.7, hard=True)
    return logits, u


def race(logits, u, tau, dim):
    """The same draw as a race: category i arrives after -log(u) / p_i."""
    speed = logits.double().softmax(dim) / -u.double().log()
    odds = (speed / speed.amax(dim, keepdim=True)) ** (1 / tau)
    return odds / odds.sum(dim, keepdim=True)


def uniform(*shape):
    return torch.rand(shape, dtype=torch.float64, generator=draw).clamp(1e-6, 1 - 1e-9)


for shape, lead, dim, tau in [
    ((5,), (), -1, 0.6),
    ((3,), (7,), -1, 2.5),
    ((2, 4), (6,), -2, 0.35),
    ((1, 3, 2), (), -2, 1.3),
    ((4, 6), (2, 3), -1, 0.8),
]:
    logits = 3 * torch.randn(shape, dtype=torch.float64, generator=draw) + 4
    u = uniform(*lead, *shape)
    want = race(logits, u, tau, dim)
    words = f"logits {shape}, u {tuple(u.shape)}, dim = {dim}"
    check.close(relaxed_sample(logits, u, tau, dim=dim), want, f"random input, {words}")
    onehot = (want == want.amax(dim, keepdim=True)).double()
    check.close(
        relaxed_sample(logits, u, tau, True, dim),
        onehot,
        f"the hard draw must be one-hot along dim, {words}",
        atol=1e-6,
    )
    check.close(
        relaxed_sample(logits + 31, u, tau, dim=dim),
        want,
        f"a constant added to the logits must change nothing, {words}",
    )
    check.close(
        relaxed_sample(logits.float(), u.float(), tau, dim=dim),
        race(logits.float(), u.float(), tau, dim).float(),
        f"float32 in must give float32 out, {words}",
        rtol=1e-3,
        atol=1e-4,
    )
    check.close(
        relaxed_sample(logits, u, 1e-7, dim=dim),
        onehot,
        f"a temperature near 0 must give the vertex of the winner, {words}",
        atol=1e-6,
    )

for row in ([1.0, 0.0, -0.5, 0.3], [5.0, 0.0, -1.0, -3.0], [-2.0, 99.0, 98.0]):
    logits = torch.tensor(row, dtype=torch.float64)
    u = torch.rand(100_000, len(row), dtype=torch.float64, generator=draw)
    onehot = relaxed_sample(logits, u, 1.7, hard=True)
    check.close(onehot.sum(-1), torch.ones(len(u)).double(), "rows must sum to 1")
    p = logits.softmax(0)
    counts, expected = onehot.sum(0), p * len(u)
    fair = ((counts - expected) ** 2 / expected.clamp_min(1e-9))[expected > 1]
    check.close(
        float(fair.sum()),
        0.0,
        "the winners must be drawn with probabilities softmax(logits): chi-square of "
        "100,000 draws",
        atol=45.0,
    )

for dtype in (torch.float32, torch.float64):
    one = torch.tensor(1.0, dtype=dtype)
    ends = torch.stack((0 * one, one.nextafter(0 * one), one / 2))
    u = torch.cartesian_prod(ends, ends, ends)
    for row, words in (
        ([0.0, 0.0, 0.0], "equal logits"),
        ([1e4, -1e4, 0.0], "logits of ±10,000"),
        ([-math.inf, 0.5, -math.inf], "all logits but one -inf"),
        ([1e4, 1e4, -math.inf], "two large logits, one -inf"),
    ):
        logits = torch.tensor(row, dtype=dtype)
        for hard in (False, True):
            y = relaxed_sample(logits, u, 0.1, hard)
            words_ = f"{words}, u between 0 and the largest number below 1, {dtype}"
            check.close(
                y.sum(-1),
                torch.ones(len(u), dtype=dtype),
                f"{words_}: must be finite and sum to 1",
                atol=0.01,
            )
            never = logits == -math.inf
            check.close(
                y[:, never], 0 * y[:, never], f"{words_}: -inf must never be drawn"
            )

strided = 2 * torch.randn(4, 3, dtype=torch.float64, generator=draw).T
u = uniform(3, 4)
check.close(
    relaxed_sample(strided, u, 0.9),
    race(strided, u, 0.9, -1),
    "a non-contiguous tensor of logits gives another answer",
)
check.close(
    arguments_after(strided.clone(), u.clone()),
    (strided, u),
    "an argument was changed in place",
)
### END HIDDEN TESTS


# %% test="relaxed_sample" aspect="gradient" points=1
@check.probe
def gradient(logits, u, tau, hard, dim, weight):
    leaf = logits.clone().requires_grad_()
    (relaxed_sample(leaf, u.clone(), tau, hard, dim) * weight).sum().backward()
    return leaf.grad


quiet = torch.full((2,), math.exp(-1))
for hard in (False, True):
    check.close(
        gradient(torch.zeros(2), quiet, 0.5, hard, -1, torch.tensor([1.0, 0.0])),
        torch.tensor([0.5, -0.5]),
        f"y (1 - y) / tau for two equal entries, hard={hard}: is the graph cut?",
    )
### BEGIN HIDDEN TESTS
draw = check.generator("relaxed_sample_gradient")
for shape, lead, dim, tau in [((4,), (3,), -1, 0.7), ((3, 2), (), -2, 1.9)]:
    logits = torch.randn(shape, dtype=torch.float64, generator=draw)
    u = torch.rand(*lead, *shape, dtype=torch.float64, generator=draw)
    weight = torch.randn(*lead, *shape, dtype=torch.float64, generator=draw)
    leaf = logits.clone().requires_grad_()
    noise = -(-u.clamp_min(1e-300).log()).log()
    soft = torch.softmax((leaf + noise) / tau, dim)
    (want,) = torch.autograd.grad((soft * weight).sum(), leaf)
    for hard in (False, True):
        check.close(
            gradient(logits, u, tau, hard, dim, weight),
            want,
            f"the gradient must be that of the soft draw for the same noise, {hard=}",
        )
ends = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1 - 2**-24, 0.5]])
for row in ([0.0, 0.0, 0.0], [1e4, -1e4, 0.0], [-math.inf, 0.5, -math.inf]):
    for hard in (False, True):
        slope = gradient(torch.tensor(row), ends, 0.1, hard, -1, ends + 1)
        check.close(
            float(slope.sum()),
            0.0,
            "extreme logits and noise: the gradient must be finite and sum to 0",
            atol=1e-4,
        )
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · How dense are the samples near a vertex?
#
# At a low temperature almost all samples lie so close to a vertex that some $y_i$ is zero in floating point, and the chapter's density is $\infty$ or NaN there. Hence libraries keep $\log y$. Write the log-density of the chapter,
#
# $$\log\Gamma(K) + (K-1)\log\tau - K\log\sum_i\pi_i y_i^{-\tau} + \sum_i\big(\log\pi_i - (\tau + 1)\log y_i\big),\qquad \pi = e^{\ell},$$
#
# for a point that is given by its logarithms. It is still the density of $y$, not that of $\log y$. `torch.distributions` may be used.
#
# <details><summary>Hint 1</summary>Never leave the logarithm: what is log Σ exp(...) called in torch?</details>
# <details><summary>Hint 2</summary>log(π<sub>i</sub> y<sub>i</sub><sup>−τ</sup>) = logits − tau · log_y. For Γ there is <code>math.lgamma</code>.</details>
# <details><summary>Hint 3</summary>The density of log y lacks the product of all 1/y<sub>i</sub>: a term −log_y.sum(−1).</details>


# %% solution="relaxed_log_density" difficulty=2 minutes=15
def relaxed_log_density(log_y, logits, tau):
    """Log-density at the point y = exp(log_y) of softmax((logits + g) / tau).

    log_y: (..., K), the logarithms of the coordinates of points inside the simplex;
    they may be as low as -10,000. logits: (K,) or (..., K), unnormalised, same dtype.
    The density is with respect to the first K - 1 coordinates of y. Returns (...).
    """
    ### BEGIN SOLUTION
    k = log_y.shape[-1]
    score = logits - tau * log_y
    constant = math.lgamma(k) + (k - 1) * math.log(tau)
    return constant + (score - log_y).sum(-1) - k * score.logsumexp(-1)
    ### END SOLUTION


# %% test="relaxed_log_density" points=2
third = torch.tensor([[1 / 3, 2 / 3], [0.9, 0.1]]).log()
check.close(
    relaxed_log_density(third, torch.zeros(2), 1.0),
    torch.zeros(2),
    "two equal categories at tau = 1: y is uniform between 0 and 1, log-density 0",
)
check.close(
    relaxed_log_density(torch.tensor([0.5, 0.5]).log(), torch.zeros(2), 2.0),
    torch.tensor(math.log(2)),
    "in the middle between two equal categories the density is tau",
)
### BEGIN HIDDEN TESTS
draw = check.generator("relaxed_log_density")


@check.probe
def gradient_and_arguments_after(log_y, logits, tau):
    leaf = logits.clone().requires_grad_()
    relaxed_log_density(log_y, leaf, tau).sum().backward()
    return leaf.grad, log_y


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=draw)


for shape, tau in [((2,), 0.7), ((6, 3), 2.2), ((2, 1, 5), 0.4), ((1, 4), 1.6)]:
    log_y, logits = normal(*shape).log_softmax(-1), normal(*shape) + 3
    law = torch.distributions.RelaxedOneHotCategorical(
        torch.tensor(tau, dtype=torch.float64), logits=logits
    )
    want = law.log_prob(log_y.exp())
    words = f"shape {shape}, tau = {tau}"
    check.close(relaxed_log_density(log_y, logits, tau), want, f"random input, {words}")
    check.close(
        relaxed_log_density(log_y, logits - 40, tau),
        want,
        f"a constant added to the logits must change nothing, {words}",
    )
    check.close(
        relaxed_log_density(log_y.float(), logits.float(), tau),
        want.float(),
        f"float32 in must give float32 out, {words}",
        rtol=1e-3,
        atol=1e-3,
    )
    share = (logits - tau * log_y).softmax(-1)
    check.close(
        gradient_and_arguments_after(log_y.clone(), logits, tau),
        (1 - shape[-1] * share, log_y),
        f"the gradient for the logits is wrong, or log_y was changed, {words}",
    )

points, logits = normal(7, 4).log_softmax(-1), normal(4)
one_by_one = [relaxed_log_density(point, logits, 0.9) for point in points]
check.close(
    relaxed_log_density(points, logits, 0.9),
    torch.stack(one_by_one),
    "one row of logits must serve many points",
)
check.close(
    relaxed_log_density(points.T.contiguous().T, logits, 0.9),
    torch.stack(one_by_one),
    "a non-contiguous log_y gives another answer",
)

side = torch.linspace(-60, 60, 401, dtype=torch.float64)
a, b = torch.meshgrid(side, side, indexing="ij")
for coordinates, tau in ((side[:, None], 0.6), (torch.stack((a, b), -1), 0.9)):
    last = torch.zeros_like(coordinates[..., :1])
    log_y = torch.cat((coordinates, last), -1).log_softmax(-1)
    k = log_y.shape[-1]
    density = relaxed_log_density(log_y, torch.linspace(0.2, -0.5, k).double(), tau)
    cells = (density + log_y.sum(-1)).exp() * (side[1] - side[0]) ** (k - 1)
    check.close(
        float(cells.sum()),
        1.0,
        f"the density must integrate to 1 over the simplex of {k} categories",
        atol=1e-3,
    )

far = torch.tensor([0.0, -10_000.0, -800.0], dtype=torch.float64)
logits, tau = normal(3), 0.3
# Far out log Σ exp is its largest term, up to what 64 bits can hold.
lead = (logits - tau * far)[1]
want = math.log(2) + 2 * math.log(tau) + logits.sum() - (tau + 1) * far.sum() - 3 * lead
check.close(
    relaxed_log_density(far, logits, tau),
    want,
    "coordinates of exp(-10,000): finite, and right",
    atol=1e-6,
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · From the winner back to the noise
#
# A category has been drawn, and now one wants to know which noise may have drawn it: REBAR and its successors compare the relaxed sample with a second one *that has the same winner*. Let $z_i = \ell_i + g_i$ with independent Gumbel noise $g$, and let category $w$ be the largest. The chapter proved that the largest value $T = z_w$ is distributed as $\mathrm{lse}(\ell) + \text{Gumbel noise}$, whoever wins. Each loser is then an independent Gumbel variable at its own $\ell_i$, cut off above $T$:
#
# $$P(z_i\le t\mid w, T) = \frac{F_i(t)}{F_i(T)}\ \text{ for } t\le T,\qquad F_i(t) = e^{-e^{-(t-\ell_i)}} .$$
#
# Draw $z$ by inverting these distribution functions at given uniform numbers: $P(z_w\le T) = u_w$, then $P(z_i\le t\mid w, T) = u_i$.
#
# <details><summary>Hint 1</summary>First the winner: exp(−exp(−(T − lse))) = u. Which uniform number is its own? <code>gather</code> finds it in a batch.</details>
# <details><summary>Hint 2</summary>Then the losers: take the logarithm of F<sub>i</sub>(t) = u<sub>i</sub> F<sub>i</sub>(T). It says exp(−(t − ℓ<sub>i</sub>)) = exp(−(T − ℓ<sub>i</sub>)) − log u<sub>i</sub>.</details>
# <details><summary>Hint 3</summary>Compute the losers' formula for all, then <code>scatter</code> T into the winner's place.</details>


# %% solution="given_winner" difficulty=4 minutes=25
def given_winner(logits, winner, u):
    """Perturbed logits z = logits + Gumbel noise, given that `winner` is the largest.

    logits: (..., K), unnormalised, hundreds apart if need be; a loser's may be -inf.
    winner: (...), integers, which one is the largest.
    u: (..., K), uniform in (0, 1), same dtype as the logits: u at the winner's place
    decides the largest value, u at any other place how far below it that one falls.
    Returns z, a new tensor (..., K); gradients pass to the logits.
    """
    ### BEGIN SOLUTION
    place = winner[..., None]
    top = logits.logsumexp(-1, keepdim=True) - (-u.gather(-1, place).log()).log()
    below = logits - ((logits - top).exp() - u.log()).log()
    return below.scatter(-1, place, top)
    ### END SOLUTION


# %% test="given_winner" points=3
logits = torch.tensor([0.0, 0.0])
middle = torch.tensor([math.exp(-1), math.exp(-1)])
for winner in (0, 1):
    z = given_winner(logits, torch.tensor(winner), middle)
    check.close(
        z[winner],
        torch.tensor(math.log(2)),
        "u = 1/e at the winner: the largest value is logsumexp(logits) = log 2 itself",
    )
    check.close(
        z[1 - winner],
        torch.tensor(-math.log(1.5)),
        "the loser: exp(-t) = exp(-log 2) + 1, so t = -log 1.5",
    )
### BEGIN HIDDEN TESTS
import numpy as np

draw = check.generator("given_winner")


@check.probe
def gradient(logits, winner, u, weight):
    leaf = logits.clone().requires_grad_()
    (given_winner(leaf, winner, u) * weight).sum().backward()
    return leaf.grad


@check.probe
def arguments_after(logits, winner, u):
    given_winner(u=u, winner=winner, logits=logits)
    return logits, winner, u


def by_inversion(logits, winner, u):
    """Row by row: invert each distribution function where it is asked to be cut."""

    def cdf(t, location):
        return np.exp(-np.exp(location - t))

    def quantile(q, location):
        return location - np.log(-np.log(q))

    rows = []
    table, uniforms = (x.reshape(-1, x.shape[-1]).numpy() for x in (logits, u))
    for row, w, v in zip(table, winner.flatten().tolist(), uniforms):
        top = quantile(v[w], np.logaddexp.reduce(row))
        found = [quantile(q * cdf(top, at), at) for q, at in zip(v, row)]
        found[w] = top
        rows.append(torch.tensor(np.array(found)))
    return torch.stack(rows).view(logits.shape)


def uniform(*shape):
    return 0.01 + 0.98 * torch.rand(shape, dtype=torch.float64, generator=draw)


for shape in [(1, 5), (6, 3), (2, 4, 2), (3, 1, 7)]:
    logits = torch.randn(shape, dtype=torch.float64, generator=draw) + 2
    winner = torch.randint(shape[-1], shape[:-1], generator=draw)
    u = uniform(*shape)
    z = given_winner(logits, winner, u)
    words = f"shape {shape}"
    check.close(z, by_inversion(logits, winner, u), f"random input, {words}", atol=1e-6)
    check.close(z.argmax(-1), winner, f"the winner must be the largest, {words}")
    check.close(
        given_winner(logits + 5, winner, u),
        z + 5,
        f"a constant added to the logits must be added to z, {words}",
        atol=1e-6,
    )
    check.close(
        given_winner(logits.float(), winner, u.float()),
        z.float(),
        f"float32 in must give float32 out, {words}",
        rtol=1e-3,
        atol=1e-3,
    )
    weight = torch.randn(shape, dtype=torch.float64, generator=draw)
    step = 1e-4 * torch.randn(shape, dtype=torch.float64, generator=draw)
    ahead, behind = (by_inversion(logits + s * step, winner, u) for s in (1, -1))
    check.close(
        float((gradient(logits, winner, u, weight) * step).sum()) / 2e-4,
        float(((ahead - behind) * weight).sum()) / 4e-4,
        f"the gradient for the logits, the winner's share in T included, {words}",
        rtol=1e-4,
        atol=1e-4,
    )

logits = torch.tensor([0.5, -1.0, 0.0, 1.2], dtype=torch.float64)
n = 100_000
rows = logits.expand(n, -1)
winner = torch.multinomial(logits.softmax(0), n, True, generator=draw)
noise = given_winner(
    rows, winner, torch.rand(n, 4, dtype=torch.float64, generator=draw)
)
noise = noise - logits
check.close(
    noise.mean(0),
    torch.full((4,), 0.5772156649).double(),
    "winners drawn first, noise after: on the whole it must be Gumbel noise (mean)",
    atol=5 * math.pi / (6 * n) ** 0.5,
)
check.close(
    torch.cov(noise.T) * 6 / math.pi**2,
    torch.eye(4).double(),
    "winners drawn first, noise after: independent Gumbel noise (covariance)",
    atol=0.05,
)

never = torch.tensor([[-math.inf, 0.3, 1.0]], dtype=torch.float64)
z = given_winner(never, torch.tensor([1]), uniform(1, 3))
check.close(
    z[:, 0], never[:, 0], "a loser with logit -inf must stay at -inf", rtol=0, atol=0
)
check.close(z[:, 1:].argmax(-1), torch.tensor([0]), "-inf beside it: another winner")
apart = torch.tensor([[900.0, -900.0]], dtype=torch.float64)
z = given_winner(apart, torch.tensor([1]), torch.full((1, 2), 0.5).double())
top = 900 - math.log(math.log(2))
check.close(
    z,
    torch.tensor([[900 - math.log(2 * math.log(2)), top]]).double(),
    "an unlikely winner, logits 1800 apart: finite, and right",
    atol=1e-6,
)

strided = torch.randn(3, 4, dtype=torch.float64, generator=draw).T
winner, u = torch.tensor([0, 2, 1, 2]), uniform(4, 3)
check.close(
    given_winner(strided, winner, u),
    by_inversion(strided.contiguous(), winner, u),
    "a non-contiguous tensor of logits gives another answer",
    atol=1e-6,
)
check.close(
    arguments_after(strided.clone(), winner.clone(), u.clone()),
    (strided, winner, u),
    "an argument was changed in place",
)
### END HIDDEN TESTS
