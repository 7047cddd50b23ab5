"""`lib.attention_efficiency.linear_attention` and `.recall` against loops and algebra.

Oracles: the quadratic definition, summed in Python; the rotary lesson's sum over all
pairs; golden values worked out by hand; closed forms of the error of a memory.
"""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

from lib.attention_efficiency import recall
from lib.attention_efficiency.linear_attention import (
    causal_product,
    cosine_features,
    efficient_attention,
    elu_features,
    linear_attention,
    linear_attention_chunked,
    linear_attention_recurrent,
    local_strided_mask,
    normalised_product,
    rotary_linear_attention,
)
from lib.positional_encoding.rotary import rope_linear_attention
from tests.draws import normal, seeded

same = torch.testing.assert_close


def by_definition(weight, v, causal):
    """The sum over j of weight[i, j] v_j, over the sum of the weights, in a loop."""
    rows = []
    for i in range(len(weight)):
        last = i + 1 if causal else len(v)
        total = sum(weight[i, j] * v[j] for j in range(last))
        rows.append(total / sum(weight[i, j] for j in range(last)))
    return torch.stack(rows)


# Features


def test_elu_features_are_positive_and_smooth_at_zero():
    x = torch.tensor([-30.0, -1.0, 0.0, 2.5]).double()
    same(elu_features(x), torch.tensor([math.exp(-30), 1 / math.e, 1.0, 3.5]).double())


def test_cosine_features_multiply_to_one_plus_the_cosine():
    q, k = normal(2, 5, 3)
    products = cosine_features(q) @ cosine_features(k).T
    same(products, 1 + F.cosine_similarity(q[:, None], k[None], dim=-1))
    assert (products >= 0).all()
    same(cosine_features(torch.zeros(1, 3)), torch.tensor([[1.0, 0, 0, 0]]))


# The product of three


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("n", [1, 5, 64, 65, 131])
def test_the_product_is_the_quadratic_definition(n, causal):
    phi_q, phi_k, v = normal(n, 3).exp(), normal(n, 3, seed=1).exp(), normal(n, 4)
    want = by_definition(phi_q @ phi_k.T, v, causal)
    same(normalised_product(phi_q, phi_k, v, causal), want)


def test_more_queries_than_keys_and_any_leading_axes():
    phi_q, phi_k, v = normal(2, 3, 7, 5).exp(), normal(2, 3, 4, 5).exp(), normal(4, 2)
    v = v.expand(2, 3, 4, 2)
    got = normalised_product(phi_q, phi_k, v)
    for b in range(2):
        for h in range(3):
            weight = phi_q[b, h] @ phi_k[b, h].T
            same(got[b, h], by_definition(weight, v[b, h], False))


@pytest.mark.parametrize("causal", [False, True])
def test_eps_is_added_to_the_denominator(causal):
    ones, v = torch.ones(1, 1).double(), torch.full((1, 1), 6.0).double()
    same(normalised_product(ones, ones, v, causal, eps=2.0), v / 3)
    same(linear_attention(0 * ones, 0 * ones, v, causal=causal, eps=2.0), v / 3)


def test_the_dtype_is_kept_and_gradients_pass():
    q, k, v = (normal(9, 3, seed=s).requires_grad_() for s in range(3))
    assert torch.autograd.gradcheck(
        lambda *x: linear_attention(*x, causal=True), (q, k, v)
    )
    half = [x.detach().float() for x in (q, k, v)]
    assert linear_attention(*half, causal=True).dtype == torch.float32


def test_signed_products_can_make_the_denominator_vanish_or_turn():
    one = torch.tensor([[1.0]])
    keys, v = torch.tensor([[1.0], [-1.5]]), torch.tensor([[3.0], [4.0]])
    same(normalised_product(one, keys, v), torch.tensor([[6.0]]))  # -3 over -0.5
    keys = torch.tensor([[1.0], [-1.0]])
    assert normalised_product(one, keys, v).isinf().all()


@pytest.mark.parametrize("chunk", [1, 2, 7, 20, 21, 1000])
def test_any_chunk_gives_the_same_lower_triangle(chunk):
    phi_q, phi_k, v = normal(2, 20, 3), normal(2, 20, 3, seed=1), normal(2, 20, 4)
    want = (phi_q @ phi_k.mT).tril() @ v
    same(causal_product(phi_q, phi_k, v, chunk), want)


def test_no_tensor_grows_with_the_square_of_the_length():
    sizes = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            for one in out if isinstance(out, (tuple, list)) else [out]:
                sizes.append(one.numel() if isinstance(one, torch.Tensor) else 0)
            return out

    q, k, v = normal(3, 2000, 16).float()
    with Watch():
        linear_attention(q, k, v)
        linear_attention(q, k, v, causal=True)
    assert max(sizes) <= 2000 * 17


# Three forms of one attention


