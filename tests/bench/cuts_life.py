"""Power cuts at every flash operation of updates, settings on trial and safe mode.

MicroPython only. The uncut run keeps every operation; replaying them rebuilds the cells before
each, a cut adds what is left of that operation, and the module boots from there, is looked at, and
does again what it was doing.
"""

import asyncio
import gc
import hashlib
import json
import os
import sys
from binascii import hexlify

import vfs

from boards import start
from boards.virtual import flash
from firmware import config, slots
from firmware import main as firmware_main
from protocol import codes, messages, settings
from protocol.units import MODULE_TARGET, Malformed, Unavailable
from tests.bench import cuts_world as worlds
from tests.firmware import desk as desks

ROOT = "/cuts"
JOURNAL_SECTORS = 9
DISK_SECTORS = 80
POWER, HARD, WATCHDOG = 1, 2, 3
MPY = sys.implementation._mpy & 0xFF
CHUNK_BYTES = 1024
START_WH, PRICE_UCUR_PER_KWH = 1000000, 500000
BROKEN = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, Malformed, Unavailable,
)  # fmt: skip


def program(version):
    """(list, file, ...) of a small program."""
    files = (
        ("firmware/main.mpy", bytes([0x4D, MPY, 0, 31]) + bytes([version & 0xFF]) * 2500),
        ("firmware/meters/modbus.mpy", bytes([version & 0xFF]) * 700),
        ("protocol/units.mpy", b"units %d" % version),
    )
    lines = ["%d" % version]
    for path, content in files:
        digest = hexlify(hashlib.sha256(content).digest()).decode()
        lines.append("%s %d %s" % (path, len(content), digest))
    return [("\n".join(lines) + "\n").encode()] + [content for _, content in files]


FIRST, SECOND = 0x000200, 0x000300
# (what happens, figure, trusted copies and versions of the settings allowed once it has happened)
STEPS = (
    ("configure", 2, ("-",), (1, 2)),
    ("restart", 0, ("-",), (1, 2)),
    ("hear", 60, ("-",), (1, 2)),
    ("configure", 3, ("-",), (2, 3)),
    ("restart", 0, ("-",), (2, 3)),
    ("deaf", 900, ("-",), (2,)),
    ("deliver", FIRST, ("-",), (2,)),
    ("restart", 0, ("-",), (2,)),
    ("hear", 301, ("a",), (2,)),
    ("deliver", SECOND, ("a",), (2,)),
    ("restart", 0, ("a",), (2,)),
    ("crashes", 3, ("a",), (2,)),
    ("deliver", SECOND, ("a",), (2,)),
    ("abort", 0, ("a",), (2,)),
    ("restart", 0, ("a",), (2,)),
    ("hear", 301, ("b",), (2,)),
    ("crashes", 3, ("b",), (2,)),  # leads to safe mode
    ("leave", 3600, ("b",), (2,)),
    ("hear", 301, ("b",), (2,)),
)


