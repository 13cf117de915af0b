"""Exports of the store: readings that come back equal, bills, and a journal that can be proven."""

import csv
import hashlib
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest
import xmlschema

from host_tools import cli
from host_tools.exchange import espi_reader, journal_csv, obis, readings_csv
from host_tools.exchange.records import RAW
from host_tools.settlement import commands
from host_tools.tariffs import stored
from tests.host_tools.bills import FILES
from tests.host_tools.desk import NOW_S, Desk
from tests.host_tools.genuine import START_S
from tests.host_tools.ordering.orderly import Orderly

HERE = Path(__file__).parent
CUR = 10**9


class Office(Orderly):
    """A desk with a paid top-up, charges of half a day at point 0, and the tariff's file."""

    def __init__(self, desk: Desk, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        super().__init__(desk, capsys)
        self.folder = folder
        self.made = desk.opened()
        with desk.store.transaction():
            stored.add(desk.store, FILES / "cn-bj-2012.toml", NOW_S)
            point = desk.store.fleet.point_known("m1", 0)
            commands.pay(desk.store, point, "cash-1", 50 * CUR, NOW_S)
        for place in range(48):
            self.made.charge(200 + place)
        self.made.top_up(2, 50 * CUR)
        self.made.charge(77)
        desk.take(self.made.batch(1, 51), self.made.statement())
        assert desk.seq() == 51 and desk.differences() == []

    def export(self, what: str, *words: object) -> Path:
        path = self.folder / f"{what}.out"
        code, _, err = self.run("export", what, *words, "--out", path)
        assert code == 0, err
        return path

    def verify(self, path: Path, *words: object) -> tuple[int, dict[str, object]]:
        self._capsys.readouterr()
        code = cli.main(["export", "verify", str(path), "--json", *[str(each) for each in words]])
        return code, json.loads(self._capsys.readouterr().out)


@pytest.fixture
def office(desk: Desk, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Office:
    return Office(desk, capsys, tmp_path)


def test_readings_of_the_store_come_back_equal(office: Office) -> None:
    path = office.export("readings", "m1", 0, "--from", "2026-01-01", "--registers")
    with path.open("rb") as stream:
        found = readings_csv.read(stream, str(path))
    assert found.refused == ()
    intervals = [each for each in found.records if not each.is_register()]
    # The local day of Beijing began eight hours before the opening and ends with 16:00 UTC.
    charges = [entry for entry in office.made.entries if entry.kind == 1]
    assert [(each.end_s, each.value) for each in intervals] == [
        (entry.time_s, entry.energy_wh) for entry in charges
    ]
    assert {(each.usage_point, each.obis, each.quality) for each in intervals} == {
        ("m1/0", obis.IMPORT, RAW)
    }
    registers = [each.value for each in found.records if each.is_register()]
    assert registers == [1000, *[entry.register_wh for entry in charges]]
    text = path.read_text(encoding="utf-8")
    assert "1-0:1.8.0*255" in text and "+08:00" in text


def test_green_button_of_the_store_keeps_the_schema_and_the_money(office: Office) -> None:
    path = office.export("readings", "m1", 0, "--from", "2026-01-01", "--format", "espi")
    schema = xmlschema.XMLSchema(str(HERE / "espi_subset.xsd"))
    tree = ET.parse(path)
    space = "{http://naesb.org/espi}"
    blocks = tree.getroot().findall(f".//{space}IntervalBlock")
    assert blocks
    for block in blocks:
        schema.validate(block)
    costs = [int(each.text or "") for each in tree.getroot().iter(f"{space}cost")]
    charged_ncur = office.made.state.charged_ncur
    assert abs(sum(costs) * 10_000 - charged_ncur) <= 5_000 * len(costs)
    with path.open("rb") as stream:
        records = espi_reader.read(stream)
    assert sum(each.value for each in records) == office.made.state.register_wh - 1000


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["readings", "m1", "0", "--from", "2025-01-01"], "m1/0: no reading ends in these days"),
        (["readings", "m1", "0", "--from", "May"], "--from May: must be a date"),
        (["readings", "m1", "9", "--from", "2026-01-01"], "m1/9: no such service point"),
        (["bills", "--module", "m9"], "m9: no such module; see `gridpurse modules` 无此模块"),
        (["ledger", "--until", "2026-01-01"], "--until 2026-01-01: is no closed day"),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_one_line(office: Office, words: list[str], line: str) -> None:
    out = office.folder / "none"
    code, _, err = office.run("export", *words, "--out", out)
    assert code == 2 and line in err and err.count("\n") == 1
    assert not out.exists()


def test_the_journal_is_proven_from_the_file_alone(office: Office) -> None:
    path = office.export("ledger")
    code, told = office.verify(path)
    assert code == 0, told["findings"]
    assert (told["entries"], told["points"], told["lines"]) == (51, 1, 52)
    accounts = told["accounts"]["CNY"]
    ours = office.desk.store.ledgers.accounts()
    assert accounts == {name: n for (_, name), n in ours.items()}
    # As an auditor would, without a line of ours:
    lines = path.read_bytes().decode().split("\r\n")
    chain = hashlib.sha256(b"gridpurse/1 journal").hexdigest()
    for line in lines[1:-1]:
        text, _, told_chain = line.rpartition(",")
        chain = hashlib.sha256((chain + text).encode()).hexdigest()
        assert chain == told_chain
    rows = list(csv.DictReader(lines))
    assert rows[-1]["debit"] == "cash clearing" and rows[-1]["chain"] == told["head"]
    assert rows[-2]["head"] == office.made.state.head.hex()
    assert office.verify(path, "--head", told["head"])[0] == 0
    assert office.verify(path, "--head", "0" * 64)[0] == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.replace(",200,", ",201,", 1), "is not what was exported"),
        (lambda t: "\r\n".join([*t.split("\r\n")[:9], *t.split("\r\n")[10:]]), "not what was"),
        (lambda t: t.replace("cash clearing", "suspense", 1), "is not what was exported"),
    ],
)  # fmt: skip
def test_a_changed_journal_is_found(
    office: Office, change: Callable[[str], str], told: str
) -> None:
    path = office.export("ledger")
    text = path.read_bytes().decode()
    path.write_bytes(change(text).encode())
    code, found = office.verify(path)
    assert code == 1 and told in found["findings"][0]


