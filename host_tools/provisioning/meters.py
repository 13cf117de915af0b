"""Asks a meter for some registers over the module's bus or gateway, and judges what it shows.

Values as integers in our units (mV, mA, mW, mHz, Wh). A family's map says where they lie; nothing
here knows a model. Only reads.
"""

import struct
from collections.abc import Iterator, Sequence

from host_tools.maps import MeterMap, Register
from host_tools.maps.trying import decoded
from host_tools.provisioning.faults import PHASES, SILENT, VALUES
from host_tools.provisioning.order import Meter
from host_tools.simulator.rs485 import crc16

Request = tuple[bytes, int]  # frame, bytes of its answer

MOMENTS = ("power_mw", "power_l1_mw", "power_l2_mw", "power_l3_mw", "frequency_mhz")
VOLTAGES = ("voltage_mv", "voltage_l1_mv", "voltage_l2_mv", "voltage_l3_mv")
TOTAL = "import_wh"
# 230 V by IEC 60038 within 20 %: a module is commissioned on a sound supply.
VOLTAGE_MIN_MV, VOLTAGE_MAX_MV = 184_000, 276_000
FREQUENCY_MIN_MHZ, FREQUENCY_MAX_MHZ = 45_000, 65_000
REVERSE_MW = -10_000  # less is noise of an idle phase
_BYTES_PER_WORD = 2


def wanted(family: MeterMap) -> list[Register]:
    """The registers asked for at commissioning, as far as the family has them."""
    return [family.registers[name] for name in (TOTAL, *VOLTAGES, *MOMENTS)
            if name in family.registers]  # fmt: skip


def requests(meter: Meter) -> list[Request]:
    """One a register: a meter that refuses one of them still tells the others."""
    family = meter.family
    if family is None:
        return []
    return [
        _request(meter, family.function, each.address, each.size, number)
        for number, each in enumerate(wanted(family), 1)
    ]


def _request(meter: Meter, function: int, address: int, count: int, number: int) -> Request:
    body = struct.pack(">BBHH", meter.unit, function, address, count)
    if meter.tcp:
        return struct.pack(">HHH", number, 0, len(body)) + body, 9 + _BYTES_PER_WORD * count
    return body + struct.pack("<H", crc16(body)), 5 + _BYTES_PER_WORD * count


def values(meter: Meter, frames: Sequence[bytes]) -> dict[str, int]:
    """What the answers say; a register without a sound answer is left out."""
    out: dict[str, int] = {}
    if meter.family is None:
        return out
    for register, frame in zip(wanted(meter.family), frames, strict=False):
        data = _payload(meter, frame, register.size)
        words = None if data is None else struct.unpack(f">{register.size}H", data)
        value = None if words is None else decoded(words, register)
        if value is not None:
            out[register.quantity] = value
    return out


def heard(frames: Sequence[bytes]) -> bool:
    """Whether anybody answered at all."""
    return any(len(frame) >= 5 for frame in frames)


def _payload(meter: Meter, frame: bytes, size: int) -> bytes | None:
    if meter.tcp:
        frame = frame[6:]
    elif len(frame) < 5 or crc16(frame):
        return None
    if len(frame) < 3 or frame[0] != meter.unit or frame[1] & 0x80:
        return None
    data = frame[3 : 3 + _BYTES_PER_WORD * size]
    return data if len(data) == _BYTES_PER_WORD * size else None


def judge(point: int, meter: Meter, seen: dict[str, int], *, loaded: bool) -> None:
    """Fault when the meter does not answer, or shows what no sound installation would."""
    where = f"point 用电点 {point}, {_named(meter)}"
    if TOTAL not in seen:
        raise SILENT.seen(f"{where}: no valid total 无有效表码")
    for name, value in _of(seen, VOLTAGES):
        phase = _phase(name)
        if value < VOLTAGE_MIN_MV // 2:
            raise PHASES.seen(f"{where}: no voltage on {phase} {phase} 失压 ({value // 1000} V)")
        if not VOLTAGE_MIN_MV <= value <= VOLTAGE_MAX_MV:
            raise VALUES.seen(f"{where}: {phase} shows {value // 1000} V 电压异常")
    frequency_mhz = seen.get("frequency_mhz")
    if frequency_mhz is not None and not FREQUENCY_MIN_MHZ <= frequency_mhz <= FREQUENCY_MAX_MHZ:
        raise VALUES.seen(f"{where}: {frequency_mhz} mHz 频率异常")
    if seen[TOTAL] < 0:
        raise VALUES.seen(f"{where}: the total is negative 表码为负")
    if loaded and not any(name in seen for name in MOMENTS[:4]) and _tells_power(meter):
        raise SILENT.seen(f"{where}: does not tell its power under load 带载时未读到功率")
    if loaded:
        for name, value in _of(seen, MOMENTS[1:4] if "power_l1_mw" in seen else MOMENTS[:1]):
            if value < REVERSE_MW:
                phase = _phase(name)
                raise PHASES.seen(f"{where}: {phase} feeds back {-value // 1000} W {phase} 相接反")


def _tells_power(meter: Meter) -> bool:
    return meter.family is not None and any(name in meter.family.registers for name in MOMENTS[:4])


def _of(seen: dict[str, int], names: Sequence[str]) -> Iterator[tuple[str, int]]:
    return ((name, seen[name]) for name in names if name in seen)


def _phase(name: str) -> str:
    return next((f"L{number}" for number in (1, 2, 3) if f"_l{number}_" in name), "L")


def _named(meter: Meter) -> str:
    if meter.family is None:
        return f"pulse 脉冲 {meter.imp_per_kwh} imp/kWh"
    return f"{meter.family.name} unit 地址 {meter.unit}"


def shown(meter: Meter, seen: dict[str, int]) -> str:
    """A line for the report card."""
    words = [f"{seen[TOTAL] // 1000}.{seen[TOTAL] % 1000:03d} kWh"] if TOTAL in seen else []
    words += [f"{_phase(name)} {value // 1000} V" for name, value in _of(seen, VOLTAGES)]
    words += [f"{value // 1000} W" for name, value in _of(seen, MOMENTS[:1])]
    return f"{_named(meter)}: " + ", ".join(words)
