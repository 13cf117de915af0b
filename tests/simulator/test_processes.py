"""No process outlives its bench, however the bench ends; images go both ways."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from host_tools.flashing.device_code import compile_text
from host_tools.simulator import image
from tests.host_tools.genuine import HANG_S

ROOT = Path(__file__).resolve().parents[2]

PARENT = """
import asyncio, sys
from pathlib import Path
from host_tools.simulator.bridge import VirtualModule
from host_tools.simulator.virtual_time import VirtualTime

async def main():
    folder = Path(sys.argv[1])
    clock = VirtualTime(0, 1, folder / "time")
    async with VirtualModule("m", clock, folder / "m") as module:
        module.write_files({"main.py": b"while True:\\n    pass\\n"})
        module.on_event = lambda kind, values: None
        module.power_on()
        while module._starting:
            await asyncio.sleep(0.01)
        print(module._child.pid, flush=True)
        await asyncio.sleep(100)

asyncio.run(main())
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def ended_within(pid: int, real_s: float) -> bool:
    """Waits for a process that is not our child."""
    try:
        with open(os.pidfd_open(pid)) as process:
            return bool(select.select([process], [], [], real_s)[0])
    except ProcessLookupError:
        return True


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_interpreter_outlives_a_killed_parent(tmp_path, ending):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert alive(pid)
        os.kill(parent.pid, ending)
        parent.wait(HANG_S)
    assert ended_within(pid, HANG_S)


def test_close_leaves_no_process_and_no_console(bench):
    async def story():
        async with bench.run("while True:\n    pass\n", "import os\n", factor=1) as (_, *modules):
            await bench.until(lambda: len(bench.heard("ended")) == 1)
            pids = [module._child.pid for module in modules]
            assert all(alive(pid) for pid in pids)
            consoles = [module.console_path for module in modules]
        assert not any(alive(pid) for pid in pids)
        assert not any(path.is_symlink() for path in consoles)

    asyncio.run(story())


def test_an_interpreter_that_cannot_start_is_broken_not_restarted(bench):
    async def story():
        async with bench.run("", factor=1, power=False) as (_, module):
            module.write_partition("vfs", image.blank(module.partitions["vfs"].size))
            module.power_on()
            await bench.until(lambda: module.broken)
            assert len(bench.heard("boot")) == 1

    asyncio.run(story())


def test_images_are_read_and_written_on_both_sides(bench):
    program = (
        "import os\nos.mkdir('d')\nwith open('d/x', 'w') as f:\n    f.write('from the module')\n"
    )

    async def story():
        async with bench.run(program) as (driver, module):
            assert await driver.wait_for(lambda: not module.running, 1)
            module.power_cut()
            assert module.read_files()["d/x"] == b"from the module"

    asyncio.run(story())


def test_table_rows_do_not_overlap_and_images_fill_them():
    rows = sorted(image.partitions().values(), key=lambda row: row.offset)
    assert [row.name for row in rows] == ["journal", "vfs"]
    assert rows[0].offset + rows[0].size <= rows[1].offset
    built = image.build_vfs({"a/b/c.txt": b"x" * 5000, "e": b""}, rows[1].size)
    assert len(built) == rows[1].size
    assert image.read_vfs(built) == {"a/b/c.txt": b"x" * 5000, "e": b""}


def test_syntax_the_module_cannot_run_stops_the_image(tmp_path):
    source = tmp_path / "bad.py"
    source.write_text("match x:\n    case 1: pass\n")
    with pytest.raises(SyntaxError, match=r"bad\.py"):
        compile_text(source.read_text(), "bad.py", tmp_path)
