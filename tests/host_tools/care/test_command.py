"""`gridpurse module`: what a technician reads and orders, in both languages and as JSON."""

from pathlib import Path

import pytest

from host_tools.care import command, configuration
from protocol import codes, settings
from protocol.units import MODULE_TARGET
from tests.host_tools.care.street import CUR, NEW, OLD, Street, begun, opened

BY = ("--by", "Li Na", "--reason", "work order 7")


def test_status_tells_all_of_a_module_on_one_page(street: Street) -> None:
    begun(street)
    street.pay(OLD, 5, "cash-2")
    street.old.tell(codes.RELAY_CLOSED, 2, 40 * CUR, 0, 0)
    told = street.done("module", "status", OLD)
    (point,) = told["points"]
    assert point["balance_ncur"] == street.balance(OLD) == point["stated_balance_ncur"]
    assert (told["state"], point["in_flight"], point["missing"]) == ("silent", 1, 0)
    assert [row["order"] for row in told["waiting"]][-1].startswith("top-up")
    code, out, _ = street.run("module", "status", OLD)
    assert code == 0 and "old-1 模块: silent 未上线" in out and "stated 申报" in out
    street.replace()
    assert "new-1/0 took over" in street.run("module", "status", OLD)[1]


def test_events_and_clock_are_told_with_their_words(street: Street) -> None:
    begun(street)
    street.old.tell(codes.CLOCK_SET, 1, 2)
    street.old.tell(codes.RELAY_OPENED, 1, 0, 0, 4)
    events = street.done("module", "events", OLD)
    assert [each["event"] for each in events[-2:]] == ["clock set", "relay opened"]
    (last,) = street.done("module", "events", OLD, "--last", 1)
    assert last["event_zh"] == "跳闸" and last["args"] == [1, 0, 0, 4]
    assert [each["event"] for each in street.done("module", "clock", OLD)] == ["clock set"]
    assert "clock set 对时" in street.run("module", "clock", OLD)[1]


def test_the_clock_is_ordered_to_be_set_and_it_is_the_order_of_command(street: Street) -> None:
    begun(street)
    words = ("--set", OLD, *BY, "--reference", "c-1")
    rehearsed = street.done("module", "clock", *words, "--dry-run")
    assert rehearsed["id"] is None and street.ordered(OLD, MODULE_TARGET, codes.CLOCK) == []
    first = street.done("module", "clock", *words)
    again = street.done("command", "clock", *words[1:])
    assert first["id"] == again["id"]
    (order,) = street.ordered(OLD, MODULE_TARGET, codes.CLOCK)
    assert order.expires_s - order.issued_s == 86400
    out = street.run("module", "status", OLD)[1]
    assert f"waiting 待办 {order.id}: set the clock 立即对时, queued 待发" in out
    street.settle()
    (order,) = street.ordered(OLD, MODULE_TARGET, codes.CLOCK)
    assert order.state == "done"
    row = street.done("commands", OLD)["commands"][-1]
    assert (row["who"], row["why"]) == ("Li Na", "work order 7")
    assert street.done("module", "clock", OLD) == []


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--set", OLD), "--by"),
        (("--set", OLD, "--by", "Li Na"), "--reason"),
        (("--set", OLD, "--reason", "drifts"), "--by"),
        (("--set", OLD, "--port", "/dev/ttyUSB0", *BY), "--port"),
        (("--set", "m9", *BY), "m9: no such module"),
        ((OLD, "--by", "Li Na"), "add --set"),
        ((OLD, "--dry-run"), "add --set"),
        ((OLD, "--expires", "2h"), "add --set"),
    ],
)
def test_words_that_do_not_go_together_set_no_clock(
    street: Street, words: tuple[str, ...], line: str
) -> None:
    begun(street)
    assert line in street.refused("module", "clock", *words)
    assert street.ordered(OLD, MODULE_TARGET, codes.CLOCK) == []


def test_logs_tell_what_was_refused(street: Street) -> None:
    begun(street)
    street.old.tell(codes.REJECTED, 4)
    (row,) = street.done("module", "logs", OLD)
    assert (row["by"], row["reason"], row["count"]) == ("module", "forged", 1)
    assert "伪造" in street.run("module", "logs", OLD)[1]


def test_meter_asks_for_a_statement_once(street: Street) -> None:
    begun(street)
    for _ in range(2):
        (row,) = street.done("module", "meter", OLD)
    assert row["register_wh"] == street.old.state.register_wh
    asked = street.ordered(OLD, 0, codes.STATE)
    assert len(asked) == 1 and asked[0].state == "queued"


def test_a_relay_order_is_confirmed_and_is_the_one_of_command(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(street)
    words = (OLD, 0, "trip", "--cause", "safety", "--expires", "2h", "--reference", "r-1", *BY)
    assert "add --yes" in street.refused("module", "relay", *words)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    with monkeypatch.context() as typing:
        typing.setattr(command.sys, "stdin", Terminal("no\n"))
        assert "not confirmed" in street.refused("module", "relay", *words)
    assert street.ordered(OLD, 0, codes.RELAY) == []
    first = street.done("module", "relay", "--yes", *words)
    again = street.done("command", "relay", *words)
    assert first["id"] == again["id"]


class Terminal:
    """Somebody at the keyboard."""

    def __init__(self, typed: str) -> None:
        self.typed = typed

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self.typed


def test_a_token_is_of_the_module_that_was_named(street: Street) -> None:
    begun(street)
    street.pay(OLD, 5, "cash-2")
    told = street.done("module", "token", OLD, "cash-2", "--voucher")
    assert told == street.done("token", "cash-2", "--voucher")
    assert "is not of new-1" in street.refused("module", "token", NEW, "cash-2")


def test_settings_are_compared_key_by_key() -> None:
    place = settings.Module._fields.index("points") + 1
    has = {1: 1, 2: "gp-1", place: [{1: 0, 8: 100}]}
    wanted = {1: 2, 2: "gp-1", place: [{1: 0, 8: 200, 20: 3}, {1: 1}]}
    assert configuration.differences(has, wanted) == [
        ("version", 1, 2),
        ("points 0 current_max_ma", 100, 200),
        ("points 0 warning_1_days", None, 3),
        ("points 1 point", None, 1),
    ]


def test_without_settings_of_ours_the_console_is_asked(street: Street, tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text("version = 2\n", encoding="utf-8")
    assert "points" in street.refused("module", "config", "diff", OLD, path)


def test_replace_says_how_far_it_is(street: Street) -> None:
    begun(street)
    words = ("module", "replace", OLD, NEW, *BY)
    code, out, _ = street.run(*words)
    assert code == 0 and "等待新模块建账" in out
    opened(street)
    street.settle()
    (row,) = street.done(*words)
    assert row["state"] == "moved" and row["moved_ncur"] == street.balance(OLD)
    assert "give both" in street.refused(*words, "--old-register", "1.0")
    assert "no such point" in street.refused(
        *words, "--point", 5, "--old-register", "1.0", "--new-register", "0"
    )


def test_a_port_that_is_not_there_is_one_line(street: Street) -> None:
    line = street.refused("module", "status", OLD, "--port", "/dev/nothing-here")
    assert "/dev/nothing-here" in line and "check the cable" in line
