"""Changes of a presence channel's members go a few at a time, and those of one member no more
often than it may change (promise P6).

Each is announced to all members with the whole list, up to 100 KB. All at once would fill every
send queue, and close those who read as fast as anyone can.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import lru_cache, partial
from typing import Final, Protocol
from weakref import WeakValueDictionary

from chat.fanout.announcements import Announcement
from chat.fanout.send_queue import MAX_STALL_SECONDS
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.frames import MAX_RATES, Rate

IN_FLIGHT: Final = 8
WAIT_SECONDS: Final = 1.0
POLL_SECONDS: Final = 0.005
CHANGES_PER_SECOND: Final = 0.5  # of one member in one channel
CHANGES_AT_ONCE: Final = 8

Members = Mapping[str, str]
"""Channel -> the uid that joins it, leaves it or gets other metadata there."""
NOBODY: Final[Members] = {}


class Changing(Protocol):
    """An operation that may change members; where it is `quiet`, it raises RATE_LIMITED instead.
    `announced` is what it has changed, once it is done."""

    quiet: bool
    announced: Sequence[Announcement]


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
    """A member may change CHANGES_AT_ONCE times in a channel, then once in two seconds, whichever
    connection causes it. It leaves only while it could come back at once: what leaves and comes
    back faster than that stays a member."""

    def __init__(self, behind: Callable[[str], bool]) -> None:
        self._behind = behind
        self._throttles = WeakValueDictionary[str, ChannelThrottle]()  # those in use
        self._rate = lru_cache(MAX_RATES)(_changes)

    @asynccontextmanager
    async def changing(
        self,
        operation: Changing,
        members: Members,
        *,
        leaving: bool = False,
        channels: Iterable[str] = (),
    ) -> AsyncIterator[None]:
        """Within it, an operation that may change these members, or others of `channels`, may be
        submitted; it is quiet where they have changed too often. What it does not change does not
        count."""
        names = [*members, *channels]
        if not names:  # most channels have no members
            yield
            return
        operation.quiet = not self._take(members, leaving=leaving)
        try:
            async with self.passing(names):
                yield
        finally:
            changed = {each.channel for each in operation.announced}
            for channel, uid in members.items():
                if channel not in changed and not operation.quiet:
                    self._rate(channel, uid).add(-1)

    def _take(self, members: Members, *, leaving: bool) -> bool:
        """Whether each of them may change now; then it counts as changed."""
        now, units = asyncio.get_running_loop().time(), 2 if leaving else 1
        rates = [self._rate(*member) for member in members.items()]
        taken = [rate for rate in rates if rate.allows(now, units)]
        back = units - 1 if len(taken) == len(rates) else units
        for rate in taken:
            rate.add(-back)
        return len(taken) == len(rates)

    @asynccontextmanager
    async def passing(self, channels: Iterable[str]) -> AsyncIterator[None]:
        """Within it, what changes the members of all of these may be submitted."""
        async with AsyncExitStack() as stack:
            for name in sorted(set(channels)):  # in one order, so that no two wait for each other
                new = ChannelThrottle(partial(self._behind, name))
                await stack.enter_async_context(self._throttles.setdefault(name, new))
            yield


def _changes(channel: str, uid: str) -> Rate:
    return Rate(CHANGES_PER_SECOND, CHANGES_AT_ONCE / CHANGES_PER_SECOND)


def too_often() -> ProtocolError:
    return ProtocolError(
        ErrorCode.RATE_LIMITED, "This member changes too often; try again in a few seconds."
    )
