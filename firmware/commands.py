"""Commands from the host: authenticated before they get here, applied exactly once, then
answered.

The watermark of applied ids lies in the same journal slot as the effect. A top-up is guarded by
its top-up number besides. What only wall time protects is refused while the clock is invalid. A
CLOCK is answered when the clock is set, and judged by that time. The effects themselves are in
firmware/effects, loaded when one is ordered and given back after it.
"""

import sys

from firmware import config, relay
from firmware import point as points_module
from protocol import codes, messages
from protocol.units import BAD_FIELD, EXPIRED, INVALID, MODULE_TARGET, REPLAYED, Malformed

# Action: its module in firmware/effects, whose apply(commands, point, command) -> status, or None
# when it is answered later, raises Malformed for bad arguments; `point` is None for what concerns
# the whole module.
EFFECTS = {
    codes.TOPUP: "topup",
    codes.TARIFF: "tariff",
    codes.RELAY: "order",
    codes.ADJUST: "adjust",
    codes.CONFIG: "config",
    codes.STATE: "state",
    codes.PLAN: "plan",
    codes.CLEAR: "clear",
    codes.METER: "meter",
    codes.UPDATE: "update",
    codes.DEBT: "debt",
    codes.TRANSFER: "transfer",
    codes.KEY: "key",
    codes.CLOCK: "clock",
}
OF_MODULE = (codes.CONFIG, codes.PLAN, codes.UPDATE, codes.KEY, codes.CLOCK)
# These are safe without a clock: a counter or a version keeps them from being played again.
COUNTED = (
    codes.TOPUP,
    codes.TARIFF,
    codes.ADJUST,
    codes.STATE,
    codes.CONFIG,
    codes.UPDATE,
    codes.TRANSFER,
    codes.KEY,
)

REPLAY_AFTER_MS = 300000  # copies that were under way together arrive within this time


class Commands:
    def __init__(self, board, settings, module, journal, clock, events, metering, points):
        self.board = board
        self.root = board.root
        self.settings = settings
        self.module = module
        self.journal = journal
        self.clock = clock
        self.events = events
        self.metering = metering
        self.points = points
        self.answered = {}  # command id: (event sequence of its answer, when), this boot only
        self.detail = 0  # what an effect adds to its answer
        self.asking = None  # (CLOCK that waits for the time, tick at which it asked), this boot
        self.uplink = None  # whose keys KEY changes
        self.on_statement = None  # asked to send a statement of a point

    def take(self, command):
        """Apply one authenticated command and answer it. Repeats are answered or reported."""
        if command.id in self.answered:
            self.repeated(command)
            return
        self.detail = 0
        status = self.judge(command)
        if status is None:
            try:
                status = self.apply(self.points.get(command.target), command)
            except Malformed:
                status = codes.REFUSED_FIELD
            except OSError as error:  # before the effect: a file comes first, and as a whole
                if error.args[0] not in config.NO_ROOM:
                    raise
                status = codes.REFUSED_FULL
        if status is not None:
            self.answer(command, status)

    def answer(self, command, status):
        if status == codes.REFUSED_EXPIRED:
            figures = (EXPIRED, messages.COMMAND, command.id)
            self.events.add(codes.REJECTED, command.target, *figures)
        self.events.result(command.id, status, self.detail)
        self.answered[command.id] = (self.events.seq, self.board.ticks_ms())
        if len(self.answered) > points_module.COMMAND_WINDOW:
            del self.answered[min(self.answered)]

    def set_clock(self, unix_ms):
        """Take an authenticated time, and answer the order that asked for it."""
        self.metering.set_clock(unix_ms)
        if self.asking:
            command, self.asking, self.detail = self.asking[0], None, 0
            late = unix_ms // 1000 > command.expires_s
            self.answer(command, codes.REFUSED_EXPIRED if late else self.finish_module(command))

    def repeated(self, command):
        """Our answer is on its way, or the host has had it for long: then somebody else asks."""
        seq, answered_ms = self.answered[command.id]
        now_ms = self.board.ticks_ms()
        if seq <= self.events.acked() and now_ms - answered_ms > REPLAY_AFTER_MS:
            figures = (REPLAYED, messages.COMMAND, command.id)
            self.events.add(codes.REJECTED, command.target, *figures)
            self.answered[command.id] = (self.events.seq, now_ms)

    def judge(self, command):
        """The refusal of a command that must not be applied, or None."""
        now_s, quality = self.clock.now()
        point = self.points.get(command.target)
        if command.action not in EFFECTS:
            return codes.REFUSED_UNSUPPORTED
        of_module = command.action in OF_MODULE
        if of_module != (command.target == MODULE_TARGET) or not (of_module or point):
            return codes.REFUSED_FIELD
        mark = self.module if point is None else point.slot
        if points_module.seen_id(mark.high, mark.window, command.id):
            return codes.ALREADY
        if command.action == codes.CLOCK:
            return None  # our own time is what is in doubt
        if quality == INVALID:
            return None if command.action in COUNTED else codes.REFUSED_CLOCK
        return codes.REFUSED_EXPIRED if now_s > command.expires_s else None

    def apply(self, point, command):
        name = "firmware.effects." + EFFECTS[command.action]
        try:
            __import__(name)
        except ImportError:
            return codes.REFUSED_UNSUPPORTED  # a build without it
        try:
            return sys.modules[name].apply(self, point, command)
        finally:
            config.forget(EFFECTS[command.action], "firmware.effects")
            config.forget("rekey")
            config.forget("slots", "firmware")

    def finish(self, point, slot, command, freed_by=relay.BY_REARM):
        """One slot holds the effect and the id."""
        self.metering.commit(point, point.with_command(slot, command.id))
        self.metering.supply.decide(point, freed_by=freed_by)
        return codes.DONE

    def finish_module(self, command):
        """The id of a command for the whole module, whose effect is durable already."""
        module = self.module
        mark = points_module.accept_id(module.high, module.window, command.id)
        module.high, module.window = mark
        module.commit(self.journal, self.clock.now()[0])
        return codes.DONE


def integers(args, least, most=0):
    """The arguments of a command: `least` to `most` integers, or Malformed."""
    if not least <= len(args) <= max(least, most):
        raise Malformed(BAD_FIELD, "command arguments")
    if not all([type(value) is int for value in args]):
        raise Malformed(BAD_FIELD, "command arguments")
    return args
