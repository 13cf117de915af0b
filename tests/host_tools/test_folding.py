"""What the build makes of device code does the same with less."""

import ast
import subprocess
from pathlib import Path
from textwrap import dedent

import pytest

from host_tools.flashing import device_code, parameters
from host_tools.flashing.folding import fold
from tests.conftest import RESULT, ROOT, interpreter, interpreters

UNITS = """
try:
    from micropython import const
except ImportError:
    def const(value):
        return value
DONE = const(7)
LATE = const(DONE + (1 << 4))
LOW, HIGH = 0, -3
NAME = const("name")
PAIR = (DONE, 2)
"""


def folded(main, units=UNITS):
    """What becomes of main.py, from which nothing may be dropped, and of units.py."""
    out = fold({"main.py": dedent(main), "units.py": dedent(units)}, kept=("main",))
    return out["main.py"], out.get("units.py", "")


def same(text, expected):
    return ast.unparse(ast.parse(text)) == ast.unparse(ast.parse(dedent(expected)))


def test_numbers_are_written_where_they_are_used_and_their_module_is_gone():
    main, units = folded(
        """
        import units
        from units import DONE, LATE as L, HIGH
        def judge(x, y=DONE):
            return units.DONE if x else -L * y - HIGH
        """,
        UNITS.replace('NAME = const("name")\n', ""),
    )
    assert same(main, "def judge(x, y=7):\n    return 7 if x else -23 * y - -3")
    assert units == ""


def test_what_is_no_number_stays_a_name():
    main, units = folded(
        """
        from units import NAME, PAIR
        def all():
            return NAME, PAIR
        """
    )
    assert same(main, "from units import NAME, PAIR\ndef all():\n    return (NAME, PAIR)")
    assert same(units, "NAME = 'name'\nPAIR = (7, 2)")


# What main.py says, and what of it must be left as it is.
LEFT_ALONE = {
    "bound twice": ("A = 1\nA = 2\ndef f():\n    return A\n", "return A"),
    "bound in a branch": ("if f:\n    A = 1\ndef f():\n    return A\n", "return A"),
    "counted up": ("A = 1\nA += 1\ndef f():\n    return A\n", "return A"),
    "a global": ("A = 1\ndef f():\n    global A\n    A = 2\n    return A\n", "return A"),
    "an argument": ("from units import DONE\ndef f(DONE):\n    return DONE\n", "return DONE"),
    "a local": (
        "from units import DONE\ndef f():\n    DONE = f()\n    return DONE\n",
        "return DONE",
    ),
    "a loop": (
        "from units import DONE\ndef f():\n    return [DONE for DONE in f()]\n",
        "[DONE for",
    ),
    "a local module": ("import units\ndef f(units):\n    return units.DONE\n", "units.DONE"),
    "an attribute set": (
        "import units\nunits.DONE = 2\ndef f():\n    return units.DONE\n",
        "return u",
    ),
    "a closure": (
        "A = 1\ndef f(A):\n    def g():\n        return A\n    return g\n",
        "return A",
    ),
    "a lambda": ("A = 1\nf = lambda A: A + 1\n", "lambda A: A + 1"),
    "an exception": ("A = 1\ntry:\n    f()\nexcept E as A:\n    print(A)\n", "print(A)"),
    "a class attribute": (
        "class C:\n    A = 1\n    def f(self):\n        return self.A\n",
        "self.A",
    ),
    "in its class": ("A = 1\nclass C:\n    A = f()\n    B = A\n", "B = A"),
    "another module": ("import time\ndef f():\n    return time.DONE\n", "time.DONE"),
    "no such number": ("import units\ndef f():\n    return units.DONNE\n", "units.DONNE"),
    "a division": ("A = 1\ndef f():\n    return 1 // (A - 1)\n", "1 // 0"),
}


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_what_may_vary_is_not_folded(case):
    text, left = LEFT_ALONE[case]
    assert left in folded(text)[0]


def test_around_a_shadow_the_number_is_still_known():
    main, _ = folded(
        """
        A = 5
        class C:
            A = 6
            def f(self, y=A):
                return A
        def g(x=A):
            def A(): pass
            return A
        """
    )
    assert "def f(self, y=A):\n        return 5" in main  # y is 6: the class body sees its own
    assert "def g(x=5)" in main and "return A" in main


def test_type_checking_and_annotations_are_gone_and_the_other_branch_is_not():
    main, _ = folded(
        """
        import units
        TYPE_CHECKING = False
        if TYPE_CHECKING:
            from typing import Any
        else:
            import gc
        x: "Any" = 1
        def f(a: "Any", *b: int) -> "Any":
            if TYPE_CHECKING:
                import typing
            c: int
            d: int = a
            return gc
        """
    )
    assert same(
        main,
        """
        import units
        import gc
        x = 1
        def f(a, *b):
            c: int
            d = a
            return gc
        """,
    )


