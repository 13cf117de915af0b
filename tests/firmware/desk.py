"""A module on the desk of a test: RAM flash with power cuts, a meter and a relay that do as told.

Runs on both interpreters. Time is what the test says; nothing here sleeps or connects.
"""

import os

from boards.virtual import flash
from firmware import main
from firmware.meters import reader, readings
from protocol import cbor, messages, settings, tariff, tariff_book
from protocol.quantities import IMPORT_WH

CUR = 1000000000
START_S = 1772726400  # 2026-03-05 16:00:00 UTC, midnight of the 6th in China
ROOT_KEY = bytes(range(32))


def Seen(register_wh, pulses, current_ma=None):
    """A Reading with what a test turns."""
    return readings.Reading(register_wh, pulses, None, None, current_ma, None, {})


class Meter:
    """A register that the test turns; `moments` and `identity` are further values by quantity."""

    pulsed = False
    phases = 3
    resolution_wh = 1

    def __init__(self):
        self.register_wh = 1000000
        self.answers = True
        self.pulses = None
        self.current_ma = None  # in every reading, where moments have none
        self.excess_pulses = 0
        self.moments = {}
        self.identity = {}
        self.asked = []  # groups, in order

    async def read(self, group=readings.ENERGY):
        from protocol.units import Unavailable

        if not self.answers:
            raise Unavailable("silent")
        self.asked.append(group)
        if group == readings.IDENTITY:
            return reader.reading(self.identity)
        values = {IMPORT_WH: self.register_wh}
        for quantity, value in self.moments.items():
            if readings.in_group(quantity, group):
                values[quantity] = value
        power_mw, voltage_mv, current_ma, mhz, values = reader.reading(values)[2:]
        if current_ma is None:
            current_ma = self.current_ma
        return readings.Reading(
            self.register_wh, self.pulses, power_mw, voltage_mv, current_ma, mhz, values
        )


class Contact:
    def __init__(self):
        self.closed = False
        self.moves = []

    def open(self):
        self.closed = False
        self.moves.append("open")

    def close(self):
        self.closed = True
        self.moves.append("close")

    def actual(self):
        return self.closed


class NoLink:
    def is_up(self):
        return False

    async def up(self, timeout_ms):
        return False

    async def connect(self, host, port, tls=None):
        raise OSError(113)


class Desk:
    """What survives a power cut: flash cells, files, the meter, the contact."""

    def __init__(self, root, sectors=16):
        self.root = root
        self.cells = flash.Ram(bytearray(b"\xff" * (sectors * flash.SECTOR)))
        self.sectors = sectors
        self.meter = Meter()
        self.contact = Contact()
        self.link = NoLink()
        self.tampers = 0
        self.now_ms = START_S * 1000
        clean(root)

    def power_on(self, rtc=True, power=None, cause=1, copy="-"):
        """-> (board, firmware) of a new power-on."""
        board = Board(self, rtc, power or flash.Power(), cause)
        firmware = main.Firmware(board, lambda *_: self.meter, copy)
        return board, firmware


class Board:
    console = None
    hold_s = 0

    def __init__(self, desk, rtc, power, cause=1):
        self.desk = desk
        self.cause = cause
        self.name = "desk"
        self.root = desk.root
        self.on_ms = desk.now_ms
        self.rtc = rtc
        self.power = power
        self.journal = flash.Journal(flash.Flash(desk.cells, desk.sectors * flash.SECTOR, power))
        self.link = getattr(desk, "link", None) or NoLink()
        self.relays = [desk.contact]
        self.presses = 0
        self.signals = []

    def tampers(self):
        return getattr(self.desk, "tampers", 0)

    def ticks_ms(self):
        return self.desk.now_ms - self.on_ms

    def rtc_s(self):
        return self.desk.now_ms // 1000 if self.rtc else None

    def set_rtc_s(self, unix_s):
        self.rtc = True

    def entropy(self, count):
        return bytes(count)

    def reset_cause(self):
        return self.cause

    def reset(self):
        raise SystemExit

    def wdt_feed(self):
        pass

    def key_presses(self):
        presses, self.presses = self.presses, 0
        return presses

    def signal(self, code):
        self.signals.append(code)


def folder(name):
    """A folder that no other run of tests has; it ends with the run."""
    return os.getenv("GRIDPURSE_TMP") + "/" + name


def clean(root):
    """Empty a folder of the host's file system, whichever interpreter this is."""
    try:
        os.mkdir(root)
    except OSError:
        pass
    for folder in (root + "/outbox", root):
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            try:
                os.remove(folder + "/" + name)
            except OSError:
                pass  # the folder inside


def sent(firmware):
    """Every message of the event stream that the host has not acknowledged, as it will travel."""
    out = []
    found = firmware.outbox.batch(8, firmware.events.acked(), 64)
    while found:
        out.append(messages.unpack(found[0]))
        found = firmware.outbox.batch(8, found[1], 64)
    firmware.outbox.cursor = {}
    return out


def told(firmware):
    """Every waiting event, from files and memory."""
    out = []
    for message in sent(firmware):
        if messages.kind_of(message) == messages.EVENTS:
            out += message.items
    return out


def results(firmware):
    """The status of every answered command that the host does not know yet."""
    found = [m for m in sent(firmware) if messages.kind_of(m) == messages.RESULT]
    return [message.status for message in found]


def flat_book(version=1, price=500000, fixed=0, thresholds=(), adders=(0,)):
    """China, one price (or a monthly ladder on top of it), a fixed charge a day."""
    rates = tariff.Rates(((price,),), fixed, ((101, 0),), (0,) * 7, (), ((((0, 0),),),))
    ladder = tariff.Ladder(tariff.MONTH, 1, thresholds, adders)
    return tariff.Book(version, "CNY", ((0, 28800),), ((0, rates),), ((0, ladder),))


def point_settings(number=0, auto_close=0, **others):
    """One point of the desk; `others` are further settings of it."""
    values = {
        "point": number, "meter": settings.MODBUS, "meter_map": "sdm120", "unit": 1,
        "pulse_channel": 0, "imp_per_kwh": 0, "register_base_wh": 0, "current_max_ma": 60000,
        "relay": 0, "warning_1_ncur": 5 * CUR, "warning_2_ncur": 2 * CUR, "limit_ncur": 0,
        "rearm_ncur": CUR, "cap_ncur": 1000 * CUR, "topup_max_ncur": 500 * CUR,
        "auto_close": auto_close,
    }  # fmt: skip
    values.update(others)
    return settings.point_of(**values)


def provision(root, points, book, **others):
    """The files a provisioned module has; `others` are further module settings."""
    values = {
        "version": 1, "module": "desk-1", "shard": 3, "broker_host": "localhost",
        "broker_port": 1883, "broker_user": "", "broker_password": "", "keepalive_s": 60,
        "poll_ms": 1000, "batch_records": 8, "rs485_baud": 9600, "rs485_parity": 0,
        "points": tuple(points),
    }  # fmt: skip
    values.update(others)
    module = settings.module_of(**values)
    with open(root + "/config.cbor", "wb") as file:
        file.write(cbor.encode(settings.module_to_wire(module)))
    with open(root + "/key.bin", "wb") as file:
        file.write(ROOT_KEY)
    for point in points:
        with open(root + "/tariff%d.cbor" % point.point, "wb") as file:
            file.write(cbor.encode(tariff_book.to_wire(book)))
    return module
