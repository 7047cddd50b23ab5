"""`lib.attention_efficiency`: tiles, traffic, meters and the kernel.

Oracles: PyTorch's scaled_dot_product_attention with an explicit mask, its logsumexp,
autograd through the whole table, loops over single numbers, and stored values.
"""

import itertools
import math
import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from lib.attention_efficiency import meters, traffic, triton_attention
from lib.attention_efficiency.flash_attention import (
    FlashAttention,
    Stats,
    causal_mask,
    empty_stats,
    finish,
    flash_attention,
    flash_attention_backward,
    merge_stats,
    online_softmax_stats,
    sdpa,
    spans,
    tile_stats,
)
from tests.draws import normal


def qkv(n_q, n_k, d, d_v, *batch, dtype=torch.float64):
    shapes = ((n_q, d), (n_k, d), (n_k, d_v))
    return [normal(*batch, *s, seed=i, dtype=dtype) for i, s in enumerate(shapes)]


def same(got, want, atol=1e-10):
    torch.testing.assert_close(got, want, rtol=0, atol=atol)


def oracle(q, k, v, causal=False, scale=None):
    """PyTorch's, with the mask written out."""
    mask = None
    if causal:
        n_q, n_k = q.shape[-2], k.shape[-2]
        rows = [[j <= i + n_k - n_q for j in range(n_k)] for i in range(n_q)]
        mask = torch.tensor(rows)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)


# n_q, n_k, block_q, block_k: odd, unequal, blocks that do not divide, larger, single.
SIZES = [
    (13, 13, 4, 5),
    (7, 19, 3, 4),
    (19, 7, 4, 3),
    (1, 11, 1, 4),
    (9, 1, 2, 1),
    (10, 12, 64, 64),
    (5, 6, 1, 1),
]


# The table


def test_a_row_of_attention_by_hand():
    q = torch.tensor([[2.0]])
    k = torch.tensor([[0.0], [math.log(3) / 2]])
    v = torch.tensor([[1.0, 0.0], [5.0, 4.0]])
    torch.testing.assert_close(sdpa(q, k, v), torch.tensor([[4.0, 3.0]]))
    torch.testing.assert_close(sdpa(q, k, v, scale=0.0), v.mean(0, keepdim=True))


def test_scores_are_divided_by_the_root_of_d_and_not_of_the_width_of_values():
    q, k, v = qkv(4, 6, 9, 2)
    want = (q @ k.T / 3).softmax(-1) @ v
    same(sdpa(q, k, v), want)
    same(flash_attention(q, k, v, 3, 4)[0], want)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("causal", [False, True])
def test_the_table_is_pytorchs_with_an_explicit_mask(sizes, causal):
    q, k, v = qkv(*sizes[:2], 5, 3, 2)
    same(sdpa(q, k, v, causal=causal), oracle(q, k, v, causal))


def test_a_mask_and_causal_must_both_allow():
    q, k, v = qkv(6, 6, 4, 4)
    mask = normal(6, 6, seed=9) > 0
    both = mask & causal_mask(6, 6)
    want = F.scaled_dot_product_attention(q, k, v, attn_mask=both)
    same(sdpa(q, k, v, mask, causal=True), want)


def test_the_last_query_sees_all_keys_and_the_first_of_too_many_none():
    assert causal_mask(2, 5).tolist() == [[True] * 4 + [False], [True] * 5]
    assert causal_mask(3, 1).tolist() == [[False], [False], [True]]


def test_pytorchs_own_causal_flag_aligns_at_the_top_left():
    q, k, v = qkv(2, 5, 4, 4)
    theirs = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)
    same(theirs[0, 0], v[0])
    assert (sdpa(q, k, v, causal=True)[0] - v[0]).abs().max() > 0.1


# One pass


def test_one_pass_gives_the_maximum_and_the_sum_of_a_loop():
    x = [3.0, -1.0, 7.0, 7.0, 2.0]
    m, l = online_softmax_stats(torch.tensor(x).double(), 2)  # noqa: E741
    assert float(m) == 7.0
    assert float(l) == pytest.approx(sum(math.exp(value - 7) for value in x))


@pytest.mark.parametrize("block", [1, 3, 7, 50])
def test_softmax_from_one_pass_is_softmax_however_large_the_numbers(block):
    x = 400 * normal(3, 2, 17)
    m, l = online_softmax_stats(x, block)  # noqa: E741
    same((x - m[..., None]).exp() / l[..., None], x.softmax(-1))
    same(m + l.log(), x.logsumexp(-1))


