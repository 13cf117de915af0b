"""Tariff books of tariffs.md section 3, and small makers of others. Both interpreters."""

from protocol import tariff
from protocol.tariff import Book, Ladder, Position, Rates

ALL_DAY = (((0, 0),),)
EVERY_DAY = (0,) * 7
CHINA = ((0, 28800),)
UTC = ((0, 0),)
CUR = 1000000000
DAY_S = 86400


def day_number(year, month, date):
    """Days since 1970-01-01, counted one by one: no logic of the engine's own."""
    day = 0
    for each in range(1970, year):
        day += 366 if leap(each) else 365
    for each in range(1, month):
        day += month_days(year, each)
    return day + date - 1


def leap(year):
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def month_days(year, month):
    if month == 2:
        return 29 if leap(year) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def at(offset_s, year, month, date, hour=0, minute=0):
    """Unix seconds of a local wall clock with a fixed offset."""
    return day_number(year, month, date) * DAY_S + hour * 3600 + minute * 60 - offset_s


def rates(prices, days=(ALL_DAY,), fixed=0, seasons=((101, 0),), week=EVERY_DAY, special=()):
    return Rates(prices, fixed, seasons, week, special, days)


def book(one_rates, ladder=None, zone=CHINA, version=1):
    ladder = ladder or Ladder(tariff.MONTH, 1, (), (0,))
    return Book(version, "CNY", zone, ((0, one_rates),), ((0, ladder),))


def beijing():
    """CN-BJ-2012: monthly tiers to 240 and 400 kWh."""
    ladder = Ladder(tariff.MONTH, 1, (240000, 400000), (0, 50000, 300000))
    return book(rates(((488300,),)), ladder)


PEAK_8_TO_22 = ((((0, 1), (480, 0), (1320, 1)),),)


def zhejiang(time_of_use):
    """CN-ZJ: annual tiers to 2,760 and 4,800 kWh; peak 08 to 22."""
    ladder = Ladder(tariff.YEAR, 1, (2760000, 4800000), (0, 50000, 300000))
    if time_of_use:
        return book(rates(((568000, 288000),), PEAK_8_TO_22), ladder)
    return book(rates(((538000,),)), ladder)


def shanghai():
    """CN-SH-2012 with a price row a tier, in order of use; peak 06 to 22."""
    ladder = Ladder(tariff.YEAR, 1, (3120000, 4800000), (0, 0, 0))
    prices = ((617000, 307000), (677000, 337000), (977000, 487000))
    return book(rates(prices, ((((0, 1), (360, 0), (1320, 1)),),)), ladder)


def evening_peak(zone):
    """DST-TOU: 16 to 21 at 0.45, else 0.25."""
    return book(rates(((250000, 450000),), ((((0, 0), (960, 1), (1260, 0)),),)), zone=zone)


def charge(a_book, used_wh, from_s, to_s, energy_wh):
    """(amount, used after, parts) with the position counted in the period of `from_s`."""
    ladder = tariff.in_force(a_book.ladders, from_s)
    period = tariff.period_of(ladder, tariff.local_day(a_book, from_s))
    amount_ncur, after, parts = tariff.charge(
        a_book, Position(period, used_wh), from_s, to_s, energy_wh
    )
    assert amount_ncur == sum([part.amount_ncur for part in parts])
    assert energy_wh == sum([part.energy_wh for part in parts])
    return amount_ncur, after.used_wh, parts
