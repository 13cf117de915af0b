"""One bare module of the lab: its flash as `gridpurse flash` leaves it, meters on its bus, faults.

Real time. A fault is of the world around the module (meter, wires, radio, contact, crystal); the
module itself is never told of it. Money, energy and tariffs are whatever provisioning makes of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from host_tools.flashing.device_code import PACKAGES
from host_tools.maps import MAPS, MeterMap, load, to_slave
from host_tools.simulator import image
from host_tools.simulator.bridge import Options, VirtualModule
from host_tools.simulator.household import Household
from host_tools.simulator.slave import Registers
from host_tools.simulator.virtual_time import VirtualTime
from host_tools.simulator.wiring import meter_values

WRONG_BAUD = 4800
UNIT = 1
IMPULSES = 3200
PULSE = "pulse"
# What hangs on module 1, 2, 3, and so on again.
METERS = ("sdm120", "sdm630", PULSE)
START_WH = 1_234_000
# A few kilowatts, so that pulses come within seconds and no phase is without current.
WATTS, PERMILLE = 3000, 1000
WIFI = ("gridpurse-lab", "on-this-desk-only")
CLOCK_OFF_MS = 10 * 365 * 86_400_000
OTHER_WIFI = ("neighbour", "unknown")


class LabModule(VirtualModule):
    """`meter` is one of METERS. The contact of its one relay switches the household."""

    def __init__(self, number: int, time: VirtualTime, folder: Path, meter: str) -> None:
        self.number = number
        self.meter = meter
        self.household = Household([WATTS], time.now_s(), closed=False, start_wh=START_WH,
                                   scale_permille=PERMILLE)  # fmt: skip
        self.faults: set[str] = set()
        self.stuck_ms = 0  # since when a pulse meter has been still, 0: it is not
        self.wifi = WIFI
        self.family = None if meter == PULSE else load(MAPS / f"{meter}.toml")
        units = {UNIT: self._registers(self.family)} if self.family else {}
        self.baud = self.family.baud if self.family else 0
        parity = "NOE".index(self.family.parity) if self.family else 0
        super().__init__(
            f"lab-{number}",
            time,
            folder,
            units=units,
            pulses=lambda channel, at_ms: self._pulses_at(at_ms) if channel == 0 else 0,
            options=Options(baud=self.baud, parity=parity),
        )
        self.unique_id = f"0200{number:08x}"
        self.on_relay = lambda index, closed, at_ms: self.household.set_closed(closed, at_ms)

    def erase(self) -> None:
        """As it comes from the flasher: the program, no settings, no ledger."""
        self.power_cut()
        self.write_partition("journal", image.blank(self.partitions["journal"].size))
        self.write_files(image.device_files(PACKAGES))

    def _settings(self, control_fd: int, cause: int, run_main: bool) -> dict[str, object]:
        world = {"wifi": self.wifi, "rtc_stuck": "wrong-clock" in self.faults}
        return {**super()._settings(control_fd, cause, run_main), **world}

    def set_wifi(self, name: str, secret: str) -> None:
        """Another network is in reach; who was told of the one before is off the net."""
        self.wifi = (name, secret)
        self._send("wifi", name, secret)

    def set_clock(self, off_ms: int | None) -> None:
        """What its clock is off by, or None for one that was never set; it starts with that."""
        self._rtc_offset_ms = off_ms
        if self.powered:
            self.hard_reset()

    def _pulses_at(self, at_ms: int) -> int:
        return self.household.pulses(min(at_ms, self.stuck_ms or at_ms), IMPULSES)

    def _registers(self, family: MeterMap) -> Registers:
        shown = meter_values(self.household, self.time_ms)
        changed = {name: self._seen(name, getter) for name, getter in shown.items()}
        return to_slave(family, changed)

    def time_ms(self) -> int:
        return self.time.now_ms()

    def _seen(self, name: str, getter: Callable[[], int]) -> Callable[[], int]:
        """What the meter makes of it with its wires as they are."""

        def value() -> int:
            shown = getter()
            if "wrong-polarity" in self.faults and name == "power_l1_mw":
                return -shown
            if "wrong-polarity" in self.faults and name == "power_mw":
                return -shown if self.meter == "sdm120" else shown // 3
            if "phase-missing" in self.faults and name in ("voltage_mv", "voltage_l2_mv"):
                return 0
            return shown

        return value


@dataclass(frozen=True, slots=True)
class FaultKind:
    """Words for the technician, and what the instructor does to the module."""

    english: str
    chinese: str
    apply: Callable[[LabModule], None]
    repair: Callable[[LabModule], None]


def _nothing(_: LabModule) -> None: ...


def _silence(module: LabModule) -> None:
    module.bus.cut = True
    module.stuck_ms = module.time.now_ms()


def _speak(module: LabModule) -> None:
    module.bus.cut = False
    module.stuck_ms = 0


def _other_baud(module: LabModule) -> None:
    module.bus.baud = WRONG_BAUD


def _usual_baud(module: LabModule) -> None:
    module.bus.baud = module.baud


def _stop_clock(module: LabModule) -> None:
    module.set_clock(-CLOCK_OFF_MS)


def _run_clock(module: LabModule) -> None:
    module.set_clock(None)


def _unplug(module: LabModule) -> None:
    module.console_path.unlink(missing_ok=True)


def _plug(module: LabModule) -> None:
    module.console.plug()


FAULTS = {
    "meter-silent": FaultKind("the meter does not answer", "电表无应答", _silence, _speak),
    "wrong-baud": FaultKind(
        f"the meter is set to {WRONG_BAUD} baud", "电表波特率不符", _other_baud, _usual_baud
    ),
    "wrong-polarity": FaultKind("a phase is connected in reverse", "一相接反", _nothing, _nothing),
    "phase-missing": FaultKind("a phase has no voltage", "一相失压", _nothing, _nothing),
    "welded-relay": FaultKind(
        "the contact is welded", "继电器触点粘连",
        lambda module: module.weld(0), lambda module: module.weld(0, False),
    ),
    "bad-wifi": FaultKind(
        "another network is in reach", "Wi-Fi 名称或口令不符",
        lambda module: module.set_wifi(*OTHER_WIFI), lambda module: module.set_wifi(*WIFI),
    ),
    "wrong-clock": FaultKind(
        "its clock takes no setting", "时钟无法校准", _stop_clock, _run_clock
    ),
    "no-power": FaultKind(
        "it has no power", "模块断电", lambda module: module.power_cut(),
        lambda module: module.power_on(),
    ),
    "unplugged": FaultKind("the cable is not plugged in", "串口线未插", _unplug, _plug),
}  # fmt: skip
