# runs on: cpython micropython
"""Guessing is slowed down, and neither a power cut nor the clock shortens it."""

from protocol import lockout, topup
from protocol.lockout import CLEAR, Lockout
from tests.bench.mutations import Dice

RESULTS = (
    lockout.ACCEPTED,
    lockout.USED,
    lockout.TOO_OLD,
    lockout.INVALID,
    lockout.FORMAT,
    lockout.LOCKED,
    lockout.CAP_EXCEEDED,
    lockout.REFUSED,
)


def failed(times):
    state = CLEAR
    for _ in range(times):
        state = lockout.after(Lockout(state.failures, 0), lockout.INVALID)
    return state


def test_results_are_distinct_and_extend_those_of_topup():
    assert sorted(RESULTS) == list(range(len(RESULTS)))
    assert RESULTS[:3] == (topup.FRESH, topup.USED, topup.TOO_OLD)


def test_two_failures_are_forgiven_then_minutes_double_to_512():
    minutes = [failed(times).left_s // 60 for times in range(14)]
    assert minutes == [0, 0, 0, 2, 4, 8, 16, 32, 64, 128, 256, 512, 512, 512]
    assert [lockout.locked(failed(times)) for times in range(5)] == [0, 0, 0, 1, 1]


def test_only_invalid_counts_and_only_acceptance_clears():
    """Every result from every state; the ones that change nothing are all but two."""
    for failures in range(25):
        for left_s in (0, 1, 120, 30720):
            state = Lockout(failures, left_s)
            for result in RESULTS:
                after = lockout.after(state, result)
                if result == lockout.ACCEPTED:
                    assert after == CLEAR
                elif result == lockout.INVALID:
                    assert after.failures == failures + 1 and after.left_s >= left_s
                else:
                    assert after == state


def test_the_latch_holds_until_a_command():
    assert lockout.locked(Lockout(19, 0)) == 0
    state = failed(20)
    assert lockout.locked(state) == lockout.LATCHED
    state, _ = lockout.passed(state, 10**9)
    assert not state.left_s
    assert lockout.locked(state) == lockout.LATCHED
    assert lockout.locked(Lockout(5, 0), 5) == lockout.LATCHED


def test_failures_fit_a_byte():
    state = Lockout(255, 0)
    assert lockout.after(state, lockout.INVALID) == Lockout(255, 30720)


def test_time_that_goes_back_or_stands_counts_as_none():
    state = Lockout(3, 120)
    for elapsed_ms in (0, -1, -1000000):
        assert lockout.passed(state, elapsed_ms) == (state, 0)


def test_parts_of_seconds_are_neither_lost_nor_counted_twice():
    state, uncounted_ms = Lockout(3, 120), 0
    for _ in range(171):
        state, uncounted_ms = lockout.passed(state, 700 + uncounted_ms)
    assert state.left_s == 1 and uncounted_ms == 700
    state, uncounted_ms = lockout.passed(state, 300 + uncounted_ms)
    assert state.left_s == 0 and uncounted_ms == 0


def test_a_failure_is_saved_and_each_minute_after_it():
    saved = failed(3)
    assert lockout.save_due(saved, failed(2))
    assert lockout.save_due(failed(1), CLEAR)
    assert lockout.save_due(CLEAR, failed(1))
    assert not lockout.save_due(Lockout(3, 61), saved)
    assert lockout.save_due(Lockout(3, 60), saved)
    assert lockout.save_due(Lockout(3, 0), Lockout(3, 59))
    assert not lockout.save_due(Lockout(3, 0), Lockout(3, 0))


def test_no_restart_shortens_a_lock_out():
    """Random ticks and power cuts: powered time until release is never below what was owed."""
    dice = Dice(3)
    for _ in range(60):
        failures = 3 + dice.below(4)
        state = saved = failed(failures)
        owed_ms = state.left_s * 1000
        powered_ms = uncounted_ms = 0
        cuts = 0
        while lockout.locked(state):
            if dice.below(40) == 0 and cuts < 20:
                state, uncounted_ms = saved, 0
                cuts += 1
                continue
            ran_ms = dice.below(20000)
            powered_ms += ran_ms
            state, uncounted_ms = lockout.passed(state, ran_ms + uncounted_ms)
            if lockout.save_due(state, saved):
                saved = state
            assert saved.left_s >= state.left_s
            assert saved.left_s - state.left_s < lockout.SAVE_S
        assert powered_ms >= owed_ms
        assert saved == state
