"""`lib.training`: the loop lowers what it is given, by the schedule it names."""

import itertools

import pytest
import torch
from torch import nn

from lib.training import draw_linear, fit
from tests.draws import seeded


@pytest.mark.parametrize("below", [1, 3])
def test_linear_layers_start_with_the_variance_asked_for_and_no_bias(below):
    norm = nn.LayerNorm(400)
    model = nn.Sequential(norm, nn.Linear(400, 500), nn.Linear(500, 300, bias=False))
    draw_linear(model, seeded(), below)
    for layer, inputs in ((model[1], 400), (model[2], 500)):
        variance = layer.weight.var().item() * inputs * below
        assert variance == pytest.approx(1, abs=5 * (2 / layer.weight.numel()) ** 0.5)
    assert not model[1].bias.any()
    assert (norm.weight == 1).all()


def test_linear_layers_start_from_the_generator_alone():
    first, second = nn.Linear(7, 5), nn.Linear(7, 5)
    for layer, below in ((first, ()), (second, (1,))):
        draw_linear(layer, seeded(1), *below)
    assert torch.equal(first.weight, second.weight), (
        "and with no share of it unless asked"
    )


def test_a_quadratic_is_brought_to_its_minimum():
    target = torch.tensor([3.0, -2.0])
    x = nn.Parameter(torch.zeros(2))
    losses = fit([x], lambda: ((x - target) ** 2).sum(), 400, 0.1)
    torch.testing.assert_close(x.detach(), target, atol=1e-2, rtol=0)
    assert losses.shape == (400,)
    assert losses[0] == 13


def test_each_step_asks_for_one_loss():
    x = nn.Parameter(torch.zeros(()))
    calls = []

    def loss():
        calls.append(x.item())
        return (x - 1) ** 2

    losses = fit([x], loss, 5, 0.1)
    assert losses.tolist() == pytest.approx([(at - 1) ** 2 for at in calls])
    assert len(calls) == 5


def test_the_step_rises_and_falls_to_nothing():
    """On a straight line Adam moves by the rate itself: the moves are the schedule."""
    x = nn.Parameter(torch.zeros((), dtype=torch.float64))
    places = []

    def loss():
        places.append(x.item())
        return x

    fit([x], loss, 40, 1.0)
    moves = [before - after for before, after in itertools.pairwise(places)]
    assert moves.index(max(moves)) == 3
    assert moves[0] < max(moves) / 10
    assert moves[-1] < max(moves) / 10


def test_a_large_gradient_is_cut():
    """Adam forgets the size of all gradients alike, so the cut shows in their ratio."""
    x = nn.Parameter(torch.zeros((), dtype=torch.float64))
    sizes = iter([1e6, 1.0, 1.0])
    state = []

    def loss():
        state.append(x.item())
        return next(sizes) * x

    fit([x], loss, 3, 1e-3)
    # Cut to 1, three equal gradients move x by the rate of the schedule each time;
    # uncut, the second and the third would hardly move it.
    assert state[1] - state[2] > 0.1 * (state[0] - state[1])


def test_uncut_one_entry_does_not_feel_anothers_gradient():
    """Two problems in one call go their own ways, as models trained in one batch do."""
    near, far = (nn.Parameter(torch.zeros((), dtype=torch.float64)) for _ in range(2))
    alone = nn.Parameter(torch.zeros((), dtype=torch.float64))
    fit([near, far], lambda: (near - 1) ** 2 + (far - 1e4) ** 2, 5, 0.1, clip=None)
    fit([alone], lambda: (alone - 1) ** 2, 5, 0.1, clip=None)
    assert near.item() == alone.item()


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        fit([nn.Parameter(torch.zeros(()))], lambda: None, 0, 0.1)
