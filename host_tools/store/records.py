"""What the store returns: frozen records. Units end the names; seq counts from 1 in its stream."""

from dataclasses import dataclass
from typing import NamedTuple

from protocol.ledger import State


@dataclass(frozen=True, slots=True)
class Module:
    """A module as the host knows it; epoch and boot_id are None until it was first heard.

    gone_s is when the broker said it had lost the module, None while it is heard; retired_s since
    when nothing of it counts.
    """

    id: str
    shard: int
    epoch: int | None
    events_seq: int
    boot_id: int | None
    boot_ticks_ms: int | None
    hello_s: int | None
    firmware: str | None
    gone_s: int | None
    retired_s: int | None = None


class Said(NamedTuple):
    """What the module itself said it has: a statement, or of a batch the chain head alone."""

    seq: int
    balance_ncur: int | None
    head: bytes
    time_s: int | None = None
    register_wh: int | None = None
    version: int | None = None
    charged_ncur: int | None = None
    topups_ncur: int | None = None


class Point(NamedTuple):
    """A service point: settled state, and what its module said last.

    A tuple, because every reading makes a new one. last_id is the journal row of its last entry,
    said_head the chain head that the module gave for it; None before the first.
    """

    id: int
    module: str
    point: int
    label: str
    currency: str
    state: State
    sent_seq: int
    said_head: bytes | None
    statement: Said | None
    duplicates: int
    last_id: int

    @property
    def said(self) -> Said | None:
        """What the module's last batch said: of its last entry the chain head."""
        return None if self.said_head is None else Said(self.state.seq, None, self.said_head)


class Settled(NamedTuple):
    """A settled entry as it lies in the journal, with chain head and running sums after it."""

    seq: int
    kind: int
    time_s: int
    quality: int
    register_wh: int
    energy_wh: int
    version: int
    period: int
    used_wh: int
    amount_ncur: int
    number: int
    channel: int
    balance_ncur: int
    head: bytes
    charged_ncur: int
    topups_ncur: int


class Repeated(NamedTuple):
    """What a module may tell again of a settled entry; from_s is when the one before it was."""

    from_s: int
    seq: int
    kind: int
    time_s: int
    quality: int
    register_wh: int
    energy_wh: int
    version: int
    used_wh: int
    amount_ncur: int
    number: int
    channel: int


@dataclass(frozen=True, slots=True)
class Event:
    """A record of stream 8: an event, or a command result (code is then its status)."""

    seq: int
    kind: int
    time_s: int
    quality: int
    code: int
    point: int
    args: bytes


@dataclass(frozen=True, slots=True)
class TopUp:
    point_id: int
    generation: int
    number: int
    reference: str
    amount_ncur: int
    paid_s: int
    state: str
    credited_seq: int | None


@dataclass(frozen=True, slots=True)
class Order:
    """A command in the store; `args` is canonical CBOR."""

    module: str
    id: int
    target: int
    action: int
    args: bytes
    issued_s: int
    expires_s: int
    state: str
    sent: int


@dataclass(frozen=True, slots=True)
class Reject:
    source: str
    first_s: int
    last_s: int
    topic: str
    module: str | None
    reason: int
    detail: str
    size: int
    count: int


@dataclass(frozen=True, slots=True)
class Difference:
    point_id: int
    kind: str
    seq: int
    detail: str
    module_value: str
    host_value: str
    opened_s: int
    last_s: int
    count: int
    closed_s: int | None


@dataclass(frozen=True, slots=True)
class Turnover:
    """Both sides of an account in one currency and group, neither below zero."""

    currency: str
    group: str
    account: str
    debit_ncur: int
    credit_ncur: int


@dataclass(frozen=True, slots=True)
class ClosedDay:
    """Rows up to these numbers, from those of the day before; `totals` is canonical CBOR."""

    day: int
    entry_id: int
    posting_id: int
    closed_s: int
    totals: bytes
    digest: bytes
    head: bytes


@dataclass(frozen=True, slots=True)
class Parked:
    first_seq: int
    digest: bytes
    payload: bytes
