"""Subscribing to a channel and ending it (protocol.md section 7)."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chat.fanout.feed import Subscriber
from chat.protocol import events
from chat.protocol.commands import Subscribe, Unsubscribe
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.subscription import Subscription
from chat.runtime.connection import LiveConnection
from chat.runtime.node import Node
from chat.store import operations
from tokens.claims import Claims, TokenError
from tokens.names import is_presence
from tokens.signing import verify

from .connections import single_use
from .storage import show_observed

log = logging.getLogger("chat.subscriptions")


async def subscribe(
    node: Node, connection: LiveConnection, command: Subscribe, *, auto: bool = False
) -> None:
    """Subscribes and says so, with what is stored under the observed keys, then lets through what
    was published meanwhile.

    The hub holds back whatever arrives until `hotsock.subscribed` has been pushed, so nothing
    that is published after it can be missed (promise P3).
    """
    claims = None if command.token is None else _verified(command.token)
    async with connection.changing:
        subscription = connection.session.may_subscribe(command, claims)
        subscriber = connection.subscriber(subscription)
        head, members = await _register(node, connection, subscription, subscriber)
        connection.session.begin(subscription)
    connection.send_queue.push(_told(subscription, auto, members))
    await show_observed(connection.send_queue, subscription, head)
    node.hub.settle(subscription.channel, subscriber, head)


async def _register(
    node: Node, connection: LiveConnection, subscription: Subscription, subscriber: Subscriber
) -> tuple[int, bytes | None]:
    """Begins a subscription; gives its channel's number then and, of a presence channel, the
    members as JSON."""
    channel, claims = subscription.channel, subscription.claims
    operation = operations.Subscribe(
        connection_id=connection.id,
        channel=channel,
        claims=claims.payload if claims else "",
        uid=subscription.uid,
        umd=subscription.umd,
        counted=not subscription.grants.channel(channel).omit_from_sub_count,
        single_use=single_use(claims) if claims else None,
        node_id=node.id,
    )
    async with _joining(node, connection, channel):
        node.hub.join(channel, subscriber)
        try:
            await node.hub.reach(channel)
            subscription.head_id, head = await node.writer.submit(operation)
        except BaseException:
            node.hub.leave(channel, connection.id)
            raise
    return head, operation.members


@asynccontextmanager
async def _joining(node: Node, connection: LiveConnection, channel: str) -> AsyncIterator[None]:
    """On a presence channel: in its turn, and noted until it is known whether it is in. What was
    submitted is done also where its client leaves meanwhile."""
    if not is_presence(channel):
        yield
        return
    async with node.member_throttle.passing([channel]):
        before, connection.joining = connection.joining, (*connection.joining, channel)
        try:
            yield
        except ProtocolError as error:
            if error.code is not ErrorCode.SERVICE_UNAVAILABLE:
                connection.joining = before
            raise
    connection.joining = before


def _verified(token: str) -> Claims:
    try:
        return verify(token, scope="subscribe", now=time.time())
    except TokenError as error:
        log.info("A subscribe token was refused: %s", error)
        raise ProtocolError(
            ErrorCode.INVALID_SUBSCRIBE_TOKEN, f"data.token was refused: {error}."
        ) from None


def _told(subscription: Subscription, auto: bool, members: bytes | None) -> events.Event:
    return events.subscribed(
        *(subscription.channel, subscription.meta, subscription.alias), auto=auto, members=members
    )


async def unsubscribe(node: Node, connection: LiveConnection, command: Unsubscribe) -> None:
    """Ends a subscription; after `hotsock.unsubscribed` nothing of the channel follows."""
    subscription = connection.session.subscription(command.channel)
    channel = subscription.channel
    async with node.member_throttle.passing(filter(is_presence, [channel])):
        await node.writer.submit(operations.Unsubscribe(connection.id, channel))
    node.hub.leave(channel, connection.id)
    connection.session.end(channel)
    connection.send_queue.push(events.unsubscribed(channel, subscription.meta, subscription.alias))
