"""`lib.vae_to_vqgan.distribution_fitting` against independent computations.

Oracles: scipy's matrix root and Wasserstein distance, `torch.distributions`,
scikit-learn's kernels, enumeration, loops, Jacobians by autograd.
"""

import itertools
import math

import pytest
import scipy.linalg
import scipy.stats
import torch
from sklearn.metrics.pairwise import rbf_kernel
from torch.distributions import Bernoulli, MultivariateNormal, Normal, kl_divergence

from lib.vae_to_vqgan.distribution_fitting import (
    Coupling,
    Flow,
    chain_log_prob,
    chain_sample,
    fit_reverse,
    frechet_bias,
    frechet_distance,
    kl_mc,
    kl_on_grid,
    mmd_rbf,
    mmd_rbf_unbiased,
    moments,
    rbf,
    reverse_kl,
    sliced_wasserstein,
)
from tests.draws import normal, seeded


def covariance(d, seed=0):
    root = normal(d, d, seed=seed)
    return root @ root.T + 0.1 * torch.eye(d)


# Bits


def test_probabilities_of_all_pictures_sum_to_one():
    x = torch.tensor(list(itertools.product([0.0, 1.0], repeat=6))).double()
    total = chain_log_prob(x, normal(6, 6), normal(6, seed=1)).exp().sum()
    torch.testing.assert_close(total, torch.tensor(1.0).double())


def test_log_prob_is_the_sum_of_conditionals_written_out():
    weight, bias = normal(4, 4), normal(4, seed=1)
    x = torch.tensor([[1.0, 0, 1, 1], [0, 1, 1, 0]]).double()
    want = torch.zeros(2).double()
    for row, bits in enumerate(x):
        for i in range(4):
            logit = bias[i] + sum(weight[i, j] * bits[j] for j in range(i))
            want[row] += Bernoulli(logits=logit).log_prob(bits[i])
    torch.testing.assert_close(chain_log_prob(x, weight, bias), want)


def test_samples_come_with_the_probabilities_of_the_chain():
    weight, bias, count = 2 * normal(3, 3), normal(3, seed=1), 40_000
    x = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3))).double()
    p = chain_log_prob(x, weight, bias).exp()
    drawn = chain_sample(count, weight, bias, seeded(2))
    place = (drawn @ torch.tensor([4.0, 2, 1]).double()).long()
    share = place.bincount(minlength=8) / count
    assert ((share - p).abs() < 5 * (p * (1 - p) / count).sqrt()).all()


# Divergences


def test_the_mean_of_log_ratios_estimates_the_divergence_within_its_error():
    p, q = Normal(0.3, 0.8), Normal(-0.5, 1.5)
    estimate, error = kl_mc(p.log_prob, q.log_prob, 0.3 + 0.8 * normal(10_000))
    assert abs(estimate - kl_divergence(p, q)) < 5 * error
    assert error < 0.01


def test_one_sample_has_no_error(plain_errors):
    with pytest.raises(ValueError, match="samples must be at least 2, got 1"):
        kl_mc(torch.sin, torch.cos, normal(1))


def test_kl_on_a_grid_is_the_closed_form_in_both_directions():
    x = torch.linspace(-12, 12, 2001).double()
    p, q = Normal(torch.tensor(0.5).double(), 0.7), Normal(torch.tensor(-1.0), 1.2)
    for one, other in ((p, q), (q, p)):
        got = kl_on_grid(x, one.log_prob(x), other.log_prob(x))
        torch.testing.assert_close(got, kl_divergence(one, other).double())


def test_kl_on_a_grid_counts_nothing_where_p_is_zero():
    x = torch.linspace(0, 1, 101).double()
    p = torch.where(x < 0.5, 0.0, -torch.inf)
    q = torch.where(x < 0.7, 0.0, -torch.inf)
    assert kl_on_grid(x, p, q) == 0


def test_reverse_kl_is_the_closed_form_between_gaussians():
    mu, sigma = torch.tensor([0.5, -1.0]).double(), torch.tensor([0.6, 2.0]).double()
    p = Normal(torch.tensor(0.2).double(), 1.3)
    want = kl_divergence(Normal(mu, sigma), p)
    torch.testing.assert_close(reverse_kl(p.log_prob, mu, sigma), want)


