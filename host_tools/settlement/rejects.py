"""`gridpurse rejects`: the messages that were refused, by us or by a module, and why."""

import argparse
import json
from dataclasses import asdict

from host_tools.settlement.common import add_store_arguments, settings_of, table
from host_tools.store.database import opened
from protocol.words import REASONS, REASONS_ZH


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--module", help="only those of one module")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_store_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    with opened(settings_of(arguments).store(), create=False) as store:
        rejects = store.intake.rejects(arguments.module)
    if arguments.json:
        named = [asdict(row) | {"reason_name": REASONS[row.reason]} for row in rejects]
        print(json.dumps(named))
        return 0
    heads = ("by", "module", "reason", "detail", "count", "first_s", "last_s", "topic")
    rows = [
        (
            row.source,
            row.module,
            f"{REASONS[row.reason]} {REASONS_ZH[row.reason]}",
            row.detail,
            row.count,
            row.first_s,
            row.last_s,
            row.topic,
        )
        for row in rejects
    ]
    print(table(heads, rows))
    return 0
