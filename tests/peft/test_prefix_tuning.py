"""Prefixes and prompts against peft, GPT-2's cache, PyTorch's attention, closed forms.

What is needed of peft stands in golden numbers too, for machines without it.
"""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from lib.peft import prefix_tuning as pt
from lib.peft import vit
from tests.draws import seed_torch, seeded


def drawn(*shape, seed=0, scale=1.0):
    return scale * torch.randn(shape, dtype=torch.float64, generator=seeded(seed))


def attention_input(batch=2, heads=3, n=5, keys=7, d=4, d_v=6, m=2):
    return (
        drawn(batch, heads, n, d, seed=1),
        drawn(batch, heads, keys, d, seed=2),
        drawn(batch, heads, keys, d_v, seed=3),
        drawn(heads, m, d, seed=4),
        drawn(heads, m, d_v, seed=5),
    )


CAUSAL = torch.ones(5, 5, dtype=torch.bool).tril()


# Attention with a prefix


@pytest.mark.parametrize("attend", [pt.prefix_attention, pt.gated_attention])
@pytest.mark.parametrize(("keys", "mask"), [(7, None), (5, CAUSAL)])
def test_it_is_pytorchs_attention_to_more_keys(attend, keys, mask):
    q, k, v, pk, pv = attention_input(keys=keys)
    longer_k = torch.cat([pk.expand(2, -1, -1, -1), k], 2)
    longer_v = torch.cat([pv.expand(2, -1, -1, -1), v], 2)
    if mask is not None:
        seen = torch.cat([torch.ones(5, 2, dtype=torch.bool), mask], 1)
    else:
        seen = None
    want = F.scaled_dot_product_attention(q, longer_k, longer_v, attn_mask=seen)
    assert_close(attend(q, k, v, pk, pv, mask), want)


@pytest.mark.parametrize("m", [1, 2, 9])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_a_prefix_is_a_gated_mixture(m, scale):
    q, k, v, pk, pv = attention_input(m=m)
    pk = scale * pk
    assert_close(
        pt.gated_attention(q, k, v, pk, pv), pt.prefix_attention(q, k, v, pk, pv)
    )


def test_encoders_start_as_pytorch_draws_them():
    """Uniform within one over the root of what enters, from the generator given."""
    encoder = pt.PrefixEncoder(2, 5, 3, 12, seeded(), 49)
    prompts = pt.PromptEncoder(5, 24, 25, seeded())
    lstm = prompts.lstm_head
    for layers, rows in (
        ([encoder.transform[0].weight], 36),
        ([encoder.transform[2].weight, encoder.transform[2].bias], 49),
        (list(lstm.parameters()), 25),
    ):
        numbers = torch.cat([weight.flatten() for weight in layers]) * rows**0.5
        assert_close(numbers.min().item(), -1.0, rtol=0, atol=0.02)
        assert_close(numbers.max().item(), 1.0, rtol=0, atol=0.02)
        assert abs(numbers.mean()) < 0.05


def test_the_gate_is_the_attention_that_the_prefix_gets():
    q, k, _, pk, _ = attention_input(keys=5)
    scores = torch.cat([q @ pk.mT, (q @ k.mT).masked_fill(~CAUSAL, -torch.inf)], -1)
    weights = (scores / 2).softmax(-1)
    assert_close(pt.gate(q, k, pk, CAUSAL), weights[..., :2].sum(-1, keepdim=True))


@pytest.mark.parametrize("attend", [pt.prefix_attention, pt.gated_attention])
def test_no_prefix_is_plain_attention(attend):
    q, k, v, pk, pv = attention_input(m=0)
    assert_close(attend(q, k, v, pk, pv), F.scaled_dot_product_attention(q, k, v))


def test_the_ratio_of_two_content_weights_is_what_it_was():
    """Read the weights off by values that are unit vectors."""
    q, k, _, pk, _ = attention_input()
    eye = torch.eye(7, dtype=torch.float64).expand(2, 3, 7, 7)
    before = F.scaled_dot_product_attention(q, k, eye)
    after = pt.prefix_attention(q, k, eye, pk, torch.zeros(3, 2, 7).double())
    ratio = after / before
    assert_close(ratio, ratio[..., :1].expand_as(ratio))
    assert_close(1 - ratio[..., :1], pt.gate(q, k, pk))


def test_a_prefix_of_zeros_is_not_nothing():
    """Scores of 0 weigh exp(0) each: the output shrinks by the gate."""
    q, k, v, pk, pv = attention_input()
    got = pt.prefix_attention(q, k, v, 0 * pk, 0 * pv)
    plain = F.scaled_dot_product_attention(q, k, v)
    total = (q @ k.mT / 2).exp().sum(-1, keepdim=True)
    assert_close(got, plain * total / (total + 2))


