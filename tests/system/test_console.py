"""mpremote on a module that runs the real firmware: a technician visits and leaves."""

import asyncio

from tests.system.commands import Site, mpremote, none_left, running

FACTOR = 5


def test_a_technician_looks_around_and_the_ledger_goes_on(tmp_path):
    site = Site(tmp_path / "data")
    site.enrol("gp-1")
    console = site.data / "modules" / "gp-1" / "console"
    note = tmp_path / "note.txt"
    note.write_bytes(bytes(range(256)) * 8)

    async def visit() -> None:
        listing = await mpremote(console, "fs", "ls")
        names = {line.split()[1] for line in listing.splitlines()[1:]}
        assert {"main.py", "config.cbor", "key.bin", "tariff0.cbor", "firmware/"} <= names
        await mpremote(console, "fs", "cp", note, ":note.txt")
        await mpremote(console, "fs", "cp", ":note.txt", tmp_path / "back.txt")
        assert (tmp_path / "back.txt").read_bytes() == note.read_bytes()
        program = "from firmware import main; print(main.__name__)"
        assert await mpremote(console, "exec", program) == "firmware.main\n"
        await mpremote(console, "soft-reset")
        cause = "import machine; print(machine.reset_cause())"
        assert await mpremote(console, "resume", "exec", cause) == "5\n"
        await mpremote(console, "reset")

    words = ("--module", "gp-1", "--factor", FACTOR, "--auto-close")
    with running(site, *words) as (modules, settle):
        site.top_up("gp-1", "20.00", "cash-1")
        modules.said("relay 0 closed")
        # The credit may arrive before the first reading opens the ledger.
        site.until("credited", lambda: site.point("gp-1").state.topups_ncur)
        site.until("metering", lambda: site.point("gp-1").state.version)
        before = site.point("gp-1").state
        asyncio.run(visit())
        modules.said("gp-1: reset")
        site.top_up("gp-1", "5.00", "cash-2")
        site.until("metering again", lambda: site.point("gp-1").state.topups_ncur == 25 * 10**9)
        after = site.point("gp-1").state
        assert after.seq > before.seq and after.register_wh >= before.register_wh
        assert after.version == before.version == 1
        settled = lambda: site.point("gp-1").sent_seq == site.point("gp-1").state.seq  # noqa: E731
        site.until("all settled", settled)
        assert site.reconciled()
        assert not any("opened" in line for line in modules.lines)
        assert [modules.end(), settle.end()] == [0, 0]
    none_left(site.data)
