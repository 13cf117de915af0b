# runs on: cpython micropython
"""Supply quality from traces of 1-second registers: what must fire, and near misses that must not.

A trace is a list of (seconds, volts, amps, hertz): so many samples of a second, in V, A and Hz,
where volts and amps are one number or one a phase.
"""

from firmware.quality import Quality, isqrt, unbalance_e4
from protocol import codes

UN = 230


class Settings:
    def __init__(self, protect=0, nominal_v=UN):
        self.nominal_mv = nominal_v * 1000
        self.current_max_ma = 60000
        self.protect = protect


class Told:
    """Takes what is told; refuses begins when it is full."""

    def __init__(self):
        self.items = []
        self.room = 1000

    def __call__(self, begin, code, *figures):
        if begin and not self.room:
            return False
        self.room -= begin
        self.items.append((code,) + figures)
        return True


def milli(values, phases):
    if values is None:
        return None
    if not isinstance(values, tuple):
        values = (values,) * phases
    return [int(value * 1000) for value in values]


def played(trace, protect=0, step_ms=1000, held=0):
    """-> (quality events as (what, phase, begin, extreme, duration), when it was held, quality)"""
    told = Told()
    quality = Quality(Settings(protect), told, held)
    second, holds, closed = 1772726400, [], True
    dt_ms = 0
    phases = max([len(row[1]) for row in trace if isinstance(row[1], tuple)] or [1])
    for seconds, volts, amps, hertz in trace:
        for _ in range(seconds):
            second += 1
            mhz = None if hertz is None else int(hertz * 1000)
            is_open = not closed
            quality.look(dt_ms, second, milli(volts, phases), milli(amps, phases), mhz, is_open)
            dt_ms = step_ms
            if bool(quality.held) == closed:
                holds.append((second - 1772726400, quality.held))
                closed = not quality.held
    return [item[1:] for item in told.items if item[0] == codes.QUALITY], holds, quality


GOOD = (30, 230, 5, 50)
FIRES = (
    # name, trace, expected (what, phase, begin, extreme, duration_s)
    ("loss, one sample", [GOOD, (1, 0, 0, 0), GOOD], [(1, 0, 1, 0, 0), (1, 0, 0, 0, 0)]),
    (
        "loss until the hysteresis is passed",
        [GOOD, (3, 10, 0, 0), (2, 15, 0, 0), GOOD],
        [(1, 0, 1, 10000, 0), (1, 0, 0, 10000, 4)],
    ),
    (
        "undervoltage, two samples",
        [GOOD, (2, 206, 5, 50), (1, 200, 5, 50), (2, 208, 5, 50), GOOD],
        [(2, 0, 1, 206000, 1), (2, 0, 0, 200000, 4)],
    ),
    (
        "overvoltage with its highest value",
        [GOOD, (2, 254, 5, 50), (1, 260, 5, 50), GOOD],
        [(4, 0, 1, 254000, 1), (4, 0, 0, 260000, 2)],
    ),
    (
        "the middle phase alone",
        [(30, (230, 230, 230), 5, 50), (2, (230, 200, 230), 5, 50), (9, (230, 230, 230), 5, 50)],
        [(2, 1, 1, 200000, 1), (2, 1, 0, 200000, 1)],
    ),
    (
        "overcurrent for a minute",
        [GOOD, (61, 230, 67, 50), (5, 230, 58, 50)],
        [(7, 0, 1, 67000, 60), (7, 0, 0, 67000, 60)],
    ),
    (
        "a large overcurrent for two seconds",
        [GOOD, (3, 230, 95, 50), GOOD],
        [(8, 0, 1, 95000, 2), (8, 0, 0, 95000, 2)],
    ),
    (
        "frequency high and back",
        [GOOD, (30, 230, 5, 50.3), (30, 230, 5, 50)],
        [(5, 0, 1, 50240, 1), (5, 0, 0, 50300, 27)],
    ),
    (
        "frequency low on a 60 Hz grid",
        [(12, 230, 5, 59.7)],
        [(3, 0, 1, 59700, 1)],
    ),
    (
        "frequency falls 1 Hz/s on three reads",
        [GOOD, (1, 230, 5, 49), (1, 230, 5, 47.4), (3, 230, 5, 46), (20, 230, 5, 46)],
        "rate",
    ),
    (
        "lost neutral",
        [(5, (230, 230, 230), 5, 50), (2, (150, 280, 240), 5, 50)],
        [(2, 0, 1, 150000, 1), (4, 1, 1, 280000, 1), (10, 0, 1, 280000, 1)],
    ),
)


