"""Wiring of the WT32-ETH01: data only. Every pin is a choice made on paper, untested.

GPIO numbers as on the chip. Ethernet takes 0, 16, 18, 19, 21, 22, 23, 25, 26 and 27; the console 1
and 3. That leaves one relay.
"""

CHIP = "esp32"
FLASH_BYTES = 4194304
# Inputs without pull resistors: what hangs there needs external ones.
PULL_LESS = (34, 35, 36, 37, 38, 39)

# LAN8720: MDC, MDIO, power, address of the PHY, 50 MHz clock into the chip.
ETHERNET = (23, 18, 16, 1, 0)
# Fixed by the chip's controller (RMII): TXD0, TX_EN, TXD1, RXD0, RXD1, CRS_DV.
RMII = (19, 21, 22, 25, 26, 27)

# RS-485 bus of the meters, on the pins the board calls TXD, RXD. DE is low during boot: receiving.
RS485_UART = 2
RS485_TX = 17
RS485_RX = 5
RS485_DE = 4

# S0 pulse outputs of meters, one an entry, pulled up and closed to ground by the meter.
PULSES = (35, 36)

# Latching relays: (open coil, close coil, auxiliary contact or None). The contact pulls to ground
# while the relay is closed. No coil on a pin that the chip moves at reset:
# 0, 1, 3, 5, 12, 14, 15.
RELAYS = ((32, 33, 39),)
COIL_MS = 60

# Protection switches to ground, closed while all is well: cover, terminal cover, magnet sensor.
TAMPERS = (None, None, None)

KEY_INPUT = 14
LED = 2

# How long the relays hold when the firmware cannot start, seconds; then they open. 0: for ever.
# The meter's own register goes on counting, so that holding loses no revenue, and opening darkens.
HOLD_S = 0

# RTC_CNTL_RESET_STATE_REG and its value after a brown-out (ESP32 technical reference manual,
# reset sources; not tried on hardware).
RESET_STATE = 0x3FF48034
RESET_BROWN_OUT = 15
