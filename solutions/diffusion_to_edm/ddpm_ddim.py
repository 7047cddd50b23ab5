# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # DDPM and DDIM
#
# The chapter walked from noise to data with the predicted *noise*, one level for the whole batch. Four tasks around that walk: the step from the predicted *data*, with a level for each row and in both directions; all ways to say the same prediction; a plan of steps that never repeats itself; and the step that nobody can improve, for data that are Gaussian.
#
# Noise levels are DDPM's $\bar\alpha$ everywhere, $x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon$.

# %%
import math

import torch

from course import check

# %% [markdown]
# ## 1 · A step from the predicted data
#
# Go from $x_t$ to $x_s$ when the network predicts $x_0$. The family of the chapter:
#
# $$x_s = \sqrt{\bar\alpha_s}\,\hat x_0 + \sqrt{1-\bar\alpha_s-\sigma^2}\;\hat\varepsilon + \sigma z,\qquad \sigma^2 = \eta^2\,\frac{1-\bar\alpha_s}{1-\bar\alpha_t}\Big(1-\frac{\bar\alpha_t}{\bar\alpha_s}\Big),$$
#
# where $\hat\varepsilon$ is the noise that $x_t$ and $\hat x_0$ imply. Each row of the batch has its own two levels. With $\eta = 0$ the step may also go *towards* the noise ($\bar\alpha_s < \bar\alpha_t$), which is how an image is encoded.
#
# <details><summary>Hint 1</summary>Which ε turns x̂<sub>0</sub> into x<sub>t</sub>? Solve x<sub>t</sub> = √ᾱ<sub>t</sub> x̂<sub>0</sub> + √(1 − ᾱ<sub>t</sub>) ε.</details>
# <details><summary>Hint 2</summary>Levels (n,) must become (n, 1, 1, ...) before they meet x: <code>abar.view(-1, *[1] * (x.dim() - 1))</code>.</details>
# <details><summary>Hint 3</summary>Towards the noise 1 − ᾱ<sub>t</sub>/ᾱ<sub>s</sub> is negative, and 0 times the root of a negative number is NaN: multiply by η² first, then take the root.</details>


# %% solution="step_with_data" difficulty=3 minutes=20
def step_with_data(x, x0, abar_t, abar_s, eta, noise):
    """x_s from x_t, the predicted data, and fresh noise, in one step.

    x, x0, noise: (n, ...) of one float dtype. abar_t, abar_s: (n,), the same dtype,
    one level for each row; abar_t below 1, abar_s above 0 and up to 1. eta: a number
    from 0 (no fresh noise) to 1 (the variance of the Markov chain). Where abar_s is
    below abar_t, eta is 0. Returns a new tensor like x.
    """
    ### BEGIN SOLUTION
    at, as_ = (a.view(-1, *[1] * (x.dim() - 1)) for a in (abar_t, abar_s))
    eps = (x - at.sqrt() * x0) / (1 - at).sqrt()
    variance = eta**2 * (1 - as_) / (1 - at) * (1 - at / as_)
    direction = (1 - as_ - variance).clamp_min(0).sqrt()
    return as_.sqrt() * x0 + direction * eps + variance.clamp_min(0).sqrt() * noise
    ### END SOLUTION


# %% test="step_with_data" points=2
x, x0, z = (torch.tensor([[value]]) for value in (2.0, 1.0, 10.0))
low, high, one = torch.tensor([0.25]), torch.tensor([0.64]), torch.tensor([1.0])
check.close(
    step_with_data(x, x0, low, one, 1.0, z),
    x0,
    "at abar_s = 1 there is no noise left: the answer is the predicted data, whatever "
    "eta and the fresh noise are",
)
check.close(
    step_with_data(x, x0, low, high, 0.0, z),
    torch.tensor([[0.8 + 0.6 * 1.5 / 0.75**0.5]]),
    "eta = 0: sqrt(abar_s) x0 + sqrt(1 - abar_s) eps, where eps = (x - sqrt(abar_t) "
    "x0) / sqrt(1 - abar_t); the fresh noise must not show",
)
check.close(
    step_with_data(0 * x, 0 * x0, low, high, 1.0, z),
    torch.tensor([[10 * (0.36 / 0.75 * 0.609375) ** 0.5]]),
    "eta = 1 and x = x0 = 0: only sigma times noise is left, where sigma^2 = "
    "(1 - abar_s) / (1 - abar_t) (1 - abar_t / abar_s)",
)
### BEGIN HIDDEN TESTS
from lib.diffusion_to_edm import ddpm_ddim as reference