def random_stats(seed, shift=0.0):
    scores, v = normal(4, 6, seed=seed) + shift, normal(6, 3, seed=seed + 50)
    return tile_stats(scores, v)


def test_a_tile_says_its_maximum_and_its_sums():
    scores = torch.tensor([[1.0, 3.0], [-torch.inf, -torch.inf]]).double()
    v = torch.tensor([[1.0], [10.0]]).double()
    stats = tile_stats(scores, v)
    e = math.exp(-2)
    assert stats.m.tolist() == [3.0, -math.inf]
    torch.testing.assert_close(stats.l, torch.tensor([1 + e, 0.0]).double())
    torch.testing.assert_close(stats.acc, torch.tensor([[10 + e], [0.0]]).double())


@pytest.mark.parametrize("shift", [0.0, 800.0, -1e4])
def test_the_merge_is_associative_commutative_and_has_an_identity(shift):
    a, b, c = random_stats(1), random_stats(2, shift), random_stats(3, -shift)
    for got, want in (
        (merge_stats(a, b), merge_stats(b, a)),
        (merge_stats(merge_stats(a, b), c), merge_stats(a, merge_stats(b, c))),
        (merge_stats(a, empty_stats(normal(4, 2), 3)), a),
        (merge_stats(empty_stats(normal(4, 2), 3), a), a),
    ):
        for one, other in zip(got, want):
            torch.testing.assert_close(one, other)


def test_the_merge_of_two_tiles_is_the_tile_of_both():
    scores, v = 50 * normal(4, 9), normal(9, 3, seed=1)
    parts = [tile_stats(scores[:, s], v[s]) for s in spans(9, 4)]
    whole = tile_stats(scores, v)
    for one, other in zip(merge_stats(merge_stats(*parts[:2]), parts[2]), whole):
        torch.testing.assert_close(one, other)
    o, lse = finish(whole)
    same(o, scores.softmax(-1) @ v)
    same(lse, scores.logsumexp(-1))


def test_nothing_merged_with_nothing_is_nothing():
    nothing = empty_stats(normal(2, 5), 3)
    m, l, acc = merge_stats(nothing, nothing)  # noqa: E741
    assert (m == -torch.inf).all()
    assert not l.any()
    assert not acc.any()
    o, lse = finish(Stats(m, l, acc))
    assert not o.any()
    assert (lse == -torch.inf).all()


# Tiles


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    ("dtype", "near"), [(torch.float64, 1e-10), (torch.float32, 2e-6)]
)
def test_tiles_give_pytorchs_attention(sizes, causal, dtype, near):
    n_q, n_k, block_q, block_k = sizes
    q, k, v = qkv(n_q, n_k, 5, 3, 2, 1, dtype=dtype)
    o, lse = flash_attention(q, k, v, block_q, block_k, causal)
    same(o, oracle(q, k, v, causal), near)
    scores = q @ k.mT / 5**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(n_q, n_k), -torch.inf)
    same(lse, scores.logsumexp(-1), near)
    assert o.dtype == lse.dtype == dtype


def test_queries_that_see_nothing_get_zero_and_minus_infinity():
    q, k, v = qkv(6, 2, 4, 3)
    o, lse = flash_attention(q, k, v, 4, 1, causal=True)
    assert not o[:4].any()
    assert (lse[:4] == -torch.inf).all()
    assert o[4:].isfinite().all()
    assert o[4:].abs().min() > 0


def test_scores_that_grow_from_block_to_block_do_not_overflow():
    q, k, v = qkv(3, 12, 4, 2)
    k = k * torch.logspace(0, 4, 12, dtype=torch.float64)[:, None]
    o, _ = flash_attention(q, k, v, 3, 2)
    same(o, oracle(q, k, v))


def test_a_scale_of_ones_own():
    q, k, v = qkv(5, 8, 4, 3)
    o, _ = flash_attention(q, k, v, 2, 3, scale=0.3)
    same(o, oracle(q, k, v, scale=0.3))


def test_no_table_is_ever_held_forwards_or_backwards():
    n = 160
    q, k, v = (x.requires_grad_() for x in qkv(n, n, 4, 4))
    with meters.Allocations() as seen:
        FlashAttention.apply(q, k, v, 16, True).square().sum().backward()
    assert seen.largest == n * 4
    with meters.Allocations() as seen:
        sdpa(q, k, v).square().sum().backward()
    assert seen.largest == n * n


