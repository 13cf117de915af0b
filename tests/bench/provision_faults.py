"""Every fault of provisioning made on purpose: one line, its remedy in both languages, its code.

Those of flashing come from flash_proof. Not shown: what only a real chip does.
"""

import asyncio
import datetime
import socket
import struct
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import serial
from littlefs import LittleFSError

from host_tools.broker import HOST, Broker, free_port
from host_tools.provisioning import faults
from host_tools.setup import prepared
from host_tools.simulator import image
from tests.bench import flash_proof
from tests.bench.figures import ROOT
from tests.bench.provision_site import Said, Site, site
from tests.firmware.certificates import DAY, authority

REFUSED = 2
HAN = ("一", "鿿")
# Fault of the lab: (module, exit code). Module 1 has an sdm120, 2 an sdm630, 3 a pulse meter.
AT_THE_LAB = {
    "meter-silent": (1, faults.SILENT),
    "wrong-baud": (2, faults.BAUD),
    "wrong-polarity": (2, faults.PHASES),
    "phase-missing": (2, faults.PHASES),
    "welded-relay": (3, faults.RELAY),
    "bad-wifi": (1, faults.NETWORK),
    "wrong-clock": (1, faults.CLOCK),
    "no-power": (1, faults.CONSOLE),
    "unplugged": (1, faults.CONSOLE),
}


class Tried:
    def __init__(self) -> None:
        self.count = 0
        self.wrong: list[str] = []

    def expect(self, name: str, said: Said, code: int) -> None:
        """One line with its remedy behind a semicolon, in both languages, and the code."""
        self.count += 1
        lines = said.error.strip().split("\n")
        remedy = said.error.partition("; ")[2]
        both = remedy.strip() and any(HAN[0] <= char <= HAN[1] for char in remedy)
        if said.code == REFUSED:  # what a word of the command is wrong with
            both = ":" in said.error
        if said.code != code or len(lines) != 1 or not both or "Traceback" in said.error:
            self.wrong.append(f"{name}: {said.code}, not {code}: {said.error}")
        print(f"{name} ({said.code}): {said.error.strip()}", flush=True)


@contextmanager
def clock_file(folder: Path, at_s: int):
    path = folder / "clock"
    path.write_bytes(struct.pack("<q", at_s * 1000))
    yield path


async def of_the_lab(lab: Site, tried: Tried) -> None:
    for name, (number, kind) in AT_THE_LAB.items():
        module = lab.module(number)
        lab.desk.fault(module, name)
        tried.expect(name, await lab.provision(number), kind.exit_code)
        lab.desk.repair(module)
    lab.desk.fault(lab.module(3), "meter-silent")
    tried.expect("no pulses", await lab.provision(3), faults.PULSES.exit_code)
    lab.desk.repair(lab.module(3))


async def of_the_host(lab: Site, folder: Path, tried: Tried) -> None:
    ca = authority("ca")
    good, _ = ca.write(folder, "ca")
    old_s = int(datetime.datetime(2025, 6, 1, tzinfo=datetime.UTC).timestamp())
    with clock_file(folder, old_s) as path:
        said = await lab.provision(1, "--clock", path)
        tried.expect("host clock before 2026", said, faults.HOST_CLOCK.exit_code)
    year_s = int((datetime.datetime.now(datetime.UTC) + 4000 * DAY).timestamp())
    with clock_file(folder, year_s) as path:
        said = await lab.provision(1, "--clock", path, "--tls", "on", "--ca", good)
        tried.expect("expired CA", said, faults.CERTIFICATE.exit_code)
    said = await lab.provision(1, "--tls", "on", "--ca", good)
    tried.expect("broker without TLS", said, faults.CERTIFICATE.exit_code)
    with socket.socket() as taken:  # nobody else can come to listen there
        taken.bind((HOST, 0))
        said = await lab.provision(1, "--broker", f"{HOST}:{taken.getsockname()[1]}")
    tried.expect("broker unreachable", said, faults.BROKER.exit_code)
    other = Broker(folder / "other", free_port())
    other.start([])
    try:
        where = f"127.0.0.1:{other.address.port}"
        said = await lab.provision(1, "--broker", where)
        tried.expect("login unknown at the broker", said, faults.LOGIN.exit_code)
    finally:
        other.kill()
    tried.expect(
        "master key lost",
        await lab.run(
            "provision", *lab.desk.words(lab.module(1)),
            GRIDPURSE_MASTER_KEY_FILE=str(folder / "none.key"),
        ),
        REFUSED,
    )  # fmt: skip


