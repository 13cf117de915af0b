"""The command line itself: what holds for every sub-command."""

import argparse
import tomllib
from collections.abc import Iterator

import pytest

from host_tools import cli
from tests.host_tools.genuine import ROOT


def parsers(one: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """It and all below it."""
    yield one
    for action in one._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from parsers(below)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_no_parser_takes_an_option_that_is_cut_short(name: str) -> None:
    found = list(parsers(cli.parser_for([name])))
    assert len(found) > len(cli.COMMANDS)
    assert [each.prog for each in found if each.allow_abbrev] == []


@pytest.mark.parametrize(
    "words",
    [
        ["topup", "m1", "0", "50", "--ref", "ab-1"],
        ["topup", "m1", "0", "50", "--reference", "ab-1", "--n"],
        ["setup", "--dat", "t"],
        ["command", "relay", "m1", "0", "trip", "--by", "Li Na", "--reas", "test"],
        ["bill", "close", "2026-01", "--dat", "t"],
    ],
)
def test_an_option_cut_short_is_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2
    assert "arguments" in capsys.readouterr().err  # unrecognized, or a required one


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"gridpurse {project['version']}\n"
