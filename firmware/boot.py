"""Puts the firmware together at power-on: journal, settings, service points, loops.

Loaded once, and given back when all is in place. The order is relay first: its persisted state is
restored before anything that could fail or wait. Never moves a relay but to its persisted state.
"""

from firmware import config, events, metering, point, register, relay
from firmware.clock import Clock
from firmware.commands import Commands
from firmware.health import Health
from firmware.journal import Journal
from firmware.log import Log
from firmware.module import TARGET as MODULE_SLOT
from firmware.module import Module
from firmware.outbox import Outbox
from protocol import cbor
from protocol.units import BAD_FIELD, NO_RELAY, Malformed


def build(firmware, board, make_meter, copy):
    """Fill in a main.Firmware; its arguments are explained there."""
    from firmware import life  # given back as soon as it has judged

    firmware.board = board
    firmware.copy = copy
    firmware.shown = None  # what the lamp shows
    firmware.journal = journal = Journal(board.journal)
    journal.load()
    firmware.life, firmware.safe, firmware.config_path = life.begin(board, journal, copy)
    life = None
    # What only reads files is given back before what stays is loaded.
    firmware.settings = settings = config.load(board.root, firmware.config_path)
    config.forget("settings")
    config.forget("places")
    make_meter = make_meter or meter_factory(board, settings)
    key = config.root_key(board.root)
    firmware.log = log = Log(board.ticks_ms)
    floor_s = newest_instant_s(journal)
    firmware.clock = clock = Clock(board, floor_s)
    firmware.module = module = Module(board.root, settings)
    module.start(journal, floor_s)
    firmware.outbox = outbox = Outbox(board.root, journal, module.epoch)
    outbox.load()
    firmware.events = events.Events(journal, outbox, clock, module.epoch)
    firmware.points = {}
    for item in settings.points:
        firmware.points[item.point] = restored(firmware, item, make_meter)
    config.forget("tariff_book")
    payload = journal.state(events.TARGET)
    if payload is not None:
        firmware.events.restore(payload)
    recover_records(journal, outbox, firmware.points)
    firmware.health = health = Health(board, log)
    health.firmware = firmware
    health.due_ms = 0
    firmware.metering = metering.Metering(
        board,
        clock,
        journal,
        outbox,
        firmware.events,
        firmware.points,
        health,
        log,
    )
    if not firmware.safe:
        from firmware.watch import Watch

        firmware.metering.watch = Watch(firmware.metering, board.root, settings.plan)
    firmware.commands = Commands(
        board,
        settings,
        module,
        journal,
        clock,
        firmware.events,
        firmware.metering,
        firmware.points,
    )
    firmware.uplink = None if firmware.safe else network(firmware, key)


def network(firmware, key):
    """What talks to the host; safe mode goes without it."""
    from firmware.uplink import Uplink

    uplink = Uplink(
        firmware.board,
        firmware.log,
        firmware.settings,
        key,
        firmware.module,
        firmware.clock,
        firmware.outbox,
        firmware.events,
        firmware.points,
        firmware.commands,
    )
    firmware.events.on_record = firmware.metering.on_record = uplink.noted
    firmware.commands.on_statement = firmware.owe_statement
    firmware.commands.uplink = uplink
    return uplink


def restored(firmware, item, make_meter):
    """A service point as its newest slot left it, relay in its persisted state."""
    board, journal = firmware.board, firmware.journal
    contact = None
    if item.relay != NO_RELAY:
        if item.relay >= len(board.relays):
            remedy = "points.relay: the board has only %d relays" % len(board.relays)
            raise Malformed(BAD_FIELD, config.CONFIG + ": " + remedy)
        contact = board.relays[item.relay]
    an_hour = item.operations_per_hour
    mover = relay.Relay(contact, board.ticks_ms, board.entropy, an_hour)
    meter = make_meter(item, journal.pulses(item.point))
    book = config.book(board.root, item.point)
    book = point.shared(book, firmware.points.values())
    epoch = firmware.module.epoch
    made = point.Point(item, firmware.settings.module, epoch, book, meter, mover)
    payload = journal.state(item.point)
    if payload is not None:
        made.restore(payload)
    firmware.outbox.acked[item.point] = made.slot.acked
    firmware.outbox.newest[item.point] = made.state.seq
    return made


def newest_instant_s(journal):
    """The latest instant any slot knows: where a clock without time starts."""
    newest_s = 0
    payload = journal.state(MODULE_SLOT)
    if payload is not None:
        newest_s = cbor.decode(payload)[4]
    payload = journal.state(events.TARGET)
    if payload is not None:
        newest_s = max(newest_s, cbor.decode(payload)[4][0])
    for number in range(8):
        payload = journal.state(number)
        if payload is not None:
            newest_s = max(newest_s, point.unpack(payload).state.time_s)
    return newest_s


def recover_records(journal, outbox, points):
    """Put into the outbox what the journal committed and no file holds, oldest slot first.

    Of a record that was carried ahead the newest copy counts: the ring goes over the others.
    """
    safe = {}
    for stream in list(points) + [8]:
        safe[stream] = max(outbox.acked.get(stream, 0), outbox.filed.get(stream, 0))
    found = {}

    def take(number, target, payload):
        if target == events.TARGET:
            seq = cbor.decode(payload)[1]
            if seq > safe[8]:
                found[8, seq] = max(number, found.get((8, seq), 0))
        elif target in points:
            slot = point.unpack(payload)
            if slot.entry is not None and slot.entry.seq > safe[target]:
                key = target, slot.entry.seq
                found[key] = max(number, found.get(key, 0))

    journal.records(take)
    for stream, seq in sorted(found, key=found.get):
        outbox.add(stream, seq, found[stream, seq])


def meter_factory(board, module_settings):
    """make_meter of Firmware for the kinds of settings.Point; drivers are imported when needed."""
    from protocol import settings

    buses = {}  # kind of meter: the RS-485 bus or the gateway that all of that kind share
    families = {}  # map and ratios: registers

    def make(item, pulses):
        limit_mw = item.current_max_ma * register.VOLTAGE_MAX_V * item.pt_ratio
        if item.meter == settings.PULSE:
            from firmware.meters.pulse import PulseMeter

            base_wh, constant = item.register_base_wh, item.imp_per_kwh
            channel, ratio = item.pulse_channel, item.ct_ratio * item.pt_ratio
            return PulseMeter(board, channel, constant, pulses, base_wh, limit_mw, ratio)
        from firmware.meters.reader import Meter, Registers

        if item.meter not in buses:
            if item.meter == settings.MODBUS:
                from firmware.meters.reader import Bus

                board.rs485.configure(module_settings.rs485_baud, module_settings.rs485_parity)
                buses[item.meter] = Bus(board.rs485, module_settings.rs485_baud)
            else:
                from firmware.meters.modbus_tcp import TcpBus

                where = module_settings.gateway_host, module_settings.gateway_port
                buses[item.meter] = TcpBus(board.link, *where, board.ticks_ms)

        family = item.meter_map, item.ct_ratio, item.pt_ratio
        if family not in families:
            families[family] = config.meter(
                board.root, family[0], lambda compiled: Registers(compiled, *family[1:])
            )
        return Meter(families[family], item.unit, buses[item.meter], board.ticks_ms)

    return make