def test_every_fault_is_told_with_its_phase_its_extreme_and_its_duration():
    for name, trace, expected in FIRES:
        events, _, _ = played(trace)
        if expected == "rate":
            assert codes.FREQUENCY_RATE in [event[0] for event in events], name
        else:
            assert events == expected, (name, events)


def test_unbalance_fires_above_two_percent_and_ends_below_its_hysteresis():
    balanced = (10, (230, 230, 230), 5, 50)
    events, _, _ = played([balanced, (62, (230, 220, 214), 5, 50), balanced])
    assert events[0][:4] == (codes.UNBALANCE, 0, 1, unbalance_e4(230000, 220000, 214000))
    assert 200 < events[0][3] < 215 and events[0][4] == 60
    assert events[1][:3] == (codes.UNBALANCE, 0, 0) and events[1][4] == 61


MISSES = (
    ("at the lower limit", [(100, 207, 5, 50)]),
    ("at the upper limit", [(100, 253, 5, 50)]),
    ("one low sample", [GOOD, (1, 150, 5, 50), GOOD]),
    ("one high sample", [GOOD, (1, 300, 5, 50), GOOD]),
    ("low samples that are not consecutive", [GOOD, (1, 200, 5, 50), (1, 230, 5, 50)] * 20),
    ("a deep dip that is no loss", [GOOD, (1, 12, 5, 50), GOOD]),
    ("motor start below a minute", [GOOD, (59, 230, 67, 50), GOOD]),
    ("a second of large current", [GOOD, (2, 230, 95, 50), GOOD]),
    ("exactly Imax", [(300, 230, 60, 50), (300, 230, 66, 50)]),
    ("frequency inside its band", [(60, 230, 5, 50.2), (60, 230, 5, 49.8)]),
    ("one wrong frequency", [GOOD, (1, 230, 5, 51.5), GOOD]),
    ("no frequency register", [(60, 230, 5, None)]),
    ("frequency of a dead line", [GOOD, (30, 230, 5, 0)]),
    ("0.4 Hz/s", [GOOD, (1, 230, 5, 49.6), (1, 230, 5, 49.8), (2, 230, 5, 50)]),
    ("unbalance of 1.99 %", [(300, (230, 220, 215), 5, 50)]),
    ("unbalance below a minute", [(58, (230, 220, 212), 5, 50), (9, (230, 230, 230), 5, 50)]),
    ("a floating neutral is no unbalance", [(1, (180, 250, 250), 5, 50)]),
    ("nothing measured", [(60, None, None, None)]),
)


def test_near_misses_do_not_fire():
    for name, trace in MISSES:
        assert played(trace)[0] == [], name


def test_a_slow_or_interrupted_bus_sees_losses_only():
    fall = [GOOD, (30, 200, 5, 50), (1, 0, 0, 0), GOOD]
    events, holds, _ = played(fall, protect=3, step_ms=30000)
    assert [event[:4] for event in events] == [(1, 0, 1, 0), (1, 0, 0, 0)]
    assert holds == []


def test_an_episode_whose_begin_was_not_told_has_no_end_either():
    told = Told()
    quality = Quality(Settings(), told)
    told.room = 0
    for mv in (230000, 200000, 200000, 200000, 230000, 230000):
        quality.look(1000, 1772726400, [mv], [1000], 50000, False)
    assert told.items == []


# Hard limits: (name, trace, second of the first hold or None), after five good seconds.
LIMITS = (
    ("above 1.20 Un for a second", [(2, 277, 5, 50)], 7),
    ("above 1.20 Un once", [(1, 290, 5, 50)], None),
    ("at 1.20 Un", [(60, 276, 5, 50)], None),
    ("below 0.75 Un for five seconds", [(6, 172, 5, 50)], 11),
    ("below 0.75 Un for four seconds", [(5, 172, 5, 50)], None),
    ("at 0.75 Un", [(60, 172.5, 5, 50)], None),
    ("above 1.1 Imax for a minute", [(61, 230, 67, 50)], 66),
    ("above 1.1 Imax for 59 seconds", [(60, 230, 67, 50)], None),
    ("above 1.5 Imax for two seconds", [(3, 230, 91, 50)], 8),
    ("above 1.5 Imax for a second", [(2, 230, 91, 50)], None),
    (
        "two motor starts with a pause",
        [(40, 230, 67, 50), (1, 230, 50, 50), (40, 230, 67, 50)],
        None,
    ),
    ("lost neutral", [(2, (150, 280, 240), 5, 50)], 7),
)


