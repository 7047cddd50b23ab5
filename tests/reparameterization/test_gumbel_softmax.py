"""`lib.reparameterization.gumbel_softmax` against independent implementations.

Oracles: scipy's Gumbel distribution and χ², torch.distributions, enumeration, and
quadrature.
"""

import functools
import math

import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from lib.reparameterization.examples import FIVE_WAY_LOGITS, five_way_cost
from lib.reparameterization.gumbel_softmax import (
    EULER_GAMMA,
    concrete_log_prob,
    gumbel_max,
    gumbel_softmax,
    relaxation_bias,
    relaxed_grad,
    sample_gumbel,
    straight_through,
)
from lib.reparameterization.pathwise_and_score import enumerate_grad
from tests.draws import seed_torch, seeded

LOGITS = {
    "even": torch.zeros(3),
    "skewed": torch.tensor([5.0, 0.0, -1.0, -3.0]),
    "unnormalised": torch.tensor([101.0, 100.0, 99.5, 102.0, 98.0]),
    "one impossible": torch.tensor([0.3, -math.inf, -0.2]),
}
every_logits = pytest.mark.parametrize("name", LOGITS)


def p_value(winners, p):
    """χ² of the winners' counts; an impossible category must not occur at all."""
    counts = winners.bincount(minlength=len(p)).double()
    assert not counts[p == 0].any()
    likely = p > 0
    expected = p[likely].double() * len(winners)
    expected *= counts.sum() / expected.sum()
    return stats.chisquare(counts[likely], expected).pvalue


# Noise


def test_noise_has_the_distribution_of_scipys_maxima_not_of_its_minima():
    noise = sample_gumbel((20_000,), seeded(), torch.float64)
    assert stats.kstest(noise, stats.gumbel_r.cdf).pvalue > 1e-4
    assert stats.kstest(noise, stats.gumbel_l.cdf).pvalue < 1e-50


def test_noise_has_the_mean_and_variance_that_the_docstring_says():
    noise = sample_gumbel((200_000,), seeded(1), torch.float64)
    assert pytest.approx(stats.gumbel_r.mean()) == EULER_GAMMA
    assert abs(noise.mean() - EULER_GAMMA) < 5 * (math.pi**2 / 6 / 200_000) ** 0.5
    assert noise.var() == pytest.approx(math.pi**2 / 6, rel=0.03)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_uniform_zero_gives_finite_noise(monkeypatch, dtype):
    """An exact zero comes once in 2^24 draws: here it comes every time."""
    monkeypatch.setattr(torch, "rand", lambda *a, **kw: torch.zeros(4, dtype=dtype))
    assert sample_gumbel((4,), dtype=dtype).isfinite().all()
    assert gumbel_softmax(torch.zeros(4, dtype=dtype), 0.5).isfinite().all()


def test_the_largest_uniform_gives_finite_noise(monkeypatch):
    below_one = torch.tensor(1.0).nextafter(torch.tensor(0.0))
    monkeypatch.setattr(torch, "rand", lambda *a, **kw: below_one)
    assert sample_gumbel(()).item() == pytest.approx(24 * math.log(2), rel=1e-6)


def test_ten_million_float32_draws_are_finite():
    least, most = sample_gumbel((10_000_000,), seeded(2)).aminmax()
    assert -4.48 <= least < -2.5
    assert 14 < most <= 16.64


# The largest of logits plus noise


@every_logits
def test_gumbel_max_draws_from_the_softmax(name):
    logits = LOGITS[name]
    winners = gumbel_max(logits.expand(200_000, -1), seeded(3))
    assert p_value(winners, logits.softmax(-1)) > 1e-4


def test_probabilities_in_the_place_of_logits_draw_from_something_else():
    p = LOGITS["skewed"].softmax(-1)
    winners = gumbel_max(p.expand(10_000, -1), seeded(3))
    assert p_value(winners, p) < 1e-50


def test_the_noise_of_minima_draws_from_something_else():
    """Not for two categories: there the difference of two noises is symmetric."""
    for logits, wrong in ((torch.tensor([1.5, 0.0]), False), (FIVE_WAY_LOGITS, True)):
        noise = sample_gumbel((100_000, len(logits)), seeded(3))
        found = p_value((logits - noise).argmax(-1), logits.softmax(-1))
        assert found < 1e-20 if wrong else found > 1e-4


