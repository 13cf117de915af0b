"""Small programs for the module's prompt: what they see of clock, network, bus, relay and pulses.

They use the board object that the firmware gets, so they are the same on every board, and print
one line a fact: a word, then values. Times in milliseconds. What they mean is judged on the host.
"""

BOARD = """
import asyncio, gc
gc.collect()
from boards.{board} import board as _m
b = _m.build()
"""

IDENTITY = """
import machine, sys
print("chip", machine.unique_id().hex())
print("version", ".".join([str(n) for n in sys.implementation[1][:3]]))
try:
    with open("/config.cbor", "rb") as _f:
        print("config", _f.read().hex())
except OSError:
    pass
"""

# A state slot of a service point has a number and a kind below 8, see firmware/journal.py.
LEDGERS = """
import esp32
def _ledgers():
    found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="journal")
    if not found:
        print("ledgers", -1)
        return
    part = found[0]
    sectors = part.info()[3] // 4096
    head = bytearray(7)
    seen = 0
    for sector in range(sectors - max(3, sectors // 4)):
        for place in range(0, 3840, 320):
            part.readblocks(sector, head, place)
            if head[:4] == b"\\xff\\xff\\xff\\xff":
                break
            if head[4] < 8 and head[5] | head[6] << 8 <= 309:
                seen += 1
    print("ledgers", seen)
_ledgers()
"""

SET_CLOCK = """
import machine, time
machine.RTC().datetime({fields})
time.sleep_ms(100)
print("clock", *machine.RTC().datetime())
"""

SET_WIFI = """
import esp32
def _wifi(name, secret):
    kept = esp32.NVS("gridpurse")
    for key, value in (("ssid", name), ("psk", secret)):
        blob = bytearray(64)
        try:
            if bytes(blob[:kept.get_blob(key, blob)]) == value:
                continue
        except OSError:
            pass
        kept.set_blob(key, value)
    kept.commit()
_wifi({name!r}, {secret!r})
"""

LINK_UP = """
print("link", int(asyncio.run(b.link.up({wait_ms}))))
"""

# The answer to an MQTT CONNECT: its return code, or how far it came.
# It connects in the background: the first write finds out that nobody listens, in words of the
# chip's own; under TLS that write shakes hands.
BROKER = """
async def _broker(packet):
    context = None
    stage = "certificate"
    try:
        if {tls}:
            import tls
            context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
            context.verify_mode = tls.CERT_REQUIRED
            with open("/ca.der", "rb") as f:
                context.load_verify_locations(f.read())
            if {tls} == 2:
                with open("/cert.der", "rb") as f, open("/tls.key", "rb") as g:
                    context.load_cert_chain(f.read(), g.read())
        stage = "connect"
        reader, writer = await b.link.connect({host!r}, {port}, context)
        if context:
            stage = "login"
        writer.write(packet)
        await writer.drain()
        stage = "login"
        answer = await reader.readexactly(4)
        print("broker", answer[3])
        writer.write(b"\\xe0\\x00")
        await writer.drain()
    except Exception as error:
        number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        print("refused", stage, type(error).__name__, number)
        return
    writer.close()
async def _within(packet):
    try:
        await asyncio.wait_for_ms(_broker(packet), {wait_ms})
    except asyncio.TimeoutError:
        print("refused", "connect", "TimeoutError", 0)
asyncio.run(_within({packet!r}))
"""

# Requests in order, each (frame, bytes of its answer); `frame` in hexadecimal, or nothing came.
# Once the meter has answered, a lost frame is asked for again: noise is no fault of the wiring.
BUS = """
async def _once(frame, count, wait_ms):
    answer = b""
    b.rs485.purge()
    await b.rs485.write(frame)
    try:
        while len(answer) < count:
            answer += await asyncio.wait_for_ms(b.rs485.read(count - len(answer)), wait_ms)
            if len(answer) >= 2 and answer[1] & 128:
                count = 5
    except asyncio.TimeoutError:
        await asyncio.sleep_ms(wait_ms)  # a late answer must not meet the next request
    await asyncio.sleep_ms(20)
    return answer
async def _bus(requests, wait_ms):
    heard = True
    for frame, count in requests:
        answer = b""
        for _ in range(3 if heard else 1):
            answer = await _once(frame, count, wait_ms)
            if answer:
                break
        heard = bool(answer)
        print("frame", answer.hex() or "-")
"""
ASK_BUS = """
b.rs485.configure({baud}, {parity})
asyncio.run(_bus({requests!r}, {wait_ms}))
"""

ASK_GATEWAY = """
async def _gateway(requests):
    try:
        reader, writer = await b.link.connect({host!r}, {port})
    except OSError as error:
        print("refused", error.args[0])
        return
    for frame, count in requests:
        writer.write(frame)
        await writer.drain()
        try:
            head = await asyncio.wait_for_ms(reader.readexactly(8), {wait_ms})
            rest = await reader.readexactly(head[5] - 2)
            print("frame", (head + rest).hex())
        except (asyncio.TimeoutError, EOFError):
            print("frame", "-")
            break
    writer.close()
asyncio.run(_gateway({requests!r}))
"""

# Closes a relay for as long as the loaded meters are read and pulses are waited for; opens it
# whatever happens. A line lost meanwhile leaves no customer connected.
RELAY = """
import time
async def _exercise(index, channels, requests, wait_ms):
    relay = b.relays[index] if index is not None else None
    told = lambda: -1 if relay.actual() is None else int(relay.actual())
    try:
        if relay:
            relay.open()
            await asyncio.sleep_ms(300)
            print("open", told())
            before = [b.pulse(channel) for channel in channels]
            relay.close()
            await asyncio.sleep_ms(300)
            print("closed", told())
        else:
            before = [b.pulse(channel) for channel in channels]
        if requests:
            b.rs485.configure({baud}, {parity})
            await _bus(requests, {bus_ms})
        begun = time.ticks_ms()
        while channels:
            seen = [b.pulse(channel) - was for channel, was in zip(channels, before)]
            if min(seen) >= 2 or time.ticks_diff(time.ticks_ms(), begun) > wait_ms:
                print("pulses", *seen)
                break
            await asyncio.sleep_ms(100)
    finally:
        if relay:
            relay.open()
            await asyncio.sleep_ms(300)
            print("open", told())
asyncio.run(_exercise({index}, {channels!r}, {requests!r}, {wait_ms}))
"""


def facts(text: str) -> dict[str, list[list[str]]]:
    """Word: the values of each of its lines."""
    out: dict[str, list[list[str]]] = {}
    for line in text.split("\n"):
        word, *values = line.split() or [""]
        if word:
            out.setdefault(word, []).append(values)
    return out
