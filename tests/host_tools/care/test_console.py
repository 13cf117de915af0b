"""What a module answers on its serial port, read by a terminal of our own."""

import os
import pty
import threading
import tty

import pytest

from host_tools import Refused
from host_tools.care import console

THINKS_S = console.QUIET_S * 2


def asked(*parts: bytes) -> list[str]:
    """The answer of a module that says these parts and thinks before each."""
    module, port = pty.openpty()
    tty.setraw(port)

    def answer() -> None:
        while b"status\r" not in os.read(module, 100):
            pass
        for number, part in enumerate(parts, 1):
            timers.append(threading.Timer(number * THINKS_S, os.write, (module, part)))
            timers[-1].start()

    timers: list[threading.Timer] = []
    thread = threading.Thread(target=answer)
    thread.start()
    try:
        return console.ask(os.ttyname(port), "status")
    finally:
        thread.join()
        for timer in timers:
            timer.join()
        os.close(module)
        os.close(port)


def test_a_module_may_think_before_it_answers() -> None:
    assert asked(b"status\r\n", b"balance 5.00\r\n") == ["balance 5.00"]


def test_a_line_that_pauses_in_its_middle_is_whole() -> None:
    assert asked(b"status\r\nbal", b"ance 5.00\r\n") == ["balance 5.00"]


def test_only_an_echo_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "ANSWER_S", 2 * THINKS_S)
    with pytest.raises(Refused, match="no answer; is the module powered"):
        asked(b"status\r\n")
