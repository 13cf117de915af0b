"""What arrives besides money: rejects, batches that came too early, and events. All bounded."""

from collections import Counter
from collections.abc import Iterable
from itertools import islice

from host_tools.store.held import Held
from host_tools.store.records import Event, Parked, Reject
from host_tools.store.sql import Connection, Row

REJECTS_MAX = 100000
REJECT_BYTES_MAX = 256
PARKED_MAX = 64  # batches of one module

KNOWN_MAX = 32768  # rows of rejects, the newest
_NEWEST = "SELECT COALESCE(MAX(id), 0) FROM rejects"
_SINCE = "SELECT id, digest, reason FROM rejects WHERE id > ? ORDER BY id DESC LIMIT ?"
_FIRST = (
    "INSERT INTO rejects (source, first_s, last_s, topic, module, reason, detail, digest, bytes,"
    " size, count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
# Where `gridpurse retain` has taken the row it is there again.
_AGAIN = (
    "INSERT INTO rejects (id, source, first_s, last_s, topic, module, reason, detail, digest,"
    " bytes, size, count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id)"
    " DO UPDATE SET last_s = excluded.last_s, count = rejects.count + excluded.count"
)
_EVENT = "SELECT seq, kind, time_s, quality, code, point, args FROM events"


class Intake:
    def __init__(self, connection: Connection, held: Held) -> None:
        self._connection = connection
        self._held = held
        self._refused: list[Row] = []  # in this transaction, as _FIRST has them but for the count
        # The row of (digest, reason), of all rows up to an id. One that is not known any more gets
        # another row: the sum of counts stays right.
        self._known: dict[tuple[bytes, int], int] = {}
        self._known_upto = 0
        self._waiting: set[tuple[str, int]] | None = None  # streams with batches, for the owner

    def forget(self) -> None:
        """What waits is dropped, and what is remembered of the store read anew."""
        self._refused.clear()
        self._forget_rows()
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
        self._look_back()
        keys = [(row[7], row[5]) for row in self._refused]
        first = dict(zip(reversed(keys), reversed(self._refused), strict=True))
        again, new = [], []
        for key, count in Counter(keys).items():  # as they came
            known = self._known.get(key)
            if known is None:
                new.append((*first[key], count))
            else:
                again.append((known, *first[key], count))
        self._connection.executemany(_AGAIN, sorted(again))  # one order for all workers
        self._connection.executemany(_FIRST, new)
        self._connection.execute(
            "DELETE FROM rejects WHERE id <= (SELECT MAX(id) FROM rejects) - ?", (REJECTS_MAX,)
        )
        self._refused.clear()

    def _look_back(self) -> None:
        """Reads which rows there are since we looked last, our own among them."""
        (newest,) = self._connection.execute(_NEWEST).fetchone()
        if newest < self._known_upto:  # they were taken, and their ids come again
            self._forget_rows()
        found = self._connection.execute(_SINCE, (self._known_upto, KNOWN_MAX)).fetchall()
        for row, digest, reason in reversed(found):
            self._known[bytes(digest), reason] = row
        self._known_upto = newest
        # At once: one by one, each looks for the oldest behind all that were dropped before it.
        for key in list(islice(self._known, max(0, len(self._known) - KNOWN_MAX))):
            del self._known[key]

    def _forget_rows(self) -> None:
        self._known.clear()
        self._known_upto = 0

    def mark(self) -> tuple[int, int]:
        """Where a part begins that may be undone alone."""
        return len(self._refused), self._known_upto

    def undo(self, mark: tuple[int, int]) -> None:
        waiting, known_upto = mark
        del self._refused[waiting:]
        if self._known_upto != known_upto:  # rows of this part may be among them
            self._forget_rows()
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
