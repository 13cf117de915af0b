"""Labels are read back by a decoder that nobody here wrote, and hold no key."""

import pytest

from host_tools import cli
from host_tools.flashing import label
from host_tools.flashing.claim import CODE, claim_code
from host_tools.keys import KeyFiles
from host_tools.settlement import enrol
from host_tools.settlement.service import KEYS_FOLDER
from host_tools.store.database import opened
from host_tools.tariffs import read_book
from tests import label_codes
from tests.system.commands import TARIFF


@pytest.fixture
def host(tmp_path):
    """A data folder with two modules."""
    data = tmp_path / "data"
    data.mkdir()
    book = read_book(TARIFF)
    with opened(data, create=True) as store:
        for name in ("pump-1", "pump-2"):
            point = enrol.NewPoint(0, name, "t", book)
            enrol.enrol(store, KeyFiles(data / KEYS_FOLDER), name, 0, [point], 1_800_000_000)
    return data


def printed(host, tmp_path, form, *modules):
    out = tmp_path / form
    words = ["label", *modules, "--data", str(host), "--format", form, "--out", str(out)]
    assert cli.main(words) == 0
    return out


def test_svg_png_and_page_are_read_back(host, tmp_path):
    claim = claim_code(host / "cards", "pump-1")
    assert CODE.fullmatch(claim)
    wanted = f"gridpurse:m/pump-1/{claim}"
    svg = printed(host, tmp_path, "svg", "pump-1") / "pump-1.svg"
    text = svg.read_text(encoding="utf-8")
    assert label_codes.said(svg) == [wanted] and claim in text and "pump-1" in text
    png = printed(host, tmp_path, "png", "pump-1") / "pump-1.png"
    assert label_codes.said(png) == [wanted]
    page = printed(host, tmp_path, "page", "pump-1", "pump-2") / "labels.html"
    assert [one.split("/")[1] for one in label_codes.said(page)] == ["pump-1", "pump-2"]


def test_no_label_and_no_claim_file_holds_a_key_or_anything_made_of_it(host, tmp_path):
    key = KeyFiles(host / KEYS_FOLDER).load("pump-1").reveal()
    out = printed(host, tmp_path, "svg", "pump-1")
    for path in (*out.iterdir(), *(host / "cards").iterdir()):
        data = path.read_bytes()
        assert key not in data and key.hex().encode() not in data.lower()
    # Without its file the code is drawn anew from the same key: it does not come from it.
    before = claim_code(host / "cards", "pump-1")
    (host / "cards" / "pump-1.claim.json").unlink()
    assert claim_code(host / "cards", "pump-1") != before


def test_the_code_stays_and_its_file_is_private(host, tmp_path):
    out = printed(host, tmp_path, "svg", "pump-1")
    first = (out / "pump-1.svg").read_bytes()
    assert (printed(host, tmp_path, "svg", "pump-1") / "pump-1.svg").read_bytes() == first
    assert (host / "cards" / "pump-1.claim.json").stat().st_mode & 0o077 == 0


def test_an_unknown_module_and_a_damaged_code_are_one_line(host, capsys):
    words = ["label", "--data", str(host)]
    assert cli.main([*words, "pump-9"]) == 2
    assert "pump-9: no such module" in capsys.readouterr().err
    (host / "cards").mkdir(exist_ok=True)
    (host / "cards" / "pump-1.claim.json").write_text("{}", encoding="utf-8")
    assert cli.main([*words, "pump-1"]) == 2
    assert "print the label anew" in capsys.readouterr().err


def test_the_longest_name_fits():
    text = label.drawn(label.Label("m" * 16, "ABCD-EFGH-JKMN"))
    assert (
        label_codes.content(label_codes.svg_pixels(text))
        == f"gridpurse:m/{'m' * 16}/ABCD-EFGH-JKMN"
    )
