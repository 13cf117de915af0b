"""How the lives of a module end and begin: crash ring, safe mode, trials of program and settings.

Loaded for a moment at start, when something of it is due and before an end on purpose. Its record
is one journal slot, written at a start, after five healthy minutes, and at an end that is known.
Times are seconds of one power-on. Never meters, and never moves a relay but by `hold`.
"""

import os

from firmware import config, journal, slots
from firmware.waits import sleep_ms
from protocol import cbor, codes
from protocol.units import MODULE_TARGET, Unavailable, const

TARGET = 17  # journal target of the record
FIELDS = const(6)  # phase, mode, shorts, level, untold, crashes
PHASE, MODE, SHORTS, LEVEL, UNTOLD, CRASHES = 0, 1, 2, 3, 4, 5

# Phases: what a record says of the life that wrote it last.
RUNNING = const(0)
STEADY = const(1)  # it had five healthy minutes
ENDED = const(2)  # on purpose, or its crash is in the ring already
# Modes of a life.
NORMAL = 0
SAFE = 1
TRIAL = 2

# Reset causes of firmware/README.md.
POWER_ON, WATCHDOG, DEEP_SLEEP, SOFT, BROWN_OUT = 1, 3, 4, 5, 6

STEADY_S = 300
CRASHES_MAX = 8
SHORTS_MAX = 3
SAFE_S = 3600  # twice as long each time that leaving did not help
SAFE_S_MAX = 86400
TRIAL_S = 3600  # by then a program on trial has reached the host
CONFIG_TRIAL_S = 900
LOOK_S = 60  # how often a trial is looked at
RETRY_S = 900  # between two attempts to start


def forget():
    """First thing of every door of this file: nobody needs it again for long."""
    config.forget("slots", "firmware")
    config.forget("life", "firmware")


def begin(board, kept, copy):
    """Judge how the life before ended and count this one as begun.

    -> (the record, whether this is safe mode, path of the settings to use)
    """
    forget()
    sweep(board.root)
    payload = kept.state(TARGET)
    record = [ENDED, NORMAL, 0, 0, 0, []] if payload is None else cbor.decode(payload)
    cause = board.reset_cause()
    leaving = record[PHASE] == ENDED and record[MODE] == SAFE
    if cause == SOFT:  # a technician at the console has another try
        record[SHORTS] = record[LEVEL] = 0
    elif cause not in (POWER_ON, DEEP_SLEEP) and record[PHASE] != ENDED:
        code = {WATCHDOG: codes.BY_WATCHDOG, BROWN_OUT: codes.BY_BROWN_OUT}
        uptime_s = STEADY_S if record[PHASE] == STEADY else 0
        note(record, [last_boot(kept), uptime_s, 0, code.get(cause, codes.BY_PANIC)])
    if copy != slots.NONE and slots.read(board.root)[1] == copy:
        record[MODE] = TRIAL
    else:
        record[MODE] = SAFE if record[SHORTS] >= SHORTS_MAX and not leaving else NORMAL
    record[PHASE] = RUNNING
    kept.commit(TARGET, cbor.encode(record))
    safe = record[MODE] == SAFE
    return record, safe, slots.settings_path(board.root, not safe)


def sweep(root):
    """Half of a new file that a power cut has left is of no use to anybody."""
    for name in os.listdir(root or "/"):
        if name.endswith(".new"):
            config.remove(root + "/" + name)


def last_boot(kept):
    from firmware import module

    payload = kept.state(module.TARGET)
    return 0 if payload is None else cbor.decode(payload)[1]


def note(record, crash):
    """A crash, [boot id, uptime_s, task failures, code], into the ring."""
    if crash[1] < STEADY_S and record[MODE] != TRIAL:
        record[SHORTS] += 1
    record[CRASHES] = (record[CRASHES] + [crash])[-CRASHES_MAX:]
    record[UNTOLD] = min(CRASHES_MAX, record[UNTOLD] + 1)


def tell(firmware):
    """Events of what the lives before left: crashes, safe mode, what was taken back."""
    forget()
    record, events, root = firmware.life, firmware.events, firmware.board.root
    for boot_id, uptime_s, failures, code in record[CRASHES][-record[UNTOLD] :]:
        if record[UNTOLD]:
            events.add(codes.CRASH, MODULE_TARGET, uptime_s, failures, code, boot_id)
    if record[MODE] == SAFE and record[UNTOLD]:
        events.add(codes.SAFE_MODE, MODULE_TARGET, record[SHORTS])
    if record[UNTOLD]:
        record[UNTOLD] = 0
        firmware.journal.commit(TARGET, cbor.encode(record))
    trusted, trial, _ = slots.read(root)
    if trial not in (slots.NONE, firmware.copy):
        version = slots.version(root, trial)
        events.add(codes.UPDATED, MODULE_TARGET, codes.ROLLED_BACK, version, 0)
        try:
            slots.write(root, trusted)
        except OSError:
            pass  # this copy runs at the next start too, and tells it again
    counted = slots.counted(root)
    if counted not in (None, firmware.copy):
        figures = (codes.ROLLED_BACK, slots.version(root, counted), codes.NO_START)
        events.add(codes.UPDATED, MODULE_TARGET, *figures)
    if counted:
        config.remove(root + slots.FAILED)
    if slots.exists(root + slots.TRIED) and firmware.config_path != slots.TRIED:
        events.add(codes.CONFIG_SET, MODULE_TARGET, firmware.settings.version, codes.ROLLED_BACK)
        config.remove(root + slots.TRIED)


