"""An update from the host's store through broker and module to a program that is trusted."""

from host_tools.flashing import device_code
from host_tools.flashing.bundle import Bundle, bundle
from host_tools.settlement import commands
from host_tools.store.database import opened
from protocol import cbor, codes, messages
from protocol.units import MODULE_TARGET
from tests.system.commands import Site, none_left, running

MODULE = "gp-1"
# A module waits 5 s for its broker and an hour for its host: 0.125 s and 1.5 min of real time.
SIMULATE = ("--module", MODULE, "--factor", 40, "--poll-ms", 10_000)
LIFE_S = 1 << 34


def newer() -> Bundle:
    """The program as it is, but for its version."""
    texts = device_code.sources()
    path = "firmware/uplink.py"
    texts[path] = texts[path].replace('FIRMWARE = "0.1.0"', 'FIRMWARE = "9.0.0"')
    return bundle(device_code.compiled(texts), "9.0.0")


def order(site: Site, args: list[object]) -> int:
    with opened(site.data, create=False) as store:
        return commands.issue(store, MODULE, MODULE_TARGET, codes.UPDATE, args, 0, LIFE_S)


def states(site: Site, ids: list[int]) -> set[str]:
    with opened(site.data, create=False) as store:
        return {store.payments.command(MODULE, each).state for each in ids}


def refused(site: Site, command_id: int) -> bool:
    return states(site, [command_id]) == {"refused"}


def firmware_of(site: Site) -> str | None:
    with opened(site.data, create=False) as store:
        return store.fleet.module_known(MODULE).firmware


def outcomes(site: Site) -> list[int]:
    with opened(site.data, create=False) as store:
        events = store.intake.events(MODULE)
    told = [
        event for event in events if (event.kind, event.code) == (messages.EVENTS, codes.UPDATED)
    ]
    return [cbor.decode(event.args)[0] for event in told]


def test_an_update_over_the_wire_is_tried_and_trusted_while_metering_goes_on(tmp_path):
    site = Site(tmp_path / "data")
    site.enrol(MODULE)
    with running(site, *SIMULATE) as (modules, settle):
        site.top_up(MODULE, "50.00", "cash")
        site.until("credited", lambda: site.point(MODULE).state.topups_ncur)
        site.until("hello", lambda: firmware_of(site) == "0.1.0")
        *steps, finish = list(newer().steps())
        while steps:  # what came in another order is refused, and sent again
            ids = [order(site, step) for step in steps]
            site.until("answers", lambda ids=ids: states(site, ids) <= {"done", "refused"})
            steps = [step for step, each in zip(steps, ids, strict=True) if refused(site, each)]
        seq = site.point(MODULE).state.seq
        ids = [order(site, finish)]
        site.until("armed", lambda: states(site, ids) == {"done"})
        site.until("running", lambda: firmware_of(site) == "9.0.0")
        site.until("trusted", lambda: outcomes(site) == [codes.ARMED, codes.CONFIRMED])
        site.until("metering", lambda: site.point(MODULE).state.seq > seq)
        assert site.reconciled()
        assert [modules.end(), settle.end()] == [0, 0]
    none_left(site.data)
