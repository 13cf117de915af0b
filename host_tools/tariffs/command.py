"""`gridpurse tariff`: checks a tariff file, tells it in words, and what a new one changes.

Files in the store are stored.py's.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from host_tools import Refused
from host_tools.billing import printed
from host_tools.billing.command import year_month
from host_tools.billing.words import BOTH, EN, LANGUAGES, ZH, cents, kwh
from host_tools.clock import Clock, SystemClock
from host_tools.rating import calendar, households
from host_tools.rating.households import Household
from host_tools.rating.lines import Bill, BillLine
from host_tools.settlement.common import decimal
from host_tools.tariffs import comparing, document, stored, telling
from host_tools.tariffs.comparing import Change, Effect
from host_tools.tariffs.keys import exact
from host_tools.tariffs.terms import Document
from protocol import cbor, tariff, tariff_book
from protocol.tariff_book import DATED_MAX

CHECK, EXPLAIN, DIFF = "check", "explain", "diff"
FILES = {EXPLAIN: 1, DIFF: 2}
_OF_FILES = {
    CHECK: "check tariff files",
    EXPLAIN: "tell a tariff file in words, with an example",
    DIFF: "what a new tariff file changes",
}
KWH_DEFAULT = 300
KWH_MAX = 10_000_000
MW_PER_W = 1000


@dataclass(frozen=True, slots=True)
class Example:
    """A household's bill of some months from one on."""

    household: Household
    year: int
    month: int
    months: int
    bill: Bill


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    for what, text in _OF_FILES.items():
        one = kinds.add_parser(what, help=text, description=text)
        one.add_argument("file", type=Path, nargs="+", help="tariff file; diff takes OLD NEW")
        one.add_argument(
            "--kwh",
            type=int,
            action="append",
            help="energy a month of an example; repeat for more",
        )
        one.add_argument("--kw", default="3", help="contracted power of an example, default 3")
        one.add_argument("--month", metavar="YYYY-MM", help="month of the examples")
        one.add_argument("--lang", choices=LANGUAGES, default=BOTH, help="default: both")
        one.add_argument("--json", action="store_true", help="print JSON")
    stored.add_arguments(kinds)


def run(arguments: argparse.Namespace) -> int:
    if arguments.what not in _OF_FILES:
        return stored.run(arguments)
    what, files = arguments.what, arguments.file
    if len(files) != FILES.get(what, len(files)):
        raise Refused(f"{what}: name {'OLD and NEW' if what == DIFF else 'one file'}")
    if any(not 0 <= each <= KWH_MAX for each in arguments.kwh or ()):
        raise Refused(f"--kwh: must be a whole number from 0 to {KWH_MAX}")
    if what == CHECK:
        return _check(files, arguments.json)
    if what == EXPLAIN:
        _explain(arguments, SystemClock())
    else:
        _diff(arguments, SystemClock())
    return 0


def _check(files: list[Path], as_json: bool) -> int:
    """The exit code; a bad file keeps no other one from being looked at."""
    rows = []
    code = 0
    for path in files:
        try:
            rows.append(_checked(path))
        except Refused as error:
            print(f"gridpurse tariff: {error}", file=sys.stderr)
            code = error.exit_code
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return code
    for row in rows:
        if row["module_bytes"] is None:
            told = f"for bills, a module keeps {DATED_MAX} sets 仅供账单，模块最多 {DATED_MAX} 期"
        else:
            told = f"{row['module_bytes']} bytes for a module 模块字节"
        if row["host_terms"]:
            told += "; has terms that only the host applies 含仅主站计收的条款"
        head = f"{row['file']}: ok 正确; version 版本 {row['version']}, {row['currency']}"
        print(f"{head}, dated sets 期数 {row['sets']}; {told}")
    return code


