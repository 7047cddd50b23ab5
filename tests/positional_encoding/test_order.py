"""`lib.positional_encoding.order`: the question, and a model that is asked it."""

import dataclasses

import pytest
import torch

from lib.positional_encoding import order

SMALL = order.Size(
    length=8, vocab=9, width=16, heads=2, steps=150, batch=16, learning_rate=2e-2
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


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
