# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # Smoothing
#
# The chapter smoothed whole vectors, one F1 and functions of one number. In use there is padding that may not win the maximum, many labels of which some are absent from a batch, and functions of many numbers that one can only call. Four tasks.

# %%
import torch

from course import check

# %% [markdown]
# ## 1 · The extremum of the entries that count
#
# Sentences of a batch are padded to one length; what stands in the padding is rubbish, sometimes NaN. Write the smooth maximum ($k > 0$) and minimum ($k < 0$) of the entries that a mask allows, along any axis:
#
# $$M_k(x) = \frac1k\log\sum_{i\,\in\,\text{allowed}} e^{k x_i} .$$
#
# The sum, not the mean. Scores of $\pm10^4$ occur, and a loss will be pulled back through it.
#
# <details><summary>Hint 1</summary>An entry that adds nothing to the sum has exponent −∞. Of which quantity must that be said, of x or of kx?</details>
# <details><summary>Hint 2</summary>Replace, do not add or multiply: NaN times zero is NaN. Replace before anything is computed from the rubbish, or the gradient gets it back.</details>


# %% solution="masked_extremum" difficulty=2 minutes=15
def masked_extremum(x, allowed, k, dim):
    """Smooth maximum (k > 0) or minimum (k < 0) of the allowed entries along dim.

    x: any shape, float32 or float64. allowed: bool, the shape of x, True where an entry
    counts; at least one along dim everywhere. Entries that do not count may hold
    anything, NaN and infinity too, and get gradient 0. k: a float, not 0.
    Returns a new tensor of the dtype of x, without the axis dim.
    """
    ### BEGIN SOLUTION
    exponent = (k * x).masked_fill(~allowed, -torch.inf)
    return torch.logsumexp(exponent, dim) / k
    ### END SOLUTION


# %% test="masked_extremum" points=2
two = torch.tensor([[3.0, 3.0, 50.0]])
first_two = torch.tensor([[True, True, False]])
check.close(
    masked_extremum(two, first_two, 2.0, 1),
    torch.tensor([3.3465736]),
    "two equal numbers must give their value plus log(2) / k: a sum, not a mean, and "
    "the third entry does not count",
)
check.close(
    masked_extremum(two, ~first_two, -2.0, 1),
    torch.tensor([50.0]),
    "a single allowed entry is its own minimum",
)
### BEGIN HIDDEN TESTS
import math

from lib.reparameterization import smoothing as reference

draw = check.generator("masked_extremum")


@check.probe
def arguments_after(x, allowed):
    masked_extremum(x, allowed, 1.5, 0)
    return x, allowed


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


for shape, dim in [((3, 7), 1), ((5, 2, 4), 0), ((2, 6, 3), -2), ((1, 9), -1)]:
    x = 2 * normal(*shape)
    allowed = torch.rand(*shape, generator=draw) < 0.6
    allowed.select(dim, 0).fill_(True)
    rubbish = torch.tensor([torch.nan, 1e9, -1e9, torch.inf], dtype=torch.float64)
    fill = rubbish[torch.randint(0, 4, shape, generator=draw)]
    padded = torch.where(allowed, x, fill)
    rows = x.movedim(dim, -1).reshape(-1, shape[dim])
    marks = allowed.movedim(dim, -1).reshape(-1, shape[dim])
    rest = [n for i, n in enumerate(shape) if i != dim % len(shape)]
    for k in (3.0, -3.0, 0.4, -20.0):
        words = f"k = {k}, rubbish where nothing counts, axis {dim} of {len(shape)}"
        want = [reference.smooth_max(r[m], k) for r, m in zip(rows, marks)]
        got = masked_extremum(padded, allowed, k, dim)
        check.close(got, torch.stack(want).reshape(rest), words)
        edge = [(r[m].max() if k > 0 else r[m].min()) for r, m in zip(rows, marks)]
        beyond = (got - torch.stack(edge).reshape(rest)) * k
        room = marks.sum(1).double().log().reshape(rest)
        check.close(
            beyond.clamp(min=-1e-9).minimum(room + 1e-9),
            beyond,
            f"off the extremum by log(number that count) / |k| at most, {words}",
        )

