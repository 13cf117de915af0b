"""A street with a third module, which takes over from the second one."""

from pathlib import Path

import pytest

from host_tools.care import replace
from host_tools.config import StoreAddress
from host_tools.settlement import reconcile
from protocol import tariff
from tests.host_tools.care.street import NEW, OLD, PERSON, Module, Street, alike

LAST = "last-1"
RETIRE = ("--yes", "--by", "Li Na", "--reason", "work order 7")


class Chain(Street):
    """The truth goes on metering; the last module's ledger has to come to it."""

    def __init__(
        self,
        folder: Path,
        capsys: pytest.CaptureFixture[str],
        book: tariff.Book,
        place: StoreAddress | None = None,
    ) -> None:
        super().__init__(folder, capsys, book, place)
        self.last = self.modules[LAST] = Module(self.desk, LAST, book)

    def retire(self, name: str) -> None:
        self.done("module", "retire", name, *RETIRE)

    def replace_again(self) -> None:
        with self.store.transaction():
            replace.take_over(self.store, NEW, LAST, {}, PERSON, self.desk.clock.s)

    def opened_again(self, gap_s: int = 700, gap_wh: int = 210) -> None:
        at_s = self.new.state.time_s + gap_s
        self.last.open(at_s, self.new.state.register_wh + gap_wh)
        alike(self, at_s, gap_wh)

    def hearing_only(self, name: str, action: int) -> None:
        """Until nothing moves any more; a module is deaf to all but one kind of orders."""
        module, hear = self.modules[name], self.modules[name].hear
        module.hear = lambda order: hear(order) if order.action == action else None
        self.settle()
        module.hear = hear

    def agreed_at_last(self) -> None:
        """The last ledger is the one that metered all along; the others are empty."""
        state, truth = self.last.state, self.truth.state
        assert self.balance(LAST) == state.balance_ncur == self.owned(LAST) == truth.balance_ncur
        assert (state.period, state.used_wh) == (truth.period, truth.used_wh)
        assert self.owned(OLD) == self.owned(NEW) == self.transit() == 0
        self.sound()
        assert self.store.ledgers.differences() == []
        (row,) = reconcile.reconcile(self.store, self.desk.clock.s, LAST)
        assert row.reconciled and not row.in_flight, row
