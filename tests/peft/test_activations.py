"""What a graph keeps: storages, once each, without what was there anyway."""

import pytest
import torch
from torch import nn

from lib.peft.activations import saved_activation_bytes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_linear_stack_keeps_the_input_of_every_layer(dtype):
    stack = nn.Sequential(*(nn.Linear(a, b) for a, b in [(3, 5), (5, 7), (7, 2)]))
    stack, x = stack.to(dtype), torch.zeros(11, 3, dtype=dtype)
    got = saved_activation_bytes(lambda: stack(x), stack.parameters())
    assert got == 11 * (3 + 5 + 7) * x.itemsize
    without = saved_activation_bytes(lambda: stack(x), [*stack.parameters(), x])
    assert without == 11 * (5 + 7) * x.itemsize


def test_a_frozen_layer_keeps_no_input_and_a_gelu_keeps_its_own():
    stack = nn.Sequential(nn.Linear(3, 5), nn.GELU(), nn.Linear(5, 2))
    stack[2].requires_grad_(False)
    x = torch.zeros(11, 3)
    got = saved_activation_bytes(lambda: stack(x), [*stack.parameters(), x])
    assert got == 11 * 5 * 4


def test_what_is_not_held_is_counted_weights_too():
    first, second = nn.Linear(3, 5), nn.Linear(5, 2)
    x = torch.zeros(11, 3)
    held = saved_activation_bytes(
        lambda: second(first(x)), [*first.parameters(), *second.parameters()]
    )
    got = saved_activation_bytes(lambda: second(first(x)))
    assert got - held == second.weight.nbytes


def test_one_storage_is_counted_once_and_whole():
    x = torch.ones(6, 4, requires_grad=True)
    twice = saved_activation_bytes(lambda: (x.exp() * 3).tanh().sum())
    assert twice == 2 * 6 * 4 * 4  # exp and tanh keep what they return
    shared = saved_activation_bytes(lambda: (y := x * 2) * y.T.T, [x])
    assert shared == 6 * 4 * 4
    part = saved_activation_bytes(lambda: x.exp()[:1].sin(), [x])
    assert part == 6 * 4 * 4  # the row of a storage keeps all of it
    wide = saved_activation_bytes(
        lambda: torch.ones(1, requires_grad=True).expand(1000).sin()
    )
    assert wide == 4


def test_only_what_the_result_still_needs_is_counted():
    x = torch.ones(6, 4, requires_grad=True)

    def wasteful():
        for _ in range(5):
            x.exp()
        return x.exp()

    assert saved_activation_bytes(wasteful) == 6 * 4 * 4
    assert saved_activation_bytes(lambda: torch.ones(3).exp()) == 0


def test_the_gradient_is_what_it_is_without_counting():
    x = torch.ones(6, 4, requires_grad=True)
    results = []
    saved_activation_bytes(
        lambda: results.append((x.sin().exp() * x).sum()) or results[0]
    )
    want = (x.sin().exp() * x).sum()
    first = [
        torch.autograd.grad(value, x, create_graph=True)[0]
        for value in (results[0], want)
    ]
    second = [torch.autograd.grad(value.sum(), x)[0] for value in first]
    torch.testing.assert_close(*first)
    torch.testing.assert_close(*second)
