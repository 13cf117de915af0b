"""The settlement's report, build/bench/settlement.json; how it is run is told in report.py.

The list `proof` of figures.py grows with what the settlement has to show.
"""

import sys

from tests.bench.report import Report

PARTS = {
    "bench": ("drain", "drain_postgres", "live", "rate_50m", "hostile_load", "rerate"),
    "proof": (
        "invariance",
        "invariance_real",
        "invariance_postgres",
        "golden_bills",
        "vee",
        "restore",
        "cluster",
        "soak",
    ),
}
REPORT = Report("settlement", PARTS, {"bench": "settlement bench", "proof": "settlement proof"})

if __name__ == "__main__":
    sys.exit(REPORT.main(sys.argv[1], sys.argv[2:]))
