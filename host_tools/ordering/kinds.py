"""What a kind of order takes on the command line, and the command that it becomes.

Bounds are those of firmware/effects, looked at here so that a person hears of a mistake at once.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from host_tools import Refused, tariffs
from host_tools.ordering import amounts, settings_file
from host_tools.ordering import words as zh
from host_tools.settlement import commands
from host_tools.settlement.topup import point_of
from host_tools.store import care
from host_tools.store.database import Store
from host_tools.store.orders import Record
from host_tools.store.records import Module
from host_tools.tariffs import stored
from protocol import codes, messages, words
from protocol.messages import Command
from protocol.units import DAY_S, MESSAGE_BYTES_MAX, MODULE_TARGET

YEAR_S = 365 * DAY_S
SEAL_BYTES = 96  # of COSE_Mac0 around a command, its tag and key included
PERIODS_S = {"hour": 3600, "day": DAY_S, "week": 7 * DAY_S}
DEBTS = {"time-1": 1, "time-2": 2, "payment": 3}
PLANS = {word: number for number, word in words.PLANS.items()}
CLEARS = {"tamper": codes.CLEAR_TAMPER, "lock-out": codes.CLEAR_LOCKOUT}
# Reason classes of an adjustment; the module stores the number and asks nothing about it.
ADJUSTMENTS = {
    "correction": (1, "差错更正"),
    "estimate": (2, "估算更正"),
    "tariff": (3, "电价更正"),
    "clock": (4, "时钟更正"),
    "meter": (5, "换表电量"),
    "goodwill": (6, "优惠补偿"),
    "refund": (7, "退费"),
    "re-rating": (8, "读数更正重计"),
}
# By validation/adjusting.py alone, which knows what was ordered before.
BY_HOST = ("re-rating",)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A command that has passed every check, and what it does in English and Chinese."""

    module: str
    target: int
    action: int
    args: list[object]
    life_s: int
    text: str
    text_zh: str
    replaces: tuple[Record, ...] = ()  # open commands that this one takes the place of
    same_id: int | None = None  # nothing is queued: that command does it already
    then: Callable[[int, int], None] | None = None  # told the id and expiry of the queued one
    issued_s: int | None = None  # where that is not now


@dataclass(frozen=True, slots=True)
class Asking:
    """The world of one order: its words, the store, when it is and when it ends to be valid."""

    arguments: argparse.Namespace
    store: Store
    now_s: int
    expires_s: int | None
    data: Path


