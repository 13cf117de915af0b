# runs on: cpython micropython
"""The event stream: numbered without gaps, durable first, batched as the wire wants it."""

from firmware import events as events_module
from firmware import journal as journals
from protocol import codes, messages
from protocol.units import MODULE_TARGET, NCUR_MAX
from tests.firmware import desk as desks

PAYLOAD_MAX = journals.STATE_SLOT_BYTES - journals.HEADER_BYTES - journals.CRC_BYTES


def started(name):
    desk = desks.Desk(desks.folder("events-" + name))
    desks.provision(desk.root, [desks.point_settings()], desks.flat_book())
    _, firmware = desk.power_on()
    return desk, firmware


def records(firmware, after=0):
    return list(firmware.outbox.take(messages.EVENT_STREAM, after, 64))


def test_events_are_numbered_without_gaps_over_restarts():
    desk, firmware = started("numbers")
    for _ in range(3):
        for _ in range(5):
            firmware.events.add(codes.CLOCK_SET, MODULE_TARGET, 1, 2)
        _, firmware = desk.power_on()
    assert [seq for seq, _ in records(firmware)] == list(range(1, 16))
    assert firmware.events.seq == 15


def test_an_event_that_cannot_be_kept_takes_no_number():
    desk, firmware = started("kept")
    firmware.events.add(codes.CLOCK_SET, MODULE_TARGET, 1, 2)
    firmware.board.power.dead = True
    try:
        firmware.events.add(codes.CLOCK_SET, MODULE_TARGET, 3, 4)
    except OSError:
        assert firmware.events.seq == 1
        _, again = desk.power_on()
        assert again.events.seq == 1 and len(records(again)) == 1
        return
    raise AssertionError("kept on dead flash")


def test_events_travel_together_and_results_alone():
    _, firmware = started("batch")
    firmware.events.add(codes.WARNING, 0, 1, -5)
    firmware.events.add(codes.METER_SILENT, 0, 3)
    firmware.events.result(77, codes.DONE, 9)
    firmware.events.add(codes.METER_BACK, 0, 1000)
    found, seqs = records(firmware), []
    kinds = []
    while found:
        message, count = events_module.batch(found)
        assert messages.unpack(messages.pack(message)) == message
        kinds.append((messages.kind_of(message), count))
        seqs.append(message[1])
        found = found[count:]
    assert kinds == [(messages.EVENTS, 2), (messages.RESULT, 1), (messages.EVENTS, 1)]
    assert seqs == [1, 3, 4]


def test_an_event_says_when_what_where_and_its_numbers():
    desk, firmware = started("fields")
    firmware.events.add(codes.RELAY_OPENED, 3, 1, -NCUR_MAX, 0, 3)
    message, _ = events_module.batch(records(firmware))
    now_s, quality = desk.now_ms // 1000, firmware.clock.now()[1]
    assert message.items == [[now_s, quality, codes.RELAY_OPENED, 3, [1, -NCUR_MAX, 0, 3]]]
    assert message.epoch == firmware.module.epoch


def test_the_greatest_event_fits_the_journal():
    _, firmware = started("greatest")
    firmware.events.epoch = firmware.events.seq = 0xFFFFFFF0
    firmware.outbox.acked[messages.EVENT_STREAM] = 0xFFFFFFF0
    firmware.clock.base_ms = (1 << 40) * 1000
    firmware.events.add(0xFFFF, MODULE_TARGET, *[-NCUR_MAX] * 16)
    assert len(firmware.journal.state(events_module.TARGET)) <= PAYLOAD_MAX


def test_what_the_host_has_is_known_after_a_restart():
    desk, firmware = started("acked")
    for _ in range(4):
        firmware.events.add(codes.CLOCK_SET, MODULE_TARGET, 1, 2)
    firmware.outbox.trim(messages.EVENT_STREAM, 3)
    firmware.events.add(codes.CLOCK_SET, MODULE_TARGET, 1, 2)
    _, again = desk.power_on()
    assert again.events.acked() == 3
    assert [seq for seq, _ in records(again, 3)] == [4, 5]


def test_a_record_wakes_the_uplink():
    _, firmware = started("wake")
    told = []
    firmware.events.on_record = lambda plain: told.append(firmware.events.seq)
    firmware.events.add(codes.CLOCK_SET, MODULE_TARGET, 1, 2)
    firmware.events.result(1, codes.DONE)
    assert told == [1, 2]
