"""`gridpurse module config diff | apply`: settings in a file against those that a module has.

`apply` is `gridpurse command config`. `diff` looks at the settings that were ordered last and kept
by the module, or with --port at the file on the module itself.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from host_tools import Refused
from host_tools.care import console
from host_tools.ordering import command, listing, settings_file
from host_tools.ordering.kinds import KINDS, module_of
from host_tools.settlement import commands
from host_tools.settlement.common import add_store_arguments, settings_of
from host_tools.store import orders
from host_tools.store.database import Store, opened
from protocol import cbor, codes, settings
from protocol.units import MODULE_TARGET, Malformed

Wire = dict[int, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    text = "what a file would change"
    diff = steps.add_parser("diff", help=text, description=text)
    diff.add_argument("module")
    diff.add_argument("file", type=Path, help="TOML with every setting but the password")
    diff.add_argument("--port", help="compare with the file on the module at this port")
    diff.add_argument("--json", action="store_true", help="print JSON")
    add_store_arguments(diff)
    text = KINDS["config"].help
    command.add_kind(steps.add_parser("apply", help=text, description=text), KINDS["config"])


def run(arguments: argparse.Namespace) -> int:
    """0; of `diff` 1 when something differs."""
    if arguments.step == "apply":
        del arguments.action, arguments.step
        arguments.kind = "config"
        return command.run(arguments)
    _, wanted = settings_file.read(arguments.file)
    with opened(settings_of(arguments).store(), create=False) as store:
        name = module_of(store, arguments.module).id
        has = _kept(store, name) if arguments.port is None else _at(arguments.port, name)
    changes = list(differences(has, wanted))
    if arguments.json:
        rows = [{"setting": name, "has": old, "file": new} for name, old, new in changes]
        print(json.dumps(rows, ensure_ascii=False))
    else:
        for name, old, new in changes:
            print(f"{name}: {_shown(old)} -> {_shown(new)}")
        if not changes:
            print("no difference 无差异")
    return 1 if changes else 0


def differences(has: Wire, wanted: Wire) -> list[tuple[str, object, object]]:
    """(setting, what the module has, what the file says); None for an absent one."""
    names = settings.Module._fields
    points = names.index("points") + 1
    out = []
    for key in sorted(has.keys() | wanted.keys()):
        if key != points and has.get(key) != wanted.get(key):
            out.append((names[key - 1], has.get(key), wanted.get(key)))
    before, after = _by_number(has.get(points)), _by_number(wanted.get(points))
    fields = settings.Point._fields
    for number in sorted(before.keys() | after.keys()):
        old, new = before.get(number, {}), after.get(number, {})
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                name = f"points {number} {fields[key - 1]}"
                out.append((name, old.get(key), new.get(key)))
    return out


def _by_number(points: list[Wire] | None) -> dict[int, Wire]:
    return {point[1]: point for point in points or []}


def _kept(store: Store, name: str) -> Wire:
    """The newest settings that the module has confirmed."""
    sent = orders.of(store).of_action(name, MODULE_TARGET, codes.CONFIG)
    for record in reversed(sent):
        if listing.state_of(store, record) == "confirmed":
            (fields,) = commands.args_of(record.args)
            return dict(fields)
    raise Refused(f"{name}: no settings were ordered from here yet; compare with --port")


def _at(port: str, name: str) -> Wire:
    """The settings file on a module, without the password."""
    try:
        fields = cbor.decode(console.read_file(port, "/config.cbor"), console.DEPTH_MAX)
        if not isinstance(fields, dict):
            raise Malformed(0, "not a map")
    except Malformed as error:
        raise Refused(f"{port}: /config.cbor: {error.detail}; provision it again") from error
    if fields.get(console.MODULE_KEY) != name:
        raise Refused(f"{port}: this is not {name}; check the cable")
    fields.pop(settings.Module._fields.index(settings_file.PASSWORD) + 1, None)
    return fields


def _shown(value: object) -> str:
    return "-" if value is None else json.dumps(value, ensure_ascii=False)
