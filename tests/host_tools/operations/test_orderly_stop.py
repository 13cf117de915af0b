"""SIGTERM: a batch in flight is committed and acknowledged, or comes again; never half of that."""

import random
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from host_tools import broker
from host_tools.broker import free_port
from host_tools.config import MQTT, NATS
from host_tools.store.intake import PARKED_MAX
from tests.host_tools.desk import Yard
from tests.host_tools.genuine import HANG_S, by_deadline
from tests.host_tools.operations.test_metrics_and_health import got, samples

ROUND = 30  # messages


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    """Its broker repeats nothing that only took long to be acknowledged."""
    monkeypatch.setattr(broker, "ACK_WAIT_S", 10)
    made = Yard(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("kind", (MQTT, NATS))
def test_sigterm_again_and_again_under_load_loses_and_repeats_nothing(
    yard: Yard, kind: str
) -> None:
    if kind == NATS:
        yard.settle.end()
        yard.settle.broker = yard.broker.nats_address
        yard.settle.start()
    chance = random.Random(11)
    made = yard.ledger
    made.open()
    yard.radio.send(made.batch(1, 1))
    # The broker sends what is not acknowledged behind what is new: two rounds have to find room
    # among the batches that wait for a gap, because this module repeats nothing.
    assert 2 * ROUND < PARKED_MAX
    for _ in range(8):
        start = len(made.entries)
        for seq in range(start + 1, start + ROUND + 1):
            made.charge(chance.randrange(5000))
            yard.radio.send(made.batch(seq, 1))
        at_seq = chance.randrange(start, start + ROUND)
        by_deadline(lambda at_seq=at_seq: yard.seq() >= at_seq, f"{at_seq} settled")
        assert yard.settle.end(signal.SIGTERM) == 0
        yard.settle.start()
    by_deadline(lambda: yard.radio.settled(0) >= len(made.entries), "acknowledgement of all")
    point = yard.store.fleet.point_known("m1", 0)
    # The module sent nothing twice, so a duplicate would be a commit without its acknowledgement.
    assert point.state == made.state and point.duplicates == 0


def test_sigterm_while_the_commit_waits_ends_after_it_with_its_acknowledgement(
    yard: Yard,
) -> None:
    yard.settle.end()
    port = free_port()
    yard.settle.more = {"GRIDPURSE_HTTP_PORT": str(port)}
    yard.settle.start()
    made = yard.ledger
    made.open()
    for _ in range(9):
        made.charge(250)
    yard.radio.send(made.batch(1, 5))
    by_deadline(lambda: yard.radio.settled(0) >= 5, "acknowledgement")
    lock = sqlite3.connect(yard.store.where, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    yard.radio.send(made.batch(6, 5))

    def held_up() -> bool:
        return float(samples(got(port, "/metrics")[1])["gridpurse_turn_age_seconds"]) > 0.5

    by_deadline(held_up, "a turn that waits for the store")
    process = yard.settle.process
    process.send_signal(signal.SIGTERM)
    with pytest.raises(Exception, match="timed out"):
        process.wait(0.3)  # it does not give the batch up
    assert yard.seq() == 5
    lock.execute("ROLLBACK")
    lock.close()
    assert process.wait(HANG_S) == 0
    log = yard.settle.log.read_text()
    assert "stopped after the batch in hand" in log and "Traceback" not in log
    if yard.seq() < 10:  # it waited for its leases: the batch was not in hand, and comes again
        yard.settle.start()
    by_deadline(lambda: yard.radio.settled(0) >= 10, "acknowledgement")
    point = yard.store.fleet.point_known("m1", 0)
    assert point.state == made.state and point.duplicates == 0


def test_a_stopped_worker_leaves_its_shards_and_its_port_at_once(yard: Yard) -> None:
    port = free_port()
    yard.settle.end()
    yard.settle.more = {"GRIDPURSE_HTTP_PORT": str(port)}
    for _ in range(3):
        yard.settle.start()
        assert got(port, "/healthz")[0] == 200
        assert yard.settle.end(signal.SIGTERM) == 0
        with pytest.raises(OSError):
            got(port, "/healthz")
    (until_ms,) = yard.store._connection.execute("SELECT until_ms FROM leases").fetchone()
    assert until_ms == 0
