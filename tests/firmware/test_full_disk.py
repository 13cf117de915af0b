# runs on: cpython micropython
"""A file system that takes nothing more stops no metering and costs no entry."""

import asyncio

from firmware import shelf
from protocol import messages
from tests.firmware import desk as desks

QUARTER_MS = 900000
NO_SPACE = 28


def full(path, mode="r"):
    if mode == "ab":
        raise OSError(NO_SPACE)
    return open(path, mode)


class Alone:
    """A module without a network, whose files fail while `worked` says so."""

    def __init__(self):
        self.desk = desks.Desk(desks.folder("full-disk"))
        desks.provision(self.desk.root, [desks.point_settings()], desks.flat_book())
        _, self.firmware = self.desk.power_on()
        asyncio.run(self.firmware.metering.poll())

    def worked(self, quarters, broken=False):
        shelf.open = full if broken else open
        try:
            for _ in range(quarters):
                self.desk.now_ms += QUARTER_MS
                self.desk.meter.register_wh += 100
                asyncio.run(self.firmware.metering.poll())
        finally:
            del shelf.open

    def waiting(self):
        """The entries that can still travel."""
        out = []
        outbox = self.firmware.outbox
        found = outbox.batch(0, 0, 8)
        while found:
            message = messages.unpack(found[0])
            out += range(message.first_seq, message.first_seq + len(message.items))
            found = outbox.batch(0, found[1], 8)
        outbox.cursor = {}
        return out


def test_metering_goes_on_while_no_file_can_be_written():
    alone = Alone()
    alone.worked(300, broken=True)
    state = alone.firmware.points[0].state
    assert state.register_wh == alone.desk.meter.register_wh
    assert state.charged_ncur == 300 * 100 * 500000 and state.seq >= 300


def test_what_the_journal_still_holds_is_filed_when_there_is_room_again():
    alone = Alone()
    alone.worked(60, broken=True)
    newest = alone.firmware.points[0].state.seq
    assert alone.firmware.outbox.dropped == 0
    alone.worked(3)
    assert alone.waiting() == list(range(1, newest + 4))
    _, alone.firmware = alone.desk.power_on()
    assert alone.waiting() == list(range(1, newest + 4))
