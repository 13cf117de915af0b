"""The review queue: what validation holds or doubts, until a person decides, with a reason.

A decision is a new version of the readings: accepting makes metered values verified, an edit sets
manual ones, estimating puts an estimate in the place of what was metered. The table of states is
total; the docs print it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from host_tools import Refused
from host_tools.store.database import Store
from host_tools.validation.findings import (
    BLOCK_BILL,
    DROP,
    FLAG,
    LATE,
    REALIGN,
    UNBILLABLE,
    Finding,
)
from host_tools.validation.versions import MACHINE, connection_of, person

OPEN, ACCEPTED, CORRECTED, ESTIMATED = "open", "accepted", "corrected", "estimated"
ACCEPT, CORRECT, ESTIMATE, REOPEN = "accept", "edit", "estimate", "reopen"
STATES = (OPEN, ACCEPTED, CORRECTED, ESTIMATED)
EVENTS = (ACCEPT, CORRECT, ESTIMATE, REOPEN)
STATES_ZH = {OPEN: "待审", ACCEPTED: "已确认", CORRECTED: "已更正", ESTIMATED: "已估算"}
EVENTS_ZH = {ACCEPT: "确认", CORRECT: "更正", ESTIMATE: "估算", REOPEN: "重新打开"}

# What is done to the readings of the span.
VERIFY, SET, GUESS, NOTHING = "verify", "set values", "estimate", "nothing"
# (state, event): (next state, what is done); None: not possible, the person is told.
TABLE: dict[tuple[str, str], tuple[str, str] | None] = {
    (OPEN, ACCEPT): (ACCEPTED, VERIFY),
    (OPEN, CORRECT): (CORRECTED, SET),
    (OPEN, ESTIMATE): (ESTIMATED, GUESS),
    (OPEN, REOPEN): None,
    (ACCEPTED, ACCEPT): None,
    (ACCEPTED, CORRECT): None,
    (ACCEPTED, ESTIMATE): None,
    (ACCEPTED, REOPEN): (OPEN, NOTHING),
    (CORRECTED, ACCEPT): None,
    (CORRECTED, CORRECT): None,
    (CORRECTED, ESTIMATE): None,
    (CORRECTED, REOPEN): (OPEN, NOTHING),
    (ESTIMATED, ACCEPT): None,
    (ESTIMATED, CORRECT): None,
    (ESTIMATED, ESTIMATE): None,
    (ESTIMATED, REOPEN): (OPEN, NOTHING),
}

DISPUTE, DISPUTED = "S45", "dispute"  # code and action of a customer's dispute
# These need nobody: they are settled where they are found.
QUIET = frozenset((DROP, REALIGN, FLAG, LATE))
# No bill is issued over an open entry of these.
BLOCKING = UNBILLABLE | {BLOCK_BILL, DISPUTED}


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of the queue with its newest step."""

    id: int
    point_id: int
    code: str
    start_s: int
    end_s: int
    action: str
    detail: str
    opened_s: int
    step: int
    state: str
    who: str
    at_s: int
    why: str
    history: bool = False  # about readings from before the module, which were billed elsewhere

    @property
    def blocks(self) -> bool:
        """Whether nothing of its span is billed meanwhile."""
        return self.state == OPEN and self.action in BLOCKING and not self.history


_COLUMNS = (
    "id, point_id, code, start_s, end_s, action, detail, opened_s, step, state, who, at_s, why,"
    " CASE WHEN id IN (SELECT review FROM history_reviews) THEN 1 ELSE 0 END"
)


def _item(row: Sequence[Any]) -> Item:
    return Item(*[*row[:-1], bool(row[-1])])


