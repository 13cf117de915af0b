"""Writes protocol/vectors/messages.json: sealed messages good and bad, and what each must mean.

    python -m tests.peers.message_vectors

A test compares the file with what this program makes, so that the wire cannot change silently.
Bytes are hexadecimal; in `fields` a byte string is {"hex": ...} and a map {"map": [[key, value]]}.
"""

import json
from pathlib import Path

from protocol import cbor, codes, cose, messages, settings, tariff, tariff_book, units
from protocol.units import NCUR_MAX

TARGET = Path(__file__).resolve().parents[2] / "protocol" / "vectors" / "messages.json"
ROOT_KEY = bytes(range(32))
MODULE_ID = "meter-0042"
MACS = {
    False: cose.Mac(cose.derive(ROOT_KEY, cose.UP)),
    True: cose.Mac(cose.derive(ROOT_KEY, cose.DOWN)),
}
CUR = units.NCUR_PER_CUR
AT_S = 1772726400
U32 = 0xFFFFFFFF
S_MAX = 1 << 40
WH_MAX = 1 << 50
HEAD = bytes(range(16))
STATE = [12_500 * CUR, 24314, 431_250, 20518, 0, 8, 1, 0x0B, HEAD]
STATE_MAX = [-NCUR_MAX, U32, WH_MAX, 1 << 24, U32, 65534, 65533, 255, HEAD]

SLOTS = (((0, 1), (480, 0), (1320, 1)), ((0, 1),))
WINTER = (((0, 1), (420, 0), (600, 2), (1020, 0), (1380, 1)), ((0, 1), (720, 2)))
RATES = tariff.Rates(
    ((568_000, 288_000, 901_234),),
    115 * CUR,
    ((101, 1), (401, 0), (1001, 1)),
    (0, 0, 0, 0, 0, 1, 1),
    ((20500, 1), (20573, 1)),
    (SLOTS, WINTER),
)
LADDER = tariff.Ladder(tariff.YEAR, 1, (2_760_000, 4_800_000), (0, 50_000, 300_000))
PER_TIER = tariff.Rates(
    ((617_000, 307_000), (677_000, 337_000), (977_000, 487_000)),
    0,
    ((101, 0),),
    (0,) * 7,
    (),
    ((((0, 1), (360, 0), (1320, 1)),),),
)
BOOK = tariff.Book(
    7,
    "CNY",
    ((0, 28800), (AT_S, 32400), (AT_S + 86400, -28800)),
    ((0, RATES), (AT_S + 3600, PER_TIER)),
    ((0, LADDER), (AT_S + 7200, tariff.Ladder(tariff.BILLING_DAY, 28, (), (0,)))),
)
POINT = settings.point_of(
    point=0, meter=settings.MODBUS, meter_map="sdm120", unit=1, pulse_channel=0, imp_per_kwh=0,
    register_base_wh=0, current_max_ma=60_000, relay=0, warning_1_ncur=5 * CUR,
    warning_2_ncur=2 * CUR, limit_ncur=0, rearm_ncur=CUR, cap_ncur=1000 * CUR,
    topup_max_ncur=500 * CUR, auto_close=1,
)  # fmt: skip
PULSE_POINT = POINT._replace(
    point=7, meter=settings.PULSE, meter_map="", unit=0, pulse_channel=3, imp_per_kwh=3200,
    register_base_wh=WH_MAX, relay=settings.NO_RELAY, limit_ncur=-10 * CUR,
)  # fmt: skip
MODULE = settings.module_of(
    version=1, module=MODULE_ID, shard=3, broker_host="broker.example", broker_port=8883,
    broker_user="meter", broker_password="secret", keepalive_s=60, poll_ms=1000,
    batch_records=8, rs485_baud=9600, rs485_parity=2, points=(POINT, PULSE_POINT),
)  # fmt: skip

ITEMS = [
    [7, AT_S, 1, 1_000_000],
    250,
    [1, 417, 0, 31],
    [1, 483, 1, 0],
    [2, 0, 0, 20518],
    [3, 60, 0, 8, 1, 50 * CUR],
    [4, 60, 0, 3, 0, -CUR],
    [5, -30, 2, 4711, 3, -1],
    [6, 12, 0, 4712, 1, -CUR, 431_250],
    0,
]
EXTREME = [
    WH_MAX,
    [1, S_MAX - 1, 2, WH_MAX],
    [2, 0, 2, 1 << 24],
    [3, S_MAX - 1, 2, U32, 0xFFFF, NCUR_MAX],
    [5, 1 - (1 << 32), 2, U32, 0xFFFF, -NCUR_MAX],
    [6, S_MAX - 1, 2, U32, 0xFFFF, NCUR_MAX, WH_MAX],
]


