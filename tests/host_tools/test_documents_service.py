"""Closing a month and adopting a statement while `gridpurse settle` runs, over a real broker."""

import json
from contextlib import closing as closing_store
from pathlib import Path

from host_tools import tariffs
from host_tools.backup import archive
from host_tools.config import StoreAddress
from host_tools.store.database import open_store
from protocol import codes, ledger
from protocol.messages import Command
from protocol.units import SYNCHRONISED
from tests.host_tools.desk import NOW_S, Yard
from tests.host_tools.genuine import PointLedger, Settle, by_deadline
from tests.host_tools.test_closing import CUR, JANUARY_S, TERMS


def point_of(settle: Settle, number: int = 0) -> dict[str, object]:
    points = settle.reconcile()["points"]
    assert isinstance(points, list)
    return dict(points[number])


def test_a_point_goes_on_behind_lost_records_while_the_service_runs(
    yard: Yard, tmp_path: Path
) -> None:
    made = yard.ledger
    made.open()
    for _ in range(5):
        made.charge(250)
    yard.radio.send(made.batch(1, 6))
    by_deadline(lambda: yard.radio.settled(0) == 6, "settled before the backup")
    archive.take(StoreAddress(yard.data), tmp_path / "backup", NOW_S)
    for _ in range(3):
        made.charge(250)
    yard.radio.send(made.batch(7, 3))
    by_deadline(lambda: yard.radio.settled(0) == 9, "settled after the backup")
    yard.settle.end()
    new = tmp_path / "new"
    archive.restore(tmp_path / "backup", StoreAddress(new), NOW_S)
    yard.data.joinpath("keys").rename(new / "keys")
    settle = Settle(new, yard.broker.address, NOW_S)
    try:
        settle.start()
        yard.radio.heard.clear()
        yard.radio.send(made.statement())
        made.charge(100)
        yard.radio.send(made.batch(10, 1))
        by_deadline(lambda: settle.reconcile()["differences"], "the gap is told")
        words = ("adopt", "m1", "0", "--from-statement", "--who", "Li Na", "--why", "ticket 7")
        done = settle.command(*words)
        assert done.returncode == 0 and "records 7 to 9 lost" in done.stdout, done.stderr
        made.charge(110)
        yard.radio.send(made.batch(11, 1))
        yard.radio.send(made.statement())
        by_deadline(lambda: yard.radio.settled(0) == 11, "goes on")
        by_deadline(lambda: point_of(settle)["reconciled"], "reconciled")
        assert point_of(settle)["balance_host_ncur"] == made.state.balance_ncur
        assert point_of(settle)["energy_wh"] == made.state.register_wh - 1000
        words = ("bill", "resume", "R-2026-000000", "--by", "Li Na", "--reason", "none yet")
        assert settle.command(*words).returncode == 0
        paid = settle.command("topup", "m1", "0", "5", "--reference", "cash-1")
        assert paid.returncode == 0 and "top-up 2 of m1/0" in paid.stdout, paid.stderr
        sound = settle.command("verify", str(new))
        assert sound.returncode == 0, sound.stdout
    finally:
        settle.end()


def test_a_month_is_closed_while_the_service_runs_and_module_and_host_agree(yard: Yard) -> None:
    path = yard.data / "terms.toml"
    path.write_text(TERMS, encoding="utf-8")
    assert yard.settle.command("tariff", "add", str(path)).returncode == 0
    words = ("tariff", "assign", "502", "m1/0", "--by", "Li Na", "--reason", "contract")
    assert yard.settle.command(*words).returncode == 0
    with closing_store(open_store(yard.data)) as store, store.transaction():
        point = store.fleet.point_known("m1", 0)
        store.fleet.assign(point.id, 502, 1)  # it has been in force since before the readings
    made = PointLedger("m1", 0, tariffs.read_book(path))
    made.open(JANUARY_S)
    for day in range(1, 32):
        register_wh = made.state.register_wh + 10_000
        at_s = JANUARY_S + day * 86400
        made.enter(ledger.charge(made.state, made.book, at_s, SYNCHRONISED, register_wh))
    yard.radio.send(made.batch(1, 32))
    by_deadline(lambda: yard.radio.settled(0) == 32, "the month is settled")
    yard.radio.send(yard.sender.result(1, 1))  # the tariff of its enrolment
    for _ in range(2):
        done = yard.settle.command("bill", "close", "m1", "0", "--month", "2026-01", "--json")
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["entered"] == []

    def orders() -> list[Command]:
        heard = [item for item in yard.radio.heard if isinstance(item, Command)]
        return [item for item in heard if item.action == codes.ADJUST]

    by_deadline(orders, "the adjustment reaches the module")
    order = orders()[0]
    reason, amount_ncur = order.args
    made.enter(
        ledger.adjusted(
            made.state, made.state.time_s + 60, SYNCHRONISED, order.id, reason, amount_ncur
        )
    )
    yard.radio.send(made.batch(33, 1))
    yard.radio.send(made.statement())
    by_deadline(lambda: yard.radio.settled(0) == 33, "the adjustment is settled")
    by_deadline(lambda: point_of(yard.settle)["balance_module_ncur"] is not None, "stated")
    assert made.state.balance_ncur == -21576 * CUR // 100
    assert point_of(yard.settle)["balance_host_ncur"] == made.state.balance_ncur
    assert {item.id for item in orders()} == {order.id}
    issued = yard.settle.command("bill", "issue", "m1", "0", "--month", "2026-01", "--json")
    assert json.loads(issued.stdout)["content"]["bill"]["printed_ncur"] == 21576 * CUR // 100
