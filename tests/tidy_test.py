"""The house rules that a machine can hold: import arrows, the float ban, bounds, unit suffixes.

Each check returns `path:line: what` texts, so that a failure names every place at once; the
`bad` sample beside each check proves that it would notice.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("protocol", "firmware", "boards", "host_tools", "tests")
DEVICE = ("protocol", "firmware", "boards")

LINE_MAX = 99
FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = {"protocol": 250, "firmware": 250, "boards": 250, "host_tools": 400}

# Longest matching folder decides. A name allows itself and everything below it.
ARROWS = {
    "protocol": ("protocol",),
    "firmware": ("firmware", "protocol"),
    "boards": (),
    "boards/virtual": ("boards.virtual", "boards.start"),
    "boards/esp32": ("boards.esp32",),
    "boards/esp32_generic": ("boards.esp32", "boards.esp32_generic"),
    "boards/esp32_s3": ("boards.esp32", "boards.esp32_s3"),
    "boards/wt32_eth01": ("boards.esp32", "boards.wt32_eth01"),
    "host_tools": ("host_tools", "protocol"),
    "host_tools/simulator": ("host_tools", "protocol", "firmware", "boards.virtual"),
    "host_tools/rescue": ("host_tools", "protocol", "firmware"),  # it speaks for the module
    "host_tools/demo": ("host_tools", "protocol", "firmware", "boards.virtual"),
}
# A board's main.py is where board and firmware meet.
BOARDS = ("esp32_generic", "esp32_s3", "virtual", "wt32_eth01")
MEETING_POINTS = tuple(f"boards/{board}/main.py" for board in BOARDS)
PURE_IMPORTS = {"struct", "hashlib", "collections", "micropython"}
HARDWARE = {"machine", "network", "esp32"}
FLOAT_FREE = (
    "protocol",
    "firmware",
    "host_tools/billing",
    "host_tools/rating",
    "host_tools/settlement",
    "host_tools/exchange",
    "host_tools/ordering",
    "host_tools/store",
    "host_tools/tariffs",
    "host_tools/validation",
)

# A name with one of these words carries a number of that quantity and must end in its unit, or in
# a unit and a qualifier that comes last. Amounts without such a word are the reviewer's business.
QUANTITY_UNITS = {
    "energy": ("wh", "mwh", "pulses"),
    "consumption": ("wh",),
    "price": ("ucur_per_kwh",),
    "money": ("ncur",),
    "balance": ("ncur",),
    "credit": ("ncur",),
    "debit": ("ncur",),
    "cost": ("ncur",),
    "charge": ("ncur",),
    "debt": ("ncur",),
    "voltage": ("mv",),
    "power": ("mw",),
    "frequency": ("mhz",),
    "timeout": ("ms", "s"),
}
# Has another meaning too (supply of a simulated board): no unit asked, but a wrong one is seen.
AMBIGUOUS = ("power",)
QUALIFIERS = ("max", "min", "before", "after", "limit", "total", "default")


def sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted(path for path in found if "__pycache__" not in path.parts)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Dotted names that are imported; `from a import b` counts as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def longest_folder(path: str, folders: tuple[str, ...]) -> str:
    """The deepest of the folders (or modules) that holds the file, or empty."""
    stem = path.removesuffix(".py")
    holding = [folder for folder in folders if f"{stem}/".startswith(f"{folder}/")]
    return max(holding, key=len, default="")


def within(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == top or name.startswith(f"{top}.") for top in allowed)


def type_checking_lines(tree: ast.AST) -> set[int]:
    """Lines under `if TYPE_CHECKING:`; no interpreter runs them."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for part in node.body:
                lines.update(range(part.lineno, (part.end_lineno or part.lineno) + 1))
    return lines


def wrong_imports(path: str, tree: ast.AST) -> list[str]:
    top = path.split("/", maxsplit=1)[0]
    allowed = ARROWS.get(longest_folder(path, tuple(ARROWS)), OURS)
    unseen = type_checking_lines(tree)
    wrong = []
    for line, name in imported(tree):
        first = name.split(".")[0]
        if line in unseen:
            continue
        if not first:
            wrong.append(f"{path}:{line}: relative import")
        elif first in OURS and not within(name, allowed) and path not in MEETING_POINTS:
            wrong.append(f"{path}:{line}: {name} against the arrows")
        elif top == "protocol" and first not in OURS and first not in PURE_IMPORTS:
            wrong.append(f"{path}:{line}: {name} in protocol/")
        elif top != "boards" and first in HARDWARE:
            wrong.append(f"{path}:{line}: {name} outside boards/")
    return wrong