def test_one_key_of_the_prefix_has_one_direction():
    """The output moves along a line for every query: λ (value - output)."""
    q, k, v, pk, pv = attention_input(m=1)
    moved = pt.prefix_attention(q, k, v, pk, pv)
    plain = F.scaled_dot_product_attention(q, k, v)
    assert_close(moved - plain, pt.gate(q, k, pk) * (pv - plain))


# The encoders


def golden(module):
    """Numbers that need no generator: 0, 1, 2, ... through a sine."""
    start = 0
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.arange(start, start + p.numel()).sin().view(p.shape) / 2)
            start += p.numel()
    return module


def test_a_row_holds_layer_by_layer_the_keys_then_the_values():
    n_layers, heads, d, m = 3, 2, 5, 4
    flat = torch.arange(m * n_layers * 2 * heads * d, dtype=torch.float32).view(m, -1)
    for layer, (k, v) in enumerate(pt.split_prefix(flat, n_layers, heads)):
        for part, got in enumerate((k, v)):
            assert got.shape == (heads, m, d)
            for head in range(heads):
                first = ((layer * 2 + part) * heads + head) * d
                assert torch.equal(got[head], flat[:, first : first + d])


def test_the_encoder_keeps_its_golden_numbers():
    encoder = golden(pt.PrefixEncoder(2, 2, 1, 2, seeded(), mid=3))
    (k, v), (k2, v2) = encoder()
    want = torch.tensor(GOLDEN).flatten()
    assert_close(torch.stack([k, v, k2, v2]).flatten(), want, atol=1e-5, rtol=1e-4)


GOLDEN = [
    [-0.64463, 0.44584, -0.66884, 0.4601, 0.2154, 0.60257, 0.21137, 0.59627],
    [-0.26823, -0.31422, -0.25174, -0.34057, -0.51217, 0.05545, -0.47649, 0.01115],
]


def peft_config(kind, **more):
    peft = pytest.importorskip("peft")
    return getattr(peft, kind)(
        task_type="CAUSAL_LM",
        num_virtual_tokens=5,
        token_dim=12,
        num_transformer_submodules=1,
        num_attention_heads=3,
        num_layers=2,
        **more,
    )


@pytest.mark.parametrize("projection", [False, True])
def test_prefixes_are_pefts_with_the_same_weights(projection):
    peft = pytest.importorskip("peft")
    config = peft_config(
        "PrefixTuningConfig", prefix_projection=projection, encoder_hidden_size=7
    )
    theirs = peft.PrefixEncoder(config)
    if projection:
        ours = pt.PrefixEncoder(2, 5, 3, 4, seeded(), mid=7)
    else:
        ours = pt.Prefix(2, 5, 3, 4, seeded())
    ours.load_state_dict(theirs.state_dict())
    flat = theirs(torch.arange(5))
    # As peft's `get_prompt` shares them out.
    layers = flat[None].view(1, 5, 4, 3, 4).permute(2, 0, 3, 1, 4).split(2)
    for (k, v), theirs_of_layer in zip(ours(), layers):
        assert_close(k, theirs_of_layer[0][0])
        assert_close(v, theirs_of_layer[1][0])


def test_p_tunings_prompt_is_pefts_with_the_same_weights():
    peft = pytest.importorskip("peft")
    config = peft_config(
        "PromptEncoderConfig",
        encoder_reparameterization_type="LSTM",
        encoder_hidden_size=7,
    )
    theirs = peft.PromptEncoder(config).eval()
    ours = pt.PromptEncoder(5, 12, 7, seeded())
    ours.load_state_dict(theirs.state_dict())
    assert_close(ours(), theirs(torch.arange(5)))


def test_without_the_encoder_the_prefix_is_the_same():
    encoder = pt.PrefixEncoder(2, 5, 3, 4, seeded(), mid=7)
    stored = pt.materialised(encoder)
    for ours, theirs in zip(stored(), encoder()):
        for got, want in zip(ours, theirs):
            assert_close(got, want)
    assert [p.numel() for p in stored.parameters()] == [5 * 2 * 2 * 3 * 4]
    assert sum(p.numel() for p in encoder.parameters()) == (
        5 * 12 + (12 + 1) * 7 + (7 + 1) * 48
    )


