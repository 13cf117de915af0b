# runs on: cpython micropython
"""The life of a prepaid point on the desk: money, relay and restarts, without any network."""

import asyncio

from firmware import lamp, relay
from firmware import point as points
from protocol import cbor, codes, ledger, messages, tariff_book, words
from protocol.units import Malformed
from tests.firmware import desk as desks

CUR = desks.CUR


def run(coroutine):
    return asyncio.run(coroutine)


def commissioned(name, book=None, auto_close=0):
    """A desk whose only point has opened its ledger, and the power-on that did it."""
    desk = desks.Desk(desks.folder(name))
    book = book or desks.flat_book()
    desks.provision(desk.root, [desks.point_settings(auto_close=auto_close)], book)
    board, firmware = desk.power_on()
    run(firmware.metering.poll())
    return desk, board, firmware


def use(desk, firmware, energy_wh, seconds):
    """Let energy be used evenly over some time, polling every ten seconds."""
    start_wh = desk.meter.register_wh
    for step in range(10, seconds + 1, 10):
        desk.now_ms += 10000
        desk.meter.register_wh = start_wh + energy_wh * step // seconds
        run(firmware.metering.poll())


def top_up(firmware, number, amount_ncur, command_id=None, expires_s=1 << 33):
    command = messages.Command(
        command_id or number, 0, codes.TOPUP, 0, expires_s, [number, 0, amount_ncur]
    )
    firmware.commands.take(command)


def waiting(firmware, stream):
    """Every record of a stream that the host has not acknowledged, from files and memory."""
    acked = firmware.outbox.acked.get(stream, 0)
    return [record for _, record in firmware.outbox.take(stream, acked, 1000)]


def last_result(firmware):
    values = cbor.decode(waiting(firmware, 8)[-1])
    return values[4][3]


def event_codes(firmware):
    return [item[2] for item in desks.told(firmware)]


def test_commissioning_charges_nothing_before_it():
    desk, _, firmware = commissioned("commission")
    state = firmware.points[0].state
    assert state.seq == 1 and state.register_wh == 1000000
    assert state.balance_ncur == 0 and state.charged_ncur == 0
    assert desk.contact.moves == []


def test_top_up_arms_and_only_the_key_closes():
    desk, board, firmware = commissioned("arms")
    top_up(firmware, 2, 10 * CUR)
    assert last_result(firmware) == codes.DONE
    assert firmware.points[0].slot.relay == relay.ARMED and desk.contact.moves == []
    desk.now_ms += 60000
    run(firmware.metering.poll())
    assert firmware.points[0].slot.relay == relay.ARMED
    board.presses = 1
    run(firmware.metering.poll())
    assert desk.contact.moves == ["close"]


def test_credit_runs_out_through_both_warnings_and_opens_at_the_limit():
    desk, board, firmware = commissioned("exhaust", auto_close=1)
    top_up(firmware, 2, 10 * CUR)
    desk.now_ms += 60000
    run(firmware.metering.poll())
    assert desk.contact.moves == ["close"]
    use(desk, firmware, 21000, 7200)  # 20 kWh are paid
    falling = [lamp.NO_NETWORK, lamp.WARNING_1, lamp.WARNING_2, lamp.EXHAUSTED]
    assert board.signals == [lamp.EXHAUSTED] + falling  # and before any money came
    assert desk.contact.moves == ["close", "open"]
    told = event_codes(firmware)
    assert codes.RELAY_OPENED in told and told.count(codes.WARNING) == 4
    state = firmware.points[0].state
    assert state.balance_ncur == 10 * CUR - (state.register_wh - 1000000) * 500000


def test_intervals_end_on_the_clock_and_energies_add_up_to_the_register():
    desk, _, firmware = commissioned("intervals")
    firmware.metering.enter(firmware.points[0], first_top_up(firmware))
    use(desk, firmware, 3217, 3 * 3600)
    entries = [points.unpack(record).entry for record in waiting(firmware, 0)]
    charges = [entry for entry in entries if entry.kind == 1]
    assert [entry.time_s % 900 for entry in charges] == [0] * 12
    assert sum([entry.energy_wh for entry in charges]) == 3217


