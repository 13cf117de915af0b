# runs on: cpython micropython
"""The strict decoder against the published vectors and the package's; what is refused changes
nothing."""

import json
from binascii import unhexlify

from protocol import openpaygo, topup
from protocol.lockout import ACCEPTED, INVALID, TOO_OLD, USED
from protocol.openpaygo import Result
from protocol.siphash import SipHash
from protocol.topup import Mark
from tests.bench.mutations import Dice
from tests.protocol import openpaygo_issuer as issuer
from tests.protocol.openpaygo_issuer import enter, token

ROOT = __file__.rsplit("/", 3)[0]
K = unhexlify("bc41ec9530f6dac86b1a29ab82edc5fb")
CODE = 516959010
NOTHING = Result(INVALID, 0, 0)

# openpaygo.md section 12: number, value, nine digits, of a device at count 1.
PUBLISHED = (
    (2, 1, "588224011"),
    (2, 995, "944829005"),
    (3, 1, "380589011"),
    (3, 995, "586420005"),
    (3, 998, "190942008"),
    (3, 999, "160440009"),
)


def vectors():
    with open(ROOT + "/protocol/vectors/openpaygo.json") as file:
        return json.load(file)


def number_of(limbs):
    return limbs[3] << 48 | limbs[2] << 32 | limbs[1] << 16 | limbs[0]


def refused(mark, text, expected=NOTHING, sync=False):
    assert enter(K, CODE, mark, text, sync) == expected, (mark, text)


def test_the_hash_is_that_of_the_paper_and_of_the_package():
    paper = SipHash(bytes(range(16))).hash(bytes(range(15)))
    assert number_of(paper) == 0xA129CA6149BE45E5
    assert number_of(SipHash(K).hash(K)) == 0x75D65914A33B6311
    for vector in vectors()["hashes"]:
        limbs = SipHash(unhexlify(vector["key"])).hash(unhexlify(vector["message"]))
        assert "%016x" % number_of(limbs) == vector["hash"], vector


def test_the_hash_agrees_with_plain_integers():
    dice = Dice(11)
    for length in range(40):
        key, message = dice.bytes(16), dice.bytes(length)
        assert number_of(SipHash(key).hash(message)) == issuer.siphash(key, message)


def test_a_key_of_another_length_is_refused():
    for length in (0, 15, 17, 32):
        try:
            SipHash(bytes(length))
        except ValueError:
            continue
        assert False, length


def test_a_key_is_not_shown():
    assert repr(SipHash(K)) == "SipHash(hidden)"


def test_starting_codes():
    rising = bytes(range(16))
    for key, code in ((K, 901467777), (bytes(16), 750219629), (rising, 440014313)):
        assert openpaygo.starting_code(SipHash(key), key) == code


def test_steps_of_the_chain():
    """openpaygo.md section 12, with the messages and hashes between."""
    siphash = SipHash(K)
    assert number_of(siphash.hash(unhexlify("1ed02b291ed02b29"))) == 0xFA415ACBCAFA7189
    code = 516959017
    for expected, hashed in (
        (204393168, 0xFA415ACBCAFA7189),
        (397287040, 0x1715B0A749ADCAA4),
        (225648830, 0x7CD7A41E491B26E6),
    ):
        code = openpaygo.next_code(siphash, code)
        assert code == expected and number_of(siphash.out) == hashed
    long = number_of(siphash.hash(bytes(4) + unhexlify("1ed02b29")))
    assert long == 0x904125CD9EFCAE2D and issuer.red12(long) == 619568287134


def test_reduction_above_nine_digits():
    """Random codes rarely reach the branch, so it is asked for."""
    siphash = SipHash(K)
    code, over = CODE, 0
    for _ in range(200):
        following = openpaygo.next_code(siphash, code)
        over += ((number_of(siphash.out) >> 32 ^ number_of(siphash.out)) & 0xFFFFFFFF) >> 2 > (
            999999999
        )
        assert following == issuer.red9(number_of(siphash.out))
        assert 0 <= following <= openpaygo.CODE_MAX
        code = following
    assert over > 0


