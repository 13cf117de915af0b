"""A module takes over, and another one from it: three ledgers, one customer, one sum."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from host_tools import Refused
from host_tools.settlement import commands
from protocol import codes, ledger, tariff
from protocol.units import DAY_S, UNKNOWN_MODULE
from tests.host_tools.care.chain import LAST, Chain
from tests.host_tools.care.street import BOOK, CUR, NEW, OLD, RATES, begun, opened, paid, used
from tests.host_tools.test_month_edges import (
    JANUARY,
    JANUARY_S,
    LIVED,
    NOW_S,
    exact_sum,
    lines_of,
)
from tests.postgres import POSTGRESQL, SQLITE

YEARLY = tariff.Ladder(tariff.YEAR, 1, (20_000, 60_000), (0, 50_000, 300_000))
YEAR_BOOK = tariff.Book(6, "CNY", ((0, 28800),), ((0, RATES),), ((0, YEARLY),))
DEBT = [1, 9 * CUR, CUR, DAY_S]


@pytest.fixture(
    params=[(BOOK, SQLITE), (YEAR_BOOK, POSTGRESQL)], ids=["tiers a month", "tiers a year"]
)
def chain(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Chain]:
    book, database = request.param
    place = None
    if database == POSTGRESQL:
        place = request.getfixturevalue("postgres").address(tmp_path)
        monkeypatch.setenv("GRIDPURSE_STORE_URL", place.url)
    made = Chain(tmp_path, capsys, book, place)
    yield made
    made.store.close()


@pytest.mark.parametrize("seed", range(4))
def test_in_any_order_of_what_comes_late_the_last_ledger_agrees(chain: Chain, seed: int) -> None:
    chance = random.Random(seed)
    begun(chain, chance.randrange(1, 30))
    used(chain, OLD, chance.randrange(20), chance.randrange(900))
    paid(chain, OLD, chance.randrange(1, 20), "cash-2")
    opened(chain, chance.choice((3, 400, 90_000)), chance.randrange(600))
    chain.replace()
    used(chain, NEW, chance.randrange(20), chance.randrange(2000))
    chain.settle()
    chain.retire(OLD)
    used(chain, NEW, chance.randrange(40), chance.randrange(2000))
    paid(chain, NEW, chance.randrange(1, 20), "cash-3")
    if chance.random() < 0.5:
        chain.look()
    chain.opened_again(chance.choice((3, 400, 90_000)), chance.randrange(600))
    begin = chance.randrange(5)
    for step in range(8):
        if step == begin:
            chain.replace_again()
        used(chain, LAST, chance.randrange(4), chance.randrange(2000))
        if chance.random() < 0.4:
            behind = chain.new.state.seq - chain.new.sent_seq
            chain.new.send(chain.new.sent_seq + chance.randrange(behind + 1))
        if chance.random() < 0.5:
            chain.last.send()
        chain.look(*chance.choice(((), (NEW,), (LAST,))))
        if chance.random() < 0.5:
            chain.last.answer()
    chain.settle()
    chain.agreed_at_last()


def test_a_payment_that_moved_twice_is_credited_once(chain: Chain) -> None:
    begun(chain)
    paid(chain, OLD, 25, "cash-2")
    chain.look(NEW)  # the first one credits it, and is silent
    chain.replace()
    opened(chain)
    chain.hearing_only(NEW, codes.TRANSFER)
    chain.retire(OLD)
    used(chain, NEW, 5)
    chain.settle(NEW)
    chain.look()  # the second one credits it as well, and is silent
    chain.replace_again()
    chain.opened_again()
    chain.settle(NEW)
    chain.settle()
    chain.agreed_at_last()
    with pytest.raises(Refused, match="last-1/0 took over"):
        chain.pay(NEW, 25, "cash-2")
    chain.pay(LAST, 25, "cash-2")  # said again where it has gone: as before
    assert chain.look() == []


def test_what_the_first_module_still_says_behind_the_last_one_counts_for_nothing(
    chain: Chain,
) -> None:
    begun(chain)
    chain.replace()
    opened(chain)
    chain.settle()
    chain.retire(OLD)
    chain.replace_again()
    chain.opened_again()
    chain.settle()
    chain.old.charge(chain.old.state.register_wh + 900)
    chain.old.send()
    assert {row.reason for row in chain.store.intake.rejects(OLD)} == {UNKNOWN_MODULE}
    chain.settle()
    chain.agreed_at_last()


@pytest.mark.parametrize("heard", [False, True])
def test_a_debt_goes_through_a_module_that_may_not_have_heard_of_it(
    chain: Chain, heard: bool
) -> None:
    begun(chain)
    with chain.store.transaction():
        commands.issue(chain.store, OLD, 0, codes.DEBT, DEBT, chain.desk.clock.s, DAY_S)
    chain.settle(NEW)
    chain.old.tell(codes.DEBT_LEFT, 1, 9 * CUR)
    chain.replace()
    opened(chain)
    chain.hearing_only(NEW, codes.TRANSFER)
    chain.retire(OLD)
    left_ncur = 9 * CUR
    if heard:
        chain.settle()
        chain.new.tell(codes.DEBT_LEFT, 1, 9 * CUR)
        left_ncur -= 3 * CUR
        for made in (chain.new.ledger, chain.truth):
            at_s = chain.new.state.time_s + 9
            made.enter(ledger.recovered(made.state, at_s, 0, 1, 3 * CUR))
        chain.new.send()
    chain.replace_again()
    chain.opened_again()
    chain.settle()
    (order,) = chain.ordered(LAST, 0, codes.DEBT)
    assert commands.args_of(order.args) == [1, left_ncur, *DEBT[2:]]
    chain.agreed_at_last()


def lived(folder: Path, capsys: pytest.CaptureFixture[str], early: bool) -> Chain:
    """January of three modules by a tariff with terms of the host, and February of the last."""
    chain = Chain.under(folder, capsys, LIVED, NOW_S)
    days = (0, 10, 20, 60)
    for place, module in enumerate((chain.old, chain.new, chain.last)):
        noon_s = JANUARY_S + days[place] * DAY_S - DAY_S // 2
        register_wh = chain.modules[(OLD, OLD, NEW)[place]].state.register_wh
        module.open(noon_s + 3600 if place else JANUARY_S + 3600, register_wh or 50_000)
        module.send()
        if place == 1:
            chain.replace()
        elif place == 2:
            chain.settle()
            chain.retire(OLD)
            chain.replace_again()
        chain.settle()
        if early and place == 1:
            lines_of(chain, OLD)  # before its month is over
        for day in range(days[place] + (place == 0), days[place + 1]):
            module.charge(module.state.register_wh + 10_000, JANUARY_S + day * DAY_S)
        if place < 2:
            noon_s = JANUARY_S + days[place + 1] * DAY_S - DAY_S // 2
            module.charge(module.state.register_wh + 5_000, noon_s)
        module.send()
    chain.settle()
    return chain


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("order", [(OLD, NEW, LAST), (LAST, OLD, NEW)])
def test_the_bills_of_three_modules_add_up_to_one_month(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], order: tuple[str, ...], early: bool
) -> None:
    chain = lived(tmp_path, capsys, early)
    found = []
    for module in order:
        found.append(lines_of(chain, module))
        chain.settle()
    lines_of(chain, LAST, "2026-02")
    chain.settle()
    for name, quantity in (("fixed", 31), ("service", 31), ("minimum", 1)):
        assert sum(each[name][0] for each in found) == quantity
    months = [(module, "2026-01") for module in order]
    charged_ncur = exact_sum(chain, *months, (LAST, "2026-02"))
    march_ncur = 2 * CUR  # 1 March's, which midnight began
    assert chain.last.state.balance_ncur == chain.balance(LAST) == -charged_ncur - march_ncur
    for module in order:
        assert chain.done("bill", "close", module, 0, *JANUARY)["entered"] == []
    assert chain.store.ledgers.accounts()["CNY", "adjustments"] == chain.transit() == 0
    chain.sound()
