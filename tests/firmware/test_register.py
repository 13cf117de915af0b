# runs on: cpython micropython
"""The register over wraps, resets, other meters and disturbed answers: never a silent charge."""

from boards.virtual import flash
from firmware.meters import readings
from protocol import codes
from protocol.units import Unavailable
from tests.firmware.watching import command, entries, power_on, seconds, start, told

CHARGE = 1


def charged_wh(firmware):
    return sum([energy for kind, energy, _ in entries(firmware) if kind == CHARGE])


def to_the_boundary(desk, firmware):
    left_s = 900 - desk.now_ms // 1000 % 900
    seconds(desk, firmware, left_s)


def test_a_wrap_is_charged_exactly_and_the_ledger_goes_on_rising():
    desk, firmware = start("wrap", register_modulus_wh=1000100)
    seconds(desk, firmware, 60, 5000)  # to 1 000 083
    assert desk.meter.register_wh == 1000083
    desk.meter.register_wh = 2  # 19 Wh later
    seconds(desk, firmware, 10)
    to_the_boundary(desk, firmware)
    point = firmware.points[0]
    assert point.verdict == readings.OK
    assert point.state.register_wh == 1000102 and charged_wh(firmware) == 102
    rebased = (codes.METER_REBASED, readings.ROLLOVER, 1000083, 2, 1000100)
    assert told(firmware, codes.METER_REBASED) == [rebased]
    firmware = power_on(desk)  # the offset is durable
    seconds(desk, firmware, 60, 600)
    assert firmware.points[0].seen_wh == 1000112
    assert told(firmware, codes.METER_REBASED) == [rebased]


def test_a_reset_that_only_looks_like_a_wrap_is_refused():
    for before_wh, after_wh, modulus_wh in (
        (1000000, 0, 10000000),  # far from the end of the display
        (1000000, 500, 1000100),  # more than the wires carry in a second
        (1000000, 0, 0),  # a display without a known end
        (1000000, 10, 900000),  # beyond its end already
    ):
        verdict = readings.check_total(before_wh, after_wh, 1000, 60000 * 276, 1, modulus_wh)
        assert verdict == readings.REVERSED, modulus_wh
    # after a week without a module, what an hour can carry is believed and no more
    args = (604800000, 60000 * 276, 1, 1000000)
    assert readings.check_total(990000, 5000, *args) == readings.ROLLOVER
    assert readings.check_total(990000, 8000, *args) == readings.REVERSED


def test_a_turned_back_register_charges_nothing_and_is_told_once():
    desk, firmware = start("reversed")
    seconds(desk, firmware, 60, 6000)
    desk.meter.register_wh = 5
    seconds(desk, firmware, 1800, 1000)
    point = firmware.points[0]
    assert charged_wh(firmware) == 100 and point.seen_wh == 1000100
    refused = (codes.REGISTER_REFUSED, readings.REVERSED, 1000100, 5)
    assert told(firmware, codes.REGISTER_REFUSED) == [refused]


def test_a_reset_register_that_catches_up_is_still_another_register():
    """Reset, then turned on quickly past the old total: no energy between may slip through."""
    desk, firmware = start("catches-up")
    desk.meter.register_wh = 999990
    seconds(desk, firmware, 10)
    seconds(desk, firmware, 60, 3000)  # past 1 000 000 again
    assert desk.meter.register_wh == 1000040
    assert firmware.points[0].verdict == readings.REVERSED
    assert firmware.points[0].seen_wh == 1000000


def test_a_jump_does_not_become_plausible_with_time():
    desk, firmware = start("jump")
    desk.meter.register_wh = 1910000  # 910 kWh in a second
    seconds(desk, firmware, 4 * 86400, 100, step_s=600)
    assert charged_wh(firmware) == 0
    assert firmware.points[0].verdict == readings.JUMP
    assert len(told(firmware, codes.REGISTER_REFUSED)) == 1
    desk.meter.register_wh = 1009600  # the true register comes back
    seconds(desk, firmware, 900)
    assert firmware.points[0].verdict == readings.OK and charged_wh(firmware) == 9600


