# runs on: cpython micropython
"""Modbus frames against published ones."""

from firmware.meters import modbus
from protocol.units import BAD_FIELD, MALFORMED, Malformed

# Eastron manuals print this pair: 230.2 V.
REQUEST = b"\x01\x04\x00\x00\x00\x02\x71\xcb"
ANSWER = b"\x01\x04\x04\x43\x66\x33\x34\x1b\x38"


def with_crc(frame):
    crc = modbus.crc16(frame)
    return frame + bytes((crc & 0xFF, crc >> 8))


EXCEPTION = with_crc(b"\x01\x84\x02")


def reason(frame, unit=1, function=4, count=2):
    try:
        modbus.parse(frame, unit, function, count)
    except Malformed as error:
        return error.reason
    return None


def test_crc_of_published_frames():
    assert modbus.crc16(b"123456789") == 0x4B37
    assert modbus.crc16(REQUEST) == 0
    assert modbus.crc16(ANSWER) == 0
    assert modbus.crc16(b"") == 0xFFFF


def test_a_request_is_the_published_one():
    assert modbus.read_request(1, 4, 0, 2) == REQUEST
    assert modbus.read_request(1, 3, 0x0C, 2) == b"\x01\x03\x00\x0c\x00\x02\x04\x08"


def test_no_function_but_reading_can_be_framed():
    for function in range(256):
        if function in (3, 4):
            continue
        try:
            modbus.read_request(1, function, 0, 1)
        except Malformed as error:
            assert error.reason == BAD_FIELD
        else:
            raise AssertionError(function)


def test_a_published_answer_is_parsed():
    assert modbus.parse(ANSWER, 1, 4, 2) == b"\x43\x66\x33\x34"
    assert modbus.parse(bytearray(ANSWER), 1, 4, 2) == b"\x43\x66\x33\x34"


def test_an_exception_is_its_code():
    assert modbus.parse(EXCEPTION, 1, 4, 2) == 2


def test_every_flipped_bit_and_every_truncation_is_malformed():
    for frame in (ANSWER, EXCEPTION):
        for i in range(8 * len(frame)):
            bad = bytearray(frame)
            bad[i >> 3] ^= 1 << (i & 7)
            assert reason(bad) == MALFORMED, i
        for size in range(len(frame)):
            assert reason(frame[:size]) == MALFORMED, size
        assert reason(frame + b"\x00") == MALFORMED


def test_an_answer_to_another_request_is_malformed():
    assert reason(ANSWER, unit=2) == MALFORMED
    assert reason(ANSWER, function=3) == MALFORMED
    assert reason(ANSWER, count=1) == MALFORMED
    assert reason(ANSWER, count=3) == MALFORMED
    assert reason(EXCEPTION, function=3) == MALFORMED
    assert reason(with_crc(b"\x01\x04\x02\x43\x66\x33\x34")) == MALFORMED  # byte count


def test_a_frame_ends_by_its_length():
    assert modbus.answer_bytes(80) == 165
    for size in range(len(ANSWER)):
        missing = modbus.missing_bytes(ANSWER[:size], 2)
        assert missing == (5 if size < 5 else 9) - size
    assert modbus.missing_bytes(ANSWER, 2) == 0
    for size in range(len(EXCEPTION)):
        assert modbus.missing_bytes(EXCEPTION[:size], 2) == 5 - size
    assert modbus.missing_bytes(EXCEPTION, 2) == 0
