"""What is settled is validated behind settlement: once, in any pieces, from wherever it was."""

import random
from typing import Any

import pytest

from host_tools.settlement import commands
from host_tools.store.database import Store
from host_tools.validation import adjusting, journal, mending
from host_tools.validation.command import caught_up
from host_tools.validation.days import days_of
from host_tools.validation.following import Follower
from host_tools.validation.review import OPEN, Queue
from host_tools.validation.versions import Versions, connection_of
from protocol import codes, ledger, reading, tariff
from protocol.tariff import Position
from protocol.units import DAY_S, INVALID, SYNCHRONISED
from tests.host_tools.desk import BOOK, TOU_BOOK, Desk
from tests.host_tools.genuine import PointLedger
from tests.host_tools.validation.judged import BY, DAY, Judged, asked_ncur, wave

IMPOSSIBLE_WH = 6_000  # 60 A of one phase at 230 V carry 4,140 Wh in 15 minutes


def leaping(place: int) -> int:
    return IMPOSSIBLE_WH if place == 30 else wave(place)


def kept(store: Store) -> list[Any]:
    """Everything that validation keeps, but for when."""
    connection = connection_of(store)
    out = []
    for table, columns in (
        ("vee_readings", "point_id, seq, start_s, end_s, energy_wh, quality, failed"),
        ("vee_reviews", "point_id, code, start_s, end_s, action, detail"),
        (
            "vee_days",
            "point_id, day, first_seq, last_seq, energy_wh, charged_ncur, agreed, failed",
        ),
    ):
        rows = connection.execute(f"SELECT {columns} FROM {table} ORDER BY {columns}")
        out.append(rows.fetchall())
    return out


def test_clean_readings_get_their_daily_row_and_nothing_else(judged: Judged) -> None:
    judged.meter(3 * DAY)
    done = judged.validate()
    assert (done.points, done.entries, done.days) == (1, 3 * DAY + 1, 2)
    assert (done.readings, done.reviews, done.adjustments) == (0, 0, 0)
    days = days_of(judged.store, judged.point(), 0, 1 << 40)
    first = days[0]
    assert [each.intervals for each in days] == [DAY, DAY]
    assert first.energy_wh == sum(wave(place) for place in range(DAY))
    assert first.charged_ncur == first.energy_wh * 488_300
    assert first.balance_ncur == -first.charged_ncur
    assert (first.agreed, first.quality, first.failed) == (1, "A", "")
    assert (first.late, first.split, first.no_clock) == (DAY, 0, 0)  # the desk is 100 days later
    assert "V01" in first.not_run.split()


