"""Two modules and one meter at a desk: what they write is genuine, what is lost or late is chosen.

`Module` applies orders as the firmware does; a third ledger, which metered all along, says what
the customer owes.
"""

import json
from pathlib import Path
from typing import Any, Self

import pytest

from host_tools import cli, tariffs
from host_tools.backup import archive, check
from host_tools.care import replace
from host_tools.care.people import Person
from host_tools.config import StoreAddress
from host_tools.keys import KeyFiles
from host_tools.settlement import commands, enrol, posting, reconcile
from host_tools.settlement.consumer import Consumer
from host_tools.settlement.tenancy import Tenancy
from host_tools.store.database import Store, open_store
from host_tools.store.records import Order
from host_tools.tariffs import stored
from protocol import codes, ledger, messages, reading, tariff, topics, topup
from protocol.messages import Command, Result
from protocol.units import NCUR_PER_CUR, SYNCHRONISED
from tests.host_tools.desk import NOW_S, Desk
from tests.host_tools.genuine import PointLedger, Sender

CUR = NCUR_PER_CUR
PERSON = Person("Li Na", "work order 7")
OLD, NEW = "old-1", "new-1"
SLOTS = ((0, 1), (480, 0), (1320, 1))
RATES = tariff.Rates(((600_000, 300_000),), 2 * CUR, ((101, 0),), (0,) * 7, (), ((SLOTS,),))
LADDER = tariff.Ladder(tariff.MONTH, 1, (6_000, 12_000), (0, 50_000, 300_000))
BOOK = tariff.Book(5, "CNY", ((0, 28800),), ((0, RATES),), ((0, LADDER),))
JANUARY_S = 1_767_225_600 - 8 * 3600  # 2026-01-01 in China
OPENED_S = JANUARY_S + 15 * 3600  # at three in the afternoon


class Module:
    """A module's point 0: its ledger, what of it the host has not, and the orders it obeyed."""

    def __init__(self, desk: Desk, name: str, book: tariff.Book) -> None:
        self.book = book
        points = [enrol.NewPoint(0, "Flat", "test", self.book)]
        keys = KeyFiles(desk.folder / "keys")
        key = enrol.enrol(desk.store, keys, name, 0, points, OPENED_S)
        self.desk, self.name = desk, name
        self.sender = Sender(name, key)
        self.ledger = PointLedger(name, 0, self.book)
        self.sent_seq = 0
        self.seen: set[int] = set()
        self.answers: list[tuple[int, int]] = []
        self.told = 0

    @property
    def state(self) -> ledger.State:
        return self.ledger.state

    def open(self, at_s: int, register_wh: int) -> None:
        self.ledger.open(at_s, register_wh)

    def charge(self, register_wh: int, at_s: int | None = None) -> None:
        """Up to the next quarter of an hour, or an instant; with the days that have begun."""
        state = self.state
        time_s = reading.next_boundary_s(state.time_s) if at_s is None else at_s
        self.ledger.enter(ledger.charge(state, self.book, time_s, SYNCHRONISED, register_wh))
        for day in range(*ledger.fixed_days_due(self.state, self.book, time_s)):
            self.ledger.enter(ledger.fixed(self.state, self.book, SYNCHRONISED, day))

    def hear(self, order: Command) -> None:
        """As firmware/commands.py: applied once, answered each time."""
        status = codes.ALREADY
        if order.id not in self.seen:
            status = self._obey(order)
        if status == codes.DONE:
            self.seen.add(order.id)
        self.answers.append((order.id, status))

    def _obey(self, order: Command) -> int:
        state = self.state
        at_s = state.time_s + 5
        if order.action == codes.TOPUP:
            number, _, amount_ncur = order.args
            if topup.check(state.mark, number) != topup.FRESH:
                return codes.ALREADY
            self.ledger.enter(ledger.topped_up(state, at_s, 0, number, 1, amount_ncur))
        elif order.action == codes.TRANSFER:
            amount_ncur, period, more_wh = order.args
            if not state.version:
                return codes.REFUSED_FIELD
            position = tariff.Position(state.period, state.used_wh)
            now = tariff.position_at(self.book, position, state.time_s)
            used_wh = now.used_wh + (more_wh if period == now.period else 0)
            what = (order.id, amount_ncur, max(0, used_wh))
            self.ledger.enter(ledger.transferred(state, self.book, at_s, SYNCHRONISED, *what))
        elif order.action == codes.ADJUST:
            reason, amount_ncur = order.args
            what = (at_s, SYNCHRONISED, order.id, reason, amount_ncur)
            self.ledger.enter(ledger.adjusted(state, *what))
        return codes.DONE

    def send(self, upto: int | None = None) -> None:
        """Entries that the host has not, one a batch; then a statement."""
        last = self.state.seq if upto is None else upto
        while self.sent_seq < last:
            self.sent_seq += 1
            self._say(self.ledger.batch(self.sent_seq, 1))
        if last == self.state.seq and last:
            self._say(self.ledger.statement())

    def answer(self) -> None:
        for command_id, status in self.answers:
            self.told += 1
            at_s = self.state.time_s
            self._say(Result(1, self.told, at_s, SYNCHRONISED, command_id, status, 0))
        self.answers.clear()

    def tell(self, code: int, *args: int) -> None:
        self.told += 1
        item = [self.state.time_s, SYNCHRONISED, code, 0, list(args)]
        self._say(self.sender.events(self.told, item))

    def _say(self, message: tuple[object, ...]) -> None:
        topic = topics.up(0, self.name)
        self.desk.take(self.sender.seal(message), topic=topic)


