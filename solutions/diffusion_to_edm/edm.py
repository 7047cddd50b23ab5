# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
#   hide: [diffusion_to_edm/ddpm_ddim]
# ---

# %% [markdown]
# # EDM
#
# Four steps of the chapter that it did not write down: EDM's preconditioning in the coordinates of any family, where it also covers v prediction and stays finite at pure noise; the sampler; the denoiser of whatever a network predicts; and DDIM by way of σ.

# %%
import math

import torch

from course import check

# %% [markdown]
# ## 1 · Preconditioning in any coordinates
#
# The chapter derived $D = c_\text{skip}\,x + c_\text{out}\,F(c_\text{in}\,x;\,c_\text{noise})$ for $x = x_0 + \sigma\varepsilon$. Do it for
#
# $$x_t = a\,x_0 + b\,\varepsilon,\qquad D = c_\text{skip}\,x_t + c_\text{out}\,F(c_\text{in}\,x_t;\,c_\text{noise}),$$
#
# that is, without dividing by the scale first: $a = 1-t$, $b = t$ is flow matching, $a = \sqrt{\bar\alpha}$, $b = \sqrt{1-\bar\alpha}$ is VP, $a = 1$, $b = \sigma$ is EDM. The three requirements are the same: the input of $F$ has variance 1, its target has variance 1, and $|c_\text{out}|$ is as small as can be, for data of mean 0 and standard deviation $\sigma_d$. At pure noise, $a = 0$, the first three are still finite.
#
# <details><summary>Hint 1</summary>What is the variance of x_t? One of the four follows at once.</details>
# <details><summary>Hint 2</summary>The target is ((1 − a c_skip) x₀ − c_skip b ε) / c_out. Its variance is 1; minimise c_out² over c_skip.</details>
# <details><summary>Hint 3</summary>c_skip is the slope of the regression of x₀ on x_t: their covariance over the variance of x_t. For c_noise, which noise level σ does x_t / a have?</details>


# %% solution="precondition_pair" difficulty=3 minutes=20
def precondition_pair(a, b, sigma_data):
    """EDM's four functions for x_t = a x0 + b eps.

    a, b: tensors of one shape and dtype, not negative, not both 0 in the same place.
    sigma_data: a float, the standard deviation of the data.
    Returns (c_skip, c_out, c_in, c_noise), a tuple of four new tensors of that shape
    and dtype. c_out is not negative. c_noise is a quarter of the natural logarithm of
    the noise level of x_t / a; where a or b is 0, anything may stand there.
    """
    ### BEGIN SOLUTION
    variance = (a * sigma_data) ** 2 + b**2
    c_skip = a * sigma_data**2 / variance
    c_out = b * sigma_data / variance.sqrt()
    return c_skip, c_out, variance.rsqrt(), (b / a).log() / 4
    ### END SOLUTION


# %% test="precondition_pair" points=3
got = precondition_pair(
    torch.tensor([1.0, 1.0]), torch.tensor([0.5, math.e**4]), sigma_data=0.5
)
check.close(
    got[0][0],
    torch.tensor(0.5),
    "a = 1, b = sigma = sigma_data = 0.5: signal and noise are equally strong, and "
    "c_skip must be 1/2",
)
check.close(
    got[1][0],
    torch.tensor(0.125**0.5),
    "a = 1, b = sigma_data = 0.5: c_out = 0.25 / sqrt(0.5) = 0.354. Is it b sigma_data "
    "over the standard deviation of x_t?",
)
check.close(
    got[2][0],
    torch.tensor(2**0.5),
    "a = 1, b = sigma_data = 0.5: x_t has variance 0.5, so c_in must be sqrt(2)",
)
check.close(
    got[3][1],
    torch.tensor(1.0),
    "a = 1, b = e⁴: c_noise is a quarter of the logarithm, 1",
)
### BEGIN HIDDEN TESTS
from lib.diffusion_to_edm import edm as reference

draw = check.generator("precondition_pair")


@check.probe
def levels_after(a, b):
    precondition_pair(a, b, 0.7)
    return a, b


def uniform(low, high, *shape):
    return low + (high - low) * torch.rand(shape, dtype=torch.float64, generator=draw)


