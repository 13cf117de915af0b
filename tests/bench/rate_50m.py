"""Settlement into a store that has grown: 50 million journal rows against one million.

    .venv/bin/python -m tests.bench.settlement bench rate_50m

Both stores hold the fleet's 20,000 points. Their journals are filled here, because settling fifty
million messages would take most of an hour: interval after interval, for every point the row of
what its module would have entered (price, tier, running sums, hash chain; the tests hold `Filler`
against protocol/) with the number of the row before it. Then both settle further messages of all
meters, in turn, ROUNDS times; the best of each side counts. No broker takes part: its share of
the time would hide what the store costs. The stores need about 8 GB of disk and are removed at
the end. On a machine with more memory than that the file stays in the page cache.
"""

import gc
import random
import shutil
import tempfile
import time
from bisect import bisect_right
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from host_tools.keys import KeyFiles
from host_tools.settlement import posting
from host_tools.settlement.chaining import charged
from host_tools.settlement.consumer import Consumer
from host_tools.settlement.pricing import Prices
from host_tools.settlement.tenancy import Tenancy
from host_tools.settlement.transport import Delivery, Nowhere
from host_tools.store.database import FILE, open_store
from host_tools.store.sql import Row, sqlite
from protocol import ledger
from protocol.units import SYNCHRONISED
from tests.bench import drain, fleet

ROWS = (1_000_000, 50_000_000)
ROUNDS = 4
INTERVALS = 4  # of every meter, settled in a round
_CONTRA = posting.contra(ledger.CHARGE, True)
ENERGIES_WH = (250, 40, 1100, 610, 95, 333, 1990, 7)


class Filler:
    """Continues the journals of the points of a store, interval by interval for all of them."""

    def __init__(self, folder: Path) -> None:
        store = open_store(folder)
        self._points = store.fleet.points()
        self._books = {
            point.state.version: store.fleet.book(point.state.version) for point in self._points
        }
        store.close()
        self._prices = Prices()
        self._time_s = self._points[0].state.time_s
        # Of each point what changes with every entry.
        self._lines = [
            (*point.state[:6], *point.state[9:], point.last_id) for point in self._points
        ]
        self._last_id = max(point.last_id for point in self._points)
        path = folder / FILE
        self._database = sqlite.SqliteDatabase(sqlite.connected(path), path)
        self._connection = self._database.connection
        # A store that is lost when the machine stops is filled again.
        self._connection.execute("PRAGMA synchronous = OFF")

    def fill(self, rows: int) -> None:
        """Until the journal has so many rows, or as many more as make a whole interval."""
        while self._last_id < rows:
            self._connection.execute("BEGIN")
            self._database.append(self._interval())
            self._connection.execute("COMMIT")
        moved = [
            (line[-1], point.id) for line, point in zip(self._lines, self._points, strict=True)
        ]
        self._connection.execute("BEGIN")
        self._connection.executemany("UPDATE points SET last_id = ? WHERE id = ?", moved)
        self._connection.execute("COMMIT")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()

    def meters(self) -> Iterator[fleet.Meter]:
        """The points' modules, where the points stand now."""
        for number, (point, line) in enumerate(zip(self._points, self._lines, strict=True)):
            before = point.state
            meter = fleet.Meter(number, self._books[before.version])
            state = (*line[:6], before.day, before.version, before.mark, *line[6:9])
            meter.state = ledger.State(*state)
            yield meter

    def _interval(self) -> list[Row]:
        """The journal rows of the next interval of every point."""
        from_s = self._time_s
        rates = {
            version: self._prices.interval(book, version, from_s)
            for version, book in self._books.items()
        }
        row_id = self._last_id
        rows, lines = [], []
        for place, point in enumerate(self._points):
            version = point.state.version
            time_s, period, thresholds_wh, prices, when, how = rates[version]
            (
                seq, _, register_wh, balance_ncur, known, used_wh, charged_ncur, topups_ncur,
                head, before_id,
            ) = self._lines[place]  # fmt: skip
            if known != period:
                used_wh = 0
            energy_wh = ENERGIES_WH[(seq + place) % len(ENERGIES_WH)]
            tier = bisect_right(thresholds_wh, used_wh)
            used_wh += energy_wh
            if tier < len(thresholds_wh) and used_wh > thresholds_wh[tier]:
                energy_wh -= used_wh - thresholds_wh[tier]  # up to the end of the tier
                used_wh = thresholds_wh[tier]
            charge_ncur = prices[tier] * energy_wh
            seq, register_wh = seq + 1, register_wh + energy_wh
            balance_ncur, charged_ncur = balance_ncur - charge_ncur, charged_ncur + charge_ncur
            head = sha256(charged(
                head, seq, when, register_wh, energy_wh, how, used_wh, charge_ncur, balance_ncur
            )).digest()[: ledger.HEAD_BYTES]  # fmt: skip
            row_id += 1
            rows.append((
                row_id, before_id, point.id, 1, from_s, fleet.NOW_S, _CONTRA, charged_ncur,
                topups_ncur, head, None, seq, ledger.CHARGE, time_s, SYNCHRONISED, register_wh,
                energy_wh, version, period, used_wh, -charge_ncur, 0, 0, balance_ncur,
            ))  # fmt: skip
            lines.append((
                seq, time_s, register_wh, balance_ncur, period, used_wh, charged_ncur, topups_ncur,
                head, row_id,
            ))  # fmt: skip
        self._lines, self._last_id, self._time_s = lines, row_id, time_s
        return rows


