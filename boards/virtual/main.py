"""First file of a module's flash: builds the board and hands it to the firmware."""

import gc

# Frequent collection keeps a small heap in one piece while everything long-lived is loaded.
gc.threshold(4096)

from boards.virtual import board  # noqa: E402
from firmware import main  # noqa: E402

main.run(board.build())
