"""The metering loop: read meters, charge closed intervals, keep balances, warn, move relays.

Polls are aligned to the clock, so one falls on every interval boundary. Each step persists before
it acts. Works the same with and without a network, and never waits for one.
"""

import asyncio

from firmware import log, register
from firmware import point as points_module
from firmware.supply import Supply
from firmware.waits import sleep_ms
from protocol import codes, ledger, reading
from protocol.units import INTERVAL_S, INVALID, MODULE_TARGET, Malformed, Unavailable

CHECKPOINT_MS = 10000
SILENT_POLLS = 3
PLAIN = (ledger.CHARGE, ledger.FIXED, ledger.DEBT)  # may wait for others to travel with
STEP_S = 10  # smaller corrections of the clock are no steps
WATCH_MS = 10  # between looks at the pulses of a point that may run out before the next poll
LAG_S = 5  # a poll this soon after a boundary reads the boundary


class Metering:
    def __init__(self, board, clock, journal, outbox, events, points, health, device_log):
        self.board = board
        self.clock = clock
        self.journal = journal
        self.outbox = outbox
        self.events = events
        self.points = points
        self.health = health
        self.log = device_log
        self.on_record = None  # told when something waits to be sent
        self.watch = None  # what reads the meters and looks at supply quality and tamper
        self.supply = Supply(board, clock, events, self)
        self.on_poll = None  # told when all points have been looked at
        self.soon = asyncio.Event()  # some point may run out before the next poll
        self.poll_ms = self.checked_ms = 0
        self.turn = 0  # place of the point whose pulses were kept last
        self.failures = 0  # task failures, as far as told
        self.lost = (0, 0)  # records dropped and files damaged in the outbox, as far as told

    async def run(self, poll_ms):
        self.poll_ms = poll_ms
        while True:
            await sleep_ms(poll_ms - self.clock.now_ms() % poll_ms)
            await self.poll()
            self.health.beat("metering")

    async def watch_pulses(self):
        """A pulse that may exhaust a balance is taken when it comes, beside the polls."""
        while True:
            near = [point for point in self.points.values() if point.near]
            if not near:
                self.soon.clear()
                await self.soon.wait()
                continue
            await sleep_ms(WATCH_MS)
            for point in near:
                if point.meter.moved():
                    await self.read(point)
                    self.supply.decide(point)

    async def poll(self):
        presses = self.board.key_presses()
        for point in self.points.values():
            await self.read(point)
            self.account(point)
            self.supply.decide(point, presses)
        self.checkpoint()
        if not any([point.near for point in self.points.values()]):
            self.journal.prepare()
            self.outbox.tidy()
        if self.on_poll:
            self.on_poll()
        lost = (self.outbox.dropped, self.outbox.damaged)
        if lost != self.lost:
            self.lost = lost
            self.events.add(codes.OUTBOX_FULL, MODULE_TARGET, *lost)
        if self.health.failures != self.failures:
            self.failures = self.health.failures
            self.events.add(codes.TASK_RESTARTED, MODULE_TARGET, self.failures)

    async def read(self, point):
        """A plausible register total into point.seen_wh, or an event."""
        try:
            seen = await (self.watch.read(point) if self.watch else point.meter.read())
        except (Malformed, Unavailable):
            point.silent += 1
            if point.silent == SILENT_POLLS:
                self.log.add(log.METER_FAILED, point.number)
                self.events.add(codes.METER_SILENT, point.number, point.silent)
            return
        if point.silent >= SILENT_POLLS:
            self.events.add(codes.METER_BACK, point.number, seen.register_wh)
        point.silent = 0
        point.pulses = seen.pulses
        point.current_ma = seen.current_ma
        register.take(self, point, seen)
        if self.watch:  # safe mode goes without it
            self.watch.look(point, seen)

    def commit(self, point, slot):
        """Make a slot durable, then believe it, then offer its entry to the uplink."""
        acked = self.outbox.acked.get(point.number, 0)
        slot = points_module.Slot(*(slot[:7] + (acked,) + slot[8:]))
        payload = points_module.pack(slot)
        number = self.journal.commit(point.number, payload)
        point.slot = slot
        if slot.entry is not None:
            self.outbox.add(point.number, slot.entry.seq, number)
            if self.on_record:
                self.on_record(slot.entry.kind in PLAIN)

    def enter(self, point, entry):
        self.commit(point, point.with_entry(entry))

    def account(self, point):
        """Open the ledger, close the interval that has ended, post the days that have begun."""
        now_s, quality = self.clock.now()
        state = point.state
        if point.silent or now_s < state.time_s:
            return
        if not state.version:
            if quality == INVALID:
                return  # a ledger opens at a known time; until then supply stays off
            self.enter(point, ledger.opening(state, point.book, now_s, quality, point.seen_wh))
            return
        due_s = self.due_s(point.book, state.time_s)
        if now_s >= due_s:
            self.charge(point, self.label_s(now_s, due_s), quality)
        elif point.slot.more[points_module.M_DEBTS]:
            self.recover(point, False)

    def due_s(self, book, after_s):
        """When the running interval ends: at the next quarter, or where a dated set begins."""
        end_s = reading.next_boundary_s(after_s)
        for dated in (book.rates, book.ladders):
            for from_s, _ in dated:
                if after_s < from_s < end_s:
                    end_s = from_s
        return end_s

    def label_s(self, now_s, due_s):
        """A poll just after a boundary reads the boundary; a later one is what it is."""
        boundary_s = max(due_s, now_s - now_s % INTERVAL_S)
        return boundary_s if now_s - boundary_s <= LAG_S else now_s

    def charge(self, point, at_s, quality):
        self.keep_pulses(point)  # or a cut would count them again from before this entry
        state = point.state
        slot = point.with_entry(ledger.charge(state, point.book, at_s, quality, point.seen_wh))
        if slot.more[points_module.M_DEBTS]:
            from firmware import debts

            slot = debts.passed(point, slot, at_s - state.time_s)
        self.commit(point, slot)
        for dated in (point.book.rates, point.book.ladders):
            for from_s, _ in dated:
                if state.time_s < from_s <= at_s:  # a freeze of the register at the switch
                    figures = (from_s, point.state.register_wh, point.state.used_wh)
                    self.events.add(codes.TARIFF_SWITCHED, point.number, *figures)
        for day in range(*ledger.fixed_days_due(point.state, point.book, at_s)):
            slot = point.with_entry(ledger.fixed(point.state, point.book, quality, day))
            self.commit(point, point.with_day_over(slot))
        if point.slot.more[points_module.M_DEBTS]:
            self.recover(point, True)

    def set_clock(self, unix_ms):
        """Take an authenticated time. A step splits the running interval at the old instant and at
        the new one; small corrections pass in silence. What ran under no time at all is spread up
        to the new instant, because nobody knows when it was used."""
        old_s, quality = self.clock.now()
        step = abs(unix_ms // 1000 - old_s) > STEP_S
        if step and quality != INVALID:
            for point in self.points.values():
                self.charge_now(point)
        self.clock.set(unix_ms)
        if step:
            self.log.add(log.CLOCK_STEP, old_s, unix_ms // 1000)
            self.events.add(codes.CLOCK_SET, MODULE_TARGET, old_s, unix_ms // 1000)
            for point in self.points.values():
                self.charge_now(point)

    def recover(self, point, by_time):
        from firmware import debts

        debts.recover(point, self, by_time)

    def credited(self, point, entry):
        """The slot of a top-up, whichever way it came."""
        slot = point.with_entry(entry)
        if not slot.more[points_module.M_DEBTS]:
            return slot
        from firmware import debts

        return debts.reserve(self.board.root, point, slot)

    def charge_now(self, point):
        """Close the running interval here, because money or tariff changes at this instant."""
        now_s, quality = self.clock.now()
        state = point.state
        fresh = point.seen_wh > state.register_wh or now_s > state.time_s
        if state.version and fresh and now_s >= state.time_s:
            self.charge(point, now_s, quality)

    def checkpoint(self):
        """Keep raw pulse totals between entries: every ten seconds one of those that moved, in
        turn. More points would wear the flash out faster."""
        now_ms = self.board.ticks_ms()
        if now_ms - self.checked_ms < CHECKPOINT_MS:
            return
        self.checked_ms = now_ms
        points = list(self.points.values())
        for point in points:
            self.keep_lockout(point, now_ms)
        for _ in points:
            self.turn = (self.turn + 1) % len(points)
            if self.keep_pulses(points[self.turn]):
                return

    def keep_lockout(self, point, now_ms):
        """Count a lock-out of token entry down each minute, so that no restart prolongs it."""
        left_s = point.slot.more[points_module.M_LOCKED_S]
        passed_s = (now_ms - point.locked_ms) // 1000
        if left_s and passed_s >= min(left_s, 60):
            point.locked_ms += passed_s * 1000
            left_s = max(left_s - passed_s, 0)
            self.commit(point, point.with_more(point.plain(), points_module.M_LOCKED_S, left_s))

    def keep_pulses(self, point):
        """-> True when there was something to keep."""
        pulses = point.pulses
        moved = pulses is not None and pulses != self.journal.pulses(point.number)
        if moved:
            self.journal.checkpoint(point.number, pulses)
        return moved
