"""NF4: the code book, the nearest code, what is kept exactly, what it costs."""

import copy

import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from lib.peft import quantisation as q
from tests.draws import seeded

# As printed in appendix E of QLoRA and stored in bitsandbytes.
PRINTED = [
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
]


def test_the_code_book_is_the_published_one():
    torch.testing.assert_close(
        q.nf4_codebook(), torch.tensor(PRINTED), atol=3e-7, rtol=0
    )


def test_the_code_book_is_quantiles_by_scipy():
    edge = 0.9677083
    above = stats.norm.ppf(torch.linspace(0.5, edge, 9).double()[1:])
    below = stats.norm.ppf(torch.linspace(0.5, edge, 8).double()[1:])
    want = torch.tensor([*-below[::-1], 0.0, *above]) / above[-1]
    torch.testing.assert_close(q.nf4_codebook(), want.float(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("book", [q.nf4_codebook(), q.int4_codebook()])
def test_a_weight_goes_to_its_nearest_value(book):
    w = torch.randn(6, 32, generator=seeded())
    codes, scale = q.nf4_quantize(w, book, block=48)
    rows = w.reshape(4, 48)
    assert torch.equal(scale, rows.abs().max(1).values)
    error = (rows - book[codes.long()] * scale[:, None]).abs()
    for k in range(len(book)):
        assert (error <= (rows - book[k] * scale[:, None]).abs() + 1e-6).all()


def test_the_largest_of_a_block_and_zero_are_exact():
    w = torch.randn(5, 64, generator=seeded(1))
    w[:, 3] = 0.0
    back = q.nf4_dequantize(*q.nf4_quantize(w), (5, 64))
    place = w.abs().argmax(1, keepdim=True)
    assert torch.equal(back.gather(1, place), w.gather(1, place))
    assert (back[:, 3] == 0).all()


def test_a_block_of_zeros_stays_zero():
    back = q.nf4_dequantize(*q.nf4_quantize(torch.zeros(2, 64)), (2, 64))
    assert torch.equal(back, torch.zeros(2, 64))


def test_the_sign_and_the_scale_of_the_weights_do_not_matter():
    w = torch.randn(4, 64, generator=seeded(2))
    back = q.nf4_dequantize(*q.nf4_quantize(w), (4, 64))
    scaled = q.nf4_dequantize(*q.nf4_quantize(0.125 * w), (4, 64))
    assert torch.equal(scaled, 0.125 * back)
    book = q.nf4_codebook()
    assert not torch.equal(book, -book.flip(0))  # so the sign matters a little


def test_int4_has_fifteen_values_at_equal_distances_from_minus_one_to_one():
    torch.testing.assert_close(q.int4_codebook(), torch.linspace(-1, 1, 15))


def test_an_error_is_the_length_that_is_lost_over_the_length_there_was():
    w, book = torch.tensor([1.0, 0.4, -0.4, 0.0]), torch.tensor([-1.0, 0.0, 1.0])
    got = q.root_mean_square_error(w, book, block=4)
    assert got == pytest.approx((0.32 / 1.32) ** 0.5)


def test_on_normal_weights_nf4_errs_less_than_int4():
    for seed in range(3):
        w = torch.randn(1000, 64, generator=seeded(seed))
        nf4 = q.root_mean_square_error(w, q.nf4_codebook())
        int4 = q.root_mean_square_error(w, q.int4_codebook())
        assert nf4 < 0.9 * int4


def test_on_uniform_weights_int4_errs_less():
    for seed in range(3):
        w = torch.rand(1000, 64, generator=seeded(seed)) - 0.5
        nf4 = q.root_mean_square_error(w, q.nf4_codebook())
        int4 = q.root_mean_square_error(w, q.int4_codebook())
        assert int4 < 0.9 * nf4


def test_a_smaller_block_errs_less():
    w = torch.randn(1000, 64, generator=seeded(3))
    errors = [
        q.root_mean_square_error(w, q.nf4_codebook(), b) for b in (16, 64, 256, 1000)
    ]
    assert errors == sorted(errors)


def test_scales_are_off_by_half_a_step():
    scale = 1 + torch.rand(600, generator=seeded(4))
    codes, step, mean = q.double_quantize(scale)
    assert codes.dtype == torch.uint8
    assert step.shape == (3,)
    off = (q.double_dequantize(codes, step, mean) - scale).abs()
    assert (off <= 0.501 * step.repeat_interleave(256)[:600] + 1e-6).all()
    equal = torch.full((10,), 0.7)
    back = q.double_dequantize(*q.double_quantize(equal))
    torch.testing.assert_close(back, equal)


def test_bits_are_those_of_the_paper():
    assert q.bits_per_weight() == 4.5
    assert q.bits_per_weight(double=True) == 4 + (8 + 32 / 256) / 64


def test_a_layer_computes_with_what_it_stores_and_is_smaller():
    linear = torch.nn.Linear(32, 10)
    layer = q.NF4Linear(linear, block=64)
    want = q.nf4_dequantize(*q.nf4_quantize(linear.weight.detach()), (10, 32))
    x = torch.randn(3, 2, 32, generator=seeded(5), requires_grad=True)
    torch.testing.assert_close(layer(x), F.linear(x, want, linear.bias))
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad, want.sum(0).expand(3, 2, 32))
    assert not list(layer.parameters())
    assert layer.packed.numel() == 10 * 32 // 2
    again = copy.deepcopy(layer)
    again.load_state_dict(layer.state_dict())
    torch.testing.assert_close(again(x), layer(x))


def test_a_layer_without_a_bias():
    linear = torch.nn.Linear(8, 8, bias=False)
    layer = q.NF4Linear(linear, block=16)
    x = torch.randn(4, 8, generator=seeded(6))
    torch.testing.assert_close(layer(x), x @ layer.weight.T)


def test_weights_that_fill_no_block_are_refused(plain_errors):
    with pytest.raises(ValueError, match="multiple of 64 numbers, got 65"):
        q.nf4_quantize(torch.zeros(65))
