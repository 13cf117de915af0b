"""Closing and issuing are killed at any instant, run side by side and run again: all is once."""

import signal
import subprocess
import sys
from random import Random

from host_tools.backup import check
from host_tools.settlement.transport import Delivery
from host_tools.store import bills, host_entries
from host_tools.tariffs import stored
from protocol import codes, ledger, topics
from protocol.units import SYNCHRONISED
from tests.host_tools.desk import NOW_S, Desk, enrolled
from tests.host_tools.genuine import HANG_S, ROOT, PointLedger
from tests.host_tools.test_closing import JANUARY_S, TERMS

MODULES = 12
ISSUE_ALL = """
from pathlib import Path
from host_tools.billing import issuing
from host_tools.billing.documents import Documents
from host_tools.store.database import open_store
store = open_store(Path({folder!r}))
documents = Documents(store)
for place in store.fleet.points():
    issuing.issue(store, place, documents, 2026, 1, "GP", {now_s})
"""


def fleet(desk: Desk) -> int:
    """Two points a module, whose January is settled; how many."""
    path = desk.folder / "terms.toml"
    path.write_text(TERMS, encoding="utf-8")
    with desk.store.transaction():
        version = stored.add(desk.store, path, JANUARY_S).version
    book = desk.store.fleet.book(version)
    assert book is not None
    senders = [desk.sender]
    senders += [enrolled(desk.store, desk.folder, f"n{number}") for number in range(1, MODULES)]
    for sender in senders:
        with desk.store.transaction():
            for point in desk.store.fleet.points(sender.module):
                desk.store.fleet.assign(point.id, version, 1)
        for number in (0, 1):
            made = PointLedger(sender.module, number, book)
            made.open(JANUARY_S)
            for day in range(1, 32):
                register_wh = made.state.register_wh + 10_000
                at_s = JANUARY_S + day * 86400
                made.enter(ledger.charge(made.state, book, at_s, SYNCHRONISED, register_wh))
            data = sender.seal(made.batch(1, 32))
            desk.consumer.consume([Delivery(topics.up(0, sender.module), data, (0, 1, 1))])
    points = desk.store.fleet.points()
    assert all(point.state.seq == 32 for point in points)
    return len(points)


def killed(words: list[str], after_s: float) -> bool:
    """Runs a program and kills it after a time; False when it was quicker."""
    child = subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        child.wait(after_s)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
        child.communicate()
        return True
    _, err = child.communicate()
    assert child.returncode == 0, err
    return False


def test_closings_and_issues_that_are_killed_enter_and_number_everything_once(
    desk: Desk,
) -> None:
    count = fleet(desk)
    dice = Random(7)
    now_s = NOW_S
    close = ["-m", "host_tools.cli", "bill", "close", "--month", "2026-01"]
    close += ["--data", str(desk.folder)]
    issue = ["-c", ISSUE_ALL.format(folder=str(desk.folder), now_s=now_s)]
    for words in (close, issue):
        for _ in range(4):
            killed(words, dice.uniform(0.3, 1.5))
        beside = subprocess.Popen(
            [sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert not killed(words, HANG_S)
        _, err = beside.communicate(timeout=HANG_S)
        assert beside.returncode == 0, err
    store = desk.store
    for point in store.fleet.points():
        entered = host_entries.of(store).all(point.id)
        assert [each.rule for each in entered] == ["per_kwh wheeling", "percent duty"]
        orders = store.payments.commands(point.module)
        (order,) = [
            each for each in orders if (each.target, each.action) == (point.point, codes.ADJUST)
        ]
        assert {each.command_id for each in entered} == {order.id}
    places = [each.number for each in bills.of(store).bills()]
    assert places == [f"GP-2026-{number:06d}" for number in range(1, count + 1)]
    assert check.check(store._database).findings == []