class Street:
    """The old and the new module, their host, and the ledger that metered all along."""

    def __init__(
        self,
        folder: Path,
        capsys: pytest.CaptureFixture[str],
        book: tariff.Book = BOOK,
        place: StoreAddress | None = None,
    ) -> None:
        self.book = book
        self.desk = Desk(folder, place)
        self._capsys = capsys
        self.old, self.new = (Module(self.desk, name, book) for name in (OLD, NEW))
        self.modules = {OLD: self.old, NEW: self.new}
        self.truth = PointLedger("truth", 0, book)

    @classmethod
    def under(
        cls,
        folder: Path,
        capsys: pytest.CaptureFixture[str],
        text: str,
        now_s: int = NOW_S,
    ) -> Self:
        """One whose tariff is a file that its store has; its data lies in a folder of its own."""
        path = folder / "tariff.toml"
        path.write_text(text, encoding="utf-8")
        (folder / "data").mkdir()
        made = cls(folder / "data", capsys, tariffs.read_book(path))
        made.desk.clock.s = now_s
        with made.store.transaction():
            stored.add(made.store, path, JANUARY_S)
        return made

    def back_to(self, file: Path, folder: Path) -> None:
        """The store is the one of a backup; keys and modules stay."""
        desk = self.desk
        archive.restore(file, StoreAddress(folder), desk.clock.s)
        desk.folder.joinpath("keys").rename(folder / "keys")
        desk.store.close()
        desk.folder, desk.place = folder, StoreAddress(folder)
        desk.store = open_store(folder)
        desk.tenancy = Tenancy(desk.store, desk.clock, "other", (0,))
        desk.tenancy.look()
        keys = KeyFiles(folder / "keys")
        desk.consumer = Consumer(desk.store, keys, desk.clock, desk.transport, desk.tenancy)

    @property
    def store(self) -> Store:
        return self.desk.store

    def run(self, *words: object) -> tuple[int, str, str]:
        """A sub-command on the store, at the desk's time: exit code, output, error."""
        clock = self.desk.folder / "clock"
        clock.write_bytes((self.desk.clock.s * 1000).to_bytes(8, "little"))
        where = ["--data", str(self.desk.folder), "--clock", str(clock)]
        code = cli.main([*map(str, words), *where])
        out = self._capsys.readouterr()
        return code, out.out, out.err

    def done(self, *words: object) -> Any:
        """What a sub-command that has to succeed says as JSON."""
        code, out, err = self.run(*words, "--json")
        assert code == 0, err
        return json.loads(out)

    def rows(self, name: str) -> list[object]:
        """All rows of a table, but for how often something was sent."""
        found = self.store._connection.execute(f"SELECT module, id, state FROM {name}")
        return list(found.fetchall())

    def refused(self, *words: object) -> str:
        code, _, err = self.run(*words)
        assert code == 2 and err.count("\n") == 1, err
        return err

    def pay(self, module: str, amount_cur: int, reference: str) -> None:
        with self.store.transaction():
            point = self.store.fleet.point_known(module, 0)
            now_s = self.desk.clock.s
            commands.pay(self.store, point, reference, amount_cur * CUR, now_s)

    def replace(self, meters: dict[int, replace.Meters] | None = None) -> None:
        with self.store.transaction():
            now_s = self.desk.clock.s
            replace.take_over(self.store, OLD, NEW, meters or {}, PERSON, now_s)

    def look(self, *deaf: str) -> list[Command]:
        """Settlement's look, and the modules hear what it sends, but for the deaf ones."""
        self.desk.clock.ms += 4_000_000
        self.desk.consumer.send_due()
        heard = []
        for topic, data, _ in self.desk.transport.published:
            module = self.modules.get(topics.parse(topic).module)
            if module is None or module.name in deaf:
                continue
            message = messages.unseal(data, module.sender.down, True)
            if isinstance(message, Command):
                module.hear(message)
                heard.append(message)
        self.desk.transport.published.clear()
        return heard

    def settle(self, *silent: str) -> None:
        """Until nothing moves any more."""
        for _ in range(6):
            self.look(*silent)
            for name, module in self.modules.items():
                if name not in silent:
                    module.send()
                    module.answer()

    # what must be so

    def balance(self, module: str) -> int:
        return int(self.store.fleet.point_known(module, 0).state.balance_ncur)

    def transit(self) -> int:
        return self.store.ledgers.accounts().get(("CNY", posting.TRANSFER), 0)

    def owned(self, module: str) -> int:
        """What the host's books say the customer has there."""
        point = self.store.fleet.point_known(module, 0)
        return -self.store.ledgers.account_by_point(posting.CUSTOMER).get(point.id, 0)

    def ordered(self, module: str, target: int, action: int) -> list[Order]:
        """All commands of one action to a point, whatever became of them."""
        orders = self.store.payments.commands(module)
        return [each for each in orders if (each.target, each.action) == (target, action)]

    def sound(self) -> None:
        """As `gridpurse reconcile` and `gridpurse verify` see the books."""
        assert reconcile.trial_balance(self.store)
        found = [str(each) for each in check.check(self.store._database).findings]
        assert not found, repr(found)

    def agreed(self) -> None:
        """The new ledger is the one that metered all along; nothing is left or on its way."""
        assert self.balance(NEW) == self.new.state.balance_ncur == self.owned(NEW)
        assert self.balance(NEW) == self.truth.state.balance_ncur
        should = tariff.Position(self.truth.state.period, self.truth.state.used_wh)
        assert (self.new.state.period, self.new.state.used_wh) == tuple(should)
        assert self.owned(OLD) == 0 and self.transit() == 0
        self.sound()
        for module in (OLD, NEW):
            (row,) = reconcile.reconcile(self.store, self.desk.clock.s, module)
            assert row.reconciled and not row.in_flight, row


