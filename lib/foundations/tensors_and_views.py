"""Where the elements of a tensor live, which of them are one, and who may write.

A tensor is a shape, one stride a dimension, an offset, and a storage: a row of places
in memory, numbered from 0. The element at (i1, ..., in) lives at the address
offset + i1 stride1 + ... + in striden. Strides and addresses count elements, as in
PyTorch; NumPy's strides count bytes. A view is another shape, stride and offset over
the same storage; an overlap is two index tuples of one tensor with one address.

Sources: PyTorch's documentation, *Tensor Views*; its source, ATen/MemoryOverlap.cpp;
van der Walt, Colbert and Varoquaux 2011, *The NumPy array*, arXiv:1102.1523.
"""

import itertools
import operator
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

Index = tuple[int, ...]


# The formula


def address(index: Sequence[int], stride: Sequence[int], offset: int = 0) -> int:
    """offset + the sum of index times stride, in elements.

    Raises:
        ValueError: index and stride are not equally long.
    """
    if len(index) != len(stride):
        raise ValueError(
            f"index must have an entry for each of {len(stride)} strides, got {index}"
        )
    return offset + sum(i * s for i, s in zip(index, stride))


def addresses(t: Shaped[Tensor, "*shape"]) -> Int64[Tensor, "*shape"]:
    """The address of every element, in the shape of t. A new tensor.

    The formula for all index tuples at once: dimension k adds 0, s, 2 s, ... along
    itself, and broadcasting does the sum.
    """
    where = torch.full(t.shape, t.storage_offset())
    for k, (size, step) in enumerate(zip(t.shape, t.stride())):
        along = step * torch.arange(size)
        where += along.reshape(-1, *[1] * (t.ndim - k - 1))
    return where


def aliases(t: Shaped[Tensor, "..."], index: Sequence[int]) -> list[Index]:
    """All index tuples of t with the address of `index`, itself too, in row order.

    Raises:
        ValueError: `index` is not one of t.
    """
    inside = [0 <= i < size for i, size in zip(index, t.shape)]
    if len(index) != t.ndim or not all(inside):
        raise ValueError(f"index must lie in shape {tuple(t.shape)}, got {index}")
    here = address(index, t.stride())
    everywhere = itertools.product(*map(range, t.shape))
    return [other for other in everywhere if address(other, t.stride()) == here]


# Do two index tuples share an address?


def has_internal_overlap(t: Shaped[Tensor, "..."]) -> bool:
    """Whether two index tuples of t share an address. Exact; looks at every element."""
    return addresses(t).unique().numel() < t.numel()


def nested(t: Shaped[Tensor, "..."]) -> bool:
    """Whether each dimension steps over all that the smaller strides reach.

    Then no two index tuples share an address. The converse does not hold: of shape
    (2, 3) with strides (2, 3), nothing is shared and nothing nested. Dimensions of size
    1 take no step; a tensor without elements is nested.
    """
    reach = 0
    for step, size in _steps(t):
        if step <= reach:
            return t.numel() == 0
        reach += step * (size - 1)
    return True


def torch_overlap(t: Shaped[Tensor, "..."]) -> Literal["no", "yes", "too hard"]:
    """What PyTorch believes of t before it writes in place; it refuses on "yes" only.

    "no" if the elements fill a stretch of memory without a gap, else "yes" if a
    dimension larger than 1 has stride 0, else "too hard". Source:
    `at::has_internal_overlap` in ATen/MemoryOverlap.cpp; in Python it is
    `torch._debug_has_internal_overlap`, with 0, 1, 2.
    """
    steps = _steps(t)
    dense = itertools.accumulate((size for _, size in steps), operator.mul, initial=1)
    if t.numel() == 0 or all(step == one for (step, _), one in zip(steps, dense)):
        return "no"
    return "yes" if any(step == 0 for step, _ in steps) else "too hard"


def _steps(t: Tensor) -> list[tuple[int, int]]:
    """(stride, size) of the dimensions that take steps, small strides first."""
    pairs = zip(t.stride(), t.shape)
    return sorted((step, size) for step, size in pairs if size != 1)


def shares_memory(a: Shaped[Tensor, "..."], b: Shaped[Tensor, "..."]) -> bool:
    """Whether an element of a and one of b are the same place in memory.

    Two tensors of one storage may have none in common, as the even and the odd entries
    of a vector. Both must have one dtype, or addresses would not count the same.

    Raises:
        ValueError: the dtypes differ.
    """
    if a.dtype != b.dtype:
        raise ValueError(f"a and b must have one dtype, got {a.dtype} and {b.dtype}")
    if a.untyped_storage().data_ptr() != b.untyped_storage().data_ptr():
        return False
    return bool(torch.isin(addresses(a), addresses(b)).any())


# What to do about it


def safe_expand(t: Shaped[Tensor, "..."], *sizes: int) -> Shaped[Tensor, "..."]:
    """t.expand(*sizes) that may be written: always a copy, and still in the graph.

    `contiguous()` in place of `clone()` would hand t itself back where nothing is
    expanded, and the write would go to t.
    """
    return t.expand(*sizes).clone(memory_format=torch.contiguous_format)


# For the eye


def explain_strides(t: Shaped[Tensor, "..."]) -> str:
    """A table of t's dimensions, and how many elements share a place in memory."""
    lines = [f"shape {tuple(t.shape)}, strides {t.stride()}, from {t.storage_offset()}"]
    for k, (size, step) in enumerate(zip(t.shape, t.stride())):
        if size == 1:
            says = "never steps"
        elif step == 0:
            says = f"the same place {size} times"
        else:
            says = f"a step moves {step}"
        lines.append(f"  dimension {k}: size {size}, {says}")
    count = Counter(addresses(t).flatten().tolist())
    most = max(count.values(), default=0)
    lines.append(
        f"  {t.numel()} elements in {len(count)} places, at most {most} in one"
    )
    return "\n".join(lines)
