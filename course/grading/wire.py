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
READ = 2**16  # bytes at once; what is larger, malloc would map anew each time
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
ARRAY_NUMBER = {dtype: number for number, dtype in enumerate(ARRAYS)}
TENSOR_NUMBER = {dtype: number for number, dtype in enumerate(TENSORS)}
NO_NUMPY = {torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2}

# What follows a letter, and it; compiled once. Of arrays: dtype, dimensions, shape.
INT, COUNT = struct.Struct(">cH"), struct.Struct(">cI")
FLOAT, COMPLEX = struct.Struct(">cd"), struct.Struct(">cdd")
ARRAY = [struct.Struct(f">cBB{n}q") for n in range(MOST_DIMENSIONS + 1)]
LAYOUT = [struct.Struct(f">{n + 2}q") for n in range(MOST_DIMENSIONS + 1)]
LENGTH = struct.Struct(">Q")


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
    writer.check_bytes(0)
    return bytes(writer.out)


class _Writer:
    def __init__(self, foreign, strided):
        self.foreign, self.strided = foreign, strided
        self.out, self.leaves = bytearray(), 0

    def write(self, value, depth):
        self.leaves += 1
        if self.leaves > MOST_LEAVES:
            raise WireError(f"more than {MOST_LEAVES} values")
        if depth > DEEPEST:
            raise WireError(f"nested more than {DEEPEST} levels deep")
        writer = WRITERS.get(type(value))
        if writer is None or writer(self, value, depth) is NotImplemented:
            if self.foreign is None:
                raise WireError(f"class {type(value).__qualname__} is not data")
            self.write(self.foreign(value), depth)

    def check_bytes(self, size):
        """Before anything of that size is made. What is small may do without: there
        cannot be much of it.
        """
        if len(self.out) + size > LARGEST:
            raise WireError(f"larger than {LARGEST >> 20} MiB")

    def write_none(self, value, depth):
        self.out += b"N"

    def write_bool(self, value, depth):
        self.out += b"T" if value else b"F"

    def write_int(self, value, depth):
        size = value.bit_length() // 8 + 1
        if size > LONGEST_INT:
            raise WireError("an integer of more than 4096 bits")
        self.check_bytes(size)
        self.out += INT.pack(b"i", size) + value.to_bytes(size, "big", signed=True)

    def write_float(self, value, depth):
        self.out += FLOAT.pack(b"f", value)

    def write_complex(self, value, depth):
        self.out += COMPLEX.pack(b"c", value.real, value.imag)

    def write_str(self, value, depth):
        try:
            data = value.encode()
        except UnicodeEncodeError:
            raise WireError("a string that holds half a character") from None
        self.write_bytes(data, depth, b"s")

    def write_bytes(self, value, depth, letter=b"b"):
        self.check_bytes(len(value))
        self.out += COUNT.pack(letter, len(value))
        self.out += value

    def write_items(self, value, depth):
        self.out += COUNT.pack(CONTAINERS[type(value)], len(value))
        for item in value:
            self.write(item, depth + 1)

    def write_dict(self, value, depth):
        self.out += COUNT.pack(b"d", len(value))
        for key, item in value.items():
            self.write(key, depth + 1)
            self.write(item, depth + 1)

    def write_reference(self, value, depth):
        self.out += b"R"
        self.write(value.kind, depth + 1)
        self.write(value.value, depth + 1)

    def write_number(self, value, depth):
        self.out += ARRAY[0].pack(b"n", ARRAY_NUMBER[value.dtype], 0) + value.tobytes()

    def write_array(self, array, depth):
        number = ARRAY_NUMBER.get(array.dtype)
        if number is None:
            return NotImplemented
        n = _dimensions(array)
        if not self.strided or array.flags.c_contiguous or not array.size:
            self.check_bytes(array.nbytes)
            self.out += ARRAY[n].pack(b"a", number, n, *array.shape) + array.tobytes()
            return None
        # Only what the array shows: around it may be what nobody shall see.
        reach = [(n - 1) * s for n, s in zip(array.shape, array.strides)]
        start, stop = -sum(r for r in reach if r < 0), sum(r for r in reach if r > 0)
        span = start + stop + array.itemsize
        self.check_bytes(span)
        room = np.zeros(span, np.uint8)
        view = np.ndarray(array.shape, array.dtype, room, start, array.strides)
        view[...] = array
        self.out += ARRAY[n].pack(b"v", number, n, *array.shape)
        self.out += LAYOUT[n].pack(start, span, *array.strides) + room.tobytes()
        return None

    def write_tensor(self, tensor, depth):
        # No sparse, nested, meta tensor; a quantised one has a dtype of its own.
        number = TENSOR_NUMBER.get(tensor.dtype)
        odd = tensor.layout is not torch.strided or tensor.is_nested or tensor.is_meta
        if number is None or odd:
            return NotImplemented
        n = _dimensions(tensor)
        plain = not self.strided or not tensor.numel()
        if plain or (not tensor.storage_offset() and tensor.is_contiguous()):
            self.check_bytes(tensor.nbytes)
            self.out += ARRAY[n].pack(b"x", number, n, *tensor.shape)
            self.out += _tensor_bytes(tensor)
            return None
        tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
        offset, stride = tensor.storage_offset(), tensor.stride()
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
        self.out += ARRAY[n].pack(b"w", number, n, *tensor.shape)
        self.out += LAYOUT[n].pack(offset, span, *stride) + _tensor_bytes(room)
        return None