def _checked(path: Path) -> dict[str, object]:
    found = document.read_document(path)
    fits = len(found.terms) <= DATED_MAX
    wire = cbor.encode(tariff_book.to_wire(document.read_book(path))) if fits else b""
    return {
        "file": str(path),
        "version": found.book.version,
        "name": found.name,
        "currency": found.book.currency,
        "sets": len(found.terms),
        "module_bytes": len(wire) if fits else None,
        "host_terms": any(around.extra() for _, around in found.terms),
    }


def _first_month(told: str | None, of: Document, clock: Clock) -> tuple[int, int]:
    """The month that was named, else that of the newest set, else the running one."""
    if told is not None:
        return year_month(told)
    newest_s = of.terms[-1][0]
    day = tariff.local_day(of.book, newest_s if newest_s else clock.now_s())
    return tariff.civil(day)[:2]


def _explain(arguments: argparse.Namespace, clock: Clock) -> None:
    found = document.read_document(arguments.file[0])
    year, month = _first_month(arguments.month, found, clock)
    contract_mw = exact(arguments.kw, 3, "--kw") * MW_PER_W
    months = households.span_months(found, calendar.month_s(found.book, year, month)[0])
    first = (year * 12 + month - 1) // months * months
    year, month = first // 12, first % 12 + 1
    examples = []
    for each in arguments.kwh or [KWH_DEFAULT]:
        home = Household(each * 1000, households.EVEN, contract_mw)
        bill = households.bill(found, home, year, month, months)
        examples.append(Example(home, year, month, months, bill))
    if arguments.json:
        print(json.dumps(_explained(found, examples), ensure_ascii=False))
        return
    for place, language in enumerate(_languages(arguments.lang)):
        lines = [""] if place else []
        lines += telling.sections(found, range(len(found.terms)), language)
        for example in examples:
            lines += ["", _title(found, example, language)]
            table = printed.text(
                example.bill, found.names_zh, language, partial(_begins, found, language)
            )
            lines += [f"  {line}" for line in table]
        print("\n".join([*lines, telling.rule(language == EN)]))


def _begins(of: Document, language: str, line: BillLine) -> str:
    """When the set of a line begins; the first one has no date."""
    from_s = of.terms[line.set_place][0]
    if line.set_place == 0:
        return "until then:" if language == EN else "此前："
    day = telling.date_of(of, from_s)
    return f"from {day}:" if language == EN else f"{day} 起："


def _languages(told: str) -> tuple[str, ...]:
    return (EN, ZH) if told == BOTH else (told,)


