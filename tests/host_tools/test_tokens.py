"""Issuing: the digits of a booked top-up, always the same ones, and none that would not work."""

import hashlib
import hmac
import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools import Refused, tokens
from host_tools.store.records import TopUp
from host_tools.tokens import TokenKey, VoucherKey
from protocol import openpaygo, topup, voucher
from protocol.cose import Mac
from protocol.lockout import ACCEPTED
from protocol.siphash import SipHash
from protocol.topup import START, Mark
from protocol.units import NCUR_PER_CUR
from tests.protocol import openpaygo_issuer
from tests.protocol.test_voucher import GOLDEN

VECTORS = Path(__file__).resolve().parents[2] / "protocol" / "vectors" / "openpaygo.json"
ROOT_KEY = bytes(range(32))
MODULE = "meter-0042"
KEY = TokenKey.derived(ROOT_KEY, 0, 0, NCUR_PER_CUR)
VOUCHERS = VoucherKey.derived(ROOT_KEY, MODULE, 0)

CODES = st.integers(0, openpaygo.CODE_MAX)
KEYS = st.binary(min_size=16, max_size=16)


def paid(number: int, amount_ncur: int = 20 * NCUR_PER_CUR, generation: int = 0) -> TopUp:
    return TopUp(1, generation, number, f"p-{number}", amount_ncur, 0, "in flight", None)


def typed(key: TokenKey, text: str, mark: Mark) -> openpaygo.Result:
    walk = openpaygo.Walk(key.siphash, key.starting_code, mark, openpaygo.parse(text))
    assert walk.step(100000)
    return walk.result


def hmac_voucher(key: bytes, module: str, point: int, fields: tuple[int, int, int, int]) -> str:
    """openpaygo.md section 11 with the standard library's hmac."""
    generation, number, scale, value = fields
    message = b"gridpurse/1 voucher " + f"{module} {point} ".encode()
    message += struct.pack(">IIBH", generation, number, scale, value)
    tag = hmac.new(key, message, hashlib.sha256).digest()[:4]
    bits = (number % 1024) << 47 | scale << 45 | value << 32 | int.from_bytes(tag, "big")
    total = 0
    for place, digit in enumerate(reversed(f"{bits:019d}")):
        total += sum(divmod(int(digit) * (2 - place % 2), 10))
    return f"{bits:019d}{-total % 10}"


def test_the_encoder_agrees_with_the_package() -> None:
    vectors = json.loads(VECTORS.read_text())["tokens"]
    assert len(vectors) > 60
    for vector in vectors:
        siphash = SipHash(bytes.fromhex(vector["key"]))
        made = tokens.encode(siphash, vector["starting_code"], vector["count"], vector["value"])
        assert tokens.nine(made) == vector["token"]
        assert tokens.four_key(made) == vector["four_key"]


def test_the_default_starting_code_is_used_and_zero_is_a_given_one() -> None:
    key = bytes.fromhex("bc41ec9530f6dac86b1a29ab82edc5fb")
    assert TokenKey.of(key, 0, 1).starting_code == 901467777
    assert TokenKey.of(key, 0, 1, starting_code=0).starting_code == 0


@settings(max_examples=60)
@given(KEYS, CODES, st.integers(1, 60), st.integers(0, 995))
def test_what_is_encoded_is_decoded(key: bytes, code: int, number: int, value: int) -> None:
    made = tokens.encode(SipHash(key), code, number, value)
    assert tokens.nine(made) == openpaygo_issuer.token(key, code, number, value)
    for text in (tokens.nine(made), tokens.four_key(made)):
        result = typed(TokenKey.of(key, 0, 1, code), text, START)
        if number == 1:
            assert result.result != ACCEPTED
        elif result.number == number:  # a collision of six digits at a lower count is possible
            assert result == openpaygo.Result(ACCEPTED, number, value)


@given(CODES)
def test_both_alphabets_mean_the_same(code: int) -> None:
    assert openpaygo.parse(tokens.four_key(code)) == code == openpaygo.parse(tokens.nine(code))


