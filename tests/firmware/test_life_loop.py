# runs on: micropython
"""The event loop's own end: an error outside every task, and a technician at the console."""

from boards.virtual import flash
from firmware import main
from protocol import cbor, codes, settings
from tests.firmware import desk as desks


class Board(desks.Board):
    """Counts pulses, and its supervisor's heartbeat fails as the test says."""

    error = None

    def pulse(self, channel):
        return 0

    def wdt_feed(self):
        if self.error:
            raise self.error


def commissioned(name):
    desk = desks.Desk(desks.folder("loop-" + name))
    point = desks.point_settings(meter=settings.PULSE, imp_per_kwh=1000)
    desks.provision(desk.root, [point], desks.flat_book())
    return desk


def run(desk, error, cause=1):
    """main.run until an error ends the loop. -> how it ended"""
    board = Board(desk, True, flash.Power(), cause)
    board.error = error
    desk.now_ms += 5000
    try:
        main.run(board)
    except SystemExit:
        return "reset"
    except KeyboardInterrupt:
        return "prompt"
    raise AssertionError("it came back")


def crashes(desk):
    firmware = main.Firmware(Board(desk, True, flash.Power(), 2))
    records = [cbor.decode(record) for _, record in firmware.outbox.take(8, 0, 1000)]
    return [v[4][4][2] for v in records if v[3] == 0 and v[4][2] == codes.CRASH]


def test_an_error_outside_every_task_is_recorded_and_resets():
    desk = commissioned("error")
    assert run(desk, ValueError("bug")) == "reset"
    assert crashes(desk) == [codes.BY_LOOP]


def test_ctrl_c_leads_to_the_prompt_and_is_no_crash():
    desk = commissioned("interrupt")
    assert run(desk, KeyboardInterrupt()) == "prompt"
    assert crashes(desk) == []


def test_a_look_that_meets_a_failing_flash_comes_again():
    desk = commissioned("flash")
    power = flash.Power()
    firmware = main.Firmware(Board(desk, True, power, 1))
    desk.now_ms += 300000
    power.dead = True
    firmware.health.look()
    assert firmware.health.due_ms == 300000 + 60000
    power.dead = False
    firmware.health.look()
    assert cbor.decode(firmware.journal.state(17))[0] == 1  # steady
    assert firmware.health.due_ms is None
