"""`lib.reparameterization.smoothing` against independent code and its claims.

Oracles: scipy's logsumexp, distributions and quadrature, scikit-learn's F1, finite sums
and closed forms.
"""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from sklearn import metrics

from lib.reparameterization import smoothing as lesson
from tests.draws import normal, seeded

KINDS = ("gaussian", "logistic")
both_kinds = pytest.mark.parametrize("kind", KINDS)
NOISE = {"gaussian": stats.norm, "logistic": stats.logistic}
same = torch.testing.assert_close


def average(f, x, sigma, kind, breaks=()):
    """E f(x + sigma e) by quadrature, cut where f has a kink or a jump."""
    density = NOISE[kind].pdf
    places = [-60.0 if kind == "logistic" else -12.0]
    places += sorted((b - x) / sigma for b in breaks if abs(b - x) < -places[0] * sigma)
    places += [-places[0]]
    pieces = itertools.pairwise(places)
    return sum(
        integrate.quad(lambda e: f(x + sigma * e) * density(e), a, b, epsabs=1e-12)[0]
        for a, b in pieces
    )


# Maximum


@pytest.mark.parametrize("k", [0.3, 4.0, -2.5])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_smooth_max_is_scipys_logsumexp(k, dim):
    x = normal(4, 5, 3)
    want = special.logsumexp(k * x.numpy(), axis=dim) / k
    same(lesson.smooth_max(x, k, dim), torch.from_numpy(want))


def test_smooth_max_stays_within_its_bounds_and_reaches_them():
    x = 3 * normal(200, 7)
    for k in (0.1, 1.0, 30.0):
        top, low = x.amax(-1), x.amin(-1)
        most, least = lesson.smooth_max(x, k), lesson.smooth_max(x, -k)
        room = math.log(7) / k + 1e-12
        assert ((most - top >= -1e-12) & (most - top <= room)).all()
        assert ((low - least >= -1e-12) & (low - least <= room)).all()
    level = torch.full((7,), 2.0, dtype=torch.float64)
    assert lesson.smooth_max(level, 3.0).item() == pytest.approx(2 + math.log(7) / 3)


def test_error_of_smooth_max_has_slope_minus_one_where_leaders_are_tied():
    ks = torch.logspace(0, 3, 20, dtype=torch.float64)
    x = torch.tensor([1.0, 1.0, 0.0, -2.0], dtype=torch.float64)
    errors = torch.stack([lesson.smooth_max(x, k.item()) - 1 for k in ks[8:]])
    slope = np.polyfit(ks[8:].log(), errors.log(), 1)[0]
    assert slope == pytest.approx(-1, abs=1e-3)


def test_gradient_of_smooth_max_is_the_softmax():
    x = normal(3, 5).requires_grad_()
    for k in (2.0, -2.0):
        (slope,) = torch.autograd.grad(lesson.smooth_max(x, k).sum(), x)
        same(slope, (k * x).softmax(-1))