class Grown:
    """A store filled to so many rows, and messages that continue it."""

    def __init__(self, made: Path, folder: Path, rows: int, intervals: int) -> None:
        shutil.copytree(made / fleet.STORE, folder)
        filler = Filler(folder)
        filler.fill(rows)
        self._rounds = self._written(filler, intervals)
        self.store = open_store(folder)
        clock = fleet.Standing()
        tenancy = Tenancy(self.store, clock, "grown", (fleet.SHARD,))
        keys = KeyFiles(made / fleet.KEYS)
        self._consumer = Consumer(self.store, keys, clock, Nowhere(), tenancy)
        tenancy.look()

    def _written(self, filler: Filler, intervals: int) -> Iterator[list[Delivery]]:
        """So many intervals of all meters, again and again."""
        meters = list(filler.meters())
        chance = random.Random(fleet.SEED)
        while True:
            found = []
            for _ in range(intervals):
                order = chance.sample(range(len(meters)), len(meters))
                for number in order:
                    data = meters[number].charged([chance.randrange(1, 2000)])
                    found.append(Delivery(fleet.topic_of(number), data, None))
            yield found

    def settled(self) -> int:
        """Settles one round; messages a second."""
        found = next(self._rounds)
        before = self.entries()
        gc.collect()
        gc.disable()
        try:
            started_ns = time.monotonic_ns()
            for start in range(0, len(found), drain.BATCH):
                self._consumer.consume(found[start : start + drain.BATCH], True)
            rate = drain.rate(len(found), started_ns)
        finally:
            gc.enable()
        if self.entries() - before != len(found) or self.store.ledgers.differences():
            raise RuntimeError(f"{self.entries() - before} entries of {len(found)}")
        return rate

    def entries(self) -> int:
        """Rows of the journal, which are numbered without a gap."""
        with self.store.transaction():
            return self.store.ledgers.next_id(1, fleet.NOW_S) - 1


def measure(
    rows: tuple[int, int] = ROWS, made: Path | None = None, intervals: int = INTERVALS
) -> dict[str, int]:
    made = made or fleet.made()
    with tempfile.TemporaryDirectory(dir=made.parent) as folder:
        grown = []
        for place, count in enumerate(rows):
            started_s = time.monotonic()
            grown.append(Grown(made, Path(folder) / str(place), count, intervals))
            print(f"rate_50m: {count} rows in {time.monotonic() - started_s:.0f} s", flush=True)
        for each in grown:
            each.settled()  # keys, prices and rows are read once
        best = [0, 0]
        for _ in range(ROUNDS):
            rates = [each.settled() for each in grown]
            best = [max(pair) for pair in zip(best, rates, strict=True)]
            print(f"rate_50m: {rates[0]}/s at {rows[0]} rows, {rates[1]}/s at {rows[1]}")
        values = {
            "sqlite_rate_50m_over_1m": best[1] * 100 // best[0],
            "sqlite_rate_1m_msgs_s": best[0],
            "sqlite_rate_50m_msgs_s": best[1],
            "sqlite_rate_50m_rows": grown[1].entries(),
        }
        for each in grown:
            each.store.close()
        return values
