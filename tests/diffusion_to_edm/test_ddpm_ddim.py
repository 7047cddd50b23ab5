"""`lib.diffusion_to_edm.ddpm_ddim` against diffusers, linear algebra and autograd."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch

from lib.diffusion_to_edm import mixtures
from lib.diffusion_to_edm.ddpm_ddim import (
    alpha_bar,
    beta_schedule,
    ddim_sample,
    ddim_step,
    exact_eps,
    large_variance_sample,
    large_variance_step,
    posterior_mean_var,
    predict_eps,
    predict_v,
    predict_x0,
    q_sample,
    simple_loss,
    spaced_timesteps,
)
from tests.draws import normal, seeded

same = torch.testing.assert_close
ABAR = alpha_bar(beta_schedule("linear", 1000))
STORED_STEPS = {0.0: 1.0627065, 0.5: 1.5859973, 1.0: 2.2588139}
KINDS = {"eps": predict_eps, "x0": predict_x0, "v": predict_v}
every_spacing = pytest.mark.parametrize(
    "spacing", ["leading", "trailing", "linspace", "quadratic"]
)


def clover(std=0.15):
    means = torch.tensor([[1.2, 0.0], [-0.8, 0.9], [-0.6, -1.1]], dtype=torch.float64)
    weights = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    return mixtures.Mixture(weights, means, std)


# Schedules


def test_the_linear_schedule_of_ddpm_ends_at_a_noise_level_twice_edms():
    """ᾱ_T and σ_max, from the product of 1 - β in Python."""
    product = 1.0
    for i in range(1000):
        product *= 1 - (1e-4 + (0.02 - 1e-4) * i / 999)
    assert float(ABAR[-1]) == pytest.approx(product)
    assert float(((1 - ABAR[-1]) / ABAR[-1]).sqrt()) == pytest.approx(157.407, rel=1e-5)


def test_stored_levels_of_diffusers():
    """DDIMScheduler().alphas_cumprod at 0, 99, 499, 999; the cosine schedule too."""
    times = [0, 99, 499, 999]
    want = torch.tensor([0.9999, 0.8970180, 0.0785872, 4.0358e-05])
    same(ABAR[times].float(), want, rtol=1e-4, atol=0)
    cosine = alpha_bar(beta_schedule("cosine", 1000))
    want = torch.tensor([0.9999587, 0.9720927, 0.4938434, 2.4287e-09])
    same(cosine[times].float(), want, rtol=1e-3, atol=0)


@pytest.mark.parametrize("T", [1000, 37])
def test_the_schedules_are_those_of_diffusers(T):
    schedulers = pytest.importorskip("diffusers")
    for kind, name in (("linear", "linear"), ("cosine", "squaredcos_cap_v2")):
        theirs = schedulers.DDIMScheduler(T, beta_schedule=name)
        same(beta_schedule(kind, T).float(), theirs.betas, rtol=1e-4, atol=1e-7)


@pytest.mark.usefixtures("plain_errors")
def test_bad_arguments_are_named():
    x = normal(3, 2)
    with pytest.raises(ValueError, match="kind must be linear or cosine, got 'quad"):
        beta_schedule("quadratic", 10)
    with pytest.raises(ValueError, match="T must be at least 1, got 0"):
        beta_schedule("linear", 0)
    for predict in KINDS.values():
        with pytest.raises(ValueError, match="kind must be eps, x0 or v, got 'noise'"):
            predict(x, x, 0.5, "noise")
    with pytest.raises(ValueError, match="noise must be given"):
        ddim_step(x, x, 0.5, 0.7, 0.5)
    with pytest.raises(ValueError, match="S must be between 1 and T = 10, got 11"):
        spaced_timesteps(10, 11, "leading")
    with pytest.raises(ValueError, match=r"spacing must be .* got 'uniform'"):
        spaced_timesteps(10, 5, "uniform")


# The posterior


def test_the_posterior_is_gaussian_conditioning():
    """On the joint covariance of (x_s, x_t) given x_0, for a jump over many steps."""
    at, as_ = float(ABAR[700]), float(ABAR[123])
    x0, x = normal(5, 2), normal(5, 2, seed=1)
    cross = (at / as_) ** 0.5 * (1 - as_)
    gain = cross / (1 - at)
    mean, variance = posterior_mean_var(x0, x, at, as_)
    same(mean, as_**0.5 * x0 + gain * (x - at**0.5 * x0))
    assert float(variance) == pytest.approx(1 - as_ - gain * cross)


def test_one_step_of_the_posterior_is_ddpms_beta_tilde():
    betas = beta_schedule("linear", 1000)
    x = normal(4, 3)
    for t in (1, 10, 999):
        mean, variance = posterior_mean_var(x, 2 * x, ABAR[t], ABAR[t - 1])
        tilde = (1 - ABAR[t - 1]) / (1 - ABAR[t]) * betas[t]
        same(variance.squeeze(), tilde)
        old = (1 - betas[t]).sqrt() * (1 - ABAR[t - 1]) / (1 - ABAR[t]) * 2 * x
        same(mean, ABAR[t - 1].sqrt() * betas[t] / (1 - ABAR[t]) * x + old)


@pytest.mark.parametrize(("t", "s"), [(999, 998), (900, 400), (60, 3)])
def test_eta_one_is_the_posterior(t, s):
    x, eps = normal(4, 3), normal(4, 3, seed=1)
    x0 = predict_x0(x, eps, ABAR[t], "eps")
    mean, variance = posterior_mean_var(x0, x, ABAR[t], ABAR[s])
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    same(ddim_step(x, eps, ABAR[t], ABAR[s], 1.0, zero), mean)
    same(ddim_step(x, eps, ABAR[t], ABAR[s], 1.0, one) - mean, variance.sqrt() * one)


# Conversions


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("levels", [0.3, 1e-4, torch.tensor([0.9, 0.5, 0.01])])
def test_every_prediction_of_the_truth_gives_back_the_truth(kind, levels):
    x0, eps = normal(3, 2, 4), normal(3, 2, 4, seed=1)
    x = q_sample(x0, levels, eps)
    rows = torch.as_tensor(levels).double().reshape(-1, 1, 1)
    truth = {"x0": x0, "eps": eps, "v": rows.sqrt() * eps - (1 - rows).sqrt() * x0}
    for target, predict in KINDS.items():
        same(predict(x, truth[kind], levels, kind), truth[target], rtol=1e-5, atol=1e-5)


def test_v_is_the_derivative_along_the_angle():
    """x = cos φ x0 + sin φ ε with cos² φ = ᾱ; v = dx/dφ."""
    x0, eps = normal(4, 2), normal(4, 2, seed=1)
    angle = torch.tensor(0.7, dtype=torch.float64)
    _, slope = torch.func.jvp(
        lambda angle: angle.cos() * x0 + angle.sin() * eps,
        (angle,),
        (torch.ones_like(angle),),
    )
    x = q_sample(x0, angle.cos() ** 2, eps)
    same(predict_v(x, eps, angle.cos() ** 2, "eps"), slope)


def test_v_is_diffusers_velocity():
    schedulers = pytest.importorskip("diffusers")
    x0, eps = normal(3, 2, 4, 4).float(), normal(3, 2, 4, 4, seed=1).float()
    t = torch.tensor([5, 400, 950])
    theirs = schedulers.DDIMScheduler().get_velocity(x0, eps, t)
    x = schedulers.DDIMScheduler().add_noise(x0, eps, t)
    same(q_sample(x0, ABAR[t], eps), x, rtol=1e-4, atol=1e-4)
    same(predict_v(x, x0, ABAR[t], "x0"), theirs, rtol=1e-2, atol=1e-3)


def test_near_the_data_float32_keeps_its_digits():
    """1 - ᾱ is 1e-4 there: taken in float32 it would be off by 3e-4 of itself."""
    x0, eps = normal(50, 2), normal(50, 2, seed=1)
    abar = torch.tensor(1 - 1e-4, dtype=torch.float64)
    got = q_sample(0 * x0.float(), abar, eps.float())
    same(got.double(), 0.01 * eps, rtol=1e-6, atol=0)


# The step


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_the_marginal_is_kept_for_every_eta(eta):
    """Exactly: x_s is linear in x_0, ε and the noise, so read off the coefficients."""
    at, as_ = float(ABAR[800]), float(ABAR[300])
    unit = torch.eye(3, dtype=torch.float64)
    x0, eps, noise = unit[:, :1], unit[:, 1:2], unit[:, 2:]
    x = q_sample(x0, at, eps)
    step = ddim_step(x, eps, at, as_, eta, noise)[:, 0]
    assert float(step[0]) == pytest.approx(as_**0.5)
    assert float(step[1:].square().sum()) == pytest.approx(1 - as_)


def test_no_eta_is_an_euler_step_in_sigma():
    x, eps = normal(4, 3), normal(4, 3, seed=1)
    at, as_ = ABAR[640], ABAR[200]
    change = ((1 - as_) / as_).sqrt() - ((1 - at) / at).sqrt()
    same(ddim_step(x, eps, at, as_, 0.0), as_.sqrt() * (x / at.sqrt() + change * eps))


def test_without_noise_the_step_can_be_taken_back():
    x, eps = normal(4, 3), normal(4, 3, seed=1)
    there = ddim_step(x, eps, ABAR[640], ABAR[200], 0.0)
    same(ddim_step(there, eps, ABAR[200], ABAR[640], 0.0), x)


def test_the_last_step_gives_the_predicted_data():
    x, eps, noise = (normal(4, 3, seed=seed) for seed in range(3))
    for eta in (0.0, 0.6, 1.0):
        got = ddim_step(x, eps, ABAR[200], 1.0, eta, noise)
        same(got, predict_x0(x, eps, ABAR[200], "eps"))


def test_levels_may_differ_from_row_to_row():
    """As many rows as columns, so that broadcasting along the wrong axis shows."""
    x, eps, noise = (normal(3, 3, seed=seed) for seed in range(3))
    t, s = torch.tensor([999, 500, 40]), torch.tensor([700, 2, 39])
    together = ddim_step(x, eps, ABAR[t], ABAR[s], 0.7, noise)
    for i in range(3):
        row = slice(i, i + 1)
        levels = ABAR[t[i]], ABAR[s[i]]
        same(ddim_step(x[row], eps[row], *levels, 0.7, noise[row]), together[row])


def test_the_step_is_diffusers_ddim():
    schedulers = pytest.importorskip("diffusers")
    theirs = schedulers.DDIMScheduler(clip_sample=False)
    x, eps, noise = (normal(2, 3, 4, 4, seed=seed).float() for seed in range(3))
    for steps in (10, 37):
        theirs.set_timesteps(steps)
        for t in (theirs.timesteps[0], theirs.timesteps[3], theirs.timesteps[-1]):
            s = int(t) - 1000 // steps
            after = ABAR[s] if s >= 0 else 1.0
            for eta in (0.0, 0.5, 1.0):
                want = theirs.step(eps, t, x, eta=eta, variance_noise=noise)
                got = ddim_step(x, eps, ABAR[t], after, eta, noise)
                same(got, want.prev_sample, rtol=1e-3, atol=1e-3)


def test_stored_steps_of_diffusers():
    """DDIMScheduler, ten steps, t = 500: eta 0, 0.5, 1 at one x, ε and noise."""
    one = torch.ones(1, 1, dtype=torch.float64)
    for eta, want in STORED_STEPS.items():
        got = ddim_step(0.4 * one, -0.7 * one, ABAR[500], ABAR[400], eta, 1.3 * one)
        assert float(got) == pytest.approx(want, rel=1e-4)


@pytest.mark.parametrize("kind", ["fixed_small", "fixed_large"])
def test_both_variances_are_diffusers_ddpm(kind):
    """The means and the variances, each by itself, with steps left out."""
    schedulers = pytest.importorskip("diffusers")
    theirs = schedulers.DDPMScheduler(clip_sample=False, variance_type=kind)
    theirs.set_timesteps(20)
    x, eps = normal(2, 3, 4, 4).float(), normal(2, 3, 4, 4, seed=1).float()
    for t in (950, 500, 50):
        draw = seeded(3)
        want = theirs.step(eps, t, x, generator=draw).prev_sample
        draw = seeded(3)
        noise = torch.randn(x.shape, generator=draw)
        levels = ABAR[t], ABAR[t - 50]
        if kind == "fixed_small":
            got = ddim_step(x, eps, *levels, 1.0, noise)
        else:
            got = large_variance_step(x, eps, *levels, noise)
        same(got, want, rtol=1e-3, atol=1e-3)


def test_the_large_variance_of_neighbours_is_beta():
    betas = beta_schedule("linear", 1000)
    x = torch.zeros(1, 1, dtype=torch.float64)
    got = large_variance_step(x, x, ABAR[70], ABAR[69], x + 1)
    assert float(got**2) == pytest.approx(float(betas[70]))


# Times


def diffusers_times(T, S, spacing):
    schedulers = pytest.importorskip("diffusers")
    theirs = schedulers.DDIMScheduler(T, timestep_spacing=spacing)
    theirs.set_timesteps(S)
    return theirs.timesteps.tolist()


@pytest.mark.parametrize("T", [1000, 250, 17])
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_three_spacings_are_those_of_diffusers_but_for_ties(T, spacing):
    """Halves are rounded to even here, in exact arithmetic; there floats decide."""
    for S in sorted({*range(2, min(T, 60)), T}):
        theirs, ours = diffusers_times(T, S, spacing), spaced_timesteps(T, S, spacing)
        if (T, S, spacing) == (17, 7, "trailing"):
            # np.arange in floats goes one too far, to a time below 0.
            assert theirs == [*ours, -1]
            continue
        for i, (a, b) in enumerate(zip(ours, theirs)):
            exact = {
                "leading": 2 * a,
                "trailing": Fraction(2 * T * (S - i), S) - 2,
                "linspace": Fraction(2 * (S - 1 - i) * (T - 1), max(S - 1, 1)),
            }[spacing]
            assert a == b or (exact % 2 == 1 and abs(a - b) == 1), (S, i)


def test_the_ties_that_diffusers_rounds_by_chance():
    """999 / 26 · 13 = 499.5, but the product of floats is a little less."""
    assert spaced_timesteps(1000, 27, "linspace")[13] == 500
    assert spaced_timesteps(1000, 3, "linspace")[1] == 500
    assert diffusers_times(1000, 27, "linspace")[13] == 499
    assert diffusers_times(1000, 3, "linspace")[1] == 500


def test_diffusers_ddim_does_not_step_to_its_own_next_time():
    """It steps to t - T // S, whatever the spacing says; so only 'leading' fits."""
    schedulers = pytest.importorskip("diffusers")
    x, eps = normal(2, 3, 4, 4).float(), normal(2, 3, 4, 4, seed=1).float()
    for spacing, fits in (("leading", True), ("linspace", False)):
        theirs = schedulers.DDIMScheduler(clip_sample=False, timestep_spacing=spacing)
        theirs.set_timesteps(10)
        now, after = theirs.timesteps[:2].tolist()
        assert (now - after == 100) is fits
        want = theirs.step(eps, now, x).prev_sample
        same(
            ddim_step(x, eps, ABAR[now], ABAR[now - 100], 0.0),
            want,
            rtol=1e-3,
            atol=1e-3,
        )
        gap = ddim_step(x, eps, ABAR[now], ABAR[after], 0.0) - want
        assert (float(gap.abs().max()) < 1e-3) is fits


