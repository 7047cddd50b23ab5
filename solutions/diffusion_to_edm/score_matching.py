# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # Score matching and Langevin steps
#
# Four steps beyond the chapter: the loss of every noise level side by side, for data of any shape; the trace that slicing only estimates; a Langevin step that knows how stretched the density is; and the variance that a whole annealing run leaves behind, without drawing a single number.

# %%
import torch

from course import check

# %% [markdown]
# ## 1 · What each level costs
#
# Anyone who trains a score network looks at its loss *level by level*: which noise has been learnt, and which has not? Compute the denoising loss of all levels from the same data,
#
# $$\ell_i = \frac1n\sum_{j=1}^n\tfrac12\,\sigma_i^2\,\Big\|s(x_j + \sigma_i\varepsilon_{ij},\,\sigma_i) + \frac{\varepsilon_{ij}}{\sigma_i}\Big\|^2 .$$
#
# The noise is an argument, so every answer is a definite number. The data may be vectors, images or anything else: the square is summed over all axes but the first, and never divided by their size.
#
# <details><summary>Hint 1</summary>One level at a time is a good beginning: which tensor does the score see, and what does it get as sigma?</details>
# <details><summary>Hint 2</summary>The score wants one sigma for each row: <code>sigma.expand(len(x))</code>. To multiply the noise, a number needs no reshaping at all.</details>
# <details><summary>Hint 3</summary>σ² ‖s + ε/σ‖² = ‖σ s + ε‖². Then <code>.square().reshape(len(x), -1).sum(-1)</code>, which also serves where rows are single numbers.</details>


# %% solution="dsm_levels" difficulty=2 minutes=15
def dsm_levels(score, x, sigmas, noise):
    """Denoising score matching, weighted by sigma², for each of several levels.

    score: a function of points (m, ...) and sigma (m,), one for each of them, that
    returns (m, ...), every point by itself; m may be what you like. x: (n, ...), data
    of any shape. sigmas: (L,), positive, same dtype. noise: (L, n, ...), standard
    normal: eps of each level and row. Returns (L,): means over rows of half the
    squared error, summed over all other axes. Gradients reach what is inside `score`.
    """
    ### BEGIN SOLUTION
    losses = []
    for sigma, eps in zip(sigmas, noise):
        residual = sigma * score(x + sigma * eps, sigma.expand(len(x))) + eps
        losses.append(residual.square().reshape(len(x), -1).sum(-1).mean() / 2)
    return torch.stack(losses)
    ### END SOLUTION


# %% test="dsm_levels" points=2
@check.probe
def back_to_three(points, sigma):
    """The score of a point mass at 3 with noise of level sigma."""
    return (3 - points) / sigma[:, None] ** 2


@check.probe
def nothing(points, sigma):
    return torch.zeros_like(points)


levels = torch.tensor([2.0, 0.5, 0.1])
ones = torch.ones(3, 4, 2)
check.close(
    dsm_levels(back_to_three, torch.full((4, 2), 3.0), levels, ones),
    torch.zeros(3),
    "all data at 3 and the exact score of that: nothing is left at any level. The "
    "target is -eps / sigma; with +eps / sigma you get 4 at every level",
    atol=1e-4,
)
check.close(
    dsm_levels(nothing, torch.full((4, 2), 3.0), levels, ones),
    torch.ones(3),
    "a score of 0, two coordinates, noise 1 everywhere: ½ (1 + 1) = 1 at every level. "
    "If it grows towards small sigma, the weight sigma² is missing; 0.5 is a mean over "
    "coordinates, 4 a sum over rows",
)
### BEGIN HIDDEN TESTS
from lib.diffusion_to_edm import score_matching as reference

draw = check.generator("dsm_levels")


@check.probe
def odd_field(points, sigma):
    """Nonlinear, and another one at every level."""
    level = sigma.reshape(-1, *[1] * (points.ndim - 1))
    return (0.7 * points + level).sin() - points / (0.3 + level)


