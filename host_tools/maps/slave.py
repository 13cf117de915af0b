"""A meter map turned round: our integers into the registers that a meter would show.

For the simulator's Modbus slave. A float register holds the nearest float32, as a real meter does.
"""

import struct
from collections.abc import Callable, Mapping
from fractions import Fraction

from host_tools.maps.loading import MeterMap
from protocol.quantities import F32, TYPE_FORMATS
from protocol.quantity_names import type_numbers


def encode(kind: str, value: int, multiplier: int) -> list[int]:
    """Registers whose decoded value is `value`, or the nearest that the type can hold.

    struct.error when it is out of the type's range.
    """
    number = type_numbers()[kind]
    wire = Fraction(value, multiplier)
    if number == F32:
        data = struct.pack(">f", wire)
    elif kind.endswith("lw"):
        high, low = divmod(round(wire), 0x10000)
        data = struct.pack(TYPE_FORMATS[number], low, high)
    else:
        data = struct.pack(TYPE_FORMATS[number], round(wire))
    return list(struct.unpack(f">{len(data) // 2}H", data))


def to_slave(
    meter_map: MeterMap, values: Mapping[str, Callable[[], int]]
) -> dict[int, tuple[str, Callable[[], list[int]]]]:
    """Address to (type, getter of its registers) for every register of the map.

    `values` gives a getter in our units by quantity name; a quantity without one reads 0.
    """

    def getter(quantity: str, kind: str, multiplier: int) -> Callable[[], list[int]]:
        value = values.get(quantity)
        return lambda: encode(kind, value() if value else 0, multiplier)

    return {
        register.address: (
            register.type,
            getter(register.quantity, register.type, register.multiplier),
        )
        for register in meter_map.registers.values()
    }
