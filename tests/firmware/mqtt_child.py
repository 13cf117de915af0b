"""The MQTT client as a process of its own, on either interpreter, for test_mqtt_client.py.

Options come as one JSON line (MicroPython's argv ends at 255 bytes), events leave as JSON lines.
What arrives is printed; messages starting with `say ` tell what to publish, `leave` ends it.
"""

import asyncio
import json
import os
import sys
import time

sys.path.insert(0, sys.argv[1])

from firmware.mqtt import Client, options
from firmware.waits import sleep_ms, wait_for_ms
from protocol.units import Malformed, Unavailable

HANG_S = 300  # as in tests/host_tools/genuine.py, which only CPython can import


def ticks_ms():
    return time.time_ns() // 1000000


class Link:
    async def connect(self, host, port):
        return await asyncio.open_connection(host, port)


class Board:
    """A board as far as a broker is concerned; its link is the real one, also that of an ESP32."""

    def __init__(self, root, esp32):
        self.actions = {}  # of the control wire
        self.root = root
        if esp32:
            self.link = esp32_link()
        else:
            from boards.virtual.link import Link as VirtualLink

            self.link = VirtualLink(self, True)
        self.ticks_ms = ticks_ms
        self.entropy = os.urandom

    def drain(self):
        pass

    def set_rtc_s(self, unix_s):
        tell("rtc", unix_s=unix_s)

    def rtc_s(self):
        return None


def esp32_link():
    """What Wi-Fi and Ethernet share; here the name is always that of this machine."""
    from boards.esp32.sockets import Sockets

    class Wired(Sockets):
        connected = False

        def is_up(self):
            return self.connected

        async def _bring_up(self, timeout_ms):
            await sleep_ms(10)
            self.connected = True
            return True

        def _resolve(self, host):
            tell("resolved", host=host)
            return "127.0.0.1"

    return Wired()


def secured(order):
    """firmware.secure_link as the firmware builds it; `order`: root, tls, ntp_host, floor_s."""
    from firmware.clock import Clock
    from firmware.log import Log
    from firmware.secure_link import SecureLink
    from protocol.units import SYNCHRONISED

    board = Board(order["root"], order.get("esp32"))
    clock = Clock(board, order.get("floor_s", 0))
    if "floor_s" not in order:
        clock.quality = SYNCHRONISED
        clock.synchronised_until_ms = 1 << 60
    settings = Wanted()
    settings.tls, settings.ntp_host = order["tls"], order.get("ntp_host", "")
    return SecureLink(board, clock, settings, Events(), Log(ticks_ms))


class Events:
    def add(self, code, point, old_s, new_s):
        tell("step", code=code, point=point, old_s=old_s, new_s=new_s)


class Wanted:
    pass


def tell(event, **more):
    more["event"] = event
    print(json.dumps(more))


async def say(client, orders):
    """Publishes what was ordered, in batches that start together."""
    while True:
        batch, orders[:] = list(orders), []
        await asyncio.gather(*[say_one(client, text) for text in batch])
        await sleep_ms(5)


async def say_one(client, text):
    qos = int(text[0])
    try:
        done = await client.publish("up/dev1", text[2:].encode(), qos, 1000 * HANG_S)
        tell("said", text=text[2:], done=done)
    except Unavailable:
        tell("unavailable", text=text[2:])


async def watch(client):
    was = None
    while True:
        now = (client.connected, client.connects, list(client.failures))
        if now != was:
            tell(
                "state", connected=now[0], connects=now[1], failures=now[2],
                resends=client.resends, rejects=client.rejects, publishes=client.publishes,
                traffic=list(client.traffic), session=client.session_present,
            )  # fmt: skip
            was = now
        await sleep_ms(5)


async def main(o):
    orders = []
    leaving = asyncio.Event()

    async def later(topic, text):
        await sleep_ms(20)
        tell("message", topic=topic, text=text)

    def on_message(topic, payload):
        text = payload.decode()
        if text == "poison":
            raise Malformed(1)
        if text == "not now":
            raise Unavailable(1)
        if text.startswith("later"):
            return later(topic, text)
        if text.startswith("say "):
            orders.append(text[4:])
        elif text == "leave":
            leaving.set()
        else:
            tell("message", topic=topic, text=text)
        return None

    orders.extend(o.pop("say", []))
    o["subscriptions"] = [tuple(pair) for pair in o.get("subscriptions", [])]
    if "password" in o:
        o["password"] = o["password"].encode()
    if "will" in o:
        o["will"] = (o["will"][0], o["will"][1].encode(), 1, False)
    port = o.pop("port")
    brokers = [(host, number) for host, number in o.pop("brokers", [["127.0.0.1", port]])]
    link = secured(o.pop("secured")) if "secured" in o else Link()
    client = Client(link, options(brokers, **o), on_message, ticks_ms, os.urandom)
    client.on_end = lambda reason, place: tell("end", reason=reason, place=place)
    running = asyncio.create_task(client.run())
    watching = asyncio.create_task(watch(client))
    while not client.connected and orders:
        await sleep_ms(5)
    saying = asyncio.create_task(say(client, orders))
    for _ in range(HANG_S * 20):
        if running.done():
            await running  # a bug: its traceback is the message
        if leaving.is_set():
            break
        await sleep_ms(50)
    saying.cancel()
    watching.cancel()
    running.cancel()
    try:
        await wait_for_ms(running, 1000 * HANG_S)
    except asyncio.CancelledError:
        tell("ended")


asyncio.run(main(json.loads(sys.stdin.readline())))
