"""Score matching and Langevin against quadrature, autograd, and diffusers."""

import math

import numpy as np
import pytest
import torch

from lib.diffusion_to_edm import mixtures
from lib.diffusion_to_edm.mixtures import Mixture
from lib.diffusion_to_edm.score_matching import (
    ScoreNet,
    annealed_langevin,
    dsm_loss,
    geometric_sigmas,
    langevin,
    settled_variance,
    sliced_sm_loss,
    swiss_roll,
    tweedie,
)
from tests.draws import normal, seeded

same = torch.testing.assert_close


def mixture():
    weights = torch.tensor([0.3, 0.7], dtype=torch.float64)
    means = torch.tensor([[-1.0, 0.5, 2.0], [1.5, 0.0, -1.0]], dtype=torch.float64)
    return Mixture(weights, means, 0.8)


def jacobian(score, x):
    """One row at a time, by autograd."""
    return torch.stack(
        [torch.autograd.functional.jacobian(score, row[None])[0, :, 0] for row in x]
    )


def sampled(loss):
    """Mean and its standard error."""
    return loss.mean().item(), loss.std().item() / len(loss) ** 0.5


# Denoising


def test_a_point_mass_whose_score_is_known_costs_nothing():
    x = torch.full((50, 3), 1.7, dtype=torch.float64)
    sigma = torch.linspace(0.1, 9, 50, dtype=torch.float64)

    def score(noisy, sigma):
        return (1.7 - noisy) / sigma[:, None] ** 2

    same(dsm_loss(score, x, sigma, seeded()), torch.zeros(50, dtype=torch.float64))


def test_a_score_of_zero_costs_half_the_dimension_at_every_level():
    x = normal(40_000, 6)
    for level in (0.01, 1.0, 50.0):
        sigma = torch.full((len(x),), level, dtype=torch.float64)
        loss = dsm_loss(lambda noisy, sigma: 0 * noisy, x, sigma, seeded(1))
        mean, error = sampled(loss)
        assert abs(mean - 3) < 5 * error


@pytest.mark.parametrize("level", [0.3, 1.0, 4.0])
def test_the_least_is_at_the_score_of_noisy_data(level):
    """On N(0, 2.25 I): the parabola through three slopes has its vertex there."""
    x, sigma = 1.5 * normal(100_000, 2), torch.full((100_000,), level).double()
    losses = [
        dsm_loss(lambda y, _, slope=slope: -slope * y, x, sigma, seeded(2)).mean()
        for slope in (0.0, 1.0, 2.0)
    ]
    rise, bend = losses[2] - losses[0], losses[2] - 2 * losses[1] + losses[0]
    vertex = 1 - rise / (2 * bend)
    assert vertex.item() == pytest.approx(1 / (2.25 + level**2), rel=0.02)


def test_it_exceeds_explicit_score_matching_by_the_same_for_every_score():
    """The constant is half of d - sigma² E ‖true score‖²."""
    data, level, n = mixture(), 0.9, 200_000
    x = mixtures.sample(data, n, seeded(3))
    sigma = torch.full((n,), level, dtype=torch.float64)
    noisy = x + level * normal(n, 3, seed=4)
    true = mixtures.score(data, noisy, level)
    constant = (3 - level**2 * true.square().sum(-1).mean()) / 2
    for score in (
        lambda y, s: mixtures.score(data, y, s),
        lambda y, s: -0.4 * y,
        lambda y, s: y.sin(),
    ):
        loss = dsm_loss(score, x, sigma, seeded(5))
        explicit = level**2 / 2 * (score(noisy, sigma) - true).square().sum(-1)
        allowed = 5 * (loss.std() + explicit.std() + true.std()) / n**0.5
        assert abs(loss.mean() - explicit.mean() - constant) < allowed


def test_tweedie_is_the_mean_of_what_may_have_been():
    data, x = mixture(), normal(9, 3, seed=6)
    score = mixtures.score(data, x, 0.7)
    same(tweedie(x, score, 0.7), mixtures.denoise(data, x, 0.7))


# Implicit and sliced


def test_all_directions_together_give_the_exact_trace():
    """Averaged over many draws at the same points."""
    data, x = mixture(), normal(4, 3, seed=7)

    def score(y):
        return mixtures.score(data, y)

    trace = jacobian(score, x).diagonal(dim1=1, dim2=2).sum(-1)
    exact = trace + score(x).square().sum(-1) / 2
    draw = seeded(8)
    draws = torch.stack([sliced_sm_loss(score, x, draw) for _ in range(2000)])
    error = draws.std(0) / 2000**0.5
    assert ((draws.mean(0) - exact).abs() < 5 * error + 1e-9).all()


