"""The shards of one worker: leases in the store, taken when free, renewed with every batch.

A worker that died stops renewing, and after LEASE_MS the next one takes its shards under a higher
generation. One that was only slow finds that out inside its own transaction and commits nothing.
A lease thus decides how soon others take over, never whether the books are right. A lock that goes
with the worker, on a file of this machine or at the server, tells sooner that it has died.
"""

from host_tools.clock import Clock
from host_tools.settlement.transport import Claim
from host_tools.store.database import Store
from host_tools.store.held import Overtaken
from host_tools.store.sql import Presence

LEASE_MS = 10000


class Tenancy:
    """What one worker holds; `most` leaves shards for others."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        owner: str,
        shards: tuple[int, ...],
        most: int = 0,
        presence: Presence | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._owner = owner
        self._shards = sorted(shards)  # leases are asked for in one order by all
        self._most = most or len(shards)
        self._presence = presence
        self.claims: dict[int, Claim] = {}

    def look(self) -> bool:
        """Renews what is ours and takes what is free. True when our shards have changed."""
        before = dict(self.claims)
        with self._store.transaction(beside=True):
            now_ms = self._now_ms()
            for _, claim in sorted(before.items()):
                if not self._renewed([claim], now_ms):
                    del self.claims[claim.shard]
            for shard in self._shards:
                if shard not in self.claims and len(self.claims) < self._most:
                    self._end_of_the_dead(shard)
                    taken = self._store.leases.take(shard, self._owner, self._now_ms, LEASE_MS)
                    if taken is not None:
                        self.claims[shard] = Claim(shard, *taken)
        if self.claims == before:
            return False
        self._store.own(tuple(self.claims))
        return True

    def confirm(self) -> None:
        """Inside the transaction of a batch: all is still ours, or Overtaken."""
        if not self._renewed(list(self.claims.values()), self._now_ms()):
            shards = ", ".join(str(shard) for shard in sorted(self.claims))
            raise Overtaken(f"a shard of {shards} has another owner")

    def reading(self) -> None:
        """We read from the broker now: nothing of an owner before us is left there."""
        with self._store.transaction(beside=True):
            for claim in self.claims.values():
                self._store.leases.reading(claim.shard, self._owner, claim.generation)

    def forget(self) -> None:
        """Nothing is certain any more: every lease is asked for anew."""
        self.claims.clear()
        self._store.own(())

    def lose(self, shard: int) -> None:
        """The broker says that a shard has another reader: its lease is asked for anew."""
        self.claims.pop(shard, None)
        self._store.own(tuple(self.claims))

    def leave(self) -> None:
        """Lets the next one in at once."""
        with self._store.transaction(beside=True):
            for claim in self.claims.values():
                self._store.leases.give_up(claim.shard, self._owner, claim.generation)
        self.claims.clear()
        self._store.own(())

    def _end_of_the_dead(self, shard: int) -> None:
        held = self._store.leases.holder(shard)
        if held is not None and self._presence is not None and self._presence.gone(held[0]):
            self._store.leases.give_up(shard, *held)

    def _renewed(self, claims: list[Claim], now_ms: int) -> bool:
        held = sorted((claim.shard, claim.generation) for claim in claims)
        return self._store.leases.renew(self._owner, held, now_ms + LEASE_MS)

    def _now_ms(self) -> int:
        return self._store.leases.now_ms(self._clock.ticks_ms())