everywhere = torch.ones(4, 5, dtype=torch.bool)
x = normal(4, 5)
order = torch.randperm(5, generator=draw)
check.close(
    masked_extremum(x[:, order] + 7, everywhere, -2.0, 1),
    masked_extremum(x, everywhere, -2.0, 1) + 7,
    "a shift must move the result along, and the order must not matter",
)
strided = normal(5, 4).T
check.close(
    masked_extremum(strided, everywhere, 2.0, 0),
    masked_extremum(strided.contiguous(), everywhere, 2.0, 0),
    "a non-contiguous x gives another answer",
)
for dtype in (torch.float32, torch.float64):
    large = torch.tensor([[1e4, -1e4, 1e4]], dtype=dtype)
    for k, want in ((5.0, 1e4 + math.log(2) / 5), (-5.0, -1e4)):
        check.close(
            masked_extremum(large, torch.ones(1, 3, dtype=torch.bool), k, 1),
            torch.tensor([want], dtype=dtype),
            f"values of ten thousand in {str(dtype)[6:]} must neither overflow nor "
            "underflow",
            atol=2e-3,
        )
some = everywhere.clone()
some[1:3, 2] = False
check.close(
    arguments_after(x.clone(), some.clone()),
    (x, some),
    "an argument was changed in place",
)
### END HIDDEN TESTS


# %% test="masked_extremum" aspect="gradient" points=1
@check.probe
def slope(x, allowed, k, dim, upstream):
    leaf = x.clone().requires_grad_()
    (masked_extremum(leaf, allowed, k, dim) * upstream).sum().backward()
    return leaf.grad


check.close(
    slope(torch.ones(1, 2), torch.tensor([[True, False]]), 1.0, 1, torch.ones(1)),
    torch.tensor([[1.0, 0.0]]),
    "all the gradient must go to the only entry that counts",
)
### BEGIN HIDDEN TESTS
draw = check.generator("masked_extremum_gradient")
for k in (2.5, -2.5):
    x = torch.randn(4, 6, dtype=torch.float64, generator=draw)
    allowed = torch.rand(4, 6, generator=draw) < 0.6
    allowed[:, 2] = True
    upstream = torch.randn(4, dtype=torch.float64, generator=draw)
    weights = torch.where(allowed, (k * x).exp(), 0.0)
    weights = weights / weights.sum(1, keepdim=True)
    for rubbish, words in ((0.5, "a number"), (torch.nan, "NaN")):
        check.close(
            slope(x.masked_fill(~allowed, rubbish), allowed, k, 1, upstream),
            weights * upstream[:, None],
            "the gradient must be the softmax of k x over what counts, and 0 elsewhere"
            f"; {words} stands where nothing counts, k = {k}",
        )
