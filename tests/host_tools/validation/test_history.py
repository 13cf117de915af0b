"""Historic readings: a file from before the module is kept once, checked, and moves no money."""

import hashlib
import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from host_tools import cli
from host_tools.backup import archive
from host_tools.config import StoreAddress
from host_tools.exchange import historic_import, obis, readings_csv
from host_tools.exchange.records import Record
from host_tools.operations import checks_store
from host_tools.operations.finding import OK
from host_tools.settlement import commands
from host_tools.store.database import open_store
from host_tools.validation import gate, historic
from host_tools.validation.historic import Historic, Value
from host_tools.validation.versions import connection_of
from protocol import ledger
from protocol.units import INVALID
from tests.host_tools.desk import NOW_S
from tests.host_tools.genuine import ROOT, by_deadline
from tests.host_tools.validation.judged import BY, DAY, MIDNIGHT_S, Judged, iso, wave

ON_BOTH = True
Q, DAY_S = 900, 86_400
SHANGHAI = ZoneInfo("Asia/Shanghai")
METER = """usage_point = "CN-1"
device = "old-1"
meter = "SN-0"
zone = "Asia/Shanghai"
"""
TABLES = ("history_versions", "history_readings", "history_reviews", "vee_reviews")


def days(count: int, wh: Callable[[int], int] = wave, before: int = 0) -> list[Record]:
    """Quarter-hours of the days before the module's first record, and daily registers, which are
    5 MWh where the days end that have others `before` the module, else where they begin."""
    start_s = MIDNIGHT_S - (count + before) * DAY_S
    loads = [wh(place) for place in range(count * DAY)]
    totals = list(accumulate(loads, initial=5_000_000 - (sum(loads) if before else 0)))
    intervals = [
        Record("CN-1", obis.IMPORT, start_s + place * Q, start_s + place * Q + Q, load, quality="")
        for place, load in enumerate(loads)
    ]
    return intervals + [
        Record("CN-1", obis.IMPORT, at_s, at_s, totals[place * DAY], quality="")
        for place in range(count + 1)
        for at_s in [start_s + place * DAY_S]
    ]


class Past:
    """A judged desk with files of an old meter."""

    def __init__(self, judged: Judged) -> None:
        self.judged = judged
        self.store = judged.store
        self.folder = judged.desk.folder
        (self.folder / "meter.toml").write_text(METER, encoding="utf-8")

    def file(self, rows: Iterable[Record], name: str = "old.csv", zone: Any = SHANGHAI) -> Path:
        path = self.folder / name
        path.write_text("".join(readings_csv.written(rows, zone)), newline="", encoding="utf-8")
        return path

    def words(self, source: Path, *more: object) -> list[object]:
        words = ["readings", "import", source, "--into", "m1", "0", *BY, *more]
        if "--meter" not in more:
            words += ["--meter", self.folder / "meter.toml"]
        return words

    def imported(self, source: Path, *more: object) -> tuple[int, dict[str, Any]]:
        """(exit code, what it said) of an import that is not refused."""
        code, out, err = self.judged.orderly.run(*self.words(source, *more), "--json")
        assert err == "", err
        return code, json.loads(out)

    def refused(self, source: Path, *more: object) -> list[tuple[int, str]]:
        code, told = self.imported(source, *more)
        assert code == 1
        return [(each["line"], each["reason"]) for each in told["refused"]]

    def standing(self) -> list[Value]:
        return [each._replace(version=0) for each in Historic(self.store).standing(1)]

    def kept(self) -> list[Any]:
        """Every row that an import may add."""
        db = connection_of(self.store)
        return [
            sorted(map(tuple, db.execute(f"SELECT * FROM {table}").fetchall())) for table in TABLES
        ]


@pytest.fixture
def past(judged: Judged) -> Past:
    return Past(judged)


def test_a_file_of_the_old_meter_is_kept_as_it_came_and_moves_no_money(past: Past) -> None:
    past.judged.meter(10)
    books = past.judged.desk.journal()
    source = past.file(rows := days(3))
    code, told = past.imported(source)
    digest = hashlib.sha256(source.read_bytes())
    assert (code, told["taken"], told["repeats"], told["refused"]) == (0, len(rows), 0, [])
    assert (told["version"], told["sha256"], told["quality"]) == (1, digest.hexdigest(), "A")
    stands = past.standing()
    assert sorted((each.start_s, each.end_s, each.value) for each in stands) == sorted(
        (row.start_s, row.end_s, row.value) for row in rows
    )
    assert {each.origin for each in stands} == {"imported"}
    (made,) = Historic(past.store).versions(1)
    assert (made.kind, made.who, made.why) == ("imported", "Li Na", "photo of the display")
    assert (made.file, made.file_digest, made.document) == ("old.csv", digest.digest(), METER)
    past.judged.validate()
    assert past.judged.desk.journal() == books and past.judged.adjusted() == []
    assert past.judged.orderly.rows("vee_versions") == 0


