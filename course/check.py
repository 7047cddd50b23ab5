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
held: list[str] = []  # the hints of what passed, for who says what a test has checked
EXACT = (int, bool, str, bytes, type(None))


class Wrong(AssertionError):
    """The answer is not what the test asks for; the text says how and where.

    `outline` says it with types and shapes only: no value, for a hidden part.
    """

    def __init__(self, text: str, outline: str | None = None):
        super().__init__(text)
        self.outline = text if outline is None else outline


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
        outline = _compare(got, want, rtol, atol, place="", values=False)
        raise Wrong(f"{hint} — {problem}", f"{hint} — {outline}")
    held.append(hint)


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


def describe(value, values: bool = True) -> str:
    """Type and shape in words; with `values` also a single value."""
    kind = _kind(value)
    if kind is torch.Tensor:
        return f"a {_dtype(value)} tensor of shape {tuple(value.shape)}"
    if kind is np.ndarray:
        return f"a {_dtype(value)} array of shape {value.shape}"
    if kind is tuple or kind is list:
        return f"a {kind.__name__} of length {len(value)}"
    if kind is dict:
        if not values:
            return f"a dict of length {len(value)}"
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
    python = kind in (int, float, complex, bool, str, bytes)
    name = kind.__name__ if python else f"numpy {kind.__name__}"
    if not values:
        return f"a value of type {name}"
    text = repr(value) if python else str(value)
    return f"{name} {text if len(text) <= 60 else f'{text[:57]}...'}"


def _compare(got, want, rtol, atol, place, values=True):
    """What is wrong with `got`, as a clause to put behind the hint; None if nothing.

    Without `values` it names types, shapes and places only.
    """
    where = f"at {place}: " if place else ""
    kind, wanted = _kind(got), _kind(want)
    if kind is None:
        expected = "" if wanted is None else f", expected {describe(want, values)}"
        return f"{where}your function returned {describe(got, values)}{expected}"
    if wanted is None:
        raise TypeError(f"check.close cannot compare with {describe(want, values)}")
    if kind is not wanted:
        return f"{where}expected {describe(want, values)}, got {describe(got, values)}"
    if kind is tuple or kind is list:
        return _compare_sequence(got, want, rtol, atol, place, where, values)
    if kind is dict:
        return _compare_dict(got, want, rtol, atol, place, where, values)
    if kind in EXACT:
        if got != want:
            if not values:
                return f"{where}another {kind.__name__} than expected"
            return (
                f"{where}expected {describe(want, values)}, got {describe(got, values)}"
            )
        return None
    if kind is torch.Tensor or kind is np.ndarray:
        if tuple(got.shape) != tuple(want.shape):
            said = f"shape {tuple(got.shape)}"
            if got.dtype != want.dtype:
                said = describe(got, values)
            return f"{where}expected {describe(want, values)}, got {said}"
        if got.dtype != want.dtype:
            return f"{where}expected {describe(want, values)}, got dtype {_dtype(got)}"
    return _compare_values(got, want, rtol, atol, where, values)


def _compare_sequence(got, want, rtol, atol, place, where, values):
    if len(got) != len(want):
        return f"{where}expected {describe(want, values)}, got {describe(got, values)}"
    for index, (one, other) in enumerate(zip(got, want)):
        problem = _compare(one, other, rtol, atol, f"{place}[{index}]", values)
        if problem:
            return problem
    return None


def _compare_dict(got, want, rtol, atol, place, where, values):
    odd = [key for key in got if _kind(key) is None]
    if odd:
        return f"{where}a key of the dict is of class {type(odd[0]).__qualname__}"
    # With the type, since 1 == True == 1.0.
    keys = {(type(key), key) for key in got}
    missing = [repr(key) for key in want if (type(key), key) not in keys]
    if missing:
        if not values:
            return f"{where}a key is missing"
        return f"{where}expected the key {missing[0]}, got {describe(got, values)}"
    if len(got) > len(want):
        if not values:
            return f"{where}the dict has keys that nobody asked for"
        extra = [repr(key) for key in got if key not in want]
        return f"{where}the dict has {', '.join(extra)}, which nobody asked for"
    for key, other in want.items():
        problem = _compare(got[key], other, rtol, atol, f"{place}[{key!r}]", values)
        if problem:
            return problem
    return None


def _compare_values(got, want, rtol, atol, where, values):
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
            number = f" ({_number(mine[place])})" if values else ""
            return f"{where}non-finite{number}{_at(place)}"
        place = _first(np.isnan(theirs))
        if place is not None:
            return f"{where}compared with nan{_at(place)}, and nothing equals nan"
    place = _first(~right)
    if not values:
        many = f"; {np.sum(~right)} of {mine.size} entries differ" if mine.ndim else ""
        return f"{where}another value than expected{_at(place)}{many}"
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


def _number(value):
    return f"{value:.6g}" if value.dtype.kind in "fc" else repr(value.item())
