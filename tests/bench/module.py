"""The module's report, build/bench/module.json; how it is run is told in report.py."""

import sys

from tests.bench.report import Report, fingerprint

PARTS = {
    "bench": ("relay_open", "pulses", "flash_life", "air", "heap", "peers"),
    "proof": (
        "cuts",
        "cuts_updates",
        "wires",
        "outbox_room",
        "relay_rules",
        "tokens",
        "hostile_week",
        "year",
    ),
}
REPORT = Report("module", PARTS, {"bench": "bench", "proof": "proof"})
run, merged, measured = REPORT.run, REPORT.merged, REPORT.measured
__all__ = ["REPORT", "fingerprint", "measured", "merged", "run"]

if __name__ == "__main__":
    sys.exit(REPORT.main(sys.argv[1], sys.argv[2:]))