CONTAINERS = {list: b"l", tuple: b"t", torch.Size: b"t", set: b"e"}
WRITERS = {
    type(None): _Writer.write_none,
    bool: _Writer.write_bool,
    int: _Writer.write_int,
    float: _Writer.write_float,
    complex: _Writer.write_complex,
    str: _Writer.write_str,
    bytes: _Writer.write_bytes,
    dict: _Writer.write_dict,
    Reference: _Writer.write_reference,
    np.ndarray: _Writer.write_array,
    torch.Tensor: _Writer.write_tensor,
    torch.nn.Parameter: _Writer.write_tensor,
    **dict.fromkeys(CONTAINERS, _Writer.write_items),
    **{dtype.type: _Writer.write_number for dtype in ARRAYS},
}


def _dimensions(array):
    if array.ndim > MOST_DIMENSIONS:
        raise WireError(f"more than {MOST_DIMENSIONS} dimensions")
    return array.ndim


def _overlaps(shape, stride):
    """Whether two entries may share a place (never a false no)."""
    reach = 0
    for step, size in sorted((s, n) for s, n in zip(stride, shape) if n > 1):
        if step <= reach:
            return True
        reach += step * (size - 1)
    return False


def _tensor_bytes(tensor):
    if tensor.dtype in NO_NUMPY:
        tensor = tensor.contiguous().reshape(-1).view(torch.uint8)
    return tensor.numpy(force=True).tobytes()


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
    except (IndexError, struct.error):
        raise WireError("cut short") from None
    except (ValueError, TypeError, OverflowError, RuntimeError, MemoryError) as error:
        # What numpy, torch and the hashing of keys say of nonsense.
        raise WireError(f"cannot be read ({type(error).__name__})") from None


