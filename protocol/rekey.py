"""A new root key out of the present one: both sides work it out, the key itself never travels.

The check proves, before anything is changed, that both have come to the same key, and later which
key a side has by now. Whoever knows the present key and saw the salt knows the new one too: a key
that may be known to others is replaced at the console. Never keeps a key.
"""

from protocol.cose import Mac
from protocol.units import const

SALT_BYTES = const(16)
CHECK_BYTES = const(8)


def next_root(root_key: bytes, salt: bytes) -> bytes:
    """The 32 bytes of the new root key: HMAC-SHA256(root key, "gridpurse/1 root" || salt)."""
    return Mac(root_key).digest(b"gridpurse/1 root", salt)


def check(root_key: bytes) -> bytes:
    """Eight bytes that tell one key from another and say nothing else of it."""
    return Mac(root_key).digest(b"gridpurse/1 check")[:CHECK_BYTES]
