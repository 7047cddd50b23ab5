"""`lib.diffusion_to_edm.sde_ode` against scipy, diffusers, closed forms, quadrature."""

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from scipy.integrate import solve_ivp

from lib.diffusion_to_edm import mixtures
from lib.diffusion_to_edm.mixtures import Mixture
from lib.diffusion_to_edm.sde_ode import (
    VESDE,
    VPSDE,
    SubVPSDE,
    euler_maruyama,
    exact_trace,
    gaussian_ratio,
    hutchinson_trace,
    mixture_log_density,
    mixture_score,
    ode_log_likelihood,
    pf_ode_rhs,
    reverse_drift,
    rk4,
)
from lib.vae_to_vqgan.distribution_fitting import sliced_wasserstein
from tests.draws import seeded

SDES = [
    VPSDE(),
    VPSDE(0.3, 7.0),
    SubVPSDE(),
    SubVPSDE(0.3, 7.0),
    VESDE(),
    VESDE(0.2, 9.0),
]
every_sde = pytest.mark.parametrize("sde", SDES, ids=str)
TIMES = (0.0, 1e-3, 0.3, 0.77, 1.0)


def mixture(d=2):
    """Not drawn: how far apart the means are decides how large errors of steps are."""
    means = torch.tensor([[-1.2, 0.4], [0.3, -0.9], [1.5, 1.1]], dtype=torch.float64)
    weights = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    return Mixture(weights, means[:, :d], 0.4)


def down(steps, end=0.0):
    return torch.linspace(1, end, steps + 1, dtype=torch.float64).tolist()


def up(steps):
    return down(steps)[::-1]


def points(n, d=2, seed=2):
    return torch.randn(n, d, generator=seeded(seed), dtype=torch.float64)


# Forwards


@every_sde
@pytest.mark.parametrize("end", TIMES[1:])
def test_marginals_solve_the_moment_equations(sde, end):
    def moments(t, state):
        mean, variance = state
        rate, g = float(sde.rate(t)), float(sde.diffusion(t))
        return [rate * mean, 2 * rate * variance + g**2]

    found = solve_ivp(moments, (0, end), [1.0, 0.0], rtol=1e-10, atol=1e-14)
    m, std = sde.marginal(end)
    assert float(m) == pytest.approx(found.y[0, -1], rel=1e-7)
    assert float(std**2) == pytest.approx(found.y[1, -1], rel=1e-7)


@every_sde
def test_a_point_is_where_it_was_at_the_start(sde):
    m, std = sde.marginal(0.0)
    assert (float(m), float(std)) == (1, 0)


def test_marginals_are_those_of_the_official_code():
    """The formulas of yang-song/score_sde_pytorch, sde_lib.py, `marginal_prob`."""
    for t in TIMES:
        log_mean = -0.25 * t**2 * (20 - 0.1) - 0.5 * t * 0.1
        for sde, std in (
            (VPSDE(), math.sqrt(1 - math.exp(2 * log_mean))),
            (SubVPSDE(), 1 - math.exp(2 * log_mean)),
        ):
            assert float(sde.marginal(t)[0]) == pytest.approx(math.exp(log_mean))
            assert float(sde.marginal(t)[1]) == pytest.approx(std, abs=1e-12)
        theirs = 0.01 * (50 / 0.01) ** t
        ours = float(VESDE().marginal(t)[1])
        assert theirs**2 - ours**2 == pytest.approx(0.01**2, rel=1e-6)


def test_vp_is_edms_vp():
    """Karras et al. 2022, table 1: sigma = sqrt(exp(beta_d t²/2 + beta_min t) - 1)."""
    for t in TIMES:
        m, std = VPSDE().marginal(t)
        want = math.sqrt(math.expm1(19.9 * t**2 / 2 + 0.1 * t))
        assert float(std / m) == pytest.approx(want, rel=1e-9)