draw = check.generator("step_with_data")


@check.probe
def arguments_after(x, x0, abar_t, abar_s, noise):
    step_with_data(x, x0, abar_t, abar_s, 0.5, noise)
    return x, x0, abar_t, abar_s, noise


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=draw)


def two_levels(n):
    ends = torch.rand(2, n, dtype=torch.float64, generator=draw) * 0.96 + 0.02
    return ends.amin(0), ends.amax(0)


for shape in [(4, 4), (1, 3), (5,), (3, 2, 3, 3)]:
    x, x0, z = 30 * normal(*shape), 30 * normal(*shape), normal(*shape)
    at, as_ = two_levels(shape[0])
    for eta in (0.0, 0.5, 1.0):
        eps = reference.predict_eps(x, x0, at, "x0")
        want = reference.ddim_step(x, eps, at, as_, eta, z)
        words = f"random input of shape {shape}, float64, eta = {eta}"
        check.close(
            step_with_data(x, x0, at, as_, eta, z),
            want,
            f"{words}: does every row have its own levels, and is the variance that "
            "of the whole jump?",
            rtol=1e-9,
            atol=2e-7,
        )
        small = (each.float() for each in (x, x0, at, as_))
        check.close(
            step_with_data(*small, eta, z.float()),
            want.float(),
            f"{words}, the same in float32",
            rtol=2e-3,
            atol=0.05,
        )

unit = torch.eye(3, dtype=torch.float64)
x0, eps, z = unit[:, :1], unit[:, 1:2], unit[:, 2:]
for eta in (0.0, 0.4, 1.0):
    at, as_ = (level.expand(3).clone() for level in two_levels(1))
    x = at.sqrt()[:, None] * x0 + (1 - at).sqrt()[:, None] * eps
    parts = step_with_data(x, x0, at, as_, eta, z)[:, 0]
    check.close(
        torch.stack((parts[0] ** 2, parts[1] ** 2 + parts[2] ** 2)),
        torch.stack((as_[0], 1 - as_[0])),
        "true data in, the marginal must come out: the share of the data in x_s is "
        "abar_s, that of both noises together 1 - abar_s, for every eta",
    )

x, x0 = normal(6, 2), normal(6, 2)
at, as_ = two_levels(6)
there = step_with_data(x, x0, at, as_, 0.0, normal(6, 2))
check.close(
    step_with_data(there, x0, as_, at, 0.0, normal(6, 2)),
    x,
    "eta = 0, there and back again, with the same x0: must return to x, and must not "
    "give NaN on the way towards the noise",
    atol=1e-6,
)
ones = torch.ones(6, dtype=torch.float64)
for eta in (0.0, 0.7, 1.0):
    check.close(
        step_with_data(x, x0, at, ones, eta, 1e3 * normal(6, 2)),
        x0,
        "the last step, random input: the predicted data, without a trace of noise",
    )