def test_a_top_up_is_one_token_however_often_it_is_issued() -> None:
    given_one = paid(2)
    text = tokens.token(KEY, given_one, START)
    assert tokens.token(KEY, given_one, START) == text
    credited = replace(given_one, state="credited", credited_seq=9)
    assert tokens.token(KEY, credited, topup.accept(START, 2)) == text
    assert tokens.token(KEY, credited, Mark(0, 60, 1, 1)) == text
    again = TokenKey.derived(ROOT_KEY, 0, 0, NCUR_PER_CUR)
    assert tokens.token(again, given_one, START) == text
    four = tokens.token(KEY, given_one, START, four_keys=True)
    assert openpaygo.parse(four) == openpaygo.parse(text)


def test_the_module_credits_what_was_paid() -> None:
    mark = START
    for number, amount in ((2, 1), (4, 995), (6, 20)):
        text = tokens.token(KEY, paid(number, amount * NCUR_PER_CUR), mark)
        result = typed(KEY, text, mark)
        assert result == openpaygo.Result(ACCEPTED, number, amount)
        assert openpaygo.amount_ncur(result, KEY.unit_ncur, 0) == amount * NCUR_PER_CUR
        mark = topup.accept(mark, number)


def test_a_token_holds_whole_units_up_to_995() -> None:
    for amount_ncur in (
        0,
        -NCUR_PER_CUR,
        -5 * NCUR_PER_CUR,
        1,
        NCUR_PER_CUR + 1,
        996 * NCUR_PER_CUR,
        998 * NCUR_PER_CUR,
    ):
        with pytest.raises(Refused, match="use a voucher"):
            tokens.token(KEY, paid(2, amount_ncur), START)


def test_the_encoder_takes_no_value_or_count_outside_the_layout() -> None:
    for value in (-5, -1, 996, 997, 1000):
        with pytest.raises(ValueError, match="value"):
            tokens.encode(KEY.siphash, KEY.starting_code, 3, value)
    for value in (998, 999):
        assert tokens.encode(KEY.siphash, KEY.starting_code, 3, value)
        with pytest.raises(ValueError, match="even"):
            tokens.encode(KEY.siphash, KEY.starting_code, 4, value)
    for number in (-1, 0, openpaygo.NUMBER_BOUND + 1):
        with pytest.raises(ValueError, match="count"):
            tokens.encode(KEY.siphash, KEY.starting_code, number, 5)


def test_the_count_bound_is_refused_and_announced() -> None:
    mark = Mark(0, 996, 1, 0)
    assert tokens.token(KEY, paid(1000), mark)
    with pytest.raises(Refused, match="rotate"):
        tokens.token(KEY, paid(1002), mark)
    assert [tokens.near_bound(paid(number)) for number in (898, 900, 1002)] == [False, True, True]


def test_nothing_is_issued_that_the_module_would_not_take() -> None:
    with pytest.raises(Refused, match="looks no further"):
        tokens.token(KEY, paid(66), START)
    assert tokens.token(KEY, paid(64), START)
    with pytest.raises(Refused, match="too old"):
        tokens.token(KEY, paid(4), Mark(0, 20, 1, 1))
    for number in (3, 0, -2):
        with pytest.raises(Refused, match="even"):
            tokens.token(KEY, paid(number), START)
        with pytest.raises(Refused, match="even"):
            tokens.voucher_text(VOUCHERS, paid(number), START)
    with pytest.raises(Refused, match="replaced"):
        tokens.token(KEY, paid(2), topup.rotate(START))
    with pytest.raises(Refused, match="replaced"):
        tokens.token(KEY, paid(2, generation=1), topup.rotate(START))
    with pytest.raises(Refused, match="replaced"):
        tokens.voucher_text(VOUCHERS, paid(2), topup.rotate(START))


def test_no_token_shuts_out_an_older_payment() -> None:
    assert tokens.token(KEY, paid(16), START, oldest_owed=2)
    for issue in (
        lambda: tokens.token(KEY, paid(18), START, oldest_owed=2),
        lambda: tokens.voucher_text(VOUCHERS, paid(18), START, oldest_owed=2),
    ):
        with pytest.raises(Refused, match="top-up 2 must be entered before"):
            issue()
    mark = topup.accept(START, 16)
    assert topup.check(mark, 2) == topup.FRESH
    assert topup.check(topup.accept(START, 18), 2) == topup.TOO_OLD