@dataclass(frozen=True, slots=True)
class Kind:
    """`order` checks and returns what to queue; it may write, within a transaction."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    order: Callable[[Asking], Wanted]
    referenced: bool = False  # money: the person's own number is required


def with_point(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("module")
    parser.add_argument("point", type=int)


def with_module(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("module")


def module_of(store: Store, name: str) -> Module:
    known = store.fleet.module(name)
    if known is None:
        raise Refused(f"{name}: no such module; see `gridpurse modules` 无此模块")
    return known


def wanted_at_point(
    asking: Asking, action: int, args: list[object], life_s: int, text: str, text_zh: str
) -> Wanted:
    point = point_of(asking.store, asking.arguments.module, asking.arguments.point)
    return Wanted(point.module, point.point, action, args, life_s, text, text_zh)


def _check_account(asking: Asking) -> None:
    """Refused at a point whose customer has gone to another module: money is ordered there."""
    point = point_of(asking.store, asking.arguments.module, asking.arguments.point)
    elsewhere = care.of(asking.store).successor(point)
    if elsewhere is not None:
        raise Refused(f"{point.module}/{point.point}: {elsewhere}")


def within_message(wanted: Wanted, now_s: int) -> Wanted:
    """Refused when a module could not take it in one message."""
    command = Command(0xFFFFFFFF, wanted.target, wanted.action, now_s, now_s, wanted.args)
    size = len(messages.pack(command)) + SEAL_BYTES
    if size > MESSAGE_BYTES_MAX:
        raise Refused(f"{wanted.text}: {size} bytes, a module takes {MESSAGE_BYTES_MAX}; shorten")
    return wanted


def _tariff_arguments(parser: argparse.ArgumentParser) -> None:
    with_point(parser)
    parser.add_argument(
        "file", type=Path, help="tariff file, as `gridpurse tariff check` takes it"
    )


def _tariff(asking: Asking) -> Wanted:
    """Keeps the book, and the point is charged by it from now on."""
    store, arguments = asking.store, asking.arguments
    book = tariffs.read_book(arguments.file)
    point = point_of(store, arguments.module, arguments.point)
    if book.currency != point.currency:
        raise Refused(f"{arguments.file}: is in {book.currency}, {point.currency} is needed")
    assigned = store.fleet.assigned_last(point.id) or 0
    newest = max(point.state.version, assigned)
    if book.version < newest:
        raise Refused(
            f"{arguments.file}: version {book.version} is older than {newest} at"
            f" {point.module}/{point.point}; raise `version`, a module takes newer ones only"
        )
    if book.version == point.state.version:
        raise Refused(
            f"{point.module}/{point.point}: is charged by version {book.version} already"
        )
    added = stored.add(store, arguments.file, asking.now_s)
    # Of the store, which may have made it by older data of time zones; the host charges by that.
    book = stored.given(store, str(added.version), asking.now_s)
    from_s = store.fleet.assign_next(point, book.version, asking.now_s)
    wanted = Wanted(
        point.module,
        point.point,
        codes.TARIFF,
        commands.tariff_args(book),
        commands.TARIFF_LIFE_S,
        f"tariff version {book.version}",
        f"电价版本 {book.version}",
        issued_s=from_s,
    )
    return within_message(wanted, asking.now_s)


def _adjust_arguments(parser: argparse.ArgumentParser) -> None:
    with_point(parser)
    parser.add_argument("amount", help="in currency, such as 3.20; write -- before a negative one")
    choices = [name for name in ADJUSTMENTS if name not in BY_HOST]
    parser.add_argument("--class", dest="reason_class", choices=choices, required=True)


def _adjust(asking: Asking) -> Wanted:
    _check_account(asking)
    amount_ncur = amounts.money_ncur("amount", asking.arguments.amount)
    if not amount_ncur:
        raise Refused("amount 0: corrects nothing")
    name = asking.arguments.reason_class
    number, name_zh = ADJUSTMENTS[name]
    text, text_zh = f"adjust {asking.arguments.amount}, {name}", f"调账，{name_zh}"
    args: list[object] = [number, amount_ncur]
    return wanted_at_point(asking, codes.ADJUST, args, YEAR_S, text, text_zh)


def _debt_arguments(parser: argparse.ArgumentParser) -> None:
    with_point(parser)
    parser.add_argument("which", choices=DEBTS, help="two by time, one out of each payment")
    parser.add_argument("owed", help="in currency; 0 ends the recovery")
    parser.add_argument("--rate", help="of a debt by time: currency a period")
    parser.add_argument("--period", choices=PERIODS_S, help="of a debt by time")
    parser.add_argument("--percent", type=int, help="of a debt by payment: 0 to 100")
    parser.add_argument("--ceiling", default="0", help="of a debt by payment: most a week, 0 none")


def _debt(asking: Asking) -> Wanted:
    asked = asking.arguments
    _check_account(asking)
    which, owed_ncur = DEBTS[asked.which], amounts.money_ncur("owed", asked.owed)
    if owed_ncur < 0:
        raise Refused(f"owed {asked.owed}: must be 0 or more")
    if asked.which == "payment":
        if asked.rate is not None or asked.period is not None:
            raise Refused("payment: takes --percent and --ceiling, no --rate and no --period")
        if asked.percent is None or not 0 <= asked.percent <= 100:
            raise Refused("--percent: must be a whole number from 0 to 100")
        rate, bound = asked.percent, amounts.money_ncur("--ceiling", asked.ceiling)
        if bound < 0:
            raise Refused(f"--ceiling {asked.ceiling}: must be 0 or more")
        how, how_zh = f"{rate} % of each payment", f"每次充值的 {rate} %"
    else:
        if asked.percent is not None or asked.ceiling != "0":
            raise Refused(f"{asked.which}: takes --rate and --period, no --percent, no --ceiling")
        if asked.rate is None or asked.period is None:
            raise Refused(f"{asked.which}: add --rate and --period")
        rate, bound = amounts.money_ncur("--rate", asked.rate), PERIODS_S[asked.period]
        if rate <= 0:
            raise Refused(f"--rate {asked.rate}: must be more than 0")
        how, how_zh = f"{asked.rate} a {asked.period}", f"每周期 {asked.rate}"
    args: list[object] = [which, owed_ncur, rate, bound]
    text = f"debt {asked.which} {asked.owed}, {how}"
    return wanted_at_point(asking, codes.DEBT, args, YEAR_S, text, f"欠费 {asked.owed}，{how_zh}")


def _plan_arguments(parser: argparse.ArgumentParser) -> None:
    with_module(parser)
    parser.add_argument("plan", choices=PLANS)
    parser.add_argument("--cadence", help="such as 5m, in place of the plan's own; up to 1d")
    parser.add_argument("--until", help="such as 7d or a date and time; then the configured plan")
    parser.add_argument("--lasting", action="store_true", help="until another order, no --until")


def _plan(asking: Asking) -> Wanted:
    asked = asking.arguments
    module = module_of(asking.store, asked.module)
    if (asked.until is None) != asked.lasting:
        raise Refused("--until: say when the plan ends, or --lasting; not both")
    until_s = 0 if asked.lasting else amounts.instant_s("--until", asked.until, asking.now_s)
    cadence_s = 0 if asked.cadence is None else amounts.duration_s("--cadence", asked.cadence)
    if cadence_s > DAY_S:
        raise Refused(f"--cadence {asked.cadence}: must be a day at most")
    number = PLANS[asked.plan]
    life_s = min(7 * DAY_S, until_s - asking.now_s) if until_s else 7 * DAY_S
    args: list[object] = [number, cadence_s, until_s]
    text, text_zh = f"plan {asked.plan}", f"监测方案 {zh.PLANS[number]}"
    return Wanted(module.id, MODULE_TARGET, codes.PLAN, args, life_s, text, text_zh)


def _meter_arguments(parser: argparse.ArgumentParser) -> None:
    with_point(parser)
    parser.add_argument("register", help="kWh that the new meter showed when it was put in")


def _meter(asking: Asking) -> Wanted:
    shown = asking.arguments.register
    args: list[object] = [amounts.register_wh("register", shown)]
    text, text_zh = f"meter exchanged at {shown} kWh", f"换表，起码 {shown} kWh"
    return wanted_at_point(asking, codes.METER, args, 7 * DAY_S, text, text_zh)


def _clear_arguments(parser: argparse.ArgumentParser) -> None:
    with_point(parser)
    parser.add_argument("what", choices=CLEARS)


def _clear(asking: Asking) -> Wanted:
    code = CLEARS[asking.arguments.what]
    text, text_zh = zh.CLEARED[code]
    return wanted_at_point(asking, codes.CLEAR, [code], DAY_S, f"clear {text}", f"解除 {text_zh}")


def _state(asking: Asking) -> Wanted:
    return wanted_at_point(asking, codes.STATE, [], DAY_S, "statement", "申报状态")


def _clock(asking: Asking) -> Wanted:
    """Carries no time: the module asks for it, and takes only our prompt answer."""
    module = module_of(asking.store, asking.arguments.module)
    text, text_zh = words.ACTIONS[codes.CLOCK], zh.ACTIONS[codes.CLOCK]
    return Wanted(module.id, MODULE_TARGET, codes.CLOCK, [], DAY_S, text, text_zh)


def _config_arguments(parser: argparse.ArgumentParser) -> None:
    with_module(parser)
    parser.add_argument("file", type=Path, help="TOML with every setting but the password")


def _config(asking: Asking) -> Wanted:
    """The module tries new settings for one start and goes back when it does not reach us."""
    path, name = asking.arguments.file, asking.arguments.module
    known = module_of(asking.store, name)
    new, fields = settings_file.read(path)
    if new.module != name or new.shard != known.shard:
        raise Refused(f"{path}: module and shard must stay {name} and {known.shard}")
    enrolled = {point.point for point in asking.store.fleet.points(name)}
    named = {point.point for point in new.points}
    if named != enrolled:
        numbers = ", ".join(str(number) for number in sorted(enrolled))
        raise Refused(f"{path}: points must be those of the store: {numbers}")
    running = settings_file.version_running(asking.store, name)
    if new.version <= running:
        raise Refused(f"{path}: version {new.version} must be above {running}, which runs now")
    text, text_zh = f"settings version {new.version}", f"参数版本 {new.version}"
    wanted = Wanted(name, MODULE_TARGET, codes.CONFIG, [fields], 30 * DAY_S, text, text_zh)
    return within_message(wanted, asking.now_s)


KINDS = {
    "tariff": Kind("give a point a newer tariff", _tariff_arguments, _tariff),
    "adjust": Kind("correct a balance, signed", _adjust_arguments, _adjust, True),
    "debt": Kind("agree how a debt is recovered", _debt_arguments, _debt, True),
    "plan": Kind("order a monitoring plan", _plan_arguments, _plan),
    "meter": Kind("tell that a meter was exchanged", _meter_arguments, _meter),
    "clear": Kind("clear a latched tamper, or a lock-out", _clear_arguments, _clear),
    "state": Kind("ask for a statement", with_point, _state),
    "clock": Kind("have the clock set now", with_module, _clock),
    "config": Kind("try new settings", _config_arguments, _config),
}