@check.probe
def of_three_slopes(x, sigmas, noise):
    """The losses of -a x for a = 0, 1, 2: three points of a parabola in a."""
    return torch.stack(
        [
            dsm_levels(lambda y, s, a=a: -a * y, x, sigmas, noise)
            for a in (0.0, 1.0, 2.0)
        ]
    )


@check.probe
def arguments_after(x, sigmas, noise):
    dsm_levels(lambda y, s: -y, x, sigmas, noise)
    return x, sigmas, noise


def field(points, sigma):
    level = sigma.reshape(-1, *[1] * (points.ndim - 1))
    return (0.7 * points + level).sin() - points / (0.3 + level)


def row_by_row(x, sigmas, noise):
    """The definition, with the division."""
    losses = []
    for sigma, eps in zip(sigmas, noise):
        total = 0
        for point, e in zip(x, eps):
            guess = field((point + sigma * e)[None], sigma[None])[0]
            total += sigma**2 * ((guess + e / sigma) ** 2).sum() / 2
        losses.append(total / len(x))
    return torch.stack(losses)


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=draw)


for shape, count in [
    ((7, 5), 3),
    ((4, 2, 3, 3), 4),
    ((6,), 2),
    ((1, 3), 1),
    ((3, 3), 3),
]:
    x, noise = normal(*shape), normal(count, *shape)
    sigmas = 3 * torch.rand(count, dtype=torch.float64, generator=draw) + 0.05
    want, words = row_by_row(x, sigmas, noise), f"data {shape}, {count} levels"
    check.close(dsm_levels(odd_field, x, sigmas, noise), want, f"random input, {words}")
    order = torch.arange(count - 1, -1, -1)
    check.close(
        dsm_levels(odd_field, x, sigmas[order], noise[order]),
        want[order],
        f"levels in another order must give the same losses in that order, {words}",
    )
    check.close(
        dsm_levels(odd_field, x.float(), sigmas.float(), noise.float()),
        want.float(),
        f"float32 in must give float32 out, {words}",
        rtol=1e-3,
        atol=1e-3,
    )

x, sigma = normal(9, 4), torch.full((9,), 0.6, dtype=torch.float64)
twice = [check.generator("one level") for _ in range(2)]
eps = torch.randn(9, 4, dtype=torch.float64, generator=twice[0])
check.close(
    dsm_levels(odd_field, x, sigma[:1], eps[None]),
    reference.dsm_loss(field, x, sigma, twice[1]).mean()[None],
    "one level must be the mean of the chapter's loss over rows",
)


# Gaussian in all that counts: each point comes with both signs of its noise, and mean
# squares are made exact, so that no sampling noise is left in the parabola.
def unit(cloud):
    return cloud / cloud.square().mean((-2, -1), keepdim=True).sqrt()


half, eps = normal(50, 2), normal(3, 50, 2)
x, noise = 1.7 * unit(torch.cat((half, half))), unit(torch.cat((eps, -eps), 1))
sigmas = torch.tensor([0.2, 1.0, 6.0], dtype=torch.float64)
low, mid, high = of_three_slopes(x, sigmas, noise)
check.close(
    1 - (high - low) / (2 * (high - 2 * mid + low)),
    1 / (1.7**2 + sigmas**2),
    "Gaussian data: the best linear score must be -x / (variance + sigma²)",
    rtol=1e-5,
)
check.close(
    low,
    torch.ones(3, dtype=torch.float64),
    "a score of 0 must cost d / 2 at every level",
    rtol=1e-5,
)

wide, noise = normal(3, 5).T, normal(5, 3, 2).permute(2, 0, 1)
sigmas = torch.tensor([0.4, 2.0], dtype=torch.float64)
check.close(
    dsm_levels(odd_field, wide, sigmas, noise),
    row_by_row(wide, sigmas, noise),
    "non-contiguous data and noise give another answer",
)
check.close(
    arguments_after(wide.clone(), sigmas.clone(), noise.clone()),
    (wide, sigmas, noise),
    "an argument was changed in place",
)
### END HIDDEN TESTS


