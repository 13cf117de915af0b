"""Frozen content of a firmware build: make -C ports/esp32 FROZEN_MANIFEST=<this file>.

Read by MicroPython's tools/manifestfile.py, never imported.
"""

include("$(PORT_DIR)/boards/manifest.py")
package("protocol", base_path="../..")
package("firmware", base_path="../..")
package(
    "boards",
    files=(
        "start.py",
        "esp32/board.py",
        "esp32/console.py",
        "esp32/lights.py",
        "esp32/parts.py",
        "esp32/sockets.py",
        "esp32/wifi.py",
        "esp32_generic/board.py",
        "esp32_generic/pins.py",
    ),
    base_path="../..",
)
module("main.py")
