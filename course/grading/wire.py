"""Values as bytes, between the judge and a learner's process.

What is read here may have been written by an enemy: `decode` and `Channel.receive`
trust nothing. They build objects of exact, built-in types from checked sizes, call no
method of anything that was sent, unpickle nothing, and raise WireError for whatever
is cut, forged, too large or too deep. A decoded value is a claim, and no more.

A frame is eight bytes, its length, and one value; a value is a letter, then what the
letter needs:

| letter | value | then |
|---|---|---|
| N T F | None, True, False | |
| i | int | length (u16), two's complement |
| f c | float, complex | 8 or 16 bytes |
| s b | str, bytes | length (u32), UTF-8 or bytes |
| l t e d | list, tuple, set, dict | count (u32), values; a dict's in pairs |
| a n x | numpy array, numpy scalar, torch tensor | dtype (u8), shape, raw bytes |
| v w | array, tensor with strides, as an argument | the same, and its layout |
| R | what stands for something that cannot cross | a str and a value |
"""

import math
import os
import select
import socket
import struct
import time
from dataclasses import dataclass

import numpy as np
import torch

LARGEST = 64 * 2**20  # bytes a frame
DEEPEST = 32
MOST_LEAVES = 10**6
LONGEST_INT = 513  # bytes, for 4096 bits and a sign
MOST_DIMENSIONS = 32
# Numbers and tuples of equal hash are easily made, and 10^6 of them in one dict would
# hold the judge up for hours.
LARGEST_KEY = 2**60
MOST_TUPLE_KEYS = 10**4

ARRAYS = [
    np.dtype(name)
    for name in (
        *("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32"),
        *("uint64", "int64", "float16", "float32", "float64"),
        *("complex64", "complex128"),
    )
]
TENSORS = [
    getattr(torch, name)
    for name in (
        *("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32"),
        *("uint64", "int64", "float16", "bfloat16", "float32", "float64"),
        *("complex64", "complex128", "float8_e4m3fn", "float8_e5m2"),
    )
]
NUMBERS = {dtype.type for dtype in ARRAYS}
CONTAINERS = {list: b"l", tuple: b"t", set: b"e", dict: b"d"}


class WireError(Exception):
    """A frame or a value that must not cross; the text says why."""


@dataclass(frozen=True)
class Reference:
    """Stands for something that cannot cross: `kind` and a plain value."""

    kind: str
    value: object


# Writing


def encode(value, foreign=None, *, strided: bool = False) -> bytes:
    """`value` as bytes; what is not plain data is what `foreign(value)` says it is.

    With `strided`, as for arguments, tensors and arrays keep their layout.

    Raises:
        WireError: it is too large or too deep, or holds what is no data at all.
    """
    writer = _Writer(foreign, strided)
    writer.write(value, 0)
    return b"".join(writer.parts)


