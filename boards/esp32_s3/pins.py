"""Wiring of an ESP32-S3 with 8 MB of flash: data only. Chosen on paper, untested.

GPIO numbers as on the chip. Left alone: 26 to 37 (flash and PSRAM), 19 and 20 (USB), 43 and 44
(console), 39 to 42 (JTAG), 3, 45 and 46 (strapping).
"""

CHIP = "esp32s3"
FLASH_BYTES = 8388608
PULL_LESS = ()

# RS-485 bus of the meters. DE is None with an automatic-direction transceiver (preferred).
RS485_UART = 1
RS485_TX = 17
RS485_RX = 18
RS485_DE = 8

# S0 pulse outputs of meters, one an entry, closed to ground by the meter.
PULSES = (4, 5)

# Latching relays: (open coil, close coil, auxiliary contact or None). The contact pulls to ground
# while the relay is closed.
RELAYS = ((6, 7, 15), (9, 10, 16))
COIL_MS = 60

# Protection switches to ground, closed while all is well: cover, terminal cover, magnet sensor.
TAMPERS = (None, None, None)

KEY_INPUT = 0
LED = 21

# How long the relays hold when the firmware cannot start, seconds; then they open. 0: for ever.
# The meter's own register goes on counting, so that holding loses no revenue, and opening darkens.
HOLD_S = 0

# The register that tells a brown-out from a power-on is not known for this chip: 0, not asked.
RESET_STATE = 0
RESET_BROWN_OUT = 0
