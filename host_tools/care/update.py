"""`gridpurse update start | status | halt | resume`: a new program for many modules, in waves.

`gridpurse settle` carries it out; here it is begun, looked at and held. One module alone is
updated by `gridpurse command update`.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from host_tools import Refused
from host_tools.care import campaign
from host_tools.care.people import add_person, changing, person_of
from host_tools.flashing import bundle_file
from host_tools.ordering import rollout
from host_tools.ordering.kinds import module_of
from host_tools.settlement.common import add_store_arguments, settings_of, table
from host_tools.store import campaigns, orders
from host_tools.store.campaigns import Campaign, Member
from host_tools.store.database import Store, opened
from host_tools.store.records import Module

WAVES = "10,50,100"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    for name, text in (
        ("start", "begin with the canary"),
        ("status", "how far it is, module by module"),
        ("halt", "send nothing more; what is on trial decides by itself"),
        ("resume", "go on with a halted one"),
    ):
        one = steps.add_parser(name, help=text, description=text)
        if name == "start":
            _start_arguments(one)
        else:
            one.add_argument("number", type=int, nargs="?", help="of the update (the newest)")
        if name == "halt":
            one.add_argument("--for-good", action="store_true", help="it will not be resumed")
        if name == "resume":
            one.add_argument("--retry", action="store_true", help="those that failed once more")
        if name != "status":
            add_person(one)
            continue
        one.add_argument("--json", action="store_true", help="print JSON")
        add_store_arguments(one)


def _start_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="update.bundle, as `gridpurse image` makes it")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--modules", nargs="+", metavar="ID", help="in the order of the waves")
    who.add_argument("--all", action="store_true", help="every module that is not retired")
    parser.add_argument("--canary", type=int, default=1, help="modules of the first wave (1)")
    parser.add_argument("--waves", default=WAVES, help=f"percent of all, rising ({WAVES})")
    parser.add_argument("--halt", type=int, default=1, help="failures that halt it (1)")


def run(arguments: argparse.Namespace) -> int:
    """0; of `status` 1 when it is halted."""
    settings = settings_of(arguments)
    now_s = settings.clock().now_s()
    with opened(settings.store(), create=False) as store:
        if arguments.step == "status":
            one = _chosen(store, arguments.number)
        else:
            with changing(store):
                one = _changed(store, arguments, now_s)
        with store.instant():  # a module may get on meanwhile
            one = _chosen(store, one.number)
            told = told_of(store, one)
    print(json.dumps(told, ensure_ascii=False) if arguments.json else _text(told))
    return 1 if arguments.step == "status" and one.state == campaign.HALTED else 0


def _changed(store: Store, arguments: argparse.Namespace, now_s: int) -> Campaign:
    person = person_of(arguments)
    if arguments.step == "start":
        plan = (_count("--canary", arguments.canary, 0), _waves(arguments.waves),
                _count("--halt", arguments.halt, 1))  # fmt: skip
        modules = _modules(store, arguments)
        bundle = rollout.keep(store, arguments.bundle, now_s)
        return campaign.start(store, bundle, modules, plan, person, now_s)
    one = _chosen(store, arguments.number)
    if arguments.step == "halt":
        campaign.halt(store, one, f"{person.who}: {person.why}", arguments.for_good, now_s)
    else:
        campaign.resume(store, one, arguments.retry, now_s)
    return one


def _modules(store: Store, arguments: argparse.Namespace) -> list[Module]:
    if arguments.all:
        found = [module for module in store.fleet.modules() if module.retired_s is None]
    else:
        found = [module_of(store, name) for name in dict.fromkeys(arguments.modules)]
    if not found:
        raise Refused("--all: there is no module; see `gridpurse modules`")
    for module in found:
        if module.retired_s is not None:
            raise Refused(f"{module.id}: is retired; leave it out")
    return found


def _waves(text: str) -> list[int]:
    waves = [int(each) if each.isascii() and each.isdigit() else 0 for each in text.split(",")]
    rising = all(low < high for low, high in zip([0, *waves], waves, strict=False))
    if not rising or waves[-1] != 100:
        raise Refused(f"--waves {text}: write rising percentages that end with 100, as {WAVES}")
    return waves


def _count(name: str, number: int, least: int) -> int:
    if number < least:
        raise Refused(f"{name} {number}: must be {least} or more")
    return number


def _chosen(store: Store, number: int | None) -> Campaign:
    found = campaigns.of(store).all()
    for one in reversed(found):
        if number in (None, one.number):
            return one
    which = "" if number is None else f" {number}"
    raise Refused(f"update{which}: there is none; begin one with `gridpurse update start`")


def told_of(store: Store, one: Campaign) -> dict[str, object]:
    """A campaign and its modules, as JSON shows it."""
    members = campaigns.of(store).members(one.number)
    return {
        "number": one.number,
        "version": bundle_file.version_text(one.version),
        "state": one.state,
        "reason": one.reason,
        "canary": one.canary,
        "waves": one.waves,
        "halt": one.halt_failures,
        "who": one.who,
        "why": one.why,
        "counts": dict(Counter(member.state for member in members)),
        "modules": [_member(store, member) for member in members],
    }


def _member(store: Store, member: Member) -> dict[str, object]:
    percent = 100 if member.state in (campaign.TRIAL, campaign.CONFIRMED) else 0
    if member.state == campaign.SENDING:
        found = orders.of(store).rollouts(member.module)
        update = next(each for each in found if each.number == member.rollout)
        at = rollout.progress(store, update)
        percent = at.done_bytes * 100 // at.total_bytes
    return {
        "module": member.module,
        "wave": member.wave,
        "state": member.state,
        "percent": percent,
        "reason": member.reason,
        "since_s": member.since_s,
    }


def _text(told: dict[str, object]) -> str:
    state = str(told["state"])
    counts = told["counts"]
    modules = told["modules"]
    line = (
        f"update 升级 {told['number']} to {told['version']}: {state} {campaign.STATES_ZH[state]}"
    )
    if told["reason"]:
        line += f", {told['reason']}"
    heads = ("module", "wave", "state", "percent", "reason", "since_s")
    rows: list[list[object]] = []
    if isinstance(modules, list):
        for each in modules:
            word = f"{each['state']} {campaign.MEMBERS_ZH[each['state']]}"
            rows.append([word if head == "state" else each[head] for head in heads])
    if isinstance(counts, dict):
        line += "; " + ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))
    return f"{line}\n{table(heads, rows)}"
