"""What the module sees beside the billing register: which registers to read when, and who looks.

One Watch for all points; quality and tamper of a point are loaded only where its settings ask for
them. Begins of episodes are bounded, 12 an hour, point and subject: what is beyond that is
counted, told once an hour, and acted upon all the same. Never charges, never moves a relay.
"""

from firmware import config, prepaid, relay
from firmware.meters.readings import ALL, ENERGY, LIVE
from protocol import cbor, codes
from protocol.quantities import CURRENT_L1_MA, CURRENT_MA, VOLTAGE_L1_MV, VOLTAGE_MV
from protocol.units import Malformed, const

PLAN = "/plan.cbor"  # [plan, cadence_s or 0, until_s or 0] of the last PLAN command
# Of the ordinary, the customised and the comprehensive plan: how often all is read, and told.
_CADENCE_S = (900, 60, 1)
_PUBLISH_S = (0, 300, 60)
_SAMPLE_MS = const(700)
_CLOSER_MS = const(10000)
_HOUR_MS = const(3600000)
_BEGINS_MAX = const(12)


class Watch:
    def __init__(self, metering, root, plan):
        """plan: the configured one, of settings.Module."""
        self.metering = metering
        self.root = root
        self.configured = plan
        self.ordered = [plan, 0, 0]
        try:
            data = config.read(root, PLAN)
            from firmware.effects import plan as effect

            self.ordered = effect.checked(cbor.decode(data))
            config.forget("plan", "firmware.effects")
        except Malformed:
            pass  # none was ordered, or none that this firmware knows
        self.sights = {}
        for number, point in metering.points.items():
            self.sights[number] = Sight(self, point)

    def plan(self):
        """(cadence_s, publish_s) that hold now."""
        plan, cadence_s, until_s = self.ordered
        if until_s and self.metering.clock.now()[0] >= until_s:
            plan, cadence_s = self.configured, 0
        cadence_s = cadence_s or _CADENCE_S[plan]
        publish_s = _PUBLISH_S[plan]
        return cadence_s, publish_s and max(publish_s, cadence_s)

    async def read(self, point):
        """The Reading of a poll: the billing register, and what is due beside it."""
        sight = self.sights[point.number]
        if self.metering.board.ticks_ms() >= sight.identify_ms:
            from firmware import identity

            await identity.check(self, sight)
            config.forget("identity", "firmware")
        return await point.meter.read(sight.group())

    def look(self, point, seen):
        """Judge a reading: events, latches and point.holds_now."""
        self.sights[point.number].look(seen)


class Sight:
    """What is remembered of one point's view."""

    def __init__(self, watch, point):
        self.watch = watch
        self.point = point
        self.identify_ms = 0  # when to ask what meter it is
        self.other_meter = False  # not the one that was accepted
        self.quality = self.tamper = None
        self._ms = self._live_ms = None  # of the last look, and of the last live one
        self._group = ENERGY
        self._read = self._published = -1  # numbers of the last windows
        self._hour = 0
        self._told = [0, 0]  # begins of quality and of tamper in this hour
        self._dropped = 0
        settings = point.settings
        if settings.nominal_mv or settings.protect:
            from firmware.quality import Quality

            slot = point.slot
            tripped = slot.rule == relay.BY_SAFETY and not relay.is_closed(slot.relay)
            self.quality = Quality(settings, self.tell, settings.protect if tripped else 0)
        if settings.tamper_notify or settings.tamper_trip:
            from firmware.tamper import Tamper

            self.tamper = Tamper(watch.metering, point, self.tell)
        self._hold()

    def group(self):
        """Which registers this poll reads; after a silence the billing register alone."""
        metering = self.watch.metering
        cadence_s = self.watch.plan()[0]
        window = metering.clock.now()[0] // cadence_s
        self._group = ENERGY
        if self.point.silent:
            return ENERGY
        if window != self._read:
            self._read, self._group = window, ALL
            return ALL
        since_ms = _HOUR_MS
        if self._live_ms is not None:
            since_ms = metering.board.ticks_ms() - self._live_ms
        closer = self.tamper and self.tamper.suspects() and since_ms >= _CLOSER_MS
        sampled = self.quality or self.point.settings.open_current_max_ma
        if closer or (sampled and since_ms >= _SAMPLE_MS):
            self._group = LIVE
        return self._group

    def look(self, seen):
        metering = self.watch.metering
        now_ms = metering.board.ticks_ms()
        dt_ms = 0 if self._ms is None else now_ms - self._ms
        self._ms = now_ms
        if now_ms // _HOUR_MS != self._hour:
            if self._dropped:
                figures = (codes.EVENTS_DROPPED, 0, 0, self._dropped, 3600)
                metering.events.add(codes.QUALITY, self.point.number, *figures)
            self._hour, self._told, self._dropped = now_ms // _HOUR_MS, [0, 0], 0
        live_ms, volts, amps = 0, None, None
        if self._group != ENERGY and seen.values:
            live_ms = 1 if self._live_ms is None else max(1, now_ms - self._live_ms)
            self._live_ms = now_ms
            volts = _phases(seen.values, VOLTAGE_MV, VOLTAGE_L1_MV)
            amps = _phases(seen.values, CURRENT_MA, CURRENT_L1_MA)
        if self.tamper:
            self.tamper.look(seen, dt_ms, live_ms, volts, amps, self.other_meter)
        now_s = metering.clock.now()[0]
        if self.quality and live_ms:
            is_open = not relay.is_closed(self.point.slot.relay)
            self.quality.look(live_ms, now_s, volts, amps, seen.frequency_mhz, is_open)
        self._hold()
        if self._group == ALL:
            self._publish(now_s, seen.values)

    def _hold(self):
        """A latched tamper kind holds by itself: firmware/supply.py reads it from the journal."""
        held = self.quality and self.quality.held
        self.point.holds_now = prepaid.HOLD_SAFETY if held else 0

    def _publish(self, now_s, values):
        publish_s = self.watch.plan()[1]
        window = now_s // publish_s if publish_s else self._published
        if window != self._published:
            from firmware import moments

            self._published = window
            moments.tell(self.watch.metering.events, self.point.number, values)

    def tell(self, begin, code, *figures):
        """An event, unless it is one begin too many in this hour. -> whether it was told."""
        subject = int(code == codes.TAMPER)
        if begin and self._told[subject] >= _BEGINS_MAX:
            self._dropped += 1
            return False
        self._told[subject] += begin
        self.watch.metering.events.add(code, self.point.number, *figures)
        return True


def _phases(values, single, first):
    """The value of every phase, or None where one is missing."""
    if first in values:
        found = [values.get(first + phase) for phase in range(3)]
        return None if None in found else found
    return [values[single]] if single in values else None
