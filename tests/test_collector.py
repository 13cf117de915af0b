"""The collector of conftest.py in a scratch pytest: what it reports when a child goes wrong."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).with_name("conftest.py").read_text()
BOTH = "# runs on: cpython micropython\n"
ONLY = "# runs on: micropython\n"


@pytest.fixture
def scratch(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # hypothesis takes a second a run
    pytester.makeconftest(CONFTEST)
    return pytester


def test_each_test_runs_once_on_each_interpreter(scratch: pytest.Pytester) -> None:
    scratch.makepyfile(test_a=BOTH + "def test_one(): pass\ndef test_two(): pass\n")
    scratch.runpytest().assert_outcomes(passed=4)


def test_a_file_for_micropython_is_never_imported_here(scratch: pytest.Pytester) -> None:
    scratch.makepyfile(test_a=ONLY + "import micropython\ndef test_one(): pass\n")
    scratch.runpytest().assert_outcomes(passed=1)


def test_only_the_selected_names_run(scratch: pytest.Pytester) -> None:
    scratch.makepyfile(test_a=BOTH + "def test_one(): pass\ndef test_two(): assert False\n")
    scratch.runpytest("-k", "one and micropython").assert_outcomes(passed=1, deselected=3)
    scratch.runpytest("test_a.py::test_one").assert_outcomes(passed=2)


def test_a_failure_shows_the_childs_own_trace(scratch: pytest.Pytester) -> None:
    scratch.makepyfile(test_a=ONLY + "def test_one():\n    print('\\x1e')\n    assert 1 == 2\n")
    result = scratch.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*test_a.py*line 4, in test_one*", "AssertionError*"])


def test_a_file_that_cannot_be_imported_fails_with_its_reason(scratch: pytest.Pytester) -> None:
    scratch.makepyfile(test_a=ONLY + "import nowhere\ndef test_one(): pass\n")
    result = scratch.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ended with status 1*", "*no module named 'nowhere'*"])


def test_a_dead_child_blames_the_test_that_killed_it(scratch: pytest.Pytester) -> None:
    kill = "    import os, sys\n    print('last words')\n    os.system('kill -9 $PPID')\n"
    scratch.makepyfile(
        test_a=f"{ONLY}def test_one(): pass\ndef test_two():\n{kill}def test_three(): pass\n"
    )
    result = scratch.runpytest()
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        ["*ended with status -9*", "*not run: the MicroPython child died in test_two*"]
    )


def test_a_hanging_child_is_ended(scratch: pytest.Pytester) -> None:
    scratch.makeconftest(CONFTEST.replace("TIMEOUT_S = 300", "TIMEOUT_S = 1"))
    scratch.makepyfile(test_a=ONLY + "def test_one():\n    while True: pass\n")
    result = scratch.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no result within 1 s*"])


def test_arguments_are_refused_at_collection(scratch: pytest.Pytester) -> None:
    scratch.makepyfile(test_a=ONLY + "def test_one(tmp_path): pass\n")
    result = scratch.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*takes arguments or decorators*"])


def test_a_missing_interpreter_is_named(
    scratch: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICROPYTHON", "/nowhere/micropython")
    scratch.makepyfile(test_a=ONLY + "def test_one(): pass\n")
    result = scratch.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no MicroPython at /nowhere/micropython; set MICROPYTHON*"])
