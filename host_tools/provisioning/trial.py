"""The electrical part of the checklist: every meter, then each relay with its load, then pulses.

The relay is closed for as long as the loaded meters are read and two pulses are waited for, by a
program on the module that opens it again whatever happens to the line. Times in milliseconds.
"""

from collections.abc import Callable, Sequence
from functools import partial

from host_tools.faults import Fault
from host_tools.maps.loading import BAUDS
from host_tools.provisioning import meters, probes
from host_tools.provisioning.console import Console
from host_tools.provisioning.faults import BAUD, NETWORK, PULSES, RELAY, SILENT
from host_tools.provisioning.order import PARITIES, Order, PointOrder
from protocol import settings
from protocol.units import NO_RELAY

REPLY_MS = 1000
SCAN_MS = 250
PULSES_MS = 30_000
GATEWAY_MS = 2000
_SPARE_S = 15
READINGS = 3  # before what a meter shows is believed to be wrong: a line may be noisy


def every_meter(console: Console, order: Order) -> tuple[bool | None, str, str]:
    """Each Modbus meter. Fault names the first that is silent or shows nonsense."""
    shown = []
    for each in order.points:
        if each.meter.kind == settings.PULSE:
            continue
        # Behind a relay there is no load yet; without one there may be.
        seen = _believed(partial(_read, console, order, each), each.relay == NO_RELAY, each)
        shown.append(meters.shown(each.meter, seen))
    if not shown:
        return None, "pulse meters only", "仅脉冲表"
    return True, "; ".join(shown), "；".join(shown)


def _believed(
    read: Callable[[], dict[str, int]], loaded: bool, each: PointOrder
) -> dict[str, int]:
    """What is judged sound, or the Fault of the last of several readings."""
    for left in reversed(range(READINGS)):
        seen = read()
        try:
            meters.judge(each.point, each.meter, seen, loaded=loaded)
            break
        except Fault:
            if not left:
                raise
    return seen


def _read(console: Console, order: Order, each: PointOrder) -> dict[str, int]:
    frames = _asked(console, order, each)
    if not meters.heard(frames):
        raise _silent(console, order, each)
    return meters.values(each.meter, frames)


def _asked(console: Console, order: Order, each: PointOrder) -> list[bytes]:
    requests = meters.requests(each.meter)
    wait_s = len(requests) * (GATEWAY_MS if each.meter.tcp else REPLY_MS) // 1000 + _SPARE_S
    if each.meter.tcp and order.gateway:
        host, port = order.gateway
        program = probes.ASK_GATEWAY.format(
            host=host, port=port, requests=requests, wait_ms=GATEWAY_MS
        )
    else:
        program = probes.ASK_BUS.format(
            baud=order.baud, parity=order.parity, requests=requests, wait_ms=REPLY_MS
        )
    told = probes.facts(console.run(program, wait_s))
    if "refused" in told:
        raise NETWORK.seen(
            f"gateway 网关 {order.gateway}: not reached 无法连接",
            ("check the gateway's address and its network", "请检查网关地址与网络"),
        )
    return _frames(told)


def _frames(told: dict[str, list[list[str]]]) -> list[bytes]:
    return [b"" if word == "-" else bytes.fromhex(word) for (word,) in told.get("frame", [])]


def _silent(console: Console, order: Order, each: PointOrder) -> Fault:
    """Why nobody answers: at another speed somebody may."""
    name = each.meter.family.name if each.meter.family else ""
    where = f"point 用电点 {each.point}, {name} unit 地址 {each.meter.unit}"
    if not each.meter.tcp:
        for baud, parity in _other_lines(order):
            program = probes.ASK_BUS.format(
                baud=baud,
                parity=parity,
                requests=meters.requests(each.meter)[:1],
                wait_ms=SCAN_MS,
            )
            if meters.heard(_frames(probes.facts(console.run(program, _SPARE_S)))):
                return BAUD.seen(
                    f"{where}: answers at {baud} {PARITIES[parity]}, not at"
                    f" {order.baud} {PARITIES[order.parity]} 波特率不符",
                )
    return SILENT.seen(f"{where}: does not answer 无应答")


