"""Changes of a presence channel's members go a few at a time (promise P6).

Each is announced to all members with the whole list: 27 KB for a thousand of them. All at once
would fill every send queue, and close those who read as fast as anyone can.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final
from weakref import WeakValueDictionary

from chat.fanout.send_queue import MAX_STALL_SECONDS

IN_FLIGHT: Final = 8
WAIT_SECONDS: Final = 1.0
POLL_SECONDS: Final = 0.005


class ChannelThrottle:
    """One channel's. `behind` tells whether most of its subscribers have not got all yet.

    Callers enter in the order of arriving, each after WAIT_SECONDS at the latest; subscribers who
    have been behind for MAX_STALL_SECONDS delay nobody any more.
    """

    def __init__(self, behind: Callable[[], bool]) -> None:
        self._behind = behind
        self._next = asyncio.Lock()
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._since: float | None = None

    async def __aenter__(self) -> None:
        async with self._next:
            await self._wait()
            await self._room.acquire()

    async def __aexit__(self, *raised: object) -> None:
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
    def __init__(self, behind: Callable[[str], bool]) -> None:
        self._behind = behind
        self._throttles = WeakValueDictionary[str, ChannelThrottle]()  # those in use

    @asynccontextmanager
    async def passing(self, channels: Iterable[str]) -> AsyncIterator[None]:
        """Within it, what changes the members of all of these may be submitted."""
        async with AsyncExitStack() as stack:
            for name in sorted(set(channels)):  # in one order, so that no two wait for each other
                new = ChannelThrottle(partial(self._behind, name))
                await stack.enter_async_context(self._throttles.setdefault(name, new))
            yield
