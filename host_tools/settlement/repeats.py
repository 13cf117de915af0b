"""Which messages this worker has settled lately: their repetition needs no look into the store.

A module or broker repeats the same bytes. A message whose bytes were settled before says nothing
new, so it is counted and answered without holding it against the journal. Nothing depends on
remembering: whatever is forgotten is looked up. Room is fixed, the newest of a place stays.
"""

from array import array

SLOTS = 1 << 18  # of 8 bytes
_MASK = SLOTS - 1


class Repeats:
    """Of authentic messages only; Python's hash of bytes is keyed anew in every process."""

    def __init__(self) -> None:
        self._settled = array("q", bytes(8 * SLOTS))

    def add(self, payload: bytes) -> None:
        """A message all of whose records are settled."""
        known = hash(payload)
        self._settled[known & _MASK] = known

    def knows(self, payload: bytes) -> bool:
        known = hash(payload)
        return self._settled[known & _MASK] == known

    def forget(self) -> None:
        """A transaction has failed: what it would have settled is not."""
        self._settled = array("q", bytes(8 * SLOTS))
