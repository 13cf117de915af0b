"""The fields of what modules send, as messages.py checks them; only the host loads this file."""

from protocol.messages import (
    EVENTS,
    FIRMWARE,
    HEAD,
    HELLO,
    INSTANT_S,
    ITEMS,
    MS,
    NCUR,
    POINT,
    READINGS,
    RESULT,
    SEQ,
    STATE,
    STATEMENT,
    STREAMS,
    U16,
    U32,
)
from protocol.units import INVALID, const

WH = const(1 << 50)

UP = {
    READINGS: (POINT, U32, SEQ, U32, ITEMS, HEAD),
    EVENTS: (U32, SEQ, ITEMS),
    STATEMENT: (POINT, U32, U32, INSTANT_S, INVALID, WH, U32, NCUR, NCUR, NCUR, STATE),
    RESULT: (U32, SEQ, INSTANT_S, INVALID, U32, U16, NCUR),
    HELLO: (U32, U32, MS, INSTANT_S, INVALID, U16, FIRMWARE, U32, STREAMS, STREAMS),
}
