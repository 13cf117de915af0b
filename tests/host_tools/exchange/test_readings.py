"""`gridpurse readings` from the command line: check, import and export of files."""

import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from host_tools import Refused, cli
from host_tools.exchange import meter_file, obis, readings_csv
from host_tools.exchange.records import Record, of_intervals, of_registers
from tests.host_tools.validation import corpus

METER = """
usage_point = "CN-1"
device = "gp-1"
meter = "M-1"
zone = "Asia/Shanghai"
range_wh = 100_000_000
previous_daily_wh = 9800
"""
Command = Callable[..., tuple[int, str, str]]


def month() -> list[Record]:
    good = corpus.good_month()
    return [
        *of_intervals("CN-1", obis.IMPORT, good.intervals),
        *of_registers("CN-1", good.registers),
    ]


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `gridpurse readings` in a folder with meter.toml and good.csv."""
    (tmp_path / "meter.toml").write_text(METER)
    (tmp_path / "good.csv").write_text(
        "".join(readings_csv.written(month(), corpus.SHANGHAI)), newline=""
    )

    def run(action: str, source: str, *more: str) -> tuple[int, str, str]:
        words = ["readings", action, str(tmp_path / source), *more]
        if "--meter" not in more:
            words += ["--meter", str(tmp_path / "meter.toml")]
        code = cli.main([word.replace("TMP", str(tmp_path)) for word in words])
        out = capsys.readouterr()
        return code, out.out, out.err

    return run


def rewrite(folder: Path, rows: list[Record], extra: str = "") -> None:
    text = "".join(readings_csv.written(rows, corpus.SHANGHAI)) + extra
    (folder / "bad.csv").write_text(text, newline="")


def test_a_clean_month_is_billable_and_says_what_could_not_run(command: Command) -> None:
    code, out, err = command("check", "good.csv")
    assert (code, err) == (0, "")
    assert "2880 intervals 时段 (A 2880)" in out and out.endswith("billable 可计费\n")
    assert "not run 未执行: V01 V03 V14" in out and "findings" not in out


def test_findings_and_refused_lines_are_told_in_both_languages(
    command: Command, tmp_path: Path
) -> None:
    rows = month()
    rows[40] = replace(rows[40], value=50_000)
    del rows[100:140]
    rewrite(tmp_path, rows, "nonsense\r\n")
    code, out, _ = command("check", "bad.csv")
    assert code == 1
    assert "refused lines 拒收行: 1" in out and "1 fields, not 9" in out
    assert "physical maximum 物理上限" in out and "hard 硬错误" in out and "estimate 估算" in out
    assert "50000 Wh > 4140 Wh" in out and "40 x 900 s" in out
    assert "(A 2839 E 41)" in out and "billable 可计费" in out


def test_an_import_writes_what_was_validated_and_the_balance_holds(
    command: Command, tmp_path: Path
) -> None:
    rows = month()
    whole_wh = sum(row.value for row in rows if not row.is_register())
    rows[40] = replace(rows[40], value=50_000)
    del rows[100:140]
    rewrite(tmp_path, rows)
    code, out, _ = command("import", "bad.csv", "--out", "TMP/new.csv", "--json")
    told = json.loads(out)
    assert code == 0 and told["billable"] and told["energy_wh"] == whole_wh
    with (tmp_path / "new.csv").open("rb") as stream:
        made = readings_csv.read(stream, "new.csv")
    assert made.refused == ()
    assert sum(row.value for row in made.records if not row.is_register()) == whole_wh
    assert sum(row.quality == "E" for row in made.records) == 41
    again, _, _ = command("import", "new.csv", "--out", "TMP/newer.csv")
    assert again == 0
    assert (tmp_path / "newer.csv").read_bytes() == (tmp_path / "new.csv").read_bytes()


def test_what_is_held_is_told_and_exits_with_one(command: Command, tmp_path: Path) -> None:
    rows = month()
    rows[-2] = replace(rows[-2], value=rows[-2].value + 5000)
    rewrite(tmp_path, rows)
    code, out, _ = command("check", "bad.csv")
    assert code == 1 and "held 挂起" in out and "NOT billable 不可计费" in out
    assert "sum check 总和核对" in out


def test_csv_to_green_button_and_back_is_the_same(command: Command, tmp_path: Path) -> None:
    assert command("export", "good.csv", "--format", "espi", "--out", "TMP/f.xml")[0] == 0
    assert command("export", "f.xml", "--out", "TMP/back.csv")[0] == 0
    with (tmp_path / "back.csv").open("rb") as stream:
        found = readings_csv.read(stream, "back.csv")
    assert sorted(found.records) == sorted(month())


def test_an_imported_estimate_of_somebody_else_is_not_made_anew(
    command: Command, tmp_path: Path
) -> None:
    rows = month()
    rows[40] = replace(rows[40], quality="E")
    rewrite(tmp_path, rows)
    _, out, _ = command("import", "bad.csv", "--out", "TMP/new.csv", "--json")
    assert json.loads(out)["quality"] == "E"
    with (tmp_path / "new.csv").open("rb") as stream:
        assert rows[40] in readings_csv.read(stream, "new.csv").records


def test_a_meter_exchange_of_the_file_gives_each_register_its_meter(
    command: Command, tmp_path: Path
) -> None:
    start_s = corpus.midnight_s(corpus.SHANGHAI, 2026, 6, 1)
    facts = replace(corpus.FACTS, zone=corpus.SHANGHAI)
    good = corpus.case_of(corpus.smooth(start_s, 4 * 96), start_s, facts, exchange_at=200)
    order = good.exchanges[0]
    (tmp_path / "meter.toml").write_text(
        METER
        + f"""[[exchange]]
        order = "WO-1"
        at = {readings_csv.utc(order.time_s)}
        old_meter = "M-1"
        old_end_wh = {order.old_end_wh}
        new_meter = "M-2"
        new_start_wh = {order.new_start_wh}
        """
    )
    rewrite(tmp_path, [*of_intervals("CN-1", obis.IMPORT, good.intervals),
                       *of_registers("CN-1", good.registers)])  # fmt: skip
    code, out, _ = command("check", "bad.csv", "--json")
    told = json.loads(out)
    assert code == 0 and told["findings"] == []
    plain = tmp_path / "plain.toml"
    plain.write_text(METER)
    code, out, _ = command("check", "bad.csv", "--json", "--meter", str(plain))
    assert code == 1 and {"V06", "V08"} <= {each["code"] for each in json.loads(out)["held"]}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("check", "none.csv"), "none.csv: No such file or directory"),
        (("check", "good.csv", "--out", "TMP/x"), "--out: name the file for import and export"),
        (("import", "good.csv"), "--out: name the file for import and export"),
        (("check", "meter.toml"), "meter.toml: line 1: the header must be usage_point,obis"),
        (("check", "broken.xml"), "broken.xml: not XML: "),
        (("check", "other.csv"), "usage_point CN-1 is not CN-2 of the readings; name the right"),
        (("export", "empty.csv", "--out", "TMP/x"), "no reading of CN-1 to export"),
        (("check", "empty.csv"), "empty.csv: no reading of 1-0:1.8.0*255; nothing to check"),
        (("import", "empty.csv", "--out", "TMP/x"), "no reading of 1-0:1.8.0*255"),
        (("check", "gbk.csv"), "; 2 lines refused 拒收, the first: line 2: not UTF-8; save the"),
        (("export", "gbk.csv", "--out", "TMP/x"), "to export; 2 lines refused 拒收, the first"),
        (
            ("check", "long.csv"),
            "long.csv: the readings span 3506400 intervals, at most 175680; split",
        ),
        (("check", "good.csv", "--meter", "TMP/none.toml"), "none.toml: no such file"),
        (("check", "good.csv", "--clock", "TMP/none"), "start the simulator"),
    ],
)
def test_a_wrong_call_is_one_line(
    command: Command, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    (tmp_path / "broken.xml").write_text("<feed")
    (tmp_path / "empty.csv").write_text(",".join(readings_csv.HEADER) + "\n")
    other = [Record("CN-2", obis.IMPORT, 0, 900, 1)]
    chinese = [replace(other[0], usage_point="电表一", start_s=start_s) for start_s in (0, 900)]
    text = "".join(readings_csv.written(chinese, corpus.SHANGHAI))
    (tmp_path / "gbk.csv").write_text(text, encoding="gbk")
    (tmp_path / "other.csv").write_text("".join(readings_csv.written(other, corpus.SHANGHAI)))
    far = [Record("CN-1", obis.IMPORT, day * 86_400, day * 86_400 + 900, 1) for day in (0, 36_524)]
    far[1] = replace(far[1], end_s=far[1].start_s + 86_400)
    (tmp_path / "long.csv").write_text("".join(readings_csv.written(far, corpus.SHANGHAI)))
    code, out, err = command(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not (tmp_path / "x").exists()


GOOD_METER = tomllib.loads(METER)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": None}, "m.toml: device: is missing; add it"),
        ({"device": 7}, "device: must be a text in quotes"),
        ({"zone": "Mars/Base"}, "zone: 'Mars/Base' is no zone"),
        ({"phases": 0}, "phases: must be a whole number from 1"),
        ({"phases": True}, "phases: must be a whole number from 1"),
        ({"step_s": 7000}, "step_s: a day must be a whole number of steps"),
        ({"import_only": 1}, "import_only: must be true or false"),
        ({"colour": "red"}, "m.toml: colour: is unknown; remove it"),
        ({"holidays": ["2026-10-01"]}, "holidays: must be dates such as 2026-10-01, without"),
        ({"limits": {"stuck": 1}}, "limits.stuck: is unknown"),
        ({"limits": 3}, "limits: must be a table, written"),
        ({"outage": {}}, "outage: must be a list"),
        ({"outage": [3]}, r"outage: write it as \[\[outage\]\]"),
        ({"outage": [{"from": 3, "to": 4}]}, r"outage\[0\].from: must be an instant"),
        ({"exchange": [{"order": "x"}]}, r"exchange\[0\].at: is missing"),
    ],
)
def test_a_mistake_in_a_meter_file_is_one_line_with_its_key(
    changes: dict[str, object], message: str
) -> None:
    document = {k: v for k, v in (GOOD_METER | changes).items() if v is not None}
    with pytest.raises(Refused, match=message):
        meter_file.meter_of(document, "m.toml")


def test_the_example_of_a_meter_file_is_a_good_one() -> None:
    text = (meter_file.__doc__ or "").split("\n\n")[1]
    made = meter_file.meter_of(tomllib.loads(text), "example")
    assert made.usage_point == "CN-330100-000123" and len(made.spans) == len(made.exchanges) == 1
    assert made.past.holidays and made.facts.lsb_wh == 10
