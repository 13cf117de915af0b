"""How messages come in and go out: the interface that brokers are behind.

A delivery is acknowledged to the broker only by `acknowledge`, after the host committed it; what
was not is delivered again, to the next owner of its shard if need be. Everything happens in the
caller's thread, inside these calls: what is not asked for stays with the broker, so a burst fills
its disk and not our memory.
"""

from typing import NamedTuple, Protocol


class Delivery(NamedTuple):
    """A message as it came. `token` names it towards its broker, for one connection only."""

    topic: str
    payload: bytes
    token: object


class Claim(NamedTuple):
    """A shard that is ours now. Generations rise with each new owner; `since` is the oldest one
    that may have left something at the broker."""

    shard: int
    generation: int
    since: int
    made: bool = False  # a reader has been made for it; when it is gone, somebody overtook us


class Transport(Protocol):
    def open(self, claim: Claim) -> None:
        """Asks for the messages of a shard from now on; connects when it can."""

    def shut(self, shard: int) -> None:
        """Asks for no more of a shard. The broker keeps what comes for its next owner."""

    def take(self, most: int, wait_ms: int) -> list[Delivery]:
        """Up to `most` deliveries, in the broker's order; waits for the first one only."""

    def acknowledge(self, deliveries: list[Delivery]) -> None:
        """These are settled, as are all that came before them. Sends what was published, too."""

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        """Queues a message; `flush` or `acknowledge` sends it. Lost without a connection."""

    def flush(self) -> None:
        """Sends what was published."""

    def shards(self) -> set[int]:
        """The open shards that nobody has taken from us at the broker."""

    def ready(self) -> bool:
        """True once the broker serves every open shard."""

    def backlog(self) -> int:
        """Messages that wait to be taken, as far as we know; at least so many."""

    def refusal(self) -> str:
        """Why the broker will not serve us, in one line; empty when it does."""

    def stop(self) -> None:
        """Leaves the broker in good order."""


class Nowhere:
    """A transport without a broker, for what is settled here and has nobody to be answered."""

    def open(self, claim: Claim) -> None: ...
    def shut(self, shard: int) -> None: ...
    def acknowledge(self, deliveries: list[Delivery]) -> None: ...
    def publish(self, topic: str, payload: bytes, qos: int) -> None: ...
    def flush(self) -> None: ...
    def stop(self) -> None: ...

    def take(self, most: int, wait_ms: int) -> list[Delivery]:
        return []

    def shards(self) -> set[int]:
        return set()

    def ready(self) -> bool:
        return True

    def backlog(self) -> int:
        return 0

    def refusal(self) -> str:
        return ""


def shard_of(topic: str) -> int:
    """The shard of a topic that we made."""
    return int(topic.split("/", 2)[1])
