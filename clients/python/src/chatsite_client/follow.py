"""Follows a channel's stored messages: each once and in order, whatever becomes of the connection.

As follow.js does, with two differences, since a program reads at its own pace: the frames that wait
are the socket's (connection.MAX_WAITING), and history is read forward, page by page, so that no
number of missed messages is too large to be told.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, Final, TypedDict, cast

from .backoff import Backoff
from .connection import PAGE, Connection, Frame, Lost, Subscribed
from .messages import Deletion, Event, Held, Message, message_of, reaction_of

log = logging.getLogger("chatsite_client")

STABLE_SECONDS: Final = 10.0  # only a connection that lasted makes earlier failures forgotten
MAX_REFUSALS: Final = 5  # in a row
# Try again later, revoked, too slow, too fast: the server refuses who returns at once.
UNHURRIED: Final = frozenset({1013, 4403, 4410, 4429})
RESTARTING: Final = 1012
RESTART_JITTER: Final = 0.5

Connect = Callable[[], Awaitable[AbstractAsyncContextManager[Connection]]]


class Position(TypedDict, total=False):
    """Plain JSON, the browser client's too: of the last change that was told, the numbering that
    it belongs to, and the last message."""

    position: int
    epoch: str
    id: str


class Pace:
    """How long to wait before the next connection."""

    def __init__(self) -> None:
        self._backoff = Backoff()
        self._since: float | None = None
        self._unhurried = False
        self._refusals = 0

    def subscribed(self) -> None:
        self._since = time.monotonic()
        self._refusals = 0

    def lost(self, lost: Lost) -> float:
        """Seconds. Raises what was refused too often."""
        since, self._since = self._since, None
        if since is not None and time.monotonic() - since >= STABLE_SECONDS:
            self._backoff.reset()
            self._unhurried = False
        self._unhurried |= lost.code in UNHURRIED
        self._refusals += lost.final is not None
        if lost.final is not None and self._refusals == MAX_REFUSALS:
            raise lost.final
        jitter = random.uniform(0, RESTART_JITTER) if lost.code == RESTARTING else 0.0  # noqa: S311
        at_once = since is not None and not self._unhurried
        return jitter + self._backoff.next(at_once=at_once, retry_after=lost.retry_after)


class Follow:
    """`async for message in follow` gives Messages; `follow.events()` also Reactions and Deletions.

    Begins after `since`, the `position` of an earlier follower, or else with the newest `limit`
    messages (0 to 100; None: with all that history has); gives messages of `event` alone, where
    that is stated. The token must let it subscribe, and grant `historyStart`. Breaking off and
    iterating again goes on where it was.

    Never ends by itself. Raises Refused where the channel is refused, or five handshakes in a row
    are, and what the token function raised five times in a row. All else is logged, to
    `chatsite_client`, and tried again.
    """

    def __init__(
        self,
        connect: Connect,
        channel: str,
        *,
        since: Position | None = None,
        event: str | None = None,
        limit: int | None = 50,
    ) -> None:
        if limit is not None and not 0 <= limit <= PAGE:
            raise ValueError(f"limit must be 0 to {PAGE}, or None.")
        self._connect = connect
        self._channel = channel
        self._event = event
        self._limit = limit
        self._position: Position | None = _valid({} if limit is None and since is None else since)
        self._held = Held()

    @property
    def position(self) -> Position | None:
        """To save, and to give as `since` later; includes what was given last. None before anything
        is known."""
        return self._position

    def __aiter__(self) -> AsyncIterator[Message]:
        return self._messages()

    async def _messages(self) -> AsyncIterator[Message]:
        async with aclosing(self.events()) as events:
            async for event in events:
                if isinstance(event, Message):
                    yield event

    async def events(self) -> AsyncGenerator[Event, None]:
        """Messages, and what becomes of them, in the channel's order."""
        pace = Pace()
        while True:
            try:
                async with await self._connect() as connection:
                    subscribed = await connection.subscribe(self._channel, self._known)
                    pace.subscribed()
                    async for event in self._told(connection, subscribed):
                        yield event
            except Lost as lost:
                wait = pace.lost(lost)
                log.warning("%s: %s; again in %.1f s", self._channel, lost, wait)
                await asyncio.sleep(wait)

    async def _told(self, connection: Connection, subscribed: Subscribed) -> AsyncIterator[Event]:
        if not subscribed.recovered:
            async for event in self._past(connection, subscribed):
                yield event
        if not subscribed.recovered or subscribed.replayed == 0:
            self._advance(position=subscribed.position, epoch=subscribed.epoch)
        while True:
            frame = await connection.receive()
            if frame.get("channel") != subscribed.channel:
                continue
            if frame["event"] == "hotsock.unsubscribed":
                raise Lost("the subscription was ended")
            if (news := self._read(frame)) is not None:
                yield news

    async def _past(self, connection: Connection, subscribed: Subscribed) -> AsyncIterator[Event]:
        """What was missed, by history: as it is read after subscribing, it has all that came
        before that."""
        if self._position is None:
            page = await connection.history(reverse=True, limit=self._limit or 1)
            for message in reversed(page):
                if self._takes_past(message, subscribed) and self._limit != 0:
                    yield message
            return
        after = self._held.begin or self._position.get("id") or None
        is_last = False
        while not is_last:
            page = await connection.history(after=after)
            is_last = len(page) < PAGE
            for event in self._compared(after or "", page, is_last, subscribed):
                yield event
            after = page[-1].id if page else after

    def _compared(
        self, after: str, page: Sequence[Message], is_last: bool, subscribed: Subscribed
    ) -> Iterator[Event]:
        """What a page of history, of the messages `after` an id, has of news."""
        yield from self._held.missing(after, page, is_last=is_last)
        for message in page:
            if message.id in self._held:
                yield from self._held.differences(message)
            elif self._is_news(message, subscribed) and self._takes_past(message, subscribed):
                yield message

    def _is_news(self, message: Message, subscribed: Subscribed) -> bool:
        known = self._known
        is_same = subscribed.epoch == known.get("epoch")
        if is_same and message.position <= known.get("position", -1):
            return False
        return message.id > known.get("id", "")

    def _read(self, frame: Frame) -> Event | None:
        """The news that a frame of the channel is, if any. What has no position is not stored."""
        position = frame.get("position")
        if not isinstance(position, int) or position <= self._known.get("position", -1):
            return None
        self._advance(position=position)
        reader = READERS.get(frame["event"], Follow._message)
        try:
            return reader(self, frame)
        except (LookupError, TypeError, AttributeError):
            return None  # not of the protocol

    def _message(self, frame: Frame) -> Event | None:
        if frame["event"].startswith("hotsock."):
            return None
        message = message_of(frame)
        is_news = message.id > self._known.get("id", "")
        return message if is_news and self._takes(message) else None

    def _reaction(self, frame: Frame) -> Event | None:
        change = reaction_of(frame)
        return change if self._held.react(change) else None

    def _deletion(self, frame: Frame) -> Event | None:
        deletion = Deletion(frame["data"]["messageId"])
        self._held.remove(deletion.message_id)
        return deletion

    def _takes_past(self, message: Message, subscribed: Subscribed) -> bool:
        """As `_takes`. History has all changes up to hotsock.subscribed, maybe none after it."""
        known = min(message.position, subscribed.position)
        self._advance(position=known, epoch=subscribed.epoch)
        return self._takes(message)

    def _takes(self, message: Message) -> bool:
        """Counts it as told; whether it is to be."""
        self._advance(id=message.id)
        self._held.add(message)
        return self._event in (None, message.event)

    @property
    def _known(self) -> Position:
        return self._position or {}

    def _advance(self, **changes: Any) -> None:
        self._position = cast("Position", {**self._known, **changes})


READERS: Final[dict[str, Callable[[Follow, Frame], Event | None]]] = {
    "hotsock.messageReactionAdded": Follow._reaction,
    "hotsock.messageReactionRemoved": Follow._reaction,
    "hotsock.messageDeleted": Follow._deletion,
}


def _valid(since: Position | None) -> Position | None:
    if since is None:
        return None
    position, epoch, id = (since.get(name) for name in ("position", "epoch", "id"))
    is_numbered = type(position) is int and position >= 0 and isinstance(epoch, str)
    if not (is_numbered or position is epoch is None) or not isinstance(id, str | None):
        raise ValueError("since must be the position of a follower.")
    return cast("Position", {name: value for name, value in since.items() if value is not None})
