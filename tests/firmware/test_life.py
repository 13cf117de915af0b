# runs on: cpython micropython
"""How a module ends and begins again: crashes told once, safe mode, settings on trial."""

import asyncio
import os

from boards.virtual import flash
from firmware import config, lamp, main, relay, slots, waits
from protocol import cbor, codes, messages, settings
from tests.firmware import desk as desks

POWER, HARD, WATCHDOG, SOFT, BROWN_OUT = 1, 2, 3, 5, 6
HOUR_MS = 3600000


def commissioned(name):
    desk = desks.Desk(desks.folder("life-" + name))
    desks.provision(desk.root, [desks.point_settings()], desks.flat_book())
    try:
        os.mkdir(desk.root + "/meter_maps")
    except OSError:
        pass  # from an earlier run
    config.write(desk.root, "/meter_maps/sdm120.cbor", b"\xa0")
    _, firmware = desk.power_on()
    asyncio.run(firmware.metering.poll())
    return desk, firmware


def boot(desk, cause=POWER, copy="-", after_ms=5000):
    desk.now_ms += after_ms
    _, firmware = desk.power_on(cause=cause, copy=copy)
    asyncio.run(firmware.metering.poll())
    return firmware


def resets(action, *args):
    """Whether an action ends in a reset of the board."""
    try:
        action(*args)
    except SystemExit:
        return True
    return False


def wait(desk, firmware, ms):
    """Time goes by, metering beats, and the look that is due then happens. -> True for a reset."""
    desk.now_ms += ms
    firmware.health.beat("metering")
    return resets(firmware.health.look)


def told(firmware, code):
    """Arguments of every waiting event of a code."""
    return [item[4] for item in desks.told(firmware) if item[2] == code]


def test_an_ordinary_power_off_is_no_crash():
    desk, _ = commissioned("off")
    for _ in range(5):
        firmware = boot(desk)
    assert not firmware.safe and told(firmware, codes.CRASH) == []


def test_what_a_power_cut_left_half_written_is_gone_after_the_next_start():
    desk, _ = commissioned("halves")
    for name in ("/failed.new", "/config.cbor.new", "/newest"):
        with open(desk.root + name, "wb") as file:
            file.write(b"half")
    before = config.read(desk.root, "/config.cbor")
    boot(desk, SOFT)
    left = sorted(name for name in os.listdir(desk.root) if "new" in name)
    assert left == ["newest"]
    assert config.read(desk.root, "/config.cbor") == before


def test_a_soft_reset_by_a_technician_is_no_crash():
    desk, _ = commissioned("soft")
    for _ in range(5):
        firmware = boot(desk, SOFT)
    assert not firmware.safe and told(firmware, codes.CRASH) == []


def test_a_restart_on_purpose_is_no_crash():
    desk, firmware = commissioned("purpose")
    for _ in range(4):
        firmware.health.restart = True
        assert wait(desk, firmware, 10000)
        firmware = boot(desk, HARD)
    assert not firmware.safe and told(firmware, codes.CRASH) == []


def test_every_unexpected_end_is_told_once_after_the_next_start():
    desk, firmware = commissioned("told")
    assert not wait(desk, firmware, 300000)  # steady from here on
    first = firmware.module.boot_id
    firmware = boot(desk, WATCHDOG)
    firmware = boot(desk, BROWN_OUT)
    firmware = boot(desk, HARD)
    firmware = boot(desk)
    assert told(firmware, codes.CRASH) == [
        [300, 0, codes.BY_WATCHDOG, first],
        [0, 0, codes.BY_BROWN_OUT, first + 1],
        [0, 0, codes.BY_PANIC, first + 2],
    ]


def test_too_many_task_failures_are_recorded_and_reset_the_board():
    desk, firmware = commissioned("tasks")
    firmware.health.failures = 20
    desk.now_ms += 70000
    boot_id = firmware.module.boot_id
    assert resets(firmware.health.failed, "uplink", ValueError())
    firmware = boot(desk, HARD)
    assert told(firmware, codes.CRASH) == [[70, 21, codes.BY_TASKS, boot_id]]


def test_an_error_of_a_task_that_nobody_waits_for_counts_as_a_failure():
    _, firmware = commissioned("stray")
    firmware.health.stray(None, {"exception": ValueError()})
    assert firmware.health.failures == 1
    asyncio.run(firmware.metering.poll())
    assert told(firmware, codes.TASK_RESTARTED) == [[1]]


def test_the_ring_keeps_the_last_eight_crashes_in_one_slot():
    desk, firmware = commissioned("ring")
    for _ in range(12):
        firmware = boot(desk, WATCHDOG)
    crashes = firmware.life[5]
    assert [crash[0] for crash in crashes] == list(
        range(firmware.module.boot_id - 8, firmware.module.boot_id)
    )
    assert len(cbor.encode(firmware.life)) < 200
    assert len(told(firmware, codes.CRASH)) == 12


