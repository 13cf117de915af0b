"""Counters, the pages of a worker, and its log: real batches, a real port, a real process."""

import http.client
import io
import json
import logging
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from host_tools import Refused, master_key
from host_tools.broker import HOST, free_port
from host_tools.config import JSON, PASSWORD, PREFIX, TEXT, read_settings
from host_tools.operations import figures, logs, metrics, web
from host_tools.settlement.counters import Counters
from host_tools.settlement.jetstream import JetStreamTransport
from host_tools.settlement.refusals import KINDS_MAX, WINDOW_MS, Refusals
from host_tools.settlement.transport import Claim, Delivery
from host_tools.store.held import Overtaken
from protocol import topics
from protocol.units import FORGED, MALFORMED
from tests.host_tools.desk import NOW_S, Desk, Yard
from tests.host_tools.genuine import ROOT, START_S, by_deadline

SAMPLE = re.compile(r'^(gridpurse_[a-z_]+)(\{[a-z]+="[^"]*"\})? (-?\d+(?:\.\d+)?)$')


def samples(text: str) -> dict[str, str]:
    """{name and labels: value}; every line is a comment or a sample of a declared metric."""
    out, declared = {}, set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            declared.add(line.split()[2])
        if line.startswith("#"):
            continue
        found = SAMPLE.match(line)
        assert found, line
        base = re.sub(r"_(bucket|sum|count)$", "", found[1])
        assert found[1] in declared or base in declared, line
        assert found[1] + (found[2] or "") not in out, line
        out[found[1] + (found[2] or "")] = found[3]
    return out


def scraped(desk: Desk) -> dict[str, str]:
    shown = metrics.text(
        desk.counters, figures.of_store(desk.place), desk.clock.now_s(), desk.clock.ticks_ms()
    )
    return samples(shown)


def test_counters_are_what_was_committed_and_the_page_shows_them(desk: Desk) -> None:
    made = desk.opened(charges=3)
    good = desk.sender.seal(made.batch(1, 4))
    desk.take(good, b"junk", good[:-1] + bytes([good[-1] ^ 1]), b"junk")
    desk.take(good)
    found = scraped(desk)
    wanted = {
        "gridpurse_messages_total": "5",
        "gridpurse_readings_total": "8",
        'gridpurse_rejects_total{reason="malformed"}': "2",
        'gridpurse_rejects_total{reason="forged"}': "1",
        'gridpurse_rejects_total{reason="replayed"}': "0",
        "gridpurse_batches_total": "2",
        "gridpurse_acknowledgements_total": "2",
        "gridpurse_commit_seconds_count": "2",
        'gridpurse_batch_seconds_bucket{le="+Inf"}': "2",
        "gridpurse_newest_reading_age_seconds": str(NOW_S - made.state.time_s),
        "gridpurse_commands_open": "2",  # enrolment orders the tariffs
        'gridpurse_differences_open{class="unexplained"}': "0",
        "gridpurse_store_readable": "1",
    }
    assert {key: found.get(key) for key in wanted} == wanted


def test_a_batch_that_was_not_committed_counts_nothing(desk: Desk) -> None:
    made = desk.opened(charges=1)
    desk.store.leases._connection.execute("UPDATE leases SET owner = 'other', generation = 9")
    with pytest.raises(Overtaken):
        desk.take(made.batch(1, 2), b"junk")
    assert (desk.counters.messages, desk.counters.readings, desk.counters.rejects) == (0, 0, {})


def test_a_histogram_is_cumulative_and_its_sum_is_exact() -> None:
    counters = Counters()
    for took_ms in (0, 1, 7, 250, 60000):
        counters.batch.add(took_ms)
    found = samples(metrics.text(counters, None, NOW_S, 0))
    shown = [found[f'gridpurse_batch_seconds_bucket{{le="{le}"}}'] for le in ("0.001", "0.010")]
    assert shown == ["2", "3"]
    assert found['gridpurse_batch_seconds_bucket{le="10.000"}'] == "4"
    assert found["gridpurse_batch_seconds_sum"] == "60.258"
    assert found["gridpurse_batch_seconds_count"] == "5"
    assert found["gridpurse_store_readable"] == "0"
    assert "gridpurse_commands_open" not in found


def test_open_differences_and_the_newest_reading_are_those_of_the_store(desk: Desk) -> None:
    assert figures.of_store(desk.place).newest_s is None
    made = desk.opened(charges=2)
    desk.take(made.batch(1, 3))
    point = desk.store.fleet.point_known("m1", 0)
    with desk.store.transaction():
        desk.store.ledgers.differ(point.id, "unexplained", "x", 3, (1, 2), NOW_S)
    found = figures.of_store(desk.place)
    assert found.newest_s == made.state.time_s > START_S
    assert found.differences_open == {"unexplained": 1}
    with pytest.raises(sqlite3.OperationalError):
        figures.read_only(desk.place).execute("DELETE FROM parked")


# The pages


@contextmanager
def served(desk: Desk) -> Iterator[web.Server]:
    server = web.Server(HOST, 0, web.Pages(desk.counters, desk.clock, desk.place))
    server.begin()
    try:
        yield server
    finally:
        server.end()


