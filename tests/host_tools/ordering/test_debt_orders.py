"""A recovered debt needs an order that the module has taken, or may have taken."""

import pytest

from protocol import codes, ledger
from protocol.units import DAY_S, NCUR_PER_CUR, SYNCHRONISED
from tests.host_tools.ordering.orderly import Orderly

DEBT = ("debt", "m1", 0, "payment", "20", "--percent", 25, "--reference", "d1")


def recovered(orderly: Orderly) -> None:
    """The module takes five of a debt by payment."""
    made = orderly.desk.opened(charges=1)
    state = made.state
    entry = (state, state.time_s + 1, SYNCHRONISED, 3, 5 * NCUR_PER_CUR)
    made.enter(ledger.recovered(*entry))
    orderly.desk.take(made.batch(1, len(made.entries)))


@pytest.mark.parametrize(
    ("story", "found"),
    [
        ("done", []),
        ("sent, no answer yet", []),
        ("sent, expired without an answer", []),
        ("refused", ["tamper"]),
        ("expired, says the module", ["tamper"]),
        ("expired, never sent", ["tamper"]),
        ("never ordered", ["tamper"]),
    ],
)
def test_what_the_module_has_not_taken_owes_nothing(
    orderly: Orderly, story: str, found: list[str]
) -> None:
    if story != "never ordered":
        command_id = orderly.order(*DEBT)["id"]
    if story not in ("never ordered", "expired, never sent"):
        orderly.sent()
    if story == "done":
        orderly.answer(command_id)
    elif story == "refused":
        orderly.answer(command_id, codes.REFUSED_FIELD)
    elif story == "expired, says the module":
        orderly.answer(command_id, codes.REFUSED_EXPIRED)
    elif "expired" in story:
        orderly.desk.clock.s += 400 * DAY_S
        orderly.sent()
    recovered(orderly)
    assert orderly.desk.differences() == found
