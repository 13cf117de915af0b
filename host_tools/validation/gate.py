"""What stands between a month of a point and its bill: doubtful readings, and the second rating.

Nothing is billed over an open entry of the queue, a reading without a value, or an audit that
found a difference; what is not validated yet, or could not be audited, marks a draft. The audit
prices the module's charges of the month again by recount.py, which shares no code with the engine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from host_tools import Refused
from host_tools.rating import periods
from host_tools.store import bills
from host_tools.store.bills import Issued
from host_tools.store.database import Store
from host_tools.store.records import Point
from host_tools.tariffs.document import document_of
from host_tools.tariffs.terms import Document
from host_tools.validation import audit, journal, recount
from host_tools.validation.audit import Verdict
from host_tools.validation.journal import Row
from host_tools.validation.limits import Limits
from host_tools.validation.meters import Meter, meter_at
from host_tools.validation.review import Queue
from host_tools.validation.series import ACTUAL, MISSING, Interval, Register
from host_tools.validation.versions import Reading, Versions
from protocol import ledger, tariff
from protocol.tariff import Book, Position

# What a module does not charge by is not in its charges: a bill adds it afterwards.
_HOST_ONLY = {
    "alloc", "prorate_tiers", "minimum_per_day", "minimum_per_month", "minimum_on", "schedule",
    "line", "percent_base", "round_total",
}  # fmt: skip
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a month is not simply billed, with the remedy; one that does not block marks a draft.

    One that `asks` holds the bill back until a person releases it with a reason.
    """

    text: str
    text_zh: str
    blocks: bool
    asks: bool = False

    def __str__(self) -> str:
        return f"{self.text} {self.text_zh}"


def doubts(
    store: Store,
    point: Point,
    from_s: int,
    to_s: int,
    values: Mapping[str, Any] | None,
    whole_ncur: int | None = None,
    settled: bool = False,
) -> list[Doubt]:
    """Everything that speaks against a bill of a span of local days, the gravest first.

    `values` is the tariff file that all of it was charged by, as TOML reads it; None: not known.
    `whole_ncur` is what the ledger takes for it once it is closed; None: not compared. `settled`:
    no later reading will come, because another module took over or none.
    """
    book = journal.book_of(store, point)
    if book is None:
        return [Doubt("its tariff is not in the store", "电价不在库中", True)]
    day = tariff.local_day(book, from_s)
    before = journal.seq_before(store, point.id, day)
    rows = journal.rows_of(store, point.id, before)
    month = [row for row in rows if _in(row, book, from_s, to_s)]
    seqs = (month[0].seq, month[-1].seq) if month else (0, -1)
    standing = Versions(store).standing(point.id, *seqs)
    out = [*_queued(store, point, from_s, to_s), *_missing(standing)]
    if journal.mark_of(store, point.id)[0] < seqs[1]:
        what = "readings are not validated to the end; run `gridpurse validate`"
        out.append(Doubt(what, "读数尚未全部审核", False))
    if point.state.time_s < to_s and settled:
        out.append(
            Doubt("not audited: its module ends within it", "未审计：模块于该期内终止", False)
        )
    elif point.state.time_s < to_s:
        out.append(Doubt("it is not settled to its end", "尚未全部结算", False))
    elif values is None or {row.version for row in month} != {values.get("version")}:
        what = "not audited: no one tariff file of the store is what all of it was charged by"
        out.append(Doubt(what, "未审计：库中没有该月唯一的电价文件", False))
    elif any(journal.adopted(row.kind, row.number) for row in _readings(rows, month, to_s)):
        what = "not audited: records of it were lost, and its module's statement stands for them"
        out.append(Doubt(what, "未审计：有丢失记录，以模块申报代替", False))
    elif not out:
        meter = meter_at(store, point, book)
        bill = _bill(point, from_s, to_s, values, rows, month, standing, meter)
        kept = bills.of(store).bills(point.id)
        issued = [each for each in kept if each.corrects is None and each.credited_by is None]
        bill = replace(
            bill,
            previous_end_wh=_previous_end_wh(issued, bill, month, book),
            compared_ncur=_compared_ncur(issued, bill, whole_ncur),
        )
        out += _audited(bill, meter.limits)
    return out


def refuse(point: Point, found: Sequence[Doubt], released: bool = False) -> None:
    """Refused in one line where something of it blocks, or asks for a release and has none."""
    blocking = [str(each) for each in found if each.blocks or (each.asks and not released)]
    if blocking:
        raise Refused(f"{point.module}/{point.point}: {'; '.join(blocking)}")


def _in(row: Row, book: Book, from_s: int, to_s: int) -> bool:
    """As a statement sorts entries: a reading at midnight ends the day before."""
    if row.kind == ledger.FIXED:
        days = [tariff.local_day(book, at_s) for at_s in (from_s, to_s)]
        return days[0] <= row.number < days[1]
    return from_s <= row.time_s - (row.is_charge() or journal.adopted(row.kind, row.number)) < to_s


