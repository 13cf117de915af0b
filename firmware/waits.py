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
        return await asyncio.wait_for(awaitable, timedelta(milliseconds=ms).total_seconds())
