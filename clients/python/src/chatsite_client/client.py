"""The two faces of the client: one that waits, and one for asyncio. Both do the calls of `calls`;
only the latter can follow a channel."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final, Self, TypeVar, Unpack

import httpx

from . import calls
from .calls import Call, ChannelInfo, Entry, Options, Receipt, Tries
from .connection import Connection, Lost, connecting
from .errors import ChatError, Unreachable
from .follow import Follow, Position

T = TypeVar("T")

TIMEOUT_SECONDS: Final = 10.0
IDLE_SECONDS: Final = 2.0  # the server closes connections after 5: not while we send
NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

TokenFunction = Callable[[], str | Awaitable[str]]


class Client:
    """Calls the server at `url` with one of its API keys; usable from several threads.

    `timeout` is for each step of a call: connecting, sending, each read of the answer. Every method
    raises Refused or Unreachable. What is safe to repeat is tried four times: reading, publishing
    with a `deduplication_id`, and what the server has certainly not taken.
    """

    def __init__(self, url: str, api_key: str, *, timeout: float = TIMEOUT_SECONDS) -> None:
        self._http = httpx.Client(**_settings(url, api_key, timeout))

    def publish(
        self, channel: str, event: str, data: object = None, **options: Unpack[Options]
    ) -> Receipt:
        """Publishes a message, by default one that is not stored."""
        return self._do(calls.publish(channel, event, data, **options))

    def set_storage(
        self, channel: str, key: str, data: object, **options: Unpack[Options]
    ) -> Receipt:
        """Sets an entry, by default for ever; None or `{}` clears it."""
        return self._do(calls.set_storage(channel, key, data, **options))

    def react(
        self,
        channel: str,
        message_id: str,
        reaction: str,
        uid: str,
        umd: object = None,
        action: str = "add",
    ) -> Receipt:
        """Adds a reaction of `uid`'s to a stored message or, with `action` "remove", removes it."""
        return self._do(calls.react(channel, message_id, reaction, uid, umd, action))

    def delete_message(self, channel: str, message_id: str) -> None:
        """Deletes a stored message with its reactions. Refused with a 404: there is none."""
        self._do(calls.delete_message(channel, message_id))

    def cancel_schedule(self, schedule_arn: str) -> bool:
        """Whether there was such a schedule, which will not be done now."""
        return self._do(calls.cancel_schedule(schedule_arn))

    def channel_info(self, channel: str) -> ChannelInfo:
        """How many subscribe to a channel, and who is in it."""
        return self._do(calls.channel_info(channel))

    def list_storage(self, channel: str, keys: Iterable[str] = (), after: str = "") -> list[Entry]:
        """Entries in the order of their keys, 100 at most; the next ones are `after` the last."""
        return self._do(calls.list_storage(channel, keys, after))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _do(self, call: Call[T]) -> T:
        tries = Tries(call)
        while True:
            try:
                return self._try(call)
            except ChatError as error:
                time.sleep(tries.wait(error))

    def _try(self, call: Call[T]) -> T:
        try:
            answer = self._http.request(
                call.method, call.path, content=call.content, params=call.query
            )
        except httpx.RequestError as error:
            raise _unreachable(error) from error
        return call.result(answer.status_code, answer.headers, answer.content)


class AsyncClient:
    """As Client, within one event loop. Without `api_key` it can only follow: for that, `token`
    gives a connect token each time that it connects."""

    def __init__(
        self,
        url: str,
        api_key: str = "",
        *,
        token: TokenFunction | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self._http = httpx.AsyncClient(**_settings(url, api_key, timeout))
        self._token = token

    def follow(
        self,
        channel: str,
        *,
        since: Position | None = None,
        event: str | None = None,
        limit: int | None = 50,
    ) -> Follow:
        """The channel's stored messages, each once and in order, for ever: `async for message in
        client.follow("news")`. See Follow."""
        if self._token is None:
            raise TypeError("To follow, the client needs a token function.")
        connect = partial(self._connect, self._token)
        return Follow(connect, channel, since=since, event=event, limit=limit)

    async def publish(
        self, channel: str, event: str, data: object = None, **options: Unpack[Options]
    ) -> Receipt:
        return await self._do(calls.publish(channel, event, data, **options))

    async def set_storage(
        self, channel: str, key: str, data: object, **options: Unpack[Options]
    ) -> Receipt:
        return await self._do(calls.set_storage(channel, key, data, **options))

    async def react(
        self,
        channel: str,
        message_id: str,
        reaction: str,
        uid: str,
        umd: object = None,
        action: str = "add",
    ) -> Receipt:
        return await self._do(calls.react(channel, message_id, reaction, uid, umd, action))

    async def delete_message(self, channel: str, message_id: str) -> None:
        await self._do(calls.delete_message(channel, message_id))

    async def cancel_schedule(self, schedule_arn: str) -> bool:
        return await self._do(calls.cancel_schedule(schedule_arn))

    async def channel_info(self, channel: str) -> ChannelInfo:
        return await self._do(calls.channel_info(channel))

    async def list_storage(
        self, channel: str, keys: Iterable[str] = (), after: str = ""
    ) -> list[Entry]:
        return await self._do(calls.list_storage(channel, keys, after))

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _do(self, call: Call[T]) -> T:
        tries = Tries(call)
        while True:
            try:
                return await self._try(call)
            except ChatError as error:
                await asyncio.sleep(tries.wait(error))

    async def _try(self, call: Call[T]) -> T:
        try:
            answer = await self._http.request(
                call.method, call.path, content=call.content, params=call.query
            )
        except httpx.RequestError as error:
            raise _unreachable(error) from error
        return call.result(answer.status_code, answer.headers, answer.content)

    async def _connect(self, give: TokenFunction) -> AbstractAsyncContextManager[Connection]:
        try:
            given = give()
            token = given if isinstance(given, str) else await given
        except Exception as error:  # whatever it asks may be away for a while
            raise Lost("the token function failed", final=error) from error
        address = self._http.base_url.join("v1")
        scheme = address.scheme.replace("http", "ws")
        return connecting(str(address.copy_with(scheme=scheme)), token, self._do)


def _settings(url: str, api_key: str, timeout: float) -> dict[str, Any]:
    if not url.startswith(("http://", "https://")):
        raise ValueError("url must begin with http:// or https://.")
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    limits = httpx.Limits(keepalive_expiry=IDLE_SECONDS)
    return {"base_url": url, "headers": headers, "timeout": timeout, "limits": limits}


def _unreachable(error: httpx.RequestError) -> Unreachable:
    why = str(error) or "no answer came in time"
    return Unreachable(f"{type(error).__name__}: {why}", sent=not isinstance(error, NOT_SENT))