def test_published_tokens_are_accepted():
    for number, value, text in PUBLISHED:
        assert token(K, CODE, number, value) == text
        sync = value == openpaygo.SYNC
        assert enter(K, CODE, topup.START, text, sync) == Result(ACCEPTED, number, value)
    code = 901467777
    mark = Mark(0, 5, 5, 0)
    assert enter(K, code, mark, "592310784") == Result(ACCEPTED, 6, 7)
    assert enter(K, code, mark, "605605777") == Result(ACCEPTED, 7, 0)


def test_both_alphabets_of_the_published_tokens():
    assert openpaygo.parse("314114432231134") == 588224011
    assert openpaygo.parse("132321112434132") == 160440009
    assert openpaygo.parse("324244134441123") == 662486790


def test_tokens_of_the_package_are_accepted_in_both_alphabets():
    for vector in vectors()["tokens"]:
        key, code = unhexlify(vector["key"]), vector["starting_code"]
        number, value = vector["count"], vector["value"]
        assert token(key, code, number, value) == vector["token"], vector
        before = max(1, number - 60)
        mark = Mark(0, before, before, 0)
        result = enter(key, code, mark, vector["token"], vector["kind"] == "sync")
        assert result == Result(ACCEPTED, number, value), vector
        assert openpaygo.parse(vector["four_key"]) == openpaygo.parse(vector["token"])
        assert openpaygo.is_set(result) == (vector["kind"] == "set")


def test_what_is_no_token_is_told_before_hashing():
    for text in (
        "",
        "58822401",
        "5882240111",
        "58822401a",
        "58822401 ",
        "-88224011",
        "58822401\u0661",
        "5882240.1",
        "314114432231130",
        "314114432231135",
        "31411443223113",
        "247264959011",  # the twelve-digit form is not for money
        "14323213131442331314",  # nor is the twenty-digit one
        "4" * 15,  # 2**30 - 1 has ten digits
    ):
        assert openpaygo.parse(text) == -1, text


def test_zeros_in_front_count():
    assert openpaygo.parse("000000000") == 0
    assert openpaygo.parse("000000042") == 42
    assert openpaygo.parse("111111111111111") == 0


def test_the_starting_code_is_no_token():
    """Count 0: at every mark, for every value, also the bare code itself."""
    for value in (0, 1, 995, 998, 999):
        text = token(K, CODE, 0, value)
        for mark in (topup.START, Mark(0, 4, 1, 0b11), Mark(0, 9, 9, 0)):
            result = enter(K, CODE, mark, text, True)
            assert result.result in (USED, INVALID) and not result.number
            assert (result.result == INVALID) == (value >= openpaygo.DISABLE)
    refused(topup.START, "516959010", Result(USED, 0, 0))


def test_reserved_values_fail_at_every_count():
    for value in (996, 997):
        for number in range(12):
            refused(topup.START, token(K, CODE, number, value))
            refused(Mark(0, 5, 5, 0), token(K, CODE, number, value))


def test_special_values_at_even_counts_are_no_match():
    for value in (998, 999):
        for number in (2, 4, 64):
            refused(topup.START, token(K, CODE, number, value), sync=True)
            refused(Mark(0, 64, 1, 255), token(K, CODE, number, value), sync=True)


def test_special_values_only_move_forward():
    mark = Mark(0, 9, 7, 0)
    for value in (998, 999):
        for number in (1, 5, 7, 9):
            text = token(K, CODE, number, value)
            refused(mark, text, Result(USED, number, value), sync=True)
        accepted = enter(K, CODE, mark, token(K, CODE, 11, value), True)
        assert accepted == Result(ACCEPTED, 11, value)
        after = topup.accept(mark, accepted.number)
        assert after == Mark(0, 11, 11, 0)


def test_sync_is_off_unless_asked_for():
    for number in (3, 65):
        refused(topup.START, token(K, CODE, number, openpaygo.SYNC))


def test_the_reach_ends_where_it_should():
    mark = Mark(0, 10, 1, 0)
    assert enter(K, CODE, mark, token(K, CODE, 74, 5)) == Result(ACCEPTED, 74, 5)
    assert enter(K, CODE, mark, token(K, CODE, 73, 5)) == Result(ACCEPTED, 73, 5)
    for number in (75, 76, 77, 110):
        refused(mark, token(K, CODE, number, 5))
    assert enter(K, CODE, mark, token(K, CODE, 109, 999), True) == Result(ACCEPTED, 109, 999)
    refused(mark, token(K, CODE, 111, 999), sync=True)


