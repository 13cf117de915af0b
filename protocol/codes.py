"""The numbers of commands, relay orders, results and events: on the wire, never used twice.

Words for them are in words.py. The build writes each number where it is used, so that on a module
this file costs nothing.
"""

from protocol.units import const

# Actions and their args.
TOPUP = const(1)  # [number, generation, amount_ncur]
TARIFF = const(2)  # [book, see tariff_book.to_wire]
RELAY = const(3)  # [relay order, ...]
ADJUST = const(4)  # [reason class, amount_ncur]
CONFIG = const(5)  # [configuration map]
STATE = const(6)  # [] send a statement now
PLAN = const(7)  # [plan, cadence_s, until_s], see firmware/quality.py
CLEAR = const(8)  # [what]
METER = const(9)  # [register_wh of the meter that is there now]
UPDATE = const(10)  # [step, ...], see firmware/effects/update.py
DEBT = const(11)  # [which, owed_ncur, rate, period_s]
TRANSFER = const(12)  # [amount_ncur, tier period, used_wh to add in it]
KEY = const(13)  # [salt, check of the new key], see rekey.py
CLOCK = const(14)  # [] say a hello now, its answer sets the clock

# Relay orders of prepay-rules.md section 13, in brackets its code there; seconds are optional.
TRIP = const(1)  # (1A) [order, 1 when it is not for credit]
PERMIT_CLOSE = const(2)  # (1B)
DIRECT_CLOSE = const(3)  # (1C)
TRIP_THEN_CLOSE = const(4)  # (1D) [order, seconds]
TRIP_THEN_ARM = const(5)  # (1E) [order, seconds]
ALARM = const(6)  # (2A)
ALARM_END = const(7)  # (2B)
HOLD = const(8)  # (3A) hold-supply [order, seconds]
HOLD_END = const(9)  # (3B)

# Kinds of tamper, as bits: of a TAMPER event, of the settings tamper_notify and tamper_trip.
COVER = const(1)  # inputs of the board
TERMINAL = const(2)
MAGNET = const(4)
REVERSE = const(8)  # a phase feeds back for a minute
LEAK = const(16)  # current or energy through an open relay
CONTACT = const(32)  # the relay is not where it was commanded
IDENTITY = const(64)  # another meter, or another ratio
REGISTER = const(128)  # the register was reset, replaced or turned back
PULSE_INPUT = const(256)  # faster than the wires can carry, or none for a week
STORAGE = const(512)  # the host has seen more than this storage remembers
PHASE = const(1024)  # a phase without voltage, or current without it

# What a QUALITY event tells: mV, mHz, mA. The lowest value is the extreme of the first three, the
# highest of all others.
SUPPLY_LOST = const(1)  # below 0.05 Un; one sample is enough
UNDERVOLTAGE = const(2)  # below 0.90 Un
FREQUENCY_LOW = const(3)  # mean of 10 s
OVERVOLTAGE = const(4)  # above 1.10 Un
FREQUENCY_HIGH = const(5)
UNBALANCE = const(6)  # U2/U1 above 2 % for a minute, in hundredths of a percent
OVERCURRENT = const(7)  # above 1.1 Imax for a minute
OVERCURRENT_HIGH = const(8)  # above 1.5 Imax for two seconds
FREQUENCY_RATE = const(9)  # mHz in 5 s
NEUTRAL_LOST = const(10)  # one phase above 1.20 Un while another is below 0.80
EVENTS_DROPPED = const(11)  # begins that the hourly bound kept back

# What CLEAR clears.
CLEAR_TAMPER = const(1)
CLEAR_LOCKOUT = const(2)

# Result status.
DONE = const(0)
ALREADY = const(1)  # the effect was there before; the host reads it as delivered
REFUSED_EXPIRED = const(2)
REFUSED_CAP = const(3)
REFUSED_FIELD = const(4)
REFUSED_UNSUPPORTED = const(5)
REFUSED_TOO_OLD = const(6)
REFUSED_CLOCK = const(7)
REFUSED_HELD = const(8)  # credit still holds the relay open
REFUSED_BUSY = const(9)  # another change is being tried
REFUSED_FULL = const(10)  # the module's file system has no room

