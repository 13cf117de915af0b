# runs on: cpython micropython
"""What an SNTP answer must look like, and what a clock does with a time nobody vouches for."""

import asyncio
import struct

from firmware import ntp
from firmware.clock import Clock
from protocol.units import HOLDOVER, INVALID, SYNCHRONISED, Malformed
from tests.firmware.desk import START_S

MARK = b"\x01\x02\x03\x04\x05\x06\x07\x08"
ERA_0_S = 2208988800
DAY_S = 86400


def answer(flags=0x24, stratum=2, mark=MARK, seconds=START_S + ERA_0_S, fraction=0):
    head = bytes((flags, stratum, 6, 0xEC)) + bytes(20)
    return head + mark + bytes(8) + struct.pack(">II", seconds & 0xFFFFFFFF, fraction)


def refused(data):
    try:
        ntp.parse(data, MARK)
    except Malformed:
        return True
    return False


def test_an_answer_gives_unix_milliseconds():
    assert ntp.parse(answer(fraction=1 << 31), MARK) == START_S * 1000 + 500
    assert ntp.parse(answer(fraction=0xFFFFFFFF) + bytes(20), MARK) == START_S * 1000 + 999


def test_the_era_after_2036_is_told_from_the_one_before():
    for unix_s in (0, (1 << 32) - ERA_0_S - 1, (1 << 32) - ERA_0_S + 1, 4102444800):
        assert ntp.parse(answer(seconds=unix_s + ERA_0_S), MARK) == unix_s * 1000


def test_only_a_server_with_a_time_and_our_mark_is_believed():
    good = answer()
    assert not refused(good) and not refused(answer(flags=0x1C)) and not refused(answer(0x64))
    assert refused(answer(mark=bytes(8)))  # a blind spoof, or an answer to an older request
    assert refused(answer(stratum=0))  # a kiss of death
    assert refused(answer(stratum=16))
    assert refused(answer(flags=0xE4))  # its own clock is not set
    for mode in (0, 1, 2, 3, 5, 6, 7):
        assert refused(answer(flags=0x20 | mode))
    for version in (0, 1, 2, 5, 6, 7):
        assert refused(answer(flags=version << 3 | 4))
    assert refused(answer(seconds=0))
    for size in range(len(good)):
        assert refused(good[:size])


class Board:
    """A clock chip, a network with one server, and a tick that the test moves."""

    def __init__(self, reply=None, rtc_s=None):
        self.reply = reply
        self.kept_s = rtc_s
        self.now_ms = 0
        self.asked = []
        self.link = self

    def ticks_ms(self):
        return self.now_ms

    def rtc_s(self):
        return self.kept_s

    def set_rtc_s(self, unix_s):
        self.kept_s = unix_s

    def entropy(self, count):
        return MARK[:count]

    async def udp_exchange(self, host, port, data, bytes_max, timeout_ms):
        self.asked.append((host, port, data))
        self.now_ms += 400
        return self.reply


def test_half_of_the_round_trip_is_added():
    board = Board(answer())
    assert asyncio.run(ntp.ask(board, "pool.example")) == START_S * 1000 + 200
    host, port, data = board.asked[0]
    assert (host, port, len(data), data[0], data[40:]) == ("pool.example", 123, 48, 0x23, MARK)
    asyncio.run(ntp.ask(board, "10.0.0.7:1123"))
    assert board.asked[1][:2] == ("10.0.0.7", 1123)


def test_a_clock_without_time_takes_an_offer_as_holdover():
    board = Board()
    clock = Clock(board, START_S)
    assert clock.now() == (START_S, INVALID)
    assert clock.offer((START_S + 3600) * 1000)
    assert clock.now() == (START_S + 3600, HOLDOVER) and board.kept_s == START_S + 3600
    assert not clock.offer((START_S + 7200) * 1000)
    assert clock.now()[0] == START_S + 3600


def test_an_offer_never_moves_a_clock_that_has_a_time():
    clock = Clock(Board(), START_S)
    clock.set(START_S * 1000)
    assert not clock.offer((START_S + 60) * 1000) and clock.now() == (START_S, SYNCHRONISED)
    kept = Clock(Board(rtc_s=START_S + 5), START_S)
    assert not kept.offer((START_S + 60) * 1000) and kept.now() == (START_S + 5, HOLDOVER)


def test_an_offer_from_before_the_newest_record_is_refused():
    board = Board()
    clock = Clock(board, START_S)
    board.now_ms = 5000
    assert not clock.offer((START_S + 4) * 1000)
    assert clock.now() == (START_S + 5, INVALID) and board.kept_s is None


def test_an_offer_far_ahead_dates_certificates_but_no_ledger():
    for floor_s, offered_s in ((START_S, START_S + 32 * DAY_S), (0, START_S)):
        board = Board()
        clock = Clock(board, floor_s)
        assert clock.offer(offered_s * 1000)
        assert clock.now() == (floor_s, INVALID) and board.kept_s == offered_s


def test_an_absurd_year_is_refused():
    for offered_s in (0, 1767225599, 4102444800, (1 << 32) - 1):
        board = Board()
        clock = Clock(board, 0)
        assert not clock.offer(offered_s * 1000)
        assert clock.now() == (0, INVALID) and board.kept_s is None


def test_a_kept_clock_far_ahead_of_the_journal_waits_for_the_host():
    kept = Board(rtc_s=START_S + 32 * DAY_S)
    assert Clock(kept, START_S).now() == (START_S, INVALID)
    assert Clock(kept, START_S + 2 * DAY_S).now()[1] == HOLDOVER
    assert Clock(kept, 0).now()[1] == HOLDOVER
