"""Maps beyond the demo meters: what each is shipped for, and what must never be shipped."""

import asyncio
import struct

import pytest

from firmware.meters import modbus
from firmware.meters.reader import INVALID, Meter, Registers
from firmware.meters.readings import ALL, ENERGY, LIVE, OK, check_total, in_group, step_wh
from firmware.meters.registers import blocks, decode
from host_tools.maps import MAPS, compile_map, encode, load_all
from protocol.quantity_names import quantity_numbers, type_numbers
from protocol.units import BAD_FIELD, Malformed, Unavailable

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

F1000 = ("f32", 1000)
SDM_SINGLE = {
    "voltage_mv": (0x0000, *F1000), "current_ma": (0x0006, *F1000),
    "power_mw": (0x000C, *F1000), "apparent_mva": (0x0012, *F1000),
    "reactive_mvar": (0x0018, *F1000), "power_factor_permille": (0x001E, *F1000),
    "frequency_mhz": (0x0046, *F1000), "import_wh": (0x0048, *F1000),
    "export_wh": (0x004A, *F1000), "import_varh": (0x004C, *F1000),
    "export_varh": (0x004E, *F1000), "total_wh": (0x0156, *F1000),
    "total_varh": (0x0158, *F1000),
}  # fmt: skip


def phased(name: str, first: int, step: int, kind: str, multiplier: int) -> dict[str, tuple]:
    """The registers of three phases: the phase stands before the unit, or before what is of it."""
    head, _, unit = name.rpartition("_")
    return {
        f"{head}_l{phase}_{unit}": (first + step * (phase - 1), kind, multiplier)
        for phase in (1, 2, 3)
    }


