"""What a piece of torch code allocates and how long it takes.

For chapters, tests and exercises of this part: imports no lesson.
"""

import contextlib
import functools
import statistics
import time
import weakref
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Allocations(TorchDispatchMode):
    """Records, while it is entered, the tensors that operations return.

    `largest` is the most numbers that one of them has, `total` the numbers of all;
    `peak` is the most bytes that were alive at once, each storage once and none that
    was there before. Scratch memory inside an operation is not seen, since no tensor
    of it comes out.
    """

    def __init__(self):
        super().__init__()
        self.largest = self.total = self.peak = self.alive = 0
        self._seen: dict[int, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to say so to the compiler, torch would import it, for six seconds."""
        return False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001
        for tensor in _tensors((args, kwargs)):
            self._note(tensor, 0)
        out = func(*args, **(kwargs or {}))
        for tensor in _tensors(out):
            self.largest = max(self.largest, tensor.numel())
            self.total += tensor.numel()
            self._note(tensor, tensor.untyped_storage().nbytes())
        return out

    def _note(self, tensor: Tensor, size: int) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._seen:
            self._seen[storage._cdata] = size
            self.alive += size
            self.peak = max(self.peak, self.alive)
            weakref.finalize(storage, self._gone, storage._cdata)

    def _gone(self, key: int) -> None:
        self.alive -= self._seen.pop(key)


def _tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def seconds(function: Callable[[], object], repeat: int = 5) -> float:
    """The median time of `repeat` calls after one that is not counted, GPU included."""
    taken = []
    for _ in range(repeat + 1):
        _wait()
        start = time.perf_counter()
        function()
        _wait()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class Size(NamedTuple):
    """What the forms of an attention race on: one example, of some heads of width d."""

    lengths: tuple[int, ...]
    heads: int
    d: int
    dtype: torch.dtype
    repeat: int


CPU = Size((256, 512, 1024, 2048, 4096), heads=1, d=64, dtype=torch.float32, repeat=3)
GPU = Size(
    (1024, 2048, 4096, 8192, 16_384, 32_768),
    heads=16,
    d=64,
    dtype=torch.float16,
    repeat=10,
)


def race(
    forms: dict[str, Callable[[Tensor, Tensor, Tensor], object]],
    size: Size,
    device: torch.device,
) -> dict[tuple[str, int], tuple[float, int]]:
    """(seconds, peak bytes) of each form at each length; none where memory ran out.

    On a GPU the peak is that of the allocator, beyond q, k and v; on a CPU that of the
    tensors that operations return, as in `Allocations`.
    """
    found = {}
    for n in size.lengths:
        draw = torch.Generator().manual_seed(n)
        q, k, v = (
            torch.randn(1, size.heads, n, size.d, generator=draw).to(device, size.dtype)
            for _ in range(3)
        )
        for name, form in forms.items():
            call = functools.partial(form, q, k, v)
            with contextlib.suppress(torch.OutOfMemoryError):
                found[name, n] = seconds(call, size.repeat), _peak(call, device)
    return found


@torch.no_grad()
def _peak(call: Callable[[], object], device: torch.device) -> int:
    if device.type != "cuda":
        with Allocations() as seen:
            call()
        return seen.peak
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before
