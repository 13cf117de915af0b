"""What is broken before the start is told in one line: where, what, and what to do about it."""

import asyncio
import resource
import shutil
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from host_tools import tariffs
from host_tools.config import BrokerAddress
from host_tools.keys import RootKey
from host_tools.maps import MAPS, compile_map, load
from host_tools.provisioning.module_files import module_files
from host_tools.simulator import image
from host_tools.simulator.bridge import VirtualModule
from host_tools.simulator.virtual_time import VirtualTime
from host_tools.simulator.wiring import Place, module_settings
from protocol import cbor, settings, tariff_book
from protocol.quantities import MAP_REGISTERS
from tests.host_tools.genuine import HANG_S
from tests.system.commands import (
    BIN,
    ROOT,
    TARIFF,
    Site,
    done,
    none_left,
    one_line,
    refusal,
)

START_S = 1_800_000_000
BOOK = tariffs.read_book(TARIFF)
PLACE = Place("Flat", "sdm120", 1, 0, (5, 2), 0, False, "family", 1000, 45_000)
LOGIN = BrokerAddress("127.0.0.1", 1, "m", "secret")
SETTINGS = module_settings("m", 0, {0: PLACE}, LOGIN, 1000)
GOOD = {**image.device_files(), **module_files(SETTINGS, RootKey(bytes(32)), {0: BOOK})}

