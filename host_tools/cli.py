"""The command `gridpurse`: a table of sub-commands, and how failures become one line.

Exit codes: 0 done, 1 done but something does not agree, 2 refused with one line, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Callable

from host_tools import Refused, setup, simulate
from host_tools.backup import command as backup
from host_tools.billing import command as bill
from host_tools.demo import run as demo
from host_tools.exchange import readings
from host_tools.flashing import device_image
from host_tools.lab import command as lab
from host_tools.operations import doctor
from host_tools.ordering import command, listing
from host_tools.provisioning import command as provision
from host_tools.settlement import (
    close,
    enrol,
    reconcile,
    rejects,
    service,
    token,
    topup,
    trial,
    unlock,
)
from host_tools.tariffs import command as tariff

# name: (help, add_arguments, run); run returns the exit code.
COMMANDS: dict[
    str,
    tuple[
        str,
        Callable[[argparse.ArgumentParser], None],
        Callable[[argparse.Namespace], int],
    ],
] = {
    "demo": ("play the whole chain on virtual modules and prove it", demo.add_arguments, demo.run),
    "setup": ("prepare the folder of a new host", setup.add_arguments, setup.run),
    "simulate": ("run virtual modules at this desk", simulate.add_arguments, simulate.run),
    "provision": (
        "bring a module from a bare program to its first settled reading",
        provision.add_arguments,
        provision.run,
    ),
    "lab": ("bare modules to train on", lab.add_arguments, lab.run),
    "settle": ("settle what modules send", service.add_arguments, service.run),
    "doctor": ("check that all is in place", doctor.add_arguments, doctor.run),
    "topup": ("credit a payment to a service point", topup.add_arguments, topup.run),
    "command": ("order something of a module", command.add_arguments, command.run),
    "commands": ("what was ordered and what became of it", listing.add_arguments, listing.run),
    "token": ("print the digits of a booked payment", token.add_arguments, token.run),
    "unlock": ("end the lock-out of token entry", unlock.add_arguments, unlock.run),
    "modules": ("list modules, or enrol one", enrol.add_arguments, enrol.run),
    "reconcile": ("hold modules against the host", reconcile.add_arguments, reconcile.run),
    "tariff": ("check, explain or compare tariff files", tariff.add_arguments, tariff.run),
    "bill": ("the month of a service point", bill.add_arguments, bill.run),
    "image": ("build the flash images of a board", device_image.add_arguments, device_image.run),
    "readings": ("check, import or export readings", readings.add_arguments, readings.run),
    "trial": ("debits and credits of every account", trial.add_arguments, trial.run),
    "close": ("close a day of the books", close.add_arguments, close.run),
    "backup": ("copy the store", backup.add_backup_arguments, backup.backup),
    "restore": ("make a store of a backup", backup.add_restore_arguments, backup.restore),
    "verify": ("prove a store or a backup", backup.add_verify_arguments, backup.verify),
    "rejects": ("list refused messages", rejects.add_arguments, rejects.run),
}


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="gridpurse", description="Prepaid electricity metering.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (text, add_arguments, _) in COMMANDS.items():
        add_arguments(commands.add_parser(name, help=text, description=text))
    arguments = parser.parse_args(words)
    try:
        return COMMANDS[arguments.command][2](arguments)
    except Refused as error:
        line = str(error)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone, `gridpurse ... | head`
        return 0
    except OSError as error:
        line = f"{error.filename or 'system'}: {error.strerror}"
    except KeyboardInterrupt:
        return 130
    print(f"gridpurse {arguments.command}: {line}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