def test_smooth_max_moves_with_a_shift_and_ignores_the_order():
    x, order = normal(5, 6), torch.tensor([3, 0, 5, 1, 4, 2])
    value = lesson.smooth_max(x, 2.0)
    same(lesson.smooth_max(x + 7, 2.0), value + 7)
    same(lesson.smooth_max(x[:, order], 2.0), value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_values_of_ten_thousand_stay_finite(dtype, scale):
    x = (scale * torch.tensor([1.0, 0.5, 1.0])).to(dtype).requires_grad_()
    for f in (
        lambda x: lesson.smooth_max(x, 10.0),
        lambda x: lesson.smooth_max(x, -10.0),
        lambda x: lesson.soft_argmax(x, 10.0),
        lambda x: lesson.smooth_abs(x, 10.0).sum(),
        lambda x: lesson.smooth_step(x, 0.1).sum(),
        lambda x: lesson.smooth_relu(x, 0.1).sum(),
        lambda x: lesson.smooth_relu(x, 0.1, "logistic").sum(),
        lambda x: lesson.smooth_floor(x, 0.1).sum(),
        lambda x: lesson.soft_f1(x.sigmoid(), torch.zeros(3, dtype=dtype)),
        lambda x: lesson.soft_f1(x.sigmoid(), torch.ones(3, dtype=dtype)),
    ):
        value = f(x)
        (slope,) = torch.autograd.grad(value, x)
        assert value.dtype == dtype
        assert value.isfinite()
        assert slope.isfinite().all()


def test_k_zero_is_refused():
    with pytest.raises(ValueError, match=r"k must not be zero, got 0\.0"):
        lesson.smooth_max(normal(3), 0.0)


def test_soft_argmax_tends_to_argmax_and_fails_between_two_leaders():
    x = normal(6, 9)
    got = lesson.soft_argmax(x, 1e4)
    same(got, x.argmax(-1).double())
    same(lesson.soft_argmax(x.T, 1e4, dim=0), got)
    tied = torch.tensor([5.0, 0.0, 0.0, 0.0, 5.0])
    assert lesson.soft_argmax(tied, 20.0).item() == pytest.approx(2.0)


def test_soft_argmax_is_the_loop_of_its_definition():
    x, beta = normal(4, 5), 1.7
    for row, got in zip(x.tolist(), lesson.soft_argmax(x, beta).tolist()):
        weights = [math.exp(beta * v) for v in row]
        want = sum(i * w for i, w in enumerate(weights)) / sum(weights)
        assert got == pytest.approx(want)


def test_smooth_abs_is_the_smooth_maximum_of_x_and_minus_x():
    x = 3 * normal(50)
    pairs = torch.stack([x, -x], -1)
    same(lesson.smooth_abs(x, 1.3), lesson.smooth_max(pairs, 1.3))
    rival = torch.log(2 + (2.6 * x).exp() + (-2.6 * x).exp()) / 2.6
    same(lesson.smooth_abs(x, 1.3), rival)


# Averages over noise


@both_kinds
@pytest.mark.parametrize("sigma", [0.2, 1.0, 1.7])
def test_step_and_relu_are_averages_over_noise(kind, sigma):
    for x in (-2.0, -0.3, 0.0, 0.45, 1.9):
        at = torch.tensor(x, dtype=torch.float64)
        step = average(lambda z: float(z > 0), x, sigma, kind, [0.0])
        relu = average(lambda z: max(z, 0.0), x, sigma, kind, [0.0])
        assert lesson.smooth_step(at, sigma, kind).item() == pytest.approx(step)
        assert lesson.smooth_relu(at, sigma, kind).item() == pytest.approx(relu)


@both_kinds
def test_the_slope_of_the_smooth_relu_is_the_smooth_step(kind):
    x = normal(40).requires_grad_()
    (slope,) = torch.autograd.grad(lesson.smooth_relu(x, 0.7, kind).sum(), x)
    same(slope, lesson.smooth_step(x.detach(), 0.7, kind))


def test_gelu_is_no_average_of_relu():
    """It falls below ReLU and is not convex; averages of ReLU do neither."""
    x = torch.linspace(-6, 6, 601, dtype=torch.float64)
    gelu = torch.nn.functional.gelu(x)
    for kind in KINDS:
        mollified = lesson.smooth_relu(x, 1.0, kind)
        assert (mollified >= x.relu()).all()
        assert (mollified.diff(n=2) > -1e-12).all()
    assert (gelu <= x.relu()).all()
    assert (gelu.diff(n=2) < -1e-6).any()
    bell = torch.from_numpy(stats.norm.pdf(x))
    same(lesson.smooth_relu(x, 1.0) - gelu, bell)


def test_the_kernel_of_gelu_is_negative_beyond_the_root_of_two():
    """A mollified ReLU has its kernel as second derivative; GELU's is no density."""
    x = torch.linspace(-5, 5, 401, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(
        torch.nn.functional.gelu(x).sum(), x, create_graph=True
    )
    (kernel,) = torch.autograd.grad(slope.sum(), x)
    x = x.detach()
    same(kernel, (2 - x**2) * torch.from_numpy(stats.norm.pdf(x)))
    assert ((kernel < 0) == (x.abs() > 2**0.5)).all()
    slope = torch.autograd.functional.hessian
    at = torch.tensor(0.4, dtype=torch.float64)
    relu = slope(lambda z: lesson.smooth_relu(z, 0.6), at)
    assert relu.item() == pytest.approx(stats.norm.pdf(0.4, scale=0.6))


@both_kinds
@pytest.mark.parametrize("sigma", [0.05, 0.3, 1.2])
def test_smooth_floor_is_the_expected_whole_number(kind, sigma):
    """Each n times the probability that x + sigma e falls into [n, n + 1)."""
    n = np.arange(-80, 81)
    for x in (-2.31, -1.0, 0.0, 0.5, 3.97):
        chance = NOISE[kind].cdf((n + 1 - x) / sigma) - NOISE[kind].cdf((n - x) / sigma)
        got = lesson.smooth_floor(torch.tensor(x, dtype=torch.float64), sigma, kind)
        assert got.item() == pytest.approx((n * chance).sum(), abs=1e-9)


@both_kinds
@pytest.mark.parametrize(("sigma", "terms"), [(0.08, 30), (0.4, 6), (1.0, 2)])
def test_sigmoids_and_waves_are_one_function(kind, sigma, terms):
    terms *= 1 if kind == "gaussian" else 4
    x = 5 * normal(60)
    same(
        lesson.floor_by_waves(x, sigma, terms, kind),
        lesson.smooth_floor(x, sigma, kind),
        atol=1e-9,
        rtol=0,
    )


def test_waves_without_noise_overshoot_by_nine_percent():
    """Gibbs: the overshoot is Si(pi)/pi - 1/2 of the jump, and does not go away."""
    want = special.sici(math.pi)[0] / math.pi - 0.5
    for terms in (20, 80, 320):
        x = 1 + torch.linspace(1e-4, 0.5, 50 * terms, dtype=torch.float64)
        over = lesson.floor_by_waves(x, 0.0, terms) - 1
        assert over.max().item() == pytest.approx(want, abs=0.03)


def test_broad_noise_turns_the_floor_into_a_straight_line():
    x = torch.linspace(-3, 3, 50, dtype=torch.float64)
    same(lesson.smooth_floor(x, 1.5), x - 0.5, atol=1e-12, rtol=0)


@both_kinds
def test_all_widths_tend_to_the_function_itself(kind):
    x = torch.tensor([-1.3, -0.4, 0.2, 2.7], dtype=torch.float64)
    same(lesson.smooth_step(x, 1e-3, kind), (x > 0).double())
    same(lesson.smooth_relu(x, 1e-3, kind), x.relu())
    same(lesson.smooth_floor(x, 1e-3, kind), x.floor())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: lesson.smooth_step(x, 0.0), r"sigma must be positive, got 0\.0"),
        (lambda x: lesson.smooth_floor(x, -1.0), r"sigma must be positive, got -1\.0"),
        (lambda x: lesson.smooth_relu(x, 1.0, "box"), r"kind must be .* got 'box'"),
        (lambda x: lesson.soft_f1_loss(x, x, "mean"), r"average must be .* got 'mean'"),
        (
            lambda x: lesson.mollify_mc(torch.abs, x, 1.0, 0, torch.Generator()),
            "n must be at least 1, got 0",
        ),
        (
            lambda x: lesson.mollify_mc(torch.abs, x, 0.0, 1, torch.Generator()),
            r"sigma must be positive, got 0\.0",
        ),
        (lambda x: lesson.floor_by_waves(x, -1.0, 3), r"sigma must be .* got -1\.0"),
        (lambda x: lesson.floor_by_waves(x, 0.0, 3, "box"), "kind must be .* 'box'"),
    ],
)
def test_bad_arguments_are_named(plain_errors, call, message):
    with pytest.raises(ValueError, match=message):
        call(normal(3, 2))


