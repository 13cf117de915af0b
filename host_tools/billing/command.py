"""`gridpurse bill`: the month of a service point from its settled charges."""

import argparse
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from host_tools import Refused, tariffs
from host_tools.billing import printed
from host_tools.billing.statement import Statement, statement
from host_tools.billing.words import BOTH, EN, LANGUAGES, UNNAMED, cents, kwh, money, say
from host_tools.rating.lines import BillLine, printed_ncur
from host_tools.settlement.common import add_store_arguments, settings_of
from host_tools.store.database import Store, opened
from host_tools.store.records import Point
from host_tools.tariffs import terms
from host_tools.tariffs.terms import Document, Terms
from protocol import ledger, tariff

NO_FILE = "-"  # origin of a document that is made of a stored book
_MOVEMENTS = {ledger.TOPUP: "topup", ledger.DEBT: "debt", ledger.TRANSFER: "transfer"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("module")
    parser.add_argument("point", type=int)
    parser.add_argument("--month", required=True, metavar="YYYY-MM", help="of the tariff's zone")
    parser.add_argument(
        "--tariff",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="tariff file of a version that is billed: names its rates; repeat for more",
    )
    parser.add_argument("--lang", choices=LANGUAGES, default=BOTH, help="default: both")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_store_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    year, month = year_month(arguments.month)
    given = [tariffs.read_document(path) for path in arguments.tariff]
    with opened(settings_of(arguments).store(), create=False) as store:
        point = store.fleet.point(arguments.module, arguments.point)
        if point is None:
            raise Refused(
                f"{arguments.module}/{arguments.point}: no such point; see gridpurse modules"
            )
        documents = Documents(store, given)
        found = of_point(store, point, documents, year, month)
        document = documents(point.state.version)
        documents.all_used({*found.versions, point.state.version})
    if arguments.json:
        print(json.dumps(as_json(point, found, document), ensure_ascii=False))
    else:
        print("\n".join(text(point, found, document, documents, arguments.lang)))
    return 0


def year_month(told: str) -> tuple[int, int]:
    found = re.fullmatch(r"(20\d\d)-(0[1-9]|1[0-2])", told)
    if found is None:
        raise Refused(f"--month {told}: write it as 2026-03")
    return int(found[1]), int(found[2])


def of_point(
    store: Store, point: Point, documents: "Documents", year: int, month: int
) -> Statement:
    """The statement of a point. Refused when it has none."""
    if not point.state.version:
        raise Refused(f"{point.module}/{point.point}: it has no entry yet; wait for its module")
    current = documents(point.state.version)
    return statement(documents, current, store.ledgers.entries(point.id), year, month)


class Documents:
    """Tariffs by version: the files that were given, else what the stored book alone says."""

    def __init__(self, store: Store, given: list[Document]) -> None:
        self._store = store
        self._known = {}
        for document in given:
            version = document.book.version
            stored = store.fleet.book(version)
            if stored is not None and stored != document.book:
                raise Refused(
                    f"--tariff {document.name}: version {version} is another tariff in the store;"
                    " give the file that was assigned"
                )
            self._known[version] = document

    def all_used(self, versions: set[int]) -> None:
        """Refused when a file was given that nothing here was charged by."""
        for version, document in self._known.items():
            if version not in versions:
                told = ", ".join(str(each) for each in sorted(versions))
                raise Refused(
                    f"--tariff {document.name}: nothing here is charged by its version {version};"
                    f" give the file of {told}"
                )

    def __call__(self, version: int) -> Document:
        known = self._known.get(version)
        if known is None:
            book = self._store.fleet.book(version)
            if book is None:
                raise Refused(f"tariff version {version}: is not in the store; restore a backup")
            known = self._known[version] = unnamed(book)
        return known


def unnamed(book: tariff.Book) -> Document:
    """A document of a book alone: rates have numbers, and no percentage can be told apart."""
    around = []
    for from_s, rates in book.rates:
        rows = rates.prices_ucur_per_kwh
        names = tuple(f"{UNNAMED}{number}" for number in range(1, len(rows[0]) + 1))
        method = terms.ADDER if len(rows) == 1 else terms.PER_TIER
        plain = Terms(
            names, method, terms.CHRONOLOGICAL, (), (), (), None, False, False, terms.PRINTED, 0
        )
        around.append((from_s, plain))
    name = f"version {book.version}"
    return Document(name, NO_FILE, "-", "-", {}, book, tuple(around))


def local(document: Document, at_s: int) -> str:
    """An instant by the tariff's clock, with its offset."""
    offset_s = tariff.in_force(document.book.zone, at_s)
    shown = datetime.fromtimestamp(at_s, UTC).astimezone(timezone(timedelta(seconds=offset_s)))
    return shown.strftime("%Y-%m-%d %H:%M%z")


def text(
    point: Point, found: Statement, document: Document, documents: "Documents", language: str
) -> list[str]:
    """For a person: the lines, then the account, then what they rest on."""
    names_zh = document.names_zh

    def begins(line: BillLine) -> str:
        version = line.version or document.book.version
        from_s = documents(version).terms[line.set_place][0]
        since = f" ({local(document, from_s)[:10]})" if from_s else ""
        return f"{say('tariff', language)} {version}{since}"

    versions = ", ".join(str(version) for version in found.versions) or "-"
    registers = (
        f"{kwh(wh)} kWh ({local(document, at_s)})"
        for wh, at_s in zip(found.registers_wh, found.registers_s, strict=True)
    )
    facts = [
        ("point", f"{point.module}/{point.point} {point.label}"),
        ("period", " - ".join(local(document, at_s) for at_s in (found.from_s, found.to_s))),
        ("register", " -> ".join(registers)),
        ("used", f"{kwh(found.energy_wh)} kWh, {found.charges} {say('intervals', language)}"),
        (
            "tariff",
            versions if document.origin == NO_FILE else f"{versions} {document.name}",
        ),
    ]
    for time_s, register_wh in found.openings:
        facts.append(("began", f"{kwh(register_wh)} kWh ({local(document, time_s)})"))
    if found.registers_s[1] < found.to_s:
        facts.append(("incomplete", local(document, found.registers_s[1])))
    if found.unset_clock:
        facts.append(("estimated", str(found.unset_clock)))
    out = [f"{say('bill', language)} {local(document, found.from_s)[:7]}"]
    out += _pairs(facts, language)
    out += [
        "",
        *printed.text(found.bill, names_zh, language, begins),
        "",
        *_account(point, found, language),
    ]
    used = f"{kwh(found.position.used_wh)} kWh"
    left = say("last_tier", language) if found.left_wh is None else f"{kwh(found.left_wh)} kWh"
    last = [("position", used), ("left", left), ("rule", say("rule_text", language))]
    last.append(("proof", found.head.hex()))
    out += ["", *_pairs(last, language)]
    return out + _full(found, document, language, begins)


def _pairs(facts: list[tuple[str, str]], language: str) -> list[str]:
    rows = [(say(key, language), value) for key, value in facts]
    return printed.columns(rows, (False, False))


def _account(point: Point, found: Statement, language: str) -> list[str]:
    """Balances as they are and as they are rounded; the ledger keeps the exact ones."""
    rows = [("", say("amount", language), say("exact", language))]

    def add(name: str, amount_ncur: int) -> None:
        shown = cents(printed_ncur(amount_ncur))
        rows.append((name, shown, money(amount_ncur)))

    add(say("opening", language), found.opening_ncur)
    for movement in found.movements:
        kind = say(_MOVEMENTS[movement.kind], language)
        add(f"{kind} {movement.number}", movement.amount_ncur)
    add(say("charges", language), -int(found.bill.exact_ncur))
    add(f"{say('closing', language)} {point.currency}", found.closing_ncur)
    return printed.columns(rows, (False, True, True))


def _full(
    found: Statement, document: Document, language: str, begins: Callable[[BillLine], str]
) -> list[str]:
    beyond = found.beyond
    if beyond is None:
        return []
    days = " - ".join(local(document, at_s) for at_s in (beyond.span.from_s, beyond.span.to_s))
    if beyond.bill is None:
        return ["", f"{say('full', language)}, {days}: {beyond.unsaid}"]
    lacking_ncur = beyond.bill.exact_ncur - beyond.entered_ncur
    return [
        "",
        f"{say('full', language)}, {days}",
        *printed.text(beyond.bill, document.names_zh, language, begins),
        f"{say('beyond', language)}  {money(lacking_ncur)}",
    ]


def as_json(point: Point, found: Statement, document: Document) -> dict[str, object]:
    """The same for a program; amounts in nano-currency, energy in watt-hours."""
    out: dict[str, object] = {
        "module": point.module,
        "point": point.point,
        "label": point.label,
        "from_s": found.from_s,
        "to_s": found.to_s,
        "tariff_versions": list(found.versions),
        "registers_wh": list(found.registers_wh),
        "registers_s": list(found.registers_s),
        "complete": found.registers_s[1] >= found.to_s,
        "openings": [list(each) for each in found.openings],
        "energy_wh": found.energy_wh,
        "charges": found.charges,
        "charges_by_unset_clock": found.unset_clock,
        "bill": printed.as_json(found.bill, document.names_zh),
        "rounding_rule": say("rule_text", EN),
        "opening_ncur": found.opening_ncur,
        "movements": [
            {
                "kind": _MOVEMENTS[each.kind],
                "number": each.number,
                "time_s": each.time_s,
                "amount_ncur": each.amount_ncur,
            }
            for each in found.movements
        ],
        "closing_ncur": found.closing_ncur,
        "used_in_tier_period_wh": found.position.used_wh,
        "left_in_tier_wh": found.left_wh,
        "ledger_head": found.head.hex(),
    }
    beyond = found.beyond
    if beyond is not None:
        told: dict[str, object] = {"from_s": beyond.span.from_s, "to_s": beyond.span.to_s}
        if beyond.bill is None:
            told["unsaid"] = beyond.unsaid
        else:
            told |= printed.as_json(beyond.bill, document.names_zh)
            lacking_ncur = beyond.bill.exact_ncur - beyond.entered_ncur
            told["not_in_ledger_ncur"] = printed.whole(lacking_ncur)
        out["by_all_terms"] = told
    return out
