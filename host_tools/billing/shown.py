"""A statement for a person, in English, Chinese or both, and for a program."""

from collections.abc import Callable
from typing import Any, NamedTuple

from host_tools.billing import printed
from host_tools.billing.documents import NO_FILE
from host_tools.billing.month import Movement
from host_tools.billing.statement import Statement
from host_tools.billing.words import EN, cents, kwh, money, percent, rounded, say
from host_tools.rating import calendar
from host_tools.rating.lines import BillLine, printed_ncur
from host_tools.store.records import Point
from host_tools.tariffs.terms import Document
from host_tools.validation.series import MANUAL, MISSING, SUBSTITUTED
from protocol import ledger
from protocol.tariff import Position


class Customer(NamedTuple):
    """What a bill says of its point."""

    module: str
    point: int
    label: str
    currency: str


MOVEMENTS = {ledger.TOPUP: "topup", ledger.DEBT: "debt", ledger.TRANSFER: "transfer"}
# A share stands in place of the quality of estimates.
_TOLD = {SUBSTITUTED: "substituted", MANUAL: "manual", MISSING: "missing"}


def local(document: Document, at_s: int) -> str:
    """An instant by the tariff's clock, with its offset."""
    return calendar.local(document.book, at_s)


def text(
    point: Point | Customer,
    found: Statement,
    document: Document,
    documents: Callable[[int], Document],
    language: str,
    account: bool = True,
) -> list[str]:
    """For a person: the lines, then the account if asked for, then what they rest on."""
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
    if found.lost_wh:
        facts.append(("lost", f"{kwh(found.lost_wh)} kWh"))
    if not found.settled:
        facts.append(("incomplete", local(document, found.registers_s[1])))
    if found.unset_clock:
        facts.append(("estimated", str(found.unset_clock)))
    facts += _readings(found, language)
    out = [f"{say('bill', language)} {local(document, found.from_s)[:7]}"]
    out += _pairs(facts, language)
    out += ["", *printed.text(found.bill, names_zh, language, begins)]
    if account:
        out += ["", *_account(point, found, language)]
    used = f"{kwh(found.position.used_wh)} kWh"
    left = say("last_tier", language) if found.left_wh is None else f"{kwh(found.left_wh)} kWh"
    last = [("position", used), ("left", left), ("rule", say("rule_text", language))]
    last.append(("proof", found.head.hex()))
    out += ["", *_pairs(last, language)]
    return out + _full(found, document, language, begins)


def _readings(found: Statement, language: str) -> list[tuple[str, str]]:
    """What a customer is told of readings that are not simply those of the meter."""
    facts = []
    worst = found.worst_quality
    if worst in _TOLD:
        facts.append(("quality", f"{worst} {say(_TOLD[worst], language)}"))
    if found.estimated_permille:
        share = percent(found.estimated_permille * 1000)
        facts.append(("estimated_readings", f"{share} {say('of_time', language)}"))
    return facts


def _pairs(facts: list[tuple[str, str]], language: str) -> list[str]:
    rows = [(say(key, language), value) for key, value in facts]
    return printed.columns(rows, (False, False))


def _account(point: Point | Customer, found: Statement, language: str) -> list[str]:
    """Balances as they are and as they are rounded; the ledger keeps the exact ones."""
    rows = [("", say("amount", language), say("exact", language))]

    def add(name: str, amount_ncur: int) -> int:
        shown_ncur = printed_ncur(amount_ncur)
        rows.append((name, cents(shown_ncur), money(amount_ncur)))
        return shown_ncur

    sum_ncur = add(say("opening", language), found.opening_ncur)
    for movement in found.movements:
        kind = say(MOVEMENTS[movement.kind], language)
        sum_ncur += add(f"{kind} {movement.number}", movement.amount_ncur)
    charged_ncur = add(say("charges", language), -found.charged_ncur)
    closing_ncur = add(f"{say('closing', language)} {point.currency}", found.closing_ncur)
    differ = {
        "rounded_lines": found.bill.printed_ncur + charged_ncur,
        "rounded": sum_ncur + charged_ncur - closing_ncur,
    }
    notes = [rounded(key, abs(by_ncur), language) for key, by_ncur in differ.items() if by_ncur]
    return printed.columns(rows, (False, True, True)) + notes