def test_a_power_cut_does_not_make_a_jump_plausible():
    desk, firmware = start("jump-cut")
    desk.meter.register_wh = 1910000
    seconds(desk, firmware, 3)
    desk.now_ms += 60000
    firmware = power_on(desk)
    seconds(desk, firmware, 900)
    assert firmware.points[0].verdict == readings.JUMP and charged_wh(firmware) == 0


def test_an_outage_of_unknown_length_waits_for_the_clock():
    """60 A at three phases are 49 kWh an hour: a swap in a power cut must not pass as that."""
    desk, firmware = start("no-clock")
    desk.meter.register_wh += 60000
    desk.now_ms += 6 * 3600000
    firmware = power_on(desk, rtc=False)
    seconds(desk, firmware, 60)
    point = firmware.points[0]
    assert point.verdict == readings.JUMP and point.seen_wh == 1000000
    firmware.clock.set(desk.now_ms)
    seconds(desk, firmware, 900)
    assert point.verdict == readings.OK and charged_wh(firmware) == 60000
    desk, firmware = start("no-clock-swap")
    desk.meter.register_wh += 3000000
    desk.now_ms += 3600000
    firmware = power_on(desk, rtc=False)
    seconds(desk, firmware, 60)
    firmware.clock.set(desk.now_ms)
    seconds(desk, firmware, 4 * 86400, step_s=600)
    assert firmware.points[0].verdict == readings.JUMP and charged_wh(firmware) == 0


def test_a_long_outage_is_charged_as_far_as_the_clock_says():
    desk, firmware = start("outage")
    desk.meter.register_wh += 48000
    desk.now_ms += 4 * 3600000
    firmware = power_on(desk)
    to_the_boundary(desk, firmware)
    assert charged_wh(firmware) == 48000


def test_one_disturbed_answer_stops_nothing():
    desk, firmware = start("disturbed")
    for wrong_wh in (0, 999999, 5000000):
        right_wh = desk.meter.register_wh
        desk.meter.register_wh = wrong_wh
        seconds(desk, firmware, 1)
        desk.meter.register_wh = right_wh
        seconds(desk, firmware, 60, 600)
        assert firmware.points[0].verdict == readings.OK
    to_the_boundary(desk, firmware)
    assert charged_wh(firmware) == 30


def test_another_meter_goes_on_where_the_old_one_was_and_nothing_is_charged_twice():
    desk, firmware = start("swap")
    seconds(desk, firmware, 60, 6000)
    desk.meter.register_wh = 250
    seconds(desk, firmware, 60, 600)  # the new meter has counted 10 Wh: not charged yet
    assert firmware.points[0].seen_wh == 1000100
    assert command(firmware, codes.METER, [250]) == codes.DONE
    point = firmware.points[0]
    assert point.seen_wh == 1000110
    rebased = (codes.METER_REBASED, readings.REVERSED, 1000100, 250, 999850)
    assert told(firmware, codes.METER_REBASED) == [rebased]
    seconds(desk, firmware, 60, 600)
    to_the_boundary(desk, firmware)
    assert charged_wh(firmware) == 120 and point.state.register_wh == 1000120
    firmware = power_on(desk)
    seconds(desk, firmware, 900, 1000)
    assert charged_wh(firmware) == 370 and firmware.points[0].state.register_wh == 1000370


def test_a_meter_with_a_higher_register_is_no_charge_either():
    desk, firmware = start("swap-up")
    desk.meter.register_wh = 7000000
    seconds(desk, firmware, 60)
    assert command(firmware, codes.METER, [7000000]) == codes.DONE
    seconds(desk, firmware, 900, 400)
    to_the_boundary(desk, firmware)
    assert charged_wh(firmware) == 100
    rebased = told(firmware, codes.METER_REBASED)
    assert rebased == [(codes.METER_REBASED, readings.JUMP, 1000000, 7000000, -6000000)]


