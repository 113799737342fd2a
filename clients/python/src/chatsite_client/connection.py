"""One WebSocket that subscribes to one channel, and that channel's history, read by its
credentials (protocol.md sections 6, 7, 14 and 19)."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from .calls import Call, refusal
from .errors import ChatError, Refused
from .messages import Message, message_of

HANDSHAKE_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 15.0
CLOSE_SECONDS: Final = 2.0
PAGE: Final = 100  # messages of history in an answer
MAX_FRAME_BYTES: Final = 1024 * 1024
# Frames that wait for the program. When there are more, no more is read; the server closes what
# reads too slowly, and the next connection recovers.
MAX_WAITING: Final = 64

FINAL_STATUSES: Final = frozenset({400, 401, 403, 404})
PASSING_CODES: Final = frozenset({"RATE_LIMITED", "SERVICE_UNAVAILABLE", "NOT_SUBSCRIBED"})
ALREADY: Final = "The token subscribes to the channel itself (autoSubscribe), and nothing recovers."
OLD: Final = "The server does not number what it stores (protocol.md section 19)."

Frame = dict[str, Any]
Do = Callable[[Call[Any]], Awaitable[Any]]


class Lost(Exception):
    """A connection has ended, or was not made: another one may do better. `code` is the close's;
    `final` is what to raise where it fails so again and again."""

    def __init__(
        self,
        reason: str,
        *,
        code: int = 0,
        retry_after: float | None = None,
        final: Exception | None = None,
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.retry_after = retry_after
        self.final = final


@dataclass(frozen=True, slots=True)
class Subscribed:
    """What hotsock.subscribed said; `channel` is the real name."""

    channel: str
    position: int
    epoch: str
    recovered: bool
    replayed: int


class Connection:
    """Open, from hotsock.connected on."""

    def __init__(self, socket: ClientConnection, do: Do) -> None:
        self._socket = socket
        self._do = do
        self._credentials: dict[str, str] = {}
        self._channel = ""

    async def connected(self) -> None:
        """Waits for hotsock.connected."""
        async with asyncio.timeout(ANSWER_SECONDS):
            data = (await self.receive())["data"]
        names = ("connectionId", "connectionSecret")
        self._credentials = {name: str(data[name]) for name in names}

    async def subscribe(self, channel: str, since: Mapping[str, Any]) -> Subscribed:
        """`since` has a position and an epoch, or neither. Raises Lost, and Refused where to ask
        again is no use."""
        data = {name: since.get(key) for name, key in (("since", "position"), ("epoch", "epoch"))}
        await self._send({"event": "hotsock.subscribe", "channel": channel, "data": data})
        with _protocol():
            async with asyncio.timeout(ANSWER_SECONDS):
                while (answer := _answer(await self.receive(), channel)) is None:
                    pass
        self._channel = answer.channel
        return answer

    async def receive(self) -> Frame:
        """The next frame. Raises Lost."""
        while True:
            try:
                frame = json.loads(await self._socket.recv())
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else 1006
                raise Lost(f"closed, {code}", code=code) from None
            except (ValueError, RecursionError):
                continue  # whatever that was
            if isinstance(frame, dict) and isinstance(frame.get("event"), str):
                return frame

    async def history(self, **body: Any) -> list[Message]:
        """Up to 100 stored messages, with who reacted to them. Raises Lost and Refused."""
        body = {"channel": self._channel, "expandReactions": True, **body}
        path, query = "connection/listMessages", self._credentials
        call = Call("POST", path, _messages, body, query, is_repeatable=True)
        try:
            return list(await self._do(call))
        except ChatError as error:
            known = error if isinstance(error, Refused) else None
            if known and known.status in (400, 403) and known.code not in PASSING_CODES:
                raise
            after = known.retry_after if known else None
            raise Lost(f"history could not be read: {error}", retry_after=after) from error

    async def _send(self, frame: Frame) -> None:
        with suppress(ConnectionClosed):  # `receive` says so
            await self._socket.send(json.dumps(frame))


@asynccontextmanager
async def connecting(address: str, token: str, do: Do) -> AsyncIterator[Connection]:
    """Raises Lost where there is none."""
    socket = await _open(address, token)
    try:
        connection = Connection(socket, do)
        with _protocol():
            await connection.connected()
        yield connection
    finally:
        await socket.close()


async def _open(address: str, token: str) -> ClientConnection:
    try:
        return await connect(
            address,
            additional_headers={"Authorization": f"Bearer {token}"},
            compression=None,
            open_timeout=HANDSHAKE_SECONDS,
            close_timeout=CLOSE_SECONDS,
            max_size=MAX_FRAME_BYTES,
            max_queue=MAX_WAITING,
        )
    except InvalidStatus as error:
        answer = error.response
        known = refusal(answer.status_code, answer.headers, bytes(answer.body or b""))
        final = known if known.status in FINAL_STATUSES else None
        raise Lost(f"refused, {known}", retry_after=known.retry_after, final=final) from None
    except (OSError, WebSocketException) as error:
        raise Lost(f"{type(error).__name__}: {error}") from error


@contextmanager
def _protocol() -> Iterator[None]:
    """What does not answer, or not as the protocol says, is lost."""
    try:
        yield
    except TimeoutError:
        raise Lost(f"no answer within {ANSWER_SECONDS:.0f} s") from None
    except (LookupError, TypeError, ValueError) as error:
        raise Lost("it does not speak the protocol") from error


def _answer(frame: Frame, channel: str) -> Subscribed | None:
    """Of hotsock.subscribe; None for any other frame. The error has the name that was asked for,
    or the real one."""
    if frame["event"] == "hotsock.error":
        error = frame["error"]
        code, message = error["code"], error["message"]
        if code == "ALREADY_SUBSCRIBED":
            raise Refused(code, ALREADY)
        if frame.get("channel") != channel:
            return None
        raise Lost(message) if code in PASSING_CODES else Refused(code, message)
    if frame["event"] != "hotsock.subscribed" or frame["data"].get("autoSubscribed"):
        return None
    return _subscribed(frame["channel"], frame["data"])


def _subscribed(channel: str, data: dict[str, Any]) -> Subscribed:
    position, epoch = data.get("position"), data.get("epoch")
    if not isinstance(position, int) or not isinstance(epoch, str):
        raise Refused("INVALID_MESSAGE", OLD)
    return Subscribed(
        channel, position, epoch, data.get("recovered") is True, data.get("replayed", 0)
    )


def _messages(answer: Any) -> list[Message]:
    return [message_of(item) for item in answer["messages"]]
