# runs on: micropython
"""Commands that keep something in a file, on a LittleFS without a free block."""

import asyncio
import os

import vfs

from boards.virtual import flash
from firmware import config, debts, slots
from protocol import codes, messages, settings, tariff_book
from protocol.quantities import IDENTITY_FIRST
from protocol.units import MODULE_TARGET
from tests.firmware import desk as desks

ROOT = "/full"
SECTORS = 48


class Full:
    """A module in its second quarter of an hour, whose file system takes nothing more."""

    def __init__(self):
        size = SECTORS * flash.SECTOR
        device = flash.Flash(flash.Ram(bytearray(b"\xff" * size)), size, flash.Power())
        vfs.VfsLfs2.mkfs(device)
        vfs.mount(vfs.VfsLfs2(device), ROOT)
        self.desk = desks.Desk(ROOT)
        self.module = desks.provision(ROOT, [desks.point_settings()], desks.flat_book())
        os.mkdir(ROOT + "/meter_maps")
        with open(ROOT + "/meter_maps/sdm120.cbor", "wb") as file:
            file.write(b"\xa0")
        self.start()
        self.seen = self.fill()
        self.number = 0

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        vfs.umount(ROOT)

    def start(self, copy="-"):
        _, self.firmware = self.desk.power_on(copy=copy)
        self.poll()

    def poll(self):
        self.desk.now_ms += 900000
        self.desk.meter.register_wh += 100
        asyncio.run(self.firmware.metering.poll())

    def fill(self):
        """Until not even the smallest file finds room. -> names of what was there."""
        names = self.names()
        for size in (4096, 256, 1):
            try:
                for number in range(10 * SECTORS):
                    with open(ROOT + "/filling%d-%d" % (size, number), "wb") as file:
                        file.write(bytes(size))
            except OSError as error:
                assert error.args[0] in config.NO_ROOM
        return names

    def names(self):
        return sorted([name for name in os.listdir(ROOT) if not name.startswith("filling")])

    def empty(self):
        for name in os.listdir(ROOT):
            if name.startswith("filling"):
                os.remove(ROOT + "/" + name)

    def send(self, action, args, target=0):
        """-> status of the answer."""
        self.number += 1
        command = messages.Command(self.number, target, action, 0, 1 << 33, args)
        self.firmware.commands.take(command)
        return desks.results(self.firmware)[-1]

    def refused_until_there_is_room(self, action, args, target=0):
        for _ in range(3):
            assert self.send(action, args, target) == codes.REFUSED_FULL
            assert self.names() == self.seen
            self.poll()
        state = self.firmware.points[0].state
        assert state.register_wh == self.desk.meter.register_wh
        self.start()
        assert self.firmware.points[0].state.charged_ncur == state.charged_ncur + 100 * 500000
        self.empty()
        assert self.send(action, args, target) == codes.DONE


def test_a_tariff_waits_for_room():
    with Full() as full:
        book = desks.flat_book(version=2, price=700000)
        full.refused_until_there_is_room(codes.TARIFF, [tariff_book.to_wire(book)])
        assert full.firmware.points[0].book.version == 2


def test_a_debt_waits_for_room():
    with Full() as full:
        owed = [1, 5 * desks.CUR, desks.CUR, 86400]
        full.refused_until_there_is_room(codes.DEBT, owed)
        assert debts.terms(ROOT, 0)[0] == owed[2:]


def test_a_plan_waits_for_room():
    with Full() as full:
        full.refused_until_there_is_room(codes.PLAN, [1, 60, 0], MODULE_TARGET)


def test_settings_wait_for_room():
    with Full() as full:
        values = list(full.module)
        values[0] = 2
        fields = settings.module_to_wire(settings.Module(*values))
        full.refused_until_there_is_room(codes.CONFIG, [fields], MODULE_TARGET)
        assert full.firmware.health.restart


def test_a_copy_that_was_given_up_is_told_at_each_start_until_that_can_be_kept():
    with Full() as full:
        full.empty()
        slots.write(ROOT, "a", "b", 0)
        full.fill()
        for times in (1, 2):
            full.start("a")
            told = [item for item in desks.told(full.firmware) if item[2] == codes.UPDATED]
            assert len(told) == times and slots.read(ROOT) == ("a", "b", 0)
        full.empty()
        full.start("a")
        assert slots.read(ROOT) == ("a", "-", 0)


def test_settings_that_cannot_be_tried_leave_the_old_ones():
    with Full() as full:
        full.empty()
        values = list(full.module)
        values[0] = 2
        fields = settings.module_to_wire(settings.Module(*values))
        assert full.send(codes.CONFIG, [fields], MODULE_TARGET) == codes.DONE
        full.fill()
        full.start()
        assert full.firmware.points[0].state.version


def test_a_meter_is_read_whose_identity_finds_no_room():
    with Full() as full:
        full.desk.meter.identity = {IDENTITY_FIRST: 4711}
        full.start()
        full.poll()
        state = full.firmware.points[0].state
        assert state.register_wh == full.desk.meter.register_wh
        assert full.names() == full.seen
        full.empty()
        full.poll()
        assert len(full.names()) == len(full.seen) + 1