def progress(firmware):
    """Do what is due. -> seconds until there may be more to do, or None."""
    forget()
    record, health = firmware.life, firmware.health
    uptime_s = firmware.board.ticks_ms() // 1000
    if health.restart:
        restart(firmware)
    if record[MODE] == SAFE:
        stay_s = min(SAFE_S_MAX, SAFE_S << record[LEVEL])
        if uptime_s < stay_s:
            return stay_s - uptime_s
        record[LEVEL] += 1
        restart(firmware)
    settled = True
    if firmware.config_path == slots.TRIED:
        settled = judge_config(firmware, uptime_s)
    if uptime_s < STEADY_S:
        return STEADY_S - uptime_s if settled else LOOK_S
    if not health.healthy():
        return LOOK_S
    if record[MODE] == TRIAL:
        settled = judge_program(firmware, uptime_s) and settled
    if record[PHASE] == RUNNING:
        steady = [STEADY, record[MODE], 0, 0] + record[UNTOLD:]
        firmware.journal.commit(TARGET, cbor.encode(steady))
        firmware.life = steady
    return None if settled else LOOK_S


def judge_config(firmware, uptime_s):
    """Settings on trial stay once the host has been heard. -> whether that is decided."""
    root, version = firmware.board.root, firmware.settings.version
    if firmware.uplink.heard:
        if slots.exists(root + slots.TRIED):
            os.rename(root + slots.TRIED, root + config.CONFIG)
        firmware.events.add(codes.CONFIG_SET, MODULE_TARGET, version, codes.CONFIRMED)
        firmware.config_path = config.CONFIG
    elif uptime_s >= CONFIG_TRIAL_S:
        restart(firmware)  # the next start goes back and tells
    return firmware.uplink.heard


def judge_program(firmware, uptime_s):
    """A program that has metered for long enough and heard the host is trusted from now on."""
    root, copy = firmware.board.root, firmware.copy
    if firmware.uplink.heard:
        config.write(root, "/%s/trusted" % copy, b"")  # it may take over from the next one
        slots.write(root, copy)
        events = firmware.events
        events.add(codes.UPDATED, MODULE_TARGET, codes.CONFIRMED, slots.version(root, copy), 0)
        firmware.life[MODE] = NORMAL
    elif uptime_s >= TRIAL_S:
        slots.write(root, slots.read(root)[0], copy, 0)
        restart(firmware)
    return firmware.uplink.heard


def end(firmware):
    """The life ends on purpose: what follows is no crash."""
    firmware.life[PHASE] = ENDED
    firmware.journal.commit(TARGET, cbor.encode(firmware.life))


def restart(firmware):
    """Between two polls, with pulses and all entries in the journal."""
    for point in firmware.points.values():
        firmware.metering.keep_pulses(point)
    end(firmware)
    firmware.board.reset()


def crash(firmware, code):
    """Record an end that the firmware sees coming, then reset."""
    forget()
    uptime_s = firmware.board.ticks_ms() // 1000
    note(firmware.life, [firmware.module.boot_id, uptime_s, firmware.health.failures, code])
    try:
        end(firmware)
    except (Unavailable, OSError):
        pass  # the next start sees a reset that nobody announced
    firmware.board.reset()


async def hold(board, copy):
    """The firmware cannot start: relays stay where they are, up to the bound of the board.

    What is being tried is given up at once. Returns when another start may be attempted.
    """
    unstarted(board)
    root = board.root
    if slots.counted(root) == copy:  # it begins, and says what keeps it
        config.remove(root + slots.FAILED)
    if slots.exists(root + slots.TRIED) or (copy != slots.NONE and slots.read(root)[1] == copy):
        board.reset()
    left_ms = RETRY_S * 1000
    before_ms = board.hold_s * 1000 - board.ticks_ms()
    if 0 < before_ms <= left_ms:
        await sleep_ms(before_ms)
        left_ms -= before_ms
        for contact in board.relays:
            contact.open()
    await sleep_ms(left_ms)


def unstarted(board):
    """An attempt to start that failed is no crash: it says itself what is wrong."""
    kept = journal.Journal(board.journal)
    try:
        kept.load()
        record = cbor.decode(kept.state(TARGET) or b"\xf6")
        if record and record[PHASE] != ENDED:
            record[PHASE] = ENDED
            kept.commit(TARGET, cbor.encode(record))
    except (Unavailable, OSError):
        pass  # then it is the journal that is wrong