for shape in [(), (6,), (2, 1, 3)]:
    a, b = uniform(0.1, 2, *shape), uniform(0.1, 3, *shape)
    data = float(uniform(0.3, 2))
    skip, out, into, noise = precondition_pair(a, b, data)
    words = f"random a and b of shape {shape}, float64"
    check.close(skip, 0 * a + skip, f"c_skip must have the shape of a: {words}")
    variance = (a * data) ** 2 + b**2
    check.close(
        into**2 * variance,
        torch.ones_like(a),
        f"the input of F must have variance 1: {words}",
    )
    residual = ((1 - a * skip) * data) ** 2 + (skip * b) ** 2
    check.close(
        residual / out**2,
        torch.ones_like(a),
        f"the target of F must have variance 1: {words}",
    )
    check.close(
        (1 - a * skip) * a * data**2 - skip * b**2,
        torch.zeros_like(a),
        f"c_out is not as small as it can be: the target is correlated with x_t: {words}",
    )
    check.close(out, out.abs(), f"c_out must not be negative: {words}")
    check.close(
        noise, (b.log() - a.log()) / 4, f"c_noise: ln(b / a) / 4 by value: {words}"
    )
    edm = reference.edm_coeffs(b, data)
    check.close(
        precondition_pair(torch.ones_like(b), b, data),
        (edm.skip, edm.out, edm.into, edm.noise),
        f"a = 1 must be the chapter's EDM: {words}",
    )
    check.close(
        precondition_pair(5 * a, 5 * b, data),
        (skip / 5, out, into / 5, noise),
        f"x_t in another unit: c_skip and c_in change by it, c_out and c_noise do "
        f"not: {words}",
    )
    check.close(
        precondition_pair(a.float(), b.float(), data),
        (skip.float(), out.float(), into.float(), noise.float()),
        f"float32 must stay float32: {words}",
        rtol=1e-4,
        atol=1e-4,
    )

abar = uniform(0.05, 0.95, 4)
v = precondition_pair(abar.sqrt(), (1 - abar).sqrt(), 1.0)
check.close(
    v[:3],
    (abar.sqrt(), (1 - abar).sqrt(), torch.ones(4).double()),
    "VP with data of standard deviation 1: v prediction with the other sign",
)
ends = torch.tensor([0.0, 3.0]).double(), torch.tensor([2.0, 0.0]).double()
got = precondition_pair(*ends, 0.8)
check.close(
    got[:3],
    (
        torch.tensor([0.0, 1 / 3]).double(),
        torch.tensor([0.8, 0.0]).double(),
        torch.tensor([0.5, 1 / 2.4]).double(),
    ),
    "pure noise (a = 0) and clean data (b = 0): D must be F's guess in units of the "
    "data, and x_t / a itself; nothing may divide by a",
)
tiny = precondition_pair(torch.ones(1).double(), torch.full((1,), 1e-6).double(), 0.4)
check.close(
    torch.cat([tiny[0], tiny[1] * 1e6, tiny[2]]),
    torch.tensor([1.0, 1.0, 2.5]).double(),
    "hardly any noise: c_skip near 1, c_out near b, c_in near 1 / sigma_data",
    rtol=1e-4,
)
a, b = uniform(0.1, 2, 5), uniform(0.1, 3, 5)
check.close(levels_after(a.clone(), b.clone()), (a, b), "a or b was changed in place")
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · Heun's sampler
#
# Follow $\mathrm dx/\mathrm d\sigma = (x - D(x;\sigma))/\sigma$ down a list of noise levels by Heun's rule: an Euler step, the slope at its end, and a step from the old place along the mean of both slopes. At σ = 0 there is no second slope; a step that ends there stays Euler's. Evaluations are what sampling costs, so none may be wasted.
#
# <details><summary>Hint 1</summary>The second slope uses D at Euler's end, at the level that is stepped to.</details>
# <details><summary>Hint 2</summary>Both slopes are applied from the same place, the old x. Stepping on from Euler's end and averaging is another method.</details>
# <details><summary>Hint 3</summary>Whether the last level is 0 has to be looked at: a list may end above it, and then the last step is corrected too.</details>