strided = normal(3, 4).T
at, as_ = two_levels(4)
z, x0 = normal(4, 3), normal(4, 3)
eps = reference.predict_eps(strided, x0, at, "x0")
check.close(
    step_with_data(strided, x0, at, as_, 0.5, z),
    reference.ddim_step(strided, eps, at, as_, 0.5, z),
    "a non-contiguous x gives another answer",
)
given = (strided.clone(), x0, at, as_, z)
check.close(
    arguments_after(*(each.clone() for each in given)),
    given,
    "an argument was changed in place",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · Four names for one prediction
#
# A network may be trained to say the noise $\varepsilon$ (`"eps"`), the data $x_0$ (`"x0"`), the velocity $v = \sqrt{\bar\alpha}\,\varepsilon - \sqrt{1-\bar\alpha}\,x_0$ (`"v"`) or the score of $x_t$, which is $-\varepsilon/\sqrt{1-\bar\alpha}$ (`"score"`). Given the noisy $x$ and its level, each says everything. Write all sixteen conversions.
#
# Sixteen formulas are too many: pass through one pair, $(x_0, \varepsilon)$. But the velocity has an advantage that the code must not lose: it can be read at *every* level, $\bar\alpha = 0$ and $\bar\alpha = 1$ included, where a division by $\sqrt{\bar\alpha}$ or $\sqrt{1-\bar\alpha}$ ends.
#
# <details><summary>Hint 1</summary>With ᾱ = cos²φ, x and v are x<sub>0</sub> and ε turned by the angle φ. How does one turn back?</details>
# <details><summary>Hint 2</summary>x<sub>0</sub> = √ᾱ x − √(1−ᾱ) v and ε = √(1−ᾱ) x + √ᾱ v. From ε alone: x<sub>0</sub> = (x − √(1−ᾱ) ε)/√ᾱ.</details>
# <details><summary>Hint 3</summary>A dict of all four answers divides for the score even when nobody asked for it: choose before you divide.</details>


# %% solution="convert_prediction" difficulty=2 minutes=15
def convert_prediction(x, out, abar, source, target):
    """What the prediction `out` of kind `source` is in terms of the kind `target`.

    x, out: float tensors of one shape, x at level abar. abar: a number above 0 and
    below 1; where source is "v" and target is not "score", 0 and 1 are allowed too.
    source, target: "eps", "x0", "v" or "score". Returns a tensor like x; a ValueError
    for any other kind.
    """
    ### BEGIN SOLUTION
    for kind in (source, target):
        if kind not in ("eps", "x0", "v", "score"):
            raise ValueError(f"kind must be eps, x0, v or score, got {kind!r}")
    data, scale = math.sqrt(abar), math.sqrt(1 - abar)
    if source == "v":
        x0, eps = data * x - scale * out, scale * x + data * out
    elif source == "x0":
        x0, eps = out, (x - data * out) / scale
    else:
        eps = out if source == "eps" else -scale * out
        x0 = (x - scale * eps) / data
    if target == "score":
        return -eps / scale
    return {"x0": x0, "eps": eps, "v": data * eps - scale * x0}[target]
    ### END SOLUTION


# %% test="convert_prediction" points=2
x, eps = torch.tensor([2.0]), torch.tensor([0.5])
check.close(
    convert_prediction(x, eps, 0.64, "eps", "x0"),
    torch.tensor([2.125]),
    "x = 2, eps = 0.5, abar = 0.64: x0 = (2 - 0.6 * 0.5) / 0.8; are the levels abar "
    "and 1 - abar under the root?",
)
check.close(
    convert_prediction(x, eps, 0.64, "eps", "v"),
    torch.tensor([0.8 * 0.5 - 0.6 * 2.125]),
    "v = sqrt(abar) eps - sqrt(1 - abar) x0: mind the sign",
)
check.close(
    convert_prediction(x, eps, 0.64, "eps", "score"),
    torch.tensor([-0.5 / 0.6]),
    "the score of x_t is -eps / sqrt(1 - abar): it points away from the noise",
)
### BEGIN HIDDEN TESTS
draw = check.generator("convert_prediction")
kinds = ("eps", "x0", "v", "score")


@check.probe
def said(source, target):
    try:
        convert_prediction(torch.ones(2), torch.ones(2), 0.5, source, target)
    except Exception as problem:
        return type(problem).__name__
    return "nothing"


@check.probe
def arguments_after(x, out):
    for source in ("eps", "x0", "v", "score"):
        for target in ("eps", "x0", "v", "score"):
            convert_prediction(x, out, 0.3, source, target)
    return x, out


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=draw)


