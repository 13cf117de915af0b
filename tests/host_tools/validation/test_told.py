"""A bill tells of its readings: the worst quality, the estimated share, the version; so does its
export."""

import csv
import json
from dataclasses import replace

import pytest

from host_tools.exchange import bills_csv, of_store
from host_tools.store import bills
from tests.host_tools.validation.judged import BY, DAY, Judged
from tests.host_tools.validation.test_gate import BEIJING, MONTH

FIRST = 35 * DAY  # in February
WORDS = {
    "en": ("estimated readings", "14.4 % of the time of this statement"),
    "zh": ("估算读数", "14.4 % 占本期时长"),
    "both": ("estimated readings 估算读数", "14.4 % of the time of this statement 占本期时长"),
}


def billed(judged: Judged) -> None:
    """Two months by a tariff that is on file, so that February is whole and audited."""
    judged.meter(62 * DAY)
    judged.shown("tariff", "add", BEIJING)


def text(judged: Judged, *words: object) -> str:
    code, out, err = judged.orderly.run("bill", *words)
    assert code == 0, err
    return out


def rows(judged: Judged) -> list[dict[str, str]]:
    path = judged.desk.folder / "bills.csv"
    assert judged.orderly.run("export", "bills", "--out", path)[0] == 0
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def told(row: dict[str, str]) -> tuple[str, str, str]:
    return row["quality"], row["estimated_permille"], row["readings_version"]


def test_the_customer_is_told_how_much_was_estimated(judged: Judged) -> None:
    billed(judged)
    judged.validate()
    before = text(judged, "draft", *MONTH)
    number = judged.dispute(FIRST, FIRST + 4 * DAY)
    judged.shown("review", "estimate", number, *BY)
    judged.adjusted()
    for language, found in WORDS.items():
        lines = text(judged, "draft", *MONTH, "--lang", language).splitlines()
        (line,) = [each for each in lines if found[0] in each]
        assert found[1] in line
    assert "estimated" not in before
    bill = judged.shown("bill", "issue", *MONTH)["content"]
    version = bill["readings_version"]
    assert (bill["worst_quality"], bill["estimated_permille"]) == ("E", 144)
    assert version >= 1 and any("14.4 %" in doubt for doubt in bill["doubts"])
    shown = text(judged, "show", bill["number"])
    assert WORDS["both"][1] in shown
    judged.shown("bill", "credit", bill["number"], *BY)
    assert {told(row) for row in rows(judged)} == {("E", "144", str(version))}


def test_a_bill_of_actual_readings_says_so_to_programs_alone(judged: Judged) -> None:
    billed(judged)
    judged.validate()
    bill = judged.shown("bill", "issue", *MONTH)["content"]
    assert (bill["worst_quality"], bill["estimated_permille"]) == ("A", 0)
    assert bill["readings_version"] == 0
    shown = text(judged, "show", bill["number"])
    assert "readings" not in shown and "读数" not in shown
    assert {told(row) for row in rows(judged)} == {("A", "0", "0")}


def test_the_worst_quality_is_told_and_what_is_not_validated_has_none(judged: Judged) -> None:
    billed(judged)
    draft = judged.shown("bill", "draft", *MONTH)
    assert (draft["worst_quality"], draft["estimated_permille"]) == ("", 0)
    judged.validate()
    judged.shown("review", "accept", judged.dispute(FIRST, FIRST), *BY)
    assert judged.shown("bill", "draft", *MONTH)["worst_quality"] == "V"
    judged.edit(FIRST + 1, 250)
    assert judged.shown("bill", "draft", *MONTH)["worst_quality"] == "M"
    shown = text(judged, "draft", *MONTH)
    assert "worst quality of readings 最差读数质量" in shown
    assert "M edited by a person 人工修改" in shown
    judged.edit(60 * DAY, 250)  # of March
    assert judged.shown("bill", "draft", *MONTH)["readings_version"] == 3


def test_one_short_estimate_is_never_rounded_to_none(judged: Judged) -> None:
    billed(judged)
    judged.validate()
    number = judged.dispute(FIRST, FIRST)
    judged.shown("review", "estimate", number, *BY)
    draft = judged.shown("bill", "draft", *MONTH)
    assert (draft["worst_quality"], draft["estimated_permille"]) == ("E", 1)


@pytest.mark.parametrize("lacking", [(), ("readings_version",)])
def test_an_older_bill_is_printed_and_exported_without_what_it_does_not_say(
    judged: Judged, lacking: tuple[str, ...]
) -> None:
    billed(judged)
    judged.validate()
    number = judged.shown("bill", "issue", *MONTH)["content"]["number"]
    issued = bills.of(judged.store).bill(number)
    assert issued is not None
    content = issued.told()
    for key in ("worst_quality", "estimated_permille", *lacking):
        del content[key]
    older = replace(issued, content=json.dumps(content))
    lines = "".join(bills_csv.written(of_store.bill_lines(judged.store, older))).splitlines()
    version = "" if lacking else "0"
    assert {told(row) for row in csv.DictReader(lines)} == {("", "", version)}
