"""Lines of a bill as columns of text, and as JSON. Every rounding is shown, so that lines foot."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from host_tools.billing.words import (
    BOTH,
    EN,
    ZH,
    cents,
    kwh,
    money,
    named,
    percent,
    price,
    ruled,
    say,
)
from host_tools.rating.lines import DAYS_A_YEAR, Bill, BillLine
from host_tools.settlement.common import cells, decimal
from host_tools.tariffs import terms
from protocol.units import NCUR_PER_CUR

ADJUSTMENT = "adjustment"
TERMS = "terms"  # by a rule of the tariff that only the host applies
LOST = "lost"  # of records that the store lacks, by the module's statement
_DAYS = (terms.FIXED, terms.PER_DAY)


def text(
    bill: Bill, names_zh: dict[str, str], language: str, begins: Callable[[BillLine], str]
) -> list[str]:
    """The lines, their total, and the total of their roundings.

    Where a bill has several dated sets or versions, `begins` names each before its lines.
    """
    heads = [say(key, language) for key in ("item", "quantity", "price", "amount", "rounding")]
    rows: list[tuple[str, ...]] = []
    several = len({(line.version, line.set_place) for line in bill.lines if _of_set(line)}) > 1
    last = None
    for line in bill.lines:
        group = line.version, line.set_place
        if several and _of_set(line) and group != last:
            rows.append((begins(line), "", "", "", ""))
            last = group
        rows.append(_row(line, names_zh, language))
    exact = sum((line.exact_ncur for line in bill.lines), Fraction(0))
    printed = bill.printed_ncur
    rounding = signed(printed - exact)
    rows.append((f"{say('total', language)} {bill.currency}", "", "", cents(printed), rounding))
    return columns([tuple(heads), *rows], (False, True, True, True, True))


def _of_set(line: BillLine) -> bool:
    return line.kind not in (ADJUSTMENT, TERMS, LOST, "rounding")


def columns(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """Rows in columns, each as wide as its widest text on a terminal."""
    widths = [max(cells(row[place]) for row in rows) for place in range(len(right))]
    out = []
    for row in rows:
        line = []
        for told, width, to_the_right in zip(row, widths, right, strict=True):
            space = " " * (width - cells(told))
            line.append(space + told if to_the_right else told + space)
        out.append("  ".join(line).rstrip())
    return out


def signed(amount_ncur: Fraction | int) -> str:
    """A rounding with its sign; nothing for none."""
    if amount_ncur == 0:
        return ""
    return f"{'+' if amount_ncur > 0 else ''}{money(amount_ncur)}"


def item(line: BillLine, names_zh: dict[str, str], language: str) -> str:
    """What a line is for."""
    if line.kind == terms.ENERGY:
        tier = f"{say('tier', language)} {line.tier}" if line.tier else ""
        return f"{named(line.name, names_zh, language)} {tier}".rstrip()
    if line.kind == "tier":
        return f"{say('tier_addition', language)} {line.tier}"
    if line.kind in (terms.FIXED, terms.MINIMUM, "rounding"):
        return say(line.kind, language)
    if line.kind == ADJUSTMENT:
        return f"{say(line.kind, language)} {line.name}"
    if line.kind in (TERMS, LOST):
        english = f"{say(line.kind, EN)} {line.name}"
        chinese = f"{say(line.kind, ZH)}{ruled(line.name, names_zh, ZH)}"
        return {EN: english, ZH: chinese, BOTH: f"{english} {chinese}"}[language]
    return named(line.name, names_zh, language)


def _row(line: BillLine, names_zh: dict[str, str], language: str) -> tuple[str, ...]:
    quantity, each = "", ""
    if line.kind in (terms.ENERGY, "tier", terms.PER_KWH):
        quantity, each = f"{kwh(int(line.quantity))} kWh", price(line.unit_amount, 4)
    elif line.kind == terms.PERCENT:
        each = percent(line.unit_amount)
    elif line.kind not in ("rounding", ADJUSTMENT, TERMS, LOST):
        quantity = _counted(line, language)
        each = decimal(line.unit_amount)
    rounding = signed(line.printed_ncur - line.exact_ncur)
    return item(line, names_zh, language), quantity, each, cents(line.printed_ncur), rounding


def _counted(line: BillLine, language: str) -> str:
    """Days, months or kilowatts; of a year's kilowatts how many days of 365."""
    if line.kind == terms.PER_KW_YEAR:
        return f"{_number(line.quantity * DAYS_A_YEAR)}/{DAYS_A_YEAR} kW"
    counted = _number(line.quantity)
    if line.kind == terms.PER_KW_MONTH:
        return f"{counted} kW"
    if line.kind == terms.MINIMUM:  # of days or months, as the tariff says
        return counted
    unit = "day" if line.kind in _DAYS else "month"
    return f"{counted} {say(unit if line.quantity == 1 else unit + 's', language)}"


def _number(value: Fraction) -> str:
    """A decimal where it is one, else a fraction."""
    nano = value * NCUR_PER_CUR
    return decimal(int(nano), 0).rstrip(".") if nano.denominator == 1 else str(value)


def as_json(bill: Bill, names_zh: dict[str, str]) -> dict[str, object]:
    """Whole numbers are integers; an amount that divides is a text "numerator/denominator"."""
    return {
        "currency": bill.currency,
        "lines": [_line_json(line, names_zh) for line in bill.lines],
        "printed_ncur": bill.printed_ncur,
        "exact_ncur": whole(bill.exact_ncur),
        "rounding_ncur": whole(bill.printed_ncur - bill.exact_ncur),
    }


def _line_json(line: BillLine, names_zh: dict[str, str]) -> dict[str, object]:
    out: dict[str, object] = {
        "kind": line.kind,
        "name": line.name,
        "name_zh": (ruled if line.kind in (TERMS, LOST) else named)(line.name, names_zh, ZH),
        "quantity": whole(line.quantity),
        "unit_amount": line.unit_amount,
        "printed_ncur": line.printed_ncur,
        "exact_ncur": whole(line.exact_ncur),
        "rounding_ncur": whole(line.printed_ncur - line.exact_ncur),
        "set_place": line.set_place,
    }
    if line.tier:
        out["tier"] = line.tier
    if line.version:
        out["tariff_version"] = line.version
    return out


def of_json(content: dict[str, Any]) -> Bill:
    """The bill that `as_json` told."""
    return Bill(tuple(_line(each) for each in content["lines"]), content["currency"])


def _line(told: dict[str, Any]) -> BillLine:
    return BillLine(
        told["kind"],
        told["name"],
        told.get("tier", 0),
        told["set_place"],
        Fraction(told["quantity"]),
        told["unit_amount"],
        Fraction(told["exact_ncur"]),
        told["printed_ncur"],
        told.get("tariff_version", 0),
    )


def whole(value: Fraction | int) -> int | str:
    exact = Fraction(value)
    return exact.numerator if exact.denominator == 1 else str(exact)
