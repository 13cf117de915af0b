"""`gridpurse cluster`: three broker nodes and two workers on one machine, for trial.

Prints what runs where and how to look at it, starts again what dies, stops all of it on Ctrl-C.
"""

import argparse
import asyncio
from collections.abc import Iterator
from pathlib import Path

from host_tools import Refused
from host_tools.broker import HOST
from host_tools.cluster.cluster import DATA, POSTGRES, SHARDS, Cluster
from host_tools.cluster.nodes import unused_ports
from host_tools.cluster.postgres import binaries, reachable
from host_tools.processes import until_interrupted
from host_tools.store.database import FILE

FOLDER = Path("build/cluster")
PORT = 14200
PORTS = 15
AUTO = "auto"
MODULES_MAX = 8
LOOK_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"working folder ({FOLDER})")
    parser.add_argument(
        "--port", type=int, default=PORT, help=f"the first of {PORTS} ports ({PORT}); 0: any free"
    )
    parser.add_argument(
        "--postgres",
        choices=(AUTO, "no"),
        default=AUTO,
        help="auto: the store is PostgreSQL where it is installed; no: SQLite",
    )
    parser.add_argument(
        "--modules", type=int, default=0, help=f"virtual modules to run too, 0 to {MODULES_MAX}"
    )


def run(arguments: argparse.Namespace) -> int:
    if not 0 <= arguments.modules <= MODULES_MAX:
        raise Refused(f"--modules {arguments.modules}: must be 0 to {MODULES_MAX}")
    folder: Path = arguments.folder.resolve()
    server = _server(folder, arguments.postgres == AUTO)
    cluster = Cluster(folder, _ports(arguments.port), server)
    asyncio.run(until_interrupted(_play(cluster, arguments.modules)))
    print("cluster: stopped 已停止")
    return 0


def _server(folder: Path, wanted: bool) -> Path | None:
    """PostgreSQL's binaries, None for SQLite. A folder keeps the store that it has."""
    found = binaries()
    if (folder / DATA / FILE).exists():
        return None
    if (folder / POSTGRES).exists():
        if found is None:
            raise Refused(f"{folder / POSTGRES}: PostgreSQL is not installed any more; install it")
        return found
    if not wanted:
        return None
    if found is None:
        print("no PostgreSQL here: the store is SQLite 未安装 PostgreSQL，使用 SQLite")
    elif not reachable(folder):
        print(f"{folder}: not open to nobody, as whom root runs PostgreSQL: the store is SQLite")
        return None
    return found


def _ports(first: int) -> Iterator[int]:
    if first and not 1024 <= first <= 65536 - PORTS:
        raise Refused(f"--port {first}: must be 1024 to {65536 - PORTS}, or 0")
    if first:
        return iter(range(first, first + PORTS))
    return unused_ports()


async def _play(cluster: Cluster, modules: int) -> None:
    """Until it is cancelled; then everything stops."""
    try:
        cluster.start(modules)
        print("\n".join(_told(cluster)), flush=True)
        while True:
            await asyncio.sleep(LOOK_S)
            for name in cluster.revived():
                pids = {each: pid for each, pid, _ in cluster.running()}
                print(f"{name}: had ended, started again 已重启, pid {pids[name]}", flush=True)
    finally:
        cluster.stop()


def _told(cluster: Cluster) -> Iterator[str]:
    """What runs where, and how to look at it."""
    for node in cluster.nodes.all:
        mqtt, nats = node.broker.address.port, node.broker.nats_address.port
        yield (
            f"{node.name}    pid {node.broker.pid}  MQTT {HOST}:{mqtt}  NATS {HOST}:{nats}"
            f"  http://{HOST}:{node.watch_port}/jsz"
        )
    for worker in cluster.workers:
        yield f"{worker.name}  pid {worker.pid}  http://{HOST}:{worker.http_port}/metrics"
    if cluster.postgres is None:
        yield f"store     SQLite {cluster.data / FILE}, {SHARDS} shards 分片"
    else:
        yield f"postgres  pid {cluster.postgres.pid}  {cluster.postgres.url}, {SHARDS} shards 分片"
    if cluster.modules is not None:
        yield f"modules   pid {cluster.modules.pid}  {cluster.modules.log}"
    yield f"logs 日志: {cluster.folder}"
    yield "look 查看:"
    for words in ("doctor", "modules", "reconcile"):
        yield f"  gridpurse {words} --data {cluster.data}"
    yield "try 试试: kill -9 of any pid above; it comes back and nothing is lost"
    yield "cluster ready: Ctrl-C stops everything 全部就绪，Ctrl-C 停止"
