"""`gridpurse readings`: checks, imports and exports the readings of one metering point.

A source is a CSV file as docs/validation.md has it, or a Green Button feed (.xml). An import goes
into another file, or into the store as readings from before the point's module.
"""

import argparse
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from host_tools import Refused
from host_tools.clock import FileClock, SystemClock
from host_tools.exchange import espi, espi_reader, historic_import, obis, readings_csv
from host_tools.exchange.historic_import import SLOTS_MAX, Origin, Taken
from host_tools.exchange.meter_file import MeterFile, read_meter
from host_tools.exchange.readings_csv import Imported, RefusedLine, utc
from host_tools.exchange.records import Record, of_intervals
from host_tools.exchange.series_of import case_of
from host_tools.files import write_whole
from host_tools.settlement.common import add_store_arguments, settings_of, table
from host_tools.settlement.topup import point_of
from host_tools.store.database import opened
from host_tools.validation.findings import Finding
from host_tools.validation.processing import Outcome, process
from host_tools.validation.table import ACTIONS_ZH, CHECKS, SEVERITIES_ZH
from host_tools.validation.versions import person
from protocol.units import Malformed

CHECK, IMPORT, EXPORT = "check", "import", "export"
SHOWN_MAX = 200
_BILLABLE = "billable 可计费", "NOT billable 不可计费"
_STANDS = "all of it stands 全部通过", "some of it is held 有挂起"


