# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # Distribution fitting
#
# Three steps that the chapter derived and did not write down: the Fréchet distance of two samples that are smaller than their dimension, the one Gaussian that stands for a curve, in either direction of the divergence, and a flow in which every coordinate waits for the ones before it.

# %%
import math

import torch

from course import check

# %% [markdown]
# ## 1 · Fréchet, straight from the samples
#
# Features of images have thousands of channels, and often there are fewer images than channels. Then both covariances are singular. Write
#
# $$\|\hat\mu_1 - \hat\mu_2\|^2 + \mathrm{tr}\big(\hat C_1 + \hat C_2 - 2\,(\hat C_1\hat C_2)^{1/2}\big)$$
#
# for the empirical means and covariances of two samples, the covariances divided by $n - 1$ and $m - 1$. The result is squared, real and finite for any sample of at least two points.
#
# Any way is right. One of them never forms a $d \times d$ matrix.
#
# <details><summary>Hint 1</summary>The two ways that the chapter warns of, roots of each matrix by itself and the root of the product, go wrong for covariances that do not commute, and for singular ones.</details>
# <details><summary>Hint 2</summary>With A the centred first sample divided by √(n − 1), the covariance is AᵀA. Which matrix made of A and B has the square roots of the eigenvalues of AᵀA BᵀB as its singular values?</details>
# <details><summary>Hint 3</summary>A Bᵀ, of shape (n, m): A Bᵀ B Aᵀ has the eigenvalues of AᵀA BᵀB, up to zeros. The trace of the root is <code>torch.linalg.svdvals(A @ B.mT).sum()</code>.</details>


# %% solution="frechet_from_samples" difficulty=3 minutes=20
def frechet_from_samples(x, y):
    """Squared Fréchet distance between Gaussians with the moments of two samples.

    x: (n, d), y: (m, d), float32 or float64, n and m at least 2, either of them smaller
    or larger than d. Covariances are divided by n - 1 and m - 1.
    Returns a tensor without axes, of the dtype of x; real and finite always.
    """
    ### BEGIN SOLUTION
    a = (x - x.mean(0)) / math.sqrt(len(x) - 1)
    b = (y - y.mean(0)) / math.sqrt(len(y) - 1)
    cross = torch.linalg.svdvals(a @ b.mT).sum()
    means = (x.mean(0) - y.mean(0)).square().sum()
    return means + a.square().sum() + b.square().sum() - 2 * cross
    ### END SOLUTION


# %% test="frechet_from_samples" points=3
corners = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
check.close(
    frechet_from_samples(corners, corners.flip(0)),
    torch.tensor(0.0),
    "the same four points in another order must be at distance 0",
    atol=1e-4,
)
check.close(
    frechet_from_samples(corners, corners + torch.tensor([3.0, 4.0])),
    torch.tensor(25.0),
    "moved by (3, 4), with the same covariance: the squared distance of the means, 25",
    atol=1e-3,
)
check.close(
    frechet_from_samples(corners, 3 * corners),
    torch.tensor(16 / 3),
    "three times as wide: tr C = 4/3 with n - 1 = 3 in the denominator, and "
    "(1 + 9 - 2·3) · 4/3 = 16/3",
    atol=1e-3,
)
### BEGIN HIDDEN TESTS
import scipy.linalg

from lib.vae_to_vqgan import distribution_fitting as reference

draw = check.generator("frechet_from_samples")


@check.probe
def samples_after(x, y):
    frechet_from_samples(x, y)
    return x, y


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


for n, m, d in [(30, 40, 5), (9, 14, 3), (25, 25, 1)]:
    x = normal(n, d) @ normal(d, d) + normal(d)
    y = normal(m, d) @ normal(d, d) + normal(d)
    got = frechet_from_samples(x, y)
    C1, C2 = torch.cov(x.T).view(d, d), torch.cov(y.T).view(d, d)
    root = scipy.linalg.sqrtm((C1 @ C2).numpy()).real.trace()
    by_root = (x.mean(0) - y.mean(0)).square().sum() + C1.trace() + C2.trace()
    words = f"random samples of {n} and {m} points in {d} dimensions, float64"
    check.close(got, by_root - 2 * root, words, rtol=1e-3, atol=1e-3)
    check.close(
        frechet_from_samples(y, x), got, f"must be symmetric: {words}", rtol=1e-3
    )
    turn = torch.linalg.qr(normal(d, d)).Q
    check.close(
        frechet_from_samples(x @ turn + 7, y @ turn + 7),
        got,
        f"turning and moving both samples alike must change nothing: {words}",
        rtol=1e-3,
        atol=1e-3,
    )
    check.close(
        frechet_from_samples(10 * x, 10 * y),
        100 * got,
        f"ten times the unit is a hundred times the squared distance: {words}",
        rtol=1e-3,
        atol=1e-2,
    )
    check.close(
        frechet_from_samples(x.float(), y.float()),
        got.float(),
        f"float32 must stay float32: {words}",
        rtol=1e-3,
        atol=1e-2,
    )

