"""`lib.positional_encoding.rotary` against independent implementations and its claims.

Oracles: transformers' LLaMA and GPT-J (the `oracle` extra), arrays they wrote, complex
arithmetic, and loops over pairs.
"""

import dataclasses
import importlib.util
import json
from pathlib import Path

import pytest
import torch

from lib import language_model as lm
from lib import text
from lib.positional_encoding.rotary import (
    Rotary,
    apply_rope,
    permute_rope_layout,
    rope_2d,
    rope_cos_sin,
    rope_inv_freq,
    rope_linear_attention,
    text_model,
)
from tests.draws import normal, seeded

GOLDEN = Path(__file__).parent / "golden"
LAYOUTS = ("interleaved", "half")
both_layouts = pytest.mark.parametrize("layout", LAYOUTS)
needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None,
    reason="transformers is not installed: pip install -e '.[oracle]'",
)


def turn(x, pos, layout="interleaved", base=1e4):
    pos = torch.as_tensor(pos)
    cos, sin = rope_cos_sin(pos, rope_inv_freq(x.shape[-1], base))
    return apply_rope(x, cos, sin, layout)


@pytest.fixture(scope="module")
def golden():
    spec = importlib.util.spec_from_file_location("golden", GOLDEN / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stored(name):
    text = (GOLDEN / f"{name}.json").read_text(encoding="utf-8")
    assert len(text) <= 1024
    return torch.tensor(json.loads(text))


# Oracles


@pytest.mark.parametrize(
    ("name", "layout"), [("llama_half", "half"), ("gptj_interleaved", "interleaved")]
)
def test_equal_to_what_transformers_computed(golden, name, layout):
    got = turn(golden.queries(), golden.POSITIONS, layout)
    torch.testing.assert_close(got.flatten(), stored(name), atol=2e-5, rtol=0)


@needs_transformers
@pytest.mark.parametrize("name", ["llama_half", "gptj_interleaved"])
def test_the_stored_arrays_are_what_transformers_computes(golden, name):
    made = golden.MAKERS[name]().flatten()
    torch.testing.assert_close(made, stored(name), atol=1e-6, rtol=0)


@needs_transformers
def test_converted_weights_leave_a_llama_attention_as_it_was():
    """Grouped queries: 4 query heads share 2 key heads. The module is half-split."""
    from transformers import LlamaConfig
    from transformers.models.llama import modeling_llama

    heads, kv_heads, d, width, n = 4, 2, 6, 12, 7
    config = LlamaConfig(
        hidden_size=width,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=d,
        attn_implementation="eager",
    )
    module = modeling_llama.LlamaAttention(config, layer_idx=0)
    for index, parameter in enumerate(module.parameters()):
        parameter.data = normal(*parameter.shape, seed=index).float()
    x = normal(1, n, width).float()
    rotary = modeling_llama.LlamaRotaryEmbedding(config)
    tables = rotary(x, torch.arange(n)[None])
    causal = torch.full((n, n), -torch.inf).triu(1)[None, None]
    want, _ = module(x, position_embeddings=tables, attention_mask=causal)

    def project(layer, n_heads, convert):
        weight = layer.weight
        if convert:
            weight = permute_rope_layout(weight, n_heads, "half", "interleaved")
        return (x @ weight.T).view(1, n, n_heads, d).transpose(1, 2)

    q = turn(project(module.q_proj, heads, True), torch.arange(n), "interleaved")
    k = turn(project(module.k_proj, kv_heads, True), torch.arange(n), "interleaved")
    v = project(module.v_proj, kv_heads, False)
    k, v = (y.repeat_interleave(heads // kv_heads, 1) for y in (k, v))
    weights = (q @ k.mT / d**0.5 + causal).softmax(-1)
    got = module.o_proj((weights @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)


@both_layouts
def test_equal_to_complex_multiplication(layout):
    x, pos = normal(2, 3, 5, 8), torch.tensor([0.0, 1, 2.5, -4, 1000])
    pairs = x.unflatten(-1, (-1, 2)) if layout == "interleaved" else None
    if pairs is None:
        pairs = x.unflatten(-1, (2, -1)).mT
    phase = torch.polar(torch.ones(5, 4).double(), pos[:, None] * rope_inv_freq(8))
    want = torch.view_as_complex(pairs.contiguous()) * phase
    got = turn(x, pos, layout)
    got = got.unflatten(-1, (-1, 2) if layout == "interleaved" else (2, -1))
    a, b = got.unbind(-1 if layout == "interleaved" else -2)
    torch.testing.assert_close(torch.complex(a, b), want)


# Frequencies


def test_frequencies_fall_from_one_in_equal_ratios():
    frequencies = rope_inv_freq(128)
    assert frequencies[0] == 1
    torch.testing.assert_close(
        frequencies[1:] / frequencies[:-1],
        torch.full((63,), 1e4 ** (-2 / 128), dtype=torch.float64),
    )
    assert rope_inv_freq(4, base=100.0).tolist() == pytest.approx([1, 0.1])


def test_cosines_have_the_shape_of_the_positions():
    inv_freq = rope_inv_freq(6)
    for shape in [(5,), (2, 5)]:
        cos, sin = rope_cos_sin(torch.ones(shape), inv_freq)
        assert cos.shape == sin.shape == (*shape, 3)
        torch.testing.assert_close(cos[..., 0], torch.ones(shape).double().cos())


# Invariants


@both_layouts
def test_position_zero_changes_nothing(layout):
    x = normal(1, 2, 3, 6)
    torch.testing.assert_close(turn(x, torch.zeros(3), layout), x)


@both_layouts
def test_scores_depend_only_on_distance(layout):
    q, k = normal(2, 1, 4, 1, 16)
    far = [(12.0, 5.0), (7.0, 0.0), (1007.0, 1000.0), (-1.5, -8.5)]
    scores = [turn(q, [m], layout) @ turn(k, [n], layout).mT for m, n in far]
    for score in scores[1:]:
        torch.testing.assert_close(score, scores[0])
    other = turn(q, [12.0], layout) @ turn(k, [6.0], layout).mT
    assert not torch.allclose(other, scores[0])


@both_layouts
def test_every_length_is_kept(layout):
    x = normal(2, 3, 9, 10)
    turned = turn(x, torch.arange(9), layout)
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))


@both_layouts
def test_turns_add_up(layout):
    x, m, n = normal(1, 1, 4, 6), torch.arange(4), torch.tensor([3, -2, 0, 9])
    torch.testing.assert_close(
        turn(turn(x, m, layout), n, layout), turn(x, m + n, layout)
    )


@both_layouts
def test_the_gradient_is_turned_back(layout):
    x = normal(2, 1, 5, 8).requires_grad_()
    upstream, pos = normal(2, 1, 5, 8, seed=1), torch.arange(5)
    turn(x, pos, layout).backward(upstream)
    torch.testing.assert_close(x.grad, turn(upstream, -pos, layout))
    small = normal(1, 1, 2, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: turn(y, pos[:2], layout), small)


@both_layouts
def test_rows_of_a_batch_may_stand_at_different_places(layout):
    x = normal(2, 3, 4, 6)
    pos = torch.tensor([[0, 1, 2, 3], [5, 6, 7.5, 8]])
    got = turn(x, pos, layout)
    for row in range(2):
        torch.testing.assert_close(
            got[row], turn(x[row : row + 1], pos[row], layout)[0]
        )


@both_layouts
def test_dtype_is_kept_and_arguments_too(layout):
    x = normal(1, 2, 3, 4)
    before = x.clone()
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        assert turn(x.to(dtype), torch.arange(3), layout).dtype == dtype
    torch.testing.assert_close(x, before, rtol=0, atol=0)


def test_strides_make_no_difference():
    x = normal(2, 5, 3, 8).transpose(1, 2)
    torch.testing.assert_close(
        turn(x, torch.arange(5)), turn(x.contiguous(), torch.arange(5))
    )


# Layouts


def test_layouts_differ_by_one_permutation_of_channels():
    x = normal(1, 2, 5, 10)
    order = torch.cat((torch.arange(0, 10, 2), torch.arange(1, 10, 2)))
    pos = torch.arange(5)
    torch.testing.assert_close(
        turn(x, pos, "interleaved")[..., order], turn(x[..., order], pos, "half")
    )
    assert not torch.allclose(turn(x, pos, "interleaved"), turn(x, pos, "half"))


@both_layouts
def test_converted_weights_give_the_same_scores(layout):
    other = LAYOUTS[1 - LAYOUTS.index(layout)]
    heads, d, width = 3, 6, 7
    x, pos = normal(1, 5, width), torch.arange(5)
    wq, wk = normal(2, heads * d, width, seed=1)

    def scores(wq, wk, layout):
        q, k = ((x @ w.T).view(1, 5, heads, d).transpose(1, 2) for w in (wq, wk))
        return turn(q, pos, layout) @ turn(k, pos, layout).mT

    converted = [permute_rope_layout(w, heads, layout, other) for w in (wq, wk)]
    want = scores(wq, wk, layout)
    torch.testing.assert_close(scores(*converted, other), want)
    assert not torch.allclose(scores(wq, wk, other), want)


def test_there_and_back_is_exact_for_weights_and_biases():
    for weight in (normal(24, 5), normal(24)):
        there = permute_rope_layout(weight, 3, "interleaved", "half")
        back = permute_rope_layout(there, 3, "half", "interleaved")
        torch.testing.assert_close(back, weight, rtol=0, atol=0)
        assert not torch.equal(there, weight)


def test_a_layout_to_itself_is_a_copy():
    weight = normal(8, 2)
    same = permute_rope_layout(weight, 2, "half", "half")
    torch.testing.assert_close(same, weight, rtol=0, atol=0)
    assert same.data_ptr() != weight.data_ptr()


# Two dimensions


def test_scores_of_an_image_depend_on_the_two_distances():
    """The same query everywhere, and the same key: a row and a column of each."""
    h, w = 4, 5
    q, k = (y.expand(1, 1, h * w, 8) for y in normal(2, 1, 1, 1, 8))
    scores = (rope_2d(q, (h, w)) @ rope_2d(k, (h, w)).mT).view(h, w, h, w)
    torch.testing.assert_close(scores[0, 1, 2, 3], scores[1, 2, 3, 4])
    torch.testing.assert_close(scores[3, 0, 1, 4], scores[2, 0, 0, 4])
    assert (scores[0, 1, 2, 3] - scores[0, 1, 3, 2]).abs() > 1e-3


def test_a_single_row_turns_its_second_half_only():
    x = normal(2, 3, 5, 8)
    got = rope_2d(x, (1, 5))
    torch.testing.assert_close(got[..., :4], x[..., :4])
    torch.testing.assert_close(got[..., 4:], turn(x[..., 4:], torch.arange(5)))


# Linear attention


def features(x):
    return torch.nn.functional.elu(x) + 1


def test_linear_attention_is_its_double_sum():
    q, k, v = normal(2, 3, 5, 4), normal(2, 3, 5, 4, seed=1), normal(2, 3, 5, 2, seed=2)
    got = rope_linear_attention(q, k, v, features)
    pos = torch.arange(5)
    rq, rk = turn(features(q), pos), turn(features(k), pos)
    for m in range(5):
        above, below = 0, 0
        for n in range(m + 1):
            weight = (rq[:, :, m] * rk[:, :, n]).sum(-1, keepdim=True)
            above = above + weight * v[:, :, n]
            plain = features(q)[:, :, m] * features(k)[:, :, n]
            below = below + plain.sum(-1, keepdim=True)
        torch.testing.assert_close(got[:, :, m], above / below)


def test_a_prefix_gives_a_prefix_and_one_token_its_own_value():
    q, k, v = normal(3, 1, 2, 6, 4)
    whole = rope_linear_attention(q, k, v, torch.exp)
    part = rope_linear_attention(q[:, :, :4], k[:, :, :4], v[:, :, :4], torch.exp)
    torch.testing.assert_close(whole[:, :, :4], part)
    torch.testing.assert_close(whole[:, :, 0], v[:, :, 0])


# The encoding of the language model


def test_the_encoding_turns_queries_and_keys_but_not_values():
    q, k, v = normal(3, 2, 2, 6, 8).float()
    pos = torch.arange(6)
    got = Rotary(rope_inv_freq(8)).attend(q, k, v, pos)
    want = lm.Encoding().attend(turn(q, pos), turn(k, pos), v, pos)
    torch.testing.assert_close(got, want)


def test_the_encoding_moves_with_its_positions():
    """Shifting all positions alike changes nothing: no position is special."""
    q, k, v = normal(3, 1, 2, 6, 8).float()
    rotary = Rotary(rope_inv_freq(8))
    near = rotary.attend(q, k, v, torch.arange(6))
    far = rotary.attend(q, k, v, torch.arange(6) + 50)
    torch.testing.assert_close(near, far, atol=1e-5, rtol=1e-4)


def test_the_encoding_has_nothing_to_learn():
    assert not list(Rotary(rope_inv_freq(8)).parameters())


def test_the_gpu_size_takes_a_step_with_rotary():
    size = dataclasses.replace(lm.GPU, batch=1, steps=1)
    draw = seeded()
    encoding = Rotary(rope_inv_freq(size.width // size.heads))
    model = lm.LanguageModel(7, size, encoding, draw)
    data = torch.randint(7, (size.length + 2,), generator=draw)
    assert lm.train(model, data, size, draw).isfinite().all()


# Errors


@pytest.mark.parametrize("d", [0, 3, -2])
def test_an_odd_width_is_refused(plain_errors, d):
    with pytest.raises(ValueError, match=f"d must be even and positive, got {d}"):
        rope_inv_freq(d)


def test_a_base_that_is_not_positive_is_refused(plain_errors):
    with pytest.raises(ValueError, match="base must be positive, got -1"):
        rope_inv_freq(4, base=-1.0)


def test_an_unknown_layout_is_named(plain_errors):
    with pytest.raises(ValueError, match=r"layout must be one of .*, got 'neox'"):
        turn(normal(1, 1, 2, 4), torch.arange(2), "neox")
    for name, src, dst in (("src", "neox", "half"), ("dst", "half", "neox")):
        with pytest.raises(ValueError, match=f"{name} must be one of"):
            permute_rope_layout(normal(8, 2), 2, src, dst)


def test_tables_of_the_wrong_shape_are_refused(plain_errors):
    x = normal(2, 1, 3, 8)
    cos, sin = rope_cos_sin(torch.arange(3), rope_inv_freq(8))
    for wrong in (cos[:2], cos[:, :2], cos.expand(3, 3, 4), cos.repeat(1, 2)):
        with pytest.raises(ValueError, match=r"cos must have shape \(3, 4\) or"):
            apply_rope(x, wrong, sin)
    with pytest.raises(ValueError, match=r"sin must have shape"):
        apply_rope(x, cos, sin[:1])


@pytest.mark.parametrize("n_heads", [0, 5, 8])
def test_heads_that_do_not_divide_the_rows_are_refused(plain_errors, n_heads):
    with pytest.raises(ValueError, match=f"even heads, got {n_heads}"):
        permute_rope_layout(normal(24, 2), n_heads, "half", "interleaved")


def test_an_image_that_does_not_fit_is_refused(plain_errors):
    with pytest.raises(ValueError, match="hw must multiply to 6 tokens"):
        rope_2d(normal(1, 1, 6, 8), (2, 2))
    with pytest.raises(ValueError, match="multiple of 4 channels, got 6"):
        rope_2d(normal(1, 1, 6, 6), (2, 3))


def test_the_text_model_is_the_chapters_whole():
    """Its weights load, it has RoPE, and the same seeds train it to the same losses."""
    size = lm.Size(
        layers=1, heads=2, width=8, length=8, batch=2, steps=3, learning_rate=0.01
    )
    made = text_model(size)
    corpus = text.python_topics()
    symbols = text.vocabulary(corpus)
    start = torch.Generator().manual_seed(1)  # lib's seed
    model = lm.LanguageModel(len(symbols), size, Rotary(rope_inv_freq(4)), start)
    tokens, _ = text.split(text.encode(corpus, symbols))
    draw = torch.Generator().manual_seed(2)  # lib's seed
    losses = lm.train(model, tokens, size, draw)
    torch.testing.assert_close(made.pop("losses"), losses)
    assert made.keys() == model.state_dict().keys()
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(made[name], weight)


def test_rows_change_their_places_and_nothing_else():
    rows = torch.arange(12.0)
    want = torch.tensor([0.0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11])
    got = permute_rope_layout(rows, 2, "half", "interleaved")
    torch.testing.assert_close(got, want)
