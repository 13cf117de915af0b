"""`gridpurse setup`: the folder of a new host, in one go: store, configuration, secret, broker.

Safe to repeat: what is there is kept and said so. Prints what to do next, never a secret.
"""

import argparse
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from host_tools import Refused, master_key
from host_tools.broker import HOST, HOST_USER, config_text, new_password
from host_tools.config import DEFAULT_FILE, Settings, check_url, read_settings
from host_tools.files import PRIVATE, PUBLIC, write_whole
from host_tools.keys import KEYS_FOLDER, KeyFiles
from host_tools.master_key import MasterKey
from host_tools.store import database
from protocol import topics

SECRET = "broker.secret"  # noqa: S105 - the name of a file
BROKER_FOLDER = "broker"
BROKER_FILE = "nats.conf"
PORT = 1883
TARIFF = Path(__file__).parent / "tariff_files" / "cn-bj-2012.toml"

CONFIG = """# Made by `gridpurse setup`. The keys and what they mean: host_tools/config.py.
data_dir = "."
shards = [{shards}]

[broker]
host = "{host}"
port = {port}
user = "{user}"
password_file = "{secret}"

[settle]
poll_ms = 200
"""
# A password goes into a file that `password_file` names, or into PGPASSFILE.
STORE_CONFIG = """
[store]
url = "{url}"
"""

NEXT = """next, each in a terminal of its own:
  gridpurse modules   --data {data} --add gp-1 --point 0=Flat-1 --tariff {tariff}
  gridpurse simulate  --data {data} --module gp-1 --broker
  gridpurse settle    --data {data}
  gridpurse topup     --data {data} gp-1 0 50.00 --reference cash-1
  gridpurse reconcile --data {data}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="the folder to make")
    parser.add_argument("--port", type=int, default=PORT, help=f"the broker's port ({PORT})")
    parser.add_argument("--shards", default="0", help="shards settled here, such as 0,1 (0)")
    what = "URL of a PostgreSQL database for a fleet, without its password (SQLite)"
    parser.add_argument("--store", default="", metavar="URL", help=what)


def run(arguments: argparse.Namespace) -> int:
    if not 1 <= arguments.port <= 65535:
        raise Refused(f"--port {arguments.port}: must be 1 to 65535")
    data: Path = arguments.data
    try:
        numbers = shards(arguments.shards)
        for name, made, what in prepared(data, arguments.port, numbers, arguments.store):
            print(f"{'made' if made else 'kept'}  {data / name}: {what}")
    except OSError as error:
        place = error.filename or data
        raise Refused(f"{place}: {error.strerror}; mend it or name another folder") from error
    print(NEXT.format(data=data, tariff=_short(TARIFF)))
    return 0


def shards(text: str) -> list[int]:
    items = text.split(",")
    numbers = [int(item) for item in items if item.isascii() and item.isdigit()]
    if len(numbers) < len(items) or len(set(numbers)) < len(items):
        raise Refused(f"--shards {text}: name each number once, such as 0,1")
    if max(numbers) > topics.SHARD_MAX:
        raise Refused(f"--shards {text}: must be 0 to {topics.SHARD_MAX}")
    return numbers


def prepared(
    data: Path, port: int, numbers: list[int], url: str = ""
) -> Iterator[tuple[str, bool, str]]:
    """Makes what is missing. -> (file, whether it was made now, what it says or is for)."""
    configured = (data / DEFAULT_FILE).exists()
    if url:
        check_url(url)
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    elif not configured or not read_settings(data / DEFAULT_FILE, os.environ).store_url:
        new = not (data / database.FILE).exists()
        database.open_store(data).close()
        yield database.FILE, new, "modules, ledgers and payments"
    yield SECRET, _made(data / SECRET, new_password, PRIVATE), "the host's password, mode 0600"
    listed = ", ".join(str(number) for number in numbers)
    text = CONFIG.format(shards=listed, host=HOST, port=port, user=HOST_USER, secret=SECRET)
    text += STORE_CONFIG.format(url=url) if url else ""
    new = _made(data / DEFAULT_FILE, lambda: text, PUBLIC)
    settings = read_settings(data / DEFAULT_FILE, os.environ)
    used = ",".join(str(number) for number in settings.shards)
    broker = settings.broker
    where = f", store {settings.store().shown}" if settings.store_url else ""
    yield DEFAULT_FILE, new, f"broker {broker.host}:{broker.port}, shards {used}{where}"
    if settings.store_url:
        database.open_store(settings.store()).close()
    path = data / BROKER_FOLDER / BROKER_FILE
    path.parent.mkdir(mode=0o700, exist_ok=True)
    new = _made(path, lambda: _broker_text(path.parent, settings), PRIVATE)
    yield f"{BROKER_FOLDER}/{BROKER_FILE}", new, "a private broker for trials"
    master = MasterKey(master_key.place(os.environ))
    yield str(master.path), master.make(), "seals root keys; keep a copy apart from backups"
    sealed = KeyFiles(data / KEYS_FOLDER).seal_clear()
    if sealed:
        yield KEYS_FOLDER, True, f"{len(sealed)} keys that lay in clear are sealed now"


def _made(path: Path, text: Callable[[], str], mode: int) -> bool:
    """False when the file is there already."""
    if path.is_file():
        return False
    write_whole(path, text(), mode)
    return True


def _broker_text(folder: Path, settings: Settings) -> str:
    return config_text(folder.resolve(), settings.broker.port, settings.broker.password, ())


def _short(path: Path) -> Path:
    """As seen from the working folder, where that is shorter."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
