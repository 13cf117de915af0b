"""What a person decides about readings from before the module: a new version, and never an order.

The energy was billed elsewhere; what changes is what estimates and averages learn from it.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence

from host_tools.exchange.meter_file import MeterFile, meter_of
from host_tools.store.database import Store
from host_tools.validation.edits import edits
from host_tools.validation.estimating import estimate
from host_tools.validation.historic import (
    DECIDED,
    MAIN,
    REPLACED,
    Historic,
    Value,
    Version,
    interval_of,
)
from host_tools.validation.review import SET, VERIFY, Item
from host_tools.validation.series import ACTUAL, MANUAL, MISSING, VERIFIED, Case
from host_tools.validation.shapes import past_of
from protocol.units import DAY_S


def decide(
    store: Store,
    item: Item,
    what: str,
    who: str,
    why: str,
    now_s: int,
    values_wh: Mapping[int, int],
) -> tuple[int, list[Value]]:
    """(version of the point's historic readings, those that are new in it)."""
    historic = Historic(store)
    known = historic.sharing(item.point_id, item.start_s, item.end_s)
    meter = _meter(historic, item.point_id)
    if what == VERIFY:
        said = historic.imported(item.point_id, item.start_s, item.end_s)
        made = list(_verified(known, {each.key: each for each in said}))
    elif what == SET:
        made = [
            each._replace(value=energy_wh, quality=MANUAL, origin="manual")
            for each, energy_wh in edits(item, known, values_wh, meter)
        ]
    else:
        made = list(_guessed(historic, item, known, meter))
    stands = {each.key: each for each in known}
    news = [each for each in made if each != stands.get(each.key)]
    if not news:
        return historic.number(item.point_id), []
    version = Version(DECIDED, item.code, who, why, now_s)
    return historic.add(item.point_id, version, news), news


def _meter(historic: Historic, point_id: int) -> MeterFile:
    """As the last import had it."""
    documents = [each.document for each in historic.versions(point_id) if each.document]
    return meter_of(tomllib.loads(documents[-1]), "meter file of the import")


def _verified(
    known: Sequence[Value], said: Mapping[tuple[str, int, int], Value]
) -> Iterator[Value]:
    """The value that a file told, confirmed; an estimate or a manual value stays one."""
    for each in known:
        if each.quality == ACTUAL or (each.quality == MISSING and each.key in said):
            value = said.get(each.key, each).value
            yield each._replace(value=value, quality=VERIFIED)


def _guessed(
    historic: Historic, item: Item, known: Sequence[Value], meter: MeterFile
) -> Iterator[Value]:
    """Estimates in place of what was told, by the days before."""
    if not known:
        return
    start_s, end_s = known[0].start_s, max(each.end_s for each in known)
    back_s = meter.limits.weeks_max * 7 * DAY_S
    gone = {each.key for each in known}
    around = historic.standing(item.point_id, start_s - back_s, end_s)
    examples = [
        interval_of(each)
        for each in around
        if each.is_interval_of_import() and each.quality != MISSING and each.key not in gone
    ]
    near = tuple(each for each in examples if each.end_s == start_s or each.start_s == end_s)
    case = Case(meter.facts, start_s, end_s, end_s, near, spans=meter.spans)
    before = [each for each in examples if each.end_s <= start_s]
    filled = estimate(case, past_of(meter.past, meter.facts.step_s, before), meter.limits)
    made = {
        (MAIN, each.start_s, each.end_s): each for each in filled.intervals if each not in near
    }
    for each in known:
        if each.key not in made:
            yield each._replace(quality=MISSING, origin=REPLACED)
    stands = {each.key: each for each in known}
    for key, one in made.items():
        failed = stands[key].failed if key in stands else ()
        yield Value(*key, one.energy_wh, one.quality, 0, one.origin, failed)
