"""Every state of a point against the published rules: does the relay do what they say?

    python -m tests.bench.relay_rules

All relay states x holds x windows x clock states x balances x delays x currents x keys are put
into the real Supply on the desk, one decision each. What must and what may happen is said again
here, from prepay-rules.md section 8.1, without the tables of firmware/relay.py.
"""

import asyncio
import itertools
import json
import subprocess
import sys

from firmware import point as points
from firmware import prepaid, relay
from protocol.units import INVALID, SYNCHRONISED
from tests import scratch
from tests.bench import figures
from tests.firmware import desk as desks

CUR = desks.CUR
LIMIT = 0
FLOOR = -2 * CUR
REARM = 3 * CUR
BALANCES = (5 * CUR, REARM, CUR, LIMIT, FLOOR)
# (name, quality, seconds of protection left)
CLOCKS = (("valid", SYNCHRONISED, 9), ("lost", INVALID, 9), ("lost for long", INVALID, 0))
DELAYS_S = (-1, 0, 7)  # none drawn and none set, over, running
NOON_S = desks.START_S + 12 * 3600
WINDOW = ((0, ((127, 0, 1440),), ()),)
CLOSED_STATES = (relay.CLOSED, relay.PENDING)

DIMENSIONS = (
    (relay.CLOSED, relay.OPEN, relay.ARMED, relay.PENDING),
    (0, prepaid.HOLD_CREDIT),
    (0, prepaid.HOLD_REMOTE),
    (0, prepaid.HOLD_NOT_CREDIT),
    (0, prepaid.HOLD_LOAD),
    (0, 1),  # tamper latched
    (0, prepaid.HOLD_SAFETY),
    (0, -1),  # hold-supply
    ((), WINDOW),
    CLOCKS,
    BALANCES,
    DELAYS_S,
    (None, 90000),  # current, mA
    (0, 1),  # key
)


class World:
    """One point whose slot, clock and balance are set before each decision."""

    def __init__(self, root):
        self.desk = desks.Desk(root)
        item = desks.point_settings(
            limit_ncur=LIMIT, rearm_ncur=REARM, warning_1_ncur=4 * CUR, warning_2_ncur=2 * CUR,
            friendly=WINDOW, friendly_floor_ncur=FLOOR, clock_protect_s=9,
            open_current_max_ma=60000, open_wait_s=60,
        )  # fmt: skip
        desks.provision(self.desk.root, [item], desks.flat_book())
        _, self.firmware = self.desk.power_on()
        asyncio.run(self.firmware.metering.poll())
        self.desk.now_ms = NOON_S * 1000
        asyncio.run(self.firmware.metering.poll())
        self.point = self.firmware.points[0]
        self.firmware.metering.commit = self.believe
        self.firmware.metering.charge_now = lambda point: None
        self.firmware.events.add = lambda *values: None
        self.plain = self.point.plain()

    def believe(self, point, slot):
        point.slot = slot

    def decide(self, case):
        """-> (closed before, closed after)."""
        state, credit, remote, hard, load, tamper, safety, keep, window, clock = case[:10]
        balance_ncur, delay_s, current_ma, key = case[10:]
        point, desk = self.point, self.desk
        _, quality, left_s = clock
        more = list(points.START)
        more[points.M_HOLD_S] = keep
        more[points.M_TAMPER] = tamper
        more[points.M_LEFT_S] = delay_s
        more[points.M_CLOCK_S] = left_s
        slot = self.plain._replace(
            relay=state, holds=credit | remote | hard | load, more=more,
            state=self.plain.state._replace(balance_ncur=balance_ncur),
        )  # fmt: skip
        point.slot = slot
        point.settings = point.settings._replace(friendly=window)
        point.holds_now = safety
        point.current_ma = current_ma
        point.waiting_ms = None
        point.counted_ms = self.firmware.board.ticks_ms()
        self.firmware.clock.quality = quality
        self.firmware.clock.synchronised_until_ms = 1 << 60
        contact = point.contact
        contact.may_close_ms = contact.may_open_ms = 0
        contact.moves_ms = []
        desk.contact.closed = state in CLOSED_STATES
        self.firmware.metering.supply.decide(point, key)
        return state in CLOSED_STATES, desk.contact.closed


def reasons(case):
    """(may open now, must not stay closed) for a case, from the published precedence."""
    state, credit, remote, hard, load, tamper, safety, keep, window, clock = case[:10]
    balance_ncur, delay_s, current_ma, _ = case[10:]
    closed = state in CLOSED_STATES
    exhausted = balance_ncur <= LIMIT or (credit and balance_ncur < REARM)
    lost = clock[1] == INVALID
    protected = closed and (clock[2] > 0 if lost else bool(window)) and balance_ncur > FLOOR
    ordered = bool(safety)
    unmasked = ordered
    if not keep:
        unmasked = ordered or bool(hard or tamper or load)
        if not protected:
            unmasked = unmasked or bool(remote or exhausted)
    for_credit_only = not (safety or hard or tamper or remote) and exhausted and not protected
    waits = for_credit_only and delay_s > 0
    waits = waits or (not safety and current_ma is not None)
    return unmasked, unmasked and not waits


def judged(share, shares):
    """(cases, illegal openings, illegal stays, the first of them) of one share of all cases."""
    world = World(f"{scratch.root()}/ranks-{share}")
    cases = openings = stays = 0
    first = ""
    for number, case in enumerate(itertools.product(*DIMENSIONS)):
        if number % shares != share:
            continue
        cases += 1
        before, after = world.decide(case)
        may_open, must_open = reasons(case)
        bad_opening = before and not after and not may_open
        bad_stay = after and (must_open if before else may_open)
        openings += bad_opening
        stays += bad_stay
        if (bad_opening or bad_stay) and not first:
            first = f"{case}: {before} -> {after}"
    return cases, openings, stays, first


def measure() -> dict[str, int]:
    shares = figures.PROCESSES
    command = [sys.executable, "-m", "tests.bench.relay_rules"]
    children = [
        subprocess.Popen([*command, str(share), str(shares)], stdout=subprocess.PIPE,
                         cwd=figures.ROOT)
        for share in range(shares)
    ]  # fmt: skip
    counts = [json.loads(figures.answer(child)) for child in children]
    for _, _, _, first in counts:
        if first:
            print(f"relay: {first}", file=sys.stderr)
    return {
        "relay_cases": sum(count[0] for count in counts),
        "relay_illegal_openings": sum(count[1] for count in counts),
        "relay_illegal_stays": sum(count[2] for count in counts),
    }


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(judged(int(sys.argv[1]), int(sys.argv[2]))))
    else:
        sys.exit(figures.write("relay_rules", measure()))
