"""`lib.diffusion_to_edm.edm` and `.denoisers` against independent implementations.

Oracles: the exact denoiser of a mixture of Gaussians, closed forms of the trajectory, a
loop from the paper's algorithms, and the schedulers of diffusers, with golden values
where it is not installed.
"""

import dataclasses
import functools
import itertools
import math

import pytest
import torch

from lib import images
from lib.diffusion_to_edm import denoisers, mixtures
from lib.diffusion_to_edm.ddpm_ddim import ddim_step
from lib.diffusion_to_edm.edm import (
    SOLVERS,
    EDMPrecond,
    denoiser,
    edm_coeffs,
    edm_loss,
    eps_coeffs,
    errors,
    flow_coeffs,
    from_eps,
    from_flow,
    from_score,
    from_v,
    karras_sigmas,
    path,
    sample_edm_stochastic,
    sample_ode,
    score_coeffs,
    v_coeffs,
)
from tests.draws import normal, seeded

LEVELS = (0.03, 0.4, 1.0, 5.0, 60.0)


def number(value):
    return torch.tensor(value, dtype=torch.float64)


TWO = mixtures.Mixture(
    torch.tensor([0.3, 0.7]).double(),
    torch.tensor([[-1.0, 0.5, 0.0], [0.8, -0.2, 1.5]]).double(),
    0.35,
)
exact = functools.partial(mixtures.denoise, TWO)


def gaussian(std):
    """The denoiser of N(0, std²)."""
    return lambda x, sigma: std**2 / (std**2 + sigma**2) * x


# Perfect networks of every kind, each written in the coordinates of its own family.


def in_vp(x_t, abar):
    sigma = ((1 - abar) / abar).sqrt()
    x0 = exact(x_t / abar.sqrt(), sigma)
    return x0, (x_t - abar.sqrt() * x0) / (1 - abar).sqrt()


def perfect_eps(x_t, abar):
    return in_vp(x_t, abar)[1]


def perfect_v(x_t, abar):
    x0, eps = in_vp(x_t, abar)
    return abar.sqrt() * eps - (1 - abar).sqrt() * x0


def perfect_velocity(x_t, t):
    x0 = exact(x_t / (1 - t), t / (1 - t))
    return (x_t - x0) / t  # eps - x0 with eps = (x_t - (1 - t) x0) / t


def perfect_score(x, sigma):
    return mixtures.score(TWO, x, sigma)


ALL = {
    "score": from_score(perfect_score),
    "eps": from_eps(perfect_eps),
    "v": from_v(perfect_v),
    "flow": from_flow(perfect_velocity),
}


# The table


@pytest.mark.parametrize("sigma", LEVELS)
@pytest.mark.parametrize("kind", ALL)
def test_every_parametrisation_gives_the_same_denoiser(kind, sigma):
    x = sigma * normal(6, 3) + TWO.means[0]
    torch.testing.assert_close(ALL[kind](x, sigma), exact(x, sigma))


def test_edms_network_is_the_scaled_residual():
    def net(x, noise):
        sigma = (4 * noise).exp()
        c = edm_coeffs(sigma, 0.6)
        return (exact(x / c.into, sigma) - c.skip * x / c.into) / c.out

    x = normal(6, 3)
    D = denoiser(net, functools.partial(edm_coeffs, sigma_data=0.6))
    for sigma in LEVELS:
        torch.testing.assert_close(D(x, sigma), exact(x, sigma))


def test_levels_may_differ_from_row_to_row():
    x, sigma = normal(5, 3), torch.tensor(LEVELS).double()
    want = torch.stack([exact(row, s) for row, s in zip(x, sigma)])

    def row_by_row(perfect):
        return lambda x, level: perfect(x, level[:, None])

    for wrap, net in ((from_eps, perfect_eps), (from_v, perfect_v)):

        def columns(x_t, abar, net=net):
            return torch.cat([net(row[None], a) for row, a in zip(x_t, abar)])

        torch.testing.assert_close(wrap(columns)(x, sigma), want)


