"""Whether a store is sound: pages, references, every chain, every sum. Reads one instant of it.

Each point's entries are folded again by protocol.ledger from the beginning, so a changed, lost or
added entry is found by its chain head, and every figure that is kept beside the journal is worked
out anew. Sums are Python's integers: those of a fleet may leave the database's 64 bits.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from host_tools import Refused
from host_tools.backup import issued, ordered, sealed
from host_tools.backup.ordered import Journal
from host_tools.settlement import adoption, posting
from host_tools.settlement.common import decimal
from host_tools.store import care
from host_tools.store.days import Days
from host_tools.store.sql import Connection, Database, migrating
from protocol import ledger
from protocol.ledger import Entry, State
from protocol.units import Malformed

FINDINGS_MAX = 100  # told; more are counted

# What a finding is: its Chinese.
KINDS = {
    "pages": "数据页损坏",
    "reference": "引用缺失",
    "chain": "链不连续",
    "state": "状态与账目不符",
    "sums": "合计不符",
    "account": "科目不存在",
    "currency": "借贷不平",
    ordered.TOPUP: "充值不符",
    "lease": "租约异常",
    "day": "已关账日被改动",
    issued.BILL: "单据不符",
    issued.TARIFF: "电价文件不符",
    issued.ENTRY: "主站账目不符",
    ordered.ADJUSTMENT: "调账不符",
    sealed.HISTORY: "历史读数不符",
    sealed.READINGS: "读数版本不符",
    sealed.CONTRACT: "合同容量不符",
}

_ENTRIES = (
    "SELECT id, before_id, point_id, contra, charged_ncur, topups_ncur, head, seq, kind, time_s,"
    " quality, register_wh, energy_wh, version, period, used_wh, amount_ncur, number, channel,"
    " balance_ncur FROM entries ORDER BY id"
)
_POINTS = (
    "SELECT id, module, point, currency, last_id, day, mark_generation, mark_highest,"
    " mark_floor, mark_used FROM points ORDER BY id"
)
# Payments booked again, behind the entry of a module that the restored store knew no payment of.
_AGAIN = (
    "SELECT point_id, -number, amount_ncur FROM postings WHERE source = 'entry' AND number < 0"
    " AND debit = 'top-up in flight' AND credit = 'suspense'"
)
_POSTINGS = "SELECT id, point_id, debit, credit, amount_ncur, currency FROM postings"


@dataclass(frozen=True, slots=True)
class Finding:
    kind: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind} {KINDS[self.kind]}: {self.where}: {self.what}"


@dataclass(slots=True)
class Checked:
    """What was looked at, and the first findings; `found` counts all of them."""

    points: int = 0
    entries: int = 0
    leases: int = 0
    days: int = 0
    found: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, kind: str, where: str, what: str) -> None:
        self.found += 1
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(kind, where, what))


@dataclass(slots=True)
class _Point:
    """A point's row, and what its entries come to; `broken` after the first that does not fit."""

    name: str
    currency: str
    last_id: int
    kept: tuple[int, ...]  # day and mark, as the row has them
    state: State
    at_id: int = 0
    broken: bool = False
    arrived: dict[int, Entry] = field(default_factory=dict)  # top-ups that the host had issued
    suspended: dict[int, Entry] = field(default_factory=dict)  # those that it had not, or forgot
    adopted: set[int] = field(default_factory=set)  # sequences of adopted statements


def check(database: Database) -> Checked:
    """Everything, at one instant, while others may write. Refused for an older schema."""
    store = database.connection
    (at,) = store.execute("SELECT MAX(version) FROM schema_version").fetchone()
    if at != migrating.newest():
        raise Refused(
            f"schema {at} is older than this program's {migrating.newest()}; start settle once, or"
            " restore the backup 数据库版本较旧，请先启动结算或恢复备份"
        )
    checked = Checked()
    database.begin_instant()
    try:
        if isinstance(store, sqlite3.Connection):
            _pages(store, checked)
        points = dict(_points(store))
        checked.points = len(points)
        journal = Journal()
        totals = _chains(database, points, journal, checked)
        _ends(points, checked)
        _postings(database, points, totals, checked)
        _topups(store, points, checked)
        _leases(store, checked)
        _days(database, checked)
        for kind, where, what in (
            *issued.wrong(store),
            *ordered.wrong(database, journal),
            *sealed.wrong(database),
        ):
            checked.add(kind, where, what)
    except sqlite3.DatabaseError as error:
        if not checked.found:
            raise
        checked.add("pages", "store", str(error))  # known to be damaged: told with the rest
    finally:
        if store.in_transaction:
            store.execute("ROLLBACK")
    return checked


