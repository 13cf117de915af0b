"""Verify holds what was entered, adjusted, paid, issued and sent against what it was done for."""

import json
import sqlite3
from pathlib import Path

import pytest

from host_tools.store import database
from protocol import cbor, codes
from tests.host_tools.desk import BOOK, Desk
from tests.host_tools.ordering.orderly import BY, Orderly
from tests.host_tools.test_backup import damage
from tests.host_tools.test_closing import MONTH, TERMS, Home
from tests.host_tools.test_closing_restored import OWED_NCUR, WHO, closed_and_lost
from tests.host_tools.validation.judged import DAY, Judged
from tests.postgres import POSTGRESQL, SQLITE

ADJUST, TOPUP, TARIFF = codes.ADJUST, codes.TOPUP, codes.TARIFF


def found(orderly: Orderly, *target: Path) -> list[tuple[str, str, str]]:
    """(kind, where, what) of the findings of `gridpurse verify`."""
    code, out, err = orderly.run("verify", *target, "--json")
    assert err == "" and code in (0, 1), err
    rows = json.loads(out)["findings"]
    assert bool(rows) == bool(code)
    return [(row["kind"], row["where"], row["what"]) for row in rows]


def missed(
    orderly: Orderly, folder: Path, cases: dict[str, tuple[str, str, str]]
) -> dict[str, list[tuple[str, str, str]]]:
    """The cases of which verify says something else, each on a copy of the desk's store."""
    out = {}
    for place, (name, (statement, kind, what)) in enumerate(cases.items()):
        copy = folder / str(place)
        copy.mkdir()
        with sqlite3.connect(copy / database.FILE) as to:
            orderly.desk.store._connection.backup(to)
        to.close()
        damage(copy / database.FILE, statement)
        told = found(orderly, copy)
        if not any(each[0] == kind and what in each[2] for each in told):
            out[name] = told
    return out


def args(*values: object) -> str:
    """A command's arguments as SQL."""
    return f"x'{cbor.encode(list(values)).hex()}'"


