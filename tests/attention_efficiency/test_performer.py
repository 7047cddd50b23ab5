"""lib.attention_efficiency.performer against Monte Carlo, loops and released code."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from lib.attention_efficiency import performer as P
from tests.draws import normal, seeded

KINDS = ("positive", "hyperbolic", "trigonometric")
same = torch.testing.assert_close


def wave(*shape, by):
    n = math.prod(shape)
    return 1.5 * torch.sin(by * torch.arange(1, n + 1).double()).view(shape)


def relative_errors(kind, q, k, W):
    """phi(q) . phi(k) / exp(q . k) of every block of W (blocks, m, d)."""
    features, rows = P.FEATURES[kind], W.reshape(-1, W.shape[-1])
    products = features(q[None], rows)[0] * features(k[None], rows)[0] * len(rows)
    draws = products.view(-1, len(rows)).sum(0)  # one or two features of each omega
    return draws.view(W.shape[:2]).mean(1) / torch.exp(q @ k)


def agrees(ratios, want):
    """Ratios of mean 1 have this variance, within five standard errors."""
    squares = (ratios - 1).square()
    return abs(squares.mean() - want) < 5 * squares.std() / len(squares) ** 0.5


# Directions


def test_rows_of_a_block_are_orthogonal_and_blocks_are_not():
    W = P.orthogonal_gaussian(17, 5, seeded())
    assert W.shape == (17, 5)
    cosines = F.normalize(W) @ F.normalize(W).T
    for start in (0, 5, 10, 15):
        block = cosines[start : start + 5, start : start + 5]
        same(block, torch.eye(len(block)).double())
    assert cosines[0, 5:].abs().max() > 0.1


def test_every_row_is_standard_normal():
    W = P.orthogonal_gaussian(6000, 6, seeded(1)).view(-1, 6, 6)
    for row in range(6):
        for column in range(6):
            assert stats.kstest(W[:, row, column].numpy(), "norm").pvalue > 1e-4
    for row in range(6):
        lengths = W[:, row].norm(dim=1).numpy()
        assert stats.kstest(lengths, stats.chi(6).cdf).pvalue > 1e-4


def test_lengths_of_a_block_do_not_know_of_each_other():
    W = P.orthogonal_gaussian(8000, 4, seeded(2)).view(-1, 4, 4)
    together = torch.corrcoef(W.norm(dim=2).T) - torch.eye(4)
    assert together.abs().max() < 0.1


@pytest.mark.parametrize(("m", "d"), [(1, 1), (3, 1), (2, 7), (7, 7), (15, 7)])
def test_directions_of_any_number_and_dimension(m, d):
    W = P.orthogonal_gaussian(m, d, seeded())
    assert W.shape == (m, d)
    assert W.dtype == torch.float64
    same(W, P.orthogonal_gaussian(m, d, seeded()))


@pytest.mark.parametrize(("m", "d"), [(0, 3), (3, 0)])
def test_no_directions_are_refused(m, d):
    with pytest.raises(ValueError, match=f"got {m} and {d}"):
        P.orthogonal_gaussian(m, d, seeded())


# Features


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("draw", [P.gaussian, P.orthogonal_gaussian])
@pytest.mark.parametrize("length", [0.3, 0.8, 1.3])
def test_the_kernel_is_estimated_without_bias(kind, draw, length):
    # All entries of one sign: what rows with a mean would show first.
    q = torch.full((6,), length / math.sqrt(6), dtype=torch.float64)
    k = q.roll(1) * torch.tensor([1, 1, 1, 1, 1, 0.5]).double()
    got = relative_errors(kind, q, k, draw(18_000, 6, seeded(3)).view(-1, 6, 6))
    assert abs(got.mean() - 1) < 4 * got.std() / len(got) ** 0.5


def test_positive_features_are_the_definition():
    x, W = normal(2, 3, 4, seed=1), normal(5, 4, seed=2)
    got = P.positive_features(x, W)
    for index in np.ndindex(2, 3, 5):
        *row, i = index
        omega, point = W[i], x[tuple(row)]
        want = math.exp(omega @ point - point @ point / 2) / 5**0.5
        assert math.isclose(got[index], want, rel_tol=1e-10)


def test_exponential_features_are_positive():
    x, W = normal(4, 3), normal(5, 3, seed=1)
    for features in (P.positive_features, P.hyperbolic_features):
        assert (features(x, W) > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_key_is_attended_to_without_error(kind):
    q, k, v = normal(5, 3), normal(1, 3, seed=1), normal(1, 2, seed=2)
    assert P.attention_error(kind, q, k, v).item() == pytest.approx(0, abs=1e-9)


def test_hyperbolic_products_are_hyperbolic_cosines():
    q, k, W = normal(3, 4, seed=1), normal(2, 4, seed=2), normal(7, 4, seed=3)
    got = P.hyperbolic_features(q, W) @ P.hyperbolic_features(k, W).T
    squares = q.square().sum(1)[:, None] + k.square().sum(1)
    waves = torch.cosh((q[:, None] + k) @ W.T).mean(-1)
    same(got, waves * torch.exp(-squares / 2))


def test_trigonometric_products_are_cosines_of_the_difference():
    q, k, W = normal(3, 4, seed=1), normal(2, 4, seed=2), normal(7, 4, seed=3)
    got = P.trig_features(q, W) @ P.trig_features(k, W).T
    squares = q.square().sum(1)[:, None] + k.square().sum(1)
    waves = torch.cos((q[:, None] - k) @ W.T).mean(-1)
    same(got, waves * torch.exp(squares / 2))
    assert (P.positive_features(5 * q, W) > 0).all()


# Variances


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cosine", [-0.8, 0.0, 0.6])
def test_the_variance_is_the_closed_form(kind, cosine):
    """Of short vectors: with longer ones few rare draws decide a variance."""
    q = torch.tensor([0.45, 0.0, 0.0]).double()
    k = 0.35 * torch.tensor([cosine, (1 - cosine**2) ** 0.5, 0.0]).double()
    got = relative_errors(kind, q, k, P.gaussian(60_000, 3, seeded(4)).view(-1, 1, 3))
    want = P.relative_variance(kind, q, k)
    assert agrees(got, want)
    K, s, t = math.exp(q @ k), (q + k) @ (q + k), (q - k) @ (q - k)
    paper = {  # lemma 2 with one draw
        "positive": s.exp() * K**2 * (1 - (-s).exp()),
        "trigonometric": s.exp() * K**-2 * (1 - (-t).exp()) ** 2 / 2,
        "hyperbolic": (1 - (-s).exp()) / 2 * s.exp() * K**2 * (1 - (-s).exp()),
    }
    same(want * K**2, paper[kind])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("m", "d"), [(6, 6), (9, 6), (4, 6), (10, 3)])
def test_the_variance_of_orthogonal_draws_is_the_closed_form(kind, m, d):
    q = 0.45 * torch.eye(d)[0].double()
    k = torch.tensor([0.3, 0.2, *[0.0] * (d - 2)]).double()
    if kind == "trigonometric":
        k = -k
    blocks, generator = 20_000, seeded(5)
    W = torch.stack(
        [P.orthogonal_gaussian(blocks * d, d, generator) for _ in range(-(-m // d))]
    )
    W = W.view(-1, blocks, d, d).transpose(0, 1).reshape(blocks, -1, d)[:, :m]
    got = relative_errors(kind, q, k, W)
    want = P.orthogonal_variance(kind, q, k, m)
    assert agrees(got, want)
    assert want < P.relative_variance(kind, q, k) / m


@pytest.mark.parametrize("kind", KINDS)
def test_one_orthogonal_draw_is_an_independent_one(kind):
    q, k = 0.5 * normal(4, 7, seed=1), 0.5 * normal(4, 7, seed=2)
    same(P.orthogonal_variance(kind, q, k, 1), P.relative_variance(kind, q, k))


def test_orthogonality_removes_the_leading_term_of_the_even_features_only():
    d = 16
    q = 0.05 * normal(d, seed=1)
    shares = {
        kind: P.orthogonal_variance(kind, q, q * 0.3, d)
        / (P.relative_variance(kind, q, q * 0.3) / d)
        for kind in KINDS
    }
    assert shares["positive"] > 0.9
    assert abs(shares["hyperbolic"] - 3 / (d + 2)) < 0.03
    assert abs(shares["trigonometric"] - 3 / (d + 2)) < 0.03


def test_the_gain_is_at_least_what_theorem_2_says():
    q, k = 0.4 * normal(50, 8, seed=1), 0.4 * normal(50, 8, seed=2)
    s = (q + k).square().sum(-1)
    for m in (2, 5, 8):
        gain = P.relative_variance("positive", q, k) / m
        gain = gain - P.orthogonal_variance("positive", q, k, m)
        promised = 2 * (m - 1) / (m * 10) * (1 - torch.exp(-s / 2)) ** 2
        assert (gain > promised - 1e-12).all()


def test_tiny_norms_keep_their_digits():
    q, k = torch.tensor([1e-5, 0.0]).double(), torch.tensor([0.0, 1e-5]).double()
    for kind in ("hyperbolic", "trigonometric"):
        got = P.relative_variance(kind, q, k)
        assert math.isclose(got, (2e-10) ** 2 / 2, rel_tol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_order_error_of_attention(kind):
    """Of short queries and keys: of longer ones few rare draws decide the mean."""
    q, k = 0.3 * normal(6, 4, seed=1), 0.3 * normal(6, 4, seed=2)
    v = normal(6, 4, seed=3)
    want, m = P.attention_error(kind, q, k, v) / 400**0.5, 400
    exact = F.scaled_dot_product_attention(q, k, v)
    generator, squares = seeded(6), []
    for _ in range(300):
        got = P.performer_attention(q, k, v, P.gaussian(m, 4, generator), kind=kind)
        squares.append((got - exact).square().sum())
    got = (torch.stack(squares).mean() / exact.square().sum()).sqrt()
    assert abs(got / want - 1) < 0.12


def test_unknown_kinds_and_no_draws_are_refused(plain_errors):
    x = normal(2, 3)
    for call in (P.relative_variance, P.orthogonal_covariance):
        with pytest.raises(ValueError, match="got 'cubic'"):
            call("cubic", x, x)
    with pytest.raises(ValueError, match="got 'cubic'"):
        P.attention_error("cubic", x, x, x)
    with pytest.raises(ValueError, match="got 'cubic'"):
        P.performer_attention(x, x, x, normal(4, 3), kind="cubic")
    with pytest.raises(ValueError, match="got 0"):
        P.orthogonal_variance("positive", x, x, 0)


# Attention


@pytest.mark.parametrize("kind", KINDS)
def test_attention_is_the_loop_over_pairs(kind):
    q, k, v, W = (normal(*s, seed=i) for i, s in enumerate([(2, 3, 4), (2, 5, 4)] * 2))
    v, W = v[..., :2].repeat(1, 2, 1)[:, :5], W.reshape(-1, 4)
    got = P.performer_attention(q, k, v, W, kind=kind)
    features = P.FEATURES[kind]
    for b, i in np.ndindex(2, 3):
        phi = features(q[b, i : i + 1] / 2**0.5, W)
        weights = (phi @ features(k[b] / 2**0.5, W).T)[0]
        same(got[b, i], weights @ v[b] / weights.sum())


def test_released_code_gives_the_same_attention():
    """performer-pytorch 1.1.4: softmax_kernel with eps = 0, then linear_attention."""
    q, k = wave(1, 2, 3, 5, by=0.7), wave(1, 2, 4, 5, by=1.3)
    v, W = wave(1, 2, 4, 2, by=2.1), wave(6, 5, by=0.9)
    want = [0.5699859633902237, -0.40076661092907523, 0.38707152826694413]
    want += [-0.5731756591779142, 0.5171879456387292, -0.35434731335699465]
    want += [0.20436400931523235, 0.3329217782578926, -0.13835047830414318]
    want += [0.6131837627296688, 0.22465910268339073, 0.3687012849043075]
    want = torch.tensor(want).double().view(1, 2, 3, 2)
    same(P.performer_attention(q, k, v, W), want)


def test_released_code_gives_the_same_key_features_up_to_one_factor():
    """The second head's first two keys; eps = 1e-4 over sqrt(6) taken off again."""
    k, W = wave(1, 2, 4, 5, by=1.3), wave(6, 5, by=0.9)
    theirs = [0.0014098147248650101, 0.000767105288308523, 0.04101108342422338]
    theirs += [0.014146831785240429, 0.0004328048194959755, 0.005197670596656432]
    theirs += [0.0007320479129889626, 0.0013268112350684038, 0.06502266227283685]
    theirs += [0.006723788645886241, 0.00038586632374287735, 0.011744541953631145]
    theirs = torch.tensor(theirs).double().view(2, 6) - 1e-4 / 6**0.5
    ours = P.stabilised_features(k / 5**0.25, W, False)[0, 1, :2]
    ratio = ours / theirs
    same(ratio, ratio.mean().expand(2, 6))