def test_an_impossible_reading_is_missing_queued_and_blocks(judged: Judged) -> None:
    judged.meter(DAY // 2, leaping)
    judged.validate()
    (item,) = Queue(judged.store).items(1, OPEN)
    assert (item.code, item.action, item.blocks) == ("V11", "estimate", True)
    (stands,) = Versions(judged.store).standing(1).values()
    assert (stands.seq, stands.quality, stands.failed) == (32, "N", ("V11", "V12"))
    assert stands.energy_wh == IMPOSSIBLE_WH  # money is not moved by a doubt
    assert judged.adjusted() == []


def test_an_accepted_reading_is_verified_as_metered(judged: Judged) -> None:
    judged.meter(DAY // 2, leaping)
    judged.validate()
    told = judged.shown("review", "accept", 1, *BY)
    assert told["adjustment"] is None and told["readings"][0]["quality"] == "V"
    judged.meter(DAY)
    judged.validate()  # what a person decided stands
    (stands,) = [each for each in Versions(judged.store).standing(1).values() if each.seq == 32]
    assert (stands.quality, stands.energy_wh) == ("V", IMPOSSIBLE_WH)


def test_an_estimate_takes_the_place_of_the_reading_and_its_cost(judged: Judged) -> None:
    judged.meter(DAY // 2, leaping)
    judged.validate()
    told = judged.shown("review", "estimate", 1, *BY)
    (reading,) = told["readings"]
    before, after = (judged.made.entries[seq - 1].energy_wh for seq in (31, 33))
    assert (reading["energy_wh"], reading["quality"]) == ((before + after) // 2, "E")
    assert reading["origin"] == "linear"
    saved_ncur = asked_ncur(judged.made, {}) - asked_ncur(judged.made, {32: reading["energy_wh"]})
    assert told["adjustment"]["amount_ncur"] == saved_ncur > 0
    assert len(judged.adjusted()) == 1 and judged.balanced()


def test_any_pieces_and_any_order_of_runs_keep_the_same(judged: Judged, tmp_path: Any) -> None:
    rng = random.Random(7)

    def load(place: int) -> int:
        return rng.choice((0, 250, 250, 250, 250, IMPOSSIBLE_WH, 300))

    made = [load(place) for place in range(4 * DAY)]
    place = 0
    judged.meter(1, lambda _: made[0])
    while place < len(made) - 1:
        count = min(rng.randrange(1, 60), len(made) - 1 - place)
        judged.meter(count, lambda each, at=place + 1: made[at + each])
        place += count
        if rng.random() < 0.5:
            judged.follower.turn(lambda: True)
    judged.validate()
    pieces = kept(judged.store)
    whole = Desk(tmp_path / "whole")
    try:
        entries = judged.made.entries
        for first in range(1, len(entries) + 1, 90):
            whole.take(judged.made.batch(first, min(90, len(entries) - first + 1)))
        follower = Follower(whole.store, judged.desk.clock.now_s)
        assert caught_up(follower).points == 1
        assert kept(whole.store) == pieces
        assert caught_up(follower).points == 0
    finally:
        whole.store.close()


def test_validating_again_changes_nothing(judged: Judged) -> None:
    judged.meter(2 * DAY, leaping)
    judged.validate()
    before = kept(judged.store)
    for _ in range(2):
        assert judged.shown("validate", "m1", "--again", "2026-01-02")["readings"] == 0
    assert kept(judged.store) == before


# What is mended without a person


def clock_run(judged: Judged) -> list[int]:
    """Ten charges under a clock that lost time when the power failed; their sequences."""
    judged.meter(DAY // 2)
    first = judged.made.state.seq + 1
    for _ in range(10):
        judged.enter(400, 900, INVALID)
    judged.send()
    judged.validate()
    return list(range(first, first + 10))


def set_clock(judged: Judged, by_s: int) -> None:
    old_s = judged.made.state.time_s + 30
    judged.enter(50, 30 + by_s)
    judged.send()
    judged.orderly.tell(codes.CLOCK_SET, old_s, old_s + by_s)
    judged.validate()


def by_night(judged: Judged) -> None:
    """The point is charged by time of use."""
    judged.desk.store.fleet.store_book("tou", TOU_BOOK, 0)
    judged.made = PointLedger("m1", 0, TOU_BOOK)
    with judged.store.transaction():
        judged.store.fleet.assign(1, TOU_BOOK.version, 0)


def moved_ncur(
    judged: Judged, run: list[int], by_s: int, values_wh: dict[int, int] | None = None
) -> int:
    """What a run and the charge behind it were charged more than the time of use asks for them."""
    owed_ncur = 0
    behind = (each for each in judged.made.entries[run[-1] :] if each.kind == ledger.CHARGE)
    for seq in [*run, next(behind).seq]:
        entry, start_s = judged.made.entries[seq - 1], judged.start_s(seq) + by_s
        end_s = entry.time_s if seq not in run else entry.time_s + by_s
        wh = (values_wh or {}).get(seq, entry.energy_wh)
        amount, _, _ = tariff.charge(TOU_BOOK, Position(0, 0), start_s, end_s, wh)
        owed_ncur += -entry.amount_ncur - amount
    return owed_ncur


def test_charges_of_an_invalid_clock_are_priced_anew_once_their_time_is_known(
    judged: Judged,
) -> None:
    """By day 0.568, by night 0.288: the power failed at noon, and the clock came back at night."""
    by_night(judged)
    by_s = 11 * 3600
    run = clock_run(judged)
    assert judged.desk.differences() == [mending.NO_CLOCK]
    before = [each for each in judged.orderly.listed() if each["order"].startswith("adjust")]
    assert before == []
    set_clock(judged, by_s)
    assert judged.desk.differences() == []
    (sent,) = judged.adjusted()
    owed_ncur = moved_ncur(judged, run, by_s)
    assert sent.args == [4, owed_ncur]
    assert owed_ncur > 10 * 400 * 280_000  # 0.28 less for each kWh
    assert judged.balanced()
    (closed,) = judged.shown("differences", "list", "--all")
    assert closed["who"] == "validation" and closed["why"].startswith("clock set")


def test_a_corrected_reading_stands_when_its_clock_is_set(judged: Judged) -> None:
    """The fourth of the run was 100 Wh, and not 400, says a person before its time is known."""
    by_night(judged)
    run = clock_run(judged)
    judged.edit(run[3], 100)
    (first,) = judged.adjusted()
    before = Versions(judged.store).standing(1)[run[3]]
    set_clock(judged, 11 * 3600)
    stands = Versions(judged.store).standing(1)[run[3]]
    start_s = before.start_s + 11 * 3600
    assert stands == before._replace(start_s=start_s, end_s=start_s + 900, version=stands.version)
    assert (stands.energy_wh, stands.quality, stands.origin) == (100, "M", "manual")
    (second,) = judged.adjusted()
    owed_ncur = first.args[1] + second.args[1]
    assert owed_ncur == moved_ncur(judged, run, 11 * 3600, {run[3]: 100})
    assert judged.balanced() and judged.desk.differences() == []


def test_without_a_record_of_the_setting_the_price_stays_and_the_class_is_closed(
    judged: Judged,
) -> None:
    clock_run(judged)
    judged.meter(1)
    judged.validate()
    assert judged.desk.differences() == [mending.NO_CLOCK]
    judged.desk.clock.s += 2 * DAY_S
    judged.meter(1)
    judged.validate()
    assert judged.desk.differences() == [] == judged.adjusted()


def test_a_clock_that_is_lost_again_is_mended_again(judged: Judged) -> None:
    clock_run(judged)
    old_s = judged.made.state.time_s + 30
    judged.enter(50, 3630)
    judged.send()
    judged.validate()  # before the event comes
    clock_run(judged)
    judged.orderly.tell(codes.CLOCK_SET, old_s, old_s + 3600)
    judged.meter(1)
    judged.validate()
    assert judged.desk.differences() == [mending.NO_CLOCK]  # the second time
    judged.desk.clock.s += 2 * DAY_S
    judged.meter(1)
    judged.validate()
    assert judged.desk.differences() == []
    whys = [row["why"] for row in judged.shown("differences", "list", "--all")]
    assert [why.split()[0] for why in whys] == ["clock", "priced"]


def test_a_late_tariff_is_made_good_when_the_module_has_taken_it(judged: Judged) -> None:
    judged.meter(DAY // 2)
    with judged.store.transaction():
        judged.store.fleet.store_book("tou", TOU_BOOK, 0)
        judged.store.fleet.assign(1, TOU_BOOK.version, judged.made.state.time_s)
    first = judged.made.state.seq + 1
    judged.meter(6)
    judged.validate()
    assert judged.adjusted() == []  # it is still behind: one order, not one an interval
    late = {seq: judged.made.entries[seq - 1] for seq in range(first, first + 6)}
    judged.made.book = TOU_BOOK
    judged.meter(2)
    judged.validate()
    (sent,) = judged.adjusted()
    asked = 0
    for seq, entry in late.items():
        start_s = judged.start_s(seq)
        rate = 568_000 if 8 <= (start_s + 8 * 3600) // 3600 % 24 < 22 else 288_000
        asked += entry.energy_wh * rate + entry.amount_ncur
    assert sent.args == [3, -asked]
    assert judged.balanced()
    judged.meter(3)
    judged.validate()
    assert judged.adjusted() == []


@pytest.mark.parametrize("since_s", [-60, 5 * 3600])
def test_a_run_of_an_invalid_clock_is_priced_by_the_tariff_of_its_true_time(
    judged: Judged, since_s: int
) -> None:
    """Assigned before the run, or after the false time of it and before the true one."""
    judged.meter(DAY // 2)
    judged.desk.store.fleet.store_book("tou", TOU_BOOK, 0)
    with judged.store.transaction():
        judged.store.fleet.assign(1, TOU_BOOK.version, judged.made.state.time_s + since_s)
    first = judged.made.state.seq + 1
    for _ in range(10):
        judged.enter(400, 900, INVALID)
    judged.send()
    judged.validate()
    late = [each.tariff for each in Versions(judged.store).standing(1).values()]
    assert late == [TOU_BOOK.version if since_s < 0 else None] * 10
    judged.made.book = TOU_BOOK  # the module takes the tariff when its clock is set
    set_clock(judged, 11 * 3600)
    for _ in range(6):
        judged.enter(100, 900)
    judged.send()
    judged.validate()
    run = list(range(first, first + 10))
    standing = Versions(judged.store).standing(1)
    assert [standing[seq].tariff for seq in run] == [TOU_BOOK.version] * 10
    assert standing[run[-1] + 1].tariff is None  # it was charged by the right one
    (sent,) = judged.adjusted()
    assert sent.args[1] == moved_ncur(judged, run, 11 * 3600)
    assert sent.args[1] > 4_000 * 200_000
    assert judged.desk.differences() == [] and judged.balanced()


def test_a_run_that_is_mended_before_its_tariff_is_taken_is_told_as_late_once(
    judged: Judged,
) -> None:
    judged.meter(DAY // 2)
    judged.desk.store.fleet.store_book("tou", TOU_BOOK, 0)
    with judged.store.transaction():
        judged.store.fleet.assign(1, TOU_BOOK.version, judged.made.state.time_s + 5 * 3600)
    first = judged.made.state.seq + 1
    for _ in range(10):
        judged.enter(400, 900, INVALID)
    judged.send()
    judged.validate()
    set_clock(judged, 11 * 3600)  # still by the old tariff
    run = list(range(first, first + 10))
    (sent,) = judged.adjusted()
    assert sent.args[1] == moved_ncur(judged, run, 11 * 3600)
    judged.made.book = TOU_BOOK
    judged.meter(2)
    judged.validate()
    assert judged.adjusted() == [] and judged.balanced()


def test_an_instant_of_a_charge_is_never_copied(judged: Judged) -> None:
    judged.meter(DAY)
    judged.validate()
    assert judged.orderly.rows("vee_readings") == 0
    rows = journal.rows_of(judged.store, 1, 1)
    assert [row.seq for row in rows] == list(range(1, DAY + 2))
    assert rows[1].clock == SYNCHRONISED and BOOK.version == rows[1].version


def test_a_month_of_four_times_the_use_before_waits_for_a_person(judged: Judged) -> None:
    judged.meter(29 * DAY)  # January, without its first day and a half
    judged.meter(2 * DAY)
    judged.meter(28 * DAY, lambda place: 4 * wave(place))
    judged.meter(31 * DAY, lambda place: 4 * wave(place))
    judged.meter(1)
    judged.validate()
    (item,) = [each for each in Queue(judged.store).items(1) if each.code == "V13"]
    assert (item.action, item.blocks) == ("block bill", True)
    assert item.end_s - item.start_s == 28 * DAY_S  # February; March is like it


def test_a_tariff_that_came_after_a_step_back_of_the_hosts_clock_re_rates_nothing(
    judged: Judged,
) -> None:
    judged.meter(10)
    judged.store.fleet.store_book("tou", TOU_BOOK, 0)
    base_s = judged.desk.clock.s
    with judged.store.transaction():
        commands.set_tariff(judged.store, judged.point(), BOOK, base_s + 3660)
    with judged.store.transaction():
        commands.set_tariff(judged.store, judged.point(), TOU_BOOK, base_s)
    state = judged.made.state
    at_s = reading.next_boundary_s(base_s)
    judged.made.enter(ledger.charge(state, BOOK, at_s, SYNCHRONISED, state.register_wh + 100))
    judged.made.book = TOU_BOOK
    for _ in range(10):
        judged.enter(300, 900)
    judged.desk.clock.s += 5 * 3600
    judged.send()
    judged.validate()
    assert judged.desk.differences() == []
    assert adjusting.ordered(judged.store, judged.point()) == []