# %% test="dsm_levels" aspect="gradient" points=1
@check.probe
def slopes(x, sigmas, noise, which):
    """Gradient of one level's loss for the score -a y + b, in a and b."""
    a, b = (torch.tensor(v, dtype=x.dtype, requires_grad=True) for v in (0.5, -0.2))
    losses = dsm_levels(lambda y, s: -a * y + b, x, sigmas, noise)
    losses[which].backward()
    return a.grad, b.grad


check.close(
    slopes(torch.zeros(1, 1), torch.tensor([2.0]), torch.ones(1, 1, 1), 0),
    (torch.tensor(5.6), torch.tensor(-2.8)),
    "x = 0, sigma = 2, eps = 1, score -a y + b at a = 0.5, b = -0.2: the residual is "
    "2 (-a 2 + b) + 1 = -1.4, its slopes -4 and 2. Is the score detached?",
)
### BEGIN HIDDEN TESTS
draw = check.generator("dsm_levels_gradient")
x = torch.randn(6, 3, dtype=torch.float64, generator=draw)
noise = torch.randn(4, 6, 3, dtype=torch.float64, generator=draw)
sigmas = torch.rand(4, dtype=torch.float64, generator=draw) + 0.3
for which in range(4):
    sigma, eps = sigmas[which], noise[which]
    points = x + sigma * eps
    error = sigma * (-0.5 * points - 0.2) + eps
    check.close(
        slopes(x, sigmas, noise, which),
        (-(sigma * error * points).sum() / 6, (sigma * error).sum() / 6),
        "each level's loss must carry its own gradient into the score",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · The trace itself
#
# Implicit score matching asks for $\mathrm{tr}\,\nabla s + \frac12\|s\|^2$ at every point, where $(\nabla s)_{ij} = \partial s_i/\partial x_j$. Slicing estimated the trace with one random direction. Compute it exactly; or, if directions $v_1, \dots, v_m$ are given, as the mean of $v_k^\top(\nabla s)\,v_k$ over just these, the same ones for all points.
#
# <details><summary>Hint 1</summary>Every point by itself: then the gradient of s<sub>i</sub>, <em>summed over all points</em>, has in each row the gradient of that row alone. Which of its entries belongs to the trace?</details>
# <details><summary>Hint 2</summary>Not <code>grad(s.sum())</code>: that adds the entries beside the diagonal too. One backward pass for each coordinate; or torch.func.jacrev with vmap.</details>
# <details><summary>Hint 3</summary>The exact trace is what the directions √d e<sub>1</sub>, …, √d e<sub>d</sub> give. And a trace that is to be trained needs <code>create_graph=True</code>.</details>


# %% solution="ism_loss" difficulty=3 minutes=20
def ism_loss(score, x, directions=None):
    """Implicit score matching at each point: tr ∇s(x) + ½ ‖s(x)‖².

    score: a function (n, d) -> (n, d), every row by itself, differentiable. x: (n, d).
    directions: None for the exact trace, or (m, d): then the mean over its m rows v of
    v · (∇s v) stands for the trace, for every point; v is used as it is, whatever its
    length. The second term is always exact.
    Returns (n,), the dtype of x. Gradients reach what is inside `score`, through both
    terms.
    """
    ### BEGIN SOLUTION
    if directions is None:
        directions = x.shape[1] ** 0.5 * torch.eye(x.shape[1], dtype=x.dtype)
    x = x.detach().clone().requires_grad_()
    value = score(x)
    trace = 0
    for v in directions:
        (slope,) = torch.autograd.grad((value @ v).sum(), x, create_graph=True)
        trace = trace + slope @ v / len(directions)
    return trace + value.square().sum(-1) / 2
    ### END SOLUTION


# %% test="ism_loss" points=2
@check.probe
def half_back(x):
    return -x / 2


@check.probe
def turn_and_grow(x):
    """∇s = [[1, 5], [0, 2]]."""
    return torch.stack((x[:, 0] + 5 * x[:, 1], 2 * x[:, 1]), -1)


check.close(
    ism_loss(half_back, torch.tensor([[1.0], [4.0]])),
    torch.tensor([-0.375, 1.5]),
    "s(x) = -x/2 in one dimension: -1/2 + x²/8 at x = 1 and x = 4. Is the ½ there, is "
    "it one number for each point?",
)
check.close(
    ism_loss(turn_and_grow, torch.zeros(1, 2)),
    torch.tensor([3.0]),
    "s = (a + 5b, 2b): the trace is 1 + 2 = 3. 8 is the sum of all entries of ∇s, "
    "which grad(s.sum()) gives",
)
check.close(
    ism_loss(turn_and_grow, torch.zeros(1, 2), torch.tensor([[1.0, 1.0], [2.0, 0.0]])),
    torch.tensor([6.0]),
    "s = (a + 5b, 2b), directions (1, 1) and (2, 0): v·∇s v is 8 and 4, the mean is 6",
)
### BEGIN HIDDEN TESTS
import itertools

from lib.diffusion_to_edm import mixtures

draw = check.generator("ism_loss")
A = torch.tensor([[0.3, -2.0, 0.7], [1.1, -0.9, 0.4], [-0.6, 1.5, 0.2]]).double()
W = torch.tensor([[0.8, -0.5], [1.3, 0.9]]).double()


@check.probe
def affine(x):
    rows = [[0.3, -2.0, 0.7], [1.1, -0.9, 0.4], [-0.6, 1.5, 0.2]]
    return x @ torch.tensor(rows).to(x).T + 0.4


@check.probe
def waves(x):
    rows = [[0.8, -0.5], [1.3, 0.9]]
    return (x @ torch.tensor(rows).to(x).T).sin()


@check.probe
def of_mixture(x):
    from lib.diffusion_to_edm import mixtures

    means = torch.tensor([[-1.0, 0.5, 2.0, 0.0], [1.5, 0.0, -1.0, 0.3]], dtype=x.dtype)
    weights = torch.tensor([0.3, 0.7], dtype=x.dtype)
    return mixtures.score(mixtures.Mixture(weights, means, 0.9), x)


@check.probe
def arguments_after(x, directions):
    ism_loss(lambda y: -y, x, directions)
    ism_loss(lambda y: -y, x)
    return x, directions


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=draw)


