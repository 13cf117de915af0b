# runs on: cpython micropython
"""MQTT packets against bytes written out by hand from the standard."""

from firmware import mqtt_codec as codec
from protocol.units import MALFORMED, OVERSIZED, Malformed

GOOD = (
    ("20020000", (codec.CONNACK, False, 0)),
    ("20020100", (codec.CONNACK, True, 0)),
    ("20020005", (codec.CONNACK, False, 5)),
    ("40020001", (codec.PUBACK, 1)),
    ("4002ffff", (codec.PUBACK, 65535)),
    ("9003000a00", (codec.SUBACK, 10, b"\x00")),
    ("9005000a010280", (codec.SUBACK, 10, b"\x01\x02\x80")),
    ("d000", (codec.PINGRESP,)),
    ("3003000161", (codec.PUBLISH, "a", b"", 0, False, False, 0)),
    ("310500016162 63", (codec.PUBLISH, "a", b"bc", 0, False, True, 0)),
    ("320700032f612f0007", (codec.PUBLISH, "/a/", b"", 1, False, False, 7)),
    ("3b060001610102ff", (codec.PUBLISH, "a", b"\xff", 1, True, True, 0x102)),
    ("30050003e282ac", (codec.PUBLISH, "\u20ac", b"", 0, False, False, 0)),
    ("d08000", (codec.PINGRESP,)),  # a padded length is not forbidden by 3.1.1
)

BAD = (
    "0000",  # reserved kind
    "1000",  # CONNECT: only clients send it
    "21020000",  # CONNACK with flags
    "2003000000",
    "20020200",  # reserved acknowledge flag
    "41020001",
    "40020000",  # packet id 0
    "400101",
    "4003000100",
    "50020001",  # PUBREC: QoS 2 is never asked for
    "62020001",
    "70020001",
    "82020001",
    "9002000a",  # SUBACK without a code
    "9003000a03",
    "90030000 00",
    "a2020001",
    "b0020001",
    "c000",  # PINGREQ: only clients send it
    "d001ff",
    "d100",
    "e000",
    "f000",
    "3000",  # PUBLISH without a topic
    "300100",
    "30020000",  # empty topic
    "3003000261",  # topic longer than the packet
    "3403000161",  # QoS 2
    "36050001610001",  # QoS 3
    "3803000161",  # DUP with QoS 0
    "3203000161",  # QoS 1 without room for a packet id
    "320500016100 00",  # packet id 0
    "300300012b",  # wildcard in a topic name
    "3003000123",
    "3003000100",  # NUL
    "30030001ff",  # not UTF-8
    "d080808080",  # length of more than four bytes
    "d0ffffffff7f",
)


def unhex(text):
    return bytes([int(text.replace(" ", "")[i : i + 2], 16) for i in range(0, _size(text), 2)])


def _size(text):
    return len(text.replace(" ", ""))


def refusal(data, packet_bytes_max=64):
    try:
        codec.Decoder(packet_bytes_max).feed(data)
    except Malformed as error:
        return error.reason
    return None


def test_good_packets_decode_to_their_values():
    for text, value in GOOD:
        assert codec.Decoder(64).feed(unhex(text)) == [value], text


def test_bad_packets_are_malformed():
    for text in BAD:
        assert refusal(unhex(text)) == MALFORMED, text


def test_truncated_packets_wait_for_the_rest():
    for text, value in GOOD:
        data = unhex(text)
        decoder = codec.Decoder(64)
        for i in range(len(data) - 1):
            assert decoder.feed(data[i : i + 1]) == [], text
        assert decoder.feed(data[-1:]) == [value], text


def test_a_stream_cut_anywhere_gives_the_same_packets():
    stream = b"".join([unhex(text) for text, _ in GOOD])
    values = [value for _, value in GOOD]
    for size in (1, 2, 3, 5, 7, 11, 64, 1000):
        decoder = codec.Decoder(64)
        got = []
        for i in range(0, len(stream), size):
            got.extend(decoder.feed(stream[i : i + size]))
        assert got == values, size


def test_a_length_above_the_bound_is_refused_before_any_of_it_is_stored():
    assert refusal(b"\x30\x40") is None
    assert refusal(b"\x30\x41") == OVERSIZED
    assert refusal(b"\x30\xff\xff\xff\x7f") == OVERSIZED


def test_connect_always_asks_for_a_clean_session():
    assert codec.connect("m1", 60) == b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02m1"


def test_connect_carries_login_and_will_in_the_order_of_the_standard():
    packet = codec.connect("m", 300, "u", b"pw", ("w", b"x", 1, True))
    head = b"\x10\x1a\x00\x04MQTT\x04\xee\x01\x2c"
    assert packet == head + b"\x00\x01m" + b"\x00\x01w\x00\x01x" + b"\x00\x01u\x00\x02pw"


def test_publish_encodes_quality_duplicate_and_retain():
    assert codec.publish("a", b"bc") == b"\x30\x05\x00\x01abc"
    assert codec.publish("a", b"bc", 0, 9) == b"\x30\x05\x00\x01abc"
    assert codec.publish("a", b"bc", 1, 9) == b"\x32\x07\x00\x01a\x00\x09bc"
    assert codec.publish("a", b"", 1, 258, dup=True) == b"\x3a\x05\x00\x01a\x01\x02"
    assert codec.publish("a", b"", retain=True) == b"\x31\x03\x00\x01a"


def test_lengths_change_size_at_the_borders_of_the_standard():
    for size, head in (
        (127, b"\x30\x7f"),
        (128, b"\x30\x80\x01"),
        (16383, b"\x30\xff\x7f"),
        (16384, b"\x30\x80\x80\x01"),
    ):
        packet = codec.publish("a", bytes(size - 3))
        assert packet[: len(head)] == head, size
        assert len(packet) == len(head) + size
        (value,) = codec.Decoder(20000).feed(packet)
        assert len(value[2]) == size - 3


def test_small_client_packets():
    assert codec.puback(0x1234) == b"\x40\x02\x12\x34"
    assert codec.PINGREQ == b"\xc0\x00"
    assert codec.DISCONNECT == b"\xe0\x00"
    two = codec.subscribe(1, (("a/#", 1), ("b", 0)))
    assert two == b"\x82\x0c\x00\x01\x00\x03a/#\x01\x00\x01b\x00"


def test_a_topic_too_long_for_its_length_field_is_refused():
    try:
        codec.publish("a" * 65536, b"")
    except Malformed as error:
        assert error.reason == OVERSIZED
    else:
        raise AssertionError("accepted")
