"""`gridpurse close`: everything booked since the last closing becomes a closed day.

Without a date it lists the closed days. Settlement goes on meanwhile; what is settled later, for
whatever time, belongs to the next day. Nothing opens a closed day again.
"""

import argparse
import json
from datetime import UTC, date, datetime, timedelta

from host_tools import Refused
from host_tools.settlement import trial
from host_tools.settlement.common import add_store_arguments, settings_of, table
from host_tools.store import days
from host_tools.store.database import opened
from host_tools.store.records import ClosedDay

EPOCH = date(1970, 1, 1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = "date to close as, such as 2026-01-31; without one, closed days are listed"
    parser.add_argument("day", nargs="?", help=what)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_store_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    with opened(settings.store(), create=False) as store:
        known = store.days.closed()
        if arguments.day is not None:
            now_s = settings.clock().now_s()
            before = known[-1] if known else None
            number = number_of(arguments.day, before, now_s)
            with store.transaction():
                bound = store.days.bound()
            with store.instant():
                day = store.days.sealed(before, number, bound, now_s)
            if trial.off_ncur(days.turnover_of(day)):
                raise Refused("debits are not credits; see `gridpurse verify` 借贷不等，请先校验")
            with store.transaction():
                store.days.add(before, day)
            known = [day]
    if arguments.json:
        print(json.dumps([_told(day) for day in known]))
    elif arguments.day is None:
        heads = ("day", "entry", "posting", "closed_s", "head")
        print(table(heads, [_row(day) for day in known]))
    else:
        day = known[0]
        print(trial.shown(days.turnover_of(day)))
        print(f"closed 已关账: {date_of(day)}, SHA-256 {day.head.hex()}")
    return 0


def number_of(text: str, before: ClosedDay | None, now_s: int) -> int:
    """Days since 1970 of a date that may be closed now."""
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise Refused(f"{text}: must be a date such as 2026-01-31 日期格式不符") from error
    number = (day - EPOCH).days
    if before is not None and number <= before.day:
        raise Refused(
            f"{text}: {date_of(before)} is closed already; what is changed later is booked in the"
            " day that is open 该日已关账，更正须记入未关账日"
        )
    # Somewhere on Earth it is one day later than in UTC.
    if day > datetime.fromtimestamp(now_s, UTC).date() + timedelta(days=1):
        raise Refused(f"{text}: has not come yet; check the date 日期未到")
    return number


def date_of(day: ClosedDay) -> str:
    return (EPOCH + timedelta(days=day.day)).isoformat()


def _row(day: ClosedDay) -> tuple[object, ...]:
    return date_of(day), day.entry_id, day.posting_id, day.closed_s, day.head.hex()[:16]


def _told(day: ClosedDay) -> dict[str, object]:
    accounts = [
        {
            "currency": row.currency,
            "account": row.account,
            "debit_ncur": row.debit_ncur,
            "credit_ncur": row.credit_ncur,
        }
        for row in days.turnover_of(day)
    ]
    return {
        "day": date_of(day),
        "last_entry": day.entry_id,
        "last_posting": day.posting_id,
        "closed_s": day.closed_s,
        "head": day.head.hex(),
        "accounts": accounts,
    }
