"""`lib.reparameterization.pathwise_and_score` against `torch.distributions`,
enumeration, quadrature, and closed forms.

Statistical claims are tested at 5 standard errors, with fixed seeds.
"""

import itertools
import math

import pytest
import torch
from scipy import integrate, stats

from lib.reparameterization.examples import (
    FIVE_WAY_LEVELS,
    FIVE_WAY_LOGITS,
    five_way_cost,
)
from lib.reparameterization.pathwise_and_score import (
    Categorical,
    Normal,
    best_baseline,
    enumerate_grad,
    exact_score_variance,
    leave_one_out,
    pathwise_grad,
    relative_bias_and_variance,
    score_function_grad,
)
from tests.draws import seeded

same = torch.testing.assert_close
F64 = torch.float64


def number(*values):
    return torch.tensor(values, dtype=F64)


def near(estimates, exact):
    """The mean over the first axis is `exact` within 5 standard errors."""
    error = estimates.std(0) / len(estimates) ** 0.5
    assert ((estimates.mean(0) - exact).abs() <= 5 * error + 1e-12).all()


def square(z):
    return z.square().sum(-1)


def wave(z):
    return (2 * z).sin().sum(-1) + z[..., 0] * z[..., -1]


BELL = Normal(number(0.3, -1.1, 0.8), number(-0.4, 0.2, 0.1))


# Oracles


def test_the_score_of_a_normal_is_autograds_of_torch_distributions():
    z = BELL.sample(7, seeded())
    leaves = BELL.mu.clone().requires_grad_(), BELL.log_sigma.clone().requires_grad_()
    for row, score in zip(z, BELL.score(z)):
        log_prob = torch.distributions.Normal(leaves[0], leaves[1].exp()).log_prob(row)
        same(score, torch.stack(torch.autograd.grad(log_prob.sum(), leaves)))


def test_the_score_of_a_category_is_autograds_of_torch_distributions():
    dist = Categorical(number(0.2, -1.0, 2.5, 0.0))
    z = dist.sample(9, seeded())
    leaf = dist.logits.clone().requires_grad_()
    for row, score in zip(z, dist.score(z)):
        log_prob = torch.distributions.OneHotCategorical(logits=leaf).log_prob(row)
        same(score, *torch.autograd.grad(log_prob, leaf))


def test_pathwise_is_the_gradient_through_rsample():
    """Same noise: torch.distributions, autograd for both parameters."""
    noise = BELL.noise(50, seeded(3))
    leaves = BELL.mu.clone().requires_grad_(), BELL.log_sigma.clone().requires_grad_()
    value = wave(leaves[0] + leaves[1].exp() * noise).mean()
    want = torch.stack(torch.autograd.grad(value, leaves))
    same(pathwise_grad(wave, BELL, 50, generator=seeded(3)).mean(0), want)


def test_enumeration_is_the_gradient_of_the_expectation():
    logits = torch.randn(3, 4, dtype=F64, generator=seeded())
    levels = number(0.3, -2.0, 1.0, 5.0)
    leaf = logits.clone().requires_grad_()
    want = torch.autograd.grad((leaf.softmax(-1) @ levels.exp()).sum(), leaf)[0]
    same(enumerate_grad(lambda z: (z @ levels).exp(), logits), want)


@pytest.mark.parametrize("estimator", [score_function_grad, pathwise_grad])
def test_both_estimators_have_the_mean_that_quadrature_gives(estimator):
    def f(x):
        return math.sin(2 * x) + x * x

    def expectation(mu, log_sigma):
        def density(x):
            return stats.norm.pdf(x, mu, math.exp(log_sigma)) * f(x)

        return integrate.quad(density, -12, 12, epsabs=1e-12, limit=400)[0]

    mu, log_sigma, h = 0.4, -0.3, 1e-4
    want = number(
        expectation(mu + h, log_sigma) - expectation(mu - h, log_sigma),
        expectation(mu, log_sigma + h) - expectation(mu, log_sigma - h),
    ) / (2 * h)
    dist = Normal(number(mu), number(log_sigma))
    near(estimator(wave, dist, 100_000, generator=seeded()), want[:, None])


# Sampling


def test_samples_have_the_mean_the_spread_and_the_frequencies_asked_for():
    z = BELL.sample(100_000, seeded())
    near(z, BELL.mu)
    near((z - BELL.mu).square(), (2 * BELL.log_sigma).exp())
    rows = torch.stack([FIVE_WAY_LOGITS, FIVE_WAY_LOGITS.flip(0)])
    drawn = Categorical(rows).sample(100_000, seeded())
    assert drawn.shape == (100_000, 2, 5)
    same(drawn.sum(-1), torch.ones(100_000, 2, dtype=F64))
    near(drawn, rows.softmax(-1))


