# runs on: cpython micropython
"""Tariff books on the wire: what goes in comes out, and each bad field is refused by its name."""

from protocol import cbor, tariff_book
from protocol.units import BAD_FIELD, MESSAGE_BYTES_MAX, Malformed
from tests.bench.mutations import Dice
from tests.protocol import books
from tests.protocol.test_tariff import random_book


def wire():
    """A book with something in every list."""
    return tariff_book.to_wire(random_book(Dice(3)))


def changed(path, value):
    """wire() with the item at a path of indices replaced."""
    root = wire()
    inner = root
    indices = [int(index) for index in path.split()]
    for index in indices[:-1]:
        inner = inner[index]
    inner[indices[-1]] = value
    return root


RATES = "3 0 1 "
LADDER = "4 0 1 "
MANY = [[0, 0]] * 65
# Path to a field, values that it must not have, and the word by which it is refused.
BAD = (
    ("0", (0, 1 << 32, -1, "1", None, True), "version"),
    ("1", ("CN", "CNYX", 1, b"CNY"), "currency"),
    ("2", ([], MANY, None, 5, {}), "zone"),
    ("2 0", ([0], [0, 0, 0], 0, [-1, 0], [0, 50401], [0, "0"], [True, 0]), "zone"),
    ("2 1", ([0, 0],), "zone ascends"),
    ("3", ([], None, [[0, 0]] * 3), "rates"),
    ("3 0", ([0], 7, [-1, None], [(1 << 40) + 1, None]), "rates"),
    ("3 1 0", (0,), "rates"),
    ("3 0 1", ([], [1] * 5, [1] * 7, None), "rates"),
    (RATES + "0", ([], [[1]] * 7, 5), "prices"),
    (RATES + "0 0", ([], [1] * 9, 5), "price"),
    (RATES + "0 1", ([1, 2],), "prices"),
    (RATES + "0 0 0", (-1, 10**12 + 1, "1", None, True), "price"),
    (RATES + "1", (-1, (1 << 56) + 1, None), "fixed"),
    (RATES + "2", ([], [[101, 0]] * 9, None), "seasons"),
    (RATES + "2 0", ([100, 0], [1232, 0], [101, 2], [101]), "seasons"),
    (RATES + "2 1", ([101, 0],), "seasons ascends"),
    (RATES + "3", ([0] * 6, [0] * 8, None), "week"),
    (RATES + "3 6", (2, -1, None), "week"),
    (RATES + "4", (MANY, None), "special"),
    (RATES + "4 0", ([-1, 0], [(1 << 24) + 1, 0], [0, 2], [0]), "special"),
    (RATES + "5", ([], [1] * 9, None), "days"),
    (RATES + "5 0", ([], [1] * 9, None), "day types"),
    (RATES + "5 1", ([[[0, 0]]],), "day types"),
    (RATES + "5 0 0", ([], [[0, 0]] * 17, None), "slots"),
    (RATES + "5 0 0 0", ([1, 0],), "slots start at 0"),
    (RATES + "5 0 0 1", ([0, 0],), "slots ascends"),
    (RATES + "5 0 0 0", ([0, 3], [0, -1], [0], 5), "slots"),
    ("4", ([], None), "ladders"),
    (LADDER + "0", (0, 6, None), "period"),
    (LADDER + "1", (0, 4001, None), "period length"),
    (LADDER + "2", ([1] * 6, None), "thresholds"),
    (LADDER + "2 0", (0, -1, (1 << 50) + 1, None), "threshold"),
    (LADDER + "2 1", (1,), "threshold"),
    (LADDER + "3", ([0], [0] * 4, None), "adders"),
    (LADDER + "3 0", (-1, 10**12 + 1, None), "adder"),
)


def refusal(value):
    try:
        tariff_book.from_wire(value)
    except Malformed as error:
        assert error.reason == BAD_FIELD
        return error.detail
    raise AssertionError(value)


def test_a_book_comes_back_as_it_went():
    for seed in range(30):
        book = random_book(Dice(seed))
        data = cbor.encode(tariff_book.to_wire(book))
        assert len(data) < MESSAGE_BYTES_MAX
        assert tariff_book.from_wire(cbor.decode(data)) == book


def test_every_bad_field_is_refused_by_its_name():
    for path, values, name in BAD:
        for value in values:
            said = refusal(changed(path, value))
            assert said.startswith("tariff " + name), (path, value, said)


def test_every_missing_or_surplus_item_is_refused():
    for inner in (lambda root: root, lambda root: root[3][0][1], lambda root: root[4][0][1]):
        for place in range(len(inner(wire()))):
            root = wire()
            del inner(root)[place]
            refusal(root)
        root = wire()
        inner(root).append(0)
        refusal(root)


def test_what_is_no_book_is_refused():
    for value in (None, 0, "book", b"", {}, [], [1] * 4, [1] * 6):
        assert refusal(value) == "tariff book"


def test_a_billing_day_exists_in_every_month():
    root = changed(LADDER + "0", 5)
    root[4][0][1][1] = 29
    assert refusal(root) == "tariff period length"
    root[4][0][1][1] = 28
    tariff_book.from_wire(root)


def test_golden_tariffs_are_books():
    for book in (books.beijing(), books.zhejiang(True), books.shanghai()):
        assert tariff_book.from_wire(tariff_book.to_wire(book)) == book
