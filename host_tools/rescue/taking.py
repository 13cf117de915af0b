"""The host takes what a dead module still had to say, by the road of every message.

Sealed bytes go to settlement's consumer: authenticated, in order, chain held, duplicates dropped,
refusals kept. All of it is one transaction, beside which the owner of the shard waits.
"""

from dataclasses import dataclass

from host_tools import Refused
from host_tools.care import rekeying
from host_tools.clock import Clock
from host_tools.keys import Keys
from host_tools.ordering.kinds import module_of
from host_tools.rescue.speaking import Remains
from host_tools.settlement.consumer import Consumer
from host_tools.settlement.counters import Counters
from host_tools.settlement.tenancy import Tenancy
from host_tools.settlement.transport import Delivery, Nowhere
from host_tools.store.database import Store
from protocol import topics
from protocol.messages import EVENT_STREAM


@dataclass(frozen=True, slots=True)
class Taken:
    """Of one point: sequences and balances of module and host afterwards. `agrees` when the host
    stands where the module's journal ends, or has heard more since."""

    point: int
    before: int
    settled: int
    journaled: int
    balance_ncur: int
    journaled_ncur: int
    currency: str
    agrees: bool


@dataclass(frozen=True, slots=True)
class Rescue:
    module: str
    points: tuple[Taken, ...]
    events: int  # new ones
    events_missing: int
    refused: int  # messages; each is a row of `gridpurse rejects`

    @property
    def whole(self) -> bool:
        return not self.refused and all(each.agrees for each in self.points)


class _Person(Tenancy):
    """Owns no shard: whoever does reads anew what is moved on here."""

    def confirm(self) -> None:
        self._store.fleet.restated()


def take(
    store: Store, keys: Keys, clock: Clock, name: str, remains: Remains, where: str
) -> Rescue:
    """Refused, and nothing is changed, when the flash is not of this module."""
    module = module_of(store, name)
    if remains.name != name:
        raise Refused(f"{where}: is the flash of {remains.name}, not of {name} 该闪存属于其他模块")
    if module.retired_s is not None:
        raise Refused(f"{name}: is retired; nothing of it counts any more 该模块已停用")
    points = {point.point: point for point in store.fleet.points(name)}
    before = {number: int(point.state.seq) for number, point in points.items()}
    sealed = list(remains.sealed({**before, EVENT_STREAM: module.events_seq}))
    if not sealed or not rekeying.heard(store, keys, name, sealed[-1]):
        raise Refused(
            f"{where}: its key is not the one that this host has of {name}; look whether it is of"
            " another host, or a dump from before the last `module rotate` 密钥不符"
        )
    topic, counters = topics.up(module.shard, name), Counters()
    tenancy = _Person(store, clock, f"rescue of {name}", ())
    consumer = Consumer(store, keys, clock, Nowhere(), tenancy, counters)
    consumer.consume([Delivery(topic, data, None) for data in sealed])
    if module.gone_s is not None:
        with store.transaction():
            store.fleet.gone(name, module.gone_s)  # it has not come back by this
    now = {point.point: point for point in store.fleet.points(name)}
    taken = []
    for number, state in sorted(remains.states.items()):
        point = now.get(number)
        if point is None:
            continue
        ours = point.state
        same = (ours.head, ours.balance_ncur) == (state.head, state.balance_ncur)
        taken.append(
            Taken(
                *(number, before[number], ours.seq, state.seq),
                *(ours.balance_ncur, state.balance_ncur, point.currency),
                agrees=ours.seq > state.seq or (ours.seq == state.seq and same),
            )
        )
    events_seq = store.fleet.module_known(name).events_seq
    missing = max(0, remains.events_seq - events_seq)
    refused = sum(counters.rejects.values())
    return Rescue(name, tuple(taken), events_seq - module.events_seq, missing, refused)
