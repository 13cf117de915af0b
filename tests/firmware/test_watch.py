# runs on: cpython micropython
"""Which registers are read when, by plan and settings, and what the hard limits do to a relay."""

from firmware import prepaid, relay
from firmware.meters.readings import ALL, ENERGY, IDENTITY, LIVE
from protocol import codes
from protocol.units import MODULE_TARGET
from tests.firmware import desk as desks
from tests.firmware.watching import command, power_on, seconds, single, start, three, told


def asked(desk, firmware, count, **others):
    """How often each group was read within `count` seconds: (energy, live, all)."""
    del desk.meter.asked[:]
    seconds(desk, firmware, count, **others)
    groups = desk.meter.asked
    assert len(groups) == count // others.get("step_s", 1)  # one request a poll
    return groups.count(ENERGY), groups.count(LIVE), groups.count(ALL)


def test_an_ordinary_plan_reads_everything_once_a_quarter_of_an_hour():
    desk, firmware = start("ordinary")
    energy, live, everything = asked(desk, firmware, 3600, wh_per_hour=500)
    assert everything == 4 and live <= 1 and energy >= 3595
    assert told(firmware, codes.MOMENTS) == []


def test_supply_quality_wants_every_second():
    desk, firmware = start("second", nominal_mv=230000)
    assert asked(desk, firmware, 900) == (0, 899, 1)
    desk, firmware = start("second-protect", protect=2)
    assert asked(desk, firmware, 900) == (0, 899, 1)


def test_faster_polls_still_sample_once_a_second():
    desk, firmware = start("fast", nominal_mv=230000)
    del desk.meter.asked[:]
    for _ in range(100):
        desk.now_ms += 100
        desks_poll(firmware)
    assert desk.meter.asked.count(LIVE) in range(9, 15)


def desks_poll(firmware):
    import asyncio

    asyncio.run(firmware.metering.poll())


def test_a_customised_plan_reads_every_minute_and_tells_every_five():
    desk, firmware = start("customised", plan=1)
    assert asked(desk, firmware, 3600, wh_per_hour=500)[2] == 60
    moments = told(firmware, codes.MOMENTS)
    assert len(moments) in (13, 14)  # and one at each power-on
    assert moments[0] == (codes.MOMENTS, 64, 230000, 65, 230000, 66, 1000, 67, 50000)


