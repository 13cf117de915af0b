"""Units, bounds and the two errors that every part of Gridpurse agrees on.

Energy is integer watt-hours, money integer nano-currency, prices integer micro-currency per kWh,
so that price times energy is exact nano-currency. Time is Unix seconds UTC. No float exists here.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:

    def const(value: int) -> int: ...
else:
    try:
        from micropython import const
    except ImportError:  # CPython

        def const(value):
            return value


NCUR_PER_CUR = 1000000000
INTERVAL_S = const(900)
DAY_S = const(86400)

POINTS_MAX = const(8)
MODULE_TARGET = const(255)  # commands that concern the module rather than a service point
NO_RELAY = const(255)  # of a service point without one
MESSAGE_BYTES_MAX = const(4096)

# Balances and totals fit a signed 64-bit journal field with room to spare: 9.2e9 currency units.
NCUR_MAX = 9223372036854775807

# Time quality, as two-ledgers.md names it.
SYNCHRONISED = const(0)
HOLDOVER = const(1)
INVALID = const(2)

# Why a message, a file or a command was refused. Numbers are on the wire; never reuse one.
MALFORMED = const(1)
OVERSIZED = const(2)
TOO_DEEP = const(3)
FORGED = const(4)
UNKNOWN_MODULE = const(5)
WRONG_SHARD = const(6)
WRONG_TOPIC = const(7)
REPLAYED = const(8)
EXPIRED = const(9)
FUTURE = const(10)
UNKNOWN_KIND = const(11)
BAD_FIELD = const(12)
UNKNOWN_POINT = const(13)
CONTRADICTORY = const(14)
OUT_OF_ORDER = const(15)
UNSUPPORTED = const(16)


class Malformed(Exception):
    """Bad input: reject it, never retry it. `reason` is one of the numbers above."""

    def __init__(self, reason: int, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class Unavailable(Exception):
    """Something outside does not answer now: try again later."""
