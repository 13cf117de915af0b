"""The checklist of one module, from a bare program to its first settled reading.

Every step can be repeated: it looks at what is there, does what is missing, and is written down
only when it is done. Killed anywhere, the same order goes on from there: one identity, one key.
`tell` is called before and after every effect, for whoever shows progress or pulls the plug.
"""

import hmac
import time
from collections.abc import Callable
from datetime import UTC, datetime

from host_tools import Refused
from host_tools.config import BrokerAddress, Settings
from host_tools.faults import Fault
from host_tools.keys import KEYS_FOLDER, KeyFiles, RootKey
from host_tools.operations.checks_machine import EARLIEST_S
from host_tools.provisioning import certificates, lives, login, network, probes, program, trial
from host_tools.provisioning.console import Console, digests
from host_tools.provisioning.faults import (
    BROKER,
    CLOCK,
    EXISTING,
    HOST_CLOCK,
    LOGIN,
    ORDER,
    SETTLE,
    STORAGE,
)
from host_tools.provisioning.module_files import module_files
from host_tools.provisioning.order import TLS_MUTUAL, TLS_OFF, Order
from host_tools.provisioning.record import Record, Records, Step
from host_tools.settlement import enrol
from host_tools.store.database import Store, opened
from protocol import cbor, settings
from protocol.units import Malformed

# Of the checklist, in order: name, English, Chinese.
STEPS = (
    ("identity", "identity and serial number", "身份与序列号"),
    ("flash", "program and file hashes", "程序与文件校验"),
    ("enrol", "enrolment and root key", "登记与根密钥"),
    ("login", "broker login", "代理登录名"),
    ("clock", "clock", "时钟"),
    ("files", "settings, key, tariffs, maps", "参数、密钥、电价、电表映射"),
    ("network", "Wi-Fi or Ethernet", "Wi-Fi 或以太网"),
    ("broker", "broker", "消息代理"),
    ("tls", "TLS", "TLS"),
    ("meters", "every meter answers plausibly", "各电表应答且数值合理"),
    ("relay", "relay opens and closes, pulses, phases under load", "继电器分合、脉冲、带载相序"),
    ("settled", "first reading settled by the host", "首个读数已结算"),
)
# Done again by every run until all is done: chip, time and network may be others by now.
REPEATED = ("identity", "flash", "clock", "network", "broker")
CLOCK_S_MAX = 2
FUTURE_S_MAX = 300  # how far what the host has seen may lie ahead of its own clock
ADMIT_S = 6
HEARD_S, SETTLED_S = 40, 40
LOOK_S = 0.25

# Step and what of it: BEGIN, each effect by its name, WRITE, DONE; LOOK while it waits.
Tell = Callable[[str, str], None]
BEGIN, LOOK, WRITE, DONE = "begin", "look", "write", "done"