def test_a_thousand_steps_of_ddpm_are_nearly_vp():
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    abar = (1 - betas).cumprod(0)
    t = torch.arange(1, 1001, dtype=torch.float64) / 1000
    m, _ = VPSDE().marginal(t)
    early = t <= 0.5
    torch.testing.assert_close(abar.sqrt()[early], m[early], rtol=0.01, atol=0)
    assert 0.9 < float(abar[-1].sqrt() / m[-1]) < 1


@every_sde
def test_noise_has_a_positive_size(sde):
    t = torch.linspace(0.01, 1, 9)
    assert (sde.diffusion(t) > 0).all()
    assert (sde.marginal(t)[1] > 0).all()
    if isinstance(sde, VESDE):
        assert (sde.sigma(t) > 0).all()


def test_sub_vp_has_less_noise_than_vp_at_every_time():
    t = torch.tensor(TIMES[1:], dtype=torch.float64)
    assert (SubVPSDE().marginal(t)[1] < VPSDE().marginal(t)[1]).all()
    assert torch.equal(SubVPSDE().marginal(t)[0], VPSDE().marginal(t)[0])


@every_sde
def test_times_may_differ_from_row_to_row(sde):
    x, t = points(4), torch.tensor([0.1, 0.9, 0.4, 0.0], dtype=torch.float64) + 0.05
    each = torch.stack([sde.drift(x[i], float(t[i])) for i in range(4)])
    torch.testing.assert_close(sde.drift(x, t), each)
    score = partial(mixture_score, sde, mixture())
    each = torch.stack([reverse_drift(sde, score, x[i], t[i], 0.6) for i in range(4)])
    torch.testing.assert_close(reverse_drift(sde, score, x, t, 0.6), each)


@every_sde
def test_single_precision_stays_single(sde):
    x = points(3).float()
    these = mixture()
    single = Mixture(these.weights.float(), these.means.float(), these.std)
    score = partial(mixture_score, sde, single)
    for t in (0.3, torch.full((3,), 0.3)):
        assert reverse_drift(sde, score, x, t, 1.0).dtype == torch.float32
        assert mixture_log_density(sde, single, x, t).dtype == torch.float32
    assert euler_maruyama(sde, score, x, down(3), seeded()).dtype == torch.float32
    assert ode_log_likelihood(sde, score, x, up(3)).dtype == torch.float32


# The score of a mixture


@every_sde
def test_the_density_is_that_of_samples_pushed_forward(sde):
    """By quadrature over x_0 in one dimension."""
    these, t = mixture(d=1), 0.4
    grid = torch.linspace(-9, 9, 40001, dtype=torch.float64)
    data = mixtures.log_density(these, grid[:, None]).exp()
    m, std = sde.marginal(t)
    for x in (-1.0, 0.2, 2.5):
        kernel = torch.distributions.Normal(m * grid, std).log_prob(torch.tensor(x))
        want = (data * kernel.exp()).sum() * (grid[1] - grid[0])
        at = torch.tensor([[x]], dtype=torch.float64)
        got = mixture_log_density(sde, these, at, t).exp()
        torch.testing.assert_close(got[0], want, rtol=1e-6, atol=0)


@every_sde
@pytest.mark.parametrize("t", TIMES)
def test_the_score_is_the_gradient_of_the_log_density(sde, t):
    x = points(5).requires_grad_()
    density = mixture_log_density(sde, mixture(), x, t)
    (want,) = torch.autograd.grad(density.sum(), x)
    torch.testing.assert_close(mixture_score(sde, mixture(), x.detach(), t), want)


