"""What every sub-command shares: where the store is, which clock, and how a table is printed."""

import argparse
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from host_tools import Refused
from host_tools.config import DEFAULT_FILE, Settings, read_settings
from protocol.units import NCUR_PER_CUR

TEXT_CHARACTERS_MAX = 200
HEADS_ZH = {
    "module": "模块",
    "shard": "分片",
    "point": "用电点",
    "label": "名称",
    "tariff": "电价版本",
    "balance": "余额",
    "currency": "币种",
    "settled": "已结算",
    "firmware": "固件",
    "hello": "上线时间",
    "energy_wh": "电量",
    "charged_module": "模块电费",
    "charged_host": "主站电费",
    "topups": "充值",
    "balance_module": "模块余额",
    "balance_host": "主站余额",
    "readings_sent": "已发",
    "readings_settled": "已结算",
    "duplicates_dropped": "重复",
    "rejected": "拒收",
    "differences": "差异",
    "reconciled": "对账",
    "relay_operations": "跳合闸次数",
    "by": "来源",
    "reason": "原因",
    "detail": "说明",
    "count": "次数",
    "first": "首次",
    "last": "最近",
    "topic": "主题",
    "id": "命令号",
    "order": "命令",
    "state": "状态",
    "answer": "答复",
    "who": "下达人",
    "why": "原因",
    "issued": "下达时间",
    "expires": "有效期至",
    "answered": "答复时间",
    "sent": "已发次数",
    "group": "分组",
    "day": "日",
    "entry": "账目",
    "posting": "过账",
    "closed": "关账时间",
    "head": "链值",
    "account": "科目",
    "debit": "借方",
    "credit": "贷方",
    "review": "条目号",
    "check": "检查项",
    "from": "起",
    "to": "止",
    "action": "处理",
    "difference": "差异号",
    "class": "类别",
    "module_value": "模块值",
    "host_value": "主站值",
    "opened": "发现时间",
    "wave": "批次",
    "percent": "百分比",
    "since": "自",
    "seq": "序号",
    "time": "时间",
    "clock": "时钟",
    "event": "事件",
    "args": "参数",
    "missing": "未到",
    "in_flight": "在途充值",
    "register_wh": "表码",
    "metered": "抄表时间",
}


def decimal(amount_ncur: int, decimals_min: int = 2) -> str:
    """The exact amount, with at least so many decimals and no zeros beyond them."""
    whole, rest = divmod(abs(amount_ncur), NCUR_PER_CUR)
    text = f"{rest:09d}".rstrip("0").ljust(decimals_min, "0")
    return f"{'-' if amount_ncur < 0 else ''}{whole}.{text}"


def said(name: str, text: str) -> str:
    """What a person writes beside a decision: one line, not empty. Refused otherwise."""
    if not text.strip() or len(text) > TEXT_CHARACTERS_MAX or not text.isprintable():
        raise Refused(f"--{name}: write 1 to {TEXT_CHARACTERS_MAX} characters on one line")
    return text.strip()


def add_store_arguments(parser: argparse.ArgumentParser) -> None:
    add_folder_arguments(parser)
    parser.add_argument("--clock", type=Path, help="file of the simulated time")


def add_folder_arguments(parser: argparse.ArgumentParser) -> None:
    where = f"the data folder's or this folder's {DEFAULT_FILE}, if any"
    parser.add_argument("--config", type=Path, help=f"TOML file (default: {where})")
    parser.add_argument("--data", type=Path, help="data folder, in place of the configured one")


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The configuration, with what the command line says on top."""
    path = arguments.config
    if path is None and arguments.data is not None:
        beside = arguments.data.joinpath(DEFAULT_FILE)  # as `gridpurse setup` made it
        path = beside if beside.exists() else None
    settings = read_settings(path, os.environ)
    if arguments.data is not None:
        settings = replace(settings, data_dir=arguments.data)
    if arguments.clock is not None:
        settings = replace(settings, clock_file=arguments.clock)
    return settings


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns of text for a person, numbers to the right, Chinese heads beside the English ones.

    A column whose name ends in _ncur shows currency, one in _s an instant in UTC.
    """
    shown = [[_shown(head, value) for head, value in zip(heads, row, strict=True)] for row in rows]
    titles = [_title(head) for head in heads]
    widths = [
        max(cells(title), *(cells(row[place]) for row in shown)) if shown else cells(title)
        for place, title in enumerate(titles)
    ]
    lines = [_line(titles, widths, [False] * len(titles))]
    for row, values in zip(shown, rows, strict=True):
        lines.append(_line(row, widths, [isinstance(value, int) for value in values]))
    return "\n".join(lines)


def _shown(head: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, int) and head.endswith("_ncur"):
        return decimal(value, 9)
    if isinstance(value, int) and head.endswith("_s"):
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return str(value)


def _title(head: str) -> str:
    """The head of a column in both languages, without its unit where the cells show it."""
    plain = head.removesuffix("_ncur").removesuffix("_s")
    words = plain.replace("_wh", " Wh").replace("_", " ")
    return f"{words} {HEADS_ZH[plain]}" if plain in HEADS_ZH else words


def cells(text: str) -> int:
    """Width on a terminal: an East Asian wide character takes two cells."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _line(texts: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    out = []
    for text, width, to_the_right in zip(texts, widths, right, strict=True):
        space = " " * (width - cells(text))
        out.append(space + text if to_the_right else text + space)
    return "  ".join(out).rstrip()
