"""The README's walk-through as real commands, each in a process of its own."""

import signal
import socket
import stat

import pytest

from tests.system.commands import Leg, Site, done, gridpurse, leg, none_left, refusal, running

FACTOR = 60
POLL_MS = 10_000  # simulated
MODULES = ("gp-1", "gp-2")
SIMULATE = ("--module", *MODULES, "--meter", "gp-2/0=pulse:3200", "--factor", FACTOR,
            "--poll-ms", POLL_MS)  # fmt: skip


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path / "data")
    for module in MODULES:
        made.enrol(module)
    return made


def close_by_key(modules: Leg, site: Site) -> None:
    """The customer presses until the relay is heard; it may not close just after power-on."""

    def closed() -> bool:
        modules.type()
        return all(modules.heard(f"{module}: relay 0 closed") for module in MODULES)

    site.until("relays closed by the key", closed)


def test_from_setup_to_a_reconciled_bill(site):
    with running(site, *SIMULATE) as (modules, settle):
        for module in MODULES:
            text = site.top_up(module, "50.00", f"cash-{module}")
            assert "50.00 CNY" in text and text.endswith(", in flight\n")
        site.until("both credited", lambda: all(site.point(m).state.topups_ncur for m in MODULES))
        close_by_key(modules, site)
        assert modules.end() == 0
        assert modules.lines[-1] == "simulate: stopped"
        assert settle.end() == 0
    none_left(site.data)
    before = [site.point(module).state for module in MODULES]
    with running(site, *SIMULATE) as (modules, settle):
        # On a slow machine the first leg may have charged already.
        charged = dict(zip(MODULES, (state.charged_ncur for state in before), strict=True))
        site.until(
            "both charged",
            lambda: all(site.point(m).state.charged_ncur > charged[m] for m in MODULES),
        )
        for module, old in zip(MODULES, before, strict=True):
            assert site.point(module).state.seq > old.seq
        assert not modules.heard("relay")  # it stayed closed, as a bistable one does
        assert site.reconciled()
        assert [modules.end(), settle.end()] == [0, 0]
    none_left(site.data)


def test_a_meter_behind_a_gateway_is_found_again_after_a_restart(site):
    words = ("--module", "gp-1", "--meter", "0=tcp:iem3155", "--factor", 10, "--poll-ms", 5000)
    for amounts in (1, 2):
        with running(site, *words) as (modules, settle):
            site.top_up("gp-1", "5.00", f"cash-{amounts}")
            # Credited only where the meter has been read and has opened a ledger.
            paid_ncur = amounts * 5 * 10**9

            def credited(paid_ncur=paid_ncur):
                return site.point("gp-1").state.topups_ncur == paid_ncur

            site.until("credited", credited)
            assert [modules.end(), settle.end()] == [0, 0]
    none_left(site.data)


def test_setup_twice_keeps_everything_and_tells_no_secret(tmp_path):
    data = tmp_path / "new" / "host"
    first = done("setup", "--data", data, "--port", 2883, "--shards", "0,3")
    kept = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    second = done("setup", "--data", data, "--port", 9999)
    assert [line.split()[0] for line in first.splitlines()[:4]] == ["made"] * 4
    assert [line.split()[0] for line in second.splitlines()[:4]] == ["kept"] * 4
    assert "127.0.0.1:2883, shards 0,3" in second
    assert kept == {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    secret = data / "broker.secret"
    assert secret.read_text() not in first + second
    for path in (secret, data / "broker" / "nats.conf"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_modules_survive_a_killed_simulator(site):
    words = ("simulate", "--data", site.data, "--broker", "--module", "gp-1")
    with leg(*words) as modules:
        modules.said("powered on")
        modules.end(signal.SIGKILL)
    none_left(site.data)
    flash = site.data / "modules" / "gp-1" / "vfs.bin"
    assert stat.S_IMODE((site.data / "modules").stat().st_mode) == 0o700  # a key is in there
    for secret in (site.data / "passwords").iterdir():
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    before = flash.read_bytes()
    with leg(*words) as modules:
        modules.said("powered on")
        assert modules.end(signal.SIGTERM) == 0
    assert len(flash.read_bytes()) == len(before)
    none_left(site.data)


def test_a_second_simulator_and_a_busy_port_are_one_line(site):
    words = ("simulate", "--data", site.data, "--broker", "--module", "gp-1")
    with leg(*words) as modules:
        modules.said("powered on")
        assert "another simulate runs on this folder" in refusal(*words)
        assert modules.end() == 0
    config = (site.data / "gridpurse.toml").read_text()
    port = int(config.split("port = ")[1].split()[0])
    with socket.create_server(("127.0.0.1", port)):
        line = refusal(*words)
    assert line == (
        f"gridpurse simulate: broker port {port}: Address already in use;"
        " stop what uses it or name another port"
    )
    none_left(site.data)


BAD_WORDS = (
    (("--module", "gp-9"), "gp-9: no such module"),
    (("--module", "gp-1", "--meter", "0=abc"), "--meter abc: use one of "),
    (("--module", "gp-1", "--meter", "0=tcp:abc"), "--meter tcp:abc: use one of "),
    (("--module", "gp-1", "--meter", "0=tcp:pulse:9"), "--meter tcp:pulse:9: use one of "),
    (("--module", "gp-1", "--meter", "0=pulse:x"), "name the impulses per kWh"),
    (("--module", "gp-1", "--meter", "7=sdm120"), "gp-1 has no such point"),
    (("--module", "gp-1", "--meter", "gp-2/0=sdm120"), "not among the modules named"),
    (("--module", "gp-1", "--factor", "0"), "--factor 0: must be 1 to 100"),
)


def test_what_cannot_be_simulated_is_one_line(site):
    for words, part in BAD_WORDS:
        assert part in refusal("simulate", "--data", site.data, "--broker", *words)
    (site.data / "passwords" / "gp-2.secret").unlink()
    line = refusal("simulate", "--data", site.data, "--module", "gp-2")
    assert line.endswith(
        "passwords/gp-2.secret: no password of gp-2 at the broker;"
        " write it there (mode 0600), or use --broker"
    )
    (site.data / "keys" / "gp-1.key").unlink()
    line = refusal("simulate", "--data", site.data, "--broker", "--module", "gp-1")
    assert line.endswith("keys/gp-1.key: is missing; restore it from a backup")
    assert gridpurse("simulate", "--data", site.data).returncode == 2
    none_left(site.data)
