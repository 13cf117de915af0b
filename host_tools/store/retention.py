"""What a store may forget: raw evidence beside the ledger, of closed days and old enough.

Entries of the ledger, which the readings are part of, stay for ever: every chain is folded from
its first entry, and a corrected reading re-rates from it. Forgotten are events that modules told
and messages that were refused. A module with something open keeps all it has told: an open
difference may need it, and so may a command or an update under way. Its newest record stays, and
whatever tells what became of an update or of settings, what is left of a debt, and by how much a
ledger and its meter differ: the module that takes over goes on from those.
"""

from host_tools.store.database import Store
from protocol import codes, messages

_OPEN = (
    "SELECT p.module FROM differences d JOIN points p ON p.id = d.point_id"
    " WHERE d.closed_s IS NULL"
    " UNION SELECT module FROM commands WHERE state IN ('queued', 'sent')"
    " UNION SELECT module FROM rollouts WHERE state = 'sending'"
)
_KEPT = (codes.UPDATED, codes.CONFIG_SET, codes.DEBT_LEFT, codes.METER_REBASED)
_EVENTS = (
    f"FROM events WHERE arrived_s < ? AND module NOT IN ({_OPEN})"  # noqa: S608 - all ours
    " AND seq < (SELECT m.events_seq FROM modules m WHERE m.id = events.module)"
    f" AND NOT (kind = {messages.EVENTS} AND code IN {_KEPT})"
)
_REJECTS = "FROM rejects WHERE last_s < ?"


def counted(store: Store, before_s: int) -> tuple[int, int]:
    """(events, refused messages) that `forget` would take now."""
    execute = store._connection.execute
    found = [execute(f"SELECT COUNT(*) {what}", (before_s,)) for what in (_EVENTS, _REJECTS)]
    events, rejects = (int(rows.fetchone()[0]) for rows in found)
    return events, rejects


def forget(store: Store, before_s: int) -> tuple[int, int]:
    """Takes what arrived before an instant, inside the caller's transaction; how many."""
    connection = store._connection
    with store._database.shrinking("events"):
        events = connection.execute(f"DELETE {_EVENTS}", (before_s,)).rowcount
    return events, connection.execute(f"DELETE {_REJECTS}", (before_s,)).rowcount