def test_the_tables_are_drawn_from_the_generator():
    for make in (
        lambda g: pt.Prefix(2, 5, 3, 4, g),
        lambda g: pt.PrefixEncoder(2, 5, 3, 4, g, mid=7),
        lambda g: pt.PromptEncoder(5, 12, 7, g),
    ):
        one, same, other = (make(seeded(s)).state_dict() for s in (0, 0, 1))
        for name in one:
            assert torch.equal(one[name], same[name])
            assert not torch.equal(one[name], other[name])


@pytest.mark.usefixtures("plain_errors")
def test_a_row_that_cannot_be_shared_out_is_named():
    with pytest.raises(ValueError, match=r"multiple of 2 \* 3 \* 2 columns, got 10"):
        pt.split_prefix(torch.zeros(4, 10), 3, 2)


# On models


SIZE = vit.Size(
    layers=2, heads=2, width=8, pretrain_steps=1, tune_steps=2, batch=5, seeds=2
)


def test_a_soft_prompt_starts_as_words_and_leaves_the_vocabulary_alone():
    words = drawn(9, 8).float()
    prompt = pt.SoftPrompt(words, torch.tensor([4, 1, 4]))
    assert torch.equal(prompt(), words[[4, 1, 4]])
    with torch.no_grad():
        prompt.embedding.weight.zero_()
    assert words[4].abs().sum() > 0
    assert prompt.embedding.weight.requires_grad


def test_in_the_first_layer_a_prompt_is_a_prefix_made_of_its_tokens():
    """With one layer nobody asks what the prompt's own tokens become."""
    model = vit.ViT(vit.Size(1, 2, 8, 1, 1, 1, 1), seeded())
    prompt = pt.SoftPrompt(drawn(6, 8).float(), torch.arange(3))
    x = torch.rand(2, 1, 8, 8, generator=seeded(1))
    block = model.blocks[0]
    seen = block.norm_attention(prompt())
    prefix = tuple(
        project(seen).unflatten(-1, (2, -1)).transpose(0, 1)
        for project in (block.attention.k, block.attention.v)
    )
    assert_close(pt.Prompted(model, prompt)(x), model(x, [prefix]))


def test_a_prefixed_model_is_the_model_with_its_prefix():
    model = vit.ViT(SIZE, seeded())
    prefix = pt.Prefix(SIZE.layers, 3, SIZE.heads, SIZE.width // SIZE.heads, seeded(1))
    x = torch.rand(2, 1, 8, 8, generator=seeded(2))
    assert_close(pt.Prefixed(model, prefix)(x), model(x, prefix()))


def test_the_order_of_the_prompts_tokens_does_not_matter():
    model = vit.ViT(SIZE, seeded())
    words = drawn(6, 8).float()
    x = torch.rand(2, 1, 8, 8, generator=seeded(1))
    one, other = (
        pt.Prompted(model, pt.SoftPrompt(words, torch.tensor(ids)))(x)
        for ids in ([0, 1, 2], [2, 0, 1])
    )
    assert_close(one, other)


@pytest.fixture
def gpt2():
    transformers = pytest.importorskip("transformers")
    seed_torch()
    config = transformers.GPT2Config(
        vocab_size=11, n_positions=32, n_embd=12, n_layer=2, n_head=3
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    with torch.no_grad():  # as drawn, all attention is nearly even
        for p in model.parameters():
            p.mul_(5 if p.ndim == 2 else 1)
    return model


TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8]])


def cache(prefixes, batch=2):
    transformers = pytest.importorskip("transformers")
    pairs = [tuple(x.expand(batch, -1, -1, -1) for x in pair) for pair in prefixes]
    return transformers.DynamicCache(pairs)


def by_hand(model, prefixes):
    """Logits of GPT-2, its attention replaced by ours."""
    body, n = model.transformer, TOKENS.shape[1]
    x = body.wte(TOKENS) + body.wpe(torch.arange(n))
    mask = torch.ones(n, n, dtype=torch.bool).tril()
    for block, (pk, pv) in zip(body.h, prefixes):
        q, k, v = (
            part.unflatten(-1, (3, 4)).transpose(1, 2)
            for part in block.attn.c_attn(block.ln_1(x)).split(12, -1)
        )
        found = pt.prefix_attention(q, k, v, pk, pv, mask)
        x = x + block.attn.c_proj(found.transpose(1, 2).flatten(2))
        x = x + block.mlp(block.ln_2(x))
    return model.lm_head(body.ln_f(x))


