"""A reading that a person corrects moves the balance of real firmware and host, once."""

import json

from host_tools.store.database import opened
from host_tools.validation import adjusting, journal
from host_tools.validation.command import caught_up
from host_tools.validation.following import Follower
from host_tools.validation.journal import Row
from host_tools.validation.words import utc
from protocol.units import INTERVAL_S
from tests.system.commands import Site, done, none_left, refusal, running

MODULE = "gp-1"
# Nine seconds an interval; a module waits for its broker in simulated seconds: a long poll.
SIMULATE = ("--module", MODULE, "--factor", 100, "--poll-ms", 20_000, "--auto-close")
BY = ("--by", "Li Na", "--reason", "photo of the display")


def charges(site: Site) -> list[Row]:
    with opened(site.data, create=False) as store:
        rows = journal.rows_of(store, site.point(MODULE).id, 1)
    whole = [row for row in rows if row.time_s - row.from_s == INTERVAL_S]  # room for a kWh more
    return [row for row in whole if row.is_charge() and row.energy_wh]


def test_a_corrected_reading_moves_the_modules_balance_once(tmp_path):
    site = Site(tmp_path / "data")
    site.enrol(MODULE)
    where = ("--data", site.data, *site.clock)
    with running(site, *SIMULATE) as (modules, settle):
        site.top_up(MODULE, "50.00", "cash")
        site.until("metered", lambda: charges(site))
        first = charges(site)[0]
        span = ("--from", utc(first.from_s), "--to", utc(first.time_s))
        opening = ("review", "open", MODULE, 0, *span, *BY)
        number = json.loads(done(*opening, "--json", *where))["review"]
        value = f"{utc(first.from_s)}={first.energy_wh + 1000}"
        words = ("review", "edit", number, "--set", value, *BY)
        told = json.loads(done(*words, "--json", *where))["adjustment"]
        assert told["amount_ncur"] == -488_300_000  # one kilowatt-hour of the first tier
        assert "is corrected by Li Na" in refusal(*words, *where)

        def carried_out() -> bool:
            with opened(site.data, create=False) as store:
                (order,) = adjusting.ordered(store, site.point(MODULE))
            return order.state == "done"

        site.until("carried out", carried_out)
        done("command", "state", MODULE, 0, *BY, *where)
        site.until("stated", lambda: site.point(MODULE).statement is not None)
        site.until("agreed", site.reconciled)
        state = site.point(MODULE).state
        moved_ncur = state.balance_ncur - state.topups_ncur + state.charged_ncur
        assert moved_ncur == told["amount_ncur"]
        assert [modules.end(), settle.end()] == [0, 0]
    with opened(site.data, create=False) as store:  # settle has looked at what it settled
        left = caught_up(Follower(store, lambda: 0))
        assert left.entries < len(list(store.ledgers.entries(site.point(MODULE).id)))
    none_left(site.data)