def test_a_constant_moves_the_reverse_divergence_and_not_its_minimum():
    p = Normal(torch.tensor(0.2).double(), 1.3)
    start = torch.tensor([3.0, -2.0]).double(), torch.tensor([0.5, 4.0]).double()
    mu, sigma = fit_reverse(lambda x: p.log_prob(x) - 5, *start)
    torch.testing.assert_close(mu, torch.full((2,), 0.2).double(), atol=1e-4, rtol=0)
    torch.testing.assert_close(sigma, torch.full((2,), 1.3).double(), atol=1e-4, rtol=0)
    price = reverse_kl(lambda x: p.log_prob(x) - 5, mu, sigma)
    torch.testing.assert_close(price, torch.full((2,), 5.0).double())


def test_far_peaks_give_two_equal_minima_that_cost_minus_log_weight():
    def logp(x):
        sides = [Normal(a, 1.0).log_prob(x) for a in (-6.0, 6.0)]
        return torch.logsumexp(torch.stack(sides), 0) - math.log(2)

    start = torch.tensor([-4.0, 4.0]).double(), torch.ones(2).double()
    mu, sigma = fit_reverse(logp, *start)
    want = torch.tensor([-6.0, 6.0]).double()
    torch.testing.assert_close(mu, want, atol=1e-3, rtol=0)
    price = reverse_kl(logp, mu, sigma)
    torch.testing.assert_close(
        price, torch.full((2,), math.log(2)).double(), atol=1e-5, rtol=0
    )


# Fréchet


@pytest.mark.parametrize("d", [1, 2, 7])
def test_frechet_is_what_scipys_matrix_root_gives(d):
    C1, C2 = covariance(d), covariance(d, seed=1)
    mu1, mu2 = normal(2, d, seed=2)
    root = scipy.linalg.sqrtm((C1 @ C2).numpy()).real.trace()
    want = (mu1 - mu2).square().sum() + C1.trace() + C2.trace() - 2 * root
    torch.testing.assert_close(frechet_distance(mu1, C1, mu2, C2), want)


def test_frechet_of_commuting_covariances_is_the_distance_of_deviations():
    axes = torch.linalg.qr(normal(5, 5)).Q
    s, t = normal(2, 5, seed=1).abs()
    zero = torch.zeros(5).double()
    C1, C2 = axes * s**2 @ axes.T, axes * t**2 @ axes.T
    got = frechet_distance(zero, C1, zero, C2)
    torch.testing.assert_close(got, (s - t).square().sum())


def test_frechet_is_symmetric_and_the_same_in_turned_axes():
    C1, C2, (mu1, mu2) = covariance(4), covariance(4, seed=1), normal(2, 4, seed=2)
    turn = torch.linalg.qr(normal(4, 4, seed=3)).Q
    here = frechet_distance(mu1, C1, mu2, C2)
    torch.testing.assert_close(frechet_distance(mu2, C2, mu1, C1), here)
    turned = [turn @ mu1, turn @ C1 @ turn.T, turn @ mu2, turn @ C2 @ turn.T]
    torch.testing.assert_close(frechet_distance(*turned), here)


def test_frechet_is_a_square_in_the_unit_of_length():
    """However small the unit: no covariance is taken for zero."""
    C1, C2, (mu1, mu2) = covariance(4), covariance(4, seed=1), normal(2, 4, seed=2)
    here = frechet_distance(mu1, C1, mu2, C2)
    for unit in (1e-12, 1e12):
        scaled = [unit * mu1, unit**2 * C1, unit * mu2, unit**2 * C2]
        torch.testing.assert_close(frechet_distance(*scaled) / unit**2, here)


def test_frechet_of_singular_covariances_is_real_in_single_precision():
    x, y = normal(6, 20).float(), normal(9, 20, seed=1).float()
    got = frechet_distance(*moments(x), *moments(y))
    assert got.dtype == torch.float32
    want = frechet_distance(*moments(x.double()), *moments(y.double()))
    torch.testing.assert_close(got.double(), want, atol=1e-3, rtol=0)
    assert abs(frechet_distance(*moments(x), *moments(x))) < 1e-4


def test_moments_divide_by_one_less():
    x = normal(7, 3)
    mu, C = moments(x)
    centred = x - x.mean(0)
    torch.testing.assert_close((mu, C), (x.mean(0), centred.T @ centred / 6))
    assert moments(x[:, :1])[1].shape == (1, 1)