@every_sde
@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0, 2.0])
def test_the_family_has_the_forward_marginals_by_fokker_planck(sde, lam):
    """dp/dt = -div(drift p) - lam² g²/2 lap p: noise counts backwards in time."""
    these, t, h = mixture(d=1), 0.45, 1e-4
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]

    def density(x, t):
        return mixture_log_density(sde, these, x, t).exp()

    def current(x):
        score = partial(mixture_score, sde, these)
        return reverse_drift(sde, score, x, t, lam)[:, 0] * density(x, t)

    def second(f, x, h):
        return (f(x + h) - 2 * f(x) + f(x - h)) / h**2

    by_time = (density(x, t + h) - density(x, t - h)) / (2 * h)
    flow = (current(x + h) - current(x - h)) / (2 * h)
    spread = second(lambda x: density(x, t), x, 1e-3)
    g2 = float(sde.diffusion(t)) ** 2
    scale = float(by_time.abs().max())
    torch.testing.assert_close(
        by_time, -flow - lam**2 * g2 / 2 * spread, rtol=0, atol=2e-3 * scale
    )


# Backwards


def test_a_step_is_that_of_diffusers():
    pytest.importorskip("diffusers")
    from diffusers.schedulers.deprecated.scheduling_sde_vp import ScoreSdeVpScheduler

    scheduler = ScoreSdeVpScheduler()
    scheduler.set_timesteps(40)
    sde, x, t = VPSDE(), points(5), 0.62
    score = mixture_score(sde, mixture(), x, t)
    output = -score * sde.marginal(t)[1]  # their network predicts the noise
    time = torch.tensor([t], dtype=torch.float64)
    want, _ = scheduler.step_pred(output, x, time, seeded(3))
    got = euler_maruyama(sde, lambda x, t: score, x, [t, t - 1 / 40], seeded(3))
    torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-6)


def test_a_step_is_the_one_that_diffusers_gave():
    """The mean of the step above, of diffusers 0.42.1: beta = 12.438, dt = 1/40."""
    x = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)
    score = torch.tensor([[-0.5, -0.3], [-2.0, 1.0]], dtype=torch.float64)
    golden = torch.tensor(
        [[1.0, -2.404235], [-0.0441625, 3.777375]], dtype=torch.float64
    )
    got = x - reverse_drift(VPSDE(), lambda x, t: score, x, 0.62, 1.0) / 40
    torch.testing.assert_close(got, golden, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0, 1.7])
@pytest.mark.parametrize("sde", [VPSDE(), SubVPSDE(), VESDE(0.05, 10.0)], ids=str)
def test_samples_have_the_marginals_of_the_data(sde, lam):
    """At every lam, up to the error of the steps."""
    these, n = mixture(d=1), 8_000
    score = partial(mixture_score, sde, these)
    start = float(sde.marginal(1.0)[1]) * points(n, 1)
    x = euler_maruyama(sde, score, start, down(300), seeded(4), lam)
    other = mixtures.sample(these, n, seeded(5))
    assert float(sliced_wasserstein(x, other, 1, seeded(6)).sqrt()) < 0.09


def test_one_seed_gives_one_noise_to_all_lam():
    """The paths change gently with lam: a step back from the same start."""
    x, still = points(4), lambda x, t: torch.zeros_like(x)
    ends = [
        euler_maruyama(VESDE(), still, x, [0.9, 0.8], seeded(7), lam) - x
        for lam in (0.0, 0.5, 1.0)
    ]
    assert not ends[0].any()
    torch.testing.assert_close(2 * ends[1], ends[2])


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("sde", [VPSDE(), SubVPSDE(), VESDE(0.05, 10.0)], ids=str)
def test_the_variance_of_gaussian_data_is_right_to_first_order(sde, lam):
    errors = [gaussian_ratio(sde, 0.6, down(n), lam) - 1 for n in (500, 1000, 2000)]
    assert abs(errors[-1]) < 0.01
    if isinstance(sde, VESDE) and lam == 1:  # here the first order cancels
        assert abs(errors[-1]) < 1e-4
    else:
        for coarse, fine in pairwise(errors):
            assert coarse / fine == pytest.approx(2, rel=0.06)


