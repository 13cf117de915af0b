"""Meter maps: every file decodes its examples, and every mistake in one is named."""

import struct
import tomllib

import pytest

from firmware.meters.reader import Meter, Registers
from firmware.meters.registers import decode
from host_tools.maps import MAPS, compile_map, encode, load, load_all, problems, to_slave
from protocol import cbor
from protocol.quantities import TYPE_FORMATS
from protocol.quantity_names import quantity_numbers, type_numbers
from protocol.units import BAD_FIELD, Malformed

ALL_MAPS = load_all()
TYPES = type_numbers()
EXTREMES = {
    "u16": (0, 0xFFFF),
    "s16": (-0x8000, 0x7FFF),
    "u32": (0, 0xFFFFFFFF),
    "s32": (-0x80000000, 0x7FFFFFFF),
    "u32lw": (0, 0xFFFFFFFF),
    "s32lw": (-0x80000000, 0x7FFFFFFF),
    "s64": (-(1 << 63), (1 << 63) - 1),
    "f32": (-(1 << 30), 1 << 30),
}


@pytest.fixture(params=sorted(ALL_MAPS))
def meter_map(request):
    return ALL_MAPS[request.param]


def decoded(words, at, register):
    data = struct.pack(f">{len(words)}H", *words)
    return decode(data, 2 * at, TYPES[register.type], register.multiplier)


def test_the_demo_meters_are_there():
    assert {"sdm120", "sdm230", "sdm630"} <= set(ALL_MAPS)


def test_every_file_is_without_problems():
    for path in MAPS.glob("*.toml"):
        assert problems(path) == []


def test_every_example_decodes_to_its_integers(meter_map):
    for example in meter_map.examples:
        for quantity, value in example.expect.items():
            register = meter_map.registers[quantity]
            at = register.address - example.address
            assert decoded(example.words, at, register) == value, quantity


def test_every_map_has_an_example_of_its_billing_register(meter_map):
    assert any("import_wh" in example.expect for example in meter_map.examples)


def test_every_register_decodes_both_sign_extremes(meter_map):
    for register in meter_map.registers.values():
        for raw in EXTREMES[register.type]:
            value = raw * register.multiplier
            if -(1 << 63) <= value < 1 << 63:
                assert decoded(encode(register.type, value, register.multiplier), 0, register) == (
                    value
                )


def test_every_type_is_encoded_and_decoded_alike_and_word_orders_differ():
    for kind in TYPES:
        for value in (*EXTREMES[kind], 1, 258, 12345):
            words = encode(kind, value, 1)
            data = struct.pack(f">{len(words)}H", *words)
            assert decode(data, 0, TYPES[kind], 1) == value, (kind, value)
    assert encode("u32", 0x10002, 1) == [1, 2]
    assert encode("u32lw", 0x10002, 1) == [2, 1]
    assert encode("s32lw", -2, 1) == [0xFFFE, 0xFFFF]


def test_no_float_register_accepts_nan_or_infinity(meter_map):
    for register in meter_map.registers.values():
        if register.type != "f32":
            continue
        for words in ((0x7FC0, 0), (0x7F80, 0), (0xFF80, 0)):
            with pytest.raises(Malformed):
                decoded(words, 0, register)


def test_a_compiled_map_survives_cbor_and_makes_a_meter(meter_map):
    compiled = cbor.decode(cbor.encode(compile_map(meter_map)))
    assert compiled == compile_map(meter_map)
    meter = Meter(Registers(compiled), meter_map.unit, None, None)
    assert meter.phases == meter_map.phases
    assert meter.resolution_wh == meter_map.energy_resolution_wh


def test_a_slave_serves_every_register_of_a_map(meter_map):
    values = {quantity: (lambda i=i: 1000 * i) for i, quantity in enumerate(meter_map.registers)}
    served = to_slave(meter_map, values)
    for i, (quantity, register) in enumerate(meter_map.registers.items()):
        kind, getter = served[register.address]
        assert kind == register.type
        assert decoded(getter(), 0, register) == 1000 * i, quantity
    silent = to_slave(meter_map, {})
    assert all(set(getter()) == {0} for _, getter in silent.values())


