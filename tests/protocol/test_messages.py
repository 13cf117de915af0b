# runs on: cpython micropython
"""Every golden message means the same on both interpreters, and every bad one is refused alike."""

from protocol import messages, tariff_book
from tests.bench.codec_vectors import Vectors, load, value_of, wrong_seals

KINDS = (1, 2, 3, 4, 5, 16, 17, 18)


def test_every_vector_holds():
    vectors = Vectors()
    assert vectors.wrong() == [], vectors.wrong()
    assert sorted({row["kind"] for row in vectors.loaded["good"]}) == list(KINDS)
    assert {row["door"] for row in vectors.loaded["bad_inside"]} == {
        "facts", "book", "settings", "host"
    }  # fmt: skip
    assert wrong_seals() == []


def test_a_wrong_vector_is_noticed():
    loaded = load("messages.json")
    loaded["good"][0]["fields"][2] += 1
    loaded["bad"][0]["reason"] += 1
    good = loaded["good"][1]
    loaded["bad"].append({"name": "good", "down": False, "sealed": good["sealed"], "reason": 1})
    named = Vectors(loaded).wrong()
    assert named == [loaded["good"][0]["name"], loaded["bad"][0]["name"], "good"]


def test_a_tariff_command_carries_the_deepest_book():
    for row in load("messages.json")["good"]:
        if row["name"] == "command: tariff":
            book = tariff_book.from_wire(value_of(row["fields"])[5][0])
            assert len(book.rates) == 2 and len(book.rates[0][1].days) == 2
            return
    raise AssertionError("no such vector")


def test_kinds_that_move_money_alone_carry_the_full_tag():
    short = [kind for kind in KINDS if messages.alg_of(kind) == 4]
    assert short == [messages.READINGS, messages.EVENTS, messages.ACK]
    assert [kind for kind in KINDS if messages.is_down(kind)] == [16, 17, 18]
