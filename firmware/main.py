"""Boot: the only constructor of objects. Journal, configuration, then the loops.

The order is relay first: its persisted state is restored before anything that could fail or wait.
A broken configuration is told in one line that names file, key and remedy; start-up is tried again
every 15 minutes, and the relays hold.
"""

import asyncio
import gc

from firmware import config, lamp, log, metering, module, point, register, relay
from firmware.clock import Clock
from firmware.commands import Commands
from firmware.events import TARGET as EVENTS_TARGET
from firmware.events import Events
from firmware.health import Health
from firmware.journal import Journal
from firmware.log import Log
from firmware.outbox import Outbox
from protocol import codes
from protocol.units import BAD_FIELD, MODULE_TARGET, NO_RELAY, Malformed, Unavailable

METERING_LIMIT_POLLS = 10
METERING_LIMIT_MS = 60000


class Firmware:
    """Everything that lives as long as one power-on."""

    def __init__(self, board, make_meter=None, copy="-"):
        """make_meter(settings.Point, pulses so far) -> a meter; by default the real drivers.

        copy: which copy of the program this is, see boards/start.py.
        """
        from firmware import life  # given back as soon as it has judged

        self.board = board
        self.copy = copy
        self.journal = Journal(board.journal)
        self.journal.load()
        self.life, self.safe, self.config_path = life.begin(board, self.journal, copy)
        life = None
        # What only reads files is given back before what stays is loaded.
        self.settings = config.load(board.root, self.config_path)
        config.forget("settings")
        config.forget("places")
        make_meter = make_meter or meter_factory(board, self.settings)
        key = config.root_key(board.root)
        self.log = Log(board.ticks_ms)
        floor_s = module.newest_instant_s(self.journal)
        self.clock = Clock(board, floor_s)
        self.module = module.Module(board.root, self.settings)
        self.module.start(self.journal, floor_s)
        self.outbox = Outbox(board.root, self.journal, self.module.epoch)
        self.outbox.load()
        self.events = Events(self.journal, self.outbox, self.clock, self.module.epoch)
        self.points = {}
        for item in self.settings.points:
            self.points[item.point] = self.restore(item, make_meter)
        config.forget("tariff_book")
        payload = self.journal.state(EVENTS_TARGET)
        if payload is not None:
            self.events.restore(payload)
        module.recover_records(self.journal, self.outbox, self.points)
        self.health = Health(board, self.log)
        self.metering = metering.Metering(
            board,
            self.clock,
            self.journal,
            self.outbox,
            self.events,
            self.points,
            self.health,
            self.log,
        )
        if not self.safe:
            from firmware.watch import Watch

            self.metering.watch = Watch(self.metering, board.root, self.settings.plan)
        self.commands = Commands(
            board,
            self.settings,
            self.module,
            self.journal,
            self.clock,
            self.events,
            self.metering,
            self.points,
        )
        self.uplink = None if self.safe else self.network(key)
        self.shown = None  # what the lamp shows
        self.metering.on_poll = lambda: lamp.show(self)
        self.health.firmware = self
        self.health.due_ms = 0
        from firmware import life

        life.tell(self)

    def network(self, key):
        """What talks to the host; safe mode goes without it."""
        from firmware.uplink import Uplink

        uplink = Uplink(
            self.board,
            self.log,
            self.settings,
            key,
            self.module,
            self.clock,
            self.outbox,
            self.events,
            self.points,
            self.commands,
        )
        self.events.on_record = self.metering.on_record = uplink.noted
        self.commands.on_statement = self.owe_statement
        return uplink

    def restore(self, item, make_meter):
        """A service point as its newest slot left it, relay in its persisted state."""
        root = self.board.root
        contact = None
        if item.relay != NO_RELAY:
            if item.relay >= len(self.board.relays):
                remedy = "points.relay: the board has only %d relays" % len(self.board.relays)
                raise Malformed(BAD_FIELD, config.CONFIG + ": " + remedy)
            contact = self.board.relays[item.relay]
        an_hour = item.operations_per_hour
        mover = relay.Relay(contact, self.board.ticks_ms, self.board.entropy, an_hour)
        meter = make_meter(item, self.journal.pulses(item.point))
        book = config.book(root, item.point)
        epoch = self.module.epoch
        restored = point.Point(item, self.settings.module, epoch, book, meter, mover)
        payload = self.journal.state(item.point)
        if payload is not None:
            restored.restore(payload)
        self.outbox.acked[item.point] = restored.slot.acked
        self.outbox.newest[item.point] = restored.state.seq
        return restored

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


def meter_factory(board, module_settings):
    """make_meter of Firmware for the kinds of settings.Point; drivers are imported when needed."""
    from protocol import settings

    buses = {}  # kind of meter: the RS-485 bus or the gateway that all of that kind share

    def make(item, pulses):
        limit_mw = item.current_max_ma * register.VOLTAGE_MAX_V * item.pt_ratio
        if item.meter == settings.PULSE:
            from firmware.meters.pulse import PulseMeter

            base_wh, constant = item.register_base_wh, item.imp_per_kwh
            channel, ratio = item.pulse_channel, item.ct_ratio * item.pt_ratio
            return PulseMeter(board, channel, constant, pulses, base_wh, limit_mw, ratio)
        from firmware.meters.reader import Meter

        if item.meter not in buses:
            if item.meter == settings.MODBUS:
                from firmware.meters.reader import Bus

                board.rs485.configure(module_settings.rs485_baud, module_settings.rs485_parity)
                buses[item.meter] = Bus(board.rs485, module_settings.rs485_baud)
            else:
                from firmware.meters.modbus_tcp import TcpBus

                where = module_settings.gateway_host, module_settings.gateway_port
                buses[item.meter] = TcpBus(board.link, *where, board.ticks_ms)

        def meter(compiled):
            ratios = item.ct_ratio, item.pt_ratio
            return Meter(compiled, item.unit, buses[item.meter], board.ticks_ms, *ratios)

        return config.meter(board.root, item.meter_map, meter)

    return make


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
