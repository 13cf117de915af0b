# runs on: cpython micropython
"""Vouchers: typing errors cost nothing, genuine ones are credited once, in any order near by."""

from protocol import topup, voucher
from protocol.cose import Mac
from protocol.lockout import ACCEPTED, INVALID, TOO_OLD, USED
from protocol.topup import START, Mark
from protocol.voucher import Fields, Result
from tests.bench.mutations import Dice

KEY = bytes(range(32))
MODULE = "meter-0042"
POINT = 3
NOTHING = Result(INVALID, 0, 0)
CENT_NCUR = 10000000

# generation, number, scale, value, digits: made by the independent issuer of
# tests/host_tools/test_tokens.py, which checks them again.
GOLDEN = (
    (0, 2, 0, 1, "00002814825731959484"),
    (0, 4, 1, 8191, "00006333162318109017"),
    (0, 1024, 2, 5000, "00000918451941586618"),
    (7, 1998, 3, 42, "01371840498778088447"),
    (4294967295, 65534, 3, 8191, "01439744487154517352"),
)


def digits(number, scale, value, generation=0, key=KEY, module=MODULE, point=POINT):
    tag = voucher.tag(Mac(key), module, point, generation, number, scale, value)
    bits = (number & 1023) << 47 | scale << 45 | value << 32 | int.from_bytes(tag, "big")
    text = "%019d" % bits
    return text + str(voucher.luhn(text))


def enter(mark, text):
    return voucher.check(Mac(KEY), MODULE, POINT, mark, voucher.parse(text))


def test_golden_vouchers():
    for generation, number, scale, value, text in GOLDEN:
        assert digits(number, scale, value, generation) == text
        mark = Mark(generation, max(1, number - 30), 1, 0)
        amount_ncur = value * voucher.SCALES_NCUR[scale]
        assert enter(mark, text) == Result(ACCEPTED, number, amount_ncur)


