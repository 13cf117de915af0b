"""What is on file of a metering point, for validation: a meter file, or what any point would have.

The default is a single-phase connection of 230 V and 60 A in whole hours of the tariff's zone.
"""

import tomllib
from zoneinfo import ZoneInfo

from host_tools.exchange.meter_file import MeterFile, meter_of
from host_tools.store.database import Store
from host_tools.store.records import Point
from host_tools.validation.limits import Limits
from host_tools.validation.series import Facts, History
from host_tools.validation.shapes import Past
from host_tools.validation.versions import connection_of
from protocol import tariff
from protocol.tariff import Book

Meter = MeterFile
_HOUR_S = 3600


def meter_at(store: Store, point: Point, book: Book) -> Meter:
    """The last meter file that was kept of a point, or the default."""
    text = kept_document(store, point)
    if text is not None:
        return meter_of(tomllib.loads(text), f"meter file of {point.module}/{point.point}")
    facts = Facts(point.module, point.module, _zone(book, point.state.time_s))
    name = f"{point.module}/{point.point}"
    return Meter(name, facts, Limits(), (), (), History(), Past())


def kept_document(store: Store, point: Point) -> str | None:
    """The text of the last meter file that was kept of a point."""
    rows = connection_of(store).execute(
        "SELECT document FROM vee_meters WHERE point_id = ? ORDER BY number DESC LIMIT 1",
        (point.id,),
    )
    return next((str(row[0]) for row in rows.fetchall()), None)


def keep_meter(store: Store, point: Point, text: str, who: str, now_s: int) -> None:
    """Keeps the text of a meter file that was read without fault; it stands from now on."""
    connection = connection_of(store)
    rows = connection.execute(
        "SELECT COALESCE(MAX(number), 0) + 1 FROM vee_meters WHERE point_id = ?", (point.id,)
    )
    connection.execute(
        "INSERT INTO vee_meters (point_id, number, document, who, at_s) VALUES (?, ?, ?, ?, ?)",
        (point.id, rows.fetchall()[0][0], text, who, now_s),
    )


def _zone(book: Book, at_s: int) -> ZoneInfo:
    hours = tariff.in_force(book.zone, at_s) // _HOUR_S
    return ZoneInfo(f"Etc/GMT{-hours:+d}")  # POSIX counts to the west
