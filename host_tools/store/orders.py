"""Who ordered a command and why, what took its place, and the updates that modules are given.

Writes belong inside the caller's transaction. Nothing here is ever deleted.
"""

import json
from dataclasses import dataclass

from host_tools.store.database import Store
from host_tools.store.records import Order
from host_tools.store.sql import Connection
from protocol import codes, messages


@dataclass(frozen=True, slots=True)
class Note:
    """Why a command is in the queue. `asked` is canonical JSON."""

    module: str
    id: int
    asked: str
    who: str
    why: str
    reference: str | None


# In what an adjustment was asked for: the point whose account it brings to the next module.
OF_POINT = "of_point"


@dataclass(frozen=True, slots=True)
class Record:
    """A command with what became of it; who and why are None where the host itself ordered."""

    module: str
    id: int
    target: int
    action: int
    args: bytes
    issued_s: int
    expires_s: int
    state: str
    sent: int
    status: int | None
    detail: int | None
    answered_s: int | None
    who: str | None
    why: str | None
    reference: str | None
    withdrawn_by: int | None


@dataclass(frozen=True, slots=True)
class Rollout:
    """One update of one module."""

    module: str
    number: int
    digest: bytes
    state: str
    command_id: int
    place: int
    tries: int
    events_seq: int
    expires_s: int


_RECORD = (
    "SELECT c.module, c.id, c.target, c.action, c.args, c.issued_s, c.expires_s, c.state, c.sent,"
    " c.status, c.detail, c.answered_s, n.who, n.why, n.reference, w.by_id FROM commands c"
    " LEFT JOIN command_notes n ON n.module = c.module AND n.id = c.id"
    " LEFT JOIN withdrawals w ON w.module = c.module AND w.id = c.id"
)
_NOTE = "SELECT module, id, asked, who, why, reference FROM command_notes"
_ROLLOUT = (
    "SELECT module, number, digest, state, command_id, place, tries, events_seq, expires_s"
    " FROM rollouts"
)


def of(store: Store) -> "Orders":
    """On the connection of a store, within its transactions."""
    return Orders(store._connection)


class Orders:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def note(self, note: Note) -> None:
        self._connection.execute(
            "INSERT INTO command_notes (module, id, asked, who, why, reference)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (note.module, note.id, note.asked, note.who, note.why, note.reference),
        )

    def by_reference(self, reference: str) -> Note | None:
        row = self._connection.execute(f"{_NOTE} WHERE reference = ?", (reference,)).fetchone()
        return Note(*row) if row else None

    def record(self, module: str, command_id: int) -> Record | None:
        row = self._connection.execute(
            f"{_RECORD} WHERE c.module = ? AND c.id = ?", (module, command_id)
        ).fetchone()
        return Record(*row) if row else None

    def record_known(self, module: str, command_id: int) -> Record:
        """A command that is in the queue."""
        found = self.record(module, command_id)
        if found is None:
            raise LookupError(f"{module} {command_id}")
        return found

    def records(self, module: str, target: int | None = None) -> list[Record]:
        """All commands of a module, or of one point of it, oldest first."""
        rows = self._connection.execute(
            f"{_RECORD} WHERE c.module = ? AND c.target = COALESCE(?, c.target) ORDER BY c.id",
            (module, target),
        )
        return [Record(*row) for row in rows]

    def of_action(self, module: str, target: int, action: int) -> list[Record]:
        rows = self._connection.execute(
            f"{_RECORD} WHERE c.module = ? AND c.target = ? AND c.action = ? ORDER BY c.id",
            (module, target, action),
        )
        return [Record(*row) for row in rows]

    def of_accounts_before(self, module: str, target: int) -> frozenset[int]:
        """Adjustments that bring to a module what the account of another one lacked."""
        rows = self._connection.execute(
            "SELECT c.id, n.asked FROM commands c JOIN command_notes n"
            " ON n.module = c.module AND n.id = c.id"
            " WHERE c.module = ? AND c.target = ? AND c.action = ?",
            (module, target, codes.ADJUST),
        )
        return frozenset(row[0] for row in rows if OF_POINT in json.loads(row[1] or "{}"))

    def withdraw(self, record: Record, by_id: int, now_s: int) -> None:
        """A command without an answer is not sent again: a later one takes its place."""
        self._connection.execute(
            "UPDATE commands SET state = 'expired', answered_s = ?"
            " WHERE module = ? AND id = ? AND state IN ('queued', 'sent')",
            (now_s, record.module, record.id),
        )
        self._connection.execute(
            "INSERT INTO withdrawals (module, id, by_id) VALUES (?, ?, ?)",
            (record.module, record.id, by_id),
        )

    def shorten(self, order: Order, args: bytes) -> None:
        """Keeps less of what a finished command carried."""
        self._connection.execute(
            "UPDATE commands SET args = ? WHERE module = ? AND id = ?",
            (args, order.module, order.id),
        )

    def told(self, module: str, code: int, after_seq: int = 0, from_s: int = 0) -> list[bytes]:
        """Arguments of a module's events of one code, behind a sequence, arrived since."""
        rows = self._connection.execute(
            "SELECT args FROM events WHERE module = ? AND seq > ? AND arrived_s >= ?"
            " AND kind = ? AND code = ? ORDER BY seq",
            (module, after_seq, from_s, messages.EVENTS, code),
        )
        return [bytes(row[0]) for row in rows]

    def config_version(self, module: str) -> int:
        """What a module's last hello said of its settings; 0 before the first."""
        row = self._connection.execute(
            "SELECT COALESCE(config_version, 0) FROM modules WHERE id = ?", (module,)
        ).fetchone()
        return int(row[0])

    def keep_bundle(self, digest: bytes, version: int, content: bytes, now_s: int) -> None:
        self._connection.execute(
            "INSERT INTO bundles (digest, version, content, stored_s) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (digest) DO NOTHING",
            (digest, version, content, now_s),
        )

    def bundle(self, digest: bytes) -> bytes:
        row = self._connection.execute(
            "SELECT content FROM bundles WHERE digest = ?", (digest,)
        ).fetchone()
        return bytes(row[0])

    def rollouts(self, module: str) -> list[Rollout]:
        """The updates of a module, oldest first."""
        rows = self._connection.execute(f"{_ROLLOUT} WHERE module = ? ORDER BY number", (module,))
        return [Rollout(*row) for row in rows]

    def keep_rollout(self, one: Rollout) -> None:
        """Writes a rollout as it stands now."""
        self._connection.execute(
            "INSERT INTO rollouts (module, number, digest, state, command_id, place, tries,"
            " events_seq, expires_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (module, number) DO UPDATE SET state = excluded.state,"
            " command_id = excluded.command_id, place = excluded.place, tries = excluded.tries,"
            " events_seq = excluded.events_seq, expires_s = excluded.expires_s",
            (
                one.module,
                one.number,
                one.digest,
                one.state,
                one.command_id,
                one.place,
                one.tries,
                one.events_seq,
                one.expires_s,
            ),
        )
