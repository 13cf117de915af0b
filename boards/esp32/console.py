"""The serial port of the prompt, shared with mpremote: the firmware reads what is typed there."""

import asyncio
import sys


class Console:
    """Characters of UART 0 or USB; Ctrl-C still ends the program and leads to the prompt."""

    def __init__(self) -> None:
        self._stream = asyncio.StreamReader(sys.stdin.buffer)

    async def read(self) -> str:
        data = await self._stream.read(1)
        while not data:
            await asyncio.sleep_ms(1000)
            data = await self._stream.read(1)
        return chr(data[0])

    def write(self, text: str) -> None:
        sys.stdout.write(text)
