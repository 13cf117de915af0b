"""Every meter map over a real tty: pymodbus as the meter, the reader on real MicroPython."""

import asyncio
import contextlib
import json
import os
import pty
import select
import subprocess
import sys
import termios
import threading
import tty
from pathlib import Path

import pytest
from pymodbus import FramerType
from pymodbus.exceptions import NoSuchIdException
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from firmware.meters.reader import SILENT
from host_tools.maps import compile_map, load_all, to_slave
from protocol.quantity_names import quantity_numbers

ROOT = Path(__file__).resolve().parent.parent.parent
MICROPYTHON = os.environ.get("MICROPYTHON") or str(Path(sys.executable).parent / "micropython")
MAPS = load_all()
NUMBERS = quantity_numbers()
BAUD = 19200
NOBODY = 200


class NullModem:
    """Two raw ttys joined; `ends` are their paths. Reads on them never block."""

    def __init__(self):
        pairs = [pty.openpty() for _ in range(2)]
        self.masters = [pair[0] for pair in pairs]
        self.slaves = [pair[1] for pair in pairs]
        self.ends = [os.ttyname(slave) for slave in self.slaves]
        for slave in self.slaves:
            tty.setraw(slave)
            flags = termios.tcgetattr(slave)
            flags[6][termios.VMIN] = flags[6][termios.VTIME] = 0
            termios.tcsetattr(slave, termios.TCSANOW, flags)
        self.stop_out, self.stop_in = os.pipe()
        self.thread = threading.Thread(target=self._carry)
        self.thread.start()

    def _carry(self):
        one, other = self.masters
        while True:
            ready, _, _ = select.select([one, other, self.stop_out], [], [])
            if self.stop_out in ready:
                return
            for master in ready:
                os.write(other if master == one else one, os.read(master, 4096))

    def close(self):
        os.write(self.stop_in, b".")
        self.thread.join()
        for descriptor in (*self.masters, *self.slaves, self.stop_out, self.stop_in):
            os.close(descriptor)


def silence_missing_units(context):
    """pymodbus answers for units it does not have; a bus does not."""
    original = context.async_getValues

    async def known_only(unit, *arguments):
        if unit not in context.devices:
            raise NoSuchIdException(str(unit))
        return await original(unit, *arguments)

    context.async_getValues = known_only


def device(unit, meter_map, values):
    """A SimDevice with all registers of a map; what lies between them reads 0."""
    served = to_slave(meter_map, values)
    words = {}
    for address, (_, getter) in served.items():
        words.update(enumerate(getter(), address))
    first, last = min(words), max(words)
    table = [words.get(address, 0) for address in range(first, last + 1)]
    return SimDevice(unit, SimData(first, values=table, datatype=DataType.REGISTERS))


@contextlib.contextmanager
def slaves(path, devices):
    """A pymodbus RTU server in its own thread."""
    started, box = threading.Event(), {}

    async def serve():
        server = ModbusSerialServer(
            devices,
            framer=FramerType.RTU,
            port=path,
            baudrate=BAUD,
            ignore_missing_devices=True,
        )
        silence_missing_units(server.context)
        await server.serve_forever(background=True)
        box["loop"], box["done"] = asyncio.get_running_loop(), asyncio.Event()
        started.set()
        await box["done"].wait()
        await server.shutdown()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(10)
    yield
    box["loop"].call_soon_threadsafe(box["done"].set)
    thread.join()


@pytest.fixture
def modem():
    modem = NullModem()
    yield modem
    modem.close()


def read_on_micropython(path, jobs):
    """One JSON answer a job from the child."""
    script = str(ROOT / "tests" / "firmware" / "meter_child.py")
    pairs = [[list(compiled.items()), unit] for compiled, unit in jobs]
    done = subprocess.run(
        [MICROPYTHON, "-X", "heapsize=192k", script, str(ROOT)],
        input=json.dumps({"tty": path, "baud": BAUD, "jobs": pairs}) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.split("\n") if line]


def plausible(meter_map):
    """A value for each quantity that its register holds to the unit; some negative."""
    values = {}
    for i, register in enumerate(meter_map.registers.values()):
        value = 1001 * (i + 1) * (1 if register.type == "f32" else register.multiplier)
        signed = NUMBERS[register.quantity] >= 64 and not register.type.startswith("u")
        values[register.quantity] = -value if signed and not i % 2 else value
    return values


def test_every_map_reads_back_the_integers_that_its_slave_serves(modem):
    names = sorted(MAPS)
    values = [plausible(MAPS[name]) for name in names]
    devices = [
        device(unit, MAPS[name], {key: lambda v=v: v for key, v in values[unit - 1].items()})
        for unit, name in enumerate(names, 1)
    ]
    jobs = [(compile_map(MAPS[name]), unit) for unit, name in enumerate(names, 1)]
    with slaves(modem.ends[0], devices):
        answers = read_on_micropython(modem.ends[1], jobs)
    for (register_wh, pairs), expected in zip(answers, values, strict=True):
        assert register_wh == expected["import_wh"]
        got = dict(pairs)
        assert got == {NUMBERS[key]: value for key, value in expected.items()}


def test_an_absent_unit_is_silent_and_the_next_meter_answers(modem):
    sdm120 = MAPS["sdm120"]
    present = device(1, sdm120, {"import_wh": lambda: 8192001})
    jobs = [(compile_map(sdm120), NOBODY), (compile_map(sdm120), 1)]
    with slaves(modem.ends[0], [present]):
        answers = read_on_micropython(modem.ends[1], jobs)
    assert answers[0] == [None, SILENT]
    assert answers[1][0] == 8192001
