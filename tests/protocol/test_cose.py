# runs on: cpython micropython
"""COSE_Mac0 against pycose's messages and HMAC against RFC 4231; forged and bad stay apart."""

import json
from binascii import hexlify, unhexlify

from protocol import cbor, cose
from protocol.units import FORGED, MALFORMED, OVERSIZED, UNSUPPORTED, Malformed

ROOT = __file__.rsplit("/", 3)[0]
KEY = bytes(range(32))

# RFC 4231 test cases 1, 2, 3, 4, 6 and 7: key, data, HMAC-SHA-256.
RFC_4231 = (
    (
        b"\x0b" * 20,
        b"Hi There",
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    ),
    (
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (
        b"\xaa" * 20,
        b"\xdd" * 50,
        "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
    ),
    (
        bytes(range(1, 26)),
        b"\xcd" * 50,
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
    ),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
    (
        b"\xaa" * 131,
        b"This is a test using a larger than block-size key and a larger than block-size data. "
        b"The key needs to be hashed before being used by the HMAC algorithm.",
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
    ),
)

# Payload b"q" unless the words say otherwise; what each must mean.
BAD_LAYOUTS = (
    ("", MALFORMED, "nothing"),
    ("84", MALFORMED, "only the array"),
    ("8443a10104", MALFORMED, "cut before the unprotected header"),
    ("d18443a10104a04171480000000000000000", MALFORMED, "tagged"),
    ("d28443a10104a04171480000000000000000", MALFORMED, "COSE_Sign1 tag"),
    ("8543a10104a0417148000000000000000000", MALFORMED, "five members"),
    ("8440a1014104a04171480000000000000000", MALFORMED, "empty protected"),
    ("845803a10104a04171480000000000000000", MALFORMED, "long form of protected"),
    ("8443a10104a104416b4171480000000000000000", MALFORMED, "a kid"),
    ("8443a10104404171480000000000000000", MALFORMED, "unprotected is no map"),
    ("8443a10104a0f6480000000000000000", MALFORMED, "detached payload"),
    ("8443a10104a0580171480000000000000000", MALFORMED, "long form of payload length"),
    ("8443a10104a05affffffff00", MALFORMED, "payload of 4 GB"),
    ("8443a10104a0417147" + "00" * 7, MALFORMED, "tag too short"),
    ("8443a10105a0417148" + "00" * 8, MALFORMED, "short tag under alg 5"),
    ("8443a10104a041715820" + "00" * 32, MALFORMED, "long tag under alg 4"),
    ("8443a10104a0417148" + "00" * 9, MALFORMED, "trailing byte"),
    ("8443a10106a041715830" + "00" * 48, UNSUPPORTED, "HMAC 384/384"),
    ("8443a10104a04171480000000000000000", FORGED, "tag of zeros"),
)
MAC = cose.Mac(KEY)


def reason_of(data, **limits):
    try:
        cose.open_sealed(data, MAC, **limits)
    except Malformed as error:
        return error.reason
    return None


def test_hmac_matches_rfc_4231():
    for key, data, expected in RFC_4231:
        assert cose.Mac(key).digest(data) == unhexlify(expected)
        assert cose.Mac(key).digest(data[:7], b"", data[7:]) == unhexlify(expected)


def test_directions_have_different_keys_fixed_for_ever():
    up = cose.derive(KEY, cose.UP)
    down = cose.derive(KEY, cose.DOWN)
    assert hexlify(up) == b"9b99fc0662dc0802661d649e15517da7f072c6eea5e1a7fc431de749cb1bd161"
    assert hexlify(down) == b"4876d5cf3621ea2c00e6f16c52d520ea6c365655d177bd31d8a325833326343a"
    for root_key, direction in ((b"short", cose.UP), (KEY, b"gridpurse/1 sideways")):
        try:
            cose.derive(root_key, direction)
        except ValueError:
            continue
        assert False, direction


def test_messages_of_an_independent_implementation_are_sealed_and_opened_alike():
    with open(ROOT + "/protocol/vectors/cose.json") as file:
        vectors = json.load(file)
    assert len(vectors) == 7
    for vector in vectors:
        alg = vector["alg"]
        payload, key, sealed = [unhexlify(vector[name]) for name in ("payload", "key", "sealed")]
        mac = cose.Mac(key)
        assert cose.seal(alg, payload, mac) == sealed
        assert cose.open_sealed(sealed, mac) == (alg, payload)


def test_what_is_sealed_under_both_algorithms_opens():
    for alg in (cose.HMAC_256_64, cose.HMAC_256_256):
        for payload in (b"", b"p", b"q" * 300):
            sealed = cose.seal(alg, payload, cose.Mac(KEY))
            for kind in (bytes, bytearray, memoryview):
                assert cose.open_sealed(kind(sealed), MAC) == (alg, payload)


def test_every_bad_layout_has_its_reason():
    for text, reason, why in BAD_LAYOUTS:
        assert reason_of(unhexlify(text)) == reason, why


def test_every_changed_bit_is_refused():
    for alg in (cose.HMAC_256_64, cose.HMAC_256_256):
        sealed = bytearray(cose.seal(alg, cbor.encode({1: 7}), cose.Mac(KEY)))
        for place in range(len(sealed)):
            for bit in range(8):
                sealed[place] ^= 1 << bit
                assert reason_of(sealed) is not None, (place, bit)
                sealed[place] ^= 1 << bit
        assert reason_of(sealed) is None


def test_every_cut_is_malformed_not_forged():
    sealed = cose.seal(cose.HMAC_256_256, b"payload", cose.Mac(KEY))
    for length in range(len(sealed)):
        assert reason_of(sealed[:length]) == MALFORMED, length


def test_a_good_payload_under_the_wrong_key_is_forged():
    assert reason_of(cose.seal(5, b"p", cose.Mac(cose.derive(KEY, cose.UP)))) == FORGED


def test_a_receiver_can_insist_on_the_long_tag():
    short = cose.seal(cose.HMAC_256_64, b"p", cose.Mac(KEY))
    assert reason_of(short, algs=(cose.HMAC_256_256,)) == UNSUPPORTED
    assert reason_of(short, algs=(cose.HMAC_256_64,)) is None


def test_size_is_bounded_before_the_tag_is_computed():
    sealed = cose.seal(cose.HMAC_256_64, bytes(5000), cose.Mac(KEY))
    assert reason_of(sealed) == OVERSIZED
    assert reason_of(sealed, size_max=6000) is None


def test_comparison_notices_every_byte_and_length():
    assert cose.same(b"", b"") and cose.same(b"abc", b"abc")
    for other in (b"", b"ab", b"abcd", b"xbc", b"axc", b"abx"):
        assert not cose.same(b"abc", other), other
