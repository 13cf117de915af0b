"""Decides about the supply of a service point: zones, emergency credit, holds, windows, relay.

Rules are prepaid.py's and relay.py's; here they meet the clock, the journal and the contact. Each
step is persisted before it acts, and every opening and closing carries its rule and figures.
"""

from firmware import point as points
from firmware import prepaid, relay
from protocol import codes
from protocol.units import INVALID, const

SAVE_MS = const(60000)  # countdowns are persisted this often while they run


class Supply:
    def __init__(self, board, clock, events, metering):
        self.board = board
        self.clock = clock
        self.events = events
        self.metering = metering  # commits slots and charges intervals

    def decide(self, point, presses=0, freed_by=relay.BY_REARM):
        """Warn, lend and move the relay by the balance that includes what is not charged yet.

        `freed_by` is the rule to name when this is what takes away the last hold.
        """
        if not point.state.version:
            return
        if self.count_down(point):
            freed_by = relay.BY_TIMER
        now_s, quality = self.clock.now()
        balance_ncur = point.state.balance_ncur - point.pending_ncur(now_s)
        limit = point.limit_ncur()
        if balance_ncur <= limit and point.slot.warned != prepaid.EXHAUSTED:
            self.metering.charge_now(point)
            balance_ncur = point.state.balance_ncur
        if self.lend(point, balance_ncur, presses and point.slot.relay != relay.ARMED):
            freed_by = relay.BY_EMERGENCY
        limit = point.limit_ncur()
        mean_ncur = point.slot.more[points.M_MEAN_NCUR]
        zone = prepaid.zone(point.settings, balance_ncur, limit, mean_ncur)
        if zone != point.slot.warned:
            self.warn(point, zone, balance_ncur)
        if point.settings.relay < len(self.board.relays):
            holds = prepaid.holds(point.settings, balance_ncur, limit, point.slot.holds)
            keeps = self.keeping(point, balance_ncur, now_s, quality)
            self.steer(point, holds, keeps, (balance_ncur, limit, zone), presses, freed_by)
            point.contact.recall(point.slot.relay, point.number, self.events)
        if point.meter.pulsed:
            point.near = point.meter.runs_out(point, now_s, self.metering.poll_ms)
            if point.near:
                self.metering.soon.set()

    def warn(self, point, zone, balance_ncur):
        worse = zone > point.slot.warned
        episode = prepaid.episode(point.slot.more[points.M_EPISODE], zone)
        slot = point.with_more(point.with_warning(zone), points.M_EPISODE, episode)
        self.metering.commit(point, slot)
        if worse:
            self.events.add(codes.WARNING, point.number, zone, balance_ncur)

    def lend(self, point, balance_ncur, chosen):
        """Emergency credit follows the balance, and the customer's choice. -> True when chosen."""
        before = point.slot.more[points.M_EMERGENCY]
        after = prepaid.emergency(point.settings, before, balance_ncur)
        chosen = bool(chosen) and after == prepaid.EC_OFFERED
        if chosen:
            after = prepaid.EC_ACTIVE
        if after != before:
            self.metering.commit(point, point.with_more(point.plain(), points.M_EMERGENCY, after))
            if after or before > prepaid.EC_OFFERED:
                self.events.add(codes.EMERGENCY, point.number, after or 4, balance_ncur)
        return chosen

    def count_down(self, point):
        """Let running times pass and persist them. -> True when an order's time is over."""
        passed_s = (self.board.ticks_ms() - point.counted_ms) // 1000
        if passed_s <= 0:
            return False
        point.counted_ms += passed_s * 1000
        slot = point.slot
        more = slot.more
        runs = False
        ended = False
        for place in (points.M_LEFT_S, points.M_ORDER_S, points.M_HOLD_S, points.M_CLOCK_S):
            if more[place] <= 0 or (place == points.M_LEFT_S and slot.relay != relay.PENDING):
                continue
            if place == points.M_CLOCK_S and not point.protected:
                continue
            more[place] = max(0, more[place] - passed_s)
            runs = True
            ended = ended or not more[place]
            if place == points.M_HOLD_S and not more[place]:
                self.events.add(codes.HOLD_SUPPLY, point.number, 0, 0)
        over = bool(more[points.M_ORDER]) and not more[points.M_ORDER_S]
        if over:
            self.end_order(point)
        elif ended or (runs and point.counted_ms - point.saved_ms >= SAVE_MS):
            point.saved_ms = point.counted_ms
            self.metering.commit(point, point.plain())
        return over

    def end_order(self, point):
        """A trip with a time is over: closed directly, or by the customer, as it was ordered."""
        slot = point.slot
        episode = slot.more[points.M_EPISODE]
        if slot.more[points.M_ORDER] == codes.TRIP_THEN_CLOSE:
            episode |= prepaid.CLOSE_ORDERED
        freed = point.with_relay(slot.relay, slot.rule, slot.holds & ~prepaid.HOLD_ORDERED, False)
        changed = point.with_more(freed, points.M_ORDER, 0, points.M_EPISODE, episode)
        self.metering.commit(point, changed)

    def keeping(self, point, balance_ncur, now_s, quality):
        """What keeps the supply on: hold-supply, friendly hours, a clock that does not know."""
        settings = point.settings
        more = point.slot.more
        keeps = prepaid.KEEP_SUPPLY if more[points.M_HOLD_S] else 0
        if quality != INVALID:
            more[points.M_CLOCK_S] = settings.clock_protect_s  # durable with the next slot
        if settings.friendly_floor_ncur and balance_ncur <= settings.friendly_floor_ncur:
            return keeps
        if quality == INVALID:
            return keeps | (prepaid.KEEP_FRIENDLY if more[points.M_CLOCK_S] else 0)
        if settings.friendly:
            from firmware.friendly import inside

            if inside(settings.friendly, point.book, now_s):
                keeps |= prepaid.KEEP_FRIENDLY
        return keeps

    def steer(self, point, holds, keeps, figures, presses, freed_by):
        slot = point.slot
        if point.settings.load_limit_mw:
            from firmware import load

            holds, restores = load.look(point, holds, figures[0], self)
            if restores:
                self.note(point, prepaid.CLOSE_RESTORES)
        bits = holds | keeps | point.holds_now
        if slot.more[points.M_TAMPER]:
            bits |= prepaid.HOLD_TAMPER
        rule = relay.ruling(bits, slot.relay)
        credit = bool(holds & prepaid.HOLD_CREDIT)
        closed = relay.is_closed(slot.relay)
        point.protected = credit and closed and bool(keeps & prepaid.KEEP_FRIENDLY)
        if point.protected and not slot.more[points.M_EPISODE] & prepaid.WAS_FRIENDLY:
            self.note(point, prepaid.WAS_FRIENDLY)
        if rule:
            delayed = rule == relay.BY_CREDIT and closed and self.delayed(point)
            event = relay.DELAYED if delayed else relay.HELD
            if delayed or not closed or not self.too_much_current(point, rule):
                self.relay_event(point, event, rule, holds, figures)
            return
        if closed and not keeps:
            rule = relay.gentle_rule(point.settings, slot.more[points.M_EPISODE], figures[2])
            if rule:
                self.relay_event(point, relay.GENTLE, rule, holds, figures)
                return
        if bits & prepaid.KEEP_SUPPLY and holds:
            freed_by = relay.BY_HOLD_SUPPLY
        self.relay_event(point, relay.FREE, freed_by, holds, figures)
        self.close(point, presses, holds, figures)

    def close(self, point, presses, holds, figures):
        """Nothing holds the supply: who closes it?"""
        slot = point.slot
        gentle = slot.rule in (relay.BY_COURTESY, relay.BY_ZERO)
        episode = slot.more[points.M_EPISODE]
        if presses:
            self.relay_event(point, relay.KEY, relay.BY_KEY, holds, figures)
        elif episode & (prepaid.CLOSE_ORDERED | prepaid.CLOSE_RESTORES):
            restores = episode & prepaid.CLOSE_RESTORES
            rule = relay.BY_RESTORE if restores else relay.BY_REMOTE_CLOSE
            self.relay_event(point, relay.CLOSE, rule, holds, figures)
        elif point.settings.auto_close and slot.relay == relay.ARMED and not (holds or gentle):
            self.relay_event(point, relay.CLOSE, relay.AUTOMATIC, holds, figures)

    def note(self, point, bit):
        """Persist a bit of the episode."""
        episode = point.slot.more[points.M_EPISODE] | bit
        self.metering.commit(point, point.with_more(point.plain(), points.M_EPISODE, episode))

    def delayed(self, point):
        """Whether an opening for credit has to wait; the delay is drawn once an episode."""
        more = point.slot.more
        if more[points.M_LEFT_S] < 0:
            left_s = point.settings.trip_delay_s
            if more[points.M_EPISODE] & prepaid.WAS_FRIENDLY:
                dice = int.from_bytes(self.board.entropy(2), "big")
                left_s += dice * point.settings.friendly_delay_s // 65535
            more[points.M_LEFT_S] = left_s  # durable with the relay's slot
        return more[points.M_LEFT_S] > 0

    def too_much_current(self, point, rule):
        """The contact spares itself: it waits a bounded time for the current to fall."""
        most_ma = point.settings.open_current_max_ma
        current_ma = point.current_ma
        if rule == relay.BY_SAFETY or not most_ma or current_ma is None or current_ma <= most_ma:
            return False
        now_ms = self.board.ticks_ms()
        if point.waiting_ms is None:
            point.waiting_ms = now_ms
        return now_ms - point.waiting_ms < point.settings.open_wait_s * 1000

    def relay_event(self, point, event, rule, holds, figures):
        """One step of the relay's table: persist, move, tell."""
        before = point.slot
        state, action = relay.TABLE[before.relay * relay.EVENTS + event]
        if action == relay.NOTHING and holds == before.holds:
            return
        if not point.contact.allowed(action, rule):
            return
        moved = action in (relay.DO_OPEN, relay.DO_CLOSE)
        if moved:
            self.metering.charge_now(point)
            point.contact.count()
            point.waiting_ms = None
        slot = point.with_relay(state, rule if action else before.rule, holds, moved)
        self.metering.commit(point, self.episode_after(point, slot, rule, moved))
        point.contact.move(action)
        if moved and slot.operations == relay.OPERATIONS_WARN:
            self.events.add(codes.RELAY_WORN, point.number, slot.operations)
        if action == relay.DO_WAIT:
            left_s = slot.more[points.M_LEFT_S]
            self.events.add(codes.RELAY_PENDING, point.number, rule, left_s, figures[0])
        elif action and action != relay.DO_CALM:
            self.events.add(_TOLD[action - 1], point.number, rule, *figures)

    def episode_after(self, point, slot, rule, moved):
        """The slot with what this step ends: ordered closings, drawn delays, a gentle opening."""
        episode = slot.more[points.M_EPISODE]
        left_s = slot.more[points.M_LEFT_S]
        if not slot.holds & prepaid.HOLD_CREDIT:
            episode &= ~prepaid.WAS_FRIENDLY
            left_s = -1
        if moved:
            episode &= ~(prepaid.CLOSE_ORDERED | prepaid.CLOSE_RESTORES)
        if rule == relay.BY_COURTESY:
            episode |= prepaid.DID_COURTESY
        if rule == relay.BY_ZERO:
            episode |= prepaid.DID_ZERO
        return point.with_more(slot, points.M_EPISODE, episode, points.M_LEFT_S, left_s)


_TOLD = (codes.RELAY_OPENED, codes.RELAY_CLOSED, codes.RELAY_ARMED, codes.RELAY_DISARMED)
