"""An update of many modules: a canary, then waves, halted when too many fail.

A module fails when it refuses the bundle, takes it back, gets no further for STALLED_S, or is
silent on trial for TRIAL_S. What
each module says is the only measure; nothing is taken for done because it was sent. A wave begins
when every module before it has confirmed. Runs inside the caller's transaction; each worker moves
the modules of its own shards, and all of them read the same rows, so it goes on after any kill.
"""

from collections.abc import Collection
from dataclasses import replace

from host_tools import Refused
from host_tools.care.people import Person
from host_tools.flashing import bundle_file
from host_tools.flashing.bundle import Bundle, version_number
from host_tools.ordering import rollout
from host_tools.ordering import words as zh
from host_tools.settlement import commands
from host_tools.store import campaigns, orders
from host_tools.store.campaigns import Campaign, Member
from host_tools.store.database import Store
from host_tools.store.orders import Note
from host_tools.store.records import Module
from protocol import words

RUNNING, HALTED, OVER = "running", "halted", "done"
WAITING, SENDING, TRIAL, CONFIRMED, FAILED, LEFT = (
    "waiting", "sending", "trial", "confirmed", "failed", "left",
)  # fmt: skip
STATES_ZH = {RUNNING: "进行中", HALTED: "已暂停", OVER: "已完成"}
MEMBERS_ZH = {
    WAITING: "等待", SENDING: "发送中", TRIAL: "试运行", CONFIRMED: "已确认", FAILED: "失败",
    LEFT: "不再尝试",
}  # fmt: skip
STALLED_S = 6 * 3600  # without an answer that led further
TRIAL_S = 7200  # a trial that hears no host is taken back after an hour, and says so then
UNDER_WAY_MAX = 100  # modules at a time
LIFE_S = rollout.LIFE_S


