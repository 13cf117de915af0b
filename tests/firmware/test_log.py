# runs on: cpython micropython
"""The device log keeps the newest records, whatever the numbers."""

from firmware import log


def test_records_come_oldest_first_with_their_second():
    now_ms = [5000]
    ring = log.Log(lambda: now_ms[0])
    ring.add(log.BOOTED, 1, 7)
    now_ms[0] = 65999
    ring.add(log.TAMPER, 0, 2, 1)
    assert list(ring.records()) == [(5, log.BOOTED, 1, 7, 0), (65, log.TAMPER, 0, 2, 1)]


def test_a_full_ring_forgets_the_oldest():
    ring = log.Log(lambda: 0)
    for number in range(100):
        ring.add(log.CONNECTED, number)
    kept = [record[2] for record in ring.records()]
    assert kept == list(range(100 - len(kept), 100)) and len(kept) == 48


def test_a_number_that_is_too_large_or_negative_costs_only_itself():
    ring = log.Log(lambda: 0)
    ring.add(log.CLOCK_STEP, -1, 1 << 40, 3)
    assert list(ring.records()) == [(0, log.CLOCK_STEP, 0xFFFFFFFF, 0, 3)]
