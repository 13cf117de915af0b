"""The pages against the code: what they name exists, what exists is named, tables are current."""

import importlib
import re
from pathlib import Path

import pytest

from boards.esp32 import lights
from firmware import config, lamp, mqtt_stream, relay
from host_tools import cli
from host_tools.demo import run as demo_run
from host_tools.demo.story import STEPS
from host_tools.flashing import device_image
from protocol import codes, messages, places, settings, words
from tests.docs import chinese, generate
from tests.docs.generate import ROOT

README, README_ZH = (ROOT / name for name in generate.READMES)
DOCS = ROOT / "docs"
PAGES = generate.pages()
WITH_PAGES = ("boards", "docs", "firmware", "host_tools", "protocol")
OURS = [
    *sorted(ROOT.glob("*.md")),
    *(path for top in WITH_PAGES for path in sorted((ROOT / top).rglob("*.md"))),
]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)")
CODE = re.compile(r"```sh\n(.*?)```", re.DOTALL)
MAKE = re.compile(r"(?:^|`)make ([a-z-]+)", re.MULTILINE)
COMMAND = re.compile(r"(?:^|`|bin/)gridpurse ([a-z-]+)", re.MULTILINE)
OPTION = re.compile(r"(?:^|[ `])(--[a-z-]+)")


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def page(name: str) -> str:
    return text(DOCS / name)


def anchors(path: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", text(path), re.MULTILINE)
    return {
        "#" + re.sub(r"[^\w\- ]", "", head.strip().lower()).replace(" ", "-") for head in heads
    }


def sentences(told: str) -> list[str]:
    """The lines of a transcript that begin a step, without their time and figures."""
    found = re.findall(r"^\w{3} [\d:]{8}  (ok |NOT)  (.*)$", told, re.MULTILINE)
    return [f"{mark} {re.sub(r'[0-9]+', '#', title)}" for mark, title in found]


def named_in_table(name: str, number: int, word: str) -> bool:
    return any(
        line.startswith(f"| {number} |") and f"| {word} |" in line
        for line in page(name).split("\n")
    )


# The tables


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_tables_of_a_page_are_the_codes(path: Path) -> None:
    assert generate.filled(text(path)) == text(path), "run python -m tests.docs.generate"


def test_every_table_is_on_some_page() -> None:
    shown = {name for path in PAGES for _, name, _ in generate.BLOCK.findall(text(path))}
    assert shown == set(generate.TABLES)


def test_the_relay_page_has_every_pair_of_state_and_event() -> None:
    pairs = [(state, event) for state in words.RELAY_STATES for event in words.RELAY_EVENTS]
    assert len(relay.TABLE) == len(pairs) == len(words.RELAY_STATES) * relay.EVENTS
    rows = generate.relay_table().strip().split("\n")[2:]
    assert len(rows) == len(pairs) and all(row in page("relay.md") for row in rows)


def test_a_changed_table_would_be_noticed() -> None:
    changed = page("relay.md").replace("`DO_OPEN`", "`DO_CLOSE`", 1)
    assert generate.filled(changed) != changed


# Everything that exists is named


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_sub_command_is_in_the_operators_page(command: str) -> None:
    assert f"| `gridpurse {command}` |" in page("operator.md")


@pytest.mark.parametrize("kind", messages.TYPES)
def test_every_message_kind_is_in_its_page_with_all_fields(kind: int) -> None:
    make, checks = messages.TYPES[kind], generate.FIELDS[kind]
    section = page("messages.md").split(f"### {kind} `{make.__name__.upper()}`")[1].split("#")[0]
    for number, field in enumerate(make._fields, 1):
        assert f"| {number} | `{field}` |" in section
    assert len(make._fields) == len(checks)


@pytest.mark.parametrize(("code", "word"), words.EVENTS.items())
def test_every_event_is_in_its_page(code: int, word: str) -> None:
    assert f"| {word} |" in page("messages.md")
    names = generate.EVENT_NAMES.split()
    assert [getattr(codes, name) for name in names] == list(words.EVENTS)


@pytest.mark.parametrize(("reason", "word"), words.REASONS.items())
def test_every_reason_is_in_the_operators_page(reason: int, word: str) -> None:
    assert named_in_table("operator.md", reason, word)


@pytest.mark.parametrize("key", (*settings.Module._fields, *settings.Point._fields))
def test_every_settings_key_is_in_the_technicians_page(key: str) -> None:
    assert f"| `{key}` |" in page("technician.md")


@pytest.mark.parametrize(
    "line",
    (
        "is missing; provision the module again",
        "must hold 32 bytes; ",
        "must be a whole number from ",
        "is unknown; remove it or update the firmware",
        "must lie between ",
        "must be above limit_ncur, ",
        "must be the constant printed on the pulse meter",
        "must be host:port, ",
    ),
)
def test_the_technicians_error_lines_are_those_of_the_code(line: str) -> None:
    sources = "".join(text(Path(each.__file__)) for each in (config, places, settings))
    assert line in sources and line.strip() in page("technician.md")


@pytest.mark.parametrize("board", device_image.boards())
def test_the_technicians_wiring_is_that_of_the_board(board: str) -> None:
    pins = importlib.import_module(f"boards.{board}.pins")
    section = page("technician.md").split(f"\n### {board}\n")[1].split("\n#")[0]
    rows = [
        (pins.RS485_TX, pins.RS485_RX),
        (pins.RS485_DE,),
        pins.PULSES,
        *pins.RELAYS,
        (pins.KEY_INPUT,),
        (pins.LED,),
    ]
    for row in rows:
        assert f"| {', '.join(str(pin) for pin in row)} |" in section
    assert f"{pins.COIL_MS} ms" in page("technician.md")
    assert f"| `{board}` |" in page("technician.md")


def test_every_reason_for_no_connection_is_in_the_technicians_page() -> None:
    section = page("technician.md").split("\n## Network")[1].split("\n## ")[0]
    found = re.findall(r"^\| (\d) \|", section, re.MULTILINE)
    assert [int(number) for number in found] == list(range(mqtt_stream.REASONS))


def test_every_make_target_is_in_the_contributors_page() -> None:
    for target in targets():
        assert f"| `make {target}` |" in page("contributor.md"), target


def test_every_folder_and_page_is_in_the_readmes() -> None:
    for path in (README, README_ZH):
        for name in ("protocol/", "firmware/", "boards/", "host_tools/", "tests/", "docs/"):
            assert re.search(rf"^\| \[?{name}", text(path), re.MULTILINE), name
        for each in DOCS.glob("*.md"):
            assert f"(docs/{each.name})" in text(path), each.name


# Everything that is named exists


def targets() -> list[str]:
    return re.findall(r"^([a-z-]+):.*##", text(ROOT / "Makefile"), re.MULTILINE)


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for target, anchor in LINK.findall(text(path)):
        there = path.parent / target if target else path
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), f"{target}{anchor}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_make_target_and_sub_command_named_exists(path: Path) -> None:
    assert set(MAKE.findall(text(path))) <= set(targets())
    assert set(COMMAND.findall(text(path))) <= set(cli.COMMANDS)