def test_v_is_edm_for_data_of_standard_deviation_one_with_the_other_sign():
    sigma = torch.tensor(LEVELS).double()
    v, edm = v_coeffs(sigma), edm_coeffs(sigma, 1.0)
    torch.testing.assert_close((v.skip, -v.out, v.into), edm[:3])


def test_every_family_has_its_scale_and_noise_level():
    sigma = torch.tensor(LEVELS).double()
    abar, t = eps_coeffs(sigma).noise, flow_coeffs(sigma).noise
    torch.testing.assert_close(((1 - abar) / abar).sqrt(), sigma)
    torch.testing.assert_close(eps_coeffs(sigma).into, abar.sqrt())
    torch.testing.assert_close(t / (1 - t), sigma)
    torch.testing.assert_close(flow_coeffs(sigma).into, 1 - t)
    assert (score_coeffs(sigma).into == 1).all()


# The four identities


def test_ddim_is_euler_in_sigma_on_x_over_s():
    """The step written out, and that of the lesson on DDIM, eta = 0."""
    x, abar_t, abar_s = normal(4, 3), number(0.3), number(0.55)
    eps = perfect_eps(x, abar_t)
    x0 = (x - (1 - abar_t).sqrt() * eps) / abar_t.sqrt()
    ddim = abar_s.sqrt() * x0 + (1 - abar_s).sqrt() * eps
    sigmas = torch.stack([(1 / a - 1).sqrt() for a in (abar_t, abar_s)])
    euler = sample_ode(ALL["eps"], x / abar_t.sqrt(), sigmas, "euler")
    torch.testing.assert_close(euler * abar_s.sqrt(), ddim)
    again = ddim_step(x, eps, abar_t, abar_s, 0.0, torch.zeros_like(x))
    torch.testing.assert_close(again, ddim)


def test_euler_on_the_velocity_is_euler_in_sigma():
    """All the way from noise to data, in twelve steps."""
    times = torch.linspace(0.98, 0, 13).double()
    x = x_t = normal(5, 3)
    for t, to in itertools.pairwise(times):
        x_t = x_t + (to - t) * perfect_velocity(x_t, t)
    sigmas = times / (1 - times)
    got = sample_ode(ALL["flow"], x / (1 - times[0]), sigmas, "euler")
    torch.testing.assert_close(got, x_t)


def test_heun_on_the_velocity_is_heun_in_t():
    """Heun's rule written for the velocity, against the step on x / s."""
    times = number([0.97, 0.6, 0.35, 0.1, 0.0])
    x = x_t = normal(5, 3)
    for t, to in itertools.pairwise(times):
        u = perfect_velocity(x_t, t)
        end = x_t + (to - t) * u
        if to > 0:
            end = x_t + (to - t) * (u + perfect_velocity(end, to)) / 2
        x_t = end
    sigmas = times / (1 - times)
    got = sample_ode(ALL["flow"], x / (1 - times[0]), sigmas, "heun_in_t")
    torch.testing.assert_close(got, x_t)


def test_logit_normal_time_is_log_normal_sigma():
    """t = sigmoid(z) has sigma = t / (1 - t) = exp(z)."""
    z = 1.7 * normal(1000) - 0.4
    torch.testing.assert_close(flow_coeffs(z.exp()).noise, z.sigmoid())


def test_the_flow_loss_is_a_weighted_denoising_loss():
    x0, eps = normal(7, 3), normal(7, 3, seed=1)
    guess = normal(7, 3, seed=2)
    D = from_flow(lambda x_t, t: guess)
    for sigma in LEVELS:
        velocity = (guess - (eps - x0)).square()
        denoised = (D(x0 + sigma * eps, sigma) - x0).square()
        weight = (1 + sigma) ** 2 / sigma**2
        torch.testing.assert_close(weight * denoised, velocity)
        levels = torch.full((7,), sigma, dtype=x0.dtype)
        got = errors(D, x0, levels, eps, flow_coeffs)
        torch.testing.assert_close(got, velocity.mean(-1))


