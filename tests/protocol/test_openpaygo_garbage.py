# runs on: micropython
"""A walk leaves nothing on the heap of the module, whatever its length."""

import gc

from protocol import openpaygo
from protocol.siphash import SipHash
from protocol.topup import Mark


def test_a_walk_allocates_nothing_per_hash():
    walk = openpaygo.Walk(SipHash(bytes(16)), 750219629, Mark(0, 900, 1, 0), 123456789)
    walk.step(10)
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    walk.step(100)
    after = gc.mem_alloc()
    gc.enable()
    assert after == before, after - before
