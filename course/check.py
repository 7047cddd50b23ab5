"""The test kit of the exercises: what a test cell calls, and what it says.

Needs torch and numpy only, since it ships to learners. `close` is the one comparison;
`generator` and `rng` are the only sources of randomness; `probe` marks a function that
runs beside the learner's code.
"""

import hashlib
import os

import numpy as np
import torch

# rtol and atol as in torch.testing; what is not listed is compared exactly.
TOLERANCES = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "complex32": (1e-3, 1e-5),
    "complex64": (1.3e-6, 1e-5),
    "complex128": (1e-7, 1e-7),
}
TENSORS = (torch.Tensor, torch.nn.Parameter)
NUMBERS = (float, complex)
EXACT = (int, bool, str, bytes, type(None))


class Wrong(AssertionError):
    """The answer is not what the test asks for; the text says how and where."""


def close(got, want, hint, *, rtol=None, atol=None):
    """Pass if `got` is `want` in type, shape, dtype, finiteness and value.

    Nothing is converted or broadcast: a float is not an int, a numpy scalar is not a
    Python number, a tensor of one element is not a number, an array is not a tensor,
    and an instance of a subclass is not an instance of its base. Two exceptions:
    a Parameter counts as its tensor, a torch.Size as a tuple. Device, strides and
    `requires_grad` are not compared; ask for them in a probe.

    NaN never passes, on either side. An infinity passes only where the same infinity
    is expected, as in an attention mask. Tuples, lists and dicts are compared element
    by element; the order of a dict's keys does not matter.

    Args:
        got: what the learner's function returned.
        want: a tensor, array, number, string, None, or tuples, lists, dicts of these.
        hint: what is asked for, and the likely mistake; the message begins with it.
        rtol, atol: an entry may differ by atol + rtol * |want|; as in torch.testing
            where not given. Integers, booleans and strings are always exact.

    Raises:
        Wrong: `got` is not `want`.
        TypeError: `want` is of a type that this function does not compare.
    """
    problem = _compare(got, want, rtol, atol, place="")
    if problem:
        raise Wrong(f"{hint} — {problem}")


def generator(name: str) -> torch.Generator:
    """A torch generator on the CPU whose seed is derived from `name`.

    Another course seed (`$COURSE_SEED`) draws other numbers under the same name.
    """
    return torch.Generator().manual_seed(_seed(name))


def rng(name: str) -> np.random.Generator:
    """A numpy generator whose seed is derived from `name`, as in `generator`."""
    return np.random.default_rng(_seed(name))


def probe(function):
    """Mark a self-contained function of a test cell that runs beside the answer.

    It is for what does not survive a copy: gradients, changes in place, training
    loops. It returns data, which the test then checks. Here it is `function` itself.
    """
    return function


def _seed(name):
    text = f"{os.environ.get('COURSE_SEED', '0')}/{name}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])


def _compare(got, want, rtol, atol, place):
    """What is wrong with `got`, as a clause to put behind the hint; None if nothing."""
    where = f"at {place}: " if place else ""
    kind, wanted = _kind(got), _kind(want)
    if kind is None:
        expected = "" if wanted is None else f", expected {_describe(want)}"
        return f"{where}your function returned {_describe(got)}{expected}"
    if wanted is None:
        raise TypeError(f"check.close cannot compare with {_describe(want)}")
    if kind is not wanted:
        return f"{where}expected {_describe(want)}, got {_describe(got)}"
    if kind is tuple or kind is list:
        return _compare_sequence(got, want, rtol, atol, place, where)
    if kind is dict:
        return _compare_dict(got, want, rtol, atol, place, where)
    if kind in EXACT:
        if got != want:
            return f"{where}expected {_describe(want)}, got {_describe(got)}"
        return None
    if kind is torch.Tensor or kind is np.ndarray:
        if tuple(got.shape) != tuple(want.shape):
            said = f"shape {tuple(got.shape)}"
            if got.dtype != want.dtype:
                said = _describe(got)
            return f"{where}expected {_describe(want)}, got {said}"
        if got.dtype != want.dtype:
            return f"{where}expected {_describe(want)}, got dtype {_dtype(got)}"
    return _compare_values(got, want, rtol, atol, where)


def _compare_sequence(got, want, rtol, atol, place, where):
    if len(got) != len(want):
        return f"{where}expected {_describe(want)}, got {_describe(got)}"
    for index, (one, other) in enumerate(zip(got, want)):
        problem = _compare(one, other, rtol, atol, f"{place}[{index}]")
        if problem:
            return problem
    return None


