"""`gridpurse module ACTION MODULE`: a technician's words for one module, over what there is.

What is ordered is ordered as by `gridpurse command`; what needs a person to be sure asks again.
"""

import argparse
import sys
from collections.abc import Callable

from host_tools import Refused
from host_tools.care import configuration, replace, retire, rotate, status
from host_tools.ordering import command, relay
from host_tools.ordering.kinds import module_of
from host_tools.rescue import command as rescue
from host_tools.settlement import commands, token
from host_tools.settlement.common import settings_of
from host_tools.store.database import opened
from protocol import codes
from protocol.units import DAY_S

Add = Callable[[argparse.ArgumentParser], None]
Run = Callable[[argparse.Namespace], int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, (text, add, _) in ACTIONS.items():
        add(actions.add_parser(name, help=text, description=text))


def run(arguments: argparse.Namespace) -> int:
    return ACTIONS[arguments.action][2](arguments)


def meter(arguments: argparse.Namespace) -> int:
    """At the console the newest reading; over the air a statement is asked for, shown later."""
    if arguments.port is not None:
        return status.asked(arguments, "meters")
    settings = settings_of(arguments)
    now_s = settings.clock().now_s()
    with opened(settings.store(), create=False) as store, store.transaction():
        module = module_of(store, arguments.module)
        waits = store.payments.open_commands(module.id)
        asked = {order.target for order in waits if order.action == codes.STATE}
        points = store.fleet.points(module.id)
        for point in points:
            if point.point not in asked:
                commands.issue(store, module.id, point.point, codes.STATE, [], now_s, DAY_S)
        told = [
            {
                "point": point.point,
                "register_wh": point.state.register_wh,
                "metered_s": point.state.time_s or None,
                "asked": True,
            }
            for point in points
        ]
    lines = [
        f"point 用电点 {row['point']}: {row['register_wh']} Wh settled 已结算;"
        " a statement is asked for 已要求申报"
        for row in told
    ]
    return status.show(arguments, told, lines)


def add_relay(parser: argparse.ArgumentParser) -> None:
    command.add_kind(parser, relay.KIND)
    parser.add_argument("--yes", action="store_true", help="ask no more; for scripts")


def move_relay(arguments: argparse.Namespace) -> int:
    """The order itself, its rules and its record are those of `gridpurse command relay`."""
    where = f"{arguments.module}/{arguments.point}"
    if not arguments.dry_run:
        confirmed(arguments.yes, f"{arguments.order} {where}", where)
    del arguments.yes, arguments.action  # the same order by either word is one order
    arguments.kind = "relay"
    return command.run(arguments)


def confirmed(yes: bool, what: str, word: str) -> None:
    """Refused unless a person types the word; nothing has happened by then."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused(f"{what}: nobody is there to confirm it; add --yes")
    typed = input(f"{what}: type {word} to confirm 输入 {word} 确认: ").strip()
    if typed != word:
        raise Refused(f"{what}: not confirmed, nothing was ordered")


def add_clock(parser: argparse.ArgumentParser) -> None:
    command.add_kind(parser, command.ALL["clock"], required=False)
    parser.add_argument("--port", help="ask at the module's own console, such as /dev/ttyUSB0")
    parser.add_argument(
        "--set", action="store_true", help="order it to ask for the time now, with --by, --reason"
    )


def clock(arguments: argparse.Namespace) -> int:
    """Shows it, or with --set the order of `gridpurse command clock`."""
    asked = ("by", "reason", "expires", "reference", "dry_run")
    given = [f"--{name.replace('_', '-')}" for name in asked if getattr(arguments, name)]
    if not arguments.set:
        if given:
            raise Refused(f"{given[0]}: nothing is ordered without --set; add --set")
        return status.clock(arguments)
    if arguments.port is not None:
        raise Refused("--port: no console sets a clock, the host does; leave --port away")
    for name in ("--by", "--reason"):
        if name not in given:
            raise Refused(f"{name}: is missing; say who has the clock set, and why")
    del arguments.set, arguments.port, arguments.action  # by either word it is one order
    arguments.kind = "clock"
    return command.run(arguments)


def add_token(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("module")
    token.add_arguments(parser)


def print_token(arguments: argparse.Namespace) -> int:
    with opened(settings_of(arguments).store(), create=False) as store:
        points = {point.id for point in store.fleet.points(module_of(store, arguments.module).id)}
        given = store.payments.topup_by_reference(
            commands.reference_of(store, arguments.reference)
        )
        if given is not None and given.point_id not in points:
            raise Refused(f"reference {arguments.reference}: is not of {arguments.module}")
    return token.run(arguments)


def add_retire(parser: argparse.ArgumentParser) -> None:
    retire.add_arguments(parser)
    parser.add_argument("--yes", action="store_true", help="ask no more; for scripts")


def retire_module(arguments: argparse.Namespace) -> int:
    confirmed(arguments.yes, f"retire {arguments.module}", arguments.module)
    return retire.run(arguments)


# name: (help, add_arguments, run); run returns the exit code.
ACTIONS: dict[str, tuple[str, Add, Run]] = {
    "status": ("what is known of a module", status.add_with_port, status.status),
    "events": ("its latest events", status.add_events, status.events),
    "logs": ("what was refused; at the console its log", status.add_with_port, status.logs),
    "meter": ("read its meters now", status.add_with_port, meter),
    "relay": ("trip, permit, close, alarm or hold a point", add_relay, move_relay),
    "token": ("print the digits of a booked payment", add_token, print_token),
    "clock": ("its clock and when it was set; --set has it set", add_clock, clock),
    "config": ("compare or try settings", configuration.add_arguments, configuration.run),
    "rescue": ("what a dead one still holds", rescue.add_arguments, rescue.run),
    "replace": ("a new module takes over", replace.add_arguments, replace.run),
    "rotate": ("give it another root key", rotate.add_arguments, rotate.run),
    "retire": ("end a module, destroy its keys", add_retire, retire_module),
}