def first_top_up(firmware):
    state = firmware.points[0].state
    return ledger.topped_up(state, desks.START_S, 0, 2, 1, 100 * CUR)


def test_a_day_begins_with_its_fixed_charge_and_frozen_register():
    desk, _, firmware = commissioned("fixed", desks.flat_book(fixed=CUR))
    firmware.metering.enter(firmware.points[0], first_top_up(firmware))
    desk.now_ms += 86400000 - 3600000
    run(firmware.metering.poll())
    use(desk, firmware, 100, 7200)
    fixed = [points.unpack(record).entry for record in waiting(firmware, 0)]
    fixed = [entry for entry in fixed if entry.kind == 2]
    assert len(fixed) == 1 and fixed[0].amount_ncur == -CUR
    assert fixed[0].time_s == desks.START_S + 86400


def test_restart_restores_every_figure_and_every_record_not_acknowledged():
    desk, _, firmware = commissioned("restart")
    top_up(firmware, 2, 10 * CUR)
    use(desk, firmware, 4000, 3600)
    before = firmware.points[0].slot
    firmware.outbox.trim(0, 2)
    use(desk, firmware, 10, 900)
    before = firmware.points[0].slot
    left = [waiting(firmware, stream) for stream in (0, 8)]
    _, again = desk.power_on()
    assert again.points[0].slot == before
    assert [waiting(again, stream) for stream in (0, 8)] == left
    assert again.module.boot_id == firmware.module.boot_id + 1
    assert again.events.seq == firmware.events.seq


def test_one_number_is_credited_once_over_restarts_and_any_command_id():
    desk, _, firmware = commissioned("once")
    top_up(firmware, 2, 10 * CUR, command_id=7)
    top_up(firmware, 2, 10 * CUR, command_id=8)
    assert last_result(firmware) == codes.ALREADY
    _, again = desk.power_on()
    top_up(again, 2, 10 * CUR, command_id=7)
    assert last_result(again) == codes.ALREADY
    top_up(again, 2, 10 * CUR, command_id=9)
    assert last_result(again) == codes.ALREADY
    assert again.points[0].state.balance_ncur == 10 * CUR


def test_a_top_up_beyond_the_cap_is_refused_and_not_consumed():
    _, _, firmware = commissioned("cap")
    top_up(firmware, 2, 501 * CUR, command_id=1)
    assert last_result(firmware) == codes.REFUSED_CAP
    top_up(firmware, 2, 500 * CUR, command_id=2)
    assert last_result(firmware) == codes.DONE


def test_an_expired_command_is_refused_under_a_good_clock():
    _, _, firmware = commissioned("expired")
    top_up(firmware, 2, CUR, expires_s=desks.START_S - 1)
    assert last_result(firmware) == codes.REFUSED_EXPIRED
    assert codes.REJECTED in event_codes(firmware)
    assert firmware.points[0].state.balance_ncur == 0


def test_without_a_clock_money_moves_but_relay_orders_do_not():
    desk, _, firmware = commissioned("noclock")
    _, firmware = desk.power_on(rtc=False)
    top_up(firmware, 2, CUR, expires_s=1)
    assert last_result(firmware) == codes.DONE
    order = messages.Command(9, 0, codes.RELAY, 0, 1 << 33, [codes.TRIP])
    firmware.commands.take(order)
    assert last_result(firmware) == codes.REFUSED_CLOCK