def command(action: int, args: list[object], target: int = 0) -> messages.Command:
    return messages.Command(4711, target, action, AT_S, AT_S + 86400, args)


READINGS = messages.Readings(2, 3, 17, 7, [250, 0, 31], HEAD)
EVENTS = messages.Events(
    1, 5, [[AT_S, 1, codes.BOOT, 255, [1, 65537]], [AT_S, 0, 6, 0, [2, -CUR]]]
)
STATEMENT = messages.Statement(0, 1, 17, AT_S, 0, 1_000_281, 7, 1, 2, 3, STATE)
RESULT = messages.Result(1, 6, AT_S, 0, 4711, codes.DONE, 0)
HELLO = messages.Hello(65537, 1, 5000, AT_S, 2, 1, "0.1.0", 1, {0: 17, 8: 6}, {0: 7})
ACK = messages.Ack(1, {0: 17, 8: 6})
TIME = messages.Time(65537, 5000, AT_S * 1000)

GOOD = {
    "readings: quarters of an hour": READINGS,
    "readings: every kind of item": READINGS._replace(items=ITEMS),
    "readings: greatest values": messages.Readings(
        7, U32, U32, U32, EXTREME, b"\xff" * 16
    ),
    "readings: as many items as fit": READINGS._replace(items=[1] * 1000),
    "events": EVENTS,
    "events: some were lost": EVENTS._replace(items=[40, *EVENTS.items, 1]),
    "events: greatest values": messages.Events(
        U32, U32, [[S_MAX, 2, 0xFFFF, 7, [(1 << 64) - 1, -(1 << 64)] * 8]]
    ),
    "statement": STATEMENT,
    "statement: greatest values": messages.Statement(
        7, U32, U32, S_MAX, 2, WH_MAX, U32, -NCUR_MAX, NCUR_MAX, NCUR_MAX, STATE_MAX
    ),
    "result": RESULT,
    "result: greatest values": messages.Result(U32, U32, S_MAX, 2, U32, 0xFFFF, -NCUR_MAX),
    "hello": HELLO,
    "hello: nothing written yet": HELLO._replace(streams={}, versions={}),
    "hello: greatest values": messages.Hello(
        U32, U32, WH_MAX, S_MAX, 2, 0xFFFF, "x" * 32, U32,
        dict.fromkeys(range(9), U32), dict.fromkeys(range(9), U32),
    ),
    "acknowledgement": ACK,
    "acknowledgement of nothing": messages.Ack(0, {}),
    "command: top-up": command(codes.TOPUP, [8, 0, 50 * CUR]),
    "command: tariff": command(codes.TARIFF, [tariff_book.to_wire(BOOK)]),
    "command: trip": command(codes.RELAY, [codes.TRIP]),
    "command: adjustment": command(codes.ADJUST, [3, -CUR]),
    "command: configuration": command(
        codes.CONFIG, [settings.module_to_wire(MODULE)], units.MODULE_TARGET
    ),
    "command: trip and arm": command(codes.RELAY, [codes.TRIP_THEN_ARM, 600]),
    "command: debt": command(codes.DEBT, [3, 100 * CUR, 25, 40 * CUR]),
    "command: update begins": command(
        codes.UPDATE, [codes.BEGIN, 512, 6, 4096, bytes(range(32)), 90], units.MODULE_TARGET
    ),
    "command: update chunk": command(
        codes.UPDATE, [codes.CHUNK, 1, 1024, b"chunk"], units.MODULE_TARGET
    ),
    "command: update ends": command(codes.UPDATE, [codes.FINISH], units.MODULE_TARGET),
    "command: statement": command(codes.STATE, []),
    "command: plan": command(codes.PLAN, [2, 1, AT_S + 86400], units.MODULE_TARGET),
    "command: clear tamper": command(codes.CLEAR, [codes.CLEAR_TAMPER]),
    "command: meter": command(codes.METER, [250_400]),
    "command: transfer": command(codes.TRANSFER, [-CUR, 24314, -250]),
    "command: key": command(codes.KEY, [bytes(range(16)), bytes(8)], units.MODULE_TARGET),
    "command: clock": command(codes.CLOCK, [], units.MODULE_TARGET),
    "time": TIME,
    "time: greatest values": messages.Time(U32, WH_MAX, WH_MAX),
}  # fmt: skip


