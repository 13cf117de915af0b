"""Patterns of the board's one light."""

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
