# runs on: cpython micropython
"""One number for one top-up: in any order and repeated, each is credited at most once."""

from protocol import topup
from protocol.topup import FRESH, TOO_OLD, USED, Mark
from tests.bench.mutations import Dice


def credit(mark, number):
    """(mark, whether the number was credited)."""
    if topup.check(mark, number) != FRESH:
        return mark, False
    return topup.accept(mark, number), True


def test_a_number_is_credited_once():
    mark, first = credit(topup.START, 2)
    _, again = credit(mark, 2)
    assert first and not again
    assert topup.check(mark, 2) == USED


def test_numbers_may_arrive_out_of_order_within_the_window():
    mark = topup.START
    for number in (16, 2, 14, 4, 12, 6, 10, 8):
        mark, credited = credit(mark, number)
        assert credited, number
    for number in range(2, 17, 2):
        assert topup.check(mark, number) == USED


def test_what_fell_out_of_the_window_is_too_old():
    mark, _ = credit(topup.START, 18)
    assert topup.check(mark, 2) == TOO_OLD
    assert topup.check(mark, 4) == FRESH
    mark, _ = credit(mark, 20)
    assert topup.check(mark, 4) == TOO_OLD
    assert topup.check(mark, 6) == FRESH


def test_a_jump_beyond_the_window_forgets_no_used_number():
    mark, _ = credit(topup.START, 8)
    mark, _ = credit(mark, 1000)
    assert mark == Mark(0, 1000, 1, 1)
    assert topup.check(mark, 8) == TOO_OLD and topup.check(mark, 1000) == USED
    assert topup.check(mark, 998) == FRESH


def test_an_odd_number_closes_everything_below_it():
    mark, _ = credit(topup.START, 8)
    mark, set_once = credit(mark, 11)
    assert set_once and mark == Mark(0, 11, 11, 0)
    assert topup.check(mark, 10) == TOO_OLD and topup.check(mark, 11) == USED
    assert topup.check(mark, 9) == USED and topup.check(mark, 12) == FRESH
    mark, _ = credit(mark, 12)
    assert mark == Mark(0, 12, 11, 1)


def test_zero_and_negative_numbers_are_never_fresh():
    for mark in (topup.START, Mark(0, 40, 1, 0)):
        for number in (0, -1, -2, -1000):
            assert topup.check(mark, number) != FRESH


def test_a_new_key_starts_the_numbers_again():
    mark, _ = credit(topup.START, 60000)
    assert topup.rotate(mark) == Mark(1, 1, 1, 0)
    assert topup.check(topup.rotate(mark), 2) == FRESH


def test_the_bitmap_is_eight_bits_whatever_arrives():
    dice = Dice(5)
    mark = topup.START
    for _ in range(2000):
        mark, _ = credit(mark, max(1, mark.highest + dice.below(60) - 30))
        assert 0 <= mark.used <= 255 and mark.floor <= mark.highest
        if mark.highest & 1:
            assert mark.used & 1 == 0 or mark.highest != mark.floor


def test_any_order_and_repetition_credits_each_number_at_most_once():
    for seed in range(40):
        dice = Dice(seed)
        mark = topup.START
        credited = []
        floor = 1
        for _ in range(150):
            centre = mark.highest
            number = max(1, centre + dice.below(40) - 24)
            before = mark
            mark, fresh = credit(mark, number)
            expected = number not in credited and (
                number > before.highest
                or (number % 2 == 0 and number > floor and number > before.highest - 16)
            )
            assert fresh == expected, (seed, number, before)
            if fresh:
                credited.append(number)
                floor = number if number & 1 else floor
            assert mark.highest >= before.highest and mark.floor == floor
        assert len(credited) == len(set(credited)) > 10


def test_the_newest_eight_even_numbers_above_the_floor_are_accepted_in_every_rotation():
    for start in range(8):
        numbers = [100 + 2 * ((start + step * 3) % 8) for step in range(8)]
        mark = Mark(0, 98, 1, 0)
        for number in numbers:
            mark, fresh = credit(mark, number)
            assert fresh, numbers