def fields_of(message: tuple[object, ...]) -> dict[int, object]:
    """The map of a payload, to be damaged."""
    fields = cbor.decode(messages.pack(message), 10)
    assert isinstance(fields, dict)
    return fields


def broken(message: tuple[object, ...], **fields: object) -> bytes:
    """A payload with fields replaced by number (f7=...); None leaves a field out."""
    values = fields_of(message)
    for name, value in fields.items():
        values[int(name[1:])] = value
    return cbor.encode({number: value for number, value in values.items() if value is not None})


def shape_cases() -> dict[str, tuple[bytes, int]]:
    """Payloads that the outer check refuses, with the reason."""
    bad, unknown = units.BAD_FIELD, units.UNKNOWN_KIND
    return {
        "no kind": (broken(READINGS, f0=None), bad),
        "kind is true, which equals 1 on CPython": (broken(READINGS, f0=True), bad),
        "kind is a text": (broken(READINGS, f0="1"), bad),
        "kind nobody has": (broken(READINGS, f0=6), unknown),
        "kind beyond 32 bits": (broken(READINGS, f0=1 << 32), bad),
        "a list": (cbor.encode([1, 2]), bad),
        "an empty map": (cbor.encode({}), bad),
        "point 8": (broken(READINGS, f1=8), bad),
        "point is true": (broken(READINGS, f1=True), bad),
        "point is negative": (broken(READINGS, f1=-1), bad),
        "epoch beyond 32 bits": (broken(READINGS, f2=1 << 32), bad),
        "sequence 0": (broken(READINGS, f3=0), bad),
        "point 0 is never written": (broken(READINGS, f1=0), bad),
        "epoch 1 is never written": (broken(ACK, f1=1), bad),
        "point is null": (cbor.encode(fields_of(READINGS) | {1: None}), bad),
        "version is missing": (broken(READINGS, f4=None), bad),
        "no items": (broken(READINGS, f5=[]), bad),
        "1025 items": (broken(READINGS, f5=[0] * 1025), units.OVERSIZED),
        "items are a map": (broken(READINGS, f5={0: 1}), bad),
        "head of 15 bytes": (broken(READINGS, f6=HEAD[:15]), bad),
        "head of 17 bytes": (broken(READINGS, f6=HEAD + b"h"), bad),
        "head is a text": (broken(READINGS, f6="h" * 16), bad),
        "state of eight": (broken(STATEMENT, f11=STATE[:8]), bad),
        "state of ten": (broken(STATEMENT, f11=[*STATE, 0]), bad),
        "field 7 is unknown": (broken(READINGS, f7=0), bad),
        "field 31 is unknown": (broken(EVENTS, f31=0), bad),
        "field -1 is unknown": (cbor.encode(fields_of(TIME) | {-1: 0}), bad),
        "events without items": (broken(EVENTS, f3=[]), bad),
        "statement quality 3": (broken(STATEMENT, f5=3), bad),
        "statement balance too low": (broken(STATEMENT, f8=-NCUR_MAX - 1), bad),
        "statement balance too high": (broken(STATEMENT, f8=NCUR_MAX + 1), bad),
        "result status beyond 16 bits": (broken(RESULT, f6=0x10000), bad),
        "hello without a firmware": (broken(HELLO, f7=""), bad),
        "hello with 33 characters of firmware": (broken(HELLO, f7="x" * 33), bad),
        "hello: firmware is bytes": (broken(HELLO, f7=b"0.1.0"), bad),
        "acknowledged sequence beyond 32 bits": (broken(ACK, f2={0: 1 << 32}), bad),
        "acknowledged sequence negative": (broken(ACK, f2={0: -1}), bad),
        "command id 0": (broken(GOOD["command: trip"], f1=0), bad),
        "command target 256": (broken(GOOD["command: trip"], f2=256), bad),
        "command with 17 arguments": (broken(GOOD["command: trip"], f6=[1] * 17), bad),
        "command expires too late": (broken(GOOD["command: trip"], f5=S_MAX + 1), bad),
        "time ticks negative": (broken(TIME, f2=-1), bad),
    }


