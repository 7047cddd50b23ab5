"""`lib.positional_encoding.length_extrapolation` against others' code and its claims.

Oracles: transformers' Bloom and its scaled frequencies (the `oracle` extra), numbers
they wrote, and loops over pairs of tokens.
"""

import dataclasses
import importlib.util
import json
import math
from pathlib import Path

import pytest
import torch

from lib import language_model as lm
from lib.positional_encoding import length_extrapolation as le
from lib.positional_encoding.rotary import (
    Rotary,
    apply_rope,
    rope_cos_sin,
    rope_inv_freq,
)
from tests.draws import normal, seeded

GOLDEN = Path(__file__).parent / "golden"
same = torch.testing.assert_close
needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None,
    reason="transformers is not installed: pip install -e '.[oracle]'",
)


def tensor(numbers):
    return torch.tensor(numbers, dtype=torch.float64)


@pytest.fixture(scope="module")
def golden():
    path = GOLDEN / "make_length.py"
    spec = importlib.util.spec_from_file_location("make_length", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def stored():
    text = (GOLDEN / "length_extrapolation.json").read_text(encoding="utf-8")
    assert len(text) <= 1024
    return {name: tensor(numbers) for name, numbers in json.loads(text).items()}


# Oracles


def test_slopes_and_frequencies_are_what_transformers_computed(stored):
    close = {"rtol": 1e-5, "atol": 0}
    same(le.alibi_slopes(12), stored["alibi 12"], **close)
    yarn = le.scale_inv_freq(rope_inv_freq(24, 5000.0), "yarn", 6.0, 700)
    same(yarn, stored["yarn 24"][:-1], **close)
    assert le.yarn_mscale(6.0) == pytest.approx(float(stored["yarn 24"][-1]), rel=1e-5)
    s = le.dynamic_stretch(350, 100, alpha=2.0)
    dynamic = le.scale_inv_freq(rope_inv_freq(10, 300.0), "ntk", s, 100)
    same(dynamic, stored["dynamic 10"][:-1], **close)
    linear = le.scale_inv_freq(rope_inv_freq(6, 50.0), "pi", 3.0, 100)
    same(linear, stored["linear 6"][:-1], **close)


@needs_transformers
def test_the_stored_numbers_are_what_transformers_computes(golden, stored):
    for name, make in golden.MAKERS.items():
        same(tensor(make()), stored[name], rtol=1e-5, atol=0)


@needs_transformers
def test_slopes_are_blooms_for_any_number_of_heads(golden):
    for n_heads in range(1, 34):
        want = tensor(golden.alibi(n_heads))
        same(le.alibi_slopes(n_heads), want, rtol=1e-5, atol=0)


@needs_transformers
@pytest.mark.parametrize(
    ("d", "base", "length", "s"),
    [
        (16, 1e4, 64, 2.0),
        (16, 1e4, 64, 8.0),
        (128, 1e4, 4096, 16.0),
        (64, 5e5, 8192, 4.0),
        (16, 10.0, 475, 4.0),  # the slow end lies beyond the last channel
    ],
)
def test_frequencies_are_those_of_transformers(golden, d, base, length, s):
    inv_freq = rope_inv_freq(d, base)
    for method, kind in (("yarn", "yarn"), ("pi", "linear")):
        want = tensor(golden.frequencies(kind, d, base, length, s)[:-1])
        got = le.scale_inv_freq(inv_freq, method, s, length)
        same(got, want, rtol=1e-4, atol=0)
    for n in (length // 2, 3 * length):
        want = tensor(golden.frequencies("dynamic", d, base, length, s, n)[:-1])
        stretch = le.dynamic_stretch(n, length, s)
        got = le.scale_inv_freq(inv_freq, "ntk", stretch, length)
        same(got, want, rtol=1e-4, atol=0)


# ALiBi


def test_slopes_of_a_power_of_two_fall_in_equal_ratios_to_one_256th():
    for n_heads in (2, 8, 32):
        slopes = le.alibi_slopes(n_heads)
        same(slopes[1:] / slopes[:-1], tensor([2 ** (-8 / n_heads)] * (n_heads - 1)))
        assert float(slopes[-1]) == pytest.approx(2**-8)


def test_the_bias_is_slope_times_relative_position_and_hides_later_keys():
    bias = le.alibi_bias(3, 2, 5)
    for h, slope in enumerate(le.alibi_slopes(3).tolist()):
        for row, i in enumerate((3, 4)):
            for j in range(5):
                want = slope * (j - i) if j <= i else -math.inf
                assert float(bias[h, row, j]) == pytest.approx(want)


def test_alibi_attends_as_its_formula_says_at_every_length():
    encoding = le.Alibi(3)
    for n in (1, 5, 9, 5):
        q, k, v = normal(3, 2, 3, n, 4, seed=n)
        scores = q @ k.mT / 2 + le.alibi_bias(3, n, n)
        got = encoding.attend(q, k, v, torch.arange(n))
        same(got, scores.softmax(-1) @ v)
    assert not list(encoding.parameters())


# Frequencies


@pytest.mark.parametrize("method", le.METHODS)
def test_a_stretch_of_one_changes_nothing(method):
    inv_freq = rope_inv_freq(12, 700.0)
    same(le.scale_inv_freq(inv_freq, method, 1.0, 500), inv_freq)


@pytest.mark.parametrize("method", le.METHODS)
@pytest.mark.parametrize(("d", "length"), [(16, 64), (128, 4096)])
def test_frequencies_stay_in_order_and_slow_down_by_one_to_s(method, d, length):
    inv_freq = rope_inv_freq(d)
    scaled = le.scale_inv_freq(inv_freq, method, 6.0, length)
    assert (scaled.diff() < 0).all()
    slowed = inv_freq / scaled
    assert (slowed.diff() > -1e-9).all()
    assert slowed.min() > 1 - 1e-9
    same(slowed[-1], tensor(6.0))


def test_ntk_is_another_base():
    for d, s in [(4, 3.0), (16, 8.0), (128, 1.7)]:
        got = le.scale_inv_freq(rope_inv_freq(d, 500.0), "ntk", s, 64)
        same(got, rope_inv_freq(d, 500.0 * s ** (d / (d - 2))))


def test_mixed_base_is_the_released_code():
    d, s, b = 20, 12.0, 0.75
    a = math.log(s) / (d / 2) ** b
    m = torch.arange(1, d // 2 + 1).double()
    want = rope_inv_freq(d) * torch.exp(-a * m**b)
    same(le.scale_inv_freq(rope_inv_freq(d), "ntk_mixed", s, 64), want)


def test_yarn_keeps_what_turns_fast_and_interpolates_what_does_not():
    inv_freq, length = rope_inv_freq(128), 4096
    kept = le.yarn_kept(inv_freq, length)
    turns = length * inv_freq / (2 * math.pi)
    assert (kept[turns > 32 * 1.2] == 1).all()
    assert (kept[turns < 1 / 1.2] == 0).all()
    between = kept[(kept > 0) & (kept < 1)]
    same(between.diff(), between.diff()[:1].expand(len(between) - 1))


def test_yarn_counts_turns_whatever_the_unit_of_length():
    """Frequencies that do not begin at 1, as of positions counted in other steps."""
    inv_freq = rope_inv_freq(64)
    for unit in (0.25, 3.0):
        got = le.yarn_kept(inv_freq * unit, 4096 / unit)
        same(got, le.yarn_kept(inv_freq, 4096))


def test_yarn_with_equal_ends_has_no_ramp():
    kept = le.yarn_kept(rope_inv_freq(16), 1e9, fast=1e9, slow=1e9)
    assert kept.isfinite().all()


def test_yarns_factor():
    assert le.yarn_mscale(1.0) == 1
    assert le.yarn_mscale(8.0) == pytest.approx(1.2079, abs=5e-5)
    assert le.yarn_mscale(16.0) == pytest.approx(1.2773, abs=5e-5)


def test_the_dynamic_stretch_starts_at_the_training_length():
    assert le.dynamic_stretch(10, 64) == le.dynamic_stretch(64, 64, alpha=4.0) == 1
    assert le.dynamic_stretch(160, 64) == 2.5
    assert le.dynamic_stretch(160, 64, alpha=3.0) == 5.5


# log-n


def test_logn_is_one_up_to_the_training_length_and_a_ratio_of_logarithms_beyond():
    scale = le.logn_scale(torch.arange(200), 64)
    same(scale[:64], torch.ones(64).double())
    assert float(scale[199]) == pytest.approx(math.log(200) / math.log(64))
    same(le.logn_scale(torch.arange(4), 2)[3], tensor(2.0))
    rows = le.logn_scale(torch.tensor([[0, 99], [63, 4095]]), 64)
    same(rows, tensor([[1, math.log(100) / math.log(64)], [1, 2]]))


def test_sharpened_multiplies_queries_only():
    q, k, v = normal(3, 2, 2, 9, 6)
    positions = torch.arange(9)
    inner = Rotary(rope_inv_freq(6).double())
    sharp = le.Sharpened(inner, lambda p: le.logn_scale(p, 3))
    factor = le.logn_scale(positions, 3)[:, None]
    want = inner.attend(q * factor, k, v, positions)
    same(sharp.attend(q, k, v, positions), want)


# ReRoPE


def by_pairs(q, k, inv_freq, window, leak):
    n = q.shape[-2]
    scores = torch.empty(*q.shape[:2], n, n, dtype=q.dtype)
    for i in range(n):
        for j in range(n):
            t = i - j
            far = t if t < window else window + (t - window) / leak
            tables = rope_cos_sin(tensor([far]), inv_freq)
            turned = apply_rope(q[:, :, i : i + 1], *tables)[:, :, 0]
            scores[:, :, i, j] = (turned * k[:, :, j]).sum(-1)
    return scores


@pytest.mark.parametrize("window", [1, 4, 20])
@pytest.mark.parametrize("leak", [math.inf, 3.5, 1.0])
def test_rerope_is_its_loop_over_pairs(window, leak):
    q, k = normal(2, 2, 3, 9, 6)
    inv_freq = rope_inv_freq(6, 100.0)
    got = le.rerope_scores(q, k, inv_freq, window, leak)
    same(got, by_pairs(q, k, inv_freq, window, leak))


def test_rerope_without_a_cut_or_without_a_leak_is_rope():
    q, k = normal(2, 1, 2, 8, 4)
    inv_freq = rope_inv_freq(4)
    tables = rope_cos_sin(torch.arange(8), inv_freq)
    want = apply_rope(q, *tables) @ apply_rope(k, *tables).mT
    same(le.rerope_scores(q, k, inv_freq, window=8), want)
    same(le.rerope_scores(q, k, inv_freq, window=2, leak=1.0), want)


def test_beyond_the_window_order_is_forgotten():
    q, k = (y.expand(1, 1, 12, 8) for y in normal(2, 1, 1, 1, 8))
    scores = le.rerope_scores(q, k, rope_inv_freq(8), window=3)[0, 0]
    same(scores[11, :9], scores[11, :1].expand(9))
    leaky = le.rerope_scores(q, k, rope_inv_freq(8), window=3, leak=1e9)[0, 0]
    same(leaky.tril(), scores.tril())


def test_the_gradient_of_rerope():
    q, k = (y.requires_grad_() for y in normal(2, 1, 1, 4, 4))
    inv_freq = rope_inv_freq(4)
    assert torch.autograd.gradcheck(
        lambda q, k: le.rerope_scores(q, k, inv_freq, 2, 3.0), (q, k)
    )


# Encodings of the language model


def encodings(d, heads):
    inv_freq = rope_inv_freq(d)
    return {
        "alibi": le.Alibi(heads),
        "window": le.Window(inv_freq, 3),
        "rerope": le.ReRoPE(inv_freq, 3),
        "leaky": le.ReRoPE(inv_freq, 3, leak=4.0),
        "sharp": le.Sharpened(le.ReRoPE(inv_freq, 3), lambda p: le.logn_scale(p, 4)),
    }


@pytest.mark.parametrize("name", ["alibi", "window", "rerope", "leaky", "sharp"])
def test_attention_is_causal_and_averages_values(name):
    encoding = encodings(4, 2)[name]
    q, k, v = normal(3, 2, 2, 7, 4).float()
    positions = torch.arange(7)
    whole = encoding.attend(q, k, v, positions)
    part = encoding.attend(*(y[:, :, :5] for y in (q, k, v)), positions[:5])
    same(whole[:, :, :5], part)
    level = torch.full_like(v, 3.0)
    same(encoding.attend(q, k, level, positions), level)


def test_a_window_forgets_what_leaves_it_and_rerope_does_not():
    q, k, v = normal(3, 1, 2, 9, 4).float()
    moved = v.clone()
    moved[:, :, 2] += 1
    positions = torch.arange(9)
    for name, seen in (("window", False), ("rerope", True), ("alibi", True)):
        encoding = encodings(4, 2)[name]
        before = encoding.attend(q, k, v, positions)[:, :, 8]
        after = encoding.attend(q, k, moved, positions)[:, :, 8]
        assert torch.equal(before, after) is not seen


def test_a_window_counts_the_token_itself():
    for i, row in enumerate(le.within(6, 3).tolist()):
        assert [j for j, seen in enumerate(row) if seen] == [
            j for j in (i - 2, i - 1, i) if j >= 0
        ]


def test_a_window_as_long_as_the_text_and_an_uncut_rerope_are_rope():
    q, k, v = normal(3, 2, 2, 6, 8).float()
    positions = torch.arange(6)
    want = Rotary(rope_inv_freq(8)).attend(q, k, v, positions)
    same(le.Window(rope_inv_freq(8), 6).attend(q, k, v, positions), want)
    same(le.ReRoPE(rope_inv_freq(8), 6).attend(q, k, v, positions), want)


def test_the_gpu_size_takes_a_step_with_alibi():
    size = dataclasses.replace(lm.GPU, batch=1, steps=1)
    draw = seeded()
    model = lm.LanguageModel(7, size, le.Alibi(size.heads), draw)
    data = torch.randint(7, (size.length + 2,), generator=draw)
    assert lm.train(model, data, size, draw).isfinite().all()


# Errors


def test_bad_arguments_are_named(plain_errors):
    inv_freq = rope_inv_freq(8)
    q = normal(1, 1, 3, 8)
    for call, words in [
        (lambda: le.alibi_slopes(0), "n_heads must be positive, got 0"),
        (lambda: le.alibi_bias(2, 4, 3), "nq must be at most nk = 3, got 4"),
        (lambda: le.scale_inv_freq(inv_freq, "pi", 0.5, 64), "s must be at least 1"),
        (lambda: le.scale_inv_freq(inv_freq, "ntk-aware", 2, 64), "got 'ntk-aware'"),
        (lambda: le.scale_inv_freq(inv_freq[:1], "pi", 2, 64), "inv_freq must hold 2"),
        (lambda: le.yarn_mscale(0.9), "s must be at least 1, got 0.9"),
        (lambda: le.logn_scale(torch.arange(3), 1), "length must be at least 2, got 1"),
        (lambda: le.rerope_scores(q, q, inv_freq, 0), "window must be positive, got 0"),
        (lambda: le.rerope_scores(q, q, inv_freq, 2, 0.5), "leak must be at least 1"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()
