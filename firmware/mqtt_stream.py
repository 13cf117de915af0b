"""MQTT packets over one TCP connection: send whole packets, receive whole packets, close.

Made when a connection stands and thrown away with it, so nothing of a broken one reaches the next.
Raises Unavailable with the reason, and Malformed for a stream that is not MQTT.
"""

import asyncio

from firmware.mqtt_codec import DISCONNECT, Decoder
from firmware.waits import wait_for_ms
from protocol.units import Unavailable, const

# Why a connection ended: the argument of Unavailable, and the index into Client.failures.
NO_LINK = const(0)  # no TCP connection, or it broke
CLOSED = const(1)  # the broker closed it
SILENT = const(2)  # no answer in time: half-open, or an overloaded broker
REFUSED = const(3)  # CONNACK with a code: wrong user, password or client id
DENIED = const(4)  # SUBACK 0x80: the broker does not allow a subscription
GARBLED = const(5)  # not MQTT, or a packet above the bound
UNTRUSTED = const(6)  # TLS: not the broker we know by its certificate, or a file of ours is unfit
NO_TIME = const(7)  # TLS: no clock to judge a certificate by
REASONS = const(8)

_CLOSE_MS = const(1000)
_READ_BYTES = const(256)


class Flight:
    """A QoS 1 message between PUBLISH and PUBACK."""

    def __init__(self, topic, payload, sent_ms):
        self.topic = topic
        self.payload = payload
        self.sent_ms = sent_ms
        self.resent = False
        self.acked = False
        self.done = asyncio.Event()  # acknowledged, or the connection is gone


class Stream:
    """`traffic` is [bytes in, bytes out], counted for the client across its connections."""

    def __init__(self, reader, writer, options, ticks_ms, traffic):
        self._reader = reader
        self._writer = writer
        self._decoder = Decoder(options.packet_bytes_max)
        self._write_ms_max = options.reply_ms_max
        self._ticks_ms = ticks_ms
        self._traffic = traffic
        self._sending = asyncio.Lock()
        self.broken = False
        self.heard_ms = self.spoken_ms = ticks_ms()

    async def send(self, packet: bytes) -> None:
        async with self._sending:
            if self.broken:
                raise Unavailable(NO_LINK)
            through = False
            try:
                self._writer.write(packet)
                await wait_for_ms(self._writer.drain(), self._write_ms_max)
                through = True
            except (OSError, asyncio.TimeoutError):
                raise Unavailable(NO_LINK)
            except ValueError:  # in the handshake, which the first packet brings about
                raise Unavailable(UNTRUSTED)
            finally:
                if not through:  # cut short, by cancelling too: half a packet is out
                    self.broken = True
            self._traffic[1] += len(packet)
            self.spoken_ms = self._ticks_ms()

    async def receive(self, timeout_ms: int) -> list[tuple]:
        """Packets that arrived within the time, often none; see mqtt_codec.Decoder.feed."""
        try:
            data = await wait_for_ms(self._reader.read(_READ_BYTES), timeout_ms)
        except asyncio.TimeoutError:
            return []
        except OSError:
            raise Unavailable(NO_LINK)
        except ValueError:
            raise Unavailable(UNTRUSTED)
        if not data:
            raise Unavailable(CLOSED)
        self._traffic[0] += len(data)
        self.heard_ms = self._ticks_ms()
        return self._decoder.feed(data)

    async def leave(self) -> None:
        """Tells the broker that the end is deliberate, so that it does not publish the will."""
        try:
            await self.send(DISCONNECT)
        except Unavailable:
            pass  # then it does

    async def close(self) -> None:
        self.broken = True
        try:
            self._writer.close()
            await wait_for_ms(self._writer.wait_closed(), _CLOSE_MS)
        except (OSError, asyncio.TimeoutError):
            pass  # it was broken already, which is why it is closed
