# runs on: cpython micropython
"""CLOCK: ask for the time now. The order carries none, so that late or played again it does no
harm; it is answered when the host's prompt answer has set the clock, and judged by that time."""

import asyncio

from firmware import uplink
from firmware.effects import clock as effect
from protocol import codes, cose, messages
from protocol.units import EXPIRED, FORGED, INVALID, MODULE_TARGET, SYNCHRONISED
from tests.firmware import desk as desks
from tests.firmware.test_uplink import DOWN, UP, powered, receive, rejected

HOUR_S = 3600
DAY_S = 86400


class Broker:
    """Takes what the uplink publishes; `meanwhile` happens with the first message."""

    connected = True
    connects = 1

    def __init__(self):
        self.got = []
        self.meanwhile = None

    async def publish(self, topic, payload):
        self.got.append(messages.unseal(payload, UP, False))
        happens, self.meanwhile = self.meanwhile, None
        if happens:
            happens()
        return True


class Scene:
    """A module in service whose clock is `off_s` wrong: so it was told. None: it has no time."""

    def __init__(self, name, off_s):
        self.desk, _, self.firmware = powered(name)
        if off_s is None:
            self.quarters(4)
            self.desk.now_ms += HOUR_S * 1000
            self.power_on(rtc=False)
        else:
            self.connect()
            self.answer(self.hellos()[-1], off_s)
        self.off_s = off_s

    def power_on(self, rtc=True):
        _, self.firmware = self.desk.power_on(rtc=rtc)
        asyncio.run(self.firmware.metering.poll())
        self.connect()
        self.hellos()  # the host is silent

    def connect(self):
        self.broker = self.firmware.uplink.client = Broker()
        self.send()

    def send(self):
        asyncio.run(self.firmware.uplink.send_all())

    def hellos(self):
        """The hellos that were said since we last looked."""
        self.send()
        got, self.broker.got = self.broker.got, []
        return [item for item in got if messages.kind_of(item) == messages.HELLO]

    def now_s(self):
        return self.desk.now_ms // 1000

    def order(self, command_id=1, life_s=HOUR_S, args=(), target=MODULE_TARGET, mac=DOWN):
        now_s = self.now_s()
        fields = (command_id, target, codes.CLOCK, now_s, now_s + life_s, list(args))
        receive(self.firmware, messages.Command(*fields), mac)

    def answer(self, hello, off_s=0):
        time_ms = self.desk.now_ms + off_s * 1000
        receive(self.firmware, messages.Time(hello.boot_id, hello.ticks_ms, time_ms))

    def quarters(self, count, energy_wh=250):
        for _ in range(count):
            self.desk.now_ms += 900000
            self.desk.meter.register_wh += energy_wh
            asyncio.run(self.firmware.metering.poll())

    def results(self):
        return desks.results(self.firmware)

    def steps(self):
        """[old s, new s] of every setting that was a step."""
        told = desks.told(self.firmware)
        return [item[4] for item in told if item[2] == codes.CLOCK_SET]

    def is_right(self):
        return self.firmware.clock.now() == (self.now_s(), SYNCHRONISED)

    def each_wh_once(self):
        state = self.firmware.points[0].state
        assert state.register_wh == self.desk.meter.register_wh
        assert state.charged_ncur == (state.register_wh - 1000000) * 500000


# Ahead by more than the order lives: by the module's own clock it is over already.
WRONG = {"ahead": 1800, "days ahead": 2 * DAY_S, "behind": -1800, "none": None}


def test_a_wrong_clock_is_right_after_the_order_and_every_wh_is_charged_once():
    for name, off_s in WRONG.items():
        scene = Scene("wrong " + name, off_s)
        scene.quarters(2)
        scene.order()
        assert scene.results() == []
        (hello,) = scene.hellos()
        scene.desk.meter.register_wh += 40
        scene.desk.now_ms += 2000
        before_s, quality = scene.firmware.clock.now()
        assert (quality == INVALID) == (off_s is None)
        scene.answer(hello, -1)  # the middle of its way
        assert scene.is_right(), name
        assert scene.results() == [codes.DONE]
        assert scene.steps()[-1] == [before_s, scene.now_s()]
        scene.quarters(8 + 2 * 96)
        scene.each_wh_once()


def test_a_clock_that_is_right_is_set_in_silence():
    scene = Scene("right", 3)
    scene.order()
    scene.answer(scene.hellos()[0])
    assert scene.results() == [codes.DONE] and scene.is_right()
    assert scene.steps() == []