def test_implicit_is_explicit_score_matching_less_a_constant():
    """Hyvärinen's theorem by quadrature in one dimension."""
    data = Mixture(
        torch.tensor([0.2, 0.8], dtype=torch.float64),
        torch.tensor([[-2.0], [1.0]], dtype=torch.float64),
        0.7,
    )
    x = torch.linspace(-12, 12, 4001, dtype=torch.float64)[:, None]
    weight = mixtures.log_density(data, x).exp() * (x[1] - x[0])
    true = mixtures.score(data, x)[:, 0]
    constant = (weight * true**2).sum() / 2
    for score in (torch.sin, lambda y: -y / 3, lambda y: 1 - y.tanh()):
        # In one dimension a sign squares to 1, and slicing is exact.
        implicit = (weight * sliced_sm_loss(score, x, seeded())).sum()
        explicit = (weight * (score(x)[:, 0] - true) ** 2).sum() / 2
        same(implicit, explicit - constant)


def test_the_gradient_of_the_trace_reaches_the_parameters():
    a = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    x = normal(5, 4, seed=9)
    sliced_sm_loss(lambda y: -a * y, x, seeded()).sum().backward()
    same(a.grad, -4 * 5 + a.detach() * x.square().sum())


def test_slicing_leaves_its_argument_as_it_was():
    x = normal(4, 3)
    sliced_sm_loss(lambda y: -y, x, seeded())
    assert not x.requires_grad


def test_slicing_works_where_gradients_are_switched_off():
    with torch.no_grad():
        loss = sliced_sm_loss(lambda y: -y, torch.zeros(3, 2), seeded())
    same(loss.detach(), torch.full((3,), -2.0))


# Levels and steps


def test_levels_are_those_of_diffusers_and_of_numpy():
    sigmas = geometric_sigmas(10, 1.0, 0.01)
    same(sigmas.numpy(), np.geomspace(1, 0.01, 10))
    diffusers = pytest.importorskip("diffusers")
    oracle = diffusers.ScoreSdeVeScheduler(10, sigma_min=0.01, sigma_max=1.0)
    same(sigmas.flip(0).float(), oracle.discrete_sigmas)


def test_steps_are_those_of_an_independent_chain_in_numpy():
    """The same noise, another loop, the paper's convention with twice the alpha."""
    x, draw = normal(6, 2, seed=10), seeded(11)
    got = langevin(torch.sin, x, 0.07, 5, draw)
    paper, y, again = 2 * 0.07, x.numpy(), seeded(11)
    for _ in range(5):
        z = torch.randn(6, 2, dtype=torch.float64, generator=again).numpy()
        y = y + paper / 2 * np.sin(y) + np.sqrt(paper) * z
    same(got.numpy(), y)


def test_a_step_is_diffusers_corrector_with_its_step_size():
    diffusers = pytest.importorskip("diffusers")
    oracle = diffusers.ScoreSdeVeScheduler(10, sigma_min=0.01, sigma_max=1.0, snr=0.15)
    oracle.set_timesteps(10)
    x = torch.tensor([[0.5, -1.0, 2.0]])
    noise = torch.randn(x.shape, generator=seeded(11))
    alpha = 2 * (0.15 * noise.norm() / x.norm()) ** 2
    want = oracle.step_correct(-x, x, generator=seeded(11)).prev_sample
    same(langevin(lambda y: -y, x, float(alpha), 1, seeded(11)), want)


def test_no_force_is_a_random_walk_of_variance_2_alpha_t():
    end = langevin(torch.zeros_like, torch.zeros(200_000, 1), 0.03, 7, seeded(12))
    want = 2 * 0.03 * 7
    assert end.var().item() == pytest.approx(want, abs=5 * want * (2 / 200_000) ** 0.5)


@pytest.mark.parametrize(("alpha", "variance"), [(0.05, 1.0), (0.6, 1.0), (0.6, 2.5)])
def test_it_settles_where_the_fixed_point_says(alpha, variance):
    x = variance**0.5 * torch.randn(200_000, 1, generator=seeded(13))
    end = langevin(lambda y: -y / variance, x, alpha, 80, seeded(14))
    want = settled_variance(alpha, variance)
    assert want > variance
    assert end.var().item() == pytest.approx(want, abs=5 * want * (2 / 200_000) ** 0.5)