def test_the_loss_of_each_family_is_that_of_its_own_target():
    """eps against the noise, v against v, the score against -eps / sigma."""
    x0, eps, guess = normal(7, 3), normal(7, 3, seed=1), normal(7, 3, seed=2)
    sigma = torch.logspace(-2, 2, 7).double()
    abar = (1 / (1 + sigma**2))[:, None]
    targets = {
        eps_coeffs: eps,
        v_coeffs: abar.sqrt() * eps - (1 - abar).sqrt() * x0,
        score_coeffs: -eps / sigma[:, None],
    }
    for coefficients, target in targets.items():
        D = denoiser(lambda x, level: guess, coefficients)
        got = errors(D, x0, sigma, eps, coefficients)
        want = (guess - target).square().mean(-1)
        torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-6)


# Preconditioning


@pytest.mark.parametrize("sigma", LEVELS)
def test_input_and_target_have_variance_one_and_are_uncorrelated(sigma):
    """Exactly, for second moments sigma_data² and sigma² of data and noise."""
    data = 0.7
    c = edm_coeffs(number(sigma), data)
    clean, noisy = data**2, data**2 + sigma**2
    target = (clean - 2 * c.skip * clean + c.skip**2 * noisy) / c.out**2
    together = c.into * (clean - c.skip * noisy) / c.out
    assert float(c.into**2 * noisy) == pytest.approx(1)
    assert float(target) == pytest.approx(1)
    assert float(together) == pytest.approx(0, abs=1e-9)
    for other in (0.9 * c.skip, c.skip + 0.05):
        more = (clean - 2 * other * clean + other**2 * noisy).sqrt()
        assert more > c.out


def test_the_limits_of_the_coefficients():
    low, high = edm_coeffs(number(1e-6), 0.5), edm_coeffs(number(1e6), 0.5)
    torch.testing.assert_close(torch.stack(low[:3]), number([1.0, 1e-6, 2.0]))
    assert float(high.skip) < 1e-12
    assert float(high.out) == pytest.approx(0.5)
    assert float(high.into) == pytest.approx(1e-6)
    assert float(high.noise) == pytest.approx(math.log(1e6) / 4)


def test_a_network_that_says_nothing_has_error_one_at_every_level():
    data = 0.5
    D = EDMPrecond(lambda x, noise: torch.zeros_like(x), data)
    x, noise = data * normal(20_000, 1, 1, 3), normal(20_000, 1, 1, 3, seed=1)
    for sigma in LEVELS:
        levels = torch.full((len(x),), sigma, dtype=x.dtype)
        own = functools.partial(edm_coeffs, sigma_data=data)
        error = float(errors(D, x, levels, noise, own).mean())
        assert error == pytest.approx(1, abs=5 * (2 / x.numel()) ** 0.5)


def test_the_loss_draws_its_levels_as_said():
    """The mean of ln sigma and its spread, read from what D is asked for."""
    asked = []

    def D(x, sigma):
        asked.append(sigma)
        return x

    edm_loss(D, torch.zeros(40_000, 1), eps_coeffs, -0.8, 1.6, seeded(3))
    levels = torch.cat(asked).log()
    assert float(levels.mean()) == pytest.approx(-0.8, abs=0.04)
    assert float(levels.std()) == pytest.approx(1.6, abs=0.03)


def test_the_loss_of_a_denoiser_that_says_nothing_is_the_mean_of_its_weights():
    asked = []

    def nothing(x, sigma):
        asked.append(sigma)
        return torch.zeros_like(x)

    loss = edm_loss(nothing, torch.ones(50, 1, 2, 2), eps_coeffs, -0.8, 0.3, seeded(3))
    [sigma] = asked
    torch.testing.assert_close(loss, (eps_coeffs(sigma).out ** -2).mean())


def test_two_levels_are_the_ends():
    got = karras_sigmas(2, 0.1, 3.0, 7.0)
    torch.testing.assert_close(got, number([3.0, 0.1, 0.0]))


# Noise levels