@pytest.mark.parametrize("widths", [[1.0, 1, 1, 1], [4.0, 1, 0.3, 0.05]])
def test_the_bias_of_frechet_is_what_chance_gives(widths):
    n, runs = 300, 150
    scale = torch.tensor(widths).double().sqrt()
    samples = normal(runs, 2, n, 4) * scale
    found = [frechet_distance(*moments(x), *moments(y)) for x, y in samples]
    found = torch.stack(found)
    error = found.std() / runs**0.5
    want = frechet_bias(torch.diag(scale**2), n)
    assert abs(found.mean() - want) < 5 * error + 0.02 * want


def test_the_bias_of_a_unit_covariance_is_d_times_d_plus_five_over_two_n():
    got = frechet_bias(torch.eye(6).double(), 50)
    torch.testing.assert_close(got, torch.tensor(6 * 11 / 100).double())


def test_frechet_refuses_what_is_no_covariance(plain_errors):
    zero, C = torch.zeros(2), torch.eye(2)
    with pytest.raises(ValueError, match="C2 must be symmetric"):
        frechet_distance(zero, C, zero, torch.tensor([[1.0, 0.5], [0.0, 1.0]]))
    with pytest.raises(ValueError, match=r"C2 must be \(2, 2\), got \(3, 3\)"):
        frechet_distance(zero, C, zero, torch.eye(3))


# Sliced Wasserstein


@pytest.mark.parametrize(("n", "m"), [(30, 30), (12, 18), (5, 7), (1, 4)])
def test_on_a_line_transport_is_that_of_points_repeated_to_equal_numbers(n, m):
    x, y = normal(n, 1), 2 * normal(m, 1, seed=1) + 0.5
    a = x[:, 0].repeat_interleave(m).sort().values
    b = y[:, 0].repeat_interleave(n).sort().values
    got = sliced_wasserstein(x, y, 3, seeded())
    torch.testing.assert_close(got, (a - b).square().mean())


def test_on_a_line_the_first_power_agrees_with_scipy():
    """Squares of gaps that are all equal are the square of scipy's mean gap."""
    x = normal(20, 1)
    gap = scipy.stats.wasserstein_distance(x[:, 0], x[:, 0] + 0.7)
    got = sliced_wasserstein(x, x + 0.7, 4, seeded())
    torch.testing.assert_close(got, torch.tensor(gap**2).double())


def test_a_shift_costs_its_square_over_the_dimension():
    x, shift = normal(40, 5), normal(5, seed=1)
    got = sliced_wasserstein(x, x + shift, 20_000, seeded(2))
    want = shift.square().sum() / 5
    assert abs(got - want) < 0.04 * want


# MMD


def test_kernels_are_scikit_learns_averaged_over_widths():
    x, y = normal(6, 3), normal(4, 3, seed=1)
    parts = [rbf_kernel(x, y, gamma=1 / (2 * s * s)) for s in (0.7, 2.0)]
    want = torch.tensor(sum(parts) / 2)
    torch.testing.assert_close(rbf(x, y, [0.7, 2.0]), want)


def test_both_estimates_are_the_sums_over_pairs_written_out():
    x, y, sigma = normal(5, 2), normal(3, 2, seed=1) + 1, 1.3

    def k(a, b):
        return math.exp(-float((a - b).square().sum()) / (2 * sigma**2))

    cross = sum(k(a, b) for a in x for b in y) / 15
    within = [sum(k(a, b) for a in s for b in s) / len(s) ** 2 for s in (x, y)]
    others = [
        sum(k(s[i], s[j]) for i, j in itertools.permutations(range(len(s)), 2))
        / (len(s) * (len(s) - 1))
        for s in (x, y)
    ]
    assert math.isclose(mmd_rbf(x, y, [sigma]), sum(within) - 2 * cross)
    assert math.isclose(mmd_rbf_unbiased(x, y, [sigma]), sum(others) - 2 * cross)


def test_two_points_are_enough_for_an_unbiased_estimate():
    x = torch.tensor([[0.0], [2.0]]).double()
    got = mmd_rbf_unbiased(x, x, [1.0])  # pairs at 0 and at 2
    torch.testing.assert_close(got, x.new_tensor(math.exp(-2) - 1))


def test_the_unbiased_estimate_is_right_on_average_and_the_other_too_large():
    """Between N(0, 1) and N(1, 1) the kernels integrate in closed form."""
    runs, n, sigma, shift = 150, 20, 1.0, 1.0
    draws = normal(runs, 2, n, 1)
    draws[:, 1] += shift
    spread = sigma**2 / (sigma**2 + 2)
    alone = spread**0.5
    want = 2 * alone * (1 - math.exp(-(shift**2) / (2 * (sigma**2 + 2))))
    fair = torch.stack([mmd_rbf_unbiased(x, y, [sigma]) for x, y in draws])
    plain = torch.stack([mmd_rbf(x, y, [sigma]) for x, y in draws])
    error = fair.std() / runs**0.5
    assert abs(fair.mean() - want) < 5 * error
    excess = 2 * (1 - alone) / n
    assert abs(plain.mean() - want - excess) < 5 * error


