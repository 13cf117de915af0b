"""The board's time: real, N times faster, or lockstep, where the driver steps it.

Milliseconds of Unix time inside; asyncio is moved by replacing its tick source and its I/O queue,
before the firmware is imported. The firmware is not touched and cannot tell the difference.
"""

import gc
import select
import struct
import time
from asyncio import core

# The C task queue stamps new tasks with real ticks. Ours stay ahead of those for ever, so that
# such a stamp always reads as "already due" and a cancelled sleeper is always brought forward.
AHEAD_MS = 1 << 40 if time.ticks_add(0, -1) > 1 << 40 else 1 << 26


class Scaled:
    """Real time times `factor`, counted from a point that the driver counts from too."""

    lockstep = False

    def __init__(self, anchor_us, anchor_ms, factor):
        self.anchor_us = anchor_us
        self.anchor_ms = anchor_ms
        self.factor = factor

    def now_ms(self):
        return self.anchor_ms + (time.ticks_us() - self.anchor_us) * self.factor // 1000

    def real_ms(self, virtual_ms):
        return max(1, virtual_ms // self.factor)


class Lockstep:
    """The driver's time, read from its 8-byte file whenever the module may have slept."""

    lockstep = True

    def __init__(self, file):
        self.file = file
        self.buffer = bytearray(8)
        self.now = 0
        self.refresh()

    def refresh(self):
        self.file.seek(0)
        self.file.readinto(self.buffer)
        self.now = struct.unpack("<q", self.buffer)[0]

    def now_ms(self):
        return self.now


class Sleeper:
    """What asyncio does while no task is due; one for each event loop, built by `install`."""

    def __init__(self, clock, control, bus, link, power, probe_every):
        self.clock = clock
        self.control = control
        self.bus = bus
        self.link = link
        self.power = power
        self.probe_every = probe_every
        self.naps = 0
        self.number = 0
        self.woken = 0
        self.heap_peak = 0
        self.heap_told = 0
        self.heap_board = 0
        self.queue = None
        control.actions["w"] = self.wake

    def wake(self, number):
        self.woken = number

    def sleep(self, wait_ms):
        """Waits virtual milliseconds, -1 for ever, but no longer than until I/O is ready."""
        queue = self.queue
        if queue.serve(0) or wait_ms == 0:
            return
        self.watch_heap()
        if not self.clock.lockstep:
            queue.serve(self.clock.real_ms(wait_ms) if wait_ms > 0 else -1)
            return
        self.number += 1
        self.control.send_line(
            '["i",%d,%d,%d,%d,%d,%d]'
            % (
                self.number,
                self.clock.now + wait_ms if wait_ms > 0 else -1,
                self.link.unanswered(),
                self.bus.sent,
                self.bus.received if queue.awaits(self.bus.tty) else -1,
                self.power.ops,
            )
        )
        while self.woken != self.number:
            if queue.serve(-1):
                if not queue.bus_only:  # of a reply on the bus the driver knows
                    self.control.send_line('["b",%d]' % self.number)
                break
        self.clock.refresh()

    def start_heap_watch(self, rom, rom_bytes):
        """What is in use now is the board's: interpreter and simulated hardware. `rom` is kept
        from the collector and not counted."""
        self.rom = rom
        self.rom_bytes = rom_bytes
        gc.collect()
        self.heap_board = gc.mem_alloc() - rom_bytes
        self.control.send("heap", 0, self.heap_board)

    def watch_heap(self):
        """Looks now and then: measuring walks the whole heap."""
        self.naps += 1
        if self.naps % (self.probe_every or 8) != 1:
            return
        if self.probe_every:
            gc.collect()
        used = gc.mem_alloc() - self.rom_bytes
        if used > self.heap_peak:
            self.heap_peak = used
            if used - self.heap_told >= (1 if self.probe_every else 1024):
                self.heap_told = used
                self.control.send("heap", used, self.heap_board)


def install(sleeper):
    """Puts clock and sleeper under asyncio. Real time keeps asyncio's own ticks."""
    clock = sleeper.clock

    class Queue(core.IOQueue):
        def __init__(self):
            super().__init__()
            self.poller.register(sleeper.control.file, select.POLLIN)
            self.bus_only = False
            sleeper.queue = self

        def wait_io_event(self, wait_ms):
            sleeper.sleep(wait_ms)

        def serve(self, real_ms):
            """Readies the tasks whose I/O is; False when there were none."""
            served = False
            called = False
            self.bus_only = True
            for stream, event in self.poller.ipoll(real_ms):
                if stream is sleeper.control.file:
                    called = True
                    continue
                served = True
                self.bus_only = self.bus_only and stream is sleeper.bus.tty
                self.ready(stream, event & ~select.POLLOUT, event & ~select.POLLIN)
            if called:  # only now: an action may drop streams from the poller
                sleeper.control.drain()
                if sleeper.link.wake_cut(self):
                    served, self.bus_only = True, False
            return served

        def ready(self, stream, can_read, can_write):
            entry = self.map[id(stream)]
            for index, can in ((0, can_read), (1, can_write)):
                if can and entry[index] is not None:
                    core._task_queue.push(entry[index])
                    entry[index] = None
            if entry[0] is None and entry[1] is None:
                self._dequeue(stream)
            elif entry[0] is None:
                self.poller.modify(stream, select.POLLOUT)
            else:
                self.poller.modify(stream, select.POLLIN)

        def awaits(self, stream):
            """True while a task waits to read from the stream."""
            entry = self.map.get(id(stream))
            return entry is not None and entry[0] is not None

    if clock.lockstep or clock.factor != 1:
        start_ms = clock.now_ms()
        base = time.ticks_add(time.ticks_ms(), AHEAD_MS)
        core.ticks = lambda: time.ticks_add(base, clock.now_ms() - start_ms)
    core.IOQueue = Queue
    core.new_event_loop()
