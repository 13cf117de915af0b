"""The browser flasher: its manifest names what is there, and a real browser shows the page."""

import functools
import http.server
import json
import shutil
import subprocess
import threading

import pytest

from host_tools import cli
from host_tools.flashing import plan, web_page
from tests.bench import flash_proof
from tests.host_tools.genuine import HANG_S

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture
def page(tmp_path):
    """The folder that `gridpurse image` makes for a web server."""
    image, sha256 = flash_proof.image_file(tmp_path)
    words = ["image", "--board", "esp32_generic", "--out", str(tmp_path / "out")]
    assert cli.main([*words, "--micropython", str(image), "--sha256", sha256]) == 0
    return tmp_path / "out" / "web"


def test_the_manifest_has_all_but_the_ledger(page):
    manifest = json.loads((page / "manifest.json").read_text(encoding="utf-8"))
    (build,) = manifest["builds"]
    rows = plan.board("esp32_generic").rows
    assert build["chipFamily"] == "ESP32" and manifest["new_install_prompt_erase"] is True
    spans = []
    for part in build["parts"]:
        size = (page / part["path"]).stat().st_size
        spans.append((part["offset"], part["offset"] + size))
    starts = [start for start, _ in spans]
    assert starts == [0x1000, 0x8000, rows["factory"].offset, rows["vfs"].offset]
    ledger = rows["journal"]
    assert all(
        end <= ledger.offset or start >= ledger.offset + ledger.size for start, end in spans
    )
    assert all(end <= after for (_, end), (after, _) in zip(spans, spans[1:], strict=False))


def test_a_page_without_micropython_says_so(tmp_path):
    words = ["image", "--board", "esp32_s3", "--out", str(tmp_path)]
    assert cli.main(words) == 0
    text = (tmp_path / "web" / "index.html").read_text(encoding="utf-8")
    assert "MicroPython is not among the parts" in text and "ESP32-S3" in text


def test_another_package_than_the_pinned_one_is_refused(tmp_path, capsys):
    package = tmp_path / "esp-web-tools-10.4.0.tgz"
    package.write_bytes(b"anything")
    words = ["image", "--board", "esp32_generic", "--out", str(tmp_path)]
    assert cli.main([*words, "--web-tools", str(package)]) == 2
    assert "npm pack esp-web-tools@10.4.0" in capsys.readouterr().err
    assert len(web_page.TOOLS_SHA512) == 128


class Server(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        self.server.asked.append(self.path)


def shown(page, profile):
    """(what a browser makes of the page, what it asked our server for)."""
    handler = functools.partial(Server, directory=str(page))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        done = subprocess.run(
            [
                *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
                *(f"--user-data-dir={profile}", "--virtual-time-budget=5000"),
                f"http://127.0.0.1:{server.server_address[1]}/",
            ],
            capture_output=True,
            text=True,
            timeout=HANG_S,
            check=True,
        )
        server.shutdown()
        thread.join()
    return done.stdout, server.asked


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
def test_a_browser_shows_the_button_only_with_the_tools(page, tmp_path):
    dom, _ = shown(page, tmp_path / "profile")
    assert 'id="no-tools" class="warn">' in dom and 'id="flasher" hidden' in dom
    assert "仅用于新模块" in dom
    tools = page / web_page.TOOLS
    tools.mkdir()
    (tools / "install-button.js").write_text("export {};", encoding="utf-8")
    dom, asked = shown(page, tmp_path / "profile")
    assert 'id="flasher">' in dom and 'id="no-tools" class="warn" hidden' in dom
    assert any(path == "/esp-web-tools/install-button.js" for path in map(str, asked) if path)


def test_the_page_loads_nothing_from_elsewhere(page):
    for name in ("index.html", "page.js"):
        text = (page / name).read_text(encoding="utf-8")
        assert "http://" not in text and "https://" not in text and "//cdn" not in text
    assert "default-src 'self'" in (page / "index.html").read_text(encoding="utf-8")