for shape, abar in [((5,), 0.83), ((1, 3), 0.4), ((2, 3, 4), 0.05), ((), 0.5)]:
    x0, eps = 30 * normal(*shape), normal(*shape)
    angle = math.acos(math.sqrt(abar))
    x = math.cos(angle) * x0 + math.sin(angle) * eps
    truth = {
        "eps": eps,
        "x0": x0,
        "v": math.cos(angle) * eps - math.sin(angle) * x0,
        "score": -eps / math.sin(angle),
    }
    for source in kinds:
        for target in kinds:
            got = convert_prediction(x, truth[source], abar, source, target)
            check.close(
                got,
                truth[target],
                f"of a true {source} the true {target} must come, shape {shape}",
                atol=1e-6,
            )
            back = convert_prediction(x, got, abar, target, source)
            check.close(
                back, truth[source], f"{source} to {target} and back", atol=1e-6
            )
            single = x.float(), truth[source].float()
            check.close(
                convert_prediction(*single, abar, source, target),
                truth[target].float(),
                f"{source} to {target} in float32",
                rtol=1e-3,
                atol=1e-3,
            )
x, out = normal(4), normal(4)
for level, x0, eps in ((0.0, -out, x), (1.0, x, out)):
    words = "all noise" if level == 0 else "no noise"
    for target, want in (("x0", x0), ("eps", eps), ("v", out)):
        check.close(
            convert_prediction(x, out, level, "v", target),
            want,
            f"v to {target} at the end where there is {words}: finite, and right",
        )
shift = torch.full((4,), 3.0, dtype=torch.float64)
check.close(
    convert_prediction(x + shift, out, 0.3, "x0", "score")
    - convert_prediction(x, out, 0.3, "x0", "score"),
    -shift / 0.7,
    "with the data held fixed, the score falls by one over the variance, 1 - abar",
)
for pair in (("noise", "x0"), ("x0", "epsilon")):
    check.close(said(*pair), "ValueError", "an unknown kind must be a ValueError")
check.close(arguments_after(x.clone(), out.clone()), (x, out), "an argument changed")
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · A plan of steps
#
# A model was trained at the times $0, \dots, T-1$, and there is budget for $S$ calls. Where do they go? And where does each step *end*? A step must end where the next one starts, and the last one at $-1$, which stands for $\bar\alpha = 1$. A library that computes the end of a step as "$t$ minus $T/S$" gets this wrong for all spacings but one.
#
# | spacing | the $i$-th smallest time, $i = 0, \dots, S-1$ |
# |---|---|
# | `"leading"` | $i\cdot\lfloor T/S\rfloor$ |
# | `"trailing"` | $(i+1)\,T/S$, rounded to the nearest whole number, minus 1 |
# | `"linspace"` | $i\,(T-1)/(S-1)$, rounded to the nearest whole number |
# | `"quadratic"` | $\lfloor 0.8\,T\,i^2/(S-1)^2\rfloor$, in whole numbers `4 * T * i * i // (5 * (S - 1) ** 2)`; but where that is not above the time before, one more than the time before |
#
# (A tie of rounding may go either way.)
#
# <details><summary>Hint 1</summary>First the times in rising order. Then turn them around, and pair each with its successor.</details>
# <details><summary>Hint 2</summary><code>zip(times, [*times[1:], -1])</code></details>
# <details><summary>Hint 3</summary>Quadratic times crowd near 0 and repeat: 0, 0, 1, 2, ... A repeated time moves up to one more than the one before it, and may push the next.</details>


