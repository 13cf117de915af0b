"""50 bare modules in one batch, 10 of them faulty in different ways: 40 are commissioned, the rest
listed with their reasons; then they are repaired and the same command does them too. Counts those
commissioned in the end; anything else on the way is an error."""

import asyncio
import csv
import os
from pathlib import Path

from host_tools.provisioning import faults
from host_tools.setup import TARIFF
from tests.bench.provision_site import Site, site

COUNT = int(os.environ.get("GRIDPURSE_MODULES", "50"))
PARALLEL = 4
# Made before the first run: at the module, or in its row of the file.
AT_THE_MODULE = {
    2: ("wrong-polarity", faults.PHASES),
    4: ("meter-silent", faults.SILENT),
    5: ("wrong-baud", faults.BAUD),
    7: ("welded-relay", faults.RELAY),
    8: ("phase-missing", faults.PHASES),
    10: ("bad-wifi", faults.NETWORK),
    11: ("wrong-clock", faults.CLOCK),
    13: ("unplugged", faults.CONSOLE),
}
NO_SUCH_MAP, SAME_SERIAL, REFUSED = 14, 16, 2


def rows(lab: Site, mended: bool) -> list[dict[str, str]]:
    out = []
    for number, module in lab.desk.modules.items():
        words = lab.desk.words(module)
        row = {
            "port": words[0],
            "serial": f"SN-{number:04d}",
            **{key: words[words.index(f"--{key}") + 1] for key in ("module", "point", "meter")},
        }
        if number == NO_SUCH_MAP and not mended:
            row["meter"] = "0=sdm999"
        if number == SAME_SERIAL and not mended:
            row["serial"] = "SN-0001"
        out.append(row)
    return out


def written(path: Path, found: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(found[0]))
        writer.writeheader()
        writer.writerows(found)


async def batch(lab: Site) -> tuple[int | None, str]:
    path = lab.folder / "modules.csv"
    words = lab.desk.words(lab.module(1))
    common = [word for option in ("--data", "--board", "--wifi", "--wifi-secret")
              for word in (option, words[words.index(option) + 1])]  # fmt: skip
    said = await lab.run(
        "provision", "--batch", path, "--parallel", PARALLEL, "--tariff", TARIFF, *common,
        within_s=3000,
    )  # fmt: skip
    print(said.out, flush=True)
    return said.code, said.out


async def played() -> int:
    async with site(COUNT) as (lab, watch):
        for number, (name, _) in AT_THE_MODULE.items():
            lab.desk.fault(lab.module(number), name)
        path = lab.folder / "modules.csv"
        written(path, rows(lab, mended=False))
        code, out = await batch(lab)
        bad = len(AT_THE_MODULE) + 2
        assert code == 1 and f"{COUNT - bad} commissioned 已投运, {bad} not" in out
        expected = {number: kind.exit_code for number, (_, kind) in AT_THE_MODULE.items()}
        expected |= {NO_SUCH_MAP: REFUSED, SAME_SERIAL: REFUSED}
        for number, fault in expected.items():
            assert f":{number + 1}: gp-{number} ({fault}): " in out, (number, fault)
            lab.desk.repair(lab.module(number))
        written(path, rows(lab, mended=True))
        code, out = await batch(lab)
        assert code == 0 and f"{COUNT - bad} commissioned before" in out, out
        good = 0
        for number in lab.desk.modules:
            wrong = lab.wrongs(number, f"SN-{number:04d}")
            good += not wrong
            if wrong:
                print(number, wrong)
        watch.told("provision_batch")
    return good


def measure() -> dict[str, int]:
    return {"batch_commissioned": asyncio.run(played())}
