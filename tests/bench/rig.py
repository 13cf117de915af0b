"""A virtual module in real time whose meters and money are set up on the desk first.

Flash operations take the time of a chip, during which nothing else runs. What is simulated: the
pulse counter (the bridge counts, as PCNT does), the contact, the meters and the speed of the
processor, which is this machine's.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from boards.virtual import flash
from firmware import main
from firmware.journal import Journal
from firmware.meters.pulse import PulseMeter
from host_tools.keys import RootKey
from host_tools.maps import MAPS, load, to_slave
from host_tools.provisioning.module_files import module_files
from host_tools.simulator import image
from host_tools.simulator.bridge import Options, VirtualModule
from host_tools.simulator.virtual_time import VirtualTime
from protocol import codes, messages
from protocol import settings as settings_module
from protocol.units import NCUR_PER_CUR
from tests.firmware import desk as desks

# Typical of the flash beside an ESP32: a page of 256 bytes, a sector of 4 096.
FLASH_US = (800, 45_000)
JOURNAL_SECTORS = 64
IMP_PER_KWH = 1000
PRICE_NCUR_PER_WH = 500_000
METER_MAP = "sdm120"
BAUD = 9600
VOLTAGE_MAX_V = 276


def hurry(pid: int, nice: int = -15) -> None:
    """Real time wants the processor when it wants it; as far as the system grants it."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, nice)
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))  # where sessions share fairly


@contextmanager
def hurried() -> Iterator[None]:
    """The same for this process and its session, but no longer than it is needed."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    hurry(os.getpid())
    try:
        yield
    finally:
        hurry(os.getpid(), before)


class Prepared:
    """A journal in which every point is closed and has `left_wh` until its balance is exhausted.

    `points` are settings; their meters begin where `pulses` and `registers_wh` say.
    """

    def __init__(self, points: list[settings_module.Point], left_wh: int) -> None:
        self.points = points
        self.folder = tempfile.TemporaryDirectory()
        self.module = desks.provision(self.folder.name, points, desks.flat_book())
        self.desk = desks.Desk(self.folder.name + "/desk", JOURNAL_SECTORS)
        self.desk.root = self.folder.name
        self.pulses = {point.point: 0 for point in points}
        self.meters = {point.point: desks.Meter() for point in points}
        self._use(left_wh)

    def __enter__(self) -> "Prepared":
        return self

    def __exit__(self, *failure: object) -> None:
        self.folder.cleanup()

    def _use(self, left_wh: int) -> None:
        board = desks.Board(self.desk, True, flash.Power())
        board.relays = [desks.Contact() for _ in self.points]
        board.pulse = lambda channel: self.pulses[self.points[channel].point]

        def meter(item: Any, so_far: int) -> Any:
            if item.meter != settings_module.PULSE:
                return self.meters[item.point]
            limit_mw = item.current_max_ma * VOLTAGE_MAX_V
            return PulseMeter(board, item.pulse_channel, IMP_PER_KWH, so_far, 0, limit_mw)

        firmware = main.Firmware(board, meter)
        self._poll(firmware, 0)
        for point in self.points:
            args = [2, 0, NCUR_PER_CUR]
            command = messages.Command(point.point + 1, point.point, codes.TOPUP, 0, 1 << 33, args)
            firmware.commands.take(command)
        for _ in range(8):
            self._poll(firmware, 10)
        if not all(contact.closed for contact in board.relays):
            raise RuntimeError("the rig's relays did not close")
        used_wh = NCUR_PER_CUR // PRICE_NCUR_PER_WH - left_wh
        for point in self.points:
            self.pulses[point.point] += used_wh
            self.meters[point.point].register_wh += used_wh
        self._poll(firmware, 4 * 3600)
        if not all(contact.closed for contact in board.relays):
            raise RuntimeError("the rig's relays opened too early")

    def _poll(self, firmware: Any, seconds: int) -> None:
        self.desk.now_ms += seconds * 1000
        asyncio.run(firmware.metering.poll())

    def journal(self) -> bytes:
        return bytes(self.desk.cells.cells)

    def files(self, **changes: object) -> dict[str, bytes]:
        values = {**self.module._asdict(), **changes}
        module = settings_module.module_of(**values)
        books = {point.point: desks.flat_book() for point in self.points}
        key = RootKey(desks.ROOT_KEY)
        return {**image.device_files(), **module_files(module, key, books)}

    def slaves(self, served: Callable[[int], int]) -> Mapping[int, Any]:
        """Modbus units of the points that have one; `served(point)` is asked with each answer."""
        return {
            point.unit: to_slave(
                load(MAPS / f"{METER_MAP}.toml"),
                {"import_wh": lambda point=point: served(point.point)},
            )
            for point in self.points
            if point.meter != settings_module.PULSE
        }


def pulse_point(number: int, channel: int, **others: object) -> settings_module.Point:
    return desks.point_settings(
        number, 1, meter=settings_module.PULSE, meter_map="", unit=0, pulse_channel=channel,
        imp_per_kwh=IMP_PER_KWH, relay=number, **others,
    )  # fmt: skip


def modbus_point(number: int, **others: object) -> settings_module.Point:
    return desks.point_settings(
        number, 1, meter_map=METER_MAP, unit=number + 1, relay=number, **others
    )


class TimedModule(VirtualModule):
    """Its flash takes time, and its clock has a battery: right from power-on."""

    def _settings(self, control_fd: int, cause: int, run_main: bool) -> dict[str, object]:
        settings = super()._settings(control_fd, cause, run_main)
        return {**settings, "flash_us": FLASH_US, "rtc_offset_ms": 0}


def module(
    folder: Path,
    time: VirtualTime,
    prepared: Prepared,
    pulses: Callable[[int, int], int],
    served: Callable[[int], int],
) -> VirtualModule:
    options = Options(relays=len(prepared.points), relays_closed=True, baud=BAUD)
    units = prepared.slaves(served)
    return TimedModule("desk-1", time, folder, units=units, pulses=pulses, options=options)


def journal_of(image_bytes: bytes) -> Journal:
    """What a module's journal partition holds."""
    cells = flash.Flash(flash.Ram(bytearray(image_bytes)), len(image_bytes), flash.Power())
    found = Journal(flash.Journal(cells))
    found.load()
    return found