def stretch(J, directions):
    """Mean of v · J v, for J (n, d, d) or (d, d)."""
    return torch.einsum("ki,...ij,kj->...", directions, J, directions) / len(directions)


for n in (5, 3, 1):
    x, directions = normal(n, 3), normal(4, 3)
    squares = (x @ A.T + 0.4).square().sum(-1) / 2
    check.close(
        ism_loss(affine, x),
        A.trace() + squares,
        f"an affine score: the trace of its matrix, {n} by 3, float64",
    )
    check.close(
        ism_loss(affine, x, directions),
        stretch(A, directions) + squares,
        f"an affine score, four directions of any length, {n} by 3, float64",
    )
    check.close(
        ism_loss(affine, x.float()),
        (A.trace() + squares).float(),
        "float32 in must give float32 out",
        rtol=1e-4,
        atol=1e-4,
    )
    signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=3))).double()
    check.close(
        ism_loss(affine, x, signs),
        A.trace() + squares,
        "over all eight vectors of signs the mean must be the exact trace",
    )

x, v = normal(8, 2), normal(1, 2)
inner = x @ W.T
J = inner.cos()[:, :, None] * W
squares = inner.sin().square().sum(-1) / 2
check.close(
    ism_loss(waves, x),
    J.diagonal(dim1=1, dim2=2).sum(-1) + squares,
    "a score that bends, another Jacobian at every point",
)
check.close(
    ism_loss(waves, x, v), stretch(J, v) + squares, "a score that bends, one direction"
)
strided = normal(2, 6).T
check.close(
    ism_loss(waves, strided),
    ism_loss(waves, strided.contiguous()),
    "non-contiguous points give another answer",
)