def test_what_nothing_uses_is_dropped_and_what_a_string_may_mean_is_not():
    main, units = folded(
        """
        import units
        def f(name):
            from units import LOW
            units.used(LOW)
            return getattr(units, name)("by_name").by_attribute
        """,
        """
        from collections import namedtuple
        import errno
        import struct
        LOW = 0
        Shape = namedtuple("Shape", "a b")
        def used(x):
            return inner(x)
        def inner(x):
            return struct.pack("B", x)
        def unused(x):
            return only_unused(x, errno.EIO)
        def only_unused(x, y):
            return Shape(x, y)
        def by_name(): pass
        def by_attribute(): pass
        @register
        def decorated(): pass
        state = make()
        """,
    )
    assert "LOW" not in main and "units.used(0)" in main
    for name in ("used", "inner", "by_name", "by_attribute", "decorated"):
        assert f"def {name}(" in units
    assert "state = make()" in units and "import struct" in units
    for name in ("unused", "namedtuple", "Shape", "LOW", "errno"):
        assert name not in units


def test_two_assignments_in_one_line_still_make_no_tuple():
    line = "    a[0], (b), c.d = f((1, 2)), (3), 'x'"
    main, _ = folded(f"def f(a, b, c):\n{line}\n")
    assert "a[0], b, c.d = f((1, 2)), 3, 'x'" in main


def test_an_import_for_its_effect_stays():
    main, _ = folded("import units\nfrom boards import board, clock\nboard.run()\n")
    assert "import units" in main and "import board, clock" in main


def test_parameters_that_no_call_names_share_their_names():
    tree = ast.parse(
        dedent(
            """
            class C:
                def method(self, first, named=1, *rest):
                    def inner(second, third=first):
                        return [first for each in second], third
                    return inner
            def closes(over, shadowed):
                return lambda shadowed: over + shadowed
            def catches(error):
                try:
                    pass
                except E as error:
                    pass
            def by_string(text):
                return closes(named=text)
            """
        )
    )
    named = parameters.keywords([tree, ast.parse("f('text')")])
    parameters.share(tree, named)
    assert same(
        ast.unparse(tree),
        """
        class C:
            def method(_0, _1, named=1, *rest):
                def inner(_3, _4=_1):
                    return [_1 for each in _3], _4
                return inner
        def closes(_0, shadowed):
            return lambda _2: _0 + _2
        def catches(error):
            try:
                pass
            except E as error:
                pass
        def by_string(text):
            return closes(named=text)
        """,
    )


def test_no_number_of_ours_is_left_on_a_module():
    for path, text in fold(device_code.sources(), device_code.KEPT).items():
        if "/lib/" in path or path.endswith("/pins.py"):  # asked by hand, or handed over whole
            continue
        for node in ast.parse(text).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                assert type(node.value.value) is not int, f"{path}: {ast.unparse(node)}"


def shortened(**sources):
    short = {}
    texts = {f"{name}.py": dedent(text) for name, text in sources.items()}
    return fold(texts, ("main",), tuple(sources), short), short


def test_what_nothing_has_both_of_shares_a_name():
    out, short = shortened(
        main="""
        from collections import namedtuple
        from store import Ledger, opened
        Entry = namedtuple("Entry", "number amount")
        class Bill:
            def __init__(self):
                self.total = opened(Ledger()).balance
                self.entry = Entry(1, 2).amount
        """,
        store="""
        class Ledger:
            def __init__(self):
                self.balance = 0
        def opened(ledger):
            opened = ledger
            return opened
        """,
    )
    assert short["Ledger"] != short["opened"]  # one module has both
    assert short["total"] != short["entry"] and short["number"] != short["amount"]
    assert short["balance"] in (short["total"], short["entry"])
    assert f"{short['opened']}({short['Ledger']}()).{short['balance']}" in out["main.py"]
    assert f"'{short['number']} {short['amount']}'" in out["main.py"]
    assert "opened = _0" in out["store.py"]  # a function's own costs nothing


# Names that must stay in what is otherwise shortened: whose they are cannot be told.
NAMES_KEPT = {
    "looked up": (
        "class C:\n    def by_text(self): pass\nprint(getattr(C(), 'by_text'))\n",
        "by_text",
    ),
    "looked up by a text from elsewhere": (
        "class C:\n    def by_text(self): pass\nfor n in ('by_text',): print(getattr(C(), n))\n",
        "by_text",
    ),
    "a keyword": (
        "class C:\n    def __init__(self, wide):\n        self.wide = wide\nC(wide=1)\n",
        "wide",
    ),
    "set from outside, of two": (
        "class C:\n    def __init__(self):\n        self.hook = 0\n"
        "class D:\n    def __init__(self):\n        self.hook = 0\nc = C()\nc.hook = 1\n",
        "hook",
    ),
    "set from outside only": ("class C:\n    pass\nc = C()\nc.hook = 1\n", "hook"),
    "of an object that a library made ours": (
        "import io\nclass C(io.IOBase):\n    def hook(self): pass\n",
        "hook",
    ),
    "an error told to people": ("class Torn(Exception):\n    pass\nraise Torn\n", "Torn"),
    "a library's": ("import lib\nclass C:\n    def post(self): lib.post()\n", "post"),
    "of an object of the interpreter": ("class C:\n    def readline(self): pass\n", "readline"),
    "kept for somebody outside": ("def asked(): pass\n", "asked"),
}