def encoding_cases() -> dict[str, tuple[bytes, int]]:
    """Payloads that are no deterministic CBOR of ours, and one that CDDL tools do not notice."""
    good = messages.pack(TIME)
    unsorted = b"\xa4" + b"\x01\x00" + b"\x00\x12" + b"\x02\x00" + b"\x03\x00"
    deep = b"\x81" * 9 + b"\x00"
    return {
        "nothing": (b"", units.MALFORMED),
        "trailing byte": (good + b"\x00", units.MALFORMED),
        "truncated": (good[:-1], units.MALFORMED),
        "keys unsorted": (unsorted, units.MALFORMED),
        "key twice": (b"\xa4\x00\x12\x01\x00\x01\x00\x03\x00", units.MALFORMED),
        "text key": (b"\xa1\x61\x30\x12", units.MALFORMED),
        "longer integer": (b"\xa4\x00\x18\x12\x01\x00\x02\x00\x03\x00", units.MALFORMED),
        "float": (b"\xa4\x00\x12\x01\x00\x02\x00\x03\xf9\x00\x00", units.MALFORMED),
        "indefinite map": (b"\xbf\x00\x12\x01\x00\x02\x00\x03\x00\xff", units.MALFORMED),
        "length beyond the data": (b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff", units.MALFORMED),
        "text is not UTF-8": (b"\xa2\x00\x05\x07\x61\xff", units.MALFORMED),
        "too deep": (b"\xa2\x00\x10\x01" + b"\x81" + deep, units.TOO_DEEP),
        "more objects than a heap holds": (
            b"\xa2\x00\x01\x07\x82" + (b"\x99\x02\x58" + b"\x80" * 600) * 2,
            units.OVERSIZED,
        ),
        "more items than a list may have": (
            b"\xa2\x00\x01\x07\x99\x04\x01" + bytes(1025),
            units.OVERSIZED,
        ),
        "more pairs than a map may have": (
            b"\xa2\x00\x01\x07\xb8\x41" + b"".join(cbor.encode(n) + b"\x00" for n in range(65)),
            units.OVERSIZED,
        ),
        "stream 9": (broken(ACK, f2={9: 1}), units.BAD_FIELD),
    }  # fmt: skip


def inner_cases() -> dict[str, tuple[tuple[object, ...], str]]:
    """Messages whose fields are right and whose insides are not; the door that refuses them."""
    cases: dict[str, tuple[tuple[object, ...], str]] = {}
    items: dict[str, object] = {
        "energy negative": -1,
        "energy too high": WH_MAX + 1,
        "text": "1",
        "true": True,
        "empty list": [],
        "unknown kind": [8, 0, 0],
        "transfer without what is used": [6, 0, 0, 1, 1, 1],
        "transfer that has used less than nothing": [6, 0, 0, 1, 1, 1, -1],
        "charge without energy": [1, 0, 0],
        "charge that goes back": [1, -1, 0, 5],
        "charge quality 3": [1, 1, 3, 5],
        "charge in the far future": [1, 1 << 40, 0, 5],
        "charge energy negative": [1, 1, 0, -5],
        "charge energy too high": [1, 1, 0, WH_MAX + 1],
        "charge energy true": [1, 1, 0, True],
        "fixed with a time": [2, 1, 0, 20518],
        "fixed day negative": [2, 0, 0, -1],
        "fixed day too high": [2, 0, 0, (1 << 24) + 1],
        "top-up without amount": [3, 0, 0, 8, 1],
        "top-up number negative": [3, 0, 0, -2, 1, CUR],
        "top-up channel negative": [3, 0, 0, 2, -1, CUR],
        "top-up amount too high": [3, 0, 0, 2, 1, NCUR_MAX + 1],
        "top-up long ago": [3, -(1 << 32), 0, 2, 1, CUR],
        "adjustment with seven members": [5, 0, 0, 1, 1, 1, 1],
        "opening without a register": [7, 0, 0],
        "opening before 1970": [7, -1, 0, 1],
        "opening register too high": [7, 0, 0, WH_MAX + 1],
    }
    for name, item in items.items():
        cases["item: " + name] = (READINGS._replace(items=[item]), "facts")
    wire = tariff_book.to_wire(BOOK)
    cases["book without a zone"] = (command(codes.TARIFF, [[*wire[:2], [], *wire[3:]]]), "book")
    cases["book version 0"] = (command(codes.TARIFF, [[0, *wire[1:]]]), "book")
    cases["book of four"] = (command(codes.TARIFF, [wire[:4]]), "book")
    config = settings.module_to_wire(MODULE)
    cases["shard 4096"] = (command(codes.CONFIG, [config | {3: 4096}], 255), "settings")
    cases["unknown setting"] = (command(codes.CONFIG, [config | {31: 1}], 255), "settings")
    wrong_events: dict[str, object] = {
        "of four": [AT_S, 0, 1, 255],
        "quality 3": [AT_S, 3, 1, 255, []],
        "point 9": [AT_S, 0, 1, 9, []],
        "17 arguments": [AT_S, 0, 1, 255, [1] * 17],
        "text argument": [AT_S, 0, 1, 255, ["1"]],
        "lost none": 0,
        "lost fewer than none": -1,
    }
    for name, event in wrong_events.items():
        cases["event " + name] = (EVENTS._replace(items=[event]), "host")
    for number, value in ((0, NCUR_MAX + 1), (1, -1), (5, 65535), (7, 256), (8, HEAD[:15])):
        state = [*STATE[:number], value, *STATE[number + 1 :]]
        cases[f"state member {number}"] = (STATEMENT._replace(state=state), "host")
    return cases


def seal_cases(good: bytes) -> list[dict[str, object]]:
    """Seals that are not right, around payloads that are."""
    ack, order = messages.pack(ACK), messages.pack(GOOD["command: trip"])
    flipped = good[:-1] + bytes([good[-1] ^ 1])
    full, short = cose.HMAC_256_256, cose.HMAC_256_64
    up, down = MACS[False], MACS[True]
    rows = (
        ("tag off by one bit", flipped, False, units.FORGED),
        ("reflected to its sender", cose.seal(short, ack, up), True, units.FORGED),
        ("short tag on a command", cose.seal(short, order, down), True, units.FORGED),
        ("full tag on readings", cose.seal(full, messages.pack(READINGS), up), False,
         units.FORGED),
        ("acknowledgement sent up", cose.seal(short, ack, up), False, units.WRONG_TOPIC),
        ("readings sent down", cose.seal(short, messages.pack(READINGS), down), True,
         units.WRONG_TOPIC),
        ("no seal", ack, True, units.MALFORMED),
        ("4097 bytes", good + bytes(4097 - len(good)), False, units.OVERSIZED),
    )  # fmt: skip
    return [
        {"name": name, "down": way, "sealed": data.hex(), "reason": reason}
        for name, data, way, reason in rows
    ]


def plain(value: object) -> object:
    """A value as JSON can hold it."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, dict):
        return {"map": [[key, plain(item)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def sealed_row(name: str, payload: bytes, sealed_as: int, **more: object) -> dict[str, object]:
    down = messages.is_down(sealed_as)
    data = cose.seal(messages.alg_of(sealed_as), payload, MACS[down])
    row: dict[str, object] = {"name": name, "down": down, "sealed": data.hex()}
    return row | {"payload": payload.hex()} | more


def build() -> dict[str, object]:
    good = []
    for name, message in GOOD.items():
        kind = messages.kind_of(message)
        payload = messages.pack(message)
        good.append(sealed_row(name, payload, kind, kind=kind, fields=plain(list(message))))
    extended = cbor.encode(fields_of(TIME) | {32: [b"later"]})
    fields = plain(list(TIME))
    name = "time: fields from 32 on are ignored"
    row = sealed_row(name, extended, messages.TIME, kind=messages.TIME, fields=fields)
    good.append(row | {"ignores": [32]})
    bad = []
    for shape, cases in ((True, shape_cases()), (False, encoding_cases())):
        for name, (payload, reason) in cases.items():
            # The kind only picks direction and tag length; most of these never say theirs.
            kind = payload[2] if payload[1:2] == b"\x00" and payload[2:3] <= b"\x12" else 1
            bad.append(sealed_row(name, payload, kind, reason=reason, shape=shape))
    bad += seal_cases(bytes.fromhex(str(good[0]["sealed"])))
    inner = [
        sealed_row(name, messages.pack(message), messages.kind_of(message), door=door)
        for name, (message, door) in inner_cases().items()
    ]
    keys: dict[str, object] = {"root_key": ROOT_KEY.hex()}
    return keys | {"good": good, "bad": bad, "bad_inside": inner}


def text() -> str:
    """The file: one case a line, so that a difference is one line too."""
    lines = []
    for name, value in build().items():
        if isinstance(value, list):
            rows = ",\n".join(json.dumps(row) for row in value)
            lines.append(f"{json.dumps(name)}: [\n{rows}\n]")
        else:
            lines.append(f"{json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
