"""`gridpurse validate`: master data of a point, a day once more, two programs at once."""

import pytest

from host_tools.store.held import Overtaken
from host_tools.validation import following, journal
from host_tools.validation.days import days_of
from host_tools.validation.following import Follower
from host_tools.validation.versions import connection_of
from protocol import codes, tariff
from protocol.tariff import Position
from tests.host_tools.desk import TOU_BOOK
from tests.host_tools.genuine import PointLedger
from tests.host_tools.ordering.orderly import file_of
from tests.host_tools.validation.judged import DAY, MIDNIGHT_S, Judged
from tests.host_tools.validation.test_following import leaping

METER = """usage_point = "CN-330100-000123"
device = "m1"
meter = "SN-4711"
zone = "Asia/Shanghai"
current_max_ma = 100_000
"""


def test_a_meter_file_says_what_the_connection_can_carry(judged: Judged) -> None:
    path = file_of(judged.desk.folder, "meter.toml", METER)
    judged.shown("validate", "m1", 0, "--meter", path, "--by", "Li Na")
    judged.meter(DAY, leaping)
    assert judged.shown("validate")["reviews"] == 0
    # As Notepad writes it, with a mark before the text.
    path.write_text(METER.replace("100_000", "20_000"), encoding="utf-8-sig")
    judged.shown("validate", "m1", 0, "--meter", path, "--by", "Li Na")
    judged.meter(1)
    assert judged.shown("validate")["reviews"] > 0


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        (METER, ("m1", "--by", "Li Na"), "--meter: name module and point"),
        (METER, ("m1", 0), "--by: name the person"),
        ("zone = 1", ("m1", 0, "--by", "Li Na"), "usage_point: is missing"),
        ("zone = ", ("m1", 0, "--by", "Li Na"), "meter.toml"),
        (METER, ("m9", 0, "--by", "Li Na"), "no such service point"),
    ],
)
def test_a_bad_meter_file_is_one_line_and_is_not_kept(
    judged: Judged, text: str, words: tuple[object, ...], line: str
) -> None:
    path = file_of(judged.desk.folder, "meter.toml", text)
    assert line in judged.refusal("validate", *words, "--meter", path)
    assert judged.orderly.rows("vee_meters") == 0


def test_a_day_is_checked_once_more_with_what_came_later(judged: Judged) -> None:
    """The relay was open at noon; the module told so only when it was on line again."""
    judged.meter(2 * DAY)
    judged.validate()
    for code, at_s in ((codes.RELAY_OPENED, 12 * 3600), (codes.RELAY_CLOSED, 14 * 3600)):
        judged.orderly._seq += 1
        item = [MIDNIGHT_S + at_s, 0, code, 0, [1, 0, 0, 0]]
        judged.desk.take(judged.desk.sender.events(judged.orderly._seq, item))
    assert judged.shown("validate", "--again", "2026-01-02")["reviews"] == 1
    (item,) = judged.shown("review", "list")
    assert (item["code"], item["action"], item["blocks_bill"]) == ("V17", "hold", True)
    (day,) = days_of(judged.store, judged.point(), 20455, 20455)
    assert "V17" in day.failed.split() and day.quality == "A"
    assert judged.shown("validate", "--again", "2026-01-02")["reviews"] == 0
    assert "must be a date such as" in judged.refusal("validate", "--again", "yesterday")


def test_a_tariff_assigned_for_a_day_that_is_past_is_priced_by(judged: Judged) -> None:
    """Once more for the day, and once more back again."""
    judged.meter(3 * DAY)
    judged.validate()
    with judged.store.transaction():
        judged.store.fleet.store_book("tou", TOU_BOOK, 0)
        for version, day in ((TOU_BOOK.version, 1), (judged.made.book.version, 2)):
            judged.store.fleet.assign(1, version, MIDNIGHT_S + day * 86_400)
    assert judged.shown("validate", "m1", "--again", "2026-01-03")["adjustments"] == 1
    (sent,) = judged.adjusted()
    rows = [row for row in journal.rows_of(judged.store, 1, 1) if row.is_charge()]
    day = rows[DAY : 2 * DAY]
    position, asked_ncur = Position(0, 0), 0
    for row in day:
        what = (TOU_BOOK, position, row.from_s, row.time_s, row.energy_wh)
        amount_ncur, position, _ = tariff.charge(*what)
        asked_ncur += amount_ncur
    assert sent.args[1] == -sum(row.amount_ncur for row in day) - asked_ncur
    with judged.store.transaction():
        judged.store.fleet.assign(1, judged.made.book.version, MIDNIGHT_S + 86_400)
    assert judged.shown("validate", "m1", "--again", "2026-01-03")["adjustments"] == 1
    (back,) = judged.adjusted()
    assert back.args[1] == -sent.args[1] and judged.balanced()


def test_two_programs_validate_each_entry_once(judged: Judged) -> None:
    judged.meter(DAY, leaping)
    both = (Follower(judged.store, judged.desk.clock.now_s), judged.follower)
    assert [each.turn(lambda: False).entries for each in both] == [DAY + 1, 0]
    assert judged.orderly.rows("vee_reviews") == 1


def test_who_is_overtaken_keeps_nothing(judged: Judged) -> None:
    judged.meter(DAY)
    with pytest.raises(Overtaken), judged.store.transaction():
        following._move(judged.store, 1, (7, 1), (9, 1))
    db = connection_of(judged.store)
    assert db.execute("SELECT COUNT(*) FROM vee_marks").fetchall() == [(0,)]


def test_a_long_backlog_is_worked_off_in_pieces(judged: Judged) -> None:
    judged.meter(5 * DAY)
    found = [judged.follower.turn(lambda: True).days for _ in range(6)]
    assert found == [1, 1, 1, 1, 0, 0]
    assert judged.follower.left == 0


def test_a_point_that_cannot_be_validated_keeps_no_other_waiting(judged: Judged) -> None:
    """A meter file that a newer program does not understand any more."""
    judged.meter(DAY)
    other = PointLedger("m1", 1, judged.made.book)
    other.open(MIDNIGHT_S)
    other.charge(250)
    judged.desk.take(other.batch(1, 2))
    db = connection_of(judged.store)
    db.execute("INSERT INTO vee_meters VALUES (1, 1, 'zone = 1', 'Li Na', 0)")
    assert judged.validate().entries == 2
    code, out, err = judged.orderly.run("validate")
    assert (code, err) == (1, "") and "m1/0: not validated: meter file of m1/0" in out
    db.execute("INSERT INTO vee_meters VALUES (1, 2, ?, 'Li Na', 0)", (METER,))
    assert judged.shown("validate")["entries"] == DAY + 1
