"""Whether the program on a module is the one of this folder, file by file."""

from host_tools.flashing import device_image
from host_tools.flashing.device_code import PACKAGES
from host_tools.provisioning.console import Console, digests
from host_tools.provisioning.faults import PROGRAM
from host_tools.provisioning.order import VIRTUAL
from host_tools.simulator import image


def check(console: Console, board: str) -> int:
    """Fault unless every file is there and right. -> how many"""
    files = image.device_files(PACKAGES) if board == VIRTUAL else device_image.module_files(board)
    wanted, there = digests(files), console.hashes()
    missing = sorted(path for path in wanted if path not in there)
    wrong = sorted(path for path in wanted if path in there and there[path] != wanted[path])
    if missing:
        raise PROGRAM.seen(
            f"{missing[0]}: is missing, {len(missing)} of {len(wanted)} 程序文件缺失"
        )
    if wrong:
        raise PROGRAM.seen(
            f"{wrong[0]}: is of another build or board, {len(wrong)} of {len(wanted)}"
            " 程序与本版本或板型不符",
        )
    return len(wanted)
