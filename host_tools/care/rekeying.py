"""A module that has come to its next key: settlement finds out by the first message under it.

That message is forged under the key in hand; it is looked at once more under the key that follows
from the rotation under way. Never makes a key that both sides have not agreed upon.
"""

from host_tools import Refused
from host_tools.keys import Keys, RootKey
from host_tools.store import care
from host_tools.store.care import Rotation
from host_tools.store.database import Store
from protocol import cose, rekey
from protocol.units import Malformed

ROTATIONS_MAX = 8  # of a module, the newest


def heard(store: Store, keys: Keys, module: str, data: bytes) -> bool:
    """Whether a message that was forged under the key in hand is of another key of the module.

    That is then the module's key here too: nobody but both of us can have made the message.
    """
    rotations = care.of(store).rotations(module)[:ROTATIONS_MAX]
    if not rotations and not keys.changed(module):
        return False  # a flood of forged messages costs no more than this
    keys.forget(module)
    try:
        key = keys.load(module)
    except Refused:
        return False
    if key is None:
        return False
    if _opens(key, data):
        return True  # another process has replaced the file
    # One that was given up may have arrived after all.
    for row in rotations:
        if waits(row, key):
            new = RootKey(rekey.next_root(key.reveal(), row.salt))
            if _opens(new, data):
                keys.replace(module, new)
                return True
    return False


def waits(row: Rotation, key: RootKey) -> bool:
    """The key in our file is the one that the new key follows from."""
    return rekey.check(rekey.next_root(key.reveal(), row.salt)) == row.new_check


def _opens(key: RootKey, data: bytes) -> bool:
    try:
        cose.open_sealed(data, key.mac(cose.UP))
    except Malformed:
        return False
    return True