def test_noise_levels_are_those_of_the_paper():
    """Five levels of diffusers' EDMEulerScheduler and the 0 behind them."""
    golden = [80.0, 17.5278, 2.5152, 0.1698, 0.002, 0.0]
    got = karras_sigmas(5, 0.002, 80.0, 7.0)
    torch.testing.assert_close(got, number(golden), rtol=3e-4, atol=0)


def test_diffusers_has_the_same_levels_and_starts_elsewhere():
    diffusers = pytest.importorskip("diffusers")
    for n, low, high, rho in ((5, 0.002, 80.0, 7.0), (11, 0.03, 20.0, 3.0)):
        oracle = diffusers.EDMEulerScheduler(low, high, rho=rho)
        oracle.set_timesteps(n)
        got = karras_sigmas(n, low, high, rho).float()
        torch.testing.assert_close(got, oracle.sigmas, rtol=1e-4, atol=0)
        assert oracle.init_noise_sigma == pytest.approx(math.hypot(high, 1))


# Solvers


def closed_form(x, std, start, end):
    """The trajectory for N(0, std²)."""
    return x * math.sqrt((std**2 + end**2) / (std**2 + start**2))


@pytest.mark.parametrize(
    ("solver", "order"), [("euler", 1), ("heun", 2), ("heun_in_t", 2)]
)
def test_the_order_of_convergence(solver, order):
    x, std = 80 * normal(1, 4), 0.5
    levels = [karras_sigmas(n, 0.002, 80, 7)[:-1] for n in (128, 256)]
    want = closed_form(x, std, 80, 0.002)
    wrong = [
        (sample_ode(gaussian(std), x, sigmas, solver) - want).norm()
        for sigmas in levels
    ]
    assert float((wrong[0] / wrong[1]).log2()) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("solver", SOLVERS)
def test_constant_data_are_reached_in_any_number_of_steps(solver):
    x, point = 9 * normal(3, 2), normal(3, 2, seed=1)
    for sigmas in ([9.0, 0.0], [9.0, 3.0, 0.2, 0.0]):
        got = sample_ode(lambda x, sigma: point, x, number(sigmas), solver)
        torch.testing.assert_close(got, point)


def test_heun_takes_2n_minus_1_evaluations_and_euler_n():
    calls = []

    def D(x, sigma):
        calls.append(float(sigma))
        return 0.5 * x

    for solver, want in (("heun", 35), ("heun_in_t", 35), ("euler", 18)):
        calls.clear()
        sample_ode(D, normal(1, 2), karras_sigmas(18, 0.002, 80, 7), solver)
        assert len(calls) == want
        assert min(calls) > 0


def test_a_path_starts_at_x_and_ends_at_the_sample():
    x, sigmas = 5 * normal(4, 3), number([5.0, 1.0, 0.3, 0.0])
    states = path(exact, x, sigmas, "heun")
    assert states.shape == (4, 4, 3)
    torch.testing.assert_close(states[0], x)
    torch.testing.assert_close(states[2], sample_ode(exact, x, sigmas[:3], "heun"))


def test_the_sampler_reaches_the_mixture():
    """Weights, means and covariances, within 4.5 standard errors."""
    n = 4000
    made = sample_ode(exact, 80 * normal(n, 3), karras_sigmas(40, 0.002, 80, 7), "heun")
    nearest = torch.cdist(made, TWO.means).argmin(1)
    counts = nearest.bincount()
    assert ((counts / n - TWO.weights).abs() < 4.5 * (0.3 * 0.7 / n) ** 0.5).all()
    for c, count in enumerate(counts):
        part = (made[nearest == c] - TWO.means[c]) / TWO.std
        assert (part.mean(0).abs() < 4.5 / count**0.5).all()
        spread = (1 + torch.eye(3)) / count  # variances of a normal covariance
        assert ((part.T.cov() - torch.eye(3)).abs() < 4.5 * spread.sqrt()).all()


