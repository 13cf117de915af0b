"""What can go wrong between a technician and a bare chip, by name; see host_tools/faults.py."""

from host_tools.faults import DEVICE, WRONG, Kind

NO_FILE = Kind(
    "no-file",
    WRONG,
    ("{path}: {why}", "{path}：文件不可读"),
    ("name the MicroPython image that you downloaded", "请指明已下载的 MicroPython 映像"),
)
NO_HASH = Kind(
    "no-hash",
    WRONG,
    ("{path}: its SHA-256 {found} was not given", "{path}：未给出校验值"),
    (
        "compare it with the download page, then repeat with --sha256 {found}",
        "与下载页核对后加 --sha256 再执行",
    ),
)
BAD_HASH = Kind(
    "bad-hash",
    WRONG,
    ("--sha256: {given} is no SHA-256", "--sha256：不是 SHA-256 值"),
    (
        "give 64 hexadecimal digits, or a file that sha256sum made",
        "给出 64 位十六进制数或校验文件",
    ),
)
WRONG_HASH = Kind(
    "wrong-hash",
    WRONG,
    ("{path}: SHA-256 is {found}, not {wanted}", "{path}：校验值不符"),
    ("download it again; do not flash it", "请重新下载，勿写入"),
)
NOT_IMAGE = Kind(
    "not-an-image",
    WRONG,
    (
        "{path}: is no whole MicroPython image for {board}: {why}",
        "{path}：不是 {board} 的完整映像",
    ),
    (
        "take the .bin of this chip from micropython.org/download, neither .app-bin nor .uf2",
        "请下载该芯片的 .bin 文件（不是 .app-bin 或 .uf2）",
    ),
)
IMAGE_CHIP = Kind(
    "image-of-another-chip",
    WRONG,
    ("{path}: is for chip {found}, board {board} has an {wanted}", "{path}：映像与电路板芯片不符"),
    ("take the image for {wanted}", "请换用 {wanted} 的映像"),
)
TOO_LARGE = Kind(
    "too-large",
    WRONG,
    ("{part}: {size} bytes do not fit into {room}", "{part}：{size} 字节超出分区 {room} 字节"),
    (
        "use a smaller image, or a board with a larger partition (partitions.csv of {board})",
        "请换用较小的映像或更大的分区",
    ),
)
PORT_ABSENT = Kind(
    "port-absent",
    WRONG,
    ("{port}: there is no such port", "{port}：无此端口"),
    (
        "plug the cable in, a data cable; ports here: {ports}",
        "请插好数据线（须能传数据）；现有端口：{ports}",
    ),
)
PORT_BUSY = Kind(
    "port-busy",
    WRONG,
    ("{port}: another program has it", "{port}：端口被占用"),
    ("close the terminal or the other gridpurse", "请关闭占用它的终端或程序"),
)
PORT_DENIED = Kind(
    "port-denied",
    WRONG,
    ("{port}: you may not open it", "{port}：无权打开"),
    ("sudo usermod -aG dialout $USER, then log in anew", "加入 dialout 组后重新登录"),
)
PORT_BROKEN = Kind(
    "port-broken",
    WRONG,
    ("{port}: cannot be opened: {why}", "{port}：打不开"),
    ("name a serial port, such as /dev/ttyUSB0", "请给出串口，如 /dev/ttyUSB0"),
)
NO_ANSWER = Kind(
    "no-answer",
    DEVICE,
    ("{port}: no boot loader answers", "{port}：引导程序无应答"),
    (
        "hold BOOT, press EN once, let BOOT go and repeat; look at cable, TX/RX and power",
        "按住 BOOT、点按 EN 后松开再试；检查数据线、TX/RX 与电源",
    ),
)
WRONG_CHIP = Kind(
    "wrong-chip",
    WRONG,
    (
        "{port}: is an {found}, board {board} has an {wanted}",
        "{port}：芯片为 {found}，与电路板不符",
    ),
    ("name the right board with --board: {boards}", "用 --board 指明正确的电路板：{boards}"),
)
LOCKED = Kind(
    "chip-locked",
    WRONG,
    ("{port}: the chip is in secure download mode", "{port}：芯片处于安全下载模式"),
    ("it takes no other program; use another module", "不能更换程序，请换用其他模块"),
)
FLASH_SMALL = Kind(
    "flash-too-small",
    WRONG,
    ("{port}: flash of {found} bytes, board {board} needs {wanted}", "{port}：闪存容量不足"),
    ("use a module with enough flash, or another --board", "请换用闪存足够的模块"),
)
JOURNAL_ELSEWHERE = Kind(
    "journal-elsewhere",
    WRONG,
    (
        "{port}: module {mac} has a journal at {where}, not where board {board} has it",
        "{port}：模块 {mac} 的账本在 {where}，与电路板不符",
    ),
    (
        "name its own board; when its money has moved, add --erase-journal {mac}",
        "请指明其原电路板；余额转出后方可加 --erase-journal {mac}",
    ),
)
OTHER_MODULE = Kind(
    "other-module",
    WRONG,
    ("{option} {given}: this is module {mac}", "{option} {given}：当前模块为 {mac}"),
    ("look at what is on the cable", "请核对所接模块"),
)
LOST = Kind(
    "connection-lost",
    DEVICE,
    ("{port}: the module went silent at {step}", "{port}：写到 {step} 时连接中断"),
    (
        "look at the cable and run the same command again; what is right is not written twice",
        "检查数据线后重新执行，已写好的部分会跳过",
    ),
)
MISMATCH = Kind(
    "verify-mismatch",
    DEVICE,
    ("{port}: {step} reads back differently, twice", "{port}：{step} 两次校验不符"),
    (
        "try a shorter cable and --baud 115200; if it stays, the flash is worn: another module",
        "换短线并用 --baud 115200 再试；仍不符则闪存损坏，请换模块",
    ),
)
KINDS = (
    *(NO_FILE, NO_HASH, BAD_HASH, WRONG_HASH, NOT_IMAGE, IMAGE_CHIP, TOO_LARGE),
    *(PORT_ABSENT, PORT_BUSY, PORT_DENIED, PORT_BROKEN, NO_ANSWER, WRONG_CHIP, LOCKED),
    *(FLASH_SMALL, JOURNAL_ELSEWHERE, OTHER_MODULE, LOST, MISMATCH),
)