def test_noise_capped_inside_is_seen_where_logits_are_skewed():
    """-log(-log u + 1e-3) never exceeds 6.9."""
    logits = LOGITS["skewed"].expand(100_000, -1)
    u = torch.rand(logits.shape, generator=seeded(4))
    winners = (logits - (-u.log() + 1e-3).log()).argmax(-1)
    assert p_value(winners, LOGITS["skewed"].softmax(-1)) < 1e-6


def test_the_expected_maximum_is_logsumexp_plus_eulers_constant():
    logits = torch.tensor([1.0, -0.5, 0.2, 2.0], dtype=torch.float64)
    n = 200_000
    noisy = logits + sample_gumbel((n, 4), seeded(5), torch.float64)
    largest, winner = noisy.max(-1)
    error = (math.pi**2 / 6 / n) ** 0.5
    assert abs(largest.mean() - logits.logsumexp(0) - EULER_GAMMA) < 5 * error
    location = float(logits.logsumexp(0))
    assert stats.kstest(largest[:20_000], stats.gumbel_r(location).cdf).pvalue > 1e-4
    for k in range(4):  # its value does not know who won
        mine = largest[winner == k][:5_000]
        assert stats.kstest(mine, stats.gumbel_r(location).cdf).pvalue > 1e-4


# The relaxation


@every_logits
@pytest.mark.parametrize("tau", [0.2, 3.0])
def test_the_largest_entry_of_a_relaxed_draw_is_an_exact_draw(name, tau):
    """Whatever the temperature: softmax and division keep the order."""
    y = gumbel_softmax(LOGITS[name].expand(100_000, -1), tau, generator=seeded(6))
    torch.testing.assert_close(y.sum(-1), torch.ones(100_000))
    assert p_value(y.argmax(-1), LOGITS[name].softmax(-1)) > 1e-4


def test_relaxed_draws_are_those_of_torch_distributions():
    """Equal in distribution, coordinate by coordinate: a temperature away from 1."""
    logits, tau, n = LOGITS["skewed"] / 3, 0.7, 20_000
    ours = gumbel_softmax(logits.expand(n, -1), tau, generator=seeded(7))
    seed_torch()
    law = torch.distributions.RelaxedOneHotCategorical(torch.tensor(tau), logits=logits)
    theirs = law.sample((n,))
    seed_torch(1)
    pytorchs = F.gumbel_softmax(logits.expand(n, -1), tau)
    for k in range(4):
        assert stats.ks_2samp(ours[:, k], theirs[:, k]).pvalue > 1e-4
        assert stats.ks_2samp(ours[:, k], pytorchs[:, k]).pvalue > 1e-4


def test_a_constant_added_to_the_logits_changes_no_draw():
    logits = torch.tensor([0.5, -1.0, 0.2], dtype=torch.float64)
    moved = gumbel_softmax(logits + 7, 0.4, generator=seeded(8))
    still = gumbel_softmax(logits, 0.4, generator=seeded(8))
    torch.testing.assert_close(moved, still)


def test_cold_draws_are_vertices_and_hot_ones_the_centre():
    logits = LOGITS["skewed"].double().expand(1_000, -1)
    winners = gumbel_max(logits, seeded(9))
    cold = gumbel_softmax(logits, 1e-9, generator=seeded(9))
    torch.testing.assert_close(cold, F.one_hot(winners, 4).double())
    hot = gumbel_softmax(logits, 1e6, generator=seeded(9))
    torch.testing.assert_close(hot, torch.full_like(hot, 0.25), atol=1e-4, rtol=0)


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "row", [[1e4, -1e4, 0.0], [-math.inf, 0.0, -math.inf], [1e4, 1e4, 1e4]]
)
def test_extreme_logits_give_finite_draws_and_gradients(row, dtype, hard):
    logits = torch.tensor(row, dtype=dtype).expand(50, -1).clone().requires_grad_()
    y = gumbel_softmax(logits, 0.1, hard, seeded(10))
    assert y.dtype == dtype
    torch.testing.assert_close(y.sum(-1), torch.ones(50, dtype=dtype))
    (y * torch.arange(3)).sum().backward()
    assert logits.grad.isfinite().all()


def test_every_row_of_any_shape_has_noise_of_its_own():
    logits = torch.zeros(2, 1, 4, 5).transpose(1, 2)
    y = gumbel_softmax(logits, 1.0, generator=seeded(11))
    assert y.shape == (2, 4, 1, 5)
    assert len(y.reshape(8, 5).unique(dim=0)) == 8


# Straight-through


