"""Green Button: the feed keeps the schema, a foreign parser reads it, and it comes back equal."""

import io
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import xmlschema
from greenbutton_objects import parse as foreign
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.exchange import espi, espi_reader, obis
from host_tools.exchange.espi import Summary
from host_tools.exchange.local_time import LocalTime, local_time
from host_tools.exchange.records import QUALITY, Record
from host_tools.validation.processing import UNKNOWN
from protocol.units import Malformed

HERE = Path(__file__).parent
SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
MADE_S = 1_800_000_000
CONTENT = "{http://www.w3.org/2005/Atom}content"
PATIENT = settings(max_examples=60)


@cache
def schemas() -> list[xmlschema.XMLSchema]:
    """Our own, and the official one where somebody has it."""
    paths = [HERE / "espi_subset.xsd"]
    if "GRIDPURSE_ESPI_XSD" in os.environ:
        paths.append(Path(os.environ["GRIDPURSE_ESPI_XSD"]))
    return [xmlschema.XMLSchema(str(path)) for path in paths]


def day_of(zone: ZoneInfo, year: int, month: int, day: int) -> tuple[int, int]:
    start = datetime(year, month, day, tzinfo=zone)
    end = datetime.fromordinal(start.toordinal() + 1).replace(tzinfo=zone)
    return int(start.timestamp()), int(end.timestamp())


def some(zone: ZoneInfo, year: int = 2026, month: int = 11, day: int = 22) -> list[Record]:
    """A day with every quality, a register at both ends, export and reactive energy."""
    start_s, end_s = day_of(zone, year, month, day)
    order = [each for each in QUALITY if each]
    rows = [
        Record(
            "CN-330100-000123", obis.IMPORT, at, at + 900, 0 if order[n % 6] == "N" else 200 + n,
            quality=order[n % 6], version=1 + n % 3,
            method="linear" if n % 12 == 2 else "past days" if order[n % 6] == "E" else "",
        )
        for n, at in enumerate(range(start_s, end_s, 900))
    ]  # fmt: skip
    rows += [Record("CN-330100-000123", obis.IMPORT, at, at, at // 7, quality="")
             for at in (start_s, end_s)]  # fmt: skip
    rows += [
        Record("CN-330100-000123", obis.EXPORT, start_s, start_s + 900, 5),
        Record("CN-330100-000123", obis.REACTIVE, start_s, start_s + 900, 9, "varh"),
    ]
    return rows


def feed(rows: list[Record], zone: ZoneInfo, currency: str = "CNY", **more: object) -> str:
    return "".join(espi.written(rows, zone, MADE_S, currency, **more))  # type: ignore[arg-type]


def contents(text: str) -> Iterator[ET.Element]:
    for content in ET.fromstring(text).iter(CONTENT):
        assert len(content) == 1
        yield content[0]


def back(text: str) -> tuple[Record, ...]:
    return espi_reader.read(io.BytesIO(text.encode()))


def comparable(row: Record) -> Record:
    """What a feed keeps: all but how an estimate was made."""
    method = UNKNOWN if row.quality == "E" else ""
    return Record(row.usage_point, row.obis, row.start_s, row.end_s, row.value, row.unit,
                  row.quality, row.version, method)  # fmt: skip


COSTS = dict.fromkeys(range(day_of(SHANGHAI, 2026, 11, 22)[0], 2**31, 900)[:96], 150700000)
BILL = Summary(
    *day_of(SHANGHAI, 2026, 11, 22), 226_970_000_000, 430_000, (("VAT <13 %>", 1_000_000_000, 5),)
)


@pytest.mark.parametrize("currency", ["CNY", "EUR"])
@pytest.mark.parametrize("zone", [SHANGHAI, BERLIN])
def test_every_element_of_a_feed_keeps_the_schema(zone: ZoneInfo, currency: str) -> None:
    text = feed(some(zone), zone, currency, costs_ncur=COSTS, summary=BILL)
    seen = set()
    for element in contents(text):
        for schema in schemas():
            schema.validate(element)
        seen.add(element.tag.partition("}")[2])
    assert seen == {
        "UsagePoint", "LocalTimeParameters", "MeterReading", "ReadingType", "IntervalBlock",
        "UsageSummary",
    }  # fmt: skip


def test_the_schema_would_notice_elements_out_of_order() -> None:
    text = feed(some(SHANGHAI), SHANGHAI)
    wrong = text.replace("<espi:kind>12</espi:kind>", "", 1)
    with pytest.raises(xmlschema.XMLSchemaValidationError):
        for element in contents(wrong):
            schemas()[0].validate(element)


def test_a_foreign_parser_reads_values_costs_and_qualities(tmp_path: Path) -> None:
    rows = some(BERLIN)
    costs = {row.start_s: 150_700_000 for row in rows}
    (tmp_path / "feed.xml").write_text(feed(rows, BERLIN, "EUR", costs_ncur=costs))
    (point,) = foreign.parse_feed(str(tmp_path / "feed.xml"))
    assert point.title == "CN-330100-000123" and point.serviceCategory.name == "electricity"
    readings = {each.title + str(each.readingType.accumulationBehaviour.value): each
                for each in point.meterReadings}  # fmt: skip
    assert len(readings) == 4
    main = readings["1-0:1.8.0*2554"]
    assert main.readingType.uom.name == "wattHours"
    assert main.readingType.currency.name == "eur"
    told = [
        (int(each.timePeriod.start.timestamp()), each.value, round(each.cost * 100_000),
         [quality.quality.value for quality in each.readingQualities])
        for each in main.intervalReadings
    ]  # fmt: skip
    wanted = [
        (row.start_s, row.value, 15_070,
         [9 if row.method == "linear" else QUALITY[row.quality]])
        for row in rows
        if row.obis == obis.IMPORT and not row.is_register() and row.quality != "N"
    ]  # fmt: skip
    assert told == wanted
    assert all(str(each.timePeriod.duration) == "0:15:00" for each in main.intervalReadings)


@pytest.mark.parametrize(
    ("zone", "day", "quarters"),
    [(SHANGHAI, (2026, 12, 31), 96), (BERLIN, (2026, 3, 29), 92), (BERLIN, (2026, 10, 25), 100)],
)
def test_what_was_exported_comes_back_equal_on_every_kind_of_day(
    zone: ZoneInfo, day: tuple[int, int, int], quarters: int
) -> None:
    rows = some(zone, *day)
    found = back(feed(rows, zone))
    kept = [comparable(row) for row in rows if row.quality != "N"]
    assert list(found) == sorted(kept)
    whole = [Record("P", obis.IMPORT, row.start_s, row.end_s, 1) for row in rows[:quarters]]
    assert len(back(feed(whole, zone))) == quarters


@PATIENT
@given(
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 2**40)), min_size=1, max_size=20,
             unique_by=lambda pair: pair[0]),
    st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1,
            max_size=64),
)  # fmt: skip
def test_any_series_and_any_name_comes_back(pairs: list[tuple[int, int]], name: str) -> None:
    rows = sorted(Record(name, obis.IMPORT, at * 900, at * 900 + 900, v) for at, v in pairs)
    text = feed(rows, SHANGHAI)
    assert list(back(text)) == rows
    assert feed(rows, SHANGHAI) == text


