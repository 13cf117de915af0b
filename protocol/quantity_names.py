"""Names of the quantities and types that quantities.py numbers; the module needs no names.

A name ends in the unit of the value; `_l1_` is a phase. Numbers are on the wire and in compiled
maps: names are only ever appended to a group, never moved.
"""

from protocol.quantities import IDENTITY_FIRST, MOMENTS_FIRST

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

# Register types in the order of quantities.TYPE_FORMATS; lw is low word first.
TYPES = "u16 s16 u32 s32 u32lw s32lw s64 f32"


def quantity_numbers() -> dict[str, int]:
    """Number of every quantity by name."""
    numbers: dict[str, int] = {}
    for names, first in ((TOTALS, 1), (MOMENTS, MOMENTS_FIRST), (IDENTITY, IDENTITY_FIRST)):
        for name in names.split():
            numbers[name] = first
            first += 1
    return numbers


def type_numbers() -> dict[str, int]:
    """Number of every register type by name."""
    numbers: dict[str, int] = {}
    for name in TYPES.split():
        numbers[name] = len(numbers) + 1
    return numbers
