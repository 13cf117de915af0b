"""Modbus meters by map: which registers to ask for, when to leave a silent meter alone.

A compiled map (host_tools/maps) is data; nothing here knows a model. Reading waits for the bus,
never blocks the loop, and raises Unavailable with a reason. It never writes to a meter.
"""

import asyncio
import struct

from firmware.meters import modbus
from firmware.meters.readings import ENERGY, IDENTITY, Reading, in_group, ratio
from firmware.meters.registers import blocks, decode
from firmware.waits import sleep_ms, wait_for_ms
from protocol.quantities import (
    CURRENT_L1_MA,
    CURRENT_MA,
    FREQUENCY_MHZ,
    IMPORT_WH,
    MAP_FUNCTION,
    MAP_GAP_MAX,
    MAP_PHASES,
    MAP_REGISTERS,
    MAP_REGISTERS_MAX,
    MAP_RESOLUTION_WH,
    MOMENTS_FIRST,
    POWER_MW,
    TYPE_FORMATS,
    VOLTAGE_L1_MV,
    VOLTAGE_MV,
)
from protocol.units import BAD_FIELD, Malformed, Unavailable, const

# Why a reading failed: the argument of Unavailable, and the index into Meter.failures.
SILENT = const(0)  # no complete answer in time
GARBLED = const(1)  # an answer with a wrong CRC, unit or shape
EXCEPTION = const(2)  # the meter refused: wrong map or wrong meter
INVALID = const(3)  # the import register holds no valid total
RESTING = const(4)  # silent before; not asked until its back-off ends

_REPLY_MS = const(300)  # what a meter may take before its first byte
_SETTLE_MS = const(100)  # after a failure: a late answer must not meet the next request
_REST_MS_MIN = const(1000)
_REST_MS_MAX = const(60000)
_BITS_PER_BYTE = const(11)

_BAD_VALUE = getattr(struct, "error", ValueError)  # of CPython
_REGISTER = "<BHBqB"  # quantity, address, type, multiplier, number of registers
_REGISTER_BYTES = const(13)


class Bus:
    """One RS-485 line: one request in flight, frames by length, answers within their time."""

    def __init__(self, rs485, baud):
        self._rs485 = rs485
        self._baud = baud
        self._lock = asyncio.Lock()
        self._gap_ms = self._line_ms(4)  # more than the 3.5 characters between frames

    def _line_ms(self, count) -> int:
        return count * _BITS_PER_BYTE * 1000 // self._baud + 1

    async def request(self, unit, function, address, count):
        """What modbus.parse gives; Malformed for a damaged answer, Unavailable for none."""
        frame = modbus.read_request(unit, function, address, count)
        time_ms = _REPLY_MS + self._line_ms(len(frame) + modbus.answer_bytes(count))
        async with self._lock:
            await sleep_ms(self._gap_ms)
            try:
                answer = await wait_for_ms(self._exchange(frame, count), time_ms)
                return modbus.parse(answer, unit, function, count)
            except (Malformed, OSError, asyncio.TimeoutError) as error:
                await sleep_ms(_SETTLE_MS)
                if isinstance(error, Malformed):
                    raise
                raise Unavailable(SILENT)

    async def _exchange(self, frame, count):
        self._rs485.purge()
        await self._rs485.write(frame)
        answer = bytearray()
        missing = modbus.missing_bytes(answer, count)
        while missing > 0:
            answer.extend(await self._rs485.read(missing))
            missing = modbus.missing_bytes(answer, count)
        return answer


class Registers:
    """A compiled map, as host_tools.maps.compile_map makes it, behind transformers of a ratio.

    All meters of a family share one. Malformed when the map cannot be read; what it says is
    checked on the host.
    """

    def __init__(self, compiled, ct_ratio=1, pt_ratio=1):
        try:
            self.function = compiled[MAP_FUNCTION]
            self._gap_max = compiled[MAP_GAP_MAX]
            self._registers_max = compiled[MAP_REGISTERS_MAX]
            self._packed = _packed(
                [
                    (
                        quantity,
                        address,
                        kind,
                        multiplier * ratio(quantity, ct_ratio, pt_ratio),
                        struct.calcsize(TYPE_FORMATS[kind]) >> 1,
                    )
                    for quantity, address, kind, multiplier in compiled[MAP_REGISTERS]
                ]
            )
            self.phases = compiled[MAP_PHASES]
            self.resolution_wh = compiled[MAP_RESOLUTION_WH] * ct_ratio * pt_ratio
            modbus.read_request(1, self.function, 0, 1)
        except (KeyError, IndexError, TypeError, ValueError, OverflowError, _BAD_VALUE):
            raise Malformed(BAD_FIELD, "register map is not whole")
        self._plans = {}  # by group

    def group(self, group):
        """The plan for a group of quantities, made once."""
        if group not in self._plans:
            every = [register[0] for register in _unpacked(self._packed)]
            self._plans[group] = self.plan([each for each in every if in_group(each, group)])
        return self._plans[group]

    def plan(self, quantities):
        """Requests for quantities: (address, number of registers, packed registers) each."""
        chosen = [r for r in _unpacked(self._packed) if r[0] in quantities]
        return [
            (address, count, _packed(registers))
            for address, count, registers in blocks(chosen, self._gap_max, self._registers_max)
        ]