def used(street: Street, module: str, quarters: int, energy_wh: int = 700) -> None:
    """The meter goes on under a module, and in the ledger that metered all along."""
    metering = street.modules[module]
    for _ in range(quarters):
        register_wh = metering.state.register_wh + energy_wh
        metering.charge(register_wh)
        alike(street, metering.state.time_s, energy_wh)


def alike(street: Street, at_s: int, energy_wh: int) -> None:
    """So much energy up to an instant, and the days that have begun."""
    truth = street.truth
    register_wh = truth.state.register_wh + energy_wh
    truth.enter(ledger.charge(truth.state, street.book, at_s, SYNCHRONISED, register_wh))
    for day in range(*ledger.fixed_days_due(truth.state, street.book, at_s)):
        truth.enter(ledger.fixed(truth.state, street.book, SYNCHRONISED, day))


def paid(street: Street, module: str, amount_cur: int, reference: str) -> None:
    street.pay(module, amount_cur, reference)
    truth = street.truth
    number = truth.state.mark.highest + 1 | 1
    what = (truth.state.time_s + 5, 0, number + 1, 1, amount_cur * CUR)
    truth.enter(ledger.topped_up(truth.state, *what))


def begun(street: Street, quarters: int = 8, register_wh: int = 50_000) -> None:
    """The old module in service with a balance."""
    street.old.open(OPENED_S, register_wh)
    street.truth.open(OPENED_S, register_wh)
    paid(street, OLD, 40, "cash-1")
    street.settle(NEW)
    used(street, OLD, quarters)
    street.old.send()


def opened(street: Street, gap_s: int = 700, gap_wh: int = 210) -> None:
    """The new module begins at the same meter, a while and some energy later."""
    at_s = street.old.state.time_s + gap_s
    register_wh = street.old.state.register_wh + gap_wh
    street.new.open(at_s, register_wh)
    alike(street, at_s, gap_wh)