def test_a_comprehensive_plan_reads_every_second_and_tells_every_minute():
    desk, firmware = start("comprehensive", plan=2)
    assert asked(desk, firmware, 600) == (0, 0, 600)
    desk.meter.moments = three()
    before = len(told(firmware, codes.MOMENTS))
    seconds(desk, firmware, 60)
    moments = told(firmware, codes.MOMENTS)[before:]
    assert len(moments) == 2  # eleven values in events of eight
    assert sum([(len(item) - 1) // 2 for item in moments]) == 11


def test_a_plan_command_changes_what_is_read_over_a_restart_until_its_time():
    desk, firmware = start("plan")
    until_s = desk.now_ms // 1000 + 7200
    assert command(firmware, codes.PLAN, [2, 10, until_s], MODULE_TARGET) == codes.DONE
    assert asked(desk, firmware, 600, wh_per_hour=500)[2] in (60, 61)
    firmware = power_on(desk)
    assert asked(desk, firmware, 600, wh_per_hour=500)[2] == 60
    assert len(told(firmware, codes.MOMENTS)) >= 20
    seconds(desk, firmware, 7200, step_s=60)
    assert asked(desk, firmware, 900, wh_per_hour=500)[2] == 1  # the configured plan again


def test_a_plan_without_an_end_stands_and_a_zero_cadence_is_the_plans_own():
    desk, firmware = start("plan-open")
    assert command(firmware, codes.PLAN, [1, 0, 0], MODULE_TARGET) == codes.DONE
    seconds(desk, firmware, 86400, step_s=60)
    assert asked(desk, firmware, 600, wh_per_hour=500)[2] == 10


def test_a_plan_that_cannot_be_is_refused_and_changes_nothing():
    desk, firmware = start("plan-bad")
    past_s = desk.now_ms // 1000 - 1
    for args, status in (
        ([3, 0, 0], codes.REFUSED_FIELD),
        ([-1, 0, 0], codes.REFUSED_FIELD),
        ([1, 86401, 0], codes.REFUSED_FIELD),
        ([1, -1, 0], codes.REFUSED_FIELD),
        ([1, 0], codes.REFUSED_FIELD),
        ([1, 0, "x"], codes.REFUSED_FIELD),
        ([1, 0, past_s], codes.REFUSED_EXPIRED),
    ):
        assert command(firmware, codes.PLAN, args, MODULE_TARGET) == status, args
    assert command(firmware, codes.PLAN, [1, 0, 0], 0) == codes.REFUSED_FIELD  # of the module
    assert asked(desk, firmware, 900, wh_per_hour=500)[2] == 1


def test_a_plan_file_of_another_firmware_is_no_plan():
    desk, firmware = start("plan-file")
    for content in (b"\x01", b"\x83\x07\x00\x00", b"\x82\x01\x00", b"", b"\x83\x01\x61x\x00"):
        with open(desk.root + "/plan.cbor", "wb") as file:
            file.write(content)
        firmware = power_on(desk)
        assert firmware.metering.watch.plan() == (900, 0), content


def test_after_a_silence_the_billing_register_comes_first():
    desk, firmware = start("silence", plan=2)
    desk.meter.answers = False
    seconds(desk, firmware, 5)
    desk.meter.answers = True
    del desk.meter.asked[:]
    seconds(desk, firmware, 2)
    assert desk.meter.asked == [ENERGY, ALL]


def test_the_identity_is_asked_at_start_and_once_a_day():
    desk, firmware = start("daily")
    desk.meter.identity = {192: 1}
    del desk.meter.asked[:]
    firmware = power_on(desk)
    assert desk.meter.asked[0] == IDENTITY
    seconds(desk, firmware, 3 * 86400, step_s=300)
    assert desk.meter.asked.count(IDENTITY) == 4


def test_an_overvoltage_opens_the_relay_offline_and_closes_it_three_minutes_after():
    desk, firmware = start("overvoltage", nominal_mv=230000, protect=1)
    seconds(desk, firmware, 60)
    assert desk.contact.moves == ["close"]
    desk.meter.moments = single(volts=290)
    seconds(desk, firmware, 2)
    assert desk.contact.moves == ["close", "open"]
    point = firmware.points[0]
    assert point.holds_now == prepaid.HOLD_SAFETY
    desk.meter.moments = single(volts=231, ma=0, mw=0)
    seconds(desk, firmware, 179)
    assert point.slot.relay == relay.OPEN
    seconds(desk, firmware, 5)
    assert desk.contact.moves == ["close", "open", "close"]
    quality = told(firmware, codes.QUALITY)
    assert quality == [
        (codes.QUALITY, codes.OVERVOLTAGE, 0, 1, 290000, 1),
        (codes.QUALITY, codes.OVERVOLTAGE, 0, 0, 290000, 1),
    ]


def test_a_power_cut_does_not_shorten_the_wait_after_a_protection():
    desk, firmware = start("cut-wait", nominal_mv=230000, protect=3)
    desk.meter.moments = single(ma=95000, mw=20000000)
    seconds(desk, firmware, 5)
    assert desk.contact.moves == ["close", "open"]
    desk.meter.moments = single(ma=0, mw=0)
    firmware = power_on(desk)
    seconds(desk, firmware, 170)
    assert desk.contact.moves == ["close", "open"]
    seconds(desk, firmware, 30)
    assert desk.contact.moves == ["close", "open", "close"]


def test_a_flapping_supply_cannot_flood_the_flash():
    """Two hours of a bad joint: 12 begins an hour with their ends, and how many were dropped."""
    desk, firmware = start("flapping", nominal_mv=230000, tamper_notify=0)
    for _ in range(2 * 180):
        desk.meter.moments = single(volts=190)
        seconds(desk, firmware, 4)
        desk.meter.moments = single(volts=230)
        seconds(desk, firmware, 16)
    quality = told(firmware, codes.QUALITY)
    dropped = [item[4] for item in quality if item[1] == codes.EVENTS_DROPPED]
    begins = [item for item in quality if item[3] == 1 and item[1] != codes.EVENTS_DROPPED]
    assert len(begins) <= 12 * 3 and len(dropped) == 2
    assert 160 <= dropped[1] <= 170
    assert len(told(firmware, codes.AGGREGATE)) == 12


def test_several_points_are_looked_at_each_by_its_own_settings():
    desk = desks.Desk(desks.folder("watch-several"))
    points = [
        desks.point_settings(0, nominal_mv=230000),
        desks.point_settings(1, relay=255, tamper_notify=0),
    ]
    desks.provision(desk.root, points, desks.flat_book())
    desk.meter.moments = single()
    firmware = power_on(desk)
    sights = firmware.metering.watch.sights
    assert sights[0].quality and sights[0].tamper
    assert not sights[1].quality and not sights[1].tamper
