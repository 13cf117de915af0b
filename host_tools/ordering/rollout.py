"""An update on its way to a module: each answer decides the next step, whoever restarts meanwhile.

One UPDATE command is under way at a time. Where to go on is always what the module says; when it
does not say, another BEGIN asks, which costs nothing that arrived. All of it lies in the store, so
`gridpurse settle` goes on after a restart. Runs inside the caller's transaction.
"""

import argparse
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from host_tools import Refused
from host_tools.flashing import bundle_file
from host_tools.flashing.bundle import Bundle, version_number
from host_tools.ordering import words as zh
from host_tools.ordering.kinds import Asking, Kind, Wanted, module_of, with_module
from host_tools.settlement import commands
from host_tools.store import orders
from host_tools.store.database import Store
from host_tools.store.orders import Rollout
from host_tools.store.records import Module
from protocol import cbor, codes, words
from protocol.units import DAY_S, MODULE_TARGET

SENDING, ARMED, REFUSED, ABORTED = "sending", "armed", "refused", "aborted"
STOPPED, CONFIRMED, TAKEN_BACK = "stopped", "confirmed", "taken back"  # only told
LIFE_S = 30 * DAY_S
TRIES_MAX = 16  # answers that led no further, of one order of a person
FILE_BITS = 20
# Reasons that another try cannot change.
FINAL = (codes.BAD_VERSION, codes.BAD_MPY, codes.NO_SPACE, codes.BAD_FILE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    with_module(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--bundle", type=Path, help="update.bundle, as `gridpurse image` makes it")
    what.add_argument("--abort", action="store_true", help="give up the update under way")


def order(asking: Asking) -> Wanted:
    """The first step of an update; of one that stopped, it finds out where to go on."""
    asked, store = asking.arguments, asking.store
    module = module_of(store, asked.module)
    if asked.abort:
        last = newest(orders.of(store), module.id)
        if last is None or last.state != SENDING:
            raise Refused(f"{module.id}: no update is under way")
        return abort(store, last)
    return begin(store, module, *keep(store, asked.bundle, asking.now_s))


def keep(store: Store, path: Path, now_s: int) -> tuple[Bundle, bytes]:
    """A bundle file into the store; what it holds and its digest."""
    one, content = bundle_file.read(path)
    digest = hashlib.sha256(content).digest()
    orders.of(store).keep_bundle(digest, one.version, content, now_s)
    return one, digest


def begin(store: Store, module: Module, one: Bundle, digest: bytes) -> Wanted:
    """The first step of a bundle in the store. Refused when the module has it, or another."""
    known = orders.of(store)
    last = newest(known, module.id)
    running = last is not None and last.state == SENDING
    text = bundle_file.version_text(one.version)
    if module.firmware is not None and one.version <= version_number(module.firmware):
        raise Refused(
            f"{module.id}: version {text} is not newer than {module.firmware} of {module.id}"
        )
    if last is not None and running and last.digest != digest:
        raise Refused(f"{module.id}: another update is under way; end it with --abort first")
    same_id = last.command_id if last is not None and running and _open(store, last) else None

    def begun(command_id: int, expires_s: int) -> None:
        seq = store.fleet.module_known(module.id).events_seq
        number, place = 1, 0
        if last is not None:
            number, place = (last.number, last.place) if running else (last.number + 1, 0)
        values = (module.id, number, digest, SENDING, command_id, place, 1, seq, expires_s)
        known.keep_rollout(Rollout(*values))

    return Wanted(
        module.id,
        MODULE_TARGET,
        codes.UPDATE,
        one.begin(),
        LIFE_S,
        f"update to {text}",
        f"升级到 {text}",
        same_id=same_id,
        then=begun,
    )


def abort(store: Store, one: Rollout) -> Wanted:
    known = orders.of(store)
    under_way = [known.record(one.module, one.command_id)] if _open(store, one) else []

    def aborted(command_id: int, _: int) -> None:
        known.keep_rollout(replace(one, state=ABORTED, command_id=command_id))

    return Wanted(
        one.module,
        MODULE_TARGET,
        codes.UPDATE,
        [codes.ABORT],
        LIFE_S,
        "update abort",
        "放弃升级",
        replaces=tuple(each for each in under_way if each is not None),
        then=aborted,
    )


def newest(known: orders.Orders, module: str) -> Rollout | None:
    rollouts = known.rollouts(module)
    return rollouts[-1] if rollouts else None


def _open(store: Store, one: Rollout) -> bool:
    order = store.payments.command(one.module, one.command_id)
    return order is not None and order.state in ("queued", "sent")


def answered(store: Store, module: str, command_id: int, now_s: int) -> None:
    """The module has answered a command: the update that it belongs to, if any, goes on."""
    sent = store.payments.command(module, command_id)
    if sent is None or sent.action != codes.UPDATE:
        return
    known = orders.of(store)
    one = newest(known, module)
    record = known.record(module, command_id)
    if one is None or record is None or (one.state, one.command_id) != (SENDING, command_id):
        return
    if record.status is None or record.state == "expired":
        return
    args = commands.args_of(sent.args)
    if args[0] == codes.CHUNK:
        known.shorten(sent, cbor.encode(args[:3]))
    place = max(0, record.detail or 0)
    further = record.state == "done" and (args[0] == codes.BEGIN or place > one.place)
    step = _next(known, one, args[0], record.status, place)
    if isinstance(step, str):
        known.keep_rollout(replace(one, state=step))
        return
    if further and step[0] != codes.BEGIN:
        one = replace(one, place=place)
    else:
        seq = store.fleet.module_known(module).events_seq
        one = replace(one, tries=one.tries + 1, events_seq=seq)
        if one.tries > TRIES_MAX:
            known.keep_rollout(replace(one, state=REFUSED))
            return
    life_s = max(0, one.expires_s - now_s)
    what = (module, MODULE_TARGET, codes.UPDATE, step)
    known.keep_rollout(replace(one, command_id=commands.issue(store, *what, now_s, life_s)))


def _next(
    known: orders.Orders, one: Rollout, step: int, status: int, place: int
) -> list[object] | str:
    """Arguments of what comes next, or the state in which the update ends."""
    made = bundle_file.stored(known.bundle(one.digest))
    if status in (codes.DONE, codes.ALREADY):
        if step == codes.FINISH:
            return ARMED
        # A repeated id is answered without a place: ask for it.
        lost = status == codes.ALREADY and not place
        return made.begin() if lost else made.after(place)
    if status != codes.REFUSED_FIELD or refusal(known, one) in FINAL:
        return REFUSED
    return made.after(place) if place else made.begin()


def refusal(known: orders.Orders, one: Rollout) -> int | None:
    """Why the module refused it last, in codes."""
    for args in reversed(_told(known, one)):
        if args[0] == codes.REFUSED:
            return args[2]
    return None


def _told(known: orders.Orders, one: Rollout) -> list[list[int]]:
    """What UPDATED events say since the update began: [outcome, version, reason]."""
    events = known.told(one.module, codes.UPDATED, one.events_seq)
    decoded = [cbor.decode(args) for args in events]
    return [args for args in decoded if isinstance(args, list) and len(args) == 3]


@dataclass(frozen=True, slots=True)
class Progress:
    """An update for a person. `state` is one of STATES_ZH; `reason` is an update reason or 0."""

    number: int
    version: int
    state: str
    done_bytes: int
    total_bytes: int
    reason: int


STATES_ZH = {
    SENDING: "发送中",
    STOPPED: "已停止，重复同一命令继续",
    ARMED: "试运行",
    CONFIRMED: "已确认",
    TAKEN_BACK: "已回退",
    REFUSED: "被拒绝",
    ABORTED: "已放弃",
}


def progress(store: Store, one: Rollout) -> Progress:
    known = orders.of(store)
    made = bundle_file.stored(known.bundle(one.digest))
    number, offset = one.place >> FILE_BITS, one.place & ((1 << FILE_BITS) - 1)
    total = sum(len(part) for part in made.parts)
    arrived = sum(len(part) for part in made.parts[:number]) + offset
    if one.state == ARMED:
        arrived = total
    state, reason = outcome(store, one, made.version)
    return Progress(one.number, made.version, state, arrived, total, reason)


def outcome(store: Store, one: Rollout, version: int) -> tuple[str, int]:
    """(one of STATES_ZH, update reason or 0) of an update to a version."""
    known = orders.of(store)
    if one.state == SENDING and not _open(store, one):
        return STOPPED, 0
    if one.state == REFUSED:
        return REFUSED, refusal(known, one) or 0
    state, reason = one.state, 0
    if state == ARMED:
        for what, told_version, why in _told(known, one):
            if told_version == version and what in (codes.CONFIRMED, codes.ROLLED_BACK):
                state, reason = CONFIRMED if what == codes.CONFIRMED else TAKEN_BACK, why
    return state, reason


def told(one: Progress) -> str:
    """One line in both languages."""
    percent = one.done_bytes * 100 // one.total_bytes
    line = f"update {one.number} to {bundle_file.version_text(one.version)}: {one.state}"
    line = f"{line} {STATES_ZH[one.state]}, {percent} %"
    if one.reason:
        line += f": {words.UPDATE_REASONS[one.reason]} {zh.UPDATE_REASONS[one.reason]}"
    return line


KIND = Kind("send a new program, in steps; goes on by itself", add_arguments, order)
