"""What a check says: which code, from when to when, what is to be done, and the figures.

`detail` is figures and signs, the same in every language; the words are in table.py.
"""

from dataclasses import dataclass
from typing import TypeAlias

# What is to be done about a finding.
DROP, REJECT, QUARANTINE, BLOCK = "drop", "reject", "quarantine", "block"
REALIGN, ESTIMATE, HOLD, TAMPER = "re-align", "estimate", "hold", "tamper event"
FLAG, WARN, REVIEW, LATE, BLOCK_BILL = "flag", "warn", "review", "late data", "block bill"

# An interval under one of these is never billed as it stands.
UNBILLABLE = frozenset((REJECT, QUARANTINE, BLOCK, ESTIMATE, HOLD, TAMPER))
# These take the value away, so that the interval is estimated.
UNUSABLE = frozenset((REJECT, QUARANTINE, BLOCK, ESTIMATE))


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    code: str
    start_s: int
    end_s: int
    action: str
    detail: str


# None: the check could not run, because what it needs was not told. That is not a pass.
Found: TypeAlias = list[Finding] | None
