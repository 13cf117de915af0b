"""contract.cddl, the vectors and our codec against pycddl, cbor2 and Python's own HMAC."""

import functools
import hmac
import json
import re
from pathlib import Path
from typing import Any

import cbor2
import pycddl
import pytest

from protocol import messages, settings, tariff_book
from tests.peers import message_vectors

FOLDER = Path(__file__).resolve().parents[2] / "protocol"
CONTRACT = (FOLDER / "contract.cddl").read_text(encoding="utf-8")
VECTORS = json.loads(message_vectors.TARGET.read_text(encoding="utf-8"))
BY_KIND = {
    1: "readings", 2: "events", 3: "statement", 4: "result", 5: "hello",
    16: "ack", 17: "command", 18: "clock",
}  # fmt: skip


ACTIONS = {
    1: "topup", 2: "tariff", 3: "relay", 4: "adjust", 5: "config", 6: "statement",
    7: "plan", 8: "clear", 9: "meter", 10: "update", 11: "debt",
    12: "transfer", 13: "key", 14: "clock",
}  # fmt: skip
# What pycddl 0.6.4 lets pass although the contract forbids it; cddl-verifier 1.5.3 refuses all.
BLIND = (
    "a list", "hello: firmware is bytes", "head is a text", "item: energy too high",
    "unknown setting", "event lost none", "event lost fewer than none",
)  # fmt: skip


@functools.cache
def schema(rule: str) -> pycddl.Schema:
    return pycddl.Schema(f"start = {rule}\n{CONTRACT}")


def rule_of(payload: bytes) -> str:
    """The rule of a payload's own kind: pycddl confuses the alternatives of a choice of maps."""
    fields = cbor2.loads(payload)
    kind = fields.get(0) if isinstance(fields, dict) else None
    if kind == messages.COMMAND:
        return ACTIONS[fields[3]] + "_command"
    return BY_KIND.get(kind, "payload")


def fits(rule: str, data: bytes) -> bool:
    try:
        schema(rule).validate_cbor(data)
    except (pycddl.ValidationError, ValueError):
        return False
    return True


def rows(group: str) -> list[Any]:
    return [pytest.param(row, id=row["name"]) for row in VECTORS[group]]


def test_making_the_vectors_again_gives_the_same_bytes() -> None:
    told = "the wire changed: see README, evolution; then python -m tests.peers.message_vectors"
    assert message_vectors.text() == message_vectors.TARGET.read_text(encoding="utf-8"), told


@pytest.mark.parametrize("row", rows("good"))
def test_a_good_message_fits_the_contract(row: dict[str, Any]) -> None:
    payload = bytes.fromhex(row["payload"])
    assert fits(rule_of(payload), payload)
    others = [kind for kind in BY_KIND if kind not in (row["kind"], messages.COMMAND)]
    assert not any(fits(BY_KIND[kind], payload) for kind in others)
    assert fits("sealed", bytes.fromhex(row["sealed"]))


@pytest.mark.parametrize("row", rows("bad") + rows("bad_inside"))
def test_a_bad_shape_does_not_fit_the_contract(row: dict[str, Any]) -> None:
    if not row.get("shape", True) or "payload" not in row:
        return  # it is the encoding or the seal that is wrong
    payload = bytes.fromhex(row["payload"])
    assert fits(rule_of(payload), payload) == (row["name"] in BLIND)


@pytest.mark.parametrize("row", rows("good"))
def test_cbor2_and_hmac_make_the_same_bytes(row: dict[str, Any]) -> None:
    sealed = cbor2.loads(bytes.fromhex(row["sealed"]))
    protected, unprotected, payload, tag = sealed
    assert unprotected == {}
    assert payload.hex() == row["payload"]
    assert cbor2.dumps(cbor2.loads(payload), canonical=True) == payload
    direction = b"gridpurse/1 down" if row["down"] else b"gridpurse/1 up"
    key = hmac.digest(message_vectors.ROOT_KEY, direction, "sha256")
    covered = cbor2.dumps(["MAC0", protected, b"", payload], canonical=True)
    assert hmac.digest(key, covered, "sha256")[: len(tag)] == tag
    assert len(tag) == {4: 8, 5: 32}[cbor2.loads(protected)[1]]


def field_names(rule: str) -> list[str]:
    """Words of the comments of one rule's numbered fields, in order."""
    body = CONTRACT.split(f"\n{rule} = {{")[1].split("\n}")[0]
    return re.findall(r"^  (?:\? )?\d+: .*?; (\w+)", body, re.M)


def test_the_contract_names_every_setting() -> None:
    named = field_names("settings")
    assert named == [name for name in settings.Module._fields if name != "points"]
    body = CONTRACT.split("\npoint_settings = {")[1].split("\n}")[0]
    assert len(re.findall(r"^  (?:\? )?\d+: ", body, re.M)) == len(settings.Point._fields)


def test_the_contract_numbers_every_field_of_every_kind() -> None:
    tables = {messages.kind_of(message): message for message in message_vectors.GOOD.values()}
    for kind, rule in BY_KIND.items():
        text = "topup_command" if rule == "command" else rule
        body = CONTRACT.split(f"\n{text} = {{")[1].split("\n}")[0]
        body = re.sub(r";.*|\[.*?\]", "", body)
        numbers = [int(number) for number in re.findall(r"\b(\d+): ", body)]
        assert numbers == list(range(len(tables[kind]) + 1)), rule
    assert {type(message) for message in tables.values()} == set(messages.TYPES.values())


def test_the_bounds_of_a_book_are_those_of_the_code() -> None:
    for rule in (
        f"dated_rates = [1*{tariff_book.DATED_MAX} rates_from]",
        f"prices: [1*{tariff_book.TIERS_MAX} row]",
        f"row = [1*{tariff_book.RATES_MAX} ucur]",
        f"slots = [1*{tariff_book.SLOTS_MAX} slot]",
        f"special: [0*{tariff_book.SPECIAL_MAX} special_day]",
        f"ucur = 0..{tariff_book.PRICE_UCUR_PER_KWH_MAX}",
    ):
        assert rule in CONTRACT, rule
