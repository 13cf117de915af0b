"""Whatever a module may write, validation looks at all of it and loses no watt-hour."""

import random

import pytest

from host_tools.validation import journal
from host_tools.validation.days import days_of
from protocol import codes, ledger
from protocol.units import HOLDOVER, INVALID, SYNCHRONISED
from tests.host_tools.validation.judged import MIDNIGHT_S, Judged


def step(judged: Judged, rng: random.Random) -> None:
    """One thing that a module does, odd ones among them."""
    made, what = judged.made, rng.random()
    state = made.state
    if what < 0.60:
        made.charge(rng.choice((0, 0, 1, 50, 250, 300, 9_000)))
    elif what < 0.75:
        quality = rng.choice((SYNCHRONISED, HOLDOVER, INVALID, INVALID))
        judged.enter(rng.randrange(3_000), rng.choice((0, 1, 37, 900, 5_000, 200_000)), quality)
    elif what < 0.80:
        made.top_up(2 * len(made.states), 1_000_000)  # nobody paid it: it is told as tamper
    elif what < 0.84:
        made.fixed()
    elif what < 0.88:
        judged.send()
        made.open(state.time_s + rng.randrange(90_000), rng.randrange(5_000))
        judged.send()
    elif what < 0.94:
        code, args = rng.choice(
            (
                (codes.RELAY_OPENED, [1, 0, 0, 0]),
                (codes.RELAY_CLOSED, [1, 0, 0, 0]),
                (codes.CLOCK_SET, [state.time_s, state.time_s + rng.randrange(-9_000, 9_000)]),
                (codes.CLOCK_SET, []),
                (codes.QUALITY, [codes.SUPPLY_LOST, 0, rng.randrange(2), 0, 0]),
                (codes.QUALITY, []),
                (codes.QUALITY, [codes.SUPPLY_LOST]),
                (codes.METER_IDENTITY, [1, 2, 3]),
                (codes.BOOT, [1, 7]),
            )
        )
        judged.orderly._seq += 1
        item = [state.time_s, rng.choice((SYNCHRONISED, INVALID)), code, 0, args]
        judged.desk.take(judged.desk.sender.events(judged.orderly._seq, item))
    else:
        judged.send()
        judged.follower.turn(lambda: rng.random() < 0.5)


@pytest.mark.parametrize("seed", range(6))
def test_any_journal_is_looked_at_to_its_end(judged: Judged, seed: int) -> None:
    rng = random.Random(seed)
    judged.desk.clock.s += 1000 * 86_400
    judged.made.open(MIDNIGHT_S)
    for _ in range(400):
        step(judged, rng)
    judged.send()
    judged.validate()
    assert judged.follower.refused == {} and judged.follower.left == 0
    rows = journal.rows_of(judged.store, 1, 1)
    days = days_of(judged.store, judged.point(), 0, 1 << 40)
    assert days[0].first_seq == 1
    assert all(b.first_seq == a.last_seq + 1 for a, b in zip(days, days[1:], strict=False))
    whole = [row for row in rows if row.seq <= days[-1].last_seq]
    assert sum(day.energy_wh for day in days) == sum(row.energy_wh for row in whole)
    charged = (ledger.CHARGE, ledger.FIXED)
    charged_ncur = -sum(row.amount_ncur for row in whole if row.kind in charged)
    assert sum(day.charged_ncur for day in days) == charged_ncur
    assert days[-1].balance_ncur == whole[-1].balance_ncur
    while judged.adjusted():
        pass
    assert judged.balanced()
