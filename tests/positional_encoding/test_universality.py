"""`lib.positional_encoding.universality` against independent implementations.

Oracles: scipy's Toeplitz matrices, PyTorch's attention, loops over pairs, closed forms
of row sums; and the theorem of the lesson, asked of every encoding it speaks of.
"""

import dataclasses
import math

import pytest
import scipy.linalg
import torch
import torch.nn.functional as F

from lib import language_model as lm
from lib.positional_encoding.rotary import Rotary, rope_inv_freq
from lib.positional_encoding.universality import (
    CPU,
    GPU,
    RelativeBias,
    TwoWay,
    Universal,
    judge_numbers,
    position_probe,
    toeplitz_from_diagonals,
    train_to_number,
    urpe_attention,
)
from tests.draws import normal, seeded

SMALL = lm.Size(
    layers=2, heads=2, width=16, length=6, batch=1, steps=60, learning_rate=1e-2
)


class RotaryTwoWay(Rotary, TwoWay):
    """RoPE without a mask."""


def with_random_tables(encoding, seed=5):
    for table in encoding.parameters():
        table.data = torch.randn(table.shape, generator=seeded(seed))
    return encoding


# The probe


def test_the_probe_is_equal_tokens_and_their_places():
    tokens, places = position_probe(5)
    assert tokens.tolist() == [0] * 5
    assert places.tolist() == [0, 1, 2, 3, 4]


# Toeplitz matrices


@pytest.mark.parametrize("n", [1, 2, 5])
def test_equal_to_scipy(n):
    """scipy takes the first column, then the first row: distances 0 ... 1 - n first."""
    c = normal(3, 2 * n - 1)
    got = toeplitz_from_diagonals(c, n)
    for head in range(3):
        column, row = c[head, :n].flip(0), c[head, n - 1 :]
        want = torch.from_numpy(scipy.linalg.toeplitz(column, row))
        torch.testing.assert_close(got[head], want, rtol=0, atol=0)


def test_distances_are_key_minus_query():
    distances = torch.arange(-3, 4)[None]
    want = torch.arange(4) - torch.arange(4)[:, None]
    assert torch.equal(toeplitz_from_diagonals(distances, 4)[0], want)


def test_a_longer_table_serves_shorter_sequences():
    c = normal(2, 15)
    whole = toeplitz_from_diagonals(c, 8)
    torch.testing.assert_close(toeplitz_from_diagonals(c, 5), whole[:, :5, :5])
    torch.testing.assert_close(toeplitz_from_diagonals(c, 5), whole[:, 3:, 3:])


def test_the_gradient_of_the_sum_counts_each_diagonal():
    c = normal(2, 9).requires_grad_()
    toeplitz_from_diagonals(c, 5).sum().backward()
    want = torch.tensor([1.0, 2, 3, 4, 5, 4, 3, 2, 1]).double().expand(2, 9)
    torch.testing.assert_close(c.grad, want)


# URPE


def test_with_ones_it_is_pytorchs_attention():
    q, k, v = normal(2, 3, 5, 4), normal(2, 3, 5, 4, seed=1), normal(2, 3, 5, 7, seed=2)
    bias = normal(3, 5, 5, seed=3)
    bias = bias.masked_fill(torch.ones(5, 5).triu(1).bool(), -torch.inf)
    got = urpe_attention(q, k, v, bias, torch.ones(3, 5, 5).double())
    want = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    torch.testing.assert_close(got, want)


def test_it_is_its_sum_over_pairs():
    q, k, v = normal(3, 2, 2, 4, 3)
    bias, c = (toeplitz_from_diagonals(normal(2, 7, seed=s), 4) for s in (1, 2))
    got = urpe_attention(q, k, v, bias, c)
    for b in range(2):
        for h in range(2):
            for i in range(4):
                e = [
                    math.exp(float(q[b, h, i] @ k[b, h, j]) / 3**0.5 + bias[h, i, j])
                    for j in range(4)
                ]
                want = sum(e[j] / sum(e) * c[h, i, j] * v[b, h, j] for j in range(4))
                torch.testing.assert_close(got[b, h, i], want)


