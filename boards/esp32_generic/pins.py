"""Wiring of the generic ESP32: data only, one place to change for another layout. Untested.

GPIO numbers as on the chip; None where the board has no such part.
"""

CHIP = "esp32"
FLASH_BYTES = 4194304
# Inputs without pull resistors: what hangs there needs external ones.
PULL_LESS = (34, 35, 36, 37, 38, 39)

# RS-485 bus of the meters. DE is None with an automatic-direction transceiver (preferred).
RS485_UART = 2
RS485_TX = 17
RS485_RX = 16
RS485_DE = 4

# S0 pulse outputs of meters, one an entry, pulled up and closed to ground by the meter.
PULSES = (34, 35)

# Latching relays: (open coil, close coil, auxiliary contact or None). The contact pulls to ground
# while the relay is closed. No coil on a pin that the chip moves at reset:
# 0, 1, 3, 5, 12, 14, 15.
RELAYS = ((25, 26, 32), (27, 23, 33))
COIL_MS = 60

# Protection switches to ground, closed while all is well: cover, terminal cover, magnet sensor.
TAMPERS = (None, None, None)

KEY_INPUT = 0
LED = 2

# How long the relays hold when the firmware cannot start, seconds; then they open. 0: for ever.
# The meter's own register goes on counting, so that holding loses no revenue, and opening darkens.
HOLD_S = 0

# RTC_CNTL_RESET_STATE_REG and its value after a brown-out (ESP32 technical reference manual,
# reset sources; not tried on hardware).
RESET_STATE = 0x3FF48034
RESET_BROWN_OUT = 15
