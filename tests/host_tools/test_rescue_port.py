"""A dead module is read out at its boot loader, and nothing secret gets out of it."""

import logging
import tempfile

from host_tools import cli
from host_tools.lab.mock_chip import MockChip
from host_tools.rescue import dump, speaking
from tests.bench import key_watch
from tests.host_tools.dead_module import MODULE, PASSWORD, Scene


def test_no_secret_of_the_flash_is_shown_logged_or_left(
    desk, capsys, caplog, tmp_path, monkeypatch
):
    scene = Scene(desk)
    left = tmp_path / "temporary"
    left.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(left))
    caplog.set_level(logging.DEBUG)
    logging.getLogger("littlefs").setLevel(logging.INFO)  # it says what the test itself writes
    scene.quarters(45)
    with MockChip() as chip:
        chip.flash[:] = scene.flash()
        assert cli.main(scene.words(MODULE, "--port", chip.port)) == 0
        assert not list(left.glob("gridpurse-flash-*")) and not list(left.glob("*rescue*"))
    out = capsys.readouterr()
    assert "as in its journal 与模块日志一致" in out.out
    found = dump.of_file(scene.image())
    remains = speaking.Remains(found, left)
    said = "".join([out.out, out.err, caplog.text, repr(found), repr(remains)]).encode()
    files = b"".join(path.read_bytes() for path in left.rglob("*") if path.is_file())
    for secret in (*key_watch.forms(scene.key.reveal()), PASSWORD.encode()):
        assert secret not in said and secret not in files
    assert scene.state() == scene.firmware.points[0].state
    scene.store.close()
