"""One virtual module: its interpreter, flash files, console, bus, and the world at its terminals.

Virtual time comes from the outside and is moved by the driver. Owns every process it starts and
leaves none. Knows nothing of the firmware but what firmware/README.md promises a board.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from host_tools.simulator import console, image, rs485, slave, terminal
from host_tools.simulator.virtual_time import VirtualTime
from host_tools.simulator.watchdog import Watchdog

POWER_ON, HARD_RESET, WATCHDOG, SOFT_RESET = 1, 2, 3, 5


class Idle(NamedTuple):
    """What a module in lockstep says before it sleeps. Unix ms; counts since its start."""

    number: int
    due_ms: int  # -1: nothing is planned
    unanswered: int  # number of the last TCP write that nothing was read after, or 0
    sent: int  # bytes to the bus
    received: int  # bytes from the bus, -1 while no task waits for any
    flash_ops: int


@dataclass(frozen=True)
class Options:
    """What differs from module to module. Durations in ms."""

    relays: int = 1
    relays_closed: bool = False
    # What the meters are set to, and the pace of the line; 0: any setting will do, no delay.
    baud: int = 0
    parity: int = 0  # 0 none, 1 odd, 2 even
    heap_bytes: int = 208 * 1024  # of eight points, see tests/bench/heap.py
    firmware_in_rom: bool = False  # executed in place, as from a ROMFS partition
    wdt_ms: int = 30_000
    # From 2 on: heap_peak is taken at every n-th idle moment, after a collection; 0: with garbage.
    heap_probe_every: int = 0
    interpreter: Path = field(
        default_factory=lambda: Path(
            os.environ.get("MICROPYTHON") or Path(sys.executable).parent / "micropython"
        )
    )


class VirtualModule:
    """Start with `async with`, then `power_on()`. Callbacks may be set at any time.

    on_relay(index, closed, at_ms) when a contact moves; on_event(kind, values) for everything:
    "boot", "ended", "reset", "watchdog", "dead", "exit", "signal", "rtc", "relay". `broken` tells
    that the interpreter ended before it had mounted the flash; the console's log says why.
    """

    def __init__(
        self,
        name: str,
        time: VirtualTime,
        folder: Path,
        *,
        units: Mapping[int, slave.Registers] | None = None,
        pulses: Callable[[int, int], int] | None = None,
        options: Options | None = None,
    ) -> None:
        self.name = name
        self.time = time
        self.folder = folder
        self.options = options or Options()
        self.partitions = image.partitions()
        self.unique_id = name.encode().hex()
        self.on_change: Callable[[], None] = lambda: None
        self.on_event: Callable[[str, list[Any]], None] = lambda kind, values: None
        self.on_relay: Callable[[int, bool, int], None] = lambda index, closed, at_ms: None
        self.relays = [self.options.relays_closed] * self.options.relays
        self.welded = [False] * self.options.relays
        self.tampers = 0  # open protection inputs: 1 cover, 2 terminal cover, 4 magnet
        self.signal: int | None = None
        self.heap_peak = self.heap_board = 0
        self.link_up = True
        self.powered = self.broken = self._starting = False
        self.running = False  # a program has the interpreter, not the prompt
        self.idle: Idle | None = None
        self.idle_since_s = 0.0  # real
        self.flash_ops_at_cut = self._power_on_ms = 0
        self._units = units or {}
        self._pulses = pulses or (lambda channel, at_ms: 0)
        self._pulses_base: dict[int, int] = {}
        self._rtc_offset_ms: int | None = None
        # As long in real time as a chip's: a busy host is no module that hangs.
        self._wdt_ms = self.options.wdt_ms * max(1, time.factor)
        self.watchdog = Watchdog(time, self._wdt_ms, self.bite)
        self._cut: list[object] | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._rest = b""

    async def __aenter__(self) -> "VirtualModule":
        self.folder.mkdir(parents=True, exist_ok=True)
        for partition in self.partitions.values():
            path = self.partition_path(partition.name)
            if not path.exists():
                self.write_partition(partition.name, image.blank(partition.size))
        self.console = console.Console(self.console_path, self._marked)
        self.bus = rs485.NullModem(
            self.time, self._bus_changed, self.options.baud, self.options.parity
        )
        bus = self.bus
        self._meters = slave.Slave(bus.meters_port, self._units, bus.heard, bus.silent)
        if self._units:
            await self._meters.start()
            bus.listeners = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop()
        await self._meters.stop()
        self.bus.close()
        self.console.close()

    @property
    def console_path(self) -> Path:
        return self.folder / "console"

    def partition_path(self, name: str) -> Path:
        return self.folder / f"{name}.bin"

    def write_files(self, files: Mapping[str, bytes]) -> None:
        """A new file system on the module's flash, which must be off."""
        files = {**image.prompt_files(), **files}
        self.write_partition("vfs", image.build_vfs(files, self.partitions["vfs"].size))

    def write_partition(self, name: str, content: bytes) -> None:
        if self.powered:
            raise RuntimeError("flash is written while the module is off")
        if len(content) != self.partitions[name].size:
            raise ValueError(f"{name} takes {self.partitions[name].size} bytes")
        self.partition_path(name).write_bytes(content)

    def read_partition(self, name: str) -> bytes:
        return self.partition_path(name).read_bytes()

    def read_files(self) -> dict[str, bytes]:
        return image.read_vfs(self.read_partition("vfs"))

    def power_on(self) -> None:
        if self.powered:
            raise RuntimeError(f"{self.name} is on")
        self._rtc_offset_ms, self._power_on_ms = None, self.time.now_ms()
        self._pulses_base = {}
        self._start(POWER_ON, run_main=True, raw=False)

    def power_cut(self, at_op: int | None = None, torn: str = "none", seed: int = 0) -> None:
        """Off now; or, with `at_op`, at that flash operation from now (0 is the next), torn.

        Armed while the module is off, it counts from the next power-on. "dead" is reported then.
        """
        if at_op is None:
            self._stop()
            return
        self._cut = [at_op, torn, seed]
        if self.powered:
            self._send("cut", *self._cut)
            self._cut = None

    def hard_reset(self, cause: int = HARD_RESET) -> None:
        self._stop(restarts=True)
        self._start(cause, run_main=True, raw=False)

    def _start(self, cause: int, *, run_main: bool, raw: bool) -> None:
        self.powered = self.running = self._starting = True
        self.broken = False
        self.idle, self._rest = None, b""
        self.bus.power_on()
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        slave_fd = self.console.attach(raw)
        settings = self.folder / "settings.json"
        settings.write_text(json.dumps(self._settings(theirs.fileno(), cause, run_main)))
        heap = image.with_rom(self.options.heap_bytes, self.options.firmware_in_rom)
        script = [str(image.BOARD / "bootstrap.py"), str(settings)]
        command = [str(self.options.interpreter), "-X", f"heapsize={heap}", "-i", *script]
        self._child = terminal.spawn(command, slave_fd, (theirs.fileno(), self.bus.module_slave))
        self.console.child_pid = self._child.pid
        os.close(slave_fd)
        theirs.close()
        self._cut, self._control = None, ours
        asyncio.get_running_loop().add_reader(ours.fileno(), self._control_ready)
        self.on_event("boot", [cause])

    def _settings(self, control_fd: int, cause: int, run_main: bool) -> dict[str, object]:
        rows = self.partitions.values()
        return {
            "rom": image.rom_setting(self.options.firmware_in_rom),
            "control_fd": control_fd,
            "rs485_fd": self.bus.module_slave,
            "partitions": {
                row.name: [str(self.partition_path(row.name).resolve()), row.size] for row in rows
            },
            "partition_info": {row.name: [row.subtype, row.offset] for row in rows},
            "time": self.time.settings(),
            "link": self.link_up,
            "relays": self.relays,
            "tampers": self.tampers,
            "rtc_offset_ms": self._rtc_offset_ms,
            "reset_cause": cause,
            "unique_id": self.unique_id,
            "run_main": run_main,
            "wdt_ms": self._wdt_ms,
            "heap_probe_every": self.options.heap_probe_every,
            "cut": self._cut,
        }

    def _stop(self, *, restarts: bool = False) -> None:
        """Kills at once, as loss of power does. One that restarts goes on holding time."""
        if self._control:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._control = None
        if self._child:
            terminal.kill_group(self._child)
            self._child = None
        self.console.drain()
        self.console.detach()
        self.powered = self.running = False
        self.idle = None
        self.watchdog.disarm()  # without power it cannot bite
        if not restarts:
            self.on_change()

    # the world at its terminals

    def set_link(self, up: bool) -> None:
        """A change of Wi-Fi; connections break at once, wherever virtual time stands."""
        self.link_up = up
        self._send("link", up)
        self.wake()

    def press_key(self, presses: int = 1) -> None:
        self._send("key", presses)

    def tamper(self, bits: int) -> None:
        """Protection inputs as they are from now on; they outlast a power-off."""
        self.tampers = bits
        self._send("tamper", bits)

    def weld(self, index: int, welded: bool = True) -> None:
        """A welded contact stays closed whatever the coil does."""
        self.welded[index] = welded
        if welded:
            self._move(index, True, self.time.now_ms())
            self._send("relay", index, True)

    def _move(self, index: int, closed: bool, at_ms: int) -> bool:
        closed = closed or self.welded[index]
        if closed != self.relays[index]:
            self.relays[index] = closed
            self.on_relay(index, closed, at_ms)
            self.on_event("relay", [index, closed, at_ms])
        return closed

    def _pulse(self, channel: int, at_ms: int) -> int:
        base = self._pulses_base.setdefault(channel, self._pulses(channel, self._power_on_ms))
        return self._pulses(channel, at_ms) - base

    def _bus_changed(self) -> None:
        self.on_change()  # as it is then: the driver puts itself there later

    # what the driver asks

    def holds_time(self) -> bool:
        """True while lockstep time must stand still because of this module."""
        if not self.powered:
            return False
        idle = self.idle
        if idle is None:
            return self.running
        unread = 0 <= idle.received < self.bus.to_module
        return unread or self.bus.busy or self.bus.from_module < idle.sent

    def due_ms(self) -> int | None:
        return self.idle.due_ms if self.idle and self.idle.due_ms >= 0 else None

    def wake(self) -> None:
        """Lets an idle module look at the time; it holds time until it is idle again."""
        if self.idle:
            number, self.idle = self.idle.number, None
            self._send_line(b'["w",%d]\n' % number)

    def _send(self, *message: object) -> None:
        self._send_line(json.dumps(message).encode() + b"\n")

    def _send_line(self, line: bytes) -> None:
        if self._control:
            with suppress(BrokenPipeError, ConnectionResetError):  # _control_ready will be told
                self._control.send(line)

    def _control_ready(self) -> None:
        control = self._control
        if control is None:
            return
        try:
            data = control.recv(65536)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self._exited()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if self._control is not control:
                return  # a reset among the lines: the rest came from the old interpreter
            self._message(json.loads(line))

    def _message(self, message: list[Any]) -> None:
        kind = message.pop(0)
        if kind == "i":
            self.idle = Idle(*message)
            self.idle_since_s = asyncio.get_running_loop().time()
            self.on_change()
        elif kind == "b":
            if self.idle and self.idle.number == message[0]:
                self.idle = None
        elif kind == "?":
            self._question(message[0], message[1], message[2:])
        elif kind == "heap":
            self.heap_peak, self.heap_board = max(self.heap_peak, message[0]), message[1]
        elif kind == "wdt":
            self.watchdog.feed()
        else:
            self._notice(kind, message)

    def _question(self, number: int, kind: str, values: list[Any]) -> None:
        answers: dict[str, Callable[..., object]] = {
            "pulse": self._pulse,
            "relay": self._move,
            "line": self.bus.configure,
        }
        self._send("=", number, answers[kind](*values))

    def _notice(self, kind: str, values: list[Any]) -> None:
        self.on_event(kind, values)
        if kind == "rtc":
            self._rtc_offset_ms = values[0]
        elif kind == "signal":
            self.signal = values[0]
        elif kind == "dead":
            self.flash_ops_at_cut = values[0]
            self._stop()
        elif kind == "reset":
            self.hard_reset()
        elif kind == "soft_reset":
            self._stop(restarts=True)
            self._soft_reset(raw=False)

    def _exited(self) -> None:
        """Ended by itself: with status 0 that is a soft reset, else a crash. As on a chip."""
        self.console.drain()  # how far it had come
        status = self._child.wait() if self._child else None
        raw = self.console.raw_prompt and not self.running
        self.broken = self._starting and status != 0
        self._stop(restarts=not self.broken)
        self.on_event("exit", [status])
        if status == 0:
            self._soft_reset(raw)
        elif not self.broken:  # to start that again would do the same for ever
            self._start(HARD_RESET, run_main=True, raw=False)

    def _soft_reset(self, raw: bool) -> None:
        """As an ESP32 does: from the raw prompt without main.py and back to it."""
        self.console.emit(b"MPY: soft reboot\r\n")
        self._start(SOFT_RESET, run_main=not raw, raw=raw)

    def _marked(self, mark: bytes) -> None:
        if self._child is None:
            return  # last words of an interpreter that has been stopped
        if mark == console.BOOTED:
            self._starting = False
        elif mark == console.ENDED:
            self.running = False
            self.on_event("ended", [])
            self.on_change()

    def bite(self) -> None:
        """The watchdog resets a module that has stopped feeding it."""
        self.on_event("watchdog", [])
        self.hard_reset(WATCHDOG)
