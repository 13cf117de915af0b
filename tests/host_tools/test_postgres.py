"""PostgreSQL: what is different there, and that it makes no difference to the books."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import psycopg
import pytest

from host_tools import Refused, cli
from host_tools.broker import HOST, free_port
from host_tools.config import BrokerAddress, StoreAddress, read_settings
from host_tools.operations import figures, web
from host_tools.settlement.counters import Counters
from host_tools.settlement.tenancy import LEASE_MS, Tenancy
from host_tools.store.database import FILE, Store, open_store
from host_tools.store.held import Overtaken
from host_tools.store.sql import BROKEN, Failure, Interrupted, Lost, migrating, months
from host_tools.store.sql.postgres_connection import PostgresConnection
from tests.host_tools.desk import NOW_S, Desk, DeskClock, enrolled
from tests.host_tools.genuine import Settle, by_deadline
from tests.postgres import LOCKED, Server

SECRET = "horse-battery"


@pytest.fixture
def place(postgres: Server, tmp_path: Path) -> StoreAddress:
    return postgres.address(tmp_path)


@pytest.fixture
def two(place: StoreAddress) -> Iterator[list[Store]]:
    """Two workers' stores."""
    stores = [open_store(place) for _ in range(2)]
    for store in stores:
        store._connection.execute("SET lock_timeout = '100ms'")
    yield stores
    for store in stores:
        store.close()


@pytest.fixture
def fleet(postgres: Server, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, postgres.address(tmp_path))
    yield made
    made.store.close()


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(list(words)) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    return said.err


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"postgresql://gp:{SECRET}@h/db", "must not hold the password"),
        (f"postgresql://h/db?password={SECRET}", "must not hold the password"),
        (f"postgresql://[h:{SECRET}@/db", "is not a URL"),
        (f"mysql://{SECRET}", "must begin with postgresql://"),
    ],
)
def test_a_url_that_is_refused_tells_no_secret(url: str, said: str) -> None:
    with pytest.raises(Refused, match=said) as caught:
        read_settings(None, {"GRIDPURSE_STORE_URL": url})
    assert SECRET not in str(caught.value)


def test_a_password_comes_from_its_file_and_is_never_told(
    place: StoreAddress, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(place.url, autocommit=True) as link:
        if link.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (LOCKED,)).fetchone():
            link.execute(f"DROP ROLE {LOCKED}")
        link.execute(f"CREATE ROLE {LOCKED} LOGIN SUPERUSER PASSWORD '{SECRET}'")
    url = place.url.replace("gridpurse@", f"{LOCKED}@")
    (tmp_path / "secret").write_text(f"{SECRET}\n", encoding="utf-8")
    config = tmp_path / "gridpurse.toml"
    text = f'data_dir = "."\n[store]\nurl = "{url}"\n'
    config.write_text(text + 'password_file = "secret"\n', encoding="utf-8")
    assert cli.main(["modules", "--config", str(config)]) == 0
    assert SECRET not in repr(read_settings(config, {}))
    (tmp_path / "secret").write_text(f"{SECRET}-no\n", encoding="utf-8")
    capsys.readouterr()
    said = refusal(capsys, "modules", "--config", str(config))
    assert "wrong password" in said and SECRET not in said
    config.write_text(text, encoding="utf-8")
    assert "wrong password" in refusal(capsys, "modules", "--config", str(config))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"database": "nowhere"}, "createdb makes it"),
        ({"port": str(free_port())}, "the server does not answer"),
        ({"database": "template1"}, "gridpurse setup makes one"),
    ],
)
def test_what_is_wrong_with_a_server_is_one_line(
    postgres: Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str],
    said: str,
) -> None:
    where = {"port": str(postgres.port), "database": "postgres", **change}
    url = f"postgresql://gridpurse@{HOST}:{where['port']}/{where['database']}"
    monkeypatch.setenv("GRIDPURSE_STORE_URL", url)
    assert said in refusal(capsys, "reconcile", "--data", str(tmp_path))


