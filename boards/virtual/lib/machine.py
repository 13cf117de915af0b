"""`machine` as a technician or mpremote types it at the prompt, on the module's flash under /lib.

Loaded when somebody imports it, so it costs the running firmware nothing. The firmware gets a
board object and never comes here.
"""

import time

from boards.virtual import board

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5


class RTC:
    def datetime(self, new=None):
        """(year, month, day, weekday, hour, minute, second, microsecond), UTC."""
        if new is not None:
            fields = (new[0], new[1], new[2], new[4], new[5], new[6], 0, 0)
            # In local time, which the bridge has made UTC.
            board.this.set_rtc_ms(time.mktime(fields) * 1000)
            return None
        rtc_ms = board.this.rtc_ms()
        if rtc_ms is None:
            rtc_ms = 946684800000 + board.this.ticks_ms()  # an unset ESP32 shows the year 2000
        year, month, day, hour, minute, second, weekday = time.gmtime(rtc_ms // 1000)[:7]
        return (year, month, day, weekday, hour, minute, second, rtc_ms % 1000 * 1000)


def reset():
    board.this.reset()


def soft_reset():
    raise SystemExit


def reset_cause():
    return board.this.settings["reset_cause"]


def unique_id():
    return bytes.fromhex(board.this.settings["unique_id"])


def idle():
    time.sleep_ms(0)
