"""The command `gridpurse`: a table of sub-commands, and how failures become one line.

Exit codes: 0 done, 1 done but something does not agree, 2 refused with one line, 3 a device did
not answer or did not do what it was told (run the same again), 130 interrupted.
"""

import argparse
import sys
from collections.abc import Callable

from host_tools import Refused, setup, simulate
from host_tools.backup import command as backup
from host_tools.billing import command as bill
from host_tools.care import command as module
from host_tools.care import update
from host_tools.cluster import run as cluster
from host_tools.demo import run as demo
from host_tools.exchange import bridge, export, readings
from host_tools.flashing import device_image, flash, label
from host_tools.lab import command as lab
from host_tools.maps import command as maps
from host_tools.operations import doctor
from host_tools.ordering import command, listing
from host_tools.provisioning import command as provision
from host_tools.settlement import (
    adopt,
    close,
    differences,
    enrol,
    reconcile,
    rejects,
    retain,
    service,
    token,
    topup,
    trial,
    unlock,
)
from host_tools.tariffs import command as tariff
from host_tools.validation import command as validate
from host_tools.validation import review_command as review

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
    "cluster": (
        "broker nodes and workers of a trial, all here",
        cluster.add_arguments,
        cluster.run,
    ),
    "doctor": ("check that all is in place", doctor.add_arguments, doctor.run),
    "topup": ("credit a payment to a service point", topup.add_arguments, topup.run),
    "command": ("order something of a module", command.add_arguments, command.run),
    "commands": ("what was ordered and what became of it", listing.add_arguments, listing.run),
    "module": ("look after one module in the field", module.add_arguments, module.run),
    "update": ("a new program for many modules, in waves", update.add_arguments, update.run),
    "token": ("print the digits of a booked payment", token.add_arguments, token.run),
    "unlock": ("end the lock-out of token entry", unlock.add_arguments, unlock.run),
    "modules": ("list modules, or enrol one", enrol.add_arguments, enrol.run),
    "reconcile": ("hold modules against the host", reconcile.add_arguments, reconcile.run),
    "differences": (
        "what does not agree, and closing it",
        differences.add_arguments,
        differences.run,
    ),
    "validate": ("check settled readings", validate.add_arguments, validate.run),
    "review": ("decide about doubtful readings", review.add_arguments, review.run),
    "tariff": ("check, compare, keep and assign tariffs", tariff.add_arguments, tariff.run),
    "bill": ("draft, close and issue months", bill.add_arguments, bill.run),
    "image": ("build the flash images of a board", device_image.add_arguments, device_image.run),
    "flash": ("write everything a bare module needs", flash.add_arguments, flash.run),
    "label": ("print labels of modules", label.add_arguments, label.run),
    "maps": ("check, draft and try meter maps", maps.add_arguments, maps.run),
    "readings": ("check, import or export readings", readings.add_arguments, readings.run),
    "export": ("readings, bills, ledger", export.add_arguments, export.run),
    "bridge": ("show points to other systems", bridge.add_arguments, bridge.run),
    "trial": ("debits and credits of every account", trial.add_arguments, trial.run),
    "adopt": ("go on behind records that were lost", adopt.add_arguments, adopt.run),
    "close": ("close a day of the books", close.add_arguments, close.run),
    "retain": ("forget old evidence", retain.add_arguments, retain.run),
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
