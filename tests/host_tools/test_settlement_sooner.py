"""What the host finds sooner is what protocol/ finds: seals, batches, prices, entries, states."""

import random

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools.keys import PreparedMac
from host_tools.settlement import chaining, pricing, screening, seals
from protocol import cbor, cose, facts, ledger, messages
from protocol.messages import Ack, Readings
from protocol.units import SYNCHRONISED, Malformed
from tests.host_tools.desk import BOOK, NOW_S, TOU_BOOK
from tests.host_tools.genuine import START_S, PointLedger

KEY = bytes(range(32))
ROUNDS = 4000
EDGES = (0, 1, 23, 24, 255, 256, 65535, 65536, (1 << 32) - 1, 1 << 32, 1 << 50, (1 << 50) + 1)


def told(enter, *what: object) -> object:
    """What a door says: the message, or the reason and detail of its refusal."""
    try:
        return enter(*what)
    except Malformed as refusal:
        return refusal.reason, refusal.detail


def unsealed(data: bytes, mac: PreparedMac) -> object:
    return messages.unseal(data, cose.Mac(KEY), False)


def batches(chance: random.Random) -> Readings:
    items = [chance.choice(EDGES) for _ in range(chance.choice((1, 1, 2, 8, 23, 24, 40)))]
    if chance.randrange(4) == 0:
        items[0] = [1, 900, 0, 250]
    point, epoch = chance.choice((0, 0, 1, 3, 7)), chance.choice((1, 1, 1, 0, 2, 23, 24, 70000))
    first_seq = chance.choice(EDGES[1:9])
    return Readings(point, epoch, first_seq, chance.choice(EDGES[:9]), items, chance.randbytes(16))


def test_a_seal_opens_to_the_same_message_or_the_same_refusal() -> None:
    chance, mac = random.Random(1), PreparedMac(KEY)
    plain = 0
    for _ in range(ROUNDS):
        payload = bytearray(messages.pack(batches(chance)))
        for _ in range(chance.choice((0, 0, 1, 1, 2))):  # damage inside a genuine seal
            kind, at = chance.randrange(3), chance.randrange(len(payload))
            if kind == 0:
                payload[at] = chance.randrange(256)
            elif kind == 1:
                del payload[at]
            else:
                payload.insert(at, chance.choice((0x00, 0x18, 0x19, 0xFB, 0xF5, 0xC2)))
        data = bytearray(cose.seal(cose.HMAC_256_64, bytes(payload), mac))
        if chance.randrange(5) == 0:  # and outside of it
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        if chance.randrange(20) == 0:
            del data[chance.randrange(len(data)) :]
        mine, theirs = told(seals.opened, bytes(data), mac), told(unsealed, bytes(data), mac)
        assert mine == theirs and type(mine) is type(theirs), data.hex()
        plain += isinstance(mine, Readings)
    assert plain > ROUNDS // 4


def test_every_single_damage_of_a_batch_is_judged_the_same() -> None:
    mac = PreparedMac(KEY)
    plain = Readings(0, 1, 300, 7, [250, 24, 70000], bytes(16))
    other = Readings(3, 2, 300, 7, [[1, 900, 0, 250], 24, [3, -7, 1, 2, 1, 1 << 33]], bytes(16))
    for payload in map(messages.pack, (plain, other)):
        for at in range(len(payload)):
            for value in range(256):
                changed = payload[:at] + bytes((value,)) + payload[at + 1 :]
                data = cose.seal(cose.HMAC_256_64, changed, mac)
                mine, theirs = told(seals.opened, data, mac), told(unsealed, data, mac)
                assert mine == theirs, data.hex()


def test_what_cbor2_would_take_but_the_contract_forbids_is_refused_the_same() -> None:
    mac, head = PreparedMac(KEY), bytes(16)
    rest = {5: [[1, 900, 0, 250]], 6: head}
    texts = (
        {0: 1, 3: 300, 4: 7, **rest},
        {0: True, 3: 300, 4: 7, **rest},
        {0: 1, 3: 300, 4: 7, 5: [[1, 900, 0, True]], 6: head},
        {0: 1, 3: 300, 4: 7, 5: [[1, 900, 0, 2.0]], 6: head},
        {0: 1, 3: 300, 4: 7, 5: [[1, 900, 0, 1 << 64]], 6: head},
        {0: 1, 3: 300, 4: 7, 5: [[1, 900, 0, -(1 << 64)]], 6: head},
        {0: 1, 3: 300, 4: 7, 5: [[1, 900, 0, -(1 << 64) - 1]], 6: head},
        {0: 1, 3: 300, 4: 7, 5: [[1, [900], 0, 1]], 6: head},
        {0: 1, 3: 300, 4: 7, 5: [], 6: head},
        {0: 1, 3: 300, 4: 7, 5: [[]], 6: head},
        {0: 1, 3: 300, 4: 7, 5: [[1, 900, 0, 250]], 6: head[1:]},
        {0: 1, 3: 300, 4: 7, 5: [[1, 900, 0, 250]], 6: "0" * 16},
        {0: 1, 3.0: 300, 4: 7, **rest},
        {0: 1, True: 1, 3: 300, 4: 7, **rest},
        {0: 1, 1: 0, 3: 300, 4: 7, **rest},
        {0: 1, 1: 8, 3: 300, 4: 7, **rest},
        {0: 1, 2: 1, 3: 300, 4: 7, **rest},
        {0: 1, 2: 0, 3: 300, 4: 7, **rest},
        {0: 1, 2: 1 << 32, 3: 300, 4: 7, **rest},
        {0: 1, 3: 0, 4: 7, **rest},
        {0: 1, 4: 7, 3: 300, **rest},
    )
    payloads = [cbor2.dumps(text) for text in texts]
    payloads += [payloads[0] + b"\x00", payloads[0][:-1], b"\xbf" + payloads[0][1:] + b"\xff"]
    payloads += [
        payloads[0][:12] + b"\xd8\x23" + payloads[0][12:],
        b"\xa5\x00\x01" + b"\x81" * 900,
    ]
    for payload in payloads:
        data = cose.seal(cose.HMAC_256_64, payload, mac)
        mine, theirs = told(seals.opened, data, mac), told(unsealed, data, mac)
        assert mine == theirs and type(mine) is type(theirs), payload.hex()


