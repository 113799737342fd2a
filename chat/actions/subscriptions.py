"""Subscribing to a channel and ending it (protocol.md section 7)."""

import logging
import time

from chat.delivery import operations
from chat.delivery.live import LiveConnection
from chat.node import Node
from chat.protocol import events
from chat.protocol.commands import Subscribe, Unsubscribe
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.session import Subscription
from tokens.claims import Claims, TokenError
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
    subscription = connection.session.may_subscribe(command, claims)
    channel, subscriber = subscription.channel, connection.subscriber(subscription)
    node.hub.join(channel, subscriber)
    try:
        subscription.head_id, head = await node.writer.submit(
            operations.Subscribe(
                connection_id=connection.id,
                channel=channel,
                claims=claims.payload if claims else "",
                uid=subscription.uid,
                umd=subscription.umd,
                counted=not subscription.grants.channel(channel).omit_from_sub_count,
                single_use=single_use(claims) if claims else None,
            )
        )
    except BaseException:
        node.hub.leave(channel, connection.id)
        raise
    connection.session.subscriptions[channel] = subscription
    connection.outbox.push(_told(subscription, auto))
    await show_observed(connection, subscription, head)
    node.hub.settle(channel, subscriber, head)


def _verified(token: str) -> Claims:
    try:
        return verify(token, scope="subscribe", now=time.time())
    except TokenError as error:
        log.info("A subscribe token was refused: %s", error)
        raise ProtocolError(
            ErrorCode.INVALID_SUBSCRIBE_TOKEN, f"data.token was refused: {error}."
        ) from None


def _told(subscription: Subscription, auto: bool) -> events.Event:
    return events.subscribed(subscription.channel, subscription.meta, subscription.alias, auto=auto)


async def unsubscribe(node: Node, connection: LiveConnection, command: Unsubscribe) -> None:
    """Ends a subscription; after `hotsock.unsubscribed` nothing of the channel follows."""
    subscription = connection.session.subscription(command.channel)
    channel = subscription.channel
    await node.writer.submit(operations.Unsubscribe(connection.id, channel))
    node.hub.leave(channel, connection.id)
    del connection.session.subscriptions[channel]
    connection.outbox.push(events.unsubscribed(channel, subscription.meta, subscription.alias))
