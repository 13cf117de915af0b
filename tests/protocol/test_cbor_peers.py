"""The codec against cbor2, an independent implementation (CPython only)."""

from io import BytesIO

import cbor2
from hypothesis import given
from hypothesis import strategies as st

from protocol import cbor
from protocol.units import Malformed

INTEGERS = st.integers(-(1 << 64), (1 << 64) - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.binary() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(INTEGERS, inner, max_size=5),
    max_leaves=20,
)


def depth(value: object) -> int:
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 0


def ordered(value: object) -> object:
    """Keys in RFC 8949 order; cbor2's canonical mode sorts by length first, as RFC 7049 did."""
    if isinstance(value, list):
        return [ordered(item) for item in value]
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value, key=cbor2.dumps)}
    return value


@given(VALUES)
def test_both_codecs_write_the_same_bytes(value: object) -> None:
    data = cbor.encode(value)
    assert data == cbor2.dumps(ordered(value))
    assert cbor.decode(data, depth_max=depth(value), size_max=len(data)) == value


@given(st.binary(max_size=64))
def test_what_is_accepted_means_the_same_to_both_and_reencodes_to_itself(data: bytes) -> None:
    try:
        value = cbor.decode(data)
    except Malformed:
        return
    assert cbor2.loads(data) == value
    assert cbor.encode(value) == data


@given(VALUES, st.data())
def test_one_damaged_byte_never_escapes_as_another_error(
    value: object, draw: st.DataObject
) -> None:
    data = bytearray(cbor.encode(value))
    data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    try:
        changed = cbor.decode(bytes(data), size_max=len(data))
    except Malformed:
        return
    stream = BytesIO(data)
    assert cbor2.load(stream) == changed
    assert stream.read() == b""
