"""Who does something to a module and why: kept with all that cannot be taken back."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from host_tools import Refused
from host_tools.settlement.common import add_store_arguments
from host_tools.store.database import Store
from host_tools.store.held import Overtaken

TEXT_CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True)
class Person:
    who: str
    why: str


def add_person(parser: argparse.ArgumentParser) -> None:
    """Who and why, and what every sub-command that changes a store takes."""
    parser.add_argument("--by", required=True, metavar="WHO", help="who does it")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_store_arguments(parser)


@contextmanager
def changing(store: Store) -> Iterator[None]:
    """A transaction of a person; what another program changed meanwhile is told in one line."""
    try:
        with store.transaction():
            yield
    except Overtaken as error:
        raise Refused(f"{error}; nothing was changed, say it again 请重试") from error


def person_of(arguments: argparse.Namespace) -> Person:
    """Refused for texts that are empty, long or not one line."""
    for name in ("by", "reason"):
        text = getattr(arguments, name)
        if not text.strip() or len(text) > TEXT_CHARACTERS_MAX or not text.isprintable():
            raise Refused(f"--{name}: write 1 to {TEXT_CHARACTERS_MAX} characters on one line")
    return Person(arguments.by.strip(), arguments.reason.strip())
