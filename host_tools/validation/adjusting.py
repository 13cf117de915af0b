"""What corrected readings cost, as one order to the module: the whole that is owed less what was
ordered before.

The whole is worked out anew each time, from the journals and what stands in place of readings
(accounts.py), so an order that is repeated, interrupted, refused or overtaken by the next
correction never counts twice: only the rest is ordered. It takes a walk back to the first reading
that was ever corrected.
"""

import json
from dataclasses import dataclass, replace

from host_tools.ordering.kinds import ADJUSTMENTS, YEAR_S
from host_tools.rating.rerating import Adjustment, adjustment
from host_tools.settlement import commands, posting, settle
from host_tools.store import adoptions, care, orders
from host_tools.store.database import Store
from host_tools.store.orders import Note
from host_tools.store.records import Point, Settled
from host_tools.validation import accounts
from host_tools.validation.versions import Versions, connection_of
from protocol import cbor, codes, ledger

RERATING, CLOCK, TARIFF = "re-rating", "clock", "tariff"  # classes of an adjustment
_LIVE = ("queued", "sent", "done")  # an order of these has moved, or is to move, the balance


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something is ordered: rule, class of the adjustment, the person or program, and why."""

    rule: str
    name: str
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Ordered:
    """An adjustment as it lies in the store; `state` is its command's, which is `module`'s."""

    number: int
    module: str
    command_id: int
    version: int
    tariffs: str
    rule: str
    first_seq: int
    from_s: int
    to_s: int
    charges: int
    energy_wh: int
    owed_ncur: int
    amount_ncur: int
    at_s: int
    state: str


def ordered(store: Store, point: Point) -> list[Ordered]:
    """The adjustments of a point, oldest first."""
    rows = connection_of(store).execute(
        "SELECT a.number, c.module, a.command_id, a.version, a.tariffs, a.rule, a.first_seq,"
        " a.from_s, a.to_s, a.charges, a.energy_wh, a.owed_ncur, a.amount_ncur, a.at_s, c.state"
        " FROM vee_adjustments a JOIN command_notes n ON n.reference = ? || a.number"
        " JOIN commands c ON c.module = n.module AND c.id = n.id"
        " WHERE a.point_id = ? ORDER BY a.number",
        (reference(point, ""), point.id),
    )
    return [Ordered(*row) for row in rows.fetchall()]


def reference(point: Point, number: object) -> str:
    """Of the command of an adjustment, whichever module it went to."""
    return f"readings {point.module}/{point.point} {number}"


def owed(store: Store, point: Point) -> Adjustment | None:
    """What all that stands corrected makes of the charges; None where it changes nothing."""
    account = accounts.of(store, point)
    return None if account is None else adjustment(account.every(), account.corrections)


def work_off(
    store: Store, point: Point, cause: Cause, now_s: int, read: tuple[int, int, int]
) -> Ordered | None:
    """Orders what is owed and not ordered yet, within the caller's transaction; None for nothing.

    `read` is (first sequence, from, to) of what was corrected, where nothing is owed any more. A
    correction moves the tiers of the accounts behind it, too, each of which orders its own. Who
    hears is the module that has the customer now.
    """
    heirs = care.of(store).heirs(point)
    to = heirs[-1] if heirs else point
    made = _rest(store, point, to, cause, now_s, read)
    for heir in heirs:
        _rest(store, heir, to, cause, now_s, (0, *read[1:]))
    return made


def _rest(
    store: Store, point: Point, to: Point, cause: Cause, now_s: int, read: tuple[int, int, int]
) -> Ordered | None:
    due = owed(store, point)
    before = ordered(store, point)
    owed_ncur = due.amount_ncur if due else 0
    retired = store.fleet.module_known(to.module).retired_s is not None
    given = [each.amount_ncur for each in before if retired or each.state in _LIVE]
    amount_ncur = owed_ncur - sum(given)
    if not amount_ncur:
        return None
    reason, _ = ADJUSTMENTS[cause.name]
    args: list[object] = [reason, amount_ncur]
    what = (to.module, to.point, codes.ADJUST, args)
    before_restore = _forgotten(store, to, reason, amount_ncur)
    made = Ordered(
        len(before) + 1,
        to.module,
        (
            commands.issue(store, *what, now_s, YEAR_S)
            if before_restore is None
            else _remembered(store, to, before_restore, args, now_s)
        ),
        Versions(store).number(point.id),
        " ".join(str(each) for each in (due.versions if due else (point.state.version,))),
        cause.rule,
        *(read if due is None else (due.first_seq, due.from_s, due.to_s)),
        due.charges if due else 0,
        due.energy_wh if due else 0,
        owed_ncur,
        amount_ncur,
        now_s,
        "queued" if before_restore is None else "done",
    )
    _keep(store, point, made, cause)
    if commands.unheard(store, made.module, made.command_id, now_s):
        return replace(made, state="expired")
    return made


def _forgotten(store: Store, to: Point, reason: int, amount_ncur: int) -> Settled | None:
    """The entry of an order of the same class and sum that a restored store does not know."""
    if adoptions.of(store).restored_s() is None:
        return None
    wanted = ledger.ADJUSTMENT, reason, amount_ncur
    known = store.payments.command
    for entry in store.ledgers.entries(to.id):
        alike = (entry.kind, entry.channel, entry.amount_ncur) == wanted
        if alike and known(to.module, entry.number) is None:
            return entry
    return None


def _remembered(store: Store, to: Point, entry: Settled, args: list[object], now_s: int) -> int:
    """Takes an entry for the order that it was made for; its money leaves suspense."""
    what = (to.module, entry.number, to.point, codes.ADJUST, cbor.encode(args))
    store.payments.remember_command(*what, now_s)
    pair = posting.ADJUSTMENTS, posting.SUSPENSE
    moved = (pair, entry.amount_ncur, to.currency, entry.seq)
    store.ledgers.post(posting.moved(to.id, now_s, *moved))
    store.ledgers.agree(to.id, settle.TAMPER, now_s, f"adjustment {entry.number}")
    return entry.number


def _keep(store: Store, point: Point, made: Ordered, cause: Cause) -> None:
    connection_of(store).execute(
        "INSERT INTO vee_adjustments (point_id, number, command_id, version, tariffs, rule,"
        " first_seq, from_s, to_s, charges, energy_wh, owed_ncur, amount_ncur, at_s)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            point.id, made.number, made.command_id, made.version, made.tariffs, made.rule,
            made.first_seq, made.from_s, made.to_s, made.charges, made.energy_wh, made.owed_ncur,
            made.amount_ncur, made.at_s,
        ),
    )  # fmt: skip
    asked = {
        "kind": cause.name,
        "rule": made.rule,
        "readings_version": made.version,
        "tariff_versions": made.tariffs,
        "first_entry": made.first_seq,
        "from_s": made.from_s,
        "to_s": made.to_s,
    }
    told = f"{cause.why} [{made.rule}, readings {made.version}, tariff {made.tariffs}]"
    wanted = json.dumps(asked, sort_keys=True)
    which = reference(point, made.number)
    note = Note(made.module, made.command_id, wanted, cause.who, told, which)
    orders.of(store).note(note)