def _compare_dict(got, want, rtol, atol, place, where):
    odd = [key for key in got if _kind(key) is None]
    if odd:
        return f"{where}a key of the dict is of class {type(odd[0]).__qualname__}"
    # With the type, since 1 == True == 1.0.
    keys = {(type(key), key) for key in got}
    missing = [repr(key) for key in want if (type(key), key) not in keys]
    if missing:
        return f"{where}expected the key {missing[0]}, got {_describe(got)}"
    if len(got) > len(want):
        extra = [repr(key) for key in got if key not in want]
        return f"{where}the dict has {', '.join(extra)}, which nobody asked for"
    for key, other in want.items():
        problem = _compare(got[key], other, rtol, atol, f"{place}[{key!r}]")
        if problem:
            return problem
    return None


def _compare_values(got, want, rtol, atol, where):
    default_rtol, default_atol = TOLERANCES.get(_dtype(want), (0, 0))
    rtol = default_rtol if rtol is None else rtol
    atol = default_atol if atol is None else atol
    mine, theirs = _values(got), _values(want)
    right = mine == theirs
    exact = mine.dtype.kind not in "fc"
    if not exact:
        with np.errstate(all="ignore"):
            difference = np.abs(mine - theirs)
            near = difference <= atol + rtol * np.abs(theirs)
        # An infinity is near nothing but itself.
        finite = np.isfinite(mine) & np.isfinite(theirs)
        right |= near & finite
    if right.all():
        return None
    if not exact:
        # These first: they explain more than a difference does.
        place = _first(~right & ~np.isfinite(mine))
        if place is not None:
            return f"{where}non-finite ({_number(mine[place])}){_at(place)}"
        place = _first(np.isnan(theirs))
        if place is not None:
            return f"{where}compared with nan{_at(place)}, and nothing equals nan"
    place = _first(~right)
    clause = (
        f"got {_number(mine[place])}, expected {_number(theirs[place])}{_at(place)}"
    )
    if mine.ndim:
        clause += f"; {np.sum(~right)} of {mine.size} entries differ"
    if not exact:
        most = difference[~right & finite].max(initial=0)
        by = f", by up to {most:.3g}" if mine.ndim and most else ""
        # Where the difference is large, the tolerance would only distract.
        near = f"; allowed: {atol:g} + {rtol:g} · |expected|" if most < 1e-3 else ""
        clause += f"{by}{near}"
    return f"{where}{clause}"


def _first(mask):
    """The index of the first true entry, None if there is none."""
    return tuple(np.argwhere(mask)[0].tolist()) if mask.any() else None


def _at(place):
    return f" at index {place}" if place else ""


def _kind(value):
    """The type that counts, or None for what does not: exact types only, so that no
    method of a learner's subclass is ever asked.
    """
    kind = type(value)
    if kind in TENSORS:
        plain = value.layout is torch.strided and not value.is_nested
        plain = plain and not value.is_quantized and value.device.type != "meta"
        return torch.Tensor if plain else None
    if kind is np.ndarray:
        return kind if value.dtype.kind in "biufcSU" else None
    if kind is torch.Size:
        return tuple
    if kind in (*EXACT, *NUMBERS, tuple, list, dict):
        return kind
    numpy_scalar = kind.__module__ == "numpy" and np.generic in kind.__mro__
    return kind if numpy_scalar and np.dtype(kind).kind in "biufcSU" else None


def _values(value):
    """The numbers as a numpy array; floats in double precision, which is exact."""
    if type(value) not in TENSORS:
        return np.asarray(value)
    tensor = value.detach().cpu().resolve_conj().resolve_neg()
    if tensor.is_complex():
        tensor = tensor.to(torch.complex128)
    elif tensor.is_floating_point():
        tensor = tensor.double()
    return tensor.numpy()


def _dtype(value):
    if type(value) in TENSORS:
        return str(value.dtype).removeprefix("torch.")
    return str(np.asarray(value).dtype)


def _describe(value):
    """Type and shape in words; the value too where it is a single one."""
    kind = _kind(value)
    if kind is torch.Tensor:
        return f"a {_dtype(value)} tensor of shape {tuple(value.shape)}"
    if kind is np.ndarray:
        return f"a {_dtype(value)} array of shape {value.shape}"
    if kind is tuple or kind is list:
        return f"a {kind.__name__} of length {len(value)}"
    if kind is dict:
        keys = ", ".join(map(repr, value))
        return f"a dict with keys {keys}" if keys else "an empty dict"
    if kind is type(None):
        return "None"
    if kind is None:
        odd = type(value) in TENSORS
        return (
            "a sparse, nested, quantised or meta tensor"
            if odd
            else f"class {type(value).__qualname__}"
        )
    text = repr(value)
    text = text if len(text) <= 60 else f"{text[:57]}..."
    if kind in (int, float, complex, bool, str, bytes):
        return f"{kind.__name__} {text}"
    return f"numpy {kind.__name__} {value}"


def _number(value):
    return f"{value:.6g}" if value.dtype.kind in "fc" else repr(value.item())