CONFIG, KEY, BOOK_FILE, MAP = "config.cbor", "key.bin", "tariff0.cbor", "meter_maps/sdm120.cbor"
HALF_MAP = {**compile_map(load(MAPS / "sdm120.toml"))}
del HALF_MAP[MAP_REGISTERS]
# file, its content (None: no such file), what its line says after the file's name
BROKEN_FILES = {
    "no settings": (CONFIG, None, ": is missing; provision the module again"),
    "settings cut off": (CONFIG, GOOD[CONFIG][:40], ": truncated; "),
    "a setting out of range": (
        CONFIG,
        cbor.encode(settings.module_to_wire(SETTINGS._replace(poll_ms=1))),
        ": poll_ms: must be a whole number from 100 to 300000",
    ),
    "no key": (KEY, None, ": is missing; provision the module again"),
    "short key": (KEY, bytes(31), ": must hold 32 bytes; provision the module again"),
    "no map": (MAP, None, ": is missing; provision the module again"),
    "not a map": (
        MAP,
        cbor.encode([1]),
        ": register map is not whole; provision the module again",
    ),
    "half a map": (
        MAP,
        cbor.encode(HALF_MAP),
        ": register map is not whole; provision the module again",
    ),
    "no tariff": (BOOK_FILE, None, ": is missing; provision the module again"),
    "tariff without version": (
        BOOK_FILE,
        cbor.encode([0, *tariff_book.to_wire(BOOK)[1:]]),
        ": tariff version; ",
    ),
}


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What the console of each module with a broken file says."""
    folder = tmp_path_factory.mktemp("broken")
    heard: dict[str, str] = {}

    def listen(module: VirtualModule, case: str) -> None:
        module.console.drain()
        text = bytes(module.console.log).decode().replace("\r", "")
        if text.endswith("\n"):
            heard[case] = text

    async def story() -> None:
        time = VirtualTime(START_S, 1, folder / "time")
        modules = {}
        async with AsyncExitStack() as stack, asyncio.timeout(HANG_S):
            stack.callback(time.close)
            for case, (name, content, _) in BROKEN_FILES.items():
                module = VirtualModule("m", time, folder / case)
                await stack.enter_async_context(module)
                files = {path: data for path, data in GOOD.items() if path != name}
                module.write_files(files if content is None else {**files, name: content})
                modules[case] = module
                module.power_on()
            while len(heard) < len(BROKEN_FILES):
                await asyncio.sleep(0.01)
                for case, module in modules.items():
                    listen(module, case)

    asyncio.run(story())
    return heard


@pytest.mark.parametrize("case", BROKEN_FILES)
def test_a_module_with_a_broken_file_says_which_and_what_to_do(said, case):
    name, _, what = BROKEN_FILES[case]
    line = one_line(said[case])
    assert line.startswith(f"gridpurse: /{name}{what}")


BAD_CONFIGS = (
    ("port = ", "port = x", "gridpurse.toml: not TOML: "),
    ("port = ", "port = 0", "gridpurse.toml: broker.port: must be a whole number from 1 to 65535"),
    ("port = ", "prot = 1883", "gridpurse.toml: broker.prot: is unknown; remove it"),
    ("shards = ", "shards = 7", "gridpurse.toml: shards: must be a list such as [0, 1]"),
    ("password_file = ", 'password_file = "none"', "none: the broker's password cannot be read"),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = Site(tmp_path_factory.mktemp("bad") / "data")
    made.enrol("gp-1")
    return made


def test_a_garbled_configuration_is_one_line(site):
    path = site.data / "gridpurse.toml"
    good = path.read_text()
    for key, line, said in BAD_CONFIGS:
        lines = [line if old.startswith(key) else old for old in good.split("\n")]
        path.write_text("\n".join(lines))
        try:
            for command in (("settle",), ("simulate", "--module", "gp-1", "--broker")):
                assert said in refusal(*command, "--data", site.data)
        finally:
            path.write_text(good)


BAD_SETUPS = (
    (("--port", "0"), "--port 0: must be 1 to 65535"),
    (("--shards", "0,x"), "--shards 0,x: name each number once, such as 0,1"),
    (("--shards", "1,1"), "--shards 1,1: name each number once, such as 0,1"),
)


def test_what_setup_cannot_make_is_one_line(tmp_path):
    for words, said in BAD_SETUPS:
        assert refusal("setup", "--data", tmp_path / "a", *words) == f"gridpurse setup: {said}"
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").write_text("in the way")
    for data in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/none")):
        line = refusal("setup", "--data", data)
        assert line.startswith(f"gridpurse setup: {data}: ")
        assert line.endswith("name another folder with --data")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "broker").write_text("in the way")
    assert "broker: File exists" in refusal("setup", "--data", tmp_path / "b")


def limited(size: int, *words: object) -> subprocess.CompletedProcess[str]:
    """A command that cannot write a file beyond a size, as on a disk with a quota."""
    return subprocess.run(
        [str(BIN / "gridpurse"), *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )


def test_a_file_that_cannot_grow_is_one_line(tmp_path, site):
    ended = limited(8192, "setup", "--data", tmp_path / "data")
    assert ended.returncode == 2 and "check the disk" in one_line(ended.stderr)
    done("setup", "--data", tmp_path / "data")
    ended = limited(4096, "simulate", "--data", site.data, "--broker", "--module", "gp-1")
    assert ended.returncode == 2
    one_line(ended.stderr)
    none_left(site.data)


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    mounted = shutil.which("mount") and subprocess.run(command, capture_output=True, check=False)
    if not mounted or mounted.returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_one_line_and_nothing_is_left_half_made(small_disk):
    data, filler = small_disk / "data", small_disk / "filler"
    fill(filler, 0)
    assert refusal("setup", "--data", data).startswith(f"gridpurse setup: {small_disk}")
    filler.unlink()
    done("setup", "--data", data)
    words = ("--add", "gp-1", "--point", "0=Flat", "--tariff", TARIFF, "--data", data)
    for pages_free in range(6):  # with 4 free the key still finds room, its module does not
        fill(filler, pages_free)
        assert "disk" in refusal("modules", *words)
        filler.unlink()
        assert not list(data.glob("keys/*"))
    done("modules", *words)
    fill(filler, 1)
    line = refusal("simulate", "--data", data, "--broker", "--module", "gp-1")
    assert line.startswith(f"gridpurse simulate: {data}/")
    none_left(data)


def fill(path: Path, pages_free: int) -> None:
    """Takes what is left of a disk, but for some pages."""
    free = shutil.disk_usage(path.parent).free - pages_free * 4096
    path.write_bytes(bytes(max(0, free)))


def test_a_python_that_is_too_old_is_one_line(tmp_path):
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    ended = subprocess.run(
        ["make", "setup", "PYTHON=/bin/false"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("make")]
    assert len(lines) == 1 and "no Python 3.11 or newer" in lines[0]
    assert not (tmp_path / ".venv").exists()
