"""COSE_Mac0 assembled from the text of RFC 9052 with cbor2 and the standard library's hmac."""

import hashlib
import hmac
import json
from pathlib import Path

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import cose
from protocol.units import Malformed

VECTORS = Path(__file__).resolve().parents[2] / "protocol" / "vectors" / "cose.json"
ALGS = st.sampled_from([cose.HMAC_256_64, cose.HMAC_256_256])


def rfc_9052(alg: int, payload: bytes, key: bytes) -> bytes:
    """Sections 6.2 and 6.3: the MAC_structure, its tag, and the untagged message."""
    protected = cbor2.dumps({1: alg})
    to_be_maced = cbor2.dumps(["MAC0", protected, b"", payload])
    tag = hmac.new(key, to_be_maced, hashlib.sha256).digest()[: {4: 8, 5: 32}[alg]]
    return cbor2.dumps([protected, {}, payload, tag])


@given(ALGS, st.binary(max_size=600), st.binary(max_size=80))
def test_seal_writes_what_the_rfc_says(alg: int, payload: bytes, key: bytes) -> None:
    sealed = cose.seal(alg, payload, cose.Mac(key))
    assert sealed == rfc_9052(alg, payload, key)
    assert cose.open_sealed(sealed, cose.Mac(key)) == (alg, payload)


@given(st.binary(max_size=120))
def test_noise_is_refused_and_nothing_else(data: bytes) -> None:
    with pytest.raises(Malformed):
        cose.open_sealed(data, cose.Mac(bytes(32)))


def test_golden_file_agrees_with_the_rfc_too() -> None:
    for vector in json.loads(VECTORS.read_text()):
        parts = [bytes.fromhex(vector[name]) for name in ("payload", "key")]
        assert rfc_9052(vector["alg"], *parts).hex() == vector["sealed"]
