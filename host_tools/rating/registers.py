"""Energy of registers in whole watt-hours, shared out among days, tiers and rates."""

from collections.abc import Sequence

from protocol import tariff
from protocol.tariff import Ladder, Part, Position, Rates


def split_by_days(energy_wh: int, days: Sequence[int]) -> list[int]:
    """Average use a day times the days of each part, by cumulative floor; adds up exactly."""
    total = sum(days)
    out = []
    upto = done_wh = 0
    for each in days:
        upto += each
        share_wh = energy_wh * upto // total
        out.append(share_wh - done_wh)
        done_wh = share_wh
    return out


def split_by_share(
    rates: Rates, ladder: Ladder, position: Position, registers_wh: Sequence[int]
) -> tuple[list[Part], Position]:
    """Each tier takes the same share of every register (tariffs.md rule 2).

    Cumulative floor over the registers in tariff order, tier after tier of what is left, so that
    tiers and registers both add up. The tier's energy itself is the engine's.
    """
    total_wh = sum(registers_wh)
    book = tariff.Book(1, "CUR", ((0, 0),), ((0, rates),), ((0, ladder),))
    start = Position(tariff.period_of(ladder, 0), position.used_wh)
    out: list[Part] = []
    left = list(registers_wh)
    for whole in tariff.charge(book, start, 0, 0, total_wh)[2]:
        left_wh = sum(left)
        upto = done_wh = 0
        for rate, register_wh in enumerate(left):
            upto += register_wh
            share_wh = whole.energy_wh * upto // left_wh
            take_wh = share_wh - done_wh
            done_wh = share_wh
            left[rate] -= take_wh
            if take_wh:
                price = tariff.price_ucur_per_kwh(book, 0, rate, whole.tier)
                out.append(Part(rate, whole.tier, take_wh, price, price * take_wh))
    return out, Position(position.period, position.used_wh + total_wh)
