# runs on: cpython micropython
"""What the module believes of what arrives, and what it does about a stray contact or clock."""

import asyncio

from firmware import log, uplink
from firmware.mqtt_stream import NO_LINK, UNTRUSTED
from protocol import cbor, codes, cose, messages
from protocol.units import FORGED, HOLDOVER, INVALID, OVERSIZED, SYNCHRONISED, Unavailable
from tests.firmware import desk as desks

DOWN = cose.Mac(cose.derive(desks.ROOT_KEY, cose.DOWN))
UP = cose.Mac(cose.derive(desks.ROOT_KEY, cose.UP))


def powered(name, rtc=True):
    desk = desks.Desk(desks.folder(name))
    desks.provision(desk.root, [desks.point_settings(auto_close=1)], desks.flat_book())
    board, firmware = desk.power_on(rtc=rtc)
    asyncio.run(firmware.metering.poll())
    return desk, board, firmware


def receive(firmware, message, mac=DOWN):
    firmware.uplink.receive("d/3/desk-1", messages.seal(message, mac))


def rejected(firmware):
    """Reasons of the rejections that wait to be told."""
    acked = firmware.outbox.acked.get(8, 0)
    records = [cbor.decode(record) for _, record in firmware.outbox.take(8, acked, 1000)]
    events = [values[4] for values in records if values[3] == 0]
    return [event[4][0] for event in events if event[2] == codes.REJECTED]


def test_time_is_taken_once_from_the_answer_to_the_last_hello():
    desk, board, firmware = powered("time", rtc=False)
    assert firmware.clock.now()[1] == INVALID
    link = firmware.uplink
    link.asked_ms = board.ticks_ms()
    answer = messages.Time(firmware.module.boot_id, link.asked_ms, desks.START_S * 1000)
    desk.now_ms += 2000
    receive(firmware, messages.Time(firmware.module.boot_id, link.asked_ms + 1, 5000))
    receive(firmware, messages.Time(firmware.module.boot_id + 1, link.asked_ms, 5000))
    assert firmware.clock.now()[1] == INVALID
    receive(firmware, answer)
    assert firmware.clock.now() == (desks.START_S + 1, SYNCHRONISED)
    desk.now_ms += 3000
    receive(firmware, answer)
    assert firmware.clock.now()[0] == desks.START_S + 4


def test_a_late_answer_sets_no_clock():
    desk, board, firmware = powered("late", rtc=False)
    firmware.uplink.asked_ms = board.ticks_ms()
    answer = messages.Time(firmware.module.boot_id, board.ticks_ms(), desks.START_S * 1000)
    desk.now_ms += uplink.TIME_ROUND_TRIP_MS + 1
    receive(firmware, answer)
    assert firmware.clock.now()[1] == INVALID


def test_a_day_after_the_last_setting_the_clock_is_in_holdover():
    desk, _, firmware = powered("holdover")
    firmware.clock.set(desks.START_S * 1000)
    desk.now_ms += 86400001
    assert firmware.clock.now()[1] == HOLDOVER


def test_nothing_sealed_with_another_key_or_for_the_other_direction_does_anything():
    _, _, firmware = powered("forged")
    gift = messages.Command(1, 0, codes.TOPUP, 0, 1 << 33, [2, 0, 10 * desks.CUR])
    receive(firmware, gift, mac=UP)
    receive(firmware, gift, mac=cose.Mac(cose.derive(bytes(32), cose.DOWN)))
    firmware.uplink.receive("d/3/desk-1", b"\x84\x43")
    assert firmware.points[0].state.balance_ncur == 0
    assert FORGED in rejected(firmware) and len(rejected(firmware)) == 2


def test_a_message_that_finds_no_room_on_the_heap_is_refused():
    _, _, firmware = powered("no-room")
    gift = messages.Command(1, 0, codes.TOPUP, 0, 1 << 33, [2, 0, 10 * desks.CUR])
    honest = messages.unseal

    def full(*arguments):
        raise MemoryError

    messages.unseal = full
    try:
        receive(firmware, gift)
    finally:
        messages.unseal = honest
    assert rejected(firmware) == [OVERSIZED]
    receive(firmware, gift)
    assert firmware.points[0].state.balance_ncur == 10 * desks.CUR


