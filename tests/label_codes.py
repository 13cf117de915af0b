"""What the QR codes of labels say, read by a decoder that nobody here wrote."""

import re
import struct
import zlib
from pathlib import Path

import numpy
import zxingcpp


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


def said(path: Path) -> list[str]:
    """Of a file that `gridpurse label` wrote, in any of its formats."""
    if path.suffix == ".png":
        return [content(png_pixels(path.read_bytes()))]
    labels = path.read_text(encoding="utf-8").split("<svg xmlns")[1:]
    return [content(svg_pixels(one)) for one in labels]