def test_the_same_file_twice_changes_nothing(past: Past) -> None:
    rows = leap(days(3))
    rows[40] = replace(rows[40], value=50_000)
    del rows[100:140]
    source = past.file(rows)
    first = past.imported(source)
    kept = past.kept()
    assert first[1]["reviews"] > 0 and first[1]["version"] == 2
    code, told = past.imported(source)
    assert (code, told["taken"], told["repeats"]) == (first[0], 0, len(rows))
    assert told["reviews"] == 0 and past.kept() == kept


def figures(values: Iterable[Value]) -> list[Any]:
    """All that counts of readings; marks that take nothing away may depend on the order."""
    return [
        (*each[:5], each.origin, historic.DOUBTS.intersection(each.failed), each.unit)
        for each in values
    ]


@pytest.mark.parametrize("seed", range(3))
def test_files_in_any_order_and_overlapping_end_the_same(past: Past, seed: int) -> None:
    rng = random.Random(seed)
    rows = sorted(days(6), key=lambda row: (row.start_s, row.end_s))
    rows[300] = replace(rows[300], value=5_000)
    del rows[200:260]
    past.imported(past.file(rows))
    whole = past.standing()
    pieces = [rows[low : low + 150] for low in range(0, len(rows), 100)]
    rng.shuffle(pieces)
    with past.store.transaction():  # point 1 of the module takes the same in pieces
        point = past.store.fleet.point_known("m1", 1)
    meter = historic_import.master_data(past.store, point, past.folder / "meter.toml")[1]
    for place, piece in enumerate(pieces):
        origin = historic_import.Origin("Li Na", "pieces", f"{place}.csv", bytes([place]), METER)
        lines = range(2, len(piece) + 2)
        taken = historic_import.take(past.store, point, meter, origin, piece, lines, NOW_S)
        assert taken.sorted.refused == ()
    made = [each._replace(version=0) for each in Historic(past.store).standing(point.id)]
    assert figures(made) == figures(whole)


def test_a_gap_is_estimated_until_its_lines_come(past: Past) -> None:
    rows = days(30)
    gone = rows[28 * DAY : 28 * DAY + 40]
    past.imported(past.file([row for row in rows if row not in gone]))
    keys = {("1-0:1.8.0*255", row.start_s, row.end_s) for row in gone}
    guessed = [each for each in past.standing() if each.key in keys]
    assert {(each.quality, each.origin) for each in guessed} == {("E", "register, past days")} or {
        each.quality for each in guessed
    } == {"E"}
    assert sum(each.value for each in guessed) == sum(row.value for row in gone)
    code, told = past.imported(past.file(rows))
    assert (code, told["taken"], told["repeats"]) == (0, 40, len(rows) - 40)
    after = {each.key: each for each in past.standing()}
    assert [after["1-0:1.8.0*255", row.start_s, row.end_s].value for row in gone] == [
        row.value for row in gone
    ]
    assert {each.quality for each in past.standing()} == {"A", ""}


def test_hours_are_split_over_the_grid_and_count_once(past: Past) -> None:
    start_s = MIDNIGHT_S - DAY_S
    rows = [
        Record("CN-1", obis.IMPORT, at_s, at_s + 3600, 1001 + place, quality="")
        for place, at_s in enumerate(range(start_s, MIDNIGHT_S, 3600))
    ]
    past.imported(past.file(rows))
    found = historic.usable(past.store, past.judged.point(), 0, MIDNIGHT_S)
    assert [each.end_s - each.start_s for each in found] == [Q] * DAY
    assert sum(each.energy_wh for each in found) == sum(row.value for row in rows)
    kept = past.kept()
    assert past.imported(past.file(rows))[1]["repeats"] == 24 and past.kept() == kept


