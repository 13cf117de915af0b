"""Updates of many modules in waves, and where each module of them is.

Writes belong inside the caller's transaction. Nothing here is ever deleted.
"""

from dataclasses import dataclass

from host_tools.store.database import Store
from host_tools.store.sql import Connection


@dataclass(frozen=True, slots=True)
class Campaign:
    """One bundle for many modules; `version` is that of the bundle."""

    number: int
    digest: bytes
    version: int
    canary: int
    waves: str
    halt_failures: int
    state: str
    reason: str
    who: str
    why: str
    began_s: int
    changed_s: int


@dataclass(frozen=True, slots=True)
class Member:
    """A module of a campaign; `shard` is the module's."""

    campaign: int
    module: str
    place: int
    wave: int
    state: str
    rollout: int
    reason: str
    since_s: int
    shard: int


_CAMPAIGN = (
    "SELECT c.number, c.digest, b.version, c.canary, c.waves, c.halt_failures, c.state, c.reason,"
    " c.who, c.why, c.began_s, c.changed_s FROM campaigns c JOIN bundles b ON b.digest = c.digest"
)

_UNDER_WAY = "SELECT DISTINCT campaign FROM campaign_modules WHERE state IN ('sending', 'trial')"


def of(store: Store) -> "Campaigns":
    """On the connection of a store, within its transactions."""
    return Campaigns(store._connection)


class Campaigns:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, one: Campaign) -> None:
        self._connection.execute(
            "INSERT INTO campaigns (number, digest, canary, waves, halt_failures, state, reason,"
            " who, why, began_s, changed_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                one.number,
                one.digest,
                one.canary,
                one.waves,
                one.halt_failures,
                one.state,
                one.reason,
                one.who,
                one.why,
                one.began_s,
                one.changed_s,
            ),
        )

    def add_member(self, one: Member) -> None:
        self._connection.execute(
            "INSERT INTO campaign_modules (campaign, module, place, wave, state, rollout, reason,"
            " since_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                one.campaign,
                one.module,
                one.place,
                one.wave,
                one.state,
                one.rollout,
                one.reason,
                one.since_s,
            ),
        )

    def became(self, number: int, state: str, reason: str, now_s: int) -> None:
        self._connection.execute(
            "UPDATE campaigns SET state = ?, reason = ?, changed_s = ? WHERE number = ?",
            (state, reason, now_s, number),
        )

    def keep(self, one: Member) -> None:
        """Writes a member as it stands now."""
        self._connection.execute(
            "UPDATE campaign_modules SET state = ?, rollout = ?, reason = ?, since_s = ?"
            " WHERE campaign = ? AND module = ?",
            (one.state, one.rollout, one.reason, one.since_s, one.campaign, one.module),
        )

    def all(self) -> list[Campaign]:
        rows = self._connection.execute(f"{_CAMPAIGN} ORDER BY c.number")
        return [Campaign(*row) for row in rows]

    def active(self) -> list[Campaign]:
        """Those that have something to do: running, or halted with modules still under way."""
        moving = {row[0] for row in self._connection.execute(_UNDER_WAY)}
        return [one for one in self.all() if one.state == "running" or one.number in moving]

    def members(self, number: int) -> list[Member]:
        rows = self._connection.execute(
            "SELECT c.campaign, c.module, c.place, c.wave, c.state, c.rollout, c.reason,"
            " c.since_s, m.shard FROM campaign_modules c JOIN modules m ON m.id = c.module"
            " WHERE c.campaign = ? ORDER BY c.place",
            (number,),
        )
        return [Member(*row) for row in rows]
