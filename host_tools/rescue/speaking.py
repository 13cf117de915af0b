"""Speaks for a dead module: its own program makes, of what its flash holds, what it would send.

The journal and the outbox are those of firmware/, so what is torn or damaged is passed over as the
module itself would, and every message has the bytes it would have had, under the module's own key.
Works on copies; the outbox's go into a folder of the caller's, and hold no secret.
"""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from firmware import boot, events, journal, outbox, point
from firmware import module as modules
from host_tools import Refused
from host_tools.rescue.dump import Dump
from protocol import cbor, cose, messages, settings
from protocol.ledger import State
from protocol.messages import EVENT_STREAM
from protocol.units import Malformed

SECTOR = 4096
RECORDS_MAX = 64  # of a message
ROOM = 1 << 20  # files of a shelf: nothing of a copy is ever dropped
FOREIGN = (Malformed, ValueError, IndexError, TypeError, KeyError, struct.error)


def _list(payload: bytes) -> list[Any]:
    return cast(list[Any], cbor.decode(payload))


class _Copy:
    """The journal partition in memory; the ring copies ahead in it as it would on the module."""

    sector = SECTOR

    def __init__(self, content: bytes) -> None:
        self._content = bytearray(content)
        self.size = len(content)

    def read(self, at: int, buffer: bytearray) -> None:
        buffer[:] = self._content[at : at + len(buffer)]

    def program(self, at: int, data: bytes) -> None:
        self._content[at : at + len(data)] = data

    def erase(self, at: int) -> None:
        self.program(at, b"\xff" * SECTOR)


class Remains:
    """`name` is what the module called itself, `states` its last journaled ledgers by point,
    `events_seq` its last event. Refused for a flash without a ledger."""

    def __init__(self, dump: Dump, folder: Path) -> None:
        try:
            self._restore(dump, folder)
        except FOREIGN as error:
            raise Refused(
                f"{dump.where}: is not of a module of this program, or of an older one"
                " 不是本程序的模块"
            ) from error

    def __repr__(self) -> str:
        return f"Remains({self.name!r})"

    def _restore(self, dump: Dump, folder: Path) -> None:
        files = {path: content for path, content in dump.files.items() if "/" in path}
        own = settings.module_from_wire(cbor.decode(dump.files["config.cbor"], depth_max=8))
        self.name: str = own.module
        self._mac = cose.Mac(cose.derive(dump.files["key.bin"], cose.UP))
        self._journal = journal.Journal(_Copy(dump.journal))
        self._journal.load()
        slot = self._journal.state(modules.TARGET)
        if slot is None:
            raise Refused(f"{dump.where}: its journal is empty 日志分区为空")
        epoch = _list(slot)[0]
        self._points: dict[int, Any] = {}
        for item in own.points:
            payload = self._journal.state(item.point)
            if payload is not None:
                self._points[item.point] = point.Point(item, own.module, epoch, None, None, None)
                self._points[item.point].restore(payload)
        self.states: dict[int, State] = {n: each.state for n, each in self._points.items()}
        told = self._journal.state(events.TARGET)
        self.events_seq: int = 0 if told is None else _list(told)[1]
        for path, content in files.items():
            name = Path(outbox.FOLDER).name
            if path.startswith(f"{name}/") and path[len(name) + 1 :].isdigit():
                Path(folder, name).mkdir(exist_ok=True)
                Path(folder, path).write_bytes(content)
        self._outbox = outbox.Outbox(str(folder), self._journal, epoch)
        for files_of_one in self._outbox.shelves:
            files_of_one.files_max = ROOM

    def sealed(self, settled: Mapping[int, int]) -> Iterator[bytes]:
        """Every message with what comes after the settled sequences {stream: sequence}, then the
        statement of each point."""
        self._outbox.acked.update(settled)
        self._outbox.load()
        boot.recover_records(self._journal, self._outbox, self._points)
        for stream in (EVENT_STREAM, *self._points):
            after = settled.get(stream, 0)
            while found := self._outbox.batch(stream, after, RECORDS_MAX):
                body, after = found
                yield self._seal(body)
        for each in self._points.values():
            yield self._seal(messages.pack(each.statement()))

    def _seal(self, body: bytes) -> bytes:
        return cose.seal(messages.alg_of(body[2]), body, self._mac)
