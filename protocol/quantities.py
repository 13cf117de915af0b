"""Numbers of what a meter can tell, of register types and of the keys of a compiled map.

They are on the wire and in maps: never reuse one. Those without a name here the module only passes
on; quantity_names.py names all.
"""

from protocol.units import const

# Quantities: running totals from 1, momentary values from 64, what the meter is from 192.
MOMENTS_FIRST = const(64)
IDENTITY_FIRST = const(192)
IMPORT_WH = const(1)
POWER_MW = const(64)
VOLTAGE_MV = const(65)
CURRENT_MA = const(66)
FREQUENCY_MHZ = const(67)
POWER_FACTOR_PERMILLE = const(70)
VOLTAGE_L1_MV = const(72)
CURRENT_L1_MA = const(75)
POWER_L1_MW = const(78)

# Register types, by number. 5 and 6 have the low word first, 8 is a float from its bits.
TYPE_FORMATS = ("", ">H", ">h", ">I", ">i", ">HH", ">Hh", ">q", ">I")
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
