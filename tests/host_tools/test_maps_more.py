"""Maps beyond the demo meters: what each is shipped for, and what must never be shipped."""

import struct

import pytest

from firmware.meters import modbus
from firmware.meters.readings import ALL, ENERGY, OK, check_total, in_group, step_wh
from firmware.meters.registers import blocks, decode
from host_tools.maps import MAPS, load_all
from protocol.quantity_names import quantity_numbers, type_numbers
from protocol.units import BAD_FIELD, Malformed

ALL_MAPS = load_all()
NUMBERS, TYPES = quantity_numbers(), type_numbers()

# (function, phases, billing register, its type and multiplier, its step in Wh)
BILLED = {
    "ddsu666": (3, 1, 0x4000, "f32", 1000, 0),
    "dtsu666": (3, 3, 0x101E, "f32", 1000, 0),
    "iem3155": (3, 3, 0x0C83, "s64", 1, 1),
    "em340": (4, 3, 0x0034, "s32lw", 100, 100),
    "pzem004t_v3": (4, 1, 0x0005, "u32lw", 1, 1),
}

# Frames as published, with their CRC: the words of an example must be their data.
FRAMES = {
    ("ddsu666", 0x2000): (
        "03 03 20 43 75 E6 66 3F BD D2 F2 BE 97 8D 50 3E 4E 21 96 3E B7 31 90 BF 53 74 BC"
        " 00 00 00 00 42 47 E1 48 DE DF"
    ),
    ("ddsu666", 0x4000): (
        "03 03 18 44 18 BE B8 44 18 BE B8 00 00 00 00 00 00 00 00 00 00 00 00 43 A8 5E B8 4D 2F"
    ),
    ("pzem004t_v3", 0x0000): (
        "01 04 14 08 D1 00 6C 00 00 00 F4 00 00 00 26 00 00 01 F4 00 64 00 00 51 34"
    ),
}


def plan(meter_map, group):
    """[address, count] of every request for a group of quantities."""
    registers = [
        (NUMBERS[row.quantity], row.address, TYPES[row.type], row.multiplier, row.size)
        for row in meter_map.registers.values()
        if in_group(NUMBERS[row.quantity], group)
    ]
    return [row[:2] for row in blocks(registers, meter_map.gap_max, meter_map.registers_max)]


@pytest.mark.parametrize("name", BILLED)
def test_the_billing_register_is_where_the_document_has_it(name):
    meter_map = ALL_MAPS[name]
    register = meter_map.registers["import_wh"]
    assert BILLED[name] == (
        meter_map.function,
        meter_map.phases,
        register.address,
        register.type,
        register.multiplier,
        meter_map.energy_resolution_wh,
    )
    assert meter_map.status == "supported"


@pytest.mark.parametrize(("name", "address"), FRAMES)
def test_a_quoted_example_is_the_data_of_a_whole_published_frame(name, address):
    frame = bytes.fromhex(FRAMES[name, address])
    examples = [row for row in ALL_MAPS[name].examples if row.origin == "quoted"]
    words = next(row.words for row in examples if row.address == address)
    data = modbus.parse(frame, frame[0], ALL_MAPS[name].function, len(words))
    assert data == struct.pack(f">{len(words)}H", *words)


def test_every_quoted_example_of_these_maps_has_its_frame():
    quoted = {
        (name, row.address)
        for name in BILLED
        for row in ALL_MAPS[name].examples
        if row.origin != "constructed"
    }
    assert quoted == set(FRAMES)


def test_low_word_first_maps_have_an_example_that_the_other_order_reads_differently():
    for name, meter_map in ALL_MAPS.items():
        if not meter_map.registers["import_wh"].type.endswith("lw"):
            continue
        register = meter_map.registers["import_wh"]
        swapped = TYPES[register.type.removesuffix("lw")]
        differing = []
        for example in meter_map.examples:
            if "import_wh" in example.expect:
                data = struct.pack(f">{len(example.words)}H", *example.words)
                at = 2 * (register.address - example.address)
                other = decode(data, at, swapped, register.multiplier)
                differing.append(other != example.expect["import_wh"])
        assert any(differing), name


def test_energy_is_one_small_request_and_everything_a_few():
    # Requests for ALL as the documents suggest them; an address and a count each.
    assert plan(ALL_MAPS["ddsu666"], ALL) == [[0x2000, 16], [0x4000, 12]]
    assert plan(ALL_MAPS["pzem004t_v3"], ALL) == [[0x0000, 9]]
    assert plan(ALL_MAPS["dtsu666"], ALL) == [
        [0x101E, 18],
        [0x2006, 28],
        [0x202A, 8],
        [0x2044, 2],
    ]
    for name, meter_map in ALL_MAPS.items():
        register = meter_map.registers["import_wh"]
        assert plan(meter_map, ENERGY) == [[register.address, register.size]], name


def test_no_request_of_a_map_without_gaps_touches_an_unlisted_register():
    for name in ("iem3155", "em340", "pzem004t_v3"):
        meter_map = ALL_MAPS[name]
        listed = {
            address
            for row in meter_map.registers.values()
            for address in range(row.address, row.address + row.size)
        }
        for address, count in plan(meter_map, ALL):
            assert set(range(address, address + count)) <= listed
            assert count <= meter_map.registers_max


def test_three_phase_maps_give_the_phases_so_that_the_worst_can_be_found():
    # A mean without a phase would hide an overloaded phase; see reader.reading().
    for name, meter_map in ALL_MAPS.items():
        if meter_map.phases == 3:
            assert not {"voltage_mv", "current_ma"} & set(meter_map.registers), name
            for phase in ("l1", "l2", "l3"):
                assert f"voltage_{phase}_mv" in meter_map.registers, name
                assert f"current_{phase}_ma" in meter_map.registers, name


def test_a_coarse_step_is_plausible_at_once_and_two_are_not():
    # 100 Wh steps at 3 kW come every two minutes: 100 ms after the last poll one may be due.
    meter_map = ALL_MAPS["em340"]
    step = step_wh(1000000, meter_map.energy_resolution_wh)
    limit_mw = meter_map.imax_ma * 230 * 3
    assert step == 100
    assert check_total(1000000, 1000100, 100, limit_mw, step) == OK
    assert check_total(1000000, 1000200, 100, limit_mw, step) != OK


def test_the_total_of_a_pzem_cannot_be_reset_from_here():
    with pytest.raises(Malformed) as caught:
        modbus.read_request(1, 0x42, 0, 1)
    assert caught.value.reason == BAD_FIELD
    assert "not a billing-grade meter" in ALL_MAPS["pzem004t_v3"].title


def test_meters_without_a_citable_map_are_not_shipped():
    for path in MAPS.glob("*.toml"):
        assert not path.stem.startswith(("adl", "adw", "dtsu666_ct", "dtsu666-ct")), path
