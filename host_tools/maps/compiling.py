"""A meter map as the module gets it: integer keys, ready for protocol.cbor."""

from host_tools.maps.loading import MeterMap
from protocol.quantities import (
    MAP_FUNCTION,
    MAP_GAP_MAX,
    MAP_NAME,
    MAP_PHASES,
    MAP_REGISTERS,
    MAP_REGISTERS_MAX,
    MAP_RESOLUTION_WH,
)
from protocol.quantity_names import quantity_numbers, type_numbers


def compile_map(meter_map: MeterMap) -> dict[int, object]:
    """What firmware.meters.reader.Meter takes; registers by rising address."""
    quantities, types = quantity_numbers(), type_numbers()
    registers = sorted(meter_map.registers.values(), key=lambda register: register.address)
    return {
        MAP_NAME: meter_map.name,
        MAP_FUNCTION: meter_map.function,
        MAP_PHASES: meter_map.phases,
        MAP_RESOLUTION_WH: meter_map.energy_resolution_wh,
        MAP_REGISTERS: [
            [
                quantities[register.quantity],
                register.address,
                types[register.type],
                register.multiplier,
            ]
            for register in registers
        ],
        MAP_GAP_MAX: meter_map.gap_max,
        MAP_REGISTERS_MAX: meter_map.registers_max,
    }
