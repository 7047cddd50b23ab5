"""The bill by formula and by measurement; adapters against loops and the library."""

import copy
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib import runtime
from lib.peft import adapters, vit
from lib.peft.adapters import (
    AFTER_BOTH,
    AFTER_MLP,
    FP32_ADAM,
    FP32_SGD,
    KEYS_VALUES,
    MIXED_ADAM,
    WHOLE_MLP,
    Adapter,
    activation_bytes,
    freeze,
    inject_adapters,
    inject_ia3,
    measured_bytes,
    sequential_operations,
    trainable_parameters,
    training_memory_bytes,
)
from tests.draws import normal, seeded

SMALL = replace(vit.CPU, layers=2, width=12, heads=3, tune_steps=2, batch=4)
same = torch.testing.assert_close


def model(size=SMALL, seed=0):
    return vit.ViT(size, seeded(seed))


def picture(n=3, seed=1):
    return torch.rand(n, 1, 8, 8, generator=seeded(seed))


def shaken(module, seed=5):
    """Every trained number drawn anew, so that nothing is zero or one."""
    with torch.no_grad():
        for p in module.parameters():
            if p.requires_grad:
                p.copy_(torch.randn(p.shape, generator=seeded(seed)))
    return module


def loss_of(network, x=None):
    x = picture() if x is None else x
    target = torch.arange(len(x)) % 10
    return lambda: F.cross_entropy(network(x), target)


# The bill


def test_sixteen_bytes_for_a_trained_parameter_and_two_for_a_frozen_one():
    assert sum(training_memory_bytes(1, 1).values()) == 16
    assert sum(training_memory_bytes(1, 0).values()) == 2
    full = training_memory_bytes(7_700_000_000, 7_700_000_000)
    assert sum(full.values()) == 123_200_000_000
    largest = training_memory_bytes(72 * 10**9, 72 * 10**9)
    assert sum(largest.values()) == 1_152 * 10**9


@pytest.mark.parametrize("recipe", [MIXED_ADAM, FP32_ADAM, FP32_SGD])
def test_only_the_weight_is_paid_for_what_is_frozen(recipe):
    bill = training_memory_bytes(100, 30, recipe)
    assert bill["weights"] == 100 * recipe.weight
    assert bill["gradients"] == 30 * recipe.gradient
    assert bill["master copy"] == 30 * recipe.master
    assert bill["moments"] == 30 * recipe.moments


@pytest.mark.usefixtures("plain_errors")
def test_no_more_is_trained_than_there_is():
    for n_train in (-1, 11):
        with pytest.raises(ValueError, match=f"n_train must be .* got {n_train}"):
            training_memory_bytes(10, n_train)


@pytest.mark.parametrize("trained", [".*", r"head\..*", r".*bias"])
@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_a_real_step_holds_what_the_formula_says(trained, name):
    network = freeze(model(), trained)
    learnt = [p for p in network.parameters() if p.requires_grad]
    recipe = {"AdamW": FP32_ADAM, "SGD": FP32_SGD}[name]
    optimiser = getattr(torch.optim, name)(learnt, lr=1e-3)
    measured = measured_bytes(network, loss_of(network), optimiser)
    count = sum(p.numel() for p in network.parameters())
    bill = training_memory_bytes(count, trainable_parameters(network), recipe)
    # Adam keeps one number more for each tensor: how many steps it has made.
    steps = 4 * len(learnt) if name == "AdamW" else 0
    assert measured["weights"] == bill["weights"]
    assert measured["gradients"] == bill["gradients"]
    assert measured["moments"] == bill["moments"] + steps


def test_gradients_of_an_earlier_step_are_not_on_the_bill():
    used, idle = torch.nn.Linear(3, 5), torch.nn.Linear(4, 4)
    idle(torch.ones(4)).sum().backward()
    both = torch.nn.ModuleList([used, idle])
    optimiser = torch.optim.SGD(both.parameters(), lr=0.1)
    bill = measured_bytes(both, lambda: used(torch.ones(3)).sum(), optimiser)
    assert bill["weights"] == 4 * (20 + 20)
    assert bill["gradients"] == 4 * 20


def test_an_adapter_starts_with_sums_of_size_one_on_the_way_down():
    down = Adapter(900, 30, F.gelu, seeded()).down.weight
    assert down.std().item() == pytest.approx(1 / 30, rel=0.05)


@pytest.mark.parametrize(("batch", "width", "heads"), [(3, 12, 3), (5, 24, 2)])
def test_a_layer_keeps_what_the_formula_says(batch, width, heads):
    def measured(layers):
        size = replace(SMALL, layers=layers, width=width, heads=heads)
        network = model(size)
        optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
        loss = loss_of(network, picture(batch))
        return measured_bytes(network, loss, optimiser)["activations"]

    formula = activation_bytes(3, batch, 17, width, heads, number=4)
    # The last norm and the head read one token: they keep the same for any depth.
    assert measured(5) - measured(2) == formula


