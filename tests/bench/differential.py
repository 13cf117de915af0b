"""Random histories through the ledger on both interpreters; equal digests or the first difference.

    python -m tests.bench.differential

Books have tiers, times of use, seasons, special days, two dated sets and real clock changes.
"""

import random
import struct
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from protocol import cbor, tariff, tariff_book
from protocol.tariff import Book, Ladder, Rates
from tests.bench import figures, histories

HISTORIES = 20_000
BATCH = 500
SEED = 20260305
FROM_S = 1704067200  # 2024, a leap year
YEARS = 5
DAY_S = 86400
CUR = 1_000_000_000
HEAP = "16m"
ZONES = (
    "Asia/Shanghai", "Europe/Berlin", "America/Los_Angeles", "Australia/Lord_Howe",
    "Africa/Cairo", "America/St_Johns", "Asia/Kathmandu",
)  # fmt: skip


@cache
def zone(name: str) -> tuple[tuple[int, int], ...]:
    """((from_s, utc offset), ...) of some years, found hour by hour."""
    place = ZoneInfo(name)
    changes: list[tuple[int, int]] = []
    at = datetime.fromtimestamp(FROM_S, UTC)
    for _ in range(YEARS * 366 * 48):
        delta = at.astimezone(place).utcoffset()
        assert delta is not None
        offset_s = int(delta.total_seconds())
        if not changes or changes[-1][1] != offset_s:
            changes.append((int(at.timestamp()) if changes else 0, offset_s))
        at += timedelta(minutes=30)
    return tuple(changes)


def random_rates(dice: random.Random) -> Rates:
    width = dice.randint(1, 4)
    kinds = dice.randint(1, 3)
    seasons = dice.randint(1, 3)
    days = []
    for _ in range(seasons):
        lists = []
        for _ in range(kinds):
            minutes = sorted(dice.sample(range(1, 1440), dice.randint(0, 5)))
            lists.append(tuple((minute, dice.randrange(width)) for minute in (0, *minutes)))
        days.append(tuple(lists))
    starts = sorted(dice.sample((101, 301, 401, 701, 901, 1101, 1225), dice.randint(1, 4)))
    first = FROM_S // DAY_S
    special = sorted(dice.sample(range(first, first + 900), dice.randint(0, 20)))
    rows = dice.choice((1, 1, 2, 3))
    return Rates(
        tuple(tuple(dice.randint(0, 2_000_000) for _ in range(width)) for _ in range(rows)),
        dice.choice((0, 0, dice.randint(1, 5 * CUR))),
        tuple((start, dice.randrange(seasons)) for start in starts),
        tuple(dice.randrange(kinds) for _ in range(7)),
        tuple((day, dice.randrange(kinds)) for day in special),
        tuple(days),
    )


def random_ladder(dice: random.Random) -> Ladder:
    thresholds = sorted(dice.sample(range(1, 60_000), dice.randint(0, 4)))
    period = dice.randint(tariff.MONTH, tariff.BILLING_DAY)
    length = dice.randint(1, 28)
    adders = [0, *sorted(dice.randint(0, 500_000) for _ in thresholds)]
    return Ladder(period, length, tuple(thresholds), tuple(adders))


def random_book(dice: random.Random, version: int) -> Book:
    switch_s = FROM_S + dice.randrange(400 * DAY_S)
    rates, ladders = [(0, random_rates(dice))], [(0, random_ladder(dice))]
    if dice.random() < 0.5:
        rates.append((switch_s, random_rates(dice)))
    if dice.random() < 0.3:
        ladders.append((switch_s + dice.choice((0, 7200)), random_ladder(dice)))
    return Book(version, "CUR", zone(dice.choice(ZONES)), tuple(rates), tuple(ladders))


def random_operation(dice: random.Random, number: int) -> list[int]:
    what = dice.random()
    if what < 0.7:
        seconds = dice.choice((900, 900, 900, dice.randint(0, 5000), dice.randint(0, 40 * DAY_S)))
        quality = dice.choice((0, 0, 0, 1, 2))
        return [histories.METER, seconds, dice.choice((0, 250, dice.randint(0, 30_000))), quality]
    if what < 0.82:
        top_up = max(1, 2 * number + dice.randint(-20, 6))
        return [histories.TOPUP, top_up, dice.randint(1, 500 * CUR)]
    if what < 0.9:
        return [histories.ADJUST, number, dice.randint(0, 9), dice.randint(-CUR, CUR)]
    if what < 0.95:
        return [histories.SWITCH, dice.randrange(2)]
    return [histories.PARTS, dice.randint(0, 3 * DAY_S), dice.randint(0, 100_000)]


def history(seed: int) -> bytes:
    dice = random.Random(seed)
    wires = [tariff_book.to_wire(random_book(dice, version)) for version in (1, 2)]
    if dice.random() < 0.02:
        wires[1][0] = 0  # a book that must be refused alike
    books = [cbor.encode(wire) for wire in wires]
    operations = [random_operation(dice, number) for number in range(dice.randint(5, 25))]
    start_s = FROM_S + dice.randrange(700 * DAY_S)
    return cbor.encode([books, start_s, dice.randrange(1 << 40), operations])


def batch(first: int, count: int) -> tuple[int, str]:
    """(differences, the first of them) of some seeds; the child reads the same bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "histories"
        with path.open("wb") as file:
            for seed in range(first, first + count):
                data = history(seed)
                file.write(struct.pack("<I", len(data)) + data)
        child = figures.child("tests.bench.histories", str(path), heap=HEAP)
        ours: list[str] = []
        histories.run(str(path), lambda digest: ours.append(digest.hex()))
        theirs = figures.answer(child).decode().split()
    return compared(first, ours, theirs)


def compared(first: int, ours: list[str], theirs: list[str]) -> tuple[int, str]:
    """A history that one side did not finish, or that was not rebuilt, is a difference."""
    pairs = list(zip(ours, theirs, strict=False))
    wrong = [n for n, (our, their) in enumerate(pairs) if our != their or len(our) != 64]
    wrong += range(len(pairs), max(len(ours), len(theirs)))
    return len(wrong), f"seed {first + wrong[0]}" if wrong else ""


def batches(count: int) -> Iterator[tuple[int, int]]:
    for first in range(0, count, BATCH):
        yield SEED + first, min(BATCH, count - first)


def measure(count: int = HISTORIES) -> dict[str, int]:
    # One process generates while the other's child works: two of each keep two cores busy.
    with ProcessPoolExecutor(figures.PROCESSES) as pool:
        found = list(pool.map(batch, *zip(*batches(count), strict=True)))
    for wrong, where in found:
        if wrong:
            print(f"differential: {wrong} differences, the first at {where}", file=sys.stderr)
    differences = sum(wrong for wrong, _ in found)
    return {"differential_histories": count, "differential_differences": differences}


if __name__ == "__main__":
    sys.exit(figures.write("differential", measure()))
