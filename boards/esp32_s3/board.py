"""The ESP32-S3 with 8 MB of flash and Wi-Fi."""

from boards.esp32 import board, wifi
from boards.esp32_s3 import pins


def build() -> board.Board:
    return board.build("esp32_s3", pins, wifi.Wifi())