class _Reader:
    def __init__(self, data, foreign, strided):
        self.data, self.foreign = memoryview(data), foreign
        self.strided = strided
        self.place, self.leaves = 0, 0  # neither ever goes back

    def take(self, size):
        start = self.place
        self.place += size
        if size < 0 or self.place > len(self.data):
            raise WireError("cut short")
        return self.data[start : self.place]

    def unpack(self, form):
        found = form.unpack_from(self.data, self.place)
        self.place += form.size
        return found

    def read(self, depth):
        self.leaves += 1
        if self.leaves > MOST_LEAVES or depth > DEEPEST:
            raise WireError("too many values, or too deep")
        reader = READERS.get(self.data[self.place])
        if reader is None:
            raise WireError("an unknown letter")
        return reader(self, depth)

    def read_constant(self, depth):
        return {78: None, 84: True, 70: False}[self.take(1)[0]]

    def read_int(self, depth):
        _, size = self.unpack(INT)
        if size > LONGEST_INT:
            raise WireError("an integer of more than 4096 bits")
        return int.from_bytes(self.take(size), "big", signed=True)

    def read_float(self, depth):
        return self.unpack(FLOAT)[1]

    def read_complex(self, depth):
        return complex(*self.unpack(COMPLEX)[1:])

    def read_str(self, depth):
        return str(self.take(self.unpack(COUNT)[1]), "utf-8")

    def read_bytes(self, depth):
        return bytes(self.take(self.unpack(COUNT)[1]))

    def count(self):
        _, count = self.unpack(COUNT)
        if count > len(self.data) - self.place or self.leaves + count > MOST_LEAVES:
            raise WireError("cut short, or too many values")
        return count

    def read_list(self, depth):
        return [self.read(depth + 1) for _ in range(self.count())]

    def read_tuple(self, depth):
        return tuple(self.read_list(depth))

    def read_set(self, depth):
        items = self.read_list(depth)
        _check_keys(items)
        return _whole(set(items), len(items))

    def read_dict(self, depth):
        keys, values = [], []
        for _ in range(self.count()):
            keys.append(self.read(depth + 1))
            values.append(self.read(depth + 1))
        _check_keys(keys)
        return _whole(dict(zip(keys, values)), len(keys))

    def read_reference(self, depth):
        self.place += 1
        kind, value = self.read(depth + 1), self.read(depth + 1)
        if self.foreign is None or type(kind) is not str:
            raise WireError("a reference, where none may be")
        return self.foreign(kind, value)

    def read_array(self, depth):
        dimensions = self.data[self.place + 2]
        if dimensions > MOST_DIMENSIONS:
            raise WireError("too many dimensions")
        letter, number, _, *shape = self.unpack(ARRAY[dimensions])
        tensor = letter in b"xw"
        known = TENSORS if tensor else ARRAYS
        if number >= len(known):
            raise WireError("an unknown dtype")
        dtype = known[number]
        # In Python's integers, which do not overflow.
        size = math.prod(shape)
        if shape and (min(shape) < 0 or max(shape) > 2**40):
            raise WireError("an impossible shape")
        layout = None
        if letter in b"vw":
            if not self.strided:
                raise WireError("a layout, where none may be")
            start, size, *strides = self.unpack(LAYOUT[dimensions])
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


READERS = {
    ord(letter): reader
    for letters, reader in (
        ("NTF", _Reader.read_constant),
        ("i", _Reader.read_int),
        ("f", _Reader.read_float),
        ("c", _Reader.read_complex),
        ("s", _Reader.read_str),
        ("b", _Reader.read_bytes),
        ("l", _Reader.read_list),
        ("t", _Reader.read_tuple),
        ("e", _Reader.read_set),
        ("d", _Reader.read_dict),
        ("R", _Reader.read_reference),
        ("anxvw", _Reader.read_array),
    )
    for letter in letters
}


def _whole(made, count):
    if len(made) != count:
        raise WireError("a key twice")
    return made


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
        self.polls = {}
        for event in (select.POLLIN, select.POLLOUT):
            self.polls[event] = select.poll()
            self.polls[event].register(self.descriptor, event)
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
        view = memoryview(LENGTH.pack(len(data)) + data)
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
        (size,) = LENGTH.unpack(self._exactly(LENGTH.size, deadline))
        if size > LARGEST:
            raise WireError(f"larger than {LARGEST >> 20} MiB")
        return self._exactly(size, deadline)

    def _exactly(self, size, deadline):
        while len(self.ahead) < size:
            self._wait(select.POLLIN, deadline)
            try:
                more = os.read(self.descriptor, READ)
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
        poll = self.polls[event].poll
        if deadline is None:
            poll()
            return
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Late("nothing came in time")
            if poll(left * 1000 + 1):
                return
