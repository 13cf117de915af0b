"""The bundle of an update: the program's .mpy files, the list of them, and the UPDATE commands.

The same files make the same bytes. The list, with a SHA-256 for each file, is what BEGIN vouches
for under the module's own key; firmware/effects/update.py is the other side.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from protocol import codes

CHUNK_BYTES_MAX = 1024
BLOCK_BYTES = 4096
FOLDERS = ("firmware/", "protocol/", "boards/")
SPARE_BLOCKS = 8  # of the file system, for what folders and names take


@dataclass(frozen=True)
class Bundle:
    version: int  # major, minor and patch of a byte each
    parts: tuple[bytes, ...]  # the list, then the files in its order

    @property
    def listing(self) -> bytes:
        return self.parts[0]

    def begin(self) -> list[object]:
        blocks = sum(-(-len(part) // BLOCK_BYTES) for part in self.parts)
        digest = hashlib.sha256(self.listing).digest()
        mpy = self.parts[1][1]
        return [
            codes.BEGIN, self.version, mpy, len(self.listing), digest, blocks + SPARE_BLOCKS,
        ]  # fmt: skip

    def chunk(self, number: int, offset: int) -> list[object]:
        data = self.parts[number][offset : offset + CHUNK_BYTES_MAX]
        return [codes.CHUNK, number, offset, data]

    def steps(self) -> Iterator[list[object]]:
        """Arguments of every UPDATE command, in order, for a module that answers each."""
        yield self.begin()
        for number, part in enumerate(self.parts):
            for offset in range(0, len(part), CHUNK_BYTES_MAX):
                yield self.chunk(number, offset)
        yield [codes.FINISH]

    def after(self, detail: int) -> list[object]:
        """Arguments of what comes next by the detail of a module's answer."""
        number, offset = detail >> 20, detail & 0xFFFFF
        return [codes.FINISH] if number >= len(self.parts) else self.chunk(number, offset)


def version_number(text: str) -> int:
    """ "1.2.3" as updates count."""
    parts = [int(part) for part in text.split(".")]
    if len(parts) != 3 or not all(0 <= part < 256 for part in parts):
        raise ValueError(f"version {text}: must be three numbers below 256")
    return parts[0] << 16 | parts[1] << 8 | parts[2]


def bundle(files: Mapping[str, bytes], version: str) -> Bundle:
    """Of the device files, such as image.device_files() gives, those that an update replaces."""
    chosen = sorted(name for name in files if name.startswith(FOLDERS) and name.endswith(".mpy"))
    number = version_number(version)
    lines = [str(number)]
    lines += [
        f"{name} {len(files[name])} {hashlib.sha256(files[name]).hexdigest()}" for name in chosen
    ]
    listing = ("\n".join(lines) + "\n").encode()
    return Bundle(number, (listing, *(files[name] for name in chosen)))
