"""Re-rating many points: numpy beside the engine one by one, and that both give the same integers.

Two parts: the speed on a fleet's quarter of a year (points that share a few tariffs, readings of
15 minutes, everything rated by both), and differences over random books and readings, among them
those that leave 64 bits and fall back.

    python -m tests.bench.rerate
"""

import sys
import time
from collections.abc import Sequence
from random import Random

import numpy as np

from host_tools.rating import vectors
from host_tools.rating.vectors import Charged, PointReadings
from protocol.tariff import Book
from tests.bench import figures
from tests.host_tools import random_books
from tests.host_tools.bills import shipped

TARIFFS = ("cn-bj-2012", "cn-zj-tou", "cn-sh-2012", "es-2.0td", "dst-tou", "in-kseb")
POINTS_A_TARIFF = 12
DAYS = 90
RANDOM_BOOKS = 400
START_S = 1_767_225_600  # 2026-01-01 00:00 UTC


def fleet(dice: Random, book: Book) -> list[PointReadings]:
    """Points of one tariff with their 15-minute readings."""
    points = []
    for _ in range(POINTS_A_TARIFF):
        count = DAYS * 96
        edges = START_S + 900 * np.arange(count + 1, dtype=np.int64)
        energy_wh = np.array([dice.randrange(400) for _ in range(count)], np.int64)
        start = random_books.position(dice, book, START_S)
        points.append(PointReadings(start, edges[:-1], edges[1:], energy_wh))
    return points


def wild(dice: Random) -> tuple[Book, list[PointReadings]]:
    """A random book and a few points; every eighth is far too large for 64 bits."""
    book = random_books.book(dice, cheap=dice.random() < 0.8)
    points = []
    for _ in range(3):
        rows = random_books.readings(dice, dice.randrange(1, 60))
        start = random_books.position(dice, book, rows[0][0])
        columns = np.array(rows, np.int64).T
        energy_wh = columns[2] << (30 if dice.random() < 0.125 else 0)
        points.append(PointReadings(start, columns[0], columns[1], energy_wh))
    return book, points


def differences(found: Sequence[Charged], wanted: Sequence[Charged]) -> int:
    return sum(
        one.position != other.position or list(one.amount_ncur) != list(other.amount_ncur)
        for one, other in zip(found, wanted, strict=True)
    )


def measure() -> dict[str, int]:
    dice = Random(4)
    differing = points_seen = readings = fallbacks = 0
    fast_ns = slow_ns = 0
    for name in TARIFFS:
        book = shipped(name).book
        points = fleet(dice, book)
        begun_ns = time.perf_counter_ns()
        found = vectors.rate_many(book, points)
        between_ns = time.perf_counter_ns()
        wanted = [vectors.one_by_one(book, point) for point in points]
        fast_ns += between_ns - begun_ns
        slow_ns += time.perf_counter_ns() - between_ns
        differing += differences(found, wanted)
        points_seen += len(points)
        readings += sum(len(point.energy_wh) for point in points)
    for seed in range(RANDOM_BOOKS):
        book, points = wild(Random(seed))
        found = vectors.rate_many(book, points)
        differing += differences(found, [vectors.one_by_one(book, point) for point in points])
        fallbacks += sum(isinstance(one.amount_ncur, list) for one in found)
        points_seen += len(points)
    print(
        f"    {readings} readings, {readings * 10**9 // fast_ns} a second, one by one"
        f" {readings * 10**9 // slow_ns}; {points_seen} points compared, {fallbacks} of them"
        " beyond 64 bits"
    )
    return {"rerate_vectorised_speedup": slow_ns // fast_ns, "rerate_differences": differing}


if __name__ == "__main__":
    sys.exit(figures.write("rerate", measure(), targets=figures.TARGETS["settlement bench"]))
