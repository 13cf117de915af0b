"""A module in service loses its flash; the same board serves the same flat again, as another.

Charges and a token that the host never heard of are lost with it; the meter's total is not.
"""

import asyncio
import json
from pathlib import Path

from host_tools.care import console
from host_tools.keys import KeyFiles
from host_tools.lab.module import OTHER_WIFI, WIFI, LabModule
from host_tools.settlement import posting, settle
from host_tools.simulator import image
from host_tools.store.database import Store, opened
from protocol import ledger
from protocol.ledger import State
from protocol.units import INTERVAL_S, NCUR_PER_CUR, SYNCHRONISED, UNKNOWN_MODULE
from tests.system.fast_lab import FastLab, fast_lab

OLD, NEW = "gp-1", "gp-1b"
BY = ("--by", "Li Na", "--reason", "work order 7")
PARTITIONS = ("vfs", "journal")
PAID_LATE_NCUR = 27 * NCUR_PER_CUR  # a token typed offline, and a payment on its way


def test_a_board_that_lost_its_storage_serves_again_and_no_watt_hour_counts_twice(
    tmp_path: Path,
) -> None:
    asyncio.run(story(tmp_path))


class Flat:
    """One flat, its board, and what the host has settled of both identities."""

    def __init__(self, lab: FastLab, board: LabModule) -> None:
        self.lab, self.board = lab, board
        self.settled: State | None = None  # what the host knew when the flash was lost

    def flash(self) -> dict[str, bytes]:
        self.board.power_cut()
        return {name: self.board.read_partition(name) for name in PARTITIONS}

    def swap(self, flash: dict[str, bytes]) -> dict[str, bytes]:
        """Another flash chip is soldered in. -> the one that was there"""
        there = self.flash()
        for name, content in flash.items():
            self.board.write_partition(name, content)
        self.board.power_on()
        return there

    def key_is(self, name: str) -> bool:
        key = KeyFiles(self.lab.data / "keys").load(name)
        return bool(key) and self.board.read_files().get("key.bin") == key.reveal()

    async def used_offline(self) -> None:
        """A payment is on its way, a token is typed in, a quarter of an hour goes by."""
        lab = self.lab
        self.board.set_wifi(*OTHER_WIFI)
        await lab.done("topup", OLD, 0, "7.00", "--reference", "cash-2")
        await lab.done("topup", OLD, 0, "20.00", "--reference", "token-1")
        digits = (await lab.done("token", "token-1", "--voucher")).strip()
        port, line = str(self.board.console_path), f"token 0 {digits}"
        assert "accepted" in "".join(await asyncio.to_thread(console.ask, port, line))
        end_s = lab.time.now_s() // INTERVAL_S * INTERVAL_S + INTERVAL_S + 30
        await lab.until("a quarter of an hour", lambda: lab.time.now_s() > end_s)
        self.settled = lab.point(OLD).state
        assert self.settled.topups_ncur == 50 * NCUR_PER_CUR

    def wrongs(self) -> list[object]:
        """The customer owns what the host had settled, less what the meter counted since."""
        with opened(self.lab.data, create=False) as store:
            now = store.fleet.point_known(NEW, 0)
            book = store.fleet.book(now.state.version)
            assert self.settled and book
            what = (now.state.time_s, SYNCHRONISED, now.state.register_wh)
            truth = ledger.apply(self.settled, ledger.charge(self.settled, book, *what))
            balance_ncur = now.state.balance_ncur
            return [
                *(order.action for order in store.payments.open_commands(NEW)),
                *self.kinds(NEW),
                *filter(None, (
                    balance_ncur - truth.balance_ncur - PAID_LATE_NCUR,
                    now.state.used_wh - truth.used_wh,
                    self.owned(store) != [0, -balance_ncur, 0] and self.owned(store),
                )),
            ]  # fmt: skip

    def kinds(self, name: str) -> set[str]:
        """Of the differences that are open at a module's point."""
        with opened(self.lab.data, create=False) as store:
            point = store.fleet.point_known(name, 0)
            return {each.kind for each in store.ledgers.differences(point.id)}

    def owned(self, store: Store) -> list[int]:
        """The accounts of OLD and NEW in the books, credits negative, and what is between them."""
        by_point = store.ledgers.account_by_point(posting.CUSTOMER)
        between = store.ledgers.accounts().get(("CNY", posting.TRANSFER), 0)
        ids = [store.fleet.point_known(name, 0).id for name in (OLD, NEW)]
        return [*(by_point.get(each, 0) for each in ids), between]

    async def charged(self, name: str) -> None:
        before_ncur = self.lab.point(name).state.charged_ncur
        await self.lab.until(
            f"{name} charges", lambda: self.lab.point(name).state.charged_ncur > before_ncur
        )

    async def sound(self) -> None:
        await self.lab.until(
            "every watt-hour once", lambda: not self.wrongs(), lambda: str(self.wrongs())
        )

    def refused_messages(self) -> int:
        with opened(self.lab.data, create=False) as store:
            rows = store.intake.rejects(OLD)
            return sum(row.count for row in rows if row.reason == UNKNOWN_MODULE)


