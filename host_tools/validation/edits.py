"""Manual values of a person held against the intervals that they are for."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

from host_tools import Refused
from host_tools.validation.meters import Meter
from host_tools.validation.physics import energy_max_wh
from host_tools.validation.review import Item


class Timed(Protocol):
    @property
    def start_s(self) -> int: ...
    @property
    def end_s(self) -> int: ...


_Of = TypeVar("_Of", bound=Timed)


def edits(
    item: Item, known: Iterable[_Of], values_wh: Mapping[int, int], meter: Meter
) -> Iterator[tuple[_Of, int]]:
    """(interval, its manual Wh) in order of time. Refused without values, for an instant at which
    no interval begins, and for more than the connection carries."""
    if not values_wh:
        raise Refused(
            f"review {item.id}: give the corrected values with --set 须用 --set 给出更正值"
        )
    starts = {each.start_s: each for each in known}
    for start_s, energy_wh in sorted(values_wh.items()):
        own = starts.get(start_s)
        if own is None:
            raise Refused(
                f"review {item.id}: no interval of it begins at {start_s}; see `gridpurse review"
                f" show {item.id}` 其中无此起始时刻的时段"
            )
        most_wh = energy_max_wh(meter.facts, meter.limits, own.end_s - own.start_s)
        if not 0 <= energy_wh <= most_wh:
            raise Refused(
                f"review {item.id}: {energy_wh} Wh is out of range, the connection carries"
                f" {most_wh} Wh; its meter file says what it is, see --meter 电量超出接线所能"
            )
        yield own, energy_wh
