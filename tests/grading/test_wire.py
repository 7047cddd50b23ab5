"""Values cross as what they are; nothing else does, and nothing that is forged."""

import contextlib
import os
import random
import socket
import struct

import numpy as np
import pytest
import torch

from course.grading import wire
from course.grading.wire import Channel, Closed, Late, WireError

VALUES = [
    None,
    True,
    False,
    0,
    -1,
    2**4095,
    -(2**4095),
    1.5,
    float("inf"),
    1 + 2j,
    "Zoë",
    b"\0\xff",
    [1, [2.0, ()]],
    {"a": {1, 2}, (1, "b"): None, True: 0},
    np.arange(6.0).reshape(2, 3),
    np.zeros((0, 3), np.int8),
    np.float32(2),
    np.array(3),
    torch.arange(6).reshape(2, 3),
    torch.ones(2, dtype=torch.bfloat16),
    torch.ones(2, 1, dtype=torch.complex64),
    torch.ones(3).to(torch.float8_e4m3fn),
    torch.tensor(True),
    torch.zeros(0, 4),
]


def same(one, other):
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        one, other = (t.reshape(-1).view(torch.uint8) for t in (one, other))
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return one == other


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_arrives_as_it_was(value):
    assert same(wire.decode(wire.encode(value)), value)
    assert same(wire.decode(wire.encode(value, strided=True), strided=True), value)


def test_nan_arrives():
    assert np.isnan(wire.decode(wire.encode(float("nan"))))


def test_a_parameter_arrives_as_its_tensor_and_a_size_as_a_tuple():
    got = wire.decode(wire.encode(torch.nn.Parameter(torch.ones(2))))
    assert type(got) is torch.Tensor
    assert not got.requires_grad
    assert wire.decode(wire.encode(torch.Size([1, 2]))) == (1, 2)


BASE = torch.arange(60.0).reshape(3, 4, 5)
STRIDED = [
    BASE.transpose(0, 2),
    BASE[1:, ::2],
    BASE[0, 0].expand(7, 5),
    BASE[:, 1:2].expand(3, 4, 5).mT,
    BASE.reshape(-1).as_strided((4, 3), (2, 1), 5),
    BASE.reshape(-1).unfold(0, 4, 2),
    BASE[2, 3, 4],
]


@pytest.mark.parametrize("tensor", STRIDED, ids=lambda t: str(t.stride()))
def test_an_argument_keeps_its_layout_and_shows_nothing_around_it(tensor):
    got = wire.decode(wire.encode(tensor, strided=True), strided=True)
    assert torch.equal(got, tensor)
    assert (got.stride(), got.storage_offset()) == (
        tensor.stride(),
        tensor.storage_offset(),
    )
    held = torch.tensor([], dtype=got.dtype).set_(got.untyped_storage())
    assert set(held.tolist()) <= {0.0, *tensor.reshape(-1).tolist()}


@pytest.mark.parametrize("cut", [np.s_[::-1, ::2], np.s_[:, 1::3], np.s_[..., 2]])
def test_an_array_as_argument_keeps_its_strides(cut):
    array = np.arange(60.0).reshape(3, 4, 5)[cut]
    got = wire.decode(wire.encode(array, strided=True), strided=True)
    assert np.array_equal(got, array)
    assert got.strides == array.strides


def test_an_answer_has_no_layout_of_its_own():
    data = wire.encode(torch.ones(1, 5).expand(7, 5), strided=True)
    with pytest.raises(WireError, match="layout"):
        wire.decode(data)
    assert wire.decode(wire.encode(BASE.mT)).is_contiguous()


class Liar(int):
    """Not an int."""


