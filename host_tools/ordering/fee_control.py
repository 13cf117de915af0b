"""Remote fee control 远程费控: which relay order may follow what, and when none may.

Two total tables. TABLE says what an order does to what stands by our orders already; REFUSALS
names the orders that a condition forbids. The module decides about credit by itself and checks
again: it masks a trip by hold-supply and friendly hours, and refuses a close that credit holds
open. The host refuses earlier, so that no order waits at a module for a moment nobody meant.

A trip that may have reached the module is never sent again once another order has taken its place:
the broker keeps the order of what we publish, so the later one is applied last.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from host_tools.settlement import commands
from host_tools.store.orders import Record
from protocol import codes
from protocol.units import DAY_S

# What stands by orders of the host. What credit or tamper do at the module stands beside it.
FREE, TRIPPING, TRIPPED, TIMING, TIMED = "free", "tripping", "tripped", "timing", "timed"
PERMITTING, CLOSING, UNSURE = "permitting", "closing", "unsure"
STATES = {
    FREE: "未下达",
    TRIPPING: "跳闸下发中",
    TRIPPED: "已跳闸",
    TIMING: "预跳闸下发中",
    TIMED: "预跳闸中",
    PERMITTING: "合闸允许下发中",
    CLOSING: "直接合闸下发中",
    UNSURE: "结果未知",
}

TRIP, TIMED_TRIP, PERMIT, CLOSE = "trip", "timed trip", "permit", "close"
DONE, NOT_DONE, LOST, OVER = "done", "not done", "lost", "time over"
EVENTS = {
    TRIP: "跳闸",
    TIMED_TRIP: "预跳闸",
    PERMIT: "合闸允许",
    CLOSE: "直接合闸",
    DONE: "模块已执行",
    NOT_DONE: "被拒绝，或从未发出",
    LOST: "已发出但无答复",
    OVER: "预跳闸到时",
}
_ORDERS = (TRIP, TIMED_TRIP, PERMIT, CLOSE)

SEND, REPLACE, SAME, NO, KEEP, STEP = "send", "replace", "same", "refuse", "keep", "step"
ACTIONS = {
    SEND: "下发",
    REPLACE: "撤回未答复的命令后下发",
    SAME: "不下发，已有同一命令",
    NO: "拒绝：先下达合闸允许",
    KEEP: "忽略",
    STEP: "记录",
}
BEFORE = "as before"  # next state: what stood before the order

# (state, event): (next, action)
TABLE: dict[tuple[str, str], tuple[str, str]] = {
    (FREE, TRIP): (TRIPPING, SEND),
    (FREE, TIMED_TRIP): (TIMING, SEND),
    (FREE, PERMIT): (PERMITTING, SEND),
    (FREE, CLOSE): (CLOSING, SEND),
    (FREE, DONE): (FREE, KEEP),
    (FREE, NOT_DONE): (FREE, KEEP),
    (FREE, LOST): (FREE, KEEP),
    (FREE, OVER): (FREE, KEEP),
    (TRIPPING, TRIP): (TRIPPING, SAME),
    (TRIPPING, TIMED_TRIP): (TRIPPING, NO),  # it would end a trip that was to last
    (TRIPPING, PERMIT): (PERMITTING, REPLACE),
    (TRIPPING, CLOSE): (CLOSING, REPLACE),
    (TRIPPING, DONE): (TRIPPED, STEP),
    (TRIPPING, NOT_DONE): (BEFORE, STEP),
    (TRIPPING, LOST): (UNSURE, STEP),
    (TRIPPING, OVER): (TRIPPING, KEEP),
    (TRIPPED, TRIP): (TRIPPED, SAME),
    (TRIPPED, TIMED_TRIP): (TRIPPED, NO),
    (TRIPPED, PERMIT): (PERMITTING, SEND),
    (TRIPPED, CLOSE): (CLOSING, SEND),
    (TRIPPED, DONE): (TRIPPED, KEEP),
    (TRIPPED, NOT_DONE): (TRIPPED, KEEP),
    (TRIPPED, LOST): (TRIPPED, KEEP),
    (TRIPPED, OVER): (TRIPPED, KEEP),
    (TIMING, TRIP): (TRIPPING, REPLACE),
    (TIMING, TIMED_TRIP): (TIMING, REPLACE),
    (TIMING, PERMIT): (PERMITTING, REPLACE),
    (TIMING, CLOSE): (CLOSING, REPLACE),
    (TIMING, DONE): (TIMED, STEP),
    (TIMING, NOT_DONE): (BEFORE, STEP),
    (TIMING, LOST): (UNSURE, STEP),
    (TIMING, OVER): (TIMING, KEEP),
    (TIMED, TRIP): (TRIPPING, SEND),
    (TIMED, TIMED_TRIP): (TIMING, SEND),
    (TIMED, PERMIT): (PERMITTING, SEND),
    (TIMED, CLOSE): (CLOSING, SEND),
    (TIMED, DONE): (TIMED, KEEP),
    (TIMED, NOT_DONE): (TIMED, KEEP),
    (TIMED, LOST): (TIMED, KEEP),
    (TIMED, OVER): (FREE, STEP),
    (PERMITTING, TRIP): (TRIPPING, REPLACE),
    (PERMITTING, TIMED_TRIP): (TIMING, REPLACE),
    (PERMITTING, PERMIT): (PERMITTING, SAME),
    (PERMITTING, CLOSE): (CLOSING, REPLACE),
    (PERMITTING, DONE): (FREE, STEP),
    (PERMITTING, NOT_DONE): (BEFORE, STEP),
    (PERMITTING, LOST): (UNSURE, STEP),
    (PERMITTING, OVER): (PERMITTING, KEEP),
    (CLOSING, TRIP): (TRIPPING, REPLACE),
    (CLOSING, TIMED_TRIP): (TIMING, REPLACE),
    (CLOSING, PERMIT): (PERMITTING, REPLACE),
    (CLOSING, CLOSE): (CLOSING, SAME),
    (CLOSING, DONE): (FREE, STEP),
    (CLOSING, NOT_DONE): (BEFORE, STEP),
    (CLOSING, LOST): (UNSURE, STEP),
    (CLOSING, OVER): (CLOSING, KEEP),
    (UNSURE, TRIP): (TRIPPING, SEND),
    (UNSURE, TIMED_TRIP): (TIMING, SEND),
    (UNSURE, PERMIT): (PERMITTING, SEND),
    (UNSURE, CLOSE): (CLOSING, SEND),
    (UNSURE, DONE): (UNSURE, KEEP),
    (UNSURE, NOT_DONE): (UNSURE, KEEP),
    (UNSURE, LOST): (UNSURE, KEEP),
    (UNSURE, OVER): (UNSURE, KEEP),
}

# Why a trip is ordered. Only safety passes the hours in which nobody is cut off.
CREDIT, CONTRACT, SAFETY = "credit", "contract", "safety"
CAUSES = {CREDIT: "欠费", CONTRACT: "合同", SAFETY: "安全"}

# Orders as REFUSALS tells them apart: a trip by its cause, a timed trip by what ends it.
BY_CREDIT, BY_CONTRACT, BY_SAFETY = "trip for credit", "trip by contract", "trip for safety"
TO_CLOSE, TO_PERMIT = "timed trip, then close", "timed trip, then permit"
PERMIT_CLOSE, DIRECT_CLOSE = "permit close", "direct close"
HOLD, HOLD_END, ALARM, ALARM_END = "hold supply", "hold supply end", "alarm", "alarm end"
KINDS = {
    BY_CREDIT: "欠费跳闸",
    BY_CONTRACT: "合同跳闸",
    BY_SAFETY: "安全跳闸",
    TO_CLOSE: "预跳闸，到时合闸",
    TO_PERMIT: "预跳闸，到时合闸允许",
    PERMIT_CLOSE: "合闸允许",
    DIRECT_CLOSE: "直接合闸",
    HOLD: "保电",
    HOLD_END: "保电解除",
    ALARM: "报警",
    ALARM_END: "报警解除",
}
TRIPS = (BY_CREDIT, BY_CONTRACT, BY_SAFETY, TO_CLOSE, TO_PERMIT)
IN_DAYTIME = (BY_CREDIT, BY_CONTRACT, TO_CLOSE, TO_PERMIT)

NO_EXPIRY, LATE = "no expiry", "late expiry"
ENDLESS, UNCONFIRMED = "no end", "not confirmed"
LOCAL, HELD, LISTED = "module decides", "hold supply", "on the list"
PROTECTED, TOO_OFTEN = "protected hours", "too often"


@dataclass(frozen=True, slots=True)
class Refusal:
    orders: tuple[str, ...]
    text: str
    text_zh: str


# condition: the orders that it forbids; every other may pass. The first one that holds tells.
REFUSALS = {
    NO_EXPIRY: Refusal(
        (*TRIPS, DIRECT_CLOSE, HOLD),
        "add --expires, such as 2h: it must not act later than it is meant",
        "须加 --expires，逾期不得执行",
    ),
    LATE: Refusal(
        (*TRIPS, DIRECT_CLOSE),
        "must expire within a day: by then nobody knows any more how things are there",
        "有效期不得超过一日",
    ),
    ENDLESS: Refusal(
        (TO_CLOSE, TO_PERMIT, HOLD),
        "add --for, such as 2h or 7d: it must end by itself",
        "须加 --for，到时自行结束",
    ),
    UNCONFIRMED: Refusal(
        (TO_CLOSE, DIRECT_CLOSE),
        "closes without anybody there; add --confirm-close when the place is known to be safe",
        "无人在场即合闸；确认现场安全后加 --confirm-close",
    ),
    LOCAL: Refusal(
        (BY_CREDIT,),
        "the module keeps this point's balance and trips for credit itself; do not order it",
        "模块自行按余额跳闸，无需下达",
    ),
    HELD: Refusal(
        TRIPS,
        "hold-supply protects this point; end it first with hold-end",
        "保电中；须先 hold-end 解除保电",
    ),
    LISTED: Refusal(
        IN_DAYTIME,
        "is on the list of points that nobody cuts off, in fee-control.toml",
        "在 fee-control.toml 的保电名单内",
    ),
    PROTECTED: Refusal(
        IN_DAYTIME,
        "nobody is cut off in protected hours, so the order must begin and expire outside them",
        "保护时段内不得停电，命令的下达与有效期均须在时段之外",
    ),
    TOO_OFTEN: Refusal(
        TRIPS,
        "the relay has had as many orders as it may in an hour; wait",
        "一小时内继电器命令已达上限，请稍候",
    ),
}

ORDERS_AN_HOUR = 6
LIFE_S_MAX = DAY_S  # of what opens or closes
HOUR_S = 3600
SECONDS_MAX = 31 * DAY_S  # of a hold or a timed trip

_SUPPLY = {
    codes.TRIP: TRIP,
    codes.TRIP_THEN_CLOSE: TIMED_TRIP,
    codes.TRIP_THEN_ARM: TIMED_TRIP,
    codes.PERMIT_CLOSE: PERMIT,
    codes.DIRECT_CLOSE: CLOSE,
}
_GROUPS = (tuple(_SUPPLY), (codes.ALARM, codes.ALARM_END), (codes.HOLD, codes.HOLD_END))


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands at a point by our orders. `open` are those without an answer, by group."""

    state: str
    by_id: int | None  # the order that made it so
    held: bool
    orders_in_hour: int
    open: tuple[Record, ...]