def test_the_output_is_linear_in_c():
    q, k, v = normal(3, 1, 2, 4, 3)
    bias, c, other = normal(3, 2, 4, 4, seed=1)
    sums = urpe_attention(q, k, v, bias, 2 * c - 3 * other)
    parts = 2 * urpe_attention(q, k, v, bias, c)
    parts = parts - 3 * urpe_attention(q, k, v, bias, other)
    torch.testing.assert_close(sums, parts)


def test_equal_tokens_come_out_as_row_sums():
    """Without bias: the mean of a window of c that slides by one from row to row."""
    n = 6
    q, k, v = (y.expand(1, 2, n, 3) for y in normal(3, 1, 2, 1, 3))
    c = normal(2, 2 * n - 1, seed=4)
    zero = torch.zeros(2, n, n).double()
    got = urpe_attention(q, k, v, zero, toeplitz_from_diagonals(c, n))
    for i in range(n):
        gain = c[:, n - 1 - i : 2 * n - 1 - i].mean(-1)
        torch.testing.assert_close(got[0, :, i], gain[:, None] * v[0, :, i])


def test_a_circulant_matrix_repairs_nothing():
    n = 5
    q, k, v = (y.expand(1, 1, n, 3) for y in normal(3, 1, 1, 1, 3))
    once = normal(1, n, seed=4)
    c = toeplitz_from_diagonals(torch.cat((once, once[:, :-1]), 1), n)
    got = urpe_attention(q, k, v, torch.zeros(1, n, n).double(), c)
    torch.testing.assert_close(got, got[:, :, :1].expand_as(got))


def test_where_c_is_positive_it_is_a_bias_and_a_gain():
    q, k, v = normal(3, 2, 2, 5, 4)
    bias, log_c = normal(2, 2, 5, 5, seed=1)
    got = urpe_attention(q, k, v, bias, log_c.exp())
    scores = q @ k.mT / 2 + bias
    gain = (scores.softmax(-1) * log_c.exp()).sum(-1, keepdim=True)
    torch.testing.assert_close(got, gain * ((scores + log_c).softmax(-1) @ v))


# The theorem


@pytest.mark.parametrize(
    "encoding",
    [
        TwoWay(),
        lm.Encoding(),
        with_random_tables(RelativeBias(torch.zeros(2, 13))),
        Rotary(rope_inv_freq(8)),
        RotaryTwoWay(rope_inv_freq(8)),
    ],
    ids=["two ways", "causal", "bias", "rope, causal", "rope, two ways"],
)
def test_equal_tokens_stay_equal_at_any_depth(encoding):
    size = dataclasses.replace(SMALL, layers=5)
    model = lm.LanguageModel(7, size, encoding, seeded(1)).double()
    tokens, _ = position_probe(7)
    losses, _, apart = judge_numbers(model, tokens[None], 7)
    assert apart < 1e-12
    assert losses.mean() >= math.log(7)
    mixed = torch.tensor([[0, 3, 1, 2, 0, 5, 6]])
    assert judge_numbers(model, mixed, 7)[2] > 1e-3


@pytest.mark.parametrize(
    "encoding",
    [
        with_random_tables(Universal(torch.zeros(2, 13))),
        lm.Learned(7, 16, seeded(3)),
    ],
    ids=["urpe", "absolute"],
)
def test_what_breaks_an_assumption_tells_places_apart(encoding):
    model = lm.LanguageModel(7, SMALL, encoding, seeded(1)).double()
    tokens, _ = position_probe(7)
    assert judge_numbers(model, tokens[None], 7)[2] > 1e-3


def test_a_first_token_and_a_mask_let_a_layer_count():
    """Equal scores: place i (after the first token) gets (first + i others)/(i + 1)."""
    first, other = normal(2, 4)
    v = torch.cat((first[None], other.expand(5, 4)))[None, None]
    level = torch.ones(1, 1, 6, 4).double()
    got = lm.Encoding().attend(level, level, v, torch.arange(6))[0, 0]
    for i in range(6):
        torch.testing.assert_close(got[i], (first + i * other) / (i + 1))


# Encodings


