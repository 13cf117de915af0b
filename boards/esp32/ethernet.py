"""Wired Ethernet: the ESP32's own controller with a LAN8720, address by DHCP."""

import asyncio
import time

import machine
import network

from boards.esp32.sockets import Sockets


class Ethernet(Sockets):
    def __init__(self, mdc: int, mdio: int, power: int, phy_address: int, clock: int) -> None:
        """GPIO numbers; `clock` takes the 50 MHz in that the board's oscillator makes."""
        super().__init__()
        # The stubs know only the arguments that all ports share.
        self._lan = network.LAN(  # type: ignore[call-arg]
            id=0,
            mdc=machine.Pin(mdc),
            mdio=machine.Pin(mdio),
            power=machine.Pin(power),
            phy_type=network.PHY_LAN8720,
            phy_addr=phy_address,
            ref_clk=machine.Pin(clock),
            ref_clk_mode=machine.Pin.IN,
        )

    def is_up(self) -> bool:
        return self._lan.isconnected()

    async def _bring_up(self, timeout_ms: int) -> bool:
        """Switched on once; cable and DHCP come when they come."""
        if not self._lan.active():
            self._lan.active(True)
        start_ms = time.ticks_ms()
        while not self.is_up():
            if time.ticks_diff(time.ticks_ms(), start_ms) >= timeout_ms:
                return False
            await asyncio.sleep_ms(100)
        return True
