# runs on: cpython micropython
"""Golden bills of tariffs.md section 4, and every boundary an interval can cross."""

from protocol import tariff
from protocol.tariff import Book, Ladder, Position
from protocol.units import BAD_FIELD, Malformed
from tests.bench.mutations import Dice
from tests.protocol import books
from tests.protocol.books import CUR, DAY_S, at, book, charge, rates

CHINA_S = 28800
NOON_S = at(CHINA_S, 2026, 3, 10, 12)


def test_g01_beijing_month_of_430_kwh():
    amount_ncur, used_wh, parts = charge(books.beijing(), 0, NOON_S, NOON_S, 430000)
    assert amount_ncur == 226969000000 and used_wh == 430000
    assert [part.amount_ncur for part in parts] == [117192000000, 86128000000, 23649000000]


def test_g02_the_boundary_belongs_to_tier_1_and_the_next_10_wh_to_tier_2():
    assert charge(books.beijing(), 0, NOON_S, NOON_S, 240000)[0] == 117192000000
    amount_ncur, _, parts = charge(books.beijing(), 0, NOON_S, NOON_S, 240010)
    assert amount_ncur == 117197383000
    assert [(part.tier, part.energy_wh) for part in parts] == [(0, 240000), (1, 10)]


def test_g04_zhejiang_flat_crosses_its_annual_tier():
    assert charge(books.zhejiang(False), 2700000, NOON_S, NOON_S, 400000)[0] == 232200000000


def test_g05_zhejiang_adder_on_times_of_use():
    a_book = books.zhejiang(True)
    night_s = at(CHINA_S, 2026, 3, 10, 23)
    peak_ncur, used_wh, _ = charge(a_book, 2700000, NOON_S, NOON_S, 240000)
    valley_ncur, _, _ = charge(a_book, used_wh, night_s, night_s, 160000)
    assert peak_ncur + valley_ncur == 199400000000


def test_g08_per_tier_prices_in_order_of_use():
    a_book = books.shanghai()
    ladder = Ladder(tariff.YEAR, 1, (4320000, 6000000), (0, 0, 0))
    a_book = Book(1, "CNY", a_book.zone, a_book.rates, ((0, ladder),))
    amount_ncur, _, parts = charge(a_book, 4300000, NOON_S, NOON_S, 50000)
    assert amount_ncur == 32650000000
    assert [part.price_ucur_per_kwh for part in parts] == [617000, 677000]


def test_the_last_price_row_serves_the_tiers_above_it():
    a_book = book(
        rates(((100,), (200,))), Ladder(tariff.MONTH, 1, (1000, 2000, 3000), (0, 0, 7, 9))
    )
    parts = charge(a_book, 0, NOON_S, NOON_S, 4000)[2]
    assert [part.price_ucur_per_kwh for part in parts] == [100, 200, 207, 209]


def test_g10_an_interval_inside_a_valley_crosses_the_annual_tier():
    night_s = at(CHINA_S, 2026, 3, 10, 23)
    amount_ncur, _, parts = charge(books.zhejiang(True), 2759400, night_s, night_s + 900, 1000)
    assert amount_ncur == 308000000
    assert [(part.tier, part.energy_wh) for part in parts] == [(0, 600), (1, 400)]


def test_g11_an_interval_across_the_evening_boundary_is_split_by_time():
    from_s = at(CHINA_S, 2026, 3, 10, 21, 45)
    amount_ncur, _, parts = charge(books.zhejiang(True), 0, from_s, from_s + 1800, 900)
    assert amount_ncur == 385200000
    assert [(part.rate, part.energy_wh) for part in parts] == [(0, 450), (1, 450)]


def test_a_time_boundary_belongs_to_the_upper_side():
    start_s = at(CHINA_S, 2026, 3, 10, 22)
    assert tariff.rate_at(books.zhejiang(True), start_s - 1) == (0, start_s)
    assert tariff.rate_at(books.zhejiang(True), start_s) == (1, start_s + 2 * 3600)


