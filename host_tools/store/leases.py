"""Who settles which shard: leases with an expiry, and a generation that fences an old owner off.

`now_ms` counts up and is the same for all workers: this machine's clock where the store is a file
of it, the server's where it is not. A lease that ends further ahead than any lease can is left
over from before a restart of the machine and counts as expired; therefore the clock is asked after
a lease was read, never before: whoever had to wait would see leases of his own future. Whoever has
written a lease's row holds it to the end of the transaction, so nobody takes a shard from under a
batch in hand.
"""

from collections.abc import Callable, Sequence
from typing import Any

from host_tools.store.sql import Connection, lease_ms


class Leases:
    """Every method runs inside the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def now_ms(self, ticks_ms: int) -> int:
        return lease_ms(self._connection, ticks_ms)

    def take(
        self, shard: int, owner: str, now_ms: Callable[[], int], life_ms: int
    ) -> tuple[int, int] | None:
        """(our generation, the oldest one that may have left a reader at the broker), or None
        while another one has the shard."""
        row = self._connection.execute(
            "SELECT owner, until_ms FROM leases WHERE shard = ?", (shard,)
        ).fetchone()
        if row is None:
            self._connection.execute(
                "INSERT INTO leases VALUES (?, ?, 0, 0, 1) ON CONFLICT (shard) DO NOTHING",
                (shard, owner),
            )
        elif _held(row, owner, now_ms(), life_ms):
            return None
        (*row, generation, reader) = self._connection.execute(  # from here on it is in our hands
            "UPDATE leases SET until_ms = until_ms WHERE shard = ?"
            " RETURNING owner, until_ms, generation, reader",
            (shard,),
        ).fetchone()
        at_ms = now_ms()
        if _held(row, owner, at_ms, life_ms):
            return None
        self._connection.execute(
            "UPDATE leases SET owner = ?, generation = ?, until_ms = ? WHERE shard = ?",
            (owner, generation + 1, at_ms + life_ms, shard),
        )
        return int(generation) + 1, int(reader)

    def holder(self, shard: int) -> tuple[str, int] | None:
        """(owner, generation) of the last lease."""
        row = self._connection.execute(
            "SELECT owner, generation FROM leases WHERE shard = ?", (shard,)
        ).fetchone()
        return (row[0], row[1]) if row else None

    def reading(self, shard: int, owner: str, generation: int) -> None:
        """Readers of generations before this one are gone from the broker."""
        self._connection.execute(
            "UPDATE leases SET reader = ? WHERE shard = ? AND owner = ? AND generation = ?",
            (generation, shard, owner, generation),
        )

    def renew(self, owner: str, held: list[tuple[int, int]], until_ms: int) -> bool:
        """Extends leases (shard, generation); False when another owner has taken one of them."""
        if not held:
            return True
        cursor = self._connection.executemany(
            "UPDATE leases SET until_ms = ? WHERE shard = ? AND owner = ? AND generation = ?",
            [(until_ms, shard, owner, generation) for shard, generation in held],
        )
        return cursor.rowcount == len(held)

    def give_up(self, shard: int, owner: str, generation: int) -> None:
        """Lets the next one in at once."""
        self._connection.execute(
            "UPDATE leases SET until_ms = 0 WHERE shard = ? AND owner = ? AND generation = ?",
            (shard, owner, generation),
        )


def _held(row: Sequence[Any], owner: str, now_ms: int, life_ms: int) -> bool:
    """True while another one has the lease of this row (owner, until_ms)."""
    return bool(row[0] != owner and now_ms < row[1] <= now_ms + life_ms)
