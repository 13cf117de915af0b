"""`gridpurse maps`: files are checked, tables become drafts, live meters are read side by side."""

import contextlib
import os
import pty
import threading
import tomllib
import tty

import pytest
from pymodbus.simulator import DataType, SimData, SimDevice

from firmware.meters.registers import decode
from host_tools import cli
from host_tools.faults import DEVICE, WRONG, Fault
from host_tools.maps import MAPS, compile_map, encode, load, load_all, problems, trying
from host_tools.maps import faults as kinds
from host_tools.maps.asking import Place, Refusal, Silent
from protocol import cbor
from protocol.quantity_names import type_numbers
from tests.firmware.test_meter_serial import NullModem, device, slaves
from tests.firmware.test_modbus_tcp_gateway import gateway

TABLE = """quantity,address,type,unit,scale,remark
import_wh,0x0034,s32lw,kWh,0.1,what is billed
voltage_l1_mv,0,s32lw,V,0.1,
frequency_mhz,51,s16,Hz,0.1,
"""
NEW = (
    *("--title", "ACME X1, three-phase", "--source", "Manual 1.2"),
    *("--link", "https://acme.example/x1", "--imax-ma", "60000", "--function", "4"),
    *("--phases", "3"),
)
VALUES = {"import_wh": lambda: 1_234_500, "voltage_l1_mv": lambda: 230_200}
PATIENT = ("--timeout-ms", 30000)  # where everybody answers, on a machine that stalls