def test_equal_samples_have_no_distance_and_one_point_no_estimate():
    x = normal(5, 2)
    assert abs(mmd_rbf(x, x, [1.0])) < 1e-12
    with pytest.raises(ValueError, match="y must have at least 2 points, got 1"):
        mmd_rbf_unbiased(x, x[:1], [1.0])
    with pytest.raises(ValueError, match="sigmas must be positive"):
        mmd_rbf(x, x, [0.0])


# Flows


@pytest.fixture
def flow():
    flow = Flow(3, 8, 3, seeded()).double()
    for seed, weight in enumerate(flow.parameters()):
        weight.data = 0.5 * normal(*weight.shape, seed=seed)
    return flow


def test_a_coupling_keeps_one_half_and_is_inverted_exactly(flow):
    z = normal(5, 3)
    for layer in flow.layers:
        x, there = layer(z)
        kept = slice(1, 3) if layer.flip else slice(0, 1)
        torch.testing.assert_close(x[:, kept], z[:, kept])
        back, again = layer.inverse(x)
        torch.testing.assert_close((back, again), (z, -there))


def test_log_determinants_are_those_of_jacobians_by_autograd(flow):
    z = normal(4, 3)
    for layer in flow.layers:
        for way in (layer.forward, layer.inverse):

            def one(v, way=way):
                return way(v[None])[0][0]

            rows = [torch.autograd.functional.jacobian(one, row) for row in z]
            jacobian = torch.stack(rows)
            want = torch.linalg.slogdet(jacobian).logabsdet
            torch.testing.assert_close(way(z)[1], want)


def test_the_density_of_a_flow_integrates_to_one():
    flow = Flow(2, 8, 2, seeded()).double()
    for seed, weight in enumerate(flow.parameters()):
        weight.data = 0.4 * normal(*weight.shape, seed=seed)
    side = torch.linspace(-14, 14, 401).double()
    square = torch.cartesian_prod(side, side)
    total = flow.log_prob(square).exp().sum() * (side[1] - side[0]) ** 2
    torch.testing.assert_close(total, torch.tensor(1.0).double(), atol=1e-3, rtol=0)


def test_a_new_flow_is_the_normal_distribution():
    flow, x = Flow(4, 8, 3, seeded()).double(), normal(6, 4)
    want = MultivariateNormal(torch.zeros(4).double(), torch.eye(4).double())
    torch.testing.assert_close(flow.log_prob(x), want.log_prob(x))


def test_samples_have_the_mean_that_the_density_says(flow):
    drawn = flow.sample(4000, seeded(1))
    assert drawn.shape == (4000, 3)
    assert drawn.dtype == torch.float64
    z = drawn
    for layer in reversed(flow.layers):
        z, _ = layer.inverse(z)
    assert (z.mean(0).abs() < 5 / 4000**0.5).all()
    assert ((z.var(0) - 1).abs() < 5 * (2 / 4000) ** 0.5).all()


@pytest.mark.parametrize(("bias", "scale"), [(0.01, 0.01), (1e3, 2.0), (-1e3, -2.0)])
def test_logarithms_of_scales_begin_as_they_are_and_end_at_two(bias, scale):
    layer = Coupling(5, 4, flip=False, generator=seeded()).double()
    layer.last.bias.data[:3] = bias
    _, logdet = layer(normal(2, 5))
    torch.testing.assert_close(
        logdet, torch.full((2,), 3 * scale).double(), rtol=1e-4, atol=0
    )


def test_a_flow_turns_to_the_other_half_at_every_layer():
    flips = [layer.flip for layer in Flow(3, 4, 5, seeded()).layers]
    assert flips == [False, True, False, True, False]
    drawn = Flow(2, 4, 1, seeded()).sample(3, seeded())
    assert drawn.shape == (3, 2)
    assert not drawn.requires_grad


def test_a_coupling_needs_two_channels():
    with pytest.raises(ValueError, match="d must be at least 2, got 1"):
        Coupling(1, 4, flip=False, generator=seeded())
