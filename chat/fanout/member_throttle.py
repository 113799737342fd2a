"""Changes of a presence channel's members go a few at a time (promise P6).

Each is told to all members with the whole list: 27 KB for a thousand of them. All at once they
would fill every send_queue, and close those who read as fast as anyone can.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from chat.fanout.send_queue import MAX_STALL_SECONDS

IN_FLIGHT: Final = 8
WAIT_SECONDS: Final = 1.0
POLL_SECONDS: Final = 0.005


class Gate:
    """One channel's. `behind` tells whether most of its subscribers have not got all yet.

    Who waits comes through in the order of arriving, each after WAIT_SECONDS at the latest; those
    who have been behind for MAX_STALL_SECONDS hold up nobody any more.
    """

    def __init__(self, behind: Callable[[], bool]) -> None:
        self._behind = behind
        self._door = asyncio.Lock()
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._since: float | None = None
        self.users = 0

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        async with self._door:
            await self._wait()
            await self._room.acquire()
        try:
            yield
        finally:
            self._room.release()

    async def _wait(self) -> None:
        now = asyncio.get_running_loop().time
        begun = now()
        while self._behind():
            self._since = self._since or now()
            if now() - begun >= WAIT_SECONDS or now() - self._since >= MAX_STALL_SECONDS:
                return
            await asyncio.sleep(POLL_SECONDS)
        self._since = None


class MemberThrottle:
    """A gate for each channel of this process that somebody is about to pass."""

    def __init__(self, behind: Callable[[str], bool]) -> None:
        self._behind = behind
        self._member_throttle: dict[str, Gate] = {}

    @asynccontextmanager
    async def passing(self, channels: Iterable[str]) -> AsyncIterator[None]:
        """Within it, what changes the members of all of these may be submitted."""
        async with AsyncExitStack() as stack:
            for name in sorted(set(channels)):  # in one order, so that no two wait for each other
                await stack.enter_async_context(self._through(name))
            yield

    @asynccontextmanager
    async def _through(self, name: str) -> AsyncIterator[None]:
        gate = self._member_throttle.get(name)
        if gate is None:
            gate = self._member_throttle[name] = Gate(lambda: self._behind(name))
        gate.users += 1
        try:
            async with gate.passing():
                yield
        finally:
            gate.users -= 1
            if not gate.users:
                del self._member_throttle[name]
