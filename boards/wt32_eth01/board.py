"""The WT32-ETH01: an ESP32 with wired Ethernet."""

from boards.esp32 import board, ethernet
from boards.wt32_eth01 import pins


def build() -> board.Board:
    return board.build("wt32_eth01", pins, ethernet.Ethernet(*pins.ETHERNET))