# %% solution="heun_sample" difficulty=2 minutes=20
def heun_sample(D, x, sigmas):
    """Heun's rule in sigma from noise of level sigmas[0] to level sigmas[-1].

    D: the denoiser, a function of x (n, ...) and one noise level, a float or a tensor
    without axes; returns the shape of x. It is never asked at level 0, and at most
    twice a step. x: (n, ...), a tensor. sigmas: (N + 1,), same dtype, falling; the last
    may be 0 or above. Returns a new tensor like x.
    """
    ### BEGIN SOLUTION
    for i in range(len(sigmas) - 1):
        now, then = sigmas[i], sigmas[i + 1]
        slope = (x - D(x, now)) / now
        end = x + (then - now) * slope
        if then > 0:
            slope = (slope + (end - D(end, then)) / then) / 2
            end = x + (then - now) * slope
        x = end
    return x
    ### END SOLUTION


# %% test="heun_sample" points=3
@check.probe
def always_two(x, sigma):
    return 0 * x + 2


@check.probe
def halves(x, sigma):
    return x / 2


levels = torch.tensor([4.0, 1.0, 0.0])
check.close(
    heun_sample(always_two, torch.tensor([[10.0], [-6.0]]), levels),
    torch.tensor([[2.0], [2.0]]),
    "a denoiser that always says 2 must be reached exactly, also by the step to 0: NaN "
    "means that this step was corrected with a slope 0 / 0",
)
check.close(
    heun_sample(halves, torch.tensor([[8.0]]), torch.tensor([4.0, 2.0])),
    torch.tensor([[5.5]]),
    "D = x / 2, one step from 4 to 2: slopes 1 at the start and 1.5 at Euler's end "
    "x = 6, so 8 − 2 · 1.25 = 5.5. 6 is Euler, 4.5 steps on from Euler's end",
)
### BEGIN HIDDEN TESTS
from lib.diffusion_to_edm import edm as reference

draw = check.generator("heun_sample")


@check.probe
def wide(x, sigma):
    return 0.25 / (0.25 + sigma**2) * x


@check.probe
def two_points(x, sigma):
    return 0.8 * torch.tanh(0.8 * x / (sigma**2 + 0.01))


@check.probe
def waves(x, sigma):
    return torch.sin(3 * x) / (1 + sigma) + x.flip(-1) / (2 + sigma)


@check.probe
def arguments_after(x, sigmas):
    def still(x, sigma):
        return 0.3 * x

    heun_sample(still, x, sigmas)
    return x, sigmas


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=draw)


x = 80 * normal(6, 2)
exact = x * (0.25 / (0.25 + 80**2)) ** 0.5
missed = []
for N in (32, 64, 128):
    got = heun_sample(wide, x, reference.karras_sigmas(N, 0.002, 80.0, 7.0))
    check.close(got, exact, f"a single Gaussian, {N} steps: the closed form", atol=0.1)
    missed.append(float((got - exact).norm()))
for more, fewer in ((missed[0], missed[1]), (missed[1], missed[2])):
    check.close(
        more / max(fewer, 1e-12),
        4.0,
        "a single Gaussian: twice the steps must leave a quarter of the error (second "
        "order)",
        atol=0.6,
    )

for D, words in ((two_points, "two points"), (waves, "a denoiser of waves")):
    for levels in ([9.0, 2.0, 0.7, 0.1, 0.0], [3.0, 2.5, 0.8, 0.4], [1.5, 0.0]):
        sigmas = torch.tensor(levels, dtype=torch.float64)
        for shape in ((5, 2), (1, 3, 2, 4)):
            x = levels[0] * normal(*shape)
            want = reference.sample_ode(D, x, sigmas, "heun")
            ends = "0" if levels[-1] == 0 else "a level above 0"
            said = f"{words}, x {shape}, {len(levels) - 1} steps to {ends}"
            check.close(heun_sample(D, x, sigmas), want, f"random input, {said}")

x, sigmas = 2 * normal(3, 4).T, torch.tensor([2.0, 0.5, 0.0]).double()
check.close(
    heun_sample(waves, x, sigmas),
    heun_sample(waves, x.contiguous(), sigmas),
    "a non-contiguous x gives another answer",
)
check.close(
    heun_sample(two_points, x.float(), sigmas.float()),
    heun_sample(two_points, x, sigmas).float(),
    "float32 must stay float32",
    rtol=1e-3,
    atol=1e-3,
)
check.close(
    arguments_after(x.contiguous(), sigmas.clone()),
    (x.contiguous(), sigmas),
    "x or sigmas was changed in place",
)
### END HIDDEN TESTS

