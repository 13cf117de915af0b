"""A desk whose module meters for days, with the sub-commands of validation on its store."""

import json
from datetime import UTC, datetime
from typing import Any

from host_tools.validation.command import caught_up
from host_tools.validation.following import Done, Follower
from host_tools.validation.meters import keep_meter
from protocol import codes, ledger, tariff
from protocol.messages import Command
from protocol.tariff import Book, Position
from protocol.units import SYNCHRONISED
from tests.host_tools.desk import BOOK
from tests.host_tools.genuine import PointLedger
from tests.host_tools.ordering.orderly import Orderly

DAY = 96  # intervals
MIDNIGHT_S = 1767225600 + 16 * 3600  # of 2 January 2026 in Beijing
LARGE = """usage_point = "CN-1"
device = "m1"
meter = "SN-1"
zone = "Asia/Shanghai"
current_max_ma = 1_000_000
"""
BY = ("--by", "Li Na", "--reason", "photo of the display")


def wave(place: int) -> int:
    """Wh of an interval: never the same for long, never much."""
    return 200 + 7 * (place % 24) + place * 31 % 11


class Judged:
    """Module m1, point 0: meters, answers orders, and is judged."""

    def __init__(self, orderly: Orderly) -> None:
        self.orderly = orderly
        self.desk = orderly.desk
        self.store = self.desk.store
        self.made: PointLedger = self.desk.ledger
        self.sent_seq = 0
        self.follower = Follower(self.store, self.desk.clock.now_s)

    def meter(self, intervals: int, wh: Any = wave) -> None:
        """Opens at the first local midnight, then meters and sends what it metered."""
        if not self.made.entries:
            self.made.open(MIDNIGHT_S)
        for place in range(intervals):
            self.made.charge(wh(place))
        self.send()

    def enter(self, wh: int, seconds: int, quality: int = SYNCHRONISED) -> None:
        """One charge for a span of any length, under a clock of any quality."""
        state = self.made.state
        self.made.enter(
            ledger.charge(
                state, self.made.book, state.time_s + seconds, quality, state.register_wh + wh
            )
        )

    def send(self) -> None:
        """What was not sent, in batches of one tariff version."""
        entries = self.made.entries
        while self.sent_seq < len(entries):
            first, version = self.sent_seq + 1, entries[self.sent_seq].version
            last = first
            while last < len(entries) and entries[last].version == version and last < first + 99:
                last += 1
            self.desk.take(self.made.batch(first, last - first + 1))
            self.sent_seq = last
        assert self.desk.reasons() == []
        assert self.desk.seq() == len(entries)

    def large(self) -> None:
        """A connection of 1,000 A: 69 kWh in a quarter of an hour."""
        with self.store.transaction():
            keep_meter(self.store, self.point(), LARGE, "Li Na", 0)

    def validate(self) -> Done:
        return caught_up(self.follower)

    def point(self) -> Any:
        return self.store.fleet.point_known("m1", 0)

    def start_s(self, seq: int) -> int:
        return int(self.made.states[seq - 1].time_s)

    def shown(self, *words: object) -> Any:
        code, out, err = self.orderly.run(*words, "--json")
        assert (code, err) == (0, ""), err
        return json.loads(out)

    def refusal(self, *words: object) -> str:
        code, out, err = self.orderly.run(*words)
        assert (code, out) == (2, "") and err.count("\n") == 1, (out, err)
        return err

    def dispute(self, first_seq: int, last_seq: int) -> int:
        """Puts some readings into the queue."""
        begin, end = (
            iso(at_s) for at_s in (self.start_s(first_seq), self.made.states[last_seq].time_s)
        )
        told = self.shown("review", "open", "m1", 0, "--from", begin, "--to", end, *BY)
        return int(told["review"])

    def edit(self, seq: int, wh: int) -> Any:
        number = self.dispute(seq, seq)
        value = f"{iso(self.start_s(seq))}={wh}"
        return self.shown("review", "edit", number, "--set", value, *BY)

    def adjusted(self) -> list[Command]:
        """The module carries out the adjustments that it is sent, each of them once."""
        done = []
        self.desk.clock.ms += 10_000_000
        for command in self.orderly.sent():
            if command.action != codes.ADJUST:
                continue
            reason, amount_ncur = command.args
            state = self.made.state
            time_s = state.time_s + 1
            entry = (state, time_s, SYNCHRONISED, command.id, reason, amount_ncur)
            self.made.enter(ledger.adjusted(*entry))
            self.send()
            self.orderly.answer(command.id)
            done.append(command)
        return done

    def balanced(self) -> bool:
        return bool(self.point().state == self.made.state)


def iso(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def asked_ncur(made: PointLedger, values_wh: dict[int, int], book: Book = BOOK) -> int:
    """What the charges of a ledger cost with other energies, from the beginning."""
    position, total_ncur = Position(0, 0), 0
    for before, entry in zip(made.states, made.entries, strict=False):
        if entry.kind == ledger.CHARGE:
            wh = values_wh.get(entry.seq, entry.energy_wh)
            amount, position, _ = tariff.charge(book, position, before.time_s, entry.time_s, wh)
            total_ncur += amount
    return total_ncur
