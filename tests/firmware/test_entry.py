# runs on: cpython micropython
"""Digits typed at the module: credited once, refused whole, guessing slow through restarts."""

import asyncio

from boards.virtual import flash
from firmware import entry, relay
from firmware import point as points
from protocol import cbor, codes, ledger, messages
from protocol import lockout as results
from protocol.units import Unavailable
from tests.firmware import desk as desks
from tests.firmware import keypad
from tests.firmware.keypad import four_key, token, type_in, voucher_digits

CUR = desks.CUR
WRONG = "123456789"


def commissioned(name, **limits):
    """(desk, board, firmware) of a point that takes tokens in whole units of currency."""
    desk = desks.Desk(desks.folder("entry-" + name))
    limits.setdefault("token_unit_ncur", CUR)
    desks.provision(desk.root, [desks.point_settings(**limits)], desks.flat_book())
    board, firmware = desk.power_on()
    asyncio.run(firmware.metering.poll())
    return desk, board, firmware


def again(desk):
    """The firmware after a power cut and a restart."""
    _, firmware = desk.power_on()
    asyncio.run(firmware.metering.poll())
    return firmware


def order(firmware, command_id, action, *args):
    command = messages.Command(command_id, 0, action, 0, 1 << 33, list(args))
    firmware.commands.take(command)
    records = [cbor.decode(record) for _, record in firmware.outbox.take(8, 0, 1000)]
    return [values[4][3] for values in records if values[3] == 1][-1]


def told(firmware, code):
    """Arguments of the events of a code."""
    records = [cbor.decode(record) for _, record in firmware.outbox.take(8, 0, 1000)]
    return [values[4][4] for values in records if values[3] == 0 and values[4][2] == code]


def wait(desk, firmware, seconds, step_s=10):
    for _ in range(0, seconds, step_s):
        desk.now_ms += step_s * 1000
        asyncio.run(firmware.metering.poll())


def lock(firmware, failures):
    """Wrong tokens until so many have failed, waiting as long as it takes each time."""
    desk = firmware.board.desk
    while firmware.points[0].slot.more[points.M_FAILURES] < failures:
        result = type_in(firmware, WRONG)[0]
        if result == results.LOCKED:
            left_s = entry.remaining(firmware.board, firmware.points[0]).left_s
            wait(desk, firmware, left_s, max(left_s, 1))


def test_a_token_adds_its_units_and_arms_the_relay():
    _, _, firmware = commissioned("adds")
    assert type_in(firmware, token(2, 20)) == (results.ACCEPTED, 2, 20 * CUR)
    point = firmware.points[0]
    assert point.state.balance_ncur == point.state.topups_ncur == 20 * CUR
    assert point.slot.relay == relay.ARMED
    records = [points.unpack(record).entry for _, record in firmware.outbox.take(0, 0, 9)]
    assert (records[-1].kind, records[-1].channel) == (ledger.TOPUP, ledger.BY_TOKEN)
    assert told(firmware, codes.TOKEN) == [[results.ACCEPTED, 2, ledger.BY_TOKEN]]