@pytest.mark.parametrize("gain", [0.5, 1.0, 1.1])
def test_the_ratio_is_that_of_samples(gain):
    sde, lam, variance, n = VESDE(0.1, 8.0), 0.8, 0.5, 200_000
    ts = down(20, 0.1)
    these = Mixture(torch.ones(1).double(), torch.zeros(1, 1).double(), variance**0.5)

    def score(x, t):
        return gain * mixture_score(sde, these, x, t)

    first = float(sde.marginal(1.0)[1] ** 2 + variance)
    x = (1.3 * first) ** 0.5 * points(n, 1)
    x = euler_maruyama(sde, score, x, ts, seeded(8), lam)
    last = float(sde.marginal(0.1)[1] ** 2 + variance)
    want = gaussian_ratio(sde, variance, ts, lam, gain, ratio=1.3)
    assert float(x.var()) / last == pytest.approx(want, rel=5 * (2 / n) ** 0.5)


@pytest.mark.parametrize("gain", [0.5, 0.95, 1.1])
@pytest.mark.parametrize("lam", [0.0, 0.6, 1.0, 2.0])
def test_the_closed_form_of_a_wrong_score_and_a_wrong_start(lam, gain):
    """dv/dP = k v/P - lam² with k = (1 + lam²) gain; P falls from 101 to 1."""
    sde = VESDE(0.01, 10.0)
    k, span = (1 + lam**2) * gain, 10**2 - 0.01**2 + 1
    found = gaussian_ratio(sde, 1.0, down(4_000), lam, gain, ratio=1.4)
    if abs(k - 1) < 1e-12:
        want = 1.4 + lam**2 * math.log(span)
    else:
        rest = lam**2 / (k - 1)
        want = rest + (1.4 - rest) * span ** (1 - k)
    assert found == pytest.approx(want, rel=0.02)


def test_half_of_g_squared_with_full_noise_ends_too_wide():
    """1 + ln(1 + 10²) = 5.615 in the place of 1."""
    wrong = gaussian_ratio(VESDE(0.01, 10.0), 1.0, down(4_000), 1.0, gain=0.5)
    assert wrong == pytest.approx(1 + math.log(101), rel=0.01)


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_start_and_end_of_a_path_correlate_as_the_formula_says(lam):
    """(P_0 / P_1)^(lam²/2), for Gaussian data."""
    sde, n = VESDE(0.05, 5.0), 20_000
    these = Mixture(torch.ones(1).double(), torch.zeros(1, 1).double(), 1.0)
    score = partial(mixture_score, sde, these)
    total = float(sde.marginal(1.0)[1]) ** 2 + 1
    start = total**0.5 * points(n, 1)
    end = euler_maruyama(sde, score, start, down(400), seeded(9), lam)
    got = torch.corrcoef(torch.cat([start, end], 1).T)[0, 1]
    assert abs(float(got) - total ** (-(lam**2) / 2)) < 0.04


# The ODE


@pytest.mark.parametrize("sde", [VPSDE(0.3, 7.0), VESDE(0.2, 9.0)], ids=str)
def test_rk4_solves_the_flow_as_scipy_does_and_back(sde):
    these, x = mixture(), points(3)
    score = partial(mixture_score, sde, these)

    def rhs(x, t):
        return pf_ode_rhs(sde, score, x, t)

    found = solve_ivp(
        lambda t, y: rhs(torch.from_numpy(y).view(3, 2), t).flatten().numpy(),
        (0, 1),
        x.flatten().numpy(),
        rtol=1e-9,
        atol=1e-9,
    )
    end = rk4(rhs, x, up(200))
    want = torch.from_numpy(found.y[:, -1]).view(3, 2)
    torch.testing.assert_close(end, want, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(rk4(rhs, end, down(200)), x, rtol=1e-3, atol=1e-3)


def test_rk4_has_order_four():
    exact = math.exp(math.sin(1.0))
    one = torch.ones(1, 1, dtype=torch.float64)
    errors = [
        abs(float(rk4(lambda x, t: math.cos(t) * x, one, up(n))) - exact)
        for n in (20, 40)
    ]
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.1)


