"""Payments on their way to a module: top-up numbers, and the commands that carry them.

Numbers and command ids are given out inside the caller's transaction and never twice.
"""

from host_tools import Refused
from host_tools.store.records import Order, TopUp
from host_tools.store.sql import Connection
from protocol import topup
from protocol.topup import Mark

_TOPUP = (
    "SELECT point_id, generation, number, reference, amount_ncur, paid_s, state, credited_seq"
    " FROM topups"
)
_ORDER = "SELECT module, id, target, action, args, issued_s, expires_s, state, sent FROM commands"


class Payments:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def topup_by_reference(self, reference: str) -> TopUp | None:
        row = self._connection.execute(f"{_TOPUP} WHERE reference = ?", (reference,)).fetchone()
        return TopUp(*row) if row else None

    def topup(self, point_id: int, generation: int, number: int) -> TopUp | None:
        row = self._connection.execute(
            f"{_TOPUP} WHERE point_id = ? AND generation = ? AND number = ?",
            (point_id, generation, number),
        ).fetchone()
        return TopUp(*row) if row else None

    def topups(self, point_id: int, state: str) -> list[TopUp]:
        rows = self._connection.execute(
            f"{_TOPUP} WHERE point_id = ? AND state = ? ORDER BY generation, number",
            (point_id, state),
        )
        return [TopUp(*row) for row in rows]

    def uncredited(self, point_id: int) -> list[TopUp]:
        """What is paid and not in the point's balance: on its way, or refused by the module."""
        rows = self._connection.execute(
            f"{_TOPUP} WHERE point_id = ? AND state <> 'credited' ORDER BY generation, number",
            (point_id,),
        )
        return [TopUp(*row) for row in rows]

    def add_topup(
        self,
        point_id: int,
        mark: Mark,
        reference: str,
        amount_ncur: int,
        now_s: int,
        number: int = 0,
    ) -> TopUp:
        """The next even number of the point, or the one that is given, bound to a payment."""
        number = number or self.next_number(point_id, mark)
        given = TopUp(
            point_id, mark.generation, number, reference, amount_ncur, now_s, "in flight", None
        )
        self._connection.execute(
            "INSERT INTO topups VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                given.point_id,
                given.generation,
                given.number,
                given.reference,
                given.amount_ncur,
                given.paid_s,
                given.state,
                given.credited_seq,
            ),
        )
        return given

    def next_number(self, point_id: int, mark: Mark) -> int:
        """The next even number of a point; Refused when there is none."""
        row = self._connection.execute(
            "SELECT COALESCE(MAX(number), 0) FROM topups WHERE point_id = ? AND generation = ?",
            (point_id, mark.generation),
        ).fetchone()
        number: int = (max(int(row[0]), mark.highest) | 1) + 1
        if number > topup.NUMBER_MAX:
            raise Refused("the point has used up its top-up numbers; rotate its token key")
        return number

    def topup_became(self, given: TopUp, state: str, credited_seq: int | None) -> None:
        self._connection.execute(
            "UPDATE topups SET state = ?, credited_seq = ?"
            " WHERE point_id = ? AND generation = ? AND number = ?",
            (state, credited_seq, given.point_id, given.generation, given.number),
        )

    def add_command(
        self, module: str, target: int, action: int, args: bytes, now_s: int, expires_s: int
    ) -> int:
        """Id of a queued command; ids of a module only rise."""
        row = self._connection.execute(
            "UPDATE modules SET command_id = command_id + 1 WHERE id = ? RETURNING command_id",
            (module,),
        ).fetchone()
        command_id = int(row[0])
        self._connection.execute(
            "INSERT INTO commands (module, id, target, action, args, issued_s, expires_s, state)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, 'queued')",
            (module, command_id, target, action, args, now_s, expires_s),
        )
        return command_id

    def remember_command(
        self, module: str, command_id: int, target: int, action: int, args: bytes, now_s: int
    ) -> None:
        """Puts an order back that a restored store has forgotten, and its module has done."""
        self._connection.execute(
            "INSERT INTO commands (module, id, target, action, args, issued_s, expires_s, state)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, 'done')",
            (module, command_id, target, action, args, now_s, now_s),
        )

    def command(self, module: str, command_id: int) -> Order | None:
        row = self._connection.execute(
            f"{_ORDER} WHERE module = ? AND id = ?", (module, command_id)
        ).fetchone()
        return Order(*row) if row else None

    def commands(self, module: str) -> list[Order]:
        rows = self._connection.execute(f"{_ORDER} WHERE module = ? ORDER BY id", (module,))
        return [Order(*row) for row in rows]

    def oldest_owed(self, point_id: int, generation: int) -> int | None:
        """The lowest number that is paid and not credited."""
        row = self._connection.execute(
            "SELECT MIN(number) FROM topups"
            " WHERE point_id = ? AND generation = ? AND state <> 'credited'",
            (point_id, generation),
        ).fetchone()
        return None if row[0] is None else int(row[0])

    def open_commands(self, module: str | None = None) -> list[Order]:
        """Commands without a result, of one module or of all, in the order of their ids."""
        rows = self._connection.execute(
            f"{_ORDER} WHERE state IN ('queued', 'sent')"
            " AND (module = ? OR CAST(? AS TEXT) IS NULL) ORDER BY module, id",
            (module, module),
        )
        return [Order(*row) for row in rows]

    def open_of(self, module: str, target: int, action: int) -> list[Order]:
        """The same of one point and kind."""
        return [
            order
            for order in self.open_commands(module)
            if (order.target, order.action) == (target, action)
        ]

    def command_sent(self, module: str, command_id: int) -> None:
        self._connection.execute(
            "UPDATE commands SET state = 'sent', sent = sent + 1"
            " WHERE module = ? AND id = ? AND state IN ('queued', 'sent')",
            (module, command_id),
        )

    def command_ended(
        self, order: Order, state: str, status: int | None, detail: int | None, now_s: int
    ) -> None:
        self._connection.execute(
            "UPDATE commands SET state = ?, status = ?, detail = ?, answered_s = ?"
            " WHERE module = ? AND id = ?",
            (state, status, detail, now_s, order.module, order.id),
        )
