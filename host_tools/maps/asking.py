"""Asks a live meter for registers through pymodbus's own client: serial line or TCP gateway.

Reads only: there is no function here that writes to a meter. Times in milliseconds.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException

from host_tools.flashing import chip
from host_tools.maps import faults

TIMEOUT_MS = 1000


class Silent(Exception):
    """No answer in time."""


class Garbled(Exception):
    """Bytes came, and no answer in them."""


class Refusal(Exception):
    """The meter's exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Line(Protocol):
    """`read` gives the words of `count` registers, or one of the three exceptions above."""

    def read(self, function: int, address: int, count: int, unit: int) -> list[int]: ...
    def __enter__(self) -> "Line": ...
    def __exit__(self, *_: object) -> None: ...


@dataclass(frozen=True)
class Place:
    """Where the meter is: `host` with `port`, or `device` with the rest."""

    host: str = ""
    port: int = 502
    device: str = ""
    baud: int = 9600
    parity: str = "N"
    stop_bits: int = 1

    def __str__(self) -> str:
        if self.host:
            return f"{self.host}:{self.port}"
        return f"{self.device} {self.baud} {self.parity}"


class Master:
    """A `Line` over one of pymodbus's clients."""

    def __init__(self, place: Place, timeout_ms: int = TIMEOUT_MS) -> None:
        # pymodbus tells every missing answer on stderr; here each becomes one line of ours.
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)
        self._place = place
        self._heard = False
        seconds = timeout_ms / 1000
        self._client: ModbusSerialClient | ModbusTcpClient
        if place.host:
            self._client = ModbusTcpClient(
                place.host, port=place.port, timeout=seconds, retries=0, trace_packet=self._trace
            )
        else:
            self._client = ModbusSerialClient(
                place.device,
                baudrate=place.baud,
                # A pseudo-terminal has no parity to set; the kernel refuses it.
                parity=place.parity if chip.resettable(place.device) else "N",
                stopbits=place.stop_bits,
                timeout=seconds,
                retries=0,
                trace_packet=self._trace,
            )

    def __enter__(self) -> "Master":
        if not self._place.host:
            chip.opened(self._place.device).close()  # says why a port cannot be had
        if not self._client.connect():
            raise faults.NOT_REACHED.of(line=self._place)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()  # type: ignore[no-untyped-call]

    def _trace(self, sending: bool, data: bytes) -> bytes:
        self._heard = self._heard or (not sending and bool(data))
        return data

    def read(self, function: int, address: int, count: int, unit: int) -> list[int]:
        ask: Callable[..., object] = (
            self._client.read_holding_registers
            if function == 3
            else self._client.read_input_registers
        )
        self._heard = False
        try:
            answer = ask(address, count=count, device_id=unit)
        except ConnectionException:
            raise Silent
        except ModbusException:
            if self._heard:
                raise Garbled
            raise Silent
        code = getattr(answer, "exception_code", 0)
        if code:
            if code in faults.GATEWAY_SILENT:
                raise Silent
            raise Refusal(code)
        words: list[int] = getattr(answer, "registers", [])
        if len(words) != count:
            raise Garbled
        return words
