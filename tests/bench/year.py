"""One simulated year of one module against a host that computes every charge again.

    python -m tests.bench.year

Figures: what the two balances differ by after the last day, and by how much the heap in use after
a collection grew from the sixty-first day to the last.
"""

import json
import sys

from tests.bench import figures

DAYS = 365
ENTRIES_A_DAY = 98  # intervals, the day's fixed charge, a top-up
HEAP = "4m"


def measure(days: int = DAYS) -> dict[str, int]:
    told = json.loads(figures.answer(figures.child("tests.bench.year_child", days, heap=HEAP)))
    print(f"year: {told['entries']} entries, {told['energy_wh'] // 1000} kWh")
    if told["entries"] < (days - 1) * ENTRIES_A_DAY or not told["same_head"]:
        raise RuntimeError(f"the year went wrong: {told}")
    return {
        "year_reconciliation_ncur": told["difference_ncur"],
        "year_heap_growth_bytes": told["growth_bytes"],
    }


if __name__ == "__main__":
    sys.exit(figures.write("year", measure()))
