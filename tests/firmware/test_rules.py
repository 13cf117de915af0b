# runs on: cpython micropython
"""The prepaid rules as stories on the desk: delays, windows, emergency credit, load, debts."""

import asyncio

from firmware import point as points
from firmware import prepaid, relay
from protocol import codes, ledger, messages, tariff
from tests.firmware import desk as desks

CUR = desks.CUR
MIDNIGHT_S = desks.START_S  # local, a Friday
EVENING = ((127, 1200, 1440), (127, 0, 480))  # 20:00 to 08:00


class House:
    """One point, opened and topped up with 10, its relay closed by the key."""

    def __init__(self, name, credit=10 * CUR, book=None, start_s=MIDNIGHT_S, **settings):
        self.desk = desks.Desk(desks.folder("rules-" + name))
        self.desk.now_ms = start_s * 1000
        values = {"current_max_ma": 10000000}  # energy may come at once
        values.update(settings)
        item = desks.point_settings(**values)
        desks.provision(self.desk.root, [item], book or desks.flat_book())
        self.number = 0
        self.command_id = 0
        self.entries = []
        self.power_on()
        self.poll()
        self.top_up(credit)
        self.wait(60)
        self.press()
        assert self.closed()
        self.moved()

    def power_on(self, rtc=True):
        self.board, self.firmware = self.desk.power_on(rtc)
        self.point = self.firmware.points[0]
        commit = self.firmware.metering.commit

        def noted(point, slot):
            commit(point, slot)
            if slot.entry:
                self.entries.append(slot.entry)

        self.firmware.metering.commit = noted

    def poll(self):
        asyncio.run(self.firmware.metering.poll())

    def wait(self, seconds, step_s=10, mw=0):
        """Let time pass, at a constant power, with a poll every `step_s`."""
        start_wh, start_ms = self.desk.meter.register_wh, self.desk.now_ms
        for at_s in range(step_s, seconds + 1, step_s):
            self.desk.now_ms = start_ms + at_s * 1000
            self.desk.meter.register_wh = start_wh + mw * at_s // 3600000
            self.poll()

    def use(self, energy_wh):
        """Energy at once, seen by the next poll a minute later."""
        self.desk.meter.register_wh += energy_wh
        self.wait(60, 60)

    def press(self):
        self.board.presses = 1
        self.poll()

    def order(self, action, *args):
        self.command_id += 1
        command = messages.Command(self.command_id, 0, action, 0, 1 << 33, list(args))
        self.firmware.commands.take(command)
        return desks.results(self.firmware)[-1]

    def top_up(self, amount_ncur):
        self.number += 2
        return self.order(codes.TOPUP, self.number, 0, amount_ncur)

    def events(self, code):
        return [item[4] for item in desks.told(self.firmware) if item[2] == code]

    def closed(self):
        return self.desk.contact.closed

    def moved(self):
        moves = list(self.desk.contact.moves)
        self.desk.contact.moves = []
        return moves

    def balance(self):
        return self.point.state.balance_ncur

    def more(self, place):
        return self.point.slot.more[place]


def test_a_trip_delay_runs_with_an_alarm_and_survives_restarts():
    house = House("delay", trip_delay_s=600)
    house.use(20000)
    assert house.closed() and house.point.slot.relay == relay.PENDING
    rule, delay_s, balance_ncur = house.events(codes.RELAY_PENDING)[0]
    assert (rule, delay_s) == (relay.BY_CREDIT, 600) and balance_ncur <= 0
    house.wait(300)
    house.power_on()
    house.wait(200)
    assert house.closed()
    house.wait(160)  # the restart has cost up to a minute
    assert not house.closed() and house.point.slot.rule == relay.BY_CREDIT
    assert house.moved() == ["open"]


def test_switching_the_module_off_again_and_again_does_not_prolong_a_delay():
    house = House("power", trip_delay_s=600)
    house.use(20000)
    for _ in range(11):
        house.wait(70)
        house.power_on()
    house.wait(60)
    assert not house.closed()