def test_half_a_drift_with_whole_noise_settles_at_about_twice_the_variance():
    """The classic mixture of the two conventions: 2 / (1 - alpha / 4)."""
    x = torch.randn(200_000, 1, generator=seeded(13))
    end = langevin(lambda y: -y / 2, x, 0.05, 300, seeded(14))
    want = 2 / (1 - 0.05 / 4)
    assert end.var().item() == pytest.approx(want, abs=5 * want * (2 / 200_000) ** 0.5)


def test_annealing_takes_the_authors_steps_level_by_level():
    sigmas, seen = geometric_sigmas(4, 2.0, 0.1), []
    data = mixture()

    def score(y, sigma):
        seen.append(sigma.tolist())
        return mixtures.score(data, y, sigma)

    x, eps = normal(3, 3, seed=15), 2e-3
    got = annealed_langevin(score, x, sigmas, 2, eps, seeded(16))
    draw, levels = seeded(16), []
    for sigma in sigmas.tolist():
        step = eps * (sigma / 0.1) ** 2
        for _ in range(2):
            levels.append([sigma] * 3)
            z = torch.randn(3, 3, dtype=torch.float64, generator=draw)
            x = x + step * mixtures.score(data, x, sigma) + (2 * step) ** 0.5 * z
    same(got, x)
    assert seen == levels


def test_annealing_finds_the_weights_that_plain_langevin_keeps_wrong():
    weights, means = torch.tensor([0.2, 0.8]), torch.tensor([[-5.0, -5.0], [5.0, 5.0]])
    data = Mixture(weights, means, 1.0)
    x = 16 * torch.rand(4000, 2, generator=seeded(17)) - 8
    plain = langevin(lambda y: mixtures.score(data, y), x, 0.05, 1000, seeded(18))
    sigmas = geometric_sigmas(10, 20.0, 1.0)
    annealed = annealed_langevin(
        lambda y, s: mixtures.score(data, y, s),
        20 * x / 8,
        sigmas,
        100,
        0.1,
        seeded(18),
    )
    assert (plain.sum(-1) > 0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert (annealed.sum(-1) > 0).float().mean().item() == pytest.approx(0.8, abs=0.03)


# The network and its data


def test_the_network_predicts_the_noise_at_every_level():
    """Fitted to one point at the origin, whose score is -x / sigma²."""
    net = ScoreNet(2, 16, seeded())
    x, sigma = torch.randn(8, 2, generator=seeded(1)), torch.linspace(0.01, 50, 8)
    assert net(x, sigma).shape == (8, 2)
    scale = (1 + sigma[:, None] ** 2).sqrt()
    f = net.f(torch.cat((x / scale, sigma[:, None].log()), -1))
    same(net(x, sigma) * sigma[:, None], f)
    same(ScoreNet(2, 16, seeded())(x, sigma), net(x, sigma))


def test_the_roll_lies_on_a_spiral():
    points = swiss_roll(5000, seeded(), thickness=0.0)
    radius = points.norm(dim=-1)
    angle = torch.atan2(points[:, 1], points[:, 0])
    turns = (10 * radius - angle) / (2 * math.pi)
    same(turns, turns.round(), atol=1e-4, rtol=0)
    assert 0.15 * math.pi <= radius.min() < radius.max() <= 0.45 * math.pi
    same(points, swiss_roll(5000, seeded(), thickness=0.0))


# What is refused


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: geometric_sigmas(1, 1.0, 0.1), "n must be at least 2, got 1"),
        (lambda: geometric_sigmas(3, 0.1, 1.0), "hi > lo > 0, got 0.1 and 1.0"),
        (lambda: geometric_sigmas(3, 1.0, 0.0), "hi > lo > 0, got 1.0 and 0.0"),
        (lambda: settled_variance(2.0), "alpha must lie between 0 and .*, got 2.0"),
        (
            lambda: langevin(torch.sin, torch.zeros(2, 2), 0.0, 1, seeded()),
            "alpha must be positive, got 0.0",
        ),
    ],
)
def test_bad_arguments_are_named(plain_errors, call, message):
    with pytest.raises(ValueError, match=message):
        call()