def test_one_sampler_runs_every_family():
    x, sigmas = 80 * normal(4, 3), karras_sigmas(12, 0.01, 80, 7)
    want = sample_ode(exact, x, sigmas, "heun")
    for D in ALL.values():
        torch.testing.assert_close(sample_ode(D, x, sigmas, "heun"), want)


def loop_of_algorithm_2(D, x, sigmas, churn, s_min, s_max, s_noise, generator):
    """Karras et al. 2022, algorithm 2, line by line, one dimension of time t."""
    N = len(sigmas) - 1
    t = sigmas.tolist()
    for i in range(N):
        gamma = min(churn / N, math.sqrt(2) - 1) if s_min <= t[i] <= s_max else 0.0
        t_hat = t[i] + gamma * t[i]
        x_hat = x
        if gamma > 0:
            eps = s_noise * torch.randn(x.shape, generator=generator).to(x)
            x_hat = x + math.sqrt(t_hat**2 - t[i] ** 2) * eps
        d = (x_hat - D(x_hat, t_hat)) / t_hat
        x = x_hat + (t[i + 1] - t_hat) * d
        if t[i + 1] != 0:
            d_next = (x - D(x, t[i + 1])) / t[i + 1]
            x = x_hat + (t[i + 1] - t_hat) * (0.5 * d + 0.5 * d_next)
    return x


@pytest.mark.parametrize("churn", [0.0, 3.0, 40.0])
def test_the_stochastic_sampler_is_algorithm_2(churn):
    x, sigmas = 80 * normal(4, 3), karras_sigmas(9, 0.01, 80, 7)
    setting = (churn, (0.05, 50.0), 1.007, seeded(5))
    got = sample_edm_stochastic(exact, x, sigmas, *setting)
    want = loop_of_algorithm_2(exact, x, sigmas, churn, 0.05, 50.0, 1.007, seeded(5))
    torch.testing.assert_close(got, want)
    if churn == 0:
        torch.testing.assert_close(got, sample_ode(exact, x, sigmas, "heun"))


# diffusers


def eps_of_waves(x_t, abar):
    return (2 * x_t).cos() * abar


def velocity_of_waves(x_t, t):
    return (3 * x_t).sin() + t


def net_of_waves(x, noise):
    return (x * (1 + noise)).sin()


def test_three_schedulers_of_diffusers_as_they_were_stored():
    """diffusers 0.42.1, from x = linspace(-1.5, 2, 4) times the first level: EDMEuler
    with 7 levels, Heun with 6 of Karras's, FlowMatchEuler with a shift of 2.5."""
    x = torch.linspace(-1.5, 2, 4)[:, None]
    edm = EDMPrecond(net_of_waves, 0.5)
    got = sample_ode(edm, 80 * x, karras_sigmas(7, 0.002, 80, 7), "euler")
    want = torch.tensor([-1.05018, -0.41766, 0.83223, 1.11006])
    torch.testing.assert_close(got[:, 0], want, rtol=1e-3, atol=1e-3)

    sigmas = torch.tensor([25.14612, 9.96588, 3.42924, 0.97353, 0.20945, 0.02917, 0])
    got = sample_ode(from_eps(eps_of_waves), sigmas[0] * x, sigmas, "heun")
    want = torch.tensor([-36.28988, -9.5745, 21.26365, 50.85366])
    torch.testing.assert_close(got[:, 0], want, rtol=1e-3, atol=1e-3)

    times = torch.tensor([0.9, 0.6, 0.2, 0.0])
    sigmas = 2.5 * times / (1 - times)
    start = x * (1 + sigmas[0])
    got = sample_ode(from_flow(velocity_of_waves), start, sigmas, "euler")
    want = torch.tensor([-2.25578, -0.15271, -0.13071, 1.95016])
    torch.testing.assert_close(got[:, 0], want, rtol=1e-3, atol=1e-3)


