"""`gridpurse module rotate`: another root key for a module, over the air or at its console.

Over the air the key itself never travels: both sides work it out of the present key and a salt
(protocol/rekey.py). The host goes on with the key it has until a message comes in under the new
one; then, and only then, its key file is replaced. Until that moment both keys are at hand, so
nothing is lost wherever either side is killed. A key that may be known to others is replaced at
the console, by one that follows from nothing.
"""

import argparse
import json
import os

from host_tools import Refused
from host_tools.care import console, rekeying
from host_tools.care.people import Person, add_person, changing, person_of
from host_tools.keys import KEY_BYTES, KEYS_FOLDER, KeyFiles, Keys, RootKey
from host_tools.ordering.kinds import module_of
from host_tools.settlement import commands
from host_tools.settlement.common import settings_of
from host_tools.store import care
from host_tools.store.care import Rotation
from host_tools.store.database import Store, opened
from protocol import codes, rekey
from protocol.units import DAY_S, MODULE_TARGET

LIFE_S = 30 * DAY_S
WAITS, IN_USE = "waits for the module", "in use"
STATES_ZH = {WAITS: "等待模块启用", IN_USE: "已启用"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("module")
    parser.add_argument("--port", help="serial port of its console: a new random key, at once")
    parser.add_argument(
        "--tokens-lapse", action="store_true", help="tokens that nobody has typed yet may lapse"
    )
    add_person(parser)


def run(arguments: argparse.Namespace) -> int:
    settings, person = settings_of(arguments), person_of(arguments)
    keys = KeyFiles(settings.data_dir / KEYS_FOLDER)
    now_s = settings.clock().now_s()
    with opened(settings.store(), create=False) as store:
        name = arguments.module
        _tokens(store, name, arguments.tokens_lapse)
        if arguments.port is None:
            with changing(store):
                state = order(store, keys, name, person, now_s)
        else:
            state = at_console(store, keys, name, arguments.port)
    told = {"module": name, "state": state}
    line = f"{name}: new key 新密钥 {state} {STATES_ZH[state]}"
    print(json.dumps(told, ensure_ascii=False) if arguments.json else line)
    return 0


def order(store: Store, keys: Keys, name: str, person: Person, now_s: int) -> str:
    """Begins a rotation, or finds out how far the one under way is; within a transaction."""
    key = _key(store, keys, name)
    known = care.of(store)
    row = known.rotation(name)
    if row is not None and now_s - row.began_s < LIFE_S and rekeying.waits(row, key):
        sent = store.payments.command(name, row.command_id)
        if sent is None or sent.state not in ("queued", "sent", "done"):
            known.sent_again(row, _issue(store, row, now_s))
        return WAITS
    if (
        row is not None
        and now_s - row.began_s < DAY_S
        and rekey.check(key.reveal()) == (row.new_check)
    ):
        return IN_USE  # the same order again
    salt = os.urandom(rekey.SALT_BYTES)
    new_check = rekey.check(rekey.next_root(key.reveal(), salt))
    number = 1 if row is None else row.number + 1
    row = Rotation(name, number, salt, new_check, 0, person.who, person.why, now_s)
    known.rotate(row)
    known.sent_again(row, _issue(store, row, now_s))
    return WAITS


def _issue(store: Store, row: Rotation, now_s: int) -> int:
    args: list[object] = [row.salt, row.new_check]
    return commands.issue(store, row.module, MODULE_TARGET, codes.KEY, args, now_s, LIFE_S)


def at_console(store: Store, keys: Keys, name: str, port: str) -> str:
    """A random key into the module, then into our file; after a kill the same again, with another.

    In between, what the module sends is forged to us; it keeps what we do not acknowledge.
    """
    _key(store, keys, name)
    new = RootKey(os.urandom(KEY_BYTES))
    console.write_key(port, name, new)
    keys.replace(name, new)
    return IN_USE


def _key(store: Store, keys: Keys, name: str) -> RootKey:
    module = module_of(store, name)
    if module.retired_s is not None:
        raise Refused(f"{name}: is retired; nothing of it counts any more")
    key = keys.load(name)
    if key is None:
        raise Refused(f"{name}: its key file is missing; restore it from a backup")
    return key


def _tokens(store: Store, name: str, lapse: bool) -> None:
    """Tokens follow from the key: one that is printed and not typed yet would be invalid."""
    for point in store.fleet.points(name):
        waits = store.payments.uncredited(point.id)
        if waits and not lapse:
            raise Refused(
                f"{name}/{point.point}: top-up {waits[0].number} is {waits[0].state} and its token"
                " would lapse; wait for it, or add --tokens-lapse and print it again afterwards"
                " 充值未入账，其代码将失效"
            )