def test_the_remainder_of_a_split_falls_late():
    from_s = at(CHINA_S, 2026, 3, 10, 21, 45)
    parts = charge(books.zhejiang(True), 0, from_s, from_s + 1800, 901)[2]
    assert [part.energy_wh for part in parts] == [450, 451]


# Los Angeles in 2026: clocks go forward on 8 March 10:00 UTC, back on 1 November 09:00 UTC.
ANGELES = ((0, -28800), (1772964000, -25200), (1793523600, -28800))


def test_g20_constant_load_over_short_long_and_ordinary_days():
    a_book = books.evening_peak(ANGELES)
    for year_day, hours, owed in (
        ((2026, 3, 8), 23, 6750000000),
        ((2026, 6, 1), 24, 7000000000),
        ((2026, 11, 1), 25, 7250000000),
    ):
        zone = -25200 if year_day[1] == 6 or year_day[1] == 11 else -28800
        start_s = at(zone, *year_day)
        end_s = start_s + hours * 3600
        assert tariff.local_day(a_book, end_s) == tariff.local_day(a_book, end_s - 1) + 1
        assert charge(a_book, 0, start_s, end_s, hours * 1000)[0] == owed


def test_the_month_ends_inside_an_interval():
    end_s = at(CHINA_S, 2026, 4, 1)
    amount_ncur, used_wh, parts = charge(books.beijing(), 300000, end_s - 450, end_s + 450, 1000)
    assert [(part.tier, part.energy_wh) for part in parts] == [(1, 500), (0, 500)]
    assert used_wh == 500 and amount_ncur == 500 * 538300 + 500 * 488300


def test_the_year_ends_inside_an_interval():
    end_s = at(CHINA_S, 2027, 1, 1)
    _, used_wh, parts = charge(books.zhejiang(False), 4900000, end_s - 900, end_s + 900, 800)
    assert [(part.tier, part.energy_wh) for part in parts] == [(2, 400), (0, 400)]
    assert used_wh == 400


def test_a_leap_day_is_a_day_of_its_month():
    a_book = books.beijing()
    start_s = at(CHINA_S, 2028, 2, 29)
    _, used_wh, _ = charge(a_book, 5000, start_s, start_s + DAY_S, 2400)
    assert used_wh == 5000 + 2400
    _, used_wh, _ = charge(a_book, 5000, start_s, start_s + DAY_S + 3600, 2500)
    assert used_wh == 100
    assert tariff.civil(books.day_number(2028, 2, 29)) == (2028, 2, 29)


def test_civil_dates_agree_with_counting_days():
    for year in range(1970, 2105):
        for month in range(1, 13):
            for date in (1, 15, books.month_days(year, month)):
                assert tariff.civil(books.day_number(year, month, date)) == (year, month, date)


def test_tier_periods_change_where_they_should():
    def periods(period, length, days):
        ladder = Ladder(period, length, (), (0,))
        return [tariff.period_of(ladder, books.day_number(*day)) for day in days]

    first, second = periods(tariff.MONTHS, 2, ((2026, 2, 28), (2026, 3, 1)))
    assert second == first + 1
    quarter = periods(tariff.MONTHS, 3, ((2026, 3, 31), (2026, 4, 1), (2026, 6, 30), (2026, 7, 1)))
    assert quarter[1] == quarter[0] + 1 == quarter[2] == quarter[3] - 1
    billing = periods(
        tariff.BILLING_DAY, 21, ((2026, 1, 20), (2026, 1, 21), (2026, 2, 20), (2026, 2, 21))
    )
    assert billing[1] == billing[0] + 1 == billing[2] == billing[3] - 1
    january = periods(tariff.BILLING_DAY, 21, ((2025, 12, 21), (2026, 1, 20)))
    assert january[0] == january[1]
    tens = periods(tariff.DAYS, 10, ((1970, 1, 1), (1970, 1, 10), (1970, 1, 11)))
    assert tens == [0, 0, 1]


