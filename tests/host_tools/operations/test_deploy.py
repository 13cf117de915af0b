"""The unit and the container file: their rights, and that their words are ours."""

import re
import shlex
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path

import pytest

from host_tools import Refused, cli
from host_tools.config import PREFIX, read_settings
from tests.host_tools.genuine import HANG_S, ROOT

DEPLOY = ROOT / "host_tools" / "deploy"
UNIT = DEPLOY / "gridpurse-settle@.service"
CONTAINER = DEPLOY / "Containerfile"
PROGRAM = "/opt/gridpurse/bin/gridpurse"
EXPOSURE_MAX = "20"  # of 100, as systemd-analyze counts it


class _Lists(dict[str, str]):
    """A key that comes again adds a line."""

    def __setitem__(self, key: str, value: object) -> None:
        if isinstance(value, list) and key in self:
            value = [*self[key], *value]
        super().__setitem__(key, value)


def unit() -> dict[str, list[str]]:
    parser = RawConfigParser(dict_type=_Lists, strict=False, comment_prefixes="#", delimiters="=")
    parser.optionxform = str
    parser.read_string(UNIT.read_text(encoding="utf-8"))
    return {key: value.split("\n") for key, value in parser.items("Service")}


def variables(lines: list[str]) -> dict[str, str]:
    return dict(pair.split("=", 1) for line in lines for pair in shlex.split(line))


def accepted(found: dict[str, str], tmp_path: Path) -> bool:
    """Every variable of ours is one that the service knows, with a value that it takes."""
    (tmp_path / "empty.toml").write_text("")
    (tmp_path / "broker.secret").write_text("x")
    shown = {
        key: value.replace("%i", "1").replace("/etc/gridpurse", str(tmp_path))
        for key, value in found.items()
    }
    known = set(re.findall(rf"{PREFIX}[A-Z_]+", (ROOT / "host_tools/config.py").read_text()))
    try:
        read_settings(tmp_path / "empty.toml", shown)
    except Refused:
        return False
    return {key for key in found if key.startswith(PREFIX)} <= known


def test_the_unit_runs_without_root_on_a_read_only_system_and_stops_orderly(
    tmp_path: Path,
) -> None:
    said = unit()
    wanted = {
        "User": "gridpurse",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "PrivateTmp": "yes",
        "StateDirectoryMode": "0700",
        "UMask": "0077",
        "KillSignal": "SIGTERM",
    }
    assert {key: said[key] for key in wanted} == {key: [value] for key, value in wanted.items()}
    program, command, *words = shlex.split(said["ExecStart"][0])
    assert program == PROGRAM and command in cli.COMMANDS and words[0] == "--config"
    found = variables(said["Environment"])
    assert accepted(found, tmp_path)
    assert found["GRIDPURSE_DATA_DIR"] == f"/var/lib/{said['StateDirectory'][0]}"
    assert not accepted({"GRIDPURSE_DATA_DIRR": "x"}, tmp_path)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    ours = Path(sys.executable).with_name("gridpurse")
    text = UNIT.read_text(encoding="utf-8")
    copy = tmp_path / UNIT.name
    for there, good in ((text, True), (text.replace("ProtectHome=", "ProtectHouse="), False)):
        copy.write_text(there.replace(PROGRAM, str(ours)), encoding="utf-8")
        asked = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(copy)],
            capture_output=True,
            text=True,
            check=False,
            timeout=HANG_S,
        )
        assert (asked.returncode == 0 and copy.name not in asked.stderr) == good, asked.stderr
    copy.write_text(text, encoding="utf-8")
    rated = subprocess.run(
        [
            "systemd-analyze",
            "security",
            "--offline=true",
            f"--threshold={EXPOSURE_MAX}",
            str(copy),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG_S,
    )
    assert rated.returncode == 0, rated.stdout[-300:] + rated.stderr


def test_the_container_runs_without_root_and_stops_orderly(tmp_path: Path) -> None:
    text = re.sub(r"\\\n", " ", CONTAINER.read_text(encoding="utf-8"))
    lines = [line for line in text.split("\n") if line and line[0] not in "# "]
    words = [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]
    last = dict(words)
    assert last["USER"] == "10001" and "--uid 10001" in last["RUN"]
    assert last["STOPSIGNAL"] == "SIGTERM"
    assert last["ENTRYPOINT"] == '["gridpurse"]'  # no shell between the signal and us
    assert last["CMD"] == '["settle"]' and "settle" in cli.COMMANDS
    found = variables([last["ENV"]])
    assert accepted(found, tmp_path)
    assert found["GRIDPURSE_DATA_DIR"] == last["VOLUME"] == last["WORKDIR"]
    assert found["GRIDPURSE_HTTP_PORT"] == last["EXPOSE"]
    assert f"127.0.0.1:{last['EXPOSE']}/healthz" in last["HEALTHCHECK"]
    assert "PASSWORD=" not in text


def test_neither_holds_a_secret_and_both_are_in_the_operators_page() -> None:
    page = (ROOT / "docs/operator.md").read_text(encoding="utf-8")
    for path in (UNIT, CONTAINER):
        assert path.name in page
        assert not re.search(r"(PASSWORD|SECRET)=\S", path.read_text(encoding="utf-8"))
