"""The NATS client protocol, as much of it as a pull reader needs: large pieces, one thread.

Its own for the sake of these two; a client library was not measured. INFO, PING and messages with
headers follow docs.nats.io/reference/reference-protocols/nats-protocol. A connection pings by
itself, so that a node that went without a word is noticed; each answer shows up as `ALIVE` among
the messages, behind everything that the node had sent before it.
"""

import json
import select
import socket
import ssl
import time
from datetime import timedelta
from typing import NamedTuple

from host_tools import tls
from host_tools.config import BrokerAddress
from protocol.units import Unavailable

CONNECT_S_MAX = 5
SEND_S_MAX = 30
PIECE_BYTES = 262144
PIECES_MAX = 16
LINE_BYTES_MAX = 65536
PING_MS = 2000
SILENT_MS = 10000  # without an answer to a ping: the node is gone, or as good as gone
_FOREIGN = "the broker does not speak NATS"


class Message(NamedTuple):
    """One message: `reply` and `head` (its header block) are empty when there is none."""

    subject: bytes
    sid: bytes
    reply: bytes
    head: bytes
    payload: bytes


ALIVE = Message(b"", b"", b"", b"", b"")  # the node has answered a ping


class Connection:
    """One connection. Unavailable when it cannot be made or has broken; it is useless then."""

    def __init__(self, broker: BrokerAddress) -> None:
        self._in = b""
        self._at = 0
        self._out = bytearray()
        self._messages: list[Message] = []
        self._asked = 0
        self.version: tuple[int, ...] = ()  # of nats-server: major, minor
        self._pinged_ms = 0  # 0: no ping is under way
        self._ping_due_ms = _now_ms() + PING_MS
        try:
            self._socket = socket.create_connection((broker.host, broker.port), CONNECT_S_MAX)
        except OSError as error:
            raise Unavailable(f"{broker.where}: {error}") from error
        options: dict[str, object] = {
            "verbose": False,
            "pedantic": False,
            "headers": True,
            "no_responders": True,
            "tls_required": broker.ca_file is not None,
            "lang": "python",
            "version": "1",
            "name": "gridpurse settle",
        }
        if broker.user:
            options |= {"user": broker.user, "pass": broker.password}
        try:
            self._secure(broker, self._wait_for(b"INFO "))
            self._out += b"CONNECT %b\r\nPING\r\n" % json.dumps(options).encode()
            self.flush()
            self._socket.settimeout(CONNECT_S_MAX)
            self._wait_for(b"PONG")
        except Unavailable:
            self.close()
            raise
        self._socket.setblocking(False)

    def _secure(self, broker: BrokerAddress, told: bytes) -> None:
        """TLS as configured, before a word of ours; never without it where a CA is named."""
        try:
            offer = json.loads(told.removeprefix(b"INFO "))
        except ValueError as error:
            raise Unavailable(_FOREIGN) from error
        words = str(offer.get("version", "")).split(".")
        self.version = tuple(int(word) for word in words[:2] if word.isdigit())
        if broker.ca_file is None:
            if offer.get("tls_required"):
                raise Unavailable(f"{broker.where}: wants TLS; name its CA as [broker] ca_file")
            return
        if not offer.get("tls_required") and not offer.get("tls_available"):
            raise Unavailable(f"{broker.where}: has no TLS, and [broker] ca_file asks for it")
        context = tls.trusting(broker.ca_file)
        try:
            self._socket = context.wrap_socket(self._socket, server_hostname=broker.host)
        except OSError as error:
            raise Unavailable(f"{broker.where}: TLS: {error}") from error
        self._in, self._at = b"", 0  # what came in clear behind INFO is nobody's word

    def close(self) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def subscribe(self, subject: str, sid: int) -> None:
        self._out += b"SUB %b %d\r\n" % (subject.encode(), sid)

    def publish(self, subject: str | bytes, payload: bytes, reply: str = "") -> None:
        name = subject.encode() if isinstance(subject, str) else subject
        where = b"%b %b" % (name, reply.encode()) if reply else name
        self._out += b"PUB %b %d\r\n%b\r\n" % (where, len(payload), payload)

    def publish_with_head(self, subject: str, head: bytes, payload: bytes) -> None:
        sizes = (len(head), len(head) + len(payload))
        self._out += b"HPUB %b %d %d\r\n%b%b\r\n" % (subject.encode(), *sizes, head, payload)

    def flush(self) -> None:
        if not self._out:
            return
        data, self._out = self._out, bytearray()
        try:
            self._socket.settimeout(SEND_S_MAX)
            self._socket.sendall(data)
            self._socket.setblocking(False)
        except OSError as error:
            raise Unavailable(f"sending: {error}") from error

    def request(self, subject: str, payload: bytes, wait_ms: int, inbox: str) -> bytes:
        """The answer to a request; needs a subscription of `inbox` + ".>". Empty when nobody
        answers it."""
        self._asked += 1
        reply = f"{inbox}.{self._asked}"
        self.publish(subject, payload, reply)
        self.flush()
        wanted = reply.encode()
        end_ms = _now_ms() + wait_ms
        others: list[Message] = []
        while True:
            left_ms = end_ms - _now_ms()
            if left_ms <= 0:
                raise Unavailable(f"no answer to {subject}")
            found = self.messages(1, left_ms)
            others += [item for item in found if item.subject != wanted]
            for item in found:
                if item.subject == wanted:
                    self._messages[:0] = others
                    return item.payload

    def messages(self, most: int, wait_ms: int) -> list[Message]:
        """Up to `most` messages that have come, or PIECES_MAX pieces of them; waits for the first
        one only."""
        end_ms = _now_ms() + wait_ms
        if not self._messages:
            self._parse()
        now_ms = self._ping()
        while not self._messages:
            if self._fill():  # before waiting: of a TLS record a part may have been read already
                self._parse()  # nothing but a part of a message: goes on waiting
                continue
            left_ms = max(0, min(end_ms - now_ms, PING_MS))
            left_s = timedelta(milliseconds=left_ms).total_seconds()
            readable, _, _ = select.select([self._socket], [], [], left_s)
            now_ms = self._ping()
            if readable:
                continue
            if self._pinged_ms and now_ms - self._pinged_ms > SILENT_MS:
                raise Unavailable("the broker does not answer any more")
            elif now_ms >= end_ms:
                break
        for _ in range(PIECES_MAX):  # what waits in the socket belongs to the same batch
            if len(self._messages) >= most or not self._fill():
                break
            self._parse()
        out = self._messages[:most]
        del self._messages[:most]
        return out

    def _ping(self) -> int:
        """Asks for a sign of life when it is time to; the time now."""
        now_ms = _now_ms()
        if not self._pinged_ms and now_ms >= self._ping_due_ms:
            self._pinged_ms = now_ms
            self._out += b"PING\r\n"
            self.flush()
        return now_ms

    def _fill(self) -> bool:
        """Reads what is there, one piece; False when it is nothing."""
        try:
            piece = self._socket.recv(PIECE_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):  # or only a part of a TLS record
            return False
        except OSError as error:
            raise Unavailable(f"receiving: {error}") from error
        if not piece:
            raise Unavailable("the broker closed the connection")
        self._in = self._in[self._at :] + piece
        self._at = 0
        return True

    def _wait_for(self, word: bytes) -> bytes:
        """The line that begins with a word; used before any message can come."""
        while True:
            end = self._in.find(b"\r\n", self._at)
            if end < 0:
                if len(self._in) - self._at > LINE_BYTES_MAX:
                    raise Unavailable(_FOREIGN)
                self._fill()
                continue
            line = self._in[self._at : end]
            self._at = end + 2
            if line.startswith(b"-ERR"):
                raise Unavailable(line.decode("utf-8", "replace"))
            if line.startswith(word):
                return line

    def _parse(self) -> None:
        """Takes whole messages out of what was read, and answers pings."""
        data, at = self._in, self._at
        out = self._messages
        find = data.find
        while True:
            end = find(b"\r\n", at)
            if end < 0:
                break
            first = data[at]
            if first == 0x48:  # HMSG subject sid [reply] head-size size
                words = data[at:end].split(b" ")
                body = end + 2
                after = body + int(words[-1])
                if len(data) < after + 2:
                    break
                split = body + int(words[-2])
                reply = words[3] if len(words) == 6 else b""
                head = data[body:split]
                out.append(Message(words[1], words[2], reply, head, data[split:after]))
                at = after + 2
            elif first == 0x4D:  # MSG subject sid [reply] size
                words = data[at:end].split(b" ")
                body = end + 2
                after = body + int(words[-1])
                if len(data) < after + 2:
                    break
                reply = words[3] if len(words) == 5 else b""
                out.append(Message(words[1], words[2], reply, b"", data[body:after]))
                at = after + 2
            else:
                self._control(data[at:end])
                at = end + 2
        self._at = at
        if len(data) - at > LINE_BYTES_MAX and end < 0:
            raise Unavailable(_FOREIGN)

    def _control(self, line: bytes) -> None:
        if line.startswith(b"PING"):
            self._out += b"PONG\r\n"
            self.flush()
        elif line.startswith(b"PONG"):
            self._pinged_ms = 0
            self._ping_due_ms = _now_ms() + PING_MS
            self._messages.append(ALIVE)
        elif line.startswith(b"-ERR") and b"Permissions Violation" not in line:
            raise Unavailable(line.decode("utf-8", "replace"))


def _now_ms() -> int:
    return time.monotonic_ns() // 1000000


def wait(ms: int) -> None:
    """Until later; there is no connection to wait for."""
    select.select([], [], [], timedelta(milliseconds=ms).total_seconds())
