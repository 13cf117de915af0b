"""The review queue: what validation holds or doubts, until a person decides, with a reason.

A decision is a new version of the intervals: accepting makes actual values verified, correcting
sets manual ones, rejecting takes them away so that they are estimated. The table of states is
total; the docs print it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from host_tools import Refused
from host_tools.validation.findings import DROP, FLAG, LATE, REALIGN, Finding
from host_tools.validation.series import ACTUAL, MISSING, VERIFIED, Interval
from host_tools.validation.versions import MACHINE, Change, Connection, Versions, person

OPEN, ACCEPTED, CORRECTED, REJECTED = "open", "accepted", "corrected", "rejected"
ACCEPT, CORRECT, REJECT, REOPEN = "accept", "correct", "reject", "reopen"
STATES = (OPEN, ACCEPTED, CORRECTED, REJECTED)
EVENTS = (ACCEPT, CORRECT, REJECT, REOPEN)
STATES_ZH = {OPEN: "待审", ACCEPTED: "已确认", CORRECTED: "已更正", REJECTED: "已否决"}
EVENTS_ZH = {ACCEPT: "确认", CORRECT: "更正", REJECT: "否决", REOPEN: "重新打开"}

# What is done to the intervals of the span.
VERIFY, SET, TAKE_AWAY, NOTHING = "verify", "set values", "take away", "nothing"
# (state, event): (next state, what is done); None: not possible, the person is told.
TABLE: dict[tuple[str, str], tuple[str, str] | None] = {
    (OPEN, ACCEPT): (ACCEPTED, VERIFY),
    (OPEN, CORRECT): (CORRECTED, SET),
    (OPEN, REJECT): (REJECTED, TAKE_AWAY),
    (OPEN, REOPEN): None,
    (ACCEPTED, ACCEPT): None,
    (ACCEPTED, CORRECT): None,
    (ACCEPTED, REJECT): None,
    (ACCEPTED, REOPEN): (OPEN, NOTHING),
    (CORRECTED, ACCEPT): None,
    (CORRECTED, CORRECT): None,
    (CORRECTED, REJECT): None,
    (CORRECTED, REOPEN): (OPEN, NOTHING),
    (REJECTED, ACCEPT): None,
    (REJECTED, CORRECT): None,
    (REJECTED, REJECT): None,
    (REJECTED, REOPEN): (OPEN, NOTHING),
}

DISPUTE = "S45"  # the code of a customer's dispute
# These need nobody: they are settled where they are found.
QUIET = frozenset((DROP, REALIGN, FLAG, LATE))


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of the queue with its newest step."""

    id: int
    point: str
    obis: str
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