def test_seasons_follow_the_calendar_and_wrap_over_new_year():
    days = ((((0, 0),),), (((0, 1),),))
    a_book = book(rates(((100, 200),), days, seasons=((501, 0), (1101, 1))))
    for date, rate in (
        ((2026, 1, 1), 1), ((2026, 4, 30), 1), ((2026, 5, 1), 0), ((2026, 10, 31), 0),
        ((2026, 11, 1), 1), ((2026, 12, 31), 1),
    ):  # fmt: skip
        assert tariff.rate_at(a_book, at(CHINA_S, *date))[0] == rate, date


def test_weekdays_and_special_days():
    kinds = (((0, 0),), ((0, 1),), ((0, 2),))
    week = (0, 0, 0, 0, 0, 1, 1)
    holiday = books.day_number(2026, 5, 1)
    a_book = book(rates(((1, 2, 3),), (kinds,), week=week, special=((holiday, 2),)))
    for date, rate in (
        ((2026, 4, 30), 0), ((2026, 5, 1), 2), ((2026, 5, 2), 1), ((2026, 5, 3), 1),
        ((2026, 5, 4), 0),
    ):  # fmt: skip
        assert tariff.rate_at(a_book, at(CHINA_S, *date, 12))[0] == rate, date


def test_two_dated_sets_switch_inside_an_interval():
    switch_s = NOON_S + 300
    old, new = rates(((500000,),), fixed=CUR), rates(((900000,),), fixed=2 * CUR)
    ladder = Ladder(tariff.MONTH, 1, (), (0,))
    a_book = Book(1, "CNY", books.CHINA, ((0, old), (switch_s, new)), ((0, ladder),))
    amount_ncur, _, parts = charge(a_book, 0, NOON_S, NOON_S + 900, 900)
    assert [part.energy_wh for part in parts] == [300, 600]
    assert amount_ncur == 300 * 500000 + 600 * 900000
    today = tariff.local_day(a_book, switch_s)
    assert [tariff.fixed_ncur(a_book, day) for day in (today, today + 1)] == [CUR, 2 * CUR]


def test_a_ladder_switch_inside_an_interval_keeps_what_was_used_in_the_month():
    switch_s = NOON_S + 450
    ladders = (
        (0, Ladder(tariff.MONTH, 1, (10000,), (0, 100000))),
        (switch_s, Ladder(tariff.MONTH, 1, (5000,), (0, 200000))),
    )
    a_book = Book(1, "CNY", books.CHINA, ((0, rates(((500000,),))),), ladders)
    amount_ncur, used_wh, parts = charge(a_book, 6000, NOON_S, NOON_S + 900, 1000)
    assert [(part.tier, part.price_ucur_per_kwh) for part in parts] == [(0, 500000), (1, 700000)]
    assert used_wh == 7000 and amount_ncur == 500 * 500000 + 500 * 700000


def test_before_the_first_date_the_first_set_holds():
    ladder = Ladder(tariff.MONTH, 1, (), (0,))
    a_book = Book(1, "CNY", books.CHINA, ((NOON_S, rates(((7,),))),), ((NOON_S, ladder),))
    assert charge(a_book, 0, NOON_S - 900, NOON_S, 10)[0] == 70


def random_book(dice):
    """A book with everything in it."""
    days = []
    for _ in range(2):
        minutes = sorted({dice.below(1440) for _ in range(4)} | {0})
        days.append(
            (tuple([(minute, dice.below(3)) for minute in minutes]), ((0, dice.below(3)),))
        )
    one = rates(
        tuple([tuple([dice.below(900000) for _ in range(3)]) for _ in range(2)]),
        tuple(days),
        CUR,
        ((101, 1), (301, 0), (320, 1)),
        (0, 0, 1, 0, 0, 1, 1),
        ((books.day_number(2026, 3, 8), 1),),
    )
    other = rates(((400000, 300000, 200000),), tuple(days))
    adders = (0, dice.below(100000), 100000 + dice.below(100000))
    ladder = Ladder(
        1 + dice.below(5), 1 + dice.below(28), (2000 + dice.below(9000), 20000), adders
    )
    switch_s = at(0, 2026, 3, 9) + dice.below(DAY_S)
    return Book(1, "CUR", ANGELES, ((0, one), (switch_s, other)), ((0, ladder),))


