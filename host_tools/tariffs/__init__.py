"""A tariff file (TOML): what a module charges by, and the terms that only the host can apply.

    version = 2                     # raise it with every change; a version keeps its meaning
    name = "..."
    origin = "where the prices come from"
    customers = "households"        # for whom; optional
    currency = "CNY"
    zone = "Asia/Shanghai"
    names_zh = { wheeling = "输配电费" }   # Chinese names of rates and lines; optional
    [[set]]                         # a later one with `from` replaces the one before it then
    from = 2026-01-01               # local date, 00:00; a module keeps two sets
    method = "adder"                # tiers add to the price; "per_tier": a price a tier
    tier_period = "month"           # month, year; months, days, billing_day with tier_length
    tiers_kwh = [240, 400]          # upper bounds of all tiers but the last
    adders = ["0", "0.05", "0.30"]  # adder: one a tier, per kWh
    tier_shift_kwh_per_month = 100  # household of five or more: thresholds rise; optional
    shift_tiers = [1]               # which of them, all by default
    first_year_months = 6           # annual tiers of a year begun late: thresholds * 6 / 12
    fixed_per_day = "0.20"
    percent = { VAT = "15" }        # on everything above; must leave exact prices
    prices = { peak = "0.568", valley = "0.288" }  # a kWh; per_tier: a list, one a tier, or one
    seasons = { summer = "05-01", winter = "11-01" }
    week = ["work", "work", "work", "work", "work", "rest", "rest"]
    special = { 2026-10-01 = "rest" }
    [[set.bands]]                   # the first that matches wins; together they cover the day
    rate = "peak"
    times = ["08:00-22:00"]
    seasons = ["summer"]            # optional
    days = ["work"]                 # optional

The host's own terms, all optional; a module charges without them and the host posts the rest:

    alloc = "proportional"          # registers share the tiers alike; else in order of use
    prorate_tiers = true            # a set that ends inside a tier period: thresholds by days
    tiers_per_day = true            # tiers_kwh are for each day billed; a module counts 30
    minimum_per_day = "0.32854"     # or minimum_per_month; the least that `minimum_on` comes to
    minimum_on = ["energy"]
    percent_base = "printed"        # percentages are of rounded lines; "exact": of exact ones
    round_total = "1"               # the total too, as a line of its own
    [[set.schedule]]                # other prices for all of a period's use above so much
    above_kwh = 250
    prices = { flat = "5.80" }      # with method, tiers_kwh and adders as in the set
    [[set.line]]                    # one of per_kwh, per_day, per_month, per_kw_month,
    name = "wheeling"               # per_kw_year, percent
    per_kwh = "1.40"
    [[set.line]]
    name = "duty"
    percent = "16"
    on = ["energy", "wheeling"]     # "energy", "fixed" (the daily charge) or lines before it

Shared tiers and schedules need tier periods of whole calendar months. A line has its own name.
Prices are text, because a binary fraction is no price. An error is one line: file, key, remedy.
"""

from host_tools.tariffs.document import (
    BOOK_BYTES_MAX,
    book_of,
    document_of,
    read_book,
    read_document,
)

__all__ = ["BOOK_BYTES_MAX", "book_of", "document_of", "read_book", "read_document"]
