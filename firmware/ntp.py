"""One SNTP exchange (RFC 4330) over board.link: the Unix milliseconds that a server claims.

Integers only; good from 1970 to 2106, over the end of NTP's era in 2036. The answer must carry the
random mark of our request, so that who cannot read along cannot forge it. It proves nothing more:
firmware/clock.py decides what such a time may do.
"""

import struct

from protocol import places
from protocol.units import MALFORMED, Malformed, const

PORT = const(123)
_TIMEOUT_MS = const(3000)
_PACKET_BYTES = const(48)
_BYTES_MAX = const(128)  # extensions and a digest may follow; nobody here could check them
_1970_S = const(2208988800)  # Unix epoch in seconds since 1900
_ASK = b"\x23" + bytes(39)  # version 4, client; our timestamp follows, the mark


async def ask(board, host):
    """`host` may carry a port. Malformed for an answer that is none, OSError for none at all."""
    host, port = places.one_of("ntp_host", host, PORT)
    mark = board.entropy(8)
    sent_ms = board.ticks_ms()
    answer = await board.link.udp_exchange(host, port, _ASK + mark, _BYTES_MAX, _TIMEOUT_MS)
    return parse(answer, mark) + (board.ticks_ms() - sent_ms) // 2


def parse(answer, mark):
    """Unix milliseconds at which the server sent this."""
    if len(answer) < _PACKET_BYTES or answer[24:32] != mark:
        raise Malformed(MALFORMED, "sntp: not an answer to us")
    flags, stratum = answer[0], answer[1]
    # A server without a time of its own says so by the leap bits; stratum 0 is a kiss of death.
    if flags & 7 != 4 or not 3 <= flags >> 3 & 7 <= 4 or flags >> 6 == 3 or not 1 <= stratum <= 15:
        raise Malformed(MALFORMED, "sntp: no time")
    seconds, fraction = struct.unpack_from(">II", answer, 40)
    if not seconds:
        raise Malformed(MALFORMED, "sntp: no time")
    return (seconds - _1970_S & 0xFFFFFFFF) * 1000 + (fraction * 1000 >> 32)