def test_euler_is_diffusers_edm_whose_epsilon_is_the_network_and_v_its_negative():
    diffusers = pytest.importorskip("diffusers")

    for kind, sign in (("epsilon", 1), ("v_prediction", -1)):
        oracle = diffusers.EDMEulerScheduler(prediction_type=kind)
        oracle.set_timesteps(7)
        x = want = oracle.sigmas[0] * normal(2, 1, 4, 4).float()
        for t in oracle.timesteps:
            out = sign * net_of_waves(oracle.scale_model_input(want, t), t)
            want = oracle.step(out, t, want).prev_sample
        got = sample_ode(EDMPrecond(net_of_waves, 0.5), x, oracle.sigmas, "euler")
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


def test_heun_is_diffusers_heun_in_x_over_s():
    """Its samples are x_t / s, its networks get x_t and predict eps."""
    diffusers = pytest.importorskip("diffusers")

    oracle = diffusers.HeunDiscreteScheduler(use_karras_sigmas=True)
    oracle.set_timesteps(6)
    x = want = oracle.sigmas[0] * normal(2, 1, 4, 4).float()
    for t in oracle.timesteps:
        abar = 1 / (1 + oracle.sigmas[oracle.index_for_timestep(t)] ** 2)
        if oracle.step_index is not None:
            abar = 1 / (1 + oracle.sigmas[oracle.step_index] ** 2)
        eps = eps_of_waves(oracle.scale_model_input(want, t), abar)
        want = oracle.step(eps, t, want)[0]
    # Levels inside are there twice, once for each of Heun's evaluations.
    sigmas = torch.cat([oracle.sigmas[:1], oracle.sigmas[1::2]])
    got = sample_ode(from_eps(eps_of_waves), x, sigmas, "heun")
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


def test_flow_matching_in_diffusers_has_noise_at_one_and_shift_multiplies_sigma():
    diffusers = pytest.importorskip("diffusers")

    oracle = diffusers.FlowMatchEulerDiscreteScheduler()
    oracle.set_timesteps(8)
    x0, eps, t = normal(2, 3), normal(2, 3, seed=1), oracle.sigmas[3].double()
    noisy = oracle.scale_noise(x0, oracle.timesteps[3:4].expand(2), eps)
    torch.testing.assert_close(noisy, (1 - t) * x0 + t * eps, rtol=1e-5, atol=1e-5)

    sigmas = [0.9, 0.6, 0.2]
    for shift in (1.0, 2.5):
        oracle = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
        oracle.set_timesteps(sigmas=sigmas)
        times, want = oracle.sigmas.double(), number(sigmas)
        torch.testing.assert_close(
            times[:-1] / (1 - times[:-1]), shift * want / (1 - want), rtol=1e-4, atol=0
        )
        x_t = start = normal(2, 3).float()
        for t in oracle.timesteps:
            x_t = oracle.step(velocity_of_waves(x_t, t / 1000), t, x_t).prev_sample
        times = oracle.sigmas
        x = start / (1 - times[0])
        got = sample_ode(from_flow(velocity_of_waves), x, times / (1 - times), "euler")
        torch.testing.assert_close(got, x_t, rtol=1e-4, atol=1e-4)


# Networks


@pytest.mark.parametrize("size", [denoisers.CPU, denoisers.GPU], ids=["CPU", "GPU"])
def test_one_step_of_each_size(size):
    """The GPU's network, on the CPU, on a few images."""
    if size.kind == "MLP":
        batch = images.digits()[0][:4]
    else:
        batch = images.glyphs(4, size.pixels, seeded())[0]
    assert batch.shape[-1] == size.pixels
    small = dataclasses.replace(size, steps=1, batch=2)
    D = EDMPrecond(denoisers.network(size, seeded()), 0.5)
    before = [p.detach().clone() for p in D.parameters()]
    own = functools.partial(edm_coeffs, sigma_data=0.5)

    def loss(x, generator):
        return edm_loss(D, x, own, -1.2, 1.2, generator)

    losses = denoisers.fit_denoiser(D.net, batch, loss, small, seeded(1))
    assert losses.isfinite().all()
    assert any((p != q).any() for p, q in zip(D.parameters(), before))
    sigma = torch.tensor([0.1, 1.0, 5.0, 50.0])
    assert D(batch, sigma).shape == batch.shape


