"""The command `gridpurse`: a table of sub-commands, and how failures become one line.

Exit codes: 0 done, 1 done but something does not agree, 2 refused with one line, 3 a device did
not answer or did not do what it was told (run the same again), 130 interrupted.
"""

import argparse
import sys
from importlib import import_module, metadata
from types import ModuleType
from typing import Any, NamedTuple

from host_tools import Refused


class Command(NamedTuple):
    """`module` of host_tools is loaded for its own command only: a cashier's top-up does not wait
    for a Modbus library."""

    help: str
    module: str
    add: str = "add_arguments"  # takes an argparse.ArgumentParser
    run: str = "run"  # takes an argparse.Namespace and returns the exit code


COMMANDS = {
    "demo": Command("play the whole chain on virtual modules and prove it", "demo.run"),
    "setup": Command("prepare the folder of a new host", "setup"),
    "simulate": Command("run virtual modules at this desk", "simulate"),
    "provision": Command(
        "bring a module from a bare program to its first settled reading", "provisioning.command"
    ),
    "lab": Command("bare modules to train on", "lab.command"),
    "settle": Command("settle what modules send", "settlement.service"),
    "cluster": Command("broker nodes and workers of a trial, all here", "cluster.run"),
    "doctor": Command("check that all is in place", "operations.doctor"),
    "topup": Command("credit a payment to a service point", "settlement.topup"),
    "command": Command("order something of a module", "ordering.command"),
    "commands": Command("what was ordered and what became of it", "ordering.listing"),
    "module": Command("look after one module in the field", "care.command"),
    "update": Command("a new program for many modules, in waves", "care.update"),
    "token": Command("print the digits of a booked payment", "settlement.token"),
    "unlock": Command("end the lock-out of token entry", "settlement.unlock"),
    "modules": Command("list modules, or enrol one", "settlement.enrol"),
    "reconcile": Command("hold modules against the host", "settlement.reconcile"),
    "differences": Command("what does not agree, and closing it", "settlement.differences"),
    "validate": Command("check settled readings", "validation.command"),
    "review": Command("decide about doubtful readings", "validation.review_command"),
    "tariff": Command("check, compare, keep and assign tariffs", "tariffs.command"),
    "bill": Command("draft, close and issue months", "billing.command"),
    "image": Command("build the flash images of a board", "flashing.device_image"),
    "flash": Command("write everything a bare module needs", "flashing.flash"),
    "label": Command("print labels of modules", "flashing.label"),
    "maps": Command("check, draft and try meter maps", "maps.command"),
    "readings": Command("check, import or export readings", "exchange.readings"),
    "export": Command("readings, bills, ledger", "exchange.export"),
    "bridge": Command("show points to other systems", "exchange.bridge"),
    "trial": Command("debits and credits of every account", "settlement.trial"),
    "adopt": Command("go on behind records that were lost", "settlement.adopt"),
    "close": Command("close a day of the books", "settlement.close"),
    "retain": Command("forget old evidence", "settlement.retain"),
    "backup": Command("copy the store", "backup.command", "add_backup_arguments", "backup"),
    "restore": Command(
        "make a store of a backup", "backup.command", "add_restore_arguments", "restore"
    ),
    "verify": Command(
        "prove a store or a backup", "backup.command", "add_verify_arguments", "verify"
    ),
    "rejects": Command("list refused messages", "settlement.rejects"),
}


def loaded(command: Command) -> ModuleType:
    return import_module(f"host_tools.{command.module}")


class Parser(argparse.ArgumentParser):
    """Options in full only, in every sub-command: a cut one would mean another thing one day."""

    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **{**options, "allow_abbrev": False})


def parser_for(words: list[str]) -> Parser:
    """All sub-commands, and the arguments of the one that the words begin with."""
    parser = Parser(prog="gridpurse", description="Prepaid electricity metering.")
    asked = words[:1] == ["--version"]
    told = f"gridpurse {metadata.version('gridpurse')}" if asked else ""
    parser.add_argument("--version", action="version", version=told, help="print the version")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        one = commands.add_parser(name, help=command.help, description=command.help)
        if words[:1] == [name]:
            getattr(loaded(command), command.add)(one)
    return parser


def main(words: list[str] | None = None) -> int:
    words = sys.argv[1:] if words is None else words
    arguments = parser_for(words).parse_args(words)
    chosen = COMMANDS[arguments.command]
    try:
        return int(getattr(loaded(chosen), chosen.run)(arguments))
    except Refused as error:
        line, code = str(error), error.exit_code
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone, `gridpurse ... | head`
        return 0
    except OSError as error:
        line, code = f"{error.filename or 'system'}: {error.strerror}", Refused.exit_code
    except KeyboardInterrupt:
        return 130
    print(f"gridpurse {arguments.command}: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