def test_rows_are_independent_repetitions():
    drawn = Categorical(FIVE_WAY_LOGITS.expand(4000, 5)).sample(2, seeded())
    first, second = drawn.argmax(-1)
    p = FIVE_WAY_LOGITS.softmax(-1)
    near((first == second).to(F64), p.square().sum())
    near((first[1:] == first[:-1]).to(F64), p.square().sum())


# The exact example, and dimensions


def test_the_variances_of_the_quadratic_are_4_and_30():
    unit = Normal(number(1.0), number(0.0))
    for estimator, variance in ((pathwise_grad, 4), (score_function_grad, 30)):
        estimates = estimator(square, unit, 400_000, generator=seeded())[:, 0]
        near(estimates, number(2))
        near((estimates - 2).square(), number(variance))


@pytest.mark.parametrize("d", [1, 3, 10])
def test_the_variance_of_the_score_grows_with_the_cube_of_the_dimension(d):
    dist = Normal(torch.ones(d, dtype=F64), torch.zeros(d, dtype=F64))
    for baseline, want in (
        (None, 4 * d**3 + 14 * d**2 + 12 * d),
        (2.0 * d, 6 * d**2 + 12 * d),  # the mean of f
        (2.0 * d + 2, 6 * d**2 + 8 * d),  # the best
    ):
        estimates = score_function_grad(
            square, dist, 50_000, baseline, generator=seeded()
        )
        near((estimates[:, 0] - 2).square().sum(-1), want)


def test_the_step_has_no_path_and_a_score():
    def step(z):
        return (0.5 * (1 + z.sign())).sum(-1)

    dist = Normal(number(0.4), number(0.3))
    assert (pathwise_grad(step, dist, 1000, generator=seeded()) == 0).all()
    mu, sigma = 0.4, math.exp(0.3)
    density = stats.norm.pdf(0, mu, sigma)
    want = number(density, -density * mu)  # of Φ(μ/σ) in μ and in log σ
    near(score_function_grad(step, dist, 200_000, generator=seeded()), want[:, None])


# Baselines


def outcomes(logits, n):
    """Every way to draw n categories, as one-hot points, and its probability."""
    p, eye = logits.softmax(-1), torch.eye(len(logits), dtype=F64)
    for drawn in itertools.product(range(len(logits)), repeat=n):
        yield eye[list(drawn)], p[list(drawn)].prod()


@pytest.mark.parametrize("n", [2, 3, 4])
def test_leave_one_out_is_unbiased_and_the_batch_mean_shrinks(n):
    """By enumeration of all batches: no noise."""
    logits, levels = number(0.5, -0.2, 1.0), number(3.0, -1.0, 10.0)
    exact = enumerate_grad(lambda z: z @ levels, logits)
    others = own = 0
    for z, chance in outcomes(logits, n):
        scores, values = Categorical(logits).score(z), z @ levels
        others += chance * ((values - leave_one_out(values))[:, None] * scores).mean(0)
        own += chance * ((values - values.mean())[:, None] * scores).mean(0)
    same(others, exact)
    same(own, (n - 1) / n * exact)


def test_leave_one_out_is_the_mean_of_the_others():
    values = torch.randn(5, 3, dtype=F64, generator=seeded())
    for i in range(5):
        others = torch.cat((values[:i], values[i + 1 :])).mean(0)
        same(leave_one_out(values)[i], others)


def test_a_baseline_does_not_move_the_mean_and_a_number_equals_a_function():
    dist = Categorical(FIVE_WAY_LOGITS)
    exact = enumerate_grad(five_way_cost, FIVE_WAY_LOGITS)
    for baseline in (None, 1.7, -20.0, leave_one_out):
        near(
            score_function_grad(
                five_way_cost, dist, 100_000, baseline, generator=seeded()
            ),
            exact,
        )
    number_of, function_of = (
        score_function_grad(five_way_cost, dist, 10, b, generator=seeded(1))
        for b in (1.7, lambda values: torch.full_like(values, 1.7))
    )
    same(number_of, function_of)


def test_no_baseline_is_better_than_the_best():
    logits = torch.randn(2, 6, dtype=F64, generator=seeded())
    best = best_baseline(lambda z: (3 * z[..., 0] - z[..., 4]).exp(), logits)
    for row, b in zip(logits, best):
        variance = [
            exact_score_variance(
                lambda z: (3 * z[..., 0] - z[..., 4]).exp(), row, float(b) + shift
            )
            for shift in (-0.1, 0.0, 0.1)
        ]
        assert variance[1] < min(variance[0], variance[2])


