"""Frozen content of a firmware build: make -C ports/esp32 FROZEN_MANIFEST=<this file>.

Read by MicroPython's tools/manifestfile.py, never imported.
"""

include("$(PORT_DIR)/boards/manifest.py")
package("protocol", base_path="../..")
package("firmware", base_path="../..")
package(
    "boards",
    files=(
        "esp32_generic/board.py",
        "esp32_generic/console.py",
        "start.py",
        "esp32_generic/parts.py",
        "esp32_generic/pins.py",
    ),
    base_path="../..",
)
module("main.py")