def test_memory_grows_with_the_length_and_not_with_its_square():
    peaks = {}
    for name, attend in (("tiles", flash_attention), ("table", sdpa)):
        for n in (128, 256):
            q, k, v = qkv(n, n, 8, 8)
            with meters.Allocations() as seen:
                attend(q, k, v) if name == "table" else attend(q, k, v, 16, 16)
            peaks[name, n] = seen.peak
    assert 3.5 < peaks["table", 256] / peaks["table", 128] < 4.1
    assert 1.2 < peaks["tiles", 256] / peaks["tiles", 128] < 2.1


def test_tiles_that_nobody_sees_are_left_out():
    """Of 8 by 8 tiles 36 are on or below the diagonal: as many products of scores."""
    q, k, v = qkv(32, 32, 4, 4)

    class Products(meters.Allocations):
        count = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.count += func is torch.ops.aten.mm.default
            return func(*args, **(kwargs or {}))

    with Products() as seen:
        flash_attention(q, k, v, 4, 4, causal=True)
    assert seen.count == 2 * 36


# Backwards


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("causal", [False, True])
def test_the_backward_pass_is_autograd_through_the_table(sizes, causal):
    n_q, n_k, block_q, block_k = sizes
    q, k, v = (x.requires_grad_() for x in qkv(n_q, n_k, 5, 3, 2))
    do = normal(2, n_q, 3, seed=7)
    want = torch.autograd.grad(oracle(q, k, v, causal), (q, k, v), do)
    q, k, v = (x.detach() for x in (q, k, v))
    o, lse = flash_attention(q, k, v, block_q, block_k, causal)
    for blocks in ((block_q, block_k), (2, 7)):
        got = flash_attention_backward(do, q, k, v, o, lse, *blocks, causal)
        for one, other in zip(got, want):
            same(one, other)


def test_the_backward_pass_knows_the_scale():
    q, k, v = (x.requires_grad_() for x in qkv(5, 8, 4, 3))
    do = normal(5, 3, seed=7)
    want = torch.autograd.grad(oracle(q, k, v, scale=0.3), (q, k, v), do)
    o, lse = flash_attention(q.detach(), k.detach(), v.detach(), 2, 3, scale=0.3)
    given = (do, q.detach(), k.detach(), v.detach(), o, lse)
    got = flash_attention_backward(*given, 3, 2, scale=0.3)
    for one, other in zip(got, want):
        same(one, other)


def test_the_function_passes_gradcheck():
    given = [x.requires_grad_() for x in qkv(3, 4, 2, 2)]
    assert torch.autograd.gradcheck(
        lambda q, k, v: FlashAttention.apply(q, k, v, 2, True), given
    )


def test_golden_values():
    """Computed once with PyTorch's attention in float64, n_q = 2, n_k = 3, causal."""
    q = torch.tensor([[1.0, -0.5], [0.3, 2.0]]).double()
    k = torch.tensor([[0.2, 0.1], [-1.0, 0.5], [0.7, 0.7]]).double()
    v = torch.tensor([[1.0], [-2.0], [4.0]]).double()
    o, lse = flash_attention(q, k, v, 1, 2, causal=True)
    same(o, torch.tensor(GOLDEN_O).double(), 1e-6)
    same(lse, torch.tensor(GOLDEN_LSE).double(), 1e-6)


GOLDEN_O = [[0.18723384], [1.7451692]]
GOLDEN_LSE = [0.42204065, 1.78577325]


# Traffic


@pytest.mark.parametrize("kind", ["standard", "flash1", "flash2"])
@pytest.mark.parametrize(("n", "d", "M"), [(60, 8, 64), (61, 6, 100), (37, 8, 5000)])
def test_the_count_is_what_a_run_reads_and_writes(kind, n, d, M):
    q, k, v = qkv(n, n, d, d)
    o, accesses = traffic.run_metered(kind, q, k, v, M)
    same(o, oracle(q, k, v))
    assert accesses == traffic.hbm_accesses(kind, n, d, M)


def test_a_slow_memory_counts_what_passes():
    memory = traffic.SlowMemory(a=torch.zeros(5, 3))
    part = memory.read("a", slice(1, 3))
    part += 1
    assert memory.accesses == 6
    assert not memory.arrays["a"].any()
    memory.write("a", part, slice(3, 5))
    assert memory.accesses == 12
    assert memory.arrays["a"].sum() == 6


@pytest.mark.parametrize("kind", ["flash1", "flash2"])
def test_the_traffic_of_tiles_obeys_theorem_2(kind):
    """N² d² / M where d <= M <= N d: twice N, d or M give 4, 4 and 1 / 2."""
    n, d, M = 65_536, 64, 32_768
    base = traffic.hbm_accesses(kind, n, d, M)
    for change, factor in (
        ((2 * n, d, M), 4),
        ((n, 2 * d, M), 4),
        ((n, d, 2 * M), 0.5),
    ):
        got = traffic.hbm_accesses(kind, *change) / base
        assert got == pytest.approx(factor, rel=0.05)