def _title(of: Document, example: Example, language: str) -> str:
    size = kwh(example.household.month_wh)
    when = f"{example.year}-{example.month:02}"
    power = kwh(example.household.contract_mw // 1000)
    asked = households.by_contract(of)
    if language == EN:
        span = f"{example.months} months from {when}" if example.months > 1 else when
        told = f"Example: {size} kWh a month used evenly, {span}"
        return f"{told}, {power} kW contracted:" if asked else f"{told}:"
    span = f"{when} 起 {example.months} 个月" if example.months > 1 else when
    told = f"示例：每月 {size} 千瓦时，均匀用电，{span}"
    return f"{told}，合同容量 {power} 千瓦：" if asked else f"{told}："


def _explained(of: Document, examples: list[Example]) -> dict[str, object]:
    places = range(len(of.terms))
    return {
        "version": of.book.version,
        "words": {each: telling.sections(of, places, each) for each in (EN, ZH)},
        "examples": [
            {
                "month_wh": example.household.month_wh,
                "contract_mw": example.household.contract_mw,
                "first_month": f"{example.year}-{example.month:02}",
                "months": example.months,
                "bill": printed.as_json(example.bill, of.names_zh),
            }
            for example in examples
        ],
    }


def _diff(arguments: argparse.Namespace, clock: Clock) -> None:
    old, new = (document.read_document(path) for path in arguments.file)
    told = {each: _Told(old, new, each) for each in (EN, ZH)}
    dated = told[EN].dated
    from_s = dated[-1].from_s if dated else 0
    year, month = _first_month(arguments.month, new, clock)
    if arguments.month is None and from_s:
        year, month, _ = tariff.civil(tariff.local_day(new.book, from_s))
    sizes = arguments.kwh or comparing.MONTHLY_KWH
    unsaid: dict[str, str] = {}
    effects: list[Effect] = []
    if old.book.currency != new.book.currency:
        unsaid = comparing.OTHER_CURRENCY
    else:
        try:
            effects = comparing.effects(old, new, sizes, year, month)
        except Refused as error:
            unsaid = {EN: str(error), ZH: f"无法比较：{error}"}
    if arguments.json:
        row = _compared(new, told, effects, (year, month), unsaid.get(EN, ""))
        print(json.dumps(row, ensure_ascii=False))
        return
    for place, language in enumerate(_languages(arguments.lang)):
        lines = [""] if place else []
        lines += _differing(new, told[language])
        lines.append("")
        lines += [unsaid[language]] if unsaid else _affected(new, effects, (year, month), language)
        print("\n".join(lines))


class _Told:
    """All changes in one language."""

    def __init__(self, old: Document, new: Document, language: str) -> None:
        self.language = language
        self.own = comparing.of_documents(old, new, language)
        self.dated = comparing.compare(old, new, language)


def _differing(new: Document, told: _Told) -> list[str]:
    english = told.language == EN
    out = [_changed(change, english) for change in told.own]
    if not told.dated:
        out.append("Nothing that is charged changes." if english else "计费内容无变化。")
    for each in told.dated:
        if each.from_s == 0:
            out.append("From the beginning:" if english else "自始：")
        else:
            day = telling.date_of(new, each.from_s)
            out.append(f"From {day}:" if english else f"自 {day} 起：")
        out += [f"  {_changed(change, english)}" for change in each.changes]
    return out


def _changed(change: Change, english: bool) -> str:
    if english:
        return f"{change.what}: {change.old} -> {change.new} ({change.whom})"
    return f"{change.what}：{change.old} -> {change.new}（{change.whom}）"


def _affected(
    new: Document, effects: list[Effect], first: tuple[int, int], language: str
) -> list[str]:
    when = f"{first[0]}-{first[1]:02}"
    currency = new.book.currency
    if language == EN:
        title = f"Twelve months from {when}, {currency}, bills as printed:"
        heads = ("household", "old", "new", "change", "")
    else:
        title = f"{when} 起十二个月，{currency}，按打印账单："
        heads = ("家庭", "旧", "新", "增减", "")
    rows = [heads]
    for effect in effects:
        change_ncur = int(effect.new_ncur - effect.old_ncur)
        share = comparing.permille(effect.old_ncur, effect.new_ncur)
        told = "" if share is None else f"{decimal(share * 10**8, 1)} %"
        sign = "+" if change_ncur > 0 else ""
        amounts = (cents(int(effect.old_ncur)), cents(int(effect.new_ncur)))
        name = comparing.whom(effect, language)
        rows.append((name, *amounts, f"{sign}{cents(change_ncur)}", told))
    table = printed.columns(rows, (False, True, True, True, True))
    return [title, *(f"  {line}" for line in table)]


def _compared(
    new: Document,
    told: dict[str, _Told],
    effects: list[Effect],
    first: tuple[int, int],
    unsaid: str,
) -> dict[str, object]:
    return {
        "currency": new.book.currency,
        "changes": {
            language: {
                "document": [asdict(change) for change in each.own],
                "dated": [asdict(dated) for dated in each.dated],
            }
            for language, each in told.items()
        },
        "first_month": f"{first[0]}-{first[1]:02}",
        "households": [
            {
                "month_wh": effect.household.month_wh,
                "pattern": effect.household.pattern,
                "old_ncur": int(effect.old_ncur),
                "new_ncur": int(effect.new_ncur),
            }
            for effect in effects
        ],
        "households_refused": unsaid,
    }