def _pages(store: sqlite3.Connection, checked: Checked) -> None:
    for (said,) in store.execute(f"PRAGMA integrity_check({FINDINGS_MAX})").fetchall():
        if said != "ok":
            checked.add("pages", "store", " ".join(said.split()))
    for table, rowid, parent, _ in store.execute("PRAGMA foreign_key_check").fetchall():
        checked.add("reference", f"{table} {rowid}", f"its row of {parent} is not there")


def _points(store: Connection) -> Iterator[tuple[int, _Point]]:
    for row in store.execute(_POINTS).fetchall():
        point_id, module, number, currency, last_id = row[:5]
        state = ledger.genesis(module, number)
        yield point_id, _Point(f"{module}/{number}", currency, last_id, row[5:], state)


def _chains(
    database: Database, points: dict[int, _Point], journal: Journal, checked: Checked
) -> Counter[tuple[str, int]]:
    """Folds all entries; {(currency, account code): debits less credits} of their legs."""
    totals: Counter[tuple[str, int]] = Counter()
    names = (posting.CUSTOMER, posting.IN_FLIGHT, posting.ADJUSTMENTS, posting.SUSPENSE)
    customer, in_flight, adjustments, suspense = (posting.CODES[name] for name in names)
    rows = database.connection.execute("SELECT point_id, seq, payload FROM adoptions").fetchall()
    adopted = {(point_id, seq): bytes(payload) for point_id, seq, payload in rows}
    for row in database.stream(_ENTRIES):
        checked.entries += 1
        row_id, before_id, point_id, contra, charged_ncur, topups_ncur, head = row[:7]
        entry = Entry(*row[7:])
        point = points.get(point_id)
        if point is None:
            checked.add("reference", f"entry {row_id}", f"there is no point {point_id}")
            continue
        totals[point.currency, contra] += entry.amount_ncur
        totals[point.currency, customer] -= entry.amount_ncur
        if point.broken:
            continue
        where = f"{point.name} entry {entry.seq}"
        payload = adopted.get((point_id, entry.seq))
        before_s = point.state.time_s
        why = _unlike(point, before_id, entry, (charged_ncur, topups_ncur, head), payload)
        if why:
            point.broken = True
            journal.broken.add(point_id)
            checked.add("chain", where, why)
            continue
        point.at_id = row_id
        if payload is not None:
            point.adopted.add(entry.seq)
            journal.adopted[point_id].append((before_s, entry.time_s, entry.version))
            journal.adopted_ncur[point_id] += entry.amount_ncur
        if entry.kind == ledger.ADJUSTMENT:
            journal.take(point_id, entry, contra == adjustments)
        if entry.kind == ledger.TOPUP and contra == in_flight:
            point.arrived[entry.seq] = entry
        elif entry.kind == ledger.TOPUP and contra == suspense:
            point.suspended[entry.seq] = entry
    return totals


def _unlike(
    point: _Point,
    before_id: int,
    entry: Entry,
    kept: tuple[object, ...],
    payload: bytes | None,
) -> str:
    """Why an entry does not continue the chain of its point, or ""; the point moves on by it.

    `payload` is the module's statement where that was adopted; the chain goes on from it.
    """
    if before_id != point.at_id:
        return f"names row {before_id} before it, which is row {point.at_id}"
    try:
        if payload is None:
            state = ledger.apply(point.state, entry)
        else:
            state = adoption.restated(point.state, entry, payload)
    except Malformed as refusal:
        return f"does not continue entry {point.state.seq}: {refusal.detail}"
    charged_ncur, topups_ncur, head = kept
    if head != state.head:
        return "its chain head is not that of its content"
    if (charged_ncur, topups_ncur) != (state.charged_ncur, state.topups_ncur):
        return "its running sums are not those of the entries"
    point.state = state
    return ""


def _ends(points: dict[int, _Point], checked: Checked) -> None:
    for point in points.values():
        if point.broken:
            continue
        if point.last_id != point.at_id:
            what = f"names row {point.last_id} as its last entry, which is row {point.at_id}"
            checked.add("state", point.name, what)
        elif point.kept != (point.state.day, *point.state.mark):
            checked.add("state", point.name, "day or top-up mark are not those of its entries")