@torch.no_grad()
def test_gpt2_with_the_prefix_in_its_cache_gives_the_same_logits(gpt2):
    prefixes = pt.Prefix(2, 5, 3, 4, seeded())()
    got = gpt2(
        TOKENS, past_key_values=cache(prefixes), position_ids=torch.arange(6)[None]
    )
    assert_close(got.logits, by_hand(gpt2, prefixes))
    without = [(k[:, :0], v[:, :0]) for k, v in prefixes]
    assert_close(gpt2(TOKENS).logits, by_hand(gpt2, without))


@torch.no_grad()
def test_left_to_itself_gpt2_moves_the_content_by_the_prefix(gpt2):
    """A cache of five says that five tokens came before: positions 5, 6, ..."""
    prefixes = pt.Prefix(2, 5, 3, 4, seeded())()
    moved = gpt2(TOKENS, past_key_values=cache(prefixes)).logits
    said = torch.arange(5, 11)[None]
    same = gpt2(TOKENS, past_key_values=cache(prefixes), position_ids=said).logits
    assert_close(moved, same)
    assert (moved - by_hand(gpt2, prefixes)).abs().max() > 0.1


@torch.no_grad()
def test_pefts_model_moves_it_too(gpt2):
    peft = pytest.importorskip("peft")
    config = peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5)
    prefixed = peft.get_peft_model(gpt2, config).eval()
    ours = pt.Prefix(2, 5, 3, 4, seeded())
    ours.load_state_dict(prefixed.prompt_encoder["default"].state_dict())
    positions = torch.arange(5, 11)[None]
    want = gpt2(TOKENS, past_key_values=cache(ours()), position_ids=positions).logits
    assert_close(prefixed(TOKENS).logits, want)


@torch.no_grad()
def test_in_a_causal_model_a_soft_prompt_is_a_prefix(gpt2):
    """It sees nothing of the content: its keys and values are the same for all."""
    prompt = pt.SoftPrompt(gpt2.transformer.wte.weight, torch.tensor([7, 0, 10]))
    alone = gpt2(inputs_embeds=prompt()[None], use_cache=True).past_key_values
    prefixes = [(layer.keys[0], layer.values[0]) for layer in alone.layers]
    words = gpt2.transformer.wte(TOKENS)
    together = torch.cat([prompt().expand(2, -1, -1), words], 1)
    want = gpt2(inputs_embeds=together).logits[:, 3:]
    assert_close(gpt2(TOKENS, past_key_values=cache(prefixes)).logits, want)


# In the table


@pytest.fixture
def kept_apart(monkeypatch, tmp_path):
    monkeypatch.setattr(pt.runtime, "TRAINED", tmp_path)


@pytest.mark.usefixtures("kept_apart")
def test_the_words_of_a_prompt_are_all_patches_of_all_pictures(monkeypatch):
    vocabularies, made = [], pt.SoftPrompt

    def spy(words, chosen):
        vocabularies.append(len(words))
        return made(words, chosen)

    monkeypatch.setattr(pt, "SoftPrompt", spy)
    pt.turned_prompt(SIZE)
    assert set(vocabularies) == {vit.TRAIN * 16}


@pytest.mark.usefixtures("kept_apart")
@pytest.mark.parametrize(
    ("row", "own"),
    [
        (pt.turned_prefix, 8 * 2 * 2 * 8),
        (pt.turned_prefix_mlp, 8 * 8 + 9 * 64 + 65 * 32),
        (pt.turned_prompt, 32 * 8),
    ],
)
def test_a_row_trains_its_own_numbers_and_the_head(row, own):
    found = row(SIZE)
    assert int(found["trained"]) == own + 10 * 8 + 10
    assert found["accuracy"].shape == (2,)
    assert found["losses"].isfinite().all()
    names = {name.split(".")[1] for name in found if name.startswith("learnt.")}
    assert names <= {"model", "prefix", "prompt"}
    learnt = [found[n] for n in found if n.startswith("learnt.pr")]
    assert learnt
    assert all((table[0] != table[1]).any() for table in learnt)


def test_prefix_and_prompt_fit_the_budget():
    size = vit.CPU
    shape = (size.layers, pt.PREFIX, size.heads, size.width // size.heads)
    own = sum(p.numel() for p in pt.Prefix(*shape, seeded()).parameters())
    assert own == pt.PROMPT * size.width == 1_536


@pytest.mark.usefixtures("kept_apart")
def test_the_size_of_a_gpu_takes_a_step():
    size = replace(vit.GPU, pretrain_steps=1, tune_steps=1, batch=2, seeds=1)
    for row in (pt.turned_prefix, pt.turned_prompt):
        assert row(size)["losses"].isfinite().all()
