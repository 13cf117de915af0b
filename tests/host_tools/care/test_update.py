"""Updates in waves: the canary first, the next wave when all confirmed, halted by failures."""

from collections.abc import Iterator

import pytest

from host_tools.care import campaign
from host_tools.flashing import bundle_file
from host_tools.flashing.bundle import bundle
from host_tools.keys import KeyFiles
from host_tools.settlement import enrol
from host_tools.store import campaigns
from protocol import codes, messages, topics
from protocol.messages import Command, Hello, Result
from protocol.units import MODULE_TARGET, SYNCHRONISED
from tests.host_tools.care.street import BOOK, OPENED_S, Street
from tests.host_tools.genuine import Sender

FILES = {"firmware/main.mpy": bytes(2000), "protocol/cbor.mpy": b"c" * 300}
BUNDLE = bundle(FILES, "0.2.0")
BY = ("--by", "Li Na", "--reason", "release")
GOOD, CRASHES, DAMAGED, SILENT, DEAF = "good", "crashes", "damaged", "silent", "deaf"


class Module:
    """A module that takes an update as firmware/effects/update.py does, or fails in some way."""

    def __init__(self, street: Street, name: str) -> None:
        points = [enrol.NewPoint(0, "Flat", "test", BOOK)]
        keys = KeyFiles(street.desk.folder / "keys")
        key = enrol.enrol(street.store, keys, name, 0, points, OPENED_S)
        self.street, self.name, self.sender = street, name, Sender(name, key)
        self.behaves = GOOD
        self.seq = 0
        self.sizes = [len(part) for part in BUNDLE.parts]
        self.asked: list[int] = []
        self.say(self.hello("0.1.0"))

    def hello(self, firmware: str) -> Hello:
        self.seq_of_boot = getattr(self, "seq_of_boot", 0) + 1
        return Hello(self.seq_of_boot, 1, 5000, OPENED_S, 0, 1, firmware, 1, {}, {})

    def say(self, message: tuple[object, ...]) -> None:
        topic = topics.up(0, self.name)
        self.street.desk.take(self.sender.seal(message), topic=topic)

    def event(self, *args: int) -> None:
        self.seq += 1
        item = [OPENED_S, SYNCHRONISED, codes.UPDATED, MODULE_TARGET, list(args)]
        self.say(self.sender.events(self.seq, item))

    def answer(self, command_id: int, status: int, place: int = 0) -> None:
        self.seq += 1
        self.say(Result(1, self.seq, OPENED_S, SYNCHRONISED, command_id, status, place))

    def take(self, order: Command) -> None:
        if self.behaves == DEAF:
            return None
        if order.action != codes.UPDATE:
            return self.answer(order.id, codes.DONE)
        step, *args = order.args
        self.asked.append(step)
        if step == codes.BEGIN and self.behaves == DAMAGED:
            self.event(codes.REFUSED, BUNDLE.version, codes.BAD_FILE)
            return self.answer(order.id, codes.REFUSED_FIELD)
        if step == codes.CHUNK:
            number, offset, data = args
            after = offset + len(data)
            whole = after == self.sizes[number]
            return self.answer(order.id, codes.DONE, (number + 1) << 20 if whole else
                               number << 20 | after)  # fmt: skip
        if step == codes.FINISH:
            self.event(codes.ARMED, BUNDLE.version, 0)
            self.answer(order.id, codes.DONE)
            return self.trial()
        return self.answer(order.id, codes.DONE)

    def trial(self) -> None:
        if self.behaves == GOOD:
            self.say(self.hello("0.2.0"))
            self.event(codes.CONFIRMED, BUNDLE.version, 0)
        elif self.behaves == CRASHES:
            self.say(self.hello("0.1.0"))
            self.event(codes.ROLLED_BACK, BUNDLE.version, 0)


class Fleet:
    """So many modules at a desk, and the campaign they are in."""

    def __init__(self, street: Street, count: int) -> None:
        self.street = street
        self.modules = {f"u{n:02d}": Module(street, f"u{n:02d}") for n in range(count)}
        self.path = street.desk.folder / "update.bundle"
        self.path.write_bytes(bundle_file.packed(BUNDLE))
        self.orders = 0

    def start(self, *more: object) -> dict[str, object]:
        words = ("update", "start", self.path, "--modules", *self.modules, *more, *BY)
        return self.street.done(*words)

    def step(self) -> int:
        """One look of settlement; the modules answer. -> how many orders went out"""
        desk = self.street.desk
        desk.clock.ms += 2000
        desk.consumer.send_due()
        sent = list(desk.transport.published)
        desk.transport.published.clear()
        count = 0
        for topic, data, _ in sent:
            module = self.modules.get(topics.parse(topic).module)
            message = module and messages.unseal(data, module.sender.down, True)
            if module and isinstance(message, Command):
                module.take(message)
                count += 1
        return count

    def run(self) -> None:
        """Until nothing moves any more; what is only said again moves nothing."""
        before = None
        for _ in range(400):
            self.step()
            now = self.street.rows("commands"), self.states(), self.state()
            if now == before:
                return
            before = now
        raise AssertionError("no end")

    def states(self) -> dict[str, str]:
        known = campaigns.of(self.street.store)
        members = known.members(known.all()[-1].number)
        return {member.module: member.state for member in members}

    def state(self) -> str:
        return campaigns.of(self.street.store).all()[-1].state


@pytest.fixture
def fleet(street: Street) -> Iterator[Fleet]:
    return Fleet(street, 10)


