"""The network under virtual time: an answer in time is not overtaken, a lost link is noticed."""

import asyncio
from contextlib import suppress

CLIENT = """
import asyncio
from boards.virtual import board
b = board.build()
async def talk():
    reader, writer = await b.link.connect("127.0.0.1", PORT)
    while True:
        sent = b.ticks_ms()
        writer.write(b"ping\\n")
        await writer.drain()
        line = await reader.readline()
        print(line.decode().strip(), b.ticks_ms() - sent)
        await asyncio.sleep_ms(60000)
        if not line:
            return
async def main():
    while True:
        print("up", await b.link.up(5000))
        try:
            await talk()
        except OSError as error:
            print("lost", error.errno)
        await asyncio.sleep_ms(10000)
asyncio.run(main())
"""


class Server:
    """Answers each line after a delay; 127.0.0.1, any port."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self.lines = 0

    async def __aenter__(self) -> "Server":
        self.tasks: set[asyncio.Task[None]] = set()
        self.server = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        await asyncio.gather(*self.tasks)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.create_task(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionResetError):
            while line := await reader.readline():
                self.lines += 1
                await asyncio.sleep(self.delay_s)
                writer.write(b"pong" + line[4:])
                await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def test_virtual_time_waits_for_an_answer_over_tcp(bench):
    async def story():
        async with Server(0.01) as server:
            program = CLIENT.replace("PORT", str(server.port))
            async with bench.run(program, tcp_grace_s=2) as (driver, module):
                await driver.run_for(600)
                assert bench.said(module)[1:11] == ["pong 0"] * 10
                assert server.lines == 11

    asyncio.run(story())


def test_a_silent_peer_holds_time_only_once(bench):
    program = """
import asyncio
from boards.virtual import board
b = board.build()
async def main():
    reader, writer = await b.link.connect("127.0.0.1", PORT)
    writer.write(b"anyone?")
    await writer.drain()
    for _ in range(1000):
        await asyncio.sleep_ms(1000)
    print("done")
    await asyncio.sleep_ms(10000000)
asyncio.run(main())
"""

    async def story():
        async with Server(0) as server:
            loop = asyncio.get_running_loop()
            text = program.replace("PORT", str(server.port))
            async with bench.run(text, tcp_grace_s=0.1) as (driver, module):
                begun = loop.time()
                await driver.run_for(1001)
                assert "done" in bench.said(module)
                assert loop.time() - begun < 50  # a grace each time would take a hundred

    asyncio.run(story())


def test_lost_link_breaks_the_connection_and_refuses_a_new_one(bench):
    async def story():
        async with Server(0) as server:
            program = CLIENT.replace("PORT", str(server.port))
            async with bench.run(program, tcp_grace_s=2) as (driver, module):
                await driver.run_for(61)
                module.set_link(False)
                await driver.run_for(120)
                said = bench.said(module)
                assert said[:3] == ["up True", "pong 0", "pong 0"]
                assert said[3:7] == ["lost 104", "up False", "lost 101", "up False"]
                module.set_link(True)
                await driver.run_for(60)
                assert bench.said(module)[-3:-1] == ["up True", "pong 0"]

    asyncio.run(story())
