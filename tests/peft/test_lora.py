"""LoRA and its family against peft, closed forms and finite differences."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib import runtime
from lib.peft import lora, vit
from lib.peft.quantisation import NF4Linear
from tests.draws import normal, seed_torch, seeded

SMALL = replace(
    vit.CPU,
    layers=1,
    width=16,
    heads=2,
    pretrain_steps=2,
    tune_steps=2,
    batch=4,
    seeds=2,
)


def layer(kind=lora.LoRALinear, r=3, alpha=5.0, bias=True, seed=0, **options):
    """A layer 7 -> 5 in float64, with something in B unless it has just begun."""
    base = nn.Linear(7, 5, bias=bias).double()
    with torch.no_grad():
        base.weight.copy_(normal(5, 7, seed=seed))
        if bias:
            base.bias.copy_(normal(5, seed=seed + 2))
    return kind(base, r, alpha, seeded(seed + 1), **options)


def moved(*args, **options):
    made = layer(*args, **options)
    with torch.no_grad():
        made.B.copy_(normal(*made.B.shape, seed=9))
        if hasattr(made, "m"):
            made.m.mul_(1 + 0.1 * normal(5, seed=8))
    return made


# LoRA itself

KINDS = [lora.LoRALinear, lora.DoRALinear]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
def test_nothing_changes_at_the_start(kind, bias):
    made, x = layer(kind, bias=bias), normal(2, 3, 7)
    torch.testing.assert_close(made(x), made.base(x), rtol=0, atol=1e-14)


@pytest.mark.parametrize("r", [1, 2, 5])
def test_the_update_is_scaled_by_alpha_over_r(r):
    made, x = moved(r=r), normal(4, 7)
    torch.testing.assert_close(made.delta(), 5 / r * made.B @ made.A)
    torch.testing.assert_close(made(x) - made.base(x), x @ made.delta().T)
    assert torch.linalg.matrix_rank(made.delta()) == r
    stable = moved(r=r, rank_stabilised=True)
    torch.testing.assert_close(stable.delta(), 5 / r**0.5 * made.B @ made.A)


def test_at_the_start_only_B_has_a_gradient_and_it_is_this():
    made, x, g = layer(), normal(6, 7, seed=2), normal(6, 5, seed=3)
    (made(x) * g).sum().backward()
    assert (made.A.grad == 0).all()
    torch.testing.assert_close(made.B.grad, 5 / 3 * g.T @ (x @ made.A.T))
    assert made.base.weight.grad is None
    assert made.base.bias.grad is None


def test_with_A_zero_and_B_random_the_roles_are_exchanged():
    made, x = moved(), normal(6, 7, seed=2)
    with torch.no_grad():
        made.A.zero_()
    made(x).square().sum().backward()
    assert (made.B.grad == 0).all()
    assert (made.A.grad != 0).all()


def test_the_first_step_of_B_is_the_full_gradient_projected_onto_the_rows_of_A():
    """Plain gradient descent: the weight moves by -rate s² G A^T A."""
    made, x, rate = layer(), normal(6, 7, seed=2), 0.03
    full = copy.deepcopy(made.base).requires_grad_()
    full(x).square().sum().backward()
    made(x).square().sum().backward()
    with torch.no_grad():
        made.B -= rate * made.B.grad
    want = -rate * made.scale**2 * full.weight.grad @ made.A.T @ made.A
    torch.testing.assert_close(made.delta(), want)


def test_A_is_uniform_and_as_wide_as_kaiming_says():
    made = lora.LoRALinear(nn.Linear(400, 300), 200, 1.0, seeded())
    seed_torch()
    kaiming = nn.init.kaiming_uniform_(torch.empty(200, 400), a=5**0.5)
    assert abs(made.A.std() / kaiming.std() - 1) < 0.01
    assert made.A.abs().max() <= 400**-0.5
    again = lora.LoRALinear(nn.Linear(400, 300), 200, 1.0, seeded())
    assert torch.equal(made.A, again.A)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
def test_merging_changes_no_output_and_unmerging_restores_the_weight(kind, bias):
    made, x = moved(kind, bias=bias), normal(2, 3, 7)
    before, weight = made(x), made.base.weight.clone()
    made.merge()
    torch.testing.assert_close(made(x), before)
    torch.testing.assert_close(made.base(x), before)
    made.merge()  # a second time: nothing
    torch.testing.assert_close(made.base(x), before)
    made.unmerge()
    torch.testing.assert_close(made.base.weight, weight, rtol=0, atol=1e-12)
    made.unmerge()
    torch.testing.assert_close(made(x), before)


def test_dropout_acts_on_the_update_only():
    made, x = moved(dropout=0.5), torch.ones(2000, 7, dtype=torch.float64)
    made.B.data.zero_()
    torch.testing.assert_close(made(x), made.base(x))
    made = moved(dropout=0.5)
    seed_torch()
    got = made(x)
    assert not torch.equal(got[0], got[1])
    error = 4 * got.std(0) / len(x) ** 0.5
    assert ((got.mean(0) - made.eval()(x)[0]).abs() < error).all()


def test_a_rank_that_makes_no_sense_is_refused(plain_errors):
    for r in (0, 6):
        with pytest.raises(ValueError, match=f"r must be from 1 to 5, got {r}"):
            layer(r=r)


def test_a_quantised_base_cannot_be_merged(plain_errors):
    made = lora.LoRALinear(NF4Linear(nn.Linear(16, 8)), 2, 4.0, seeded())
    x = torch.randn(3, 16, generator=seeded(1))
    torch.testing.assert_close(made(x), made.base(x))
    with pytest.raises(ValueError, match=r"must be an nn\.Linear to merge, got NF4"):
        made.merge()


def test_alpha_is_a_learning_rate_of_B():
    """Under Adam, s times a rate for B alone: one and the same product s B A."""
    x, y = normal(20, 7, seed=4), normal(20, 5, seed=5)
    ends = []
    for s, rate_of_B in ((4.0, 0.01), (1.0, 0.04)):
        made = layer(alpha=3 * s)
        options = [
            {"params": [made.A], "lr": 0.01},
            {"params": [made.B], "lr": rate_of_B},
        ]
        adam = torch.optim.Adam(options, eps=1e-30)
        for _ in range(30):
            adam.zero_grad()
            (made(x) - y).square().mean().backward()
            adam.step()
        ends.append(made.delta())
    torch.testing.assert_close(*ends)


# The family


def test_dora_row_by_row():
    W0, A, B = normal(5, 7), normal(3, 7, seed=1), normal(5, 3, seed=2)
    m = normal(5, seed=3).abs()
    got = lora.dora_weight(W0, A, B, m)
    for i in range(5):
        row = W0[i] + sum(B[i, k] * A[k] for k in range(3))
        torch.testing.assert_close(got[i], m[i] * row / row.square().sum().sqrt())
    torch.testing.assert_close(got.norm(dim=1), m)


def test_no_gradient_goes_through_the_norm_of_a_dora_weight():
    """A constant gain for each row: the gradient of W0 is that gain."""
    W0, A, B, m = (
        normal(5, 7),
        normal(3, 7, seed=1),
        normal(5, 3, seed=2),
        torch.ones(5),
    )
    lora.dora_weight(W0.requires_grad_(), A, B, m.double()).sum().backward()
    gain = 1 / (W0 + B @ A).norm(dim=1)
    torch.testing.assert_close(W0.grad, gain.detach()[:, None].expand(5, 7))


def test_a_dora_layer_is_its_weight():
    made, x = moved(lora.DoRALinear), normal(4, 7, seed=4)
    weight = lora.dora_weight(made.base.weight, made.A, made.scale * made.B, made.m)
    torch.testing.assert_close(made(x), F.linear(x, weight, made.base.bias))


def test_the_norm_of_dora_gets_no_gradient():
    """Finite differences agree when the norm is held fixed, and not otherwise."""
    made, x = moved(lora.DoRALinear), normal(4, 7, seed=4)
    made(x).square().sum().backward()
    fixed = (made.base.weight + made.delta()).norm(dim=1).detach()

    def loss(B, norm):
        V = made.base.weight + made.scale * B @ made.A
        weight = V * (made.m / (fixed if norm else V.norm(dim=1)))[:, None]
        return F.linear(x, weight, made.base.bias).square().sum()

    step = torch.zeros_like(made.B)
    step[1, 2] = 1e-6
    ups, downs = made.B + step, made.B - step
    held = (loss(ups, True) - loss(downs, True)) / 2e-6
    free = (loss(ups, False) - loss(downs, False)) / 2e-6
    torch.testing.assert_close(made.B.grad[1, 2], held, rtol=1e-5, atol=1e-5)
    assert abs(made.B.grad[1, 2] - free) > 1e-2 * abs(held)


def test_pissa_takes_the_largest_singular_values_and_changes_no_output():
    made, x = layer(r=2), normal(4, 7, seed=4)
    before, W = made(x), made.base.weight.clone()
    assert lora.pissa_(made) is made
    torch.testing.assert_close(made(x), before)
    S = torch.linalg.svdvals(W)
    torch.testing.assert_close(torch.linalg.svdvals(made.delta())[:2], S[:2])
    torch.testing.assert_close(torch.linalg.svdvals(made.base.weight)[:3], S[2:])
    made(x).square().sum().backward()
    assert (made.A.grad != 0).all()
    assert (made.B.grad != 0).all()


@pytest.mark.parametrize("shape", [(5, 7), (7, 4), (6, 6)])
@pytest.mark.parametrize("r", [1, 3])
def test_extraction_leaves_the_tail_and_nothing_does_better(shape, r):
    dW = normal(*shape, seed=5)
    B, A = lora.svd_extract(dW, r)
    assert B.shape == (shape[0], r)
    assert A.shape == (r, shape[1])
    tail = torch.linalg.svdvals(dW)[r:].square().sum()
    torch.testing.assert_close((dW - B @ A).square().sum(), tail)
    for seed in range(50):  # the best B for a random A is worse
        rows = torch.linalg.qr(normal(shape[1], r, seed=seed)).Q
        assert (dW - dW @ rows @ rows.T).square().sum() > tail


def test_rank_one_is_found_exactly():
    b, a = normal(5, seed=6), normal(7, seed=7)
    B, A = lora.svd_extract(torch.outer(b, a), 1)
    torch.testing.assert_close(B @ A, torch.outer(b, a))


def test_counts_are_those_of_gpt3_and_of_the_part():
    assert lora.lora_param_count([(12288, 12288)] * 2 * 96, 4) == 18_874_368
    model = vit.ViT(vit.CPU, seeded())
    for r, targets in lora.SPENT.items():
        copied = copy.deepcopy(model)
        lora.inject_lora(copied, targets, r, 2.0 * r)
        trained = sum(p.numel() for p in copied.parameters() if p.requires_grad)
        assert trained == 1536


# Putting it into a model


class Tree(nn.Module):
    def __init__(self):
        super().__init__()
        self.q = nn.Linear(4, 4)
        self.freq = nn.Linear(4, 4)
        self.layers = nn.ModuleList(
            nn.ModuleDict({"q": nn.Linear(4, 4), "norm": nn.LayerNorm(4)})
            for _ in range(12)
        )
        self.shared = self.layers[0]["q"]


def test_a_target_is_a_whole_name():
    assert lora.is_target("layers.1.q", ["q"])
    assert lora.is_target("q", ["q"])
    assert lora.is_target("layers.1.q", ["1.q"])
    assert not lora.is_target("layers.11.q", ["1.q"])
    assert not lora.is_target("freq", ["q"])
    assert not lora.is_target("q.base", ["q"])


def test_only_targets_are_replaced_and_the_rest_is_frozen():
    tree = Tree()
    names = lora.inject_lora(tree, ["1.q"], 2, 4.0, seeded())
    assert names == ["layers.1.q"]
    trained = [n for n, p in tree.named_parameters() if p.requires_grad]
    assert trained == ["layers.1.q.A", "layers.1.q.B"]
    assert isinstance(tree.layers[1]["q"].base, nn.Linear)


def test_a_layer_in_two_places_stays_one_layer():
    tree = Tree()
    names = lora.inject_lora(tree, ["q", "shared"], 2, 4.0)
    assert tree.shared is tree.layers[0]["q"]
    assert len(names) == 14
    assert len([m for m in tree.modules() if isinstance(m, lora.LoRALinear)]) == 13


def test_injecting_twice_finds_nothing_and_leaves_the_first(plain_errors):
    tree = Tree()
    lora.inject_lora(tree, ["q"], 2, 4.0)
    with pytest.raises(ValueError, match=r"must name a linear layer, got \['q'\]"):
        lora.inject_lora(tree, ["q"], 2, 4.0)
    assert tree.q.A.requires_grad
    assert not tree.q.base.weight.requires_grad


@pytest.mark.parametrize(
    "method", ["lora", "dora", "pissa", "nf4"], ids=lambda name: name
)
def test_every_method_trains_all_copies_at_once(method, monkeypatch):
    monkeypatch.setattr(runtime, "trained", lambda name, make, *args: make(*args))
    got = getattr(lora, f"turned_{method}")(SMALL)
    assert got["accuracy"].shape == (2,)
    assert got["losses"].shape == (2,)
    extra = 16 if method == "dora" else 0
    assert int(got["trained"]) == 8 * 32 + 10 * 16 + 10 + extra


def test_ranks_are_compared_at_one_scale(monkeypatch):
    models = []
    monkeypatch.setattr(runtime, "trained", lambda name, make, *args: make(*args))
    monkeypatch.setattr(vit, "tune", lambda made, *rest: models.extend(made) or {})
    for r in lora.SPENT:
        lora.turned_lora(SMALL, r)
    layers = [layer for model in models for layer in model.modules()]
    scales = {layer.scale for layer in layers if isinstance(layer, lora.LoRALinear)}
    assert scales == {lora.SCALE}


def test_the_size_for_a_gpu_takes_a_step_on_the_cpu(monkeypatch):
    size = replace(vit.GPU, pretrain_steps=1, tune_steps=1, seeds=1, batch=2)
    monkeypatch.setattr(runtime, "trained", lambda name, make, *args: make(*args))
    assert lora.turned_nf4(size)["losses"].isfinite().all()


# Against peft

W0 = torch.arange(12.0).view(3, 4).sin()
A0 = torch.arange(8.0).view(2, 4).cos()
B0 = (1 + torch.arange(6.0)).view(3, 2).cos()
X0 = torch.tensor([[1.0, -2.0, 0.5, 3.0]])
OPTIONS = {"lora": {}, "rs": {"use_rslora": True}, "dora": {"use_dora": True}}
# What peft 0.21.2 gives for them, with r = 2 and alpha = 3.
GOLDEN = {
    "lora": [[-4.395251, 6.34025, -2.303021]],
    "rs": [[-5.88241, 7.727017, -1.97006]],
    "dora": [[-2.746625, 2.988343, -2.627363]],
}


def ours(name):
    base = nn.Linear(4, 3, bias=False)
    base.weight.data.copy_(W0)
    kind = lora.DoRALinear if name == "dora" else lora.LoRALinear
    made = kind(base, 2, 3.0, seeded(), rank_stabilised=name == "rs")
    made.A.data.copy_(A0)
    made.B.data.copy_(B0)
    return made


@pytest.mark.parametrize("name", OPTIONS)
def test_the_numbers_that_peft_gave(name):
    torch.testing.assert_close(
        ours(name)(X0), torch.tensor(GOLDEN[name]), rtol=1e-5, atol=1e-5
    )


@pytest.fixture(scope="module")
def llama():
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("peft")
    seed_torch()
    config = transformers.LlamaConfig(
        hidden_size=12,
        intermediate_size=20,
        num_hidden_layers=2,
        num_attention_heads=3,
        num_key_value_heads=1,
        vocab_size=30,
        tie_word_embeddings=True,
    )
    return transformers.LlamaForCausalLM(config).eval()


TARGETS = ["q_proj", "v_proj", "down_proj"]
TOKENS = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])


def both(llama, name):
    """The model with our layers and with peft's, A and B of ours in both."""
    peft = pytest.importorskip("peft")
    mine, theirs = copy.deepcopy(llama), copy.deepcopy(llama)
    kind = lora.DoRALinear if name == "dora" else lora.LoRALinear
    names = lora.inject_lora(
        mine, TARGETS, 2, 3.0, seeded(1), kind, rank_stabilised=name == "rs"
    )
    config = peft.LoraConfig(
        r=2, lora_alpha=3, target_modules=TARGETS, lora_dropout=0.0, **OPTIONS[name]
    )
    theirs = peft.get_peft_model(theirs, config).eval()
    pairs = []
    for each in names:
        own = mine.get_submodule(each)
        other = theirs.base_model.model.get_submodule(each)
        other.lora_A["default"].weight.data.copy_(own.A)
        pairs.append((own, other))
    return mine, theirs, pairs