def test_a_hard_draw_is_one_hot_to_the_last_bit_and_has_the_soft_gradient():
    weight = torch.randn(500, 6, generator=seeded(12))
    grads = []
    for hard in (False, True):
        logits = torch.zeros(500, 6).requires_grad_()
        y = gumbel_softmax(logits, 0.8, hard, seeded(13))
        if hard:
            assert set(y.unique().tolist()) == {0.0, 1.0}
            assert y.sum(-1).eq(1).all()
        (y * weight).sum().backward()
        grads.append(logits.grad)
    torch.testing.assert_close(grads[1], grads[0])
    assert grads[1].abs().max() > 0.1


def test_the_order_of_the_three_terms_matters_to_the_last_bit():
    soft = torch.rand(10_000, generator=seeded(14))
    hard = torch.ones(10_000)
    assert straight_through(hard, soft).eq(1).all()
    assert (hard - soft + soft).eq(1).all()  # PyTorch's order
    assert not ((hard + soft) - soft).eq(1).all()


def test_straight_through_sends_nothing_into_the_hard_branch():
    hard, soft = torch.zeros(3).requires_grad_(), torch.ones(3).requires_grad_()
    straight_through(hard, soft).sum().backward()
    assert hard.grad is None
    assert soft.grad.tolist() == [1, 1, 1]


# The density


