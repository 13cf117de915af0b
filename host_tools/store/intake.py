"""What arrives besides money: rejects, batches that came too early, and events. All bounded."""

from collections.abc import Iterable

from host_tools.store.held import Held
from host_tools.store.records import Event, Parked, Reject
from host_tools.store.sql import Connection

REJECTS_MAX = 100000
REJECT_BYTES_MAX = 256
PARKED_MAX = 64  # batches of one module

_EVENT = "SELECT seq, kind, time_s, quality, code, point, args FROM events"


class Intake:
    def __init__(self, connection: Connection, held: Held) -> None:
        self._connection = connection
        self._held = held
        self._waiting: set[tuple[str, int]] | None = None  # streams with batches, for the owner

    def forget(self) -> None:
        """What is remembered of the store is read anew."""
        self._waiting = None

    def reject(
        self,
        source: str,
        topic: str,
        module: str | None,
        reason: int,
        detail: str,
        digest: bytes,
        data: bytes,
        now_s: int,
    ) -> bool:
        """Counts a refused message; True when it is the first of its kind.

        The oldest rows go once there are REJECTS_MAX.
        """
        cursor = self._connection.execute(
            "UPDATE rejects SET last_s = ?, count = count + 1 WHERE digest = ? AND reason = ?",
            (now_s, digest, reason),
        )
        if cursor.rowcount:
            return False
        values = (now_s, now_s, topic, module, reason, detail, digest)
        cursor = self._connection.execute(
            "INSERT INTO rejects (source, first_s, last_s, topic, module, reason, detail, digest,"
            " bytes, size, count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)"
            " ON CONFLICT (digest, reason) DO UPDATE SET count = rejects.count + 1 RETURNING id",
            (source, *values, data[:REJECT_BYTES_MAX], len(data)),
        )
        (row_id,) = cursor.fetchone()
        self._connection.execute("DELETE FROM rejects WHERE id <= ?", (row_id - REJECTS_MAX,))
        return True

    def rejects(self, module: str | None = None) -> list[Reject]:
        rows = self._connection.execute(
            "SELECT source, first_s, last_s, topic, module, reason, detail, size, count"
            " FROM rejects WHERE module = ? OR CAST(? AS TEXT) IS NULL ORDER BY id",
            (module, module),
        )
        return [Reject(*row) for row in rows]

    def rejected(self, module: str) -> int:
        """How many messages of a module were refused, repetitions included."""
        row = self._connection.execute(
            "SELECT COALESCE(SUM(count), 0) FROM rejects WHERE module = ?", (module,)
        ).fetchone()
        return int(row[0])

    def park(
        self, module: str, stream: int, first_seq: int, digest: bytes, data: bytes, now_s: int
    ) -> bool:
        """Keeps a batch that came before its turn; False when this very batch is kept already."""
        cursor = self._connection.execute(
            "INSERT INTO parked VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (module, stream, first_seq, digest, data, now_s),
        )
        if self._waiting is not None:
            self._waiting.add((module, stream))
        return cursor.rowcount > 0

    def parked(self, module: str) -> int:
        row = self._connection.execute(
            "SELECT COUNT(*) FROM parked WHERE module = ?", (module,)
        ).fetchone()
        return int(row[0])

    def waits(self, module: str, stream: int) -> bool:
        """True when batches of a stream may be parked; exact for the owner of its shard."""
        if self._waiting is None:
            if not self._held.keep:
                return True
            rows = self._connection.execute("SELECT DISTINCT module, stream FROM parked")
            self._waiting = set(rows.fetchall())
        return (module, stream) in self._waiting

    def waiting(self, module: str, stream: int) -> tuple[int, int] | None:
        """(first sequence, arrival of the oldest) of the parked batches of a stream, if any."""
        row = self._connection.execute(
            "SELECT MIN(first_seq), MIN(arrived_s) FROM parked WHERE module = ? AND stream = ?",
            (module, stream),
        ).fetchone()
        return None if row[0] is None else (int(row[0]), int(row[1]))

    def restored(self) -> bool:
        """True for a store that `gridpurse restore` made: it may be older than its modules."""
        row = self._connection.execute("SELECT 1 FROM changes WHERE what = 'restored'").fetchone()
        return row is not None

    def next_parked(self, module: str, stream: int, upto_seq: int) -> Parked | None:
        """The parked batch whose turn has come: it begins at or below `upto_seq`."""
        row = self._connection.execute(
            "SELECT first_seq, digest, payload FROM parked"
            " WHERE module = ? AND stream = ? AND first_seq <= ?"
            " ORDER BY first_seq, digest LIMIT 1",
            (module, stream, upto_seq),
        ).fetchone()
        return Parked(*row) if row else None

    def unpark(self, module: str, stream: int, parked: Parked) -> None:
        self._connection.execute(
            "DELETE FROM parked WHERE module = ? AND stream = ? AND first_seq = ? AND digest = ?",
            (module, stream, parked.first_seq, parked.digest),
        )

    def append_events(self, module: str, epoch: int, events: Iterable[Event], now_s: int) -> None:
        self._connection.executemany(
            "INSERT INTO events (module, epoch, seq, kind, time_s, quality, code, point, args,"
            " arrived_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    module,
                    epoch,
                    event.seq,
                    event.kind,
                    event.time_s,
                    event.quality,
                    event.code,
                    event.point,
                    event.args,
                    now_s,
                )
                for event in events
            ],
        )

    def events(self, module: str, first_seq: int = 1, last_seq: int = 0xFFFFFFFF) -> list[Event]:
        rows = self._connection.execute(
            f"{_EVENT} WHERE module = ? AND seq BETWEEN ? AND ? ORDER BY seq",
            (module, first_seq, last_seq),
        )
        return [Event(*row) for row in rows]
