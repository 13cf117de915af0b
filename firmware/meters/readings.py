"""What every kind of meter gives, and what of it is plausible. Wh, mW, mV, mA, mHz; pure."""

from collections import namedtuple

from protocol.quantities import IDENTITY_FIRST, IMPORT_WH
from protocol.units import const

# Groups of quantities to read.
ENERGY = const(1)  # the billing register alone: every poll
ALL = const(2)  # and everything momentary: less often
IDENTITY = const(3)  # what the meter is: at start

# register_wh is the meter's own total; pulses the raw total of a pulse meter or None. The others
# are None where the meter does not tell or was not asked: power_mw over all phases, voltage_mv of
# the lowest phase, current_ma of the highest. `values` is all that was read, by quantity number.
Reading = namedtuple(
    "Reading", "register_wh pulses power_mw voltage_mv current_ma frequency_mhz values"
)

# Verdicts on a new total.
OK = const(0)
REVERSED = const(1)  # below the last one: meter replaced, reset or turned back; never a credit
JUMP = const(2)  # more than the wires could have carried since

_UJ_PER_WH = 3600000000  # mW times ms is a millionth of a joule


def check_total(previous_wh: int, new_wh: int, dt_ms: int, limit_mw: int, step_wh: int) -> int:
    """OK, REVERSED or JUMP, `dt_ms` after the previous total.

    `limit_mw` is Imax times Umax times phases, `step_wh` one step of the register, see step_wh().
    A total that stands still is OK: only power can tell an idle line from a stuck register.
    """
    if new_wh < previous_wh:
        return REVERSED
    if (new_wh - previous_wh - step_wh) * _UJ_PER_WH > limit_mw * dt_ms:
        return JUMP
    return OK


def step_wh(register_wh: int, resolution_wh: int) -> int:
    """One step of a register: its fixed resolution, or for 0 that of a float32 in kWh.

    A float has 24 significant bits: about 1 Wh above 8 192 kWh, 16 Wh above 131 072 kWh.
    """
    if resolution_wh:
        return resolution_wh
    kwh, bits = register_wh // 1000, 0
    while kwh >> bits:
        bits += 1
    return 1 + (1000 << bits >> 24)


def in_group(quantity: int, group: int) -> bool:
    if group == ENERGY:
        return quantity == IMPORT_WH
    return (quantity >= IDENTITY_FIRST) == (group == IDENTITY)
