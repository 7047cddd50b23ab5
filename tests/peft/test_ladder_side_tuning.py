"""The ladder, and the two bills: bytes kept and operations."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib.peft import ladder_side_tuning as ladder
from lib.peft import vit
from lib.peft.activations import saved_activation_bytes
from tests.draws import seeded

SMALL = replace(vit.CPU, layers=3, width=24, heads=3, tune_steps=2, batch=5, seeds=2)


def model(size=SMALL):
    return vit.ViT(size, seeded())


def batch(n=4):
    return torch.rand(n, 1, 8, 8, generator=seeded(1)), torch.arange(n)


def side_network(r=4, heads=2, rungs=3):
    return ladder.LadderSideNetwork([24] * (rungs + 1), r, heads, seeded(2))


# --- bytes


@pytest.mark.parametrize(
    ("width", "heads", "tokens"), [(12, 3, 5), (8, 1, 9), (20, 5, 2)]
)
@pytest.mark.parametrize("trained", [True, False])
def test_a_block_keeps_what_the_formula_says(width, heads, tokens, trained):
    block = vit.Block(width, heads).requires_grad_(trained)
    x = torch.zeros(3, tokens, width, requires_grad=True)
    got = saved_activation_bytes(lambda: block(x), block.parameters())
    want = ladder.block_floats(width, tokens, heads, trained)
    assert got == 4 * 3 * tokens * want


def test_biases_alone_are_as_cheap_as_nothing_trained():
    block = vit.Block(12, 3)
    for name, parameter in block.named_parameters():
        parameter.requires_grad_(name.endswith("bias"))
    x = torch.zeros(3, 5, 12, requires_grad=True)
    got = saved_activation_bytes(lambda: block(x), block.parameters())
    assert got == 4 * 3 * 5 * ladder.block_floats(12, 5, 3, trained=False)


@pytest.mark.parametrize(("r", "heads"), [(4, 2), (2, 3)])
def test_a_rung_keeps_what_the_formula_says(r, heads):
    def kept(rungs):
        side = side_network(r, heads, rungs)
        given = [torch.zeros(7, 5, 24) for _ in range(rungs + 1)]
        return saved_activation_bytes(lambda: side(given), side.parameters())

    numbers = 7 * 5 * ladder.rung_floats(24, 5, r, heads)
    assert kept(3) - kept(2) == 4 * (numbers + 2)  # mu and 1 - mu


# --- operations


def test_backward_is_twice_the_forward_but_for_the_first_layer():
    stack = nn.Sequential(*(nn.Linear(a, b) for a, b in [(3, 5), (5, 7), (7, 2)]))
    x = torch.ones(11, 3)
    products = [2 * 11 * a * b for a, b in [(3, 5), (5, 7), (7, 2)]]
    forward, backward = ladder.flops(lambda: stack(x).sum())
    assert forward == sum(products)
    assert backward == 2 * sum(products) - products[0]
    stack[1].requires_grad_(False)
    assert ladder.flops(lambda: stack(x).sum())[1] == backward - products[1]
    assert stack[0].weight.grad is not None


# --- the ladder


def test_the_gate_is_a_half_at_zero_and_steep():
    alpha = torch.tensor([0.0, 0.1, -0.1])
    want = torch.tensor([0.5, 1, 1]) / torch.tensor([1, 1 + torch.e**-1, 1 + torch.e])
    torch.testing.assert_close(ladder.gate(alpha)[1:], want[1:])
    assert ladder.gate(alpha)[0] == 0.5


def test_the_side_network_is_the_recursion_of_the_paper():
    side = side_network()
    with torch.no_grad():
        side.alpha.copy_(torch.tensor([0.05, -0.1, 0.2]))
    given = [torch.randn(2, 5, 24, generator=seeded(k)) for k in range(4)]
    h = given[0] @ side.down[0].weight.T
    for i in range(3):
        mu = 1 / (1 + torch.exp(-side.alpha[i] / 0.1))
        h = mu * h + (1 - mu) * given[i + 1] @ side.down[i + 1].weight.T
        h = side.blocks[i](h)
    h = F.layer_norm(h, (6,)) @ side.up.weight.T + side.up.bias
    torch.testing.assert_close(side(given), h)


def test_at_the_start_every_gate_takes_the_mean():
    side, given = side_network(rungs=1), [torch.zeros(2, 5, 24), torch.ones(2, 5, 24)]
    swapped = side_network(rungs=1)
    with torch.no_grad():
        swapped.down[0].weight.copy_(side.down[1].weight)
        swapped.down[1].weight.copy_(side.down[0].weight)
    torch.testing.assert_close(side(given), swapped(given[::-1]))


def test_features_are_the_backbones_own():
    ours, (x, _) = model(), batch()
    found = ladder.features(ours, x)
    assert len(found) == SMALL.layers + 1
    torch.testing.assert_close(ours.read(found[-1]), ours(x))
    assert not any(h.requires_grad for h in found)


@pytest.mark.parametrize("rungs", [None, (2,), (1, 3)])
def test_no_gradient_enters_the_backbone(rungs):
    ours, (x, y) = ladder.Ladder(model(), 4, 2, seeded(2), rungs), batch()
    ours.backbone.requires_grad_(True)  # even if somebody forgot to freeze it
    F.cross_entropy(ours(x), y).backward()
    for name, parameter in ours.backbone.named_parameters():
        last = name.startswith(("head", "norm."))  # what comes after the mixture
        assert (parameter.grad is not None) == last, name
    assert all(p.grad is not None for p in ours.side.parameters())


def test_at_the_start_the_head_reads_the_mean_of_ladder_and_backbone():
    ours, (x, _) = ladder.Ladder(model(), 4, 2, seeded(2), (1, 3)), batch()
    found = ladder.features(ours.backbone, x)
    beside = ours.side([found[0], found[1], found[3]])[:, 0]
    own = ours.backbone.norm(found[-1][:, 0])
    torch.testing.assert_close(ours(x), ours.backbone.head((beside + own) / 2))


def test_the_ladder_of_the_table_has_a_rung_after_every_other_block():
    size = replace(SMALL, layers=7)
    assert ladder.ladder(size, model(size), seeded(2), r=4).rungs == (1, 3, 5)


def test_a_closed_gate_leaves_the_backbone_alone():
    ours, (x, _) = ladder.Ladder(model(), 4, 2, seeded(2)), batch()
    with torch.no_grad():
        ours.last.fill_(-10.0)
    torch.testing.assert_close(ours(x), model()(x))


def test_a_frozen_backbone_costs_nothing_with_or_without_no_grad():
    ours, (x, _) = ladder.Ladder(model(), 4, 2, seeded(2)), batch()

    def loss(graph):
        with torch.set_grad_enabled(graph):
            found = ladder.features.__wrapped__(ours.backbone, x)
        return ours.side(found).sum()

    with_graph, without = (
        saved_activation_bytes(lambda g=g: loss(g), ours.parameters())
        for g in (True, False)
    )
    assert with_graph == without > 0


def test_the_ladder_keeps_less_than_any_gradient_through_the_backbone():
    x, y = batch()
    for size in (vit.CPU, vit.GPU):
        whole, bias = model(size), model(size)
        bias.requires_grad_(False).patch.bias.requires_grad_(True)
        ours = ladder.ladder(size, model(size), seeded(2))
        kept, spent = {}, {}
        for name, each in {"whole": whole, "bias": bias, "ladder": ours}.items():

            def loss(each=each):
                return F.cross_entropy(each(x), y)

            held = [*each.parameters(), x]
            kept[name] = saved_activation_bytes(loss, held)
            spent[name] = ladder.flops(loss)[1]
        assert kept["ladder"] < kept["bias"] / 3 < kept["whole"] / 3
        assert spent["ladder"] < spent["bias"] / 20 < spent["whole"] / 20


def test_the_ladder_ends_at_the_width_of_its_last_rung():
    widths = [24, 16, 36]
    side = ladder.LadderSideNetwork(widths, 4, 2, seeded(2))
    features = [torch.rand(1, 5, width, generator=seeded(3)) for width in widths]
    assert side(features).shape == (1, 5, 36)
    with pytest.raises(ValueError, match="shorter"):
        side(features[:-1])


def test_counting_operations_prints_nothing(capsys):
    weight = torch.ones(2, 3, requires_grad=True)
    assert ladder.flops(lambda: (weight @ torch.ones(3, 4)).sum())[0] == 2 * 24
    assert capsys.readouterr().out == ""


def test_only_the_ladder_and_the_head_are_trained(monkeypatch, tmp_path):
    monkeypatch.setattr(ladder.runtime, "TRAINED", tmp_path)
    size = replace(vit.CPU, pretrain_steps=1, tune_steps=1, batch=2, seeds=2)
    for r, count in [(8, 1926), (4, 4176), (2, 11_268)]:
        result = ladder.turned_ladder(size, r)
        assert int(result["trained"]) == count
        assert result["accuracy"].shape == (2,)
        own = ("learnt.side", "learnt.last", "learnt.backbone.head")
        assert all(key.startswith(own) for key in result if key.startswith("learnt."))


def test_near_the_output_only_the_last_block_is_changed(monkeypatch, tmp_path):
    monkeypatch.setattr(ladder.runtime, "TRAINED", tmp_path)
    size = replace(vit.CPU, pretrain_steps=1, tune_steps=1, batch=2, seeds=2)
    result = ladder.turned_top(size)
    assert int(result["trained"]) == 2026
    own = ("learnt.blocks.1.", "learnt.head")
    assert all(key.startswith(own) for key in result if key.startswith("learnt."))


def test_the_size_of_a_gpu_takes_a_step():
    size, task = replace(vit.GPU, pretrain_steps=1, tune_steps=1, batch=2), vit.turned()
    few = replace(task, test=task.test[:4], test_labels=task.test_labels[:4])
    for r in ladder.RATES:
        made = ladder.ladder(size, model(size), seeded(), r)
        assert vit.tune([made], few, size, 1e-3)["losses"].isfinite().all()


@pytest.mark.usefixtures("plain_errors")
def test_an_impossible_ladder_is_named():
    with pytest.raises(ValueError, match="must name the input and a rung, got"):
        ladder.LadderSideNetwork([24], 4, 2, seeded())
    with pytest.raises(ValueError, match="heads must divide the side width, got 4"):
        ladder.LadderSideNetwork([24, 24], 4, 4, seeded())
    with pytest.raises(ValueError, match="got 1 and 0"):
        ladder.LadderSideNetwork([4, 4], 8, 1, seeded())
