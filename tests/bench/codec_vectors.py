"""Counts golden vectors that do not mean what they must, here and on the other interpreter.

MicroPython runs `main`; CPython adds both counts up in proof_chain.
"""

import json
from binascii import unhexlify

from protocol import cose, facts, messages, settings, tariff_book
from protocol.units import BAD_FIELD, Malformed

ROOT = __file__.rsplit("/", 3)[0]
DOORS = {
    "facts": lambda message: facts.of_items(0, message.version, message.items),
    "book": lambda message: tariff_book.from_wire(message.args[0]),
    "settings": lambda message: settings.module_from_wire(message.args[0]),
}


def load(name):
    with open(ROOT + "/protocol/vectors/" + name) as file:
        return json.load(file)


def value_of(plain):
    """The value behind its JSON form: {"hex": ...} is bytes, {"map": [...]} a map."""
    if isinstance(plain, list):
        return [value_of(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if "hex" in plain:
        return unhexlify(plain["hex"])
    return {key: value_of(item) for key, item in plain["map"]}


class Vectors:
    """messages.json and the keys that open it."""

    def __init__(self, loaded=None):
        self.loaded = loaded or load("messages.json")
        root_key = unhexlify(self.loaded["root_key"])
        self.macs = {
            False: cose.Mac(cose.derive(root_key, cose.UP)),
            True: cose.Mac(cose.derive(root_key, cose.DOWN)),
        }

    def unseal(self, row):
        down = row["down"]
        return messages.unseal(unhexlify(row["sealed"]), self.macs[down], down)

    def good(self, row):
        """Decodes to the expected fields, and packs to the same bytes again."""
        message = self.unseal(row)
        again = messages.seal(message, self.macs[row["down"]]) == unhexlify(row["sealed"])
        same = messages.kind_of(message) == row["kind"]
        return same and list(message) == value_of(row["fields"]) and again != ("ignores" in row)

    def bad(self, row):
        """Refused for the stated reason."""
        try:
            self.unseal(row)
        except Malformed as error:
            return error.reason == row["reason"]
        return False

    def bad_inside(self, row):
        """Unseals, and is refused at its door; the host's own screening guards `host`."""
        message = self.unseal(row)
        if row["door"] == "host":
            return True
        try:
            DOORS[row["door"]](message)
        except Malformed as error:
            return error.reason == BAD_FIELD
        return False

    def wrong(self):
        """Names of the vectors that do not hold."""
        out = []
        for group in ("good", "bad", "bad_inside"):
            check = getattr(self, group)
            out += [row["name"] for row in self.loaded[group] if not check(row)]
        return out


def wrong_seals():
    """Places of pycose's seals that ours differ from."""
    out = []
    for place, row in enumerate(load("cose.json")):
        mac = cose.Mac(unhexlify(row["key"]))
        sealed = cose.seal(row["alg"], unhexlify(row["payload"]), mac)
        if sealed != unhexlify(row["sealed"]):
            out.append(place)
    return out


def main():
    print(len(Vectors().wrong()) + len(wrong_seals()))
