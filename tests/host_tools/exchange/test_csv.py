"""Readings and bills as CSV: nothing is lost, nothing is executed, every bad line is told."""

import csv
import io
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools import Refused
from host_tools.exchange import bills_csv, obis, readings_csv
from host_tools.exchange.bills_csv import BillLine, decimal
from host_tools.exchange.records import NAME_CHARACTERS_MAX, QUALITY, UNITS, VALUE_MAX, Record
from protocol.units import Malformed

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
HEAD = ",".join(readings_csv.HEADER) + "\n"
GOOD = (
    "CN-330100-000123,1-0:1.8.0*255,2026-11-21T16:00:00Z,2026-11-22T00:00:00+08:00,900,280,Wh,A,1"
)
T0 = int(datetime.fromisoformat("2026-11-21T16:00:00+00:00").timestamp())

NAMES = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Cf", "Zl", "Zp", "Co", "Cn", "Zs")),
    min_size=1,
    max_size=NAME_CHARACTERS_MAX,
)
PART = st.integers(0, 255)
CODES = st.builds(obis.Obis, PART, PART, PART, PART, PART, PART)


@st.composite
def records(draw: st.DrawFn) -> Record:
    quality = draw(st.sampled_from(list(QUALITY)))
    start_s = draw(st.integers(0, 4_000_000_000))
    return Record(
        draw(NAMES),
        draw(CODES),
        start_s,
        start_s + draw(st.sampled_from([0, 900, 3600])),
        0 if quality == "N" else draw(st.integers(-VALUE_MAX, VALUE_MAX)),
        draw(st.sampled_from(UNITS)),
        quality,
        draw(st.integers(1, 1_000_000)),
    )


def read(text: str | bytes) -> readings_csv.Imported:
    data = text.encode() if isinstance(text, str) else text
    return readings_csv.read(io.BytesIO(data), "old.csv")


def test_the_published_example_is_written_and_read() -> None:
    record = Record("CN-330100-000123", obis.IMPORT, T0, T0 + 900, 280)
    assert "".join(readings_csv.written([record], SHANGHAI)) == (HEAD + GOOD + "\n").replace(
        "\n", "\r\n"
    )
    assert read(HEAD + GOOD + "\n").records == (record,)


@given(st.lists(records(), max_size=8, unique=True), st.sampled_from([SHANGHAI, BERLIN]))
def test_export_then_import_gives_equal_records(rows: list[Record], zone: ZoneInfo) -> None:
    text = "".join(readings_csv.written(rows, zone))
    back = read(text)
    assert back.refused == () and list(back.records) == rows
    assert "".join(readings_csv.written(back.records, zone)) == text
    assert read(text.replace("\r\n", "\n")).records == back.records
    for row in csv.reader(io.StringIO(text, newline="")):
        assert not any(cell[:1] in ("=", "+", "@", "\t") for cell in row)


def test_an_autumn_day_repeats_its_hour_with_another_offset() -> None:
    start_s = int(datetime(2026, 10, 25, tzinfo=BERLIN).timestamp())
    rows = [
        Record("P", obis.IMPORT, at, at + 900, 1) for at in range(start_s, start_s + 90_000, 900)
    ]
    cells = list(csv.reader(readings_csv.written(rows, BERLIN)))[1:]
    assert len(cells) == 100
    local = [row[3] for row in cells]
    assert local[8] == "2026-10-25T02:00:00+02:00" and local[12] == "2026-10-25T02:00:00+01:00"
    starts = [row[2] for row in cells]
    assert starts == sorted(starts) and len(set(starts)) == 100


def test_a_byte_order_mark_of_a_spreadsheet_is_no_error() -> None:
    assert len(read(b"\xef\xbb\xbf" + (HEAD + GOOD).encode()).records) == 1


@pytest.mark.parametrize(
    "head", ["", "\n", "a,b\n", HEAD.replace("obis", "code"), "\xff\xfe\n", '"']
)
def test_a_wrong_header_refuses_the_file(head: str) -> None:
    with pytest.raises(Refused, match=r"old\.csv: line 1: the header must be usage_point,obis"):
        read(head + GOOD)


@pytest.mark.parametrize("code", ["utf-16", "utf-16-le", "gbk"])
def test_another_encoding_names_the_remedy(code: str) -> None:
    told = r"old\.csv: line 1: not UTF-8; save the file as CSV UTF-8; the header must be"
    with pytest.raises(Refused, match=told):
        read(("用电点," * (code == "gbk") + HEAD + GOOD).encode(code))


