"""Who settles which shard: leases with an expiry, and a generation that fences an old owner off.

`now_ms` counts up and is the same for all processes of this machine. A lease that ends further
ahead than any lease can is left over from before a restart of the machine and counts as expired.
"""

import sqlite3


class Leases:
    """Every method runs inside the caller's transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def take(self, shard: int, owner: str, now_ms: int, life_ms: int) -> tuple[int, int] | None:
        """(our generation, the oldest one that may have left a reader at the broker), or None
        while another one has the shard."""
        row = self._connection.execute(
            "SELECT owner, generation, until_ms, reader FROM leases WHERE shard = ?", (shard,)
        ).fetchone()
        if row is None:
            self._connection.execute(
                "INSERT INTO leases VALUES (?, ?, 1, ?, 1)", (shard, owner, now_ms + life_ms)
            )
            return 1, 1
        if row[0] != owner and now_ms < row[2] <= now_ms + life_ms:
            return None
        generation = int(row[1]) + 1
        self._connection.execute(
            "UPDATE leases SET owner = ?, generation = ?, until_ms = ? WHERE shard = ?",
            (owner, generation, now_ms + life_ms, shard),
        )
        return generation, int(row[3])

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

    def renew(self, shard: int, owner: str, generation: int, now_ms: int, life_ms: int) -> bool:
        """Extends a lease; False when another owner has taken the shard."""
        cursor = self._connection.execute(
            "UPDATE leases SET until_ms = ? WHERE shard = ? AND owner = ? AND generation = ?",
            (now_ms + life_ms, shard, owner, generation),
        )
        return cursor.rowcount == 1

    def give_up(self, shard: int, owner: str, generation: int) -> None:
        """Lets the next one in at once."""
        self._connection.execute(
            "UPDATE leases SET until_ms = 0 WHERE shard = ? AND owner = ? AND generation = ?",
            (shard, owner, generation),
        )
