"""The NATS client protocol, as much of it as a pull reader needs: large pieces, one thread.

Its own for the sake of these two; a client library was not measured. INFO, PING and messages with
headers follow docs.nats.io/reference/reference-protocols/nats-protocol.
"""

import json
import select
import socket
import time
from datetime import timedelta
from typing import NamedTuple

from host_tools.config import BrokerAddress
from protocol.units import Unavailable

CONNECT_S_MAX = 5
SEND_S_MAX = 30
PIECE_BYTES = 262144
PIECES_MAX = 16
LINE_BYTES_MAX = 65536


class Message(NamedTuple):
    """One message: `reply` and `head` (its header block) are empty when there is none."""

    subject: bytes
    sid: bytes
    reply: bytes
    head: bytes
    payload: bytes


class Connection:
    """One connection. Unavailable when it cannot be made or has broken; it is useless then."""

    def __init__(self, broker: BrokerAddress) -> None:
        self._in = b""
        self._at = 0
        self._out = bytearray()
        self._messages: list[Message] = []
        self._asked = 0
        try:
            self._socket = socket.create_connection((broker.host, broker.port), CONNECT_S_MAX)
        except OSError as error:
            raise Unavailable(f"{broker.host}:{broker.port}: {error}") from error
        options: dict[str, object] = {
            "verbose": False,
            "pedantic": False,
            "headers": True,
            "no_responders": True,
            "lang": "python",
            "version": "1",
            "name": "gridpurse settle",
        }
        if broker.user:
            options |= {"user": broker.user, "pass": broker.password}
        try:
            self._wait_for(b"INFO ")
            self._out += b"CONNECT %b\r\nPING\r\n" % json.dumps(options).encode()
            self.flush()
            self._wait_for(b"PONG")
        except Unavailable:
            self.close()
            raise
        self._socket.setblocking(False)

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
        while not self._messages:
            left_s = timedelta(milliseconds=max(0, end_ms - _now_ms())).total_seconds()
            readable, _, _ = select.select([self._socket], [], [], left_s)
            if not readable:
                break
            self._fill()
            self._parse()  # nothing but a ping, or a part of a message: goes on waiting
        for _ in range(PIECES_MAX):  # what waits in the socket belongs to the same batch
            if len(self._messages) >= most or not self._fill():
                break
            self._parse()
        out = self._messages[:most]
        del self._messages[:most]
        return out

    def _fill(self) -> bool:
        """Reads what is there, one piece; False when it is nothing."""
        try:
            piece = self._socket.recv(PIECE_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            raise Unavailable(f"receiving: {error}") from error
        if not piece:
            raise Unavailable("the broker closed the connection")
        self._in = self._in[self._at :] + piece
        self._at = 0
        return True

    def _wait_for(self, word: bytes) -> None:
        """Reads until a line begins with a word; used before any message can come."""
        while True:
            end = self._in.find(b"\r\n", self._at)
            if end < 0:
                self._fill()
                continue
            line = self._in[self._at : end]
            self._at = end + 2
            if line.startswith(b"-ERR"):
                raise Unavailable(line.decode("utf-8", "replace"))
            if line.startswith(word):
                return

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
            raise Unavailable("the broker does not speak NATS")

    def _control(self, line: bytes) -> None:
        if line.startswith(b"PING"):
            self._out += b"PONG\r\n"
            self.flush()
        elif line.startswith(b"-ERR") and b"Permissions Violation" not in line:
            raise Unavailable(line.decode("utf-8", "replace"))


def _now_ms() -> int:
    return time.monotonic_ns() // 1000000


def wait(ms: int) -> None:
    """Until later; there is no connection to wait for."""
    select.select([], [], [], timedelta(milliseconds=ms).total_seconds())
