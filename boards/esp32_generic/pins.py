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

# Protection switches to ground, closed while all is well: cover, terminal cover, magnet sensor.
TAMPERS = (None, None, None)

LED = 2
SIGNAL_STEP_MS = 125
# One pattern a code, sixteen steps of light from the lowest bit; unknown codes show the last.
SIGNALS = (
    0b0000000000000000,
    0b1111111111111111,
    0b0000000000000001,
    0b0000000000000101,
    0b0000000011111111,
    0b0000111100001111,
    0b0101010101010101,
)

WDT_MS = 30000
JOURNAL_LABEL = "journal"
SECTOR_BYTES = 4096
