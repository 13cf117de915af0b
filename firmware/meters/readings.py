"""What every kind of meter gives, and what of it is plausible. Wh, mW, mV, mA, mHz; pure."""

from collections import namedtuple

from protocol.quantities import (
    CURRENT_L1_MA,
    CURRENT_MA,
    FREQUENCY_MHZ,
    IDENTITY_FIRST,
    IMPORT_WH,
    MOMENTS_FIRST,
    POWER_FACTOR_PERMILLE,
    POWER_L1_MW,
    VOLTAGE_L1_MV,
    VOLTAGE_MV,
)
from protocol.units import const

# Groups of quantities to read.
ENERGY = const(1)  # the billing register alone: every poll
ALL = const(2)  # and everything momentary: less often
IDENTITY = const(3)  # what the meter is: at start and daily
LIVE = const(4)  # with the billing register: power, voltage, current and frequency

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
ROLLOVER = const(3)  # over the end of the display, by no more than the wires could have carried
REPLACED = const(4)  # a METER command told where another meter goes on

_UJ_PER_WH = 3600000000  # mW times ms is a millionth of a joule
_WRAP_MS_MAX = const(3600000)
_PHASES_LAST = const(80)  # voltage, current and power of three phases
_POWERS_LAST = const(86)  # and reactive and apparent power


def check_total(
    previous_wh: int, new_wh: int, dt_ms: int, limit_mw: int, step_wh: int, modulus_wh: int = 0
) -> int:
    """OK, REVERSED, JUMP or ROLLOVER, `dt_ms` after the previous total.

    `limit_mw` is Imax times Umax times phases, `step_wh` one step of the register, see step_wh(),
    `modulus_wh` the total at which the register begins again at 0, or 0 when it never does.
    A total that stands still is OK: only power can tell an idle line from a stuck register.
    """
    fresh_wh = new_wh - previous_wh
    if fresh_wh < 0:
        # A reset looks like a wrap: believed only for what an hour can carry, and near the end.
        fresh_wh += modulus_wh
        dt_ms = min(dt_ms, _WRAP_MS_MAX)
        near = previous_wh < modulus_wh and modulus_wh - previous_wh <= modulus_wh >> 4
        if near and (fresh_wh - step_wh) * _UJ_PER_WH <= limit_mw * dt_ms:
            return ROLLOVER
        return REVERSED
    if (fresh_wh - step_wh) * _UJ_PER_WH > limit_mw * dt_ms:
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


def ratio(quantity: int, ct_ratio: int, pt_ratio: int) -> int:
    """By what transformers make the primary value larger: energy and power by both."""
    angle = quantity in (POWER_FACTOR_PERMILLE, POWER_FACTOR_PERMILLE + 1)
    if quantity == FREQUENCY_MHZ or angle or quantity > _POWERS_LAST:
        return 1
    if quantity == VOLTAGE_MV or VOLTAGE_L1_MV <= quantity < CURRENT_L1_MA:
        return pt_ratio
    if quantity == CURRENT_MA or CURRENT_L1_MA <= quantity < POWER_L1_MW:
        return ct_ratio
    return ct_ratio * pt_ratio


def in_group(quantity: int, group: int) -> bool:
    if group == ENERGY:
        return quantity == IMPORT_WH
    if group == LIVE:
        moment = MOMENTS_FIRST <= quantity <= FREQUENCY_MHZ
        return quantity == IMPORT_WH or moment or VOLTAGE_L1_MV <= quantity <= _PHASES_LAST
    return (quantity >= IDENTITY_FIRST) == (group == IDENTITY)