@every_spacing
@pytest.mark.parametrize("T", [1000, 250, 17])
def test_there_are_exactly_S_times_and_they_fall(spacing, T):
    for S in range(1, min(T, 120) + 1):
        times = spaced_timesteps(T, S, spacing)
        assert len(times) == S
        assert all(a > b for a, b in itertools.pairwise(times))
        assert 0 <= times[-1] <= times[0] <= T - 1
        assert all(type(t) is int for t in times)


def test_quadratic_times_are_the_official_ones_where_these_do_not_repeat():
    """np.linspace(0, sqrt(0.8 T), S) ** 2, cut: int() of a float may be one lower."""
    for S in (5, 10, 20):
        official = (np.linspace(0, (1000 * 0.8) ** 0.5, S) ** 2).tolist()
        ours = spaced_timesteps(1000, S, "quadratic")[::-1]
        assert all(abs(a - b) < 1 + 1e-9 for a, b in zip(ours, official))
    repeated = [int(v) for v in np.linspace(0, 800**0.5, 50) ** 2]
    assert len(set(repeated)) < 50


# Walks


def test_a_walk_is_diffusers_loop():
    schedulers = pytest.importorskip("diffusers")
    theirs = schedulers.DDIMScheduler(clip_sample=False)
    theirs.set_timesteps(8)
    these = clover()
    want = x = normal(6, 2)
    for t in theirs.timesteps:
        eps = exact_eps(these, want, ABAR[t])
        want = theirs.step(eps, t, want).prev_sample
    got = ddim_sample(
        lambda x, t: exact_eps(these, x, ABAR[t[0]]),
        x,
        ABAR,
        theirs.timesteps.tolist(),
        0.0,
    )
    same(got, want, rtol=1e-3, atol=1e-3)