@pytest.mark.parametrize("phi", [elu_features, cosine_features, torch.exp])
def test_the_three_forms_agree(phi):
    q, k, v = (normal(2, 3, 23, d, seed=d) for d in (5, 5, 4))
    k = normal(2, 3, 23, 5, seed=9)
    at_once = linear_attention(q, k, v, phi, causal=True, eps=0.1)
    same(linear_attention_recurrent(q, k, v, phi, eps=0.1), at_once)
    for chunk in (1, 4, 23, 50):
        same(linear_attention_chunked(q, k, v, chunk, phi, eps=0.1), at_once)


def test_a_later_token_changes_nothing_before_it():
    q, k, v = normal(3, 90, 4)
    k_, v_ = k.clone(), v.clone()
    k_[70], v_[70] = 5.0, -7.0
    for attend in (
        lambda *x: linear_attention(*x, causal=True),
        linear_attention_recurrent,
        lambda *x: linear_attention_chunked(*x, 16),
    ):
        before, after = attend(q, k, v), attend(q, k_, v_)
        same(after[:70], before[:70])
        assert (after[70:] - before[70:]).abs().amax(-1).min() > 1e-4


def test_efficient_attention_averages_with_weights_that_add_up_to_one():
    q, k = normal(6, 3), normal(8, 3, seed=1)
    weights = efficient_attention(q, k, torch.eye(8).double())
    assert (weights > 0).all()
    same(weights.sum(-1), torch.ones(6).double())
    i, j = 2, 5
    rho_q, rho_k = q[i].exp() / q[i].exp().sum(), k.exp() / k.exp().sum(0)
    same(weights[i, j], (rho_q * rho_k[j]).sum())


# Rotation


def test_the_rotated_form_is_the_sum_over_pairs_of_the_rotary_lesson():
    q, k, v = normal(2, 3, 100, 6), normal(2, 3, 100, 6, seed=1), normal(2, 3, 100, 5)
    for phi in (elu_features, torch.exp):
        want = rope_linear_attention(q, k, v, phi, base=50.0)
        same(rotary_linear_attention(q, k, v, phi, base=50.0), want)


def test_one_token_is_not_changed_by_its_rotation():
    q, k, v = normal(3, 1, 1, 1, 4)
    same(rotary_linear_attention(q, k, v), v)


# The sparse masks


def test_the_mask_of_six_by_hand():
    want = [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0],
        [1, 0, 1, 1, 0, 0],
        [0, 1, 0, 1, 1, 0],
        [0, 0, 1, 0, 1, 1],
    ]
    assert torch.equal(local_strided_mask(6, 2, 3), torch.tensor(want).bool())


@pytest.mark.parametrize(("n", "window", "stride"), [(1, 1, 1), (17, 3, 5), (40, 9, 4)])
def test_the_mask_is_its_definition(n, window, stride):
    mask = local_strided_mask(n, window, stride)
    for i in range(n):
        for j in range(n):
            near, far = i - j < window, (i - j) % stride == 0
            assert mask[i, j].item() == (j <= i and (near or far))


def test_two_hops_reach_every_earlier_token_if_the_window_is_not_shorter():
    for n, window, stride in [(50, 7, 7), (50, 9, 7)]:
        mask = local_strided_mask(n, window, stride).double()
        assert torch.equal(mask @ mask > 0, torch.ones(n, n).tril() > 0)
    short = local_strided_mask(50, 6, 7).double()
    assert (short @ short)[49, 49 - 12] > 0
    assert (short @ short)[49, 49 - 13] == 0  # 7 back leaves 6, which is not near


# Memories and recall


def relative_error(write, n, m):
    k = recall.unit_vectors(300, n, m, generator=seeded(n))
    v = recall.unit_vectors(300, n, 20, generator=seeded(m))
    return (k @ write(k, v) - v).square().sum(-1).mean().item()


@pytest.mark.parametrize(("n", "m"), [(5, 16), (16, 16), (60, 16), (20, 50)])
def test_the_sum_misses_by_the_number_of_others_over_the_features(n, m):
    assert relative_error(recall.write_sum, n, m) == pytest.approx((n - 1) / m, rel=0.1)


@pytest.mark.parametrize(("n", "m"), [(5, 16), (60, 16), (20, 50)])
def test_the_best_memory_misses_by_what_has_no_room(n, m):
    want = max(0.0, 1 - m / n)
    assert relative_error(recall.write_best, n, m) == pytest.approx(want, abs=0.03)


def test_the_best_memory_is_the_least_squares_solution():
    k, v = normal(9, 4), normal(9, 3, seed=1)
    same(recall.write_best(k, v), torch.linalg.lstsq(k, v).solution)


def test_the_delta_rule_reads_the_last_pair_and_orthogonal_ones_exactly():
    k = recall.unit_vectors(2, 7, 4, generator=seeded())
    v = normal(2, 7, 3)
    S = recall.write_delta(k, v)
    same((k @ S)[:, -1], v[:, -1])
    basis = torch.linalg.qr(normal(4, 4)).Q.expand(2, 4, 4)
    same(basis @ recall.write_delta(basis, v[:, :4]), v[:, :4])
    same(basis @ recall.write_sum(basis, v[:, :4]), v[:, :4])