def _other_lines(order: Order) -> list[tuple[int, int]]:
    """The most usual first."""
    speeds = sorted(BAUDS, key=lambda baud: abs(baud - order.baud))
    lines = [(baud, parity) for parity in (0, 2, 1) for baud in speeds]
    return [line for line in lines if line != (order.baud, order.parity)]


def every_relay(
    console: Console, order: Order, tell: Callable[[str], None]
) -> tuple[bool | None, str, str]:
    """Open, close, feedback; under load the phases and the pulses of what the relay supplies."""
    shown, shown_zh = [], []
    for index in sorted({each.relay for each in order.points}):
        points = [each for each in order.points if each.relay == index]
        relay = None if index == NO_RELAY else index
        tell(f"relay {relay}")
        text, text_zh = _exercised(console, order, relay, points)
        shown.append(text)
        shown_zh.append(text_zh)
    return True, "; ".join(filter(None, shown)), "；".join(filter(None, shown_zh))


def _exercised(
    console: Console, order: Order, relay: int | None, points: Sequence[PointOrder]
) -> tuple[str, str]:
    """Once more where a meter under load showed nonsense; not for the contact or for pulses."""
    for _ in range(READINGS - 1):
        try:
            return _exercise(console, order, relay, points)
        except Fault as error:
            if error.kind in (RELAY, PULSES):
                raise
    return _exercise(console, order, relay, points)


def _exercise(
    console: Console, order: Order, relay: int | None, points: Sequence[PointOrder]
) -> tuple[str, str]:
    buses = [each for each in points if each.meter.kind == settings.MODBUS]
    pulsed = [each for each in points if each.meter.kind == settings.PULSE]
    if relay is None and not pulsed:
        return "", ""
    loaded = buses if relay is not None else []
    requests = [request for each in loaded for request in meters.requests(each.meter)]
    program = probes.RELAY.format(
        baud=order.baud or 9600,
        parity=order.parity,
        bus_ms=REPLY_MS,
        index=relay,
        channels=[each.meter.channel for each in pulsed],
        requests=requests,
        wait_ms=PULSES_MS,
    )
    wait_s = (PULSES_MS + len(requests) * REPLY_MS) // 1000 + _SPARE_S
    told = probes.facts(console.run(program, wait_s))
    text, text_zh = ("no relay", "无继电器") if relay is None else _contact(relay, told)
    frames = _frames(told)
    for each in loaded:
        count = len(meters.requests(each.meter))
        seen, frames = meters.values(each.meter, frames[:count]), frames[count:]
        meters.judge(each.point, each.meter, seen, loaded=True)
        load = f"{seen.get('power_mw', 0) // 1000} W"
        text, text_zh = f"{text}, {load}", f"{text_zh}，{load}"
    counts = told.get("pulses", [[]])[0]
    for each, count_seen in zip(pulsed, counts, strict=False):
        if int(count_seen) < 1:
            raise PULSES.seen(
                f"point 用电点 {each.point}: no pulse at input {each.meter.channel} in"
                f" {PULSES_MS // 1000} s 无脉冲",
            )
        text = f"{text}, {count_seen} pulses at input {each.meter.channel}"
        text_zh = f"{text_zh}，输入 {each.meter.channel} 收到 {count_seen} 个脉冲"
    return text, text_zh


def _contact(relay: int, told: dict[str, list[list[str]]]) -> tuple[str, str]:
    """What the feedback says; -1 where the board has none."""
    opened, closed = [int(word) for (word,) in told["open"]], int(told["closed"][0][0])
    if 1 in opened:
        raise RELAY.seen(f"relay {relay}: stays closed when opened 继电器断不开")
    if closed == 0:
        raise RELAY.seen(f"relay {relay}: stays open when closed 继电器合不上")
    if closed < 0:
        return f"relay {relay} moved, no feedback wired", f"继电器 {relay} 已动作，无反馈"
    return f"relay {relay} opens and closes", f"继电器 {relay} 分合正常"