class World:
    """What outlives a power cut: cells, the meter, the contact, and the host's next command id."""

    def __init__(self, journal, disk):
        self.root = ROOT
        self.sectors = JOURNAL_SECTORS
        self.cells = flash.Ram(journal)
        self.disk = flash.Ram(disk)
        self.contact = desks.Contact()
        self.meter = desks.Meter()
        self.now_ms = desks.START_S * 1000
        self.command_id = 0
        self.firmware = None
        self.on_op = None

    def boot(self, cause):
        """Mount, load and start as a board does."""
        worlds.unmount()
        supply = worlds.Supply(self.on_op)
        device = flash.Flash(self.disk, DISK_SECTORS * flash.SECTOR, supply)
        vfs.mount(vfs.VfsLfs2(device), ROOT)
        self.now_ms += 2000
        board = desks.Board(self, True, supply, cause)
        copy = start.choose(ROOT, cause)
        self.firmware = firmware_main.Firmware(board, lambda *_: self.meter, copy)
        asyncio.run(self.firmware.metering.poll())

    def look(self, after_s):
        """Time goes by, then the life is looked at; a restart it asks for happens."""
        self.now_ms += after_s * 1000
        self.meter.register_wh += after_s
        asyncio.run(self.firmware.metering.poll())
        self.firmware.health.beat("metering")
        try:
            self.firmware.health.look()
        except SystemExit:
            self.boot(HARD)

    def send(self, action, args):
        """-> (status, detail) of the answer."""
        self.command_id += 1
        command = messages.Command(self.command_id, MODULE_TARGET, action, 0, 1 << 33, args)
        self.firmware.commands.take(command)
        outbox = self.firmware.outbox
        seq = self.firmware.events.seq
        answer = messages.unpack(outbox.batch(8, seq - 1, 1)[0])
        outbox.trim(8, seq)  # the host has it
        return answer.status, answer.detail

    def deliver(self, version):
        """An update from wherever it stands until it is armed."""
        parts = program(version)
        digest = hashlib.sha256(parts[0]).digest()
        begin = [codes.BEGIN, version, MPY, len(parts[0]), digest, 8]
        status, detail = self.send(codes.UPDATE, begin)
        while status != codes.REFUSED_BUSY:
            number, offset = detail >> 20, detail & 0xFFFFF
            if number == len(parts):
                status, _ = self.send(codes.UPDATE, [codes.FINISH])
                break
            data = parts[number][offset : offset + CHUNK_BYTES]
            status, detail = self.send(codes.UPDATE, [codes.CHUNK, number, offset, data])
            if status not in (codes.DONE, codes.ALREADY):
                break
        if status not in (codes.DONE, codes.REFUSED_BUSY):
            raise ValueError("update refused with %d" % status)

    def act(self, what, figure):
        firmware = self.firmware
        if what == "configure":
            point = desks.point_settings(0, auto_close=1)
            module = settings.module_of(**module_values(figure, (point,)))
            self.send(codes.CONFIG, [settings.module_to_wire(module)])
            config.forget("settings")
        elif what == "deliver":
            self.deliver(figure)
        elif what == "abort":  # too late for what is armed: refused
            self.send(codes.UPDATE, [codes.ABORT])
        elif what == "restart":
            if firmware.health.restart:
                self.look(10)
        elif what == "crashes":
            for _ in range(figure):
                self.boot(WATCHDOG)
        else:  # hear, deaf, leave
            if firmware.uplink:
                firmware.uplink.heard = what == "hear"
            self.look(figure)


def module_values(version, points):
    return {
        "version": version, "module": "desk-1", "shard": 3, "broker_host": "localhost",
        "broker_port": 1883, "broker_user": "", "broker_password": "", "keepalive_s": 60,
        "poll_ms": 1000, "batch_records": 8, "rs485_baud": 9600, "rs485_parity": 0,
        "points": points,
    }  # fmt: skip


def provisioned():
    disk = flash.Ram(bytearray(b"\xff" * (DISK_SECTORS * flash.SECTOR)))
    device = flash.Flash(disk, DISK_SECTORS * flash.SECTOR, flash.Power())
    vfs.VfsLfs2.mkfs(device)
    worlds.unmount()
    vfs.mount(vfs.VfsLfs2(device), ROOT)
    point = desks.point_settings(0, auto_close=1)
    desks.provision(ROOT, [point], desks.flat_book())
    os.mkdir(ROOT + "/meter_maps")
    config.write(ROOT, "/meter_maps/sdm120.cbor", b"\xa0")
    worlds.unmount()
    return disk.cells


