"""What goes wrong with a device or with what it is given: one line in two languages.

A fault is known by its name, in reports and tests; its text may change. Tables of faults are
printed in docs/technician.md and docs/provisioning.md.
"""

from dataclasses import dataclass

from host_tools import Refused

WRONG = 2  # what was asked cannot be done; nothing was changed
DEVICE = 3  # a device did not answer or did not do what it was told; run the same again
SEEN = ("", "")  # `what` of a kind that is worded where it is seen


class Fault(Refused):
    """One line: what, what to do, the same in Chinese. `detail` is for the report."""

    def __init__(self, kind: "Kind", line: str, detail: str = "") -> None:
        super().__init__(line)
        self.kind = kind
        self.exit_code = kind.exit_code
        self.detail = detail


@dataclass(frozen=True)
class Kind:
    """`what` and `remedy` in English and Chinese, with {fields} that `of` fills."""

    name: str
    exit_code: int
    what: tuple[str, str]
    remedy: tuple[str, str]

    def of(self, detail: str = "", **fields: object) -> Fault:
        english, chinese = (
            f"{what}{mark}{remedy}".format(**fields)
            for what, mark, remedy in zip(self.what, ("; ", "；"), self.remedy, strict=True)
        )
        return Fault(self, f"{english} | {chinese}", detail)

    def seen(self, what: str, remedy: tuple[str, str] | None = None) -> Fault:
        """`what` in both languages already; `remedy` where this sight has one of its own."""
        english, chinese = remedy or self.remedy
        return Fault(self, f"{what}; {english} {chinese}")
