"""The forward pass of `flash_attention` as one kernel, in Triton.

One program for each block of queries of each head: its stats stay in registers, and
keys and values stream past them. Triton comes with a GPU build of torch on Linux and is
imported when a kernel is first asked for. With `TRITON_INTERPRET=1` set before that, a
kernel runs on the CPU, program by program in numpy, so that it can be tested.

Source: Dao 2023, *FlashAttention-2*, arXiv:2307.08691, algorithm 1; the names are those
of `lib.attention_efficiency.flash_attention`.
"""

import functools
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


@functools.cache
def kernel() -> Callable:
    """The kernel: one block of queries of one head; arrays are (heads, n, d), dense.

    Raises:
        ModuleNotFoundError: triton is not installed.
    """
    try:
        import triton
        import triton.language as tl
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "the kernel needs triton, which is not installed here (`pip install triton`"
            " on Linux); flash_attention.flash_attention does the same without it"
        ) from None

    @triton.jit
    def forward(
        q, k, v, o, lse,  # noqa: ANN001
        n_q, n_k, d, d_v, scale,  # noqa: ANN001
        BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr,
        WIDTH: tl.constexpr, WIDTH_V: tl.constexpr, CAUSAL: tl.constexpr,
    ):  # fmt: skip
        first = tl.program_id(0) * BLOCK_Q
        head = tl.program_id(1).to(tl.int64)
        i = first + tl.arange(0, BLOCK_Q)
        c = tl.arange(0, WIDTH)
        c_v = tl.arange(0, WIDTH_V)
        mine = (i[:, None] < n_q) & (c[None, :] < d)
        place = (head * n_q + i[:, None]) * d + c[None, :]
        queries = tl.load(q + place, mask=mine, other=0.0)

        m = tl.full([BLOCK_Q], float("-inf"), tl.float32)
        l = tl.zeros([BLOCK_Q], tl.float32)  # noqa: E741
        acc = tl.zeros([BLOCK_Q, WIDTH_V], tl.float32)
        end = n_k
        if CAUSAL:  # the last of these queries sees keys below first + ... + n_k - n_q
            end = tl.minimum(n_k, first + BLOCK_Q + n_k - n_q)
        for start in range(0, end, BLOCK_K):
            j = start + tl.arange(0, BLOCK_K)
            there = (j[:, None] < n_k) & (c[None, :] < d)
            place = (head * n_k + j[:, None]) * d + c[None, :]
            keys = tl.load(k + place, mask=there, other=0.0)
            there = (j[:, None] < n_k) & (c_v[None, :] < d_v)
            place = (head * n_k + j[:, None]) * d_v + c_v[None, :]
            values = tl.load(v + place, mask=there, other=0.0)

            scores = tl.dot(queries, tl.trans(keys), input_precision="ieee") * scale
            seen = (i[:, None] < n_q) & (j[None, :] < n_k)
            if CAUSAL:
                seen = seen & (j[None, :] <= i[:, None] + n_k - n_q)
            scores = tl.where(seen, scores, float("-inf"))
            new = tl.maximum(m, tl.max(scores, 1))
            finite = tl.where(new == float("-inf"), 0.0, new)
            shrink = tl.exp(m - finite)
            p = tl.exp(scores - finite[:, None])
            l = shrink * l + tl.sum(p, 1)  # noqa: E741
            added = tl.dot(p.to(values.dtype), values, input_precision="ieee")
            acc = shrink[:, None] * acc + added
            m = new

        l = tl.where(l == 0.0, 1.0, l)  # noqa: E741
        mine = (i[:, None] < n_q) & (c_v[None, :] < d_v)
        place = (head * n_q + i[:, None]) * d_v + c_v[None, :]
        tl.store(o + place, (acc / l[:, None]).to(o.dtype.element_ty), mask=mine)
        tl.store(lse + head * n_q + i, m + tl.log(l), mask=i < n_q)

    return forward


def triton_attention(
    q: Float[Tensor, "*batch n_q d"],
    k: Float[Tensor, "*batch n_k d"],
    v: Float[Tensor, "*batch n_k d_v"],
    causal: bool = False,
    scale: float | None = None,
    block_q: int = 64,
    block_k: int = 64,
) -> tuple[Float[Tensor, "*batch n_q d_v"], Float[Tensor, "*batch n_q"]]:
    """(output, log-sum-exp): `flash_attention` in one kernel, without a backward.

    float16 or float32; sums and the log-sum-exp are float32, and products of float32
    are exact to float32, without TF32. Blocks are powers of two from 16 on, as
    tensor cores want them.

    Raises:
        ModuleNotFoundError: triton is not installed.
        ValueError: the dtype is another, or a block is no such power.
    """
    if q.dtype not in (torch.float16, torch.float32):
        raise ValueError(f"q must be float16 or float32, got {q.dtype}")
    for name, block in (("block_q", block_q), ("block_k", block_k)):
        if block < 16 or block & (block - 1):
            raise ValueError(f"{name} must be a power of two from 16 on, got {block}")
    *batch, n_q, d = q.shape
    n_k, d_v = v.shape[-2:]
    o = q.new_empty(*batch, n_q, d_v)
    lse = q.new_empty(*batch, n_q, dtype=torch.float32)
    heads = q.shape[:-2].numel()
    kernel()[-(-n_q // block_q), heads](
        q.contiguous(), k.contiguous(), v.contiguous(), o, lse,
        n_q, n_k, d, d_v, d**-0.5 if scale is None else scale,
        BLOCK_Q=block_q, BLOCK_K=block_k, WIDTH=_width(d), WIDTH_V=_width(d_v),
        CAUSAL=causal,
    )  # fmt: skip
    return o, lse


def _width(d: int) -> int:
    """The next power of two, 16 at least."""
    return max(16, 1 << (d - 1).bit_length())