def test_a_top_up_in_the_delay_ends_it_and_the_next_one_is_whole():
    house = House("rescued", trip_delay_s=600)
    house.use(20000)
    house.wait(500)
    house.top_up(10 * CUR)
    assert house.point.slot.relay == relay.CLOSED and house.more(points.M_LEFT_S) == -1
    house.use(20000)
    house.wait(500)
    assert house.closed() and house.moved() == []
    house.wait(110)
    assert house.moved() == ["open"]


def test_friendly_hours_keep_the_supply_and_the_delay_after_them_is_drawn_once():
    evening_s = MIDNIGHT_S + 21 * 3600
    house = House(
        "friendly", start_s=evening_s, friendly=((0, EVENING, ()),), friendly_delay_s=1800
    )
    house.board.entropy = lambda count: b"\x80\x00"
    house.use(30000)
    assert house.closed() and house.point.slot.holds == prepaid.HOLD_CREDIT
    assert house.balance() < 0 and house.point.slot.warned == prepaid.EXHAUSTED
    house.wait(11 * 3600 - 300, 60)
    assert house.closed() and house.moved() == []
    house.board.entropy = lambda count: b"\x80\x00"
    house.wait(600, 60)
    assert house.point.slot.relay == relay.PENDING
    left_s = house.events(codes.RELAY_PENDING)[0][1]
    assert 890 <= left_s <= 910
    house.power_on()
    house.wait(left_s + 120, 60)
    assert not house.closed() and len(house.events(codes.RELAY_PENDING)) == 1


def test_the_floor_ends_friendly_hours_early():
    house = House(
        "floor",
        start_s=MIDNIGHT_S + 21 * 3600,
        friendly=((0, EVENING, ()),),
        friendly_floor_ncur=-5 * CUR,
    )
    house.use(25000)  # costs 12.5
    assert house.closed() and house.balance() > -5 * CUR
    house.use(10000)
    assert not house.closed()


def test_a_window_closes_nothing_that_is_open():
    house = House("window", start_s=MIDNIGHT_S + 19 * 3600, friendly=((0, EVENING, ()),))
    house.use(30000)
    assert not house.closed()
    house.wait(2 * 3600, 60)
    assert house.moved() == ["open"] and house.point.slot.relay == relay.OPEN
    house.press()
    assert not house.closed()


def test_special_days_and_the_next_calendar_count_from_their_time():
    day = (MIDNIGHT_S + 28800) // 86400
    later = MIDNIGHT_S + 86400
    calendars = ((0, (), (day,)), (later, ((127, 0, 60),), ()))
    house = House("special", friendly=calendars)
    house.use(30000)
    house.wait(86400 - 600, 300)
    assert house.closed()
    house.wait(3600, 300)
    assert house.closed()
    house.wait(900, 300)
    assert not house.closed()


def test_a_lost_clock_protects_for_a_bounded_time_over_all_restarts():
    house = House("lost", clock_protect_s=3600)
    house.desk.meter.register_wh += 30000
    house.power_on(rtc=False)
    house.poll()
    assert house.closed()
    for _ in range(5):
        house.wait(700, 60)
        house.power_on(rtc=False)
    house.wait(600, 60)
    assert not house.closed()


def test_hold_supply_outranks_credit_and_a_trip_until_it_ends():
    house = House("hold")
    assert house.order(codes.RELAY, codes.HOLD, 7200) == codes.DONE
    house.use(30000)
    assert house.order(codes.RELAY, codes.TRIP, 1) == codes.DONE
    house.wait(3600, 60)
    assert house.closed() and house.moved() == []
    house.wait(3600, 60)
    assert not house.closed() and house.events(codes.HOLD_SUPPLY) == [[1, 7200], [0, 0]]
    assert house.point.slot.rule == relay.BY_REMOTE_TRIP


def test_hold_supply_arms_what_is_open_and_does_not_close_it():
    house = House("hold-open", auto_close=1)
    house.use(30000)
    house.moved()
    house.order(codes.RELAY, codes.HOLD)
    house.wait(120)
    assert house.point.slot.relay == relay.ARMED and house.moved() == []
    assert house.point.slot.rule == relay.BY_HOLD_SUPPLY
    house.press()
    assert house.closed()
    house.order(codes.RELAY, codes.HOLD_END)
    house.wait(20)
    assert not house.closed()


