"""Meters on one RS-485 bus or behind one TCP gateway: a pymodbus server, a unit for each.

Registers are computed when they are read; function codes 3 and 4 only. A unit that is not there is
silent, as on a real bus. Decides nothing about values: a getter gives each of them.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.exceptions import NoSuchIdException
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

# address: (type, getter of the value in the register's own unit, or of its words as they go out)
Registers = Mapping[int, tuple[str, Callable[[], float | list[int]]]]

FORMATS = {
    "f32": ">f",
    "u16": ">H",
    "s16": ">h",
    "u32": ">I",
    "s32": ">i",
    "u32lw": ">I",
    "s32lw": ">i",
    "s64": ">q",
}


def words(kind: str, value: float) -> list[int]:
    """The registers of one value: big-endian words, highest first, or lowest first for ..lw."""
    form = FORMATS[kind]
    raw = struct.pack(form, value if kind == "f32" else int(value))
    found = list(struct.unpack(f">{len(raw) // 2}H", raw))
    return found[::-1] if kind.endswith("lw") else found


def _device(unit: int, registers: Registers) -> SimDevice:
    """Addresses between two registers read as 0, as most meters do; outside is an exception 2."""
    first = min(registers)
    last = max(
        address + struct.calcsize(FORMATS[kind]) // 2 - 1
        for address, (kind, _) in registers.items()
    )

    async def read(
        function_code: int,
        start: int,
        address: int,
        count: int,
        current: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        if function_code not in (3, 4) or values is not None:
            return ExcCodes.ILLEGAL_FUNCTION
        for at, (kind, getter) in registers.items():
            if address - 4 < at < address + count:
                value = getter()
                found = value if isinstance(value, list) else words(kind, value)
                current[at - start : at - start + len(found)] = found
        return None

    block = SimData(first, count=last - first + 1, values=0, datatype=DataType.REGISTERS)
    return SimDevice(unit, [block], action=read)


def _silence_missing_units(context: Any, on_silence: Callable[[], None]) -> None:
    """pymodbus 3.16 answers for a missing unit with exception 4 whatever it is told."""
    for name in ("async_getValues", "async_setValues"):
        original: Callable[..., Awaitable[Any]] = getattr(context, name)

        async def known_only(
            unit: int, *args: Any, original: Callable[..., Awaitable[Any]] = original
        ) -> Any:
            if unit not in context.devices:
                on_silence()
                raise NoSuchIdException(str(unit))
            return await original(unit, *args)

        setattr(context, name, known_only)


class Slave:
    """`units` maps Modbus addresses to registers.

    `on_heard` is called when bytes have been read, `on_silence` when a missing unit was asked.
    """

    def __init__(
        self,
        port: str,
        units: Mapping[int, Registers],
        on_heard: Callable[[], None],
        on_silence: Callable[[], None],
    ) -> None:
        self._port = port
        self._devices = [_device(unit, registers) for unit, registers in units.items()]
        self._on_heard = on_heard
        self._on_silence = on_silence
        self._server: ModbusSerialServer | None = None

    async def start(self) -> None:
        self._server = ModbusSerialServer(
            self._devices,
            port=self._port,
            baudrate=115200,
            ignore_missing_devices=True,
            trace_packet=self._trace,
        )
        _silence_missing_units(self._server.context, self._on_silence)
        await self._server.serve_forever(background=True)

    def _trace(self, sending: bool, data: bytes) -> bytes:
        if not sending:
            self._on_heard()
        return data

    async def stop(self) -> None:
        if self._server:
            # Stopped as soon as started, pymodbus would still set up the port it has closed.
            for _ in range(2):
                await asyncio.sleep(0)
            await self._server.shutdown()  # type: ignore[no-untyped-call]
            self._server = None


class Gateway:
    """`units` behind a Modbus TCP gateway of this machine, for as long as `async with` lasts.

    Asked for a unit that is not there it is silent; the master's own time-out has to end that.
    """

    def __init__(self, port: int, units: Mapping[int, Registers]) -> None:
        self.port = port
        self._devices = [_device(unit, registers) for unit, registers in units.items()]

    async def __aenter__(self) -> "Gateway":
        where = ("127.0.0.1", self.port)
        self._server = ModbusTcpServer(self._devices, address=where, ignore_missing_devices=True)
        _silence_missing_units(self._server.context, lambda: None)
        await self._server.serve_forever(background=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.shutdown()  # type: ignore[no-untyped-call]
