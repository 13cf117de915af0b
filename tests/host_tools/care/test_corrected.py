"""Readings corrected around an exchange: the customer pays what one module would charge."""

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from protocol import codes, ledger, tariff
from protocol.tariff import Position
from protocol.units import DAY_S
from tests.host_tools.care.street import NEW, OLD, OPENED_S, Street, alike, begun, opened, used

BY = ("--by", "Li Na", "--reason", "photo of the display")
MONTH_OVER_S = OPENED_S + 32 * DAY_S


def iso(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def metered(street: Street, at_s: int, energy_wh: int) -> None:
    """One reading of the new module, up to an instant."""
    new = street.new
    new.charge(new.state.register_wh + energy_wh, at_s)
    alike(street, at_s, energy_wh)


def charges(street: Street, module: str) -> list[ledger.Entry]:
    entries = street.modules[module].ledger.entries
    return [entry for entry in entries if entry.kind == ledger.CHARGE]


def corrected(street: Street, module: str, entry: ledger.Entry, wh: int) -> None:
    """A person decides what a charge of a module was."""
    start_s = street.modules[module].ledger.states[entry.seq - 1].time_s
    span = ("--from", iso(start_s), "--to", iso(entry.time_s))
    told = street.done("review", "open", module, 0, *span, *BY)
    street.done("review", "edit", told["review"], "--set", f"{iso(start_s)}={wh}", *BY)


def owed_ncur(street: Street, values_wh: dict[int, int]) -> int:
    """What the ledger that metered all along costs less with other energies, by the instant."""
    position, total_ncur = Position(0, 0), 0
    truth = street.truth
    for before, entry in zip(truth.states, truth.entries, strict=False):
        if entry.kind != ledger.CHARGE:
            continue
        wh = values_wh.get(entry.time_s, entry.energy_wh)
        span = before.time_s, entry.time_s
        amount, position, _ = tariff.charge(street.book, position, *span, wh)
        total_ncur += -entry.amount_ncur - amount
    return total_ncur


def adjusted_ncur(street: Street) -> int:
    return sum(
        entry.amount_ncur
        for module in (OLD, NEW)
        for entry in street.modules[module].ledger.entries
        if entry.kind == ledger.ADJUSTMENT
    )


def settled(street: Street, *silent: str) -> None:
    street.settle(*silent)
    for module in (OLD, NEW):
        street.run("validate", module)
    street.settle(*silent)


def agreed(street: Street, values_wh: dict[int, int]) -> None:
    more_ncur = owed_ncur(street, values_wh)
    assert adjusted_ncur(street) == more_ncur
    assert street.balance(NEW) == street.truth.state.balance_ncur + more_ncur
    assert street.owned(OLD) == 0 and street.transit() == 0
    street.sound()


def test_a_reading_of_the_old_module_is_made_good_by_the_new_one(street: Street) -> None:
    begun(street, 40)
    street.replace()
    opened(street)
    settled(street)
    used(street, NEW, 20)
    settled(street)
    entry = charges(street, OLD)[5]
    corrected(street, OLD, entry, entry.energy_wh - 500)
    settled(street, OLD)
    agreed(street, {entry.time_s: entry.energy_wh - 500})
    assert street.ordered(OLD, 0, codes.ADJUST) == []
    shown: Any = street.done("review", "show", 1)
    assert {each["module"] for each in shown["adjustments"]} == {NEW}


def reopened(street: Street) -> None:
    """The new module charges behind thresholds that the old one, once corrected, never passed."""
    used(street, NEW, 30)
    settled(street)
    values = {}
    for entry in charges(street, OLD)[:12]:
        corrected(street, OLD, entry, 0)
        values[entry.time_s] = 0
    settled(street, OLD)
    agreed(street, values)


def test_a_tier_that_a_correction_reopens_is_the_new_modules_too(street: Street) -> None:
    begun(street, 24)  # 16.8 kWh, beyond both thresholds
    street.replace()
    opened(street)
    settled(street)
    reopened(street)


def test_it_is_the_new_modules_too_though_the_old_one_was_read_in_the_next_period(
    street: Street,
) -> None:
    begun(street, 24)
    opened(street)
    for day in (40, 41):
        street.old.charge(street.old.state.register_wh + 900, OPENED_S + day * DAY_S)
    street.replace()
    settled(street)
    reopened(street)


def test_a_reading_between_opening_and_transfer_has_the_tier_of_the_customer(
    street: Street,
) -> None:
    begun(street, 24)
    opened(street)
    used(street, NEW, 6)
    street.new.send()
    street.replace()
    settled(street)
    used(street, NEW, 6)
    settled(street)
    entry = charges(street, NEW)[2]
    corrected(street, NEW, entry, entry.energy_wh - 100)
    settled(street)
    agreed(street, {entry.time_s: entry.energy_wh - 100})


def test_a_retired_module_is_ordered_nothing_that_it_would_never_hear(street: Street) -> None:
    begun(street, 24)
    settled(street)
    street.done("module", "retire", OLD, "--yes", "--balance", "refund", *BY)
    entry = charges(street, OLD)[5]
    corrected(street, OLD, entry, 0)
    shown: Any = street.done("review", "show", 1)
    assert [each["state"] for each in shown["adjustments"]] == ["expired"]
    street.run("validate", OLD)
    assert len(street.ordered(OLD, 0, codes.ADJUST)) == 1
    assert street.store.payments.open_commands(OLD) == []
    street.sound()


@pytest.mark.parametrize("seed", range(8))
def test_whenever_it_is_corrected_the_customer_pays_what_one_module_would_charge(
    street: Street, seed: int
) -> None:
    chance = random.Random(seed)
    begun(street, chance.randrange(4, 40))
    opened(street, gap_s := chance.choice((3, 400, 20_000)), chance.randrange(gap_s // 2 + 1))
    values: dict[int, int] = {}
    steps = [
        ("replace", ""),
        *[("correct", OLD)] * 3,
        *[("correct", NEW)] * 2,
        *[("use", NEW)] * 4,
    ]
    chance.shuffle(steps)
    steps += [("month", NEW), ("correct", OLD), ("correct", NEW)]
    for what, module in steps:
        silent = (OLD,) if chance.random() < 0.5 else ()
        if what == "replace":
            settled(street)  # an adjustment under way holds a replacement back
            street.replace()
        elif what == "use":
            used(street, NEW, chance.randrange(1, 30), chance.randrange(2000))
        elif what == "month":
            metered(street, MONTH_OVER_S, 9_000)
            used(street, NEW, 30, 900)
        elif street.modules[module].sent_seq > 3:
            sent_seq = street.modules[module].sent_seq
            told = [entry for entry in charges(street, module) if entry.seq <= sent_seq]
            entry = chance.choice([entry for entry in told if entry.time_s not in values])
            wh = chance.randrange(entry.energy_wh + 1)
            street.modules[module].send()
            corrected(street, module, entry, wh)
            values[entry.time_s] = wh
        settled(street, *silent)
    settled(street)
    settled(street, OLD)
    agreed(street, values)