# Monte Carlo

CLOSED = {
    "relu": (torch.relu, lambda x, s: x * stats.norm.cdf(x / s) + s * bell(x / s)),
    "step": (lambda z: (z > 0).double(), lambda x, s: stats.norm.cdf(x / s)),
    "abs": (
        torch.abs,
        lambda x, s: x * special.erf(x / s / 2**0.5) + 2 * s * bell(x / s),
    ),
}
SLOPES = {
    "relu": lambda x, s: stats.norm.cdf(x / s),
    "step": lambda x, s: bell(x / s) / s,
    "abs": lambda x, s: special.erf(x / s / 2**0.5),
}


def bell(x):
    return stats.norm.pdf(x)


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("sigma", [0.3, 1.4])
def test_monte_carlo_meets_the_closed_form_at_twenty_points(name, sigma):
    """Within 4.5 standard errors, those from the exact second moments."""
    f, closed = CLOSED[name]
    x, n = torch.linspace(-1.7, 1.9, 20, dtype=torch.float64), 20_000
    generator = seeded(3)
    value, slope = lesson.mollify_mc(f, x, sigma, n, generator)
    e = torch.linspace(-9, 9, 6001, dtype=torch.float64)[:, None]
    weight = torch.from_numpy(bell(e)) * (e[1] - e[0])
    values = f(x + sigma * e)
    for got, want, terms in (
        (value, closed(x.numpy(), sigma), values),
        (slope, SLOPES[name](x.numpy(), sigma), values * e / sigma),
    ):
        want = torch.from_numpy(want)
        variance = (weight * terms**2).sum(0) - want**2
        allowed = 4.5 * (variance.clamp_min(0) / n).sqrt() + 1e-5
        assert ((got - want).abs() <= allowed).all()


def test_a_linear_function_keeps_its_slope_and_the_variance_grows_as_sigma_falls():
    x = torch.ones(4000, dtype=torch.float64)
    spread = {}
    for sigma in (0.1, 1.0):
        draw = seeded(1)
        value, slope = lesson.mollify_mc(lambda z: 3 * z, x, sigma, 1, draw)
        assert value.mean().item() == pytest.approx(3, abs=5 * 3 * sigma / 4000**0.5)
        exact = 9 / sigma**2 + 18
        assert slope.var().item() == pytest.approx(exact, rel=0.2)
        spread[sigma] = slope.std().item()
        assert slope.mean().item() == pytest.approx(3, abs=5 * exact**0.5 / 4000**0.5)
    assert spread[0.1] > 5 * spread[1.0]


