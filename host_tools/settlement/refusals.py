"""The log of rejected messages: one line for the first of a module and reason, then a count.

A module that floods us, or somebody who makes up module names, cannot fill the log: after a line
the same kind is silent for WINDOW_MS, and then tells how many there were. Beyond KINDS_MAX names
at a time they share the line of their reason.
"""

import logging
from collections.abc import Mapping

from protocol.words import REASONS

WINDOW_MS = 60000
KINDS_MAX = 1000
OTHERS = "others"

log = logging.getLogger(__name__)


class Refusals:
    """`refused` for each one, `look` now and then so that counts are told when a flood is over."""

    def __init__(self) -> None:
        # {(module, reason): [when the last line was, suppressed since]}
        self._kinds: dict[tuple[str, int], list[int]] = {}

    def refused(
        self, topic: str, module: str | None, reason: int, detail: str, ticks_ms: int
    ) -> None:
        kind = module or "", reason
        known = self._kinds.get(kind)
        if known is None and len(self._kinds) >= KINDS_MAX:
            kind = OTHERS, reason
            known = self._kinds.get(kind)
        if known is not None and ticks_ms - known[0] < WINDOW_MS:
            known[1] += 1
            return
        suppressed = known[1] if known else 0
        self._kinds[kind] = [ticks_ms, 0]
        text = f"rejected {topic}: {REASONS[reason]} {detail}".rstrip()
        extra = {"module_id": module, "reason": REASONS[reason], "detail": detail, "topic": topic}
        _tell(text, suppressed, extra)

    def look(self, ticks_ms: int, over: bool = False) -> None:
        """Tells what was suppressed in windows that have ended, or in all of them."""
        for kind, (since_ms, suppressed) in list(self._kinds.items()):
            if ticks_ms - since_ms < WINDOW_MS and not over:
                continue
            if not suppressed:
                del self._kinds[kind]
                continue
            self._kinds[kind] = [ticks_ms, 0]
            module, reason = kind
            text = f"rejected from {module or 'no module'}: {REASONS[reason]}"
            _tell(text, suppressed, {"module_id": module or None, "reason": REASONS[reason]})


def _tell(text: str, suppressed: int, extra: Mapping[str, object]) -> None:
    if suppressed:
        text += f" ({suppressed} more since the last such line)"
    log.warning("%s", text, extra={**extra, "suppressed": suppressed})