# Commuting covariances: the same axes, other widths. sum (s - t)² in closed form.
axes = torch.linalg.qr(normal(6, 6)).Q
white = normal(40, 6)
white = white - white.mean(0)
white = white @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(white.T))).T
s, t = torch.rand(2, 6, dtype=torch.float64, generator=draw) * 3 + 0.1
check.close(
    frechet_from_samples(white * s @ axes, white * t @ axes),
    (s - t).square().sum(),
    "covariances with the same eigenvectors: the sum of (s - t)² over standard "
    "deviations",
    rtol=1e-3,
    atol=1e-3,
)

# Fewer points than dimensions, both ways, and a channel that never changes.
for n, m, d in [(6, 9, 20), (30, 4, 12), (2, 2, 8)]:
    x, y = normal(n, d) + normal(d), 2 * normal(m, d)
    x[:, 0] = 1.0
    words = f"{n} and {m} points in {d} dimensions: singular covariances"
    want = reference.frechet_distance(*reference.moments(x), *reference.moments(y))
    check.close(frechet_from_samples(x, y), want, words, rtol=2e-3, atol=2e-3)

x, y = normal(5, 9).T, normal(9, 5)
check.close(
    frechet_from_samples(x, y),
    frechet_from_samples(x.contiguous(), y),
    "a non-contiguous sample gives another answer",
    atol=1e-4,
)
check.close(
    samples_after(x.contiguous(), y.clone()),
    (x.contiguous(), y),
    "a sample was changed in place",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · One Gaussian for a curve
#
# A density is given by its logarithm on an even grid, and it need not integrate to one: $\log p(x_i)$ *plus an unknown constant*, as an energy model would give it. Find the Gaussian $q = \mathcal N(\mu, \sigma^2)$ that makes $\mathrm{KL}(p\|q)$ least (forward) or $\mathrm{KL}(q\|p)$ least (reverse).
#
# The reverse divergence may have several minima; the lowest is asked for, and where two are equally low either will do. An error of 0.01 in either number is accepted: a search over a table, a descent and Newton's method all get there.
#
# <details><summary>Hint 1</summary>Forward: which two numbers of p does the chapter say are copied? The unknown constant falls out when the weights are made to add up to one.</details>
# <details><summary>Hint 2</summary>Reverse: on the grid q has the logarithm log_softmax(−(x − μ)² / 2σ²), and KL(q ‖ p) is the sum of q (log q − log p), up to the unknown constant. Nothing else depends on μ and σ.</details>
# <details><summary>Hint 3</summary>Evaluate it for a table of μ and σ at once, shape (μ, σ, grid); take the best; repeat with a finer table around it. Starting a single descent at the mean of p may end in the wrong minimum.</details>


# %% solution="one_gaussian" difficulty=4 minutes=30
def one_gaussian(x, logp, direction):
    """Mean and standard deviation of the Gaussian nearest to p.

    x: (n,), an even, increasing grid, float64. p is as good as zero at both ends and
    smooth at the scale of the grid. logp: (n,), log p(x) up to a constant, finite.
    direction: "forward" for the least KL(p || q), "reverse" for the least KL(q || p).
    Returns a float64 tensor (mu, sigma).
    """
    ### BEGIN SOLUTION
    weight = logp.softmax(0)
    mu = (weight * x).sum()
    sigma = (weight * (x - mu) ** 2).sum().sqrt()
    if direction == "forward":
        return torch.stack([mu, sigma])
    step = x[1] - x[0]
    mus = torch.linspace(float(x[0]), float(x[-1]), 61).double()
    sigmas = torch.logspace(math.log10(2 * step), math.log10(2 * sigma), 31).double()
    for _ in range(6):
        m, s = mus[:, None, None], sigmas[:, None]
        logq = (-0.5 * ((x - m) / s) ** 2).log_softmax(-1)
        price = (logq.exp() * (logq - logp)).sum(-1)
        i, j = divmod(int(price.argmin()), len(sigmas))
        mu, sigma = mus[i], sigmas[j]
        near = torch.linspace(-1, 1, 11).double()
        mus = mu + near * (mus[1] - mus[0])
        sigmas = sigma * (near * (sigmas[1] / sigmas[0]).log()).exp()
    return torch.stack([mu, sigma])
    ### END SOLUTION


# %% test="one_gaussian" points=2
line = torch.linspace(-12, 12, 481, dtype=torch.float64)
for way in ("forward", "reverse"):
    check.close(
        one_gaussian(line, -0.5 * ((line - 1.5) / 0.8) ** 2 + 3, way),
        torch.tensor([1.5, 0.8]).double(),
        f"p is itself N(1.5, 0.8²), up to a constant: {way} must return (mu, sigma)",
        atol=0.01,
    )
### BEGIN HIDDEN TESTS
draw = check.generator("one_gaussian")


def two_peaks(x, places, widths, weights):
    terms = -0.5 * ((x[:, None] - places) / widths) ** 2 - widths.log() + weights.log()
    return terms.logsumexp(-1)


def uniform(low, high, count):
    return low + (high - low) * torch.rand(count, dtype=torch.float64, generator=draw)


for constant in (0.0, -40.0):
    x = torch.linspace(-15, 15, 601, dtype=torch.float64)
    centre = uniform(-2, 2, 1)
    places = torch.cat([centre - uniform(3, 4, 1), centre + uniform(3, 4, 1)])
    widths, share = uniform(0.6, 1.2, 2), uniform(0.2, 0.8, 1)
    weights = torch.cat([share, 1 - share])
    logp = two_peaks(x, places, widths, weights) + constant
    mean = (weights * places).sum()
    variance = (weights * (widths**2 + (places - mean) ** 2)).sum()
    check.close(
        one_gaussian(x, logp, "forward"),
        torch.stack([mean, variance.sqrt()]),
        "forward: the mean and the standard deviation of a random mixture of two "
        "Gaussians, known up to a constant",
        atol=0.01,
    )
### END HIDDEN TESTS

# %% test="one_gaussian" aspect="reverse" points=2
line = torch.linspace(-12, 12, 481, dtype=torch.float64)
right_peak = -0.5 * (line - 4) ** 2
unequal = torch.logaddexp(right_peak, -0.5 * (line + 4) ** 2 - 2)
check.close(
    one_gaussian(line, unequal, "reverse"),
    torch.tensor([4.0, 1.0]).double(),
    "two narrow peaks far apart, the right one seven times as high: reverse must "
    "settle on it, near (4, 1), and neither on the left one nor in between",
    atol=0.02,
)
### BEGIN HIDDEN TESTS
from lib.vae_to_vqgan import distribution_fitting as reference

draw = check.generator("one_gaussian_reverse")


@check.probe
def grid_after(x, logp):
    one_gaussian(x, logp, "forward")
    one_gaussian(x, logp, "reverse")
    return x, logp


def peaks(x, places, widths, weights):
    terms = -0.5 * ((x[..., None] - places) / widths) ** 2 - widths.log()
    return (terms + weights.log()).logsumexp(-1)


def uniform(low, high, count):
    return low + (high - low) * torch.rand(count, dtype=torch.float64, generator=draw)


def lowest(places, widths, weights, mus, sigmas):
    """The least reverse KL in a table of means and deviations, and where it is."""
    mu, sigma = (side.flatten() for side in torch.meshgrid(mus, sigmas, indexing="ij"))
    price = reference.reverse_kl(lambda x: peaks(x, places, widths, weights), mu, sigma)
    return price.min(), torch.stack([mu, sigma])[:, price.argmin()]


for apart, constant in [(4.0, 25.0), (1.2, -7.0), (2.2, 0.0)]:
    centre, share = uniform(-2, 2, 1), uniform(0.15, 0.35, 1)
    share = share if torch.rand(1, generator=draw) < 0.5 else 1 - share
    places = torch.cat([centre - apart, centre + apart])
    widths = uniform(0.7, 1.1, 2)
    weights = torch.cat([share, 1 - share])
    x = torch.linspace(-13, 13, 523, dtype=torch.float64)
    got = one_gaussian(x, peaks(x, places, widths, weights) + constant, "reverse")
    check.close(
        got,
        torch.zeros(2).double(),
        "reverse: two finite numbers (mu, sigma), float64",
        atol=100,
    )
    price = reference.reverse_kl(
        lambda x, how=(places, widths, weights): peaks(x, *how), got[:1], got[1:].abs()
    )[0]
    check.close(
        price,
        lowest(
            places,
            widths,
            weights,
            torch.linspace(-7, 7, 281).double(),
            torch.logspace(-0.3, 0.5, 61).double(),
        )[0],
        "reverse: the divergence at your (mu, sigma), for a random mixture of two "
        "unequal peaks, against the lowest there is",
        atol=2e-3,
        rtol=0,
    )

# Equal peaks: either of the two global minima.
places, widths = torch.tensor([-3.4, 3.4]).double(), torch.ones(2).double()
half = torch.full((2,), 0.5).double()
x = torch.linspace(-11, 11, 401, dtype=torch.float64)
got = one_gaussian(x, peaks(x, places, widths, half), "reverse")
finely = torch.linspace(3.2, 3.6, 81).double(), torch.linspace(0.9, 1.1, 41).double()
check.close(
    got.abs(),
    lowest(places, widths, half, *finely)[1],
    "reverse, two equal peaks 6.8 apart: either peak, not the space between them",
    atol=0.015,
)
x, logp = x.clone(), peaks(x, places, widths, half)
check.close(grid_after(x, logp), (x, logp), "the grid or logp was changed in place")
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · One coordinate after the other
#
# The chain rule as a flow: coordinate $i$ is stretched and moved by what the coordinates before it decide,
#
# $$x_i = z_i\,e^{a_i} + m_i,\qquad a_i = \sum_{j<i}A_{ij}\,x_j,\qquad m_i = \sum_{j<i}M_{ij}\,x_j,\qquad z \sim \mathcal N(0, I).$$
#
# Write the transformation from noise to data, and the density of what comes out. The other way round, from $x$ to $z$, all coordinates can be computed at once; this way they cannot.
#
# <details><summary>Hint 1</summary>x₁ = z₁. Then a₂ and m₂ are known, then x₂, and so on: a loop over i.</details>
# <details><summary>Hint 2</summary>∂x/∂z is triangular. What stands on its diagonal? And is its determinant added to log p(x), or subtracted?</details>
# <details><summary>Hint 3</summary>log p(x) = Σᵢ (−½ zᵢ² − ½ log 2π − aᵢ). Collect columns in a list and stack them at the end: writing into x would break the gradient.</details>


# %% solution="flow_in_order" difficulty=3 minutes=20
def flow_in_order(z, M, A):
    """Carry noise to data, one coordinate after the other.

    z: (n, d). M, A: (d, d); only what lies strictly below the diagonal counts, and
    anything may stand elsewhere. float32 or float64, all of one dtype.
    Returns (x, log_prob): x (n, d), and log p(x) in nats, (n,), for normal z. Both are
    new tensors, and gradients pass through them to z, M and A.
    """
    ### BEGIN SOLUTION
    x = z[:, :0]
    log_prob = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1)
    for i in range(z.shape[1]):
        stretch = x @ A[i, :i]
        column = z[:, i] * stretch.exp() + x @ M[i, :i]
        x = torch.cat([x, column[:, None]], 1)
        log_prob = log_prob - stretch
    return x, log_prob
    ### END SOLUTION


