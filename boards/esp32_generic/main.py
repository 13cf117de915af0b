"""Goes to `/main.py` of the module: MicroPython runs it after boot."""

from boards.esp32_generic import board
from firmware import main

main.run(board.build())