def emergency(name, **more):
    values = {"emergency_offer_ncur": CUR, "emergency_limit_ncur": 10 * CUR}
    values.update(more)
    return House(name, **values)


def test_emergency_credit_is_offered_chosen_used_up_and_offered_again_when_repaid():
    house = emergency("emergency")
    house.use(19000)  # 0.5 left
    assert house.more(points.M_EMERGENCY) == prepaid.EC_OFFERED
    house.use(2000)
    assert not house.closed()  # nobody chose it
    house.press()
    house.wait(60)
    assert house.more(points.M_EMERGENCY) == prepaid.EC_ACTIVE
    house.press()
    assert house.closed() and house.point.slot.warned == prepaid.OVERDRAFT
    house.top_up(CUR)  # partly repaid: it goes on
    house.use(20000)
    assert house.closed() and house.more(points.M_EMERGENCY) == prepaid.EC_ACTIVE
    house.use(2000)
    assert not house.closed() and house.more(points.M_EMERGENCY) == prepaid.EC_SPENT
    house.press()
    house.wait(60)
    assert not house.closed()
    house.top_up(11 * CUR)  # repaid, but not above the offer
    house.wait(60)
    assert house.more(points.M_EMERGENCY) == prepaid.EC_SPENT
    house.top_up(10 * CUR)
    house.wait(60)
    assert house.more(points.M_EMERGENCY) == prepaid.EC_NONE
    told = [values[0] for values in house.events(codes.EMERGENCY)]
    assert told == [1, 1, 2, 3, 4]  # first before any money came


