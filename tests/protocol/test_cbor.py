# runs on: cpython micropython
"""The codec against RFC 8949 Appendix A: the subset accepted exactly, everything else refused."""

from binascii import unhexlify

from protocol import cbor
from protocol.units import MALFORMED, OVERSIZED, TOO_DEEP, Malformed

# RFC 8949 Appendix A, the part inside the subset.
APPENDIX_A = (
    (0, "00"),
    (1, "01"),
    (10, "0a"),
    (23, "17"),
    (24, "1818"),
    (25, "1819"),
    (100, "1864"),
    (1000, "1903e8"),
    (1000000, "1a000f4240"),
    (1000000000000, "1b000000e8d4a51000"),
    (18446744073709551615, "1bffffffffffffffff"),
    (-18446744073709551616, "3bffffffffffffffff"),
    (-1, "20"),
    (-10, "29"),
    (-100, "3863"),
    (-1000, "3903e7"),
    (False, "f4"),
    (True, "f5"),
    (None, "f6"),
    (b"", "40"),
    (b"\x01\x02\x03\x04", "4401020304"),
    ("", "60"),
    ("a", "6161"),
    ("IETF", "6449455446"),
    ('"\\', "62225c"),
    ("\u00fc", "62c3bc"),
    ("\u6c34", "63e6b0b4"),
    ("\U00010151", "64f0908591"),
    ([], "80"),
    ([1, 2, 3], "83010203"),
    ([1, [2, 3], [4, 5]], "8301820203820405"),
    (list(range(1, 26)), "98190102030405060708090a0b0c0d0e0f101112131415161718181819"),
    ({}, "a0"),
    ({1: 2, 3: 4}, "a201020304"),
)

# RFC 8949 Appendix A, the part outside: tags, floats, simple values, text keys, indefinite ones.
APPENDIX_A_REFUSED = (
    "c249010000000000000000 c349010000000000000000 f90000 f98000 f93c00 fb3ff199999999999a f93e00 "
    "f97bff fa47c35000 fa7f7fffff fb7e37e43c8800759c f90001 f90400 f9c400 fbc010666666666666 "
    "f97c00 f97e00 f9fc00 fa7f800000 fa7fc00000 faff800000 fb7ff0000000000000 fb7ff8000000000000 "
    "fbfff0000000000000 f7 f0 f8ff c074323031332d30332d32315432303a30343a30305a c11a514b67b0 "
    "c1fb41d452d9e8200000 d74401020304 d818456449455446 "
    "d82076687474703a2f2f7777772e6578616d706c652e636f6d a26161016162820203 826161a161626163 "
    "a56161614161626142616361436164614461656145 5f42010243030405ff 7f657374726561646d696e67ff "
    "9fff 9f018202039f0405ffff 9f01820203820405ff 83018202039f0405ff 83019f0203ff820405ff "
    "9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff bf61610161629f0203ffff "
    "826161bf61626163ff bf6346756ef563416d7421ff"
)

BAD = (
    ("", "nothing at all"),
    ("0000", "trailing byte"),
    ("1817", "23 in two bytes"),
    ("190018", "24 in three bytes"),
    ("1900ff", "255 in three bytes"),
    ("1a0000ffff", "65535 in five bytes"),
    ("1b00000000ffffffff", "32 bits in nine bytes"),
    ("3817", "-24 in two bytes"),
    ("18", "argument missing"),
    ("1a000000", "argument cut"),
    ("1c", "reserved length 28"),
    ("1f", "indefinite integer"),
    ("41", "byte string without its byte"),
    ("5800", "long form of an empty string"),
    ("5bffffffffffffffff", "byte string of 2**64-1 bytes"),
    ("5affffffff00", "byte string of 4 GB"),
    ("7a7fffffff61", "text of 2 GB"),
    ("9bffffffffffffffff00", "array of 2**64-1 items"),
    ("9a00ffffff00", "array of 16 million items"),
    ("bbffffffffffffffff00", "map of 2**64-1 pairs"),
    ("bb800000000000000000", "map whose doubled length wraps in 64 bits"),
    ("a2010203", "map with half a pair"),
    ("a201000100", "key twice"),
    ("a202000100", "keys unsorted"),
    ("a220000000", "negative key before a positive one"),
    ("a221002000", "negative keys unsorted"),
    ("a1f500", "bool as key"),
    ("a1410000", "byte string as key"),
    ("a1180100", "key not in the shortest form"),
    ("a1a00000", "map as key"),
    ("61ff", "byte ff in text"),
    ("6180", "lone continuation"),
    ("62c080", "overlong NUL"),
    ("63e08080", "overlong three bytes"),
    ("63eda080", "surrogate"),
    ("64f0808080", "overlong four bytes"),
    ("64f4908080", "beyond U+10FFFF"),
    ("64f5808080", "lead byte f5"),
    ("61c3", "text cut inside a character"),
    ("63e6b061", "third byte is no continuation"),
    ("f814", "false in two bytes"),
    ("f820", "simple value 32"),
    ("ff", "break"),
    ("c000", "tag 0"),
)


