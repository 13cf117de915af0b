"""The browser flasher: a folder of static files for any web server, for new modules only.

manifest.json is ESP Web Tools' (https://esphome.github.io/esp-web-tools/), which writes the parts
through Web Serial. The ledger's partition is no part: a browser cannot see whether money is in it.
Nothing is loaded from elsewhere; the tools are put in from a package that is checked first.
"""

import hashlib
import html
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from host_tools import Refused

TOOLS = "esp-web-tools"
TOOLS_VERSION = "10.4.0"
# npm view esp-web-tools@10.4.0 dist.integrity, in hexadecimal
TOOLS_SHA512 = (
    "de9c24785166e458fb510a3c4893582b9457aed342a6ae97f50a08e9b313e060"
    "595a0ac9aa39f462f33d8a11bbe01b4ca121585df983b647a1bb17b9d0f4cc3d"
)
TOOLS_FOLDER = "package/dist/web/"
TOOLS_LICENSE = "package/LICENSE"
TOOLS_BYTES_MAX = 8_000_000
FAMILIES = {"esp32": "ESP32", "esp32s3": "ESP32-S3"}


def page_files(
    board: str, chip: str, version: str, parts: Mapping[str, tuple[int, bytes]], whole: bool
) -> dict[str, bytes]:
    """manifest.json, index.html and the parts. `parts`: file name -> (offset, content); `whole`
    when MicroPython is among them."""
    manifest = {
        "name": f"Gridpurse {board}",
        "version": version,
        "new_install_prompt_erase": True,  # without it the tools erase everything unasked
        "builds": [
            {
                "chipFamily": FAMILIES[chip],
                "parts": [{"path": name, "offset": offset} for name, (offset, _) in parts.items()],
            }
        ],
    }
    files = {name: content for name, (_, content) in parts.items()}
    files["manifest.json"] = (json.dumps(manifest, indent=1) + "\n").encode()
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>0x{offset:06x}</td><td>{len(content)}</td>"
        f"<td><code>{hashlib.sha256(content).hexdigest()}</code></td></tr>\n"
        for name, (offset, content) in parts.items()
    )
    lacking = "" if whole else LACKING
    page = PAGE.format(
        board=html.escape(board),
        family=FAMILIES[chip],
        version=html.escape(version),
        rows=rows,
        lacking=lacking,
        tools=f"{TOOLS}@{TOOLS_VERSION}",
        folder=TOOLS,
    )
    files["index.html"] = page.encode()
    files["page.js"] = SCRIPT.encode()
    return files


def tool_files(package: Path) -> dict[str, bytes]:
    """What the page needs of `npm pack esp-web-tools`; Refused for any other package."""
    try:
        content = package.read_bytes()
    except OSError as error:
        raise Refused(f"{package}: {error.strerror}; npm pack {TOOLS}@{TOOLS_VERSION}") from error
    if hashlib.sha512(content).hexdigest() != TOOLS_SHA512:
        raise Refused(
            f"{package}: is not {TOOLS} {TOOLS_VERSION} as npm has it; "
            f"npm pack {TOOLS}@{TOOLS_VERSION}  软件包校验不符"
        )
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        for member in archive:
            inside = member.name.removeprefix(TOOLS_FOLDER)
            wanted = inside != member.name and "/" not in inside
            if member.isfile() and (wanted or member.name == TOOLS_LICENSE):
                file = archive.extractfile(member)
                if file is not None and member.size <= TOOLS_BYTES_MAX:
                    name = inside if wanted else "LICENSE"
                    found[f"{TOOLS}/{name}"] = file.read()
    return found


LACKING = (
    '<p class="warn">MicroPython is not among the parts: it must be on the module already, or make'
    " this page with <code>gridpurse image --micropython</code>.<br>本页不含 MicroPython，"
    "须先写入，或用 <code>--micropython</code> 重新生成。</p>"
)

# Shows the button when the tools are there and says what to do when they are not.
SCRIPT = """const show = (id) => { document.getElementById(id).hidden = false; };
if (!("serial" in navigator)) show("no-serial");
import("./esp-web-tools/install-button.js").then(() => show("flasher"), () => show("no-tools"));
"""

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:">
<title>Gridpurse {board}</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem }}
.warn {{ border-left: 6px solid #c00; background: #fee; padding: .6rem 1rem }}
td, th {{ text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top }}
code {{ overflow-wrap: anywhere }}
</style>
<h1>Gridpurse {version}, {board}</h1>
<p class="warn"><b>New modules only.</b> A module in service loses its settings and its key here;
if the tools ask whether to erase the device and you agree, it loses its ledger, which is money.
Use <code>gridpurse flash</code> there.<br>
<b>仅用于新模块。</b>在用模块会丢失参数与密钥；若同意整片擦除，账本（余额）也会丢失。在用模块请用
<code>gridpurse flash</code>。</p>
{lacking}
<div id="flasher" hidden>
<p>Disconnect the mains side. Connect the module by USB. 断开市电侧，用 USB 连接模块。</p>
<esp-web-install-button manifest="manifest.json">
<button slot="activate">Flash 写入</button>
<span slot="unsupported">This browser has no Web Serial. 此浏览器不支持 Web Serial。</span>
<span slot="not-allowed">Open this page over https or localhost.
请用 https 或 localhost 打开。</span>
</esp-web-install-button>
</div>
<p id="no-serial" class="warn" hidden>This browser has no Web Serial: use Chrome or Edge on a
desktop, over https or localhost. 请用桌面版 Chrome 或 Edge，经 https 或 localhost 打开。</p>
<p id="no-tools" class="warn" hidden>The folder <code>{folder}</code> is not here. Run
<code>npm pack {tools}</code> and make this page again with
<code>gridpurse image --web-tools</code> and that file.
缺少写入工具：请执行上述命令后重新生成本页。</p>
<h2>{family}</h2>
<table><tr><th>file</th><th>offset</th><th>bytes</th><th>SHA-256</th></tr>
{rows}</table>
<script type="module" src="page.js"></script>
</html>
"""
