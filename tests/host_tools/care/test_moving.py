"""What was ordered and not heard before a replacement goes where the customer goes."""

from pathlib import Path

from host_tools.backup import archive
from host_tools.settlement import commands, posting
from protocol import codes, ledger
from tests.host_tools.care.street import CUR, NEW, OLD, Street, begun, opened, paid

WEEK_S = 604800


def debt(street: Street, which: int, owed_cur: int) -> int:
    """Orders the old module to recover a debt; the command's id."""
    args: list[object] = [which, owed_cur * CUR, CUR, WEEK_S]
    with street.store.transaction():
        what = (OLD, 0, codes.DEBT, args, street.desk.clock.s, 365 * 86400)
        return commands.issue(street.store, *what)


def agreed(street: Street) -> list[list[int]]:
    """The arguments of the debts that the new module is ordered, and may hear, in their order."""
    found = street.ordered(NEW, 0, codes.DEBT)
    return [commands.args_of(each.args) for each in found if each.state != "expired"]


def test_a_debt_that_the_old_module_never_heard_of_is_agreed_with_the_new_one(
    street: Street,
) -> None:
    begun(street)
    debt(street, 1, 9)
    debt(street, 1, 12)
    debt(street, 3, 4)
    street.replace()
    street.replace()
    opened(street)
    street.settle(OLD)
    assert agreed(street) == [[1, 12 * CUR, CUR, WEEK_S], [3, 4 * CUR, CUR, WEEK_S]]
    street.settle()
    street.agreed()


def test_a_debt_that_is_agreed_anew_on_the_way_is_the_one_that_counts(street: Street) -> None:
    begun(street)
    debt(street, 1, 9)
    street.settle(NEW)
    street.old.tell(codes.DEBT_LEFT, 1, 9 * CUR)
    debt(street, 1, 20)
    street.replace()
    opened(street)
    street.settle(OLD)
    assert agreed(street) == [[1, 20 * CUR, CUR, WEEK_S]]


def test_a_debt_that_the_old_module_heard_of_and_told_late_is_what_it_left(
    street: Street,
) -> None:
    begun(street)
    debt(street, 1, 9)
    street.look(NEW)  # the old one agrees, and is silent
    street.replace()
    opened(street)
    street.settle(OLD)
    street.old.tell(codes.DEBT_LEFT, 1, 9 * CUR)
    state = street.old.state
    street.old.ledger.enter(ledger.recovered(state, state.time_s + 9, 0, 1, 2 * CUR))
    street.truth.enter(ledger.recovered(street.truth.state, state.time_s + 9, 0, 1, 2 * CUR))
    street.settle()
    assert agreed(street)[-1] == [1, 7 * CUR, CUR, WEEK_S]
    assert street.store.ledgers.differences() == []
    street.agreed()


def test_a_payment_that_had_moved_before_a_restore_is_not_sent_once_more(
    street: Street, tmp_path: Path
) -> None:
    """The store has forgotten that it was replaced; the new module still has its records."""
    begun(street)
    paid(street, OLD, 25, "cash-2")  # nobody hears of it
    archive.take(street.desk.place, tmp_path / "backup", street.desk.clock.s)
    street.replace()
    opened(street)
    street.settle(OLD)
    street.back_to(tmp_path / "backup", tmp_path / "new")
    street.new.sent_seq = 0
    street.new.send()
    street.replace()
    street.settle(OLD)
    street.done("adopt", NEW, "events", "--who", "Li Na", "--why", "disk failed")
    street.settle(OLD)
    assert street.new.state.topups_ncur == 25 * CUR
    assert street.balance(NEW) == street.truth.state.balance_ncur
    assert street.store.ledgers.accounts()["CNY", posting.IN_FLIGHT] == 0
    assert street.store.payments.uncredited(street.store.fleet.point_known(NEW, 0).id) == []
    street.sound()