def test_numbers_of_quantities_and_types_never_move():
    numbers = quantity_numbers()
    assert numbers["import_wh"] == 1
    assert numbers["export_wh"] == 2
    assert numbers["total_l3_wh"] == 15
    assert numbers["power_mw"] == 64
    assert numbers["voltage_l1_mv"] == 72
    assert numbers["voltage_thd_mpct"] == 93
    assert numbers["serial_number"] == 192
    assert numbers["pt_ratio"] == 195
    assert len(set(numbers.values())) == len(numbers)
    assert list(TYPES) == ["u16", "s16", "u32", "s32", "u32lw", "s32lw", "s64", "f32"]
    sizes = [struct.calcsize(form) // 2 for form in TYPE_FORMATS]
    assert sizes == [0, 1, 1, 2, 2, 2, 2, 4, 2]


def test_the_named_numbers_of_the_module_agree_with_the_names():
    from protocol import quantities

    for name, number in quantity_numbers().items():
        assert getattr(quantities, name.upper(), number) == number
    assert TYPES["f32"] == quantities.F32


GOOD = (MAPS / "sdm120.toml").read_text(encoding="utf-8").replace("sdm120", "x")
IMPORT_ROW = 'import_wh = { address = 0x0048, type = "f32", multiplier = 1000 }'

MISTAKES = (
    ('name = "x"', 'name = "y"', 'x.toml: name: is "y"; use "x", as the file'),
    ("phases = 1", "phases = 2", "x.toml: phases: is 2; use 1 or 3"),
    ("phases = 1", "", "x.toml: phases: missing; add 1 or 3"),
    ("phases = 1", "phases = true", "x.toml: phases: is True; use 1 or 3"),
    ("function = 4", "function = 6", "x.toml: function: is 6; use 3 or 4"),
    ("function = 4", "function = 4\ncolour = 1", "x.toml: colour: unknown; remove it"),
    ("baud = 2400", "baud = 2401", "x.toml: serial.baud: is 2401; use a usual baud rate"),
    ("unit = 1", "unit = 248", "x.toml: serial.unit: is 248; use 1 to 247"),
    ("gap_max = 6", "gap = 6", "x.toml: blocks.gap: unknown"),
    ("gap_max = 6", 'gap_max = "6"', "x.toml: blocks.gap_max: is '6'; use 0 to 79"),
    ("energy_resolution_wh = 0", "energy_resolution_wh = 10", "x.toml: energy_resolution_wh: c"),
    ("frequency_mhz = { a", "frequency_hz = { a", "x.toml: registers.frequency_hz: unknown"),
    (IMPORT_ROW, "import_wh = 72", "x.toml: registers.import_wh: not a table; give address"),
    (IMPORT_ROW, "", "x.toml: registers.import_wh: missing; add the import energy register"),
    ("0x0048, type", "0x10048, type", "x.toml: registers.import_wh.address: is 65608; use"),
    ("0x0048, type", "0x0047, type", "x.toml: registers.import_wh: overlaps frequency_mhz"),
    ("0x0158, type", "0xFFFF, type", "x.toml: registers.total_varh: beyond 0xFFFF"),
    ('0x0048, type = "f32"', '0x0048, type = "f64"', "x.toml: registers.import_wh.type: is"),
    ("multiplier = 1000 }", "multiplier = 0.1 }", "x.toml: registers.voltage_mv.multiplier: is"),
    ("multiplier = 1000 }", "multiplier = 1000, x = 1 }", "x.toml: registers.voltage_mv.x: unk"),
    ('origin = "quoted"', 'origin = "guessed"', "x.toml: example 1.origin: is 'guessed'"),
    ("note = ", "remark = ", "x.toml: example 1.note: missing; add who captured it"),
    ("words = [0x4366, 0x3334]", "words = [0x4366]", "x.toml: example 1.expect.voltage_mv: not w"),
    ("words = [0x4366, ", "words = [0x14366, ", "x.toml: example 1.words: a word is not 0 to"),
    ("expect = { voltage_mv = 230200 }", "expect = {}", "x.toml: example 1.expect: empty"),
    ("{ voltage_mv = 230200 }", "{ voltage_mv = 230.2 }", "x.toml: example 1.expect.voltage_mv"),
    ("{ voltage_mv = 230200 }", "{ pt_ratio = 1 }", "x.toml: example 1.expect.pt_ratio: not in"),
    ("[[example]]", "[example]", "x.toml: not readable as TOML"),
    ("[serial]", "[serial", "x.toml: not readable as TOML"),
    ('name = "x"', 'name = "x"\nbase = "z"', "x.toml: base: name another map"),
    ('name = "x"', 'name = "x"\nbase = "x"', "x.toml: base: name another map"),
)


def test_every_mistake_is_one_line_with_file_key_and_remedy(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(GOOD)
    assert problems(path) == []
    for old, new, line in MISTAKES:
        assert old in GOOD, old
        path.write_text(GOOD.replace(old, new, 1))
        found = problems(path)
        assert any(text.startswith(line) for text in found), (new, found)
        assert all("\n" not in text for text in found), found
        with pytest.raises(Malformed) as caught:
            load(path)
        assert caught.value.reason == BAD_FIELD


def test_a_map_of_notepad_is_read_and_another_encoding_names_the_remedy(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(GOOD, encoding="utf-8-sig")
    assert problems(path) == []
    path.write_text(f"# 电表\n{GOOD}", encoding="gbk")
    assert problems(path) == ["x.toml: is not UTF-8; save it as UTF-8 请另存为 UTF-8"]


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(GOOD.replace("phases = 1", "phases = 2").replace("baud = 2400", "baud = 1"))
    assert len(problems(path)) == 2


def test_an_unreadable_file_is_a_problem_not_a_traceback(tmp_path):
    path = tmp_path / "x.toml"
    assert len(problems(path)) == 1
    path.write_bytes(b"\xff\xfe")
    assert len(problems(path)) == 1


def test_a_variant_extends_its_base_but_brings_its_own_sources_and_examples(tmp_path):
    (tmp_path / "x.toml").write_text(GOOD)
    path = tmp_path / "y.toml"
    path.write_text('name = "y"\nbase = "x"\nimax_ma = 5\n')
    assert problems(path) == [
        "y.toml: source: missing; add at least one [[source]]",
        "y.toml: example: missing; add at least one [[example]]",
    ]
    variant, base = ALL_MAPS["sdm230"], ALL_MAPS["sdm120"]
    assert set(variant.registers) - set(base.registers) == {"phase_angle_mdeg"}
    assert variant.baud == base.baud


def test_the_readme_lists_every_key():
    text = (MAPS / "README.md").read_text(encoding="utf-8")
    for path in MAPS.glob("*.toml"):
        for key in tomllib.loads(path.read_text(encoding="utf-8")):
            assert key in text, key
