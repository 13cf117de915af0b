"""Which meter it is: serial number, type and ratios, against what was accepted at first.

The accepted identity is a file; a METER command removes it. Loaded at start and once a day only.
"""

from firmware import config
from firmware.meters.readings import IDENTITY
from protocol import cbor, codes
from protocol.quantities import IDENTITY_FIRST
from protocol.units import BAD_FIELD, Malformed, Unavailable, const

_DAY_MS = const(86400000)
_AGAIN_MS = const(600000)


def path(number):
    return "/identity%d.cbor" % number


async def check(watch, sight):
    """Ask the meter what it is; a change is told once, and stands until it is accepted."""
    point, metering = sight.point, watch.metering
    now_ms = metering.board.ticks_ms()
    sight.identify_ms = now_ms + _AGAIN_MS
    try:
        values = (await point.meter.read(IDENTITY)).values
    except Unavailable:
        return
    sight.identify_ms = now_ms + _DAY_MS
    found = {key: values[key] for key in values if key >= IDENTITY_FIRST}
    if not found:
        return  # its map names no such register
    try:
        accepted = cbor.decode(config.read(watch.root, path(point.number)))
        if not isinstance(accepted, dict):
            raise Malformed(BAD_FIELD, "identity")
    except Malformed:
        accepted = found
        try:
            config.write(watch.root, path(point.number), cbor.encode(found))
        except OSError:  # then what it is a little later
            sight.identify_ms = now_ms + _AGAIN_MS
    changed = [key for key in sorted(found) if accepted.get(key) != found[key]]
    if changed and not sight.other_meter:
        for key in changed:
            figures = (key, accepted.get(key, 0), found[key])
            metering.events.add(codes.METER_IDENTITY, point.number, *figures)
    sight.other_meter = bool(changed)


def accept(watch, point):
    """Another meter was put in with everybody's knowledge: learn what it is at the next poll."""
    config.remove(watch.root + path(point.number))
    watch.sights[point.number].identify_ms = 0
