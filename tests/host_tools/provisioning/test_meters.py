"""What a meter's answers mean at commissioning: values, and what is no sound installation."""

import struct

import pytest

from host_tools.faults import Fault, Kind
from host_tools.maps import encode
from host_tools.provisioning import meters
from host_tools.provisioning.faults import PHASES, SILENT, VALUES
from host_tools.provisioning.order import Meter, meter_of
from host_tools.simulator.rs485 import crc16

SOUND = {
    "import_wh": 1_234_567,
    **{f"voltage_l{phase}_mv": 230_000 for phase in (1, 2, 3)},
    **{f"power_l{phase}_mw": 500_000 for phase in (1, 2, 3)},
    "power_mw": 1_500_000,
    "frequency_mhz": 50_000,
}


def answers(meter: Meter, shown: dict[str, int]) -> list[bytes]:
    """As a real meter would send them."""
    assert meter.family
    out = []
    for register, (frame, count) in zip(
        meters.wanted(meter.family), meters.requests(meter), strict=True
    ):
        words = encode(register.type, shown[register.quantity], register.multiplier)
        body = struct.pack(">BBB", meter.unit, meter.family.function, 2 * len(words))
        body += struct.pack(f">{len(words)}H", *words)
        body = frame[:6] + body if meter.tcp else body + struct.pack("<H", crc16(body))
        assert len(body) == count
        out.append(body)
    return out


@pytest.mark.parametrize("name", ("sdm630:3", "em340", "iem3155", "dtsu666", "tcp:em340"))
def test_every_three_phase_family_is_read_as_its_map_says(name: str) -> None:
    meter = meter_of(name)
    seen = meters.values(meter, answers(meter, SOUND))
    for quantity, value in seen.items():
        assert abs(value - SOUND[quantity]) <= 100, quantity
    meters.judge(0, meter, seen, loaded=True)


@pytest.mark.parametrize(
    ("change", "loaded", "kind"),
    (
        ({"voltage_l2_mv": 0}, False, PHASES),
        ({"voltage_l3_mv": 300_000}, False, VALUES),
        ({"frequency_mhz": 0}, False, VALUES),
        ({"power_l2_mw": -500_000}, True, PHASES),
        ({"power_l2_mw": -500_000}, False, None),
        ({"power_l2_mw": -5_000}, True, None),
    ),
)
def test_a_wrong_phase_is_named_and_noise_is_not(
    change: dict[str, int], loaded: bool, kind: Kind | None
) -> None:
    meter = meter_of("sdm630")
    seen = meters.values(meter, answers(meter, {**SOUND, **change}))
    if kind is None:
        meters.judge(0, meter, seen, loaded=loaded)
        return
    with pytest.raises(Fault) as fault:
        meters.judge(0, meter, seen, loaded=loaded)
    assert fault.value.kind == kind
    if kind == PHASES:
        assert "L2" in str(fault.value)


def test_damaged_and_foreign_answers_count_as_none() -> None:
    meter = meter_of("sdm630:3")
    sound = answers(meter, SOUND)
    for damage in (
        lambda frame: frame[:-1],
        lambda frame: frame[:-1] + bytes((frame[-1] ^ 1,)),
        lambda frame: b"",
        lambda frame: b"\x03\x84\x02" + struct.pack("<H", crc16(b"\x03\x84\x02")),
    ):
        assert meters.values(meter, [damage(frame) for frame in sound]) == {}
    assert meters.values(meter_of("sdm630:4"), sound) == {}
    nan = sound[0][:3] + b"\x7f\xc0\0\0"
    assert meters.values(meter, [nan + struct.pack("<H", crc16(nan))]) == {}
    with pytest.raises(Fault) as fault:
        meters.judge(0, meter, {}, loaded=False)
    assert fault.value.kind == SILENT