def _postings(
    database: Database,
    points: dict[int, _Point],
    totals: Counter[tuple[str, int]],
    checked: Checked,
) -> None:
    """Debits equal credits in every currency, and customers' accounts equal their balances."""
    store = database.connection
    codes = {name: code for code, name in store.execute("SELECT code, name FROM accounts")}
    if codes != posting.CODES:
        checked.add("account", "accounts", "not the accounts of this program")
    customer = posting.CODES[posting.CUSTOMER]
    for currency, code in sorted(totals):
        if code not in codes.values():
            checked.add("account", currency, f"entries name account {code}")
    legs = database.stream(
        "SELECT id, point_id, debit, credit, amount_ncur, currency FROM postings"
    )
    for row_id, point_id, debit, credit, amount_ncur, currency in legs:
        where = f"posting {row_id}"
        for account, sign in ((debit, 1), (credit, -1)):
            if account in codes:
                totals[currency, codes[account]] += sign * amount_ncur
            else:
                checked.add("account", where, f"names account {account!r}")
        if point_id in points and points[point_id].currency != currency:
            checked.add("currency", where, f"is in {currency}, its point is not")
    balances = _balances(store, points)
    whole = not any(point.broken for point in points.values())
    for currency in sorted({currency for currency, _ in totals}):
        off_ncur = sum(
            amount_ncur
            for (each, code), amount_ncur in totals.items()
            if each == currency and code in codes.values()
        )
        if off_ncur:
            checked.add("currency", currency, f"debits less credits are {decimal(off_ncur)}")
        owed_ncur = -totals[currency, customer]
        if whole and owed_ncur != balances[currency]:
            what = f"customers' accounts {decimal(owed_ncur)}, balances"
            checked.add("sums", currency, f"{what} {decimal(balances[currency])}")


def _balances(store: Connection, points: dict[int, _Point]) -> Counter[str]:
    """{currency: what customers have}: by the entries, less what left a point's account for
    another module or when its own was retired."""
    balances: Counter[str] = Counter()
    for point in points.values():
        balances[point.currency] += point.state.balance_ncur
    for point_id, out_ncur in store.execute(care.MOVED_OUT):
        if point_id in points:
            balances[points[point_id].currency] -= out_ncur
    return balances


def _topups(store: Connection, points: dict[int, _Point], checked: Checked) -> None:
    """A payment has one posting; a credited one has its entry, and every such entry a payment."""
    paid_ncur: Counter[int] = Counter()
    again_ncur = {
        (point_id, seq): amount_ncur for point_id, seq, amount_ncur in store.execute(_AGAIN)
    }
    for point_id, number, amount_ncur, state, seq in store.execute(
        "SELECT point_id, number, amount_ncur, state, credited_seq FROM topups"
    ):
        point = points.get(point_id)
        paid_ncur[point_id] += amount_ncur
        if point is None or point.broken or state != "credited" or seq in point.adopted:
            continue
        entry = point.arrived.pop(seq, None)
        if entry is None and again_ncur.pop((point_id, seq), None) == amount_ncur:
            entry = point.suspended.pop(seq, None)
        if entry is None or (entry.number, entry.amount_ncur) != (number, amount_ncur):
            checked.add("top-up", point.name, f"{number} is credited without its entry")
    for point_id, amount_ncur in store.execute(
        "SELECT point_id, amount_ncur FROM postings WHERE source = 'payment'"
    ):
        paid_ncur[point_id] -= amount_ncur
    for old_point, new_point, amount_ncur in store.execute(
        "SELECT old_point, new_point, amount_ncur FROM moved_topups"
    ):
        paid_ncur[old_point] += amount_ncur
        paid_ncur[new_point] -= amount_ncur
    for point_id, point in points.items():
        if paid_ncur[point_id]:
            checked.add("sums", point.name, "payments are not the sum of their postings")
        for entry in point.arrived.values() if not point.broken else ():
            checked.add("top-up", point.name, f"entry {entry.seq} has no payment {entry.number}")


def _leases(store: Connection, checked: Checked) -> None:
    """A generation only rises; whoever settles a shard next takes a higher one."""
    for shard, generation, reader in store.execute(
        "SELECT shard, generation, reader FROM leases"
    ).fetchall():
        checked.leases += 1
        if not 1 <= reader <= generation:
            checked.add("lease", f"shard {shard}", f"generation {generation}, reader {reader}")


def _days(database: Database, checked: Checked) -> None:
    """The rows of every closed day are those that it was closed with."""
    days = Days(database)
    before = None
    for day in days.closed():
        checked.days += 1
        if days.again(before, day) != day:
            when = datetime.fromtimestamp(day.closed_s, UTC).isoformat()
            checked.add("day", f"day {day.day} closed {when}", "its rows or its seal have changed")
        before = day
