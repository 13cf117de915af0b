"""What every sub-command shares: where the store is, which clock, and how a table is printed."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from host_tools.config import DEFAULT_FILE, Settings, read_settings


def add_store_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, help=f"TOML file (default: {DEFAULT_FILE}, if any)")
    parser.add_argument("--data", type=Path, help="data folder, in place of the configured one")
    parser.add_argument("--clock", type=Path, help="file of the simulated time")


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The configuration, with what the command line says on top."""
    settings = read_settings(arguments.config, os.environ)
    if arguments.data is not None:
        settings = replace(settings, data_dir=arguments.data)
    if arguments.clock is not None:
        settings = replace(settings, clock_file=arguments.clock)
    return settings


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns of text, numbers to the right, as wide as they need to be."""
    shown = [["-" if value is None else str(value) for value in row] for row in rows]
    widths = [
        max(len(head), *(len(row[place]) for row in shown)) if shown else len(head)
        for place, head in enumerate(heads)
    ]
    lines = ["  ".join(head.ljust(width) for head, width in zip(heads, widths, strict=True))]
    for row, values in zip(shown, rows, strict=True):
        cells = [
            text.rjust(width) if isinstance(value, int) else text.ljust(width)
            for text, width, value in zip(row, widths, values, strict=True)
        ]
        lines.append("  ".join(cells))
    return "\n".join(line.rstrip() for line in lines)
