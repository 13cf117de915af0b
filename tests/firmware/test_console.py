# runs on: cpython micropython
"""The technician's console: a line gets its answer, does no harm, and no secret is shown."""

import asyncio
import sys

from firmware import console
from firmware import point as points
from protocol import cbor, codes, words
from protocol import lockout as results
from tests.bench.mutations import Dice
from tests.firmware import desk as desks
from tests.firmware.keypad import token, voucher_digits

CUR = desks.CUR


class Port:
    """What was typed, and what came back; the end of the script cancels the reader."""

    def __init__(self, text):
        self.text = list(text)
        self.shown = ""

    async def read(self):
        if not self.text:
            raise EOFError
        return self.text.pop(0)

    def write(self, text):
        self.shown += text


def commissioned(name, count=1, **limits):
    desk = desks.Desk(desks.folder("console-" + name))
    limits.setdefault("token_unit_ncur", CUR)
    relays = (0, 255)
    items = [desks.point_settings(each, relay=relays[each], **limits) for each in range(count)]
    desks.provision(desk.root, items, desks.flat_book(), broker_password="hush-hush")
    _, firmware = desk.power_on()
    asyncio.run(firmware.metering.poll())
    return desk, firmware


def typed(firmware, text):
    firmware.board.console = port = Port(text)
    try:
        asyncio.run(console.Console(firmware).run())
    except EOFError:
        return port.shown


def answers(firmware, line):
    """Lines of the answer, without the echo."""
    shown = typed(firmware, line + "\r").split("\r\n")
    assert shown[0] == line and shown[-1] == ""
    return shown[1:-1]


def test_status_tells_money_relay_clock_network_and_what_waits():
    desk, firmware = commissioned("status")
    firmware.clock.set(desk.now_ms)
    lines = answers(firmware, "status")
    assert lines[:3] == [
        "point 用电点 0",
        "  balance 余额 0.00 CNY",
        "  relay 继电器 open 跳闸: credit exhausted 欠费",
    ]
    assert lines[3] == "clock 时钟 synchronised 已对时 2026-03-05 16:00:00Z"
    assert lines[4] == "network 网络 down 断开, broker 代理 not connected 未连接"
    assert lines[5] == "waiting 待发 %d" % firmware.outbox.waiting()
    desk.meter.register_wh += 1001  # half a unit, and what a display must not round up
    desk.now_ms += 60000
    asyncio.run(firmware.metering.poll())
    assert "  balance 余额 -0.51 CNY" in answers(firmware, "status")
    (exact,) = [line for line in answers(firmware, "STATUS  full") if "ncur" in line]
    state = firmware.points[0].state
    assert exact == "  ledger 账本 %d ncur, seq %d, %d Wh" % (
        state.balance_ncur, state.seq, state.register_wh
    )  # fmt: skip


def test_a_point_without_a_relay_and_another_point_are_named():
    _, firmware = commissioned("two", 2)
    assert "  relay 继电器 none 无" in answers(firmware, "status 1")
    assert answers(firmware, "status 1")[0] == "point 用电点 1"
    assert [line for line in answers(firmware, "meters") if line.startswith("point")] == [
        "point 用电点 0: sdm120 unit 地址 1",
        "point 用电点 1: sdm120 unit 地址 1",
    ]
    assert answers(firmware, "token " + token(2, 5)) == [
        "name the point: token POINT DIGITS 请指明用电点"
    ]
    assert answers(firmware, "token 1 " + token(2, 5, point=1))[0] == "accepted 充值成功"
    assert not firmware.points[0].state.topups_ncur
    assert firmware.points[1].state.topups_ncur == 5 * CUR


def test_a_token_in_groups_raises_the_balance_and_a_second_time_it_is_used():
    _, firmware = commissioned("token")
    digits = token(2, 20)
    groups = "token %s %s-%s" % (digits[:3], digits[3:6], digits[6:])
    assert answers(firmware, groups) == [
        "accepted 充值成功",
        "20.00, balance 余额 20.00 CNY",
    ]
    assert answers(firmware, "token 0 " + digits) == ["used already 已使用"]
    text = voucher_digits(4, 0, 1234)
    assert answers(firmware, "token " + text)[1] == "12.34, balance 余额 32.34 CNY"
    assert "accepted" not in " ".join(answers(firmware, "token 12"))


def test_failures_lock_and_status_says_for_how_long():
    _, firmware = commissioned("locked")
    for _ in range(3):
        lines = answers(firmware, "token 123456789")
        assert lines[0] == "not valid 无效"
    assert lines[1] == "locked for 锁定 120 s"
    assert answers(firmware, "token " + token(2, 5))[0] == "locked 已锁定"
    assert "  tokens 代码 locked 锁定 120 s" in answers(firmware, "status")
    point = firmware.points[0]
    point.slot = point.with_more(point.plain(), points.M_FAILURES, 20)
    assert "  tokens 代码 locked until cleared 已锁定，须远程解除" in answers(firmware, "status")


