"""How long the flash lasts, from measured erases of journal and file system over some weeks.

    python -m tests.bench.flash_life

Both partitions have the sizes of boards/esp32_generic. Nothing is taken for levelled: the block
that was erased most often counts, of the journal's ring and of LittleFS, the worst of a module
with a network and of one whose host comes every ten days. `*_mean` show what ideal levelling would
give. 15-minute readings of two points, a checkpoint of one pulse meter every ten seconds.
"""

import json
import sys

from host_tools.simulator import image
from tests.bench import figures

CYCLES = 100_000
DAYS = 30
POLL_S = 10
AWAY_DAYS = 10
DAYS_A_YEAR = 365
YEARS_MAX = 9999  # a block that was never erased
HEAP = "64m"
TABLE = image.ROOT / "boards" / "esp32_generic" / "partitions.csv"
NETWORKS = {"online": 0, "offline": AWAY_DAYS}


def years(erases: int, blocks: int, days: int) -> int:
    """Until `erases` over so many blocks in so many days have become CYCLES each; rounded down."""
    if not erases:
        return YEARS_MAX
    return min(YEARS_MAX, CYCLES * blocks * days // (erases * DAYS_A_YEAR))


def measure(days: int = DAYS, poll_s: int = POLL_S) -> dict[str, int]:
    table = image.partitions(TABLE)
    sectors = [table[name].size // image.SECTOR for name in ("journal", "vfs")]
    children = {
        name: figures.child("tests.bench.wear_child", 24 * days, poll_s, away, *sectors, heap=HEAP)
        for name, away in NETWORKS.items()
    }
    values = {}
    worst = []
    for name, child in children.items():
        for part, blocks in json.loads(figures.answer(child)).items():
            life = years(max(blocks), 1, days)
            worst.append(life)
            values[f"flash_life_years_{part}_{name}"] = life
            values[f"flash_life_years_{part}_{name}_mean"] = years(sum(blocks), len(blocks), days)
            print(f"flash_life: {name} {part}: {sum(blocks)} erases of {len(blocks)} blocks, "
                  f"{max(blocks)} of the worst, in {days} days")  # fmt: skip
    return {"flash_life_years": min(worst)} | values


if __name__ == "__main__":
    sys.exit(figures.write("flash_life", measure()))
