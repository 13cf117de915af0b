"""The search for keys finds one wherever it is planted, in each of its forms."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from host_tools.flashing import label
from host_tools.keys import KEYS_FOLDER, KeyFiles
from tests.bench.key_watch import KeyWatch, forms


@pytest.mark.parametrize("form", range(6))
def test_a_planted_key_is_found_in_a_file(tmp_path: Path, form: int) -> None:
    key = KeyFiles(tmp_path / "data" / KEYS_FOLDER).create("m1").reveal()
    watch = KeyWatch(tmp_path)
    assert watch.leaks() == [] and len(watch.keys()) == 1
    (tmp_path / "some.log").write_bytes(b"x" + forms(key)[form] + b"y")
    assert [leak.split(" in ")[1] for leak in watch.leaks()] == [str(tmp_path / "some.log")]


def test_a_key_on_a_command_line_is_found(tmp_path: Path) -> None:
    key = KeyFiles(tmp_path / "data" / KEYS_FOLDER).create("m1").reveal()
    program = "import sys; sys.stdin.read()"
    with KeyWatch(tmp_path) as watch:
        command = [sys.executable, "-c", program, key.hex()]
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, env={**os.environ, "K": key.hex()}
        )
        while not any(key.hex().encode() in seen for seen in set(watch._seen)):
            assert child.poll() is None
        child.communicate()
    assert any("process" in leak for leak in watch.leaks())


@pytest.mark.parametrize("form", (label.SVG, label.PNG, label.PAGE))
def test_a_key_in_the_code_on_a_label_is_found(tmp_path: Path, form: str) -> None:
    key = KeyFiles(tmp_path / "data" / KEYS_FOLDER).create("m1").reveal()
    watch, out = KeyWatch(tmp_path), tmp_path / "labels"
    out.mkdir()
    label.written([label.Label("m1", "4T7K-9PQ2-XM5D")], form, out)
    assert watch.leaks() == []
    (path,) = label.written([label.Label("m1", key.hex())], form, out)
    assert f"code on {path}" in " ".join(watch.leaks())