def test_a_new_network_says_nothing_and_a_trained_one_hears_the_noise():
    size = dataclasses.replace(denoisers.CPU, width=16)
    net = denoisers.network(size, seeded())
    x = normal(3, 1, 8, 8).float()
    assert (net(x, torch.tensor(0.3)) == 0).all()
    torch.nn.init.normal_(net.last.weight, generator=seeded(1))
    assert (net(x, torch.tensor(0.3)) - net(x, torch.tensor(0.4))).abs().max() > 1e-3


def test_the_noise_is_told_in_waves_of_octaves():
    noise = torch.tensor([0.0, 0.3, -1.7])
    waves = denoisers.waves(noise, 14)
    for k, octave in enumerate(range(-1, 6)):
        angle = noise * 2.0**octave
        torch.testing.assert_close(waves[:, k], angle.cos())
        torch.testing.assert_close(waves[:, k + 7], angle.sin())


def test_training_lowers_the_loss_from_that_of_saying_nothing():
    size = dataclasses.replace(denoisers.CPU, width=32, steps=120, batch=32)
    own = functools.partial(edm_coeffs, sigma_data=0.5)
    D = EDMPrecond(denoisers.network(size, seeded()), 0.5)

    def loss(x, generator):
        return edm_loss(D, x - 0.3, own, -1.2, 1.2, generator)

    digits = images.digits()[0][:200]
    losses = denoisers.fit_denoiser(D.net, digits, loss, size, seeded(1))
    assert 0.3 < losses[:5].mean() < 2, "a target of variance one"
    assert 0 < losses[-20:].mean() < 0.9 * losses[:5].mean()


def test_weights_start_with_variance_one_over_fan_in():
    size = dataclasses.replace(denoisers.CPU, width=200)
    net = denoisers.network(size, seeded())
    for layer in (*net.tell, *net.up, *net.down):
        std = layer.in_features**-0.5
        assert layer.weight.std().item() == pytest.approx(std, rel=0.05)
        assert not layer.bias.any()
    assert all((norm.weight == 1).all() for norm in net.norms)
    again = denoisers.network(size, seeded()).state_dict()
    torch.testing.assert_close(net.state_dict(), again)


def test_every_block_of_a_network_has_all_its_layers():
    """None is left over, which no gradient would reach."""
    for size in (denoisers.CPU, denoisers.GPU):
        net = denoisers.network(dataclasses.replace(size, width=8), seeded())
        for parameter in net.parameters():
            torch.nn.init.normal_(parameter, std=0.3, generator=seeded(1))
        x = normal(2, 1, size.pixels, size.pixels).float()
        net(x, torch.tensor([0.3, 0.9])).square().sum().backward()
        assert all(p.grad.abs().max() > 0 for p in net.parameters())
    widths = [block.shortcut.out_channels for block in (*net.down, net.middle, *net.up)]
    assert widths == [8, 16, 32, 32, 16, 8, 8]
    mlp = denoisers.MLP(4, 6, 3)
    assert [len(each) for each in (mlp.norms, mlp.tell, mlp.up, mlp.down)] == [3] * 4


# What is refused


@pytest.mark.usefixtures("plain_errors")
def test_what_makes_no_sense_is_named():
    with pytest.raises(ValueError, match=r"n >= 2 and 0 < smin < smax, got 1"):
        karras_sigmas(1, 0.1, 1.0, 7)
    with pytest.raises(ValueError, match=r"solver must be one of .* got 'rk4'"):
        sample_ode(exact, normal(1, 3), number([1.0, 0.0]), "rk4")
    with pytest.raises(ValueError, match="sigmas must fall"):
        sample_ode(exact, normal(1, 3), number([0.0, 1.0]), "euler")
    with pytest.raises(ValueError, match="kind must be MLP or UNet, got 'GAN'"):
        denoisers.network(dataclasses.replace(denoisers.CPU, kind="GAN"), seeded())
