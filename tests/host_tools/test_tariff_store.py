"""Tariff files in the store: kept once by version, final, and given to points from a date."""

import json
from pathlib import Path

import pytest

from host_tools import cli
from host_tools.store import tariff_files
from host_tools.tariffs import stored
from protocol import codes
from protocol.units import DAY_S
from tests.host_tools.bills import FILES
from tests.host_tools.desk import BOOK, NOW_S, Desk
from tests.host_tools.ordering.orderly import Orderly

BEIJING = FILES / "cn-bj-2012.toml"
NEXT = """
version = 501
name = "Beijing, dearer from May"
origin = "made up"
currency = "CNY"
zone = "Asia/Shanghai"
[[set]]
tiers_kwh = [240, 400]
adders = ["0", "0.05", "0.30"]
prices = { flat = "0.4883" }
[[set]]
from = 2026-05-01
tiers_kwh = [240, 400]
adders = ["0", "0.05", "0.30"]
prices = { flat = "0.5000" }
"""


@pytest.fixture
def orderly(desk: Desk, capsys: pytest.CaptureFixture[str]) -> Orderly:
    return Orderly(desk, capsys)


def written(folder: Path, text: str, name: str = "next.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_is_kept_once_and_tells_what_its_book_cannot(orderly: Orderly) -> None:
    code, out, _ = orderly.run("tariff", "add", BEIJING)
    assert code == 0 and "added 已入库" in out
    code, out, _ = orderly.run("tariff", "add", BEIJING, "--json")
    (again,) = json.loads(out)
    assert (again["version"], again["new"]) == (1, False)
    store = orderly.desk.store
    document = stored.document(store, 1)
    assert document is not None and document.book == BOOK
    assert document.terms[0][1].rate_names == ("flat",)
    code, out, _ = orderly.run("tariff", "show", 1)
    assert out == BEIJING.read_text(encoding="utf-8")
    code, out, _ = orderly.run("tariff", "list", "--json")
    (row,) = json.loads(out)
    assert (row["version"], row["points"], len(row["sha256"])) == (1, 2, 64)


def test_a_stored_file_is_final(orderly: Orderly) -> None:
    orderly.run("tariff", "add", BEIJING)
    text = BEIJING.read_text(encoding="utf-8")
    folder = orderly.desk.folder
    same = written(folder, text + "\n# a remark\n")
    assert orderly.run("tariff", "add", same)[0] == 0
    other = written(folder, text.replace("0.4883", "0.4884"))
    code, _, err = orderly.run("tariff", "add", other)
    assert code == 2 and err.count("\n") == 1
    assert "version 1 is another tariff already" in err and "raise `version`" in err
    kept = tariff_files.of(orderly.desk.store).file(1)
    assert kept is not None and kept.text == text
    for sql in ("UPDATE tariff_documents SET text = ''", "DELETE FROM tariff_documents"):
        with pytest.raises(Exception, match="final"):
            orderly.desk.store._connection.execute(sql)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["add", "no.toml"], "no.toml: no such file"),
        (["show", "9"], "tariff version 9: is not in the store"),
        (["assign", "9", "m1/0", "--by", "x", "--reason", "y"], "version 9: is not in the store"),
        (["assign", "1", "m1/0", "--by", "x", "--reason", "y"], "m1/0: has version 1, a module"),
        (["assign", "1", "m1", "--by", "x", "--reason", "y"], "m1: write a point as MODULE/POINT"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line(orderly: Orderly, words: list[str], line: str) -> None:
    orderly.run("tariff", "add", BEIJING)
    code, _, err = orderly.run("tariff", *words)
    assert code == 2 and line in err and err.count("\n") == 1


def test_a_version_is_given_to_points_and_switches_by_its_own_date(orderly: Orderly) -> None:
    desk = orderly.desk
    path = written(desk.folder, NEXT)
    orderly.run("tariff", "add", path)
    words = ("assign", 501, "m1/0", "m1/1", "--by", "Li Na", "--reason", "decree 5")
    code, _, err = orderly.run("tariff", *words, "--from", "2026-06-01")
    assert code == 2 and "has no set from that date" in err
    code, out, err = orderly.run("tariff", *words, "--from", "2026-05-01")
    assert code == 0, err
    assert "m1/0" in out and "by its set from 自 2026-05-01" in out
    sent = [command for command in orderly.sent() if command.action == codes.TARIFF]
    for number in (0, 1):
        point = desk.store.fleet.point_known("m1", number)
        assert desk.store.fleet.assigned(point.id, desk.clock.s) == 501
    assert [command.target for command in sent] == [0, 1]
    rows = orderly.listed("--open")
    assert {(row["who"], row["why"]) for row in rows} == {("Li Na", "decree 5")}


def test_nothing_may_change_before_its_date(orderly: Orderly) -> None:
    path = written(orderly.desk.folder, NEXT.replace('"0.4883"', '"0.4884"'))
    orderly.run("tariff", "add", path)
    words = ("assign", 501, "m1/0", "--by", "x", "--reason", "y", "--from", "2026-05-01")
    code, _, err = orderly.run("tariff", *words)
    assert code == 2 and "changes something before 2026-05-01" in err


AHEAD_S = 400 * DAY_S


def of_version(orderly: Orderly, version: int, price: str, ahead_s: int = 0) -> tuple[str, ...]:
    """Adds NEXT as another version at another price until May; the words that assign it."""
    text = NEXT.replace("501", str(version)).replace("0.4883", price)
    orderly.desk.clock.s += ahead_s
    orderly.run("tariff", "add", written(orderly.desk.folder, text, f"{version}.toml"))
    return ("tariff", "assign", str(version), "m1/0", "--by", "Li Na", "--reason", "decree 5")


def test_a_version_that_was_given_under_a_clock_that_was_ahead_is_not_gone_behind(
    orderly: Orderly,
) -> None:
    """A module that has it takes no older one: it would go on charging by the newer for ever."""
    desk = orderly.desk
    newer = of_version(orderly, 502, "0.4900", AHEAD_S)
    assert orderly.run(*newer)[0] == 0
    desk.clock.s -= AHEAD_S
    code, _, err = orderly.run(*of_version(orderly, 501, "0.4883"))
    assert code == 2 and err.count("\n") == 1
    assert "m1/0: has version 502, a module takes newer ones only; raise `version`" in err
    assert "模块只接受更高的版本" in err
    assert orderly.run(*of_version(orderly, 503, "0.4883"))[0] == 0
    with desk.store.transaction():
        desk.store.fleet.restated()
        point = desk.store.fleet.point_known("m1", 0)
        assert desk.store.fleet.assigned(point.id, desk.clock.s + 2 * AHEAD_S) == 503
    assert orderly.run("verify")[0] == 0


@pytest.mark.parametrize(("price", "code"), [("0.4900", 0), ("0.4883", 2)])
def test_nothing_changes_against_what_a_module_was_given_last(
    orderly: Orderly, price: str, code: int
) -> None:
    """Which is 0.49, though by a clock that was ahead it is not in force yet."""
    assert orderly.run(*of_version(orderly, 502, "0.4900", AHEAD_S))[0] == 0
    orderly.desk.clock.s -= AHEAD_S
    words = of_version(orderly, 503, price)
    found, _, err = orderly.run(*words, "--from", "2026-05-01")
    assert found == code, err
    assert code == 0 or "changes something before 2026-05-01" in err


def test_enrolling_and_ordering_keep_the_file_too(
    tmp_path: Path, orderly: Orderly, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = orderly.desk
    path = written(desk.folder, NEXT)
    orderly.order("tariff", "m1", 0, path)
    assert stored.document(desk.store, 501) is not None
    data = ["--data", str(tmp_path / "other")]
    assert (
        cli.main(["modules", "--add", "m9", "--point", "0=A", "--tariff", str(path), *data]) == 0
    )
    assert cli.main(["modules", "--add", "m8", "--point", "0=A", "--tariff", "501", *data]) == 0
    assert cli.main(["modules", "--add", "m7", "--point", "0=A", "--tariff", "77", *data]) == 2
    assert "tariff version 77: is not in the store" in capsys.readouterr().err


def test_a_book_without_its_file_takes_the_file_later(desk: Desk) -> None:
    assert stored.document(desk.store, 1) is None
    with desk.store.transaction():
        assert stored.add(desk.store, BEIJING, NOW_S).new
    assert stored.document(desk.store, 1) is not None