ENTRY, BILL = "host entry", "bill"
SPAN = "span, version or time"
# One statement a case: what is changed, the kind of what is found, and a part of what is said.
DAMAGE = {
    "the month of entries": (
        "UPDATE host_entries SET from_s = from_s - 3456000, to_s = to_s - 3456000", ENTRY, SPAN,
    ),
    "the beginning of an entry": (
        "UPDATE host_entries SET from_s = from_s - 1 WHERE number = 1", ENTRY, SPAN,
    ),
    "the end of an entry": (
        "UPDATE host_entries SET to_s = to_s + 1 WHERE number = 2", ENTRY, "no posting of its",
    ),
    "the rule of an entry": (
        "UPDATE host_entries SET rule = 'percent tax' WHERE number = 1", ENTRY, SPAN,
    ),
    "the version of entries": ("UPDATE host_entries SET version = 1", ENTRY, SPAN),
    "the order of entries": (
        "UPDATE host_entries SET command_id = 99", ENTRY, "there is no order of its entries",
    ),
    "entries without their order": (
        "UPDATE host_entries SET command_id = 0", ENTRY, "do not come to what was adopted",
    ),
    "the sign of an entry": (
        "UPDATE host_entries SET amount_ncur = -amount_ncur WHERE number = 1", ENTRY,
        "no posting of its",
    ),
    "the class of an entry": (
        "UPDATE host_entries SET class = 'storage rollback' WHERE number = 1", ENTRY,
        "no posting of its",
    ),
    "when entries were posted": ("UPDATE host_entries SET posted_s = posted_s + 1", ENTRY, SPAN),
    "what an order of terms was for": (
        "UPDATE command_notes SET asked = replace(asked, 'wheeling', 'healing')"
        " WHERE who = 'gridpurse bill'", ENTRY, SPAN,
    ),
    "the amount of an order of terms": (
        f"UPDATE commands SET args = {args(16, -1)} WHERE action = {ADJUST} AND id = 4", ENTRY,
        "do not come to what it orders",
    ),
    "an order of terms lost": (
        f"DELETE FROM commands WHERE action = {ADJUST} AND id = 4", ENTRY, "there is no order",
    ),
    "entries and their postings lost": (
        "DELETE FROM host_entries", "adjustment", "nothing was entered that it is for",
    ),
    "the amount of a person's order": (
        f"UPDATE commands SET args = {args(7, 10**12)} WHERE action = {ADJUST} AND id = 5",
        "adjustment", "does not order what was asked for",
    ),
    "the point of a person's order": (
        f"UPDATE commands SET target = 1 WHERE action = {ADJUST} AND id = 5", "adjustment",
        "does not order what was asked for",
    ),
    "what a person has asked for": (
        "UPDATE command_notes SET asked = replace(asked, '2.50', '9.50')", "adjustment",
        "does not order what was asked for",
    ),
    "the amount of a payment's order": (
        f"UPDATE commands SET args = {args(2, 0, 10**12)} WHERE action = {TOPUP}", "top-up",
        "does not order what was paid",
    ),
    "the number of a payment's order": (
        f"UPDATE commands SET args = {args(4, 0, 50 * 10**9)} WHERE action = {TOPUP}", "top-up",
        "payment 2 was never ordered",
    ),
    "a payment's order lost": (
        f"DELETE FROM commands WHERE action = {TOPUP}", "top-up", "payment 2 was never ordered",
    ),
    "the point of a bill": ("UPDATE bills SET point_id = 2", BILL, "another point, period"),
    "the beginning of a bill": (
        "UPDATE bills SET from_s = from_s + 86400", BILL, "another point, period",
    ),
    "the end of a bill": ("UPDATE bills SET to_s = to_s + 1", BILL, "another point, period"),
    "when a bill was issued": (
        "UPDATE bills SET issued_s = issued_s + 1", BILL, "another point, period or time",
    ),
    "the place of a bill": (
        "UPDATE bills SET place = 2", BILL, "its place in its series is another",
    ),
    "when a receipt was given": (
        "UPDATE receipts SET issued_s = issued_s + 1", BILL, "another point, period or time",
    ),
    "when a payment was made": (
        "UPDATE topups SET paid_s = paid_s + 1", BILL, "another point, period or time",
    ),
    "the file of a tariff lost": (
        "DELETE FROM tariff_documents WHERE version = 502", "tariff", "its file is not there",
    ),
    "the currency of a tariff": (
        "UPDATE tariffs SET currency = 'INR' WHERE version = 502", "tariff", "its version and",
    ),
    "the book of a tariff, damaged": (
        "UPDATE tariffs SET book = x'80' WHERE version = 502", "tariff", "its version and",
    ),
    "the version of a point": (
        "UPDATE assignments SET version = 502 WHERE point_id = 2 AND from_s = 0", "tariff",
        "is of another version or time than its point was given",
    ),
    "since when a point has a version": (
        "UPDATE assignments SET from_s = from_s + 1 WHERE point_id = 2 AND from_s = 0", "tariff",
        "is of another version or time than its point was given",
    ),
    "the version of a point lost": (
        "DELETE FROM assignments WHERE point_id = 2 AND from_s = 0", "tariff",
        "is of another version or time than its point was given",
    ),
    "since when a point has a newer version": (
        "UPDATE assignments SET from_s = from_s + 1 WHERE from_s > 1", "tariff",
        "is of another version or time than its point was given",
    ),
    "the book of a command": (
        f"UPDATE commands SET args = x'8180' WHERE action = {TARIFF} AND id = 1", "tariff",
        "a command has another book",
    ),
}  # fmt: skip


@pytest.fixture
def home(desk: Desk, capsys: pytest.CaptureFixture[str]) -> Home:
    """A month that was closed and issued, a payment with its receipt, a person's adjustment."""
    home = Home(desk, capsys, 310_000)
    assert home.orderly.run("topup", "m1", 0, "50", "--reference", "cash-1")[0] == 0
    home.bill("issue", "m1", 0, *MONTH)
    home.orderly.order("adjust", "m1", 0, "2.50", "--class", "refund", "--reference", "a")
    assert home.orderly.run("tariff", "assign", 502, "m1/1", *BY)[0] == 0
    assert found(home.orderly) == []
    return home


def test_what_was_changed_alone_is_found(home: Home, tmp_path: Path) -> None:
    assert missed(home.orderly, tmp_path, DAMAGE) == {}