def got(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    link = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        link.request(method, path)
        answer = link.getresponse()
        return answer.status, answer.read().decode()
    finally:
        link.close()


def test_health_is_a_loop_that_turns_and_readiness_a_broker_that_serves(desk: Desk) -> None:
    with served(desk) as server:
        port = server.server_port
        assert got(port, "/healthz")[0] == 200
        assert got(port, "/readyz")[0] == 503
        desk.counters.connected, desk.counters.shards = True, (0, 2)
        status, body = got(port, "/readyz")
        assert (status, json.loads(body)["shards"]) == (200, [0, 2])
        desk.clock.ms += web.TURN_MS_MAX + 1
        assert [got(port, path)[0] for path in ("/healthz", "/readyz", "/metrics")] == [
            503,
            503,
            200,
        ]
        assert got(port, "/")[0] == got(port, "/../etc/passwd")[0] == 404
        for method in ("POST", "PUT", "DELETE"):
            for path in ("/healthz", "/metrics", "/"):
                assert got(port, path, method) == (405, "GET and HEAD only\n")
        assert got(port, "/metrics", "BREW") == (501, "501 Unsupported method ('BREW')\n")
        assert got(port, "/healthz", "HEAD") == (503, "")


def test_clients_that_say_nothing_do_not_stop_the_pages_end(desk: Desk) -> None:
    with served(desk) as server:
        silent = [
            http.client.HTTPConnection(HOST, server.server_port, timeout=10) for _ in range(6)
        ]
        for link in silent:
            link.connect()
        assert got(server.server_port, "/healthz")[0] == 200
        for link in silent:
            link.close()


def test_a_port_in_use_is_one_line(desk: Desk) -> None:
    with served(desk) as server, pytest.raises(Refused, match=r"http 127.0.0.1:\d+: .*\[http\]"):
        web.Server(HOST, server.server_port, web.Pages(Counters(), desk.clock, desk.place))


# The log


@pytest.fixture
def logged() -> io.StringIO:
    """What is logged in a test; tests/host_tools/conftest.py gives the log back."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logs.JsonLines())
    logging.getLogger().handlers[:] = [handler]
    return out


def test_a_flood_of_one_kind_is_one_line_and_then_a_count(logged: io.StringIO) -> None:
    refusals = Refusals()
    for number in range(500):
        refusals.refused(f"u/0/m{number % 2}", f"m{number % 2}", FORGED, "", number)
    assert logged.getvalue().count("\n") == 2
    refusals.refused("u/0/m0", "m0", MALFORMED, "CBOR", 500)
    refusals.look(501)
    refusals.refused("u/0/m0", "m0", FORGED, "", WINDOW_MS)
    refusals.look(2 * WINDOW_MS)
    shown = [json.loads(line) for line in logged.getvalue().splitlines()]
    told = [(item["module_id"], item["reason"], item["suppressed"]) for item in shown]
    assert told == [
        ("m0", "forged", 0),
        ("m1", "forged", 0),
        ("m0", "malformed", 0),
        ("m0", "forged", 249),
        ("m1", "forged", 249),
    ]
    refusals.look(4 * WINDOW_MS)
    assert refusals._kinds == {}


def test_made_up_module_names_fill_neither_log_nor_memory(logged: io.StringIO) -> None:
    refusals = Refusals()
    for number in range(10 * KINDS_MAX):
        refusals.refused(f"u/0/x{number}", f"x{number}", FORGED, "", number % 1000)
    assert len(refusals._kinds) == KINDS_MAX + 1
    assert logged.getvalue().count("\n") == KINDS_MAX + 1
    refusals.look(0, over=True)
    assert json.loads(logged.getvalue().splitlines()[-1])["suppressed"] == 9 * KINDS_MAX - 1


def test_every_refusal_is_a_row_even_when_its_line_is_not_logged(
    desk: Desk, logged: io.StringIO
) -> None:
    desk.take(*[b"junk %d" % number for number in range(50)])
    assert len(desk.reasons()) == 50
    assert logged.getvalue().count("\n") == 1


@pytest.mark.parametrize("form", (TEXT, JSON))
def test_what_a_message_carries_cannot_begin_a_line_of_the_log(form: str) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    try:
        out = io.StringIO()
        logs.begin(form, out)
        logging.getLogger("x").warning("rejected %s", "u/0/\n2026 ERROR \x1b[31mforged 伪造")
    finally:
        root.handlers = handlers
        root.setLevel(level)
    assert out.getvalue().count("\n") == 1 and "\x1b" not in out.getvalue()
    assert "伪造" in out.getvalue()


# Settings


SLIPS = (
    ({"GRIDPURSE_BROKR_HOST": "x"}, "GRIDPURSE_BROKR_HOST: is unknown; did you mean GRIDPURSE_BR"),
    ({"GRIDPURSE_HTTP_PRT": "1"}, "did you mean GRIDPURSE_HTTP_PORT"),
    ({"GRIDPURSE_HTTP_PORT": "99999"}, "GRIDPURSE_HTTP_PORT: must be a whole number from 0 to"),
    ({"GRIDPURSE_LOG": "xml"}, 'GRIDPURSE_LOG: must be "text" or "json"'),
    ({"GRIDPURSE_BROKER_KIND": "amqp"}, 'GRIDPURSE_BROKER_KIND: must be "mqtt" or "nats"'),
    ({"GRIDPURSE_HTTP_HOST": ""}, "GRIDPURSE_HTTP_HOST: must not be empty"),
    ({"GRIDPURSE_DATA_DIR": ""}, "GRIDPURSE_DATA_DIR: must not be empty"),
    ({"GRIDPURSE_POLL_MS": ""}, "GRIDPURSE_POLL_MS: must be a whole number"),
)


@pytest.mark.parametrize(("environ", "line"), SLIPS)
def test_a_wrong_or_misspelt_variable_is_one_line_that_names_it(
    environ: dict[str, str], line: str, tmp_path: Path
) -> None:
    path = tmp_path / "g.toml"
    path.write_text("")
    with pytest.raises(Refused) as refused:
        read_settings(path, environ)
    assert line in str(refused.value) and "\n" not in str(refused.value)


def test_variables_of_others_are_let_be_and_ours_override_the_file(tmp_path: Path) -> None:
    path = tmp_path / "g.toml"
    path.write_text('[settle]\nlog = "text"\n[http]\nport = 9464\n')
    made = read_settings(path, {"GRIDPURSE_LOG": "json", "GRIDPURSE_TMP": "x", "HOME": "y"})
    assert (made.log, made.http_host, made.http_port) == (JSON, HOST, 9464)


def test_every_variable_is_in_the_operators_page_and_every_one_there_exists() -> None:
    page = (ROOT / "docs/operator.md").read_text(encoding="utf-8")
    table = page.split("## Configuration")[1].split("\n## ")[0]
    shown = set(re.findall(rf"`({PREFIX}[A-Z_]+)", table))
    source = (ROOT / "host_tools/config.py").read_text(encoding="utf-8")
    asked = set(re.findall(rf'"({PREFIX}[A-Z_]+)"', source))
    asked |= {PASSWORD, f"{PREFIX}STORE_PASSWORD", master_key.VARIABLE}
    assert shown == asked


def test_every_metric_is_in_the_operators_page() -> None:
    page = (ROOT / "docs/operator.md").read_text(encoding="utf-8")
    for name in metrics.METRICS:
        assert f"| `{metrics.PREFIX}{name}` |" in page


# A real process


def test_a_worker_shows_its_pages_and_logs_json(yard: Yard) -> None:
    yard.settle.end()
    port = free_port()
    yard.settle.more = {"GRIDPURSE_HTTP_PORT": str(port), "GRIDPURSE_LOG": JSON}
    yard.settle.start()
    made = yard.ledger
    made.open()
    made.charge(250)
    yard.radio.send_bytes(b"junk")
    yard.radio.send(made.batch(1, 2))
    by_deadline(lambda: yard.radio.settled(0) >= 2, "acknowledgement")
    found = samples(got(port, "/metrics")[1])
    assert found["gridpurse_readings_total"] == "2"
    assert found['gridpurse_rejects_total{reason="malformed"}'] == "1"
    assert (found["gridpurse_shards_held"], found["gridpurse_connected"]) == ("1", "1")
    assert got(port, "/healthz")[0] == got(port, "/readyz")[0] == 200
    yard.broker.stop()
    by_deadline(lambda: got(port, "/readyz")[0] == 503, "not ready without a broker")
    assert got(port, "/healthz")[0] == 200
    yard.broker.start(yard.broker.users)
    by_deadline(lambda: got(port, "/readyz")[0] == 200, "ready again")
    assert yard.settle.end() == 0
    lines = [line for line in yard.settle.log.read_text().splitlines() if line[:1] == "{"]
    shown = [json.loads(line) for line in lines]
    (rejected,) = [item for item in shown if item.get("reason") == "malformed"]
    assert (rejected["module_id"], rejected["topic"]) == ("m1", topics.up(0, "m1"))
    assert rejected["level"] == "warning" and rejected["time"].endswith("Z")


def test_the_backlog_of_a_stream_is_what_the_broker_holds_behind_the_last_message(
    yard: Yard,
) -> None:
    yard.settle.end()
    for number in range(30):
        yard.radio.send_bytes(b"%d" % number)
    by_deadline(lambda: not yard.radio.client._out_messages, "the broker has them")
    transport = JetStreamTransport(yard.broker.nats_address, "backlog")
    transport.open(Claim(0, 1, 1))
    assert transport.backlog() == 0
    taken: list[Delivery] = []

    def took(most: int) -> bool:
        taken.extend(transport.take(most - len(taken), 1000))
        transport.acknowledge(taken)
        return len(taken) == most

    by_deadline(lambda: took(10), "ten messages")
    assert transport.backlog() == 20
    by_deadline(lambda: took(30), "all messages")
    assert transport.backlog() == 0
    transport.shut(0)
    assert transport.backlog() == 0
    transport.stop()