def _full(
    found: Statement, document: Document, language: str, begins: Callable[[BillLine], str]
) -> list[str]:
    beyond = found.beyond
    if beyond is None or (beyond.bill is not None and not beyond.lacking_ncur):
        return []
    days = " - ".join(local(document, at_s) for at_s in (beyond.span.from_s, beyond.span.to_s))
    if beyond.bill is None:
        return ["", f"{say('full', language)}, {days}: {beyond.unsaid}"]
    return [
        "",
        f"{say('full', language)}, {days}",
        *printed.text(beyond.bill, document.names_zh, language, begins),
        f"{say('beyond', language)}  {money(beyond.lacking_ncur)}",
    ]


def as_json(point: Point | Customer, found: Statement, document: Document) -> dict[str, object]:
    """The same for a program; amounts in nano-currency, energy in watt-hours."""
    out: dict[str, object] = {
        "module": point.module,
        "point": point.point,
        "label": point.label,
        "tariff_version": document.book.version,
        "from_s": found.from_s,
        "to_s": found.to_s,
        "tariff_versions": list(found.versions),
        "registers_wh": list(found.registers_wh),
        "registers_s": list(found.registers_s),
        "complete": found.settled,
        "openings": [list(each) for each in found.openings],
        "energy_wh": found.energy_wh,
        "energy_of_lost_records_wh": found.lost_wh,
        "charges": found.charges,
        "charges_by_unset_clock": found.unset_clock,
        "bill": printed.as_json(found.bill, document.names_zh),
        "rounding_rule": say("rule_text", EN),
        "opening_ncur": found.opening_ncur,
        "movements": [
            {
                "kind": MOVEMENTS[each.kind],
                "number": each.number,
                "time_s": each.time_s,
                "amount_ncur": each.amount_ncur,
            }
            for each in found.movements
        ],
        "charged_ncur": found.charged_ncur,
        "closing_ncur": found.closing_ncur,
        "used_in_tier_period_wh": found.position.used_wh,
        "left_in_tier_wh": found.left_wh,
        "ledger_head": found.head.hex(),
    }
    if found.worst_quality is not None:
        out["worst_quality"] = found.worst_quality
        out["estimated_permille"] = found.estimated_permille
    beyond = found.beyond
    if beyond is not None:
        told: dict[str, object] = {"from_s": beyond.span.from_s, "to_s": beyond.span.to_s}
        if beyond.bill is None:
            told["unsaid"] = beyond.unsaid
        else:
            told |= printed.as_json(beyond.bill, document.names_zh)
            told["not_in_ledger_ncur"] = beyond.lacking_ncur
        out["by_all_terms"] = told
    return out


def issued_text(
    content: dict[str, Any],
    digest: bytes,
    credited_by: str | None,
    documents: Callable[[int], Document],
    language: str,
) -> list[str]:
    """An issued bill from its content alone, by the tariff files that it was made of."""
    document = documents(content["tariff_version"])
    facts = [
        ("number", content["number"]),
        ("issued", local(document, content["issued_s"])),
    ]
    if "corrects" in content:
        facts.append(("takes_back", f"{content['corrects']}: {content['why']}"))
    if credited_by is not None:
        facts.append(("taken_back", credited_by))
    facts.append(("digest", digest.hex()))
    point = Customer(
        content["module"], content["point"], content["label"], content["bill"]["currency"]
    )
    of_credit = "corrects" in content
    body = text(point, of_json(content), document, documents, language, account=not of_credit)
    return [*_pairs(facts, language), "", *body]


def of_json(content: dict[str, Any]) -> Statement:
    """The statement that `as_json` told, but for what is beyond it."""
    kinds = {word: kind for kind, word in MOVEMENTS.items()}
    return Statement(
        content["from_s"],
        content["to_s"],
        printed.of_json(content["bill"]),
        content.get("opening_ncur", 0),
        tuple(
            Movement(each["time_s"], kinds[each["kind"]], each["number"], each["amount_ncur"])
            for each in content.get("movements", [])
        ),
        content.get("closing_ncur", 0),
        content.get("charged_ncur", 0),
        tuple(content["registers_wh"]),
        tuple(content["registers_s"]),
        tuple((at_s, wh) for at_s, wh in content["openings"]),
        content["energy_wh"],
        content["energy_of_lost_records_wh"],
        content["charges"],
        content["charges_by_unset_clock"],
        tuple(content["tariff_versions"]),
        Position(0, content["used_in_tier_period_wh"]),
        content["left_in_tier_wh"],
        bytes.fromhex(content["ledger_head"]),
        None,
        content["complete"],
        content.get("worst_quality"),
        content.get("estimated_permille"),
        content["tariff_version"],
    )
