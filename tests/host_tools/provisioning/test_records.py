"""Records, cards and certificates: whole, without secrets, and one serial number for one chip."""

import datetime
import json
from pathlib import Path

import pytest
from cryptography import x509

from host_tools import Refused
from host_tools.faults import Fault
from host_tools.provisioning import card, certificates
from host_tools.provisioning.faults import CERTIFICATE, CONSOLE, HOST_CLOCK, SERIAL
from host_tools.provisioning.record import Record, Records, Step
from tests.firmware.certificates import authority, issue
from tests.host_tools.provisioning.test_order import ordered


def records(tmp_path: Path) -> Records:
    made = Records(tmp_path)
    made.folder.mkdir(parents=True)
    return made


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    kept = records(tmp_path)
    record = Record("S1", "gp-1", "aa", "digest", 5)
    record.steps["clock"] = Step("clock", True, 6, 7, "seen", "所见")
    kept.write(record)
    assert kept.read("S1") == record and kept.every() == [record] and kept.read("S2") is None
    kept.path("S1").write_text("{")
    with pytest.raises(Refused, match="remove it to check the module anew"):
        kept.read("S1")


@pytest.mark.parametrize(
    ("serial", "chip", "module"),
    (("S1", "bb", "gp-2"), ("S2", "aa", "gp-2"), ("S2", "bb", "gp-1")),
)
def test_a_serial_number_a_chip_and_a_name_belong_together(
    tmp_path: Path, serial: str, chip: str, module: str
) -> None:
    kept = records(tmp_path)
    kept.write(Record("S1", "gp-1", "aa", "digest", 5))
    kept.refuse_duplicate("S1", "aa", "gp-1")
    kept.refuse_duplicate("S2", "bb", "gp-2")
    with pytest.raises(Fault) as fault:
        kept.refuse_duplicate(serial, chip, module)
    assert fault.value.kind == SERIAL


def test_two_never_work_on_one_serial_number(tmp_path: Path) -> None:
    kept = records(tmp_path)
    with kept.alone("S1", "p"):
        with pytest.raises(Fault) as fault, kept.alone("S1", "p"):
            pass
        assert fault.value.kind == CONSOLE
        with kept.alone("S2", "p"):
            pass


def test_a_card_tells_both_languages_and_is_safe_html(tmp_path: Path) -> None:
    order = ordered("--meter", "0=sdm120")
    record = Record("S1", "gp-1", "aa", "digest", 5, fault="meters: <b>silent</b>")
    record.steps["clock"] = Step("clock", True, 6, 70, "set & kept", "已校准")
    page = card.written(tmp_path, record, order).read_text(encoding="utf-8")
    assert "set &amp; kept / 已校准" in page and "<b>silent" not in page and "未投运" in page
    told = json.loads((tmp_path / "cards" / "S1.json").read_text(encoding="utf-8"))
    assert told["ok"] is False and told["took_ms"] == 70
    assert [step["check_zh"] for step in told["steps"]] == ["时钟"]


def test_a_ca_has_to_be_one_and_in_force(tmp_path: Path) -> None:
    ca = authority("ca")
    path, key_path = ca.write(tmp_path, "ca")
    now_s = int(datetime.datetime.now(datetime.UTC).timestamp())
    found = certificates.authority(path, now_s)
    files = certificates.issued(found, key_path, "gp-1", now_s)
    own = x509.load_der_x509_certificate(files["cert.der"])
    own.verify_directly_issued_by(found)
    assert own.subject.rfc4514_string() == "CN=gp-1" and b"PRIVATE" not in files["tls.key"]
    other, other_key = issue(ca, "host").write(tmp_path, "other")
    year_s = 366 * 86400
    for file, at_s, kind in (
        (path, now_s + 11 * year_s, CERTIFICATE),
        (path, now_s - year_s, HOST_CLOCK),
        (other, now_s, CERTIFICATE),
        (key_path, now_s, CERTIFICATE),
        (tmp_path / "none", now_s, CERTIFICATE),
    ):
        with pytest.raises(Fault) as fault:
            certificates.authority(file, at_s)
        assert fault.value.kind == kind, file
    with pytest.raises(Fault, match="not the EC key of that CA"):
        certificates.issued(found, other_key, "gp-1", now_s)