def test_a_token_of_two_counts_is_not_issued() -> None:
    """Typed again after its own count was used, it would be credited at the other one."""
    key, number, value, other = KEY, 770, 1, 899
    assert tokens.counts_of(
        key.siphash,
        key.starting_code,
        tokens.encode(key.siphash, key.starting_code, number, value),
    ) == sorted([number, other])
    mark = Mark(0, number - 2, 1, 255)
    with pytest.raises(Refused, match="by chance"):
        tokens.token(key, paid(number, value * NCUR_PER_CUR), mark)
    assert tokens.voucher_text(VOUCHERS, paid(number, value * NCUR_PER_CUR), mark)


def test_a_bad_unit_or_starting_code_is_refused() -> None:
    for unit_ncur, code in ((0, 5), (-1, 5), (1, -1), (1, 1000000000)):
        with pytest.raises(Refused):
            TokenKey.of(bytes(16), 0, unit_ncur, code)


def test_keys_are_not_shown() -> None:
    for key in (KEY, VOUCHERS):
        shown = repr(key)
        assert "siphash" not in shown and "mac" not in shown
        assert str(getattr(key, "starting_code", "absent")) not in shown


def test_golden_vouchers_follow_from_the_standard_librarys_hmac() -> None:
    key = VoucherKey(Mac(bytes(range(32))), MODULE, 3)
    for generation, number, scale, value, text in GOLDEN:
        fields = (generation, number, scale, value)
        assert hmac_voucher(bytes(range(32)), MODULE, 3, fields) == text
        assert tokens.encode_voucher(key, *fields) == text


def test_a_voucher_takes_the_finest_scale_that_is_exact() -> None:
    cent_ncur = NCUR_PER_CUR // 100
    for amount_ncur, expected in (
        (cent_ncur, (0, 1)),
        (8191 * cent_ncur, (0, 8191)),
        (8200 * cent_ncur, (1, 820)),
        (8191 * 10 * cent_ncur, (1, 8191)),
        (8191 * NCUR_PER_CUR, (2, 8191)),
        (81910 * NCUR_PER_CUR, (3, 8191)),
    ):
        assert tokens.voucher_scale(amount_ncur) == expected
    for amount_ncur in (
        0,
        -cent_ncur,
        1,
        cent_ncur + 1,
        8192 * cent_ncur + cent_ncur,
        81920 * NCUR_PER_CUR,
    ):
        with pytest.raises(Refused, match="split"):
            tokens.voucher_scale(amount_ncur)


@settings(max_examples=200)
@given(
    st.binary(min_size=16, max_size=40),
    st.integers(1, 65000),
    st.integers(-8, 500),
    st.integers(0, 3),
    st.integers(1, 8191),
)
def test_what_is_issued_as_a_voucher_is_credited(
    root_key: bytes, highest: int, ahead: int, scale: int, value: int
) -> None:
    number = max(2, (highest & ~1) + 2 * ahead)
    number = number if number > highest - topup.WINDOW else number + topup.WINDOW
    mark = Mark(0, highest, 1, 0)
    amount_ncur = value * voucher.SCALES_NCUR[scale]
    key = VoucherKey.derived(root_key, MODULE, 5)
    if number > topup.NUMBER_MAX:
        return
    if number - highest > voucher.NUMBERS - topup.WINDOW:
        return
    text = tokens.voucher_text(key, paid(number, amount_ncur), mark)
    assert text == tokens.voucher_text(key, paid(number, amount_ncur), mark)
    assert len(text) == 20
    mac = Mac(voucher.derived_key(Mac(root_key), 5))
    fields = voucher.parse(text)
    assert fields is not None
    result = voucher.check(mac, MODULE, 5, mark, fields)
    assert result == voucher.Result(ACCEPTED, number, amount_ncur)


def test_vouchers_too_far_ahead_are_refused() -> None:
    mark = Mark(0, 100, 1, 0)
    assert tokens.voucher_text(VOUCHERS, paid(1108), mark)
    with pytest.raises(Refused, match="too far ahead"):
        tokens.voucher_text(VOUCHERS, paid(1110), mark)


def test_the_voucher_encoder_takes_nothing_outside_its_fields() -> None:
    for number, scale, value in (
        (3, 0, 1),
        (0, 0, 1),
        (65536, 0, 1),
        (2, 4, 1),
        (2, -1, 1),
        (2, 0, 8192),
        (2, 0, -1),
    ):
        with pytest.raises(ValueError, match=r"number|scale"):
            tokens.encode_voucher(VOUCHERS, 0, number, scale, value)
