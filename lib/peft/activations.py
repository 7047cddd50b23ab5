"""What a graph keeps for the backward pass, counted in bytes."""

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


class _Kept:
    """One saved tensor, alive as long as the graph that saved it."""

    def __init__(self, tensor: Tensor):
        self.tensor = tensor.detach()  # an output would hold its own graph


@contextmanager
def saving(held: Iterable[Tensor] = ()) -> Iterator[Callable[[], int]]:
    """Watch what is saved inside the block; the yielded function counts what is left.

    It returns bytes: of storages, each once, however many tensors look into it. A view
    keeps all of its storage alive, an expanded tensor only what was there to expand.
    What shares its storage with a tensor of `held` is there with or without the graph:
    parameters, buffers, the data. Not seen is what a custom function keeps outside
    `save_for_backward`, such as the inputs that `torch.utils.checkpoint` holds.
    """
    kept: weakref.WeakSet[_Kept] = weakref.WeakSet()
    free = {tensor.untyped_storage().data_ptr() for tensor in held}

    def pack(tensor: Tensor) -> _Kept:
        kept.add(box := _Kept(tensor))
        return box

    def count() -> int:
        storages = [box.tensor.untyped_storage() for box in kept]
        sizes = {storage.data_ptr(): storage.nbytes() for storage in storages}
        return sum(size for where, size in sizes.items() if where not in free)

    with saved_tensors_hooks(pack, lambda box: box.tensor):
        yield count


def saved_activation_bytes(
    fn: Callable[[], Tensor], held: Iterable[Tensor] = ()
) -> int:
    """Bytes that the graph of `fn()` keeps for the backward pass; see `saving`."""
    with saving(held) as count:
        result = fn()
    kept = count()
    del result  # not before: its graph holds what is counted
    return kept
