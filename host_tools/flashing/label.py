"""`gridpurse label`: a label for each module, with a QR code of its name and claim code.

60 x 30 mm. The code says `gridpurse:m/<module>/<claim code>`. No key is read here, so none can be
printed. PNG is the QR code alone, for label printers that set their own text.
"""

import argparse
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import segno

from host_tools import Refused
from host_tools.flashing.claim import CARDS_FOLDER, claim_code
from host_tools.settlement.common import add_folder_arguments, settings_of
from host_tools.store.database import opened

SVG, PNG, PAGE = "svg", "png", "page"
WIDTH_MM, HEIGHT_MM = 60, 30
QUIET = 4  # modules of white around the code, as ISO/IEC 18004 asks
PNG_SCALE = 8
PAGE_FILE = "labels.html"
PAGE_HEAD = """<!doctype html>
<html lang="zh"><meta charset="utf-8"><title>Labels 标签</title>
<style>@page { margin: 8mm } body { margin: 0 }
svg { width: 60mm; height: 30mm; margin: 1mm; break-inside: avoid }</style>
"""


@dataclass(frozen=True)
class Label:
    module: str
    claim: str

    @property
    def content(self) -> str:
        return f"gridpurse:m/{self.module}/{self.claim}"

    def code(self) -> segno.QRCode:
        return segno.make_qr(self.content, error="m")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("module", nargs="+", help="enrolled modules")
    parser.add_argument("--format", choices=(SVG, PNG, PAGE), default=SVG, help="page: to print")
    parser.add_argument("--out", type=Path, default=Path("."), help="folder (this one)")
    add_folder_arguments(parser)
    parser.set_defaults(clock=None)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    with opened(settings.store()) as store:
        known = {module.id for module in store.fleet.modules()}
    for name in arguments.module:
        if name not in known:
            raise Refused(f"{name}: no such module; `gridpurse modules` lists them  无此模块")
    folder = settings.data_dir / CARDS_FOLDER
    labels = [Label(name, claim_code(folder, name)) for name in arguments.module]
    arguments.out.mkdir(parents=True, exist_ok=True)
    for path in written(labels, arguments.format, arguments.out):
        print(f"made  {path}")
    return 0


def written(labels: Sequence[Label], form: str, out: Path) -> list[Path]:
    if form == PAGE:
        page = PAGE_HEAD + "\n".join(drawn(label) for label in labels) + "\n</html>\n"
        (out / PAGE_FILE).write_text(page, encoding="utf-8")
        return [out / PAGE_FILE]
    paths = []
    for label in labels:
        path = out / f"{label.module}.{form}"
        if form == SVG:
            path.write_text(drawn(label) + "\n", encoding="utf-8")
        else:
            label.code().save(str(path), kind="png", scale=PNG_SCALE, border=QUIET)
        paths.append(path)
    return paths


def drawn(label: Label) -> str:
    """The label as SVG."""
    rows = [list(row) for row in label.code().matrix_iter(border=QUIET)]
    side = len(rows)
    path = "".join(
        f"M{start} {y}h{length}v1h-{length}z"
        for y, row in enumerate(rows)
        for start, length in _runs(row)
    )
    name = html.escape(label.module)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_MM}mm" height="{HEIGHT_MM}mm" '
        f'viewBox="0 0 {WIDTH_MM} {HEIGHT_MM}" font-family="sans-serif">'
        f'<rect width="{WIDTH_MM}" height="{HEIGHT_MM}" fill="#fff"/>'
        f'<svg x="1" y="1" width="28" height="28" viewBox="0 0 {side} {side}" '
        f'shape-rendering="crispEdges"><path d="{path}"/></svg>'
        f'<text x="30" y="6" font-size="3">Gridpurse</text>'
        f'<text x="30" y="12.5" font-size="2.4" fill="#555">module 模块</text>'
        f'<text x="30" y="16" font-size="2.8" font-family="monospace" font-weight="bold">'
        f"{name}</text>"
        f'<text x="30" y="22" font-size="2.4" fill="#555">claim code 认领码</text>'
        f'<text x="30" y="25.5" font-size="2.9" font-family="monospace" textLength="28" '
        f'lengthAdjust="spacingAndGlyphs">{label.claim}</text></svg>'
    )


def _runs(row: Sequence[int]) -> list[tuple[int, int]]:
    """(start, length) of what is dark."""
    runs: list[tuple[int, int]] = []
    for x, dark in enumerate(row):
        if dark and runs and sum(runs[-1]) == x:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        elif dark:
            runs.append((x, 1))
    return runs
