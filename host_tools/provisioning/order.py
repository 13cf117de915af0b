"""What a module shall become, as the command line or a row of a batch says it; all checked.

The settings made of it are those every new module begins with; `gridpurse command config` changes
them later. Money in whole units of currency until it becomes a setting, currents in mA.
"""

import argparse
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from host_tools import Refused, tariffs
from host_tools.config import BrokerAddress
from host_tools.files import PRIVATE
from host_tools.flashing import device_image
from host_tools.maps import MAPS, MeterMap, load
from host_tools.settlement.enrol import NewPoint
from host_tools.tokens import UNIT_NCUR
from protocol import places, settings, tariff, topics
from protocol.units import NCUR_PER_CUR, NO_RELAY, POINTS_MAX, Malformed

VIRTUAL = "virtual"
PULSE, TCP = "pulse:", "tcp:"
PULSE_CURRENT_MAX_MA = 60_000
WARNINGS, CAP, TOPUP_MAX = (5, 2), 500, 200
KEEPALIVE_S, BATCH_RECORDS, POLL_MS = 60, 8, 5000
GATEWAY_PORT = 502
PARITIES = "NOE"  # 0 none, 1 odd, 2 even
TLS_OFF, TLS_ON, TLS_MUTUAL = 0, 1, 2
SERIAL_CHARS_MAX = 32
TLS_WORDS = ("off", "on", "mutual")
BOARDS = (*device_image.boards(), VIRTUAL)
CHOICES: dict[str, tuple[str | None, ...]] = {
    "board": BOARDS,
    "tls": TLS_WORDS,
    "parity": (None, *PARITIES),
}


@dataclass(frozen=True, slots=True)
class Meter:
    """`family` is None for a pulse meter; `tcp` behind the module's gateway."""

    family: MeterMap | None
    unit: int = 0
    channel: int = 0
    imp_per_kwh: int = 0
    base_wh: int = 0  # what a pulse meter shows before its first pulse is counted
    tcp: bool = False

    @property
    def kind(self) -> int:
        if self.family is None:
            return settings.PULSE
        return settings.MODBUS_TCP if self.tcp else settings.MODBUS


@dataclass(frozen=True, slots=True)
class PointOrder:
    point: int
    label: str
    meter: Meter
    relay: int
    tariff_name: str
    book: tariff.Book


@dataclass(frozen=True, slots=True)
class Order:
    """`wifi` is (name, password) or None. `baud` and `parity` are the bus's, 0 without a bus."""

    module: str
    shard: int
    board: str
    serial: str
    points: tuple[PointOrder, ...]
    baud: int
    parity: int
    poll_ms: int
    auto_close: bool
    wifi: tuple[str, str] | None = field(repr=False)
    broker: str
    tls: int
    ca: Path | None
    ca_key: Path | None
    ntp_host: str
    gateway: tuple[str, int] | None
    was: str = ""  # the module that this chip was before, whose storage is gone

    def settings(self, login: BrokerAddress) -> settings.Module:
        """The module's configuration, version 1."""
        gateway = {}
        if self.gateway:
            gateway = {"gateway_host": self.gateway[0], "gateway_port": self.gateway[1]}
        return settings.module_of(
            version=1,
            module=self.module,
            shard=self.shard,
            broker_host=login.host,
            broker_port=login.port,
            broker_user=login.user,
            broker_password=login.password,
            keepalive_s=KEEPALIVE_S,
            poll_ms=self.poll_ms,
            batch_records=BATCH_RECORDS,
            rs485_baud=self.baud or 9600,
            rs485_parity=self.parity,
            points=tuple(_settings_of(each, self.auto_close) for each in self.points),
            tls=self.tls,
            ntp_host=self.ntp_host,
            **gateway,
        )

    def new_points(self) -> list[NewPoint]:
        return [NewPoint(each.point, each.label, each.tariff_name, each.book)
                for each in self.points]  # fmt: skip

    def books(self) -> dict[int, tariff.Book]:
        return {each.point: each.book for each in self.points}

    def digest(self) -> str:
        """Of all that is written to the module but secrets: the same order again, or another."""
        blank = BrokerAddress("-", 1)
        told = (self.settings(blank), self.board, self.broker, self.wifi and self.wifi[0])
        versions = [each.book.version for each in self.points]
        return hashlib.sha256(repr((told, versions)).encode()).hexdigest()[:16]


