"""The console is a board to mpremote: the technician's tool works as on an ESP32."""

import asyncio
import os
import sys
from pathlib import Path

from host_tools.provisioning import console
from tests.host_tools.genuine import HANG_S
from tests.simulator.conftest import Bench

IDLE = """
import asyncio
from boards.virtual import board
b = board.build()
print("main ran", b.reset_cause())
async def main():
    while True:
        await asyncio.sleep_ms(50)
asyncio.run(main())
"""


async def mpremote(module, *words: str) -> str:
    await Bench.until(lambda: not module._starting)  # mpremote itself waits for 10 s at most
    command = [str(Path(sys.executable).parent / "mpremote"), "connect", str(module.console_path)]
    child = await asyncio.create_subprocess_exec(
        *command, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        out, _ = await asyncio.wait_for(child.communicate(), HANG_S)
    except TimeoutError:
        child.kill()
        raise
    assert child.returncode == 0, out.decode()
    return out.decode()


def test_mpremote_runs_code_and_handles_files(bench, tmp_path):
    source = tmp_path / "notes.txt"
    source.write_bytes(bytes(range(256)) * 20)
    script = tmp_path / "script.py"
    script.write_text("import machine\nprint('script', machine.unique_id())\n")

    async def story():
        async with bench.run(IDLE, factor=1) as (_, module):
            assert await mpremote(module, "exec", "print(6 * 7)") == "42\n"
            assert await mpremote(module, "eval", "2 ** 40") == "1099511627776\n"
            await mpremote(module, "fs", "cp", str(source), ":notes.txt")
            listing = await mpremote(module, "fs", "ls")
            assert "5120 notes.txt" in listing and "main.py" in listing
            assert await mpremote(module, "run", str(script)) == "script b'm0'\n"
            await mpremote(module, "fs", "cp", ":notes.txt", str(tmp_path / "back"))
            await mpremote(module, "rtc", "--set")
            assert (
                await mpremote(
                    module,
                    "exec",
                    "import esp32; print(esp32.Partition.find(1, label='journal')[0].info())",
                )
                == "(1, 64, 2097152, 262144, 'journal', False)\n"
            )
            assert module.read_files()["notes.txt"] == source.read_bytes()

    asyncio.run(story())
    assert (tmp_path / "back").read_bytes() == source.read_bytes()


SLOW_TO_END = """
import time
print("main ran")
try:
    while True:
        time.sleep_ms(50)
finally:
    until = time.ticks_add(time.ticks_ms(), 1500)
    while time.ticks_diff(until, time.ticks_ms()) > 0:
        pass
"""


def test_ctrl_c_as_soon_as_the_boot_loader_is_done_ends_at_the_prompt(bench):
    async def story():
        async with bench.run(IDLE, factor=1) as (_, module):
            port = os.open(module.console_path, os.O_RDWR | os.O_NOCTTY)
            try:
                os.write(port, b"\x03")
                await bench.until(lambda: bench.heard("ended"))
            finally:
                os.close(port)

    asyncio.run(story())


def test_a_program_that_takes_long_to_end_is_not_started_again_by_mpremote(bench):
    """What asks for the raw prompt comes while the program still ends, and waits."""

    async def story():
        async with bench.run(SLOW_TO_END, factor=1) as (_, module):
            assert await mpremote(module, "exec", "print(6 * 7)") == "42\n"
            assert module.console.log.count(b"main ran") == 1

    asyncio.run(story())


def test_a_prompt_asked_for_more_than_once_is_in_step_however_late_it_comes(bench, monkeypatch):
    """Each attempt is answered in the end; what the earlier ones are told is no program's."""
    monkeypatch.setattr(console, "PROMPT_S", 0.6)

    def used(port: str) -> list[str]:
        with console.opened(port) as found:
            return [found.run(f"print({number} * 7)").strip() for number in range(20)]

    async def story():
        async with bench.run(SLOW_TO_END, factor=1) as (_, module):
            await bench.until(lambda: "main ran" in bench.said(module))
            port = str(module.console_path)
            wanted = [str(number * 7) for number in range(20)]
            assert await asyncio.to_thread(used, port) == wanted

    asyncio.run(story())


def test_mpremote_mounts_a_host_folder(bench, tmp_path):
    (tmp_path / "hosted.py").write_text("print('from the host')\n")

    async def story():
        async with bench.run(IDLE, factor=1) as (_, module):
            out = await mpremote(module, "mount", str(tmp_path), "exec", "import hosted")
            assert "from the host" in out

    asyncio.run(story())


def test_soft_reset_keeps_to_the_prompt_and_hard_reset_runs_main(bench):
    async def story():
        async with bench.run(IDLE, factor=1) as (_, module):
            await bench.until(lambda: "main ran 1" in bench.said(module))
            await mpremote(module, "soft-reset")
            cause = await mpremote(
                module, "resume", "exec", "import machine; print(machine.reset_cause())"
            )
            assert cause == "5\n"
            assert not any("main ran 5" in line for line in bench.said(module))
            await mpremote(module, "reset")
            await bench.until(lambda: any("main ran 2" in line for line in bench.said(module)))
            # A fresh mpremote interrupts main and gets its prompt.
            assert await mpremote(module, "exec", "print('here')") == "here\n"

    asyncio.run(story())


def test_ctrl_c_ends_a_busy_program(bench):
    busy = "print('busy')\nwhile True:\n    pass\n"

    async def story():
        async with bench.run(busy, factor=1) as (_, module):
            await bench.until(lambda: "busy" in bench.said(module))
            out = await mpremote(module, "exec", "--no-follow", "while True: pass")
            assert out == ""
            assert await mpremote(module, "exec", "print('free')") == "free\n"
            assert len(bench.heard("boot")) >= 2  # soft resets only; nothing crashed
            assert all(status == [0] for status in bench.heard("exit"))

    asyncio.run(story())


COLLECTING = """
import gc
import time
held = [bytearray(20) for _ in range(1000)]
print("main ran")
try:
    while True:
        for _ in range(20):
            gc.collect()
        time.sleep_ms(5)  # the one place for Ctrl-C
except KeyboardInterrupt:
    print("ended with", len(bytearray(100)))
"""


def test_ctrl_c_comes_between_two_instructions_as_on_a_chip(bench):
    """Out of the collector itself it would leave a heap that nothing can be taken from."""

    async def story():
        async with bench.run(COLLECTING, factor=1) as (_, module):
            log = module.console.log
            for times in range(1, 6):
                await bench.until(lambda times=times: log.count(b"main ran") == times)
                assert await mpremote(module, "exec", "print('free')") == "free\n"
                assert log.count(b"ended with 100") == times
                await mpremote(module, "reset")

    asyncio.run(story())


def test_a_program_may_ask_for_a_soft_reset(bench):
    program = "import machine\nprint(machine.reset_cause())\n"
    program += "if machine.reset_cause() == 1:\n    machine.soft_reset()\n"

    async def story():
        async with bench.run(program, factor=1) as (_, module):
            await bench.until(lambda: bench.said(module)[:3] == ["1", "MPY: soft reboot", "5"])

    asyncio.run(story())


def test_a_traceback_leads_to_the_prompt(bench):
    async def story():
        async with bench.run("1 // 0\n", factor=1) as (_, module):
            await bench.until(lambda: bench.heard("ended"))
            assert "ZeroDivisionError: divide by zero" in bench.said(module)
            assert await mpremote(module, "exec", "print(1)") == "1\n"

    asyncio.run(story())