@pytest.mark.parametrize("seed", range(4))
def test_whatever_files_tell_no_time_counts_twice(past: Past, seed: int) -> None:
    """Hours, minutes beside the grid, overlaps, leaps, holes, estimates of others: in pieces."""
    rng = random.Random(seed)
    rows: list[Record] = []
    at_s = MIDNIGHT_S - 4 * DAY_S
    while at_s < MIDNIGHT_S - 3600:
        step_s = rng.choice((900, 900, 900, 900, 901, 300, 1800, 3600))
        quality = rng.choice(("", "A", "A", "E", "M", "N"))
        value = 0 if quality == "N" else rng.choice((100, 180, 230, -5, 9_000))
        rows.append(Record("CN-1", obis.IMPORT, at_s, at_s + step_s, value, quality=quality))
        if rng.random() < 0.05:
            rows.append(replace(rows[-1], start_s=at_s + 60, value=7, quality="A"))
        at_s += rng.choice((step_s, step_s, step_s, step_s, 3 * 900))
    rows += [row for row in days(4) if row.is_register()]
    rng.shuffle(rows)
    for low in range(0, len(rows), 70):
        past.judged.orderly.run(*past.words(past.file(rows[low : low + 70])))
        found = historic.usable(past.store, past.judged.point(), 0, MIDNIGHT_S)
        assert found
        assert all(a.end_s <= b.start_s for a, b in pairwise(found)), "overlap"
    kept = past.kept()
    for low in range(0, len(rows), 70):
        past.judged.orderly.run(*past.words(past.file(rows[low : low + 70])))
    assert past.kept() == kept
    assert verify(past) == (0, [])


def test_the_day_of_the_clock_change_has_its_hundred_quarters(past: Past) -> None:
    """The local column repeats an hour; UTC decides."""
    berlin = ZoneInfo("Europe/Berlin")
    begin_s = int(datetime(2025, 10, 26, tzinfo=berlin).timestamp())
    rows = [
        Record("CN-1", obis.IMPORT, begin_s + place * Q, begin_s + place * Q + Q, wave(place))
        for place in range(100)
    ]
    source = past.file(rows, zone=berlin)
    assert source.read_text().count("2025-10-26T02:15:00+") == 2
    (past.folder / "meter.toml").write_text(METER.replace("Asia/Shanghai", "Europe/Berlin"))
    code, told = past.imported(source)
    assert (code, told["taken"], told["intervals"], told["energy_wh"]) == (
        0, 100, 100, sum(row.value for row in rows),
    )  # fmt: skip


def _at(row: Record, **more: Any) -> Record:
    return replace(row, **more)


BAD: dict[str, tuple[Callable[[list[Record]], bytes], str]] = {
    "kWh": (lambda rows: line(rows[3]).replace(b",Wh,", b",kWh,"), "unit: must be one of"),
    "varh of active energy": (
        lambda rows: line(_at(rows[3], unit="varh")),
        "unit: 1-0:1.8.0*255 is in Wh, not in varh",
    ),
    "contradicts an earlier import": (
        lambda rows: line(_at(rows[3], value=1)),
        "contradicts an earlier import: ",
    ),
    "overlaps an earlier import": (
        lambda rows: line(_at(rows[3], start_s=rows[3].start_s + 60, end_s=rows[3].end_s + 60)),
        "overlaps an earlier import from ",
    ),
    "longer than what is there": (
        lambda rows: line(_at(rows[3], start_s=rows[3].start_s - 3600)),
        "overlaps an earlier import from ",
    ),
    "after the module's first record": (
        lambda rows: line(_at(rows[3], start_s=MIDNIGHT_S - 60, end_s=MIDNIGHT_S + 840)),
        "ends after the module's first record at 2026-01-01T16:00:00Z",
    ),
    "contradicts the module": (
        lambda rows: line(_at(rows[3], start_s=MIDNIGHT_S, end_s=MIDNIGHT_S + Q, value=1)),
        "contradicts the module's own reading: 200 Wh there",
    ),
    "cut off": (lambda rows: line(rows[3])[:40], "fields, not 9"),
    "not UTF-8": (lambda rows: line(rows[3]).replace(b"CN-1", b"CN-\xff"), "not UTF-8; save"),
    "no clock": (lambda rows: line(rows[3]).replace(b"Z,", b",", 1), "interval_start_utc: "),
}


def line(row: Record) -> bytes:
    return list(readings_csv.written([row], SHANGHAI))[1].encode()


