"""Wiring of the generic ESP32 board: data only, one place to change for another layout.

GPIO numbers as on the chip; None where the board has no such part. Durations in milliseconds.
GPIO 34 to 39 are inputs without pull resistors: pulse inputs there need external ones.
"""

# RS-485 bus of the meters. DE is None with an automatic-direction transceiver (preferred).
RS485_UART = 2
RS485_TX = 17
RS485_RX = 16
RS485_DE = 4
RS485_RX_BYTES = 512

# S0 pulse outputs of meters, one an entry, pulled up and closed to ground by the meter.
PULSES = (34, 35)
# Longest glitch filter of the counter hardware: 1023 ticks of 80 MHz (ESP32 manual, PCNT).
PULSE_FILTER_NS = 12700
# Only for the pin interrupt fallback; IEC 62053-31 pulses last at least 30 ms.
PULSE_WIDTH_MS_MIN = 20

# Latching relays: (open coil, close coil, auxiliary contact or None). The contact pulls to ground
# while the relay is closed.
RELAYS = ((25, 26, 32), (27, 14, 33))
COIL_MS = 60

KEY = 0
KEY_WIDTH_MS_MIN = 40

LED = 2
SIGNAL_STEP_MS = 125
# One pattern a code of firmware/lamp.py, sixteen steps of light from the lowest bit; unknown codes
# show the last.
SIGNALS = (
    0b0000000000000000,  # fine: dark
    0b0000000000000001,  # no network: one flash
    0b0000000000000101,  # no time: two flashes
    0b1111111111111111,  # warning 1: steady
    0b0000000011111111,  # warning 2: slow blinking
    0b0011001100110011,  # overdraft: fast blinking
    0b0000111100001111,  # exhausted: blinking
    0b0000000000010101,  # locked: three flashes
    0b0101010101010101,  # relay pending: flicker
    0b0000000001010101,  # meter silent: four flashes
    0b0000000101010101,  # tamper: five flashes
    0b0000000001001111,  # safe mode: one long, one short
    0b0000000101001111,  # cannot start: one long, two short
)

# How long the relays hold when the firmware cannot start, seconds; then they open. 0: for ever.
# The meter's own register goes on counting, so that holding loses no revenue, and opening darkens.
HOLD_S = 0

# RTC_CNTL_RESET_STATE_REG and its value after a brown-out (ESP32 technical reference manual,
# reset sources; not tried on hardware).
RESET_STATE = 0x3FF48034
RESET_BROWN_OUT = 15

WDT_MS = 30000
JOURNAL_LABEL = "journal"
SECTOR_BYTES = 4096
