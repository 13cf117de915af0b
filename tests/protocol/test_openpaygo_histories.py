# runs on: cpython micropython
"""Tokens in any order, repeated and with gaps: credited once; a fresh one within reach always."""

from protocol import topup
from protocol.lockout import ACCEPTED, INVALID
from protocol.topup import START, Mark
from tests.bench.mutations import Dice
from tests.protocol.openpaygo_issuer import credited, enter, token

KEY = bytes(range(16))
CODE = 440014313


class Device:
    """A mark, and what was credited under it."""

    def __init__(self, mark=START):
        self.mark = mark
        self.spent = []

    def type(self, text, sync=False):
        before = self.mark
        result = enter(KEY, CODE, before, text, sync)
        if credited(result):
            self.mark = topup.accept(before, result.number)
            self.spent.append(result.number)
        assert self.mark.highest >= before.highest
        assert credited(result) or self.mark == before
        return result


def acceptable(mark, number):
    """openpaygo.md section 7 in its own words, without topup."""
    if number & 1 or number > mark.highest:
        return mark.highest < number <= mark.highest + 64
    if number <= mark.highest - 16 or number <= mark.floor:
        return False
    newest = mark.highest & ~1
    return not mark.used >> ((newest - number) >> 1) & 1


def test_random_histories_credit_each_number_once_and_refuse_nothing_fresh():
    dice = Dice(20260305)
    issued = {}
    for _ in range(12):
        device = Device()
        number = 1
        for _ in range(16):
            if dice.below(3):
                number += 2 - (number & 1) if dice.below(5) else 1 + (number & 1)
                number += 2 * dice.below(4) if dice.below(4) == 0 else 0
            chosen = max(1, number - (dice.below(22) if dice.below(2) else 0))
            if chosen not in issued:
                issued[chosen] = token(KEY, CODE, chosen, chosen * 7 % 996)
            expected = acceptable(device.mark, chosen)
            result = device.type(issued[chosen])
            assert credited(result) == expected, (device.mark, chosen)
            assert result.result != INVALID
            assert not credited(result) or result.number == chosen
        assert len(set(device.spent)) == len(device.spent)


def test_the_same_number_with_another_value_is_credited_once():
    """Each (value, count) at most once, and each even count at most once whatever the value."""
    device = Device()
    assert credited(device.type(token(KEY, CODE, 4, 10)))
    assert not credited(device.type(token(KEY, CODE, 4, 11)))
    assert credited(device.type(token(KEY, CODE, 2, 11)))
    assert not credited(device.type(token(KEY, CODE, 2, 10)))


def test_used_tokens_stay_used_as_the_window_moves():
    """Where the reference C decoder lets an in-order token in again."""
    device = Device()
    texts = [token(KEY, CODE, number, 1) for number in range(2, 42, 2)]
    for at in range(len(texts)):
        assert credited(device.type(texts[at]))
        for older in texts[max(0, at - 9) : at + 1]:
            assert not credited(device.type(older))


def test_a_command_and_a_token_of_one_number_credit_once():
    device = Device(topup.accept(START, 2))
    assert not credited(device.type(token(KEY, CODE, 2, 50)))


def test_the_scenario_of_the_upstream_procedure():
    """test/full_test_procedure.py: invalid, set, add, reuse, SET 0, three ADD 995, disable."""
    device = Device()
    assert device.type("123456789").result == INVALID
    assert credited(device.type(token(KEY, CODE, 3, 1)))
    added = token(KEY, CODE, 4, 1)
    assert credited(device.type(added))
    assert not credited(device.type(added))
    assert credited(device.type(token(KEY, CODE, 5, 0)))
    for number in (6, 8, 10):
        assert credited(device.type(token(KEY, CODE, number, 995)))
    assert credited(device.type(token(KEY, CODE, 11, 998)))
    assert credited(device.type(token(KEY, CODE, 13, 0)))
    unordered = [token(KEY, CODE, number, 1) for number in (14, 16, 18)]
    assert credited(device.type(unordered[2]))
    assert credited(device.type(unordered[0]))
    assert credited(device.type(unordered[1]))
    older = token(KEY, CODE, 20, 1)
    assert credited(device.type(token(KEY, CODE, 21, 5)))
    assert not credited(device.type(older))


def test_twenty_one_sets_thirty_counts_apart():
    mark = START
    for number in range(31, 31 + 21 * 30, 30):
        number |= 1
        result = enter(KEY, CODE, mark, token(KEY, CODE, number, 1))
        assert result.result == ACCEPTED and result.number == number
        mark = topup.accept(mark, number)
    assert mark.highest > 600


def test_a_new_generation_starts_again_under_its_key():
    from protocol import openpaygo
    from protocol.cose import Mac
    from protocol.siphash import SipHash

    root = Mac(bytes(32))
    old, new = openpaygo.derived_key(root, 0, 0), openpaygo.derived_key(root, 0, 1)
    code = openpaygo.starting_code(SipHash(new), new)
    mark = topup.rotate(Mark(0, 900, 1, 255))
    assert credited(enter(new, code, mark, token(new, code, 2, 5)))
    assert not credited(enter(new, code, mark, token(old, code, 2, 5)))