def test_with_dropout_the_formula_is_the_published_one():
    # Korthikanti et al.: s b h (34 + 5 a s / h), of which masks and the dropped
    # weights are 2 s b h + 3 a s² b.
    s, b, h, a, layers = 2048, 2, 4096, 32, 3
    published = layers * s * b * h * (34 + 5 * a * s / h)
    masks = layers * (2 * s * b * h + 3 * a * s**2 * b)
    norms = layers * s * b * 8
    assert activation_bytes(layers, b, s, h, a) == published - masks + norms


# Adapters


@pytest.mark.parametrize(("d", "m"), [(5, 2), (48, 7)])
def test_an_adapter_is_the_identity_and_has_2md_d_m_parameters(d, m):
    adapter, h = Adapter(d, m, F.gelu, seeded()), normal(3, 4, d).float()
    assert torch.equal(adapter(h), h)
    assert trainable_parameters(adapter) == 2 * m * d + d + m


def test_an_adapter_is_what_the_loop_says():
    adapter = shaken(Adapter(5, 3, torch.tanh, seeded())).requires_grad_(False)
    h = torch.randn(2, 5, generator=seeded(3))
    down, up = adapter.down, adapter.up
    for row, got in zip(h, adapter(h)):
        hidden = [
            math.tanh(sum(down.weight[j, i] * row[i] for i in range(5)) + down.bias[j])
            for j in range(3)
        ]
        want = [
            row[i] + up.bias[i] + sum(up.weight[i, j] * hidden[j] for j in range(3))
            for i in range(5)
        ]
        same(got, torch.stack(want))


def test_first_up_gets_a_gradient_then_both():
    adapter, h = (
        Adapter(6, 2, F.gelu, seeded()),
        torch.randn(4, 6, generator=seeded(1)),
    )
    optimiser = torch.optim.SGD(adapter.parameters(), lr=0.1)
    (adapter(h) ** 2).sum().backward()
    assert (adapter.down.weight.grad == 0).all()
    assert (adapter.up.weight.grad != 0).all()
    optimiser.step()
    optimiser.zero_grad()
    (adapter(h) ** 2).sum().backward()
    assert (adapter.down.weight.grad != 0).any()


@pytest.mark.parametrize(
    ("pattern", "style", "count"),
    [(AFTER_BOTH, "after", 4), (AFTER_MLP, "after", 2), (WHOLE_MLP, "beside", 2)],
)
def test_injection_changes_no_output_and_trains_the_adapters_alone(
    pattern, style, count
):
    base = model()
    changed = inject_adapters(model(), pattern, 3, style, generator=seeded())
    torch.testing.assert_close(changed(picture()), base(picture()))
    assert trainable_parameters(changed) == count * (2 * 3 * 12 + 12 + 3)
    trained = {n for n, p in changed.named_parameters() if p.requires_grad}
    assert all(".adapter." in name for name in trained)
    missing, unexpected = changed.load_state_dict(base.state_dict(), strict=False)
    assert set(missing) == trained
    assert not unexpected


def test_injecting_twice_is_injecting_once():
    once = shaken(inject_adapters(model(), AFTER_BOTH, 3, generator=seeded()))
    twice = inject_adapters(copy.deepcopy(once), AFTER_BOTH, 3)
    torch.testing.assert_close(once(picture()), twice(picture()))
    assert trainable_parameters(once) == trainable_parameters(twice)


def test_adapters_sit_before_the_residual_addition():
    changed = shaken(inject_adapters(model(), AFTER_BOTH, 2, generator=seeded()))
    block, x = changed.blocks[0], torch.randn(2, 17, 12, generator=seeded(4))

    def plain(module, h):  # the module's own forward, past its hooks
        return module.forward(h)

    attention = block.attention
    q, k, v = (
        plain(p, block.norm_attention(x)).unflatten(-1, (3, 4)).transpose(1, 2)
        for p in (attention.q, attention.k, attention.v)
    )
    mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    first, second = attention.out.adapter, block.mlp.down.adapter
    y = x + first(plain(attention.out, mixed))
    hidden = F.gelu(plain(block.mlp.up, block.norm_mlp(y)))
    same(block(x), y + second(plain(block.mlp.down, hidden)))


def test_a_parallel_adapter_reads_what_the_mlp_reads():
    changed = shaken(inject_adapters(model(), WHOLE_MLP, 2, "beside"))
    block, x = changed.blocks[1], torch.randn(2, 17, 12, generator=seeded(4))
    y = x + block.attention(block.norm_attention(x))
    read = block.norm_mlp(y)
    added = block.mlp.adapter.up(F.gelu(block.mlp.adapter.down(read)))
    same(block(x), y + block.mlp.forward(read) + added)


@pytest.mark.usefixtures("plain_errors")
def test_what_cannot_be_injected_is_named():
    with pytest.raises(ValueError, match="pattern must match the name of a module"):
        inject_adapters(model(), "mlp", 2)  # a part of many names, the whole of none
    with pytest.raises(ValueError, match="style must be 'after' or 'beside', got 'in'"):
        inject_adapters(model(), AFTER_MLP, 2, "in")


# IA³


