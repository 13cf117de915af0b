# runs on: cpython micropython
"""Registers to integers: the vectors of firmware-facts section 6, both extremes of every type."""

from firmware.meters.readings import JUMP, OK, REVERSED, check_total, step_wh
from firmware.meters.registers import blocks, decode, scaled_float
from protocol.units import BAD_FIELD, Malformed

U16, S16, U32, S32, U32LW, S32LW, S64, F32 = range(1, 9)

FLOATS = (
    (0x3DCCCCCD, 100),
    (0x42F6E979, 123456),
    (0x46000001, 8192001),
    (0x4640E6B6, 12345678),
    (0x4683126F, 16777217),
    (0x47C34FFF, 99999992),
    (0x3A03126F, 1),
    (0xBFC00000, -1500),
    (0x00000000, 0),
    (0x80000000, 0),
    (0x00000001, 0),  # smallest subnormal
    (0x007FFFFF, 0),
    (0x3F800000, 1000),
    (0x3A000000, 0),  # 0.48828125
    (0x3B000000, 2),  # 1.953125
    (0x3BC00000, 6),  # 5.859375
    (0xBA03126F, -1),  # half away from zero, downwards too
)

NO_NUMBERS = (0x7FC00000, 0x7F800000, 0xFF800000, 0x7F800001, 0xFFFFFFFF)

INTEGERS = (
    (U16, "0000", 0),
    (U16, "ffff", 65535),
    (S16, "7fff", 32767),
    (S16, "8000", -32768),
    (S16, "ffff", -1),
    (U32, "00010000", 65536),
    (U32, "ffffffff", 4294967295),
    (S32, "7fffffff", 2147483647),
    (S32, "80000000", -2147483648),
    (S32, "fffffffe", -2),
    (U32LW, "00010002", 0x20001),  # differs from high word first
    (U32LW, "ffff0000", 65535),
    (U32LW, "ffffffff", 4294967295),
    (S32LW, "ffff7fff", 2147483647),
    (S32LW, "00008000", -2147483648),
    (S32LW, "fffeffff", -2),
    (S32LW, "00010002", 0x20001),
    (S64, "7fffffffffffffff", 9223372036854775807),
    (S64, "8000000000000000", -9223372036854775808),
    (S64, "0000000000000001", 1),
)


def unhex(text):
    return bytes([int(text[i : i + 2], 16) for i in range(0, len(text), 2)])


def reason(call, *arguments):
    try:
        call(*arguments)
    except Malformed as error:
        return error.reason
    return None


def test_floats_are_exact_to_the_published_integers():
    for bits, value in FLOATS:
        assert scaled_float(bits, 1000) == value, hex(bits)
        data = b"\x55" + bits.to_bytes(4, "big")
        assert decode(data, 1, F32, 1000) == value, hex(bits)


def test_kilowatts_become_milliwatts_without_a_float():
    assert scaled_float(0x3F9DF3B6, 1000000) == 1234000  # 1.2339999675750732
    assert scaled_float(0xBF9DF3B6, 1000000) == -1234000


def test_subnormal_floats_have_no_hidden_bit_and_the_smallest_exponent():
    assert scaled_float(0x00000001, 1 << 149) == 1
    assert scaled_float(0x00400000, 1 << 127) == 1
    assert scaled_float(0x807FFFFF, 1 << 149) == -0x7FFFFF
    assert scaled_float(0x00800000, 1 << 126) == 1


def test_nan_and_infinity_are_refused():
    for bits in NO_NUMBERS:
        assert reason(scaled_float, bits, 1000) == BAD_FIELD, hex(bits)


def test_values_beyond_64_bits_are_refused():
    assert reason(decode, unhex("7f7fffff"), 0, F32, 1) == BAD_FIELD
    assert reason(decode, unhex("ff7fffff"), 0, F32, 1000) == BAD_FIELD
    assert reason(decode, unhex("7fffffffffffffff"), 0, S64, 2) == BAD_FIELD
    assert decode(unhex("5effffff"), 0, F32, 1) == 0xFFFFFF << 39
    assert reason(decode, unhex("5f000000"), 0, F32, 1) == BAD_FIELD
    assert decode(unhex("df000000"), 0, F32, 1) == -1 << 63


def test_integers_decode_at_both_extremes_and_in_both_word_orders():
    for kind, text, value in INTEGERS:
        assert decode(unhex(text), 0, kind, 1) == value, (kind, text)
        assert decode(b"\xff\xff" + unhex(text), 2, kind, 1) == value, (kind, text)


def test_the_multiplier_is_applied_to_the_signed_value():
    assert decode(unhex("fffeffff"), 0, S32LW, 100) == -200
    assert decode(unhex("ffff"), 0, S16, 1000) == -1000


def row(address, size=2):
    return (1, address, F32, 1000, size)


def shape(registers, gap_max=6, registers_max=80):
    return [block[:2] for block in blocks(registers, gap_max, registers_max)]


def test_near_registers_share_a_request():
    rows = [row(0), row(6), row(12), row(0x46), row(0x48), row(0x156)]
    assert shape(rows) == [[0, 14], [0x46, 4], [0x156, 2]]
    assert shape([row(6), row(0)]) == [[0, 8]]
    assert shape(rows, gap_max=0) == [[0, 2], [6, 2], [12, 2], [0x46, 4], [0x156, 2]]
    assert shape([]) == []


def test_a_request_never_exceeds_its_limit():
    rows = [row(address) for address in range(0, 400, 2)]
    for registers_max in (2, 3, 16, 80):
        plan = blocks(rows, 6, registers_max)
        assert max([count for _, count, _ in plan]) <= registers_max
        assert sum([len(part) for _, _, part in plan]) == len(rows)
        for address, count, part in plan:
            for register in part:
                assert address <= register[1] and register[1] + 2 <= address + count


def test_a_wide_register_is_never_split():
    assert shape([row(0, 4), row(4, 4)], registers_max=6) == [[0, 4], [4, 4]]


def test_a_total_may_rise_as_far_as_the_wires_allow_and_one_step_more():
    limit_mw = 13800000  # 60 A at 230 V
    assert check_total(1000, 1000, 1000, limit_mw, 1) == OK
    assert check_total(1000, 1013, 3600, limit_mw, 0) == OK  # 13.8 Wh
    assert check_total(1000, 1014, 3600, limit_mw, 0) == JUMP
    assert check_total(1000, 1014, 3600, limit_mw, 1) == OK
    assert check_total(1000, 1015, 3600, limit_mw, 1) == JUMP
    assert check_total(0, 13800, 3600000, limit_mw, 0) == OK
    assert check_total(0, 13801, 3600000, limit_mw, 0) == JUMP
    assert check_total(0, 100, 0, limit_mw, 100) == OK


def test_a_falling_total_is_an_event_never_a_credit():
    assert check_total(1000, 999, 10**9, 10**9, 100) == REVERSED
    assert check_total(10**15, 0, 1, 1, 1) == REVERSED


def test_the_step_of_a_float_register_grows_with_it():
    assert step_wh(0, 0) == 1
    assert step_wh(8192000, 0) == 1
    assert step_wh(131072000, 0) == 16
    assert step_wh(131071999, 0) == 8
    assert step_wh(99999992, 0) == 8
    assert step_wh(99999992, 100) == 100