@pytest.mark.parametrize("tau", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("k", [2, 3, 6])
def test_the_density_is_that_of_torch_distributions(tau, k):
    logits = torch.randn(7, k, dtype=torch.float64, generator=seeded(15)) + 3
    y = torch.rand(7, k, dtype=torch.float64, generator=seeded(16)) + 0.05
    y = y / y.sum(-1, keepdim=True)
    tau_tensor = torch.tensor(tau, dtype=torch.float64)
    law = torch.distributions.RelaxedOneHotCategorical(tau_tensor, logits=logits)
    torch.testing.assert_close(concrete_log_prob(y, logits, tau), law.log_prob(y))


@pytest.mark.parametrize("tau", [0.4, 1.0, 1.7])
def test_the_density_integrates_to_one_over_a_triangle(tau):
    """y = softmax(a, b, 0): area y_1 y_2 y_3 da db. A missing Γ(3) would show."""
    side = torch.linspace(-40, 40, 801, dtype=torch.float64) / min(tau, 1.0) ** 0.5
    a, b = torch.meshgrid(side, side, indexing="ij")
    log_y = torch.stack((a, b, 0 * a), -1).log_softmax(-1)
    logits = torch.tensor([0.5, -0.3, 1.0], dtype=torch.float64)
    inside = log_y.min(-1).values > -600
    density = concrete_log_prob(log_y[inside].exp(), logits, tau)
    step = side[1] - side[0]
    total = (density + log_y[inside].sum(-1)).exp().sum() * step**2
    assert total == pytest.approx(1, abs=1e-4)


def test_the_density_does_not_see_a_constant_and_is_finite_near_a_vertex():
    logits = torch.tensor([0.2, 1.0, -0.4], dtype=torch.float64)
    y = torch.tensor([1 - 2e-12, 1e-12, 1e-12], dtype=torch.float64)
    there = concrete_log_prob(y, logits, 0.1)
    assert there.isfinite()
    torch.testing.assert_close(concrete_log_prob(y, logits + 50, 0.1), there)


# Estimators


@pytest.mark.parametrize("hard", [False, True])
def test_estimates_are_what_autograd_gives_for_each_draw(hard):
    logits, tau, n = FIVE_WAY_LOGITS, 0.6, 4
    got = relaxed_grad(five_way_cost, logits, tau, n, hard, seeded(17))
    rows = logits.expand(n, -1).clone()
    for i in range(n):
        leaf = rows.clone().requires_grad_()
        y = gumbel_softmax(leaf, tau, hard, seeded(17))
        five_way_cost(y[i]).backward()
        torch.testing.assert_close(got[i], leaf.grad[i])
    assert got.sum(-1).abs().max() < 1e-12  # a constant on all logits changes nothing


def test_draws_are_relaxed_unless_hard_ones_are_asked_for():
    call = functools.partial(relaxed_grad, five_way_cost, FIVE_WAY_LOGITS, 0.6, 4)
    soft, hard = (call(hard=hard, generator=seeded(17)) for hard in (False, True))
    torch.testing.assert_close(call(generator=seeded(17)), soft)
    assert not torch.allclose(soft, hard)


def test_the_bias_falls_in_proportion_to_tau_and_the_variance_rises_against_it():
    exact = enumerate_grad(five_way_cost, FIVE_WAY_LOGITS)
    variances = []
    for tau in (0.1, 0.025):
        grads = relaxed_grad(
            five_way_cost, FIVE_WAY_LOGITS, tau, 100_000, generator=seeded(18)
        )
        variances.append(grads.var(0).sum())
        error = (grads.var(0) / 100_000).sum().sqrt()
        assert (grads.mean(0) - exact).norm() < 0.05 * exact.norm() + 5 * error
    assert variances[1] / variances[0] == pytest.approx(4, rel=0.2)


def test_the_bias_measured_with_common_noise_is_that_of_the_estimates():
    exact = enumerate_grad(five_way_cost, FIVE_WAY_LOGITS)
    n = 100_000
    for tau in (1.0, 0.3):
        terms = relaxation_bias(
            five_way_cost, FIVE_WAY_LOGITS, tau, n, generator=seeded(19)
        )
        grads = relaxed_grad(
            five_way_cost, FIVE_WAY_LOGITS, tau, n, generator=seeded(20)
        )
        direct = grads.mean(0) - exact
        error = ((grads.var(0) + terms.var(0)) / n).sqrt()
        assert ((terms.mean(0) - direct).abs() < 5 * error).all()


def gate_gradients(f, slope, logit, tau):
    """By quadrature, for a gate y = sigmoid((logit + logistic noise) / τ): relaxed and
    straight-through gradient with respect to the logit."""
    z = torch.linspace(-60, 60, 400_000, dtype=torch.float64)
    y = (z / tau).sigmoid()
    density = torch.sigmoid(z - logit) * torch.sigmoid(logit - z)
    path = y * (1 - y) / tau * density * (z[1] - z[0])
    return float((slope(y) * path).sum()), float((slope(1.0 * (z > 0)) * path).sum())


@pytest.mark.parametrize("tau", [0.3, 1.5])
def test_estimates_agree_with_quadrature_for_a_gate(tau):
    logits = torch.tensor([0.7, 0.0], dtype=torch.float64)

    def cube(z):
        return z[..., 0] ** 3

    want = gate_gradients(lambda y: y**3, lambda y: 3 * y**2, 0.7, tau)
    for hard, value in zip((False, True), want):
        grads = relaxed_grad(cube, logits, tau, 100_000, hard, seeded(21))[:, 0]
        assert abs(grads.mean() - value) < 5 * grads.std() / 100_000**0.5


@pytest.mark.parametrize("tau", [0.3, 1.5])
def test_the_bias_for_a_gate_is_that_of_quadrature(tau):
    logits = torch.tensor([0.7, 0.0], dtype=torch.float64)
    p = logits.softmax(-1)[0]
    relaxed, _ = gate_gradients(lambda y: y**3, lambda y: 3 * y**2, 0.7, tau)
    terms = relaxation_bias(
        lambda z: z[..., 0] ** 3, logits, tau, 100_000, generator=seeded(22)
    )[:, 0]
    assert terms.std() < 1  # the score's own, for values between 0 and 1
    want = relaxed - p * (1 - p)
    assert abs(terms.mean() - want) < 5 * terms.std() / 100_000**0.5


def test_cold_straight_through_is_right_for_a_square_and_wrong_for_a_cube():
    """It takes the mean slope of the two ends for the slope between them."""
    p = torch.tensor(0.7).double().sigmoid().item()
    exact = p * (1 - p)  # f(1) - f(0) = 1 for both
    _, square = gate_gradients(lambda y: y**2, lambda y: 2 * y, 0.7, 0.01)
    _, cube = gate_gradients(lambda y: y**3, lambda y: 3 * y**2, 0.7, 0.01)
    assert square == pytest.approx(exact, rel=0.01)
    assert cube == pytest.approx(1.5 * exact, rel=0.01)
    soft, _ = gate_gradients(lambda y: y**3, lambda y: 3 * y**2, 0.7, 0.01)
    assert soft == pytest.approx(exact, rel=0.02)


# Errors


@pytest.mark.parametrize("tau", [0.0, -1.0, math.nan])
def test_a_temperature_that_is_not_positive_is_refused(plain_errors, tau):
    logits = torch.zeros(2)
    calls = [
        lambda: gumbel_softmax(logits, tau),
        lambda: concrete_log_prob(logits + 0.5, logits, tau),
        lambda: relaxed_grad(five_way_cost, FIVE_WAY_LOGITS, tau, 2),
        lambda: relaxation_bias(five_way_cost, FIVE_WAY_LOGITS, tau, 2),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=f"tau must be positive, got {tau}"):
            call()
