"""`lib.positional_encoding.order`: the question, and a model that is asked it."""

import copy
import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

from lib.positional_encoding import order
from tests.draws import seeded

SMALL = order.Size(
    length=8, vocab=9, width=16, heads=2, steps=150, batch=16, learning_rate=2e-2
)


def test_labels_say_which_comes_first():
    tokens, labels = order.sequences(50, 7, 9, seeded())
    assert tokens.shape == (200, 7)
    assert ((tokens == 0).sum(1) == 1).all()
    assert ((tokens == 1).sum(1) == 1).all()
    ahead = (tokens == 0).float().argmax(1) < (tokens == 1).float().argmax(1)
    assert torch.equal(labels, ahead.float())
    assert labels.mean() == 0.5


def test_they_come_in_fours():
    tokens, labels = order.sequences(20, 6, 5, seeded())
    one, other, back, both = tokens.view(20, 4, 6).unbind(1)
    exchanged = torch.where(one < 2, 1 - one, one)
    assert torch.equal(other, exchanged)
    assert torch.equal(back, one.flip(1))
    assert torch.equal(both, exchanged.flip(1))
    labels = labels.view(20, 4)
    assert torch.equal(labels[:, 0], 1 - labels[:, 1])
    assert torch.equal(labels[:, 0], 1 - labels[:, 2])


@pytest.mark.parametrize("seed", range(3))
def test_without_positions_exactly_half_is_right(seed):
    model = order.WhichFirst(SMALL, seeded(seed))
    assert order.accuracy(model, 8, 100, seeded(7)) == 0.5
    losses = order.train(model, dataclasses.replace(SMALL, steps=3), seeded(seed))
    assert losses.isfinite().all()
    assert order.accuracy(model, 8, 100, seeded(7)) == 0.5


def test_with_positions_it_learns_and_the_tables_are_trained():
    table = torch.zeros(8, 16)
    model = order.WhichFirst(
        SMALL, seeded(), embed=lambda x, tables: x + tables["p"], p=table
    )
    losses = order.train(model, SMALL, seeded(1))
    assert losses[-10:].mean() < 0.1
    assert order.accuracy(model, 8, 50, seeded(2)) > 0.95
    assert model.tables["p"].abs().max() > 0.1


def test_the_model_is_the_same_for_the_same_seed():
    tokens, _ = order.sequences(2, 5, 9, seeded())
    one, other = (order.WhichFirst(SMALL, seeded(3)) for _ in range(2))
    torch.testing.assert_close(one(tokens), other(tokens), rtol=0, atol=0)


def test_the_logit_is_read_from_the_mean_of_pytorchs_attention():
    model = order.WhichFirst(SMALL, seeded())
    oracle = torch.nn.MultiheadAttention(16, 2, bias=False, batch_first=True)
    with torch.no_grad():
        oracle.in_proj_weight.copy_(model.qkv.T)
        oracle.out_proj.weight.copy_(torch.eye(16))
    tokens, _ = order.sequences(3, 7, 9, seeded(1))
    x = model.embedding[tokens]
    mixed, _ = oracle(x, x, x)
    assert model.out.shape == (16, 1)
    torch.testing.assert_close(model(tokens), mixed.mean(1) @ model.out[:, 0])


def test_weights_start_so_that_sums_keep_their_size():
    model = order.WhichFirst(dataclasses.replace(SMALL, width=1024), seeded())
    for weight in (model.qkv, model.out):
        assert weight.std().item() == pytest.approx(1024**-0.5, rel=0.1)


def test_the_rate_falls_along_a_cosine_to_nothing():
    """The same steps, each by an optimiser that is told the rate of the formula."""
    size = dataclasses.replace(SMALL, steps=4)
    model = order.WhichFirst(size, seeded())
    other, draw, want = copy.deepcopy(model), seeded(1), []
    optimiser = torch.optim.Adam(other.parameters())
    for step in range(4):
        rate = size.learning_rate * (1 + math.cos(math.pi * step / 4)) / 2
        optimiser.param_groups[0]["lr"] = rate
        tokens, labels = order.sequences(size.batch, size.length, size.vocab, draw)
        loss = F.binary_cross_entropy_with_logits(other(tokens), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        want.append(loss.detach())
    losses = order.train(model, size, seeded(1))
    torch.testing.assert_close(losses, torch.stack(want))
    assert not losses.requires_grad
    for one, same in zip(model.parameters(), other.parameters()):
        torch.testing.assert_close(one, same, rtol=1e-4, atol=1e-6)


def test_training_may_take_no_step():
    size = dataclasses.replace(SMALL, steps=0)
    assert order.train(order.WhichFirst(size, seeded()), size, seeded()).shape == (0,)


def test_questions_without_an_answer_are_refused(plain_errors):
    with pytest.raises(ValueError, match="length must be at least 2, got 1"):
        order.sequences(3, 1, 9, seeded())
    with pytest.raises(ValueError, match="vocab must be at least 3, got 2"):
        order.sequences(3, 4, 2, seeded())


def test_the_gpu_size_takes_a_step():
    size = dataclasses.replace(order.GPU, batch=1, steps=1)
    model = order.WhichFirst(size, seeded())
    assert order.train(model, size, seeded(1)).isfinite().all()
    assert order.accuracy(model, 2 * size.length, 2, seeded(2)) == 0.5