# Every quantity that the documents list, retyped: address, type and multiplier.
LISTED = {
    "sdm120": SDM_SINGLE,
    "sdm230": SDM_SINGLE | {"phase_angle_mdeg": (0x0024, *F1000)},
    "sdm630": {
        **phased("voltage_mv", 0x0000, 2, *F1000), **phased("current_ma", 0x0006, 2, *F1000),
        **phased("power_mw", 0x000C, 2, *F1000), **phased("apparent_mva", 0x0012, 2, *F1000),
        **phased("reactive_mvar", 0x0018, 2, *F1000),
        **phased("power_factor_permille", 0x001E, 2, *F1000),
        "power_mw": (0x0034, *F1000), "apparent_mva": (0x0038, *F1000),
        "reactive_mvar": (0x003C, *F1000), "power_factor_permille": (0x003E, *F1000),
        "phase_angle_mdeg": (0x0042, *F1000), "frequency_mhz": (0x0046, *F1000),
        "import_wh": (0x0048, *F1000), "export_wh": (0x004A, *F1000),
        "import_varh": (0x004C, *F1000), "export_varh": (0x004E, *F1000),
        "total_wh": (0x0156, *F1000), **phased("import_wh", 0x015A, 2, *F1000),
        **phased("export_wh", 0x0160, 2, *F1000), **phased("total_wh", 0x0166, 2, *F1000),
        **phased("voltage_thd_mpct", 0x00EA, 2, *F1000), "voltage_thd_mpct": (0x00F8, *F1000),
    },
    "dtsu666": {
        **phased("voltage_mv", 0x2006, 2, "f32", 100), **phased("current_ma", 0x200C, 2, "f32", 1),
        "power_mw": (0x2012, "f32", 100), **phased("power_mw", 0x2014, 2, "f32", 100),
        "reactive_mvar": (0x201A, "f32", 100), **phased("reactive_mvar", 0x201C, 2, "f32", 100),
        "power_factor_permille": (0x202A, "f32", 1),
        **phased("power_factor_permille", 0x202C, 2, "f32", 1),
        "frequency_mhz": (0x2044, "f32", 10), "import_wh": (0x101E, *F1000),
        **phased("import_wh", 0x1020, 2, *F1000), "export_wh": (0x1028, *F1000),
        **phased("export_wh", 0x102A, 2, *F1000),
    },
    "ddsu666": {
        "voltage_mv": (0x2000, *F1000), "current_ma": (0x2002, *F1000),
        "power_mw": (0x2004, "f32", 1000000), "reactive_mvar": (0x2006, "f32", 1000000),
        "power_factor_permille": (0x200A, *F1000), "frequency_mhz": (0x200E, *F1000),
        "import_wh": (0x4000, *F1000), "export_wh": (0x400A, *F1000),
    },
    "iem3155": {
        **phased("voltage_mv", 0x0BD3, 2, *F1000), **phased("current_ma", 0x0BB7, 2, *F1000),
        **phased("power_mw", 0x0BED, 2, "f32", 1000000), "power_mw": (0x0BF3, "f32", 1000000),
        "reactive_mvar": (0x0BFB, "f32", 1000000), "apparent_mva": (0x0C03, "f32", 1000000),
        "frequency_mhz": (0x0C25, *F1000), "import_wh": (0x0C83, "s64", 1),
        **phased("import_wh", 0x0DBD, 4, "s64", 1), "export_wh": (0x0C87, "s64", 1),
        "import_varh": (0x0C93, "s64", 1), "export_varh": (0x0C97, "s64", 1),
    },
    "em340": {
        **phased("voltage_mv", 0x00, 2, "s32lw", 100), **phased("current_ma", 0x0C, 2, "s32lw", 1),
        **phased("power_mw", 0x12, 2, "s32lw", 100), "power_mw": (0x28, "s32lw", 100),
        **phased("power_factor_permille", 0x2E, 1, "s16", 1),
        "power_factor_permille": (0x31, "s16", 1), "frequency_mhz": (0x33, "s16", 100),
        "import_wh": (0x34, "s32lw", 100), **phased("import_wh", 0x40, 2, "s32lw", 100),
        "export_wh": (0x4E, "s32lw", 100),
    },
    "pzem004t_v3": {
        "voltage_mv": (0x0000, "u16", 100), "current_ma": (0x0001, "u32lw", 1),
        "power_mw": (0x0003, "u32lw", 100), "import_wh": (0x0005, "u32lw", 1),
        "frequency_mhz": (0x0007, "u16", 100), "power_factor_permille": (0x0008, "u16", 10),
    },
}  # fmt: skip

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


@pytest.mark.parametrize("name", sorted(ALL_MAPS))
def test_every_quantity_that_the_documents_list_is_in_the_map_and_no_other(name):
    found = {
        row.quantity: (row.address, row.type, row.multiplier)
        for row in ALL_MAPS[name].registers.values()
    }
    assert found == LISTED[name]


@pytest.mark.parametrize("name", sorted(ALL_MAPS))
def test_voltage_current_power_and_energy_come_within_a_second_at_the_factory_baud(name):
    """Request, 50 ms of the meter, answer and the pause between frames, at 11 bits a byte."""
    meter_map = ALL_MAPS[name]
    requests = plan(meter_map, LIVE)
    characters = sum(8 + 5 + 2 * count + 4 for _, count in requests)
    assert characters * 11_000 // meter_map.baud + 50 * len(requests) < 900
    assert len(requests) <= 5


@pytest.mark.parametrize("name", sorted(ALL_MAPS))
def test_a_negative_total_of_any_map_is_refused(name):
    """Wherever the type can hold one: through the module's own reader."""
    register = ALL_MAPS[name].registers["import_wh"]
    if register.type.startswith("u"):
        return
    words = encode(register.type, -register.multiplier, register.multiplier)

    class Bus:
        async def request(self, unit, function, address, count):
            return struct.pack(f">{count}H", *words)

    meter = Meter(Registers(compile_map(ALL_MAPS[name])), 1, Bus(), lambda: 0)
    with pytest.raises(Unavailable) as caught:
        asyncio.run(meter.read())
    assert caught.value.args == (INVALID,)


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