large = torch.tensor([[1e4, -1e4, 0.0]])
check.close(
    slope(large, torch.ones(1, 3, dtype=torch.bool), -5.0, 1, torch.ones(1)),
    torch.tensor([[0.0, 1.0, 0.0]]),
    "at values of ten thousand the gradient must stay finite",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · F-beta of many labels, from logits
#
# A picture bears several of $C$ labels, and a batch of $B$ pictures often shows no example of some of them. With $R$ for recall and $P$ for precision, and $\beta$ for how much more recall matters,
#
# $$F_\beta = \frac{(1+\beta^2)\,P R}{\beta^2 P + R},\qquad P = \frac{TP}{TP+FP},\quad R = \frac{TP}{TP+FN} .$$
#
# Write the loss: soften the counts as the chapter did, one $F_\beta$ a label over the whole batch, the mean over **the labels that occur in the batch**, and one minus that. Labels that do not occur say nothing about recall and are left out; if none occurs, a training step must do nothing.
#
# <details><summary>Hint 1</summary>Put the fractions together first: with TP + FN = Σy and TP + FP = Σp one fraction is left, and its denominator is zero only where a label neither occurs nor is predicted.</details>
# <details><summary>Hint 2</summary>For β = 1 it is the chapter's 2Σpy / Σ(p + y). For β = 2 recall counts more: β² stands with Σy.</details>
# <details><summary>Hint 3</summary>The gradient of <code>torch.where(ok, a / b, 0)</code> is NaN where b is 0. Make b harmless first, or pick the labels that occur before you divide.</details>


# %% solution="f_beta_loss" difficulty=3 minutes=20
def f_beta_loss(logits, y, beta):
    """1 - mean soft F-beta of the labels that occur in the batch.

    logits, y: (B, C), float32 or float64; y is 0 or 1; the probability of a label is
    the sigmoid of its logit, each label for itself. beta: a positive float.
    Returns a tensor of shape () and the dtype of logits. If no label occurs, it is 0,
    and so is every gradient. No threshold: gradients reach every logit of a label that
    occurs.
    """
    ### BEGIN SOLUTION
    there = y.sum(0) > 0
    p, y = logits.sigmoid()[:, there], y[:, there]
    found = (1 + beta**2) * (p * y).sum(0)
    score = found / (p.sum(0) + beta**2 * y.sum(0))
    return (1 - score).sum() / there.sum().clamp_min(1)
    ### END SOLUTION


# %% test="f_beta_loss" points=2
sure = torch.tensor([[40.0, -40.0], [-40.0, 40.0], [-40.0, 40.0]])
truth = (sure > 0).float()
check.close(
    f_beta_loss(sure, truth, 1.0),
    torch.tensor(0.0),
    "perfect and certain predictions must have loss 0",
    atol=1e-4,
)
check.close(
    f_beta_loss(torch.zeros(4, 1), torch.tensor([[1.0], [0.0], [0.0], [0.0]]), 1.0),
    torch.tensor(2 / 3),
    "one positive in four, all p = 1/2: soft F1 is 2 · 0.5 / (2 + 1) = 1/3, without "
    "a threshold",
    atol=1e-4,
)
### BEGIN HIDDEN TESTS
import numpy as np

from lib.reparameterization import smoothing as reference

draw = check.generator("f_beta_loss")


@check.probe
def arguments_after(logits, y):
    f_beta_loss(logits, y, 0.5)
    return logits, y


def batch(rows, classes, rates):
    logits = 2 * torch.randn(rows, classes, dtype=torch.float64, generator=draw)
    chance = torch.tensor(rates, dtype=torch.float64)
    drawn = torch.rand(rows, classes, dtype=torch.float64, generator=draw)
    return logits, (drawn < chance).double()


def by_loops(p, y, beta):
    """1 - mean over labels of the formula in P and R, from expected counts."""
    scores = []
    for predicted, true in zip(p.numpy().T, y.numpy().T):
        if true.sum() == 0:
            continue
        hit = np.sum(predicted * true)
        wrong, missed = np.sum(predicted * (1 - true)), np.sum((1 - predicted) * true)
        if hit == 0:
            scores.append(0.0)
            continue
        precision, recall = hit / (hit + wrong), hit / (hit + missed)
        scores.append(
            (1 + beta**2) * precision * recall / (beta**2 * precision + recall)
        )
    return torch.tensor(1 - np.mean(scores), dtype=torch.float64)


# atol 1e-5: a tiny constant in the denominator is not wrong.
for rows, classes, rates in [
    (60, 4, [0.1, 0.3, 0.5, 0.9]),
    (25, 3, [0.4, 0.0, 0.6]),
    (90, 1, [0.05]),
    (7, 5, [0.5, 0.5, 0.0, 0.0, 0.7]),
]:
    logits, y = batch(rows, classes, rates)
    y[0, 0] = 1.0
    for beta in (1.0, 2.0, 0.5):
        check.close(
            f_beta_loss(logits, y, beta),
            by_loops(logits.sigmoid(), y, beta),
            f"soft counts of {rows} by {classes}, beta = {beta}, against the formula "
            "in precision and recall",
            atol=1e-5,
        )
        certain = 1e4 * logits.sign()
        check.close(
            f_beta_loss(certain, y, beta),
            by_loops((logits > 0).double(), y, beta),
            f"logits of ten thousand: the hard F-beta, beta = {beta}",
            atol=1e-5,
        )
    present = y[:, y.sum(0) > 0]
    check.close(
        f_beta_loss(logits, y, 1.0),
        reference.soft_f1_loss(
            logits.sigmoid()[:, y.sum(0) > 0].contiguous(), present, "macro"
        ),
        "beta = 1 must be the chapter's F1, one a label",
        atol=1e-5,
    )

logits, y = batch(30, 3, [0.3, 0.5, 0.2])
y[:2] = 1.0
order = torch.randperm(30, generator=draw)
check.close(
    f_beta_loss(logits[order][:, [2, 0, 1]], y[order][:, [2, 0, 1]], 2.0),
    f_beta_loss(logits, y, 2.0),
    "the order of rows and labels must not matter",
)
check.close(
    f_beta_loss(logits.T.contiguous().T, y, 2.0),
    f_beta_loss(logits, y, 2.0),
    "non-contiguous logits give another answer",
)
check.close(
    f_beta_loss(logits.float(), y.float(), 2.0),
    f_beta_loss(logits, y, 2.0).float(),
    "float32 in must give float32 out",
    atol=1e-4,
)
for value in (0.3, -1e4):
    check.close(
        f_beta_loss(torch.full((6, 2), value), torch.zeros(6, 2), 1.0),
        torch.tensor(0.0),
        "a batch in which no label occurs must give 0, not NaN",
    )
check.close(
    arguments_after(logits.clone(), y.clone()),
    (logits, y),
    "an argument was changed in place",
)
### END HIDDEN TESTS


# %% test="f_beta_loss" aspect="gradient" points=1
@check.probe
def pull(logits, y, beta):
    leaf = logits.clone().requires_grad_()
    loss = f_beta_loss(leaf, y, beta)
    if loss.requires_grad:
        loss.backward()
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


check.close(
    pull(torch.zeros(2, 1), torch.tensor([[1.0], [0.0]]), 1.0),
    torch.tensor([[-0.1875], [0.0625]]),
    "all p = 1/2, one of two positive: a positive must be pushed up, three times as "
    "hard as the negative down",
    atol=1e-4,
)
### BEGIN HIDDEN TESTS
draw = check.generator("f_beta_loss_gradient")
for beta in (1.0, 3.0):
    logits = torch.randn(20, 3, dtype=torch.float64, generator=draw)
    y = (torch.rand(20, 3, generator=draw) < 0.4).double()
    y[:, 1] = 0.0
    y[:2, 0] = y[:2, 2] = 1.0
    p = logits.sigmoid()
    sums = p.sum(0) + beta**2 * y.sum(0)
    score = (1 + beta**2) * (p * y).sum(0) / sums
    want = -((1 + beta**2) * y - score) / sums * p * (1 - p) / 2
    want[:, 1] = 0.0
    check.close(
        pull(logits, y, beta),
        want,
        "the gradient must be that of the closed form, with 0 for a label that does "
        f"not occur, beta = {beta}",
        atol=1e-5,
    )
for value in (0.3, 1e4, -1e4):
    check.close(
        pull(torch.full((6, 2), value), torch.zeros(6, 2), 1.0),
        torch.zeros(6, 2),
        "where no label occurs a training step must do nothing: gradient 0, not NaN",
    )
check.close(
    pull(torch.full((3, 2), -1e4), torch.tensor([[1.0, 0], [0, 0], [0, 0]]), 1.0),
    torch.zeros(3, 2),
    "a certain and wrong prediction must have a finite gradient",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · A gradient from function values, in pairs
#
# The function takes many numbers, can be called and nothing else. The chapter's estimator for one number becomes
#
# $$f_\sigma(x) = \mathbb E\,f(x + \sigma\varepsilon),\qquad \nabla f_\sigma(x) = \frac1\sigma\,\mathbb E\,f(x+\sigma\varepsilon)\,\varepsilon,\qquad \varepsilon\sim\mathcal N(0, I_d),$$
#
# and each draw shall be used twice, as $\varepsilon$ and as $-\varepsilon$. Estimate both, value and gradient, from the $2n$ values that $n$ draws give. The draws are handed in.
#
# <details><summary>Hint 1</summary>Write the mean of the plain estimator over the two points x + σε and x − σε of one draw, and simplify. What happens to a constant?</details>
# <details><summary>Hint 2</summary>f gives one number a row: (n,). It must meet the (n, d) draws as a column.</details>


# %% solution="antithetic" difficulty=3 minutes=15
def antithetic(f, x, sigma, noise):
    """Estimate f_sigma and its gradient at x from pairs of opposite draws.

    f: maps points (m, d) to values (m,); may have jumps, is called as rarely as you
    like. x: (d,). sigma: a positive float. noise: (n, d), standard normal draws.
    Returns (value, gradient): shapes () and (d,), the dtype of x. Both are means over
    the 2n points x + sigma * noise and x - sigma * noise, unbiased for f_sigma.
    """
    ### BEGIN SOLUTION
    above, below = f(x + sigma * noise), f(x - sigma * noise)
    slopes = (above - below)[:, None] * noise / (2 * sigma)
    return (above + below).mean() / 2, slopes.mean(0)
    ### END SOLUTION


# %% test="antithetic" points=3
@check.probe
def on_a_line(x, sigma, noise):
    return antithetic(lambda z: 3 * z[:, 0] - 2 * z[:, 1] + 5, x, sigma, noise)


place, draws = torch.tensor([1.0, -1.0]), torch.tensor([[0.5, 2.0], [1.0, 0.0]])
value, gradient = on_a_line(place, 0.5, draws)
check.close(
    value,
    torch.tensor(10.0),
    "a linear function is unchanged, exactly, since opposite draws cancel",
)
check.close(
    gradient,
    torch.tensor([0.875, -2.5]),
    "two draws on 3a − 2b + 5: the mean of (f(x + σε) − f(x − σε)) ε / 2σ",
)
### BEGIN HIDDEN TESTS
draw = check.generator("antithetic")
FLAT = torch.distributions.Normal(0.0, 1.0)


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


def bell(u):
    return FLAT.log_prob(u).exp()


@check.probe
def on_a_bowl(x, sigma, noise):
    """A smooth function that mixes its arguments, from scratch."""
    return antithetic(lambda z: z[:, 0] * z[:, 1] + z.pow(3).sum(1), x, sigma, noise)


@check.probe
def arguments_after(x, noise):
    antithetic(lambda z: z.sum(1), x, 0.5, noise)
    return x, noise


for d, n, sigma in [(2, 5, 0.3), (4, 1, 1.7), (3, 40, 0.05)]:
    x, noise = normal(d), normal(n, d)

    def bowl(z):
        return z[:, 0] * z[:, 1] + z.pow(3).sum(1)

    values, slopes = [], []
    for e in noise:
        for sign in (1, -1):
            at = bowl((x + sign * sigma * e)[None])[0]
            values.append(at)
            slopes.append(at * sign * e / sigma)
    check.close(
        on_a_bowl(x, sigma, noise),
        (torch.stack(values).mean(), torch.stack(slopes).mean(0)),
        f"both estimates must be means over all 2n points, d = {d}, n = {n}, "
        f"sigma = {sigma}",
        rtol=1e-6,
    )

# Twenty points at once: f adds up over coordinates, so each slope has a closed form.
n, sigma = 1000, 0.4
x = torch.linspace(-1.1, 1.3, 20, dtype=torch.float64)
u = x / sigma
closed = {
    "relu": (lambda z: z.relu().sum(1), x * FLAT.cdf(u) + sigma * bell(u), FLAT.cdf(u)),
    "step": (lambda z: (z > 0).double().sum(1), FLAT.cdf(u), bell(u) / sigma),
    "|x|": (
        lambda z: z.abs().sum(1),
        x * (2 * FLAT.cdf(u) - 1) + 2 * sigma * bell(u),
        2 * FLAT.cdf(u) - 1,
    ),
}
for name, (f, mean, want) in closed.items():
    noise = normal(n, 20)
    value, gradient = antithetic(f, x, sigma, noise)
    above, below = f(x + sigma * noise), f(x - sigma * noise)
    error = ((above + below) / 2).std() / n**0.5
    check.close(
        value,
        mean.sum(),
        f"{name} of twenty numbers: the value is off by more than 5 standard errors",
        rtol=0,
        atol=5 * float(error),
    )
    spread = ((above - below)[:, None] * noise / (2 * sigma)).std(0) / n**0.5
    check.close(
        gradient / spread,
        want / spread,
        f"{name} at twenty points: a slope is off by more than 5 standard errors",
        rtol=0,
        atol=5,
    )
    moved = antithetic(lambda z, f=f: f(z) + 1e6, x, sigma, noise)
    check.close(
        moved[1],
        gradient,
        f"a constant added to {name} must not touch the gradient",
        rtol=0,
        atol=1e-6,
    )

x, noise = normal(3), normal(6, 3)
check.close(
    on_a_bowl(x.float(), 0.7, noise.float()),
    tuple(part.float() for part in on_a_bowl(x, 0.7, noise)),
    "float32 in must give float32 out",
    rtol=1e-3,
    atol=1e-4,
)
check.close(
    on_a_bowl(x, 0.7, noise.T.contiguous().T),
    on_a_bowl(x, 0.7, noise),
    "non-contiguous noise gives another answer",
)
check.close(
    arguments_after(x.clone(), noise.clone()),
    (x, noise),
    "an argument was changed in place",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · A clipped line, averaged exactly
#
# Rewards, gradients and pixels get clipped, $\operatorname{clip}(x) = \min(\max(x, a), b)$, and outside of $[a, b]$ nothing can be learnt any more. Averaged over Gaussian noise the function has a slope everywhere:
#
# $$c_\sigma(x) = \mathbb E \operatorname{clip}(x + \sigma\varepsilon),\qquad \varepsilon\sim\mathcal N(0, 1) .$$
#
# Find it in closed form and write it down. No sampling.
#
# <details><summary>Hint 1</summary>Write the clipped line as a sum of ReLUs. An average of a sum is the sum of the averages.</details>
# <details><summary>Hint 2</summary>clip(x) = a + ReLU(x − a) − ReLU(x − b). The chapter derived the average of each; <code>torch.special.ndtr</code> is Φ.</details>
# <details><summary>Hint 3</summary>Check: halfway between a and b nothing may change, and the slope must be Φ((x − a)/σ) − Φ((x − b)/σ).</details>


# %% solution="mollified_clip" difficulty=2 minutes=15
def mollified_clip(x, low, high, sigma):
    """The mean of min(max(x + sigma * e, low), high) over e ~ N(0, 1), exactly.

    x: any shape, float32 or float64. low < high and sigma > 0: floats.
    Returns a new tensor of the shape and dtype of x, through which gradients pass.
    """

    ### BEGIN SOLUTION
    def ramp(z):
        bell = (-0.5 * (z / sigma) ** 2).exp() * (0.5 / torch.pi) ** 0.5
        return z * torch.special.ndtr(z / sigma) + sigma * bell

    return low + ramp(x - low) - ramp(x - high)
    ### END SOLUTION


# %% test="mollified_clip" points=2
check.close(
    mollified_clip(torch.tensor([-90.0, 0.5, 90.0]), -1.0, 2.0, 0.3),
    torch.tensor([-1.0, 0.5, 2.0]),
    "far outside it must be a or b, and halfway between them nothing changes",
    atol=1e-4,
)
### BEGIN HIDDEN TESTS
draw = check.generator("mollified_clip")


@check.probe
def argument_after(x):
    mollified_clip(x, 0.0, 1.0, 0.5)
    return x


@check.probe
def slope(x, low, high, sigma):
    leaf = x.clone().requires_grad_()
    mollified_clip(leaf, low, high, sigma).sum().backward()
    return leaf.grad


def by_quadrature(x, low, high, sigma):
    e = torch.linspace(-12, 12, 40_001, dtype=torch.float64)
    weight = (-0.5 * e**2).exp()
    landed = (x[:, None] + sigma * e).clamp(low, high)
    return (landed * weight).sum(1) / weight.sum()


for low, high, sigma in [(-1.0, 2.0, 0.3), (0.5, 0.9, 1.4), (-3.0, -1.0, 1.0)]:
    x = 2 * torch.randn(6, dtype=torch.float64, generator=draw) + (low + high) / 2
    words = f"between {low} and {high}, sigma = {sigma}"
    got = mollified_clip(x, low, high, sigma)
    want = by_quadrature(x, low, high, sigma)
    check.close(got, want, f"{words}: another mean", atol=1e-6)
    check.close(
        mollified_clip(low + high - x, low, high, sigma),
        low + high - got,
        f"{words}: the two ends must mirror each other",
    )
    normal = torch.distributions.Normal(0.0, sigma)
    check.close(
        slope(x, low, high, sigma),
        normal.cdf(x - low) - normal.cdf(x - high),
        f"{words}: the slope must be the chance of landing between the ends",
        atol=1e-6,
    )
    check.close(
        mollified_clip(x, low, high, 1e-5),
        x.clamp(low, high),
        f"{words}: with almost no noise it must be the clipped line itself",
        atol=1e-4,
    )
x = torch.randn(5, 2, 3, dtype=torch.float64, generator=draw)
check.close(
    mollified_clip(x.transpose(0, 2), -0.5, 1.0, 0.7),
    mollified_clip(x, -0.5, 1.0, 0.7).transpose(0, 2),
    "a non-contiguous x gives another answer",
)
check.close(
    mollified_clip(x.float(), -0.5, 1.0, 0.7),
    mollified_clip(x, -0.5, 1.0, 0.7).float(),
    "float32 in must give float32 out",
    rtol=1e-4,
    atol=1e-4,
)
far = torch.tensor([1e4, -1e4])
check.close(
    (mollified_clip(far, -1.0, 1.0, 0.01), slope(far, -1.0, 1.0, 0.01)),
    (torch.tensor([1.0, -1.0]), torch.zeros(2)),
    "values of ten thousand must stay finite, and land on the ends",
    atol=5e-3,
)
check.close(argument_after(x.clone()), x, "the argument was changed in place")
### END HIDDEN TESTS