def test_setup_makes_the_store_of_a_fleet_and_tells_no_secret(
    postgres: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = postgres.database()
    for made in ("made", "kept"):
        assert cli.main(["setup", "--data", str(tmp_path / "d"), "--store", url]) == 0
        said = capsys.readouterr().out
        assert f"{made}  {tmp_path}/d/gridpurse.toml" in said and f"store {url}" in said
    assert not (tmp_path / "d" / FILE).exists()
    assert cli.main(["modules", "--data", str(tmp_path / "d")]) == 0
    capsys.readouterr()
    open_word = url.replace("gridpurse@", f"gridpurse:{SECRET}@")
    said = refusal(capsys, "setup", "--data", str(tmp_path / "e"), "--store", open_word)
    assert "must not hold the password" in said and SECRET not in said
    assert not (tmp_path / "e").exists()


def test_doctor_asks_the_server(
    fleet: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRIDPURSE_STORE_URL", fleet.place.url)
    cli.main(["doctor", "--data", str(fleet.folder), "--json"])
    found = {row["check"]: row for row in json.loads(capsys.readouterr().out)["checks"]}
    assert "fsync is off" in found["store"]["what"]  # as it is for tests
    monkeypatch.setenv("GRIDPURSE_STORE_URL", f"postgresql://gp@{HOST}:{free_port()}/db")
    cli.main(["doctor", "--data", str(fleet.folder), "--json"])
    found = {row["check"]: row for row in json.loads(capsys.readouterr().out)["checks"]}
    assert "does not answer" in found["store"]["what"]


def test_metrics_are_those_of_the_store(fleet: Desk) -> None:
    made = fleet.opened(charges=3)
    fleet.take(made.batch(1, 4))
    with fleet.store.transaction():
        fleet.store.ledgers.differ(1, "tamper", "cover", 2, (1, 0), NOW_S)
    found = figures.of_store(fleet.place)
    assert found.newest_s == made.state.time_s
    assert found.differences_open == {"tamper": 1} and found.commands_open == 2
    assert web.Pages(Counters(), fleet.clock, fleet.place).page("/metrics")[0] == 200


def test_the_translation_leaves_nothing_of_sqlite() -> None:
    for _, path in migrating.scripts():
        for statement in migrating.for_postgresql(path):
            code = "\n".join(line.split("--")[0] for line in statement.splitlines())
            assert not [word for word in ("INTEGER", "BLOB", "RAISE(") if word in code], statement


def test_a_shard_is_not_taken_from_under_a_batch_in_hand(two: list[Store]) -> None:
    first, second = (Tenancy(two[n], DeskClock(), name, (0,)) for n, name in enumerate("ab"))
    assert first.look() and not second.look()
    _leases_end(two[1])
    with two[0].transaction():
        first.confirm()  # late, but before anybody else
        with pytest.raises(Interrupted):  # waits for the end of the batch
            second.look()
    assert not second.look()
    _leases_end(two[1])
    assert second.look() and second.claims[0].generation == 2
    with pytest.raises(Overtaken), two[0].transaction():
        first.confirm()
    assert first.look() and not first.claims


def test_who_had_to_wait_takes_nothing_that_was_given_meanwhile(
    two: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (Tenancy(two[n], DeskClock(), name, (0, 1), 1) for n, name in enumerate("ab"))
    begin = two[1].transaction

    def begun_behind_the_first(beside: bool = False) -> AbstractContextManager[None]:
        two[0]._connection.execute("SELECT pg_sleep(0.01)")
        assert first.look() or first.claims
        return begin(beside)

    monkeypatch.setattr(two[1], "transaction", begun_behind_the_first)
    for _ in range(3):
        second.look()
        assert (set(first.claims), set(second.claims)) == ({0}, {1})


def _leases_end(store: Store) -> None:
    """As time would."""
    store._connection.execute("UPDATE leases SET until_ms = until_ms - ?", (LEASE_MS + 1,))


def test_a_worker_whose_connection_has_gone_is_replaced_at_once(place: StoreAddress) -> None:
    stores = [open_store(place) for _ in range(2)]
    presences = [store.presence(name) for store, name in zip(stores, "ab", strict=True)]
    dead = Tenancy(stores[0], DeskClock(), "a", (0,), 0, presences[0])
    heir = Tenancy(stores[1], DeskClock(), "b", (0,), 0, presences[1])
    assert dead.look() and not heir.look()
    stores[0].close()
    by_deadline(heir.look, "the server to see it")
    assert set(heir.claims) == {0}
    stores[1].close()


def test_workers_write_beside_each_other_and_everybody_else_alone(two: list[Store]) -> None:
    for store in two:
        store.own((0,))
    with two[0].transaction(), two[1].transaction():
        pass
    two[1].own(())
    with two[0].transaction(), pytest.raises(Interrupted), two[1].transaction():
        raise AssertionError
    with two[1].transaction(), pytest.raises(Interrupted), two[0].transaction():
        raise AssertionError


def test_numbers_of_rows_rise_with_every_owner_and_every_closing(two: list[Store]) -> None:
    for store in two:
        store.own((0,))
    numbers = []
    for place in (0, 1, 0, 1):
        with two[place].transaction():
            numbers.append(two[place].ledgers.next_id(1, NOW_S))
    assert numbers[0] == months.number_of(NOW_S) < numbers[1]
    assert numbers[2:] == numbers[:2]  # each goes on with its own
    two[0].own((0,))
    with two[0].transaction():
        assert two[0].ledgers.next_id(1, NOW_S) > numbers[1]  # has shards of the other now
        before = two[0].ledgers.next_id(1, NOW_S)
    two[1]._connection.execute(f"INSERT INTO changes VALUES ('closing', {before})")
    for store in two:
        with store.transaction():
            assert store.ledgers.next_id(1, NOW_S) > before
    with two[0].transaction():
        later = two[0].ledgers.next_id(1 << 21, NOW_S + 40 * 86400)
        assert later >= months.number_of(NOW_S + 40 * 86400)
    two[1].own((0,))
    with two[1].transaction():  # a clock that is behind numbers above the others all the same
        assert two[1].ledgers.next_id(1, NOW_S) > later


def test_the_journal_has_a_part_for_each_month_and_one_for_the_rest(fleet: Desk) -> None:
    made = fleet.opened(charges=4)
    fleet.take(made.batch(1, 2))
    fleet.store.make_room(NOW_S)  # rows of this month lie in the rest already: they stay
    fleet.clock.s += 40 * 86400
    fleet.store.make_room(fleet.clock.s)
    fleet.take(made.batch(3, 3))
    asked = fleet.store._connection.execute(
        "SELECT CAST(tableoid::regclass AS TEXT), COUNT(*) FROM entries GROUP BY 1 ORDER BY 1"
    )
    assert asked.fetchall() == [(months.name_of(fleet.clock.s), 3), ("entries_other", 2)]
    assert fleet.store.fleet.point_known("m1", 0).state == made.state
    for part in ("entries_other", months.name_of(fleet.clock.s)):
        with pytest.raises(BROKEN, match="append-only"):
            fleet.store._connection.execute(f"DELETE FROM {part}")


def test_a_look_for_one_row_looks_into_one_part(fleet: Desk) -> None:
    fleet.store.make_room(NOW_S)
    made = fleet.opened(charges=2)
    fleet.take(made.batch(1, 3))
    point = "SELECT e.seq FROM points p JOIN entries e ON e.id = p.last_id WHERE p.id = 1"
    explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {point}"
    (told,) = fleet.store._connection.execute(explain).fetchone()
    assert (_loops(told, months.name_of(NOW_S)), _loops(told, "entries_other")) == (1, 0)


def test_a_long_read_keeps_no_part_from_the_journal_and_no_writer_waiting(
    fleet: Desk,
) -> None:
    with closing(PostgresConnection(fleet.place)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM entries")
        fleet.store.make_room(NOW_S)  # gives up
        made = fleet.opened(charges=1)
        fleet.take(made.batch(1, 2))  # finds the default part
        reader.execute("ROLLBACK")
    later_s = NOW_S + 40 * 86400
    fleet.store.make_room(later_s)
    found = fleet.store._connection.execute("SELECT to_regclass(?)", (months.name_of(later_s),))
    assert found.fetchone()[0] is not None and fleet.seq() == 2


def _loops(told: list, table: str) -> int:
    """How often a plan has looked into a table."""
    found, nodes = 0, [told[0]["Plan"]]
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if node.get("Relation Name") == table:
            found += node["Actual Loops"]
    return found


def test_a_backup_goes_into_either_database(
    fleet: Desk,
    postgres: Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = fleet.opened(charges=9)
    fleet.take(made.batch(1, 7), fleet.sender.events(1, [NOW_S, 0, 1, 255, []]))
    books = fleet.journal()
    file = tmp_path / "backup"
    monkeypatch.setenv("GRIDPURSE_STORE_URL", fleet.place.url)
    assert cli.main(["backup", str(file), "--data", str(tmp_path)]) == 0
    assert cli.main(["verify", str(file)]) == 0
    assert cli.main(["restore", str(file), "--into", str(tmp_path / "new")]) == 0
    with closing(sqlite3.connect(tmp_path / "new" / FILE)) as store:
        assert store.execute("SELECT COUNT(*) FROM entries").fetchone() == (7,)
    assert "has a store already" in _last(capsys, "restore", str(file), "--data", str(tmp_path))
    other = postgres.address(tmp_path)
    monkeypatch.setenv("GRIDPURSE_STORE_URL", other.url)
    assert cli.main(["restore", str(file), "--data", str(tmp_path)]) == 0
    assert cli.main(["verify", "--data", str(tmp_path)]) == 0
    again = Desk.__new__(Desk)
    again.store = open_store(other)
    assert again.journal() == books
    enrolled(again.store, tmp_path, "m2")  # what counts goes on above what has come
    with again.store.transaction():
        again.store.own((0,))
    again.store.close()


def _last(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    return refusal(capsys, *words)


def test_verify_names_what_was_changed(
    fleet: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRIDPURSE_STORE_URL", fleet.place.url)
    fleet.take(fleet.opened(charges=3).batch(1, 4))
    assert cli.main(["verify", "--data", str(fleet.folder)]) == 0
    fleet.damage("UPDATE entries SET amount_ncur = amount_ncur + 1 WHERE seq = 3")
    assert cli.main(["verify", "--data", str(fleet.folder)]) == 1
    assert "m1/0 entry 3" in capsys.readouterr().out


def test_a_store_whose_server_restarts_goes_on_after_reconnecting(tmp_path: Path) -> None:
    server = Server()
    server.begin()
    try:
        desk = Desk(tmp_path, server.address(tmp_path))
        made = desk.opened(charges=9)
        desk.take(made.batch(1, 5))
        server.kill()
        with pytest.raises(Lost):
            desk.take(made.batch(6, 5))
        with pytest.raises(Lost):
            desk.store.reconnect()
        server.begin()
        desk.tenancy.forget()
        desk.store.reconnect()
        assert desk.tenancy.look() and desk.seq() == 5
        desk.take(made.batch(6, 5))
        assert desk.store.fleet.point_known("m1", 0).state == made.state
        desk.store.close()
    finally:
        server.end()


def test_settle_waits_for_a_server_that_is_not_there_and_stops_when_told(tmp_path: Path) -> None:
    settle = Settle(tmp_path, BrokerAddress(HOST, free_port()), NOW_S)
    settle.more = {"GRIDPURSE_STORE_URL": f"postgresql://gp@{HOST}:{free_port()}/db"}
    settle.start(wait=False)
    by_deadline(lambda: b"the server does not answer" in settle.log.read_bytes(), "its line")
    assert settle.end() == 0
    assert b"Traceback" not in settle.log.read_bytes()


def test_settle_makes_no_store_on_a_server(
    place: StoreAddress, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(psycopg.connect(place.url, autocommit=True)) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    monkeypatch.setenv("GRIDPURSE_STORE_URL", place.url)
    said = refusal(capsys, "settle", "--data", str(place.folder))
    assert f"{place.shown}: no store there; gridpurse setup makes one" in said
    said = refusal(capsys, "settle", "--data", str(place.folder / "typo"))
    assert "typo: no such data folder; name it with --data" in said


def test_a_connection_that_only_reads_cannot_write(place: StoreAddress) -> None:
    with (
        closing(PostgresConnection(place, read_only=True)) as connection,
        pytest.raises(Failure, match="read-only"),
    ):
        connection.execute("DELETE FROM parked")