def test_a_journal_that_was_chained_anew_still_shows_a_changed_entry(office: Office) -> None:
    """Who has this program can chain a file again; not the heads, which modules state."""
    path = office.export("ledger")
    lines = path.read_bytes().decode().split("\r\n")
    cells = lines[5].split(",")
    place = journal_csv.HEADER.index("entry_energy_wh")
    cells[place] = str(int(cells[place]) + 1)
    lines[5] = ",".join(cells)
    chain = journal_csv.FIRST
    for number, line in enumerate(lines[1:-1], 1):
        text = line.rpartition(",")[0]
        chain = journal_csv.linked(chain, text)
        lines[number] = f"{text},{chain}"
    path.write_bytes("\r\n".join(lines).encode())
    code, found = office.verify(path)
    assert code == 1 and "its chain head is not of its content" in found["findings"][0]


def test_a_closed_day_is_exported_alike_for_ever(office: Office) -> None:
    day = "2026-04-13"
    assert office.run("close", day)[0] == 0
    first = office.export("ledger", "--until", day).read_bytes()
    office.made.charge(99)
    office.desk.take(office.made.batch(52, 1))
    assert office.export("ledger", "--until", day).read_bytes() == first
    assert len(office.export("ledger").read_bytes()) > len(first)


def test_a_file_that_is_no_journal_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x"
    path.write_text("a,b\n", encoding="utf-8")
    assert cli.main(["export", "verify", str(path)]) == 2
    err = capsys.readouterr().err
    assert "line 1: is no journal" in err and err.count("\n") == 1


def test_issued_bills_are_exported_as_rows_and_as_they_were_issued(office: Office) -> None:
    made = office.made
    while made.state.time_s < START_S + 31 * 86400:
        made.charge(300)
    sent = 51
    while sent < len(made.entries):
        count = min(900, len(made.entries) - sent)
        office.desk.take(made.batch(sent + 1, count))
        sent += count
    assert office.run("bill", "issue", "m1", 0, "--month", "2026-01")[0] == 0
    number = "GP-2026-000001"
    words = ("--by", "x", "--reason", "y")
    assert office.run("bill", "credit", number, *words)[0] == 0
    rows = list(csv.DictReader(office.export("bills").read_text().splitlines()))
    assert [row["bill"] for row in rows] == [number] * 3 + ["GP-2026-000002"] * 3
    assert [row["tier"] for row in rows[:3]] == ["1", "2", "3"]
    assert rows[0]["energy_wh"] == "240000" and rows[0]["printed"] == "117.19"
    path = office.export("bills", "--format", "jsonl")
    told = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for each in told:
        content = json.dumps(
            each["content"], ensure_ascii=False, sort_keys=True, separators=(",", ":")
        )
        assert hashlib.sha256(content.encode()).hexdigest() == each["sha256"]
    assert told[1]["content"]["corrects"] == number
