"""`gridpurse lab`: bare virtual modules at this desk, to learn provisioning and fault-finding on.

Each has a console that mpremote and `gridpurse provision` take for a board's. Commands typed here
are the instructor's: they change the world around a module. Ctrl-C takes everything down.
"""

import argparse
import asyncio
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from host_tools import Refused
from host_tools.broker import free_port
from host_tools.lab.desk import MODULES_MAX, Desk
from host_tools.lab.module import FAULTS, IMPULSES, METERS, PULSE, LabModule
from host_tools.processes import until_interrupted

LINE_MAX = 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "count", nargs="?", type=int, default=3, help=f"how many modules, 1 to {MODULES_MAX} (3)"
    )
    parser.add_argument("--data", type=Path, help="data folder to make and keep (a temporary one)")
    parser.add_argument("--port", type=int, help="the broker's port (a free one)")
    parser.add_argument(
        "--meter",
        action="append",
        choices=METERS,
        help="what hangs on the modules, in turn; repeat (one of each)",
    )


def run(arguments: argparse.Namespace) -> int:
    meters = tuple(arguments.meter or METERS)
    with tempfile.TemporaryDirectory(prefix="gridpurse-lab-") as temporary:
        folder = arguments.data or Path(temporary) / "data"
        desk = Desk(folder, arguments.count, arguments.port or free_port(), meters)
        asyncio.run(until_interrupted(play(desk)))
    print("lab: stopped 已停止")
    return 0


async def play(desk: Desk) -> None:
    """Until it is cancelled, or somebody types `quit`."""
    async with desk:
        for module in desk.modules.values():
            print(_line(module), flush=True)
        first, stopped = desk.modules[1], asyncio.Event()
        print("for example 例如:\n  gridpurse provision " + shlex.join(desk.words(first)))
        print("type help 输入 help 查看命令", flush=True)
        with _keyboard(Prompt(desk, stopped.set).take):
            await stopped.wait()


class Prompt:
    """The instructor's commands; `take` is given each line."""

    def __init__(self, desk: Desk, leave: Callable[[], None]) -> None:
        self._desk = desk
        self._leave = leave
        self._commands: dict[str, tuple[str, str, Callable[[list[str]], str]]] = {
            "list": ("list", "what is there, and what is wrong 列出模块与故障", self._list),
            "fault": ("fault 3 meter-silent", "something goes wrong 设置故障", self._fault),
            "repair": ("repair 3", "everything is right again 排除故障", self._repair),
            "words": ("words 3", "how to provision it 配置命令", self._words),
            "key": ("key 3", "press the customer's key 按用户按键", self._key),
            "bare": ("bare 3", "as it came from the flasher 恢复出厂", self._bare),
            "help": ("help", "this 帮助", self._help),
            "quit": ("quit", "the same as Ctrl-C 退出", self._quit),
        }

    def take(self, line: str) -> None:
        """One line of the keyboard; whatever it is, the lab goes on."""
        name, *words = line[:LINE_MAX].split() or [""]
        if not name:
            return
        try:
            if name not in self._commands:
                raise Refused(f"{name}: no such command; type help 无此命令，输入 help")
            said = self._commands[name][2](words)
        except Refused as error:
            said = str(error)
        if said:
            print(said, flush=True)

    def _list(self, words: list[str]) -> str:
        return "\n".join(_line(module) for module in self._desk.modules.values())

    def _fault(self, words: list[str]) -> str:
        if len(words) != 2:
            raise Refused("fault: write such as fault 3 meter-silent 请写作 fault 3 meter-silent")
        module = self._desk.module(words[0])
        self._desk.fault(module, words[1])
        return _line(module)

    def _repair(self, words: list[str]) -> str:
        module = self._one(words)
        self._desk.repair(module)
        return _line(module)

    def _words(self, words: list[str]) -> str:
        return "gridpurse provision " + shlex.join(self._desk.words(self._one(words)))

    def _key(self, words: list[str]) -> str:
        module = self._one(words)
        module.press_key()
        return f"{module.number}: key pressed 已按键"

    def _bare(self, words: list[str]) -> str:
        module = self._one(words)
        self._desk.repair(module)
        module.erase()
        module.power_on()
        return _line(module)

    def _one(self, words: list[str]) -> LabModule:
        if len(words) != 1:
            raise Refused("name one module by its number 请输入一个模块编号")
        return self._desk.module(words[0])

    def _quit(self, words: list[str]) -> str:
        self._leave()
        return ""

    def _help(self, words: list[str]) -> str:
        lines = [f"  {form:<22} {what}" for form, what, _ in self._commands.values()]
        lines.append("faults 故障:")
        lines += [f"  {name:<22} {kind.english} {kind.chinese}" for name, kind in FAULTS.items()]
        return "\n".join(lines)


def _line(module: LabModule) -> str:
    family = module.family
    meter = f"{PULSE} 脉冲 {IMPULSES} imp/kWh"
    if family:
        meter = f"{family.name} {family.baud} 8{family.parity}{family.stop_bits}"
    wrong = ", ".join(sorted(module.faults)) or "ok 正常"
    serial = module.unique_id
    return f"{module.number}: {serial}  {module.console_path}  {meter}  {wrong}"


@contextmanager
def _keyboard(take: Callable[[str], None]) -> Iterator[None]:
    """Lines of the keyboard, or of what it is redirected from."""
    loop = asyncio.get_running_loop()
    file = sys.stdin.fileno()
    rest = bytearray()

    def typed() -> None:
        data = os.read(file, 4096)
        if not data:
            loop.remove_reader(file)
        rest.extend(data)
        *lines, last = bytes(rest).split(b"\n")
        rest[:] = last[-LINE_MAX:]
        for line in lines:
            take(line.decode(errors="replace"))

    with suppress(PermissionError):  # a file or /dev/null, which never waits
        loop.add_reader(file, typed)
    try:
        yield
    finally:
        loop.remove_reader(file)