class _Writer:
    def __init__(self, foreign, strided):
        self.foreign, self.strided = foreign, strided
        self.parts, self.size, self.leaves = [], 0, 0

    def put(self, *parts):
        self.parts += parts
        self.size += sum(map(len, parts))
        if self.size > LARGEST:
            raise WireError(f"larger than {LARGEST >> 20} MiB")

    def write(self, value, depth):
        self.leaves += 1
        if self.leaves > MOST_LEAVES:
            raise WireError(f"more than {MOST_LEAVES} values")
        if depth > DEEPEST:
            raise WireError(f"nested more than {DEEPEST} levels deep")
        kind = type(value)
        if value is None:
            self.put(b"N")
        elif kind is bool:
            self.put(b"T" if value else b"F")
        elif kind is int:
            data = value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)
            if len(data) > LONGEST_INT:
                raise WireError("an integer of more than 4096 bits")
            self.put(b"i", struct.pack(">H", len(data)), data)
        elif kind is float:
            self.put(b"f", struct.pack(">d", value))
        elif kind is complex:
            self.put(b"c", struct.pack(">dd", value.real, value.imag))
        elif kind is str:
            try:
                data = value.encode()
            except UnicodeEncodeError:
                raise WireError("a string that holds half a character") from None
            self.put(b"s", struct.pack(">I", len(data)), data)
        elif kind is bytes:
            self.put(b"b", struct.pack(">I", len(value)), value)
        elif kind in CONTAINERS or kind is torch.Size:
            self.put(CONTAINERS.get(kind, b"t"), struct.pack(">I", len(value)))
            for item in value.items() if kind is dict else value:
                for part in item if kind is dict else (item,):
                    self.write(part, depth + 1)
        elif kind is Reference:
            self.put(b"R")
            self.write(value.kind, depth + 1)
            self.write(value.value, depth + 1)
        elif kind is np.ndarray and value.dtype in ARRAYS:
            self.write_array(value)
        elif np.generic in kind.__mro__ and kind in NUMBERS:
            self.put(b"n", _head(ARRAYS, np.dtype(kind), ()), value.tobytes())
        elif kind in (torch.Tensor, torch.nn.Parameter) and _crosses(value):
            self.write_tensor(value.detach())
        elif self.foreign is None:
            raise WireError(f"class {kind.__qualname__} is not data")
        else:
            self.write(self.foreign(value), depth)

    def check_bytes(self, size):
        """Before anything of that size is made."""
        if self.size + size > LARGEST:
            raise WireError(f"larger than {LARGEST >> 20} MiB")

    def write_array(self, array):
        head = _head(ARRAYS, array.dtype, array.shape)
        if not self.strided or array.flags.c_contiguous or not array.size:
            self.check_bytes(array.size * array.itemsize)
            self.put(b"a", head, array.tobytes())
            return
        # Only what the array shows: around it may be what nobody shall see.
        reach = [(n - 1) * s for n, s in zip(array.shape, array.strides)]
        start, stop = -sum(r for r in reach if r < 0), sum(r for r in reach if r > 0)
        span = start + stop + array.itemsize
        self.check_bytes(span)
        room = np.zeros(span, np.uint8)
        view = np.ndarray(array.shape, array.dtype, room, start, array.strides)
        view[...] = array
        self.put(b"v", head, _ints([start, span, *array.strides]), room.tobytes())

    def write_tensor(self, tensor):
        tensor = tensor.cpu().resolve_conj().resolve_neg()
        head = _head(TENSORS, tensor.dtype, tuple(tensor.shape))
        offset = tensor.storage_offset()
        plain = not self.strided or not tensor.numel()
        if plain or (tensor.is_contiguous() and not offset):
            self.check_bytes(tensor.numel() * tensor.itemsize)
            self.put(b"x", head, _tensor_bytes(tensor))
            return
        stride = tensor.stride()
        span = offset + 1 + sum((n - 1) * s for n, s in zip(tensor.shape, stride))
        self.check_bytes(span * tensor.itemsize)
        room = torch.zeros(span, dtype=tensor.dtype)
        # One entry where an expanded dimension shows it many times.
        small = tensor[tuple(slice(1) if s == 0 else slice(None) for s in stride)]
        view = room.as_strided(small.shape, stride, offset)
        if _overlaps(small.shape, stride):
            view = room[offset:]
            small = tensor.as_strided((span - offset,), (1,), offset)
        view.copy_(small)
        self.put(b"w", head, _ints([offset, span, *stride]), _tensor_bytes(room))


def _crosses(tensor):
    plain = tensor.layout is torch.strided and not tensor.is_nested
    plain = plain and not tensor.is_quantized and tensor.device.type != "meta"
    return plain and tensor.dtype in TENSORS


def _overlaps(shape, stride):
    """Whether two entries may share a place (never a false no)."""
    reach = 0
    for step, size in sorted((s, n) for s, n in zip(stride, shape) if n > 1):
        if step <= reach:
            return True
        reach += step * (size - 1)
    return False


