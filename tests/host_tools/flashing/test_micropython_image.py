"""What no chip would start is refused before one is looked at, as esptool would judge it."""

import subprocess
import sys

import pytest

from host_tools.faults import Fault
from host_tools.flashing import micropython_image, plan
from tests import esp_image
from tests.bench import flash_proof

APP_AT = 0x10000 - 0x1000  # in the file of a release


def read(folder, content):
    path = folder / "image.bin"
    path.write_bytes(content)
    sha256 = micropython_image.hashlib.sha256(content).hexdigest()
    rows = plan.board(flash_proof.BOARD).rows
    return micropython_image.read(path, sha256, flash_proof.BOARD, "esp32", rows[plan.APP])


@pytest.mark.parametrize("size", (40_000, 40_004, 40_008, 40_012))
def test_a_sound_image_is_taken_as_esptool_takes_it(size, tmp_path):
    image = read(tmp_path, esp_image.release(size=size))
    path = tmp_path / "application.bin"
    path.write_bytes(image.application)
    command = [sys.executable, "-m", "esptool", "image-info", str(path)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "(valid)" in said and "(invalid" not in said


@pytest.mark.parametrize(
    ("change", "why"),
    (
        (lambda image: image[: APP_AT + 100], "cut off or damaged"),
        (lambda image: image[:-1], "cut off or damaged"),
        (lambda image: image[:-33], "cut off or damaged"),
        (lambda image: image[:-1] + bytes((image[-1] ^ 1,)), "its own digest is wrong"),
        (
            lambda image: image[: APP_AT + 99] + b"\x01\x02" + image[APP_AT + 101 :],
            "its checksum is wrong",
        ),
        (lambda image: image[:APP_AT] + bytes(64) + image[APP_AT + 64 :], "no program where"),
    ),
)
def test_a_damaged_image_is_refused_with_what_is_wrong_with_it(change, why, tmp_path):
    with pytest.raises(Fault, match=why):
        read(tmp_path, change(esp_image.release()))
