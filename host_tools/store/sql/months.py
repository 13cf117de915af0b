"""Journal rows on PostgreSQL are numbered by month of arrival, so that a number tells its part.

The number of a row is (months since 1970) * 2^40 + a count. Everything that looks for a row has
its number and so looks into one part; a number stays below 2^53, which JSON keeps exactly.
"""

from datetime import UTC, datetime

MONTH_BITS = 40


def months_of(time_s: int) -> int:
    """Months from January 1970 to the one of an instant, in UTC."""
    day = datetime.fromtimestamp(time_s, UTC)
    return (day.year - 1970) * 12 + day.month - 1


def number_of(time_s: int, later: int = 0) -> int:
    """The first number of the month of an instant, or of one some months later."""
    return (months_of(time_s) + later) << MONTH_BITS


def name_of(time_s: int) -> str:
    """The table of a month's part."""
    return datetime.fromtimestamp(time_s, UTC).strftime("entries_%Y_%m")
