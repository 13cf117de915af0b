"""Waiting in milliseconds on both interpreters: the one place that knows they differ.

MicroPython's asyncio counts in milliseconds; CPython's counts in seconds and serves the tests.
"""

import asyncio

try:
    sleep_ms = asyncio.sleep_ms
    wait_for_ms = asyncio.wait_for_ms
except AttributeError:  # CPython
    from datetime import timedelta

    async def sleep_ms(ms):
        await asyncio.sleep(timedelta(milliseconds=ms).total_seconds())

    async def wait_for_ms(awaitable, ms):
        # Not wait_for(), which before 3.12 forgets a cancellation that comes with the result.
        async with asyncio.timeout(timedelta(milliseconds=ms).total_seconds()):
            return await awaitable