def test_ia3_starts_as_the_model_and_trains_three_vectors_a_layer():
    base, changed = model(), inject_ia3(model(), KEYS_VALUES, AFTER_MLP)
    torch.testing.assert_close(changed(picture()), base(picture()))
    assert trainable_parameters(changed) == 2 * (12 + 12 + 48)


def test_ia3_folds_into_the_weights():
    changed = shaken(inject_ia3(model(), KEYS_VALUES, AFTER_MLP))
    folded = model()
    with torch.no_grad():
        for ours, theirs in zip(folded.blocks, changed.blocks):
            for name in ("k", "v"):
                linear = getattr(ours.attention, name)
                scale = getattr(theirs.attention, name).adapter.scale
                linear.weight.mul_(scale[:, None])
                linear.bias.mul_(scale)
            ours.mlp.down.weight.mul_(theirs.mlp.down.adapter.scale)
    same(folded(picture()), changed(picture()))


def test_ia3_is_the_librarys():
    peft = pytest.importorskip("peft")
    config = peft.IA3Config(
        target_modules=["k", "v", "down"], feedforward_modules=["down"]
    )
    theirs = peft.get_peft_model(model(), config)
    ours = inject_ia3(model(), KEYS_VALUES, AFTER_MLP)
    torch.testing.assert_close(theirs(picture()), ours(picture()))
    vectors = {n: p for n, p in theirs.named_parameters() if "ia3_l" in n}
    shaken(ours)
    with torch.no_grad():
        for name, p in ours.named_parameters():
            if p.requires_grad:
                module = name.removesuffix(".adapter.scale")
                (key,) = (n for n in vectors if f".{module}.ia3_l" in n)
                vector = vectors.pop(key)
                vector.copy_(p.view(vector.shape))
    assert not vectors
    same(ours(picture()), theirs(picture()))


# Depth


class Diamond(nn.Module):
    """Two ways of different length from x to a sum."""

    def forward(self, x):
        return x.exp().exp().exp() + x.T.view(-1).exp().sum()


def test_the_longest_chain_is_counted_by_hand():
    chain, operations = sequential_operations(Diamond(), normal(1, 3).float())
    assert chain == 4  # three of exp, one sum of the two ways
    assert operations == 6  # exp and sum on the short way, T and view are none


def test_what_hangs_on_parameters_alone_is_no_operation():
    class Normed(nn.Linear):
        def forward(self, x):
            return F.linear(x, self.weight / self.weight.norm())

    assert sequential_operations(Normed(3, 2), normal(1, 3).float()) == (1, 1)


def test_taking_a_part_of_what_was_split_is_no_operation():
    class Gated(nn.Module):
        def forward(self, x):
            one, other = x.chunk(2, -1)
            return one.exp() + other

    assert sequential_operations(Gated(), normal(1, 4).float()) == (2, 2)


@pytest.mark.parametrize("width", [12, 48])
def test_an_adapter_costs_four_operations_in_sequence(width):
    """Two products, the activation, the addition; beside the MLP only the last."""
    size = replace(SMALL, layers=3, width=width)
    x = picture(1)
    chain, operations = sequential_operations(model(size), x)
    for pattern, style, each, count in (
        (AFTER_BOTH, "after", 4, 6),
        (AFTER_MLP, "after", 4, 3),
        (WHOLE_MLP, "beside", 1, 3),
    ):
        changed = inject_adapters(model(size), pattern, 2, style)
        got = sequential_operations(changed, x)
        assert got == (chain + each * count, operations + 4 * count)


# The rows of the table

METHODS = {
    "full": 58_186,
    "head": 490,
    "bitfit": 1_642,
    "ia3": 1_066,
    "adapters": 1_938,
    "pfeiffer": 2_036,
}


@pytest.mark.parametrize("method", METHODS)
def test_what_a_method_trains(method, monkeypatch):
    monkeypatch.setattr(runtime, "trained", lambda name, make, size: make(size))
    size = replace(vit.CPU, pretrain_steps=1, tune_steps=1, batch=2, seeds=2)
    result = getattr(adapters, f"turned_{method}")(size)
    assert int(result["trained"]) == METHODS[method]
    assert result["accuracy"].shape == (2,)
    assert result["losses"].isfinite().all()


def test_the_size_of_a_gpu_takes_a_step(monkeypatch):
    monkeypatch.setattr(runtime, "trained", lambda name, make, size: make(size))
    size = replace(vit.GPU, pretrain_steps=1, tune_steps=1, batch=2, seeds=1)
    assert adapters.turned_adapters(size)["losses"].isfinite().all()


def test_copies_of_a_method_differ_by_seed_and_are_drawn_again_alike(monkeypatch):
    monkeypatch.setattr(runtime, "trained", lambda name, make, size: make(size))
    size = replace(SMALL, pretrain_steps=1, tune_steps=1, seeds=2)
    one, two = (adapters.turned_pfeiffer(size) for _ in range(2))
    down = "learnt.blocks.0.mlp.down.adapter.down.weight"
    assert torch.equal(one[down], two[down])
    assert not torch.equal(one[down][0], one[down][1])
