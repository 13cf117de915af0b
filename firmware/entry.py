"""A typed top-up: OpenPAYGO token or voucher, through whichever channel digits come.

Loaded when digits arrive and given back after them. One journal slot holds the ledger entry, the
mark and the cleared lock-out; a failure is durable before its result is told. Money is
nano-currency. Never keeps a key or the digits, and never hashes under a lock-out.
"""

from firmware import config, prepaid
from firmware.point import M_FAILURES, M_LOCKED_S
from firmware.waits import sleep_ms
from protocol import codes, ledger, lockout, topup
from protocol.units import NCUR_MAX, const

_HASHES = const(4)  # between two looks at what else is due
# What changes nothing is an event no more often than this, or typing would wear the flash.
_TOLD_MS = const(10000)
_WAIT_MS = const(50)
_VOUCHER_DIGITS = const(20)


def remaining(board, point):
    """The lock-out of a point now; it counts in monotonic time only."""
    more = point.slot.more
    saved = lockout.Lockout(more[M_FAILURES], more[M_LOCKED_S])
    return lockout.passed(saved, board.ticks_ms() - point.locked_ms)[0]


async def take(commands, point, text, token_keys=None):
    """Try what was typed. -> (a result of protocol.lockout, top-up number, amount_ncur).

    Number and amount are 0 where nothing was recognised. `token_keys(commands, point)` ->
    (SipHash, starting code) stands in for the point's own key.
    """
    if len(text) == _VOUCHER_DIGITS:
        from protocol import voucher as form
    else:
        from protocol import openpaygo as form

        if not point.settings.token_unit_ncur:
            return lockout.REFUSED, 0, 0
    typed = form.parse(text)
    if typed is None or typed == -1:
        return lockout.FORMAT, 0, 0
    while point.typing:  # one guess at a time, or several would share one lock-out
        await sleep_ms(_WAIT_MS)
    point.typing = True
    try:
        if lockout.locked(remaining(commands.board, point)):
            return lockout.LOCKED, 0, 0
        if len(text) == _VOUCHER_DIGITS:
            found = _checked(commands, point, typed)
        else:
            siphash, code = (token_keys or _token_keys)(commands, point)
            found = await _walked(siphash, code, point, typed)
        return _settled(commands, point, *found)
    finally:
        point.typing = False


def _mac(root):
    from protocol import cose

    return cose.Mac(config.root_key(root))


def _token_keys(commands, point):
    from protocol import openpaygo, siphash

    generation = point.state.mark.generation
    key = openpaygo.derived_key(_mac(commands.root), point.number, generation)
    hashing = siphash.SipHash(key)
    return hashing, openpaygo.starting_code(hashing, key)


async def _walked(siphash, code, point, token):
    """-> (result, mark it was found under, number, amount or new balance, channel, is it SET)."""
    from protocol import openpaygo

    mark = point.state.mark
    walk = openpaygo.Walk(siphash, code, mark, token)
    while not walk.step(_HASHES):
        await sleep_ms(0)
    found = walk.result
    result = found.result
    is_set = openpaygo.is_set(found)
    if result == lockout.ACCEPTED:
        allowed = found.value <= openpaygo.VALUE_MAX and (found.value or is_set)
        if not allowed or (is_set and not point.settings.token_set):
            result = lockout.REFUSED
    amount_ncur = found.value * point.settings.token_unit_ncur
    return result, mark, found.number, amount_ncur, ledger.BY_TOKEN, is_set


def _checked(commands, point, fields):
    """The same of a voucher, which only adds."""
    from protocol import cose, voucher

    mark = point.state.mark
    mac = cose.Mac(voucher.derived_key(_mac(commands.root), point.number))
    found = voucher.check(mac, commands.settings.module, point.number, mark, fields)
    result = found.result
    if result == lockout.ACCEPTED and not found.amount_ncur:
        result = lockout.REFUSED
    return result, mark, found.number, found.amount_ncur, ledger.BY_VOUCHER, False


def _settled(commands, point, result, mark, number, amount_ncur, channel, is_set):
    """Consume it, or count the failure: durable first, told afterwards."""
    now = point.state.mark
    if result == lockout.ACCEPTED and now != mark:  # a command was quicker while we hashed
        other = now.generation != mark.generation
        result = topup.TOO_OLD if other else topup.check(now, number)
    if result == lockout.ACCEPTED:
        if is_set:
            commands.metering.charge_now(point)  # the old balance pays what was used before
        balance_ncur = point.state.balance_ncur
        amount_ncur = amount_ncur - balance_ncur if is_set else amount_ncur
        if not _allowed(point.settings, balance_ncur, amount_ncur, is_set):
            result = lockout.CAP_EXCEEDED
    if result == lockout.ACCEPTED:
        _consume(commands, point, number, amount_ncur, channel, is_set)
        return lockout.ACCEPTED, number, amount_ncur
    if result == lockout.INVALID:
        _fail(commands, point, channel)
        return lockout.INVALID, 0, 0
    now_ms = commands.board.ticks_ms()
    if not point.told_ms or now_ms - point.told_ms >= _TOLD_MS:
        point.told_ms = now_ms
        commands.events.add(codes.TOKEN, point.number, result, number, channel)
    return result, number, amount_ncur


def _allowed(limits, balance_ncur, amount_ncur, is_set):
    if not is_set:
        return prepaid.cap_allows(limits, balance_ncur, amount_ncur)
    given_ncur = balance_ncur + amount_ncur
    small = not given_ncur or prepaid.cap_allows(limits, 0, given_ncur)
    return small and abs(amount_ncur) <= NCUR_MAX


def _consume(commands, point, number, amount_ncur, channel, is_set):
    now_s, quality = commands.clock.now()
    state = point.state
    if is_set:
        reason = ledger.SET_BY_TOKEN
        entry = ledger.adjusted(state, now_s, quality, number, reason, amount_ncur)
        slot = point.with_entry(entry)
    else:
        entry = ledger.topped_up(state, now_s, quality, number, channel, amount_ncur)
        slot = commands.metering.credited(point, entry)
    commands.metering.commit(point, point.with_more(slot, M_FAILURES, 0, M_LOCKED_S, 0))
    commands.events.add(codes.TOKEN, point.number, lockout.ACCEPTED, number, channel)
    commands.metering.supply.decide(point)


def _fail(commands, point, channel):
    board = commands.board
    state = lockout.after(remaining(board, point), lockout.INVALID)
    slot = point.with_more(point.plain(), M_FAILURES, state.failures, M_LOCKED_S, state.left_s)
    commands.metering.commit(point, slot)
    point.locked_ms = board.ticks_ms()
    commands.events.add(codes.TOKEN, point.number, lockout.INVALID, 0, channel)
    if lockout.locked(state):
        commands.events.add(codes.TOKEN_LOCKED, point.number, *state)
