"""Which verb answers which command over a WebSocket: the table HANDLERS.

What is done at once gives None; what must wait for the database gives the rest of it.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from chat.protocol import commands, decoders, events
from chat.protocol.frames import Frame
from chat.runtime.connection import LiveConnection
from chat.runtime.node import Node

from .messages import publish_at_once, publish_in_time
from .metadata import update_own_umd
from .reactions import react
from .storage import get_storage, set_storage
from .subscriptions import subscribe, unsubscribe

Rest = Awaitable[object] | None
Handler = Callable[[Node, LiveConnection, Any], Rest]


def handle(node: Node, connection: LiveConnection, frame: Frame) -> Rest:
    """Does what a frame asks for; raises ProtocolError, as what it gives may."""
    command = decoders.decode(frame)
    return HANDLERS[type(command)](node, connection, command)


def _publish(node: Node, connection: LiveConnection, command: commands.Publish) -> Rest:
    if publish_at_once(node, connection.session, command) is not None:
        return None
    return publish_in_time(node, connection.session, command)


async def _react(node: Node, connection: LiveConnection, command: commands.React) -> None:
    await react(node, connection.session, command)


async def _get_storage(
    node: Node, connection: LiveConnection, command: commands.GetStorage
) -> None:
    connection.send_queue.push(await get_storage(connection.session, command))


async def _set_storage(
    node: Node, connection: LiveConnection, command: commands.SetStorage
) -> None:
    await set_storage(node, connection.session, command)


def _pong(node: Node, connection: LiveConnection, command: commands.Ping) -> None:
    connection.send_queue.push(events.PONG)


def _heartbeat(node: Node, connection: LiveConnection, command: commands.Heartbeat) -> None:
    connection.beat_at = connection.heard_at


def _nothing(node: Node, connection: LiveConnection, command: commands.Command) -> None:
    """Hearing it was all: any frame shows that its connection is alive."""


HANDLERS: dict[type[commands.Command], Handler] = {
    commands.Publish: _publish,
    commands.React: _react,
    commands.GetStorage: _get_storage,
    commands.SetStorage: _set_storage,
    commands.Subscribe: subscribe,
    commands.Unsubscribe: unsubscribe,
    commands.UpdateUmd: update_own_umd,
    commands.Ping: _pong,
    commands.Pong: _nothing,
    commands.Heartbeat: _heartbeat,
}