def _packed(registers) -> bytes:
    """An eighth of what tuples take of the heap, for as long as the module runs."""
    return b"".join([struct.pack(_REGISTER, *register) for register in registers])


def _unpacked(packed):
    """Yields (quantity, address, type, multiplier, number of registers)."""
    for at in range(0, len(packed), _REGISTER_BYTES):
        yield struct.unpack_from(_REGISTER, packed, at)


class Meter:
    """One meter on a bus."""

    pulsed = False

    def __init__(self, registers, unit, bus, ticks_ms):
        self._registers = registers
        self.phases = registers.phases
        self.resolution_wh = registers.resolution_wh
        self._unit = unit
        self._bus = bus
        self._ticks_ms = ticks_ms
        self._silences = 0  # in a row
        self._rest_until_ms = 0
        self.failures = [0] * 5  # by reason
        self.exception = 0  # the last exception code of the meter

    async def read(self, group=ENERGY) -> Reading:
        """A Reading of a group of quantities; Unavailable with a reason of the list above."""
        values = await self._fetch(self._registers.group(group))
        if group != IDENTITY and IMPORT_WH not in values:
            raise self._failed(INVALID)
        return reading(values)

    async def values(self, quantities) -> dict[int, int]:
        """Quantity number to value, without those whose registers hold no valid value."""
        return await self._fetch(self._registers.plan(quantities))

    async def _fetch(self, plan) -> dict[int, int]:
        if self._ticks_ms() < self._rest_until_ms:
            raise self._failed(RESTING)
        values = {}
        for address, count, packed in plan:
            try:
                data = await self._block(address, count)
            except Unavailable as error:
                # Energy is billed even where the meter refuses or garbles one of the others.
                if error.args[0] == SILENT or IMPORT_WH in [r[0] for r in _unpacked(packed)]:
                    raise
                continue
            for quantity, start, kind, multiplier, _ in _unpacked(packed):
                try:
                    value = decode(data, 2 * (start - address), kind, multiplier)
                    if value < 0 and quantity < MOMENTS_FIRST:
                        raise Malformed(BAD_FIELD, "negative total")
                    values[quantity] = value
                except Malformed:
                    pass  # absent means: not measured; the rest of the block is good
        return values

    async def _block(self, address, count) -> bytes:
        try:
            answer = await self._bus.request(self._unit, self._registers.function, address, count)
        except Malformed:
            raise self._failed(GARBLED)
        except Unavailable:
            self._rest()
            raise self._failed(SILENT)
        self._silences = 0
        if isinstance(answer, int):
            self.exception = answer
            raise self._failed(EXCEPTION)
        return answer

    def _rest(self) -> None:
        rest_ms = min(_REST_MS_MAX, _REST_MS_MIN << min(self._silences, 16))
        self._silences += 1
        self._rest_until_ms = self._ticks_ms() + rest_ms

    def _failed(self, reason) -> Unavailable:
        self.failures[reason] += 1
        return Unavailable(reason)


def reading(values) -> Reading:
    """The Reading of quantity values; the phases' voltage and current become their worst."""
    return Reading(
        values.get(IMPORT_WH),
        None,
        values.get(POWER_MW),
        _worst(values, VOLTAGE_MV, VOLTAGE_L1_MV, min),
        _worst(values, CURRENT_MA, CURRENT_L1_MA, max),
        values.get(FREQUENCY_MHZ),
        values,
    )


def _worst(values, single, first, choose):
    if single in values:
        return values[single]
    phases = [values[quantity] for quantity in range(first, first + 3) if quantity in values]
    return choose(phases) if phases else None