@pytest.mark.parametrize("name", OPTIONS)
def test_peft_changes_the_same_layers_and_starts_as_we_do(name, llama):
    mine, theirs, pairs = both(llama, name)
    wrapped = [m for m in theirs.modules() if hasattr(m, "lora_A")]
    assert len(wrapped) == len(pairs) == 6
    count = sum(p.numel() for p in mine.parameters() if p.requires_grad)
    assert theirs.get_nb_trainable_parameters()[0] == count
    want = llama(TOKENS).logits
    torch.testing.assert_close(mine(TOKENS).logits, want)
    torch.testing.assert_close(theirs(TOKENS).logits, want)
    for model in (mine, theirs):
        model(TOKENS).logits.square().sum().backward()
    for own, other in pairs:
        assert (own.A.grad == 0).all()
        assert (other.lora_A["default"].weight.grad == 0).all()
        torch.testing.assert_close(own.B.grad, other.lora_B["default"].weight.grad)
    assert mine.lm_head.weight is mine.model.embed_tokens.weight


@pytest.mark.parametrize("name", OPTIONS)
def test_outputs_and_gradients_are_those_of_peft(name, llama):
    mine, theirs, pairs = both(llama, name)
    for i, (own, other) in enumerate(pairs):
        drawn = 0.1 * torch.randn(own.B.shape, generator=seeded(i))
        own.B.data.copy_(drawn)
        other.lora_B["default"].weight.data.copy_(drawn)
    got, want = mine(TOKENS).logits, theirs(TOKENS).logits
    assert (want - llama(TOKENS).logits).abs().max() > 1e-2
    torch.testing.assert_close(got, want)
    got.square().sum().backward()
    want.square().sum().backward()
    for own, other in pairs:
        theirs_A = other.lora_A["default"].weight.grad
        torch.testing.assert_close(own.A.grad, theirs_A, rtol=1e-4, atol=1e-5)
        if name == "dora":
            theirs_m = other.lora_magnitude_vector["default"].weight.grad
            torch.testing.assert_close(own.m.grad, theirs_m, rtol=1e-4, atol=1e-5)
    for own, _ in pairs:
        own.merge()
    merged = theirs.merge_and_unload()
    torch.testing.assert_close(mine(TOKENS).logits, merged(TOKENS).logits)


def test_pissa_is_that_of_peft(llama):
    peft = pytest.importorskip("peft")
    mine, theirs = copy.deepcopy(llama), copy.deepcopy(llama)
    names = lora.inject_lora(mine, TARGETS, 2, 3.0, seeded(1))
    config = peft.LoraConfig(
        r=2, lora_alpha=3, target_modules=TARGETS, init_lora_weights="pissa"
    )
    theirs = peft.get_peft_model(theirs, config).base_model.model
    for name in names:
        own, other = lora.pissa_(mine.get_submodule(name)), theirs.get_submodule(name)
        torch.testing.assert_close(own.base.weight, other.base_layer.weight)
        torch.testing.assert_close(own.delta(), other.get_delta_weight("default"))
        A = other.lora_A["default"].weight
        torch.testing.assert_close(own.A.abs(), A.abs(), rtol=1e-4, atol=1e-5)
