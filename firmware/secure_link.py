"""The way to a broker that needs more than a socket: TLS, and a time to judge certificates by.

Takes the place of board.link in mqtt.Client where the settings ask for TLS or NTP, and is loaded
only then. Trusts the one CA in /ca.der; without it, or without a time, there is no connection.
"""

import gc

from firmware import config, log
from firmware.mqtt_stream import NO_TIME, UNTRUSTED
from protocol import codes
from protocol.units import INVALID, MODULE_TARGET, Malformed, Unavailable, const

CA = "/ca.der"
CERT = "/cert.der"
KEY = "/tls.key"
_MUTUAL = const(2)  # settings.tls: the broker asks for our certificate too


class SecureLink:
    def __init__(self, board, clock, settings, events, device_log):
        self._board = board
        self._clock = clock
        self._tls = settings.tls
        self._ntp_host = settings.ntp_host
        self._events = events
        self._log = device_log
        self._context = None
        self._dated = False  # a server has told the time since power-on

    async def connect(self, host, port):
        """As board.link; Unavailable(UNTRUSTED or NO_TIME) besides OSError."""
        before_s, quality = self._clock.now()
        if quality == INVALID and not self._dated:
            if self._ntp_host:
                await self._ask_time(before_s)
            if self._tls and not self._dated:
                raise Unavailable(NO_TIME)
        if self._tls and self._context is None:
            self._context = self._trust()
        return await self._board.link.connect(host, port, self._context)

    async def _ask_time(self, before_s):
        from firmware import ntp

        try:
            offered_ms = await ntp.ask(self._board, self._ntp_host)
        except (Malformed, OSError):
            return  # at the next connection again
        finally:
            ntp = None
            config.forget("ntp", "firmware")
            config.forget("places")
        self._dated = self._clock.offer(offered_ms)
        now_s, quality = self._clock.now()
        if not self._dated:
            self._events.add(codes.CLOCK_REFUSED, MODULE_TARGET, offered_ms // 1000, now_s)
        elif quality != INVALID:
            self._log.add(log.CLOCK_STEP, before_s, now_s)
            self._events.add(codes.CLOCK_SET, MODULE_TARGET, before_s, now_s)

    def _trust(self):
        import tls

        root = self._board.root
        gc.collect()
        context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        context.verify_mode = tls.CERT_REQUIRED
        try:
            context.load_verify_locations(config.read(root, CA))
            if self._tls == _MUTUAL:
                context.load_cert_chain(config.read(root, CERT), config.read(root, KEY))
        except (Malformed, OSError, ValueError):  # a file is missing, or not DER
            raise Unavailable(UNTRUSTED)
        return context
