"""Labels are read back by a decoder that nobody here wrote, and hold no key."""

import re
import struct
import zlib

import numpy
import pytest
import zxingcpp

from host_tools import cli
from host_tools.flashing import label
from host_tools.flashing.claim import CODE, claim_code
from host_tools.keys import KeyFiles
from host_tools.settlement import enrol
from host_tools.settlement.service import KEYS_FOLDER
from host_tools.store.database import opened
from host_tools.tariffs import read_book
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


def svg_pixels(text):
    """The QR code of a label, drawn large."""
    side = int(re.search(r'viewBox="0 0 (\d+) \1"', text)[1])
    pixels = numpy.full((side, side), 255, numpy.uint8)
    for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", text):
        pixels[int(y), int(x) : int(x) + int(length)] = 0
    return numpy.kron(pixels, numpy.ones((6, 6), numpy.uint8))


def png_pixels(data):
    """Of a PNG with one bit a pixel and the filters 0 and 2 only, which is what segno writes."""
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    assert (depth, colour) == (1, 0)
    raw, at = b"", 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IDAT":
            raw += data[at + 8 : at + 8 + length]
        at += 12 + length
    rows = numpy.frombuffer(zlib.decompress(raw), numpy.uint8).reshape(height, -1).copy()
    for y in range(1, height):
        assert rows[y, 0] in (0, 2)
        if rows[y, 0]:  # each byte is the difference to the one above
            rows[y, 1:] += rows[y - 1, 1:]
    return numpy.unpackbits(rows[:, 1:], axis=1)[:, :width] * 255


def content(pixels):
    (found,) = zxingcpp.read_barcodes(numpy.ascontiguousarray(pixels))
    return found.text


def test_svg_png_and_page_are_read_back(host, tmp_path):
    claim = claim_code(host / "cards", "pump-1")
    assert CODE.fullmatch(claim)
    wanted = f"gridpurse:m/pump-1/{claim}"
    svg = (printed(host, tmp_path, "svg", "pump-1") / "pump-1.svg").read_text(encoding="utf-8")
    assert content(svg_pixels(svg)) == wanted and claim in svg and "pump-1" in svg
    png = (printed(host, tmp_path, "png", "pump-1") / "pump-1.png").read_bytes()
    assert content(png_pixels(png)) == wanted
    page = printed(host, tmp_path, "page", "pump-1", "pump-2") / "labels.html"
    labels = page.read_text(encoding="utf-8").split("<svg xmlns")[1:]
    assert [content(svg_pixels(one)).split("/")[1] for one in labels] == ["pump-1", "pump-2"]


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
    assert content(svg_pixels(text)) == f"gridpurse:m/{'m' * 16}/ABCD-EFGH-JKMN"
