"""How many calls of one connection are under way in this process: until their answers have left."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

from chat.protocol.errors import ErrorCode, ProtocolError

MAX_CALLS: Final = 4
MAX_PAGES: Final = 2  # of them; 100 messages or entries of 32 KiB take 3.3 MB
MAX_WAITING: Final = 100
WAIT_SECONDS: Final = 30  # longer than an unread answer is kept


class Turns:
    """Further calls wait, in order."""

    def __init__(self) -> None:
        self._calls = asyncio.Semaphore(MAX_CALLS)
        self._pages = asyncio.Semaphore(MAX_PAGES)
        self._waiting = 0

    def free(self, *, page: bool) -> bool:
        return not (self._calls.locked() or (page and self._pages.locked()))

    @asynccontextmanager
    async def take(self, *, page: bool) -> AsyncIterator[None]:
        """Raises RATE_LIMITED where MAX_WAITING calls wait, or after WAIT_SECONDS."""
        if self._waiting == MAX_WAITING:
            raise ProtocolError(ErrorCode.RATE_LIMITED, "Too many calls wait for their turn.")
        self._waiting += 1
        async with AsyncExitStack() as places:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    if page:
                        await places.enter_async_context(self._pages)
                    await places.enter_async_context(self._calls)
            except TimeoutError:
                message = f"{MAX_CALLS} calls are under way: read their answers."
                raise ProtocolError(ErrorCode.RATE_LIMITED, message) from None
            finally:
                self._waiting -= 1
            yield


_turns: WeakValueDictionary[str, Turns] = WeakValueDictionary()


def turns_of(connection_id: str) -> Turns:
    return _turns.setdefault(connection_id, Turns())
