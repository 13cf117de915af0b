"""`gridpurse bridge home-assistant`: service points of the store as devices of Home Assistant.

Looks into the store and publishes what has changed; it subscribes to nothing and writes nothing,
so nothing that anybody publishes reaches a module. When it dies the broker says so by its will,
and every device becomes unavailable.
"""

import argparse
import logging
import signal
import sys
import threading
from contextlib import closing
from types import FrameType

from host_tools import Refused
from host_tools.config import NATS, Settings
from host_tools.exchange import home_assistant
from host_tools.exchange.home_assistant import BRIDGE, OFFLINE, ONLINE, Link, Message, PointState
from host_tools.operations import logs
from host_tools.settlement.common import add_store_arguments, settings_of
from host_tools.store.database import Store, opened
from protocol.units import Malformed

HOME_ASSISTANT = "home-assistant"
EVERY_S, EVERY_S_MAX = 30, 86400

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    one = kinds.add_parser(HOME_ASSISTANT, help="MQTT discovery, retained, and states")
    seconds = f"seconds between two looks into the store, default {EVERY_S}"
    one.add_argument("--every", type=int, default=EVERY_S, metavar="S", help=seconds)
    which = one.add_mutually_exclusive_group()
    which.add_argument("--once", action="store_true", help="publish and end")
    which.add_argument("--remove", action="store_true", help="make Home Assistant forget all")
    add_store_arguments(one)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    if not 1 <= arguments.every <= EVERY_S_MAX:
        raise Refused(f"--every {arguments.every}: must be 1 to {EVERY_S_MAX} seconds")
    if settings.broker.kind == NATS:
        raise Refused(
            'broker.kind: the bridge speaks MQTT; give it a --config with kind = "mqtt" and the'
            " broker's MQTT port"
        )
    if arguments.once or arguments.remove:
        points = look(settings)
        make = home_assistant.removal if arguments.remove else _told
        messages = [each for point in points for each in make(point)]
        messages.append(Message(BRIDGE, "" if arguments.remove else ONLINE))
        print(f"{home_assistant.publish(settings.broker, messages)} messages 条报文")
        return 0
    logs.begin(settings.log, sys.stderr)
    stop = threading.Event()

    def ask(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    serve(settings, arguments.every, stop)
    return 0


def serve(settings: Settings, every_s: int, stop: threading.Event) -> None:
    """Publishes what changes until asked to stop, over lost brokers; then says that it is gone."""
    with closing(Link(settings.broker, Message(BRIDGE, OFFLINE))) as link:
        known: dict[str, str] = {}
        print(f"bridge ready: {settings.broker.host}:{settings.broker.port}", flush=True)
        while not stop.is_set():
            if link.up():
                if link.fresh.is_set():
                    link.fresh.clear()
                    known.clear()
                try:
                    _publish(link, settings, known)
                except Refused as error:
                    log.warning("%s", error)
            stop.wait(every_s)
        if link.up():
            link.send([Message(BRIDGE, OFFLINE)])


def _publish(link: Link, settings: Settings, known: dict[str, str]) -> None:
    messages = [Message(BRIDGE, ONLINE)]
    for point in look(settings):
        messages += _told(point)
    for each in messages:
        if known.get(each.topic) != each.payload:
            link.send([each])
            known[each.topic] = each.payload


def _told(point: PointState) -> list[Message]:
    """Discovery and state; nothing of a point that has no usable name."""
    try:
        return [*home_assistant.discovery(point), *home_assistant.states(point)]
    except Malformed as error:
        log.warning("%s/%d: left out: %s", point.module, point.point, error.detail)
        return []


def look(settings: Settings) -> list[PointState]:
    """All points of the store at one instant."""
    with opened(settings.store(), create=False) as store, store.instant():
        return states_of(store)


def states_of(store: Store) -> list[PointState]:
    troubles: dict[int, set[str]] = {}
    for each in store.ledgers.differences():
        troubles.setdefault(each.point_id, set()).add(each.kind)
    modules = {module.id: module for module in store.fleet.modules()}
    return [
        PointState(
            point.module,
            point.point,
            point.label,
            point.currency,
            point.state.register_wh,
            point.state.balance_ncur,
            point.state.time_s,
            _online(modules[point.module].hello_s, modules[point.module].gone_s),
            ", ".join(sorted(troubles.get(point.id, ()))),
        )
        for point in store.fleet.points()
    ]


def _online(hello_s: int | None, gone_s: int | None) -> bool:
    """Heard, and not lost since by the broker's word."""
    return hello_s is not None and gone_s is None