def reason_of(data, **limits):
    try:
        cbor.decode(data, **limits)
    except Malformed as error:
        return error.reason
    return None


def test_appendix_a_values_have_exactly_one_encoding():
    for value, text in APPENDIX_A:
        data = unhexlify(text)
        assert cbor.encode(value) == data, text
        back = cbor.decode(data)
        assert back == value and type(back) is type(value), text


def test_appendix_a_outside_the_subset_is_refused():
    for text in APPENDIX_A_REFUSED.split():
        assert reason_of(unhexlify(text)) == MALFORMED, text


def test_every_bad_form_is_malformed_and_nothing_else():
    for text, why in BAD:
        assert reason_of(unhexlify(text)) == MALFORMED, why


def test_every_cut_of_a_good_message_is_malformed():
    data = cbor.encode({1: [1, -300, b"abc", "\u6c34", None, True], 2: {-1: 1 << 40}, 300: []})
    assert cbor.decode(data)[300] == []
    for length in range(len(data)):
        assert reason_of(data[:length]) == MALFORMED, length


def test_keys_are_sorted_by_their_encoding_whatever_the_order_given():
    data = cbor.encode({-1: 0, 300: 0, 24: 0, 1: 0, -300: 0, 23: 0})
    assert data == unhexlify("a60100170018180019012c00200039012b00")
    assert sorted(cbor.decode(data)) == [-300, -1, 1, 23, 24, 300]


def test_depth_is_bounded():
    assert cbor.decode(b"\x81" * 8 + b"\x00") == [[[[[[[[0]]]]]]]]
    assert reason_of(b"\x81" * 9 + b"\x00") == TOO_DEEP
    assert reason_of(b"\xa1\x00" * 9 + b"\x00") == TOO_DEEP
    assert reason_of(b"\x81" * 4000) == TOO_DEEP
    assert reason_of(b"\x80", depth_max=0) == TOO_DEEP


def test_size_is_bounded_before_anything_is_read():
    assert reason_of(b"\x00" * 5000) == OVERSIZED
    assert reason_of(b"\x43abc", size_max=3) == OVERSIZED
    assert cbor.decode(b"\x43abc", size_max=4) == b"abc"


def test_buffers_of_every_kind_are_read():
    for kind in (bytes, bytearray, memoryview):
        assert cbor.decode(kind(b"\x82\x41a\x61b")) == [b"a", "b"]
        assert cbor.encode(kind(b"ab")) == b"\x42ab"
    assert cbor.encode((1, 2)) == b"\x82\x01\x02"


def test_values_outside_the_subset_are_a_bug_of_the_caller():
    for value in (object(), {"a": 1}, {True: 1}, {None: 1}, {b"": 1}, [set()]):
        try:
            cbor.encode(value)
        except TypeError:
            continue
        assert False, repr(value)
    for value in (1 << 64, -(1 << 64) - 1, [1 << 70], {1 << 64: 0}):
        try:
            cbor.encode(value)
        except ValueError:
            continue
        assert False, repr(value)


def test_byte_string_is_read_at_an_offset():
    assert cbor.byte_string(b"\x00\x42ab\x00", 1) == (b"ab", 4)
    for data in (b"", b"\x61a", b"\x42a", b"\x58\x01a", b"\x18\x20"):
        try:
            cbor.byte_string(data, 0)
        except Malformed as error:
            assert error.reason == MALFORMED
            continue
        assert False, data
