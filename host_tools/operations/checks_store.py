"""What the doctor asks the store: integrity, keys, lag, leases. Reads only, changes nothing."""

import sqlite3
from collections.abc import Callable

from host_tools import Refused
from host_tools.config import Settings
from host_tools.keys import KEYS_FOLDER, KeyFiles
from host_tools.operations import figures
from host_tools.operations.finding import Finding, fail, ok, warn
from host_tools.settlement import settle
from host_tools.settlement.tenancy import LEASE_MS
from host_tools.store.sql import Connection, migrating

LAG_S_MAX = 7200
FUTURE_S_MAX = 120  # as screening refuses it
COMMAND_S_MAX = 86400
NAMES_SHOWN = 5


def store(connection: Connection, quick: bool) -> Finding:
    """The database's own check of itself, and the schema's version."""
    name = "store"
    asked = connection.execute("SELECT COALESCE(MAX(version), 0) FROM schema_version")
    at, newest = int(asked.fetchone()[0]), migrating.newest()
    if at > newest:
        return fail(
            name,
            (
                f"schema {at} is newer than this program's {newest}",
                f"库结构 {at} 新于程序 {newest}",
            ),
            ("update this program", "升级程序"),
        )
    if isinstance(connection, sqlite3.Connection):
        checked = "quick_check" if quick else "integrity_check"
        found = connection.execute(f"PRAGMA {checked}(1)").fetchone()[0]
    else:
        checked, found = "fsync", "ok"
        if connection.execute("SHOW fsync").fetchone()[0] != "on":
            return fail(
                name,
                ("fsync is off: a power cut loses what was acknowledged", "fsync 已关闭"),
                ("set fsync = on in postgresql.conf", "在 postgresql.conf 中开启 fsync"),
            )
    if found != "ok":
        return fail(
            name,
            (f"damaged: {found}", "数据库损坏"),
            (
                "stop settle, keep a copy, restore the last backup",
                "停止结算，保留副本，恢复最近备份",
            ),
        )
    if at < newest:
        return warn(
            name,
            (f"schema {at}, the program has {newest}", f"库结构 {at}，程序为 {newest}"),
            (
                "take a backup; the next start of settle migrates it",
                "先备份；下次启动结算时自动升级",
            ),
        )
    return ok(name, f"schema {at}, {checked} ok", f"库结构 {at}，完整性检查通过")


def keys(connection: Connection, settings: Settings) -> Finding:
    """Every module of the store that is not retired has a key that only we can read."""
    files = KeyFiles(settings.data_dir.joinpath(KEYS_FOLDER))
    rows = connection.execute("SELECT id FROM modules WHERE retired_s IS NULL ORDER BY id")
    modules = [row[0] for row in rows]
    missing, unusable = [], []
    for module in modules:
        try:
            if files.load(module) is None:
                missing.append(module)
        except Refused as error:
            unusable.append(str(error))
    if unusable:
        return fail(
            "keys",
            (f"{len(unusable)} not usable; {unusable[0]}", f"{len(unusable)} 个密钥不可用"),
            ("mend what the line says", "按所示处理"),
        )
    if missing:
        return fail(
            "keys",
            (
                f"{len(missing)} modules without a key: {_named(missing)}",
                f"{len(missing)} 个模块缺密钥",
            ),
            (
                "restore keys/ from the backup of this store, or provision them anew",
                "从同一备份恢复 keys/，或重新写入模块",
            ),
        )
    clear = files.clear()
    if clear:
        return warn(
            "keys",
            (f"{len(clear)} lie in clear: {_named(clear)}", f"{len(clear)} 个密钥未加密"),
            ("gridpurse setup --data FOLDER seals them", "gridpurse setup --data 目录 将其加密"),
        )
    return ok("keys", f"{len(modules)} modules, all keys usable", f"{len(modules)} 个模块密钥齐全")


def lag(connection: Connection, now_s: int) -> Finding:
    """Whether readings come, and whether what came is settled."""
    newest_s = figures.newest_s(connection)
    parked = figures.count(connection, "parked")
    waiting = figures.count(
        connection,
        "points p LEFT JOIN entries e ON e.id = p.last_id WHERE p.sent_seq > COALESCE(e.seq, 0)",
    )
    if newest_s is None:
        return warn(
            "lag",
            ("no reading is settled yet", "尚无已结算读数"),
            ("is a module enrolled and on line, does settle run?", "检查模块登记、在线与结算服务"),
        )
    age_s = now_s - newest_s
    if age_s > LAG_S_MAX:
        return warn(
            "lag",
            (f"the newest settled reading is {age_s} s old", f"最新已结算读数距今 {age_s} 秒"),
            (
                "does settle run, is the broker up, are modules on line?",
                "检查结算、代理与模块通信",
            ),
        )
    if parked or waiting:
        return warn(
            "lag",
            (
                f"{waiting} points and {parked} batches wait for earlier records",
                f"{waiting} 个用电点、{parked} 个批次等待先前记录",
            ),
            (
                "look again after two intervals; if it stays, see rejects",
                "两个时段后再看，持续则查拒收",
            ),
        )
    return ok(
        "lag", f"newest reading {age_s} s old, all settled", f"最新读数 {age_s} 秒前，已全部结算"
    )