def test_amounts_add_sets_replace_and_the_rest_moves_nothing():
    unit_ncur = 1000000000
    assert openpaygo.amount_ncur(Result(ACCEPTED, 2, 995), unit_ncur, 7) == 995 * unit_ncur
    assert openpaygo.amount_ncur(Result(ACCEPTED, 3, 5), unit_ncur, 7) == 5 * unit_ncur - 7
    assert openpaygo.amount_ncur(Result(ACCEPTED, 3, 0), unit_ncur, 7) == -7
    for value in (998, 999):
        assert openpaygo.amount_ncur(Result(ACCEPTED, 3, value), unit_ncur, 7) == 0


def test_used_and_too_old_are_told_apart_from_invalid():
    mark = Mark(0, 20, 1, 0b1)
    refused(mark, token(K, CODE, 20, 3), Result(USED, 20, 3))
    refused(mark, token(K, CODE, 4, 3), Result(TOO_OLD, 4, 3))
    assert enter(K, CODE, mark, token(K, CODE, 6, 3)) == Result(ACCEPTED, 6, 3)
    assert enter(K, CODE, mark, "123456789") == NOTHING


def test_an_add_older_than_the_last_set_is_refused():
    mark = topup.accept(topup.accept(topup.START, 4), 7)
    refused(mark, token(K, CODE, 6, 3), Result(TOO_OLD, 6, 3))
    refused(mark, token(K, CODE, 2, 3), Result(TOO_OLD, 2, 3))
    assert enter(K, CODE, mark, token(K, CODE, 8, 3)) == Result(ACCEPTED, 8, 3)


def test_of_two_counts_of_one_token_the_first_acceptable_one_stands():
    """Six digits collide by chance. The host issues no such token; its first count is credited."""
    text = token(K, CODE, 172, 892)
    assert text == token(K, CODE, 183, 892)
    mark = Mark(0, 170, 1, 1)
    assert enter(K, CODE, mark, text) == Result(ACCEPTED, 172, 892)
    mark = topup.accept(mark, 172)
    assert enter(K, CODE, mark, text) == Result(ACCEPTED, 183, 892)
    refused(topup.accept(mark, 183), text, Result(USED, 183, 892))


def test_no_count_above_the_bound_is_tried():
    """Commands may take the number far beyond it; an entry stays as short as it was."""
    beyond = token(K, CODE, 1002, 5)
    assert enter(K, CODE, Mark(0, 990, 1, 0), token(K, CODE, 1000, 5)).result == ACCEPTED
    for highest in (990, 1000, topup.NUMBER_MAX):
        mark = Mark(0, highest, 1, 0)
        walk = openpaygo.Walk(SipHash(K), CODE, mark, int(beyond))
        assert walk.step(openpaygo.NUMBER_BOUND + 1)
        assert walk.result == NOTHING


def test_every_count_is_walked_however_it_is_cut_up():
    """A match early on ends nothing, and the stride changes neither result nor work."""

    class Counting(SipHash):
        def finish(self):
            self.hashes += 1
            return super().finish()

    mark = Mark(0, 20, 1, 0)
    for text in (token(K, CODE, 6, 3), token(K, CODE, 84, 3), "123456789", token(K, CODE, 6, 996)):
        results = []
        for stride in (1, 7, 84, 85, 1000):
            siphash = Counting(K)
            siphash.hashes = 0
            walk = openpaygo.Walk(siphash, CODE, mark, int(text))
            steps = 1
            while not walk.step(stride):
                steps += 1
            assert siphash.hashes == 84
            assert steps == (85 + stride - 1) // stride
            results.append(walk.result)
        assert results.count(results[0]) == len(results)


def test_derived_keys_differ_by_point_generation_and_root():
    from protocol.cose import Mac

    keys = set()
    for root in (bytes(32), bytes(range(32))):
        for point in range(3):
            for generation in (0, 1, 10):
                keys.add(openpaygo.derived_key(Mac(root), point, generation))
    assert len(keys) == 18
    assert {len(key) for key in keys} == {16}
