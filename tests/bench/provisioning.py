"""The report of provisioning, build/bench/provisioning.json; how it is run is told in report.py.

flash_proof and module_care belong to flashing and to the care of modules in service.
"""

import sys

from tests.bench.report import Report

PARTS = {
    "proof": (
        "provision_flash",
        "provision_one",
        "provision_kills",
        "provision_faults",
        "provision_batch",
        "module_care",
        "provision_leaks",
    )
}
REPORT = Report("provisioning", PARTS, {"proof": "provisioning"})

if __name__ == "__main__":
    sys.exit(REPORT.main(sys.argv[1], sys.argv[2:]))
