"""Records of one usage point become a case for validation; nothing is decided here."""

from collections.abc import Iterable, Sequence

from host_tools.exchange import obis
from host_tools.exchange.meter_file import MeterFile
from host_tools.exchange.records import Record
from host_tools.validation.series import ACTUAL, MISSING, Case, Exchange, Interval, Register


def case_of(meter: MeterFile, records: Sequence[Record], now_s: int) -> Case:
    """From the first to the last instant that the records tell of."""
    main = [each for each in records if each.obis == obis.IMPORT]
    intervals = [each for each in main if not each.is_register()]
    shown = [each for each in main if each.is_register()]
    ends = [each.start_s for each in main] + [each.end_s for each in main]
    step_s = meter.facts.step_s
    start_s = min(ends, default=0) // step_s * step_s
    end_s = -(-max(ends, default=0) // step_s) * step_s
    exported = _by_start(records, obis.EXPORT)
    return Case(
        meter.facts,
        start_s,
        end_s,
        now_s,
        intervals=tuple(
            Interval(
                each.start_s, each.end_s, each.value, each.quality or ACTUAL, each.version,
                each.method,
            )
            for each in intervals
        ),
        registers=tuple(
            Register(each.start_s, each.value, _meter_at(meter, each)) for each in shown
        ),
        spans=meter.spans,
        exchanges=tuple(each for each in meter.exchanges if start_s <= each.time_s <= end_s),
        reactive_varh=_by_start(records, obis.REACTIVE),
        export_wh=exported or None,
        history=meter.history,
    )  # fmt: skip


def _by_start(records: Iterable[Record], code: obis.Obis) -> dict[int, int]:
    return {
        each.start_s: each.value
        for each in records
        if each.obis == code and not each.is_register() and each.quality != MISSING
    }


def _meter_at(meter: MeterFile, shown: Record) -> str:
    """Which meter showed a register; at the instant of an exchange the nearer value tells."""
    name = meter.exchanges[0].old_meter if meter.exchanges else meter.facts.meter
    for order in meter.exchanges:
        if shown.start_s > order.time_s or (
            shown.start_s == order.time_s and _is_new(order, shown)
        ):
            name = order.new_meter
    return name


def _is_new(order: Exchange, shown: Record) -> bool:
    return abs(shown.value - order.new_start_wh) < abs(shown.value - order.old_end_wh)
