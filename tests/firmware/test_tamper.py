# runs on: cpython micropython
"""Tamper on the desk: each kind that must be told, near misses that must not, latch and flood."""

from firmware import relay
from firmware.point import M_TAMPER
from protocol import codes, messages
from protocol.units import NO_RELAY
from tests.firmware.watching import command, power_on, seconds, single, start, three, told


def tampers(firmware):
    """(kind, begin) in order."""
    return [(item[1], item[2]) for item in told(firmware, codes.TAMPER)]


def test_an_open_cover_is_told_with_the_register_and_what_flowed():
    desk, firmware = start("cover")
    seconds(desk, firmware, 60, 6000)
    desk.meter.moments = single(ma=2000, mw=460000)  # what flows then, not at the last quarter
    desk.tampers = codes.COVER
    seconds(desk, firmware, 30)
    event = (codes.TAMPER, codes.COVER, 1, 1000100, 230000, 2000, 460000)
    assert told(firmware, codes.TAMPER) == [event]
    desk.tampers = 0
    seconds(desk, firmware, 131)
    assert tampers(firmware) == [(codes.COVER, 1), (codes.COVER, 0)]
    assert [record[2:] for record in firmware.log.records() if record[1] == 7] == [
        (0, codes.COVER, 1),
        (0, codes.COVER, 0),
    ]


def test_a_bouncing_input_is_one_episode():
    desk, firmware = start("bounce")
    for _ in range(100):
        desk.tampers = codes.MAGNET
        seconds(desk, firmware, 2)
        desk.tampers = 0
        seconds(desk, firmware, 2)
    assert tampers(firmware) == [(codes.MAGNET, 1)]


def test_a_touch_of_an_input_is_nothing():
    desk, firmware = start("touch")
    for _ in range(20):
        desk.tampers = codes.TERMINAL
        seconds(desk, firmware, 1)
        desk.tampers = 0
        seconds(desk, firmware, 5)
    assert tampers(firmware) == []


def test_begins_are_bounded_an_hour_and_the_rest_is_counted():
    desk, firmware = start("flood", tamper_trip=codes.COVER)
    desk.meter.moments = {}
    for _ in range(30):  # an input opened anew each time its episode has ended
        desk.tampers = codes.COVER
        seconds(desk, firmware, 3)
        desk.tampers = 0
        seconds(desk, firmware, 132)
    begins = [begin for _, begin in tampers(firmware)]
    assert sum(begins) <= 24 and begins.count(0) == sum(begins)  # a bit more than an hour
    dropped = told(firmware, codes.QUALITY)
    assert dropped[0][1] == codes.EVENTS_DROPPED and dropped[0][4] >= 10


def test_a_kind_that_trips_latches_over_power_cuts_until_it_is_cleared():
    desk, firmware = start("latch", tamper_trip=codes.COVER | codes.REGISTER)
    desk.tampers = codes.COVER
    seconds(desk, firmware, 3)
    point = firmware.points[0]
    assert point.slot.more[M_TAMPER] == codes.COVER
    seconds(desk, firmware, 10)
    assert point.slot.rule == relay.BY_TAMPER
    assert desk.contact.moves == ["close", "open"] and point.slot.relay == relay.OPEN
    desk.tampers = 0
    seconds(desk, firmware, 200)
    firmware = power_on(desk)
    seconds(desk, firmware, 60)
    assert firmware.points[0].slot.more[M_TAMPER] == codes.COVER
    assert desk.contact.moves == ["close", "open"]
    assert command(firmware, codes.CLEAR, [codes.CLEAR_TAMPER]) in (
        codes.DONE,
        codes.REFUSED_UNSUPPORTED,
    )


def test_a_kind_that_does_not_trip_holds_nothing_and_one_not_notified_is_only_logged():
    desk, firmware = start("quiet", tamper_notify=codes.MAGNET)
    desk.tampers = codes.COVER
    seconds(desk, firmware, 10)
    assert tampers(firmware) == []
    assert list(firmware.log.records())[-1][1:] == (7, 0, codes.COVER, 1)
    desk.tampers = 0
    seconds(desk, firmware, 140)
    assert tampers(firmware) == []


def test_a_power_that_flows_back_for_a_minute_is_told():
    desk, firmware = start("reverse", nominal_mv=230000)
    desk.meter.moments = single(mw=-500000)
    seconds(desk, firmware, 62)
    assert tampers(firmware) == [(codes.REVERSE, 1)]
    desk, firmware = start("reverse-phase", nominal_mv=230000)
    desk.meter.moments = three(watts=(500, -200, 500))  # one transformer the wrong way round
    seconds(desk, firmware, 62)
    assert tampers(firmware) == [(codes.REVERSE, 1)]


