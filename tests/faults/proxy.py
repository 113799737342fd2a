"""A TCP link that is as slow as one wants, what is sent arrives later, in its order; or is cut."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.servers import free_port


class Proxy:
    """Listens on `port`, passes on to `target`. `delay` seconds each way may change at any time,
    and so may `target`, for connections from then on.

    On a thread of its own: a test that blocks its event loop slows nobody down.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.delay = 0.0
        self.target = target
        self._broken = False
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        loop, started = asyncio.new_event_loop(), threading.Event()
        thread = threading.Thread(target=self._run, args=(loop, started), daemon=True)
        thread.start()
        started.wait(5)
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(5)

    def cut(self) -> None:
        """Resets all connections, and each new one until it is mended."""
        self._broken = True
        self._loop.call_soon_threadsafe(self._reset)

    def mend(self) -> None:
        self._broken = False

    def _reset(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    def _run(self, loop: asyncio.AbstractEventLoop, started: threading.Event) -> None:
        asyncio.set_event_loop(loop)
        self._loop = loop
        server = loop.run_until_complete(asyncio.start_server(self._pass, "127.0.0.1", self.port))
        started.set()
        loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        both = {writer, there[1]}
        self._open |= both
        if self._broken:
            self._reset()
        ways = (self._flow(reader, there[1]), self._flow(there[0], writer))
        await asyncio.gather(*ways, return_exceptions=True)
        self._open -= both

    async def _flow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[tuple[float, bytes]]()
        sending = asyncio.create_task(self._send(queue, writer))
        try:
            while data := await reader.read(65536):
                queue.put_nowait((loop.time() + self.delay, data))
        except OSError:
            pass
        queue.put_nowait((loop.time() + self.delay, b""))
        await sending

    async def _send(
        self, queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await queue.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                writer.close()
                return
            writer.write(data)