def test_two_way_attention_sees_what_comes_after():
    q, k, v = normal(3, 1, 2, 4, 8)
    got = TwoWay().attend(q, k, v, torch.arange(4))
    want = (q @ k.mT / 8**0.5).softmax(-1) @ v
    torch.testing.assert_close(got, want)


def test_rotary_without_a_mask_is_rotary_and_two_ways():
    q, k, v = normal(3, 1, 2, 4, 8).float()
    got = RotaryTwoWay(rope_inv_freq(8)).attend(q, k, v, torch.arange(4))
    last = Rotary(rope_inv_freq(8)).attend(q, k, v, torch.arange(4))
    torch.testing.assert_close(got[:, :, -1], last[:, :, -1])
    assert not torch.allclose(got[:, :, 0], last[:, :, 0])


def test_a_universal_encoding_starts_as_the_relative_one():
    q, k, v = normal(3, 1, 2, 4, 8).float()
    table = normal(2, 9).float()
    places = torch.arange(4)
    torch.testing.assert_close(
        Universal(table).attend(q, k, v, places),
        RelativeBias(table).attend(q, k, v, places),
    )


def test_the_table_given_is_not_the_table_trained():
    table = torch.zeros(2, 9)
    encoding = Universal(table)
    encoding.bias.data += 1
    assert not table.any()


# Training and judging


def test_training_numbers_the_zeros_with_absolute_positions_and_not_without():
    tokens, _ = position_probe(6)
    scores = {}
    for name, encoding in {
        "none": TwoWay(),
        "learned": lm.Learned(6, 16, seeded(3)),
    }.items():
        model = lm.LanguageModel(6, SMALL, encoding, seeded(1))
        train_to_number(model, lambda: tokens[None], 6, SMALL)
        scores[name] = judge_numbers(model, tokens[None], 6)
    assert scores["none"][0].mean() == pytest.approx(math.log(6), abs=1e-3)
    assert scores["learned"][0].mean() < 0.1
    assert scores["learned"][1].all()


def test_training_and_judging_put_the_model_into_their_mode():
    model = lm.LanguageModel(6, SMALL, TwoWay(), seeded(1)).eval()
    tokens, _ = position_probe(6)
    size = dataclasses.replace(SMALL, steps=1)
    train_to_number(model, lambda: tokens[None], 6, size)
    assert model.training
    judge_numbers(model, tokens[None], 6)
    assert not model.training


def test_a_probe_of_one_token():
    assert [part.tolist() for part in position_probe(1)] == [[0], [0]]


def test_tokens_before_the_last_are_not_numbered():
    model = lm.LanguageModel(6, SMALL, lm.Encoding(), seeded(1))
    tokens = torch.tensor([[1, 0, 0, 0], [1, 2, 3, 4]])
    losses, hits, _ = judge_numbers(model, tokens, 3)
    logits = model(tokens)[:, 1:].double()
    for row in range(2):
        want = F.cross_entropy(logits[row], torch.arange(3), reduction="none")
        torch.testing.assert_close(losses[row], want)
    assert torch.equal(hits, logits.argmax(-1) == torch.arange(3))


@pytest.mark.parametrize("size", [CPU, GPU], ids=["cpu", "gpu"])
def test_both_sizes_take_a_step(size):
    size = dataclasses.replace(size, steps=1)
    table = torch.zeros(size.heads, 2 * size.length - 1)
    model = lm.LanguageModel(size.length, size, Universal(table), seeded(1))
    tokens, _ = position_probe(size.length)
    losses = train_to_number(model, lambda: tokens[None], size.length, size)
    assert losses.isfinite().all()


# Errors


def test_a_probe_of_nothing_is_refused(plain_errors):
    with pytest.raises(ValueError, match="n must be positive, got 0"):
        position_probe(0)


def test_a_table_that_does_not_fit_is_refused(plain_errors):
    with pytest.raises(ValueError, match="n must be positive, got 0"):
        toeplitz_from_diagonals(normal(1, 5), 0)
    for diagonals in (4, 3):
        with pytest.raises(ValueError, match=f"5 or more for 3 .* got {diagonals}"):
            toeplitz_from_diagonals(normal(1, diagonals), 3)