def test_a_point_is_reached_from_anywhere_by_every_sampler():
    """With one data point the prediction is exact, and so is the end."""
    point = torch.tensor([[0.5, -2.0]], dtype=torch.float64)

    def eps_fn(x, t):
        return predict_eps(x, point.expand_as(x), ABAR[t], "x0")

    for times in ([999], [900, 100], spaced_timesteps(1000, 30, "trailing")):
        draw = seeded()
        for eta in (0.0, 0.5, 1.0):
            got = ddim_sample(eps_fn, normal(7, 2), ABAR, times, eta, draw)
            same(got, point.expand_as(got))
        got = large_variance_sample(eps_fn, normal(7, 2), ABAR, times, draw)
        same(got, point.expand_as(got))


def test_a_seed_decides_a_walk_and_the_argument_is_left_alone():
    def eps_fn(x, t):
        return exact_eps(clover(), x, ABAR[t[0]])

    x = normal(6, 2)
    kept = x.clone()
    for walk in (
        lambda draw: ddim_sample(eps_fn, x, ABAR, [900, 500, 0], 1.0, draw),
        lambda draw: large_variance_sample(eps_fn, x, ABAR, [900, 500, 0], draw),
    ):
        a, b, c = (walk(seeded(seed)) for seed in (0, 0, 1))
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
        assert torch.equal(x, kept)


