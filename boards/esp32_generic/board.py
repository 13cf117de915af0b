"""The generic ESP32 with Wi-Fi."""

from boards.esp32 import board, wifi
from boards.esp32_generic import pins


def build() -> board.Board:
    return board.build("esp32_generic", pins, wifi.Wifi())
