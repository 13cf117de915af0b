"""From the module's prompt to the broker: Wi-Fi or Ethernet, TCP, TLS, login, and what went wrong.

The module itself connects, with the files that its firmware will use. Times in milliseconds.
"""

import struct

from host_tools.config import BrokerAddress
from host_tools.provisioning import probes
from host_tools.provisioning.console import Console
from host_tools.provisioning.faults import BROKER, CERTIFICATE, LOGIN, NETWORK
from host_tools.provisioning.order import Order

LINK_MS = 20_000
BROKER_MS = 8_000
KEEPALIVE_S = 60
_REFUSED = {4: "password", 5: "user"}
_NOBODY_LISTENS = "111"  # ECONNREFUSED, of Linux and of lwIP alike


def join(console: Console, order: Order) -> str:
    """Tells the module its Wi-Fi and waits for an address. -> a word for the card"""
    if order.wifi:
        name, secret = (text.encode() for text in order.wifi)
        console.run(probes.SET_WIFI.format(name=name, secret=secret))
    said = console.run(probes.LINK_UP.format(wait_ms=LINK_MS), LINK_MS // 1000 + 10)
    how = f"Wi-Fi {order.wifi[0]}" if order.wifi else "Ethernet or as it was 以太网或原设置"
    if probes.facts(said).get("link") != [["1"]]:
        raise NETWORK.seen(f"{how}: no connection 无法联网")
    return how


def connect_packet(login: BrokerAddress) -> bytes:
    """MQTT 3.1.1 CONNECT, clean, as the module logs in."""
    flags = 0x02 | (0xC0 if login.user else 0)
    words = [login.user, *([login.user, login.password] if login.user else [])]
    body = b"\0\x04MQTT" + bytes((4, flags)) + struct.pack(">H", KEEPALIVE_S)
    for word in words:
        body += struct.pack(">H", len(word.encode())) + word.encode()
    length, head = len(body), b"\x10"
    while True:
        length, seven = divmod(length, 128)
        head += bytes((seven | (0x80 if length else 0),))
        if not length:
            return head + body


def reach(console: Console, order: Order, login: BrokerAddress) -> str:
    """One login as the module. -> a word for the card; a Fault says how far it came."""
    program = probes.BROKER.format(
        tls=order.tls,
        host=login.host,
        port=login.port,
        packet=connect_packet(login),
        wait_ms=BROKER_MS,
    )
    told = probes.facts(console.run(program, BROKER_MS // 1000 + 10))
    where = f"{login.host}:{login.port}"
    if "broker" in told:
        code = int(told["broker"][0][0])
        if code == 0:
            return where
        what = _REFUSED.get(code, "connection")
        raise LOGIN.seen(f"{where}: refuses {login.user}, {what} unknown 代理拒绝登录 ({code})")
    stage, error, number = (told.get("refused") or [["connect", "nothing", "0"]])[0]
    if number == _NOBODY_LISTENS:
        stage = "connect"  # it connects in the background: only the first write finds out
    if stage == "certificate" or error == "ValueError":
        raise CERTIFICATE.seen(
            f"{where}: its certificate is not of our CA, not in force, or of another name"
            " 代理证书不可信、过期或名称不符",
        )
    if stage == "login" and order.tls:
        raise CERTIFICATE.seen(f"{where}: ended the TLS connection 代理断开了 TLS 连接")
    if stage == "login":
        raise LOGIN.seen(f"{where}: refuses {login.user} 代理拒绝登录")
    raise BROKER.seen(f"{where}: not reached ({error} {number}) 无法连接代理")