def test_the_delta_rule_replaces_what_a_key_held_and_the_sum_adds_to_it():
    k = torch.tensor([[0.6, 0.8], [0.6, 0.8]]).double()
    v = torch.tensor([[5.0], [2.0]]).double()
    same(k[:1] @ recall.write_delta(k, v), v[1:])
    same(k[:1] @ recall.write_sum(k, v), v[1:] + v[:1])


def test_vectors_are_of_length_one_and_the_generator_decides():
    x = recall.unit_vectors(4, 5, 3, generator=seeded())
    same(x.norm(dim=-1), torch.ones(4, 5).double())
    assert torch.equal(x, recall.unit_vectors(4, 5, 3, generator=seeded()))


def test_an_episode_has_different_keys():
    keys, values = recall.episodes(50, 9, 9, seeded())
    assert torch.equal(keys.sort(-1).values, torch.arange(9).expand(50, 9))
    assert keys.shape == values.shape == (50, 9)
    assert values.min() >= 0
    assert values.max() == 8
    assert keys[:, 0].unique().numel() > 5


SMALL = recall.Size(
    symbols=12,
    pairs=(3, 12),
    features=(4,),
    steps=150,
    batch=24,
    learning_rate=0.1,
)


def test_values_and_their_names_start_of_length_one():
    model = recall.Lookup("softmax", 400, 12, seeded())
    for table in (model.value, model.name):
        same(table.norm(dim=1), torch.ones(12), rtol=0, atol=0.15)


def test_training_takes_all_lengths_in_turn(monkeypatch):
    taken, episodes = [], recall.episodes

    def spy(batch, pairs, symbols, generator):
        taken.append(pairs)
        return episodes(batch, pairs, symbols, generator)

    monkeypatch.setattr(recall, "episodes", spy)
    size = dataclasses.replace(SMALL, pairs=(1, 2, 5), steps=7)
    recall.train_lookup("softmax", 4, size, torch.device("cpu"), 0)
    assert taken == [1, 2, 5, 1, 2, 5, 1]


def test_a_trained_lookup_recalls_with_softmax_and_not_with_too_few_features():
    found = {}
    for kind in ("softmax", "linear"):
        model = recall.train_lookup(kind, 4, SMALL, torch.device("cpu"), 0)
        found[kind] = recall.accuracy(model, 12, SMALL, 200, seeded(1))
    assert found["softmax"] > 0.9
    assert 1 / 12 < found["linear"] < 0.75


def test_accuracy_counts_the_right_names():
    model = recall.Lookup("softmax", 5, 12, seeded())
    eye = 40 * torch.eye(12)
    for name in ("query", "key", "value", "name"):
        setattr(model, name, torch.nn.Parameter(eye.clone()))
    assert recall.accuracy(model, 7, SMALL, 50, seeded()) == 1.0
    model.name = torch.nn.Parameter(eye.roll(1, 0))
    assert recall.accuracy(model, 7, SMALL, 50, seeded()) == 0.0


def test_both_kinds_start_from_the_same_tables_and_differ_in_what_they_read():
    softmax, linear = (
        recall.Lookup(kind, 5, 12, seeded()) for kind in ("softmax", "linear")
    )
    same(softmax.state_dict(), linear.state_dict())
    keys, values = recall.episodes(2, 6, 12, seeded())
    q, k, v = linear.query[keys], linear.key[keys], linear.value[values]
    weight = elu_features(q) @ elu_features(k).mT
    want = weight / weight.sum(-1, keepdim=True) @ v @ linear.name.mT
    same(linear(keys, values), want)
    assert not torch.allclose(softmax(keys, values), want, atol=0.1)


@pytest.mark.parametrize("size", [recall.CPU, recall.GPU])
def test_one_step_of_every_size_of_the_recall_runs(size):
    one = dataclasses.replace(size, steps=1, batch=2)
    for kind in ("softmax", "linear"):
        model = recall.train_lookup(
            kind, max(size.features), one, torch.device("cpu"), 0
        )
        assert 0 <= recall.accuracy(model, max(size.pairs), one, 2, seeded()) < 0.5


# Errors


def test_what_makes_no_sense_is_named(plain_errors):
    x = torch.ones(1, 1, 3, 4)
    with pytest.raises(ValueError, match=r"phi_q must have as many rows .* 3, got 2"):
        normalised_product(x[:, :, :2], x, x, causal=True)
    with pytest.raises(ValueError, match="chunk must be at least 1, got 0"):
        linear_attention_chunked(x, x, x, 0)
    with pytest.raises(ValueError, match="d must be even and positive, got 3"):
        rotary_linear_attention(x[..., :3], x[..., :3], x)
    for sizes, name in [((0, 1, 1), "n"), ((1, 0, 1), "window"), ((1, 1, 0), "stride")]:
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            local_strided_mask(*sizes)
    with pytest.raises(ValueError, match="pairs must be at most 3 symbols, got 4"):
        recall.episodes(1, 4, 3, seeded())
    with pytest.raises(ValueError, match="kind must be softmax or linear, got 'max'"):
        recall.Lookup("max", 2, 3, seeded())