def test_splitting_at_whole_watt_hours_leaves_the_total_unchanged():
    # The exact condition: the share of energy up to the split, E * (t - t0) / (tn - t0), is whole.
    for seed in range(60):
        dice = Dice(seed)
        a_book = random_book(dice)
        from_s = at(28800, 2026, 3, 7) + dice.below(3 * DAY_S)
        pieces = 1 + dice.below(12)
        step_s, step_wh = 1 + dice.below(40000), dice.below(3000)
        whole = Position(0, 0)
        whole = tariff.charge(a_book, whole, from_s, from_s + pieces * step_s, pieces * step_wh)
        split_ncur, position = 0, Position(0, 0)
        for piece in range(pieces):
            start_s = from_s + piece * step_s
            one = tariff.charge(a_book, position, start_s, start_s + step_s, step_wh)
            split_ncur += one[0]
            position = one[1]
        assert split_ncur == whole[0], seed
        if step_wh:
            assert position == whole[1], seed


def test_splitting_elsewhere_moves_at_most_one_watt_hour_a_cut():
    from_s = at(CHINA_S, 2026, 3, 10, 21, 45)
    a_book = books.zhejiang(True)
    whole_ncur = charge(a_book, 0, from_s, from_s + 1800, 3)[0]  # 1 at peak, 2 in the valley
    # 1000 s of 3 Wh in 1800 s are 1.67 Wh; one is told, and all of it falls after the peak.
    first_ncur, used_wh, _ = charge(a_book, 0, from_s, from_s + 1000, 1)
    split_ncur = first_ncur + charge(a_book, used_wh, from_s + 1000, from_s + 1800, 2)[0]
    assert whole_ncur - split_ncur == 568000 - 288000


def test_more_energy_never_costs_less_where_prices_rise():
    a_book = books.beijing()
    before_ncur = 0
    for energy_wh in range(239000, 241000, 7):
        amount_ncur = charge(a_book, 0, NOON_S, NOON_S + 900, energy_wh)[0]
        assert amount_ncur >= before_ncur
        before_ncur = amount_ncur


def test_more_energy_costs_less_by_no_more_than_the_rounding_of_its_cuts():
    # Each cut is a floor of its own, so one watt-hour may move from a dear piece to a cheap one.
    for seed in range(10):
        a_book = random_book(Dice(seed))
        from_s = at(28800, 2026, 3, 8)
        before_ncur, cuts = 0, 0
        for energy_wh in range(1000, 1040):
            amount_ncur, _, parts = charge(a_book, 0, from_s, from_s + DAY_S, energy_wh)
            cuts = max(cuts, len(parts))
            assert amount_ncur >= before_ncur - cuts * 1200000
            before_ncur = amount_ncur


def test_a_long_gap_is_rated_in_bounded_work():
    a_book = books.zhejiang(True)
    from_s = at(CHINA_S, 2020, 1, 1)
    amount_ncur, _, parts = charge(a_book, 0, from_s, NOON_S, 1000000)
    assert len(parts) <= 3 * 93 + 4
    assert 288000 * 1000000 <= amount_ncur <= 568000 * 1000000


def test_energy_at_one_instant_counts_there():
    assert charge(books.zhejiang(True), 0, NOON_S, NOON_S, 10)[0] == 5680000
    assert charge(books.zhejiang(True), 0, NOON_S, NOON_S, 0)[0] == 0


def test_negative_energy_and_reversed_time_are_refused():
    for from_s, to_s, energy_wh in ((NOON_S, NOON_S, -1), (NOON_S, NOON_S - 1, 1)):
        try:
            tariff.charge(books.beijing(), Position(0, 0), from_s, to_s, energy_wh)
        except Malformed as error:
            assert error.reason == BAD_FIELD
            continue
        raise AssertionError((from_s, to_s, energy_wh))