def test_without_noise_the_sampler_is_euler_on_the_flow():
    sde, x = VPSDE(), points(3)
    score = partial(mixture_score, sde, mixture())
    got = euler_maruyama(sde, score, x, [0.7, 0.65], seeded(), 0.0)
    want = x - 0.05 * pf_ode_rhs(sde, score, x, 0.7)
    torch.testing.assert_close(got, want)


# Likelihood


def field(x):
    a, b, c = x.unbind(-1)
    return torch.stack([a * b, b**3 + c, a * c.exp()], -1)


def test_the_exact_trace_is_that_of_the_jacobian():
    x = points(4, 3)
    y, trace = exact_trace(field, x)
    torch.testing.assert_close(y, field(x))
    want = [torch.func.jacrev(field)(row).trace() for row in x]
    torch.testing.assert_close(trace, torch.stack(want))
    assert not y.requires_grad
    assert not trace.requires_grad


def test_the_estimated_trace_is_exact_on_average_over_all_signs():
    x = points(4, 3)
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0]).double()] * 3)
    y, once = hutchinson_trace(field, x, torch.ones_like(x))
    torch.testing.assert_close(y, field(x))
    assert not x.requires_grad
    _, twice = hutchinson_trace(field, x, 2 * torch.ones_like(x))
    torch.testing.assert_close(twice, 4 * once)
    every = [hutchinson_trace(field, x, v.expand_as(x))[1] for v in signs]
    torch.testing.assert_close(torch.stack(every).mean(0), exact_trace(field, x)[1])


@pytest.mark.parametrize("sde", [VPSDE(), SubVPSDE(), VESDE(0.01, 200.0)], ids=str)
def test_the_likelihood_is_that_of_the_mixture(sde):
    these = mixture()
    x = mixtures.sample(these, 100, seeded(10))
    score = partial(mixture_score, sde, these)
    got = ode_log_likelihood(sde, score, x, up(100))
    error = got - mixtures.log_density(these, x)
    assert float(error.abs().max()) < 0.02


def test_the_estimated_likelihood_is_right_on_average():
    """In two dimensions there are two vectors of signs, but for the sign of both."""
    sde, these = VPSDE(), mixture()
    x = mixtures.sample(these, 20, seeded(10))
    score = partial(mixture_score, sde, these)
    got = [
        ode_log_likelihood(sde, score, x, up(50), partial(hutchinson_trace, v=v))
        for v in (torch.ones_like(x), torch.tensor([1.0, -1.0]).expand_as(x).to(x))
    ]
    assert float((got[0] - got[1]).abs().mean()) > 0.1
    error = sum(got) / 2 - mixtures.log_density(these, x)
    assert float(error.abs().max()) < 0.02


# Errors


@pytest.mark.usefixtures("plain_errors")
def test_bad_arguments_are_named():
    x, score = points(2), partial(mixture_score, VPSDE(), mixture())
    with pytest.raises(ValueError, match=r"low must be in .* got 0, 20\.0"):
        VPSDE(0)
    with pytest.raises(ValueError, match=r"low must be in .* got 3\.0, 2\.0"):
        VESDE(3.0, 2.0)
    with pytest.raises(ValueError, match="lam must not be negative, got -1"):
        reverse_drift(VPSDE(), score, x, 0.5, -1.0)
    with pytest.raises(ValueError, match="ts must decrease"):
        euler_maruyama(VPSDE(), score, x, [0.0, 1.0], seeded())
    with pytest.raises(ValueError, match="ts must decrease"):
        euler_maruyama(VPSDE(), score, x, [1.0, 0.5, 0.5], seeded())
    with pytest.raises(ValueError, match=r"ts must run from 0 to 1, got 1\.0 to 0\.0"):
        ode_log_likelihood(VPSDE(), score, x, down(2))
    with pytest.raises(ValueError, match=r"ts must run from 0 to 1, got 0\.0 to 0\.5"):
        ode_log_likelihood(VPSDE(), score, x, [0.0, 0.5])
