"""The module as a whole: identity, epoch, boot count, and the recovery of everything at power-on.

The order is: journal, then outbox files, then the records that were committed but not filed yet.
Never talks to the network.
"""

from firmware import config
from protocol import cbor
from protocol.units import Malformed

TARGET = 16  # journal target of the module's own slot
EPOCH = "/epoch"


class Module:
    """boot_id rises with every boot; high and window are the watermark of module commands."""

    def __init__(self, root, settings):
        self.root = root
        self.settings = settings
        self.epoch = 0
        self.boot_id = 0
        self.high = 0
        self.window = 0

    def start(self, journal, floor_s):
        """Restore the module's slot, or begin a new epoch on a blank journal; count the boot."""
        payload = journal.state(TARGET)
        if payload is None:
            self.epoch = self._next_epoch()
            self.boot_id = self.epoch << 16  # boot ids go on rising over a lost journal
        else:
            self.epoch, self.boot_id, self.high, self.window, _ = cbor.decode(payload)
        self.boot_id += 1
        self.commit(journal, floor_s)

    def commit(self, journal, now_s):
        slot = [self.epoch, self.boot_id, self.high, self.window, now_s]
        journal.commit(TARGET, cbor.encode(slot))

    def _next_epoch(self):
        """The epoch lives on the file system too, so that a lost journal raises it."""
        try:
            epoch = int(config.read(self.root, EPOCH))
        except (Malformed, ValueError):
            epoch = 0
        config.write(self.root, EPOCH, str(epoch + 1).encode())
        return epoch + 1
