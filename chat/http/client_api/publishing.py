"""`publishMessage`."""

from msgspec import Struct, json

from chat.actions.publishing import publish, route_to
from chat.actions.reactions import react
from chat.http.client_api.answers import Answer, accepted
from chat.protocol import decoders, frames
from chat.protocol.commands import Publish, React
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.session import Session
from chat.runtime.node import Node


class Publishing(Struct, gc=False, rename="camel"):
    """What `publishMessage` takes beside the fields of a frame."""

    eager_id_generation: bool | None = None


_publishing = json.Decoder(Publishing)


async def publish_message(node: Node, session: Session, body: str) -> Answer:
    frame = frames.parse(body, "The body")
    eager = frames.convert(body, _publishing, "The body").eager_id_generation
    command = decoders.decode(frame)
    if isinstance(command, React):
        await react(node.writer, session, command)
        return accepted(session.real_name(command.channel), frame.event)
    if not isinstance(command, Publish):
        raise ProtocolError(
            ErrorCode.UNKNOWN_EVENT, f'event "{frame.event}" cannot be published over HTTP.'
        )
    route = route_to(session, command.channel, command.event)
    published = await publish(node.hub, node.writer, session, route, command.data, command.at)
    return accepted(
        published.channel,
        published.event,
        id=published.id if eager else None,
        scheduleArn=published.schedule_arn,
    )
