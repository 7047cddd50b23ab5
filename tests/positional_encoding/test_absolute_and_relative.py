"""`lib.positional_encoding.absolute_and_relative` against independent implementations.

Oracles: transformers' T5, XLNet, DeBERTa, RoFormer and FSMT (the `oracle` extra),
arrays they wrote, loops over pairs, and the claims of the chapter.
"""

import importlib.util
import json
import math
from fractions import Fraction
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from lib.positional_encoding.absolute_and_relative import (
    deberta_scores,
    four_terms,
    rel_shift,
    relative_positions,
    shaw_attention,
    shaw_scores,
    sinusoidal,
    t5_bucket,
    t5_scores,
    xl_attention,
    xl_scores,
)
from tests.draws import normal

GOLDEN = Path(__file__).parent / "golden"
same = torch.testing.assert_close
both_layouts = pytest.mark.parametrize("layout", ["interleaved", "half"])
needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None,
    reason="transformers is not installed: pip install -e '.[oracle]'",
)


@pytest.fixture(scope="module")
def golden():
    path = GOLDEN / "make_absolute.py"
    spec = importlib.util.spec_from_file_location("golden_absolute", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stored(name):
    text = (GOLDEN / f"{name}.json").read_text(encoding="utf-8")
    assert len(text) <= 1024
    return torch.tensor(json.loads(text))


# Oracles


def test_t5_buckets_are_those_of_transformers(golden):
    got = [
        t5_bucket(golden.relative(), buckets, far, both)
        for buckets, far, both in golden.BUCKETS
    ]
    assert torch.stack(got).flatten().tolist() == stored("t5_buckets").tolist()


def test_xl_attention_is_that_of_xlnet(golden):
    q, k, v, r, u, w = golden.xl_inputs()
    got = xl_attention(q, k, v, r, u, w)[0]
    same(got.flatten(), stored("xlnet"), atol=2e-5, rtol=0)


def test_the_half_layout_is_that_of_roformer():
    got = sinusoidal(7, 6, layout="half").flatten().float()
    same(got, stored("roformer"), atol=2e-5, rtol=0)


@needs_transformers
@pytest.mark.parametrize("name", ["t5_buckets", "xlnet", "roformer"])
def test_the_stored_arrays_are_what_transformers_computes(golden, name):
    made = golden.MAKERS[name]().flatten()
    same(made.to(stored(name).dtype), stored(name), atol=1e-5, rtol=0)


@needs_transformers
@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize(("buckets", "far"), [(32, 128), (16, 64), (10, 40), (13, 30)])
def test_buckets_equal_transformers_over_a_thousand_distances(buckets, far, both):
    from transformers.models.t5.modeling_t5 import T5Attention

    rel = torch.arange(-1000, 1001)
    want = T5Attention._relative_position_bucket(rel, both, buckets, far)
    assert torch.equal(t5_bucket(rel, buckets, far, both), want)


@needs_transformers
@pytest.mark.parametrize("decoder", [False, True])
def test_t5_scores_and_their_scale_are_those_of_a_t5_attention(decoder):
    """End to end, so that the missing division by sqrt(d) is seen."""
    from transformers import T5Config
    from transformers.models.t5.modeling_t5 import T5Attention

    config = T5Config(
        d_model=12,
        d_kv=5,
        num_heads=3,
        relative_attention_num_buckets=10,
        relative_attention_max_distance=9,
        dropout_rate=0.0,
        is_decoder=decoder,
        attn_implementation="eager",
    )
    module = T5Attention(config, has_relative_attention_bias=True, layer_idx=0).eval()
    for index, parameter in enumerate(module.parameters()):
        parameter.data = normal(*parameter.shape, seed=index).float() / 3
    x = normal(2, 14, 12, seed=9).float()
    want = module(x)[0]

    def heads(layer):
        return layer(x).unflatten(-1, (3, 5)).transpose(1, 2)

    q, k, v = heads(module.q), heads(module.k), heads(module.v)
    table = module.relative_attention_bias.weight.T
    scores = t5_scores(q, k, table, 9, bidirectional=not decoder)
    if not decoder:
        torch.testing.assert_close(t5_scores(q, k, table, 9), scores)
    got = module.o((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
    same(got, want, atol=1e-5, rtol=1e-4)
    divided = t5_scores(q / 5**0.5, k, table, 9, bidirectional=not decoder)
    assert (divided.softmax(-1) - scores.softmax(-1)).abs().max() > 0.05


@needs_transformers
def test_deberta_scores_are_those_of_transformers_up_to_the_order_of_rows():
    """Their position–content term looks up i - j where the paper has j - i."""
    from transformers import DebertaV2Config
    from transformers.models.deberta_v2.modeling_deberta_v2 import (
        DisentangledSelfAttention,
    )

    heads, d, n, span = 2, 3, 5, 16
    config = DebertaV2Config(
        hidden_size=heads * d,
        num_attention_heads=heads,
        relative_attention=True,
        max_relative_positions=span // 2,
        pos_att_type=["c2p", "p2c"],
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    module = DisentangledSelfAttention(config).double().eval()
    x, rows = normal(1, n, heads * d), normal(span, heads * d, seed=1)
    mask = torch.ones(1, 1, n, n)
    _, want = module(x, mask, output_attentions=True, rel_embeddings=rows)

    def project(layer, y):
        return layer(y).unflatten(-1, (heads, d)).transpose(-3, -2)

    q, k = project(module.query_proj, x), project(module.key_proj, x)
    r_k = project(module.pos_key_proj, rows)
    r_q = project(module.pos_query_proj, rows)
    reverse = (span - torch.arange(span)) % span
    got = deberta_scores(q, k, r_q[:, reverse], r_k).softmax(-1)
    same(got, want)
    assert not torch.allclose(deberta_scores(q, k, r_q, r_k).softmax(-1), want)


@needs_transformers
def test_fsmt_has_the_other_exponent_and_other_products():
    from transformers.models.fsmt.modeling_fsmt import SinusoidalPositionalEmbedding

    n, d = 9, 10
    theirs = SinusoidalPositionalEmbedding.get_embedding(n, d, None).double()
    frequency = 1e4 ** (-torch.arange(d // 2).double() / (d // 2 - 1))
    distance = torch.arange(n)[:, None] - torch.arange(n)
    want = (distance[..., None] * frequency).cos().sum(-1)
    same(theirs @ theirs.T, want, atol=1e-5, rtol=0)
    ours = sinusoidal(n, d)
    assert (ours @ ours.T - want).abs().max() > 0.1


# Sinusoids


@both_layouts
def test_row_zero_is_zeros_and_ones_and_row_one_the_first_angles(layout):
    table = sinusoidal(2, 4, 100.0, layout)
    angles = [1.0, 0.1]
    sine, cosine = map(math.sin, angles), map(math.cos, angles)
    if layout == "interleaved":
        start, want = [0, 1, 0, 1], [x for pair in zip(sine, cosine) for x in pair]
    else:
        start, want = [0, 0, 1, 1], [*sine, *cosine]
    assert table[0].tolist() == start
    assert table[1].tolist() == pytest.approx(want)


@both_layouts
def test_products_depend_on_the_distance_only_by_the_closed_form(layout):
    n, d, base = 30, 12, 500.0
    table = sinusoidal(n, d, base, layout)
    theta = base ** (-torch.arange(0, d, 2).double() / d)
    distance = torch.arange(n)[:, None] - torch.arange(n)
    same(table @ table.T, (distance[..., None] * theta).cos().sum(-1))
    same(table.square().sum(-1), torch.full((n,), d / 2).double())


def test_layouts_are_one_permutation_apart():
    order = [0, 2, 4, 1, 3, 5]
    same(sinusoidal(9, 6)[:, order], sinusoidal(9, 6, layout="half"))


@both_layouts
def test_one_orthogonal_matrix_moves_every_position(layout):
    table = sinusoidal(40, 6, 50.0, layout)
    for m in (1, 7):
        shift = torch.linalg.lstsq(table[:20], table[m : 20 + m]).solution
        same(table[:-m] @ shift, table[m:])
        same(shift @ shift.T, torch.eye(6, dtype=torch.float64))


# Equivariance and the four terms


def test_attention_is_equivariant_and_the_schemes_are_not():
    q, k, v = normal(3, 1, 2, 6, 4)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    plain = F.scaled_dot_product_attention
    same(plain(*(x[:, :, order] for x in (q, k, v))), plain(q, k, v)[:, :, order])
    r, u = normal(2, 11, 4), normal(2, 4)
    moved = xl_attention(*(x[:, :, order] for x in (q, k, v)), r, u, u)
    assert not torch.allclose(moved, xl_attention(q, k, v, r, u, u)[:, :, order])


def test_the_four_terms_of_an_absolute_encoding_are_the_four_products():
    x, y, p = normal(3, 5, 4)
    m = normal(4, 4, seed=1)
    terms = four_terms(lambda a, b: (a + p) @ m @ (b + p).T, x, y)
    pairs = [(x, y), (x, p), (p, y), (p, p)]
    for got, (left, right) in zip(terms.values(), pairs, strict=True):
        same(got, left @ m @ right.T)
    same(sum(terms.values()), (x + p) @ m @ (y + p).T)


def test_each_scheme_drops_the_terms_that_the_chapter_says():
    q, k = normal(2, 1, 2, 6, 4)
    r_pairs, rows, u = normal(6, 6, 4), normal(2, 11, 4), normal(2, 4)
    schemes = {
        "shaw": lambda a, b: shaw_scores(a, b, r_pairs),
        "xl": lambda a, b: xl_scores(a, b, rows, u, u + 1),
        "t5": lambda a, b: t5_scores(a, b, normal(2, 8), 20),
        "deberta": lambda a, b: deberta_scores(a, b, rows[:, :8], rows[:, :8] + 1),
    }
    kept = {
        name: [bool(term.abs().max() > 1e-9) for term in four_terms(f, q, k).values()]
        for name, f in schemes.items()
    }
    assert kept == {
        "shaw": [True, True, False, False],
        "xl": [True, True, True, True],
        "t5": [True, False, False, True],
        "deberta": [True, True, True, False],
    }


# Relative schemes, against loops over pairs


def test_relative_positions_are_key_minus_query():
    assert relative_positions(2, 3).tolist() == [[0, 1, 2], [-1, 0, 1]]


def test_shaw_attention_is_its_double_sum():
    n, m, d, e = 3, 5, 4, 2
    q, k, v = normal(2, 2, n, d), normal(2, 2, m, d, seed=1), normal(2, 2, m, e, seed=2)
    r_k, r_v = normal(n, m, d, seed=3), normal(n, m, e, seed=4)
    got = shaw_attention(q, k, v, r_k, r_v)
    for i in range(n):
        keys, values = k + r_k[i], v + r_v[i]
        scores = (keys @ q[:, :, i, :, None])[..., 0] / d**0.5
        want = (scores.softmax(-1)[..., None] * values).sum(-2)
        same(got[:, :, i], want)


def test_shaw_with_zero_tables_is_plain_attention():
    q, k, v = normal(3, 1, 2, 4, 6)
    zero = torch.zeros(4, 4, 6, dtype=torch.float64)
    same(shaw_attention(q, k, v, zero, zero), F.scaled_dot_product_attention(q, k, v))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_rel_shift_is_its_definition(n):
    x = normal(2, 3, n, 2 * n - 1)
    i, j = torch.arange(n)[:, None], torch.arange(n)
    same(rel_shift(x), x[..., i, j - i + n - 1])


def test_rel_shift_takes_strides_and_passes_gradients():
    x = normal(7, 4, 2, 1).permute(3, 2, 1, 0)
    same(rel_shift(x), rel_shift(x.contiguous()))
    leaf = normal(1, 1, 3, 5).requires_grad_()
    assert torch.autograd.gradcheck(rel_shift, leaf)
    rel_shift(leaf).sum().backward()
    assert leaf.grad[0, 0].tolist() == [
        [0, 0, 1, 1, 1],
        [0, 1, 1, 1, 0],
        [1, 1, 1, 0, 0],
    ]


def test_xl_scores_are_four_terms_a_pair():
    heads, n, d = 2, 4, 3
    q, k = normal(2, 1, heads, n, d)
    r, u, w = normal(heads, 2 * n - 1, d), normal(heads, d, seed=1), normal(heads, d)
    got = xl_scores(q, k, r, u, w)
    for i in range(n):
        for j in range(n):
            near = r[:, j - i + n - 1]
            terms = q[0, :, i] * k[0, :, j] + q[0, :, i] * near
            terms = terms + u * k[0, :, j] + w * near
            same(got[0, :, i, j], terms.sum(-1) / d**0.5)


def test_deberta_scores_are_three_terms_a_pair():
    heads, n, m, d, c = 2, 4, 6, 3, 2
    q, k = normal(1, heads, n, d), normal(1, heads, m, d, seed=1)
    r_q, r_k = normal(2, heads, 2 * c, d, seed=2)

    def row(a, b):
        return min(max(a - b + c, 0), 2 * c - 1)

    got = deberta_scores(q, k, r_q, r_k)
    for i in range(n):
        for j in range(m):
            terms = q[0, :, i] * k[0, :, j] + q[0, :, i] * r_k[:, row(i, j)]
            terms = terms + k[0, :, j] * r_q[:, row(j, i)]
            same(got[0, :, i, j], terms.sum(-1) / (3 * d) ** 0.5)


# Buckets


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize(("buckets", "far"), [(32, 128), (10, 40), (7, 17), (64, 300)])
def test_buckets_are_right_in_whole_numbers(buckets, far, both):
    """floor(log(n/e) / log(max/e) (m - e)) >= c is (n/e)^(m-e) >= (max/e)^c."""
    m = buckets // 2 if both else buckets
    e = m // 2
    distance = torch.arange(500)
    for n, got in zip(range(500), t5_bucket(-distance, buckets, far, both).tolist()):
        want = min(n, e)
        if n >= e:
            power = Fraction(n, e) ** (m - e)
            while want < m - 1 and power >= Fraction(far, e) ** (want + 1 - e):
                want += 1
        assert got == want


def test_directions_differ_by_a_constant_and_buckets_never_fall():
    rel = torch.arange(1, 300)
    before, after = t5_bucket(-rel), t5_bucket(rel)
    assert (after - before).unique().tolist() == [16]
    assert before.diff().min() >= 0
    assert t5_bucket(torch.tensor([0, 5, 99]), bidirectional=False).tolist() == [0] * 3


# Errors


def test_bad_sizes_are_refused(plain_errors):
    with pytest.raises(ValueError, match="d must be even and positive, got 5"):
        sinusoidal(3, 5)
    with pytest.raises(ValueError, match="n must not be negative, got -1"):
        sinusoidal(-1, 4)
    with pytest.raises(ValueError, match="base must be positive, got 0"):
        sinusoidal(3, 4, base=0.0)
    with pytest.raises(ValueError, match=r"layout must be one of .*, got 'sin'"):
        sinusoidal(3, 4, layout="sin")
    with pytest.raises(ValueError, match="x must have 5 columns for 3 rows, got 3"):
        rel_shift(normal(1, 1, 3, 3))


def test_bad_buckets_are_refused(plain_errors):
    rel = torch.arange(3)
    with pytest.raises(ValueError, match="num_buckets must be at least 4, got 3"):
        t5_bucket(rel, 3)
    with pytest.raises(ValueError, match="num_buckets must be at least 2, got 1"):
        t5_bucket(rel, 1, bidirectional=False)
    with pytest.raises(ValueError, match="max_distance must be above 8, got 8"):
        t5_bucket(rel, 32, 8)
