"""Wi-Fi station. Network name and password are blobs `ssid` and `psk` in NVS `gridpurse`."""

import asyncio
import time

import esp32
import network

from boards.esp32.sockets import Sockets


class Wifi(Sockets):
    def __init__(self) -> None:
        super().__init__()
        self._wlan = network.WLAN(network.WLAN.IF_STA)

    def is_up(self) -> bool:
        return self._wlan.isconnected()

    async def _bring_up(self, timeout_ms: int) -> bool:
        """Tries for `timeout_ms`, then lets go of the attempt."""
        ssid = _nvs_text("ssid")
        if not ssid:
            return False
        self._wlan.active(True)
        start_ms = time.ticks_ms()
        try:
            self._wlan.connect(ssid, _nvs_text("psk"))
        except OSError:  # still busy with the attempt before
            self._wlan.active(False)
            return False
        while not self.is_up():
            if time.ticks_diff(time.ticks_ms(), start_ms) >= timeout_ms:
                self._wlan.disconnect()
                return False
            await asyncio.sleep_ms(100)
        return True


def _nvs_text(key: str) -> str:
    blob = bytearray(64)
    try:
        length = esp32.NVS("gridpurse").get_blob(key, blob)
    except OSError:  # not provisioned
        return ""
    return str(blob[:length], "utf-8")