means = torch.tensor(
    [[-1.0, 0.5, 2.0, 0.0], [1.5, 0.0, -1.0, 0.3]], dtype=torch.float64
)
# A 0.3 that went through float32 would be another mixture than the probe's.
weights = torch.tensor([0.3, 0.7], dtype=torch.float64)
data = mixtures.Mixture(weights, means, 0.9)
x = mixtures.sample(data, 6, draw)
hessian = torch.stack(
    [
        torch.autograd.functional.hessian(
            lambda y: mixtures.log_density(data, y[None])[0], row
        )
        for row in x
    ]
)
squares = mixtures.score(data, x).square().sum(-1) / 2
check.close(
    ism_loss(of_mixture, x),
    hessian.diagonal(dim1=1, dim2=2).sum(-1) + squares,
    "a mixture of Gaussians in four dimensions: the Laplacian of its log-density",
    rtol=1e-6,
)
x = mixtures.sample(data, 20_000, draw)
gap = ism_loss(of_mixture, x) + mixtures.score(data, x).square().sum(-1) / 2
check.close(
    float(gap.mean() / gap.std()),
    0.0,
    "at the true score the mean loss must be minus half of E ‖s‖²",
    atol=5 / 20_000**0.5,
)
x, directions = normal(3, 4), normal(2, 4)
check.close(
    arguments_after(x.clone(), directions.clone()),
    (x, directions),
    "an argument was changed in place",
)
### END HIDDEN TESTS


# %% test="ism_loss" aspect="gradient" points=1
@check.probe
def gradient(x, directions):
    """For the score -a y of each coordinate, in a (d,)."""
    a = torch.linspace(0.5, 1.5, x.shape[1]).to(x).requires_grad_()
    ism_loss(lambda y: -a * y, x, directions).sum().backward()
    return a.grad


