"""`gridpurse module replace`: a new module takes over the service points of an old one.

One transaction; the same words again find it done and look after what is still to come. How no
watt-hour and no unit is lost or counted twice is in README.md beside this file.
"""

import argparse
import json
from dataclasses import dataclass, replace

from host_tools import Refused
from host_tools.care import adjustments, following, ideal
from host_tools.care.people import Person, add_person, changing, person_of
from host_tools.ordering import amounts
from host_tools.ordering.kinds import module_of
from host_tools.settlement import commands, posting, rebooking
from host_tools.settlement.common import decimal, settings_of
from host_tools.store import adoptions, care, orders
from host_tools.store.care import Replacement
from host_tools.store.database import Store, opened
from host_tools.store.records import Module, Order, Point, TopUp
from protocol import cbor, codes
from protocol.units import DAY_S

MONEY = (codes.TOPUP, codes.TRANSFER, codes.DEBT)


@dataclass(frozen=True, slots=True)
class Meters:
    """What two meters showed when one took the other's place, in Wh."""

    old_end_wh: int
    new_start_wh: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="OLD")
    parser.add_argument(
        "new", metavar="NEW", help="enrolled and provisioned, with the same points"
    )
    where = parser.add_argument_group("another meter was put in as well (one point)")
    where.add_argument("--point", type=int, help="whose meter; the others keep theirs")
    where.add_argument(
        "--old-register", metavar="KWH", help="what the old meter showed at its end"
    )
    where.add_argument(
        "--new-register", metavar="KWH", help="what the new one showed at its start"
    )
    add_despite(parser)
    add_person(parser)


def add_despite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--despite-adjustments",
        action="store_true",
        help="adjustments that it was ordered and has not made do not move",
    )


def run(arguments: argparse.Namespace) -> int:
    """0; what is still to come is told, and moved by `gridpurse settle`."""
    settings = settings_of(arguments)
    person, meters = person_of(arguments), _meters(arguments)
    now_s = settings.clock().now_s()
    with opened(settings.store(), create=False) as store:
        with changing(store):
            if not arguments.despite_adjustments:
                _check_adjustments(store, arguments.old)
            rows = take_over(store, arguments.old, arguments.new, meters, person, now_s)
        shown = [told(store, row) for row in rows]
    if arguments.json:
        print(json.dumps(shown, ensure_ascii=False))
    else:
        print("\n".join(line(each) for each in shown))
    return 0


def _check_adjustments(store: Store, old: str) -> None:
    """Refused while one is open at a point that is not taken over yet."""
    for point in store.fleet.points(old):
        if care.of(store).of_old(point.id) is None:
            adjustments.check(store, point)


def take_over(
    store: Store, old: str, new: str, meters: dict[int, Meters], person: Person, now_s: int
) -> list[Replacement]:
    """Begins the replacement of every point of a module, or goes on with it."""
    before, after = module_of(store, old), module_of(store, new)
    pairs = _pairs(store, before, after, meters)
    rows = []
    for from_, to in pairs:
        known = care.of(store)
        row = known.of_old(from_.id)
        unheard: list[Order] = []
        if row is None:
            unheard = store.payments.open_of(old, from_.point, codes.DEBT)
            row = _begun(store, from_, to, person, now_s)
        read = meters.get(from_.point)
        if read is not None:
            row = replace(row, old_end_wh=read.old_end_wh, new_start_wh=read.new_start_wh)
        if row.ended_s is None:
            row = following.follow(store, row, now_s, anew=True)
        _agree_debts(store, unheard, to, now_s)
        rows.append(row)
    return rows


def _pairs(
    store: Store, old: Module, new: Module, meters: dict[int, Meters]
) -> list[tuple[Point, Point]]:
    if old.id == new.id:
        raise Refused(f"{old.id}: cannot take over from itself")
    known, pairs = care.of(store), []
    points = {point.point: point for point in store.fleet.points(new.id)}
    for from_ in store.fleet.points(old.id):
        where = f"{old.id}/{from_.point}"
        to = points.get(from_.point)
        if to is None or to.currency != from_.currency:
            raise Refused(
                f"{new.id}: has no point {from_.point} in {from_.currency} for {where};"
                " enrol one with the same points"
            )
        row = known.of_old(from_.id)
        if row is not None and row.new_point != to.id:
            raise Refused(f"{where}: {known.successor(from_)}")
        pairs.append((from_, to))
        if row is not None:
            continue
        for module in (old, new):
            if module.retired_s is not None:
                raise Refused(f"{module.id}: is retired; nothing of it counts any more")
        if known.of_old(to.id) or known.of_new(to.id):
            raise Refused(f"{new.id}/{to.point}: has taken over from another module already")
        earlier = known.of_new(from_.id)
        if earlier is not None and earlier.ended_s is None:
            first = known.point(earlier.old_point).module
            raise Refused(f"{where}: took over from {first}; retire {first} first")
    for number in meters:
        if number not in {from_.point for from_, _ in pairs}:
            raise Refused(f"--point {number}: {old.id} has no such point")
    return pairs


def _begun(store: Store, old: Point, new: Point, person: Person, now_s: int) -> Replacement:
    """What moves by itself moves here: tariff, payments; the rest follows from the journals."""
    known = care.of(store)
    debts = cbor.encode([0] * len(following.DEBTS))
    rest = (None, 0, 0, 0, debts, -1, -1, 0, "")
    row = Replacement(old.id, new.id, None, None, person.who, person.why, now_s, *rest)
    known.begin(row)
    version = store.fleet.assigned_last(old.id) or old.state.version
    at = max(new.state.version, store.fleet.assigned_last(new.id) or 0)
    book = store.fleet.book(version)
    if book is not None and version > at:
        commands.set_tariff(store, new, book, now_s)
    for order in store.payments.open_commands(old.module):
        if order.target == old.point and order.action in MONEY:
            store.payments.command_ended(order, "expired", None, None, now_s)
    for given in store.payments.uncredited(old.id):
        _move_payment(store, given, old, new, now_s)
    commands.issue(store, old.module, old.point, codes.STATE, [], now_s, DAY_S)
    return row