async def story(folder: Path) -> None:
    async with fast_lab(folder) as lab:
        board = await lab.board()
        flat = Flat(lab, board)
        await lab.done(*lab.provision(board, OLD))
        await lab.done("topup", OLD, 0, "50.00", "--reference", "cash-1")
        await lab.until("supply", lambda: board.relays[0])
        await flat.charged(OLD)
        await flat.used_offline()
        lost = flat.flash()
        await taken_on_again(flat)
        await flat.charged(NEW)
        await flat.sound()
        await back_from_the_dead(flat, lost)


async def begun_anew(flat: Flat) -> None:
    """The journal alone is gone at first: what the module makes of that, the host holds back."""
    lab, board = flat.lab, flat.board
    board.write_partition("journal", image.blank(board.partitions["journal"].size))
    board.set_wifi(*WIFI)
    board.power_on()
    await lab.until("held back", lambda: settle.ROLLBACK in flat.kinds(OLD))
    for words in ((OLD,), (NEW, "--was", OLD)):
        told = await lab.refused(12, *lab.provision(board, *words))
        assert "--erase-journal MAC" in told and "--was OLD" in told.replace(OLD, "OLD"), told
    assert flat.key_is(OLD) and lab.point(OLD).state == flat.settled


async def taken_on_again(flat: Flat) -> None:
    """The technician's part: each refusal names the way, and the way may be broken off."""
    lab, board = flat.lab, flat.board
    await begun_anew(flat)
    board.erase()
    board.power_on()
    for name in (OLD, NEW):
        told = await lab.refused(12, *lab.provision(board, name))
        assert f"--was {OLD}" in told and f"module replace {OLD} NEW" in told, told
    words = lab.provision(board, NEW, "--was", OLD)
    await lab.killed("settings, key", *words)
    assert f"gridpurse module replace {OLD} {NEW}" in await lab.done(*words)
    assert flat.key_is(NEW) and not flat.key_is(OLD)
    told = json.loads((lab.data / "cards" / f"{board.unique_id}.json").read_text("utf-8"))
    assert told["ok"] and told["module"] == NEW
    assert [each["module"] for each in told["before"]] == [OLD]
    assert len(told["steps"]) == len(told["before"][0]["steps"]) == 12
    replace = ("module", "replace", OLD, NEW, *BY)
    await lab.done(*replace)
    await lab.done(*replace)
    assert f"gridpurse module retire {OLD}" in await lab.done(*words)
    await lab.until("supply again", lambda: board.relays[0])
    told = await lab.refused(12, *lab.provision(board, OLD, "--was", NEW))
    assert "never written again" in told, told


async def back_from_the_dead(flat: Flat, lost: dict[str, bytes]) -> None:
    """The flash had only been taken out: its charges and its token move nothing any more."""
    lab = flat.lab
    before = lab.point(OLD).state
    new = flat.swap(lost)
    await lab.until("late records", lambda: lab.point(OLD).state.topups_ncur > before.topups_ncur)
    await flat.charged(OLD)
    lost = flat.swap(new)
    await flat.charged(NEW)
    await flat.sound()
    await lab.done("module", "retire", OLD, "--yes", "--despite-missing", *BY)
    ended = lab.point(OLD).state
    new = flat.swap(lost)
    await lab.until("refused", flat.refused_messages)
    flat.swap(new)
    await flat.charged(NEW)
    await flat.sound()
    assert lab.point(OLD).state == ended
    assert lab.point(NEW).state.topups_ncur == PAID_LATE_NCUR
    assert "true" in (await lab.done("reconcile", "--json")).lower()