# The predictor


@pytest.mark.parametrize("t", [3, 300, 950])
def test_the_exact_noise_is_minus_the_score_of_x_t(t):
    """∇ ln p_t(x_t) = -ε / √(1 - ᾱ), by autograd through the density of x_t."""
    x = normal(9, 2).requires_grad_()
    level = ((1 - ABAR[t]) / ABAR[t]).sqrt()
    density = mixtures.log_density(clover(), x / ABAR[t].sqrt(), level)
    (score,) = torch.autograd.grad(density.sum(), x)
    same(exact_eps(clover(), x.detach(), ABAR[t]), -(1 - ABAR[t]).sqrt() * score)


def test_the_exact_noise_takes_a_level_for_each_row():
    x, t = normal(4, 2), torch.tensor([1, 999, 40, 500])
    rows = [exact_eps(clover(), x[i : i + 1], ABAR[t[i]]) for i in range(4)]
    same(exact_eps(clover(), x, ABAR[t]), torch.cat(rows))


def test_no_other_prediction_has_a_smaller_loss_than_the_exact_one():
    these, n = clover(), 4000
    x0 = mixtures.sample(these, n, seeded())
    t = torch.full((n,), 400)
    losses = [
        simple_loss(
            lambda x, t, a=a, b=b: a * exact_eps(these, x, ABAR[t]) + b,
            x0,
            ABAR,
            t,
            normal(n, 2, seed=1),
        )
        for a, b in ((1, 0), (0.9, 0), (1.1, 0), (1, 0.1))
    ]
    assert losses[0].shape == (n,)
    means = [float(loss.mean()) for loss in losses]
    assert min(means) == means[0] > 0.1


def test_the_loss_sums_over_what_one_example_has():
    x0, noise = normal(3, 2, 5), normal(3, 2, 5, seed=1)
    loss = simple_loss(lambda x, t: 0 * x, x0, ABAR, torch.tensor([0, 500, 999]), noise)
    same(loss, noise.square().sum((1, 2)))


def test_the_loss_shows_the_network_the_noisy_point_of_its_own_time():
    x0, noise = normal(3, 2), normal(3, 2, seed=1)
    t = torch.tensor([0, 500, 999])

    def true_noise(x, t):
        return predict_eps(x, x0, ABAR[t], "x0")

    loss = simple_loss(true_noise, x0, ABAR, t, noise)
    same(loss, torch.zeros(3, dtype=torch.float64))