def test_a_short_or_small_backward_flow_is_nothing():
    desk, firmware = start("reverse-near", nominal_mv=230000)
    for mw, count in ((-500000, 58), (100000, 5), (-19000, 300)):
        desk.meter.moments = single(mw=mw)
        seconds(desk, firmware, count)
    assert tampers(firmware) == []


def test_without_quality_a_backward_flow_is_found_at_the_quarter_of_an_hour():
    """Ordinary plan: all registers every 15 minutes, and more often where something is odd."""
    desk, firmware = start("reverse-slow")
    desk.meter.moments = single(mw=-500000)
    seconds(desk, firmware, 900 + 70)
    assert tampers(firmware) == [(codes.REVERSE, 1)]


def opened(name, **others):
    desk, firmware = start(name, **others)
    assert command(firmware, codes.RELAY, [codes.TRIP]) == codes.DONE
    desk.meter.moments = single(ma=0, mw=0)
    seconds(desk, firmware, 15)
    assert desk.contact.moves == ["close", "open"]
    return desk, firmware


def test_current_through_an_open_relay_is_told_within_a_minute_and_a_bit():
    desk, firmware = opened("leak")
    desk.meter.moments = single(ma=150, mw=0)
    seconds(desk, firmware, 80)
    assert tampers(firmware) == [(codes.LEAK, 1)]


def test_energy_through_an_open_relay_is_told_without_a_current():
    desk, firmware = opened("leak-wh")
    seconds(desk, firmware, 120, 700)  # 11 Wh in some whole minute of the two
    assert tampers(firmware) == [(codes.LEAK, 1)]


def test_a_trickle_through_an_open_relay_is_nothing():
    desk, firmware = opened("trickle")
    desk.meter.moments = single(ma=90, mw=0)
    seconds(desk, firmware, 600, 500)  # 8 Wh a minute
    assert tampers(firmware) == []


def test_a_coarse_step_after_opening_is_nothing():
    desk, firmware = start("coarse")
    desk.meter.resolution_wh = 100
    assert command(firmware, codes.RELAY, [codes.TRIP]) == codes.DONE
    desk.meter.moments = single(ma=0, mw=0)
    seconds(desk, firmware, 15)
    desk.meter.register_wh += 100
    seconds(desk, firmware, 120)
    assert tampers(firmware) == []


def test_a_relay_that_does_not_move_is_tamper_after_five_seconds():
    desk, firmware = start("welded")
    desk.contact.open = lambda: None
    assert command(firmware, codes.RELAY, [codes.TRIP]) == codes.DONE
    seconds(desk, firmware, 4)
    assert (codes.CONTACT, 1) not in tampers(firmware)
    seconds(desk, firmware, 4)
    assert (codes.CONTACT, 1) in tampers(firmware)


def test_a_reset_register_is_tamper():
    desk, firmware = start("reset")
    desk.meter.register_wh = 0
    seconds(desk, firmware, 2)
    assert tampers(firmware) == [(codes.REGISTER, 1)]


def test_pulses_faster_than_the_wires_are_tamper_and_a_bounce_is_not():
    desk, firmware = start("pulses")
    desk.meter.pulses, desk.meter.moments = 100, {}
    for _ in range(30):
        desk.meter.excess_pulses += 1
        seconds(desk, firmware, 20)  # three a minute
    assert tampers(firmware) == []
    desk.meter.excess_pulses += 10
    seconds(desk, firmware, 2)
    assert tampers(firmware) == [(codes.PULSE_INPUT, 1)]


def test_a_phase_without_voltage_or_current_without_it_is_told():
    for name, moments in (
        ("phase-lost", three(volts=(230, 20, 230))),
        ("phase-link", three(volts=(230, 230, 0), amps=(1, 1, 5))),
        ("link", single(volts=3, ma=5000)),
    ):
        desk, firmware = start(name, nominal_mv=230000)
        desk.meter.moments = moments
        seconds(desk, firmware, 32)
        assert tampers(firmware) == [(codes.PHASE, 1)], name


def test_a_deep_sag_or_a_dead_supply_is_no_missing_phase():
    desk, firmware = start("phase-near", nominal_mv=230000)
    for moments, count in (
        (three(volts=(230, 60, 230)), 100),
        (three(volts=(0, 0, 0), amps=(0, 0, 0), mhz=0), 100),
        (three(volts=(230, 20, 230)), 25),
    ):
        desk.meter.moments = moments
        seconds(desk, firmware, count)
    assert tampers(firmware) == []


def test_a_host_that_knows_more_than_this_storage_is_told():
    desk, firmware = start("rolled-back")
    seq = firmware.points[0].state.seq
    firmware.uplink.trim(messages.Ack(firmware.module.epoch, {0: seq}))
    seconds(desk, firmware, 3)
    assert tampers(firmware) == []
    firmware.uplink.trim(messages.Ack(firmware.module.epoch, {0: seq + 1}))
    seconds(desk, firmware, 3)
    assert tampers(firmware) == [(codes.STORAGE, 1)]