def test_the_key_of_an_armed_relay_closes_and_borrows_nothing():
    house = emergency("armed")
    house.use(21000)
    house.top_up(CUR * 3 // 2)
    house.wait(60)
    assert house.point.slot.relay == relay.ARMED
    assert house.more(points.M_EMERGENCY) == prepaid.EC_OFFERED
    house.press()
    assert house.closed() and house.more(points.M_EMERGENCY) == prepaid.EC_OFFERED


def test_an_overdraft_opens_at_its_end_and_a_zero_trip_once_before():
    house = House("zero", limit_ncur=-4 * CUR, zero_trip=1, auto_close=1)
    house.use(21000)
    assert house.moved() == ["open"] and house.point.slot.relay == relay.ARMED
    assert house.point.slot.rule == relay.BY_ZERO
    house.wait(300)
    assert house.moved() == []  # automatic closing would make it pointless
    house.press()
    house.use(2000)
    assert house.closed() and house.point.slot.warned == prepaid.OVERDRAFT
    house.use(6000)
    assert house.point.slot.relay == relay.OPEN and house.point.slot.rule == relay.BY_CREDIT


def test_a_courtesy_trip_comes_once_an_episode():
    house = House("courtesy", courtesy_trip=1)
    house.use(17000)
    assert house.point.slot.rule == relay.BY_COURTESY and house.moved() == ["open"]
    house.wait(60)
    house.press()
    assert house.closed()
    house.use(1000)
    house.power_on()
    house.wait(60)
    assert house.closed()
    house.top_up(10 * CUR)
    house.wait(60)
    house.use(20000)
    assert house.point.slot.rule == relay.BY_COURTESY


def test_warnings_in_days_come_before_those_in_money():
    house = House("days", credit=100 * CUR, warning_1_days=3, warning_2_days=1)
    for _ in range(4):
        house.wait(86400, 900, mw=833333)  # 20 kWh, 10 a day
    assert 9 * CUR < house.more(points.M_MEAN_NCUR) < 11 * CUR
    house.wait(2 * 86400 + 7200, 900, mw=833333)
    assert house.point.slot.warned == prepaid.WARNING_1 and house.balance() > 30 * CUR
    house.wait(2 * 86400, 900, mw=833333)
    assert house.point.slot.warned == prepaid.WARNING_2 and house.balance() > 10 * CUR


def test_the_load_limit_opens_restores_and_leaves_it_to_the_key_in_the_end():
    house = House("load", credit=400 * CUR, load_limit_mw=3000000, load_retries=2)
    house.wait(3600, 10, mw=2900000)
    assert house.moved() == []
    for retry in range(3):
        for _ in range(14):
            if house.closed():
                house.wait(10, 10, mw=4000000)
        assert not house.closed() and house.point.slot.rule == relay.BY_LOAD, retry
        house.wait(60)
        assert house.closed() == (retry < 2)
    house.wait(600)
    assert not house.closed() and house.point.slot.relay == relay.ARMED
    assert [values[2] for values in house.events(codes.LOAD_LIMIT)] == [1, 2, 3]
    house.press()
    assert house.closed()


def test_a_load_limit_may_only_tell_and_tells_once_a_run():
    house = House("alert", credit=400 * CUR, load_limit_mw=3000000, load_action=1)
    house.wait(1800, 10, mw=4000000)
    assert house.closed() and len(house.events(codes.LOAD_LIMIT)) == 1
    house.wait(300, 10)
    house.wait(300, 10, mw=4000000)
    assert len(house.events(codes.LOAD_LIMIT)) == 2


def test_a_high_current_defers_an_opening_for_a_bounded_time():
    house = House("current", open_current_max_ma=30000, open_wait_s=120)
    house.desk.meter.current_ma = 40000
    house.use(21000)
    house.wait(100)
    assert house.closed()
    house.desk.meter.current_ma = 20000
    house.wait(10)
    assert not house.closed()
    house.top_up(10 * CUR)
    house.wait(60)
    house.press()
    house.desk.meter.current_ma = 40000
    house.use(21000)
    house.wait(130)
    assert not house.closed()


def test_six_operations_an_hour_freeze_the_relay_but_not_for_safety():
    house = House("hour")
    for _ in range(4):
        house.order(codes.RELAY, codes.TRIP)
        house.wait(60)
        house.order(codes.RELAY, codes.DIRECT_CLOSE)
        house.wait(60)
    assert house.moved() == ["open", "close"] * 2 + ["open"]
    house.wait(3600, 60)
    assert house.closed()
    for _ in range(3):
        house.order(codes.RELAY, codes.TRIP)
        house.wait(60)
        house.order(codes.RELAY, codes.DIRECT_CLOSE)
        house.wait(60)
    house.wait(300)
    house.moved()
    if house.closed():
        house.point.holds_now = prepaid.HOLD_SAFETY
        house.wait(10)
        assert house.moved() == ["open"]


def test_timed_trips_end_by_themselves_as_they_were_ordered():
    house = House("timed")
    house.order(codes.RELAY, codes.TRIP_THEN_ARM, 600)
    house.wait(300)
    house.power_on()
    house.wait(200)
    assert not house.closed()
    house.wait(200)
    assert house.point.slot.relay == relay.ARMED and house.point.slot.rule == relay.BY_TIMER
    house.press()
    house.wait(20)
    house.order(codes.RELAY, codes.TRIP_THEN_CLOSE, 600)
    house.wait(590)
    assert not house.closed()
    house.wait(60)
    assert house.closed() and house.point.slot.rule == relay.BY_REMOTE_CLOSE


def test_a_trip_waits_for_the_end_of_friendly_hours_unless_it_is_not_for_credit():
    house = House("trip", start_s=MIDNIGHT_S + 21 * 3600, friendly=((0, EVENING, ()),))
    house.order(codes.RELAY, codes.TRIP)
    house.wait(3600, 60)
    assert house.closed()
    house.order(codes.RELAY, codes.TRIP, 1)
    house.wait(20)
    assert not house.closed()
    house.order(codes.RELAY, codes.PERMIT_CLOSE)
    house.wait(60)
    house.press()
    assert house.closed()


def test_a_direct_close_survives_a_restart_before_it_could_happen():
    house = House("direct")
    house.order(codes.RELAY, codes.TRIP)
    house.wait(20)
    house.order(codes.RELAY, codes.DIRECT_CLOSE)
    house.power_on()
    house.wait(60)
    assert house.closed() and house.moved() == ["open", "close"]


def test_bad_orders_change_nothing():
    house = House("bad")
    before = house.point.slot
    for args in ([], [0], [10], [codes.TRIP, 1, 1], ["trip"], [codes.TRIP_THEN_ARM],
                 [codes.HOLD, -1], [codes.HOLD, 1 << 40], [True]):  # fmt: skip
        assert house.order(codes.RELAY, *args) == codes.REFUSED_FIELD, args
    assert house.point.slot is before


def test_debts_by_time_are_recovered_each_day_and_end():
    house = House("debt", credit=100 * CUR)
    assert house.order(codes.DEBT, 1, 5 * CUR, 2 * CUR, 86400) == codes.DONE
    house.wait(4 * 86400, 900)
    debts = [entry for entry in house.entries if entry.kind == ledger.DEBT]
    assert [(entry.number, entry.amount_ncur) for entry in debts] == [
        (1, -2 * CUR), (1, -2 * CUR), (1, -CUR)
    ]  # fmt: skip
    assert house.balance() == 95 * CUR and house.more(points.M_DEBTS) == []
    assert house.events(codes.DEBT_LEFT) == [[1, 5 * CUR], [1, 0]]


def test_a_share_of_each_payment_goes_to_a_debt_up_to_its_weekly_ceiling():
    house = House("share", credit=10 * CUR)
    assert house.order(codes.DEBT, 3, 20 * CUR, 25, 6 * CUR) == codes.DONE
    house.top_up(10 * CUR)
    house.wait(20)
    assert house.balance() == 10 * CUR + 10 * CUR - CUR * 5 // 2
    house.top_up(100 * CUR)
    house.wait(20)
    assert house.balance() == 120 * CUR - 6 * CUR  # the ceiling
    house.wait(7 * 86400, 900)
    house.top_up(4 * CUR)
    house.wait(20)
    assert house.balance() == 124 * CUR - 7 * CUR
    assert house.more(points.M_DEBTS)[2] == 13 * CUR


def test_an_overdraft_is_repaid_before_a_debt_takes_its_share():
    house = House("first", limit_ncur=-10 * CUR)
    house.order(codes.DEBT, 3, 20 * CUR, 50, 0)
    house.use(26000)  # 3 below zero
    house.wait(900, 60)
    house.top_up(5 * CUR)
    house.wait(20)
    assert house.balance() == -3 * CUR + 5 * CUR - CUR


def test_a_cut_between_a_top_up_and_its_debt_takes_the_share_once():
    house = House("cut", credit=10 * CUR)
    house.order(codes.DEBT, 3, 20 * CUR, 50, 0)
    house.top_up(10 * CUR)
    house.power_on()
    house.wait(20)
    house.power_on()
    house.wait(20)
    assert house.balance() == 15 * CUR
    assert [entry.kind for entry in house.entries].count(ledger.DEBT) == 1


def test_power_cuts_stretch_no_period_of_a_debt_by_time():
    house = House("debt-cuts", credit=100 * CUR)
    house.order(codes.DEBT, 1, 50 * CUR, CUR, 3600)
    house.order(codes.DEBT, 2, 50 * CUR, 2 * CUR, 86400)
    for _ in range(24 * 4):
        house.wait(900, 900)
        house.power_on()  # nothing else was written since the interval ended
    house.wait(900, 900)
    debts = [(entry.number, entry.amount_ncur) for entry in house.entries
             if entry.kind == ledger.DEBT]  # fmt: skip
    assert debts.count((1, -CUR)) == 24 and debts.count((2, -2 * CUR)) == 1
    assert house.balance() == 100 * CUR - 26 * CUR
    left = house.more(points.M_DEBTS)
    assert left[:2] == [26 * CUR, 48 * CUR]


def test_a_cut_between_an_interval_and_its_debt_recovers_it_once():
    house = House("debt-torn", credit=100 * CUR)
    house.order(codes.DEBT, 1, 50 * CUR, CUR, 3600)
    house.wait(3600 - 900, 900)
    house.firmware.metering.recover = lambda *_: None  # the supply fails before it
    house.wait(900, 900)
    assert house.balance() == 100 * CUR
    house.power_on()
    house.wait(900, 900)
    assert house.balance() == 99 * CUR
    house.wait(3600, 900)
    assert house.balance() == 98 * CUR


def test_debts_rest_while_supply_is_off_and_in_emergency():
    house = emergency("rest", credit=10 * CUR)
    house.order(codes.DEBT, 1, 50 * CUR, CUR, 3600)
    house.use(19000)
    house.press()
    assert house.more(points.M_EMERGENCY) == prepaid.EC_ACTIVE
    house.wait(900, 900)
    before = house.balance()
    house.wait(5 * 3600, 900)
    assert before == house.balance()
    house.order(codes.RELAY, codes.TRIP, 1)
    house.top_up(20 * CUR)
    house.wait(900, 60)
    assert not house.closed()
    before = house.balance()
    house.wait(5 * 3600, 900)
    assert house.balance() == before


def test_bad_debts_are_refused():
    house = House("bad-debt")
    for args in ([1, 1], [0, 1, 1, 3600], [4, 1, 1, 3600], [1, -1, 1, 3600], [1, 1, 1, 60],
                 [1, 1, 0, 3600], [3, 1, 101, 0], [3, 1, -1, 0], [1, 1, 1, "x"]):  # fmt: skip
        assert house.order(codes.DEBT, *args) == codes.REFUSED_FIELD, args
    assert house.more(points.M_DEBTS) == []


def test_a_clock_step_splits_the_interval_at_the_old_and_at_the_new_instant():
    house = House("step", credit=100 * CUR)
    house.wait(900 + 310)
    house.desk.meter.register_wh += 500
    house.wait(20)
    count = len(house.entries)
    old_s = house.desk.now_ms // 1000
    house.firmware.metering.set_clock((old_s + 7200) * 1000)
    split = [(entry.time_s, entry.energy_wh) for entry in house.entries[count:]]
    assert split == [(old_s, 500), (old_s + 7200, 0)]
    assert house.events(codes.CLOCK_SET) == [[old_s, old_s + 7200]]
    house.firmware.metering.set_clock((old_s + 7207) * 1000)
    assert len(house.entries) == count + 2 and len(house.events(codes.CLOCK_SET)) == 1


def test_a_clock_that_goes_back_charges_nothing_twice():
    house = House("back", credit=100 * CUR)
    house.wait(1800, mw=2000000)
    house.firmware.metering.set_clock(house.desk.now_ms - 3600000)
    before = house.point.state
    house.wait(1800, mw=2000000)
    assert house.point.state.time_s == before.time_s
    house.wait(3600, mw=2000000)
    state = house.point.state
    assert state.time_s > before.time_s
    assert state.register_wh - before.register_wh <= 3000
    assert state.charged_ncur == (state.register_wh - 1000000) * 500000


def test_a_dated_tariff_switch_freezes_the_register_where_it_happens():
    switch_s = MIDNIGHT_S + 7800  # ten minutes into a quarter
    old, new = desks.flat_book(), desks.flat_book(price=900000)
    rates = (old.rates[0], (switch_s, new.rates[0][1]))
    book = tariff.Book(1, "CNY", old.zone, rates, old.ladders)
    house = House("switch", credit=100 * CUR, book=book)
    house.wait(9000, mw=3600000)
    switched = house.events(codes.TARIFF_SWITCHED)
    assert len(switched) == 1 and switched[0][0] == switch_s
    at = [entry for entry in house.entries if entry.time_s == switch_s]
    assert [entry.register_wh for entry in at] == [switched[0][1]]
    later_wh = house.point.state.register_wh - switched[0][1]
    before_wh = switched[0][1] - 1000000
    assert house.point.state.charged_ncur == before_wh * 500000 + later_wh * 900000


def test_a_worn_contact_is_told_once():
    house = House("worn")
    slot = house.point.slot
    fields = list(slot)
    fields[5] = relay.OPERATIONS_WARN - 1
    house.firmware.metering.commit(house.point, points.Slot(*(fields[:11] + [0, None])))
    house.order(codes.RELAY, codes.TRIP)
    house.wait(20)
    house.order(codes.RELAY, codes.DIRECT_CLOSE)
    house.wait(60)
    assert house.events(codes.RELAY_WORN) == [[relay.OPERATIONS_WARN]]
