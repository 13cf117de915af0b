"""The words of one module and the rows of many: what they become, and what each mistake says."""

import argparse
import csv
from pathlib import Path

import pytest

from host_tools import Refused
from host_tools.config import BrokerAddress, Settings
from host_tools.provisioning import batch, order
from host_tools.provisioning.faults import KINDS, SILENT
from host_tools.provisioning.order import Order
from host_tools.provisioning.steps import Tell
from host_tools.setup import TARIFF
from protocol import cbor, settings
from protocol.units import NO_RELAY

BASE = ["--module", "gp-1", "--board", "virtual", "--point", "0=Flat", "--tariff", str(TARIFF)]


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    order.add_arguments(parser)
    return parser.parse_args(words)


def ordered(*words: str) -> Order:
    return order.order_of(parsed(*BASE, *words))


def test_an_order_becomes_settings_that_the_module_reads() -> None:
    made = ordered(
        *("--meter", "0=sdm630:7", "--point", "1=Shop", "--meter", "1=pulse:1000:2:55000"),
        *("--point", "2=Check", "--meter", "2=sdm630:9", "--relay", "1=1", "--wifi", "net"),
    )
    wire = settings.module_to_wire(made.settings(BrokerAddress("b.example", 8883, "gp-1", "pw")))
    found = settings.module_from_wire(cbor.decode(cbor.encode(wire), depth_max=8))
    assert (found.broker_host, found.broker_port, found.rs485_baud) == ("b.example", 8883, 9600)
    first, second, third = found.points
    assert (first.unit, first.relay, second.relay, third.relay) == (7, 0, 1, NO_RELAY)
    assert (second.imp_per_kwh, second.pulse_channel, second.register_base_wh) == (1000, 2, 55000)


def test_the_speed_of_the_bus_is_the_meters_own_unless_they_differ() -> None:
    assert ordered("--meter", "0=sdm120").baud == 2400
    both = ("--meter", "0=sdm120", "--point", "1=B", "--meter", "1=sdm630:2")
    with pytest.raises(Refused, match="the meters differ"):
        ordered(*both)
    assert ordered(*both, "--baud", "4800", "--parity", "E").parity == 2


@pytest.mark.parametrize(
    ("words", "said"),
    (
        ((), "--meter: point 0 has none"),
        (("--meter", "0=sdm999"), "--meter sdm999: use one of"),
        (("--meter", "0=sdm120:0"), "--meter sdm120:0: 0 is not a number from 1 to 247"),
        (("--meter", "0=pulse:x"), "x is not a number from 1 to 1000000"),
        (("--meter", "3=sdm120"), "--meter 3=: there is no --point 3"),
        (("--meter", "0=sdm120", "--point", "0=Again"), "point 0 is named twice"),
        (("--meter", "0=tcp:sdm120"), "--gateway: name the gateway"),
        (("--meter", "0=sdm120", "--tls", "on"), "--tls on: name --ca too"),
        (("--meter", "0=sdm120", "--serial", "a/b"), "--serial a/b: use letters"),
        (("--meter", "0=sdm120", "--module", "GP"), "--module GP: use 1 to 16"),
        (("--meter", "0=sdm120", "--ntp", "h:p:1x"), "--ntp h:p:1x: write HOST or HOST:PORT"),
        (("--meter", "0=sdm120", "--wifi", "n", "--wifi-secret", "/no/file"), "cannot be read"),
    ),
)
def test_each_mistake_is_one_line_that_names_the_word(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(Refused) as refused:
        ordered(*words)
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_a_wifi_password_is_read_from_a_file_of_ours_alone_and_never_shown(tmp_path: Path) -> None:
    secret = tmp_path / "wifi.secret"
    secret.write_text("very secret\n")
    secret.chmod(0o644)
    words = ("--meter", "0=sdm120", "--wifi", "net", "--wifi-secret", str(secret))
    with pytest.raises(Refused, match="chmod 600"):
        ordered(*words)
    secret.chmod(0o600)
    made = ordered(*words)
    assert made.wifi == ("net", "very secret") and "very secret" not in repr(made)


def test_every_fault_has_its_own_exit_code_and_a_remedy_in_both_languages() -> None:
    codes = [kind.exit_code for kind in KINDS]
    assert len(set(codes)) == len(codes) and all(9 < code < 100 for code in codes)
    for kind in KINDS:
        english, chinese = kind.remedy
        assert english.isascii() and any("一" <= char <= "鿿" for char in chinese)
        assert "\n" not in str(kind.seen("what"))


def test_a_fault_is_what_was_seen_then_the_remedy_of_its_kind_or_of_the_moment() -> None:
    fault = SILENT.seen("no answer 无应答")
    assert (str(fault), fault.exit_code) == ("no answer 无应答; " + " ".join(SILENT.remedy), 20)
    assert str(SILENT.seen("busy", ("wait", "请等待"))) == "busy; wait 请等待"


class Bench:
    """A batch on a data folder where provisioning itself is only noted down."""

    def __init__(self, folder: Path, *rows: dict[str, str]) -> None:
        self.settings = Settings(BrokerAddress("h", 1), (0,), folder, None, 1, 1)
        self.file = folder / "m.csv"
        self.tried: list[str] = []
        self.faulty = {"gp-2"}
        with self.file.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.DictWriter(file, ["port", "module", "point", "meter", "serial"])
            writer.writeheader()
            writer.writerows(rows)

    def run(self) -> int:
        words = parsed("--board", "virtual", "--tariff", str(TARIFF))
        words.batch, words.parallel = self.file, 2
        return batch.run(self.settings, words, self.provision)

    def provision(self, settings: Settings, wanted: Order, port: str, tell: Tell) -> str:
        self.tried.append(wanted.module)
        if wanted.module in self.faulty:
            raise SILENT.seen("no answer")
        return "card"


def row(number: int, **more: str) -> dict[str, str]:
    words = {"port": f"/dev/p{number}", "module": f"gp-{number}", "point": "0=A;1=B"}
    return {**words, "meter": "0=sdm120;1=pulse:100", **more}


def test_a_batch_names_each_bad_row_and_does_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = (row(1), row(2), row(3, port="/dev/p1"), row(4, meter="0=x"), row(5, serial="S"))
    bench = Bench(tmp_path, *rows, row(6, serial="S"), row(7, port=""))
    assert bench.run() == 1
    assert sorted(bench.tried) == ["gp-1", "gp-2", "gp-5"]
    shown = capsys.readouterr()
    assert "2 commissioned 已投运, 5 not 未完成" in shown.out
    for line, said in (
        (3, "gp-2 (20): no answer"),
        (4, "gp-3 (2): port /dev/p1: is in line 2 already"),
        (5, "gp-4 (2): --meter"),
        (7, "gp-6 (2): serial S: is in line 6 already"),
        (8, "gp-7 (2): port: is empty"),
    ):
        assert any(f"m.csv:{line}: {said}" in each for each in shown.out.splitlines()), said
    assert len(shown.err.splitlines()) == 5


@pytest.mark.parametrize(
    ("text", "said"),
    (
        ("port,modul\n", "column 'modul' is unknown"),
        ("port\n", "name the columns port and module"),
        ("", "name the columns port and module"),
    ),
)
def test_a_batch_with_wrong_columns_is_refused_whole(tmp_path: Path, text: str, said: str) -> None:
    bench = Bench(tmp_path)
    bench.file.write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match=said):
        bench.run()
