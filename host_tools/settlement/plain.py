"""The usual batch in one loop: intervals under a good clock that continue what is settled.

The long way in settle.py makes a fact, an entry and a state of each interval and looks at each; a
fleet sends hardly anything else, so here the same numbers are worked out at once, and only when
nothing at all is remarkable: the book is known and assigned, each interval lies within one price
and one tier, and the chain head at the end is the module's own, which pins every figure before it.
Anything else goes the long way, from the start.
"""

from bisect import bisect_right
from hashlib import sha256

from host_tools.settlement import posting
from host_tools.settlement.chaining import charged
from host_tools.settlement.pricing import Prices
from host_tools.settlement.screening import AHEAD_S_MAX, REGISTER_WH_MAX
from host_tools.store.database import Store
from host_tools.store.records import Point
from host_tools.store.sql import Row
from protocol import ledger
from protocol.ledger import State
from protocol.messages import Readings
from protocol.units import NCUR_MAX, SYNCHRONISED

_CONTRA = posting.contra(ledger.CHARGE, True)
_CHARGE = ledger.CHARGE
_HEAD_BYTES = ledger.HEAD_BYTES
_new = tuple.__new__  # of a named tuple without the call that sorts its arguments


def settle(
    store: Store, prices: Prices, point: Point, batch: Readings, now_s: int
) -> Point | None:
    """The point after the batch; None, with nothing written, when it has to go the long way."""
    # Taken apart at once: a name costs a third of an attribute.
    number, _, _, _, currency, before, _, _, statement, _, before_id = point
    (
        seq, time_s, register_wh, balance_ncur, period, used_wh, day, _, mark, charged_ncur,
        topups_ncur, head,
    ) = before  # fmt: skip
    _, epoch, first_seq, version, items, said_head = batch
    book = store.fleet.book(version)
    if (
        first_seq != seq + 1
        or not time_s
        or book is None
        or book.currency != currency
        or (statement is not None and statement.seq > seq)
    ):
        return None
    row_id = store.ledgers.next_id(len(items), now_s)
    rows: list[Row] = []
    for energy_wh in items:
        from_s = time_s
        stretch = prices.interval(book, version, from_s)
        if stretch is None or type(energy_wh) is not int or energy_wh <= 0:
            return None
        # From here on period and instant are the stretch's own objects, shared by all points.
        time_s, current, thresholds_wh, prices_ucur_per_kwh, when, how = stretch
        if current != period:
            used_wh = 0
        period = current
        tier = bisect_right(thresholds_wh, used_wh)
        used_wh += energy_wh
        if tier < len(thresholds_wh) and used_wh > thresholds_wh[tier]:
            return None
        charge_ncur = prices_ucur_per_kwh[tier] * energy_wh
        seq += 1
        register_wh += energy_wh
        balance_ncur -= charge_ncur
        charged_ncur += charge_ncur
        head = sha256(charged(
            head, seq, when, register_wh, energy_wh, how, used_wh, charge_ncur, balance_ncur
        )).digest()[:_HEAD_BYTES]  # fmt: skip
        rows.append((
            row_id, before_id, number, epoch, from_s, now_s, _CONTRA, charged_ncur, topups_ncur,
            head, None, seq, _CHARGE, time_s, SYNCHRONISED, register_wh, energy_wh, version,
            period, used_wh, -charge_ncur, 0, 0, balance_ncur,
        ))  # fmt: skip
        before_id = row_id
        row_id += 1
    if (
        head != said_head
        or time_s > now_s + AHEAD_S_MAX
        or register_wh > REGISTER_WH_MAX
        or not -NCUR_MAX <= balance_ncur <= NCUR_MAX
        or store.fleet.assigned(number, time_s) != version
    ):
        return None
    state = _new(State, (
        seq, time_s, register_wh, balance_ncur, period, used_wh, day, version, mark, charged_ncur,
        topups_ncur, head,
    ))  # fmt: skip
    return store.ledgers.append_rows(point, rows, state, head)
