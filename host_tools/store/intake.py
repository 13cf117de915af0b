"""What arrives besides money: rejects, batches that came too early, and events. All bounded."""

from collections import Counter
from collections.abc import Iterable

from host_tools.store.held import Held
from host_tools.store.records import Event, Parked, Reject
from host_tools.store.sql import Connection, Row

REJECTS_MAX = 100000
REJECT_BYTES_MAX = 256
PARKED_MAX = 64  # batches of one module

ASKED = 500  # at a time
_MARKS = ", ".join("?" * ASKED)
_KNOWN = f"SELECT digest, reason FROM rejects WHERE digest IN ({_MARKS})"  # noqa: S608
_AGAIN = "UPDATE rejects SET last_s = ?, count = count + ? WHERE digest = ? AND reason = ?"
# Two workers may refuse the same bytes for the first time.
_REFUSED = (
    "INSERT INTO rejects (source, first_s, last_s, topic, module, reason, detail, digest, bytes,"
    " size, count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (digest, reason) DO UPDATE SET count = rejects.count + excluded.count"
)
_EVENT = "SELECT seq, kind, time_s, quality, code, point, args FROM events"


class Intake:
    def __init__(self, connection: Connection, held: Held) -> None:
        self._connection = connection
        self._held = held
        self._refused: list[Row] = []  # in this transaction, as _REFUSED has them
        self._waiting: set[tuple[str, int]] | None = None  # streams with batches, for the owner

    def forget(self) -> None:
        """What waits is dropped, and what is remembered of the store read anew."""
        self._refused.clear()
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
    ) -> None:
        """Counts a refused message; it waits in memory until the transaction ends."""
        kept = data[:REJECT_BYTES_MAX]
        first = (source, now_s, now_s, topic, module, reason, detail, digest, kept, len(data))
        self._refused.append(first)

    def write(self) -> None:
        """Brings the store up to date with what waits. The oldest rows go at REJECTS_MAX."""
        if not self._refused:
            return
        first = {(row[7], row[5]): row for row in reversed(self._refused)}
        counts = Counter((row[7], row[5]) for row in self._refused)
        known = self._known(sorted(first))  # one order for all workers
        again = [(first[key][2], counts[key], *key) for key in known]
        self._connection.executemany(_AGAIN, again)
        fresh = first.keys() - set(known)
        new = [(*row, counts[key]) for key, row in reversed(first.items()) if key in fresh]
        self._connection.executemany(_REFUSED, new)
        self._connection.execute(
            "DELETE FROM rejects WHERE id <= (SELECT MAX(id) FROM rejects) - ?", (REJECTS_MAX,)
        )
        self._refused.clear()

    def _known(self, keys: list[tuple[bytes, int]]) -> list[tuple[bytes, int]]:
        """Those of the refused that have a row already."""
        found: set[tuple[bytes, int]] = set()
        for start in range(0, len(keys), ASKED):
            digests = [digest for digest, _ in keys[start : start + ASKED]]
            digests += digests[-1:] * (ASKED - len(digests))  # one statement for all
            found.update(self._connection.execute(_KNOWN, digests).fetchall())
        return [key for key in keys if key in found]

    def mark(self) -> int:
        """Where a part begins that may be undone alone."""
        return len(self._refused)

    def undo(self, mark: int) -> None:
        del self._refused[mark:]
        self._waiting = None

    def rejects(self, module: str | None = None) -> list[Reject]:
        self.write()
        rows = self._connection.execute(
            "SELECT source, first_s, last_s, topic, module, reason, detail, size, count"
            " FROM rejects WHERE module = ? OR CAST(? AS TEXT) IS NULL ORDER BY id",
            (module, module),
        )
        return [Reject(*row) for row in rows]

    def rejected(self, module: str) -> int:
        """How many messages of a module were refused, repetitions included."""
        self.write()
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
