"""What `gridpurse settle` does for the care of modules between batches, if there is any to do."""

from collections.abc import Collection

from host_tools.care import campaign, following
from host_tools.store.database import Store

EVERY_MS = 1000


def due(store: Store) -> bool:
    """Whether anything is under way; two small questions to the store."""
    return following.due(store) or campaign.due(store)


def look(store: Store, shards: Collection[int], now_s: int) -> None:
    """One look at all of it, inside the caller's transaction; it writes for our shards only."""
    following.look(store, shards, now_s)
    campaign.look(store, shards, now_s)
