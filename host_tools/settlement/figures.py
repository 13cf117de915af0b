"""What our own ledger says of a point at a sequence, to hold against what the module said."""

from dataclasses import dataclass

from host_tools.store.database import Store
from host_tools.store.records import Point, Said
from protocol import ledger
from protocol.ledger import State


@dataclass(frozen=True, slots=True)
class Figures:
    """Totals of the host's ledger after the entry `seq`."""

    seq: int
    register_wh: int
    version: int
    balance_ncur: int
    charged_ncur: int
    topups_ncur: int
    head: bytes


def of_state(state: State) -> Figures:
    return Figures(
        state.seq,
        state.register_wh,
        state.version,
        state.balance_ncur,
        state.charged_ncur,
        state.topups_ncur,
        state.head,
    )


def at(store: Store, point: Point, seq: int) -> Figures | None:
    """Figures after an entry that is settled; None for one that is not yet."""
    if seq == point.state.seq:
        return of_state(point.state)
    if seq == 0:
        return of_state(ledger.genesis(point.module, point.point))
    entry = store.ledgers.entry(point.id, seq)
    if entry is None:
        return None
    return Figures(
        seq,
        entry.register_wh,
        entry.version,
        entry.balance_ncur,
        entry.charged_ncur,
        entry.topups_ncur,
        entry.head,
    )


def unlike(said: Said, own: Figures) -> list[tuple[str, object, object]]:
    """(field, module's value, host's value) of everything the module said that differs."""
    out: list[tuple[str, object, object]] = []
    for name in ("register_wh", "version", "balance_ncur", "charged_ncur", "topups_ncur"):
        theirs = getattr(said, name)
        ours = getattr(own, name)
        if theirs is not None and theirs != ours:
            out.append((name, theirs, ours))
    if said.head != own.head:
        out.append(("head", said.head.hex(), own.head.hex()))
    return out
