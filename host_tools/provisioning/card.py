"""The report card of a serial number: JSON for machines, one printable page for people.

Says what was checked, when, how long it took and what was seen. Never holds a key or a password.
"""

import html
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from host_tools.files import PRIVATE, write_whole
from host_tools.provisioning.order import Order
from host_tools.provisioning.record import Record
from host_tools.provisioning.steps import STEPS

FOLDER = "cards"
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{serial}</title>
<style>
 body {{ font: 11pt/1.4 "Noto Sans", "Noto Sans CJK SC", sans-serif; margin: 15mm; color: #111 }}
 h1 {{ font-size: 15pt; margin: 0 0 2mm }} table {{ border-collapse: collapse; width: 100% }}
 th, td {{ border: 1px solid #999; padding: 1mm 2mm; text-align: left; vertical-align: top }}
 td.ms {{ text-align: right; white-space: nowrap }} .bad {{ font-weight: bold }}
 .sign td {{ height: 14mm; width: 50% }} @media print {{ body {{ margin: 0 }} }}
</style>
<h1>Report card 检验报告 — {serial}</h1>
<table>{head}</table>
<p class="{klass}">{result}</p>
<table><tr><th>check</th><th>检查项</th><th>result 结果</th><th>ms</th><th>seen 结果说明</th></tr>
{rows}</table>
<p>Times UTC. This page holds no key. 时间为 UTC，本页不含任何密钥。</p>
<table class="sign"><tr><td>technician 现场人员</td><td>date 日期</td></tr></table>
</html>
"""


def written(data: Path, record: Record, order: Order) -> Path:
    """Writes both files. -> the page"""
    folder = data / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    text = json.dumps(card(record, order), ensure_ascii=False, indent=1)
    write_whole(folder / f"{record.serial}.json", text + "\n", PRIVATE)
    path = folder / f"{record.serial}.html"
    write_whole(path, page(record, order), PRIVATE)
    return path


def card(record: Record, order: Order) -> dict[str, object]:
    steps = _steps(record)
    return {
        "serial": record.serial,
        "chip": record.chip,
        "module": record.module,
        "before": [_earlier(each) for each in record.before],
        "shard": order.shard,
        "board": order.board,
        "points": {str(each.point): each.label for each in order.points},
        "begun_s": record.begun_s,
        "finished_s": record.finished_s,
        "ok": bool(record.finished_s),
        "fault": record.fault,
        "took_ms": sum(step.took_ms for step in record.steps.values()),
        "steps": steps,
    }


def _steps(record: Record) -> list[dict[str, object]]:
    words = {name: (english, chinese) for name, english, chinese in STEPS}
    return [
        {**asdict(record.steps[name]), "check": words[name][0], "check_zh": words[name][1]}
        for name in words
        if name in record.steps
    ]


def _earlier(record: Record) -> dict[str, object]:
    """An identity that the chip had before."""
    return {
        "module": record.module,
        "begun_s": record.begun_s,
        "finished_s": record.finished_s,
        "fault": record.fault,
        "steps": _steps(record),
    }


def page(record: Record, order: Order) -> str:
    told = card(record, order)
    points = ", ".join(f"{each.point}: {each.label}" for each in order.points)
    head = _row("module 模块", f"{record.module} ({order.board})")
    head += _row("chip 芯片", record.chip) + _row("points 用电点", points)
    head += _row("begun 开始", _instant(record.begun_s))
    head += _row("finished 完成", _instant(record.finished_s))
    for each in record.before:
        lived = f"{each.module}: {_instant(each.begun_s)}, {_instant(each.finished_s)}"
        head += _row("before, begun, finished 此前身份、开始、完成", lived)
    rows = []
    for name, english, chinese in STEPS:
        step = record.steps.get(name)
        if step is None:
            cells = (english, chinese, "not done 未做", "", "")
        else:
            passed = "ok 合格" if step.ok else "- 不适用"
            seen = step.detail if step.detail == step.detail_zh else (
                f"{step.detail} / {step.detail_zh}"
            )  # fmt: skip
            cells = (english, chinese, passed, f"{step.took_ms}", seen)
        kinds = ("", "", "", ' class="ms"', "")
        row = "".join(
            f"<td{kind}>{html.escape(cell)}</td>" for kind, cell in zip(kinds, cells, strict=True)
        )
        rows.append(f"<tr>{row}</tr>")
    result = "commissioned 已投运" if told["ok"] else f"not commissioned 未投运: {record.fault}"
    return _PAGE.format(
        serial=html.escape(record.serial),
        head=head,
        klass="good" if told["ok"] else "bad",
        result=html.escape(result),
        rows="\n".join(rows),
    )


def _row(name: str, value: str) -> str:
    return f"<tr><th>{name}</th><td>{html.escape(value)}</td></tr>"


def _instant(at_s: int) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M:%S}" if at_s else "-"