class Queue:
    """Opens and decides. Writes belong inside the caller's transaction."""

    def __init__(self, store: Store) -> None:
        self._connection = connection_of(store)

    def open(self, point_id: int, findings: Iterable[Finding], at_s: int) -> int:
        """Puts findings that need a person into the queue, each of them once. How many are new."""
        return len(self._opened(point_id, findings, at_s))

    def open_historic(self, point_id: int, findings: Iterable[Finding], at_s: int) -> int:
        """The same of readings from before the module: none of them stands before a bill."""
        new = self._opened(point_id, findings, at_s)
        for review in new:
            self._of_history(review)
        return len(new)

    def _opened(self, point_id: int, findings: Iterable[Finding], at_s: int) -> list[int]:
        return [
            review
            for each in findings
            if each.action not in QUIET
            for review in self._open(point_id, each, at_s, MACHINE, each.action)
        ]

    def _of_history(self, review: int) -> None:
        self._connection.execute("INSERT INTO history_reviews (review) VALUES (?)", (review,))

    def dispute(
        self,
        point_id: int,
        start_s: int,
        end_s: int,
        who: str,
        at_s: int,
        why: str,
        history: bool = False,
    ) -> int:
        """A customer's dispute marks its span, so that values of it may be decided anew."""
        person(who, why)
        finding = Finding(DISPUTE, start_s, end_s, DISPUTED, why)
        found = self._open(point_id, finding, at_s, who, why)
        if not found:
            raise Refused(
                "it is in the queue with this reason; see `gridpurse review list --all`, reopen"
                " what was decided 已登记，已决条目请重新打开"
            )
        if history:
            self._of_history(found[0])
        return found[0]

    def step(self, review: int, event: str, who: str, at_s: int, why: str) -> tuple[Item, str]:
        """(the entry after it, what is to be done to its readings). Refused out of turn."""
        person(who, why)
        item = self.item(review)
        found = TABLE[item.state, event]
        if found is None:
            raise Refused(
                f"review {review} is {item.state} by {item.who}; nothing to do, or reopen it first"
                f" {STATES_ZH[item.state]}，如需更改请先重新打开"
            )
        state, what = found
        self._step(review, item.step + 1, event, state, who, at_s, why)
        return self.item(review), what

    def items(self, point_id: int | None = None, state: str | None = None) -> list[Item]:
        """The queue, oldest first."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM vee_queue"  # noqa: S608
            " WHERE (CAST(? AS BIGINT) IS NULL OR point_id = ?)"
            " AND (CAST(? AS TEXT) IS NULL OR state = ?) ORDER BY id",
            (point_id, point_id, state, state),
        ).fetchall()
        return [_item(row) for row in rows]

    def item(self, review: int) -> Item:
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM vee_queue WHERE id = ?",  # noqa: S608
            (review,),
        ).fetchall()
        if not rows:
            raise Refused(f"review {review}: there is none; see `gridpurse review list` 无此条目")
        return _item(rows[0])

    def steps(self, review: int) -> list[tuple[str, str, str, int, str]]:
        """(event, state, who, when, why) of every step of an entry."""
        return self._connection.execute(
            "SELECT event, state, who, at_s, why FROM vee_review_steps WHERE review = ?"
            " ORDER BY step",
            (review,),
        ).fetchall()

    def _open(self, point_id: int, each: Finding, at_s: int, who: str, why: str) -> list[int]:
        """The number of the new entry; none where it is in the queue already."""
        rows = self._connection.execute(
            "INSERT INTO vee_reviews (point_id, code, start_s, end_s, action, detail, opened_s)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (point_id, code, start_s, end_s, detail) DO NOTHING RETURNING id",
            (point_id, each.code, each.start_s, each.end_s, each.action, each.detail, at_s),
        ).fetchall()
        for row in rows:
            self._step(row[0], 1, "open", OPEN, who, at_s, why)
        return [row[0] for row in rows]

    def _step(
        self, review: int, step: int, event: str, state: str, who: str, at_s: int, why: str
    ) -> None:
        self._connection.execute(
            "INSERT INTO vee_review_steps (review, step, event, state, who, at_s, why)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (review, step, event, state, who, at_s, why),
        )
