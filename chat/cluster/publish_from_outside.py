"""From a process that serves nobody (a task, a command) to those that do, through Redis."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, cast

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from chat.cluster.envelope import Message, encode, group_of, message
from chat.cluster.redis_layer import RedisLayer
from chat.fanout.announcements import Announcement

log = logging.getLogger("chat.broker")

SEND_SECONDS: Final = 2.0


def tell_servers(items: Sequence[Announcement]) -> None:
    """Announces what was done. Where Redis is away, servers find by themselves what is stored.

    Not on an event loop: it waits, SEND_SECONDS at most.
    """
    sent = [(group_of(item.channel), message(encode(item))) for item in items]
    try:
        async_to_sync(_send)(sent)
    except (RedisError, OSError, TimeoutError) as error:
        log.warning("Servers were not told of what was published: %r", error)


async def _send(sent: Sequence[tuple[str, Message]]) -> None:
    layer = cast("RedisLayer", get_channel_layer())
    async with asyncio.timeout(SEND_SECONDS):
        await layer.group_send_many(sent)
    await layer.close()
