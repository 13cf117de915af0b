"""Damaged tariff documents: each is refused in one line, or can be billed and told."""

import copy
import tomllib
from datetime import date, time
from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from host_tools import Refused, tariffs
from host_tools.rating import households, periods
from host_tools.rating.households import Household
from host_tools.tariffs import telling
from protocol import cbor, tariff_book
from tests.host_tools.bills import FILES, days, evenly
from tests.host_tools.test_tariff_command import FULL

TEXTS = [FULL, *(path.read_text(encoding="utf-8") for path in sorted(FILES.glob("*.toml")))]
ODD = (
    None, 0, 1, -1, 28, 1 << 70, 1.5, float("nan"), True, "", "0", "-0", "0.05", "1e3", "٣", "\n",
    "x" * 300, "24:00", "00:00-24:00", "energy", "month", "per_tier", [], [[]], ["0"], ["energy"],
    {}, {"a": 1}, {"flat": "1"}, [{}], [{"name": "a", "per_day": "1"}],
    date(2026, 1, 1), date(1, 1, 1), date(9999, 12, 31), time(1, 2),
)  # fmt: skip


def places(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Every table and list of a document, by its path."""
    found: list[tuple[object, ...]] = []
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in items:
        found.append((*path, key))
        if isinstance(each, dict | list):
            found += places(each, (*path, key))
    return found


def damaged(dice: Random, document: dict[str, object]) -> dict[str, object]:
    """One to three changes: a value, a key that is gone, another key, a value of elsewhere."""
    made: dict[str, object] = copy.deepcopy(document)
    for _ in range(dice.randrange(1, 4)):
        chosen = dice.choice(places(made))
        there: object = made
        for key in chosen[:-1]:
            there = there[key]  # type: ignore[index]
        what = dice.randrange(4)
        if what == 0 and isinstance(there, dict):
            del there[chosen[-1]]
        elif what == 1 and isinstance(there, dict):
            there[
                dice.choice(("zone", "line", "schedule", "alloc", "minimum_per_day", "weekk"))
            ] = copy.deepcopy(dice.choice(ODD))
        else:
            there[chosen[-1]] = copy.deepcopy(dice.choice(ODD))  # type: ignore[index]
        if not made:
            break
    return made


@settings(max_examples=300)
@given(st.integers(0, 1 << 32))
@example(0)
def test_a_damaged_document_is_refused_in_one_line_or_can_be_billed_and_told(seed: int) -> None:
    dice = Random(seed)
    document = tomllib.loads(dice.choice(TEXTS))
    try:
        found = tariffs.document_of(damaged(dice, document), "t.toml")
    except Refused as error:
        line = str(error)
        assert line.startswith("t.toml: ") and "\n" not in line and len(line) < 600, line
        return
    for language in ("en", "zh"):
        assert telling.sections(found, range(len(found.terms)), language)
    year, month = 2026, 3
    try:
        if len(found.book.rates) <= tariff_book.DATED_MAX:
            wire = cbor.encode(tariff_book.to_wire(found.book))
            assert tariff_book.from_wire(cbor.decode(wire)) == found.book
        bill = households.bill(found, Household(200_000), year, month)
        period = days(found, date(2026, 3, 1), 31)
        periods.rate(found, period, evenly(period, 0))
    except Refused as error:
        assert "\n" not in str(error)
        return
    assert bill.printed_ncur == sum(line.printed_ncur for line in bill.lines)