@pytest.mark.parametrize("desk", [SQLITE, POSTGRESQL], indirect=True)
def test_an_adjustment_that_a_module_has_made_is_held_against_its_order(home: Home) -> None:
    for order in home.adjustments():
        home.obey(order)
    assert found(home.orderly) == []
    home.desk.damage(f"UPDATE commands SET target = 1 WHERE action = {ADJUST} AND id = 4")
    assert ("adjustment", "m1/0 entry 33", "is not what command 4 orders") in found(home.orderly)
    home.desk.damage(
        "UPDATE bills SET to_s = to_s + 1",
        "UPDATE host_entries SET from_s = from_s + 1",
        "UPDATE assignments SET from_s = 2 WHERE point_id = 2 AND from_s = 0",
        "UPDATE tariffs SET currency = 'INR' WHERE version = 502",
    )
    kinds = {kind for kind, _, _ in found(home.orderly)}
    assert kinds == {"adjustment", BILL, ENTRY, "tariff"}


def test_the_contracted_power_of_an_entry_is_missed(
    desk: Desk, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = TERMS.replace('percent = "16"\non = ["energy", "wheeling"]', 'per_kw_month = "3"')
    home = Home(desk, capsys, 310_000, text=text)
    noted = ("tariff", "contract", "m1/0", "4.6", "--from", "2026-01-01")
    assert home.orderly.run(*noted, *BY)[0] == 0
    home.bill("close", "m1", 0, *MONTH)
    assert found(home.orderly) == []
    lost = ("DELETE FROM contracts", ENTRY, "contracted power that it is for is not there")
    later = ("UPDATE contracts SET from_s = from_s + 1", *lost[1:])
    assert missed(home.orderly, tmp_path, {"lost": lost, "later": later}) == {}


@pytest.fixture
def contracted(desk: Desk, capsys: pytest.CaptureFixture[str]) -> Orderly:
    """Three contracted powers of a point; the first is from before they were sealed."""
    home = Home(desk, capsys, 310_000)
    for kw, day in (("4.6", "2026-01-01"), ("9", "2026-03-01"), ("6", "2026-02-01")):
        noted = ("tariff", "contract", "m1/0", kw, "--from", day)
        assert home.orderly.run(*noted, *BY)[0] == 0
        if kw == "4.6":
            desk.damage("UPDATE contracts SET number = NULL, seal = NULL")
    assert found(home.orderly) == []
    return home.orderly


POWER, CHANGED, MISSING = "contract", "it has changed", "the one before it is missing"
CONTRACTS = {
    "power": ("contract_mw = 1 WHERE number = 2", CHANGED),
    "power of the first": ("contract_mw = 1 WHERE number IS NULL", CHANGED),
    "the beginning": ("from_s = from_s + 1 WHERE number = 1", CHANGED),
    "who": ("who = 'x' WHERE number = 1", CHANGED),
    "the time": ("noted_s = noted_s + 1 WHERE number = 2", CHANGED),
    "the number": ("number = 3 WHERE number = 2", MISSING),
    "the seal": ("seal = NULL WHERE number = 2", CHANGED),
    "the point": ("point_id = 2 WHERE number = 1", MISSING),
}


@pytest.mark.parametrize("desk", [SQLITE, POSTGRESQL], indirect=True)
def test_another_contracted_power_is_found(contracted: Orderly) -> None:
    contracted.desk.damage("UPDATE contracts SET contract_mw = 1 WHERE number = 1")
    assert found(contracted) == [(POWER, "m1/0 1", CHANGED)]


def test_a_contract_that_was_changed_alone_is_found(contracted: Orderly, tmp_path: Path) -> None:
    cases = {
        name: (f"UPDATE contracts SET {sql}", POWER, what)
        for name, (sql, what) in CONTRACTS.items()
    }
    cases["lost"] = ("DELETE FROM contracts WHERE number = 1", POWER, MISSING)
    cases["the first lost"] = ("DELETE FROM contracts WHERE number IS NULL", POWER, CHANGED)
    assert missed(contracted, tmp_path, cases) == {}


def test_terms_that_a_lost_store_has_ordered_are_held_against_what_they_did(
    desk: Desk, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    home = closed_and_lost(desk, capsys, tmp_path / "x")
    home.desk.take(home.ledger.batch(33, 1), home.ledger.statement())
    home.bill("close", "m1", 0, *MONTH)
    home.desk.clock.s += 1
    assert found(home.orderly) == []
    no_order = "there is no order of its entries"
    lost = "UPDATE host_entries SET command_id = 4 WHERE number = 1"
    assert missed(home.orderly, tmp_path, {"the order": (lost, ENTRY, no_order)}) == {}


ADOPTED = {
    "the beginning": ("from_s = from_s + 1 WHERE number = 1", "of no adopted statement"),
    "the end": ("to_s = to_s + 1 WHERE number = 1", "of no adopted statement"),
    "the version": ("version = 1 WHERE number = 1", "of no adopted statement"),
    "the rule": ("rule = 'charges' WHERE number = 1", "has no posting of its"),
    "an order": ("command_id = 9 WHERE number = 1", "do not come to what was adopted"),
    "the class": ("class = 'terms' WHERE number = 1", "has no posting of its"),
    "the end of terms": ("to_s = to_s + 1 WHERE class = 'terms'", "has no posting of its"),
}


def test_entries_of_lost_records_are_held_against_the_statement_that_was_adopted(
    desk: Desk, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    home = closed_and_lost(desk, capsys, tmp_path / "x")
    home.desk.take(home.ledger.statement())
    home.read(1, 10_000)
    assert home.orderly.run("adopt", "m1", 0, *WHO)[0] == 0
    home.read(1, 10_000)
    told = home.bill("close", "m1", 0, *MONTH)["entered"]
    assert sum(row["amount_ncur"] for row in told) == OWED_NCUR
    assert found(home.orderly) == []
    cases = {
        name: (f"UPDATE host_entries SET {change}", ENTRY, what)
        for name, (change, what) in ADOPTED.items()
    }
    assert missed(home.orderly, tmp_path, cases) == {}


def dearer(wire: bytes) -> bytes:
    """A book with its first price raised."""
    values = cbor.decode(wire)
    values[3][0][1][0][0][0] += 1000
    return cbor.encode(values)


@pytest.mark.parametrize("version", [BOOK.version, 502])
def test_another_price_of_a_stored_book_is_found(home: Home, version: int) -> None:
    """Both were sent to modules; the second has a file, too."""
    store = home.desk.store._connection
    asked = store.execute("SELECT book FROM tariffs WHERE version = ?", (version,)).fetchone()
    wire = dearer(bytes(asked[0]))
    home.desk.damage(f"UPDATE tariffs SET book = x'{wire.hex()}' WHERE version = {version}")
    told = ["its book is not that of its file"] if version == 502 else []
    told.append("a command has another book")
    assert found(home.orderly) == [("tariff", f"version {version}", what) for what in told]


@pytest.fixture
def judged(desk: Desk, capsys: pytest.CaptureFixture[str]) -> Judged:
    """Two corrected readings, each with its adjustment; the module has carried out the first."""
    judged = Judged(Orderly(desk, capsys))
    judged.large()
    judged.meter(2 * DAY)
    judged.validate()
    judged.edit(5, 0)
    judged.adjusted()
    judged.edit(9, 9_000)
    assert found(judged.orderly) == []
    return judged


OTHER, COST = "is of other readings than command", "is not what command"
READINGS = {
    "amounts": ("UPDATE vee_adjustments SET amount_ncur = amount_ncur / 2", COST),
    "one amount": ("UPDATE vee_adjustments SET amount_ncur = 1 WHERE number = 2", COST),
    "the order": ("UPDATE vee_adjustments SET command_id = 99 WHERE number = 2", "is no order 99"),
    "the point": ("UPDATE vee_adjustments SET point_id = 2 WHERE number = 2", "is no order"),
    "the readings": ("UPDATE vee_adjustments SET version = version + 1", OTHER),
    "the tariffs": ("UPDATE vee_adjustments SET tariffs = '2'", OTHER),
    "the rule": ("UPDATE vee_adjustments SET rule = 'V01' WHERE number = 1", OTHER),
    "the first entry": ("UPDATE vee_adjustments SET first_seq = 1", OTHER),
    "the beginning": ("UPDATE vee_adjustments SET from_s = from_s - 1", OTHER),
    "the end": ("UPDATE vee_adjustments SET to_s = to_s + 1", OTHER),
    "the time": ("UPDATE vee_adjustments SET at_s = at_s + 1", OTHER),
    "the number": ("UPDATE vee_adjustments SET number = 3 WHERE number = 2", "before it is"),
    "the first lost": ("DELETE FROM vee_adjustments WHERE number = 1", "before it is missing"),
    "the last lost": ("DELETE FROM vee_adjustments WHERE number = 2", "nothing was entered"),
    "the amount ordered": (
        f"UPDATE commands SET args = {args(8, 1)} WHERE action = {ADJUST}", COST,
    ),
    "what was asked": (
        "UPDATE command_notes SET asked = replace(asked, 'S45', 'V01')", OTHER,
    ),
    "the note lost": ("DELETE FROM command_notes WHERE asked LIKE '%S45%'", "there is no order"),
}  # fmt: skip


def test_a_changed_adjustment_of_corrected_readings_is_found(
    judged: Judged, tmp_path: Path
) -> None:
    cases = {name: (sql, "adjustment", what) for name, (sql, what) in READINGS.items()}
    assert missed(judged.orderly, tmp_path, cases) == {}


WHAT, BEFORE = "it or its readings have changed", "the version before it is missing"
VERSIONS = {
    "energy": ("UPDATE vee_readings SET energy_wh = energy_wh + 1 WHERE version = 2", WHAT),
    "quality": ("UPDATE vee_readings SET quality = 'A' WHERE version = 3", WHAT),
    "when": ("UPDATE vee_readings SET end_s = end_s + 1 WHERE version = 3", WHAT),
    "the tariff": ("UPDATE vee_readings SET tariff = 7 WHERE version = 3", WHAT),
    "the origin": ("UPDATE vee_readings SET origin = 'x' WHERE version = 3", WHAT),
    "the checks": ("UPDATE vee_readings SET failed = 'V01' WHERE version = 3", WHAT),
    "of which charge": ("UPDATE vee_readings SET seq = 7 WHERE version = 3", WHAT),
    "a reading lost": ("DELETE FROM vee_readings WHERE version = 3", WHAT),
    "a reading more": (
        "INSERT INTO vee_readings SELECT point_id, seq + 1, version, start_s, end_s, energy_wh,"
        " quality, tariff, origin, failed FROM vee_readings WHERE version = 3", WHAT,
    ),
    "who": ("UPDATE vee_versions SET who = 'x' WHERE version = 2", WHAT),
    "why": ("UPDATE vee_versions SET why = 'x' WHERE version = 3", WHAT),
    "the rule": ("UPDATE vee_versions SET rule = 'V99' WHERE version = 3", WHAT),
    "since": ("UPDATE vee_versions SET at_s = 1 WHERE version = 3", WHAT),
    "the seal": ("UPDATE vee_versions SET seal = NULL WHERE version = 3", WHAT),
    "before there were seals": (
        "UPDATE vee_readings SET energy_wh = energy_wh + 1 WHERE version = 1", WHAT,
    ),
    "a version lost": ("DELETE FROM vee_versions WHERE version = 2", BEFORE),
    "the last lost": (
        "DELETE FROM vee_versions WHERE version = 3", "names version 3, which is not there",
    ),
    "readings of no version": (
        "UPDATE vee_readings SET version = 9 WHERE version = 3", "1 readings of no version",
    ),
}  # fmt: skip


def test_a_changed_version_of_settled_readings_is_found(judged: Judged, tmp_path: Path) -> None:
    """The first is from before they were sealed: the next one's seal is over it, too."""
    judged.edit(12, 3_000)
    judged.desk.damage("UPDATE vee_versions SET seal = NULL WHERE version = 1")
    assert found(judged.orderly) == []
    cases = {name: (sql, "readings", what) for name, (sql, what) in VERSIONS.items()}
    assert missed(judged.orderly, tmp_path, cases) == {}


@pytest.mark.parametrize("desk", [SQLITE, POSTGRESQL], indirect=True)
def test_versions_from_before_they_were_sealed_are_under_the_next_seal(judged: Judged) -> None:
    judged.desk.damage("UPDATE vee_versions SET seal = NULL")
    assert found(judged.orderly) == []
    judged.edit(12, 3_000)
    assert found(judged.orderly) == []
    judged.desk.damage("UPDATE vee_readings SET energy_wh = energy_wh + 1 WHERE version = 2")
    assert ("readings", "m1/0 version 3", WHAT) in found(judged.orderly)


@pytest.mark.parametrize("desk", [SQLITE, POSTGRESQL], indirect=True)
def test_a_finding_is_told_in_both_languages(judged: Judged) -> None:
    judged.desk.damage("UPDATE vee_adjustments SET amount_ncur = 1 WHERE number = 2")
    _, out, _ = judged.orderly.run("verify")
    assert "adjustment 调账不符: m1/0 2: is not what command" in out