class Queue:
    """Opens and decides. Writes belong inside the caller's transaction."""

    def __init__(self, connection: Connection, versions: Versions) -> None:
        self._connection = connection
        self._versions = versions

    def open(self, point: str, obis: str, findings: Iterable[Finding], at_s: int) -> int:
        """Puts findings that need a person into the queue, each of them once. How many are new."""
        new = 0
        for each in findings:
            if each.action not in QUIET:
                new += self._open(point, obis, each, at_s, MACHINE, each.action)
        return new

    def dispute(
        self, point: str, obis: str, start_s: int, end_s: int, who: str, at_s: int, why: str
    ) -> int:
        """A customer's dispute marks its range; no disconnection for the disputed amount."""
        person(who, why)
        finding = Finding(DISPUTE, start_s, end_s, "dispute", why)
        if not self._open(point, obis, finding, at_s, who, why):
            raise Refused(f"{point}: this dispute is in the queue already")
        return self.find(point, obis, finding).id

    def disputed(self, point: str, start_s: int, end_s: int) -> bool:
        """Whether an open dispute touches a span."""
        return any(
            each.code == DISPUTE and each.start_s < end_s and start_s < each.end_s
            for each in self.items(point, OPEN)
        )

    def decide(
        self,
        review: int,
        event: str,
        who: str,
        at_s: int,
        why: str,
        values_wh: Mapping[int, int] | None = None,
    ) -> tuple[Change, ...]:
        """Accept, correct (with values by start), reject or reopen; returns the new versions."""
        person(who, why)
        item = self.item(review)
        if event not in EVENTS:
            raise Refused(f"{event}: must be one of {', '.join(EVENTS)}")
        found = TABLE[item.state, event]
        if found is None:
            raise Refused(f"review {review} is {item.state} by {item.who}; reopen it first")
        state, what = found
        changes = self._done(item, what, who, at_s, why, values_wh or {})
        self._step(review, item.step + 1, event, state, who, at_s, why)
        return changes

    def _done(
        self,
        item: Item,
        what: str,
        who: str,
        at_s: int,
        why: str,
        values_wh: Mapping[int, int],
    ) -> tuple[Change, ...]:
        within = self._versions.current(item.point, item.obis, item.start_s, item.end_s)
        if what != SET and values_wh:
            raise Refused(f"review {item.id}: values go with {CORRECT} only")
        if what == NOTHING:
            return ()
        if what == SET:
            return self._corrected(item, within, who, at_s, why, values_wh)
        if what == VERIFY and any(each.quality == MISSING for each in within):
            raise Refused(f"review {item.id}: an interval has no value; correct or reject it")
        # An estimate that is accepted is still an estimate.
        suspects = [each for each in within if what == TAKE_AWAY or each.quality == ACTUAL]
        out = []
        for each in suspects:
            quality = VERIFIED if what == VERIFY else MISSING
            if each.quality != quality:
                wanted = replace(each, quality=quality, origin=f"review {item.id}")
                out.append(self._versions.edit(item.point, item.obis, wanted, who, at_s, why))
        return tuple(out)

    def _corrected(
        self,
        item: Item,
        within: tuple[Interval, ...],
        who: str,
        at_s: int,
        why: str,
        values_wh: Mapping[int, int],
    ) -> tuple[Change, ...]:
        seen = {each.start_s: each for each in within}
        for start_s in values_wh:
            if start_s not in seen:
                raise Refused(f"review {item.id}: {start_s} is no interval of it")
        if not values_wh:
            raise Refused(f"review {item.id}: give the corrected values")
        return tuple(
            self._versions.set_value(
                item.point, item.obis, seen[start_s], energy_wh, who, at_s, why
            )
            for start_s, energy_wh in sorted(values_wh.items())
        )

    def items(self, point: str | None = None, state: str | None = None) -> tuple[Item, ...]:
        """The queue, oldest first."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM vee_queue"  # noqa: S608
            " WHERE (CAST(? AS TEXT) IS NULL OR point = ?)"
            " AND (CAST(? AS TEXT) IS NULL OR state = ?) ORDER BY id",
            (point, point, state, state),
        ).fetchall()
        return tuple(Item(*row) for row in rows)

    def item(self, review: int) -> Item:
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM vee_queue WHERE id = ?",  # noqa: S608
            (review,),
        ).fetchall()
        if not rows:
            raise Refused(f"review {review}: there is none; list the queue")
        return Item(*rows[0])

    def find(self, point: str, obis: str, finding: Finding) -> Item:
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM vee_queue WHERE point = ? AND obis = ?"  # noqa: S608
            " AND code = ? AND start_s = ? AND end_s = ? AND detail = ?",
            (point, obis, finding.code, finding.start_s, finding.end_s, finding.detail),
        ).fetchall()
        return Item(*rows[0])

    def _open(self, point: str, obis: str, each: Finding, at_s: int, who: str, why: str) -> int:
        rows = self._connection.execute(
            "INSERT INTO vee_reviews (id, point, obis, code, start_s, end_s, action, detail,"
            " opened_s) SELECT COALESCE(MAX(id), 0) + 1, ?, ?, ?, ?, ?, ?, ?, ? FROM vee_reviews"
            " WHERE TRUE ON CONFLICT (point, obis, code, start_s, end_s, detail) DO NOTHING"
            " RETURNING id",
            (point, obis, each.code, each.start_s, each.end_s, each.action, each.detail, at_s),
        ).fetchall()
        for row in rows:
            self._step(row[0], 1, "open", OPEN, who, at_s, why)
        return len(rows)

    def _step(
        self, review: int, step: int, event: str, state: str, who: str, at_s: int, why: str
    ) -> None:
        self._connection.execute(
            "INSERT INTO vee_review_steps (review, step, event, state, who, at_s, why)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (review, step, event, state, who, at_s, why),
        )


_COLUMNS = (
    "id, point, obis, code, start_s, end_s, action, detail, opened_s, step, state, who, at_s, why"
)