def test_a_register_that_no_meter_here_shows_is_refused():
    desk, firmware = start("swap-wrong")
    desk.meter.register_wh = 250000
    seconds(desk, firmware, 60)
    for args in ([250001], [-1], [], [1, 2], ["250000"], [0], [9000000]):
        # 0: a quarter of a megawatt-hour before, twice what a day can carry through 3 x 60 A
        if args == [0]:
            desk.meter.register_wh = 2500000
            seconds(desk, firmware, 5)
        assert command(firmware, codes.METER, args) == codes.REFUSED_FIELD, args
    assert told(firmware, codes.METER_REBASED) == []


def test_the_same_command_twice_rebases_once():
    desk, firmware = start("swap-twice")
    desk.meter.register_wh = 250
    seconds(desk, firmware, 10)
    assert command(firmware, codes.METER, [250], command_id=5000) == codes.DONE
    seconds(desk, firmware, 60, 600)
    firmware = power_on(desk)
    assert command(firmware, codes.METER, [250], command_id=5000) == codes.ALREADY
    assert len(told(firmware, codes.METER_REBASED)) == 1
    assert firmware.points[0].seen_wh == 1000010


def cut_at(name, at_op, torn, prepare, act, **others):
    """Let `act` run until its power fails at a flash operation. -> (desk, next power-on, cut)"""
    power = flash.Power()
    desk, firmware = start(name, power=power, **others)
    prepare(desk, firmware)
    power.arm(at_op, torn)
    try:
        act(desk, firmware)
    except (OSError, Unavailable):
        pass  # the flash of a module without power
    return desk, power_on(desk), power.dead


def test_a_power_cut_anywhere_in_an_exchange_charges_each_watt_hour_once():
    def prepare(desk, firmware):
        seconds(desk, firmware, 30, 6000)  # 50 Wh, not charged yet
        desk.meter.register_wh = 250
        seconds(desk, firmware, 5)

    def act(desk, firmware):
        command(firmware, codes.METER, [250], command_id=5000)

    cuts = 0
    for torn in ("none", "half", "all"):
        for at_op in range(12):
            desk, firmware, cut = cut_at("swap-cut", at_op, torn, prepare, act)
            cuts += cut
            seconds(desk, firmware, 5)
            status = command(firmware, codes.METER, [250], command_id=5000)
            assert status in (codes.DONE, codes.ALREADY)
            seconds(desk, firmware, 30, 600)
            firmware.metering.charge_now(firmware.points[0])
            register_wh = firmware.points[0].state.register_wh
            # What was seen before the cut and not charged is lost with the old meter, not doubled.
            assert register_wh in (1000055, 1000005), (torn, at_op)
            assert charged_wh(firmware) == register_wh - 1000000
            assert firmware.points[0].verdict == readings.OK
    assert cuts >= 9


def test_a_power_cut_anywhere_in_a_wrap_charges_each_watt_hour_once():
    def prepare(desk, firmware):
        seconds(desk, firmware, 30, 6000)
        desk.meter.register_wh = 1000095
        seconds(desk, firmware, 30)

    def act(desk, firmware):
        desk.meter.register_wh = 3
        seconds(desk, firmware, 2)

    cuts = 0
    for torn in ("none", "half", "all"):
        for at_op in range(6):
            modulus = {"register_modulus_wh": 1000100}
            desk, firmware, cut = cut_at("wrap-cut", at_op, torn, prepare, act, **modulus)
            cuts += cut
            seconds(desk, firmware, 5)
            firmware.metering.charge_now(firmware.points[0])
            assert charged_wh(firmware) == 103, (torn, at_op)
            assert firmware.points[0].state.register_wh == 1000103
    assert cuts >= 6


def test_a_pulse_meter_has_no_register_to_begin_anew():
    desk, firmware = start("swap-pulse")
    desk.meter.pulses = 5
    seconds(desk, firmware, 10)
    assert command(firmware, codes.METER, [1000000]) == codes.REFUSED_UNSUPPORTED