def test_both_alphabets_and_vouchers_share_one_mark_with_commands():
    desk, _, firmware = commissioned("alphabets")
    assert type_in(firmware, four_key(token(2, 5)))[0] == results.ACCEPTED
    assert type_in(firmware, token(2, 5)) == (results.USED, 2, 5 * CUR)
    assert order(firmware, 1, codes.TOPUP, 2, 0, 5 * CUR) == codes.ALREADY
    assert order(firmware, 2, codes.TOPUP, 4, 0, 5 * CUR) == codes.DONE
    assert type_in(firmware, token(4, 5))[0] == results.USED
    assert type_in(firmware, voucher_digits(4, 2, 5))[0] == results.USED
    fine = voucher_digits(6, 0, 1234)
    assert type_in(firmware, fine) == (results.ACCEPTED, 6, 1234 * CUR // 100)
    assert type_in(firmware, fine)[0] == results.USED
    firmware = again(desk)
    for text in (token(2, 5), token(6, 12), fine):
        assert type_in(firmware, text)[0] == results.USED
    assert firmware.points[0].state.topups_ncur == 10 * CUR + 1234 * CUR // 100


def test_format_is_told_without_hashing_and_counts_nothing():
    def no_keys(*_):
        raise AssertionError("hashed")

    _, _, firmware = commissioned("format")
    number = firmware.events.seq
    for text in ("", "12345678", "1234567890", "12345678x", "5" * 15, "1" * 19, "1" * 20):
        assert type_in(firmware, text, token_keys=no_keys) == (results.FORMAT, 0, 0)
    assert firmware.events.seq == number
    assert firmware.points[0].slot.more[points.M_FAILURES] == 0
    lock(firmware, 3)
    assert type_in(firmware, token(2, 1), token_keys=no_keys) == (results.LOCKED, 0, 0)
    assert type_in(firmware, voucher_digits(2, 2, 1)) == (results.LOCKED, 0, 0)


def test_a_point_without_a_unit_takes_vouchers_only():
    _, _, firmware = commissioned("unitless", token_unit_ncur=0)
    assert type_in(firmware, token(2, 5)) == (results.REFUSED, 0, 0)
    assert type_in(firmware, voucher_digits(2, 2, 5))[0] == results.ACCEPTED


def test_a_token_above_a_limit_stays_usable():
    _, _, firmware = commissioned("cap", cap_ncur=30 * CUR, topup_max_ncur=25 * CUR)
    assert type_in(firmware, token(2, 26)) == (results.CAP_EXCEEDED, 2, 26 * CUR)
    assert type_in(firmware, token(2, 20))[0] == results.ACCEPTED
    before = firmware.points[0].state
    for text in (token(4, 11), voucher_digits(4, 2, 11)):
        assert type_in(firmware, text) == (results.CAP_EXCEEDED, 4, 11 * CUR)
    assert firmware.points[0].state == before
    assert order(firmware, 9, codes.ADJUST, 1, -5 * CUR) == codes.DONE
    assert type_in(firmware, token(4, 11))[0] == results.ACCEPTED
    assert firmware.points[0].slot.more[points.M_FAILURES] == 0


def test_a_set_token_is_one_adjustment_and_only_where_allowed():
    _, _, firmware = commissioned("set-off")
    type_in(firmware, token(2, 20))
    before = firmware.points[0].state
    assert type_in(firmware, token(3, 7))[0] == results.REFUSED
    assert firmware.points[0].state == before
    desk, _, firmware = commissioned("set-on", token_set=1)
    type_in(firmware, token(2, 20))
    desk.meter.register_wh += 2000  # one unit of currency, before the balance is set
    desk.now_ms += 300000
    asyncio.run(firmware.metering.poll())
    assert type_in(firmware, token(3, 7)) == (results.ACCEPTED, 3, -12 * CUR)
    state = firmware.points[0].state
    assert (state.balance_ncur, state.topups_ncur, state.charged_ncur) == (7 * CUR, 20 * CUR, CUR)
    assert (state.mark.highest, state.mark.floor) == (3, 3)
    assert type_in(firmware, token(3, 7))[0] == results.USED
    assert type_in(firmware, token(2, 20))[0] == results.TOO_OLD
    firmware = again(desk)
    assert type_in(firmware, token(3, 7))[0] == results.USED
    assert type_in(firmware, token(5, 995))[0] == results.CAP_EXCEEDED
    assert type_in(firmware, token(5, 0))[0] == results.ACCEPTED
    assert firmware.points[0].state.balance_ncur == 0


def test_no_command_passes_for_a_set_token():
    _, _, firmware = commissioned("adjust")
    assert order(firmware, 3, codes.ADJUST, ledger.SET_BY_TOKEN, CUR) == codes.REFUSED_FIELD
    assert firmware.points[0].state.mark.highest == 1


def test_special_values_credit_and_consume_nothing():
    _, _, firmware = commissioned("special", token_set=1)
    before = firmware.points[0].state
    assert type_in(firmware, token(3, 998))[0] == results.REFUSED
    assert type_in(firmware, token(2, 0))[0] == results.REFUSED
    assert type_in(firmware, voucher_digits(2, 2, 0))[0] == results.REFUSED
    assert firmware.points[0].slot.more[points.M_FAILURES] == 0
    for number, value in ((3, 999), (2, 996), (3, 997), (2, 998)):
        assert type_in(firmware, token(number, value))[0] in (results.INVALID, results.LOCKED)
    assert firmware.points[0].state == before


def test_guessing_is_slowed_down_and_told():
    desk, _, firmware = commissioned("slow")
    assert [type_in(firmware, WRONG)[0] for _ in range(4)] == [results.INVALID] * 3 + [
        results.LOCKED
    ]
    assert told(firmware, codes.TOKEN_LOCKED) == [[3, 120]]
    assert told(firmware, codes.TOKEN) == [[results.INVALID, 0, ledger.BY_TOKEN]] * 3
    wait(desk, firmware, 119, 119)
    assert type_in(firmware, token(2, 5))[0] == results.LOCKED
    wait(desk, firmware, 1, 1)
    assert type_in(firmware, token(2, 5))[0] == results.ACCEPTED
    assert firmware.points[0].slot.more[points.M_FAILURES] == 0


def test_a_wrong_voucher_runs_into_the_same_lock_out():
    _, _, firmware = commissioned("voucher")
    other = voucher_digits(2, 2, 5, module="desk-2")
    assert [type_in(firmware, other)[0] for _ in range(3)] == [results.INVALID] * 3
    assert type_in(firmware, token(2, 5))[0] == results.LOCKED


def test_neither_restart_nor_clock_shortens_a_lock_out():
    desk, _, firmware = commissioned("restart")
    lock(firmware, 6)  # 16 minutes
    for turn in range(12):
        wait(desk, firmware, 50)  # less than a minute is lost at each restart
        firmware = again(desk)
        firmware.clock.set((desk.now_ms + 86400000 * 30) if turn & 1 else desk.now_ms // 2)
        assert type_in(firmware, token(2, 5))[0] == results.LOCKED
    assert firmware.points[0].slot.more[points.M_LOCKED_S] == 960
    wait(desk, firmware, 959, 7)
    assert type_in(firmware, token(2, 5))[0] == results.LOCKED
    firmware = again(desk)
    left_s = entry.remaining(firmware.board, firmware.points[0]).left_s
    assert 0 < left_s <= 67  # what was served is durable each minute
    wait(desk, firmware, left_s, 1)
    assert type_in(firmware, token(2, 5))[0] == results.ACCEPTED


def test_twenty_failures_latch_until_the_command():
    desk, _, firmware = commissioned("latch")
    lock(firmware, 20)
    wait(desk, firmware, 40000, 4000)
    firmware = again(desk)
    assert type_in(firmware, token(2, 5))[0] == results.LOCKED
    assert order(firmware, 5, codes.CLEAR, 7) == codes.REFUSED_FIELD
    assert order(firmware, 6, codes.CLEAR, codes.CLEAR_LOCKOUT) == codes.DONE
    assert type_in(again(desk), token(2, 5))[0] == results.ACCEPTED


def test_clear_takes_back_a_tamper_latch():
    _, _, firmware = commissioned("tamper")
    point = firmware.points[0]
    slot = point.with_more(point.plain(), points.M_TAMPER, 5)
    firmware.metering.commit(point, slot)
    assert order(firmware, 6, codes.CLEAR, codes.CLEAR_TAMPER) == codes.DONE
    assert point.slot.more[points.M_TAMPER] == 0


def test_a_command_that_is_quicker_than_the_walk_makes_the_token_used():
    _, _, firmware = commissioned("race")

    async def both():
        work = asyncio.create_task(entry.take(firmware.commands, firmware.points[0], token(2, 5)))
        for _ in range(4):
            await asyncio.sleep(0)
        assert firmware.points[0].typing
        assert order(firmware, 1, codes.TOPUP, 2, 0, 5 * CUR) == codes.DONE
        return await work

    assert asyncio.run(both())[0] == results.USED
    assert firmware.points[0].state.topups_ncur == 5 * CUR


def test_two_channels_at_once_make_one_guess_at_a_time():
    _, _, firmware = commissioned("parallel")

    async def both():
        tasks = [
            asyncio.create_task(entry.take(firmware.commands, firmware.points[0], WRONG))
            for _ in range(6)
        ]
        out = []
        for task in tasks:
            out.append((await task)[0])
        return out

    assert sorted(asyncio.run(both())) == [results.INVALID] * 3 + [results.LOCKED] * 3


def test_what_changes_nothing_is_an_event_at_most_every_ten_seconds():
    desk, _, firmware = commissioned("flood")
    type_in(firmware, token(2, 5))
    for _ in range(30):
        desk.now_ms += 1000
        assert type_in(firmware, token(2, 5))[0] == results.USED
    assert len(told(firmware, codes.TOKEN)) == 4


def test_a_power_cut_at_every_write_credits_once_and_keeps_the_lock_out():
    """Each flash operation of an entry, torn each way: then the same digits again."""
    cuts = 0
    for text, good in ((token(2, 5), True), (voucher_digits(2, 2, 5), True), (WRONG, False)):
        for torn in flash.TORN:
            for at in range(12):
                desk, board, firmware = commissioned("cut")
                lock(firmware, 2)
                board.power.arm(at, torn, at)
                try:
                    shown = type_in(firmware, text)[0]
                except (OSError, Unavailable):
                    shown = None
                if not board.power.dead:
                    break
                cuts += 1
                firmware = again(desk)
                failures = firmware.points[0].slot.more[points.M_FAILURES]
                credited_ncur = firmware.points[0].state.topups_ncur
                assert credited_ncur in (0, 5 * CUR) and (good or not credited_ncur)
                # The mark, the money and the cleared lock-out are one slot.
                assert failures == (0 if credited_ncur else (2, 3)[failures == 3])
                if shown is not None:
                    assert failures == (0 if good else 3)
                    assert credited_ncur == (5 * CUR if good else 0)
                result = type_in(firmware, text)[0]
                if good:
                    assert result == (results.USED if credited_ncur else results.ACCEPTED)
                    assert firmware.points[0].state.topups_ncur == 5 * CUR
                else:
                    assert result == (results.LOCKED if failures == 3 else results.INVALID)
    assert cuts >= 24


def test_the_walk_lets_others_run():
    _, _, firmware = commissioned("yields")
    turns = []

    async def metering():
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    async def both():
        other = asyncio.create_task(metering())
        await entry.take(firmware.commands, firmware.points[0], token(2, 5))
        other.cancel()

    asyncio.run(both())
    assert len(turns) >= 66 // 4


def test_keys_stay_out_of_what_is_shown():
    _, _, firmware = commissioned("secret")
    hashing, _ = entry._token_keys(firmware.commands, firmware.points[0])
    shown = (
        repr(hashing) + repr(entry._mac(firmware.board.root)) + repr(list(firmware.log.records()))
    )
    for secret in (desks.ROOT_KEY, keypad.token_key()):
        assert repr(secret) not in shown and repr(secret)[2:-1] not in shown
