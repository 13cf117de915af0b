"""What a person orders: checked before it is queued, queued once, repeated until answered."""

import json

import pytest

from firmware.point import COMMAND_WINDOW
from host_tools import Refused
from host_tools.ordering import kinds
from host_tools.settlement import commands
from host_tools.tariffs import stored
from protocol import codes
from protocol.units import DAY_S, MODULE_TARGET, NCUR_PER_CUR
from tests.host_tools.desk import BOOK, TOU_BOOK
from tests.host_tools.genuine import ROOT
from tests.host_tools.ordering.orderly import Orderly, file_of

ON_BOTH = True

CUR = NCUR_PER_CUR
TARIFFS = ROOT / "host_tools" / "tariff_files"
NEWER = TARIFFS / "cn-zj-tou.toml"
SAFETY = ("trip", "--cause", "safety", "--expires", "2h")

# words, target, action, arguments
GOOD = {
    "trip": (("relay", "m1", 0, *SAFETY), 0, codes.RELAY, [codes.TRIP, 1]),
    "contract": (
        ("relay", "m1", 1, "trip", "--cause", "contract", "--expires", "2h"),
        1, codes.RELAY, [codes.TRIP],
    ),
    "permit": (("relay", "m1", 0, "permit"), 0, codes.RELAY, [codes.PERMIT_CLOSE]),
    "close": (
        ("relay", "m1", 0, "close", "--confirm-close", "--expires", "30m"),
        0, codes.RELAY, [codes.DIRECT_CLOSE],
    ),
    "timed": (
        ("relay", "m1", 0, "trip-then-permit", "--for", "2h", "--expires", "1h"),
        0, codes.RELAY, [codes.TRIP_THEN_ARM, 7200],
    ),
    "hold": (
        ("relay", "m1", 0, "hold", "--for", "7d", "--expires", "1d"),
        0, codes.RELAY, [codes.HOLD, 604800],
    ),
    "hold end": (("relay", "m1", 0, "hold-end"), 0, codes.RELAY, [codes.HOLD_END]),
    "alarm": (("relay", "m1", 0, "alarm"), 0, codes.RELAY, [codes.ALARM]),
    "adjust": (
        ("adjust", "--class", "refund", "--reference", "r1", "--", "m1", 0, "-0.000000001"),
        0, codes.ADJUST, [7, -1],
    ),
    "debt by time": (
        ("debt", "m1", 0, "time-2", "50", "--rate", "0.5", "--period", "week",
         "--reference", "d1"),
        0, codes.DEBT, [2, 50 * CUR, CUR // 2, 604800],
    ),
    "debt by payment": (
        ("debt", "m1", 0, "payment", "120.00", "--percent", 25, "--ceiling", 30,
         "--reference", "d2"),
        0, codes.DEBT, [3, 120 * CUR, 25, 30 * CUR],
    ),
    "meter": (("meter", "m1", 0, "12.5"), 0, codes.METER, [12500]),
    "clear": (("clear", "m1", 1, "tamper"), 1, codes.CLEAR, [codes.CLEAR_TAMPER]),
    "state": (("state", "m1", 0), 0, codes.STATE, []),
    "plan": (
        ("plan", "m1", "comprehensive", "--cadence", "30s", "--lasting"),
        MODULE_TARGET, codes.PLAN, [2, 30, 0],
    ),
    "clock": (("clock", "m1"), MODULE_TARGET, codes.CLOCK, []),
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD)
def test_an_order_goes_out_as_the_module_reads_it_with_its_person_and_reason(orderly, case):
    words, target, action, args = GOOD[case]
    told = orderly.order(*words)
    (sent,) = orderly.sent()
    assert (sent.id, sent.target, sent.action, sent.args) == (told["id"], target, action, args)
    assert sent.issued_s == orderly.desk.clock.s < sent.expires_s == told["expires_s"]
    orderly.answer(sent.id)
    row = orderly.listed()[-1]
    assert (row["state"], row["answer"]) == ("done", "done")
    assert (row["who"], row["why"]) == ("Li Na", "work order 7")


BAD = {
    "no expiry": (("relay", "m1", 0, "trip", "--cause", "safety"), "--expires"),
    "late trip": (("relay", "m1", 0, *SAFETY[:-1], "25h"), "within a day"),
    "late close": (
        ("relay", "m1", 0, "close", "--confirm-close", "--expires", "2d"),
        "within a day",
    ),
    "no cause": (("relay", "m1", 0, "trip", "--expires", "1h"), "--cause credit, contract"),
    "close without word": (("relay", "m1", 0, "close", "--expires", "1h"), "--confirm-close"),
    "hold for ever": (("relay", "m1", 0, "hold", "--expires", "1h"), "--for"),
    "hold too long": (
        ("relay", "m1", 0, "hold", "--for", "32d", "--expires", "1h"), "31d at most",
    ),
    "permit for a time": (("relay", "m1", 0, "permit", "--for", "1h"), "takes no --for"),
    "no such point": (("relay", "m1", 7, "permit"), "m1/7: no such service point"),
    "no such module": (("plan", "m9", "ordinary", "--lasting"), "m9: no such module"),
    "no such clock": (("clock", "m9"), "m9: no such module"),
    "expiry over": (("state", "m1", 0, "--expires", "2026-01-01T00:00Z"), "is over already"),
    "expiry without zone": (("state", "m1", 0, "--expires", "2027-01-01T00:00"), "add the zone"),
    "expiry far": (("state", "m1", 0, "--expires", "400d"), "within a year"),
    "expiry nonsense": (("state", "m1", 0, "--expires", "soon"), "write 2h, 7d or"),
    "amount in words": (
        ("adjust", "m1", 0, "ten", "--class", "refund", "--reference", "a"), "amount 'ten'",
    ),
    "amount too fine": (
        ("adjust", "m1", 0, "0.0000000001", "--class", "refund", "--reference", "a"), "amount",
    ),
    "amount too large": (
        ("adjust", "m1", 0, "9223372037", "--class", "refund", "--reference", "a"), "beyond",
    ),
    "amount of nothing": (
        ("adjust", "m1", 0, "0.00", "--class", "refund", "--reference", "a"), "corrects nothing",
    ),
    "debt without rate": (("debt", "m1", 0, "time-1", "5", "--reference", "a"), "add --rate"),
    "debt of two kinds": (
        ("debt", "m1", 0, "payment", "5", "--percent", 1, "--rate", "1", "--reference", "a"),
        "no --rate",
    ),
    "percent": (
        ("debt", "m1", 0, "payment", "5", "--percent", 101, "--reference", "a"), "0 to 100",
    ),
    "negative debt": (
        ("debt", "--percent", 1, "--reference", "a", "--", "m1", 0, "payment", "-5"), "0 or more",
    ),
    "register": (("meter", "m1", 0, "12.3456"), "must be kWh"),
    "plan without end": (("plan", "m1", "ordinary"), "--until"),
    "plan with two ends": (("plan", "m1", "ordinary", "--until", "1d", "--lasting"), "--until"),
    "cadence": (("plan", "m1", "ordinary", "--cadence", "25h", "--lasting"), "a day at most"),
    "older tariff": (("tariff", "m1", 0, "OLDER"), "is older than"),
    "no tariff file": (("tariff", "m1", 0, "/none.toml"), "/none.toml: No such file"),
    "not our currency": (("tariff", "m1", 0, TARIFFS / "us-pge-e1.toml"), "CNY is needed"),
    "no reason": (("state", "m1", 0, "--reason", " "), "--reason: write 1 to 200"),
    "two lines of reason": (("state", "m1", 0, "--reason", "a\nb"), "on one line"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_no_module_would_do_is_one_line_and_nothing_is_queued(orderly, case):
    words, line = BAD[case]
    older = (TARIFFS / "cn-bj-2012.toml").read_text(encoding="utf-8")
    path = file_of(orderly.desk.folder, "older.toml", older.replace("version = 1", "version = 1"))
    if "OLDER" in words:
        orderly.order("tariff", "m1", 0, NEWER)
    queued = orderly.rows("commands")
    words = [path if word == "OLDER" else word for word in words]
    assert line in orderly.refusal(*words)
    assert orderly.rows("commands") == queued and not orderly.rows("command_notes") > queued


def test_a_reference_is_ordered_once_and_means_one_order(orderly):
    words = ("adjust", "m1", 0, "3.20", "--class", "goodwill", "--reference", "case-9")
    first = orderly.order(*words)
    again = orderly.order(*words)
    assert first["id"] == again["id"] and orderly.rows("commands") == 3
    other = ("adjust", "m1", 0, "3.30", "--class", "goodwill", "--reference", "case-9")
    assert f"is command {first['id']} of m1" in orderly.refusal(*other)
    (sent,) = orderly.sent()
    orderly.answer(sent.id)
    assert orderly.order(*words)["state"] == "done"
    assert not orderly.sent(later_ms=1 << 30)


def test_money_needs_a_reference(orderly, capsys):
    with pytest.raises(SystemExit):
        orderly.order("adjust", "m1", 0, "3.20", "--class", "goodwill")
    assert "--reference" in capsys.readouterr().err


def test_a_dry_run_checks_everything_and_leaves_nothing(orderly):
    before = [orderly.rows(table) for table in ("commands", "command_notes", "assignments")]
    told = orderly.order("tariff", "m1", 0, NEWER, "--dry-run")
    assert (told["id"], told["state"]) == (None, "not queued")
    assert before == [
        orderly.rows(table) for table in ("commands", "command_notes", "assignments")
    ]
    assert "--expires" in orderly.refusal(
        "relay", "m1", 0, "trip", "--cause", "safety", "--dry-run"
    )
    assert not orderly.sent()


def test_both_languages_are_on_the_line(orderly):
    code, out, _ = orderly.run("command", "state", "m1", 0, "--by", "李娜", "--reason", "核对")
    assert code == 0 and out.startswith("command 3 命令: m1/0 statement 申报状态, queued 待发")
    code, out, _ = orderly.run("commands", "m1")
    assert "李娜" in out and "核对" in out and "answer 答复" in out


def test_a_command_without_an_answer_is_repeated_as_it_was_and_ends_with_its_time(orderly):
    told = orderly.order("state", "m1", 0, "--expires", "1h")
    first, again = orderly.sent(), orderly.sent(later_ms=15000)
    assert first == again and len(first) == 1
    assert orderly.listed("--open")[0]["sent"] == 2
    orderly.desk.clock.s += 3600
    assert not orderly.sent(later_ms=60000)
    row = orderly.listed()[-1]
    assert (row["id"], row["state"], row["answer"]) == (told["id"], "expired", None)


def test_an_answer_that_comes_after_the_expiry_is_what_happened(orderly):
    told = orderly.order("state", "m1", 0, "--expires", "1h")
    orderly.sent()
    orderly.desk.clock.s += 3600
    orderly.sent(later_ms=60000)
    orderly.answer(told["id"])
    assert orderly.listed()[-1]["state"] == "done"


@pytest.mark.parametrize(
    ("status", "state", "answer"),
    [
        (codes.ALREADY, "done", "already applied"),
        (codes.REFUSED_EXPIRED, "expired", "expired"),
        (codes.REFUSED_CLOCK, "refused", "clock invalid"),
        (codes.REFUSED_HELD, "refused", "held open by credit"),
        (codes.REFUSED_FULL, "refused", "no room in the file system"),
    ],
)
def test_every_answer_is_told_in_words(orderly, status, state, answer):
    told = orderly.order("relay", "m1", 0, "close", "--confirm-close", "--expires", "1h")
    orderly.sent()
    orderly.answer(told["id"], status)
    row = orderly.listed()[-1]
    assert (row["state"], row["answer"]) == (state, answer)


def test_a_tariff_that_is_stored_goes_out_as_it_is_charged_by(orderly, monkeypatch):
    """Newer data of time zones may make another book of the same file."""
    with orderly.desk.store.transaction():
        version = stored.add(orderly.desk.store, NEWER, orderly.desk.clock.s).version
    kept = orderly.desk.store.fleet.book(version)
    moved = [(from_s + 3600, rates) for from_s, rates in kept.rates]
    monkeypatch.setattr(kinds.tariffs, "read_book", lambda path: kept._replace(rates=moved))
    orderly.order("tariff", "m1", 0, NEWER)
    (sent,) = orderly.sent()
    assert sent.args == commands.tariff_args(kept)


def test_a_tariff_is_assigned_and_ordered_and_never_goes_back(orderly):
    told = orderly.order("tariff", "m1", 0, NEWER)
    (sent,) = orderly.sent()  # a transaction, in which the owner of the shard reads what is new
    point = orderly.desk.store.fleet.point_known("m1", 0)
    assigned = orderly.desk.store.fleet.assigned(point.id, orderly.desk.clock.s)
    assert assigned is not None and assigned > BOOK.version
    assert (sent.id, sent.args[0][0]) == (told["id"], assigned)
    assert f"is older than {assigned}" in orderly.refusal(
        "tariff", "m1", 0, TARIFFS / "cn-bj-2012.toml"
    )


def test_the_history_of_a_point_leaves_others_out(orderly):
    orderly.order("state", "m1", 1)
    orderly.order("plan", "m1", "ordinary", "--lasting")
    assert {row["point"] for row in orderly.listed(1)} == {1}
    assert [row["order"] for row in orderly.listed("--open")] == [
        "statement", "monitoring plan ordinary",
    ]  # fmt: skip


def test_a_payment_stands_in_the_history_as_the_hosts_own(orderly):
    code, _, err = orderly.run("topup", "m1", 0, "5.00", "--reference", "cash-1")
    assert code == 0, err
    row = orderly.listed()[-1]
    assert (row["order"], row["who"]) == ("top-up 2: 5.00", "host")


def test_commands_of_one_point_never_leave_an_unanswered_one_behind_the_modules_window(orderly):
    """The module remembers 32 ids: an older one that it never got would count as applied."""
    lost = orderly.order("clear", "m1", 0, "tamper")["id"]
    orderly.sent()
    for _ in range(34):
        orderly.order("state", "m1", 0)
        for command in orderly.sent():
            if command.id != lost:
                assert command.id < lost + 32
                orderly.answer(command.id)
    orderly.answer(lost)
    assert lost + 32 in [command.id for command in orderly.sent(later_ms=1)]


SETTINGS = """version = 2
module = "m1"
shard = 0
broker_host = "10.0.0.1"
broker_port = 1883
broker_user = "m1"
keepalive_s = 60
poll_ms = 2000
batch_records = 8
rs485_baud = 9600
rs485_parity = 0
"""
POINT = """
[[points]]
point = %d
meter = 1
meter_map = "sdm120"
unit = 1
pulse_channel = 0
imp_per_kwh = 0
register_base_wh = 0
current_max_ma = 45000
relay = 0
warning_1_ncur = 5000000000
warning_2_ncur = 2000000000
limit_ncur = 0
rearm_ncur = 1000000000
cap_ncur = 1000000000000
topup_max_ncur = 500000000000
auto_close = 0
"""
WHOLE = SETTINGS + POINT % 0 + POINT % 1


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ([], "on trial"),
        ([(2, codes.CONFIRMED)], "confirmed"),
        ([(1, codes.ROLLED_BACK)], "taken back"),
    ],
)
def test_settings_are_tried_and_shown_as_kept_or_taken_back(orderly, told, state):
    path = file_of(orderly.desk.folder, "m1.toml", WHOLE)
    orderly.order("config", "m1", path)
    (sent,) = orderly.sent()
    assert sent.target == MODULE_TARGET and 7 not in sent.args[0]  # the password stays there
    orderly.answer(sent.id)
    for args in told:
        orderly.tell(codes.CONFIG_SET, *args)
    assert orderly.listed()[-1]["state"] == state


@pytest.mark.parametrize(
    ("was", "now", "line"),
    [
        ("poll_ms = 2000", "poll_ms = 1", "poll_ms: must be a whole number from 100 to 300000"),
        ("poll_ms = 2000", "pole_ms = 1", "pole_ms: is unknown"),
        ("version = 2", "version = 0", "version: must be a whole number from 1"),
        ('module = "m1"', 'module = "m2"', "must stay m1 and 0"),
        ("shard = 0", "shard = 1", "must stay m1 and 0"),
        ("broker_port", 'broker_password = "x"\nbroker_port', "leave it out"),
        ("point = 1", "point = 2", "points must be those of the store: 0, 1"),
        ("rearm_ncur = 1000000000", "rearm_ncur = 0", "must be above limit_ncur"),
    ],
)
def test_settings_that_no_module_would_try_are_refused(orderly, was, now, line):
    path = file_of(orderly.desk.folder, "m1.toml", WHOLE.replace(was, now))
    assert line in orderly.refusal("config", "m1", path)


def test_settings_must_be_newer_than_those_that_run(orderly):
    orderly.desk.take(orderly.desk.sender.hello({})._replace(config_version=2))
    path = file_of(orderly.desk.folder, "m1.toml", WHOLE)
    assert "version 2 must be above 2, which runs now" in orderly.refusal("config", "m1", path)


def test_what_does_not_fit_a_message_is_refused(orderly):
    args = [bytes(4000)]
    wanted = kinds.Wanted("m1", 0, codes.CONFIG, args, 1, "settings version 2", "")
    with pytest.raises(Refused, match="a module takes 4096; shorten"):
        kinds.within_message(wanted, orderly.desk.clock.s)
    fits = kinds.Wanted("m1", 0, codes.CONFIG, [b""], 1, "", "")
    assert kinds.within_message(fits, orderly.desk.clock.s) is fits


def test_the_window_of_ids_is_the_modules(orderly):
    assert commands.IDS_MAX == COMMAND_WINDOW >= commands.OPEN_MAX


BAD_REFERENCES = ("", " ", "a\nb", "a\tb", "\u200b", "\u3000", "r" * 65)


@pytest.mark.parametrize("reference", BAD_REFERENCES, ids=repr)
def test_a_reference_is_a_line_that_can_be_read(orderly: Orderly, reference: str) -> None:
    before = [orderly.rows(table) for table in ("topups", "commands", "receipts")]
    words = ("topup", "m1", 0, "5.00", "--reference", reference)
    for more in ((), ("--again",), ("--new",)):
        code, out, err = orderly.run(*words, *more)
        assert (code, out) == (2, "") and err.count("\n") == 1, err
        assert "1 to 64 printable" in err and "缴费凭证号" in err
    for kind in (("adjust", "m1", 0, "1.00", "--class", "goodwill"), ("state", "m1", 0)):
        told = orderly.refusal(*kind, "--reference", reference)
        assert "1 to 64 printable" in told and "编号" in told
    assert [orderly.rows(table) for table in ("topups", "commands", "receipts")] == before


def test_blanks_around_a_reference_make_no_second_payment_or_order(orderly: Orderly) -> None:
    for reference in ("cash-1", " cash-1", "cash-1 ", " cash-1 "):
        code, out, err = orderly.run("topup", "m1", 0, "5.00", "--reference", reference, "--json")
        assert code == 0, err
        assert json.loads(out)["reference"] == "cash-1"
        told = orderly.order(
            "adjust", "m1", 0, "1.00", "--class", "goodwill", "--reference", reference
        )
        assert told["id"] == 4
    assert [orderly.rows(table) for table in ("topups", "receipts")] == [1, 1]
    assert orderly.desk.store.ledgers.accounts()["CNY", "cash clearing"] == 5 * 10**9


def test_a_reference_that_was_stored_with_blanks_stays_as_it_is(orderly: Orderly) -> None:
    store = orderly.desk.store
    with store.transaction():
        point = store.fleet.point_known("m1", 0)
        what = (point.id, point.state.mark, "cash-1 ", 5 * CUR, orderly.desk.clock.s)
        store.payments.add_topup(*what)
    code, out, err = orderly.run("topup", "m1", 0, "5.00", "--reference", "cash-1 ", "--json")
    assert code == 0, err
    assert json.loads(out)["reference"] == "cash-1 " and orderly.rows("topups") == 1


@pytest.mark.parametrize("settled", [False, True])
def test_the_later_tariff_wins_though_the_hosts_clock_stepped_back(
    orderly: Orderly, settled: bool
) -> None:
    """From now on where that clock was ahead; where readings tell that it is behind, from the
    older decision on, and none of what was charged by that one is touched."""
    store, good_s = orderly.desk.store, orderly.desk.clock.s
    if settled:
        orderly.desk.ledger.open(good_s + 1800)
        orderly.desk.clock.s = good_s + 3600
        orderly.desk.take(orderly.desk.ledger.batch(1, 1))
        orderly.desk.clock.s = good_s
    point = store.fleet.point_known("m1", 0)
    with store.transaction():
        commands.set_tariff(store, point, BOOK, good_s + 3600)
    told = orderly.order("tariff", "m1", 0, NEWER)
    from_s = good_s + 3601 if settled else good_s
    with store.transaction():
        store.fleet.restated()
        assert store.fleet.assigned(point.id, from_s - 1) == BOOK.version
        assert store.fleet.assigned(point.id, from_s) == TOU_BOOK.version
        assert store.fleet.assigned(point.id, good_s + 30 * DAY_S) == TOU_BOOK.version
    sent = orderly.sent()[-1]
    assert (sent.id, sent.issued_s) == (told["id"], from_s)
    assert sent.expires_s == good_s + commands.TARIFF_LIFE_S
    code, out, err = orderly.run("verify", "--json")
    assert (code, json.loads(out)["findings"], err) == (0, [], "")
    assert f"is older than {TOU_BOOK.version}" in orderly.refusal(
        "tariff", "m1", 0, TARIFFS / "cn-bj-2012.toml"
    )


def test_tariffs_that_are_assigned_under_a_clock_that_steps_keep_their_order(
    orderly: Orderly,
) -> None:
    store, good_s = orderly.desk.store, orderly.desk.clock.s
    point = store.fleet.point_known("m1", 0)
    books = [TOU_BOOK._replace(version=TOU_BOOK.version + place) for place in range(6)]
    for book, by_s in zip(books, (400 * DAY_S, 0, 0, -DAY_S, 500 * DAY_S, 5), strict=True):
        with store.transaction():
            store.fleet.store_book(f"book {book.version}", book, good_s)
            commands.set_tariff(store, point, book, good_s + by_s)
    with store.transaction():
        store.fleet.restated()
        last = store.fleet.assigned(point.id, 1 << 40)
    assert last == books[-1].version
    code, out, err = orderly.run("verify", "--json")
    assert (code, json.loads(out)["findings"], err) == (0, [], "")