def test_the_steps_are_hundredths_tenths_ones_and_tens():
    steps = [10**9 // 100, 10**9 // 10, 10**9, 10**9 * 10]
    assert list(voucher.SCALES_NCUR) == steps
    for scale in range(4):
        text = digits(2, scale, voucher.VALUE_MAX)
        assert enter(START, text) == Result(ACCEPTED, 2, 8191 * steps[scale])


def test_the_check_digit_is_luhns():
    assert voucher.luhn("7992739871") == 3
    assert voucher.luhn("0") == 0


def test_typing_errors_are_told_before_any_key_is_used():
    """Every wrong digit, and neighbours swapped except 0 and 9, which Luhn cannot tell."""
    text = digits(2, 0, 1234)
    for at in range(len(text)):
        for other in "0123456789":
            if other != text[at]:
                assert voucher.parse(text[:at] + other + text[at + 1 :]) is None
        swapped = text[:at] + text[at + 1 : at + 2] + text[at] + text[at + 2 :]
        if swapped != text and {text[at], text[at + 1]} != {"0", "9"}:
            assert voucher.parse(swapped) is None


def test_what_is_no_voucher():
    text = digits(2, 0, 1234)
    later = "%019d" % (1 << 57)
    for wrong in (
        "",
        text[:-1],
        text + "0",
        " " + text[1:],
        text[:-1] + "\u0661",
        "-" + text[1:],
        later + str(voucher.luhn(later)),
        "9" * 19 + str(voucher.luhn("9" * 19)),
    ):
        assert voucher.parse(wrong) is None, wrong
    top = "%019d" % ((1 << 57) - 1)
    assert voucher.parse(top + str(voucher.luhn(top))) == Fields(1023, 3, 8191, b"\xff" * 4)


def test_a_voucher_is_credited_once():
    text = digits(2, 1, 500)
    result = enter(START, text)
    assert result == Result(ACCEPTED, 2, 500 * 10 * CENT_NCUR)
    mark = topup.accept(START, result.number)
    assert enter(mark, text) == Result(USED, 2, 500 * 10 * CENT_NCUR)


def test_a_token_or_command_of_the_same_number_came_first():
    mark = topup.accept(topup.accept(START, 4), 2)
    for number in (2, 4):
        assert enter(mark, digits(number, 0, 1)).result == USED
    assert enter(mark, digits(6, 0, 1)).result == ACCEPTED


def test_vouchers_near_by_are_taken_in_any_order():
    mark = START
    for number in (16, 2, 14, 4, 12, 6, 10, 8):
        result = enter(mark, digits(number, 0, 1))
        assert result == Result(ACCEPTED, number, CENT_NCUR)
        mark = topup.accept(mark, number)
    for number in range(2, 17, 2):
        assert enter(mark, digits(number, 0, 1)).result == USED


def test_an_old_voucher_is_too_old_and_no_failure():
    for highest in (18, 100, 1030, 1100, 5000):
        mark = Mark(0, highest, 1, 0)
        for number in (2, highest - 16 & ~1):
            assert enter(mark, digits(number, 0, 7)) == Result(TOO_OLD, number, 7 * CENT_NCUR)


def test_the_number_is_found_from_its_low_bits():
    """From the window upwards every number has one meaning, and it is the right one."""
    for highest in (1, 2, 15, 16, 17, 1000, 1023, 1024, 1025, 4096, 65534):
        mark = Mark(0, highest, 1, 0)
        lowest = max(1, highest - 15)
        for number in range(lowest, lowest + 1024):
            assert voucher.number_of(mark, number & 1023) == number


def test_numbers_wrap_past_their_low_bits():
    mark = Mark(0, 1020, 1, 1)
    for number in (1022, 1024, 1026, 2028):
        assert enter(mark, digits(number, 2, 5)) == Result(ACCEPTED, number, 5 * 10**9)
    assert enter(mark, digits(2030, 2, 5)) == NOTHING


def test_odd_numbers_and_numbers_past_the_last_are_invalid():
    assert enter(START, digits(3, 0, 1)) == NOTHING
    last = Mark(0, 65530, 1, 1)
    assert enter(last, digits(65534, 0, 1)).result == ACCEPTED
    assert enter(last, digits(65536, 0, 1)) == NOTHING


def test_a_voucher_is_bound_to_meter_point_key_and_generation():
    for other in (
        digits(2, 0, 1, generation=1),
        digits(2, 0, 1, key=bytes(32)),
        digits(2, 0, 1, module="meter-0043"),
        digits(2, 0, 1, point=4),
    ):
        assert enter(START, other) == NOTHING
    assert enter(topup.rotate(Mark(0, 40, 1, 0)), digits(2, 0, 1)) == NOTHING
    assert enter(topup.rotate(Mark(0, 40, 1, 0)), digits(2, 0, 1, generation=1)).number == 2


def test_a_changed_field_is_invalid():
    fields = voucher.parse(digits(2, 0, 100))
    low, scale, value, tag = fields
    for changed in (
        Fields(low + 2, scale, value, tag),
        Fields(low, 1, value, tag),
        Fields(low, scale, value + 1, tag),
        Fields(low, scale, value, tag[:3] + bytes((tag[3] ^ 1,))),
    ):
        assert voucher.check(Mac(KEY), MODULE, POINT, START, changed) == NOTHING


def test_random_histories_credit_once_and_refuse_nothing_fresh():
    dice = Dice(8)
    for _ in range(20):
        mark, spent, newest = START, [], 2
        for _ in range(40):
            newest += 2 * dice.below(3)
            number = max(2, newest - 2 * dice.below(11))
            fresh = number not in spent and number > mark.highest - 16
            result = enter(mark, digits(number, 0, 1))
            assert (result.result == ACCEPTED) == fresh
            assert result.number == number
            if fresh:
                spent.append(number)
                after = topup.accept(mark, number)
                assert after.highest >= mark.highest
                mark = after


def test_derived_keys_differ_by_point_and_from_the_token_key():
    from protocol import openpaygo

    root = Mac(bytes(32))
    keys = [voucher.derived_key(root, point) for point in range(4)]
    assert len(set(keys)) == 4
    assert openpaygo.derived_key(root, 0, 0) not in [key[:16] for key in keys]
