"""Subscribing to a channel and ending it (protocol.md section 7)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chat.actions.connections import single_use, verified
from chat.actions.storage import show_observed
from chat.fanout.hub import Hub, Subscriber
from chat.fanout.member_throttle import MemberThrottle
from chat.protocol import commands, events
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.session import Subscription
from chat.runtime.connection import LiveConnection
from chat.store.operations.connections import Subscribe, Unsubscribe
from chat.store.writer import Writer
from tokens.names import is_presence


async def subscribe(
    connection: LiveConnection,
    command: commands.Subscribe,
    node_id: str,
    hub: Hub,
    writer: Writer,
    member_throttle: MemberThrottle,
    *,
    auto: bool = False,
) -> None:
    """Subscribes and says so, with what is stored under the observed keys, then lets through what
    was published meanwhile.

    The hub holds back what arrives until `hotsock.subscribed` has been pushed, so that nothing
    published after it is missed (promise P3). Raises ProtocolError.
    """
    claims = None if command.token is None else verified(command.token, "subscribe")
    async with connection.changing:
        subscription = connection.session.may_subscribe(command, claims)
        subscriber = Subscriber(connection.id, connection.send_queue, subscription.observes)
        channel = subscription.channel
        operation = _operation(connection, subscription, node_id)
        async with _joining(connection, channel, member_throttle):
            hub.subscribe(channel, subscriber)
            try:
                await hub.broker.subscribe(channel)
                subscription.head_id, head = await writer.submit(operation)
            except BaseException:
                hub.unsubscribe(channel, connection.id)
                raise
        connection.session.add(subscription)
    connection.send_queue.push(
        events.subscribed(
            *(channel, subscription.meta, subscription.alias), auto=auto, members=operation.members
        )
    )
    await show_observed(connection.send_queue, subscription, head)
    hub.release(channel, subscriber, head)


def _operation(connection: LiveConnection, subscription: Subscription, node_id: str) -> Subscribe:
    channel, claims = subscription.channel, subscription.claims
    return Subscribe(
        connection_id=connection.id,
        channel=channel,
        claims=claims.payload if claims else "",
        uid=subscription.uid,
        umd=subscription.umd,
        counted=not subscription.grants.channel(channel).omit_from_sub_count,
        single_use=single_use(claims) if claims else None,
        node_id=node_id,
    )


@asynccontextmanager
async def _joining(
    connection: LiveConnection, channel: str, member_throttle: MemberThrottle
) -> AsyncIterator[None]:
    """On a presence channel: in its turn, and noted until it is known whether it is a member. What
    was submitted is done also where its client leaves meanwhile."""
    if not is_presence(channel):
        yield
        return
    async with member_throttle.passing([channel]):
        before, connection.joining = connection.joining, (*connection.joining, channel)
        try:
            yield
        except ProtocolError as error:
            if error.code is not ErrorCode.SERVICE_UNAVAILABLE:
                connection.joining = before
            raise
    connection.joining = before


async def unsubscribe(
    connection: LiveConnection,
    command: commands.Unsubscribe,
    hub: Hub,
    writer: Writer,
    member_throttle: MemberThrottle,
) -> None:
    """Ends a subscription; after `hotsock.unsubscribed` nothing of the channel follows. Raises
    ProtocolError."""
    subscription = connection.session.subscription(command.channel)
    channel = subscription.channel
    async with member_throttle.passing(filter(is_presence, [channel])):
        await writer.submit(Unsubscribe(connection.id, channel))
    hub.unsubscribe(channel, connection.id)
    connection.session.remove(channel)
    connection.send_queue.push(events.unsubscribed(channel, subscription.meta, subscription.alias))
