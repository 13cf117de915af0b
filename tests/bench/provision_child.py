"""`gridpurse provision` that is killed at a moment: GRIDPURSE_KILL_AT and _SIGNAL say when.

Moments are the steps and effects that it tells of, and every file that it makes, renames, links or
removes in the data folder, each seen before it happens. Each has its name, the same for all
modules, and how often that has been before. Without one it prints them all.
"""

import os
import re
import signal
import sys
from collections import Counter
from pathlib import Path

from host_tools import cli
from host_tools.provisioning import command
from host_tools.provisioning.steps import LOOK

CHANGES = ("os.rename", "os.link", "os.remove", "os.mkdir")
IDENTITY = re.compile(r"gp-\d+|[0-9a-f]{12}")


class Moments:
    def __init__(self, at: str, number: signal.Signals, data: str) -> None:
        self.at, self.number, self.data = at, number, data
        self.seen: Counter[str] = Counter()
        self.names: list[str] = []

    def moment(self, name: str) -> None:
        name = IDENTITY.sub("ID", name).replace(" ", "_")
        self.seen[name] += 1
        self.names.append(f"{name}#{self.seen[name]}")
        if self.names[-1] == self.at:
            os.kill(os.getpid(), self.number)

    def audit(self, event: str, args: tuple[object, ...]) -> None:
        made = event == "open" and isinstance(args[2], int) and args[2] & os.O_CREAT
        if not made and event not in CHANGES:
            return
        inside = isinstance(args[0], str | Path) and str(args[0]).startswith(f"{self.data}/")
        if inside:  # the folder itself is looked at as often as the store is opened
            self.moment(f"{event} {Path(args[0]).name}")


def main() -> int:
    words = sys.argv[1:]
    data = words[words.index("--data") + 1]
    number = signal.Signals(int(os.environ.get("GRIDPURSE_KILL_SIGNAL", signal.SIGKILL)))
    if number == signal.SIGINT:  # which a shell has its background jobs ignore
        signal.signal(number, signal.default_int_handler)
    moments = Moments(os.environ.get("GRIDPURSE_KILL_AT", ""), number, data)
    provision = command.provision

    def told(settings, wanted, port, tell):
        def also(step: str, what: str) -> None:
            if what != LOOK:
                moments.moment(f"{step} {what}")
            tell(step, what)

        sys.addaudithook(moments.audit)
        return provision(settings, wanted, port, also)

    command.provision = told
    code = cli.main(["provision", *words])
    if not moments.at:
        print("moments", *moments.names)
    return code


if __name__ == "__main__":
    sys.exit(main())