def _is_reading(row: Row) -> bool:
    return row.kind in (ledger.CHARGE, ledger.OPENING) or journal.adopted(row.kind, row.number)


def _after(rows: Sequence[Row], month: Sequence[Row]) -> Row | None:
    """The first reading after those of a month."""
    last = ([row for row in month if _is_reading(row)] or month)[-1]
    return next((row for row in rows if row.seq > last.seq and _is_reading(row)), None)


def _readings(rows: Sequence[Row], month: Sequence[Row], to_s: int) -> list[Row]:
    """The readings of a month, with the one that counts over its end."""
    found = [row for row in month if _is_reading(row)]
    over = _after(rows, month)
    if over is not None and (not found or found[-1].time_s < to_s):
        found.append(over)
    return found


def _queued(store: Store, point: Point, from_s: int, to_s: int) -> list[Doubt]:
    found = [
        each
        for each in Queue(store).items(point.id, "open")
        if each.blocks and each.start_s < to_s and from_s < each.end_s
    ]
    if not found:
        return []
    shown = ", ".join(str(each.id) for each in found[:_SHOWN])
    text = f"{len(found)} doubtful readings wait for a decision (review {shown}); see `gridpurse"
    return [Doubt(f"{text} review show {found[0].id}`", "有待审读数，请先处理", True)]


def _missing(standing: Mapping[int, Reading]) -> list[Doubt]:
    count = sum(each.quality == MISSING for each in standing.values())
    if not count:
        return []
    text = (
        f"{count} readings have no value; accept, edit or estimate them, `gridpurse review list`"
    )
    return [Doubt(text, "有缺失读数，请确认、更正或估算", True)]


def _audited(bill: audit.Bill, limits: Limits) -> list[Doubt]:
    return [_told(each) for each in audit.audit(bill, limits) if each.result != audit.PASS]


def _told(each: Verdict) -> Doubt:
    name_zh = audit.RULES[each.rule].name_zh
    if each.result == audit.FLAG:
        text = f"{each.detail} of this bill is estimated"
        return Doubt(text, f"本账单估算占比 {each.detail}", False)
    what = f"audit: {each.rule}: {each.detail}"
    if each.result == audit.REVIEW:
        text = f"{what}; look at it, then release it by --by and --reason"
        return Doubt(text, f"审计待审：{name_zh}，须署名说明后放行", False, asks=True)
    return Doubt(f"{what}; correct it, see docs/validation.md", f"审计未通过：{name_zh}", True)


def _previous_end_wh(
    issued: Sequence[Issued], bill: audit.Bill, rows: Sequence[Row], book: Book
) -> int | None:
    """Where the bill before left the ladder; None where the ladder begins anew, or there is none.

    A register that is counted anew, and a position that a module took over, are no bill's.
    """
    before = next((each for each in issued if each.to_s == bill.start_s), None)
    if before is None or any(row.kind in _ANEW for row in rows):
        return None
    ends = [bill.start_s - 1, bill.start_s]
    ladders = [tariff.in_force(book.ladders, at_s) for at_s in ends]
    days = [tariff.local_day(book, at_s) for at_s in ends]
    periods_of = [tariff.period_of(*each) for each in zip(ladders, days, strict=True)]
    told = before.told()
    of_it = told["tariff_versions"][-1:] == [bill.tariff["version"]]
    if not of_it or ladders[0] != ladders[1] or periods_of[0] != periods_of[1]:
        return None
    return int(told["used_in_tier_period_wh"])


def _compared_ncur(
    issued: Sequence[Issued], bill: audit.Bill, whole_ncur: int | None
) -> tuple[int, int] | None:
    """What the bill of the same local days last year was, of a whole month, and this one's."""

    def days(from_s: int, to_s: int, years: int) -> list[tuple[int, int, int]]:
        found = [datetime.fromtimestamp(at_s, bill.zone) for at_s in (from_s, to_s)]
        return [(each.year + years, each.month, each.day) for each in found]

    for each in issued:
        told = each.told()
        whole = told["registers_s"][0] <= each.from_s
        alike = days(each.from_s, each.to_s, 1) == days(bill.start_s, bill.end_s, 0)
        if whole and alike and whole_ncur is not None:
            return int(told["charged_ncur"]), whole_ncur
    return None


def _position(rows: Sequence[Row], first_seq: int) -> Position:
    """Where the ladder stands before an entry."""
    before = [row for row in rows if row.seq < first_seq]
    return Position(before[-1].period, before[-1].used_wh) if before else Position(0, 0)