def test_three_short_lives_lead_to_safe_mode_in_which_money_goes_on():
    desk, firmware = commissioned("safe")
    for _ in range(3):
        firmware = boot(desk, WATCHDOG)
    assert firmware.safe and firmware.uplink is None
    assert told(firmware, codes.SAFE_MODE) == [[3]]
    desk.now_ms += 900000
    desk.meter.register_wh += 500
    asyncio.run(firmware.metering.poll())
    assert firmware.points[0].state.charged_ncur == 500 * 500000
    assert firmware.shown == lamp.SAFE
    again = boot(desk)  # power off and on: still safe, and told only once
    assert again.safe and told(again, codes.SAFE_MODE) == [[3]]


def test_five_healthy_minutes_forget_the_short_lives():
    desk, firmware = commissioned("healthy")
    boot(desk, WATCHDOG)
    firmware = boot(desk, WATCHDOG)
    assert not wait(desk, firmware, 300000)
    for _ in range(3):
        assert not firmware.safe
        firmware = boot(desk, WATCHDOG)
    assert not firmware.safe  # the first of those three ended a steady life
    assert boot(desk, WATCHDOG).safe


def test_a_life_without_a_heartbeat_is_not_steady():
    desk, firmware = commissioned("beat")
    firmware.health.vital("metering", 60000)
    desk.now_ms += 400000
    firmware.health.look()
    for _ in range(3):
        firmware = boot(desk, WATCHDOG)
    assert firmware.safe


def safe(name):
    desk, firmware = commissioned(name)
    for _ in range(3):
        firmware = boot(desk, WATCHDOG)
    return desk, firmware


def test_safe_mode_is_left_by_itself_after_an_hour_then_two_up_to_a_day():
    desk, firmware = safe("leaves")
    for hours in (1, 2, 4, 8, 16, 24, 24):
        assert not wait(desk, firmware, hours * HOUR_MS - 1000)
        assert wait(desk, firmware, 1000)
        firmware = boot(desk, HARD)
        assert not firmware.safe and firmware.uplink is not None
        firmware = boot(desk, WATCHDOG)  # one crash is enough to go back
        assert firmware.safe
    assert len(told(firmware, codes.SAFE_MODE)) == 8


def test_a_technician_ends_safe_mode_with_a_soft_reset():
    desk, _ = safe("technician")
    assert not boot(desk, SOFT).safe
    assert not boot(desk, WATCHDOG).safe


def test_three_crashes_write_less_than_one_sector():
    desk, firmware = commissioned("wear")
    power = flash.Power()
    before = firmware.journal.states.newest
    for _ in range(3):
        firmware = boot(desk, WATCHDOG)
    assert firmware.journal.states.newest - before < 16
    assert power.erases == 0


# Journal that fails, files that fail


def test_a_journal_that_refuses_leaves_the_relay_where_it_is():
    desk, firmware = commissioned("storage")
    power = flash.Power()
    board, firmware = desk.power_on(power=power)
    asyncio.run(firmware.metering.poll())
    command = messages.Command(2, 0, codes.TOPUP, 0, 1 << 33, [2, 0, 10 * desks.CUR])
    firmware.commands.take(command)
    power.dead = True
    board.presses = 1
    desk.now_ms += 60000
    failed = False
    try:
        asyncio.run(firmware.metering.poll())
    except OSError:
        failed = True
    assert failed and desk.contact.moves == []
    assert firmware.points[0].slot.relay == relay.ARMED
    firmware.health.failures = 20
    assert resets(firmware.health.failed, "metering", OSError(5))
    firmware = boot(desk, HARD)  # the flash is back: the ledger and the crash are there
    assert firmware.points[0].state.balance_ncur == 10 * desks.CUR
    assert told(firmware, codes.CRASH)[0][2] == codes.BY_PANIC


class Waiting(Exception):
    """The module sleeps before it tries to start again."""