def test_a_flood_of_forgeries_is_told_once_a_minute():
    desk, _, firmware = powered("flood")
    gift = messages.Command(1, 0, codes.TOPUP, 0, 1 << 33, [2, 0, 10 * desks.CUR])
    for _ in range(100):
        receive(firmware, gift, mac=UP)
    assert rejected(firmware) == [FORGED]
    desk.now_ms += uplink.REJECT_EVERY_MS + 1
    receive(firmware, gift, mac=UP)
    assert rejected(firmware) == [FORGED, FORGED]


def test_only_what_the_host_has_committed_is_forgotten():
    _, _, firmware = powered("trim")
    epoch = firmware.module.epoch
    receive(firmware, messages.Ack(epoch + 1, {0: 1}))
    assert firmware.outbox.acked[0] == 0
    receive(firmware, messages.Ack(epoch, {0: 99}))
    assert firmware.outbox.acked[0] == 0
    receive(firmware, messages.Ack(epoch, {0: 1}))
    assert firmware.outbox.acked[0] == 1 and firmware.outbox.batch(0, 1, 10) is None


def test_a_command_played_again_after_its_answer_was_committed_is_reported():
    desk, _, firmware = powered("again")
    order = messages.Command(1, 0, codes.TOPUP, 0, 1 << 33, [2, 0, 10 * desks.CUR])
    receive(firmware, order)
    receive(firmware, order)  # a copy that was under way together with it
    assert rejected(firmware) == []
    receive(firmware, messages.Ack(firmware.module.epoch, {8: firmware.events.seq}))
    desk.now_ms += 301000
    receive(firmware, order)
    assert len(rejected(firmware)) == 1
    assert firmware.points[0].state.topups_ncur == 10 * desks.CUR


def test_a_contact_that_strays_is_commanded_back_and_told_once():
    desk, _, firmware = powered("stray")
    desk.contact.closed = True  # somebody bridged it, the ledger is empty
    for _ in range(3):
        desk.now_ms += 10000
        asyncio.run(firmware.metering.poll())
        desk.contact.closed = True
    acked = firmware.outbox.acked.get(8, 0)
    records = [cbor.decode(record) for _, record in firmware.outbox.take(8, acked, 1000)]
    told = [values[4][2] for values in records if values[3] == 0]
    assert told.count(codes.RELAY_MISMATCH) == 1
    assert desk.contact.moves == ["open"] * len(desk.contact.moves) and desk.contact.moves


def test_why_there_is_no_connection_is_told_once_a_reason_until_there_is_one():
    _, _, firmware = powered("reasons")
    link = firmware.uplink

    def told():
        records = firmware.log.records()
        return [record[2:4] for record in records if record[1] == log.UNCONNECTED]

    for place in range(5):
        link.unconnected(NO_LINK, place % 2)
        link.unconnected(UNTRUSTED, 1)
    assert told() == [(NO_LINK, 0), (UNTRUSTED, 1)]
    link.client.connects += 1
    link.statements = []
    try:
        asyncio.run(link.send_all())
    except Unavailable:
        pass  # there is no broker: only the beginning of a connection counts here
    link.unconnected(NO_LINK, 0)
    assert told() == [(NO_LINK, 0), (UNTRUSTED, 1), (NO_LINK, 0)]


def test_the_brokers_are_those_of_the_settings_in_their_order():
    desk = desks.Desk(desks.folder("brokers"))
    book, points = desks.flat_book(), [desks.point_settings()]
    desks.provision(desk.root, points, book, broker_fallbacks="b2:8883, 10.0.0.9:1884")
    _, firmware = desk.power_on()
    options = firmware.uplink.client._options
    assert options.brokers == (("localhost", 1883), ("b2", 8883), ("10.0.0.9", 1884))
    desks.provision(desk.root, points, book)
    _, firmware = desk.power_on()
    assert firmware.uplink.client._options.brokers == (("localhost", 1883),)
