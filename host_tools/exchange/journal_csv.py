"""The general journal as CSV that an auditor can recompute without us, and the recomputation.

Each line ends with a chain value: SHA-256, in hexadecimal, of the chain value of the line before
it followed by this line up to and without its last comma. So a changed, lost, added or moved line
shows, and the last value stands for the whole file. An entry of a module has every field of
protocol.ledger.Entry and its chain head, h = SHA-256(h before it || canonical CBOR), 16 bytes,
which the module itself states. Money is nano-currency, energy watt-hours.
"""

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from host_tools import Refused
from host_tools.exchange.readings_csv import plain, safe, utc
from host_tools.store.journal import CUSTOMER, Booked
from protocol import ledger
from protocol.ledger import Entry

_ROW = (
    "book", "id", "time_utc", "point", "currency", "debit", "credit", "amount_ncur", "source",
    "source_number", "rule",
)  # fmt: skip
_ENTRY = tuple(f"entry_{name}" for name in Entry._fields)
HEADER = (*_ROW, *_ENTRY, "head", "chain")
FIRST = hashlib.sha256(b"gridpurse/1 journal").hexdigest()
FINDINGS_MAX = 20
LINE_BYTES_MAX = 2000
_NUMBERS = 20  # digits of the largest integer of the store


def written(rows: Iterable[Booked]) -> Iterator[str]:
    """The lines of the file, each with its CRLF; the same rows give the same bytes."""
    yield f"{','.join(HEADER)}\r\n"
    chain = FIRST
    for row in rows:
        entry = [""] * len(_ENTRY) if row.entry is None else list(row.entry)
        own = (row.book, row.id, utc(row.time_s), safe(row.point), *row[4:10], safe(row.rule))
        line = _line((*own, *entry, row.head.hex()))
        chain = linked(chain, line)
        yield f"{line},{chain}\r\n"


def _line(cells: tuple[object, ...]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(cells)
    return out.getvalue()


def linked(chain: str, line: str) -> str:
    """The chain value of a line after the one before it."""
    return hashlib.sha256(f"{chain}{line}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Last:
    """The newest entry of a point, and the chain head after it."""

    head: bytes
    entry: Entry
    currency: str


@dataclass(slots=True)
class Checked:
    """What a file was found to be. `accounts` are debits less credits, by currency and name."""

    lines: int = 0
    entries: int = 0
    points: int = 0
    adopted: int = 0
    head: str = FIRST
    found: int = 0
    findings: list[str] = field(default_factory=list)
    accounts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, what: str) -> None:
        self.found += 1
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(what)


def check(path: Path) -> Checked:
    """Recomputes a file from itself alone: chain, every module's heads and balances, accounts.

    Refused when it is no such file.
    """
    checked = Checked()
    last: dict[str, _Last] = {}
    ids: dict[str, int] = {}
    try:
        with path.open("r", encoding="utf-8", newline="") as stream:
            if stream.readline(LINE_BYTES_MAX).rstrip("\r\n") != ",".join(HEADER):
                raise Refused(f"{path}: line 1: is no journal of `gridpurse export ledger`")
            while text := stream.readline(LINE_BYTES_MAX):
                _check_line(checked, text.rstrip("\r\n"), last, ids)
    except UnicodeDecodeError as error:
        raise Refused(f"{path}: line {checked.lines + 2}: is not UTF-8") from error
    checked.points = len(last)
    for currency in sorted({currency for currency, _ in checked.accounts}):
        off = sum(n for (each, _), n in checked.accounts.items() if each == currency)
        owed = -checked.accounts[currency, CUSTOMER]
        held = sum(one.entry.balance_ncur for one in last.values() if one.currency == currency)
        if off:
            checked.add(f"{currency}: debits less credits are {off}")
        if owed != held:
            checked.add(f"{currency}: customers' accounts {owed}, balances {held}")
    return checked


def _check_line(
    checked: Checked,
    text: str,
    last: dict[str, _Last],
    ids: dict[str, int],
) -> None:
    checked.lines += 1
    where = f"line {checked.lines + 1}"
    line, _, chain = text.rpartition(",")
    checked.head = linked(checked.head, line)
    if checked.head != chain:
        checked.add(f"{where}: is not what was exported, or a line before it is missing")
        checked.head = chain  # told once; what follows is held against itself
    try:
        cells = dict(zip(HEADER[:-1], next(csv.reader([line], strict=True)), strict=True))
        numbers = {name: _number(cells[name]) for name in ("id", "amount_ncur", "source_number")}
        entry = None
        if cells["book"] == "entry":
            entry = Entry(*(_number(cells[name]) for name in _ENTRY))
    except (csv.Error, ValueError, StopIteration):
        checked.add(f"{where}: cannot be read")
        return
    if numbers["id"] <= ids.get(cells["book"], 0):
        checked.add(f"{where}: row {numbers['id']} does not follow")
    ids[cells["book"]] = numbers["id"]
    amount_ncur = numbers["amount_ncur"]
    if amount_ncur:
        checked.accounts[cells["currency"], cells["debit"]] += amount_ncur
        checked.accounts[cells["currency"], cells["credit"]] -= amount_ncur
    if entry is not None:
        if abs(entry.amount_ncur) != amount_ncur:
            checked.add(f"{where}: amount {amount_ncur}, its entry has {entry.amount_ncur}")
        point, currency, head = plain(cells["point"]), cells["currency"], cells["head"]
        if _check_entry(checked, where, point, entry, head, last.get(point)):
            last[point] = _Last(bytes.fromhex(head), entry, currency)


def _check_entry(
    checked: Checked, where: str, point: str, entry: Entry, head: str, before: _Last | None
) -> bool:
    """The entry against the one before it of its point; True when something can go on from it. An
    adopted statement brings its own head: the records before it were lost."""
    checked.entries += 1
    module, _, number = point.rpartition("/")
    if not number.isdigit() or not re.fullmatch(r"[0-9a-f]{32}", head):
        checked.add(f"{where}: {point!r} is no point, or {head!r} no chain head")
        return False
    seq, balance_ncur, last = 0, 0, ledger.genesis(module, int(number)).head
    if before is not None:
        seq, balance_ncur, last = before.entry.seq, before.entry.balance_ncur, before.head
    adopted = entry.kind == ledger.TRANSFER
    checked.adopted += adopted
    if not adopted and ledger.extend(last, entry).hex() != head:
        checked.add(f"{where}: {point} entry {entry.seq}: its chain head is not of its content")
    if entry.seq != seq + 1 and not (adopted and entry.seq > seq):
        checked.add(f"{where}: {point} entry {entry.seq}: does not follow the one before it")
    if entry.balance_ncur != balance_ncur + entry.amount_ncur:
        checked.add(f"{where}: {point} entry {entry.seq}: its balance does not follow")
    return True


def _number(text: str) -> int:
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > _NUMBERS:
        raise ValueError(text)
    return int(text)