def test_hard_limits_open_in_their_time_and_not_before():
    for name, trace, when in LIMITS:
        _, holds, _ = played([(5, 230, 5, 50)] + trace + [(3, 230, 5, 50)], protect=3)
        assert (holds[0][0] if holds else None) == when, (name, holds)


def test_without_its_bit_a_limit_opens_nothing():
    over, load = (60, 290, 5, 50), (90, 230, 95, 50)
    assert played([GOOD, over], protect=2)[1] == []
    assert played([GOOD, load], protect=1)[1] == []
    assert played([GOOD, over, load], protect=0)[1] == []


def test_supply_returns_three_minutes_after_the_voltage_is_good_again():
    trip = (2, 290, 5, 50)
    _, holds, _ = played([GOOD, trip, (180, 230, 0, 50), (9, 230, 0, 50)], protect=1)
    assert holds == [(32, 1), (213, 0)]
    # 1.08 Un is not good enough, and three minutes are without a break
    _, holds, _ = played([GOOD, trip, (400, 248, 0, 50)], protect=1)
    assert holds == [(32, 1)]
    _, holds, _ = played([GOOD, trip, (170, 230, 0, 50), (1, 200, 0, 50), (170, 230, 0, 50)], 1)
    assert holds == [(32, 1)]


def test_a_voltage_that_nobody_saw_is_not_good():
    told = Told()
    quality = Quality(Settings(1), told, 1)
    for second in (0, 1, 2, 400, 401, 402):  # six minutes without an answer
        dt_ms = 398000 if second == 400 else 1000
        quality.look(dt_ms, 1772726400 + second, [230000], [0], 50000, True)
    assert quality.held == 1


def test_after_an_overcurrent_supply_returns_when_it_was_off_for_three_minutes():
    _, holds, _ = played([GOOD, (3, 230, 95, 50), (200, 230, 0, 50)], protect=2)
    assert holds == [(33, 2), (214, 0)]


def test_a_hold_outlasts_a_power_cut():
    _, holds, quality = played([(100, 230, 0, 50)], protect=1, held=3)
    assert quality.held == 1 and holds == [(1, 1)]
    _, holds, quality = played([(200, 230, 0, 50)], protect=1, held=3)
    assert quality.held == 0


def test_ten_minutes_of_the_clock_become_one_aggregate_a_phase():
    told = Told()
    quality = Quality(Settings(), told)
    start_s = 1772726400
    for second in range(1201):
        volts = [220000 if second % 2 else 240000, 230000, 230000]
        if 600 <= second < 680:
            continue  # the bus was silent
        amps = [second % 600, 2000, 3000]
        quality.look(1000, start_s + second, volts, amps, 50010, False)
    found = [item[1:] for item in told.items if item[0] == codes.AGGREGATE]
    assert [item[0] for item in found] == [0, 1, 2, 0, 1, 2]
    # sqrt((220^2 + 240^2) / 2) is 230.217, not 230
    assert found[0] == (0, 600, 230217, 220000, 240000, 50010, 299, 599, 0)
    assert found[1] == (1, 600, 230000, 230000, 230000, 50010, 2000, 2000, 0)
    assert found[3][1] == 520 and found[3][8] == 1  # 86 % of its samples


def test_integer_roots_are_exact_below_and_at_squares():
    for root in (0, 1, 2, 3, 4, 10, 1000, 65535, 65536, 230000, 1 << 31, 10**15):
        assert isqrt(root * root) == root
        assert isqrt(root * root + 2 * root) == root
        if root:
            assert isqrt(root * root - 1) == root - 1


def test_unbalance_is_that_of_the_published_example():
    assert unbalance_e4(230000, 220000, 215000) == 198  # 1.9893 %
    assert unbalance_e4(230000, 230000, 230000) == 0
    assert unbalance_e4(230000, 230000, 180000) is None  # more than 10 % off the mean
    assert unbalance_e4(0, 0, 0) is None