def test_a_remote_trip_outlasts_credit_and_a_permit_arms():
    desk, _, firmware = commissioned("trip", auto_close=1)
    top_up(firmware, 2, 100 * CUR, command_id=1)
    desk.now_ms += 60000
    run(firmware.metering.poll())
    desk.now_ms += 60000
    trip = messages.Command(2, 0, codes.RELAY, 0, 1 << 33, [codes.TRIP])
    firmware.commands.take(trip)
    assert desk.contact.moves == ["close", "open"]
    top_up(firmware, 4, 100 * CUR, command_id=3)
    desk.now_ms += 60000
    run(firmware.metering.poll())
    assert firmware.points[0].slot.relay == relay.OPEN
    permit = messages.Command(4, 0, codes.RELAY, 0, 1 << 33, [codes.PERMIT_CLOSE])
    firmware.commands.take(permit)
    run(firmware.metering.poll())
    assert desk.contact.moves == ["close", "open", "close"]


def test_a_new_tariff_prices_only_what_comes_after_it():
    desk, _, firmware = commissioned("tariff")
    top_up(firmware, 2, 100 * CUR, command_id=1)
    desk.now_ms += 300000
    desk.meter.register_wh += 1000
    run(firmware.metering.poll())
    book = tariff_book.to_wire(desks.flat_book(version=2, price=900000))
    firmware.commands.take(messages.Command(2, 0, codes.TARIFF, 0, 1 << 33, [book]))
    assert last_result(firmware) == codes.DONE
    desk.now_ms += 300000
    desk.meter.register_wh += 1000
    run(firmware.metering.poll())
    firmware.metering.charge_now(firmware.points[0])
    assert firmware.points[0].state.charged_ncur == 1000 * 500000 + 1000 * 900000
    _, again = desk.power_on()
    assert again.points[0].book.version == 2


def test_a_silent_meter_charges_nothing_and_is_told_once():
    desk, _, firmware = commissioned("silent")
    top_up(firmware, 2, 100 * CUR)
    desk.meter.answers = False
    use(desk, firmware, 500, 1800)
    assert firmware.points[0].state.charged_ncur == 0
    assert event_codes(firmware).count(codes.METER_SILENT) == 1
    desk.meter.answers = True
    use(desk, firmware, 0, 900)
    assert firmware.points[0].state.charged_ncur == 500 * 500000
    assert event_codes(firmware).count(codes.METER_BACK) == 1


def test_a_broken_configuration_names_file_key_and_remedy():
    desk = desks.Desk(desks.folder("broken"))
    desks.provision(desk.root, [desks.point_settings()], desks.flat_book())
    with open(desk.root + "/config.cbor", "wb") as file:
        file.write(b"\xa1\x01\x00")
    try:
        desk.power_on()
    except Malformed as error:
        assert error.detail.startswith("/config.cbor: version: must be a whole number")
        return
    raise AssertionError("started")


def test_every_pair_of_the_relay_table_is_decided():
    ignored = []
    for state in words.RELAY_STATES:
        for event in words.RELAY_EVENTS:
            after, action = relay.TABLE[state * relay.EVENTS + event]
            assert after in words.RELAY_STATES
            if action == relay.NOTHING:
                assert after == state
                ignored.append((words.RELAY_STATES[state], words.RELAY_EVENTS[event]))
            if event == relay.HELD:
                assert after == relay.OPEN
            if action == relay.DO_CLOSE:
                assert event in (relay.KEY, relay.CLOSE)
    assert sorted(ignored) == [
        ("armed", "free"),
        ("armed", "gentle"),
        ("closed", "close"),
        ("closed", "free"),
        ("closed", "key"),
        ("open", "delayed"),
        ("open", "gentle"),
        ("open", "held"),
        ("open", "key"),
        ("pending", "delayed"),
        ("pending", "key"),
    ]


def test_a_ledger_opens_only_at_a_known_time():
    desk = desks.Desk(desks.folder("opening"))
    desks.provision(desk.root, [desks.point_settings()], desks.flat_book())
    _, firmware = desk.power_on(rtc=False)
    run(firmware.metering.poll())
    assert firmware.points[0].state.seq == 0
    firmware.clock.set(desks.START_S * 1000)
    run(firmware.metering.poll())
    assert firmware.points[0].state.time_s == desks.START_S