@pytest.mark.parametrize(
    "value",
    [
        Liar(1),
        object(),
        torch.ones(2).to_sparse(),
        torch.ones(2, device="meta"),
        np.array([object()]),
        np.ma.array([1]),
        lambda: 0,
        "\ud800",
        2**5000,
        torch.ones(1).expand(10**12),
        np.broadcast_to(np.ones(1), 10**12),
        ["x"] * (10**6 + 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_data_or_too_large_does_not_cross(value):
    with pytest.raises(WireError):
        wire.encode(value)


def test_a_list_within_itself_does_not_cross():
    value = []
    value.append(value)
    with pytest.raises(WireError, match="levels"):
        wire.encode(value)


def tensor(letter, number, *shape, data=b""):
    head = struct.pack(f">BB{len(shape)}q", number, len(shape), *shape)
    return letter + head + data


FORGED = {
    "nothing": b"",
    "an unknown letter": b"?",
    "a pickle": b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00K\x01.",
    "something behind the value": b"NN",
    "a tensor of 10^12 entries": tensor(b"x", 11, 10**6, 10**6),
    "a product that overflows": tensor(b"x", 11, *[2**32] * 4),
    "a negative size": tensor(b"x", 11, -1, -4, data=b"0123"),
    "an empty tensor of impossible strides": tensor(b"x", 11, *[2**40] * 5, 0),
    "an unknown dtype": tensor(b"x", 99, 1, data=b"0"),
    "33 dimensions": tensor(b"x", 1, *[1] * 33, data=b"0"),
    "half a truth": tensor(b"x", 0, 1, data=b"\2"),
    "a list of 2^32 - 1": b"l\xff\xff\xff\xff",
    "a list of more leaves than may be": b"l"
    + struct.pack(">I", 10**6 + 1)
    + b"N" * 2**21,
    "100 levels": b"l\0\0\0\1" * 100 + b"N",
    "a list as a key": b"d\0\0\0\1l\0\0\0\0N",
    "an array as a member": b"e\0\0\0\1" + tensor(b"a", 1, 1, data=b"0"),
    "a key twice": b"d\0\0\0\2NNNN",
    "a string that is none": b"s\0\0\0\1\xff",
    "an integer of 2^16 bytes": b"i\xff\xff" + b"1" * 65535,
    "a reference": b"R" + wire.encode("handle") + b"N",
    "a layout": wire.encode(BASE.mT, strided=True),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_value_is_a_wire_error(name):
    with pytest.raises(WireError):
        wire.decode(FORGED[name])


def test_keys_of_one_hash_are_refused_before_a_dict_is_made():
    numbers = [k * (2**61 - 1) for k in range(1, 1000)]
    data = b"e" + struct.pack(">I", len(numbers))
    data += b"".join(wire.encode(number) for number in numbers)
    with pytest.raises(WireError, match="digits"):
        wire.decode(data)


def test_every_cut_and_every_changed_byte_gives_a_value_or_a_wire_error():
    data = wire.encode([1, "a", {"k": (2.0, None)}, np.arange(3), torch.ones(2, 2)])
    for size in range(len(data)):
        with pytest.raises(WireError):
            wire.decode(data[:size])
    draw = random.Random(0)
    for _ in range(5000):
        changed = bytearray(data)
        for _ in range(draw.randint(1, 4)):
            changed[draw.randrange(len(data))] = draw.randrange(256)
        with contextlib.suppress(WireError):
            wire.decode(bytes(changed))


@pytest.fixture
def ends():
    channels = [Channel(end) for end in socket.socketpair()]
    yield channels
    for channel in channels:
        channel.close()


def test_frames_arrive_whole_and_in_order(ends):
    one, other = ends
    for frame in (b"", b"first", b"second"):
        one.send(frame)
    assert [other.receive() for _ in range(3)] == [b"", b"first", b"second"]


def test_a_frame_that_claims_too_much_is_refused_unread(ends):
    one, other = ends
    os.write(one.descriptor, struct.pack(">Q", 2**40))
    with pytest.raises(WireError, match="larger"):
        other.receive(1)


def test_a_cut_frame_is_late_or_closed(ends):
    one, other = ends
    os.write(one.descriptor, struct.pack(">Q", 10) + b"cut")
    with pytest.raises(Late):
        other.receive(0.01)
    one.close()
    with pytest.raises(Closed):
        other.receive(1)


def test_who_does_not_read_does_not_hold_the_sender_up(ends):
    with pytest.raises(Late):
        ends[0].send(bytes(2**24), 0.05)
