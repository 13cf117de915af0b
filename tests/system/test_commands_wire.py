"""Orders of a person by the command line, through broker and settlement, to real firmware."""

import json

from host_tools.config import BrokerAddress, read_settings
from host_tools.flashing import bundle_file
from host_tools.simulator.wiring import Place, module_settings
from host_tools.store.database import opened
from host_tools.store.records import Event
from protocol import cbor, codes, messages
from tests.system.commands import Site, done, leg, none_left, refusal, running
from tests.system.test_update_wire import newer

MODULE = "gp-1"
# As test_update_wire: a module waits for its broker in simulated seconds.
SIMULATE = ("--module", MODULE, "--factor", 40, "--poll-ms", 10_000, "--auto-close")
BY = ("--by", "Li Na", "--reason", "work order 7")
EXPIRES = ("--expires", "2h")


class Orders:
    """The sub-commands on a site, and what its module told."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.where = ("--data", site.data, *site.clock)

    def order(self, kind: str, *words: object) -> int:
        told = json.loads(done("command", kind, *words, *BY, "--json", *self.where))
        return int(told["id"])

    def listed(self) -> dict[str, list[dict[str, object]]]:
        return dict(json.loads(done("commands", MODULE, "--json", *self.where)))

    def state(self, command_id: int) -> object:
        rows = [row for row in self.listed()["commands"] if row["id"] == command_id]
        return rows[0]["state"]

    def carried_out(self, kind: str, *words: object) -> int:
        """An order, once the module has answered that it is done."""
        command_id = self.order(kind, *words)

        def answered() -> bool:
            with opened(self.site.data, create=False) as store:
                return store.payments.command(MODULE, command_id).state not in ("queued", "sent")

        self.site.until(f"{kind} {words}", answered)
        assert self.state(command_id) == "done", self.listed()
        return command_id

    def events(self, code: int) -> list[Event]:
        with opened(self.site.data, create=False) as store:
            told = store.intake.events(MODULE)
        return [each for each in told if (each.kind, each.code) == (messages.EVENTS, code)]

    def rules(self, code: int) -> list[int]:
        return [cbor.decode(event.args)[0] for event in self.events(code)]


def test_money_relay_and_plan_are_ordered_done_and_agreed_upon(tmp_path):
    site = Site(tmp_path / "data")
    site.enrol(MODULE)
    orders = Orders(site)
    with running(site, *SIMULATE) as (modules, settle):
        site.top_up(MODULE, "50.00", "cash")
        site.until("closed", lambda: orders.rules(codes.RELAY_CLOSED))
        credit = ("relay", MODULE, 0, "trip", "--cause", "credit", *EXPIRES, *BY)
        assert "trips for credit itself" in refusal("command", *credit, *orders.where)
        trip = ("relay", MODULE, 0, "trip", "--cause", "safety", *EXPIRES)
        orders.carried_out(*trip)
        site.until("opened", lambda: 5 in orders.rules(codes.RELAY_OPENED))  # remote trip
        orders.carried_out("relay", MODULE, 0, "permit")
        closed = lambda: len(orders.rules(codes.RELAY_CLOSED)) == 2  # noqa: E731
        site.until("closed again", closed)
        orders.carried_out("relay", MODULE, 0, "hold", "--for", "1h", *EXPIRES)
        assert "保电中" in refusal("command", *trip, *BY, *orders.where)
        money = ("adjust", MODULE, 0, "3.20", "--class", "goodwill", "--reference", "case-9")
        first = orders.carried_out(*money)
        assert orders.order(*money) == first
        debt = ("debt", MODULE, 0, "payment", "20", "--percent", 25, "--reference", "debt-1")
        orders.carried_out(*debt)
        orders.carried_out("plan", MODULE, "customised", "--until", "2h")
        orders.carried_out("clear", MODULE, 0, "tamper")
        orders.carried_out("state", MODULE, 0)
        orders.carried_out("clock", MODULE)
        site.until("agreed", site.reconciled)
        state = site.point(MODULE).state
        adjusted_ncur = state.balance_ncur - state.topups_ncur + state.charged_ncur
        assert adjusted_ncur == 3_200_000_000
        assert [modules.end(), settle.end()] == [0, 0]
    none_left(site.data)


def settings_text(site: Site, **changes: object) -> str:
    """The settings of the module that is simulated, as TOML without the password."""
    kept = json.loads((site.data / "modules" / MODULE / "load.json").read_text(encoding="utf-8"))
    places = {
        int(number): Place(**{**row, "warnings": tuple(row["warnings"])})
        for number, row in kept["places"].items()
    }
    broker = read_settings(site.data / "gridpurse.toml", {}).broker
    login = BrokerAddress(broker.host, broker.port, MODULE, "")
    now = module_settings(MODULE, 0, places, login, 10_000)._replace(**changes)
    values = now._asdict()
    points = [point._asdict() for point in values.pop("points")]
    del values["broker_password"]
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    for point in points:
        lines += ["[[points]]", *(f"{key} = {json.dumps(value)}" for key, value in point.items())]
    return "\n".join(lines) + "\n"


def test_settings_are_kept_when_the_module_comes_back_with_them_and_else_taken_back(tmp_path):
    site = Site(tmp_path / "data")
    site.enrol(MODULE)
    orders = Orders(site)
    path = tmp_path / "gp-1.toml"
    with running(site, *SIMULATE, "--factor", 40) as (modules, settle):
        site.until("opened", lambda: site.point(MODULE).state.version)
        path.write_text(settings_text(site, version=2, poll_ms=5000), encoding="utf-8")
        kept = orders.order("config", MODULE, path)
        site.until("kept", lambda: orders.rules(codes.CONFIG_SET) == [2])
        assert orders.state(kept) == "confirmed"
        path.write_text(settings_text(site, version=3, broker_port=1), encoding="utf-8")
        lost = orders.order("config", MODULE, path)
        site.until("taken back", lambda: orders.rules(codes.CONFIG_SET) == [2, 2])
        assert [orders.state(kept), orders.state(lost)] == ["confirmed", "taken back"]
        path.write_text(settings_text(site, version=2), encoding="utf-8")
        again = ("config", MODULE, path, *BY, *orders.where)
        assert "must be above 2, which runs now" in refusal("command", *again)
        assert [modules.end(), settle.end()] == [0, 0]
    none_left(site.data)


def test_an_update_goes_on_when_settlement_is_killed_and_is_trusted(tmp_path):
    site = Site(tmp_path / "data")
    site.enrol(MODULE)
    orders = Orders(site)
    path = tmp_path / "update.bundle"
    path.write_bytes(bundle_file.packed(newer()))

    def update() -> dict[str, object]:
        return orders.listed()["updates"][-1]

    def half() -> bool:
        now = update()
        return int(str(now["done_bytes"])) * 2 > int(str(now["total_bytes"]))

    with running(site, *SIMULATE) as (modules, settle):
        site.top_up(MODULE, "50.00", "cash")
        site.until("credited", lambda: site.point(MODULE).state.topups_ncur)
        orders.order("update", MODULE, "--bundle", path)
        site.until("half of it", half)
        settle.close()  # killed
        with leg("settle", "--data", site.data, *site.clock) as again:
            again.said("settle ready")
            site.until("armed", lambda: update()["state"] != "sending")
            site.until("trusted", lambda: update()["state"] != "armed")
            assert update()["state"] == "confirmed" and orders.events(codes.UPDATED)
            site.until("agreed", site.reconciled)
            assert again.end() == 0
        assert modules.end() == 0
    none_left(site.data)
