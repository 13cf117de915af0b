"""How much energy a balance buys, by the price of one instant: what a receipt tells."""

from protocol import tariff
from protocol.tariff import Book, Position


def affordable_wh(
    book: Book, position: Position, at_s: int, balance_ncur: int
) -> tuple[int | None, int]:
    """(energy, what is left of the balance) in whole watt-hours; None where energy is free.

    The inverse of `tariff.charge` at one instant: so much energy can be paid, one watt-hour more
    cannot. A balance of nothing or less buys nothing.
    """
    position = tariff.position_at(book, position, at_s)
    rate, _ = tariff.rate_at(book, at_s)
    thresholds = tariff.in_force(book.ladders, at_s).thresholds_wh
    used_wh = int(position.used_wh)
    bought_wh = 0
    left_ncur = balance_ncur
    for tier, upper_wh in enumerate((*thresholds, None)):
        if upper_wh is not None and used_wh + bought_wh >= upper_wh:
            continue
        price = tariff.price_ucur_per_kwh(book, at_s, rate, tier)
        room_wh = None if upper_wh is None else upper_wh - used_wh - bought_wh
        if price == 0 and room_wh is None:
            return None, left_ncur
        if price == 0:
            take_wh = room_wh or 0
        else:
            can_wh = max(left_ncur, 0) // price
            take_wh = can_wh if room_wh is None else min(can_wh, room_wh)
        bought_wh += take_wh
        left_ncur -= take_wh * price
        if take_wh != room_wh:
            break
    return bought_wh, left_ncur
