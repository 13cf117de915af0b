"""Modules that are loaded together become one file that does the same."""

import subprocess
from textwrap import dedent

import pytest

from host_tools.flashing.folding import fold
from tests.conftest import interpreter

MAIN = """
import leaf
from middle import twice
from leaf import Box, seed as sown
def run():
    value = twice(leaf.grow(2))
    return value, Box(sown).value, leaf.count
"""
LEAF = """
import sys
count = [3]
seed = "s"
class Box:
    def __init__(self, value):
        self.value = value
def grow(run):
    seed = 5  # its own
    return run * seed + len(count)
"""
MIDDLE = """
import sys
import leaf
def twice(value):
    return leaf.grow(value) * 2 + helped()
def helped():
    from late import half
    return half(4)
"""
LATE = """
import leaf
from leaf import grow as more
def half(value):
    if value < 0:
        from leaf import Box
    leaf_ = leaf.count
    return more(value) // 2 + len(leaf_) + leaf.grow(1)
"""
ASKED = "import main; print(main.run())"


def joined(roots=(("main",),), **changed):
    """What the four modules become, and what the program prints."""
    texts = {"main": MAIN, "leaf": LEAF, "middle": MIDDLE, "late": LATE, **changed}
    sources = {f"{name}.py": dedent(text) for name, text in texts.items()}
    return sources, fold(sources, ("main",), (), {}, roots)


def printed(folder, sources):
    folder.mkdir()
    for name, text in sources.items():
        (folder / name).write_text(text)
    command = [interpreter(), "-c", ASKED]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_what_a_root_loads_is_in_its_file_and_does_the_same(tmp_path):
    before, after = joined()
    assert set(after) == {"main.py", "late.py"}
    assert after["main.py"].count("import") == 2  # sys, and late when it is needed
    assert printed(tmp_path / "after", after) == printed(tmp_path / "before", before)


def test_names_that_two_modules_define_are_told_apart(tmp_path):
    other = MIDDLE + "\nseed = [1]\ndef run():\n    return seed\nprint(run(), leaf.seed)\n"
    before, after = joined(middle=other)
    assert set(after) == {"main.py", "late.py"}
    assert printed(tmp_path / "after", after) == printed(tmp_path / "before", before)


# What another module does, so that leaf must stay a module of its own.
APART = {
    "looked at": "import leaf\nprint(leaf)\n",
    "handed on": "import leaf\ndef f(g):\n    return g(leaf)\nprint(f(str)[:2])\n",
    "set from outside": "import leaf\ndef f():\n    leaf.seed = 1\nf()\n",
}


@pytest.mark.parametrize("case", APART)
def test_a_module_that_is_used_as_an_object_stays_apart(tmp_path, case):
    before, after = joined(late=LATE + APART[case])
    assert "leaf.py" in after and "middle.py" not in after
    assert "grow" in after["leaf.py"]
    assert printed(tmp_path / "after", after)[:3] == printed(tmp_path / "before", before)[:3]


def test_what_stays_apart_is_found_where_a_function_has_its_name(tmp_path):
    middle = MIDDLE + "\ndef other(leaf):\n    return leaf\nprint(other(2), leaf.seed)\n"
    before, after = joined(middle=middle, late=LATE + APART["handed on"])
    assert "leaf.py" in after and "middle.py" not in after
    assert printed(tmp_path / "after", after)[:3] == printed(tmp_path / "before", before)[:3]


def test_what_others_import_too_joins_only_the_first_root(tmp_path):
    before, after = joined(roots=(("late",), ("middle",)))
    assert set(after) == {"main.py", "late.py", "middle.py"}  # leaf is in late, loaded first
    before, after = joined(roots=(("main", "leaf"), ("middle",)))
    assert set(after) == {"main.py", "leaf.py", "late.py"}  # what leaf loads would join main
    assert printed(tmp_path / "after", after) == printed(tmp_path / "before", before)


def test_errors_keep_the_names_that_people_are_told(tmp_path):
    leaf = LEAF + "\nclass TornError(Exception):\n    pass\n"
    main = MAIN + "\nfrom leaf import TornError\ntry:\n    raise TornError\n"
    main += "except TornError as error:\n    print(repr(error))\n"
    middle = MIDDLE + "\nTornError = 0\nprint(TornError)\n"
    before, after = joined(leaf=leaf, main=main, middle=middle)
    assert "class TornError" in after["main.py"]
    assert printed(tmp_path / "after", after) == printed(tmp_path / "before", before)


def test_a_library_under_a_name_that_another_module_defines(tmp_path):
    middle = (
        MIDDLE + "\nfrom sys import byteorder as seed\nimport gc\nprint(seed, gc.isenabled())\n"
    )
    leaf = LEAF + "\ndef other(gc):\n    import os\n    return gc, os.sep\nprint(other(1), seed)\n"
    before, after = joined(middle=middle, leaf=leaf)
    assert set(after) == {"main.py", "late.py"}
    assert printed(tmp_path / "after", after) == printed(tmp_path / "before", before)


def test_a_global_of_a_module_is_still_one_variable(tmp_path):
    middle = (
        MIDDLE + "\nstate = 0\ndef count():\n    global state\n    state += 1\n    return state\n"
    )
    main = MAIN + "\nimport middle\nstate = 10\nprint(middle.count(), middle.count(), state)\n"
    before, after = joined(middle=middle, main=main)
    assert printed(tmp_path / "after", after) == printed(tmp_path / "before", before)