async def of_the_port(lab: Site, folder: Path, tried: Tried) -> None:
    _, *words = lab.desk.words(lab.module(4))
    said = await lab.run("provision", __file__, *words)
    tried.expect("not a port", said, faults.CONSOLE.exit_code)
    with serial.Serial(str(lab.module(4).console_path), exclusive=True):
        tried.expect("port in use", await lab.provision(4), faults.CONSOLE.exit_code)
    for more in (("--point", "9=x"), ("--shard", "5000"), ("--baud", "7")):
        tried.expect(f"words {more}", await lab.provision(4, *more), REFUSED)
    said = await lab.provision(4, "--board", "esp32_generic")
    tried.expect("another board", said, faults.PROGRAM.exit_code)


async def of_the_flash(lab: Site, tried: Tried) -> None:
    module = lab.module(4)
    module.power_cut()
    module.write_files({"main.py": image.device_files()["main.py"]})
    module.power_on()
    tried.expect("program missing", await lab.provision(4), faults.PROGRAM.exit_code)
    module.erase()
    files = {**image.device_files(), "fill.bin": b""}
    for size in range(1_700_000, 0, -4096):  # as much as still leaves room for no file
        try:
            image.build_vfs({**image.prompt_files(), **files, "fill.bin": bytes(size)}, 1_835_008)
        except LittleFSError:
            continue
        files["fill.bin"] = bytes(size)
        break
    module.write_files(files)
    module.power_on()
    tried.expect("flash full", await lab.provision(4), faults.STORAGE.exit_code)
    module.erase()
    module.power_on()


async def of_identity(lab: Site, folder: Path, tried: Tried) -> None:
    lab.desk.fault(lab.module(6), "wrong-clock")
    await lab.provision(6, "--serial", "SN-6")
    lab.desk.repair(lab.module(6))
    said = await lab.provision(5, "--serial", "SN-6")
    tried.expect("duplicate serial number", said, faults.SERIAL.exit_code)
    said = await lab.provision(6, "--serial", "SN-6", "--point", "1=More", "--meter", "1=pulse:9")
    tried.expect("another order", said, faults.ORDER.exit_code)
    said = await lab.provision(5)
    assert said.code == 0, said.error
    said = await lab.provision(5, "--module", "gp-55")
    tried.expect("existing module, another name", said, faults.EXISTING.exit_code)
    data = folder / "elsewhere"
    list(prepared(data, free_port(), [0]))
    said = await lab.provision(5, "--data", data)
    tried.expect("existing module of another host", said, faults.EXISTING.exit_code)
    now_s = int(datetime.datetime.now(datetime.UTC).timestamp())
    with clock_file(folder, now_s - 3600) as path:
        said = await lab.provision(4, "--clock", path)
        tried.expect("host clock behind what it has seen", said, faults.HOST_CLOCK.exit_code)
    module = lab.module(5)
    module.erase()
    module.power_on()
    tried.expect("bare, the name in service", await lab.provision(5), faults.EXISTING.exit_code)
    lab.desk.end_settlement()
    tried.expect("settlement not running", await lab.provision(4), faults.SETTLE.exit_code)


async def provisioning(tried: Tried) -> None:
    async with site(6) as (lab, watch):
        folder = lab.folder / "more"
        folder.mkdir()
        await of_the_lab(lab, tried)
        await of_the_host(lab, folder, tried)
        await of_the_port(lab, folder, tried)
        await of_the_flash(lab, tried)
        await of_identity(lab, folder, tried)
        watch.told("provision_faults")


def flashing(tried: Tried) -> None:
    """The commands of flash_proof, each with what its one line has to hold."""
    for fault in flash_proof.faults():
        ended = subprocess.run(
            fault.command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
        )
        tried.count += 1
        lines = ended.stderr.strip().split("\n")
        held = all(part in ended.stderr for part in fault.expected)
        if ended.returncode != fault.exit_code or len(lines) != 1 or not held:
            tried.wrong.append(f"flash, {fault.name}: {ended.returncode} {ended.stderr}")


def measure() -> dict[str, int]:
    tried = Tried()
    asyncio.run(provisioning(tried))
    flashing(tried)
    for each in tried.wrong:
        print(f"NOT {each}", file=sys.stderr)
    return {"faults_tried": tried.count, "faults_without_remedy": len(tried.wrong)}