# %% test="heun_sample" aspect="evaluations" points=1
asked = []


def counting(x, sigma):
    asked.append(float(sigma))
    return 0.5 * x


heun_sample(counting, torch.ones(2, 3), torch.tensor([3.0, 1.0, 0.5, 0.0]))
check.close(
    len(asked),
    5,
    "3 steps, the last to 0: 2 + 2 + 1 evaluations of D. Is the first slope computed "
    "twice, or D asked at level 0?",
)
### BEGIN HIDDEN TESTS
for levels in ([8.0, 4.0, 2.0, 1.0, 0.5, 0.0], [5.0, 0.0], [4.0, 2.0, 1.0]):
    asked.clear()
    heun_sample(counting, torch.ones(1, 2), torch.tensor(levels))
    want = [levels[0]]
    for level in levels[1:-1]:
        want += [level, level]
    want += [levels[-1]] * (levels[-1] > 0)
    check.close(
        sorted(asked),
        sorted(want),
        "D must be asked once at the first level, twice at each level inside, once at "
        "the last if that is above 0, and never at 0",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · What a network says, as a denoiser
#
# A network was given $x_t$ and answered with `out`. What does it believe $x_0$ to be? There are five kinds:
#
# | kind | $x_t$ | `level` | `out` |
# |---|---|---|---|
# | `"score"` | $x_0 + \sigma\varepsilon$ | σ | $\nabla\log p(x_t;\sigma)$ |
# | `"eps"` | $\sqrt{\bar\alpha}\,x_0 + \sqrt{1-\bar\alpha}\,\varepsilon$ | $\bar\alpha$ | ε |
# | `"v"` | the same | $\bar\alpha$ | $\sqrt{\bar\alpha}\,\varepsilon - \sqrt{1-\bar\alpha}\,x_0$ |
# | `"flow"` | $(1-t)\,x_0 + t\,\varepsilon$ | $t$ | $\varepsilon - x_0$ |
# | `"lipman"` | $t\,x_0 + (1-t)\,\varepsilon$ | $t$ | $x_0 - \varepsilon$ |
#
# The last has time the other way round. The answer is in the coordinates of $x_0$, for $x_t$ as it stands, and it is finite wherever it can be: at pure noise for all kinds but `"eps"`.
#
# <details><summary>Hint 1</summary>Two equations, x_t and out, in the two unknowns x₀ and ε. Eliminate ε.</details>
# <details><summary>Hint 2</summary>For "v", multiply x_t by √ᾱ and out by √(1 − ᾱ), and subtract.</details>
# <details><summary>Hint 3</summary>One level for each row: give it as many trailing axes of length 1 as x_t has after the first.</details>


# %% solution="to_denoiser" difficulty=2 minutes=15
def to_denoiser(kind, x_t, out, level):
    """The clean image that an output stands for.

    kind: "score", "eps", "v", "flow" or "lipman". x_t, out: (n, ...), one dtype.
    level: one number for each row, (n,), or for all, without axes; same dtype; its
    meaning is in the table above. Returns a new tensor like x_t.
    """
    ### BEGIN SOLUTION
    if level.ndim:
        level = level.reshape(-1, *[1] * (x_t.ndim - 1))
    if kind == "score":
        return x_t + level**2 * out
    if kind == "eps":
        return (x_t - (1 - level).sqrt() * out) / level.sqrt()
    if kind == "v":
        return level.sqrt() * x_t - (1 - level).sqrt() * out
    if kind == "flow":
        return x_t - level * out
    return x_t + (1 - level) * out
    ### END SOLUTION


# %% test="to_denoiser" points=3
clean, noise = torch.tensor([[2.0, -1.0]]), torch.tensor([[0.5, 3.0]])
quarter = torch.tensor(0.25)
for kind, x_t, out, hint in (
    ("score", clean + 0.25 * noise, -noise / 0.25, "x_t + sigma² score"),
    ("eps", 0.5 * clean + 0.75**0.5 * noise, noise, "level is ᾱ, not its root"),
    (
        "v",
        0.5 * clean + 0.75**0.5 * noise,
        0.5 * noise - 0.75**0.5 * clean,
        "√ᾱ x_t − √(1 − ᾱ) v",
    ),
    ("flow", 0.75 * clean + 0.25 * noise, noise - clean, "t = 1 is noise here"),
    ("lipman", 0.25 * clean + 0.75 * noise, clean - noise, "t = 1 is data here"),
):
    check.close(
        to_denoiser(kind, x_t, out, quarter),
        clean,
        f"{kind} at level 0.25: a network that is right about the noise must give the "
        f"clean (2, −1) back; {hint}",
    )
### BEGIN HIDDEN TESTS
from lib.diffusion_to_edm import mixtures

draw = check.generator("to_denoiser")


@check.probe
def arguments_after(kind, x_t, out, level):
    to_denoiser(*(kind, x_t, out, level))
    return x_t, out, level


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=draw)


