"""Commands from the host: authenticated before they get here, applied exactly once, then
answered.

The watermark of applied ids lies in the same journal slot as the effect. A top-up is guarded by
its top-up number besides. What only wall time protects is refused while the clock is invalid.
"""

from firmware import config, prepaid, relay
from firmware import point as points_module
from protocol import codes, ledger, messages, topup
from protocol.units import BAD_FIELD, EXPIRED, INVALID, MODULE_TARGET, REPLAYED, Malformed

# These are safe without a clock: a counter or a version keeps them from being played again.
_COUNTED = (codes.TOPUP, codes.TARIFF, codes.ADJUST, codes.STATE)

REPLAY_AFTER_MS = 300000  # copies that were under way together arrive within this time


class Commands:
    def __init__(self, root, ticks_ms, clock, events, metering, points):
        self.root = root
        self.ticks_ms = ticks_ms
        self.clock = clock
        self.events = events
        self.metering = metering
        self.points = points
        self.answered = {}  # command id: (event sequence of its answer, when), this boot only
        self.on_statement = None  # asked to send a statement of a point

    def take(self, command):
        """Apply one authenticated command and answer it. Repeats are answered or reported."""
        if command.id in self.answered:
            self.repeated(command)
            return
        status = self.judge(command)
        if status is None:
            try:
                status = self.apply(self.points.get(command.target), command)
            except Malformed:
                status = codes.REFUSED_FIELD
        if status == codes.REFUSED_EXPIRED:
            figures = (EXPIRED, messages.COMMAND, command.id)
            self.events.add(codes.REJECTED, command.target, *figures)
        self.events.result(command.id, status)
        self.answered[command.id] = (self.events.seq, self.ticks_ms())
        if len(self.answered) > points_module.COMMAND_WINDOW:
            del self.answered[min(self.answered)]

    def repeated(self, command):
        """Our answer is on its way, or the host has had it for long: then somebody else asks."""
        seq, answered_ms = self.answered[command.id]
        now_ms = self.ticks_ms()
        if seq <= self.events.acked() and now_ms - answered_ms > REPLAY_AFTER_MS:
            figures = (REPLAYED, messages.COMMAND, command.id)
            self.events.add(codes.REJECTED, command.target, *figures)
            self.answered[command.id] = (self.events.seq, now_ms)

    def judge(self, command):
        """The refusal of a command that must not be applied, or None."""
        now_s, quality = self.clock.now()
        point = self.points.get(command.target)
        if point is None:
            known = command.target == MODULE_TARGET and 0 < command.action <= codes.STATE
            return codes.REFUSED_UNSUPPORTED if known else codes.REFUSED_FIELD
        if points_module.seen_id(point.slot.high, point.slot.window, command.id):
            return codes.ALREADY
        if quality == INVALID:
            return None if command.action in _COUNTED else codes.REFUSED_CLOCK
        return codes.REFUSED_EXPIRED if now_s > command.expires_s else None

    def apply(self, point, command):
        action = command.action
        if action == codes.TOPUP:
            return self.top_up(point, command)
        if action == codes.TARIFF:
            return self.set_tariff(point, command)
        if action == codes.RELAY:
            return self.order_relay(point, command)
        if action == codes.ADJUST:
            return self.adjust(point, command)
        if action == codes.STATE:
            self.on_statement(point)
            return codes.DONE
        return codes.REFUSED_UNSUPPORTED

    def finish(self, point, slot, command, freed_by=relay.BY_REARM):
        """One slot holds the effect and the id."""
        self.metering.commit(point, point.with_command(slot, command.id))
        self.metering.decide(point, freed_by=freed_by)
        return codes.DONE

    def top_up(self, point, command):
        number, generation, amount_ncur = _integers(command.args, 3)
        mark = point.state.mark
        if generation != mark.generation or not 0 < number <= topup.NUMBER_MAX or number & 1:
            return codes.REFUSED_FIELD
        fresh = topup.check(mark, number)
        if fresh != topup.FRESH:
            return codes.ALREADY if fresh == topup.USED else codes.REFUSED_TOO_OLD
        now_s, quality = self.clock.now()
        if not prepaid.cap_allows(point.settings, point.state.balance_ncur, amount_ncur):
            return codes.REFUSED_CAP
        entry = ledger.topped_up(
            point.state, now_s, quality, number, ledger.BY_COMMAND, amount_ncur
        )
        return self.finish(point, point.with_entry(entry), command)

    def adjust(self, point, command):
        reason, amount_ncur = _integers(command.args, 2)
        now_s, quality = self.clock.now()
        entry = ledger.adjusted(point.state, now_s, quality, command.id, reason, amount_ncur)
        return self.finish(point, point.with_entry(entry), command)

    def set_tariff(self, point, command):
        """Charge up to here under the old book, then keep the new one. Versions only rise."""
        if len(command.args) != 1:
            return codes.REFUSED_FIELD
        from protocol import tariff_book  # given back when the command is done

        book = tariff_book.from_wire(command.args[0])
        if book.version <= point.book.version:
            return codes.ALREADY
        self.metering.charge_now(point)
        config.forget("tariff_book")
        config.save_book(self.root, point.number, command.args[0])
        point.book = book
        self.events.add(codes.TARIFF_SET, point.number, book.version)
        return self.finish(point, point.plain(), command)

    def order_relay(self, point, command):
        (order,) = _integers(command.args, 1)
        if not codes.TRIP <= order <= codes.DIRECT_CLOSE:
            return codes.REFUSED_FIELD
        slot = point.slot
        held = slot.holds & ~prepaid.HOLD_REMOTE
        if order == codes.TRIP:
            held = slot.holds | prepaid.HOLD_REMOTE
        elif order == codes.DIRECT_CLOSE and held:
            return codes.REFUSED_HELD
        # Closing may have to wait for the minimum open time: the metering loop sees to it.
        point.close_ordered = order == codes.DIRECT_CLOSE
        rule = relay.BY_REMOTE_CLOSE if point.close_ordered else relay.BY_REMOTE_PERMIT
        changed = point.with_relay(slot.relay, slot.rule, held, False)
        return self.finish(point, changed, command, freed_by=rule)


def _integers(args, count):
    """Exactly `count` integers, or Malformed."""
    if len(args) != count or not all([type(value) is int for value in args]):
        raise Malformed(BAD_FIELD, "command arguments")
    return args