def test_the_same_generator_gives_the_same_estimate():
    x = normal(3)
    one, other = (lesson.mollify_mc(torch.abs, x, 0.5, 7, seeded(4)) for _ in range(2))
    same(one, other)


# Metrics


@pytest.mark.parametrize("average", ["micro", "macro"])
def test_soft_f1_of_hard_predictions_is_scikit_learns(average):
    draw = seeded(5)
    y = (torch.rand(40, 3, generator=draw) < torch.tensor([0.1, 0.3, 0.6])).double()
    p = (torch.rand(40, 3, generator=draw) < 0.4).double()
    want = metrics.f1_score(y.numpy(), p.numpy(), average=average)
    assert 1 - lesson.soft_f1_loss(p, y, average).item() == pytest.approx(want)
    assert lesson.soft_accuracy(p.T, y.T)[1].item() == pytest.approx(
        metrics.accuracy_score(y[:, 1], p[:, 1])
    )


def test_micro_and_macro_differ():
    y = torch.tensor([[1.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    p = torch.tensor([[0.1, 0.9], [0.4, 0.8], [0.3, 0.9]])
    micro = lesson.soft_f1_loss(p, y, "micro").item()
    macro = lesson.soft_f1_loss(p, y, "macro").item()
    assert abs(micro - macro) > 0.1


def test_the_gradient_of_soft_f1_is_two_y_minus_f_over_the_sum():
    draw = seeded(6)
    y = (torch.rand(30, generator=draw) < 0.3).double()
    p = torch.rand(30, generator=draw).double().requires_grad_()
    value = lesson.soft_f1(p, y)
    (slope,) = torch.autograd.grad(value, p)
    same(slope, (2 * y - value.detach()) / (p.detach() + y).sum())
    assert torch.autograd.gradcheck(lambda p: lesson.soft_f1(p, y), p)


def test_a_batch_without_positives_is_finite_and_has_no_gradient():
    for logits in (torch.tensor([-1e4, -1e4]), torch.tensor([0.3, -2.0])):
        z = logits.requires_grad_()
        value = lesson.soft_f1(z.sigmoid(), torch.zeros(2))
        (slope,) = torch.autograd.grad(value, z)
        assert value.item() == 0
        assert slope.tolist() == [0, 0]
    assert metrics.f1_score([0, 0], [0, 0], zero_division=0.0) == 0


def test_perfect_predictions_have_loss_zero():
    y = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert lesson.soft_f1_loss(y, y, "micro").item() == 0
    assert lesson.soft_f1_loss(y, y, "macro").item() == 0


# The experiment


def test_soft_accuracy_collapses_and_soft_f1_does_not():
    draw = seeded()
    x, y = lesson.rare_positives(3, 4000, 4, draw)
    assert x.shape == (3, 4000, 5)
    assert (x[..., -1] == 1).all()
    assert (y.mean(-1) - 0.05).abs().max() < 4.5 * (0.05 * 0.95 / 4000) ** 0.5
    start = torch.zeros(3, 5)
    found = {}
    for name, metric in (("f1", lesson.soft_f1), ("accuracy", lesson.soft_accuracy)):
        theta = lesson.train_linear(
            lambda z, y, metric=metric: -metric(z.sigmoid(), y), x, y, start, 150, 0.1
        )
        hard = ((x @ theta[..., None])[..., 0] > 0).float()
        found[name] = lesson.soft_f1(hard, y)
    assert (found["accuracy"] < 0.2).all()
    assert (found["f1"] > 0.3).all()
    assert (start == 0).all()


def test_positives_are_moved_up_in_the_first_feature_alone():
    draw = seeded()
    x, y = lesson.rare_positives(2, 4000, 3, draw, rate=0.5, shift=1.5)
    for one, labels in zip(x, y):
        moved = one[labels == 1].mean(0) - one[labels == 0].mean(0)
        want = torch.tensor([1.5, 0, 0, 0])
        assert ((moved - want).abs() < 5 * (2 / 2000) ** 0.5).all()


def test_runs_do_not_touch_each_other():
    draw = seeded(2)
    x, y = lesson.rare_positives(3, 100, 2, draw)

    def loss(z, y):
        return torch.nn.functional.binary_cross_entropy_with_logits(
            z, y, reduction="none"
        ).mean(-1)

    together = lesson.train_linear(loss, x, y, torch.zeros(3, 3), 20)
    alone = lesson.train_linear(loss, x[1:2], y[1:2], torch.zeros(1, 3), 20)
    same(together[1:2], alone)
    assert not together.requires_grad