def wave_of(place: int, total: int, canary: int, waves: list[int]) -> int:
    """0 for the canary, then 1 for the first percentage, and so on; `place` counts from 0."""
    if place < canary:
        return 0
    for number, percent in enumerate(waves, 1):
        if place < -(-total * percent // 100):  # rounded up: a small fleet gets on too
            return number
    return len(waves)


def start(
    store: Store,
    bundle: tuple[Bundle, bytes],
    modules: list[Module],
    plan: tuple[int, list[int], int],
    person: Person,
    now_s: int,
) -> Campaign:
    """A new campaign, or the one that it was before. `plan` is (canary, waves, failures)."""
    made, digest = bundle
    canary, waves, halt_failures = plan
    known = campaigns.of(store)
    before = known.all()
    if before and before[-1].state != OVER:
        names = {member.module for member in known.members(before[-1].number)}
        if before[-1].digest == digest and names == {module.id for module in modules}:
            return before[-1]
        raise Refused(
            f"update {before[-1].number} is {before[-1].state}; `gridpurse update resume` it,"
            " or `halt --for-good`, first"
        )
    number = before[-1].number + 1 if before else 1
    text = ",".join(str(percent) for percent in waves)
    one = Campaign(number, digest, made.version, canary, text, halt_failures, RUNNING, "",
                   person.who, person.why, now_s, now_s)  # fmt: skip
    known.add(one)
    for place, module in enumerate(modules):
        has = module.firmware is not None and version_number(module.firmware) >= made.version
        state, reason = (CONFIRMED, "has it already") if has else (WAITING, "")
        wave = wave_of(place, len(modules), canary, waves)
        row = (number, module.id, place, wave, state, 0, reason, now_s, module.shard)
        known.add_member(Member(*row))
    return one


def due(store: Store) -> bool:
    return bool(campaigns.of(store).active())


def look(store: Store, shards: Collection[int], now_s: int) -> None:
    """Brings every campaign with something to do on by one step, for the modules of our shards."""
    known = campaigns.of(store)
    for one in known.active():
        members = [
            _told(store, one, member, now_s) if member.shard in shards else member
            for member in known.members(one.number)
        ]
        failed = [member for member in members if member.state == FAILED]
        if one.state == RUNNING and len(failed) >= one.halt_failures:
            names = ", ".join(f"{each.module}: {each.reason}" for each in failed[:3])
            one = replace(one, state=HALTED, reason=f"{len(failed)} failed: {names}")
            known.became(one.number, one.state, one.reason, now_s)
        mine = [member for member in members if member.shard in shards]
        if one.state == RUNNING:
            _go_on(store, one, members, mine, now_s)
        elif one.state == HALTED:
            for member in mine:
                _hold(store, member, now_s)


def _told(store: Store, one: Campaign, member: Member, now_s: int) -> Member:
    """A module as its own answers have it."""
    if member.state not in (SENDING, TRIAL):
        return member
    update = _rollout(store, member)
    state, reason = rollout.outcome(store, update, one.version)
    now = member
    if state == rollout.ARMED and member.state == SENDING:
        now = replace(member, state=TRIAL, since_s=now_s)
    elif state == rollout.CONFIRMED:
        now = replace(member, state=CONFIRMED, since_s=now_s)
    elif state == rollout.ARMED and now_s - member.since_s > TRIAL_S:
        now = replace(member, state=FAILED, reason="silent on trial 试运行无应答", since_s=now_s)
    elif state == rollout.SENDING and now_s - _asked_s(store, update) > STALLED_S:
        _give_up(store, update, now_s)
        now = replace(member, state=FAILED, reason="no progress 无进展", since_s=now_s)
    elif state not in (rollout.SENDING, rollout.ARMED):
        text = f"{state} {rollout.STATES_ZH[state]}"
        if reason:
            text += f", {words.UPDATE_REASONS[reason]} {zh.UPDATE_REASONS[reason]}"
        now = replace(member, state=FAILED, reason=text, since_s=now_s)
    if now is not member:
        campaigns.of(store).keep(now)
    return now


def _rollout(store: Store, member: Member) -> orders.Rollout:
    found = orders.of(store).rollouts(member.module)
    return next(each for each in found if each.number == member.rollout)


def _asked_s(store: Store, update: orders.Rollout) -> int:
    """When the step under way was asked for, which is when the one before was answered."""
    order = store.payments.command(update.module, update.command_id)
    return 0 if order is None else order.issued_s


def _give_up(store: Store, update: orders.Rollout, now_s: int) -> None:
    """Nothing more of it is sent, and what has arrived is thrown away."""
    wanted = rollout.abort(store, update)
    what = (update.module, wanted.target, wanted.action, wanted.args)
    command_id = commands.issue(store, *what, now_s, LIFE_S)
    for record in wanted.replaces:
        orders.of(store).withdraw(record, command_id, now_s)
    if wanted.then is not None:
        wanted.then(command_id, now_s + LIFE_S)


def _go_on(
    store: Store, one: Campaign, members: list[Member], mine: list[Member], now_s: int
) -> None:
    """Begins what the open wave still waits for; the next wave opens when all have confirmed."""
    unsettled = [each for each in members if each.state in (WAITING, SENDING, TRIAL)]
    if not unsettled:
        campaigns.of(store).became(one.number, OVER, "", now_s)
        return
    wave = min(each.wave for each in unsettled)
    room = UNDER_WAY_MAX - sum(each.state != WAITING for each in unsettled)
    waiting = [each for each in mine if each.state == WAITING and each.wave == wave]
    if waiting and room > 0:
        made = bundle_file.stored(orders.of(store).bundle(one.digest))
        for member in waiting[:room]:
            _begin(store, one, made, member, now_s)


def _begin(store: Store, one: Campaign, made: Bundle, member: Member, now_s: int) -> None:
    module = store.fleet.module_known(member.module)
    known = orders.of(store)
    try:
        wanted = rollout.begin(store, module, made, one.digest)
    except Refused as error:
        campaigns.of(store).keep(replace(member, state=FAILED, reason=str(error), since_s=now_s))
        return
    if wanted.same_id is None:
        what = (module.id, wanted.target, wanted.action, wanted.args)
        command_id = commands.issue(store, *what, now_s, LIFE_S)
        asked = f'{{"campaign": {one.number}}}'
        known.note(Note(module.id, command_id, asked, one.who, one.why, None))
        if wanted.then is not None:
            wanted.then(command_id, now_s + LIFE_S)
    update = rollout.newest(known, module.id)
    assert update is not None  # noqa: S101 - `then` has just made it, or it was under way
    now = replace(member, state=SENDING, rollout=update.number, reason="", since_s=now_s)
    campaigns.of(store).keep(now)


def _hold(store: Store, member: Member, now_s: int) -> None:
    """A halted campaign sends nothing more; what is on trial is decided by its module."""
    if member.state != SENDING:
        return
    update = _rollout(store, member)
    if update.state == rollout.SENDING:
        _give_up(store, update, now_s)
    now = replace(member, state=WAITING, rollout=0, reason="halted", since_s=now_s)
    campaigns.of(store).keep(now)


def halt(store: Store, one: Campaign, reason: str, for_good: bool, now_s: int) -> None:
    """A person halts it; for good, nothing of it is begun any more."""
    known = campaigns.of(store)
    if for_good:
        for member in known.members(one.number):
            if member.state in (WAITING, FAILED):
                known.keep(replace(member, state=LEFT, since_s=now_s))
            elif member.state == SENDING:
                _hold(store, member, now_s)
                left = replace(member, state=LEFT, rollout=0, reason=reason, since_s=now_s)
                known.keep(left)
        known.became(one.number, OVER, reason, now_s)
        return
    if one.state != RUNNING:
        raise Refused(f"update {one.number}: is {one.state} already")
    known.became(one.number, HALTED, reason, now_s)


def resume(store: Store, one: Campaign, retry: bool, now_s: int) -> None:
    """Goes on with a halted campaign; what failed is tried again, or left as it is."""
    if one.state != HALTED:
        raise Refused(f"update {one.number}: is {one.state}, not halted")
    known = campaigns.of(store)
    for member in known.members(one.number):
        if member.state == FAILED:
            state = WAITING if retry else LEFT
            known.keep(replace(member, state=state, since_s=now_s))
    known.became(one.number, RUNNING, "", now_s)