def _move_payment(store: Store, given: TopUp, old: Point, new: Point, now_s: int) -> None:
    """Gives a payment that waits a number of the new point, and sends it there. In a restored
    store it may have moved before, and the new module may have told that it credited it."""
    entry, amount_ncur = None, given.amount_ncur
    number = store.payments.next_number(new.id, new.state.mark)
    if adoptions.of(store).restored_s() is not None:
        before = rebooking.forgotten_number(store, new, new.state.mark)
        entry = None if before is None else rebooking.entry_of(store, new, before)
        if entry is not None and entry.amount_ncur == amount_ncur:
            number = int(entry.number)
        else:
            entry = None
    moved = care.of(store).move_topup(given, new, number, now_s)
    out = posting.IN_FLIGHT, posting.TRANSFER
    store.ledgers.post(
        posting.moved(old.id, now_s, out, amount_ncur, new.currency, given.number)
        + posting.moved(new.id, now_s, out[::-1], amount_ncur, new.currency, number)
    )
    args: list[object] = [moved.number, moved.generation, amount_ncur]
    what = (new.module, new.point, codes.TOPUP, args)
    commands.issue(store, *what, now_s, commands.TOPUP_LIFE_S)
    if entry is not None:  # which answers that order
        rebooking.told_before(store, new, moved, entry, now_s)


def _agree_debts(store: Store, unheard: list[Order], new: Point, now_s: int) -> None:
    """Debts that the old module may not have heard of are agreed with the new one, each as it was
    ordered last. That is newer than what the old one said was left, of which nothing has gone out
    yet; and no harm where the old one did hear: an order says what is owed, not what is added."""
    last = {commands.args_of(order.args)[0]: order for order in unheard}
    for before in store.payments.open_of(new.module, new.point, codes.DEBT):
        if commands.args_of(before.args)[0] in last:
            store.payments.command_ended(before, "expired", None, None, now_s)
    for order in last.values():
        args = commands.args_of(order.args)
        what = (new.module, new.point, codes.DEBT, args)
        commands.issue(store, *what, now_s, following.LIFE_S)


def told(store: Store, row: Replacement) -> dict[str, object]:
    """What a person wants to know of one point."""
    known = care.of(store)
    old, new = known.point(row.old_point), known.point(row.new_point)
    sent = orders.of(store).of_action(new.module, new.point, codes.TRANSFER)
    waits = [each for each in sent if each.state in ("queued", "sent")]
    left = adjustments.waiting(store, old)
    state = "held" if row.held else "moved"
    if not new.state.time_s:
        state = "waits for the new module"
    elif waits:
        state = "under way"
    return {
        "old": f"{old.module}/{old.point}",
        "new": f"{new.module}/{new.point}",
        "state": state,
        "old_settled": old.state.seq,
        "old_missing": old.sent_seq - old.state.seq,
        "old_register_wh": old.state.register_wh,
        "old_balance_ncur": old.state.balance_ncur,
        "moved_ncur": row.out_ncur,
        "corrections_ncur": row.energy_ncur + row.fixed_ncur,
        "ordered": len(sent),
        "held": row.held,
        "adjustments": [
            {"command": each.id, "amount_ncur": adjustments.amount_ncur(each)} for each in left
        ],
        "currency": new.currency,
    }


_READ_METERS = (
    "read both meters, repeat with --old-register, --new-register 请抄录新旧表示数后重试"
)
_COMPARE = (
    "compare the balances of both modules, then `gridpurse command adjust` the new one by what is"
    " missing 请核对两模块余额后调账"
)
STATES_ZH = {
    "held": "需人工处理",
    "moved": "已转移",
    "waits for the new module": "等待新模块建账",
    "under way": "转移中",
}


def _remedy(held: str) -> str:
    lost = (following.OPENING_LOST, following.TRANSFER_LOST, ideal.RECORDS_LOST)
    return _COMPARE if held.startswith(lost) else _READ_METERS


def line(one: dict[str, object]) -> str:
    state = str(one["state"])
    moved, more = (decimal(int(str(one[name]))) for name in ("moved_ncur", "corrections_ncur"))
    text = f"{one['old']} -> {one['new']}: {state} {STATES_ZH[state]},"
    text += f" balance 余额 {moved} {one['currency']}, energy in between 间隔电费 {more}"
    missing = int(str(one["old_missing"]))
    if missing:
        text += f"; {missing} records of the old one are missing 旧模块尚有记录未到"
    left = one["adjustments"]
    if isinstance(left, list) and left:
        names = ", ".join(f"{each['command']} ({decimal(each['amount_ncur'])})" for each in left)
        text += f"; adjustments {names} wait at the old one 旧模块尚有调账未执行"
    if one["held"]:
        text += f"; {one['held']}: {_remedy(str(one['held']))}"
    return text


def _meters(arguments: argparse.Namespace) -> dict[int, Meters]:
    read = arguments.old_register, arguments.new_register
    if read == (None, None):
        if arguments.point is not None:
            raise Refused("--point: goes with --old-register and --new-register")
        return {}
    if None in read:
        raise Refused("--old-register, --new-register: give both, or none where the meter stays")
    old_wh = amounts.register_wh("--old-register", read[0])
    new_wh = amounts.register_wh("--new-register", read[1])
    return {arguments.point or 0: Meters(old_wh, new_wh)}