def changed(**cells: str) -> str:
    row = dict(zip(readings_csv.HEADER, GOOD.split(","), strict=True)) | cells
    return ",".join(row.values())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "0 fields, not 9"),
        ("a,b", "2 fields, not 9"),
        (GOOD + ",more", "10 fields, not 9"),
        (changed(usage_point=""), "a name has 1 to 64 printable characters"),
        (changed(usage_point="x" * 65), "a name has 1 to 64 printable characters"),
        (changed(obis="1.8"), "'1.8' is no OBIS code"),
        (changed(obis="1-0:1.8.256*255"), "is at most 255"),
        (changed(interval_start_utc="2026-11-21T16:00:00"), "must be such as 2026-11-21T16:00"),
        (changed(interval_start_utc="yesterday"), "must be such as"),
        (changed(interval_start_utc="2026-02-30T00:00:00Z"), "must be such as"),
        (changed(interval_start_utc="2026-11-21T16:00:00.5Z"), "must be such as"),
        (changed(interval_start_utc="1969-12-31T23:59:59Z"), "is out of range"),
        (changed(interval_start_utc="9999-12-31T23:59:59-23:00"), "is out of range"),
        (changed(duration_s="-1"), "duration_s: must lie between 0 and"),
        (changed(duration_s="9000000"), "duration_s: must lie between"),
        (changed(duration_s="15m"), "duration_s: '15m' is no whole number"),
        (changed(value="1.5"), "value: '1.5' is no whole number"),
        (changed(value="1,5").replace("1,5", '"1,5"'), "value: '1,5' is no whole number"),
        (changed(value="١٢"), "is no whole number"),
        (changed(value="9" * 30), "is no whole number"),
        (changed(value="9" * 18), "value: must lie between"),
        (changed(value=""), "value: is empty for quality N, and only for it"),
        (changed(quality="N"), "value: is empty for quality N, and only for it"),
        (changed(unit="kWh"), "unit: must be one of Wh, varh, VAh"),
        (changed(quality="X"), "quality: must be A, V, E, S, M, N or empty"),
        (changed(version="0"), "version: must lie between 1"),
        (changed(usage_point='"open'), "not CSV: "),
        (changed(usage_point='"a"b'), "not CSV: "),
        (changed(usage_point="a\0b"), "a zero byte"),
        (changed(usage_point="a\x07b"), "printable characters"),
        (changed(usage_point="x" * 2000), "longer than 1000 bytes"),
        (GOOD, "the same as line 2"),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_the_rest_goes_on(line: str, reason: str) -> None:
    other = changed(value="281", interval_start_utc="2026-11-21T16:15:00Z")
    found = read(HEAD + GOOD + "\n" + line + "\n" + other + "\n")
    assert [each.value for each in found.records] == [280, 281]
    assert [each.line for each in found.refused] == [3]
    assert reason in found.refused[0].reason


def test_a_line_that_is_not_utf_8_is_told() -> None:
    found = read((HEAD + GOOD + "\n").encode() + b"\xff\xfe,\n")
    told = "not UTF-8; save the file as CSV UTF-8"
    assert [(each.line, each.reason) for each in found.refused] == [(3, told)]


def test_a_file_of_nothing_but_bad_lines_is_given_up_with_the_first_reason() -> None:
    with pytest.raises(
        Refused, match=r"more than 10000 lines are wrong, the first is line 2: 1 f"
    ):
        read(HEAD + "x\n" * 10_002)


@given(st.binary(max_size=400))
def test_no_bytes_make_the_import_fail_otherwise_than_by_saying_so(data: bytes) -> None:
    found = read(HEAD.encode() + data)
    assert len(found.records) + len(found.refused) <= data.count(b"\n") + 1


def test_a_name_that_a_spreadsheet_would_execute_is_disarmed_and_comes_back() -> None:
    for name in ("=1+1", "+49", "-1", "@cmd", "'quoted", "plain"):
        assert readings_csv.plain(readings_csv.safe(name)) == name
        assert readings_csv.safe(name)[0] not in "=+-@"


# OBIS


@given(CODES)
def test_an_obis_code_survives_print_and_parse(code: obis.Obis) -> None:
    assert obis.parse(str(code)) == code


def test_short_forms_are_accepted_and_printed_in_full() -> None:
    assert str(obis.parse("1.8.0")) == str(obis.parse("1-0:1.8.0")) == "1-0:1.8.0*255"
    assert str(obis.parse("1.8.0*3")) == "1-0:1.8.0*3"
    assert str(obis.parse("1.0.0", medium=7)) == "7-0:1.0.0*255"


@pytest.mark.parametrize(
    "text", ["", "1", "1.8.0.0", "1-0:1.8", "1.8.0*", "-1.8.0", "1.8.1000", "١.8.0"]
)
def test_what_is_no_obis_code_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        obis.parse(text)


# Bills


def line(**changes: object) -> BillLine:
    base: dict[str, object] = {
        "bill": "B-2026-06-1", "usage_point": "CN-1", "line": 1, "obis": obis.IMPORT,
        "kind": "energy", "rate": "peak", "tier": 1, "start_s": T0, "end_s": T0 + 86_400,
        "energy_wh": 240_010, "price_ucur_per_kwh": 538_300, "exact_ncur": 129_197_383_000,
        "printed_ncur": 129_200_000_000, "currency": "CNY", "quality": "E",
        "estimated_permille": 12, "tariff_version": 2, "readings_version": 3,
    }  # fmt: skip
    return BillLine(**(base | changes))  # type: ignore[arg-type]


def test_a_bill_is_a_row_a_line_with_exact_amounts() -> None:
    tax = line(line=2, obis=None, kind="tax", rate="", exact_ncur=-5, printed_ncur=0, energy_wh=0)
    text = "".join(bills_csv.written([line(), tax]))
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["exact"] for row in rows] == ["129.197383", "-0.000000005"]
    assert rows[0]["obis"] == "1-0:1.8.0*255" and rows[1]["obis"] == ""
    assert (rows[0]["printed"], rows[0]["price_per_kwh"], rows[0]["tier"]) == (
        "129.2",
        "0.5383",
        "2",
    )
    assert text.count("\r\n") == 3


def test_a_file_of_no_bills_has_its_header() -> None:
    assert "".join(bills_csv.written([])) == ",".join(bills_csv.HEADER) + "\r\n"


@given(st.integers(-(10**20), 10**20), st.sampled_from([3, 6, 9]))
def test_a_decimal_loses_nothing(value: int, decimals: int) -> None:
    text = decimal(value, decimals)
    whole, _, rest = text.removeprefix("-").partition(".")
    back = int(whole + rest.ljust(decimals, "0"))
    assert (-back if text.startswith("-") else back) == value and not text.endswith(".")