# Event codes. Arguments in brackets.
BOOT = const(1)  # [reset cause, boot id]
CLOCK_SET = const(2)  # [old s, new s]
RELAY_OPENED = const(3)  # [rule, balance_ncur, limit_ncur, zone]
RELAY_CLOSED = const(4)  # [rule, balance_ncur, limit_ncur, zone]
RELAY_ARMED = const(5)  # [rule, balance_ncur, limit_ncur, zone]
WARNING = const(6)  # [zone, balance_ncur]
REJECTED = const(7)  # [reason] of a message, [reason, kind, command id] of a command
METER_SILENT = const(8)  # [failures]
METER_BACK = const(9)  # [register_wh]
REGISTER_REFUSED = const(10)  # [verdict, previous_wh, offered_wh]
TASK_RESTARTED = const(11)  # [failures since power-on]
RELAY_MISMATCH = const(12)  # [commanded, actual]
TARIFF_SET = const(13)  # [version]
OUTBOX_FULL = const(14)  # [records dropped, files damaged]
RELAY_DISARMED = const(15)  # [rule, balance_ncur, limit_ncur, zone]
RELAY_PENDING = const(16)  # [rule, delay_s, balance_ncur]
EMERGENCY = const(17)  # [1 offered, 2 selected, 3 used up, 4 repaid; balance_ncur]
LOAD_LIMIT = const(18)  # [power_mw, limit_mw, openings in this run]
HOLD_SUPPLY = const(19)  # [1 on or 0 off, until s]
TOKEN_LOCKED = const(20)  # [failures, left_s]
TOKEN = const(21)  # [result, number, channel]
METER_REBASED = const(22)  # [verdict, old_wh, new_wh, offset_wh]
METER_IDENTITY = const(23)  # [quantity, old, new]
METER_FROZEN = const(24)  # [register_wh, power_mw]
CLOCK_REFUSED = const(25)  # [offered s, now s]
QUALITY = const(26)  # [what, phase, 1 begin or 0 end, extreme, duration_s]
AGGREGATE = const(27)  # [phase, samples, urms_mv, min_mv, max_mv, mean_mhz, mean_ma, max_ma, gaps]
TAMPER = const(28)  # [kind, 1 begin or 0 end, register_wh, voltage_mv, current_ma, power_mw]
SAFE_MODE = const(29)  # [crashes]
UPDATED = const(30)  # [outcome, version, why it was refused or 0]
CONFIG_SET = const(31)  # [version in use, outcome]
CRASH = const(32)  # [uptime_s at least, task failures, how, boot id]
DEBT_LEFT = const(33)  # [which, left_ncur]
MOMENTS = const(34)  # [quantity, value, quantity, value, ...]
TARIFF_SWITCHED = const(35)  # [from when s, register_wh, used_wh of the tier period]
RELAY_WORN = const(36)  # [operations]

# Outcomes of UPDATED and CONFIG_SET.
ARMED = const(1)  # whole and genuine; runs on trial after the restart that comes now
CONFIRMED = const(2)
ROLLED_BACK = const(3)  # what worked before is back
REFUSED = const(4)
# Why an update was refused or taken back.
BAD_VERSION = const(1)  # not newer than what runs
BAD_MPY = const(2)  # compiled for another interpreter
BAD_HASH = const(3)
NO_SPACE = const(4)
INCOMPLETE = const(5)
BAD_FILE = const(6)  # a list of files that names what no update may touch
NO_START = const(7)  # trusted, and could not begin any more

# Steps of UPDATE and their args; what is next is told as detail, number << 20 | offset.
BEGIN = const(1)  # [step, version, mpy version, bytes of the list, its SHA-256, blocks needed]
CHUNK = const(2)  # [step, number of the file or 0 for the list, offset, bytes]
FINISH = const(3)  # [step]
ABORT = const(4)  # [step]

# How a life ended, in CRASH.
BY_WATCHDOG = const(1)
BY_BROWN_OUT = const(2)
BY_PANIC = const(3)  # a reset that nobody announced
BY_TASKS = const(4)  # too many task failures
BY_LOOP = const(5)  # an error outside every task