def test_costs_add_up_within_a_hundred_thousandth_an_interval() -> None:
    exact = [1_234_567 * n for n in range(-50, 50)]
    assert all(abs(espi.cost(each) * 10_000 - each) <= 5_000 for each in exact)
    assert espi.cost(5_000) == 1 and espi.cost(-5_000) == -1 and espi.cost(4_999) == 0


def test_two_points_do_not_share_a_feed() -> None:
    rows = [Record("A", obis.IMPORT, 0, 900, 1), Record("B", obis.IMPORT, 0, 900, 1)]
    with pytest.raises(ValueError, match="one usage point"):
        feed(rows, SHANGHAI)


# Clock rules


def decoded(rule: int) -> tuple[int, int, int, int, int]:
    """month, operator, day of the month, weekday, hour."""
    return rule >> 28, rule >> 25 & 7, rule >> 20 & 31, rule >> 17 & 7, rule >> 12 & 31


def test_the_rules_of_the_united_states_are_the_published_ones() -> None:
    assert local_time(ZoneInfo("America/Los_Angeles"), 2026) == LocalTime(
        -28_800, 3600, 0x360E2000, 0xB40E2000
    )


def test_europe_changes_on_last_sundays_and_china_never() -> None:
    found = local_time(BERLIN, 2026)
    assert (found.offset_s, found.dst_offset_s) == (3600, 3600)
    assert decoded(found.start_rule) == (3, 7, 0, 7, 2)
    assert decoded(found.end_rule) == (10, 7, 0, 7, 3)
    assert local_time(SHANGHAI, 2026) == LocalTime(28_800, 0, 0, 0)


def test_the_south_begins_its_summer_in_spring() -> None:
    found = local_time(ZoneInfo("Australia/Sydney"), 2026)
    assert decoded(found.start_rule)[:2] == (10, 2) and decoded(found.end_rule)[:2] == (4, 2)


# Hostile feeds

