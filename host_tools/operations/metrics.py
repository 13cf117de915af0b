"""The numbers of a worker in Prometheus' text format (version 0.0.4), made from integers.

https://prometheus.io/docs/instrumenting/exposition_formats/ - about forty lines, so that no client
library and no float stands in the settling process.
"""

from collections.abc import Iterable, Mapping

from host_tools.operations.figures import StoreFigures
from host_tools.settlement import inbox, settle
from host_tools.settlement.counters import CLASSES_MS, Counters, Durations
from host_tools.validation import mending
from protocol.words import REASONS

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "gridpurse_"
CLASSES = (
    settle.ROLLBACK,
    settle.VERSION,
    settle.TAMPER,
    settle.SWAP,
    settle.UNEXPLAINED,
    inbox.MISSING,
    mending.NO_CLOCK,
)

# name: (type, help); docs/operator.md has every one of them.
METRICS = {
    "messages_total": ("counter", "Messages committed, refused ones included."),
    "readings_total": ("counter", "Records of accepted batches, repeated ones included."),
    "rejects_total": ("counter", "Messages refused by this worker, by reason."),
    "batches_total": ("counter", "Transactions committed."),
    "overtaken_total": ("counter", "Batches given up because a shard had another owner."),
    "acknowledgements_total": ("counter", "Acknowledgements sent to modules."),
    "batch_seconds": ("histogram", "Transaction of a batch from opening seals to commit."),
    "commit_seconds": ("histogram", "Writing the rows of a batch and the sync to disk."),
    "backlog_messages": ("gauge", "Messages known to wait at the broker or in hand, at least."),
    "validated_total": ("counter", "Settled entries that validation has looked at."),
    "validation_waiting_points": ("gauge", "Points known to wait for validation."),
    "reviews_open": ("gauge", "Doubtful readings that wait for a person, of the whole store."),
    "shards_held": ("gauge", "Shards whose lease this worker holds."),
    "connected": ("gauge", "1 while the broker serves every shard held."),
    "turn_age_seconds": ("gauge", "Since the settling loop last began a turn."),
    "newest_reading_age_seconds": ("gauge", "Age of the newest interval among the last settled."),
    "commands_open": ("gauge", "Commands without a result, of the whole store."),
    "parked_batches": ("gauge", "Batches that wait for a gap to close, of the whole store."),
    "differences_open": ("gauge", "Open differences by class; unexplained must be 0."),
    "store_readable": ("gauge", "0 when the figures of the store could not be read."),
}


def text(counters: Counters, store: StoreFigures | None, now_s: int, ticks_ms: int) -> str:
    """The page of one scrape; without the store's figures when they could not be read."""
    values: dict[str, list[str]] = {
        "messages_total": [f" {counters.messages}"],
        "readings_total": [f" {counters.readings}"],
        "rejects_total": _labelled("reason", REASONS.values(), _by_reason(counters)),
        "batches_total": [f" {counters.batches}"],
        "overtaken_total": [f" {counters.overtaken}"],
        "acknowledgements_total": [f" {counters.acknowledgements}"],
        "batch_seconds": _histogram(counters.batch),
        "commit_seconds": _histogram(counters.commit),
        "backlog_messages": [f" {counters.backlog}"],
        "validated_total": [f" {counters.validated}"],
        "validation_waiting_points": [f" {counters.validation_waiting}"],
        "shards_held": [f" {len(counters.shards)}"],
        "connected": [f" {int(counters.connected)}"],
        "turn_age_seconds": [f" {_seconds(max(0, ticks_ms - counters.turned_ms))}"],
        "store_readable": [f" {int(store is not None)}"],
    }
    if store is not None:
        if store.newest_s is not None:
            values["newest_reading_age_seconds"] = [f" {now_s - store.newest_s}"]
        values["commands_open"] = [f" {store.commands_open}"]
        values["reviews_open"] = [f" {store.reviews_open}"]
        values["parked_batches"] = [f" {store.parked}"]
        names = sorted({*CLASSES, *store.differences_open})
        values["differences_open"] = _labelled("class", names, store.differences_open)
    lines = []
    for name, (kind, what) in METRICS.items():
        if name in values:
            lines += [f"# HELP {PREFIX}{name} {what}", f"# TYPE {PREFIX}{name} {kind}"]
            lines += [f"{PREFIX}{name}{value}" for value in values[name]]
    return "\n".join(lines) + "\n"


def _by_reason(counters: Counters) -> dict[str, int]:
    return {REASONS[reason]: number for reason, number in counters.rejects.copy().items()}


def _labelled(label: str, names: Iterable[str], values: Mapping[str, int]) -> list[str]:
    """A sample for each name, 0 included: a rate needs the sample before the first one."""
    return [f'{{{label}="{name}"}} {values.get(name, 0)}' for name in names]


def _histogram(durations: Durations) -> list[str]:
    out, below = [], 0
    count, sum_ms = durations.count, durations.sum_ms
    for most_ms, number in zip(CLASSES_MS, durations.classes, strict=True):
        below += number
        out.append(f'_bucket{{le="{_seconds(most_ms)}"}} {below}')
    # Another thread counts on: the total is never less than its parts.
    total = max(count, below)
    return [*out, f'_bucket{{le="+Inf"}} {total}', f"_sum {_seconds(sum_ms)}", f"_count {total}"]


def _seconds(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03d}"
