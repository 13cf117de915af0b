"""A desk whose orders are given by the command line, and a module that answers what it is sent."""

import json
from pathlib import Path

import pytest

from host_tools import cli
from protocol import codes
from protocol.messages import Command, Result
from protocol.units import SYNCHRONISED
from tests.host_tools.desk import NOW_S, Desk
from tests.host_tools.genuine import START_S

MONDAY_S = NOW_S + 2 * 86400 + 7200  # ten o'clock in Beijing, a working day
BY = ("--by", "Li Na", "--reason", "work order 7")


class Orderly:
    """Runs sub-commands on the store of a desk, at the desk's time."""

    def __init__(self, desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
        self.desk = desk
        self.clock = desk.folder / "clock"
        self._capsys = capsys
        self._seq = 0
        desk.clock.s = MONDAY_S
        self.sent()
        for command_id in (1, 2):  # the tariffs of the two points
            self.answer(command_id)

    def run(self, *words: object) -> tuple[int, str, str]:
        self.clock.write_bytes((self.desk.clock.s * 1000).to_bytes(8, "little"))
        told = [str(word) for word in words]
        at = told.index("--") if "--" in told else len(told)
        told[at:at] = ["--data", str(self.desk.folder), "--clock", str(self.clock)]
        code = cli.main(told)
        out = self._capsys.readouterr()
        return code, out.out, out.err

    def order(self, kind: str, *words: object) -> dict[str, object]:
        """What an order that has to be taken says of itself."""
        code, out, err = self.run("command", kind, *BY, "--json", *words)
        assert code == 0, err
        return dict(json.loads(out))

    def refusal(self, kind: str, *words: object) -> str:
        code, _, err = self.run("command", kind, *BY, *words)
        assert code == 2 and err.count("\n") == 1, err
        return err

    def listed(self, *words: object) -> list[dict[str, object]]:
        code, out, err = self.run("commands", "m1", *words, "--json")
        assert code == 0, err
        return list(json.loads(out)["commands"])

    def sent(self, later_ms: int = 0) -> list[Command]:
        """The commands that go out now."""
        self.desk.clock.ms += later_ms
        self.desk.consumer.send_due()
        return [item for item in self.desk.said() if isinstance(item, Command)]

    def answer(self, command_id: object, status: int = codes.DONE, detail: int = 0) -> None:
        self._seq += 1
        told = Result(1, self._seq, START_S, SYNCHRONISED, command_id, status, detail)
        self.desk.take(told)

    def tell(self, code: int, *args: int, point: int = 255) -> None:
        """An event of the module."""
        self._seq += 1
        item = [START_S, SYNCHRONISED, code, point, list(args)]
        self.desk.take(self.desk.sender.events(self._seq, item))

    def rows(self, table: str) -> int:
        """How many rows a table of the store has."""
        return int(
            self.desk.store._connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
        )


def file_of(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