def test_waves_are_cumulative_percentages_behind_the_canary() -> None:
    def waves(total: int) -> list[int]:
        return [campaign.wave_of(place, total, 1, [10, 50, 100]) for place in range(total)]

    assert waves(20) == [0, 1] + [2] * 8 + [3] * 10
    assert waves(1) == [0]
    assert waves(3) == [0, 2, 3]


def test_a_good_bundle_reaches_all_wave_by_wave(fleet: Fleet) -> None:
    assert fleet.start()["counts"] == {"waiting": 10}
    begun: list[int] = []
    while fleet.state() == campaign.RUNNING:
        fleet.step()
        begun.append(sum(bool(module.asked) for module in fleet.modules.values()))
    assert sorted(set(begun) - {0}) == [1, 5, 10]
    assert set(fleet.states().values()) == {campaign.CONFIRMED}
    told = fleet.street.done("update", "status")
    assert (told["state"], told["version"]) == ("done", "0.2.0")
    assert {each["percent"] for each in told["modules"]} == {100}


@pytest.mark.parametrize("how", (CRASHES, DAMAGED))
def test_a_bad_canary_halts_it_and_nobody_else_hears_of_it(fleet: Fleet, how: str) -> None:
    fleet.modules["u00"].behaves = how
    fleet.start()
    fleet.run()
    assert fleet.state() == campaign.HALTED
    assert fleet.states()["u00"] == campaign.FAILED
    assert not any(fleet.modules[f"u{n:02d}"].asked for n in range(1, 10))
    code, out, _ = fleet.street.run("update", "status")
    assert code == 1 and "halted 已暂停" in out and "u00" in out


def test_what_is_being_sent_when_it_halts_is_given_up_and_resumed_later(fleet: Fleet) -> None:
    fleet.modules["u02"].behaves = DAMAGED
    fleet.start("--waves", "100")
    fleet.run()
    assert fleet.state() == campaign.HALTED
    states = fleet.states()
    assert states["u00"] == campaign.CONFIRMED and states["u02"] == campaign.FAILED
    assert {states[name] for name in states if name not in ("u00", "u02")} == {campaign.WAITING}
    assert codes.ABORT in fleet.modules["u05"].asked
    fleet.modules["u02"].behaves = GOOD
    fleet.street.done("update", "resume", "--retry", *BY)
    fleet.run()
    assert fleet.state() == campaign.OVER
    assert set(fleet.states().values()) == {campaign.CONFIRMED}


def test_failures_below_the_limit_let_it_go_on(fleet: Fleet) -> None:
    fleet.modules["u03"].behaves = CRASHES
    fleet.start("--halt", 2)
    fleet.run()
    assert fleet.state() == campaign.OVER
    assert [name for name, state in fleet.states().items() if state == campaign.FAILED] == ["u03"]


def test_a_module_that_is_silent_on_trial_has_failed(fleet: Fleet) -> None:
    fleet.modules["u00"].behaves = SILENT
    fleet.start()
    fleet.run()
    assert fleet.states()["u00"] == campaign.TRIAL
    fleet.street.desk.clock.s += campaign.TRIAL_S + 1
    fleet.run()
    assert fleet.state() == campaign.HALTED and fleet.states()["u00"] == campaign.FAILED


def test_a_module_that_gets_no_further_has_failed(fleet: Fleet) -> None:
    fleet.modules["u00"].behaves = DEAF
    fleet.start()
    fleet.run()
    assert fleet.states()["u00"] == campaign.SENDING
    fleet.street.desk.clock.s += campaign.STALLED_S + 1
    fleet.run()
    assert fleet.state() == campaign.HALTED and fleet.states()["u00"] == campaign.FAILED


def test_a_person_halts_it_resumes_it_and_ends_it_for_good(fleet: Fleet) -> None:
    fleet.start()
    assert fleet.start()["number"] == 1  # the same again is the same
    for _ in range(3):
        fleet.step()
    fleet.street.done("update", "halt", *BY)
    fleet.run()
    assert campaign.CONFIRMED not in fleet.states().values()
    assert "halted already" in fleet.street.refused("update", "halt", *BY)
    other = ("update", "start", fleet.path, "--modules", "u00", *BY)
    assert "`gridpurse update resume` it" in fleet.street.refused(*other)
    fleet.street.done("update", "resume", *BY)
    fleet.step()
    fleet.street.done("update", "halt", "--for-good", *BY)
    fleet.run()
    assert fleet.state() == campaign.OVER and fleet.street.done(*other)["number"] == 2


def test_a_module_that_has_the_version_is_left_alone(fleet: Fleet) -> None:
    module = fleet.modules["u01"]
    module.say(module.hello("0.2.0"))
    fleet.start()
    fleet.run()
    assert fleet.state() == campaign.OVER and module.asked == []


@pytest.mark.parametrize(
    ("more", "says"),
    (
        (("--waves", "50,10,100"), "rising"),
        (("--waves", "10,50"), "end with 100"),
        (("--halt", 0), "1 or more"),
        (("--canary", -1), "0 or more"),
    ),
)
def test_a_plan_that_makes_no_sense_is_refused(fleet: Fleet, more, says: str) -> None:
    words = ("update", "start", fleet.path, "--modules", *fleet.modules, *more, *BY)
    assert says in fleet.street.refused(*words)
    assert "no such module" in fleet.street.refused(
        "update", "start", fleet.path, "--modules", "nobody", *BY
    )
