"""Validation between the batches of settlement: a little at a time, and only while it is quiet.

A burst or a backlog of messages goes first; what was settled meanwhile is looked at afterwards,
or after a quarter of an hour without a pause.
Also tells, once each, the differences that nobody here can explain.
"""

import logging
from collections.abc import Collection

from host_tools.clock import Clock
from host_tools.settlement import settle
from host_tools.settlement.counters import Counters
from host_tools.settlement.tenancy import Tenancy
from host_tools.store.database import Store
from host_tools.validation import closing
from host_tools.validation.following import Follower

BUSY_MESSAGES = 256  # of one turn of settlement: more are a burst
QUIET_MS = 1000  # without a burst before validation begins
TURN_MS = 50
STARVED_MS = 900_000  # of bursts without a pause: then a turn each second all the same
LOOK_MS = 10_000  # how soon what is new is looked for
ALARMS_MAX = 20  # lines of one look; more are counted
ALARMING = (settle.UNEXPLAINED, settle.TAMPER, settle.ROLLBACK, settle.SWAP)

log = logging.getLogger(__name__)


class Between:
    """What a worker does for validation while it has little else to do."""

    def __init__(self, store: Store, clock: Clock, counters: Counters, tenancy: Tenancy) -> None:
        self._store = store
        self._clock = clock
        self._counters = counters
        self._follower = Follower(store, clock.now_s, tenancy.confirm)
        self._due_ms = clock.ticks_ms() + QUIET_MS
        self._latest_ms = clock.ticks_ms() + STARVED_MS
        self._alarmed = 0  # the last difference that was told

    def turn(self, messages: int, shards: Collection[int]) -> None:
        """A short piece of work, after a turn of settlement that took so many messages."""
        ticks_ms, busy = self._clock.ticks_ms(), messages > BUSY_MESSAGES
        if busy and ticks_ms < self._latest_ms:
            self._due_ms = ticks_ms + QUIET_MS
        if ticks_ms < self._due_ms:
            return
        if not busy:
            self._latest_ms = ticks_ms + STARVED_MS
        end_ms = ticks_ms + TURN_MS
        done = self._follower.turn(lambda: self._clock.ticks_ms() >= end_ms, shards)
        self._counters.validated += done.entries
        self._counters.validation_waiting = self._follower.left
        if not self._follower.left:
            self._due_ms = self._clock.ticks_ms() + LOOK_MS
            self.alarm(shards)
        elif busy:
            self._due_ms = self._clock.ticks_ms() + QUIET_MS

    def alarm(self, shards: Collection[int]) -> None:
        """One line for each difference that was opened since and has no explanation."""
        found = closing.opened_since(self._store, self._alarmed, ALARMING, shards)
        for each in found[:ALARMS_MAX]:
            log.error(
                "alarm: %s at %s/%d: %s at entry %d, module %s, host %s; see"
                " `gridpurse differences list`",
                each.kind, each.module, each.point, each.detail, each.seq, each.module_value,
                each.host_value,
            )  # fmt: skip
        if len(found) > ALARMS_MAX:
            more = len(found) - ALARMS_MAX
            log.error("alarm: %d more differences; see `gridpurse differences list`", more)
        if found:
            self._alarmed = found[-1].id
