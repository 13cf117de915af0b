# runs on: micropython
"""The fuzzing would notice: careless parsers make its failures rise."""

import time

from protocol import messages
from protocol.units import BAD_FIELD, Malformed
from tests.bench import wires_child as wires
from tests.firmware import desk as desks

INPUTS = 200
PAYLOAD = messages.pack(messages.Time(1, 2, 3))


def failures(enter, heap_max=10_000, right=wires.any_value):
    return wires.tried(lambda dice: dice.bytes(20), enter, right, 1, INPUTS, heap_max).failures


def test_refusals_are_no_failures():
    def enter(data):
        raise Malformed(BAD_FIELD, "fuzz")

    assert failures(enter) == 0


def test_another_exception_is_a_failure():
    assert failures(lambda data: data[99]) == INPUTS


def test_an_allocation_above_the_bound_is_a_failure():
    assert failures(lambda data: bytes(9_000)) == 0
    assert failures(lambda data: bytes(11_000)) == INPUTS


def test_a_hang_is_a_failure():
    kept = wires.INPUT_MS_MAX
    wires.INPUT_MS_MAX = 3
    try:
        assert failures(lambda data: time.sleep_ms(5) if data[0] < 20 else None) > 0
    finally:
        wires.INPUT_MS_MAX = kept


def test_a_module_that_takes_what_is_forged_is_a_failure():
    module = wires.Module
    try:
        wires.Module = Gullible
        count = wires.tried(
            *wires.forged([(True, PAYLOAD)], desks.folder("forged")), 1, 50, 12_000
        )
    finally:
        wires.Module = module
    assert count.failures > 0


class Gullible(wires.Module):
    """Its link hands every message on to the commands, whatever its seal says."""

    def __init__(self, root):
        super().__init__(root)
        self.firmware.uplink.receive = lambda topic, data: self.firmware.clock.set(len(data))


def test_a_wrong_value_is_a_failure():
    assert failures(lambda data: data[0], right=lambda data, value: value != data[0]) == INPUTS


def test_every_wire_gets_its_share():
    assert sum([share for _, share, _ in wires.WIRES.values()]) == 1000
