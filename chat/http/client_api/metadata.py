"""`umdUpdate`."""

from msgspec import Struct, json

from chat.actions.metadata import update_umd
from chat.http.client_api.answers import Answer
from chat.protocol import decoders, frames
from chat.protocol.session import Session
from chat.runtime.node import Node


class Update(Struct, gc=False):
    """The body of `umdUpdate`."""

    token: str | None = None
    channel: str | None = None


_update = json.Decoder(Update)


async def umd_update(node: Node, session: Session, body: str) -> Answer:
    asked = frames.read(body, _update, "The body")
    command = decoders.umd_update(asked.token, asked.channel)
    await update_umd(session, command, node.connections, node.metadata)
    return Answer(b"{}")