def start(desk, hold_s=0):
    """What a board sees of a start that fails: (reset or not, signals, seconds slept)."""
    board = desks.Board(desk, True, flash.Power())
    board.hold_s = hold_s
    slept = []

    async def sleep_ms(ms):
        slept.append(ms // 1000)
        desk.now_ms += ms
        if len(slept) == 3:
            raise Waiting

    real, waits.sleep_ms = waits.sleep_ms, sleep_ms
    try:
        main.started(board, "-")
    except Waiting:
        return False, board.signals, slept
    except SystemExit:
        return True, board.signals, slept
    finally:
        waits.sleep_ms = real
    raise AssertionError("it started")


def closed(name):
    """A desk whose relay is closed and whose settings are damaged."""
    desk, firmware = commissioned(name)
    firmware.commands.take(messages.Command(2, 0, codes.TOPUP, 0, 1 << 33, [2, 0, 10 * desks.CUR]))
    firmware.commands.board.presses = 1
    desk.now_ms += 60000
    asyncio.run(firmware.metering.poll())
    assert desk.contact.closed
    with open(desk.root + "/config.cbor", "wb") as file:
        file.write(b"\xa0")
    return desk


def test_damaged_settings_hold_the_relay_and_are_tried_again():
    desk = closed("held")
    moves = list(desk.contact.moves)
    assert start(desk) == (False, [lamp.FAULT] * 3, [900, 900, 900])
    assert desk.contact.moves == moves


def test_a_board_may_bound_how_long_the_relay_is_held_without_metering():
    desk = closed("bound")
    moves = list(desk.contact.moves)
    assert start(desk, hold_s=1000) == (False, [lamp.FAULT] * 2, [900, 100, 800])
    assert desk.contact.moves == moves + ["open"]


def test_a_start_that_failed_is_no_crash():
    desk = closed("unstarted")
    for _ in range(4):
        start(desk)
    desks.provision(desk.root, [desks.point_settings()], desks.flat_book())
    firmware = boot(desk, HARD)
    assert not firmware.safe and told(firmware, codes.CRASH) == []


# Settings on trial


def new_settings(version=2, **others):
    """The map of CONFIG, without the password, as a host would send it."""
    points = others.pop("points", (desks.point_settings(warning_1_ncur=7 * desks.CUR),))
    module = desks.provision(desks.folder("life-new"), points, desks.flat_book(), version=version,
                             **others)  # fmt: skip
    fields = settings.module_to_wire(module)
    del fields[7]
    return fields


def configure(firmware, fields, command_id=5):
    """-> status of the answer."""
    command = messages.Command(command_id, 255, codes.CONFIG, 0, 1 << 33, [fields])
    firmware.commands.take(command)
    return desks.results(firmware)[-1]


def trial(name):
    desks.clean(desks.folder("life-new"))
    desk, firmware = commissioned(name)
    assert configure(firmware, new_settings()) == codes.DONE
    assert wait(desk, firmware, 10000)  # and restarts by itself
    return desk, boot(desk, HARD)


def test_new_settings_stay_once_the_host_is_heard():
    desk, firmware = trial("confirmed")
    assert firmware.settings.version == 2 and firmware.settings.broker_password == ""
    assert firmware.points[0].settings.warning_1_ncur == 7 * desks.CUR
    firmware.uplink.heard = True
    assert not wait(desk, firmware, 60000)
    assert told(firmware, codes.CONFIG_SET) == [[2, codes.CONFIRMED]]
    assert boot(desk).settings.version == 2
    assert told(firmware, codes.CRASH) == []


def test_settings_that_reach_no_host_are_taken_back():
    desk, firmware = trial("deaf")
    assert not wait(desk, firmware, 890000)
    assert wait(desk, firmware, 10000)
    firmware = boot(desk, HARD)
    assert firmware.settings.version == 1
    assert told(firmware, codes.CONFIG_SET) == [[1, codes.ROLLED_BACK]]
    assert boot(desk).settings.version == 1
    assert told(firmware, codes.CONFIG_SET) == [[1, codes.ROLLED_BACK]]


def test_settings_under_which_the_module_crashes_are_taken_back():
    desk, firmware = trial("crashes")
    firmware = boot(desk, WATCHDOG)
    assert firmware.settings.version == 1 and firmware.config_path == config.CONFIG
    assert told(firmware, codes.CONFIG_SET) == [[1, codes.ROLLED_BACK]]


def test_settings_that_do_not_even_start_are_taken_back_at_once():
    desks.clean(desks.folder("life-new"))
    desk, firmware = commissioned("unstartable")
    configure(firmware, new_settings())
    with open(desk.root + "/config.cbor.trial", "wb") as file:
        file.write(b"\xa0")
    assert start(desk)[0]
    firmware = boot(desk, HARD)
    assert firmware.settings.version == 1 and told(firmware, codes.CRASH) == []
    assert told(firmware, codes.CONFIG_SET) == [[1, codes.ROLLED_BACK]]


def test_settings_that_would_orphan_money_or_cannot_work_are_refused_whole():
    desks.clean(desks.folder("life-new"))
    desk, firmware = commissioned("refused")
    point = desks.point_settings
    refused = (
        new_settings(module="other"),
        new_settings(points=(point(1),)),  # point 0 has a ledger
        new_settings(points=(point(0), point(1, relay=255))),  # no tariff for it
        new_settings(points=(point(0, relay=1),)),
        new_settings(points=(point(0, meter_map="unknown"),)),
        {},
        {1: 2},
        [1],
    )
    for number, fields in enumerate(refused):
        assert configure(firmware, fields, number + 1) == codes.REFUSED_FIELD, number
    assert configure(firmware, new_settings(version=1), 50) == codes.ALREADY
    assert not firmware.health.restart and not slots.exists(desk.root + slots.TRIAL)
    assert boot(desk).settings.version == 1


def test_while_settings_are_tried_no_others_are_taken():
    _, firmware = trial("busy")
    assert configure(firmware, new_settings(3), 6) == codes.REFUSED_BUSY


def test_safe_mode_tries_no_settings():
    desks.clean(desks.folder("life-new"))
    desk, _ = safe("untried")
    config.write(desk.root, slots.TRIAL, cbor.encode(new_settings()))
    assert boot(desk, WATCHDOG).settings.version == 1
    assert slots.exists(desk.root + slots.TRIAL)
