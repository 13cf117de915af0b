"""Relay orders of a person: the conditions of fee_control.py looked up, its tables asked."""

import argparse
from collections.abc import Iterator

from host_tools import Refused
from host_tools.ordering import amounts, fee_control, protections
from host_tools.ordering import words as zh
from host_tools.ordering.kinds import Asking, Kind, Wanted, with_point
from host_tools.settlement.topup import point_of
from host_tools.store import orders
from host_tools.store.records import Point
from protocol import codes, tariff, words
from protocol.units import DAY_S

# What a person writes: the order on the wire.
ORDERS = {
    "trip": codes.TRIP,
    "permit": codes.PERMIT_CLOSE,
    "close": codes.DIRECT_CLOSE,
    "trip-then-close": codes.TRIP_THEN_CLOSE,
    "trip-then-permit": codes.TRIP_THEN_ARM,
    "alarm": codes.ALARM,
    "alarm-end": codes.ALARM_END,
    "hold": codes.HOLD,
    "hold-end": codes.HOLD_END,
}
TIMED = (codes.TRIP_THEN_CLOSE, codes.TRIP_THEN_ARM, codes.HOLD)
_KINDS = {
    codes.PERMIT_CLOSE: fee_control.PERMIT_CLOSE,
    codes.DIRECT_CLOSE: fee_control.DIRECT_CLOSE,
    codes.TRIP_THEN_CLOSE: fee_control.TO_CLOSE,
    codes.TRIP_THEN_ARM: fee_control.TO_PERMIT,
    codes.ALARM: fee_control.ALARM,
    codes.ALARM_END: fee_control.ALARM_END,
    codes.HOLD: fee_control.HOLD,
    codes.HOLD_END: fee_control.HOLD_END,
}
_TRIPS = {
    fee_control.CREDIT: fee_control.BY_CREDIT,
    fee_control.CONTRACT: fee_control.BY_CONTRACT,
    fee_control.SAFETY: fee_control.BY_SAFETY,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    with_point(parser)
    parser.add_argument("order", choices=ORDERS)
    parser.add_argument("--cause", choices=fee_control.CAUSES, help="why a trip is ordered")
    parser.add_argument("--for", dest="lasts", help="how long a timed trip or hold lasts: 2h, 7d")
    parser.add_argument(
        "--confirm-close", action="store_true", help="the place is safe to be closed unattended"
    )


def order(asking: Asking) -> Wanted:
    asked, store = asking.arguments, asking.store
    point = point_of(store, asked.module, asked.point)
    number = ORDERS[asked.order]
    kind = _kind(asked, number)
    records = orders.of(store).of_action(point.module, point.point, codes.RELAY)
    at = fee_control.standing(records, asking.now_s)
    where = f"{point.module}/{point.point}"
    forbidden = fee_control.refusal(kind, conditions(asking, point, at))
    if forbidden is not None:
        row = fee_control.REFUSALS[forbidden]
        raise Refused(f"{where} {asked.order}: {row.text} {row.text_zh}")
    event = fee_control.event_of(number)
    if event is not None:
        action = fee_control.TABLE[at.state, event][1]
        if action == fee_control.NO:
            raise Refused(
                f"{where} {asked.order}: is {at.state} by command {at.by_id}; permit first"
                f" {fee_control.ACTIONS[action]}"
            )
        if action == fee_control.SAME:
            return _wanted(point, number, asked, at, at.by_id)
    return _wanted(point, number, asked, at, None)


def conditions(asking: Asking, point: Point, at: fee_control.Standing) -> Iterator[str]:
    """Those of fee_control.REFUSALS that hold now."""
    asked, now_s = asking.arguments, asking.now_s
    if asking.expires_s is None:
        yield fee_control.NO_EXPIRY
    elif asking.expires_s > now_s + fee_control.LIFE_S_MAX:
        yield fee_control.LATE
    if asked.lasts is None:
        yield fee_control.ENDLESS
    if not asked.confirm_close:
        yield fee_control.UNCONFIRMED
    if point.state.version:
        yield fee_control.LOCAL
    if at.held:
        yield fee_control.HELD
    if at.orders_in_hour >= fee_control.ORDERS_AN_HOUR:
        yield fee_control.TOO_OFTEN
    book = _book(asking, point)
    if book is None:
        raise Refused(f"{point.module}/{point.point}: has no tariff, so no local time; give one")
    rules = protections.read(asking.data)
    if rules.of(f"{point.module}/{point.point}", book, now_s) is not None:
        yield fee_control.LISTED
    until_s = rules.trips_until_s(book, now_s)
    if until_s <= now_s or (asking.expires_s or now_s) > until_s:
        yield fee_control.PROTECTED


def _book(asking: Asking, point: Point) -> tariff.Book | None:
    fleet = asking.store.fleet
    version = point.state.version or fleet.assigned(point.id, asking.now_s)
    return None if version is None else fleet.book(version)


def _kind(asked: argparse.Namespace, number: int) -> str:
    """Which row of the refusals an order is; Refused for options that do not go with it."""
    if asked.lasts is not None and number not in TIMED:
        raise Refused(f"{asked.order}: lasts until another order, so takes no --for")
    if number == codes.TRIP:
        if asked.cause is None:
            raise Refused(f"trip: add --cause {', '.join(fee_control.CAUSES)}")
        return _TRIPS[asked.cause]
    if asked.cause is not None:
        raise Refused(f"{asked.order}: takes no --cause, that goes with trip")
    return _KINDS[number]


def _wanted(
    point: Point,
    number: int,
    asked: argparse.Namespace,
    at: fee_control.Standing,
    same_id: int | None,
) -> Wanted:
    args: list[object] = [number]
    text, text_zh = words.RELAY_ORDERS[number], zh.RELAY_ORDERS[number]
    if asked.lasts is not None:
        seconds = amounts.duration_s("--for", asked.lasts)
        if seconds > fee_control.SECONDS_MAX:
            raise Refused(f"--for {asked.lasts}: must be 31d at most")
        args.append(seconds)
        text, text_zh = f"{text} for {asked.lasts}", f"{text_zh} {asked.lasts}"
    if number == codes.TRIP:
        args += [1] if asked.cause == fee_control.SAFETY else []
        text = f"{text} for {asked.cause}"
        text_zh = f"{fee_control.CAUSES[asked.cause]}{text_zh}"
    replaces = () if same_id is not None else tuple(fee_control.replaced(at, number))
    return Wanted(
        point.module,
        point.point,
        codes.RELAY,
        args,
        DAY_S,
        text,
        text_zh,
        replaces,
        same_id,
    )


KIND = Kind("trip, permit, close, alarm or hold the supply of a point", add_arguments, order)