@pytest.mark.parametrize("case", BAD)
def test_a_bad_line_is_refused_alone_with_its_number(past: Past, case: str) -> None:
    make, reason = BAD[case]
    past.judged.meter(4)
    rows = days(2)
    past.imported(past.file(rows))
    more = days(1, before=2)
    source = past.file(more, "more.csv")
    source.write_bytes(source.read_bytes() + make(rows))
    ((number, why),) = past.refused(source)
    assert number == len(more) + 2 and reason in why
    assert len(past.standing()) == len({*rows, *more})


def test_what_is_equal_to_the_modules_own_is_a_repeat(past: Past) -> None:
    """A file that was exported from the store comes back without a word."""
    past.judged.meter(20)
    with past.store.transaction():
        given = commands.pay(past.store, past.judged.point(), "cash-1", 7_000_000_000, NOW_S)
    past.judged.made.top_up(given.number, given.amount_ncur)
    past.judged.meter(4)
    past.judged.edit(5, 3)  # the export has it as it was charged
    path = past.folder / "own.csv"
    words = ("export", "readings", "m1", 0, "--from", "2026-01-01", "--registers", "--out", path)
    assert past.judged.orderly.run(*words)[0] == 0
    meter = METER.replace("CN-1", "m1/0")
    (past.folder / "meter.toml").write_text(meter)
    code, told = past.imported(path)
    assert (code, told["taken"], told["repeats"]) == (0, 0, 49)
    assert past.kept()[0] == []


def test_a_false_clock_at_the_beginning_keeps_no_history_out(past: Past) -> None:
    """Until it had its time the module believed that it was a year earlier."""
    made = past.judged.made
    made.enter(ledger.opening(made.state, made.book, MIDNIGHT_S - 400 * DAY_S, INVALID, 1000))
    past.judged.enter(200, 400 * DAY_S)
    past.judged.send()
    assert past.imported(past.file(days(2)))[0] == 0
    assert len(historic.usable(past.store, past.judged.point(), 0, MIDNIGHT_S)) == 2 * DAY


def test_the_modules_own_readings_stand_where_history_reaches_into_them(past: Past) -> None:
    """The file came first; the module turned out to have metered its last two days itself."""
    late = [
        replace(row, start_s=row.start_s + 2 * DAY_S, end_s=row.end_s + 2 * DAY_S)
        for row in days(3)
    ]
    assert past.imported(past.file(late))[0] == 0
    past.judged.meter(DAY)
    found = historic.usable(past.store, past.judged.point(), 0, MIDNIGHT_S + 9 * DAY_S)
    assert len(found) == DAY and found[-1].end_s == MIDNIGHT_S
    path = past.folder / "both.csv"
    words = ("--from", "2026-01-01", "--to", "2026-01-09", "--history", "--out", path)
    assert past.judged.orderly.run("export", "readings", "m1", 0, *words)[0] == 0
    with path.open("rb") as stream:
        spans = sorted(
            (each.start_s, each.end_s) for each in readings_csv.read(stream, "").records
        )
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_two_values_of_one_interval_are_both_refused(past: Past) -> None:
    rows = days(1)
    other = replace(rows[3], value=7)
    refused = past.refused(past.file([*rows, other]))
    assert [number for number, _ in refused] == [5, len(rows) + 2]
    assert all("contradicts another line of the file: [7, " in why for _, why in refused)
    (guess,) = [each for each in past.standing() if each.quality == "E"]
    assert guess.start_s == rows[3].start_s