def _tensor_bytes(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _head(known, dtype, shape):
    if len(shape) > MOST_DIMENSIONS:
        raise WireError(f"more than {MOST_DIMENSIONS} dimensions")
    return struct.pack(">BB", known.index(dtype), len(shape)) + _ints(shape)


def _ints(values):
    return struct.pack(f">{len(values)}q", *values)


# Reading


def decode(data: bytes, foreign=None, *, strided: bool = False):
    """The value in `data`; a Reference becomes `foreign(kind, value)`.

    With `strided` tensors and arrays may have a layout of their own; never for what a
    learner's process sent, since a few bytes can then be a tensor of any size.

    Raises:
        WireError: the data are not exactly one value within the limits.
    """
    reader = _Reader(data, foreign, strided)
    try:
        value = reader.read(0)
        if reader.place != len(data):
            raise WireError("something follows the value")
        return value
    except WireError:
        raise
    except (ValueError, TypeError, OverflowError, RuntimeError, MemoryError) as error:
        # What numpy, torch and the hashing of keys say of nonsense.
        raise WireError(f"cannot be read ({type(error).__name__})") from None


class _Reader:
    def __init__(self, data, foreign, strided):
        self.data, self.foreign = memoryview(data), foreign
        self.strided = strided
        self.place, self.leaves = 0, 0

    def take(self, size):
        if size < 0 or self.place + size > len(self.data):
            raise WireError("cut short")
        self.place += size
        return self.data[self.place - size : self.place]

    def unpack(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def read(self, depth):
        self.leaves += 1
        if self.leaves > MOST_LEAVES or depth > DEEPEST:
            raise WireError("too many values, or too deep")
        letter = bytes(self.take(1))
        match letter:
            case b"N":
                return None
            case b"T" | b"F":
                return letter == b"T"
            case b"i":
                (size,) = self.unpack(">H")
                if size > LONGEST_INT:
                    raise WireError("an integer of more than 4096 bits")
                return int.from_bytes(self.take(size), "big", signed=True)
            case b"f":
                return self.unpack(">d")[0]
            case b"c":
                return complex(*self.unpack(">dd"))
            case b"s":
                return bytes(self.take(*self.unpack(">I"))).decode()
            case b"b":
                return bytes(self.take(*self.unpack(">I")))
            case b"l" | b"t" | b"e" | b"d":
                return self.container(letter, depth)
            case b"a" | b"n" | b"x" | b"v" | b"w":
                return self.array(letter)
            case b"R":
                kind, value = self.read(depth + 1), self.read(depth + 1)
                if self.foreign is None or type(kind) is not str:
                    raise WireError("a reference, where none may be")
                return self.foreign(kind, value)
        raise WireError("an unknown letter")

    def container(self, letter, depth):
        (count,) = self.unpack(">I")
        if count > len(self.data) - self.place or self.leaves + count > MOST_LEAVES:
            raise WireError("cut short, or too many values")
        if letter == b"d":
            keys, values = [], []
            for _ in range(count):
                keys.append(self.read(depth + 1))
                values.append(self.read(depth + 1))
            _check_keys(keys)
            made = dict(zip(keys, values))
        else:
            items = [self.read(depth + 1) for _ in range(count)]
            if letter == b"e":
                _check_keys(items)
            made = {b"l": list, b"t": tuple, b"e": set}[letter](items)
        if len(made) != count:
            raise WireError("a key twice")
        return made

    def array(self, letter):
        number, dimensions = self.unpack(">BB")
        tensor = letter in b"xw"
        known = TENSORS if tensor else ARRAYS
        if number >= len(known) or dimensions > MOST_DIMENSIONS:
            raise WireError("an unknown dtype, or too many dimensions")
        dtype = known[number]
        shape = self.unpack(f">{dimensions}q")
        # In Python's integers, which do not overflow.
        size = math.prod(shape)
        if min(shape, default=0) < 0 or max(shape, default=0) > 2**40:
            raise WireError("an impossible shape")
        layout = None
        if letter in b"vw":
            if not self.strided:
                raise WireError("a layout, where none may be")
            start, size, *strides = self.unpack(f">{dimensions + 2}q")
            layout = start, strides
            if size <= 0:
                raise WireError("an impossible size")
        each = 1 if letter == b"v" else dtype.itemsize
        raw = bytearray(self.take(size * each))
        if number == 0 and raw.strip(b"\0\1"):
            raise WireError("a truth value that is neither")
        if tensor:
            if not raw:
                return torch.empty(shape, dtype=dtype)
            flat = torch.frombuffer(raw, dtype=dtype)
            if layout:
                return flat.as_strided(shape, strides, start)
            return flat.reshape(shape)
        if layout:
            return np.ndarray(shape, dtype, raw, start, strides)
        array = np.frombuffer(raw, dtype).reshape(shape)
        return array[()] if letter == b"n" and not shape else array


def _check_keys(keys):
    tuples = 0
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if type(key) is tuple:
            tuples += 1
            waiting += key
        elif type(key) is int and abs(key) > LARGEST_KEY:
            raise WireError("a key of too many digits")
        elif type(key) not in (int, bool, float, str, bytes, type(None)):
            raise WireError("a key that is none")
    if tuples > MOST_TUPLE_KEYS:
        raise WireError("too many tuples as keys")


# Frames


class Closed(WireError):
    """The other side has ended."""


class Late(WireError):
    """Nothing came in time."""


class Channel:
    """Frames over a stream socket that nobody else reads.

    By read and write alone: a sandbox may refuse what else a socket can do.
    """

    def __init__(self, endpoint: socket.socket):
        self.descriptor = endpoint.detach()
        os.set_blocking(self.descriptor, False)
        self.ahead = bytearray()  # what came with a frame before

    def close(self) -> None:
        """End the conversation."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def send(self, data: bytes, seconds: float | None = None) -> None:
        """Send one frame.

        Raises:
            Closed, Late: the other side has ended, or did not take it in time.
        """
        view = memoryview(struct.pack(">Q", len(data)) + data)
        deadline = None if seconds is None else time.monotonic() + seconds
        while view:
            self._wait(select.POLLOUT, deadline)
            try:
                view = view[os.write(self.descriptor, view) :]
            except BlockingIOError:
                continue
            except OSError:
                raise Closed("the other side has ended") from None

    def receive(self, seconds: float | None = None) -> bytes:
        """The next frame.

        Raises:
            Closed, Late: the other side has ended, or nothing whole came in time.
            WireError: the frame says that it is larger than any may be.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        (size,) = struct.unpack(">Q", self._exactly(8, deadline))
        if size > LARGEST:
            raise WireError(f"larger than {LARGEST >> 20} MiB")
        return self._exactly(size, deadline)

    def _exactly(self, size, deadline):
        while len(self.ahead) < size:
            self._wait(select.POLLIN, deadline)
            try:
                more = os.read(self.descriptor, 2**18)
            except BlockingIOError:
                continue
            except OSError:
                more = b""
            if not more:
                raise Closed("the other side has ended")
            self.ahead += more
        data = bytes(self.ahead[:size])
        del self.ahead[:size]
        return data

    def _wait(self, event, deadline):
        poll = select.poll()
        poll.register(self.descriptor, event)
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise Late("nothing came in time")
            if poll.poll(None if left is None else left * 1000 + 1):
                return
