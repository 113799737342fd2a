"""Subscribing to a channel and ending it (protocol.md section 7)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from chat.actions.connections import single_use, verified
from chat.actions.recovery import find_missed, replay, work
from chat.actions.storage import show_observed
from chat.cluster.leases import Reaper
from chat.fanout.hub import Hub, Subscriber
from chat.fanout.member_throttle import NOBODY, Members
from chat.protocol import commands, events
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.restrictions import Bearer
from chat.protocol.session import Subscription
from chat.runtime.connection import LiveConnection
from chat.runtime.occupancy import Occupancy
from chat.runtime.restrictions import Restrictions
from chat.store.operations.connections import Subscribe, Unsubscribe
from chat.store.operations.restrictions import Admission
from chat.store.writer import Writer
from tokens.names import is_presence


async def subscribe(
    connection: LiveConnection,
    command: commands.Subscribe,
    node_id: str,
    hub: Hub,
    writer: Writer,
    reaper: Reaper,
    occupancy: Occupancy,
    restrictions: Restrictions,
    *,
    auto: bool = False,
) -> int:
    """Subscribes and says so, with what is stored under the observed keys or what the client has
    missed, then lets through what was published meanwhile. Returns what that has cost, as bytes
    sent.

    The hub holds back what arrives until `hotsock.subscribed` has been pushed, so that nothing
    published after it is missed (promise P3). Raises ProtocolError.
    """
    claims = None if command.token is None else verified(command.token, "subscribe")
    async with connection.changing:
        subscription = connection.session.may_subscribe(command, claims)
        subscriber = Subscriber(connection.id, connection.send_queue, subscription.observes)
        channel = subscription.channel
        operation = _operation(connection, subscription, node_id, restrictions)
        place = await _join(connection, subscriber, operation, hub, writer, reaper)
        subscription.head_id, head = place
        connection.add(subscription)
        restrictions.check(connection)  # which may have changed since the commit
    count = (await occupancy.count([channel]))[channel] if command.occupancy else None
    missed = await _missed(command, operation, subscription, place)  # last: it holds much
    event = _subscribed(command, subscription, operation, head, missed, count, auto=auto)
    connection.send_queue.push(event)
    shown = await _show(connection, subscription, head, missed)
    hub.release(channel, subscriber, head)
    if count is not None:
        occupancy.follow(channel, connection.id, connection.send_queue, count)
    return shown + work(command.since, head) + len(operation.members or b"")


async def _missed(
    command: commands.Subscribe,
    operation: Subscribe,
    subscription: Subscription,
    place: tuple[str, int],
) -> Sequence[bytes] | None:
    """What is to be replayed; None: it is not asked for, or cannot be."""
    if command.since is None or command.epoch != operation.epoch:
        return None
    return await find_missed(subscription, command.since, place)


async def _show(
    connection: LiveConnection,
    subscription: Subscription,
    head: int,
    missed: Sequence[bytes] | None,
) -> int:
    """Returns how many bytes were sent."""
    if missed is None:
        return await show_observed(connection.send_queue, subscription, head)
    return await replay(connection.send_queue, missed)


def _subscribed(
    command: commands.Subscribe,
    subscription: Subscription,
    operation: Subscribe,
    head: int,
    missed: Sequence[bytes] | None,
    count: int | None,
    *,
    auto: bool,
) -> events.Event:
    return events.subscribed(
        *(subscription.channel, subscription.meta, subscription.alias),
        auto=auto,
        members=operation.members,
        occupancy=count,
        position=head,
        epoch=operation.epoch,
        recovered=None if command.since is None else missed is not None,
        replayed=len(missed or ()),
    )


def _operation(
    connection: LiveConnection,
    subscription: Subscription,
    node_id: str,
    restrictions: Restrictions,
) -> Subscribe:
    channel, claims = subscription.channel, subscription.claims
    tokens = connection.session.claims, *([claims] if claims else ())
    bearer = Bearer(tokens, subscription.uid, ErrorCode.INVALID_SUBSCRIBE_TOKEN, channel=channel)
    return Subscribe(
        connection_id=connection.id,
        channel=channel,
        claims=claims.payload if claims else "",
        uid=subscription.uid,
        umd=subscription.umd,
        counted=not subscription.grants.channel(channel).omit_from_sub_count,
        single_use=single_use(claims) if claims else None,
        node_id=node_id,
        admission=Admission(bearer, restrictions.rules),
    )


async def _join(
    connection: LiveConnection,
    subscriber: Subscriber,
    operation: Subscribe,
    hub: Hub,
    writer: Writer,
    reaper: Reaper,
) -> tuple[str, int]:
    channel = operation.channel
    member = {channel: operation.uid or ""} if is_presence(channel) else NOBODY
    with reaper.staying(connection.id, member):
        async with reaper.member_throttle.changing(operation, member):
            with _noted(connection, member):
                hub.subscribe(channel, subscriber)
                try:
                    await hub.broker.subscribe(channel)
                    place = await writer.submit(operation)
                    hub.place(channel, subscriber, place[1])
                    return place
                except BaseException:
                    hub.unsubscribe(channel, connection.id)
                    raise


@contextmanager
def _noted(connection: LiveConnection, member: Members) -> Iterator[None]:
    """The connection tells where it may be a member until that is known. What was submitted is done
    also where its client leaves meanwhile."""
    before, connection.joining = connection.joining, (*connection.joining, *member)
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
    reaper: Reaper,
) -> None:
    """Ends a subscription; after `hotsock.unsubscribed` nothing of the channel follows. Raises
    ProtocolError."""
    subscription = connection.session.subscription(command.channel)
    await end_subscription(connection, subscription, hub, writer, reaper)


async def end_subscription(
    connection: LiveConnection, subscription: Subscription, hub: Hub, writer: Writer, reaper: Reaper
) -> None:
    """As `unsubscribe`; does nothing where it has ended already."""
    channel = subscription.channel
    if connection.session.subscriptions.get(channel) is not subscription:
        return
    if is_presence(channel):
        await reaper.leave(connection.id, channel, subscription.uid or "")
    else:
        await writer.submit(Unsubscribe(connection.id, channel))
    hub.unsubscribe(channel, connection.id)
    connection.session.remove(channel)
    connection.send_queue.push(events.unsubscribed(channel, subscription.meta, subscription.alias))