def test_a_reading_of_the_future_is_refused_before_the_module_was_heard(past: Past) -> None:
    now_s = past.judged.desk.clock.s
    ahead = Record("CN-1", obis.IMPORT, now_s // Q * Q + Q, now_s // Q * Q + 2 * Q, 5)
    refused = past.refused(past.file([*days(1), ahead]))
    assert [why for _, why in refused] == ["ends in the future"]


WRONG = {
    "another point": ("other.csv", (), "usage_point CN-1 is not CN-2 of the readings"),
    "another point on file": (
        "old.csv",
        ("--meter", "TMP/other.toml"),
        "m1/0: is usage point CN-1 on file, not CN-2; name the right point",
    ),
    "no header": ("bare.csv", (), "bare.csv: line 1: the header must be"),
    "only a header": ("empty.csv", (), "empty.csv: no reading in it; nothing to import"),
    "no file": ("none.csv", (), "none.csv: No such file"),
    "a folder": (".", (), "Is a directory"),
    "a float of a point": ("old.csv", ("--into", "m1", "0.5"), "the point is a number"),
    "no such point": ("old.csv", ("--into", "m1", "7"), "m1/7: no such service point"),
    "no such module": ("old.csv", ("--into", "m9", "0"), "m9/0: no such service point"),
    "nobody": ("old.csv", ("--by", " "), "--by: name the person"),
    "no reason": ("old.csv", ("--reason", " "), "--reason: write 1 to 500"),
    "an out file": ("old.csv", ("--out", "TMP/x"), "--into: goes with import and without --out"),
    "too long": ("long.csv", (), "would span "),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_import_is_one_line_and_keeps_nothing(past: Past, case: str) -> None:
    name, more, reason = WRONG[case]
    past.imported(past.file(days(1)))
    past.file([replace(row, usage_point="CN-2") for row in days(1)], "other.csv")
    (past.folder / "bare.csv").write_text("1,2,3\n")
    past.file([], "empty.csv")
    (past.folder / "other.toml").write_text(METER.replace("CN-1", "CN-2"))
    past.file([Record("CN-1", obis.IMPORT, DAY_S, DAY_S + Q, 1)], "long.csv")
    if case == "another point on file":
        past.file([replace(row, usage_point="CN-2") for row in days(1)])
    kept = past.kept()
    told = [str(each).replace("TMP", str(past.folder)) for each in more]
    err = past.judged.refusal(*past.words(past.folder / name, *told))
    assert reason in err
    assert past.kept() == kept and not (past.folder / "x").exists()


def test_without_a_meter_file_on_file_one_is_asked_for(past: Past) -> None:
    source = past.file(days(1))
    words = ("readings", "import", source, "--into", "m1", "0", *BY)
    assert "--meter: m1/0 has no meter file on file" in past.judged.refusal(*words)
    meter = past.folder / "meter.toml"
    past.judged.shown("validate", "m1", 0, "--meter", meter, "--by", "Li Na")
    assert past.judged.shown(*words)["taken"] == len(days(1))


def test_more_lines_than_a_run_can_hold_are_refused_before_they_are_read(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(historic_import, "READINGS_MAX", 150)
    words = past.words(past.file(days(2)))
    assert "more than 150 lines; split the file" in past.judged.refusal(*words)
    past.imported(past.file(days(1)))
    words = past.words(past.file(days(1, before=1)))
    assert "would have 195 historic readings, at most 150" in past.judged.refusal(*words)


def leap(rows: list[Record]) -> list[Record]:
    """The register of the last day is 5 kWh ahead of the intervals."""
    return [*rows[:-1], replace(rows[-1], value=rows[-1].value + 5000)]


def test_what_is_held_waits_for_a_person_and_stands_before_no_bill(past: Past) -> None:
    past.judged.meter(2 * DAY)
    past.judged.validate()
    code, told = past.imported(past.file(leap(days(5))))
    assert code == 1 and told["reviews"] == len(told["held"]) == 2  # the day, and all of it
    item = past.judged.shown("review", "list")[-1]
    assert (item["code"], item["history"], item["blocks_bill"]) == ("V10", True, False)
    assert item["action"] == "hold" and item["who"] == "validation"
    point = past.judged.point()
    span = (MIDNIGHT_S - DAY_S, MIDNIGHT_S + DAY_S)
    assert not any(each.blocks for each in gate.doubts(past.store, point, *span, None))
    shown = past.judged.shown("review", "show", item["id"])
    assert len(shown["metered"]) == DAY and shown["adjustments"] == []
    assert past.judged.orderly.run("review", "show", item["id"])[0] == 0
    told = checks_store.validation(connection_of(past.store))
    assert (told.level, told.what.english) == (OK, "2 historic readings wait for a person")


@pytest.mark.parametrize(("event", "quality"), [("accept", "V"), ("edit", "M"), ("estimate", "E")])
def test_a_decision_about_history_is_a_version_and_never_an_order(
    past: Past, event: str, quality: str
) -> None:
    past.judged.meter(DAY)
    past.imported(past.file(leap(days(30))))
    item = past.judged.shown("review", "list")[-1]
    books = past.judged.desk.journal()
    start_s = MIDNIGHT_S - DAY_S
    values = ("--set", f"{iso(start_s)}=17") if event == "edit" else ()
    told = past.judged.shown("review", event, item["id"], *values, *BY)
    assert told["adjustment"] is None and told["readings_version"] == 2
    day = [
        each for each in past.standing() if each.start_s >= start_s and each.end_s > each.start_s
    ]
    assert len(day) == DAY
    assert sum(each.quality == quality for each in day) == (1 if event == "edit" else DAY)
    assert past.judged.orderly.rows("vee_versions") == 0 and past.judged.adjusted() == []
    assert past.judged.desk.journal() == books
    made = Historic(past.store).versions(1)[-1]
    assert (made.kind, made.rule, made.who) == ("decided", "V10", "Li Na")
    kept = past.kept()
    past.imported(past.file(leap(days(30)), "again.csv"))  # what a person decided stands
    assert past.kept()[1:] == kept[1:]
    assert past.judged.shown("review", "reopen", item["id"], *BY)["readings"] == []


def test_a_missing_time_that_is_held_is_edited_by_its_intervals(past: Past) -> None:
    """Behind a register that fell nothing is estimated."""
    rows = days(3)
    del rows[DAY + 10 : DAY + 14]
    fell = [replace(row, value=7) if row == rows[-2] else row for row in rows]
    past.imported(past.file(fell))
    lacking = [each for each in past.standing() if each.quality == "N"]
    assert [each.origin for each in lacking] == ["missing"] * 4
    item = next(each for each in past.judged.shown("review", "list") if each["code"] == "V08")
    values = [word for each in lacking for word in ("--set", f"{iso(each.start_s)}=9")]
    past.judged.shown("review", "edit", item["id"], *values, *BY)
    assert [each.value for each in past.standing() if each.quality == "M"] == [9] * 4
    assert "no interval of it begins" in past.judged.refusal(
        "review", "edit", past.judged.shown("review", "list")[0]["id"],
        "--set", f"{iso(5)}=9", *BY,
    )  # fmt: skip


def test_a_historic_reading_can_be_disputed_and_edited(past: Past) -> None:
    past.judged.meter(4)
    past.imported(past.file(days(3)))
    begin_s = MIDNIGHT_S - DAY_S
    words = ("--from", iso(begin_s), "--to", iso(begin_s + Q), *BY)
    number = past.judged.shown("review", "open", "m1", 0, *words)["review"]
    past.judged.shown("review", "edit", number, "--set", f"{iso(begin_s)}=3", *BY)
    (stands,) = [each for each in past.standing() if each.quality == "M"]
    assert (stands.start_s, stands.value) == (begin_s, 3)


def test_a_dispute_is_of_history_or_of_the_module_and_not_of_both(past: Past) -> None:
    past.judged.meter(4)
    past.imported(past.file(days(3)))

    def words(begin_s: int, end_s: int) -> tuple[object, ...]:
        return ("review", "open", "m1", 0, "--from", iso(begin_s), "--to", iso(end_s), *BY)

    told = past.judged.refusal(*words(MIDNIGHT_S - Q, MIDNIGHT_S + Q))
    assert f"has records of its module from {iso(MIDNIGHT_S)} on" in told and "分别登记" in told
    assert past.judged.shown("review", "list") == []
    for span in ((MIDNIGHT_S - Q, MIDNIGHT_S), (MIDNIGHT_S, MIDNIGHT_S + Q)):
        past.judged.shown(*words(*span))
    items = past.judged.shown("review", "list")
    assert [each["history"] for each in items] == [True, False]


def test_what_an_estimate_explains_doubts_no_other_interval(past: Past) -> None:
    """An impossible value breaks the sum of its day; without it the day is as good as any."""
    rows = days(3)
    rows[40] = replace(rows[40], value=50_000)
    code, told = past.imported(past.file(rows))
    assert code == 0 and {each["code"] for each in told["findings"]} >= {"V10", "V11"}
    found = historic.usable(past.store, past.judged.point(), 0, MIDNIGHT_S)
    assert [each.failed for each in found if each.quality == "A"] == [()] * (3 * DAY - 1)
    assert [each.start_s for each in found if each.quality == "E"] == [rows[40].start_s]


def test_a_line_that_comes_late_does_not_take_a_decision_back(past: Past) -> None:
    rows = days(3)
    late = rows.pop(50)
    past.imported(past.file(rows))
    words = ("--from", iso(late.start_s), "--to", iso(late.end_s), *BY)
    number = past.judged.shown("review", "open", "m1", 0, *words)["review"]
    past.judged.shown("review", "edit", number, "--set", f"{iso(late.start_s)}=3", *BY)
    assert past.imported(past.file([late], "late.csv"))[1]["taken"] == 1
    (stands,) = [each for each in past.standing() if each.start_s == late.start_s]
    assert (stands.value, stands.quality) == (3, "M")
    shown = past.judged.shown("review", "show", number)
    assert [each["energy_wh"] for each in shown["metered"]] == [late.value]


def test_two_programs_with_one_file_keep_it_once(past: Past) -> None:
    source = past.file(days(60))
    past.judged.orderly.run("modules")
    words = [str(each) for each in past.words(source)]
    words += ["--data", str(past.folder), "--clock", str(past.judged.orderly.clock)]
    command = [sys.executable, "-m", "host_tools.cli", *words]
    both = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for child in both:
        _, err = child.communicate()
        assert child.returncode == 0 or b"changed meanwhile; run it again" in err
    assert {child.returncode for child in both} <= {0, 2}
    assert past.judged.orderly.rows("history_versions") == 1
    assert past.imported(source)[1]["repeats"] == len(days(60))


def test_the_right_meter_file_settles_what_the_wrong_one_refused(past: Past) -> None:
    rows = days(2, lambda place: 10 * wave(place))
    source = past.file(rows)
    small = METER + "current_max_ma = 20_000\n"
    (past.folder / "meter.toml").write_text(small)
    past.imported(source)
    assert {each.quality for each in past.standing()} != {"A", ""}
    (past.folder / "meter.toml").write_text(METER)
    code, told = past.imported(source)
    assert (code, told["taken"], told["version"]) == (0, 0, 3)
    assert {(each.quality, each.origin) for each in past.standing()} == {
        ("A", "imported"),
        ("", "imported"),
    }


def test_a_module_learns_from_its_first_day_on(past: Past) -> None:
    """A dispute of a morning of the first day: past days of the old meter tell what it was."""
    past.judged.meter(2 * DAY)
    past.judged.validate()
    first = 2 + 40
    number = past.judged.dispute(first, first + 40)
    blind = past.judged.shown("review", "estimate", number, *BY)["readings"]
    assert {each["origin"] for each in blind} == {"flat"}
    past.judged.shown("review", "reopen", number, *BY)
    past.imported(past.file(days(35)))
    told = past.judged.shown("review", "estimate", number, *BY)["readings"]
    assert {each["origin"] for each in told} == {"past days"}
    guessed_wh = sum(each["energy_wh"] for each in told)
    metered_wh = sum(
        past.judged.made.entries[seq - 1].energy_wh for seq in range(first, first + 41)
    )
    assert abs(guessed_wh - metered_wh) * 100 < metered_wh * 10


@pytest.mark.parametrize(("factor", "found"), [(1, []), (4, ["V13"])])
def test_the_first_month_is_compared_with_the_month_before_the_module(
    past: Past, factor: int, found: list[str]
) -> None:
    past.imported(past.file(days(33)))
    past.judged.meter(32 * DAY, lambda place: factor * wave(place))
    past.judged.validate()
    items = past.judged.shown("review", "list")
    assert [each["code"] for each in items if not each["history"]] == found


def test_an_export_has_the_history_where_it_is_asked_for(past: Past) -> None:
    past.judged.meter(4)
    rows = days(2)
    past.imported(past.file(rows))
    path = past.folder / "both.csv"
    words = ["export", "readings", "m1", 0, "--from", "2025-12-31", "--to", "2026-01-01"]
    words += ["--registers", "--out", path]
    assert past.judged.orderly.run(*words)[0] == 0
    with path.open("rb") as stream:
        assert len(readings_csv.read(stream, "own").records) == 9
    assert past.judged.orderly.run(*words, "--history")[0] == 0
    with path.open("rb") as stream:
        found = readings_csv.read(stream, "both").records
    own = {
        (row.start_s, row.end_s, row.value) for row in rows if row.end_s > MIDNIGHT_S - 40 * 3600
    }
    assert own <= {(each.start_s, each.end_s, each.value) for each in found}
    assert len(found) == len(own) + 9
    feed = past.folder / "both.xml"
    words[words.index(path)] = feed
    assert past.judged.orderly.run(*words, "--history", "--format", "espi")[0] == 0


def test_history_rows_are_never_changed_or_deleted(past: Past) -> None:
    past.imported(past.file(leap(days(2))))
    kept = past.kept()
    db = connection_of(past.store)
    for table in TABLES[:3]:
        column = {"history_reviews": "review"}.get(table, "version")
        for sql in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
            with pytest.raises(Exception, match="are append-only"):  # each database has its own
                db.execute(sql)
    assert past.kept() == kept and all(kept[:3])


def verify(past: Past, target: Path | None = None) -> tuple[int, list[dict[str, str]]]:
    code, out, err = past.judged.orderly.run("verify", "--json", *([target] if target else []))
    assert err == "", err
    return code, json.loads(out)["findings"]


DAMAGE = {
    "a value": "UPDATE history_readings SET value = value + 1 WHERE start_s = (SELECT MIN(start_s)"
    " FROM history_readings WHERE version = 1) AND end_s > start_s",
    "a quality": "UPDATE history_readings SET quality = 'V' WHERE version = 2",
    "who": "UPDATE history_versions SET who = 'Wang' WHERE version = 1",
    "a row less": "DELETE FROM history_readings WHERE version = 1 AND value = 5000000",
    "the meter file": "UPDATE history_versions SET document = '' WHERE version = 2",
}


@pytest.mark.parametrize("case", DAMAGE)
def test_verify_finds_a_historic_reading_that_was_changed(past: Past, case: str) -> None:
    past.judged.meter(4)
    rows = days(2)
    del rows[20:24]
    past.imported(past.file(rows))
    assert verify(past) == (0, [])
    past.judged.desk.damage(DAMAGE[case])
    code, findings = verify(past)
    assert code == 1
    assert findings[0]["kind"] == "historic readings" and "m1/0 version" in findings[0]["where"]


def test_a_restored_store_has_the_history_and_takes_the_file_as_repeats(
    past: Past, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    past.judged.meter(4)
    source = past.file(leap(days(3)))
    past.imported(source)
    kept = past.kept()
    file, new = tmp_path / "one.backup", tmp_path / "new"
    archive.take(past.judged.desk.place, file, NOW_S)
    monkeypatch.delenv("GRIDPURSE_STORE_URL", raising=False)
    archive.restore(file, StoreAddress(new), NOW_S)
    assert cli.main(["verify", str(file)]) == cli.main(["verify", str(new)]) == 0
    words = [str(each) for each in past.words(source)]
    assert cli.main([*words, "--data", str(new)]) == 1  # something is held, as before
    store = open_store(new)
    past.store = store
    restored = past.kept()
    store.close()
    assert restored == kept


def test_killed_half_way_and_run_again_ends_the_same(past: Past) -> None:
    """kill -9 of the real program at many instants, then once to its end."""
    past.judged.meter(4)
    rows = [replace(row, value=row.value) for row in days(120)]
    del rows[500:560]
    source = past.file(rows)
    words = [str(each) for each in past.words(source)]
    words += ["--data", str(past.folder), "--clock", str(past.judged.orderly.clock)]
    past.judged.orderly.run("modules")  # the clock's file is there
    command = [sys.executable, "-m", "host_tools.cli", *words]
    killed = 0
    for tenths in (3, 5, 8, 11, 15, 20):
        child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            child.wait(tenths / 10)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            killed += 1
        child.communicate()
        numbers = Historic(past.store).number(1)
        assert numbers in (0, 2)  # both versions of a run or none of them
    assert killed
    code, told = past.imported(source)
    assert code == 0 and told["version"] == 2
    assert verify(past) == (0, [])
    assert len(past.standing()) == len(rows) + 60
    assert past.judged.orderly.rows("history_versions") == 2


def test_killed_between_its_rows_nothing_of_it_stands(past: Past) -> None:
    """The program is stopped by itself in the middle of its rows, and killed there."""
    source = past.file(days(3))
    mark = past.folder / "in the middle"
    script = f"""
import signal, sys
from pathlib import Path
from host_tools import cli
from host_tools.exchange import historic_import
def stopped(self, *rest):
    Path({str(mark)!r}).touch()
    signal.pause()
historic_import.Queue.open_historic = stopped
sys.exit(cli.main(sys.argv[1:]))
"""
    past.judged.orderly.run("modules")
    words = [str(each) for each in past.words(source)]
    words += ["--data", str(past.folder), "--clock", str(past.judged.orderly.clock)]
    child = subprocess.Popen([sys.executable, "-c", script, *words], cwd=ROOT)
    by_deadline(mark.exists, "rows of the import written")
    assert past.kept()[0] == []
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert past.kept()[0] == [] and past.standing() == []
    assert past.imported(source)[1]["taken"] == len(days(3))