# %% test="flow_in_order" points=2
z = torch.tensor([[1.0, 2.0, -1.0]])
below = torch.tensor([[9.0, 9.0, 9.0], [0.5, 9.0, 9.0], [0.0, 1.0, 9.0]])
nothing = torch.zeros(3, 3)
check.close(
    flow_in_order(z, nothing, nothing),
    (z, torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)),
    "with M = A = 0 nothing moves, and log p is that of a plain Gaussian",
)
check.close(
    flow_in_order(z, below, nothing),
    (torch.tensor([[1.0, 2.5, 1.5]]), torch.tensor([-5.756816])),
    "M moves: x₂ = 2 + 0.5·1 and x₃ = −1 + 1·2.5, from x and not from z; moving "
    "changes no volume; entries on and above the diagonal do not count",
)
check.close(
    flow_in_order(z, nothing, below * math.log(2))[0],
    torch.tensor([[1.0, 2 * 2**0.5, -1 * 2 ** (2 * 2**0.5)]]),
    "A stretches: x₂ = 2 · 2^(0.5·1), x₃ = −1 · 2^(x₂)",
)
### BEGIN HIDDEN TESTS
draw = check.generator("flow_in_order")


@check.probe
def arguments_after(z, M, A):
    flow_in_order(z, M, A)
    return z, M, A


