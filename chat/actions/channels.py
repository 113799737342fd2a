"""What can be told of a channel (protocol.md sections 14 and 15)."""

from dataclasses import dataclass

from chat.models import Connection, Member, Subscription
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.presence import member_json, members_json
from chat.protocol.session import Session
from chat.store.reads import read
from tokens.names import is_presence


@dataclass(slots=True, frozen=True)
class ChannelInfo:
    """The real name, how many subscriptions count, and on presence channels the members in the
    order of joining: the JSON of their list, else None."""

    name: str
    subscriptions: int
    members: bytes | None


async def channel_info(channel: str) -> ChannelInfo:
    """What is known of a channel, by its real name; an unknown one has nobody.

    Raises SERVICE_UNAVAILABLE.
    """
    return await read(read_channel_info, channel)


def read_channel_info(channel: str) -> ChannelInfo:
    """As `channel_info`, for a thread that may wait for the database."""
    counted = Subscription.objects.filter(channel__name=channel, counted=True)
    live = counted.filter(connection__in=Connection.objects.live())
    members = _members(channel) if is_presence(channel) else None
    return ChannelInfo(channel, live.count(), members)


def _members(channel: str) -> bytes:
    present = Member.objects.present().filter(channel__name=channel)
    return members_json(member_json(*row) for row in present.values_list("uid", "umd"))


async def get_channel_info(session: Session, channel: str) -> ChannelInfo:
    """What a connection may know of a channel, by its name or an alias.

    Raises ProtocolError: INFO_PERMISSION_DENIED, SERVICE_UNAVAILABLE.
    """
    name = session.real_name(channel)
    subscription = session.subscriptions.get(name)
    granted = subscription.grants if subscription else session.grants
    if not granted.channel(name).get_info:
        raise ProtocolError(
            ErrorCode.INFO_PERMISSION_DENIED, "You may not ask about this channel: no getInfo."
        )
    return await channel_info(name)
