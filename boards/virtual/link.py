"""The network of the virtual board: real TCP sockets, and a Wi-Fi that the bridge can take away.

Counts what was written and not yet answered, so that lockstep time can wait for a peer. Knows no
certificate, keeps no names and does not reconnect: that is the firmware's.
"""

import asyncio
import io
import json
import select
import socket

EINVAL = 22
ENETUNREACH = 101
ECONNRESET = 104
ETIMEDOUT = 110


class Wire(io.IOBase):
    """A socket that the link can cut under its user."""

    def __init__(self, sock, link):
        self.sock = sock
        self.link = link
        self.cut = False

    def ioctl(self, op, arg):
        if op == 10:
            return self.sock.fileno()
        if op == 4:
            self.close()
        return 0

    def check(self):
        if self.cut:
            raise OSError(ECONNRESET)

    def read(self, *count):
        self.check()
        data = self.sock.read(*count)
        if data is not None:
            self.link.answered()
        return data

    def readinto(self, buf, *count):
        self.check()
        size = self.sock.readinto(buf, *count)
        if size is not None:
            self.link.answered()
        return size

    def readline(self):
        self.check()
        data = self.sock.readline()
        if data is not None:
            self.link.answered()
        return data

    def write(self, data):
        self.check()
        size = self.sock.write(data)
        self.link.wrote()
        return size

    def close(self):
        self.link.wires.discard(self)
        self.sock.close()


class SealedWire(Wire):
    """The same around a TLS socket, which may hold readable bytes when its descriptor does not."""

    def __init__(self, sock, link):
        super().__init__(sock, link)
        self.poller = select.poll()
        self.poller.register(sock)

    def ioctl(self, op, arg):
        if op == 10:
            return -EINVAL  # no descriptor to poll: ask by op 3
        if op == 3:
            self.poller.modify(self.sock, arg)
            for _, events in self.poller.ipoll(0):
                return events
            return 0
        return super().ioctl(op, arg)


class Link:
    """What `board.link` is; see firmware/README.md."""

    NVS = "/nvs.json"  # what lib/esp32.py keeps there

    def __init__(self, control, up, wifi=None):
        """wifi: [name, password] of the only network in reach; None: any module is on the net."""
        self.control = control
        self.present = up
        self.wifi = wifi
        self.known = None
        self.wires = set()
        self.writes = 0
        self.waiting = False
        control.actions["link"] = self.change
        control.actions["wifi"] = self.changed_network

    def is_up(self):
        self.control.drain()
        return self.present and self.joined()

    def stored(self):
        """All of NVS: namespace, key, blob in hexadecimal."""
        try:
            with open(self.NVS) as file:
                return json.load(file)
        except (OSError, ValueError):
            return {}

    def joined(self):
        """Whether the network in reach is the one that the module was told of."""
        if self.wifi is None:
            return True
        if self.known is None:
            kept = self.stored().get("gridpurse", {})
            self.known = [kept.get(key, "") for key in ("ssid", "psk")]
        return self.known == [text.encode().hex() for text in self.wifi]

    async def up(self, timeout_ms):
        while timeout_ms > 0 and not self.is_up():
            step = min(timeout_ms, 100)
            await asyncio.sleep_ms(step)
            timeout_ms -= step
        return self.is_up()

    async def connect(self, host, port, tls=None):
        if not self.is_up():
            raise OSError(ENETUNREACH)
        self.wrote()
        try:
            stream, _ = await asyncio.open_connection(host, port, ssl=tls)
        finally:
            self.answered()
        if not self.is_up():
            stream.s.close()
            raise OSError(ENETUNREACH)
        stream.s = (SealedWire if tls else Wire)(stream.s, self)
        self.wires.add(stream.s)
        return stream, stream

    async def udp_exchange(self, host, port, data, bytes_max, timeout_ms):
        if not self.is_up():
            raise OSError(ENETUNREACH)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.connect(socket.getaddrinfo(host, port)[0][-1])  # others are not heard
            self.wrote()
            sock.write(data)
            reading = asyncio.StreamReader(sock).read(bytes_max)
            return await asyncio.wait_for_ms(reading, timeout_ms)
        except asyncio.TimeoutError:
            raise OSError(ETIMEDOUT)
        finally:
            self.answered()
            sock.close()

    def change(self, up):
        self.present = bool(up)
        self.cut_if_down()

    def changed_network(self, *wifi):
        self.wifi = list(wifi)
        self.cut_if_down()

    def cut_if_down(self):
        if not (self.present and self.joined()):
            for wire in self.wires:
                wire.cut = True

    def wake_cut(self, queue):
        """Readies tasks that wait on a cut wire, to let them find out. True if there were any."""
        found = False
        for wire in list(self.wires):
            if wire.cut:
                self.wires.discard(wire)
                if id(wire) in queue.map:
                    queue.ready(wire, True, True)
                    found = True
        return found

    def wrote(self):
        self.writes += 1
        self.waiting = True

    def answered(self):
        self.waiting = False

    def unanswered(self):
        """Number of the write that nothing was read after, 0 when all were answered."""
        return self.writes if self.waiting else 0