def _bill(
    point: Point,
    from_s: int,
    to_s: int,
    values: Mapping[str, Any],
    rows: Sequence[Row],
    month: Sequence[Row],
    standing: Mapping[int, Reading],
    meter: Meter,
) -> audit.Bill:
    """The module's charges of a span as the engine prices them, for the audit to price again.

    `month` are its entries, `rows` those around it, too.
    """
    plain = {
        **values,
        "set": [
            {key: value for key, value in each.items() if key not in _HOST_ONLY}
            for each in values["set"]
        ],
    }
    document = document_of(dict(plain), "tariff")
    charges = [row for row in month if row.is_charge()]
    start = _position(rows, (charges or month)[0].seq)
    jumps = _jumps(rows, charges)
    lines = _lines(document, start, month, sorted([*charges, *jumps]))
    readings = [row for row in month if _is_reading(row)]
    registers = _registers(rows, month, readings, point.module)
    over = _after(rows, month)
    return audit.Bill(
        point=f"{point.module}/{point.point}",
        start_s=from_s,
        end_s=to_s,
        metered_s=(registers[0].time_s, registers[-1].time_s),
        zone=ZoneInfo(str(values["zone"])),
        lines=tuple(lines),
        total_printed_ncur=sum(line.printed_ncur for line in lines),
        ledger_ncur=-sum(row.amount_ncur for row in month if row.kind in _OWED),
        intervals=_intervals(charges, standing),
        registers=tuple((each.time_s, each.meter, each.value_wh) for each in registers),
        register_range_wh=meter.facts.range_wh,
        multiplier=1,  # the module's register is of the primary side
        tariff=plain,
        used_before_wh=tariff.position_at(
            document.book, start, charges[0].from_s if charges else from_s
        ).used_wh,
        anew=tuple((_metered_s(row), row.used_wh) for row in jumps),
        opened=any(_is_first(row) for row in readings),
        next_s=(over.from_s, over.time_s) if over is not None else None,
    )


_OWED = (ledger.CHARGE, ledger.FIXED, ledger.ADJUSTMENT)
_ANEW = (ledger.OPENING, ledger.TRANSFER)


def _is_first(row: Row) -> bool:
    """Whether readings begin with it; what is opened again goes on from the reading before."""
    return row.kind == ledger.OPENING and not row.from_s


def _metered_s(row: Row) -> int:
    """The instant of the last reading once an entry without energy has been made."""
    return row.time_s if row.kind == ledger.OPENING else row.from_s


def _registers(
    rows: Sequence[Row], month: Sequence[Row], readings: Sequence[Row], device: str
) -> list[Register]:
    """From the reading before the month, or the opening in it, to the last reading of the month.

    The first one is taken from the entry before, not from what the first charge says of it.
    """
    first = (readings or month)[0]
    before = next((row for row in reversed(rows) if row.seq < first.seq), None)
    found = list(journal.registers_of(readings, device))
    if not readings:
        return [Register(first.from_s, first.register_wh, device)]
    if first.is_charge() and before is not None:
        found[0] = replace(found[0], value_wh=before.register_wh)
    return found


def _jumps(rows: Sequence[Row], charges: Sequence[Row]) -> list[Row]:
    """The entries between charges that set the ladder to another place."""
    seqs = (charges[0].seq, charges[-1].seq) if charges else (0, -1)
    return [row for row in rows if seqs[0] < row.seq < seqs[1] and row.kind in _ANEW]


def _intervals(charges: Sequence[Row], standing: Mapping[int, Reading]) -> tuple[Interval, ...]:
    """As they were charged, with their quality: a correction is a line of its own."""
    by_start = {row.from_s: standing[row.seq].quality for row in charges if row.seq in standing}
    return tuple(
        Interval(each.start_s, each.end_s, each.energy_wh, by_start.get(each.start_s, ACTUAL))
        for each in journal.intervals_of(charges)
    )


def _lines(
    document: Document, start: Position, rows: Sequence[Row], metered: Sequence[Row]
) -> list[audit.Line]:
    """Energy of each rate and tier, daily charges, adjustments with what they refer to.

    `metered` are the charges, and what sets the ladder to another place between them.
    """
    book, position = periods.marked(document.book), start
    sums: dict[tuple[str, int], list[int]] = {}
    for row in metered:
        if not row.is_charge():
            position = Position(row.period, row.used_wh)
            continue
        _, position, parts = tariff.charge(book, position, row.from_s, row.time_s, row.energy_wh)
        for part in parts:
            place, rate = periods.unmarked(document.book, part.rate)
            name = document.terms[place][1].rate_names[rate]
            each = sums.setdefault((name, part.tier), [0, 0])
            each[0] += part.energy_wh * part.price_ucur_per_kwh
            each[1] += part.energy_wh
    out = [
        _line(audit.ENERGY, exact_ncur, rate=name, tier=tier, energy_wh=energy_wh)
        for (name, tier), (exact_ncur, energy_wh) in sorted(sums.items())
    ]
    daily_ncur = -sum(row.amount_ncur for row in rows if row.kind == ledger.FIXED)
    if daily_ncur:
        out.append(_line(audit.FIXED, daily_ncur))
    out += [
        _line(audit.ADJUSTMENT, -row.amount_ncur, reference=f"command {row.number}")
        for row in rows
        if row.kind == ledger.ADJUSTMENT
    ]
    return out


def _line(kind: str, exact_ncur: int, **more: Any) -> audit.Line:
    return audit.Line(kind, exact_ncur, recount.printed_ncur(exact_ncur), **more)