class Provisioning:
    """One run of one order on one port."""

    def __init__(self, settings: Settings, order: Order, console: Console, tell: Tell) -> None:
        self.settings = settings
        self.order = order
        self.console = console
        self.tell = tell
        self.clock = settings.clock()
        self.records = Records(settings.data_dir)
        self.keys = KeyFiles(settings.data_dir / KEYS_FOLDER)
        self.chip = ""
        self.was = ""  # the module that its settings name
        self.firmware = ""

    def refuse_clock(self) -> None:
        """The host's time goes into the module and its certificates: it has to be right first."""
        now_s = self.clock.now_s()
        shown = f"{datetime.fromtimestamp(now_s, UTC):%Y-%m-%d %H:%M}"
        if now_s < EARLIEST_S:
            raise HOST_CLOCK.seen(f"this computer says {shown}, before 2026 本机时钟早于 2026 年")
        with opened(self.settings.store()) as store:
            heard = [module.hello_s or 0 for module in store.fleet.modules()]
        done = [record.finished_s for record in self.records.every()]
        if max([*heard, *done, 0]) > now_s + FUTURE_S_MAX:
            raise HOST_CLOCK.seen(
                f"this computer says {shown}, earlier than it has seen 本机时钟落后于已有记录",
            )

    def identify(self) -> str:
        """Reads who the module is. -> its serial number"""
        told = probes.facts(self.console.run(probes.IDENTITY))
        self.chip = told["chip"][0][0]
        self.firmware = " ".join(told["version"][0])
        self.was = ""
        if "config" in told:
            self.was = _module_of(bytes.fromhex("".join(told["config"][0])))
        return self.order.serial or self.chip

    def record_of(self, serial: str) -> Record:
        """Where this order stands; Fault when it was another one."""
        self.records.refuse_duplicate(serial, self.chip, self.order.module)
        record = self.records.read(serial)
        digest, now_s = self.order.digest(), self.clock.now_s()
        if self.order.was:
            with opened(self.settings.store()) as store:
                record = lives.begun(store, record, self.order, self.chip, now_s)
        if record is None:
            return Record(serial, self.order.module, self.chip, digest, now_s)
        if record.module != self.order.module:
            was = record.module
            kind = EXISTING if record.finished_s else ORDER
            raise kind.seen(f"{serial}: is {was} of this host 已是 {was}", lives.again(was))
        if record.finished_s and record.order != digest:
            raise ORDER.seen(f"{serial}: was begun as {record.module} with other words 参数不一致")
        if record.order != digest:
            record.order = digest
            record.steps = {name: step for name, step in record.steps.items() if name in REPEATED}
        return record

    def run(self, record: Record) -> None:
        """All that is not written down as done; each step is written as soon as it is."""
        if self._identity(record):
            record.steps.clear()
            record.finished_s = 0
        if record.finished_s:
            return
        for name, *_ in STEPS:
            if name not in record.steps or name in REPEATED:
                self.tell(name, BEGIN)
                try:
                    self._step(record, name)
                except Fault as error:
                    record.fault = f"{name}: {error}"
                    self.records.write(record)
                    raise
                self.tell(name, DONE)
        record.finished_s, record.fault = self.clock.now_s(), ""
        self.records.write(record)

    def _step(self, record: Record, name: str) -> None:
        begun_s = time.monotonic()
        ok, detail, detail_zh = getattr(self, f"_{name}_step")(record)
        took_ms = round((time.monotonic() - begun_s) * 1000)
        record.steps[name] = Step(name, ok, self.clock.now_s(), took_ms, detail, detail_zh)
        self.tell(name, WRITE)
        self.records.write(record)

    # who it is

    def _identity(self, record: Record) -> bool:
        """True for a bare module. Fault when it, or the name, is in somebody's service."""
        module = self.order.module
        check = self.console.key_check()
        with opened(self.settings.store()) as store:
            known = store.fleet.module(module)
            heard = known is not None and known.boot_id is not None
            if not record.finished_s or not check:
                lives.refuse_ended(store, module)
            owner = self.was if self.was and store.fleet.module(self.was) else ""
        if not check and not self.was:
            said = probes.facts(self.console.run(probes.LEDGERS, 30))["ledgers"][0][0]
            if int(said) < 0:
                raise STORAGE.seen(f"{self.chip}: no journal partition 无 journal 分区")
            served = bool(record.steps)  # on record, as this very module
            if int(said):
                raise EXISTING.seen(
                    f"{self.chip}: its journal holds a ledger 日志中已有账本",
                    lives.again(module) if served and heard else None,
                )
            if heard:
                raise EXISTING.seen(
                    f"{module}: is in service, and this chip is bare 该模块已在用",
                    lives.anew(module) if served else lives.elsewhere(module),
                )
            return "files" in record.steps
        own = self.keys.load(module)
        ours = own is not None and hmac.compare_digest(check, own.check())
        if self.was in ("", module) and ours:
            if heard and not record.steps:
                raise EXISTING.seen(f"{module}: is this module, and in service 该模块已在用")
            if record.finished_s:
                with opened(self.settings.store()) as store:
                    lives.refuse_lost(store, module)
            else:
                self.console.stop_watchdog()  # of the program that ran
            return False
        if owner and owner != module:
            raise EXISTING.seen(f"{self.chip}: is {owner} of this host 已是本主站的 {owner}")
        name = self.was or "?"
        raise EXISTING.seen(f"{self.chip}: is {name} of another host 属于其他主站的 {name}")

    def _identity_step(self, record: Record) -> tuple[bool, str, str]:
        return True, f"{record.serial}, chip {self.chip}", f"{record.serial}，芯片 {self.chip}"

    def _flash_step(self, _: Record) -> tuple[bool, str, str]:
        count = program.check(self.console, self.order.board)
        text = f"MicroPython {self.firmware}, {count} files"
        return True, text, f"MicroPython {self.firmware}，{count} 个文件"

    # the host's side

    def _enrol_step(self, _: Record) -> tuple[bool, str, str]:
        order = self.order
        with opened(self.settings.store()) as store:
            known = store.fleet.module(order.module)
            if known is None:
                new, now_s = order.new_points(), self.clock.now_s()
                self.tell("enrol", "key")
                enrol.enrol(store, self.keys, order.module, order.shard, new, now_s, adopt=True)
            else:
                _refuse_other_points(store, order, known.shard, self.clock.now_s())
        self._key()
        return True, f"{order.module}, shard {order.shard}", f"{order.module}，分片 {order.shard}"

    def _key(self) -> RootKey:
        key = self.keys.load(self.order.module)
        if key is None:
            raise Refused(
                f"{self.settings.data_dir / KEYS_FOLDER / self.order.module}.key: is missing;"
                " restore it from a backup of keys"
            )
        return key

    def _login_step(self, _: Record) -> tuple[bool, str, str]:
        path = login.password_path(self.settings.data_dir, self.order.module)
        self._address()
        self.tell("login", "admit")
        with opened(self.settings.store()) as store:
            told = login.admit(self.settings, store)
        if told:
            return True, "the data folder's own broker knows it", "已加入本机代理"
        return True, f"the broker has to know {path}", f"须在代理中登记 {path}"

    def _address(self) -> BrokerAddress:
        return login.address(self.settings, self.order.broker, self.order.module)

    # the module's side

    def _clock_step(self, _: Record) -> tuple[bool, str, str]:
        begun_s = self.clock.now_s()
        now = datetime.fromtimestamp(begun_s, UTC)
        fields = (now.year, now.month, now.day, now.weekday(), now.hour, now.minute, now.second, 0)
        said = probes.facts(self.console.run(probes.SET_CLOCK.format(fields=fields)))["clock"][0]
        year, month, day, _weekday, hour, minute, second = (int(word) for word in said[:7])
        kept = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        off_s = int(kept.timestamp()) - self.clock.now_s()
        took_s = self.clock.now_s() - begun_s  # a slow line is no fault of the clock
        if not -CLOCK_S_MAX - took_s <= off_s <= CLOCK_S_MAX:
            raise CLOCK.seen(f"its clock is {off_s} s off after setting 校时后仍相差 {off_s} 秒")
        return True, f"set, {off_s} s off, UTC", f"已校准，相差 {off_s} 秒（UTC）"

    def _files_step(self, _: Record) -> tuple[bool, str, str]:
        key, order = self._key(), self.order
        files = module_files(order.settings(self._address()), key, order.books())
        if order.tls != TLS_OFF and order.ca is not None:
            now_s = self.clock.now_s()
            ca = certificates.authority(order.ca, now_s)
            files["ca.der"] = certificates.der(ca)
            if order.tls == TLS_MUTUAL and order.ca_key is not None:
                files |= certificates.issued(ca, order.ca_key, order.module, now_s)
        root_key = files.pop("key.bin")
        there = self.console.hashes()
        # The settings make a module of it: they come last.
        names = sorted(files, key=lambda path: path == "config.cbor")
        wanted = digests(files)
        for path in names[:-1]:
            self._put(path, files[path], there.get(path) == wanted[path])
        self._put("key.bin", root_key, hmac.compare_digest(self.console.key_check(), key.check()))
        self._put(names[-1], files[names[-1]], there.get(names[-1]) == wanted[names[-1]])
        there = self.console.hashes()
        wrong = [path for path in names if there.get(path) != wanted[path]]
        if wrong or not hmac.compare_digest(self.console.key_check(), key.check()):
            raise STORAGE.seen(f"{', '.join(wrong) or 'key.bin'}: reads back wrong 回读校验不符")
        return True, f"{len(names) + 1} files, hashes right", f"{len(names) + 1} 个文件，校验一致"

    def _put(self, path: str, data: bytes, there: bool) -> None:
        if not there:
            self.tell("files", path)
            self.console.put(path, data)

    def _network_step(self, _: Record) -> tuple[bool, str, str]:
        self._at_the_board()
        how = network.join(self.console, self.order)
        return True, how, how

    def _at_the_board(self) -> None:
        """Probes need an empty heap and a board object."""
        self.console.fresh()
        self.console.run(probes.BOARD.format(board=self.order.board))
        self.console.run(probes.BUS)

    def _broker_step(self, record: Record) -> tuple[bool, str, str]:
        self._at_the_board()
        network.join(self.console, self.order)
        end_s = time.monotonic() + ADMIT_S
        while True:
            try:
                where = network.reach(self.console, self.order, self._address())
                return True, where, where
            except Fault as error:  # our own broker takes a moment to hear of the module
                if error.kind not in (LOGIN, BROKER) or time.monotonic() > end_s:
                    raise
                time.sleep(LOOK_S)

    def _tls_step(self, _: Record) -> tuple[bool | None, str, str]:
        if self.order.tls == TLS_OFF:
            return None, "not asked for", "未启用"
        how = "mutual" if self.order.tls == TLS_MUTUAL else "CA checked"
        return True, how, "双向认证" if self.order.tls == TLS_MUTUAL else "已校验 CA"

    def _meters_step(self, _: Record) -> tuple[bool | None, str, str]:
        self._at_the_board()
        return trial.every_meter(self.console, self.order)

    def _relay_step(self, _: Record) -> tuple[bool | None, str, str]:
        self._at_the_board()
        return trial.every_relay(self.console, self.order, lambda what: self.tell("relay", what))

    def _settled_step(self, _: Record) -> tuple[bool, str, str]:
        """The program starts; its ledger opens and its first records are settled by the host."""
        order = self.order
        with opened(self.settings.store()) as store:
            before = store.fleet.module_known(order.module).boot_id
        self.tell("settled", "start")
        self.console.restart()
        self._until(
            lambda store: store.fleet.module_known(order.module).boot_id not in (before, None),
            HEARD_S,
            f"{order.module}: the host has not heard it 主站未收到该模块的消息",
        )
        self.tell("settled", "heard")
        self._until(
            self._all_settled,
            SETTLED_S,
            f"{order.module}: heard, but no reading is settled 已上线，但尚无已结算读数",
        )
        with opened(self.settings.store()) as store:
            points = store.fleet.points(order.module)
        kwh = [(point.point, *divmod(point.state.register_wh, 1000)) for point in points]
        shown = ", ".join(f"{number}: {whole}.{rest:03d} kWh" for number, whole, rest in kwh)
        return True, shown, shown

    def _all_settled(self, store: Store) -> bool:
        points = store.fleet.points(self.order.module)
        return all(point.state.version and point.state.seq for point in points)

    def _until(self, ready: Callable[[Store], bool], within_s: int, what: str) -> None:
        end_s = time.monotonic() + within_s
        while time.monotonic() < end_s:
            with opened(self.settings.store()) as store:
                if ready(store):
                    return
            self.tell("settled", LOOK)
            time.sleep(LOOK_S)
        raise SETTLE.seen(what)


def _module_of(config: bytes) -> str:
    """The name in a module's settings, whatever program wrote them."""
    try:
        return str(settings.module_from_wire(cbor.decode(config, depth_max=8)).module)
    except Malformed:
        return "?"


def _refuse_other_points(store: Store, order: Order, shard: int, now_s: int) -> None:
    """A module that is enrolled already keeps its points; the order has to name the same."""
    there = {
        point.point: (point.label, point.currency, store.fleet.assigned(point.id, now_s))
        for point in store.fleet.points(order.module)
    }
    asked = {
        each.point: (each.label, each.book.currency, each.book.version) for each in order.points
    }
    if there != asked or shard != order.shard:
        raise ORDER.seen(
            f"{order.module}: is enrolled with other points, tariffs or shard 登记的用电点不同",
        )
