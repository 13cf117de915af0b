"""Rating as the host does it by the million: the same integers as protocol/, found sooner.

Meters share their intervals, so what a book says of the time between two instants is worked out
once. What lies within one price and one tier is then a product; everything else goes the long way
through `ledger.charge`. The tests hold both against each other.
"""

from bisect import bisect_right
from hashlib import sha256
from typing import NamedTuple

import cbor2

from host_tools.settlement import chaining
from protocol import ledger, tariff
from protocol.facts import Fact
from protocol.ledger import Entry, State
from protocol.reading import next_boundary_s
from protocol.units import NCUR_MAX

STRETCHES_MAX = 20000  # remembered; a day of a fleet has 96 of each book


class Stretch(NamedTuple):
    """Time of one rate: its end, tier period, upper bounds of the tiers, and the price of each."""

    to_s: int
    period: int
    thresholds_wh: tuple[int, ...]
    prices_ucur_per_kwh: tuple[int, ...]
    when: bytes  # `chaining.timed` of its end
    how: bytes  # `chaining.rated`


class Prices:
    """What was found out of the books of one store, where a version means one book for ever."""

    def __init__(self) -> None:
        self._stretches: dict[tuple[int, int, int], Stretch | None] = {}
        self._intervals: dict[tuple[int, int], Stretch | None] = {}

    def charge(self, book: tariff.Book, state: State, fact: Fact) -> Entry:
        """The entry of a CHARGE fact, as `facts.rebuild` makes it."""
        energy_wh = fact.energy_wh
        stretch = self.stretch(book, state.time_s, fact.time_s)
        if stretch is not None and energy_wh > 0:
            _, period, thresholds, prices, _, _ = stretch
            used_wh = state.used_wh if period == state.period else 0
            tier = bisect_right(thresholds, used_wh) if thresholds else 0
            after_wh = used_wh + energy_wh
            if tier == len(thresholds) or after_wh <= thresholds[tier]:
                amount_ncur = -prices[tier] * energy_wh
                balance_ncur = state.balance_ncur + amount_ncur
                if -NCUR_MAX <= balance_ncur <= NCUR_MAX:
                    return Entry(
                        state.seq + 1,
                        ledger.CHARGE,
                        fact.time_s,
                        fact.quality,
                        state.register_wh + energy_wh,
                        energy_wh,
                        book.version,
                        period,
                        after_wh,
                        amount_ncur,
                        0,
                        0,
                        balance_ncur,
                    )
        register_wh = state.register_wh + energy_wh
        return ledger.charge(state, book, fact.time_s, fact.quality, register_wh)

    def stretch(self, book: tariff.Book, from_s: int, to_s: int) -> Stretch | None:
        """The one stretch that holds all of the time between two instants, or None."""
        key = book.version, from_s, to_s
        try:
            return self._stretches[key]
        except KeyError:
            if len(self._stretches) >= STRETCHES_MAX:
                self._stretches.clear()
            found = self._stretches[key] = _stretch(book, from_s, to_s)
            return found

    def interval(self, book: tariff.Book, version: int, from_s: int) -> Stretch | None:
        """The same of the interval that an instant lies in, up to its end; the book's version
        is given, too, because it is at hand."""
        try:
            return self._intervals[version, from_s]
        except KeyError:
            if len(self._intervals) >= STRETCHES_MAX:
                self._intervals.clear()
            found = _stretch(book, from_s, next_boundary_s(from_s))
            self._intervals[version, from_s] = found
            return found


def _stretch(book: tariff.Book, from_s: int, to_s: int) -> Stretch | None:
    if not from_s <= to_s <= from_s + tariff.GAP_S_MAX:
        return None
    rate, end_s = tariff.rate_at(book, from_s)
    if end_s < to_s:
        return None
    ladder = tariff.in_force(book.ladders, from_s)
    tiers = range(len(ladder.thresholds_wh) + 1)
    prices = tuple(tariff.price_ucur_per_kwh(book, from_s, rate, tier) for tier in tiers)
    period = tariff.position_at(book, tariff.Position(0, 0), from_s).period
    told = chaining.timed(to_s), chaining.rated(book.version, period)
    return Stretch(to_s, period, tuple(ladder.thresholds_wh), prices, *told)


def apply(state: State, entry: Entry) -> State:
    """`ledger.apply`; shorter for a charge that was just made from this very state."""
    if entry.kind != ledger.CHARGE:
        return ledger.apply(state, entry)
    head = sha256(state.head + cbor2.dumps(entry)).digest()[: ledger.HEAD_BYTES]
    return State(
        entry.seq,
        entry.time_s,
        entry.register_wh,
        entry.balance_ncur,
        entry.period,
        entry.used_wh,
        state.day,
        entry.version,
        state.mark,
        state.charged_ncur - entry.amount_ncur,
        state.topups_ncur,
        head,
    )