SERIAL, RATIO = 192, 194


def test_another_identity_is_told_once_and_accepted_by_the_meter_command():
    desk, firmware = start("identity")
    desk.meter.identity = {SERIAL: 4711, RATIO: 40}
    firmware = power_on(desk)  # the first time it is asked: accepted
    seconds(desk, firmware, 10)
    assert told(firmware, codes.METER_IDENTITY) == []
    desk.meter.identity = {SERIAL: 4711, RATIO: 80}
    seconds(desk, firmware, 86400, 10, step_s=60)  # looked at daily
    seconds(desk, firmware, 86400, 10, step_s=60)
    changed = (codes.METER_IDENTITY, RATIO, 40, 80)
    assert told(firmware, codes.METER_IDENTITY) == [changed]
    assert tampers(firmware)[-1] == (codes.IDENTITY, 1)
    assert command(firmware, codes.METER, [desk.meter.register_wh]) == codes.DONE
    seconds(desk, firmware, 200, 10)
    assert tampers(firmware)[-1] == (codes.IDENTITY, 0)
    firmware = power_on(desk)
    seconds(desk, firmware, 10)
    assert told(firmware, codes.METER_IDENTITY) == [changed]


def test_a_meter_that_does_not_tell_what_it_is_is_asked_again_later():
    desk, firmware = start("identity-silent")
    desk.meter.identity = {SERIAL: 1}
    seconds(desk, firmware, 86400 // 60, step_s=60)
    firmware = power_on(desk)
    desk.meter.identity = {SERIAL: 2}
    desk.meter.answers = False
    firmware = power_on(desk)
    desk.meter.answers = True
    seconds(desk, firmware, 300)
    assert told(firmware, codes.METER_IDENTITY) == []
    seconds(desk, firmware, 310)
    assert told(firmware, codes.METER_IDENTITY) == [(codes.METER_IDENTITY, SERIAL, 1, 2)]


def test_a_register_that_stands_still_under_load_is_told_once_with_its_end():
    desk, firmware = start("frozen")
    desk.meter.moments = single(mw=2000000)
    seconds(desk, firmware, 900 + 1000)
    frozen = (codes.METER_FROZEN, 1000000, 2000000)
    assert told(firmware, codes.METER_FROZEN) == [frozen]
    seconds(desk, firmware, 60, 600)
    assert told(firmware, codes.METER_FROZEN) == [frozen]
    assert told(firmware, codes.METER_BACK) == [(codes.METER_BACK, 1000002)]


def test_a_register_that_stands_still_is_not_frozen_without_a_load_or_below_its_step():
    for name, mw, resolution_wh, count in (
        ("frozen-idle", 15000, 1, 7200),  # below any reasonable load
        ("frozen-coarse", 100000, 100, 7200),  # 200 Wh in two hours, a step of 100 Wh
        ("frozen-short", 2000000, 1, 500),
    ):
        desk, firmware = start(name)
        desk.meter.moments = single(mw=mw)
        desk.meter.resolution_wh = resolution_wh
        seconds(desk, firmware, count, step_s=10)
        assert told(firmware, codes.METER_FROZEN) == [], name


def test_a_load_that_flickers_at_the_wrong_moments_is_not_frozen():
    """A fridge that runs whenever it is looked at for the first time, and never for long."""
    desk, firmware = start("frozen-flicker")
    for _ in range(5):
        desk.meter.moments = single(mw=100000)
        seconds(desk, firmware, 10)
        desk.meter.moments = single(mw=0, ma=0)
        seconds(desk, firmware, 900 - 10)
    assert told(firmware, codes.METER_FROZEN) == []


def test_a_pulse_input_that_fell_silent_for_a_week_is_told():
    desk, firmware = start("stuck")
    desk.meter.pulses, desk.meter.moments = 100, {}
    seconds(desk, firmware, 6 * 86400, step_s=600)
    assert told(firmware, codes.METER_FROZEN) == []
    seconds(desk, firmware, 2 * 86400, step_s=600)
    assert len(told(firmware, codes.METER_FROZEN)) == 1
    assert (codes.PULSE_INPUT, 1) in tampers(firmware)


def test_a_point_without_a_relay_never_leaks():
    desk, firmware = start("no-relay", relay=NO_RELAY)
    seconds(desk, firmware, 1000, 3000)
    assert tampers(firmware) == []
    desk.meter.moments = single(mw=2000000)
    seconds(desk, firmware, 2000)  # but its register is watched as any other
    assert len(told(firmware, codes.METER_FROZEN)) == 1


def test_with_no_kind_to_tell_or_to_trip_nothing_of_it_is_loaded():
    _, firmware = start("no-tamper", tamper_notify=0)
    sight = firmware.metering.watch.sights[0]
    assert sight.tamper is None and sight.quality is None
