"""First file of a module's flash: chooses the copy of the program and hands it the board."""

import gc
import sys
import time

# Frequent collection keeps a small heap in one piece while everything long-lived is loaded.
gc.threshold(4096)

from boards import start  # noqa: E402
from boards.virtual import board  # noqa: E402

this = board.build()
copy = start.enter(sys.path, this)
del start
try:
    from firmware import main

    main.run(this, copy)
except Exception as error:  # that the program does not expect: the next start goes on
    sys.print_exception(error)
    time.sleep_ms(2000)  # a technician may press Ctrl-C
    this.reset()
