"""The Modbus parser under arbitrary bytes."""

from hypothesis import given
from hypothesis import strategies as st

from firmware.meters import modbus
from protocol.units import Malformed


@given(st.binary(max_size=20), st.integers(0, 255), st.sampled_from([3, 4]), st.integers(1, 8))
def test_parse_never_raises_anything_but_malformed(body, unit, function, count):
    crc = modbus.crc16(body)
    for frame in (body, body + bytes((crc & 0xFF, crc >> 8))):
        try:
            result = modbus.parse(frame, unit, function, count)
        except Malformed:
            continue
        assert isinstance(result, int) or len(result) == 2 * count


@given(st.integers(1, 80), st.data())
def test_whatever_a_meter_sends_is_read_back(count, data):
    registers = data.draw(st.binary(min_size=2 * count, max_size=2 * count))
    frame = bytes((7, 3, 2 * count)) + registers
    crc = modbus.crc16(frame)
    frame += bytes((crc & 0xFF, crc >> 8))
    assert len(frame) == modbus.answer_bytes(count)
    assert modbus.parse(frame, 7, 3, count) == registers