def clock_and_readings(connection: Connection, now_s: Callable[[], int]) -> Finding | None:
    """A reading from the future means that our clock has been set back since."""
    newest_s = figures.newest_s(connection)
    if newest_s is None:
        return None
    behind_s = newest_s - now_s()
    if behind_s <= FUTURE_S_MAX:
        return None
    return fail(
        "clock",
        (f"{behind_s} s behind the newest reading", f"落后最新读数 {behind_s} 秒"),
        ("set this machine's clock, then start settle again", "校准本机时钟后重启结算"),
    )


def differences(connection: Connection) -> Finding:
    found = figures.differences_open(connection)
    if found.get(settle.UNEXPLAINED):
        return fail(
            "differences",
            (
                f"{found[settle.UNEXPLAINED]} unexplained",
                f"{found[settle.UNEXPLAINED]} 项原因不明",
            ),
            (
                "keep store and module as they are and report it; gridpurse reconcile lists them",
                "保持数据与模块原状并上报；gridpurse reconcile 列出",
            ),
        )
    if found:
        shown = ", ".join(f"{number} {kind}" for kind, number in sorted(found.items()))
        return warn(
            "differences",
            (f"open: {shown}", f"未消差异 {sum(found.values())} 项"),
            ("see the classes in docs/operator.md", "按 docs/operator.md 差异类别处理"),
        )
    return ok("differences", "none open", "无未消差异")


def validation(connection: Connection) -> Finding:
    """Whether what is settled was looked at, and whether anything of it waits for a person."""
    waiting = figures.count(
        connection,
        "points p JOIN entries e ON e.id = p.last_id LEFT JOIN vee_marks v ON v.point_id = p.id"
        " WHERE e.seq > COALESCE(v.seq, 0)",
    )
    historic = "id IN (SELECT review FROM history_reviews)"
    reviews = figures.count(connection, f"vee_queue WHERE state = 'open' AND NOT {historic}")
    if reviews:
        return warn(
            "validation",
            (f"{reviews} doubtful readings wait", f"{reviews} 项读数待审"),
            ("gridpurse review list; no bill over them", "gridpurse review list，未决前不出账"),
        )
    if waiting:
        return ok(
            "validation", f"{waiting} points are not looked at yet", f"{waiting} 个用电点待审核"
        )
    before = figures.count(connection, f"vee_queue WHERE state = 'open' AND {historic}")
    if before:  # of another system's time: no bill waits for them
        told = f"{before} historic readings wait for a person", f"{before} 项历史读数待审"
        return ok("validation", *told)
    return ok("validation", "all looked at, nothing waits", "全部已审核，无待审")


def commands(connection: Connection, now_s: int) -> Finding:
    condition = (
        f"commands WHERE state IN ('queued', 'sent') AND issued_s < {now_s - COMMAND_S_MAX}"
    )
    old = figures.count(connection, condition)
    if old:
        return warn(
            "commands",
            (f"{old} without an answer for a day", f"{old} 条命令一日未答复"),
            ("is the module on line? a token carries a top-up", "检查模块在线；充值可改用代码"),
        )
    return ok("commands", "none waits for more than a day", "无超过一日未答复的命令")


def leases(connection: Connection, settings: Settings, now_ms: Callable[[], int]) -> Finding:
    """Every shard that is configured, or has modules, has a living worker. The clock of leases is
    asked after them: one renewed since would end further ahead than any can."""
    ends = connection.execute("SELECT shard, until_ms FROM leases").fetchall()
    at_ms = now_ms()
    held = {shard for shard, until_ms in ends if at_ms < until_ms <= at_ms + LEASE_MS}
    used = {row[0] for row in connection.execute("SELECT DISTINCT shard FROM modules")}
    free = sorted(set(settings.shards) - held)
    forgotten = sorted(used - held - set(settings.shards))
    if forgotten:
        shown = _named([str(shard) for shard in forgotten])
        return fail(
            "leases",
            (f"modules in shards {shown}, which no worker has", f"分片 {shown} 有模块而无进程"),
            ("add them to shards of a worker", "加入某进程的 shards"),
        )
    if free:
        shown = _named([str(shard) for shard in free])
        return warn(
            "leases",
            (f"no worker has shards {shown}", f"分片 {shown} 无进程"),
            ("start gridpurse settle, or wait ten seconds", "启动 gridpurse settle，或等待十秒"),
        )
    return ok("leases", f"{len(held)} shards held", f"{len(held)} 个分片均有进程")


def _named(names: list[str]) -> str:
    more = len(names) - NAMES_SHOWN
    return " ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