def test_an_order_that_comes_twice_asks_once_and_is_done_once():
    scene = Scene("twice", 7200)
    scene.order()
    scene.order()
    (hello,) = scene.hellos()
    scene.order()
    assert scene.hellos() == []
    scene.answer(hello)
    scene.answer(hello, 5000)
    scene.order()
    assert scene.hellos() == [] and scene.results() == [codes.DONE]
    scene.power_on()
    scene.order()
    assert scene.hellos() == []
    assert scene.results() == [codes.DONE, codes.ALREADY]


def test_an_order_that_is_over_is_refused_by_the_right_time_whatever_the_clock_says():
    for off_s in (-7200, 7200, None):
        scene = Scene("over %s" % off_s, off_s)
        scene.order(life_s=-HOUR_S)
        scene.answer(scene.hellos()[0])
        assert scene.results() == [codes.REFUSED_EXPIRED]
        assert rejected(scene.firmware) == [EXPIRED]
        assert scene.is_right()  # it was asked for, and is as good as any
        assert not scene.firmware.module.window and not scene.firmware.module.high


def test_a_forged_order_asks_nothing():
    scene = Scene("forged order", 7200)
    scene.order(mac=UP)
    scene.order(mac=cose.Mac(cose.derive(bytes(32), cose.DOWN)))
    assert scene.hellos() == [] and scene.results() == []
    assert FORGED in rejected(scene.firmware)


def test_an_order_with_arguments_or_to_a_point_is_refused_at_once():
    scene = Scene("bad order", 7200)
    scene.order(1, args=[scene.now_s()])
    scene.order(2, target=0)
    assert scene.results() == [codes.REFUSED_FIELD] * 2
    assert scene.hellos() == []


def test_after_a_power_cut_between_order_and_answer_the_order_asks_again():
    for rtc in (True, False):
        scene = Scene("cut %s" % rtc, -7200)
        scene.quarters(1)
        scene.order()
        (lost,) = scene.hellos()
        scene.desk.now_ms += 5000
        scene.power_on(rtc)
        scene.answer(lost)  # of the life before
        assert scene.results() == []
        scene.order()
        scene.answer(scene.hellos()[0])
        assert scene.results() == [codes.DONE] and scene.is_right()
        scene.quarters(12)
        scene.each_wh_once()


def test_a_power_cut_between_clock_and_watermark_asks_once_more():
    scene = Scene("cut late", -7200)

    def cut(_):
        raise MemoryError("power")

    scene.firmware.commands.finish_module = cut
    scene.order()
    scene.answer(scene.hellos()[0])
    assert scene.results() == []
    scene.power_on()
    scene.order()
    scene.answer(scene.hellos()[0])
    assert scene.results() == [codes.DONE] and scene.is_right()


def test_a_late_answer_sets_no_clock_and_a_copy_of_the_order_asks_again_in_a_minute():
    scene = Scene("late order", -7200)
    scene.order()
    (hello,) = scene.hellos()
    scene.desk.now_ms += uplink.TIME_ROUND_TRIP_MS + 1
    scene.answer(hello)
    scene.order()
    assert scene.results() == [] and scene.hellos() == []
    assert scene.firmware.clock.now()[0] == scene.now_s() - 7200
    scene.desk.now_ms += effect.AGAIN_MS
    scene.order()
    (hello,) = scene.hellos()
    scene.answer(hello)
    assert scene.results() == [codes.DONE] and scene.is_right()


def test_of_two_orders_each_is_done():
    scene = Scene("two", -7200)
    scene.order(1)
    scene.order(2)
    (hello,) = scene.hellos()
    scene.answer(hello)
    assert scene.results() == [codes.DONE]
    scene.order(2)
    assert scene.hellos() == []
    scene.order(1)  # the host says it again
    scene.answer(scene.hellos()[0])
    assert scene.results() == [codes.DONE] * 2


def test_any_prompt_answer_is_the_answer_to_the_order():
    scene = Scene("any", None)
    scene.order()
    scene.hellos()
    for _ in range(2):
        scene.broker.connects += 1  # the connection was lost, its hello with it
        scene.answer(scene.hellos()[0])
        assert scene.results() == [codes.DONE] and scene.is_right()


def test_the_hello_goes_before_the_rest_of_a_backlog():
    scene = Scene("backlog", 3)
    receive(scene.firmware, messages.Ack(scene.firmware.module.epoch, {8: 99}))
    scene.quarters(40)
    scene.broker.got = []
    scene.broker.meanwhile = scene.order
    scene.send()
    kinds = [messages.kind_of(item) for item in scene.broker.got]
    assert kinds.count(messages.READINGS) > 2
    assert kinds.index(messages.HELLO) <= kinds.index(messages.READINGS) + 1
