"""The load: exact integer energy, stopped by the relay, the same whenever it is asked."""

import random

import pytest

from host_tools.simulator.household import CURVES, Household, load_curve

START_S = 1_800_000_000
START_MS = START_S * 1000


def test_energy_is_the_exact_integral_of_the_curve():
    curve = [1, 1000, 0, 333]
    house = Household(curve, START_S, origin_s=START_S)
    # brute force in W·s over a year of four quarter hours, twice
    total = 0
    for second in range(2 * 4 * 900):
        assert house.wh(START_MS + second * 1000) == total // 3600
        assert house.pulses(START_MS + second * 1000, 3200) == total * 3200 // 3_600_000
        total += curve[second // 900 % 4]


def test_relay_stops_the_load_to_the_millisecond():
    house = Household([3600] * 4, START_S, origin_s=START_S, scale_permille=500)
    house.set_closed(False, START_MS + 2001)
    house.set_closed(False, START_MS + 3000)
    house.set_closed(True, START_MS + 100_000)
    assert house.total_mwms(START_MS + 50_000) == 1_800_000 * 2001
    assert house.power_mw(START_MS + 50_000) == house.current_ma(START_MS + 50_000) == 0
    assert house.total_mwms(START_MS + 100_999) == 1_800_000 * 3000
    assert house.current_ma(START_MS + 100_999) == 1_800_000 * 1000 // 230_000
    with pytest.raises(ValueError, match="goes back"):
        house.set_closed(False, START_MS)


def test_history_does_not_depend_on_when_it_is_asked():
    dice = random.Random(1)
    asked = Household(load_curve("family"), START_S)
    silent = Household(load_curve("family"), START_S)
    at_ms, closed = START_MS, True
    for _ in range(200):
        at_ms += dice.randrange(1, 5_000_000)
        asked.wh(at_ms)
        closed = not closed
        asked.set_closed(closed, at_ms)
        silent.set_closed(closed, at_ms)
    moments = [dice.randrange(START_MS, at_ms) for _ in range(200)]
    assert [asked.total_mwms(ms) for ms in moments] == [silent.total_mwms(ms) for ms in moments]
    assert [silent.wh(ms) for ms in sorted(moments)] == sorted(silent.wh(ms) for ms in moments)


@pytest.mark.parametrize(("name", "kwh"), list(zip(CURVES, (4173, 2700, 2672, 1319), strict=True)))
def test_curves_are_a_year_of_quarter_hours(name, kwh):
    curve = load_curve(name)
    assert len(curve) == 365 * 96
    year = Household(curve, START_S).wh((START_S + 365 * 86400) * 1000) / 1000
    assert abs(year - kwh) < 2
