"""The wire to the bridge: what lives outside the process (relays, pulses, keys, time's wake-ups).

JSON arrays, one a line, over an inherited socket. A call takes one exchange, well under a
millisecond; it never waits for anything but the bridge.
"""

import json
import select


class Control:
    def __init__(self, file):
        self.file = file
        self.poller = select.poll()
        self.poller.register(file, select.POLLIN)
        self.rest = b""
        self.number = 0
        self.answers = {}
        self.actions = {}  # kind: function of the remaining values of the line

    def send(self, kind, *values):
        self.send_line(json.dumps((kind,) + values))

    def send_line(self, line):
        data = memoryview(line.encode() + b"\n")
        while data:
            count = self.file.write(data)
            if count:
                data = data[count:]

    def ask(self, kind, *values):
        """Sends a question and returns the bridge's answer; other lines are served meanwhile."""
        self.number += 1
        number = self.number
        self.send("?", number, kind, *values)
        while number not in self.answers:
            self.poller.poll(-1)
            self.drain()
        value = self.answers.pop(number)
        self.answers.clear()  # of a question that Ctrl-C cut short
        return value

    def drain(self):
        """Serves the lines that have arrived; returns at once when there are none."""
        data = self.file.read(256)
        if not data:
            return
        lines = (self.rest + data).split(b"\n")
        self.rest = lines.pop()
        for line in lines:
            message = json.loads(line)
            if message[0] == "=":
                self.answers[message[1]] = message[2]
            else:
                self.actions[message[0]](*message[1:])
