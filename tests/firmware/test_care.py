# runs on: cpython micropython
"""Orders of a module's care: a balance that moves in, and a key that is exchanged."""

import asyncio

from protocol import codes, cose, ledger, messages, rekey
from protocol.units import FORGED, MODULE_TARGET
from tests.firmware import desk as desks
from tests.firmware.test_uplink import powered, rejected

CUR = desks.CUR
SALT = bytes(range(16))
NEW = rekey.next_root(desks.ROOT_KEY, SALT)


def order(firmware, action, args, command_id=1, target=0):
    command = messages.Command(command_id, target, action, 0, 1 << 33, args)
    firmware.commands.take(command)
    return desks.results(firmware)[-1]


def mac(key, direction=cose.DOWN):
    return cose.Mac(cose.derive(key, direction))


def sealed(firmware, message, key):
    firmware.uplink.receive("d/3/desk-1", messages.seal(message, mac(key)))


def key_order(command_id=1, wanted=None):
    args = [SALT, rekey.check(NEW) if wanted is None else wanted]
    return messages.Command(command_id, MODULE_TARGET, codes.KEY, 0, 1 << 33, args)


def test_a_transfer_moves_in_once_and_closes_the_relay():
    desk, _, firmware = powered("transfer")
    point = firmware.points[0]
    assert not desk.contact.closed
    args = [-CUR, point.state.period, 250]
    assert order(firmware, codes.TRANSFER, args, 1) == codes.DONE
    args = [12 * CUR, point.state.period, 4000]
    assert order(firmware, codes.TRANSFER, args, 2) == codes.DONE
    seq = point.state.seq
    assert (point.state.balance_ncur, point.state.used_wh) == (11 * CUR, 4250)
    sent = messages.unpack(firmware.outbox.batch(0, 0, 8)[0])
    assert sent.items[-1][0] == ledger.TRANSFER
    assert sent.items[-1][3:] == [2, ledger.BY_COMMAND, 12 * CUR, 4250]
    firmware.commands.answered.clear()  # as after a restart
    assert order(firmware, codes.TRANSFER, args, 2) == codes.ALREADY
    assert (point.state.seq, point.state.balance_ncur) == (seq, 11 * CUR)
    desk.now_ms += 60000
    asyncio.run(firmware.metering.poll())
    assert desk.contact.closed


def test_what_another_tier_period_has_used_is_over():
    _, _, firmware = powered("transfer-period")
    state = firmware.points[0].state
    assert order(firmware, codes.TRANSFER, [CUR, state.period - 1, 4000]) == codes.DONE
    assert firmware.points[0].state.used_wh == 0


def test_a_transfer_waits_for_an_open_ledger():
    desk = desks.Desk(desks.folder("transfer-early"))
    desks.provision(desk.root, [desks.point_settings()], desks.flat_book())
    _, firmware = desk.power_on()
    assert order(firmware, codes.TRANSFER, [CUR, 0, 0]) == codes.REFUSED_FIELD
    for bad in ([CUR], [CUR, 0, 0, 0], [CUR, 0, 1 << 51], [CUR, 0, "1"]):
        assert order(firmware, codes.TRANSFER, bad, 2) == codes.REFUSED_FIELD
    assert firmware.points[0].state.balance_ncur == 0


def test_a_key_is_exchanged_and_what_was_under_way_is_still_heard():
    _, _, firmware = powered("key")
    sealed(firmware, key_order(), desks.ROOT_KEY)
    assert desks.results(firmware) == [codes.DONE]
    link = firmware.uplink
    assert link.mac_up.digest(b"x") == mac(NEW, cose.UP).digest(b"x")
    sealed(firmware, messages.Command(2, 0, codes.STATE, 0, 1 << 33, []), desks.ROOT_KEY)
    sealed(firmware, messages.Command(3, 0, codes.STATE, 0, 1 << 33, []), NEW)
    assert desks.results(firmware) == [codes.DONE] * 3
    link.mac_before = None  # another connection
    sealed(firmware, messages.Command(4, 0, codes.STATE, 0, 1 << 33, []), desks.ROOT_KEY)
    assert desks.results(firmware) == [codes.DONE] * 3
    assert rejected(firmware) == [FORGED]


def test_a_cut_behind_the_key_file_is_answered_as_done_under_the_new_key():
    desk, _, firmware = powered("key-cut")

    def cut(_):
        raise MemoryError("power")

    firmware.commands.finish_module = cut
    sealed(firmware, key_order(), desks.ROOT_KEY)
    assert desks.results(firmware) == []
    _, firmware = desk.power_on()
    sealed(firmware, key_order(), desks.ROOT_KEY)
    assert desks.results(firmware) == []
    sealed(firmware, key_order(), NEW)
    assert desks.results(firmware) == [codes.ALREADY]
    assert desk.power_on()[1].uplink.mac_up.digest(b"x") == mac(NEW, cose.UP).digest(b"x")


def test_a_key_that_the_host_does_not_come_to_changes_nothing():
    _, _, firmware = powered("key-bad")
    before = firmware.uplink.mac_up
    sealed(firmware, key_order(1, bytes(8)), desks.ROOT_KEY)
    for command_id, args in ((2, []), (3, [SALT]), (4, [SALT[:8], bytes(8)]), (5, [1, 2])):
        command = messages.Command(command_id, MODULE_TARGET, codes.KEY, 0, 1 << 33, args)
        sealed(firmware, command, desks.ROOT_KEY)
    assert desks.results(firmware) == [codes.REFUSED_FIELD] * 5
    assert firmware.uplink.mac_up is before
