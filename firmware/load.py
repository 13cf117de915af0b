"""The load limit: mean power over a period above a limit opens the relay, which restores itself.

Power is the register's energy less one step of it, so that a coarse meter never trips early; mW,
monotonic milliseconds. Loaded only for points that have a limit. Never touches the relay.
"""

from firmware import point as points
from firmware import prepaid, relay
from protocol import codes
from protocol.units import const

UJ_PER_WH = 3600000000  # mW times ms is a millionth of a joule
QUIET_MS = const(3600000)  # closed for so long without an opening: the run is over


class Load:
    """The running period of a closed relay, or the opening that this limit has made."""

    def __init__(self):
        self.open_ms = None
        self.closed_ms = None
        self.start_ms = self.start_wh = 0
        self.told = False

    def mean_mw(self, seen_wh, now_ms, period_s, step_wh):
        """Mean power once a period is over, None before; a new one begins then."""
        dt_ms = now_ms - self.start_ms
        if self.closed_ms is None or self.open_ms is not None:
            self.closed_ms, self.open_ms = now_ms, None
        elif dt_ms < period_s * 1000:
            return None
        else:
            energy_wh = max(0, seen_wh - self.start_wh - step_wh)
            self.start_ms, self.start_wh = now_ms, seen_wh
            return energy_wh * UJ_PER_WH // dt_ms
        self.start_ms, self.start_wh = now_ms, seen_wh
        return None


def look(point, holds, balance_ncur, supply):
    """-> (holds after a look at the load, whether the limit closes again what it opened)."""
    settings = point.settings
    more = point.slot.more
    if point.load is None:
        point.load = Load()
    state = point.load
    now_ms = supply.board.ticks_ms()
    if not relay.is_closed(point.slot.relay):
        if state.open_ms is None:
            state.open_ms = now_ms
        held = holds & prepaid.HOLD_LOAD
        if not held or now_ms - state.open_ms < settings.load_restore_s * 1000:
            return holds, False
        return holds & ~prepaid.HOLD_LOAD, more[points.M_LOAD] <= settings.load_retries
    limit_mw = settings.load_limit_mw
    if more[points.M_EMERGENCY] == prepaid.EC_ACTIVE and balance_ncur < 0:
        limit_mw = settings.emergency_load_mw or limit_mw
    step_wh = point.meter.resolution_wh or 1
    power_mw = state.mean_mw(point.seen_wh, now_ms, settings.load_period_s, step_wh)
    if power_mw is None:
        return holds, False
    if power_mw <= limit_mw:
        state.told = False
        if now_ms - state.closed_ms >= QUIET_MS:
            more[points.M_LOAD] = 0  # durable with the next slot
        return holds & ~prepaid.HOLD_LOAD, False
    only_told = settings.load_action
    if not (only_told and state.told):
        more[points.M_LOAD] += not only_told
        figures = (power_mw, limit_mw, more[points.M_LOAD])
        supply.events.add(codes.LOAD_LIMIT, point.number, *figures)
    state.told = True
    return holds if only_told else holds | prepaid.HOLD_LOAD, False