def uniform(most, *shape):
    """Within ± most: a stretch that stretches the next one soon overflows."""
    return most * (2 * torch.rand(*shape, dtype=torch.float64, generator=draw) - 1)


def back(x, M, A):
    """The inverse, all coordinates at once; and log p(x)."""
    a, m = x @ A.tril(-1).T, x @ M.tril(-1).T
    z = (x - m) * (-a).exp()
    return z, -0.5 * (z.square() + math.log(2 * math.pi)).sum(1) - a.sum(1)


for n, d in [(6, 4), (1, 7), (5, 1), (3, 2)]:
    z, M, A = uniform(2, n, d), uniform(0.6, d, d), uniform(0.2, d, d)
    x, log_prob = flow_in_order(z, M, A)
    words = f"random {n} by {d}, float64"
    check.close(x.shape, (n, d), f"the shape of x: {words}")
    check.close(
        back(x, M, A)[0], z, f"the inverse must give the noise back: {words}", atol=1e-6
    )
    check.close(
        log_prob,
        back(x, M, A)[1],
        f"log p(x) by the change of variables: {words}",
        atol=1e-6,
    )
    check.close(
        flow_in_order(z, M.tril(-1), A.tril(-1)),
        (x, log_prob),
        f"entries on and above the diagonal must not count: {words}",
    )
    single = flow_in_order(z.float(), M.float(), A.float())
    check.close(
        single,
        (x.float(), log_prob.float()),
        f"float32 must stay float32: {words}",
        rtol=1e-3,
        atol=1e-3,
    )