# %% solution="plan_steps" difficulty=2 minutes=15
def plan_steps(T, S, spacing):
    """The S steps of a sampler: [(from, to), ...], from the noisiest to the data.

    T: the number of training times 0 ... T - 1. S: the number of steps, 2 to T.
    spacing: "leading", "trailing", "linspace" or "quadratic", as in the table; any
    other is a ValueError. Every step starts where the one before it ended; the last
    ends at -1. All times are Python ints.
    """
    ### BEGIN SOLUTION
    if spacing == "leading":
        times = [i * (T // S) for i in range(S)]
    elif spacing == "trailing":
        times = [round((i + 1) * T / S) - 1 for i in range(S)]
    elif spacing == "linspace":
        times = [round(i * (T - 1) / (S - 1)) for i in range(S)]
    elif spacing == "quadratic":
        times = []
        for i in range(S):
            time = 4 * T * i * i // (5 * (S - 1) ** 2)
            times.append(max(time, times[-1] + 1) if times else time)
    else:
        raise ValueError(f"no such spacing: {spacing!r}")
    times.reverse()
    return list(zip(times, [*times[1:], -1]))
    ### END SOLUTION


# %% test="plan_steps" points=2
check.close(
    plan_steps(1000, 4, "leading"),
    [(750, 500), (500, 250), (250, 0), (0, -1)],
    "T = 1000, S = 4, leading: multiples of 250 from 0; a list of pairs (from, to)",
)
check.close(
    plan_steps(1000, 4, "trailing"),
    [(999, 749), (749, 499), (499, 249), (249, -1)],
    "T = 1000, S = 4, trailing: from 999 down in steps of 250",
)
check.close(
    plan_steps(1000, 4, "linspace"),
    [(999, 666), (666, 333), (333, 0), (0, -1)],
    "T = 1000, S = 4, linspace: both ends of 0 ... 999",
)
check.close(
    plan_steps(1000, 5, "quadratic"),
    [(800, 450), (450, 200), (200, 50), (50, 0), (0, -1)],
    "T = 1000, S = 5, quadratic: 800 times the squares of 0, 1/4, 1/2, 3/4, 1",
)
### BEGIN HIDDEN TESTS
from lib.diffusion_to_edm import ddpm_ddim as reference


@check.probe
def said(spacing):
    try:
        plan_steps(1000, 10, spacing)
    except Exception as problem:
        return type(problem).__name__
    return "nothing"


# Odd S for trailing and even S for linspace: no time is halfway between two numbers.
for T in (1000, 250, 83, 17):
    for spacing, several in (
        ("leading", (2, 3, 7, 16, 17)),
        ("trailing", (3, 7, 9, 15, 17)),
        ("linspace", (2, 4, 10, 14, 16)),
        ("quadratic", (2, 5, 11, 16, 17, 50, 64)),
    ):
        for S in several:
            if S > T:
                continue
            got = plan_steps(T, S, spacing)
            times = reference.spaced_timesteps(T, S, spacing)
            words = f"T = {T}, S = {S}, {spacing}"
            check.close(
                got[:1] + got[-1:],
                [tuple(times[:2]), (times[-1], -1)],
                f"{words}: the first and the last step",
            )
            check.close(
                got,
                list(zip(times, [*times[1:], -1])),
                f"{words}: S steps, each from where the last one ended; no time twice",
            )
for spacing in ("leading", "trailing", "linspace"):
    check.close(
        plan_steps(12, 12, spacing),
        [(t, t - 1) for t in range(11, -1, -1)],
        "as many steps as times: every time once, in falling order",
    )
check.close(said("uniform"), "ValueError", "an unknown spacing must be a ValueError")
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · The step that cannot be improved
#
# DDPM offers two variances for a reverse step, $\tilde\beta$ and $\beta$: the first is right when the data are a single point, the second when they are $\mathcal N(0, 1)$. What is right in between? Let every coordinate of the data be $\mathcal N(m, c^2)$ by itself. Then $x_s$ and $x_t$ are jointly Gaussian (for $s$ less noisy than $t$, and the Markov chain of the chapter between them), and $p(x_s\mid x_t)$ is Gaussian conditioning:
#
# $$\mathbb E[x_s|x_t] = \mathbb E x_s + \frac{\mathrm{Cov}(x_s, x_t)}{\mathrm{Var}\,x_t}\,(x_t - \mathbb E x_t),\qquad \mathrm{Var}[x_s|x_t] = \mathrm{Var}\,x_s - \frac{\mathrm{Cov}(x_s, x_t)^2}{\mathrm{Var}\,x_t}.$$
#
# With this step any number of steps is enough: even one, from pure noise, ends in the right distribution.
#
# <details><summary>Hint 1</summary>In the chain x<sub>t</sub> = √(ᾱ<sub>t</sub>/ᾱ<sub>s</sub>) x<sub>s</sub> + new noise, independent of x<sub>s</sub>. So Cov(x<sub>s</sub>, x<sub>t</sub>) is that root times Var x<sub>s</sub>.</details>
# <details><summary>Hint 2</summary>Var x<sub>s</sub> = ᾱ<sub>s</sub> c² + 1 − ᾱ<sub>s</sub>, and E x<sub>s</sub> = √ᾱ<sub>s</sub> m.</details>


# %% solution="gaussian_reverse" difficulty=3 minutes=20
def gaussian_reverse(x, abar_t, abar_s, mean, variance):
    """Mean and variance of p(x_s | x_t = x) for data N(mean, variance) by coordinate.

    x: a float tensor of any shape. abar_t < abar_s <= 1: numbers. mean: a number.
    variance: a number, at least 0. Returns (a tensor like x, a Python float).
    """
    ### BEGIN SOLUTION
    var_t = abar_t * variance + 1 - abar_t
    var_s = abar_s * variance + 1 - abar_s
    gain = math.sqrt(abar_t / abar_s) * var_s / var_t
    centre = math.sqrt(abar_s) * mean + gain * (x - math.sqrt(abar_t) * mean)
    return centre, float(var_s * (1 - abar_t / abar_s) / var_t)
    ### END SOLUTION


# %% test="gaussian_reverse" points=2
x = torch.tensor([1.0, -2.0])
check.close(
    gaussian_reverse(x, 0.32, 0.64, 0.0, 1.0),
    (math.sqrt(0.5) * x, 0.5),
    "data N(0, 1): every x_t is N(0, 1) too, the mean is sqrt(abar_t / abar_s) x and "
    "the variance 1 - abar_t / abar_s, DDPM's beta",
)
check.close(
    gaussian_reverse(x, 0.32, 0.64, 5.0, 0.0)[1],
    0.36 / 0.68 * 0.5,
    "data that are one point: the variance is beta-tilde, "
    "(1 - abar_s) / (1 - abar_t) (1 - abar_t / abar_s)",
)
check.close(
    gaussian_reverse(x, 0.32, 1.0, 5.0, 0.0)[0],
    torch.tensor([5.0, 5.0]),
    "data that are one point, last step: the answer is the point",
)
### BEGIN HIDDEN TESTS
import numpy as np

rng = check.rng("gaussian_reverse")


@check.probe
def argument_after(x):
    gaussian_reverse(x, 0.2, 0.7, 1.0, 2.0)
    return x


for shape in ((4,), (1, 3), (2, 1, 2), ()):
    at, as_ = sorted(rng.uniform(0.02, 0.98, 2).tolist())
    m, v = float(rng.normal()), float(rng.uniform(0.05, 3))
    # Rows: x_s and x_t out of x_0, the noise of s, and the noise from s to t.
    later = [as_**0.5, (1 - as_) ** 0.5, 0.0]
    step = (at / as_) ** 0.5
    mix = np.array([later, [step * w for w in later[:2]] + [(1 - step**2) ** 0.5]])
    cov = mix @ np.diag([v, 1.0, 1.0]) @ mix.T
    x = torch.tensor(rng.normal(size=shape))
    want = as_**0.5 * m + float(cov[0, 1] / cov[1, 1]) * (x - at**0.5 * m)
    got = gaussian_reverse(x, at, as_, m, v)
    words = f"random levels, mean and variance, shape {shape}"
    check.close(
        got,
        (want, float(cov[0, 0] - cov[0, 1] ** 2 / cov[1, 1])),
        f"{words}: Gaussian conditioning on the covariance of x_s and x_t",
    )
    check.close(
        gaussian_reverse(x.float(), at, as_, m, v)[0],
        want.float(),
        f"{words}: float32 in must give float32 out",
        rtol=1e-4,
        atol=1e-4,
    )
    middle = (at * as_) ** 0.5
    first, spread = gaussian_reverse(x, at, middle, m, v)
    second, more = gaussian_reverse(first, middle, as_, m, v)
    moved, _ = gaussian_reverse(first + 1, middle, as_, m, v)
    slope = float((moved - second).flatten()[0])
    check.close(
        (second, more + spread * slope**2),
        got,
        f"{words}: two steps must add up to one",
    )
start = torch.tensor([3.0], dtype=torch.float64)
check.close(
    gaussian_reverse(start, 1e-9, 1.0, -2.0, 0.49),
    (0 * start - 2, 0.49),
    "one step from pure noise to the data: the mean and variance of the data",
    atol=1e-3,
)
x = torch.tensor(rng.normal(size=(3, 2))).T
check.close(argument_after(x.clone()), x, "x was changed in place")
### END HIDDEN TESTS
