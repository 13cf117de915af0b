"""One payment, by command and by digits at the module's console: credited once, books agree."""

import asyncio
import json
import re

from host_tools.store.database import opened
from protocol import ledger
from protocol.units import NCUR_PER_CUR
from tests.system.commands import Site, done, leg, mpremote, none_left, refusal, running
from tests.system.terminal import terminal

FACTOR = 5


def digits(site: Site, reference: str, *more: str) -> str:
    return done("token", reference, "--data", site.data, *more).strip()


def credited(site: Site) -> int:
    return site.point("gp-1").state.topups_ncur // NCUR_PER_CUR


def channels(site: Site) -> list[tuple[int, int]]:
    """(number, channel) of the settled top-ups."""
    with opened(site.data, create=False) as store:
        point = store.fleet.point_known("gp-1", 0)
        found = store.ledgers.entries(point.id)
        assert not store.ledgers.differences(point.id)
        return [(entry.number, entry.channel) for entry in found if entry.kind == ledger.TOPUP]


def commands_done(site: Site) -> bool:
    with opened(site.data, create=False) as store:
        return not store.payments.open_commands("gp-1")


def test_whichever_comes_first_is_credited_and_the_other_is_used(tmp_path):
    site = Site(tmp_path / "data")
    site.enrol("gp-1")
    console = site.data / "modules" / "gp-1" / "console"
    words = ("--module", "gp-1", "--factor", FACTOR, "--auto-close")
    with running(site, *words) as (modules, settle), terminal(console) as screen:
        site.top_up("gp-1", "20.00", "cash-1")
        site.until("credited", lambda: credited(site) == 20)
        site.until("metering", lambda: site.point("gp-1").state.version)
        first = digits(site, "cash-1")
        assert digits(site, "cash-1") == first and len(first) == 11
        assert "used already" in screen.answer(f"token {first}", "used")
        assert settle.end() == 0

        # Nobody delivers the command now; the digits are quicker.
        for number, (kind, length) in enumerate(
            (((), 9), (("--four-keys",), 15), (("--voucher",), 20))
        ):
            site.top_up("gp-1", "5.00", f"cash-2{number}")
            text = digits(site, f"cash-2{number}", *kind)
            assert len(text.replace(" ", "")) == length
            shown = screen.answer(f"token 0 {text}", "CNY")
            assert "accepted" in shown and "5.00, balance" in shown, shown
            assert "used already" in screen.answer(f"token 0 {text}", "used")
        assert "balance 余额 3" in screen.answer("status", "waiting")
        with leg("settle", "--data", site.data, *site.clock) as again:
            site.until("settled", lambda: credited(site) == 35)
            site.until("answered", lambda: commands_done(site))
            site.until("agreed", site.reconciled)
            assert channels(site) == [(2, 1), (4, 2), (6, 2), (8, 3)]
            assert again.end() == 0
        assert modules.end() == 0
    none_left(site.data)


def test_what_is_no_payment_has_no_digits(tmp_path):
    site = Site(tmp_path / "data")
    site.enrol("gp-1")
    done("topup", "gp-1", 0, "5.25", "--reference", "cash-1", "--data", site.data)
    assert "no such payment" in refusal("token", "cash-9", "--data", site.data)
    assert "use a voucher" in refusal("token", "cash-1", "--data", site.data)
    shown = json.loads(done("token", "cash-1", "--data", site.data, "--unit", "0.25", "--json"))
    assert shown["number"] == 2 and len(shown["digits"]) == 9
    assert len(digits(site, "cash-1", "--voucher")) == 24


def test_the_console_answers_beside_mpremote(tmp_path):
    site = Site(tmp_path / "data")
    site.enrol("gp-1")
    console = site.data / "modules" / "gp-1" / "console"
    with running(site, "--module", "gp-1", "--factor", FACTOR) as (modules, settle):
        site.until("opened", lambda: site.point("gp-1").state.version)
        with terminal(console) as screen:
            assert "help 请输入 help" in screen.answer("", "help")
            assert "token [point] DIGITS" in screen.answer("help", "events ")
            shown = screen.answer("status full", "waiting")
            for part in ("balance 余额 0.00 CNY", "ncur, seq", "relay 继电器 open 跳闸"):
                assert part in shown
            for part in ("credit exhausted 欠费", "synchronised", "broker 代理 connected"):
                assert part in shown
            assert "kWh" in screen.answer("meters", "kWh")
            assert "boot 上电启动" in screen.answer("events", "boot")
            for wrong in ("launch", "x" * 200, "token", "token 123", "\x00\x1b[A\x7f\x7fstatus9"):
                shown = screen.answer(wrong, "help", "digits", "POINT")
                assert shown.count("\n") == 2, shown
            for _ in range(3):
                assert "not valid" in screen.answer("token 123456789", "valid")
            screen.until("locked for")
            assert re.search(r"locked 锁定 \d", screen.answer("status", "waiting"))
            assert "token entry locked" in screen.answer("events", "entry locked")
        seen = asyncio.run(mpremote(console, "exec", "print(6 * 7)"))
        assert seen == "42\n"
        asyncio.run(mpremote(console, "reset"))
        modules.said("gp-1: reset")
        with terminal(console) as screen:
            assert "locked 锁定" in screen.answer("status", "waiting")
            done("unlock", "gp-1", 0, "--data", site.data, *site.clock)
            site.until("unlocked", lambda: commands_done(site))
            assert "tokens" not in screen.answer("status", "waiting")
        assert [modules.end(), settle.end()] == [0, 0]
    none_left(site.data)