@pytest.fixture
def maps(capsys):
    def run(*words):
        code = cli.main(["maps", *map(str, words)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def draft(tmp_path, maps):
    (tmp_path / "acme_x1.csv").write_text(TABLE, encoding="utf-8")
    code, out, _ = maps("new", tmp_path / "acme_x1.csv", *NEW)
    assert code == 0 and "gridpurse maps try" in out
    return tmp_path / "acme_x1.toml"


def test_all_shipped_maps_pass_and_a_wrong_one_is_named(maps, tmp_path):
    code, out, _ = maps("check")
    assert code == 0 and out.count("ok 正确") == len(load_all())
    bad = tmp_path / "sdm120.toml"
    text = (MAPS / "sdm120.toml").read_text(encoding="utf-8")
    bad.write_text(text.replace("multiplier = 1000", "multiplier = 100"), encoding="utf-8")
    code, out, _ = maps("check", bad)
    assert code == 1 and "the words say" in out


def test_the_compiled_map_is_what_provisioning_writes(maps, tmp_path):
    out = tmp_path / "x.cbor"
    assert maps("compile", MAPS / "em340.toml", "--out", out)[0] == 0
    assert cbor.decode(out.read_bytes()) == compile_map(load(MAPS / "em340.toml"))


def test_the_hosts_decoder_and_the_modules_agree_on_every_example():
    for meter_map in load_all().values():
        for example in meter_map.examples:
            data = b"".join(word.to_bytes(2, "big") for word in example.words)
            for quantity in example.expect:
                register = meter_map.registers[quantity]
                at = register.address - example.address
                words = example.words[at : at + register.size]
                number = type_numbers()[register.type]
                assert trying.decoded(words, register) == decode(
                    data, 2 * at, number, register.multiplier
                )


def test_a_table_becomes_a_draft_that_only_lacks_examples(draft):
    assert [line.split(":")[1] for line in problems(draft)] == [" example"]
    meter_map = load(draft, draft=True)
    assert meter_map.registers["import_wh"].multiplier == 100
    assert meter_map.energy_resolution_wh == 100
    assert meter_map.registers["voltage_l1_mv"].multiplier == 100
    assert meter_map.registers["frequency_mhz"].address == 51
    assert (meter_map.status, meter_map.imax_ma) == ("experimental", 60000)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    (
        ("import_wh", "imports_wh", "row 2: quantity 'imports_wh': use a name of"),
        ("s32lw,V", "int32,V", "row 3: type 'int32': use one of"),
        ("0x0034", "40053x", "row 2: address '40053x': use 0 to 65535"),
        ("kWh,0.1", "kWh,0.0001", "row 2: one count is 1/10 of our unit, no whole number"),
        ("kWh,0.1", "kW,0.1", "row 2: unit 'kW': use one of Wh, kWh, MWh"),
        ("V,0.1", "V,ten", "row 3: multiplier or scale is no number"),
        ("voltage_l1_mv,0,s32lw,V", "import_wh,0,s32lw,kWh", "import_wh: in two rows"),
        ("import_wh", "export_wh", "no row import_wh; add the import energy register"),
        ("quantity,", "what,", "row 1: no column quantity"),
    ),
)
def test_a_mistake_in_a_table_is_one_line_with_its_row(maps, tmp_path, old, new, said):
    path = tmp_path / "t.csv"
    path.write_text(TABLE.replace(old, new, 1), encoding="utf-8")
    code, _, err = maps("new", path, *NEW)
    assert code == 2 and said in err and err.count("\n") == 1
    assert not (tmp_path / "t.toml").exists()


def test_a_draft_is_not_written_over_a_file(draft, maps):
    before = draft.read_bytes()
    code, _, err = maps("new", draft.with_suffix(".csv"), *NEW)
    assert code == 2 and "is there already" in err and draft.read_bytes() == before


def test_a_live_meter_is_shown_side_by_side_and_captured(draft, maps):
    meter_map = load(draft, draft=True)
    with gateway([device(7, meter_map, VALUES)], True) as port:
        where = ("--tcp", f"127.0.0.1:{port}", "--unit", 7, *PATIENT)
        code, out, err = maps("try", draft, *where, "--write", "--note", 'Li at the "pump"')
        assert code == 0, err
    row = next(line for line in out.split("\n") if "import_wh " in line)
    assert row.split() == [
        "0034",
        "3039",
        "0000",
        "s32lw",
        "import_wh",
        "1234500",
        "1234.5",
        "kWh",
    ]
    assert problems(draft) == [] and maps("check", draft)[0] == 0
    tree = tomllib.loads(draft.read_text(encoding="utf-8"))
    assert {row["origin"] for row in tree["example"]} == {"captured"}
    assert tree["example"][0]["note"].startswith('Li at the "pump", 20')
    expected = {key: value for row in tree["example"] for key, value in row["expect"].items()}
    assert expected["import_wh"] == 1_234_500 and expected["voltage_l1_mv"] == 230_200


@pytest.mark.parametrize("name", sorted(load_all()))
def test_every_shipped_map_reads_a_meter_on_a_serial_line(name, maps):
    meter_map = load_all()[name]
    modem = NullModem()
    try:
        with slaves(modem.ends[0], [device(meter_map.unit, meter_map, VALUES)]):
            code, out, err = maps("try", name, "--serial", modem.ends[1], *PATIENT)
    finally:
        modem.close()
    assert code == 0, err
    assert all(f" {quantity} " in out for quantity in meter_map.registers)


def line_of(err):
    assert err.count("\n") == 1, err
    return err


def said(maps, part, *words):
    """(code, line) of an attempt that says so; the second is for a machine that stalls."""
    for timeout_ms in (1000, 10000):
        code, _, err = maps("try", *words, "--timeout-ms", timeout_ms)
        if part in err:
            break
    assert part in line_of(err)
    return code, err


def test_a_silent_meter_and_a_wrong_unit_are_told_apart(maps):
    meter_map = load_all()["iem3155"]
    with gateway([device(3, meter_map, {})], True) as port:
        code, _ = said(maps, "use --unit 3", "iem3155", "--tcp", f"127.0.0.1:{port}")
        assert code == WRONG
    with gateway([device(200, meter_map, {})], True) as port:
        where = ("--tcp", f"127.0.0.1:{port}", "--timeout-ms", 100)
        code, _, err = maps("try", "iem3155", *where)
        assert code == DEVICE and "swap A and B" in line_of(err) and "无应答" in err
    code, _, err = maps("try", "iem3155", "--tcp", f"127.0.0.1:{port}")
    assert code == DEVICE and "no connection" in line_of(err)


def test_a_gateway_that_says_its_meter_is_silent_is_believed(maps):
    with gateway([device(200, load_all()["iem3155"], {})], False) as port:
        code, _, err = maps("try", "iem3155", "--tcp", f"127.0.0.1:{port}", *PATIENT)
    assert code == DEVICE and "swap A and B" in line_of(err)


def test_another_meter_refuses_and_its_exception_is_in_words(maps):
    other = SimDevice(1, SimData(0x7000, values=[0] * 4, datatype=DataType.REGISTERS))
    with gateway([other], True) as port:
        code, _, err = maps("try", "sdm120", "--tcp", f"127.0.0.1:{port}", *PATIENT)
    assert code == WRONG and "exception 异常 2: no such register" in line_of(err)


def test_some_refused_registers_are_rows_and_the_rest_is_read(maps, draft):
    part = load(draft, draft=True)
    smaller = SimDevice(1, SimData(0, values=[0] * 0x33, datatype=DataType.REGISTERS))
    with gateway([smaller], True) as port:
        code, out, _ = maps("try", draft, "--tcp", f"127.0.0.1:{port}", *PATIENT)
    assert code == 1 and "异常 2" in out and len(part.registers) == 3


def test_noise_is_not_taken_for_silence(maps):
    master, slave = pty.openpty()
    tty.setraw(slave)

    def answer():
        with contextlib.suppress(OSError):  # of a terminal that nobody has open any more
            while os.read(master, 64):
                os.write(master, bytes(range(1, 30)))

    noise = threading.Thread(target=answer)
    noise.start()
    try:
        code, err = said(maps, "cannot be read", "sdm120", "--serial", os.ttyname(slave))
    finally:
        os.close(slave)
        noise.join()
        os.close(master)
    assert code == DEVICE and "termination" in err


class Bus:
    """A serial meter that understands one speed only."""

    def __init__(self, place, only):
        self.right = (place.baud, place.parity) == only

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def read(self, function, address, count, unit):
        if not self.right:
            raise Silent
        raise Refusal(2)


def test_a_meter_at_another_speed_is_found_and_the_option_named():
    meter_map = load_all()["sdm120"]
    place = Place(device="/dev/ttyUSB0", baud=2400, parity="N")
    with pytest.raises(Fault) as raised:
        trying.read_all(meter_map, place, 1, lambda at: Bus(at, (9600, "E")))
    assert raised.value.kind is kinds.OTHER_SPEED
    assert "use --baud 9600 --parity E" in str(raised.value)


def test_a_port_that_is_not_there_is_the_same_line_as_for_flash(maps):
    code, _, err = maps("try", "sdm120", "--serial", "/dev/ttyUSB99")
    assert code == WRONG and "there is no such port" in line_of(err)


def test_a_float_that_is_none_is_shown_as_such():
    register = load_all()["sdm120"].registers["import_wh"]
    assert trying.decoded((0x7FC0, 0), register) is None
    assert trying.decoded((0xFF80, 0), register) is None
    assert trying.decoded(tuple(encode("f32", -1500, 1000)), register) == -1500