def _settings_of(order: PointOrder, auto_close: bool) -> settings.Point:
    meter = order.meter
    return settings.point_of(
        point=order.point,
        meter=meter.kind,
        meter_map=meter.family.name if meter.family else "",
        unit=meter.unit,
        pulse_channel=meter.channel,
        imp_per_kwh=meter.imp_per_kwh,
        register_base_wh=meter.base_wh,
        current_max_ma=meter.family.imax_ma if meter.family else PULSE_CURRENT_MAX_MA,
        relay=order.relay,
        warning_1_ncur=WARNINGS[0] * NCUR_PER_CUR,
        warning_2_ncur=WARNINGS[1] * NCUR_PER_CUR,
        limit_ncur=0,
        rearm_ncur=NCUR_PER_CUR,
        cap_ncur=CAP * NCUR_PER_CUR,
        topup_max_ncur=TOPUP_MAX * NCUR_PER_CUR,
        auto_close=int(auto_close),
        token_unit_ncur=UNIT_NCUR,
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words of one module; a batch takes them as columns of its file."""
    add = parser.add_argument
    add("--module", metavar="ID", default="", help="its name: a-z, 0-9 and -, at most 16")
    add("--was", metavar="OLD", default="",
        help="this chip was OLD, its storage is lost or erased; --module is new")  # fmt: skip
    add("--board", choices=BOARDS, help="a folder of boards/")
    add("--serial", default="", help="the number on its type plate (default: the chip's own)")
    add("--shard", type=int, default=0, help="shard of the settlement that owns it (0)")
    add("--point", action="append", default=[], metavar="N=LABEL", help="a service point; repeat")
    add("--meter", action="append", default=[], metavar="N=MAP[:UNIT]",
        help="a map of boards/meter_maps, tcp:MAP[:UNIT] behind --gateway, or"
        " pulse:IMPULSES_PER_KWH[:INPUT[:WH_SHOWN_NOW]]")  # fmt: skip
    add("--relay", action="append", default=[], metavar="N=INDEX|none",
        help="relay of a point (point 0 has relay 0, others none)")  # fmt: skip
    add("--tariff", action="append", default=[], metavar="[N=]FILE", help="tariff file")
    add("--baud", type=int, default=0, help="speed of the meter bus (the map's)")
    add("--parity", choices=tuple(PARITIES), help="parity of the meter bus (the map's)")
    add("--poll-ms", type=int, default=POLL_MS, help=f"pause between meter polls ({POLL_MS})")
    add("--auto-close", action="store_true", help="relays close without the customer's key")
    add("--wifi", default="", metavar="NAME", help="Wi-Fi network; none for Ethernet")
    add("--wifi-secret", type=Path, metavar="FILE", help="its password, a file of mode 0600")
    add(
        "--broker", default="", metavar="HOST[:PORT]", help="as the module reaches it (the host's)"
    )
    add("--tls", choices=TLS_WORDS, default="off",
        help="on: trusts --ca; mutual: also shows a certificate made with --ca-key")  # fmt: skip
    add("--ca", type=Path, metavar="PEM", help="certificate of the CA that signed the broker's")
    add("--ca-key", type=Path, metavar="PEM", help="its key, for --tls mutual")
    add("--ntp", default="", metavar="HOST[:PORT]", help="time server, for TLS after a power cut")
    add("--gateway", default="", metavar="HOST[:PORT]", help="of meters behind Modbus TCP")


def order_of(words: argparse.Namespace) -> Order:
    """The order, or Refused in one line that names the word."""
    if not topics.module_id_ok(words.module):
        raise Refused(f"--module {words.module}: use 1 to 16 of a-z, 0-9 and -")
    if words.was == words.module:
        raise Refused(
            f"--was {words.was}: name it anew with --module; a lost identity is never made again"
        )
    for name, known in CHOICES.items():
        if getattr(words, name) not in known:
            shown = ", ".join(filter(None, known))
            raise Refused(f"--{name} {getattr(words, name) or ''}: use one of {shown}")
    if not 0 <= words.shard <= topics.SHARD_MAX:
        raise Refused(f"--shard {words.shard}: must be 0 to {topics.SHARD_MAX}")
    if len(words.serial) > SERIAL_CHARS_MAX or not all(
        c.isalnum() or c in "-." for c in words.serial
    ):
        raise Refused(f"--serial {words.serial}: use letters, digits, - and ., at most 32")
    if not 100 <= words.poll_ms <= 300_000:
        raise Refused(f"--poll-ms {words.poll_ms}: must be 100 to 300000")
    labels = _numbered("--point", words.point)
    if not labels:
        raise Refused("--point: name at least one, such as --point 0=Flat-1")
    meters = {number: meter_of(text) for number, text in _numbered("--meter", words.meter).items()}
    relays = {number: _relay(text) for number, text in _numbered("--relay", words.relay).items()}
    books = _books(words.tariff, labels)
    for name, given in (("--meter", meters), ("--relay", relays)):
        for number in sorted(set(given) - set(labels)):
            raise Refused(f"{name} {number}=: there is no --point {number}")
    for number in sorted(set(labels) - set(meters)):
        raise Refused(f"--meter: point {number} has none; name it, such as {number}=sdm120:1")
    if words.ntp:
        _checked("--ntp", words.ntp, 123)
    points = tuple(
        PointOrder(
            number,
            label,
            meters[number],
            relays.get(number, 0 if number == 0 else NO_RELAY),
            *books[number],
        )
        for number, label in sorted(labels.items())
    )
    baud, parity = _bus(words, points)
    gateway = _gateway(words.gateway, points)
    return Order(
        words.module,
        words.shard,
        words.board,
        words.serial,
        points,
        baud,
        parity,
        words.poll_ms,
        words.auto_close,
        _wifi(words.wifi, words.wifi_secret),
        words.broker,
        _tls(words),
        words.ca,
        words.ca_key,
        words.ntp,
        gateway,
        words.was,
    )


def _numbered(option: str, texts: list[str]) -> dict[int, str]:
    out: dict[int, str] = {}
    for text in texts:
        number, _, value = text.partition("=")
        if not number.isascii() or not number.isdigit() or int(number) >= POINTS_MAX or not value:
            raise Refused(f"{option} {text}: write 0 to {POINTS_MAX - 1}, = and a value")
        if int(number) in out:
            raise Refused(f"{option} {text}: point {number} is named twice")
        out[int(number)] = value
    return out


def _whole(option: str, text: str, low: int, high: int) -> int:
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise Refused(f"{option}: {text or 'nothing'} is not a number from {low} to {high}")
    return int(text)


def meter_of(text: str) -> Meter:
    if text.startswith(PULSE):
        constant, _, rest = text.removeprefix(PULSE).partition(":")
        channel, _, base = rest.partition(":")
        return Meter(
            None,
            imp_per_kwh=_whole(f"--meter {text}", constant, 1, 1_000_000),
            channel=_whole(f"--meter {text}", channel or "0", 0, 7),
            base_wh=_whole(f"--meter {text}", base or "0", 0, 1 << 50),
        )
    tcp = text.startswith(TCP)
    name, _, unit = text.removeprefix(TCP).partition(":")
    known = sorted(path.stem for path in MAPS.glob("*.toml"))
    if name not in known:
        raise Refused(f"--meter {text}: use one of {', '.join(known)}, or pulse:3200")
    family = load(MAPS / f"{name}.toml")
    number = _whole(f"--meter {text}", unit, 1, 247) if unit else family.unit
    return Meter(family, number, tcp=tcp)


def _relay(text: str) -> int:
    return NO_RELAY if text == "none" else _whole("--relay", text, 0, 7)


def _books(texts: list[str], labels: dict[int, str]) -> dict[int, tuple[str, tariff.Book]]:
    """(file, book) of every point: its own, or the one without a number."""
    own: dict[int, str] = {}
    common: str | None = None
    for text in texts:
        number, equals, path = text.partition("=")
        if equals and number.isascii() and number.isdigit():
            own[int(number)] = path
        else:
            common = text
    out: dict[int, tuple[str, tariff.Book]] = {}
    for point in labels:
        name = own.get(point, common)
        if name is None:
            raise Refused(f"--tariff: point {point} has none; name a tariff file")
        out[point] = name, tariffs.read_book(Path(name))
    return out


def _bus(words: argparse.Namespace, points: tuple[PointOrder, ...]) -> tuple[int, int]:
    families = [each.meter.family for each in points if each.meter.kind == settings.MODBUS]
    lines = {(each.baud, each.parity) for each in families if each}
    if not lines:
        return 0, 0
    if len(lines) > 1 and not (words.baud and words.parity):
        shown = ", ".join(f"{baud} {parity}" for baud, parity in sorted(lines))
        raise Refused(f"--baud, --parity: the meters differ ({shown}); name what the bus has")
    baud, parity = sorted(lines)[0]
    baud, parity = words.baud or baud, words.parity or parity
    if not 1200 <= baud <= 115200:
        raise Refused(f"--baud {baud}: must be 1200 to 115200")
    return baud, PARITIES.index(parity)


def _tls(words: argparse.Namespace) -> int:
    tls = TLS_WORDS.index(words.tls)
    for option, needed in (("ca", TLS_ON), ("ca_key", TLS_MUTUAL)):
        if tls >= needed and getattr(words, option) is None:
            raise Refused(f"--tls {words.tls}: name --{option.replace('_', '-')} too")
    return tls


def _gateway(text: str, points: tuple[PointOrder, ...]) -> tuple[str, int] | None:
    if not text:
        if any(each.meter.tcp for each in points):
            raise Refused("--gateway: name the gateway of the tcp: meters")
        return None
    host, port = _checked("--gateway", text, GATEWAY_PORT)
    return host, port


def _checked(option: str, text: str, port: int) -> tuple[str, int]:
    try:
        host, number = places.one_of(option, text, port)
    except Malformed as error:
        raise Refused(f"{option} {text}: write HOST or HOST:PORT") from error
    return str(host), int(number)


def _wifi(name: str, secret: Path | None) -> tuple[str, str] | None:
    if not name:
        return None
    if secret is None:
        return name, ""
    try:
        mode = secret.stat().st_mode
        text = secret.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{secret}: the Wi-Fi password cannot be read") from error
    if mode & 0o077:
        raise Refused(f"{secret}: others may read it; chmod {PRIVATE:o} {secret}")
    return name, text