@pytest.mark.parametrize("kind", KINDS)
def test_causal_attention_sees_no_later_key(kind):
    q, k, v = (normal(2, 9, 4, seed=s) for s in (1, 2, 3))
    W = normal(12, 4, seed=4)
    got = P.performer_attention(q, k, v, W, True, kind)
    for n in (1, 4, 9):
        part = P.performer_attention(q[:, :n], k[:, :n], v[:, :n], W, kind=kind)
        same(got[:, n - 1], part[:, -1])


def test_eps_lets_the_future_in():
    q, k, v = (normal(1, 6, 4, seed=s) for s in (1, 2, 3))
    W, later = normal(32, 4, seed=4), k.clone()
    # The key with the largest exponent of all: the maximum of the head is its own.
    later[:, -1] = 4**0.25 * W[W.norm(dim=1).argmax()]
    for eps, leaks in ((0.0, False), (1e-2, True)):
        outs = [P.performer_attention(q, x, v, W, True, eps=eps) for x in (k, later)]
        gap = (outs[0] - outs[1])[:, :-1].abs().max()
        assert (gap > 1e-4) == leaks


def test_long_queries_and_keys_neither_overflow_nor_vanish():
    q, k = 200 * normal(3, 8, seed=1).float(), 12 * normal(5, 8, seed=2).float()
    v, W = normal(5, 2, seed=3).float(), normal(16, 8, seed=4).float()
    got = P.performer_attention(q, k, v, W)
    assert got.dtype == torch.float32
    assert got.isfinite().all()
    assert (got <= v.amax(0) + 1e-5).all()
    assert (got >= v.amin(0) - 1e-5).all()


