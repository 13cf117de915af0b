"""From power-on to the loops; firmware/boot.py puts together what they work on.

A broken configuration is told in one line that names file, key and remedy; start-up is tried again
every 15 minutes, and the relays hold.
"""

import asyncio
import gc

from firmware import config, lamp, log
from protocol import codes
from protocol.units import MODULE_TARGET, Malformed, Unavailable

METERING_LIMIT_POLLS = 10
METERING_LIMIT_MS = 60000


class Firmware:
    """Everything that lives as long as one power-on."""

    def __init__(self, board, make_meter=None, copy="-"):
        """make_meter(settings.Point, pulses so far) -> a meter; by default the real drivers.

        copy: which copy of the program this is, see boards/start.py.
        """
        from firmware import boot

        boot.build(self, board, make_meter, copy)
        boot = None
        config.forget("boot", "firmware")
        self.metering.on_poll = lambda: lamp.show(self)
        from firmware import life

        life.tell(self)

    def owe_statement(self, of_point):
        self.uplink.statements.append(of_point)
        self.uplink.noted()

    async def run(self):
        asyncio.get_event_loop().set_exception_handler(self.health.stray)
        self.log.add(log.BOOTED, self.board.reset_cause(), self.module.boot_id)
        self.events.add(codes.BOOT, MODULE_TARGET, self.board.reset_cause(), self.module.boot_id)
        poll_ms = self.settings.poll_ms
        self.health.vital("metering", METERING_LIMIT_MS + METERING_LIMIT_POLLS * poll_ms)
        self.health.start("metering", lambda: self.metering.run(poll_ms))
        if any([point.meter.pulsed for point in self.points.values()]):
            self.health.start("pulses", self.metering.watch_pulses)
        if self.uplink:
            self.health.start("mqtt", self.uplink.client.run)
            self.health.start("uplink", self.uplink.run)
        if self.board.console:
            from firmware.console import Console

            self.health.start("console", Console(self).run)
        await self.health.watch()


def started(board, copy):
    """The firmware in place. A file or a journal that cannot be used is told in one line."""
    told = None
    while True:
        try:
            return Firmware(board, copy=copy)
        except (Malformed, Unavailable, OSError) as error:
            line = getattr(error, "detail", "") or repr(error)
        if line != told:
            told = line
            print("gridpurse: %s" % line)
        board.signal(lamp.FAULT)
        from firmware import life

        asyncio.run(life.hold(board, copy))


def run(board, copy="-"):
    """Entry of every board: boards/<name>/main.py calls this with what it built."""
    firmware = started(board, copy)
    # What lives long is in place: from here on collect when half of the rest is used up.
    gc.collect()
    gc.threshold(gc.mem_free() // 2)
    try:
        asyncio.run(firmware.run())
    except KeyboardInterrupt:  # a technician takes the prompt: no crash
        from firmware import life

        life.end(firmware)
        raise
    except Exception as error:
        print("gridpurse: %s" % repr(error))
        from firmware import life

        life.crash(firmware, codes.BY_LOOP)