check.close(
    gradient(torch.tensor([[2.0]]), None),
    torch.tensor([1.0]),
    "s = -a x at x = 2, a = 0.5: the loss is -a + 2a², its slope -1 + 2 = 1. 2 means "
    "that no gradient comes through the trace",
)
### BEGIN HIDDEN TESTS
draw = check.generator("ism_loss_gradient")
for n, d in ((6, 3), (2, 5), (1, 2)):
    x = torch.randn(n, d, dtype=torch.float64, generator=draw)
    directions = torch.randn(3, d, dtype=torch.float64, generator=draw)
    a = torch.linspace(0.5, 1.5, d).double()
    norm = (a * x.square()).sum(0)
    check.close(
        gradient(x, None),
        norm - n,
        "gradients must reach the score through the exact trace and through its square",
    )
    check.close(
        gradient(x, directions),
        norm - n * directions.square().mean(0),
        "gradients must reach the score through the directions too",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · Long steps along, short steps across
#
# On a density a hundred times longer than wide one step size serves nobody: what is stable across takes for ever along. Let the step be a symmetric positive definite *matrix* $A$,
#
# $$x' = x + A\,s(x) + \sqrt2\,L z,\qquad LL^\top = A,\quad z\sim\mathcal N(0, I) .$$
#
# With $A = \alpha I$ this is the chapter's step, and whatever $A$ is, small steps lead to the same density. (Rejecting proposals, as Metropolis would, is allowed, and not asked for.)
#
# <details><summary>Hint 1</summary>The covariance of the noise of one step is 2A. Is it, in yours? Entry by entry the root of a matrix is not its root.</details>
# <details><summary>Hint 2</summary><code>torch.linalg.cholesky</code> gives L, lower triangular. Points are rows: L z is then <code>z @ L.T</code>.</details>
# <details><summary>Hint 3</summary>Fresh noise in every step, the last one included, all of it from the generator, in the dtype of x.</details>


# %% solution="matrix_langevin" difficulty=2 minutes=15
def matrix_langevin(score, x, step, n_steps, generator):
    """n_steps of x + A s(x) + noise of covariance 2A, with A = step.

    score: a function (n, d) -> (n, d), every row by itself. x: (n, d), where the
    chains start, independent of each other. step: (d, d), symmetric positive definite,
    same dtype: the drift is multiplied by it, not by half of it. n_steps: an int, 0 or
    more. generator: torch.Generator for all the noise. Returns a new tensor (n, d).
    """
    ### BEGIN SOLUTION
    root = torch.linalg.cholesky(2 * step)
    for _ in range(n_steps):
        z = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        x = x + score(x) @ step + z @ root.T
    return x.clone()
    ### END SOLUTION


# %% test="matrix_langevin" points=3
@check.probe
def no_force(x):
    return torch.zeros_like(x)


@check.probe
def right_and_down(x):
    return torch.tensor([1.0, -1.0]).to(x).expand(len(x), -1)


tall = torch.tensor([[0.5, 0.1], [0.1, 0.2]])
origin = torch.zeros(20_000, 2)
end = matrix_langevin(no_force, origin, tall, 3, check.generator("walk"))
check.close(
    end.T.cov(),
    2 * 3 * tall,
    "no force: a random walk, whose covariance after T = 3 steps is 2 T A. Half of it "
    "everywhere is the paper's noise with the code's step; wrong only beside the "
    "diagonal, an entry-wise root",
    rtol=0,
    atol=0.15,
)
end = matrix_langevin(right_and_down, origin, tall, 3, check.generator("push"))
check.close(
    end.mean(0),
    3 * tall @ torch.tensor([1.0, -1.0]),
    "a constant force f: after T steps the mean has moved by T A f, not half of it",
    rtol=0,
    atol=0.08,
)
### BEGIN HIDDEN TESTS
draw = check.generator("matrix_langevin")


@check.probe
def tilt(x):
    return torch.tensor([1.5, -2.0, 0.7]).to(x).expand(len(x), -1)


@check.probe
def back(x):
    return -x


@check.probe
def back_to_ridge(x):
    """The score of N(0, C), C = [[4, 1.9], [1.9, 1]]."""
    C = torch.tensor([[4.0, 1.9], [1.9, 1.0]], dtype=x.dtype)
    return -torch.linalg.solve(C, x.T).T


@check.probe
def ripple(x):
    return (3 * x).sin() - x


@check.probe
def arguments_after(x, step, generator):
    matrix_langevin(lambda y: -y, x, step, 2, generator)
    return x, step


def in_errors(cloud, mean, covariance, words, slack=0.0):
    """Mean and covariance of the whitened cloud, in units of 5 standard errors."""
    n, d = cloud.shape
    triangle = torch.linalg.cholesky(covariance)
    white = torch.linalg.solve_triangular(triangle, (cloud - mean).T, upper=False).T
    check.close(
        white.mean(0) * n**0.5 / 5,
        torch.zeros(d, dtype=cloud.dtype),
        f"the mean, in units of 5 standard errors, {words}",
        rtol=0,
        atol=1.0,
    )
    check.close(
        white.T.cov().reshape(d, d),
        torch.eye(d, dtype=cloud.dtype),
        f"the covariance, within 5 standard errors, {words}",
        rtol=0,
        atol=slack + 5 * (2 / n) ** 0.5,
    )


force = torch.tensor([1.5, -2.0, 0.7], dtype=torch.float64)
start = torch.tensor([3.0, -1.0, 0.5], dtype=torch.float64)
for n_steps in (1, 4):
    B = torch.randn(3, 3, dtype=torch.float64, generator=draw)
    step = 0.3 * B @ B.T + 0.1 * torch.eye(3, dtype=torch.float64)
    end = matrix_langevin(
        tilt,
        start.repeat(40_000, 1),
        step,
        n_steps,
        check.generator(f"tilt {n_steps}"),
    )
    in_errors(
        end,
        start + n_steps * step @ force,
        2 * n_steps * step,
        f"a constant force, {n_steps} steps, random step matrix of 3 by 3: is the drift "
        "A s, is the noise of every step fresh, and of covariance 2 A?",
    )

# Between what the chain settles at and what a rejecting one does: 1/(1 - a/2) and 1.
alpha = 0.05
half_bias = (1 / (1 - alpha / 2) - 1) / 2
C = torch.tensor([[4.0, 1.9], [1.9, 1.0]], dtype=torch.float64)
end = matrix_langevin(
    back_to_ridge,
    torch.zeros(20_000, 2, dtype=torch.float64),
    alpha * C,
    150,
    check.generator("ridge"),
)
in_errors(
    end,
    torch.zeros(2, dtype=torch.float64),
    (1 + half_bias) * C,
    "a narrow ridge with a step that fits it must be filled after 150 steps: do drift "
    "and noise belong together?",
    slack=2 * half_bias,
)
end = matrix_langevin(
    back,
    torch.zeros(40_000, 1, dtype=torch.float64),
    torch.full((1, 1), alpha, dtype=torch.float64),
    150,
    check.generator("line"),
)
in_errors(
    end,
    torch.zeros(1, dtype=torch.float64),
    torch.full((1, 1), 1 + half_bias, dtype=torch.float64),
    "N(0, 1) in one dimension must be reached, up to the bias of the steps: twice the "
    "variance is half the drift with all of the noise",
    slack=2 * half_bias,
)

x = torch.randn(3, 6, dtype=torch.float64, generator=draw).T
step = torch.diag(torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64))
once, again, other = (
    matrix_langevin(ripple, x, step, 4, check.generator(name))
    for name in ("same", "same", "another")
)
check.close(once, again, "equal generators must give equal chains: use the generator")
check.close(
    bool((once == other).any()), False, "another generator must give other chains"
)
check.close(
    matrix_langevin(ripple, x.contiguous(), step, 4, check.generator("same")),
    once,
    "a non-contiguous start gives another answer",
)
check.close(
    matrix_langevin(ripple, x, step, 0, check.generator("same")),
    x,
    "no steps: the chains stay where they are",
)
single = matrix_langevin(ripple, x[:1].float(), step.float(), 2, check.generator("one"))
check.close(
    (single.dtype == torch.float32, tuple(single.shape)),
    (True, (1, 3)),
    "float32 in must give float32 out, for one chain as for many",
)
check.close(
    arguments_after(x.clone(), step.clone(), check.generator("same")),
    (x, step),
    "an argument was changed in place",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · An annealing run on paper
#
# Data $\mathcal N(0, v)$, levels $\sigma_1 > \dots > \sigma_L$, the exact score of the noisy data at each. Then every step is linear, all that ever happens is Gaussian, and annealed Langevin can be followed without drawing anything: how large is the variance of the chain when each level ends? There is no better tool to choose $\epsilon$ and $T$ with.
#
# The chapter followed one level, on data without width of their own. Here the data have variance $v$, so at level $i$ the density is $\mathcal N(0, v + \sigma_i^2)$, and each level starts with the variance that the one before left behind.
#
# <details><summary>Hint 1</summary>What is the score of N(0, v + σ²), and by which factor does one step multiply x?</details>
# <details><summary>Hint 2</summary>u → (1 − α/(v + σ²))² u + 2α, with α = ε σ²/σ<sub>L</sub>², n_steps times. A loop is fine.</details>
# <details><summary>Hint 3</summary>The code's convention: drift α, noise √(2α). In the paper's the same numbers give other variances.</details>


# %% solution="annealed_variances" difficulty=2 minutes=15
def annealed_variances(variance, sigmas, n_steps, eps, start):
    """Variance of annealed Langevin on N(0, variance) when each level ends, exactly.

    variance: of the data, a float, 0 or more. sigmas: (L,), float64, falling. n_steps:
    at each level, an int. eps: a float; level i steps alpha_i = eps sigma_i² /
    sigma_L², in the code's convention x + alpha s(x) + sqrt(2 alpha) z, with the exact
    score s of data plus noise of that level. start: the variance at the beginning.
    Returns (L,), float64. A chain that diverges has a large variance, and no error.
    """
    ### BEGIN SOLUTION
    found, now = [], start
    for sigma in sigmas.tolist():
        alpha = eps * (sigma / sigmas[-1].item()) ** 2
        keep = (1 - alpha / (variance + sigma**2)) ** 2
        for _ in range(n_steps):
            now = keep * now + 2 * alpha
        found.append(now)
    return torch.tensor(found, dtype=torch.float64)
    ### END SOLUTION


# %% test="annealed_variances" points=2
levels = torch.tensor([2.0, 1.0], dtype=torch.float64)
check.close(
    annealed_variances(0.0, levels, 1, 1.0, 7.0),
    torch.tensor([8.0, 2.0], dtype=torch.float64),
    "eps = 1, data without width: the step jumps to the mode, whatever was before, and "
    "leaves 2 alpha: alpha is 4 at sigma = 2, and 1 at sigma = 1",
)
check.close(
    annealed_variances(3.0, levels[1:], 2, 2.0, 16.0),
    torch.tensor([6.0], dtype=torch.float64),
    "data of variance 3, sigma = 1, alpha = 2: a step halves x, which makes a quarter "
    "of its variance, and adds 2 alpha = 4: 16, then 8, then 6",
    atol=1e-6,
)
### BEGIN HIDDEN TESTS
from lib.diffusion_to_edm import score_matching as reference

draw = check.generator("annealed_variances")
rng = check.rng("annealed_variances")


def by_the_series(variance, sigmas, n_steps, eps, start):
    """The geometric series, level by level."""
    ends = []
    for sigma in sigmas.tolist():
        drift = eps * sigma**2 / float(sigmas[-1]) ** 2
        a = drift / (variance + sigma**2)
        rest = 2 * drift / (1 - (1 - a) ** 2)
        start = rest + (1 - a) ** (2 * n_steps) * (start - rest)
        ends.append(start)
    return torch.tensor(ends, dtype=torch.float64)


for count, n_steps in ((10, 100), (4, 7), (1, 3), (25, 1), (3, 2)):
    variance, last = rng.uniform(0.1, 2), rng.uniform(0.05, 0.3)
    sigmas = last * torch.linspace(9, 1, count, dtype=torch.float64)
    for share in (0.03, 0.4, 1.3):
        eps, start = share * last**2, rng.uniform(0.2, 30)
        check.close(
            annealed_variances(variance, sigmas, n_steps, eps, start),
            by_the_series(variance, sigmas, n_steps, eps, start),
            f"random levels and data, {count} levels of {n_steps} steps",
            rtol=1e-6,
        )

sigmas = reference.geometric_sigmas(5, 3.0, 0.4)
chains = 40_000


def score(x, sigma):
    return -x / (1.4 + sigma[:, None] ** 2)


got = annealed_variances(1.4, sigmas, 3, 0.09, 9.0)
for ended in range(1, 6):
    x = 3 * torch.randn(chains, 1, dtype=torch.float64, generator=draw)
    # The library counts steps from the last level it sees.
    eps = 0.09 * float(sigmas[ended - 1] / sigmas[-1]) ** 2
    end = reference.annealed_langevin(score, x, sigmas[:ended], 3, eps, draw)
    check.close(
        float(got[ended - 1]) / float(end.square().mean()),
        1.0,
        "the variance must be that of chains that are really run, within 5 errors",
        rtol=0,
        atol=5.5 * (2 / chains) ** 0.5,
    )

rest = [
    reference.settled_variance(0.02 * (s / 0.4) ** 2, 0.8 + s**2)
    for s in sigmas.tolist()
]
check.close(
    annealed_variances(0.8, sigmas, 3000, 0.02, 5.0),
    torch.tensor(rest, dtype=torch.float64),
    "after very many steps each level must end at its fixed point",
    rtol=1e-6,
)
check.close(
    annealed_variances(0.8 * 9, 3 * sigmas, 4, 0.02 * 9, 5.0 * 9),
    9 * annealed_variances(0.8, sigmas, 4, 0.02, 5.0),
    "in another unit of length all variances must scale alike",
    rtol=1e-6,
)
check.close(
    annealed_variances(0.0, torch.ones(1, dtype=torch.float64), 3, 4.0, 1.0),
    torch.tensor([9.0**3 + 8 * (1 + 9 + 81)], dtype=torch.float64),
    "steps beyond twice the variance must diverge, by the factor (1 - a)² a step",
    rtol=1e-6,
)
### END HIDDEN TESTS