def outputs(x0, eps, sigma):
    """Every kind of x_t, out and level for the same clean image and noise."""
    abar, t = 1 / (1 + sigma**2), sigma / (1 + sigma)
    along = (-1, *[1] * (x0.ndim - 1))
    s, a, u = (c.reshape(along) if c.ndim else c for c in (sigma, abar, t))
    vp = a.sqrt() * x0 + (1 - a).sqrt() * eps
    return {
        "score": (x0 + s * eps, -eps / s, sigma),
        "eps": (vp, eps, abar),
        "v": (vp, a.sqrt() * eps - (1 - a).sqrt() * x0, abar),
        "flow": ((1 - u) * x0 + u * eps, eps - x0, t),
        "lipman": ((1 - u) * x0 + u * eps, x0 - eps, 1 - t),
    }


data = mixtures.Mixture(torch.tensor([0.2, 0.5, 0.3]).double(), 2 * normal(3, 4), 0.4)
for sigma in (0.05, 0.6, 1.0, 4.0, 30.0):
    x = mixtures.sample(data, 7, draw) + sigma * normal(7, 4)
    want = mixtures.denoise(data, x, sigma)
    number = torch.tensor(sigma, dtype=torch.float64)
    for kind, (x_t, out, level) in outputs(want, (x - want) / sigma, number).items():
        check.close(
            to_denoiser(kind, x_t, out, level),
            want,
            f"{kind}: the exact denoiser of a mixture of three Gaussians",
            rtol=1e-6,
            atol=1e-6,
        )
for shape in ((5, 5), (1, 3), (4, 1, 3, 2), (3,)):
    x0, eps = normal(*shape), normal(*shape)
    sigma = (1.5 * normal(shape[0])).exp()
    for kind, (x_t, out, level) in outputs(x0, eps, sigma).items():
        words = f"{kind}: one level for each row, x_t {shape}"
        got = to_denoiser(kind, x_t, out, level)
        check.close(got, x0, words, rtol=1e-6, atol=1e-6)
        check.close(
            to_denoiser(kind, x_t.float(), out.float(), level.float()),
            x0.float(),
            f"float32 must stay float32; {words}",
            rtol=2e-2,
            atol=2e-2,
        )
        check.close(
            arguments_after(kind, x_t.clone(), out.clone(), level.clone()),
            (x_t, out, level),
            f"an argument was changed in place; {words}",
        )

