"""From power-on to the prompt: what the boot loader and the C start-up code do on a chip.

Run by the bridge: micropython -X heapsize=208k -i bootstrap.py SETTINGS.JSON. Mounts the flash
image at '/', runs boot.py and main.py, marks both moments for the bridge, leaves the real prompt.
"""

import gc
import sys


def read_only_memory(path):
    """The ROMFS image that code is executed from in place. -> (its bytes, what they take)

    This interpreter can keep it only on the heap, which the bridge made larger by as much.
    """
    import os

    before = gc.mem_alloc()
    rom = bytearray(os.stat(path)[6])
    with open(path, "rb") as file:
        file.readinto(rom)
    return rom, gc.mem_alloc() - before


def power_on(settings):
    import vfs

    path, firmware_in_rom = settings["rom"]
    rom, rom_bytes = read_only_memory(path)
    vfs.mount(vfs.VfsRom(memoryview(rom)), "/rom")
    sys.path[:] = ["/rom", ".frozen"]
    # The last ones that find their files: the host disappears below.
    from boards import start  # noqa: F401 - main.py imports it
    from boards.virtual import board

    chip = board.power_on(settings)
    vfs.umount("/")
    vfs.mount(vfs.VfsLfs2(chip.vfs), "/")
    sys.path[:] = ["", ".frozen", "/lib"]
    if firmware_in_rom:
        sys.path.insert(1, "/rom")
    else:
        vfs.umount("/rom")  # the hardware stays, but has no files
    return chip.sleeper, rom, rom_bytes


def soft_reset():
    from boards.virtual import board

    board.this.soft_reset()


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
    import json

    with open(sys.argv[-1]) as file:  # an argument itself ends at 255 bytes
        settings = json.load(file)
    try:
        sleeper, *memory = power_on(settings)
    except Exception as error:
        sys.print_exception(error)
        import os

        # No prompt without a chip. Under -i nothing milder ends the interpreter.
        os.system("kill -9 $PPID")
    names = ("boot.py", "main.py") if settings["run_main"] else ("boot.py",)
    settings = None
    for name in ("read_only_memory", "power_on"):  # C code on a chip
        globals().pop(name)
    sleeper.start_heap_watch(*memory)
    try:
        print("\x1eB", end="")  # from here on Ctrl-C comes through
        if not all(start(name) for name in names):
            soft_reset()
    except KeyboardInterrupt:
        pass  # before the program's first line, or after its last: the end is told all the same
    print("\x1eE", end="")


bootstrap()
for name in ("bootstrap", "soft_reset", "start", "gc", "name"):
    globals().pop(name)
