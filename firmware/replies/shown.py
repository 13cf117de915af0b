"""How the answers of the console show money and instants, and which points they are about."""

from protocol import tariff


def money(amount_ncur):
    """Two decimals, rounded down: never more than there is."""
    cents = amount_ncur // 10000000
    sign = "-" if cents < 0 else ""
    return "%s%d.%02d" % (sign, abs(cents) // 100, abs(cents) % 100)


def instant(unix_s):
    day, second = divmod(unix_s, 86400)
    minute = second // 60
    return "%04d-%02d-%02d %02d:%02d:%02dZ" % (
        tariff.civil(day) + (minute // 60, minute % 60, second % 60)
    )


def chosen(console, words):
    """The point that is named last, or all of them."""
    points = console.firmware.points
    named = [point for number, point in points.items() if str(number) == words[-1]]
    return named or list(points.values())
