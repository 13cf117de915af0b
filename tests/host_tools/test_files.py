"""Files written whole or not at all, and files of ours alone."""

import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from host_tools.broker import free_port
from host_tools.config import read_settings
from host_tools.files import lock_file, write_lines
from host_tools.operations import checks_machine
from host_tools.operations.finding import OK
from host_tools.setup import prepared
from host_tools.simulate import TIME_FILE, only_one
from host_tools.simulator.virtual_time import VirtualTime
from host_tools.store.database import open_store


@pytest.mark.parametrize("end", [KeyboardInterrupt, KeyError])
def test_an_export_that_is_interrupted_leaves_nothing_behind(
    tmp_path: Path, end: type[BaseException]
) -> None:
    path = tmp_path / "k.csv"
    path.write_text("before")

    def lines() -> Iterator[str]:
        yield "a line\n"
        raise end

    with pytest.raises(end):
        write_lines(path, lines())
    assert [each.name for each in tmp_path.iterdir()] == ["k.csv"]
    assert path.read_text() == "before"


def test_a_lock_is_ours_alone_also_where_it_was_not(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    for _ in range(2):
        lock_file(path).close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.chmod(0o644)


def test_the_folder_of_a_simulation_is_to_the_doctors_liking(tmp_path: Path) -> None:
    data = tmp_path / "t"
    list(prepared(data, free_port(), [0]))
    settings = read_settings(data / "gridpurse.toml", {})
    with (
        only_one(settings.data_dir),
        closing(VirtualTime(0, 1, settings.data_dir / TIME_FILE)),
        closing(open_store(data)),
    ):
        assert checks_machine.folder(settings.data_dir).level == OK
