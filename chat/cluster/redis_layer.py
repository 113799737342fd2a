"""The Redis channel layer, with two things that its base lacks.

Joining a group returns once Redis has confirmed it: whatever is sent to the group from then on
arrives (with the base, and a link 3 ms slower, 100 of 100 later messages were lost: design.md
section 4). And messages to many groups take one round trip together.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import blake2b
from typing import Any, Final

from channels_redis.pubsub import (
    RedisPubSubChannelLayer,
    RedisPubSubLoopLayer,
    RedisSingleShardConnection,
)
from channels_redis.utils import _wrap_close
from django.conf import settings as django_settings
from redis import exceptions

from chat.conf import settings

log = logging.getLogger("chat.layer")

RETRY_SECONDS: Final = 0.2
CLOSE_SECONDS: Final = 1.0
CLOSED: Final = (exceptions.ConnectionError, OSError, RuntimeError)  # the last is uvloop's


class RedisLayer(RedisPubSubChannelLayer):
    """As its base, for one event loop a process."""

    def _get_layer(self) -> "LoopLayer":
        loop = asyncio.get_running_loop()
        if loop not in self._layers:
            self._layers[loop] = LoopLayer(*self._args, **self._kwargs, channel_layer=self)
            _wrap_close(self, loop)
        layer: LoopLayer = self._layers[loop]
        return layer

    def of_loop(self) -> "LoopLayer":
        """The layer of the running event loop."""
        return self._get_layer()


def channel_layer() -> RedisLayer:
    """This process's, to REDIS_URL."""
    return _layer(settings.REDIS_URL)


@cache
def _layer(url: str) -> RedisLayer:
    return RedisLayer(hosts=[url], prefix=prefix())


def prefix() -> str:
    """Begins each name of this site's in Redis."""
    # Redis passes messages on between its databases, too: what keeps two sites apart is that their
    # keys differ.
    site = blake2b(django_settings.SECRET_KEY.encode(), digest_size=8).hexdigest()
    return f"chat-{site}"


class LoopLayer(RedisPubSubLoopLayer):
    """`reconnected` is called whenever a lost connection is there again: what was sent meanwhile is
    missing."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.reconnected: Callable[[], object] = lambda: None
        self._closing: set[asyncio.Task[None]] = set()
        self._shards: list[Shard] = [Shard(shard.host, self) for shard in self._shards]

    def reset(self) -> None:
        """Forgets its channels and groups, and makes new connections; the old ones are closed when
        they can be."""
        for shard in self._shards:
            task = asyncio.create_task(shard.flush())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        self._shards = [Shard(shard.host, self) for shard in self._shards]
        self.channels.clear()
        self.groups.clear()

    async def close(self) -> None:
        """Closes its connections, as far as Redis lets it within CLOSE_SECONDS."""
        self.reset()
        await asyncio.wait(self._closing, timeout=CLOSE_SECONDS)

    async def renew(self) -> None:
        """Makes new connections where those that it kept were closed meanwhile."""
        try:
            await asyncio.gather(*(shard.ping() for shard in self._shards))
        except CLOSED:
            self.reset()

    async def group_send_many(self, sent: Sequence[tuple[str, object]]) -> None:
        """Messages with their groups, in this order."""
        by_shard: dict[Shard, list[tuple[str, bytes]]] = {}
        for group, message in sent:
            name = self._get_group_channel_name(group)
            payload = self.channel_layer.serialize(message)
            by_shard.setdefault(self._get_shard(name), []).append((name, payload))
        await asyncio.gather(*(shard.publish_many(part) for shard, part in by_shard.items()))


class Shard(RedisSingleShardConnection):
    def __init__(self, host: object, layer: LoopLayer) -> None:
        super().__init__(host, layer)
        self._unconfirmed: dict[str, asyncio.Future[None]] = {}

    async def ping(self) -> None:
        """Where it is connected."""
        if self._redis is not None:
            await self._redis.ping()

    async def publish_many(self, messages: Sequence[tuple[str, bytes]]) -> None:
        self._ensure_redis()
        pipeline = self._redis.pipeline(transaction=False)
        for name, payload in messages:
            pipeline.publish(name, payload)
        try:
            await pipeline.execute()
        except RuntimeError as error:  # uvloop's, where the connection is closed meanwhile
            raise ConnectionError(str(error)) from error

    async def subscribe(self, channel: str) -> None:
        """Returns when Redis has confirmed it; how long to wait is the caller's decision."""
        waiting = self._unconfirmed.get(channel)
        if waiting is None:
            if channel in self._subscribed_to:
                return
            waiting = asyncio.get_running_loop().create_future()
            self._unconfirmed[channel] = waiting
            try:
                await super().subscribe(channel)
            except BaseException:
                del self._unconfirmed[channel]
                waiting.cancel()
                raise
        await asyncio.shield(waiting)

    async def _do_receiving(self) -> None:
        """As the base's, but it sees confirmations, and waits for a message without polling."""
        lost = False
        while True:
            try:
                if self._pubsub.subscribed:
                    self._receive_message(await self._pubsub.get_message(timeout=None))
                    lost = False
                else:
                    await asyncio.sleep(RETRY_SECONDS)
            except Exception as error:
                if not lost:
                    log.warning("The connection to Redis was lost: %s", error)
                lost = True
                await asyncio.sleep(RETRY_SECONDS)

    def _receive_message(self, message: dict[str, Any] | None) -> None:
        if message is None or message["type"] == "unsubscribe":
            return
        if message["type"] != "subscribe":
            super()._receive_message(message)
            return
        waiting = self._unconfirmed.pop(message["channel"].decode(), None)
        if waiting is None:  # not asked for: the client of Redis has subscribed again by itself
            self.channel_layer.reconnected()
        elif not waiting.done():
            waiting.set_result(None)
