"""Corrections: one adjustment from the corrected instant to the reset, one by one or by numpy."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools import Refused
from host_tools.rating import vectors
from host_tools.rating.rerating import CORRECTED, PRICED_ANEW, Charge, Correction, rerate
from host_tools.rating.vectors import PointReadings
from protocol import tariff
from protocol.tariff import Book, Position
from tests.host_tools import random_books
from tests.host_tools.bills import instant, shipped

BEIJING = shipped("cn-bj-2012")


def charged(
    book: Book,
    start: Position,
    rows: list[tuple[int, int, int]],
    transferred_wh: dict[int, int] | None = None,
) -> list[Charge]:
    """What a ledger has of readings; `transferred_wh` came in before some of them."""
    out = []
    position = start
    for seq, (from_s, to_s, energy_wh) in enumerate(rows, 1):
        moved_wh = (transferred_wh or {}).get(seq, 0)
        if moved_wh:
            begun = tariff.position_at(book, position, from_s)  # as `ledger.transferred` does
            position = Position(begun.period, begun.used_wh + moved_wh)
        before = position
        amount, position, _ = tariff.charge(book, before, from_s, to_s, energy_wh)
        metered = from_s, to_s, energy_wh
        out.append(Charge(seq, *metered, book.version, amount, before, position))
    return out


def total(charges: list[Charge]) -> int:
    return sum(charge.amount_ncur for charge in charges)


def daily(month: int, kwh: int, days: int = 28) -> list[tuple[int, int, int]]:
    start_s = instant(BEIJING, 2026, month, 1)
    return [
        (start_s + day * 86400, start_s + (day + 1) * 86400, kwh * 1000) for day in range(days)
    ]


def test_a_corrected_reading_moves_every_later_charge_of_its_period_in_one_adjustment() -> None:
    # 28 days of 10 kWh: day 25 reaches 240 kWh. Day 2 was 110 kWh instead of 10.
    charges = charged(BEIJING.book, Position(0, 0), daily(2, 10))
    adjustment = rerate(Position(0, 0), charges, [Correction(2, 110_000, 2)], {1: BEIJING.book})
    assert adjustment is not None
    # 380 kWh in place of 280: 100 more, all of them in tier 2 at the end.
    assert adjustment.amount_ncur == -100 * 538_300_000
    assert adjustment.energy_wh == 100_000
    assert (adjustment.first_seq, adjustment.charges) == (2, 27)
    assert (adjustment.reason, adjustment.versions) == (CORRECTED, (1,))
    assert adjustment.reading_version == 2
    alone = tariff.charge(BEIJING.book, charges[0].after, *daily(2, 110)[1])[0]
    assert adjustment.amount_ncur != charges[1].amount_ncur - alone, "the interval alone is wrong"


def test_a_refund_after_a_tier_was_crossed_takes_the_dearest_energy_back() -> None:
    charges = charged(BEIJING.book, Position(0, 0), daily(2, 15))  # 420 kWh
    adjustment = rerate(Position(0, 0), charges, [Correction(1, 0)], {1: BEIJING.book})
    assert adjustment is not None
    # 405 kWh in place of 420: 15 less, all of it above 400 kWh.
    assert adjustment.amount_ncur == 15 * 788_300_000


def test_the_next_period_is_untouched() -> None:
    rows = daily(1, 15, 31) + daily(2, 15)
    charges = charged(BEIJING.book, Position(0, 0), rows)
    adjustment = rerate(Position(0, 0), charges, [Correction(20, 0)], {1: BEIJING.book})
    assert adjustment is not None
    assert (adjustment.first_seq, adjustment.charges) == (20, 12)
    assert adjustment.to_s == instant(BEIJING, 2026, 2, 1)


def test_an_unchanged_reading_or_one_that_costs_the_same_posts_nothing_or_its_energy() -> None:
    charges = charged(BEIJING.book, Position(0, 0), daily(2, 15))
    same = [Correction(charge.seq, charge.energy_wh) for charge in charges]
    assert rerate(Position(0, 0), charges, same, {1: BEIJING.book}) is None
    assert rerate(Position(0, 0), charges, [], {}) is None


def test_what_was_charged_by_an_older_tariff_is_priced_by_the_assigned_one() -> None:
    dearer = BEIJING.book._replace(
        version=2,
        rates=((0, BEIJING.book.rates[0][1]._replace(prices_ucur_per_kwh=((500_000,),))),),
    )
    charges = charged(BEIJING.book, Position(0, 0), daily(2, 5))
    half_s = charges[14].from_s
    adjustment = rerate(
        Position(0, 0), charges, [], {1: BEIJING.book, 2: dearer},
        lambda charge: 2 if charge.from_s >= half_s else 1,
    )  # fmt: skip
    assert adjustment is not None
    assert adjustment.amount_ncur == -14 * 5000 * (500_000 - 488_300)
    assert (adjustment.reason, adjustment.charges, adjustment.versions) == (PRICED_ANEW, 14, (2,))


def test_a_correction_of_nothing_we_have_is_refused() -> None:
    charges = charged(BEIJING.book, Position(0, 0), daily(2, 5))
    for corrections in ([Correction(99, 1)], [Correction(1, 1), Correction(1, 2)]):
        with pytest.raises(Refused, match="give each once"):
            rerate(Position(0, 0), charges, corrections, {1: BEIJING.book})
    with pytest.raises(Refused, match="tariff version 1: is not in the store"):
        rerate(Position(0, 0), charges, [Correction(1, 1)], {})


def test_a_transfer_between_two_charges_moves_the_place_in_the_tiers_once() -> None:
    transferred = {11: 300_000}  # 100 kWh before it, and 300 of the module that was there
    charges = charged(BEIJING.book, Position(0, 0), daily(2, 10), transferred)
    books = {1: BEIJING.book}
    assert rerate(Position(0, 0), charges, [], books) is None
    adjustment = rerate(Position(0, 0), charges, [Correction(2, 9_000)], books)
    assert adjustment is not None
    # One kWh less of tier 1; behind the transfer 1 kWh more lies below 400 kWh, in tier 2.
    assert adjustment.amount_ncur == 488_300_000 + (788_300_000 - 538_300_000)
    assert (adjustment.first_seq, adjustment.charges) == (2, 27)


def test_a_transfer_into_a_new_period_ends_what_a_correction_moved() -> None:
    rows = daily(1, 15, 31) + daily(2, 15)
    charges = charged(BEIJING.book, Position(0, 0), rows, {32: 100_000})
    adjustment = rerate(Position(0, 0), charges, [Correction(20, 0)], {1: BEIJING.book})
    assert adjustment is not None
    assert (adjustment.first_seq, adjustment.charges) == (20, 12)


SEEDS = st.integers(0, 1 << 32)


@given(SEEDS)
def test_rerating_nothing_changes_nothing(seed: int) -> None:
    dice = Random(seed)
    book = random_books.book(dice)
    rows = random_books.readings(dice, 30)
    start = random_books.position(dice, book, rows[0][0])
    charges = charged(book, start, rows)
    assert rerate(start, charges, [], {book.version: book}) is None
    same = [Correction(charge.seq, charge.energy_wh) for charge in charges]
    assert rerate(start, charges, same, {book.version: book}) is None


@given(SEEDS)
def test_the_adjustment_is_the_new_total_less_the_old(seed: int) -> None:
    dice = Random(seed)
    book = random_books.book(dice)
    rows = random_books.readings(dice, 40)
    start = random_books.position(dice, book, rows[0][0])
    charges = charged(book, start, rows)
    chosen = dice.sample(range(40), dice.randrange(1, 4))
    new = list(rows)
    for place in chosen:
        new[place] = (*rows[place][:2], dice.randrange(5000))
    corrections = [Correction(place + 1, new[place][2]) for place in chosen]
    adjustment = rerate(start, charges, corrections, {book.version: book})
    wanted = total(charges) - total(charged(book, start, new))
    assert (adjustment.amount_ncur if adjustment else 0) == wanted
    back = [Correction(place + 1, rows[place][2]) for place in chosen]
    undone = rerate(start, charged(book, start, new), back, {book.version: book})
    assert (undone.amount_ncur if undone else 0) == -wanted


@given(SEEDS)
def test_across_transfers_the_adjustment_is_the_new_total_less_the_old(seed: int) -> None:
    """One by one, and by numpy from each transfer on."""
    dice = Random(seed)
    book = random_books.book(dice)
    rows = random_books.readings(dice, 40)
    start = random_books.position(dice, book, rows[0][0])
    moved = {seq: dice.randrange(1, 400_000) for seq in dice.sample(range(2, 41), 2)}
    charges = charged(book, start, rows, moved)
    assert rerate(start, charges, [], {book.version: book}) is None
    new = list(rows)
    for place in dice.sample(range(40), dice.randrange(1, 4)):
        new[place] = (*rows[place][:2], dice.randrange(5000))
    corrections = [
        Correction(seq, now[2]) for seq, (now, was) in enumerate(zip(new, rows, strict=True), 1)
        if now != was
    ]  # fmt: skip
    wanted = charged(book, start, new, moved)
    adjustment = rerate(start, charges, corrections, {book.version: book})
    assert (adjustment.amount_ncur if adjustment else 0) == total(charges) - total(wanted)
    cuts = [0, *(seq - 1 for seq in sorted(moved)), 40]
    parts = [
        arrays(wanted[low].before, new[low:high])
        for low, high in zip(cuts, cuts[1:], strict=False)
    ]
    amounts = [int(each) for one in vectors.rate_many(book, parts) for each in one.amount_ncur]
    assert amounts == [charge.amount_ncur for charge in wanted]


# By numpy


def arrays(start: Position, rows: list[tuple[int, int, int]]) -> PointReadings:
    columns = np.array(rows, np.int64).reshape(-1, 3).T
    return PointReadings(start, *(np.ascontiguousarray(column) for column in columns))


@settings(max_examples=200)
@given(SEEDS)
def test_many_points_at_once_owe_the_engines_integers(seed: int) -> None:
    dice = Random(seed)
    book = random_books.book(dice)
    points, engine = [], []
    for _ in range(dice.randrange(1, 5)):
        rows = random_books.readings(dice, dice.randrange(1, 40))
        start = random_books.position(dice, book, rows[0][0])
        points.append(arrays(start, rows))
        engine.append(charged(book, start, rows))
    found = vectors.rate_many(book, points)
    for point, one, wanted in zip(points, found, engine, strict=True):
        assert list(one.amount_ncur) == [charge.amount_ncur for charge in wanted]
        assert one.position == wanted[-1].after
        assert all(isinstance(value, int) for value in one.position)
        assert vectors.one_by_one(book, point).position == one.position
    settled = [np.zeros(len(point.energy_wh), np.int64) for point in points]
    owed = [-total(wanted) for wanted in engine]
    assert vectors.adjustments_ncur(book, points, settled) == owed


@given(SEEDS)
def test_what_could_leave_64_bits_is_rated_by_the_engine(seed: int) -> None:
    dice = Random(seed)
    book = random_books.book(dice, cheap=False)
    start_s = random_books.AROUND_S[0]
    huge = [
        (start_s, start_s + dice.randrange(1, 10_000_000), dice.randrange(1 << 50)),
        (start_s + 10_000_000, start_s + 10_000_900, dice.randrange(1 << 20)),
    ]
    plain = [(start_s, start_s + 900, 250)]
    start = Position(0, dice.randrange(1 << 50))
    points = [arrays(start, huge), arrays(start, plain)]
    found = vectors.rate_many(book, points)
    for rows, one in zip((huge, plain), found, strict=True):
        wanted = charged(book, start, rows)
        assert list(one.amount_ncur) == [charge.amount_ncur for charge in wanted]
        assert one.position == wanted[-1].after
    (owed,) = vectors.adjustments_ncur(book, points[:1], [np.zeros(2, np.int64)])
    assert owed == -total(charged(book, start, huge))


def test_bounds_are_used_up_to_the_last_bit_and_not_beyond() -> None:
    book = BEIJING.book
    start_s = random_books.AROUND_S[0]
    dearest = 788_300
    at_bound = vectors.INT_MAX // dearest
    for energy_wh, fits in ((at_bound, True), (at_bound + 1, False)):
        point = arrays(Position(0, 0), [(start_s, start_s + 1, energy_wh)])
        assert vectors._fits(point, dearest) is fits
        (one,) = vectors.rate_many(book, [point])
        assert list(one.amount_ncur) == [
            tariff.charge(book, Position(0, 0), start_s, start_s + 1, energy_wh)[0]
        ]


def test_points_without_readings_or_use_keep_their_position() -> None:
    start = Position(5, 77)
    nothing = [arrays(start, []), arrays(start, [(10**9, 10**9 + 900, 0)])]
    found = vectors.rate_many(BEIJING.book, nothing)
    assert [one.position for one in found] == [start, start]
    assert [list(one.amount_ncur) for one in found] == [[], [0]]
    (one,) = vectors.rate_many(BEIJING.book, [nothing[1]])
    assert (list(one.amount_ncur), one.position) == ([0], start)


def test_energy_or_time_that_goes_back_is_the_engines_to_refuse() -> None:
    from protocol.units import Malformed

    for row in ((10**9, 10**9 + 900, -1), (10**9 + 900, 10**9, 5)):
        with pytest.raises(Malformed):
            vectors.rate_many(BEIJING.book, [arrays(Position(0, 0), [row])])


def test_settled_amounts_beyond_64_bits_together_still_add_up() -> None:
    settled = np.array([vectors.INT_MAX, vectors.INT_MAX, -5], np.int64)
    point = arrays(Position(0, 0), [(10**9 + n, 10**9 + n, 0) for n in range(3)])
    assert vectors.adjustments_ncur(BEIJING.book, [point], [settled]) == [2 * vectors.INT_MAX - 5]