x_t, out = normal(3, 4).T, normal(4, 3)
zero, one = torch.tensor(0.0).double(), torch.tensor(1.0).double()
for kind, level, want, words in (
    ("flow", zero, x_t, "clean data"),
    ("lipman", one, x_t, "clean data"),
    ("eps", one, x_t, "clean data"),
    ("v", one, x_t, "clean data"),
    ("score", zero, x_t, "clean data"),
    ("flow", one, x_t - out, "pure noise"),
    ("lipman", zero, x_t + out, "pure noise"),
    ("v", zero, -out, "pure noise"),
):
    check.close(
        to_denoiser(kind, x_t, out, level),
        want,
        f"{kind}, {words}, non-contiguous: finite, without a division by 0",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · DDIM by way of σ
#
# One step of DDIM with η = 0, from $\bar\alpha_t$ to $\bar\alpha_s$, as the chapter explains it: go to $x = x_t/\sqrt{\bar\alpha_t}$, take Euler's step in σ, come back. A step may also go towards the noise.
#
# <details><summary>Hint 1</summary>In x the slope dx/dσ is the noise that was predicted.</details>
# <details><summary>Hint 2</summary>σ = √((1 − ᾱ)/ᾱ), at both ends. Come back with the scale of the new level.</details>


# %% solution="ddim_in_sigma" difficulty=1 minutes=10
def ddim_in_sigma(x, eps, abar_t, abar_s):
    """x_s of DDIM, eta = 0, from x_t and the predicted noise.

    x, eps: (n, ...), one dtype. abar_t, abar_s: levels above 0 and at most 1, one for
    each row, (n,), or one for all, without axes; same dtype. Returns a new tensor.
    """
    ### BEGIN SOLUTION
    along = (-1, *[1] * (x.ndim - 1))
    abar_t, abar_s = (
        abar.reshape(along) if abar.ndim else abar for abar in (abar_t, abar_s)
    )
    sigma_t, sigma_s = ((1 / abar - 1).sqrt() for abar in (abar_t, abar_s))
    return abar_s.sqrt() * (x / abar_t.sqrt() + (sigma_s - sigma_t) * eps)
    ### END SOLUTION


# %% test="ddim_in_sigma" points=2
check.close(
    ddim_in_sigma(
        torch.tensor([[1.0]]),
        torch.tensor([[0.0]]),
        torch.tensor(0.25),
        torch.tensor(0.64),
    ),
    torch.tensor([[1.6]]),
    "no noise predicted, ᾱ from 0.25 to 0.64: only the scale changes, from 0.5 to 0.8",
)
check.close(
    ddim_in_sigma(
        torch.tensor([[1.0]]),
        torch.tensor([[0.6]]),
        torch.tensor(0.64),
        torch.tensor(1.0),
    ),
    torch.tensor([[0.8]]),
    "to ᾱ = 1, σ = 0: the predicted data (x − √(1 − ᾱ) ε) / √ᾱ = (1 − 0.36) / 0.8",
)
### BEGIN HIDDEN TESTS
from lib.diffusion_to_edm import ddpm_ddim as reference

draw = check.generator("ddim_in_sigma")


@check.probe
def arguments_after(x, eps, abar_t, abar_s):
    ddim_in_sigma(*(x, eps, abar_t, abar_s))
    return x, eps, abar_t, abar_s


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=draw)


def levels(*shape):
    return 0.02 + 0.96 * torch.rand(shape, dtype=torch.float64, generator=draw)


for shape, many in (
    ((4, 3), False),
    ((5, 5), True),
    ((1, 2, 3, 2), True),
    ((6,), True),
):
    x, eps = normal(*shape), normal(*shape)
    abar_t, abar_s = (levels(shape[0]) if many else levels() for _ in range(2))
    along = (-1, *[1] * (x.ndim - 1))
    t, s = ((a.reshape(along) if many else a) for a in (abar_t, abar_s))
    x0 = (x - (1 - t).sqrt() * eps) / t.sqrt()
    want = s.sqrt() * x0 + (1 - s).sqrt() * eps
    words = f"x {shape}, {'one level for each row' if many else 'one level for all'}"
    check.close(ddim_in_sigma(x, eps, abar_t, abar_s), want, f"random input, {words}")
    check.close(
        ddim_in_sigma(want, eps, abar_s, abar_t),
        x,
        f"with the same noise the step back must undo it, {words}",
    )
    check.close(
        ddim_in_sigma(x.float(), eps.float(), abar_t.float(), abar_s.float()),
        want.float(),
        f"float32 must stay float32, {words}",
        rtol=1e-3,
        atol=1e-3,
    )
    check.close(
        arguments_after(x.clone(), eps.clone(), abar_t.clone(), abar_s.clone()),
        (x, eps, abar_t, abar_s),
        f"an argument was changed in place, {words}",
    )
abar = reference.alpha_bar(reference.beta_schedule("linear", 1000))
x, eps = normal(3, 4).T, normal(4, 3)
for t, s in ((999, 500), (500, 20), (20, 0)):
    check.close(
        ddim_in_sigma(x, eps, abar[t], abar[s]),
        reference.ddim_step(x, eps, abar[t], abar[s], 0.0),
        "DDPM's linear schedule, steps skipped: DDIM's step, non-contiguous x",
        rtol=1e-6,
        atol=1e-6,
    )
check.close(
    ddim_in_sigma(x, eps, abar[300], abar[300]),
    x,
    "a step to the same level must change nothing",
)
### END HIDDEN TESTS