def of_record(record: Record) -> tuple[int, int]:
    """(relay order, seconds or 0)"""
    args = commands.args_of(record.args)
    return args[0], args[1] if len(args) > 1 else 0


def outcome(record: Record) -> str | None:
    """What is known of an order: DONE, NOT_DONE, LOST, or None while it is open."""
    if record.state in ("queued", "sent"):
        return None
    if record.state == "done":
        return DONE
    # The module itself says "expired" with a status; else nobody knows what a sent order did.
    unknown = record.state == "expired" and record.status is None and record.sent
    return LOST if unknown else NOT_DONE


def standing(records: Iterable[Record], now_s: int) -> Standing:
    """Folds the relay orders of a point, oldest first."""
    state, by_id, held, in_hour = FREE, None, False, 0
    still = []
    for record in records:
        order, given_s = of_record(record)
        ended = outcome(record)
        if ended is None:
            still.append(record)
        if order in (codes.HOLD, codes.HOLD_END):
            held = _held(held, order, record, given_s, now_s)
        if order not in _SUPPLY:
            continue
        if record.sent and record.issued_s > now_s - HOUR_S:
            in_hour += 1
        after = step(state, _SUPPLY[order])
        if ended is not None:
            reached = TABLE[after, ended][0]
            after = state if reached == BEFORE else reached
        if after == TIMED and ended == DONE and (record.answered_s or 0) + given_s <= now_s:
            after = step(after, OVER)
        if after != state:
            state, by_id = after, record.id
    return Standing(state, by_id, held, in_hour, tuple(still))


def step(state: str, event: str) -> str:
    return TABLE[state, event][0]


def _held(before: bool, order: int, record: Record, given_s: int, now_s: int) -> bool:
    """Whether hold-supply may be in force; in doubt it is, until its time is over."""
    ended = outcome(record)
    if order == codes.HOLD_END:
        return before and ended != DONE
    if ended == NOT_DONE:
        return before
    from_s = record.answered_s if ended == DONE and record.answered_s else record.expires_s
    return not given_s or from_s + given_s > now_s


def replaced(at: Standing, order: int) -> list[Record]:
    """The open orders whose place this one takes."""
    group = next(each for each in _GROUPS if order in each)
    return [record for record in at.open if of_record(record)[0] in group]


def event_of(order: int) -> str | None:
    """The event of an order in TABLE; None for those that move no relay."""
    return _SUPPLY.get(order)


def refusal(kind: str, conditions: Iterable[str]) -> str | None:
    """The first condition, in the order of REFUSALS, that forbids an order."""
    holding = set(conditions)
    for condition, row in REFUSALS.items():
        if condition in holding and kind in row.orders:
            return condition
    return None