def test_features_are_shifted_by_query_and_by_head():
    x, W = normal(2, 3, 5, 4, seed=1), normal(6, 4, seed=2)
    as_query = P.stabilised_features(x, W, True)
    same(as_query.amax(-1), torch.full((2, 3, 5), 6**-0.5).double())
    as_key = P.stabilised_features(x, W, False)
    same(as_key.amax((-1, -2)), torch.full((2, 3), 6**-0.5).double())
    same(
        as_key,
        P.positive_features(x, W) * (as_key / P.positive_features(x, W))[..., :1, :1],
    )
    same(P.stabilised_features(x, W, False, eps=0.1), as_key + 0.1 / 6**0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_more_directions_bring_softmax_attention(kind):
    q, k = 0.2 * normal(12, 8, seed=1), 0.2 * normal(12, 8, seed=2)
    v = normal(12, 3, seed=3)
    exact = F.scaled_dot_product_attention(q, k, v)
    errors = []
    for m in (64, 1024):
        generator, gaps = seeded(m), []
        for _ in range(200):
            W = P.orthogonal_gaussian(m, 8, generator)
            gaps.append((P.performer_attention(q, k, v, W, kind=kind) - exact).norm())
        errors.append(torch.stack(gaps).square().mean().sqrt())
    slope = math.log(errors[1] / errors[0]) / math.log(16)
    assert abs(slope + 0.5) < 0.1


def test_gradients_are_those_of_the_unshifted_features():
    q, k, v, W = (normal(5, 3, seed=s) for s in (1, 2, 3, 4))
    grads = []
    for stable in (True, False):
        x, y = q.clone().requires_grad_(), k.clone().requires_grad_()
        if stable:
            out = P.performer_attention(x, y, v, W)
        else:
            a, b = (P.positive_features(t / 3**0.25, W) for t in (x, y))
            out = (a @ b.T @ v) / (a @ b.T).sum(1, keepdim=True)
        grads.append(torch.autograd.grad(out.square().sum(), (x, y)))
    same(grads[0], grads[1])
