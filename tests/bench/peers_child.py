"""Bytes and time of one reading in our form and in others', on one interpreter; MicroPython only.

The same eight readings: as our sealed batch, its CBOR by our codec and by the cbor2 of
micropython-lib (where its folder is given), and as eight of Tasmota's SENSOR messages in JSON.
"""

import asyncio
import json
import sys
import time

from firmware import point as points
from protocol import cbor, cose, messages
from tests.firmware import desk as desks

READINGS = 8
TIMES = 400
TOPIC = "tele/tasmota_4F2A11/SENSOR"


def records():
    """Packed slots of eight intervals of a household."""
    desk = desks.Desk(desks.folder("peers"))
    desks.provision(desk.root, [desks.point_settings()], desks.flat_book())
    _, firmware = desk.power_on()
    for number in range(READINGS + 1):
        asyncio.run(firmware.metering.poll())
        desk.now_ms += 900000
        desk.meter.register_wh += 130 + 17 * number
    return [record for _, record in firmware.outbox.take(0, 1, READINGS)]


def tasmota(entry):
    """What a Tasmota energy meter sends of a reading, in its own units and names."""
    stamp = "%04d-%02d-%02dT%02d:%02d:%02d" % time.gmtime(entry.time_s)[:6]
    power = entry.energy_wh * 4
    return {
        "Time": stamp,
        "ENERGY": {
            "TotalStartTime": "2026-01-01T00:00:00",
            "Total": entry.register_wh / 1000,
            "Yesterday": 9.871,
            "Today": 3.402,
            "Period": entry.energy_wh,
            "Power": power,
            "ApparentPower": power + 12,
            "ReactivePower": 31,
            "Factor": 0.98,
            "Voltage": 231,
            "Current": power / 231,
        },
    }


def us_each(run, data):
    """Microseconds of a call per reading: the best of five rounds."""
    best = None
    for _ in range(5):
        started = time.ticks_us()
        for _ in range(TIMES):
            run(data)
        took = time.ticks_diff(time.ticks_us(), started)
        best = took if best is None else min(best, took)
    return best // (TIMES * READINGS)


def measured(cbor2_folder):
    packed = records()
    message, count = points.batch(0, [(points.unpack(each).entry.seq, each) for each in packed])
    if count != READINGS:
        raise ValueError(count)
    mac = cose.Mac(cose.derive(desks.ROOT_KEY, cose.UP))
    sealed = messages.seal(message, mac)
    plain = cbor.decode(messages.pack(message), 10)
    sensors = [tasmota(points.unpack(record).entry) for record in packed]
    texts = [json.dumps(sensor) for sensor in sensors]
    found = {
        "peer_sealed_bytes": len(sealed) // READINGS,
        "peer_sealed_write_us": us_each(lambda it: messages.seal(it, mac), message),
        "peer_sealed_read_us": us_each(lambda it: messages.unseal(it, mac, False), sealed),
        "peer_cbor_bytes": len(cbor.encode(plain)) // READINGS,
        "peer_cbor_write_us": us_each(cbor.encode, plain),
        "peer_cbor_read_us": us_each(lambda it: cbor.decode(it, 10), cbor.encode(plain)),
        "peer_tasmota_bytes": sum([len(text) for text in texts]) // READINGS,
        "peer_tasmota_write_us": us_each(lambda all: [json.dumps(each) for each in all], sensors),
        "peer_tasmota_read_us": us_each(lambda all: [json.loads(each) for each in all], texts),
    }
    if cbor2_folder:
        sys.path.insert(0, cbor2_folder)
        import cbor2

        theirs = cbor2.dumps(plain)
        if cbor2.loads(theirs) != plain:
            raise ValueError("cbor2 reads something else")
        found["peer_cbor2_bytes"] = len(theirs) // READINGS
        found["peer_cbor2_write_us"] = us_each(cbor2.dumps, plain)
        found["peer_cbor2_read_us"] = us_each(cbor2.loads, theirs)
    return found


def main(cbor2_folder):
    print(json.dumps(measured(cbor2_folder)))