@pytest.mark.parametrize("case", NAMES_KEPT)
def test_a_name_that_somebody_else_may_use_stays(case):
    text, name = NAMES_KEPT[case]
    out, short = shortened(main=text)
    assert name not in short and name in out["main.py"]


def test_relatives_share_no_name():
    _, short = shortened(
        main="""
        class Base:
            def __init__(self):
                self.base_only = 1
        class Child(Base):
            def __init__(self):
                self.child_only = 2
        """
    )
    assert short["base_only"] != short["child_only"]


FOREIGN = """
import asyncio, io, re, select, socket, sys
modules = "array asyncio.core asyncio.event asyncio.funcs asyncio.lock asyncio.stream binascii"
modules += " builtins collections deflate errno gc hashlib io json micropython os platform random"
found = set()
for name in modules.split() + "re select socket ssl struct sys time tls uctypes vfs".split():
    module = __import__(name, None, None, ("*",))
    for each in dir(module):
        found.add(each)
        found.update(dir(getattr(module, each)))
objects = [socket.socket(), select.poll(), io.BytesIO(), io.StringIO(), re.compile("a")]
objects += [asyncio.Event(), asyncio.Lock(), asyncio.StreamReader(None), Exception(), "", b"", 1]
for each in objects + [{}, [], set(), (), bytearray(), memoryview(b""), sys.implementation]:
    found.update(dir(each))
print(found)
"""


def test_no_name_of_the_interpreters_objects_is_given_away():
    short = {}
    fold(device_code.sources(), device_code.KEPT, device_code.PACKAGES, short, device_code.ROOTS)
    command = [interpreter(), "-c", FOREIGN]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert len(short) > 500
    assert set(short) & ast.literal_eval(out) == set()


# The device's own tests, against the .mpy files that a module gets.

DEVICE_TESTS = ("tests/firmware", "tests/protocol")
CHILD = """
import io, sys
sys.path[:] = [{root!r}, '.frozen']
for name, tests in {files!r}:
    module = __import__(name, None, None, ('*',))
    for test in tests:
        trace = io.StringIO()
        try:
            getattr(module, test)()
        except BaseException as error:
            sys.print_exception(error, trace)
        print('\\n\\x1eresult ' + repr((name + '.' + test, trace.getvalue())))
    for loaded in list(sys.modules):
        if loaded.split('.')[0] in ('tests', 'firmware', 'protocol', 'boards'):
            del sys.modules[loaded]
"""


def imported(path: Path) -> set[Path]:
    """A test file and the files of tests/ that it imports."""
    found = {path}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests"):
            for alias in node.names:
                name = f"{node.module}.{alias.name}".replace(".", "/")
                for each in (ROOT / f"{name}.py", ROOT / f"{Path(name).parent}.py"):
                    if each.exists() and each not in found:
                        found |= imported(each)
    return found


def test_device_tests_pass_on_the_files_a_module_gets(tmp_path):
    files, used = [], set()
    for folder in DEVICE_TESTS:
        for path in sorted((ROOT / folder).glob("test_*.py")):
            if "micropython" in interpreters(path):
                body = ast.parse(path.read_text()).body
                names = [getattr(node, "name", "") for node in body]
                dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                files.append((dotted, [name for name in names if name.startswith("test_")]))
                used |= imported(path)
    texts = {path.relative_to(ROOT).as_posix(): path.read_text() for path in sorted(used)}
    kept = (*device_code.KEPT, "tests")
    made = fold(
        {**device_code.sources(), **texts},
        kept,
        (*device_code.PACKAGES, "tests"),
        {},
        device_code.ROOTS,
    )
    for name, text in made.items():
        level = 0 if name.startswith("tests/") else 3  # only a test's own assertions count
        target = tmp_path / f"{name.removesuffix('.py')}.mpy"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(device_code.compile_text(text, name, level=level))
    (tmp_path / "protocol" / "vectors").symlink_to(ROOT / "protocol" / "vectors")
    script = tmp_path / "child.py"
    script.write_text(CHILD.format(root=str(tmp_path), files=files))
    child = subprocess.run(
        [interpreter(), "-X", "heapsize=8m", str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    lines = [line for line in child.stdout.split("\n") if line.startswith(RESULT)]
    results = dict(ast.literal_eval(line.removeprefix(RESULT)) for line in lines)
    assert {name: trace for name, trace in results.items() if trace} == {}
    assert len(results) == sum(len(names) for _, names in files), child.stderr
