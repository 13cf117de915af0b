"""What a person sees of a long job."""

import io
import itertools

from host_tools.flashing.telling import Record


class Terminal(io.StringIO):
    def isatty(self):
        return True


def record(stream):
    return Record(stream, {"command": "flash"}, clock_ms=itertools.count(0, 100).__next__)


def told(stream):
    one = record(stream)
    with one.step("MicroPython", "MicroPython", bytes=8) as step:
        one.progress(1, 4)
        one.progress(4, 4)
        step.result = "written"
    return one


def test_a_terminal_gets_a_bar_that_the_line_of_the_step_replaces():
    text = told(Terminal()).stream.getvalue()
    assert "\r\x1b[K[#######.......................]  25 %  MicroPython" in text
    assert text.endswith("\r\x1b[KMicroPython      written, 0.1 s  MicroPython 已写入\n")


def test_a_file_gets_lines_only():
    one = told(io.StringIO())
    assert one.stream.getvalue() == "MicroPython      written, 0.1 s  MicroPython 已写入\n"
    assert one.steps == [{"step": "MicroPython", "bytes": 8, "result": "written", "ms": 100}]
