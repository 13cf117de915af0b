"""What the doctor asks the machine: folder, broker, clock, disk. Changes nothing anywhere."""

import ctypes
import os
import shutil
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho

from host_tools import Refused
from host_tools.config import DEFAULT_FILE, NATS, BrokerAddress, Settings
from host_tools.mqtt_client import MqttClient
from host_tools.operations.finding import Finding, fail, ok, warn
from host_tools.settlement import nats
from host_tools.settlement.jetstream import STREAM
from protocol import topics
from protocol.units import Unavailable

WAIT_S = 5
FREE_MIB_FAIL, FREE_MIB_WARN = 256, 1024
MIB = 1048576
EARLIEST_S = 1767225600  # 2026-01-01: no clock of this program can be before its making
NOT_SYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
TIMEX_BYTES = 512  # more than struct timex anywhere
REFUSED_FROM = 0x80
READABLE = (DEFAULT_FILE, "workers")  # no secrets in these


def folder(path: Path) -> Finding:
    """The data folder and what lies in it is ours, and nobody else reads it."""
    name = "folder"
    if not path.is_dir():
        return fail(
            name,
            (f"{path}: no such folder", f"{path}：无此目录"),
            ("gridpurse setup", "gridpurse setup"),
        )
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return fail(
            name,
            (f"{path}: not writable for this user", f"{path}：当前用户不可写"),
            (
                f"chown it to the service's user, or run as that user: id {os.geteuid()}",
                "改属主或换用户",
            ),
        )
    for each in (path, *sorted(path.iterdir())):
        try:
            seen = each.stat()
        except OSError:  # a temporary file of SQLite that has gone meanwhile
            continue
        if seen.st_uid != os.geteuid():
            return warn(
                name,
                (f"{each}: belongs to user {seen.st_uid}", f"{each}：属于用户 {seen.st_uid}"),
                (
                    "run this as the service's user; chown -R the folder when settle cannot write",
                    "以服务用户运行本命令；如结算不可写则 chown -R",
                ),
            )
        if seen.st_mode & (stat.S_IRWXG | stat.S_IRWXO) and each.name not in READABLE:
            return warn(
                name,
                (f"{each}: others may read it", f"{each}：他人可读"),
                (f"chmod go= {each}", f"chmod go= {each}"),
            )
    return ok(name, f"{path}, ours alone", f"{path}，仅本用户可读写")


def broker(address: BrokerAddress, shards: tuple[int, ...]) -> Finding:
    """Reachable, logs us in, and lets us read the first shard."""
    where = address.where
    try:
        why = _nats(address) if address.kind == NATS else _mqtt(address, shards[0])
    except OSError as error:
        return fail(
            "broker",
            (f"{where}: {error.strerror or error}", f"{where}：不可达"),
            ("start the broker, or mend [broker] host and port", "启动代理，或更正 [broker] 地址"),
        )
    if why:
        return fail(
            "broker",
            (f"{where}: {why}", f"{where}：拒绝登录或订阅"),
            (
                "mend user, password_file and kind under [broker], and the broker's permissions",
                "更正 [broker] 用户、口令、类型及代理权限",
            ),
        )
    return ok("broker", f"{where} serves {address.user or 'us'}", f"{where} 登录与订阅正常")


def _nats(address: BrokerAddress) -> str:
    inbox = f"_INBOX.gridpurse.doctor{os.getpid()}"
    try:
        link = nats.Connection(address)
    except Unavailable as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__
        return str(error)
    try:
        link.subscribe(f"{inbox}.>", 0)
        subject = f"$JS.API.CONSUMER.INFO.{STREAM}.gp-doctor"
        return "" if link.request(subject, b"", WAIT_S * 1000, inbox) else "JetStream is off"
    except Unavailable as error:
        return str(error)
    finally:
        link.close()


def _mqtt(address: BrokerAddress, shard: int) -> str:
    """Why not; empty when it does. Under a name of its own, so that no worker is cut off."""
    said: list[str] = []
    client = MqttClient(address, f"gp-doctor-{os.getpid()}")
    client.connect_timeout = WAIT_S

    def connected(_client: paho.Client, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        if reason.is_failure:
            said.append(f"refuses the login: {reason}")
        else:
            client.subscribe(topics.all_of(topics.UP, shard), 0)

    def subscribed(_client: paho.Client, _data: Any, _mid: int, reasons: Any, _more: Any) -> None:
        refused = any(reason.value >= REFUSED_FROM for reason in reasons)
        said.append(f"refuses to let us read shard {shard}" if refused else "")

    client.on_connect, client.on_subscribe = connected, subscribed
    client.connect(address.host, address.port)
    end_s = time.monotonic() + WAIT_S
    try:
        while not said and time.monotonic() < end_s:
            if client.loop(0.1) != paho.MQTT_ERR_SUCCESS and not said:
                said.append("closes the connection; is this an MQTT port, and the login right?")
    finally:
        client.disconnect()
    return said[0] if said else f"says nothing for {WAIT_S} s; is this an MQTT port?"


def clock(settings: Settings) -> tuple[Finding, Callable[[], int]]:
    """The finding, and what tells the time: checks take a while, and the world goes on."""
    now_s = settings.clock().now_s
    if settings.clock_file:
        try:
            now_s()
        except Refused as error:
            wrong = fail(
                "clock", (str(error), "仿真时钟不可读"), ("start the simulator", "启动仿真")
            )
            return wrong, lambda: EARLIEST_S
        return warn(
            "clock",
            (f"simulated time from {settings.clock_file}", "使用仿真时间"),
            (
                "for trials only; remove clock_file in service",
                "仅限试用；正式运行请去掉 clock_file",
            ),
        ), now_s
    remedy = (
        "set the clock; run chrony or systemd-timesyncd",
        "校时；运行 chrony 或 systemd-timesyncd",
    )
    said_s = now_s()
    if said_s < EARLIEST_S:
        return fail("clock", (f"it says {said_s}, before 2026", "时间早于 2026 年"), remedy), now_s
    synchronised = _synchronised()
    if synchronised is None:
        return ok(
            "clock", "plausible; the system does not tell more", "时间合理，系统未告知同步状态"
        ), now_s
    if not synchronised:
        what = ("the system says it is not synchronised", "系统时钟未同步")
        return warn("clock", what, remedy), now_s
    return ok("clock", "synchronised", "已同步"), now_s


def _synchronised() -> bool | None:
    """What the kernel knows of the clock's discipline; None where it cannot be asked."""
    if not sys.platform.startswith("linux"):
        return None
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    return None if state < 0 else state != NOT_SYNCHRONISED


def disk(path: Path) -> Finding:
    free_mib = shutil.disk_usage(path).free // MIB
    what = (f"{free_mib} MiB free", f"剩余 {free_mib} MiB")
    remedy = (
        "free some space or move data_dir to a larger disk",
        "清理空间或将 data_dir 移至更大的盘",
    )
    if free_mib < FREE_MIB_FAIL:
        return fail("disk", what, remedy)
    return warn("disk", what, remedy) if free_mib < FREE_MIB_WARN else ok("disk", *what)