class Recorded:
    """The uncut run: every flash operation, the step it fell in, and the host's side of it."""

    def __init__(self):
        gc.collect()
        self.journal = bytearray(b"\xff" * (JOURNAL_SECTORS * flash.SECTOR))
        self.disk = provisioned()
        self.operations = []
        self.step = -1
        world = World(bytearray(self.journal), bytearray(self.disk))
        self.world = world
        world.on_op = self.keep
        world.boot(POWER)
        world.send(codes.ADJUST, [])  # refused: the id of a command is known before the first step
        for self.step, (what, figure, trusted, versions) in enumerate(STEPS):
            world.act(what, figure)
            check(world, trusted, versions)
        worlds.unmount()

    def keep(self, cells, at, pattern, size):
        world = self.world
        self.operations.append(
            (self.step, cells is world.disk, at, bytes(pattern), size, world.now_ms,
             world.command_id, world.meter.register_wh)
        )  # fmt: skip


def whole(copy):
    """Whether every file of a copy is what its list says."""
    lines = config.read(ROOT, "/%s/files" % copy).decode().split("\n")[1:-1]
    for line in lines:
        path, _, digest = line.split()
        content = config.read(ROOT, "/%s/%s" % (copy, path))
        if hexlify(hashlib.sha256(content).digest()).decode() != digest:
            return False
    return bool(lines)


def check(world, trusted, versions):
    """ValueError unless a whole program with one of the settings runs and charged all energy."""
    firmware = world.firmware
    if firmware.copy != "-" and not whole(firmware.copy):
        raise ValueError("runs half a program")
    now = slots.read(ROOT)[0]
    if now not in trusted:
        raise ValueError(f"trusts {now}, not {trusted}")
    if firmware.settings.version not in versions:
        raise ValueError(f"settings {firmware.settings.version}, not {versions}")
    state = firmware.points[0].state
    if state.charged_ncur != (state.register_wh - START_WH) * PRICE_UCUR_PER_KWH:
        raise ValueError("energy was charged twice or never")


class Count:
    def __init__(self):
        self.operations = 0
        self.tried = 0
        self.unbootable = 0
        self.wrong = 0
        self.first = ""

    def tell(self, where, error):
        if not self.first:
            self.first = f"{where}: {error!r}"


def cut(count, recorded, journal, disk, number, torn):
    """One power cut, the boot after it, and the step it fell in once more."""
    at_step, on_disk, at, pattern, size, now_ms, command_id, wh = recorded.operations[number]
    gc.collect()
    cells, other = recorded.world.cells.cells, recorded.world.disk.cells
    cells[:], other[:] = journal, disk  # new ones would find no place in one piece
    world = World(cells, other)
    world.now_ms, world.command_id, world.meter.register_wh = now_ms, command_id, wh
    power = flash.Power()
    power.torn, power.seed = torn, number
    power.tear(world.disk if on_disk else world.cells, at, pattern, size)
    what, figure, trusted, versions = STEPS[max(0, at_step)]
    where = f"operation {number} torn {torn} in step {at_step} {what}"
    count.tried += 1
    try:
        world.boot(POWER)
    except BROKEN as error:
        count.unbootable += 1
        count.tell(where + " boot", error)
        return
    before = STEPS[at_step - 1] if at_step > 0 else STEPS[0]
    try:
        # Between two steps either is right.
        check(world, trusted + before[2], versions + before[3])
        world.act(what, figure)
        check(world, trusted, versions)
    except BROKEN as error:
        count.wrong += 1
        count.tell(where, error)


def tried(share, shares, every, only=()):
    """-> Count of one share; `every` thins the operations out, `only` names the steps to try."""
    recorded = Recorded()
    count = Count()
    count.operations = len(recorded.operations)
    journal, disk = flash.Ram(recorded.journal), flash.Ram(recorded.disk)
    for number, (step, on_disk, at, pattern, size, _, _, _) in enumerate(recorded.operations):
        mine = number % every == 0 and number // every % shares == share
        if mine and step >= 0 and (not only or STEPS[step][0] in only):
            for torn in flash.TORN:
                cut(count, recorded, journal.cells, disk.cells, number, torn)
        flash.put(disk if on_disk else journal, at, pattern, size)
    worlds.unmount()
    return count


def main(share, shares, every):
    print(json.dumps(tried(share, shares, every).__dict__))