@dataclass(frozen=True)
class Source:
    """`lines` has the line of each record; of a feed its place there."""

    records: tuple[Record, ...]
    refused: tuple[RefusedLine, ...]
    lines: tuple[int, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=(CHECK, IMPORT, EXPORT), help="what to do")
    parser.add_argument("source", type=Path, help="CSV file, or Green Button feed (.xml)")
    meter = "TOML file of the point; default with --into: the one on file of it"
    parser.add_argument("--meter", type=Path, help=meter)
    parser.add_argument("--out", type=Path, help="file to write; import and export need it")
    into = "import into the store, as readings from before the module of a point"
    parser.add_argument("--into", nargs=2, metavar=("MODULE", "POINT"), help=into)
    parser.add_argument("--by", metavar="WHO", help="with --into: who imports it")
    parser.add_argument("--reason", metavar="TEXT", help="with --into: why")
    parser.add_argument("--format", choices=("csv", "espi"), default="csv", help="of --out")
    parser.add_argument(
        "--currency", choices=sorted(espi.CURRENCIES), default="CNY", help="of a feed"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_store_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 when everything is billable, 1 when a line was refused or something is held."""
    if arguments.into is not None:
        return _into_store(arguments)
    if (arguments.action == CHECK) == (arguments.out is not None):
        raise Refused("--out: name the file for import and export; check writes none")
    if arguments.meter is None:
        raise Refused("--meter: name the TOML file of the point 请指定计量点档案文件")
    meter = read_meter(arguments.meter)
    clock = FileClock(arguments.clock) if arguments.clock else SystemClock()
    now_s = clock.now_s()
    source = _of_this_point(read(arguments.source), meter, arguments.meter)
    if arguments.action == EXPORT:
        if not source.records:
            missing = f"no reading of {meter.usage_point} to export"
            raise Refused(f"{arguments.source}: {missing}{_first_refused(source)}")
        _write(arguments, meter, source.records, now_s)
        return _tell_refused(source, arguments.json)
    case = case_of(meter, source.records, now_s)
    if not case.intervals and not case.registers:
        missing = f"no reading of {obis.IMPORT}; nothing to {CHECK}"
        raise Refused(f"{arguments.source}: {missing}{_first_refused(source)}")
    slots = (case.end_s - case.start_s) // meter.facts.step_s
    if slots > SLOTS_MAX:  # each of them would be estimated where it is missing
        raise Refused(
            f"{arguments.source}: the readings span {slots} intervals, at most {SLOTS_MAX};"
            " split the file"
        )
    outcome = process(case, meter.past, meter.limits)
    if arguments.action == IMPORT:
        _write(arguments, meter, _result(meter, source, outcome), now_s)
    if arguments.json:
        print(json.dumps(_as_json(meter, source, outcome), ensure_ascii=False))
    else:
        print(_as_text(meter, source, outcome))
    return 0 if outcome.billable() and not source.refused else 1


def _into_store(arguments: argparse.Namespace) -> int:
    """0 when all of it was taken and stands, 1 when a line was refused or something is held."""
    if arguments.action != IMPORT or arguments.out is not None:
        raise Refused("--into: goes with import and without --out 仅用于 import 且不带 --out")
    settings = settings_of(arguments)
    module, number = arguments.into
    if not number.isascii() or not number.isdigit() or len(number) > 3:
        raise Refused(f"--into {module} {number}: the point is a number such as 0 用电点须为数字")
    who, why = (arguments.by or "").strip(), (arguments.reason or "").strip()
    person(who, why)
    with opened(settings.store(), create=False) as store:
        point = point_of(store, module, int(number))
        document, meter = historic_import.master_data(store, point, arguments.meter)
        digest = _digest(arguments.source)
        found = read(arguments.source, historic_import.READINGS_MAX)
        source = _of_this_point(found, meter, arguments.meter or Path(f"{module}/{number}"))
        if digest != _digest(arguments.source):
            raise Refused(f"{arguments.source}: changed while it was read; run it again")
        if not source.records and not source.refused:
            raise Refused(f"{arguments.source}: no reading in it; nothing to import 文件无读数")
        name = os.fsencode(arguments.source.name).decode(errors="replace")
        origin = Origin(who, why, name, digest, document)
        now_s = settings.clock().now_s()
        taken = historic_import.take(
            store, point, meter, origin, source.records, source.lines, now_s
        )
    refused = sorted((*source.refused, *taken.sorted.refused), key=lambda each: each.line)
    source = replace(source, refused=tuple(refused))
    return _told_taken(arguments, meter, source, taken, digest)


def _digest(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error


def _told_taken(
    arguments: argparse.Namespace, meter: MeterFile, source: Source, taken: Taken, digest: bytes
) -> int:
    module, number = arguments.into
    fresh, repeats = len(taken.sorted.fresh), taken.sorted.repeats
    outcome = taken.outcome
    if arguments.json:
        told = {
            "module": module, "point": int(number), "sha256": digest.hex(), "taken": fresh,
            "repeats": repeats, "version": taken.version, "reviews": taken.reviews,
        }  # fmt: skip
        found = _as_json(meter, source, outcome) if outcome else {}
        found |= {"refused": [asdict(each) for each in source.refused]}
        found.pop("billable", None)  # nothing of it is billed here
        print(json.dumps(told | found, ensure_ascii=False))
    else:
        if outcome:
            print(_as_text(meter, source, outcome, _STANDS))
        elif source.refused:
            print(_refused(source))
        print(
            f"\n{module}/{number}: {fresh} readings taken 已导入, {repeats} repeats 重复,"
            f" {len(source.refused)} refused 拒收, version {taken.version} 版本,"
            f" {taken.reviews} new reviews 新增待审\nSHA-256 {digest.hex()}"
        )
    return 0 if not source.refused and (outcome is None or outcome.billable()) else 1


def read(path: Path, lines_max: int = readings_csv.LINES_MAX) -> Source:
    """Everything of a file; Refused when it is none that can be read, or is longer."""
    try:
        with path.open("rb") as stream:
            if path.suffix.lower() == ".xml":
                records = espi_reader.read(stream)
                return Source(records, (), tuple(range(1, len(records) + 1)))
            found: Imported = readings_csv.read(stream, str(path), lines_max)
            return Source(found.records, found.refused, found.lines)
    except Malformed as error:
        raise Refused(f"{path}: {error.detail}") from error
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error


def _of_this_point(source: Source, meter: MeterFile, path: Path) -> Source:
    """Records of another point are not this meter's: the file is refused, not half taken."""
    for each in source.records:
        if each.usage_point != meter.usage_point:
            raise Refused(
                f"{path}: usage_point {meter.usage_point} is not {each.usage_point} of the"
                " readings; name the right meter file or split the readings"
            )
    return source


def _result(meter: MeterFile, source: Source, outcome: Outcome) -> list[Record]:
    """The validated intervals, and everything else as it came."""
    kept = [each for each in source.records if each.obis != obis.IMPORT or each.is_register()]
    made = of_intervals(meter.usage_point, obis.IMPORT, outcome.intervals)
    return sorted([*kept, *made], key=lambda each: (each.obis, each.start_s, each.end_s))


def _write(
    arguments: argparse.Namespace, meter: MeterFile, records: Iterable[Record], now_s: int
) -> None:
    rows = list(records)
    if arguments.format == "espi":
        text = "".join(espi.written(rows, meter.facts.zone, now_s, arguments.currency))
    else:
        text = "".join(readings_csv.written(rows, meter.facts.zone))
    write_whole(arguments.out, text)


def _tell_refused(source: Source, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"refused": [asdict(each) for each in source.refused]}))
    elif source.refused:
        print(_refused(source))
    return 1 if source.refused else 0


