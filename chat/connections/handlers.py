"""Which verb handles which command over a WebSocket: the table HANDLERS.

A handler gives None where all is done, else what is left to be awaited. Each raises ProtocolError,
as what it gives may.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from chat.actions.metadata import update_umd
from chat.actions.reactions import react
from chat.actions.storage import get_storage, set_storage
from chat.actions.subscriptions import subscribe, unsubscribe
from chat.protocol import commands, events
from chat.runtime.connection import LiveConnection
from chat.runtime.node import Node

Rest = Awaitable[object] | None
Handler = Callable[[Node, LiveConnection, Any], Rest]


def _subscribe(node: Node, connection: LiveConnection, command: commands.Subscribe) -> Rest:
    return subscribe(connection, command, node.id, node.hub, node.writer, node.member_throttle)


def _unsubscribe(node: Node, connection: LiveConnection, command: commands.Unsubscribe) -> Rest:
    return unsubscribe(connection, command, node.hub, node.writer, node.member_throttle)


def _react(node: Node, connection: LiveConnection, command: commands.React) -> Rest:
    return react(node.writer, connection.session, command)


async def _get_storage(
    node: Node, connection: LiveConnection, command: commands.GetStorage
) -> None:
    connection.send_queue.push(await get_storage(connection.session, command))


def _set_storage(node: Node, connection: LiveConnection, command: commands.SetStorage) -> Rest:
    return set_storage(node.writer, connection.session, command)


async def _update_umd(node: Node, connection: LiveConnection, command: commands.UpdateUmd) -> None:
    session = connection.session
    channel = await update_umd(session, command, node.connections, node.metadata)
    changed = session if channel is None else session.subscriptions[channel]
    connection.send_queue.push(events.umd_updated(channel, changed.meta))


def _ping(node: Node, connection: LiveConnection, command: commands.Ping) -> None:
    connection.send_queue.push(events.PONG)


def _heartbeat(node: Node, connection: LiveConnection, command: commands.Heartbeat) -> None:
    connection.beat_at = connection.heard_at


def _pong(node: Node, connection: LiveConnection, command: commands.Pong) -> None:
    """Any frame shows that its connection is alive."""


HANDLERS: dict[type[commands.Command], Handler] = {
    commands.Subscribe: _subscribe,
    commands.Unsubscribe: _unsubscribe,
    commands.React: _react,
    commands.GetStorage: _get_storage,
    commands.SetStorage: _set_storage,
    commands.UpdateUmd: _update_umd,
    commands.Ping: _ping,
    commands.Pong: _pong,
    commands.Heartbeat: _heartbeat,
}
