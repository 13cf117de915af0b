"""From power-on to the prompt: what the boot loader and the C start-up code do on a chip.

Run by the bridge: micropython -X heapsize=192k -i bootstrap.py SETTINGS.JSON. Mounts the flash
image at '/', runs boot.py and main.py, marks both moments for the bridge, leaves the real prompt.
"""

import json
import sys


def power_on(settings):
    sys.path[:] = [settings["boards"], ".frozen"]
    import vfs

    from boards.virtual import chip

    chip.this = chip.Chip(settings)
    # These must still find their files: the host disappears below.
    from boards import start  # noqa: F401 - main.py imports it
    from boards.virtual import board, clock  # noqa: F401 - main.py imports board

    clock.install(chip.this.sleeper)
    vfs.umount("/")
    vfs.mount(vfs.VfsLfs2(chip.this.vfs), "/")
    sys.path[:] = ["", ".frozen", "/lib"]


def soft_reset():
    from boards.virtual import chip

    chip.this.soft_reset()


def start(name):
    """True unless the file asked for a soft reset. A traceback ends the file, not the chip."""
    import os

    try:
        os.stat(name)
    except OSError:
        return True
    try:
        execfile(name)  # noqa: F821 - MicroPython has it
    except SystemExit:
        return False
    except BaseException as error:  # as an ESP32 does: print it and go on to the prompt
        sys.print_exception(error)
    return True


def bootstrap():
    with open(sys.argv[-1]) as file:  # an argument itself ends at 255 bytes
        settings = json.load(file)
    try:
        power_on(settings)
    except Exception as error:
        sys.print_exception(error)
        import os

        # No prompt without a chip. Under -i nothing milder ends the interpreter.
        os.system("kill -9 $PPID")
    print("\x1eB", end="")
    names = ("boot.py", "main.py") if settings["run_main"] else ("boot.py",)
    if not all(start(name) for name in names):
        soft_reset()
    print("\x1eE", end="")


bootstrap()
for name in ("bootstrap", "power_on", "soft_reset", "start", "json", "name"):
    globals().pop(name)
