"""`gridpurse module` beside a running settlement: at the console, over the air, keys included."""

import json

from host_tools.keys import KeyFiles
from host_tools.store.database import opened
from protocol.units import FORGED
from tests.system.commands import Site, done, gridpurse, none_left, refusal, running
from tests.system.test_commands_wire import settings_text

MODULE = "gp-1"
SIMULATE = ("--module", MODULE, "--factor", 20, "--poll-ms", 10_000, "--auto-close")
BY = ("--by", "Li Na", "--reason", "work order 7")


def key_of(site: Site) -> bytes:
    found = KeyFiles(site.data / "keys").load(MODULE)
    assert found
    return found.reveal()


def test_a_console_answers_keys_are_exchanged_and_nothing_is_lost(tmp_path):
    site = Site(tmp_path / "data")
    site.enrol(MODULE)
    where = ("--data", site.data, *site.clock)
    port = ("--port", site.data / "modules" / MODULE / "console")
    path = tmp_path / "gp-1.toml"

    def paid(reference: str) -> None:
        """An order goes down, its entry comes up."""
        before_ncur = site.point(MODULE).state.topups_ncur
        site.top_up(MODULE, "5.00", reference)
        site.until(reference, lambda: site.point(MODULE).state.topups_ncur > before_ncur)

    with running(site, *SIMULATE) as (modules, settle):
        site.top_up(MODULE, "50.00", "cash")
        modules.said("relay 0 closed")
        site.until("opened", lambda: site.point(MODULE).state.version)
        assert "balance 余额" in done("module", "status", MODULE, *port, *where)
        assert "kWh" in done("module", "meter", MODULE, *port, *where)
        assert "relay closed 合闸" in done("module", "events", MODULE, *port, *where)
        assert "connected 已连接" in done("module", "logs", MODULE, *port, *where)
        assert "时钟" in done("module", "clock", MODULE, *port, *where)

        first = key_of(site)
        done("module", "rotate", MODULE, *BY, *where)
        site.until("over the air", lambda: key_of(site) != first)
        paid("cash-2")
        second = key_of(site)
        done("module", "rotate", MODULE, *port, *BY, *where)
        assert key_of(site) not in (first, second)
        modules.said("reset")
        paid("cash-3")
        path.write_text(settings_text(site, poll_ms=9000), encoding="utf-8")
        told = json.loads(done_with(1, "diff", MODULE, path, *port, "--json", *where))
        assert {"setting": "poll_ms", "has": 10000, "file": 9000} in told
        paid("cash-4")
        wrong = ("module", "rotate", "gp-2", *port, *BY, *where)
        assert "no such module" in refusal(*wrong)
        site.until("agreed", site.reconciled)
        with opened(site.data, create=False) as store:
            # What was on its way down under the key before meets the new one, and comes again.
            assert {(each.source, each.reason) for each in store.intake.rejects(MODULE)} <= {
                ("module", FORGED)
            }
        shown = done("module", "status", MODULE, *where)
        assert "heard 在线" in shown
        for key in (first, second, key_of(site)):
            assert key.hex() not in "\n".join([*modules.lines, *settle.lines, shown])
        assert [modules.end(), settle.end()] == [0, 0]
    none_left(site.data)


def done_with(code: int, *words: object) -> str:
    """What `module config` printed that ends with a code of its own."""
    ended = gridpurse("module", "config", *words)
    assert ended.returncode == code, ended.stderr
    return ended.stdout
