"""First file of a module's flash: chooses the copy of the program and hands it the board."""

import gc
import sys

# Frequent collection keeps a small heap in one piece while everything long-lived is loaded.
gc.threshold(4096)

from boards import start  # noqa: E402

copy = start.enter(sys.path)

from boards.virtual import board  # noqa: E402

this = board.build()
try:
    from firmware import main

    main.run(this, copy)
except Exception as error:
    start.over(error, this)
