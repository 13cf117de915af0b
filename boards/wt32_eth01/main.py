"""Goes to `/main.py` of the module: MicroPython runs it after boot."""

import gc

# Frequent collection keeps a small heap in one piece while everything long-lived is loaded.
gc.threshold(4096)

from boards.wt32_eth01 import board  # noqa: E402
from firmware import main  # noqa: E402

main.run(board.build())
