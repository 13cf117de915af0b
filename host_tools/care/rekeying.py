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
AGAIN_MS = 1000  # how soon a module is looked up once more
READ_MS = 200  # how soon a new rotation is seen
MODULES_MAX = 200000  # remembered


class Rekeying:
    """Looks up whether modules have come to other keys, so seldom that a flood of forged messages
    costs next to nothing."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys
        self._looked_ms: dict[str, int] = {}
        self._rotating: frozenset[str] = frozenset()  # modules that ever had another key
        self._read_ms = -READ_MS

    def heard(self, module: str, data: bytes, ticks_ms: int) -> bool:
        """Whether a message that was forged under the key in hand is of another key of the module.

        That is then the module's key here too: nobody but both of us can have made the message.
        """
        last_ms = self._looked_ms.get(module)
        if last_ms is not None and ticks_ms - last_ms < AGAIN_MS:
            return False
        if len(self._looked_ms) >= MODULES_MAX:
            self._looked_ms.clear()
        self._looked_ms[module] = ticks_ms
        if ticks_ms - self._read_ms >= READ_MS:
            self._read_ms = ticks_ms
            self._rotating = care.of(self._store).rotating()
        if module not in self._rotating and not self._keys.changed(module):
            return False
        return heard(self._store, self._keys, module, data)


def heard(store: Store, keys: Keys, module: str, data: bytes) -> bool:
    """The same at once, whatever it costs."""
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
    for row in care.of(store).rotations(module)[:ROTATIONS_MAX]:
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
