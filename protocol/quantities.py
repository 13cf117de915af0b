"""What a meter can tell: numbers of quantities and of register types, shared by maps and module.

A name ends in the unit of the value; `_l1_` is a phase. Numbers are on the wire and in compiled
maps: names are only ever appended to a group, never moved. Each group is one text because the
module needs the numbers, not the names.
"""

from protocol.units import const

# Running totals, from 1: never negative, never falling.
TOTALS = (
    "import_wh export_wh total_wh import_varh export_varh total_varh"
    " import_l1_wh import_l2_wh import_l3_wh export_l1_wh export_l2_wh export_l3_wh"
    " total_l1_wh total_l2_wh total_l3_wh"
)

# Momentary values, from 64. Without a phase: of a single-phase meter, or over all phases.
MOMENTS = (
    "power_mw voltage_mv current_ma frequency_mhz reactive_mvar apparent_mva"
    " power_factor_permille phase_angle_mdeg"
    " voltage_l1_mv voltage_l2_mv voltage_l3_mv current_l1_ma current_l2_ma current_l3_ma"
    " power_l1_mw power_l2_mw power_l3_mw reactive_l1_mvar reactive_l2_mvar reactive_l3_mvar"
    " apparent_l1_mva apparent_l2_mva apparent_l3_mva power_factor_l1_permille"
    " power_factor_l2_permille power_factor_l3_permille"
    " voltage_thd_l1_mpct voltage_thd_l2_mpct voltage_thd_l3_mpct voltage_thd_mpct"
)

# What the meter is, from 192: read at start, a change is a tamper event.
IDENTITY = "serial_number meter_type ct_ratio pt_ratio"

MOMENTS_FIRST = const(64)
IDENTITY_FIRST = const(192)

IMPORT_WH = const(1)
EXPORT_WH = const(2)
POWER_MW = const(64)
VOLTAGE_MV = const(65)
CURRENT_MA = const(66)
FREQUENCY_MHZ = const(67)
VOLTAGE_L1_MV = const(72)
CURRENT_L1_MA = const(75)

# Register types, from 1, and how many registers each takes; lw is low word first.
TYPES = "u16 s16 u32 s32 u32lw s32lw s64 f32"
TYPE_REGISTERS = b"\x00\x01\x01\x02\x02\x02\x02\x04\x02"  # by number

U16 = const(1)
S16 = const(2)
U32 = const(3)
S32 = const(4)
U32LW = const(5)
S32LW = const(6)
S64 = const(7)
F32 = const(8)

# Keys of a compiled map. REGISTERS holds [quantity, address, type, multiplier] each; RESOLUTION_WH
# is 0 for a float register, whose step grows with the total.
MAP_NAME = const(1)
MAP_FUNCTION = const(2)
MAP_PHASES = const(3)
MAP_RESOLUTION_WH = const(4)
MAP_REGISTERS = const(5)
MAP_GAP_MAX = const(6)  # unlisted registers that one request may span
MAP_REGISTERS_MAX = const(7)  # registers in one request


def quantity_numbers() -> dict[str, int]:
    """Number of every quantity by name."""
    numbers = {}
    for names, first in ((TOTALS, 1), (MOMENTS, MOMENTS_FIRST), (IDENTITY, IDENTITY_FIRST)):
        for name in names.split():
            numbers[name] = first
            first += 1
    return numbers


def type_numbers() -> dict[str, int]:
    """Number of every register type by name."""
    numbers = {}
    for name in TYPES.split():
        numbers[name] = len(numbers) + 1
    return numbers
