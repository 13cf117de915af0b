"""The device log: a bounded ring of (milliseconds since power-on, code, integers). No text, no
secrets.
"""

RECORDS_MAX = 64

# Codes; the host turns them into words.
BOOTED = 1
TASK_FAILED = 2
CONNECTED = 3
REJECTED = 4
METER_FAILED = 5
CLOCK_STEP = 6
TAMPER = 7


class Log:
    def __init__(self, ticks_ms):
        self.ticks_ms = ticks_ms
        self.records = []

    def add(self, code, *numbers):
        if len(self.records) >= RECORDS_MAX:
            self.records.pop(0)
        self.records.append((self.ticks_ms(), code, numbers))


UNCONNECTED = 8  # reason of mqtt_stream, place in the list of brokers