def _as_json(meter: MeterFile, source: Source, outcome: Outcome) -> dict[str, object]:
    return {
        "usage_point": meter.usage_point,
        "intervals": len(outcome.intervals),
        "energy_wh": sum(each.energy_wh for each in outcome.intervals),
        "quality": outcome.quality,
        "estimated_permille": outcome.estimated_permille(),
        "billable": outcome.billable(),
        "refused": [asdict(each) for each in source.refused],
        "findings": [asdict(each) for each in outcome.first.findings],
        "held": [asdict(each) for each in outcome.held],
        "not_run": list(outcome.first.not_run),
    }


def _as_text(
    meter: MeterFile, source: Source, outcome: Outcome, words: tuple[str, str] = _BILLABLE
) -> str:
    counts = Counter(each.quality for each in outcome.intervals)
    told = " ".join(f"{quality} {counts[quality]}" for quality in "AVSMEN" if counts[quality])
    parts = [_refused(source)] if source.refused else []
    if outcome.first.findings:
        parts.append(_findings("findings 发现", outcome.first.findings))
    if outcome.held:
        parts.append(_findings("held 挂起", outcome.held))
    energy_wh = sum(each.energy_wh for each in outcome.intervals)
    parts.append(
        f"{meter.usage_point}: {len(outcome.intervals)} intervals 时段 ({told or '-'}),"
        f" {energy_wh} Wh, estimated 估算 {outcome.estimated_permille()} ‰\n"
        f"not run 未执行: {' '.join(outcome.first.not_run) or '-'}\n"
        + words[not outcome.billable()]
    )
    return "\n\n".join(parts)


def _findings(title: str, found: tuple[Finding, ...]) -> str:
    heads = (
        "code 代码",
        "check 检查",
        "severity 等级",
        "action 处理",
        "from 起",
        "to 止",
        "figures 数据",
    )
    rows = [
        (
            each.code,
            f"{CHECKS[each.code].name} {CHECKS[each.code].name_zh}",
            f"{CHECKS[each.code].severity} {SEVERITIES_ZH[CHECKS[each.code].severity]}",
            f"{each.action} {ACTIONS_ZH[each.action]}",
            utc(each.start_s),
            utc(each.end_s),
            each.detail,
        )
        for each in found[:SHOWN_MAX]
    ]
    more = (
        f"\n... {len(found) - SHOWN_MAX} more 条未列出; --json" if len(found) > SHOWN_MAX else ""
    )
    return f"{title}: {len(found)}\n{table(heads, rows)}{more}"


def _first_refused(source: Source) -> str:
    """Why there may be none, where nothing else is told of the file."""
    if not source.refused:
        return ""
    first, count = source.refused[0], len(source.refused)
    return f"; {count} lines refused 拒收, the first: line {first.line}: {first.reason}"


def _refused(source: Source) -> str:
    rows = [(each.line, each.reason) for each in source.refused[:SHOWN_MAX]]
    left = len(source.refused) - SHOWN_MAX
    more = f"\n... {left} more 条未列出; --json" if left > 0 else ""
    heads = ("line 行", "reason 原因")
    return f"refused lines 拒收行: {len(source.refused)}\n{table(heads, rows)}{more}"