def test_a_pulse_total_is_durable_before_the_entry_that_counts_it():
    desk, _, firmware = commissioned("pulses")
    top_up(firmware, 2, 100 * CUR)
    desk.meter.pulses = 5000
    desk.now_ms += 900000
    firmware.metering.checked_ms = desk.now_ms  # no periodic checkpoint comes to the rescue
    run(firmware.metering.poll())
    assert firmware.points[0].state.seq == 3
    _, again = desk.power_on()
    assert again.journal.pulses(0) == 5000


def test_records_lost_at_the_bound_of_the_outbox_are_told():
    desk, _, firmware = commissioned("bound")
    top_up(firmware, 2, 100 * CUR)
    firmware.outbox.shelves[0].files_max = 1
    firmware.outbox.shelves[0].used = firmware.outbox.shelves[1].used = 4096
    use(desk, firmware, 500, 20 * 3600)
    firmware.outbox.shelves[0].used = 4096
    use(desk, firmware, 0, 20 * 3600)
    assert firmware.outbox.dropped > 0
    assert codes.OUTBOX_FULL in event_codes(firmware)
    assert firmware.points[0].state.charged_ncur == 500 * 500000


def relay_order(firmware, command_id, order):
    command = messages.Command(command_id, 0, codes.RELAY, 0, 1 << 33, [order])
    firmware.commands.take(command)
    return last_result(firmware)


def test_a_direct_close_waits_for_the_minimum_open_time_and_then_closes():
    desk, _, firmware = commissioned("direct")
    top_up(firmware, 2, 100 * CUR, command_id=1)
    assert relay_order(firmware, 2, codes.DIRECT_CLOSE) == codes.DONE
    assert desk.contact.moves == []  # the random wait after power returned is not over
    desk.now_ms += 60000
    run(firmware.metering.poll())
    assert desk.contact.moves == ["close"]
    desk.now_ms += 60000
    assert relay_order(firmware, 3, codes.TRIP) == codes.DONE
    assert relay_order(firmware, 4, codes.DIRECT_CLOSE) == codes.DONE
    assert desk.contact.moves == ["close", "open"]
    desk.now_ms += relay.OPEN_MIN_MS
    run(firmware.metering.poll())
    assert desk.contact.moves == ["close", "open", "close"]


def test_a_direct_close_without_credit_is_refused():
    desk, _, firmware = commissioned("nocredit")
    assert relay_order(firmware, 1, codes.DIRECT_CLOSE) == codes.REFUSED_HELD
    desk.now_ms += 60000
    run(firmware.metering.poll())
    assert desk.contact.moves == []


def test_a_permit_arms_under_its_own_rule():
    desk, _, firmware = commissioned("permit")
    top_up(firmware, 2, 100 * CUR, command_id=1)
    assert relay_order(firmware, 2, codes.TRIP) == codes.DONE
    assert firmware.points[0].slot.relay == relay.OPEN
    assert codes.RELAY_DISARMED in event_codes(firmware)
    assert relay_order(firmware, 3, codes.PERMIT_CLOSE) == codes.DONE
    slot = firmware.points[0].slot
    assert (slot.relay, slot.rule) == (relay.ARMED, relay.BY_REMOTE_PERMIT)
    assert desk.contact.moves == []


def test_the_lamp_follows_the_credit_back_to_normal():
    _, board, firmware = commissioned("lamp")
    top_up(firmware, 2, 100 * CUR)
    run(firmware.metering.poll())
    assert board.signals == [lamp.EXHAUSTED, lamp.NO_NETWORK]  # a desk has no network


def test_a_relay_that_the_board_does_not_have_stops_the_start_with_one_line():
    desk = desks.Desk(desks.folder("norelay"))
    point = desks.point_settings(relay=5)
    desks.provision(desk.root, [point], desks.flat_book())
    try:
        desk.power_on()
    except Malformed as error:
        assert error.detail == "/config.cbor: points.relay: the board has only 1 relays"
        return
    raise AssertionError("started")