# Sub-commands that have some of their own; `module config` has further ones.
DEPTHS = {
    "command": 1,
    "tariff": 1,
    "bill": 1,
    "export": 1,
    "bridge": 1,
    "review": 1,
    "differences": 1,
    "maps": 1,
    "module": 2,
    "update": 1,
}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_option_in_a_command_line_exists(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for block in CODE.findall(text(path)):
        for line in block.split("\n"):
            found = COMMAND.search(line)
            if found is None:
                continue
            depth = DEPTHS.get(found[1], 0)
            kind = line[found.end() :].split()[:depth]
            kind = kind if kind[:1] == ["config"] else kind[:1]
            with pytest.raises(SystemExit):
                cli.main([found[1], *kind, "--help"])
            known = OPTION.findall(capsys.readouterr().out)
            assert set(OPTION.findall(line)) <= set(known), line


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_path_named_exists(path: Path) -> None:
    """Paths from the root, but for those with a placeholder in capitals."""
    tops = "protocol|firmware|boards|host_tools|tests|docs"
    for name in re.findall(rf"(?<![/\w])((?:{tops})/[\w./-]*\w)", text(path)):
        assert "NNNN" in name or (ROOT / name).exists() or (path.parent / name).exists(), name


# The transcript


@pytest.mark.parametrize("path", (README, README_ZH), ids=lambda path: path.name)
def test_the_transcript_has_the_steps_of_the_demo(path: Path) -> None:
    titles = "".join(f"Fri 00:00:00  ok   {title}\n" for title, _ in STEPS)
    shown = sentences(generate.transcript(text(path)))
    assert shown == sentences(titles), "refresh it, see docs/contributor.md"


@pytest.mark.parametrize("path", (README, README_ZH), ids=lambda path: path.name)
def test_the_transcript_ends_as_the_demo_does(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo_run._print([], [], True)
    heads, last = capsys.readouterr().out.strip().split("\n")
    lines = generate.transcript(text(path)).strip().split("\n")
    assert lines[-1] == last
    assert any(line.split() == heads.split() for line in lines)


def test_both_readmes_show_one_transcript_and_the_same_commands() -> None:
    assert generate.transcript(text(README)) == generate.transcript(text(README_ZH))
    assert CODE.findall(text(README)) == CODE.findall(text(README_ZH))
    assert LINK.findall(text(README))[1:] == LINK.findall(text(README_ZH))[1:]


def test_a_stale_transcript_would_be_noticed() -> None:
    told = generate.transcript(text(README))
    renamed = told.replace(STEPS[3][0], "something else")
    missing = re.sub(r"\n.*" + re.escape(STEPS[5][0]) + r"\n.*", "", told)
    failed = told.replace("  ok   ", "  NOT  ", 1)
    for stale in (renamed, missing, failed):
        assert sentences(stale) != sentences(told)


def test_only_a_demo_that_passed_becomes_the_transcript(tmp_path: Path) -> None:
    before = [text(path) for path in PAGES]
    for told in ("NOT reconciled 对账不符\n", "Fri 17:50:00  ok   half a story\n"):
        (tmp_path / "demo.txt").write_text(told, encoding="utf-8")
        assert generate.main([str(tmp_path / "demo.txt")]) == 1
    assert [text(path) for path in PAGES] == before


def test_every_code_of_the_lamp_has_a_light_of_its_own() -> None:
    for number, name in enumerate(chinese.LAMPS):
        assert getattr(lamp, name) == number
    assert len(set(lights.SIGNALS)) == len(lights.SIGNALS) == len(chinese.LAMPS)
