"""`getChannelInfo`."""

from msgspec import Struct, json

from chat.actions.channels import get_channel_info
from chat.http.client_api.answers import Answer
from chat.protocol import decoders, frames
from chat.protocol.session import Session
from chat.runtime.node import Node


class Asked(Struct, gc=False):
    """The body of `getChannelInfo`."""

    channel: str | None = None


_asked = json.Decoder(Asked)


async def channel_info(node: Node, session: Session, body: str) -> Answer:
    channel = decoders.valid_channel(frames.read(body, _asked, "The body").channel)
    info = await get_channel_info(session, channel)
    members = b"" if info.members is None else b',"members":' + info.members
    counted = json.encode(info.name), info.subscriptions
    return Answer(b'{"channel":%b,"subscriptionsCount":%d%b}' % (*counted, members))