def test_an_acknowledgement_has_the_same_bytes() -> None:
    chance, mac = random.Random(2), PreparedMac(KEY)
    for _ in range(ROUNDS):
        streams = sorted(chance.sample(range(9), chance.randrange(1, 10)))
        ack = Ack(chance.choice((0, 1, 2, 70000)), {n: chance.choice(EDGES[:9]) for n in streams})
        assert seals.sealed_ack(ack, mac) == messages.seal(ack, cose.Mac(KEY))


def test_a_prepared_mac_gives_the_same_tags() -> None:
    for key in (b"", bytes(64), bytes(65), KEY):
        assert PreparedMac(key).digest(b"a", b"bc") == cose.Mac(key).digest(b"a", b"bc")


def test_charges_have_the_same_price_tier_and_head() -> None:
    chance = random.Random(3)
    for book in (BOOK, TOU_BOOK):
        prices = pricing.Prices()
        for _ in range(30):
            made = PointLedger("m1", 0, book)
            made.open(START_S + chance.randrange(400 * 86400))
            state = made.state
            for _ in range(120):
                far = chance.choice((0, 60, 900, 900, 3600, 86400, 40 * 86400, 100 * 86400))
                energy_wh = chance.choice((0, 1, 250, 5000, 400000, 3000000))
                where = (state.time_s + far, 0, energy_wh, book.version, 0, 0, 0, 0)
                fact = facts.Fact(ledger.CHARGE, *where)
                entry = facts.rebuild(state, book, fact)
                assert prices.charge(book, state, fact) == entry
                after = ledger.apply(state, entry)
                assert pricing.apply(state, entry) == after
                state = after


def test_plain_items_become_the_same_facts() -> None:
    chance = random.Random(4)
    for _ in range(ROUNDS):
        batch = batches(chance)
        base_s = START_S + chance.randrange(2000)
        mine = told(screening.facts_of, batch, base_s, NOW_S)
        if isinstance(mine, list):
            assert mine == facts.of_items(base_s, batch.version, batch.items)
        else:
            assert mine == told(facts.of_items, base_s, batch.version, batch.items)


def test_an_entry_is_encoded_as_the_module_encodes_it() -> None:
    entry = ledger.Entry(*range(1, 13), -(1 << 62))
    assert cbor2.dumps(entry) == cbor.encode(list(entry))


# Around every width of CBOR, and beyond the last one, which only ever leads to another head.
WIDTHS = sorted({0, *((1 << bits) + by for bits in (*range(3, 68), 120) for by in (-1, 0, 1))})
WIDTHS += [23, 24]
USUAL = ledger.Entry(
    700, ledger.CHARGE, START_S, SYNCHRONISED, 90000, 250, 7, 202601, 70000, -122075000, 0, 0,
    9 << 32,
)  # fmt: skip


def chained(entry: ledger.Entry) -> bytes:
    when = chaining.timed(entry.time_s)
    how = chaining.rated(entry.version, entry.period)
    metered = entry.register_wh, entry.energy_wh, how, entry.used_wh
    charge = -entry.amount_ncur, entry.balance_ncur
    return chaining.charged(bytes(16), entry.seq, when, *metered, *charge)


@pytest.mark.parametrize(
    "name", ["seq", "register_wh", "energy_wh", "used_wh", "amount_ncur", "balance_ncur"]
)
@pytest.mark.parametrize("balance_ncur", [USUAL.balance_ncur, -USUAL.balance_ncur, 5])
def test_a_charge_is_chained_as_its_entry_is(name: str, balance_ncur: int) -> None:
    for number in WIDTHS:
        for value in (-number,) if name == "amount_ncur" else (number, -number):
            if value < 0 and name not in ("amount_ncur", "balance_ncur"):
                continue
            entry = USUAL._replace(**{"balance_ncur": balance_ncur} | {name: value})
            assert chained(entry) == bytes(16) + cbor2.dumps(entry)
            if -1 << 64 <= value < 1 << 64:
                assert chained(entry) == bytes(16) + cbor.encode(list(entry))


@given(st.lists(st.integers(0, (1 << 70) - 1), min_size=9, max_size=9), st.booleans())
def test_any_charge_is_chained_as_its_entry_is(numbers: list[int], paid: bool) -> None:
    seq, time_s, *metered, charge_ncur, balance_ncur = numbers
    amounts = -charge_ncur, 0, 0, balance_ncur if paid else -balance_ncur
    entry = ledger.Entry(seq, ledger.CHARGE, time_s, SYNCHRONISED, *metered, *amounts)
    assert chained(entry) == bytes(16) + cbor2.dumps(entry)