def test_standard_traffic_grows_with_the_square_and_knows_no_fast_memory():
    small, large = (traffic.hbm_accesses("standard", n, 8, 100) for n in (4000, 8000))
    assert large / small == pytest.approx(4, rel=0.01)
    assert traffic.hbm_accesses("standard", 4000, 8, 10_000) == small


def test_blocks_are_the_papers():
    assert traffic.block_sizes("flash1", 64, 25_600) == (64, 100)
    assert traffic.block_sizes("flash1", 64, 10_001) == (40, 40)
    assert traffic.block_sizes("flash2", 64, 25_600) == (100, 100)
    assert traffic.block_sizes("flash2", 64, 64) == (1, 1)


def test_linear_attention_touches_each_number_once():
    assert traffic.hbm_accesses("linear", 10, 3, 100) == 4 * 30


def test_the_roofline_takes_the_longer_of_two_times():
    machine = traffic.Machine(bandwidth=10.0, operations=1000.0, number=2)
    moved = 3 * 2 * traffic.hbm_accesses("standard", 20, 4, 99) / 10
    assert traffic.roofline_seconds("standard", 20, 4, 99, 3, machine) == moved
    done = 3 * 4 * 20 * 20 * 4 / 1000
    fast = machine._replace(bandwidth=1e9)
    assert traffic.roofline_seconds("standard", 20, 4, 99, 3, fast) == done
    assert traffic.operations("linear", 20, 4) == 4 * 20 * 4 * 4


# Meters


def test_a_meter_sees_the_largest_tensor_and_the_most_that_lived_at_once():
    x = torch.ones(100)
    with meters.Allocations() as seen:
        for _ in range(5):
            y = x * 2  # 400 bytes, let go by the next
        z = y[:10] + 1
    assert seen.largest == 100
    assert seen.total == 5 * 100 + 10 + 10
    assert seen.peak == 800
    assert seen.alive == 440
    del z
    assert seen.alive == 400


def test_a_view_of_what_was_there_before_is_free():
    x = torch.ones(100)
    with meters.Allocations() as seen:
        x[3:50].t()
    assert seen.peak == 0


def test_seconds_are_the_median_of_calls_without_the_first():
    calls = []
    assert meters.seconds(lambda: calls.append(1), repeat=4) >= 0
    assert len(calls) == 5


def test_a_meter_changes_no_operation():
    with meters.Allocations():
        x = torch.full((2, 3), 2, dtype=torch.float64).sum(dim=1, keepdim=True)
    same(x, torch.tensor([[6.0], [6.0]]).double())


class GPU:
    """What the meters ask of a GPU's allocator: 700 bytes were there before."""

    def __init__(self, monkeypatch):
        self.now, self.most, self.events = 700, 5_000, []
        for name in ("synchronize", "reset_peak_memory_stats"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: self.now)
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: self.most)

    def synchronize(self):
        self.events.append("wait")

    def reset_peak_memory_stats(self):
        self.most = self.now

    def call(self):
        self.events.append("call")
        self.most = max(self.most, self.now + 300)


def test_a_gpu_has_finished_before_the_clock_is_read(monkeypatch):
    gpu = GPU(monkeypatch)
    meters.seconds(gpu.call, repeat=2)
    assert gpu.events == ["wait", "call", "wait"] * 3


def test_the_peak_of_a_gpu_is_what_came_on_top(monkeypatch):
    gpu = GPU(monkeypatch)
    assert meters._peak(gpu.call, torch.device("cuda")) == 300
    assert gpu.events == ["call", "wait"]


def test_every_form_races_on_one_example_of_all_heads():
    shapes = set()

    def form(q, k, v):
        shapes.update({tuple(x.shape) for x in (q, k, v)})
        return q + k + v

    small = meters.CPU._replace(lengths=(6,), heads=3, d=5, repeat=1)
    meters.race({"sum": form}, small, torch.device("cpu"))
    assert shapes == {(1, 3, 6, 5)}


@pytest.mark.parametrize("size", [meters.CPU, meters.GPU], ids=["CPU", "GPU"])
def test_one_step_of_each_size(size):
    """The race of the chapter, each form once, at the GPU's dtype and heads."""
    small = size._replace(lengths=(24, 40), repeat=1)
    forms = {"table": sdpa, "fused": F.scaled_dot_product_attention}
    found = meters.race(forms, small, torch.device("cpu"))
    assert set(found) == set(itertools.product(forms, (24, 40)))
    assert all(time > 0 and memory > 0 for time, memory in found.values())