strided = uniform(2, 4, 6).T
M, A = uniform(0.6, 4, 4).T, uniform(0.2, 4, 4).T
check.close(
    flow_in_order(strided, M, A),
    flow_in_order(strided.contiguous(), M.contiguous(), A.contiguous()),
    "non-contiguous arguments give another answer",
)
check.close(
    arguments_after(strided.clone(), M.clone(), A.clone()),
    (strided, M, A),
    "an argument was changed in place",
)
### END HIDDEN TESTS


# %% test="flow_in_order" aspect="gradient" points=1
@check.probe
def jacobian(z, M, A):
    def carried(row):
        return flow_in_order(row[None], M, A)[0][0]

    return torch.autograd.functional.jacobian(carried, z)


@check.probe
def fitted_gradient(z, M, A):
    M, A = M.clone().requires_grad_(), A.clone().requires_grad_()
    x, log_prob = flow_in_order(z, M, A)
    return torch.autograd.grad(x.square().sum() + log_prob.sum(), (M, A))


check.close(
    jacobian(torch.tensor([1.0, 2.0]), torch.zeros(2, 2), torch.zeros(2, 2)),
    torch.eye(2),
    "with M = A = 0, x is z: its Jacobian is the identity",
)
### BEGIN HIDDEN TESTS
draw = check.generator("flow_in_order_gradient")


def by_loop(z, M, A):
    x = []
    for i in range(len(z)):
        a = sum((A[i, j] * x[j] for j in range(i)), torch.zeros((), dtype=z.dtype))
        m = sum((M[i, j] * x[j] for j in range(i)), torch.zeros((), dtype=z.dtype))
        x.append(z[i] * a.exp() + m)
    return torch.stack(x)


for d in (2, 5):
    z = 4 * torch.rand(d, dtype=torch.float64, generator=draw) - 2
    M, A = torch.rand(2, d, d, dtype=torch.float64, generator=draw) - 0.5
    got = jacobian(z, M, A)
    want = torch.autograd.functional.jacobian(
        lambda row, m=M, a=A: by_loop(row, m, a), z
    )
    check.close(got, want, f"the Jacobian of x in z, {d} random coordinates")
    log_prob = flow_in_order(z[None], M, A)[1][0]
    normal = -0.5 * (z.square() + math.log(2 * math.pi)).sum()
    check.close(
        log_prob,
        normal - torch.linalg.slogdet(want).logabsdet,
        f"log p(x) = log p(z) − log|det ∂x/∂z|, {d} random coordinates",
    )
    leaves = [M.clone().requires_grad_(), A.clone().requires_grad_()]
    x = by_loop(z, *leaves)
    total = x.square().sum() - (x @ leaves[1].tril(-1).T).sum()
    check.close(
        fitted_gradient(z[None], M, A),
        torch.autograd.grad(total, leaves),
        f"the gradient of Σx² + log p with respect to M and A, {d} random coordinates",
    )
### END HIDDEN TESTS
