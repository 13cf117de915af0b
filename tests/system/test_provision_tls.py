"""A module provisioned for a broker that asks for TLS and for a certificate of its own."""

import asyncio
import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

from host_tools.broker import BrokerUser, config_text, find_server, free_port
from host_tools.files import PRIVATE, write_whole
from host_tools.lab.desk import Desk
from host_tools.provisioning import login
from host_tools.setup import prepared
from tests.firmware.certificates import authority, issue
from tests.system.commands import ROOT, leg

NAME = "localhost"


@contextmanager
def secure_broker(folder: Path, data: Path, mqtt_port: int, nats_port: int, ca):
    """nats-server: TLS with client certificates on the MQTT side, plain for the host beside it."""
    server, key = issue(ca, NAME).write(folder, "server")
    ca_file, _ = ca.write(folder, "ca")
    users = [BrokerUser("gp-1", 0, login.password(data, "gp-1"))]
    password = (data / "broker.secret").read_text().strip()
    tls = f'tls {{ cert_file: "{server}", key_file: "{key}", ca_file: "{ca_file}", verify: true }}'
    told = config_text(folder / "nats", mqtt_port, password, users, nats_port)
    told = told.replace("mqtt { listen", f"mqtt {{ {tls}, listen")
    write_whole(folder / "nats.conf", told, PRIVATE)
    (folder / "nats").mkdir()
    with (folder / "nats.log").open("wb") as log:
        process = subprocess.Popen(
            [find_server(), "-c", str(folder / "nats.conf")], stdout=log, stderr=log
        )
    try:
        yield ca_file
    finally:
        process.kill()
        process.wait()


def test_a_module_with_a_certificate_of_its_own_is_settled(tmp_path: Path) -> None:
    ca, mqtt_port, nats_port = authority("our CA"), free_port(), free_port()
    data = tmp_path / "secure"
    list(prepared(data, mqtt_port, [0]))
    config = data / "gridpurse.toml"
    nats = config.read_text().replace(f"port = {mqtt_port}", f'port = {nats_port}\nkind = "nats"')
    config.write_text(nats)

    async def provision(desk: Desk, *more: object) -> tuple[int | None, str]:
        words = [*desk.words(desk.modules[1]), "--data", data, *more]
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "host_tools.cli", "provision", *map(str, words)),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(os.environ),
        )
        out, _ = await asyncio.wait_for(child.communicate(), 120)
        return child.returncode, out.decode()

    async def story(ca_file: Path) -> None:
        where = ("--broker", f"{NAME}:{mqtt_port}", "--ca-key", tmp_path / "ca.key.pem")
        other, _ = authority("another CA").write(tmp_path, "other")
        async with Desk(tmp_path / "desk", 1, free_port()) as desk:
            code, said = await provision(desk, *where, "--tls", "on", "--ca", other)
            assert code == 19 and "its certificate is not of our CA" in said, said
            code, said = await provision(desk, *where, "--tls", "on", "--ca", ca_file)
            assert code in (18, 19), said  # it asks for a certificate, and the module has none
            code, said = await provision(desk, *where, "--tls", "mutual", "--ca", ca_file)
            assert code == 0, said
            files = desk.modules[1].read_files()
            assert {"ca.der", "cert.der", "tls.key"} <= set(files)
            stored = [path for path in data.rglob("*") if path.is_file()]
            assert not any(files["tls.key"] in path.read_bytes() for path in stored)

    with ExitStack() as stack:
        ca_file = stack.enter_context(secure_broker(tmp_path, data, mqtt_port, nats_port, ca))
        settle = stack.enter_context(leg("settle", "--data", data))
        asyncio.run(story(ca_file))  # it reads once a first module has made the broker's stream
        assert settle.end() == 0