def test_the_exact_variance_is_what_is_measured():
    dist = Categorical(FIVE_WAY_LOGITS)
    exact = enumerate_grad(five_way_cost, FIVE_WAY_LOGITS)
    for b in (0.0, 1.5):
        estimates = score_function_grad(
            five_way_cost, dist, 200_000, b, generator=seeded()
        )
        near(
            (estimates - exact).square().sum(-1),
            exact_score_variance(five_way_cost, FIVE_WAY_LOGITS, b),
        )


def test_the_best_baseline_of_a_coin_leaves_no_variance():
    logits, levels = number(1.3, -0.4), number(2.0, 7.0)

    def f(z):
        return z @ levels

    best = best_baseline(f, logits)
    same(best, logits.softmax(-1).flip(0) @ levels)
    same(exact_score_variance(f, logits, float(best)), number(0)[0])


def test_pathwise_loses_to_the_score_for_a_function_that_wiggles():
    def ripple(z):
        return (3 * z).sin().sum(-1)

    unit = Normal(number(0.7), number(0.0))
    path = pathwise_grad(ripple, unit, 50_000, generator=seeded())[:, 0].var()
    score = score_function_grad(ripple, unit, 50_000, generator=seeded())[:, 0].var()
    assert path > 6 * score


# The measure, and the example


def test_bias_is_relative_and_variance_is_of_one_sample_summed_over_coordinates():
    estimates = number(1.0, 3.0)[:, None] * number(1, 1)
    estimates[:, 1] += 4
    bias, variance = relative_bias_and_variance(estimates, number(2, 3))
    assert bias == pytest.approx(3 / math.sqrt(13))
    assert variance == pytest.approx(2 + 2)


def test_the_five_way_cost_is_not_the_average_of_its_vertices():
    vertices = five_way_cost(torch.eye(5, dtype=F64))
    same(vertices, 1 + FIVE_WAY_LEVELS.square() / 4)
    inside = FIVE_WAY_LOGITS.softmax(-1)
    assert five_way_cost(inside) < inside @ vertices - 0.1
    assert five_way_cost(torch.ones(2, 3, 5)).dtype == torch.float32


# Conventions and errors


def test_dtype_shape_and_arguments_are_kept():
    single = Normal(BELL.mu.float().expand(2, 3), BELL.log_sigma.float().expand(2, 3))
    before = single.mu.clone()
    for estimator in (score_function_grad, pathwise_grad):
        estimates = estimator(square, single, 5, generator=seeded())
        assert estimates.shape == (5, 2, 2, 3)
        assert estimates.dtype == torch.float32
        assert not estimates.requires_grad
    same(single.mu, before)
    logits = FIVE_WAY_LOGITS.float().expand(7, 5)
    got = score_function_grad(
        five_way_cost, Categorical(logits), 4, leave_one_out, generator=seeded()
    )
    assert got.shape == (4, 7, 5)
    assert got.dtype == torch.float32


def test_equal_generators_give_equal_estimates():
    for estimator in (score_function_grad, pathwise_grad):
        once, again = (estimator(wave, BELL, 5, generator=seeded(8)) for _ in range(2))
        same(once, again, rtol=0, atol=0)


def test_a_single_sample_is_an_estimate():
    for estimator in (score_function_grad, pathwise_grad):
        assert estimator(wave, BELL, 1, generator=seeded(9)).shape == (1, 2, 3)


@pytest.mark.usefixtures("plain_errors")
def test_bad_arguments_are_named():
    for estimator in (score_function_grad, pathwise_grad):
        with pytest.raises(ValueError, match=r"n must be positive, got 0"):
            estimator(square, BELL, 0, generator=seeded())
    with pytest.raises(ValueError, match=r"f must be differentiable"):
        pathwise_grad(lambda z: (z > 0).sum(-1).double(), BELL, 3, generator=seeded())
    with pytest.raises(ValueError, match=r"values must have 2 samples or more, got 1"):
        leave_one_out(number(1.0))
    with pytest.raises(
        ValueError, match=r"estimates must be .* got \(3, 2\) for \(3,\)"
    ):
        relative_bias_and_variance(torch.zeros(3, 2), torch.zeros(3))
    with pytest.raises(ValueError, match=r"estimates must be"):
        relative_bias_and_variance(torch.zeros(1, 3), torch.zeros(3))