def test_meters_and_events():
    desk, firmware = commissioned("meters")
    assert "  1000.000 kWh, not read yet 尚未抄到" in answers(firmware, "meters")
    desk.now_ms += 5000
    asyncio.run(firmware.metering.poll())
    desk.now_ms += 7000
    assert "  1000.000 kWh, 7 s ago 秒前" in answers(firmware, "meters")
    firmware.events.add(codes.METER_SILENT, 0, 3)
    firmware.events.add(codes.BOOT, 255, 1, 7)
    lines = answers(firmware, "events")
    assert lines[0].endswith("Z boot 上电启动 1 7")
    assert lines[1].endswith("Z point 用电点 0 meter silent 电表无应答 3")
    for number in range(20):
        firmware.events.add(codes.TARIFF_SET, 0, number)
    lines = answers(firmware, "events")
    assert len(lines) == 10 and lines[9].endswith(" 10")


def test_emergency_credit_is_taken_where_it_is_offered():
    _, firmware = commissioned("emergency")
    assert answers(firmware, "emergency") == ["not offered 未提供"]
    limits = {"emergency_offer_ncur": 2 * CUR, "emergency_limit_ncur": 10 * CUR}
    desk, firmware = commissioned("emergency-on", auto_close=1, **limits)
    assert "  emergency credit 应急额度 offered 可启用" in answers(firmware, "status")
    assert answers(firmware, "emergency 0") == ["emergency credit on 应急额度已启用: 10.00 CNY"]
    assert "  emergency credit 应急额度 used 使用中" in answers(firmware, "status")
    assert answers(firmware, "emergency") == ["not offered 未提供"]
    desk.now_ms += 60000
    asyncio.run(firmware.metering.poll())
    assert desk.contact.closed
    _, two = commissioned("emergency-two", 2, **limits)
    assert answers(two, "emergency") == ["name the point: emergency POINT 请指明用电点"]


def test_every_rule_and_event_has_its_words():
    from firmware.replies import events, status

    assert set(status.RULES) == set(words.RELAY_RULES)
    assert len(status.RELAY) == len(words.RELAY_STATES)
    assert len(events.WORDS) == max(words.EVENTS)


def test_an_unknown_line_gets_one_line_and_a_long_one_is_not_tried():
    _, firmware = commissioned("unknown")
    for line in ("", "launch", "status;help", "token" * 13, "help " + "x" * 60):
        shown = typed(firmware, line + "\r").split("\r\n")
        assert shown[1:] == ["type help 请输入 help", ""]
        assert len(shown[0]) <= console.LINE_MAX + 1
    assert len(typed(firmware, "x" * 10000)) == console.LINE_MAX + 1


def test_line_ends_and_backspace():
    _, firmware = commissioned("ends")
    for text in ("help\r\n", "help\n", "help\r", "hxx\b\x7felp\r", "\b\b\x7fhelp\r"):
        assert typed(firmware, text).count("status [full]") == 1, text
    assert typed(firmware, "help\r\n\r\n").count("type help") == 1


def test_random_input_changes_nothing_and_ends_nothing():
    _, firmware = commissioned("random")
    dice = Dice(77)
    before = firmware.points[0].state
    pieces = ("status ", "token ", "meters ", "events ", "help ", "full ", "0 ", "9 ", "\r", "\n")
    for _ in range(60):
        text = ""
        for _ in range(dice.below(30)):
            if dice.below(3):
                text += pieces[dice.below(len(pieces))]
            else:
                text += "".join([chr(dice.below(256)) for _ in range(dice.below(9))])
        typed(firmware, text + "\r")
    assert firmware.points[0].state == before
    assert "point" in typed(firmware, "\rstatus\r")


def test_no_secret_is_shown_and_no_digits_are_kept():
    _, firmware = commissioned("secret")
    digits = token(2, 20)
    shown = ""
    for line in ("status full", "meters", "help", "token " + digits, "token " + digits, "events"):
        shown += " ".join(answers(firmware, line))
    records = [bytes(record) for _, record in firmware.outbox.take(8, 0, 1000)]
    kept = b"".join(records) + repr(list(firmware.log.records())).encode()
    assert "hush" not in shown and desks.ROOT_KEY not in shown.encode()
    assert digits not in shown and digits.encode() not in kept
    assert cbor.encode(int(digits)) not in kept


def test_what_answers_is_given_back():
    _, firmware = commissioned("forgotten")
    for line in ("status", "token " + token(2, 5), "meters", "events", "help"):
        answers(firmware, line)
    loaded = [name for name in sys.modules if "replies" in name]
    for name in ("firmware.entry", "protocol.openpaygo", "protocol.siphash", "protocol.voucher"):
        if name in sys.modules:
            loaded.append(name)
    assert loaded == []


def test_a_dead_flash_is_one_line():
    _, firmware = commissioned("dead")
    firmware.board.power.arm(0, "none")
    lines = answers(firmware, "token " + token(2, 5))
    assert lines == ["not possible now 暂时无法执行"]
    assert not firmware.points[0].typing and not firmware.points[0].state.topups_ncur


def test_results_have_an_answer_each():
    from firmware.replies import result, status

    assert status.LATCH == results.LATCH
    assert len(result.RESULTS) == results.REFUSED + 1


def test_log_tells_what_happened_since_power_on_newest_first():
    _, firmware = commissioned("log")
    firmware.log.add(3, 1)
    firmware.log.add(99, 7, 8, 9)
    lines = answers(firmware, "log")
    assert lines[0] == "0 s code 代码 99 7 8 9"
    assert lines[1] == "0 s connected 已连接 1 0 0"
    for _ in range(60):
        firmware.log.add(3, 1)
    assert len(answers(firmware, "log")) == 16
