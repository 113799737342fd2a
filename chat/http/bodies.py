"""A request's body on its way: bounded in bytes, seconds and pace. Knows ASGI; no Django here."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, ClassVar, Final, Self

from chat.protocol.errors import ErrorCode, ProtocolError

SITE_BYTES: Final = 1024 * 1024  # of a body for another page than the API's
SMALL_BYTES: Final = 32 * 1024
MAX_LARGE: Final = 4  # such bodies of more than SMALL_BYTES under way in this process
SECONDS: Final = 10
FREE_SECONDS: Final = 2  # before BYTES_PER_SECOND are asked for
BYTES_PER_SECOND: Final = 16 * 1024
DROP_SECONDS: Final = 2

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class BodyError(ProtocolError):
    """The body is refused with this HTTP status."""

    def __init__(self, status: int, code: ErrorCode, message: str) -> None:
        super().__init__(code, message)
        self.status = status


class Body:
    """At most `limit` bytes, of an ASGI scope; `with` it while it may be in memory."""

    large: ClassVar[int] = 0  # how many have one of the MAX_LARGE places

    def __init__(self, scope: Message, receive: Receive, limit: int) -> None:
        headers = dict(scope["headers"])
        self.declared = int(headers.get(b"content-length", 0))
        self.whole = False  # nothing more comes
        self._cut = False  # its client is gone
        self._asks_first = b"expect" in headers
        self._receive, self._limit = receive, limit
        self._data = bytearray()
        self._size = 0
        self._is_large = False
        self._began = asyncio.get_running_loop().time()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._give_up_place()

    def _give_up_place(self) -> None:
        Body.large -= self._is_large
        self._is_large = False

    def check(self) -> None:
        """Raises BodyError where it is too large, or there are too many large ones."""
        size = max(self.declared, self._size)
        if size > self._limit:
            message = f"The body takes more than {self._limit} bytes."
            raise BodyError(413, ErrorCode.DATA_TOO_LARGE, message)
        if self._size > SMALL_BYTES and self._limit == SITE_BYTES and not self._is_large:
            if Body.large == MAX_LARGE:
                message = "Too many large bodies are under way; try again."
                raise BodyError(503, ErrorCode.SERVICE_UNAVAILABLE, message)
            self._is_large = True
            Body.large += 1

    async def has_come(self) -> bool:
        """Whether all of it is here; does not wait."""
        if not (self.whole or self._asks_first):
            with suppress(TimeoutError, BodyError):
                async with asyncio.timeout(0):
                    await self.read()
        return self.whole

    async def read(self) -> bytes:
        """All of it. Raises BodyError."""
        self._began = asyncio.get_running_loop().time()
        self.check()
        while not self.whole:
            self._data += (await self.receive()).get("body", b"")
        if self._cut:
            raise BodyError(400, ErrorCode.INVALID_REQUEST, "The body ended early.")
        return bytes(self._data)

    async def receive(self) -> Message:
        """The next ASGI message. Raises BodyError where the body is too large or too slow."""
        if self.whole:
            return await self._receive()
        seconds = min(SECONDS, FREE_SECONDS + self._size / BYTES_PER_SECOND)
        try:
            async with asyncio.timeout_at(self._began + seconds):
                message = await self._next()
        except TimeoutError:
            late = "The body did not come in time."
            raise BodyError(408, ErrorCode.INVALID_REQUEST, late) from None
        self.check()
        return message

    async def drop(self) -> None:
        """Takes what still comes, for a moment: a connection that is closed with bytes unread is
        reset, and the answer may be lost."""
        self._data.clear()
        self._give_up_place()
        if not self.whole:
            with suppress(TimeoutError):
                async with asyncio.timeout(DROP_SECONDS):
                    while not self.whole:
                        await self._next()

    async def _next(self) -> Message:
        message = await self._receive()
        self._size += len(message.get("body", b""))
        self.whole = not message.get("more_body", False)
        self._cut = message["type"] == "http.disconnect"
        return message
