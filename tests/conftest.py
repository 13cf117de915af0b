"""Runs a test file on CPython, on MicroPython, or on both, as its first line asks.

    # runs on: cpython micropython      both: each test_* is one item per interpreter
    # runs on: micropython              only there
    (no such line)                      CPython only, ordinary pytest

A file's MicroPython tests run in one fresh child, started when the first of them is due, with
only the selected names. MICROPYTHON names another interpreter, MICROPYTHON_HEAP its heap, such
as 100k.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests import scratch

ROOT = Path(__file__).resolve().parent.parent
MARK = "# runs on:"
TIMEOUT_S = 300
# The same examples on the same code, so that a red run names its commit; profile "new" looks for
# others.
ANY_PACE = {
    "deadline": None,
    "suppress_health_check": [
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.data_too_large,
    ],
}
hypothesis.settings.register_profile("same", derandomize=True, **ANY_PACE)
hypothesis.settings.register_profile("new", **ANY_PACE)
hypothesis.settings.load_profile("same")
LONGEST = ("system", "bench", "simulator")  # folders with tests of many seconds

# Each result is one line behind a control character, so that a test may print what it likes.
RESULT = "\x1eresult "
CHILD = """
import io, sys
sys.path[:] = [{root!r}, '.frozen']
module = __import__({module!r}, None, None, ('*',))
for name in {names!r}:
    trace = io.StringIO()
    try:
        getattr(module, name)()
    except BaseException as error:
        sys.print_exception(error, trace)
    print('\\n\\x1eresult ' + repr((name, trace.getvalue())))
"""


def interpreters(path: Path) -> list[str]:
    """What the file's first line asks for; empty when it asks for nothing."""
    with path.open(encoding="utf-8") as file:
        first = file.readline()
    return first[len(MARK) :].split() if first.startswith(MARK) else []


def pytest_configure(config: pytest.Config) -> None:
    scratch.root()
    worker = getattr(config, "workerinput", None)
    if worker:
        scratch.below(worker["workerid"])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: else one worker is busy with the last file for minutes, alone."""
    items.sort(key=lambda item: item.path.parent.name not in LONGEST)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix != ".py" or not file_path.name.startswith("test_"):
        return None
    if "micropython" not in interpreters(file_path):
        return None
    return MicroPythonFile.from_parent(parent, path=file_path)


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Collector | None:
    if interpreters(module_path) == ["micropython"]:
        return NotForCPython.from_parent(parent, path=module_path)
    return None


def interpreter() -> str:
    return os.environ.get("MICROPYTHON") or str(Path(sys.executable).parent / "micropython")


class ChildFailure(Exception):
    """A test failed in the child, or the child did; the text says which and how."""


class NotForCPython(pytest.File):
    """Stands in for the ordinary module of a file that only MicroPython can import."""

    def collect(self) -> list[pytest.Item]:
        return []


class MicroPythonFile(pytest.File):
    """The MicroPython side of one test file, and the results of its one child."""

    results: dict[str, str] | None = None

    def collect(self) -> Iterator[pytest.Item]:
        tree = ast.parse(self.path.read_text(encoding="utf-8"))
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
                continue
            if node.args.args or node.decorator_list:
                raise self.CollectError(
                    f"{self.path.name}:{node.lineno}: {node.name} takes arguments or decorators; "
                    "a test that also runs on MicroPython can have neither"
                )
            yield MicroPythonItem.from_parent(
                self, name=f"{node.name}[micropython]", test_name=node.name, line=node.lineno
            )

    def result(self, test_name: str) -> str:
        """Empty when the test passed, else what went wrong."""
        if self.results is None:
            mine = [item for item in self.session.items if item.parent is self]
            names = [item.test_name for item in mine if isinstance(item, MicroPythonItem)]
            self.results = run_child(self.path, names)
        return self.results[test_name]


class MicroPythonItem(pytest.Item):
    def __init__(self, *, test_name: str, line: int, **more: object) -> None:
        super().__init__(**more)  # type: ignore[arg-type]
        self.test_name = test_name
        self.line = line

    def runtest(self) -> None:
        assert isinstance(self.parent, MicroPythonFile)
        trace = self.parent.result(self.test_name)
        if trace:
            raise ChildFailure(trace)

    def repr_failure(self, excinfo, style=None):  # type: ignore[no-untyped-def]
        if isinstance(excinfo.value, ChildFailure):
            return str(excinfo.value)  # the child's own trace, not this collector's
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.line - 1, self.name


def run_child(path: Path, names: list[str]) -> dict[str, str]:
    """Failure text of each name, empty for a pass. A name without a result means a dead child."""
    module = ".".join(path.resolve().relative_to(ROOT).with_suffix("").parts)
    script = CHILD.format(root=str(ROOT), module=module, names=names)
    heap = os.environ.get("MICROPYTHON_HEAP", "8m")
    command = [interpreter(), "-X", f"heapsize={heap}", "-c", script]
    try:
        child = subprocess.run(
            command, cwd=ROOT, capture_output=True, timeout=TIMEOUT_S, check=False
        )
        ending = f"the child ended with status {child.returncode}"
        out, err = child.stdout, child.stderr
    except FileNotFoundError:
        ending, out, err = f"no MicroPython at {command[0]}; set MICROPYTHON", b"", b""
    except subprocess.TimeoutExpired as error:
        ending = f"no result within {TIMEOUT_S} s"
        out, err = error.stdout or b"", error.stderr or b""
    return told(names, out.decode(errors="replace"), err.decode(errors="replace"), ending)


def told(names: list[str], out: str, err: str, ending: str) -> dict[str, str]:
    """Results as the child printed them; the first name without one takes the blame."""
    results: dict[str, str] = {}
    rest = []
    for line in out.split("\n"):  # splitlines() would also split on \x1e
        if line.startswith(RESULT):
            name, trace = ast.literal_eval(line.removeprefix(RESULT))
            results[name] = trace
        elif line:
            rest.append(line)
    culprit = ""
    for name in names:
        if name in results:
            continue
        if culprit:
            results[name] = f"not run: the MicroPython child died in {culprit}"
            continue
        culprit = name
        said = "\n".join([*rest[-20:], err.strip()]).strip()
        results[name] = f"MicroPython child died before a result: {ending}\n{said}"
    return results