BOMB = """<?xml version="1.0"?><!DOCTYPE feed [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<feed xmlns="http://www.w3.org/2005/Atom">&b;</feed>"""
OUTSIDE = """<!DOCTYPE feed SYSTEM "file:///etc/passwd">
<feed xmlns="http://www.w3.org/2005/Atom"/>"""
FEED = '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:espi="http://naesb.org/espi">'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not XML"),
        ("<feed", "not XML"),
        ("<html/>", "not an Atom feed"),
        ("<feed/>", "not an Atom feed"),
        (BOMB, "a document type declaration"),
        (OUTSIDE, "a document type declaration"),
        (FEED + "<entry>" * 20, "nested deeper than 16"),
        (FEED + "<entry>" + "<a/>" * 100_001, "more than 100000 elements in one entry"),
        (FEED + "<entry/>" * 100_001, "more than 100000 entries"),
        (FEED + "<entry><title>" + "x" * 600, "title: a text of more than 512"),
    ],
)
def test_a_hostile_feed_is_refused_in_one_sentence(text: str, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        back(text)
    assert reason in caught.value.detail


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("<espi:uom>72<", "<espi:uom>38<", "uom 38: only Wh, varh, VAh are read"),
        ("<espi:value>201<", "<espi:value>2.5<", "value: '2.5' is no whole number"),
        ("<espi:value>201<", "<espi:value>999999999999999999<", "value: must lie between"),
        ("<espi:value>201</espi:value>", "", "value: is missing"),
        ("Multiplier>0<", "Multiplier>-3<", "is no whole number"),
        ('rel="related" href="/ReadingType/I1.8.0.255"', 'rel="x" href="y"',
         "a meter reading without its point or type"),
    ],
)  # fmt: skip
def test_a_feed_that_is_wrong_says_what(old: str, new: str, reason: str) -> None:
    text = feed(some(SHANGHAI), SHANGHAI)
    assert old in text
    with pytest.raises(Malformed) as caught:
        back(text.replace(old, new))
    assert reason in caught.value.detail


@pytest.mark.parametrize("encoding", ["U-F-8", "gb18030", "hex", "idna", "undefined"])
def test_a_feed_in_an_encoding_that_cannot_be_read_says_so(encoding: str) -> None:
    text = feed(some(SHANGHAI), SHANGHAI)
    with pytest.raises(Malformed) as caught:
        back(text.replace('encoding="UTF-8"', f'encoding="{encoding}"'))
    assert caught.value.detail.startswith("encoding: ")
    assert caught.value.detail.endswith("; save it as UTF-8")


def test_a_foreign_feed_without_our_titles_gets_its_code_from_unit_and_direction() -> None:
    text = (
        feed(some(SHANGHAI), SHANGHAI)
        .replace("1-0:2.8.0*255", "Export")
        .replace("1-0:1.8.0*255", "Hourly usage")
    )
    assert {str(row.obis) for row in back(text)} == {
        "1-0:1.8.0*255", "1-0:2.8.0*255", "1-0:3.8.0*255",
    }  # fmt: skip


def test_one_block_linked_many_times_is_read_once() -> None:
    rows = [Record("P", obis.IMPORT, 0, 900, 1)]
    text = feed(rows, SHANGHAI)
    link = text[text.index('<link rel="related" href="/UsagePoint') :].partition(">")[0] + ">"
    block = next(part for part in text.split("<link ") if "IntervalBlock" in part).partition(">")[
        0
    ]
    many = text.replace(f"<link {block}>", f"<link {block}>" * 500)
    assert link and list(back(many)) == rows


def test_a_feed_cut_anywhere_is_refused_or_read_but_never_fails_otherwise() -> None:
    text = feed(some(SHANGHAI)[:8], SHANGHAI)
    for cut in range(0, len(text) - 1, 97):
        with pytest.raises(Malformed):
            back(text[:cut])


@PATIENT
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_feed_is_refused_or_read_but_never_fails_otherwise(
    hits: list[tuple[int, int]],
) -> None:
    data = bytearray(feed(some(SHANGHAI)[:6], SHANGHAI).encode())
    for place, value in hits:
        data[place % len(data)] = value
    try:
        for row in espi_reader.read(io.BytesIO(bytes(data))):
            assert abs(row.value) < 2**63 and row.usage_point
    except Malformed as error:
        assert error.detail


def test_the_time_of_making_is_the_callers() -> None:
    stamp = datetime.fromtimestamp(MADE_S, UTC).isoformat().replace("+00:00", "Z")
    assert f"<updated>{stamp}</updated>" in feed(some(SHANGHAI), SHANGHAI)