def floats(path: str, tree: ast.AST) -> list[str]:
    if not longest_folder(path, FLOAT_FREE):
        return []
    wrong = []
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=float() | complex()):
                wrong.append(f"{path}:{node.lineno}: float literal")
            case ast.Call(func=ast.Name(id="float")):
                wrong.append(f"{path}:{node.lineno}: float()")
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                wrong.append(f"{path}:{node.lineno}: / operator")
    return wrong


def too_long(path: str, text: str, tree: ast.AST) -> list[str]:
    lines = text.split("\n")
    wrong = [
        f"{path}:{number}: {len(line)} columns"
        for number, line in enumerate(lines, 1)
        if len(line) > LINE_MAX
    ]
    limit = MODULE_LINES_MAX.get(path.split("/", maxsplit=1)[0])
    if limit is not None and len(lines) - 1 > limit:
        wrong.append(f"{path}:1: module of {len(lines) - 1} lines, limit {limit}")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                wrong.append(f"{path}:{node.lineno}: {node.name} has {length} lines")
    return wrong


def sloppy(path: str, text: str, tree: ast.AST) -> list[str]:
    """Bare except; unfinished work left as a comment; tests that wait or share a folder."""
    wrong = [
        f"{path}:{number}: {word}"
        for number, line in enumerate(text.split("\n"), 1)
        for word in ("TO" + "DO", "FIX" + "ME", "XX" + "X")
        if word in line
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            wrong.append(f"{path}:{node.lineno}: bare except")
        in_tests = path.startswith("tests/")
        if in_tests and isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep":
            wrong.append(f"{path}:{node.lineno}: time.sleep in a test")
        said = node.value if in_tests and isinstance(node, ast.Constant) else ""
        if isinstance(said, str) and said.startswith("/" + "tmp"):
            wrong.append(f"{path}:{node.lineno}: folder of all runs; see tests/scratch.py")
    return wrong


def declared(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Parameters, annotated fields and namedtuple fields: the names other code has to trust."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.lineno, node.target.id
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("namedtuple"):
            yield from namedtuple_fields(node)


def namedtuple_fields(call: ast.Call) -> Iterator[tuple[int, str]]:
    fields = call.args[1] if len(call.args) > 1 else None
    if isinstance(fields, ast.Constant) and isinstance(fields.value, str):
        for name in fields.value.replace(",", " ").split():
            yield call.lineno, name
    elif isinstance(fields, ast.Tuple | ast.List):
        for item in fields.elts:
            if isinstance(item, ast.Constant) and isinstance(item.value, str):
                yield item.lineno, item.value


def unitless(path: str, tree: ast.AST) -> list[str]:
    wrong = []
    for line, name in declared(tree):
        words = name.strip("_").split("_")
        while len(words) > 1 and words[-1] in QUALIFIERS:
            words.pop()
        bare = "_".join(words)
        # The quantity is the name's last word before its unit; `price_table` is a table.
        units = QUANTITY_UNITS.get(words[-1], ())
        if units and words[-1] not in AMBIGUOUS:
            wrong.append(f"{path}:{line}: {name} does not end in {' or '.join(units)}")
            continue
        for word, units in QUANTITY_UNITS.items():
            wrong_unit = any(
                bare.endswith(f"{word}_{unit}") for unit in ("kwh", "cur", "ucur", "w", "v", "hz")
            )
            if wrong_unit and not any(bare.endswith(f"_{unit}") for unit in units):
                wrong.append(f"{path}:{line}: {name} does not end in {' or '.join(units)}")
    return wrong


def findings(path: str, text: str) -> list[str]:
    """Everything wrong with one file of Python."""
    tree = ast.parse(text)
    wrong = wrong_imports(path, tree) + floats(path, tree)
    wrong += too_long(path, text, tree) + sloppy(path, text, tree)
    if not path.startswith("tests/"):
        wrong += unitless(path, tree)
    return wrong


def test_every_file_keeps_the_house_rules() -> None:
    wrong = []
    for path in sources(*OURS):
        wrong += findings(relative(path), path.read_text(encoding="utf-8"))
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_shared_test_file_says_where_it_runs() -> None:
    missing = [
        relative(path)
        for path in sources("tests/protocol")
        if path.name.startswith("test_")
        and not path.name.endswith("_peers.py")
        and not path.read_text(encoding="utf-8").startswith("# runs on: ")
    ]
    assert not missing, missing


NOTICED = (
    ("protocol/a.py", "import json", "json in protocol/"),
    ("protocol/a.py", "from firmware import relay", "firmware.relay against the arrows"),
    ("protocol/a.py", "from . import tariff", "relative import"),
    ("firmware/a.py", "import host_tools.cli", "host_tools.cli against the arrows"),
    ("firmware/meters/a.py", "import machine", "machine outside boards/"),
    ("firmware/a.py", "from boards.virtual import board", "boards.virtual.board against"),
    ("boards/b/board.py", "from protocol import tariff", "protocol.tariff against the arrows"),
    ("boards/virtual/a.py", "from firmware import main", "firmware.main against the arrows"),
    ("host_tools/store/a.py", "from firmware import main", "firmware.main against the arrows"),
    ("host_tools/simulator/a.py", "from boards.esp32_generic import pins", "against the arrows"),
    ("protocol/a.py", "x = 1.5", "float literal"),
    ("firmware/a.py", "x = float(1)", "float()"),
    ("host_tools/settlement/a.py", "x = 1 / 2", "/ operator"),
    ("host_tools/store/a.py", "x /= 2", "/ operator"),
    ("host_tools/billing/a.py", "x = 1 / 2", "/ operator"),
    ("firmware/a.py", "x = " + "'" + "y" * 95 + "'", "101 columns"),
    ("firmware/a.py", "x = 1\n" * 251, "module of 251 lines, limit 250"),
    ("host_tools/a.py", "x = 1\n" * 401, "module of 401 lines, limit 400"),
    ("tests/a.py", "def f():\n" + "    x = 1\n" * 70, "f has 71 lines"),
    ("boards/b/a.py", "try:\n    x = 1\nexcept:\n    x = 2", "bare except"),
    ("host_tools/a.py", "x = 1  # TO" + "DO later", "TO" + "DO"),
    ("tests/a.py", "import time\ntime.sleep(1)", "time.sleep in a test"),
    ("tests/a.py", "ROOT = '/tm" + "p/a'", "folder of all runs"),
    ("protocol/a.py", "def f(balance): return balance", "balance does not end in ncur"),
    ("protocol/a.py", "R = namedtuple('R', ('price_max', 'seq'))", "price_max does not end in"),
    ("protocol/a.py", "R = namedtuple('R', 'seq energy')", "energy does not end in wh"),
    ("host_tools/a.py", "class A:\n    credit_cur: int", "credit_cur does not end in ncur"),
    ("firmware/a.py", "def f(power_w): return power_w", "power_w does not end in mw"),
)

ALLOWED = (
    ("protocol/a.py", "from protocol.units import const\nimport struct"),
    ("protocol/a.py", "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    import typing"),
    ("firmware/meters/a.py", "from protocol import tariff\nfrom firmware import log"),
    ("boards/esp32_generic/main.py", "from firmware import main"),
    ("boards/virtual/a.py", "from boards.virtual import pty"),
    ("host_tools/simulator/a.py", "from boards.virtual import board\nfrom firmware import relay"),
    ("host_tools/demo.py", "from boards.virtual import board"),
    ("host_tools/demo/a.py", "x = 1 / 2.5"),
    ("protocol/a.py", "x = 7 // 2"),
    ("boards/virtual/a.py", "def f(power, power_mw): return power"),
    (
        "protocol/a.py",
        "def f(balance_ncur, price_ucur_per_kwh, price_table, energy_wh_max): return 1",
    ),
)


@pytest.mark.parametrize(("path", "text", "what"), NOTICED)
def test_a_broken_rule_is_noticed(path: str, text: str, what: str) -> None:
    assert any(what in finding for finding in findings(path, text)), findings(path, text)


@pytest.mark.parametrize(("path", "text"), ALLOWED)
def test_what_the_house_allows_passes(path: str, text: str) -> None:
    assert findings(path, text) == []
