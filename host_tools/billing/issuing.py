"""Issuing a bill: the month is closed, its lines foot, it gets a number and never changes again.

A bill that was wrong is taken back by a credit bill with the same lines turned round, which names
it; then the month can be issued again. Neither posts money: a ledger is corrected by adjustments.
"""

import re
import tomllib
from collections.abc import Sequence

from host_tools import Refused
from host_tools.billing import closing, readings, receipts, shown
from host_tools.billing.amended import amended
from host_tools.billing.documents import Documents
from host_tools.billing.statement import Statement
from host_tools.rating import calendar
from host_tools.store import bills, tariff_files
from host_tools.store.bills import Content, Issued
from host_tools.store.database import Store
from host_tools.store.records import Point
from host_tools.validation import gate
from host_tools.validation.gate import Doubt
from host_tools.validation.versions import Versions

SERIES = "GP"
BILL, CREDIT = "bill", "credit bill"
# What a credit bill turns round, of a line and of its total.
_TURNED = ("printed_ncur", "exact_ncur", "rounding_ncur", "quantity")
# Of the account and beside it, which a credit bill does not move: it posts no money.
_ACCOUNT = ("opening_ncur", "movements", "charged_ncur", "closing_ncur", "by_all_terms")


def series_of(text: str) -> str:
    if not re.fullmatch(r"[A-Z0-9]{1,8}", text):
        raise Refused(
            f"--series {text}: must be 1 to 8 of A-Z and 0-9 须为 1 至 8 位大写字母或数字"
        )
    if text == receipts.SERIES:
        raise Refused(f"--series {text}: is that of receipts; name another 该系列用于收据，请另选")
    return text


def issue(
    store: Store,
    place: Point,
    documents: Documents,
    year: int,
    month: int,
    series: str,
    now_s: int,
    despite_loss: bool = False,
    release: tuple[str, str] | None = None,
) -> tuple[Issued, bool]:
    """The bill of a month, and True when it is new; one that stands is given back as it is.

    Refused when the month cannot be closed, a line does not foot, a reading waits for a decision,
    or the audit contradicts the ledger; also when the audit asks for a person's look, unless one
    releases it: (who, why), which the bill keeps.
    """
    middle_s = calendar.middle_s(year, month)
    with store.instant():
        before = bills.of(store).standing(place.id, middle_s)
    if before is not None:
        return before, False
    while True:
        # Doubts come first, so that what is refused has entered and ordered nothing.
        with store.instant():
            asked = closing.prepare(store, place, documents, year, month)
            doubts, version = doubts_of(store, asked.point, asked.found, documents)
        foot(place, asked.found)
        gate.refuse(place, doubts, release is not None)
        what = (store, place, documents, year, month, now_s, despite_loss)
        prepared, _ = closing.close(*what)
        foot(place, prepared.found)
        with store.instant():
            found = readings.told(store, prepared.point, prepared.found)
        if prepared.point.last_id != asked.point.last_id:
            continue
        with store.transaction():
            point = store.fleet.point_known(place.module, place.point)
            kept = bills.of(store)
            before = kept.standing(point.id, middle_s)
            if before is not None:
                return before, False
            now = closing.basis_of(store, point), Versions(store).number(point.id)
            if now == (prepared.basis, version):
                document = documents(found.version)
                content = shown.as_json(point, found, document)
                content |= {"kind": BILL, "issued_s": now_s, "readings_version": version}
                content["doubts"] = [str(each) for each in doubts]
                content |= _released(doubts, release)
                where = (point.id, (found.from_s, found.to_s), now_s, content)
                return kept.add(series, calendar.year(document.book, now_s), *where), True


def doubts_of(
    store: Store, point: Point, found: Statement, documents: Documents
) -> tuple[list[Doubt], int]:
    """What validation and audit say against a month, and the version of the readings it is of.

    Issued bills that a correction has left behind hold the next one back, so that they are seen.
    """
    file = tariff_files.of(store).file(found.version)
    values = tomllib.loads(file.text) if file is not None and file.text is not None else None
    lacking_ncur = 0 if found.beyond is None else found.beyond.lacking_ncur
    whole_ncur = found.charged_ncur + lacking_ncur
    span = (found.from_s, found.to_s)
    doubts = gate.doubts(store, point, *span, values, whole_ncur, found.settled)
    for each in amended(store, point, documents):
        doubts.append(Doubt(*each.told(), blocks=False, asks=True))
    return doubts, Versions(store).number(point.id)


def _released(doubts: Sequence[Doubt], release: tuple[str, str] | None) -> Content:
    """Who let a bill go that the audit wanted looked at, and why."""
    asked: list[object] = [str(each) for each in doubts if each.asks]
    if not asked or release is None:
        return {}
    who, why = release
    return {"released": {"who": who, "why": why, "what": asked}}


def foot(point: Point, found: Statement) -> None:
    """Refused when any sum of the bill is not that of its lines, or not that of the account."""
    bill = found.bill
    movements_ncur = sum(each.amount_ncur for each in found.movements)
    account_ncur = found.opening_ncur + movements_ncur - found.charged_ncur
    exact = sum(line.exact_ncur for line in bill.lines)
    wrong = []
    if account_ncur != found.closing_ncur:
        wrong.append(f"account {account_ncur}, balance {found.closing_ncur}")
    if not 0 <= exact - found.charged_ncur < 1:
        wrong.append(f"lines {exact}, ledger {found.charged_ncur}")
    if wrong:
        raise Refused(
            f"{point.module}/{point.point}: does not foot, nano-units: {'; '.join(wrong)};"
            " run `gridpurse verify` 账单不平，请先校验"
        )


def credit(
    store: Store, documents: Documents, number: str, who: str, why: str, now_s: int
) -> tuple[Issued, bool]:
    """The credit bill of a bill, inside the caller's transaction, and True when it is new."""
    kept = bills.of(store)
    bill = known(store, number)
    if bill.corrects is not None:
        raise Refused(f"{number}: is a credit bill itself; issue the month again 本单为红字账单")
    if bill.credited_by is not None:
        return known(store, bill.credited_by), False
    content = {key: value for key, value in bill.told().items() if key not in _ACCOUNT}
    whole = content["bill"]
    turned = {**_turned(whole), "lines": [_turned(line) for line in whole["lines"]]}
    content |= {
        "bill": turned,
        "kind": CREDIT,
        "issued_s": now_s,
        "corrects": number,
        "who": who,
        "why": why,
    }
    series = number.rsplit("-", 2)[0]
    year = calendar.year(documents(content["tariff_version"]).book, now_s)
    span = (bill.from_s, bill.to_s)
    return kept.add(series, year, bill.point_id, span, now_s, content, number), True


def _turned(content: Content) -> Content:
    return {key: _negative(value) if key in _TURNED else value for key, value in content.items()}


def _negative(value: object) -> object:
    """Of a whole number, or of a text "numerator/denominator"."""
    if isinstance(value, int):
        return -value
    text = str(value)
    return text.removeprefix("-") if text.startswith("-") else f"-{text}"


def known(store: Store, number: str) -> Issued:
    """An issued bill as it was issued."""
    found = bills.of(store).bill(number)
    if found is None:
        raise Refused(f"{number}: no such bill; see `gridpurse bill list` 无此账单")
    if not found.sound():
        raise Refused(f"{number}: its content has changed since; restore a backup 内容已被改动")
    return found
