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
from host_tools.settlement.pricing import Prices
from host_tools.settlement.screening import AHEAD_S_MAX, REGISTER_WH_MAX
from host_tools.store.database import Store
from host_tools.store.records import Point
from host_tools.store.sql import Row
from protocol import ledger, tariff
from protocol.ledger import State
from protocol.messages import Readings
from protocol.reading import next_boundary_s
from protocol.units import NCUR_MAX, SYNCHRONISED

_CONTRA = posting.contra(ledger.CHARGE, True)
_CHARGE = ledger.CHARGE
_HEAD_BYTES = ledger.HEAD_BYTES


def settle(
    store: Store, prices: Prices, point: Point, batch: Readings, now_s: int
) -> Point | None:
    """The point after the batch; None, with nothing written, when it has to go the long way."""
    before = point.state
    book = store.fleet.book(batch.version)
    if batch.first_seq != before.seq + 1 or not before.time_s:
        return None
    if book is None or book.currency != point.currency:
        return None
    rows: list[Row] = []
    row_id = store.ledgers.next_id(len(batch.items), now_s)
    state = _worked_out(prices, book, point, batch, row_id, now_s, rows)
    if (
        state is None
        or state.head != batch.head
        or state.time_s > now_s + AHEAD_S_MAX
        or state.register_wh > REGISTER_WH_MAX
        or not -NCUR_MAX <= state.balance_ncur <= NCUR_MAX
        or store.fleet.assigned(point.id, state.time_s) != book.version
        or (point.statement is not None and point.statement.seq > before.seq)
    ):
        return None
    return store.ledgers.append_rows(point, rows, state)


def _worked_out(
    prices: Prices,
    book: tariff.Book,
    point: Point,
    batch: Readings,
    row_id: int,
    now_s: int,
    rows: list[Row],
) -> State | None:
    """The state after the batch, and the journal rows of its intervals; None as above."""
    (
        seq, time_s, register_wh, balance_ncur, period, used_wh, day, _, mark, charged_ncur,
        topups_ncur, head,
    ) = point.state  # fmt: skip
    version, number, epoch, before_id = book.version, point.id, batch.epoch, point.last_id
    for energy_wh in batch.items:
        from_s = time_s
        stretch = prices.stretch(book, from_s, next_boundary_s(from_s))
        if stretch is None or type(energy_wh) is not int or energy_wh <= 0:
            return None
        # From here on period and instant are the stretch's own objects, shared by all points.
        time_s, current, thresholds_wh, prices_ucur_per_kwh = stretch
        if current != period:
            used_wh = 0
        period = current
        tier = bisect_right(thresholds_wh, used_wh)
        used_wh += energy_wh
        if tier < len(thresholds_wh) and used_wh > thresholds_wh[tier]:
            return None
        amount_ncur = -prices_ucur_per_kwh[tier] * energy_wh
        seq += 1
        register_wh += energy_wh
        balance_ncur += amount_ncur
        charged_ncur -= amount_ncur
        entry = (
            seq, _CHARGE, time_s, SYNCHRONISED, register_wh, energy_wh, version, period, used_wh,
            amount_ncur, 0, 0, balance_ncur,
        )  # fmt: skip
        head = sha256(head + prices.encoded(entry)).digest()[:_HEAD_BYTES]
        rows.append((
            row_id, before_id, number, epoch, from_s, now_s, _CONTRA, charged_ncur, topups_ncur,
            head, None, *entry,
        ))  # fmt: skip
        before_id = row_id
        row_id += 1
    return State(
        seq, time_s, register_wh, balance_ncur, period, used_wh, day, version, mark,
        charged_ncur, topups_ncur, head,
    )  # fmt: skip