# The kernel

KERNEL = """
import itertools
import torch
from lib.attention_efficiency.flash_attention import flash_attention
from lib.attention_efficiency.triton_attention import triton_attention
from tests.draws import seeded

draw = seeded()
for n_q, n_k, d, d_v in ((20, 40, 20, 9), (40, 17, 16, 16), (1, 30, 64, 64)):
    for causal, (dtype, near) in itertools.product(
        (False, True), ((torch.float32, 2e-6), (torch.float16, 2e-3))
    ):
        q, k, v = (
            torch.randn(2, 1, *shape, generator=draw).to(dtype)
            for shape in ((n_q, d), (n_k, d), (n_k, d_v))
        )
        o, lse = triton_attention(q, k, v, causal, None, 32, 16)
        want = flash_attention(q.double(), k.double(), v.double(), 7, 11, causal)
        assert o.dtype == dtype
        torch.testing.assert_close(o.double(), want[0], rtol=0, atol=near)
        torch.testing.assert_close(lse.double(), want[1], rtol=0, atol=2e-6)
"""


def in_a_fresh_python(code, tmp_path, **environment):
    paths = os.pathsep.join([os.getcwd(), *filter(None, sys.path)])
    own = {"PYTHONPATH": paths, "TRITON_CACHE_DIR": str(tmp_path), **environment}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=os.environ | own, capture_output=True, text=True, check=False
    )


def test_the_kernel_run_by_tritons_interpreter_gives_the_same(tmp_path):
    pytest.importorskip("triton")
    run = in_a_fresh_python(KERNEL, tmp_path, TRITON_INTERPRET="1")
    assert run.returncode == 0, run.stderr


COMPILED = """
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from lib.attention_efficiency.triton_attention import kernel

constants = dict(BLOCK_Q=64, BLOCK_K=64, WIDTH=64, WIDTH_V=64, CAUSAL=True)
types = dict.fromkeys("qkvo", "*fp16") | {"lse": "*fp32", "scale": "fp32"}
types |= dict.fromkeys(("n_q", "n_k", "d", "d_v"), "i32")
types = {name: types.get(name, "constexpr") for name in kernel().arg_names}
made = compile(ASTSource(kernel(), types, constants), GPUTarget("cuda", 80, 32))
assert "mma" in made.asm["ptx"]
"""


def test_the_kernel_compiles_to_tensor_core_instructions_of_an_a100(tmp_path):
    pytest.importorskip("triton")
    run = in_a_fresh_python(COMPILED, tmp_path)
    assert run.returncode == 0, run.stderr


def test_without_triton_the_module_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    triton_attention.kernel.cache_clear()
    q, k, v = qkv(4, 4, 16, 16, dtype=torch.float32)
    with pytest.raises(ModuleNotFoundError, match="the kernel needs triton"):
        triton_attention.triton_attention(q, k, v)


def test_a_program_is_as_wide_as_the_next_power_of_two_from_16_on():
    widths = [triton_attention._width(d) for d in (1, 15, 16, 17, 32, 33, 100, 128)]
    assert widths == [16, 16, 16, 32, 32, 64, 128, 128]


def test_without_a_word_every_query_sees_every_key():
    q, k, v = qkv(5, 9, 4, 3, 2)
    same(FlashAttention.apply(q, k, v), oracle(q, k, v))


# What is refused


@pytest.mark.usefixtures("plain_errors")
def test_what_makes_no_sense_is_named():
    q, k, v = qkv(4, 4, 16, 16)
    with pytest.raises(ValueError, match="block must be at least 1, got 0"):
        flash_attention(q, k, v, 0, 2)
    with pytest.raises(ValueError, match="block must be at least 1, got -1"):
        online_softmax_stats(q, -1)
    with pytest.raises(ValueError, match=r"M must be at least d .* M=15, d=16"):
        traffic.hbm_accesses("flash1", 10, 16, 15)
    with pytest.raises(ValueError, match="kind must be flash1 or flash2, got 'flash3'"):
        traffic.hbm_accesses("flash3", 10, 16, 15)
    with pytest.raises(
        ValueError, match=r"q must be float16 or float32, got .*float64"
    ):
        triton_attention.triton_attention(q, k, v)
    with pytest.raises(ValueError, match=r"block_k must be a power of two .* got 24"):
        triton_attention.triton_attention(q.float(), k.float(), v.float(), block_k=24)
